/* What a state test says about accounts, transactions and results, on the host of the unit tests. */
#ifndef RIDGE_EVM_CONFORMANCE_STATE_H
#define RIDGE_EVM_CONFORMANCE_STATE_H
#include "host.h"
#include "ridge/codec/json.h"
#include "u256.h"

/* JSON numbers and bytes of the tests: "0x…" of any number of digits. */
u256_t json_word(const json_t *v);
bool json_fits_word(const json_t *v);
uint64_t json_u64(const json_t *v); /* clamped */
void json_bytes(const json_t *v, rdg_buf_t *out);
rdg_address_t json_address(const json_t *v);

void state_load(host_t *h, const json_t *pre);
void state_root(const host_t *h, uint8_t root[32]);
void state_logs_hash(const host_t *h, uint8_t hash[32]);

/* Runs the transaction that a case chooses. False: it is not valid, and the state is as before. */
bool transaction_run(host_t *h, rdg_evm_t *vm, rdg_evm_revision_t revision, const json_t *env,
                     const json_t *tx, const json_t *indexes);

#endif
