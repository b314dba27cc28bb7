#include "ridge/base/buf.h"
#include "ridge/base/alloc.h"
#include "ridge/test.h"

TEST(buf_refuses_to_grow_past_its_maximum_and_keeps_what_it_had) {
    rdg_buf_t b;
    rdg_buf_init(&b, 4);
    CHECK_OK(rdg_buf_append(&b, "abcd", 4));
    CHECK_ERR(rdg_buf_u8(&b, 'e'), RDG_E_TOO_LARGE);
    CHECK_ERR(rdg_buf_append(&b, "", 0), RDG_E_TOO_LARGE); /* sticky */
    CHECK_ERR(rdg_buf_err(&b), RDG_E_TOO_LARGE);
    CHECK_EQ(b.len, 4);
    CHECK_STR(rdg_buf_cstr(&b), "abcd");
    rdg_buf_clear(&b);
    CHECK_OK(rdg_buf_append(&b, "wxyz", 4));
    CHECK_STR(rdg_buf_cstr(&b), "wxyz");
    CHECK(b.size <= b.max);
    rdg_buf_fini(&b);
}

TEST(buf_refuses_a_length_that_overflows) {
    rdg_buf_t b;
    rdg_buf_init(&b, SIZE_MAX);
    CHECK_OK(rdg_buf_u8(&b, 1));
    CHECK_ERR(rdg_buf_reserve(&b, SIZE_MAX), RDG_E_TOO_LARGE);
    rdg_buf_fini(&b);
}

TEST(buf_writes_integers_big_endian) {
    rdg_buf_t b;
    rdg_buf_init(&b, 64);
    rdg_buf_u8(&b, 0x01), rdg_buf_u16(&b, 0x0203), rdg_buf_u32(&b, 0x04050607);
    CHECK_OK(rdg_buf_u64(&b, 0x08090a0b0c0d0e0fu));
    CHECK_EQ(b.len, 15);
    for (size_t i = 0; i < 15; ++i) CHECK_EQ(b.data[i], i + 1);
    rdg_buf_fini(&b);
}

TEST(buf_prints_across_a_growth_and_consumes_from_the_front) {
    rdg_buf_t b;
    rdg_buf_init(&b, 1000);
    for (int i = 0; i < 100; ++i) CHECK_OK(rdg_buf_printf(&b, "%04d.", i));
    CHECK_EQ(b.len, 500);
    rdg_buf_consume(&b, 495);
    CHECK_STR(rdg_buf_cstr(&b), "0099.");
    CHECK_ERR(rdg_buf_printf(&b, "%1000d", 1), RDG_E_TOO_LARGE);
    CHECK_STR(rdg_buf_cstr(&b), "0099.");
    rdg_buf_fini(&b);
}

TEST(buf_gives_its_memory_away_once) {
    rdg_buf_t b;
    size_t len;
    rdg_buf_init(&b, 10);
    rdg_buf_str(&b, "0123456789");
    uint8_t *data = rdg_buf_take(&b, &len);
    CHECK_EQ(len, 10);
    CHECK_STR((char *)data, "0123456789");
    rdg_free(data);
    CHECK(b.data == NULL && b.len == 0 && b.max == 10);
    CHECK_ERR(rdg_buf_str(&b, "more than ten bytes"), RDG_E_TOO_LARGE);
    CHECK(rdg_buf_take(&b, &len) == NULL && len == 0);
    rdg_buf_fini(&b);
}

TEST(buf_survives_every_failed_allocation) {
    rdg_err_t err = RDG_OK;
    RDG_TEST_ALLOC_LOOP(err) {
        rdg_buf_t b;
        rdg_buf_init(&b, 1u << 20);
        for (int i = 0; i < 200; ++i) (void)rdg_buf_printf(&b, "%d,", i);
        err = rdg_buf_err(&b);
        rdg_buf_fini(&b);
    }
}
