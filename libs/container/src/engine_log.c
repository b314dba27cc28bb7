#include "engine_log.h"
#include "ridge/base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STAMP_MAX 64
#define FRAME_HEAD 8u
#define FRAME_MAX (1u << 20) /* an engine cuts lines at 16 KiB */
#define LOG_TIMEOUT_MS 10000u

static bool number(const char **at, const char *end, int digits, int *out) {
    *out = 0;
    for (int i = 0; i < digits; ++i, ++*at) {
        if (*at == end || **at < '0' || **at > '9') return false;
        *out = *out * 10 + (**at - '0');
    }
    return true;
}

static bool literal(const char **at, const char *end, char c) {
    return *at < end && *(*at)++ == c;
}

uint64_t engine_log_time(const char *text, size_t len) {
    const char *at = text, *end = text + len;
    struct tm t = {0};
    int hours = 0, minutes = 0;
    bool good = number(&at, end, 4, &t.tm_year) && literal(&at, end, '-') && number(&at, end, 2, &t.tm_mon) &&
                literal(&at, end, '-') && number(&at, end, 2, &t.tm_mday) && literal(&at, end, 'T') &&
                number(&at, end, 2, &t.tm_hour) && literal(&at, end, ':') && number(&at, end, 2, &t.tm_min) &&
                literal(&at, end, ':') && number(&at, end, 2, &t.tm_sec);
    if (!good || t.tm_year < 1970 || t.tm_mon < 1 || t.tm_mon > 12) return 0;
    if (at < end && *at == '.')
        for (++at; at < end && *at >= '0' && *at <= '9'; ++at) {
        }
    char zone = at < end ? *at++ : '\0';
    if (zone == '+' || zone == '-')
        good = number(&at, end, 2, &hours) && literal(&at, end, ':') && number(&at, end, 2, &minutes);
    else
        good = zone == 'Z';
    if (!good || at != end) return 0;
    t.tm_year -= 1900, t.tm_mon -= 1;
    int64_t seconds = (int64_t)timegm(&t) - (zone == '-' ? -1 : 1) * (hours * 3600ll + minutes * 60);
    return seconds > 0 ? (uint64_t)seconds : 0;
}

/* Frames of the engine: one byte that says which stream, three of zero, a length (big-endian), and a line that begins with
 * its time. */
typedef struct copy {
    int fd;
    uint64_t second, lines; /* as in log-seen */
    uint64_t skipped;       /* lines of `second` that were left out, since they had been copied */
    bool moved;
    rdg_buf_t frame;
} copy_t;

static rdg_err_t copy_line(copy_t *c, const char *line, size_t len) {
    const char *space = memchr(line, ' ', len < STAMP_MAX ? len : STAMP_MAX);
    uint64_t when = space ? engine_log_time(line, (size_t)(space - line)) : 0;
    if (when == 0 || when < c->second) return RDG_OK;
    if (when > c->second) {
        c->second = when;
        c->lines = c->skipped = 0;
    } else if (c->skipped < c->lines && !c->moved) {
        ++c->skipped;
        return RDG_OK;
    }
    ++c->lines;
    c->moved = true;
    size_t from = (size_t)(space - line) + 1;
    return rdg_write_all(c->fd, rdg_bytes((const uint8_t *)line + from, len - from));
}

static rdg_err_t on_chunk(void *ctx, rdg_bytes_t chunk) {
    copy_t *c = ctx;
    size_t used = 0;
    RDG_TRY(rdg_buf_append(&c->frame, chunk.data, chunk.len));
    while (c->frame.len - used >= FRAME_HEAD) {
        const uint8_t *head = c->frame.data + used;
        size_t len = rdg_load_be32(head + 4);
        if (head[0] > 2 || head[1] || head[2] || head[3] || len > FRAME_MAX)
            return rdg_fail(RDG_E_PROTOCOL,
                            "the container engine's log has another form than the Engine API's");
        if (c->frame.len - used - FRAME_HEAD < len) break;
        RDG_TRY(copy_line(c, (const char *)head + FRAME_HEAD, len));
        used += FRAME_HEAD + len;
    }
    memmove(c->frame.data, c->frame.data + used, c->frame.len - used);
    c->frame.len -= used;
    return RDG_OK;
}

static void read_seen(const char *path, copy_t *c) {
    rdg_buf_t text;
    unsigned long long second = 0, lines = 0;
    rdg_buf_init(&text, 64);
    const char *words = rdg_file_read(path, &text) == RDG_OK ? rdg_buf_cstr(&text) : NULL;
    if (words && sscanf(words, "%llu %llu", &second, &lines) == 2) {
        c->second = second;
        c->lines = lines;
    }
    rdg_buf_fini(&text);
}

void engine_log_reset(const rdg_container_spec_t *spec) {
    char path[PATH_MAX];
    if (rdg_path_join(path, sizeof path, spec->state_dir, "log-seen") == RDG_OK) (void)unlink(path);
}

rdg_err_t engine_log_copy(const engine_t *e, const char *id, const rdg_container_spec_t *spec) {
    char state[PATH_MAX], path[256], text[64];
    copy_t c = {0};
    RDG_TRY(rdg_path_join(state, sizeof state, spec->state_dir, "log-seen"));
    read_seen(state, &c);
    /* A container may write where its log lies: a link there would lead what it says into any file of the device. */
    c.fd = open(spec->log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (c.fd < 0) return rdg_fail_errno(errno, "cannot open %s", spec->log_path);
    rdg_buf_init(&c.frame, FRAME_MAX + (1u << 20));
    snprintf(path, sizeof path, "/containers/%s/logs?stdout=1&stderr=1&timestamps=1&since=%llu", id,
             (unsigned long long)c.second);
    rdg_err_t err = engine_stream(e, path, LOG_TIMEOUT_MS, on_chunk, &c);
    rdg_buf_fini(&c.frame);
    close(c.fd);
    snprintf(text, sizeof text, "%llu %llu", (unsigned long long)c.second, (unsigned long long)c.lines);
    if (c.moved) RDG_TRY(rdg_file_replace(state, rdg_bytes_str(text), 0600));
    return err;
}
