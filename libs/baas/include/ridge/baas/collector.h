/* The collector: takes archives of chains from devices, proves them, has them anchored, and says so in a signed receipt.
 *
 *   ordered ──device exported──► exported ──file here──► fetched, proven ──► verified ──anchored──► archived
 *      │ each device in turn         │                        │                               (receipt signed)
 *      ▼                             ▼                        ▼
 *    failed                       failed                   refused: names device and reason, and asks the next one
 *                                                          duplicate: the chain and range has one already
 *                                                                     (verified ──never anchored──► refused)
 *
 * An archive is ordered of one device (command chain.archive), uploaded by its agent to the platform's collection, read
 * back from there, and verified against the genesis that this service composed: every transaction id and signature,
 * transaction root, receipt root, quorum seal and checkpoint certificate (ridge/ledger/archive.h). Only then is it
 * recorded. What an anchorer does with it, and where, the collector does not know.
 *
 * Invariants
 * 1. `verified` and `archived` are of a file that was read back from the platform's store, whole, and proven.
 * 2. One archive a chain and range: another with the same content is a duplicate. Files of duplicates and of what is
 * refused are removed.
 * 3. A receipt is signed after the anchorer has said where, never before; it is stored before anybody sees it, and
 *    verifies by rdg_archive_receipt_verify with the collector's key (<data>/keys/collector.key, 0600).
 * 4. The receipts of an archived chain go to each of its devices, with a certificate of the key that signed them, until
 *    the device's mark is where they end; a device has one such command at a time (collector_prune.h).
 * 5. While a chain's rebuild on other devices stands at `anchor`, an archive of blocks behind it stays `exported`; after it,
 *    it is proven against the validators that the chain has by then.
 * 6. Each step is stored before the next begins, and may be repeated: after a crash the collector goes on where it was.
 *
 * Limits: RDG_COLLECTOR_OPEN_MAX orders that have not ended; one archive is proven at a time, on a thread of its own;
 * the disk holds one file more meanwhile. */
#ifndef RIDGE_BAAS_COLLECTOR_H
#define RIDGE_BAAS_COLLECTOR_H
#include "ridge/baas/baas.h"
#include "ridge/crypto/hash.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_COLLECTOR_OPEN_MAX 1000

/* What is anchored of an archive: enough for who has the main chain to check the file. */
typedef struct rdg_collector_claim {
    uint64_t chain_id;
    rdg_hash_t genesis;
    uint64_t from, to, mark_ms; /* heights, inclusive; time of block to */
    rdg_hash_t manifest, content;
} rdg_collector_claim_t;

typedef struct rdg_collector_anchored {
    uint64_t height; /* of the main chain's block that holds it */
    rdg_hash_t tx;
} rdg_collector_anchored_t;

/* Both are called on the collector's thread, and again for the same claim after a crash: they must bear that. */
typedef struct rdg_collector_anchorer {
    /* RDG_OK: a final block holds the claim; *out tells which. UNAVAILABLE, TIMEOUT, BUSY, FULL: not yet; it is asked
     * again. CONFLICT: never; the archive ends as `refused`, and its file goes: nothing was deleted by it. Anything else:
     * refused for now, with the text as the reason; the archive stays `verified`, and is asked for again after a minute.
     * May wait some seconds. */
    rdg_err_t (*anchor)(void *ctx, const rdg_collector_claim_t *claim, rdg_collector_anchored_t *out);
    /* The receipt of an anchored claim has been stored. RDG_OK, or it is told again. May be NULL. */
    rdg_err_t (*receipted)(void *ctx, const rdg_collector_claim_t *claim, rdg_bytes_t receipt);
    void *ctx;
} rdg_collector_anchorer_t;

/* Before rdg_baas_start. Copies; NULL: none, and archives stay `verified`, which no node prunes by. */
void rdg_baas_set_anchorer(rdg_baas_t *b, const rdg_collector_anchorer_t *anchorer);
/* The main chain of ridge/baas/mainchain.h as anchorer; after rdg_baas_mainchain_open. */
void rdg_baas_anchor_on_mainchain(rdg_baas_t *b);

#ifdef __cplusplus
}
#endif
#endif
