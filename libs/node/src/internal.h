/* What the files of the node share. Fields belong to the loop's thread unless said otherwise. */
#ifndef RIDGE_NODE_INTERNAL_H
#define RIDGE_NODE_INTERNAL_H
#include <pthread.h>
#include "ridge/base/arena.h"
#include "ridge/base/clock.h"
#include "ridge/base/list.h"
#include "ridge/base/metrics.h"
#include "ridge/consensus/consensus.h"
#include "ridge/ledger/ledger.h"
#include "ridge/net/http_server.h"
#include "ridge/net/loop.h"
#include "ridge/node/node.h"
#include "ridge/node/rpc.h"
#include "ridge/p2p/p2p.h"

#define NODE_FRAME_MAX (RDG_CONSENSUS_MESSAGE_MAX + 1024)
#define NODE_VALIDATED_MAX 32

enum { MSG_CONSENSUS = RDG_P2P_TYPE_FIRST, MSG_TXS, MSG_STATUS, MSG_BLOCKS_GET, MSG_BLOCKS };

typedef enum job_kind { JOB_PROPOSE, JOB_VALIDATE, JOB_APPLY, JOB_CHECKPOINT, JOB_IMPORT } job_kind_t;

/* One piece of work on the ledger lane. Owned by the lane until its done function has run. */
typedef struct job {
    rdg_list_t node;
    rdg_node_t *owner;
    job_kind_t kind;
    uint64_t height, view;
    rdg_hash_t digest;
    bool verified, allow_empty;
    size_t peer;     /* JOB_IMPORT */
    rdg_buf_t bytes; /* proposal, or the blocks of an import; filled by JOB_PROPOSE */
    rdg_buf_t seal;
    rdg_err_t err;
    char why[RDG_ERROR_TEXT_MAX];
    rdg_hash_t executed; /* JOB_APPLY */
} job_t;

typedef struct lane {
    rdg_list_t jobs;
    size_t count;
    bool running;
} lane_t;

typedef struct proposing {
    bool wanted, building;
    uint64_t height, view, last_ms;
    rdg_timer_t *timer;
} proposing_t;

typedef struct gossip {
    pthread_mutex_t lock; /* guards fresh */
    rdg_buf_t fresh;      /* transactions that HTTP threads took since the loop last looked */
    rdg_buf_t out;        /* transactions waiting for the next flush */
    rdg_timer_t *flush;
    bool flush_armed, verifying;
    rdg_tx_t **unverified; /* ring of RDG_NODE_VERIFY_MAX */
    size_t head, count, bytes;
    rdg_hash_t oldest; /* of the pool at the last resend tick */
    unsigned oldest_ticks;
} gossip_t;

typedef struct sync {
    bool active, importing; /* importing: the peer has answered, its blocks are on the lane */
    size_t peer;
    uint64_t target, from, asked_ms;
    uint64_t peer_height[RDG_P2P_PEERS_MAX];
    uint64_t avoid_until_ms[RDG_P2P_PEERS_MAX];
    bool serving[RDG_P2P_PEERS_MAX];
    bool greeted[RDG_P2P_PEERS_MAX]; /* has told its height since the link is up */
    uint64_t behind_since_ms, last_height;
} sync_t;

struct rdg_node {
    rdg_node_options_t options;
    char *dir;
    rdg_genesis_t genesis;
    rdg_sm2_key_t *key;
    uint32_t self; /* validator index, or the set's count */
    rdg_loop_t *loop;
    rdg_ledger_t *ledger;
    rdg_pool_t *pool;
    rdg_consensus_t *core;
    rdg_consensus_output_t *output;
    bool stepping, marked;
    rdg_p2p_t *p2p;
    rdg_p2p_peer_t *peers;
    size_t peer_count, self_peer;       /* index of this node's own entry, SIZE_MAX for none */
    size_t peer_of[RDG_VALIDATORS_MAX]; /* validator index to peer index, SIZE_MAX for none */
    rdg_http_server_t *http;
    rdg_node_rpc_t *rpc;
    rdg_timer_t *tick, *core_timer;
    lane_t lane;
    proposing_t proposing;
    gossip_t gossip;
    sync_t sync;
    rdg_hash_t validated[NODE_VALIDATED_MAX];
    size_t validated_next;
    unsigned refusals; /* messages refused since the last tick */
    uint64_t started_ms;
    int exit_status;
    bool closing;

