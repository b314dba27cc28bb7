/* A chain of real nodes, each a process of its own on loopback, for tests of the node. */
#ifndef RIDGE_NODE_TEST_CLUSTER_H
#define RIDGE_NODE_TEST_CLUSTER_H
#include <sys/types.h>
#include "ridge/codec/json.h"
#include "ridge/ledger/genesis.h"
#include "ridge/ledger/tx.h"
#include "ridge/net/http_client.h"
#include "ridge/test_ca.h"

#define CLUSTER_MAX 7

typedef struct cluster {
    size_t count;
    rdg_genesis_t genesis;
    rdg_test_ca_t ca;    /* of the nodes' certificates */
    rdg_sm2_key_t *user; /* also the chain's administrator */
    rdg_sm2_public_t keys[CLUSTER_MAX];
    size_t pool_count;     /* of nodes that are started from now on */
    uint64_t snapshot_gap; /* the same */
    uint64_t scrub_ms;     /* the same */
    unsigned rpc_call_ms;  /* the same */
    uint64_t log_blocks;   /* the same */
    char dirs[CLUSTER_MAX][512];
    uint16_t p2p_ports[CLUSTER_MAX], rpc_ports[CLUSTER_MAX];
    pid_t pids[CLUSTER_MAX];
    rdg_http_client_t *http;
} cluster_t;

/* Keys, genesis, peers in the test's directory; nothing runs yet. */
void cluster_init(cluster_t *c, size_t count);
/* The same, with the first `validators` in the genesis; the others observe. */
void cluster_init_observers(cluster_t *c, size_t count, size_t validators);
/* Writes peers.json of node i anew, with the nodes of which bit is set in `mask`. */
void cluster_write_peers(cluster_t *c, size_t i, unsigned mask);
void cluster_start(cluster_t *c, size_t i);
void cluster_use_raft(cluster_t *c); /* before the first start; a base time-out of a second */
void cluster_use_small_blocks(cluster_t *c, uint64_t txs); /* before the first start */
void cluster_start_all(cluster_t *c);
void cluster_kill(cluster_t *c, size_t i); /* SIGKILL, reaped */
int cluster_stop(cluster_t *c, size_t i);  /* SIGTERM; its exit status */
void cluster_pause(long ms);
int cluster_exit(cluster_t *c, size_t i); /* waits for its end; its exit status */
void cluster_fini(cluster_t *c);

/* The whole answer to a call, owned; NULL when the node does not answer. */
json_t *cluster_call(cluster_t *c, size_t i, const char *method, json_t *params);
/* Result of a call, owned; NULL when the node does not answer or answers an error (*code gets its name then).
 */
json_t *cluster_rpc(cluster_t *c, size_t i, const char *method, json_t *params, char code[32]);
/* Raw exchange: HTTP status, answer appended to out. */
unsigned cluster_post(cluster_t *c, size_t i, const char *body, rdg_buf_t *out);
void cluster_wait_rpc(cluster_t *c, size_t i); /* until it answers */
/* Until it answers: -1, or ends by itself: its exit status. */
int cluster_wait_rpc_or_exit(cluster_t *c, size_t i);
uint64_t cluster_height(cluster_t *c, size_t i); /* 0 when it does not answer */
/* Waits until node i has reached the height; fails the test after 60 s. */
void cluster_wait_height(cluster_t *c, size_t i, uint64_t height);
void cluster_block_hash(cluster_t *c, size_t i, uint64_t height, char out[80]);
/* A transaction by the user with these fields, where 0 takes a value that is right. */
rdg_tx_t *cluster_sign(cluster_t *c, rdg_tx_fields_t fields);
/* A signed transfer of nothing to an address, with a random nonce. */
rdg_tx_t *cluster_tx(cluster_t *c);
/* Sends it; empty string on success, else the code of the refusal. */
void cluster_send(cluster_t *c, size_t i, rdg_bytes_t wire, char code[32]);
/* Fails the test unless the node's log holds this text. */
void cluster_log_has(cluster_t *c, size_t i, const char *text);
/* Waits until node i has so many links. */
void cluster_wait_links(cluster_t *c, size_t i, size_t want);
void cluster_wait_log(cluster_t *c, size_t i, const char *text); /* until it does */
/* "halted" of its ridge_status: empty while it is not, or does not answer. */
void cluster_halted(cluster_t *c, size_t i, char out[600]);
/* A call of governance by the administrator: method of contracts/Governance.sol, args (taken) as its parameters.
 * Waits for the receipt; false: refused. */
bool cluster_govern(cluster_t *c, size_t via, const char *method, json_t *args);
json_t *cluster_key(cluster_t *c, size_t i); /* public key of node i as hexadecimal, owned */
/* All nodes reach the highest height that one of them has, with the same hashes all the way from `from` on. */
void cluster_check_agreement(cluster_t *c, uint64_t from);
/* Waits for its receipt on node i, owned. */
json_t *cluster_receipt(cluster_t *c, size_t i, const rdg_hash_t *id);

#endif
