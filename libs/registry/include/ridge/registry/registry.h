/* An OCI registry: the OCI Distribution Specification 1.1 whole, with what its next version adds (sha512 by
 * digest-algorithm, tags as parameters of a push by digest).
 *
 *   GET|HEAD    /v2/                               200: the registry is there, and knows who asks
 *   GET|HEAD    /v2/<name>/blobs/<digest>          with one Range: 206, 416;         DELETE 202
 *   GET|HEAD    /v2/<name>/manifests/<reference>   bytes exactly as pushed;          DELETE 202
 *   PUT         /v2/<name>/manifests/<reference>   by tag, or by digest with tag=…
 *   POST        /v2/<name>/blobs/uploads/          session; ?digest= whole; ?mount=&from= of another repository
 *   PATCH|PUT|GET|DELETE /v2/<name>/blobs/uploads/<id>
 *   GET         /v2/<name>/tags/list               sorted, with n and last
 *   GET         /v2/<name>/referrers/<digest>      with artifactType
 *   GET|POST    /v2/token                          a token for repository scopes
 *
 * Invariants
 * 1. A 201 means: on the disk, file and directory synced, and in the database. A blob or manifest that was
 *    acknowledged and not deleted is there after any crash. An upload goes on after one (src/upload.h).
 * 2. A path reaches the file system only after it was taken apart by the specification's grammars: a blob's file name
 *    is an algorithm known here and lower-case hex digits of the right number, an upload's 32 hex digits.
 * 3. Content has the digest under which it is kept; nothing is served under a name that does not hold it.
 * 4. What is collected is named by no manifest and was not asked for within grace_ms; collecting can not take what an
 *    upload, a mount or a push is just putting (src/store.h, src/collect.c).
 * 5. Who may do what is the guard's word, asked for every request; how often somebody may guess is, too. Errors have the specification's form and codes.
 *
 * Limits: manifests of RDG_REGISTRY_MANIFEST_MAX; names of 255 bytes; 1,000 tags or 100 referrers an answer; uploads_max
 * open uploads, each with one request at a time; quotas, 403 DENIED beyond them. A blob is not in memory: 256 KiB of it
 * at a time. Thread-safe. One process uses a directory at a time. */
#ifndef RIDGE_REGISTRY_REGISTRY_H
#define RIDGE_REGISTRY_REGISTRY_H
#include "ridge/base/clock.h"
#include "ridge/base/metrics.h"
#include "ridge/codec/json.h"
#include "ridge/net/http_server.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_REGISTRY_MANIFEST_MAX (4u << 20)
#define RDG_REGISTRY_UPLOADS 256
#define RDG_REGISTRY_UPLOAD_LIFE_MS 21600000u /* six hours */
#define RDG_REGISTRY_GRACE_MS 3600000u
#define RDG_REGISTRY_COLLECT_MS 3600000u
#define RDG_REGISTRY_TOKEN_S 300
#define RDG_REGISTRY_PROXY_TTL_MS 300000u
#define RDG_REGISTRY_CALLER_MAX 64

typedef struct rdg_registry rdg_registry_t;

/* Somebody who asks. */
typedef struct rdg_registry_caller {
    char name[RDG_REGISTRY_CALLER_MAX + 1];
    bool device; /* known by its link, not by a password */
} rdg_registry_caller_t;

enum { RDG_REGISTRY_PULL = 1, RDG_REGISTRY_PUSH = 2, RDG_REGISTRY_DELETE = 4 };

/* Who may do what; called on the threads of handlers. */
typedef struct rdg_registry_guard {
    /* By user name and password; user NULL: by a bearer token that the registry did not make. UNAUTHENTICATED; out->name is
     * then "", or whose it was that has ended, which is no guess. */
    rdg_err_t (*login)(void *ctx, const char *user, const char *password, rdg_registry_caller_t *out);
    /* By the connection itself; false: it says nothing. NULL: never does. */
    bool (*peer)(void *ctx, const rdg_http_request_t *req, rdg_registry_caller_t *out);
    /* What this caller may do in a repository, of RDG_REGISTRY_…; rdg_registry_visible helps with devices. */
    unsigned (*rights)(void *ctx, const rdg_registry_caller_t *caller, const char *repository);
    /* After each password and token was looked at; who NULL: it is nobody's. BUSY (429): from there nothing is believed
     * for now. NULL: any number of guesses. */
    rdg_err_t (*judge)(void *ctx, const rdg_http_request_t *req, const char *who);
    void *ctx;
} rdg_registry_guard_t;

typedef struct rdg_registry_quota {
    const char *prefix; /* repositories of this name and below it */
    uint64_t bytes;
} rdg_registry_quota_t;

/* Repositories <prefix>/<name> are copies of <name> of another registry, fetched when somebody asks and kept
 * (src/proxy.h says what is promised). */
typedef struct rdg_registry_proxy {
    const char *prefix, *url; /* "hub", "https://registry.example:5000" */
} rdg_registry_proxy_t;

