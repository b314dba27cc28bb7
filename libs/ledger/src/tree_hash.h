/* Digests of the state tree, many at a time: pages that an update changed are collected and hashed together,
 * level by level, because hashing eight nodes at once costs little more than one. */
#ifndef RIDGE_LEDGER_TREE_HASH_H
#define RIDGE_LEDGER_TREE_HASH_H
#include "tree_page.h"

/* A queue of digests of one kind. What it borrows must stay until it is flushed. */
typedef struct hash_queue {
    rdg_domain_t tag;
    size_t count;
    rdg_sm3_input_t inputs[64];
    rdg_hash_t *outs[64];
} hash_queue_t;

void hash_queue_add(hash_queue_t *q, rdg_bytes_t head, rdg_bytes_t body, rdg_hash_t *out);
void hash_queue_flush(hash_queue_t *q);

/* A node of which nothing but kind and digest matters. */
typedef struct joined {
    rdg_hash_t hash;
    uint8_t kind;
} joined_t;

/* *out = what left and right come to, now or when q (of tag STATE_INNER) is flushed. */
void joined_queue(hash_queue_t *q, const joined_t *left, const joined_t *right, joined_t *out);

typedef struct dirty_page {
    tree_page_t *page;
    tree_node_t *out; /* its slot in the page above: kind is set, the digest is to come */
    unsigned depth;
    ledger_key_t key;
    joined_t nodes[2 * PAGE_SLOTS]; /* as in page_node */
} dirty_page_t;

/* Hashes the pages of one depth, whose own inner slots have their digests, and tells their slots above. */
void dirty_pages_hash(dirty_page_t *const *pages, size_t count);

#endif
