/* A snapshot from a stream of bytes. */
#include "ridge/base/alloc.h"
#include "snapshot_internal.h"

typedef struct stream {
    rdg_ledger_t *l;
    const rdg_snapshot_reader_t *reader;
    rdg_buf_t frame;
    rdg_snapshot_import_t *import;
    uint32_t chunk; /* number of the next one in the stream */
} stream_t;

/* All of len; *end: the stream ended before the first byte. */
static rdg_err_t read_whole(stream_t *s, uint8_t *dst, size_t len, bool *end) {
    size_t at = 0, got = 0;
    *end = false;
    while (at < len) {
        RDG_TRY(s->reader->read(s->reader->ctx, dst + at, len - at, &got));
        if (got == 0) break;
        at += got;
    }
    *end = at == 0;
    return at == len || at == 0 ? RDG_OK : rdg_fail(RDG_E_MALFORMED, "the stream of the snapshot is cut off");
}

static rdg_err_t next_frame(stream_t *s, bool *end) {
    uint8_t length[4];
    bool cut;
    RDG_TRY(read_whole(s, length, sizeof length, end));
    if (*end) return RDG_OK;
    uint32_t len = rdg_load_be32(length);
    if (len == 0 || len > RDG_SNAPSHOT_MANIFEST_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "the stream has a frame of %u bytes", len);
    rdg_buf_clear(&s->frame);
    RDG_TRY(rdg_buf_reserve(&s->frame, len));
    RDG_TRY(read_whole(s, s->frame.data, len, &cut));
    if (cut) return rdg_fail(RDG_E_MALFORMED, "the stream of the snapshot is cut off");
    s->frame.len = len;
    return RDG_OK;
}

static rdg_err_t take_frame(stream_t *s) {
    rdg_bytes_t frame = rdg_buf_view(&s->frame);
    header_segment_t segment;
    rdg_snapshot_info_t info;
    uint64_t known;
    if (!s->import && segment_open(frame, &segment) == RDG_OK) {
        rdg_err_t err = rdg_headers_import(s->l, frame, &known);
        return err == RDG_E_STALE ? RDG_OK : err;
    }
    if (!s->import) return rdg_snapshot_import_open(s->l, frame, &s->import);
    rdg_snapshot_import_info(s->import, &info);
    return s->chunk++ < info.next ? RDG_OK : rdg_snapshot_import_chunk(s->import, frame);
}

rdg_err_t rdg_snapshot_read(rdg_ledger_t *l, const rdg_snapshot_reader_t *reader) {
    stream_t s = {.l = l, .reader = reader};
    bool end = false;
    rdg_err_t err = RDG_OK;
    rdg_buf_init(&s.frame, RDG_SNAPSHOT_MANIFEST_MAX);
    while (err == RDG_OK) {
        err = next_frame(&s, &end);
        if (err != RDG_OK || end) break;
        err = take_frame(&s);
    }
    if (err == RDG_OK)
        err = s.import ? rdg_snapshot_import_finish(s.import)
                       : rdg_fail(RDG_E_MALFORMED, "the stream holds no manifest of a snapshot");
    rdg_snapshot_import_close(s.import);
    rdg_buf_fini(&s.frame);
    return err;
}
