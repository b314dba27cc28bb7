/* Blocks into frames of bodies and of proofs. The plan reads entries only, and says where frames end; a pair of frames is
 * then read, checked, packed and hashed by itself. */
#include <inttypes.h>
#include <string.h>
#include "archive_internal.h"
#include "ledger_internal.h"
#include "ridge/base/alloc.h"

enum { EXECUTED_MAX = 4096 };

/* --- the plan ------------------------------------------------------------------------------------ */

static size_t list_head_len(size_t len) {
    size_t head = 1;
    for (size_t left = len; len > 55 && left > 0; left >>= 8) ++head;
    return head;
}

/* Of [proposal, executed header, receipts]. */
static rdg_err_t body_len(export_pairs_t *x, const block_entry_t *e, size_t *out) {
    rdg_buf_clear(&x->scratch);
    RDG_TRY(rdg_executed_encode(&e->executed, &x->scratch));
    size_t len = (size_t)e->place.proposal_len + x->scratch.len + e->place.receipts_len;
    *out = list_head_len(len) + len;
    return RDG_OK;
}

static rdg_err_t note_block(export_pairs_t *x, const block_entry_t *entry) {
    rdg_archive_manifest_t *m = x->m;
    uint64_t height = entry->header.height;
    if (height == m->from) {
        m->parent = entry->header.parent;
        m->first_time_ms = entry->header.time_ms;
    }
    m->last_time_ms = entry->header.time_ms;
    m->last_block = entry->hash;
    RDG_TRY(rdg_executed_hash(&entry->executed, &m->last_executed));
    blocks_leaf(&m->last_block, &m->last_executed, &x->leaves[height - m->from]);
    if (m->tx_count + entry->header.tx_count > x->txs_size)
        return rdg_fail(RDG_E_TOO_LARGE,
                        "more transactions than a segment holds: archive fewer blocks at a time");
    m->tx_count += entry->header.tx_count;
    return RDG_OK;
}

/* Where a frame ends depends on what the chain determines only. */
static rdg_err_t plan_pair(export_pairs_t *x, export_pair_t *p, uint64_t *next) {
    p->first = *next;
    p->tx_first = x->m->tx_count;
    p->count = 0;
    p->raw_len = 0;
    while (*next <= x->m->to && p->raw_len < RDG_ARCHIVE_FRAME_BYTES && p->count < RDG_ARCHIVE_FRAME_BLOCKS) {
        block_entry_t entry;
        size_t len = 0;
        rdg_err_t err = entry_load(x->l->kv, NULL, *next, &entry);
        if (err == RDG_OK) err = body_len(x, &entry, &len);
        if (err == RDG_OK) err = note_block(x, &entry);
        if (err != RDG_OK) return rdg_fail_in(err, "block %" PRIu64, *next);
        p->raw_len += len;
        ++p->count;
        ++*next;
    }
    p->txs = (uint32_t)(x->m->tx_count - p->tx_first);
    return RDG_OK;
}

/* --- one pair ------------------------------------------------------------------------------------ */

/* The body is proven to be what its header says before it is archived. */
static rdg_err_t index_txs(export_pairs_t *x, export_pair_t *p, const block_entry_t *entry,
                           rdg_bytes_t proposal, uint32_t *done) {
    block_ids_t b;
    RDG_TRY(block_ids(proposal, &b));
    uint32_t count = b.header.tx_count, block = (uint32_t)(entry->header.height - x->m->from);
    bool same = rdg_hash_equal(&b.hash, &entry->hash) && *done + count <= p->txs;
    uint8_t *at = x->txs + ARCHIVE_TX_ENTRY_BYTES * (p->tx_first + *done);
    for (uint32_t i = 0; same && i < count; ++i, at += ARCHIVE_TX_ENTRY_BYTES)
        tx_entry_put(at, &b.ids[i], block);
    *done += count;
    rdg_free(b.ids);
    if (same) return RDG_OK;
    return rdg_fail(RDG_E_CORRUPT, "its body is not that of its header: restore this node from its peers");
}

static rdg_err_t append_block(export_pair_t *p, const export_hand_t *h, const block_entry_t *entry,
                              const block_parts_t *parts) {
    size_t list = rdg_rlp_list_begin(&p->raw);
    rdg_rlp_put_raw(&p->raw, parts->proposal);
    rdg_executed_encode(&entry->executed, &p->raw);
    rdg_rlp_put_raw(&p->raw, parts->receipts);
    RDG_TRY(rdg_rlp_list_end(&p->raw, list));
    list = rdg_rlp_list_begin(&p->proofs);
    rdg_rlp_put_raw(&p->proofs, rdg_buf_view(&h->seal));
    rdg_rlp_put_raw(&p->proofs, rdg_buf_view(&h->checkpoint));
    return rdg_rlp_list_end(&p->proofs, list);
}

static rdg_err_t add_block(export_pairs_t *x, export_pair_t *p, export_hand_t *h, uint64_t height,
                           uint32_t *txs) {
    block_entry_t entry;
    block_parts_t parts;
    RDG_TRY(ledger_parts(x->l, height, &entry, &h->record, &parts));
    RDG_TRY(rdg_ledger_seal(x->l, height, &h->seal, &h->checkpoint));
    if (h->checkpoint.len == 0)
        return rdg_fail(RDG_E_UNAVAILABLE,
                        "it has no checkpoint certificate here (yet): ask again, or another node");
    RDG_TRY(index_txs(x, p, &entry, parts.proposal, txs));
    return append_block(p, h, &entry, &parts);
}

