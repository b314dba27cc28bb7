/* Receipts, executed headers and the log bloom. */
#include <string.h>
#include "ridge/codec/rlp.h"
#include "ridge/ledger/block.h"

enum { EXECUTED_VERSION = 2, EXECUTED_BYTES_MAX = 256, TOPICS_MAX = 4 };

rdg_err_t rdg_executed_encode(const rdg_executed_t *e, rdg_buf_t *out) {
    size_t list = rdg_rlp_list_begin(out);
    rdg_rlp_put_u64(out, EXECUTED_VERSION);
    rdg_rlp_put_u64(out, e->chain_id);
    rdg_rlp_put_u64(out, e->height);
    rdg_rlp_put_bytes(out, rdg_bytes(e->block_hash.b, sizeof e->block_hash.b));
    rdg_rlp_put_bytes(out, rdg_bytes(e->state_root.b, sizeof e->state_root.b));
    rdg_rlp_put_bytes(out, rdg_bytes(e->receipts_root.b, sizeof e->receipts_root.b));
    rdg_rlp_put_u64(out, e->gas_used);
    rdg_rlp_put_bytes(out, rdg_bytes(e->epoch_digest.b, sizeof e->epoch_digest.b));
    return rdg_rlp_list_end(out, list);
}

rdg_err_t rdg_executed_decode(rdg_bytes_t encoded, rdg_executed_t *out) {
    rdg_rlp_t outer, c;
    memset(out, 0, sizeof *out);
    rdg_rlp_init(&outer, encoded);
    rdg_rlp_list(&outer, &c);
    uint64_t version = rdg_rlp_u64(&c);
    out->chain_id = rdg_rlp_u64(&c);
    out->height = rdg_rlp_u64(&c);
    rdg_rlp_fixed(&c, out->block_hash.b, sizeof out->block_hash.b);
    rdg_rlp_fixed(&c, out->state_root.b, sizeof out->state_root.b);
    rdg_rlp_fixed(&c, out->receipts_root.b, sizeof out->receipts_root.b);
    out->gas_used = rdg_rlp_u64(&c);
    rdg_rlp_fixed(&c, out->epoch_digest.b, sizeof out->epoch_digest.b);
    if (rdg_rlp_done(&c) != RDG_OK || rdg_rlp_done(&outer) != RDG_OK || version != EXECUTED_VERSION)
        return rdg_fail(RDG_E_MALFORMED, "executed header is not the RLP list of a version %d one",
                        EXECUTED_VERSION);
    return RDG_OK;
}

rdg_err_t rdg_executed_hash(const rdg_executed_t *e, rdg_hash_t *out) {
    rdg_buf_t b;
    rdg_buf_init(&b, EXECUTED_BYTES_MAX);
    rdg_err_t err = rdg_executed_encode(e, &b);
    rdg_bytes_t view = rdg_buf_view(&b);
    if (err == RDG_OK) rdg_sm3_tagged(RDG_DOMAIN_EXECUTED, &view, 1, out);
    rdg_buf_fini(&b);
    return err;
}

rdg_err_t rdg_receipt_encode(const rdg_receipt_t *r, rdg_buf_t *out) {
    size_t list = rdg_rlp_list_begin(out);
    rdg_rlp_put_u64(out, r->success ? 1 : 0);
    rdg_rlp_put_u64(out, r->gas_used);
    rdg_rlp_put_u64(out, r->cumulative_gas);
    rdg_rlp_put_bytes(out, rdg_bytes(r->contract.b, r->has_contract ? sizeof r->contract.b : 0));
    rdg_rlp_put_bytes(out, r->output);
    size_t logs = rdg_rlp_list_begin(out);
    for (size_t i = 0; i < r->log_count; ++i) {
        const rdg_log_entry_t *l = &r->logs[i];
        size_t log = rdg_rlp_list_begin(out);
        rdg_rlp_put_bytes(out, rdg_bytes(l->address.b, sizeof l->address.b));
        size_t topics = rdg_rlp_list_begin(out);
        for (uint32_t t = 0; t < l->topic_count; ++t)
            rdg_rlp_put_bytes(out, rdg_bytes(l->topics[t].b, sizeof l->topics[t].b));
        rdg_rlp_list_end(out, topics);
        rdg_rlp_put_bytes(out, l->data);
        rdg_rlp_list_end(out, log);
    }
    rdg_rlp_list_end(out, logs);
    return rdg_rlp_list_end(out, list);
}

