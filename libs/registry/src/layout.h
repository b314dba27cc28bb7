/* Reading an OCI image layout. Push will add writing here; the handlers know nothing of files. */
#ifndef RIDGE_REGISTRY_LAYOUT_H
#define RIDGE_REGISTRY_LAYOUT_H
#include "ridge/codec/json.h"
#include "target.h"

#define LAYOUT_MEDIA_TYPE_MAX 128

typedef struct layout {
    char *dir;
} layout_t;

typedef struct layout_manifest {
    char digest[TARGET_DIGEST_MAX + 1];
    char media_type[LAYOUT_MEDIA_TYPE_MAX];
    rdg_buf_t bytes; /* rdg_buf_fini frees */
} layout_manifest_t;

/* Returns owned; an empty array if there is no index.json yet. CORRUPT. */
rdg_err_t layout_entries(const layout_t *l, json_t **out);
/* The tag of an entry if it belongs to the repository, else NULL; borrowed. */
const char *layout_entry_tag(const json_t *entry, const char *name);
bool layout_has_name(const json_t *entries, const char *name);
/* NOT_FOUND, CORRUPT (bytes do not match the digest), TOO_LARGE. *out is to be finished only after RDG_OK. */
rdg_err_t layout_manifest(const layout_t *l, const json_t *entries, const target_t *t,
                          layout_manifest_t *out);
/* The caller owns *fd. NOT_FOUND. */
rdg_err_t layout_blob(const layout_t *l, const char *digest, int *fd, uint64_t *size);

#endif
