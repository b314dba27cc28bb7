/* Manifests, tags and referrers of repositories. */
#ifndef RIDGE_REGISTRY_CATALOG_H
#define RIDGE_REGISTRY_CATALOG_H
#include "manifest.h"
#include "store.h"

typedef struct catalog_put {
    const char *repo, *digest;
    rdg_bytes_t bytes;
    const manifest_t *manifest;
    const char *const *tags; /* that shall name it */
    size_t tag_count;
    bool sparse; /* parts may be missing: a copy of another registry's manifest */
} catalog_put_t;

/* Bytes and digest fit (checked by the caller). NOT_FOUND names a part that is not there; FULL: a quota. */
rdg_err_t catalog_put(store_t *s, const catalog_put_t *put);
/* The digest of a tag, or reference itself if it is one. NOT_FOUND. */
rdg_err_t catalog_resolve(store_t *s, const char *repo, const char *reference, char digest[DIGEST_TEXT]);
typedef struct catalog_entry {
    char digest[DIGEST_TEXT], media_type[MANIFEST_TYPE_MAX + 1];
    uint64_t size;
} catalog_entry_t;
/* By tag or digest. NOT_FOUND. */
rdg_err_t catalog_find(store_t *s, const char *repo, const char *reference, catalog_entry_t *out);
/* Its bytes, compared with the digest: CORRUPT. */
rdg_err_t catalog_read(store_t *s, const catalog_entry_t *entry, rdg_buf_t *out);
/* A tag alone, or a manifest with its tags. NOT_FOUND. */
rdg_err_t catalog_delete(store_t *s, const char *repo, const char *reference, bool is_digest);

/* Sorted, after `last` (NULL: from the first), at most max; *more if there are others. Returns owned. */
rdg_err_t catalog_tags(store_t *s, const char *repo, const char *last, uint64_t max, json_t **out,
                       bool *more);
/* Descriptors in the order of their digests, after `last`; type NULL: all. Returns owned. */
rdg_err_t catalog_referrers(store_t *s, const char *repo, const char *subject, const char *type,
                            const char *last, uint64_t max, json_t **out, bool *more);
/* Names of repositories with something in them, sorted. Returns owned. */
rdg_err_t catalog_repositories(store_t *s, const char *last, uint64_t max, json_t **out, bool *more);

#endif
