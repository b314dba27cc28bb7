/* What JSON-RPC keeps between calls (filters), and what it computes for them: overrides, traces,
 * proofs. On a chain of one node whose user sends transactions to code that emits one log each. */
#include "rpc_internal.h"
#include "rpc_live.h"
#include "ridge/base/clock.h"
#include "ridge/codec/hex.h"
#include "ridge/ledger/evidence.h"
#include "ridge/net/http_client.h"
#include "ridge/test.h"
#include <stdio.h>

TEST(calls_find_the_state_that_their_overrides_say) {
    live_t w;
    live_init(&w);
    static const char other[] = "0x2222222222222222222222222222222222222222";
    /* returns the word of slot 1 */
    static const char reader[] = "0x60015460005260206000f3";
    char text[512];
    snprintf(text, sizeof text,
             "[{\"to\":\"%s\"},\"latest\",{\"%s\":{\"code\":\"%s\",\"stateDiff\":{\"0x1\":\"0x63\"}}}]",
             other, other, reader);
    json_t *got = live_rpc(&w, "eth_call", live_json(text));
    CHECK_STR(json_string_value(got), "0x0000000000000000000000000000000000000000000000000000000000000063");
    json_decref(got);
    snprintf(text, sizeof text, "[{\"to\":\"%s\"},\"latest\",{\"%s\":{\"code\":\"%s\",\"state\":{}}}]",
             w.address, w.address, reader);
    got = live_rpc(&w, "eth_call", live_json(text));
    CHECK_STR(json_string_value(got), "0x0000000000000000000000000000000000000000000000000000000000000000");
    json_decref(got);
    /* the balance of itself */
    snprintf(text, sizeof text,
             "[{\"to\":\"%s\"},\"latest\",{\"%s\":{\"code\":\"0x4760005260206000f3\",\"balance\":\"0x5\"}}]",
             other, other);
    got = live_rpc(&w, "eth_call", live_json(text));
    CHECK_STR(json_string_value(got), "0x0000000000000000000000000000000000000000000000000000000000000005");
    json_decref(got);
    got = live_rpc(&w, "eth_getCode", json_pack("[s, s]", other, "latest"));
    CHECK_STR(json_string_value(got), "0x"); /* nothing of it stayed */
    json_decref(got);
    live_refused(&w, "eth_call", live_json("[{},\"latest\",{\"0x12\":{}}]"), "INVALID", "override: address");
    live_refused(&w, "eth_call", live_json("[{},\"latest\",7]"), "INVALID", "overrides: want an object");
    live_refused(&w, "eth_call",
                 live_json("[{},\"latest\",{\"0x2222222222222222222222222222222222222222\":{\"x\":1}}]"),
                 "INVALID", "not \"x\"");
    live_fini(&w);
}

TEST(filters_tell_what_is_new_since_they_were_asked) {
    live_t w;
    live_init(&w);
    char text[256];
    snprintf(text, sizeof text, "[{\"address\":\"%s\",\"topics\":[\"0x7\"]}]", w.address);
    json_t *logs = live_rpc(&w, "eth_newFilter", live_json(text));
    json_t *blocks = live_rpc(&w, "eth_newBlockFilter", json_array());
    json_t *got = live_rpc(&w, "eth_getFilterChanges", json_pack("[O]", logs));
    CHECK_EQ(json_array_size(got), 0);
    json_decref(got);
    live_emit(&w, NULL);
    live_emit(&w, NULL);
    got = live_rpc(&w, "eth_getFilterChanges", json_pack("[O]", logs));
    CHECK_EQ(json_array_size(got), 2);
    CHECK_STR(live_text(json_array_get(got, 0), "address"), w.address);
    json_decref(got);
    got = live_rpc(&w, "eth_getFilterChanges", json_pack("[O]", logs));
    CHECK_EQ(json_array_size(got), 0);
    json_decref(got);
    got = live_rpc(&w, "eth_getFilterChanges", json_pack("[O]", blocks));
    CHECK(json_array_size(got) >= 2);
    json_t *block = live_rpc(&w, "eth_getBlockByHash", json_pack("[O, b]", json_array_get(got, 0), 0));
    CHECK(json_is_object(block));
    json_decref(block);
    json_decref(got);
    got = live_rpc(&w, "eth_uninstallFilter", json_pack("[O]", logs));
    CHECK(json_is_true(got));
    json_decref(got);
    got = live_rpc(&w, "eth_uninstallFilter", json_pack("[O]", logs));
    CHECK(json_is_false(got));
    json_decref(got);
    live_refused(&w, "eth_getFilterChanges", json_pack("[O]", logs), "NOT_FOUND", "filter not found");
    live_refused(&w, "eth_getFilterChanges", live_json("[\"\"]"), "NOT_FOUND", "filter not found");
    live_refused(&w, "eth_getFilterLogs", json_pack("[O]", blocks), "INVALID", "has no logs");
    json_decref(logs);
    json_decref(blocks);
    for (int i = 0; i < 255; ++i) json_decref(live_rpc(&w, "eth_newBlockFilter", json_array()));
    live_refused(&w, "eth_newBlockFilter", json_array(), "FULL", "at most 256 filters");
    live_fini(&w);
}

