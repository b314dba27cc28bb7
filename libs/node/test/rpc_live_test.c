/* What JSON-RPC keeps between calls (filters, subscriptions), and what it computes for them: overrides, traces,
 * proofs. On a chain of one node whose user sends transactions to code that emits one log each. */
#include "cluster.h"
#include "rpc_internal.h"
#include "ridge/base/clock.h"
#include "ridge/codec/hex.h"
#include "ridge/ledger/evidence.h"
#include "ridge/net/http_client.h"
#include "ridge/net/stream.h"
#include "ridge/test.h"
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* Init code of a contract that emits LOG1 with topic 7 and returns 42; reverts with one byte when called with data. */
static const char emitter[] = "0x601b600c600039601b6000f3"
                              "36601557600760006000a1602a60005260206000f35b60016000fd";

typedef struct world {
    cluster_t c;
    json_t *deployed; /* receipt */
    rdg_address_t contract;
    char address[43];
} world_t;

static json_t *json_of(const char *text) {
    json_t *v = NULL;
    CHECK_OK(rdg_json_parse(rdg_bytes_str(text), &v));
    return v;
}

static const char *text_of(const json_t *o, const char *field) {
    const char *text = json_string_value(json_object_get(o, field));
    return text ? text : "(no string)";
}

static json_t *send_tx(world_t *w, const rdg_address_t *to, rdg_bytes_t data, rdg_hash_t *id) {
    char code[32];
    rdg_tx_t *tx = cluster_sign(&w->c, (rdg_tx_fields_t){.to = to, .data = data, .gas_limit = 500000});
    cluster_send(&w->c, 0, tx->raw, code);
    CHECK_STR(code, "");
    json_t *receipt = cluster_receipt(&w->c, 0, &tx->id);
    if (id) *id = tx->id;
    rdg_tx_unref(tx);
    return receipt;
}

static void emit(world_t *w, rdg_hash_t *id) {
    json_decref(send_tx(w, &w->contract, rdg_bytes(NULL, 0), id));
}

static void world_init(world_t *w) {
    uint8_t code[64];
    memset(w, 0, sizeof *w);
    cluster_init(&w->c, 1);
    cluster_start_all(&w->c);
    cluster_wait_height(&w->c, 0, 1);
    size_t len = (sizeof emitter - 3) / 2;
    CHECK_OK(rdg_hex_decode(emitter, sizeof emitter - 1, code, len));
    w->deployed = send_tx(w, NULL, rdg_bytes(code, len), NULL);
    snprintf(w->address, sizeof w->address, "%s", text_of(w->deployed, "contractAddress"));
    CHECK_OK(rdg_hex_decode(w->address, strlen(w->address), w->contract.b, sizeof w->contract.b));
}

static void world_fini(world_t *w) {
    json_decref(w->deployed);
    cluster_fini(&w->c);
}

static json_t *rpc(world_t *w, const char *method, json_t *params) {
    char code[32];
    json_t *result = cluster_rpc(&w->c, 0, method, params, code);
    if (!result) rdg_test_fail(__FILE__, __LINE__, "%s: %s", method, code);
    return result;
}

static void refused(world_t *w, const char *method, json_t *params, const char *code, const char *reason) {
    json_t *answer = cluster_call(&w->c, 0, method, params);
    const json_t *error = json_object_get(answer, "error");
    if (strcmp(text_of(json_object_get(error, "data"), "code"), code) != 0 ||
        !strstr(text_of(error, "message"), reason))
        rdg_test_fail(__FILE__, __LINE__, "%s: %s (%s), want %s (%s)", method, text_of(error, "message"),
                      text_of(json_object_get(error, "data"), "code"), code, reason);
    json_decref(answer);
}

