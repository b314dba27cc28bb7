/* A batch is one buffer of operations: tag (1 byte), key length, value length (4 bytes each), key, value. */
#include "ridge/base/alloc.h"
#include "kv_backend.h"

enum { BATCH_BYTES_MAX = 512 << 20, OP_PUT = 1, OP_DELETE = 2 };

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
    uint8_t head[9] = {tag};
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

bool rdg_kv_batch_next(const rdg_kv_batch_t *b, size_t *pos, rdg_kv_op_t *op) {
    if (*pos >= b->ops.len) return false;
    const uint8_t *p = b->ops.data + *pos;
    uint32_t key_len = rdg_load_be32(p + 1), value_len = rdg_load_be32(p + 5);
    op->is_delete = p[0] == OP_DELETE;
    op->key = rdg_bytes(p + 9, key_len);
    op->value = rdg_bytes(p + 9 + key_len, value_len);
    *pos += 9 + (size_t)key_len + value_len;
    return true;
}
