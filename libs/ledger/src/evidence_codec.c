/* Evidence as bytes. Reading checks the shape only. */
#include <string.h>
#include "ridge/codec/rlp.h"
#include "ridge/ledger/evidence.h"

enum { KIND_RECEIPT = 1, KIND_STATE = 2, KIND_EPOCH = 3 };

static void put_siblings(const rdg_list_proof_t *p, rdg_buf_t *out) {
    size_t list = rdg_rlp_list_begin(out);
    for (uint32_t i = 0; i < p->count; ++i)
        rdg_rlp_put_bytes(out, rdg_bytes(p->siblings[i].b, sizeof p->siblings[i].b));
    rdg_rlp_list_end(out, list);
}

rdg_err_t rdg_evidence_encode_receipt(const rdg_receipt_parts_t *parts, rdg_buf_t *out) {
    size_t list = rdg_rlp_list_begin(out);
    rdg_rlp_put_u64(out, KIND_RECEIPT);
    rdg_rlp_put_bytes(out, parts->header);
    rdg_rlp_put_bytes(out, parts->executed);
    rdg_rlp_put_bytes(out, parts->checkpoint);
    rdg_rlp_put_u64(out, parts->index);
    rdg_rlp_put_bytes(out, parts->transaction);
    put_siblings(&parts->in_ids, out);
    rdg_rlp_put_bytes(out, rdg_bytes(parts->signatures.b, sizeof parts->signatures.b));
    rdg_rlp_put_bytes(out, parts->receipt);
    put_siblings(&parts->in_receipts, out);
    return rdg_rlp_list_end(out, list);
}

static rdg_err_t check_size(rdg_bytes_t evidence) {
    if (evidence.len <= RDG_EVIDENCE_BYTES_MAX) return RDG_OK;
    return rdg_fail(RDG_E_TOO_LARGE, "evidence of %zu bytes: the limit is %u", evidence.len,
                    RDG_EVIDENCE_BYTES_MAX);
}

static rdg_err_t get_siblings(rdg_rlp_t *c, rdg_list_proof_t *out) {
    rdg_rlp_t list;
    out->count = 0;
    RDG_TRY(rdg_rlp_list(c, &list));
    while (rdg_rlp_more(&list)) {
        if (out->count == RDG_LIST_PROOF_MAX) return RDG_E_MALFORMED;
        rdg_rlp_fixed(&list, out->siblings[out->count].b, sizeof out->siblings[0].b);
        out->count++;
    }
    return rdg_rlp_done(&list);
}

static rdg_err_t get_receipt(rdg_rlp_t *c, rdg_receipt_parts_t *out) {
    if (rdg_rlp_u64(c) != KIND_RECEIPT) return RDG_E_MALFORMED;
    out->header = rdg_rlp_bytes(c);
    out->executed = rdg_rlp_bytes(c);
    out->checkpoint = rdg_rlp_bytes(c);
    uint64_t index = rdg_rlp_u64(c);
    if (index >= RDG_BLOCK_TXS_MAX) return RDG_E_MALFORMED;
    out->index = (uint32_t)index;
    out->transaction = rdg_rlp_bytes_max(c, RDG_TX_BYTES_MAX);
    RDG_TRY(get_siblings(c, &out->in_ids));
    rdg_rlp_fixed(c, out->signatures.b, sizeof out->signatures.b);
    out->receipt = rdg_rlp_bytes_max(c, RDG_RECEIPT_BYTES_MAX);
    RDG_TRY(get_siblings(c, &out->in_receipts));
    return rdg_rlp_done(c);
}

rdg_err_t rdg_evidence_decode_receipt(rdg_bytes_t evidence, rdg_receipt_parts_t *out) {
    rdg_rlp_t outer, c;
    memset(out, 0, sizeof *out);
    RDG_TRY(check_size(evidence));
    rdg_rlp_init(&outer, evidence);
    if (rdg_rlp_list(&outer, &c) != RDG_OK || get_receipt(&c, out) != RDG_OK ||
        rdg_rlp_done(&outer) != RDG_OK)
        return rdg_fail(RDG_E_MALFORMED, "receipt evidence is not the RLP list of its ten fields");
    return RDG_OK;
}

