/* Searching logs: the index chooses the blocks (blooms, where there is none, or any log is wanted); receipts decide. */
#include <string.h>
#include "ledger_internal.h"
#include "ridge/base/clock.h"
#include "ridge/codec/rlp.h"

enum { TOPICS = 4, RECEIPT_ARENA_MAX = 64 << 20 };

typedef struct search {
    rdg_ledger_t *l;
    const rdg_log_filter_t *filter;
    size_t left; /* hits still allowed */
    size_t limit;
    rdg_err_t (*hit)(void *ctx, const rdg_log_hit_t *found);
    void *ctx;
    rdg_block_t *block; /* of the running height; loaded at its first hit */
    uint64_t height;
    uint32_t log_index;
    uint64_t end_ms;
} search_t;

/* For log_seek_t too: the search has come to this height. */
static rdg_err_t come_to(void *ctx, uint64_t height) {
    search_t *s = ctx;
    s->height = height;
    if (!s->filter->time_ms || rdg_mono_ms(rdg_clock_system()) < s->end_ms) return RDG_OK;
    return rdg_fail(
        RDG_E_TIMEOUT,
        "the search took longer than %llu ms and stood at block %llu: ask for fewer blocks at a time, or "
        "name addresses or topics",
        (unsigned long long)s->filter->time_ms, (unsigned long long)s->height);
}

static rdg_bytes_t word_bytes(const rdg_word_t *w) {
    return rdg_bytes(w->b, sizeof w->b);
}

static bool bloom_matches(const rdg_log_filter_t *f, const rdg_bloom_t *bloom) {
    bool any = f->address_count == 0;
    for (size_t i = 0; i < f->address_count && !any; ++i)
        any = rdg_bloom_may_hold(bloom, rdg_bytes(f->addresses[i].b, sizeof f->addresses[i].b));
    for (size_t t = 0; t < TOPICS && any; ++t) {
        any = f->topics[t].count == 0;
        for (size_t i = 0; i < f->topics[t].count && !any; ++i)
            any = rdg_bloom_may_hold(bloom, word_bytes(&f->topics[t].any[i]));
    }
    return any;
}

bool rdg_log_matches(const rdg_log_filter_t *f, const rdg_log_entry_t *log) {
    bool any = f->address_count == 0;
    for (size_t i = 0; i < f->address_count && !any; ++i)
        any = rdg_address_equal(&f->addresses[i], &log->address);
    for (size_t t = 0; t < TOPICS && any; ++t) {
        any = f->topics[t].count == 0;
        for (size_t i = 0; i < f->topics[t].count && !any && t < log->topic_count; ++i)
            any = !memcmp(f->topics[t].any[i].b, log->topics[t].b, sizeof log->topics[t].b);
    }
    return any;
}

static rdg_err_t report(search_t *s, const rdg_log_entry_t *log, uint32_t tx_index) {
    if (s->left == 0)
        return rdg_fail(RDG_E_TOO_LARGE, "more than %zu logs match: narrow the range of blocks or the filter",
                        s->limit);
    if (!s->block) RDG_TRY(rdg_ledger_block(s->l, s->height, &s->block));
    if (tx_index >= s->block->header.tx_count)
        return rdg_fail(RDG_E_CORRUPT, "block %llu has more receipts than transactions",
                        (unsigned long long)s->height);
    s->left--;
    rdg_log_hit_t found = {.height = s->height,
                           .block_hash = s->block->hash,
                           .tx_id = s->block->txs[tx_index]->id,
                           .tx_index = tx_index,
                           .log_index = s->log_index,
                           .log = log};
    return s->hit(s->ctx, &found);
}

static bool left_out(const search_t *s) {
    return s->height == s->filter->from && s->log_index < s->filter->from_index;
}

static rdg_err_t search_receipts(search_t *s, rdg_bytes_t encoded) {
    rdg_rlp_t outer, list;
    rdg_arena_t arena;
    rdg_err_t err = RDG_OK;
    rdg_rlp_init(&outer, encoded);
    rdg_rlp_list(&outer, &list);
    rdg_arena_init(&arena, RECEIPT_ARENA_MAX);
    for (uint32_t i = 0; err == RDG_OK && rdg_rlp_more(&list); ++i) {
        rdg_receipt_t receipt;
        rdg_arena_reset(&arena);
        err = rdg_receipt_decode(rdg_rlp_raw(&list), &arena, &receipt);
        for (size_t k = 0; err == RDG_OK && k < receipt.log_count; ++k, ++s->log_index)
            if (!left_out(s) && rdg_log_matches(s->filter, &receipt.logs[k]))
                err = report(s, &receipt.logs[k], i);
    }
    rdg_arena_fini(&arena);
    return err;
}

