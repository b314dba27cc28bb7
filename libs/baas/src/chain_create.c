#include "archive_keys.h"
#include "collector_prune.h"
#include "internal.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/base/random.h"

#define MEMORY_DEFAULT (256ull << 20)
#define MEMORY_MIN (64ull << 20)
#define PIDS_DEFAULT 128
#define PBFT_MIN 4
#define RAFT_MIN 3

typedef struct asked {
    const char *name, *consensus, *driver, *image;
    const json_t *devices, *params;
    bool allow_no_tolerance, encrypt_archives;
    uint64_t memory_bytes, pids;
    const char *asker;               /* the caller's tenant; NULL: the cloud's caller */
    char tenant[RDG_TENANT_MAX + 1]; /* of the devices */
    rdg_access_t *access;            /* knows how many chains it may have; may be NULL */
} asked_t;

rdg_err_t chain_check_devices(const json_t *devices, const char *consensus, bool allow_no_tolerance) {
    size_t n = json_array_size(devices), i, k;
    if (n == 0 || n > RDG_BAAS_DEVICES_MAX)
        return rdg_fail(RDG_E_INVALID, "devices: want 1 to %d names", RDG_BAAS_DEVICES_MAX);
    for (i = 0; i < n; ++i) {
        const char *name = json_string_value(json_array_get(devices, i));
        if (!name || !rdg_name_valid(name))
            return rdg_fail(RDG_E_INVALID, "devices[%zu] is no device name", i);
        for (k = 0; k < i; ++k)
            if (strcmp(name, json_string_value(json_array_get(devices, k))) == 0)
                return rdg_fail(RDG_E_INVALID,
                                "device '%s' is given twice: each device runs one node of a chain", name);
    }
    bool is_raft = strcmp(consensus, "raft") == 0;
    if (is_raft && n < RAFT_MIN && !allow_no_tolerance)
        return rdg_fail(RDG_E_INVALID,
                        "%zu device%s 0 faults under Raft (3 tolerate 1, 5 tolerate 2): add devices or pass "
                        "--allow-no-fault-tolerance",
                        n, n == 1 ? " tolerates" : "s tolerate");
    if (!is_raft && n < PBFT_MIN && !allow_no_tolerance)
        return rdg_fail(
            RDG_E_INVALID,
            "%zu device%s 0 faults under PBFT (4 tolerate 1, 1 to 3 tolerate 0): add devices or pass "
            "--allow-no-fault-tolerance",
            n, n == 1 ? " tolerates" : "s tolerate");
    return RDG_OK;
}

static rdg_err_t check_words(const asked_t *a) {
    static const char *const drivers[] = {"auto", "process", "oci", "docker"};
    bool known = false;
    if (!rdg_name_valid(a->name))
        return rdg_fail(
            RDG_E_INVALID,
            "'%.64s' cannot be a chain's name: want 1 to 64 of [a-z0-9._-], first a letter or digit",
            a->name);
    if (strcmp(a->consensus, "pbft") != 0 && strcmp(a->consensus, "raft") != 0)
        return rdg_fail(RDG_E_INVALID, "consensus '%.32s' is not known: pbft or raft", a->consensus);
    for (size_t i = 0; i < sizeof drivers / sizeof drivers[0]; ++i)
        known = known || strcmp(a->driver, drivers[i]) == 0;
    if (!known)
        return rdg_fail(RDG_E_INVALID, "driver '%.32s' is not known: auto, process, oci or docker",
                        a->driver);
    if (a->image && (strcmp(a->driver, "process") == 0 || strlen(a->image) > 256))
        return rdg_fail(RDG_E_INVALID,
                        "image: at most 256 bytes, and not with driver process, which runs the agent's own "
                        "ridge-node");
    if (a->params && !json_is_object(a->params)) return rdg_fail(RDG_E_INVALID, "params: want an object");
    if (a->memory_bytes < MEMORY_MIN || a->memory_bytes > INT64_MAX)
        return rdg_fail(RDG_E_INVALID, "memory_bytes: a node needs 64 MiB at least");
    if (a->pids < 16 || a->pids > 100000) return rdg_fail(RDG_E_INVALID, "pids: want 16 to 100000");
    return RDG_OK;
}

