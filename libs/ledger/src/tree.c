#include "tree.h"
#include <stdlib.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/codec/rlp.h"
#include "tree_hash.h"

enum { BUCKET_BITS = 4 * BUCKET_DEPTH, BUCKETS = 1 << BUCKET_BITS, WORK_BYTES_MAX = 256 << 20 };
enum { WAVE_PAGES = 256, RELOAD_PAGES = 64, RAISE_BYTES = 1 << 20 };

/* Pages that an update has changed and that are not hashed and stored yet; they live in the arena. */
typedef struct wave {
    size_t count, capacity;
    dirty_page_t **pages;
    size_t bucket_count;
    unsigned buckets[WAVE_PAGES];
    tree_node_t whole[WAVE_PAGES]; /* what each bucket comes to */
} wave_t;

struct tree {
    rdg_kv_t *kv;
    unsigned bank;             /* keys.h */
    bool loaded;               /* top holds something */
    joined_t top[2 * BUCKETS]; /* 1 is the root, BUCKETS.. the buckets */
    wave_t wave;
    rdg_arena_t work; /* pages of the running update */
    rdg_buf_t raw;
    rdg_kv_batch_t *batch;
};

static unsigned bucket_of(const rdg_hash_t *path) {
    return (unsigned)path->b[0] << 8 | path->b[1];
}

static void top_set(tree_t *t, unsigned i, const tree_node_t *n) {
    t->top[i] = (joined_t){.hash = n->hash, .kind = (uint8_t)n->kind};
}

static bool wave_add(tree_t *t, dirty_page_t *page) {
    wave_t *w = &t->wave;
    if (w->count == w->capacity) {
        size_t capacity = w->capacity ? 2 * w->capacity : 2 * WAVE_PAGES;
        dirty_page_t **pages = rdg_realloc(w->pages, capacity * sizeof(dirty_page_t *));
        if (!pages) return false;
        w->pages = pages, w->capacity = capacity;
    }
    w->pages[w->count++] = page;
    return true;
}

/* What the buckets of the wave come to is known now. */
static void end_wave(tree_t *t) {
    wave_t *w = &t->wave;
    for (size_t i = 0; i < w->bucket_count; ++i) top_set(t, BUCKETS + w->buckets[i], &w->whole[i]);
    w->count = w->bucket_count = 0;
    rdg_arena_reset(&t->work);
}

static rdg_err_t load_bucket(tree_t *t, rdg_bytes_t key, rdg_bytes_t value) {
    wave_t *w = &t->wave;
    if (key.len != 4)
        return rdg_fail(RDG_E_CORRUPT, "the state tree has a page with a key of %zu bytes", key.len);
    const void *copy = rdg_arena_copy(&t->work, value.data, value.len);
    tree_page_t *page = rdg_arena_alloc(&t->work, sizeof *page);
    dirty_page_t *loaded = rdg_arena_alloc(&t->work, sizeof *loaded);
    if (!copy || !page || !loaded) return RDG_E_NO_MEMORY;
    RDG_TRY(page_decode(rdg_bytes(copy, value.len), page));
    tree_node_t *whole = &w->whole[w->bucket_count];
    w->buckets[w->bucket_count++] = (unsigned)key.data[2] << 8 | key.data[3];
    *whole = page_whole(page);
    loaded->page = page, loaded->out = whole, loaded->depth = BUCKET_DEPTH;
    return wave_add(t, loaded) ? RDG_OK : RDG_E_NO_MEMORY;
}

static void hash_buckets(tree_t *t) {
    dirty_pages_hash(t->wave.pages, t->wave.count);
    end_wave(t);
}

static rdg_err_t load_buckets(tree_t *t, rdg_kv_iter_t *it) {
    rdg_bytes_t key, value;
    rdg_err_t err = RDG_OK;
    t->wave.count = t->wave.bucket_count = 0;
    while (err == RDG_OK && rdg_kv_iter_next(it, &key, &value)) {
        err = load_bucket(t, key, value);
        if (err == RDG_OK && t->wave.count == RELOAD_PAGES) hash_buckets(t);
    }
    if (err == RDG_OK) hash_buckets(t);
    rdg_arena_reset(&t->work);
    return err == RDG_OK ? rdg_kv_iter_err(it) : err;
}

rdg_err_t tree_reload(tree_t *t) {
    rdg_kv_iter_t *it = NULL;
    const uint8_t prefix[2] = {(uint8_t)bank_letter(KEY_TREE, t->bank), BUCKET_DEPTH};
    if (t->loaded) memset(t->top, 0, sizeof t->top);
    t->loaded = true;
    RDG_TRY(rdg_kv_iter_open(t->kv, NULL, rdg_bytes(prefix, sizeof prefix), rdg_bytes(NULL, 0), &it));
    rdg_err_t err = load_buckets(t, it);
    rdg_kv_iter_close(it);
    hash_queue_t q = {.tag = RDG_DOMAIN_STATE_INNER};
    for (unsigned width = BUCKETS / 2; err == RDG_OK && width > 0; width /= 2) {
        for (unsigned i = width; i < 2 * width; ++i)
            if (t->top[2 * i].kind != NODE_EMPTY || t->top[2 * i + 1].kind != NODE_EMPTY)
                joined_queue(&q, &t->top[2 * i], &t->top[2 * i + 1], &t->top[i]);
        hash_queue_flush(&q);
    }
    return err;
}

