/* chain.prune: receipts of archives for the node, which deletes by them what it may. The agent understands nothing of it;
 * carried out again after a crash, the node finds the mark where it is. */
#include "agent_internal.h"
#include "ridge/base/log.h"

rdg_err_t chain_prune(rdg_agent_t *a, const command_t *c, executor_run_t *at, json_t **result) {
    json_t *receipts = NULL, *done = NULL, *order = NULL;
    const char *certificate;
    uint64_t keep_blocks = 0, keep_ms = 0, height = 0, freed = 0;
    bool compact = true;
    RDG_TRY(rdg_json_get_array(c->params, "receipts", &receipts));
    RDG_TRY(rdg_json_get_str(c->params, "certificate", &certificate));
    RDG_TRY(rdg_json_opt_u64(c->params, "keep_blocks", &keep_blocks));
    RDG_TRY(rdg_json_opt_u64(c->params, "keep_ms", &keep_ms));
    RDG_TRY(rdg_json_opt_bool(c->params, "compact", &compact));
    order = json_pack("[{s:s, s:O, s:s, s:I, s:I, s:b}]", "id", c->id, "receipts", receipts, "certificate",
                      certificate, "keep_blocks", (json_int_t)keep_blocks, "keep_ms", (json_int_t)keep_ms,
                      "compact", (int)compact);
    if (!order) return rdg_fail(RDG_E_NO_MEMORY, "no memory for an order");
    const node_job_t job = {"node_prune", "prune", order};
    rdg_err_t err = node_job(a, c, at, &job, &done);
    json_decref(order);
    if (err == RDG_OK) err = rdg_json_get_u64(done, "pruned_height", &height);
    if (err == RDG_OK) err = rdg_json_get_u64(done, "freed_bytes", &freed);
    if (err != RDG_OK) {
        json_decref(done);
        return rdg_fail_in(err, "chain %s", c->chain);
    }
    json_object_del(done, "state");
    rdg_log(RDG_LOG_INFO, "chain.pruned", RDG_STR("chain", c->chain), RDG_U64("height", height),
            RDG_U64("bytes", freed));
    *result = done;
    return RDG_OK;
}
