#include "collector_read.h"
#include "internal.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/config.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"

#define BLOCKS_MAX 100

static rdg_err_t open_relay(rdg_baas_t *b, const char *name, chain_t *c, relay_t *r) {
    RDG_TRY(chain_load_running(b, name, c));
    rdg_err_t err = relay_init(r, b, c, RELAY_TIMEOUT_MS);
    if (err != RDG_OK) {
        relay_fini(r);
        chain_fini(c);
    }
    return err;
}

static json_int_t quantity(const json_t *o, const char *field) {
    uint64_t v = 0;
    (void)rdg_json_quantity_parse(json_object_get(o, field), &v);
    return (json_int_t)v;
}

/* What a list shows of a block. */
static json_t *summary(const json_t *block) {
    return json_pack("{s:I, s:O?, s:O?, s:I, s:I, s:I, s:I, s:I}", "height", quantity(block, "number"),
                     "hash", json_object_get(block, "hash"), "parent", json_object_get(block, "parentHash"),
                     "time_ms", quantity(block, "timestampMs"), "tx_count",
                     (json_int_t)json_array_size(json_object_get(block, "transactions")), "gas_used",
                     quantity(block, "gasUsed"), "proposer", quantity(block, "proposer"), "size_bytes",
                     quantity(block, "size"));
}

/* A node's answer, or what the archive has in place of what the node has pruned: *source then says which archive. */
static rdg_err_t ask(relay_t *r, const chain_t *c, const char *method, json_t *params,
                     const archived_want_t *want, json_t **out, json_t **source) {
    uint64_t height;
    *source = NULL;
    rdg_err_t err = rdg_rpc_call(&r->rpc, method, params, out);
    if (err != RDG_E_ARCHIVED || !archived_height(r->error, &height)) return err;
    return archived_read(r->b, c, height, want, out, source);
}

static rdg_err_t add_blocks(relay_t *r, const chain_t *c, uint64_t from, uint64_t limit, json_t *list) {
    const archived_want_t want = {.full = false};
    rdg_rpc_head_t head;
    RDG_TRY(rdg_rpc_head(&r->rpc, &head));
    uint64_t height = from < head.height ? from : head.height;
    for (uint64_t i = 0; i < limit; ++i, --height) {
        json_t *block = NULL, *source = NULL, *row;
        RDG_TRY(ask(r, c, "eth_getBlockByNumber", json_pack("[o, b]", rdg_json_quantity(height), 0), &want,
                    &block, &source));
        if (json_is_object(block) && (row = summary(block))) {
            if (source) json_object_set(row, "archive", source);
            json_array_append_new(list, row);
        }
        json_decref(source);
        json_decref(block);
        if (height == 0) break;
    }
    return RDG_OK;
}

static rdg_err_t list_blocks(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    uint64_t from = UINT64_MAX, limit = 20;
    chain_t c;
    relay_t r;
    RDG_TRY(rdg_service_query_u64(call, "from", 0, INT64_MAX, &from));
    RDG_TRY(rdg_service_query_u64(call, "limit", 1, BLOCKS_MAX, &limit));
    RDG_TRY(open_relay(ctx, rdg_service_arg(call, "name"), &c, &r));
    json_t *list = json_array();
    rdg_err_t err = add_blocks(&r, &c, from, limit, list);
    relay_fini(&r);
    chain_fini(&c);
    if (err == RDG_OK) return rdg_service_reply(answer, 200, json_pack("{s:o}", "blocks", list));
    json_decref(list);
    return err;
}

/* 32 bytes as hex, or a decimal height. */
static rdg_err_t block_params(const char *id, const char **method, json_t **params) {
    uint8_t hash[32];
    uint64_t height;
    if (strlen(id) >= 64 && rdg_hex_decode(id, strlen(id), hash, sizeof hash) == RDG_OK) {
        *method = "eth_getBlockByHash";
        *params = json_pack("[o, b]", rdg_json_hex(hash, sizeof hash), 1);
        return RDG_OK;
    }
    if (strcmp(id, "latest") != 0 && rdg_parse_u64(id, &height) != RDG_OK)
        return rdg_fail(RDG_E_INVALID, "'%.80s' is no block: give a height, 'latest', or a hash of 64 digits",
                        id);
    *method = "eth_getBlockByNumber";
    *params = strcmp(id, "latest") == 0 ? json_pack("[s, b]", "latest", 1)
                                        : json_pack("[o, b]", rdg_json_quantity(height), 1);
    return RDG_OK;
}

