#include <string.h>

#include "abi_type.h"
#include "ridge/codec/hex.h"

/* Budgets, because offsets may point many values at the same bytes: honest encoders share none, so no more
 * may come out than went in. */
typedef struct decoder {
    rdg_bytes_t data;
    size_t items_left;
    size_t bytes_left;
} decoder_t;

static rdg_err_t malformed(const abi_type_t *t, const char *why) {
    return rdg_fail(RDG_E_MALFORMED, "ABI data: \"%s\" of type %.60s: %s", t->name, t->text, why);
}

static rdg_err_t finish(json_t *v, json_t **out) {
    *out = v;
    return v ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "ABI data: out of memory");
}

static bool all_bytes(const uint8_t *p, size_t len, uint8_t value) {
    for (size_t i = 0; i < len; i++)
        if (p[i] != value) return false;
    return true;
}

static rdg_err_t decode_integer(const abi_type_t *t, const uint8_t word[ABI_WORD], json_t **out) {
    size_t unused = ABI_WORD - t->size / 8;
    bool negative = t->kind == ABI_INT && word[unused] & 0x80;
    if (!all_bytes(word, unused, negative ? 0xff : 0)) return malformed(t, "out of the type's range");
    uint8_t magnitude[ABI_WORD];
    memcpy(magnitude, word, sizeof magnitude);
    if (negative) rdg_abi_number_negate(magnitude);
    if (rdg_abi_number_bits(magnitude) <= 53) {
        json_int_t v = (json_int_t)rdg_load_be64(magnitude + ABI_WORD - 8);
        if (v < (json_int_t)1 << 53) return finish(json_integer(negative ? -v : v), out);
    }
    char text[ABI_DECIMAL_MAX];
    rdg_abi_number_decimal(word, t->kind == ABI_INT, text);
    return finish(json_string(text), out);
}

rdg_err_t rdg_abi_decode_word(const abi_type_t *t, const uint8_t word[ABI_WORD], json_t **out) {
    *out = NULL;
    switch (t->kind) {
    case ABI_UINT:
    case ABI_INT: return decode_integer(t, word, out);
    case ABI_BOOL:
        if (!all_bytes(word, ABI_WORD - 1, 0) || word[ABI_WORD - 1] > 1)
            return malformed(t, "neither 0 nor 1");
        return finish(json_boolean(word[ABI_WORD - 1]), out);
    case ABI_ADDRESS:
        if (!all_bytes(word, ABI_WORD - 20, 0)) return malformed(t, "more than 20 bytes");
        return finish(rdg_json_hex(word + ABI_WORD - 20, 20), out);
    case ABI_FIXED_BYTES:
        if (!all_bytes(word + t->size, ABI_WORD - t->size, 0))
            return malformed(t, "more bytes than the type has");
        return finish(rdg_json_hex(word, t->size), out);
    default: return RDG_E_INTERNAL;
    }
}

/* A length or an offset at pos. */
static rdg_err_t read_size(const decoder_t *d, const abi_type_t *t, size_t pos, size_t *out) {
    if (pos > d->data.len || d->data.len - pos < ABI_WORD) return malformed(t, "the data ends too early");
    const uint8_t *word = d->data.data + pos;
    if (!all_bytes(word, ABI_WORD - 8, 0)) return malformed(t, "an offset or length out of the data");
    uint64_t v = rdg_load_be64(word + ABI_WORD - 8);
    if (v > d->data.len) return malformed(t, "an offset or length out of the data");
    *out = (size_t)v;
    return RDG_OK;
}

