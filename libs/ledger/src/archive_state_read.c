/* Chunks of the state, read by one thread in order, unpacked and proven by several. */
#include "archive_internal.h"

static rdg_err_t fetch(const state_reader_t *r, state_group_t *g, uint32_t index) {
    uint32_t frame = r->a->first_state + 1 + g->first + index;
    if (frame >= r->a->frames.count)
        return rdg_fail(RDG_E_MALFORMED, "the archive has fewer parts of the state than its manifest");
    return archive_fetch_frame(r->a, frame, &g->stored[index]);
}

static rdg_err_t prove(const state_reader_t *r, state_group_t *g, uint32_t index, frame_unpacker_t *u) {
    uint32_t number = g->first + index;
    RDG_TRY(archive_unpack_frame(r->a, r->a->first_state + 1 + number, u, &g->stored[index], &g->raw[index]));
    return snapshot_prove(r->m, number, rdg_buf_view(&g->raw[index]), &g->proven[index]);
}

static void prove_job(void *ctx, unsigned worker, uint32_t index) {
    state_reader_t *r = ctx;
    r->in_work->err[index] = prove(r, r->in_work, index, &r->unpackers[worker]);
}

/* A chunk that cannot be read is told when it is the first of a group: those before it may be worse. */
static rdg_err_t begin(state_reader_t *r, state_group_t *g) {
    size_t bytes = 0;
    g->first = r->next;
    g->count = 0;
    r->in_work = g;
    while (r->next < r->end && g->count < STATE_GROUP_MAX && bytes < STATE_GROUP_BYTES) {
        rdg_err_t err = fetch(r, g, g->count);
        if (err != RDG_OK && g->count == 0) return err;
        if (err != RDG_OK) break;
        bytes += r->m->chunks[r->next++].bytes;
        ++g->count;
    }
    if (g->count > 0) crew_begin(&r->crew, prove_job, r, g->count);
    return RDG_OK;
}

rdg_err_t state_reader_next(state_reader_t *r, state_group_t **out) {
    bool stopped = r->in_work && r->in_work->count == 0 && r->next < r->end;
    if (!r->in_work || stopped) RDG_TRY(begin(r, &r->groups[0]));
    crew_end(&r->crew);
    *out = r->in_work;
    if (r->in_work->count > 0) (void)begin(r, &r->groups[r->in_work == &r->groups[0]]); /* see `stopped` */
    return RDG_OK;
}

/* A cipher works in place, so what is done again is read again. */
rdg_err_t state_reader_settle(state_reader_t *r, state_group_t *g, uint32_t index) {
    if (g->err[index] == RDG_OK) return RDG_OK;
    if (g->err[index] == RDG_E_NO_MEMORY)
        return rdg_fail(RDG_E_NO_MEMORY, "no memory for a part of the state");
    RDG_TRY(fetch(r, g, index));
    return g->err[index] = prove(r, g, index, &r->unpackers[0]);
}

rdg_err_t state_reader_init(state_reader_t *r, rdg_archive_t *a, const manifest_t *m, uint32_t first) {
    r->a = a, r->m = m;
    crew_init(&r->crew, a->threads);
    for (unsigned k = 0; k < 2; ++k)
        for (unsigned i = 0; i < STATE_GROUP_MAX; ++i) {
            rdg_buf_init(&r->groups[k].stored[i], a->frame_bytes_max);
            rdg_buf_init(&r->groups[k].raw[i], RDG_SNAPSHOT_CHUNK_MAX);
            proven_chunk_init(&r->groups[k].proven[i]);
        }
    for (r->next = r->end = first; r->end < m->chunk_count && m->chunks[r->end].kind == CHUNK_STATE;)
        ++r->end;
    for (unsigned i = 0; i < r->crew.threads; ++i)
        RDG_TRY(frame_unpacker_init(&r->unpackers[i], a->key, &a->manifest));
    return RDG_OK;
}

void state_reader_fini(state_reader_t *r) {
    crew_fini(&r->crew);
    for (unsigned i = 0; i < CREW_MAX; ++i) frame_unpacker_fini(&r->unpackers[i]);
    for (unsigned k = 0; k < 2; ++k)
        for (unsigned i = 0; i < STATE_GROUP_MAX; ++i) {
            rdg_buf_fini(&r->groups[k].stored[i]), rdg_buf_fini(&r->groups[k].raw[i]);
            proven_chunk_fini(&r->groups[k].proven[i]);
        }
}