static rdg_err_t read_request(const rdg_service_call_t *call, asked_t *a) {
    const json_t *body;
    json_t *devices;
    *a = (asked_t){.consensus = "pbft",
                   .driver = "auto",
                   .memory_bytes = MEMORY_DEFAULT,
                   .pids = PIDS_DEFAULT,
                   .asker = call->tenant,
                   .access = call->access};
    RDG_TRY(rdg_service_body(call, &body));
    RDG_TRY(rdg_json_get_str(body, "name", &a->name));
    RDG_TRY(rdg_json_get_array(body, "devices", &devices));
    RDG_TRY(rdg_json_opt_str(body, "consensus", &a->consensus));
    RDG_TRY(rdg_json_opt_str(body, "driver", &a->driver));
    RDG_TRY(rdg_json_opt_str(body, "image", &a->image));
    RDG_TRY(rdg_json_opt_bool(body, "allow_no_fault_tolerance", &a->allow_no_tolerance));
    RDG_TRY(rdg_json_opt_bool(body, "encrypt_archives", &a->encrypt_archives));
    RDG_TRY(rdg_json_opt_u64(body, "memory_bytes", &a->memory_bytes));
    RDG_TRY(rdg_json_opt_u64(body, "pids", &a->pids));
    a->devices = devices;
    a->params = json_object_get(body, "params");
    if (json_is_null(a->params)) a->params = NULL;
    uint64_t gap = 1;
    if (json_is_object(a->params) &&
        (rdg_json_opt_u64(a->params, CHAIN_SNAPSHOT_GAP, &gap) != RDG_OK || gap == 0))
        return rdg_fail(RDG_E_INVALID, "params: snapshot_gap is a number of blocks, at least 1");
    if (json_is_object(a->params) && rdg_json_opt_u64(a->params, CHAIN_ARCHIVE_STATE_BLOCKS, &gap) != RDG_OK)
        return rdg_fail(RDG_E_INVALID, "params: archive_state_blocks is a number of blocks, 0 for never");
    RDG_TRY(check_words(a));
    return chain_check_devices(a->devices, a->consensus, a->allow_no_tolerance);
}

static const char *text_of(const json_t *device, const char *field, const char *fallback) {
    const char *text = json_string_value(json_object_get(device, field));
    return text ? text : fallback;
}

/* tenant NULL: any; *of, if given: whose it is, borrowed from the list. */
static rdg_err_t is_online(const json_t *list, const char *tenant, const char *name, const char **of) {
    const json_t *device, *found = NULL;
    size_t k;
    json_array_foreach(list, k, device) if (strcmp(text_of(device, "name", ""), name) == 0) found = device;
    const char *its = text_of(found, "tenant", RDG_TENANT_DEFAULT);
    if (!found || (tenant && strcmp(its, tenant) != 0))
        return rdg_fail(RDG_E_NOT_FOUND, "device '%s' does not exist: see ridge device list", name);
    if (of) *of = its;
    if (strcmp(text_of(found, "state", ""), "online") == 0) return RDG_OK;
    return rdg_fail(RDG_E_UNAVAILABLE, "device '%s' is offline: start its agent, or leave it out", name);
}

rdg_err_t device_online_of(rdg_baas_t *b, const char *tenant, const char *device) {
    json_t *answer = NULL, *list = NULL;
    RDG_TRY(remote_devices(b, &answer));
    rdg_err_t err = rdg_json_get_array(answer, "devices", &list);
    if (err == RDG_OK) err = is_online(list, tenant, device, NULL);
    json_decref(answer);
    return err;
}

rdg_err_t device_online(rdg_baas_t *b, const char *device) {
    return device_online_of(b, NULL, device);
}

static rdg_err_t check_each(const json_t *list, const json_t *devices, const char *asker,
                            char tenant[RDG_TENANT_MAX + 1]) {
    for (size_t i = 0; i < json_array_size(devices); ++i) {
        const char *name = json_string_value(json_array_get(devices, i)), *of;
        RDG_TRY(is_online(list, asker, name, &of));
        if (i == 0) snprintf(tenant, RDG_TENANT_MAX + 1, "%s", of);
        if (strcmp(tenant, of) != 0)
            return rdg_fail(
                RDG_E_INVALID,
                "device '%s' is of tenant %s, and '%s' of tenant %s: all devices of a chain are of one",
                json_string_value(json_array_get(devices, 0)), tenant, name, of);
    }
    return RDG_OK;
}

rdg_err_t chain_devices_online(rdg_baas_t *b, const json_t *devices, const char *asker,
                               char tenant[RDG_TENANT_MAX + 1]) {
    json_t *answer = NULL, *list = NULL;
    RDG_TRY(remote_devices(b, &answer));
    rdg_err_t err = rdg_json_get_array(answer, "devices", &list);
    if (err == RDG_OK) err = check_each(list, devices, asker, tenant);
    json_decref(answer);
    return err;
}

static rdg_err_t name_taken(const char *name) {
    return rdg_fail(RDG_E_EXISTS, "chain '%s' exists already: choose another name, or destroy it first",
                    name);
}

