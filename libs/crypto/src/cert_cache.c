#include "ridge/crypto/cert_cache.h"

#include <pthread.h>
#include <string.h>
#include "cert.h"
#include "ridge/base/alloc.h"
#include "ridge/base/list.h"
#include "ridge/base/map.h"

typedef struct entry {
    rdg_list_t age; /* the oldest first */
    rdg_hash_t digest;
    rdg_cert_t *cert;
    int64_t from_s, until_s; /* when its way to a root is valid */
} entry_t;

struct rdg_cert_cache {
    pthread_mutex_t lock;
    rdg_map_t *by_digest;
    rdg_list_t oldest;
    size_t max, root_count;
    const rdg_cert_t *roots[RDG_CERT_CACHE_ROOTS_MAX];
};

/* References are counted in objects that are immutable otherwise. */
static rdg_cert_t *ref(const rdg_cert_t *cert) {
    return rdg_cert_ref((rdg_cert_t *)(uintptr_t)cert);
}

rdg_err_t rdg_cert_cache_new(const rdg_cert_t *const *roots, size_t root_count, size_t max,
                             rdg_cert_cache_t **out) {
    *out = NULL;
    if (root_count == 0 || root_count > RDG_CERT_CACHE_ROOTS_MAX || max == 0 || max > RDG_CERT_CACHE_MAX)
        return rdg_fail(
            RDG_E_INVALID,
            "certificate cache: %zu roots and %zu certificates, where 1 to %d and 1 to %d are possible",
            root_count, max, RDG_CERT_CACHE_ROOTS_MAX, RDG_CERT_CACHE_MAX);
    rdg_cert_cache_t *c = rdg_calloc(1, sizeof *c);
    rdg_map_t *map = c ? rdg_map_new(max) : NULL;
    if (!map) {
        rdg_free(c);
        return rdg_fail(RDG_E_NO_MEMORY, "certificate cache: out of memory");
    }
    pthread_mutex_init(&c->lock, NULL);
    rdg_list_init(&c->oldest);
    c->by_digest = map, c->max = max, c->root_count = root_count;
    for (size_t i = 0; i < root_count; i++) c->roots[i] = ref(roots[i]);
    *out = c;
    return RDG_OK;
}

static rdg_bytes_t name_of(const rdg_hash_t *digest) {
    return rdg_bytes(digest->b, sizeof digest->b);
}

static void remove_entry(rdg_cert_cache_t *c, entry_t *e) {
    rdg_map_remove(c->by_digest, name_of(&e->digest));
    rdg_list_remove(&e->age);
    rdg_cert_free(e->cert);
    rdg_free(e);
}

void rdg_cert_cache_free(rdg_cert_cache_t *c) {
    if (!c) return;
    while (!rdg_list_empty(&c->oldest)) remove_entry(c, RDG_LIST_ENTRY(c->oldest.next, entry_t, age));
    for (size_t i = 0; i < c->root_count; i++) rdg_cert_free((rdg_cert_t *)(uintptr_t)c->roots[i]);
    rdg_map_free(c->by_digest);
    pthread_mutex_destroy(&c->lock);
    rdg_free(c);
}

bool rdg_cert_cache_has_roots(const rdg_cert_cache_t *c, const rdg_cert_t *const *roots, size_t root_count) {
    if (root_count != c->root_count) return false;
    for (size_t i = 0; i < root_count; i++)
        if (c->roots[i] != roots[i] && !rdg_bytes_equal(rdg_cert_der(c->roots[i]), rdg_cert_der(roots[i])))
            return false;
    return true;
}

rdg_err_t rdg_cert_cache_parse(rdg_cert_cache_t *c, rdg_bytes_t der, rdg_cert_t **out) {
    rdg_hash_t digest;
    rdg_sm3(der.data, der.len, &digest);
    pthread_mutex_lock(&c->lock);
    const entry_t *e = rdg_map_get(c->by_digest, name_of(&digest));
    *out = e ? ref(e->cert) : NULL;
    pthread_mutex_unlock(&c->lock);
    return *out ? RDG_OK : rdg_cert_parse(der, out);
}

/* Without memory it is not kept. */
static void keep(rdg_cert_cache_t *c, const rdg_cert_t *cert, const rdg_cert_way_t *way) {
    entry_t *e = rdg_calloc(1, sizeof *e);
    if (!e) return;
    rdg_cert_fingerprint(cert, &e->digest);
    e->cert = ref(cert);
    e->from_s = way->from_s, e->until_s = way->until_s;
    pthread_mutex_lock(&c->lock);
    entry_t *same = rdg_map_get(c->by_digest, name_of(&e->digest));
    if (same) remove_entry(c, same);
    if (rdg_map_count(c->by_digest) == c->max) remove_entry(c, RDG_LIST_ENTRY(c->oldest.next, entry_t, age));
    bool kept = rdg_map_put(c->by_digest, name_of(&e->digest), e, NULL) == RDG_OK;
    if (kept) rdg_list_append(&c->oldest, &e->age);
    pthread_mutex_unlock(&c->lock);
    if (kept) return;
    rdg_cert_free(e->cert);
    rdg_free(e);
}

static bool known(rdg_cert_cache_t *c, const rdg_cert_t *leaf, int64_t now_s) {
    rdg_hash_t digest;
    rdg_cert_fingerprint(leaf, &digest);
    pthread_mutex_lock(&c->lock);
    const entry_t *e = rdg_map_get(c->by_digest, name_of(&digest));
    bool valid = e && now_s >= e->from_s && now_s < e->until_s;
    pthread_mutex_unlock(&c->lock);
    return valid;
}

rdg_err_t rdg_cert_cache_verify(rdg_cert_cache_t *c, const rdg_cert_t *leaf, rdg_cert_use_t use,
                                const rdg_cert_t *const *others, size_t other_count, int64_t now_s) {
    rdg_cert_way_t way;
    if (known(c, leaf, now_s)) return rdg_cert_check_use(leaf, use);
    RDG_TRY(rdg_cert_find_way(leaf, others, other_count, c->roots, c->root_count, now_s, &way));
    RDG_TRY(rdg_cert_check_use(leaf, use));
    /* Without the root, which is trusted and never parsed. */
    for (size_t i = 0; i + 1 < way.count; i++) keep(c, way.cert[i], &way);
    return RDG_OK;
}
