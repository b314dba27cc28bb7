#include "agent_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/config.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include <stdio.h>
#include <string.h>

#define RECORDS_RETRY_S "5"

typedef struct parsed {
    reading_t readings[READINGS_MAX];
    size_t index_of[READINGS_MAX];
    rdg_err_t refused[READINGS_MAX];
    reading_fault_t faults[READINGS_MAX];
    size_t count, fault_count;
} parsed_t;

static unsigned http_status(rdg_err_t err) {
    switch (err) {
    case RDG_E_INVALID:
    case RDG_E_MALFORMED: return 400;
    case RDG_E_FORBIDDEN: return 403;
    case RDG_E_NOT_FOUND: return 404;
    case RDG_E_CONFLICT: return 409;
    case RDG_E_TOO_LARGE: return 413;
    case RDG_E_UNAVAILABLE:
    case RDG_E_BUSY:
    case RDG_E_FULL:
    case RDG_E_DISK_FULL:
    case RDG_E_NO_MEMORY: return 503;
    default: return 500;
    }
}

void local_answer_json(rdg_http_response_t *res, unsigned status, json_t *o) {
    rdg_buf_t text;
    rdg_buf_init(&text, 1u << 20);
    rdg_http_status(res, o && rdg_json_dump(o, &text) == RDG_OK ? status : 500);
    (void)rdg_http_write(res, "application/json", rdg_buf_view(&text));
    rdg_buf_fini(&text);
    json_decref(o);
}

void local_answer_error(rdg_http_response_t *res, rdg_err_t err) {
    local_answer_json(
        res, http_status(err),
        json_pack("{s:{s:s, s:s}}", "error", "code", rdg_err_name(err), "message", rdg_err_message(err)));
}

static rdg_err_t take(rdg_agent_t *a, rdg_bytes_t text, parsed_t *p) {
    const char *device = a->identity.enrolled ? a->identity.device_id : a->name;
    RDG_TRY(readings_parse(text, device, p->readings, p->index_of, &p->count, p->faults, &p->fault_count));
    return intake_take(a->intake, p->readings, p->count, p->refused);
}

static json_t *outcome(const parsed_t *p) {
    json_t *refused = json_array();
    size_t accepted = 0;
    for (size_t k = 0; k < p->fault_count; ++k)
        json_array_append_new(refused,
                              json_pack("{s:I, s:s, s:s}", "index", (json_int_t)p->faults[k].index, "code",
                                        rdg_err_name(p->faults[k].code), "message", p->faults[k].message));
    for (size_t k = 0; k < p->count; ++k) {
        if (p->refused[k] == RDG_OK) {
            ++accepted;
            continue;
        }
        const char *why = p->refused[k] == RDG_E_STALE
                              ? "time is not later than that of the meter's last reading"
                              : "this device has 4,096 meters already";
        json_array_append_new(refused, json_pack("{s:I, s:s, s:s}", "index", (json_int_t)p->index_of[k],
                                                 "code", rdg_err_name(p->refused[k]), "message", why));
    }
    return json_pack("{s:I, s:o}", "accepted", (json_int_t)accepted, "refused", refused);
}

static void post_readings(rdg_agent_t *a, const rdg_http_request_t *req, rdg_http_response_t *res) {
    parsed_t *p = rdg_calloc(1, sizeof *p);
    rdg_err_t err =
        p ? take(a, rdg_http_body(req), p) : rdg_fail(RDG_E_NO_MEMORY, "no memory for the readings");
    if (err == RDG_OK)
        local_answer_json(res, 202, outcome(p));
    else
        local_answer_error(res, err);
    rdg_free(p);
}

static void get_intake(rdg_agent_t *a, rdg_http_response_t *res) {
    intake_stats_t s;
    intake_stats(a->intake, &s);
    local_answer_json(res, 200,
                      json_pack("{s:I, s:I, s:I, s:I, s:I, s:{s:f, s:f}, s:s, s:s}", "queued",
                                (json_int_t)s.queued, "queued_bytes", (json_int_t)s.queued_bytes, "submitted",
                                (json_int_t)s.submitted, "confirmed", (json_int_t)s.confirmed, "refused",
                                (json_int_t)s.refused, "latency_ms", "p50", s.p50_ms, "p99", s.p99_ms,
                                "chain", s.chain, "contract", s.contract));
}

static void get_health(rdg_agent_t *a, rdg_http_response_t *res) {
    char key[65];
    json_t *o = json_pack("{s:s, s:s, s:s, s:b, s:I}", "status", "ok", "version", RIDGE_VERSION, "device",
                          a->identity.enrolled ? a->identity.device_id : a->name, "connected",
                          (int)link_connected(a->link), "rss_kib", (json_int_t)agent_rss_kib());
    if (link_waits(a->link, key))
        json_object_set_new(o, "enrolment", json_pack("{s:s, s:s}", "state", "pending", "key", key));
    local_answer_json(res, 200, o);
}

static void get_metrics(rdg_agent_t *a, rdg_http_response_t *res) {
    rdg_buf_t text;
    rdg_buf_init(&text, 256u << 10);
    if (rdg_metrics_expose(a->metrics, &text) != RDG_OK) rdg_http_status(res, 500);
    (void)rdg_http_write(res, "text/plain; version=0.0.4", rdg_buf_view(&text));
    rdg_buf_fini(&text);
}

