/* The registry of a chain as the cloud sees it: calls, events, and the copy that follows them. */
#include <string.h>
#include "contract.h"
#include "ridge/codec/hex.h"

#define SYNC_EVERY_MS 500
#define SYNC_HEIGHTS 10000 /* a node's limit of eth_getLogs */

json_t *registry_params(const char *text) {
    json_t *list = json_array();
    while (list && *text) {
        size_t len = strcspn(text, ","), type = strcspn(text, " ");
        bool indexed = *text == '*';
        json_t *p = json_pack("{s:s%, s:s%, s:b}", "type", text + indexed, type - indexed, "name",
                              text + type + 1, len - type - 1, "indexed", (int)indexed);
        if (json_array_append_new(list, p) != 0) {
            json_decref(list);
            return NULL;
        }
        text += len + (text[len] == ',');
    }
    return list;
}

#define LIFE_EVENT                                                                                           \
    "*string nameHash,*address contractAddress,string name,uint32 version,bool byAdministrators"
static const struct {
    const char *name, *params;
} events[] = {
    {"Deployed",
     "*string nameHash,*address contractAddress,string name,uint32 version,address owner,bytes32 abiDigest"},
    {"Registered", "*string nameHash,*address contractAddress,string name,address owner,bytes32 abiDigest"},
    {"Superseded", "*string nameHash,*address contractAddress,string name,uint32 version"},
    {"Frozen", LIFE_EVENT},
    {"Unfrozen", LIFE_EVENT},
    {"Revoked", LIFE_EVENT},
    {"OwnershipTransferred", "*string nameHash,string name,address from,address to"},
    {"DeployPolicyChanged", "uint8 policy"},
    {"DeployerAdded", "address account"},
    {"DeployerRemoved", "address account"},
    {"CodeApproved", "bytes32 initCodeDigest"},
    {"CodeDisapproved", "bytes32 initCodeDigest"},
    {"AdministratorAdded", "address account"},
    {"AdministratorRemoved", "address account"},
    {"ThresholdChanged", "uint32 threshold"},
    {"Proposed", "*uint64 id,address proposer,uint64 lastHeight,bytes call"},
    {"Approved", "*uint64 id,address account"},
    {"Executed", "*uint64 id"},
    {"Withdrawn", "*uint64 id"},
};

json_t *registry_events(void) {
    json_t *abi = json_array();
    for (size_t i = 0; i < sizeof events / sizeof events[0]; ++i)
        json_array_append_new(abi, json_pack("{s:s, s:s, s:o}", "type", "event", "name", events[i].name,
                                             "inputs", registry_params(events[i].params)));
    return abi;
}

rdg_err_t registry_encode(const char *method, const char *inputs, json_t *args, rdg_buf_t *out) {
    json_t *entry =
        json_pack("{s:s, s:s, s:o}", "type", "function", "name", method, "inputs", registry_params(inputs));
    rdg_err_t err = entry && args ? rdg_abi_encode_call(entry, args, rdg_keccak256, out)
                                  : rdg_fail(RDG_E_NO_MEMORY, "no memory for a transaction");
    json_decref(entry);
    json_decref(args);
    return err;
}

/* --- the copy ------------------------------------------------------------------------------------------------------------- */

typedef struct synced {
    uint64_t height, time_ms;
} synced_t;

static rdg_err_t synced_row(void *ctx, const rdg_sql_row_t *r) {
    *(synced_t *)ctx = (synced_t){(uint64_t)rdg_sql_row_int(r, 0), (uint64_t)rdg_sql_row_int(r, 1)};
    return RDG_OK;
}

