#include "ridge/crypto/hash.h"

#include <string.h>

#define MANY 64 /* inputs that are prepared at a time */

void rdg_merkle_leaf(rdg_bytes_t item, rdg_hash_t *out) {
    rdg_sm3_tagged(RDG_DOMAIN_MERKLE_LEAF, &item, 1, out);
}

void rdg_merkle_leaves(const rdg_bytes_t *items, size_t count, rdg_hash_t *out) {
    rdg_sm3_input_t inputs[MANY];
    for (size_t from = 0; from < count; from += MANY) {
        size_t n = count - from < MANY ? count - from : MANY;
        for (size_t i = 0; i < n; i++) inputs[i] = (rdg_sm3_input_t){.body = items[from + i]};
        rdg_sm3_tagged_many(RDG_DOMAIN_MERKLE_LEAF, inputs, n, out + from);
    }
}

/* nodes[i] = parent of nodes[2 i] and nodes[2 i + 1], for i < pairs. */
static void join_pairs(rdg_hash_t *nodes, size_t pairs) {
    rdg_sm3_input_t inputs[MANY];
    rdg_hash_t parents[MANY];
    for (size_t from = 0; from < pairs; from += MANY) {
        size_t n = pairs - from < MANY ? pairs - from : MANY;
        for (size_t i = 0; i < n; i++)
            inputs[i] = (rdg_sm3_input_t){.body = rdg_bytes(&nodes[2 * (from + i)], 2 * sizeof *nodes)};
        rdg_sm3_tagged_many(RDG_DOMAIN_MERKLE_INNER, inputs, n, parents);
        memcpy(nodes + from, parents, n * sizeof *nodes);
    }
}

void rdg_merkle_root(rdg_hash_t *leaves, size_t count, rdg_hash_t *out) {
    if (count == 0) {
        memset(out, 0, sizeof *out);
        return;
    }
    while (count > 1) {
        size_t pairs = count / 2;
        join_pairs(leaves, pairs);
        if (count % 2) leaves[pairs] = leaves[count - 1];
        count = pairs + count % 2;
    }
    *out = leaves[0];
}
