/* Any body of any HTTP request: an answer that is JSON (or none, to notifications) comes back, and each call of
 * it has a result or an error with a text. */
#include <stdio.h>
#include <stdlib.h>
#include "ridge/base/assert.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/node/rpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static rdg_ledger_t *ledger;
static rdg_pool_t *pool;
static char dir[64];

static rdg_err_t submit(void *ctx, rdg_bytes_t wire, rdg_hash_t *id) {
    rdg_tx_t *tx = NULL;
    (void)ctx;
    RDG_TRY(rdg_tx_decode(wire, &tx));
    *id = tx->id;
    rdg_err_t err = rdg_ledger_admit(ledger, pool, tx);
    rdg_tx_unref(tx);
    return err;
}

static rdg_err_t status(void *ctx, json_t **out) {
    (void)ctx;
    *out = json_object();
    return RDG_OK;
}

static void remove_dir(void) {
    rdg_ledger_close(ledger);
    (void)rdg_tree_remove(dir, NULL);
}

static rdg_node_rpc_t *open_rpc(void) {
    static rdg_genesis_t g = {.name = "fuzz", .consensus = "pbft", .time_ms = 1700000000000ull};
    rdg_sm2_key_t *key = NULL;
    rdg_node_rpc_t *rpc = NULL;
    rdg_log_set_level(RDG_LOG_ERROR);
    snprintf(dir, sizeof dir, "/tmp/ridge-fuzz-rpc-%llu",
             (unsigned long long)rdg_mono_us(rdg_clock_system()));
    RDG_ASSERT(rdg_sm2_key_generate(&key) == RDG_OK);
    rdg_sm2_key_public(key, &g.validators.keys[0]);
    rdg_sm2_key_free(key);
    g.validators.chain_id = 7;
    g.validators.count = 1;
    snprintf(g.validator_names[0], sizeof g.validator_names[0], "one");
    rdg_chain_params_default(&g.params);
    g.params.tx_gas_limit = 300000; /* a call shall not take long */
    rdg_buf_t text;
    rdg_buf_init(&text, RDG_GENESIS_BYTES_MAX);
    RDG_ASSERT(rdg_genesis_format(&g, &text) == RDG_OK);
    rdg_buf_fini(&text);
    rdg_ledger_options_t options = {.memory_store = true};
    RDG_ASSERT(rdg_ledger_open(dir, &g, &options, &ledger) == RDG_OK);
    rdg_pool_limits_t limits = {100, 1u << 20, 100};
    RDG_ASSERT(rdg_pool_new(&limits, 7, g.params.tx_gas_limit, &pool) == RDG_OK);
    rdg_node_rpc_options_t o = {.ledger = ledger, .pool = pool, .submit = submit, .status = status};
    RDG_ASSERT(rdg_node_rpc_new(&o, &rpc) == RDG_OK);
    atexit(remove_dir);
    return rpc;
}

static void check_one(const json_t *answer) {
    const json_t *error = json_object_get(answer, "error");
    RDG_ASSERT(!error != !json_object_get(answer, "result"));
    RDG_ASSERT(json_object_get(answer, "id"));
    RDG_ASSERT(!error || json_is_string(json_object_get(error, "message")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static rdg_node_rpc_t *rpc;
    rdg_buf_t out;
    json_t *answer = NULL, *one;
    size_t i;
    if (!rpc) rpc = open_rpc();
    rdg_buf_init(&out, 1u << 20);
    RDG_ASSERT(!rdg_node_rpc_waits(rpc, rdg_bytes(data, size))); /* nothing is in the pool */
    RDG_ASSERT(rdg_node_rpc_handle(rpc, NULL, rdg_bytes(data, size), &out, NULL) == RDG_OK);
    if (out.len > 0) {
        RDG_ASSERT(rdg_json_parse(rdg_buf_view(&out), &answer) == RDG_OK);
        if (json_is_array(answer))
            json_array_foreach(answer, i, one) check_one(one);
        else
            check_one(answer);
    }
    json_decref(answer);
    rdg_buf_fini(&out);
    return 0;
}
