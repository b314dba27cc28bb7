/* Long work of a node on the agent's behalf: the method is asked again until it says that it is done. The node knows its
 * agent by the token that it writes, at each start, beside its keys. */
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
#define TOKEN_BYTES 32

/* The file lies where a container may write: what is in it is passed on only if it is a token. */
static rdg_err_t read_token(const rdg_agent_t *a, const char *chain, json_t **out) {
    char path[CHAIN_PATH_MAX];
    uint8_t bytes[TOKEN_BYTES];
    rdg_buf_t text;
    RDG_TRY(chain_path(a->dir, chain, "node/agent.token", path));
    rdg_buf_init(&text, 2 * TOKEN_BYTES);
    rdg_err_t err = rdg_file_read(path, &text);
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

static bool expired(const command_t *c) {
    return c->deadline_ms && rdg_wall_ms(rdg_clock_system()) >= c->deadline_ms;
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
        if (executor_stopping(at)) return rdg_fail(RDG_E_CANCELLED, "the agent is stopping");
        if (expired(c)) return rdg_fail(RDG_E_TIMEOUT, "the node was not done by the command's deadline");
        struct pollfd end = {.fd = node, .events = POLLIN};
        if (poll(&end, 1, (int)wait) > 0)
            return rdg_fail(RDG_E_UNAVAILABLE, "the node ended before it was done");
    }
}

rdg_err_t node_job(const rdg_agent_t *a, const command_t *c, executor_run_t *at, const node_job_t *job,
                   json_t **done) {
    chain_t chain;
    char url[64];
    int node = -1;
    rdg_rpc_t *rpc = NULL;
    RDG_TRY(workloads_get(a->workloads, c->chain, &chain));
    agent_rpc_url(&chain, url);
    RDG_TRY(workloads_watch(a->workloads, c->chain, &node));
    rdg_err_t err = rdg_rpc_http_new(url, RPC_MS, &rpc);
    if (err == RDG_OK) err = await_done(a, c, at, rpc, node, job, done);
    if (rpc) rdg_rpc_http_free(rpc);
    close(node);
    return err;
}
