/* The memory store: a skip list of keys, each with its versions, newest first.
 *
 * A write gives all its operations one sequence number; a snapshot is a number, and a reader takes the newest
 * version that is not younger. Versions that no open snapshot can see are dropped when their key is written
 * again. An iterator without a snapshot takes one of its own. One lock guards everything: this store is for
 * tests and the simulator, which ask for sameness, not speed. */
#include <pthread.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/base/list.h"
#include "kv_backend.h"

enum { LEVELS = 16 };

typedef struct version {
    struct version *older;
    uint64_t sequence;
    bool deleted;
    size_t len;
    uint8_t data[];
} version_t;

typedef struct node {
    version_t *newest;
    size_t key_len;
    int levels;
    uint8_t *key;
    struct node *next[];
} node_t;

typedef struct memory {
    rdg_kv_t base;
    pthread_mutex_t lock;
    node_t *head; /* of all levels, no key */
    uint64_t sequence, rng, keys, bytes;
    rdg_list_t snapshots;
} memory_t;

typedef struct memory_snapshot {
    rdg_list_t link;
    uint64_t sequence;
} memory_snapshot_t;

typedef struct memory_iter {
    rdg_kv_iter_t base;
    memory_t *store;
    rdg_kv_snapshot_t *own;
    uint64_t sequence;
    rdg_buf_t prefix, key, value; /* key: where to go on */
    bool after_key;
    rdg_err_t err;
} memory_iter_t;

static rdg_bytes_t node_key(const node_t *n) {
    return rdg_bytes(n->key, n->key_len);
}

static node_t *node_new(rdg_bytes_t key, int levels) {
    node_t *n = rdg_calloc(1, sizeof *n + sizeof(node_t *) * (size_t)levels);
    if (!n) return NULL;
    n->levels = levels;
    n->key_len = key.len;
    n->key = key.len ? rdg_memdup(key.data, key.len) : NULL;
    if (key.len && !n->key) {
        rdg_free(n);
        return NULL;
    }
    return n;
}

static void node_free(node_t *n) {
    for (version_t *v = n->newest; v;) {
        version_t *older = v->older;
        rdg_free(v);
        v = older;
    }
    rdg_free(n->key);
    rdg_free(n);
}

/* The first node with key >= the given one; before[] gets its predecessors of each level. */
static node_t *seek(memory_t *m, rdg_bytes_t key, node_t *before[LEVELS]) {
    node_t *n = m->head;
    for (int level = LEVELS - 1; level >= 0; --level) {
        while (n->next[level] && rdg_bytes_compare(node_key(n->next[level]), key) < 0) n = n->next[level];
        if (before) before[level] = n;
    }
    return n->next[0];
}

static const version_t *visible(const node_t *n, uint64_t sequence) {
    const version_t *v = n->newest;
    while (v && v->sequence > sequence) v = v->older;
    return v && !v->deleted ? v : NULL;
}

static uint64_t snapshot_sequence(memory_t *m, const rdg_kv_snapshot_t *snap) {
    return snap ? ((const memory_snapshot_t *)(const void *)snap)->sequence : m->sequence;
}

/* Drops versions below the newest one that every open snapshot is too young to need. */
static void prune(memory_t *m, node_t *n) {
    uint64_t oldest = m->sequence;
    if (!rdg_list_empty(&m->snapshots))
        oldest = RDG_LIST_ENTRY(m->snapshots.next, memory_snapshot_t, link)->sequence;
    version_t *keep = n->newest;
    while (keep && keep->sequence > oldest) keep = keep->older;
    if (!keep) return;
    for (version_t *v = keep->older; v;) {
        version_t *older = v->older;
        m->bytes -= v->len;
        rdg_free(v);
        v = older;
    }
    keep->older = NULL;
}

static node_t *find_or_insert(memory_t *m, rdg_bytes_t key) {
    node_t *before[LEVELS];
    node_t *n = seek(m, key, before);
    if (n && rdg_bytes_equal(node_key(n), key)) return n;
    int levels = 1;
    m->rng = m->rng * 6364136223846793005ull + 1442695040888963407ull;
    for (uint64_t bits = m->rng >> 33; levels < LEVELS && (bits & 3) == 0; bits >>= 2) ++levels;
    n = node_new(key, levels);
    if (!n) return NULL;
    for (int level = 0; level < levels; ++level) {
        n->next[level] = before[level]->next[level];
        before[level]->next[level] = n;
    }
    m->keys++;
    m->bytes += key.len;
    return n;
}

