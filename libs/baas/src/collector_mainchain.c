/* The main chain as the collector's anchorer. */
#include "collector.h"
#include "ridge/baas/mainchain.h"

#define ANCHOR_WAIT_MS 2000

static rdg_err_t anchor(void *baas, const rdg_collector_claim_t *claim, rdg_collector_anchored_t *out) {
    rdg_baas_archive_t archive = {.chain_id = claim->chain_id,
                                  .from = claim->from,
                                  .to = claim->to,
                                  .mark_ms = claim->mark_ms,
                                  .manifest = claim->manifest,
                                  .content = claim->content};
    rdg_baas_anchor_t got;
    rdg_err_t err = rdg_baas_mainchain_anchor(baas, &archive, ANCHOR_WAIT_MS, &got);
    /* The genesis of a young chain is recorded soon. */
    if (err == RDG_E_NOT_FOUND)
        return rdg_fail(RDG_E_UNAVAILABLE, "the main chain does not know the chain yet");
    RDG_TRY(err);
    if (got.state == RDG_BAAS_ANCHOR_REFUSED)
        return rdg_fail(got.never ? RDG_E_CONFLICT : RDG_E_FORBIDDEN, "the main chain refuses it: %s",
                        got.error);
    if (got.state != RDG_BAAS_ANCHOR_WRITTEN)
        return rdg_fail(RDG_E_UNAVAILABLE, "the main chain has not taken it yet");
    *out = (rdg_collector_anchored_t){got.height, got.tx};
    return RDG_OK;
}

static rdg_err_t receipted(void *baas, const rdg_collector_claim_t *claim, rdg_bytes_t receipt) {
    return rdg_baas_mainchain_receipt(baas, claim->chain_id, &claim->manifest, receipt);
}

void rdg_baas_anchor_on_mainchain(rdg_baas_t *b) {
    rdg_baas_set_anchorer(b, &(rdg_collector_anchorer_t){anchor, receipted, b});
}
