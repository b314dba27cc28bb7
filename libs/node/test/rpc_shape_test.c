/* Requests that are not what JSON-RPC asks for: each is answered, and the node goes on. */
#include "cluster.h"
#include "ridge/base/clock.h"
#include "ridge/test.h"
#include <stdio.h>
#include <stdlib.h>

static void start_one(cluster_t *c) {
    cluster_init(c, 1);
    cluster_start_all(c);
    cluster_wait_height(c, 0, 1);
}

/* Ends the cluster: a node that was harmed shows it here at the latest. */
static void finish(cluster_t *c) {
    json_t *status = cluster_rpc(c, 0, "ridge_status", json_array(), NULL);
    CHECK(json_is_null(json_object_get(status, "halted")));
    json_decref(status);
    rdg_tx_t *tx = cluster_tx(c);
    char code[32];
    cluster_send(c, 0, tx->raw, code);
    CHECK_STR(code, "");
    json_decref(cluster_receipt(c, 0, &tx->id));
    rdg_tx_unref(tx);
    cluster_fini(c);
}

static json_t *post(cluster_t *c, const char *body) {
    json_t *answer = NULL;
    rdg_buf_t out;
    rdg_buf_init(&out, 16u << 20);
    CHECK_EQ(cluster_post(c, 0, body, &out), 200);
    if (out.len > 0) CHECK_OK(rdg_json_parse(rdg_buf_view(&out), &answer));
    rdg_buf_fini(&out);
    return answer;
}

static void check_error(const json_t *answer, int number, const char *reason) {
    const json_t *error = json_object_get(answer, "error");
    const char *message = json_string_value(json_object_get(error, "message"));
    CHECK_EQ(json_integer_value(json_object_get(error, "code")), number);
    CHECK_STR(json_string_value(json_object_get(answer, "jsonrpc")), "2.0");
    CHECK(json_object_get(answer, "id"));
    if (!message || !strstr(message, reason))
        rdg_test_fail(__FILE__, __LINE__, "'%s' does not say '%s'", message, reason);
}

