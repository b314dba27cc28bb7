#include <stddef.h>
#include <string.h>
#include "ridge/base/checked.h"
#include "ridge/base/config.h"

typedef struct unit {
    const char *name;
    uint64_t factor;
} unit_t;

/* The digits at the front of text; *rest is what follows them. */
static rdg_err_t parse_digits(const char *text, uint64_t *out, const char **rest) {
    uint64_t v = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; ++p)
        if (!rdg_mul_u64(v, 10, &v) || !rdg_add_u64(v, (uint64_t)(*p - '0'), &v))
            return rdg_fail(RDG_E_INVALID, "\"%.40s\" is more than the largest number, 2^64 - 1", text);
    if (p == text) return rdg_fail(RDG_E_INVALID, "\"%.40s\" is no number", text);
    *out = v, *rest = p;
    return RDG_OK;
}

static rdg_err_t parse_with_unit(const char *text, const unit_t *units, const char *want, uint64_t *out) {
    const char *rest;
    uint64_t number;
    if (!text) return rdg_fail(RDG_E_INVALID, "no value: want %s", want);
    RDG_TRY(parse_digits(text, &number, &rest));
    for (; units->name; ++units) {
        if (strcmp(rest, units->name) != 0) continue;
        if (!rdg_mul_u64(number, units->factor, out))
            return rdg_fail(RDG_E_INVALID, "\"%.40s\" is more than 2^64 - 1", text);
        return RDG_OK;
    }
    return rdg_fail(RDG_E_INVALID, "\"%.40s\": want %s", text, want);
}

rdg_err_t rdg_parse_u64(const char *text, uint64_t *out) {
    static const unit_t units[] = {{"", 1}, {NULL, 0}};
    return parse_with_unit(text, units, "a whole number such as 42", out);
}

rdg_err_t rdg_parse_size(const char *text, uint64_t *bytes) {
    static const unit_t units[] = {{"", 1},           {"B", 1},          {"KiB", 1u << 10},
                                   {"MiB", 1u << 20}, {"GiB", 1u << 30}, {"TiB", 1ull << 40},
                                   {NULL, 0}};
    return parse_with_unit(text, units, "a size such as 4096, 64KiB, 8MiB or 1GiB", bytes);
}

rdg_err_t rdg_parse_ms(const char *text, uint64_t *ms) {
    static const unit_t units[] = {{"ms", 1},      {"s", 1000},     {"m", 60000},
                                   {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
    return parse_with_unit(text, units, "a time with its unit such as 250ms, 3s, 2m, 1h or 7d", ms);
}
