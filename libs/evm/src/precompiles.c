/* The machine's own precompiles. Each states its gas from the input; running then cannot fail for gas. */
#include <string.h>
#include "machine.h"
#include "precompile.h"
#include "ridge/crypto/hash.h"
#include "ridge/crypto/sm4.h"

typedef uint64_t (*gas_fn_t)(rdg_bytes_t in);             /* UINT64_MAX: more than any gas */
typedef bool (*run_fn_t)(rdg_bytes_t in, rdg_buf_t *out); /* false: the call fails */

typedef struct precompile {
    uint32_t number; /* the address */
    rdg_evm_revision_t since;
    gas_fn_t gas;
    run_fn_t run; /* NULL: known to Ethereum, absent here: fails */
} precompile_t;

static const uint8_t nothing[1];

static const uint8_t *bytes_of(rdg_bytes_t in) {
    return in.len ? in.data : nothing;
}

static uint64_t sha256_gas(rdg_bytes_t in) {
    return 60 + 12 * evm_words(in.len);
}

static bool sha256_run(rdg_bytes_t in, rdg_buf_t *out) {
    uint8_t digest[32];
    rdg_sha256(bytes_of(in), in.len, digest);
    return rdg_buf_append(out, digest, sizeof digest) == RDG_OK;
}

static uint64_t identity_gas(rdg_bytes_t in) {
    return 15 + 3 * evm_words(in.len);
}

static bool identity_run(rdg_bytes_t in, rdg_buf_t *out) {
    return rdg_buf_append(out, bytes_of(in), in.len) == RDG_OK;
}

static bool sm3_run(rdg_bytes_t in, rdg_buf_t *out) {
    rdg_hash_t digest;
    rdg_sm3(bytes_of(in), in.len, &digest);
    return rdg_buf_append(out, digest.b, sizeof digest.b) == RDG_OK;
}

static uint64_t sm2_verify_gas(rdg_bytes_t in) {
    return 3450 + 12 * evm_words(in.len);
}

static bool sm2_verify_run(rdg_bytes_t in, rdg_buf_t *out) {
    rdg_sm2_public_t key;
    rdg_sm2_signature_t signature;
    const size_t head = sizeof key.b + sizeof signature.b;
    uint8_t word[32] = {0};
    if (in.len >= head) {
        memcpy(key.b, in.data, sizeof key.b);
        memcpy(signature.b, in.data + sizeof key.b, sizeof signature.b);
        word[31] = rdg_sm2_verify_standard(&key, in.data + head, in.len - head, &signature) == RDG_OK;
    }
    return rdg_buf_append(out, word, sizeof word) == RDG_OK;
}

enum { SM4_CTR, SM4_CBC_ENCRYPT, SM4_CBC_DECRYPT, SM4_OPERATIONS };
#define SM4_HEAD (1 + RDG_SM4_KEY_BYTES + RDG_SM4_BLOCK_BYTES)

static uint64_t sm4_gas(rdg_bytes_t in) {
    return 600 + 12 * evm_words(in.len);
}

/* operation ‖ key ‖ counter or IV ‖ data */
static bool sm4_run(rdg_bytes_t in, rdg_buf_t *out) {
    rdg_sm4_t *cipher = NULL;
    if (in.len < SM4_HEAD || in.data[0] >= SM4_OPERATIONS) return false;
    uint8_t operation = in.data[0];
    size_t len = in.len - SM4_HEAD, at = out->len;
    const uint8_t *key = in.data + 1, *iv = key + RDG_SM4_KEY_BYTES, *data = iv + RDG_SM4_BLOCK_BYTES;
    if (operation != SM4_CTR && len % RDG_SM4_BLOCK_BYTES != 0) return false;
    if (len == 0) return true;
    if (rdg_buf_append(out, data, len) != RDG_OK ||
        rdg_sm4_new(operation == SM4_CTR ? RDG_SM4_CTR : RDG_SM4_CBC, key, &cipher) != RDG_OK) {
        out->err = RDG_E_NO_MEMORY; /* a verdict must not depend on memory */
        return false;
    }
    if (operation == SM4_CTR) rdg_sm4_ctr(cipher, out->data + at, iv, data, len);
    if (operation == SM4_CBC_ENCRYPT) rdg_sm4_cbc_encrypt(cipher, out->data + at, iv, data, len);
    if (operation == SM4_CBC_DECRYPT) rdg_sm4_cbc_decrypt(cipher, out->data + at, iv, data, len);
    rdg_sm4_free(cipher);
    return true;
}

static const precompile_t precompiles[] = {
    {1, RDG_EVM_SHANGHAI, evm_ecrecover_gas, evm_ecrecover},
    {2, RDG_EVM_SHANGHAI, sha256_gas, sha256_run},
    {3, RDG_EVM_SHANGHAI, evm_ripemd160_gas, evm_ripemd160},
    {4, RDG_EVM_SHANGHAI, identity_gas, identity_run},
    {5, RDG_EVM_SHANGHAI, evm_modexp_gas, evm_modexp},
    {6, RDG_EVM_SHANGHAI, evm_bn254_add_gas, evm_bn254_add},
    {7, RDG_EVM_SHANGHAI, evm_bn254_mul_gas, evm_bn254_mul},
    {8, RDG_EVM_SHANGHAI, evm_bn254_pairing_gas, evm_bn254_pairing},
    {9, RDG_EVM_SHANGHAI, evm_blake2f_gas, evm_blake2f},
    {10, RDG_EVM_CANCUN, NULL, NULL},
    {0x52444701, RDG_EVM_SHANGHAI, sha256_gas, sm3_run},
    {0x52444702, RDG_EVM_SHANGHAI, sm2_verify_gas, sm2_verify_run},
    {0x52444703, RDG_EVM_SHANGHAI, sm4_gas, sm4_run},
};

static const precompile_t *find(const rdg_evm_t *vm, const rdg_address_t *a) {
    static const uint8_t zeros[16];
    if (memcmp(a->b, zeros, sizeof zeros) != 0) return NULL;
    uint32_t number = rdg_load_be32(a->b + 16);
    for (size_t i = 0; i < sizeof precompiles / sizeof *precompiles; ++i)
        if (precompiles[i].number == number)
            return precompiles[i].since <= vm->context->revision ? &precompiles[i] : NULL;
    return NULL;
}

bool evm_is_precompile(const rdg_evm_t *vm, const rdg_address_t *a) {
    return find(vm, a) != NULL;
}

bool evm_precompile(const rdg_evm_t *vm, const evm_call_t *call, uint64_t *gas, rdg_buf_t *out,
                    rdg_evm_status_t *status) {
    const precompile_t *p = find(vm, &call->code_address);
    if (!p) return false;
    *status = p->run ? RDG_EVM_PRECOMPILE_FAILED : RDG_EVM_PRECOMPILE_ABSENT;
    if (!p->run) return true;
    uint64_t cost = p->gas(call->input);
    if (cost > *gas) return true;
    *gas -= cost;
    if (p->run(call->input, out)) *status = RDG_EVM_SUCCESS;
    return true;
}
