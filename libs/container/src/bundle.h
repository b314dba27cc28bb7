/* The OCI runtime bundle of a container (runtime-spec 1.0): config.json. */
#ifndef RIDGE_CONTAINER_BUNDLE_H
#define RIDGE_CONTAINER_BUNDLE_H
#include "ridge/codec/json.h"
#include "ridge/container/container.h"

#define BUNDLE_PIDS_DEFAULT 1024u
#define BUNDLE_OOM_SCORE 100 /* a container goes before the agent */

/* image_config: the image's. rootfs: the mounted root. Writes <dir>/config.json.
 *
 * The process gets the host's network, its own pid, mount, ipc and uts namespaces, no capability, no_new_privileges,
 * the calls of seccomp.h, no device but those that every runtime makes, at most spec->pids processes (1,024), a
 * read-only root with /tmp in memory, and data_dir at data_mount. It is the image's user; root without capabilities
 * when the image names none. A user other than root gets data_dir as his own. */
typedef struct bundle_user {
    uint64_t uid, gid;
} bundle_user_t;
/* As the image says, by number or by its own /etc/passwd. UNSUPPORTED: it knows no such user. */
rdg_err_t bundle_user(const char *rootfs, const json_t *image_config, bundle_user_t *out);
rdg_err_t bundle_write(const char *dir, const char *rootfs, const char *id, const char *data_mount,
                       const rdg_container_spec_t *spec, const json_t *image_config);

#endif
