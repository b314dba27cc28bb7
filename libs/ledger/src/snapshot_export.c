/* Writing a snapshot out of a pinned view. Each step of state is one pass over the flat state that takes the entries of
 * as many chunks as memory allows and sorts them by path: no index by path is kept for it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "snapshot_internal.h"
#include "word.h"

enum { ITEM_OVERHEAD = sizeof(state_item_t) + 16 };

typedef enum stage { STAGE_PLAN, STAGE_HEADERS, STAGE_MANIFEST, STAGE_CHUNKS, STAGE_DONE } stage_t;

struct rdg_snapshot_export {
    rdg_ledger_t *l;
    view_t *view;
    size_t memory;
    uint64_t header; /* next one to write; 0: none */
    stage_t stage;
    manifest_t m;
    uint32_t next;
    rdg_buf_t frame;
    rdg_hash_t *codes; /* Keccak-256 of each */
    size_t code_count;
    rdg_buf_t code;
};

rdg_err_t rdg_snapshot_pin(rdg_ledger_t *l, rdg_snapshot_pin_t **out) {
    *out = (rdg_snapshot_pin_t *)view_get(l);
    return RDG_OK;
}

rdg_err_t rdg_snapshot_pin_at(rdg_ledger_t *l, uint64_t height, rdg_snapshot_pin_t **out) {
    view_t *view = NULL;
    rdg_err_t err = view_at(l, height, &view);
    *out = (rdg_snapshot_pin_t *)view;
    return err;
}

uint64_t rdg_snapshot_pin_height(const rdg_snapshot_pin_t *pin) {
    return ((const view_t *)pin)->head.height;
}

rdg_snapshot_pin_t *rdg_snapshot_pin_ref(rdg_snapshot_pin_t *pin) {
    rdg_ref_get(&((view_t *)pin)->ref);
    return pin;
}

void rdg_snapshot_unpin(rdg_snapshot_pin_t *pin) {
    view_put((view_t *)pin);
}

/* Without it nobody could verify what is exported. */
static rdg_err_t check_certified(rdg_ledger_t *l, uint64_t height) {
    rdg_buf_t checkpoint;
    rdg_buf_init(&checkpoint, 1 << 16);
    rdg_err_t err = height == 0 ? RDG_OK : rdg_ledger_seal(l, height, NULL, &checkpoint);
    if (err == RDG_OK && checkpoint.len == 0)
        err = rdg_fail(RDG_E_UNAVAILABLE,
                       "block %" PRIu64 " has no checkpoint certificate: take another height", height);
    rdg_buf_fini(&checkpoint);
    return err;
}

rdg_err_t rdg_snapshot_export_new(rdg_ledger_t *l, rdg_snapshot_pin_t *pin,
                                  const rdg_snapshot_options_t *options, rdg_snapshot_export_t **out) {
    static const rdg_snapshot_options_t defaults;
    *out = NULL;
    if (!options) options = &defaults;
    RDG_TRY(check_certified(l, rdg_snapshot_pin_height(pin)));
    rdg_snapshot_export_t *e = rdg_calloc(1, sizeof *e);
    if (!e) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a snapshot");
    e->l = l;
    e->view = (view_t *)rdg_snapshot_pin_ref(pin);
    e->memory = options->memory_bytes ? options->memory_bytes : RDG_SNAPSHOT_MEMORY_DEFAULT;
    e->header = options->headers_from;
    rdg_buf_init(&e->frame, RDG_SNAPSHOT_MANIFEST_MAX);
    rdg_buf_init(&e->code, RDG_EVM_CODE_MAX);
    *out = e;
    return RDG_OK;
}

void rdg_snapshot_export_free(rdg_snapshot_export_t *e) {
    if (!e) return;
    snap_manifest_fini(&e->m);
    rdg_buf_fini(&e->frame);
    rdg_buf_fini(&e->code);
    rdg_free(e->codes);
    view_put(e->view);
    rdg_free(e);
}

static rdg_err_t put_frame(rdg_snapshot_export_t *e, const rdg_snapshot_writer_t *w) {
    uint8_t length[4];
    RDG_TRY(rdg_buf_err(&e->frame));
    rdg_store_be32(length, (uint32_t)e->frame.len);
    RDG_TRY(w->write(w->ctx, rdg_bytes(length, sizeof length)));
    return w->write(w->ctx, rdg_buf_view(&e->frame));
}

/* --- code ---------------------------------------------------------------------------------------- */

/* The codes that accounts have, each once, ascending: an import that was given up may have left others. */
static int by_hash(const void *a, const void *b) {
    return memcmp(a, b, RDG_HASH_BYTES);
}

static rdg_err_t keep_code(rdg_snapshot_export_t *e, const state_item_t *item) {
    account_values_t account;
    RDG_TRY(account_decode(item->value, &account));
    if (word_is_zero(&account.code_hash)) return RDG_OK;
    if ((e->code_count & (e->code_count - 1)) == 0) { /* room for as many again */
        size_t room = e->code_count ? 2 * e->code_count : 1;
        rdg_hash_t *grown = rdg_realloc_array(e->codes, room, sizeof *grown);
        if (!grown) return RDG_E_NO_MEMORY;
        e->codes = grown;
    }
    memcpy(e->codes[e->code_count++].b, account.code_hash.b, RDG_HASH_BYTES);
    return RDG_OK;
}

