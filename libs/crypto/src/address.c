#include <string.h>
#include "ridge/crypto/sm2.h"

void rdg_sm2_address(const rdg_sm2_public_t *pub, rdg_address_t *out) {
    rdg_hash_t h;
    rdg_sm3(pub->b, sizeof pub->b, &h);
    memcpy(out->b, h.b + 12, sizeof out->b);
}

bool rdg_address_equal(const rdg_address_t *a, const rdg_address_t *b) {
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}
