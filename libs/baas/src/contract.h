/* Contracts of a chain. What there is says the chain's registry (contracts/Registry.sol); the cloud keeps a copy of it, the
 * ABIs, and every transaction that it signed until the chain has settled it. */
#ifndef RIDGE_BAAS_CONTRACT_H
#define RIDGE_BAAS_CONTRACT_H
#include "internal.h"
#include "ridge/codec/abi.h"
#include "ridge/ledger/genesis.h"
#include "ridge/ledger/registry.h"

#define INITCODE_MAX (48u << 10)
#define CALLDATA_MAX (100u << 10)
#define ORDERS_PENDING_MAX 1000 /* of a chain */
#define ORDERS_KEPT_MAX 10000   /* of a chain: an idempotency key is known so long */
#define IDEMPOTENCY_MAX 100     /* characters of a key */

/* --- contract_store.c --- */
typedef struct contract {
    char name[RDG_NAME_MAX + 1];
    uint32_t version;
    rdg_address_t address, owner;
    rdg_hash_t abi_digest;
    uint8_t life; /* ridge/ledger/registry.h */
    json_t *abi;  /* NULL: the cloud has none; owned */
} contract_t;
void contract_fini(contract_t *k);
/* version 0: the newest. NOT_FOUND. */
rdg_err_t contract_find(rdg_baas_t *b, const chain_t *c, const char *name, uint32_t version, contract_t *out);
/* The same, and NOT_FOUND when its ABI is not known. */
rdg_err_t contract_find_abi(rdg_baas_t *b, const chain_t *c, const char *name, uint32_t version,
                            contract_t *out);
rdg_err_t contract_check_new(rdg_baas_t *b, const chain_t *c, const char *name); /* EXISTS */
/* name NULL: the newest version of each; else all versions of that one. */
rdg_err_t contract_list(rdg_baas_t *b, const chain_t *c, const char *name, json_t **out);
/* SM3 of the ABI as compact JSON. */
rdg_err_t contract_keep_abi(rdg_baas_t *b, const chain_t *c, const json_t *abi, rdg_hash_t *digest);
/* An event of the registry, decoded, into the copy. */
rdg_err_t contract_take_event(rdg_baas_t *b, const chain_t *c, const json_t *event, const json_t *log);

/* --- contract_registry.c --- */
/* "string name,uint32 version" as the JSON ABI has it; "*string name": indexed. NULL: no memory. */
json_t *registry_params(const char *text);
/* ABI of the registry's events and governance's proposals. Returns owned; NULL: no memory. */
json_t *registry_events(void);
/* The data of a call of the registry. args is taken. */
rdg_err_t registry_encode(const char *method, const char *inputs, json_t *args, rdg_buf_t *out);
/* Takes over what happened on the chain since the last time, or 500 ms ago unless now. */
rdg_err_t contract_sync(relay_t *r, const chain_t *c, bool now);
/* The copy reaches at least to that height. It is made of logs, so this goes before they leave the nodes. */
rdg_err_t contract_catch_up(rdg_baas_t *b, const chain_t *c, uint64_t height);

/* --- contract_tx.c --- */
typedef struct sent_tx {
    rdg_hash_t id;
    uint64_t height, gas_used;
    json_t *receipt; /* as the node gave it; owned */
} sent_tx_t;
/* Signs with the chain's key, sends, and waits for the receipt. REVERTED: the text holds the reason, by the errors of abi
 * (may be NULL). */
rdg_err_t contract_transact(relay_t *r, const chain_t *c, const rdg_address_t *to, rdg_bytes_t data,
                            const json_t *abi, sent_tx_t *out);
void sent_tx_fini(sent_tx_t *t);
rdg_err_t contract_sign(relay_t *r, const chain_t *c, const rdg_address_t *to, rdg_bytes_t data,
                        rdg_tx_t **out);
/* Sends tx, perhaps not for the first time, and waits for its receipt. */
rdg_err_t contract_deliver(relay_t *r, const rdg_tx_t *tx, sent_tx_t *out);
rdg_err_t contract_check(const sent_tx_t *t, const json_t *abi); /* REVERTED */
/* The receipt's logs as [{"event","args","address"}]; a log that abi does not know as
 * {"topics","data","address"}. */
rdg_err_t contract_events(const json_t *receipt, const json_t *abi, json_t **out);
rdg_err_t contract_decode_log(const json_t *log, const json_t *abi, json_t **out); /* NOT_FOUND, MALFORMED */
rdg_err_t contract_reverted(const json_t *abi, rdg_bytes_t data,
                            const char *what); /* the error with its reason */

/* --- contract_order.c --- */
typedef struct order {
    const char *key; /* the client's idempotency key, or NULL */
    const rdg_address_t *to;
    rdg_bytes_t data;
    const json_t *abi;
} order_t;
/* As contract_transact, but what is signed is durable before it is sent: a crash loses no answer. The same key gives the
 * same transaction and result; CONFLICT: it was another request's. TIMEOUT: the cloud goes on by itself. */
rdg_err_t contract_order(relay_t *r, const chain_t *c, const order_t *o, sent_tx_t *out);
/* "idempotency_key" of a request; *out NULL without one. */
rdg_err_t contract_key(const json_t *body, const char **out);

/* --- contract_rest.c --- */
typedef struct open_chain {
    chain_t chain;
    relay_t relay;
} open_chain_t;
/* A running chain with a way to its nodes, and the copy of its registry brought up to date. */
rdg_err_t contract_open(rdg_baas_t *b, const rdg_service_call_t *call, open_chain_t *o);
void contract_close(open_chain_t *o);
rdg_err_t contract_reply_sent(rdg_service_answer_t *answer, unsigned status, const sent_tx_t *t,
                              json_t *more);

/* contract_life.c: events of the registry and of governance; 202 with "proposal" when others must approve. */
rdg_err_t contract_reply_change(open_chain_t *o, const sent_tx_t *sent, rdg_service_answer_t *answer);

/* contract_call.c */
rdg_err_t contract_account(relay_t *r, const chain_t *c, rdg_address_t *out); /* the chain's own */
/* eth_call by the chain's account; *result is decoded by entry. */
rdg_err_t contract_read(relay_t *r, const chain_t *c, const contract_t *k, const json_t *entry,
                        rdg_bytes_t data, bool audit, json_t **result);

#endif
