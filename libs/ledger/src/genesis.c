/* Genesis: reading and checking the JSON form. Its canonical RLP and digest: genesis_hash.c. */
#include "ridge/ledger/genesis.h"
#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include "genesis_hash.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/codec/json.h"
#include "ridge/ledger/block.h"
#include "ridge/ledger/succession.h"
#include "word.h"

#define CHAIN_ID_LIMIT (1ull << 53) /* JSON tools keep integers below it exactly */

bool rdg_genesis_is_raft(const rdg_genesis_t *g) {
    return strcmp(g->consensus, "raft") == 0;
}

void rdg_chain_params_default(rdg_chain_params_t *p) {
    *p = (rdg_chain_params_t){.block_interval_ms = 100,
                              .empty_block_ms = 0,
                              .block_gas_limit = 1000000000,
                              .tx_gas_limit = 30000000,
                              .block_tx_max = 2000,
                              .revision = RDG_EVM_CANCUN,
                              .view_timeout_ms = RDG_VIEW_TIMEOUT_MS};
}

static const struct {
    const char *name;
    size_t offset;
    uint64_t min, max;
} bounds[] = {
    {"block_interval_ms", offsetof(rdg_chain_params_t, block_interval_ms), 1, 3600000},
    {"empty_block_ms", offsetof(rdg_chain_params_t, empty_block_ms), 0, 86400000},
    {"tx_gas_limit", offsetof(rdg_chain_params_t, tx_gas_limit), 21000, 60000000},
    {"block_gas_limit", offsetof(rdg_chain_params_t, block_gas_limit), 21000, 2000000000},
    {"block_tx_max", offsetof(rdg_chain_params_t, block_tx_max), 1, RDG_BLOCK_TXS_MAX},
    {"view_timeout_ms", offsetof(rdg_chain_params_t, view_timeout_ms), 100, 3600000},
    {"rotate_every", offsetof(rdg_chain_params_t, rotate_every), 0, 1000000000},
};

rdg_err_t rdg_chain_param(rdg_chain_params_t *p, const char *name, uint64_t **slot) {
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; ++i) {
        if (strcmp(bounds[i].name, name) != 0) continue;
        *slot = (uint64_t *)(void *)((char *)p + bounds[i].offset);
        return RDG_OK;
    }
    return rdg_fail(RDG_E_NOT_FOUND, "a chain has no parameter '%.32s'", name);
}

rdg_err_t rdg_chain_params_check(const rdg_chain_params_t *p) {
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; ++i) {
        uint64_t v = *(const uint64_t *)(const void *)((const char *)p + bounds[i].offset);
        uint64_t min = bounds[i].min;
        if (bounds[i].offset == offsetof(rdg_chain_params_t, block_gas_limit)) min = p->tx_gas_limit;
        if (v < min || v > bounds[i].max)
            return rdg_fail(RDG_E_INVALID, "params.%s is %" PRIu64 ": want %" PRIu64 " to %" PRIu64,
                            bounds[i].name, v, min, bounds[i].max);
    }
    return RDG_OK;
}

/* A field that nobody knows would be missing from the digest: two files with one hash. */
static rdg_err_t only_known(const json_t *object, const char *where, const char *const *known) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        const char *const *k = known;
        while (*k && strcmp(*k, key) != 0) ++k;
        if (!*k) return rdg_fail(RDG_E_INVALID, "%s has an unknown field '%s'", where, key);
    }
    return RDG_OK;
}

static rdg_err_t read_address(const char *text, rdg_address_t *out) {
    return rdg_hex_decode(text, strlen(text), out->b, sizeof out->b);
}

static rdg_err_t copy_name(const char *what, const char *text, char out[RDG_NAME_MAX + 1]) {
    if (!rdg_name_valid(text))
        return rdg_fail(RDG_E_INVALID, "%s '%.80s': want 1 to %d of a-z 0-9 . _ -, first alphanumeric", what,
                        text, RDG_NAME_MAX);
    snprintf(out, RDG_NAME_MAX + 1, "%s", text);
    return RDG_OK;
}

