/* Evidence of receipts and of epochs, out of a ledger. */
#include <inttypes.h>
#include "ridge/base/alloc.h"
#include "ridge/codec/rlp.h"
#include "ridge/consensus/consensus.h"
#include "succession.h"

enum { CERTIFICATE_MAX = 64 << 10, EPOCH_MAX = 16 << 10 };

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
    for (uint32_t i = 0; i < count; ++i) items[i] = rdg_bytes(b->txs[i]->id.b, sizeof b->txs[i]->id.b);
    p->index = index;
    p->transaction = b->txs[index]->raw;
    rdg_err_t err = place(items, count, index, &p->in_ids);
    if (err == RDG_OK) err = rdg_block_signatures_digest(b->txs, count, &p->signatures);
    if (err == RDG_OK) err = rdg_ledger_receipts(l, b->header.height, receipts);
    if (err == RDG_OK) err = split_receipts(rdg_buf_view(receipts), items, count);
    if (err == RDG_OK) {
        p->receipt = items[index];
        err = place(items, count, index, &p->in_receipts);
    }
    rdg_free(items);
    return err;
}

/* The executed header of a height with its certificate, encoded. */
static rdg_err_t get_signed(rdg_ledger_t *l, uint64_t height, rdg_executed_t *executed, rdg_buf_t *ran,
                            rdg_buf_t *checkpoint) {
    RDG_TRY(rdg_ledger_header(l, height, NULL, NULL, executed));
    RDG_TRY(rdg_ledger_seal(l, height, NULL, checkpoint));
    if (checkpoint->len == 0)
        return rdg_fail(RDG_E_UNAVAILABLE, "block %" PRIu64 " has no checkpoint certificate yet: ask again",
                        height);
    return rdg_executed_encode(executed, ran);
}

rdg_err_t rdg_ledger_prove_receipt(rdg_ledger_t *l, uint64_t height, uint32_t index, rdg_buf_t *out) {
    rdg_block_t *b = NULL;
    rdg_receipt_parts_t p = {0};
    rdg_executed_t executed;
    rdg_buf_t header, ran, checkpoint, receipts;
    RDG_TRY(rdg_ledger_block(l, height, &b));
    rdg_buf_init(&header, 4096), rdg_buf_init(&ran, 4096);
    rdg_buf_init(&checkpoint, CERTIFICATE_MAX), rdg_buf_init(&receipts, RDG_RECEIPTS_BYTES_MAX);
    rdg_err_t err = get_signed(l, height, &executed, &ran, &checkpoint);
    if (err == RDG_OK) err = rdg_header_encode(&b->header, &header);
    if (err == RDG_OK) err = prove_places(l, b, index, &receipts, &p);
    p.header = rdg_buf_view(&header);
    p.executed = rdg_buf_view(&ran);
    p.checkpoint = rdg_buf_view(&checkpoint);
    if (err == RDG_OK) err = rdg_evidence_encode_receipt(&p, out);
    rdg_buf_fini(&header), rdg_buf_fini(&ran), rdg_buf_fini(&checkpoint), rdg_buf_fini(&receipts);
    rdg_block_unref(b);
    return err;
}

/* Their last block, under their certificate: the act names it. */
static rdg_err_t succession_link(rdg_ledger_t *l, uint64_t height, rdg_executed_t *executed,
                                 rdg_buf_t *checkpoint) {
    RDG_TRY(rdg_ledger_header(l, height, NULL, NULL, executed));
    RDG_TRY(rdg_ledger_seal(l, height, NULL, checkpoint));
    if (checkpoint->len > 0 && executed->height == height) return RDG_OK;
    return rdg_fail(RDG_E_UNAVAILABLE,
                    "block %" PRIu64 ", behind which validators were replaced, has no certificate here: ask "
                    "another node",
                    height);
}

rdg_err_t epoch_link(rdg_ledger_t *l, const rdg_epoch_t *e, uint64_t to, rdg_executed_t *executed,
                     rdg_buf_t *checkpoint) {
    rdg_hash_t digest;
    if (rdg_genesis_succession_of(&l->genesis, e->validators.epoch))
        return succession_link(l, e->first_height - 1, executed, checkpoint);
    uint64_t decided = e->first_height - RDG_CONSENSUS_WINDOW - 1;
    RDG_TRY(rdg_epoch_digest(e, &digest));
    for (uint64_t h = decided; h < e->first_height && h <= to; ++h) {
        rdg_certificate_t c;
        RDG_TRY(rdg_ledger_header(l, h, NULL, NULL, executed));
        RDG_TRY(rdg_ledger_seal(l, h, NULL, checkpoint));
        if (checkpoint->len == 0 || executed->height != h ||
            !rdg_hash_equal(&executed->epoch_digest, &digest))
            continue;
        RDG_TRY(rdg_certificate_decode(rdg_buf_view(checkpoint), &c));
        if (c.statement.epoch + 1 == e->validators.epoch) return RDG_OK;
    }
    return rdg_fail(RDG_E_UNAVAILABLE,
                    "no checkpoint certificate proves epoch %" PRIu64 " between blocks %" PRIu64
                    " and %" PRIu64 ": ask again, or another node",
                    e->validators.epoch, decided, e->first_height - 1);
}

rdg_err_t rdg_ledger_prove_epoch(rdg_ledger_t *l, uint64_t number, rdg_buf_t *out) {
    rdg_epoch_t e;
    rdg_ledger_head_t head;
    rdg_executed_t executed;
    rdg_buf_t ran, checkpoint, epoch;
    if (number == 0) return rdg_fail(RDG_E_INVALID, "epoch 0 is the genesis's and needs no proof");
    RDG_TRY(epoch_numbered(l, number, &e));
    rdg_buf_init(&ran, 4096), rdg_buf_init(&checkpoint, CERTIFICATE_MAX), rdg_buf_init(&epoch, EPOCH_MAX);
    rdg_ledger_head(l, &head);
    rdg_err_t err = epoch_link(l, &e, head.height, &executed, &checkpoint);
    if (err == RDG_OK) err = rdg_executed_encode(&executed, &ran);
    if (err == RDG_OK) err = rdg_epoch_encode(&e, &epoch);
    const rdg_epoch_parts_t p = {rdg_buf_view(&ran), rdg_buf_view(&checkpoint), rdg_buf_view(&epoch)};
    if (err == RDG_OK) err = rdg_evidence_encode_epoch(&p, out);
    rdg_buf_fini(&ran), rdg_buf_fini(&checkpoint), rdg_buf_fini(&epoch);
    return err;
}
