/* Long work of a node on the agent's behalf: the method is asked again until it says that it is done. The node knows its
 * agent by the token that it writes, at each start, beside its keys. One that is started again meanwhile is asked anew. */
#include "agent_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/client/rpc.h"
#include "ridge/codec/hex.h"
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RPC_MS 10000u
#define LOOK_FIRST_MS 20u
#define LOOK_LAST_MS 500u
#define UP_WITHIN_MS 30000u
#define UP_LOOK_MS 50
#define RUNS_MAX 3 /* of the node, should it end meanwhile: what it is asked for may be what ends it */
#define TOKEN_BYTES 32

/* The file lies where a container may write: what is in it is passed on only if it is a token. */
static rdg_err_t read_token(const rdg_agent_t *a, const char *chain, json_t **out) {
    char path[CHAIN_PATH_MAX];
    uint8_t bytes[TOKEN_BYTES];
    rdg_buf_t text;
    RDG_TRY(chain_path(a->dir, chain, "node/agent.token", path));
    rdg_buf_init(&text, 2 * TOKEN_BYTES);
    rdg_err_t err = rdg_file_read_plain(path, false, &text);
    if (err == RDG_E_NOT_FOUND)
        err = rdg_fail(RDG_E_UNAVAILABLE,
                       "the node of chain %s is of an older version, or has not started: "
                       "restart it",
                       chain);
    else if (err == RDG_OK &&
             rdg_hex_decode((const char *)text.data, text.len, bytes, sizeof bytes) != RDG_OK)
        err = rdg_fail(RDG_E_MALFORMED, "%s holds no token", path);
    if (err == RDG_OK) {
        *out = json_stringn((const char *)text.data, text.len);
        if (!*out) err = rdg_fail(RDG_E_NO_MEMORY, "no memory for a token");
    }
    if (text.data) rdg_secure_zero(text.data, text.len);
    rdg_secure_zero(bytes, sizeof bytes);
    rdg_buf_fini(&text);
    return err;
}

static rdg_err_t ask(const rdg_agent_t *a, const char *chain, const rdg_rpc_t *rpc, const char *method,
                     const json_t *params, json_t **out) {
    json_t *token = NULL, *all = json_array();
    rdg_err_t err = read_token(a, chain, &token);
    if (err != RDG_OK) {
        json_decref(all);
        return err;
    }
    json_array_append_new(all, token);
    json_array_extend(all, (json_t *)(uintptr_t)params);
    return rdg_rpc_call(rpc, method, all, out);
}

rdg_err_t node_ask(const rdg_agent_t *a, const char *chain, const rdg_rpc_t *rpc, const char *method,
                   const json_t *params, json_t **out) {
    rdg_err_t err = ask(a, chain, rpc, method, params, out);
    /* It may have started anew, with another token, after this one was read. */
    return err == RDG_E_FORBIDDEN ? ask(a, chain, rpc, method, params, out) : err;
}

static void report(executor_run_t *at, const char *step, const json_t *state) {
    uint64_t blocks = 0, total = 0;
    (void)rdg_json_opt_u64(state, "blocks", &blocks);
    (void)rdg_json_opt_u64(state, "blocks_total", &total);
    executor_progress(at, step, total ? (unsigned)(blocks * 100 / total) : 0);
}

static rdg_err_t may_go_on(const command_t *c, executor_run_t *at) {
    if (executor_stopping(at)) return rdg_fail(RDG_E_CANCELLED, "the agent is stopping");
    if (!c->deadline_ms || rdg_wall_ms(rdg_clock_system()) < c->deadline_ms) return RDG_OK;
    return rdg_fail(RDG_E_TIMEOUT, "the node was not done by the command's deadline");
}

/* node: readable when it ends. */
static rdg_err_t await_done(const rdg_agent_t *a, const command_t *c, executor_run_t *at,
                            const rdg_rpc_t *rpc, int node, const node_job_t *job, json_t **done) {
    for (unsigned wait = LOOK_FIRST_MS;; wait = wait * 2 < LOOK_LAST_MS ? wait * 2 : LOOK_LAST_MS) {
        json_t *state = NULL;
        const char *word = "";
        rdg_err_t err = node_ask(a, c->chain, rpc, job->method, job->params, &state);
        if (err != RDG_OK && err != RDG_E_BUSY) return err;
        if (err == RDG_OK) (void)rdg_json_opt_str(state, "state", &word);
        if (strcmp(word, "done") == 0) {
            *done = state;
            return RDG_OK;
        }
        report(at, job->step, state);
        json_decref(state);
        RDG_TRY(may_go_on(c, at));
        struct pollfd end = {.fd = node, .events = POLLIN};
        if (poll(&end, 1, (int)wait) > 0)
            return rdg_fail(RDG_E_UNAVAILABLE, "the node ended before it was done");
    }
}

