/* JSON from outside: what parses must survive writing and parsing; a pair [types, arguments] goes through
 * the ABI's type parser and encoder, a string through the hex decoder. */
#include <stdlib.h>
#include <string.h>

#include "ridge/base/alloc.h"
#include "ridge/codec/abi.h"
#include "ridge/codec/hex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fake_keccak(const void *data, size_t len, uint8_t out[32]) {
    (void)data;
    memset(out, (int)len, 32);
}

static void try_abi(const json_t *v) {
    rdg_buf_t out;
    const json_t *entry;
    rdg_buf_init(&out, 1 << 20);
    rdg_abi_encode(json_array_get(v, 0), json_array_get(v, 1), &out);
    rdg_buf_clear(&out);
    rdg_abi_encode_call(json_array_get(v, 0), json_array_get(v, 1), fake_keccak, &out);
    rdg_abi_find(v, "function", "f", RDG_ABI_ANY_COUNT, &entry);
    rdg_buf_fini(&out);
}

static void try_hex(const json_t *v) {
    const char *text = json_string_value(v);
    rdg_buf_t bytes;
    rdg_buf_init(&bytes, 1 << 20);
    if (text && rdg_hex_decode_buf(text, json_string_length(v), &bytes) == RDG_OK &&
        bytes.len > json_string_length(v) / 2)
        abort();
    uint64_t n;
    rdg_json_quantity_parse(v, &n);
    rdg_buf_fini(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    json_t *v = NULL, *again = NULL;
    if (rdg_json_parse(rdg_bytes(data, size), &v) != RDG_OK) return 0;
    char *text = rdg_json_text(v);
    if (text) {
        if (rdg_json_parse(rdg_bytes_str(text), &again) != RDG_OK || !json_equal(v, again)) abort();
    }
    if (json_is_array(v)) try_abi(v);
    if (json_is_string(v)) try_hex(v);
    rdg_free(text);
    json_decref(again);
    json_decref(v);
    return 0;
}
