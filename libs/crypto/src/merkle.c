#include "ridge/crypto/hash.h"

#include <string.h>

void rdg_merkle_leaf(rdg_bytes_t item, rdg_hash_t *out) {
    rdg_sm3_tagged(RDG_DOMAIN_MERKLE_LEAF, &item, 1, out);
}

void rdg_merkle_root(rdg_hash_t *leaves, size_t count, rdg_hash_t *out) {
    if (count == 0) {
        memset(out, 0, sizeof *out);
        return;
    }
    while (count > 1) {
        size_t pairs = count / 2;
        for (size_t i = 0; i < pairs; i++) {
            rdg_bytes_t both = rdg_bytes(&leaves[2 * i], 2 * sizeof(rdg_hash_t));
            rdg_hash_t parent;
            rdg_sm3_tagged(RDG_DOMAIN_MERKLE_INNER, &both, 1, &parent);
            leaves[i] = parent;
        }
        if (count % 2) leaves[pairs] = leaves[count - 1];
        count = pairs + count % 2;
    }
    *out = leaves[0];
}
