/* PBFT's state (see consensus.h for the contract; Castro & Liskov, OSDI 1999, section 4).
 *
 * One height is decided at a time; execution follows behind, by at most RDG_CONSENSUS_WINDOW heights. A slot
 * holds what is known of one undecided height:
 *
 *   EMPTY ──► PROPOSED ──► PREPARING ──► COMMITTING ──► decided: the slot is cleared, the commits seal it
 *   │  the leader's   the host finds   a quorum of    a quorum of commits
 *   │  pre-prepare    it valid         prepares
 *   └── a restart may enter any state from the records; a change of the view empties the slot, but keeps the
 *       certificate that it was prepared
 *
 * A quorum of commits decides from any state in which the host has found the proposal valid: a leader may
 * send other bytes under the same digest to one replica, and such bytes must never be handed on as the block.
 *
 * Invariants, checked after each step
 * 1. executed <= committed <= executed + RDG_CONSENSUS_WINDOW.
 * 2. Only slot committed+1 may be beyond PROPOSED, and a slot moves only along the arrows above.
 * 3. A slot in PREPARING or later is valid and holds the own prepare for its digest; in COMMITTING the own
 *    commit, too. All of these are on record.
 * 4. An own vote, once recorded for (phase, view, height), is the only one ever sent for it.
 * 5. After a view change to v is on record, nothing is signed in a view before v.
 * 6. Trouble of its own (memory, key) in the middle of a step stops the replica: `failed` answers every later
 *    step. Nothing of the step is put out, so a restart from the records is safe. */
#ifndef RIDGE_CONSENSUS_PBFT_H
#define RIDGE_CONSENSUS_PBFT_H
#include "core.h"
#include "message.h"
#include "proof.h"

typedef enum slot_state { SLOT_EMPTY, SLOT_PROPOSED, SLOT_PREPARING, SLOT_COMMITTING } slot_state_t;

typedef struct vote {
    bool present, accused; /* accused: evidence against this validator was put out for this slot */
    uint64_t view;
    rdg_hash_t digest;
    rdg_sm2_signature_t signature;
} vote_t;

/* An encoded message or certificate; owned. */
typedef struct proof {
    uint8_t *data;
    size_t len;
} proof_t;

typedef struct slot {
    uint64_t height; /* 0: unused */
    slot_state_t state;
    bool asked, refused, valid; /* VALIDATE is with the host; the host said no; the host said yes */
    uint32_t resent;            /* how often the leader has sent the proposal again */
    uint64_t view, sent_ms, proposal_sent_ms, asked_ms;
    rdg_hash_t digest;
    vote_t proposed;   /* the leader's statement about it */
    uint8_t *proposal; /* the leader's whole message, owned */
    size_t proposal_len;
    vote_t prepares[RDG_VALIDATORS_MAX], commits[RDG_VALIDATORS_MAX];
    /* The own prepared certificate of the highest view. And, once a view is left, the leader's message of what this
     * replica voted for in it: others may hold a certificate for it. */
    proof_t prepared, kept;
    rdg_hash_t prepared_digest, kept_digest;
    proof_t offered; /* to the leader of a new view: the message of a value that others have prepared */
    rdg_hash_t offered_digest;
} slot_t;

/* Proposals are kept for the height to decide and this many after it: the leader has one in flight, so a
 * replica that lags more is better served with sealed blocks, and a leader cannot fill its memory. */
#define PROPOSALS_AHEAD 2
#define CHECKPOINT_SLOTS (2 * RDG_CONSENSUS_WINDOW)

typedef struct checkpoint_slot {
    uint64_t height;
    bool own, settled; /* settled: its certificate was put out */
    uint32_t resent;
    rdg_hash_t own_digest;
    vote_t votes[RDG_VALIDATORS_MAX];
} checkpoint_slot_t;

/* What a validator wants of the view: its last view change, or only its wish for one. */
typedef struct change {
    vote_t vote;
    proof_t message;
    uint64_t suspected;
} change_t;

