#include "ridge/client/monitoring.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "ridge/base/file.h"

#define PATH_BYTES 1024
#define FILE_MS (24ull * 3600 * 1000)

static rdg_err_t check(const char *what, const char *name) {
    return rdg_name_valid(name) ? RDG_OK
                                : rdg_fail(RDG_E_INVALID, "'%.64s' cannot be the name of a %s", name, what);
}

/* "?…" of a path, in parts; what does not fit is TOO_LARGE at the end. */
typedef struct query {
    char text[PATH_BYTES];
    size_t len;
} query_t;

__attribute__((format(printf, 2, 3))) static void add(query_t *q, const char *format, ...) {
    va_list args;
    size_t room = sizeof q->text - q->len;
    va_start(args, format);
    int n = vsnprintf(q->text + q->len, room, format, args);
    va_end(args);
    q->len = n < 0 || (size_t)n >= room ? sizeof q->text : q->len + (size_t)n;
}

static void add_number(query_t *q, const char *name, uint64_t v) {
    if (v > 0 && q->len < sizeof q->text) add(q, "&%s=%" PRIu64, name, v);
}

static rdg_err_t add_name(query_t *q, const char *name, const char *v) {
    if (!v) return RDG_OK;
    RDG_TRY(check(name, v));
    if (q->len < sizeof q->text) add(q, "&%s=%s", name, v);
    return RDG_OK;
}

static rdg_err_t get(rdg_cloud_client_t *c, const query_t *q, uint64_t wait_ms, json_t **out) {
    if (q->len >= sizeof q->text) return rdg_fail(RDG_E_TOO_LARGE, "the request's path is too long");
    return rdg_cloud_call(c, "GET", q->text, NULL, wait_ms ? wait_ms + 10000 : 0, out);
}

static rdg_err_t add_page(query_t *q, const rdg_platform_page_t *page) {
    if (!page) return RDG_OK;
    RDG_TRY(add_name(q, "device", page->device));
    RDG_TRY(add_name(q, "kind", page->kind));
    add_number(q, "after", page->after);
    add_number(q, "limit", page->limit);
    return RDG_OK;
}

/* The array `field` of an answer, and its `next` if next is given. Takes answer. */
static rdg_err_t array_of(json_t *answer, const char *field, json_t **list, uint64_t *next) {
    json_t *found = NULL;
    rdg_err_t err = rdg_json_get_array(answer, field, &found);
    if (err == RDG_OK && next) err = rdg_json_get_u64(answer, "next", next);
    *list = err == RDG_OK ? json_incref(found) : NULL;
    json_decref(answer);
    return err;
}

static rdg_err_t list(rdg_cloud_client_t *c, const char *what, const rdg_platform_page_t *page, json_t **out,
                      uint64_t *next) {
    query_t q = {.len = 0};
    json_t *answer = NULL;
    add(&q, "/%s?", what);
    RDG_TRY(add_page(&q, page));
    add_number(&q, "wait_ms", page ? page->wait_ms : 0);
    RDG_TRY(get(c, &q, page ? page->wait_ms : 0, &answer));
    return array_of(answer, what, out, next);
}

rdg_err_t rdg_platform_telemetry(rdg_cloud_client_t *c, const char *device, json_t **record) {
    query_t q = {.len = 0};
    RDG_TRY(check("device", device));
    add(&q, "/devices/%s/telemetry", device);
    return get(c, &q, 0, record);
}

rdg_err_t rdg_platform_telemetry_range(rdg_cloud_client_t *c, const char *device,
                                       const rdg_telemetry_range_t *r, json_t **series) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz_0123456789,";
    query_t q = {.len = 0};
    RDG_TRY(check("device", device));
    if (r->metrics && strspn(r->metrics, plain) != strlen(r->metrics))
        return rdg_fail(RDG_E_INVALID, "'%.64s' names no metrics", r->metrics);
    add(&q, "/devices/%s/telemetry/range?metric=%s", device, r->metrics ? r->metrics : "");
    add_number(&q, "from", r->from_ms);
    add_number(&q, "to", r->to_ms);
    add_number(&q, "step", r->step_ms);
    return get(c, &q, 0, series);
}

