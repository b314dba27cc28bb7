/* A segment, block for block: everything that can be recomputed is. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "archive_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/codec/rlp.h"

/* --- one block by itself ------------------------------------------------------------------------- */

/* The last block of an epoch may be certified by the next one's validators. */
static const rdg_validator_set_t *certifiers(const rdg_archive_t *a, uint32_t epoch, uint64_t height,
                                             uint64_t signed_in) {
    bool is_last = epoch + 1 < a->epoch_count && a->epochs[epoch].last_height == height;
    return &a->epochs[is_last && signed_in == a->epochs[epoch + 1].validators.epoch ? epoch + 1 : epoch]
                .validators;
}

static rdg_err_t check_proofs(const rdg_archive_t *a, signature_batch_t *batch, const proof_item_t *proof,
                              block_check_t *c) {
    rdg_certificate_t seal, checkpoint;
    uint64_t height = c->block->header.height;
    uint32_t epoch = archive_epoch_at(a, height);
    const rdg_validator_set_t *set = &a->epochs[epoch].validators;
    if (c->block->header.epoch != set->epoch || c->block->header.proposer >= set->count)
        return rdg_fail(RDG_E_INVALID,
                        "its header is of epoch %" PRIu64 " and proposer %" PRIu32
                        "; at that height rules epoch %" PRIu64 " of %" PRIu32,
                        c->block->header.epoch, c->block->header.proposer, set->epoch, set->count);
    RDG_TRY(rdg_fail_in(rdg_certificate_decode(proof->seal, &seal), "seal"));
    RDG_TRY(rdg_fail_in(rdg_certificate_decode(proof->checkpoint, &checkpoint), "checkpoint"));
    RDG_TRY(signature_batch_certificate(batch, &seal, set, a->raft,
                                        a->raft ? RDG_PHASE_RAFT_LEADER : RDG_PHASE_COMMIT, height,
                                        &c->block->hash));
    RDG_TRY(signature_batch_certificate(batch, &checkpoint,
                                        certifiers(a, epoch, height, checkpoint.statement.epoch), a->raft,
                                        RDG_PHASE_CHECKPOINT, height, &c->executed_digest));
    c->signatures = (uint64_t)seal.count + checkpoint.count + c->block->header.tx_count;
    return RDG_OK;
}

/* Roots and links of the parts with each other. */
static rdg_err_t check_parts(const rdg_archive_t *a, uint64_t height, const body_item_t *body,
                             block_check_t *c) {
    rdg_hash_t root;
    RDG_TRY(rdg_block_decode(body->proposal, &c->block));
    const rdg_header_t *h = &c->block->header;
    if (h->chain_id != a->manifest.chain_id)
        return rdg_fail(RDG_E_WRONG_CHAIN, "its header is of chain %" PRIu64, h->chain_id);
    if (h->height != height) return rdg_fail(RDG_E_INVALID, "its header is of height %" PRIu64, h->height);
    RDG_TRY(rdg_executed_decode(body->executed, &c->executed));
    RDG_TRY(rdg_executed_hash(&c->executed, &c->executed_digest));
    if (c->executed.chain_id != h->chain_id || c->executed.height != height ||
        !rdg_hash_equal(&c->executed.block_hash, &c->block->hash))
        return rdg_fail(RDG_E_INVALID, "its executed header is of another block");
    RDG_TRY(receipts_root(body->receipts, h->tx_count, &root));
    if (rdg_hash_equal(&root, &c->executed.receipts_root)) return RDG_OK;
    return rdg_fail(RDG_E_INVALID, "its receipts do not come to the root in its executed header");
}

rdg_err_t archive_check_block(const rdg_archive_t *a, signature_batch_t *batch, uint64_t height,
                              const body_item_t *body, const proof_item_t *proof, block_check_t *out) {
    memset(out, 0, sizeof *out);
    RDG_TRY(check_parts(a, height, body, out));
    return a->trusted ? check_proofs(a, batch, proof, out) : RDG_OK;
}

/* --- the whole ----------------------------------------------------------------------------------- */

