/* Proofs of entries: one piece of state evidence, and the changes of the main chain's validators up to it. */
#include <inttypes.h>
#include <string.h>
#include "api_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/client/anchors.h"
#include "ridge/codec/hex.h"
#include "ridge/codec/rlp.h"
#include "ridge/crypto/hash.h"

enum { VERSION = 1, CHAIN_WORDS = 4, SLOTS = 1 + CHAIN_WORDS, WAIT_MS = 5000 };
enum { SLOT_CHAINS = 0, SLOT_DIGESTS = 1 };

/* --- where things lie ---------------------------------------------------------------------------------------------- */

static void map_slot(uint64_t key, const uint8_t base[32], uint8_t out[32]) {
    uint8_t text[64] = {0};
    rdg_store_be64(text + 24, key);
    memcpy(text + 32, base, 32);
    rdg_keccak256(text, sizeof text, out);
}

/* The entry's slot, then those of the chain. */
static void find_slots(uint64_t chain, uint64_t index, uint8_t out[SLOTS][32]) {
    uint8_t base[32] = {0}, of_chain[32];
    base[31] = SLOT_DIGESTS;
    map_slot(chain, base, of_chain);
    map_slot(index, of_chain, out[0]);
    base[31] = SLOT_CHAINS;
    map_slot(chain, base, out[1]);
    for (int i = 1; i < CHAIN_WORDS; ++i) {
        memcpy(out[1 + i], out[i], 32);
        for (int at = 31; at >= 0 && ++out[1 + i][at] == 0; --at) {
        }
    }
}

/* --- making one ---------------------------------------------------------------------------------------------------- */

static rdg_err_t put_epochs(const rdg_rpc_t *rpc, rdg_buf_t *out) {
    size_t list = rdg_rlp_list_begin(out);
    for (uint64_t number = 1; number <= RDG_ANCHOR_EPOCHS_MAX; ++number) {
        json_t *answer = NULL;
        rdg_buf_t evidence;
        rdg_err_t err =
            rdg_rpc_call(rpc, "ridge_getEpochProof", json_pack("[o]", rdg_json_quantity(number)), &answer);
        const char *hex = json_string_value(json_object_get(answer, "evidence"));
        /* UNSUPPORTED: a node that does not know the question; then the proof is good for its first validators. */
        if (err == RDG_E_NOT_FOUND || err == RDG_E_UNSUPPORTED || (err == RDG_OK && !hex)) {
            json_decref(answer);
            break;
        }
        rdg_buf_init(&evidence, RDG_ANCHOR_PROOF_MAX);
        if (err == RDG_OK) err = rdg_hex_decode_buf(hex, strlen(hex), &evidence);
        if (err == RDG_OK) err = rdg_rlp_put_bytes(out, rdg_buf_view(&evidence));
        rdg_buf_fini(&evidence);
        json_decref(answer);
        if (err != RDG_OK) return err;
    }
    return rdg_rlp_list_end(out, list);
}

static rdg_err_t put_entry(const rdg_anchor_entry_t *e, rdg_buf_t *out) {
    rdg_rlp_put_u64(out, VERSION);
    rdg_rlp_put_u64(out, e->chain);
    rdg_rlp_put_u64(out, e->index);
    rdg_rlp_put_u64(out, e->kind);
    rdg_rlp_put_u64(out, e->block);
    rdg_rlp_put_u64(out, e->time_s);
    rdg_rlp_put_bytes(out, rdg_bytes(e->previous, sizeof e->previous));
    return rdg_rlp_put_bytes(out, e->data);
}

rdg_err_t rdg_anchor_proof_fetch(const rdg_rpc_t *rpc, const rdg_address_t *registry,
                                 const rdg_anchor_entry_t *e, rdg_buf_t *out) {
    ridge_node_t node = {.rpc = (rdg_rpc_t *)(uintptr_t)rpc};
    ridge_bytes_t evidence = {0};
    uint8_t slots[SLOTS][32];
    char address[RIDGE_ADDRESS_TEXT];
    api_hex(registry->b, sizeof registry->b, address);
    find_slots(e->chain, e->index, slots);
    RDG_TRY(ridge_prove_state(&node, address, slots[0], SLOTS, WAIT_MS, &evidence));
    size_t list = rdg_rlp_list_begin(out);
    rdg_err_t err = put_entry(e, out);
    if (err == RDG_OK) err = rdg_rlp_put_bytes(out, rdg_bytes(evidence.data, evidence.len));
    if (err == RDG_OK) err = put_epochs(rpc, out);
    if (err == RDG_OK) err = rdg_rlp_list_end(out, list);
    rdg_free(evidence.data);
    return err;
}

/* --- checking one -------------------------------------------------------------------------------------------------- */

typedef struct parts {
    rdg_anchor_entry_t entry;
    rdg_bytes_t evidence;
    rdg_rlp_t epochs;
} parts_t;

