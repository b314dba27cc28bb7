#include "spawn.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ERROR_FD 3 /* in the child, until exec closes it */

static const char *const steps[] = {"fork",           "standard input", "output", "setsid",
                                    "change of user", "prctl",          "chdir",  "exec"};
enum { STEP_FORK, STEP_INPUT, STEP_OUTPUT, STEP_SESSION, STEP_USER, STEP_PRCTL, STEP_CWD, STEP_EXEC };

typedef struct failure {
    int step, why;
} failure_t;

typedef struct order {
    const spawn_t *spawn;
    pid_t pid;
    failure_t failure;
    bool done;
} order_t;

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    order_t *order; /* the one being carried out */
    pid_t owner;    /* the process whose thread runs; a fork of ours has none */
} spawner = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* Below here, up to exec, only functions that POSIX calls async-signal-safe: another thread of the parent may
 * have held any lock when it forked. */
static void child_fail(int step) {
    failure_t f = {step, errno};
    (void)!write(ERROR_FD, &f, sizeof f);
    _exit(127);
}

static void close_others(void) {
#ifdef SYS_close_range
    if (syscall(SYS_close_range, ERROR_FD + 1, ~0u, 0) == 0) return;
#endif
    long max = sysconf(_SC_OPEN_MAX);
    for (int fd = ERROR_FD + 1; fd < (max > 0 && max < 65536 ? max : 65536); ++fd) close(fd);
}

static void child_signals(void) {
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigset_t none;
    for (int i = 1; i < NSIG; ++i) (void)sigaction(i, &plain, NULL);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

__attribute__((noreturn)) static void child(const spawn_t *s, int error_fd, pid_t parent) {
    if (error_fd != ERROR_FD) dup2(error_fd, ERROR_FD);
    (void)fcntl(ERROR_FD, F_SETFD, FD_CLOEXEC);
    if (s->out_fd >= 0 && (dup2(s->out_fd, 1) < 0 || dup2(s->out_fd, 2) < 0)) child_fail(STEP_OUTPUT);
    int null_fd = open("/dev/null", O_RDWR);
    if (null_fd < 0 || dup2(null_fd, 0) < 0) child_fail(STEP_INPUT);
    if (s->new_session && setsid() < 0) child_fail(STEP_SESSION);
    /* The C library's would wait for the parent's other threads, which are on its list and not in this process. */
    if (s->change_user && (syscall(SYS_setgroups, s->group_count, s->groups) != 0 ||
                           syscall(SYS_setgid, s->gid) != 0 || syscall(SYS_setuid, s->uid) != 0))
        child_fail(STEP_USER);
    /* After the change of user, which clears it. */
    if (s->die_with_parent) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) child_fail(STEP_PRCTL);
        if (getppid() != parent) _exit(127); /* it died before prctl took effect */
    }
    if (s->cwd && chdir(s->cwd) != 0) child_fail(STEP_CWD);
    close_others();
    child_signals();
    execve(s->path, s->argv, s->env);
    child_fail(STEP_EXEC);
    _exit(127);
}

static void carry_out(order_t *o) {
    int fds[2];
    o->failure = (failure_t){STEP_FORK, 0};
    if (pipe2(fds, O_CLOEXEC) != 0) {
        o->failure.why = errno;
        return;
    }
    /* The child writes to ERROR_FD, which the output must not be overwritten by. */
    int write_fd = fcntl(fds[1], F_DUPFD_CLOEXEC, 16);
    close(fds[1]);
    /* Not fork: what libraries registered with pthread_atfork would run in the child, and may wait there for a lock that
     * a thread of the parent held. */
    pid_t parent = getpid(), pid = write_fd < 0 ? -1 : _Fork();
    if (pid == 0) child(o->spawn, write_fd, parent);
    if (pid < 0) o->failure.why = errno;
    if (write_fd >= 0) close(write_fd);
    failure_t got;
    ssize_t n;
    do n = read(fds[0], &got, sizeof got);
    while (n < 0 && errno == EINTR);
    close(fds[0]);
    if (pid > 0 && n == sizeof got) {
        o->failure = got;
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    o->pid = pid;
}

static void *spawner_run(void *arg) {
    (void)arg;
    pthread_mutex_lock(&spawner.mutex);
    for (;;) {
        while (!spawner.order || spawner.order->done) pthread_cond_wait(&spawner.changed, &spawner.mutex);
        carry_out(spawner.order);
        spawner.order->done = true;
        pthread_cond_broadcast(&spawner.changed);
    }
    return NULL;
}

/* With every signal blocked, so that handlers run on the program's own threads. */
static int start_spawner(void) {
    pthread_t thread;
    sigset_t all, old;
    if (spawner.owner == getpid()) return 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int why = pthread_create(&thread, NULL, spawner_run, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (why != 0) return why;
    pthread_detach(thread);
    spawner.owner = getpid();
    return 0;
}

int spawn_child(const spawn_t *s, pid_t *pid, const char **what) {
    order_t o = {.spawn = s};
    pthread_mutex_lock(&spawner.mutex);
    int why = start_spawner();
    if (why == 0) {
        while (spawner.order) pthread_cond_wait(&spawner.changed, &spawner.mutex);
        spawner.order = &o;
        pthread_cond_broadcast(&spawner.changed);
        while (!o.done) pthread_cond_wait(&spawner.changed, &spawner.mutex);
        spawner.order = NULL;
        pthread_cond_broadcast(&spawner.changed);
        why = o.failure.why;
    }
    pthread_mutex_unlock(&spawner.mutex);
    *pid = o.pid;
    *what = steps[o.failure.step];
    return why;
}
