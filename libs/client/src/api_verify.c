/* Trust and verification: pure functions over evidence. */
#include <string.h>
#include "api_internal.h"
#include "ridge/base/alloc.h"

#define LOGS_ARENA_MAX (64u << 20)

_Static_assert(RIDGE_SLOTS_MAX == RDG_EVIDENCE_SLOTS_MAX, "as many slots as evidence may hold");

static rdg_err_t wrap(const rdg_genesis_t *genesis, ridge_trust_t **out) {
    ridge_trust_t *t = rdg_calloc(1, sizeof *t);
    if (!t) return rdg_fail(RDG_E_NO_MEMORY, "no memory for what is known of the chain");
    rdg_err_t err = rdg_trust_new(genesis, &t->trust);
    if (err == RDG_OK)
        *out = t;
    else
        rdg_free(t);
    return err;
}

ridge_status_t ridge_trust_new(const char *genesis, ridge_trust_t **out) {
    *out = NULL;
    rdg_genesis_t *g = rdg_calloc(1, sizeof *g);
    if (!g) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a genesis");
    rdg_err_t err = rdg_fail_in(rdg_genesis_parse(rdg_bytes_str(genesis), g), "genesis");
    if (err == RDG_OK) err = wrap(g, out);
    rdg_free(g);
    return err;
}

void ridge_trust_free(ridge_trust_t *trust) {
    if (!trust) return;
    rdg_trust_free(trust->trust);
    rdg_free(trust);
}

uint64_t ridge_trust_epoch(const ridge_trust_t *trust) {
    return rdg_trust_latest(trust->trust)->validators.epoch;
}

ridge_status_t ridge_trust_learn(ridge_trust_t *trust, const uint8_t *evidence, size_t len) {
    return rdg_trust_advance(trust->trust, rdg_bytes(evidence, len));
}

static json_t *logs_json(const rdg_receipt_t *r) {
    json_t *list = json_array();
    for (size_t i = 0; i < r->log_count; ++i)
        if (json_array_append_new(list, api_log_json(&r->logs[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static rdg_err_t copy_revert(rdg_bytes_t output, ridge_bytes_t *out) {
    if (output.len == 0) return RDG_OK;
    out->data = rdg_alloc(output.len);
    if (!out->data) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a receipt");
    memcpy(out->data, output.data, output.len);
    out->len = output.len;
    return RDG_OK;
}

static rdg_err_t show(const rdg_receipt_evidence_t *e, ridge_receipt_t *out) {
    const rdg_tx_t *tx = e->tx;
    out->success = e->receipt.success;
    out->height = e->header.height;
    out->index = e->index;
    out->gas_used = e->receipt.gas_used;
    api_hex(tx->id.b, sizeof tx->id.b, out->id);
    api_hex(e->block_hash.b, sizeof e->block_hash.b, out->block_hash);
    api_hex(tx->from.b, sizeof tx->from.b, out->from);
    if (!tx->is_create) api_hex(tx->to.b, sizeof tx->to.b, out->to);
    if (e->receipt.has_contract) api_hex(e->receipt.contract.b, sizeof e->receipt.contract.b, out->contract);
    RDG_TRY(api_json(logs_json(&e->receipt), &out->logs));
    return copy_revert(e->receipt.output, &out->revert);
}

ridge_status_t ridge_verify_receipt(const ridge_trust_t *trust, const uint8_t *evidence, size_t len,
                                    ridge_receipt_t *out, uint64_t *time_ms) {
    rdg_receipt_evidence_t e;
    rdg_arena_t arena;
    memset(out, 0, sizeof *out);
    rdg_arena_init(&arena, LOGS_ARENA_MAX);
    rdg_err_t err = rdg_evidence_verify_receipt(trust->trust, rdg_bytes(evidence, len), &arena, &e);
    if (err == RDG_OK) {
        err = show(&e, out);
        if (time_ms) *time_ms = e.header.time_ms;
        rdg_tx_unref(e.tx);
    }
    if (err != RDG_OK) ridge_receipt_fini(out);
    rdg_arena_fini(&arena);
    return err;
}

static void show_state(const rdg_state_evidence_t *e, ridge_state_t *out) {
    out->height = e->executed.height;
    api_hex(e->address.b, sizeof e->address.b, out->address);
    out->exists = e->exists;
    out->nonce = e->nonce;
    memcpy(out->balance, e->balance.b, sizeof out->balance);
    memcpy(out->code_hash, e->code_hash.b, sizeof out->code_hash);
    out->slot_count = e->slot_count;
    for (uint32_t i = 0; i < e->slot_count; ++i) {
        memcpy(out->slots[i].slot, e->slots[i].slot.b, sizeof out->slots[i].slot);
        memcpy(out->slots[i].value, e->slots[i].value.b, sizeof out->slots[i].value);
    }
}

ridge_status_t ridge_verify_state(const ridge_trust_t *trust, const uint8_t *evidence, size_t len,
                                  ridge_state_t *out) {
    rdg_state_evidence_t e;
    memset(out, 0, sizeof *out);
    RDG_TRY(rdg_evidence_verify_state(trust->trust, rdg_bytes(evidence, len), &e));
    if (!e.has_account) return rdg_fail(RDG_E_INVALID, "the evidence does not speak of the account itself");
    show_state(&e, out);
    return RDG_OK;
}
