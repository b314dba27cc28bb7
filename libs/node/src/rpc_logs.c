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

static rdg_err_t read_topic(const json_t *v, size_t at, rpc_filter_t *out) {
    if (!v || json_is_null(v)) return RDG_OK;
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
        json_t *list = json_pack("[O]", hash);
        rdg_err_t err = param_hash(list, 0, "blockHash", &h);
        json_decref(list);
        if (err == RDG_OK) err = rdg_ledger_height_of(rpc->options.ledger, &h, from);
        *to = *from;
        return err;
    }
    RDG_TRY(param_height(rpc, json_object_get(o, "fromBlock"), "fromBlock", from));
    return param_height(rpc, json_object_get(o, "toBlock"), "toBlock", to);
}

typedef struct hits {
    json_t *list;
    size_t bytes;
} hits_t;

static rdg_err_t on_hit(void *ctx, const rdg_log_hit_t *h) {
    hits_t *hits = ctx;
    hits->bytes += h->log->data.len;
    if (hits->bytes > LOG_BYTES_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "more than %u bytes of log data: ask for fewer blocks at a time",
                        LOG_BYTES_MAX);
    json_t *log = format_log(h->log, &h->block_hash, &h->tx_id, h->height, h->tx_index, h->log_index);
    return json_array_append_new(hits->list, log) == 0 ? RDG_OK
                                                       : rdg_fail(RDG_E_NO_MEMORY, "no memory for logs");
}

rdg_err_t rpc_logs(rdg_node_rpc_t *rpc, const rpc_filter_t *filter, uint64_t from, uint64_t to,
                   json_t **result) {
    uint64_t head = rpc_head(rpc);
    rdg_log_filter_t f = filter->f;
    f.from = from;
    f.to = to < head ? to : head;
    f.time_ms = RDG_RPC_LOGS_MS;
    if (f.to >= f.from && f.to - f.from >= LOG_BLOCKS_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "blocks %llu to %llu are more than %d: ask in parts",
                        (unsigned long long)f.from, (unsigned long long)f.to, LOG_BLOCKS_MAX);
    hits_t hits = {.list = json_array()};
    rdg_err_t err = rdg_ledger_logs(rpc->options.ledger, &f, LOGS_MAX, on_hit, &hits);
    if (err == RDG_OK)
        *result = hits.list;
    else
        json_decref(hits.list);
    return err;
}

static rdg_err_t get_logs(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    const json_t *o = json_array_get(params, 0);
    rpc_filter_t *filter = NULL;
    uint64_t from = 0, to = 0;
    if (!json_is_object(o)) return rdg_fail(RDG_E_INVALID, "parameter 1: want a filter object");
    RDG_TRY(rpc_filter_range(rpc, o, &from, &to));
    RDG_TRY(rpc_filter_new(o, &filter));
    rdg_err_t err = rpc_logs(rpc, filter, from, to, result);
    rpc_filter_unref(filter);
    return err;
}

const rpc_method_t rpc_log_methods[] = {{"eth_getLogs", get_logs, NULL}, {NULL, NULL, NULL}};
