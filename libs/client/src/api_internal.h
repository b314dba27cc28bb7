/* Behind libridge's public headers (include/ridge): opaque types, and JSON text in and out. */
#ifndef RIDGE_CLIENT_API_INTERNAL_H
#define RIDGE_CLIENT_API_INTERNAL_H
#include <ridge/contract.h>
#include <ridge/verify.h>
#include "ridge/client/rpc.h"
#include "ridge/ledger/evidence.h"

struct ridge_key {
    rdg_sm2_key_t *key;
};
struct ridge_abi {
    json_t *abi;
    rdg_buf_t bytecode;
};
struct ridge_node {
    rdg_rpc_t *rpc;
};
struct ridge_trust {
    rdg_trust_t *trust;
};
/* ridge_tx_t is an rdg_tx_t. */
static inline rdg_tx_t *api_tx(const ridge_tx_t *tx) {
    return (rdg_tx_t *)(uintptr_t)tx;
}

/* --- text and bytes (api_text.c) -------------------------------------------------------------------------------- */
/* NULL text is fallback. what names it in the error. Returns owned. */
rdg_err_t api_parse(const char *what, const char *text, const char *fallback, json_t **out);
/* Takes v; *out is for ridge_free. */
rdg_err_t api_json(json_t *v, char **out);
/* Takes buf's content. */
rdg_err_t api_bytes(rdg_buf_t *buf, ridge_bytes_t *out);
/* "0x" and 40 or 64 digits. INVALID names what. */
rdg_err_t api_address(const char *what, const char *text, rdg_address_t *out);
rdg_err_t api_hash(const char *what, const char *text, rdg_hash_t *out);
/* Decimal or 0x digits; NULL is 0. */
rdg_err_t api_word(const char *what, const char *text, rdg_word_t *out);
/* out gets "0x", the digits and the end. */
void api_hex(const void *data, size_t len, char *out);

/* --- ABI (abi_types.c, api_abi.c) -------------------------------------------------------------------------------- */
/* "uint256 a,(string,bytes32[])[2] b" as the JSON ABI's list of parameters. INVALID. Returns owned. */
rdg_err_t api_types(const char *text, json_t **out);
/* REVERTED with the contract's reason as text. */
rdg_err_t api_reverted(const ridge_abi_t *abi, rdg_bytes_t data);

/* --- transactions (api_node.c) ------------------------------------------------------------------------------------ */
/* As ridge_tx_sign; a revert that the estimate finds is told with abi's errors, which may be NULL. */
rdg_err_t api_sign(ridge_node_t *node, const ridge_key_t *key, const ridge_abi_t *abi,
                   const ridge_tx_request_t *request, ridge_tx_t **out);

/* --- receipts (api_receipt.c) ------------------------------------------------------------------------------------- */
rdg_err_t api_receipt_read(const json_t *from, ridge_receipt_t *out);
json_t *api_log_json(const rdg_log_entry_t *log);

/* rpc.c: until a node is asked again. */
void rpc_pause_ms(uint64_t ms);

#endif
