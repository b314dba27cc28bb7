/* A long chain with state, made without running nodes: by the validators' keys, which lie in their directories. */
#ifndef RIDGE_NODE_TEST_CHAIN_BUILD_H
#define RIDGE_NODE_TEST_CHAIN_BUILD_H
#include "cluster.h"
#include "ridge/ledger/ledger.h"

typedef struct chain_build {
    cluster_t *c;
    rdg_ledger_t *l;
    rdg_sm2_key_t *keys[CLUSTER_MAX];
    rdg_address_t contract;
    uint64_t nonce;
} chain_build_t;

/* In the directory of node `at`, which does not run. */
void chain_build_open(chain_build_t *b, cluster_t *c, size_t at);
void chain_build_blocks(chain_build_t *b, uint64_t count, uint32_t txs); /* each with txs transfers */
/* Slots from <= i < to of a contract get the value i + 1. */
void chain_build_slots(chain_build_t *b, uint64_t from, uint64_t to);
uint64_t chain_build_close(chain_build_t *b); /* the height */
/* Node `to` gets the ledger of node `from`; neither runs. */
void chain_build_copy(cluster_t *c, size_t from, size_t to);
/* Changes the last byte of the first value at or behind a key of node i's store. */
void chain_build_damage(cluster_t *c, size_t i, rdg_bytes_t prefix, rdg_bytes_t from);

#endif
