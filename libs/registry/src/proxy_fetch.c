/* Blobs of other registries: fetched by a thread of their own into a file, from which whoever asked reads behind it. */
#include "proxy.h"
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define THREAD_STACK (512u << 10)
#define TRY_AGAIN_MS 200u
#define WITHOUT_RANGES_MS 1800000u
#define UNTOLD_MS 60000u

/* A client that is being answered. */
typedef struct reader {
    rdg_list_t node; /* in fetch->readers */
    fetch_t *fetch;
    rdg_http_waiter_t *waiter; /* NULL: it does not rest */
    int fd;
    uint64_t first;
} reader_t;

static void unref_locked(fetch_t *f) {
    if (--f->refs == 0) rdg_free(f);
}

static void wake_all_locked(fetch_t *f) {
    RDG_LIST_EACH(it, &f->readers) {
        reader_t *r = RDG_LIST_ENTRY(it, reader_t, node);
        if (r->waiter) rdg_http_wake(r->waiter);
        r->waiter = NULL;
    }
    pthread_cond_broadcast(&f->proxy->news);
}

static struct timespec after(uint64_t ms) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += (time_t)(ms / 1000);
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) ++t.tv_sec, t.tv_nsec -= 1000000000;
    return t;
}

/* --- the thread ---------------------------------------------------------------------------------------------------- */

typedef struct run {
    fetch_t *fetch;
    upload_t *up;
    rdg_http_answer_t got;
    uint64_t skip; /* of the answer: it begins before where we stand */
    bool begun;
} run_t;

static rdg_err_t begin(run_t *r) {
    fetch_t *f = r->fetch;
    uint64_t length = r->got.length, from = r->up->offset;
    if (r->got.status == 206) {
        uint64_t first, last;
        if (!target_chunk(r->got.content_range, &first, &last) || first != from)
            return rdg_fail(RDG_E_PROTOCOL, "registry %s sent another range than it was asked for",
                            f->upstream->url);
        length = length == UINT64_MAX ? length : length + from;
    } else {
        r->skip = from;
    }
    pthread_mutex_lock(&f->proxy->lock);
    bool first = f->state == FETCH_BEGINS, fits = first || f->length == length || length == UINT64_MAX;
    pthread_mutex_unlock(&f->proxy->lock);
    if (!fits)
        return rdg_fail(RDG_E_CORRUPT, "registry %s has another length for blob %s than before",
                        f->upstream->url, f->digest);
    if (!first) return RDG_OK;
    if (length != UINT64_MAX) RDG_TRY(proxy_make_room(f->proxy, length));
    pthread_mutex_lock(&f->proxy->lock);
    f->length = length;
    f->state = FETCH_FLOWS;
    if (length != UINT64_MAX) f->proxy->inflight += length;
    wake_all_locked(f);
    pthread_mutex_unlock(&f->proxy->lock);
    return RDG_OK;
}

static rdg_err_t take(void *ctx, rdg_bytes_t chunk) {
    run_t *r = ctx;
    fetch_t *f = r->fetch;
    if (!r->begun) RDG_TRY(begin(r));
    r->begun = true;
    size_t skipped = chunk.len < r->skip ? chunk.len : (size_t)r->skip;
    r->skip -= skipped;
    chunk = rdg_bytes(chunk.data + skipped, chunk.len - skipped);
    if (chunk.len > f->proxy->max - (r->up->offset < f->proxy->max ? r->up->offset : f->proxy->max))
        return rdg_fail(RDG_E_FULL, "blob %s is larger than copies of other registries may be", f->digest);
    RDG_TRY(upload_write(&f->proxy->registry->uploads, r->up, chunk));
    rdg_metric_add(f->proxy->m_fetched, chunk.len);
    pthread_mutex_lock(&f->proxy->lock);
    f->there = r->up->offset;
    bool stopping = f->proxy->stopping;
    wake_all_locked(f);
    pthread_mutex_unlock(&f->proxy->lock);
    return stopping ? rdg_fail(RDG_E_CANCELLED, "the registry is stopping") : RDG_OK;
}