typedef struct pbft {
    rdg_consensus_t core;
    rdg_consensus_config_t config;
    uint32_t quorum; /* a weight, as all counts of votes */
    uint64_t last;   /* height of this epoch; 0: none is known */
    rdg_err_t failed;
    bool started, diverged;
    bool amnesia; /* its records are lost: no votes up to amnesia_until, which is not known before a quorum
                     spoke */
    uint64_t now_ms, view, committed, executed, checkpoint, wanted, amnesia_until;
    uint64_t checkpoint_base;       /* up to there the checkpoints are no matter of this core */
    uint64_t decided_ms, ticked_at; /* when, and at which height the last tick found us */
    uint32_t idle_ticks;            /* ticks since then without a decision */
    rdg_hash_t committed_digest;
    /* The view: `changing` until its leader has opened it. new_view is the message that did so, for those who
     * missed it; choice is what this view must propose. */
    bool changing, suspecting, rotating; /* rotating: the turn of this view's leader is over */
    uint32_t attempts;                   /* views tried since the last decision */
    uint64_t watch_ms;                   /* since when something waits to be decided; 0: nothing does */
    uint64_t changed_ms;                 /* when the own view change was last sent */
    const char *why;                     /* the last view was left */
    uint64_t work_ms;                    /* when the host last had work; 0: never */
    change_t changes[RDG_VALIDATORS_MAX];
    proof_t new_view;
    choice_t choice;
    proof_t seal, checkpoint_proof; /* of the last committed height; of the last checkpoint */
    slot_t slots[RDG_CONSENSUS_WINDOW];
    checkpoint_slot_t checkpoints[CHECKPOINT_SLOTS];
    uint64_t seen[RDG_VALIDATORS_MAX], answered_ms[RDG_VALIDATORS_MAX], behind_told;
    bool heard[RDG_VALIDATORS_MAX]; /* a vote came from that validator itself; used while amnesiac */
} pbft_t;

static inline bool pbft_is_member(const pbft_t *p) {
    return p->config.self < p->config.validators.count;
}
static inline bool pbft_may_vote(const pbft_t *p) {
    return pbft_is_member(p) && !p->amnesia && !p->diverged;
}
static inline uint32_t pbft_weight(const pbft_t *p, uint32_t validator) {
    return rdg_validators_weight(&p->config.validators, validator);
}
static inline uint32_t pbft_total(const pbft_t *p) {
    return rdg_validators_total(&p->config.validators);
}
/* Nothing of this epoch is decided. */
static inline bool pbft_at_first(const pbft_t *p) {
    return p->committed + 1 <= (p->config.first_height > 0 ? p->config.first_height : 1);
}
/* Execution may lag by the window; beyond it, and above the last height of the epoch, nothing is promised or
 * decided. */
static inline bool pbft_has_room(const pbft_t *p) {
    return p->committed - p->executed < RDG_CONSENSUS_WINDOW && (p->last == 0 || p->committed < p->last);
}
static inline uint32_t pbft_leader(const pbft_t *p, uint64_t view) {
    return (uint32_t)(view % p->config.validators.count);
}

/* This replica leads the view, and the view is open. */
static inline bool pbft_is_leading(const pbft_t *p) {
    return !p->changing && pbft_leader(p, p->view) == p->config.self;
}

/* pbft_slot.c: slots and votes */
slot_t *pbft_slot(pbft_t *p, uint64_t height); /* NULL outside the window */
void pbft_slot_clear(slot_t *s);
void pbft_proof_clear(proof_t *proof);
/* The view is left: what this replica voted for is kept, any other proposal is dropped. */
void pbft_slot_leave_view(const pbft_t *p, slot_t *s);
bool pbft_is_kept(const slot_t *s, const rdg_hash_t *digest);
/* The weight of the votes that match. */
uint32_t pbft_count(const pbft_t *p, const vote_t *votes, uint64_t view, const rdg_hash_t *digest);
/* Keeps the first vote of a validator; a contradicting one of the same view becomes evidence. */
rdg_err_t pbft_take_vote(vote_t *votes, const message_t *m, rdg_consensus_output_t *out);
/* Puts out, once, that m contradicts the first statement of the same validator. */
rdg_err_t pbft_accuse(vote_t *first, const message_t *m, rdg_consensus_output_t *out);
/* The certificate of the votes that match; they must be a quorum. */
rdg_err_t pbft_certificate(const pbft_t *p, const vote_t *votes, const rdg_statement_t *s, rdg_buf_t *out);

