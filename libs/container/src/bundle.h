/* The OCI runtime bundle of a container (runtime-spec 1.0): config.json. */
#ifndef RIDGE_CONTAINER_BUNDLE_H
#define RIDGE_CONTAINER_BUNDLE_H
#include "ridge/codec/json.h"
#include "ridge/container/container.h"

/* image_config: the image's. rootfs: the mounted root. Writes <dir>/config.json.
 *
 * The process gets the host's network, its own pid, mount, ipc and uts namespaces, no capability,
 * no_new_privileges, a read-only root with /tmp in memory, and data_dir at data_mount. */
rdg_err_t bundle_write(const char *dir, const char *rootfs, const char *id, const char *data_mount,
                       const rdg_container_spec_t *spec, const json_t *image_config);

#endif
