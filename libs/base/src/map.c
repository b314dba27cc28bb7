#include "ridge/base/map.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/base/random.h"
#include <string.h>

/* Open addressing with linear probing and tombstones; slots are a power of two, at most 3/4 used. */
typedef struct slot {
    uint8_t *key; /* NULL: never used; TOMBSTONE: removed */
    size_t key_len;
    uint64_t hash;
    void *value;
} slot_t;

struct rdg_map {
    slot_t *slots;
    size_t size, count, used, max;
    uint64_t k0, k1;
};

static uint8_t tombstone_mark;
#define TOMBSTONE (&tombstone_mark)
#define FIRST_SLOTS 16

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
#define SIPROUND                                                                                             \
    do {                                                                                                     \
        v0 += v1, v1 = ROTL(v1, 13), v1 ^= v0, v0 = ROTL(v0, 32);                                            \
        v2 += v3, v3 = ROTL(v3, 16), v3 ^= v2;                                                               \
        v0 += v3, v3 = ROTL(v3, 21), v3 ^= v0;                                                               \
        v2 += v1, v1 = ROTL(v1, 17), v1 ^= v2, v2 = ROTL(v2, 32);                                            \
    } while (0)

/* SipHash-1-3, Aumasson & Bernstein. */
static uint64_t hash_key(const rdg_map_t *m, rdg_bytes_t key) {
    uint64_t v0 = m->k0 ^ 0x736f6d6570736575ull, v1 = m->k1 ^ 0x646f72616e646f6dull;
    uint64_t v2 = m->k0 ^ 0x6c7967656e657261ull, v3 = m->k1 ^ 0x7465646279746573ull, word;
    size_t whole = key.len & ~(size_t)7;
    for (size_t i = 0; i < whole; i += 8) {
        memcpy(&word, key.data + i, 8);
        v3 ^= word;
        SIPROUND;
        v0 ^= word;
    }
    word = (uint64_t)key.len << 56;
    for (size_t i = whole; i < key.len; ++i) word |= (uint64_t)key.data[i] << (8 * (i - whole));
    v3 ^= word;
    SIPROUND;
    v0 ^= word;
    v2 ^= 0xff;
    SIPROUND;
    SIPROUND;
    SIPROUND;
    return v0 ^ v1 ^ v2 ^ v3;
}

rdg_map_t *rdg_map_new(size_t max_entries) {
    rdg_map_t *m = rdg_calloc(1, sizeof *m);
    if (!m) return NULL;
    m->max = max_entries;
    m->k0 = rdg_random_u64(rdg_random_system());
    m->k1 = rdg_random_u64(rdg_random_system());
    return m;
}

void rdg_map_free(rdg_map_t *m) {
    if (!m) return;
    for (size_t i = 0; i < m->size; ++i)
        if (m->slots[i].key != TOMBSTONE) rdg_free(m->slots[i].key);
    rdg_free(m->slots);
    rdg_free(m);
}

size_t rdg_map_count(const rdg_map_t *m) {
    return m->count;
}

static bool is_live(const slot_t *s) {
    return s->key && s->key != TOMBSTONE;
}

static slot_t *find(const rdg_map_t *m, rdg_bytes_t key, uint64_t hash) {
    for (size_t i = (size_t)hash & (m->size - 1); m->size > 0; i = (i + 1) & (m->size - 1)) {
        slot_t *s = &m->slots[i];
        if (!s->key) return NULL;
        if (s->key == TOMBSTONE || s->hash != hash || s->key_len != key.len) continue;
        if (key.len == 0 || memcmp(s->key, key.data, key.len) == 0) return s;
    }
    return NULL;
}

void *rdg_map_get(const rdg_map_t *m, rdg_bytes_t key) {
    slot_t *s = find(m, key, hash_key(m, key));
    return s ? s->value : NULL;
}

static slot_t *free_slot(slot_t *slots, size_t size, uint64_t hash) {
    size_t i = (size_t)hash & (size - 1);
    while (slots[i].key) i = (i + 1) & (size - 1);
    return &slots[i];
}

static rdg_err_t make_room(rdg_map_t *m) {
    if (m->size > 0 && (m->used + 1) * 4 <= m->size * 3) return RDG_OK;
    size_t size = m->size ? m->size : FIRST_SLOTS;
    while ((m->count + 1) * 2 > size) size *= 2;
    slot_t *slots = rdg_calloc(size, sizeof *slots);
    if (!slots) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a map of %zu entries", m->count + 1);
    for (size_t i = 0; i < m->size; ++i)
        if (is_live(&m->slots[i])) *free_slot(slots, size, m->slots[i].hash) = m->slots[i];
    rdg_free(m->slots);
    m->slots = slots;
    m->size = size;
    m->used = m->count;
    return RDG_OK;
}

rdg_err_t rdg_map_put(rdg_map_t *m, rdg_bytes_t key, void *value, void **old) {
    RDG_ASSERT(value);
    uint64_t hash = hash_key(m, key);
    slot_t *s = find(m, key, hash);
    if (old) *old = s ? s->value : NULL;
    if (s) {
        s->value = value;
        return RDG_OK;
    }
    if (m->count >= m->max) return rdg_fail(RDG_E_FULL, "a map holds its limit of %zu entries", m->max);
    RDG_TRY(make_room(m));
    uint8_t *copy = rdg_memdup(key.data, key.len);
    if (!copy) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a map's key");
    *free_slot(m->slots, m->size, hash) = (slot_t){copy, key.len, hash, value};
    ++m->count;
    ++m->used;
    return RDG_OK;
}

void *rdg_map_remove(rdg_map_t *m, rdg_bytes_t key) {
    slot_t *s = find(m, key, hash_key(m, key));
    if (!s) return NULL;
    void *value = s->value;
    rdg_free(s->key);
    *s = (slot_t){.key = TOMBSTONE};
    --m->count;
    return value;
}

bool rdg_map_next(const rdg_map_t *m, size_t *pos, rdg_bytes_t *key, void **value) {
    for (; *pos < m->size; ++*pos) {
        const slot_t *s = &m->slots[*pos];
        if (!is_live(s)) continue;
        if (key) *key = rdg_bytes(s->key, s->key_len);
        if (value) *value = s->value;
        ++*pos;
        return true;
    }
    return false;
}
