#ifndef RIDGE_LEDGER_BLOCK_BUILD_H
#define RIDGE_LEDGER_BLOCK_BUILD_H
#include "ridge/ledger/block.h"

/* A block object from parts that belong together: nothing is checked. Takes references of its own of txs. */
rdg_err_t block_build(const rdg_header_t *h, rdg_tx_t *const *txs, rdg_bytes_t proposal, rdg_block_t **out);

/* rdg_tx_decode in two steps, so that the hashes of many are computed at once: fields; then ids and senders of new
 * transactions that nobody else holds yet. */
rdg_err_t tx_parse(rdg_bytes_t wire, rdg_tx_t **out);
void txs_identify(rdg_tx_t *const *txs, size_t count);

/* What an id is the hash of. */
void tx_put_payload(const rdg_tx_fields_t *f, const rdg_sm2_public_t *key, rdg_buf_t *out);

/* What a proposal's tx_root is made of, and its block hash. MALFORMED unless that root is in its header. Nothing else of the
 * transactions is looked at. */
typedef struct block_ids {
    rdg_header_t header;
    rdg_hash_t hash, signatures; /* of the block; digest of the transactions' signatures */
    rdg_hash_t *ids;             /* owned: rdg_free; one for each of header.tx_count. NULL on error */
} block_ids_t;
rdg_err_t block_ids(rdg_bytes_t proposal, block_ids_t *out);

#endif
