/* Messages of Raft on the wire, RLP, one form for all kinds; a field that a kind does not use is empty:
 *   [kind, epoch, term, from, to, seq, height, entry_term, start, first, commit, flags, digest,
 *    [seal certificate, …], [[term, digest, proposal], …], signature]
 *
 *   pre-vote (33), vote (35)    term, height and entry_term: the end of the candidate's log; flag TRANSFER: the
 *                               leader asked for it. A pre-vote is about the term after `term`.
 *   pre-vote's reply (34)       entry_term: the term that was asked about; flag OK: would vote so
 *   vote's reply (36)           flag OK: voted so, on record
 *   append (37)                 height and entry_term: the entry before the first one; start: the log's end when
 *                               its sender began to lead; first: the lowest entry that it can send; commit: what
 *                               is committed; seals and entries in ascending heights
 *   append's reply (38)         seq of the append; OK: height is as far as the logs agree; else as far as they
 *                               may; commit: what its sender has committed; flag FULL: no room for all
 *   take over (39)              stand for election now
 *   read (40), reply (41)       seq: the request; height: the index, if OK
 *   recover (42), reply (43)    seq: a nonce; the reply's height and entry_term: the end of its sender's log
 *   checkpoint (44)             height, digest; the signature is over the CHECKPOINT statement, as in PBFT
 *
 * Only a checkpoint vote is signed: it goes into a certificate that others read years later. Of all other kinds the
 * link says who sent them (consensus.h, MESSAGE.from), and the core takes a message only from its sender's own link.
 * What a signature of each message would add is proof for third parties, of which Raft makes no use: it does not
 * protect from validators that lie. */
#ifndef RIDGE_CONSENSUS_RAFT_MESSAGE_H
#define RIDGE_CONSENSUS_RAFT_MESSAGE_H
#include "ridge/consensus/consensus.h"

#define RAFT_NUMBER_MAX (1ull << 62) /* of terms and heights: sums of them do not overflow */

typedef enum raft_kind {
    RAFT_PRE_VOTE = 33,
    RAFT_PRE_VOTE_REPLY,
    RAFT_VOTE,
    RAFT_VOTE_REPLY,
    RAFT_APPEND,
    RAFT_APPEND_REPLY,
    RAFT_TAKE_OVER,
    RAFT_READ,
    RAFT_READ_REPLY,
    RAFT_RECOVER,
    RAFT_RECOVER_REPLY,
    RAFT_CHECKPOINT
} raft_kind_t;

enum { RAFT_FLAG_OK = 1, RAFT_FLAG_TRANSFER = 2, RAFT_FLAG_FULL = 4 };

typedef struct raft_message_entry {
    uint64_t term;
    rdg_hash_t digest;
    rdg_bytes_t proposal; /* borrowed */
} raft_message_entry_t;

typedef struct raft_message {
    raft_kind_t kind;
    uint32_t from, to, flags;
    uint64_t epoch, term, seq, height, entry_term, start, first, commit;
    rdg_hash_t digest;
    rdg_sm2_signature_t signature; /* CHECKPOINT */
    uint32_t seal_count, entry_count;
    rdg_bytes_t seals[RDG_CONSENSUS_WINDOW]; /* borrowed */
    raft_message_entry_t entries[RDG_CONSENSUS_WINDOW];
} raft_message_t;

/* What the sender of a checkpoint vote signs. */
rdg_statement_t raft_message_statement(const raft_message_t *m);
rdg_err_t raft_message_encode(const raft_message_t *m, rdg_buf_t *out);
/* Structure only. */
rdg_err_t raft_message_decode(rdg_bytes_t bytes, raft_message_t *out);
/* Everything that needs no state: addressed to this replica, membership, epoch, signatures of checkpoint votes and
 * seals, that terms do not fall, that each entry's digest is its bytes'. Not whose link it came by. */
rdg_err_t raft_message_verify(const raft_message_t *m, const rdg_consensus_config_t *config);

#endif
