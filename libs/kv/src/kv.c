#include "kv_backend.h"

rdg_err_t rdg_kv_get(rdg_kv_t *kv, const rdg_kv_snapshot_t *snap, rdg_bytes_t key, rdg_buf_t *out) {
    rdg_buf_clear(out);
    return kv->backend->get(kv, snap, key, out);
}

static rdg_err_t check_writable(const rdg_kv_t *kv, const rdg_kv_batch_t *b) {
    rdg_err_t failed = (rdg_err_t)__atomic_load_n(&kv->failed, __ATOMIC_ACQUIRE);
    if (failed != RDG_OK)
        return rdg_fail(failed,
                        "the store refuses writes since one failed (%s): remove the cause and restart",
                        rdg_err_text(failed));
    return rdg_kv_batch_err(b);
}

static rdg_err_t written(rdg_kv_t *kv, rdg_err_t err) {
    if (err != RDG_OK) __atomic_store_n(&kv->failed, (int)err, __ATOMIC_RELEASE);
    return err;
}

rdg_err_t rdg_kv_write(rdg_kv_t *kv, const rdg_kv_batch_t *b, bool sync) {
    RDG_TRY(check_writable(kv, b));
    return written(kv, kv->backend->write(kv, b, sync));
}

rdg_err_t rdg_kv_write_tables(rdg_kv_t *kv, const rdg_kv_batch_t *b, size_t prefix_bytes) {
    if (!kv->backend->write_tables) return rdg_kv_write(kv, b, true);
    RDG_TRY(check_writable(kv, b));
    return written(kv, kv->backend->write_tables(kv, b, prefix_bytes));
}

void rdg_kv_close(rdg_kv_t *kv) {
    if (kv) kv->backend->close(kv);
}

rdg_kv_snapshot_t *rdg_kv_snapshot(rdg_kv_t *kv) {
    return kv->backend->snapshot(kv);
}

void rdg_kv_snapshot_release(rdg_kv_t *kv, rdg_kv_snapshot_t *s) {
    if (s) kv->backend->snapshot_release(kv, s);
}

rdg_err_t rdg_kv_iter_open(rdg_kv_t *kv, const rdg_kv_snapshot_t *snap, rdg_bytes_t prefix, rdg_bytes_t from,
                           rdg_kv_iter_t **out) {
    *out = NULL;
    if (prefix.len > RDG_KV_KEY_MAX || from.len > RDG_KV_KEY_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "key prefix longer than %d bytes", RDG_KV_KEY_MAX);
    return kv->backend->iter_open(kv, snap, prefix, from, out);
}

bool rdg_kv_iter_next(rdg_kv_iter_t *it, rdg_bytes_t *key, rdg_bytes_t *value) {
    return it->backend->iter_next(it, key, value);
}

rdg_err_t rdg_kv_iter_err(const rdg_kv_iter_t *it) {
    return it->backend->iter_err(it);
}

void rdg_kv_iter_close(rdg_kv_iter_t *it) {
    if (it) it->backend->iter_close(it);
}

rdg_err_t rdg_kv_compact(rdg_kv_t *kv) {
    return kv->backend->compact ? kv->backend->compact(kv) : RDG_OK;
}

rdg_err_t rdg_kv_check_files(rdg_kv_t *kv) {
    return kv->backend->check_files ? kv->backend->check_files(kv) : RDG_OK;
}

void rdg_kv_stats(rdg_kv_t *kv, rdg_kv_stats_t *out) {
    *out = (rdg_kv_stats_t){0};
    kv->backend->stats(kv, out);
}
