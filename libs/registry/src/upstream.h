/* Another registry, asked as a client: its credentials, tokens, redirects and moods.
 *
 * 1. Credentials go to the registry's own address and to the place that its challenge names for tokens, in a header,
 *    never to where a redirect leads; from https:// nothing leads to http://.
 * 2. They are read from a file in the form of containers-auth.json(5) ("skopeo login --authfile"), each time they are
 *    needed; a file that others may read is refused.
 * 3. A registry that did not answer, answered 5xx or 429 is left alone for a while (UPSTREAM_REST_MS, or what it asks
 *    for up to a minute): calls fail at once then, with the same code.
 * Distribution specification 1.1; Docker's token authentication (distribution/docs/spec/auth/token.md). Thread-safe but
 * for a connection, which one thread has at a time. */
#ifndef RIDGE_REGISTRY_UPSTREAM_H
#define RIDGE_REGISTRY_UPSTREAM_H
#include <pthread.h>
#include "ridge/base/clock.h"
#include "ridge/net/http_client.h"
#include "upstream_answer.h"

#define UPSTREAM_URL_MAX 300
#define UPSTREAM_TOKENS 32
#define UPSTREAM_REST_MS 5000u
#define UPSTREAM_ANSWER_MS 10000u

typedef struct upstream_token {
    char scope[TARGET_NAME_MAX + 64]; /* of the challenge; empty: unused */
    char *header;                     /* "Authorization: …", owned, cleared when freed */
    uint64_t until_ms;
} upstream_token_t;

typedef struct upstream {
    char prefix[TARGET_NAME_MAX + 1]; /* of our repositories, without the last '/' */
    char url[UPSTREAM_URL_MAX];       /* scheme and host, no '/' at the end */
    const char *credentials;          /* path; NULL: none. Borrowed */
    const rdg_clock_t *clock;
    pthread_mutex_t lock; /* of what follows */
    upstream_token_t tokens[UPSTREAM_TOKENS];
    size_t oldest;
    uint64_t rests_until_ms;
    rdg_err_t rest_code;
} upstream_t;

typedef struct upstream_ask {
    const char *method, *name, *path; /* <url>/v2/<name>/<path> */
    const char *accept;               /* a whole header; NULL: none */
    uint64_t from;                    /* > 0: a Range from this byte on */
    size_t max_body;
    uint64_t timeout_ms; /* 0: UPSTREAM_ANSWER_MS */
    rdg_err_t (*sink)(void *ctx, rdg_bytes_t chunk);
    void *sink_ctx;
} upstream_ask_t;

/* INVALID: no http(s) address of a registry alone. */
rdg_err_t upstream_init(upstream_t *u, const char *prefix, const char *url, const char *credentials,
                        const rdg_clock_t *clock);
void upstream_fini(upstream_t *u);
/* RDG_OK for 2xx: *out is to be finished. NOT_FOUND (404), FORBIDDEN (401, 403), BUSY (429), UNAVAILABLE (no answer,
 * 5xx, at rest), TIMEOUT, CLOSED, PROTOCOL, or the sink's error; the text names the registry. */
rdg_err_t upstream_call(upstream_t *u, rdg_http_client_t *http, const upstream_ask_t *ask,
                        rdg_http_answer_t *out);

#endif
