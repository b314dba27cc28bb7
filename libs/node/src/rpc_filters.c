/* Filters that their owners poll: eth_newFilter, eth_newBlockFilter, eth_newPendingTransactionFilter, … */
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include "ridge/base/random.h"
#include "rpc_internal.h"
#include <pthread.h>
#include <string.h>

enum { FILTERS_MAX = 256, HASHES_MAX = 10000 };

typedef struct polled {
    char id[RPC_ID_CHARACTERS + 1]; /* empty: a free place */
    rpc_filter_t *filter;           /* NULL: block hashes, or pending transactions */
    bool pending;
    uint64_t from, to;   /* as it was asked for */
    uint64_t next;       /* the first height, or number of a transaction, not yet told of */
    uint32_t next_index; /* the first log of it not yet told of */
    uint64_t asked_ms;
} polled_t;

struct filters {
    pthread_mutex_t lock;
    polled_t list[FILTERS_MAX];
};

rdg_err_t filters_new(filters_t **out) {
    filters_t *all = rdg_calloc(1, sizeof *all);
    if (!all) return rdg_fail(RDG_E_NO_MEMORY, "no memory for filters");
    pthread_mutex_init(&all->lock, NULL);
    *out = all;
    return RDG_OK;
}

static void drop(polled_t *p) {
    rpc_filter_unref(p->filter);
    *p = (polled_t){.id = ""};
}

void filters_free(filters_t *all) {
    if (!all) return;
    for (size_t i = 0; i < FILTERS_MAX; ++i) drop(&all->list[i]);
    pthread_mutex_destroy(&all->lock);
    rdg_free(all);
}

static uint64_t now_ms(void) {
    return rdg_mono_ms(rdg_clock_system());
}

/* With the lock held: a free place, after the forgotten ones have gone. */
static polled_t *place(filters_t *all, uint64_t now) {
    polled_t *empty = NULL;
    for (size_t i = 0; i < FILTERS_MAX; ++i) {
        polled_t *p = &all->list[i];
        if (p->id[0] && now - p->asked_ms > RDG_RPC_FILTER_SECONDS * 1000ull) drop(p);
        if (!p->id[0] && !empty) empty = p;
    }
    return empty;
}

/* Takes f.filter. */
static rdg_err_t add(rdg_node_rpc_t *rpc, polled_t f, json_t **result) {
    filters_t *all = rpc->filters;
    uint64_t now = now_ms();
    pthread_mutex_lock(&all->lock);
    polled_t *p = place(all, now);
    if (p) {
        *p = f;
        p->asked_ms = now;
        memcpy(p->id, "0x", 3);
        rdg_random_hex(rdg_random_system(), p->id + 2, (RPC_ID_CHARACTERS - 2) / 2);
        *result = json_string(p->id);
    }
    pthread_mutex_unlock(&all->lock);
    if (p) return RDG_OK;
    rpc_filter_unref(f.filter);
    return rdg_fail(
        RDG_E_FULL,
        "this node has at most %d filters: end one by eth_uninstallFilter; one that nobody asks for is "
        "forgotten after %d s",
        FILTERS_MAX, RDG_RPC_FILTER_SECONDS);
}

static bool is_open_end(const json_t *v) {
    const char *text = json_string_value(v);
    return !v || json_is_null(v) || (text && strcmp(text, "latest") == 0) ||
           (text && strcmp(text, "pending") == 0);
}

static rdg_err_t new_filter(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    const json_t *o = json_array_get(params, 0);
    rpc_filter_t *filter = NULL;
    uint64_t from, to;
    if (!json_is_object(o)) return rdg_fail(RDG_E_INVALID, "parameter 1: want a filter object");
    RDG_TRY(rpc_filter_range(rpc, o, &from, &to));
    if (!json_object_get(o, "blockHash") && is_open_end(json_object_get(o, "toBlock"))) to = UINT64_MAX;
    RDG_TRY(rpc_filter_new(o, &filter));
    return add(rpc, (polled_t){.filter = filter, .from = from, .to = to, .next = rpc_head(rpc) + 1}, result);
}

static rdg_err_t new_block_filter(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    (void)params;
    return add(rpc, (polled_t){.to = UINT64_MAX, .next = rpc_head(rpc) + 1}, result);
}

static rdg_err_t new_pending_filter(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    polled_t f = {.pending = true};
    if (json_is_true(json_array_get(params, 0)))
        return rdg_fail(
            RDG_E_UNSUPPORTED,
            "a filter of pending transactions tells hashes: ask eth_getTransactionByHash for the rest");
    RDG_TRY(pending_watch(rpc->pending, &f.next));
    return add(rpc, f, result);
}

/* With the lock held. */
static polled_t *find(filters_t *all, const char *id) {
    uint64_t now = now_ms();
    (void)place(all, now);
    for (size_t i = 0; id && *id && i < FILTERS_MAX; ++i)
        if (strcmp(all->list[i].id, id) == 0) return &all->list[i];
    return NULL;
}