TEST(calls_find_the_state_that_their_overrides_say) {
    world_t w;
    world_init(&w);
    static const char other[] = "0x2222222222222222222222222222222222222222";
    /* returns the word of slot 1 */
    static const char reader[] = "0x60015460005260206000f3";
    char text[512];
    snprintf(text, sizeof text,
             "[{\"to\":\"%s\"},\"latest\",{\"%s\":{\"code\":\"%s\",\"stateDiff\":{\"0x1\":\"0x63\"}}}]",
             other, other, reader);
    json_t *got = rpc(&w, "eth_call", json_of(text));
    CHECK_STR(json_string_value(got), "0x0000000000000000000000000000000000000000000000000000000000000063");
    json_decref(got);
    snprintf(text, sizeof text, "[{\"to\":\"%s\"},\"latest\",{\"%s\":{\"code\":\"%s\",\"state\":{}}}]",
             w.address, w.address, reader);
    got = rpc(&w, "eth_call", json_of(text));
    CHECK_STR(json_string_value(got), "0x0000000000000000000000000000000000000000000000000000000000000000");
    json_decref(got);
    /* the balance of itself */
    snprintf(text, sizeof text,
             "[{\"to\":\"%s\"},\"latest\",{\"%s\":{\"code\":\"0x4760005260206000f3\",\"balance\":\"0x5\"}}]",
             other, other);
    got = rpc(&w, "eth_call", json_of(text));
    CHECK_STR(json_string_value(got), "0x0000000000000000000000000000000000000000000000000000000000000005");
    json_decref(got);
    got = rpc(&w, "eth_getCode", json_pack("[s, s]", other, "latest"));
    CHECK_STR(json_string_value(got), "0x"); /* nothing of it stayed */
    json_decref(got);
    refused(&w, "eth_call", json_of("[{},\"latest\",{\"0x12\":{}}]"), "INVALID", "override: address");
    refused(&w, "eth_call", json_of("[{},\"latest\",7]"), "INVALID", "overrides: want an object");
    refused(&w, "eth_call",
            json_of("[{},\"latest\",{\"0x2222222222222222222222222222222222222222\":{\"x\":1}}]"), "INVALID",
            "not \"x\"");
    world_fini(&w);
}