/* --- pending transactions ---------------------------------------------------------------------------------- */

TEST(of_pending_transactions_the_last_are_kept_for_who_reads_slowly) {
    pending_t *p = NULL;
    uint64_t at = 0, late;
    rdg_hash_t id = {{0}}, out[8];
    CHECK_OK(pending_new(&p));
    CHECK(!pending_note(p, &id)); /* nobody wants to know */
    CHECK_OK(pending_watch(p, &at));
    late = at;
    for (uint32_t i = 0; i < 5000; ++i) {
        rdg_store_be32(id.b, i);
        CHECK(pending_note(p, &id));
        if (i >= 4) continue; /* this reader keeps up for a while */
        CHECK_EQ(pending_since(p, &at, out, 8), 1);
        CHECK_EQ(rdg_load_be32(out[0].b), i);
    }
    CHECK_EQ(pending_since(p, &late, out, 8), 8);
    CHECK_EQ(rdg_load_be32(out[0].b), 5000 - 4096);
    uint32_t last = rdg_load_be32(out[7].b);
    for (size_t n; (n = pending_since(p, &late, out, 8)) > 0; last += (uint32_t)n)
        CHECK_EQ(rdg_load_be32(out[0].b), last + 1);
    CHECK_EQ(last, 4999);
    CHECK_EQ(pending_since(p, &late, out, 8), 0);
    pending_free(p);
}

static json_t *call_node(cluster_t *c, size_t i, const char *method, json_t *params) {
    char code[32];
    json_t *result = cluster_rpc(c, i, method, params, code);
    if (!result) rdg_test_fail(__FILE__, __LINE__, "%s: %s", method, code);
    return result;
}

static void await_pending(cluster_t *c, size_t i, const json_t *filter, const json_t *id) {
    uint64_t until = rdg_mono_ms(rdg_clock_system()) + 30000;
    for (;;) {
        json_t *got = call_node(c, i, "eth_getFilterChanges", json_pack("[O]", filter));
        size_t count = json_array_size(got);
        CHECK(count <= 1 && (count == 0 || json_equal(json_array_get(got, 0), id)));
        json_decref(got);
        if (count == 1) return;
        CHECK(rdg_mono_ms(rdg_clock_system()) < until);
        cluster_pause(10);
    }
}

/* Two validators, of which one is away, so that it waits; and an observer, who has it from the other. */
TEST(filters_tell_of_a_transaction_that_waits_on_every_node_that_has_it) {
    cluster_t c;
    char code[32];
    json_t *filters[3], *got;
    cluster_init_observers(&c, 3, 2);
    cluster_start_all(&c);
    for (size_t i = 0; i < 3; ++i) cluster_wait_height(&c, i, 1);
    cluster_kill(&c, 1);
    for (size_t i = 0; i < 3; i += 2)
        filters[i] = call_node(&c, i, "eth_newPendingTransactionFilter", json_array());
    rdg_tx_t *tx = cluster_tx(&c);
    json_t *id = rdg_json_hex(tx->id.b, sizeof tx->id.b);
    cluster_send(&c, 0, tx->raw, code);
    CHECK_STR(code, "");
    cluster_send(&c, 0, tx->raw, code); /* live_refused, so not told of again */
    CHECK_STR(code, "DUPLICATE");
    for (size_t i = 0; i < 3; i += 2) {
        await_pending(&c, i, filters[i], id);
        got = call_node(&c, i, "eth_getTransactionByHash", json_pack("[O]", id));
        CHECK(json_is_null(json_object_get(got, "blockHash")) && !json_is_null(json_object_get(got, "from")));
        json_decref(got);
        got = call_node(&c, i, "eth_getFilterChanges", json_pack("[O]", filters[i]));
        CHECK_EQ(json_array_size(got), 0);
        json_decref(got);
        CHECK(!cluster_rpc(&c, i, "eth_getFilterLogs", json_pack("[O]", filters[i]), code));
        CHECK_STR(code, "INVALID");
        json_decref(filters[i]);
    }
    CHECK(!cluster_rpc(&c, 0, "eth_newPendingTransactionFilter", json_pack("[b]", 1), code));
    CHECK_STR(code, "UNSUPPORTED");
    json_decref(id);
    rdg_tx_unref(tx);
    cluster_fini(&c);
}

