/* Sealed blocks from several peers at once. BLOCKS_GET = from u64, count u32. BLOCKS = (proposal, seal, checkpoint)*,
 * each with a u32 length in front; an empty one says that the peer has none. At most SYNC_RANGES ranges are asked for or
 * wait for their turn. What arrives is checked at once, on a worker: that each is the block that was asked for, that its
 * body is its header's, and that the header is the verified one where headers are known; whoever sent another is named
 * before anything below it is there. They are applied in order, and each block is verified by its seal before anything is
 * executed.
 *
 * A question can be given up before its answer is there: agreement was faster, a run ended, the time was over. What comes
 * then is no lie: it is taken if it is of use. Whoever was too late is asked for half as many blocks from then on, and
 * again as soon as the answer is there, so a slow link only makes it slow. */
#include "internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"
#include "ridge/ledger/headers.h"
#include <stdio.h>
#include <string.h>

#define RANGE_BLOCKS 64
#define RANGES_A_PEER 2
#define ANSWER_MS 5000
#define PROMPT_MS 1000 /* whoever answers sooner may be asked for twice as many */

static size_t load_of(const rdg_node_t *n, size_t peer) {
    size_t count = 0;
    for (size_t i = 0; i < SYNC_RANGES; ++i)
        count += n->sync.ranges[i].state == PIECE_ASKED && n->sync.ranges[i].peer == peer;
    return count;
}

/* Who has all of it and the least to do; else who has its beginning. */
static size_t choose(const rdg_node_t *n, uint64_t from, uint64_t now) {
    size_t best = SIZE_MAX, best_load = RANGES_A_PEER;
    for (size_t i = 0; i < n->peer_count; ++i) {
        const sync_t *s = &n->sync;
        if (!sync_may_ask(n, i, now) || s->peer_height[i] < from || s->bodies_from[i] > from) continue;
        size_t load = load_of(n, i);
        if (load < best_load ||
            (best != SIZE_MAX && load == best_load && s->peer_height[i] > s->peer_height[best]))
            best = i, best_load = load;
    }
    return best;
}

static uint32_t at_once(const sync_t *s, size_t peer) {
    return s->at_once[peer] ? s->at_once[peer] : RANGE_BLOCKS;
}

static void ask(rdg_node_t *n, piece_t *p, uint64_t from, uint32_t count, uint64_t now) {
    uint8_t message[12];
    size_t peer = choose(n, from, now);
    if (peer == SIZE_MAX) return;
    if (count > at_once(&n->sync, peer)) count = at_once(&n->sync, peer);
    rdg_store_be64(message, from);
    rdg_store_be32(message + 8, count);
    if (rdg_p2p_send(n->p2p, peer, MSG_BLOCKS_GET, rdg_bytes(message, sizeof message)) != RDG_OK) return;
    p->state = PIECE_ASKED;
    p->from = from, p->count = count, p->peer = peer, p->asked_ms = now;
}

static piece_t *at_or_behind(sync_t *s, uint64_t from) {
    piece_t *best = NULL;
    for (size_t i = 0; i < SYNC_RANGES; ++i) {
        piece_t *p = &s->ranges[i];
        if (p->state == PIECE_FREE || p->from + p->count <= from) continue;
        if (!best || p->from < best->from) best = p;
    }
    return best;
}

static piece_t *free_range(sync_t *s) {
    for (size_t i = 0; i < SYNC_RANGES; ++i)
        if (s->ranges[i].state == PIECE_FREE) return &s->ranges[i];
    return NULL;
}

static void clear(piece_t *p) {
    p->state = PIECE_FREE;
    rdg_buf_fini(&p->bytes);
    rdg_buf_init(&p->bytes, NODE_FRAME_MAX);
}

/* --- questions that were given up --------------------------------------------------------------------------------- */

static void remember(sync_t *s, size_t peer, uint64_t from, uint32_t count) {
    withdrawn_t *w = s->withdrawn[peer];
    size_t used = 0;
    while (used < SYNC_WITHDRAWN && w[used].count > 0) ++used;
    if (used == SYNC_WITHDRAWN) memmove(w, w + 1, --used * sizeof *w);
    w[used] = (withdrawn_t){from, count};
}

static void withdraw(sync_t *s, piece_t *p) {
    if (p->state == PIECE_ASKED) remember(s, p->peer, p->from, p->count);
    clear(p);
}

static void withdraw_all(sync_t *s, size_t peer) {
    for (size_t i = 0; i < SYNC_RANGES; ++i)
        if (s->ranges[i].state == PIECE_ASKED && s->ranges[i].peer == peer) withdraw(s, &s->ranges[i]);
}

