/* A parsed ABI type: what the encoder and the decoder walk. */
#ifndef RIDGE_CODEC_ABI_TYPE_H
#define RIDGE_CODEC_ABI_TYPE_H
#include "ridge/base/arena.h"
#include "ridge/codec/abi.h"

#define ABI_DEPTH_MAX 16
#define ABI_ITEMS_MAX 65536
#define ABI_TYPE_ARENA_MAX (1u << 20)
#define ABI_WORD 32

typedef enum abi_kind {
    ABI_UINT,
    ABI_INT,
    ABI_ADDRESS,
    ABI_BOOL,
    ABI_FIXED_BYTES,
    ABI_BYTES,
    ABI_STRING,
    ABI_FIXED_ARRAY,
    ABI_ARRAY,
    ABI_TUPLE
} abi_kind_t;

typedef struct abi_type {
    abi_kind_t kind;
    unsigned size;                   /* bits of an integer, bytes of bytesN */
    bool dynamic;                    /* its place in the head holds an offset */
    size_t head_bytes;               /* what it takes in the head; ABI_WORD if dynamic */
    size_t count;                    /* children of a tuple, elements of a fixed array */
    const struct abi_type *children; /* of a tuple: count; of arrays: the element type */
    const char *name, *text;         /* name may be empty; text as in the JSON ABI */
    bool named;                      /* a tuple whose children all have distinct names */
} abi_type_t;

/* Memory is the arena's. INVALID names the parameter and the type. */
rdg_err_t rdg_abi_type_parse(rdg_arena_t *arena, const json_t *parameter, unsigned depth, abi_type_t *out);
/* A list of parameters ("inputs", "outputs", "components") as one tuple; NULL is the empty list. */
rdg_err_t rdg_abi_tuple_parse(rdg_arena_t *arena, const json_t *parameters, unsigned depth, abi_type_t *out);

/* The i-th child of a tuple or element of an array. */
static inline const abi_type_t *rdg_abi_child(const abi_type_t *t, size_t i) {
    return t->kind == ABI_TUPLE ? &t->children[i] : &t->children[0];
}

/* Keccak-256 of the entry's signature: an event's topic; its first four bytes are a selector. */
rdg_err_t rdg_abi_entry_hash(const json_t *entry, rdg_abi_keccak_t keccak, uint8_t out[32]);

/* --- 256-bit integers, big-endian ---------------------------------------------------------------- */

/* Decimal or 0x digits, with a leading '-' if negative is given; false if malformed or over 256 bits. */
bool rdg_abi_number_parse(const char *text, uint8_t out[ABI_WORD], bool *negative);
void rdg_abi_number_negate(uint8_t v[ABI_WORD]);
unsigned rdg_abi_number_bits(const uint8_t v[ABI_WORD]);
#define ABI_DECIMAL_MAX 80
void rdg_abi_number_decimal(const uint8_t v[ABI_WORD], bool is_signed, char out[ABI_DECIMAL_MAX]);

/* Decodes one static value in place, as for an indexed event parameter. */
rdg_err_t rdg_abi_decode_word(const abi_type_t *type, const uint8_t word[ABI_WORD], json_t **out);

#endif
