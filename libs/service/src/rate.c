#include "rate.h"
#include <string.h>

void rdg_rate_init(rdg_rate_t *r, uint64_t per_s, uint64_t burst, uint64_t seed) {
    memset(r, 0, sizeof *r);
    pthread_mutex_init(&r->lock, NULL);
    r->seed = seed;
    r->per_s = per_s;
    r->burst = burst;
}

void rdg_rate_fini(rdg_rate_t *r) {
    pthread_mutex_destroy(&r->lock);
}

/* FNV-1a over a secret start and a final mix: a caller cannot aim at another's place. 0 marks a free place.
 */
uint64_t rdg_rate_key(uint64_t seed, const char *text) {
    uint64_t h = seed ^ 14695981039346656037ull;
    for (; *text; ++text) h = (h ^ (uint8_t)*text) * 1099511628211ull;
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdull;
    h ^= h >> 33;
    return h ? h : 1;
}

bool rdg_rate_take(rdg_rate_t *r, const char *caller, uint64_t now_ms) {
    uint64_t key = rdg_rate_key(r->seed, caller);
    size_t set = key % RDG_RATE_SETS, at = 0;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < RDG_RATE_WAYS; ++i) {
        if (r->slots[set][i].key == key) {
            at = i;
            break;
        }
        bool free = r->slots[set][i].key == 0;
        if (r->slots[set][at].key && (free || r->slots[set][i].at_ms < r->slots[set][at].at_ms)) at = i;
    }
    uint64_t full = r->burst * 1000;
    if (r->slots[set][at].key != key) {
        r->slots[set][at].key = key;
        r->slots[set][at].milli = full;
        r->slots[set][at].at_ms = now_ms;
    }
    uint64_t passed = now_ms > r->slots[set][at].at_ms ? now_ms - r->slots[set][at].at_ms : 0;
    uint64_t gained = passed > full ? full : passed * r->per_s;
    uint64_t left = r->slots[set][at].milli + gained;
    if (left > full) left = full;
    bool ok = left >= 1000;
    r->slots[set][at].milli = ok ? left - 1000 : left;
    r->slots[set][at].at_ms = now_ms;
    pthread_mutex_unlock(&r->lock);
    return ok;
}
