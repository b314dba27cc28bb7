/* chain.close: this device gives the chain nothing more, before it is archived and destroyed. Readings are kept in the intake,
 * unbound; the node takes no transactions, from here or from peers, as long as <node>/closed is there. */
#include "agent_internal.h"
#include "ridge/base/file.h"
#include "ridge/client/rpc.h"
#include <poll.h>
#include <string.h>

#define LOOK_MS 50
#define ASK_MS 2000
#define AWAIT_MS 30000u

static rdg_err_t ask_status(rdg_agent_t *a, const char *chain, json_t **out) {
    chain_t c;
    char url[64];
    rdg_rpc_t *rpc = NULL;
    *out = NULL;
    RDG_TRY(workloads_get(a->workloads, chain, &c));
    agent_rpc_url(&c, url);
    RDG_TRY(rdg_rpc_http_new(url, ASK_MS, &rpc));
    rdg_err_t err = rdg_rpc_call(rpc, "ridge_status", json_array(), out);
    rdg_rpc_http_free(rpc);
    return err;
}

/* A node that does not run reads the mark when it starts. */
static void await_closed(rdg_agent_t *a, const command_t *c, executor_run_t *at) {
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + AWAIT_MS;
    bool closed = false;
    while (!closed && !executor_stopping(at) && rdg_mono_ms(rdg_clock_system()) < end) {
        json_t *status = NULL;
        closed =
            ask_status(a, c->chain, &status) != RDG_OK || json_is_true(json_object_get(status, "closed"));
        json_decref(status);
        if (!closed) (void)poll(NULL, 0, LOOK_MS);
    }
}

rdg_err_t agent_close_chain(rdg_agent_t *a, const command_t *c, executor_run_t *at, json_t **result) {
    char path[CHAIN_PATH_MAX];
    chain_t chain;
    RDG_TRY(workloads_get(a->workloads, c->chain, &chain));
    executor_progress(at, "intake", 0);
    RDG_TRY(intake_unbind(a->intake, c->chain));
    RDG_TRY(chain_path(a->dir, c->chain, "node/closed", path));
    RDG_TRY(rdg_file_replace(path, rdg_bytes_str("1\n"), 0644));
    await_closed(a, c, at);
    *result = json_object();
    return *result ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for the result");
}

rdg_err_t agent_check_archived(rdg_agent_t *a, const char *chain, uint64_t height) {
    json_t *status = NULL;
    uint64_t there = 0;
    if (ask_status(a, chain, &status) == RDG_OK) (void)rdg_json_opt_u64(status, "height", &there);
    json_decref(status);
    if (there <= height) return RDG_OK;
    return rdg_fail(
        RDG_E_CONFLICT,
        "the node of chain %s has %llu blocks, and archives reach to %llu: archive the rest first", chain,
        (unsigned long long)there, (unsigned long long)height);
}
