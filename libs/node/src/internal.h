/* What the files of the node share. Fields belong to the loop's thread unless said otherwise. */
#ifndef RIDGE_NODE_INTERNAL_H
#define RIDGE_NODE_INTERNAL_H
#include <pthread.h>
#include <stdatomic.h>
#include "giver_turn.h"
#include "inbox.h"
#include "ridge/base/arena.h"
#include "ridge/base/clock.h"
#include "ridge/base/list.h"
#include "ridge/base/metrics.h"
#include "ridge/consensus/consensus.h"
#include "ridge/ledger/archive.h"
#include "ridge/ledger/order.h"
#include "ridge/ledger/scrub.h"
#include "ridge/ledger/snapshot.h"
#include "ridge/net/http_server.h"
#include "ridge/net/loop.h"
#include "ridge/node/node.h"
#include "ridge/node/rpc.h"
#include "ridge/p2p/p2p.h"

#define NODE_FRAME_MAX (RDG_CONSENSUS_MESSAGE_MAX + 1024)
#define NODE_VALIDATED_MAX 32

enum {
    MSG_CONSENSUS = RDG_P2P_TYPE_FIRST,
    MSG_TXS,
    MSG_STATUS,
    MSG_BLOCKS_GET,
    MSG_BLOCKS,
    MSG_HEADERS_GET,
    MSG_HEADERS,
    MSG_SNAPSHOT_GET,
    MSG_SNAPSHOT,
    MSG_CHUNK_GET,
    MSG_CHUNK
};

typedef enum job_kind {
    JOB_VALIDATE,
    JOB_APPLY,
    JOB_CHECKPOINT,
    JOB_IMPORT,
    JOB_HEADERS,
    JOB_MANIFEST,
    JOB_CHUNK,
    JOB_FINISH,
    JOB_SWEEP
} job_kind_t;

/* One piece of work on the ledger lane. Owned by the lane until its done function has run. */
typedef struct job {
    rdg_list_t node;
    rdg_node_t *owner;
    job_kind_t kind;
    uint64_t height, view;
    rdg_hash_t digest;
    bool verified;
    size_t txs;      /* JOB_APPLY: of the block */
    size_t peer;     /* JOB_IMPORT to JOB_CHUNK: who gave it */
    rdg_buf_t bytes; /* proposal, or the blocks of an import */
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
    rdg_hash_t parent;
    rdg_timer_t *timer;
    struct {
        uint64_t height, at_ms;
    } sent[RDG_CONSENSUS_WINDOW]; /* own proposals, at height modulo its length */
    uint64_t cost_us;             /* from a proposal to its block, lately */
    uint64_t load_ms;             /* since when the load is counted */
    uint32_t load, load_before;   /* transactions taken in this second and in the last one */
} proposing_t;

/* What the operator is told of consensus. Guarded by the node's lock. */
#define HISTORY_VIEWS 32
#define HISTORY_EVIDENCE 64
typedef struct history {
    struct {
        uint64_t time_ms, epoch, view, height;
        char leader[RDG_NAME_MAX + 1], why[16];
    } views[HISTORY_VIEWS];              /* ring */
    uint64_t view_count, evidence_count; /* since the start; since ever */
    uint64_t evidence_next;              /* number of the next record */
    struct {
        uint64_t time_ms, epoch, height, view;
        char validator[RDG_NAME_MAX + 1];
    } evidence[HISTORY_EVIDENCE]; /* ring, as on disk */
} history_t;

typedef struct gossip {
    pthread_mutex_t lock; /* guards fresh */
    rdg_buf_t fresh;      /* transactions that HTTP threads took since the loop last looked */
    rdg_buf_t out;        /* transactions waiting for the next flush */
    rdg_timer_t *flush;
    bool flush_armed, verifying;
    rdg_tx_t **unverified; /* ring of RDG_NODE_VERIFY_MAX */
    size_t head, count, bytes;
    rdg_hash_t oldest; /* of the pool at the last resend tick */
    rdg_hash_t resent; /* the last of what was sent again */
    unsigned oldest_ticks;
    size_t resend; /* how many are sent again at a time; 0: nothing was since the pool was empty */
} gossip_t;

