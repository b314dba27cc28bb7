/* A hash map from byte strings to pointers, with a stated maximum of entries.
 *
 * Keys are copied; values are borrowed (the map never frees them). Hashing is SipHash-1-3 with a random
 * key per map, because keys may be chosen by a peer. Iteration order is unspecified: never let it reach a
 * consensus result. Not thread-safe. */
#ifndef RIDGE_BASE_MAP_H
#define RIDGE_BASE_MAP_H
#include "ridge/base/bytes.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdg_map rdg_map_t;

rdg_map_t *rdg_map_new(size_t max_entries); /* NULL: no memory */
void rdg_map_free(rdg_map_t *m);
size_t rdg_map_count(const rdg_map_t *m);
void *rdg_map_get(const rdg_map_t *m, rdg_bytes_t key); /* NULL if absent */
/* value must not be NULL. Replaces; the old value (or NULL) goes to *old if old is given.
 * FULL at max_entries, NO_MEMORY: unchanged. */
rdg_err_t rdg_map_put(rdg_map_t *m, rdg_bytes_t key, void *value, void **old);
void *rdg_map_remove(rdg_map_t *m, rdg_bytes_t key); /* the value that was there, or NULL */
/* Start with *pos = 0; false at the end. The map must not change during iteration, except by removing
 * the entry just returned through rdg_map_remove. */
bool rdg_map_next(const rdg_map_t *m, size_t *pos, rdg_bytes_t *key, void **value);

#ifdef __cplusplus
}
#endif
#endif
