#include <stdio.h>
#include <string.h>

#include "abi_type.h"

/* v = v * base + digit; false on overflow. */
static bool push_digit(uint8_t v[ABI_WORD], unsigned base, unsigned digit) {
    unsigned carry = digit;
    for (int i = ABI_WORD - 1; i >= 0; i--) {
        carry += v[i] * base;
        v[i] = (uint8_t)carry;
        carry >>= 8;
    }
    return carry == 0;
}

bool rdg_abi_number_parse(const char *text, uint8_t out[ABI_WORD], bool *negative) {
    memset(out, 0, ABI_WORD);
    if (negative) *negative = *text == '-';
    if (negative && *negative) text++;
    unsigned base = 10;
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) base = 16, text += 2;
    if (!*text) return false;
    for (; *text; text++) {
        unsigned digit = 99;
        if (*text >= '0' && *text <= '9')
            digit = (unsigned)(*text - '0');
        else if ((*text | 32) >= 'a' && (*text | 32) <= 'f')
            digit = (unsigned)((*text | 32) - 'a') + 10;
        if (digit >= base || !push_digit(out, base, digit)) return false;
    }
    return true;
}

void rdg_abi_number_negate(uint8_t v[ABI_WORD]) {
    unsigned carry = 1;
    for (int i = ABI_WORD - 1; i >= 0; i--) {
        carry += (uint8_t)~v[i];
        v[i] = (uint8_t)carry;
        carry >>= 8;
    }
}

unsigned rdg_abi_number_bits(const uint8_t v[ABI_WORD]) {
    for (unsigned i = 0; i < ABI_WORD; i++)
        if (v[i]) return (ABI_WORD - i) * 8 - (unsigned)__builtin_clz(v[i]) + 24;
    return 0;
}

void rdg_abi_number_decimal(const uint8_t v[ABI_WORD], bool is_signed, char out[ABI_DECIMAL_MAX]) {
    uint8_t rest[ABI_WORD];
    memcpy(rest, v, sizeof rest);
    bool negative = is_signed && rest[0] & 0x80;
    if (negative) rdg_abi_number_negate(rest);
    char digits[ABI_DECIMAL_MAX];
    size_t at = sizeof digits;
    digits[--at] = 0;
    do {
        unsigned remainder = 0;
        for (int i = 0; i < ABI_WORD; i++) {
            remainder = remainder << 8 | rest[i];
            rest[i] = (uint8_t)(remainder / 10);
            remainder %= 10;
        }
        digits[--at] = (char)('0' + remainder);
    } while (rdg_abi_number_bits(rest));
    if (negative) digits[--at] = '-';
    memcpy(out, digits + at, sizeof digits - at);
}
