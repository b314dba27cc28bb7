/* Evidence fetched from a node. Nothing here is believed: verification does that. */
#include <stdio.h>
#include <string.h>
#include "api_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include "ridge/codec/hex.h"

enum { ASK_AGAIN_MS = 50 };

static rdg_err_t get_bytes(const json_t *o, const char *field, size_t max, rdg_buf_t *out) {
    const char *hex = json_string_value(json_object_get(o, field));
    rdg_buf_init(out, max);
    if (!hex) return rdg_fail(RDG_E_PROTOCOL, "the node's answer has no \"%s\"", field);
    return rdg_fail_in(rdg_hex_decode_buf(hex, strlen(hex), out), "%s", field);
}

static rdg_err_t read_evidence(json_t *answer, const char *id, ridge_bytes_t *evidence) {
    rdg_buf_t bytes;
    if (json_is_null(answer)) return rdg_fail(RDG_E_NOT_FOUND, "transaction %s is in no block", id);
    rdg_err_t err = get_bytes(answer, "evidence", RDG_EVIDENCE_BYTES_MAX, &bytes);
    if (err == RDG_OK) err = api_bytes(&bytes, evidence);
    rdg_buf_fini(&bytes);
    return err;
}

ridge_status_t ridge_prove_receipt(ridge_node_t *node, const char *id, uint64_t timeout_ms,
                                   ridge_bytes_t *evidence) {
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + timeout_ms;
    rdg_hash_t hash;
    *evidence = (ridge_bytes_t){0};
    RDG_TRY(api_hash("transaction id", id, &hash));
    for (;;) {
        json_t *answer = NULL;
        rdg_err_t err = rdg_rpc_call(node->rpc, "ridge_getReceiptProof", json_pack("[s]", id), &answer);
        if (err == RDG_OK) err = read_evidence(answer, id, evidence);
        json_decref(answer);
        /* UNAVAILABLE: the validators have not signed its block yet. */
        if (err != RDG_E_UNAVAILABLE || rdg_mono_ms(rdg_clock_system()) >= end) return err;
        rpc_pause_ms(ASK_AGAIN_MS);
    }
}

/* --- state --------------------------------------------------------------------------------------------------------- */

typedef struct gathered {
    rdg_state_parts_t parts;
    rdg_buf_t executed, checkpoint, account, slots[RDG_EVIDENCE_SLOTS_MAX];
} gathered_t;

static void gathered_free(gathered_t *g) {
    if (!g) return;
    rdg_buf_fini(&g->executed), rdg_buf_fini(&g->checkpoint), rdg_buf_fini(&g->account);
    for (size_t i = 0; i < RDG_EVIDENCE_SLOTS_MAX; ++i) rdg_buf_fini(&g->slots[i]);
    rdg_free(g);
}

/* "accountProof": ["0x…"]: one proof of ours where Ethereum has a list of nodes. */
static rdg_err_t first_of(const json_t *list, rdg_buf_t *out) {
    const json_t *v = json_array_get(list, 0);
    rdg_buf_init(out, RDG_PROOF_BYTES_MAX);
    if (!json_is_string(v)) return rdg_fail(RDG_E_PROTOCOL, "the node's answer to eth_getProof has no proof");
    return rdg_hex_decode_buf(json_string_value(v), json_string_length(v), out);
}

static rdg_err_t read_proofs(const json_t *answer, const uint8_t *slots, gathered_t *g, uint64_t *height) {
    const json_t *list = json_object_get(answer, "storageProof");
    RDG_TRY(
        rdg_fail_in(rdg_json_quantity_parse(json_object_get(answer, "blockNumber"), height), "blockNumber"));
    RDG_TRY(first_of(json_object_get(answer, "accountProof"), &g->account));
    g->parts.account_proof = rdg_buf_view(&g->account);
    if (json_array_size(list) != g->parts.slot_count)
        return rdg_fail(RDG_E_PROTOCOL,
                        "the node's answer to eth_getProof has another number of slots than asked for");
    for (uint32_t i = 0; i < g->parts.slot_count; ++i) {
        RDG_TRY(first_of(json_object_get(json_array_get(list, i), "proof"), &g->slots[i]));
        memcpy(g->parts.slots[i].slot.b, slots + 32 * i, 32);
        g->parts.slots[i].proof = rdg_buf_view(&g->slots[i]);
    }
    return RDG_OK;
}

static rdg_err_t ask_proofs(ridge_node_t *node, const char *address, const uint8_t *slots, gathered_t *g,
                            uint64_t *height) {
    json_t *keys = json_array(), *answer = NULL;
    for (uint32_t i = 0; i < g->parts.slot_count; ++i)
        json_array_append_new(keys, rdg_json_hex(slots + 32 * i, 32));
    rdg_err_t err =
        rdg_rpc_call(node->rpc, "eth_getProof", json_pack("[s, o, s]", address, keys, "latest"), &answer);
    if (err == RDG_OK) err = read_proofs(answer, slots, g, height);
    json_decref(answer);
    return err;
}