/* backlog.c: how much may wait. The atomic ones are for any thread, the others the loop's. */
typedef struct backlog {
    atomic_size_t limit, unverified; /* transactions; unverified: of peers */
    atomic_uint_fast64_t per_second;
    uint64_t rate, txs, since_ms;
} backlog_t;

/* What this node gives to laggards: heights that are kept readable, and one snapshot in a file. */
#define GIVER_PINS 3
typedef enum giver_state { GIVER_NONE, GIVER_BUILDING, GIVER_READY } giver_state_t;
typedef struct giver {
    rdg_snapshot_pin_t
        *pins[GIVER_PINS];      /* the latest first: multiples of SYNC_PIN_EVERY, and the head at the start */
    bool certified[GIVER_PINS]; /* nobody could verify a snapshot of the others */
    uint8_t serving[RDG_P2P_PEERS_MAX]; /* answers that are being made */
    giver_state_t state;
    uint64_t height;
    turn_t turn;
    uint32_t reading; /* answers that read its file */
    rdg_snapshot_export_t *export;
    int fd;
    uint64_t written;
    rdg_buf_t manifest;
    uint32_t chunk_count, chunk_room;
    struct giver_chunk {
        uint64_t offset;
        uint32_t len;
    } * chunks;
    uint32_t frame_left, frames; /* of the frame that is being written; before it */
    bool stepping;
    rdg_err_t err;
} giver_t;

#define SYNC_PIN_EVERY 64 /* heights */
#define SYNC_RANGES 4     /* of blocks, asked for at once */
#define SYNC_CHUNKS 4     /* of a snapshot */
#define SYNC_WITHDRAWN 8  /* questions of a peer whose answers nobody waits for any more */

typedef enum sync_phase { SYNC_IDLE, SYNC_HEADERS, SYNC_SNAPSHOT, SYNC_BODIES } sync_phase_t;
typedef enum piece_state { PIECE_FREE, PIECE_ASKED, PIECE_CHECKING, PIECE_HERE, PIECE_TAKING } piece_state_t;

/* A range of blocks, or a chunk: asked of one peer, kept until its turn has come. */
typedef struct piece {
    piece_state_t state;
    uint64_t from; /* height, or number of the chunk */
    uint32_t count;
    size_t peer;
    uint64_t asked_ms;
    rdg_buf_t bytes;
} piece_t;

/* A question for blocks that was given up; its answer may still come. count 0: none. */
typedef struct withdrawn {
    uint64_t from;
    uint32_t count;
} withdrawn_t;

typedef enum provider_state {
    PROVIDER_UNKNOWN,
    PROVIDER_ASKED,
    PROVIDER_READY,
    PROVIDER_GONE
} provider_state_t;

typedef struct sync {
    sync_phase_t phase;
    uint64_t target, started; /* heights */
    uint64_t peer_height[RDG_P2P_PEERS_MAX], peer_epoch[RDG_P2P_PEERS_MAX];
    uint64_t bodies_from[RDG_P2P_PEERS_MAX]; /* a peer has the bodies from there on */
    uint64_t bodies_wait_ms; /* since when somebody is waited for who may have them; 0: nobody */
    uint64_t pins[RDG_P2P_PEERS_MAX][GIVER_PINS];
    uint64_t avoid_until_ms[RDG_P2P_PEERS_MAX];
    bool greeted[RDG_P2P_PEERS_MAX]; /* has told its height since the link is up */
    uint64_t behind_since_ms, last_height;
    uint64_t told_from, told_offer; /* all peers: own bodies, newest snapshot */
    /* headers */
    bool for_snapshot, taking_headers;
    size_t header_peer, header_last; /* SIZE_MAX: nobody is asked; who was asked last */
    uint64_t header_asked_ms;
    /* snapshot */
    uint64_t snapshot_height, provider_seen_ms, snapshot_started_ms;
    uint64_t import_height; /* of the import that is under way; 0: none */
    provider_state_t providers[RDG_P2P_PEERS_MAX];
    uint64_t provider_asked_ms[RDG_P2P_PEERS_MAX];
    rdg_snapshot_import_t *import; /* the lane's; looked at here while it has no job of it */
    bool opening, finishing, sweeping;
    size_t manifest_peer;
    rdg_hash_t manifest;
    uint32_t chunk_next, chunk_count;
    piece_t chunks[SYNC_CHUNKS];
    /* bodies */
    bool importing;
    piece_t ranges[SYNC_RANGES];
    withdrawn_t withdrawn[RDG_P2P_PEERS_MAX][SYNC_WITHDRAWN]; /* the oldest first */
    uint32_t at_once[RDG_P2P_PEERS_MAX]; /* blocks that a question asks for; 0: as many as may be */
    bool too_late[RDG_P2P_PEERS_MAX];    /* avoided because its answer has not come yet */
} sync_t;

