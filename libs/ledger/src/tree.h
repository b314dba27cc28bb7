/* The state tree: a binary sparse Merkle tree over 256-bit paths with leaf collapse (as in Jellyfish Merkle
 * Tree, Gao et al. 2021): a subtree with one leaf is that leaf, an empty one is the zero hash.
 *
 *   leaf = SM3(STATE_LEAF ‖ path ‖ value)     inner = SM3(STATE_INNER ‖ left ‖ right)
 *   path of an account: SM3(STATE_KEY ‖ address), of a storage slot: SM3(STATE_KEY ‖ address ‖ slot)
 *
 * The digest is a function of the set of (path, value) alone. What is stored:
 * - levels 0 to 16 (65,536 buckets): in memory only (4.3 MB when all are in use), rebuilt at open from the buckets;
 * - below, pages of four levels each (16 slots: empty, a leaf, or the digest of the next page), one key a
 * page. A bucket page exists when it holds anything; a deeper page when it holds at least two leaves. So a
 * block writes no top page again and again, which is what would wear flash: with the buckets four levels higher, half
 * of what blocks of 500 transactions flushed were their pages.
 *
 * One update a block, with all its changes. Not thread-safe. After a failed update, or when its batch was not
 * written, the tree must be opened again. */
#ifndef RIDGE_LEDGER_TREE_H
#define RIDGE_LEDGER_TREE_H
#include "ridge/base/arena.h"
#include "ridge/kv/kv.h"
#include "ridge/ledger/proof.h"

typedef struct tree tree_t;

typedef struct tree_update {
    rdg_hash_t path;
    rdg_bytes_t value;      /* at most RDG_PROOF_VALUE_MAX; empty: remove. Borrowed during the update */
    const rdg_hash_t *leaf; /* its digest, if the caller has computed it; borrowed likewise */
} tree_update_t;

rdg_err_t tree_open(rdg_kv_t *kv, unsigned bank, tree_t **out); /* bank: keys.h */
rdg_err_t tree_reload(tree_t *t);
void tree_close(tree_t *t);
void tree_root(const tree_t *t, rdg_hash_t *out);
/* Sorts updates, of which no two have one path; puts the changed pages into batch. */
rdg_err_t tree_apply(tree_t *t, tree_update_t *updates, size_t count, rdg_kv_batch_t *batch);
/* RLP proof of presence or absence, appended. */
rdg_err_t tree_prove(tree_t *t, const rdg_hash_t *path, rdg_buf_t *out);

#endif