/* Whether count blocks from `from` on answer such a question, which is forgotten then. None may be of any. */
static bool was_withdrawn(sync_t *s, size_t peer, uint64_t from, uint32_t count) {
    withdrawn_t *w = s->withdrawn[peer];
    for (size_t i = 0; i < SYNC_WITHDRAWN && w[i].count > 0; ++i) {
        if (count > 0 && (w[i].from != from || w[i].count < count)) continue;
        memmove(w + i, w + i + 1, (SYNC_WITHDRAWN - 1 - i) * sizeof *w);
        w[SYNC_WITHDRAWN - 1].count = 0;
        return true;
    }
    return false;
}

/* Every height above the head that nobody is asked for, as far as there are places. */
static void fill(rdg_node_t *n, uint64_t head, uint64_t now) {
    sync_t *s = &n->sync;
    uint64_t from = head + 1;
    piece_t *place;
    while (from <= s->target && (place = free_range(s))) {
        const piece_t *next = at_or_behind(s, from);
        if (next && next->from <= from) {
            from = next->from + next->count;
            continue;
        }
        uint64_t count = s->target - from + 1;
        if (next && next->from - from < count) count = next->from - from;
        if (count > RANGE_BLOCKS) count = RANGE_BLOCKS;
        ask(n, place, from, (uint32_t)count, now);
        if (place->state == PIECE_FREE) return; /* nobody has it, or all are busy */
        from += place->count;
    }
}

static void take(rdg_node_t *n, uint64_t head) {
    sync_t *s = &n->sync;
    piece_t *p = at_or_behind(s, head + 1);
    if (s->importing || !p || p->state != PIECE_HERE || p->from > head + 1) return;
    job_t *job = lane_job(n, JOB_IMPORT, rdg_buf_view(&p->bytes), rdg_bytes(NULL, 0));
    if (job) job->peer = p->peer, job->height = p->from;
    s->importing = lane_push(n, job) == RDG_OK;
    if (s->importing) clear(p);
}

static bool is_quiet(const sync_t *s) {
    for (size_t i = 0; i < SYNC_RANGES; ++i)
        if (s->ranges[i].state != PIECE_FREE) return false;
    return !s->importing;
}

void bodies_step(rdg_node_t *n) {
    uint64_t head = sync_head(n), now = rdg_loop_now_ms(n->loop);
    for (size_t i = 0; i < SYNC_RANGES; ++i) { /* agreement was faster */
        piece_t *p = &n->sync.ranges[i];
        if (p->state != PIECE_FREE && p->from + p->count <= head + 1) withdraw(&n->sync, p);
    }
    if (head < n->sync.target) fill(n, head, now);
    take(n, head);
    if (!is_quiet(&n->sync)) return;
    sync_end(n, head < n->sync.target ? "no peer to ask for blocks" : "");
}

/* How many blocks an answer holds; 0: none, or not an answer. */
static uint32_t count_blocks(rdg_bytes_t bytes) {
    rdg_reader_t r;
    uint32_t count = 0;
    rdg_reader_init(&r, bytes);
    while (rdg_reader_left(&r) > 0) {
        for (int part = 0; part < 3; ++part) (void)rdg_read_bytes(&r, rdg_read_u32(&r));
        ++count;
    }
    return rdg_reader_ok(&r) ? count : 0;
}

static piece_t *question(sync_t *s, size_t peer, uint64_t from, uint32_t count) {
    for (size_t i = 0; i < SYNC_RANGES; ++i) {
        piece_t *p = &s->ranges[i];
        if (p->state == PIECE_ASKED && p->peer == peer && p->from == from && p->count >= count) return p;
    }
    return NULL;
}

static rdg_bytes_t read_part(rdg_reader_t *r) {
    return rdg_read_bytes(r, rdg_read_u32(r));
}

/* --- what has arrived --------------------------------------------------------------------------------------------- */

typedef struct arrival {
    rdg_node_t *n;
    size_t place, peer;
    uint64_t from, asked_ms;
    rdg_buf_t bytes;
    rdg_err_t err;
    char why[RDG_ERROR_TEXT_MAX];
} arrival_t;