    /* Guards the snapshot that HTTP threads read. Only the loop's thread writes it, so that the loop reads it
     * without the lock. */
    pthread_mutex_t lock;
    struct {
        rdg_consensus_status_t consensus;
        bool linked[RDG_P2P_PEERS_MAX], syncing, halted;
        uint64_t peer_height[RDG_P2P_PEERS_MAX];
        char halted_why[RDG_ERROR_TEXT_MAX];
    } seen;

    rdg_metrics_t *metrics;
    rdg_metric_t *m_blocks, *m_txs, *m_height, *m_pool, *m_dropped, *m_refused, *m_apply_ms, *m_tx_wait_ms;
};

/* driver.c: the consensus core and its actions */
rdg_err_t driver_open(rdg_node_t *n);
void driver_start(rdg_node_t *n);
/* The core's refusal of the event, if any; the node's own troubles halt it. */
rdg_err_t driver_step(rdg_node_t *n, const rdg_consensus_event_t *event);
void driver_message(rdg_node_t *n, size_t peer, rdg_bytes_t bytes);
void driver_try_propose(rdg_node_t *n);
/* Every half second: tells the core whether transactions wait, so that a leader who leaves them there is replaced. */
void driver_tick(rdg_node_t *n);
/* A block of this validator is durable: from now on an empty ledger means a lost one. */
void driver_mark_voted(rdg_node_t *n);
void driver_note_validated(rdg_node_t *n, const rdg_hash_t *digest);
void driver_close(rdg_node_t *n);

/* lane.c: work on the ledger, one job at a time in order */
job_t *lane_job(rdg_node_t *n, job_kind_t kind, rdg_bytes_t bytes, rdg_bytes_t seal);
rdg_err_t lane_push(rdg_node_t *n, job_t *job); /* takes job, also on failure */
void lane_close(rdg_node_t *n);
/* Any thread: the transactions of a durable block leave the pool. */
void lane_forget(rdg_node_t *n, uint64_t height);
void node_halt(rdg_node_t *n, rdg_err_t err, const char *why);

/* gossip.c: transactions in and out */
rdg_err_t gossip_open(rdg_node_t *n);
void gossip_close(rdg_node_t *n);
/* Any thread: decodes, checks, verifies and pools a transaction, and spreads it. */
rdg_err_t gossip_submit(rdg_node_t *n, rdg_bytes_t wire, rdg_hash_t *id);
void gossip_receive(rdg_node_t *n, rdg_bytes_t bytes);
void gossip_tick(rdg_node_t *n);
void gossip_link_up(rdg_node_t *n,
                    size_t peer); /* a restarted peer's pool is empty: it gets what waits here */

/* sync.c: sealed blocks from peers that are ahead */
void sync_behind(rdg_node_t *n, size_t peer, uint64_t height);
void sync_link_up(rdg_node_t *n, size_t peer);
void sync_status(rdg_node_t *n, size_t peer, rdg_bytes_t bytes);
void sync_serve(rdg_node_t *n, size_t peer, rdg_bytes_t bytes);
void sync_blocks(rdg_node_t *n, size_t peer, rdg_bytes_t bytes);
void sync_imported(rdg_node_t *n, const job_t *job);
void sync_announce(rdg_node_t *n, size_t peer); /* SIZE_MAX: to all */
void sync_tick(rdg_node_t *n);
/* Applies the blocks of a BLOCKS message; runs on a worker. */
rdg_err_t sync_import(rdg_node_t *n, rdg_bytes_t bytes);

/* Path of a file that the node's directory must hold. NOT_FOUND. */
rdg_err_t node_file(rdg_node_t *n, const char *name, char *path, size_t size);
/* peers.c */
rdg_err_t peers_load(rdg_node_t *n);
/* status.c */
void status_refresh(rdg_node_t *n);
rdg_err_t status_json(void *node, json_t **out); /* any thread */
/* http.c */
rdg_err_t http_open(rdg_node_t *n);

#endif
