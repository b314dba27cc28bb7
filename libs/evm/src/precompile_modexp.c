#include <gcrypt.h>
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

static gcry_mpi_t number(const uint8_t *bytes, size_t len) {
    gcry_mpi_t n = NULL;
    return gcry_mpi_scan(&n, GCRYMPI_FMT_USG, bytes, len, NULL) == 0 ? n : NULL;
}

/* base^exponent mod modulus into the last bytes of result[len], which is zero. */
static bool power(const uint8_t *operands, const lengths_t *n, uint8_t *result) {
    gcry_mpi_t base = number(operands, (size_t)n->base);
    gcry_mpi_t exponent = number(operands + n->base, (size_t)n->exponent);
    gcry_mpi_t modulus = number(operands + n->base + n->exponent, (size_t)n->modulus);
    gcry_mpi_t r = gcry_mpi_new(0);
    bool ok = base && exponent && modulus && r;
    if (ok && gcry_mpi_cmp_ui(modulus, 0) != 0) {
        gcry_mpi_powm(r, base, exponent, modulus);
        size_t len = (gcry_mpi_get_nbits(r) + 7) / 8, written;
        ok = gcry_mpi_print(GCRYMPI_FMT_USG, result + n->modulus - len, len, &written, r) == 0;
    }
    gcry_mpi_release(base);
    gcry_mpi_release(exponent);
    gcry_mpi_release(modulus);
    gcry_mpi_release(r);
    return ok;
}

bool evm_modexp(rdg_bytes_t in, rdg_buf_t *out) {
    lengths_t n = lengths(in);
    if (n.modulus == 0) return true;
    size_t operands_len = (size_t)(n.base + n.exponent + n.modulus), len = (size_t)n.modulus;
    uint8_t *operands = rdg_alloc(operands_len), *result = rdg_calloc(1, len);
    bool ok = operands && result;
    if (ok) copy(in, 96, operands, operands_len);
    ok = ok && power(operands, &n, result) && rdg_buf_append(out, result, len) == RDG_OK;
    if (!ok)
        out->err = RDG_E_NO_MEMORY; /* nothing else fails here, and a verdict must not depend on memory */
    rdg_free(operands);
    rdg_free(result);
    return ok;
}
