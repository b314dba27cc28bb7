/* Stored files for devices: who may read one is a row, which the cloud's own services put there and take away.
 *
 * A device asks in pieces, each by itself, so that what breaks costs one piece; docs/device-protocol.md. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "collect.h"
#include "ridge/base/config.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"

#define FILES "/v1/files/"

const char collect_readers_migration[] =
    "CREATE TABLE file_readers (file BIGINT NOT NULL, device TEXT NOT NULL, PRIMARY KEY (file, device));";

typedef struct found {
    rdg_hash_t digest;
    bool there;
} found_t;

static rdg_err_t digest_row(void *ctx, const rdg_sql_row_t *r) {
    found_t *f = ctx;
    rdg_bytes_t b = rdg_sql_row_blob(r, 0);
    f->there = b.len == sizeof f->digest.b;
    if (f->there) memcpy(f->digest.b, b.data, b.len);
    return RDG_OK;
}

/* --- for devices ------------------------------------------------------------------------------------------- */

bool collect_gives(const char *path) {
    return strncmp(path, FILES, sizeof FILES - 1) == 0;
}

static rdg_err_t piece_of(const rdg_http_request_t *req, uint64_t *offset, uint64_t *len) {
    const char *at = rdg_http_query(req, "offset"), *many = rdg_http_query(req, "length");
    *offset = 0;
    *len = COLLECT_PIECE_MAX;
    if (at && rdg_parse_u64(at, offset) != RDG_OK) return rdg_fail(RDG_E_INVALID, "offset: want a number");
    if (many && (rdg_parse_u64(many, len) != RDG_OK || *len == 0 || *len > COLLECT_PIECE_MAX))
        return rdg_fail(RDG_E_INVALID, "length: want 1 to %u", COLLECT_PIECE_MAX);
    return RDG_OK;
}

static rdg_err_t give(collect_t *c, const char *device, const rdg_http_request_t *req,
                      rdg_http_response_t *res) {
    uint64_t number = 0, offset, len;
    const char *text = rdg_http_path(req) + sizeof FILES - 1;
    found_t f = {.there = false};
    collect_piece_t piece;
    if (rdg_parse_u64(text, &number) == RDG_OK && number <= INT64_MAX)
        RDG_TRY(rdg_sql_query(
            c->db,
            "SELECT f.digest FROM files f, file_readers r WHERE f.number = ? AND r.file = f.number"
            " AND r.device = ?",
            RDG_SQL_PARAMS(rdg_sql_int((int64_t)number), rdg_sql_text(device)), digest_row, &f));
    /* Whether it exists is nobody's business who may not read it. */
    if (!f.there) return rdg_fail(RDG_E_NOT_FOUND, "there is no file %.40s for this device", text);
    RDG_TRY(piece_of(req, &offset, &len));
    RDG_TRY(c->store->open(c->store->ctx, &f.digest, offset, len, &piece));
    if (piece.len == 0) {
        close(piece.fd);
        return rdg_fail(RDG_E_INVALID, "offset %" PRIu64 " is not within the file's %" PRIu64 " bytes",
                        offset, piece.size);
    }
    rdg_http_status(res, 200);
    return rdg_http_send_file(res, "application/octet-stream", piece.fd, piece.at, piece.len);
}

void collect_give(collect_t *c, const char *device, const rdg_http_request_t *req, rdg_http_response_t *res) {
    rdg_err_t err = give(c, device, req, res);
    if (err != RDG_OK) collect_refuse(res, err, NULL, 0);
}

/* --- for services ------------------------------------------------------------------------------------------ */

static rdg_err_t names(const rdg_service_call_t *call, uint64_t *number, const char **device) {
    const char *text = rdg_service_arg(call, "number");
    *device = rdg_service_arg(call, "device");
    if (rdg_parse_u64(text, number) != RDG_OK || *number > INT64_MAX)
        return rdg_fail(RDG_E_NOT_FOUND, "there is no file %.40s: see GET /files", text);
    return rdg_name_valid(*device) ? RDG_OK
                                   : rdg_fail(RDG_E_INVALID, "'%.64s' is no name of a device", *device);
}

static rdg_err_t put_reader(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    collect_t *c = ctx;
    uint64_t number;
    const char *device;
    int64_t there = 0, may = 0;
    (void)answer;
    RDG_TRY(names(call, &number, &device));
    pthread_mutex_lock(&c->admission); /* a file is not removed meanwhile */
    rdg_err_t err = rdg_sql_query(c->db, "SELECT COUNT(*) FROM files WHERE number = ?",
                                  RDG_SQL_PARAMS(rdg_sql_int((int64_t)number)), collect_int_row, &there);
    if (err == RDG_OK && there == 0)
        err = rdg_fail(RDG_E_NOT_FOUND, "there is no file %" PRIu64 ": see GET /files", number);
    if (err == RDG_OK)
        err = rdg_sql_query(c->db, "SELECT COUNT(*) FROM file_readers WHERE file = ? AND device = ?",
                            RDG_SQL_PARAMS(rdg_sql_int((int64_t)number), rdg_sql_text(device)),
                            collect_int_row, &may);
    if (err == RDG_OK && may == 0)
        err = rdg_sql_exec(c->db, "INSERT INTO file_readers (file, device) VALUES (?, ?)",
                           RDG_SQL_PARAMS(rdg_sql_int((int64_t)number), rdg_sql_text(device)), NULL);
    pthread_mutex_unlock(&c->admission);
    return err;
}

static rdg_err_t remove_reader(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    collect_t *c = ctx;
    uint64_t number;
    const char *device;
    (void)answer;
    RDG_TRY(names(call, &number, &device));
    return rdg_sql_exec(c->db, "DELETE FROM file_readers WHERE file = ? AND device = ?",
                        RDG_SQL_PARAMS(rdg_sql_int((int64_t)number), rdg_sql_text(device)), NULL);
}

const rdg_service_route_t collect_reader_routes[] = {
    {"PUT", "/api/v1/files/{number}/readers/{device}", RDG_ROUTE_CLOUD | RDG_ROUTE_ADMIN, put_reader},
    {"DELETE", "/api/v1/files/{number}/readers/{device}", RDG_ROUTE_CLOUD | RDG_ROUTE_ADMIN, remove_reader},
};
const size_t collect_reader_route_count = sizeof collect_reader_routes / sizeof collect_reader_routes[0];
