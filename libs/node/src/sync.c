#include "internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"
#include <string.h>

/* Messages: STATUS = height u64, epoch u64. BLOCKS_GET = from u64, count u32. BLOCKS = (proposal, seal, checkpoint)*,
 * each with a u32 length in front; an empty one says that the peer has none. Every seal is verified before
 * anything is executed, so a lying peer costs time and nothing else: it is avoided for a while. */
#define BLOCKS_MAX 64
#define BLOCKS_BYTES (2u << 20)
#define ANSWER_MS 5000
#define AVOID_MS 10000
#define STALL_MS 400

static uint64_t head_height(rdg_node_t *n) {
    rdg_ledger_head_t head;
    rdg_ledger_head(n->ledger, &head);
    return head.height;
}

static size_t best_peer(const rdg_node_t *n, uint64_t above, uint64_t now) {
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < n->peer_count; ++i) {
        if (!rdg_p2p_connected(n->p2p, i) || n->sync.avoid_until_ms[i] > now) continue;
        if (n->sync.peer_height[i] <= above) continue;
        if (best == SIZE_MAX || n->sync.peer_height[i] > n->sync.peer_height[best]) best = i;
    }
    return best;
}

static void ask(rdg_node_t *n, size_t peer, uint64_t from) {
    uint8_t message[12];
    rdg_store_be64(message, from);
    rdg_store_be32(message + 8, BLOCKS_MAX);
    n->sync.active = true;
    n->sync.importing = false;
    n->sync.from = from;
    n->sync.peer = peer;
    n->sync.asked_ms = rdg_loop_now_ms(n->loop);
    if (rdg_p2p_send(n->p2p, peer, MSG_BLOCKS_GET, rdg_bytes(message, sizeof message)) != RDG_OK)
        n->sync.active = false;
}

static void sync_start(rdg_node_t *n) {
    uint64_t height = head_height(n), now = rdg_loop_now_ms(n->loop);
    if (n->sync.active || n->closing || n->seen.halted) return;
    size_t peer = best_peer(n, height, now);
    if (peer == SIZE_MAX) return;
    n->sync.target = n->sync.peer_height[peer];
    rdg_log(RDG_LOG_INFO, "sync.start", RDG_U64("from", height + 1), RDG_U64("to", n->sync.target),
            RDG_STR("peer", n->peers[peer].name));
    ask(n, peer, height + 1);
}

void sync_behind(rdg_node_t *n, size_t peer, uint64_t height) {
    if (peer < n->peer_count && n->sync.peer_height[peer] < height) n->sync.peer_height[peer] = height;
    sync_start(n);
}

/* What was said to it in this epoch before it was there has been refused: it is said again. */
static void enters_epoch(rdg_node_t *n, size_t peer, uint64_t epoch) {
    bool enters = n->sync.peer_epoch[peer] != epoch && epoch == n->epoch.validators.epoch;
    n->sync.peer_epoch[peer] = epoch;
    if (!enters) return;
    uint32_t validator = rdg_validators_find(&n->epoch.validators, &n->peers[peer].key);
    (void)driver_step(n, &(rdg_consensus_event_t){.kind = RDG_EVENT_LINKED, .from = validator});
}

void sync_status(rdg_node_t *n, size_t peer, rdg_bytes_t bytes) {
    rdg_reader_t r;
    rdg_reader_init(&r, bytes);
    uint64_t height = rdg_read_u64(&r), epoch = rdg_read_u64(&r);
    if (!rdg_reader_done(&r)) return;
    n->sync.peer_height[peer] = height;
    enters_epoch(n, peer, epoch);
    /* Heights that were agreed on before the link was there come by no other way: no need to wait for a stall. */
    bool first = !n->sync.greeted[peer];
    n->sync.greeted[peer] = true;
    uint64_t head = head_height(n);
    bool observes = n->self >= n->epoch.validators.count; /* nobody sends it votes */
    if ((first && height > head + 1) || (observes && height > head)) sync_start(n);
}

void sync_link_up(rdg_node_t *n, size_t peer) {
    n->sync.greeted[peer] = false;
    sync_announce(n, peer);
}

