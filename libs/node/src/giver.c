/* What laggards get from this node: blocks and headers, each answer made on a worker; at most GIVER_ANSWERS at a time for
 * one peer, what it asks beyond is not answered. */
#include "internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"

#define GIVER_ANSWERS 4
#define BLOCKS_MAX 64
#define BLOCKS_BYTES (2u << 20)

/* --- heights that stay readable ----------------------------------------------------------------------------------- */

static void pin_head(rdg_node_t *n) {
    rdg_snapshot_pin_t *pin = NULL;
    if (rdg_snapshot_pin(n->ledger, &pin) != RDG_OK) return;
    rdg_snapshot_unpin(n->giver.pins[GIVER_PINS - 1]);
    for (size_t i = GIVER_PINS - 1; i > 0; --i) {
        n->giver.pins[i] = n->giver.pins[i - 1];
        n->giver.certified[i] = n->giver.certified[i - 1];
    }
    n->giver.pins[0] = pin;
    n->giver.certified[0] = false;
}

uint64_t giver_offer(rdg_node_t *n, size_t pin) {
    giver_t *g = &n->giver;
    rdg_buf_t checkpoint;
    if (!g->pins[pin]) return 0;
    uint64_t height = rdg_snapshot_pin_height(g->pins[pin]);
    if (!g->certified[pin]) {
        rdg_buf_init(&checkpoint, 1u << 20);
        g->certified[pin] =
            rdg_ledger_seal(n->ledger, height, NULL, &checkpoint) == RDG_OK && checkpoint.len > 0;
        rdg_buf_fini(&checkpoint);
    }
    return g->certified[pin] ? height : 0;
}

void giver_pin(rdg_node_t *n, bool any) {
    uint64_t height = sync_head(n);
    const rdg_snapshot_pin_t *latest = n->giver.pins[0];
    if ((any || height % SYNC_PIN_EVERY == 0) && (!latest || rdg_snapshot_pin_height(latest) != height))
        pin_head(n);
}

