/* By what logs are found: their address, and each topic at its place. Such an item is known by 32 bits of a hash, so
 * two items may look the same: then a block's receipts are read in vain, and no answer changes.
 *
 *   G height: the block's items, ascending, 4 bytes each; absent when it has no log
 *   F last-height highest-item: a page of a section, which is the items of many blocks merged
 *       base height (8 bytes), then for each item, ascending:
 *       varint (difference to the item before) * 2 + (1: in more blocks than one), the number of blocks if so,
 *       then blocks, ascending, as varint differences to the one before, the first one to the base
 *   Mlogs: the first height that is indexed; blocks before it are found by their blooms
 *   Mlogsopen: the first height that is in no section
 *
 * A section is made of the open lists when they have LOG_SECTION_ITEMS, or when a block is LOG_SECTION_SPAN above the
 * first of them, in the same batch as the block: so what is merged at once is bounded, and so is what a search must
 * read one by one. The highest item of a section's last page is always ffffffff: whoever looks for an item finds a
 * page. An item costs some 4 bytes when its block is written and some 4 or 5 when it is merged. */
#ifndef RIDGE_LEDGER_LOG_INDEX_H
#define RIDGE_LEDGER_LOG_INDEX_H
#include "ridge/kv/kv.h"
#include "ridge/ledger/ledger.h"

#define LOG_SECTION_ITEMS 65536u
#define LOG_SECTION_SPAN 16384u

extern const char META_LOGS[], META_LOGS_OPEN[];

typedef struct log_items {
    uint32_t *v;
    size_t count, room;
    uint32_t last[5]; /* of each place: most logs of a block have one address and one first topic */
    unsigned has_last;
} log_items_t;
rdg_err_t log_items_add(log_items_t *items, const rdg_receipt_t *receipt);
void log_items_fini(log_items_t *items);
uint32_t log_item_of(unsigned place, const uint8_t *value, size_t len); /* place 0: address, 1 to 4: topics */

/* What the writer knows of the open lists. */
typedef struct log_open {
    uint64_t first; /* Mlogsopen */
    uint64_t base;  /* height of the first open list */
    size_t lists, items;
    size_t items_max; /* LOG_SECTION_ITEMS, or what a test wants */
} log_open_t;
/* For a new ledger, and for one that was made before there was an index: blocks from `height` on are indexed. */
void log_index_begin(rdg_kv_batch_t *batch, uint64_t height);
rdg_err_t log_index_load(rdg_kv_t *kv, size_t items_max, log_open_t *out);
/* Adds a block's items to the batch that makes it durable; *open is as it is before, *after as it is with the block. */
rdg_err_t log_index_put(rdg_kv_t *kv, const log_open_t *open, uint64_t height, log_items_t *items,
                        rdg_kv_batch_t *batch, log_open_t *after);

/* Calls block for each indexed height in [from, to], ascending, that may hold what the filter wants, which names an
 * address or a topic; poll before each section and each list. An error of theirs ends it. */
typedef struct log_seek {
    rdg_kv_t *kv;
    const rdg_kv_snapshot_t *snap;
    const rdg_log_filter_t *filter;
    uint64_t from, to;
    rdg_err_t (*block)(void *ctx, uint64_t height);
    rdg_err_t (*poll)(void *ctx, uint64_t height);
    void *ctx;
} log_seek_t;
rdg_err_t log_index_seek(const log_seek_t *s);
bool log_filter_is_open(const rdg_log_filter_t *f); /* it names neither address nor topic */
rdg_err_t log_index_unreadable(void);               /* CORRUPT */
rdg_err_t log_mark(rdg_kv_t *kv, const rdg_kv_snapshot_t *snap, const char *name, uint64_t *out);

#endif