void sync_announce(rdg_node_t *n, size_t peer) {
    uint8_t message[16];
    rdg_store_be64(message, head_height(n));
    rdg_store_be64(message + 8, n->epoch.validators.epoch);
    if (peer == SIZE_MAX)
        rdg_p2p_broadcast(n->p2p, MSG_STATUS, rdg_bytes(message, sizeof message));
    else
        (void)rdg_p2p_send(n->p2p, peer, MSG_STATUS, rdg_bytes(message, sizeof message));
}

/* --- serving
 * ------------------------------------------------------------------------------------------------------- */

typedef struct serve {
    rdg_node_t *n;
    size_t peer;
    uint64_t from;
    uint32_t count;
    rdg_buf_t out;
} serve_t;

static rdg_err_t put_part(rdg_buf_t *out, rdg_bytes_t part) {
    RDG_TRY(rdg_buf_u32(out, (uint32_t)part.len));
    return rdg_buf_append(out, part.data, part.len);
}

static rdg_err_t serve_one(serve_t *s, uint64_t height) {
    rdg_block_t *block = NULL;
    rdg_buf_t seal, checkpoint;
    rdg_buf_init(&seal, 1u << 20);
    rdg_buf_init(&checkpoint, 1u << 20);
    rdg_err_t err = rdg_ledger_block(s->n->ledger, height, &block);
    if (err == RDG_OK) err = rdg_ledger_seal(s->n->ledger, height, &seal, &checkpoint);
    if (err == RDG_OK) err = put_part(&s->out, block->proposal);
    if (err == RDG_OK) err = put_part(&s->out, rdg_buf_view(&seal));
    if (err == RDG_OK) err = put_part(&s->out, rdg_buf_view(&checkpoint));
    rdg_block_unref(block);
    rdg_buf_fini(&seal);
    rdg_buf_fini(&checkpoint);
    return err;
}

static void on_serve(void *arg) {
    serve_t *s = arg;
    uint64_t last = head_height(s->n);
    for (uint32_t i = 0; i < s->count && s->from + i <= last && s->out.len < BLOCKS_BYTES; ++i) {
        size_t before = s->out.len;
        rdg_err_t err = serve_one(s, s->from + i);
        if (err == RDG_OK) continue;
        s->out.len = before;
        if (err != RDG_E_TOO_LARGE)
            rdg_log(RDG_LOG_ERROR, "sync.serve_failed", RDG_U64("height", s->from + i),
                    RDG_STR("code", rdg_err_name(err)), RDG_STR("why", rdg_err_message(err)));
        break;
    }
}

static void on_served(void *arg) {
    serve_t *s = arg;
    if (!s->n->closing) {
        s->n->sync.serving[s->peer] = false;
        (void)rdg_p2p_send(s->n->p2p, s->peer, MSG_BLOCKS, rdg_buf_view(&s->out));
    }
    rdg_buf_fini(&s->out);
    rdg_free(s);
}

void sync_serve(rdg_node_t *n, size_t peer, rdg_bytes_t bytes) {
    rdg_reader_t r;
    rdg_reader_init(&r, bytes);
    uint64_t from = rdg_read_u64(&r);
    uint32_t count = rdg_read_u32(&r);
    if (!rdg_reader_done(&r) || from == 0 || n->sync.serving[peer]) return;
    serve_t *s = rdg_alloc(sizeof *s);
    if (!s) return;
    *s = (serve_t){.n = n, .peer = peer, .from = from, .count = count < BLOCKS_MAX ? count : BLOCKS_MAX};
    rdg_buf_init(&s->out, NODE_FRAME_MAX - 64);
    n->sync.serving[peer] = rdg_loop_work(n->loop, on_serve, on_served, s) == RDG_OK;
    if (!n->sync.serving[peer]) rdg_free(s);
}

/* --- importing
 * ----------------------------------------------------------------------------------------------------- */

static rdg_bytes_t read_part(rdg_reader_t *r) {
    return rdg_read_bytes(r, rdg_read_u32(r));
}

static rdg_err_t import_one(rdg_node_t *n, rdg_bytes_t proposal, rdg_bytes_t seal, rdg_bytes_t checkpoint) {
    rdg_header_t header;
    rdg_ledger_head_t head;
    rdg_executed_t executed;
    RDG_TRY(rdg_proposal_header(proposal, &header));
    rdg_ledger_head(n->ledger, &head);
    if (header.height <= head.height) return RDG_OK;
    RDG_TRY(rdg_ledger_apply(n->ledger, proposal, seal, false, &executed));
    lane_forget(n, header.height);
    return checkpoint.len > 0 ? rdg_ledger_checkpoint(n->ledger, header.height, checkpoint) : RDG_OK;
}