/* What the page of depth 3 held stands in pages of depth 4 then: its inner slots' pages are there already. */
static rdg_err_t raise_page(tree_t *t, rdg_bytes_t key, rdg_bytes_t value, rdg_kv_batch_t *batch) {
    tree_page_t page;
    RDG_TRY(page_decode(value, &page));
    for (unsigned i = 0; i < PAGE_SLOTS; ++i) {
        const tree_node_t *leaf = &page.slots[i];
        if (leaf->kind != NODE_LEAF) continue;
        uint8_t encoded[PAGE_BYTES_MAX];
        tree_page_t below = {0};
        below.slots[path_nibble(&leaf->path, BUCKET_DEPTH)] = *leaf;
        ledger_key_t at = page_key(t->bank, &leaf->path, BUCKET_DEPTH);
        rdg_kv_batch_put(batch, key_view(&at), rdg_bytes(encoded, page_encode(&below, encoded)));
    }
    rdg_kv_batch_delete(batch, key);
    return RDG_OK;
}

/* Trees of earlier builds had their buckets at depth 3. Cut off anywhere, it goes on with the pages that are left. */
static rdg_err_t raise_buckets(tree_t *t) {
    const uint8_t prefix[2] = {(uint8_t)bank_letter(KEY_TREE, t->bank), BUCKET_DEPTH - 1};
    rdg_kv_iter_t *it = NULL;
    rdg_bytes_t key, value;
    rdg_kv_batch_t *batch = rdg_kv_batch_new();
    if (!batch) return RDG_E_NO_MEMORY;
    rdg_err_t err = rdg_kv_iter_open(t->kv, NULL, rdg_bytes(prefix, sizeof prefix), rdg_bytes(NULL, 0), &it);
    while (err == RDG_OK && rdg_kv_iter_next(it, &key, &value)) {
        err = raise_page(t, key, value, batch);
        if (err != RDG_OK || rdg_kv_batch_bytes(batch) < RAISE_BYTES) continue;
        err = rdg_kv_write(t->kv, batch, true);
        rdg_kv_batch_clear(batch);
    }
    if (err == RDG_OK && it) err = rdg_kv_iter_err(it);
    if (err == RDG_OK && rdg_kv_batch_bytes(batch) > 0) err = rdg_kv_write(t->kv, batch, true);
    rdg_kv_iter_close(it);
    rdg_kv_batch_free(batch);
    return err;
}

rdg_err_t tree_open(rdg_kv_t *kv, unsigned bank, tree_t **out) {
    *out = NULL;
    tree_t *t = rdg_calloc(1, sizeof *t);
    if (!t) return RDG_E_NO_MEMORY;
    t->kv = kv;
    t->bank = bank;
    rdg_arena_init(&t->work, WORK_BYTES_MAX);
    rdg_buf_init(&t->raw, PAGE_BYTES_MAX);
    rdg_err_t err = raise_buckets(t);
    if (err == RDG_OK) err = tree_reload(t);
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
    rdg_free(t->wave.pages);
    rdg_buf_fini(&t->raw);
    rdg_free(t);
}

void tree_root(const tree_t *t, rdg_hash_t *out) {
    *out = t->top[1].hash;
}

static rdg_err_t load_page(tree_t *t, const rdg_hash_t *path, unsigned depth, tree_page_t *page) {
    ledger_key_t key = page_key(t->bank, path, depth);
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
    merged[at] = (tree_update_t){.path = leaf->path, .value = leaf->value};
    memcpy(merged + at + 1, updates + at, (count - at) * sizeof *merged);
    return merged;
}

static void set_leaf(tree_node_t *slot, const tree_update_t *u) {
    *slot = (tree_node_t){.kind = NODE_LEAF, .path = u->path, .value = u->value};
    if (u->leaf) slot->hash = *u->leaf;
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
        set_leaf(slot, alive);
        return RDG_OK;
    }
    if (keeps_leaf) {
        updates = with_leaf(t, slot, updates, count++);
        if (!updates) return RDG_E_NO_MEMORY;
    }
    return update_page(t, depth, false, updates, count, slot);
}

