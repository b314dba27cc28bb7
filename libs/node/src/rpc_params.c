#include "ridge/codec/hex.h"
#include "rpc_internal.h"
#include <string.h>

static rdg_err_t fixed(const json_t *v, const char *what, void *out, size_t len) {
    const char *text = json_string_value(v);
    if (!text || strncmp(text, "0x", 2) != 0 || strlen(text) != 2 + 2 * len)
        return rdg_fail(RDG_E_INVALID, "%s: want 0x and %zu hexadecimal digits", what, 2 * len);
    return rdg_fail_in(rdg_hex_decode(text, strlen(text), out, len), "%s", what);
}

rdg_err_t param_hash(const json_t *params, size_t i, const char *what, rdg_hash_t *out) {
    return fixed(json_array_get(params, i), what, out->b, sizeof out->b);
}

rdg_err_t param_address(const json_t *v, const char *what, rdg_address_t *out) {
    return fixed(v, what, out->b, sizeof out->b);
}

rdg_err_t param_word(const json_t *v, const char *what, rdg_word_t *out) {
    const char *text = json_string_value(v);
    size_t digits = text && strncmp(text, "0x", 2) == 0 ? strlen(text + 2) : 0;
    char padded[65];
    if (digits == 0 || digits > 64)
        return rdg_fail(RDG_E_INVALID, "%s: want 0x and 1 to 64 hexadecimal digits", what);
    memset(padded, '0', 64 - digits);
    memcpy(padded + 64 - digits, text + 2, digits + 1);
    return rdg_fail_in(rdg_hex_decode(padded, 64, out->b, sizeof out->b), "%s", what);
}

rdg_err_t param_bytes(const json_t *v, const char *what, rdg_buf_t *out) {
    const char *text = json_string_value(v);
    if (!text || strncmp(text, "0x", 2) != 0)
        return rdg_fail(RDG_E_INVALID, "%s: want hexadecimal digits after 0x", what);
    return rdg_fail_in(rdg_hex_decode_buf(text, strlen(text), out), "%s", what);
}

uint64_t rpc_head(rdg_node_rpc_t *rpc) {
    rdg_ledger_head_t head;
    rdg_ledger_head(rpc->options.ledger, &head);
    return head.height;
}

/* EIP-1898 */
static rdg_err_t height_of_object(rdg_node_rpc_t *rpc, const json_t *v, const char *what, uint64_t *out) {
    rdg_hash_t hash;
    const json_t *number = json_object_get(v, "blockNumber"), *text = json_object_get(v, "blockHash");
    if (number) return rdg_fail_in(rdg_json_quantity_parse(number, out), "%s", what);
    RDG_TRY(fixed(text, what, hash.b, sizeof hash.b));
    return rdg_fail_in(rdg_ledger_height_of(rpc->options.ledger, &hash, out), "%s", what);
}

rdg_err_t param_height(rdg_node_rpc_t *rpc, const json_t *v, const char *what, uint64_t *out) {
    static const char *const head_tags[] = {"latest", "pending", "safe", "finalized"};
    const char *text = json_string_value(v);
    *out = rpc_head(rpc);
    if (!v || json_is_null(v)) return RDG_OK;
    if (json_is_object(v)) return height_of_object(rpc, v, what, out);
    for (size_t i = 0; text && i < sizeof head_tags / sizeof head_tags[0]; ++i)
        if (strcmp(text, head_tags[i]) == 0) return RDG_OK;
    if (text && strcmp(text, "earliest") == 0) return *out = 0, RDG_OK;
    return rdg_fail_in(rdg_json_quantity_parse(v, out), "%s", what);
}
