/* Genesis: what makes a chain this chain. A JSON file that the cloud composes and every node keeps.
 *
 * { "version": 1, "name": "feeder-7", "chain_id": 7312…, "time_ms": …, "consensus": "pbft",
 *   "validators": [ { "name": "dev-1", "key": "<128 hex>" }, … ],
 *   "admins": [ "0x<address>", … ],
 *   "params": { "block_interval_ms": 100, "empty_block_ms": 0, "block_gas_limit": 1000000000, "tx_gas_limit":
 * 30000000, "block_tx_max": 2000, "evm_revision": "cancun", "view_timeout_ms": 2000, "rotate_every": 0 },
 *   "alloc": { "0x<address>": "<decimal balance>" } }
 *
 * A validator may have a "weight" (1 when it is missing).
 *
 * The genesis hash is SM3 (tag GENESIS) of the canonical RLP of these values, so white space and key order of
 * the file do not matter; it is the parent hash of block 1 and height 0's block hash. An unknown field is
 * refused, because the hash would not cover it. admins, params (each one) and alloc may be missing.
 * empty_block_ms 0: no empty blocks. block_gas_limit bounds the sum of the gas limits of a block's
 * transactions.
 *
 * "successions": [ "0x<act>", … ] may stand beside these, by ascending height: acts by which administrators have replaced
 * validators who were all lost (succession.h). They are verified with the file and are no part of the hash: which of them
 * a reader accepts is decided by the file that it was given. */
#ifndef RIDGE_LEDGER_GENESIS_H
#define RIDGE_LEDGER_GENESIS_H
#include "ridge/base/buf.h"
#include "ridge/consensus/validators.h"
#include "ridge/evm/evm.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_GENESIS_ADMINS_MAX 16
#define RDG_GENESIS_ALLOC_MAX 256
#define RDG_GENESIS_BYTES_MAX (256u << 10) /* without successions */
#define RDG_SUCCESSIONS_MAX 4
#define RDG_GENESIS_EXTENDED_MAX (3u << 20) /* with them */
#define RDG_NAME_MAX 64
#define RDG_VIEW_TIMEOUT_MS 2000 /* by default */

typedef struct rdg_chain_params {
    uint64_t block_interval_ms, empty_block_ms, block_gas_limit, tx_gas_limit, block_tx_max;
    rdg_evm_revision_t revision;
    uint64_t view_timeout_ms; /* a block that takes longer is its leader's fault */
    uint64_t rotate_every;    /* blocks after which the leader changes without a fault; 0: never */
} rdg_chain_params_t;

/* Of the parameter with that name in a genesis or in governance. *slot points into p. NOT_FOUND. */
rdg_err_t rdg_chain_param(rdg_chain_params_t *p, const char *name, uint64_t **slot);
/* INVALID names the first parameter that is out of its bounds. */
rdg_err_t rdg_chain_params_check(const rdg_chain_params_t *p);

typedef struct rdg_epoch {
    uint64_t first_height;          /* 1 for the first */
    uint64_t last_height;           /* 0 while no other is scheduled */
    rdg_validator_set_t validators; /* with chain id and number of the epoch */
    char names[RDG_VALIDATORS_MAX][RDG_NAME_MAX + 1];
    uint64_t view_timeout_ms, rotate_every; /* parameters of consensus: the same for a whole epoch */
} rdg_epoch_t;

/* What an act says that has been verified. */
typedef struct rdg_succession {
    uint64_t height;                             /* the last block of the validators before */
    rdg_hash_t block, executed;                  /* its hash; digest of its executed header */
    rdg_hash_t former_digest, epoch_digest, act; /* digests: of the epochs before and after; what is signed */
    rdg_epoch_t epoch;                           /* from the next height on */
} rdg_succession_t;

typedef struct rdg_genesis {
    char name[RDG_NAME_MAX + 1];
    char consensus[16]; /* "pbft" or "raft" */
    uint64_t time_ms;
    rdg_validator_set_t validators; /* holds the chain id; epoch 0 */
    char validator_names[RDG_VALIDATORS_MAX][RDG_NAME_MAX + 1];
    uint32_t admin_count;
    rdg_address_t admins[RDG_GENESIS_ADMINS_MAX];
    rdg_chain_params_t params;
    uint32_t alloc_count;
    struct {
        rdg_address_t address;
        rdg_word_t balance;
    } alloc[RDG_GENESIS_ALLOC_MAX];
    rdg_hash_t hash; /* set by parse */
    uint32_t succession_count;
    rdg_succession_t successions[RDG_SUCCESSIONS_MAX]; /* no part of the hash, nor of what is formatted */
} rdg_genesis_t;

/* The act behind that last block; by which that epoch began. NULL: none. */
const rdg_succession_t *rdg_genesis_succession_at(const rdg_genesis_t *g, uint64_t height);
const rdg_succession_t *rdg_genesis_succession_of(const rdg_genesis_t *g, uint64_t epoch);

/* Blocks are sealed by their leader alone, checkpoints by a majority (docs/raft.md); else by quorums. */
bool rdg_genesis_is_raft(const rdg_genesis_t *g);

void rdg_chain_params_default(rdg_chain_params_t *p);
/* INVALID or MALFORMED name the field. Missing params take their defaults. */
rdg_err_t rdg_genesis_parse(rdg_bytes_t json, rdg_genesis_t *out);
rdg_err_t rdg_genesis_load(const char *path, rdg_genesis_t *out);
/* The JSON form of g (hash is recomputed). */
rdg_err_t rdg_genesis_format(rdg_genesis_t *g, rdg_buf_t *out);

#ifdef __cplusplus
}
#endif
#endif