/* Two passes make a write whole or nothing: memory first, then the links, which cannot fail. */
static rdg_err_t memory_write(rdg_kv_t *kv, const rdg_kv_batch_t *b, bool sync) {
    (void)sync;
    memory_t *m = (memory_t *)kv;
    rdg_err_t err = RDG_OK;
    rdg_kv_op_t op;
    version_t *prepared = NULL, **tail = &prepared;
    for (size_t pos = 0; err == RDG_OK && rdg_kv_batch_next(b, &pos, &op);) {
        version_t *v = rdg_alloc(sizeof *v + op.value.len);
        if (!v) {
            err = RDG_E_NO_MEMORY;
            break;
        }
        *v = (version_t){.deleted = op.is_delete, .len = op.value.len};
        if (op.value.len) memcpy(v->data, op.value.data, op.value.len);
        *tail = v;
        tail = &v->older;
    }
    pthread_mutex_lock(&m->lock);
    for (size_t pos = 0; err == RDG_OK && rdg_kv_batch_next(b, &pos, &op);)
        if (!find_or_insert(m, op.key)) err = RDG_E_NO_MEMORY;
    if (err == RDG_OK) m->sequence++;
    for (size_t pos = 0; err == RDG_OK && rdg_kv_batch_next(b, &pos, &op);) {
        version_t *v = prepared;
        RDG_ASSERT(v);
        prepared = v->older;
        node_t *n = find_or_insert(m, op.key);
        v->sequence = m->sequence;
        v->older = n->newest;
        n->newest = v;
        m->bytes += v->len;
        prune(m, n);
    }
    pthread_mutex_unlock(&m->lock);
    while (prepared) {
        version_t *v = prepared;
        prepared = v->older;
        rdg_free(v);
    }
    return err;
}

static rdg_err_t memory_get(rdg_kv_t *kv, const rdg_kv_snapshot_t *snap, rdg_bytes_t key, rdg_buf_t *out) {
    memory_t *m = (memory_t *)kv;
    rdg_err_t err = RDG_E_NOT_FOUND;
    pthread_mutex_lock(&m->lock);
    node_t *n = seek(m, key, NULL);
    if (n && rdg_bytes_equal(node_key(n), key)) {
        const version_t *v = visible(n, snapshot_sequence(m, snap));
        if (v) err = rdg_buf_append(out, v->data, v->len);
    }
    pthread_mutex_unlock(&m->lock);
    return err;
}

static rdg_kv_snapshot_t *memory_snapshot(rdg_kv_t *kv) {
    memory_t *m = (memory_t *)kv;
    memory_snapshot_t *s = rdg_calloc(1, sizeof *s);
    if (!s) return NULL;
    pthread_mutex_lock(&m->lock);
    s->sequence = m->sequence;
    rdg_list_append(&m->snapshots, &s->link);
    pthread_mutex_unlock(&m->lock);
    return (rdg_kv_snapshot_t *)(void *)s;
}

static void memory_release(rdg_kv_t *kv, rdg_kv_snapshot_t *snap) {
    memory_t *m = (memory_t *)kv;
    memory_snapshot_t *s = (memory_snapshot_t *)(void *)snap;
    pthread_mutex_lock(&m->lock);
    rdg_list_remove(&s->link);
    pthread_mutex_unlock(&m->lock);
    rdg_free(s);
}

static void memory_iter_close(rdg_kv_iter_t *base) {
    memory_iter_t *it = (memory_iter_t *)base;
    if (it->own) memory_release(&it->store->base, it->own);
    rdg_buf_fini(&it->prefix);
    rdg_buf_fini(&it->key);
    rdg_buf_fini(&it->value);
    rdg_free(it);
}