/* A copy with a reference of its own to the filter. */
static rdg_err_t look(rdg_node_rpc_t *rpc, const json_t *params, polled_t *out) {
    filters_t *all = rpc->filters;
    pthread_mutex_lock(&all->lock);
    polled_t *p = find(all, json_string_value(json_array_get(params, 0)));
    if (p) {
        p->asked_ms = now_ms();
        *out = *p;
        if (p->filter) rdg_ref_get(&p->filter->ref);
    }
    pthread_mutex_unlock(&all->lock);
    if (p) return RDG_OK;
    return rdg_fail(
        RDG_E_NOT_FOUND,
        "filter not found: it was ended, or nobody asked for %d s, or the node was restarted; make a "
        "new one",
        RDG_RPC_FILTER_SECONDS);
}

static void advance(filters_t *all, const char *id, uint64_t next, uint32_t index) {
    pthread_mutex_lock(&all->lock);
    polled_t *p = find(all, id);
    if (p && (next > p->next || (next == p->next && index > p->next_index))) {
        p->next = next;
        p->next_index = index;
    }
    pthread_mutex_unlock(&all->lock);
}

static rdg_err_t block_hashes(rdg_node_rpc_t *rpc, uint64_t from, uint64_t to, json_t **result) {
    rdg_err_t err = RDG_OK;
    json_t *list = json_array();
    for (uint64_t h = from; h <= to && err == RDG_OK; ++h) {
        rdg_hash_t hash;
        err = rdg_ledger_header(rpc->options.ledger, h, NULL, &hash, NULL);
        if (err == RDG_OK) json_array_append_new(list, rdg_eth_hash_json(&hash));
    }
    if (err == RDG_OK)
        *result = list;
    else
        json_decref(list);
    return err;
}

static rdg_err_t new_logs(rdg_node_rpc_t *rpc, const polled_t *p, uint64_t from, uint64_t to,
                          json_t **result) {
    rpc_log_range_t range = {
        .from = from, .to = to, .from_index = from == p->next ? p->next_index : 0, .limit = LOGS_MAX};
    rpc_log_page_t page;
    RDG_TRY(rpc_logs_page(rpc, p->filter, &range, &page));
    bool whole = page.why == RDG_OK;
    advance(rpc->filters, p->id, whole ? to + 1 : page.next, whole ? 0 : page.next_index);
    *result = page.list;
    return RDG_OK;
}

static rdg_err_t new_blocks(rdg_node_rpc_t *rpc, const polled_t *p, uint64_t from, uint64_t to,
                            json_t **result) {
    if (to - from >= HASHES_MAX) to = from + HASHES_MAX - 1;
    RDG_TRY(block_hashes(rpc, from, to, result));
    advance(rpc->filters, p->id, to + 1, 0);
    return RDG_OK;
}

static rdg_err_t pending_hashes(rdg_node_rpc_t *rpc, const polled_t *p, json_t **result) {
    rdg_hash_t ids[128];
    uint64_t next = p->next;
    size_t count;
    *result = json_array();
    while ((count = pending_since(rpc->pending, &next, ids, 128)) > 0 &&
           json_array_size(*result) < HASHES_MAX)
        for (size_t i = 0; i < count; ++i) json_array_append_new(*result, rdg_eth_hash_json(&ids[i]));
    advance(rpc->filters, p->id, next, 0);
    return RDG_OK;
}

/* What does not fit into one answer comes with the next. */
static rdg_err_t changes(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    polled_t p;
    RDG_TRY(look(rpc, params, &p));
    if (p.pending) return pending_hashes(rpc, &p, result);
    uint64_t head = rpc_head(rpc), to = head < p.to ? head : p.to, from = p.next > p.from ? p.next : p.from;
    rdg_err_t err = RDG_OK;
    if (from > to)
        *result = json_array();
    else
        err = (p.filter ? new_logs : new_blocks)(rpc, &p, from, to, result);
    rpc_filter_unref(p.filter);
    return err;
}

static rdg_err_t filter_logs(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    polled_t p;
    RDG_TRY(look(rpc, params, &p));
    if (!p.filter)
        return rdg_fail(RDG_E_INVALID, "a filter of blocks or of pending transactions has no logs");
    rdg_err_t err = rpc_logs(rpc, p.filter, p.from, p.to, result);
    rpc_filter_unref(p.filter);
    return err;
}

static rdg_err_t uninstall(rdg_node_rpc_t *rpc, const json_t *params, json_t **result) {
    filters_t *all = rpc->filters;
    pthread_mutex_lock(&all->lock);
    polled_t *p = find(all, json_string_value(json_array_get(params, 0)));
    if (p) drop(p);
    pthread_mutex_unlock(&all->lock);
    *result = json_boolean(p != NULL);
    return RDG_OK;
}

const rpc_method_t rpc_filter_methods[] = {{"eth_newFilter", new_filter, NULL},
                                           {"eth_newBlockFilter", new_block_filter, NULL},
                                           {"eth_newPendingTransactionFilter", new_pending_filter, NULL},
                                           {"eth_getFilterChanges", changes, NULL},
                                           {"eth_getFilterLogs", filter_logs, NULL},
                                           {"eth_uninstallFilter", uninstall, NULL},
                                           {NULL, NULL, NULL}};
