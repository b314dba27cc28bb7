/* The lineage: how validators became what they are, one certified executed header for each change since the genesis.
 *
 * Item, RLP: [executed header, checkpoint certificate, epoch record], for the epochs 1, 2, … in order. The header is of a
 * block between the one that decided the change and the epoch's first, and names the record's digest; its certificate is
 * of the validators of the epoch before. Of an epoch that began by an act of the administrators (succession.h) it is the
 * header of the last block before, which names the former epoch; the reader's genesis must hold the act. */
#include <inttypes.h>
#include <string.h>
#include "archive_internal.h"
#include "governance.h"
#include "ridge/base/alloc.h"
#include "ridge/codec/rlp.h"
#include "ridge/consensus/consensus.h"
#include "succession.h"

enum { EPOCH_BYTES_MAX = 16 << 10 };

/* --- writing ------------------------------------------------------------------------------------- */

static rdg_err_t write_link(rdg_ledger_t *l, const rdg_epoch_t *e, uint64_t to, rdg_buf_t *item) {
    rdg_executed_t executed;
    rdg_buf_t checkpoint;
    rdg_buf_init(&checkpoint, ARCHIVE_CERTIFICATE_MAX);
    rdg_buf_clear(item);
    rdg_err_t err = epoch_link(l, e, to, &executed, &checkpoint);
    if (err == RDG_OK) {
        size_t list = rdg_rlp_list_begin(item);
        rdg_executed_encode(&executed, item);
        rdg_rlp_put_raw(item, rdg_buf_view(&checkpoint));
        rdg_epoch_encode(e, item);
        err = rdg_rlp_list_end(item, list);
    }
    rdg_buf_fini(&checkpoint);
    return err;
}

/* From which block on an archive's blocks name the epoch. */
static uint64_t decided_at(const rdg_ledger_t *l, const rdg_epoch_t *e) {
    bool by_act = rdg_genesis_succession_of(&l->genesis, e->validators.epoch) != NULL;
    return by_act ? e->first_height : e->first_height - RDG_CONSENSUS_WINDOW - 1;
}

rdg_err_t lineage_write(rdg_ledger_t *l, uint64_t to,
                        rdg_err_t (*item)(void *ctx, uint64_t epoch, rdg_bytes_t bytes), void *ctx) {
    rdg_buf_t bytes;
    rdg_epoch_t e;
    rdg_err_t err = rdg_ledger_epoch(l, 1, &e);
    rdg_buf_init(&bytes, EPOCH_BYTES_MAX + ARCHIVE_CERTIFICATE_MAX);
    while (err == RDG_OK && e.last_height != 0) {
        err = rdg_ledger_epoch(l, e.last_height + 1, &e);
        if (err != RDG_OK || decided_at(l, &e) > to) break;
        err = write_link(l, &e, to, &bytes);
        if (err == RDG_OK) err = item(ctx, e.validators.epoch, rdg_buf_view(&bytes));
    }
    rdg_buf_fini(&bytes);
    return err;
}

/* --- reading ------------------------------------------------------------------------------------- */

static rdg_err_t add_epoch(rdg_archive_t *a, const rdg_epoch_t *e) {
    if (a->epoch_count == RDG_TRUST_EPOCHS_MAX)
        return rdg_fail(RDG_E_FULL, "lineage: more than %u epochs", RDG_TRUST_EPOCHS_MAX);
    rdg_epoch_t *epochs = rdg_realloc_array(a->epochs, a->epoch_count + (size_t)1, sizeof *epochs);
    if (!epochs) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the epochs of a chain");
    a->epochs = epochs;
    rdg_hash_t *digests = rdg_realloc_array(a->epoch_digests, a->epoch_count + (size_t)1, sizeof *digests);
    if (!digests) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the epochs of a chain");
    a->epoch_digests = digests;
    RDG_TRY(rdg_epoch_digest(e, &digests[a->epoch_count]));
    epochs[a->epoch_count] = *e;
    if (a->epoch_count > 0) epochs[a->epoch_count - 1].last_height = e->first_height - 1;
    a->epoch_count++;
    return RDG_OK;
}

/* Either the header names the epoch, or an act does that names the header. */
static rdg_err_t check_reason(const rdg_genesis_t *genesis, const rdg_executed_t *x, const rdg_hash_t *header,
                              const rdg_epoch_t *e, const rdg_hash_t *digest) {
    const rdg_succession_t *act = rdg_genesis_succession_of(genesis, e->validators.epoch);
    if (act && (act->height != x->height || !rdg_hash_equal(&act->executed, header) ||
                !rdg_hash_equal(&act->epoch_digest, digest)))
        return rdg_fail(RDG_E_INVALID, "it is another than the one of the administrators' act");
    if (act || rdg_hash_equal(digest, &x->epoch_digest)) return RDG_OK;
    return rdg_fail(RDG_E_INVALID, "its executed header names another epoch; %s", SUCCESSION_HINT);
}

static rdg_err_t check_link(rdg_archive_t *a, const rdg_genesis_t *genesis, rdg_bytes_t executed,
                            rdg_bytes_t checkpoint, rdg_bytes_t record) {
    rdg_executed_t x;
    rdg_epoch_t e;
    rdg_certificate_t c;
    rdg_hash_t digest, named;
    const rdg_epoch_t *before = &a->epochs[a->epoch_count - 1];
    RDG_TRY(rdg_executed_decode(executed, &x));
    RDG_TRY(rdg_epoch_decode(record, a->manifest.chain_id, &e));
    RDG_TRY(rdg_certificate_decode(checkpoint, &c));
    if (x.chain_id != a->manifest.chain_id || e.validators.epoch != before->validators.epoch + 1 ||
        x.height < before->first_height || x.height >= e.first_height || x.height > a->manifest.to)
        return rdg_fail(RDG_E_INVALID, "it does not follow epoch %" PRIu64, before->validators.epoch);
    RDG_TRY(rdg_validators_check(&e.validators));
    RDG_TRY(rdg_epoch_digest(&e, &digest));
    RDG_TRY(rdg_executed_hash(&x, &named));
    RDG_TRY(check_reason(genesis, &x, &named, &e, &digest));
    RDG_TRY((a->raft ? rdg_certificate_verify_raft : rdg_certificate_verify)(
        &c, &before->validators, RDG_PHASE_CHECKPOINT, x.height, &named));
    return add_epoch(a, &e);
}

