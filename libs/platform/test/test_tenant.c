/* What one tenant has, another neither sees nor touches: every route of the platform, taken from the table. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "alarm.h"
#include "collect.h"
#include "kit.h"
#include "ridge/base/file.h"

/* What tenant acme has: the last part of its paths, by what stands behind /api/v1/. */
typedef struct estate {
    char acme[100], other[100]; /* administrators' tokens */
    char access[40], enrolment[40], command[80], rollout[80], request[24], file[24], alarm[24], serial[80];
} estate_t;

static void make_access(kit_t *k, const char *tenant, char token[100], char id[40]) {
    char body[120];
    json_t *a;
    snprintf(body, sizeof body, "{\"name\":\"%s\"}", tenant);
    CHECK_EQ(kit_call(k, "POST", "/tenants", body, NULL), 201);
    snprintf(body, sizeof body, "{\"name\":\"boss\",\"role\":\"admin\",\"tenant\":\"%s\"}", tenant);
    CHECK_EQ(kit_call(k, "POST", "/tokens", body, &a), 201);
    snprintf(token, 100, "%s", kit_text(a, "token"));
    snprintf(id, 40, "%s", kit_text(a, "id"));
    json_decref(a);
}

static void make_enrolment(kit_t *k, const char *as, const char *body, char token[128], char id[40]) {
    json_t *a;
    CHECK_EQ(kit_call_as(k, as, "POST", "/device-tokens", body, &a), 201);
    const json_t *first = json_array_get(json_object_get(a, "tokens"), 0);
    snprintf(token, 128, "%s", kit_text(first, "token"));
    if (id) snprintf(id, 40, "%s", kit_text(first, "id"));
    json_decref(a);
}

static unsigned enrol(kit_t *k, const char *name, const char *token) {
    fake_t f;
    fake_init(&f, name);
    unsigned status = fake_enrol(k, &f, token, NULL);
    fake_fini(&f);
    return status;
}

