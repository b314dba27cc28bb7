#include "ridge/base/alloc.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef RIDGE_TRACK_ALLOC
static long live_blocks;
static _Thread_local long countdown;
static _Thread_local int failed;

static int should_fail(void) {
    if (countdown == 0 || --countdown != 0) return 0;
    failed = 1;
    return 1;
}
static void count_block(long n) {
    __atomic_add_fetch(&live_blocks, n, __ATOMIC_RELAXED);
}
void rdg_alloc_fail_at(long n) {
    countdown = n, failed = 0;
}
long rdg_alloc_live(void) {
    return __atomic_load_n(&live_blocks, __ATOMIC_RELAXED);
}
int rdg_alloc_did_fail(void) {
    return failed;
}
#else
static int should_fail(void) {
    return 0;
}
static void count_block(long n) {
    (void)n;
}
void rdg_alloc_fail_at(long n) {
    (void)n;
}
long rdg_alloc_live(void) {
    return 0;
}
int rdg_alloc_did_fail(void) {
    return 0;
}
#endif

static void *counted(void *p) {
    if (p) count_block(1);
    return p;
}

void *rdg_alloc(size_t size) {
    return should_fail() ? NULL : counted(malloc(size ? size : 1));
}

void *rdg_calloc(size_t count, size_t size) {
    return should_fail() ? NULL : counted(calloc(count ? count : 1, size ? size : 1));
}

void *rdg_realloc(void *p, size_t size) {
    if (!p) return rdg_alloc(size);
    return should_fail() ? NULL : realloc(p, size ? size : 1);
}

void *rdg_realloc_array(void *p, size_t count, size_t size) {
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) return NULL;
    return rdg_realloc(p, total);
}

char *rdg_strdup(const char *s) {
    return s ? rdg_strndup(s, SIZE_MAX - 1) : NULL;
}

char *rdg_strndup(const char *s, size_t max) {
    if (!s) return NULL;
    size_t len = strnlen(s, max);
    char *copy = rdg_alloc(len + 1);
    if (!copy) return NULL;
    memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}

void *rdg_memdup(const void *data, size_t len) {
    void *copy = rdg_alloc(len);
    if (copy && len > 0) memcpy(copy, data, len);
    return copy;
}

void rdg_free(void *p) {
    if (p) count_block(-1);
    free(p);
}

void rdg_secure_zero(void *p, size_t size) {
    if (size > 0) explicit_bzero(p, size);
}

int rdg_ct_equal(const void *a, const void *b, size_t len) {
    const volatile unsigned char *x = a, *y = b;
    unsigned char diff = 0;
    for (size_t i = 0; i < len; ++i) diff = (unsigned char)(diff | (x[i] ^ y[i]));
    return diff == 0;
}
