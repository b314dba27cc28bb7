#include "contract.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/random.h"
#include "ridge/codec/hex.h"

#define VALID_HEIGHTS 1000
#define WAIT_MS 30000
#define ASK_EVERY_MS 10
#define GAS_DEFAULT 30000000
#define TOPICS_MAX 4
#define LOG_DATA_MAX (1u << 20)

void sent_tx_fini(sent_tx_t *t) {
    json_decref(t->receipt);
    t->receipt = NULL;
}

rdg_err_t contract_reverted(const json_t *abi, rdg_bytes_t data, const char *what) {
    rdg_buf_t reason;
    rdg_buf_init(&reason, 400);
    if (data.len == 0 || rdg_abi_decode_revert(abi, data, rdg_keccak256, &reason) != RDG_OK) {
        rdg_buf_clear(&reason);
        (void)rdg_buf_str(&reason,
                          data.len == 0 ? "the contract gave no reason" : "the reason cannot be read");
    }
    const char *text = rdg_buf_cstr(&reason);
    rdg_err_t err = rdg_fail(RDG_E_REVERTED, "%s reverted: %s", what, text ? text : "out of memory");
    rdg_buf_fini(&reason);
    return err;
}

/* The node may know the transaction already: the answer to the first sending was lost on the way. */
static rdg_err_t send(relay_t *r, const rdg_tx_t *tx) {
    rdg_err_t err = rdg_rpc_send(&r->rpc, tx);
    return err == RDG_E_DUPLICATE ? RDG_OK : err;
}

rdg_err_t contract_sign(relay_t *r, const chain_t *c, const rdg_address_t *to, rdg_bytes_t data,
                        rdg_tx_t **out) {
    rdg_rpc_head_t head;
    rdg_sm2_key_t *key;
    uint64_t gas = GAS_DEFAULT;
    RDG_TRY(rdg_json_opt_u64(c->params, "tx_gas_limit", &gas));
    RDG_TRY(rdg_rpc_head(&r->rpc, &head));
    if (head.chain_id != c->chain_id)
        return rdg_fail(RDG_E_WRONG_CHAIN, "the node that answers for chain '%s' runs another chain",
                        c->name);
    RDG_TRY(chain_key_load(r->b, c, &key));
    rdg_tx_fields_t fields = {.chain_id = c->chain_id,
                              .nonce = rdg_tx_random_nonce(rdg_random_system()),
                              .valid_until = head.height + VALID_HEIGHTS,
                              .gas_limit = gas,
                              .to = to,
                              .data = data};
    rdg_err_t err = rdg_tx_sign(&fields, key, out);
    rdg_sm2_key_free(key);
    return err;
}

static rdg_err_t check_status(const json_t *receipt, const json_t *abi, const rdg_hash_t *id) {
    uint64_t status;
    RDG_TRY(rdg_json_quantity_parse(json_object_get(receipt, "status"), &status));
    if (status == 1) return RDG_OK;
    rdg_buf_t output;
    const char *hex = json_string_value(json_object_get(receipt, "output"));
    char what[128], text[65];
    rdg_buf_init(&output, 65536);
    if (hex && rdg_hex_decode_buf(hex, strlen(hex), &output) != RDG_OK) rdg_buf_clear(&output);
    rdg_hex_encode(id->b, sizeof id->b, text);
    snprintf(what, sizeof what, "transaction 0x%s", text);
    rdg_err_t err = contract_reverted(abi, rdg_buf_view(&output), what);
    rdg_buf_fini(&output);
    return err;
}

/* An old one may be in a block that the node no longer looks at before it answers. Only who has looked and found nothing knows
 * that it expired. */
static rdg_err_t look_whether_included(relay_t *r, const rdg_tx_t *tx, json_t **receipt) {
    char why[RDG_ERROR_TEXT_MAX];
    snprintf(why, sizeof why, "%s", rdg_err_message(RDG_E_EXPIRED));
    rdg_err_t err = rdg_rpc_receipt(&r->rpc, &tx->id, receipt);
    return err == RDG_E_NOT_FOUND ? rdg_fail(RDG_E_EXPIRED, "%s", why) : err;
}

rdg_err_t contract_deliver(relay_t *r, const rdg_tx_t *tx, sent_tx_t *out) {
    memset(out, 0, sizeof *out);
    out->id = tx->id;
    rdg_err_t err = send(r, tx);
    if (err == RDG_E_EXPIRED) err = look_whether_included(r, tx, &out->receipt);
    if (err == RDG_OK && !out->receipt) err = rdg_rpc_wait(&r->rpc, tx, WAIT_MS, ASK_EVERY_MS, &out->receipt);
    if (err == RDG_OK)
        err = rdg_json_quantity_parse(json_object_get(out->receipt, "blockNumber"), &out->height);
    if (err == RDG_OK)
        err = rdg_json_quantity_parse(json_object_get(out->receipt, "gasUsed"), &out->gas_used);
    if (err != RDG_OK) sent_tx_fini(out);
    return err;
}

rdg_err_t contract_check(const sent_tx_t *t, const json_t *abi) {
    return check_status(t->receipt, abi, &t->id);
}

rdg_err_t contract_transact(relay_t *r, const chain_t *c, const rdg_address_t *to, rdg_bytes_t data,
                            const json_t *abi, sent_tx_t *out) {
    rdg_tx_t *tx;
    memset(out, 0, sizeof *out);
    RDG_TRY(contract_sign(r, c, to, data, &tx));
    rdg_err_t err = contract_deliver(r, tx, out);
    rdg_tx_unref(tx);
    if (err == RDG_OK) err = contract_check(out, abi);
    if (err != RDG_OK) sent_tx_fini(out);
    return err;
}

rdg_err_t contract_decode_log(const json_t *log, const json_t *abi, json_t **out) {
    uint8_t topics[TOPICS_MAX][32];
    size_t count = json_array_size(json_object_get(log, "topics"));
    const char *hex = json_string_value(json_object_get(log, "data"));
    if (count > TOPICS_MAX) return rdg_fail(RDG_E_MALFORMED, "a log has more than %d topics", TOPICS_MAX);
    for (size_t i = 0; i < count; ++i) {
        const char *t = json_string_value(json_array_get(json_object_get(log, "topics"), i));
        if (!t) return rdg_fail(RDG_E_MALFORMED, "a topic is no string");
        RDG_TRY(rdg_hex_decode(t, strlen(t), topics[i], sizeof topics[i]));
    }
    rdg_buf_t data;
    rdg_buf_init(&data, LOG_DATA_MAX);
    rdg_err_t err = hex ? rdg_hex_decode_buf(hex, strlen(hex), &data) : RDG_OK;
    if (err == RDG_OK)
        err = rdg_abi_decode_log(abi, (const uint8_t(*)[32])topics, count, rdg_buf_view(&data), rdg_keccak256,
                                 out);
    rdg_buf_fini(&data);
    return err;
}

rdg_err_t contract_events(const json_t *receipt, const json_t *abi, json_t **out) {
    json_t *list = json_array(), *log;
    size_t i;
    json_array_foreach(json_object_get(receipt, "logs"), i, log) {
        json_t *event = NULL;
        if (contract_decode_log(log, abi, &event) != RDG_OK)
            event = json_pack("{s:O?, s:O?}", "topics", json_object_get(log, "topics"), "data",
                              json_object_get(log, "data"));
        if (event && json_object_get(log, "address"))
            json_object_set(event, "address", json_object_get(log, "address"));
        json_array_append_new(list, event);
    }
    *out = list;
    return list ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for the events");
}
