/* Catching up: whom to ask for what, and the rule that decides (docs/sync.md). A run goes through phases:
 *
 *   idle ── far behind, or no peer has the bodies ──► headers ──► snapshot ──► bodies ──► idle
 *   idle ── behind by more than HEADERS_GAP ────────► headers ───────────────► bodies ──► idle
 *   idle ── behind ─────────────────────────────────────────────────────────► bodies ──► idle
 *
 * Whoever answers wrongly or too late is named in the log (sync.refused) and not asked for a while; what was asked of it
 * is asked of another. Trouble of this node's own (a full disk, no memory) is named as such (sync.failed). A run without anybody to ask ends, and the next tick starts another one. */
#include "internal.h"
#include "ridge/base/log.h"
#include "ridge/ledger/archive.h"
#include <string.h>

#define AVOID_MS 10000
#define BODIES_WAIT_MS 3000u
#define STALL_MS 400
#define HEADERS_GAP 128

uint64_t sync_head(rdg_node_t *n) {
    rdg_ledger_head_t head;
    rdg_ledger_head(n->ledger, &head);
    return head.height;
}

const char *sync_phase_name(sync_phase_t phase) {
    static const char *const names[] = {"idle", "headers", "snapshot", "bodies"};
    return names[phase];
}

bool sync_may_ask(const rdg_node_t *n, size_t peer, uint64_t now) {
    return rdg_p2p_connected(n->p2p, peer) && n->sync.avoid_until_ms[peer] <= now;
}

static uint64_t best_height(const rdg_node_t *n, uint64_t now, size_t *peer) {
    uint64_t best = 0;
    *peer = SIZE_MAX;
    for (size_t i = 0; i < n->peer_count; ++i) {
        if (!sync_may_ask(n, i, now) || n->sync.peer_height[i] <= best) continue;
        best = n->sync.peer_height[i];
        *peer = i;
    }
    return best;
}

static bool anyone_has_body(const rdg_node_t *n, uint64_t height, uint64_t now) {
    for (size_t i = 0; i < n->peer_count; ++i)
        if (sync_may_ask(n, i, now) && n->sync.peer_height[i] >= height && n->sync.bodies_from[i] <= height)
            return true;
    return false;
}

static uint64_t snapshot_gap(const rdg_node_t *n) {
    return n->options.snapshot_gap ? n->options.snapshot_gap : RDG_NODE_SNAPSHOT_GAP;
}

/* Nobody who has told has the bodies, but somebody who may have them, as a peer that was rebuilt from archives has, is just
 * linking: a state that is taken too early leaves the blocks below out for good. */
static bool waits_for_bodies(rdg_node_t *n, bool bodies, uint64_t now) {
    sync_t *s = &n->sync;
    bool all_told = true;
    for (size_t i = 0; i < n->peer_count; ++i)
        all_told = all_told && rdg_p2p_connected(n->p2p, i) && s->peer_height[i] > 0;
    if (bodies || all_told || s->import_height) {
        s->bodies_wait_ms = 0;
        return false;
    }
    if (s->bodies_wait_ms == 0) s->bodies_wait_ms = now;
    return now - s->bodies_wait_ms < BODIES_WAIT_MS;
}

static void enter(rdg_node_t *n, uint64_t head, uint64_t now) {
    sync_t *s = &n->sync;
    uint64_t gap = s->target - head, offer = 0;
    bool bodies = anyone_has_body(n, head + 1, now);
    if (waits_for_bodies(n, bodies, now)) return;
    if (s->import_height || !bodies || gap >= snapshot_gap(n)) offer = snapshot_offer(n, head, now);
    /* What is left behind the snapshot must be worth its while. */
    s->for_snapshot =
        offer > head && (!bodies || offer == s->import_height || offer - head >= snapshot_gap(n) / 2);
    s->snapshot_height = s->for_snapshot ? offer : 0;
    s->phase = s->for_snapshot || gap > HEADERS_GAP ? SYNC_HEADERS : SYNC_BODIES;
    s->header_peer = SIZE_MAX;
    if (!s->for_snapshot && !bodies) s->phase = SYNC_IDLE;
}

static void sync_start(rdg_node_t *n) {
    uint64_t head = sync_head(n), now = rdg_loop_now_ms(n->loop);
    size_t peer;
    if (n->sync.phase != SYNC_IDLE || n->closing || n->seen.halted) return;
    uint64_t target = best_height(n, now, &peer);
    if (target <= head) return;
    n->sync.target = target;
    n->sync.started = head;
    enter(n, head, now);
    if (n->sync.phase == SYNC_IDLE) return;
    rdg_log(RDG_LOG_INFO, "sync.start", RDG_U64("from", head + 1), RDG_U64("to", target),
            RDG_STR("peer", n->peers[peer].name), RDG_STR("phase", sync_phase_name(n->sync.phase)),
            RDG_U64("snapshot", n->sync.snapshot_height));
    sync_step(n);
}

