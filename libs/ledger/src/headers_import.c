/* Verifying and storing a segment. Signatures are gathered over GROUP headers and verified together. */
#include <inttypes.h>
#include <string.h>
#include "headers.h"
#include "ridge/base/alloc.h"
#include "succession.h"

enum { GROUP = 32, CHECKS_MAX = GROUP * 2 * RDG_VALIDATORS_MAX };

const char META_HEADERS[] = "headers";

/* Where the known headers end. */
typedef struct spine {
    uint64_t height, time_ms, tx_total;
    rdg_hash_t hash;
    rdg_epoch_t epoch, next; /* of the height after; next: decided, if has_next */
    bool has_next;
} spine_t;

typedef struct taker {
    rdg_ledger_t *l;
    bool raft;
    spine_t at;
    rdg_kv_batch_t *batch;
    size_t check_count;
    rdg_sm2_check_t checks[CHECKS_MAX];
    rdg_hash_t messages[CHECKS_MAX];
    rdg_sm2_signature_t signatures[CHECKS_MAX];
    rdg_err_t results[CHECKS_MAX];
    uint64_t heights[CHECKS_MAX];
    rdg_validator_set_t
        sets[2 * GROUP]; /* of seal and checkpoint of each header: the checks borrow their keys */
    rdg_certificate_t certificate;
    unsigned in_group;
} taker_t;

/* --- the spine ----------------------------------------------------------------------------------- */

static rdg_err_t load_epoch_record(rdg_ledger_t *l, uint64_t number, rdg_epoch_t *out, bool *found) {
    rdg_buf_t bytes;
    ledger_key_t key = key_of_height(KEY_EPOCH, number);
    rdg_buf_init(&bytes, 16 << 10);
    rdg_err_t err = rdg_kv_get(l->kv, NULL, key_view(&key), &bytes);
    *found = err == RDG_OK;
    if (err == RDG_OK) err = rdg_epoch_decode(rdg_buf_view(&bytes), l->genesis.validators.chain_id, out);
    rdg_buf_fini(&bytes);
    return err == RDG_E_NOT_FOUND ? RDG_OK : err;
}

/* The epoch of the height after, and the one that follows it if it has been decided. */
static rdg_err_t spine_epochs(rdg_ledger_t *l, spine_t *s) {
    rdg_epoch_t e;
    bool found;
    view_t *v = view_get(l);
    rdg_err_t err = epoch_at(l, v->rules, s->height + 1, &s->epoch);
    view_put(v);
    while (err == RDG_OK) {
        err = load_epoch_record(l, s->epoch.validators.epoch + 1, &e, &found);
        s->has_next = err == RDG_OK && found;
        if (!s->has_next) break;
        s->epoch.last_height = e.first_height - 1;
        s->next = e;
        if (e.first_height > s->height + 1) break;
        s->epoch = e;
    }
    return err;
}

static rdg_err_t spine_load(rdg_ledger_t *l, spine_t *s) {
    rdg_ledger_head_t head;
    block_entry_t e;
    uint64_t known = 0;
    rdg_ledger_head(l, &head);
    rdg_err_t err = load_u64(l->kv, META_HEADERS, &known);
    if (err != RDG_OK && err != RDG_E_NOT_FOUND) return err;
    if (known < head.height) known = head.height;
    RDG_TRY(entry_load(l->kv, NULL, known, &e));
    *s = (spine_t){.height = known, .time_ms = e.header.time_ms, .tx_total = e.tx_total, .hash = e.hash};
    return spine_epochs(l, s);
}

uint64_t rdg_headers_known(rdg_ledger_t *l) {
    rdg_ledger_head_t head;
    uint64_t known = 0;
    rdg_ledger_head(l, &head);
    return load_u64(l->kv, META_HEADERS, &known) == RDG_OK && known > head.height ? known : head.height;
}

/* --- one header ---------------------------------------------------------------------------------- */

