#include "ridge/codec/rlp.h"

#include <string.h>

#define RLP_STRING 0x80u
#define RLP_LIST 0xc0u
#define RLP_SHORT_MAX 55u

typedef struct rlp_item {
    rdg_bytes_t whole, payload;
    bool list;
} rlp_item_t;

static bool refuse(rdg_rlp_t *c, const char *why) {
    if (c->err == RDG_OK) c->err = rdg_fail(RDG_E_MALFORMED, "RLP: %s", why);
    return false;
}

/* Reads the 1 to 8 length bytes of the long form; false if they are not the canonical ones. */
static bool long_length(rdg_rlp_t *c, const uint8_t *p, size_t count, size_t *len) {
    if ((size_t)(c->end - p) < count) return refuse(c, "the data ends inside a length");
    if (p[0] == 0) return refuse(c, "a length with a leading zero");
    uint64_t v = 0;
    for (size_t i = 0; i < count; i++) v = v << 8 | p[i];
    if (v <= RLP_SHORT_MAX) return refuse(c, "a long length where the short form fits");
    if (v > SIZE_MAX) return refuse(c, "an item runs past the end");
    *len = (size_t)v;
    return true;
}

/* Reads the next item and moves the cursor behind it. */
static bool next_item(rdg_rlp_t *c, rlp_item_t *item) {
    if (c->err != RDG_OK) return false;
    if (c->pos == c->end) return refuse(c, "an item is missing");
    const uint8_t *start = c->pos, *p = start;
    uint8_t first = *p;
    size_t len = 1;
    item->list = first >= RLP_LIST;
    if (first >= RLP_STRING) {
        p++;
        size_t code = first - (item->list ? RLP_LIST : RLP_STRING);
        len = code;
        if (code > RLP_SHORT_MAX) {
            if (!long_length(c, p, code - RLP_SHORT_MAX, &len)) return false;
            p += code - RLP_SHORT_MAX;
        }
        if (len > (size_t)(c->end - p)) return refuse(c, "an item runs past the end");
        if (!item->list && code == 1 && p[0] < RLP_STRING)
            return refuse(c, "a single byte with a needless prefix");
    }
    item->payload = rdg_bytes(p, len);
    item->whole = rdg_bytes(start, (size_t)(p - start) + len);
    c->pos = p + len;
    return true;
}

static bool next_string(rdg_rlp_t *c, rdg_bytes_t *out) {
    rlp_item_t item;
    if (!next_item(c, &item)) return false;
    if (item.list) return refuse(c, "a list where a string is expected");
    *out = item.payload;
    return true;
}

static bool next_uint(rdg_rlp_t *c, size_t max, rdg_bytes_t *out) {
    if (!next_string(c, out)) return false;
    if (out->len > max) return refuse(c, "an integer is too wide");
    if (out->len && out->data[0] == 0) return refuse(c, "an integer with a leading zero");
    return true;
}

void rdg_rlp_init(rdg_rlp_t *c, rdg_bytes_t src) {
    /* A NULL view of length 0 must still give pointers that may be compared and subtracted. */
    static const uint8_t nothing = 0;
    c->pos = src.len ? src.data : &nothing;
    c->end = c->pos + src.len;
    c->err = RDG_OK;
}

rdg_err_t rdg_rlp_list(rdg_rlp_t *c, rdg_rlp_t *sub) {
    rlp_item_t item;
    rdg_rlp_init(sub, rdg_bytes(NULL, 0));
    if (next_item(c, &item)) {
        if (item.list)
            rdg_rlp_init(sub, item.payload);
        else
            refuse(c, "a string where a list is expected");
    }
    sub->err = c->err;
    return c->err;
}

rdg_bytes_t rdg_rlp_bytes(rdg_rlp_t *c) {
    return rdg_rlp_bytes_max(c, SIZE_MAX);
}

rdg_bytes_t rdg_rlp_bytes_max(rdg_rlp_t *c, size_t max) {
    rdg_bytes_t v;
    if (!next_string(c, &v)) return rdg_bytes(NULL, 0);
    if (v.len > max) {
        refuse(c, "a string is longer than its limit");
        return rdg_bytes(NULL, 0);
    }
    return v;
}

void rdg_rlp_fixed(rdg_rlp_t *c, void *out, size_t len) {
    rdg_bytes_t v;
    if (!next_string(c, &v) || (v.len != len && !refuse(c, "a string has the wrong length")))
        memset(out, 0, len);
    else
        memcpy(out, v.data, len);
}

uint64_t rdg_rlp_u64(rdg_rlp_t *c) {
    rdg_bytes_t v;
    if (!next_uint(c, 8, &v)) return 0;
    uint64_t out = 0;
    for (size_t i = 0; i < v.len; i++) out = out << 8 | v.data[i];
    return out;
}

void rdg_rlp_uint256(rdg_rlp_t *c, uint8_t out[32]) {
    rdg_bytes_t v;
    memset(out, 0, 32);
    if (next_uint(c, 32, &v)) memcpy(out + 32 - v.len, v.data, v.len);
}

rdg_bytes_t rdg_rlp_raw(rdg_rlp_t *c) {
    rlp_item_t item;
    return next_item(c, &item) ? item.whole : rdg_bytes(NULL, 0);
}

bool rdg_rlp_is_list(const rdg_rlp_t *c) {
    return rdg_rlp_more(c) && *c->pos >= RLP_LIST;
}

bool rdg_rlp_more(const rdg_rlp_t *c) {
    return c->err == RDG_OK && c->pos < c->end;
}

rdg_err_t rdg_rlp_done(const rdg_rlp_t *c) {
    if (c->err != RDG_OK) return c->err;
    if (c->pos != c->end)
        return rdg_fail(RDG_E_MALFORMED, "RLP: %zu bytes or more left where the end is expected",
                        (size_t)(c->end - c->pos));
    return RDG_OK;
}
