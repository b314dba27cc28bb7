#include "ridge/base/log.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "ridge/base/assert.h"
#include "ridge/base/clock.h"
#include "ridge/base/trace.h"

enum { COMMON_MAX = 8, COMMON_BYTES = 768, CUT_MARK_BYTES = 3 /* "…" in UTF-8 */ };

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static int log_level = RDG_LOG_INFO;
static int log_fd = STDERR_FILENO;
static char common[COMMON_BYTES];
static size_t common_len, common_count;

/* A line under construction. The room behind `end` is kept for the mark of a dropped field and the closing
 * brace, so that a line is valid JSON wherever it is cut. */
typedef struct line {
    char text[RDG_LOG_LINE_MAX];
    size_t len;
    bool cut;
} line_t;

static const char tail_mark[] = ",\"cut\":true";
enum { LINE_END = RDG_LOG_LINE_MAX - (int)sizeof tail_mark - 2 };

static void put(line_t *l, const char *s, size_t len) {
    memcpy(l->text + l->len, s, len);
    l->len += len;
}

/* Length of the valid UTF-8 sequence at s (NUL-terminated), 0 if it is none. RFC 3629. */
static size_t utf8_len(const unsigned char *s) {
    if (s[0] < 0x80) return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4) return 0;
    size_t len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    unsigned char low = 0x80, high = 0xbf;
    if (s[0] == 0xe0) low = 0xa0;
    if (s[0] == 0xed) high = 0x9f;
    if (s[0] == 0xf0) low = 0x90;
    if (s[0] == 0xf4) high = 0x8f;
    if (s[1] < low || s[1] > high) return 0;
    for (size_t i = 2; i < len; ++i)
        if ((s[i] & 0xc0) != 0x80) return 0;
    return len;
}

/* One character of s as JSON text in out; returns its length there and in *used how much of s it took. */
static size_t escape(const unsigned char *s, char out[8], size_t *used) {
    static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    *used = utf8_len(s);
    if (*used == 0) {
        *used = 1;
        memcpy(out, "\xef\xbf\xbd", 3);
        return 3;
    }
    if (*used > 1 || (s[0] >= 0x20 && s[0] != '"' && s[0] != '\\')) {
        memcpy(out, s, *used);
        return *used;
    }
    const char *p = strchr(plain, s[0]);
    if (p) {
        out[0] = '\\', out[1] = letters[p - plain];
        return 2;
    }
    return (size_t)snprintf(out, 8, "\\u%04x", s[0]);
}

static void put_string(line_t *l, const char *value, size_t end) {
    if (!value) {
        put(l, "null", 4);
        return;
    }
    put(l, "\"", 1);
    if (end > l->len + RDG_LOG_FIELD_MAX) end = l->len + RDG_LOG_FIELD_MAX;
    end -= CUT_MARK_BYTES + 1;
    for (const unsigned char *s = (const unsigned char *)value; *s;) {
        char out[8];
        size_t used, len = escape(s, out, &used);
        if (l->len + len > end) {
            put(l, "…", CUT_MARK_BYTES);
            break;
        }
        put(l, out, len);
        s += used;
    }
    put(l, "\"", 1);
}

static void put_hex(line_t *l, const uint8_t *data, size_t len, size_t end) {
    static const char digits[] = "0123456789abcdef";
    put(l, "\"", 1);
    if (end > l->len + RDG_LOG_FIELD_MAX) end = l->len + RDG_LOG_FIELD_MAX;
    end -= CUT_MARK_BYTES + 1;
    for (size_t i = 0; i < len; ++i) {
        if (l->len + 2 > end) {
            put(l, "…", CUT_MARK_BYTES);
            break;
        }
        l->text[l->len++] = digits[data[i] >> 4];
        l->text[l->len++] = digits[data[i] & 15];
    }
    put(l, "\"", 1);
}

/* By hand, because a log line is mostly numbers and printf takes several times as long for each. */
static void put_u64(line_t *l, uint64_t v) {
    char digits[20];
    size_t at = sizeof digits;
    do digits[--at] = (char)('0' + v % 10), v /= 10;
    while (v > 0);
    put(l, digits + at, sizeof digits - at);
}

