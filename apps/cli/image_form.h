/* What an image says of itself (docs/registry.md, "The form of an image"), as options of a command. Version, purpose
 * and resources become annotations of its manifest or index; ports and environment change its configuration, which an
 * index does not have. */
#ifndef RIDGE_CLI_IMAGE_FORM_H
#define RIDGE_CLI_IMAGE_FORM_H
#include "image.h"

#define IMAGE_FORM_FLAGS                                                                                     \
    {"version", "TEXT", "its version"}, {"purpose", "TEXT", "what it is for"},                               \
        {"memory-min", "SIZE", "memory without which it does not run (64MiB)"},                              \
        {"memory-max", "SIZE", "memory that it may use"},                                                    \
        {"disk-min", "SIZE", "disk space without which it does not run"},                                    \
        {"cpu-min", "N", "thousandths of a core without which it does not run"},                             \
        {"cpu-max", "N", "thousandths of a core that it may use"},                                           \
        {"ports", "LIST", "ports it listens on: 8080/tcp,9000/udp"}, {                                       \
        "env-file", "FILE", "environment: lines of NAME=VALUE"                                               \
    }

/* Refuses values that cannot be, before anything is sent. INVALID. */
rdg_err_t image_form_check(const cli_t *cli);
/* Changes the manifest, and bytes with it when an option was given; pushes a changed configuration. */
rdg_err_t image_form_apply(const cli_t *cli, rdg_images_client_t *registry, const char *name,
                           json_t *manifest, rdg_buf_t *bytes);

#endif
