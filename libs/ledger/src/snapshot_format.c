#include "snapshot_format.h"
#include <inttypes.h>
#include <string.h>
#include "ridge/base/alloc.h"

#define MANIFEST_MAGIC 0x52534e4du /* "RSNM" */
#define CHUNK_MAGIC 0x52534e43u    /* "RSNC" */

enum { FORMAT_VERSION = 1, NIBBLES = 64 };

void snap_manifest_fini(manifest_t *m) {
    rdg_free(m->parts);
    rdg_free(m->chunks);
    m->parts = NULL, m->chunks = NULL;
}

uint64_t guard_first(uint64_t height) {
    return height >= RDG_TX_VALID_MAX ? height + 1 - RDG_TX_VALID_MAX : 1;
}

/* --- manifest ------------------------------------------------------------------------------------ */

rdg_err_t snap_manifest_encode(const manifest_t *m, rdg_buf_t *out) {
    rdg_buf_u32(out, MANIFEST_MAGIC);
    rdg_buf_u16(out, FORMAT_VERSION);
    rdg_buf_u64(out, m->chain_id);
    rdg_buf_u64(out, m->height);
    rdg_buf_append(out, m->block_hash.b, sizeof m->block_hash.b);
    rdg_buf_append(out, m->state_root.b, sizeof m->state_root.b);
    rdg_buf_u32(out, m->part_count);
    for (uint32_t i = 0; i < m->part_count; ++i) {
        rdg_buf_u8(out, m->parts[i].depth);
        rdg_buf_u8(out, m->parts[i].kind);
        if (m->parts[i].kind != NODE_EMPTY) rdg_buf_append(out, m->parts[i].digest.b, RDG_HASH_BYTES);
    }
    rdg_buf_u32(out, m->chunk_count);
    for (uint32_t i = 0; i < m->chunk_count; ++i) {
        rdg_buf_u8(out, (uint8_t)m->chunks[i].kind);
        rdg_buf_u32(out, m->chunks[i].count);
        rdg_buf_u32(out, m->chunks[i].bytes);
    }
    return rdg_buf_err(out);
}

/* Adds one at the last nibble of a prefix. */
bool part_end(const part_t *p, rdg_hash_t *out) {
    *out = p->first;
    for (unsigned i = p->depth; i-- > 0;) {
        unsigned shift = i % 2 ? 0 : 4, nibble = (out->b[i / 2] >> shift & 15u) + 1;
        out->b[i / 2] = (uint8_t)((out->b[i / 2] & ~(15u << shift)) | (nibble & 15u) << shift);
        if (nibble < 16) return true;
    }
    return false;
}

static bool is_aligned(const rdg_hash_t *path, unsigned depth) {
    for (unsigned i = depth; i < NIBBLES; ++i)
        if (path_nibble(path, i) != 0) return false;
    return true;
}

/* A stack of subtrees, each half as deep at most as the one below: joins what is complete. */
typedef struct fold {
    tree_node_t nodes[4 * NIBBLES + 1];
    unsigned bits[4 * NIBBLES + 1];
    size_t count;
} fold_t;

static void fold_push(fold_t *f, const tree_node_t *node, unsigned bits) {
    f->nodes[f->count] = *node;
    f->bits[f->count++] = bits;
    while (f->count > 1 && f->bits[f->count - 1] == f->bits[f->count - 2]) {
        tree_node_t joined;
        node_join(&f->nodes[f->count - 2], &f->nodes[f->count - 1], &joined);
        --f->count;
        f->nodes[f->count - 1] = joined;
        --f->bits[f->count - 1];
    }
}

