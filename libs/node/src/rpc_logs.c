#include "ridge/base/alloc.h"
#include "rpc_internal.h"

static rdg_err_t read_addresses(const json_t *v, rpc_filter_t *out) {
    if (!v || json_is_null(v)) return RDG_OK;
    out->f.addresses = out->addresses;
    if (!json_is_array(v)) return out->f.address_count = 1, param_address(v, "address", &out->addresses[0]);
    size_t n = json_array_size(v);
    if (n > LOG_ALTERNATIVES_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "address: at most %d", LOG_ALTERNATIVES_MAX);
    for (size_t i = 0; i < n; ++i)
        RDG_TRY(param_address(json_array_get(v, i), "address", &out->addresses[i]));
    out->f.address_count = n;
    return RDG_OK;
}

static bool has_null(const json_t *list) {
    bool found = false;
    for (size_t i = 0; i < json_array_size(list); ++i) found |= json_is_null(json_array_get(list, i));
    return found;
}

/* null among alternatives stands for any, as in Ethereum's nodes. */
static rdg_err_t read_topic(const json_t *v, size_t at, rpc_filter_t *out) {
    if (!v || json_is_null(v) || has_null(v)) return RDG_OK;
    out->f.topics[at].any = out->topics[at];
    if (!json_is_array(v)) return out->f.topics[at].count = 1, param_word(v, "topics", &out->topics[at][0]);
    size_t n = json_array_size(v);
    if (n > LOG_ALTERNATIVES_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "topics: at most %d alternatives", LOG_ALTERNATIVES_MAX);
    for (size_t i = 0; i < n; ++i) RDG_TRY(param_word(json_array_get(v, i), "topics", &out->topics[at][i]));
    out->f.topics[at].count = n;
    return RDG_OK;
}

static rdg_err_t read_filter(const json_t *o, rpc_filter_t *out) {
    const json_t *topics = json_object_get(o, "topics");
    if (o && !json_is_null(o) && !json_is_object(o)) return rdg_fail(RDG_E_INVALID, "want a filter object");
    RDG_TRY(read_addresses(json_object_get(o, "address"), out));
    if (topics && !json_is_null(topics) && !json_is_array(topics))
        return rdg_fail(RDG_E_INVALID, "topics: want an array, such as [\"0x…\", null, [\"0x…\", \"0x…\"]]");
    if (json_array_size(topics) > 4) return rdg_fail(RDG_E_INVALID, "topics: at most 4");
    for (size_t i = 0; i < json_array_size(topics); ++i)
        RDG_TRY(read_topic(json_array_get(topics, i), i, out));
    return RDG_OK;
}

rdg_err_t rpc_filter_new(const json_t *o, rpc_filter_t **out) {
    rpc_filter_t *f = rdg_calloc(1, sizeof *f);
    if (!f) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a filter");
    rdg_ref_init(&f->ref);
    rdg_err_t err = read_filter(o, f);
    if (err == RDG_OK)
        *out = f;
    else
        rpc_filter_unref(f);
    return err;
}

void rpc_filter_unref(rpc_filter_t *f) {
    if (f && rdg_ref_put(&f->ref)) rdg_free(f);
}

rdg_err_t rpc_filter_range(rdg_node_rpc_t *rpc, const json_t *o, uint64_t *from, uint64_t *to) {
    const json_t *hash = json_object_get(o, "blockHash");
    if (hash && !json_is_null(hash)) {
        rdg_hash_t h;
        if (json_object_get(o, "fromBlock") || json_object_get(o, "toBlock"))
            return rdg_fail(RDG_E_INVALID,
                            "blockHash goes without fromBlock and toBlock: leave one or the other out");
        json_t *list = json_pack("[O]", hash);
        rdg_err_t err = param_hash(list, 0, "blockHash", &h);
        json_decref(list);
        if (err == RDG_OK) err = rdg_ledger_height_of(rpc->options.ledger, &h, from);
        if (err == RDG_OK) *to = *from;
        return err;
    }
    RDG_TRY(param_height(rpc, json_object_get(o, "fromBlock"), "fromBlock", from));
    return param_height(rpc, json_object_get(o, "toBlock"), "toBlock", to);
}

