#include "spawn.h"
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define POLL_INTERVAL_MS 20
#define ORPHANS_MAX 64
#define GROUPS_MAX 64

extern char **environ;

struct rdg_process {
    pid_t pid;
    int pidfd; /* -1: the kernel has none, wait by polling */
    pthread_mutex_t mutex;
    bool ended;
    int status;
};

/* Children that were freed while they ran. */
static struct {
    pthread_mutex_t mutex;
    pid_t pids[ORPHANS_MAX];
    size_t count;
} orphans = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void reap_orphans(void) {
    pthread_mutex_lock(&orphans.mutex);
    for (size_t i = 0; i < orphans.count;) {
        if (waitpid(orphans.pids[i], NULL, WNOHANG) != 0)
            orphans.pids[i] = orphans.pids[--orphans.count];
        else
            ++i;
    }
    pthread_mutex_unlock(&orphans.mutex);
}

static void add_orphan(pid_t pid) {
    pthread_mutex_lock(&orphans.mutex);
    if (orphans.count < ORPHANS_MAX) orphans.pids[orphans.count++] = pid;
    pthread_mutex_unlock(&orphans.mutex);
}

static rdg_err_t find_program(const char *name, char *out, size_t size) {
    if (!name || !*name) return rdg_fail(RDG_E_INVALID, "no program named");
    if (strchr(name, '/')) {
        if (snprintf(out, size, "%s", name) < (int)size) return RDG_OK;
        return rdg_fail(RDG_E_TOO_LARGE, "the path of program %.64s… is too long", name);
    }
    const char *path = getenv("PATH"), *more = ":/usr/sbin:/sbin";
    char all[4096];
    if (snprintf(all, sizeof all, "%s%s", path ? path : "/usr/bin:/bin", more) >= (int)sizeof all)
        return rdg_fail(RDG_E_TOO_LARGE, "PATH is too long to look for %s", name);
    char *rest = all;
    for (char *dir = strsep(&rest, ":"); dir; dir = strsep(&rest, ":")) {
        if (!*dir || rdg_path_join(out, size, dir, name) != RDG_OK) continue;
        if (access(out, X_OK) == 0) return RDG_OK;
    }
    return rdg_fail(RDG_E_NOT_FOUND, "program %s is not in PATH: install it or give its path", name);
}

static int open_pidfd(pid_t pid) {
#ifdef SYS_pidfd_open
    return (int)syscall(SYS_pidfd_open, pid, 0);
#else
    (void)pid;
    return -1;
#endif
}

static rdg_err_t set_user(spawn_t *s, const char *user, gid_t *groups, int max) {
    char text[4096];
    struct passwd entry, *found = NULL;
    int count = max;
    if (!user) return RDG_OK;
    if (getpwnam_r(user, &entry, text, sizeof text, &found) != 0 || !found)
        return rdg_fail(RDG_E_NOT_FOUND, "no user named %s on this machine", user);
    if (getgrouplist(user, entry.pw_gid, groups, &count) < 0)
        return rdg_fail(RDG_E_FULL, "user %s is in more than %d groups", user, max);
    s->change_user = true;
    s->uid = entry.pw_uid;
    s->gid = entry.pw_gid;
    s->groups = groups;
    s->group_count = (size_t)count;
    return RDG_OK;
}

static rdg_err_t start(const rdg_process_options_t *o, int out_fd, rdg_process_t *p) {
    char path[4096];
    const char *what;
    RDG_TRY(find_program(o->argv[0], path, sizeof path));
    spawn_t s = {.path = path,
                 .argv = (char *const *)(uintptr_t)o->argv,
                 .env = o->env ? (char *const *)(uintptr_t)o->env : environ,
                 .cwd = o->cwd,
                 .out_fd = out_fd,
                 .die_with_parent = o->die_with_parent,
                 .new_session = o->new_session};
    gid_t groups[GROUPS_MAX];
    RDG_TRY(set_user(&s, o->user, groups, GROUPS_MAX));
    int why = spawn_child(&s, &p->pid, &what);
    if (why == 0) {
        p->pidfd = open_pidfd(p->pid);
        return RDG_OK;
    }
    return rdg_fail_errno(why, "cannot start %s (%s)", path, what);
}