TEST(filters_tell_what_is_new_since_they_were_asked) {
    world_t w;
    world_init(&w);
    char text[256];
    snprintf(text, sizeof text, "[{\"address\":\"%s\",\"topics\":[\"0x7\"]}]", w.address);
    json_t *logs = rpc(&w, "eth_newFilter", json_of(text));
    json_t *blocks = rpc(&w, "eth_newBlockFilter", json_array());
    json_t *got = rpc(&w, "eth_getFilterChanges", json_pack("[O]", logs));
    CHECK_EQ(json_array_size(got), 0);
    json_decref(got);
    emit(&w, NULL);
    emit(&w, NULL);
    got = rpc(&w, "eth_getFilterChanges", json_pack("[O]", logs));
    CHECK_EQ(json_array_size(got), 2);
    CHECK_STR(text_of(json_array_get(got, 0), "address"), w.address);
    json_decref(got);
    got = rpc(&w, "eth_getFilterChanges", json_pack("[O]", logs));
    CHECK_EQ(json_array_size(got), 0);
    json_decref(got);
    got = rpc(&w, "eth_getFilterChanges", json_pack("[O]", blocks));
    CHECK(json_array_size(got) >= 2);
    json_t *block = rpc(&w, "eth_getBlockByHash", json_pack("[O, b]", json_array_get(got, 0), 0));
    CHECK(json_is_object(block));
    json_decref(block);
    json_decref(got);
    got = rpc(&w, "eth_uninstallFilter", json_pack("[O]", logs));
    CHECK(json_is_true(got));
    json_decref(got);
    got = rpc(&w, "eth_uninstallFilter", json_pack("[O]", logs));
    CHECK(json_is_false(got));
    json_decref(got);
    refused(&w, "eth_getFilterChanges", json_pack("[O]", logs), "NOT_FOUND", "filter not found");
    refused(&w, "eth_getFilterChanges", json_of("[\"\"]"), "NOT_FOUND", "filter not found");
    refused(&w, "eth_getFilterLogs", json_pack("[O]", blocks), "INVALID", "has no logs");
    json_decref(logs);
    json_decref(blocks);
    for (int i = 0; i < 255; ++i) json_decref(rpc(&w, "eth_newBlockFilter", json_array()));
    refused(&w, "eth_newBlockFilter", json_array(), "FULL", "at most 256 filters");
    world_fini(&w);
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
    cluster_send(&c, 0, tx->raw, code); /* refused, so not told of again */
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
    world_t w;
    rdg_hash_t id;
    uint64_t gas = 0;
    world_init(&w);
    json_t *receipt = send_tx(&w, &w.contract, rdg_bytes(NULL, 0), &id);
    CHECK_OK(rdg_json_quantity_parse(json_object_get(receipt, "gasUsed"), &gas));
    json_decref(receipt);
    json_t *hash = rdg_json_hex(id.b, sizeof id.b);
    json_t *got = rpc(&w, "debug_traceTransaction", json_pack("[O]", hash));
    CHECK_EQ(json_integer_value(json_object_get(got, "gas")), (json_int_t)gas);
    CHECK(json_is_false(json_object_get(got, "failed")));
    const json_t *steps = json_object_get(got, "structLogs");
    CHECK_STR(text_of(json_array_get(steps, 0), "op"), "CALLDATASIZE");
    CHECK_STR(text_of(json_array_get(steps, json_array_size(steps) - 1), "op"), "RETURN");
    CHECK_EQ(json_integer_value(json_object_get(json_array_get(steps, 0), "gasCost")), 2);
    json_decref(got);
    got = rpc(&w, "debug_traceTransaction", json_pack("[O, {s:s}]", hash, "tracer", "callTracer"));
    CHECK_STR(text_of(got, "type"), "CALL");
    CHECK_STR(text_of(got, "to"), w.address);
    CHECK(!json_object_get(got, "error"));
    json_decref(got);
    got = rpc(&w, "debug_traceCall",
              json_pack("[{s:s, s:s}, s, {s:s}]", "to", w.address, "data", "0x01", "latest", "tracer",
                        "callTracer"));
    CHECK_STR(text_of(got, "error"), "execution reverted");
    CHECK_STR(text_of(got, "output"), "0x00");
    json_decref(got);
    got = rpc(&w, "debug_traceCall",
              json_pack("[{s:s}, s, {s:i, s:b}]", "to", w.address, "latest", "limit", 2, "disableStack", 1));
    CHECK_EQ(json_array_size(json_object_get(got, "structLogs")), 2);
    CHECK(!json_object_get(json_array_get(json_object_get(got, "structLogs"), 0), "stack"));
    json_decref(got);
    refused(&w, "debug_traceTransaction", json_pack("[O, {s:s}]", hash, "tracer", "prestateTracer"),
            "UNSUPPORTED", "callTracer");
    /* A trace without end is cut by its size: a loop that fills its trace until the gas is used up. */
    refused(&w, "debug_traceCall", json_of("[{\"data\":\"0x5b600056\"},\"latest\"]"), "TOO_LARGE",
            "disableStack");
    CHECK_EQ(cluster_stop(&w.c, 0), 0);
    cluster_start(&w.c, 0);
    cluster_wait_rpc(&w.c, 0);
    refused(&w, "debug_traceTransaction", json_pack("[O]", hash), "UNSUPPORTED", "is not kept");
    json_decref(hash);
    world_fini(&w);
}

static void bytes_of(const json_t *v, rdg_buf_t *out) {
    const char *text = json_string_value(v);
    rdg_buf_init(out, 16u << 20);
    CHECK(text);
    CHECK_OK(rdg_hex_decode_buf(text, strlen(text), out));
}

