/* One page of the state tree: 16 slots under a prefix of whole nibbles. */
#ifndef RIDGE_LEDGER_TREE_PAGE_H
#define RIDGE_LEDGER_TREE_PAGE_H
#include "keys.h"
#include "ridge/base/arena.h"
#include "ridge/ledger/proof.h"

enum { BUCKET_DEPTH = 4 /* nibbles above the first pages, see tree.h */ };
enum { PAGE_SLOTS = 16, PAGE_BYTES_MAX = 4 + PAGE_SLOTS * (33 + (int)RDG_PROOF_VALUE_MAX) };

typedef enum node_kind { NODE_EMPTY = 0, NODE_LEAF = 1, NODE_INNER = 2 } node_kind_t;

/* What a subtree comes to. */
typedef struct tree_node {
    node_kind_t kind;
    rdg_hash_t hash;   /* zero when empty; a leaf's may be left for later (zero), see page_decode */
    rdg_hash_t path;   /* of a leaf */
    rdg_bytes_t value; /* of a leaf */
} tree_node_t;

typedef struct tree_page {
    tree_node_t slots[PAGE_SLOTS];
} tree_page_t;

ledger_key_t page_key(unsigned bank, const rdg_hash_t *path, unsigned depth); /* depth in nibbles */
/* Values are views into encoded. Leaves are left without their digests. CORRUPT. */
rdg_err_t page_decode(rdg_bytes_t encoded, tree_page_t *out);
void page_hash_leaves(tree_page_t *p);
size_t page_encode(const tree_page_t *p, uint8_t out[PAGE_BYTES_MAX]);
/* Of a page whose leaves are hashed: what the subtree `node` comes to: 1 is the whole page, 2n and 2n+1 are the halves of n, 16 to 31 the
 * slots. */
void page_node(const tree_page_t *p, unsigned node, tree_node_t *out);
/* What the page comes to, but for the digest if it is an inner node. */
tree_node_t page_whole(const tree_page_t *p);
/* What two siblings come to: collapse as the tree's rule says. */
void node_join(const tree_node_t *left, const tree_node_t *right, tree_node_t *out);

static inline unsigned path_nibble(const rdg_hash_t *path, unsigned i) {
    return i % 2 ? path->b[i / 2] & 15u : path->b[i / 2] >> 4u;
}

#endif
