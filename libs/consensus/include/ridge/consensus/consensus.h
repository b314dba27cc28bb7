/* Agreement on a sequence of blocks: one interface for PBFT and Raft.
 *
 * A core is a pure state machine. It has no thread, socket, file, clock or randomness. The host (node or
 * simulator) steps it with one event at a time and then carries out the actions it put out, IN ORDER.
 *
 *        event ──► rdg_consensus_step(core, now_ms, event, out) ──► out: [write…, send…, request…]
 *
 * Invariants
 * 1. Durable before visible: every WRITE that a SEND relies on stands before it in the output. The host makes
 *    all WRITEs of an output stable (one synced batch) before it carries out any other action of it.
 * 2. The same state, time and event give the same output, byte for byte.
 *    The output's queue asserts the order; the host must carry outputs out in the order of their steps.
 * 3. A core never signs two different digests for one (phase, epoch, view, height), over any crash, provided
 *    the host kept invariant 1 and gives every written record back at START. A replica without its records
 *    (START with amnesia=true) does not vote until it has caught up with a quorum. A checkpoint vote has no
 *    record: its digest is that of the durable executed block, which EXECUTED repeats after a restart.
 * 4. A COMMIT action for height h follows the one for h-1 (or a START or SYNCED at h-1), and carries a
 * certificate that rdg_certificate_verify accepts. Execution is decoupled: the host reports EXECUTED later,
 * which yields the checkpoint vote.
 * 5. Memory is bounded: nothing is decided more than RDG_CONSENSUS_WINDOW heights above the last executed
 *    one; each validator has one slot per phase and height, for RDG_CONSENSUS_WINDOW heights; proposals are
 *    kept for the next three heights only. Messages beyond only mark their sender as ahead (BEHIND action).
 * 6. Messages that arrive are hostile. rdg_consensus_check may run on any thread (it reads only immutable
 *    configuration): it decodes and verifies signatures. step() accepts only messages that passed it. Under PBFT
 *    each message is signed; under Raft the link proves its sender (MESSAGE.from), and only what others read later
 *    is signed: seals and checkpoint votes.
 *
 * 7. One core serves one epoch. The host names the epoch's last height (0: none is known) with START, SYNCED and
 *    EXECUTED, and names it for good; above it the core proposes, votes and decides nothing. A change that is
 *    executed in block h ends the epoch at h + RDG_CONSENSUS_WINDOW at the earliest: by invariant 5 nothing above
 *    that is decided or voted on before h is executed. When the last block is executed, the host frees the core and
 *    starts one of the next epoch from it; records of an epoch are given to cores of that epoch only.
 *
 * What the host owes
 *   - EXECUTED for each COMMIT, in order, and once more for the last block after START and SYNCED (the vote
 *     for its checkpoint may not have left before).
 *   - VALIDATED for each VALIDATE. Only bytes that the host found valid are ever committed.
 *   - a COMMIT for a height that it has imported already is to be ignored.
 *
 * PBFT: Castro & Liskov, "Practical Byzantine Fault Tolerance" (OSDI 1999) and its thesis. Raft: Ongaro,
 * "Consensus: Bridging Theory and Practice" (2014), with pre-vote, check-quorum, leader transfer and read
 * index; a view is its term, and it never asks to VALIDATE: followers trust the leader's bytes, and find out
 * when they execute them. What is bound and checked is listed in docs/consensus.md. */
#ifndef RIDGE_CONSENSUS_CONSENSUS_H
#define RIDGE_CONSENSUS_CONSENSUS_H
#include "ridge/base/buf.h"
#include "ridge/consensus/validators.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_CONSENSUS_WINDOW 16               /* heights in flight */
#define RDG_CONSENSUS_PROPOSAL_MAX (8u << 20) /* bytes of one proposal */
#define RDG_CONSENSUS_MESSAGE_MAX (RDG_CONSENSUS_PROPOSAL_MAX + 65536)
#define RDG_CONSENSUS_CHECKS 64       /* signatures that the host verifies in one call */
#define RDG_CONSENSUS_ALL 0xffffffffu /* send to every other validator */

/* What the core needs of its host, called synchronously from step() and check(); must be thread-safe. */
typedef struct rdg_consensus_host {
    /* Signs a statement hash with this node's key. */
    rdg_err_t (*sign)(void *ctx, const rdg_hash_t *hash, rdg_sm2_signature_t *out);
    /* Verifies signatures over statement hashes (each msg is one), at most RDG_CONSENSUS_CHECKS at once:
     * results[i] is RDG_OK or BAD_SIGNATURE. Called for a single one too; from check() on any thread. */
    void (*verify)(void *ctx, const rdg_sm2_check_t *checks, size_t count, rdg_err_t *results);
    /* The block hash of a proposal's bytes; MALFORMED if it cannot be one. Cheap: no semantic check. It may
     * cover the header alone, provided that VALIDATE refuses a body that is not the header's. */
    rdg_err_t (*digest)(void *ctx, rdg_bytes_t proposal, rdg_hash_t *out);
    void *ctx;
} rdg_consensus_host_t;

