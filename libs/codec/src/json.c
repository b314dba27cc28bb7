#include "ridge/codec/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "ridge/codec/hex.h"

rdg_err_t rdg_json_parse(rdg_bytes_t text, json_t **out) {
    *out = NULL;
    if (text.len > RDG_JSON_TEXT_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "JSON: %zu bytes, the limit is %d", text.len, RDG_JSON_TEXT_MAX);
    json_error_t error;
    json_t *v = json_loadb(text.len ? (const char *)text.data : "", text.len,
                           JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!v) {
        if (json_error_code(&error) == json_error_out_of_memory)
            return rdg_fail(RDG_E_NO_MEMORY, "JSON: out of memory");
        return rdg_fail(RDG_E_MALFORMED, "JSON: line %d, column %d: %s", error.line, error.column,
                        error.text);
    }
    *out = v;
    return RDG_OK;
}

static int append_chunk(const char *chunk, size_t len, void *ctx) {
    return rdg_buf_append(ctx, chunk, len) == RDG_OK ? 0 : -1;
}

static rdg_err_t dump(const json_t *v, rdg_buf_t *out, size_t flags) {
    RDG_TRY(rdg_buf_err(out));
    if (json_dump_callback(v, append_chunk, out, flags | JSON_ENCODE_ANY) == 0) return RDG_OK;
    RDG_TRY(rdg_buf_err(out));
    return rdg_fail(RDG_E_INVALID, "JSON: this value cannot be written (nested too deep, or not a value)");
}

rdg_err_t rdg_json_dump(const json_t *v, rdg_buf_t *out) {
    return dump(v, out, JSON_COMPACT);
}

rdg_err_t rdg_json_dump_pretty(const json_t *v, rdg_buf_t *out) {
    return dump(v, out, JSON_INDENT(2));
}

char *rdg_json_text(const json_t *v) {
    rdg_buf_t buf;
    rdg_buf_init(&buf, RDG_JSON_TEXT_MAX);
    size_t len = 0;
    char *text = NULL;
    if (rdg_json_dump(v, &buf) == RDG_OK && rdg_buf_cstr(&buf)) text = (char *)rdg_buf_take(&buf, &len);
    rdg_buf_fini(&buf);
    return text;
}

/* --- fields ------------------------------------------------------------------------------------ */

static rdg_err_t wrong_type(const char *field, const char *want, const json_t *v) {
    static const char *const names[] = {"an object",     "an array", "a string", "an integer",
                                        "a real number", "true",     "false",    "null"};
    return rdg_fail(RDG_E_INVALID, "field \"%s\": expected %s, got %s", field, want, names[json_typeof(v)]);
}

/* The field's value, or NULL if absent or null. INVALID only if o is no object. */
static rdg_err_t lookup(const json_t *o, const char *field, json_t **out) {
    *out = NULL;
    if (!json_is_object(o))
        return rdg_fail(RDG_E_INVALID, "field \"%s\": its parent is not a JSON object", field);
    json_t *v = json_object_get(o, field);
    if (v && !json_is_null(v)) *out = v;
    return RDG_OK;
}

static rdg_err_t require(const json_t *o, const char *field, const char *want, json_t **out) {
    RDG_TRY(lookup(o, field, out));
    if (*out) return RDG_OK;
    return rdg_fail(RDG_E_INVALID, "field \"%s\" is missing: expected %s", field, want);
}

static rdg_err_t as_str(const json_t *v, const char *field, const char **out) {
    if (!json_is_string(v)) return wrong_type(field, "a string", v);
    *out = json_string_value(v);
    return RDG_OK;
}

static rdg_err_t as_u64(const json_t *v, const char *field, uint64_t *out) {
    if (!json_is_integer(v)) return wrong_type(field, "a non-negative integer", v);
    json_int_t i = json_integer_value(v);
    if (i < 0)
        return rdg_fail(RDG_E_INVALID,
                        "field \"%s\": expected a non-negative integer, got %" JSON_INTEGER_FORMAT, field, i);
    *out = (uint64_t)i;
    return RDG_OK;
}

