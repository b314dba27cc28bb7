/* Digests as the specification writes them, "sha256:" or "sha512:" and lower-case hex. */
#ifndef RIDGE_REGISTRY_DIGEST_H
#define RIDGE_REGISTRY_DIGEST_H
#include "target.h"
#include "ridge/base/bytes.h"

#define DIGEST_TEXT (TARGET_DIGEST_MAX + 1)

typedef struct digester digester_t;

/* The algorithm of a digest, or its name alone; anything else gives sha256. NULL: no memory. */
digester_t *digester_new(const char *like);
void digester_update(digester_t *d, rdg_bytes_t bytes);
void digester_final(digester_t *d, char out[DIGEST_TEXT]);    /* then only to be freed */
void digester_free(digester_t *d);                            /* NULL is fine */
bool digester_makes(const digester_t *d, const char *digest); /* whether it is of this digest's algorithm */

rdg_err_t digest_of_bytes(const char *like, rdg_bytes_t bytes, char out[DIGEST_TEXT]);
rdg_err_t digest_of_file(const char *like, int fd, char out[DIGEST_TEXT]); /* from its start */

#endif
