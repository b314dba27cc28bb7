#include "ridge/test_faults.h"
#include "ridge/base/file.h"
#include "ridge/test.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILES_MAX 512
#define NAMES_MAX 1024

typedef struct dirty_file {
    ino_t ino;
    off_t synced;
    char path[PATH_MAX];
} dirty_file_t;

/* How a change of names is undone: `now` goes (empty: nothing does), `kept` comes to `before`. */
typedef struct undo {
    char now[PATH_MAX], kept[PATH_MAX], before[PATH_MAX];
} undo_t;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    char dir[PATH_MAX], attic[PATH_MAX];
    rdg_fault_t fault;
    unsigned long at, count, kept;
    bool armed;
    dirty_file_t files[FILES_MAX];
    size_t file_count;
    undo_t *undo;
    size_t undo_count;
} state;

#define REAL(name) ((__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name))

static bool below(const char *path, char full[PATH_MAX]) {
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (!slash) return false;
    snprintf(dir, sizeof dir, "%.*s", (int)(slash - path), path);
    if (!realpath(slash == path ? "/" : dir, full)) return false;
    size_t len = strlen(full), want = strlen(state.dir);
    snprintf(full + len, PATH_MAX - len, "%s", slash);
    return strncmp(full, state.dir, want) == 0 && (full[want] == '/' || !full[want]);
}

static bool fd_below(int fd, char full[PATH_MAX]) {
    char link[64];
    struct stat st;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, full, PATH_MAX - 1);
    if (n <= 0 || fstat(fd, &st) != 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))) return false;
    full[n] = '\0';
    size_t want = strlen(state.dir);
    return strncmp(full, state.dir, want) == 0 && (full[want] == '/' || !full[want]);
}

/* --- what a cut leaves -------------------------------------------------------------------------------- */

static dirty_file_t *dirty(int fd, const char *path) {
    struct stat st;
    if (fstat(fd, &st) != 0) return NULL;
    for (size_t i = 0; i < state.file_count; ++i)
        if (state.files[i].ino == st.st_ino) return &state.files[i];
    if (state.file_count == FILES_MAX) abort();
    dirty_file_t *f = &state.files[state.file_count++];
    f->ino = st.st_ino;
    f->synced = st.st_size;
    snprintf(f->path, sizeof f->path, "%s", path);
    return f;
}

static undo_t *remember(void) {
    if (state.undo_count == NAMES_MAX) abort();
    undo_t *u = &state.undo[state.undo_count++];
    memset(u, 0, sizeof *u);
    return u;
}

static void keep(undo_t *u, const char *path) {
    snprintf(u->kept, sizeof u->kept, "%.*s/%lu", PATH_MAX - 32, state.attic, ++state.kept);
    snprintf(u->before, sizeof u->before, "%s", path);
    if (link(path, u->kept) != 0) u->kept[0] = '\0';
}

static void zero_unsynced(void) {
    for (size_t i = 0; i < state.file_count; ++i) {
        struct stat st;
        if (stat(state.files[i].path, &st) != 0 || st.st_ino != state.files[i].ino) continue;
        off_t synced = state.files[i].synced;
        if (st.st_size <= synced) continue;
        if (truncate(state.files[i].path, synced) != 0 || truncate(state.files[i].path, st.st_size) != 0)
            abort();
    }
}

static void lose_unsynced(void) {
    while (state.undo_count > 0) {
        undo_t *u = &state.undo[--state.undo_count];
        if (u->now[0] && REAL(unlink)(u->now) != 0 && errno == EISDIR) (void)rmdir(u->now);
        if (u->kept[0]) (void)REAL(rename)(u->kept, u->before);
    }
    for (size_t i = 0; i < state.file_count; ++i) {
        struct stat st;
        if (stat(state.files[i].path, &st) == 0 && st.st_ino == state.files[i].ino &&
            st.st_size > state.files[i].synced && truncate(state.files[i].path, state.files[i].synced) != 0)
            abort();
    }
}

/* Counts a call; true: it is to fail. */
static bool meets(void) {
    if (++state.count != state.at) return false;
    switch (state.fault) {
    case RDG_FAULT_FAIL:
    case RDG_FAULT_TORN: return true;
    case RDG_FAULT_CUT_ZERO: zero_unsynced(); break;
    case RDG_FAULT_CUT_LOST: lose_unsynced(); break;
    case RDG_FAULT_KILL:
    case RDG_FAULT_CUT_TORN: break;
    default: return false;
    }
    (void)kill(getpid(), SIGKILL);
    return true;
}