/* As a device does, by the gateway. */
static void send_record(kit_t *k, const char *device, const char *id) {
    char text[600], body[200];
    int ends[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    CHECK_EQ(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    CHECK_OK(collect_adopt(k->platform->collect, ends[1], device));
    snprintf(body, sizeof body, "{\"records\":[{\"id\":\"%s\",\"kind\":\"trip\",\"time_ms\":1,\"data\":7}]}",
             id);
    int n =
        snprintf(text, sizeof text,
                 "POST /v1/records HTTP/1.1\r\nHost: c\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
                 strlen(body), body);
    CHECK_OK(rdg_write_all(ends[0], rdg_bytes(text, (size_t)n)));
    ssize_t got = read(ends[0], text, sizeof text - 1);
    CHECK(got > 12);
    text[got] = '\0';
    CHECK(strstr(text, " 200 ") != NULL);
    close(ends[0]);
}

static void send_file(kit_t *k, const char *device, char number[24]) {
    static const char bytes[] = "what the meter says";
    collect_offer_t o = {
        .device = device, .kind = "log", .name = "file-of-a", .size = sizeof bytes, .meta = rdg_strdup("{}")};
    collect_state_t s;
    unsigned retry = 0;
    rdg_sm3(bytes, sizeof bytes, &o.digest);
    CHECK_OK(collect_create(k->platform->collect, &o, &s, &retry));
    CHECK_OK(collect_append(k->platform->collect, device, s.upload, 0, rdg_bytes(bytes, sizeof bytes), &s));
    CHECK_OK(collect_finish(k->platform->collect, device, s.upload, &s));
    rdg_free(o.meta);
    snprintf(number, 24, "%lld", (long long)s.file);
}

/* One by the device's silence, which the platform's own thread soon clears, and one that stays open. */
static void raise_alarm(kit_t *k, const char *device, char number[24]) {
    rdg_sql_t *db = monitor_db(k->platform->monitor);
    const alarm_row_t row = {device, "", ALARM_DISK, true, 95, 90, platform_now()};
    json_t *list;
    char tenant[RDG_TENANT_MAX + 1];
    int64_t open;
    devices_tenant(k->platform, device, tenant);
    alarms_tenant(k->platform->alarms, device, tenant);
    alarms_silence(k->platform->alarms, device, 100000000, false);
    CHECK_OK(alarm_store_list(db, &(alarm_filter_t){.all = true, .tenant = "acme"}, 0, 10, &list));
    CHECK_EQ(json_array_size(list), 1);
    json_decref(list);
    CHECK_OK(alarm_store_raise(db, &row, tenant, &open));
    snprintf(number, 24, "%lld", (long long)open);
}

static void order(kit_t *k, estate_t *e) {
    json_t *a;
    CHECK_EQ(kit_call_as(k, e->acme, "POST", "/devices/a-1/commands", "{\"type\":\"agent.none\"}", &a), 202);
    snprintf(e->command, sizeof e->command, "%s", kit_text(a, "id"));
    CHECK_STR(kit_text(a, "tenant"), "acme");
    CHECK_STR(kit_text(a, "ordered_by"), "acme/boss");
    json_decref(a);
    CHECK_EQ(kit_call_as(k, e->acme, "POST", "/rollouts",
                         "{\"type\":\"agent.none\",\"selector\":{\"all\":true}}", &a),
             202);
    snprintf(e->rollout, sizeof e->rollout, "%s", kit_text(a, "id"));
    CHECK_EQ(json_integer_value(json_object_get(a, "total")), 1); /* all of its own */
    json_decref(a);
}

static void settle(kit_t *k, estate_t *e) {
    char token[128];
    json_t *a;
    make_access(k, "acme", e->acme, e->access);
    make_access(k, "other", e->other, token);
    make_enrolment(k, e->acme, "{\"uses\":5}", token, e->enrolment);
    CHECK_EQ(enrol(k, "a-1", token), 201);
    make_enrolment(k, e->acme, "{\"approve\":true}", token, NULL);
    CHECK_EQ(enrol(k, "a-2", token), 202);
    CHECK_EQ(kit_call_as(k, e->acme, "GET", "/device-requests", NULL, &a), 200);
    snprintf(e->request, sizeof e->request, "%lld",
             (long long)json_integer_value(
                 json_object_get(json_array_get(json_object_get(a, "requests"), 0), "number")));
    json_decref(a);
    make_enrolment(k, e->other, NULL, token, NULL);
    CHECK_EQ(enrol(k, "o-1", token), 201);
    make_enrolment(k, "secret", NULL, token, NULL);
    CHECK_EQ(enrol(k, "d-1", token), 201);
    order(k, e);
    CHECK_EQ(kit_call_as(k, e->acme, "GET", "/certificates?device=a-1", NULL, &a), 200);
    const json_t *certificate = json_array_get(json_object_get(a, "certificates"), 0);
    snprintf(e->serial, sizeof e->serial, "%s", kit_text(certificate, "serial"));
    json_decref(a);
    CHECK_EQ(kit_call_as(k, e->acme, "POST", "/subscriptions", "{\"name\":\"hook\",\"mqtt\":true}", NULL),
             201);
    send_record(k, "a-1", "record-of-a");
    send_file(k, "a-1", e->file);
    raise_alarm(k, "a-1", e->alarm);
}

/* A kind of thing with an owner that this test does not know fails it: it is to be added here. */
static const char *thing_of(const estate_t *e, const char *pattern) {
    const struct {
        const char *things, *id;
    } known[] = {{"devices", "a-1"},        {"tokens", e->access},    {"device-tokens", e->enrolment},
                 {"commands", e->command},  {"rollouts", e->rollout}, {"device-requests", e->request},
                 {"files", e->file},        {"alarms", e->alarm},     {"certificates", e->serial},
                 {"subscriptions", "hook"}, {"tenants", "acme"}};
    const char *things = pattern + strlen("/api/v1/");
    for (size_t i = 0; i < sizeof known / sizeof known[0]; ++i)
        if (strlen(known[i].things) == strcspn(things, "/") &&
            strncmp(known[i].things, things, strlen(known[i].things)) == 0)
            return known[i].id;
    rdg_test_fail(__FILE__, __LINE__, "%s: whose is it? this test has nothing of that kind", pattern);
    return "";
}

/* The path behind /api/v1 with an id in place of the first parameter, and 1 for the others. */
static void fill_in(const char *pattern, const char *id, char *out, size_t size) {
    size_t n = 0, parameter = 0;
    for (const char *p = pattern + strlen("/api/v1"); *p; ++p) {
        if (*p == '{') {
            n += (size_t)snprintf(out + n, size - n, "%s", parameter++ ? "1" : id);
            p = strchr(p, '}');
        } else {
            out[n++] = *p;
        }
        CHECK(n + 2 < size);
    }
    out[n] = '\0';
}

static unsigned knock(kit_t *k, const char *as, const rdg_service_route_t *r, const char *id,
                      char message[300]) {
    char path[300];
    json_t *a = NULL;
    bool body = strcmp(r->method, "GET") != 0 && strcmp(r->method, "DELETE") != 0;
    fill_in(r->pattern, id, path, sizeof path);
    unsigned status = kit_call_as(k, as, r->method, path, body ? "{}" : NULL, &a);
    snprintf(message, 300, "%s", kit_error(a, "message"));
    json_decref(a);
    return status;
}

/* message: what is said of `id`. Whether the same is said of `other`. */
static bool same_words(const char *message, const char *id, const char *other, const char *of_other) {
    char expected[300];
    const char *at = strstr(message, id);
    if (!at) return strcmp(message, of_other) == 0;
    snprintf(expected, sizeof expected, "%.*s%s%s", (int)(at - message), message, other, at + strlen(id));
    return strcmp(expected, of_other) == 0;
}

TEST(tenant_of_every_route_that_names_a_thing_anothers_is_as_if_it_were_not_there) {
    kit_t k;
    estate_t e;
    const rdg_service_route_t *r;
    char foreign[300], absent[300];
    size_t count = 0;
    kit_open(&k);
    settle(&k, &e);
    for (size_t i = 0; (r = rdg_service_route(k.service, i)); ++i) {
        if (!(r->flags & RDG_ROUTE_OWNED)) continue;
        const char *id = thing_of(&e, r->pattern);
        const char *none = strspn(id, "0123456789") == strlen(id) && strlen(id) < 16 ? "987654" : "nosuch";
        unsigned status = knock(&k, e.other, r, id, foreign);
        if (status != 404) rdg_test_fail(__FILE__, __LINE__, "%s %s: HTTP %u", r->method, r->pattern, status);
        CHECK_EQ(knock(&k, e.other, r, none, absent), 404);
        if (!same_words(foreign, id, none, absent))
            rdg_test_fail(__FILE__, __LINE__, "%s %s tells: '%s' and '%s'", r->method, r->pattern, foreign,
                          absent);
        ++count;
    }
    CHECK(count >= 20);
    /* Nothing has happened to them. */
    CHECK_EQ(kit_call_as(&k, e.acme, "GET", "/devices/a-1", NULL, NULL), 200);
    char path[120];
    json_t *a;
    snprintf(path, sizeof path, "/commands/%s", e.command);
    CHECK_EQ(kit_call_as(&k, e.acme, "GET", path, NULL, &a), 200);
    CHECK_STR(kit_text(a, "state"), "queued");
    json_decref(a);
    kit_close(&k);
}

/* Of the answer's bytes: whatever of acme's could stand in them. */
static bool mentions(const estate_t *e, const json_t *answer) {
    const char *const marks[] = {"a-1",       "a-2",      "acme",     "record-of-a",
                                 "file-of-a", e->command, e->rollout, e->enrolment};
    char *text = rdg_json_text(answer);
    bool found = false;
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; ++i)
        found = found || strstr(text, marks[i]) != NULL;
    rdg_free(text);
    return found;
}

TEST(tenant_lists_hold_what_is_its_own_and_the_clouds_hold_all) {
    static const char *const with_nothing[] = {"/api/v1/alarm-rules", "/api/v1/commands/events"};
    kit_t k;
    estate_t e;
    const rdg_service_route_t *r;
    size_t count = 0;
    kit_open(&k);
    settle(&k, &e);
    for (size_t i = 0; (r = rdg_service_route(k.service, i)); ++i) {
        json_t *theirs = NULL, *own = NULL, *all = NULL;
        bool empty = false;
        if (!(r->flags & RDG_ROUTE_TENANT) || strcmp(r->method, "GET") != 0) continue;
        if (strcmp(r->pattern, "/api/v1/events") == 0) continue;  /* test_event.c */
        if (strcmp(r->pattern, "/api/v1/metrics") == 0) continue; /* test_exposition.c */
        const char *path = r->pattern + strlen("/api/v1");
        CHECK_EQ(kit_call_as(&k, e.other, "GET", path, NULL, &theirs), 200);
        CHECK_EQ(kit_call_as(&k, e.acme, "GET", path, NULL, &own), 200);
        CHECK_EQ(kit_call(&k, "GET", path, NULL, &all), 200);
        for (size_t n = 0; n < sizeof with_nothing / sizeof with_nothing[0]; ++n)
            empty = empty || strcmp(with_nothing[n], r->pattern) == 0;
        if (mentions(&e, theirs)) rdg_test_fail(__FILE__, __LINE__, "%s shows another tenant's", r->pattern);
        if (!empty && !mentions(&e, own)) rdg_test_fail(__FILE__, __LINE__, "%s hides its own", r->pattern);
        if (!empty && !mentions(&e, all))
            rdg_test_fail(__FILE__, __LINE__, "%s hides from the cloud", r->pattern);
        json_decref(theirs);
        json_decref(own);
        json_decref(all);
        ++count;
    }
    CHECK(count >= 10);
    kit_close(&k);
}

TEST(tenant_changes_of_a_body_reach_its_own_devices_only) {
    static const char orders[] = "{\"commands\":[{\"device\":\"a-1\",\"type\":\"agent.none\"},"
                                 "{\"device\":\"o-1\",\"type\":\"agent.none\"}]}";
    kit_t k;
    estate_t e;
    json_t *a;
    kit_open(&k);
    settle(&k, &e);
    CHECK_EQ(kit_call_as(&k, e.other, "POST", "/commands", orders, &a), 202);
    const json_t *list = json_object_get(a, "commands");
    CHECK_STR(kit_error(json_array_get(list, 0), "code"), "NOT_FOUND");
    CHECK_STR(kit_text(json_array_get(list, 1), "state"), "queued");
    json_decref(a);
    CHECK_EQ(kit_call_as(&k, e.other, "POST", "/rollouts",
                         "{\"type\":\"agent.none\",\"selector\":{\"devices\":[\"o-1\",\"a-1\"]}}", NULL),
             404);
    char body[200];
    snprintf(body, sizeof body, "{\"id\":\"%s\",\"type\":\"agent.none\",\"selector\":{\"all\":true}}",
             e.rollout);
    CHECK_EQ(kit_call_as(&k, e.other, "POST", "/rollouts", body, NULL), 409);
    snprintf(body, sizeof body, "{\"id\":\"%s\",\"type\":\"agent.none\"}", e.command);
    CHECK_EQ(kit_call_as(&k, e.other, "POST", "/devices/o-1/commands", body, &a), 409);
    CHECK(!strstr(kit_error(a, "message"), "a-1"));
    json_decref(a);
    CHECK_EQ(kit_call_as(&k, e.other, "POST", "/device-tokens", "{\"tenant\":\"acme\"}", NULL), 403);
    kit_close(&k);
}

TEST(tenant_has_its_devices_names_for_ever) {
    kit_t k;
    estate_t e;
    char theirs[128], own[128];
    json_t *a;
    kit_open(&k);
    settle(&k, &e);
    make_enrolment(&k, e.other, "{\"uses\":9}", theirs, NULL);
    make_enrolment(&k, e.acme, NULL, own, NULL);
    CHECK_EQ(enrol(&k, "a-1", theirs), 409);
    CHECK_EQ(kit_call_as(&k, e.acme, "DELETE", "/devices/a-1", NULL, NULL), 204);
    CHECK_EQ(enrol(&k, "a-1", theirs), 409);
    CHECK_EQ(enrol(&k, "a-1", own), 201);
    CHECK_EQ(kit_call(&k, "GET", "/devices/a-1", NULL, &a), 200);
    CHECK_STR(kit_text(a, "tenant"), "acme");
    json_decref(a);
    /* And after a restart. */
    kit_close(&k);
    kit_open(&k);
    CHECK_EQ(kit_call_as(&k, e.acme, "GET", "/devices/a-1", NULL, NULL), 200);
    CHECK_EQ(kit_call_as(&k, e.other, "GET", "/devices/a-1", NULL, NULL), 404);
    CHECK_EQ(kit_call(&k, "DELETE", "/tenants/acme", NULL, NULL), 409);
    kit_close(&k);
}

static void limit(kit_t *k, const char *limits) {
    char body[120];
    snprintf(body, sizeof body, "{\"limits\":%s}", limits);
    CHECK_EQ(kit_call(k, "PATCH", "/tenants/acme", body, NULL), 200);
}

static void refused_by_limit(kit_t *k, fake_t *f, const char *token) {
    json_t *a;
    CHECK_EQ(fake_enrol(k, f, token, &a), 503);
    CHECK_STR(kit_error(a, "code"), "FULL");
    CHECK(strstr(kit_error(a, "message"), "ridge tenant limit acme --devices"));
    json_decref(a);
}

TEST(tenant_has_no_more_devices_than_its_limit_however_many_come_with_its_tokens) {
    kit_t k;
    fake_t first, second, third;
    char acme[100], id[40], token[128], waiting[128], fresh[128];
    kit_open(&k);
    make_access(&k, "acme", acme, id);
    make_enrolment(&k, acme, "{\"uses\":5}", token, NULL);
    make_enrolment(&k, acme, "{\"uses\":5,\"approve\":true}", waiting, NULL);
    fake_init(&first, "a-1");
    fake_init(&second, "a-2");
    fake_init(&third, "a-3");
    limit(&k, "{\"devices\":1}");
    CHECK_EQ(fake_enrol(&k, &first, token, NULL), 201);
    refused_by_limit(&k, &second, token);
    refused_by_limit(&k, &third, waiting); /* nor does it wait */
    CHECK_EQ(kit_call_as(&k, acme, "GET", "/devices/a-2", NULL, NULL), 404);
    /* Who is there is answered again; whose name another has had is not in its way. */
    CHECK_EQ(fake_enrol(&k, &first, token, NULL), 201);
    make_enrolment(&k, "secret", NULL, fresh, NULL);
    CHECK_EQ(enrol(&k, "d-1", fresh), 201);
    limit(&k, "{\"devices\":2}");
    CHECK_EQ(fake_enrol(&k, &second, token, NULL), 201); /* no use was spent on the refusal */
    limit(&k, "{\"devices\":0}");
    CHECK_EQ(fake_enrol(&k, &first, token, NULL), 201);
    CHECK_EQ(kit_call_as(&k, acme, "GET", "/devices/a-2", NULL, NULL), 200);
    refused_by_limit(&k, &third, token);
    CHECK_EQ(kit_call_as(&k, acme, "DELETE", "/devices/a-2", NULL, NULL), 204);
    limit(&k, "{\"devices\":2}");
    CHECK_EQ(fake_enrol(&k, &third, token, NULL), 201);
    fake_fini(&first);
    fake_fini(&second);
    fake_fini(&third);
    kit_close(&k);
}

TEST(tenant_that_is_full_when_a_device_is_approved_gets_it_when_there_is_room) {
    kit_t k;
    fake_t f;
    json_t *a;
    char acme[100], id[40], token[128], path[64];
    kit_open(&k);
    make_access(&k, "acme", acme, id);
    make_enrolment(&k, acme, "{\"approve\":true}", token, NULL);
    fake_init(&f, "a-1");
    CHECK_EQ(fake_enrol(&k, &f, token, NULL), 202);
    CHECK_EQ(kit_call_as(&k, acme, "GET", "/device-requests", NULL, &a), 200);
    snprintf(path, sizeof path, "/device-requests/%lld/approve",
             (long long)json_integer_value(
                 json_object_get(json_array_get(json_object_get(a, "requests"), 0), "number")));
    json_decref(a);
    CHECK_EQ(kit_call_as(&k, acme, "POST", path, "{}", NULL), 200);
    limit(&k, "{\"devices\":0}");
    refused_by_limit(&k, &f, token);
    limit(&k, "{\"devices\":null}");
    CHECK_EQ(fake_enrol(&k, &f, token, NULL), 201);
    fake_fini(&f);
    kit_close(&k);
}

/* A cancelled one has ended when the dispatcher has looked at it. */
static void wait_for_no_rollouts(kit_t *k) {
    const uint64_t end = rdg_mono_ms(rdg_clock_system()) + 30000;
    uint64_t used = 1;
    for (;;) {
        CHECK_OK(rdg_platform_count(k->platform, RDG_SHARE_ROLLOUTS, "acme", &used));
        if (used == 0) return;
        CHECK(rdg_mono_ms(rdg_clock_system()) < end);
        kit_pause();
    }
}

TEST(tenant_has_no_more_open_rollouts_than_its_limit_and_the_same_one_again_is_not_one_more) {
    static const char first[] = "{\"id\":\"r1\",\"type\":\"agent.none\",\"selector\":{\"all\":true}}",
                      second[] = "{\"id\":\"r2\",\"type\":\"agent.none\",\"selector\":{\"all\":true}}";
    kit_t k;
    json_t *a;
    char acme[100], id[40], token[128];
    kit_open(&k);
    make_access(&k, "acme", acme, id);
    make_enrolment(&k, acme, NULL, token, NULL);
    CHECK_EQ(enrol(&k, "a-1", token), 201);
    limit(&k, "{\"rollouts\":1}");
    CHECK_EQ(kit_call_as(&k, acme, "POST", "/rollouts", first, NULL), 202);
    CHECK_EQ(kit_call_as(&k, acme, "POST", "/rollouts", second, &a), 503);
    CHECK(strstr(kit_error(a, "message"),
                 "tenant acme has 1 rollouts that have not ended, and its limit is 1"));
    json_decref(a);
    CHECK_EQ(kit_call_as(&k, acme, "POST", "/rollouts", first, NULL), 200);
    CHECK_EQ(kit_call_as(&k, acme, "POST", "/rollouts/r1/pause", NULL, NULL), 200);
    CHECK_EQ(kit_call_as(&k, acme, "POST", "/rollouts", second, NULL), 503); /* it may be resumed */
    CHECK_EQ(kit_call(&k, "POST", "/rollouts",
                      "{\"id\":\"r3\",\"type\":\"agent.none\",\"selector\":{\"all\":true}}", NULL),
             202); /* the cloud's */
    CHECK_EQ(kit_call_as(&k, acme, "POST", "/rollouts/r1/cancel", NULL, NULL), 200);
    wait_for_no_rollouts(&k);
    CHECK_EQ(kit_call_as(&k, acme, "POST", "/rollouts", second, NULL), 202);
    kit_close(&k);
}
