/* N replicas of PBFT or of Raft in one thread: virtual time, a seeded network and disks that lose what was not
 * synced.
 *
 * The checker runs on every action of every honest replica and ends the test (or, with `expect_violation`,
 * counts) when one of these breaks:
 *   agreement   one digest per height, over all honest replicas and restarts
 *   seal        each COMMIT and CHECKPOINT carries a certificate of a quorum of distinct validators
 *   order       COMMIT heights follow one another; the bytes are the block of the digest, and a valid one
 *   durable     whatever a sent vote or proposal promises is in the sender's stable records
 *   once        no replica ever sends two digests for one phase, view and height, over any restart
 *   promise     after a view change to v, nothing is signed in a view before v
 *   result      one executed digest per checkpointed height
 *   read        a read index is not below what was decided when it was asked for
 * and for Raft: one leader a term, one vote a term over any restart, no term left is spoken in again, one block
 * for a height and term, and what a vote, an append or its answer promises is in the stable records.
 *
 * A block is [height, parent, nonce, SM3 of the body] and the body; its digest covers the header only, as the
 * node's does. */
#ifndef RIDGE_CONSENSUS_TEST_FIXTURE_H
#define RIDGE_CONSENSUS_TEST_FIXTURE_H
#include "message.h"
#include "raft_message.h"
#include "ridge/consensus/consensus.h"
#include "ridge/test.h"

#define SIM_NODES_MAX 8
#define SIM_HEIGHTS 256
#define SIM_PACKETS_MAX 65536
#define SIM_RECORDS_MAX 256
#define SIM_SIGNED_MAX 8192
#define SIM_TERMS_MAX 8192

typedef struct sim_blob {
    uint8_t *data;
    size_t len;
} sim_blob_t;

typedef struct sim_block {
    sim_blob_t payload, seal;
    rdg_hash_t digest;
} sim_block_t;

typedef struct sim_record {
    sim_blob_t key, value;
} sim_record_t;

typedef enum sim_work_kind {
    SIM_PACKET,
    SIM_VALIDATE,
    SIM_EXECUTE,
    SIM_PROPOSE,
    SIM_FETCH,
    SIM_TICK
} sim_work_kind_t;

/* Something that will happen to node `to` at at_ms; dropped if the node has restarted since (packets are
 * not). */
typedef struct sim_work {
    sim_work_kind_t kind;
    uint64_t at_ms, order, height, view;
    uint32_t from, to, life;
    rdg_hash_t digest;
    sim_blob_t bytes, seal;
} sim_work_t;

#define SIM_EPOCHS_MAX 8

typedef struct sim_signed {
    rdg_phase_t phase;
    uint64_t epoch, view, height;
    rdg_hash_t digest;
} sim_signed_t;

typedef struct sim_node {
    rdg_consensus_t *core;
    rdg_consensus_output_t *out;
    bool up, evil, diverged;
    uint32_t life;
    uint64_t committed, executed, checkpointed, last_commit_ms;
    uint64_t evidence, behind;
    sim_block_t blocks[SIM_HEIGHTS]; /* stable: [1..executed] */
    sim_record_t records[SIM_RECORDS_MAX];
    size_t record_count;
    uint64_t promised; /* the view of its last view change; Raft: the highest term it has spoken in */
    uint64_t epoch, ticked_at;
    uint64_t timer;               /* the order of the last TIMER: it replaces those before */
    uint64_t reads, reads_failed; /* READ actions that were ok, and that were not */
    sim_signed_t sent[SIM_SIGNED_MAX];
    size_t sent_count;
} sim_node_t;

/* What one leader of Raft has sent: (term, 0) its index, (term, height) the block's digest. */
typedef struct sim_term {
    uint64_t term, height;
    uint32_t leader;
    rdg_hash_t digest;
} sim_term_t;

