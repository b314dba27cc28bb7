#include "keccak.h"
#include "ridge/crypto/hash.h"
#include "ridge/crypto/hmac.h"
#include "ridge/test.h"
#include "sm3_lanes.h"

static void check_hex(const uint8_t *got, const char *hex) {
    char text[65];
    for (int i = 0; i < 32; i++) {
        static const char digits[] = "0123456789abcdef";
        text[2 * i] = digits[got[i] >> 4];
        text[2 * i + 1] = digits[got[i] & 15];
    }
    text[64] = 0;
    CHECK_STR(text, hex);
}

/* GB/T 32905-2016 appendix A. */
TEST(sm3_standard_vectors) {
    rdg_hash_t h;
    rdg_sm3("abc", 3, &h);
    check_hex(h.b, "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0");
    rdg_sm3("abcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcd", 64, &h);
    check_hex(h.b, "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732");
    rdg_sm3(NULL, 0, &h);
    check_hex(h.b, "1ab21d8355cfa17f8e61194831e81a8f22bec8c728fefb747ed035eb5082aa2b");
}

TEST(sm3_tagged_is_the_digest_of_the_concatenation) {
    const rdg_bytes_t parts[] = {rdg_bytes("ab", 2), rdg_bytes(NULL, 0), rdg_bytes("c", 1)};
    rdg_hash_t a, b;
    rdg_sm3_tagged(RDG_DOMAIN_TX, parts, 3, &a);
    rdg_sm3("\x01"
            "abc",
            4, &b);
    CHECK(rdg_hash_equal(&a, &b));
    rdg_sm3_tagged(RDG_DOMAIN_HEADER, parts, 3, &b);
    CHECK(!rdg_hash_equal(&a, &b));
    rdg_sm3_parts(parts, 3, &a);
    rdg_sm3("abc", 3, &b);
    CHECK(rdg_hash_equal(&a, &b));
    CHECK(!rdg_hash_is_zero(&a));
    memset(&a, 0, sizeof a);
    CHECK(rdg_hash_is_zero(&a));
}

/* Lengths around every boundary of blocks and padding, and some long among short ones, by each path. */
TEST(sm3_of_many_is_that_of_each_by_every_path) {
    enum { MOST = 100 };
    static uint8_t text[3000];
    rdg_sm3_input_t inputs[MOST];
    rdg_hash_t got[MOST], want;
    rdg_random_fill(rdg_test_random(), text, sizeof text);
    int usable = 0;
    for (const rdg_sm3_path_t *p = rdg_sm3_paths; p->name; p++) {
        if (!rdg_sm3_path_usable(p)) continue;
        usable++;
        rdg_sm3_path_force(p);
        for (size_t count = 0; count <= MOST; count++) {
            for (size_t i = 0; i < count; i++) {
                size_t most = count % 5 == 0 && i % 9 == 0 ? sizeof text : 140;
                size_t head = (size_t)rdg_random_below(rdg_test_random(), most + 1);
                size_t body = (size_t)rdg_random_below(rdg_test_random(), most + 1 - head);
                inputs[i] = (rdg_sm3_input_t){rdg_bytes(text + i % 7 * (most < 200), head),
                                              rdg_bytes(text + (sizeof text - body) / 2, body)};
                if (i % 11 == 3) inputs[i].head = rdg_bytes(NULL, 0);
            }
            if (count % 2)
                rdg_sm3_many(inputs, count, got);
            else
                rdg_sm3_tagged_many(RDG_DOMAIN_STATE_LEAF, inputs, count, got);
            for (size_t i = 0; i < count; i++) {
                const rdg_bytes_t parts[2] = {inputs[i].head, inputs[i].body};
                if (count % 2)
                    rdg_sm3_parts(parts, 2, &want);
                else
                    rdg_sm3_tagged(RDG_DOMAIN_STATE_LEAF, parts, 2, &want);
                CHECK_MEM(&got[i], &want, sizeof want);
            }
        }
        rdg_sm3_path_force(NULL);
    }
    CHECK(usable >= 3);
}

TEST(sm3_of_many_knows_the_standards_examples) {
    rdg_sm3_input_t inputs[20];
    rdg_hash_t got[20];
    for (const rdg_sm3_path_t *p = rdg_sm3_paths; p->name; p++) {
        if (!rdg_sm3_path_usable(p)) continue;
        rdg_sm3_path_force(p);
        for (int i = 0; i < 20; i++)
            inputs[i] = (rdg_sm3_input_t){rdg_bytes("abcdabcdabcdabcdabcdabcdabcdabcd", i % 2 ? 3 : 32),
                                          rdg_bytes("abcdabcdabcdabcdabcdabcdabcdabcd", i % 2 ? 0 : 32)};
        rdg_sm3_many(inputs, 20, got);
        for (int i = 0; i < 20; i++)
            check_hex(got[i].b, i % 2 ? "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
                                      : "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732");
    }
    rdg_sm3_path_force(NULL);
}