/* pbft_send.c: what leaves the replica */
/* Signs a vote, records it (WRITE) and sends it (SEND), in this order; a vote that is on record is sent
 * again. CONFLICT, and nothing is sent, if the vote on record is for another digest. */
rdg_err_t pbft_vote(pbft_t *p, slot_t *s, rdg_phase_t phase, rdg_consensus_output_t *out);
/* Records the proposal; the leader then sends it. */
rdg_err_t pbft_record_proposal(pbft_t *p, slot_t *s, bool send, rdg_consensus_output_t *out);
/* Records that the slot is prepared, before the commit vote says so. */
rdg_err_t pbft_record_prepared(pbft_t *p, slot_t *s, rdg_consensus_output_t *out);
/* A later view chose another value: the certificate says nothing any more. */
rdg_err_t pbft_drop_prepared(slot_t *s, rdg_consensus_output_t *out);
#define RECORD_PREPARED 32 /* in the place of the phase in the key of a record */
/* Drops the records of heights from..to. */
rdg_err_t pbft_forget(uint64_t from, uint64_t to, rdg_consensus_output_t *out);
rdg_err_t pbft_resend(pbft_t *p, rdg_consensus_output_t *out);
/* All that this replica has said of the undecided height, at once and to one validator. */
rdg_err_t pbft_resend_to(pbft_t *p, uint32_t to, rdg_consensus_output_t *out);
rdg_err_t pbft_sign(pbft_t *p, rdg_phase_t phase, uint64_t view, uint64_t height, const rdg_hash_t *digest,
                    rdg_bytes_t proposal, message_t *m, rdg_buf_t *encoded);
/* Signs m, whose statement but for the epoch, and contents are given. */
rdg_err_t pbft_sign_message(pbft_t *p, message_t *m, rdg_buf_t *encoded);
rdg_err_t pbft_send(uint32_t to, rdg_bytes_t bytes, uint64_t height, rdg_consensus_output_t *out);
rdg_err_t pbft_keep_proof(proof_t *proof, rdg_bytes_t certificate);
rdg_err_t pbft_send_proof(pbft_t *p, uint32_t to, const proof_t *proof, rdg_consensus_output_t *out);

/* pbft_checkpoint.c */
rdg_err_t pbft_executed(pbft_t *p, uint64_t height, const rdg_hash_t *digest, rdg_consensus_output_t *out);
rdg_err_t pbft_checkpoint_vote(pbft_t *p, const message_t *m, rdg_consensus_output_t *out);
rdg_err_t pbft_checkpoint_proof(pbft_t *p, const rdg_certificate_t *c, rdg_consensus_output_t *out);
rdg_err_t pbft_resend_checkpoints(pbft_t *p, rdg_consensus_output_t *out);

/* pbft_start.c */
rdg_err_t pbft_start(pbft_t *p, const rdg_consensus_event_t *e, rdg_consensus_output_t *out);

