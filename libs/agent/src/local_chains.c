/* GET /v1/chains, POST /v1/chains/CHAIN/rpc, GET /v1/chains/CHAIN/events: chains for programs on this device. */
#include "agent_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/config.h"
#include "ridge/base/file.h"
#include "ridge/client/rpc.h"
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RPC_TIMEOUT_MS 10000u
#define EVENTS_BLOCKS_MAX 1000u
#define EVENTS_WAIT_MAX_MS 10000u
#define EVENTS_LOOK_MS 100u

static const char *health_name(const workload_view_t *v) {
    if (v->status.state != RDG_CONTAINER_RUNNING)
        return v->chain.desired == CHAIN_RUNNING ? "down" : "stopped";
    return v->health == WORKLOAD_HEALTHY ? "ok" : v->health == WORKLOAD_UNHEALTHY ? "failing" : "unknown";
}

static void list_chains(rdg_agent_t *a, rdg_http_response_t *res) {
    workload_view_t *views = rdg_calloc(WORKLOADS_MAX, sizeof *views);
    json_t *list = json_array();
    size_t n = views ? workloads_list(a->workloads, views, WORKLOADS_MAX) : 0;
    for (size_t i = 0; i < n; ++i) {
        char url[64], ws[64];
        agent_rpc_url(&views[i].chain, url);
        snprintf(ws, sizeof ws, "ws://127.0.0.1:%u/", (unsigned)views[i].chain.rpc_port);
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:i, s:I}", "chain", views[i].chain.name,
                                              "health", health_name(&views[i]), "rpc_url", url, "ws_url", ws,
                                              "restarts", (int)views[i].restarts, "rss_kib",
                                              (json_int_t)views[i].status.rss_kib));
    }
    rdg_free(views);
    local_answer_json(res, 200, list);
}

static rdg_err_t call_node(const chain_t *chain, const char *method, const json_t *params, json_t **answer) {
    char url[64];
    rdg_http_client_t *http = NULL;
    agent_rpc_url(chain, url);
    RDG_TRY(rdg_http_client_new(&http));
    rdg_err_t err = requests_ask_node(http, url, method, params, RPC_TIMEOUT_MS, answer);
    rdg_http_client_free(http);
    return err;
}

static rdg_err_t relay(const chain_t *chain, rdg_bytes_t body, json_t **answer) {
    json_t *call = NULL, *none = NULL, *params;
    const char *method = NULL;
    RDG_TRY(rdg_json_parse(body, &call));
    rdg_err_t err = json_is_object(call) ? rdg_json_get_str(call, "method", &method)
                                         : rdg_fail(RDG_E_INVALID, "one JSON-RPC call is wanted, an object");
    if (err == RDG_OK && !requests_method_allowed(method))
        err = rdg_fail(
            RDG_E_FORBIDDEN,
            "the method '%.64s' is not for programs: eth_*, ridge_*, net_version and web3_clientVersion are",
            method);
    params = json_object_get(call, "params");
    if (err == RDG_OK && params && !json_is_array(params))
        err = rdg_fail(RDG_E_INVALID, "params is no array");
    if (!params) params = none = json_array();
    if (err == RDG_OK) err = call_node(chain, method, params, answer);
    if (err == RDG_OK && json_object_get(call, "id"))
        json_object_set(*answer, "id", json_object_get(call, "id"));
    json_decref(none);
    json_decref(call);
    return err;
}

static rdg_err_t result_of(const chain_t *chain, const char *method, json_t *params, json_t **result) {
    json_t *answer = NULL;
    rdg_err_t err = call_node(chain, method, params, &answer);
    if (err == RDG_OK) err = rdg_rpc_decode(answer, result);
    json_decref(answer);
    json_decref(params);
    return err;
}

static rdg_err_t height_of(const chain_t *chain, uint64_t *height) {
    json_t *result = NULL;
    RDG_TRY(result_of(chain, "ridge_status", json_array(), &result));
    rdg_err_t err = rdg_json_get_u64(result, "height", height);
    json_decref(result);
    return err;
}

/* Whether this request may wait: one at a time, so that others always find a thread. */
static bool may_wait(rdg_agent_t *a) {
    pthread_mutex_lock(&a->lock);
    bool mine = !a->event_waiter;
    a->event_waiter = true;
    pthread_mutex_unlock(&a->lock);
    return mine;
}

static rdg_err_t await_height(rdg_agent_t *a, const chain_t *chain, uint64_t from, uint64_t wait_ms,
                              uint64_t *height) {
    struct pollfd ended = {.fd = -1, .events = POLLIN};
    rdg_err_t err = workloads_watch(a->workloads, chain->name, &ended.fd);
    for (uint64_t waited = 0; err == RDG_OK && *height < from && waited < wait_ms; waited += EVENTS_LOOK_MS) {
        if (poll(&ended, 1, (int)EVENTS_LOOK_MS) > 0)
            err = rdg_fail(RDG_E_UNAVAILABLE, "the node of chain %s has ended", chain->name);
        else
            err = height_of(chain, height);
    }
    if (ended.fd >= 0) close(ended.fd);
    return err;
}