/* Questions for a read index: HTTP threads draw tickets, the loop asks the core for all that wait at once. */
typedef struct reads {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t drawn;             /* the last ticket */
    uint64_t confirmed, height; /* tickets up to it have this height */
    uint64_t refused;           /* tickets up to it have no answer */
    uint64_t asked;             /* the core's question under way is for tickets up to it; the loop's own */
    bool asking, closing;       /* asking: the loop's own */
} reads_t;

/* An administrator's order that the lead go to another validator: one at a time, for one HTTP thread that waits. Guarded
 * by the reads' lock. */
typedef struct transfer {
    bool busy, done;
    rdg_lead_order_t order;
    rdg_err_t err;
    char why[RDG_ERROR_TEXT_MAX];
} transfer_t;

/* The export of an archive segment, archive.c. */
typedef enum archiver_state {
    ARCHIVER_IDLE,
    ARCHIVER_RUNNING,
    ARCHIVER_DONE,
    ARCHIVER_FAILED
} archiver_state_t;
typedef struct archived {
    char file[65];
    rdg_archive_manifest_t manifest;
    rdg_hash_t digest;
    uint64_t checkpoint; /* of the ledger when it began */
} archived_t;
typedef struct archiver {
    pthread_mutex_t lock; /* guards the rest */
    pthread_t thread;
    bool thread_there, stop, full;
    archiver_state_t state;
    uint64_t from, to, state_from; /* as it was asked */
    rdg_archive_key_t key; /* id empty: not encrypted; its bytes are cleared when the export has ended */
    rdg_archive_progress_t progress;
    archived_t done;
    rdg_err_t err;
    char why[RDG_ERROR_TEXT_MAX];
} archiver_t;

/* Archives into the ledger before the node takes part, restore.c. */
typedef enum restorer_state {
    RESTORER_IDLE,
    RESTORER_RUNNING,
    RESTORER_DONE,
    RESTORER_FAILED
} restorer_state_t;
typedef enum restore_kind { RESTORE_HEADERS, RESTORE_STATE, RESTORE_BLOCKS, RESTORE_KINDS } restore_kind_t;
typedef struct restore_order {
    char file[65];
    rdg_hash_t manifest;
    restore_kind_t kind;
    rdg_archive_key_t key; /* id empty: none; its bytes are cleared when the import has ended */
} restore_order_t;
typedef struct restorer {
    bool wanted;          /* since the start: no links, no votes */
    pthread_mutex_t lock; /* guards the rest */
    pthread_t thread;
    bool thread_there, stop;
    restorer_state_t state;
    restore_order_t order; /* the last one */
    rdg_archive_progress_t progress;
    rdg_err_t err;
    char why[RDG_ERROR_TEXT_MAX];
} restorer_t;
/* Deleting what is archived, prune.c. */
#define PRUNE_ID_MAX 64
typedef struct pruner {
    pthread_mutex_t lock; /* guards the rest */
    pthread_t thread;
    bool thread_there, running;
    struct prune_order *order; /* owned; of the running one, or the last */
    json_t *done;              /* its answer; owned; NULL: it failed */
    rdg_err_t err;
    char why[RDG_ERROR_TEXT_MAX];
} pruner_t;

/* What it reads as it starts; files: those that its agent has written, of which whatever is wrong is damage (damage.c). */
typedef enum reading { READING_NOTHING, READING_LEDGER, READING_FILES } reading_t;

