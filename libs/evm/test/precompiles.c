/* The precompiles, against the values that their EIPs and standards give. */
#include "ridge/codec/hex.h"
#include "world.h"

TEST(precompiles_compute_and_charge) {
    world_t *w = world_new();
    static const uint8_t sha256_abc[4] = {0xba, 0x78, 0x16, 0xbf}, sm3_abc[4] = {0x66, 0xc7, 0xf0, 0xf4};
    rdg_bytes_t abc = rdg_bytes("abc", 3);
    CHECK_EQ(world_call(w, world_sender(), address_of(2), abc, 100), RDG_EVM_SUCCESS);
    CHECK_MEM(w->result.output.data, sha256_abc, 4);
    CHECK_EQ(w->result.gas_left, 28);
    CHECK_EQ(world_call(w, world_sender(), address_of(2), abc, 71), RDG_EVM_PRECOMPILE_FAILED);
    CHECK_EQ(world_call(w, world_sender(), address_of(4), abc, 100), RDG_EVM_SUCCESS);
    CHECK(w->result.output.len == 3 && memcmp(w->result.output.data, "abc", 3) == 0);
    CHECK_EQ(w->result.gas_left, 82);
    CHECK_EQ(world_call(w, world_sender(), address_of(0x52444701), abc, 100), RDG_EVM_SUCCESS);
    CHECK_MEM(w->result.output.data, sm3_abc, 4);
    world_free(w);
}

TEST(ripemd_modexp_and_blake2f_give_the_values_of_their_eips) {
    world_t *w = world_new();
    static const uint8_t ripemd_abc[4] = {0x8e, 0xb2, 0x08, 0xf7};
    CHECK_EQ(world_call(w, world_sender(), address_of(3), rdg_bytes("abc", 3), 1000), RDG_EVM_SUCCESS);
    CHECK_MEM(w->result.output.data + 12, ripemd_abc, 4);
    CHECK_EQ(w->result.gas_left, 1000 - 720);
    /* 3 ^ 5 mod 100, in lengths of 1, 1 and 2. */
    uint8_t power[100] = {[31] = 1, [63] = 1, [95] = 2, [96] = 3, [97] = 5, [99] = 100};
    CHECK_EQ(world_call(w, world_sender(), address_of(5), rdg_bytes(power, sizeof power), 200),
             RDG_EVM_SUCCESS);
    CHECK(w->result.output.len == 2 && w->result.output.data[0] == 0 && w->result.output.data[1] == 43);
    power[99] = 0; /* modulus 0 */
    CHECK_EQ(world_call(w, world_sender(), address_of(5), rdg_bytes(power, sizeof power), 200),
             RDG_EVM_SUCCESS);
    CHECK(w->result.output.len == 2 && w->result.output.data[1] == 0);
    memset(power, 0xff, 96); /* lengths of 2^256 - 1 */
    CHECK_EQ(world_call(w, world_sender(), address_of(5), rdg_bytes(power, sizeof power), UINT64_MAX - 1),
             RDG_EVM_PRECOMPILE_FAILED);
    /* EIP-152, test vector 5: "abc" in 12 rounds. */
    static const uint8_t blake_abc[8] = {0xba, 0x80, 0xa5, 0x3f, 0x98, 0x1c, 0x4d, 0x0d};
    static const uint64_t state[8] = {0x6a09e667f2bdc948, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b,
                                      0xa54ff53a5f1d36f1, 0x510e527fade682d1, 0x9b05688c2b3e6c1f,
                                      0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};
    uint8_t input[213] = {[3] = 12, [68] = 'a', 'b', 'c', [196] = 3, [212] = 1};
    for (size_t i = 0; i < 64; ++i) input[4 + i] = (uint8_t)(state[i / 8] >> (8 * (i % 8)));
    CHECK_EQ(world_call(w, world_sender(), address_of(9), rdg_bytes(input, sizeof input), 12),
             RDG_EVM_SUCCESS);
    CHECK_EQ(w->result.output.len, 64);
    CHECK_MEM(w->result.output.data, blake_abc, 8);
    input[212] = 2;
    CHECK_EQ(world_call(w, world_sender(), address_of(9), rdg_bytes(input, sizeof input), 12),
             RDG_EVM_PRECOMPILE_FAILED);
    CHECK_EQ(world_call(w, world_sender(), address_of(9), rdg_bytes(input, 212), 12),
             RDG_EVM_PRECOMPILE_FAILED);
    world_free(w);
}

