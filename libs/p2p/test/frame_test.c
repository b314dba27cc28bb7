#include "frame.h"
#include "handshake.h"
#include "ridge/test.h"

TEST(a_frame_is_cut_only_when_it_is_whole) {
    uint8_t wire[FRAME_HEAD + 3], type;
    rdg_bytes_t payload;
    size_t used;
    frame_head(wire, 17, 3);
    memcpy(wire + FRAME_HEAD, "abc", 3);
    for (size_t len = 0; len < sizeof wire; ++len) {
        CHECK_OK(frame_next(rdg_bytes(wire, len), 100, &type, &payload, &used));
        CHECK_EQ(used, 0);
    }
    CHECK_OK(frame_next(rdg_bytes(wire, sizeof wire), 100, &type, &payload, &used));
    CHECK_EQ(used, sizeof wire);
    CHECK_EQ(type, 17);
    CHECK_MEM(payload.data, "abc", 3);
}

TEST(a_frame_that_is_empty_or_too_large_is_refused) {
    static const uint8_t empty[] = {0, 0, 0, 0, 1}, large[] = {0, 0, 0, 101, 1};
    uint8_t type;
    rdg_bytes_t payload;
    size_t used;
    CHECK_ERR(frame_next(rdg_bytes(empty, sizeof empty), 100, &type, &payload, &used), RDG_E_MALFORMED);
    CHECK_ERR(frame_next(rdg_bytes(large, sizeof large), 100, &type, &payload, &used), RDG_E_TOO_LARGE);
}

TEST(a_hello_is_read_strictly) {
    hello_t h = {.chain_id = 5}, got;
    uint8_t wire[HELLO_BYTES];
    hello_encode(&h, wire);
    CHECK_OK(hello_decode(rdg_bytes(wire, sizeof wire), &got));
    CHECK_EQ(got.chain_id, 5);
    CHECK_ERR(hello_decode(rdg_bytes(wire, sizeof wire - 1), &got), RDG_E_MALFORMED);
    wire[1] = 9;
    CHECK_ERR(hello_decode(rdg_bytes(wire, sizeof wire), &got), RDG_E_UNSUPPORTED);
    got = h;
    got.genesis.b[3] = 1;
    CHECK_ERR(hello_match(&h, &got), RDG_E_WRONG_CHAIN);
}