struct rdg_node {
    rdg_node_options_t options;
    char *dir;
    reading_t reading;
    rdg_genesis_t genesis;
    rdg_sm2_key_t *key;
    uint32_t self; /* validator index, or the set's count */
    rdg_loop_t *loop;
    rdg_ledger_t *ledger;
    rdg_pool_t *pool;
    rdg_epoch_t epoch; /* that the core serves; HTTP threads read it under the lock */
    rdg_chain_params_t params;
    rdg_consensus_t *core; /* the inbox owns it */
    inbox_t *inbox;
    bool lost; /* the ledger was lost: what was signed before is not known, until a core votes again */
    rdg_consensus_output_t *output;
    bool stepping, marked;
    rdg_p2p_t *p2p;
    rdg_p2p_peer_t *peers; /* RDG_P2P_PEERS_MAX; an index stands for a key, all zero is an empty place */
    uint64_t peers_stamp;  /* of peers.json when it was read */
    struct {
        rdg_tlcp_identity_t *identity;
        uint64_t stamp, looked_ms;
    } credentials;
    size_t peer_count, self_peer;       /* index of this node's own entry, SIZE_MAX for none */
    size_t peer_of[RDG_VALIDATORS_MAX]; /* validator index to peer index, SIZE_MAX for none */
    rdg_http_server_t *http;
    rdg_node_rpc_t *rpc;
    rdg_sm2_key_t *rpc_keys[RDG_RPC_KEYS_MAX]; /* of eth_sendTransaction */
    size_t rpc_key_count;
    rdg_timer_t *tick, *core_timer;
    lane_t lane;
    proposing_t proposing;
    gossip_t gossip;
    backlog_t backlog;
    sync_t sync;
    giver_t giver;
    reads_t reads;
    transfer_t transfer;
    archiver_t archiver;
    restorer_t restorer;
    pruner_t pruner;
    char agent_token[65];
    bool closed;         /* no transaction is taken any more; atomic, set by the loop */
    uint64_t leaving_ms; /* since when it hands the lead over, to stop then */
    rdg_hash_t validated[NODE_VALIDATED_MAX];
    size_t validated_next;
    unsigned refusals; /* messages refused since the last tick */
    uint64_t started_ms;
    int exit_status;
    bool closing;
    struct {
        rdg_scrub_t *at;
        bool reading, passed;
        uint64_t next_ms;
        rdg_err_t err;
        char why[RDG_ERROR_TEXT_MAX];
        /* With the lock: when everything was last found good (Unix time; 0: not since the start); what a reader met. */
        uint64_t good_ms;
        rdg_err_t told;
        char told_why[RDG_ERROR_TEXT_MAX];
    } scrub;

    /* Guards the snapshot that HTTP threads read. Only the loop's thread writes it, so that the loop reads it
     * without the lock. */
    pthread_mutex_t lock;
    struct {
        rdg_consensus_status_t consensus;
        bool linked[RDG_P2P_PEERS_MAX], halted;
        struct {
            sync_phase_t phase;
            uint64_t started, target, snapshot_height, base_height;
            uint32_t chunk_next, chunk_count;
        } sync;
        uint64_t peer_height[RDG_P2P_PEERS_MAX];
        char halted_why[RDG_ERROR_TEXT_MAX];
    } seen;
    history_t history;

    rdg_metrics_t *metrics;
    rdg_metric_t *m_blocks, *m_txs, *m_height, *m_pool, *m_dropped, *m_refused, *m_apply_ms, *m_tx_wait_ms;
    rdg_metric_t *m_view, *m_epoch, *m_view_changes, *m_evidence, *m_voting, *m_validators, *m_lag,
        *m_pending;
    rdg_metric_t *m_sync_headers, *m_sync_chunks, *m_sync_blocks, *m_sync_snapshots, *m_sync_blamed,
        *m_sync_given;
    rdg_metric_t *m_links, *m_links_refused, *m_links_total, *m_links_resumed, *m_batched, *m_overload;
    uint64_t links_refused, links_total, links_resumed; /* of those that the metrics have */
};

/* damage.c: what this node finds damaged in itself */
bool is_damage(rdg_err_t err);
void damage_record(const char *dir, rdg_err_t err, const char *why, bool at_start);
void damage_at_start(const char *dir, rdg_err_t err, const char *why, reading_t reading);
rdg_err_t damage_load(rdg_node_t *n); /* halts the node if there is a record */
void damage_found(void *node, rdg_err_t err,
                  const char *why); /* any thread; other errors are not its business */
void damage_tick(rdg_node_t *n);
void damage_close(rdg_node_t *n);

