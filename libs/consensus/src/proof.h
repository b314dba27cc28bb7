/* What a view change proves, and what a new view has to propose by it. No state: each replica recomputes it.
 *
 * A quorum that committed a height in an earlier view shares an honest validator with any quorum of view changes.
 * That one either has the height sealed, or brings the certificate that it was prepared: certificates stay on record
 * until the block is durable. So of each height above the highest seal, the value of the highest prepared view is
 * proposed again; where no certificate is, nothing was committed and the leader is free. */
#ifndef RIDGE_CONSENSUS_PROOF_H
#define RIDGE_CONSENSUS_PROOF_H
#include "message.h"
#include "ridge/codec/rlp.h"

#define VIEW_MAX ((uint64_t)1 << 48) /* no honest chain gets there; additions do not overflow */

typedef struct choice {
    uint64_t first; /* the first height of the view; those before are sealed */
    struct {
        bool bound;
        uint64_t view;
        rdg_hash_t digest;
    } heights[RDG_CONSENSUS_WINDOW]; /* first, first + 1, … */
} choice_t;

/* The digest that the view must propose at this height, or NULL: it is free. */
const rdg_hash_t *choice_at(const choice_t *c, uint64_t height);
/* Of a new view that was verified, or is about to be signed. */
rdg_err_t proof_choose(const message_t *new_view, choice_t *out);
/* The list of a view change or new view; then the next prepared certificate of a change's; NOT_FOUND at its end. */
rdg_err_t proof_open(const message_t *m, rdg_rlp_t *list);
rdg_err_t proof_next_prepared(rdg_rlp_t *list, rdg_certificate_t *out);
/* The view, and one more, in which the change says that this digest was prepared at this height; 0: it does not. */
uint64_t proof_prepared_view(const message_t *change, uint64_t height, const rdg_hash_t *digest);

/* The signature over the statement is checked before. PROTOCOL, BAD_SIGNATURE, MALFORMED, STALE. */
rdg_err_t proof_verify_change(const message_t *m, const rdg_consensus_config_t *config);
rdg_err_t proof_verify_new_view(const message_t *m, const rdg_consensus_config_t *config);

#endif
