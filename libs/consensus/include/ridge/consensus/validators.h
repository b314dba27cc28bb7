/* The validator set, quorum arithmetic, and quorum certificates.
 *
 * Votes weigh. Of a total weight W, validators of together f = floor((W-1)/3) may be Byzantine; a quorum is votes
 * of together W - f (four of weight 1: 3; three: 3; one: 1). Any two quorums share validators of more than f. A
 * validator counts once, however often its vote comes. With equal weights W is the number of validators.
 * Under Raft, which tolerates crashes only, a majority decides: votes of together more than W/2.
 *
 * A certificate is a statement and the signatures of a quorum over it, RLP:
 *   [phase, epoch, view, height, digest(32), [[index, signature(64)], …]]  with ascending index.
 * Verification refuses duplicated or descending signers, indexes out of the set, a weight below the quorum,
 * a foreign chain or epoch, and any signature that does not verify: one bad signature refuses the whole. */
#ifndef RIDGE_CONSENSUS_VALIDATORS_H
#define RIDGE_CONSENSUS_VALIDATORS_H
#include "ridge/base/buf.h"
#include "ridge/crypto/sm2.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_VALIDATORS_MAX 64
#define RDG_VALIDATOR_WEIGHT_MAX 1000000u /* 64 of them stay far below 2^32 */

typedef struct rdg_validator_set {
    uint64_t chain_id; /* statements are bound to it */
    uint64_t epoch;    /* grows by one with each membership change */
    uint32_t count;    /* 1..RDG_VALIDATORS_MAX */
    rdg_sm2_public_t keys[RDG_VALIDATORS_MAX];
    uint32_t weights[RDG_VALIDATORS_MAX]; /* 1..RDG_VALIDATOR_WEIGHT_MAX; 0 stands for 1 */
} rdg_validator_set_t;

/* Of a total weight (equal weights: of the number of validators). */
uint32_t rdg_validators_faults(uint32_t total);
uint32_t rdg_validators_quorum(uint32_t total);
uint32_t rdg_validators_majority(uint32_t total);
/* Of one validator; 0 for an index out of the set. */
uint32_t rdg_validators_weight(const rdg_validator_set_t *set, uint32_t index);
uint32_t rdg_validators_total(const rdg_validator_set_t *set);
/* INVALID: none, too many, a key twice, or a weight above its limit. */
rdg_err_t rdg_validators_check(const rdg_validator_set_t *set);
/* SM3 (tag VALIDATORS) over chain id, epoch, count, keys, weights. */
void rdg_validators_hash(const rdg_validator_set_t *set, rdg_hash_t *out);
/* Index of key, or count if it is not a member. */
uint32_t rdg_validators_find(const rdg_validator_set_t *set, const rdg_sm2_public_t *key);

typedef enum rdg_phase {
    RDG_PHASE_PRE_PREPARE = 1,
    RDG_PHASE_PREPARE = 2,
    RDG_PHASE_COMMIT = 3,      /* its certificate seals a block: the digest is the block hash */
    RDG_PHASE_CHECKPOINT = 4,  /* the digest is the executed header's; view is 0 */
    RDG_PHASE_VIEW_CHANGE = 5, /* the digest is that of the prepared certificates it brings */
    RDG_PHASE_NEW_VIEW = 6,    /* the digest is that of the view changes it rests on */
    RDG_PHASE_RAFT_LEADER = 7, /* view is the term: the leader's seal of a block */
    RDG_PHASE_SUSPECT = 8      /* binds to nothing: this validator would go to that view */
} rdg_phase_t;

typedef struct rdg_statement {
    rdg_phase_t phase;
    uint64_t epoch, view, height;
    rdg_hash_t digest;
} rdg_statement_t;

/* What is signed: SM3 (tag PBFT, or RAFT for phase 7) over chain id, epoch, phase, view, height, digest. */
void rdg_statement_hash(uint64_t chain_id, const rdg_statement_t *s, rdg_hash_t *out);

typedef struct rdg_certificate {
    rdg_statement_t statement;
    uint32_t count;
    struct {
        uint32_t index;
        rdg_sm2_signature_t signature;
    } votes[RDG_VALIDATORS_MAX];
} rdg_certificate_t;

rdg_err_t rdg_certificate_encode(const rdg_certificate_t *c, rdg_buf_t *out);
rdg_err_t rdg_certificate_decode(rdg_bytes_t encoded, rdg_certificate_t *out); /* structure only; MALFORMED */
/* Complete verification against the set, for phase/height/digest that the caller expects. */
rdg_err_t rdg_certificate_verify(const rdg_certificate_t *c, const rdg_validator_set_t *set,
                                 rdg_phase_t phase, uint64_t height, const rdg_hash_t *digest);
/* Under Raft: the seal of a block, which is one signature of one member, no more (it proves who led, not that
 * others agreed); the checkpoint of a block, which is a majority's. */
rdg_err_t rdg_certificate_verify_raft(const rdg_certificate_t *c, const rdg_validator_set_t *set,
                                      rdg_phase_t phase, uint64_t height, const rdg_hash_t *digest);

/* Either of the two, with the signatures left to the caller: check gets them when everything else is right, so
 * that those of many certificates can be verified together. Keys and signatures are those of set and c. */
typedef void (*rdg_certificate_check_t)(void *ctx, const rdg_sm2_check_t *checks, size_t count,
                                        rdg_err_t *results);
rdg_err_t rdg_certificate_verify_each(const rdg_certificate_t *c, const rdg_validator_set_t *set, bool raft,
                                      rdg_phase_t phase, uint64_t height, const rdg_hash_t *digest,
                                      rdg_certificate_check_t check, void *ctx);

#ifdef __cplusplus
}
#endif
#endif
