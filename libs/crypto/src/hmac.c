#include "ridge/crypto/hmac.h"

#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ridge/crypto/hash.h"
#include "sm3_block.h"

#define BLOCK RDG_SM3_BLOCK_BYTES
#define SHA256_BLOCK 64
#define SHA256_SHORT (SHA256_BLOCK + RDG_HMAC_SHA256_TEXT_MAX)
#define HIDDEN_MAX 256 /* padding of a CBC record: 255 and its length byte */

static void pad_key(uint8_t pad[BLOCK], rdg_bytes_t key, uint8_t with) {
    memset(pad, with, BLOCK);
    for (size_t i = 0; i < key.len; i++) pad[i] ^= key.data[i];
}

void rdg_hmac_sm3(uint8_t out[RDG_HMAC_SM3_BYTES], rdg_bytes_t key, const rdg_bytes_t *parts,
                  size_t part_count) {
    RDG_ASSERT(part_count <= RDG_HMAC_SM3_PARTS_MAX);
    uint8_t pad[BLOCK];
    rdg_hash_t short_key, inner, result;
    if (key.len > BLOCK) {
        rdg_sm3(key.data, key.len, &short_key);
        key = rdg_bytes(short_key.b, sizeof short_key.b);
    }
    rdg_bytes_t all[RDG_HMAC_SM3_PARTS_MAX + 1] = {{pad, BLOCK}};
    for (size_t i = 0; i < part_count; i++) all[i + 1] = parts[i];
    pad_key(pad, key, 0x36);
    rdg_sm3_parts(all, part_count + 1, &inner);
    pad_key(pad, key, 0x5c);
    all[1] = rdg_bytes(inner.b, sizeof inner.b);
    rdg_sm3_parts(all, 2, &result);
    memcpy(out, result.b, sizeof result.b);
    rdg_secure_zero(pad, sizeof pad);
    rdg_secure_zero(&inner, sizeof inner);
}

void rdg_hmac_sha256(uint8_t out[32], rdg_bytes_t key, rdg_bytes_t text) {
    uint8_t pad[SHA256_BLOCK] = {0}, inner[SHA256_BLOCK + 32], both[SHA256_SHORT];
    if (key.len > sizeof pad)
        rdg_sha256(key.data, key.len, pad);
    else if (key.len > 0)
        memcpy(pad, key.data, key.len);
    RDG_ASSERT(text.len <= sizeof both - sizeof pad);
    for (size_t i = 0; i < sizeof pad; i++) both[i] = pad[i] ^ 0x36;
    if (text.len > 0) memcpy(both + sizeof pad, text.data, text.len);
    for (size_t i = 0; i < sizeof pad; i++) inner[i] = pad[i] ^ 0x5c;
    rdg_sha256(both, sizeof pad + text.len, inner + sizeof pad);
    rdg_sha256(inner, sizeof inner, out);
    rdg_secure_zero(pad, sizeof pad);
    rdg_secure_zero(both, sizeof both);
    rdg_secure_zero(inner, sizeof inner);
}

/* All ones if a < b, else 0, without a branch; both below 2^63. */
static uint64_t below(uint64_t a, uint64_t b) {
    return 0 - ((a - b) >> 63);
}

static uint64_t same(uint64_t a, uint64_t b) {
    uint64_t x = a ^ b;
    return below(0, x) ^ UINT64_MAX;
}

/* What is the message, its end and its padding at byte `at` of head ‖ data, when the end is a secret. */
typedef struct hidden {
    rdg_bytes_t head, data;
    uint64_t total, bits, last; /* secret: bytes, bits with the key's block, number of the last block */
} hidden_t;

static void hidden_block(const hidden_t *m, uint64_t b, uint8_t block[BLOCK]) {
    uint64_t most = m->head.len + m->data.len, is_last = same(b, m->last);
    for (uint64_t i = 0; i < BLOCK; i++) {
        uint64_t at = b * BLOCK + i;
        uint8_t v = at < m->head.len ? m->head.data[at] : at < most ? m->data.data[at - m->head.len] : 0;
        v = (uint8_t)((v & below(at, m->total)) | (0x80 & same(at, m->total)));
        if (i >= BLOCK - 8) v |= (uint8_t)((m->bits >> (8 * (BLOCK - 1 - i))) & is_last);
        block[i] = v;
    }
}

/* The blocks that are whole whatever the secret are hashed as they stand; of those that may be the last, a
 * handful, each is hashed as if it were, and the state behind the true one is kept. */
void rdg_hmac_sm3_hidden(uint8_t out[RDG_HMAC_SM3_BYTES], const uint8_t key[32], rdg_bytes_t head,
                         rdg_bytes_t data, size_t secret_len) {
    RDG_ASSERT(head.len < BLOCK);
    uint8_t block[BLOCK];
    rdg_sm3_block_t state, kept = {{0}};
    pad_key(block, rdg_bytes(key, 32), 0x36);
    rdg_sm3_block_init(&state);
    rdg_sm3_block_mix(&state, block);

    hidden_t m = {.head = head, .data = data, .total = head.len + secret_len};
    m.bits = (BLOCK + m.total) * 8, m.last = (m.total + 8) / BLOCK;
    uint64_t sure = data.len > HIDDEN_MAX ? (head.len + data.len - HIDDEN_MAX) / BLOCK : 0; /* blocks */
    if (sure > 0) {
        memcpy(block, head.data, head.len);
        memcpy(block + head.len, data.data, BLOCK - head.len);
        rdg_sm3_block_mix(&state, block);
        rdg_sm3_blocks_mix(&state, data.data + BLOCK - head.len, sure - 1);
    }
    for (uint64_t b = sure; b <= (head.len + data.len + 8) / BLOCK; b++) {
        hidden_block(&m, b, block);
        rdg_sm3_block_mix(&state, block);
        uint64_t is_last = same(b, m.last);
        for (int w = 0; w < 8; w++) kept.word[w] |= state.word[w] & (uint32_t)is_last;
    }
    uint8_t inner[32];
    rdg_sm3_block_store(&kept, inner);
    pad_key(block, rdg_bytes(key, 32), 0x5c);
    rdg_hash_t result;
    const rdg_bytes_t outer[] = {{block, BLOCK}, {inner, sizeof inner}};
    rdg_sm3_parts(outer, 2, &result);
    memcpy(out, result.b, sizeof result.b);
    rdg_secure_zero(block, sizeof block);
    rdg_secure_zero(&state, sizeof state);
    rdg_secure_zero(&kept, sizeof kept);
}
