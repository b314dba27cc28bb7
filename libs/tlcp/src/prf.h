/* The pseudo-random function of GB/T 38636-2020, 5.4: TLS 1.2's P_hash with SM3. */
#ifndef RIDGE_TLCP_SRC_PRF_H
#define RIDGE_TLCP_SRC_PRF_H
#include "ridge/base/bytes.h"

void rdg_tlcp_prf(uint8_t *out, size_t out_len, rdg_bytes_t secret, const char *label, rdg_bytes_t seed_a,
                  rdg_bytes_t seed_b);

#endif
