/* Layers made entry by entry, and a registry of a few lines that serves one image. */
#ifndef RIDGE_CONTAINER_TEST_KIT_H
#define RIDGE_CONTAINER_TEST_KIT_H
#include "image.h"
#include "layer.h"
#include "ridge/net/http_server.h"

#define OCI "application/vnd.oci.image."

typedef struct tar_entry {
    char type; /* '0' file, '5' directory, '2' symbolic link, '1' hard link, '3' and '4' devices, '6' pipe */
    const char *name, *link, *content;
} tar_entry_t;
void write_tar(const char *path, const tar_entry_t *entries, size_t count);
bool there(const char *dir, const char *name); /* also a dangling link */

typedef struct registry {
    rdg_http_server_t *http;
    /* index, signature and artifact are served when they are not empty; a tag gives the index, or else the manifest */
    rdg_buf_t layer, config, manifest, index, signature, artifact, referrers;
    char layer_digest[80], config_digest[80], host[64];
    char diff
        [65]; /* digest of the unpacked layer, which engines want in the configuration; empty: it is not there */
    bool corrupt, no_ranges, no_referrers;
    unsigned ranges, listed;
    size_t served; /* bytes of the layer */
} registry_t;

void digest_text(const rdg_buf_t *b, char out[80]);
/* inner: the configuration's "config". */
void registry_start(registry_t *r, const char *layer_file, const char *inner);
void registry_stop(registry_t *r);
void write_manifest(registry_t *r, const char *manifest_type, const char *config_type, const char *layer_type,
                    size_t layers);
void set_config(registry_t *r, const char *architecture, const char *inner);
const char *some_layer(void); /* path of a tar of a thousand files */
rdg_err_t pull_into(const char *root, registry_t *r, const char *tag, rdg_container_progress_fn progress,
                    void *ctx);
/* "HOST/node:TAG", into <test dir>/oci */
rdg_err_t pull(registry_t *r, const char *tag, rdg_container_progress_fn progress, void *ctx);

/* A root with a shell, its libraries and nothing else, as tar.gz; beside it, in PATH.diff, the digest of the tar. */
const char *shell_layer(void);
void await_text(const char *path, const char *text); /* fails the test after 10 s */

/* escape.c: <root>/tree becomes a root with this program as /bin/probe, which with the argument ESCAPE_PROBE tries the ways
 * out of a container; what it said of them is looked through for one that got out. */
#define ESCAPE_PROBE "--try-to-escape"
void escape_tree(const char *root);
void escape_check(const char *said);

#endif