static rdg_err_t read_validators(const json_t *root, rdg_genesis_t *g) {
    static const char *const known[] = {"name", "key", "weight", NULL};
    json_t *list = NULL;
    RDG_TRY(rdg_json_get_array(root, "validators", &list));
    size_t count = json_array_size(list);
    if (count == 0 || count > RDG_VALIDATORS_MAX)
        return rdg_fail(RDG_E_INVALID, "validators: %zu of them, want 1 to %d", count, RDG_VALIDATORS_MAX);
    for (size_t i = 0; i < count; ++i) {
        const json_t *v = json_array_get(list, i);
        const char *name = NULL;
        uint8_t key[64];
        uint64_t weight = 1;
        RDG_TRY(rdg_json_get_str(v, "name", &name));
        RDG_TRY(copy_name("validator", name, g->validator_names[i]));
        RDG_TRY(only_known(v, "validator", known));
        RDG_TRY(rdg_json_get_hex(v, "key", key, sizeof key));
        RDG_TRY(rdg_json_opt_u64(v, "weight", &weight));
        if (weight == 0 || weight > RDG_VALIDATOR_WEIGHT_MAX)
            return rdg_fail(RDG_E_INVALID, "validator '%s': weight %" PRIu64 ", want 1 to %u", name, weight,
                            RDG_VALIDATOR_WEIGHT_MAX);
        g->validators.weights[i] = (uint32_t)weight;
        rdg_err_t err = rdg_sm2_public_decode(rdg_bytes(key, sizeof key), &g->validators.keys[i]);
        if (err != RDG_OK) return rdg_fail_in(err, "validator '%s'", name);
        for (size_t j = 0; j < i; ++j)
            if (!strcmp(g->validator_names[j], name))
                return rdg_fail(RDG_E_INVALID, "validator '%s' stands there twice", name);
    }
    g->validators.count = (uint32_t)count;
    return rdg_validators_check(&g->validators);
}

static rdg_err_t read_admins(const json_t *root, rdg_genesis_t *g) {
    const json_t *list = json_object_get(root, "admins");
    if (!list) return RDG_OK;
    if (!json_is_array(list) || json_array_size(list) > RDG_GENESIS_ADMINS_MAX)
        return rdg_fail(RDG_E_INVALID, "admins: want an array of at most %d addresses",
                        RDG_GENESIS_ADMINS_MAX);
    for (; g->admin_count < json_array_size(list); g->admin_count++) {
        const char *text = json_string_value(json_array_get(list, g->admin_count));
        if (!text || read_address(text, &g->admins[g->admin_count]) != RDG_OK)
            return rdg_fail(RDG_E_INVALID, "admins[%u]: want an address of 40 hex digits", g->admin_count);
    }
    return RDG_OK;
}

static rdg_err_t read_params(const json_t *root, rdg_chain_params_t *p) {
    static const char *const known[] = {"block_interval_ms", "empty_block_ms", "block_gas_limit",
                                        "tx_gas_limit",      "block_tx_max",   "evm_revision",
                                        "view_timeout_ms",   "rotate_every",   NULL};
    rdg_chain_params_default(p);
    const json_t *o = json_object_get(root, "params");
    if (!o) return RDG_OK;
    const char *revision = "cancun";
    if (!json_is_object(o)) return rdg_fail(RDG_E_INVALID, "params: want an object");
    RDG_TRY(only_known(o, "params", known));
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; ++i)
        RDG_TRY(rdg_json_opt_u64(o, bounds[i].name, (uint64_t *)(void *)((char *)p + bounds[i].offset)));
    RDG_TRY(rdg_json_opt_str(o, "evm_revision", &revision));
    RDG_TRY(rdg_chain_params_check(p));
    if (!strcmp(revision, "cancun"))
        p->revision = RDG_EVM_CANCUN;
    else if (!strcmp(revision, "shanghai"))
        p->revision = RDG_EVM_SHANGHAI;
    else
        return rdg_fail(RDG_E_INVALID, "params.evm_revision '%.32s': want cancun or shanghai", revision);
    return RDG_OK;
}

static rdg_err_t read_alloc(const json_t *root, rdg_genesis_t *g) {
    json_t *object = json_object_get(root, "alloc"), *value;
    const char *key;
    if (!object) return RDG_OK;
    if (!json_is_object(object) || json_object_size(object) > RDG_GENESIS_ALLOC_MAX)
        return rdg_fail(RDG_E_INVALID, "alloc: want an object of at most %d addresses",
                        RDG_GENESIS_ALLOC_MAX);
    json_object_foreach(object, key, value) {
        const char *text = json_string_value(value);
        if (read_address(key, &g->alloc[g->alloc_count].address) != RDG_OK)
            return rdg_fail(RDG_E_INVALID, "alloc '%.64s': want an address of 40 hex digits", key);
        if (!text || !word_from_decimal(text, &g->alloc[g->alloc_count].balance))
            return rdg_fail(RDG_E_INVALID, "alloc.%s: want the balance as a decimal string below 2^256", key);
        g->alloc_count++;
    }
    return rdg_genesis_sort_alloc(g);
}

