#include "ridge/base/alloc.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"
#include "rpc_internal.h"
#include <stdio.h>
#include <string.h>

enum {
    CODE_PARSE = -32700,
    CODE_REQUEST = -32600,
    CODE_METHOD = -32601,
    CODE_PARAMS = -32602,
    CODE_SERVER = -32000,
    CODE_LIMIT = -32005 /* EIP-1474: limit exceeded */
};

static const char SUBMIT[] = "ridge_sendTransaction";

static const rpc_method_t *const tables[] = {rpc_ridge_methods,     rpc_eth_methods,  rpc_call_methods,
                                             rpc_log_methods,       rpc_fee_methods,  rpc_filter_methods,
                                             rpc_subscribe_methods, rpc_send_methods, rpc_proof_methods,
                                             rpc_trace_methods,     rpc_agent_methods};

rdg_err_t rdg_node_rpc_new(const rdg_node_rpc_options_t *options, rdg_node_rpc_t **out) {
    rdg_node_rpc_t *rpc = rdg_calloc(1, sizeof *rpc);
    if (!rpc) return rdg_fail(RDG_E_NO_MEMORY, "no memory for JSON-RPC");
    rpc->options = *options;
    if (rpc->options.call_ms == 0) rpc->options.call_ms = RDG_RPC_CALL_MS;
    if (rpc->options.log_blocks == 0) rpc->options.log_blocks = RDG_RPC_LOG_BLOCKS;
    rdg_err_t err = filters_new(&rpc->filters);
    if (err == RDG_OK) err = pending_new(&rpc->pending);
    if (err == RDG_OK) err = subscriptions_new(rpc, &rpc->subscriptions);
    if (err == RDG_OK)
        *out = rpc;
    else
        rdg_node_rpc_free(rpc);
    return err;
}

void rdg_node_rpc_free(rdg_node_rpc_t *rpc) {
    if (!rpc) return;
    subscriptions_free(rpc->subscriptions);
    filters_free(rpc->filters);
    pending_free(rpc->pending);
    rdg_free(rpc);
}

void rdg_node_rpc_wake(rdg_node_rpc_t *rpc) {
    subscriptions_wake(rpc->subscriptions);
}

void rdg_node_rpc_pending(rdg_node_rpc_t *rpc, const rdg_hash_t *id) {
    if (pending_note(rpc->pending, id)) subscriptions_wake(rpc->subscriptions);
}

static const rpc_method_t *find(const char *name) {
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; ++t)
        for (const rpc_method_t *m = tables[t]; m->name; ++m)
            if (strcmp(m->name, name) == 0) return m;
    return NULL;
}

static json_t *envelope(const json_t *id) {
    json_t *o = json_object();
    json_object_set_new(o, "jsonrpc", json_string("2.0"));
    json_object_set_new(o, "id", id ? json_deep_copy(id) : json_null());
    return o;
}

/* A message may quote what the caller sent, cut in the middle of a character: no JSON string then. */
static json_t *message_json(const char *message, rdg_err_t code) {
    json_t *text = json_string(message);
    return text ? text : json_string(rdg_err_text(code));
}

/* {"code"}; of what is in an archive also which block it is, and the archive. */
static json_t *error_data(rdg_node_rpc_t *rpc, rdg_err_t code) {
    json_t *data = json_pack("{s:s}", "code", rdg_err_name(code));
    rdg_archive_receipt_t r;
    uint64_t height = rdg_ledger_archived_height();
    if (code != RDG_E_ARCHIVED || !data || !rpc) return data;
    json_object_set_new(data, "height", json_integer((json_int_t)height));
    if (rdg_ledger_archive_of(rpc->options.ledger, height, &r) == RDG_OK)
        json_object_set_new(data, "archive",
                            json_pack("{s:I, s:I, s:I, s:o, s:o}", "from", (json_int_t)r.from, "to",
                                      (json_int_t)r.to, "mark_ms", (json_int_t)r.mark_ms, "manifest",
                                      rdg_eth_hash_json(&r.manifest), "content",
                                      rdg_eth_hash_json(&r.content)));
    return data;
}

/* output: revert data, or NULL; taken. Ethereum's tools look for revert data in error.data itself, so that is
 * a string then, and code 3 as in their nodes. */
static json_t *error_answer(rdg_node_rpc_t *rpc, const json_t *id, int number, rdg_err_t code,
                            const char *message, json_t *output) {
    json_t *answer = envelope(id), *error = json_object();
    bool reverted = code == RDG_E_REVERTED && output;
    json_object_set_new(error, "code", json_integer(reverted ? 3 : number));
    json_object_set_new(error, "message", message_json(message, code));
    if (reverted)
        json_object_set(error, "data", output);
    else
        json_object_set_new(error, "data", error_data(rpc, code));
    json_object_set_new(answer, "error", error);
    json_decref(output);
    return answer;
}

static int number_of(rdg_err_t err) {
    switch (err) {
    case RDG_E_INVALID:
    case RDG_E_MALFORMED: return CODE_PARAMS;
    case RDG_E_FULL: return CODE_LIMIT;
    default: return CODE_SERVER;
    }
}

