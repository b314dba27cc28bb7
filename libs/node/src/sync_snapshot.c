/* A snapshot from several peers at once: all of them make the same chunks of one height (ridge/ledger/snapshot.h).
 *
 * SNAPSHOT_GET = height u64. SNAPSHOT = height u64, state u8 (0: being made, ask again; 1: the manifest follows; 2: not to
 * be had), manifest. CHUNK_GET = height u64, number u32. CHUNK = height u64, number u32, the chunk; empty: not to be had.
 *
 * The first manifest that verifies is taken; peers with the same one provide. At most SYNC_CHUNKS chunks are asked for or
 * wait for their turn; they are imported in order, each verified by itself, so a wrong one names its giver. */
#include "internal.h"
#include "ridge/base/log.h"
#include <string.h>

#define ANSWER_MS 8000
#define AGAIN_MS 500     /* a snapshot that is being made is asked for again */
#define NOBODY_MS 15000  /* without any provider the run ends */
#define ALONE_MS 3000    /* without one of this manifest, another's is taken */
#define MAKING_MS 900000 /* of a large state it takes minutes */
#define CHUNKS_A_PEER 2
#define SWEEP_KEYS 4096

enum { STATE_MAKING, STATE_READY, STATE_GONE };

static bool offers(const rdg_node_t *n, size_t peer, uint64_t height) {
    for (size_t i = 0; i < GIVER_PINS; ++i)
        if (n->sync.pins[peer][i] == height) return true;
    return false;
}

uint64_t snapshot_offer(const rdg_node_t *n, uint64_t above, uint64_t now) {
    uint64_t best = 0;
    size_t best_count = 0;
    for (size_t i = 0; i < n->peer_count; ++i) {
        if (!sync_may_ask(n, i, now)) continue;
        for (size_t k = 0; k < GIVER_PINS; ++k) {
            uint64_t height = n->sync.pins[i][k];
            size_t count = 0;
            if (height <= above) continue;
            for (size_t j = 0; j < n->peer_count; ++j)
                count += sync_may_ask(n, j, now) && offers(n, j, height);
            if (height == n->sync.import_height)
                count += RDG_P2P_PEERS_MAX; /* what is here of it need not come again */
            if (count > best_count || (count == best_count && height > best))
                best = height, best_count = count;
        }
    }
    return best;
}

static void push_job(rdg_node_t *n, job_kind_t kind, size_t peer, rdg_bytes_t bytes, bool *flag) {
    job_t *job = lane_job(n, kind, bytes, rdg_bytes(NULL, 0));
    if (job) job->peer = peer;
    *flag = lane_push(n, job) == RDG_OK;
}

static void clear(piece_t *p) {
    p->state = PIECE_FREE;
    rdg_buf_clear(&p->bytes);
}

bool snapshot_is_busy(const rdg_node_t *n) {
    bool busy = n->sync.opening || n->sync.finishing;
    for (size_t i = 0; i < SYNC_CHUNKS; ++i) busy = busy || n->sync.chunks[i].state == PIECE_TAKING;
    return busy;
}

void snapshot_start(rdg_node_t *n) {
    sync_t *s = &n->sync;
    memset(s->providers, 0, sizeof s->providers);
    s->chunk_next = s->chunk_count = 0;
    s->manifest = (rdg_hash_t){{0}};
    s->provider_seen_ms = s->snapshot_started_ms = rdg_loop_now_ms(n->loop);
    /* It is opened again with the manifest that a peer gives, and goes on if that is the same. */
    rdg_snapshot_import_close(s->import);
    s->import = NULL;
}

