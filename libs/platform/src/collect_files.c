/* What has been collected, for who fetches it: /files of docs/rest-api.md. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "internal.h"
#include "collect.h"
#include "ridge/base/config.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"

#define LIST_DEFAULT 100
#define LIST_MAX 1000
#define COLUMNS "number, device, kind, name, size, digest, meta, stored_ms"

static json_t *row_json(const rdg_sql_row_t *r) {
    char hex[65] = "";
    json_t *meta = NULL;
    const char *text = rdg_sql_row_text(r, 6);
    rdg_bytes_t digest = rdg_sql_row_blob(r, 5);
    if (digest.len == RDG_HASH_BYTES) rdg_hex_encode(digest.data, digest.len, hex);
    if (text) (void)rdg_json_parse(rdg_bytes_str(text), &meta);
    return json_pack("{s:I, s:s, s:s, s:s, s:I, s:s, s:o, s:I}", "number", (json_int_t)rdg_sql_row_int(r, 0),
                     "device", rdg_sql_row_text(r, 1), "kind", rdg_sql_row_text(r, 2), "name",
                     rdg_sql_row_text(r, 3), "size", (json_int_t)rdg_sql_row_int(r, 4), "sm3", hex, "meta",
                     meta ? meta : json_object(), "stored_ms", (json_int_t)rdg_sql_row_int(r, 7));
}

static rdg_err_t list_row(void *ctx, const rdg_sql_row_t *r) {
    json_t *row = row_json(r);
    return row && json_array_append_new(ctx, row) == 0 ? RDG_OK
                                                       : rdg_fail(RDG_E_NO_MEMORY, "no memory for the files");
}

/* Only the conditions that are asked for stand in the statement, so that an index of theirs is used. */
static rdg_err_t query(collect_t *c, const rdg_service_call_t *call, uint64_t after, uint64_t limit,
                       json_t **out) {
    const struct {
        const char *text, *value;
    } conditions[] = {{" AND tenant = ?", call->tenant},
                      {" AND device = ?", rdg_http_query(call->http, "device")},
                      {" AND kind = ?", rdg_http_query(call->http, "kind")},
                      {" AND name = ?", rdg_http_query(call->http, "name")}};
    char sql[400];
    rdg_sql_value_t params[sizeof conditions / sizeof conditions[0] + 2];
    size_t count = 0;
    int n = snprintf(sql, sizeof sql, "SELECT %s FROM files WHERE number > ?", COLUMNS);
    params[count++] = rdg_sql_int((int64_t)after);
    for (size_t i = 0; i < sizeof conditions / sizeof conditions[0]; ++i) {
        if (!conditions[i].value) continue;
        params[count++] = rdg_sql_text(conditions[i].value);
        n += snprintf(sql + n, sizeof sql - (size_t)n, "%s", conditions[i].text);
    }
    snprintf(sql + n, sizeof sql - (size_t)n, " ORDER BY number LIMIT ?");
    params[count++] = rdg_sql_int((int64_t)limit);
    *out = json_array();
    if (!*out) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the files");
    rdg_err_t err = rdg_sql_query(c->db, sql, params, count, list_row, *out);
    if (err != RDG_OK) json_decref(*out), *out = NULL;
    return err;
}

bool collect_await(collect_t *c, const rdg_service_call_t *call, uint64_t seen, uint64_t deadline_ms) {
    const bool fair = rdg_service_wait_begin(call);
    const uint64_t soon = rdg_mono_ms(rdg_clock_system()) + PLATFORM_IMPATIENT_MS;
    pthread_mutex_lock(&c->admission);
    if ((!fair || c->patient >= PLATFORM_PATIENT) && deadline_ms > soon) deadline_ms = soon;
    ++c->patient;
    while (!c->stopping && c->generation == seen && !rdg_service_ended(call)) {
        uint64_t ms = platform_look(deadline_ms);
        struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
        if (pthread_cond_timedwait(&c->arrived, &c->admission, &t) != 0 && ms == deadline_ms) break;
    }
    --c->patient;
    bool more = !c->stopping && c->generation != seen;
    pthread_mutex_unlock(&c->admission);
    rdg_service_wait_end(call, fair);
    return more;
}

