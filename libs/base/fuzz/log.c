/* Whatever a field holds, a log line is one line of valid UTF-8 within its limit, and its quotes balance. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_line(const char *line, size_t len) {
    bool quoted = false;
    RDG_ASSERT(len > 2 && len <= RDG_LOG_LINE_MAX && line[len - 1] == '\n' && line[len - 2] == '}');
    for (size_t i = 0; i < len - 1; ++i) {
        RDG_ASSERT((unsigned char)line[i] >= 0x20);
        if (line[i] == '\\') {
            RDG_ASSERT(quoted);
            ++i;
        } else if (line[i] == '"') {
            quoted = !quoted;
        }
    }
    RDG_ASSERT(!quoted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int fd = -1;
    static char line[2 * RDG_LOG_LINE_MAX];
    if (fd < 0) fd = memfd_create("log", MFD_CLOEXEC);
    if (ftruncate(fd, 0) != 0 || lseek(fd, 0, SEEK_SET) != 0) return 0;
    rdg_log_set_fd(fd);
    char *a = rdg_strndup((const char *)data, size / 2);
    char *b = rdg_strndup((const char *)data + size / 2, size - size / 2);
    rdg_log(RDG_LOG_INFO, "fuzz", RDG_STR("a", a), RDG_HEX("h", data, size), RDG_STR("b", b), RDG_STR("c", a),
            RDG_STR("d", b), RDG_STR("e", a), RDG_U64("n", size));
    rdg_free(a), rdg_free(b);
    ssize_t len = pread(fd, line, sizeof line, 0);
    RDG_ASSERT(len > 0);
    check_line(line, (size_t)len);
    return 0;
}