void snapshot_leave(rdg_node_t *n) {
    for (size_t i = 0; i < SYNC_CHUNKS; ++i)
        if (n->sync.chunks[i].state != PIECE_TAKING) clear(&n->sync.chunks[i]);
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

static void ask_manifests(rdg_node_t *n, uint64_t now) {
    sync_t *s = &n->sync;
    uint8_t message[8];
    rdg_store_be64(message, s->snapshot_height);
    for (size_t i = 0; i < n->peer_count; ++i) {
        if (s->providers[i] != PROVIDER_UNKNOWN || s->provider_asked_ms[i] + AGAIN_MS > now) continue;
        if (!sync_may_ask(n, i, now) || !offers(n, i, s->snapshot_height)) continue;
        if (rdg_p2p_send(n->p2p, i, MSG_SNAPSHOT_GET, rdg_bytes(message, sizeof message)) != RDG_OK) continue;
        s->providers[i] = PROVIDER_ASKED;
        s->provider_asked_ms[i] = now;
    }
}

static size_t load_of(const sync_t *s, size_t peer) {
    size_t count = 0;
    for (size_t i = 0; i < SYNC_CHUNKS; ++i)
        count += s->chunks[i].state == PIECE_ASKED && s->chunks[i].peer == peer;
    return count;
}

static size_t choose(const rdg_node_t *n, uint64_t now) {
    size_t best = SIZE_MAX, best_load = CHUNKS_A_PEER;
    for (size_t i = 0; i < n->peer_count; ++i) {
        if (n->sync.providers[i] != PROVIDER_READY || !sync_may_ask(n, i, now)) continue;
        size_t load = load_of(&n->sync, i);
        if (load < best_load) best = i, best_load = load;
    }
    return best;
}

static piece_t *piece_of(sync_t *s, uint64_t number) {
    for (size_t i = 0; i < SYNC_CHUNKS; ++i)
        if (s->chunks[i].state != PIECE_FREE && s->chunks[i].from == number) return &s->chunks[i];
    return NULL;
}

static void ask_chunks(rdg_node_t *n, uint64_t now) {
    sync_t *s = &n->sync;
    for (uint32_t k = s->chunk_next; k < s->chunk_count && k < s->chunk_next + SYNC_CHUNKS; ++k) {
        uint8_t message[12];
        piece_t *free = NULL;
        if (piece_of(s, k)) continue;
        for (size_t i = 0; i < SYNC_CHUNKS && !free; ++i)
            if (s->chunks[i].state == PIECE_FREE) free = &s->chunks[i];
        size_t peer = free ? choose(n, now) : SIZE_MAX;
        if (peer == SIZE_MAX) return;
        rdg_store_be64(message, s->snapshot_height);
        rdg_store_be32(message + 8, k);
        if (rdg_p2p_send(n->p2p, peer, MSG_CHUNK_GET, rdg_bytes(message, sizeof message)) != RDG_OK) return;
        free->state = PIECE_ASKED;
        free->from = k, free->peer = peer, free->asked_ms = now;
    }
}

static void take_chunk(rdg_node_t *n) {
    sync_t *s = &n->sync;
    bool pushed;
    piece_t *p = piece_of(s, s->chunk_next);
    if (!p || p->state != PIECE_HERE) return;
    push_job(n, JOB_CHUNK, p->peer, rdg_buf_view(&p->bytes), &pushed);
    if (pushed) p->state = PIECE_TAKING;
}

static bool anyone(const sync_t *s, size_t count) {
    for (size_t i = 0; i < count; ++i)
        if (s->providers[i] == PROVIDER_READY || s->providers[i] == PROVIDER_ASKED) return true;
    return false;
}

/* They say that they are making it, and never have it. */
static void give_up(rdg_node_t *n) {
    for (size_t i = 0; i < n->peer_count; ++i)
        if (offers(n, i, n->sync.snapshot_height))
            sync_blame(n, i, "snapshot", RDG_E_TIMEOUT, "it is never ready");
    sync_end(n, "the snapshot is never ready");
}

void snapshot_step(rdg_node_t *n) {
    sync_t *s = &n->sync;
    uint64_t now = rdg_loop_now_ms(n->loop);
    if (s->finishing) return;
    ask_manifests(n, now);
    if (anyone(s, n->peer_count) || s->opening) s->provider_seen_ms = now;
    if (s->import && !s->opening) {
        ask_chunks(n, now);
        take_chunk(n);
        if (s->chunk_next == s->chunk_count)
            push_job(n, JOB_FINISH, s->manifest_peer, rdg_bytes(NULL, 0), &s->finishing);
    }
    if (now - s->provider_seen_ms > NOBODY_MS) sync_end(n, "no peer has the snapshot any more");
    if (!s->import && !s->opening && now - s->snapshot_started_ms > MAKING_MS) give_up(n);
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

static void take_manifest(rdg_node_t *n, size_t peer, rdg_bytes_t manifest) {
    sync_t *s = &n->sync;
    rdg_hash_t digest;
    rdg_sm3(manifest.data, manifest.len, &digest);
    if (!s->import && !s->opening) {
        s->manifest = digest;
        s->manifest_peer = peer;
        s->providers[peer] = PROVIDER_READY;
        push_job(n, JOB_MANIFEST, peer, manifest, &s->opening);
        return;
    }
    bool same = rdg_hash_equal(&digest, &s->manifest);
    s->providers[peer] = same ? PROVIDER_READY : PROVIDER_GONE;
    if (!same)
        rdg_log(RDG_LOG_WARN, "sync.manifests_differ", RDG_STR("peer", n->peers[peer].name),
                RDG_STR("taken_from", n->peers[s->manifest_peer].name),
                RDG_U64("height", s->snapshot_height));
}

void snapshot_manifest(rdg_node_t *n, size_t peer, rdg_bytes_t bytes) {
    sync_t *s = &n->sync;
    rdg_reader_t r;
    rdg_reader_init(&r, bytes);
    uint64_t height = rdg_read_u64(&r);
    uint8_t state = rdg_read_u8(&r);
    rdg_bytes_t manifest = rdg_read_rest(&r);
    if (s->phase != SYNC_SNAPSHOT || s->providers[peer] != PROVIDER_ASKED || height != s->snapshot_height)
        return;
    if (!rdg_reader_ok(&r) || state > STATE_GONE) {
        s->providers[peer] = PROVIDER_GONE;
        sync_blame(n, peer, "manifest", RDG_E_PROTOCOL, "its answer cannot be read");
    } else if (state == STATE_MAKING) {
        s->providers[peer] = PROVIDER_UNKNOWN;
        s->provider_asked_ms[peer] = rdg_loop_now_ms(n->loop);
        s->provider_seen_ms = s->provider_asked_ms[peer];
    } else if (state == STATE_GONE) {
        s->providers[peer] = PROVIDER_GONE;
    } else {
        take_manifest(n, peer, manifest);
    }
    sync_step(n);
}

void snapshot_chunk(rdg_node_t *n, size_t peer, rdg_bytes_t bytes) {
    sync_t *s = &n->sync;
    rdg_reader_t r;
    rdg_reader_init(&r, bytes);
    uint64_t height = rdg_read_u64(&r);
    uint32_t number = rdg_read_u32(&r);
    rdg_bytes_t chunk = rdg_read_rest(&r);
    piece_t *p = rdg_reader_ok(&r) && height == s->snapshot_height ? piece_of(s, number) : NULL;
    if (s->phase != SYNC_SNAPSHOT || !p || p->state != PIECE_ASKED || p->peer != peer)
        return; /* nobody asked */
    rdg_buf_clear(&p->bytes);
    if (chunk.len == 0) {
        clear(p);
        s->providers[peer] = PROVIDER_GONE;
    } else if (rdg_buf_append(&p->bytes, chunk.data, chunk.len) != RDG_OK) {
        clear(p);
        s->providers[peer] = PROVIDER_GONE;
        sync_blame(n, peer, "chunk", RDG_E_TOO_LARGE, "it is larger than any chunk");
    } else {
        p->state = PIECE_HERE;
    }
    sync_step(n);
}

/* --- on the lane ---------------------------------------------------------------------------------------------------- */

rdg_err_t snapshot_run(rdg_node_t *n, job_t *job) {
    sync_t *s = &n->sync;
    switch (job->kind) {
    case JOB_MANIFEST: return rdg_snapshot_import_open(n->ledger, rdg_buf_view(&job->bytes), &s->import);
    case JOB_CHUNK:
        return s->import ? rdg_snapshot_import_chunk(s->import, rdg_buf_view(&job->bytes)) : RDG_OK;
    case JOB_FINISH: return s->import ? rdg_snapshot_import_finish(s->import) : RDG_E_CANCELLED;
    default: return rdg_snapshot_sweep(n->ledger, SWEEP_KEYS, &job->verified);
    }
}

static void note_progress(sync_t *s) {
    rdg_snapshot_info_t info;
    if (!s->import) return;
    rdg_snapshot_import_info(s->import, &info);
    s->chunk_next = info.next;
    s->chunk_count = info.chunks;
}

static void manifest_done(rdg_node_t *n, const job_t *job) {
    sync_t *s = &n->sync;
    s->opening = false;
    if (job->err == RDG_OK) {
        note_progress(s);
        s->import_height = s->snapshot_height;
        rdg_log(RDG_LOG_INFO, "sync.snapshot", RDG_U64("height", s->snapshot_height),
                RDG_U64("chunks", s->chunk_count), RDG_U64("next", s->chunk_next),
                RDG_STR("peer", n->peers[job->peer].name));
        return;
    }
    if (s->phase == SYNC_SNAPSHOT) s->providers[job->peer] = PROVIDER_GONE;
    if (job->err == RDG_E_STALE)
        sync_end(n, "the ledger has passed the snapshot");
    else
        sync_blame(n, job->peer, "manifest", job->err, job->why);
}

static void chunk_done(rdg_node_t *n, const job_t *job) {
    sync_t *s = &n->sync;
    for (size_t i = 0; i < SYNC_CHUNKS; ++i)
        if (s->chunks[i].state == PIECE_TAKING) clear(&s->chunks[i]);
    note_progress(s);
    if (job->err == RDG_OK) {
        rdg_metric_add(n->m_sync_chunks, 1);
        return;
    }
    s->providers[job->peer] = PROVIDER_GONE;
    sync_blame(n, job->peer, "chunk", job->err, job->why);
    /* A manifest can promise what no honest chunk is: who gave it is not believed either. */
    if (s->manifest_peer == job->peer && !anyone(s, n->peer_count)) {
        rdg_snapshot_import_close(s->import);
        s->import = NULL;
        s->import_height = 0;
        s->chunk_next = s->chunk_count = 0;
        memset(s->providers, 0, sizeof s->providers);
        s->providers[job->peer] = PROVIDER_GONE;
    }
}

/* Not while there is an import: it stands in that bank. */
static void sweep(rdg_node_t *n) {
    sync_t *s = &n->sync;
    if (!s->sweeping && !s->import && !s->opening)
        push_job(n, JOB_SWEEP, SIZE_MAX, rdg_bytes(NULL, 0), &s->sweeping);
}

static void finished(rdg_node_t *n, const job_t *job) {
    sync_t *s = &n->sync;
    s->finishing = false;
    rdg_snapshot_import_close(s->import);
    s->import = NULL;
    s->import_height = 0;
    if (job->err == RDG_E_STALE) {
        sync_end(n, "the ledger has passed the snapshot");
    } else if (job->err != RDG_OK) {
        sync_blame(n, job->peer, "snapshot", job->err, job->why);
        sync_end(n, "the snapshot was refused");
    } else {
        uint64_t head = sync_head(n);
        rdg_log(RDG_LOG_INFO, "sync.snapshot_taken", RDG_U64("height", head),
                RDG_U64("chunks", s->chunk_count));
        rdg_metric_add(n->m_sync_snapshots, 1);
        rdg_pool_committed(n->pool, NULL, 0, head);
        giver_pin(n, true); /* what it has is of use to the next one */
        snapshot_leave(n);
        if (s->phase == SYNC_SNAPSHOT) s->phase = SYNC_BODIES;
        s->for_snapshot = false;
        sync_advanced(n);
    }
    /* What lay in the other bank, the old state or the refused one, goes. */
    sweep(n);
}

void snapshot_job_done(rdg_node_t *n, const job_t *job) {
    switch (job->kind) {
    case JOB_MANIFEST: manifest_done(n, job); break;
    case JOB_CHUNK: chunk_done(n, job); break;
    case JOB_FINISH: finished(n, job); break;
    default: n->sync.sweeping = false;
    }
    if (job->kind == JOB_SWEEP && job->err == RDG_OK && !job->verified) sweep(n); /* a part at a time */
    sync_step(n);
}

void snapshot_drop_peer(rdg_node_t *n, size_t peer) {
    sync_t *s = &n->sync;
    if (s->providers[peer] == PROVIDER_ASKED || s->providers[peer] == PROVIDER_READY)
        s->providers[peer] = PROVIDER_UNKNOWN;
    for (size_t i = 0; i < SYNC_CHUNKS; ++i)
        if (s->chunks[i].state == PIECE_ASKED && s->chunks[i].peer == peer) clear(&s->chunks[i]);
}

/* A manifest that nobody else has, whose giver then stands still, would keep those away who have the state. What is imported
 * stays, for who gives the same manifest again. */
static void forget_manifest(rdg_node_t *n) {
    sync_t *s = &n->sync;
    rdg_log(RDG_LOG_WARN, "sync.manifest_given_up", RDG_STR("peer", n->peers[s->manifest_peer].name),
            RDG_U64("height", s->snapshot_height));
    rdg_snapshot_import_close(s->import);
    s->import = NULL;
    s->chunk_next = s->chunk_count = 0;
    snapshot_leave(n);
    memset(s->providers, 0, sizeof s->providers);
    s->providers[s->manifest_peer] = PROVIDER_GONE;
    s->snapshot_started_ms = rdg_loop_now_ms(n->loop);
}

void snapshot_tick(rdg_node_t *n, uint64_t now) {
    sync_t *s = &n->sync;
    if (s->phase != SYNC_SNAPSHOT) return;
    for (size_t i = 0; i < n->peer_count; ++i) {
        bool late = s->providers[i] == PROVIDER_ASKED && now - s->provider_asked_ms[i] > ANSWER_MS;
        for (size_t k = 0; k < SYNC_CHUNKS; ++k)
            late = late || (s->chunks[k].state == PIECE_ASKED && s->chunks[k].peer == i &&
                            now - s->chunks[k].asked_ms > ANSWER_MS);
        if (!late) continue;
        snapshot_drop_peer(n, i);
        sync_blame(n, i, "snapshot", RDG_E_TIMEOUT, "no answer");
    }
    bool alone = !anyone(s, n->peer_count) && now - s->provider_seen_ms > ALONE_MS;
    if (s->import && alone && !snapshot_is_busy(n)) forget_manifest(n);
}