static rdg_err_t attempt(run_t *r, rdg_http_client_t *http, uint64_t timeout_ms) {
    fetch_t *f = r->fetch;
    char path[DIGEST_TEXT + 16];
    snprintf(path, sizeof path, "blobs/%s", f->digest);
    const upstream_ask_t a = {.method = "GET",
                              .name = proxy_name(f->upstream, f->repo),
                              .path = path,
                              .from = r->up->offset,
                              .timeout_ms = timeout_ms,
                              .sink = take,
                              .sink_ctx = r};
    r->begun = false;
    r->skip = 0;
    RDG_TRY(upstream_call(f->upstream, http, &a, &r->got));
    rdg_err_t err = r->begun ? RDG_OK : begin(r); /* an empty blob */
    rdg_http_answer_fini(&r->got);
    if (err == RDG_OK && f->length != UINT64_MAX && r->up->offset < f->length)
        err = rdg_fail(RDG_E_CLOSED, "registry %s sent less of blob %s than it said", f->upstream->url,
                       f->digest);
    return err;
}

/* False: the registry is closing. */
static bool pause_before(fetch_t *f, unsigned tries) {
    struct timespec until = after((uint64_t)TRY_AGAIN_MS << (2 * tries));
    pthread_mutex_lock(&f->proxy->lock);
    while (!f->proxy->stopping && pthread_cond_timedwait(&f->proxy->news, &f->proxy->lock, &until) == 0)
        continue;
    bool on = !f->proxy->stopping;
    pthread_mutex_unlock(&f->proxy->lock);
    return on;
}

static rdg_err_t bring(run_t *r) {
    rdg_http_client_t *http = NULL;
    uint64_t timeout_ms = PROXY_ATTEMPT_MS;
    unsigned tries = 0;
    RDG_TRY(proxy_client(r->fetch->proxy, &http));
    for (;;) {
        uint64_t before = r->up->offset;
        rdg_err_t err = attempt(r, http, timeout_ms);
        bool broke = err == RDG_E_CLOSED || err == RDG_E_TIMEOUT || err == RDG_E_UNAVAILABLE;
        tries = r->up->offset > before ? 0 : tries + 1;
        if (r->begun && r->got.status == 200 && before > 0) timeout_ms = WITHOUT_RANGES_MS;
        /* A request that nothing has come of yet is answered; whoever asked will ask again. */
        if (!broke || r->up->offset == 0 || tries == PROXY_TRIES || !pause_before(r->fetch, tries)) {
            rdg_http_client_free(http);
            return err;
        }
    }
}

static rdg_err_t fetch_whole(fetch_t *f) {
    uploads_t *uploads = &f->proxy->registry->uploads;
    run_t r = {.fetch = f};
    bool gone = false;
    RDG_TRY(proxy_mark(f->proxy, f->repo));
    RDG_TRY(uploads_begin(uploads, f->repo, f->digest, true, &r.up));
    pthread_mutex_lock(&f->proxy->lock);
    upload_path(uploads, r.up->id, f->path);
    pthread_mutex_unlock(&f->proxy->lock);
    rdg_err_t err = bring(&r);
    if (err == RDG_OK) {
        err = upload_finish(uploads, r.up, f->digest, &gone);
        if (err == RDG_E_MALFORMED)
            err = rdg_fail(RDG_E_CORRUPT, "registry %s sent other bytes for blob %s", f->upstream->url,
                           f->digest);
    }
    if (!gone) uploads_give_back(uploads, r.up);
    return err;
}

static void *run(void *arg) {
    fetch_t *f = arg;
    proxy_t *p = f->proxy;
    rdg_err_t err = fetch_whole(f);
    if (err == RDG_OK)
        rdg_log(RDG_LOG_INFO, "registry.proxy_fetched", RDG_STR("repository", f->repo),
                RDG_STR("digest", f->digest), RDG_U64("bytes", f->there));
    else
        rdg_log_err("registry.proxy_fetch_failed", err);
    if (err == RDG_E_NOT_FOUND) proxy_note_absent(p, f->repo, f->digest);
    pthread_mutex_lock(&p->lock);
    if (f->state != FETCH_BEGINS && f->length != UINT64_MAX) p->inflight -= f->length;
    f->state = err == RDG_OK ? FETCH_STORED : FETCH_FAILED;
    f->length = f->there;
    f->err = err;
    if (err != RDG_OK) snprintf(f->why, sizeof f->why, "%s", rdg_err_message(err));
    rdg_list_remove(&f->node);
    --p->running;
    wake_all_locked(f);
    unref_locked(f);
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* --- whoever asks ---------------------------------------------------------------------------------------------------- */

static bool start_thread(fetch_t *f) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, THREAD_STACK);
    bool started = pthread_create(&thread, &attributes, run, f) == 0;
    pthread_attr_destroy(&attributes);
    return started;
}