void giver_open(rdg_node_t *n) {
    rdg_buf_init(&n->giver.manifest, RDG_SNAPSHOT_MANIFEST_MAX + 16);
    turn_init(&n->giver.turn);
    if (sync_head(n) > 0) giver_pin(n, true); /* a chain that stands still has no other */
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

typedef struct answer {
    rdg_node_t *n;
    size_t peer;
    uint8_t type;
    uint64_t from;
    uint32_t count;
    rdg_buf_t out;
} answer_t;

static rdg_err_t put_part(rdg_buf_t *out, rdg_bytes_t part) {
    RDG_TRY(rdg_buf_u32(out, (uint32_t)part.len));
    return rdg_buf_append(out, part.data, part.len);
}

static rdg_err_t put_block(answer_t *a, uint64_t height) {
    rdg_block_t *block = NULL;
    rdg_buf_t seal, checkpoint;
    rdg_buf_init(&seal, 1u << 20);
    rdg_buf_init(&checkpoint, 1u << 20);
    rdg_err_t err = rdg_ledger_block(a->n->ledger, height, &block);
    if (err == RDG_OK) err = rdg_ledger_seal(a->n->ledger, height, &seal, &checkpoint);
    if (err == RDG_OK) err = put_part(&a->out, block->proposal);
    if (err == RDG_OK) err = put_part(&a->out, rdg_buf_view(&seal));
    if (err == RDG_OK) err = put_part(&a->out, rdg_buf_view(&checkpoint));
    rdg_block_unref(block);
    rdg_buf_fini(&seal);
    rdg_buf_fini(&checkpoint);
    return err;
}

static rdg_err_t put_blocks(answer_t *a) {
    uint64_t last = sync_head(a->n);
    for (uint32_t i = 0; i < a->count && a->from + i <= last && a->out.len < BLOCKS_BYTES; ++i) {
        size_t before = a->out.len;
        rdg_err_t err = put_block(a, a->from + i);
        if (err == RDG_OK) continue;
        a->out.len = before;
        return err == RDG_E_TOO_LARGE && i > 0 ? RDG_OK : err;
    }
    return RDG_OK;
}

static rdg_err_t put_chunk(answer_t *a) {
    rdg_buf_u64(&a->out, a->from);
    rdg_buf_u32(&a->out, a->count);
    return giver_read_chunk(&a->n->giver, a->count, &a->out);
}

static void on_answer(void *arg) {
    answer_t *a = arg;
    uint64_t last;
    rdg_err_t err = a->type == MSG_BLOCKS ? put_blocks(a)
                    : a->type == MSG_HEADERS
                        ? rdg_headers_export(a->n->ledger, a->from, UINT64_MAX, 0, &a->out, &last)
                        : put_chunk(a);
    if (err == RDG_OK) return;
    if (a->type == MSG_HEADERS) rdg_buf_clear(&a->out);
    if (err != RDG_E_UNAVAILABLE)
        rdg_log(RDG_LOG_ERROR, "sync.serve_failed", RDG_U64("from", a->from),
                RDG_STR("code", rdg_err_name(err)), RDG_STR("why", rdg_err_message(err)));
}

static void on_answered(void *arg) {
    answer_t *a = arg;
    if (!a->n->closing) {
        --a->n->giver.serving[a->peer];
        if (a->type == MSG_CHUNK) --a->n->giver.reading;
        rdg_metric_add(a->n->m_sync_given, 1);
        (void)rdg_p2p_send(a->n->p2p, a->peer, a->type, rdg_buf_view(&a->out));
    }
    rdg_buf_fini(&a->out);
    rdg_free(a);
}

static void answer(rdg_node_t *n, size_t peer, uint8_t type, uint64_t from, uint32_t count) {
    if (n->giver.serving[peer] >= GIVER_ANSWERS) return;
    answer_t *a = rdg_alloc(sizeof *a);
    if (!a) return;
    *a = (answer_t){.n = n, .peer = peer, .type = type, .from = from, .count = count};
    rdg_buf_init(&a->out, NODE_FRAME_MAX - 64);
    if (rdg_loop_work(n->loop, on_answer, on_answered, a) != RDG_OK) {
        rdg_free(a);
        return;
    }
    ++n->giver.serving[peer];
    if (type == MSG_CHUNK) ++n->giver.reading;
}

void giver_blocks(rdg_node_t *n, size_t peer, rdg_bytes_t bytes) {
    rdg_reader_t r;
    rdg_reader_init(&r, bytes);
    uint64_t from = rdg_read_u64(&r);
    uint32_t count = rdg_read_u32(&r);
    if (!rdg_reader_done(&r) || from == 0) return;
    answer(n, peer, MSG_BLOCKS, from, count < BLOCKS_MAX ? count : BLOCKS_MAX);
}

void giver_headers(rdg_node_t *n, size_t peer, rdg_bytes_t bytes) {
    rdg_reader_t r;
    rdg_reader_init(&r, bytes);
    uint64_t from = rdg_read_u64(&r);
    if (rdg_reader_done(&r) && from > 0) answer(n, peer, MSG_HEADERS, from, 0);
}

void giver_chunk(rdg_node_t *n, size_t peer, rdg_bytes_t bytes) {
    giver_t *g = &n->giver;
    rdg_reader_t r;
    uint8_t none[12];
    rdg_reader_init(&r, bytes);
    uint64_t height = rdg_read_u64(&r);
    uint32_t number = rdg_read_u32(&r);
    if (!rdg_reader_done(&r)) return;
    uint64_t now = rdg_loop_now_ms(n->loop);
    if (g->state == GIVER_READY && g->height == height && number < g->chunk_count &&
        !turn_is_over(&g->turn, g->chunk_count, now)) {
        turn_used(&g->turn, now);
        answer(n, peer, MSG_CHUNK, height, number);
        return;
    }
    rdg_store_be64(none, height);
    rdg_store_be32(none + 8, number);
    (void)rdg_p2p_send(n->p2p, peer, MSG_CHUNK, rdg_bytes(none, sizeof none));
}
