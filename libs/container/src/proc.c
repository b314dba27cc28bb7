#include "proc.h"
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include "ridge/base/config.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILL_WAIT_MS 10000
#define ENVIRON_MAX (64u << 10)

static ssize_t read_small(const char *path, char *out, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    size_t len = 0;
    ssize_t n;
    while (len < size - 1 && (n = read(fd, out + len, size - 1 - len)) > 0) len += (size_t)n;
    close(fd);
    out[len] = '\0';
    return (ssize_t)len;
}

static rdg_err_t read_stat(pid_t pid, char *state, long *session, uint64_t *start_ticks) {
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    if (read_small(path, text, sizeof text) <= 0) return RDG_E_NOT_FOUND;
    /* The name in parentheses may hold anything, also a ')': fields are counted from the last one. */
    char *p = strrchr(text, ')');
    if (!p) return RDG_E_NOT_FOUND;
    char *save = NULL;
    int field = 2; /* the name */
    uint64_t sid = 0;
    bool ok = false;
    for (char *t = strtok_r(p + 1, " ", &save); t; t = strtok_r(NULL, " ", &save)) {
        ++field;
        if (field == 3) *state = t[0];
        if (field == 6 && rdg_parse_u64(t, &sid) != RDG_OK) break;
        if (field == 22) {
            ok = rdg_parse_u64(t, start_ticks) == RDG_OK;
            break;
        }
    }
    *session = (long)sid;
    return ok ? RDG_OK : RDG_E_NOT_FOUND;
}

rdg_err_t container_proc_identify(pid_t pid, container_proc_t *out) {
    char state;
    long session;
    uint64_t ticks;
    RDG_TRY(read_stat(pid, &state, &session, &ticks));
    if (state == 'Z' || state == 'X') return RDG_E_NOT_FOUND;
    *out = (container_proc_t){pid, ticks};
    return RDG_OK;
}

bool container_proc_alive(const container_proc_t *p) {
    container_proc_t now;
    return p->pid > 0 && container_proc_identify(p->pid, &now) == RDG_OK && now.start_ticks == p->start_ticks;
}

int container_proc_open(const container_proc_t *p) {
    if (p->pid <= 0) return -1;
    int fd = (int)syscall(SYS_pidfd_open, p->pid, 0);
    if (fd < 0) return -1;
    /* Compared after opening: from here on the descriptor cannot come to mean another process. */
    if (!container_proc_alive(p)) {
        close(fd);
        return -1;
    }
    return fd;
}

bool container_proc_ended(int pidfd, uint64_t timeout_ms) {
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + timeout_ms;
    for (;;) {
        uint64_t now = rdg_mono_ms(rdg_clock_system());
        struct pollfd p = {.fd = pidfd, .events = POLLIN};
        int n = poll(&p, 1, now < end ? (int)(end - now) : 0);
        if (n > 0) return true;
        if (n == 0 || errno != EINTR) return false;
    }
}

uint64_t container_proc_rss_kib(pid_t pid) {
    char path[64], text[128];
    uint64_t pages = 0;
    snprintf(path, sizeof path, "/proc/%ld/statm", (long)pid);
    char *save = NULL;
    if (read_small(path, text, sizeof text) <= 0 || !strtok_r(text, " ", &save)) return 0;
    const char *resident = strtok_r(NULL, " ", &save);
    if (!resident || rdg_parse_u64(resident, &pages) != RDG_OK) return 0;
    return pages * (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
}

int container_proc_reap(pid_t pid) {
    int status;
    return waitpid(pid, &status, WNOHANG) == pid ? status : -1;
}

rdg_err_t container_proc_stop(const container_proc_t *p, uint64_t grace_ms) {
    int fd = container_proc_open(p);
    if (fd < 0) return RDG_OK;
    bool ended = false;
    if (grace_ms > 0) {
        (void)syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0);
        ended = container_proc_ended(fd, grace_ms);
    }
    if (!ended) {
        (void)syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
        ended = container_proc_ended(fd, KILL_WAIT_MS);
    }
    close(fd);
    if (ended) return RDG_OK;
    return rdg_fail(RDG_E_TIMEOUT,
                    "process %ld does not end after SIGKILL: it hangs in the kernel, see its stack",
                    (long)p->pid);
}

/* One that has none is in the middle of becoming another program, and will show it: *patience times 10 ms are waited in
 * all. */
static bool environ_holds(const container_proc_t *p, const char *mark, char *text, unsigned *patience) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/environ", (long)p->pid);
    ssize_t len;
    while ((len = read_small(path, text, ENVIRON_MAX)) == 0 && *patience > 0) {
        int pidfd = container_proc_open(p);
        --*patience;
        if (pidfd < 0) return false;
        bool ended = container_proc_ended(pidfd, 10);
        close(pidfd);
        if (ended) return false;
    }
    size_t mark_len = strlen(mark);
    for (ssize_t at = 0; at < len;) {
        size_t item = strlen(text + at);
        if (item == mark_len && memcmp(text + at, mark, item) == 0) return true;
        at += (ssize_t)item + 1;
    }
    return false;
}

rdg_err_t container_proc_find_marked(const char *mark, container_proc_t *out) {
    DIR *proc = opendir("/proc");
    char *text = rdg_alloc(ENVIRON_MAX);
    rdg_err_t err = RDG_E_NOT_FOUND;
    unsigned patience = 20;
    if (!proc || !text) {
        if (proc) closedir(proc);
        rdg_free(text);
        return rdg_fail(RDG_E_IO, "cannot list /proc: is it mounted?");
    }
    for (struct dirent *e; err != RDG_OK && (e = readdir(proc));) {
        uint64_t number = 0;
        if (rdg_parse_u64(e->d_name, &number) != RDG_OK || number > INT32_MAX) continue;
        pid_t pid = (pid_t)number;
        char state;
        long session;
        uint64_t ticks;
        if (pid <= 1 || read_stat(pid, &state, &session, &ticks) != RDG_OK || session != pid || state == 'Z')
            continue;
        const container_proc_t candidate = {pid, ticks};
        if (environ_holds(&candidate, mark, text, &patience)) {
            *out = candidate;
            err = RDG_OK;
        }
    }
    rdg_free(text);
    closedir(proc);
    return err;
}

void container_boot_id(char out[40]) {
    if (read_small("/proc/sys/kernel/random/boot_id", out, 40) < 36) snprintf(out, 40, "unknown");
    out[strcspn(out, "\n")] = '\0';
}