typedef struct rdg_consensus_config {
    rdg_validator_set_t validators;
    uint64_t first_height; /* of this epoch; 0 and 1: the chain's first. What is before needs no proof here */
    uint32_t self;         /* index, or count for an observer, who never votes */
    uint64_t retransmit_ms; /* own messages of an undecided height are sent again this often */
    /* PBFT: a height that takes longer is the leader's fault; 0: it never is. Raft: a leader that is silent for
     * this long, and up to half of it more, is replaced; at least two retransmit_ms, which is its heartbeat. */
    uint64_t view_timeout_ms;
    uint64_t checkpoint_interval; /* heights; 1: every block has a checkpoint certificate */
    uint64_t rotate_every;        /* heights after which the leader changes without a fault; 0: never */
    uint64_t seed; /* Raft: of its time-outs and nonces; another one at each start, fixed in a simulation */
    rdg_consensus_host_t host;
} rdg_consensus_config_t;

typedef enum rdg_consensus_event_kind {
    RDG_EVENT_START,   /* first event: height and digest of the last durable block, records written before */
    RDG_EVENT_MESSAGE, /* a message that passed rdg_consensus_check */
    RDG_EVENT_PAYLOAD, /* the host's answer to WANT_PROPOSAL: the proposal's bytes */
    RDG_EVENT_WORK,    /* the host has transactions that wait; told every retransmit_ms while it has */
    RDG_EVENT_VALIDATED, /* the host's answer to VALIDATE: ok or not */
    RDG_EVENT_EXECUTED,  /* block `height` is executed and durable; digest is its executed header's */
    RDG_EVENT_SYNCED, /* the host imported sealed blocks up to `height` (digest: last block hash) by itself */
    RDG_EVENT_TICK,   /* the deadline asked for by the last TIMER has come */
    RDG_EVENT_LINKED, /* validator `from` can be reached from now on, and may have missed what was sent before */
    RDG_EVENT_READ,    /* Raft: wants a READ action for `request`; PBFT: INVALID */
    RDG_EVENT_TRANSFER /* Raft: hand the lead to validator `from`, or with RDG_CONSENSUS_ALL to the one that is
                        * furthest; INVALID when this replica does not lead or nobody can take it; PBFT: INVALID */
} rdg_consensus_event_kind_t;

typedef struct rdg_consensus_record {
    rdg_bytes_t key, value;
} rdg_consensus_record_t;

typedef struct rdg_consensus_event {
    rdg_consensus_event_kind_t kind;
    /* MESSAGE: the validator whose link it came by, or the set's count for somebody else. The host has this from a
     * link that is authenticated, keeps its order and cannot be altered (TLCP with the validator's key): under Raft
     * nothing else says who sent it, and the core refuses what came by another's link (PROTOCOL). */
    uint32_t from;
    uint64_t height;      /* START, PAYLOAD, VALIDATED, EXECUTED, SYNCED */
    uint64_t view;        /* PAYLOAD, VALIDATED */
    uint64_t last_height; /* START, SYNCED, EXECUTED: the last height of this epoch; 0: none is known */
    rdg_hash_t digest;    /* START (last block hash), VALIDATED, EXECUTED, SYNCED */
    rdg_bytes_t bytes;    /* MESSAGE, PAYLOAD; START and SYNCED: the seal of that block, to prove it to
                        * laggards, or empty; borrowed during step */
    bool ok;              /* VALIDATED */
    uint64_t request;     /* READ: a number that the host chose */
    bool amnesia;         /* START */
    const rdg_consensus_record_t *records; /* START */
    size_t record_count;
} rdg_consensus_event_t;