typedef struct sim sim_t;
struct sim {
    bool raft;
    sim_term_t *terms;
    size_t term_count;
    uint32_t torn; /* percent of steps in which a node dies after its disk, in the middle of the rest */
    uint32_t count, validators;
    uint64_t now_ms, order, propose_to; /* no proposals above this height */
    rdg_random_seeded_t random;
    rdg_consensus_config_t config;
    sim_node_t nodes[SIM_NODES_MAX];
    sim_work_t *work;
    size_t work_count;
    bool blocked[SIM_NODES_MAX][SIM_NODES_MAX]; /* [from][to] */
    uint32_t loss_percent, duplicate_percent;
    uint64_t delay_max_ms, execute_ms;
    uint64_t last_height; /* of the epoch, as executing block `ends_at` tells; 0: none */
    uint64_t ends_at;
    /* Changes of the validators: executing block at[i] schedules epoch i + 1, of the first counts[i] nodes. */
    uint64_t changes, at[SIM_EPOCHS_MAX];
    uint32_t counts[SIM_EPOCHS_MAX];
    bool idle; /* no host says that it has work */
    rdg_hash_t agreed[SIM_HEIGHTS], result[SIM_HEIGHTS];
    bool has_agreed[SIM_HEIGHTS], has_result[SIM_HEIGHTS];
    /* Byzantine: sees what an evil node is about to send to one peer; may change it (it owns packet->bytes)
     * or return false to drop it. */
    bool (*tamper)(sim_t *s, sim_work_t *packet);
    void (*after_step)(sim_t *s, uint32_t i); /* planted bugs of the core */
    uint32_t wrong_result;                    /* this node executes to another digest; SIM_NODES_MAX: none */
    uint32_t slow;                            /* this node takes 5 s to execute; SIM_NODES_MAX: none */
    /* Planted bugs of the host, which the checker must find. */
    bool bug_skip_persist, bug_accept_unchecked, bug_forget_on_restart;
    bool expect_violation;
    const char *violation; /* the first one, when expected */
};

/* validators replicas and `observers` more; returns owned. Starts all. */
sim_t *sim_new(uint32_t validators, uint32_t observers, uint64_t seed);
sim_t *sim_new_raft(uint32_t validators, uint32_t observers, uint64_t seed);
void sim_free(sim_t *s);
void sim_restart_all(sim_t *s); /* with the configuration as it is now */
void sim_use_sm2(sim_t *s);     /* real signatures instead of the fast ones; before the first sim_run */
/* Runs until now_ms has grown by ms, nothing is left, or an expected violation was found. */
void sim_run(sim_t *s, uint64_t ms);
/* Runs until every live, honest node has executed height, or ms have passed: then false. */
bool sim_run_to(sim_t *s, uint64_t height, uint64_t ms);
void sim_crash(sim_t *s, uint32_t i);
void sim_restart(sim_t *s, uint32_t i, bool amnesia);
void sim_cut(sim_t *s, uint32_t i, bool cut); /* off from everybody, both ways */
uint64_t sim_below(sim_t *s, uint64_t limit);
/* Hands a message to a node as the host would: check, then step. Returns the first error. */
rdg_err_t sim_deliver(sim_t *s, uint32_t from, uint32_t to, rdg_bytes_t bytes);
/* An encoded message of validator `index`, with its right signature over the statement. */
void sim_forge(sim_t *s, message_t *m, rdg_buf_t *out);
void sim_sign(sim_t *s, uint32_t index, const rdg_statement_t *statement, rdg_sm2_signature_t *out);
void sim_forge_raft(sim_t *s, raft_message_t *m, rdg_buf_t *out);
/* The host's question for a read index; its answer is checked. */
void sim_read(sim_t *s, uint32_t i);
rdg_err_t sim_transfer(sim_t *s, uint32_t i, uint32_t to);
/* The one that leads the highest term; SIM_NODES_MAX: nobody. */
uint32_t sim_leader(sim_t *s);
void sim_violate(sim_t *s, uint32_t node, const char *what);
void sim_check_raft_send(sim_t *s, uint32_t i, rdg_bytes_t bytes); /* fixture_raft.c */
/* A valid block on top of what node i has; returns owned bytes in out. */
void sim_build(sim_t *s, const rdg_hash_t *parent, uint64_t height, uint64_t nonce, rdg_buf_t *out);
rdg_err_t sim_digest(void *ctx, rdg_bytes_t proposal, rdg_hash_t *out);

#endif
