#include "ridge/base/arena.h"
#include "ridge/base/alloc.h"
#include "ridge/base/checked.h"
#include <string.h>

#define BLOCK_BYTES 4096
#define ALIGN 16

typedef struct rdg_arena_block {
    struct rdg_arena_block *next;
    size_t size, used;
    _Alignas(ALIGN) unsigned char data[];
} block_t;

void rdg_arena_init(rdg_arena_t *a, size_t max_bytes) {
    *a = (rdg_arena_t){.max = max_bytes};
}

void rdg_arena_fini(rdg_arena_t *a) {
    for (block_t *b = a->head, *next; b; b = next) {
        next = b->next;
        rdg_free(b);
    }
    a->head = NULL;
    a->used = 0;
}

void rdg_arena_reset(rdg_arena_t *a) {
    block_t *kept = a->head;
    if (!kept) return;
    a->head = kept->next;
    rdg_arena_fini(a);
    kept->next = NULL;
    kept->used = 0;
    a->head = kept;
}

static block_t *add_block(rdg_arena_t *a, size_t size) {
    size_t room = size > BLOCK_BYTES - sizeof(block_t) ? size : BLOCK_BYTES - sizeof(block_t), total;
    if (!rdg_add_size(room, sizeof(block_t), &total)) return NULL;
    block_t *b = rdg_alloc(total);
    if (!b) return NULL;
    *b = (block_t){.next = a->head, .size = room};
    return a->head = b;
}

void *rdg_arena_alloc(rdg_arena_t *a, size_t size) {
    size_t rounded;
    if (!rdg_add_size(size, ALIGN - 1, &rounded)) return NULL;
    rounded &= ~(size_t)(ALIGN - 1);
    if (rounded > a->max - a->used) return NULL;
    block_t *b = a->head;
    if (!b || b->size - b->used < rounded) b = add_block(a, rounded);
    if (!b) return NULL;
    void *p = b->data + b->used;
    b->used += rounded;
    a->used += rounded;
    return p;
}

void *rdg_arena_calloc(rdg_arena_t *a, size_t count, size_t size) {
    size_t total;
    if (!rdg_mul_size(count, size, &total)) return NULL;
    void *p = rdg_arena_alloc(a, total);
    if (p) memset(p, 0, total);
    return p;
}

void *rdg_arena_copy(rdg_arena_t *a, const void *data, size_t len) {
    void *p = rdg_arena_alloc(a, len);
    if (p && len > 0) memcpy(p, data, len);
    return p;
}

char *rdg_arena_strdup(rdg_arena_t *a, const char *s) {
    return rdg_arena_copy(a, s, strlen(s) + 1);
}