rdg_err_t rdg_platform_alarms(rdg_cloud_client_t *c, const rdg_platform_page_t *page, bool all,
                              json_t **alarms) {
    query_t q = {.len = 0};
    json_t *answer = NULL;
    add(&q, "/alarms?state=%s", all ? "all" : "open");
    RDG_TRY(add_page(&q, page));
    RDG_TRY(get(c, &q, 0, &answer));
    return array_of(answer, "alarms", alarms, NULL);
}

rdg_err_t rdg_platform_alarm_ack(rdg_cloud_client_t *c, uint64_t number, const char *note) {
    char path[64];
    snprintf(path, sizeof path, "/alarms/%" PRIu64 "/ack", number);
    return rdg_cloud_call(c, "POST", path, json_pack("{s:s?}", "note", note), 0, NULL);
}

rdg_err_t rdg_platform_records(rdg_cloud_client_t *c, const rdg_platform_page_t *page, json_t **records,
                               uint64_t *next) {
    return list(c, "records", page, records, next);
}

rdg_err_t rdg_platform_files(rdg_cloud_client_t *c, const rdg_platform_page_t *page, json_t **files,
                             uint64_t *next) {
    return list(c, "files", page, files, next);
}

rdg_err_t rdg_platform_file(rdg_cloud_client_t *c, uint64_t number, uint64_t offset,
                            rdg_err_t (*sink)(void *ctx, rdg_bytes_t bytes), void *ctx) {
    char path[96];
    snprintf(path, sizeof path, "/files/%" PRIu64 "/content?offset=%" PRIu64, number, offset);
    return rdg_cloud_fetch(c, path, FILE_MS, sink, ctx);
}

rdg_err_t rdg_platform_file_remove(rdg_cloud_client_t *c, uint64_t number) {
    char path[64];
    snprintf(path, sizeof path, "/files/%" PRIu64, number);
    return rdg_cloud_call(c, "DELETE", path, NULL, 0, NULL);
}

/* --- subscriptions -------------------------------------------------------------------------------------------- */

rdg_err_t rdg_platform_subscribe(rdg_cloud_client_t *c, json_t *order, json_t **subscription) {
    return rdg_cloud_call(c, "POST", "/subscriptions", order, 0, subscription);
}

rdg_err_t rdg_platform_subscription(rdg_cloud_client_t *c, const char *name, json_t **subscription) {
    query_t q = {.len = 0};
    RDG_TRY(check("subscription", name));
    add(&q, "/subscriptions/%s", name);
    return get(c, &q, 0, subscription);
}

rdg_err_t rdg_platform_subscriptions(rdg_cloud_client_t *c, json_t **all) {
    json_t *answer = NULL;
    RDG_TRY(rdg_cloud_call(c, "GET", "/subscriptions", NULL, 0, &answer));
    return array_of(answer, "subscriptions", all, NULL);
}

rdg_err_t rdg_platform_unsubscribe(rdg_cloud_client_t *c, const char *name) {
    char path[128];
    RDG_TRY(check("subscription", name));
    snprintf(path, sizeof path, "/subscriptions/%s", name);
    return rdg_cloud_call(c, "DELETE", path, NULL, 0, NULL);
}

rdg_err_t rdg_platform_subscription_turn(rdg_cloud_client_t *c, const char *name, const char *verb,
                                         json_t *body, json_t **answer) {
    static const char *const verbs[] = {"test", "pause", "resume"};
    char path[128];
    bool known = false;
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; ++i) known = known || strcmp(verb, verbs[i]) == 0;
    rdg_err_t err = known
                        ? check("subscription", name)
                        : rdg_fail(RDG_E_INVALID, "'%.16s' is nothing that is done to a subscription", verb);
    if (err != RDG_OK) {
        json_decref(body);
        return err;
    }
    snprintf(path, sizeof path, "/subscriptions/%s/%s", name, verb);
    return rdg_cloud_call(c, "POST", path, body, 0, answer);
}
