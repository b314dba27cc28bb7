/* The root of Ethereum's secure Merkle Patricia trie, for comparing states with Ethereum's tests. Ridge's own
 * state tree is another. */
#ifndef RIDGE_EVM_CONFORMANCE_TRIE_H
#define RIDGE_EVM_CONFORMANCE_TRIE_H
#include "ridge/base/buf.h"

typedef struct trie_entry {
    uint8_t key[32]; /* already hashed */
    rdg_buf_t value; /* RLP; freed by the caller */
} trie_entry_t;

void trie_root(trie_entry_t *entries, size_t count, uint8_t root[32]); /* sorts the entries */

#endif
