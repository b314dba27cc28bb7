/* Sums eight at a time with AVX-512 IFMA (docs/crypto.md), and the same source in portable C, which is slow and
 * lets every machine test what only some can run. */
#ifndef RIDGE_CRYPTO_SM2_LANES_H
#define RIDGE_CRYPTO_SM2_LANES_H
#include "sm2_sum.h"

rdg_sm2_sum_many_t rdg_sm2_sum_lanes_portable;
#if defined(__x86_64__)
rdg_sm2_sum_many_t rdg_sm2_sum_lanes_ifma;
#endif

#endif