static rdg_err_t search_block(void *ctx, uint64_t height) {
    search_t *s = ctx;
    rdg_buf_t receipts;
    RDG_TRY(come_to(s, height));
    s->log_index = 0;
    s->block = NULL;
    rdg_buf_init(&receipts, RDG_RECEIPTS_BYTES_MAX);
    rdg_err_t err = rdg_ledger_receipts(s->l, height, &receipts);
    if (err == RDG_OK) err = search_receipts(s, rdg_buf_view(&receipts));
    rdg_buf_fini(&receipts);
    rdg_block_unref(s->block);
    return err;
}

static rdg_err_t search_blooms(search_t *s, const rdg_kv_snapshot_t *snap, uint64_t from, uint64_t to) {
    const uint8_t prefix = KEY_BLOOM;
    ledger_key_t first = key_of_height(KEY_BLOOM, from);
    rdg_kv_iter_t *it = NULL;
    rdg_bytes_t key, value;
    RDG_TRY(rdg_kv_iter_open(s->l->kv, snap, rdg_bytes(&prefix, 1), key_view(&first), &it));
    rdg_err_t err = RDG_OK;
    while (err == RDG_OK && rdg_kv_iter_next(it, &key, &value)) {
        rdg_bloom_t bloom;
        if (key.len != 9 || value.len != sizeof bloom.b) {
            err = rdg_fail(RDG_E_CORRUPT, "a log bloom cannot be read");
            break;
        }
        uint64_t height = rdg_load_be64(key.data + 1);
        if (height > to) break;
        memcpy(bloom.b, value.data, sizeof bloom.b);
        err = come_to(s, height);
        if (err == RDG_OK && bloom_matches(s->filter, &bloom)) err = search_block(s, height);
    }
    if (err == RDG_OK) err = rdg_kv_iter_err(it);
    rdg_kv_iter_close(it);
    return err;
}

static rdg_err_t search_view(search_t *s, const view_t *v) {
    const rdg_log_filter_t *f = s->filter;
    uint64_t indexed = 0, to = f->to < v->head.height ? f->to : v->head.height;
    if (to < f->from) return RDG_OK;
    RDG_TRY(log_mark(s->l->kv, v->snap, META_LOGS, &indexed));
    if (log_filter_is_open(f)) return search_blooms(s, v->snap, f->from, to);
    if (f->from < indexed) {
        RDG_TRY(search_blooms(s, v->snap, f->from, to < indexed ? to : indexed - 1));
        if (to < indexed) return RDG_OK;
    }
    log_seek_t seek = {.kv = s->l->kv,
                       .snap = v->snap,
                       .filter = f,
                       .from = f->from < indexed ? indexed : f->from,
                       .to = to,
                       .block = search_block,
                       .poll = come_to,
                       .ctx = s};
    return log_index_seek(&seek);
}

/* Without receipts there is no index either: silence would be taken for an answer. */
static rdg_err_t check_bodies(const rdg_ledger_head_t *head, const rdg_log_filter_t *f) {
    if (f->from > head->base_height || f->to <= head->tail_height || f->to < f->from) return RDG_OK;
    if (head->base_height == 0) return RDG_OK;
    return rdg_fail(
        RDG_E_UNAVAILABLE,
        "the logs of blocks %llu to %llu are not on this node, whose ledger was built on a snapshot: it has "
        "logs from block %llu on; ask for these, or another node of the chain",
        (unsigned long long)head->tail_height + 1, (unsigned long long)head->base_height,
        (unsigned long long)head->base_height + 1);
}

rdg_err_t rdg_ledger_logs(rdg_ledger_t *l, const rdg_log_filter_t *filter, size_t limit,
                          rdg_err_t (*hit)(void *ctx, const rdg_log_hit_t *found), void *ctx) {
    search_t s = {.l = l, .filter = filter, .left = limit, .limit = limit, .hit = hit, .ctx = ctx};
    s.end_ms = rdg_mono_ms(rdg_clock_system()) + filter->time_ms;
    s.height = filter->from;
    view_t *v = view_get(l);
    rdg_err_t err = check_bodies(&v->head, filter);
    if (err == RDG_OK) err = search_view(&s, v);
    view_put(v);
    if (filter->stood_at) *filter->stood_at = s.height;
    return err;
}