static bool tears(void) {
    return state.count + 1 == state.at &&
           (state.fault == RDG_FAULT_TORN || state.fault == RDG_FAULT_CUT_TORN);
}

/* A rename moves what is known of a file to its new name. */
static void moved(const char *from, const char *to) {
    for (size_t i = 0; i < state.file_count; ++i)
        if (strcmp(state.files[i].path, from) == 0) snprintf(state.files[i].path, PATH_MAX, "%s", to);
}

/* --- the calls ------------------------------------------------------------------------------------------ */

static int failed(int errnum) {
    pthread_mutex_unlock(&lock);
    errno = errnum;
    return -1;
}

#define WATCHED(full, is_below)                                                                              \
    char full[PATH_MAX];                                                                                     \
    pthread_mutex_lock(&lock);                                                                               \
    bool ours = state.armed && (is_below)

static void created(const char *path) {
    undo_t *u = remember();
    snprintf(u->now, sizeof u->now, "%s", path);
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if (!(flags & O_CREAT)) return REAL(open)(path, flags, mode);
    WATCHED(full, below(path, full));
    ours = ours && access(full, F_OK) != 0;
    if (ours && meets()) return failed(ENOSPC);
    int fd = REAL(open)(path, flags, mode);
    int e = errno;
    if (ours && fd >= 0) {
        created(full);
        (void)dirty(fd, full);
    }
    pthread_mutex_unlock(&lock);
    errno = e;
    return fd;
}

int mkostemp(char *template, int flags) {
    WATCHED(full, below(template, full));
    if (ours && meets()) return failed(ENOSPC);
    int fd = REAL(mkostemp)(template, flags);
    int e = errno;
    if (ours && fd >= 0 && below(template, full)) {
        created(full);
        (void)dirty(fd, full);
    }
    pthread_mutex_unlock(&lock);
    errno = e;
    return fd;
}

ssize_t write(int fd, const void *data, size_t len) {
    WATCHED(full, fd_below(fd, full));
    if (!ours) {
        pthread_mutex_unlock(&lock);
        return REAL(write)(fd, data, len);
    }
    (void)dirty(fd, full);
    if (tears()) (void)!REAL(write)(fd, data, len / 2);
    if (meets()) return failed(ENOSPC);
    ssize_t n = REAL(write)(fd, data, len);
    int e = errno;
    pthread_mutex_unlock(&lock);
    errno = e;
    return n;
}

int ftruncate(int fd, off_t len) {
    WATCHED(full, fd_below(fd, full));
    dirty_file_t *f = ours ? dirty(fd, full) : NULL;
    if (ours && meets()) return failed(EIO);
    if (f && f->synced > len) f->synced = len;
    pthread_mutex_unlock(&lock);
    return REAL(ftruncate)(fd, len);
}

/* all: also every change of names before it. */
static int synced(int fd, bool all, int (*real)(int)) {
    WATCHED(full, fd_below(fd, full));
    if (ours && meets()) return failed(EIO);
    if (ours) {
        struct stat st;
        dirty_file_t *f = dirty(fd, full);
        if (fstat(fd, &st) == 0) f->synced = st.st_size;
        for (size_t i = 0; i < state.undo_count; ++i) all = all || strcmp(state.undo[i].now, full) == 0;
        if (all) state.undo_count = 0;
    }
    pthread_mutex_unlock(&lock);
    return ours ? 0 : real(fd);
}

int fsync(int fd) {
    return synced(fd, true, REAL(fsync));
}

int fdatasync(int fd) {
    return synced(fd, false, REAL(fdatasync));
}

int syncfs(int fd) {
    WATCHED(full, fd_below(fd, full));
    if (ours && meets()) return failed(EIO);
    if (ours) state.undo_count = state.file_count = 0;
    pthread_mutex_unlock(&lock);
    return ours ? 0 : REAL(syncfs)(fd);
}

int rename(const char *from, const char *to) {
    char source[PATH_MAX];
    WATCHED(full, below(to, full) && below(from, source));
    if (ours && meets()) return failed(EIO);
    if (ours) {
        /* Undone from the end: the old target comes back after the new one has its old name again. */
        undo_t *target = remember();
        if (access(full, F_OK) == 0) keep(target, full);
        undo_t *back = remember();
        keep(back, source);
        snprintf(back->now, sizeof back->now, "%s", full);
        moved(source, full);
    }
    int r = REAL(rename)(from, to);
    int e = errno;
    pthread_mutex_unlock(&lock);
    errno = e;
    return r;
}

