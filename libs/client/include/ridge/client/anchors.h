/* What the main chain keeps of edge chains, and how that is proven to who has the main chain's genesis only.
 *
 * The contract is contracts/ArchiveRegistry.sol, which describes entries, their digests and the storage slots; it is
 * compiled in here. It is created by the first administrator of the main chain's genesis with nonce 0, so its address
 * follows from the genesis, and a proof shows that the code there is this one.
 *
 * A proof, RLP:
 *   [ 1, chain, index, kind, block, time_s, previous(32), data, state evidence, [ epoch evidence, … ] ]
 * where state evidence (ridge/ledger/evidence.h) speaks of the registry's account, of the slot with the entry's digest and
 * of the four slots with what the registry knew of the chain then. Epochs are those since the genesis, in order. A proof
 * may be kept for ever: entries never change.
 *
 * What verification establishes: the main chain's validators signed a state in which the registry's code stands at the
 * registry's address and holds the digest of just this entry. It needs no network and no clock, and trusts nobody but
 * the genesis it is given.
 *
 * Limits: a proof of RDG_ANCHOR_PROOF_MAX, data of RDG_ANCHOR_DATA_MAX, RDG_ANCHOR_EPOCHS_MAX changes of validators.
 * Errors: MALFORMED, TOO_LARGE, and those of evidence.h; INVALID: well-formed, and proves nothing. Pure functions but
 * rdg_anchor_proof_fetch. */
#ifndef RIDGE_CLIENT_ANCHORS_H
#define RIDGE_CLIENT_ANCHORS_H
#include "ridge/client/rpc.h"
#include "ridge/ledger/evidence.h"
#include "ridge/ledger/succession.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_ANCHOR_PROOF_MAX (1u << 20)
#define RDG_ANCHOR_DATA_MAX 1024
#define RDG_ANCHOR_EPOCHS_MAX 256

typedef enum rdg_anchor_kind {
    RDG_ANCHOR_GENESIS = 1, /* values, in the order of the contract's parameters: digest, name */
    RDG_ANCHOR_VALIDATORS,  /* epoch, first_height, digest */
    RDG_ANCHOR_CHECKPOINT,  /* height, block, executed, certificate */
    RDG_ANCHOR_ARCHIVE,     /* from, to, mark_ms, manifest, content */
    RDG_ANCHOR_RECEIPT,     /* manifest, digest */
    RDG_ANCHOR_RECOVERY,    /* device, from, to, reference */
    RDG_ANCHOR_DESTRUCTION, /* height, discarded */
} rdg_anchor_kind_t;

/* "genesis", …; NULL for a number that is none. */
const char *rdg_anchor_kind_name(unsigned kind);

typedef struct rdg_anchor_entry {
    uint64_t chain, index; /* chain id of the edge chain; from 0 */
    rdg_anchor_kind_t kind;
    uint64_t block, time_s; /* of the main chain */
    uint8_t previous[32];
    rdg_bytes_t data; /* borrowed */
} rdg_anchor_entry_t;

void rdg_anchor_digest(const rdg_anchor_entry_t *e, uint8_t out[32]);
/* The call that writes an entry, appended; values: a JSON array. INVALID names a value that does not fit. */
rdg_err_t rdg_anchor_encode_call(rdg_anchor_kind_t kind, uint64_t chain, const json_t *values,
                                 rdg_buf_t *out);
/* The data of an entry alone, appended. */
rdg_err_t rdg_anchor_encode_data(rdg_anchor_kind_t kind, const json_t *values, rdg_buf_t *out);
/* Data as an object with the names above. Returns owned. */
rdg_err_t rdg_anchor_decode_data(rdg_anchor_kind_t kind, rdg_bytes_t data, json_t **out);
/* The event Entry as JSON-RPC gives it. data holds what out->data views. NOT_FOUND: another event. */
rdg_err_t rdg_anchor_read_log(const json_t *log, rdg_buf_t *data, rdg_anchor_entry_t *out);
/* The first topic of that event. */
void rdg_anchor_topic(uint8_t out[32]);

/* INVALID: a genesis without administrators has no registry. */
rdg_err_t rdg_anchor_address(const rdg_genesis_t *main_chain, rdg_address_t *out);
/* Creates the contract; appended. */
rdg_err_t rdg_anchor_init_code(rdg_buf_t *out);
void rdg_anchor_code_hash(uint8_t out[32]); /* Keccak-256 of the code that then stands at the address */

/* What the registry knows of a chain. */
typedef struct rdg_anchor_chain {
    uint64_t entries, archived_to, mark_ms, checkpoint, epoch;
    bool destroyed;
    uint8_t genesis[32], head[32];
} rdg_anchor_chain_t;

/* Asks a node of the main chain for the evidence of this entry; appended to out, not yet verified. UNAVAILABLE: the newest
 * block is not certified yet. */
rdg_err_t rdg_anchor_proof_fetch(const rdg_rpc_t *rpc, const rdg_address_t *registry,
                                 const rdg_anchor_entry_t *e, rdg_buf_t *out);

typedef struct rdg_anchor_proof {
    rdg_anchor_entry_t entry; /* data views the proof */
    rdg_anchor_chain_t chain; /* as it was at this height of the main chain: */
    uint64_t height, epoch;   /* epoch: of the main chain's validators who signed it */
} rdg_anchor_proof_t;
rdg_err_t rdg_anchor_proof_verify(const rdg_genesis_t *main_chain, rdg_bytes_t proof,
                                  rdg_anchor_proof_t *out);

/* Acts of administrators (ridge/ledger/succession.h) against a proof that was verified; that enough have signed, an act says
 * by itself.
 *
 * For who is to sign: it follows the last block that the main chain has an archive of, not an older one at which fewer or
 * others were enough, and begins an epoch that the main chain does not have. p: of the chain's newest archive.
 * WRONG_CHAIN, CONFLICT. */
rdg_err_t rdg_anchor_check_act(const rdg_anchor_proof_t *p, const rdg_succession_report_t *act);
/* For who is given one beside a genesis: the entry is the change of validators that it makes. WRONG_CHAIN, CONFLICT. */
rdg_err_t rdg_anchor_check_extended(const rdg_anchor_proof_t *p, const rdg_genesis_t *extended);

#ifdef __cplusplus
}
#endif
#endif
