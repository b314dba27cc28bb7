/* Who becomes a device: tokens for many, groups, approval by hand, replaced hardware. */
#include "enrolment.h"
#include "kit.h"
#include <pthread.h>
#include <stdio.h>
#include "ridge/base/alloc.h"

static void make_token(kit_t *k, const char *body, char out[128], char id[17]) {
    json_t *a;
    CHECK_EQ(kit_call(k, "POST", "/device-tokens", body, &a), 201);
    const json_t *t = json_array_get(json_object_get(a, "tokens"), 0);
    snprintf(out, 128, "%s", kit_text(t, "token"));
    if (id) snprintf(id, 17, "%s", kit_text(t, "id"));
    json_decref(a);
}

/* Enrols and expects a refusal with this status and word. */
static void refused(kit_t *k, fake_t *f, const char *token, unsigned status, const char *word) {
    json_t *a;
    CHECK_EQ(fake_enrol(k, f, token, &a), status);
    if (!strstr(kit_error(a, "message"), word)) CHECK_STR(kit_error(a, "message"), word);
    json_decref(a);
}

typedef struct runner {
    kit_t k;
    fake_t f;
    const char *token;
    unsigned status;
    pthread_t thread;
} runner_t;

static void *run(void *arg) {
    runner_t *r = arg;
    r->status = fake_enrol(&r->k, &r->f, r->token, NULL);
    return NULL;
}

TEST(a_token_for_n_used_by_more_at_once_makes_exactly_n_devices) {
    enum { N = 8, MORE = 4 };
    kit_t k;
    char token[128], name[32];
    static runner_t r[N + MORE];
    unsigned made = 0;
    json_t *a;
    kit_open(&k);
    make_token(&k, "{\"uses\":8}", token, NULL);
    for (int i = 0; i < N + MORE; ++i) {
        snprintf(name, sizeof name, "dev-%d", i);
        fake_init(&r[i].f, name);
        r[i].k = k;
        CHECK_OK(rdg_http_client_new(&r[i].k.http));
        r[i].token = token;
    }
    for (int i = 0; i < N + MORE; ++i) CHECK_EQ(pthread_create(&r[i].thread, NULL, run, &r[i]), 0);
    for (int i = 0; i < N + MORE; ++i) {
        pthread_join(r[i].thread, NULL);
        CHECK(r[i].status == 201 || r[i].status == 401);
        made += r[i].status == 201;
    }
    CHECK_EQ(made, N);
    /* Whoever was let in is answered again, and takes no further use. */
    for (int i = 0; i < N + MORE; ++i) CHECK_EQ(fake_enrol(&k, &r[i].f, token, NULL), r[i].status);
    CHECK_EQ(kit_call(&k, "GET", "/devices", NULL, &a), 200);
    CHECK_EQ(json_array_size(json_object_get(a, "devices")), N);
    json_decref(a);
    for (int i = 0; i < N + MORE; ++i) {
        fake_fini(&r[i].f);
        rdg_http_client_free(r[i].k.http);
    }
    kit_close(&k);
}

TEST(a_token_gives_its_devices_group_site_and_labels_once) {
    kit_t k;
    fake_t f;
    char token[128];
    json_t *a;
    kit_open(&k);
    fake_init(&f, "dev-1");
    make_token(&k, "{\"group\":\"north\",\"site\":\"s7\",\"location\":\"box 3\",\"labels\":{\"k\":\"v\"}}",
               token, NULL);
    CHECK_EQ(fake_enrol(&k, &f, token, NULL), 201);
    CHECK_EQ(kit_call(&k, "GET", "/devices/dev-1", NULL, &a), 200);
    CHECK_STR(kit_text(a, "group"), "north");
    CHECK_STR(kit_text(a, "site"), "s7");
    CHECK_STR(kit_text(a, "location"), "box 3");
    CHECK_STR(kit_text(json_object_get(a, "labels"), "k"), "v");
    json_decref(a);
    /* What an operator says later is not undone by the device asking again. */
    CHECK_EQ(kit_call(&k, "PATCH", "/devices/dev-1", "{\"site\":\"s8\",\"labels\":{\"k\":null}}", NULL), 200);
    CHECK_EQ(fake_enrol(&k, &f, token, NULL), 201);
    CHECK_EQ(kit_call(&k, "GET", "/devices/dev-1", NULL, &a), 200);
    CHECK_STR(kit_text(a, "site"), "s8");
    CHECK_EQ(json_object_size(json_object_get(a, "labels")), 0);
    json_decref(a);
    fake_fini(&f);
    kit_close(&k);
}