/* archive.c */
/* restore.c */
void restore_open(rdg_node_t *n);
void restore_close(rdg_node_t *n); /* before the ledger is closed */
rdg_err_t restore_ask(void *node, const char *file, const rdg_hash_t *manifest, const char *kind,
                      const json_t *key, json_t **out);
/* archive.c */
void archive_open(rdg_node_t *n);
void archive_close(rdg_node_t *n); /* before the ledger is closed */
rdg_err_t archive_ask(void *node, uint64_t from, uint64_t to, uint64_t state_from, const json_t *key,
                      json_t **out);
/* Opens a key of archives that was wrapped for this node; NULL: an empty one. The caller clears it. */
rdg_err_t archive_key_open(const rdg_node_t *n, const json_t *wrapped, rdg_archive_key_t *out);

/* prune.c */
void prune_open(rdg_node_t *n);
void prune_close(rdg_node_t *n); /* before the ledger is closed */
rdg_err_t prune_ask(void *node, const json_t *order, json_t **out);

/* driver.c: the consensus core and its actions */
rdg_err_t host_sign(void *ctx, const rdg_hash_t *hash, rdg_sm2_signature_t *out);
void host_verify(void *ctx, const rdg_sm2_check_t *checks, size_t count, rdg_err_t *results);
rdg_err_t host_digest(void *ctx, rdg_bytes_t proposal, rdg_hash_t *out);
/* The core's refusal of the event, if any; the node's own troubles halt it. */
rdg_err_t driver_step(rdg_node_t *n, const rdg_consensus_event_t *event);
void driver_message(rdg_node_t *n, size_t peer, rdg_bytes_t bytes);
/* Of a message that the inbox has checked. */
void driver_deliver(void *node, size_t peer, rdg_bytes_t bytes, rdg_err_t err, const char *why);
void driver_note_validated(rdg_node_t *n, const rdg_hash_t *digest);

/* proposing.c: when a block is built, off the loop and beside the lane */
void driver_try_propose(rdg_node_t *n);
/* Every half second: tells the core whether transactions wait, so that a leader who leaves them there is replaced. */
void driver_tick(rdg_node_t *n);
void proposing_count(rdg_node_t *n, uint64_t height,
                     size_t txs);             /* that block is durable and took that many */
bool proposing_is_light(const rdg_node_t *n); /* few transactions came into blocks lately */

/* epoch.c: one core an epoch, and its records */
typedef struct record_key {
    uint8_t b[80];
} record_key_t;
/* In the store; borrowed from out. */
rdg_bytes_t record_key(record_key_t *out, uint64_t epoch, rdg_bytes_t key);
rdg_err_t epoch_open(rdg_node_t *n);
void epoch_start(rdg_node_t *n);
/* The last height of the running epoch as the ledger knows it now; 0: none. Call it after each block. */
uint64_t epoch_last_height(rdg_node_t *n);
/* Starts the next epoch's core if the running one has ended with the ledger's head. */
bool epoch_advance(rdg_node_t *n);
rdg_err_t epoch_note_lost(rdg_node_t *n); /* whether its ledger was lost, while it is empty still */
void epoch_watch_lost(rdg_node_t *n);
/* A block of this validator is durable: from now on an empty ledger means a lost one. */
void driver_mark_voted(rdg_node_t *n);
void epoch_close(rdg_node_t *n);

/* history.c: view changes, evidence */
rdg_err_t history_open(rdg_node_t *n);
void history_view(rdg_node_t *n, const rdg_consensus_action_t *a);
void history_evidence(rdg_node_t *n, const rdg_consensus_action_t *a);

/* raft.c: what is Raft's alone; under PBFT these do nothing */
rdg_err_t raft_core_new(rdg_node_t *n, rdg_consensus_config_t *config, rdg_consensus_t **out); /* or PBFT's */
void raft_open(rdg_node_t *n);
void raft_close(rdg_node_t *n);
void raft_read_answered(rdg_node_t *n, const rdg_consensus_action_t *a);
/* Any thread: waits until this node shows all that was decided before the call; its height. UNAVAILABLE, UNSUPPORTED. */
rdg_err_t raft_read_index(void *node, uint64_t *height);
/* With the reads' lock held: until something has changed, or a time has come. */
void raft_wait(reads_t *r, uint64_t end_ms, uint64_t at_most_ms);
/* Before an orderly stop: another takes the lead, within a second or not at all. Runs the loop. */
void raft_hand_over(rdg_node_t *n);

