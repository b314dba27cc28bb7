#include "ridge/base/bytes.h"
#include "ridge/test.h"

TEST(reader_reads_every_width) {
    const uint8_t in[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                          16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30};
    rdg_reader_t r;
    rdg_reader_init(&r, rdg_bytes(in, sizeof in));
    CHECK_EQ(rdg_read_u8(&r), 0x01);
    CHECK_EQ(rdg_read_u16(&r), 0x0203);
    CHECK_EQ(rdg_read_u24(&r), 0x040506);
    CHECK_EQ(rdg_read_u32(&r), 0x0708090a);
    CHECK_EQ(rdg_read_u64(&r), 0x0b0c0d0e0f101112);
    CHECK_EQ(rdg_read_u32le(&r), 0x16151413);
    CHECK_EQ(rdg_read_u64le(&r), 0x1e1d1c1b1a191817);
    CHECK(rdg_reader_done(&r));
}

TEST(reader_that_ran_out_stays_failed_and_gives_zero) {
    const uint8_t in[] = {1, 2, 3};
    uint8_t copy[4] = {9, 9, 9, 9};
    rdg_reader_t r;
    rdg_reader_init(&r, rdg_bytes(in, sizeof in));
    CHECK_EQ(rdg_read_u32(&r), 0);
    CHECK(!rdg_reader_ok(&r) && !rdg_reader_done(&r));
    CHECK_EQ(rdg_read_u8(&r), 0);
    CHECK_EQ(rdg_reader_left(&r), 0);
    rdg_read_copy(&r, copy, 4);
    CHECK_MEM(copy, "\0\0\0\0", 4);
    CHECK_EQ(rdg_read_bytes(&r, 1).len, 0);
    CHECK_EQ(rdg_read_rest(&r).len, 0);
}

TEST(reader_refuses_a_length_that_would_wrap) {
    const uint8_t in[8] = {0};
    rdg_reader_t r;
    rdg_reader_init(&r, rdg_bytes(in, sizeof in));
    CHECK(rdg_read_bytes(&r, SIZE_MAX).data == NULL);
    CHECK(!rdg_reader_ok(&r));
}

TEST(reader_of_nothing_is_done) {
    rdg_reader_t r;
    rdg_reader_init(&r, rdg_bytes(NULL, 0));
    CHECK(rdg_reader_done(&r));
    CHECK_EQ(rdg_read_rest(&r).len, 0);
    CHECK(rdg_reader_ok(&r));
    CHECK_EQ(rdg_read_u8(&r), 0);
    CHECK(!rdg_reader_ok(&r));
}

TEST(writer_gives_back_what_the_reader_takes) {
    uint8_t out[18 + 3];
    rdg_writer_t w;
    rdg_writer_init(&w, out, sizeof out);
    rdg_write_u8(&w, 0xfe), rdg_write_u16(&w, 0xfedc), rdg_write_u24(&w, 0xfedcba);
    rdg_write_u32(&w, 0xfedcba98), rdg_write_u64(&w, 0xfedcba9876543210u), rdg_write_bytes(&w, "abc", 3);
    CHECK(rdg_writer_ok(&w));
    CHECK_EQ(rdg_writer_len(&w), sizeof out);
    rdg_reader_t r;
    rdg_reader_init(&r, rdg_bytes(out, sizeof out));
    CHECK_EQ(rdg_read_u8(&r), 0xfe);
    CHECK_EQ(rdg_read_u16(&r), 0xfedc);
    CHECK_EQ(rdg_read_u24(&r), 0xfedcba);
    CHECK_EQ(rdg_read_u32(&r), 0xfedcba98);
    CHECK(rdg_read_u64(&r) == 0xfedcba9876543210u);
    CHECK(rdg_bytes_equal(rdg_read_rest(&r), rdg_bytes_str("abc")));
}

TEST(writer_that_is_full_writes_no_further_byte) {
    uint8_t out[4] = {0xaa, 0xaa, 0xaa, 0xaa};
    rdg_writer_t w;
    rdg_writer_init(&w, out, 3);
    rdg_write_u32(&w, 1);
    rdg_write_u8(&w, 1);
    CHECK(!rdg_writer_ok(&w));
    CHECK_EQ(rdg_writer_len(&w), 0);
    CHECK_MEM(out, "\xaa\xaa\xaa\xaa", 4);
}

TEST(bytes_compare_orders_as_a_dictionary) {
    static const char *const sorted[] = {"", "a", "ab", "b", "ba", "\xff"};
    for (int i = 0; i < 6; ++i) {
        for (int j = 0; j < 6; ++j) {
            int order = rdg_bytes_compare(rdg_bytes_str(sorted[i]), rdg_bytes_str(sorted[j]));
            CHECK_EQ((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
    CHECK(rdg_bytes_equal(rdg_bytes_str(NULL), rdg_bytes_str("")));
}
