/* Logs are found by the index exactly where a linear scan finds them. */
#include <stdlib.h>
#include "keys.h"
#include "ledger_internal.h"
#include "log_emitter.h"
#include "log_index.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/random.h"
#include "ridge/codec/rlp.h"

enum { LOGS_MAX = 6000, ALTERNATIVES = 3 };

typedef struct one_log {
    uint64_t height;
    uint32_t index; /* in its block */
    rdg_address_t address;
    uint32_t topic_count;
    rdg_word_t topics[4];
} one_log_t;

typedef struct all_logs {
    one_log_t at[LOGS_MAX];
    size_t count;
} all_logs_t;

/* xorshift: a failing seed can be run again */
static uint64_t draw(uint64_t *state, uint64_t below) {
    *state ^= *state << 13, *state ^= *state >> 7, *state ^= *state << 17;
    return *state % below;
}

static rdg_address_t address_of(uint64_t n) {
    rdg_address_t a = {{0xc0}};
    a.b[19] = (uint8_t)n;
    return a;
}

/* Many topics are alike at several places, some are unique. */
static rdg_word_t topic_of(uint64_t n) {
    rdg_word_t w = {{0}};
    rdg_store_be64(w.b + (n % 2 ? 24 : 0), n + 1);
    return w;
}

/* --- the scan ------------------------------------------------------------------------------------- */

static bool is_one_of(const rdg_word_t *value, const rdg_word_t *any, size_t count) {
    for (size_t i = 0; i < count; ++i)
        if (memcmp(value, &any[i], sizeof *value) == 0) return true;
    return false;
}

static bool wanted(const rdg_log_filter_t *f, const one_log_t *log) {
    if (log->height < f->from || log->height > f->to) return false;
    if (log->height == f->from && log->index < f->from_index) return false;
    bool found = f->address_count == 0;
    for (size_t i = 0; i < f->address_count; ++i)
        if (memcmp(&f->addresses[i], &log->address, sizeof log->address) == 0) found = true;
    for (size_t t = 0; t < 4; ++t) {
        if (f->topics[t].count == 0) continue;
        if (t >= log->topic_count || !is_one_of(&log->topics[t], f->topics[t].any, f->topics[t].count))
            return false;
    }
    return found;
}

/* --- filters -------------------------------------------------------------------------------------- */

typedef struct some_filter {
    rdg_log_filter_t f;
    rdg_address_t addresses[ALTERNATIVES];
    rdg_word_t topics[4][ALTERNATIVES];
} some_filter_t;

static void draw_filter(uint64_t *seed, const rdg_address_t *addresses, uint64_t address_count,
                        uint64_t topics, uint64_t top, some_filter_t *out) {
    memset(out, 0, sizeof *out);
    rdg_log_filter_t *f = &out->f;
    f->from = draw(seed, top + 2);
    f->to = draw(seed, 4) == 0 ? UINT64_MAX : f->from + draw(seed, top + 2);
    if (draw(seed, 4) == 0) f->from_index = (uint32_t)draw(seed, 4);
    f->addresses = out->addresses;
    f->address_count = draw(seed, 2) ? draw(seed, ALTERNATIVES + 1) : 0;
    for (size_t i = 0; i < f->address_count; ++i) out->addresses[i] = addresses[draw(seed, address_count)];
    for (size_t t = 0; t < 4; ++t) {
        f->topics[t].any = out->topics[t];
        f->topics[t].count = draw(seed, 3) == 0 ? draw(seed, ALTERNATIVES + 1) : 0;
        for (size_t i = 0; i < f->topics[t].count; ++i) out->topics[t][i] = topic_of(draw(seed, topics));
    }
}

/* --- the index by itself -------------------------------------------------------------------------- */

typedef struct found {
    uint64_t heights[4096];
    size_t count;
} found_t;

static rdg_err_t on_block(void *ctx, uint64_t height) {
    found_t *f = ctx;
    CHECK(f->count < 4096);
    CHECK(f->count == 0 || f->heights[f->count - 1] < height);
    f->heights[f->count++] = height;
    return RDG_OK;
}

static rdg_err_t on_poll(void *ctx, uint64_t height) {
    (void)ctx, (void)height;
    return RDG_OK;
}