static rdg_err_t await_block(rdg_agent_t *a, const chain_t *chain, uint64_t from, uint64_t wait_ms,
                             uint64_t *height) {
    RDG_TRY(height_of(chain, height));
    if (*height >= from || wait_ms == 0 || !may_wait(a)) return RDG_OK;
    rdg_err_t err = await_height(a, chain, from, wait_ms, height);
    pthread_mutex_lock(&a->lock);
    a->event_waiter = false;
    pthread_mutex_unlock(&a->lock);
    return err;
}

static rdg_err_t number(const rdg_http_request_t *req, const char *name, uint64_t fallback, uint64_t max,
                        uint64_t *out) {
    const char *text = rdg_http_query(req, name);
    *out = fallback;
    if (text && (rdg_parse_u64(text, out) != RDG_OK || *out > max))
        return rdg_fail(RDG_E_INVALID, "%s '%.40s': want a number up to %llu", name, text,
                        (unsigned long long)max);
    return RDG_OK;
}

static rdg_err_t events(rdg_agent_t *a, const chain_t *chain, const rdg_http_request_t *req, json_t **out) {
    uint64_t from, wait_ms, height = 0;
    char first[32], last[32];
    json_t *logs = NULL;
    const char *address = rdg_http_query(req, "address"), *topic = rdg_http_query(req, "topic");
    RDG_TRY(number(req, "from", UINT64_MAX, 1ull << 53, &from));
    RDG_TRY(number(req, "wait_ms", 0, EVENTS_WAIT_MAX_MS, &wait_ms));
    if (from == UINT64_MAX) {
        /* Without a place to begin: what comes from now on. */
        RDG_TRY(height_of(chain, &height));
        *out = json_pack("{s:[], s:I}", "events", "next", (json_int_t)height + 1);
        return *out ? RDG_OK : RDG_E_NO_MEMORY;
    }
    RDG_TRY(await_block(a, chain, from, wait_ms, &height));
    uint64_t to =
        height - from >= EVENTS_BLOCKS_MAX && height >= from ? from + EVENTS_BLOCKS_MAX - 1 : height;
    if (height >= from) {
        snprintf(first, sizeof first, "0x%llx", (unsigned long long)from);
        snprintf(last, sizeof last, "0x%llx", (unsigned long long)to);
        json_t *filter = json_pack("{s:s, s:s}", "fromBlock", first, "toBlock", last);
        if (address) json_object_set_new(filter, "address", json_string(address));
        if (topic) json_object_set_new(filter, "topics", json_pack("[s]", topic));
        RDG_TRY(result_of(chain, "eth_getLogs", json_pack("[o]", filter), &logs));
    }
    *out = json_pack("{s:o, s:I}", "events", logs ? logs : json_array(), "next",
                     (json_int_t)(height >= from ? to + 1 : from));
    return *out ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for the events");
}

/* "/v1/chains/CHAIN/LEAF" */
static bool split(const char *path, char chain[COMMAND_CHAIN_MAX + 1], const char **leaf) {
    static const char prefix[] = "/v1/chains/";
    if (strncmp(path, prefix, sizeof prefix - 1) != 0) return false;
    path += sizeof prefix - 1;
    const char *slash = strchr(path, '/');
    if (!slash || slash - path > COMMAND_CHAIN_MAX) return false;
    snprintf(chain, COMMAND_CHAIN_MAX + 1, "%.*s", (int)(slash - path), path);
    *leaf = slash + 1;
    return rdg_name_valid(chain);
}

bool local_chains_handle(rdg_agent_t *a, const rdg_http_request_t *req, rdg_http_response_t *res) {
    const char *path = rdg_http_path(req), *method = rdg_http_method(req), *leaf = "";
    char name[COMMAND_CHAIN_MAX + 1];
    chain_t chain;
    json_t *out = NULL;
    if (strcmp(path, "/v1/chains") == 0 && strcmp(method, "GET") == 0) {
        list_chains(a, res);
        return true;
    }
    if (!split(path, name, &leaf)) return false;
    bool rpc = strcmp(leaf, "rpc") == 0 && strcmp(method, "POST") == 0;
    if (!rpc && (strcmp(leaf, "events") != 0 || strcmp(method, "GET") != 0)) return false;
    rdg_err_t err = RDG_OK;
    /* A page of anybody's could have its visitor's browser ask here. */
    if (rdg_http_header(req, "Origin"))
        err = rdg_fail(RDG_E_FORBIDDEN, "this interface does not serve pages of a browser");
    if (err == RDG_OK) err = workloads_get(a->workloads, name, &chain);
    if (err == RDG_OK) err = rpc ? relay(&chain, rdg_http_body(req), &out) : events(a, &chain, req, &out);
    if (err == RDG_OK)
        local_answer_json(res, 200, out);
    else
        local_answer_error(res, err);
    return true;
}