static rdg_err_t pack(export_hand_t *h, export_pair_t *p, unsigned which, const rdg_buf_t *raw) {
    p->frames[which] =
        (frame_t){.kind = which ? FRAME_PROOFS : FRAME_BODIES, .first = p->first, .count = p->count};
    RDG_TRY(frame_pack(&h->packer, rdg_buf_view(raw), &p->frames[which]));
    rdg_buf_t made = h->packer.stored;
    h->packer.stored = p->stored[which];
    p->stored[which] = made;
    return RDG_OK;
}

static rdg_err_t make(export_pairs_t *x, export_pair_t *p, export_hand_t *h) {
    uint32_t txs = 0;
    rdg_buf_clear(&p->raw);
    rdg_buf_clear(&p->proofs);
    RDG_TRY(rdg_buf_reserve(&p->raw, p->raw_len));
    for (uint32_t i = 0; i < p->count; ++i) {
        rdg_err_t err = add_block(x, p, h, p->first + i, &txs);
        if (err != RDG_OK) return rdg_fail_in(err, "block %" PRIu64, p->first + i);
    }
    if (p->raw.len != p->raw_len || txs != p->txs)
        return rdg_fail(RDG_E_CORRUPT, "the blocks from %" PRIu64 " on are not as large as their entries say",
                        p->first);
    RDG_TRY(pack(h, p, 0, &p->raw));
    return pack(h, p, 1, &p->proofs);
}

static void make_job(void *ctx, unsigned worker, uint32_t number) {
    export_pairs_t *x = ctx;
    x->pairs[number].err = make(x, &x->pairs[number], &x->hands[worker]);
}

/* --- all in work --------------------------------------------------------------------------------- */

rdg_err_t export_pairs_make(export_pairs_t *x, uint64_t *next) {
    size_t bytes = 0;
    x->count = 0;
    while (*next <= x->m->to && x->count < crew_pairs(&x->crew) && bytes < PAIRS_BYTES) {
        RDG_TRY(plan_pair(x, &x->pairs[x->count], next));
        bytes += x->pairs[x->count++].raw_len;
    }
    crew_run(&x->crew, make_job, x, x->count);
    return RDG_OK;
}

/* What went wrong on another thread is done again here: it fails with the same words, or not at all. */
rdg_err_t export_pair_settle(export_pairs_t *x, uint32_t number) {
    export_pair_t *p = &x->pairs[number];
    if (p->err == RDG_OK) return RDG_OK;
    if (p->err == RDG_E_NO_MEMORY) return rdg_fail(p->err, "no memory for a frame of an archive");
    return make(x, p, &x->hands[0]);
}

static rdg_err_t hand_init(export_hand_t *h, const rdg_archive_export_options_t *o,
                           const rdg_archive_manifest_t *m) {
    rdg_buf_init(&h->record, RDG_ARCHIVE_FRAME_RAW_MAX);
    rdg_buf_init(&h->seal, ARCHIVE_CERTIFICATE_MAX), rdg_buf_init(&h->checkpoint, ARCHIVE_CERTIFICATE_MAX);
    return frame_packer_init(&h->packer, o->level, o->key, m);
}

rdg_err_t export_pairs_init(export_pairs_t *x, rdg_ledger_t *l, const rdg_archive_export_options_t *o,
                            rdg_archive_manifest_t *m) {
    uint64_t blocks = m->to - m->from + 1;
    x->l = l, x->m = m;
    crew_init(&x->crew, o->threads);
    rdg_buf_init(&x->scratch, EXECUTED_MAX);
    for (uint32_t i = 0; i < PAIRS_MAX; ++i) {
        export_pair_t *p = &x->pairs[i];
        rdg_buf_init(&p->raw, RDG_ARCHIVE_FRAME_RAW_MAX), rdg_buf_init(&p->proofs, RDG_ARCHIVE_FRAME_RAW_MAX);
        frame_stored_init(&p->stored[0]), frame_stored_init(&p->stored[1]);
    }
    for (unsigned i = 0; i < x->crew.threads; ++i) RDG_TRY(hand_init(&x->hands[i], o, m));
    x->txs = rdg_alloc(ARCHIVE_TX_ENTRY_BYTES * (x->txs_size + 1));
    x->leaves = rdg_calloc(blocks, sizeof *x->leaves);
    return x->txs && x->leaves ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for the index of a segment");
}

void export_pairs_fini(export_pairs_t *x) {
    crew_fini(&x->crew);
    for (unsigned i = 0; i < CREW_MAX; ++i) {
        export_hand_t *h = &x->hands[i];
        frame_packer_fini(&h->packer);
        rdg_buf_fini(&h->record), rdg_buf_fini(&h->seal), rdg_buf_fini(&h->checkpoint);
    }
    for (uint32_t i = 0; i < PAIRS_MAX; ++i) {
        export_pair_t *p = &x->pairs[i];
        rdg_buf_fini(&p->raw), rdg_buf_fini(&p->proofs);
        rdg_buf_fini(&p->stored[0]), rdg_buf_fini(&p->stored[1]);
    }
    rdg_buf_fini(&x->scratch);
    rdg_free(x->txs);
    rdg_free(x->leaves);
}
