#include "ridge/base/map.h"
#include <stdio.h>
#include "ridge/test.h"

static int values[2000];

static rdg_bytes_t key_of(char *out, size_t size, int i) {
    snprintf(out, size, "key-%d", i);
    return rdg_bytes_str(out);
}

TEST(map_agrees_with_a_table_through_thousands_of_changes) {
    enum { KEYS = 300, STEPS = 20000 };
    rdg_map_t *m = rdg_map_new(KEYS);
    bool present[KEYS] = {false};
    size_t count = 0;
    char text[32];
    CHECK(m != NULL);
    for (int step = 0; step < STEPS; ++step) {
        int i = (int)rdg_random_below(rdg_test_random(), KEYS);
        rdg_bytes_t key = key_of(text, sizeof text, i);
        if (rdg_random_below(rdg_test_random(), 2) == 0) {
            void *old = &values[KEYS];
            CHECK_OK(rdg_map_put(m, key, &values[i], &old));
            CHECK(old == (present[i] ? &values[i] : NULL));
            count += !present[i], present[i] = true;
        } else {
            CHECK(rdg_map_remove(m, key) == (present[i] ? &values[i] : NULL));
            count -= present[i], present[i] = false;
        }
        CHECK_EQ(rdg_map_count(m), count);
    }
    for (int i = 0; i < KEYS; ++i)
        CHECK(rdg_map_get(m, key_of(text, sizeof text, i)) == (present[i] ? &values[i] : NULL));
    rdg_map_free(m);
}

TEST(map_keeps_its_limit_and_may_still_replace) {
    rdg_map_t *m = rdg_map_new(2);
    void *old;
    CHECK_OK(rdg_map_put(m, rdg_bytes_str("a"), &values[0], NULL));
    CHECK_OK(rdg_map_put(m, rdg_bytes_str("b"), &values[1], NULL));
    CHECK_ERR(rdg_map_put(m, rdg_bytes_str("c"), &values[2], NULL), RDG_E_FULL);
    CHECK(rdg_map_get(m, rdg_bytes_str("c")) == NULL);
    CHECK_OK(rdg_map_put(m, rdg_bytes_str("a"), &values[3], &old));
    CHECK(old == &values[0]);
    CHECK_EQ(rdg_map_count(m), 2);
    CHECK(rdg_map_remove(m, rdg_bytes_str("b")) == &values[1]);
    CHECK_OK(rdg_map_put(m, rdg_bytes_str("c"), &values[2], NULL));
    rdg_map_free(m);
}

TEST(map_keys_are_bytes_and_are_copied) {
    rdg_map_t *m = rdg_map_new(10);
    char key[4] = {'a', 0, 'b', 'c'};
    CHECK_OK(rdg_map_put(m, rdg_bytes(key, 4), &values[0], NULL));
    CHECK_OK(rdg_map_put(m, rdg_bytes(key, 2), &values[1], NULL));
    CHECK_OK(rdg_map_put(m, rdg_bytes(NULL, 0), &values[2], NULL));
    key[3] = 'x';
    CHECK(rdg_map_get(m, rdg_bytes("a\0bc", 4)) == &values[0]);
    CHECK(rdg_map_get(m, rdg_bytes("a\0", 2)) == &values[1]);
    CHECK(rdg_map_get(m, rdg_bytes_str("")) == &values[2]);
    CHECK(rdg_map_get(m, rdg_bytes(key, 4)) == NULL);
    rdg_map_free(m);
}

TEST(map_iteration_sees_all_once_and_may_remove_what_it_got) {
    enum { KEYS = 1000 };
    rdg_map_t *m = rdg_map_new(KEYS);
    char text[32];
    for (int i = 0; i < KEYS; ++i) {
        values[i] = 0;
        CHECK_OK(rdg_map_put(m, key_of(text, sizeof text, i), &values[i], NULL));
    }
    rdg_bytes_t key;
    void *value;
    for (size_t pos = 0; rdg_map_next(m, &pos, &key, &value);) {
        ++*(int *)value;
        if (((int *)value - values) % 2 == 0) CHECK(rdg_map_remove(m, key) == value);
    }
    for (int i = 0; i < KEYS; ++i) CHECK_EQ(values[i], 1);
    CHECK_EQ(rdg_map_count(m), KEYS / 2);
    rdg_map_free(m);
}

TEST(map_survives_every_failed_allocation_unchanged) {
    rdg_err_t err;
    RDG_TEST_ALLOC_LOOP(err) {
        rdg_map_t *m = rdg_map_new(100);
        err = m ? RDG_OK : RDG_E_NO_MEMORY;
        char text[32];
        for (int i = 0; m && !err && i < 40; ++i) {
            size_t before = rdg_map_count(m);
            err = rdg_map_put(m, key_of(text, sizeof text, i), &values[i], NULL);
            if (err) CHECK(rdg_map_count(m) == before && !rdg_map_get(m, rdg_bytes_str(text)));
        }
        rdg_map_free(m);
    }
}