static rdg_err_t process_new(const rdg_process_options_t *o, int out_fd, rdg_process_t **out) {
    rdg_process_t *p = rdg_calloc(1, sizeof *p);
    if (!p) return rdg_fail(RDG_E_NO_MEMORY, "no memory to start %s", o->argv[0]);
    reap_orphans();
    rdg_err_t err = start(o, out_fd, p);
    if (err != RDG_OK) {
        rdg_free(p);
        return err;
    }
    pthread_mutex_init(&p->mutex, NULL);
    *out = p;
    return RDG_OK;
}

rdg_err_t rdg_process_start(const rdg_process_options_t *o, rdg_process_t **out) {
    int fd = -1;
    if (o->log_path) {
        int guard = o->log_no_link ? O_NOFOLLOW | O_NONBLOCK : 0;
        int low = open(o->log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | guard, 0640);
        if (low < 0 && errno == ELOOP && o->log_no_link)
            return rdg_fail(RDG_E_FORBIDDEN, "%s, the log of %s, is a link: remove it", o->log_path,
                            o->argv[0]);
        if (low < 0) return rdg_fail_errno(errno, "cannot open %s, the log of %s", o->log_path, o->argv[0]);
        fd = fcntl(low, F_DUPFD_CLOEXEC, 16);
        close(low);
        if (fd < 0) return rdg_fail_errno(errno, "cannot start %s", o->argv[0]);
    }
    rdg_err_t err = process_new(o, fd, out);
    if (fd >= 0) close(fd);
    return err;
}

pid_t rdg_process_pid(const rdg_process_t *p) {
    return p->pid;
}

bool rdg_process_alive(rdg_process_t *p, int *exit_status) {
    pthread_mutex_lock(&p->mutex);
    if (!p->ended) {
        pid_t got = waitpid(p->pid, &p->status, WNOHANG);
        /* ECHILD: somebody else took it; its status is lost. */
        p->ended = got == p->pid || (got < 0 && errno == ECHILD);
    }
    bool alive = !p->ended;
    if (!alive && exit_status) *exit_status = p->status;
    pthread_mutex_unlock(&p->mutex);
    reap_orphans();
    return alive;
}

static uint64_t now_ms(void) {
    return rdg_mono_ms(rdg_clock_system());
}

rdg_err_t rdg_process_wait(rdg_process_t *p, uint64_t timeout_ms, int *exit_status) {
    uint64_t start_ms = now_ms();
    while (rdg_process_alive(p, exit_status)) {
        uint64_t spent = now_ms() - start_ms;
        if (spent >= timeout_ms)
            return rdg_fail(RDG_E_TIMEOUT, "process %d still runs after %llu ms", (int)p->pid,
                            (unsigned long long)timeout_ms);
        uint64_t left = timeout_ms - spent, most = p->pidfd >= 0 ? 60000 : POLL_INTERVAL_MS;
        struct pollfd f = {p->pidfd, POLLIN, 0};
        (void)poll(&f, p->pidfd >= 0, (int)(left < most ? left : most));
    }
    return RDG_OK;
}

/* Under the lock that reaping takes, so that the number cannot have become another process's. */
static void send_signal(rdg_process_t *p, int number) {
    pthread_mutex_lock(&p->mutex);
    if (!p->ended) kill(p->pid, number);
    pthread_mutex_unlock(&p->mutex);
}

rdg_err_t rdg_process_stop(rdg_process_t *p, uint64_t grace_ms) {
    if (!rdg_process_alive(p, NULL)) return RDG_OK;
    send_signal(p, SIGTERM);
    if (rdg_process_wait(p, grace_ms, NULL) == RDG_OK) return RDG_OK;
    send_signal(p, SIGKILL);
    return rdg_process_wait(p, 10000, NULL);
}

void rdg_process_free(rdg_process_t *p) {
    if (!p) return;
    if (rdg_process_alive(p, NULL)) add_orphan(p->pid);
    if (p->pidfd >= 0) close(p->pidfd);
    pthread_mutex_destroy(&p->mutex);
    rdg_free(p);
}

pid_t rdg_process_detach(rdg_process_t *p) {
    pid_t pid = p->pid;
    if (p->pidfd >= 0) close(p->pidfd);
    pthread_mutex_destroy(&p->mutex);
    rdg_free(p);
    return pid;
}

