/* A file that the cloud lets this device read, brought here whole (docs/device-protocol.md, files).
 *
 * Errors: CANCELLED (go_on said so), NOT_FOUND (not for this device), CORRUPT (another digest, three times), DISK_FULL, IO.
 * What breaks the link is waited for, until go_on says no. */
#ifndef RIDGE_AGENT_DOWNLOAD_H
#define RIDGE_AGENT_DOWNLOAD_H
#include "ridge/crypto/hash.h"

typedef struct download {
    uint64_t file, size; /* its number */
    rdg_hash_t digest;   /* SM3 of the whole */
    const char *path;    /* where it is to be: durable there when it ends; beside it .part meanwhile */
    bool (*go_on)(void *ctx, uint64_t bytes);
    void *ctx;
} download_t;

/* socket: of the service `collect` (uplink.h). */
rdg_err_t download(const download_t *d, const char *socket);

#endif
