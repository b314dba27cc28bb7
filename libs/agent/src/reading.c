#include "reading.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_PLACES 6
#define DIGITS_MAX 19 /* of what is left after zeros in front: fits uint64 */

/* mantissa × 10^exponent, from the text of a decimal. */
static bool scan_decimal(const char *p, bool *negative, uint64_t *mantissa, long *exponent) {
    int digits = 0;
    bool any = false;
    *mantissa = 0;
    *exponent = 0;
    *negative = *p == '-';
    if (*p == '-' || *p == '+') ++p;
    for (bool point = false; isdigit((unsigned char)*p) || (*p == '.' && !point); ++p) {
        if (*p == '.') {
            point = true;
            continue;
        }
        any = true;
        if (*p == '0' && digits > 0) {
            /* Zeros at the end may be without weight: they are counted and taken in when a digit follows. */
            const char *q = p;
            while (*q == '0' || (*q == '.' && !point)) ++q;
            if (!isdigit((unsigned char)*q)) {
                *exponent += point ? 0 : 1;
                continue;
            }
        }
        if (digits > 0 || *p != '0') ++digits;
        if (digits > DIGITS_MAX) return false;
        *mantissa = *mantissa * 10 + (uint64_t)(*p - '0');
        *exponent -= point;
    }
    if (!any) return false;
    if (*p == 'e' || *p == 'E') {
        char *end;
        if (!isdigit((unsigned char)p[1]) && p[1] != '-' && p[1] != '+') return false;
        long e = strtol(p + 1, &end, 10);
        if (end == p + 1 || e > 100 || e < -100) return false;
        *exponent += e;
        p = end;
    }
    return *p == '\0';
}

rdg_err_t reading_value_parse(const char *text, int64_t *out) {
    bool negative;
    uint64_t m;
    long exponent;
    if (strlen(text) > 64 || !scan_decimal(text, &negative, &m, &exponent))
        return rdg_fail(RDG_E_INVALID, "value '%.40s' is no decimal number of at most %d digits", text,
                        DIGITS_MAX);
    exponent += VALUE_PLACES;
    for (; exponent < 0 && m % 10 == 0 && m > 0; ++exponent) m /= 10;
    if (exponent < 0 && m > 0)
        return rdg_fail(RDG_E_INVALID, "value '%.40s' has more than %d places", text, VALUE_PLACES);
    for (; exponent > 0 && m > 0; --exponent)
        if (__builtin_mul_overflow(m, (uint64_t)10, &m)) m = UINT64_MAX, exponent = 1;
    if (m > INT64_MAX)
        return rdg_fail(RDG_E_INVALID, "value '%.40s' is beyond %lld micro-units", text,
                        (long long)INT64_MAX);
    *out = negative ? -(int64_t)m : (int64_t)m;
    return RDG_OK;
}

/* The shortest decimal that reads back as the same double is what its writer meant. */
static rdg_err_t parse_real(double v, int64_t *out) {
    char text[64];
    for (int precision = 15; precision <= 17; ++precision) {
        snprintf(text, sizeof text, "%.*g", precision, v);
        if (strtod(text, NULL) == v) break;
    }
    return reading_value_parse(text, out);
}

static rdg_err_t parse_value(const json_t *v, int64_t *out) {
    if (json_is_string(v)) return reading_value_parse(json_string_value(v), out);
    if (json_is_real(v)) return parse_real(json_real_value(v), out);
    if (json_is_integer(v)) {
        if (__builtin_mul_overflow((int64_t)json_integer_value(v), (int64_t)1000000, out))
            return rdg_fail(RDG_E_INVALID, "value is beyond %lld micro-units", (long long)INT64_MAX);
        return RDG_OK;
    }
    return rdg_fail(RDG_E_INVALID, "value is missing, or neither a number nor a decimal in a string");
}

static rdg_err_t parse_meter(const char *name, const char *device, uint8_t out[METER_BYTES]) {
    char full[256];
    size_t len = strlen(name);
    if (len == 0 || len > 128) return rdg_fail(RDG_E_INVALID, "meter has 1 to %d bytes", METER_BYTES - 1);
    for (const char *p = name; *p; ++p)
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f)
            return rdg_fail(RDG_E_INVALID, "meter holds a byte that is no printable ASCII character");
    int n = strchr(name, '/') ? snprintf(full, sizeof full, "%s", name)
                              : snprintf(full, sizeof full, "%s/%s", device, name);
    if (n < 0 || n >= METER_BYTES)
        return rdg_fail(RDG_E_INVALID, "meter '%.100s' is longer than %d bytes", full, METER_BYTES - 1);
    memset(out, 0, METER_BYTES);
    memcpy(out, full, (size_t)n);
    return RDG_OK;
}

static rdg_err_t parse_one(const json_t *o, const char *device, reading_t *out) {
    const char *meter = NULL;
    if (!json_is_object(o))
        return rdg_fail(RDG_E_INVALID, "a reading is an object with meter, time and value");
    RDG_TRY(rdg_json_get_str(o, "meter", &meter));
    RDG_TRY(parse_meter(meter, device, out->meter));
    RDG_TRY(rdg_json_get_u64(o, "time", &out->time));
    if (out->time == 0) return rdg_fail(RDG_E_INVALID, "time must be above 0");
    return parse_value(json_object_get(o, "value"), &out->value);
}

rdg_err_t readings_parse(rdg_bytes_t text, const char *device, reading_t *readings, size_t *index_of,
                         size_t *count, reading_fault_t *faults, size_t *fault_count) {
    json_t *o = NULL;
    *count = *fault_count = 0;
    RDG_TRY(rdg_json_parse(text, &o));
    size_t n = json_is_array(o) ? json_array_size(o) : 1;
    if (n > READINGS_MAX) {
        json_decref(o);
        return rdg_fail(RDG_E_TOO_LARGE, "%zu readings in one body, at most %d: send them in parts", n,
                        READINGS_MAX);
    }
    for (size_t i = 0; i < n; ++i) {
        const json_t *one = json_is_array(o) ? json_array_get(o, i) : o;
        rdg_err_t err = parse_one(one, device, &readings[*count]);
        if (err == RDG_OK) {
            index_of[(*count)++] = i;
            continue;
        }
        reading_fault_t *f = &faults[(*fault_count)++];
        f->index = i;
        f->code = err;
        snprintf(f->message, sizeof f->message, "%s", rdg_err_message(err));
    }
    json_decref(o);
    return RDG_OK;
}
