/* Receipt evidence out of a ledger. */
#include <inttypes.h>
#include "ridge/base/alloc.h"
#include "ridge/codec/rlp.h"
#include "ridge/ledger/ledger.h"

/* The Merkle leaves of a block's transactions or receipts, and a place among them. */
static rdg_err_t place(const rdg_bytes_t *items, uint32_t count, uint32_t index, rdg_list_proof_t *out) {
    rdg_hash_t *leaves = rdg_calloc(count, sizeof *leaves);
    if (!leaves)
        return rdg_fail(RDG_E_NO_MEMORY, "no memory for the Merkle list of %" PRIu32 " items", count);
    rdg_merkle_leaves(items, count, leaves);
    rdg_err_t err = rdg_list_prove(leaves, count, index, out);
    rdg_free(leaves);
    return err;
}

static rdg_err_t split_receipts(rdg_bytes_t list, rdg_bytes_t *items, uint32_t count) {
    rdg_rlp_t outer, c;
    rdg_rlp_init(&outer, list);
    rdg_rlp_list(&outer, &c);
    for (uint32_t i = 0; i < count; ++i) items[i] = rdg_rlp_raw(&c);
    return rdg_rlp_done(&c) == RDG_OK ? RDG_OK
                                      : rdg_fail(RDG_E_CORRUPT, "the receipts of a block cannot be read");
}

static rdg_err_t prove_places(rdg_ledger_t *l, const rdg_block_t *b, uint32_t index, rdg_buf_t *receipts,
                              rdg_receipt_parts_t *p) {
    uint32_t count = b->header.tx_count;
    if (index >= count)
        return rdg_fail(RDG_E_NOT_FOUND,
                        "block %" PRIu64 " has %" PRIu32 " transactions, not one of index %" PRIu32,
                        b->header.height, count, index);
    rdg_bytes_t *items = rdg_calloc(count, sizeof *items);
    if (!items) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a block of %" PRIu32 " transactions", count);
    for (uint32_t i = 0; i < count; ++i) items[i] = b->txs[i]->raw;
    p->index = index;
    p->transaction = items[index];
    rdg_err_t err = place(items, count, index, &p->in_transactions);
    if (err == RDG_OK) err = rdg_ledger_receipts(l, b->header.height, receipts);
    if (err == RDG_OK) err = split_receipts(rdg_buf_view(receipts), items, count);
    if (err == RDG_OK) {
        p->receipt = items[index];
        err = place(items, count, index, &p->in_receipts);
    }
    rdg_free(items);
    return err;
}

rdg_err_t rdg_ledger_prove_receipt(rdg_ledger_t *l, uint64_t height, uint32_t index, rdg_buf_t *out) {
    rdg_block_t *b = NULL;
    rdg_receipt_parts_t p = {0};
    rdg_executed_t executed;
    rdg_buf_t header, ran, checkpoint, receipts;
    RDG_TRY(rdg_ledger_block(l, height, &b));
    rdg_buf_init(&header, 4096), rdg_buf_init(&ran, 4096);
    rdg_buf_init(&checkpoint, 1 << 20), rdg_buf_init(&receipts, RDG_RECEIPTS_BYTES_MAX);
    rdg_err_t err = rdg_ledger_header(l, height, NULL, NULL, &executed);
    if (err == RDG_OK) err = rdg_ledger_seal(l, height, NULL, &checkpoint);
    if (err == RDG_OK && checkpoint.len == 0)
        err = rdg_fail(RDG_E_UNAVAILABLE, "block %" PRIu64 " has no checkpoint certificate yet: ask again",
                       height);
    if (err == RDG_OK) err = rdg_header_encode(&b->header, &header);
    if (err == RDG_OK) err = rdg_executed_encode(&executed, &ran);
    if (err == RDG_OK) err = prove_places(l, b, index, &receipts, &p);
    p.header = rdg_buf_view(&header);
    p.executed = rdg_buf_view(&ran);
    p.checkpoint = rdg_buf_view(&checkpoint);
    if (err == RDG_OK) err = rdg_evidence_encode_receipt(&p, out);
    rdg_buf_fini(&header), rdg_buf_fini(&ran), rdg_buf_fini(&checkpoint), rdg_buf_fini(&receipts);
    rdg_block_unref(b);
    return err;
}
