/* Evidence verified against a trust. */
#include "ridge/ledger/evidence.h"
#include <inttypes.h>
#include <string.h>
#include "ridge/codec/rlp.h"
#include "state.h"
#include "trust.h"

static rdg_err_t check_header(rdg_bytes_t encoded, const rdg_executed_t *executed,
                              rdg_receipt_evidence_t *out) {
    RDG_TRY(rdg_header_decode(encoded, &out->header));
    RDG_TRY(rdg_header_hash(&out->header, &out->block_hash));
    if (!rdg_hash_equal(&out->block_hash, &executed->block_hash) || out->header.height != executed->height)
        return rdg_fail(RDG_E_INVALID, "evidence: its header is not of block %" PRIu64, executed->height);
    return RDG_OK;
}

/* The transaction's id and the receipt at one place of the two lists. */
static rdg_err_t check_places(const rdg_receipt_parts_t *p, const rdg_receipt_evidence_t *e) {
    rdg_hash_t ids, tx_root, receipts;
    uint32_t count = e->header.tx_count;
    rdg_bytes_t id = rdg_bytes(e->tx->id.b, sizeof e->tx->id.b);
    RDG_TRY(rdg_fail_in(rdg_list_proof_root(&p->in_ids, count, p->index, id, &ids), "transaction"));
    const rdg_bytes_t parts[2] = {rdg_bytes(ids.b, sizeof ids.b),
                                  rdg_bytes(p->signatures.b, sizeof p->signatures.b)};
    rdg_sm3_tagged(RDG_DOMAIN_TX_ROOT, parts, 2, &tx_root);
    if (!rdg_hash_equal(&tx_root, &e->header.tx_root))
        return rdg_fail(RDG_E_INVALID, "evidence: the transaction is not in the block");
    RDG_TRY(
        rdg_fail_in(rdg_list_proof_root(&p->in_receipts, count, p->index, p->receipt, &receipts), "receipt"));
    if (!rdg_hash_equal(&receipts, &e->executed.receipts_root))
        return rdg_fail(RDG_E_INVALID, "evidence: the receipt is not the transaction's");
    return RDG_OK;
}

static rdg_err_t verify_receipt(const rdg_trust_t *t, rdg_bytes_t evidence, rdg_arena_t *arena,
                                rdg_receipt_evidence_t *out) {
    rdg_receipt_parts_t p;
    RDG_TRY(rdg_evidence_decode_receipt(evidence, &p));
    RDG_TRY(trust_check(t, p.executed, p.checkpoint, &out->executed));
    RDG_TRY(check_header(p.header, &out->executed, out));
    out->index = p.index;
    RDG_TRY(rdg_tx_decode(p.transaction, &out->tx));
    RDG_TRY(check_places(&p, out));
    RDG_TRY(rdg_receipt_decode(p.receipt, arena, &out->receipt));
    return rdg_tx_verify(out->tx);
}

rdg_err_t rdg_evidence_verify_receipt(const rdg_trust_t *t, rdg_bytes_t evidence, rdg_arena_t *arena,
                                      rdg_receipt_evidence_t *out) {
    memset(out, 0, sizeof *out);
    rdg_err_t err = verify_receipt(t, evidence, arena, out);
    if (err != RDG_OK) {
        rdg_tx_unref(out->tx);
        out->tx = NULL;
    }
    return err;
}

/* --- state ------------------------------------------------------------------------------------------------------ */

static rdg_err_t read_account(rdg_bytes_t value, rdg_state_evidence_t *out) {
    account_values_t account;
    rdg_err_t err = account_decode(value, &account);
    if (err == RDG_E_CORRUPT)
        return rdg_fail(RDG_E_MALFORMED, "evidence: its account is not [nonce, balance, code hash, status]");
    out->nonce = account.nonce;
    out->balance = account.balance;
    out->code_hash = account.code_hash;
    out->life = account.life;
    return err;
}

static rdg_err_t verify_account(const rdg_state_parts_t *p, rdg_state_evidence_t *out) {
    rdg_hash_t path;
    rdg_bytes_t value;
    if (p->account_proof.len == 0) return RDG_OK;
    out->has_account = true;
    rdg_state_account_path(&p->address, &path);
    RDG_TRY(rdg_fail_in(
        rdg_proof_verify(p->account_proof, &out->executed.state_root, &path, &out->exists, &value),
        "account"));
    return out->exists ? read_account(value, out) : RDG_OK;
}

static rdg_err_t verify_slot(const rdg_state_parts_t *p, uint32_t i, rdg_state_evidence_t *out) {
    rdg_hash_t path;
    rdg_bytes_t value;
    bool present;
    rdg_word_t *word = &out->slots[i].value;
    out->slots[i].slot = p->slots[i].slot;
    rdg_state_slot_path(&p->address, &p->slots[i].slot, &path);
    RDG_TRY(
        rdg_fail_in(rdg_proof_verify(p->slots[i].proof, &out->executed.state_root, &path, &present, &value),
                    "slot %" PRIu32, i));
    if (!present) return RDG_OK;
    if (value.len > sizeof word->b)
        return rdg_fail(RDG_E_MALFORMED, "evidence: a slot of %zu bytes", value.len);
    memcpy(word->b + sizeof word->b - value.len, value.data, value.len);
    return RDG_OK;
}

rdg_err_t rdg_evidence_verify_state(const rdg_trust_t *t, rdg_bytes_t evidence, rdg_state_evidence_t *out) {
    rdg_state_parts_t p;
    memset(out, 0, sizeof *out);
    RDG_TRY(rdg_evidence_decode_state(evidence, &p));
    RDG_TRY(trust_check(t, p.executed, p.checkpoint, &out->executed));
    out->address = p.address;
    RDG_TRY(verify_account(&p, out));
    for (; out->slot_count < p.slot_count; out->slot_count++) RDG_TRY(verify_slot(&p, out->slot_count, out));
    return RDG_OK;
}
