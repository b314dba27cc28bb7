/* The precompiles whose input has a structure, with any bytes: the first byte chooses one. Beyond memory safety:
 * gas and result are functions of the input, and what alt_bn128 accepts obeys the laws of its group. */
#include "precompile.h"
#include <stdlib.h>
#include <string.h>
#include "ridge/base/assert.h"
#include "ridge/crypto/hash.h"

#define OUTPUT_MAX (1u << 20)
#define GAS_MAX 3000000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct target {
    uint64_t (*gas)(rdg_bytes_t in);
    bool (*run)(rdg_bytes_t in, rdg_buf_t *out);
} target_t;

static const target_t targets[] = {
    {evm_ecrecover_gas, evm_ecrecover},         {evm_modexp_gas, evm_modexp},
    {evm_bn254_add_gas, evm_bn254_add},         {evm_bn254_mul_gas, evm_bn254_mul},
    {evm_bn254_pairing_gas, evm_bn254_pairing}, {evm_blake2f_gas, evm_blake2f}};

static bool run(const target_t *t, rdg_bytes_t in, rdg_buf_t *out) {
    rdg_buf_init(out, OUTPUT_MAX);
    bool ok = t->run(in, out);
    RDG_ASSERT(rdg_buf_err(out) == RDG_OK);
    return ok;
}

static void multiply(const uint8_t point[64], const uint8_t scalar[32], uint8_t out[64]) {
    uint8_t in[96];
    rdg_buf_t b;
    memcpy(in, point, 64);
    memcpy(in + 64, scalar, 32);
    RDG_ASSERT(run(&targets[3], rdg_bytes(in, sizeof in), &b) && b.len == 64);
    memcpy(out, b.data, 64);
    rdg_buf_fini(&b);
}

/* (s + 1)P = sP + P, for a multiple P of the generator and s as they come. */
static void check_group(rdg_bytes_t in) {
    uint8_t point[64] = {[31] = 1, [63] = 2}, scalars[64] = {0}, sum[128], next[64];
    rdg_buf_t b;
    memcpy(scalars, in.data, in.len < sizeof scalars ? in.len : sizeof scalars);
    multiply(point, scalars, point);
    multiply(point, scalars + 32, sum);
    memcpy(sum + 64, point, 64);
    RDG_ASSERT(run(&targets[2], rdg_bytes(sum, sizeof sum), &b) && b.len == 64);
    for (size_t i = 64; i-- > 32 && ++scalars[i] == 0;) continue;
    multiply(point, scalars + 32, next);
    static const uint8_t zero[32];
    bool wrapped = memcmp(scalars + 32, zero, 32) == 0; /* 2^256 is no multiple of the order */
    RDG_ASSERT(wrapped || memcmp(b.data, next, 64) == 0);
    rdg_buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1 || size > 4096) return 0;
    size_t which = data[0] % (sizeof targets / sizeof *targets + 1);
    rdg_bytes_t in = rdg_bytes(data + 1, size - 1);
    rdg_hash_t digest;
    rdg_sm3("", 0, &digest); /* as a machine does when it is made */
    if (which == sizeof targets / sizeof *targets) {
        check_group(in);
        return 0;
    }
    const target_t *t = &targets[which];
    rdg_buf_t first, second;
    if (t->gas(in) > GAS_MAX) return 0;
    bool ok = run(t, in, &first);
    RDG_ASSERT(run(t, in, &second) == ok && first.len == second.len);
    RDG_ASSERT(first.len == 0 || memcmp(first.data, second.data, first.len) == 0);
    rdg_buf_fini(&first);
    rdg_buf_fini(&second);
    return 0;
}