/* Blocks of which some logs have what each group wants, though perhaps no log has all of it. */
static bool block_wanted(const rdg_log_filter_t *f, const all_logs_t *all, size_t first, size_t end) {
    bool has = f->address_count == 0;
    for (size_t i = first; i < end && !has; ++i)
        for (size_t a = 0; a < f->address_count; ++a)
            has = has || memcmp(&f->addresses[a], &all->at[i].address, sizeof(rdg_address_t)) == 0;
    for (size_t t = 0; t < 4 && has; ++t) {
        has = f->topics[t].count == 0;
        for (size_t i = first; i < end && !has; ++i)
            has = t < all->at[i].topic_count &&
                  is_one_of(&all->at[i].topics[t], f->topics[t].any, f->topics[t].count);
    }
    return has;
}

static void check_seek(rdg_kv_t *kv, const some_filter_t *filter, const all_logs_t *all) {
    static found_t found;
    size_t at = 0;
    found.count = 0;
    log_seek_t seek = {.kv = kv,
                       .filter = &filter->f,
                       .from = filter->f.from,
                       .to = filter->f.to,
                       .block = on_block,
                       .poll = on_poll,
                       .ctx = &found};
    CHECK_OK(log_index_seek(&seek));
    for (size_t i = 0, end; i < all->count; i = end) {
        uint64_t height = all->at[i].height;
        for (end = i; end < all->count && all->at[end].height == height;) ++end;
        if (height < filter->f.from || height > filter->f.to || !block_wanted(&filter->f, all, i, end))
            continue;
        CHECK(at < found.count);
        CHECK_EQ(found.heights[at], height);
        ++at;
    }
    CHECK_EQ(at, found.count);
}

static void draw_block(uint64_t *seed, uint64_t height, all_logs_t *all, rdg_receipt_t *receipt,
                       rdg_log_entry_t *entries) {
    receipt->logs = entries;
    receipt->log_count = draw(seed, 12);
    for (size_t i = 0; i < receipt->log_count; ++i) {
        one_log_t *log = &all->at[all->count++];
        CHECK(all->count < LOGS_MAX);
        *log = (one_log_t){.height = height, .index = (uint32_t)i, .address = address_of(draw(seed, 6))};
        log->topic_count = (uint32_t)draw(seed, 5);
        for (size_t t = 0; t < log->topic_count; ++t)
            log->topics[t] = topic_of(draw(seed, draw(seed, 2) ? 400 : 8));
        entries[i] = (rdg_log_entry_t){.address = log->address, .topic_count = log->topic_count};
        memcpy(entries[i].topics, log->topics, sizeof log->topics);
    }
}

/* Blocks with gaps, some of them larger than a section may span. Returns the last height. */
static uint64_t fill_index(rdg_kv_t *kv, uint64_t *seed, size_t items_max, size_t blocks, all_logs_t *all) {
    rdg_log_entry_t entries[12];
    rdg_receipt_t receipt = {.success = true};
    rdg_kv_batch_t *batch = rdg_kv_batch_new();
    log_open_t open;
    uint64_t height = 1;
    log_index_begin(batch, height);
    CHECK_OK(rdg_kv_write(kv, batch, false));
    CHECK_OK(log_index_load(kv, items_max, &open));
    for (size_t i = 0; i < blocks; ++i) {
        log_items_t items = {.v = NULL};
        log_open_t again;
        height += draw(seed, 20) == 0 ? draw(seed, 3 * LOG_SECTION_SPAN) : 1 + draw(seed, 3);
        rdg_kv_batch_clear(batch);
        draw_block(seed, height, all, &receipt, entries);
        CHECK_OK(log_items_add(&items, &receipt));
        CHECK_OK(log_index_put(kv, &open, height, &items, batch, &open));
        CHECK_OK(rdg_kv_write(kv, batch, false));
        log_items_fini(&items);
        CHECK_OK(log_index_load(kv, items_max, &again)); /* what a restart would know */
        CHECK(again.first == open.first && again.lists == open.lists && again.items == open.items);
        CHECK(open.lists == 0 || again.base == open.base);
        CHECK(open.items < items_max);
    }
    rdg_kv_batch_free(batch);
    return height;
}

