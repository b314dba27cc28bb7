#include "tree.h"
#include <stdlib.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/codec/rlp.h"
#include "tree_page.h"

enum { BUCKET_DEPTH = 3, BUCKET_BITS = 12, BUCKETS = 1 << BUCKET_BITS, WORK_BYTES_MAX = 256 << 20 };

typedef struct top_node {
    rdg_hash_t hash;
    uint8_t kind;
} top_node_t;

struct tree {
    rdg_kv_t *kv;
    top_node_t top[2 * BUCKETS]; /* 1 is the root, BUCKETS.. the buckets */
    rdg_arena_t work;            /* pages of the running update */
    rdg_buf_t raw;
    rdg_kv_batch_t *batch;
};

static unsigned bucket_of(const rdg_hash_t *path) {
    return (unsigned)path->b[0] << 4 | path->b[1] >> 4;
}

static void top_set(tree_t *t, unsigned i, const tree_node_t *n) {
    t->top[i] = (top_node_t){.hash = n->hash, .kind = (uint8_t)n->kind};
}

static void top_join(tree_t *t, unsigned i) {
    const top_node_t *l = &t->top[2 * i], *r = l + 1;
    tree_node_t left = {.kind = (node_kind_t)l->kind, .hash = l->hash},
                right = {.kind = (node_kind_t)r->kind, .hash = r->hash}, joined;
    node_join(&left, &right, &joined);
    top_set(t, i, &joined);
}

static rdg_err_t load_buckets(tree_t *t, rdg_kv_iter_t *it) {
    rdg_bytes_t key, value;
    tree_page_t page;
    while (rdg_kv_iter_next(it, &key, &value)) {
        if (key.len != 4)
            return rdg_fail(RDG_E_CORRUPT, "the state tree has a page with a key of %zu bytes", key.len);
        RDG_TRY(page_decode(value, &page));
        tree_node_t whole;
        page_node(&page, 1, &whole);
        top_set(t, BUCKETS + ((unsigned)key.data[2] << 4 | key.data[3] >> 4), &whole);
    }
    return rdg_kv_iter_err(it);
}

rdg_err_t tree_reload(tree_t *t) {
    rdg_kv_iter_t *it = NULL;
    const uint8_t prefix[2] = {KEY_TREE, BUCKET_DEPTH};
    memset(t->top, 0, sizeof t->top);
    RDG_TRY(rdg_kv_iter_open(t->kv, NULL, rdg_bytes(prefix, sizeof prefix), rdg_bytes(NULL, 0), &it));
    rdg_err_t err = load_buckets(t, it);
    rdg_kv_iter_close(it);
    for (unsigned i = BUCKETS - 1; err == RDG_OK && i > 0; --i) top_join(t, i);
    return err;
}

rdg_err_t tree_open(rdg_kv_t *kv, tree_t **out) {
    *out = NULL;
    tree_t *t = rdg_calloc(1, sizeof *t);
    if (!t) return RDG_E_NO_MEMORY;
    t->kv = kv;
    rdg_arena_init(&t->work, WORK_BYTES_MAX);
    rdg_buf_init(&t->raw, PAGE_BYTES_MAX);
    rdg_err_t err = tree_reload(t);
    if (err != RDG_OK) {
        tree_close(t);
        return err;
    }
    *out = t;
    return RDG_OK;
}

void tree_close(tree_t *t) {
    if (!t) return;
    rdg_arena_fini(&t->work);
    rdg_buf_fini(&t->raw);
    rdg_free(t);
}

void tree_root(const tree_t *t, rdg_hash_t *out) {
    *out = t->top[1].hash;
}

static rdg_err_t load_page(tree_t *t, const rdg_hash_t *path, unsigned depth, tree_page_t *page) {
    ledger_key_t key = page_key(path, depth);
    RDG_TRY(rdg_kv_get(t->kv, NULL, key_view(&key), &t->raw));
    void *copy = rdg_arena_copy(&t->work, t->raw.data, t->raw.len);
    if (!copy) return RDG_E_NO_MEMORY;
    return page_decode(rdg_bytes(copy, t->raw.len), page);
}

static rdg_err_t update_page(tree_t *t, unsigned depth, bool exists, const tree_update_t *updates,
                             size_t count, tree_node_t *out);

/* The leaf that was in the slot joins the updates of the new page below it. */
static const tree_update_t *with_leaf(tree_t *t, const tree_node_t *leaf, const tree_update_t *updates,
                                      size_t count) {
    tree_update_t *merged = rdg_arena_alloc(&t->work, (count + 1) * sizeof *merged);
    if (!merged) return NULL;
    size_t at = 0;
    while (at < count && memcmp(updates[at].path.b, leaf->path.b, sizeof leaf->path.b) < 0) ++at;
    memcpy(merged, updates, at * sizeof *merged);
    merged[at] = (tree_update_t){leaf->path, leaf->value};
    memcpy(merged + at + 1, updates + at, (count - at) * sizeof *merged);
    return merged;
}

