#include "sm2_cache.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "ridge/base/assert.h"
#include "ridge/base/random.h"

#define WAYS 8
#define COUNTERS 8192 /* of 8 bytes */
#define DEFAULT_BUDGET ((size_t)8 << 20)
#define SIGHTINGS_FREE 2
#define SIGHTINGS_EVICT 8
#define IDLE_ROUNDS 4 /* a slot unused for as many look-ups as there are slots, four times */

typedef enum slot_state { SLOT_EMPTY, SLOT_BUILDING, SLOT_READY } slot_state_t;

typedef struct slot {
    rdg_sm2_known_t known; /* first, so that a slot is found from it; a multiple of 64 bytes */
    uint64_t last_use;
    uint32_t pins;
    slot_state_t state;
} slot_t;

typedef struct counter {
    uint32_t tag, count;
} counter_t;

/* One lock for all: it is held for some 50 ns of a verification's 20,000. */
static struct {
    pthread_mutex_t lock;
    slot_t *slots; /* NULL: not in use yet, or budget 0 */
    counter_t *counters;
    size_t sets, mapped;
    uint64_t seed, clock;
    size_t budget;
    bool ready;
    rdg_sm2_cache_stats_t stats;
} cache = {.lock = PTHREAD_MUTEX_INITIALIZER, .budget = DEFAULT_BUDGET};

/* Keys may be chosen by a peer, hence the seed; a collision costs speed only. */
static uint64_t key_hash(const rdg_sm2_public_t *key) {
    uint64_t h = cache.seed;
    for (int i = 0; i < 64; i += 16) {
        h = (h ^ rdg_load_be64(key->b + i)) * 0x9e3779b97f4a7c15u;
        h = (h ^ h >> 29 ^ rdg_load_be64(key->b + i + 8)) * 0xbf58476d1ce4e5b9u;
        h ^= h >> 32;
    }
    return h;
}

static void prepare(void) {
    cache.ready = true;
    cache.sets = cache.budget / (sizeof(slot_t) * WAYS);
    if (cache.sets == 0) return;
    size_t slots_size = cache.sets * WAYS * sizeof(slot_t);
    cache.mapped = slots_size + COUNTERS * sizeof(counter_t);
    void *memory = mmap(NULL, cache.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        cache.sets = cache.mapped = 0;
        return;
    }
    cache.slots = memory;
    cache.counters = (counter_t *)(void *)((char *)memory + slots_size);
    cache.seed = rdg_random_u64(rdg_random_system());
}

static slot_t *find(const rdg_sm2_public_t *key, uint64_t hash) {
    slot_t *set = &cache.slots[hash % cache.sets * WAYS];
    for (int i = 0; i < WAYS; i++)
        if (set[i].state != SLOT_EMPTY && memcmp(&set[i].known.key, key, sizeof *key) == 0) return &set[i];
    return NULL;
}

/* An empty slot, else the least recently used one that nobody holds; NULL if all are held. */
static slot_t *victim(uint64_t hash) {
    slot_t *set = &cache.slots[hash % cache.sets * WAYS], *best = NULL;
    for (int i = 0; i < WAYS; i++) {
        if (set[i].state == SLOT_EMPTY) return &set[i];
        if (set[i].state == SLOT_READY && set[i].pins == 0 && (!best || set[i].last_use < best->last_use))
            best = &set[i];
    }
    return best;
}

static bool idle(const slot_t *s) {
    return cache.clock - s->last_use > IDLE_ROUNDS * WAYS * cache.sets;
}

static bool count_sighting(uint64_t hash) {
    counter_t *c = &cache.counters[(hash >> 32) % COUNTERS];
    uint32_t tag = (uint32_t)hash;
    if (c->tag != tag) c->tag = tag, c->count = 0;
    c->count++;
    slot_t *v = victim(hash);
    bool wanted = v && v->state == SLOT_EMPTY ? c->count >= SIGHTINGS_FREE
                                              : v && c->count >= SIGHTINGS_EVICT && idle(v);
    if (wanted) c->count = 0;
    return wanted;
}

const rdg_sm2_known_t *rdg_sm2_cache_get(const rdg_sm2_public_t *key, bool *admit) {
    const rdg_sm2_known_t *known = NULL;
    *admit = false;
    pthread_mutex_lock(&cache.lock);
    if (!cache.ready) prepare();
    if (cache.slots) {
        uint64_t hash = key_hash(key);
        slot_t *s = find(key, hash);
        cache.clock++;
        if (s && s->state == SLOT_READY) {
            s->pins++;
            s->last_use = cache.clock;
            known = &s->known;
        } else if (!s) {
            *admit = count_sighting(hash);
        }
    }
    if (known)
        cache.stats.hits++;
    else
        cache.stats.misses++;
    pthread_mutex_unlock(&cache.lock);
    return known;
}

void rdg_sm2_cache_put(const rdg_sm2_known_t *known) {
    slot_t *s = (slot_t *)(uintptr_t)known;
    pthread_mutex_lock(&cache.lock);
    RDG_ASSERT(s->pins > 0);
    s->pins--;
    pthread_mutex_unlock(&cache.lock);
}

void rdg_sm2_cache_offer(const rdg_sm2_public_t *key, const rdg_hash_t *z, const rdg_sm2_affine_t *point) {
    pthread_mutex_lock(&cache.lock);
    slot_t *s = NULL;
    if (cache.slots) {
        uint64_t hash = key_hash(key);
        if (!find(key, hash)) s = victim(hash);
    }
    if (s) {
        if (s->state == SLOT_READY)
            cache.stats.evicted++;
        else
            cache.stats.keys++;
        s->state = SLOT_BUILDING; /* nobody reads or evicts it while the lock is open */
        s->known.key = *key;
        s->pins = 1;
    }
    pthread_mutex_unlock(&cache.lock);
    if (!s) return;
    s->known.z = *z;
    rdg_sm2_comb_build(&s->known.comb, point);
    pthread_mutex_lock(&cache.lock);
    s->state = SLOT_READY;
    s->pins = 0;
    s->last_use = cache.clock;
    pthread_mutex_unlock(&cache.lock);
}

rdg_err_t rdg_sm2_cache_limit(size_t bytes) {
    rdg_err_t err = RDG_OK;
    pthread_mutex_lock(&cache.lock);
    for (size_t i = 0; i < cache.sets * WAYS && err == RDG_OK; i++)
        if (cache.slots[i].pins) err = RDG_E_BUSY;
    if (err == RDG_OK) {
        if (cache.slots) munmap(cache.slots, cache.mapped);
        cache.slots = NULL;
        cache.sets = cache.mapped = 0;
        cache.ready = false;
        cache.budget = bytes;
        memset(&cache.stats, 0, sizeof cache.stats);
    }
    pthread_mutex_unlock(&cache.lock);
    return err == RDG_OK ? RDG_OK
                         : rdg_fail(err, "SM2 key cache: verifications are running: set its limit at start");
}

void rdg_sm2_cache_stats(rdg_sm2_cache_stats_t *out) {
    pthread_mutex_lock(&cache.lock);
    *out = cache.stats;
    out->bytes = cache.stats.keys * sizeof(slot_t);
    pthread_mutex_unlock(&cache.lock);
}
