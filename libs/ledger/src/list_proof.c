/* A place in a Merkle list: the siblings on the way up. An odd node is carried up without one. */
#include "ridge/ledger/evidence.h"

rdg_err_t rdg_list_prove(rdg_hash_t *leaves, uint32_t count, uint32_t index, rdg_list_proof_t *out) {
    out->count = 0;
    if (index >= count)
        return rdg_fail(RDG_E_INVALID, "item %u of a list of %u cannot be proven", index, count);
    if (count > RDG_BLOCK_TXS_MAX) return rdg_fail(RDG_E_TOO_LARGE, "a list of %u items", count);
    for (; count > 1; count = (count + 1) / 2, index /= 2) {
        uint32_t sibling = index ^ 1;
        if (sibling < count) out->siblings[out->count++] = leaves[sibling];
        for (uint32_t i = 0; i < count / 2; ++i) {
            rdg_bytes_t pair = rdg_bytes(&leaves[2 * i], 2 * sizeof *leaves);
            rdg_hash_t parent;
            rdg_sm3_tagged(RDG_DOMAIN_MERKLE_INNER, &pair, 1, &parent);
            leaves[i] = parent;
        }
        if (count % 2) leaves[count / 2] = leaves[count - 1];
    }
    return RDG_OK;
}

rdg_err_t rdg_list_proof_root(const rdg_list_proof_t *p, uint32_t count, uint32_t index, rdg_bytes_t item,
                              rdg_hash_t *root) {
    uint32_t used = 0;
    rdg_hash_t at;
    if (index >= count || count > RDG_BLOCK_TXS_MAX)
        return rdg_fail(RDG_E_INVALID, "evidence: item %u of a list of %u", index, count);
    rdg_merkle_leaf(item, &at);
    for (; count > 1; count = (count + 1) / 2, index /= 2) {
        if ((index ^ 1) >= count) continue;
        if (used == p->count)
            return rdg_fail(RDG_E_INVALID, "evidence: too few digests on the way to the root");
        const rdg_hash_t *sibling = &p->siblings[used++];
        rdg_bytes_t parts[2] = {rdg_bytes(at.b, sizeof at.b), rdg_bytes(sibling->b, sizeof sibling->b)};
        if (index % 2) {
            rdg_bytes_t left = parts[1];
            parts[1] = parts[0];
            parts[0] = left;
        }
        rdg_hash_t parent;
        rdg_sm3_tagged(RDG_DOMAIN_MERKLE_INNER, parts, 2, &parent);
        at = parent;
    }
    if (used != p->count) return rdg_fail(RDG_E_INVALID, "evidence: too many digests on the way to the root");
    *root = at;
    return RDG_OK;
}
