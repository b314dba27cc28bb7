#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "abi_type.h"
#include "ridge/base/alloc.h"
#include "ridge/codec/hex.h"

typedef struct encoder {
    rdg_buf_t *out;
    char path[192]; /* "readings[2].value", for messages; cut if longer */
    size_t path_len;
} encoder_t;

static void path_add(encoder_t *e, const char *name, size_t index, bool indexed) {
    size_t left = sizeof e->path - e->path_len;
    int n = indexed ? snprintf(e->path + e->path_len, left, "[%zu]", index)
                    : snprintf(e->path + e->path_len, left, "%s%s", e->path_len ? "." : "", name);
    e->path_len += n > 0 && (size_t)n < left ? (size_t)n : left - 1;
}

static void path_cut(encoder_t *e, size_t len) {
    e->path_len = len;
    e->path[len] = 0;
}

static rdg_err_t refuse(const encoder_t *e, const abi_type_t *t, const json_t *v, const char *why) {
    char *text = rdg_json_text(v);
    rdg_err_t err = rdg_fail(RDG_E_INVALID, "argument \"%s\" of type %.60s: %.80s%s: %s", e->path, t->text,
                             text ? text : "null", text && strlen(text) > 80 ? "…" : "", why);
    rdg_free(text);
    return err;
}

