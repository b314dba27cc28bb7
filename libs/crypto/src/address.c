#include <string.h>
#include "ridge/crypto/sm2.h"

#define MANY 64 /* inputs that are prepared at a time */

static void of_hash(const rdg_hash_t *h, rdg_address_t *out) {
    memcpy(out->b, h->b + sizeof h->b - sizeof out->b, sizeof out->b);
}

void rdg_sm2_address(const rdg_sm2_public_t *pub, rdg_address_t *out) {
    rdg_hash_t h;
    rdg_sm3(pub->b, sizeof pub->b, &h);
    of_hash(&h, out);
}

void rdg_sm2_address_many(const rdg_sm2_public_t *const *pubs, size_t count, rdg_address_t *out) {
    rdg_sm3_input_t inputs[MANY];
    rdg_hash_t hashes[MANY];
    for (size_t from = 0; from < count; from += MANY) {
        size_t n = count - from < MANY ? count - from : MANY;
        for (size_t i = 0; i < n; i++)
            inputs[i] = (rdg_sm3_input_t){.body = rdg_bytes(pubs[from + i]->b, sizeof pubs[0]->b)};
        rdg_sm3_many(inputs, n, hashes);
        for (size_t i = 0; i < n; i++) of_hash(&hashes[i], &out[from + i]);
    }
}

bool rdg_address_equal(const rdg_address_t *a, const rdg_address_t *b) {
    return memcmp(a->b, b->b, sizeof a->b) == 0;
}