/* What is signed, and the signature, go with the call: they are copied. */
static void collect(void *ctx, const rdg_sm2_check_t *checks, size_t count, rdg_err_t *results) {
    taker_t *t = ctx;
    for (size_t i = 0; i < count; ++i) {
        bool fits = t->check_count < CHECKS_MAX && checks[i].msg.len == sizeof t->messages[0].b;
        results[i] = fits ? RDG_OK : RDG_E_INTERNAL;
        if (!fits) continue;
        size_t at = t->check_count++;
        memcpy(t->messages[at].b, checks[i].msg.data, sizeof t->messages[at].b);
        t->heights[at] = t->at.height + 1;
        t->signatures[at] = *checks[i].sig;
        t->checks[at] = (rdg_sm2_check_t){checks[i].pub, rdg_bytes(t->messages[at].b, RDG_HASH_BYTES),
                                          &t->signatures[at], checks[i].any_s};
    }
}

static rdg_err_t check_follows(const taker_t *t, const rdg_header_t *h) {
    const spine_t *s = &t->at;
    if (h->chain_id != s->epoch.validators.chain_id)
        return rdg_fail(RDG_E_WRONG_CHAIN, "it is of chain %" PRIu64 ", this is chain %" PRIu64, h->chain_id,
                        s->epoch.validators.chain_id);
    if (h->height != s->height + 1) return rdg_fail(RDG_E_CONFLICT, "it says that it is %" PRIu64, h->height);
    if (!rdg_hash_equal(&h->parent, &s->hash))
        return rdg_fail(RDG_E_CONFLICT, "its parent is not the block before it");
    if (h->epoch != s->epoch.validators.epoch)
        return rdg_fail(RDG_E_INVALID, "it is of epoch %" PRIu64 " where %" PRIu64 " decides; %s", h->epoch,
                        s->epoch.validators.epoch, SUCCESSION_HINT);
    if (h->proposer >= s->epoch.validators.count) return rdg_fail(RDG_E_INVALID, "it has no proposer");
    if (h->time_ms <= s->time_ms) return rdg_fail(RDG_E_INVALID, "it is not later than its parent");
    return RDG_OK;
}

static rdg_err_t take_seal(taker_t *t, rdg_bytes_t seal, const rdg_hash_t *hash) {
    rdg_certificate_t *c = &t->certificate;
    rdg_validator_set_t *set = &t->sets[2 * t->in_group];
    rdg_phase_t phase = t->raft ? RDG_PHASE_RAFT_LEADER : RDG_PHASE_COMMIT;
    *set = t->at.epoch.validators;
    rdg_err_t err = rdg_certificate_decode(seal, c);
    if (err == RDG_OK)
        err = rdg_certificate_verify_each(c, set, t->raft, phase, t->at.height + 1, hash, collect, t);
    return rdg_fail_in(err, "seal");
}

static rdg_err_t take_executed(const header_item_t *item, block_entry_t *e) {
    RDG_TRY(rdg_executed_decode(item->executed, &e->executed));
    if (e->executed.height == e->header.height && e->executed.chain_id == e->header.chain_id &&
        rdg_hash_equal(&e->executed.block_hash, &e->hash))
        return RDG_OK;
    return rdg_fail(RDG_E_INVALID, "its executed header is of another block");
}

/* The checkpoint of an epoch's last block may come from either epoch (apply.c). */
static rdg_err_t take_checkpoint(taker_t *t, rdg_bytes_t checkpoint, const rdg_executed_t *executed) {
    rdg_certificate_t *c = &t->certificate;
    rdg_validator_set_t *set = &t->sets[2 * t->in_group + 1];
    const spine_t *s = &t->at;
    rdg_hash_t digest;
    RDG_TRY(rdg_executed_hash(executed, &digest));
    rdg_err_t err = rdg_certificate_decode(checkpoint, c);
    if (err == RDG_OK) {
        bool of_next = s->has_next && c->statement.epoch == s->next.validators.epoch &&
                       executed->height == s->epoch.last_height;
        *set = of_next ? s->next.validators : s->epoch.validators;
        err = rdg_certificate_verify_each(c, set, t->raft, RDG_PHASE_CHECKPOINT, executed->height, &digest,
                                          collect, t);
    }
    return rdg_fail_in(err, "checkpoint");
}

