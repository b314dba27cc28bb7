/* A segment into a ledger: the ledger verifies and executes each block as if it came from a peer. */
#include <inttypes.h>
#include <string.h>
#include "archive_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/codec/rlp.h"

typedef struct import {
    rdg_archive_t *a;
    rdg_ledger_t *l;
    uint64_t head; /* of the ledger */
    rdg_archive_progress_t progress;
} import_t;

static rdg_err_t check_same(const import_t *i, uint64_t height, const body_item_t *body) {
    rdg_header_t header;
    rdg_hash_t here, there;
    RDG_TRY(rdg_proposal_header(body->proposal, &header));
    RDG_TRY(rdg_header_hash(&header, &there));
    RDG_TRY(rdg_ledger_header(i->l, height, NULL, &here, NULL));
    if (rdg_hash_equal(&here, &there)) return RDG_OK;
    return rdg_fail(RDG_E_CONFLICT, "the ledger has another block of that height");
}

static rdg_err_t apply(import_t *i, const body_item_t *body, const proof_item_t *proof) {
    rdg_executed_t done;
    rdg_hash_t ours, theirs;
    rdg_executed_t archived;
    RDG_TRY(rdg_executed_decode(body->executed, &archived));
    RDG_TRY(rdg_ledger_apply(i->l, body->proposal, proof->seal, false, &done));
    i->head++;
    RDG_TRY(rdg_executed_hash(&done, &ours));
    RDG_TRY(rdg_executed_hash(&archived, &theirs));
    if (rdg_hash_equal(&ours, &theirs)) return RDG_OK;
    return rdg_fail(RDG_E_DIVERGED, "executing it gives another result than the archive holds");
}

static rdg_err_t has_checkpoint(const import_t *i, uint64_t height, bool *out) {
    rdg_buf_t certificate;
    rdg_buf_init(&certificate, ARCHIVE_CERTIFICATE_MAX);
    rdg_err_t err = rdg_ledger_seal(i->l, height, NULL, &certificate);
    *out = certificate.len > 0;
    rdg_buf_fini(&certificate);
    return err;
}

static rdg_err_t import_block(import_t *i, uint64_t height, const body_item_t *body,
                              const proof_item_t *proof) {
    bool certified = false;
    RDG_TRY(height <= i->head ? check_same(i, height, body) : apply(i, body, proof));
    RDG_TRY(has_checkpoint(i, height, &certified)); /* a crash may have taken the last one */
    return certified ? RDG_OK : rdg_ledger_checkpoint(i->l, height, proof->checkpoint);
}

static rdg_err_t import_frame(import_t *i, uint32_t index) {
    rdg_archive_t *a = i->a;
    const frame_t *f = &a->frames.frames[index];
    rdg_rlp_t bodies, proofs;
    RDG_TRY(archive_load_pair(a, index));
    rdg_rlp_init(&bodies, rdg_buf_view(&a->bodies));
    rdg_rlp_init(&proofs, rdg_buf_view(&a->proofs));
    for (uint32_t n = 0; n < f->count; ++n) {
        body_item_t body;
        proof_item_t proof;
        rdg_err_t err = body_item_next(&bodies, &body);
        if (err == RDG_OK) err = proof_item_next(&proofs, &proof);
        if (err == RDG_OK) err = import_block(i, f->first + n, &body, &proof);
        if (err != RDG_OK) return rdg_fail_in(err, "archive, block %" PRIu64, f->first + n);
        i->progress.height = f->first + n;
        i->progress.blocks++;
    }
    i->progress.bytes += (uint64_t)f[0].stored_len + f[1].stored_len;
    return RDG_OK;
}

static rdg_err_t import_frames(import_t *i, rdg_archive_progress_fn progress, void *ctx) {
    rdg_archive_t *a = i->a;
    for (uint32_t index = a->first_bodies; index < a->first_txs; index += 2) {
        const frame_t *f = &a->frames.frames[index];
        bool is_last_known = i->head >= f->first && i->head < f->first + f->count;
        if (f->first + f->count - 1 <= i->head && !is_last_known) {
            i->progress.blocks += f->count;
            continue;
        }
        RDG_TRY(import_frame(i, index));
        if (progress && !progress(ctx, &i->progress))
            return rdg_fail(RDG_E_CANCELLED,
                            "the import was stopped at block %" PRIu64 ": what is imported stays",
                            i->progress.height);
    }
    return RDG_OK;
}

/* The hash of the block where archive and ledger meet says whether they are one chain. */
static rdg_err_t check_start(const import_t *i) {
    const rdg_archive_manifest_t *m = &i->a->manifest;
    rdg_hash_t parent;
    if (m->from > i->head + 1)
        return rdg_fail(RDG_E_UNAVAILABLE,
                        "the archive starts at block %" PRIu64 ", the ledger ends at %" PRIu64
                        ": import the archives between first",
                        m->from, i->head);
    RDG_TRY(rdg_ledger_header(i->l, m->from - 1, NULL, &parent, NULL));
    if (rdg_hash_equal(&parent, &m->parent)) return RDG_OK;
    return rdg_fail(RDG_E_CONFLICT, "the archive follows another block %" PRIu64 " than the ledger has",
                    m->from - 1);
}

rdg_err_t rdg_archive_import(rdg_archive_t *a, rdg_ledger_t *l, rdg_archive_progress_fn progress, void *ctx) {
    rdg_ledger_head_t head;
    rdg_ledger_head(l, &head);
    import_t i = {.a = a, .l = l, .head = head.height};
    i.progress.blocks_total = a->manifest.to - a->manifest.from + 1;
    RDG_TRY(rdg_archive_trust(a, rdg_ledger_genesis(l)));
    RDG_TRY(check_start(&i));
    return import_frames(&i, progress, ctx);
}
