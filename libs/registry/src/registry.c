#include "proxy.h"
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

/* --- one request ------------------------------------------------------------------------------------------------- */

bool visit_writes(const char *method) {
    return strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0 ||
           strcmp(method, "DELETE") == 0;
}

static bool method_fits(target_kind_t kind, const char *method) {
    static const struct {
        target_kind_t kind;
        const char *methods;
    } table[] = {{TARGET_ROOT, " GET HEAD "},        {TARGET_TOKEN, " GET POST "},
                 {TARGET_BLOB, " GET HEAD DELETE "}, {TARGET_MANIFEST, " GET HEAD PUT DELETE "},
                 {TARGET_TAGS, " GET HEAD "},        {TARGET_REFERRERS, " GET HEAD "},
                 {TARGET_UPLOADS, " POST "},         {TARGET_UPLOAD, " GET HEAD PATCH PUT DELETE "}};
    char word[12];
    if (snprintf(word, sizeof word, " %s ", method) >= (int)sizeof word) return false;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; ++i)
        if (table[i].kind == kind) return strstr(table[i].methods, word) != NULL;
    return false;
}

static void refuse_reference(const visit_t *v) {
    if (v->target.kind == TARGET_UPLOAD)
        answer_error(v->res, 404, "BLOB_UPLOAD_UNKNOWN", "an upload's id has 32 lower-case hex digits");
    else if (v->target.is_digest || v->target.kind != TARGET_MANIFEST)
        answer_error(v->res, 400, "DIGEST_INVALID",
                     "want sha256: and 64 lower-case hex digits, or sha512: and 128");
    else
        answer_error(v->res, 400, "MANIFEST_INVALID", "the tag does not obey the specification's grammar");
}

static bool named(target_kind_t kind) {
    return kind != TARGET_ROOT && kind != TARGET_TOKEN;
}

bool visit_begin(visit_t *v, rdg_registry_t *r, const rdg_http_request_t *req, rdg_http_response_t *res) {
    const char *method = rdg_http_method(req);
    memset(v, 0, sizeof *v);
    v->registry = r;
    v->req = req;
    v->res = res;
    target_parse(rdg_http_path(req), &v->target);
    (void)rdg_http_set_header(res, "Docker-Distribution-Api-Version", "registry/2.0");
    if (v->target.kind == TARGET_NONE) {
        answer_error(res, 404, "UNSUPPORTED", "the specification has no such path");
    } else if (!method_fits(v->target.kind, method)) {
        answer_error(res, 405, "UNSUPPORTED", "this method is not possible on this path");
    } else if (named(v->target.kind) && !v->target.name_ok) {
        answer_error(res, 400, "NAME_INVALID",
                     "the repository name does not obey the specification's grammar");
    } else if (v->target.kind == TARGET_TOKEN) {
        return true;
    } else if (auth_admit(v)) {
        bool reference =
            named(v->target.kind) && v->target.kind != TARGET_TAGS && v->target.kind != TARGET_UPLOADS;
        if (reference && !v->target.reference_ok)
            refuse_reference(v);
        else if (r->read_only && visit_writes(method))
            answer_error(res, 405, "UNSUPPORTED", "the registry is read-only at the moment");
        else
            return true;
    }
    return false;
}

void visit_end(visit_t *v) {
    json_decref(v->access);
}

static void serve_reading(visit_t *v) {
    switch (v->target.kind) {
    case TARGET_ROOT: answer_json(v->res, 200, "application/json", json_object()); break;
    case TARGET_TOKEN: auth_serve_token(v); break;
    case TARGET_BLOB: serve_blob(v); break;
    case TARGET_MANIFEST: serve_manifest(v); break;
    case TARGET_TAGS: serve_tags(v); break;
    case TARGET_REFERRERS: serve_referrers(v); break;
    case TARGET_UPLOAD: serve_upload_status(v); break;
    case TARGET_UPLOADS:
    case TARGET_NONE: break;
    }
}

static void serve_body(visit_t *v, const char *method) {
    intake_t *in = NULL;
    rdg_bytes_t last = rdg_http_body(v->req);
    if (!intake_open(v, &in)) return;
    if (v->target.kind == TARGET_UPLOADS)
        serve_upload_post(v, in, last);
    else if (v->target.kind == TARGET_MANIFEST && intake_add(v, in, last))
        serve_manifest_put(v, rdg_buf_view(in->body));
    else if (v->target.kind == TARGET_UPLOAD && strcmp(method, "PATCH") == 0)
        serve_upload_patch(v, in, last);
    else if (v->target.kind == TARGET_UPLOAD)
        serve_upload_put(v, in, last);
    /* Before the answer goes out: the next request of this client may be quicker than the end of this one. */
    rdg_http_set_state(v->req, NULL);
    intake_close(in);
}

void rdg_registry_handle(void *registry, const rdg_http_request_t *req, rdg_http_response_t *res) {
    visit_t v;
    const char *method = rdg_http_method(req);
    /* The head was looked at, and the caller known, when the first piece of the body came. */
    if (visit_begin(&v, registry, req, res)) {
        if (!visit_writes(method) || v.target.kind == TARGET_TOKEN)
            serve_reading(&v);
        else if (strcmp(method, "DELETE") != 0)
            serve_body(&v, method);
        else if (v.target.kind == TARGET_BLOB)
            serve_blob_delete(&v);
        else if (v.target.kind == TARGET_MANIFEST)
            serve_manifest_delete(&v);
        else
            serve_upload_cancel(&v);
    }
    visit_end(&v);
}

/* --- bodies in pieces -------------------------------------------------------------------------------------------- */