typedef enum rdg_consensus_action_kind {
    RDG_ACTION_WRITE,         /* key, value: make stable */
    RDG_ACTION_DELETE,        /* key: may be dropped with the next batch */
    RDG_ACTION_SEND,          /* to (index or RDG_CONSENSUS_ALL), bytes */
    RDG_ACTION_WANT_PROPOSAL, /* height, view, digest of the parent: build one when there is work */
    RDG_ACTION_VALIDATE,      /* height, view, digest, bytes: is it a valid successor? answer VALIDATED */
    RDG_ACTION_COMMIT,        /* height, digest, bytes (the proposal), certificate (encoded seal) */
    RDG_ACTION_CHECKPOINT,    /* height, digest, certificate: a quorum executed to this result */
    RDG_ACTION_TIMER,         /* at_ms: send TICK then (replaces the former one) */
    RDG_ACTION_BEHIND,        /* height: peer `to` has proved progress up to there; fetch sealed blocks */
    RDG_ACTION_DIVERGED, /* height, digest of the quorum: our execution differs; the core votes no more */
    RDG_ACTION_EVIDENCE, /* bytes: two signed statements of one validator (`to`) that contradict */
    RDG_ACTION_VIEW, /* for the operator: `to` leads `view` from now on, at height; bytes: why the last one was
                          * left ("timeout", "rotation", "follow") */
    RDG_ACTION_READ /* request, ok: whoever has executed `height` answers with no older state than was current
                     * when the request was made; not ok: no leader confirmed it, ask again */
} rdg_consensus_action_kind_t;

typedef struct rdg_consensus_action {
    rdg_consensus_action_kind_t kind;
    uint32_t to;
    uint64_t height, view, at_ms;
    rdg_hash_t digest;
    rdg_bytes_t key, bytes, certificate; /* borrowed from the output until it is cleared */
    uint64_t request;
    bool ok;
} rdg_consensus_action_t;

typedef struct rdg_consensus_output rdg_consensus_output_t;
rdg_consensus_output_t *rdg_consensus_output_new(void);
void rdg_consensus_output_free(rdg_consensus_output_t *o);
void rdg_consensus_output_clear(rdg_consensus_output_t *o);
size_t rdg_consensus_output_count(const rdg_consensus_output_t *o);
const rdg_consensus_action_t *rdg_consensus_output_at(const rdg_consensus_output_t *o, size_t i);

typedef struct rdg_consensus rdg_consensus_t;

/* Copies config. INVALID names what is wrong with it; NO_MEMORY. */
rdg_err_t rdg_pbft_new(const rdg_consensus_config_t *config, rdg_consensus_t **out);
rdg_err_t rdg_raft_new(const rdg_consensus_config_t *config, rdg_consensus_t **out);
void rdg_consensus_free(rdg_consensus_t *c);

/* Decodes a message and verifies its signatures. Thread-safe. MALFORMED, TOO_LARGE, STALE (another epoch), PROTOCOL (a
 * digest that is not the proposal's), BAD_SIGNATURE (also one made for another chain). */
rdg_err_t rdg_consensus_check(const rdg_consensus_t *c, rdg_bytes_t message);
/* What check finds of one message of many. */
typedef struct rdg_consensus_verdict {
    rdg_err_t err;
    char why[160]; /* "" when err is RDG_OK */
} rdg_consensus_verdict_t;
/* check of each of `count` messages. Signatures of light ones are given to the host together, whoever sent them: a bad
 * one spoils its own message only. Thread-safe. */
void rdg_consensus_check_many(const rdg_consensus_t *c, const rdg_bytes_t *messages, size_t count,
                              rdg_consensus_verdict_t *verdicts);
/* True if check costs a signature or two and little else: a vote, a proposal of PBFT, a message of Raft without many
 * seals; also what cannot be read. False for what carries certificates. Thread-safe. */
bool rdg_consensus_is_light(const rdg_consensus_t *c, rdg_bytes_t message);
/* Appends actions to out; an error appends none. STALE, PROTOCOL, INVALID, MALFORMED, TOO_LARGE: the event
 * was refused and the state is unchanged. Any other error (NO_MEMORY, CRYPTO, CORRUPT, every error of START)
 * is trouble of this node: the core has stopped, every later step gives the same, restart it from its
 * records. */
rdg_err_t rdg_consensus_step(rdg_consensus_t *c, uint64_t now_ms, const rdg_consensus_event_t *event,
                             rdg_consensus_output_t *out);

typedef struct rdg_consensus_status {
    const char *protocol; /* "pbft", "raft" */
    uint64_t view, epoch, committed_height, executed_height, checkpoint_height;
    uint64_t last_height;                     /* of this epoch; 0: none is known */
    uint32_t leader, self, count, quorum;     /* leader: count when none is known; quorum: as a weight */
    uint64_t seen_height[RDG_VALIDATORS_MAX]; /* highest height each validator has shown */
    bool voting;             /* not before it is started: until then it may have lost what it signed */
    bool diverged, changing; /* changing: on the way to `view`, whose leader is not there yet */
} rdg_consensus_status_t;
void rdg_consensus_status(const rdg_consensus_t *c, rdg_consensus_status_t *out);

#ifdef __cplusplus
}
#endif
#endif
