#include "ridge/base/trace.h"
#include <string.h>

static _Thread_local struct {
    bool set;
    rdg_trace_t trace;
} current;

void rdg_trace_new(rdg_trace_t *t, const rdg_random_t *random) {
    rdg_random_fill(random, t->trace_id, sizeof t->trace_id);
    rdg_random_fill(random, t->span_id, sizeof t->span_id);
    t->trace_id[0] |= 1;
    t->span_id[0] |= 1;
    t->flags = 1;
}

void rdg_trace_child(const rdg_trace_t *parent, rdg_trace_t *child, const rdg_random_t *random) {
    *child = *parent;
    rdg_random_fill(random, child->span_id, sizeof child->span_id);
    child->span_id[0] |= 1;
}

/* The recommendation allows lower-case digits only. */
static int digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

static bool parse_hex(const char *text, uint8_t *out, size_t len) {
    bool any = false;
    for (size_t i = 0; i < len; ++i) {
        int hi = digit(text[2 * i]), lo = hi < 0 ? -1 : digit(text[2 * i + 1]);
        if (lo < 0) return false;
        out[i] = (uint8_t)(hi * 16 + lo);
        any = any || out[i] != 0;
    }
    return any;
}

rdg_err_t rdg_trace_parse(const char *s, rdg_trace_t *out) {
    rdg_trace_t t;
    uint8_t version, flags[1] = {0};
    bool ok = s && strnlen(s, RDG_TRACEPARENT_LEN + 1) >= RDG_TRACEPARENT_LEN;
    ok = ok && digit(s[0]) >= 0 && digit(s[1]) >= 0 && s[2] == '-' && s[35] == '-' && s[52] == '-';
    if (ok) {
        version = (uint8_t)(digit(s[0]) * 16 + digit(s[1]));
        ok = version != 0xff && (version != 0 || s[RDG_TRACEPARENT_LEN] == '\0');
        ok = ok && parse_hex(s + 3, t.trace_id, 16) && parse_hex(s + 36, t.span_id, 8);
        ok = ok && digit(s[53]) >= 0 && digit(s[54]) >= 0;
        (void)(ok && parse_hex(s + 53, flags, 1));
    }
    if (!ok) return rdg_fail(RDG_E_MALFORMED, "not a W3C traceparent");
    t.flags = flags[0];
    *out = t;
    return RDG_OK;
}

static char *put_hex(char *out, const uint8_t *data, size_t len) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; ++i) *out++ = digits[data[i] >> 4], *out++ = digits[data[i] & 15];
    return out;
}

void rdg_trace_format(const rdg_trace_t *t, char out[RDG_TRACEPARENT_LEN + 1]) {
    memcpy(out, "00-", 3);
    char *p = put_hex(out + 3, t->trace_id, sizeof t->trace_id);
    *p++ = '-';
    p = put_hex(p, t->span_id, sizeof t->span_id);
    *p++ = '-';
    p = put_hex(p, &t->flags, 1);
    *p = '\0';
}

void rdg_trace_set_current(const rdg_trace_t *t) {
    current.set = t != NULL;
    if (t) current.trace = *t;
}

const rdg_trace_t *rdg_trace_current(void) {
    return current.set ? &current.trace : NULL;
}
