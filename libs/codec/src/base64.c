#include "ridge/codec/base64.h"

#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

rdg_err_t rdg_base64_append(rdg_buf_t *out, const void *data, size_t len) {
    const uint8_t *in = data;
    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        uint32_t v =
            (uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) | (left > 2 ? in[i + 2] : 0);
        char group[4] = {alphabet[v >> 18], alphabet[v >> 12 & 63], left > 1 ? alphabet[v >> 6 & 63] : '=',
                         left > 2 ? alphabet[v & 63] : '='};
        rdg_buf_append(out, group, sizeof group);
    }
    return rdg_buf_err(out);
}

static rdg_err_t malformed(size_t at) {
    return rdg_fail(RDG_E_MALFORMED, "base64: wrong at position %zu", at);
}

rdg_err_t rdg_base64_decode(rdg_bytes_t text, void *out, size_t size, size_t *len) {
    uint8_t *dst = out;
    uint32_t bits = 0;
    unsigned have = 0, padding = 0;
    *len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = (char)text.data[i];
        if (c == '\n' || c == '\r' || c == ' ' || c == '\t') continue;
        const char *at = c ? strchr(alphabet, c) : NULL;
        if (c == '=' && (have == 2 || have == 3) && have + padding < 4) {
            padding++;
            continue;
        }
        if (!at || padding) return malformed(i);
        bits = bits << 6 | (uint32_t)(at - alphabet);
        if (++have < 4) continue;
        if (size - *len < 3) return rdg_fail(RDG_E_TOO_LARGE, "base64: more than %zu bytes", size);
        for (int shift = 16; shift >= 0; shift -= 8) dst[(*len)++] = (uint8_t)(bits >> shift);
        bits = 0, have = 0;
    }
    if (have == 0) return RDG_OK;
    if (have + padding != 4 || (bits & (have == 2 ? 15u : 3u))) return malformed(text.len);
    if (size - *len < have - 1) return rdg_fail(RDG_E_TOO_LARGE, "base64: more than %zu bytes", size);
    bits <<= 6 * (4 - have);
    for (unsigned i = 1; i < have; i++) dst[(*len)++] = (uint8_t)(bits >> (24 - 8 * i));
    return RDG_OK;
}