/* All of them are durable, or none was taken. */
static void post_records(rdg_agent_t *a, const rdg_http_request_t *req, rdg_http_response_t *res) {
    json_t *o = NULL;
    size_t taken = 0;
    rdg_err_t err = rdg_json_parse(rdg_http_body(req), &o);
    if (err == RDG_OK) err = records_put(__atomic_load_n(&a->records, __ATOMIC_ACQUIRE), o, &taken);
    json_decref(o);
    if (err == RDG_OK) {
        local_answer_json(res, 202, json_pack("{s:I}", "accepted", (json_int_t)taken));
        return;
    }
    if (err == RDG_E_FULL || err == RDG_E_DISK_FULL || err == RDG_E_UNAVAILABLE)
        (void)rdg_http_set_header(res, "Retry-After", RECORDS_RETRY_S);
    local_answer_json(
        res,
        err == RDG_E_FULL          ? 429
        : err == RDG_E_UNAVAILABLE ? 503
                                   : http_status(err),
        json_pack("{s:{s:s, s:s}}", "error", "code", rdg_err_name(err), "message", rdg_err_message(err)));
}

/* "/v1/files/KIND/NAME" */
static bool file_path(const char *path, char kind[65], char name[65]) {
    static const char prefix[] = "/v1/files/";
    if (strncmp(path, prefix, sizeof prefix - 1) != 0) return false;
    path += sizeof prefix - 1;
    const char *slash = strchr(path, '/');
    if (!slash || slash - path > 64 || strlen(slash + 1) > 64) return false;
    snprintf(kind, 65, "%.*s", (int)(slash - path), path);
    snprintf(name, 65, "%s", slash + 1);
    return rdg_name_valid(kind) && rdg_name_valid(name);
}

static void put_file(rdg_agent_t *a, const rdg_http_request_t *req, rdg_http_response_t *res,
                     const char *kind, const char *name) {
    const char *text = rdg_http_query(req, "offset");
    bool last = rdg_http_query(req, "last") != NULL;
    uint64_t offset = 0, have = 0;
    rdg_err_t err = RDG_OK;
    if (strcmp(kind, "archive") == 0)
        err = rdg_fail(RDG_E_FORBIDDEN, "files of kind archive are made by this agent alone");
    else if (text && rdg_parse_u64(text, &offset) != RDG_OK)
        err =
            rdg_fail(RDG_E_INVALID, "offset '%.40s': want the number of bytes that were taken already", text);
    else
        err = outbox_piece(a->outbox, kind, name, offset, rdg_http_body(req), last, &have);
    if (err == RDG_OK && last) uploader_kick(__atomic_load_n(&a->uploader, __ATOMIC_ACQUIRE), false);
    if (err == RDG_OK)
        local_answer_json(res, last ? 202 : 200,
                          json_pack("{s:I, s:b}", "offset", (json_int_t)have, "queued", (int)last));
    else
        local_answer_json(res, http_status(err),
                          json_pack("{s:I, s:{s:s, s:s}}", "offset", (json_int_t)have, "error", "code",
                                    rdg_err_name(err), "message", rdg_err_message(err)));
}

void local_api_handle(void *agent, const rdg_http_request_t *req, rdg_http_response_t *res) {
    rdg_agent_t *a = agent;
    const char *path = rdg_http_path(req);
    char kind[65], name[65];
    bool get = strcmp(rdg_http_method(req), "GET") == 0, post = strcmp(rdg_http_method(req), "POST") == 0;
    if (strcmp(path, "/v1/readings") == 0 && post)
        post_readings(a, req, res);
    else if (strcmp(path, "/v1/intake") == 0 && get)
        get_intake(a, res);
    else if (strcmp(path, "/v1/records") == 0 && post)
        post_records(a, req, res);
    else if (strcmp(path, "/v1/files") == 0 && get)
        local_answer_json(res, 200, outbox_json(a->outbox));
    else if (strcmp(rdg_http_method(req), "PUT") == 0 && file_path(path, kind, name))
        put_file(a, req, res, kind, name);
    else if (strcmp(path, "/v1/health") == 0 && get)
        get_health(a, res);
    else if (strcmp(path, "/metrics") == 0 && get)
        get_metrics(a, res);
    else if (local_chains_handle(a, req, res))
        return;
    else
        local_answer_error(
            res,
            rdg_fail(
                RDG_E_NOT_FOUND,
                "no %s %.80s here: POST /v1/readings, /v1/records and /v1/chains/CHAIN/rpc, PUT "
                "/v1/files/KIND/NAME, GET "
                "/v1/intake, /v1/files, /v1/chains, /v1/chains/CHAIN/events, /v1/health and /metrics are",
                rdg_http_method(req), path));
}

bool local_api_message(void *agent, const char *topic, rdg_bytes_t payload) {
    rdg_agent_t *a = agent;
    (void)topic;
    parsed_t *p = rdg_calloc(1, sizeof *p);
    rdg_err_t err = p ? take(a, payload, p) : RDG_E_NO_MEMORY;
    if (err == RDG_OK && p->fault_count > 0)
        rdg_log(RDG_LOG_WARN, "intake.message_faults", RDG_U64("readings", p->fault_count),
                RDG_STR("first", p->faults[0].message));
    else if (err != RDG_OK)
        rdg_log_err("intake.message_refused", err);
    rdg_free(p);
    /* What can never be taken is acknowledged; what finds no room now is left with the broker. */
    return err == RDG_OK || err == RDG_E_MALFORMED || err == RDG_E_TOO_LARGE || err == RDG_E_INVALID;
}
