/* Keccak-f[1600] (FIPS 202, section 3.2): 25 lanes of 64 bits, lane x + 5 y. Of rdg_keccak256, and of the tests that
 * compare its two builds. */
#ifndef RIDGE_CRYPTO_KECCAK_H
#define RIDGE_CRYPTO_KECCAK_H
#include <stdint.h>

#define RDG_KECCAK_LANES 25

void rdg_keccak_permute(uint64_t a[RDG_KECCAK_LANES]); /* with what the processor offers */
void rdg_keccak_permute_portable(uint64_t a[RDG_KECCAK_LANES]);

#endif
