#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>
#include "internal.h"
#include "ridge/base/config.h"

enum { FILE_BYTES = 256 * 1024, ROUNDS = 100, ROUND_US = 20000, MOUNTS_MAX = 64 };

/* As a string; what is behind FILE_BYTES is not seen. */
static size_t read_proc(const char *pid, const char *name, char *out) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%.20s/%s", pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    for (ssize_t n; fd >= 0 && len < FILE_BYTES && (n = read(fd, out + len, FILE_BYTES - len)) > 0;)
        len += (size_t)n;
    if (fd >= 0) close(fd);
    out[len] = '\0';
    return len;
}

static bool mentions(const char *text, size_t len, const char *dir) {
    size_t dir_len = strlen(dir);
    for (const char *at = text; (at = memmem(at, len - (size_t)(at - text), dir, dir_len)); at += dir_len)
        if (at[dir_len] == '/' || at[dir_len] == '\0' || at[dir_len] == ' ' || at[dir_len] == ':')
            return true;
    return false;
}

/* A container's: what it has as its root is in the directory. What is mounted elsewhere says nothing, for other programs may
 * have that too. */
static bool lives_in(const char *pid, const char *dir, char *text) {
    read_proc(pid, "mountinfo", text);
    for (char *line = text, *end; *line; line = end) {
        char place[8] = "";
        end = line + strcspn(line, "\n");
        size_t len = (size_t)(end - line);
        if (*end) *end++ = '\0';
        if (sscanf(line, "%*s %*s %*s %*s %7s", place) == 1 && strcmp(place, "/") == 0 &&
            mentions(line, len, dir))
            return true;
    }
    return false;
}

static unsigned kill_all(const char *dir, const char *tail, char *text) {
    DIR *processes = opendir("/proc");
    unsigned found = 0;
    for (struct dirent *e; processes && (e = readdir(processes));) {
        uint64_t pid;
        if (!isdigit((unsigned char)e->d_name[0]) || rdg_parse_u64(e->d_name, &pid) != RDG_OK) continue;
        if ((pid_t)pid == getpid()) continue;
        size_t len = read_proc(e->d_name, "cmdline", text);
        if (!mentions(text, len, dir) && !lives_in(e->d_name, tail, text)) continue;
        kill((pid_t)pid, SIGKILL);
        ++found;
    }
    if (processes) closedir(processes);
    return found;
}

static void unmount_all(const char *dir, char *text) {
    char *places[MOUNTS_MAX];
    size_t count = 0, len = strlen(dir);
    read_proc("self", "mountinfo", text);
    for (char *line = text, *end; *line && count < MOUNTS_MAX; line = end) {
        char place[PATH_MAX] = "";
        end = line + strcspn(line, "\n");
        if (*end) *end++ = '\0';
        if (sscanf(line, "%*s %*s %*s %*s %4095s", place) == 1 && strncmp(place, dir, len) == 0 &&
            place[len] == '/')
            places[count++] = strdup(place);
    }
    while (count > 0) {
        if (places[--count]) umount2(places[count], MNT_DETACH);
        free(places[count]);
    }
}

void rdg_test_clear(const char *dir) {
    const char *slash = strrchr(dir, '/'), *tail = slash;
    char *text = malloc(FILE_BYTES + 1);
    while (tail > dir && tail[-1] != '/') --tail;
    if (!text || !slash || slash == dir || tail == dir) {
        free(text);
        return;
    }
    /* As its file system names it: the last two parts, of which one is random. */
    for (int i = 0; i < ROUNDS && kill_all(dir, tail - 1, text) > 0; ++i) usleep(ROUND_US);
    unmount_all(dir, text);
    free(text);
}
