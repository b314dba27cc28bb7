#include "sm2_der.h"

#include <string.h>

#define TAG_INTEGER 0x02
#define TAG_SEQUENCE 0x30

static size_t put_integer(uint8_t *out, const uint8_t value[32]) {
    size_t zeros = 0;
    while (zeros < 31 && value[zeros] == 0) zeros++;
    size_t pad = value[zeros] >> 7; /* a leading zero byte keeps it positive */
    size_t len = 32 - zeros + pad;
    out[0] = TAG_INTEGER;
    out[1] = (uint8_t)len;
    out[2] = 0;
    memcpy(out + 2 + pad, value + zeros, 32 - zeros);
    return 2 + len;
}

size_t rdg_sm2_signature_to_der(const rdg_sm2_signature_t *sig, uint8_t out[RDG_SM2_DER_MAX]) {
    size_t len = 2;
    len += put_integer(out + len, sig->b);
    len += put_integer(out + len, sig->b + 32);
    out[0] = TAG_SEQUENCE;
    out[1] = (uint8_t)(len - 2);
    return len;
}

bool rdg_sm2_der_integer(rdg_reader_t *r, uint8_t out[32]) {
    if (rdg_read_u8(r) != TAG_INTEGER) return false;
    size_t len = rdg_read_u8(r);
    if (len == 0 || len > 33) return false;
    rdg_bytes_t v = rdg_read_bytes(r, len);
    if (!rdg_reader_ok(r)) return false;
    bool negative = v.data[0] >> 7;
    bool needless_zero = len > 1 && v.data[0] == 0 && v.data[1] >> 7 == 0;
    if (negative || needless_zero) return false;
    if (v.len == 33) {
        if (v.data[0] != 0) return false;
        v.data++, v.len--;
    }
    memset(out, 0, 32);
    memcpy(out + 32 - v.len, v.data, v.len);
    return true;
}

rdg_err_t rdg_sm2_signature_from_der(rdg_bytes_t der, rdg_sm2_signature_t *out) {
    rdg_reader_t r;
    rdg_reader_init(&r, der);
    bool ok = rdg_read_u8(&r) == TAG_SEQUENCE;
    size_t len = rdg_read_u8(&r);
    ok = ok && rdg_reader_ok(&r) && len == rdg_reader_left(&r);
    ok = ok && rdg_sm2_der_integer(&r, out->b) && rdg_sm2_der_integer(&r, out->b + 32) && rdg_reader_done(&r);
    return ok ? RDG_OK : rdg_fail(RDG_E_MALFORMED, "SM2 signature: not the DER of two positive integers");
}

bool rdg_sm2_der_content(rdg_reader_t *r, uint8_t tag, rdg_bytes_t *out) {
    if (rdg_read_u8(r) != tag) return false;
    size_t len = rdg_read_u8(r);
    if (len >= 0x80) {
        size_t least = len == 0x81 ? 0x80 : 0x100;
        if (len != 0x81 && len != 0x82) return false;
        len = len == 0x81 ? rdg_read_u8(r) : rdg_read_u16(r);
        if (len < least) return false;
    }
    *out = rdg_read_bytes(r, len);
    return rdg_reader_ok(r);
}
