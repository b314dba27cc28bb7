#include "ridge/base/log.h"
#include "ridge/base/clock.h"
#include "ridge/base/trace.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define COMMON_MAX 8
#define TAIL_ROOM 8 /* for the closing of a cut line */

static rdg_log_level_t minimum = RDG_LOG_INFO;
static int target = 2;
static struct { char name[32], value[128]; } common[COMMON_MAX];
static size_t common_count;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

/* A line under construction; never grows past its array. */
typedef struct line {
    char text[RDG_LOG_LINE_MAX];
    size_t len;
    bool full;
} line_t;

static void put(line_t *l, const char *s, size_t len) {
    if (l->full || len > sizeof l->text - TAIL_ROOM - l->len) {
        l->full = true;
        return;
    }
    memcpy(l->text + l->len, s, len);
    l->len += len;
}

static void put_str(line_t *l, const char *s) {
    put(l, s, strlen(s));
}

/* Length of the valid UTF-8 sequence at s, or 0 (Unicode 15, table 3-7). */
static size_t utf8_len(const unsigned char *s) {
    if (s[0] < 0x80) return 1;
    if (s[0] >= 0xc2 && s[0] <= 0xdf) return (s[1] & 0xc0) == 0x80 ? 2 : 0;
    if (s[0] >= 0xe0 && s[0] <= 0xef) {
        if (s[0] == 0xe0 && s[1] < 0xa0) return 0;
        if (s[0] == 0xed && s[1] > 0x9f) return 0;
        return (s[1] & 0xc0) == 0x80 && (s[2] & 0xc0) == 0x80 ? 3 : 0;
    }
    if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        if (s[0] == 0xf0 && s[1] < 0x90) return 0;
        if (s[0] == 0xf4 && s[1] > 0x8f) return 0;
        return (s[1] & 0xc0) == 0x80 && (s[2] & 0xc0) == 0x80 && (s[3] & 0xc0) == 0x80 ? 4 : 0;
    }
    return 0;
}

static void put_escaped(line_t *l, const char *text) {
    const unsigned char *s = (const unsigned char *)(text ? text : "");
    size_t budget = RDG_LOG_LINE_MAX / 2;
    put(l, "\"", 1);
    while (*s) {
        char escape[8];
        size_t len = utf8_len(s);
        if (budget < 8) {
            put_str(l, "…");
            break;
        }
        if (len == 0) {
            put_str(l, "\xef\xbf\xbd");
            ++s, budget -= 3;
        } else if (*s == '"' || *s == '\\') {
            escape[0] = '\\', escape[1] = (char)*s++;
            put(l, escape, 2), budget -= 2;
        } else if (*s < 0x20 || *s == 0x7f) {
            put(l, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", *s++)), budget -= 6;
        } else {
            put(l, (const char *)s, len);
            s += len, budget -= len;
        }
    }
    put(l, "\"", 1);
}

static void put_hex(line_t *l, const uint8_t *data, size_t len) {
    static const char digits[] = "0123456789abcdef";
    put(l, "\"", 1);
    for (size_t i = 0; i < len && i < 256; ++i) {
        const char pair[2] = {digits[data[i] >> 4], digits[data[i] & 15]};
        put(l, pair, 2);
    }
    put_str(l, len > 256 ? "…\"" : "\"");
}

static void put_value(line_t *l, const rdg_field_t *f) {
    char number[40];
    switch (f->kind) {
    case RDG_FIELD_STR: put_escaped(l, f->v.str); return;
    case RDG_FIELD_HEX: put_hex(l, f->v.hex.data, f->v.hex.len); return;
    case RDG_FIELD_BOOL: put_str(l, f->v.flag ? "true" : "false"); return;
    case RDG_FIELD_U64: snprintf(number, sizeof number, "%llu", (unsigned long long)f->v.u64); break;
    case RDG_FIELD_I64: snprintf(number, sizeof number, "%lld", (long long)f->v.i64); break;
    case RDG_FIELD_F64:
        snprintf(number, sizeof number, isfinite(f->v.f64) ? "%.6g" : "null", f->v.f64);
        break;
    }
    put_str(l, number);
}

static void put_field(line_t *l, const rdg_field_t *f) {
    size_t before = l->len;
    put(l, ",", 1);
    put_escaped(l, f->name);
    put(l, ":", 1);
    put_value(l, f);
    if (l->full) l->len = before; /* a line that is cut loses whole fields and stays valid JSON */
}

static void put_trace(line_t *l) {
    char parent[RDG_TRACEPARENT_LEN + 1];
    const rdg_trace_t *t = rdg_trace_current();
    if (!t) return;
    rdg_trace_format(t, parent);
    parent[35] = '\0';
    rdg_field_t f = RDG_STR("trace", parent + 3);
    put_field(l, &f);
}

bool rdg_log_enabled(rdg_log_level_t level) {
    return level >= __atomic_load_n(&minimum, __ATOMIC_RELAXED);
}

void rdg_log_write(rdg_log_level_t level, const char *event, const rdg_field_t *fields, size_t count) {
    if (!rdg_log_enabled(level)) return;
    line_t l;
    char ts[25];
    l.len = 0, l.full = false;
    rdg_time_format(rdg_wall_ms(rdg_clock_system()), ts);
    put_str(&l, "{\"ts\":\"");
    put_str(&l, ts);
    put_str(&l, "\",\"level\":\"");
    put_str(&l, level_names[level]);
    put_str(&l, "\",\"event\":");
    put_escaped(&l, event);
    for (size_t i = 0; i < common_count; ++i) {
        rdg_field_t f = RDG_STR(common[i].name, common[i].value);
        put_field(&l, &f);
    }
    put_trace(&l);
    for (size_t i = 0; i < count; ++i) put_field(&l, &fields[i]);
    l.text[l.len++] = '}';
    l.text[l.len++] = '\n';
    if (write(target, l.text, l.len) < 0) return; /* nobody is left to be told */
}

void rdg_log_err(const char *event, rdg_err_t code) {
    rdg_log(RDG_LOG_ERROR, event, RDG_STR("code", rdg_err_name(code)),
            RDG_STR("error", rdg_err_message(code)));
}

void rdg_log_set_level(rdg_log_level_t level) {
    __atomic_store_n(&minimum, level, __ATOMIC_RELAXED);
}
void rdg_log_set_fd(int fd) {
    target = fd;
}

rdg_err_t rdg_log_level_parse(const char *name, rdg_log_level_t *out) {
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; ++i) {
        if (!name || strcasecmp(name, level_names[i]) != 0) continue;
        *out = (rdg_log_level_t)i;
        return RDG_OK;
    }
    return rdg_fail(RDG_E_INVALID, "log level '%s': use debug, info, warn or error", name ? name : "");
}

void rdg_log_common(const char *name, const char *value) {
    if (common_count == COMMON_MAX) return;
    snprintf(common[common_count].name, sizeof common[0].name, "%s", name);
    snprintf(common[common_count].value, sizeof common[0].value, "%s", value);
    ++common_count;
}