static rdg_err_t read_items(rdg_archive_t *a, const rdg_genesis_t *genesis, const frame_t *f,
                            rdg_bytes_t raw) {
    rdg_rlp_t c, item;
    rdg_rlp_init(&c, raw);
    for (uint32_t i = 0; i < f->count; ++i) {
        uint64_t number = a->epoch_count;
        rdg_rlp_list(&c, &item);
        rdg_bytes_t executed = rdg_rlp_raw(&item), checkpoint = rdg_rlp_raw(&item),
                    record = rdg_rlp_raw(&item);
        rdg_err_t err = rdg_rlp_done(&item);
        if (err == RDG_OK) err = check_link(a, genesis, executed, checkpoint, record);
        if (err != RDG_OK) return rdg_fail_in(err, "lineage, epoch %" PRIu64, number);
    }
    return rdg_fail_in(rdg_rlp_done(&c), "lineage");
}

static rdg_err_t read_lineage(rdg_archive_t *a, const rdg_genesis_t *genesis) {
    rdg_buf_t raw;
    rdg_err_t err = RDG_OK;
    governance_t *g = rdg_alloc(sizeof *g);
    if (!g) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the chain's governance");
    governance_from_genesis(genesis, g);
    err = add_epoch(a, &g->latest);
    rdg_free(g);
    rdg_buf_init(&raw, a->frame_bytes_max);
    for (uint32_t i = 0; err == RDG_OK && i < a->first_bodies; ++i) {
        err = archive_load_frame(a, i, &raw);
        if (err == RDG_OK) err = read_items(a, genesis, &a->frames.frames[i], rdg_buf_view(&raw));
    }
    rdg_buf_fini(&raw);
    return err;
}

/* Blocks above one that an act names are those of its validators, or they are of another history. */
static rdg_err_t check_successions(const rdg_archive_t *a, const rdg_genesis_t *genesis) {
    for (uint32_t i = 0; i < genesis->succession_count; ++i) {
        const rdg_succession_t *act = &genesis->successions[i];
        uint64_t number = act->epoch.validators.epoch;
        if (act->height >= a->manifest.to) continue;
        if (number < a->epoch_count && rdg_hash_equal(&a->epoch_digests[number], &act->epoch_digest) &&
            rdg_hash_equal(&a->epoch_digests[number - 1], &act->former_digest))
            continue;
        return rdg_fail(RDG_E_INVALID,
                        "lineage: it goes on behind block %" PRIu64
                        " with validators whom the administrators have replaced",
                        act->height);
    }
    return RDG_OK;
}

/* What the manifest says of validators must be what the lineage says. */
static rdg_err_t check_claims(const rdg_archive_t *a) {
    const rdg_archive_manifest_t *m = &a->manifest;
    uint32_t first = archive_epoch_at(a, m->from), last = archive_epoch_at(a, m->to);
    if (first == m->first_epoch && last == m->last_epoch &&
        rdg_hash_equal(&a->epoch_digests[first], &m->first_epoch_digest) &&
        rdg_hash_equal(&a->epoch_digests[last], &m->last_epoch_digest))
        return RDG_OK;
    return rdg_fail(RDG_E_INVALID, "manifest: its validators are not those that the lineage proves");
}

rdg_err_t rdg_archive_trust(rdg_archive_t *a, const rdg_genesis_t *genesis) {
    const rdg_archive_manifest_t *m = &a->manifest;
    if (a->trusted) return RDG_OK;
    if (m->chain_id != genesis->validators.chain_id || !rdg_hash_equal(&m->genesis, &genesis->hash))
        return rdg_fail(RDG_E_WRONG_CHAIN,
                        "the archive is of chain %" PRIu64 " and not of the chain of that genesis (%" PRIu64
                        ", '%s')",
                        m->chain_id, genesis->validators.chain_id, genesis->name);
    if (!a->batch) a->batch = signature_batch_new();
    if (!a->batch) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the signatures of an archive");
    a->raft = rdg_genesis_is_raft(genesis);
    rdg_err_t err = a->raft == m->raft
                        ? read_lineage(a, genesis)
                        : rdg_fail(RDG_E_INVALID, "manifest: another consensus than the genesis names");
    if (err == RDG_OK) err = check_successions(a, genesis);
    if (err == RDG_OK) err = check_claims(a);
    if (err == RDG_OK && m->from == 1 && !rdg_hash_equal(&m->parent, &genesis->hash))
        err = rdg_fail(RDG_E_INVALID, "manifest: the parent of block 1 is not the genesis");
    a->trusted = err == RDG_OK;
    if (err != RDG_OK) a->epoch_count = 0;
    return err;
}

uint32_t archive_epoch_at(const rdg_archive_t *a, uint64_t height) {
    uint32_t i = a->epoch_count - 1;
    while (i > 0 && a->epochs[i].first_height > height) --i;
    return i;
}

const rdg_epoch_t *rdg_archive_epoch(const rdg_archive_t *a, uint64_t height) {
    return a->trusted ? &a->epochs[archive_epoch_at(a, height)] : NULL;
}