static bool wants(void *registry, const rdg_http_request_t *req) {
    const char *method = rdg_http_method(req);
    (void)registry;
    return strcmp(method, "PATCH") == 0 || strcmp(method, "PUT") == 0 || strcmp(method, "POST") == 0;
}

static bool take(void *registry, const rdg_http_request_t *req, rdg_http_response_t *res, rdg_bytes_t piece) {
    visit_t v;
    intake_t *in = rdg_http_state(req);
    bool fine = visit_begin(&v, registry, req, res);
    if (fine && v.target.kind == TARGET_TOKEN) {
        answer_error(res, 413, "UNSUPPORTED", "a token is asked for in a few bytes");
        fine = false;
    }
    if (fine) fine = intake_open(&v, &in) && intake_add(&v, in, piece);
    visit_end(&v);
    if (fine) return true;
    if (in) {
        rdg_http_set_state(req, NULL);
        intake_close(in);
    }
    return false;
}

static void ended(void *registry, void *state) {
    (void)registry;
    intake_close(state);
}

const rdg_http_intake_t rdg_registry_intake = {wants, take, ended};

/* --- collecting --------------------------------------------------------------------------------------------------- */

rdg_err_t rdg_registry_collect(rdg_registry_t *r, rdg_registry_collected_t *out) {
    rdg_registry_collected_t ignored;
    if (!out) out = &ignored;
    pthread_mutex_lock(&r->collecting);
    (void)uploads_expire(&r->uploads);
    rdg_err_t err = store_collect(&r->store, out);
    pthread_mutex_unlock(&r->collecting);
    rdg_metric_add(r->m_collected, out->bytes);
    return err;
}

static bool rest(rdg_registry_t *r, uint64_t ms) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ms / 1000);
    pthread_mutex_lock(&r->wake_lock);
    while (!r->stopping && pthread_cond_timedwait(&r->wake, &r->wake_lock, &until) == 0) continue;
    bool on = !r->stopping;
    pthread_mutex_unlock(&r->wake_lock);
    return on;
}

static void *collect(void *arg) {
    rdg_registry_t *r = arg;
    while (rest(r, r->collect_ms)) {
        rdg_err_t err = rdg_registry_collect(r, NULL);
        if (err != RDG_OK) rdg_log_err("registry.collect_failed", err);
    }
    return NULL;
}

/* --- life ----------------------------------------------------------------------------------------------------------- */

static void register_metrics(rdg_registry_t *r, rdg_metrics_t *m) {
    if (!m) return;
    r->m_pulled = rdg_metrics_counter(m, "ridge_registry_pulled_bytes_total", "bytes of blobs sent", NULL);
    r->m_pushed = rdg_metrics_counter(m, "ridge_registry_pushed_bytes_total", "bytes of blobs taken", NULL);
    r->m_refused = rdg_metrics_counter(m, "ridge_registry_refused_total", "requests not authorised", NULL);
    r->m_collected =
        rdg_metrics_counter(m, "ridge_registry_collected_bytes_total", "bytes of files removed", NULL);
}

static rdg_err_t open_parts(rdg_registry_t *r, const rdg_registry_options_t *o) {
    RDG_TRY(uploads_open(&r->uploads, &r->store, o->uploads_max ? o->uploads_max : RDG_REGISTRY_UPLOADS,
                         o->upload_life_ms ? o->upload_life_ms : RDG_REGISTRY_UPLOAD_LIFE_MS));
    rdg_err_t err = auth_open(r);
    if (err == RDG_OK) err = proxy_open(r, o);
    r->collect_ms = o->collect_ms ? o->collect_ms : RDG_REGISTRY_COLLECT_MS;
    if (err == RDG_OK && o->collect_ms != UINT64_MAX && !o->read_only) {
        r->running = pthread_create(&r->collector, NULL, collect, r) == 0;
        if (!r->running) err = rdg_fail(RDG_E_NO_MEMORY, "cannot start the registry's collector");
    }
    if (err != RDG_OK) {
        proxy_close(r->proxy);
        uploads_close(&r->uploads);
    }
    return err;
}

rdg_err_t rdg_registry_open(const rdg_registry_options_t *options, rdg_registry_t **out) {
    rdg_registry_t *r = rdg_calloc(1, sizeof *r);
    if (!r) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a registry");
    pthread_condattr_t monotonic;
    pthread_mutex_init(&r->collecting, NULL);
    pthread_mutex_init(&r->wake_lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&r->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    r->read_only = options->read_only;
    r->guarded = options->guard != NULL;
    if (options->guard) r->guard = *options->guard;
    if (options->public_url) snprintf(r->public_url, sizeof r->public_url, "%s", options->public_url);
    register_metrics(r, options->metrics);
    rdg_err_t err = store_open(&r->store, options);
    if (err == RDG_OK) {
        err = open_parts(r, options);
        if (err != RDG_OK) store_close(&r->store);
    }
    if (err != RDG_OK) {
        pthread_cond_destroy(&r->wake);
        pthread_mutex_destroy(&r->wake_lock);
        pthread_mutex_destroy(&r->collecting);
        rdg_free(r);
        return err;
    }
    *out = r;
    return RDG_OK;
}

void rdg_registry_close(rdg_registry_t *r) {
    if (!r) return;
    pthread_mutex_lock(&r->wake_lock);
    r->stopping = true;
    pthread_cond_broadcast(&r->wake);
    pthread_mutex_unlock(&r->wake_lock);
    if (r->running) pthread_join(r->collector, NULL);
    proxy_close(r->proxy);
    uploads_close(&r->uploads);
    store_close(&r->store);
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->wake_lock);
    pthread_mutex_destroy(&r->collecting);
    rdg_secure_zero(r->token_key, sizeof r->token_key);
    rdg_free(r);
}