/* Parts are aligned and follow each other, so equal depths on top of the stack are always siblings. */
rdg_err_t parts_root(const part_t *parts, uint32_t count, rdg_hash_t *out) {
    fold_t *f = rdg_calloc(1, sizeof *f);
    if (!f) return rdg_fail(RDG_E_NO_MEMORY, "no memory to verify a manifest");
    for (uint32_t i = 0; i < count; ++i) {
        tree_node_t node = {.kind = (node_kind_t)parts[i].kind, .hash = parts[i].digest};
        fold_push(f, &node, 4u * parts[i].depth);
    }
    rdg_err_t err = RDG_OK;
    if (f->count == 1 && f->bits[0] == 0)
        *out = f->nodes[0].hash;
    else
        err = rdg_fail(RDG_E_MALFORMED, "the manifest's parts do not fill the tree");
    rdg_free(f);
    return err;
}

static rdg_err_t read_parts(rdg_reader_t *r, manifest_t *m) {
    rdg_hash_t at = {{0}};
    bool more = true;
    m->part_count = rdg_read_u32(r);
    if (m->part_count == 0 || m->part_count > PARTS_MAX || m->part_count > rdg_reader_left(r) / 2)
        return rdg_fail(RDG_E_MALFORMED, "manifest: an impossible number of parts");
    if (!(m->parts = rdg_calloc(m->part_count, sizeof *m->parts))) return RDG_E_NO_MEMORY;
    for (uint32_t i = 0; i < m->part_count; ++i) {
        part_t *p = &m->parts[i];
        p->first = at;
        p->depth = rdg_read_u8(r);
        p->kind = rdg_read_u8(r);
        if (p->kind != NODE_EMPTY) rdg_read_copy(r, p->digest.b, sizeof p->digest.b);
        if (!rdg_reader_ok(r) || !more || p->depth > NIBBLES || p->kind > NODE_INNER ||
            !is_aligned(&at, p->depth))
            return rdg_fail(RDG_E_MALFORMED, "manifest: part %" PRIu32 " cannot stand there", i);
        more = part_end(p, &at);
    }
    return more ? rdg_fail(RDG_E_MALFORMED, "manifest: its parts do not fill the tree") : RDG_OK;
}

/* State, code, guard, in this order; the parts and the heights of the guard each once. */
static rdg_err_t read_chunks(rdg_reader_t *r, manifest_t *m) {
    uint64_t part = 0, height = guard_first(m->height);
    m->chunk_count = rdg_read_u32(r);
    if (m->chunk_count == 0 || m->chunk_count > CHUNKS_MAX || m->chunk_count > rdg_reader_left(r) / 9)
        return rdg_fail(RDG_E_MALFORMED, "manifest: an impossible number of chunks");
    if (!(m->chunks = rdg_calloc(m->chunk_count, sizeof *m->chunks))) return RDG_E_NO_MEMORY;
    for (uint32_t i = 0; i < m->chunk_count; ++i) {
        chunk_entry_t *c = &m->chunks[i];
        uint8_t kind = rdg_read_u8(r);
        c->kind = (chunk_kind_t)kind;
        c->count = rdg_read_u32(r);
        c->bytes = rdg_read_u32(r);
        if (kind < CHUNK_STATE || kind > CHUNK_GUARD || (i > 0 && c->kind < m->chunks[i - 1].kind) ||
            c->count == 0 || c->bytes > RDG_SNAPSHOT_CHUNK_MAX)
            return rdg_fail(RDG_E_MALFORMED, "manifest: chunk %" PRIu32 " cannot be", i);
        c->first = c->kind == CHUNK_STATE ? part : c->kind == CHUNK_GUARD ? height : 0;
        if (c->kind == CHUNK_STATE) part += c->count;
        if (c->kind == CHUNK_GUARD) height += c->count;
    }
    if (part != m->part_count || height != m->height + 1)
        return rdg_fail(RDG_E_MALFORMED, "manifest: its chunks do not hold every part and every height");
    return RDG_OK;
}