/* Of the calls of one request. */
typedef struct outcome {
    size_t calls, full;
    uint64_t retry_ms;
} outcome_t;

/* A transaction for which there was no room: the same one may be sent again, and when. */
static void tell_retry(rdg_node_rpc_t *rpc, const char *method, json_t *answer, outcome_t *o) {
    bool submits = strcmp(method, SUBMIT) == 0 || strcmp(method, "eth_sendTransaction") == 0;
    if (!submits || !rpc->options.retry_ms) return;
    ++o->full;
    o->retry_ms = rpc->options.retry_ms(rpc->options.ctx);
    json_t *data = json_object_get(json_object_get(answer, "error"), "data");
    json_object_set_new(data, "retry_after_ms", json_integer((json_int_t)o->retry_ms));
}

/* Whoever asked may not be the one who has to mend it. */
static void tell_trouble(const rdg_node_rpc_t *rpc, const char *method, rdg_err_t err) {
    if (err == RDG_E_CORRUPT || err == RDG_E_IO)
        rdg_log(RDG_LOG_ERROR, "rpc.read_failed", RDG_STR("method", method),
                RDG_STR("code", rdg_err_name(err)), RDG_STR("why", rdg_err_message(err)));
    if (err == RDG_E_CORRUPT && rpc->options.damaged)
        rpc->options.damaged(rpc->options.ctx, err, rdg_err_message(err));
}

static rdg_err_t submit_one(rdg_node_rpc_t *rpc, const rpc_batch_t *batch, size_t i, json_t **result) {
    rdg_hash_t id;
    RDG_TRY(rpc_batch_submit(rpc, batch, i, &id));
    *result = rdg_json_hex(id.b, sizeof id.b);
    return RDG_OK;
}

/* NULL for a notification. batch: the request is its i-th; NULL: it stands alone. */
static json_t *answer_one(rdg_node_rpc_t *rpc, rdg_node_rpc_session_t *session, const json_t *request,
                          const rpc_batch_t *batch, size_t i, outcome_t *outcome) {
    const json_t *id = json_object_get(request, "id"), *params = json_object_get(request, "params");
    const char *name = json_string_value(json_object_get(request, "method"));
    bool id_ok = !id || json_is_string(id) || json_is_number(id) || json_is_null(id);
    if (!json_is_object(request) || !name || !id_ok || (params && !json_is_array(params)))
        return error_answer(NULL, id_ok ? id : NULL, CODE_REQUEST, RDG_E_INVALID,
                            "not a JSON-RPC 2.0 request: want method, id, and params as an array", NULL);
    const rpc_method_t *m = find(name);
    json_t *result = NULL, *answer;
    if (!m) {
        char text[128];
        snprintf(text, sizeof text, "the method %.64s does not exist", name);
        answer = error_answer(NULL, id, CODE_METHOD, RDG_E_UNSUPPORTED, text, NULL);
    } else {
        rdg_err_t err = rpc_agent_check(rpc, m->name, params);
        if (err == RDG_OK && rpc_batch_has(batch, i))
            err = submit_one(rpc, batch, i, &result);
        else if (err == RDG_OK)
            err = session && m->run_session ? m->run_session(session, params, &result)
                                            : m->run(rpc, params, &result);
        tell_trouble(rpc, m->name, err);
        if (err != RDG_OK) {
            answer = error_answer(rpc, id, number_of(err), err, rdg_err_message(err), result);
            if (err == RDG_E_FULL) tell_retry(rpc, m->name, answer, outcome);
        } else {
            answer = envelope(id);
            json_object_set_new(answer, "result", result);
        }
    }
    ++outcome->calls;
    if (id) return answer;
    json_decref(answer);
    return NULL;
}

/* Takes answer, which may be NULL. */
static rdg_err_t write_answer(json_t *answer, rdg_buf_t *out) {
    rdg_err_t err = answer ? rdg_json_dump(answer, out) : RDG_OK;
    json_decref(answer);
    return err;
}

static rdg_err_t write_error(int number, rdg_err_t code, const char *message, rdg_buf_t *out) {
    return write_answer(error_answer(NULL, NULL, number, code, message, NULL), out);
}

/* Each answer is written and freed before the next is made: a batch costs the memory of its largest. */
static rdg_err_t answer_batch(rdg_node_rpc_t *rpc, rdg_node_rpc_session_t *session, const json_t *batch,
                              outcome_t *outcome, rdg_buf_t *out) {
    json_t *request;
    rpc_batch_t b;
    size_t i, count = json_array_size(batch), written = 0;
    rdg_err_t err = RDG_OK;
    if (count == 0 || count > RDG_RPC_CALLS_MAX)
        return write_error(CODE_REQUEST, RDG_E_TOO_LARGE, "a batch holds 1 to 100 requests", out);
    rpc_batch_open(rpc, batch, &b);
    for (i = 0; err == RDG_OK && i < count; ++i) {
        request = json_array_get(batch, i);
        json_t *answer = answer_one(rpc, session, request, &b, i, outcome);
        if (!answer) continue;
        rdg_buf_u8(out, written++ == 0 ? '[' : ',');
        err = write_answer(answer, out);
    }
    rpc_batch_close(rpc, &b);
    return err == RDG_OK && written > 0 ? rdg_buf_u8(out, ']') : err;
}

