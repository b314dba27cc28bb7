#include "ridge/ledger/proof.h"
#include <string.h>
#include "ridge/codec/rlp.h"

enum { PATH_BITS = 256 };

void rdg_state_account_path(const rdg_address_t *a, rdg_hash_t *path) {
    rdg_bytes_t part = rdg_bytes(a->b, sizeof a->b);
    rdg_sm3_tagged(RDG_DOMAIN_STATE_KEY, &part, 1, path);
}

void rdg_state_slot_path(const rdg_address_t *a, const rdg_word_t *slot, rdg_hash_t *path) {
    rdg_bytes_t parts[2] = {rdg_bytes(a->b, sizeof a->b), rdg_bytes(slot->b, sizeof slot->b)};
    rdg_sm3_tagged(RDG_DOMAIN_STATE_KEY, parts, 2, path);
}

void rdg_state_leaf(const rdg_hash_t *path, rdg_bytes_t value, rdg_hash_t *out) {
    rdg_bytes_t parts[2] = {rdg_bytes(path->b, sizeof path->b), value};
    rdg_sm3_tagged(RDG_DOMAIN_STATE_LEAF, parts, 2, out);
}

void rdg_state_inner(const rdg_hash_t *left, const rdg_hash_t *right, rdg_hash_t *out) {
    rdg_bytes_t parts[2] = {rdg_bytes(left->b, sizeof left->b), rdg_bytes(right->b, sizeof right->b)};
    rdg_sm3_tagged(RDG_DOMAIN_STATE_INNER, parts, 2, out);
}

static bool path_bit(const rdg_hash_t *path, unsigned i) {
    return (path->b[i / 8] >> (7 - i % 8)) & 1;
}

static bool same_way(const rdg_hash_t *a, const rdg_hash_t *b, unsigned bits) {
    for (unsigned i = 0; i < bits; ++i)
        if (path_bit(a, i) != path_bit(b, i)) return false;
    return true;
}

typedef struct parsed_proof {
    unsigned depth;
    rdg_hash_t siblings[PATH_BITS]; /* zero: empty subtree */
    bool has_leaf;
    rdg_hash_t leaf_path;
    rdg_bytes_t value;
} parsed_proof_t;

static rdg_err_t parse(rdg_bytes_t proof, parsed_proof_t *p) {
    rdg_rlp_t outer, c, siblings, leaf;
    p->depth = 0;
    rdg_rlp_init(&outer, proof);
    rdg_rlp_list(&outer, &c);
    rdg_rlp_list(&c, &siblings);
    while (rdg_rlp_more(&siblings) && p->depth < PATH_BITS) {
        rdg_hash_t *h = &p->siblings[p->depth++];
        rdg_bytes_t item = rdg_rlp_bytes_max(&siblings, sizeof h->b);
        memset(h, 0, sizeof *h);
        if (item.len == sizeof h->b) memcpy(h->b, item.data, sizeof h->b);
        if (item.len != 0 && (item.len != sizeof h->b || rdg_hash_is_zero(h)))
            return rdg_fail(RDG_E_MALFORMED, "proof: a sibling is neither empty nor a digest");
    }
    rdg_rlp_list(&c, &leaf);
    p->has_leaf = rdg_rlp_more(&leaf);
    if (p->has_leaf) {
        rdg_rlp_fixed(&leaf, p->leaf_path.b, sizeof p->leaf_path.b);
        p->value = rdg_rlp_bytes_max(&leaf, RDG_PROOF_VALUE_MAX);
    }
    if (rdg_rlp_done(&siblings) != RDG_OK || rdg_rlp_done(&leaf) != RDG_OK || rdg_rlp_done(&c) != RDG_OK ||
        rdg_rlp_done(&outer) != RDG_OK)
        return rdg_fail(RDG_E_MALFORMED, "proof is not the RLP list [siblings, leaf]");
    return RDG_OK;
}

rdg_err_t rdg_proof_verify(rdg_bytes_t proof, const rdg_hash_t *state_root, const rdg_hash_t *path,
                           bool *present, rdg_bytes_t *value) {
    parsed_proof_t p;
    *present = false;
    *value = rdg_bytes(NULL, 0);
    if (proof.len > RDG_PROOF_BYTES_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "proof of %zu bytes: the limit is %u", proof.len,
                        RDG_PROOF_BYTES_MAX);
    RDG_TRY(parse(proof, &p));
    rdg_hash_t at = {{0}};
    if (p.has_leaf) {
        if (p.value.len == 0 || !same_way(&p.leaf_path, path, p.depth))
            return rdg_fail(RDG_E_INVALID, "proof: its leaf does not lie on the way to the key");
        rdg_state_leaf(&p.leaf_path, p.value, &at);
    }
    for (unsigned i = p.depth; i-- > 0;) {
        rdg_hash_t below = at;
        bool right = path_bit(path, i);
        rdg_state_inner(right ? &p.siblings[i] : &below, right ? &below : &p.siblings[i], &at);
    }
    if (!rdg_hash_equal(&at, state_root))
        return rdg_fail(RDG_E_INVALID, "proof does not lead to the state root");
    *present = p.has_leaf && rdg_hash_equal(&p.leaf_path, path);
    if (*present) *value = p.value;
    return RDG_OK;
}