static rdg_err_t read_manifest(rdg_reader_t *r, manifest_t *m) {
    rdg_hash_t root;
    uint32_t magic = rdg_read_u32(r);
    uint16_t version = rdg_read_u16(r);
    m->chain_id = rdg_read_u64(r);
    m->height = rdg_read_u64(r);
    rdg_read_copy(r, m->block_hash.b, sizeof m->block_hash.b);
    rdg_read_copy(r, m->state_root.b, sizeof m->state_root.b);
    if (!rdg_reader_ok(r) || magic != MANIFEST_MAGIC)
        return rdg_fail(RDG_E_MALFORMED, "these bytes are not the manifest of a snapshot");
    if (version != FORMAT_VERSION)
        return rdg_fail(RDG_E_UNSUPPORTED, "manifest of version %u, this program knows %d", version,
                        FORMAT_VERSION);
    if (m->height == 0 || m->height == UINT64_MAX)
        return rdg_fail(RDG_E_MALFORMED, "manifest: a height that no block has");
    RDG_TRY(read_parts(r, m));
    RDG_TRY(read_chunks(r, m));
    if (!rdg_reader_done(r)) return rdg_fail(RDG_E_MALFORMED, "manifest: bytes behind its end");
    RDG_TRY(parts_root(m->parts, m->part_count, &root));
    if (!rdg_hash_equal(&root, &m->state_root))
        return rdg_fail(RDG_E_INVALID, "manifest: its parts do not come to its state root");
    return RDG_OK;
}

rdg_err_t snap_manifest_decode(rdg_bytes_t encoded, manifest_t *out) {
    rdg_reader_t r;
    memset(out, 0, sizeof *out);
    if (encoded.len > RDG_SNAPSHOT_MANIFEST_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "manifest of %zu bytes: the limit is %u", encoded.len,
                        RDG_SNAPSHOT_MANIFEST_MAX);
    rdg_reader_init(&r, encoded);
    rdg_err_t err = read_manifest(&r, out);
    if (err != RDG_OK) snap_manifest_fini(out);
    return err;
}

rdg_err_t rdg_snapshot_manifest_info(rdg_bytes_t manifest, rdg_snapshot_info_t *out) {
    manifest_t m;
    RDG_TRY(snap_manifest_decode(manifest, &m));
    *out = (rdg_snapshot_info_t){.chain_id = m.chain_id,
                                 .height = m.height,
                                 .block_hash = m.block_hash,
                                 .state_root = m.state_root,
                                 .chunks = m.chunk_count};
    for (uint32_t i = 0; i < m.chunk_count; ++i) out->bytes += m.chunks[i].bytes;
    snap_manifest_fini(&m);
    return RDG_OK;
}

/* --- chunks -------------------------------------------------------------------------------------- */

void chunk_begin(rdg_buf_t *out, const manifest_t *m, uint32_t number, chunk_kind_t kind) {
    rdg_buf_u32(out, CHUNK_MAGIC);
    rdg_buf_u64(out, m->chain_id);
    rdg_buf_u64(out, m->height);
    rdg_buf_u32(out, number);
    rdg_buf_u8(out, (uint8_t)kind);
}

rdg_err_t chunk_open(rdg_bytes_t chunk, const manifest_t *m, uint32_t number, rdg_reader_t *r) {
    if (chunk.len > RDG_SNAPSHOT_CHUNK_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "it has %zu bytes: the limit is %u", chunk.len,
                        RDG_SNAPSHOT_CHUNK_MAX);
    rdg_reader_init(r, chunk);
    uint32_t magic = rdg_read_u32(r);
    uint64_t chain = rdg_read_u64(r), height = rdg_read_u64(r);
    uint32_t is = rdg_read_u32(r);
    uint8_t kind = rdg_read_u8(r);
    if (!rdg_reader_ok(r) || magic != CHUNK_MAGIC)
        return rdg_fail(RDG_E_MALFORMED, "these bytes are not a chunk of a snapshot");
    if (chain != m->chain_id)
        return rdg_fail(RDG_E_WRONG_CHAIN, "it is of chain %" PRIu64 ", this is chain %" PRIu64, chain,
                        m->chain_id);
    if (height != m->height)
        return rdg_fail(RDG_E_CONFLICT, "it is of the snapshot at %" PRIu64 ", this one is at %" PRIu64,
                        height, m->height);
    if (is != number) return rdg_fail(RDG_E_CONFLICT, "it is chunk %" PRIu32, is);
    if (kind != m->chunks[number].kind || chunk.len != m->chunks[number].bytes)
        return rdg_fail(RDG_E_INVALID, "kind or length are not what the manifest says");
    return RDG_OK;
}

