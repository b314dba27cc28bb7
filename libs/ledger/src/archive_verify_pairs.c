/* A pair of frames by itself, on a thread of its own. */
#include <inttypes.h>
#include <string.h>
#include "archive_internal.h"
#include "ridge/base/alloc.h"

enum { IDS_MAX = ARCHIVE_TX_ENTRY_BYTES * RDG_ARCHIVE_FRAME_BLOCKS * RDG_BLOCK_TXS_MAX };

static rdg_err_t note(const rdg_archive_t *a, verify_pair_t *p, const block_check_t *c) {
    const rdg_block_t *b = c->block;
    uint32_t number = (uint32_t)(b->header.height - a->manifest.from);
    RDG_TRY(rdg_buf_reserve(&p->ids, (size_t)ARCHIVE_TX_ENTRY_BYTES * b->header.tx_count));
    for (uint32_t i = 0; i < b->header.tx_count; ++i, p->ids.len += ARCHIVE_TX_ENTRY_BYTES)
        tx_entry_put(p->ids.data + p->ids.len, &b->txs[i]->id, number);
    p->blocks[p->done++] =
        (checked_block_t){b->header, b->hash, c->executed, c->executed_digest, c->signatures};
    return RDG_OK;
}

static rdg_err_t check_block(const rdg_archive_t *a, verify_pair_t *p, rdg_rlp_t *bodies, rdg_rlp_t *proofs,
                             uint64_t height) {
    body_item_t body;
    proof_item_t proof;
    block_check_t c = {0};
    rdg_err_t err = body_item_next(bodies, &body);
    if (err == RDG_OK) err = proof_item_next(proofs, &proof);
    if (err == RDG_OK) err = archive_check_block(a, p->batch, height, &body, &proof, &c);
    if (err == RDG_OK) err = note(a, p, &c);
    if (err != RDG_OK) rdg_fail_in(err, "block %" PRIu64, height);
    if (err == RDG_OK) err = signature_batch_block(p->batch, c.block); /* names the block that it refuses */
    rdg_block_unref(c.block);
    return err;
}

static rdg_err_t make_room(verify_pair_t *p, uint32_t count) {
    if (!p->batch) p->batch = signature_batch_new();
    if (!p->batch) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the signatures of an archive");
    signature_batch_clear(p->batch);
    p->done = 0;
    rdg_buf_clear(&p->ids);
    if (count <= p->room) return RDG_OK;
    rdg_free(p->blocks);
    p->room = 0;
    p->blocks = rdg_calloc(count, sizeof *p->blocks);
    if (!p->blocks) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the blocks of a frame");
    p->room = count;
    return RDG_OK;
}

static rdg_err_t check_pair(void *ctx, uint32_t number) {
    verify_pairs_t *x = ctx;
    const read_pair_t *read = &x->reader.pairs[number];
    const rdg_archive_t *a = x->reader.a;
    const frame_t *f = &a->frames.frames[read->frame];
    verify_pair_t *p = &x->pairs[number];
    rdg_rlp_t bodies, proofs;
    RDG_TRY(make_room(p, f->count));
    rdg_rlp_init(&bodies, rdg_buf_view(&read->raw[0]));
    rdg_rlp_init(&proofs, rdg_buf_view(&read->raw[1]));
    for (uint32_t i = 0; i < f->count; ++i) RDG_TRY(check_block(a, p, &bodies, &proofs, f->first + i));
    if (rdg_rlp_done(&bodies) == RDG_OK && rdg_rlp_done(&proofs) == RDG_OK) return RDG_OK;
    return rdg_fail(RDG_E_MALFORMED, "the frame with block %" PRIu64 " holds more than the index says",
                    f->first);
}

static void signature_job(void *ctx, unsigned worker, uint32_t number) {
    verify_pairs_t *x = ctx;
    (void)worker;
    signature_batch_verify(x->pairs[number].batch);
}

rdg_err_t verify_pairs_signatures(verify_pairs_t *x) {
    crew_run(&x->reader.crew, signature_job, x, x->reader.count);
    for (uint32_t i = 0; i < x->reader.count; ++i) RDG_TRY(signature_batch_settle(x->pairs[i].batch));
    return RDG_OK;
}

rdg_err_t verify_pairs_init(verify_pairs_t *x, rdg_archive_t *a) {
    for (uint32_t i = 0; i < PAIRS_MAX; ++i) rdg_buf_init(&x->pairs[i].ids, IDS_MAX);
    return pair_reader_init(&x->reader, a, check_pair, x);
}

void verify_pairs_fini(verify_pairs_t *x) {
    pair_reader_fini(&x->reader);
    for (uint32_t i = 0; i < PAIRS_MAX; ++i) {
        rdg_buf_fini(&x->pairs[i].ids);
        rdg_free(x->pairs[i].blocks);
        signature_batch_free(x->pairs[i].batch);
    }
}