static fetch_t *find_locked(const proxy_t *p, const char *repo, const char *digest) {
    RDG_LIST_EACH(it, &p->fetches) {
        fetch_t *f = RDG_LIST_ENTRY(it, fetch_t, node);
        if (strcmp(f->digest, digest) == 0 && strcmp(f->repo, repo) == 0) return f;
    }
    return NULL;
}

static rdg_err_t begin_locked(proxy_t *p, upstream_t *u, const char *repo, const char *digest,
                              fetch_t **out) {
    if (p->running == PROXY_FETCHES || p->stopping)
        return rdg_fail(RDG_E_BUSY, "%d blobs are being fetched from other registries: try again",
                        PROXY_FETCHES);
    fetch_t *f = rdg_calloc(1, sizeof *f);
    if (!f) return rdg_fail(RDG_E_NO_MEMORY, "no memory to fetch a blob");
    f->proxy = p;
    f->upstream = u;
    f->refs = 1; /* the thread's */
    f->length = UINT64_MAX;
    snprintf(f->repo, sizeof f->repo, "%s", repo);
    snprintf(f->digest, sizeof f->digest, "%s", digest);
    rdg_list_init(&f->readers);
    if (!start_thread(f)) {
        rdg_free(f);
        return rdg_fail(RDG_E_NO_MEMORY, "no thread to fetch a blob");
    }
    rdg_list_append(&p->fetches, &f->node);
    ++p->running;
    *out = f;
    return RDG_OK;
}

/* The caller has a reference of *out. */
static rdg_err_t join(proxy_t *p, upstream_t *u, const char *repo, const char *digest, fetch_t **out) {
    struct timespec begin_by = after(PROXY_BEGIN_MS), end_by = after(UNTOLD_MS);
    pthread_mutex_lock(&p->lock);
    rdg_err_t err = RDG_OK;
    fetch_t *f = find_locked(p, repo, digest);
    if (!f) err = begin_locked(p, u, repo, digest, &f);
    if (err == RDG_OK) {
        int e = 0;
        ++f->refs;
        while (e == 0 && f->state == FETCH_BEGINS) e = pthread_cond_timedwait(&p->news, &p->lock, &begin_by);
        /* Without a length there is no way to say that it broke off. */
        while (e == 0 && f->state == FETCH_FLOWS && f->length == UINT64_MAX)
            e = pthread_cond_timedwait(&p->news, &p->lock, &end_by);
        if (e != 0)
            err = rdg_fail(RDG_E_TIMEOUT, "registry %s takes its time with blob %s", u->url, digest);
        else if (f->state == FETCH_FAILED)
            err = rdg_fail(f->err, "%s", f->why);
        if (err != RDG_OK) unref_locked(f);
    }
    pthread_mutex_unlock(&p->lock);
    *out = f;
    return err;
}

static ptrdiff_t read_behind(void *ctx, uint64_t at, uint8_t *out, size_t size, rdg_http_waiter_t *waiter) {
    reader_t *r = ctx;
    fetch_t *f = r->fetch;
    at += r->first;
    pthread_mutex_lock(&f->proxy->lock);
    uint64_t there = f->state == FETCH_STORED                    ? f->length
                     : f->length > 0 && f->there > f->length - 1 ? f->length - 1
                                                                 : f->there;
    bool failed = f->state == FETCH_FAILED;
    r->waiter = NULL;
    if (!failed && there <= at) {
        r->waiter = waiter;
        rdg_http_rest(waiter);
    }
    pthread_mutex_unlock(&f->proxy->lock);
    if (failed) return -1;
    if (there <= at) return 0;
    if (size > there - at) size = (size_t)(there - at);
    ssize_t n = pread(r->fd, out, size, (off_t)at);
    return n > 0 ? n : -1;
}

static void end_reader(void *ctx) {
    reader_t *r = ctx;
    fetch_t *f = r->fetch;
    pthread_mutex_t *lock = &f->proxy->lock;
    pthread_mutex_lock(lock);
    rdg_list_remove(&r->node);
    unref_locked(f);
    pthread_mutex_unlock(lock);
    close(r->fd);
    rdg_free(r);
}