/* In the transaction that makes the chain. */
static rdg_err_t take_name(rdg_baas_t *b, const asked_t *a) {
    RDG_TRY(rdg_sql_exec(
        b->db, "INSERT INTO chain_tenants (name, tenant) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
        RDG_SQL_PARAMS(rdg_sql_text(a->name), rdg_sql_text(a->tenant)), NULL));
    rdg_err_t err = chain_check(b, a->tenant, a->name);
    if (err != RDG_E_NOT_FOUND) return err;
    return rdg_fail(RDG_E_EXISTS, "the name '%s' is taken: names of chains are unique over the whole cloud",
                    a->name);
}

static rdg_err_t insert_chain(rdg_baas_t *b, const asked_t *a, const char *params, chain_t *c) {
    int64_t count = 0;
    c->chain_id = 1 + rdg_random_below(rdg_random_system(), (1ull << 53) - 1);
    RDG_TRY(rdg_sql_query(b->db, "SELECT COUNT(*) FROM chains WHERE state NOT IN ('destroyed', 'cancelled')",
                          NULL, 0, baas_int_row, &count));
    if (count >= RDG_BAAS_CHAINS_MAX)
        return rdg_fail(RDG_E_FULL, "there are %d chains already: destroy one first", RDG_BAAS_CHAINS_MAX);
    RDG_TRY(take_name(b, a));
    RDG_TRY(rdg_access_room(a->access, RDG_SHARE_CHAINS, a->tenant));
    rdg_err_t err = rdg_sql_exec(
        b->db,
        "INSERT INTO chains (name, state, consensus, driver, image, chain_id, params, memory_bytes, pids, "
        "created_ms, tenant)"
        " VALUES (?, 'creating', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        RDG_SQL_PARAMS(rdg_sql_text(a->name), rdg_sql_text(a->consensus), rdg_sql_text(a->driver),
                       rdg_sql_text(a->image), rdg_sql_int((int64_t)c->chain_id), rdg_sql_text(params),
                       rdg_sql_int((int64_t)a->memory_bytes), rdg_sql_int((int64_t)a->pids),
                       rdg_sql_int((int64_t)baas_now()), rdg_sql_text(a->tenant)),
        NULL);
    if (err == RDG_E_EXISTS || err == RDG_E_CONFLICT) return name_taken(a->name);
    RDG_TRY(err);
    return rdg_sql_query(b->db, "SELECT MAX(number) FROM chains WHERE name = ?",
                         RDG_SQL_PARAMS(rdg_sql_text(a->name)), baas_int_row, &c->number);
}

static rdg_err_t insert_all(rdg_baas_t *b, const asked_t *a, chain_t *c) {
    char *params = a->params ? rdg_json_text(a->params) : rdg_strdup("{}");
    if (!params) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a chain");
    rdg_err_t err = insert_chain(b, a, params, c);
    rdg_free(params);
    for (size_t i = 0; err == RDG_OK && i < json_array_size(a->devices); ++i)
        err = step_insert(b, c, json_string_value(json_array_get(a->devices, i)), (int64_t)i, STEP_PREPARE);
    if (err == RDG_OK && a->encrypt_archives) err = policy_encrypt(b, c->number);
    if (err == RDG_OK) err = event_add(b, c->number, NULL, "chain", "creating", "");
    return err;
}

static rdg_err_t store(rdg_baas_t *b, const asked_t *a) {
    chain_t c = {0};
    RDG_TRY(rdg_sql_begin(b->db));
    rdg_err_t err = insert_all(b, a, &c);
    if (err == RDG_OK) err = rdg_sql_commit(b->db);
    if (err != RDG_OK) rdg_sql_rollback(b->db);
    return err;
}

rdg_err_t chain_create(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_baas_t *b = ctx;
    asked_t a;
    chain_t c;
    json_t *described;
    char id[RDG_ARCHIVE_KEY_ID_MAX + 1];
    RDG_TRY(read_request(call, &a));
    if (!a.image && strcmp(a.driver, "process") != 0) a.image = b->image;
    RDG_TRY(chain_devices_online(b, a.devices, a.asker, a.tenant));
    RDG_TRY(store(b, &a));
    event_wake(b);
    work_kick(b, a.name);
    rdg_log(RDG_LOG_INFO, "chain.creating", RDG_STR("chain", a.name),
            RDG_U64("devices", json_array_size(a.devices)));
    RDG_TRY(chain_load(b, a.name, &c));
    /* So that it can be backed up; should this fail, the first archive makes it. */
    if (a.encrypt_archives && archive_keys_current(b, &c, id) != RDG_OK)
        rdg_log(RDG_LOG_WARN, "archive.key_not_made", RDG_STR("chain", a.name));
    rdg_err_t err = chain_describe(b, &c, &described);
    chain_fini(&c);
    return err == RDG_OK ? rdg_service_reply(answer, 202, described) : err;
}
