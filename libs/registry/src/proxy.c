#include "proxy.h"
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ACCEPT "Accept: " MANIFEST_OCI ", " MANIFEST_OCI_INDEX ", " MANIFEST_DOCKER ", " MANIFEST_DOCKER_LIST
#define LIST_MAX (4u << 20)
#define REFERRERS_PAGES 20

/* --- life ------------------------------------------------------------------------------------------------------ */

static rdg_err_t init_upstreams(proxy_t *p, const rdg_registry_options_t *o) {
    p->upstreams = rdg_calloc(o->proxy_count, sizeof *p->upstreams);
    p->credentials = rdg_strdup(o->proxy_credentials);
    if (!p->upstreams || (o->proxy_credentials && !p->credentials))
        return rdg_fail(RDG_E_NO_MEMORY, "no memory for copies of registries");
    for (; p->count < o->proxy_count; ++p->count)
        RDG_TRY(upstream_init(&p->upstreams[p->count], o->proxies[p->count].prefix, o->proxies[p->count].url,
                              p->credentials, p->registry->store.clock));
    if (!o->proxy_ca) return RDG_OK;
    return rdg_fail_in(rdg_http_roots_read(o->proxy_ca, &p->roots), "by whom other registries are believed");
}

rdg_err_t proxy_open(rdg_registry_t *r, const rdg_registry_options_t *o) {
    pthread_condattr_t monotonic;
    r->proxy = NULL;
    if (o->proxy_count == 0) return RDG_OK;
    proxy_t *p = rdg_calloc(1, sizeof *p);
    if (!p) return rdg_fail(RDG_E_NO_MEMORY, "no memory for copies of registries");
    p->registry = r;
    p->max = o->proxy_max ? o->proxy_max : UINT64_MAX;
    p->ttl_ms = o->proxy_ttl_ms ? o->proxy_ttl_ms : RDG_REGISTRY_PROXY_TTL_MS;
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&p->news, &monotonic);
    pthread_condattr_destroy(&monotonic);
    rdg_list_init(&p->fetches);
    rdg_buf_init(&p->roots, RDG_HTTP_ROOTS_MAX);
    for (size_t i = 0; i < PROXY_KEYS; ++i) pthread_mutex_init(&p->keys[i], NULL);
    if (o->metrics) {
        p->m_fetched = rdg_metrics_counter(o->metrics, "ridge_registry_proxy_fetched_bytes_total",
                                           "bytes of blobs fetched from other registries", NULL);
        p->m_stale = rdg_metrics_counter(o->metrics, "ridge_registry_proxy_stale_total",
                                         "tags served without asking their registry, which was away", NULL);
    }
    rdg_err_t err = init_upstreams(p, o);
    if (err == RDG_OK)
        r->proxy = p;
    else
        proxy_close(p);
    return err;
}

void proxy_close(proxy_t *p) {
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->news);
    while (p->running > 0) pthread_cond_wait(&p->news, &p->lock);
    pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < p->count; ++i) upstream_fini(&p->upstreams[i]);
    for (size_t i = 0; i < PROXY_KEYS; ++i) pthread_mutex_destroy(&p->keys[i]);
    pthread_cond_destroy(&p->news);
    pthread_mutex_destroy(&p->lock);
    rdg_free(p->upstreams);
    rdg_free(p->credentials);
    rdg_buf_fini(&p->roots);
    rdg_free(p);
}

upstream_t *proxy_upstream(const rdg_registry_t *r, const char *repo) {
    upstream_t *found = NULL;
    size_t longest = 0;
    for (size_t i = 0; r->proxy && i < r->proxy->count; ++i) {
        upstream_t *u = &r->proxy->upstreams[i];
        size_t len = strlen(u->prefix);
        if (len <= longest || strncmp(repo, u->prefix, len) != 0 || repo[len] != '/') continue;
        found = u;
        longest = len;
    }
    return found;
}

const char *proxy_name(const upstream_t *u, const char *repo) {
    return repo + strlen(u->prefix) + 1;
}

rdg_err_t proxy_client(const proxy_t *p, rdg_http_client_t **out) {
    RDG_TRY(rdg_http_client_new(out));
    rdg_http_client_roots(*out, rdg_buf_view(&p->roots));
    return RDG_OK;
}

