/* What the files of JSON-RPC share: a method gets its parameters as a JSON array and gives back a JSON value.
 */
#ifndef RIDGE_NODE_RPC_INTERNAL_H
#define RIDGE_NODE_RPC_INTERNAL_H
#include "ridge/base/ref.h"
#include "ridge/ledger/archive.h"
#include "ridge/ledger/eth_json.h"
#include "ridge/node/rpc.h"

#define LOGS_MAX 10000
#define LOG_BYTES_MAX (8u << 20)
#define LOG_ALTERNATIVES_MAX 64
#define RPC_ID_CHARACTERS 34 /* 0x and 32 digits */

typedef struct subscriptions subscriptions_t;
typedef struct filters filters_t;
typedef struct pending pending_t;

struct rdg_node_rpc {
    rdg_node_rpc_options_t options;
    subscriptions_t *subscriptions;
    filters_t *filters;
    pending_t *pending;
};

typedef rdg_err_t (*rpc_method_fn)(rdg_node_rpc_t *rpc, const json_t *params, json_t **result);
typedef rdg_err_t (*rpc_session_fn)(rdg_node_rpc_session_t *session, const json_t *params, json_t **result);

typedef struct rpc_method {
    const char *name;
    rpc_method_fn run;
    rpc_session_fn run_session; /* in place of run, where there is a session */
} rpc_method_t;

extern const rpc_method_t rpc_eth_methods[], rpc_fee_methods[], rpc_call_methods[], rpc_log_methods[],
    rpc_filter_methods[], rpc_subscribe_methods[], rpc_send_methods[], rpc_proof_methods[],
    rpc_trace_methods[], rpc_ridge_methods[], rpc_agent_methods[];

/* rpc_agent.c: FORBIDDEN if the method is the agent's alone (node_) and the first parameter is not its token. */
rdg_err_t rpc_agent_check(const rdg_node_rpc_t *rpc, const char *method, const json_t *params);

/* rpc_plain.c: a call of ridge_sendTransaction; both borrow from the request. */
typedef struct rpc_plain_call {
    rdg_bytes_t id, transaction; /* the id as it stands in the text; the hexadecimal digits with their 0x */
} rpc_plain_call_t;
/* How many calls a request of plain form makes; 0: it is of another form, or makes other calls too. */
size_t rpc_plain_read(rdg_bytes_t body, rpc_plain_call_t calls[RDG_RPC_CALLS_MAX], bool *is_batch);

/* rpc_batch.c: the transactions that a batch submits. */
typedef struct rpc_batch {
    rdg_node_rpc_expected_t *expected; /* NULL: each is submitted by itself */
    rdg_buf_t bytes;
    rdg_bytes_t wires[RDG_RPC_CALLS_MAX]; /* within bytes */
    uint8_t place_of[RDG_RPC_CALLS_MAX];  /* of a request among them, plus one; 0: it is none of them */
} rpc_batch_t;
/* Before the first is answered; to be closed also when it did nothing. */
void rpc_batch_open(rdg_node_rpc_t *rpc, const json_t *batch, rpc_batch_t *b);
/* The same of plain calls; false: they are no transactions. */
bool rpc_batch_open_plain(rdg_node_rpc_t *rpc, const rpc_plain_call_t *calls, size_t count, rpc_batch_t *b);
void rpc_batch_close(rdg_node_rpc_t *rpc, rpc_batch_t *b);
/* Is request i one of them? b may be NULL. */
bool rpc_batch_has(const rpc_batch_t *b, size_t i);
rdg_err_t rpc_batch_submit(rdg_node_rpc_t *rpc, const rpc_batch_t *b, size_t i, rdg_hash_t *id);
/* Reading what will be refused costs more than all else about it: whether the text calls nothing but ridge_sendTransaction. */
bool rpc_only_submits(rdg_bytes_t body);

/* rpc_params.c: each names the parameter it refuses. */
rdg_err_t param_hash(const json_t *params, size_t i, const char *what, rdg_hash_t *out);
rdg_err_t param_address(const json_t *v, const char *what, rdg_address_t *out);
rdg_err_t param_word(const json_t *v, const char *what, rdg_word_t *out);
/* Any length up to the buffer's maximum, appended. */
rdg_err_t param_bytes(const json_t *v, const char *what, rdg_buf_t *out);
/* A block number, or latest, pending, safe, finalized (all the head: blocks are final), earliest (0), or
 * {"blockNumber"} or {"blockHash"} (EIP-1898). Absent: the head. */
