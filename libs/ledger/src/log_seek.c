/* Reading the index of logs: whole sections by a bitmap of their blocks, then the open lists one by one. */
#include <string.h>
#include "keys.h"
#include "log_index.h"
#include "ridge/base/alloc.h"

enum {
    TOPICS = 4,
    GROUPS = TOPICS + 1,
    PAGE_KEY_BYTES = 13,
    LIST_KEY_BYTES = 9,
    WORDS = LOG_SECTION_SPAN / 64
};

/* Blocks of a section, from its base. */
typedef struct blocks {
    uint64_t bits[WORDS];
} blocks_t;

typedef struct section {
    uint64_t base, last;
} section_t;

rdg_err_t log_index_unreadable(void) {
    return rdg_fail(RDG_E_CORRUPT, "the index of logs cannot be read: restore this node from its peers");
}

rdg_err_t log_mark(rdg_kv_t *kv, const rdg_kv_snapshot_t *snap, const char *name, uint64_t *out) {
    rdg_buf_t raw;
    ledger_key_t key = key_of(KEY_META, name, strlen(name));
    rdg_buf_init(&raw, 8);
    rdg_err_t err = rdg_kv_get(kv, snap, key_view(&key), &raw);
    if (err == RDG_E_NOT_FOUND || (err == RDG_OK && raw.len != 8)) err = log_index_unreadable();
    if (err == RDG_OK) *out = rdg_load_be64(raw.data);
    rdg_buf_fini(&raw);
    return err;
}

bool log_filter_is_open(const rdg_log_filter_t *f) {
    bool any = f->address_count > 0;
    for (size_t t = 0; t < TOPICS; ++t) any = any || f->topics[t].count > 0;
    return !any;
}

typedef struct seek {
    const log_seek_t *s;
    uint32_t *items[GROUPS]; /* one of each group that is not empty */
    size_t counts[GROUPS];
} seek_t;

static rdg_err_t seek_init(seek_t *k, const log_seek_t *s) {
    const rdg_log_filter_t *f = s->filter;
    *k = (seek_t){.s = s, .counts = {f->address_count}};
    size_t total = f->address_count;
    for (size_t t = 0; t < TOPICS; ++t) total += k->counts[t + 1] = f->topics[t].count;
    uint32_t *items = rdg_calloc(total + 1, sizeof *items);
    if (!items) return rdg_fail(RDG_E_NO_MEMORY, "no memory to search logs");
    for (unsigned g = 0; g < GROUPS; items += k->counts[g++]) k->items[g] = items;
    for (size_t i = 0; i < f->address_count; ++i)
        k->items[0][i] = log_item_of(0, f->addresses[i].b, sizeof f->addresses[i].b);
    for (unsigned g = 1; g < GROUPS; ++g)
        for (size_t i = 0; i < k->counts[g]; ++i)
            k->items[g][i] = log_item_of(g, f->topics[g - 1].any[i].b, sizeof f->topics[g - 1].any[i].b);
    return RDG_OK;
}

/* --- sections ------------------------------------------------------------------------------------- */

static bool get_varint(rdg_bytes_t *in, uint64_t *out) {
    *out = 0;
    for (unsigned shift = 0; shift < 63 && in->len > 0; shift += 7) {
        uint8_t b = *in->data;
        *in = rdg_bytes(in->data + 1, in->len - 1);
        *out |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) return true;
    }
    return false;
}

/* The blocks of one item, which stand at the front of in; kept in out if it is not NULL. */
static bool take_blocks(rdg_bytes_t *in, uint64_t count, blocks_t *out) {
    uint64_t at = 0, step;
    for (; count > 0; --count) {
        if (!get_varint(in, &step) || step >= LOG_SECTION_SPAN || (at += step) >= LOG_SECTION_SPAN)
            return false;
        if (out) out->bits[at / 64] |= 1ull << at % 64;
    }
    return true;
}

static rdg_err_t read_page(rdg_bytes_t page, uint32_t item, blocks_t *out) {
    uint64_t at = 0, head, count;
    rdg_bytes_t in = rdg_bytes(page.data + 8, page.len - 8);
    while (in.len > 0) {
        count = 1;
        if (!get_varint(&in, &head) || ((head & 1) && !get_varint(&in, &count)))
            return log_index_unreadable();
        at += head >> 1;
        if (!take_blocks(&in, count, at == item ? out : NULL)) return log_index_unreadable();
        if (at >= item) break;
    }
    return RDG_OK;
}

static bool page_of(rdg_bytes_t key, rdg_bytes_t value, section_t *out) {
    if (key.len != PAGE_KEY_BYTES || value.len < 8) return false;
    *out = (section_t){rdg_load_be64(value.data), rdg_load_be64(key.data + 1)};
    return out->base <= out->last && out->last - out->base < LOG_SECTION_SPAN;
}

static ledger_key_t key_of_page(uint64_t last, uint32_t item) {
    uint8_t be[12];
    rdg_store_be64(be, last);
    rdg_store_be32(be + 8, item);
    return key_of(KEY_LOG_SECTION, be, sizeof be);
}