rdg_err_t proxy_enter(proxy_t *p) {
    pthread_mutex_lock(&p->lock);
    bool room = p->waiting < PROXY_WAITERS;
    p->waiting += room;
    pthread_mutex_unlock(&p->lock);
    return room ? RDG_OK
                : rdg_fail(RDG_E_BUSY, "%d requests wait for other registries already: try again in a second",
                           PROXY_WAITERS);
}

void proxy_leave(proxy_t *p) {
    pthread_mutex_lock(&p->lock);
    --p->waiting;
    pthread_mutex_unlock(&p->lock);
}

void proxy_answer(rdg_http_response_t *res, rdg_err_t err, const char *unknown) {
    const char *text = rdg_err_message(err);
    switch (err) {
    case RDG_E_FORBIDDEN:
    case RDG_E_CORRUPT:
    case RDG_E_PROTOCOL:
    case RDG_E_MALFORMED:
    case RDG_E_CLOSED:
        rdg_log_err("registry.proxy_failed", err);
        answer_error(res, 502, "UNKNOWN", text);
        return;
    case RDG_E_TIMEOUT:
    case RDG_E_UNAVAILABLE:
        (void)rdg_http_set_header(res, "Retry-After", "5");
        answer_error(res, 503, "UNKNOWN", text);
        return;
    default: answer_failure(res, err, unknown, "MANIFEST_INVALID");
    }
}

/* --- what was not there ------------------------------------------------------------------------------------------ */

static void absent_key(const char *repo, const char *reference, char *out, size_t size) {
    snprintf(out, size, "%s@%s", repo, reference);
}

bool proxy_absent(proxy_t *p, const char *repo, const char *reference) {
    char key[sizeof p->absent[0].key];
    bool found = false;
    uint64_t now = store_now(&p->registry->store);
    absent_key(repo, reference, key, sizeof key);
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < PROXY_ABSENT && !found; ++i)
        found = now < p->absent[i].until_ms && strcmp(p->absent[i].key, key) == 0;
    pthread_mutex_unlock(&p->lock);
    return found;
}

void proxy_note_absent(proxy_t *p, const char *repo, const char *reference) {
    pthread_mutex_lock(&p->lock);
    size_t at = p->absent_at++ % PROXY_ABSENT;
    absent_key(repo, reference, p->absent[at].key, sizeof p->absent[at].key);
    p->absent[at].until_ms = store_now(&p->registry->store) + PROXY_ABSENT_MS;
    pthread_mutex_unlock(&p->lock);
}

/* --- manifests ------------------------------------------------------------------------------------------------------ */

typedef struct local {
    char digest[DIGEST_TEXT];
    uint64_t checked_ms;
    bool found;
} local_t;

static rdg_err_t take_local(void *ctx, const rdg_sql_row_t *row) {
    local_t *l = ctx;
    snprintf(l->digest, sizeof l->digest, "%s", rdg_sql_row_text(row, 0));
    l->checked_ms = (uint64_t)rdg_sql_row_int(row, 1);
    l->found = true;
    return RDG_E_CANCELLED;
}

static rdg_err_t look(proxy_t *p, const char *repo, const char *reference, local_t *out) {
    memset(out, 0, sizeof *out);
    return rdg_sql_query(p->registry->store.db,
                         strchr(reference, ':')
                             ? "SELECT m.digest, m.pushed_ms FROM repo r JOIN manifest m ON m.repo = r.id "
                               "WHERE r.name = ? AND m.digest = ?"
                             : "SELECT t.digest, t.pushed_ms FROM repo r JOIN tag t ON t.repo = r.id "
                               "WHERE r.name = ? AND t.name = ?",
                         RDG_SQL_PARAMS(rdg_sql_text(repo), rdg_sql_text(reference)), take_local, out);
}

static rdg_err_t keep(proxy_t *p, const char *repo, const char *reference, const rdg_http_answer_t *got) {
    char digest[DIGEST_TEXT];
    bool by_digest = strchr(reference, ':') != NULL;
    const char *want = by_digest ? reference : target_digest_valid(got->digest) ? got->digest : NULL;
    rdg_bytes_t bytes = rdg_buf_view(&got->body);
    RDG_TRY(digest_of_bytes(want ? want : "sha256", bytes, digest));
    if (want && strcmp(want, digest) != 0)
        return rdg_fail(RDG_E_CORRUPT, "the manifest of %s was announced as %s and is %s", repo, want,
                        digest);
    manifest_t *m = rdg_calloc(1, sizeof *m);
    if (!m) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a manifest");
    rdg_err_t err = manifest_parse(bytes, got->content_type[0] ? got->content_type : NULL, m);
    if (err == RDG_OK) {
        const catalog_put_t put = {.repo = repo,
                                   .digest = digest,
                                   .bytes = bytes,
                                   .manifest = m,
                                   .tags = &reference,
                                   .tag_count = !by_digest,
                                   .sparse = true};
        err = proxy_make_room(p, bytes.len);
        if (err == RDG_OK) err = proxy_mark(p, repo);
        if (err == RDG_OK) err = catalog_put(&p->registry->store, &put);
        manifest_fini(m);
    }
    rdg_free(m);
    return rdg_fail_in(err, "the manifest of %s", repo);
}

