/* One run: replicas with the real core, their disks, the network between them, clients, faults, and what is checked.
 *
 * One thread, virtual time, one queue of what is to happen. Nothing here depends on the machine's clock, addresses
 * or iteration order of hash tables, so a seed gives the same run to the byte; `trace` is a digest of everything
 * that happened.
 *
 * The host part of a replica follows the node (libs/node/src/driver.c, lane.c, sync.c, gossip.c): one job at a time
 * on the ledger, every WRITE of an output synced before its other actions, a proposal block_interval_ms after the
 * last one, sealed blocks fetched from whoever is ahead. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H
#include "blob.h"
#include "disk.h"
#include "ledger.h"
#include "plan.h"
#include "protocol.h"
#include "ridge/consensus/consensus.h"

#define SIM_TXS_MAX 4096
#define SIM_BLOCK_TXS_MAX 32
#define SIM_EPOCHS_MAX 64
#define SIM_VIOLATION_MAX 400
#define HALT_ROUNDS 3

typedef enum item_kind {
    ITEM_PACKET,
    ITEM_JOB,
    ITEM_CORE_TIMER,
    ITEM_PROPOSE_TIMER,
    ITEM_NODE_TICK,
    ITEM_CLIENT,
    ITEM_FAULT,
    ITEM_FAULT_END,
    ITEM_RESTART,
    ITEM_LINK,
    ITEM_EVIL_TICK
} item_kind_t;

typedef enum packet_kind {
    PACKET_CONSENSUS,
    PACKET_TXS,
    PACKET_STATUS,
    PACKET_GET,
    PACKET_BLOCKS
} packet_kind_t;

typedef struct item {
    uint64_t at_ms, order, number;
    item_kind_t kind;
    packet_kind_t packet;
    uint32_t to, from, life;
    blob_t *bytes;
} item_t;

typedef enum job_kind { JOB_PROPOSE, JOB_VALIDATE, JOB_APPLY, JOB_IMPORT } job_kind_t;

typedef struct job {
    job_kind_t kind;
    uint64_t height, view;
    rdg_hash_t digest;
    uint32_t peer;
    blob_t *bytes, *seal;
} job_t;

#define LANE_MAX 256

typedef struct sync_state {
    bool active, importing;
    uint64_t from, asked_ms, target, last_height, behind_since_ms;
    uint32_t peer;
    uint64_t peer_height[SIM_REPLICAS_MAX], avoid_until_ms[SIM_REPLICAS_MAX];
    bool greeted[SIM_REPLICAS_MAX];
} sync_state_t;

typedef struct signed_statement {
    bool used;
    rdg_statement_t statement;
} signed_statement_t;
#define SIGNED_MAX 16384 /* a table with open addressing */

/* A block of its own that the replica may propose others behind before it is executed, under Raft. */
typedef struct proposed {
    rdg_hash_t digest, parent;
    uint64_t height, time_ms; /* height 0: none */
    uint32_t count;
    uint16_t txs[SIM_BLOCK_TXS_MAX];
} proposed_t;

typedef struct replica {
    uint32_t id, validator; /* its slot; its index in the set, or count for an observer */
    bool evil, up, wiped;   /* wiped: it lost its records and has begun anew */
    bool lost;              /* it knows that it lost its records, until it votes again */
    uint64_t epoch;         /* of its core */
    uint32_t members;       /* of its core */
    bool marked;            /* the file beside the ledger: it had a block once */
    uint32_t life;
    rdg_consensus_t *core;
    rdg_consensus_output_t *out;
    disk_t disk;
    size_t block_end; /* of the last block in the disk's log; 0: none was written since the start */
    ledger_t ledger;
    job_t lane[LANE_MAX];
    size_t lane_head, lane_count;
    bool lane_running, stepping;
    struct {
        bool wanted, building;
        uint64_t height, view, last_ms, timer;
        rdg_hash_t parent;
    } proposing;
    proposed_t proposed[RDG_CONSENSUS_WINDOW]; /* at height modulo its length */
    uint64_t core_timer;                       /* the item that counts */
    sync_state_t sync;
    uint16_t pool[SIM_TXS_MAX];
    uint8_t pooled[SIM_TXS_MAX]; /* 1: in the pool */
    size_t pool_count;
    uint16_t oldest;
    uint32_t oldest_ticks;
    int64_t wall_offset_ms;
    uint64_t stalled_until_ms, busy_until_ms;
    uint32_t tear_after; /* actions of the next output that are still carried out; UINT32_MAX: all */
    uint64_t tear_span_ms;
    rdg_err_t halted;
    uint64_t committed, promised; /* highest COMMIT; the view of its last view change */
    signed_statement_t *said;     /* of the key, over its whole life */
    size_t said_count;
} replica_t;

