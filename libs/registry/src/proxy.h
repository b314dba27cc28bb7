/* Repositories that are copies of another registry's: <prefix>/<name> here is <name> there. What is asked for is
 * fetched once, kept like what was pushed, and served from here, also while the other registry is away.
 *
 * 1. A manifest is compared with its digest before it is kept or served. A blob goes to the client while it comes, but
 *    for its last byte, which waits until the whole was compared, synced and recorded: what nobody could verify nobody
 *    gets whole.
 * 2. A tag is asked for again when the last answer is older than ttl_ms. When the other registry is away, refuses or
 *    limits us, what is here is served; when it says that the tag is gone, the tag goes here too.
 * 3. Whoever asks for what is being fetched waits for the same fetch. One that breaks off goes on from where it stands
 *    (a range), PROXY_TRIES times without a new byte. At most PROXY_FETCHES at a time and PROXY_WAITERS requests that
 *    wait for the other registry; others are told 429.
 * 4. What was not there (404) is believed for PROXY_ABSENT_MS, of up to PROXY_ABSENT names.
 * 5. All copies together have at most `max` bytes: what was used longest ago goes first (blobs, then manifests that
 *    are not signatures and the like). Use is recorded to a quarter of the registry's grace_ms. The collector does the
 *    rest, as for everything else.
 * 6. Nothing is pushed to a copy but what refers to one of its images (signatures); these stay here and are listed
 *    with those of the other registry. */
#ifndef RIDGE_REGISTRY_PROXY_H
#define RIDGE_REGISTRY_PROXY_H
#include "internal.h"
#include "upstream.h"

#define PROXY_FETCHES 16
#define PROXY_WAITERS 16
#define PROXY_TRIES 4
#define PROXY_ATTEMPT_MS 20000u
#define PROXY_BEGIN_MS 15000u
#define PROXY_ABSENT 256
#define PROXY_ABSENT_MS 10000u
#define PROXY_KEYS 64

typedef enum fetch_state { FETCH_BEGINS, FETCH_FLOWS, FETCH_STORED, FETCH_FAILED } fetch_state_t;

/* One blob on its way; everything under the proxy's lock but what is said otherwise. */
typedef struct fetch {
    rdg_list_t node; /* in proxy->fetches while it runs */
    struct proxy *proxy;
    upstream_t *upstream; /* constant, as are repo and digest */
    char repo[TARGET_NAME_MAX + 1], digest[DIGEST_TEXT];
    unsigned refs;
    fetch_state_t state;
    uint64_t length; /* UINT64_MAX: not told */
    uint64_t there;  /* bytes in the file */
    rdg_err_t err;
    char why[RDG_ERROR_TEXT_MAX];
    char path[STORE_PATH_MAX];
    rdg_list_t readers;
} fetch_t;

typedef struct proxy {
    rdg_registry_t *registry;
    upstream_t *upstreams;
    size_t count;
    char *credentials; /* owned; NULL: none */
    rdg_buf_t roots;   /* PEM; empty: the system's */
    uint64_t max, ttl_ms;
    pthread_mutex_t lock;
    pthread_cond_t news; /* monotonic */
    rdg_list_t fetches;
    unsigned running, waiting;
    uint64_t inflight; /* bytes that fetches are still to bring */
    bool stopping;
    struct {
        char key[TARGET_NAME_MAX + DIGEST_TEXT + 2];
        uint64_t until_ms;
    } absent[PROXY_ABSENT];
    size_t absent_at;
    pthread_mutex_t keys[PROXY_KEYS]; /* one at a time asks for a manifest */
    rdg_metric_t *m_fetched, *m_stale;
} proxy_t;

rdg_err_t proxy_open(rdg_registry_t *r, const rdg_registry_options_t *o); /* r->proxy; NULL without proxies */
void proxy_close(proxy_t *p); /* after the server has stopped; waits for fetches; NULL is fine */

/* NULL: no copy. */
upstream_t *proxy_upstream(const rdg_registry_t *r, const char *repo);
/* Makes sure that the manifest is here, and that a tag is as fresh as it has to be. As upstream_call; CORRUPT: not
 * what its digest says. */
rdg_err_t proxy_manifest(proxy_t *p, upstream_t *u, const char *repo, const char *reference);
/* Answers a GET or HEAD of a blob that is not here; true: it is here now, and nothing was answered. */
bool proxy_serve_blob(visit_t *v, upstream_t *u);
/* The other registry's list of tags after `last`, and whether there are more, or an error. Returns owned. */
rdg_err_t proxy_tags(proxy_t *p, upstream_t *u, const char *repo, const char *last, uint64_t max,
                     json_t **out, bool *more);
/* Adds what the other registry knows to a list of descriptors. */
void proxy_referrers(proxy_t *p, upstream_t *u, const char *repo, const char *digest, const char *type,
                     json_t *list);
void proxy_answer(rdg_http_response_t *res, rdg_err_t err, const char *unknown);

/* Between them: */
const char *proxy_name(const upstream_t *u, const char *repo);     /* there */
rdg_err_t proxy_client(const proxy_t *p, rdg_http_client_t **out); /* with our roots */
rdg_err_t proxy_enter(proxy_t *p);                                 /* BUSY; proxy_leave after RDG_OK */
void proxy_leave(proxy_t *p);
bool proxy_absent(proxy_t *p, const char *repo, const char *reference);
void proxy_note_absent(proxy_t *p, const char *repo, const char *reference);

/* proxy_room.c */
rdg_err_t proxy_mark(proxy_t *p, const char *repo); /* it is a copy */
/* Until `bytes` more fit. FULL. */
rdg_err_t proxy_make_room(proxy_t *p, uint64_t bytes);
void proxy_used(proxy_t *p, const char *repo, const char *digest); /* a manifest */

#endif