/* The page's form is known now; digests come with all others of the wave. */
static rdg_err_t keep_page(tree_t *t, unsigned depth, bool existed, tree_page_t *page, const rdg_hash_t *path,
                           tree_node_t *out) {
    ledger_key_t key = page_key(t->bank, path, depth);
    *out = page_whole(page);
    bool collapses = out->kind == NODE_EMPTY || (out->kind == NODE_LEAF && depth > BUCKET_DEPTH);
    if (collapses) {
        if (existed) rdg_kv_batch_delete(t->batch, key_view(&key));
        return RDG_OK;
    }
    dirty_page_t *dirty = rdg_arena_alloc(&t->work, sizeof *dirty);
    if (!dirty) return RDG_E_NO_MEMORY;
    dirty->page = page, dirty->out = out, dirty->depth = depth, dirty->key = key;
    return wave_add(t, dirty) ? RDG_OK : RDG_E_NO_MEMORY;
}

static int deepest_first(const void *a, const void *b) {
    const dirty_page_t *x = *(dirty_page_t *const *)a, *y = *(dirty_page_t *const *)b;
    return (x->depth < y->depth) - (x->depth > y->depth);
}

/* From the deepest pages up, so that a page's inner slots have their digests when it is hashed and stored. */
static void finish_wave(tree_t *t) {
    wave_t *w = &t->wave;
    if (w->count > 0) qsort(w->pages, w->count, sizeof(dirty_page_t *), deepest_first);
    for (size_t from = 0; from < w->count;) {
        size_t to = from + 1;
        while (to < w->count && w->pages[to]->depth == w->pages[from]->depth) ++to;
        dirty_pages_hash(w->pages + from, to - from);
        for (size_t i = from; i < to; ++i) {
            uint8_t encoded[PAGE_BYTES_MAX];
            size_t len = page_encode(w->pages[i]->page, encoded);
            rdg_kv_batch_put(t->batch, key_view(&w->pages[i]->key), rdg_bytes(encoded, len));
        }
        from = to;
    }
    end_wave(t);
}

/* Recursion goes one page down at a time: at most 61 deep, whatever the paths. */
static rdg_err_t update_page(tree_t *t, unsigned depth, bool exists, const tree_update_t *updates,
                             size_t count, tree_node_t *out) {
    tree_page_t *page = rdg_arena_calloc(&t->work, 1, sizeof *page);
    if (!page) return RDG_E_NO_MEMORY;
    rdg_err_t err = exists ? load_page(t, &updates[0].path, depth, page) : RDG_OK;
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
    return keep_page(t, depth, exists, page, &updates[0].path, out);
}

static int by_path(const void *a, const void *b) {
    return memcmp(a, b, sizeof(rdg_hash_t));
}

static void join_above(tree_t *t, unsigned *dirty, size_t count) {
    hash_queue_t q = {.tag = RDG_DOMAIN_STATE_INNER};
    while (count > 0 && dirty[0] > 1) {
        size_t parents = 0;
        for (size_t i = 0; i < count; ++i) {
            unsigned parent = dirty[i] / 2;
            if (parents > 0 && dirty[parents - 1] == parent) continue;
            joined_queue(&q, &t->top[2 * parent], &t->top[2 * parent + 1], &t->top[parent]);
            dirty[parents++] = parent;
        }
        hash_queue_flush(&q);
        count = parents;
    }
}

rdg_err_t tree_apply(tree_t *t, tree_update_t *updates, size_t count, rdg_kv_batch_t *batch) {
    wave_t *w = &t->wave;
    unsigned *dirty = rdg_calloc(count < BUCKETS ? count + 1 : BUCKETS, sizeof *dirty);
    if (!dirty) return RDG_E_NO_MEMORY;
    size_t dirty_count = 0;
    rdg_err_t err = RDG_OK;
    t->batch = batch;
    w->count = w->bucket_count = 0;
    qsort(updates, count, sizeof *updates, by_path);
    for (size_t from = 0; err == RDG_OK && from < count;) {
        unsigned bucket = bucket_of(&updates[from].path);
        size_t to = from + 1;
        while (to < count && bucket_of(&updates[to].path) == bucket) ++to;
        w->buckets[w->bucket_count] = bucket;
        bool exists = t->top[BUCKETS + bucket].kind != NODE_EMPTY;
        err = update_page(t, BUCKET_DEPTH, exists, updates + from, to - from, &w->whole[w->bucket_count++]);
        dirty[dirty_count++] = BUCKETS + bucket;
        from = to;
        if (err == RDG_OK && (w->count >= WAVE_PAGES || w->bucket_count == WAVE_PAGES)) finish_wave(t);
    }
    if (err == RDG_OK) {
        finish_wave(t);
        join_above(t, dirty, dirty_count);
    }
    rdg_arena_reset(&t->work);
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
        const rdg_hash_t prefix = {{(uint8_t)(bucket >> 8), (uint8_t)bucket}};
        RDG_TRY(load_page(t, &prefix, BUCKET_DEPTH, &page));
        page_hash_leaves(&page);
        page_node(&page, 1, at);
        return RDG_OK;
    }
    for (unsigned depth = BUCKET_DEPTH; at->kind == NODE_INNER; ++depth) {
        RDG_TRY(load_page(t, path, depth, &page));
        page_hash_leaves(&page);
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