typedef struct verify {
    rdg_archive_t *a;
    rdg_archive_progress_t progress;
    rdg_archive_progress_fn fn;
    void *fn_ctx;
    rdg_hash_t parent, executed, state_root; /* of the block before */
    uint64_t time_ms;
    uint32_t named; /* the epoch that executed headers name */
    uint8_t *txs;
    rdg_hash_t *leaves;
    verify_pairs_t pairs;
} verify_t;

/* An executed header names the latest epoch that is decided; from one block to the next that may grow by one, at the latest
 * with the epoch's first block, where it began by an act. */
static rdg_err_t check_epoch_digest(verify_t *v, const checked_block_t *c) {
    const rdg_archive_t *a = v->a;
    uint32_t next = v->named + 1;
    const rdg_hash_t *digest = &c->executed.epoch_digest;
    if (rdg_hash_equal(digest, &a->epoch_digests[v->named])) return RDG_OK;
    if (next < a->epoch_count && rdg_hash_equal(digest, &a->epoch_digests[next]) &&
        c->executed.height <= a->epochs[next].first_height) {
        v->named = next;
        return RDG_OK;
    }
    return rdg_fail(RDG_E_INVALID, "its executed header names an epoch that is not in the lineage");
}

static rdg_err_t follow(verify_t *v, const checked_block_t *c) {
    rdg_archive_t *a = v->a;
    const rdg_header_t *h = &c->header;
    uint64_t offset = h->height - a->manifest.from;
    if (!rdg_hash_equal(&h->parent, &v->parent))
        return rdg_fail(RDG_E_INVALID, "its parent is not the block before it");
    if (offset > 0 ? h->time_ms <= v->time_ms : h->time_ms != a->manifest.first_time_ms)
        return rdg_fail(RDG_E_INVALID,
                        "its time is not later than that of its parent, or not the manifest's");
    RDG_TRY(check_epoch_digest(v, c));
    if (v->progress.txs + h->tx_count > a->manifest.tx_count)
        return rdg_fail(RDG_E_INVALID, "with it there are more transactions than the manifest says");
    v->progress.txs += h->tx_count;
    blocks_leaf(&c->hash, &c->executed_digest, &v->leaves[offset]);
    v->parent = c->hash;
    v->executed = c->executed_digest;
    v->state_root = c->executed.state_root;
    v->time_ms = h->time_ms;
    v->progress.height = h->height;
    v->progress.blocks++;
    v->progress.signatures += c->signatures;
    return RDG_OK;
}

/* A pair that is wrong somewhere is followed up to there: what is wrong first is told. */
static rdg_err_t follow_pair(verify_t *v, uint32_t number) {
    verify_pair_t *p = &v->pairs.pairs[number];
    const read_pair_t *read = &v->pairs.reader.pairs[number];
    uint64_t txs = v->progress.txs;
    if (read->err != RDG_OK) p->done = 0; /* of the pair that stood there before */
    rdg_err_t err = pair_reader_settle(&v->pairs.reader, number);
    for (uint32_t i = 0; i < p->done; ++i) {
        rdg_err_t bad = follow(v, &p->blocks[i]);
        if (bad != RDG_OK) return rdg_fail_in(bad, "block %" PRIu64, p->blocks[i].header.height);
    }
    RDG_TRY(err);
    if (p->ids.len) memcpy(v->txs + ARCHIVE_TX_ENTRY_BYTES * txs, p->ids.data, p->ids.len);
    const frame_t *f = &v->a->frames.frames[read->frame];
    v->progress.bytes += (uint64_t)f[0].stored_len + f[1].stored_len;
    return RDG_OK;
}

static rdg_err_t report(verify_t *v) {
    if (!v->fn || v->fn(v->fn_ctx, &v->progress)) return RDG_OK;
    return rdg_fail(RDG_E_CANCELLED, "the verification was stopped at block %" PRIu64, v->progress.height);
}

static rdg_err_t verify_blocks(verify_t *v) {
    const rdg_archive_t *a = v->a;
    for (uint32_t next = a->first_bodies; next < a->first_txs;) {
        RDG_TRY(pair_reader_next(&v->pairs.reader, &next));
        for (uint32_t i = 0; i < v->pairs.reader.count; ++i) {
            RDG_TRY(follow_pair(v, i));
            RDG_TRY(report(v));
        }
        RDG_TRY(verify_pairs_signatures(&v->pairs));
    }
    return RDG_OK;
}