static rdg_err_t read_root(const json_t *root, rdg_genesis_t *g) {
    static const char *const known[] = {"version",   "name",        "chain_id", "time_ms",
                                        "consensus", "validators",  "admins",   "params",
                                        "alloc",     "successions", NULL};
    const char *name = NULL, *consensus = NULL;
    uint64_t version = 0;
    if (!json_is_object(root)) return rdg_fail(RDG_E_INVALID, "want a JSON object");
    RDG_TRY(rdg_json_get_u64(root, "version", &version));
    if (version != 1)
        return rdg_fail(RDG_E_UNSUPPORTED, "version %" PRIu64 ": this program knows version 1", version);
    RDG_TRY(only_known(root, "genesis", known));
    RDG_TRY(rdg_json_get_str(root, "name", &name));
    RDG_TRY(copy_name("name", name, g->name));
    RDG_TRY(rdg_json_get_u64(root, "chain_id", &g->validators.chain_id));
    if (g->validators.chain_id == 0 || g->validators.chain_id >= CHAIN_ID_LIMIT)
        return rdg_fail(RDG_E_INVALID, "chain_id: want 1 to 2^53 - 1");
    RDG_TRY(rdg_json_get_u64(root, "time_ms", &g->time_ms));
    RDG_TRY(rdg_json_get_str(root, "consensus", &consensus));
    if (strcmp(consensus, "pbft") != 0 && strcmp(consensus, "raft") != 0)
        return rdg_fail(RDG_E_INVALID, "consensus '%.32s': want pbft or raft", consensus);
    snprintf(g->consensus, sizeof g->consensus, "%s", consensus);
    RDG_TRY(read_validators(root, g));
    RDG_TRY(read_admins(root, g));
    RDG_TRY(read_params(root, &g->params));
    return read_alloc(root, g);
}

/* Each is judged as if it stood alone beside the genesis: what it says of the chain's last block, it proves. */
static rdg_err_t read_succession(const json_t *value, rdg_genesis_t *g) {
    rdg_succession_t *s = &g->successions[g->succession_count];
    rdg_buf_t act;
    rdg_buf_init(&act, RDG_SUCCESSION_BYTES_MAX);
    rdg_err_t err = json_is_string(value)
                        ? rdg_hex_decode_buf(json_string_value(value), json_string_length(value), &act)
                        : rdg_fail(RDG_E_INVALID, "want the act in hex");
    if (err == RDG_OK) err = rdg_succession_verify(rdg_buf_view(&act), g, s);
    rdg_buf_fini(&act);
    RDG_TRY(err);
    if (g->succession_count > 0 &&
        (s[-1].height >= s->height || s[-1].epoch.validators.epoch >= s->epoch.validators.epoch))
        return rdg_fail(RDG_E_INVALID, "it does not follow the one before");
    g->succession_count++;
    return RDG_OK;
}

static rdg_err_t read_successions(const json_t *root, rdg_genesis_t *g) {
    const json_t *list = json_object_get(root, "successions");
    if (!list) return RDG_OK;
    if (!json_is_array(list) || json_array_size(list) > RDG_SUCCESSIONS_MAX)
        return rdg_fail(RDG_E_INVALID, "successions: want an array of at most %d acts", RDG_SUCCESSIONS_MAX);
    for (size_t i = 0; i < json_array_size(list); ++i)
        RDG_TRY(rdg_fail_in(read_succession(json_array_get(list, i), g), "successions[%zu]", i));
    return RDG_OK;
}

rdg_err_t rdg_genesis_parse(rdg_bytes_t json, rdg_genesis_t *out) {
    json_t *root = NULL;
    memset(out, 0, sizeof *out);
    if (json.len > RDG_GENESIS_EXTENDED_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "genesis of %zu bytes: the limit is %u", json.len,
                        RDG_GENESIS_EXTENDED_MAX);
    rdg_err_t err = rdg_json_parse(json, &root);
    if (err == RDG_OK) err = read_root(root, out);
    if (err == RDG_OK) err = rdg_genesis_rehash(out);
    if (err == RDG_OK) err = read_successions(root, out);
    if (err == RDG_OK && out->succession_count == 0 && json.len > RDG_GENESIS_BYTES_MAX)
        err = rdg_fail(RDG_E_TOO_LARGE, "%zu bytes: the limit is %u", json.len, RDG_GENESIS_BYTES_MAX);
    json_decref(root);
    return err == RDG_OK ? RDG_OK : rdg_fail_in(err, "genesis");
}

rdg_err_t rdg_genesis_load(const char *path, rdg_genesis_t *out) {
    rdg_buf_t text;
    rdg_buf_init(&text, RDG_GENESIS_EXTENDED_MAX);
    rdg_err_t err = rdg_file_read(path, &text);
    if (err == RDG_OK) err = rdg_genesis_parse(rdg_buf_view(&text), out);
    rdg_buf_fini(&text);
    return err == RDG_OK ? RDG_OK : rdg_fail_in(err, "%s", path);
}