TEST(traces_show_the_execution_that_the_block_had) {
    live_t w;
    rdg_hash_t id;
    uint64_t gas = 0;
    live_init(&w);
    json_t *receipt = live_send(&w, &w.contract, rdg_bytes(NULL, 0), &id);
    CHECK_OK(rdg_json_quantity_parse(json_object_get(receipt, "gasUsed"), &gas));
    json_decref(receipt);
    json_t *hash = rdg_json_hex(id.b, sizeof id.b);
    json_t *got = live_rpc(&w, "debug_traceTransaction", json_pack("[O]", hash));
    CHECK_EQ(json_integer_value(json_object_get(got, "gas")), (json_int_t)gas);
    CHECK(json_is_false(json_object_get(got, "failed")));
    const json_t *steps = json_object_get(got, "structLogs");
    CHECK_STR(live_text(json_array_get(steps, 0), "op"), "CALLDATASIZE");
    CHECK_STR(live_text(json_array_get(steps, json_array_size(steps) - 1), "op"), "RETURN");
    CHECK_EQ(json_integer_value(json_object_get(json_array_get(steps, 0), "gasCost")), 2);
    json_decref(got);
    got = live_rpc(&w, "debug_traceTransaction", json_pack("[O, {s:s}]", hash, "tracer", "callTracer"));
    CHECK_STR(live_text(got, "type"), "CALL");
    CHECK_STR(live_text(got, "to"), w.address);
    CHECK(!json_object_get(got, "error"));
    json_decref(got);
    got = live_rpc(&w, "debug_traceCall",
                   json_pack("[{s:s, s:s}, s, {s:s}]", "to", w.address, "data", "0x01", "latest", "tracer",
                             "callTracer"));
    CHECK_STR(live_text(got, "error"), "execution reverted");
    CHECK_STR(live_text(got, "output"), "0x00");
    json_decref(got);
    got = live_rpc(
        &w, "debug_traceCall",
        json_pack("[{s:s}, s, {s:i, s:b}]", "to", w.address, "latest", "limit", 2, "disableStack", 1));
    CHECK_EQ(json_array_size(json_object_get(got, "structLogs")), 2);
    CHECK(!json_object_get(json_array_get(json_object_get(got, "structLogs"), 0), "stack"));
    json_decref(got);
    live_refused(&w, "debug_traceTransaction", json_pack("[O, {s:s}]", hash, "tracer", "prestateTracer"),
                 "UNSUPPORTED", "callTracer");
    /* A trace without end is cut by its size: a loop that fills its trace until the gas is used up. */
    live_refused(&w, "debug_traceCall", live_json("[{\"data\":\"0x5b600056\"},\"latest\"]"), "TOO_LARGE",
                 "disableStack");
    CHECK_EQ(cluster_stop(&w.c, 0), 0);
    cluster_start(&w.c, 0);
    cluster_wait_rpc(&w.c, 0);
    live_refused(&w, "debug_traceTransaction", json_pack("[O]", hash), "UNSUPPORTED", "is not kept");
    json_decref(hash);
    live_fini(&w);
}

static void bytes_of(const json_t *v, rdg_buf_t *out) {
    const char *text = json_string_value(v);
    rdg_buf_init(out, 16u << 20);
    CHECK(text);
    CHECK_OK(rdg_hex_decode_buf(text, strlen(text), out));
}