static rdg_err_t read_log(rdg_rlp_t *src, rdg_log_entry_t *out) {
    rdg_rlp_t c, topics;
    memset(out, 0, sizeof *out);
    rdg_rlp_list(src, &c);
    rdg_rlp_fixed(&c, out->address.b, sizeof out->address.b);
    rdg_rlp_list(&c, &topics);
    while (rdg_rlp_more(&topics) && out->topic_count < TOPICS_MAX) {
        rdg_rlp_fixed(&topics, out->topics[out->topic_count].b, sizeof out->topics[0].b);
        out->topic_count++;
    }
    out->data = rdg_rlp_bytes(&c);
    return rdg_rlp_done(&topics) == RDG_OK ? rdg_rlp_done(&c) : RDG_E_MALFORMED;
}

static rdg_err_t read_logs(rdg_rlp_t list, rdg_arena_t *arena, rdg_receipt_t *out) {
    size_t count = 0;
    for (rdg_rlp_t scan = list; rdg_rlp_more(&scan); ++count) rdg_rlp_raw(&scan);
    if (count == 0) return rdg_rlp_done(&list);
    out->logs = rdg_arena_calloc(arena, count, sizeof *out->logs);
    if (!out->logs) return RDG_E_NO_MEMORY;
    for (; out->log_count < count; out->log_count++) RDG_TRY(read_log(&list, &out->logs[out->log_count]));
    return rdg_rlp_done(&list);
}

rdg_err_t rdg_receipt_decode(rdg_bytes_t encoded, rdg_arena_t *arena, rdg_receipt_t *out) {
    rdg_rlp_t outer, c, logs;
    memset(out, 0, sizeof *out);
    if (encoded.len > RDG_RECEIPT_BYTES_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "receipt of %zu bytes: the limit is %u", encoded.len,
                        RDG_RECEIPT_BYTES_MAX);
    rdg_rlp_init(&outer, encoded);
    rdg_rlp_list(&outer, &c);
    uint64_t status = rdg_rlp_u64(&c);
    out->gas_used = rdg_rlp_u64(&c);
    out->cumulative_gas = rdg_rlp_u64(&c);
    rdg_bytes_t contract = rdg_rlp_bytes_max(&c, sizeof out->contract.b);
    out->output = rdg_rlp_bytes_max(&c, RDG_RECEIPT_OUTPUT_MAX);
    rdg_rlp_list(&c, &logs);
    bool shape = rdg_rlp_done(&c) == RDG_OK && rdg_rlp_done(&outer) == RDG_OK && status <= 1 &&
                 (contract.len == 0 || contract.len == sizeof out->contract.b);
    rdg_err_t err = shape ? read_logs(logs, arena, out) : RDG_E_MALFORMED;
    if (err == RDG_E_NO_MEMORY) return err;
    if (err != RDG_OK) return rdg_fail(RDG_E_MALFORMED, "receipt is not the RLP list of its six fields");
    out->success = status == 1;
    out->has_contract = contract.len != 0;
    if (contract.len) memcpy(out->contract.b, contract.data, contract.len);
    return RDG_OK;
}

/* Three bits, each the low 11 bits of one of the first three 16-bit words of the Keccak-256. */
static void bloom_bits(rdg_bytes_t item, uint32_t bits[3]) {
    uint8_t h[32];
    rdg_keccak256(item.data, item.len, h);
    for (int i = 0; i < 3; ++i) bits[i] = (((uint32_t)h[2 * i] << 8) | h[2 * i + 1]) & 2047u;
}

void rdg_bloom_add(rdg_bloom_t *bloom, rdg_bytes_t item) {
    uint32_t bits[3];
    bloom_bits(item, bits);
    for (int i = 0; i < 3; ++i) bloom->b[255 - bits[i] / 8] |= (uint8_t)(1u << (bits[i] % 8));
}

bool rdg_bloom_may_hold(const rdg_bloom_t *bloom, rdg_bytes_t item) {
    uint32_t bits[3];
    bloom_bits(item, bits);
    for (int i = 0; i < 3; ++i)
        if (!(bloom->b[255 - bits[i] / 8] & (1u << (bits[i] % 8)))) return false;
    return true;
}

void rdg_bloom_add_receipt(rdg_bloom_t *bloom, const rdg_receipt_t *r) {
    for (size_t i = 0; i < r->log_count; ++i) {
        const rdg_log_entry_t *l = &r->logs[i];
        rdg_bloom_add(bloom, rdg_bytes(l->address.b, sizeof l->address.b));
        for (uint32_t t = 0; t < l->topic_count; ++t)
            rdg_bloom_add(bloom, rdg_bytes(l->topics[t].b, sizeof l->topics[t].b));
    }
}
