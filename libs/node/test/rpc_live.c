#include "rpc_live.h"
#include "ridge/codec/hex.h"
#include "ridge/test.h"
#include <stdio.h>

/* Init code of a contract that emits LOG1 with topic 7 and returns 42; reverts with one byte when called with data. */
static const char emitter[] = "0x601b600c600039601b6000f3"
                              "36601557600760006000a1602a60005260206000f35b60016000fd";

json_t *live_json(const char *text) {
    json_t *v = NULL;
    CHECK_OK(rdg_json_parse(rdg_bytes_str(text), &v));
    return v;
}

const char *live_text(const json_t *o, const char *field) {
    const char *text = json_string_value(json_object_get(o, field));
    return text ? text : "(no string)";
}

json_t *live_send(live_t *w, const rdg_address_t *to, rdg_bytes_t data, rdg_hash_t *id) {
    char code[32];
    rdg_tx_t *tx = cluster_sign(&w->c, (rdg_tx_fields_t){.to = to, .data = data, .gas_limit = 500000});
    cluster_send(&w->c, 0, tx->raw, code);
    CHECK_STR(code, "");
    json_t *receipt = cluster_receipt(&w->c, 0, &tx->id);
    if (id) *id = tx->id;
    rdg_tx_unref(tx);
    return receipt;
}

void live_emit(live_t *w, rdg_hash_t *id) {
    json_decref(live_send(w, &w->contract, rdg_bytes(NULL, 0), id));
}

static void init(live_t *w, unsigned rpc_call_ms, uint64_t log_blocks) {
    uint8_t code[64];
    memset(w, 0, sizeof *w);
    cluster_init(&w->c, 1);
    w->c.rpc_call_ms = rpc_call_ms;
    w->c.log_blocks = log_blocks;
    cluster_start_all(&w->c);
    cluster_wait_height(&w->c, 0, 1);
    size_t len = (sizeof emitter - 3) / 2;
    CHECK_OK(rdg_hex_decode(emitter, sizeof emitter - 1, code, len));
    w->deployed = live_send(w, NULL, rdg_bytes(code, len), NULL);
    snprintf(w->address, sizeof w->address, "%s", live_text(w->deployed, "contractAddress"));
    CHECK_OK(rdg_hex_decode(w->address, strlen(w->address), w->contract.b, sizeof w->contract.b));
}

void live_init(live_t *w) {
    init(w, 0, 0);
}

void live_init_hurried(live_t *w, unsigned rpc_call_ms) {
    init(w, rpc_call_ms, 0);
}

void live_init_narrow(live_t *w, uint64_t log_blocks) {
    init(w, 0, log_blocks);
}

void live_fini(live_t *w) {
    json_decref(w->deployed);
    cluster_fini(&w->c);
}

json_t *live_rpc(live_t *w, const char *method, json_t *params) {
    char code[32];
    json_t *result = cluster_rpc(&w->c, 0, method, params, code);
    if (!result) rdg_test_fail(__FILE__, __LINE__, "%s: %s", method, code);
    return result;
}

void live_refused(live_t *w, const char *method, json_t *params, const char *code, const char *reason) {
    json_t *answer = cluster_call(&w->c, 0, method, params);
    const json_t *error = json_object_get(answer, "error");
    if (strcmp(live_text(json_object_get(error, "data"), "code"), code) != 0 ||
        !strstr(live_text(error, "message"), reason))
        rdg_test_fail(__FILE__, __LINE__, "%s: %s (%s), want %s (%s)", method, live_text(error, "message"),
                      live_text(json_object_get(error, "data"), "code"), code, reason);
    json_decref(answer);
}