TEST(tokens_of_another_group_or_name_and_revoked_ones_are_refused_by_name) {
    kit_t k;
    fake_t f, other;
    char token[128], id[17], path[64];
    json_t *a;
    kit_open(&k);
    fake_init(&f, "dev-1");
    fake_init(&other, "dev-2");
    make_token(&k, "{\"group\":\"north\"}", token, NULL);
    CHECK_EQ(fake_enrol(&k, &f, token, NULL), 201);
    make_token(&k, "{\"group\":\"south\"}", token, NULL);
    refused(&k, &f, token, 403, "belongs to group 'north'");
    make_token(&k, "{\"device\":\"dev-1\"}", token, NULL);
    refused(&k, &other, token, 403, "is for device 'dev-1', not for 'dev-2'");
    make_token(&k, "{\"uses\":5}", token, id);
    CHECK_EQ(fake_enrol(&k, &other, token, NULL), 201);
    snprintf(path, sizeof path, "/device-tokens/%s/revoke", id);
    CHECK_EQ(kit_call(&k, "POST", path, NULL, &a), 200);
    CHECK_STR(kit_text(a, "state"), "revoked");
    CHECK_EQ(json_integer_value(json_object_get(a, "used")), 1);
    json_decref(a);
    refused(&k, &other, token, 401, "revoked");
    CHECK_EQ(kit_call(&k, "POST", "/device-tokens/0000000000000000/revoke", NULL, NULL), 404);
    CHECK_EQ(kit_call(&k, "GET", "/device-tokens", NULL, &a), 200);
    CHECK_EQ(json_array_size(json_object_get(a, "tokens")), 4);
    char *text = rdg_json_text(a);
    CHECK(strstr(text, "rdt_") == NULL); /* no secret is shown twice */
    rdg_free(text);
    json_decref(a);
    fake_fini(&f);
    fake_fini(&other);
    kit_close(&k);
}

TEST(a_device_says_for_which_group_it_was_prepared) {
    kit_t k;
    fake_t f;
    char token[128];
    kit_open(&k);
    fake_init(&f, "dev-1");
    snprintf(f.group, sizeof f.group, "north");
    make_token(&k, "{}", token, NULL);
    refused(&k, &f, token, 403, "no group");
    make_token(&k, "{\"group\":\"south\"}", token, NULL);
    refused(&k, &f, token, 403, "prepared for group 'north'");
    make_token(&k, "{\"group\":\"north\"}", token, NULL);
    CHECK_EQ(fake_enrol(&k, &f, token, NULL), 201);
    fake_fini(&f);
    kit_close(&k);
}

/* --- approval ------------------------------------------------------------------------------------------------ */

static json_int_t waiting(kit_t *k, size_t count) {
    json_t *a;
    CHECK_EQ(kit_call(k, "GET", "/device-requests", NULL, &a), 200);
    const json_t *list = json_object_get(a, "requests");
    CHECK_EQ(json_array_size(list), count);
    json_int_t number = json_integer_value(json_object_get(json_array_get(list, 0), "number"));
    json_decref(a);
    return number;
}

static unsigned decide(kit_t *k, json_int_t number, const char *verb, const char *body) {
    char path[80];
    snprintf(path, sizeof path, "/device-requests/%lld/%s", (long long)number, verb);
    return kit_call(k, "POST", path, body, NULL);
}

TEST(a_device_waits_without_certificates_until_it_is_approved) {
    kit_t k;
    fake_t f;
    char token[128];
    json_t *a;
    kit_open(&k);
    fake_init(&f, "dev-1");
    make_token(&k, "{\"approve\":true,\"group\":\"north\"}", token, NULL);
    for (int i = 0; i < 3; ++i) {
        CHECK_EQ(fake_enrol(&k, &f, token, &a), 202);
        CHECK_STR(kit_text(a, "state"), "pending");
        CHECK_EQ(strlen(kit_text(a, "key")), 16);
        CHECK(json_integer_value(json_object_get(a, "retry_ms")) >= 1000);
        CHECK(!json_object_get(a, "certificates") && !json_object_get(a, "mqtt"));
        json_decref(a);
    }
    CHECK_EQ(kit_call(&k, "GET", "/devices/dev-1", NULL, NULL), 404);
    CHECK_EQ(kit_call(&k, "GET", "/certificates?device=dev-1", NULL, &a), 200);
    CHECK_EQ(json_array_size(json_object_get(a, "certificates")), 0);
    json_decref(a);
    /* It is still there after a restart. */
    kit_close(&k);
    kit_open(&k);
    json_int_t number = waiting(&k, 1);
    CHECK_EQ(decide(&k, number, "approve", NULL), 200);
    CHECK_EQ(decide(&k, number, "approve", NULL), 409);
    CHECK_EQ(decide(&k, number, "refuse", NULL), 409);
    (void)waiting(&k, 0);
    CHECK_EQ(fake_enrol(&k, &f, token, NULL), 201);
    CHECK_EQ(fake_enrol(&k, &f, token, NULL), 201);
    CHECK_EQ(kit_call(&k, "GET", "/devices/dev-1", NULL, &a), 200);
    CHECK_STR(kit_text(a, "group"), "north");
    json_decref(a);
    fake_fini(&f);
    kit_close(&k);
}