TEST(what_is_no_request_is_answered_with_the_standards_codes) {
    cluster_t c;
    start_one(&c);
    static const struct {
        const char *body;
        int number;
        const char *reason;
    } cases[] = {
        {"", -32700, "JSON: line"},
        {"{", -32700, "JSON: line 1"},
        {"{\"id\":1,\"id\":2}", -32700, "duplicate"},
        {"\"\\ud800\"", -32700, "JSON"},
        {"\xff\xfe", -32700, "JSON"},
        {"17", -32600, "not a JSON-RPC 2.0 request"},
        {"null", -32600, "not a JSON-RPC 2.0 request"},
        {"{}", -32600, "not a JSON-RPC 2.0 request"},
        {"{\"id\":1,\"method\":7}", -32600, "not a JSON-RPC 2.0 request"},
        {"{\"id\":[1],\"method\":\"eth_chainId\"}", -32600, "not a JSON-RPC 2.0 request"},
        {"{\"id\":1,\"method\":\"eth_chainId\",\"params\":{}}", -32600, "params as an array"},
        {"{\"id\":1,\"method\":\"eth_chainId\",\"params\":\"x\"}", -32600, "params as an array"},
        {"{\"id\":1,\"method\":\"\"}", -32601, "does not exist"},
        {"{\"id\":1,\"method\":\"eth_sign\",\"params\":[]}", -32601, "the method eth_sign does not exist"},
        {"[]", -32600, "a batch holds 1 to 100"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        json_t *answer = post(&c, cases[i].body);
        check_error(answer, cases[i].number, cases[i].reason);
        json_decref(answer);
    }
    finish(&c);
}

TEST(a_message_that_quotes_half_a_character_is_still_sent) {
    cluster_t c;
    char body[256] = "{\"id\":1,\"method\":\"xy";
    start_one(&c);
    for (int i = 0; i < 30; ++i) /* 云: the 64th byte is in the middle of one */
        snprintf(body + strlen(body), sizeof body - strlen(body), "\xe4\xba\x91");
    snprintf(body + strlen(body), sizeof body - strlen(body), "\"}");
    json_t *answer = post(&c, body);
    check_error(answer, -32601, "not supported");
    json_decref(answer);
    finish(&c);
}

TEST(a_batch_is_answered_in_its_order_and_notifications_are_not_answered) {
    cluster_t c;
    start_one(&c);
    json_t *answers =
        post(&c, "[{\"id\":\"b\",\"method\":\"eth_chainId\"},{\"method\":\"eth_chainId\"},7,"
                 "{\"id\":3,\"method\":\"eth_blockNumber\"},{\"id\":null,\"method\":\"none\"}]");
    CHECK_EQ(json_array_size(answers), 4);
    CHECK_STR(json_string_value(json_object_get(json_array_get(answers, 0), "id")), "b");
    CHECK_STR(json_string_value(json_object_get(json_array_get(answers, 0), "result")), "0x1267");
    check_error(json_array_get(answers, 1), -32600, "not a JSON-RPC");
    CHECK_EQ(json_integer_value(json_object_get(json_array_get(answers, 2), "id")), 3);
    check_error(json_array_get(answers, 3), -32601, "none does not exist");
    json_decref(answers);
    CHECK(!post(&c, "{\"method\":\"eth_chainId\"}"));
    CHECK(!post(&c, "[{\"method\":\"eth_chainId\"},{\"method\":\"none\"}]"));
    finish(&c);
}

TEST(huge_batches_deep_nesting_and_large_bodies_are_refused) {
    cluster_t c;
    size_t size = 5u << 20;
    char *body = calloc(1, size + 1);
    start_one(&c);
    memcpy(body, "[1", 2);
    for (size_t i = 0; i < 100; ++i) memcpy(body + 2 + 2 * i, ",1", 2);
    body[202] = ']';
    json_t *answer = post(&c, body);
    check_error(answer, -32600, "a batch holds 1 to 100");
    json_decref(answer);
    memset(body, '[', 100000);
    body[100000] = '\0';
    answer = post(&c, body);
    check_error(answer, -32700, "JSON");
    json_decref(answer);
    memset(body, ' ', size);
    rdg_buf_t out;
    rdg_buf_init(&out, 1u << 20);
    unsigned status = cluster_post(&c, 0, body, &out);
    CHECK(status == 413 || status == 0); /* 0: the connection was cut while the body was still under way */
    rdg_buf_fini(&out);
    free(body);
    finish(&c);
}

static const char *const methods[] = {
    "eth_chainId",
    "net_version",
    "web3_clientVersion",
    "eth_blockNumber",
    "eth_gasPrice",
    "eth_accounts",
    "eth_getBlockByNumber",
    "eth_getBlockByHash",
    "eth_getTransactionByHash",
    "eth_getTransactionReceipt",
    "eth_getCode",
    "eth_getBalance",
    "eth_getTransactionCount",
    "eth_getStorageAt",
    "eth_call",
    "eth_estimateGas",
    "eth_getLogs",
    "ridge_getLogs",
    "ridge_sendTransaction",
    "ridge_status",
    "ridge_getSeal",
    "eth_maxPriorityFeePerGas",
};
static const char *const params[] = {
    "[]",
    "[null,null,null]",
    "[true,1]",
    "[-1,\"0x\"]",
    "[1.5,1e300]",
    "[\"\",\"\"]",
    "[\"0x\",\"0x\",\"0x\"]",
    "[\"latest\",\"latest\"]",
    "[\"0xffffffffffffffff\",true]",
    "[\"0x10000000000000000\"]",
    "[\"0x1111111111111111111111111111111111111111\",\"0x1\",\"0x0\"]",
    "[\"0x1111111111111111111111111111111111111111\",[],{}]",
    "[\"0x1111111111111111111111111111111111111111111111111111111111111111\",7]",
    "[{}]",
    "[{},{}]",
    "[[],[]]",
    "[[[[[[1]]]]]]",
    "[{\"to\":7}]",
    "[{\"data\":[]}]",
    "[{\"gas\":\"x\"}]",
    "[{\"value\":\"0xg\",\"to\":null}]",
    "[{\"from\":\"0x12\"}]",
    "[{\"data\":\"0x5b600056\"}]",
    "[{\"to\":\"0x0000000000000000000000000000000000000002\",\"gas\":\"0xffffffffffffffff\"}]",
    "[{\"topics\":7}]",
    "[{\"limit\":[],\"fromLogIndex\":{}}]",
    "[{\"topics\":[1,2,3,4,5]}]",
    "[{\"topics\":[[[]]]}]",
    "[{\"address\":{}}]",
    "[{\"fromBlock\":\"0xffffffffffffffff\",\"toBlock\":\"0x0\"}]",
    "[{\"fromBlock\":\"earliest\",\"toBlock\":{}}]",
    "[{\"fromBlock\":\"0x0\",\"toBlock\":\"0xffffffffffffffff\"}]",
    "[{\"blockHash\":7}]",
    "[{\"blockHash\":\"0x1111111111111111111111111111111111111111111111111111111111111111\"}]",
};

TEST(every_method_bears_parameters_of_every_type) {
    cluster_t c;
    start_one(&c);
    for (size_t p = 0; p < sizeof params / sizeof params[0]; ++p) {
        char body[8192] = "[";
        size_t i, len = 1, count = sizeof methods / sizeof methods[0];
        for (i = 0; i < count; ++i)
            len += (size_t)snprintf(body + len, sizeof body - len,
                                    "%s{\"id\":%zu,\"method\":\"%s\",\"params\":%s}", i ? "," : "", i,
                                    methods[i], params[p]);
        snprintf(body + len, sizeof body - len, "]");
        json_t *answers = post(&c, body), *answer;
        CHECK_EQ(json_array_size(answers), count);
        json_array_foreach(answers, i, answer) {
            const json_t *error = json_object_get(answer, "error");
            CHECK_EQ(json_integer_value(json_object_get(answer, "id")), (json_int_t)i);
            if (!error == !json_object_get(answer, "result"))
                rdg_test_fail(__FILE__, __LINE__, "%s%s has neither result nor error", methods[i], params[p]);
            if (error && !json_is_string(json_object_get(error, "message")))
                rdg_test_fail(__FILE__, __LINE__, "%s%s: an error without text", methods[i], params[p]);
        }
        json_decref(answers);
    }
    finish(&c);
}

TEST(other_paths_and_methods_of_http_say_where_json_rpc_is) {
    cluster_t c;
    start_one(&c);
    static const struct {
        const char *method, *path, *text;
        unsigned status;
    } cases[] = {
        {"GET", "/", "JSON-RPC is at POST / and at WebSocket /", 404},
        {"POST", "/rpc", "JSON-RPC is at POST /", 404},
        {"GET", "/health", "{\"status\":\"ok\"}", 200},
        {"GET", "/metrics", "\nridge_node_height ", 200},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        char url[64];
        rdg_http_answer_t answer;
        snprintf(url, sizeof url, "http://127.0.0.1:%u%s", c.rpc_ports[0], cases[i].path);
        rdg_http_call_t call = {.method = cases[i].method, .url = url};
        CHECK_OK(rdg_http_call(c.http, &call, &answer));
        CHECK_EQ(answer.status, cases[i].status);
        CHECK(strstr(rdg_buf_cstr(&answer.body), cases[i].text));
        rdg_http_answer_fini(&answer);
    }
    finish(&c);
}