static rdg_err_t show_block(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    const char *method, *id = rdg_service_arg(call, "block"), *chain = rdg_service_arg(call, "name");
    const archived_want_t want = {.full = true};
    json_t *params, *block = NULL, *source = NULL;
    chain_t c;
    relay_t r;
    RDG_TRY(open_relay(ctx, chain, &c, &r));
    rdg_err_t err = block_params(id, &method, &params);
    if (err == RDG_OK) err = ask(&r, &c, method, params, &want, &block, &source);
    if (err == RDG_OK && !json_is_object(block))
        err = rdg_fail(RDG_E_NOT_FOUND, "chain '%s' has no block '%.80s'", chain, id);
    if (err == RDG_OK) {
        json_t *o = summary(block);
        if (o) json_object_update_missing(o, block);
        if (o && source) json_object_set(o, "archive", source);
        err = rdg_service_reply(answer, 200, o);
    }
    json_decref(source);
    json_decref(block);
    relay_fini(&r);
    chain_fini(&c);
    return err;
}

static rdg_err_t find_tx(relay_t *r, const chain_t *c, const uint8_t id[32], json_t **out) {
    const archived_want_t want = {.tx = id};
    json_t *tx = NULL, *receipt = NULL, *source = NULL;
    RDG_TRY(
        ask(r, c, "eth_getTransactionByHash", json_pack("[o]", rdg_json_hex(id, 32)), &want, &tx, &source));
    if (source) { /* with its receipt already */
        json_object_set_new(tx, "archive", source);
        *out = tx;
        return RDG_OK;
    }
    if (!json_is_object(tx)) {
        json_decref(tx);
        return rdg_fail(RDG_E_NOT_FOUND,
                        "chain '%s' has no such transaction: it may still wait, or have expired", r->chain);
    }
    rdg_err_t err = ask(r, c, "eth_getTransactionReceipt", json_pack("[o]", rdg_json_hex(id, 32)), &want,
                        &receipt, &source);
    if (err == RDG_OK && source) { /* pruned between the two questions, or on another node than the first */
        json_object_set_new(receipt, "archive", source);
        *out = json_incref(receipt);
    } else if (err == RDG_OK) {
        *out = json_pack("{s:O, s:O}", "tx", tx, "receipt", receipt);
    }
    json_decref(tx);
    json_decref(receipt);
    return err;
}

static rdg_err_t show_tx(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    const char *text = rdg_service_arg(call, "tx");
    uint8_t id[32];
    json_t *out = NULL;
    chain_t c;
    relay_t r;
    if (rdg_hex_decode(text, strlen(text), id, sizeof id) != RDG_OK)
        return rdg_fail(RDG_E_INVALID, "'%.80s' is no transaction id: give 64 hexadecimal digits", text);
    RDG_TRY(open_relay(ctx, rdg_service_arg(call, "name"), &c, &r));
    rdg_err_t err = find_tx(&r, &c, id, &out);
    relay_fini(&r);
    chain_fini(&c);
    return err == RDG_OK ? rdg_service_reply(answer, 200, out) : err;
}

typedef enum archived_part {
    PART_NONE,
    PART_BLOCK,
    PART_RECEIPTS,
    PART_COUNT,
    PART_AT,
    PART_TX,
    PART_RECEIPT
} archived_part_t;

static archived_part_t part_of(const char *method) {
    static const struct {
        const char *method;
        archived_part_t part;
    } parts[] = {{"eth_getBlockByNumber", PART_BLOCK},
                 {"eth_getBlockByHash", PART_BLOCK},
                 {"eth_getBlockReceipts", PART_RECEIPTS},
                 {"eth_getBlockTransactionCountByNumber", PART_COUNT},
                 {"eth_getBlockTransactionCountByHash", PART_COUNT},
                 {"eth_getTransactionByBlockNumberAndIndex", PART_AT},
                 {"eth_getTransactionByBlockHashAndIndex", PART_AT},
                 {"eth_getTransactionByHash", PART_TX},
                 {"eth_getTransactionReceipt", PART_RECEIPT}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; ++i)
        if (strcmp(parts[i].method, method) == 0) return parts[i].part;
    return PART_NONE;
}

