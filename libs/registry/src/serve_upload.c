#include "internal.h"
#include "ridge/base/log.h"
#include <stdio.h>
#include <string.h>

static void say_where(visit_t *v, const char *id, uint64_t offset) {
    char text[TARGET_NAME_MAX + DIGEST_TEXT + 32];
    snprintf(text, sizeof text, "/v2/%s/blobs/uploads/%s", v->target.name, id);
    (void)rdg_http_set_header(v->res, "Location", text);
    snprintf(text, sizeof text, "0-%llu", (unsigned long long)(offset ? offset - 1 : 0));
    (void)rdg_http_set_header(v->res, "Range", text);
    (void)rdg_http_set_header(v->res, "Docker-Upload-UUID", id);
}

static void say_blob(visit_t *v, const char *digest) {
    char text[TARGET_NAME_MAX + DIGEST_TEXT + 32];
    snprintf(text, sizeof text, "/v2/%s/blobs/%s", v->target.name, digest);
    (void)rdg_http_set_header(v->res, "Location", text);
    (void)rdg_http_set_header(v->res, "Docker-Content-Digest", digest);
    answer_empty(v->res, 201);
}

static bool may_mount(void *ctx, const char *repo) {
    return auth_may_pull(ctx, repo);
}

/* False: not mounted, for whatever reason; the client uploads then. */
static bool mount(visit_t *v, const char *digest) {
    const char *from = rdg_http_query(v->req, "from");
    if (from && !target_name_valid(from)) return false;
    rdg_err_t err = store_mount(&v->registry->store, v->target.name, from, digest, may_mount, v);
    if (err == RDG_OK) {
        say_blob(v, digest);
    } else if (err == RDG_E_FULL) {
        answer_failure(v->res, err, "BLOB_UNKNOWN", "DIGEST_INVALID");
    } else if (err != RDG_E_NOT_FOUND) {
        rdg_log_err("registry.mount_failed", err);
        return false;
    }
    return err != RDG_E_NOT_FOUND;
}

static void finish(visit_t *v, intake_t *in, const char *digest) {
    bool gone = false;
    upload_t *up = in->upload;
    uint64_t size = up->offset;
    in->upload = NULL;
    rdg_err_t err = upload_finish(&v->registry->uploads, up, digest, &gone);
    if (!gone) in->upload = up;
    if (err != RDG_OK) {
        answer_failure(v->res, err, "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID");
        return;
    }
    rdg_metric_add(v->registry->m_pushed, size);
    rdg_log(RDG_LOG_DEBUG, "registry.blob", RDG_STR("repository", v->target.name), RDG_STR("digest", digest),
            RDG_U64("bytes", size), RDG_STR("caller", v->caller.name));
    say_blob(v, digest);
}

static void begin(visit_t *v) {
    const char *algorithm = rdg_http_query(v->req, "digest-algorithm");
    upload_t *up = NULL;
    if (algorithm && strcmp(algorithm, "sha256") != 0 && strcmp(algorithm, "sha512") != 0) {
        answer_error(v->res, 400, "DIGEST_INVALID", "digest-algorithm: sha256 and sha512 are known here");
        return;
    }
    rdg_err_t err =
        uploads_begin(&v->registry->uploads, v->target.name, algorithm ? algorithm : "sha256", false, &up);
    if (err == RDG_E_FULL) {
        answer_error(v->res, 429, "TOOMANYREQUESTS", rdg_err_message(err));
        return;
    }
    if (err != RDG_OK) {
        answer_failure(v->res, err, "BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID");
        return;
    }
    say_where(v, up->id, 0);
    uploads_give_back(&v->registry->uploads, up);
    answer_empty(v->res, 202);
}

void serve_upload_post(visit_t *v, intake_t *in, rdg_bytes_t last) {
    const char *digest = rdg_http_query(v->req, "mount");
    if (digest && !in->upload && target_digest_valid(digest) && mount(v, digest)) return;
    if (!in->upload) {
        begin(v);
        return;
    }
    if (intake_add(v, in, last)) finish(v, in, rdg_http_query(v->req, "digest"));
}

/* What a chunk announced and did not bring was cut off on its way, and the server would not have called us. */
static bool whole(visit_t *v, const intake_t *in) {
    if (!in->counted || in->upload->offset == in->end) return true;
    answer_error(v->res, 400, "SIZE_INVALID", "the chunk is shorter than its Content-Range");
    return false;
}

void serve_upload_patch(visit_t *v, intake_t *in, rdg_bytes_t last) {
    if (!intake_add(v, in, last) || !whole(v, in)) return;
    rdg_err_t err = upload_record(&v->registry->uploads, in->upload);
    if (err != RDG_OK) {
        answer_failure(v->res, err, "BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID");
        return;
    }
    say_where(v, in->upload->id, in->upload->offset);
    answer_empty(v->res, 202);
}

void serve_upload_put(visit_t *v, intake_t *in, rdg_bytes_t last) {
    const char *digest = rdg_http_query(v->req, "digest");
    if (!digest || !target_digest_valid(digest)) {
        answer_error(v->res, 400, "DIGEST_INVALID",
                     "digest: want sha256: and 64 lower-case hex digits, or sha512: and 128");
        return;
    }
    if (!intake_add(v, in, last) || !whole(v, in)) return;
    finish(v, in, digest);
}

void serve_upload_status(visit_t *v) {
    uint64_t offset;
    rdg_err_t err = uploads_status(&v->registry->uploads, v->target.name, v->target.reference, &offset);
    if (err != RDG_OK) {
        answer_failure(v->res, err, "BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID");
        return;
    }
    say_where(v, v->target.reference, offset);
    answer_empty(v->res, 204);
}

void serve_upload_cancel(visit_t *v) {
    upload_t *up;
    rdg_err_t err = uploads_take(&v->registry->uploads, v->target.name, v->target.reference, &up);
    if (err != RDG_OK) {
        answer_failure(v->res, err, "BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID");
        return;
    }
    uploads_remove(&v->registry->uploads, up);
    answer_empty(v->res, 204);
}
