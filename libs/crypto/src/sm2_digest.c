#include "sm2_digest.h"

#include <string.h>

#define HEX32(a, b, c, d, e, f, g, h) BE(a), BE(b), BE(c), BE(d), BE(e), BE(f), BE(g), BE(h)
#define BE(w) (uint8_t)((w) >> 24), (uint8_t)((w) >> 16 & 255), (uint8_t)((w) >> 8 & 255), (uint8_t)((w)&255)

#define SM2_A                                                                                                \
    HEX32(0xfffffffeu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0x00000000u, 0xffffffffu,         \
          0xfffffffcu)
#define SM2_B                                                                                                \
    HEX32(0x28e9fa9eu, 0x9d9f5e34u, 0x4d5a9e4bu, 0xcf6509a7u, 0xf39789f5u, 0x15ab8f92u, 0xddbcbd41u,         \
          0x4d940e93u)
#define SM2_GX                                                                                               \
    HEX32(0x32c4ae2cu, 0x1f198119u, 0x5f990446u, 0x6a39c994u, 0x8fe30bbfu, 0xf2660be1u, 0x715a4589u,         \
          0x334c74c7u)
#define SM2_GY                                                                                               \
    HEX32(0xbc3736a2u, 0xf4f6779cu, 0x59bdcee3u, 0x6b692153u, 0xd0a9877cu, 0xc62a4740u, 0x02df32e5u,         \
          0x2139f0a0u)

const uint8_t rdg_sm2_n[32] = {HEX32(0xfffffffeu, 0xffffffffu, 0xffffffffu, 0xffffffffu, 0x7203df6bu,
                                     0x21c6052bu, 0x53bbf409u, 0x39d54123u)};
const uint8_t rdg_sm2_half_n[32] = {HEX32(0x7fffffffu, 0x7fffffffu, 0xffffffffu, 0xffffffffu, 0xb901efb5u,
                                          0x90e30295u, 0xa9ddfa04u, 0x9ceaa091u)};
const uint8_t rdg_sm2_gx[32] = {SM2_GX}, rdg_sm2_gy[32] = {SM2_GY};

/* ENTL (128 bits), the id, a, b, G: what stands before the public key in Z. */
static const uint8_t z_prefix[] = {0x00, 0x80, '1', '2', '3', '4', '5', '6',   '7',   '8',    '1',
                                   '2',  '3',  '4', '5', '6', '7', '8', SM2_A, SM2_B, SM2_GX, SM2_GY};

#define ID_BYTES (2 + 16)
const rdg_bytes_t rdg_sm2_curve = {z_prefix + ID_BYTES, sizeof z_prefix - ID_BYTES};

void rdg_sm2_z(const rdg_sm2_public_t *pub, rdg_hash_t *z) {
    uint8_t text[sizeof z_prefix + sizeof pub->b];
    memcpy(text, z_prefix, sizeof z_prefix);
    memcpy(text + sizeof z_prefix, pub->b, sizeof pub->b);
    rdg_sm3(text, sizeof text, z);
}

void rdg_sm2_e(const rdg_hash_t *z, const void *msg, size_t len, rdg_hash_t *e) {
    const rdg_bytes_t parts[] = {rdg_bytes(z->b, sizeof z->b), rdg_bytes(msg, len)};
    rdg_sm3_parts(parts, 2, e);
}

bool rdg_sm2_low_s(const rdg_sm2_signature_t *sig) {
    return memcmp(sig->b + 32, rdg_sm2_half_n, 32) <= 0;
}
