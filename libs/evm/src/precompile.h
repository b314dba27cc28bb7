/* The precompiles that need more than a few lines; precompiles.c has the table of all. */
#ifndef RIDGE_EVM_PRECOMPILE_H
#define RIDGE_EVM_PRECOMPILE_H
#include "ridge/base/buf.h"

/* Gas for an input: UINT64_MAX where no gas suffices. The others append their output; false: the call fails.
 */
uint64_t evm_ecrecover_gas(rdg_bytes_t in);
bool evm_ecrecover(rdg_bytes_t in, rdg_buf_t *out);
uint64_t evm_ripemd160_gas(rdg_bytes_t in);
bool evm_ripemd160(rdg_bytes_t in, rdg_buf_t *out);
uint64_t evm_modexp_gas(rdg_bytes_t in); /* EIP-198 with the gas of EIP-2565 */
bool evm_modexp(rdg_bytes_t in, rdg_buf_t *out);
uint64_t evm_bn254_add_gas(rdg_bytes_t in);
bool evm_bn254_add(rdg_bytes_t in, rdg_buf_t *out);
uint64_t evm_bn254_mul_gas(rdg_bytes_t in);
bool evm_bn254_mul(rdg_bytes_t in, rdg_buf_t *out);
uint64_t evm_bn254_pairing_gas(rdg_bytes_t in);
bool evm_bn254_pairing(rdg_bytes_t in, rdg_buf_t *out);
uint64_t evm_blake2f_gas(rdg_bytes_t in); /* EIP-152 */
bool evm_blake2f(rdg_bytes_t in, rdg_buf_t *out);

#endif