TEST(log_index_names_the_blocks_that_a_scan_names) {
    static all_logs_t all;
    static const size_t sizes[] = {40, 300, 2000, 100000};
    rdg_address_t addresses[8];
    for (uint64_t i = 0; i < 8; ++i) addresses[i] = address_of(i);
    for (uint64_t s = 0; s < 4; ++s) {
        uint64_t seed = 77 + s;
        rdg_kv_t *kv = NULL;
        all.count = 0;
        CHECK_OK(rdg_kv_open_memory(&kv));
        uint64_t top = fill_index(kv, &seed, sizes[s], 900, &all);
        for (int i = 0; i < 500; ++i) {
            some_filter_t f;
            draw_filter(&seed, addresses, 8, i % 2 ? 10 : 420, top, &f);
            if (!log_filter_is_open(&f.f)) check_seek(kv, &f, &all);
        }
        rdg_kv_close(kv);
    }
}

TEST(log_index_that_is_damaged_is_refused) {
    static all_logs_t all;
    uint64_t seed = 5;
    rdg_kv_t *kv = NULL;
    CHECK_OK(rdg_kv_open_memory(&kv));
    all.count = 0;
    fill_index(kv, &seed, 300, 200, &all);
    rdg_word_t topic = topic_of(3);
    rdg_log_filter_t f = {.to = UINT64_MAX, .topics = {{&topic, 1}}};
    found_t *found = rdg_calloc(1, sizeof *found);
    CHECK(found != NULL);
    log_seek_t seek = {
        .kv = kv, .filter = &f, .to = UINT64_MAX, .block = on_block, .poll = on_poll, .ctx = found};
    CHECK_OK(log_index_seek(&seek));
    rdg_kv_iter_t *it = NULL;
    rdg_bytes_t key, value;
    const uint8_t prefix = KEY_LOG_SECTION;
    CHECK_OK(rdg_kv_iter_open(kv, NULL, rdg_bytes(&prefix, 1), rdg_bytes(NULL, 0), &it));
    CHECK(rdg_kv_iter_next(it, &key, &value));
    uint8_t kept[64], page[4096];
    rdg_bytes_t name = rdg_bytes(kept, key.len);
    size_t len = value.len;
    memcpy(kept, key.data, key.len);
    CHECK(len < sizeof page);
    memcpy(page, value.data, len);
    rdg_kv_iter_close(it);
    rdg_kv_batch_t *batch = rdg_kv_batch_new();
    const struct {
        size_t len, at;
        uint8_t byte;
    } damages[] = {{4, 0, 0}, {8 + 2, 9, 0x80}, {len, 0, 0xff}, {len, 8, 0xff}};
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; ++i) {
        uint8_t bad[4096];
        memcpy(bad, page, len);
        bad[damages[i].at] = damages[i].byte;
        if (i == 3) memset(bad + 8, 0xff, len - 8);
        rdg_kv_batch_clear(batch);
        rdg_kv_batch_put(batch, name, rdg_bytes(bad, damages[i].len));
        CHECK_OK(rdg_kv_write(kv, batch, false));
        found->count = 0;
        CHECK_ERR(log_index_seek(&seek), RDG_E_CORRUPT);
    }
    rdg_kv_batch_free(batch);
    rdg_free(found);
    rdg_kv_close(kv);
}

/* --- a ledger ------------------------------------------------------------------------------------- */

enum { EMITTERS = 4, TX_LOGS = 6 };

typedef struct world {
    rdg_genesis_t genesis;
    rdg_ledger_t *l;
    rdg_address_t emitters[EMITTERS];
    uint64_t nonce, seed;
    all_logs_t all; /* as the receipts say */
} world_t;

static void world_open(world_t *w, const char *name) {
    char path[600];
    support_genesis(&w->genesis);
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), name));
    CHECK_OK(rdg_ledger_open(path, &w->genesis, &(rdg_ledger_options_t){.log_section_items = 150}, &w->l));
}

static void world_deploy(world_t *w) {
    uint8_t code[EMITTER_CODE_BYTES];
    rdg_tx_t *txs[EMITTERS];
    rdg_address_t from = support_address(9);
    emitter_code(code);
    for (size_t i = 0; i < EMITTERS; ++i) {
        rdg_evm_create_address(&from, ++w->nonce, &w->emitters[i]);
        txs[i] =
            support_tx((tx_spec_t){.create = true, .nonce = w->nonce, .data = rdg_bytes(code, sizeof code)});
    }
    CHECK_OK(support_apply(w->l, txs, EMITTERS, NULL));
}

