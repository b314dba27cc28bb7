#include <inttypes.h>
#include "headers.h"
#include "ridge/consensus/consensus.h"
#include "ridge/base/alloc.h"

enum { CERTIFICATE_BYTES_MAX = 1 << 16, EPOCH_BYTES_MAX = 16 << 10 };

typedef struct giver {
    rdg_ledger_t *l;
    view_t *view;
    rdg_epoch_t epoch, next; /* of the running height; the one after it */
    bool has_epoch, has_next;
    rdg_buf_t header, executed, seal, checkpoint, record;
} giver_t;

static void giver_init(giver_t *g, rdg_ledger_t *l) {
    g->l = l;
    g->view = view_get(l);
    rdg_buf_init(&g->header, 1024);
    rdg_buf_init(&g->executed, 1024);
    rdg_buf_init(&g->seal, CERTIFICATE_BYTES_MAX);
    rdg_buf_init(&g->checkpoint, CERTIFICATE_BYTES_MAX);
    rdg_buf_init(&g->record, EPOCH_BYTES_MAX);
}

static void giver_fini(giver_t *g) {
    rdg_buf_fini(&g->header);
    rdg_buf_fini(&g->executed);
    rdg_buf_fini(&g->seal);
    rdg_buf_fini(&g->checkpoint);
    rdg_buf_fini(&g->record);
    view_put(g->view);
}

static rdg_err_t take_epoch(giver_t *g, uint64_t height) {
    if (g->has_epoch && (g->epoch.last_height == 0 || height <= g->epoch.last_height)) return RDG_OK;
    RDG_TRY(epoch_at(g->l, g->view->rules, height, &g->epoch));
    g->has_epoch = true;
    g->has_next = g->epoch.last_height > 0;
    rdg_buf_clear(&g->record);
    if (!g->has_next) return RDG_OK;
    RDG_TRY(epoch_at(g->l, g->view->rules, g->epoch.last_height + 1, &g->next));
    return rdg_epoch_encode(&g->next, &g->record);
}

/* Decided, and not yet begun: what a reader needs to know from here on. */
static bool is_decided(const giver_t *g, uint64_t height) {
    return g->has_next && height + RDG_CONSENSUS_WINDOW >= g->epoch.last_height;
}

static rdg_err_t put_one(giver_t *g, uint64_t height, rdg_buf_t *out) {
    block_entry_t e;
    rdg_buf_clear(&g->header);
    rdg_buf_clear(&g->executed);
    RDG_TRY(entry_load(g->l->kv, g->view->snap, height, &e));
    RDG_TRY(take_epoch(g, height));
    RDG_TRY(rdg_header_encode(&e.header, &g->header));
    RDG_TRY(rdg_ledger_seal(g->l, height, &g->seal, &g->checkpoint));
    bool certified = g->checkpoint.len > 0 && executed_is_known(&e);
    if (certified) RDG_TRY(rdg_executed_encode(&e.executed, &g->executed));
    header_item_t item = {.header = rdg_buf_view(&g->header), .seal = rdg_buf_view(&g->seal)};
    if (certified) item.executed = rdg_buf_view(&g->executed), item.checkpoint = rdg_buf_view(&g->checkpoint);
    if (certified && is_decided(g, height)) item.epoch = rdg_buf_view(&g->record);
    return segment_put(out, &item);
}

static rdg_err_t put_run(giver_t *g, uint64_t from, uint64_t to, size_t max_bytes, rdg_buf_t *out,
                         uint64_t *last) {
    size_t start = out->len, count_at;
    uint32_t count = 0;
    segment_begin(out, g->l->genesis.validators.chain_id, from, &count_at);
    for (uint64_t height = from; height <= to && out->len - start < max_bytes; ++height, ++count) {
        size_t before = out->len;
        RDG_TRY(put_one(g, height, out));
        if (count > 0 && out->len - start > max_bytes) {
            out->len = before;
            break;
        }
    }
    segment_end(out, count_at, count);
    *last = from + count - 1;
    return rdg_buf_err(out);
}

rdg_err_t rdg_headers_export(rdg_ledger_t *l, uint64_t from, uint64_t to, size_t max_bytes, rdg_buf_t *out,
                             uint64_t *last) {
    giver_t *g = rdg_calloc(1, sizeof *g);
    if (!g) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a header segment");
    giver_init(g, l);
    if (max_bytes == 0 || max_bytes > RDG_HEADERS_SEGMENT_MAX) max_bytes = RDG_HEADERS_SEGMENT_MAX;
    if (to > g->view->head.height) to = g->view->head.height;
    rdg_err_t err = from == 0 || from > to
                        ? rdg_fail(RDG_E_UNAVAILABLE,
                                   "no header from %" PRIu64 " to %" PRIu64 ": the ledger is at %" PRIu64,
                                   from, to, g->view->head.height)
                        : put_run(g, from, to, max_bytes, out, last);
    giver_fini(g);
    rdg_free(g);
    return err;
}
