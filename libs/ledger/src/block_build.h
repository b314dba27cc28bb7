#ifndef RIDGE_LEDGER_BLOCK_BUILD_H
#define RIDGE_LEDGER_BLOCK_BUILD_H
#include "ridge/ledger/block.h"

/* A block object from parts that belong together: nothing is checked. Takes references of its own of txs. */
rdg_err_t block_build(const rdg_header_t *h, rdg_tx_t *const *txs, rdg_bytes_t proposal, rdg_block_t **out);

#endif