static rdg_err_t encode_integer(encoder_t *e, const abi_type_t *t, const json_t *v) {
    uint8_t word[ABI_WORD];
    bool negative = false;
    char digits[24];
    const char *text = json_string_value(v);
    if (json_is_integer(v)) {
        snprintf(digits, sizeof digits, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        text = digits;
    }
    if (!text || !rdg_abi_number_parse(text, word, &negative))
        return refuse(e, t, v, "want an integer: a JSON integer, or a string of decimal or 0x digits");
    unsigned bits = rdg_abi_number_bits(word);
    bool fits;
    if (t->kind == ABI_UINT) {
        fits = bits <= t->size && !(negative && bits);
    } else if (negative) {
        uint8_t minus_one[ABI_WORD];
        memcpy(minus_one, word, sizeof word);
        for (int i = ABI_WORD - 1; i >= 0 && minus_one[i]-- == 0; i--) {
        } /* |v| - 1 must fit size - 1 bits */
        fits = bits == 0 || rdg_abi_number_bits(minus_one) < t->size;
        rdg_abi_number_negate(word);
    } else {
        fits = bits < t->size;
    }
    return fits ? rdg_buf_append(e->out, word, sizeof word) : refuse(e, t, v, "out of the type's range");
}

static rdg_err_t encode_bool(encoder_t *e, const abi_type_t *t, const json_t *v) {
    uint8_t word[ABI_WORD] = {0};
    const char *text = json_is_string(v) ? json_string_value(v) : "";
    if (json_is_true(v) || strcmp(text, "true") == 0)
        word[ABI_WORD - 1] = 1;
    else if (!json_is_false(v) && strcmp(text, "false") != 0)
        return refuse(e, t, v, "want true or false");
    return rdg_buf_append(e->out, word, sizeof word);
}

static rdg_err_t encode_fixed(encoder_t *e, const abi_type_t *t, const json_t *v) {
    uint8_t word[ABI_WORD] = {0};
    size_t at = t->kind == ABI_ADDRESS ? ABI_WORD - t->size : 0;
    const char *text = json_string_value(v);
    if (!text || text[0] != '0' || (text[1] | 32) != 'x' ||
        rdg_hex_decode(text, json_string_length(v), word + at, t->size) != RDG_OK) {
        char want[64];
        snprintf(want, sizeof want, "want a string of 0x and %u digits", 2 * t->size);
        return refuse(e, t, v, want);
    }
    return rdg_buf_append(e->out, word, sizeof word);
}

static rdg_err_t put_size(rdg_buf_t *out, size_t v) {
    uint8_t word[ABI_WORD] = {0};
    rdg_store_be64(word + ABI_WORD - 8, v);
    return rdg_buf_append(out, word, sizeof word);
}

static rdg_err_t pad_to_word(rdg_buf_t *out, size_t len) {
    static const uint8_t zero[ABI_WORD];
    size_t over = len % ABI_WORD;
    return over ? rdg_buf_append(out, zero, ABI_WORD - over) : RDG_OK;
}

static rdg_err_t encode_bytes(encoder_t *e, const abi_type_t *t, const json_t *v) {
    const char *text = json_string_value(v);
    size_t len = json_string_length(v);
    if (!text)
        return refuse(e, t, v, t->kind == ABI_STRING ? "want a string" : "want a string of 0x and digits");
    if (t->kind == ABI_STRING) {
        RDG_TRY(put_size(e->out, len));
        if (len) RDG_TRY(rdg_buf_append(e->out, text, len));
        return pad_to_word(e->out, len);
    }
    if (len < 2 || text[0] != '0' || (text[1] | 32) != 'x' || len % 2)
        return refuse(e, t, v, "want a string of 0x and an even number of digits");
    len = (len - 2) / 2;
    RDG_TRY(put_size(e->out, len));
    rdg_err_t err = rdg_hex_decode_buf(text, 2 + 2 * len, e->out);
    if (err == RDG_E_MALFORMED) return refuse(e, t, v, "not all of its characters are hexadecimal digits");
    RDG_TRY(err);
    return pad_to_word(e->out, len);
}

static rdg_err_t encode_value(encoder_t *e, const abi_type_t *t, const json_t *v);

/* The JSON value of child i, from an array or, for tuples, from an object by name. */
static const json_t *child_value(const abi_type_t *t, const json_t *v, size_t i) {
    return json_is_object(v) ? json_object_get(v, t->children[i].name) : json_array_get(v, i);
}

/* Heads first, where a dynamic child leaves a word for its offset, then the dynamic children. */
static rdg_err_t encode_sequence(encoder_t *e, const abi_type_t *t, const json_t *v, size_t count) {
    size_t start = e->out->len, path_len = e->path_len;
    static const uint8_t placeholder[ABI_WORD];
    for (int tails = 0; tails < 2; tails++) {
        size_t head = start;
        for (size_t i = 0; i < count; i++) {
            const abi_type_t *child = rdg_abi_child(t, i);
            if (child->dynamic && !tails) {
                RDG_TRY(rdg_buf_append(e->out, placeholder, sizeof placeholder));
            } else if (child->dynamic == (tails == 1)) {
                if (tails) rdg_store_be64(e->out->data + head + ABI_WORD - 8, e->out->len - start);
                char number[24];
                snprintf(number, sizeof number, "%zu", i);
                path_add(e, *child->name ? child->name : number, i, t->kind != ABI_TUPLE);
                RDG_TRY(encode_value(e, child, child_value(t, v, i)));
                path_cut(e, path_len);
            }
            head += child->head_bytes;
        }
        if (!t->dynamic) break;
    }
    return RDG_OK;
}

static rdg_err_t encode_tuple(encoder_t *e, const abi_type_t *t, const json_t *v) {
    char why[160];
    if (json_is_object(v) && t->named) {
        for (size_t i = 0; i < t->count; i++) {
            if (json_object_get(v, t->children[i].name)) continue;
            snprintf(why, sizeof why, "\"%.80s\" is missing", t->children[i].name);
            return refuse(e, t, v, why);
        }
    }
    bool fits = json_is_object(v) ? t->named && json_object_size(v) == t->count
                                  : json_is_array(v) && json_array_size(v) == t->count;
    if (!fits && !(t->count == 0 && (!v || (json_is_object(v) && json_object_size(v) == 0)))) {
        snprintf(why, sizeof why, "want an array of %zu values%s", t->count,
                 t->named ? ", or an object by name" : "");
        return refuse(e, t, v, why);
    }
    return encode_sequence(e, t, v, t->count);
}

static rdg_err_t encode_array(encoder_t *e, const abi_type_t *t, const json_t *v) {
    size_t count = json_array_size(v);
    if (!json_is_array(v) || (t->kind == ABI_FIXED_ARRAY && count != t->count)) {
        char why[64];
        snprintf(why, sizeof why, t->kind == ABI_ARRAY ? "want an array" : "want an array of %zu values",
                 t->count);
        return refuse(e, t, v, why);
    }
    if (count > ABI_ITEMS_MAX) return refuse(e, t, v, "more than 65536 items");
    if (t->kind == ABI_ARRAY) RDG_TRY(put_size(e->out, count));
    return encode_sequence(e, t, v, count);
}

static rdg_err_t encode_value(encoder_t *e, const abi_type_t *t, const json_t *v) {
    switch (t->kind) {
    case ABI_UINT:
    case ABI_INT: return encode_integer(e, t, v);
    case ABI_BOOL: return encode_bool(e, t, v);
    case ABI_ADDRESS:
    case ABI_FIXED_BYTES: return encode_fixed(e, t, v);
    case ABI_BYTES:
    case ABI_STRING: return encode_bytes(e, t, v);
    case ABI_FIXED_ARRAY:
    case ABI_ARRAY: return encode_array(e, t, v);
    case ABI_TUPLE: return encode_tuple(e, t, v);
    }
    return RDG_E_INTERNAL;
}

rdg_err_t rdg_abi_encode(const json_t *inputs, const json_t *args, rdg_buf_t *out) {
    rdg_arena_t arena;
    rdg_arena_init(&arena, ABI_TYPE_ARENA_MAX);
    abi_type_t t;
    encoder_t e = {.out = out, .path = "", .path_len = 0};
    rdg_err_t err = rdg_abi_tuple_parse(&arena, inputs, 0, &t);
    if (err == RDG_OK) {
        t.text = "(arguments)";
        err = encode_tuple(&e, &t, args);
    }
    rdg_arena_fini(&arena);
    return err;
}
