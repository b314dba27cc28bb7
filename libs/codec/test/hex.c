#include "ridge/codec/hex.h"
#include "ridge/test.h"

TEST(hex_encodes_lower_case_with_terminator) {
    char out[9];
    rdg_hex_encode("\x00\xab\xCD\xff", 4, out);
    CHECK_STR(out, "00abcdff");
}

TEST(hex_decodes_both_cases_with_and_without_prefix) {
    uint8_t out[2];
    CHECK_OK(rdg_hex_decode("aBcD", 4, out, 2));
    CHECK_MEM(out, "\xab\xcd", 2);
    CHECK_OK(rdg_hex_decode("0x1234", 6, out, 2));
    CHECK_MEM(out, "\x12\x34", 2);
    CHECK_OK(rdg_hex_decode("0x", 2, out, 0));
}

TEST(hex_refuses_wrong_lengths_and_characters_and_says_where) {
    uint8_t out[3] = {7, 7, 7};
    CHECK_ERR(rdg_hex_decode("abc", 3, out, 2), RDG_E_MALFORMED);
    CHECK_ERR(rdg_hex_decode("abcd", 4, out, 1), RDG_E_MALFORMED);
    CHECK_ERR(rdg_hex_decode("abcd", 4, out, 3), RDG_E_MALFORMED);
    CHECK_EQ(out[0], 7);
    CHECK_ERR(rdg_hex_decode("0xab g1", 7, out, 3), RDG_E_MALFORMED);
    CHECK_ERR(rdg_hex_decode("0xabg1", 6, out, 2), RDG_E_MALFORMED);
    CHECK(strstr(rdg_err_message(RDG_E_MALFORMED), "character 5") != NULL);
}

TEST(hex_into_a_buffer_keeps_to_its_limit) {
    rdg_buf_t b;
    rdg_buf_init(&b, 3);
    CHECK_OK(rdg_hex_decode_buf("0x0102", 6, &b));
    CHECK_EQ(b.len, 2);
    CHECK_ERR(rdg_hex_decode_buf("010", 3, &b), RDG_E_MALFORMED);
    CHECK_ERR(rdg_hex_decode_buf("zz", 2, &b), RDG_E_MALFORMED);
    CHECK_EQ(b.len, 2);
    CHECK_ERR(rdg_hex_decode_buf("0102", 4, &b), RDG_E_TOO_LARGE);
    rdg_buf_fini(&b);
    rdg_buf_init(&b, 1000);
    uint8_t data[200];
    memset(data, 0x5a, sizeof data);
    CHECK_OK(rdg_hex_append(&b, data, sizeof data, true));
    CHECK_EQ(b.len, 402);
    CHECK_MEM(b.data, "0x5a5a", 6);
    rdg_buf_fini(&b);
}