typedef struct rdg_registry_options {
    const char *dir;                    /* made if absent */
    uint64_t total_max;                 /* bytes of all blobs and open uploads; 0: no limit */
    const rdg_registry_quota_t *quotas; /* copied */
    size_t quota_count;
    unsigned uploads_max;    /* 0: RDG_REGISTRY_UPLOADS */
    uint64_t upload_life_ms; /* since its last request; 0: RDG_REGISTRY_UPLOAD_LIFE_MS */
    uint64_t grace_ms;       /* 0: RDG_REGISTRY_GRACE_MS */
    uint64_t untagged_ms;    /* manifests without a tag, an index or a subject go when so old; 0: never */
    uint64_t collect_ms;     /* between two runs; 0: RDG_REGISTRY_COLLECT_MS; UINT64_MAX: only when asked */
    bool read_only;          /* pushes and deletes are refused: 405 UNSUPPORTED */
    const char *public_url; /* "https://registry.example" for the token's realm; NULL: from the Host header */
    const rdg_registry_proxy_t *proxies; /* copied */
    size_t proxy_count;
    uint64_t proxy_max;            /* bytes of all copies together; 0: no limit */
    uint64_t proxy_ttl_ms;         /* how long a tag is believed; 0: RDG_REGISTRY_PROXY_TTL_MS */
    const char *proxy_credentials; /* a file as containers-auth.json(5), mode 0600; copied; NULL: none */
    const char
        *proxy_ca; /* PEM file, read once: by which https:// ones are believed; NULL: by the system's roots */
    const rdg_registry_guard_t *guard; /* copied; NULL: everybody may do everything */
    rdg_metrics_t *metrics;            /* may be NULL */
    const rdg_clock_t *clock;          /* NULL: the system's */
} rdg_registry_options_t;

/* INVALID, IO, CORRUPT, DISK_FULL, each naming the directory. */
rdg_err_t rdg_registry_open(const rdg_registry_options_t *options, rdg_registry_t **out);
void rdg_registry_close(rdg_registry_t *r); /* after its server has stopped; NULL is fine */
/* Answers a request whose path is /v2 or begins with /v2/; registry is an rdg_registry_t *, as rdg_http_handler_t
 * wants it. The server must have rdg_registry_intake, else bodies of blobs are bounded by its max_body. */
void rdg_registry_handle(void *registry, const rdg_http_request_t *req, rdg_http_response_t *res);
extern const rdg_http_intake_t rdg_registry_intake;

typedef struct rdg_registry_collected {
    uint64_t blobs, bytes, files, links, manifests;
} rdg_registry_collected_t;
/* Collects now, also what a run has left over that was broken off; and ends uploads that are too old. */
rdg_err_t rdg_registry_collect(rdg_registry_t *r, rdg_registry_collected_t *out);

typedef struct rdg_registry_usage {
    uint64_t bytes, blobs, uploads, upload_bytes;
} rdg_registry_usage_t;
rdg_err_t rdg_registry_usage(rdg_registry_t *r, rdg_registry_usage_t *out);

/* --- for whoever runs it ------------------------------------------------------------------------------------- */

/* Takes in the named images of an OCI image layout (deploy/image/build makes one); what is there already is left.
 * each, if given, is called for every one that is here then, in the layout's order; its error ends the import.
 * NOT_FOUND, CORRUPT, MALFORMED. */
rdg_err_t rdg_registry_import(rdg_registry_t *r, const char *layout,
                              rdg_err_t (*each)(void *ctx, const char *name, const char *tag), void *ctx);
/* Which devices may pull a repository: "*" all, "" none, else names with commas between. NOT_FOUND. */
rdg_err_t rdg_registry_set_devices(rdg_registry_t *r, const char *repository, const char *devices);
bool rdg_registry_visible(rdg_registry_t *r, const char *repository, const char *device);

/* The same steps without HTTP, for services of this process. Each checks as a push does. */
rdg_err_t rdg_registry_put_blob(rdg_registry_t *r, const char *repository, rdg_bytes_t bytes,
                                char digest[136]);
/* tag NULL: none. digest may be NULL. */
rdg_err_t rdg_registry_put_manifest(rdg_registry_t *r, const char *repository, const char *tag,
                                    rdg_bytes_t bytes, char digest[136]);
/* Bytes of a manifest by tag or digest; media_type and digest may be NULL. NOT_FOUND. */
rdg_err_t rdg_registry_get_manifest(rdg_registry_t *r, const char *repository, const char *reference,
                                    rdg_buf_t *out, char digest[136]);
rdg_err_t rdg_registry_get_blob(rdg_registry_t *r, const char *repository, const char *digest,
                                rdg_buf_t *out);
/* A tag, and its manifest when nothing else names that; or a manifest with its tags. What refers to a manifest that
 * is gone (signatures) goes with it. NOT_FOUND. */
rdg_err_t rdg_registry_remove(rdg_registry_t *r, const char *repository, const char *reference);
/* Lists as JSON, returned owned: names; tags; descriptors. *more: the list goes on after its last. */
rdg_err_t rdg_registry_repositories(rdg_registry_t *r, const char *last, uint64_t max, json_t **out,
                                    bool *more);
rdg_err_t rdg_registry_tags(rdg_registry_t *r, const char *repository, const char *last, uint64_t max,
                            json_t **out, bool *more);
rdg_err_t rdg_registry_referrers(rdg_registry_t *r, const char *repository, const char *digest,
                                 const char *type, json_t **out);
/* "devices", "bytes", "created_ms" of a repository; returned owned. NOT_FOUND. */
rdg_err_t rdg_registry_describe(rdg_registry_t *r, const char *repository, json_t **out);

#ifdef __cplusplus
}
#endif
#endif