int unlink(const char *path) {
    WATCHED(full, below(path, full));
    ours = ours && access(full, F_OK) == 0;
    if (ours && meets()) return failed(EIO);
    if (ours) keep(remember(), full);
    pthread_mutex_unlock(&lock);
    return REAL(unlink)(path);
}

int mkdir(const char *path, mode_t mode) {
    WATCHED(full, below(path, full));
    ours = ours && access(full, F_OK) != 0;
    if (ours && meets()) return failed(ENOSPC);
    int r = REAL(mkdir)(path, mode);
    int e = errno;
    if (ours && r == 0) created(full);
    pthread_mutex_unlock(&lock);
    errno = e;
    return r;
}

/* --- for tests -------------------------------------------------------------------------------------------- */

void rdg_test_faults_arm(const char *dir, rdg_fault_t fault, unsigned long n) {
    if (!realpath(dir, state.dir)) abort();
    snprintf(state.attic, sizeof state.attic, "%.*s.attic", PATH_MAX - 16, state.dir);
    (void)mkdir(state.attic, 0700);
    if (!state.undo && !(state.undo = calloc(NAMES_MAX, sizeof *state.undo))) abort();
    pthread_mutex_lock(&lock);
    state.file_count = state.undo_count = 0;
    state.fault = fault;
    state.at = n;
    state.count = 0;
    state.armed = true;
    pthread_mutex_unlock(&lock);
}

unsigned long rdg_test_faults_disarm(void) {
    pthread_mutex_lock(&lock);
    state.armed = false;
    unsigned long n = state.count;
    pthread_mutex_unlock(&lock);
    return n;
}

const char *rdg_test_fault_name(rdg_fault_t fault) {
    static const char *const names[] = {"none", "fail", "torn", "kill", "cut-torn", "cut-zero", "cut-lost"};
    return fault < RDG_FAULT_LIMIT_ ? names[fault] : "?";
}

/* True: the act went through without meeting the fault. */
static bool one_act(const char *dir, rdg_fault_t fault, unsigned long n, rdg_test_faults_fn act,
                    unsigned char *acknowledged) {
    pid_t child = fork();
    if (child == 0) {
        rdg_test_faults_arm(dir, fault, n);
        act(dir, acknowledged);
        _exit(rdg_test_faults_disarm() >= n ? 0 : 44);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) abort();
    if (WIFEXITED(status) && WEXITSTATUS(status) == 44) return true;
    bool cut = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && fault >= RDG_FAULT_KILL;
    if (!cut && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
        rdg_test_fail(__FILE__, __LINE__, "%s at call %lu: the act ended with status %x",
                      rdg_test_fault_name(fault), n, (unsigned)status);
    return false;
}

static void one_check(const char *dir, rdg_fault_t fault, unsigned long n, rdg_test_faults_fn check,
                      unsigned char *acknowledged) {
    pid_t child = fork();
    if (child == 0) {
        check(dir, acknowledged);
        _exit(0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) abort();
    if (status != 0) rdg_test_fail(__FILE__, __LINE__, "after %s at call %lu", rdg_test_fault_name(fault), n);
}

void rdg_test_faults_each(rdg_fault_t first, rdg_fault_t last, rdg_test_faults_fn act,
                          rdg_test_faults_fn check) {
    unsigned char *acknowledged =
        mmap(NULL, RDG_TEST_ACKNOWLEDGED, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char dir[PATH_MAX], attic[PATH_MAX + 8];
    if (acknowledged == MAP_FAILED) abort();
    snprintf(dir, sizeof dir, "%s/faults", rdg_test_dir());
    snprintf(attic, sizeof attic, "%s.attic", dir);
    for (int fault = (int)first; fault <= (int)last; ++fault) {
        bool through = false;
        for (unsigned long n = 1; !through; ++n) {
            memset(acknowledged, 0, RDG_TEST_ACKNOWLEDGED);
            CHECK_OK(rdg_dir_make(dir, 0700));
            through = one_act(dir, (rdg_fault_t)fault, n, act, acknowledged);
            one_check(dir, (rdg_fault_t)fault, n, check, acknowledged);
            CHECK_OK(rdg_tree_remove(dir, NULL));
            CHECK_OK(rdg_tree_remove(attic, NULL));
        }
    }
    (void)munmap(acknowledged, RDG_TEST_ACKNOWLEDGED);
}
