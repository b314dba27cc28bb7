#include "ridge/client/rpc.h"
#include "ridge/base/alloc.h"
#include "ridge/net/http_client.h"
#include <string.h>

#define RDG_RPC_ANSWER_MAX (64u << 20)

typedef struct rpc_http {
    rdg_rpc_t rpc;
    rdg_http_client_t *http;
    char *url;
    uint64_t timeout_ms, next_id;
} rpc_http_t;

static rdg_err_t exchange(rpc_http_t *h, const rdg_buf_t *request, json_t **answer) {
    static const char *const headers[] = {"Content-Type: application/json"};
    rdg_http_call_t call = {.method = "POST",
                            .url = h->url,
                            .headers = headers,
                            .header_count = 1,
                            .body = rdg_buf_view(request),
                            .timeout_ms = h->timeout_ms,
                            .max_body = RDG_RPC_ANSWER_MAX};
    rdg_http_answer_t got;
    RDG_TRY(rdg_http_call(h->http, &call, &got));
    /* A node says by 429 that it refused all of the request for want of room; what it says is in the answer. */
    rdg_err_t err = got.status == 200 || got.status == 429 ? rdg_json_parse(rdg_buf_view(&got.body), answer)
                                                           : RDG_E_UNAVAILABLE;
    if (err != RDG_OK && got.status != 200)
        err = rdg_fail(RDG_E_UNAVAILABLE, "%s answered HTTP status %u", h->url, got.status);
    rdg_http_answer_fini(&got);
    return err;
}

static rdg_err_t http_call(void *ctx, const char *method, const json_t *params, json_t **result) {
    rpc_http_t *h = ctx;
    rdg_buf_t request;
    json_t *answer = NULL;
    rdg_buf_init(&request, RDG_RPC_ANSWER_MAX);
    rdg_err_t err = rdg_rpc_encode(++h->next_id, method, params, &request);
    if (err == RDG_OK) err = exchange(h, &request, &answer);
    rdg_buf_fini(&request);
    if (err == RDG_OK) err = rdg_rpc_decode(answer, result);
    json_decref(answer);
    return err;
}

/* What a node has no room for it refuses with one error, without reading how many they are. */
static rdg_err_t one_for_all(const json_t *answer, size_t count, rdg_err_t *errs) {
    json_t *none = NULL;
    rdg_err_t err = rdg_rpc_decode(answer, &none);
    json_decref(none);
    if (err == RDG_OK) return rdg_fail(RDG_E_PROTOCOL, "the node's answer to a batch is no array");
    if (err != RDG_E_FULL) return err;
    for (size_t i = 0; i < count; ++i) errs[i] = err;
    return RDG_OK;
}

/* Answers of a batch may come in any order: each is put where its id says. */
static rdg_err_t sort_answers(const json_t *answers, uint64_t first, size_t count, json_t **results,
                              rdg_err_t *errs) {
    if (json_is_object(answers)) return one_for_all(answers, count, errs);
    if (!json_is_array(answers)) return rdg_fail(RDG_E_PROTOCOL, "the node's answer to a batch is no array");
    size_t i;
    json_t *answer;
    json_array_foreach(answers, i, answer) {
        uint64_t id = 0;
        if (rdg_json_get_u64(answer, "id", &id) != RDG_OK || id < first || id - first >= count) continue;
        size_t at = (size_t)(id - first);
        if (!results[at]) errs[at] = rdg_rpc_decode(answer, &results[at]);
    }
    return RDG_OK;
}

static rdg_err_t http_batch(void *ctx, const char *method, json_t *const *params, size_t count,
                            json_t **results, rdg_err_t *errs) {
    rpc_http_t *h = ctx;
    rdg_buf_t request;
    json_t *answers = NULL;
    uint64_t first = h->next_id + 1;
    memset(results, 0, count * sizeof *results);
    for (size_t i = 0; i < count; ++i) errs[i] = RDG_E_PROTOCOL;
    rdg_buf_init(&request, RDG_RPC_ANSWER_MAX);
    rdg_buf_u8(&request, '[');
    for (size_t i = 0; i < count; ++i) {
        if (i > 0) rdg_buf_u8(&request, ',');
        (void)rdg_rpc_encode(++h->next_id, method, params[i], &request);
    }
    rdg_buf_u8(&request, ']');
    rdg_err_t err = rdg_buf_err(&request);
    if (err == RDG_OK) err = exchange(h, &request, &answers);
    rdg_buf_fini(&request);
    if (err == RDG_OK) err = sort_answers(answers, first, count, results, errs);
    json_decref(answers);
    return err;
}

rdg_err_t rdg_rpc_http_new(const char *url, uint64_t timeout_ms, rdg_rpc_t **out) {
    rpc_http_t *h = rdg_calloc(1, sizeof *h);
    if (!h) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a client of %s", url);
    h->rpc = (rdg_rpc_t){http_call, http_batch, h};
    h->timeout_ms = timeout_ms;
    h->url = rdg_strdup(url);
    rdg_err_t err = h->url ? rdg_http_client_new(&h->http) : RDG_E_NO_MEMORY;
    if (err != RDG_OK) {
        rdg_rpc_http_free(&h->rpc);
        return err;
    }
    *out = &h->rpc;
    return RDG_OK;
}

void rdg_rpc_http_free(rdg_rpc_t *rpc) {
    if (!rpc) return;
    rpc_http_t *h = rpc->ctx;
    rdg_http_client_free(h->http);
    rdg_free(h->url);
    rdg_free(h);
}
