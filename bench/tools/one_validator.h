/* The genesis of a chain of one validator, always with the same key. */
#ifndef RIDGE_BENCH_ONE_VALIDATOR_H
#define RIDGE_BENCH_ONE_VALIDATOR_H
#include <stdio.h>
#include "ridge/base/assert.h"
#include "ridge/base/buf.h"
#include "ridge/ledger/genesis.h"

/* Key and genesis are the caller's. */
static inline void one_validator(uint64_t chain_id, rdg_sm2_key_t **key, rdg_genesis_t *genesis) {
    rdg_buf_t text;
    const uint8_t scalar[32] = {0x11};
    RDG_ASSERT(rdg_sm2_key_from_scalar(scalar, key) == RDG_OK);
    snprintf(genesis->name, sizeof genesis->name, "bench");
    snprintf(genesis->consensus, sizeof genesis->consensus, "pbft");
    snprintf(genesis->validator_names[0], sizeof genesis->validator_names[0], "one");
    genesis->validators.chain_id = chain_id;
    genesis->validators.count = 1;
    rdg_sm2_key_public(*key, &genesis->validators.keys[0]);
    rdg_chain_params_default(&genesis->params);
    rdg_buf_init(&text, RDG_GENESIS_BYTES_MAX);
    RDG_ASSERT(rdg_genesis_format(genesis, &text) == RDG_OK); /* computes its hash */
    rdg_buf_fini(&text);
}

#endif
