#ifndef RIDGE_LEDGER_SNAPSHOT_INTERNAL_H
#define RIDGE_LEDGER_SNAPSHOT_INTERNAL_H
#include "headers.h"
#include "snapshot_format.h"

/* The state of one view, as it lies in the store: accounts, then slots. */
typedef struct state_scan {
    const view_t *view;
    rdg_kv_iter_t *it;
    bool slots;
    unsigned filled, at;
    state_item_t batch[64]; /* values are copies in bytes */
    uint8_t bytes[64][RDG_PROOF_VALUE_MAX];
} state_scan_t;

/* snapshot_scan.c */
rdg_err_t scan_open(state_scan_t *s, const view_t *view);
/* *item is valid until the next call; NULL at the end. */
rdg_err_t scan_next(state_scan_t *s, const state_item_t **item);
void scan_close(state_scan_t *s);

/* snapshot_plan.c: fills parts and state chunks of m. */
rdg_err_t plan_state(const view_t *view, manifest_t *m);
rdg_err_t plan_add_chunk(manifest_t *m, chunk_kind_t kind, uint64_t first, uint32_t count, uint64_t bytes);
/* Index of the part that holds a path. */
uint32_t plan_find(const part_t *parts, uint32_t count, const rdg_hash_t *path);

/* snapshot_guard.c: ids of blocks. At I height: digest of the signatures, ids. */
rdg_err_t guard_plan(rdg_ledger_t *l, const view_t *view, manifest_t *m);
rdg_err_t guard_write(rdg_ledger_t *l, const view_t *view, const chunk_entry_t *c, rdg_buf_t *out);
rdg_err_t guard_take(rdg_ledger_t *l, const chunk_entry_t *c, rdg_reader_t *payload, rdg_kv_batch_t *batch);
/* Whether what the chunk would bring is stored already, each block's ids as they were proven: UNAVAILABLE. */
rdg_err_t guard_is_here(rdg_ledger_t *l, const chunk_entry_t *c);

/* A chunk of state that the manifest has proven, by any thread; a view of the chunk's bytes. */
typedef struct proven_chunk {
    rdg_arena_t arena;
    state_items_t state;
} proven_chunk_t;
void proven_chunk_init(proven_chunk_t *p);
void proven_chunk_fini(proven_chunk_t *p);
/* Of kind CHUNK_STATE; what p held before is gone. */
rdg_err_t snapshot_prove(const manifest_t *m, uint32_t number, rdg_bytes_t chunk, proven_chunk_t *p);

/* snapshot_import.c: the next `count` chunks, which are proven chunks of state. They are copied, and on disk when enough of
 * them are, or at the next settling; an import that is opened again goes on behind what was on disk. After an error, too. */
rdg_err_t snapshot_import_proven(rdg_snapshot_import_t *i, const proven_chunk_t *chunks, uint32_t count);
/* All that was taken is on disk. */
rdg_err_t snapshot_import_settle(rdg_snapshot_import_t *i);
/* The next chunk, which is one of the guard, without its bytes: by guard_is_here. */
rdg_err_t snapshot_import_own_guard(rdg_snapshot_import_t *i);

enum { CHUNK_HEAD_BYTES = 25 };

#endif
