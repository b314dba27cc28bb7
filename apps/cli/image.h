/* What the files of `ridge image` share. */
#ifndef RIDGE_CLI_IMAGE_H
#define RIDGE_CLI_IMAGE_H
#include "cli.h"
#include "ridge/image/signature.h"

/* "team/app:1.0" or "team/app@sha256:…" taken apart. reference NULL: the text has none. */
typedef struct image_name {
    char name[RDG_IMAGE_NAME_MAX], tag[RDG_IMAGE_TAG_MAX], digest[RDG_IMAGE_DIGEST_MAX];
    const char *reference; /* in here */
} image_name_t;
rdg_err_t image_name_parse(const char *text, image_name_t *out);

#endif