static void set_leaf(tree_node_t *slot, const rdg_hash_t *path, rdg_bytes_t value) {
    *slot = (tree_node_t){.kind = NODE_LEAF, .path = *path, .value = value};
    rdg_state_leaf(path, value, &slot->hash);
}

/* depth: of the page that the slot would open. */
static rdg_err_t update_slot(tree_t *t, unsigned depth, tree_node_t *slot, const tree_update_t *updates,
                             size_t count) {
    if (slot->kind == NODE_INNER) return update_page(t, depth, true, updates, count, slot);
    const tree_update_t *alive = NULL;
    size_t alive_count = 0;
    bool keeps_leaf = slot->kind == NODE_LEAF;
    for (size_t i = 0; i < count; ++i) {
        if (keeps_leaf && rdg_hash_equal(&updates[i].path, &slot->path)) keeps_leaf = false;
        if (updates[i].value.len == 0) continue;
        alive = &updates[i];
        alive_count++;
    }
    if (alive_count == 0 && keeps_leaf) return RDG_OK;
    if (alive_count == 0) {
        *slot = (tree_node_t){.kind = NODE_EMPTY};
        return RDG_OK;
    }
    if (alive_count == 1 && !keeps_leaf) {
        set_leaf(slot, &alive->path, alive->value);
        return RDG_OK;
    }
    if (keeps_leaf) {
        updates = with_leaf(t, slot, updates, count++);
        if (!updates) return RDG_E_NO_MEMORY;
    }
    return update_page(t, depth, false, updates, count, slot);
}

static rdg_err_t store_page(tree_t *t, unsigned depth, bool existed, const tree_page_t *page,
                            const rdg_hash_t *path, tree_node_t *out) {
    unsigned used = 0;
    const tree_node_t *last = NULL;
    for (unsigned i = 0; i < PAGE_SLOTS; ++i)
        if (page->slots[i].kind != NODE_EMPTY) {
            last = &page->slots[i];
            ++used;
        }
    ledger_key_t key = page_key(path, depth);
    bool collapses = used == 0 || (used == 1 && last->kind == NODE_LEAF && depth > BUCKET_DEPTH);
    if (collapses) {
        *out = used ? *last : (tree_node_t){.kind = NODE_EMPTY};
        if (existed) rdg_kv_batch_delete(t->batch, key_view(&key));
        return RDG_OK;
    }
    uint8_t encoded[PAGE_BYTES_MAX];
    rdg_kv_batch_put(t->batch, key_view(&key), rdg_bytes(encoded, page_encode(page, encoded)));
    page_node(page, 1, out);
    return RDG_OK;
}

/* Recursion goes one page down at a time: at most 61 deep, whatever the paths. */
static rdg_err_t update_page(tree_t *t, unsigned depth, bool exists, const tree_update_t *updates,
                             size_t count, tree_node_t *out) {
    tree_page_t *page = rdg_arena_calloc(&t->work, 1, sizeof *page);
    if (!page) return RDG_E_NO_MEMORY;
    rdg_err_t err = exists ? load_page(t, &updates[0].path, depth, page) : RDG_OK;
    if (err == RDG_E_NOT_FOUND && depth == BUCKET_DEPTH) {
        err = RDG_OK;
        exists = false;
    }
    if (err == RDG_E_NOT_FOUND)
        return rdg_fail(RDG_E_CORRUPT,
                        "a page of the state tree is missing: restore this node from its peers");
    for (size_t from = 0; err == RDG_OK && from < count;) {
        unsigned nibble = path_nibble(&updates[from].path, depth);
        size_t to = from + 1;
        while (to < count && path_nibble(&updates[to].path, depth) == nibble) ++to;
        err = update_slot(t, depth + 1, &page->slots[nibble], updates + from, to - from);
        from = to;
    }
    if (err != RDG_OK) return err;
    return store_page(t, depth, exists, page, &updates[0].path, out);
}

static int by_path(const void *a, const void *b) {
    return memcmp(a, b, sizeof(rdg_hash_t));
}

static void join_above(tree_t *t, unsigned *dirty, size_t count) {
    while (count > 0 && dirty[0] > 1) {
        size_t parents = 0;
        for (size_t i = 0; i < count; ++i) {
            unsigned parent = dirty[i] / 2;
            if (parents > 0 && dirty[parents - 1] == parent) continue;
            top_join(t, parent);
            dirty[parents++] = parent;
        }
        count = parents;
    }
}

