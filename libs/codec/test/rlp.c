#include "ridge/codec/rlp.h"
#include "ridge/codec/hex.h"
#include "ridge/test.h"

static void check_bytes(const rdg_buf_t *b, const char *hex) {
    char text[512];
    CHECK(b->len * 2 < sizeof text);
    rdg_hex_encode(b->data, b->len, text);
    CHECK_STR(text, hex);
}

/* The examples of Ethereum's RLP page. */
TEST(rlp_encodes_the_published_examples) {
    static const struct {
        const char *text, *hex;
    } strings[] = {
        {"dog", "83646f67"},
        {"", "80"},
        {"\x0f", "0f"},
        {"\x7f", "7f"},
        {"\x80", "8180"},
        {"Lorem ipsum dolor sit amet, consectetur adipisicing elit",
         "b8384c6f72656d20697073756d20646f6c6f722073697420616d65742c20636f6e736563746574757220616469706973696"
         "3696e"
         "6720656c6974"},
    };
    rdg_buf_t b;
    rdg_buf_init(&b, 1024);
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
        rdg_buf_clear(&b);
        CHECK_OK(rdg_rlp_put_str(&b, strings[i].text));
        check_bytes(&b, strings[i].hex);
    }
    static const struct {
        uint64_t v;
        const char *hex;
    } ints[] = {{0, "80"},     {15, "0f"},       {127, "7f"},
                {128, "8180"}, {1024, "820400"}, {UINT64_MAX, "88ffffffffffffffff"}};
    for (size_t i = 0; i < sizeof ints / sizeof ints[0]; i++) {
        rdg_buf_clear(&b);
        CHECK_OK(rdg_rlp_put_u64(&b, ints[i].v));
        check_bytes(&b, ints[i].hex);
    }
    rdg_buf_clear(&b);
    size_t list = rdg_rlp_list_begin(&b);
    rdg_rlp_put_str(&b, "cat");
    rdg_rlp_put_str(&b, "dog");
    CHECK_OK(rdg_rlp_list_end(&b, list));
    check_bytes(&b, "c88363617483646f67");
    rdg_buf_fini(&b);
}

TEST(rlp_nests_lists) {
    rdg_buf_t b;
    rdg_buf_init(&b, 1024);
    size_t outer = rdg_rlp_list_begin(&b);
    rdg_rlp_list_end(&b, rdg_rlp_list_begin(&b));
    size_t mid = rdg_rlp_list_begin(&b);
    rdg_rlp_list_end(&b, rdg_rlp_list_begin(&b));
    rdg_rlp_list_end(&b, mid);
    CHECK_OK(rdg_rlp_list_end(&b, outer));
    check_bytes(&b, "c3c0c1c0");
    rdg_buf_fini(&b);
}

TEST(rlp_long_list_round_trips) {
    rdg_buf_t b;
    rdg_buf_init(&b, 1 << 20);
    uint8_t blob[70000];
    memset(blob, 0xab, sizeof blob);
    size_t list = rdg_rlp_list_begin(&b);
    for (uint64_t i = 0; i < 300; i++) rdg_rlp_put_u64(&b, i * i * i * i * i * i);
    rdg_rlp_put_bytes(&b, rdg_bytes(blob, sizeof blob));
    rdg_rlp_put_uint(&b, rdg_bytes("\0\0\1\2", 4));
    CHECK_OK(rdg_rlp_list_end(&b, list));
    rdg_rlp_t c, sub;
    rdg_rlp_init(&c, rdg_buf_view(&b));
    CHECK(rdg_rlp_is_list(&c));
    CHECK_OK(rdg_rlp_list(&c, &sub));
    CHECK_OK(rdg_rlp_done(&c));
    for (uint64_t i = 0; i < 300; i++) CHECK(rdg_rlp_u64(&sub) == i * i * i * i * i * i);
    rdg_bytes_t v = rdg_rlp_bytes(&sub);
    CHECK_EQ(v.len, sizeof blob);
    uint8_t word[32];
    rdg_rlp_uint256(&sub, word);
    CHECK_EQ(word[30] << 8 | word[31], 0x102);
    CHECK_OK(rdg_rlp_done(&sub));
    rdg_buf_fini(&b);
}

