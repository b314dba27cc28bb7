#include "internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/config.h"
#include <string.h>
#include <stdio.h>

/* Of a body that comes in pieces: to an upload, or, for a manifest, to memory up to its limit. */

static void range_error(visit_t *v, uint64_t offset) {
    char text[TARGET_NAME_MAX + DIGEST_TEXT + 32];
    snprintf(text, sizeof text, "/v2/%s/blobs/uploads/%s", v->target.name, v->target.reference);
    (void)rdg_http_set_header(v->res, "Location", text);
    snprintf(text, sizeof text, "0-%llu", (unsigned long long)(offset ? offset - 1 : 0));
    (void)rdg_http_set_header(v->res, "Range", text);
    snprintf(text, sizeof text, "the upload has %llu bytes: the next chunk starts there",
             (unsigned long long)offset);
    answer_error(v->res, 416, "BLOB_UPLOAD_INVALID", text);
}

/* A chunk has to begin where the upload ends, and to be as long as it says. */
static bool check_chunk(visit_t *v, intake_t *in) {
    const char *header = rdg_http_header(v->req, "Content-Range");
    const char *length = rdg_http_header(v->req, "Content-Length");
    uint64_t from, to, bytes;
    if (!header) return true;
    if (!target_chunk(header, &from, &to)) {
        answer_error(v->res, 416, "BLOB_UPLOAD_INVALID", "Content-Range: want FIRST-LAST, in bytes");
        return false;
    }
    if (from != in->upload->offset) {
        range_error(v, in->upload->offset);
        return false;
    }
    if (length && rdg_parse_u64(length, &bytes) == RDG_OK && bytes != to - from + 1) {
        answer_error(v->res, 400, "SIZE_INVALID", "Content-Length and Content-Range differ");
        return false;
    }
    in->end = to + 1;
    in->counted = true;
    return true;
}

static bool open_new(visit_t *v, intake_t *in) {
    const char *digest = rdg_http_query(v->req, "digest");
    if (!digest) return true; /* the body, if there is one, has no meaning */
    if (!target_digest_valid(digest)) {
        answer_error(v->res, 400, "DIGEST_INVALID",
                     "want sha256: and 64 lower-case hex digits, or sha512: and 128");
        return false;
    }
    rdg_err_t err = uploads_begin(&v->registry->uploads, v->target.name, digest, true, &in->upload);
    if (err == RDG_OK) return true;
    if (err == RDG_E_FULL)
        answer_error(v->res, 429, "TOOMANYREQUESTS", rdg_err_message(err));
    else
        answer_failure(v->res, err, "BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID");
    return false;
}

static bool open_old(visit_t *v, intake_t *in) {
    rdg_err_t err = uploads_take(&v->registry->uploads, v->target.name, v->target.reference, &in->upload);
    if (err != RDG_OK) {
        answer_failure(v->res, err, "BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID");
        return false;
    }
    return check_chunk(v, in);
}

static bool open_manifest(visit_t *v, intake_t *in) {
    in->body = rdg_calloc(1, sizeof *in->body);
    if (in->body) {
        rdg_buf_init(in->body, RDG_REGISTRY_MANIFEST_MAX);
        return true;
    }
    answer_failure(v->res, rdg_fail(RDG_E_NO_MEMORY, "no memory for a manifest"), "", "");
    return false;
}

bool intake_open(visit_t *v, intake_t **out) {
    bool fine = true;
    intake_t *in = rdg_http_state(v->req);
    if (in) {
        *out = in;
        return true;
    }
    in = rdg_calloc(1, sizeof *in);
    if (!in) {
        answer_failure(v->res, rdg_fail(RDG_E_NO_MEMORY, "no memory for a push"), "", "");
        return false;
    }
    in->registry = v->registry;
    if (v->target.kind == TARGET_UPLOADS)
        fine = open_new(v, in);
    else if (v->target.kind == TARGET_UPLOAD)
        fine = open_old(v, in);
    else if (v->target.kind == TARGET_MANIFEST)
        fine = open_manifest(v, in);
    if (!fine) {
        intake_close(in);
        return false;
    }
    rdg_http_set_state(v->req, in);
    *out = in;
    return true;
}

bool intake_add(visit_t *v, intake_t *in, rdg_bytes_t bytes) {
    rdg_err_t err = RDG_OK;
    if (bytes.len == 0) return true;
    if (in->upload && in->counted && bytes.len > in->end - in->upload->offset) {
        answer_error(v->res, 400, "SIZE_INVALID", "the chunk is longer than its Content-Range");
        return false;
    }
    if (in->upload)
        err = upload_write(&v->registry->uploads, in->upload, bytes);
    else if (in->body)
        err = rdg_buf_append(in->body, bytes.data, bytes.len);
    if (err == RDG_OK) return true;
    if (in->body && err == RDG_E_TOO_LARGE)
        answer_error(v->res, 413, "MANIFEST_INVALID", "a manifest has at most 4 MiB");
    else
        answer_failure(v->res, err, "BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID");
    return false;
}

void intake_close(intake_t *in) {
    if (!in) return;
    if (in->upload) uploads_give_back(&in->registry->uploads, in->upload);
    if (in->body) rdg_buf_fini(in->body);
    rdg_free(in->body);
    rdg_free(in);
}