rdg_err_t param_height(rdg_node_rpc_t *rpc, const json_t *v, const char *what, uint64_t *out);
uint64_t rpc_head(rdg_node_rpc_t *rpc);

/* rpc_receipts.c. NOT_FOUND while the transaction is not in a block. */
rdg_err_t rpc_receipt(rdg_node_rpc_t *rpc, const rdg_hash_t *id, json_t **out);
rdg_err_t rpc_block_receipts(rdg_node_rpc_t *rpc, uint64_t height, json_t **out);

/* rpc_call.c: {from, to, value, gas, data or input} */
typedef struct rpc_call {
    rdg_call_t call;
    rdg_address_t to;
    rdg_buf_t data;
} rpc_call_t;
/* c->data is to be freed also after a failure. */
rdg_err_t rpc_call_read(const json_t *o, rpc_call_t *c);
/* The block on whose state it runs; NOT_FOUND: beyond the head. */
rdg_err_t rpc_call_place(rdg_node_rpc_t *rpc, const json_t *v, rdg_call_t *call);
/* The least gas with which it succeeds, or its refusal with revert data in *data. */
rdg_err_t rpc_estimate(rdg_node_rpc_t *rpc, rdg_call_t *call, uint64_t *gas, json_t **data);
/* The error of a call that did not succeed: *data gets what it left, for error.data. */
rdg_err_t rpc_call_refused(rdg_evm_status_t status, rdg_bytes_t output, json_t **data);

/* rpc_overrides.c: the third parameter of eth_call. */
typedef struct rpc_overrides {
    rdg_arena_t arena;
    rdg_account_override_t *list;
    size_t count;
} rpc_overrides_t;
rdg_err_t rpc_overrides_read(const json_t *o, rpc_overrides_t *out); /* to be freed also after a failure */
void rpc_overrides_fini(rpc_overrides_t *o);

/* rpc_logs.c: a log filter that several may hold. */
typedef struct rpc_filter {
    rdg_ref_t ref;
    rdg_log_filter_t f; /* borrows from below */
    rdg_address_t addresses[LOG_ALTERNATIVES_MAX];
    rdg_word_t topics[4][LOG_ALTERNATIVES_MAX];
} rpc_filter_t;
/* Address and topics of a filter object (NULL: any); returns a reference. */
rdg_err_t rpc_filter_new(const json_t *o, rpc_filter_t **out);
void rpc_filter_unref(rpc_filter_t *f); /* NULL is fine */
/* fromBlock and toBlock, or blockHash. */
rdg_err_t rpc_filter_range(rdg_node_rpc_t *rpc, const json_t *o, uint64_t *from, uint64_t *to);
typedef struct rpc_log_range {
    uint64_t from, to;
    uint32_t from_index; /* in block `from` */
    size_t limit;        /* logs of a page */
} rpc_log_range_t;
typedef struct rpc_log_page {
    json_t *list;
    rdg_err_t
        why; /* it ends before the range does: TOO_LARGE, TIMEOUT, INVALID (too many blocks); OK: it does not */
    uint64_t next; /* then: where the next page begins */
    uint32_t next_index;
} rpc_log_page_t;
rdg_err_t rpc_logs_page(rdg_node_rpc_t *rpc, const rpc_filter_t *filter, const rpc_log_range_t *range,
                        rpc_log_page_t *page);
/* All of a range, or an error that says for which part to ask. */
rdg_err_t rpc_logs(rdg_node_rpc_t *rpc, const rpc_filter_t *filter, uint64_t from, uint64_t to,
                   json_t **result);

/* rpc_subscribe.c, rpc_filters.c */
rdg_err_t subscriptions_new(rdg_node_rpc_t *rpc, subscriptions_t **out);
void subscriptions_free(subscriptions_t *s); /* NULL is fine */
void subscriptions_wake(subscriptions_t *s);
rdg_err_t filters_new(filters_t **out);
void filters_free(filters_t *f); /* NULL is fine */

/* rpc_pending.c: any thread */
rdg_err_t pending_new(pending_t **out);
void pending_free(pending_t *p); /* NULL is fine */
/* From now on ids are kept; *next is the number of the next one. */
rdg_err_t pending_watch(pending_t *p, uint64_t *next);
bool pending_note(pending_t *p, const rdg_hash_t *id); /* false: nobody ever wanted to be told */
/* Ids from number *from on, which moves behind them; what is too old to be kept is passed over. */
size_t pending_since(pending_t *p, uint64_t *from, rdg_hash_t *out, size_t max);

#endif
