/* The state behind the last block of a segment: the manifest and the chunks of a snapshot (snapshot.h), each a frame.
 *
 * The chunks of the guard are left out: they are the ids of transactions of blocks, most of them in earlier segments, and
 * whoever imports has read those blocks. So all that stands here is proven by the segment alone. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "archive_internal.h"
#include "ledger_internal.h"
#include "snapshot_internal.h"
#include "ridge/base/alloc.h"
#include "state.h"
#include "word.h"

enum { CODES_MAX = 4 << 20 };

/* --- writing ------------------------------------------------------------------------------------- */

typedef struct splitter {
    archive_put_fn put;
    void *ctx;
    uint64_t number; /* of frames of the stream so far */
    bool inside;     /* behind the length of a frame */
    rdg_buf_t raw;
} splitter_t;

/* The stream is a length and a frame by turns, the manifest first. */
static rdg_err_t take_piece(void *ctx, rdg_bytes_t piece) {
    splitter_t *s = ctx;
    s->inside = !s->inside;
    if (s->inside) return RDG_OK;
    uint64_t number = s->number++;
    if (number > 0 && piece.len >= CHUNK_HEAD_BYTES && piece.data[CHUNK_HEAD_BYTES - 1] == CHUNK_GUARD)
        return RDG_OK;
    rdg_buf_clear(&s->raw);
    RDG_TRY(rdg_buf_append(&s->raw, piece.data, piece.len));
    return s->put(s->ctx, number, &s->raw);
}

rdg_err_t state_write(rdg_ledger_t *l, rdg_snapshot_pin_t *pin, archive_put_fn put, void *ctx) {
    splitter_t s = {.put = put, .ctx = ctx};
    rdg_snapshot_writer_t writer = {take_piece, &s};
    rdg_snapshot_export_t *e = NULL;
    bool done = false;
    RDG_TRY(rdg_snapshot_export_new(l, pin, NULL, &e));
    rdg_buf_init(&s.raw, RDG_SNAPSHOT_MANIFEST_MAX);
    rdg_err_t err = RDG_OK;
    while (err == RDG_OK && !done) err = rdg_snapshot_export_step(e, &writer, &done);
    rdg_buf_fini(&s.raw);
    rdg_snapshot_export_free(e);
    return err;
}

/* --- verifying ----------------------------------------------------------------------------------- */

typedef struct prover {
    rdg_archive_t *a;
    bool (*go_on)(void *ctx, uint64_t bytes);
    void *ctx;
    manifest_t m;
    rdg_hash_t *codes; /* that accounts have; sorted and each once after codes_settle */
    size_t count, room;
    uint8_t *found; /* one of each code */
} prover_t;

static int by_hash(const void *a, const void *b) {
    return memcmp(a, b, RDG_HASH_BYTES);
}

static void codes_settle(prover_t *p) {
    size_t kept = 0;
    if (p->count == 0) return;
    qsort(p->codes, p->count, sizeof *p->codes, by_hash);
    for (size_t i = 0; i < p->count; ++i)
        if (i == 0 || !rdg_hash_equal(&p->codes[i], &p->codes[kept - 1])) p->codes[kept++] = p->codes[i];
    p->count = kept;
}

static rdg_err_t make_room(prover_t *p) {
    codes_settle(p);
    if (p->room > 0 && p->count <= p->room / 2) return RDG_OK; /* many accounts have the same */
    size_t room = p->room ? 2 * p->room : 256;
    if (room > CODES_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "its accounts have more than %d codes", CODES_MAX / 2);
    rdg_hash_t *grown = rdg_realloc_array(p->codes, room, sizeof *grown);
    if (!grown) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the codes of a state");
    p->codes = grown;
    p->room = room;
    return RDG_OK;
}

static rdg_err_t want_code(prover_t *p, const state_item_t *item) {
    account_values_t account;
    if (item->is_slot) return RDG_OK;
    if (account_decode(item->value, &account) != RDG_OK)
        return rdg_fail(RDG_E_INVALID, "an account in it cannot be read");
    if (word_is_zero(&account.code_hash)) return RDG_OK;
    if (p->count == p->room) RDG_TRY(make_room(p));
    memcpy(p->codes[p->count++].b, account.code_hash.b, RDG_HASH_BYTES);
    return RDG_OK;
}

static rdg_err_t prove_code(prover_t *p, uint32_t number, rdg_reader_t *payload) {
    if (!p->found) {
        codes_settle(p);
        p->found = rdg_calloc(p->count + 1, 1);
        if (!p->found) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the codes of a state");
    }
    for (uint32_t k = 0; k < p->m.chunks[number].count; ++k) {
        rdg_hash_t hash;
        rdg_bytes_t code = rdg_read_bytes(payload, rdg_read_u32(payload));
        if (!rdg_reader_ok(payload) || code.len == 0 || code.len > RDG_EVM_CODE_MAX)
            return rdg_fail(RDG_E_MALFORMED, "a code in it cannot be read");
        rdg_keccak256(code.data, code.len, hash.b);
        const rdg_hash_t *at = p->count ? bsearch(&hash, p->codes, p->count, sizeof hash, by_hash) : NULL;
        if (!at || p->found[at - p->codes])
            return rdg_fail(RDG_E_INVALID, "a code in it is none that an account has, or stands there twice");
        p->found[at - p->codes] = 1;
    }
    return rdg_reader_done(payload) ? RDG_OK : rdg_fail(RDG_E_MALFORMED, "it has bytes behind its last code");
}