uint64_t collect_generation(collect_t *c) {
    pthread_mutex_lock(&c->admission);
    uint64_t g = c->generation;
    pthread_mutex_unlock(&c->admission);
    return g;
}

static rdg_err_t list(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    collect_t *c = ctx;
    uint64_t after = 0, limit = LIST_DEFAULT, wait_ms = 0, start = rdg_mono_ms(rdg_clock_system());
    json_t *files = NULL;
    RDG_TRY(rdg_service_query_u64(call, "after", 0, INT64_MAX, &after));
    RDG_TRY(rdg_service_query_u64(call, "limit", 1, LIST_MAX, &limit));
    RDG_TRY(rdg_service_query_u64(call, "wait_ms", 0, PLATFORM_WAIT_MAX_MS, &wait_ms));
    for (;;) {
        uint64_t seen = collect_generation(c);
        RDG_TRY(query(c, call, after, limit, &files));
        if (json_array_size(files) > 0 || wait_ms == 0 || !collect_await(c, call, seen, start + wait_ms))
            break;
        json_decref(files);
    }
    uint64_t next = after;
    size_t n = json_array_size(files);
    if (n > 0) (void)rdg_json_get_u64(json_array_get(files, n - 1), "number", &next);
    return rdg_service_reply(answer, 200, json_pack("{s:o, s:I}", "files", files, "next", (json_int_t)next));
}

static rdg_err_t one_row(void *ctx, const rdg_sql_row_t *r) {
    *(json_t **)ctx = row_json(r);
    return RDG_OK;
}

static rdg_err_t absent(const char *number) {
    return rdg_fail(RDG_E_NOT_FOUND, "there is no file %.40s: see GET /files", number);
}

rdg_err_t collect_check(void *collect, const char *tenant, const char *number) {
    collect_t *c = collect;
    uint64_t n = 0;
    int64_t found = 0;
    if (rdg_parse_u64(number, &n) == RDG_OK && n <= INT64_MAX)
        RDG_TRY(rdg_sql_query(c->db, "SELECT COUNT(*) FROM files WHERE number = ? AND tenant = ?",
                              RDG_SQL_PARAMS(rdg_sql_int((int64_t)n), rdg_sql_text(tenant)), collect_int_row,
                              &found));
    return found ? RDG_OK : absent(number);
}

static rdg_err_t find(collect_t *c, const rdg_service_call_t *call, json_t **out) {
    uint64_t number = 0;
    const char *text = rdg_service_arg(call, "number");
    *out = NULL;
    if (rdg_parse_u64(text, &number) == RDG_OK && number <= INT64_MAX)
        RDG_TRY(rdg_sql_query(c->db, "SELECT " COLUMNS " FROM files WHERE number = ?",
                              RDG_SQL_PARAMS(rdg_sql_int((int64_t)number)), one_row, out));
    return *out ? RDG_OK : absent(text);
}

static rdg_err_t show(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    json_t *file;
    RDG_TRY(find(ctx, call, &file));
    return rdg_service_reply(answer, 200, file);
}

static rdg_err_t content(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    collect_t *c = ctx;
    json_t *file;
    rdg_hash_t digest;
    uint64_t offset = 0, most = INT64_MAX;
    collect_piece_t piece;
    RDG_TRY(find(c, call, &file));
    rdg_err_t err = rdg_json_get_hex(file, "sm3", digest.b, sizeof digest.b);
    json_decref(file);
    if (err == RDG_OK) err = rdg_service_query_u64(call, "offset", 0, INT64_MAX, &offset);
    if (err == RDG_OK) err = rdg_service_query_u64(call, "size", 0, INT64_MAX, &most);
    if (err == RDG_OK) err = c->store->open(c->store->ctx, &digest, offset, most, &piece);
    RDG_TRY(err);
    return rdg_service_reply_file(answer, "application/octet-stream", piece.fd, piece.at, piece.len);
}