/* transfer.c. Any thread: a signed order (ledger/order.h); waits until another validator leads. UNSUPPORTED under PBFT;
 * STALE, CONFLICT (another leads), NOT_FOUND, EXISTS, BUSY, UNAVAILABLE, TIMEOUT, and what the order itself is refused
 * for. */
rdg_err_t transfer_lead(void *node, rdg_bytes_t wire, json_t **out);

/* lane.c: work on the ledger, one job at a time in order */
job_t *lane_job(rdg_node_t *n, job_kind_t kind, rdg_bytes_t bytes, rdg_bytes_t seal);
rdg_err_t lane_push(rdg_node_t *n, job_t *job); /* takes job, also on failure */
void lane_close(rdg_node_t *n);
/* Any thread: the transactions of a durable block leave the pool; how many they are. */
size_t lane_forget(rdg_node_t *n, uint64_t height);
void node_halt(rdg_node_t *n, rdg_err_t err, const char *why);

/* expect.c: the transactions of one request, decoded and verified together. Any thread, one at a time. */
typedef struct expected_tx {
    rdg_tx_t *tx;
    bool verified;      /* its signature is good */
    uint64_t unseen_at; /* then: of the ledger that did not have it */
} expected_tx_t;
rdg_node_rpc_expected_t *expect_transactions(rdg_node_t *n, const rdg_bytes_t *wires,
                                             size_t count); /* owned */
/* The one that was the at-th; its tx is borrowed, NULL: it cannot be decoded. */
expected_tx_t expect_at(const rdg_node_rpc_expected_t *e, size_t at);
void expect_end(rdg_node_rpc_expected_t *e); /* NULL is fine */

/* backlog.c */
void backlog_open(rdg_node_t *n);              /* after the parameters are known */
void backlog_count(rdg_node_t *n, size_t txs); /* of a block that is durable now */
bool backlog_is_full(rdg_node_t *n,
                     size_t more); /* any thread, as the next: with so many more than wait now */
rdg_err_t backlog_refuse(rdg_node_t *n, const rdg_tx_t *tx); /* FULL, or what the pool has against it */
uint64_t backlog_retry_ms(void *node);                       /* when it is worth to try again */

/* gossip.c: transactions in and out */
rdg_err_t gossip_open(rdg_node_t *n);
void gossip_close(rdg_node_t *n);
/* Any thread: decodes, checks, verifies and pools a transaction, and spreads it. */
rdg_err_t gossip_submit(rdg_node_t *n, rdg_bytes_t wire, rdg_hash_t *id);
/* The same of one that is decoded; borrows it. */
rdg_err_t gossip_submit_tx(rdg_node_t *n, const expected_tx_t *e, rdg_hash_t *id);
void gossip_receive(rdg_node_t *n, rdg_bytes_t bytes);
void gossip_tick(rdg_node_t *n);
void gossip_link_up(rdg_node_t *n,
                    size_t peer); /* a restarted peer's pool is empty: it gets what waits here */

/* sync.c: catching up with peers that are ahead. docs/sync.md */
rdg_err_t sync_open(rdg_node_t *n);
void sync_close(rdg_node_t *n); /* before the ledger */
void sync_behind(rdg_node_t *n, size_t peer, uint64_t height);
void sync_link_up(rdg_node_t *n, size_t peer);
void sync_link_down(rdg_node_t *n, size_t peer);
void sync_forget_peer(rdg_node_t *n, size_t peer); /* its place is another's from now on */
void sync_status(rdg_node_t *n, size_t peer, rdg_bytes_t bytes);
void sync_announce(rdg_node_t *n, size_t peer); /* SIZE_MAX: to all */
void sync_tick(rdg_node_t *n);
void sync_step(rdg_node_t *n); /* asks for what can be asked for */
void sync_end(rdg_node_t *n, const char *why);
/* The ledger's head is another one, and not by agreement. */
void sync_advanced(rdg_node_t *n);
/* It lied, or is too slow: named in the log, and not asked for a while. what: what it was asked for. An error of this node's
 * own is named as one, and blames nobody. */