/* The executed header of a height with its certificate. UNAVAILABLE while there is none. */
static rdg_err_t ask_seal(ridge_node_t *node, uint64_t height, gathered_t *g) {
    json_t *answer = NULL;
    RDG_TRY(rdg_rpc_call(node->rpc, "ridge_getSeal", json_pack("[o]", rdg_json_quantity(height)), &answer));
    rdg_err_t err = get_bytes(answer, "executed", 4096, &g->executed);
    if (err == RDG_OK && json_is_null(json_object_get(answer, "checkpoint")))
        err = rdg_fail(RDG_E_UNAVAILABLE, "the validators have not signed block %llu yet",
                       (unsigned long long)height);
    if (err == RDG_OK) err = get_bytes(answer, "checkpoint", 1u << 20, &g->checkpoint);
    json_decref(answer);
    g->parts.executed = rdg_buf_view(&g->executed);
    g->parts.checkpoint = rdg_buf_view(&g->checkpoint);
    return err;
}

static rdg_err_t gather(ridge_node_t *node, const char *address, const uint8_t *slots, uint64_t timeout_ms,
                        gathered_t *g) {
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + timeout_ms, height;
    RDG_TRY(ask_proofs(node, address, slots, g, &height));
    for (;;) {
        rdg_err_t err = ask_seal(node, height, g);
        if (err != RDG_E_UNAVAILABLE || rdg_mono_ms(rdg_clock_system()) >= end) return err;
        rdg_buf_fini(&g->executed);
        rpc_pause_ms(ASK_AGAIN_MS);
    }
}

ridge_status_t ridge_prove_state(ridge_node_t *node, const char *address, const uint8_t *slots,
                                 size_t slot_count, uint64_t timeout_ms, ridge_bytes_t *evidence) {
    rdg_address_t a;
    rdg_buf_t bytes;
    *evidence = (ridge_bytes_t){0};
    RDG_TRY(api_address("address", address, &a));
    if (slot_count > RDG_EVIDENCE_SLOTS_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "%zu slots: at most %d at a time", slot_count,
                        RDG_EVIDENCE_SLOTS_MAX);
    gathered_t *g = rdg_calloc(1, sizeof *g);
    if (!g) return rdg_fail(RDG_E_NO_MEMORY, "no memory for proofs");
    g->parts.address = a;
    g->parts.slot_count = (uint32_t)slot_count;
    rdg_buf_init(&bytes, RDG_EVIDENCE_BYTES_MAX);
    rdg_err_t err = gather(node, address, slots, timeout_ms, g);
    if (err == RDG_OK) err = rdg_evidence_encode_state(&g->parts, &bytes);
    if (err == RDG_OK) err = api_bytes(&bytes, evidence);
    rdg_buf_fini(&bytes);
    gathered_free(g);
    return err;
}

/* --- changes of the validators ------------------------------------------------------------------------------------- */

static rdg_err_t ask_epoch(ridge_node_t *node, uint64_t epoch, ridge_bytes_t *out) {
    json_t *answer = NULL;
    rdg_buf_t evidence;
    RDG_TRY(
        rdg_rpc_call(node->rpc, "ridge_getEpochProof", json_pack("[o]", rdg_json_quantity(epoch)), &answer));
    rdg_err_t err = get_bytes(answer, "evidence", RDG_EVIDENCE_BYTES_MAX, &evidence);
    if (err == RDG_OK) err = api_bytes(&evidence, out);
    rdg_buf_fini(&evidence);
    json_decref(answer);
    return err;
}

ridge_status_t ridge_prove_epoch(ridge_node_t *node, uint64_t epoch, uint64_t timeout_ms,
                                 ridge_bytes_t *evidence) {
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + timeout_ms;
    *evidence = (ridge_bytes_t){0};
    if (epoch == 0) return rdg_fail(RDG_E_INVALID, "the validators of epoch 0 are in the genesis");
    for (;;) {
        rdg_err_t err = ask_epoch(node, epoch, evidence);
        if (err != RDG_E_UNAVAILABLE || rdg_mono_ms(rdg_clock_system()) >= end) return err;
        rpc_pause_ms(ASK_AGAIN_MS);
    }
}

static rdg_err_t learn_next(ridge_trust_t *trust, ridge_node_t *node) {
    ridge_bytes_t evidence = {0};
    rdg_err_t err = ask_epoch(node, ridge_trust_epoch(trust) + 1, &evidence);
    if (err == RDG_OK) err = ridge_trust_learn(trust, evidence.data, evidence.len);
    ridge_free(evidence.data);
    return err;
}

ridge_status_t ridge_trust_update(ridge_trust_t *trust, ridge_node_t *node) {
    for (;;) {
        rdg_err_t err = learn_next(trust, node);
        if (err != RDG_OK) return err == RDG_E_NOT_FOUND ? RDG_OK : err;
    }
}