rdg_err_t tree_apply(tree_t *t, tree_update_t *updates, size_t count, rdg_kv_batch_t *batch) {
    unsigned *dirty = rdg_calloc(BUCKETS, sizeof *dirty);
    if (!dirty) return RDG_E_NO_MEMORY;
    size_t dirty_count = 0;
    rdg_err_t err = RDG_OK;
    t->batch = batch;
    qsort(updates, count, sizeof *updates, by_path);
    for (size_t from = 0; err == RDG_OK && from < count;) {
        unsigned bucket = bucket_of(&updates[from].path);
        size_t to = from + 1;
        while (to < count && bucket_of(&updates[to].path) == bucket) ++to;
        tree_node_t whole;
        err = update_page(t, BUCKET_DEPTH, true, updates + from, to - from, &whole);
        if (err == RDG_OK) {
            top_set(t, BUCKETS + bucket, &whole);
            dirty[dirty_count++] = BUCKETS + bucket;
        }
        from = to;
        rdg_arena_reset(&t->work);
    }
    if (err == RDG_OK) join_above(t, dirty, dirty_count);
    rdg_free(dirty);
    return err == RDG_OK ? rdg_kv_batch_err(batch) : err;
}

/* --- proofs -------------------------------------------------------------------------------------- */

static void put_sibling(rdg_buf_t *out, const rdg_hash_t *h) {
    rdg_rlp_put_bytes(out, rdg_bytes(h->b, rdg_hash_is_zero(h) ? 0 : sizeof h->b));
}

/* Follows path inside one page, putting siblings, until the subtree is no inner node or the page ends. */
static void descend_page(const tree_page_t *page, unsigned nibble, rdg_buf_t *out, tree_node_t *at) {
    page_node(page, 1, at);
    for (unsigned node = 1, bit = 4; bit-- > 0 && at->kind == NODE_INNER;) {
        tree_node_t sibling;
        node = 2 * node + (nibble >> bit & 1);
        page_node(page, node ^ 1, &sibling);
        put_sibling(out, &sibling.hash);
        page_node(page, node, at);
    }
}

/* From the top node where the way leaves the top: the only bucket below it that holds anything. */
static unsigned sole_bucket(const tree_t *t, unsigned node) {
    while (node < BUCKETS) node = 2 * node + (t->top[2 * node].kind == NODE_EMPTY);
    return node - BUCKETS;
}

static rdg_err_t descend(tree_t *t, const rdg_hash_t *path, rdg_buf_t *out, tree_node_t *at) {
    unsigned node = 1, bucket = bucket_of(path);
    tree_page_t page;
    for (unsigned bit = BUCKET_BITS; bit-- > 0 && t->top[node].kind == NODE_INNER;) {
        node = 2 * node + (bucket >> bit & 1);
        put_sibling(out, &t->top[node ^ 1].hash);
    }
    *at = (tree_node_t){.kind = (node_kind_t)t->top[node].kind, .hash = t->top[node].hash};
    if (at->kind == NODE_EMPTY) return RDG_OK;
    if (at->kind == NODE_LEAF) {
        bucket = sole_bucket(t, node);
        const rdg_hash_t prefix = {{(uint8_t)(bucket >> 4), (uint8_t)(bucket << 4)}};
        RDG_TRY(load_page(t, &prefix, BUCKET_DEPTH, &page));
        page_node(&page, 1, at);
        return RDG_OK;
    }
    for (unsigned depth = BUCKET_DEPTH; at->kind == NODE_INNER; ++depth) {
        RDG_TRY(load_page(t, path, depth, &page));
        descend_page(&page, path_nibble(path, depth), out, at);
    }
    return RDG_OK;
}

rdg_err_t tree_prove(tree_t *t, const rdg_hash_t *path, rdg_buf_t *out) {
    tree_node_t at;
    size_t outer = rdg_rlp_list_begin(out), list = rdg_rlp_list_begin(out);
    rdg_err_t err = descend(t, path, out, &at);
    if (err == RDG_E_NOT_FOUND) err = rdg_fail(RDG_E_CORRUPT, "a page of the state tree is missing");
    if (err == RDG_OK) {
        rdg_rlp_list_end(out, list);
        list = rdg_rlp_list_begin(out);
        if (at.kind == NODE_LEAF) {
            rdg_rlp_put_bytes(out, rdg_bytes(at.path.b, sizeof at.path.b));
            rdg_rlp_put_bytes(out, at.value);
        }
        rdg_rlp_list_end(out, list);
        err = rdg_rlp_list_end(out, outer);
    }
    rdg_arena_reset(&t->work);
    return err;
}
