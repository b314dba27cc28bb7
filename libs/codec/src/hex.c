#include "ridge/codec/hex.h"

static const char digits[] = "0123456789abcdef";

static int digit_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

void rdg_hex_encode(const void *data, size_t len, char *out) {
    const uint8_t *p = data;
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * len] = 0;
}

static size_t prefix_len(const char *text, size_t len) {
    return len >= 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 2 : 0;
}

/* skipped: digits before `text` in what the user wrote, so that positions are theirs. */
static rdg_err_t decode_digits(const char *text, size_t skipped, uint8_t *out, size_t len) {
    for (size_t i = 0; i < len; i++) {
        int hi = digit_value(text[2 * i]), lo = digit_value(text[2 * i + 1]);
        if (hi < 0 || lo < 0) {
            size_t at = 2 * i + (hi < 0 ? 0 : 1);
            return rdg_fail(RDG_E_MALFORMED, "hex: character %zu is not a hexadecimal digit",
                            skipped + at + 1);
        }
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    return RDG_OK;
}

rdg_err_t rdg_hex_decode(const char *text, size_t text_len, void *out, size_t len) {
    size_t skip = prefix_len(text, text_len);
    size_t count = text_len - skip;
    if (count % 2 != 0 || count / 2 != len)
        return rdg_fail(RDG_E_MALFORMED, "hex: got %zu digits, want %zu (%zu bytes)", count, 2 * len, len);
    return decode_digits(text + skip, skip, out, len);
}

rdg_err_t rdg_hex_decode_buf(const char *text, size_t text_len, rdg_buf_t *out) {
    size_t skip = prefix_len(text, text_len);
    size_t count = text_len - skip;
    if (count % 2 != 0) return rdg_fail(RDG_E_MALFORMED, "hex: odd number of digits (%zu)", count);
    if (count == 0) return rdg_buf_err(out);
    RDG_TRY(rdg_buf_reserve(out, count / 2));
    RDG_TRY(decode_digits(text + skip, skip, out->data + out->len, count / 2));
    out->len += count / 2;
    return RDG_OK;
}

rdg_err_t rdg_hex_append(rdg_buf_t *out, const void *data, size_t len, bool prefix) {
    const uint8_t *p = data;
    if (prefix) RDG_TRY(rdg_buf_str(out, "0x"));
    char chunk[128];
    for (size_t i = 0; i < len;) {
        size_t n = 0;
        for (; i < len && n < sizeof chunk; i++) {
            chunk[n++] = digits[p[i] >> 4];
            chunk[n++] = digits[p[i] & 15];
        }
        RDG_TRY(rdg_buf_append(out, chunk, n));
    }
    return rdg_buf_err(out);
}