/* Only what a node finds in itself at its start is said of one that does not run: nobody has to wait for that one. */
static bool is_damaged(const rdg_agent_t *a, const char *chain) {
    char path[CHAIN_PATH_MAX];
    return chain_path(a->dir, chain, "node/damaged", path) == RDG_OK && rdg_file_exists(path);
}

static rdg_err_t is_up(const rdg_agent_t *a, const char *chain, const rdg_rpc_t *rpc, int *node) {
    rdg_rpc_head_t head;
    RDG_TRY(workloads_watch(a->workloads, chain, node));
    rdg_err_t err = rdg_rpc_head(rpc, &head);
    if (err == RDG_OK) return RDG_OK;
    close(*node);
    return rdg_fail_in(err, "the node does not answer");
}

/* After a power cut the order can be here before the node is up, and a node that ended is soon started again.
 * *node: readable when it ends; owned. */
static rdg_err_t await_up(const rdg_agent_t *a, const command_t *c, executor_run_t *at, const rdg_rpc_t *rpc,
                          int *node) {
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + UP_WITHIN_MS;
    for (;;) {
        chain_t chain;
        rdg_err_t err = is_up(a, c->chain, rpc, node);
        if (err == RDG_OK) return RDG_OK;
        char why[RDG_ERROR_TEXT_MAX];
        snprintf(why, sizeof why, "%s", rdg_err_message(err));
        RDG_TRY(workloads_get(a->workloads, c->chain, &chain));
        if (chain.desired != CHAIN_RUNNING)
            return rdg_fail(RDG_E_CONFLICT, "the node does not run, and is not to: start the chain first");
        if (err == RDG_E_NOT_FOUND && is_damaged(a, c->chain))
            return rdg_fail(RDG_E_CONFLICT, "the node does not run, for it is damaged: recover it first");
        RDG_TRY(may_go_on(c, at));
        if (rdg_mono_ms(rdg_clock_system()) >= end) return rdg_fail(RDG_E_UNAVAILABLE, "%s", why);
        (void)poll(NULL, 0, UP_LOOK_MS);
    }
}

/* What a node that has ended since, or ends just now, has left of an answer is no word of the node. */
static bool has_gone(const rdg_rpc_t *rpc, int node, rdg_err_t err) {
    struct pollfd end = {.fd = node, .events = POLLIN};
    rdg_rpc_head_t head;
    if (poll(&end, 1, 0) > 0) return true;
    return (err == RDG_E_CLOSED || err == RDG_E_UNAVAILABLE) && rdg_rpc_head(rpc, &head) != RDG_OK;
}

static rdg_err_t by_this_run(const rdg_agent_t *a, const command_t *c, executor_run_t *at,
                             const rdg_rpc_t *rpc, const node_job_t *job, bool *gone, json_t **done) {
    char why[RDG_ERROR_TEXT_MAX];
    int node = -1;
    *gone = false;
    RDG_TRY(await_up(a, c, at, rpc, &node));
    rdg_err_t err = await_done(a, c, at, rpc, node, job, done);
    snprintf(why, sizeof why, "%s", err == RDG_OK ? "" : rdg_err_message(err));
    *gone = err != RDG_OK && err != RDG_E_CANCELLED && has_gone(rpc, node, err);
    close(node);
    return err == RDG_OK ? RDG_OK : rdg_fail(*gone ? RDG_E_UNAVAILABLE : err, "%s", why);
}

rdg_err_t node_job(const rdg_agent_t *a, const command_t *c, executor_run_t *at, const node_job_t *job,
                   json_t **done) {
    chain_t chain;
    char url[64];
    rdg_rpc_t *rpc = NULL;
    RDG_TRY(workloads_get(a->workloads, c->chain, &chain));
    agent_rpc_url(&chain, url);
    RDG_TRY(rdg_rpc_http_new(url, RPC_MS, &rpc));
    bool gone = true;
    rdg_err_t err = RDG_OK;
    for (unsigned run = 0; gone && run < RUNS_MAX; ++run) err = by_this_run(a, c, at, rpc, job, &gone, done);
    rdg_rpc_http_free(rpc);
    return err;
}
