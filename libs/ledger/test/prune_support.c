#include "prune_support.h"

rdg_sm2_public_t prune_key(uint8_t n) {
    rdg_sm2_public_t key;
    rdg_sm2_key_public(support_key(n), &key);
    return key;
}

rdg_archive_receipt_t prune_truth(rdg_ledger_t *l, uint64_t from, uint64_t to) {
    rdg_header_t last;
    rdg_archive_receipt_t r = {.chain_id = SUPPORT_CHAIN_ID,
                               .genesis = rdg_ledger_genesis(l)->hash,
                               .from = from,
                               .to = to,
                               .manifest = {{0xab, 0xcd}},
                               .anchor_height = 12,
                               .anchor_tx = {{9}}};
    CHECK_OK(rdg_ledger_header(l, to, &last, NULL, NULL));
    r.mark_ms = last.time_ms;
    CHECK_OK(rdg_archive_content_of(l, from, to, &r.content));
    return r;
}

rdg_err_t prune_as(rdg_ledger_t *l, uint64_t below, const rdg_archive_receipt_t *r, uint8_t signer,
                   rdg_prune_result_t *out) {
    rdg_sm2_public_t known[2] = {prune_key(PRUNE_COLLECTOR), prune_key(8)};
    rdg_buf_t receipt;
    rdg_buf_init(&receipt, 1024);
    CHECK_OK(rdg_archive_receipt_sign(r, support_key(signer), &receipt));
    rdg_err_t err = rdg_ledger_prune(l, below, rdg_buf_view(&receipt), known, 2, out);
    rdg_buf_fini(&receipt);
    return err;
}

rdg_err_t prune(rdg_ledger_t *l, uint64_t from, uint64_t to, uint64_t below, rdg_prune_result_t *out) {
    rdg_archive_receipt_t r = prune_truth(l, from, to);
    return prune_as(l, below, &r, PRUNE_COLLECTOR, out);
}

bool prune_has_body(rdg_ledger_t *l, uint64_t height) {
    rdg_buf_t receipts;
    rdg_buf_init(&receipts, 1 << 24);
    rdg_err_t err = rdg_ledger_receipts(l, height, &receipts);
    CHECK(err == RDG_OK || err == RDG_E_ARCHIVED);
    rdg_buf_fini(&receipts);
    return err == RDG_OK;
}

uint64_t prune_check_after_a_cut(rdg_ledger_t *l, uint64_t head) {
    uint64_t mark = rdg_ledger_pruned(l);
    for (uint64_t h = 1; h <= head; ++h) {
        rdg_archive_receipt_t r;
        CHECK_EQ(prune_has_body(l, h), h > mark);
        if (h > mark) continue;
        CHECK_OK(rdg_ledger_archive_of(l, h, &r));
        CHECK(r.from <= h && r.to >= mark && r.anchor_height > 0);
    }
    return mark;
}