TEST(a_refused_device_is_told_why_and_its_use_goes_to_another) {
    kit_t k;
    fake_t thief, f;
    char token[128];
    kit_open(&k);
    fake_init(&thief, "dev-1");
    fake_init(&f, "dev-1");
    make_token(&k, "{\"approve\":true}", token, NULL);
    CHECK_EQ(fake_enrol(&k, &thief, token, NULL), 202);
    refused(&k, &f, token, 401, "used");
    CHECK_EQ(decide(&k, waiting(&k, 1), "refuse", "{\"reason\":\"not ours\"}"), 200);
    refused(&k, &thief, token, 403, "not ours");
    CHECK_EQ(fake_enrol(&k, &f, token, NULL), 202);
    CHECK_EQ(decide(&k, waiting(&k, 1), "approve", NULL), 200);
    CHECK_EQ(fake_enrol(&k, &f, token, NULL), 201);
    refused(&k, &thief, token, 403, "refused");
    CHECK_EQ(decide(&k, 4711, "approve", NULL), 404);
    fake_fini(&f);
    fake_fini(&thief);
    kit_close(&k);
}

TEST(no_more_than_the_bound_wait_and_who_has_gone_makes_room) {
    kit_t k;
    fake_t f;
    char token[128], sql[512];
    json_t *a;
    kit_open(&k);
    fake_init(&f, "dev-1");
    make_token(&k, "{\"approve\":true,\"uses\":5000}", token, NULL);
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
             " INSERT INTO enrolments (token, device, public_key, state, asked_ms, last_ms)"
             " SELECT digest, 'x' || i, 'k' || i, 'pending', ?, ? FROM n, device_tokens",
             ENROLMENT_PENDING_MAX);
    rdg_sql_value_t now = rdg_sql_int((int64_t)platform_now());
    CHECK_OK(rdg_sql_exec(k.platform->db, sql, RDG_SQL_PARAMS(now, now), NULL));
    CHECK_EQ(fake_enrol(&k, &f, token, &a), rdg_service_status(RDG_E_FULL));
    CHECK_STR(kit_error(a, "code"), "FULL");
    json_decref(a);
    CHECK_OK(
        rdg_sql_exec(k.platform->db, "UPDATE enrolments SET last_ms = 1 WHERE device = 'x7'", NULL, 0, NULL));
    CHECK_EQ(fake_enrol(&k, &f, token, NULL), 202);
    CHECK_EQ(pending_count(k.platform), ENROLMENT_PENDING_MAX);
    fake_fini(&f);
    kit_close(&k);
}

/* --- other hardware --------------------------------------------------------------------------------------------- */

static void replace(kit_t *k, const char *body, char token[128]) {
    json_t *a;
    CHECK_EQ(kit_call(k, "POST", "/devices/dev-1/replace", body, &a), 201);
    snprintf(token, 128, "%s", kit_text(a, "token"));
    json_decref(a);
}

static void check_state(kit_t *k, const char *state) {
    json_t *a;
    CHECK_EQ(kit_call(k, "GET", "/devices/dev-1", NULL, &a), 200);
    CHECK_STR(kit_text(a, "state"), state);
    json_decref(a);
}

static size_t valid_certificates(kit_t *k) {
    json_t *a;
    CHECK_EQ(kit_call(k, "GET", "/certificates?device=dev-1&state=valid", NULL, &a), 200);
    size_t n = json_array_size(json_object_get(a, "certificates"));
    json_decref(a);
    return n;
}

