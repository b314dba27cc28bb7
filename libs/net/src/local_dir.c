#include "ridge/net/local_dir.h"
#include "ridge/base/assert.h"
#include "ridge/base/file.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

rdg_err_t rdg_local_dir_open(const char *wanted, rdg_local_dir_t *out) {
    memset(out, 0, sizeof *out);
    if (wanted[0] == '/' && strlen(wanted) + 1 + RDG_LOCAL_NAME_MAX <= RDG_LOCAL_PATH_MAX) {
        memcpy(out->path, wanted, strlen(wanted) + 1);
        return rdg_dir_make(out->path, 0700);
    }
    snprintf(out->path, sizeof out->path, "/tmp/ridge-XXXXXX");
    if (!mkdtemp(out->path)) return rdg_fail_errno(errno, "cannot make a directory for sockets in /tmp");
    out->temporary = true;
    return RDG_OK;
}

void rdg_local_dir_socket(const rdg_local_dir_t *d, const char *name, char out[RDG_LOCAL_PATH_MAX + 1]) {
    size_t dir = strlen(d->path), len = strlen(name);
    RDG_ASSERT(len <= RDG_LOCAL_NAME_MAX && dir + 1 + len <= RDG_LOCAL_PATH_MAX);
    memcpy(out, d->path, dir);
    out[dir] = '/';
    memcpy(out + dir + 1, name, len + 1);
}

void rdg_local_dir_close(rdg_local_dir_t *d) {
    if (d->temporary) (void)rdg_tree_remove(d->path, NULL);
    d->temporary = false;
}
