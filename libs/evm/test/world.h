/* A machine, a host and a block to run test code in; and an assembler of a few lines. */
#ifndef RIDGE_EVM_TEST_WORLD_H
#define RIDGE_EVM_TEST_WORLD_H
#include "host.h"
#include "ridge/test.h"

#define WORLD_GAS 10000000u

typedef struct world {
    host_t host;
    rdg_evm_t *vm;
    rdg_evm_context_t context;
    rdg_evm_result_t result; /* of the last run */
} world_t;

/* Accounts: 0xA11CE is the sender (balance 10^18), 0xC0DE the contract of world_run. */
world_t *world_new(void);
void world_free(world_t *w);
rdg_address_t world_sender(void);
rdg_address_t world_contract(void);

/* Each is a transaction of its own; the result is also in w->result. */
rdg_evm_status_t world_call(world_t *w, rdg_address_t from, rdg_address_t to, rdg_bytes_t input,
                            uint64_t gas);
rdg_evm_status_t world_create(world_t *w, rdg_address_t from, uint64_t nonce, rdg_bytes_t init_code,
                              uint64_t gas);
/* Puts code at the contract and calls it without input. */
rdg_evm_status_t world_run(world_t *w, const char *assembly);
rdg_evm_status_t world_run_gas(world_t *w, const char *assembly, uint64_t gas);
uint64_t world_gas_used(const world_t *w, uint64_t gas); /* of a run that was given `gas` */
uint64_t world_output_u64(const world_t *w);             /* the output must be one word below 2^64 */

/* "PUSH1 0x2a ADD" to bytes. Words: opcode names, and hex literals that stand as they are. A decimal number
 * or 0x literal after PUSHn fills its n bytes. Appended to out. */
void assemble(const char *text, rdg_buf_t *out);
void world_set_code(world_t *w, rdg_address_t a, const char *assembly);

#endif
