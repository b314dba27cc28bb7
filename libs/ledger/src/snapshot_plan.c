/* Dividing the state into parts and chunks, the same on every node: 4,096 parts, and where one is too large, its
 * sixteenths, and so on. */
#include <string.h>
#include "ridge/base/alloc.h"
#include "snapshot_internal.h"

enum { PART_DEPTH = 3, PARTS = 4096, PART_BYTES = 128 << 10, DEPTH_MAX = 60 };

uint32_t plan_find(const part_t *parts, uint32_t count, const rdg_hash_t *path) {
    uint32_t low = 0, high = count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low + 1) / 2;
        if (memcmp(parts[middle].first.b, path->b, sizeof path->b) <= 0)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

static rdg_err_t count_bytes(const view_t *view, manifest_t *m) {
    const state_item_t *item;
    state_scan_t *s = rdg_alloc(sizeof *s);
    if (!s) return RDG_E_NO_MEMORY;
    rdg_err_t err = scan_open(s, view);
    while (err == RDG_OK && (err = scan_next(s, &item)) == RDG_OK && item)
        m->parts[plan_find(m->parts, m->part_count, &item->path)].bytes += state_item_size(item);
    scan_close(s);
    rdg_free(s);
    return err;
}

static void set_nibble(rdg_hash_t *path, unsigned i, unsigned value) {
    unsigned shift = i % 2 ? 0 : 4;
    path->b[i / 2] = (uint8_t)((path->b[i / 2] & ~(15u << shift)) | value << shift);
}

/* Every part that is too large gives way to sixteen; their sizes are to be counted. */
static rdg_err_t split(manifest_t *m, bool *any) {
    uint32_t large = 0;
    for (uint32_t i = 0; i < m->part_count; ++i)
        large += m->parts[i].bytes > PART_BYTES && m->parts[i].depth < DEPTH_MAX;
    *any = large > 0;
    if (!*any) return RDG_OK;
    uint32_t count = m->part_count + 15 * large, at = 0;
    if (count > PARTS_MAX) return rdg_fail(RDG_E_TOO_LARGE, "the state is too large for a snapshot");
    part_t *parts = rdg_calloc(count, sizeof *parts);
    if (!parts) return RDG_E_NO_MEMORY;
    for (uint32_t i = 0; i < m->part_count; ++i) {
        const part_t *p = &m->parts[i];
        bool is_large = p->bytes > PART_BYTES && p->depth < DEPTH_MAX;
        for (unsigned k = 0; k < (is_large ? 16u : 1u); ++k) {
            part_t *to = &parts[at++];
            *to = (part_t){.first = p->first, .depth = p->depth};
            if (!is_large) continue;
            set_nibble(&to->first, p->depth, k);
            ++to->depth;
        }
    }
    rdg_free(m->parts);
    m->parts = parts;
    m->part_count = count;
    return RDG_OK;
}

/* What the bucket at path comes to. */
static rdg_err_t bucket_node(const view_t *view, const rdg_hash_t *path, rdg_buf_t *raw, tree_node_t *out) {
    tree_page_t page;
    ledger_key_t key = page_key(view->bank, path, BUCKET_DEPTH);
    rdg_err_t err = rdg_kv_get(view->kv, view->snap, key_view(&key), raw);
    *out = (tree_node_t){.kind = NODE_EMPTY};
    if (err == RDG_E_NOT_FOUND) return RDG_OK;
    RDG_TRY(err);
    RDG_TRY(page_decode(rdg_buf_view(raw), &page));
    page_hash_leaves(&page);
    page_node(&page, 1, out);
    return RDG_OK;
}

/* Of a part above the buckets, which are one level below. */
static rdg_err_t joined_node(const view_t *view, const part_t *p, rdg_buf_t *raw, tree_node_t *out) {
    tree_page_t above;
    rdg_hash_t path = p->first;
    for (unsigned i = 0; i < PAGE_SLOTS; ++i) {
        set_nibble(&path, PART_DEPTH, i);
        RDG_TRY(bucket_node(view, &path, raw, &above.slots[i]));
    }
    page_node(&above, 1, out);
    return RDG_OK;
}