static bool memory_iter_next(rdg_kv_iter_t *base, rdg_bytes_t *key, rdg_bytes_t *value) {
    memory_iter_t *it = (memory_iter_t *)base;
    memory_t *m = it->store;
    if (it->err != RDG_OK) return false;
    pthread_mutex_lock(&m->lock);
    node_t *n = seek(m, rdg_buf_view(&it->key), NULL);
    if (n && it->after_key && rdg_bytes_equal(node_key(n), rdg_buf_view(&it->key))) n = n->next[0];
    const version_t *v = NULL;
    while (n && !(v = visible(n, it->sequence))) n = n->next[0];
    bool found = n && n->key_len >= it->prefix.len &&
                 rdg_bytes_equal(rdg_bytes(n->key, it->prefix.len), rdg_buf_view(&it->prefix));
    if (found) {
        rdg_buf_clear(&it->key);
        rdg_buf_clear(&it->value);
        rdg_buf_append(&it->key, n->key, n->key_len);
        rdg_buf_append(&it->value, v->data, v->len);
    }
    pthread_mutex_unlock(&m->lock);
    it->after_key = true;
    it->err = rdg_buf_err(&it->key) != RDG_OK ? rdg_buf_err(&it->key) : rdg_buf_err(&it->value);
    if (!found || it->err != RDG_OK) return false;
    *key = rdg_buf_view(&it->key);
    *value = rdg_buf_view(&it->value);
    return true;
}

static rdg_err_t memory_iter_err(const rdg_kv_iter_t *base) {
    return ((const memory_iter_t *)base)->err;
}

static rdg_err_t memory_iter(rdg_kv_t *kv, const rdg_kv_snapshot_t *snap, rdg_bytes_t prefix,
                             rdg_bytes_t from, rdg_kv_iter_t **out) {
    memory_t *m = (memory_t *)kv;
    memory_iter_t *it = rdg_calloc(1, sizeof *it);
    if (!it) return RDG_E_NO_MEMORY;
    it->base.backend = kv->backend;
    it->store = m;
    rdg_buf_init(&it->prefix, RDG_KV_KEY_MAX);
    rdg_buf_init(&it->key, RDG_KV_KEY_MAX);
    rdg_buf_init(&it->value, RDG_KV_VALUE_MAX);
    if (!snap) snap = it->own = memory_snapshot(kv);
    rdg_bytes_t start = rdg_bytes_compare(from, prefix) > 0 ? from : prefix;
    if (!snap || rdg_buf_append(&it->prefix, prefix.data, prefix.len) != RDG_OK ||
        rdg_buf_append(&it->key, start.data, start.len) != RDG_OK) {
        memory_iter_close(&it->base);
        return RDG_E_NO_MEMORY;
    }
    it->sequence = snapshot_sequence(m, snap);
    *out = &it->base;
    return RDG_OK;
}

static void memory_stats(rdg_kv_t *kv, rdg_kv_stats_t *out) {
    memory_t *m = (memory_t *)kv;
    pthread_mutex_lock(&m->lock);
    out->memory_bytes = m->bytes;
    out->keys_estimate = m->keys;
    pthread_mutex_unlock(&m->lock);
}

static void memory_close(rdg_kv_t *kv) {
    memory_t *m = (memory_t *)kv;
    for (node_t *n = m->head; n;) {
        node_t *next = n->next[0];
        node_free(n);
        n = next;
    }
    pthread_mutex_destroy(&m->lock);
    rdg_free(m);
}

static const rdg_kv_backend_t MEMORY = {.close = memory_close,
                                        .get = memory_get,
                                        .write = memory_write,
                                        .snapshot = memory_snapshot,
                                        .snapshot_release = memory_release,
                                        .iter_open = memory_iter,
                                        .iter_next = memory_iter_next,
                                        .iter_err = memory_iter_err,
                                        .iter_close = memory_iter_close,
                                        .stats = memory_stats};

rdg_err_t rdg_kv_open_memory(rdg_kv_t **out) {
    *out = NULL;
    memory_t *m = rdg_calloc(1, sizeof *m);
    node_t *head = node_new(rdg_bytes(NULL, 0), LEVELS);
    if (!m || !head) {
        rdg_free(m);
        rdg_free(head);
        return RDG_E_NO_MEMORY;
    }
    m->base.backend = &MEMORY;
    m->head = head;
    m->rng = 1;
    pthread_mutex_init(&m->lock, NULL);
    rdg_list_init(&m->snapshots);
    *out = &m->base;
    return RDG_OK;
}