void sync_step(rdg_node_t *n) {
    if (n->closing || n->seen.halted) return;
    if (n->sync.phase == SYNC_HEADERS) headers_step(n);
    if (n->sync.phase == SYNC_SNAPSHOT) snapshot_step(n);
    if (n->sync.phase == SYNC_BODIES) bodies_step(n);
}

void sync_end(rdg_node_t *n, const char *why) {
    sync_phase_t phase = n->sync.phase;
    uint64_t head = sync_head(n);
    if (phase == SYNC_IDLE) return;
    if (phase == SYNC_SNAPSHOT) snapshot_leave(n);
    bodies_leave(n);
    n->sync.phase = SYNC_IDLE;
    n->sync.header_peer = SIZE_MAX;
    if (head >= n->sync.target)
        rdg_log(RDG_LOG_INFO, "sync.done", RDG_U64("height", head));
    else
        rdg_log(RDG_LOG_INFO, "sync.pause", RDG_STR("phase", sync_phase_name(phase)), RDG_U64("height", head),
                RDG_U64("target", n->sync.target), RDG_STR("why", why));
    if (head > n->sync.started) sync_announce(n, SIZE_MAX);
}

/* Of this node and its disk: nobody who sends something can bring these about. */
static bool is_own(rdg_err_t err) {
    return err == RDG_E_DISK_FULL || err == RDG_E_IO || err == RDG_E_NO_MEMORY || is_damage(err);
}

static const char *remedy_of(rdg_err_t err) {
    switch (err) {
    case RDG_E_DISK_FULL: return "make room on the disk that holds this directory";
    case RDG_E_NO_MEMORY: return "give the node more memory";
    case RDG_E_IO: return "look at the disk that holds this directory";
    default: return "ridge node recover CHAIN DEVICE";
    }
}

void sync_blame(rdg_node_t *n, size_t peer, const char *what, rdg_err_t err, const char *why) {
    if (peer >= n->peer_count) return;
    n->sync.avoid_until_ms[peer] = rdg_loop_now_ms(n->loop) + AVOID_MS; /* own trouble: not at once again */
    n->sync.too_late[peer] = false;
    if (is_own(err)) {
        rdg_log(RDG_LOG_ERROR, "sync.failed", RDG_STR("what", what), RDG_STR("code", rdg_err_name(err)),
                RDG_STR("dir", n->dir), RDG_STR("why", why), RDG_STR("remedy", remedy_of(err)));
        return;
    }
    rdg_metric_add(n->m_sync_blamed, 1);
    rdg_log(RDG_LOG_WARN, "sync.refused", RDG_STR("peer", n->peers[peer].name), RDG_STR("what", what),
            RDG_STR("code", rdg_err_name(err)), RDG_STR("why", why));
}

void sync_advanced(rdg_node_t *n) {
    rdg_ledger_head_t head;
    rdg_buf_t seal;
    rdg_ledger_head(n->ledger, &head);
    rdg_metric_set(n->m_height, (int64_t)head.height);
    giver_pin(n, false);
    if (epoch_advance(n)) return;
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

/* --- what peers tell ----------------------------------------------------------------------------------------------
 * STATUS = height u64, epoch u64, first height from which on all bodies are there u64, then up to GIVER_PINS heights u64
 * of which a snapshot can be had. */

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
    uint64_t pins[GIVER_PINS] = {0};
    rdg_reader_init(&r, bytes);
    uint64_t height = rdg_read_u64(&r), epoch = rdg_read_u64(&r), bodies_from = rdg_read_u64(&r);
    for (size_t i = 0; i < GIVER_PINS && rdg_reader_left(&r) > 0; ++i) pins[i] = rdg_read_u64(&r);
    if (!rdg_reader_done(&r)) return;
    n->sync.peer_height[peer] = height;
    n->sync.bodies_from[peer] = bodies_from;
    memcpy(n->sync.pins[peer], pins, sizeof pins);
    enters_epoch(n, peer, epoch);
    /* Heights that were agreed on before the link was there come by no other way: no need to wait for a stall. */
    bool first = !n->sync.greeted[peer];
    n->sync.greeted[peer] = true;
    uint64_t head = sync_head(n);
    bool observes = n->self >= n->epoch.validators.count; /* nobody sends it votes */
    if ((first && height > head + 1) || (observes && height > head)) sync_start(n);
    /* Near the tip agreement brings the rest. */
    if (n->sync.phase != SYNC_IDLE && height > n->sync.target && height - head > HEADERS_GAP)
        n->sync.target = height;
}

static uint64_t own_bodies_from(rdg_node_t *n) {
    rdg_ledger_head_t head;
    rdg_ledger_head(n->ledger, &head);
    uint64_t pruned = rdg_ledger_pruned(n->ledger);
    return (pruned > head.base_height ? pruned : head.base_height) + 1;
}

