#include "ridge/codec/base64.h"

#include "ridge/test.h"

/* RFC 4648, section 10. */
TEST(base64_of_the_rfc) {
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        rdg_buf_t text;
        uint8_t back[8];
        size_t len;
        rdg_buf_init(&text, 64);
        CHECK_OK(rdg_base64_append(&text, pairs[i][0], strlen(pairs[i][0])));
        CHECK_STR(rdg_buf_cstr(&text), pairs[i][1]);
        CHECK_OK(rdg_base64_decode(rdg_buf_view(&text), back, sizeof back, &len));
        CHECK(rdg_bytes_equal(rdg_bytes(back, len), rdg_bytes_str(pairs[i][0])));
        if (len) CHECK_ERR(rdg_base64_decode(rdg_buf_view(&text), back, len - 1, &len), RDG_E_TOO_LARGE);
        rdg_buf_fini(&text);
    }
}

TEST(base64_has_one_text_for_each_value) {
    static const char *const wrong[] = {
        "Z",        "Zg",    "Zg=",  "Zg===", "Zh==",     "Zm9=", "=",    "====",
        "Zg==Zg==", "Zm9v=", "Zm-v", "Zm_v",  "Zm9v\x01", "Z=g=", "Zm8=v"};
    uint8_t back[64];
    size_t len;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK_ERR(rdg_base64_decode(rdg_bytes_str(wrong[i]), back, sizeof back, &len), RDG_E_MALFORMED);
    CHECK_OK(rdg_base64_decode(rdg_bytes_str(" Zm\r\n9v\nYg = =\n"), back, sizeof back, &len));
    CHECK_EQ(len, 4);
    CHECK_MEM(back, "foob", 4);
    CHECK_ERR(rdg_base64_decode(rdg_bytes("Zm\0v", 4), back, sizeof back, &len), RDG_E_MALFORMED);
}

TEST(base64_round_trips) {
    uint8_t data[100], back[100];
    for (size_t n = 0; n <= sizeof data; n++) {
        rdg_buf_t text;
        size_t len;
        rdg_buf_init(&text, 200);
        rdg_random_fill(rdg_test_random(), data, n);
        CHECK_OK(rdg_base64_append(&text, data, n));
        CHECK_OK(rdg_base64_decode(rdg_buf_view(&text), back, sizeof back, &len));
        CHECK(rdg_bytes_equal(rdg_bytes(back, len), rdg_bytes(data, n)));
        rdg_buf_fini(&text);
    }
}
