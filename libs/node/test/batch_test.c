/* Transactions that come in one request: verified together, answered each by itself. */
#include "cluster.h"
#include "ridge/codec/hex.h"
#include "ridge/test.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT 40
enum { FORGED = 7, REPEATED = 20, CUT = 30, NUMBER = 31, OTHER = 35, UNSIGNED_AGAIN = 36 };

static json_t *request(size_t i, json_t *param) {
    const char *method = i == OTHER ? "eth_blockNumber" : "ridge_sendTransaction";
    return json_pack("{s:i, s:s, s:[o]}", "id", (int)i, "method", method, "params", param);
}

static const char *code_of(const json_t *answer) {
    const json_t *data = json_object_get(json_object_get(answer, "error"), "data");
    const char *code = json_string_value(json_object_get(data, "code"));
    return code ? code : "";
}

static json_t *send_batch(cluster_t *c, json_t *batch) {
    rdg_buf_t out;
    json_t *answers = NULL;
    char *text = json_dumps(batch, 0);
    rdg_buf_init(&out, 1u << 20);
    CHECK_EQ(cluster_post(c, 0, text, &out), 200);
    CHECK_OK(rdg_json_parse(rdg_buf_view(&out), &answers));
    CHECK_EQ(json_array_size(answers), json_array_size(batch));
    rdg_buf_fini(&out);
    free(text);
    json_decref(batch);
    return answers;
}

static uint64_t batched(cluster_t *c) {
    char url[64];
    rdg_http_answer_t answer;
    rdg_buf_t text;
    snprintf(url, sizeof url, "http://127.0.0.1:%u/metrics", c->rpc_ports[0]);
    const rdg_http_call_t call = {.method = "GET", .url = url, .timeout_ms = 30000};
    CHECK_OK(rdg_http_call(c->http, &call, &answer));
    rdg_buf_init(&text, 1u << 20);
    CHECK_OK(rdg_buf_append(&text, answer.body.data, answer.body.len));
    const char *at = strstr(rdg_buf_cstr(&text), "\nridge_node_signatures_batched_total ");
    CHECK(at != NULL);
    uint64_t value = strtoull(strchr(at, ' '), NULL, 10);
    rdg_buf_fini(&text);
    rdg_http_answer_fini(&answer);
    return value;
}

TEST(a_batch_of_transactions_is_verified_together_and_each_gets_its_own_answer) {
    cluster_t c;
    rdg_tx_t *txs[COUNT];
    uint8_t wire[1024];
    json_t *batch = json_array();
    cluster_init(&c, 1);
    cluster_start_all(&c);
    cluster_wait_height(&c, 0, 1);
    for (size_t i = 0; i < COUNT; ++i) {
        txs[i] = cluster_tx(&c);
        const rdg_tx_t *tx = i == REPEATED ? txs[3] : i == UNSIGNED_AGAIN ? txs[5] : txs[i];
        size_t len = tx->raw.len;
        CHECK(len <= sizeof wire);
        memcpy(wire, tx->raw.data, len);
        /* The second is a good transaction with another's signature: what was found good is the whole of it. */
        if (i == FORGED || i == UNSIGNED_AGAIN) wire[len - 40] ^= 1;
        json_t *param = i == NUMBER ? json_integer(7) : rdg_json_hex(wire, i == CUT ? len - 1 : len);
        json_array_append_new(batch, request(i, param));
    }
    json_t *answers = send_batch(&c, batch), *answer;
    size_t i;
    json_array_foreach(answers, i, answer) {
        CHECK_EQ(json_integer_value(json_object_get(answer, "id")), (json_int_t)i);
        const char *want = i == FORGED                            ? "BAD_SIGNATURE"
                           : i == REPEATED || i == UNSIGNED_AGAIN ? "DUPLICATE"
                           : i == CUT                             ? "MALFORMED"
                           : i == NUMBER                          ? "INVALID"
                                                                  : "";
        CHECK_STR(code_of(answer), want);
    }
    json_decref(answers);
    CHECK(batched(&c) >= COUNT - 3);
    for (i = 0; i < COUNT; ++i) {
        bool sent =
            i != FORGED && i != REPEATED && i != CUT && i != NUMBER && i != OTHER && i != UNSIGNED_AGAIN;
        if (sent) json_decref(cluster_receipt(&c, 0, &txs[i]->id));
    }
    /* The same again: the ledger has them, and no signature is looked at. */
    uint64_t before = batched(&c);
    batch = json_array();
    for (i = 0; i < 6; ++i)
        json_array_append_new(batch, request(i, rdg_json_hex(txs[i]->raw.data, txs[i]->raw.len)));
    answers = send_batch(&c, batch);
    json_array_foreach(answers, i, answer) CHECK_STR(code_of(answer), "DUPLICATE");
    json_decref(answers);
    CHECK_EQ(batched(&c), before);
    for (i = 0; i < COUNT; ++i) rdg_tx_unref(txs[i]);
    cluster_fini(&c);
}