static rdg_err_t check_one(rdg_node_t *n, uint64_t height, rdg_bytes_t proposal) {
    rdg_header_t header;
    uint64_t found = 0;
    RDG_TRY(rdg_proposal_header(proposal, &header));
    if (header.height != height)
        return rdg_fail(RDG_E_PROTOCOL, "block %llu where %llu was asked for",
                        (unsigned long long)header.height, (unsigned long long)height);
    rdg_err_t err = rdg_headers_check_body(n->ledger, proposal, &found);
    bool own_trouble =
        err == RDG_E_NO_MEMORY || err == RDG_E_IO || err == RDG_E_CORRUPT || err == RDG_E_NOT_FOUND;
    return own_trouble || err == RDG_E_UNAVAILABLE ? RDG_OK : err; /* its seal will tell */
}

static void on_check(void *arg) {
    arrival_t *a = arg;
    rdg_reader_t r;
    rdg_reader_init(&r, rdg_buf_view(&a->bytes));
    for (uint64_t height = a->from; rdg_reader_left(&r) > 0 && a->err == RDG_OK; ++height) {
        rdg_bytes_t proposal = read_part(&r);
        (void)read_part(&r), (void)read_part(&r);
        a->err = check_one(a->n, height, proposal);
    }
    if (a->err != RDG_OK) snprintf(a->why, sizeof a->why, "%s", rdg_err_message(a->err));
}

/* The place may be another question's by now. */
static piece_t *place_of(const arrival_t *a) {
    piece_t *p = &a->n->sync.ranges[a->place];
    bool same =
        p->state == PIECE_CHECKING && p->from == a->from && p->peer == a->peer && p->asked_ms == a->asked_ms;
    return same ? p : NULL;
}

static void on_arrival_checked(void *arg) {
    arrival_t *a = arg;
    rdg_node_t *n = a->n;
    piece_t *p = n->closing ? NULL : place_of(a);
    if (p && a->err == RDG_OK) {
        rdg_buf_t swap = p->bytes;
        p->bytes = a->bytes, a->bytes = swap;
        p->state = PIECE_HERE;
    } else if (p) {
        clear(p);
        withdraw_all(&n->sync, a->peer);
        sync_blame(n, a->peer, "blocks", a->err, a->why);
    }
    rdg_buf_fini(&a->bytes);
    rdg_free(a);
    if (!n->closing) sync_step(n);
}

/* Takes what the piece holds; without memory or a worker it is checked when it is applied. */
static void start_check(rdg_node_t *n, piece_t *p) {
    arrival_t *a = rdg_calloc(1, sizeof *a);
    if (!a) return;
    a->n = n, a->place = (size_t)(p - n->sync.ranges);
    a->peer = p->peer, a->from = p->from, a->asked_ms = p->asked_ms;
    a->bytes = p->bytes;
    rdg_buf_init(&p->bytes, NODE_FRAME_MAX);
    p->state = PIECE_CHECKING;
    if (rdg_loop_work(n->loop, on_check, on_arrival_checked, a) == RDG_OK) return;
    p->bytes = a->bytes;
    p->state = PIECE_HERE;
    rdg_free(a);
}

static void take_answer(rdg_node_t *n, piece_t *p, uint32_t count, rdg_bytes_t bytes) {
    if (rdg_buf_append(&p->bytes, bytes.data, bytes.len) != RDG_OK) {
        clear(p);
        return;
    }
    p->count = count;
    p->state = PIECE_HERE;
    start_check(n, p);
}

/* An answer that was given up: its sender is slow, no more, and what it sent fills the place of whoever was to bring the
 * same, or a free one. */
static void take_late(rdg_node_t *n, size_t peer, uint64_t from, uint32_t count, rdg_bytes_t bytes) {
    sync_t *s = &n->sync;
    piece_t *p = NULL;
    if (s->too_late[peer]) s->avoid_until_ms[peer] = 0;
    s->too_late[peer] = false;
    if (from + count <= sync_head(n) + 1) return;
    for (size_t i = 0; i < SYNC_RANGES && !p; ++i)
        if (s->ranges[i].state != PIECE_FREE && s->ranges[i].from == from) p = &s->ranges[i];
    if (p && p->state != PIECE_ASKED) return; /* has come already */
    if (p) withdraw(s, p);
    if (!p) p = free_range(s);
    if (!p) return;
    p->from = from, p->peer = peer, p->asked_ms = rdg_loop_now_ms(n->loop);
    take_answer(n, p, count, bytes);
    sync_behind(n, peer, from + count - 1);
}

static void in_time(rdg_node_t *n, const piece_t *p) {
    sync_t *s = &n->sync;
    s->too_late[p->peer] = false;
    if (rdg_loop_now_ms(n->loop) - p->asked_ms > PROMPT_MS) return;
    uint32_t twice = 2 * at_once(s, p->peer);
    s->at_once[p->peer] = twice < RANGE_BLOCKS ? twice : 0;
}