size_t state_item_size(const state_item_t *item) {
    return 1 + sizeof item->address.b + (item->is_slot ? sizeof item->slot.b : 0) + 1 + item->value.len;
}

void state_item_put(rdg_buf_t *out, const state_item_t *item) {
    rdg_buf_u8(out, item->is_slot ? 1 : 0);
    rdg_buf_append(out, item->address.b, sizeof item->address.b);
    if (item->is_slot) rdg_buf_append(out, item->slot.b, sizeof item->slot.b);
    rdg_buf_u8(out, (uint8_t)item->value.len);
    rdg_buf_append(out, item->value.data, item->value.len);
}

static rdg_err_t read_item(rdg_reader_t *r, state_item_t *item) {
    uint8_t kind = rdg_read_u8(r);
    item->is_slot = kind == 1;
    rdg_read_copy(r, item->address.b, sizeof item->address.b);
    if (item->is_slot) rdg_read_copy(r, item->slot.b, sizeof item->slot.b);
    item->value = rdg_read_bytes(r, rdg_read_u8(r));
    if (!rdg_reader_ok(r) || kind > 1 || item->value.len == 0 || item->value.len > RDG_PROOF_VALUE_MAX)
        return rdg_fail(RDG_E_MALFORMED, "an entry of the state cannot be read");
    return RDG_OK;
}

/* How many there are, and that each is whole. */
static rdg_err_t count_items(rdg_reader_t r, size_t *count) {
    state_item_t item;
    for (*count = 0; rdg_reader_left(&r) > 0; ++*count) RDG_TRY(read_item(&r, &item));
    return RDG_OK;
}

static rdg_err_t read_items(rdg_reader_t *r, rdg_arena_t *arena, state_item_t **items, size_t *count) {
    RDG_TRY(count_items(*r, count));
    *items = rdg_arena_calloc(arena, *count + 1, sizeof **items);
    if (!*items) return RDG_E_NO_MEMORY;
    for (size_t i = 0; i < *count; ++i) RDG_TRY(read_item(r, &(*items)[i]));
    return RDG_OK;
}

static void hash_paths(state_item_t *items, size_t count) {
    rdg_sm3_input_t inputs[64];
    rdg_hash_t paths[64];
    for (size_t from = 0; from < count; from += 64) {
        size_t n = count - from < 64 ? count - from : 64;
        for (size_t i = 0; i < n; ++i) {
            const state_item_t *item = &items[from + i];
            inputs[i].head = rdg_bytes(item->address.b, sizeof item->address.b);
            inputs[i].body = rdg_bytes(item->slot.b, item->is_slot ? sizeof item->slot.b : 0);
        }
        rdg_sm3_tagged_many(RDG_DOMAIN_STATE_KEY, inputs, n, paths);
        for (size_t i = 0; i < n; ++i) items[from + i].path = paths[i];
    }
}

rdg_err_t state_items(const manifest_t *m, uint32_t number, rdg_reader_t *payload, rdg_arena_t *arena,
                      state_items_t *out) {
    RDG_TRY(read_items(payload, arena, &out->items, &out->count));
    hash_paths(out->items, out->count);
    for (size_t i = 1; i < out->count; ++i)
        if (memcmp(out->items[i - 1].path.b, out->items[i].path.b, RDG_HASH_BYTES) >= 0)
            return rdg_fail(RDG_E_INVALID, "its entries are not in ascending order");
    return parts_check(m, number, arena, out);
}