/* Behind the block that an act names, its validators decide. */
static rdg_err_t take_succession(taker_t *t, const block_entry_t *e) {
    spine_t *s = &t->at;
    const rdg_succession_t *act = rdg_genesis_succession_at(&t->l->genesis, e->header.height);
    if (!act) return RDG_OK;
    RDG_TRY(executed_is_known(e) ? succession_matches(act, e)
                                 : rdg_fail(RDG_E_UNAVAILABLE,
                                            "it has no checkpoint certificate, and its validators have been "
                                            "replaced: take it from an archive"));
    if (s->has_next || act->epoch.validators.epoch != s->epoch.validators.epoch + 1)
        return rdg_fail(RDG_E_INVALID, "the administrators' act does not follow its epoch");
    s->next = act->epoch;
    s->has_next = true;
    s->epoch.last_height = e->header.height;
    return put_epoch(t->batch, &act->epoch);
}

/* A certified executed header that names an epoch we do not know must bring it. */
static rdg_err_t take_epoch(taker_t *t, const header_item_t *item, const block_entry_t *e,
                            rdg_kv_batch_t *batch) {
    rdg_hash_t latest;
    rdg_epoch_t next;
    spine_t *s = &t->at;
    RDG_TRY(rdg_epoch_digest(s->has_next ? &s->next : &s->epoch, &latest));
    if (rdg_hash_equal(&latest, &e->executed.epoch_digest)) return RDG_OK;
    if (s->has_next || item->epoch.len == 0)
        return rdg_fail(RDG_E_UNAVAILABLE, "it names an epoch whose record does not come with it");
    RDG_TRY(rdg_epoch_decode(item->epoch, s->epoch.validators.chain_id, &next));
    RDG_TRY(rdg_epoch_digest(&next, &latest));
    if (!rdg_hash_equal(&latest, &e->executed.epoch_digest) ||
        next.validators.epoch != s->epoch.validators.epoch + 1 || next.first_height <= s->height + 1)
        return rdg_fail(RDG_E_INVALID, "the epoch beside it is not the one that it names");
    s->next = next;
    s->has_next = true;
    s->epoch.last_height = next.first_height - 1;
    return put_epoch(batch, &next);
}

static rdg_err_t put_header(rdg_kv_batch_t *batch, const block_entry_t *e, const header_item_t *item) {
    ledger_key_t key = key_of_height(KEY_SEAL, e->header.height);
    rdg_kv_batch_put(batch, key_view(&key), item->seal);
    key = key_of_height(KEY_CHECKPOINT, e->header.height);
    if (item->checkpoint.len > 0) rdg_kv_batch_put(batch, key_view(&key), item->checkpoint);
    return put_entry_of(batch, e);
}

static void advance(spine_t *s, const block_entry_t *e) {
    s->height = e->header.height;
    s->time_ms = e->header.time_ms;
    s->hash = e->hash;
    s->tx_total = e->tx_total;
    if (!s->has_next || s->next.first_height != s->height + 1) return;
    s->epoch = s->next;
    s->has_next = false;
}

static rdg_err_t take_one(taker_t *t, const header_item_t *item) {
    block_entry_t e = {.place = {0}};
    bool certified = item->checkpoint.len > 0;
    RDG_TRY(rdg_header_decode(item->header, &e.header));
    RDG_TRY(check_follows(t, &e.header));
    RDG_TRY(rdg_header_hash(&e.header, &e.hash));
    RDG_TRY(take_seal(t, item->seal, &e.hash));
    if (certified) {
        RDG_TRY(take_executed(item, &e));
        RDG_TRY(take_checkpoint(t, item->checkpoint, &e.executed));
        RDG_TRY(take_epoch(t, item, &e, t->batch));
    }
    RDG_TRY(take_succession(t, &e));
    e.tx_total = t->at.tx_total + e.header.tx_count;
    RDG_TRY(put_header(t->batch, &e, item));
    advance(&t->at, &e);
    ++t->in_group;
    return RDG_OK;
}

/* --- the segment --------------------------------------------------------------------------------- */

static rdg_err_t verify_group(taker_t *t) {
    rdg_sm2_verify_batch(t->checks, t->check_count, t->results);
    for (size_t i = 0; i < t->check_count; ++i)
        if (t->results[i] != RDG_OK)
            return rdg_fail(RDG_E_BAD_SIGNATURE,
                            "header %" PRIu64 ": a signature of its certificates does not verify",
                            t->heights[i]);
    t->check_count = t->in_group = 0;
    return RDG_OK;
}