void sync_blame(rdg_node_t *n, size_t peer, const char *what, rdg_err_t err, const char *why);
bool sync_may_ask(const rdg_node_t *n, size_t peer, uint64_t now);
const char *sync_phase_name(sync_phase_t phase);
uint64_t sync_head(rdg_node_t *n);

/* sync_headers.c */
void headers_step(rdg_node_t *n);
void headers_receive(rdg_node_t *n, size_t peer, rdg_bytes_t bytes);
void headers_taken(rdg_node_t *n, const job_t *job);
void headers_drop_peer(rdg_node_t *n, size_t peer);
void headers_tick(rdg_node_t *n, uint64_t now);

/* sync_snapshot.c */
/* Height of the snapshot that most peers offer above `above`; 0: none does. */
uint64_t snapshot_offer(const rdg_node_t *n, uint64_t above, uint64_t now);
bool snapshot_is_busy(const rdg_node_t *n); /* the lane has a job of the import */
void snapshot_start(rdg_node_t *n);
void snapshot_step(rdg_node_t *n);
void snapshot_manifest(rdg_node_t *n, size_t peer, rdg_bytes_t bytes);
void snapshot_chunk(rdg_node_t *n, size_t peer, rdg_bytes_t bytes);
rdg_err_t snapshot_run(rdg_node_t *n, job_t *job); /* on a worker */
void snapshot_job_done(rdg_node_t *n, const job_t *job);
void snapshot_drop_peer(rdg_node_t *n, size_t peer);
void snapshot_tick(rdg_node_t *n, uint64_t now);
void snapshot_leave(rdg_node_t *n);

/* sync_bodies.c */
void bodies_step(rdg_node_t *n);
void bodies_receive(rdg_node_t *n, size_t peer, rdg_bytes_t bytes);
rdg_err_t bodies_import(rdg_node_t *n, job_t *job); /* on a worker */
void bodies_imported(rdg_node_t *n, const job_t *job);
void bodies_drop_peer(rdg_node_t *n, size_t peer);
void bodies_tick(rdg_node_t *n, uint64_t now);
void bodies_leave(rdg_node_t *n);

/* giver.c, giver_snapshot.c: what laggards get from this node */
void giver_open(rdg_node_t *n);
void giver_close(rdg_node_t *n);
/* After each block; any: also of a height that is no multiple of SYNC_PIN_EVERY. */
void giver_pin(rdg_node_t *n, bool any);
/* Height of a pin of which a snapshot can be had; 0: there is none. */
uint64_t giver_offer(rdg_node_t *n, size_t pin);
void giver_blocks(rdg_node_t *n, size_t peer, rdg_bytes_t bytes);
void giver_headers(rdg_node_t *n, size_t peer, rdg_bytes_t bytes);
void giver_snapshot(rdg_node_t *n, size_t peer, rdg_bytes_t bytes);
void giver_chunk(rdg_node_t *n, size_t peer, rdg_bytes_t bytes);
void giver_tick(rdg_node_t *n, uint64_t now);
/* Reads chunk `index` of the file; runs on a worker. UNAVAILABLE. */
rdg_err_t giver_read_chunk(const giver_t *g, uint32_t index, rdg_buf_t *out);

/* Path of a file that the node's directory must hold. NOT_FOUND. */
rdg_err_t node_file(rdg_node_t *n, const char *name, char *path, size_t size);
/* credentials.c: the certificates of the links, loaded again when they are renewed or a list comes */
rdg_err_t credentials_load(rdg_node_t *n);
void credentials_tick(rdg_node_t *n);
/* peers.c */
rdg_err_t peers_load(rdg_node_t *n);
void peers_map(rdg_node_t *n);     /* validators to peers, after either has changed */
void peers_refresh(rdg_node_t *n); /* reads peers.json again when it has changed */
bool peer_is_empty(const rdg_p2p_peer_t *p);
/* status.c */
void status_refresh(rdg_node_t *n);
rdg_err_t status_json(void *node, json_t **out); /* any thread, as the next */
json_t *sync_json(rdg_node_t *n, const rdg_ledger_head_t *head);
rdg_err_t consensus_status_json(void *node, json_t **out);
/* http.c */
rdg_err_t http_open(rdg_node_t *n);

#endif
