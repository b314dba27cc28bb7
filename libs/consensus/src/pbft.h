/* PBFT's state (see consensus.h for the contract; Castro & Liskov, OSDI 1999, section 4).
 *
 * One height is decided at a time; execution follows behind. A slot holds what is known of one undecided
 * height:
 *
 *   EMPTY ──pre-prepare of the leader──► PROPOSED ──the host finds it valid──► PREPARING ──quorum of
 * prepares──► COMMITTING ──quorum of commits──► (decided: the slot is cleared, its certificate is the block's
 * seal)
 *
 *   A quorum of commits decides from any state in which the proposal is known.
 *
 * Invariants, checked after each step
 * 1. executed <= committed; checkpoint <= executed unless this replica fell behind or is an observer.
 * 2. Only slot committed+1 may be beyond PROPOSED.
 * 3. A slot in PREPARING or later has its pre-prepare and own prepare on record; in COMMITTING its own
 * commit, too.
 * 4. An own vote, once recorded for (phase, view, height), is the only one ever sent for it. */
#ifndef RIDGE_CONSENSUS_PBFT_H
#define RIDGE_CONSENSUS_PBFT_H
#include "core.h"
#include "message.h"

typedef enum slot_state { SLOT_EMPTY, SLOT_PROPOSED, SLOT_PREPARING, SLOT_COMMITTING } slot_state_t;

typedef struct vote {
    bool present, accused; /* accused: evidence against this validator was put out for this slot */
    uint64_t view;
    rdg_hash_t digest;
    rdg_sm2_signature_t signature;
} vote_t;

typedef struct slot {
    uint64_t height; /* 0: unused */
    slot_state_t state;
    bool asked, refused; /* VALIDATE is with the host; the host said no */
    uint64_t view, sent_ms;
    rdg_hash_t digest;
    vote_t proposed;   /* the leader's statement about it */
    uint8_t *proposal; /* the leader's whole message, owned */
    size_t proposal_len;
    vote_t prepares[RDG_VALIDATORS_MAX], commits[RDG_VALIDATORS_MAX];
} slot_t;

#define CHECKPOINT_SLOTS (2 * RDG_CONSENSUS_WINDOW)

typedef struct checkpoint_slot {
    uint64_t height;
    bool own;
    rdg_hash_t own_digest;
    vote_t votes[RDG_VALIDATORS_MAX];
} checkpoint_slot_t;

typedef struct pbft {
    rdg_consensus_t core;
    rdg_consensus_config_t config;
    uint32_t quorum;
    bool started, diverged, voting;
    uint64_t view, committed, executed, checkpoint, wanted, amnesia_until;
    rdg_hash_t committed_digest;
    uint8_t *seal; /* encoded certificate of the last committed height, owned; for laggards */
    size_t seal_len;
    slot_t slots[RDG_CONSENSUS_WINDOW];
    checkpoint_slot_t checkpoints[CHECKPOINT_SLOTS];
    uint64_t seen[RDG_VALIDATORS_MAX], answered_ms[RDG_VALIDATORS_MAX], behind_told;
} pbft_t;

static inline bool pbft_is_member(const pbft_t *p) {
    return p->config.self < p->config.validators.count;
}
static inline bool pbft_may_vote(const pbft_t *p) {
    return pbft_is_member(p) && p->voting && !p->diverged;
}
static inline uint32_t pbft_leader(const pbft_t *p, uint64_t view) {
    return (uint32_t)(view % p->config.validators.count);
}

/* pbft_slot.c: slots and votes */
slot_t *pbft_slot(pbft_t *p, uint64_t height); /* NULL outside the window */
void pbft_slot_clear(slot_t *s);
uint32_t pbft_count(const pbft_t *p, const vote_t *votes, uint64_t view, const rdg_hash_t *digest);
/* Keeps the first vote of a validator; a contradicting one of the same view becomes evidence. */
rdg_err_t pbft_take_vote(vote_t *votes, const message_t *m, rdg_consensus_output_t *out);
/* Puts out, once, that m contradicts the first statement of the same validator. */
rdg_err_t pbft_accuse(vote_t *first, const message_t *m, rdg_consensus_output_t *out);
/* The certificate of the votes that match; they must be a quorum. */
rdg_err_t pbft_certificate(const pbft_t *p, const vote_t *votes, const rdg_statement_t *s, rdg_buf_t *out);

/* pbft_send.c: what leaves the replica */
/* Signs a vote, records it (WRITE) and sends it (SEND), in this order. */
rdg_err_t pbft_vote(pbft_t *p, slot_t *s, rdg_phase_t phase, rdg_consensus_output_t *out);
rdg_err_t pbft_record(uint64_t height, rdg_phase_t phase, rdg_bytes_t message, rdg_consensus_output_t *out);
rdg_err_t pbft_forget(uint64_t height, rdg_consensus_output_t *out);
rdg_err_t pbft_resend(pbft_t *p, uint64_t now_ms, rdg_consensus_output_t *out);
rdg_err_t pbft_answer_laggard(pbft_t *p, uint32_t to, uint64_t now_ms, rdg_consensus_output_t *out);
rdg_err_t pbft_sign(pbft_t *p, rdg_phase_t phase, uint64_t view, uint64_t height, const rdg_hash_t *digest,
                    rdg_bytes_t proposal, message_t *m, rdg_buf_t *encoded);

/* pbft_checkpoint.c */
rdg_err_t pbft_executed(pbft_t *p, uint64_t height, const rdg_hash_t *digest, rdg_consensus_output_t *out);
rdg_err_t pbft_checkpoint_vote(pbft_t *p, const message_t *m, rdg_consensus_output_t *out);
rdg_err_t pbft_resend_checkpoints(pbft_t *p, rdg_consensus_output_t *out);

/* pbft_start.c */
rdg_err_t pbft_start(pbft_t *p, uint64_t now_ms, const rdg_consensus_event_t *e, rdg_consensus_output_t *out);

/* pbft.c */
rdg_err_t pbft_advance(pbft_t *p, rdg_consensus_output_t *out);
rdg_err_t pbft_want(pbft_t *p, rdg_consensus_output_t *out);
/* Takes the leader's message into the slot; the bytes are copied. */
rdg_err_t pbft_accept_proposal(slot_t *s, const message_t *m, rdg_bytes_t bytes);

#endif