void rdg_process_describe(int status, char *out, size_t size) {
    if (WIFSIGNALED(status))
        snprintf(out, size, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(out, size, "exit status %d", WEXITSTATUS(status));
}

typedef struct capture {
    char *output;
    size_t max, len;
    char tail[200]; /* the end of the output, for the message, also when output is full or absent */
    size_t tail_len;
} capture_t;

static void capture_add(capture_t *c, const char *bytes, size_t len) {
    size_t room = c->max > c->len + 1 ? c->max - c->len - 1 : 0, take = len < room ? len : room;
    if (take > 0) memcpy(c->output + c->len, bytes, take);
    c->len += take;
    size_t keep = len < sizeof c->tail ? sizeof c->tail - len : 0;
    if (keep > c->tail_len) keep = c->tail_len;
    memmove(c->tail, c->tail + c->tail_len - keep, keep);
    size_t last = len < sizeof c->tail ? len : sizeof c->tail;
    memcpy(c->tail + keep, bytes + len - last, last);
    c->tail_len = keep + last;
}

/* Until the end of output or the deadline; a grandchild may hold the pipe open after the child has ended. */
static rdg_err_t capture_all(capture_t *c, int fd, rdg_process_t *p, uint64_t deadline_ms) {
    char bytes[4096];
    for (;;) {
        uint64_t now = now_ms();
        if (now >= deadline_ms) return RDG_E_TIMEOUT;
        uint64_t left = deadline_ms - now;
        struct pollfd f = {fd, POLLIN, 0};
        int n = poll(&f, 1, (int)(left < 200 ? left : 200));
        if (n == 0 && !rdg_process_alive(p, NULL)) return RDG_OK;
        if (n <= 0) continue;
        ssize_t got = read(fd, bytes, sizeof bytes);
        if (got == 0 || (got < 0 && errno != EINTR)) return RDG_OK;
        if (got > 0) capture_add(c, bytes, (size_t)got);
    }
}

static rdg_err_t run_failed(const char *program, int status, capture_t *c) {
    char how[64];
    rdg_process_describe(status, how, sizeof how);
    while (c->tail_len > 0 && (c->tail[c->tail_len - 1] == '\n' || c->tail[c->tail_len - 1] == '\r'))
        --c->tail_len;
    size_t start = c->tail_len;
    while (start > 0 && c->tail[start - 1] != '\n') --start;
    return rdg_fail(RDG_E_IO, "%s: %s: %.*s", program, how, (int)(c->tail_len - start), c->tail + start);
}

rdg_err_t rdg_process_run(const char *const *argv, uint64_t timeout_ms, char *output, size_t max) {
    capture_t c = {.output = output, .max = max};
    rdg_process_options_t o = {.argv = argv, .die_with_parent = true};
    rdg_process_t *p;
    int fds[2], status = 0;
    uint64_t deadline_ms = now_ms() + timeout_ms;
    if (max > 0) output[0] = '\0';
    if (pipe2(fds, O_CLOEXEC) != 0) return rdg_fail_errno(errno, "cannot run %s", argv[0]);
    int write_fd = fcntl(fds[1], F_DUPFD_CLOEXEC, 16);
    close(fds[1]);
    rdg_err_t err =
        write_fd < 0 ? rdg_fail_errno(errno, "cannot run %s", argv[0]) : process_new(&o, write_fd, &p);
    if (write_fd >= 0) close(write_fd);
    if (err != RDG_OK) {
        close(fds[0]);
        return err;
    }
    err = capture_all(&c, fds[0], p, deadline_ms);
    uint64_t now = now_ms();
    if (err == RDG_OK) err = rdg_process_wait(p, deadline_ms > now ? deadline_ms - now : 0, &status);
    if (max > 0) output[c.len] = '\0';
    if (err != RDG_OK) {
        (void)rdg_process_stop(p, 0);
        err =
            rdg_fail(RDG_E_TIMEOUT, "%s did not end within %llu ms", argv[0], (unsigned long long)timeout_ms);
    } else if (status != 0) {
        err = run_failed(argv[0], status, &c);
    }
    rdg_process_free(p);
    close(fds[0]);
    return err;
}
