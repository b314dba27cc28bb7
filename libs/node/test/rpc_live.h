/* A chain of one node with a contract that emits one log a call, for tests of what JSON-RPC keeps and computes. */
#ifndef RPC_LIVE_H
#define RPC_LIVE_H
#include "cluster.h"

typedef struct live {
    cluster_t c;
    json_t *deployed; /* receipt */
    rdg_address_t contract;
    char address[43];
} live_t;

void live_init(live_t *w);
/* The same with rpc_call_ms of the node. */
void live_init_hurried(live_t *w, unsigned rpc_call_ms);
/* The same with rpc_log_blocks. */
void live_init_narrow(live_t *w, uint64_t log_blocks);
void live_fini(live_t *w);
json_t *live_json(const char *text);
const char *live_text(const json_t *o, const char *field);
/* Sends it and waits; the receipt, owned. id may be NULL. */
json_t *live_send(live_t *w, const rdg_address_t *to, rdg_bytes_t data, rdg_hash_t *id);
void live_emit(live_t *w, rdg_hash_t *id); /* one log */
/* params is taken; the result, owned: an error fails the test. */
json_t *live_rpc(live_t *w, const char *method, json_t *params);
/* It is answered by an error with this code, whose message holds reason. */
void live_refused(live_t *w, const char *method, json_t *params, const char *code, const char *reason);

#endif
