/* Runs transactions in the EVM on a state, and makes their receipts. */
#ifndef RIDGE_LEDGER_EXECUTOR_H
#define RIDGE_LEDGER_EXECUTOR_H
#include "ridge/ledger/ledger.h"
#include "governance.h"
#include "state.h"

typedef struct executor {
    rdg_evm_t *evm;
    state_t *state;
    state_host_t host;
    rdg_evm_context_t context; /* origin is set for each transaction */
} executor_t;

/* The EVM's context of a block that this epoch decides. parent: hash of the block before (it is PREVRANDAO: unpredictable enough for
 * tools, not a source of randomness). */
void executor_context(executor_t *x, const rdg_genesis_t *g, const rdg_epoch_t *epoch, const rdg_header_t *h);
/* The transaction has passed rdg_tx_check. *receipt borrows from state and machine until the next one. */
rdg_err_t executor_run(executor_t *x, const rdg_tx_t *tx, uint64_t gas_before, rdg_receipt_t *receipt);
/* gas_limit includes the intrinsic gas; *output borrows from the machine. */
rdg_err_t executor_call(executor_t *x, const rdg_call_t *call, uint64_t gas_limit, rdg_call_result_t *result,
                        rdg_bytes_t *output);

#endif
