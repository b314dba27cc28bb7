/* The canonical RLP of a genesis, its digest, and its JSON form.
 *
 * [ version, name, chain_id, time_ms, consensus, [[name, key], …], [admin, …],
 *   [block_interval_ms, empty_block_ms, block_gas_limit, tx_gas_limit, block_tx_max, revision],
 *   [[address, balance], …] ]   with the allocations ascending by address.
 * A weight other than 1 follows the validator's key; view_timeout_ms and rotate_every follow the revision when
 * one of them is not the default. */
#include "genesis_hash.h"
#include <stdlib.h>
#include <string.h>
#include "ridge/codec/json.h"
#include "ridge/codec/rlp.h"
#include "word.h"

enum { GENESIS_VERSION = 1 };

static int by_address(const void *a, const void *b) {
    return memcmp(a, b, sizeof(rdg_address_t));
}

rdg_err_t rdg_genesis_sort_alloc(rdg_genesis_t *g) {
    qsort(g->alloc, g->alloc_count, sizeof g->alloc[0], by_address);
    for (uint32_t i = 1; i < g->alloc_count; ++i)
        if (rdg_address_equal(&g->alloc[i - 1].address, &g->alloc[i].address))
            return rdg_fail(RDG_E_INVALID, "alloc holds one address twice");
    return RDG_OK;
}

static void put_params(const rdg_chain_params_t *p, rdg_buf_t *out) {
    size_t list = rdg_rlp_list_begin(out);
    rdg_rlp_put_u64(out, p->block_interval_ms);
    rdg_rlp_put_u64(out, p->empty_block_ms);
    rdg_rlp_put_u64(out, p->block_gas_limit);
    rdg_rlp_put_u64(out, p->tx_gas_limit);
    rdg_rlp_put_u64(out, p->block_tx_max);
    rdg_rlp_put_u64(out, (uint64_t)p->revision);
    if (p->view_timeout_ms != RDG_VIEW_TIMEOUT_MS || p->rotate_every != 0) {
        rdg_rlp_put_u64(out, p->view_timeout_ms);
        rdg_rlp_put_u64(out, p->rotate_every);
    }
    rdg_rlp_list_end(out, list);
}

static void put_lists(const rdg_genesis_t *g, rdg_buf_t *out) {
    size_t list = rdg_rlp_list_begin(out);
    for (uint32_t i = 0; i < g->validators.count; ++i) {
        size_t item = rdg_rlp_list_begin(out);
        rdg_rlp_put_str(out, g->validator_names[i]);
        rdg_rlp_put_bytes(out, rdg_bytes(g->validators.keys[i].b, sizeof g->validators.keys[i].b));
        uint32_t weight = rdg_validators_weight(&g->validators, i);
        if (weight != 1) rdg_rlp_put_u64(out, weight);
        rdg_rlp_list_end(out, item);
    }
    rdg_rlp_list_end(out, list);
    list = rdg_rlp_list_begin(out);
    for (uint32_t i = 0; i < g->admin_count; ++i)
        rdg_rlp_put_bytes(out, rdg_bytes(g->admins[i].b, sizeof g->admins[i].b));
    rdg_rlp_list_end(out, list);
    put_params(&g->params, out);
    list = rdg_rlp_list_begin(out);
    for (uint32_t i = 0; i < g->alloc_count; ++i) {
        size_t item = rdg_rlp_list_begin(out);
        rdg_rlp_put_bytes(out, rdg_bytes(g->alloc[i].address.b, sizeof g->alloc[i].address.b));
        rdg_rlp_put_uint(out, rdg_bytes(g->alloc[i].balance.b, sizeof g->alloc[i].balance.b));
        rdg_rlp_list_end(out, item);
    }
    rdg_rlp_list_end(out, list);
}

rdg_err_t rdg_genesis_rehash(rdg_genesis_t *g) {
    rdg_buf_t b;
    rdg_buf_init(&b, RDG_GENESIS_BYTES_MAX);
    size_t list = rdg_rlp_list_begin(&b);
    rdg_rlp_put_u64(&b, GENESIS_VERSION);
    rdg_rlp_put_str(&b, g->name);
    rdg_rlp_put_u64(&b, g->validators.chain_id);
    rdg_rlp_put_u64(&b, g->time_ms);
    rdg_rlp_put_str(&b, g->consensus);
    put_lists(g, &b);
    rdg_err_t err = rdg_rlp_list_end(&b, list);
    rdg_bytes_t view = rdg_buf_view(&b);
    if (err == RDG_OK) rdg_sm3_tagged(RDG_DOMAIN_GENESIS, &view, 1, &g->hash);
    rdg_buf_fini(&b);
    return err;
}

static json_t *params_json(const rdg_chain_params_t *p) {
    return json_pack("{sI sI sI sI sI ss sI sI}", "block_interval_ms", (json_int_t)p->block_interval_ms,
                     "empty_block_ms", (json_int_t)p->empty_block_ms, "block_gas_limit",
                     (json_int_t)p->block_gas_limit, "tx_gas_limit", (json_int_t)p->tx_gas_limit,
                     "block_tx_max", (json_int_t)p->block_tx_max, "evm_revision",
                     p->revision == RDG_EVM_SHANGHAI ? "shanghai" : "cancun", "view_timeout_ms",
                     (json_int_t)p->view_timeout_ms, "rotate_every", (json_int_t)p->rotate_every);
}

static bool fill_json(const rdg_genesis_t *g, json_t *root) {
    bool ok = true;
    json_t *validators = json_array(), *admins = json_array(), *alloc = json_object();
    for (uint32_t i = 0; i < g->validators.count; ++i) {
        const uint8_t *key = g->validators.keys[i].b;
        json_t *v = json_object();
        ok &= !json_object_set_new(v, "name", json_string(g->validator_names[i]));
        ok &= !json_object_set_new(v, "key", rdg_json_hex(key, sizeof g->validators.keys[i].b));
        uint32_t weight = rdg_validators_weight(&g->validators, i);
        if (weight != 1) ok &= !json_object_set_new(v, "weight", json_integer(weight));
        ok &= !json_array_append_new(validators, v);
    }
    for (uint32_t i = 0; i < g->admin_count; ++i)
        ok &= !json_array_append_new(admins, rdg_json_hex(g->admins[i].b, sizeof g->admins[i].b));
    for (uint32_t i = 0; i < g->alloc_count; ++i) {
        char balance[80];
        json_t *address = rdg_json_hex(g->alloc[i].address.b, sizeof g->alloc[i].address.b);
        word_to_decimal(&g->alloc[i].balance, balance);
        ok &= address && !json_object_set_new(alloc, json_string_value(address), json_string(balance));
        json_decref(address);
    }
    ok &= !json_object_set_new(root, "validators", validators);
    ok &= !json_object_set_new(root, "admins", admins);
    ok &= !json_object_set_new(root, "params", params_json(&g->params));
    ok &= !json_object_set_new(root, "alloc", alloc);
    return ok;
}

rdg_err_t rdg_genesis_format(rdg_genesis_t *g, rdg_buf_t *out) {
    RDG_TRY(rdg_genesis_sort_alloc(g));
    RDG_TRY(rdg_genesis_rehash(g));
    json_t *root = json_pack("{si ss sI sI ss}", "version", GENESIS_VERSION, "name", g->name, "chain_id",
                             (json_int_t)g->validators.chain_id, "time_ms", (json_int_t)g->time_ms,
                             "consensus", g->consensus);
    rdg_err_t err = root && fill_json(g, root) ? rdg_json_dump_pretty(root, out) : RDG_E_NO_MEMORY;
    json_decref(root);
    return err;
}