static rdg_err_t decode_bytes(decoder_t *d, const abi_type_t *t, size_t pos, json_t **out) {
    size_t len;
    RDG_TRY(read_size(d, t, pos, &len));
    pos += ABI_WORD;
    if (len > d->data.len - pos) return malformed(t, "its length runs past the end");
    if (len > d->bytes_left) return malformed(t, "values share bytes");
    d->bytes_left -= len;
    const uint8_t *p = d->data.data + pos;
    if (t->kind == ABI_BYTES) return finish(rdg_json_hex(p, len), out);
    json_t *v = json_stringn(len ? (const char *)p : "", len);
    return v ? finish(v, out) : malformed(t, "not UTF-8");
}

static rdg_err_t decode_value(decoder_t *d, const abi_type_t *t, size_t pos, json_t **out);

static int put_child(json_t *into, const abi_type_t *t, size_t i, json_t *v) {
    return t->named ? json_object_set_new(into, t->children[i].name, v) : json_array_append_new(into, v);
}

/* count children whose heads start at `start`, from which offsets also count. */
static rdg_err_t decode_sequence(decoder_t *d, const abi_type_t *t, size_t start, size_t count,
                                 json_t **out) {
    json_t *result = t->named ? json_object() : json_array();
    rdg_err_t err = result ? RDG_OK : RDG_E_NO_MEMORY;
    size_t head = start;
    for (size_t i = 0; i < count && err == RDG_OK; i++) {
        const abi_type_t *child = rdg_abi_child(t, i);
        size_t pos = head, offset;
        json_t *v = NULL;
        if (child->dynamic) {
            err = read_size(d, child, head, &offset);
            /* head was in the data, so start is, and the sum of the two cannot overflow. */
            if (err == RDG_OK) pos = start + offset;
        }
        if (err == RDG_OK) err = decode_value(d, child, pos, &v);
        if (err == RDG_OK && put_child(result, t, i, v) != 0)
            err = rdg_fail(RDG_E_NO_MEMORY, "ABI data: out of memory");
        head += child->head_bytes;
    }
    if (err != RDG_OK) {
        json_decref(result);
        return err;
    }
    *out = result;
    return RDG_OK;
}

static rdg_err_t decode_value(decoder_t *d, const abi_type_t *t, size_t pos, json_t **out) {
    if (d->items_left-- == 0) {
        d->items_left = 0;
        return malformed(t, "more items than the limit or than the data has words for");
    }
    size_t count = t->count;
    switch (t->kind) {
    case ABI_BYTES:
    case ABI_STRING: return decode_bytes(d, t, pos, out);
    case ABI_ARRAY:
        RDG_TRY(read_size(d, t, pos, &count));
        pos += ABI_WORD;
        if (count > (d->data.len - pos) / t->children[0].head_bytes)
            return malformed(t, "its length runs past the end");
        return decode_sequence(d, t, pos, count, out);
    case ABI_FIXED_ARRAY:
    case ABI_TUPLE: return decode_sequence(d, t, pos, count, out);
    default:
        if (pos > d->data.len || d->data.len - pos < ABI_WORD) return malformed(t, "the data ends too early");
        return rdg_abi_decode_word(t, d->data.data + pos, out);
    }
}

rdg_err_t rdg_abi_decode(const json_t *outputs, rdg_bytes_t data, json_t **out) {
    *out = NULL;
    rdg_arena_t arena;
    rdg_arena_init(&arena, ABI_TYPE_ARENA_MAX);
    abi_type_t t;
    rdg_err_t err = rdg_abi_tuple_parse(&arena, outputs, 0, &t);
    if (err == RDG_OK) {
        /* A dynamic value takes two words at least; tuples and fixed arrays add no words of their own, so
         * nesting of depth 16 may give that many items a word. */
        size_t words = data.len / ABI_WORD;
        size_t items =
            words > ABI_ITEMS_MAX / (ABI_DEPTH_MAX + 1) ? ABI_ITEMS_MAX : words * (ABI_DEPTH_MAX + 1) + 1;
        decoder_t d = {data, items, data.len};
        err = decode_sequence(&d, &t, 0, t.count, out);
    }
    rdg_arena_fini(&arena);
    return err;
}