void bodies_receive(rdg_node_t *n, size_t peer, rdg_bytes_t bytes) {
    sync_t *s = &n->sync;
    rdg_reader_t r;
    rdg_header_t header = {0};
    rdg_reader_init(&r, bytes);
    uint32_t count = count_blocks(bytes);
    bool readable = bytes.len == 0 || (count > 0 && rdg_proposal_header(rdg_read_bytes(&r, rdg_read_u32(&r)),
                                                                        &header) == RDG_OK);
    piece_t *p = readable && count > 0 ? question(s, peer, header.height, count) : NULL;
    if (p) {
        in_time(n, p);
        take_answer(n, p, count, bytes);
    } else if (readable && was_withdrawn(s, peer, header.height, count)) {
        take_late(n, peer, header.height, count, bytes);
    } else if (s->phase == SYNC_BODIES && load_of(n, peer) > 0) { /* else nobody asked */
        withdraw_all(s, peer);
        if (bytes.len == 0) s->peer_height[peer] = 0; /* until it tells again */
        sync_blame(n, peer, "blocks", RDG_E_PROTOCOL,
                   bytes.len ? "not what it was asked for" : "it has none");
    }
    sync_step(n);
}

/* --- taking it ---------------------------------------------------------------------------------------------------- */

static rdg_err_t import_one(rdg_node_t *n, uint64_t height, rdg_bytes_t proposal, rdg_bytes_t seal,
                            rdg_bytes_t checkpoint) {
    rdg_header_t header;
    rdg_ledger_head_t head;
    rdg_executed_t executed;
    RDG_TRY(rdg_proposal_header(proposal, &header));
    if (header.height != height)
        return rdg_fail(RDG_E_PROTOCOL, "block %llu where %llu was asked for",
                        (unsigned long long)header.height, (unsigned long long)height);
    rdg_ledger_head(n->ledger, &head);
    if (height <= head.height) return RDG_OK;
    RDG_TRY(rdg_ledger_apply(n->ledger, proposal, seal, false, &executed));
    lane_forget(n, height);
    rdg_metric_add(n->m_sync_blocks, 1);
    return checkpoint.len > 0 ? rdg_ledger_checkpoint(n->ledger, height, checkpoint) : RDG_OK;
}

rdg_err_t bodies_import(rdg_node_t *n, job_t *job) {
    rdg_reader_t r;
    rdg_reader_init(&r, rdg_buf_view(&job->bytes));
    for (uint64_t height = job->height; rdg_reader_left(&r) > 0; ++height) {
        rdg_bytes_t proposal = read_part(&r), seal = read_part(&r), checkpoint = read_part(&r);
        if (!rdg_reader_ok(&r)) return rdg_fail(RDG_E_MALFORMED, "a cut message of blocks");
        RDG_TRY(import_one(n, height, proposal, seal, checkpoint));
    }
    return RDG_OK;
}

void bodies_imported(rdg_node_t *n, const job_t *job) {
    uint64_t head = sync_head(n);
    n->sync.importing = false;
    if (job->err != RDG_OK) sync_blame(n, job->peer, "blocks", job->err, job->why);
    if (head >= job->height) sync_advanced(n);
    sync_step(n);
}

/* Its link is gone, and all answers with it. */
void bodies_drop_peer(rdg_node_t *n, size_t peer) {
    withdraw_all(&n->sync, peer);
    memset(n->sync.withdrawn[peer], 0, sizeof n->sync.withdrawn[peer]);
}

void bodies_tick(rdg_node_t *n, uint64_t now) {
    for (size_t i = 0; i < SYNC_RANGES; ++i) {
        piece_t *p = &n->sync.ranges[i];
        if (p->state != PIECE_ASKED || now - p->asked_ms <= ANSWER_MS) continue;
        size_t peer = p->peer;
        withdraw_all(&n->sync, peer);
        n->sync.at_once[peer] = (at_once(&n->sync, peer) + 1) / 2;
        sync_blame(n, peer, "blocks", RDG_E_TIMEOUT, "no answer yet");
        n->sync.too_late[peer] = true;
    }
}

void bodies_leave(rdg_node_t *n) {
    for (size_t i = 0; i < SYNC_RANGES; ++i)
        if (n->sync.ranges[i].state != PIECE_FREE) withdraw(&n->sync, &n->sync.ranges[i]);
}
