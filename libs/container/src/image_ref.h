/* Image references: "[http[s]://]host[:port]/name[:tag][@digest]". Without a scheme: plain HTTP towards loopback
 * addresses, HTTPS towards all others. */
#ifndef RIDGE_CONTAINER_IMAGE_REF_H
#define RIDGE_CONTAINER_IMAGE_REF_H
#include <stdbool.h>
#include <stddef.h>
#include "ridge/base/error.h"

#define IMAGE_DIGEST_TEXT 72 /* "sha256:" and 64 hex digits and a NUL */

typedef struct image_ref {
    bool cloud;     /* RDG_CONTAINER_CLOUD */
    char base[300]; /* "http://127.0.0.1:5000" */
    char name[256];
    char reference[160]; /* tag or digest; "latest" when absent */
    bool by_digest;
} image_ref_t;

rdg_err_t image_ref_parse(const char *text, image_ref_t *out);
/* "sha256:" and 64 lower-case hex digits; nothing else. */
bool image_digest_valid(const char *digest);

#endif
