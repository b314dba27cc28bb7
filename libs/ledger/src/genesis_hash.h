#ifndef RIDGE_LEDGER_GENESIS_HASH_H
#define RIDGE_LEDGER_GENESIS_HASH_H
#include "ridge/ledger/genesis.h"

/* Ascending by address; INVALID if one stands there twice. */
rdg_err_t rdg_genesis_sort_alloc(rdg_genesis_t *g);
rdg_err_t rdg_genesis_rehash(rdg_genesis_t *g);

#endif
