/* A batch is one buffer of operations: tag (1 byte), key length, value length (4 bytes each), key, value. */
#include <stdlib.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "kv_backend.h"

enum { BATCH_BYTES_MAX = 512 << 20, OP_PUT = 1, OP_DELETE = 2, HEAD_BYTES = 9, PART_BYTES = 8 };

struct rdg_kv_batch {
    rdg_buf_t ops;
    rdg_err_t err;
};

rdg_kv_batch_t *rdg_kv_batch_new(void) {
    rdg_kv_batch_t *b = rdg_calloc(1, sizeof *b);
    if (b) rdg_buf_init(&b->ops, BATCH_BYTES_MAX);
    return b;
}

void rdg_kv_batch_free(rdg_kv_batch_t *b) {
    if (!b) return;
    rdg_buf_fini(&b->ops);
    rdg_free(b);
}

void rdg_kv_batch_clear(rdg_kv_batch_t *b) {
    rdg_buf_clear(&b->ops);
    b->err = RDG_OK;
}

static void append_op(rdg_kv_batch_t *b, uint8_t tag, rdg_bytes_t key, rdg_bytes_t value) {
    if (b->err != RDG_OK) return;
    if (key.len == 0 || key.len > RDG_KV_KEY_MAX || value.len > RDG_KV_VALUE_MAX) {
        b->err = rdg_fail(RDG_E_TOO_LARGE, "key of %zu or value of %zu bytes is beyond the store's limits",
                          key.len, value.len);
        return;
    }
    uint8_t head[HEAD_BYTES] = {tag};
    rdg_store_be32(head + 1, (uint32_t)key.len);
    rdg_store_be32(head + 5, (uint32_t)value.len);
    rdg_buf_append(&b->ops, head, sizeof head);
    rdg_buf_append(&b->ops, key.data, key.len);
    rdg_buf_append(&b->ops, value.data, value.len);
    b->err = rdg_buf_err(&b->ops);
}

void rdg_kv_batch_put(rdg_kv_batch_t *b, rdg_bytes_t key, rdg_bytes_t value) {
    append_op(b, OP_PUT, key, value);
}

void rdg_kv_batch_delete(rdg_kv_batch_t *b, rdg_bytes_t key) {
    append_op(b, OP_DELETE, key, rdg_bytes(NULL, 0));
}

size_t rdg_kv_batch_bytes(const rdg_kv_batch_t *b) {
    return b->ops.len;
}

rdg_err_t rdg_kv_batch_err(const rdg_kv_batch_t *b) {
    return b->err;
}

static size_t read_op(const uint8_t *p, rdg_kv_op_t *op) {
    uint32_t key_len = rdg_load_be32(p + 1), value_len = rdg_load_be32(p + 5);
    op->is_delete = p[0] == OP_DELETE;
    op->key = rdg_bytes(p + HEAD_BYTES, key_len);
    op->value = rdg_bytes(p + HEAD_BYTES + key_len, value_len);
    return HEAD_BYTES + (size_t)key_len + value_len;
}

bool rdg_kv_batch_next(const rdg_kv_batch_t *b, size_t *pos, rdg_kv_op_t *op) {
    if (*pos >= b->ops.len) return false;
    *pos += read_op(b->ops.data + *pos, op);
    return true;
}

/* --- in the order of the keys --------------------------------------------------------------------- */

void rdg_kv_sorted_op(const rdg_kv_sorted_t *s, rdg_kv_op_t *op) {
    (void)read_op(s->op, op);
}

/* The eight bytes of the key from `at` on, or what is left of it. */
static void set_part(rdg_kv_sorted_t *s, size_t at) {
    uint8_t part[PART_BYTES] = {0};
    size_t len = rdg_load_be32(s->op + 1);
    size_t left = len > at ? len - at : 0;
    s->part_len = (uint8_t)(left < PART_BYTES ? left : PART_BYTES);
    if (s->part_len > 0) memcpy(part, s->op + HEAD_BYTES + at, s->part_len);
    s->part = rdg_load_be64(part);
}

static bool same_part(const rdg_kv_sorted_t *a, const rdg_kv_sorted_t *b) {
    return a->part == b->part && a->part_len == b->part_len;
}

/* Of one key the operations stay in their order. */
static int compare_parts(const void *a, const void *b) {
    const rdg_kv_sorted_t *x = a, *y = b;
    if (x->part != y->part) return x->part < y->part ? -1 : 1;
    if (x->part_len != y->part_len) return x->part_len < y->part_len ? -1 : 1;
    return x->op < y->op ? -1 : 1;
}

/* Keys that are the same up to `at`, eight bytes at a time: whole keys would be looked up in memory for each comparison, and
 * most of them begin alike. Recursion ends with the longest key: at most RDG_KV_KEY_MAX / 8 deep. */
static void sort_from(rdg_kv_sorted_t *rows, size_t count, size_t at) {
    bool alike = true;
    for (; alike; at += PART_BYTES) {
        for (size_t i = 0; i < count; ++i) {
            set_part(&rows[i], at);
            alike = alike && same_part(&rows[i], &rows[0]);
        }
        if (alike && rows[0].part_len < PART_BYTES) return; /* one key, its operations in their order */
    }
    qsort(rows, count, sizeof *rows, compare_parts);
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && same_part(&rows[from], &rows[to]);) ++to;
        if (to > from + 1 && rows[from].part_len == PART_BYTES) sort_from(rows + from, to - from, at);
    }
}

static bool same_key(const rdg_kv_sorted_t *a, const rdg_kv_sorted_t *b) {
    rdg_kv_op_t x, y;
    read_op(a->op, &x), read_op(b->op, &y);
    return rdg_bytes_equal(x.key, y.key);
}

rdg_err_t rdg_kv_batch_sort(const rdg_kv_batch_t *b, rdg_kv_sorted_t **out, size_t *count) {
    rdg_kv_op_t op;
    size_t n = 0, last = 0;
    *count = 0;
    for (size_t pos = 0; rdg_kv_batch_next(b, &pos, &op);) ++n;
    rdg_kv_sorted_t *rows = *out = rdg_calloc(n + 1, sizeof *rows);
    if (!rows) return RDG_E_NO_MEMORY;
    if (n == 0) return RDG_OK;
    for (size_t pos = 0, i = 0; i < n; ++i) {
        rows[i].op = b->ops.data + pos;
        (void)rdg_kv_batch_next(b, &pos, &op);
    }
    sort_from(rows, n, 0);
    for (size_t i = 1; i < n; ++i) {
        if (!same_key(&rows[i], &rows[last])) ++last;
        rows[last] = rows[i];
    }
    *count = last + 1;
    return RDG_OK;
}