static rdg_tx_t *draw_tx(world_t *w) {
    uint8_t input[TX_LOGS * EMIT_WORDS * 32] = {0};
    size_t count = draw(&w->seed, TX_LOGS + 1);
    for (size_t i = 0; i < count; ++i) {
        uint8_t *words = input + i * EMIT_WORDS * 32;
        words[31] = (uint8_t)draw(&w->seed, 5);
        for (size_t t = 0; t < 4; ++t) {
            rdg_word_t topic = topic_of(draw(&w->seed, draw(&w->seed, 2) ? 200 : 6));
            memcpy(words + 32 * (t + 1), topic.b, 32);
        }
    }
    return support_tx((tx_spec_t){.nonce = ++w->nonce,
                                  .to = &w->emitters[draw(&w->seed, EMITTERS)],
                                  .data = rdg_bytes(input, count * EMIT_WORDS * 32)});
}

static void world_grow(world_t *w, size_t blocks) {
    for (size_t b = 0; b < blocks; ++b) {
        rdg_tx_t *txs[3];
        uint32_t count = (uint32_t)draw(&w->seed, 4);
        for (uint32_t i = 0; i < count; ++i) txs[i] = draw_tx(w);
        CHECK_OK(support_apply(w->l, txs, count, NULL));
    }
}

static void scan_block(world_t *w, uint64_t height) {
    rdg_rlp_t outer, list;
    rdg_arena_t arena;
    rdg_buf_t raw;
    uint32_t index = 0;
    rdg_buf_init(&raw, 1 << 24);
    rdg_arena_init(&arena, 1 << 24);
    CHECK_OK(rdg_ledger_receipts(w->l, height, &raw));
    rdg_rlp_init(&outer, rdg_buf_view(&raw));
    CHECK_OK(rdg_rlp_list(&outer, &list));
    while (rdg_rlp_more(&list)) {
        rdg_receipt_t r;
        CHECK_OK(rdg_receipt_decode(rdg_rlp_raw(&list), &arena, &r));
        for (size_t i = 0; i < r.log_count; ++i) {
            one_log_t *log = &w->all.at[w->all.count++];
            CHECK(w->all.count < LOGS_MAX);
            *log = (one_log_t){height, index++, r.logs[i].address, r.logs[i].topic_count, {{{0}}}};
            memcpy(log->topics, r.logs[i].topics, r.logs[i].topic_count * sizeof *log->topics);
        }
    }
    rdg_buf_fini(&raw);
    rdg_arena_fini(&arena);
}

static uint64_t scan(world_t *w) {
    rdg_ledger_head_t head;
    rdg_ledger_head(w->l, &head);
    w->all.count = 0;
    for (uint64_t h = 1; h <= head.height; ++h) scan_block(w, h);
    return head.height;
}

typedef struct hits {
    const all_logs_t *all;
    const rdg_log_filter_t *filter;
    size_t at, count;
} hits_t;

/* Each hit is the next one that the scan has. */
static rdg_err_t on_hit(void *ctx, const rdg_log_hit_t *h) {
    hits_t *hits = ctx;
    while (hits->at < hits->all->count && !wanted(hits->filter, &hits->all->at[hits->at])) ++hits->at;
    CHECK(hits->at < hits->all->count);
    const one_log_t *log = &hits->all->at[hits->at++];
    CHECK_EQ(h->height, log->height);
    CHECK_EQ(h->log_index, log->index);
    CHECK(rdg_address_equal(&h->log->address, &log->address) && h->log->topic_count == log->topic_count);
    ++hits->count;
    return RDG_OK;
}

static size_t check_ledger(world_t *w, int filters) {
    uint64_t top = scan(w);
    size_t total = 0;
    for (int i = 0; i < filters; ++i) {
        some_filter_t f;
        draw_filter(&w->seed, w->emitters, EMITTERS, i % 2 ? 8 : 210, top, &f);
        hits_t hits = {.all = &w->all, .filter = &f.f};
        CHECK_OK(rdg_ledger_logs(w->l, &f.f, SIZE_MAX, on_hit, &hits));
        while (hits.at < w->all.count) CHECK(!wanted(&f.f, &w->all.at[hits.at++]));
        total += hits.count;
    }
    return total;
}