static rdg_err_t find_codes(rdg_snapshot_export_t *e) {
    const state_item_t *item;
    state_scan_t *s = rdg_alloc(sizeof *s);
    if (!s) return RDG_E_NO_MEMORY;
    rdg_err_t err = scan_open(s, e->view);
    while (err == RDG_OK && (err = scan_next(s, &item)) == RDG_OK && item && !item->is_slot)
        err = keep_code(e, item);
    scan_close(s);
    rdg_free(s);
    if (err != RDG_OK || e->code_count == 0) return err;
    size_t kept = 1;
    qsort(e->codes, e->code_count, sizeof *e->codes, by_hash);
    for (size_t i = 1; i < e->code_count; ++i)
        if (!rdg_hash_equal(&e->codes[i], &e->codes[kept - 1])) e->codes[kept++] = e->codes[i];
    e->code_count = kept;
    return RDG_OK;
}

static rdg_err_t load_code(rdg_snapshot_export_t *e, size_t i) {
    ledger_key_t key = key_of(KEY_CODE, e->codes[i].b, RDG_HASH_BYTES);
    rdg_err_t err = rdg_kv_get(e->l->kv, e->view->snap, key_view(&key), &e->code);
    if (err != RDG_E_NOT_FOUND) return err;
    return rdg_fail(RDG_E_CORRUPT, "the code of a contract is missing: restore this node from its peers");
}

static rdg_err_t plan_code(rdg_snapshot_export_t *e) {
    uint64_t bytes = 0;
    uint32_t count = 0;
    RDG_TRY(find_codes(e));
    for (size_t i = 0; i < e->code_count; ++i) {
        RDG_TRY(load_code(e, i));
        if (count > 0 && bytes + 4 + e->code.len > CHUNK_CUT) {
            RDG_TRY(plan_add_chunk(&e->m, CHUNK_CODE, i - count, count, bytes));
            bytes = count = 0;
        }
        bytes += 4 + e->code.len;
        ++count;
    }
    return count > 0 ? plan_add_chunk(&e->m, CHUNK_CODE, e->code_count - count, count, bytes) : RDG_OK;
}

static rdg_err_t write_code(rdg_snapshot_export_t *e, const chunk_entry_t *c) {
    for (uint64_t i = c->first; i < c->first + c->count; ++i) {
        RDG_TRY(load_code(e, (size_t)i));
        rdg_buf_u32(&e->frame, (uint32_t)e->code.len);
        rdg_buf_append(&e->frame, e->code.data, e->code.len);
    }
    return rdg_buf_err(&e->frame);
}

/* --- state --------------------------------------------------------------------------------------- */

typedef struct window {
    rdg_arena_t arena;
    state_item_t *items;
    size_t count, room;
    uint32_t first_part, end_part;
} window_t;

static int by_path(const void *a, const void *b) {
    return memcmp(((const state_item_t *)a)->path.b, ((const state_item_t *)b)->path.b, RDG_HASH_BYTES);
}

static rdg_err_t keep(window_t *w, const state_item_t *item) {
    if (w->count == w->room) {
        size_t room = w->room ? 2 * w->room : 1024;
        state_item_t *grown = rdg_realloc_array(w->items, room, sizeof *grown);
        if (!grown) return RDG_E_NO_MEMORY;
        w->items = grown, w->room = room;
    }
    void *copy = rdg_arena_copy(&w->arena, item->value.data, item->value.len);
    if (!copy) return RDG_E_NO_MEMORY;
    w->items[w->count] = *item;
    w->items[w->count++].value = rdg_bytes(copy, item->value.len);
    return RDG_OK;
}

static rdg_err_t collect(rdg_snapshot_export_t *e, window_t *w) {
    const state_item_t *item;
    state_scan_t *s = rdg_alloc(sizeof *s);
    if (!s) return RDG_E_NO_MEMORY;
    rdg_err_t err = scan_open(s, e->view);
    while (err == RDG_OK && (err = scan_next(s, &item)) == RDG_OK && item) {
        uint32_t part = plan_find(e->m.parts, e->m.part_count, &item->path);
        if (part >= w->first_part && part < w->end_part) err = keep(w, item);
    }
    scan_close(s);
    rdg_free(s);
    if (err == RDG_OK && w->count > 0) qsort(w->items, w->count, sizeof *w->items, by_path);
    return err;
}

/* Chunks from e->next on whose entries fit into the memory; at least one. */
static uint32_t window_end(const rdg_snapshot_export_t *e) {
    uint32_t end = e->next;
    size_t bytes = 0;
    while (end < e->m.chunk_count && e->m.chunks[end].kind == CHUNK_STATE) {
        /* An entry of the state has some 90 bytes in a chunk. */
        size_t need = e->m.chunks[end].bytes / 64 * (64 + ITEM_OVERHEAD);
        if (end > e->next && bytes + need > e->memory / 2) break; /* half: the list doubles when it grows */
        bytes += need;
        ++end;
    }
    return end;
}

