/* Succession: new validators for a chain whose validators are all lost, by an act of its administrators.
 *
 * A validator set follows another because the one before has agreed (governance.h). When nobody is left to agree, k of the
 * n administrators whom the chain's own state names at its last saved block H may say who goes on: k is the threshold that
 * stands in that state. The act names exactly one way on, and it counts for those only who were given it: it stands beside
 * the genesis (genesis.h, "successions"), is no part of its hash, and is opted into by taking the extended file. Who has
 * the genesis alone refuses block H + 1. That is meant: administrators who could continue the chain for everybody by
 * signatures alone could also write a second history from any height. Which act is the one is told by the main chain,
 * whose entry `validators` (epoch, first height, digest) it makes once for each number.
 *
 * RLP, whole:
 *   [ act, executed, [proof, …], [[key(64), signature(64)], …] ]
 *   act = [ 1, chain id, genesis(32), H, block(32), digest of executed(32), epoch ]
 * executed is block H's executed header (block.h), epoch the record of the epoch after (governance.h) with first height
 * H + 1; proofs (proof.h) are of the slots 0, 1, … of governance under the state root in executed, as many as it has; keys
 * ascend. A signature is over SM3 (tag SUCCESSION) of act. Without signatures it is a request.
 *
 * What verification establishes: chain and genesis are these; executed is of block H and has the digest that the act
 * names; the proofs give the governance behind H; no other change is pending there; the epoch is the next in number, has
 * the consensus parameters of the one before, and none of its validators is an observer; every signer is an
 * administrator, none signs twice, and at least threshold do. That block H is the chain's own is established by whoever
 * holds the blocks or the lineage: the ledger, an archive, a trust compare block, executed digest and former epoch with
 * what quorums have signed.
 *
 * Limits: RDG_SUCCESSION_BYTES_MAX, RDG_SUCCESSIONS_MAX for a chain, RDG_GENESIS_ADMINS_MAX signatures.
 * Errors: MALFORMED, TOO_LARGE, WRONG_CHAIN, INVALID (names what does not agree), CONFLICT (a change is pending),
 * FORBIDDEN (a signer is no administrator; too few of them), BAD_SIGNATURE, NO_MEMORY. Pure functions, any thread. */
#ifndef RIDGE_LEDGER_SUCCESSION_H
#define RIDGE_LEDGER_SUCCESSION_H
#include "ridge/codec/json.h"
#include "ridge/ledger/ledger.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_SUCCESSION_BYTES_MAX (256u << 10)

typedef struct rdg_succession_member {
    const char *name;
    rdg_sm2_public_t key;
    uint32_t weight; /* 0: 1 */
} rdg_succession_member_t;

/* A request that these follow behind the ledger's head, whose checkpoint certificate the ledger has (else UNAVAILABLE).
 * Appends. */
rdg_err_t rdg_succession_request(rdg_ledger_t *l, const rdg_succession_member_t *members, uint32_t count,
                                 rdg_buf_t *out);

typedef struct rdg_succession_report {
    uint64_t chain_id;
    rdg_hash_t genesis;
    rdg_succession_t succession;
    uint32_t threshold, admin_count, signer_count;
    rdg_address_t admins[RDG_GENESIS_ADMINS_MAX], signers[RDG_GENESIS_ADMINS_MAX];
} rdg_succession_report_t;

/* All of it but the number of signatures. genesis NULL: an act of any chain; the caller compares which. */
rdg_err_t rdg_succession_check(rdg_bytes_t act, const rdg_genesis_t *genesis, rdg_succession_report_t *out);
bool rdg_succession_is_admin(const rdg_succession_report_t *r, const rdg_address_t *account);
bool rdg_succession_has_signed(const rdg_succession_report_t *r, const rdg_address_t *account);
/* What it says, for who is to sign it: {"chain_id", "genesis", "height", "block", "executed", "epoch", "first_height",
 * "epoch_digest", "view_timeout_ms", "rotate_every", "validators": [{"name", "key", "weight"}], "digest" (which is signed),
 * "threshold", "administrators": [address], "signed": [address]}. Returns owned; NULL: no memory. */
json_t *rdg_succession_json(const rdg_succession_report_t *r);
/* All of it. */
rdg_err_t rdg_succession_verify(rdg_bytes_t act, const rdg_genesis_t *genesis, rdg_succession_t *out);

/* The same with one more signature. Appends. DUPLICATE: that key has signed. */
rdg_err_t rdg_succession_add(rdg_bytes_t act, const rdg_sm2_public_t *key,
                             const rdg_sm2_signature_t *signature, rdg_buf_t *out);
rdg_err_t rdg_succession_sign(rdg_bytes_t act, const rdg_sm2_key_t *key, rdg_buf_t *out);
/* What is signed. */
rdg_err_t rdg_succession_digest(rdg_bytes_t act, rdg_hash_t *out);

/* The genesis with the act behind those that it has: verified, and as JSON. Appends. */
rdg_err_t rdg_genesis_extend(rdg_bytes_t genesis_json, rdg_bytes_t act, rdg_buf_t *out);

#ifdef __cplusplus
}
#endif
#endif