void sync_announce(rdg_node_t *n, size_t peer) {
    uint8_t message[24 + 8 * GIVER_PINS];
    size_t len = 24;
    rdg_ledger_head_t head;
    rdg_ledger_head(n->ledger, &head);
    rdg_store_be64(message, head.height);
    rdg_store_be64(message + 8, n->epoch.validators.epoch);
    rdg_store_be64(message + 16, own_bodies_from(n));
    for (size_t i = 0; i < GIVER_PINS; ++i) {
        uint64_t height = giver_offer(n, i);
        if (height == 0) continue;
        rdg_store_be64(message + len, height);
        len += 8;
    }
    if (peer == SIZE_MAX)
        rdg_p2p_broadcast(n->p2p, MSG_STATUS, rdg_bytes(message, len));
    else
        (void)rdg_p2p_send(n->p2p, peer, MSG_STATUS, rdg_bytes(message, len));
}

void sync_link_up(rdg_node_t *n, size_t peer) {
    n->sync.greeted[peer] = false;
    sync_announce(n, peer);
}

/* What it was asked for is asked of others; that a link broke is nobody's fault. */
void sync_link_down(rdg_node_t *n, size_t peer) {
    headers_drop_peer(n, peer);
    snapshot_drop_peer(n, peer);
    bodies_drop_peer(n, peer);
    sync_step(n);
}

void sync_forget_peer(rdg_node_t *n, size_t peer) {
    headers_drop_peer(n, peer);
    snapshot_drop_peer(n, peer);
    bodies_drop_peer(n, peer);
    n->sync.peer_height[peer] = n->sync.peer_epoch[peer] = n->sync.avoid_until_ms[peer] = 0;
    n->sync.bodies_from[peer] = 0;
    n->sync.at_once[peer] = 0;
    memset(n->sync.pins[peer], 0, sizeof n->sync.pins[peer]);
    n->sync.greeted[peer] = false;
}

/* --- time ------------------------------------------------------------------------------------------------------- */

/* Whoever is behind what was pruned here needs the state instead, and must hear of both. */
static void tell_what_changed(rdg_node_t *n) {
    sync_t *s = &n->sync;
    uint64_t from = own_bodies_from(n);
    if (from > s->told_from && s->told_from > 0) giver_pin(n, true);
    uint64_t offer = giver_offer(n, 0);
    bool changed = from != s->told_from || offer != s->told_offer;
    s->told_from = from;
    s->told_offer = offer;
    if (changed) sync_announce(n, SIZE_MAX);
}

void sync_tick(rdg_node_t *n) {
    uint64_t now = rdg_loop_now_ms(n->loop), height = sync_head(n);
    size_t peer;
    giver_tick(n, now);
    tell_what_changed(n);
    headers_tick(n, now);
    snapshot_tick(n, now);
    bodies_tick(n, now);
    sync_step(n);
    bool ahead = best_height(n, now, &peer) > height;
    /* Agreement brings the next block by itself; only who stays behind without moving fetches. */
    if (!ahead || height != n->sync.last_height) n->sync.behind_since_ms = now;
    n->sync.last_height = height;
    if (ahead && now - n->sync.behind_since_ms >= STALL_MS) sync_start(n);
}

rdg_err_t sync_open(rdg_node_t *n) {
    sync_t *s = &n->sync;
    s->header_peer = SIZE_MAX;
    for (size_t i = 0; i < SYNC_CHUNKS; ++i) rdg_buf_init(&s->chunks[i].bytes, RDG_SNAPSHOT_CHUNK_MAX);
    for (size_t i = 0; i < SYNC_RANGES; ++i) rdg_buf_init(&s->ranges[i].bytes, NODE_FRAME_MAX);
    giver_open(n);
    rdg_err_t err = rdg_snapshot_import_resume(n->ledger, &s->import);
    if (err == RDG_OK) {
        rdg_snapshot_info_t info;
        rdg_snapshot_import_info(s->import, &info);
        s->import_height = info.height;
        rdg_log(RDG_LOG_INFO, "sync.resume", RDG_U64("snapshot", info.height), RDG_U64("chunk", info.next),
                RDG_U64("chunks", info.chunks));
    }
    return err == RDG_E_IO || err == RDG_E_CORRUPT || err == RDG_E_NO_MEMORY ? err : RDG_OK;
}

void sync_close(rdg_node_t *n) {
    if (!n->ledger) return;
    rdg_snapshot_import_close(n->sync.import);
    n->sync.import = NULL;
    for (size_t i = 0; i < SYNC_CHUNKS; ++i) rdg_buf_fini(&n->sync.chunks[i].bytes);
    for (size_t i = 0; i < SYNC_RANGES; ++i) rdg_buf_fini(&n->sync.ranges[i].bytes);
    giver_close(n);
}
