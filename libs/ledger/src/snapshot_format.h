/* Manifest and chunks of a snapshot: their bytes, and what each proves. Pure functions.
 *
 * Manifest: "RSNM", version u16, chain id u64, height u64, block hash 32, state root 32, part count u32, then for each
 * part depth u8 (in nibbles), kind u8 (tree_page.h), digest 32 unless empty; chunk count u32, then for each kind u8,
 * count u32 (of parts, codes or heights), bytes u32 (of the chunk).
 * Parts follow one another without a gap from the first path to the last, so a depth says where each begins.
 *
 * Chunk: "RSNC", chain id u64, height u64, number u32, kind u8, then
 *   state  items: 0, address 20, length u8, account; or 1, address 20, slot 32, length u8, value
 *   code   length u32, bytes
 *   guard  for each height whose block has transactions: digest of their signatures 32, ids 32 each */
#ifndef RIDGE_LEDGER_SNAPSHOT_FORMAT_H
#define RIDGE_LEDGER_SNAPSHOT_FORMAT_H
#include "ridge/base/arena.h"
#include "ridge/ledger/snapshot.h"
#include "tree_page.h"

#define PARTS_MAX (1u << 16)
#define CHUNKS_MAX (1u << 18)
#define CHUNK_CUT (256u << 10) /* an exporter goes on to the next chunk there */

typedef enum chunk_kind { CHUNK_STATE = 1, CHUNK_CODE = 2, CHUNK_GUARD = 3 } chunk_kind_t;

typedef struct part {
    rdg_hash_t first; /* lowest path */
    rdg_hash_t digest;
    uint8_t depth, kind;
    uint64_t bytes; /* exporter's: of its items */
} part_t;

typedef struct chunk_entry {
    chunk_kind_t kind;
    uint32_t count, bytes;
    uint64_t first; /* part, or height; of codes nothing */
} chunk_entry_t;

typedef struct manifest {
    uint64_t chain_id, height;
    rdg_hash_t block_hash, state_root;
    uint32_t part_count, chunk_count;
    part_t *parts;         /* owned */
    chunk_entry_t *chunks; /* owned */
} manifest_t;

void snap_manifest_fini(manifest_t *m);
rdg_err_t snap_manifest_encode(const manifest_t *m, rdg_buf_t *out);
/* MALFORMED, TOO_LARGE, UNSUPPORTED; INVALID: its parts do not come to its state root. */
rdg_err_t snap_manifest_decode(rdg_bytes_t encoded, manifest_t *out);
/* First height of which the ids are needed above a snapshot at height. */
uint64_t guard_first(uint64_t height);
/* What consecutive parts that fill the tree come to. */
rdg_err_t parts_root(const part_t *parts, uint32_t count, rdg_hash_t *out);
/* The lowest path behind a part; false: it is the last one. */
bool part_end(const part_t *p, rdg_hash_t *out);

void chunk_begin(rdg_buf_t *out, const manifest_t *m, uint32_t number, chunk_kind_t kind);
/* The payload, after its head has been found to be that of chunk `number` of m. WRONG_CHAIN, CONFLICT, MALFORMED. */
rdg_err_t chunk_open(rdg_bytes_t chunk, const manifest_t *m, uint32_t number, rdg_reader_t *payload);

typedef struct state_item {
    rdg_hash_t path;
    bool is_slot;
    rdg_address_t address;
    rdg_word_t slot;
    rdg_bytes_t value; /* a view */
} state_item_t;

void state_item_put(rdg_buf_t *out, const state_item_t *item);
size_t state_item_size(const state_item_t *item);
/* All items of a state chunk, with their paths, ascending and proved by the digests of its parts; and what each comes to
 * as a leaf of the tree. In the arena. */
typedef struct state_items {
    state_item_t *items;
    rdg_hash_t *leaves;
    size_t count;
} state_items_t;
rdg_err_t state_items(const manifest_t *m, uint32_t number, rdg_reader_t *payload, rdg_arena_t *arena,
                      state_items_t *out);
/* snapshot_parts.c. The last step of it: makes the leaves and compares. INVALID, NO_MEMORY. */
rdg_err_t parts_check(const manifest_t *m, uint32_t number, rdg_arena_t *arena, state_items_t *s);

#endif
