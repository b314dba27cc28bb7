/* What the files of the HTTP side share. A request is parsed, its caller found and allowed (auth.c), and handed to
 * the file of its subject; what a request keeps between pieces of its body is an intake_t. */
#ifndef RIDGE_REGISTRY_INTERNAL_H
#define RIDGE_REGISTRY_INTERNAL_H
#include <pthread.h>
#include "catalog.h"
#include "upload.h"

#define TOKEN_KEY_BYTES 32

struct rdg_registry {
    store_t store;
    uploads_t uploads;
    rdg_registry_guard_t guard;
    bool guarded, read_only;
    char public_url[300];
    uint8_t token_key[TOKEN_KEY_BYTES];
    pthread_t collector;
    pthread_mutex_t collecting; /* one run at a time */
    pthread_mutex_t wake_lock;
    pthread_cond_t wake;
    bool running, stopping;
    uint64_t collect_ms;
    struct proxy *proxy; /* proxy.h; NULL: no copies of other registries */
    rdg_metric_t *m_pulled, *m_pushed, *m_refused, *m_used, *m_uploads, *m_collected;
};

/* One request: made when it is looked at first, by a piece of its body or by the handler. */
typedef struct visit {
    rdg_registry_t *registry;
    const rdg_http_request_t *req;
    rdg_http_response_t *res;
    target_t target;
    rdg_registry_caller_t caller;
    unsigned granted; /* rights, in the repository of the path */
    json_t *access;   /* what the token is for, owned; NULL: no token */
} visit_t;

/* What is kept while a body comes. */
typedef struct intake {
    rdg_registry_t *registry;
    upload_t *upload; /* of PATCH, PUT and POST */
    rdg_buf_t *body;  /* of a manifest */
    uint64_t end;     /* one past the chunk's last byte, when its range was told; else 0 */
    bool counted;     /* end is meant */
} intake_t;

/* answer.c */
void answer_json(rdg_http_response_t *res, unsigned status, const char *type, json_t *body); /* takes body */
void answer_error(rdg_http_response_t *res, unsigned status, const char *code, const char *message);
/* By the error: unknown is the code for NOT_FOUND, invalid for MALFORMED. Trouble of ours is logged, not told. */
void answer_failure(rdg_http_response_t *res, rdg_err_t err, const char *unknown, const char *invalid);
void answer_empty(rdg_http_response_t *res, unsigned status);

/* auth.c */
rdg_err_t auth_open(rdg_registry_t *r);
/* Fills caller and granted; false: the answer is there (401, 403). */
bool auth_admit(visit_t *v);
/* Whether the caller may pull from another repository. */
bool auth_may_pull(visit_t *v, const char *repo);
void auth_serve_token(visit_t *v);

/* serve_*.c: after auth_admit */
void serve_blob(visit_t *v);
/* The headers of a blob of this size, and what part of it was asked for; false: 416 is the answer. */
bool blob_head(visit_t *v, uint64_t size, uint64_t *first, uint64_t *length);
void serve_blob_delete(visit_t *v);
void serve_manifest(visit_t *v);
void serve_manifest_put(visit_t *v, rdg_bytes_t body);
void serve_manifest_delete(visit_t *v);
void serve_tags(visit_t *v);
void serve_referrers(visit_t *v);
void serve_upload_post(visit_t *v, intake_t *in, rdg_bytes_t last);
void serve_upload_patch(visit_t *v, intake_t *in, rdg_bytes_t last);
void serve_upload_put(visit_t *v, intake_t *in, rdg_bytes_t last);
void serve_upload_status(visit_t *v);
void serve_upload_cancel(visit_t *v);

/* intake.c: the body's way. The first look at a request opens what it writes to; false: the answer is there. */
bool intake_open(visit_t *v, intake_t **out);
bool intake_add(visit_t *v, intake_t *in, rdg_bytes_t bytes);
void intake_close(intake_t *in); /* what is open is given back */

bool visit_writes(const char *method); /* POST, PUT, PATCH, DELETE */
/* Checks path, method and caller; false: the answer is there. visit_end either way. */
bool visit_begin(visit_t *v, rdg_registry_t *r, const rdg_http_request_t *req, rdg_http_response_t *res);
void visit_end(visit_t *v);

#endif
