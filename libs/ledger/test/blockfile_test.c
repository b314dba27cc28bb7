#include "blockfile.h"
#include <stdio.h>
#include "crc32c.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "support.h"

TEST(crc32c_known_answers) {
    CHECK_EQ(crc32c(0, rdg_bytes_str("123456789")), 0xe3069283u);
    CHECK_EQ(crc32c(0, rdg_bytes_str("")), 0);
    CHECK_EQ(crc32c(crc32c(0, rdg_bytes_str("1234")), rdg_bytes_str("56789")), 0xe3069283u);
    uint8_t zeros[32] = {0};
    CHECK_EQ(crc32c(0, rdg_bytes(zeros, sizeof zeros)), 0x8a9136aau); /* RFC 3720, B.4 */
}

TEST(crc32c_is_the_same_with_and_without_the_processors_instruction) {
    uint8_t data[300];
    rdg_random_fill(rdg_test_random(), data, sizeof data);
    for (size_t len = 0; len <= 260; ++len)
        for (size_t at = 0; at < 16; at += 5) {
            rdg_bytes_t part = rdg_bytes(data + at, len);
            CHECK_EQ(crc32c(7, part), crc32c_portable(7, part));
        }
}

static void append(blockfile_t *b, uint64_t height, rdg_bytes_t proposal, block_place_t *place) {
    rdg_bytes_t seal = rdg_bytes(&height, sizeof height), receipts = rdg_bytes_str("receipts");
    CHECK_OK(blockfile_plan(b, proposal, seal, receipts, place));
    CHECK_OK(blockfile_append(b, place, height, proposal, seal, receipts));
}

static void expect(const blockfile_t *b, const block_place_t *place, uint64_t height, rdg_bytes_t proposal) {
    rdg_buf_t buf;
    block_parts_t parts;
    rdg_buf_init(&buf, block_record_size(place));
    CHECK_OK(blockfile_read(b, place, height, &buf, &parts));
    CHECK(rdg_bytes_equal(parts.proposal, proposal));
    CHECK(rdg_bytes_equal(parts.seal, rdg_bytes(&height, sizeof height)));
    CHECK(rdg_bytes_equal(parts.receipts, rdg_bytes_str("receipts")));
    CHECK_ERR(blockfile_read(b, place, height + 1, &buf, &parts), RDG_E_CORRUPT);
    rdg_buf_fini(&buf);
}

TEST(blockfile_rolls_and_every_block_is_found_again) {
    enum { BLOCKS = 6, BIG = 23 << 20 };
    block_place_t places[BLOCKS + 1] = {{0}};
    blockfile_t *b = NULL;
    uint8_t *data = rdg_calloc(1, BIG);
    CHECK(data);
    rdg_random_fill(rdg_test_random(), data, 4096);
    CHECK_OK(blockfile_open(rdg_test_dir(), &places[0], 0, &b));
    for (uint64_t h = 1; h <= BLOCKS; ++h) {
        append(b, h, rdg_bytes(data, h % 2 ? BIG : 100), &places[h]);
        if (h % 2 == 0) continue;
        blockfile_close(b);
        CHECK_OK(blockfile_open(rdg_test_dir(), &places[h], h, &b));
    }
    CHECK_EQ(places[5].file, 1);
    CHECK_EQ(places[6].file, 2);
    CHECK_EQ(places[6].offset, 0);
    for (uint64_t h = 1; h <= BLOCKS; ++h) expect(b, &places[h], h, rdg_bytes(data, h % 2 ? BIG : 100));
    blockfile_close(b);
    /* The head never reached the second file: it goes, and comes again. */
    char second[600];
    CHECK_OK(rdg_path_join(second, sizeof second, rdg_test_dir(), "000002.blk"));
    CHECK(rdg_file_exists(second));
    CHECK_OK(blockfile_open(rdg_test_dir(), &places[5], 5, &b));
    CHECK(!rdg_file_exists(second));
    append(b, 6, rdg_bytes_str("another"), &places[6]);
    expect(b, &places[6], 6, rdg_bytes_str("another"));
    blockfile_close(b);
    rdg_free(data);
}
