#include "prf.h"

#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/crypto/hmac.h"

void rdg_tlcp_prf(uint8_t *out, size_t out_len, rdg_bytes_t secret, const char *label, rdg_bytes_t seed_a,
                  rdg_bytes_t seed_b) {
    uint8_t a[RDG_HMAC_SM3_BYTES], block[RDG_HMAC_SM3_BYTES];
    const rdg_bytes_t parts[] = {{a, sizeof a}, rdg_bytes_str(label), seed_a, seed_b};
    rdg_hmac_sm3(a, secret, parts + 1, 3);
    while (out_len) {
        size_t n = out_len < sizeof block ? out_len : sizeof block;
        rdg_hmac_sm3(block, secret, parts, 4);
        memcpy(out, block, n);
        out += n, out_len -= n;
        rdg_hmac_sm3(a, secret, parts, 1);
    }
    rdg_secure_zero(a, sizeof a);
    rdg_secure_zero(block, sizeof block);
}