/* pbft_decide.c: from a proposal to a decision */
rdg_err_t pbft_advance(pbft_t *p, rdg_consensus_output_t *out);
rdg_err_t pbft_payload(pbft_t *p, const rdg_consensus_event_t *e, rdg_consensus_output_t *out);
rdg_err_t pbft_validated(pbft_t *p, const rdg_consensus_event_t *e, rdg_consensus_output_t *out);
/* A commit certificate that was verified: its votes count. */
rdg_err_t pbft_take_seal(pbft_t *p, const rdg_certificate_t *c, rdg_consensus_output_t *out);
/* Takes the leader's message into the slot; the bytes are copied. */
rdg_err_t pbft_accept_proposal(slot_t *s, const message_t *m, rdg_bytes_t bytes);
/* Puts a slot whose votes are on record into the state that they prove. */
void pbft_resume(pbft_t *p, slot_t *s);
/* The own vote for just this proposal is among them. */
bool pbft_is_own(const pbft_t *p, const slot_t *s, const vote_t *votes);

/* The value that the view must propose again at the current height, if this replica leads it and has the bytes. */
rdg_err_t pbft_repropose(pbft_t *p, rdg_consensus_output_t *out);

/* pbft_view.c: leaving a view and opening the next */
rdg_err_t pbft_on_change(pbft_t *p, const message_t *m, const rdg_consensus_event_t *e,
                         rdg_consensus_output_t *out);
rdg_err_t pbft_on_suspect(pbft_t *p, const message_t *m, rdg_consensus_output_t *out);
rdg_err_t pbft_on_new_view(pbft_t *p, const message_t *m, const rdg_consensus_event_t *e,
                           rdg_consensus_output_t *out);
/* A proposal of an earlier view: the bytes of what a new view may have to propose again. */
rdg_err_t pbft_offer(pbft_t *p, const message_t *m, rdg_bytes_t bytes, rdg_consensus_output_t *out);
/* Changes the view if enough validators want to; opens it if this replica is to lead it. */
rdg_err_t pbft_consider_view(pbft_t *p, rdg_consensus_output_t *out);
rdg_err_t pbft_resend_change(pbft_t *p, uint32_t to, rdg_consensus_output_t *out);
/* Whoever speaks in an earlier view gets the message that opened this one. */
rdg_err_t pbft_answer_view(pbft_t *p, uint32_t to, uint64_t view, rdg_consensus_output_t *out);
/* A leader's turn is over: all who decided the last block of it change the view, without a time-out. */
rdg_err_t pbft_rotate(pbft_t *p, rdg_consensus_output_t *out);
bool pbft_is_view_key(rdg_bytes_t key);
rdg_err_t pbft_restore_view(pbft_t *p, const rdg_consensus_record_t *r);
void pbft_resume_view(pbft_t *p); /* after all records */

/* pbft_watch.c: whether the leader takes too long */
void pbft_watch(pbft_t *p); /* after each step */
void pbft_progress(pbft_t *p);
rdg_err_t pbft_check_watch(pbft_t *p, rdg_consensus_output_t *out); /* on each tick */

/* pbft_message.c: what arrives */
rdg_err_t pbft_message(pbft_t *p, const rdg_consensus_event_t *e, rdg_consensus_output_t *out);

/* pbft_lag.c: finding out that others are ahead, helping those who are behind, and coming back without
 * records */
rdg_err_t pbft_behind(pbft_t *p, uint32_t peer, uint64_t height, rdg_consensus_output_t *out);
rdg_err_t pbft_check_window(pbft_t *p, uint32_t peer, rdg_consensus_output_t *out);
rdg_err_t pbft_check_progress(pbft_t *p, rdg_consensus_output_t *out); /* on each tick */
rdg_err_t pbft_answer_laggard(pbft_t *p, uint32_t to, uint64_t height, rdg_consensus_output_t *out);
/* True at most once per retransmit_ms and validator: an answer costs more than its question. */
bool pbft_may_answer(pbft_t *p, uint32_t to);
rdg_err_t pbft_amnesia_begin(pbft_t *p, rdg_consensus_output_t *out);
void pbft_amnesia_hear(pbft_t *p, uint32_t validator);
rdg_err_t pbft_amnesia_end(pbft_t *p, rdg_consensus_output_t *out); /* if it is over */
bool pbft_is_amnesia_key(rdg_bytes_t key);

#endif
