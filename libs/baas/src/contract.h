/* Contracts of a chain: their store, and transactions that the cloud signs. */
#ifndef RIDGE_BAAS_CONTRACT_H
#define RIDGE_BAAS_CONTRACT_H
#include "internal.h"
#include "ridge/codec/abi.h"

#define CONTRACTS_MAX 1000
#define INITCODE_MAX (48u << 10)

/* contract_store.c */
/* *abi is returned owned. */
rdg_err_t contract_find(rdg_baas_t *b, const chain_t *c, const char *name, rdg_address_t *address,
                        json_t **abi);
rdg_err_t contract_check_new(rdg_baas_t *b, const chain_t *c, const char *name); /* EXISTS, FULL */
rdg_err_t contract_add(rdg_baas_t *b, const chain_t *c, const char *name, const json_t *abi,
                       const rdg_address_t *address, const rdg_hash_t *tx, uint64_t height);
rdg_err_t contract_list(rdg_baas_t *b, const chain_t *c, const char *name, json_t **out); /* name NULL: all */

/* contract_tx.c */
typedef struct sent_tx {
    rdg_hash_t id;
    uint64_t height, gas_used;
    json_t *receipt; /* as the node gave it; owned */
} sent_tx_t;
/* Signs with the chain's key, sends, and waits for the receipt. to NULL: creates a contract. REVERTED: the
 * text holds the reason, by the errors of abi (may be NULL). */
rdg_err_t contract_transact(relay_t *r, const chain_t *c, const rdg_address_t *to, rdg_bytes_t data,
                            const json_t *abi, sent_tx_t *out);
void sent_tx_fini(sent_tx_t *t);
/* Signs with the chain's key, which is its administrator's; valid for some time. Returns owned. */
rdg_err_t contract_sign(relay_t *r, const chain_t *c, const rdg_address_t *to, rdg_bytes_t data,
                        rdg_tx_t **out);
/* The receipt's logs as [{"event","args","address"}]; a log that abi does not know as
 * {"topics","data","address"}. */
rdg_err_t contract_events(const json_t *receipt, const json_t *abi, json_t **out);
rdg_err_t contract_reverted(const json_t *abi, rdg_bytes_t data,
                            const char *what); /* the error with its reason */

#endif
