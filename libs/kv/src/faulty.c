#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "kv_backend.h"

typedef struct faulty {
    rdg_kv_t base;
    rdg_kv_t *inner;
    uint64_t countdown; /* writes until the failing one; atomic */
    rdg_err_t err;
} faulty_t;

static rdg_kv_t *inner_of(rdg_kv_t *kv) {
    return ((faulty_t *)kv)->inner;
}

static void faulty_close(rdg_kv_t *kv) {
    rdg_kv_close(inner_of(kv));
    rdg_free(kv);
}

static rdg_err_t faulty_get(rdg_kv_t *kv, const rdg_kv_snapshot_t *snap, rdg_bytes_t key, rdg_buf_t *out) {
    return rdg_kv_get(inner_of(kv), snap, key, out);
}

static rdg_err_t count_write(faulty_t *f) {
    if (__atomic_load_n(&f->countdown, __ATOMIC_RELAXED) > 0 &&
        __atomic_sub_fetch(&f->countdown, 1, __ATOMIC_RELAXED) == 0)
        return rdg_fail(f->err, "write refused on demand of a test");
    return RDG_OK;
}

static rdg_err_t faulty_write(rdg_kv_t *kv, const rdg_kv_batch_t *b, bool sync) {
    RDG_TRY(count_write((faulty_t *)kv));
    return rdg_kv_write(inner_of(kv), b, sync);
}

static rdg_err_t faulty_write_tables(rdg_kv_t *kv, const rdg_kv_batch_t *b, size_t prefix_bytes) {
    RDG_TRY(count_write((faulty_t *)kv));
    return rdg_kv_write_tables(inner_of(kv), b, prefix_bytes);
}

static rdg_kv_snapshot_t *faulty_snapshot(rdg_kv_t *kv) {
    return rdg_kv_snapshot(inner_of(kv));
}

static void faulty_release(rdg_kv_t *kv, rdg_kv_snapshot_t *s) {
    rdg_kv_snapshot_release(inner_of(kv), s);
}

static rdg_err_t faulty_iter(rdg_kv_t *kv, const rdg_kv_snapshot_t *snap, rdg_bytes_t prefix,
                             rdg_bytes_t from, rdg_kv_iter_t **out) {
    return rdg_kv_iter_open(inner_of(kv), snap, prefix, from, out);
}

static rdg_err_t faulty_check_files(rdg_kv_t *kv) {
    return rdg_kv_check_files(inner_of(kv));
}

static rdg_err_t faulty_compact(rdg_kv_t *kv) {
    return rdg_kv_compact(inner_of(kv));
}

static void faulty_stats(rdg_kv_t *kv, rdg_kv_stats_t *out) {
    rdg_kv_stats(inner_of(kv), out);
}

/* Iterators are the inner store's own, so their functions are not reached through this table. */
static const rdg_kv_backend_t FAULTY = {.close = faulty_close,
                                        .get = faulty_get,
                                        .write = faulty_write,
                                        .write_tables = faulty_write_tables,
                                        .snapshot = faulty_snapshot,
                                        .snapshot_release = faulty_release,
                                        .iter_open = faulty_iter,
                                        .stats = faulty_stats,
                                        .check_files = faulty_check_files,
                                        .compact = faulty_compact};

rdg_err_t rdg_kv_open_faulty(rdg_kv_t *inner, rdg_kv_t **out) {
    faulty_t *f = rdg_calloc(1, sizeof *f);
    *out = NULL;
    if (!f) return RDG_E_NO_MEMORY;
    f->base.backend = &FAULTY;
    f->inner = inner;
    *out = &f->base;
    return RDG_OK;
}

void rdg_kv_faulty_fail_at(rdg_kv_t *faulty, uint64_t n, rdg_err_t err) {
    RDG_ASSERT(faulty->backend == &FAULTY);
    faulty_t *f = (faulty_t *)faulty;
    f->err = err;
    __atomic_store_n(&f->countdown, n, __ATOMIC_RELAXED);
}