/* As a node answers: what is beyond the last transaction is null. */
static json_t *take_part(archived_part_t part, json_t *found, const json_t *params) {
    const json_t *txs = json_object_get(found, "transactions");
    uint64_t index = UINT64_MAX;
    json_t *tx;
    switch (part) {
    case PART_TX: return json_incref(json_object_get(found, "tx"));
    case PART_RECEIPT: return json_incref(json_object_get(found, "receipt"));
    case PART_COUNT: return rdg_json_quantity(json_array_size(txs));
    case PART_AT:
        (void)rdg_json_quantity_parse(json_array_get(params, 1), &index);
        tx = json_array_get(txs, index);
        return tx ? json_incref(tx) : json_null();
    default: return json_incref(found);
    }
}

/* The methods that ask for one block, what is in it, or a receipt are answered as a node would that has it still. */
static rdg_err_t from_archive(relay_t *r, const chain_t *c, const char *method, const json_t *params,
                              json_t **result) {
    const char *hex = json_string_value(json_array_get(params, 0));
    archived_part_t part = part_of(method);
    archived_want_t want = {.full = part == PART_AT || json_is_true(json_array_get(params, 1)),
                            .receipts = part == PART_RECEIPTS};
    uint8_t id[32];
    uint64_t height;
    json_t *found = NULL;
    if (part == PART_NONE || !archived_height(r->error, &height)) return RDG_E_ARCHIVED;
    if (part == PART_TX || part == PART_RECEIPT) {
        if (!hex || rdg_hex_decode(hex, strlen(hex), id, sizeof id) != RDG_OK) return RDG_E_ARCHIVED;
        want.tx = id;
    }
    rdg_err_t err = archived_read(r->b, c, height, &want, &found, NULL);
    if (err == RDG_OK) *result = take_part(part, found, params);
    json_decref(found);
    if (err != RDG_OK) rdg_log_err("data.archive_not_read", err);
    return err == RDG_OK ? RDG_OK : RDG_E_ARCHIVED;
}

/* A JSON-RPC request in, a JSON-RPC answer out, whatever the node says; only a node out of reach is an HTTP
 * error. */
static rdg_err_t relay_rpc(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    const json_t *body;
    const char *method;
    chain_t c;
    relay_t r;
    json_t *result = NULL, *out;
    RDG_TRY(rdg_service_body(call, &body));
    RDG_TRY(rdg_json_get_str(body, "method", &method));
    json_t *id = json_object_get(body, "id"), *params = json_object_get(body, "params");
    if (params && !json_is_array(params)) return rdg_fail(RDG_E_INVALID, "params: want an array");
    RDG_TRY(open_relay(ctx, rdg_service_arg(call, "name"), &c, &r));
    rdg_err_t err = rdg_rpc_call(&r.rpc, method, params ? json_incref(params) : json_array(), &result);
    if (err == RDG_E_ARCHIVED) err = from_archive(&r, &c, method, params, &result);
    json_t *answer_id = id ? json_deep_copy(id) : json_null();
    if (err == RDG_OK)
        out = json_pack("{s:s, s:o, s:O}", "jsonrpc", "2.0", "id", answer_id, "result", result);
    else if (r.error)
        out = json_pack("{s:s, s:o, s:O}", "jsonrpc", "2.0", "id", answer_id, "error", r.error), err = RDG_OK;
    else
        out = NULL, json_decref(answer_id);
    json_decref(result);
    relay_fini(&r);
    chain_fini(&c);
    return err == RDG_OK ? rdg_service_reply(answer, 200, out) : err;
}

const rdg_service_route_t read_routes[] = {
    {"GET", "/api/v1/chains/{name}/blocks", RDG_ROUTE_OWNED, list_blocks},
    {"GET", "/api/v1/chains/{name}/blocks/{block}", RDG_ROUTE_OWNED, show_block},
    {"GET", "/api/v1/chains/{name}/txs/{tx}", RDG_ROUTE_OWNED, show_tx},
    {"POST", "/api/v1/chains/{name}/rpc", RDG_ROUTE_OWNED, relay_rpc},
};
const size_t read_route_count = sizeof read_routes / sizeof read_routes[0];
