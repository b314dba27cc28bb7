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
    for (size_t i = 0; i < len; ++i) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        out[i] = (uint8_t)(high * 16 + low);
    }
    return true;
}

static bool all_zero(const uint8_t *id, size_t len) {
    uint8_t any = 0;
    for (size_t i = 0; i < len; ++i) any |= id[i];
    return any == 0;
}

rdg_err_t rdg_trace_parse(const char *s, rdg_trace_t *out) {
    size_t len = s ? strnlen(s, RDG_TRACEPARENT_LEN + 1) : 0;
    rdg_trace_t t;
    uint8_t version = 0xff;
    bool ok = len >= RDG_TRACEPARENT_LEN && s[2] == '-' && s[35] == '-' && s[52] == '-' &&
              parse_hex(s, &version, 1) && version != 0xff && parse_hex(s + 3, t.trace_id, 16) &&
              parse_hex(s + 36, t.span_id, 8) && parse_hex(s + 53, &t.flags, 1) &&
              !all_zero(t.trace_id, 16) && !all_zero(t.span_id, 8);
    /* A later version may only add fields behind a dash. */
    if (ok && len > RDG_TRACEPARENT_LEN) ok = version > 0 && s[RDG_TRACEPARENT_LEN] == '-';
    if (!ok) return rdg_fail(RDG_E_MALFORMED, "traceparent is not of the form 00-<32 hex>-<16 hex>-<2 hex>");
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