typedef struct tx {
    uint64_t submitted_ms;
    bool used, acked;
    uint64_t acked_height;
    uint32_t at, asked; /* the replica that has it; how often it was looked for */
} tx_t;

/* Who signed which digest to seal a height, over all that was ever said: two digests with a quorum each must not
 * exist, whoever holds the votes. */
typedef struct sealing {
    uint64_t height, view, epoch;
    rdg_hash_t digest;
    uint32_t signers;
} sealing_t;
#define SEALINGS_MAX 16384

/* The other block that an evil leader shows to some. */
typedef struct face {
    uint64_t height, view;
    rdg_hash_t digest, other;
} face_t;
#define FACES_MAX 64
#define HEARD_CLASSES 4 /* votes, proposals, view changes, the rest */
#define HEARD_EACH 64

typedef struct link {
    uint64_t sent;      /* packets so far: with the seed, the fate of the next */
    uint64_t clog_ms;   /* nothing arrives before */
    uint32_t blocked;   /* faults that block it */
    uint64_t latest_ms; /* for links that keep the order */
} link_t;

typedef struct world {
    plan_t plan;
    uint64_t now_ms, order, trace;
    uint32_t validators, count; /* replicas: validators, observers, second instances of twins */
    bool healed, verbose;
    dice_t dice;
    rdg_consensus_config_t config;
    size_t signer_bytes; /* host.ctx of validator v is config.host.ctx + v of these */
    replica_t *replicas;
    link_t links[SIM_REPLICAS_MAX][SIM_REPLICAS_MAX];
    uint32_t loss_percent, held; /* held: mask of message kinds that are lost */
    const fault_t *ahead;        /* waits for the next first decision */
    struct {
        uint32_t members;
        uint64_t first_height, wished; /* the highest view that a correct replica wished for */
    } epochs[SIM_EPOCHS_MAX];
    uint64_t epoch_count;
    uint64_t highest, decided_ms;             /* of all correct replicas; when it was reached */
    uint64_t away_until_ms[SIM_REPLICAS_MAX]; /* cut off by FAULT_AHEAD */
    uint64_t slow_ms[SIM_REPLICAS_MAX], disk_ms[SIM_REPLICAS_MAX], exec_ms[SIM_REPLICAS_MAX];
    uint32_t liars;
    item_t **heap;
    size_t heap_count, heap_size;
    /* what must hold */
    rdg_hash_t agreed[SIM_HEIGHTS], result[SIM_HEIGHTS];
    bool has_agreed[SIM_HEIGHTS], has_result[SIM_HEIGHTS];
    sealing_t *sealings;
    size_t sealing_count;
    signed_statement_t *said; /* of all replicas together: leaders and entries of Raft */
    size_t said_count;
    bool certified[SIM_HEIGHTS];
    rdg_hash_t certified_digest[SIM_HEIGHTS];
    tx_t txs[SIM_TXS_MAX];
    uint32_t tx_count, acked_count;
    char violation[SIM_VIOLATION_MAX]; /* "" while all is well */
    const char *law;                   /* the name of what was broken */
    uint64_t steps, packets, evidence, heal_ms;
    /* evil replicas share what they hear */
    blob_t *heard[HEARD_CLASSES][HEARD_EACH];
    size_t heard_count[HEARD_CLASSES];
    uint8_t yes[8192]; /* digests that they have voted for, as a filter */
    face_t faces[FACES_MAX];
    size_t face_count;
} world_t;

/* A run from beginning to end. False if something that must hold did not: see violation. */
typedef struct run_result {
    bool ok;
    const char *law;
    char violation[SIM_VIOLATION_MAX];
    uint64_t trace, steps, packets, heights, acked, views, evidence;
    uint64_t recovery_ms; /* virtual time from healing to the goal */
    uint64_t end_ms;
} run_result_t;
void world_run(const plan_t *plan, bool verbose, run_result_t *out);

/* world.c: the queue */
item_t *world_add(world_t *w, item_kind_t kind, uint32_t to, uint64_t after_ms);
__attribute__((format(printf, 3, 4))) void world_violate(world_t *w, const char *law, const char *fmt, ...);
__attribute__((format(printf, 2, 3))) void world_say(world_t *w, const char *fmt, ...); /* if verbose */
void world_trace(world_t *w, uint64_t a, uint64_t b);
static inline bool world_failed(const world_t *w) {
    return w->law != NULL;
}
static inline bool is_correct(const replica_t *r) {
    return !r->evil;
}
bool is_needed(const world_t *w, const replica_t *r); /* after healing: correct and not left down */

/* faults.c */
void faults_decided(world_t *w, replica_t *r, uint64_t height); /* a correct replica decided */
void faults_schedule(world_t *w);
void faults_begin(world_t *w, const fault_t *f);
void faults_end(world_t *w, const fault_t *f);
void faults_heal(world_t *w);
void replica_stop(world_t *w, replica_t *r, bool power_cut);
void replica_start(world_t *w, replica_t *r);
/* The epoch of its core is over: the next core begins. */
void replica_next_epoch(world_t *w, replica_t *r);