/* --- pages ---------------------------------------------------------------------------------------- */

typedef struct hits {
    rpc_log_page_t *page;
    size_t limit, bytes;
} hits_t;

static rdg_err_t on_hit(void *ctx, const rdg_log_hit_t *h) {
    hits_t *hits = ctx;
    rpc_log_page_t *page = hits->page;
    size_t count = json_array_size(page->list);
    hits->bytes += h->log->data.len;
    if (count == hits->limit || (count > 0 && hits->bytes > LOG_BYTES_MAX)) {
        page->next = h->height;
        page->next_index = h->log_index;
        page->why = RDG_E_TOO_LARGE;
        return RDG_E_CANCELLED;
    }
    json_t *log = rdg_eth_log_json(h->log, &h->block_hash, &h->tx_id, h->height, h->tx_index, h->log_index);
    return json_array_append_new(page->list, log) == 0 ? RDG_OK
                                                       : rdg_fail(RDG_E_NO_MEMORY, "no memory for logs");
}

rdg_err_t rpc_logs_page(rdg_node_rpc_t *rpc, const rpc_filter_t *filter, const rpc_log_range_t *range,
                        rpc_log_page_t *page) {
    uint64_t head = rpc_head(rpc), stood_at = range->from, most = rpc->options.log_blocks;
    rdg_log_filter_t f = filter->f;
    *page = (rpc_log_page_t){.list = json_array()};
    hits_t hits = {.page = page, .limit = range->limit};
    f.from = range->from;
    f.from_index = range->from_index;
    f.to = range->to < head ? range->to : head;
    f.time_ms = rpc->options.call_ms;
    f.stood_at = &stood_at;
    bool cut = f.to >= f.from && f.to - f.from >= most;
    if (cut) f.to = f.from + most - 1;
    rdg_err_t err = rdg_ledger_logs(rpc->options.ledger, &f, SIZE_MAX, on_hit, &hits);
    if (err == RDG_E_CANCELLED && page->why != RDG_OK) return RDG_OK;
    if (err == RDG_E_TIMEOUT && stood_at > f.from) {
        page->why = RDG_E_TIMEOUT;
        page->next = stood_at;
        return RDG_OK;
    }
    if (err == RDG_OK && cut) {
        page->why = RDG_E_INVALID;
        page->next = f.to + 1;
    }
    if (err != RDG_OK) json_decref(page->list);
    return err;
}

/* One answer or none: who asks as Ethereum does would take a part for the whole. */
static rdg_err_t refuse_part(const rdg_node_rpc_t *rpc, const rpc_log_page_t *page,
                             const rpc_log_range_t *range) {
    unsigned long long from = range->from, next = page->next;
    if (page->why == RDG_E_INVALID)
        return rdg_fail(
            RDG_E_TOO_LARGE, "blocks %llu to %llu are more than %llu: ask for blocks %llu to %llu first",
            from, (unsigned long long)range->to, (unsigned long long)rpc->options.log_blocks, from, next - 1);
    if (page->why == RDG_E_TIMEOUT)
        return rdg_fail(
            RDG_E_TIMEOUT,
            "the search took longer than %u ms and stood at block %llu: ask for blocks %llu to %llu first, "
            "or name addresses or topics",
            rpc->options.call_ms, next, from, next - 1);
    if (next == range->from)
        return rdg_fail(
            RDG_E_TOO_LARGE,
            "block %llu alone has more than %d logs or %u bytes of log data that match: name addresses or "
            "topics, or use ridge_getLogs, which answers in pages",
            next, LOGS_MAX, LOG_BYTES_MAX);
    return rdg_fail(
        RDG_E_TOO_LARGE,
        "more than %d logs or %u bytes of log data match: ask for blocks %llu to %llu first, name addresses "
        "or topics, or use ridge_getLogs, which answers in pages",
        LOGS_MAX, LOG_BYTES_MAX, from, next - 1);
}

