#include "word.h"
#include <string.h>

enum { BYTES = 32 };

bool word_is_zero(const rdg_word_t *w) {
    uint8_t any = 0;
    for (int i = 0; i < BYTES; ++i) any |= w->b[i];
    return any == 0;
}

bool word_add(rdg_word_t *sum, const rdg_word_t *a, const rdg_word_t *b) {
    unsigned carry = 0;
    for (int i = BYTES - 1; i >= 0; --i) {
        unsigned v = (unsigned)a->b[i] + b->b[i] + carry;
        sum->b[i] = (uint8_t)v;
        carry = v >> 8;
    }
    return carry == 0;
}

bool word_sub(rdg_word_t *diff, const rdg_word_t *a, const rdg_word_t *b) {
    unsigned borrow = 0;
    for (int i = BYTES - 1; i >= 0; --i) {
        unsigned v = 256u + a->b[i] - b->b[i] - borrow;
        diff->b[i] = (uint8_t)v;
        borrow = v < 256;
    }
    return borrow == 0;
}

rdg_word_t word_from_u64(uint64_t v) {
    rdg_word_t w = {{0}};
    rdg_store_be64(w.b + 24, v);
    return w;
}

rdg_bytes_t word_trimmed(const rdg_word_t *w) {
    size_t zeros = 0;
    while (zeros < BYTES && w->b[zeros] == 0) ++zeros;
    return rdg_bytes(w->b + zeros, BYTES - zeros);
}

bool word_from_decimal(const char *text, rdg_word_t *out) {
    memset(out, 0, sizeof *out);
    if (!*text) return false;
    for (; *text; ++text) {
        if (*text < '0' || *text > '9') return false;
        unsigned carry = (unsigned)(*text - '0');
        for (int i = BYTES - 1; i >= 0; --i) {
            unsigned v = out->b[i] * 10u + carry;
            out->b[i] = (uint8_t)v;
            carry = v >> 8;
        }
        if (carry) return false;
    }
    return true;
}

void word_to_decimal(const rdg_word_t *w, char out[80]) {
    rdg_word_t rest = *w;
    char digits[80];
    size_t n = 0;
    do {
        unsigned remainder = 0;
        for (int i = 0; i < BYTES; ++i) {
            unsigned v = remainder << 8 | rest.b[i];
            rest.b[i] = (uint8_t)(v / 10);
            remainder = v % 10;
        }
        digits[n++] = (char)('0' + remainder);
    } while (!word_is_zero(&rest));
    for (size_t i = 0; i < n; ++i) out[i] = digits[n - 1 - i];
    out[n] = 0;
}
