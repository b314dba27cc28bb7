/* One snapshot at a time, made when a peer asks for it, in a file without a name: it is gone when it is closed, or with
 * the process. It is kept while it is used and KEEP_MS longer; who wants another height gets its turn (giver_turn.h). */
#include "internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#define KEEP_MS 600000

enum { STATE_MAKING, STATE_READY, STATE_GONE };

static rdg_snapshot_pin_t *find_pin(const giver_t *g, uint64_t height) {
    for (size_t i = 0; i < GIVER_PINS; ++i)
        if (g->pins[i] && rdg_snapshot_pin_height(g->pins[i]) == height) return g->pins[i];
    return NULL;
}

static void forget(giver_t *g) {
    rdg_snapshot_export_free(g->export);
    g->export = NULL;
    if (g->fd >= 0) close(g->fd);
    g->fd = -1;
    rdg_free(g->chunks);
    g->chunks = NULL;
    g->chunk_count = g->chunk_room = g->frame_left = g->frames = 0;
    g->written = 0;
    rdg_buf_fini(&g->manifest);
    rdg_buf_init(&g->manifest, RDG_SNAPSHOT_MANIFEST_MAX + 16);
    g->state = GIVER_NONE;
    turn_dropped(&g->turn);
}

/* --- writing: frames of a length and its bytes; the first frame is the manifest ----------------------------------- */

static rdg_err_t note_frame(giver_t *g, uint32_t len) {
    if (g->frames++ == 0) return RDG_OK;
    if (g->chunk_count == g->chunk_room) {
        uint32_t room = g->chunk_room ? 2 * g->chunk_room : 64;
        struct giver_chunk *grown = rdg_realloc_array(g->chunks, room, sizeof *grown);
        if (!grown) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a snapshot");
        g->chunks = grown, g->chunk_room = room;
    }
    g->chunks[g->chunk_count++] = (struct giver_chunk){g->written, len};
    return RDG_OK;
}

static rdg_err_t write_frame(void *ctx, rdg_bytes_t bytes) {
    giver_t *g = ctx;
    if (g->frame_left == 0) {
        g->frame_left = rdg_load_be32(bytes.data);
        return note_frame(g, g->frame_left);
    }
    g->frame_left -= (uint32_t)bytes.len;
    if (g->frames == 1) return rdg_buf_append(&g->manifest, bytes.data, bytes.len);
    g->written += bytes.len;
    return rdg_write_all(g->fd, bytes);
}

static void on_step(void *arg) {
    rdg_node_t *n = arg;
    giver_t *g = &n->giver;
    const rdg_snapshot_writer_t writer = {write_frame, g};
    bool done = false;
    g->err = rdg_snapshot_export_step(g->export, &writer, &done);
    if (g->err != RDG_OK)
        rdg_log(RDG_LOG_WARN, "snapshot.failed", RDG_U64("height", g->height),
                RDG_STR("code", rdg_err_name(g->err)), RDG_STR("why", rdg_err_message(g->err)));
    if (g->err == RDG_OK && done) {
        rdg_snapshot_export_free(g->export);
        g->export = NULL;
    }
}

static void on_stepped(void *arg);

static void next_step(rdg_node_t *n) {
    n->giver.stepping = rdg_loop_work(n->loop, on_step, on_stepped, n) == RDG_OK;
    if (!n->giver.stepping) forget(&n->giver);
}

static void on_stepped(void *arg) {
    rdg_node_t *n = arg;
    giver_t *g = &n->giver;
    g->stepping = false;
    if (n->closing) return;
    if (g->err != RDG_OK) {
        forget(g);
    } else if (g->export) {
        next_step(n);
    } else {
        g->state = GIVER_READY;
        turn_made(&g->turn, rdg_loop_now_ms(n->loop));
        rdg_log(RDG_LOG_INFO, "snapshot.made", RDG_U64("height", g->height),
                RDG_U64("chunks", g->chunk_count), RDG_U64("bytes", g->written));
    }
}

static rdg_err_t open_file(rdg_node_t *n) {
    char path[PATH_MAX];
    RDG_TRY(rdg_path_join(path, sizeof path, n->dir, "data/snapshot.tmp"));
    n->giver.fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (n->giver.fd < 0) return rdg_fail_errno(errno, "%s", path);
    unlink(path);
    return RDG_OK;
}