/* Of a part below the buckets: its slot in the page above it. */
static rdg_err_t slot_node(const view_t *view, const part_t *p, rdg_buf_t *raw, tree_node_t *out) {
    tree_page_t page;
    ledger_key_t key = page_key(view->bank, &p->first, p->depth - 1u);
    rdg_err_t err = rdg_kv_get(view->kv, view->snap, key_view(&key), raw);
    if (err == RDG_E_NOT_FOUND)
        return rdg_fail(RDG_E_CORRUPT,
                        "a page of the state tree is missing: restore this node from its peers");
    RDG_TRY(err);
    RDG_TRY(page_decode(rdg_buf_view(raw), &page));
    page_hash_leaves(&page);
    page_node(&page, PAGE_SLOTS + path_nibble(&p->first, p->depth - 1u), out);
    return RDG_OK;
}

static rdg_err_t digest_of(const view_t *view, part_t *p, rdg_buf_t *raw) {
    tree_node_t node;
    rdg_err_t err = p->depth < BUCKET_DEPTH    ? joined_node(view, p, raw, &node)
                    : p->depth == BUCKET_DEPTH ? bucket_node(view, &p->first, raw, &node)
                                               : slot_node(view, p, raw, &node);
    if (err != RDG_OK) return err;
    p->kind = (uint8_t)node.kind;
    p->digest = node.hash;
    return RDG_OK;
}

rdg_err_t plan_add_chunk(manifest_t *m, chunk_kind_t kind, uint64_t first, uint32_t count, uint64_t bytes) {
    if (m->chunk_count == CHUNKS_MAX || bytes + CHUNK_HEAD_BYTES > RDG_SNAPSHOT_CHUNK_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "the state is too large for a snapshot");
    if ((m->chunk_count & (m->chunk_count - 1)) == 0) { /* room for as many again */
        size_t room = m->chunk_count ? 2 * (size_t)m->chunk_count : 1;
        chunk_entry_t *grown = rdg_realloc_array(m->chunks, room, sizeof *grown);
        if (!grown) return RDG_E_NO_MEMORY;
        m->chunks = grown;
    }
    m->chunks[m->chunk_count++] = (chunk_entry_t){kind, count, (uint32_t)bytes + CHUNK_HEAD_BYTES, first};
    return RDG_OK;
}

static rdg_err_t cut_chunks(manifest_t *m) {
    uint64_t bytes = 0;
    uint32_t first = 0;
    for (uint32_t i = 0; i < m->part_count; ++i) {
        if (i > first && bytes + m->parts[i].bytes > CHUNK_CUT) {
            RDG_TRY(plan_add_chunk(m, CHUNK_STATE, first, i - first, bytes));
            first = i, bytes = 0;
        }
        bytes += m->parts[i].bytes;
    }
    return plan_add_chunk(m, CHUNK_STATE, first, m->part_count - first, bytes);
}

rdg_err_t plan_state(const view_t *view, manifest_t *m) {
    rdg_buf_t raw;
    bool more = true;
    m->part_count = PARTS;
    if (!(m->parts = rdg_calloc(PARTS, sizeof *m->parts))) return RDG_E_NO_MEMORY;
    for (unsigned i = 0; i < PARTS; ++i)
        m->parts[i] = (part_t){.first = {{(uint8_t)(i >> 4), (uint8_t)(i << 4)}}, .depth = PART_DEPTH};
    while (more) {
        RDG_TRY(count_bytes(view, m));
        RDG_TRY(split(m, &more));
    }
    rdg_buf_init(&raw, PAGE_BYTES_MAX);
    rdg_err_t err = RDG_OK;
    for (uint32_t i = 0; err == RDG_OK && i < m->part_count; ++i) err = digest_of(view, &m->parts[i], &raw);
    rdg_buf_fini(&raw);
    return err == RDG_OK ? cut_chunks(m) : err;
}