static void put_i64(line_t *l, int64_t v) {
    if (v < 0) put(l, "-", 1);
    put_u64(l, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

static void put_double(line_t *l, double v) {
    char text[40];
    if (!isfinite(v)) {
        put(l, "null", 4); /* JSON has no other word for these */
        return;
    }
    put(l, text, (size_t)snprintf(text, sizeof text, "%.15g", v));
}

static void put_field(line_t *l, const rdg_field_t *f, size_t end) {
    enum { SMALLEST_VALUE = 40 };
    size_t name_len = strlen(f->name);
    if (l->cut || name_len > 64 || l->len + name_len + 4 + SMALLEST_VALUE > end) {
        l->cut = true;
        return;
    }
    put(l, ",\"", 2);
    put(l, f->name, name_len);
    put(l, "\":", 2);
    switch (f->kind) {
    case RDG_FIELD_STR: put_string(l, f->v.str, end); break;
    case RDG_FIELD_U64: put_u64(l, f->v.u64); break;
    case RDG_FIELD_I64: put_i64(l, f->v.i64); break;
    case RDG_FIELD_F64: put_double(l, f->v.f64); break;
    case RDG_FIELD_BOOL: put(l, f->v.flag ? "true" : "false", f->v.flag ? 4 : 5); break;
    case RDG_FIELD_HEX: put_hex(l, f->v.hex.data, f->v.hex.len, end); break;
    }
}

static void write_line(const char *text, size_t len) {
    while (len > 0) {
        ssize_t n = write(log_fd, text, len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return; /* a log that cannot be written must not stop the program */
        text += n, len -= (size_t)n;
    }
}

static void put_head(line_t *l, rdg_log_level_t level, const char *event) {
    char ts[25];
    rdg_time_format(rdg_wall_ms(rdg_clock_system()), ts);
    put(l, "{\"ts\":\"", 7);
    put(l, ts, 24);
    put(l, "\",\"level\":\"", 11);
    put(l, level_names[level], strlen(level_names[level]));
    put(l, "\"", 1);
    const rdg_field_t name = rdg_field_str("event", event);
    put_field(l, &name, LINE_END);
    put(l, common, common_len);
    const rdg_trace_t *trace = rdg_trace_current();
    if (!trace) return;
    const rdg_field_t id = rdg_field_hex("trace", trace->trace_id, sizeof trace->trace_id);
    put_field(l, &id, LINE_END);
}

void rdg_log_write(rdg_log_level_t level, const char *event, const rdg_field_t *fields, size_t count) {
    if (!rdg_log_enabled(level)) return;
    int saved_errno = errno;
    line_t l;
    l.len = 0, l.cut = false;
    put_head(&l, level, event);
    for (size_t i = 0; i < count; ++i) put_field(&l, &fields[i], LINE_END);
    if (l.cut) put(&l, tail_mark, sizeof tail_mark - 1);
    put(&l, "}\n", 2);
    write_line(l.text, l.len);
    errno = saved_errno;
}

void rdg_log_err(const char *event, rdg_err_t code) {
    rdg_log(RDG_LOG_ERROR, event, RDG_STR("code", rdg_err_name(code)),
            RDG_STR("error", rdg_err_message(code)));
}

bool rdg_log_enabled(rdg_log_level_t level) {
    return (int)level >= __atomic_load_n(&log_level, __ATOMIC_RELAXED);
}
void rdg_log_set_level(rdg_log_level_t level) {
    __atomic_store_n(&log_level, (int)level, __ATOMIC_RELAXED);
}
void rdg_log_set_fd(int fd) {
    log_fd = fd;
}

rdg_err_t rdg_log_level_parse(const char *name, rdg_log_level_t *out) {
    for (unsigned i = 0; name && i < sizeof level_names / sizeof *level_names; ++i) {
        if (strcmp(name, level_names[i]) != 0) continue;
        *out = (rdg_log_level_t)i;
        return RDG_OK;
    }
    return rdg_fail(RDG_E_INVALID, "log level \"%s\": want debug, info, warn or error", name ? name : "");
}

void rdg_log_common(const char *name, const char *value) {
    RDG_ASSERT(common_count < COMMON_MAX);
    line_t l;
    l.len = 0, l.cut = false;
    const rdg_field_t field = rdg_field_str(name, value);
    put_field(&l, &field, COMMON_BYTES - common_len);
    if (l.cut) return;
    memcpy(common + common_len, l.text, l.len);
    common_len += l.len, ++common_count;
}
