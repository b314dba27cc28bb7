/* Raft's state (see consensus.h for the contract; Ongaro, "Consensus: Bridging Theory and Practice", chapters 3,
 * 4, 6 and 9).
 *
 * The log's index is the height: one block an entry. Entries of durable executed heights are dropped, the ledger
 * is the snapshot. A view is a term.
 *
 *   FOLLOWER ──time-out──► PRE_CANDIDATE ──majority would──► CANDIDATE ──majority voted──► LEADER
 *      ▲                                                                                     │
 *      └── a leader, a higher term; for a leader also: a majority is silent ◄────────────────┘
 *
 * A leader commits nothing of an earlier term before something of its own term is on a majority's disks (Raft
 * §5.4.2). Where the paper's leader appends an empty entry for that, this log has an *opening*: a mark, without
 * height and bytes, that a leader puts at the end of its log when it wins, and which is replicated like an
 * entry. Only the last one of a log matters, and only its term: log_term is the term of what a log ends with,
 * opening or entry, and `start` tells where the leader's own opening is. A follower that agrees with its leader
 * up to `start` has taken the opening: it drops what it holds behind it, and its log_term is the leader's. So no
 * leader must add a block to commit those that it found, and it knows at once what is committed.
 *
 * Invariants, checked after each step
 * 1. executed <= committed <= last <= executed + RDG_CONSENSUS_WINDOW.
 * 2. Terms never fall along the log; none is above log_term, which is not above term.
 * 3. A leader voted for itself and its log_term is its term. There is a vote only once for a term, on record
 *    before it is sent; it is forgotten only with a higher term.
 * 4. What was changed of term, vote, log_term and log stands as a WRITE before the next SEND.
 * 5. Trouble of its own in the middle of a step stops the replica: nothing is put out, `failed` answers every
 *    later step. A restart from the records is safe. */
#ifndef RIDGE_CONSENSUS_RAFT_H
#define RIDGE_CONSENSUS_RAFT_H
#include "core.h"
#include "raft_message.h"
#include "ridge/base/random.h"

#define RAFT_NOBODY UINT32_MAX
#define RAFT_SLOTS (2 * RDG_CONSENSUS_WINDOW)
#define RAFT_RETAINED 8 /* executed entries that are kept in memory for followers a little behind */
#define RAFT_PIPELINE 4 /* undecided entries of a leader before it waits */
#define RAFT_LOG_BYTES                                                                                       \
    (16u << 20) /* of unexecuted entries, before a leader adds none; followers take twice that */
#define RAFT_READS_MAX 64
#define RAFT_LIGHT_SEALS                                                                                     \
    2 /* of a message that is checked at once; a follower that keeps up gets one at a time */
#define RAFT_CHECKPOINTS (2 * RDG_CONSENSUS_WINDOW)

typedef enum raft_role { RAFT_FOLLOWER, RAFT_PRE_CANDIDATE, RAFT_CANDIDATE, RAFT_LEADER } raft_role_t;

/* The end of a log: what the election compares. */
typedef struct raft_position {
    uint64_t term, height;
} raft_position_t;

typedef struct raft_entry {
    uint64_t term;
    rdg_hash_t digest;
    rdg_hash_t parent; /* digest of the entry before; of a restored entry only, until the log is linked */
    uint8_t *data;     /* the proposal, owned */
    size_t len;
} raft_entry_t;

typedef struct raft_seal {
    uint64_t height; /* 0: none */
    uint8_t *data;   /* owned, encoded */
    size_t len;
} raft_seal_t;

/* What a leader knows of a follower. */
typedef struct raft_peer {
    uint64_t match, next; /* the logs agree up to match; next is the entry to send */
    uint64_t committed;   /* as it said */
    uint64_t sealed;      /* seals were sent up to here */
    uint64_t acked;       /* the highest seq that it answered */
    uint64_t reset_seq;   /* refusals of earlier appends say nothing any more */
    uint64_t heard_ms;
    bool probing; /* where the logs agree is not known: one empty append at a time */
    bool full;    /* it has no room: nothing before the next heartbeat */
} raft_peer_t;

typedef struct raft_read {
    uint64_t request, seq, height, due_ms;
    uint32_t from;     /* who asked: a validator, or the own host */
    bool used, placed; /* placed: height and seq are set; a follower's own ones never are */
} raft_read_t;

typedef struct raft_checkpoint {
    uint64_t height;
    bool own, settled; /* settled: its certificate was put out */
    uint32_t resent;
    rdg_hash_t own_digest;
    struct {
        bool present;
        rdg_hash_t digest;
        rdg_sm2_signature_t signature;
    } votes[RDG_VALIDATORS_MAX];
} raft_checkpoint_t;