/* Roots over more leaves than are prepared at a time, against a plain computation. */
TEST(merkle_root_of_many_leaves_is_the_plain_one) {
    enum { MOST = 300 };
    static rdg_hash_t leaves[MOST], plain[MOST];
    static rdg_bytes_t items[MOST];
    for (size_t count = 1; count <= MOST; count += 1 + count / 3) {
        rdg_hash_t root;
        for (size_t i = 0; i < count; i++) {
            items[i] = rdg_bytes(leaves, i % 200); /* any bytes */
            rdg_merkle_leaf(items[i], &plain[i]);
        }
        rdg_hash_t got[MOST];
        rdg_merkle_leaves(items, count, got);
        CHECK_MEM(got, plain, count * sizeof *got);
        rdg_merkle_root(got, count, &root);
        for (size_t left = count; left > 1; left = left / 2 + left % 2) {
            for (size_t i = 0; i < left / 2; i++) {
                const rdg_bytes_t both = rdg_bytes(&plain[2 * i], 64);
                rdg_hash_t parent;
                rdg_sm3_tagged(RDG_DOMAIN_MERKLE_INNER, &both, 1, &parent);
                plain[i] = parent;
            }
            if (left % 2) plain[left / 2] = plain[left - 1];
        }
        CHECK_MEM(&root, &plain[0], sizeof root);
    }
}

TEST(streams_equal_one_shot_and_can_be_used_again) {
    uint8_t data[1000], want[32], got[32];
    rdg_random_fill(rdg_test_random(), data, sizeof data);
    rdg_hash_t a, b;
    rdg_sm3(data, sizeof data, &a);
    rdg_sha256(data, sizeof data, want);
    rdg_sm3_stream_t *s = rdg_sm3_stream_new();
    rdg_sha256_stream_t *t = rdg_sha256_stream_new();
    CHECK(s && t);
    for (int round = 0; round < 2; round++) {
        for (size_t at = 0, n = 1; at < sizeof data; at += n, n = n * 2 + 1) {
            if (n > sizeof data - at) n = sizeof data - at;
            rdg_sm3_stream_update(s, data + at, n);
            rdg_sha256_stream_update(t, data + at, n);
        }
        rdg_sm3_stream_final(s, &b);
        rdg_sha256_stream_final(t, got);
        CHECK(rdg_hash_equal(&a, &b));
        CHECK_MEM(got, want, 32);
    }
    rdg_sm3_stream_free(s);
    rdg_sha256_stream_free(t);
}

