/* Items of frames, and what is computed of them by writer and reader alike. */
#include <string.h>
#include "archive_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/codec/rlp.h"

rdg_err_t body_item_next(rdg_rlp_t *c, body_item_t *out) {
    rdg_rlp_t item;
    rdg_rlp_list(c, &item);
    out->proposal = rdg_rlp_raw(&item);
    out->executed = rdg_rlp_raw(&item);
    out->receipts = rdg_rlp_raw(&item);
    if (c->err == RDG_OK && rdg_rlp_done(&item) == RDG_OK) return RDG_OK;
    return rdg_fail(RDG_E_MALFORMED, "not the RLP list [proposal, executed header, receipts]");
}

rdg_err_t proof_item_next(rdg_rlp_t *c, proof_item_t *out) {
    rdg_rlp_t item;
    rdg_rlp_list(c, &item);
    out->seal = rdg_rlp_raw(&item);
    out->checkpoint = rdg_rlp_raw(&item);
    if (c->err == RDG_OK && rdg_rlp_done(&item) == RDG_OK) return RDG_OK;
    return rdg_fail(RDG_E_MALFORMED, "not the RLP list [seal, checkpoint certificate]");
}

rdg_err_t receipts_root(rdg_bytes_t receipts, uint32_t count, rdg_hash_t *out) {
    rdg_rlp_t outer, list;
    memset(out, 0, sizeof *out);
    rdg_rlp_init(&outer, receipts);
    rdg_rlp_list(&outer, &list);
    rdg_bytes_t *items = rdg_calloc(count + (size_t)1, sizeof *items);
    rdg_hash_t *leaves = rdg_calloc(count + (size_t)1, sizeof *leaves);
    rdg_err_t err =
        items && leaves ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for the receipts of a block");
    for (uint32_t i = 0; err == RDG_OK && i < count; ++i) items[i] = rdg_rlp_raw(&list);
    if (err == RDG_OK && (rdg_rlp_done(&list) != RDG_OK || rdg_rlp_done(&outer) != RDG_OK))
        err = rdg_fail(RDG_E_MALFORMED, "its receipts are not the RLP list of one for each transaction");
    if (err == RDG_OK) {
        rdg_merkle_leaves(items, count, leaves);
        rdg_merkle_root(leaves, count, out);
    }
    rdg_free(items);
    rdg_free(leaves);
    return err;
}

void blocks_leaf(const rdg_hash_t *block, const rdg_hash_t *executed, rdg_hash_t *out) {
    uint8_t both[2 * RDG_HASH_BYTES];
    memcpy(both, block->b, RDG_HASH_BYTES);
    memcpy(both + RDG_HASH_BYTES, executed->b, RDG_HASH_BYTES);
    rdg_merkle_leaf(rdg_bytes(both, sizeof both), out);
}

int tx_entry_compare(const void *a, const void *b) {
    return memcmp(a, b, ARCHIVE_TX_ENTRY_BYTES);
}

void tx_entry_put(uint8_t out[ARCHIVE_TX_ENTRY_BYTES], const rdg_hash_t *id, uint32_t block) {
    memcpy(out, id->b, ARCHIVE_TX_ENTRY_BYTES - 4);
    rdg_store_be32(out + ARCHIVE_TX_ENTRY_BYTES - 4, block);
}
