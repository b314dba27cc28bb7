/* fork and exec, by a thread that lives as long as the program (process.h, invariant 2). */
#ifndef RIDGE_NET_SPAWN_H
#define RIDGE_NET_SPAWN_H
#include "ridge/net/process.h"

typedef struct spawn {
    const char *path; /* of the program, absolute or with a slash */
    char *const *argv, *const *env;
    const char *cwd;
    int out_fd; /* for 1 and 2; -1: inherited */
    bool change_user;
    uid_t uid;
    gid_t gid;
    const gid_t *groups;
    size_t group_count;
    bool die_with_parent, new_session;
} spawn_t;

/* Returns 0 and the child, or the errno of what failed; *what then names it ("exec", "chdir", …). */
int spawn_child(const spawn_t *s, pid_t *pid, const char **what);

#endif