rdg_err_t rdg_json_get_str(const json_t *o, const char *field, const char **out) {
    json_t *v;
    RDG_TRY(require(o, field, "a string", &v));
    return as_str(v, field, out);
}

rdg_err_t rdg_json_opt_str(const json_t *o, const char *field, const char **out) {
    json_t *v;
    RDG_TRY(lookup(o, field, &v));
    return v ? as_str(v, field, out) : RDG_OK;
}

rdg_err_t rdg_json_get_u64(const json_t *o, const char *field, uint64_t *out) {
    json_t *v;
    RDG_TRY(require(o, field, "a non-negative integer", &v));
    return as_u64(v, field, out);
}

rdg_err_t rdg_json_opt_u64(const json_t *o, const char *field, uint64_t *out) {
    json_t *v;
    RDG_TRY(lookup(o, field, &v));
    return v ? as_u64(v, field, out) : RDG_OK;
}

rdg_err_t rdg_json_opt_bool(const json_t *o, const char *field, bool *out) {
    json_t *v;
    RDG_TRY(lookup(o, field, &v));
    if (!v) return RDG_OK;
    if (!json_is_boolean(v)) return wrong_type(field, "true or false", v);
    *out = json_is_true(v);
    return RDG_OK;
}

rdg_err_t rdg_json_get_array(const json_t *o, const char *field, json_t **out) {
    json_t *v;
    RDG_TRY(require(o, field, "an array", &v));
    if (!json_is_array(v)) return wrong_type(field, "an array", v);
    *out = v;
    return RDG_OK;
}

rdg_err_t rdg_json_get_object(const json_t *o, const char *field, json_t **out) {
    json_t *v;
    RDG_TRY(require(o, field, "an object", &v));
    if (!json_is_object(v)) return wrong_type(field, "an object", v);
    *out = v;
    return RDG_OK;
}

rdg_err_t rdg_json_get_hex(const json_t *o, const char *field, void *out, size_t len) {
    json_t *v;
    RDG_TRY(require(o, field, "a hexadecimal string", &v));
    if (!json_is_string(v)) return wrong_type(field, "a hexadecimal string", v);
    rdg_err_t err = rdg_hex_decode(json_string_value(v), json_string_length(v), out, len);
    if (err == RDG_OK) return RDG_OK;
    return rdg_fail(RDG_E_INVALID, "field \"%s\": %s", field, rdg_err_message(err));
}

/* --- Ethereum forms ---------------------------------------------------------------------------- */

json_t *rdg_json_quantity(uint64_t v) {
    char text[24];
    snprintf(text, sizeof text, "0x%" PRIx64, v);
    return json_string(text);
}

json_t *rdg_json_hex(const void *data, size_t len) {
    rdg_buf_t buf;
    rdg_buf_init(&buf, RDG_JSON_TEXT_MAX);
    json_t *v = NULL;
    if (rdg_hex_append(&buf, data, len, true) == RDG_OK) v = json_stringn((const char *)buf.data, buf.len);
    rdg_buf_fini(&buf);
    return v;
}

rdg_err_t rdg_json_quantity_parse(const json_t *v, uint64_t *out) {
    static const char want[] = "expected a quantity such as \"0x1f\" below 2^64";
    const char *text = json_is_string(v) ? json_string_value(v) : "";
    if (text[0] != '0' || (text[1] != 'x' && text[1] != 'X') || !text[2])
        return rdg_fail(RDG_E_INVALID, "%s", want);
    uint64_t n = 0;
    for (const char *p = text + 2; *p; p++) {
        const char *set = "0123456789abcdef", *at = strchr(set, *p >= 'A' && *p <= 'F' ? *p + 32 : *p);
        if (!at || n >> 60) return rdg_fail(RDG_E_INVALID, "%s", want);
        n = n << 4 | (uint64_t)(at - set);
    }
    *out = n;
    return RDG_OK;
}