/* net.c */
void net_send(world_t *w, replica_t *from, uint32_t to, packet_kind_t kind, blob_t *bytes);
void net_deliver(world_t *w, item_t *it);
void net_block(world_t *w, uint32_t from_mask, uint32_t to_mask, bool block);
void net_link_up(world_t *w, uint32_t a, uint32_t b);

/* host.c */
rdg_err_t host_step(world_t *w, replica_t *r, const rdg_consensus_event_t *e);
void host_message(world_t *w, replica_t *r, uint32_t from, blob_t *bytes);
void host_tick(world_t *w, replica_t *r);
void host_try_propose(world_t *w, replica_t *r);
void host_halt(world_t *w, replica_t *r, rdg_err_t err);
uint64_t host_now(const world_t *w, const replica_t *r);  /* of the monotonic clock */
uint64_t host_wall(const world_t *w, const replica_t *r); /* of the wall clock */

/* lane.c: what needs the ledger, one at a time */
void lane_push(world_t *w, replica_t *r, job_t job); /* takes the blobs */
/* Whether what the core wants a proposal behind is the ledger's head, or under Raft own blocks that stand on it. */
bool lane_may_follow(const world_t *w, const replica_t *r);
void lane_done(world_t *w, replica_t *r);
void lane_clear(replica_t *r);

/* sync.c */
void sync_behind(world_t *w, replica_t *r, uint32_t peer, uint64_t height);
void sync_status(world_t *w, replica_t *r, uint32_t from, rdg_bytes_t bytes);
void sync_get(world_t *w, replica_t *r, uint32_t from, rdg_bytes_t bytes);
void sync_blocks(world_t *w, replica_t *r, uint32_t from, blob_t *bytes);
void sync_imported(world_t *w, replica_t *r, const job_t *job, rdg_err_t err);
void sync_announce(world_t *w, replica_t *r, uint32_t to); /* UINT32_MAX: everybody */
void sync_tick(world_t *w, replica_t *r);
void sync_link_up(world_t *w, replica_t *r, uint32_t peer);
/* Stores a block as the node's rdg_ledger_apply does; checks what must hold of it. */
rdg_err_t apply_block(world_t *w, replica_t *r, rdg_bytes_t proposal, rdg_bytes_t seal);

/* client.c */
void client_start(world_t *w);
void client_ask(world_t *w, uint16_t tx); /* submits this transaction, again and again until it is there */
void client_event(world_t *w, item_t *it);
void pool_add(replica_t *r, uint16_t tx);
void pool_remove(replica_t *r, uint16_t tx);
void pool_receive(world_t *w, replica_t *r, rdg_bytes_t bytes);
void pool_tick(world_t *w, replica_t *r);
void pool_link_up(world_t *w, replica_t *r, uint32_t peer);

/* keys.c: signatures that only the owner of a key can make; fast ones, or SM2 */
void keys_make(world_t *w);
void keys_free(world_t *w);
void keys_sign(world_t *w, uint32_t validator, const rdg_statement_t *s, rdg_sm2_signature_t *out);
/* A certificate of a quorum over just this, by the fake or real check and by rules written here anew. */
bool keys_certificate_holds(const world_t *w, rdg_bytes_t encoded, rdg_phase_t phase, uint64_t height,
                            const rdg_hash_t *digest);

/* check.c */
bool check_said(signed_statement_t *table, size_t *count, const rdg_statement_t *s);
void check_send(world_t *w, replica_t *r, rdg_bytes_t bytes);
void check_commit(world_t *w, replica_t *r, const rdg_consensus_action_t *a);
void check_checkpoint(world_t *w, replica_t *r, const rdg_consensus_action_t *a);
void check_applied(world_t *w, replica_t *r, uint64_t height);
void check_evidence(world_t *w, const replica_t *r, const rdg_consensus_action_t *a);
/* It signs what execution gave: the block, and so its result, must outlive a power cut. */
void check_result_durable(world_t *w, const replica_t *r, uint64_t height);
void check_step(world_t *w, replica_t *r);
void check_end(world_t *w);
void check_voted(world_t *w, const rdg_statement_t *s, uint32_t validator); /* a signature that exists */

/* raft.c */
void raft_check_send(world_t *w, replica_t *r, rdg_bytes_t bytes);

/* evil.c: what an evil replica makes of what its core would send */
void evil_send(world_t *w, replica_t *r, uint32_t to, blob_t *bytes);
void evil_hears(world_t *w, replica_t *r, blob_t *bytes);
void evil_tick(world_t *w, replica_t *r);

#endif
