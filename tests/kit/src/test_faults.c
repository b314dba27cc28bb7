#include "ridge/test_faults.h"
#include "ridge/base/file.h"
#include "ridge/base/random.h"
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

#define FILES_MAX 1024
#define NAMES_MAX 4096
#define OLD_MAX 16384
#define OLD_BYTES_MAX (64u << 20)

typedef struct dirty_file {
    ino_t ino;
    off_t synced;
    char path[PATH_MAX], also[PATH_MAX]; /* also: where it was linked to, if it was */
} dirty_file_t;

/* How a change of names is undone: `now` goes (empty: nothing does), `kept` comes to `before`. */
typedef struct undo {
    char now[PATH_MAX], kept[PATH_MAX], before[PATH_MAX];
    bool directory; /* an empty one that was `before` */
    bool whole;     /* a directory with all that is in it: `now` goes back to `before` */
} undo_t;

/* Bytes that were synced once, and were changed since. */
typedef struct old_bytes {
    ino_t ino;
    off_t at;
    size_t len;
    uint8_t *bytes;
} old_bytes_t;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    char dir[PATH_MAX], attic[PATH_MAX];
    rdg_fault_t fault;
    unsigned long at, count, kept;
    bool armed;
    pid_t owner;
    dirty_file_t files[FILES_MAX];
    size_t file_count;
    undo_t *undo;
    size_t undo_count;
    old_bytes_t *old;
    size_t old_count, old_sum;
} state;

/* The C library's own. They are looked up before main: dlsym waits for a lock, which in a fork of a program with threads
 * nobody may ever give back. */
/* clang-format off */
#define REALS(X) \
    X(fallocate) X(fdatasync) X(fsync) X(ftruncate) X(link) X(mkdir) X(mkostemp) X(open) X(open64) X(pwrite) X(rename) X(syncfs) \
    X(unlink) X(unlinkat) X(write)
/* clang-format on */
#define REAL_DECLARE(name) static void *real_##name;
#define REAL_FIND(name) real_##name = dlsym(RTLD_NEXT, #name);
#define REAL(name) ((__typeof__(&name))(uintptr_t)(real_##name ? real_##name : dlsym(RTLD_NEXT, #name)))
REALS(REAL_DECLARE)

__attribute__((constructor)) static void find_reals(void) {
    REALS(REAL_FIND)
}

/* Only the process that was armed is watched: a fork of it has the lock as it happened to be, and is about to become another
 * program. */
static _Thread_local bool held;

static bool hold(void) {
    if (!__atomic_load_n(&state.armed, __ATOMIC_ACQUIRE) || state.owner != getpid()) return false;
    pthread_mutex_lock(&lock);
    held = true;
    return state.armed;
}

static void release(void) {
    if (!held) return;
    held = false;
    pthread_mutex_unlock(&lock);
}

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
    f->also[0] = '\0';
    snprintf(f->path, sizeof f->path, "%s", path);
    return f;
}

/* One of its names that it still has; NULL: none. */
static const char *name_of(const dirty_file_t *f, struct stat *st) {
    if (stat(f->path, st) == 0 && st->st_ino == f->ino) return f->path;
    return f->also[0] && stat(f->also, st) == 0 && st->st_ino == f->ino ? f->also : NULL;
}