TEST(rlp_refuses_every_second_encoding_of_a_value) {
    static const char *const bad[] = {
        "8100",
        "817f", /* one small byte with a prefix */
        "b800",
        "b83700",
        "f800", /* long form for a short length */
        "b90038",
        "f90038", /* length with a leading zero */
        "83646f",
        "b8",
        "b838",
        "bf",
        "c3646f",
        "f8",
        "c18363",
        "ff",
        "ffffffffffffffffff",
        "bfffffffffffffffff", /* runs past the end */
        "",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint8_t data[16];
        size_t len = strlen(bad[i]) / 2;
        CHECK_OK(rdg_hex_decode(bad[i], strlen(bad[i]), data, len));
        rdg_rlp_t c, sub;
        rdg_rlp_init(&c, rdg_bytes(data, len));
        if (rdg_rlp_is_list(&c)) {
            rdg_rlp_list(&c, &sub);
            rdg_rlp_bytes(&sub);
            CHECK_ERR(rdg_rlp_done(&sub), RDG_E_MALFORMED);
        } else {
            CHECK_EQ(rdg_rlp_bytes(&c).len, 0);
            CHECK_ERR(rdg_rlp_done(&c), RDG_E_MALFORMED);
        }
    }
}

static rdg_rlp_t cursor(const char *data, size_t len) {
    rdg_rlp_t c;
    rdg_rlp_init(&c, rdg_bytes(data, len));
    return c;
}

TEST(rlp_typed_reads_refuse_what_does_not_fit) {
    uint8_t out[32];
    rdg_rlp_t c = cursor("\x82\x00\x01", 3), sub;
    CHECK_EQ(rdg_rlp_u64(&c), 0);
    CHECK_EQ(c.err, RDG_E_MALFORMED);
    c = cursor("\x00", 1); /* zero is the empty string */
    rdg_rlp_u64(&c);
    CHECK_EQ(c.err, RDG_E_MALFORMED);
    c = cursor("\x89\x01\x02\x03\x04\x05\x06\x07\x08\x09", 10);
    rdg_rlp_u64(&c);
    CHECK_EQ(c.err, RDG_E_MALFORMED);
    c = cursor("\xc0", 1);
    rdg_rlp_bytes(&c);
    CHECK_EQ(c.err, RDG_E_MALFORMED);
    c = cursor("\x80", 1);
    CHECK_ERR(rdg_rlp_list(&c, &sub), RDG_E_MALFORMED);
    CHECK(!rdg_rlp_more(&sub));
    CHECK_ERR(rdg_rlp_done(&sub), RDG_E_MALFORMED);
    memset(out, 9, sizeof out);
    c = cursor("\x82\x01\x02", 3);
    rdg_rlp_fixed(&c, out, 3);
    CHECK_EQ(c.err, RDG_E_MALFORMED);
    CHECK_MEM(out, "\0\0\0\x09", 4);
    c = cursor("\x82\x01\x02", 3);
    CHECK_EQ(rdg_rlp_bytes_max(&c, 1).len, 0);
    CHECK_EQ(c.err, RDG_E_MALFORMED);
}

TEST(rlp_raw_gives_the_item_with_its_header_and_done_sees_left_overs) {
    rdg_rlp_t c = cursor("\xc2\x01\x02\x83"
                         "abc\x05",
                         8);
    CHECK_EQ(rdg_rlp_raw(&c).len, 3);
    CHECK_EQ(rdg_rlp_raw(&c).len, 4);
    CHECK_ERR(rdg_rlp_done(&c), RDG_E_MALFORMED);
    CHECK_EQ(rdg_rlp_u64(&c), 5);
    CHECK_OK(rdg_rlp_done(&c));
}

TEST(rlp_encoding_reports_a_full_buffer_once_at_the_end) {
    rdg_buf_t b;
    rdg_buf_init(&b, 6);
    size_t list = rdg_rlp_list_begin(&b);
    rdg_rlp_put_str(&b, "abcd");
    rdg_rlp_put_str(&b, "e");
    CHECK_ERR(rdg_rlp_list_end(&b, list), RDG_E_TOO_LARGE);
    rdg_buf_fini(&b);
}
