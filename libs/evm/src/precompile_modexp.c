#include <gmp.h>
#include <string.h>
#include "precompile.h"
#include "ridge/base/alloc.h"
#include "ridge/evm/evm.h"
#include "u256.h"

#define MIN_GAS 200
/* Longer numbers than a transaction's memory are beyond any gas. */
#define LENGTH_MAX RDG_EVM_MEMORY_MAX

typedef struct lengths {
    uint64_t base, exponent, modulus;
} lengths_t;

/* Copies [offset, offset + len) of the input, which goes on with zeros for ever. */
static void copy(rdg_bytes_t in, uint64_t offset, uint8_t *to, size_t len) {
    size_t have = offset < in.len ? in.len - (size_t)offset : 0;
    if (have > len) have = len;
    if (have) memcpy(to, in.data + offset, have);
    memset(to + have, 0, len - have);
}

static uint64_t length_at(rdg_bytes_t in, uint64_t offset) {
    uint8_t bytes[32];
    copy(in, offset, bytes, sizeof bytes);
    u256_t word = u256_load(bytes);
    return u256_clamp_u64(&word);
}

static lengths_t lengths(rdg_bytes_t in) {
    return (lengths_t){length_at(in, 0), length_at(in, 32), length_at(in, 64)};
}

static unsigned bit_length(const uint8_t *bytes, size_t len) {
    for (size_t i = 0; i < len; ++i)
        if (bytes[i]) return (unsigned)(8 * (len - i)) - ((unsigned)__builtin_clz(bytes[i]) - 24);
    return 0;
}

uint64_t evm_modexp_gas(rdg_bytes_t in) {
    lengths_t n = lengths(in);
    uint64_t longest = n.base > n.modulus ? n.base : n.modulus;
    if (longest == 0) return MIN_GAS;
    if (longest > LENGTH_MAX || n.exponent > LENGTH_MAX) return UINT64_MAX;
    uint8_t head[32];
    size_t head_len = n.exponent < 32 ? (size_t)n.exponent : 32;
    copy(in, 96 + n.base, head, head_len);
    uint64_t bits = bit_length(head, head_len), rounds = bits ? bits - 1 : 0;
    rounds += 8 * (n.exponent - head_len);
    uint64_t words = (longest + 7) / 8;
    u128_t gas = (u128_t)(words * words) * (rounds ? rounds : 1) / 3;
    if (gas > UINT64_MAX) return UINT64_MAX;
    return gas < MIN_GAS ? MIN_GAS : (uint64_t)gas;
}

static void number(mpz_t out, const uint8_t *bytes, uint64_t len) {
    mpz_import(out, (size_t)len, 1, 1, 1, 0, bytes);
}

/* base^exponent mod modulus into the last bytes of result[len], which is zero. GMP ends the process when it
 * has no memory; gas keeps its numbers below a megabyte. */
static void power(const uint8_t *operands, const lengths_t *n, uint8_t *result) {
    mpz_t base, exponent, modulus;
    mpz_inits(base, exponent, modulus, NULL);
    number(base, operands, n->base);
    number(exponent, operands + n->base, n->exponent);
    number(modulus, operands + n->base + n->exponent, n->modulus);
    if (mpz_sgn(modulus) != 0) {
        mpz_powm(base, base, exponent, modulus);
        size_t len = (mpz_sizeinbase(base, 2) + 7) / 8;
        if (mpz_sgn(base) != 0) mpz_export(result + n->modulus - len, NULL, 1, 1, 1, 0, base);
    }
    mpz_clears(base, exponent, modulus, NULL);
}

bool evm_modexp(rdg_bytes_t in, rdg_buf_t *out) {
    lengths_t n = lengths(in);
    if (n.modulus == 0) return true;
    size_t operands_len = (size_t)(n.base + n.exponent + n.modulus), len = (size_t)n.modulus;
    uint8_t *operands = rdg_alloc(operands_len), *result = rdg_calloc(1, len);
    bool ok = operands && result;
    if (ok) {
        copy(in, 96, operands, operands_len);
        power(operands, &n, result);
        ok = rdg_buf_append(out, result, len) == RDG_OK;
    }
    if (!ok)
        out->err = RDG_E_NO_MEMORY; /* nothing else fails here, and a verdict must not depend on memory */
    rdg_free(operands);
    rdg_free(result);
    return ok;
}
