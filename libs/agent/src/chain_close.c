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
#define ANSWER_MS 60000u

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

/* What it holds is of no use to anybody, or nothing: neither a ledger whose node has said that it is damaged nor one that is
 * not there has a block of its own to give. */
static rdg_err_t has_nothing(const rdg_agent_t *a, const char *chain, bool *out) {
    char data[CHAIN_PATH_MAX], damaged[CHAIN_PATH_MAX];
    RDG_TRY(chain_path(a->dir, chain, "node/data", data));
    RDG_TRY(chain_path(a->dir, chain, "node/damaged", damaged));
    *out = !rdg_file_exists(data) || rdg_file_exists(damaged);
    return RDG_OK;
}

/* After a power cut the order can be here before the node is up. */
static rdg_err_t await_height(rdg_agent_t *a, const char *chain, executor_run_t *at, uint64_t *height) {
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + ANSWER_MS;
    bool nothing = false, answered = false;
    *height = 0;
    while (!answered) {
        json_t *status = NULL;
        RDG_TRY(has_nothing(a, chain, &nothing));
        if (nothing) return RDG_OK;
        rdg_err_t err = ask_status(a, chain, &status);
        if (err == RDG_OK) err = rdg_json_get_u64(status, "height", height);
        json_decref(status);
        answered = err == RDG_OK;
        if (answered) break;
        if (executor_stopping(at)) return rdg_fail(RDG_E_CANCELLED, "the agent stops");
        if (rdg_mono_ms(rdg_clock_system()) >= end)
            return rdg_fail(
                RDG_E_UNAVAILABLE,
                "the node of chain %s does not answer, so nobody knows what its ledger holds beyond "
                "the archives: recover it, or discard it by its name",
                chain);
        (void)poll(NULL, 0, LOOK_MS);
    }
    return RDG_OK;
}

rdg_err_t agent_check_archived(rdg_agent_t *a, const char *chain, executor_run_t *at, uint64_t height) {
    chain_t c;
    uint64_t there = 0;
    /* A removal that was cut short has asked before it began. */
    if (workloads_get(a->workloads, chain, &c) != RDG_OK || c.desired == CHAIN_REMOVED) return RDG_OK;
    executor_progress(at, "compare", 0);
    RDG_TRY(await_height(a, chain, at, &there));
    if (there <= height) return RDG_OK;
    return rdg_fail(RDG_E_CONFLICT,
                    "the node of chain %s has %llu blocks, and archives reach to %llu: archive the rest "
                    "first, which the order to destroy it does when given again",
                    chain, (unsigned long long)there, (unsigned long long)height);
}