TEST(state_and_receipts_are_proven_to_who_knows_the_genesis) {
    world_t w;
    rdg_hash_t id, root, path;
    rdg_buf_t proof;
    rdg_bytes_t value;
    bool present;
    world_init(&w);
    emit(&w, &id);
    json_t *got = rpc(&w, "eth_getProof", json_pack("[s, [s], s]", w.address, "0x3", "latest"));
    CHECK_OK(rdg_json_get_hex(got, "stateRoot", root.b, sizeof root.b));
    bytes_of(json_array_get(json_object_get(got, "accountProof"), 0), &proof);
    rdg_state_account_path(&w.contract, &path);
    CHECK_OK(rdg_proof_verify(rdg_buf_view(&proof), &root, &path, &present, &value));
    CHECK(present);
    rdg_buf_fini(&proof);
    const json_t *slot = json_array_get(json_object_get(got, "storageProof"), 0);
    CHECK_STR(text_of(slot, "value"), "0x0");
    bytes_of(json_array_get(json_object_get(slot, "proof"), 0), &proof);
    rdg_word_t key = {{0}};
    key.b[31] = 3;
    rdg_state_slot_path(&w.contract, &key, &path);
    CHECK_OK(rdg_proof_verify(rdg_buf_view(&proof), &root, &path, &present, &value));
    CHECK(!present);
    rdg_buf_fini(&proof);
    json_decref(got);
    refused(&w, "eth_getProof", json_pack("[s, [], s]", w.address, "0x1"), "UNSUPPORTED", "use 'latest'");

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
    world_fini(&w);
}

TEST(a_node_without_keys_signs_nothing_and_pages_of_a_browser_are_refused) {
    world_t w;
    world_init(&w);
    json_t *got = rpc(&w, "eth_accounts", json_array());
    CHECK_EQ(json_array_size(got), 0);
    json_decref(got);
    refused(&w, "eth_sendTransaction", json_pack("[{s:s}]", "from", w.address), "UNSUPPORTED", "--rpc-keys");
    refused(&w, "eth_sendRawTransaction", json_of("[\"0x02f8\"]"), "UNSUPPORTED", "ridge_sendTransaction");
    refused(&w, "eth_subscribe", json_of("[\"newHeads\"]"), "UNSUPPORTED", "need a WebSocket");
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
    world_fini(&w);
}

/* --- a WebSocket client of a few lines -------------------------------------------------------------------- */

typedef struct ws {
    int fd;
    rdg_buf_t in;
} ws_t;

static void ws_read(ws_t *s) {
    uint8_t part[8192];
    struct pollfd p = {s->fd, POLLIN, 0};
    CHECK(poll(&p, 1, 30000) == 1);
    ssize_t got = recv(s->fd, part, sizeof part, 0);
    CHECK(got > 0);
    CHECK_OK(rdg_buf_append(&s->in, part, (size_t)got));
}

static void ws_open(ws_t *s, uint16_t port) {
    static const char request[] =
        "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const char *end;
    rdg_buf_init(&s->in, 16u << 20);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(s->fd, (const struct sockaddr *)&to, sizeof to) == 0);
    CHECK(write(s->fd, request, sizeof request - 1) == sizeof request - 1);
    while (!(end = strstr(rdg_buf_cstr(&s->in), "\r\n\r\n"))) ws_read(s);
    CHECK(strstr(rdg_buf_cstr(&s->in), "101"));
    rdg_buf_consume(&s->in, (size_t)(end + 4 - rdg_buf_cstr(&s->in)));
}

static void ws_send(ws_t *s, const char *text) {
    uint8_t head[8] = {0x81}; /* and a mask of zeros */
    size_t len = strlen(text), size = len < 126 ? 6 : 8;
    head[1] = (uint8_t)(0x80 | (len < 126 ? len : 126));
    if (len >= 126) head[2] = (uint8_t)(len >> 8), head[3] = (uint8_t)len;
    CHECK(write(s->fd, head, size) == (ssize_t)size);
    CHECK(write(s->fd, text, len) == (ssize_t)len);
}

