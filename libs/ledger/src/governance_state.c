/* Governance in the storage of its address. */
#include <string.h>
#include "governance.h"
#include "ridge/base/alloc.h"
#include "ridge/crypto/hash.h"
#include "word.h"

enum { GAS_SET = 20000, GAS_RESET = 5000 }; /* a slot that was zero; another */

/* Solidity asks for code before it calls. It is never run: calls are answered before, and delegating to it fails. */
static const uint8_t STUB[] = {0xfe};

static rdg_err_t slot_at(state_t *s, uint64_t index, slot_t **out) {
    rdg_word_t key = word_from_u64(index);
    return state_slot(s, &RDG_GOVERNANCE_ADDRESS, &key, out);
}

static rdg_err_t set_slot(state_t *s, uint64_t index, const rdg_word_t *value, uint64_t *gas) {
    slot_t *slot;
    RDG_TRY(slot_at(s, index, &slot));
    if (memcmp(slot->value.b, value->b, sizeof value->b) == 0) return RDG_OK;
    *gas += word_is_zero(&slot->value) ? GAS_SET : GAS_RESET;
    return state_set_slot(s, slot, value);
}

static rdg_err_t store_bytes(state_t *s, rdg_bytes_t bytes, uint64_t *gas) {
    slot_t *length;
    RDG_TRY(slot_at(s, 0, &length));
    uint64_t before = rdg_load_be64(length->value.b + 24);
    for (uint64_t i = 0; i * 32 < bytes.len || i * 32 < before; ++i) {
        rdg_word_t chunk = {{0}};
        if (i * 32 < bytes.len) {
            size_t left = bytes.len - (size_t)i * 32;
            memcpy(chunk.b, bytes.data + i * 32, left < 32 ? left : 32);
        }
        RDG_TRY(set_slot(s, 1 + i, &chunk, gas));
    }
    rdg_word_t after = word_from_u64(bytes.len);
    return set_slot(s, 0, &after, gas);
}

rdg_err_t governance_store(state_t *s, const governance_t *g, uint64_t *gas) {
    rdg_buf_t bytes;
    rdg_buf_init(&bytes, GOVERNANCE_BYTES_MAX);
    *gas = 0;
    rdg_err_t err = governance_encode(g, &bytes);
    if (err == RDG_OK) err = store_bytes(s, rdg_buf_view(&bytes), gas);
    rdg_buf_fini(&bytes);
    return err;
}

static rdg_err_t load_bytes(state_t *s, rdg_buf_t *out) {
    slot_t *slot;
    RDG_TRY(slot_at(s, 0, &slot));
    uint64_t length = rdg_load_be64(slot->value.b + 24);
    if (length == 0 || length > GOVERNANCE_BYTES_MAX) return RDG_E_MALFORMED;
    for (uint64_t i = 0; i * 32 < length; ++i) {
        size_t left = (size_t)(length - i * 32);
        RDG_TRY(slot_at(s, 1 + i, &slot));
        RDG_TRY(rdg_buf_append(out, slot->value.b, left < 32 ? left : 32));
    }
    return RDG_OK;
}

rdg_err_t governance_load(state_t *s, uint64_t chain_id, governance_t *out, size_t *slots) {
    rdg_buf_t bytes;
    rdg_buf_init(&bytes, GOVERNANCE_BYTES_MAX);
    rdg_err_t err = load_bytes(s, &bytes);
    if (err == RDG_OK) err = governance_decode(rdg_buf_view(&bytes), chain_id, out);
    if (slots) *slots = bytes.len / 32 + 2;
    rdg_buf_fini(&bytes);
    if (err != RDG_E_MALFORMED) return err;
    return rdg_fail(RDG_E_CORRUPT,
                    "the governance of this chain cannot be read from its state: restore this node "
                    "from its peers");
}

rdg_err_t governance_create(state_t *s, const rdg_genesis_t *genesis) {
    account_t *account;
    uint64_t gas;
    governance_t *g = rdg_alloc(sizeof *g);
    if (!g) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the chain's governance");
    governance_from_genesis(genesis, g);
    rdg_err_t err = state_account(s, &RDG_GOVERNANCE_ADDRESS, &account);
    if (err == RDG_OK) {
        account->now.nonce = 1;
        account->now.code = rdg_bytes(STUB, sizeof STUB);
        account->now.code_loaded = account->now.code_new = true;
        rdg_keccak256(STUB, sizeof STUB, account->now.code_hash.b);
        err = governance_store(s, g, &gas);
    }
    rdg_free(g);
    return err;
}
