/* Pairs of frames, read by one thread in order, unpacked and worked on by several. */
#include "archive_internal.h"

static rdg_err_t fetch(pair_reader_t *r, read_pair_t *p, uint32_t frame) {
    p->frame = frame;
    for (unsigned i = 0; i < 2; ++i) RDG_TRY(archive_fetch_frame(r->a, frame + i, &p->stored[i]));
    return RDG_OK;
}

static rdg_err_t work(pair_reader_t *r, uint32_t number, frame_unpacker_t *u) {
    read_pair_t *p = &r->pairs[number];
    for (unsigned i = 0; i < 2; ++i)
        RDG_TRY(archive_unpack_frame(r->a, p->frame + i, u, &p->stored[i], &p->raw[i]));
    return r->job(r->ctx, number);
}

static void work_job(void *ctx, unsigned worker, uint32_t number) {
    pair_reader_t *r = ctx;
    r->pairs[number].err = work(r, number, &r->unpackers[worker]);
}

/* A pair that cannot be read is told when it is the first: those before it may be worse. */
rdg_err_t pair_reader_next(pair_reader_t *r, uint32_t *next) {
    const frame_t *frames = r->a->frames.frames;
    size_t bytes = 0;
    for (r->count = 0; *next < r->a->first_txs && r->count < crew_pairs(&r->crew) && bytes < PAIRS_BYTES;
         *next += 2) {
        rdg_err_t err = fetch(r, &r->pairs[r->count], *next);
        if (err != RDG_OK && r->count == 0) return err;
        if (err != RDG_OK) break;
        ++r->count;
        bytes += (size_t)frames[*next].raw_len + frames[*next + 1].raw_len;
    }
    crew_run(&r->crew, work_job, r, r->count);
    return RDG_OK;
}

/* A cipher works in place, so what is done again is read again. */
rdg_err_t pair_reader_settle(pair_reader_t *r, uint32_t number) {
    read_pair_t *p = &r->pairs[number];
    if (p->err == RDG_OK) return RDG_OK;
    if (p->err == RDG_E_NO_MEMORY) return rdg_fail(p->err, "no memory for a frame of an archive");
    RDG_TRY(fetch(r, p, p->frame));
    return p->err = work(r, number, &r->unpackers[0]);
}

rdg_err_t pair_reader_init(pair_reader_t *r, rdg_archive_t *a, pair_job_t job, void *ctx) {
    r->a = a, r->job = job, r->ctx = ctx;
    crew_init(&r->crew, a->threads);
    for (uint32_t i = 0; i < PAIRS_MAX; ++i)
        for (unsigned k = 0; k < 2; ++k) {
            rdg_buf_init(&r->pairs[i].stored[k], a->frame_bytes_max);
            rdg_buf_init(&r->pairs[i].raw[k], a->frame_bytes_max);
        }
    if (!a->has_key) return RDG_OK; /* the first frame says which is missing */
    for (unsigned i = 0; i < r->crew.threads; ++i)
        RDG_TRY(frame_unpacker_init(&r->unpackers[i], a->key, &a->manifest));
    return RDG_OK;
}

void pair_reader_fini(pair_reader_t *r) {
    crew_fini(&r->crew);
    for (unsigned i = 0; i < CREW_MAX; ++i) frame_unpacker_fini(&r->unpackers[i]);
    for (uint32_t i = 0; i < PAIRS_MAX; ++i)
        for (unsigned k = 0; k < 2; ++k)
            rdg_buf_fini(&r->pairs[i].stored[k]), rdg_buf_fini(&r->pairs[i].raw[k]);
}