rdg_err_t sync_import(rdg_node_t *n, rdg_bytes_t bytes) {
    rdg_reader_t r;
    rdg_reader_init(&r, bytes);
    while (rdg_reader_left(&r) > 0) {
        rdg_bytes_t proposal = read_part(&r), seal = read_part(&r), checkpoint = read_part(&r);
        if (!rdg_reader_ok(&r)) return rdg_fail(RDG_E_MALFORMED, "a cut message of blocks");
        RDG_TRY(import_one(n, proposal, seal, checkpoint));
    }
    return RDG_OK;
}

void sync_blocks(rdg_node_t *n, size_t peer, rdg_bytes_t bytes) {
    if (!n->sync.active || n->sync.importing || peer != n->sync.peer) return; /* nobody asked */
    job_t *job = lane_job(n, JOB_IMPORT, bytes, rdg_bytes(NULL, 0));
    if (job) job->peer = peer;
    n->sync.importing = true; /* the lane decides how long it takes now */
    if (lane_push(n, job) != RDG_OK) n->sync.active = false;
}

void sync_imported(rdg_node_t *n, const job_t *job) {
    rdg_ledger_head_t head;
    uint64_t now = rdg_loop_now_ms(n->loop);
    rdg_ledger_head(n->ledger, &head);
    n->sync.active = false;
    rdg_metric_set(n->m_height, (int64_t)head.height);
    /* Counted by the ledger's own height: a peer may also send blocks that are long known. */
    bool advanced = head.height >= n->sync.from;
    if (job->err != RDG_OK || !advanced) {
        n->sync.avoid_until_ms[job->peer] = now + AVOID_MS;
        if (!advanced) n->sync.peer_height[job->peer] = 0;
        if (job->err != RDG_OK)
            rdg_log(RDG_LOG_WARN, "sync.refused", RDG_STR("peer", n->peers[job->peer].name),
                    RDG_STR("code", rdg_err_name(job->err)), RDG_STR("why", job->why));
    }
    if (advanced && !epoch_advance(n)) {
        rdg_buf_t seal;
        rdg_buf_init(&seal, 1u << 20);
        if (rdg_ledger_seal(n->ledger, head.height, &seal, NULL) != RDG_OK) rdg_buf_clear(&seal);
        (void)driver_step(n, &(rdg_consensus_event_t){.kind = RDG_EVENT_SYNCED,
                                                      .height = head.height,
                                                      .last_height = n->epoch.last_height,
                                                      .digest = head.hash,
                                                      .bytes = rdg_buf_view(&seal)});
        rdg_buf_fini(&seal);
        (void)driver_step(n, &(rdg_consensus_event_t){.kind = RDG_EVENT_EXECUTED,
                                                      .height = head.height,
                                                      .last_height = n->epoch.last_height,
                                                      .digest = head.executed});
    }
    if (head.height < n->sync.target) {
        if (job->err == RDG_OK && advanced && rdg_p2p_connected(n->p2p, job->peer))
            ask(n, job->peer, head.height + 1);
        else
            sync_start(n);
        return;
    }
    rdg_log(RDG_LOG_INFO, "sync.done", RDG_U64("height", head.height));
    sync_announce(n, SIZE_MAX);
}

void sync_tick(rdg_node_t *n) {
    uint64_t now = rdg_loop_now_ms(n->loop), height = head_height(n);
    if (n->sync.active && !n->sync.importing && now - n->sync.asked_ms > ANSWER_MS) {
        n->sync.avoid_until_ms[n->sync.peer] = now + AVOID_MS;
        n->sync.active = false;
    }
    bool ahead = best_peer(n, height, now) != SIZE_MAX;
    /* Agreement brings the next block by itself; only who stays behind without moving fetches. */
    if (!ahead || height != n->sync.last_height) n->sync.behind_since_ms = now;
    n->sync.last_height = height;
    if (ahead && now - n->sync.behind_since_ms >= STALL_MS) sync_start(n);
}