static rdg_err_t verify_index(verify_t *v) {
    rdg_archive_t *a = v->a;
    rdg_err_t err = RDG_OK;
    rdg_buf_t raw;
    if (v->progress.txs != a->manifest.tx_count)
        return rdg_fail(RDG_E_INVALID, "manifest: %" PRIu64 " transactions, the blocks have %" PRIu64,
                        a->manifest.tx_count, v->progress.txs);
    qsort(v->txs, v->progress.txs, ARCHIVE_TX_ENTRY_BYTES, tx_entry_compare);
    rdg_buf_init(&raw, a->frame_bytes_max);
    for (uint32_t i = a->first_txs; err == RDG_OK && i < a->first_state; ++i) {
        const frame_t *f = &a->frames.frames[i];
        err = archive_load_frame(a, i, &raw);
        if (err == RDG_OK && memcmp(raw.data, v->txs + ARCHIVE_TX_ENTRY_BYTES * f->first, raw.len) != 0)
            err = rdg_fail(RDG_E_INVALID,
                           "frame %" PRIu32 ": the index of transactions is not that of the blocks", i);
    }
    rdg_buf_fini(&raw);
    return err;
}

static rdg_err_t verify_claims(verify_t *v) {
    const rdg_archive_manifest_t *m = &v->a->manifest;
    rdg_hash_t root;
    rdg_merkle_root(v->leaves, (size_t)v->progress.blocks, &root);
    if (!rdg_hash_equal(&root, &m->blocks_root) || !rdg_hash_equal(&v->parent, &m->last_block) ||
        !rdg_hash_equal(&v->executed, &m->last_executed) || v->time_ms != m->last_time_ms)
        return rdg_fail(RDG_E_INVALID, "manifest: its hashes or times are not those of the blocks");
    if (v->named + 1 != v->a->epoch_count)
        return rdg_fail(RDG_E_INVALID, "lineage: it knows of more epochs than the blocks");
    return RDG_OK;
}

static bool go_on(void *ctx, uint64_t bytes) {
    verify_t *v = ctx;
    v->progress.bytes += bytes;
    return report(v) == RDG_OK;
}

static rdg_err_t verify_all(verify_t *v) {
    RDG_TRY(verify_pairs_init(&v->pairs, v->a));
    v->parent = v->a->manifest.parent;
    v->named = archive_epoch_at(v->a, v->a->manifest.from); /* or the next one, if that was decided before */
    RDG_TRY(verify_blocks(v));
    RDG_TRY(verify_index(v));
    RDG_TRY(verify_claims(v));
    return v->a->manifest.state_frames ? state_verify(v->a, &v->state_root, go_on, v) : RDG_OK;
}

rdg_err_t rdg_archive_verify(rdg_archive_t *a, rdg_archive_progress_fn progress, void *ctx,
                             rdg_archive_report_t *out) {
    const rdg_archive_manifest_t *m = &a->manifest;
    if (!a->trusted)
        return rdg_fail(RDG_E_INVALID, "an archive is verified against a genesis: give it first");
    verify_t *v = rdg_calloc(1, sizeof *v);
    if (!v) return rdg_fail(RDG_E_NO_MEMORY, "no memory to verify an archive");
    v->a = a, v->fn = progress, v->fn_ctx = ctx;
    v->progress.blocks_total = m->to - m->from + 1;
    v->txs = rdg_alloc(ARCHIVE_TX_ENTRY_BYTES * (m->tx_count + 1));
    v->leaves = rdg_calloc(v->progress.blocks_total, sizeof *v->leaves);
    rdg_err_t err = v->txs && v->leaves ? verify_all(v)
                                        : rdg_fail(RDG_E_NO_MEMORY, "no memory for the index of a segment");
    if (err == RDG_OK && out)
        *out = (rdg_archive_report_t){v->progress.blocks, v->progress.txs, v->progress.signatures,
                                      a->epoch_count, a->source.size};
    verify_pairs_fini(&v->pairs);
    rdg_free(v->txs);
    rdg_free(v->leaves);
    rdg_free(v);
    return err;
}