TEST(logs_are_those_of_a_linear_scan_also_after_a_restart) {
    static world_t w;
    w.seed = 4711;
    world_open(&w, "scan");
    world_deploy(&w);
    world_grow(&w, 40);
    CHECK(check_ledger(&w, 200) > 300);
    rdg_ledger_close(w.l);
    world_open(&w, "scan");
    CHECK(check_ledger(&w, 50) > 50);
    world_grow(&w, 30);
    CHECK(w.all.count > 150);
    CHECK(check_ledger(&w, 200) > 300);
    rdg_ledger_close(w.l);
}

/* As layout 3 left it. */
static void forget_index(rdg_kv_t *kv) {
    const uint8_t prefixes[] = {KEY_LOGS, KEY_LOG_SECTION};
    rdg_kv_batch_t *batch = rdg_kv_batch_new();
    for (size_t p = 0; p < 2; ++p) {
        rdg_kv_iter_t *it = NULL;
        rdg_bytes_t key, value;
        CHECK_OK(rdg_kv_iter_open(kv, NULL, rdg_bytes(&prefixes[p], 1), rdg_bytes(NULL, 0), &it));
        while (rdg_kv_iter_next(it, &key, &value)) rdg_kv_batch_delete(batch, key);
        rdg_kv_iter_close(it);
    }
    ledger_key_t a = key_of(KEY_META, META_LOGS, strlen(META_LOGS)),
                 b = key_of(KEY_META, META_LOGS_OPEN, strlen(META_LOGS_OPEN));
    rdg_kv_batch_delete(batch, key_view(&a));
    rdg_kv_batch_delete(batch, key_view(&b));
    put_u64(batch, META_VERSION, 3);
    CHECK_OK(rdg_kv_write(kv, batch, true));
    rdg_kv_batch_free(batch);
}

TEST(a_ledger_from_before_the_index_is_continued_and_all_its_logs_are_found) {
    static world_t w;
    uint64_t first = 0, version = 0;
    w.seed = 99;
    world_open(&w, "old");
    world_deploy(&w);
    world_grow(&w, 30);
    forget_index(rdg_ledger_kv(w.l));
    rdg_ledger_close(w.l);
    world_open(&w, "old");
    CHECK_OK(load_u64(w.l->kv, META_VERSION, &version));
    CHECK_OK(load_u64(w.l->kv, META_LOGS, &first));
    CHECK_EQ(version, 4);
    CHECK_EQ(first, 32);
    CHECK(check_ledger(&w, 200) > 100);
    world_grow(&w, 20);
    CHECK(check_ledger(&w, 200) > 200);
    rdg_ledger_close(w.l);
}

TEST(log_index_without_memory_says_so_and_changes_nothing) {
    static all_logs_t all;
    uint64_t seed = 8;
    rdg_err_t err;
    rdg_kv_t *kv = NULL;
    log_open_t open, after;
    rdg_log_entry_t entries[12];
    rdg_receipt_t receipt = {.success = true};
    rdg_address_t address = address_of(1);
    static found_t found;
    rdg_log_filter_t f = {.to = UINT64_MAX, .addresses = &address, .address_count = 1};
    log_seek_t seek = {
        .kv = kv, .filter = &f, .to = UINT64_MAX, .block = on_block, .poll = on_poll, .ctx = &found};
    CHECK_OK(rdg_kv_open_memory(&kv));
    all.count = 0;
    seek.kv = kv;
    uint64_t height = fill_index(kv, &seed, 100, 50, &all);
    CHECK_OK(log_index_load(kv, 1, &open)); /* the next block closes the section */
    while (receipt.log_count == 0) draw_block(&seed, height + 1, &all, &receipt, entries);
    RDG_TEST_ALLOC_LOOP(err) {
        log_items_t items = {.v = NULL};
        rdg_kv_batch_t *batch = rdg_kv_batch_new();
        found.count = 0;
        err = batch ? log_items_add(&items, &receipt) : RDG_E_NO_MEMORY;
        if (err == RDG_OK) err = log_index_put(kv, &open, height + 1, &items, batch, &after);
        if (err == RDG_OK) err = rdg_kv_batch_err(batch);
        if (err == RDG_OK) err = log_index_seek(&seek);
        rdg_kv_batch_free(batch);
        log_items_fini(&items);
    }
    CHECK_EQ(after.first, height + 2);
    CHECK_EQ(after.lists, 0);
    rdg_kv_close(kv);
}