static ssize_t read_at(const char *path, void *out, size_t len, off_t at) {
    int fd = REAL(open)(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? pread(fd, out, len, at) : -1;
    if (fd >= 0) close(fd);
    return n;
}

/* What is about to be overwritten, or cut away, below the end of what was synced. */
static void keep_old(dirty_file_t *f, off_t at, off_t len) {
    if (!f || at < 0 || len <= 0 || at >= f->synced) return;
    if (len > f->synced - at) len = f->synced - at;
    if (state.old_count == OLD_MAX || state.old_sum + (size_t)len > OLD_BYTES_MAX) abort();
    old_bytes_t *o = &state.old[state.old_count++];
    *o = (old_bytes_t){.ino = f->ino, .at = at, .len = (size_t)len, .bytes = malloc((size_t)len)};
    struct stat st;
    const char *name = name_of(f, &st);
    if (!o->bytes || !name || read_at(name, o->bytes, o->len, at) != (ssize_t)o->len) abort();
    state.old_sum += o->len;
}

static void forget_old(const ino_t *ino) {
    size_t left = 0;
    for (size_t i = 0; i < state.old_count; ++i) {
        if (ino && state.old[i].ino != *ino) {
            state.old[left++] = state.old[i];
            continue;
        }
        state.old_sum -= state.old[i].len;
        free(state.old[i].bytes);
    }
    state.old_count = left;
}

static void restore_old(void) {
    while (state.old_count > 0) {
        const old_bytes_t *o = &state.old[--state.old_count];
        for (size_t i = 0; i < state.file_count; ++i) {
            struct stat st;
            const dirty_file_t *f = &state.files[i];
            const char *name = f->ino == o->ino ? name_of(f, &st) : NULL;
            if (!name) continue;
            int fd = REAL(open)(name, O_WRONLY | O_CLOEXEC);
            if (fd < 0 || REAL(pwrite)(fd, o->bytes, o->len, o->at) != (ssize_t)o->len) abort();
            close(fd);
        }
    }
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
    if (REAL(link)(path, u->kept) != 0) u->kept[0] = '\0';
}

static void zero_unsynced(void) {
    for (size_t i = 0; i < state.file_count; ++i) {
        struct stat st;
        const char *name = name_of(&state.files[i], &st);
        off_t synced = state.files[i].synced;
        if (!name || st.st_size <= synced) continue;
        if (truncate(name, synced) != 0 || truncate(name, st.st_size) != 0) abort();
    }
}

static void moved_name(char path[PATH_MAX], const char *from, const char *to) {
    size_t len = strlen(from), head = strlen(to);
    if (strncmp(path, from, len) != 0 || (path[len] && path[len] != '/')) return;
    size_t rest = strlen(path + len) + 1;
    if (head + rest > PATH_MAX) abort();
    memmove(path + head, path + len, rest);
    memcpy(path, to, head);
}

/* A rename moves what is known of a file, or of those in a directory, to its new name. */
static void moved(const char *from, const char *to) {
    for (size_t i = 0; i < state.file_count; ++i) {
        moved_name(state.files[i].path, from, to);
        moved_name(state.files[i].also, from, to);
    }
}

static void lose_unsynced(void) {
    while (state.undo_count > 0) {
        undo_t *u = &state.undo[--state.undo_count];
        if (u->whole) {
            if (REAL(rename)(u->now, u->before) != 0) abort();
            moved(u->now, u->before);
            continue;
        }
        if (u->now[0] && REAL(unlink)(u->now) != 0 && errno == EISDIR) (void)rmdir(u->now);
        if (u->directory) (void)REAL(mkdir)(u->before, 0700);
        if (u->kept[0]) (void)REAL(rename)(u->kept, u->before);
    }
    for (size_t i = 0; i < state.file_count; ++i) {
        struct stat st;
        const char *name = name_of(&state.files[i], &st);
        off_t synced = state.files[i].synced;
        if (name && st.st_size > synced && truncate(name, synced) != 0) abort();
    }
    restore_old();
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

/* --- the calls ------------------------------------------------------------------------------------------ */

/* Shared libraries find them only if they are seen from outside. */
#pragma GCC visibility push(default)

static int failed(int errnum) {
    release();
    errno = errnum;
    return -1;
}

#define WATCHED(full, is_below)                                                                              \
    char full[PATH_MAX];                                                                                     \
    bool ours = hold() && (is_below)

static void created(const char *path) {
    undo_t *u = remember();
    snprintf(u->now, sizeof u->now, "%s", path);
}

typedef int (*open_fn)(const char *, int, ...);

static int opened(open_fn real, const char *path, int flags, mode_t mode) {
    if (!(flags & O_CREAT)) return real(path, flags, mode);
    WATCHED(full, below(path, full));
    ours = ours && access(full, F_OK) != 0;
    if (ours && meets()) return failed(ENOSPC);
    int fd = real(path, flags, mode);
    int e = errno;
    if (ours && fd >= 0) {
        created(full);
        dirty_file_t *f = dirty(fd, full);
        if (f) f->synced = 0;
    }
    release();
    errno = e;
    return fd;
}

#define MODE_OF(flags, mode)                                                                                 \
    va_list rest;                                                                                            \
    va_start(rest, flags);                                                                                   \
    mode_t mode = (flags) & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;                                \
    va_end(rest)

int open(const char *path, int flags, ...) {
    MODE_OF(flags, mode);
    return opened(REAL(open), path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE_OF(flags, mode);
    return opened(REAL(open64), path, flags, mode);
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
    release();
    errno = e;
    return fd;
}

/* at < 0: where the file stands, which for one that is appended to is its end. */
static ssize_t written(int fd, const void *data, size_t len, off_t at) {
    WATCHED(full, fd_below(fd, full));
    if (ours) {
        dirty_file_t *f = dirty(fd, full);
        bool appends = at < 0 && (fcntl(fd, F_GETFL) & O_APPEND);
        if (!appends) keep_old(f, at < 0 ? lseek(fd, 0, SEEK_CUR) : at, (off_t)len);
        size_t half = len / 2;
        if (tears()) (void)!(at < 0 ? REAL(write)(fd, data, half) : REAL(pwrite)(fd, data, half, at));
        if (meets()) return failed(ENOSPC);
    }
    ssize_t n = at < 0 ? REAL(write)(fd, data, len) : REAL(pwrite)(fd, data, len, at);
    int e = errno;
    release();
    errno = e;
    return n;
}

ssize_t write(int fd, const void *data, size_t len) {
    return written(fd, data, len, -1);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at) {
    return at < 0 ? REAL(pwrite)(fd, data, len, at) : written(fd, data, len, at);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at) {
    return pwrite(fd, data, len, at);
}

/* Room that is only taken before it is written changes nothing that is read: only holes are counted. */
static int allocated(int fd, int mode, off_t at, off_t len) {
    if (!(mode & FALLOC_FL_PUNCH_HOLE)) return REAL(fallocate)(fd, mode, at, len);
    WATCHED(full, fd_below(fd, full));
    dirty_file_t *f = ours ? dirty(fd, full) : NULL;
    if (ours) keep_old(f, at, len);
    if (ours && meets()) return failed(EIO);
    int r = REAL(fallocate)(fd, mode, at, len);
    int e = errno;
    release();
    errno = e;
    return r;
}

int fallocate(int fd, int mode, off_t at, off_t len) {
    return allocated(fd, mode, at, len);
}

int fallocate64(int fd, int mode, off64_t at, off64_t len) {
    return allocated(fd, mode, at, len);
}

static int cut_to(int fd, off_t len) {
    WATCHED(full, fd_below(fd, full));
    dirty_file_t *f = ours ? dirty(fd, full) : NULL;
    if (f && f->synced > len) keep_old(f, len, f->synced - len);
    if (ours && meets()) return failed(EIO);
    if (f && f->synced > len) f->synced = len;
    release();
    return REAL(ftruncate)(fd, len);
}

int ftruncate(int fd, off_t len) {
    return cut_to(fd, len);
}

int ftruncate64(int fd, off64_t len) {
    return cut_to(fd, len);
}

/* all: also every change of names before it. */
static int synced(int fd, bool all, int (*real)(int)) {
    WATCHED(full, fd_below(fd, full));
    if (ours && meets()) return failed(EIO);
    if (ours) {
        struct stat st;
        dirty_file_t *f = dirty(fd, full);
        if (fstat(fd, &st) == 0) f->synced = st.st_size;
        forget_old(&f->ino);
        for (size_t i = 0; i < state.undo_count; ++i) all = all || strcmp(state.undo[i].now, full) == 0;
        if (all) state.undo_count = 0;
    }
    release();
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
    if (ours) {
        forget_old(NULL);
        state.undo_count = state.file_count = 0;
    }
    release();
    return ours ? 0 : REAL(syncfs)(fd);
}

/* Undone from the end: the old target comes back after the new one has its old name again. */
static void renaming(const char *from, const char *to) {
    struct stat st;
    undo_t *target = remember();
    if (access(to, F_OK) == 0) keep(target, to);
    undo_t *back = remember();
    back->whole = stat(from, &st) == 0 && S_ISDIR(st.st_mode);
    if (back->whole)
        snprintf(back->before, sizeof back->before, "%s", from);
    else
        keep(back, from);
    snprintf(back->now, sizeof back->now, "%s", to);
    moved(from, to);
}

int rename(const char *from, const char *to) {
    char source[PATH_MAX];
    WATCHED(full, below(to, full) && below(from, source));
    if (ours && meets()) return failed(EIO);
    if (ours) renaming(source, full);
    int r = REAL(rename)(from, to);
    int e = errno;
    release();
    errno = e;
    return r;
}

/* The other name goes when it is undone; of a file that has two already, the first is forgotten. */
static void linked(const char *from, const char *to) {
    struct stat st;
    created(to);
    for (size_t i = 0; stat(from, &st) == 0 && i < state.file_count; ++i) {
        dirty_file_t *f = &state.files[i];
        if (f->ino != st.st_ino) continue;
        snprintf(f->path, sizeof f->path, "%s", from);
        snprintf(f->also, sizeof f->also, "%s", to);
    }
}

int link(const char *from, const char *to) {
    char source[PATH_MAX];
    WATCHED(full, below(to, full) && below(from, source));
    ours = ours && access(full, F_OK) != 0;
    if (ours && meets()) return failed(EIO);
    int r = REAL(link)(from, to);
    int e = errno;
    if (ours && r == 0) linked(source, full);
    release();
    errno = e;
    return r;
}

int unlink(const char *path) {
    WATCHED(full, below(path, full));
    ours = ours && access(full, F_OK) == 0;
    if (ours && meets()) return failed(EIO);
    if (ours) keep(remember(), full);
    release();
    return REAL(unlink)(path);
}

int unlinkat(int at, const char *name, int flags) {
    char path[PATH_MAX], place[64];
    snprintf(place, sizeof place, "/proc/self/fd/%d", at);
    ssize_t n = name[0] == '/' || at == AT_FDCWD ? 0 : readlink(place, path, sizeof path - 1);
    snprintf(path + n, sizeof path - (size_t)n, "%s%s", n > 0 ? "/" : "", name);
    WATCHED(full, n >= 0 && below(path, full));
    ours = ours && faccessat(at, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    if (ours && meets()) return failed(EIO);
    bool directory = (flags & AT_REMOVEDIR) != 0;
    if (ours && !directory) keep(remember(), full);
    int r = REAL(unlinkat)(at, name, flags);
    int e = errno;
    if (ours && directory && r == 0) {
        undo_t *u = remember();
        u->directory = true;
        snprintf(u->before, sizeof u->before, "%s", full);
    }
    release();
    errno = e;
    return r;
}

int mkdir(const char *path, mode_t mode) {
    WATCHED(full, below(path, full));
    ours = ours && access(full, F_OK) != 0;
    if (ours && meets()) return failed(ENOSPC);
    int r = REAL(mkdir)(path, mode);
    int e = errno;
    if (ours && r == 0) created(full);
    release();
    errno = e;
    return r;
}

#pragma GCC visibility pop

/* --- for tests -------------------------------------------------------------------------------------------- */

void rdg_test_faults_arm(const char *dir, rdg_fault_t fault, unsigned long n) {
    if (!realpath(dir, state.dir)) abort();
    snprintf(state.attic, sizeof state.attic, "%.*s.attic", PATH_MAX - 16, state.dir);
    (void)mkdir(state.attic, 0700);
    if (!state.undo && !(state.undo = calloc(NAMES_MAX, sizeof *state.undo))) abort();
    if (!state.old && !(state.old = calloc(OLD_MAX, sizeof *state.old))) abort();
    pthread_mutex_lock(&lock);
    forget_old(NULL);
    state.file_count = state.undo_count = 0;
    state.fault = fault;
    state.at = n;
    state.count = 0;
    state.owner = getpid();
    __atomic_store_n(&state.armed, true, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&lock);
}

unsigned long rdg_test_faults_disarm(void) {
    pthread_mutex_lock(&lock);
    __atomic_store_n(&state.armed, false, __ATOMIC_RELEASE);
    unsigned long n = state.count;
    pthread_mutex_unlock(&lock);
    return n;
}

const char *rdg_test_fault_name(rdg_fault_t fault) {
    static const char *const names[] = {"none", "fail", "torn", "kill", "cut-torn", "cut-zero", "cut-lost"};
    return fault < RDG_FAULT_LIMIT_ ? names[fault] : "?";
}

/* Runs it in a child; the status of waitpid. */
static int in_child(const rdg_test_faults_fn *act, const char *dir, rdg_fault_t fault, unsigned long n,
                    unsigned char *shared) {
    pid_t child = fork();
    if (child == 0) {
        if (fault != RDG_FAULT_LIMIT_) rdg_test_faults_arm(dir, fault, n);
        (*act)(dir, shared);
        unsigned long count = fault != RDG_FAULT_LIMIT_ ? rdg_test_faults_disarm() : 0;
        memcpy(shared + RDG_TEST_ACKNOWLEDGED, &count, sizeof count);
        _exit(0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) abort();
    return status;
}

static unsigned long counted(const unsigned char *shared) {
    unsigned long n;
    memcpy(&n, shared + RDG_TEST_ACKNOWLEDGED, sizeof n);
    return n;
}

/* One act with a fault, and what is checked after it. True: it went through without meeting the fault. */
static bool one(const rdg_test_faults_plan_t *p, const char *dir, rdg_fault_t fault, unsigned long n,
                unsigned char *shared) {
    char attic[PATH_MAX + 8];
    const char *name = rdg_test_fault_name(fault);
    snprintf(attic, sizeof attic, "%s.attic", dir);
    memset(shared, 0, RDG_TEST_ACKNOWLEDGED + sizeof n);
    CHECK_OK(rdg_dir_make(dir, 0700));
    if (p->prepare && in_child(&p->prepare, dir, RDG_FAULT_LIMIT_, 0, shared) != 0)
        rdg_test_fail(__FILE__, __LINE__, "what is prepared before %s at call %lu", name, n);
    int status = in_child(&p->act, dir, fault, n, shared);
    bool cut = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && fault >= RDG_FAULT_KILL;
    bool aborted = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && p->may_abort;
    if (!cut && !aborted && status != 0)
        rdg_test_fail(__FILE__, __LINE__, "%s at call %lu: the act ended with status %x", name, n,
                      (unsigned)status);
    bool through = !cut && !aborted && counted(shared) < n;
    unsigned long calls = counted(shared);
    if (in_child(&p->check, dir, RDG_FAULT_LIMIT_, 0, shared) != 0)
        rdg_test_fail(__FILE__, __LINE__, "after %s at call %lu", name, n);
    memcpy(shared + RDG_TEST_ACKNOWLEDGED, &calls, sizeof calls);
    CHECK_OK(rdg_tree_remove(dir, NULL));
    CHECK_OK(rdg_tree_remove(attic, NULL));
    return through;
}

void rdg_test_faults_walk(const rdg_test_faults_plan_t *p) {
    unsigned char *shared = mmap(NULL, RDG_TEST_ACKNOWLEDGED + sizeof(unsigned long), PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const char *wish = getenv("RIDGE_FAULTS");
    unsigned sample = wish && strcmp(wish, "all") == 0 ? 0 : p->sample;
    unsigned long step = 1, total = 0, tried = 0;
    char dir[PATH_MAX];
    if (shared == MAP_FAILED) abort();
    snprintf(dir, sizeof dir, "%s/faults", rdg_test_dir());
    if (sample > 0) {
        (void)one(p, dir, RDG_FAULT_NONE, 0, shared);
        total = counted(shared);
        step = total / sample > 0 ? total / sample : 1;
    }
    for (int fault = (int)p->first; fault <= (int)p->last; ++fault) {
        unsigned long n = 1 + (unsigned long)rdg_random_below(rdg_test_random(), step);
        for (bool through = false; !through && (sample == 0 || n <= total); n += step, ++tried)
            through = one(p, dir, (rdg_fault_t)fault, n, shared);
    }
    if (sample > 0) printf("tried %lu faults; an act has %lu calls\n", tried, total);
    (void)munmap(shared, RDG_TEST_ACKNOWLEDGED + sizeof(unsigned long));
}

void rdg_test_faults_each(rdg_fault_t first, rdg_fault_t last, rdg_test_faults_fn act,
                          rdg_test_faults_fn check) {
    rdg_test_faults_walk(&(rdg_test_faults_plan_t){.first = first, .last = last, .act = act, .check = check});
}