/* Takes the caller's reference. NOT_FOUND: it was stored in the meantime. */
static rdg_err_t new_reader(fetch_t *f, reader_t **out) {
    proxy_t *p = f->proxy;
    reader_t *r = rdg_calloc(1, sizeof *r);
    rdg_err_t err = r ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for an answer");
    pthread_mutex_lock(&p->lock);
    int fd =
        err == RDG_OK && f->state != FETCH_STORED ? open(f->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    if (fd >= 0) {
        *r = (reader_t){.fetch = f, .fd = fd};
        rdg_list_append(&f->readers, &r->node);
        *out = r;
    } else {
        if (err == RDG_OK) err = RDG_E_NOT_FOUND;
        unref_locked(f);
        rdg_free(r);
    }
    pthread_mutex_unlock(&p->lock);
    return err;
}

static bool stream(visit_t *v, fetch_t *f) {
    uint64_t length = f->length;
    reader_t *r = NULL;
    rdg_err_t err = new_reader(f, &r);
    if (err == RDG_E_NOT_FOUND) return true;
    if (err != RDG_OK) {
        proxy_answer(v->res, err, "BLOB_UNKNOWN");
        return false;
    }
    if (!blob_head(v, length, &r->first, &length)) {
        end_reader(r);
        return false;
    }
    rdg_metric_add(v->registry->m_pulled, length);
    const rdg_http_source_t source = {read_behind, end_reader, r};
    (void)rdg_http_send_source(v->res, "application/octet-stream", &source, length);
    return false;
}

static ptrdiff_t read_nothing(void *ctx, uint64_t at, uint8_t *out, size_t size, rdg_http_waiter_t *waiter) {
    (void)ctx, (void)at, (void)out, (void)size, (void)waiter;
    return -1;
}

static void free_nothing(void *ctx) {
    (void)ctx;
}

static rdg_err_t ask_for_size(proxy_t *p, upstream_t *u, const char *repo, const char *digest,
                              uint64_t *size) {
    rdg_http_client_t *http = NULL;
    rdg_http_answer_t got;
    char path[DIGEST_TEXT + 16];
    snprintf(path, sizeof path, "blobs/%s", digest);
    const upstream_ask_t a = {.method = "HEAD", .name = proxy_name(u, repo), .path = path};
    RDG_TRY(proxy_client(p, &http));
    rdg_err_t err = upstream_call(u, http, &a, &got);
    if (err == RDG_OK) {
        *size = got.length;
        rdg_http_answer_fini(&got);
        if (*size == UINT64_MAX)
            err = rdg_fail(RDG_E_PROTOCOL, "registry %s does not say how long %s is", u->url, digest);
    } else if (err == RDG_E_NOT_FOUND) {
        proxy_note_absent(p, repo, digest);
    }
    rdg_http_client_free(http);
    return err;
}

static void serve_head(visit_t *v, upstream_t *u) {
    uint64_t size = 0, first = 0, length = 0;
    rdg_err_t err = ask_for_size(v->registry->proxy, u, v->target.name, v->target.reference, &size);
    /* Who may push asks in order to know what to upload here: what nobody can say is not here. */
    if (err != RDG_OK && v->granted & RDG_REGISTRY_PUSH) {
        answer_error(v->res, 404, "BLOB_UNKNOWN", rdg_err_message(err));
        return;
    }
    if (err != RDG_OK) {
        proxy_answer(v->res, err, "BLOB_UNKNOWN");
        return;
    }
    length = size;
    if (!blob_head(v, size, &first, &length)) return;
    const rdg_http_source_t none = {read_nothing, free_nothing, NULL};
    (void)rdg_http_send_source(v->res, "application/octet-stream", &none, length);
}

bool proxy_serve_blob(visit_t *v, upstream_t *u) {
    proxy_t *p = v->registry->proxy;
    fetch_t *f = NULL;
    const char *repo = v->target.name, *digest = v->target.reference;
    if (proxy_absent(p, repo, digest)) {
        answer_error(v->res, 404, "BLOB_UNKNOWN", "its registry had no such blob a moment ago");
        return false;
    }
    rdg_err_t err = proxy_enter(p);
    if (err == RDG_OK && strcmp(rdg_http_method(v->req), "HEAD") == 0) {
        serve_head(v, u);
        proxy_leave(p);
        return false;
    }
    if (err == RDG_OK) {
        err = join(p, u, repo, digest, &f);
        proxy_leave(p);
    }
    if (err == RDG_OK) return stream(v, f);
    proxy_answer(v->res, err, "BLOB_UNKNOWN");
    return false;
}