TEST(state_and_receipts_are_proven_to_who_knows_the_genesis) {
    live_t w;
    rdg_hash_t id, root, path;
    rdg_buf_t proof;
    rdg_bytes_t value;
    bool present;
    live_init(&w);
    live_emit(&w, &id);
    json_t *got = live_rpc(&w, "eth_getProof", json_pack("[s, [s], s]", w.address, "0x3", "latest"));
    CHECK_OK(rdg_json_get_hex(got, "stateRoot", root.b, sizeof root.b));
    bytes_of(json_array_get(json_object_get(got, "accountProof"), 0), &proof);
    rdg_state_account_path(&w.contract, &path);
    CHECK_OK(rdg_proof_verify(rdg_buf_view(&proof), &root, &path, &present, &value));
    CHECK(present);
    rdg_buf_fini(&proof);
    const json_t *slot = json_array_get(json_object_get(got, "storageProof"), 0);
    CHECK_STR(live_text(slot, "value"), "0x0");
    bytes_of(json_array_get(json_object_get(slot, "proof"), 0), &proof);
    rdg_word_t key = {{0}};
    key.b[31] = 3;
    rdg_state_slot_path(&w.contract, &key, &path);
    CHECK_OK(rdg_proof_verify(rdg_buf_view(&proof), &root, &path, &present, &value));
    CHECK(!present);
    rdg_buf_fini(&proof);
    json_decref(got);
    live_refused(&w, "eth_getProof", json_pack("[s, [], s]", w.address, "0x1"), "UNSUPPORTED",
                 "use 'latest'");

    json_t *hash = rdg_json_hex(id.b, sizeof id.b);
    uint64_t until = rdg_mono_ms(rdg_clock_system()) + 30000;
    char code[32];
    while (!(got = cluster_rpc(&w.c, 0, "ridge_getReceiptProof", json_pack("[O]", hash), code))) {
        CHECK_STR(code, "UNAVAILABLE"); /* until the certificate is there */
        CHECK(rdg_mono_ms(rdg_clock_system()) < until);
        cluster_pause(20);
    }
    rdg_trust_t *trust = NULL;
    rdg_arena_t arena;
    rdg_receipt_evidence_t e;
    CHECK_OK(rdg_trust_new(&w.c.genesis, &trust));
    rdg_arena_init(&arena, 1u << 20);
    bytes_of(json_object_get(got, "evidence"), &proof);
    CHECK_OK(rdg_evidence_verify_receipt(trust, rdg_buf_view(&proof), &arena, &e));
    CHECK(rdg_hash_equal(&e.tx->id, &id));
    CHECK_EQ(e.receipt.log_count, 1);
    rdg_tx_unref(e.tx);
    proof.data[proof.len / 2] ^= 1;
    CHECK(rdg_evidence_verify_receipt(trust, rdg_buf_view(&proof), &arena, &e) != RDG_OK);
    rdg_buf_fini(&proof);
    rdg_arena_fini(&arena);
    rdg_trust_free(trust);
    json_decref(hash);
    json_decref(got);
    live_fini(&w);
}

TEST(a_node_without_keys_signs_nothing_and_pages_of_a_browser_are_refused) {
    live_t w;
    live_init(&w);
    json_t *got = live_rpc(&w, "eth_accounts", json_array());
    CHECK_EQ(json_array_size(got), 0);
    json_decref(got);
    live_refused(&w, "eth_sendTransaction", json_pack("[{s:s}]", "from", w.address), "UNSUPPORTED",
                 "--rpc-keys");
    live_refused(&w, "eth_sendRawTransaction", live_json("[\"0x02f8\"]"), "UNSUPPORTED",
                 "ridge_sendTransaction");
    live_refused(&w, "eth_subscribe", live_json("[\"newHeads\"]"), "UNSUPPORTED", "need a WebSocket");
    char url[64];
    rdg_http_answer_t answer;
    const char *headers[] = {"Origin: http://evil.example"};
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", w.c.rpc_ports[0]);
    rdg_http_call_t call = {.method = "POST",
                            .url = url,
                            .headers = headers,
                            .header_count = 1,
                            .body = rdg_bytes_str("{\"id\":1,\"method\":\"eth_accounts\"}")};
    CHECK_OK(rdg_http_call(w.c.http, &call, &answer));
    CHECK_EQ(answer.status, 403);
    rdg_http_answer_fini(&answer);
    live_fini(&w);
}
