/* More than a chain can execute: who sends it is told so at once and when to come again, and what was taken stays. */
#include "cluster.h"
#include "ridge/client/rpc.h"
#include "ridge/test.h"
#include <stdio.h>
#include <stdlib.h>

#define BLOCK_TXS 20
#define ROOM (2 * BLOCK_TXS) /* two blocks may wait on a chain of which nobody knows yet how fast it is */
#define MORE 10

static json_t *to_batch(rdg_tx_t *const *txs, size_t count) {
    json_t *batch = json_array();
    for (size_t i = 0; i < count; ++i)
        json_array_append_new(batch,
                              json_pack("{s:i, s:s, s:[o]}", "id", (int)i, "method", "ridge_sendTransaction",
                                        "params", rdg_json_hex(txs[i]->raw.data, txs[i]->raw.len)));
    return batch;
}

/* Takes body; the answer is owned. */
static json_t *post(cluster_t *c, json_t *body, unsigned status, unsigned *retry_s) {
    char url[64], *text = json_dumps(body, 0);
    rdg_http_answer_t got;
    json_t *answer = NULL;
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", c->rpc_ports[0]);
    const rdg_http_call_t call = {
        .method = "POST", .url = url, .body = rdg_bytes_str(text), .timeout_ms = 30000};
    CHECK_OK(rdg_http_call(c->http, &call, &got));
    CHECK_EQ(got.status, status);
    CHECK_OK(rdg_json_parse(rdg_buf_view(&got.body), &answer));
    if (retry_s) *retry_s = got.retry_after_s;
    rdg_http_answer_fini(&got);
    json_decref(body);
    free(text);
    return answer;
}

static const char *code_of(const json_t *answer) {
    const json_t *data = json_object_get(json_object_get(answer, "error"), "data");
    const char *code = json_string_value(json_object_get(data, "code"));
    return code ? code : "";
}

static void check_full(const json_t *answer) {
    const json_t *error = json_object_get(answer, "error");
    const char *message = json_string_value(json_object_get(error, "message"));
    CHECK_STR(code_of(answer), "FULL");
    CHECK_EQ(json_integer_value(json_object_get(error, "code")), -32005);
    CHECK(message && strstr(message, "transactions wait") && strstr(message, "again"));
    CHECK(json_integer_value(json_object_get(json_object_get(error, "data"), "retry_after_ms")) > 0);
}

static size_t count_taken(const json_t *answers) {
    size_t taken = 0, i;
    json_t *answer;
    json_array_foreach(answers, i, answer) {
        if (json_object_get(answer, "result"))
            ++taken;
        else
            check_full(answer);
    }
    return taken;
}

static void sign(cluster_t *c, rdg_tx_t **txs, size_t count) {
    for (size_t i = 0; i < count; ++i) txs[i] = cluster_tx(c);
}

static void all_in_blocks(cluster_t *c, rdg_tx_t **txs, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        json_decref(cluster_receipt(c, 0, &txs[i]->id));
        rdg_tx_unref(txs[i]);
    }
}

/* Our own client tells it of each. */
static void check_batch_full(rdg_rpc_t *rpc, rdg_tx_t *const *txs) {
    json_t *params[2], *results[2];
    rdg_err_t errs[2];
    for (size_t i = 0; i < 2; ++i)
        params[i] = json_pack("[o]", rdg_json_hex(txs[i]->raw.data, txs[i]->raw.len));
    CHECK_OK(rpc->batch(rpc->ctx, "ridge_sendTransaction", params, 2, results, errs));
    for (size_t i = 0; i < 2; ++i) {
        CHECK_EQ(errs[i], RDG_E_FULL);
        CHECK(results[i] == NULL);
        json_decref(params[i]);
    }
}

static void send_until_taken(rdg_rpc_t *rpc, const rdg_tx_t *tx) {
    rdg_err_t err;
    while ((err = rdg_rpc_send(rpc, tx)) == RDG_E_FULL) cluster_pause(50);
    CHECK_OK(err);
}

/* Alone a node of four has no quorum, so that what it takes waits. */
TEST(what_does_not_fit_is_refused_before_its_signature_and_what_was_taken_is_executed) {
    cluster_t c;
    rdg_tx_t *txs[ROOM + MORE];
    rdg_rpc_t *rpc = NULL;
    char url[64];
    unsigned retry_s = 0;
    cluster_init(&c, 4);
    cluster_use_small_blocks(&c, BLOCK_TXS);
    cluster_start(&c, 0);
    sign(&c, txs, ROOM + MORE);
    cluster_wait_rpc(&c, 0);
    json_t *answers = post(&c, to_batch(txs, ROOM + MORE), 200, &retry_s);
    CHECK_EQ(count_taken(answers), ROOM);
    CHECK_EQ(retry_s, 0); /* a part was taken */
    json_decref(answers);

    answers = post(&c, to_batch(txs + ROOM, MORE), 429, &retry_s);
    check_full(answers); /* one for all of them */
    CHECK(retry_s > 0);
    json_decref(answers);

    /* A signature that does not verify is not even looked at. */
    uint8_t wire[1024];
    size_t len = txs[ROOM]->raw.len;
    CHECK(len <= sizeof wire);
    memcpy(wire, txs[ROOM]->raw.data, len);
    wire[len - 40] ^= 1;
    json_t *answer = cluster_call(&c, 0, "ridge_sendTransaction", json_pack("[o]", rdg_json_hex(wire, len)));
    check_full(answer);
    json_decref(answer);

    /* Beside another call it is read: who lost an answer learns that the transaction is there. */
    json_t *mixed = to_batch(txs, 1);
    json_array_append_new(mixed,
                          json_pack("{s:i, s:s, s:[]}", "id", 1, "method", "eth_blockNumber", "params"));
    answers = post(&c, mixed, 200, NULL);
    CHECK_STR(code_of(json_array_get(answers, 0)), "DUPLICATE");
    CHECK_STR(json_string_value(json_object_get(json_array_get(answers, 1), "result")), "0x0");
    json_decref(answers);

    snprintf(url, sizeof url, "http://127.0.0.1:%u/", c.rpc_ports[0]);
    CHECK_OK(rdg_rpc_http_new(url, 30000, &rpc));
    CHECK_ERR(rdg_rpc_send(rpc, txs[ROOM]), RDG_E_FULL);
    check_batch_full(rpc, txs + ROOM);
    for (size_t i = 1; i < 4; ++i) cluster_start(&c, i);
    for (size_t i = ROOM; i < ROOM + MORE; ++i) send_until_taken(rpc, txs[i]);
    all_in_blocks(&c, txs, ROOM + MORE);
    rdg_rpc_http_free(rpc);
    cluster_fini(&c);
}

/* More than is given to a peer when its link comes up, so that the rest has to be sent again. */
#define STUCK 300

TEST(what_only_one_node_has_comes_to_the_others_and_into_blocks) {
    cluster_t c;
    rdg_tx_t *txs[STUCK];
    cluster_init(&c, 4);
    cluster_start(&c, 0);
    sign(&c, txs, STUCK);
    cluster_wait_rpc(&c, 0);
    for (size_t i = 0; i < STUCK; i += 100) {
        json_t *answers = post(&c, to_batch(txs + i, 100), 200, NULL);
        CHECK_EQ(count_taken(answers), 100);
        json_decref(answers);
    }
    for (size_t i = 1; i < 4; ++i) cluster_start(&c, i);
    all_in_blocks(&c, txs, STUCK);
    cluster_fini(&c);
}