static rdg_err_t remove_rows(collect_t *c, int64_t number, rdg_sql_value_t digest, int64_t *others) {
    RDG_TRY(
        rdg_sql_exec(c->db, "DELETE FROM files WHERE number = ?", RDG_SQL_PARAMS(rdg_sql_int(number)), NULL));
    RDG_TRY(rdg_sql_exec(c->db, "DELETE FROM file_readers WHERE file = ?",
                         RDG_SQL_PARAMS(rdg_sql_int(number)), NULL));
    RDG_TRY(rdg_sql_query(c->db, "SELECT COUNT(*) FROM files WHERE digest = ?", RDG_SQL_PARAMS(digest),
                          collect_int_row, others));
    if (*others > 0) return RDG_OK;
    return rdg_sql_exec(c->db, "DELETE FROM objects WHERE digest = ?", RDG_SQL_PARAMS(digest), NULL);
}

/* Devices delete blocks for an archive that is here: that of its file is said by its name. */
static rdg_err_t check_discard(const rdg_service_call_t *call, const json_t *file) {
    const char *device, *kind, *name, *typed = rdg_http_query(call->http, "discard");
    RDG_TRY(rdg_json_get_str(file, "device", &device));
    RDG_TRY(rdg_json_get_str(file, "kind", &kind));
    RDG_TRY(rdg_json_get_str(file, "name", &name));
    if (strcmp(kind, COLLECT_ARCHIVE) != 0 || (typed && strcmp(typed, name) == 0)) return RDG_OK;
    return rdg_fail(
        RDG_E_CONFLICT,
        "it is an archive of device '%s', and may be all that is left of blocks which the devices "
        "have deleted (ridge archive list); to give them up, say so by the file's name: --discard %s",
        device, name);
}

static rdg_err_t remove_file(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    collect_t *c = ctx;
    json_t *file;
    rdg_hash_t digest;
    uint64_t number = 0;
    int64_t others = 0;
    (void)answer;
    RDG_TRY(find(c, call, &file));
    rdg_err_t err = check_discard(call, file);
    if (err == RDG_OK) err = rdg_json_get_hex(file, "sm3", digest.b, sizeof digest.b);
    if (err == RDG_OK) err = rdg_json_get_u64(file, "number", &number);
    json_decref(file);
    RDG_TRY(err);
    rdg_sql_value_t d = rdg_sql_blob(rdg_bytes(digest.b, sizeof digest.b));
    pthread_mutex_lock(&c->admission);
    err = rdg_sql_begin(c->db);
    if (err == RDG_OK) {
        err = remove_rows(c, (int64_t)number, d, &others);
        if (err == RDG_OK) err = rdg_sql_commit(c->db);
        if (err != RDG_OK) rdg_sql_rollback(c->db);
    }
    if (err == RDG_OK && others == 0) err = c->store->remove(c->store->ctx, &digest);
    pthread_mutex_unlock(&c->admission);
    if (err == RDG_OK) rdg_log(RDG_LOG_INFO, "collect.file_removed", RDG_U64("number", number));
    return err;
}

const rdg_service_route_t collect_routes[] = {
    {"GET", "/api/v1/files", RDG_ROUTE_TENANT, list},
    {"GET", "/api/v1/files/{number}", RDG_ROUTE_OWNED, show},
    {"GET", "/api/v1/files/{number}/content", RDG_ROUTE_OWNED, content},
    {"DELETE", "/api/v1/files/{number}", RDG_ROUTE_OWNED, remove_file},
};
const size_t collect_route_count = sizeof collect_routes / sizeof collect_routes[0];
