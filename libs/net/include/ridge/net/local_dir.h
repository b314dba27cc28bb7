/* A directory for local sockets, whose paths may not be longer than RDG_LOCAL_PATH_MAX. */
#ifndef RIDGE_NET_LOCAL_DIR_H
#define RIDGE_NET_LOCAL_DIR_H
#include <stdbool.h>
#include "ridge/net/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_LOCAL_NAME_MAX 16 /* bytes of a socket's name in it */

typedef struct rdg_local_dir {
    char path[RDG_LOCAL_PATH_MAX + 1];
    bool temporary;
} rdg_local_dir_t;

/* `wanted` (made if absent, mode 0700) when it is short enough; else a new one under /tmp, of this user alone. */
rdg_err_t rdg_local_dir_open(const char *wanted, rdg_local_dir_t *out);
/* The path of a socket in it: name has at most RDG_LOCAL_NAME_MAX bytes (asserted). */
void rdg_local_dir_socket(const rdg_local_dir_t *d, const char *name, char out[RDG_LOCAL_PATH_MAX + 1]);
/* Removes a temporary one with what is in it. */
void rdg_local_dir_close(rdg_local_dir_t *d);

#ifdef __cplusplus
}
#endif
#endif