static rdg_err_t prove_manifest(const rdg_archive_t *a, prover_t *p, const rdg_hash_t *root,
                                rdg_bytes_t raw) {
    const rdg_archive_manifest_t *m = &a->manifest;
    uint32_t chunks = 0;
    RDG_TRY(snap_manifest_decode(raw, &p->m));
    if (p->m.chain_id != m->chain_id)
        return rdg_fail(RDG_E_WRONG_CHAIN, "its state is of chain %" PRIu64, p->m.chain_id);
    if (p->m.height != m->to || !rdg_hash_equal(&p->m.block_hash, &m->last_block))
        return rdg_fail(RDG_E_INVALID, "its state is not the one behind block %" PRIu64, m->to);
    if (!rdg_hash_equal(&p->m.state_root, root))
        return rdg_fail(RDG_E_INVALID, "its state has another root than the certified one of block %" PRIu64,
                        m->to);
    while (chunks < p->m.chunk_count && p->m.chunks[chunks].kind != CHUNK_GUARD) ++chunks;
    if (chunks + 1 != m->state_frames)
        return rdg_fail(RDG_E_INVALID, "its state has %" PRIu32 " chunks, the segment holds %" PRIu32, chunks,
                        m->state_frames - 1);
    return RDG_OK;
}

static rdg_err_t go_on(const prover_t *p, uint32_t frame) {
    const rdg_archive_t *a = p->a;
    if (!p->go_on || p->go_on(p->ctx, a->frames.frames[frame].stored_len)) return RDG_OK;
    return rdg_fail(RDG_E_CANCELLED, "the verification was stopped at part %" PRIu32 " of the state",
                    frame - a->first_state);
}

static rdg_err_t in_part(rdg_err_t err, uint32_t number) {
    return rdg_fail_in(err, "state, part %" PRIu32, number);
}

static rdg_err_t prove_group(prover_t *p, state_reader_t *r, state_group_t *g) {
    for (uint32_t k = 0; k < g->count; ++k) {
        const state_items_t *s = &g->proven[k].state;
        uint32_t part = g->first + k + 1;
        rdg_err_t err = state_reader_settle(r, g, k);
        for (size_t i = 0; err == RDG_OK && i < s->count; ++i) err = want_code(p, &s->items[i]);
        if (err != RDG_OK) return in_part(err, part);
        RDG_TRY(go_on(p, p->a->first_state + part));
    }
    return RDG_OK;
}

static rdg_err_t prove_states(prover_t *p) {
    state_reader_t *r = rdg_calloc(1, sizeof *r);
    if (!r) return rdg_fail(RDG_E_NO_MEMORY, "no memory to verify a state");
    state_group_t *g = NULL;
    rdg_err_t err = state_reader_init(r, p->a, &p->m, 0);
    do {
        if (err == RDG_OK) err = state_reader_next(r, &g);
        if (err == RDG_OK) err = prove_group(p, r, g);
    } while (err == RDG_OK && g->count > 0);
    state_reader_fini(r);
    rdg_free(r);
    return err;
}

static rdg_err_t prove_codes(prover_t *p, rdg_buf_t *raw) {
    for (uint32_t i = p->a->first_state + 1; i < p->a->frames.count; ++i) {
        uint32_t number = i - p->a->first_state - 1;
        rdg_reader_t payload;
        if (p->m.chunks[number].kind == CHUNK_STATE) continue;
        RDG_TRY(archive_load_frame(p->a, i, raw));
        rdg_err_t err = chunk_open(rdg_buf_view(raw), &p->m, number, &payload);
        if (err == RDG_OK) err = prove_code(p, number, &payload);
        if (err != RDG_OK) return in_part(err, number + 1);
        RDG_TRY(go_on(p, i));
    }
    return RDG_OK;
}

static rdg_err_t prove(prover_t *p, const rdg_hash_t *root, rdg_buf_t *raw) {
    RDG_TRY(archive_load_frame(p->a, p->a->first_state, raw));
    RDG_TRY(in_part(prove_manifest(p->a, p, root, rdg_buf_view(raw)), 0));
    RDG_TRY(go_on(p, p->a->first_state));
    RDG_TRY(prove_states(p));
    RDG_TRY(prove_codes(p, raw));
    if (!p->found) codes_settle(p);
    for (size_t i = 0; i < p->count; ++i)
        if (!p->found || !p->found[i])
            return rdg_fail(RDG_E_INVALID, "state: the code of an account is not in it");
    return RDG_OK;
}

rdg_err_t state_verify(rdg_archive_t *a, const rdg_hash_t *root, bool (*more)(void *ctx, uint64_t bytes),
                       void *ctx) {
    prover_t p = {.a = a, .go_on = more, .ctx = ctx};
    rdg_buf_t raw;
    rdg_buf_init(&raw, RDG_SNAPSHOT_MANIFEST_MAX);
    rdg_err_t err = prove(&p, root, &raw);
    rdg_buf_fini(&raw);
    snap_manifest_fini(&p.m);
    rdg_free(p.codes);
    rdg_free(p.found);
    return err;
}