static json_t *ws_next(ws_t *s) {
    json_t *v = NULL;
    while (s->in.len < 2) ws_read(s);
    CHECK_EQ(s->in.data[0], 0x81);
    size_t len = s->in.data[1], head = len == 127 ? 10 : len == 126 ? 4 : 2;
    while (s->in.len < head) ws_read(s);
    if (len == 126) len = (size_t)s->in.data[2] << 8 | s->in.data[3];
    if (len == 127) len = (size_t)rdg_load_be64(s->in.data + 2);
    while (s->in.len < head + len) ws_read(s);
    CHECK_OK(rdg_json_parse(rdg_bytes(s->in.data + head, len), &v));
    rdg_buf_consume(&s->in, head + len);
    return v;
}

static void ws_close(ws_t *s) {
    close(s->fd);
    rdg_buf_fini(&s->in);
}

static const json_t *told(const json_t *message, const char *id) {
    const json_t *params = json_object_get(message, "params");
    CHECK_STR(text_of(message, "method"), "eth_subscription");
    return strcmp(text_of(params, "subscription"), id) == 0 ? json_object_get(params, "result") : NULL;
}

TEST(subscriptions_are_told_of_heads_and_logs_in_order) {
    world_t w;
    ws_t s;
    world_init(&w);
    ws_open(&s, w.c.rpc_ports[0]);
    ws_send(&s, "{\"id\":1,\"method\":\"eth_subscribe\",\"params\":[\"logs\",{\"topics\":[\"0x7\"]}]}");
    json_t *logs = ws_next(&s);
    ws_send(&s, "{\"id\":2,\"method\":\"eth_subscribe\",\"params\":[\"newHeads\"]}");
    json_t *heads = ws_next(&s);
    const char *logs_id = text_of(logs, "result"), *heads_id = text_of(heads, "result");
    uint64_t last = 0, height, seen_logs = 0;
    json_t *message = ws_next(&s); /* the head as it is */
    CHECK(told(message, heads_id));
    CHECK_OK(rdg_json_quantity_parse(json_object_get(told(message, heads_id), "number"), &last));
    json_decref(message);
    emit(&w, NULL);
    emit(&w, NULL);
    while (seen_logs < 2) {
        message = ws_next(&s);
        const json_t *log = told(message, logs_id), *head = told(message, heads_id);
        CHECK(log || head);
        if (head) {
            CHECK_OK(rdg_json_quantity_parse(json_object_get(head, "number"), &height));
            CHECK(height == last + 1 || height == last); /* the newest one may be repeated */
            last = height;
        } else {
            CHECK_STR(text_of(log, "address"), w.address);
            ++seen_logs;
        }
        json_decref(message);
    }
    /* A batch works as over HTTP; after its end a subscription says nothing more. */
    char text[256];
    snprintf(text, sizeof text,
             "[{\"id\":3,\"method\":\"eth_unsubscribe\",\"params\":[\"%s\"]},{\"id\":4,\"method\":\"eth_"
             "chainId\"}]",
             heads_id);
    ws_send(&s, text);
    for (message = ws_next(&s); !json_is_array(message); message = ws_next(&s)) json_decref(message);
    CHECK(json_is_true(json_object_get(json_array_get(message, 0), "result")));
    CHECK_STR(text_of(json_array_get(message, 1), "result"), "0x1267");
    json_decref(message);
    emit(&w, NULL);
    message = ws_next(&s);
    CHECK(told(message, logs_id));
    json_decref(message);
    json_decref(logs);
    json_decref(heads);
    ws_close(&s);
    world_fini(&w);
}

