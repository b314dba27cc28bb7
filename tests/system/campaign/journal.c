#include "campaign.h"
#include <string.h>
#include "ridge/codec/hex.h"
#include "ridge/crypto/hash.h"

void journal_sent(FILE *f, const journal_sent_t *s) {
    char id[65], meter[65];
    rdg_hex_encode(s->tx->id.b, 32, id);
    rdg_hex_encode(s->meter, 32, meter);
    fprintf(f, "{\"sent\":\"%s\",\"meter\":\"%s\",\"reading\":%s,\"value\":%llu}\n", id, meter,
            s->reading ? "true" : "false", (unsigned long long)s->value);
}

static rdg_err_t hash_hex(rdg_sm3_stream_t *s, const json_t *text) {
    rdg_buf_t b;
    const char *hex = json_string_value(text);
    if (!hex) return rdg_fail(RDG_E_MALFORMED, "a field of a log is no string");
    rdg_buf_init(&b, RDG_RECEIPT_BYTES_MAX);
    rdg_err_t err = rdg_hex_decode_buf(hex, strlen(hex), &b);
    if (err == RDG_OK) rdg_sm3_stream_update(s, b.data, b.len);
    rdg_buf_fini(&b);
    return err;
}

static rdg_err_t hash_log(rdg_sm3_stream_t *s, const json_t *log) {
    size_t i;
    json_t *topic;
    RDG_TRY(hash_hex(s, json_object_get(log, "address")));
    json_array_foreach(json_object_get(log, "topics"), i, topic) RDG_TRY(hash_hex(s, topic));
    return hash_hex(s, json_object_get(log, "data"));
}

rdg_err_t journal_logs_json(const json_t *receipt, rdg_hash_t *out) {
    rdg_sm3_stream_t *s = rdg_sm3_stream_new();
    rdg_err_t err = s ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for a digest");
    size_t i;
    json_t *log;
    json_array_foreach(json_object_get(receipt, "logs"), i, log) if (err == RDG_OK) err = hash_log(s, log);
    if (err == RDG_OK) rdg_sm3_stream_final(s, out);
    rdg_sm3_stream_free(s);
    return err;
}

rdg_err_t journal_logs(const rdg_receipt_t *r, rdg_hash_t *out) {
    rdg_sm3_stream_t *s = rdg_sm3_stream_new();
    if (!s) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a digest");
    for (size_t i = 0; i < r->log_count; ++i) {
        const rdg_log_entry_t *log = &r->logs[i];
        rdg_sm3_stream_update(s, log->address.b, sizeof log->address.b);
        for (uint32_t t = 0; t < log->topic_count; ++t)
            rdg_sm3_stream_update(s, log->topics[t].b, sizeof log->topics[t].b);
        rdg_sm3_stream_update(s, log->data.data, log->data.len);
    }
    rdg_sm3_stream_final(s, out);
    rdg_sm3_stream_free(s);
    return RDG_OK;
}

void journal_acknowledged(FILE *f, const rdg_hash_t *id, const json_t *receipt, const char *node) {
    uint64_t height = 0, index = 0, gas = 0, cumulative = 0;
    rdg_hash_t logs;
    char text[65], digest[65];
    const char *block = json_string_value(json_object_get(receipt, "blockHash"));
    const char *status = json_string_value(json_object_get(receipt, "status"));
    campaign_must(rdg_json_quantity_parse(json_object_get(receipt, "blockNumber"), &height), "receipt");
    campaign_must(rdg_json_quantity_parse(json_object_get(receipt, "transactionIndex"), &index), "receipt");
    campaign_must(rdg_json_quantity_parse(json_object_get(receipt, "gasUsed"), &gas), "receipt");
    campaign_must(rdg_json_quantity_parse(json_object_get(receipt, "cumulativeGasUsed"), &cumulative),
                  "receipt");
    campaign_must(journal_logs_json(receipt, &logs), "receipt");
    rdg_hex_encode(id->b, 32, text);
    rdg_hex_encode(logs.b, 32, digest);
    fprintf(f,
            "{\"acknowledged\":\"%s\",\"height\":%llu,\"index\":%llu,\"block\":\"%s\",\"receipt\":\"%s %llu "
            "%llu %s\","
            "\"node\":\"%s\"}\n",
            text, (unsigned long long)height, (unsigned long long)index, block ? block + 2 : "",
            status && strcmp(status, "0x1") == 0 ? "1" : "0", (unsigned long long)gas,
            (unsigned long long)cumulative, digest, node);
}
