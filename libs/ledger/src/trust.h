/* The validators of every epoch that a client has learnt, and whether they signed. */
#ifndef RIDGE_LEDGER_TRUST_INTERNAL_H
#define RIDGE_LEDGER_TRUST_INTERNAL_H
#include "ridge/ledger/evidence.h"

/* The executed header under a certificate of the validators of its height. WRONG_CHAIN, STALE, BAD_SIGNATURE,
 * MALFORMED. */
rdg_err_t trust_check(const rdg_trust_t *t, rdg_bytes_t executed, rdg_bytes_t checkpoint,
                      rdg_executed_t *out);

#endif
