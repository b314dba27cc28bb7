/* Takes apart what a client sent: the path, the digest, the Range header. Pure functions over hostile text.
 */
#ifndef RIDGE_REGISTRY_TARGET_H
#define RIDGE_REGISTRY_TARGET_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TARGET_NAME_MAX 255
#define TARGET_TAG_MAX 128
#define TARGET_DIGEST_MAX (7 + 128) /* sha512 */
#define TARGET_UPLOAD_ID 32         /* hex digits */

typedef enum target_kind {
    TARGET_NONE,
    TARGET_ROOT,
    TARGET_MANIFEST,
    TARGET_BLOB,
    TARGET_TAGS,
    TARGET_UPLOADS, /* blobs/uploads/ */
    TARGET_UPLOAD,  /* blobs/uploads/<id> */
    TARGET_REFERRERS,
    TARGET_TOKEN /* /v2/token */
} target_kind_t;

typedef struct target {
    target_kind_t kind;
    char name[TARGET_NAME_MAX + 1];
    char reference[TARGET_DIGEST_MAX + 1]; /* tag, digest, or id of an upload */
    bool name_ok, is_digest, reference_ok; /* by the specification's grammar */
} target_t;

/* kind NONE: no path of the specification that is served here. */
void target_parse(const char *path, target_t *out);
bool target_digest_valid(const char *digest); /* sha256 or sha512 */
bool target_name_valid(const char *name);
bool target_tag_valid(const char *tag);
/* "from-to" of a chunk's Content-Range, with or without "bytes " and "/size"; false: none of these. */
bool target_chunk(const char *header, uint64_t *from, uint64_t *to);

/* For a query: what it may hold as it is stays, the rest is written as %XX. Cut off at size. */
void target_escape(const char *text, char *out, size_t size);

typedef enum range_kind { RANGE_NONE, RANGE_PART, RANGE_UNSATISFIABLE } range_kind_t;
/* RFC 9110, 14.2: a header that is not understood, or asks for several ranges, counts as absent (NONE). */
range_kind_t target_range(const char *header, uint64_t size, uint64_t *first, uint64_t *length);

#endif
