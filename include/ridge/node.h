/* A node: transactions and receipts over its JSON-RPC (docs/developer.md).
 *
 * A transaction is built and signed here and is then bytes: it can be sent again at any time, to any node, and is
 * executed once. A node's acceptance is no promise: it is durable when its receipt exists. Its nonce is random, so
 * many senders of one key need not wait for each other. Nothing here is retried silently; UNAVAILABLE may be. */
#ifndef RIDGE_NODE_H
#define RIDGE_NODE_H
#include <ridge/key.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ridge_node ridge_node_t;

/* url: "http://127.0.0.1:8545". Connects with the first call. timeout_ms: of each exchange; 0: 10 s. Returns owned. */
RIDGE_API ridge_status_t ridge_node_open(const char *url, uint64_t timeout_ms, ridge_node_t **out);
RIDGE_API void ridge_node_close(ridge_node_t *node); /* NULL is fine */
/* Either may be NULL. */
RIDGE_API ridge_status_t ridge_node_head(ridge_node_t *node, uint64_t *chain_id, uint64_t *height);
/* Any JSON-RPC method. params: JSON array, or NULL. Returns owned. */
RIDGE_API ridge_status_t ridge_node_request(ridge_node_t *node, const char *method, const char *params,
                                            char **result);

/* What is to be done. All zero is a transaction of no value that deploys nothing: set `to` or data. */
typedef struct ridge_tx_request {
    const char *to;    /* NULL: create a contract with data */
    const char *value; /* decimal or 0x; NULL: 0 */
    const uint8_t *data;
    size_t data_len;
    uint64_t gas_limit;  /* 0: what the node estimates and a quarter more */
    uint64_t valid_for;  /* blocks from now in which it may be included; 0: 1000, at most 100,000 */
    uint64_t nonce_plus; /* 0: a random nonce; else the nonce plus one */
} ridge_tx_request_t;

typedef struct ridge_tx ridge_tx_t; /* signed */
/* Asks the node for chain, height and, without a limit, gas: REVERTED and GAS_LIMIT come from that. Returns owned. */
RIDGE_API ridge_status_t ridge_tx_sign(ridge_node_t *node, const ridge_key_t *key,
                                       const ridge_tx_request_t *request, ridge_tx_t **out);
/* Without a node: request->gas_limit must be given, and the last height at which it may be included. */
RIDGE_API ridge_status_t ridge_tx_sign_offline(uint64_t chain_id, uint64_t valid_until,
                                               const ridge_key_t *key, const ridge_tx_request_t *request,
                                               ridge_tx_t **out);
/* From its bytes, as ridge_tx_bytes gave them; the signature is verified. MALFORMED, BAD_SIGNATURE. Returns owned. */
RIDGE_API ridge_status_t ridge_tx_read(const uint8_t *bytes, size_t len, ridge_tx_t **out);
RIDGE_API void ridge_tx_free(ridge_tx_t *tx); /* NULL is fine */
RIDGE_API void ridge_tx_id(const ridge_tx_t *tx, char out[RIDGE_HASH_TEXT]);
/* Borrowed from tx. */
RIDGE_API const uint8_t *ridge_tx_bytes(const ridge_tx_t *tx, size_t *len);
/* Where the contract will be that it creates. INVALID: it creates none. */
RIDGE_API ridge_status_t ridge_tx_contract(const ridge_tx_t *tx, char out[RIDGE_ADDRESS_TEXT]);

/* Hands it to the node. DUPLICATE: the node has it already, which is as good. */
RIDGE_API ridge_status_t ridge_tx_send(ridge_node_t *node, const ridge_tx_t *tx);

typedef struct ridge_receipt {
    bool success;
    uint64_t height, index, gas_used;
    char id[RIDGE_HASH_TEXT], block_hash[RIDGE_HASH_TEXT];
    char from[RIDGE_ADDRESS_TEXT];
    char to[RIDGE_ADDRESS_TEXT];       /* "" where a contract was created */
    char contract[RIDGE_ADDRESS_TEXT]; /* "" where none was */
    char *logs;                        /* JSON array of {address, topics, data} */
    ridge_bytes_t revert;              /* of a transaction that failed, as ridge_abi_decode_error reads it */
} ridge_receipt_t;
RIDGE_API void ridge_receipt_fini(ridge_receipt_t *receipt);

/* Waits for the receipt, asking every 50 ms. A failed execution is a receipt too (success is false). TIMEOUT: it may
 * still be included; EXPIRED: it never will be. */
RIDGE_API ridge_status_t ridge_tx_wait(ridge_node_t *node, const ridge_tx_t *tx, uint64_t timeout_ms,
                                       ridge_receipt_t *out);
/* By its id; NOT_FOUND while there is none. */
RIDGE_API ridge_status_t ridge_node_receipt(ridge_node_t *node, const char *id, ridge_receipt_t *out);

#ifdef __cplusplus
}
#endif
#endif
