#include "table.h"
#include <pthread.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/random.h"

__extension__ typedef unsigned __int128 uint128_t;

static uint64_t secret[4];
static pthread_once_t secret_once = PTHREAD_ONCE_INIT;

static void draw_secret(void) {
    rdg_random_fill(rdg_random_system(), secret, sizeof secret);
}

static uint64_t fold(uint64_t a, uint64_t b) {
    uint128_t p = (uint128_t)a * b;
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

uint64_t table_hash(const void *data, size_t len) {
    pthread_once(&secret_once, draw_secret);
    const uint8_t *p = data;
    uint64_t h = secret[0] ^ len, a = 0, b = 0;
    for (; len >= 16; p += 16, len -= 16) {
        memcpy(&a, p, 8);
        memcpy(&b, p + 8, 8);
        h = fold(a ^ secret[1] ^ h, b ^ secret[2]);
    }
    a = b = 0;
    memcpy(&a, p, len < 8 ? len : 8);
    if (len > 8) memcpy(&b, p + 8, len - 8);
    h = fold(a ^ secret[1] ^ h, b ^ secret[2]);
    return fold(h ^ secret[3], 0x9e3779b97f4a7c15ull);
}

void table_fini(table_t *t) {
    rdg_free(t->cells);
    *t = (table_t){0};
}

void table_clear(table_t *t) {
    if (t->count) memset(t->cells, 0, t->capacity * sizeof *t->cells);
    t->count = 0;
}

bool table_reserve(table_t *t) {
    if ((t->count + 1) * 4 <= t->capacity * 3) return true;
    table_t grown = {.capacity = t->capacity ? t->capacity * 2 : 64};
    grown.cells = rdg_calloc(grown.capacity, sizeof *grown.cells);
    if (!grown.cells) return false;
    for (size_t i = 0; i < t->capacity; ++i)
        if (t->cells[i].item) table_insert(&grown, t->cells[i].hash, t->cells[i].item);
    rdg_free(t->cells);
    *t = grown;
    return true;
}

void table_insert(table_t *t, uint64_t hash, void *item) {
    size_t mask = t->capacity - 1, i = (size_t)hash & mask;
    while (t->cells[i].item) i = (i + 1) & mask;
    t->cells[i] = (table_cell_t){hash, item};
    t->count++;
}

void table_remove(table_t *t, uint64_t hash, const void *item) {
    if (t->capacity == 0) return;
    size_t mask = t->capacity - 1, i = (size_t)hash & mask;
    while (t->cells[i].item && t->cells[i].item != item) i = (i + 1) & mask;
    if (!t->cells[i].item) return;
    /* Close the gap, so that no probe sequence is cut. */
    for (size_t j = (i + 1) & mask; t->cells[j].item; j = (j + 1) & mask) {
        size_t home = (size_t)t->cells[j].hash & mask;
        if (((j - home) & mask) >= ((j - i) & mask)) {
            t->cells[i] = t->cells[j];
            i = j;
        }
    }
    t->cells[i].item = NULL;
    t->count--;
}