static rdg_err_t ask(upstream_t *u, rdg_http_client_t *http, const char *method, const char *repo,
                     const char *reference, rdg_http_answer_t *got) {
    char path[DIGEST_TEXT + 16];
    snprintf(path, sizeof path, "manifests/%s", reference);
    const upstream_ask_t a = {.method = method,
                              .name = proxy_name(u, repo),
                              .path = path,
                              .accept = ACCEPT,
                              .max_body = RDG_REGISTRY_MANIFEST_MAX};
    return upstream_call(u, http, &a, got);
}

/* The same as before? HEAD costs the other registry less than a pull, which it may count. */
static bool unchanged(proxy_t *p, upstream_t *u, rdg_http_client_t *http, const char *repo, const char *tag,
                      const local_t *here, rdg_err_t *err) {
    rdg_http_answer_t got;
    *err = RDG_OK;
    if (!here->found) return false;
    *err = ask(u, http, "HEAD", repo, tag, &got);
    if (*err != RDG_OK) return false;
    bool same = strcmp(got.digest, here->digest) == 0;
    rdg_http_answer_fini(&got);
    if (same)
        *err = rdg_sql_exec(p->registry->store.db,
                            "UPDATE tag SET pushed_ms = ? WHERE name = ? AND repo = "
                            "(SELECT id FROM repo WHERE name = ?)",
                            RDG_SQL_PARAMS(rdg_sql_int((int64_t)store_now(&p->registry->store)),
                                           rdg_sql_text(tag), rdg_sql_text(repo)),
                            NULL);
    return same;
}

static rdg_err_t refresh(proxy_t *p, upstream_t *u, const char *repo, const char *reference,
                         const local_t *here) {
    rdg_http_client_t *http = NULL;
    rdg_http_answer_t got;
    rdg_err_t err;
    RDG_TRY(proxy_client(p, &http));
    if (!unchanged(p, u, http, repo, reference, here, &err) && err == RDG_OK) {
        err = ask(u, http, "GET", repo, reference, &got);
        if (err == RDG_OK) {
            err = keep(p, repo, reference, &got);
            rdg_http_answer_fini(&got);
        }
    }
    rdg_http_client_free(http);
    return err;
}

/* What is here may be served although the other registry was not heard. */
static rdg_err_t settle(proxy_t *p, const char *repo, const char *reference, const local_t *here,
                        rdg_err_t err) {
    if (err == RDG_E_NOT_FOUND) {
        proxy_note_absent(p, repo, reference);
        if (here->found) (void)catalog_delete(&p->registry->store, repo, reference, false);
        return rdg_fail_in(err, "%s", repo);
    }
    if (!here->found) return err;
    rdg_metric_add(p->m_stale, 1);
    rdg_log(RDG_LOG_WARN, "registry.proxy_stale", RDG_STR("repository", repo), RDG_STR("tag", reference),
            RDG_STR("why", rdg_err_message(err)));
    return RDG_OK;
}

static bool fresh(const proxy_t *p, const char *reference, const local_t *here) {
    uint64_t now = store_now(&p->registry->store);
    return here->found && (strchr(reference, ':') || now < here->checked_ms + p->ttl_ms);
}

static pthread_mutex_t *key_of(proxy_t *p, const char *repo, const char *reference) {
    unsigned at = 0;
    for (; *repo; ++repo) at = at * 31 + (unsigned char)*repo;
    for (; *reference; ++reference) at = at * 31 + (unsigned char)*reference;
    return &p->keys[at % PROXY_KEYS];
}