rdg_err_t rdg_evidence_encode_state(const rdg_state_parts_t *parts, rdg_buf_t *out) {
    size_t list = rdg_rlp_list_begin(out);
    rdg_rlp_put_u64(out, KIND_STATE);
    rdg_rlp_put_bytes(out, parts->executed);
    rdg_rlp_put_bytes(out, parts->checkpoint);
    rdg_rlp_put_bytes(out, rdg_bytes(parts->address.b, sizeof parts->address.b));
    rdg_rlp_put_bytes(out, parts->account_proof);
    size_t slots = rdg_rlp_list_begin(out);
    for (uint32_t i = 0; i < parts->slot_count; ++i) {
        size_t item = rdg_rlp_list_begin(out);
        rdg_rlp_put_bytes(out, rdg_bytes(parts->slots[i].slot.b, sizeof parts->slots[i].slot.b));
        rdg_rlp_put_bytes(out, parts->slots[i].proof);
        rdg_rlp_list_end(out, item);
    }
    rdg_rlp_list_end(out, slots);
    return rdg_rlp_list_end(out, list);
}

static rdg_err_t get_slots(rdg_rlp_t *c, rdg_state_parts_t *out) {
    rdg_rlp_t list, item;
    RDG_TRY(rdg_rlp_list(c, &list));
    while (rdg_rlp_more(&list)) {
        if (out->slot_count == RDG_EVIDENCE_SLOTS_MAX) return RDG_E_MALFORMED;
        rdg_slot_proof_t *s = &out->slots[out->slot_count++];
        RDG_TRY(rdg_rlp_list(&list, &item));
        rdg_rlp_fixed(&item, s->slot.b, sizeof s->slot.b);
        s->proof = rdg_rlp_bytes_max(&item, RDG_PROOF_BYTES_MAX);
        RDG_TRY(rdg_rlp_done(&item));
    }
    return rdg_rlp_done(&list);
}

static rdg_err_t get_state(rdg_rlp_t *c, rdg_state_parts_t *out) {
    if (rdg_rlp_u64(c) != KIND_STATE) return RDG_E_MALFORMED;
    out->executed = rdg_rlp_bytes(c);
    out->checkpoint = rdg_rlp_bytes(c);
    rdg_rlp_fixed(c, out->address.b, sizeof out->address.b);
    out->account_proof = rdg_rlp_bytes_max(c, RDG_PROOF_BYTES_MAX);
    RDG_TRY(get_slots(c, out));
    return rdg_rlp_done(c);
}

rdg_err_t rdg_evidence_decode_state(rdg_bytes_t evidence, rdg_state_parts_t *out) {
    rdg_rlp_t outer, c;
    memset(out, 0, sizeof *out);
    RDG_TRY(check_size(evidence));
    rdg_rlp_init(&outer, evidence);
    if (rdg_rlp_list(&outer, &c) != RDG_OK || get_state(&c, out) != RDG_OK || rdg_rlp_done(&outer) != RDG_OK)
        return rdg_fail(RDG_E_MALFORMED, "state evidence is not the RLP list of its six fields");
    return RDG_OK;
}

rdg_err_t rdg_evidence_encode_epoch(const rdg_epoch_parts_t *parts, rdg_buf_t *out) {
    size_t list = rdg_rlp_list_begin(out);
    rdg_rlp_put_u64(out, KIND_EPOCH);
    rdg_rlp_put_bytes(out, parts->executed);
    rdg_rlp_put_bytes(out, parts->checkpoint);
    rdg_rlp_put_bytes(out, parts->epoch);
    return rdg_rlp_list_end(out, list);
}

rdg_err_t rdg_evidence_decode_epoch(rdg_bytes_t evidence, rdg_epoch_parts_t *out) {
    rdg_rlp_t outer, c;
    memset(out, 0, sizeof *out);
    RDG_TRY(check_size(evidence));
    rdg_rlp_init(&outer, evidence);
    rdg_rlp_list(&outer, &c);
    uint64_t kind = rdg_rlp_u64(&c);
    out->executed = rdg_rlp_bytes(&c);
    out->checkpoint = rdg_rlp_bytes(&c);
    out->epoch = rdg_rlp_bytes(&c);
    if (rdg_rlp_done(&c) != RDG_OK || rdg_rlp_done(&outer) != RDG_OK || kind != KIND_EPOCH)
        return rdg_fail(RDG_E_MALFORMED, "epoch evidence is not the RLP list of its four fields");
    return RDG_OK;
}
