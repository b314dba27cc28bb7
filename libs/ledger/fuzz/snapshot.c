/* What a peer sends of a snapshot. A manifest that decodes encodes to the same bytes and its parts come to its root; a
 * header segment is read to its end or refused; the entries of a state chunk are either refused or ascending and exactly
 * those of the digest, which is computed from them when they can be read at all. */
#include <stdlib.h>
#include <string.h>
#include "headers.h"
#include "snapshot_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_manifest(rdg_bytes_t wire) {
    manifest_t m;
    rdg_buf_t out;
    rdg_hash_t root;
    if (snap_manifest_decode(wire, &m) != RDG_OK) return;
    rdg_buf_init(&out, RDG_SNAPSHOT_MANIFEST_MAX);
    if (snap_manifest_encode(&m, &out) != RDG_OK || !rdg_bytes_equal(rdg_buf_view(&out), wire)) abort();
    if (parts_root(m.parts, m.part_count, &root) != RDG_OK || !rdg_hash_equal(&root, &m.state_root)) abort();
    rdg_buf_fini(&out);
    snap_manifest_fini(&m);
}

static void check_segment(rdg_bytes_t wire) {
    header_segment_t s;
    header_item_t item;
    size_t bytes = 24;
    if (segment_open(wire, &s) != RDG_OK) return;
    for (uint32_t i = 0; i < s.count && segment_next(&s, &item) == RDG_OK; ++i)
        bytes +=
            10 + item.header.len + item.seal.len + item.executed.len + item.checkpoint.len + item.epoch.len;
    if (bytes > wire.len) abort();
}

/* The whole tree is one part, so that any set of entries has a manifest. */
static void check_state(rdg_bytes_t payload) {
    part_t part = {.kind = NODE_INNER};
    chunk_entry_t entry = {CHUNK_STATE, 1, (uint32_t)payload.len, 0};
    manifest_t m = {
        .chain_id = 1, .height = 1, .part_count = 1, .chunk_count = 1, .parts = &part, .chunks = &entry};
    for (int round = 0; round < 2; ++round) {
        rdg_arena_t arena;
        rdg_reader_t r;
        state_items_t s = {.count = 0};
        rdg_arena_init(&arena, 64u << 20);
        rdg_reader_init(&r, payload);
        rdg_err_t err = state_items(&m, 0, &r, &arena, &s);
        for (size_t i = 1; err == RDG_OK && i < s.count; ++i)
            if (memcmp(s.items[i - 1].path.b, s.items[i].path.b, RDG_HASH_BYTES) >= 0) abort();
        if (err == RDG_OK && round == 0 && s.count > 0) abort(); /* nobody finds entries of the zero digest */
        if (err != RDG_OK && s.count == 1 && s.items) { /* with the digest of its one entry it must pass */
            part.kind = NODE_LEAF;
            rdg_state_leaf(&s.items[0].path, s.items[0].value, &part.digest);
        }
        rdg_arena_fini(&arena);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || size > RDG_SNAPSHOT_CHUNK_MAX) return 0;
    rdg_bytes_t rest = rdg_bytes(data + 1, size - 1);
    switch (data[0] % 3) {
    case 0: check_manifest(rest); break;
    case 1: check_segment(rest); break;
    default: check_state(rest);
    }
    return 0;
}
