/* Receipts, from a node's JSON. */
#include <string.h>
#include "api_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/codec/abi.h"
#include "ridge/codec/hex.h"

#define REVERT_MAX (1u << 20)

void ridge_receipt_fini(ridge_receipt_t *receipt) {
    rdg_free(receipt->logs);
    rdg_free(receipt->revert.data);
    memset(receipt, 0, sizeof *receipt);
}

static rdg_err_t quantity(const json_t *o, const char *field, uint64_t *out) {
    return rdg_fail_in(rdg_json_quantity_parse(json_object_get(o, field), out), "receipt: %s", field);
}

/* Hexadecimal of that many bytes, or (optional) null, which leaves "". */
static rdg_err_t text(const json_t *o, const char *field, size_t bytes, bool optional, char *out) {
    uint8_t value[RDG_HASH_BYTES];
    out[0] = 0;
    if (optional && (!json_object_get(o, field) || json_is_null(json_object_get(o, field)))) return RDG_OK;
    RDG_TRY(rdg_fail_in(rdg_json_get_hex(o, field, value, bytes), "receipt: %s", field));
    api_hex(value, bytes, out);
    return RDG_OK;
}

static rdg_err_t read_revert(const json_t *o, ridge_bytes_t *out) {
    const json_t *v = json_object_get(o, "output");
    rdg_buf_t data;
    if (!json_is_string(v) || json_string_length(v) <= 2) return RDG_OK;
    rdg_buf_init(&data, REVERT_MAX);
    rdg_err_t err = rdg_hex_decode_buf(json_string_value(v), json_string_length(v), &data);
    if (err == RDG_OK) err = api_bytes(&data, out);
    rdg_buf_fini(&data);
    return err;
}

static rdg_err_t read_fields(const json_t *o, ridge_receipt_t *out) {
    uint64_t status;
    RDG_TRY(quantity(o, "status", &status));
    out->success = status == 1;
    RDG_TRY(quantity(o, "blockNumber", &out->height));
    RDG_TRY(quantity(o, "transactionIndex", &out->index));
    RDG_TRY(quantity(o, "gasUsed", &out->gas_used));
    RDG_TRY(text(o, "transactionHash", RDG_HASH_BYTES, false, out->id));
    RDG_TRY(text(o, "blockHash", RDG_HASH_BYTES, false, out->block_hash));
    RDG_TRY(text(o, "from", sizeof(rdg_address_t), false, out->from));
    RDG_TRY(text(o, "to", sizeof(rdg_address_t), true, out->to));
    RDG_TRY(text(o, "contractAddress", sizeof(rdg_address_t), true, out->contract));
    json_t *logs = json_object_get(o, "logs");
    if (!json_is_array(logs)) return rdg_fail(RDG_E_PROTOCOL, "receipt: it has no logs");
    RDG_TRY(api_json(json_incref(logs), &out->logs));
    return read_revert(o, &out->revert);
}

rdg_err_t api_receipt_read(const json_t *from, ridge_receipt_t *out) {
    memset(out, 0, sizeof *out);
    rdg_err_t err = read_fields(from, out);
    if (err != RDG_OK) ridge_receipt_fini(out);
    return err;
}

json_t *api_log_json(const rdg_log_entry_t *log) {
    json_t *topics = json_array();
    for (uint32_t i = 0; i < log->topic_count; ++i)
        json_array_append_new(topics, rdg_json_hex(log->topics[i].b, sizeof log->topics[i].b));
    return json_pack("{s:o, s:o, s:o}", "address", rdg_json_hex(log->address.b, sizeof log->address.b),
                     "topics", topics, "data", rdg_json_hex(log->data.data, log->data.len));
}