static rdg_err_t take_logs(rdg_baas_t *b, const chain_t *c, const json_t *logs, uint64_t height) {
    const json_t *log;
    json_t *abi = registry_events();
    rdg_err_t err = abi ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for the registry's events");
    size_t i;
    json_array_foreach(logs, i, log) {
        json_t *event = NULL;
        if (err == RDG_OK) err = contract_decode_log(log, abi, &event);
        if (err == RDG_OK) err = contract_take_event(b, c, event, log);
        json_decref(event);
        if (err == RDG_E_NOT_FOUND) err = RDG_OK; /* roles and policies are not kept */
    }
    json_decref(abi);
    if (err != RDG_OK) return err;
    return rdg_sql_exec(b->db,
                        "INSERT OR REPLACE INTO contract_syncs (chain, height, time_ms) VALUES (?, ?, ?)",
                        RDG_SQL_PARAMS(rdg_sql_int(c->number), rdg_sql_int((int64_t)height),
                                       rdg_sql_int((int64_t)baas_now())),
                        NULL);
}

/* Another thread may have been faster: then its rows are written again, with the same content. But an older state must not
 * follow a newer one, so the place is asked for again inside the transaction. */
static rdg_err_t store_logs(rdg_baas_t *b, const chain_t *c, const json_t *logs, uint64_t from,
                            uint64_t height) {
    synced_t now = {0};
    RDG_TRY(rdg_sql_begin(b->db));
    rdg_err_t err = rdg_sql_query(b->db, "SELECT height, time_ms FROM contract_syncs WHERE chain = ?",
                                  RDG_SQL_PARAMS(rdg_sql_int(c->number)), synced_row, &now);
    if (err == RDG_OK && now.height + 1 == from) err = take_logs(b, c, logs, height);
    if (err == RDG_OK) err = rdg_sql_commit(b->db);
    if (err != RDG_OK) rdg_sql_rollback(b->db);
    return err;
}

static rdg_err_t fetch(relay_t *r, uint64_t from, uint64_t to, json_t **logs) {
    return rdg_rpc_call(&r->rpc, "eth_getLogs",
                        json_pack("[{s:o, s:o, s:o}]", "address",
                                  rdg_json_hex(RDG_REGISTRY_ADDRESS.b, sizeof RDG_REGISTRY_ADDRESS.b),
                                  "fromBlock", rdg_json_quantity(from), "toBlock", rdg_json_quantity(to)),
                        logs);
}

rdg_err_t contract_sync(relay_t *r, const chain_t *c, bool now) {
    synced_t at = {0};
    rdg_rpc_head_t head;
    uint64_t span = SYNC_HEIGHTS;
    RDG_TRY(rdg_sql_query(r->b->db, "SELECT height, time_ms FROM contract_syncs WHERE chain = ?",
                          RDG_SQL_PARAMS(rdg_sql_int(c->number)), synced_row, &at));
    if (!now && baas_now() - at.time_ms < SYNC_EVERY_MS) return RDG_OK;
    RDG_TRY(rdg_rpc_head(&r->rpc, &head));
    while (at.height < head.height) {
        json_t *logs = NULL;
        uint64_t to = head.height - at.height > span ? at.height + span : head.height;
        rdg_err_t err = fetch(r, at.height + 1, to, &logs);
        if (err == RDG_E_TOO_LARGE && span > 1) {
            span /= 2;
            continue;
        }
        if (err == RDG_OK) err = store_logs(r->b, c, logs, at.height + 1, to);
        json_decref(logs);
        if (err != RDG_OK) return rdg_fail_in(err, "the registry of chain '%s'", c->name);
        at.height = to;
    }
    return RDG_OK;
}

rdg_err_t contract_catch_up(rdg_baas_t *b, const chain_t *c, uint64_t height) {
    relay_t r;
    synced_t at = {0};
    RDG_TRY(rdg_sql_query(b->db, "SELECT height, time_ms FROM contract_syncs WHERE chain = ?",
                          RDG_SQL_PARAMS(rdg_sql_int(c->number)), synced_row, &at));
    if (at.height >= height) return RDG_OK;
    RDG_TRY(relay_init(&r, b, c, RELAY_TIMEOUT_MS));
    rdg_err_t err = contract_sync(&r, c, true);
    relay_fini(&r);
    return err;
}