/* Of the last certified header; 0: none. Refuses a segment that is cut off or has a tail. */
static rdg_err_t last_certified(header_segment_t s, uint64_t *last) {
    header_item_t item;
    *last = 0;
    for (uint32_t i = 0; i < s.count; ++i) {
        RDG_TRY(segment_next(&s, &item));
        if (item.checkpoint.len > 0) *last = s.first + i;
    }
    if (!rdg_reader_done(&s.items))
        return rdg_fail(RDG_E_MALFORMED, "there are bytes behind the header segment");
    return RDG_OK;
}

static rdg_err_t take_headers(taker_t *t, header_segment_t *s, uint64_t last) {
    header_item_t item;
    for (uint64_t height = s->first; height <= last; ++height) {
        RDG_TRY(segment_next(s, &item));
        if (height <= t->at.height) continue;
        rdg_err_t err = take_one(t, &item);
        if (err != RDG_OK) return rdg_fail_in(err, "header %" PRIu64, height);
        if (t->in_group == GROUP) RDG_TRY(verify_group(t));
    }
    RDG_TRY(verify_group(t));
    put_u64(t->batch, META_HEADERS, t->at.height);
    return rdg_kv_write(t->l->kv, t->batch, true);
}

static rdg_err_t check_range(const rdg_ledger_t *l, const header_segment_t *s, uint64_t known,
                             uint64_t last) {
    uint64_t chain = l->genesis.validators.chain_id;
    if (s->chain_id != chain)
        return rdg_fail(RDG_E_WRONG_CHAIN, "header segment of chain %" PRIu64 ", this is chain %" PRIu64,
                        s->chain_id, chain);
    if (s->first == 0 || s->first > known + 1)
        return rdg_fail(RDG_E_CONFLICT, "header segment from %" PRIu64 " on: %" PRIu64 " is wanted", s->first,
                        known + 1);
    if (s->count > 0 && s->first + s->count - 1 <= known)
        return rdg_fail(RDG_E_STALE, "headers up to %" PRIu64 " are known", known);
    if (last <= known)
        return rdg_fail(RDG_E_UNAVAILABLE,
                        "header segment from %" PRIu64
                        " on: none of its %u headers has a checkpoint certificate",
                        s->first, s->count);
    return RDG_OK;
}

rdg_err_t rdg_headers_import(rdg_ledger_t *l, rdg_bytes_t segment, uint64_t *known) {
    header_segment_t s;
    uint64_t last;
    *known = rdg_headers_known(l);
    RDG_TRY(segment_open(segment, &s));
    RDG_TRY(last_certified(s, &last));
    RDG_TRY(check_range(l, &s, *known, last));
    taker_t *t = rdg_calloc(1, sizeof *t);
    if (!t) return rdg_fail(RDG_E_NO_MEMORY, "no memory to verify headers");
    t->l = l;
    t->raft = rdg_genesis_is_raft(&l->genesis);
    t->batch = rdg_kv_batch_new();
    rdg_err_t err = t->batch ? spine_load(l, &t->at) : RDG_E_NO_MEMORY;
    if (err == RDG_OK) err = take_headers(t, &s, last);
    if (err == RDG_OK) *known = t->at.height;
    rdg_kv_batch_free(t->batch);
    rdg_free(t);
    return err;
}

rdg_err_t rdg_headers_check_body(rdg_ledger_t *l, rdg_bytes_t proposal, uint64_t *height) {
    rdg_block_t *b = NULL;
    block_entry_t e;
    RDG_TRY(rdg_block_decode(proposal, &b));
    *height = b->header.height;
    rdg_err_t err =
        b->header.height <= rdg_headers_known(l)
            ? entry_load(l->kv, NULL, b->header.height, &e)
            : rdg_fail(RDG_E_UNAVAILABLE, "the header of block %" PRIu64 " is not known yet", *height);
    if (err == RDG_OK && !rdg_hash_equal(&e.hash, &b->hash))
        err = rdg_fail(RDG_E_CONFLICT, "block %" PRIu64 " is not the one of its sealed header", *height);
    rdg_block_unref(b);
    return err;
}