/* What json_dumps would write. */
static rdg_err_t write_taken(rdg_bytes_t id, const rdg_hash_t *tx, rdg_buf_t *out) {
    rdg_buf_str(out, "{\"jsonrpc\":\"2.0\",\"id\":");
    rdg_buf_append(out, id.data, id.len);
    rdg_buf_str(out, ",\"result\":\"");
    rdg_hex_append(out, tx->b, sizeof tx->b, true);
    return rdg_buf_str(out, "\"}");
}

static rdg_err_t write_refusal(rdg_node_rpc_t *rpc, rdg_bytes_t id_text, rdg_err_t err, outcome_t *outcome,
                               rdg_buf_t *out) {
    char message[RDG_ERROR_TEXT_MAX];
    json_t *id = NULL;
    snprintf(message, sizeof message, "%s", rdg_err_message(err));
    tell_trouble(rpc, SUBMIT, err);
    RDG_TRY(rdg_json_parse(id_text, &id));
    json_t *answer = error_answer(rpc, id, number_of(err), err, message, NULL);
    if (err == RDG_E_FULL) tell_retry(rpc, SUBMIT, answer, outcome);
    json_decref(id);
    return write_answer(answer, out);
}

/* False: nothing was done, and the request is to be parsed. */
static bool answer_plain(rdg_node_rpc_t *rpc, rdg_bytes_t body, outcome_t *outcome, rdg_buf_t *out,
                         rdg_err_t *err) {
    rpc_plain_call_t calls[RDG_RPC_CALLS_MAX];
    rpc_batch_t b;
    bool is_batch;
    size_t count = rpc_plain_read(body, calls, &is_batch);
    if (count == 0) return false;
    bool good = rpc_batch_open_plain(rpc, calls, count, &b);
    *err = RDG_OK;
    for (size_t i = 0; good && *err == RDG_OK && i < count; ++i) {
        rdg_hash_t id;
        if (is_batch) rdg_buf_u8(out, i == 0 ? '[' : ',');
        rdg_err_t refused = rpc_batch_submit(rpc, &b, i, &id);
        *err = refused == RDG_OK ? write_taken(calls[i].id, &id, out)
                                 : write_refusal(rpc, calls[i].id, refused, outcome, out);
        ++outcome->calls;
    }
    if (good && is_batch && *err == RDG_OK) *err = rdg_buf_u8(out, ']');
    rpc_batch_close(rpc, &b);
    return good;
}

static rdg_err_t answer_parsed(rdg_node_rpc_t *rpc, rdg_node_rpc_session_t *session, rdg_bytes_t body,
                               outcome_t *outcome, rdg_buf_t *out) {
    json_t *request = NULL;
    rdg_err_t err = rdg_json_parse(body, &request);
    if (err != RDG_OK) return write_error(CODE_PARSE, err, rdg_err_message(err), out);
    if (json_is_array(request))
        err = answer_batch(rpc, session, request, outcome, out);
    else
        err = write_answer(answer_one(rpc, session, request, NULL, 0, outcome), out);
    json_decref(request);
    return err;
}

static rdg_err_t refuse_all(rdg_node_rpc_t *rpc, rdg_buf_t *out, uint64_t *retry_ms) {
    outcome_t o = {0};
    json_t *answer =
        error_answer(NULL, NULL, CODE_LIMIT, RDG_E_FULL,
                     "more transactions wait than this chain executes soon: send all of this again after "
                     "retry_after_ms, and less at once",
                     NULL);
    tell_retry(rpc, SUBMIT, answer, &o);
    if (retry_ms) *retry_ms = o.retry_ms;
    return write_answer(answer, out);
}

rdg_err_t rdg_node_rpc_handle(rdg_node_rpc_t *rpc, rdg_node_rpc_session_t *session, rdg_bytes_t body,
                              rdg_buf_t *out, uint64_t *retry_ms) {
    outcome_t outcome = {0};
    size_t start = out->len;
    if (retry_ms) *retry_ms = 0;
    if (!session && rpc->options.full && rpc->options.full(rpc->options.ctx) && rpc_only_submits(body))
        return refuse_all(rpc, out, retry_ms);
    rdg_err_t err;
    if (!answer_plain(rpc, body, &outcome, out, &err)) err = answer_parsed(rpc, session, body, &outcome, out);
    if (retry_ms && outcome.full > 0 && outcome.full == outcome.calls) *retry_ms = outcome.retry_ms;
    if (err != RDG_E_TOO_LARGE) return err;
    size_t limit = out->max;
    rdg_buf_clear(out);
    out->len = start;
    char text[128];
    snprintf(text, sizeof text, "the answer is larger than the limit of %zu bytes: ask in smaller parts",
             limit);
    return write_error(CODE_SERVER, RDG_E_TOO_LARGE, text, out);
}
