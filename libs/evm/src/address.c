#include <string.h>
#include "ridge/crypto/hash.h"
#include "ridge/evm/evm.h"

void rdg_evm_create_address(const rdg_address_t *sender, uint64_t nonce, rdg_address_t *out) {
    /* rlp([address, nonce]) is at most 31 bytes; built in place, so that it cannot run out of memory. */
    uint8_t rlp[31] = {0, 0x80 + sizeof sender->b}, digits[8], hash[32];
    size_t len = 2 + sizeof sender->b;
    memcpy(rlp + 2, sender->b, sizeof sender->b);
    rdg_store_be64(digits, nonce);
    size_t first = 0;
    while (first < sizeof digits && digits[first] == 0) ++first;
    size_t count = sizeof digits - first;
    if (count != 1 || digits[7] >= 0x80) rlp[len++] = (uint8_t)(0x80 + count);
    memcpy(rlp + len, digits + first, count);
    len += count;
    rlp[0] = (uint8_t)(0xc0 + len - 1);
    rdg_keccak256(rlp, len, hash);
    memcpy(out->b, hash + 12, sizeof out->b);
}

void rdg_evm_create2_address(const rdg_address_t *sender, const rdg_word_t *salt, rdg_bytes_t init_code,
                             rdg_address_t *out) {
    uint8_t preimage[1 + 20 + 32 + 32] = {0xff}, hash[32];
    memcpy(preimage + 1, sender->b, 20);
    memcpy(preimage + 21, salt->b, 32);
    rdg_keccak256(init_code.len ? init_code.data : (const uint8_t *)"", init_code.len, preimage + 53);
    rdg_keccak256(preimage, sizeof preimage, hash);
    memcpy(out->b, hash + 12, sizeof out->b);
}
