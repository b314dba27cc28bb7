/* Certificate verification with the signature check given, for cores whose host checks signatures by itself.
 */
#ifndef RIDGE_CONSENSUS_CERTIFICATE_H
#define RIDGE_CONSENSUS_CERTIFICATE_H
#include "signatures.h"

/* Everything of certificate_verify_with but the signatures, which are left to g. */
rdg_err_t certificate_gather(const rdg_certificate_t *c, const rdg_validator_set_t *set, rdg_phase_t phase,
                             signatures_t *g);
rdg_err_t certificate_gather_raft(const rdg_certificate_t *c, const rdg_validator_set_t *set,
                                  rdg_phase_t phase, signatures_t *g);

/* As rdg_certificate_verify, but for whatever height and digest the certificate names. */
rdg_err_t certificate_verify_with(const rdg_certificate_t *c, const rdg_validator_set_t *set,
                                  rdg_phase_t phase, const rdg_consensus_host_t *host);
/* As rdg_certificate_verify_raft, likewise. */
rdg_err_t certificate_verify_raft_with(const rdg_certificate_t *c, const rdg_validator_set_t *set,
                                       rdg_phase_t phase, const rdg_consensus_host_t *host);

#endif
