/* The main chain: what the cloud writes there of its edge chains, and the anchoring of archives.
 *
 * Whoever composes the cloud runs the nodes (apps/cloud) and gives their addresses here; the service creates the registry
 * (contracts/ArchiveRegistry.sol, ridge/client/anchors.h) and is its only writer. Everything to be written is an intent:
 * stored before it is sent, sent in order, sent again after any crash, and written once, because its transaction is stored
 * too and because the registry takes no entry twice. By itself the service writes geneses, changes of validators,
 * checkpoints at an interval, recoveries and destructions.
 *
 * Invariants
 * 1. A caller that got RDG_OK from anchor or receipt need not repeat it: the intent is durable.
 * 2. WRITTEN means that a block of the main chain holds the entry; the block is final.
 * 3. What the registry refuses stays REFUSED with its reason. An archive that it refused and that by now follows the last one
 *    there is told again by the next anchor, as an intent of its own; one whose blocks it has, or whose chain is destroyed,
 *    never is.
 * 4. While a chain goes on on other devices behind block H (its rebuild stands at `anchor`), no archive of blocks above H is
 *    told: those who signed them are not its validators any more once the main chain has the change.
 *
 * Limits: RDG_BAAS_INTENTS_MAX intents that wait. Threads: open before rdg_baas_start; the rest from any thread. */
#ifndef RIDGE_BAAS_MAINCHAIN_H
#define RIDGE_BAAS_MAINCHAIN_H
#include "ridge/baas/baas.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_BAAS_INTENTS_MAX 10000
#define RDG_BAAS_URL_MAX 256

typedef struct rdg_baas_mainchain_options {
    const char *genesis;  /* text of its genesis.json; copied */
    const char *key_file; /* of the genesis's first administrator */
    /* Where node i answers JSON-RPC, and one word on how it is; false: there is none. Any thread. */
    bool (*node)(void *ctx, size_t i, char url[RDG_BAAS_URL_MAX], char state[32]);
    void *ctx;
    bool embedded;          /* the nodes are the cloud's own child processes */
    uint64_t checkpoint_ms; /* how often the head of each edge chain is recorded; 0: ten minutes */
} rdg_baas_mainchain_options_t;

/* Starts to write what waits. CONFLICT: the key is not the genesis's. Without it the cloud has no main chain, and what follows is UNSUPPORTED. */
rdg_err_t rdg_baas_mainchain_open(rdg_baas_t *b, const rdg_baas_mainchain_options_t *options);

/* Stores the intent to record a chain, unless it has one: what follows is of recorded chains only. */
rdg_err_t rdg_baas_mainchain_genesis(rdg_baas_t *b, uint64_t chain_id, const char *name,
                                     const rdg_hash_t *digest);

typedef struct rdg_baas_archive {
    uint64_t chain_id, from, to, mark_ms; /* of the edge chain; heights inclusive */
    rdg_hash_t manifest, content;
} rdg_baas_archive_t;

typedef enum rdg_baas_anchor_state {
    RDG_BAAS_ANCHOR_PENDING,
    RDG_BAAS_ANCHOR_WRITTEN,
    RDG_BAAS_ANCHOR_REFUSED
} rdg_baas_anchor_state_t;

typedef struct rdg_baas_anchor {
    rdg_baas_anchor_state_t state;
    uint64_t index, height; /* of the entry among the chain's; of the main chain's block. When WRITTEN */
    rdg_hash_t tx;          /* transaction there. When WRITTEN */
    bool never;             /* When REFUSED: it will not be taken, whatever comes */
    char error[RDG_ERROR_TEXT_MAX]; /* when REFUSED */
} rdg_baas_anchor_t;

/* Stores the intent to anchor, if chain and manifest have none yet, waits up to wait_ms (0: not at all) for its end, and
 * tells the state. NOT_FOUND: no such chain. CONFLICT: the manifest was given with another range, mark or content.
 * UNAVAILABLE: invariant 4. FULL. */
rdg_err_t rdg_baas_mainchain_anchor(rdg_baas_t *b, const rdg_baas_archive_t *archive, uint64_t wait_ms,
                                    rdg_baas_anchor_t *out);
/* Stores the intent to record that a collector has signed a receipt of an anchored archive. */
rdg_err_t rdg_baas_mainchain_receipt(rdg_baas_t *b, uint64_t chain_id, const rdg_hash_t *manifest,
                                     rdg_bytes_t signed_receipt);
/* The proof of an anchored archive (ridge/client/anchors.h), verified before it is given; appended. NOT_FOUND: not
 * anchored; UNAVAILABLE: no node of the main chain answers. */
rdg_err_t rdg_baas_mainchain_proof(rdg_baas_t *b, uint64_t chain_id, const rdg_hash_t *manifest,
                                   rdg_buf_t *out);
/* Stores the intent to record that a device's ledger was rebuilt for these heights. reference: of that recovery. */
rdg_err_t rdg_baas_mainchain_recovery(rdg_baas_t *b, uint64_t chain_id, const char *device, uint64_t from,
                                      uint64_t to, const rdg_hash_t *reference);
/* Stores the intent to record a destruction; unless discarded, the registry refuses it while less than height is
 * archived. */
rdg_err_t rdg_baas_mainchain_destroyed(rdg_baas_t *b, uint64_t chain_id, uint64_t height, bool discarded);

#ifdef __cplusplus
}
#endif
#endif