static rdg_err_t write_window(rdg_snapshot_export_t *e, const rdg_snapshot_writer_t *writer, window_t *w,
                              uint32_t end) {
    size_t at = 0;
    for (; e->next < end; ++e->next) {
        const chunk_entry_t *c = &e->m.chunks[e->next];
        rdg_hash_t behind;
        bool bounded = part_end(&e->m.parts[c->first + c->count - 1], &behind);
        rdg_buf_clear(&e->frame);
        chunk_begin(&e->frame, &e->m, e->next, CHUNK_STATE);
        for (; at < w->count && (!bounded || memcmp(w->items[at].path.b, behind.b, sizeof behind.b) < 0);
             ++at)
            state_item_put(&e->frame, &w->items[at]);
        if (e->frame.len != c->bytes) return rdg_fail(RDG_E_CORRUPT, "the state changed under a snapshot");
        RDG_TRY(put_frame(e, writer));
    }
    return RDG_OK;
}

static rdg_err_t step_state(rdg_snapshot_export_t *e, const rdg_snapshot_writer_t *writer) {
    uint32_t end = window_end(e);
    const chunk_entry_t *last = &e->m.chunks[end - 1];
    window_t w = {.first_part = (uint32_t)e->m.chunks[e->next].first,
                  .end_part = (uint32_t)(last->first + last->count)};
    rdg_arena_init(&w.arena, 256u << 20);
    rdg_err_t err = collect(e, &w);
    if (err == RDG_OK) err = write_window(e, writer, &w, end);
    rdg_arena_fini(&w.arena);
    rdg_free(w.items);
    return err;
}

/* --- steps --------------------------------------------------------------------------------------- */

static rdg_err_t step_plan(rdg_snapshot_export_t *e) {
    manifest_t *m = &e->m;
    m->chain_id = e->l->genesis.validators.chain_id;
    m->height = e->view->head.height;
    m->block_hash = e->view->head.hash;
    m->state_root = e->view->head.state_root;
    RDG_TRY(plan_state(e->view, m));
    RDG_TRY(plan_code(e));
    RDG_TRY(guard_plan(e->l, e->view, m));
    rdg_hash_t root;
    RDG_TRY(parts_root(m->parts, m->part_count, &root));
    if (!rdg_hash_equal(&root, &m->state_root))
        return rdg_fail(RDG_E_CORRUPT,
                        "the state tree does not have the root of block %" PRIu64
                        ": restore this node from its peers",
                        m->height);
    e->stage = e->header > 0 ? STAGE_HEADERS : STAGE_MANIFEST;
    return RDG_OK;
}

static rdg_err_t step_headers(rdg_snapshot_export_t *e, const rdg_snapshot_writer_t *writer) {
    uint64_t last;
    rdg_buf_clear(&e->frame);
    RDG_TRY(rdg_headers_export(e->l, e->header, e->m.height, 0, &e->frame, &last));
    RDG_TRY(put_frame(e, writer));
    e->header = last + 1;
    if (last >= e->m.height) e->stage = STAGE_MANIFEST;
    return RDG_OK;
}

static rdg_err_t step_chunk(rdg_snapshot_export_t *e, const rdg_snapshot_writer_t *writer) {
    const chunk_entry_t *c = &e->m.chunks[e->next];
    if (c->kind == CHUNK_STATE) return step_state(e, writer);
    rdg_buf_clear(&e->frame);
    chunk_begin(&e->frame, &e->m, e->next, c->kind);
    RDG_TRY(c->kind == CHUNK_CODE ? write_code(e, c) : guard_write(e->l, e->view, c, &e->frame));
    if (e->frame.len != c->bytes)
        return rdg_fail(RDG_E_CORRUPT, "chunk %" PRIu32 " of a snapshot is not what was planned", e->next);
    RDG_TRY(put_frame(e, writer));
    ++e->next;
    return RDG_OK;
}

rdg_err_t rdg_snapshot_export_step(rdg_snapshot_export_t *e, const rdg_snapshot_writer_t *writer,
                                   bool *done) {
    rdg_err_t err = RDG_OK;
    switch (e->stage) {
    case STAGE_PLAN: err = step_plan(e); break;
    case STAGE_HEADERS: err = step_headers(e, writer); break;
    case STAGE_MANIFEST:
        rdg_buf_clear(&e->frame);
        err = snap_manifest_encode(&e->m, &e->frame);
        if (err == RDG_OK) err = put_frame(e, writer);
        e->stage = STAGE_CHUNKS;
        break;
    case STAGE_CHUNKS:
        err = step_chunk(e, writer);
        if (e->next == e->m.chunk_count) e->stage = STAGE_DONE;
        break;
    case STAGE_DONE: break;
    }
    *done = e->stage == STAGE_DONE;
    return err == RDG_OK ? RDG_OK : rdg_fail_in(err, "snapshot at %" PRIu64, e->view->head.height);
}
