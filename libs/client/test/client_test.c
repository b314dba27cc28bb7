#include "ridge/client/cloud.h"
#include "ridge/client/rpc.h"
#include "ridge/net/http_server.h"
#include "ridge/test.h"
#include <stdio.h>

/* A server that gives one prepared answer and keeps the last request. */
typedef struct fake {
    rdg_http_server_t *server;
    unsigned status;
    const char *answer;
    char body[8192], path[256], authorization[128];
    char url[64];
} fake_t;

static void on_request(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    fake_t *f = ctx;
    rdg_bytes_t body = rdg_http_body(req);
    const char *authorization = rdg_http_header(req, "Authorization");
    snprintf(f->body, sizeof f->body, "%.*s", (int)body.len, body.data ? (const char *)body.data : "");
    snprintf(f->path, sizeof f->path, "%s", rdg_http_path(req));
    snprintf(f->authorization, sizeof f->authorization, "%s", authorization ? authorization : "");
    rdg_http_status(res, f->status);
    (void)rdg_http_write(res, "application/json", rdg_bytes_str(f->answer));
}

static void fake_start(fake_t *f, unsigned status, const char *answer) {
    rdg_http_server_options_t o = {.threads = 1};
    memset(f, 0, sizeof *f);
    f->status = status, f->answer = answer;
    CHECK_OK(rdg_http_server_start(&o, on_request, f, &f->server));
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%u", rdg_http_server_port(f->server));
}

TEST(a_cloud_error_arrives_with_its_code_message_and_trace) {
    fake_t f;
    rdg_cloud_client_t *c = NULL;
    fake_start(
        &f, 404,
        "{\"error\":{\"code\":\"NOT_FOUND\",\"message\":\"chain 'x' does not exist\",\"trace\":\"abc\"}}");
    CHECK_OK(rdg_cloud_client_new(f.url, "secret", &c));
    rdg_err_t err = rdg_cloud_call(c, "GET", "/chains/x", NULL, 0, NULL);
    CHECK_ERR(err, RDG_E_NOT_FOUND);
    CHECK_STR(rdg_err_message(err), "chain 'x' does not exist");
    CHECK_STR(rdg_cloud_trace(c), "abc");
    CHECK_STR(f.path, "/api/v1/chains/x");
    CHECK_STR(f.authorization, "Bearer secret");
    rdg_cloud_client_free(c);
    rdg_http_server_stop(f.server);
}

TEST(an_answer_that_is_no_json_or_no_known_error_is_a_protocol_error) {
    fake_t f;
    rdg_cloud_client_t *c = NULL;
    json_t *answer = NULL;
    fake_start(&f, 200, "<html>");
    CHECK_OK(rdg_cloud_client_new(f.url, NULL, &c));
    CHECK_ERR(rdg_cloud_call(c, "GET", "/devices", NULL, 0, &answer), RDG_E_PROTOCOL);
    f.status = 502;
    CHECK_ERR(rdg_cloud_call(c, "GET", "/devices", NULL, 0, &answer), RDG_E_PROTOCOL);
    f.status = 200, f.answer = "";
    CHECK_OK(rdg_cloud_call(c, "GET", "/devices", NULL, 0, &answer));
    CHECK(json_is_null(answer));
    json_decref(answer);
    rdg_cloud_client_free(c);
    rdg_http_server_stop(f.server);
}

TEST(a_cloud_that_is_not_there_is_named) {
    rdg_cloud_client_t *c = NULL;
    fake_t f;
    fake_start(&f, 200, "{}");
    CHECK_OK(rdg_cloud_client_new(f.url, NULL, &c));
    rdg_http_server_stop(f.server);
    rdg_err_t err = rdg_cloud_call(c, "GET", "/devices", NULL, 2000, NULL);
    CHECK_ERR(err, RDG_E_UNAVAILABLE);
    CHECK(strstr(rdg_err_message(err), f.url + 7) != NULL);
    rdg_cloud_client_free(c);
}

TEST(a_nodes_error_becomes_its_code_and_a_revert_brings_its_data) {
    fake_t f;
    rdg_rpc_t *rpc = NULL;
    json_t *result = NULL;
    rdg_address_t to = {{1}};
    rdg_buf_t output;
    fake_start(&f, 200,
               "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32000,\"message\":\"pool is "
               "full\",\"data\":{\"code\":\"FULL\"}}}");
    CHECK_OK(rdg_rpc_http_new(f.url, 2000, &rpc));
    CHECK_ERR(rdg_rpc_call(rpc, "ridge_sendTransaction", json_array(), &result), RDG_E_FULL);
    f.answer = "{\"jsonrpc\":\"2.0\",\"id\":2,\"error\":{\"code\":3,\"message\":\"execution "
               "reverted\",\"data\":\"0x08c379a0\"}}";
    rdg_buf_init(&output, 100);
    CHECK_ERR(rdg_rpc_eth_call(rpc, NULL, &to, rdg_bytes_str("x"), &output), RDG_E_REVERTED);
    CHECK_EQ(output.len, 4);
    CHECK_MEM(output.data, "\x08\xc3\x79\xa0", 4);
    rdg_buf_fini(&output);
    rdg_rpc_http_free(rpc);
    rdg_http_server_stop(f.server);
}

TEST(answers_of_a_batch_are_put_where_their_ids_say) {
    fake_t f;
    rdg_rpc_t *rpc = NULL;
    rdg_hash_t ids[3] = {{{1}}, {{2}}, {{3}}};
    json_t *out[3];
    fake_start(&f, 200,
               "[{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"status\":\"0x1\"}},{\"jsonrpc\":\"2.0\",\"id\":"
               "99,\"result\":7},"
               "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null}]");
    CHECK_OK(rdg_rpc_http_new(f.url, 2000, &rpc));
    CHECK_OK(rdg_rpc_receipts(rpc, ids, 3, out));
    CHECK(out[0] == NULL && out[1] == NULL);
    CHECK_STR(json_string_value(json_object_get(out[2], "status")), "0x1");
    json_decref(out[2]);
    rdg_rpc_http_free(rpc);
    rdg_http_server_stop(f.server);
}