TEST(a_precompile_that_is_absent_says_so_and_takes_the_gas) {
    world_t *w = world_new();
    CHECK_EQ(world_call(w, world_sender(), address_of(10), rdg_bytes(NULL, 0), 100000),
             RDG_EVM_PRECOMPILE_ABSENT);
    CHECK_EQ(w->result.gas_left, 0);
    w->context.revision = RDG_EVM_SHANGHAI; /* knows none there */
    CHECK_EQ(world_call(w, world_sender(), address_of(10), rdg_bytes(NULL, 0), 100000), RDG_EVM_SUCCESS);
    world_free(w);
}

TEST(a_contract_can_verify_sm2) {
    world_t *w = world_new();
    rdg_sm2_key_t *key;
    uint8_t input[64 + 64 + 7];
    rdg_sm2_public_t pub;
    rdg_sm2_signature_t sig;
    CHECK_OK(rdg_sm2_key_generate(&key));
    rdg_sm2_key_public(key, &pub);
    CHECK_OK(rdg_sm2_sign(key, "reading", 7, &sig));
    memcpy(input, pub.b, 64);
    memcpy(input + 64, sig.b, 64);
    memcpy(input + 128, "reading", 7);
    CHECK_EQ(world_call(w, world_sender(), address_of(0x52444702), rdg_bytes(input, sizeof input), 5000),
             RDG_EVM_SUCCESS);
    CHECK_EQ(world_output_u64(w), 1);
    CHECK_EQ(world_gas_used(w, 5000), 3450 + 12 * 5);
    input[130] ^= 1;
    CHECK_EQ(world_call(w, world_sender(), address_of(0x52444702), rdg_bytes(input, sizeof input), 5000),
             RDG_EVM_SUCCESS);
    CHECK_EQ(world_output_u64(w), 0);
    CHECK_EQ(world_call(w, world_sender(), address_of(0x52444702), rdg_bytes(input, 127), 5000),
             RDG_EVM_SUCCESS);
    CHECK_EQ(world_output_u64(w), 0);
    rdg_sm2_key_free(key);
    world_free(w);
}

TEST(a_contract_can_use_sm4) {
    world_t *w = world_new();
    rdg_address_t sm4 = address_of(0x52444703);
    /* GB/T 32907, example 1: one block, key and block alike. CBC with a zero IV is that block. */
    static const uint8_t key[16] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
                                    0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10};
    static const uint8_t cipher[16] = {0x68, 0x1e, 0xdf, 0x34, 0xd2, 0x06, 0x96, 0x5e,
                                       0x86, 0xb3, 0xe9, 0x4f, 0x53, 0x6e, 0x42, 0x46};
    uint8_t input[49] = {1};
    memcpy(input + 1, key, 16);
    memcpy(input + 33, key, 16);
    CHECK_EQ(world_call(w, world_sender(), sm4, rdg_bytes(input, 49), 1000), RDG_EVM_SUCCESS);
    CHECK_EQ(w->result.output.len, 16);
    CHECK_MEM(w->result.output.data, cipher, 16);
    CHECK_EQ(world_gas_used(w, 1000), 600 + 24);
    input[0] = 2;
    memcpy(input + 33, cipher, 16);
    CHECK_EQ(world_call(w, world_sender(), sm4, rdg_bytes(input, 49), 1000), RDG_EVM_SUCCESS);
    CHECK_MEM(w->result.output.data, key, 16);
    input[0] = 0; /* the key stream's first block is the encrypted counter */
    memcpy(input + 17, key, 16);
    memset(input + 33, 0, 16);
    CHECK_EQ(world_call(w, world_sender(), sm4, rdg_bytes(input, 40), 1000), RDG_EVM_SUCCESS);
    CHECK_EQ(w->result.output.len, 7);
    CHECK_MEM(w->result.output.data, cipher, 7);
    CHECK_EQ(world_call(w, world_sender(), sm4, rdg_bytes(input, 33), 1000), RDG_EVM_SUCCESS);
    CHECK_EQ(w->result.output.len, 0);
    CHECK_EQ(world_call(w, world_sender(), sm4, rdg_bytes(input, 32), 1000), RDG_EVM_PRECOMPILE_FAILED);
    input[0] = 1;
    CHECK_EQ(world_call(w, world_sender(), sm4, rdg_bytes(input, 40), 1000), RDG_EVM_PRECOMPILE_FAILED);
    input[0] = 3;
    CHECK_EQ(world_call(w, world_sender(), sm4, rdg_bytes(input, 49), 1000), RDG_EVM_PRECOMPILE_FAILED);
    world_free(w);
}
