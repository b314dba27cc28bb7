/* An administrator's order to one node: that it hand the lead of its Raft chain to another validator.
 *
 * It has the form of a transaction to governance (tx.h), signed by an administrator of the chain, and never goes into a
 * block: a node that gets it checks it against its own ledger and acts. Its data is RLP
 *   ["transferLeader", epoch, view, validator]
 * with the epoch and view (Raft's term) that the administrator saw. Once another leads, the view is another one, so an
 * order has at most one effect; it expires as a transaction does. Should somebody send it as a transaction all the same,
 * governance reverts it: no method begins like this. */
#ifndef RIDGE_LEDGER_ORDER_H
#define RIDGE_LEDGER_ORDER_H
#include "ridge/ledger/ledger.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdg_lead_order {
    uint64_t epoch, view;
    char to[RDG_NAME_MAX + 1]; /* a validator's name; empty: whoever has most of the log */
} rdg_lead_order_t;

/* The data of the transaction, appended to out. */
rdg_err_t rdg_lead_order_encode(const rdg_lead_order_t *o, rdg_buf_t *out);
/* Everything that the ledger can tell: form (MALFORMED, INVALID), WRONG_CHAIN, EXPIRED, BAD_SIGNATURE, and that the
 * signer is an administrator (FORBIDDEN). */
rdg_err_t rdg_lead_order_check(rdg_ledger_t *l, rdg_bytes_t wire, rdg_lead_order_t *out);

#ifdef __cplusplus
}
#endif
#endif