typedef enum raft_amnesia { RAFT_SOUND, RAFT_ASKING, RAFT_RAISING } raft_amnesia_t;

typedef struct raft {
    rdg_consensus_t core;
    rdg_consensus_config_t config;
    uint32_t majority; /* as a weight */
    rdg_err_t failed;
    bool started, diverged;
    bool unsaved; /* the record of what follows is older than it */
    uint64_t term, log_term;
    uint32_t voted;
    raft_amnesia_t amnesia;
    raft_position_t
        floor; /* after lost records: a candidate's log must reach it, as if it were the own one */

    uint64_t first, last; /* entries in memory; last + 1 == first: none */
    uint64_t before_term; /* of the entry first-1; 0: not known */
    rdg_hash_t before_digest;
    raft_entry_t log[RAFT_SLOTS];
    raft_seal_t seals[RAFT_SLOTS];
    uint64_t committed, executed, checkpoint, wanted;
    uint64_t checkpoint_base; /* up to there the checkpoints are no matter of this core */
    uint64_t epoch_end;       /* the last height of this epoch; 0: not known */

    raft_role_t role;
    uint32_t leader;
    uint64_t now_ms, election_ms, house_ms, armed_ms;
    rdg_random_seeded_t random;
    uint32_t attempts;                             /* elections lost since a leader was there */
    bool granted[RDG_VALIDATORS_MAX], transferred; /* transferred: stands because the leader asked for it */
    uint64_t heard_ms, heard_seq;                  /* the leader's last append */
    uint64_t leader_commit, stood_at, behind_told;
    uint64_t told_term; /* whose leader the operator has been told of */
    uint32_t stood;     /* ticks at the height stood_at */

    uint64_t start, seq;
    raft_peer_t peers[RDG_VALIDATORS_MAX];
    uint32_t transfer_to;
    uint64_t transfer_ms;
    raft_read_t reads[RAFT_READS_MAX];

    uint64_t nonce;
    struct {
        bool present;
        uint64_t term;
        raft_position_t end;
    } answers[RDG_VALIDATORS_MAX]; /* to the recovery */
    raft_checkpoint_t checkpoints[RAFT_CHECKPOINTS];
    uint64_t answered_ms[RDG_VALIDATORS_MAX];
} raft_t;

static inline uint32_t raft_weight(const raft_t *p, uint32_t validator) {
    return rdg_validators_weight(&p->config.validators, validator);
}
static inline bool raft_is_member(const raft_t *p) {
    return p->config.self < p->config.validators.count;
}
static inline bool raft_may_vote(const raft_t *p) {
    return raft_is_member(p) && p->amnesia == RAFT_SOUND && !p->diverged;
}
static inline raft_position_t raft_end(const raft_t *p) {
    return (raft_position_t){p->log_term, p->last};
}
static inline bool raft_reaches(raft_position_t a, raft_position_t b) {
    return a.term > b.term || (a.term == b.term && a.height >= b.height);
}

/* raft_log.c: entries, seals, and their records */
raft_entry_t *raft_entry(raft_t *p, uint64_t height); /* NULL: not in memory */
uint64_t raft_term_at(raft_t *p, uint64_t height);    /* 0: not known */
const rdg_hash_t *raft_last_digest(raft_t *p);
size_t raft_unexecuted_bytes(raft_t *p);
/* Writes term, vote, log_term, floor, if they have changed. */
rdg_err_t raft_save(raft_t *p, rdg_consensus_output_t *out);
rdg_err_t raft_log_append(raft_t *p, uint64_t term, const rdg_hash_t *digest, rdg_bytes_t proposal,
                          rdg_consensus_output_t *out);
rdg_err_t raft_log_truncate(raft_t *p, uint64_t after,
                            rdg_consensus_output_t *out); /* keeps heights <= after */
rdg_err_t raft_log_executed(raft_t *p, uint64_t height, rdg_consensus_output_t *out);
/* The host has the sealed block of `height`: whatever the log holds against it goes. */
rdg_err_t raft_log_adopt(raft_t *p, uint64_t height, const rdg_hash_t *digest, rdg_bytes_t seal,
                         rdg_consensus_output_t *out);
rdg_err_t raft_log_restore(raft_t *p, const rdg_consensus_event_t *e, rdg_consensus_output_t *out);
rdg_err_t raft_seal_keep(raft_t *p, uint64_t height, rdg_bytes_t seal);
rdg_bytes_t raft_seal_at(const raft_t *p, uint64_t height);
void raft_log_free(raft_t *p);

