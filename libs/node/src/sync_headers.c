/* Headers with seals, a segment at a time, each from the next peer. HEADERS_GET = from u64; HEADERS = a segment
 * (ridge/ledger/headers.h), empty: the peer has none. */
#include "internal.h"
#include "ridge/base/log.h"

#define ANSWER_MS 5000

static uint64_t wanted(const rdg_node_t *n) {
    return n->sync.for_snapshot ? n->sync.snapshot_height : n->sync.target;
}

/* The one behind the last that was asked, so that no single peer decides how fast it goes. */
static size_t choose(const rdg_node_t *n, uint64_t height, uint64_t now, size_t after) {
    for (size_t k = 1; k <= n->peer_count; ++k) {
        size_t i = (after + k) % n->peer_count;
        if (sync_may_ask(n, i, now) && n->sync.peer_height[i] >= height) return i;
    }
    return SIZE_MAX;
}

static void leave(rdg_node_t *n) {
    if (!n->sync.for_snapshot) {
        n->sync.phase = SYNC_BODIES;
        return;
    }
    if (snapshot_is_busy(n)) return; /* with what a former run left; its end comes back here */
    n->sync.phase = SYNC_SNAPSHOT;
    snapshot_start(n);
}

void headers_step(rdg_node_t *n) {
    sync_t *s = &n->sync;
    uint64_t known = rdg_headers_known(n->ledger), now = rdg_loop_now_ms(n->loop);
    uint8_t message[8];
    if (s->taking_headers || s->header_peer != SIZE_MAX) return;
    if (known >= wanted(n)) {
        leave(n);
        return;
    }
    size_t peer = choose(n, known + 1, now, s->header_last);
    if (peer == SIZE_MAX) {
        sync_end(n, "no peer to ask for headers");
        return;
    }
    rdg_store_be64(message, known + 1);
    if (rdg_p2p_send(n->p2p, peer, MSG_HEADERS_GET, rdg_bytes(message, sizeof message)) != RDG_OK) return;
    s->header_peer = s->header_last = peer;
    s->header_asked_ms = now;
}

void headers_receive(rdg_node_t *n, size_t peer, rdg_bytes_t bytes) {
    sync_t *s = &n->sync;
    if (s->phase != SYNC_HEADERS || peer != s->header_peer || s->taking_headers) return; /* nobody asked */
    s->header_peer = SIZE_MAX;
    job_t *job = lane_job(n, JOB_HEADERS, bytes, rdg_bytes(NULL, 0));
    if (job) job->peer = peer, job->view = rdg_headers_known(n->ledger);
    s->taking_headers = lane_push(n, job) == RDG_OK;
}

void headers_taken(rdg_node_t *n, const job_t *job) {
    sync_t *s = &n->sync;
    uint64_t known = rdg_headers_known(n->ledger);
    s->taking_headers = false;
    if (job->err == RDG_OK) {
        rdg_log(RDG_LOG_INFO, "sync.headers", RDG_U64("height", known), RDG_U64("to", wanted(n)),
                RDG_STR("peer", n->peers[job->peer].name));
        rdg_metric_add(n->m_sync_headers, known - job->view);
    } else if (job->err == RDG_E_UNAVAILABLE && s->phase == SYNC_HEADERS && !s->for_snapshot) {
        /* The last blocks have no checkpoint certificate yet: their bodies bring their seals. */
        s->phase = SYNC_BODIES;
    } else if (job->err != RDG_E_STALE) {
        sync_blame(n, job->peer, "headers", job->err, job->why);
    }
    sync_step(n);
}

void headers_drop_peer(rdg_node_t *n, size_t peer) {
    if (n->sync.header_peer == peer) n->sync.header_peer = SIZE_MAX;
}

void headers_tick(rdg_node_t *n, uint64_t now) {
    sync_t *s = &n->sync;
    if (s->header_peer == SIZE_MAX || now - s->header_asked_ms <= ANSWER_MS) return;
    size_t peer = s->header_peer;
    s->header_peer = SIZE_MAX;
    sync_blame(n, peer, "headers", RDG_E_TIMEOUT, "no answer");
}
