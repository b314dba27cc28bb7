#include "ridge/base/checked.h"
#include "ridge/base/config.h"
#include <string.h>

typedef struct unit {
    const char *suffix;
    uint64_t factor;
} unit_t;

static const unit_t size_units[] = {{"", 1},           {"B", 1},          {"KiB", 1u << 10},
                                    {"MiB", 1u << 20}, {"GiB", 1u << 30}, {"TiB", 1ull << 40}};
static const unit_t time_units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};

static rdg_err_t parse_number(const char *text, uint64_t *out, const char **rest) {
    uint64_t v = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; ++p)
        if (!rdg_mul_u64(v, 10, &v) || !rdg_add_u64(v, (uint64_t)(*p - '0'), &v))
            return rdg_fail(RDG_E_INVALID, "'%.32s' is too large", text);
    if (p == text) return rdg_fail(RDG_E_INVALID, "'%.32s' is no number", text);
    *out = v;
    *rest = p;
    return RDG_OK;
}

static rdg_err_t parse_unit(const char *text, const unit_t *units, size_t count, const char *want,
                            uint64_t *out) {
    const char *rest;
    uint64_t v;
    RDG_TRY(parse_number(text, &v, &rest));
    for (size_t i = 0; i < count; ++i) {
        if (strcmp(rest, units[i].suffix) != 0) continue;
        if (!rdg_mul_u64(v, units[i].factor, out))
            return rdg_fail(RDG_E_INVALID, "'%.32s' is too large", text);
        return RDG_OK;
    }
    return rdg_fail(RDG_E_INVALID, "'%.32s': want %s", text, want);
}

rdg_err_t rdg_parse_u64(const char *text, uint64_t *out) {
    const char *rest;
    RDG_TRY(parse_number(text, out, &rest));
    return *rest == '\0' ? RDG_OK : rdg_fail(RDG_E_INVALID, "'%.32s' is no whole number", text);
}

rdg_err_t rdg_parse_size(const char *text, uint64_t *bytes) {
    return parse_unit(text, size_units, sizeof size_units / sizeof size_units[0],
                      "a size such as 64KiB or 8MiB", bytes);
}

rdg_err_t rdg_parse_ms(const char *text, uint64_t *ms) {
    return parse_unit(text, time_units, sizeof time_units / sizeof time_units[0],
                      "a duration such as 250ms, 3s or 2m", ms);
}