/* raft_send.c */
/* Fills in sender, receiver and epoch, sends; saves what is unsaved before. */
rdg_err_t raft_send(raft_t *p, raft_message_t *m, uint32_t to, rdg_consensus_output_t *out);
rdg_err_t raft_send_all(raft_t *p, const raft_message_t *m, rdg_consensus_output_t *out);
rdg_err_t raft_sign(raft_t *p, const rdg_statement_t *s, rdg_sm2_signature_t *out);

/* raft_election.c */
void raft_set_election(raft_t *p);
/* The term, if it is higher, becomes the own one; role and leader as given. */
rdg_err_t raft_follow(raft_t *p, uint64_t term, uint32_t leader, rdg_consensus_output_t *out);
rdg_err_t raft_check_election(raft_t *p, rdg_consensus_output_t *out); /* on a tick */
rdg_err_t raft_on_take_over(raft_t *p, const raft_message_t *m, rdg_consensus_output_t *out);
rdg_err_t raft_campaign(raft_t *p, bool transferred, rdg_consensus_output_t *out);
rdg_err_t raft_resend_candidacy(raft_t *p, uint32_t to, rdg_consensus_output_t *out);
rdg_err_t raft_on_pre_vote(raft_t *p, const raft_message_t *m, rdg_consensus_output_t *out);
rdg_err_t raft_on_vote(raft_t *p, const raft_message_t *m, rdg_consensus_output_t *out);
rdg_err_t raft_on_vote_reply(raft_t *p, const raft_message_t *m, rdg_consensus_output_t *out);

/* raft_leader.c */
rdg_err_t raft_tell_leader(raft_t *p, rdg_consensus_output_t *out); /* once a term */
rdg_err_t raft_lead(raft_t *p, rdg_consensus_output_t *out);
rdg_err_t raft_payload(raft_t *p, const rdg_consensus_event_t *e, rdg_consensus_output_t *out);
rdg_err_t raft_want(raft_t *p, rdg_consensus_output_t *out);
/* Commits what a majority has. */
rdg_err_t raft_advance(raft_t *p, rdg_consensus_output_t *out);
rdg_err_t raft_heartbeat(raft_t *p, rdg_consensus_output_t *out); /* also steps down without a majority */
rdg_err_t raft_on_append_reply(raft_t *p, const raft_message_t *m, rdg_consensus_output_t *out);
/* To whom there is something new; with `beat` to all. */
rdg_err_t raft_replicate(raft_t *p, bool beat, rdg_consensus_output_t *out);
rdg_err_t raft_send_append(raft_t *p, uint32_t to, rdg_consensus_output_t *out);
rdg_err_t raft_transfer(raft_t *p, uint32_t to, rdg_consensus_output_t *out);

/* raft_follower.c */
rdg_err_t raft_on_append(raft_t *p, const raft_message_t *m, rdg_consensus_output_t *out);
/* Puts out the COMMIT of the next height and keeps its seal. */
rdg_err_t raft_commit(raft_t *p, rdg_bytes_t seal, rdg_consensus_output_t *out);
rdg_err_t raft_check_lag(raft_t *p, rdg_consensus_output_t *out); /* on a tick */

/* raft_read.c */
rdg_err_t raft_read(raft_t *p, uint64_t request, rdg_consensus_output_t *out);
rdg_err_t raft_on_read(raft_t *p, const raft_message_t *m, rdg_consensus_output_t *out);
rdg_err_t raft_on_read_reply(raft_t *p, const raft_message_t *m, rdg_consensus_output_t *out);
rdg_err_t raft_serve_reads(raft_t *p, rdg_consensus_output_t *out); /* what a majority has confirmed */
/* Those whose time is over; after a step down also those of others, and the own ones look for a new leader. */
rdg_err_t raft_expire_reads(raft_t *p, bool stepped_down, rdg_consensus_output_t *out);
rdg_err_t raft_ask_reads(raft_t *p, rdg_consensus_output_t *out); /* on a tick */

/* raft_recover.c: lost records */
rdg_err_t raft_recover(raft_t *p, rdg_consensus_output_t *out); /* begins, or asks again */
rdg_err_t raft_on_recover(raft_t *p, const raft_message_t *m, rdg_consensus_output_t *out);
rdg_err_t raft_on_recover_reply(raft_t *p, const raft_message_t *m, rdg_consensus_output_t *out);

/* raft_checkpoint.c */
rdg_err_t raft_executed(raft_t *p, uint64_t height, const rdg_hash_t *digest, rdg_consensus_output_t *out);
rdg_err_t raft_on_checkpoint(raft_t *p, const raft_message_t *m, rdg_consensus_output_t *out);
rdg_err_t raft_resend_checkpoints(raft_t *p, rdg_consensus_output_t *out);

#endif
