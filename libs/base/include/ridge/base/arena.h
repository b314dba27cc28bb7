/* An arena: many small allocations, one release. One per request, call frame or message; nothing in it
 * outlives its owner. Blocks come from rdg_alloc; the total is bounded by max_bytes. */
#ifndef RIDGE_BASE_ARENA_H
#define RIDGE_BASE_ARENA_H
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdg_arena {
    struct rdg_arena_block *head;
    size_t used, max;
} rdg_arena_t;

void rdg_arena_init(rdg_arena_t *a, size_t max_bytes);
void rdg_arena_fini(rdg_arena_t *a);  /* frees everything */
void rdg_arena_reset(rdg_arena_t *a); /* frees everything but one block, which is reused */
/* 16-byte aligned; NULL when the limit or memory is exhausted. Borrowed from the arena. */
void *rdg_arena_alloc(rdg_arena_t *a, size_t size);
void *rdg_arena_calloc(rdg_arena_t *a, size_t count, size_t size);
void *rdg_arena_copy(rdg_arena_t *a, const void *data, size_t len);
char *rdg_arena_strdup(rdg_arena_t *a, const char *s);

#ifdef __cplusplus
}
#endif
#endif
