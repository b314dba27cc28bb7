/* What a contract has logged: from the nodes, and of what they have pruned from the archives. */
#include <string.h>
#include "collector_read.h"
#include "contract.h"
#include "ridge/codec/hex.h"

#define EVENTS_MAX 1000
#define EVENT_HEIGHTS 10000
#define EVENT_ARCHIVED_MAX 200 /* blocks from archives for one answer */

typedef struct span {
    uint64_t version, from, to, limit;
} span_t;

static rdg_err_t read_span(open_chain_t *o, const rdg_service_call_t *call, span_t *s) {
    rdg_rpc_head_t head;
    RDG_TRY(rdg_rpc_head(&o->relay.rpc, &head));
    *s = (span_t){.to = head.height, .limit = 100};
    RDG_TRY(rdg_service_query_u64(call, "version", 0, UINT32_MAX, &s->version));
    RDG_TRY(rdg_service_query_u64(call, "to", 0, UINT64_MAX / 2, &s->to));
    RDG_TRY(rdg_service_query_u64(call, "limit", 1, EVENTS_MAX, &s->limit));
    if (s->to > head.height) s->to = head.height;
    s->from = s->to > EVENT_HEIGHTS ? s->to - EVENT_HEIGHTS + 1 : 0;
    RDG_TRY(rdg_service_query_u64(call, "from", 0, UINT64_MAX / 2, &s->from));
    if (s->from <= s->to && s->to - s->from >= EVENT_HEIGHTS) s->to = s->from + EVENT_HEIGHTS - 1;
    return RDG_OK;
}

static json_t *event_json(const json_t *log, const json_t *abi) {
    json_t *e = NULL;
    uint64_t height = 0;
    if (contract_decode_log(log, abi, &e) != RDG_OK)
        e = json_pack("{s:O?, s:O?}", "topics", json_object_get(log, "topics"), "data",
                      json_object_get(log, "data"));
    (void)rdg_json_quantity_parse(json_object_get(log, "blockNumber"), &height);
    if (e) json_object_set_new(e, "height", json_integer((json_int_t)height));
    if (e) json_object_set(e, "tx", json_object_get(log, "transactionHash"));
    return e;
}

typedef struct found_events {
    open_chain_t *chain;
    const contract_t *contract;
    span_t *span; /* its end comes down to the last block that is in the list as a whole */
    json_t *list;
    bool full;
} found_events_t;

static bool is_at(const json_t *event, uint64_t height) {
    return (uint64_t)json_integer_value(json_object_get(event, "height")) == height;
}

/* Before the block that does not fit as a whole. */
static void end_page(found_events_t *f, uint64_t height) {
    size_t n = json_array_size(f->list);
    f->full = true;
    f->span->to = height;
    if (height == f->span->from) return;
    --f->span->to;
    for (; n > 0 && is_at(json_array_get(f->list, n - 1), height); --n) json_array_remove(f->list, n - 1);
}

/* Of one block or several, ascending. The page ends with a whole block, or inside the first one. */
static void add_events(found_events_t *f, const json_t *logs) {
    uint64_t height = 0;
    json_t *log;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)logs, i, log) {
        (void)rdg_json_quantity_parse(json_object_get(log, "blockNumber"), &height);
        if (json_array_size(f->list) >= f->span->limit) {
            end_page(f, height);
            return;
        }
        json_array_append_new(f->list, event_json(log, f->contract->abi));
    }
}

static rdg_err_t ask_logs(found_events_t *f, uint64_t from, json_t **logs) {
    return rdg_rpc_call(&f->chain->relay.rpc, "eth_getLogs",
                        json_pack("[{s:o, s:o, s:o}]", "address",
                                  rdg_json_hex(f->contract->address.b, sizeof f->contract->address.b),
                                  "fromBlock", rdg_json_quantity(from), "toBlock",
                                  rdg_json_quantity(f->span->to)),
                        logs);
}

static bool is_of(const json_t *log, const contract_t *k) {
    const char *text = json_string_value(json_object_get(log, "address"));
    uint8_t address[20];
    return text && rdg_hex_decode(text, strlen(text), address, sizeof address) == RDG_OK &&
           memcmp(address, k->address.b, sizeof address) == 0;
}

/* What the contract logged in a block that the nodes have pruned. */
static rdg_err_t add_archived(found_events_t *f, uint64_t height) {
    const archived_want_t want = {.receipts = true};
    json_t *receipts = NULL, *receipt, *log;
    size_t i, k;
    RDG_TRY(archived_read(f->chain->relay.b, &f->chain->chain, height, &want, &receipts, NULL));
    json_t *mine = json_array();
    json_array_foreach(receipts, i, receipt)
        json_array_foreach(json_object_get(receipt, "logs"), k, log) if (is_of(log, f->contract))
            json_array_append(mine, log);
    add_events(f, mine);
    json_decref(mine);
    json_decref(receipts);
    return RDG_OK;
}

/* A node searches upwards, and stops at the first block that may have some and was pruned: that one is read from its archive,
 * and the search goes on behind it. */
static rdg_err_t find_events(found_events_t *f) {
    uint64_t from = f->span->from, height = 0;
    for (unsigned archived = 0; from <= f->span->to && !f->full; ++archived) {
        json_t *logs = NULL;
        rdg_err_t err = ask_logs(f, from, &logs);
        if (err == RDG_OK) add_events(f, logs);
        json_decref(logs);
        if (err != RDG_E_ARCHIVED || !archived_height(f->chain->relay.error, &height) || height < from ||
            height > f->span->to)
            return err;
        if (archived == EVENT_ARCHIVED_MAX) {
            f->span->to = height - 1;
            return RDG_OK;
        }
        RDG_TRY(add_archived(f, height));
        from = height + 1;
    }
    return RDG_OK;
}

static rdg_err_t events_on(open_chain_t *o, const char *name, span_t *s, json_t **out) {
    contract_t k = {.abi = NULL};
    found_events_t f = {.chain = o, .contract = &k, .span = s, .list = json_array()};
    rdg_err_t err = contract_find(o->relay.b, &o->chain, name, (uint32_t)s->version, &k);
    if (err == RDG_OK) err = find_events(&f);
    contract_fini(&k);
    if (err == RDG_OK)
        *out = json_pack("{s:o, s:I, s:I}", "events", f.list, "from", (json_int_t)s->from, "to",
                         (json_int_t)s->to);
    else
        json_decref(f.list);
    return err;
}

static rdg_err_t list_events(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    open_chain_t o;
    span_t s;
    json_t *out = NULL;
    RDG_TRY(contract_open(ctx, call, &o));
    rdg_err_t err = read_span(&o, call, &s);
    if (err == RDG_OK) err = events_on(&o, rdg_service_arg(call, "contract"), &s, &out);
    contract_close(&o);
    return err == RDG_OK ? rdg_service_reply(answer, 200, out) : err;
}

const rdg_service_route_t contract_event_routes[] = {
    {"GET", "/api/v1/chains/{name}/contracts/{contract}/events", RDG_ROUTE_OWNED, list_events},
};
const size_t contract_event_route_count = sizeof contract_event_routes / sizeof contract_event_routes[0];