TEST(new_hardware_takes_a_name_over_and_the_old_never_returns) {
    kit_t k;
    fake_t old, new;
    char first[128], token[128], again[128];
    json_t *a;
    kit_open(&k);
    fake_init(&old, "dev-1");
    fake_init(&new, "dev-1");
    make_token(&k, "{\"group\":\"north\",\"labels\":{\"k\":\"v\"}}", first, NULL);
    CHECK_EQ(fake_enrol(&k, &old, first, NULL), 201);
    fake_connect(&k, &old);
    CHECK_EQ(kit_call(&k, "POST", "/devices/dev-1/replace", "{\"ttl_s\":0}", NULL), 400);
    CHECK_EQ(kit_call(&k, "POST", "/devices/nobody/replace", NULL, NULL), 404);
    replace(&k, NULL, token);
    check_state(&k, "revoked");
    CHECK_EQ(valid_certificates(&k), 0);
    replace(&k, NULL, again); /* a token that was lost: only the newest counts */
    refused(&k, &new, token, 401, "revoked");
    refused(&k, &old, first, 403, "retired");
    refused(&k, &old, again, 403, "retired");
    /* After a restart of the cloud it is still so. */
    fake_disconnect(&old);
    kit_close(&k);
    kit_open(&k);
    check_state(&k, "revoked");
    CHECK_EQ(kit_call(&k, "POST", "/devices/dev-1/commands", "{\"type\":\"chain.stop\",\"id\":\"c1\"}", NULL),
             202);
    CHECK_EQ(fake_enrol(&k, &new, again, NULL), 201);
    CHECK_EQ(fake_enrol(&k, &new, again, NULL), 201);
    CHECK_EQ(valid_certificates(&k), 2);
    new.finish = true;
    fake_connect(&k, &new);
    kit_wait_state(&k, "c1", "done");
    CHECK_EQ(kit_call(&k, "GET", "/devices/dev-1", NULL, &a), 200);
    CHECK_STR(kit_text(a, "group"), "north");
    CHECK_STR(kit_text(json_object_get(a, "labels"), "k"), "v");
    json_decref(a);
    /* Neither under its old name nor under another. */
    make_token(&k, "{}", token, NULL);
    refused(&k, &old, token, 403, "retired");
    snprintf(old.name, sizeof old.name, "dev-9");
    refused(&k, &old, token, 403, "when device 'dev-1' was replaced");
    CHECK_EQ(valid_certificates(&k), 2);
    fake_fini(&old);
    fake_fini(&new);
    kit_close(&k);
}

TEST(old_hardware_may_work_until_the_new_is_there) {
    kit_t k;
    fake_t old, new;
    char token[128];
    kit_open(&k);
    fake_init(&old, "dev-1");
    fake_init(&new, "dev-1");
    fake_connect(&k, &old);
    replace(&k, "{\"at_once\":false,\"approve\":true}", token);
    check_state(&k, "online");
    CHECK_EQ(fake_enrol(&k, &new, token, NULL), 202);
    check_state(&k, "online");
    CHECK_EQ(valid_certificates(&k), 2);
    CHECK_EQ(decide(&k, waiting(&k, 1), "approve", NULL), 200);
    check_state(&k, "online");
    CHECK_EQ(fake_enrol(&k, &new, token, NULL), 201);
    CHECK_EQ(valid_certificates(&k), 2); /* the new ones alone */
    make_token(&k, "{}", token, NULL);
    refused(&k, &old, token, 403, "retired");
    fake_fini(&old);
    fake_fini(&new);
    kit_close(&k);
}

TEST(what_a_crash_cut_off_between_store_and_certificates_is_made_good) {
    kit_t k;
    fake_t old;
    kit_open(&k);
    fake_init(&old, "dev-1");
    fake_connect(&k, &old);
    fake_disconnect(&old);
    /* As a cloud that died after it had stored the order leaves it. */
    CHECK_OK(rdg_sql_exec(k.platform->db, "UPDATE devices SET revoked_ms = 1", NULL, 0, NULL));
    CHECK_EQ(valid_certificates(&k), 2);
    kit_close(&k);
    kit_open(&k);
    CHECK_EQ(valid_certificates(&k), 0);
    check_state(&k, "revoked");
    fake_fini(&old);
    kit_close(&k);
}

TEST(a_revoked_or_removed_device_needs_a_new_token) {
    kit_t k;
    fake_t f;
    char first[128], token[128];
    kit_open(&k);
    fake_init(&f, "dev-1");
    make_token(&k, "{}", first, NULL);
    CHECK_EQ(fake_enrol(&k, &f, first, NULL), 201);
    fake_connect(&k, &f);
    kit_pause();
    CHECK_EQ(kit_call(&k, "POST", "/devices/dev-1/revoke", "{\"reason\":\"nonsense\"}", NULL), 400);
    CHECK_EQ(kit_call(&k, "POST", "/devices/dev-1/revoke", NULL, NULL), 200);
    check_state(&k, "revoked");
    refused(&k, &f, first, 401, "was revoked after");
    make_token(&k, "{}", token, NULL);
    CHECK_EQ(fake_enrol(&k, &f, token, NULL), 201);
    check_state(&k, "offline");
    fake_disconnect(&f);
    CHECK_EQ(kit_call(&k, "DELETE", "/devices/dev-1?force=1", NULL, NULL), 204);
    refused(&k, &f, token, 401, "was removed after");
    fake_fini(&f);
    kit_close(&k);
}
