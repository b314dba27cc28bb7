/* A hash table of borrowed pointers whose keys live in the items: open addressing, linear probing. The hash
 * is keyed with a random secret of the process, because peers choose the keys. Iteration order is never used.
 */
#ifndef RIDGE_LEDGER_TABLE_H
#define RIDGE_LEDGER_TABLE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct table_cell {
    uint64_t hash;
    void *item; /* NULL: free */
} table_cell_t;

typedef struct table {
    table_cell_t *cells;
    size_t capacity, count; /* capacity: a power of two, or 0 */
} table_t;

void table_fini(table_t *t); /* the items are the caller's */
void table_clear(table_t *t);
/* Room for one more insertion; false without memory. */
bool table_reserve(table_t *t);
void table_insert(table_t *t, uint64_t hash, void *item); /* after a successful table_reserve */
void table_remove(table_t *t, uint64_t hash, const void *item);
uint64_t table_hash(const void *data, size_t len);

/* Items whose hash is equal, one after another: start with *pos = the hash; NULL at the end. */
static inline void *table_probe(const table_t *t, uint64_t hash, size_t *pos) {
    if (t->capacity == 0) return NULL;
    for (size_t i = *pos & (t->capacity - 1);; i = (i + 1) & (t->capacity - 1)) {
        if (!t->cells[i].item) return NULL;
        if (t->cells[i].hash == hash) {
            *pos = i + 1;
            return t->cells[i].item;
        }
    }
}

#endif