static rdg_err_t look_up(const log_seek_t *s, const section_t *in, uint32_t item, blocks_t *out) {
    rdg_kv_iter_t *it = NULL;
    rdg_bytes_t key, value;
    section_t found;
    ledger_key_t from = key_of_page(in->last, item);
    RDG_TRY(rdg_kv_iter_open(s->kv, s->snap, rdg_bytes(from.b, LIST_KEY_BYTES), key_view(&from), &it));
    rdg_err_t err = RDG_OK;
    if (rdg_kv_iter_next(it, &key, &value))
        err = page_of(key, value, &found) ? read_page(value, item, out) : log_index_unreadable();
    else if ((err = rdg_kv_iter_err(it)) == RDG_OK)
        err = log_index_unreadable();
    rdg_kv_iter_close(it);
    return err;
}

/* *some: whether any block is left. */
static rdg_err_t blocks_of(const seek_t *k, const section_t *in, blocks_t *out, bool *some) {
    blocks_t group;
    memset(out, 0xff, sizeof *out);
    *some = true;
    /* Topics are rarer than addresses: an early end comes sooner. */
    for (unsigned g = GROUPS; g-- > 0 && *some;) {
        if (k->counts[g] == 0) continue;
        memset(&group, 0, sizeof group);
        for (size_t i = 0; i < k->counts[g]; ++i) RDG_TRY(look_up(k->s, in, k->items[g][i], &group));
        uint64_t any = 0;
        for (size_t i = 0; i < WORDS; ++i) any |= out->bits[i] &= group.bits[i];
        *some = any != 0;
    }
    return RDG_OK;
}

static rdg_err_t seek_section(const seek_t *k, const section_t *in) {
    const log_seek_t *s = k->s;
    blocks_t blocks;
    bool some;
    RDG_TRY(blocks_of(k, in, &blocks, &some));
    uint64_t to = in->last < s->to ? in->last : s->to;
    for (uint64_t h = in->base < s->from ? s->from : in->base; some && h <= to; ++h) {
        uint64_t at = h - in->base;
        if (blocks.bits[at / 64] >> at % 64 & 1) RDG_TRY(s->block(s->ctx, h));
    }
    return RDG_OK;
}

/* The first section that ends at or above a height. */
static rdg_err_t next_section(const log_seek_t *s, uint64_t height, section_t *out, bool *found) {
    const uint8_t prefix = KEY_LOG_SECTION;
    ledger_key_t from = key_of_height(KEY_LOG_SECTION, height);
    rdg_kv_iter_t *it = NULL;
    rdg_bytes_t key, value;
    RDG_TRY(rdg_kv_iter_open(s->kv, s->snap, rdg_bytes(&prefix, 1), key_view(&from), &it));
    *found = rdg_kv_iter_next(it, &key, &value);
    rdg_err_t err = rdg_kv_iter_err(it);
    if (err == RDG_OK && *found && !page_of(key, value, out)) err = log_index_unreadable();
    rdg_kv_iter_close(it);
    return err;
}

/* --- open lists ----------------------------------------------------------------------------------- */

static bool list_has(rdg_bytes_t list, uint32_t item) {
    size_t low = 0, high = list.len / 4;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uint32_t there = rdg_load_be32(list.data + 4 * middle);
        if (there == item) return true;
        if (there < item)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static bool list_may_match(const seek_t *k, rdg_bytes_t list) {
    bool any = true;
    for (unsigned g = GROUPS; g-- > 0 && any;) {
        any = k->counts[g] == 0;
        for (size_t i = 0; i < k->counts[g] && !any; ++i) any = list_has(list, k->items[g][i]);
    }
    return any;
}

static rdg_err_t seek_lists(const seek_t *k, uint64_t first) {
    const log_seek_t *s = k->s;
    const uint8_t prefix = KEY_LOGS;
    ledger_key_t from = key_of_height(KEY_LOGS, first < s->from ? s->from : first);
    rdg_kv_iter_t *it = NULL;
    rdg_bytes_t key, value;
    RDG_TRY(rdg_kv_iter_open(s->kv, s->snap, rdg_bytes(&prefix, 1), key_view(&from), &it));
    rdg_err_t err = RDG_OK;
    while (err == RDG_OK && rdg_kv_iter_next(it, &key, &value)) {
        if (key.len != LIST_KEY_BYTES || value.len % 4 != 0) {
            err = log_index_unreadable();
            break;
        }
        uint64_t height = rdg_load_be64(key.data + 1);
        if (height > s->to) break;
        err = s->poll(s->ctx, height);
        if (err == RDG_OK && list_may_match(k, value)) err = s->block(s->ctx, height);
    }
    if (err == RDG_OK) err = rdg_kv_iter_err(it);
    rdg_kv_iter_close(it);
    return err;
}

static rdg_err_t seek_sections(const seek_t *k, uint64_t open) {
    const log_seek_t *s = k->s;
    for (uint64_t h = s->from; h <= s->to && h < open;) {
        section_t section;
        bool found;
        RDG_TRY(s->poll(s->ctx, h));
        RDG_TRY(next_section(s, h, &section, &found));
        if (!found || section.base > s->to) break;
        RDG_TRY(seek_section(k, &section));
        h = section.last + 1;
    }
    return RDG_OK;
}

rdg_err_t log_index_seek(const log_seek_t *s) {
    seek_t k;
    uint64_t open = 0;
    RDG_TRY(log_mark(s->kv, s->snap, META_LOGS_OPEN, &open));
    RDG_TRY(seek_init(&k, s));
    rdg_err_t err = seek_sections(&k, open);
    if (err == RDG_OK && s->to >= open) err = seek_lists(&k, open);
    rdg_free(k.items[0]);
    return err;
}