TEST(a_subscription_tells_of_each_pending_transaction_once_and_in_order) {
    world_t w;
    ws_t s;
    rdg_hash_t ids[20];
    world_init(&w);
    ws_open(&s, w.c.rpc_ports[0]);
    ws_send(&s, "{\"id\":1,\"method\":\"eth_subscribe\",\"params\":[\"newPendingTransactions\",true]}");
    json_t *answer = ws_next(&s);
    CHECK(strstr(text_of(json_object_get(answer, "error"), "message"), "eth_getTransactionByHash"));
    json_decref(answer);
    ws_send(&s, "{\"id\":1,\"method\":\"eth_subscribe\",\"params\":[\"newPendingTransactions\"]}");
    answer = ws_next(&s);
    for (size_t i = 0; i < 20; ++i) {
        char code[32];
        rdg_tx_t *tx = cluster_tx(&w.c);
        ids[i] = tx->id;
        cluster_send(&w.c, 0, tx->raw, code);
        CHECK_STR(code, "");
        rdg_tx_unref(tx);
    }
    for (size_t i = 0; i < 20; ++i) {
        json_t *message = ws_next(&s), *id = rdg_json_hex(ids[i].b, sizeof ids[i].b);
        CHECK(json_equal(told(message, text_of(answer, "result")), id));
        json_t *tx =
            rpc(&w, "eth_getTransactionByHash", json_pack("[O]", id)); /* waiting, or in a block by now */
        CHECK(json_is_object(tx));
        json_decref(tx);
        json_decref(id);
        json_decref(message);
    }
    json_decref(answer);
    ws_close(&s);
    world_fini(&w);
}

enum { CONNECTIONS = 16, A_CONNECTION = 16 }; /* all that a node serves */

/* One batch that asks for so many; how many it got. why: of the last that it did not get. */
static size_t subscribe_many(ws_t *s, size_t count, char why[200]) {
    char text[4096] = "[";
    size_t len = 1, got = 0, i;
    json_t *answers, *one;
    for (i = 0; i < count; ++i)
        len += (size_t)snprintf(
            text + len, sizeof text - len,
            "%s{\"id\":1,\"method\":\"eth_subscribe\",\"params\":[\"logs\",{\"topics\":[\"0x9\"]}]}",
            i > 0 ? "," : "");
    snprintf(text + len, sizeof text - len, "]");
    ws_send(s, text);
    answers = ws_next(s);
    CHECK_EQ(json_array_size(answers), count);
    json_array_foreach(answers, i, one) {
        got += json_is_string(json_object_get(one, "result"));
        snprintf(why, 200, "%s", text_of(json_object_get(one, "error"), "message"));
    }
    json_decref(answers);
    return got;
}

TEST(subscriptions_are_limited_a_connection_and_a_node_and_end_with_their_connection) {
    world_t w;
    ws_t s[CONNECTIONS], more;
    char why[200];
    world_init(&w);
    ws_open(&more, w.c.rpc_ports[0]);
    for (size_t i = 0; i < CONNECTIONS; ++i) {
        ws_open(&s[i], w.c.rpc_ports[0]);
        CHECK_EQ(subscribe_many(&s[i], A_CONNECTION + 1, why), A_CONNECTION);
        CHECK(strstr(why, "at most 16 subscriptions"));
    }
    CHECK_EQ(subscribe_many(&more, 1, why), 0);
    CHECK(strstr(why, "at most 256 subscriptions"));
    for (size_t i = 0; i < CONNECTIONS; ++i) ws_close(&s[i]);
    /* The node hears of it a moment later. */
    uint64_t until = rdg_mono_ms(rdg_clock_system()) + 30000;
    for (size_t got = 0; got < A_CONNECTION; got += subscribe_many(&more, A_CONNECTION - got, why))
        CHECK(rdg_mono_ms(rdg_clock_system()) < until);
    ws_close(&more);
    emit(&w, NULL);
    world_fini(&w);
}

TEST(subscriptions_to_nothing_and_half_requests_are_refused) {
    world_t w;
    ws_t s;
    world_init(&w);
    ws_open(&s, w.c.rpc_ports[0]);
    ws_send(&s, "{\"id\":1,\"method\":\"eth_subscribe\",\"params\":[\"syncing\"]}");
    json_t *answer = ws_next(&s);
    CHECK(strstr(text_of(json_object_get(answer, "error"), "message"),
                 "want \"newHeads\", \"logs\" or \"newPending"));
    json_decref(answer);
    ws_send(&s, "{\"id\":1,\"method\":");
    answer = ws_next(&s);
    CHECK_EQ(json_integer_value(json_object_get(json_object_get(answer, "error"), "code")), -32700);
    json_decref(answer);
    ws_close(&s);
    emit(&w, NULL);
    world_fini(&w);
}