rdg_err_t proxy_manifest(proxy_t *p, upstream_t *u, const char *repo, const char *reference) {
    local_t here;
    RDG_TRY(look(p, repo, reference, &here));
    if (!fresh(p, reference, &here)) {
        if (proxy_absent(p, repo, reference))
            return rdg_fail(RDG_E_NOT_FOUND, "registry %s had no %s of %s a moment ago", u->url, reference,
                            repo);
        rdg_err_t err = proxy_enter(p);
        if (err == RDG_OK) {
            pthread_mutex_t *key = key_of(p, repo, reference);
            pthread_mutex_lock(key);
            /* Who was before us may have brought it. */
            err = look(p, repo, reference, &here);
            if (err == RDG_OK && !fresh(p, reference, &here)) err = refresh(p, u, repo, reference, &here);
            pthread_mutex_unlock(key);
            proxy_leave(p);
        }
        if (err != RDG_OK) RDG_TRY(settle(p, repo, reference, &here, err));
        RDG_TRY(look(p, repo, reference, &here));
    }
    proxy_used(p, repo, here.digest);
    return RDG_OK;
}

/* --- lists ----------------------------------------------------------------------------------------------------------- */

static rdg_err_t get_list(proxy_t *p, upstream_t *u, const char *repo, const char *path,
                          rdg_http_answer_t *got) {
    rdg_http_client_t *http = NULL;
    const upstream_ask_t a = {
        .method = "GET", .name = proxy_name(u, repo), .path = path, .max_body = LIST_MAX};
    RDG_TRY(proxy_enter(p));
    rdg_err_t err = proxy_client(p, &http);
    if (err == RDG_OK) err = upstream_call(u, http, &a, got);
    rdg_http_client_free(http);
    proxy_leave(p);
    return err;
}

rdg_err_t proxy_tags(proxy_t *p, upstream_t *u, const char *repo, const char *last, uint64_t max,
                     json_t **out, bool *more) {
    char path[3 * TARGET_TAG_MAX + 64], escaped[3 * TARGET_TAG_MAX + 4], next[UPSTREAM_ADDRESS_MAX];
    rdg_http_answer_t got;
    target_escape(last ? last : "", escaped, sizeof escaped);
    snprintf(path, sizeof path, "tags/list?n=%llu%s%s", (unsigned long long)max, last ? "&last=" : "",
             escaped);
    RDG_TRY(get_list(p, u, repo, path, &got));
    rdg_err_t err = upstream_tags(rdg_buf_view(&got.body), last, max, out);
    /* Its pages may be smaller than what was asked for. */
    *more = err == RDG_OK && json_array_size(*out) > 0 &&
            (json_array_size(*out) == max || upstream_next(u->url, proxy_name(u, repo), got.link, next));
    rdg_http_answer_fini(&got);
    return err;
}

/* Registries without the API keep the list under a tag (distribution 1.1, "Referrers Tag Schema"). */
static void add_from_tag(proxy_t *p, upstream_t *u, const char *repo, const char *digest, const char *type,
                         json_t *list) {
    char tag[DIGEST_TEXT];
    rdg_buf_t bytes;
    snprintf(tag, sizeof tag, "%.6s-%.64s", digest, digest + 7);
    if (proxy_manifest(p, u, repo, tag) != RDG_OK) return;
    rdg_buf_init(&bytes, RDG_REGISTRY_MANIFEST_MAX);
    if (rdg_registry_get_manifest(p->registry, repo, tag, &bytes, NULL) == RDG_OK)
        (void)upstream_referrers(rdg_buf_view(&bytes), type, list);
    rdg_buf_fini(&bytes);
}

void proxy_referrers(proxy_t *p, upstream_t *u, const char *repo, const char *digest, const char *type,
                     json_t *list) {
    char path[UPSTREAM_ADDRESS_MAX], escaped[3 * MANIFEST_TYPE_MAX + 4] = "";
    rdg_http_answer_t got;
    if (type) target_escape(type, escaped, sizeof escaped);
    snprintf(path, sizeof path, "referrers/%s%s%s", digest, type ? "?artifactType=" : "", escaped);
    for (unsigned page = 0; path[0] && page < REFERRERS_PAGES; ++page) {
        rdg_err_t err = get_list(p, u, repo, path, &got);
        path[0] = '\0';
        if (err == RDG_OK) {
            err = upstream_referrers(rdg_buf_view(&got.body), type, list);
            if (err == RDG_OK) (void)upstream_next(u->url, proxy_name(u, repo), got.link, path);
            rdg_http_answer_fini(&got);
        }
        if (err != RDG_OK && page == 0) add_from_tag(p, u, repo, digest, type, list);
    }
}
