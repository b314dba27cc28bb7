#include "ridge/base/alloc.h"
#include "ridge/base/arena.h"
#include "ridge/base/checked.h"
#include "ridge/base/ref.h"
#include "ridge/test.h"

TEST(alloc_refuses_sizes_that_overflow) {
    CHECK(rdg_calloc(SIZE_MAX / 2, 3) == NULL);
    CHECK(rdg_realloc_array(NULL, SIZE_MAX / 2, 3) == NULL);
    void *p = rdg_alloc(8);
    CHECK(p != NULL);
    CHECK(rdg_realloc_array(p, SIZE_MAX, 2) == NULL); /* and p is still ours */
    rdg_free(p);
}

TEST(alloc_of_nothing_is_no_failure) {
    void *a = rdg_alloc(0), *b = rdg_calloc(0, 8), *c = rdg_memdup(NULL, 0);
    CHECK(a != NULL && b != NULL && c != NULL);
    rdg_free(a), rdg_free(b), rdg_free(c);
    rdg_free(NULL);
    CHECK(rdg_strdup(NULL) == NULL && rdg_strndup(NULL, 3) == NULL);
}

TEST(alloc_copies_strings_within_their_bound) {
    const char unterminated[3] = {'a', 'b', 'c'};
    char *s = rdg_strndup(unterminated, 3);
    CHECK_STR(s, "abc");
    rdg_free(s);
}

TEST(alloc_fails_the_one_that_was_asked_for_and_counts_live_blocks) {
    long before = rdg_alloc_live();
    rdg_alloc_fail_at(2);
    void *a = rdg_alloc(1), *b = rdg_alloc(1), *c = rdg_alloc(1);
    CHECK(a != NULL && b == NULL && c != NULL);
    CHECK(rdg_alloc_did_fail());
    CHECK_EQ(rdg_alloc_live() - before, 2);
    rdg_alloc_fail_at(1);
    CHECK(rdg_realloc(a, 100) == NULL);
    CHECK_EQ(rdg_alloc_live() - before, 2);
    rdg_free(a), rdg_free(c);
    CHECK_EQ(rdg_alloc_live(), before);
    rdg_alloc_fail_at(0);
    CHECK(!rdg_alloc_did_fail());
}

TEST(constant_time_compare_and_secure_zero) {
    char secret[5] = "abcd";
    CHECK(rdg_ct_equal("abcd", secret, 4));
    CHECK(!rdg_ct_equal("abcx", secret, 4));
    CHECK(!rdg_ct_equal("xbcd", secret, 4));
    CHECK(rdg_ct_equal("a", "b", 0));
    rdg_secure_zero(secret, 4);
    CHECK_MEM(secret, "\0\0\0\0", 5);
}

TEST(arena_aligns_keeps_its_limit_and_reuses_a_block) {
    rdg_arena_t a;
    rdg_arena_init(&a, 64 * 1024);
    for (size_t i = 1; i < 200; ++i) {
        uint8_t *p = rdg_arena_alloc(&a, i);
        CHECK(p != NULL && (uintptr_t)p % 16 == 0);
        memset(p, 0xee, i);
    }
    CHECK(rdg_arena_alloc(&a, 64 * 1024) == NULL);
    CHECK(rdg_arena_alloc(&a, SIZE_MAX) == NULL);
    CHECK(rdg_arena_calloc(&a, SIZE_MAX / 2, 3) == NULL);
    rdg_arena_reset(&a);
    long live = rdg_alloc_live();
    CHECK(rdg_arena_alloc(&a, 16) != NULL);
    CHECK_EQ(rdg_alloc_live(), live);
    CHECK_STR(rdg_arena_strdup(&a, "meter"), "meter");
    CHECK_MEM(rdg_arena_copy(&a, "\1\2\3", 3), "\1\2\3", 3);
    const uint8_t *zeros = rdg_arena_calloc(&a, 4, 8);
    for (size_t i = 0; i < 32; ++i) CHECK_EQ(zeros[i], 0);
    rdg_arena_fini(&a);
}

TEST(arena_fills_its_limit_exactly) {
    rdg_arena_t a;
    rdg_arena_init(&a, 1024);
    size_t got = 0;
    while (rdg_arena_alloc(&a, 16)) got += 16;
    CHECK_EQ(got, 1024);
    rdg_arena_fini(&a);
}

TEST(arena_survives_every_failed_allocation) {
    rdg_err_t err;
    RDG_TEST_ALLOC_LOOP(err) {
        rdg_arena_t a;
        rdg_arena_init(&a, 1 << 20);
        err = RDG_OK;
        for (int i = 0; i < 20; ++i)
            if (!rdg_arena_alloc(&a, 3000)) err = RDG_E_NO_MEMORY;
        rdg_arena_fini(&a);
    }
}

TEST(checked_arithmetic_sees_every_overflow) {
    size_t n;
    uint64_t u;
    CHECK(rdg_add_size(SIZE_MAX - 1, 1, &n) && n == SIZE_MAX);
    CHECK(!rdg_add_size(SIZE_MAX, 1, &n));
    CHECK(rdg_sub_size(3, 3, &n) && n == 0);
    CHECK(!rdg_sub_size(3, 4, &n));
    CHECK(!rdg_mul_size(SIZE_MAX / 2 + 1, 2, &n));
    CHECK(!rdg_add_u64(UINT64_MAX, 1, &u) && !rdg_mul_u64(UINT64_MAX, 2, &u));
}

TEST(ref_says_once_that_the_last_is_gone) {
    rdg_ref_t r;
    rdg_ref_init(&r);
    rdg_ref_get(&r);
    CHECK(!rdg_ref_put(&r));
    CHECK(rdg_ref_put(&r));
}