static rdg_err_t read_parts(rdg_bytes_t proof, parts_t *p) {
    rdg_rlp_t outer, c;
    if (proof.len > RDG_ANCHOR_PROOF_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "a proof of %zu bytes, at most %u", proof.len, RDG_ANCHOR_PROOF_MAX);
    rdg_rlp_init(&outer, proof);
    (void)rdg_rlp_list(&outer, &c);
    uint64_t version = rdg_rlp_u64(&c);
    if (c.err == RDG_OK && outer.err == RDG_OK && version != VERSION)
        return rdg_fail(RDG_E_UNSUPPORTED,
                        "the proof is of version %" PRIu64 ", this program knows 1: upgrade it", version);
    p->entry.chain = rdg_rlp_u64(&c);
    p->entry.index = rdg_rlp_u64(&c);
    uint64_t kind = rdg_rlp_u64(&c);
    p->entry.block = rdg_rlp_u64(&c);
    p->entry.time_s = rdg_rlp_u64(&c);
    rdg_rlp_fixed(&c, p->entry.previous, sizeof p->entry.previous);
    p->entry.data = rdg_rlp_bytes_max(&c, RDG_ANCHOR_DATA_MAX);
    p->evidence = rdg_rlp_bytes(&c);
    (void)rdg_rlp_list(&c, &p->epochs);
    if (rdg_rlp_done(&c) != RDG_OK || rdg_rlp_done(&outer) != RDG_OK)
        return rdg_fail(RDG_E_MALFORMED, "this is no proof of an entry: its encoding is broken");
    if (kind > 255 || !rdg_anchor_kind_name((unsigned)kind))
        return rdg_fail(RDG_E_MALFORMED, "the registry has no entries of kind %" PRIu64, kind);
    p->entry.kind = (rdg_anchor_kind_t)kind;
    return RDG_OK;
}

static rdg_err_t learn(rdg_trust_t *trust, rdg_rlp_t *epochs) {
    for (unsigned i = 0; rdg_rlp_more(epochs); ++i) {
        if (i == RDG_ANCHOR_EPOCHS_MAX)
            return rdg_fail(RDG_E_TOO_LARGE, "a proof with more than %d validator sets",
                            RDG_ANCHOR_EPOCHS_MAX);
        RDG_TRY(rdg_trust_advance(trust, rdg_rlp_bytes(epochs)));
    }
    return rdg_rlp_done(epochs) == RDG_OK ? RDG_OK
                                          : rdg_fail(RDG_E_MALFORMED, "a proof's validator sets are broken");
}

static void read_chain(const rdg_state_evidence_t *s, rdg_anchor_chain_t *c) {
    const uint8_t *numbers = s->slots[1].value.b, *more = s->slots[2].value.b;
    /* Solidity packs from the low end. */
    c->entries = rdg_load_be64(numbers + 24);
    c->archived_to = rdg_load_be64(numbers + 16);
    c->mark_ms = rdg_load_be64(numbers + 8);
    c->checkpoint = rdg_load_be64(numbers);
    c->epoch = rdg_load_be64(more + 24);
    c->destroyed = more[23] != 0;
    memcpy(c->genesis, s->slots[3].value.b, sizeof c->genesis);
    memcpy(c->head, s->slots[4].value.b, sizeof c->head);
}

static rdg_err_t check_state(const rdg_genesis_t *main_chain, const parts_t *p,
                             const rdg_state_evidence_t *s) {
    rdg_address_t registry;
    uint8_t code[32], digest[32], slots[SLOTS][32];
    RDG_TRY(rdg_anchor_address(main_chain, &registry));
    if (!rdg_address_equal(&registry, &s->address))
        return rdg_fail(RDG_E_INVALID, "the proof speaks of another contract than the main chain's registry");
    rdg_anchor_code_hash(code);
    if (!s->has_account || !s->exists || memcmp(s->code_hash.b, code, sizeof code) != 0)
        return rdg_fail(RDG_E_INVALID,
                        "at the registry's address is not the code of the registry that this program knows");
    find_slots(p->entry.chain, p->entry.index, slots);
    bool same = s->slot_count == SLOTS;
    for (uint32_t i = 0; same && i < SLOTS; ++i) same = memcmp(s->slots[i].slot.b, slots[i], 32) == 0;
    if (!same) return rdg_fail(RDG_E_INVALID, "the proof does not show the slots of its entry");
    rdg_anchor_digest(&p->entry, digest);
    if (memcmp(s->slots[0].value.b, digest, sizeof digest) != 0)
        return rdg_fail(RDG_E_INVALID,
                        "entry %" PRIu64 " of chain %" PRIu64 " is not what the main chain has",
                        p->entry.index, p->entry.chain);
    return RDG_OK;
}

rdg_err_t rdg_anchor_proof_verify(const rdg_genesis_t *main_chain, rdg_bytes_t proof,
                                  rdg_anchor_proof_t *out) {
    parts_t p;
    rdg_trust_t *trust = NULL;
    rdg_state_evidence_t *state = rdg_calloc(1, sizeof *state);
    memset(out, 0, sizeof *out);
    memset(&p, 0, sizeof p);
    if (!state) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a proof");
    rdg_err_t err = read_parts(proof, &p);
    if (err == RDG_OK) err = rdg_trust_new(main_chain, &trust);
    if (err == RDG_OK) err = learn(trust, &p.epochs);
    if (err == RDG_OK) err = rdg_evidence_verify_state(trust, p.evidence, state);
    if (err == RDG_OK) err = check_state(main_chain, &p, state);
    if (err == RDG_OK) {
        out->entry = p.entry;
        out->height = state->executed.height;
        out->epoch = rdg_trust_latest(trust)->validators.epoch;
        read_chain(state, &out->chain);
    }
    rdg_trust_free(trust);
    rdg_free(state);
    return err;
}
