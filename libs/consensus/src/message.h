/* Messages of PBFT on the wire, RLP:
 *   propose [1, epoch, view, height, digest, index, signature, proposal]
 *   vote    [kind, epoch, view, height, digest, index, signature]     kind = phase: 2, 3, 4
 *   suspect [8, …]           as a vote, digest 0: would change to this view
 *   change  [5, epoch, view, height, digest, index, signature, [PREPARE certificate, …], seal]
 *           height is the sender's first undecided one, seal the COMMIT certificate of the one before (empty
 *           for height 1); the digest is SM3 of the list, which has ascending heights
 *   new     [6, epoch, view, height, digest, index, signature, [change with empty seal, …], seal]
 *           height is the highest of the changes, seal that of the one before; the digest is SM3 of the list
 *   status  [16, certificate]    a COMMIT certificate: "I have this block", or a CHECKPOINT certificate */
#ifndef RIDGE_CONSENSUS_MESSAGE_H
#define RIDGE_CONSENSUS_MESSAGE_H
#include "signatures.h"

#define MESSAGE_STATUS 16

typedef struct message {
    uint32_t kind; /* a phase, or MESSAGE_STATUS */
    rdg_statement_t statement;
    uint32_t index;
    rdg_sm2_signature_t signature;
    rdg_bytes_t proposal;    /* propose; borrowed */
    rdg_bytes_t certificate; /* status, change, new view (seal); borrowed, encoded */
    rdg_bytes_t proof;       /* change, new view: the list; borrowed, encoded */
} message_t;

rdg_err_t message_encode(const message_t *m, rdg_buf_t *out);
/* Structure only. For a status, statement is the certificate's. */
rdg_err_t message_decode(rdg_bytes_t bytes, message_t *out);
/* Membership, epoch; the signature over the statement is left to g. Nothing of what hangs on it. */
rdg_err_t message_gather_vote(const message_t *m, const rdg_consensus_config_t *config, signatures_t *g);
/* Everything that needs no state: membership, epoch, signatures, that a proposal's digest is its bytes'. */
rdg_err_t message_verify(const message_t *m, const rdg_consensus_config_t *config);

#endif
