/* Methods for the agent of this device, which reads the token from a file that only who holds the node's keys may read
 * (<dir>/agent.token). JSON-RPC stands open to every program of the device; what may fill its disk or delete from the
 * ledger does not. */
#include "ridge/base/alloc.h"
#include "rpc_internal.h"
#include <string.h>

rdg_err_t rpc_agent_check(const rdg_node_rpc_t *rpc, const char *method, const json_t *params) {
    if (strncmp(method, "node_", 5) != 0) return RDG_OK;
    const json_t *token = json_array_get(params, 0);
    const char *wanted = rpc->options.agent_token;
    if (wanted && json_is_string(token) && json_string_length(token) == strlen(wanted) &&
        rdg_ct_equal(json_string_value(token), wanted, strlen(wanted)))
        return RDG_OK;
    return rdg_fail(RDG_E_FORBIDDEN,
                    "this method is for the agent of the device: the first parameter has to be the "
                    "token in the node's directory");
}

static rdg_err_t optional_number(const json_t *params, size_t i, const char *what, uint64_t *out) {
    const json_t *v = json_array_get(params, i);
    *out = 0;
    if (!v || json_is_null(v)) return RDG_OK;
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return rdg_fail(RDG_E_INVALID, "%s: want a height", what);
    *out = (uint64_t)json_integer_value(v);
    return RDG_OK;
}

static rdg_err_t optional_key(const json_t *params, size_t i, const json_t **out) {
    const json_t *v = json_array_get(params, i);
    *out = json_is_null(v) ? NULL : v;
    if (!*out || json_is_object(v)) return RDG_OK;
    return rdg_fail(RDG_E_INVALID, "key: want an object with id and wrapped");
}

static rdg_err_t export_archive(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    uint64_t from, to, state_from;
    const json_t *key;
    if (!rpc->options.archive) return rdg_fail(RDG_E_UNSUPPORTED, "this server exports no archives");
    RDG_TRY(optional_number(params, 1, "from", &from));
    RDG_TRY(optional_number(params, 2, "to", &to));
    RDG_TRY(optional_number(params, 3, "state_from", &state_from));
    RDG_TRY(optional_key(params, 4, &key));
    return rpc->options.archive(rpc->options.ctx, from, to, state_from, key, result);
}

static rdg_err_t import_archive(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    const char *file = json_string_value(json_array_get(params, 1)),
               *kind = json_string_value(json_array_get(params, 3));
    const json_t *key;
    rdg_hash_t manifest;
    if (!rpc->options.restore) return rdg_fail(RDG_E_UNSUPPORTED, "this server imports no archives");
    if (!file || !kind) return rdg_fail(RDG_E_INVALID, "want a file, its manifest's digest, and a kind");
    RDG_TRY(param_hash(params, 2, "manifest", &manifest));
    RDG_TRY(optional_key(params, 4, &key));
    return rpc->options.restore(rpc->options.ctx, file, &manifest, kind, key, result);
}

static rdg_err_t prune(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    const json_t *order = json_array_get(params, 1);
    if (!rpc->options.prune) return rdg_fail(RDG_E_UNSUPPORTED, "this server prunes nothing");
    if (!json_is_object(order)) return rdg_fail(RDG_E_INVALID, "order: want an object");
    return rpc->options.prune(rpc->options.ctx, order, result);
}

const rpc_method_t rpc_agent_methods[] = {
    {"node_exportArchive", export_archive, NULL},
    {"node_importArchive", import_archive, NULL},
    {"node_prune", prune, NULL},
    {NULL, NULL, NULL},
};
