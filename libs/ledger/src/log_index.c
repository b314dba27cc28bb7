#include "log_index.h"
#include <stdlib.h>
#include <string.h>
#include "ledger_internal.h"
#include "ridge/base/alloc.h"

enum { PAGE_BYTES = 2048, LIST_KEY_BYTES = 9, SECTION_BYTES_MAX = 64 << 20 };

const char META_LOGS[] = "logs", META_LOGS_OPEN[] = "logsopen";

/* --- items ---------------------------------------------------------------------------------------- */

uint32_t log_item_of(unsigned place, const uint8_t *value, size_t len) {
    uint64_t h = (place + 1) * 0x9e3779b97f4a7c15u, tail = 0;
    for (; len >= 8; value += 8, len -= 8) {
        h = (h ^ rdg_load_be64(value)) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    for (size_t i = 0; i < len; ++i) tail = tail << 8 | value[i];
    h = (h ^ tail) * 0xc4ceb9fe1a85ec53u;
    h = (h ^ h >> 29) * 0xff51afd7ed558ccdu;
    return (uint32_t)(h >> 32);
}

static rdg_err_t push(log_items_t *items, unsigned place, const uint8_t *value, size_t len) {
    uint32_t item = log_item_of(place, value, len);
    if ((items->has_last >> place & 1) && items->last[place] == item) return RDG_OK;
    if (items->count == items->room) {
        size_t room = items->room ? items->room * 2 : 256;
        uint32_t *v = rdg_realloc_array(items->v, room, sizeof *v);
        if (!v) return rdg_fail(RDG_E_NO_MEMORY, "no memory to index logs");
        items->v = v;
        items->room = room;
    }
    items->last[place] = items->v[items->count++] = item;
    items->has_last |= 1u << place;
    return RDG_OK;
}

rdg_err_t log_items_add(log_items_t *items, const rdg_receipt_t *receipt) {
    for (size_t i = 0; i < receipt->log_count; ++i) {
        const rdg_log_entry_t *log = &receipt->logs[i];
        RDG_TRY(push(items, 0, log->address.b, sizeof log->address.b));
        for (unsigned t = 0; t < log->topic_count; ++t)
            RDG_TRY(push(items, t + 1, log->topics[t].b, sizeof log->topics[t].b));
    }
    return RDG_OK;
}

void log_items_fini(log_items_t *items) {
    rdg_free(items->v);
    *items = (log_items_t){.v = NULL};
}

static int by_item(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void sort_once(log_items_t *items) {
    size_t kept = 0;
    qsort(items->v, items->count, sizeof *items->v, by_item);
    for (size_t i = 0; i < items->count; ++i)
        if (i == 0 || items->v[i] != items->v[kept - 1]) items->v[kept++] = items->v[i];
    items->count = kept;
}

/* --- sections ------------------------------------------------------------------------------------- */

/* Items of several blocks: item in the upper half, block above the base in the lower. */
typedef struct pairs {
    uint64_t *v;
    size_t count;
} pairs_t;

static int by_pair(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void put_varint(rdg_buf_t *out, uint64_t v) {
    for (; v >= 0x80; v >>= 7) rdg_buf_u8(out, (uint8_t)(v | 0x80));
    rdg_buf_u8(out, (uint8_t)v);
}

static ledger_key_t key_of_page(uint64_t last, uint32_t highest) {
    uint8_t be[12];
    rdg_store_be64(be, last);
    rdg_store_be32(be + 8, highest);
    return key_of(KEY_LOG_SECTION, be, sizeof be);
}

static rdg_err_t put_page(rdg_kv_batch_t *batch, uint64_t last, uint32_t highest, rdg_buf_t *page) {
    ledger_key_t key = key_of_page(last, highest);
    RDG_TRY(rdg_buf_err(page));
    rdg_kv_batch_put(batch, key_view(&key), rdg_buf_view(page));
    rdg_buf_clear(page);
    return rdg_kv_batch_err(batch);
}

/* One item with its blocks, from v[at] on; returns where the next one is. */
static size_t put_item(rdg_buf_t *page, const pairs_t *p, size_t at, uint32_t before) {
    uint32_t item = (uint32_t)(p->v[at] >> 32);
    size_t end = at;
    while (end < p->count && p->v[end] >> 32 == item) ++end;
    put_varint(page, (uint64_t)(item - before) * 2 + (end - at > 1));
    if (end - at > 1) put_varint(page, end - at);
    uint32_t block = 0;
    for (; at < end; ++at) {
        put_varint(page, (uint32_t)p->v[at] - block);
        block = (uint32_t)p->v[at];
    }
    return end;
}

static rdg_err_t put_pages(const pairs_t *p, uint64_t base, uint64_t last, rdg_kv_batch_t *batch) {
    rdg_buf_t page;
    rdg_err_t err = RDG_OK;
    uint32_t before = 0;
    rdg_buf_init(&page, SECTION_BYTES_MAX);
    rdg_buf_u64(&page, base);
    for (size_t i = 0; err == RDG_OK && i < p->count;) {
        uint32_t item = (uint32_t)(p->v[i] >> 32);
        i = put_item(&page, p, i, before);
        before = item;
        if (page.len < PAGE_BYTES || i == p->count) continue;
        err = put_page(batch, last, item, &page);
        rdg_buf_u64(&page, base);
        before = 0;
    }
    if (err == RDG_OK) err = put_page(batch, last, UINT32_MAX, &page);
    rdg_buf_fini(&page);
    return err;
}

/* Takes the open lists into p, which has room for them, and out of the store. */
static rdg_err_t take_lists(rdg_kv_t *kv, const log_open_t *open, rdg_kv_batch_t *batch, pairs_t *p,
                            uint64_t *last) {
    const uint8_t prefix = KEY_LOGS;
    ledger_key_t from = key_of_height(KEY_LOGS, open->first);
    rdg_kv_iter_t *it = NULL;
    rdg_bytes_t key, value;
    RDG_TRY(rdg_kv_iter_open(kv, NULL, rdg_bytes(&prefix, 1), key_view(&from), &it));
    rdg_err_t err = RDG_OK;
    while (err == RDG_OK && rdg_kv_iter_next(it, &key, &value)) {
        uint64_t height = key.len == LIST_KEY_BYTES ? rdg_load_be64(key.data + 1) : 0;
        if (height < open->base || height - open->base > UINT32_MAX || value.len % 4 != 0 ||
            value.len / 4 > open->items - p->count) {
            err = log_index_unreadable();
            break;
        }
        for (size_t i = 0; i < value.len; i += 4)
            p->v[p->count++] = (uint64_t)rdg_load_be32(value.data + i) << 32 | (height - open->base);
        rdg_kv_batch_delete(batch, key);
        *last = height;
    }
    if (err == RDG_OK) err = rdg_kv_iter_err(it);
    rdg_kv_iter_close(it);
    return err;
}

/* Of the open lists, and of `more` at `height` if it is not NULL; lists are open from `next` on. */
static rdg_err_t close_section(rdg_kv_t *kv, const log_open_t *open, const log_items_t *more, uint64_t height,
                               uint64_t next, rdg_kv_batch_t *batch) {
    size_t extra = more ? more->count : 0;
    pairs_t p = {.v = rdg_calloc(open->items + extra + 1, sizeof *p.v)};
    uint64_t base = open->lists > 0 ? open->base : height, last = height;
    if (!p.v) return rdg_fail(RDG_E_NO_MEMORY, "no memory to index logs");
    rdg_err_t err = open->lists > 0 ? take_lists(kv, open, batch, &p, &last) : RDG_OK;
    for (size_t i = 0; i < extra; ++i) p.v[p.count++] = (uint64_t)more->v[i] << 32 | (height - base);
    if (more) last = height;
    qsort(p.v, p.count, sizeof *p.v, by_pair);
    if (err == RDG_OK) err = put_pages(&p, base, last, batch);
    put_u64(batch, META_LOGS_OPEN, next);
    rdg_free(p.v);
    return err == RDG_OK ? rdg_kv_batch_err(batch) : err;
}

/* --- a block -------------------------------------------------------------------------------------- */

static rdg_err_t put_list(rdg_kv_batch_t *batch, uint64_t height, const log_items_t *items) {
    ledger_key_t key = key_of_height(KEY_LOGS, height);
    uint8_t *list = rdg_alloc(items->count * 4);
    if (!list) return rdg_fail(RDG_E_NO_MEMORY, "no memory to index logs");
    for (size_t i = 0; i < items->count; ++i) rdg_store_be32(list + 4 * i, items->v[i]);
    rdg_kv_batch_put(batch, key_view(&key), rdg_bytes(list, items->count * 4));
    rdg_free(list);
    return rdg_kv_batch_err(batch);
}

rdg_err_t log_index_put(rdg_kv_t *kv, const log_open_t *open, uint64_t height, log_items_t *items,
                        rdg_kv_batch_t *batch, log_open_t *after) {
    *after = *open;
    if (items->count == 0) return RDG_OK;
    sort_once(items);
    if (open->lists > 0 && height - open->base >= LOG_SECTION_SPAN) {
        RDG_TRY(close_section(kv, open, NULL, 0, height, batch));
        *after = (log_open_t){.first = height, .items_max = open->items_max};
    } else if (open->items + items->count >= open->items_max) {
        RDG_TRY(close_section(kv, open, items, height, height + 1, batch));
        *after = (log_open_t){.first = height + 1, .items_max = open->items_max};
        return RDG_OK;
    }
    if (after->lists++ == 0) after->base = height;
    after->items += items->count;
    return put_list(batch, height, items);
}

void log_index_begin(rdg_kv_batch_t *batch, uint64_t height) {
    put_u64(batch, META_LOGS, height);
    put_u64(batch, META_LOGS_OPEN, height);
}

rdg_err_t log_index_load(rdg_kv_t *kv, size_t items_max, log_open_t *out) {
    const uint8_t prefix = KEY_LOGS;
    rdg_kv_iter_t *it = NULL;
    rdg_bytes_t key, value;
    *out = (log_open_t){.items_max = items_max ? items_max : LOG_SECTION_ITEMS};
    RDG_TRY(log_mark(kv, NULL, META_LOGS_OPEN, &out->first));
    ledger_key_t from = key_of_height(KEY_LOGS, out->first);
    RDG_TRY(rdg_kv_iter_open(kv, NULL, rdg_bytes(&prefix, 1), key_view(&from), &it));
    while (rdg_kv_iter_next(it, &key, &value)) {
        if (out->lists++ == 0 && key.len == LIST_KEY_BYTES) out->base = rdg_load_be64(key.data + 1);
        out->items += value.len / 4;
    }
    rdg_err_t err = rdg_kv_iter_err(it);
    rdg_kv_iter_close(it);
    return err;
}