rdg_err_t rpc_logs(rdg_node_rpc_t *rpc, const rpc_filter_t *filter, uint64_t from, uint64_t to,
                   json_t **result) {
    rpc_log_range_t range = {.from = from, .to = to, .limit = LOGS_MAX};
    rpc_log_page_t page;
    RDG_TRY(rpc_logs_page(rpc, filter, &range, &page));
    if (page.why == RDG_OK) return *result = page.list, RDG_OK;
    json_decref(page.list);
    return refuse_part(rpc, &page, &range);
}

/* --- methods -------------------------------------------------------------------------------------- */

static rdg_err_t read_query(rdg_node_rpc_t *rpc, const json_t *params, rpc_log_range_t *range,
                            rpc_filter_t **filter) {
    const json_t *o = json_array_get(params, 0);
    if (!json_is_object(o)) return rdg_fail(RDG_E_INVALID, "parameter 1: want a filter object");
    RDG_TRY(rpc_filter_range(rpc, o, &range->from, &range->to));
    return rpc_filter_new(o, filter);
}

static rdg_err_t get_logs(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    rpc_log_range_t range;
    rpc_filter_t *filter = NULL;
    RDG_TRY(read_query(rpc, params, &range, &filter));
    rdg_err_t err = rpc_logs(rpc, filter, range.from, range.to, result);
    rpc_filter_unref(filter);
    return err;
}

static rdg_err_t read_paging(const json_t *o, rpc_log_range_t *range) {
    const json_t *limit = json_object_get(o, "limit"), *index = json_object_get(o, "fromLogIndex");
    uint64_t v = 0;
    range->limit = LOGS_MAX;
    if (limit && !json_is_null(limit)) {
        if (!json_is_integer(limit) || json_integer_value(limit) < 1 || json_integer_value(limit) > LOGS_MAX)
            return rdg_fail(RDG_E_INVALID, "limit: want a number of logs from 1 to %d", LOGS_MAX);
        range->limit = (size_t)json_integer_value(limit);
    }
    if (!index || json_is_null(index)) return RDG_OK;
    RDG_TRY(rdg_fail_in(rdg_json_quantity_parse(index, &v), "fromLogIndex"));
    if (v > UINT32_MAX) return rdg_fail(RDG_E_INVALID, "fromLogIndex: no block has so many logs");
    range->from_index = (uint32_t)v;
    return RDG_OK;
}

/* What goes into the filter object for the page after this one. */
static json_t *format_next(const rpc_log_page_t *page, bool by_hash) {
    if (page->why == RDG_OK) return json_null();
    json_t *next = json_object();
    if (!by_hash) json_object_set_new(next, "fromBlock", rdg_json_quantity(page->next));
    json_object_set_new(next, "fromLogIndex", rdg_json_quantity(page->next_index));
    return next;
}

static rdg_err_t get_logs_page(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    const json_t *o = json_array_get(params, 0), *hash = json_object_get(o, "blockHash");
    rpc_log_range_t range = {.from = 0};
    rpc_log_page_t page;
    rpc_filter_t *filter = NULL;
    RDG_TRY(read_paging(o, &range));
    RDG_TRY(read_query(rpc, params, &range, &filter));
    rdg_err_t err = rpc_logs_page(rpc, filter, &range, &page);
    rpc_filter_unref(filter);
    if (err == RDG_OK)
        *result = json_pack("{s:o, s:o}", "logs", page.list, "next",
                            format_next(&page, hash && !json_is_null(hash)));
    return err;
}

const rpc_method_t rpc_log_methods[] = {
    {"eth_getLogs", get_logs, NULL}, {"ridge_getLogs", get_logs_page, NULL}, {NULL, NULL, NULL}};