/* FIPS 180-4 examples. */
TEST(sha256_standard_vectors) {
    uint8_t h[32];
    rdg_sha256("abc", 3, h);
    check_hex(h, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    rdg_sha256(NULL, 0, h);
    check_hex(h, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(keccak256_known_vectors) {
    uint8_t h[32], block[200];
    rdg_keccak256(NULL, 0, h);
    check_hex(h, "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
    rdg_keccak256("abc", 3, h);
    check_hex(h, "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45");
    rdg_keccak256("transfer(address,uint256)", 25, h);
    CHECK_MEM(h, "\xa9\x05\x9c\xbb", 4);
    rdg_keccak256("The quick brown fox jumps over the lazy dog", 43, h);
    check_hex(h, "4d741b6f1eb29cb2a9b9911c82f56fa8d73b04959d3d9d222895df6c0b28aa15");
    /* Around the rate of 136 bytes, where the padding takes its three forms. */
    memset(block, 'a', sizeof block);
    rdg_keccak256(block, 135, h);
    check_hex(h, "34367dc248bbd832f4e3e69dfaac2f92638bd0bbd18f2912ba4ef454919cf446");
    rdg_keccak256(block, 136, h);
    check_hex(h, "a6c4d403279fe3e0af03729caada8374b5ca54d8065329a3ebcaeb4b60aa386e");
    rdg_keccak256(block, 137, h);
    check_hex(h, "d869f639c7046b4929fc92a4d988a8b22c55fbadb802c0c66ebcd484f1915f39");
}

/* The five step mappings as FIPS 202 defines them (section 3.2), rotations and constants computed. */
static void keccak_by_definition(uint64_t a[25]) {
    unsigned lfsr = 1;
    for (int round = 0; round < 24; round++) {
        uint64_t c[5], b[25];
        for (int x = 0; x < 5; x++) c[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
        for (int i = 0; i < 25; i++) {
            uint64_t right = c[(i + 1) % 5];
            a[i] ^= c[(i + 4) % 5] ^ (right << 1 | right >> 63);
        }
        b[0] = a[0];
        for (int t = 0, x = 1, y = 0; t < 24; t++) {
            int rotation = (t + 1) * (t + 2) / 2 % 64, next = (2 * x + 3 * y) % 5;
            uint64_t v = a[x + 5 * y];
            b[y + 5 * next] = v << rotation | v >> (64 - rotation) % 64;
            x = y, y = next;
        }
        for (int i = 0; i < 25; i++) {
            int row = i - i % 5;
            a[i] = b[i] ^ (~b[row + (i + 1) % 5] & b[row + (i + 2) % 5]);
        }
        for (int j = 0; j < 7; j++) {
            a[0] ^= (uint64_t)(lfsr & 1) << ((1 << j) - 1);
            lfsr = lfsr << 1 ^ (lfsr & 0x80 ? 0x171 : 0);
        }
    }
}

TEST(keccak_permutes_as_its_definition_says_on_every_processor) {
    uint64_t want[25], portable[25], best[25];
    for (int n = 0; n < 1000; n++) {
        memset(want, 0, sizeof want);
        if (n > 0) rdg_random_fill(rdg_test_random(), want, sizeof want);
        memcpy(portable, want, sizeof want);
        memcpy(best, want, sizeof want);
        keccak_by_definition(want);
        rdg_keccak_permute_portable(portable);
        rdg_keccak_permute(best);
        CHECK_MEM(portable, want, sizeof want);
        CHECK_MEM(best, want, sizeof want);
    }
}

/* Every length over three blocks, against the sponge written out byte by byte. */
TEST(keccak256_pads_every_length) {
    uint8_t data[409], block[200], h[32];
    rdg_random_fill(rdg_test_random(), data, sizeof data);
    for (size_t len = 0; len <= sizeof data; len++) {
        uint64_t a[25] = {0};
        for (size_t at = 0; at <= len; at += 136) {
            memset(block, 0, sizeof block);
            size_t n = len - at < 136 ? len - at : 136;
            memcpy(block, data + at, n);
            if (n < 136) block[n] ^= 0x01, block[135] ^= 0x80;
            for (size_t i = 0; i < 136; i++) a[i / 8] ^= (uint64_t)block[i] << (8 * (i % 8));
            keccak_by_definition(a);
        }
        rdg_keccak256(data, len, h);
        for (size_t i = 0; i < 32; i++) CHECK_EQ(h[i], (a[i / 8] >> (8 * (i % 8))) & 0xff);
    }
}

static void leaf(int i, rdg_hash_t *out) {
    uint8_t b = (uint8_t)i;
    rdg_merkle_leaf(rdg_bytes(&b, 1), out);
}

static void inner(const rdg_hash_t *l, const rdg_hash_t *r, rdg_hash_t *out) {
    uint8_t text[65] = {RDG_DOMAIN_MERKLE_INNER};
    memcpy(text + 1, l, 32);
    memcpy(text + 33, r, 32);
    rdg_sm3(text, sizeof text, out);
}

TEST(merkle_root_carries_an_odd_node_up_and_never_doubles_it) {
    rdg_hash_t l[5], ab, cd, abcd, want, root;
    rdg_merkle_root(l, 0, &root);
    CHECK(rdg_hash_is_zero(&root));
    leaf(0, &l[0]);
    want = l[0];
    rdg_merkle_root(l, 1, &root);
    CHECK(rdg_hash_equal(&root, &want));

    for (int i = 0; i < 5; i++) leaf(i, &l[i]);
    inner(&l[0], &l[1], &ab);
    inner(&l[2], &l[3], &cd);
    inner(&ab, &cd, &abcd);
    inner(&abcd, &l[4], &want);
    rdg_merkle_root(l, 5, &root);
    CHECK(rdg_hash_equal(&root, &want));

    rdg_hash_t three[3], four[4], root3, root4;
    for (int i = 0; i < 3; i++) leaf(i, &three[i]);
    for (int i = 0; i < 4; i++) leaf(i < 3 ? i : 2, &four[i]);
    rdg_merkle_root(three, 3, &root3);
    rdg_merkle_root(four, 4, &root4);
    CHECK(!rdg_hash_equal(&root3, &root4));
}

/* RFC 4231, cases 2 and 6. */
TEST(hmac_sha256_as_rfc_4231_has_it) {
    uint8_t out[32], key[131];
    memset(key, 0xaa, sizeof key);
    rdg_hmac_sha256(out, rdg_bytes_str("Jefe"), rdg_bytes_str("what do ya want for nothing?"));
    check_hex(out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    rdg_hmac_sha256(out, rdg_bytes(key, sizeof key),
                    rdg_bytes_str("Test Using Larger Than Block-Size Key - Hash Key First"));
    check_hex(out, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}