static rdg_err_t make(rdg_node_t *n, rdg_snapshot_pin_t *pin) {
    giver_t *g = &n->giver;
    forget(g);
    RDG_TRY(open_file(n));
    RDG_TRY(rdg_snapshot_export_new(n->ledger, pin, NULL, &g->export));
    g->height = rdg_snapshot_pin_height(pin);
    g->state = GIVER_BUILDING;
    rdg_log(RDG_LOG_INFO, "snapshot.make", RDG_U64("height", g->height));
    next_step(n);
    return RDG_OK;
}

/* --- questions ---------------------------------------------------------------------------------------------------- */

static bool is_busy(const rdg_node_t *n) {
    const giver_t *g = &n->giver;
    return g->stepping || g->reading > 0;
}

static uint8_t state_for(rdg_node_t *n, size_t peer, uint64_t height, uint64_t now) {
    giver_t *g = &n->giver;
    rdg_snapshot_pin_t *pin;
    if (g->state != GIVER_NONE && g->height == height) {
        if (turn_is_over(&g->turn, g->chunk_count, now)) return STATE_GONE;
        turn_used(&g->turn, now);
        return g->state == GIVER_READY ? STATE_READY : STATE_MAKING;
    }
    if (!(pin = find_pin(g, height))) return STATE_GONE;
    if (!turn_ask(&g->turn, peer, g->chunk_count, is_busy(n), now))
        return g->stepping ? STATE_GONE : STATE_MAKING;
    rdg_err_t err = make(n, pin);
    if (err == RDG_OK) return STATE_MAKING;
    rdg_log(RDG_LOG_WARN, "snapshot.failed", RDG_U64("height", height), RDG_STR("code", rdg_err_name(err)),
            RDG_STR("why", rdg_err_message(err)));
    forget(g);
    return STATE_GONE;
}

void giver_snapshot(rdg_node_t *n, size_t peer, rdg_bytes_t bytes) {
    rdg_reader_t r;
    rdg_buf_t out;
    rdg_reader_init(&r, bytes);
    uint64_t height = rdg_read_u64(&r);
    if (!rdg_reader_done(&r)) return;
    uint8_t state = state_for(n, peer, height, rdg_loop_now_ms(n->loop));
    rdg_buf_init(&out, RDG_SNAPSHOT_MANIFEST_MAX + 16);
    rdg_buf_u64(&out, height);
    rdg_buf_u8(&out, state);
    if (state == STATE_READY) rdg_buf_append(&out, n->giver.manifest.data, n->giver.manifest.len);
    if (rdg_buf_err(&out) == RDG_OK) (void)rdg_p2p_send(n->p2p, peer, MSG_SNAPSHOT, rdg_buf_view(&out));
    rdg_buf_fini(&out);
}

rdg_err_t giver_read_chunk(const giver_t *g, uint32_t index, rdg_buf_t *out) {
    const struct giver_chunk *c = &g->chunks[index];
    RDG_TRY(rdg_buf_reserve(out, c->len));
    for (uint32_t at = 0; at < c->len;) {
        ssize_t got = pread(g->fd, out->data + out->len, c->len - at, (off_t)(c->offset + at));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return rdg_fail_errno(errno, "read a snapshot");
        if (got == 0) return rdg_fail(RDG_E_IO, "the file of a snapshot is too short");
        at += (uint32_t)got;
        out->len += (size_t)got;
    }
    return RDG_OK;
}

void giver_tick(rdg_node_t *n, uint64_t now) {
    giver_t *g = &n->giver;
    if (g->state != GIVER_READY || now - g->turn.used_ms < KEEP_MS || is_busy(n)) return;
    rdg_log(RDG_LOG_INFO, "snapshot.dropped", RDG_U64("height", g->height));
    forget(g);
}

void giver_close(rdg_node_t *n) {
    forget(&n->giver);
    rdg_buf_fini(&n->giver.manifest);
    for (size_t i = 0; i < GIVER_PINS; ++i) {
        rdg_snapshot_unpin(n->giver.pins[i]);
        n->giver.pins[i] = NULL;
    }
}
