/* Messages of PBFT on the wire, RLP:
 *   propose [1, epoch, view, height, digest, index, signature, proposal]
 *   vote    [kind, epoch, view, height, digest, index, signature]     kind = phase: 2, 3, 4
 *   status  [16, certificate]    a COMMIT certificate: "I have this block", or a CHECKPOINT certificate */
#ifndef RIDGE_CONSENSUS_MESSAGE_H
#define RIDGE_CONSENSUS_MESSAGE_H
#include "ridge/consensus/consensus.h"

#define MESSAGE_STATUS 16

typedef struct message {
    uint32_t kind; /* a phase, or MESSAGE_STATUS */
    rdg_statement_t statement;
    uint32_t index;
    rdg_sm2_signature_t signature;
    rdg_bytes_t proposal;    /* propose; borrowed */
    rdg_bytes_t certificate; /* status; borrowed, encoded */
} message_t;

rdg_err_t message_encode(const message_t *m, rdg_buf_t *out);
/* Structure only. For a status, statement is the certificate's. */
rdg_err_t message_decode(rdg_bytes_t bytes, message_t *out);
/* Everything that needs no state: membership, epoch, signatures, that a proposal's digest is its bytes'. */
rdg_err_t message_verify(const message_t *m, const rdg_consensus_config_t *config);

#endif
