/* Allocation: the only way to the heap in Ridge.
 *
 * Builds with RIDGE_TRACK_ALLOC count live blocks and can make the n-th allocation fail, which is how
 * the test kit's RDG_TEST_ALLOC_LOOP walks every failure path. Release builds call malloc directly.
 * All functions return NULL on failure and on an overflowing size; none aborts. */
#ifndef RIDGE_BASE_ALLOC_H
#define RIDGE_BASE_ALLOC_H
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

void *rdg_alloc(size_t size);                                /* uninitialised; returns owned */
void *rdg_calloc(size_t count, size_t size);                 /* zeroed, overflow-checked; returns owned */
void *rdg_realloc(void *p, size_t size);                     /* takes p on success, leaves it on failure */
void *rdg_realloc_array(void *p, size_t count, size_t size); /* overflow-checked */
char *rdg_strdup(const char *s);                             /* NULL gives NULL; returns owned */
char *rdg_strndup(const char *s, size_t max);
void *rdg_memdup(const void *data, size_t len);
void rdg_free(void *p);                                     /* takes; NULL is fine */
void rdg_secure_zero(void *p, size_t size);                 /* cannot be optimised away */
int rdg_ct_equal(const void *a, const void *b, size_t len); /* constant time; 1 if equal */

/* Test builds only; without RIDGE_TRACK_ALLOC the counters stay 0 and fail_at does nothing.
 * fail_at(n): the n-th allocation of this thread from now (1 is the next) fails, once; 0 disarms. */
void rdg_alloc_fail_at(long n);
long rdg_alloc_live(void);    /* blocks allocated and not freed, whole process */
int rdg_alloc_did_fail(void); /* 1 if the armed failure has happened since it was armed */

#ifdef __cplusplus
}
#endif
#endif