/* What one request proved good must not let another in: the same payload and key, another signature. */
TEST(a_batch_of_forged_transactions_lets_none_in) {
    cluster_t c;
    rdg_tx_t *txs[10];
    uint8_t wire[1024];
    json_t *batch = json_array(), *answer;
    size_t i;
    cluster_init(&c, 1);
    cluster_start_all(&c);
    cluster_wait_height(&c, 0, 1);
    for (i = 0; i < 10; ++i) {
        txs[i] = cluster_tx(&c);
        memcpy(wire, txs[i]->raw.data, txs[i]->raw.len);
        wire[txs[i]->raw.len - 40] ^= 1;
        json_array_append_new(batch, request(i, rdg_json_hex(wire, txs[i]->raw.len)));
    }
    json_t *answers = send_batch(&c, batch);
    json_array_foreach(answers, i, answer) CHECK_STR(code_of(answer), "BAD_SIGNATURE");
    json_decref(answers);
    for (i = 0; i < 10; ++i) rdg_tx_unref(txs[i]);
    cluster_fini(&c);
}

/* A single request with a transaction of its own, of which `form` says how it is written: $ stands for it. */
static void check_form(cluster_t *c, const char *form, const char *id, const char *code) {
    rdg_tx_t *tx = cluster_tx(c);
    rdg_buf_t body, out;
    json_t *answer = NULL, *want = json_loads(id, JSON_DECODE_ANY, NULL), *hash;
    const char *at = strchr(form, '$');
    rdg_buf_init(&body, 1u << 16);
    rdg_buf_init(&out, 1u << 16);
    rdg_buf_append(&body, form, (size_t)(at - form));
    rdg_hex_append(&body, tx->raw.data, tx->raw.len, true);
    rdg_buf_str(&body, at + 1);
    CHECK_EQ(cluster_post(c, 0, rdg_buf_cstr(&body), &out), 200);
    CHECK_OK(rdg_json_parse(rdg_buf_view(&out), &answer));
    const json_t *one = json_is_array(answer) ? json_array_get(answer, 0) : answer;
    CHECK_EQ(json_is_array(answer), form[strspn(form, " ")] == '[');
    CHECK_STR(code_of(one), code);
    CHECK_STR(json_string_value(json_object_get(one, "jsonrpc")), "2.0");
    CHECK(json_equal(json_object_get(one, "id"), want));
    hash = rdg_json_hex(tx->id.b, sizeof tx->id.b);
    if (!*code) CHECK(json_equal(json_object_get(one, "result"), hash));
    json_decref(hash);
    json_decref(want);
    json_decref(answer);
    rdg_buf_fini(&body);
    rdg_buf_fini(&out);
    rdg_tx_unref(tx);
}

/* Some of these are read without a parser and some are not: nobody can tell which. */
TEST(a_transaction_is_taken_in_every_form_that_json_allows_and_in_no_other) {
    static const struct {
        const char *form, *id, *code;
    } cases[] = {
        {"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ridge_sendTransaction\",\"params\":[\"$\"]}", "7", ""},
        {"[{\"id\":0,\"method\":\"ridge_sendTransaction\",\"params\":[\"$\"]}]", "0", ""},
        {" [ {\n\t\"params\" : [ \"$\" ] , \"id\" : \"a/b\",\"method\":\"ridge_sendTransaction\" } ] ",
         "\"a/b\"", ""},
        {"{\"id\":\"\",\"method\":\"ridge_sendTransaction\",\"params\":[\"$\"]}\r\n", "\"\"", ""},
        {"{\"id\":\"\\u4e91\",\"method\":\"ridge_sendTransaction\",\"params\":[\"$\"]}", "\"\\u4e91\"", ""},
        {"{\"id\":\"\xe4\xba\x91\",\"method\":\"ridge_sendTransaction\",\"params\":[\"$\"]}", "\"\\u4e91\"",
         ""},
        {"{\"id\":null,\"method\":\"ridge_sendTransaction\",\"params\":[\"$\"]}", "null", ""},
        {"{\"id\":-1.5,\"method\":\"ridge_sendTransaction\",\"params\":[\"$\"]}", "-1.5", ""},
        {"{\"id\":1,\"method\":\"ridge\\u005fsendTransaction\",\"params\":[\"$\"]}", "1", ""},
        {"{\"id\":1,\"method\":\"ridge_sendTransaction\",\"params\":[\"$\",true],\"more\":{}}", "1", ""},
        {"{\"id\":1,\"method\":\"ridge_sendTransaction\",\"params\":[\"$0\"]}", "1", "MALFORMED"},
        {"{\"id\":1,\"method\":\"ridge_sendTransaction\",\"params\":[\"$zz\"]}", "1", "MALFORMED"},
        {"{\"id\":1,\"method\":\"ridge_sendTransaction\",\"params\":[\" $\"]}", "1", "INVALID"},
        {"{\"id\":1,\"method\":\"ridge_sendTransaction\",\"params\":\"$\"}", "1", "INVALID"},
        {"{\"id\":1,\"id\":2,\"method\":\"ridge_sendTransaction\",\"params\":[\"$\"]}", "null", "MALFORMED"},
        {"{\"id\":01,\"method\":\"ridge_sendTransaction\",\"params\":[\"$\"]}", "null", "MALFORMED"},
        {"{\"id\":1,\"method\":\"ridge_sendTransaction\",\"params\":[\"$\"]},", "null", "MALFORMED"},
        {"{\"id\":1,\"method\":\"ridge_sendTransaction\",\"params\":[\"$\"],}", "null", "MALFORMED"},
        {"{\"id\":1,\"method\":\"ridge_sendTransaction\",\"params\":[\"$\"]", "null", "MALFORMED"},
    };
    cluster_t c;
    cluster_init(&c, 1);
    cluster_start_all(&c);
    cluster_wait_height(&c, 0, 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i)
        check_form(&c, cases[i].form, cases[i].id, cases[i].code);
    cluster_fini(&c);
}
