/* What a store implements. The public functions check arguments, keep the sticky failure, and call this. */
#ifndef RIDGE_KV_BACKEND_H
#define RIDGE_KV_BACKEND_H
#include "ridge/kv/kv.h"

typedef struct rdg_kv_backend {
    void (*close)(rdg_kv_t *kv);
    rdg_err_t (*get)(rdg_kv_t *kv, const rdg_kv_snapshot_t *snap, rdg_bytes_t key, rdg_buf_t *out);
    rdg_err_t (*write)(rdg_kv_t *kv, const rdg_kv_batch_t *b, bool sync);
    rdg_err_t (*write_tables)(rdg_kv_t *kv, const rdg_kv_batch_t *b,
                              size_t prefix_bytes); /* NULL: write, synced */
    rdg_kv_snapshot_t *(*snapshot)(rdg_kv_t *kv);
    void (*snapshot_release)(rdg_kv_t *kv, rdg_kv_snapshot_t *s);
    rdg_err_t (*iter_open)(rdg_kv_t *kv, const rdg_kv_snapshot_t *snap, rdg_bytes_t prefix, rdg_bytes_t from,
                           rdg_kv_iter_t **out);
    bool (*iter_next)(rdg_kv_iter_t *it, rdg_bytes_t *key, rdg_bytes_t *value);
    rdg_err_t (*iter_err)(const rdg_kv_iter_t *it);
    void (*iter_close)(rdg_kv_iter_t *it);
    void (*stats)(rdg_kv_t *kv, rdg_kv_stats_t *out);
    rdg_err_t (*check_files)(rdg_kv_t *kv); /* NULL: there are none */
    rdg_err_t (*compact)(rdg_kv_t *kv);     /* NULL: nothing is kept twice */
} rdg_kv_backend_t;

/* First member of every backend's store and iterator. */
struct rdg_kv {
    const rdg_kv_backend_t *backend;
    int failed; /* rdg_err_t of the first failed write; atomic */
};
struct rdg_kv_iter {
    const rdg_kv_backend_t *backend;
};

/* Walks a batch's operations in order: start with *pos = 0. */
typedef struct rdg_kv_op {
    bool is_delete;
    rdg_bytes_t key, value;
} rdg_kv_op_t;
bool rdg_kv_batch_next(const rdg_kv_batch_t *b, size_t *pos, rdg_kv_op_t *op);

/* A batch in the order of its keys; of each key the last operation only. Views of the batch. */
typedef struct rdg_kv_sorted {
    uint64_t part;     /* of the key: where two of a run can differ, while they are sorted */
    const uint8_t *op; /* batch.c */
    uint8_t part_len;
} rdg_kv_sorted_t;
rdg_err_t rdg_kv_batch_sort(const rdg_kv_batch_t *b, rdg_kv_sorted_t **out,
                            size_t *count); /* NO_MEMORY; freed by rdg_free */
void rdg_kv_sorted_op(const rdg_kv_sorted_t *s, rdg_kv_op_t *op);

#endif
