/* A chain whose validators change, with transactions in some blocks and a checkpoint certificate on each. */
#ifndef RIDGE_LEDGER_TEST_CHAIN_H
#define RIDGE_LEDGER_TEST_CHAIN_H
#include "support.h"

typedef struct chain {
    rdg_genesis_t genesis;
    rdg_ledger_t *l;
    uint64_t nonce, governed;
} chain_t;

/* One validator at first; name: of the ledger's directory. */
void chain_open(chain_t *c, const char *name);
void chain_close(chain_t *c);
uint64_t chain_height(const chain_t *c);
/* Applies and certifies; the references of txs are taken. */
void chain_block(chain_t *c, rdg_tx_t **txs, uint32_t count);
void chain_grow(chain_t *c, uint64_t height, uint32_t txs); /* blocks of as many transfers, up to height */
/* As many blocks, each leaving 1,200 slots: two make a state that is written as tables (kv.h). */
void chain_fill(chain_t *c, uint32_t blocks);
/* Validator n joins; the epoch begins a window later. */
void chain_add_validator(chain_t *c, uint8_t n);
/* Some 60 blocks, two changes of the validators, transactions in every third block. */
void chain_story(chain_t *c);
/* What another node has: the same blocks, seals and certificates of other signers where there is a choice. */
void chain_copy(const chain_t *from, const char *name, chain_t *out);

#endif
