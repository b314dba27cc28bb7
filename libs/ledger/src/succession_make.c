/* Acts of succession: requests out of a ledger, signatures, and a place beside the genesis. */
#include "succession.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/codec/json.h"
#include "ridge/codec/rlp.h"
#include "ridge/ledger/proof.h"
#include "word.h"

enum { ACT_VERSION = 1 };

/* --- a request ------------------------------------------------------------------------------------ */

static rdg_err_t fill_next(const governance_t *g, uint64_t height, const rdg_succession_member_t *members,
                           uint32_t count, rdg_epoch_t *next) {
    memset(next, 0, sizeof *next);
    if (g->latest.first_height > height)
        return rdg_fail(RDG_E_CONFLICT, "another change of the validators is pending at block %" PRIu64,
                        height);
    if (count == 0 || count > RDG_VALIDATORS_MAX)
        return rdg_fail(RDG_E_INVALID, "%" PRIu32 " validators, want 1 to %d", count, RDG_VALIDATORS_MAX);
    next->first_height = height + 1;
    next->validators.chain_id = g->latest.validators.chain_id;
    next->validators.epoch = g->latest.validators.epoch + 1;
    next->validators.count = count;
    next->view_timeout_ms = g->latest.view_timeout_ms;
    next->rotate_every = g->latest.rotate_every;
    for (uint32_t i = 0; i < count; ++i) {
        if (!rdg_name_valid(members[i].name))
            return rdg_fail(RDG_E_INVALID, "'%.80s' is no valid name", members[i].name);
        snprintf(next->names[i], sizeof next->names[i], "%s", members[i].name);
        next->validators.keys[i] = members[i].key;
        next->validators.weights[i] = members[i].weight ? members[i].weight : 1;
        for (uint32_t k = 0; k < i; ++k)
            if (strcmp(next->names[k], next->names[i]) == 0)
                return rdg_fail(RDG_E_INVALID, "validator '%s' stands there twice", next->names[i]);
    }
    RDG_TRY(rdg_validators_check(&next->validators));
    const char *why = succession_refusal(g, height, next);
    return why ? rdg_fail(RDG_E_INVALID, "%s", why) : RDG_OK;
}

static void put_hash(rdg_buf_t *out, const rdg_hash_t *h) {
    rdg_rlp_put_bytes(out, rdg_bytes(h->b, sizeof h->b));
}

static void put_act(const rdg_genesis_t *g, const rdg_ledger_head_t *head, const rdg_epoch_t *next,
                    rdg_buf_t *out) {
    size_t list = rdg_rlp_list_begin(out);
    rdg_rlp_put_u64(out, ACT_VERSION);
    rdg_rlp_put_u64(out, g->validators.chain_id);
    put_hash(out, &g->hash);
    rdg_rlp_put_u64(out, head->height);
    put_hash(out, &head->hash);
    put_hash(out, &head->executed);
    rdg_epoch_encode(next, out);
    rdg_rlp_list_end(out, list);
}

static rdg_err_t put_proofs(rdg_ledger_t *l, const rdg_ledger_head_t *head, size_t slots, rdg_buf_t *out) {
    rdg_buf_t proof;
    rdg_err_t err = RDG_OK;
    size_t list = rdg_rlp_list_begin(out);
    rdg_buf_init(&proof, RDG_PROOF_BYTES_MAX);
    for (size_t i = 0; err == RDG_OK && i < slots; ++i) {
        rdg_word_t slot = word_from_u64(i);
        uint64_t height = 0;
        rdg_buf_clear(&proof);
        err = rdg_ledger_prove(l, &RDG_GOVERNANCE_ADDRESS, &slot, &proof, &height);
        if (err == RDG_OK && height != head->height)
            err = rdg_fail(RDG_E_BUSY, "the ledger takes blocks: a chain that lives needs no succession");
        if (err == RDG_OK) rdg_rlp_put_bytes(out, rdg_buf_view(&proof));
    }
    rdg_buf_fini(&proof);
    return err == RDG_OK ? rdg_rlp_list_end(out, list) : err;
}

/* As it is in the state, without what an act beside this ledger's genesis changes for the next block. */
static rdg_err_t load_governance(rdg_ledger_t *l, governance_t *out, size_t *slots) {
    state_t state;
    view_t *v = view_get(l);
    state_init(&state, l->kv, v->snap, v->bank);
    state_begin_tx(&state);
    rdg_err_t err = governance_load(&state, l->genesis.validators.chain_id, out, slots);
    state_fini(&state);
    view_put(v);
    return err;
}

static rdg_err_t check_ready(rdg_ledger_t *l, const rdg_ledger_head_t *head) {
    if (head->height == 0)
        return rdg_fail(RDG_E_UNAVAILABLE, "the ledger holds no block: create the chain anew");
    if (head->checkpoint_height != head->height)
        return rdg_fail(RDG_E_UNAVAILABLE, "block %" PRIu64 " has no checkpoint certificate here",
                        head->height);
    if (rdg_genesis_succession_at(&l->genesis, head->height))
        return rdg_fail(RDG_E_CONFLICT,
                        "the validators behind block %" PRIu64 " have been replaced by an act already",
                        head->height);
    if (l->genesis.succession_count == RDG_SUCCESSIONS_MAX)
        return rdg_fail(RDG_E_FULL, "the chain's validators have been replaced %d times, which is the limit",
                        RDG_SUCCESSIONS_MAX);
    return RDG_OK;
}

rdg_err_t rdg_succession_request(rdg_ledger_t *l, const rdg_succession_member_t *members, uint32_t count,
                                 rdg_buf_t *out) {
    rdg_ledger_head_t head;
    rdg_executed_t executed;
    rdg_epoch_t *next = rdg_alloc(sizeof *next);
    governance_t *g = rdg_alloc(sizeof *g);
    size_t slots = 0;
    rdg_err_t err = next && g ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for a succession");
    rdg_ledger_head(l, &head);
    if (err == RDG_OK) err = check_ready(l, &head);
    if (err == RDG_OK) err = load_governance(l, g, &slots);
    if (err == RDG_OK) err = fill_next(g, head.height, members, count, next);
    if (err == RDG_OK) err = rdg_ledger_header(l, head.height, NULL, NULL, &executed);
    size_t list = rdg_rlp_list_begin(out);
    if (err == RDG_OK) {
        put_act(&l->genesis, &head, next, out);
        rdg_executed_encode(&executed, out);
        err = put_proofs(l, &head, slots, out);
    }
    if (err == RDG_OK) {
        rdg_rlp_list_end(out, rdg_rlp_list_begin(out));
        err = rdg_rlp_list_end(out, list);
    }
    rdg_free(next);
    rdg_free(g);
    return rdg_fail_in(err, "succession");
}

/* --- signatures ----------------------------------------------------------------------------------- */

static void put_signature(const uint8_t key[64], const uint8_t signature[64], rdg_buf_t *out) {
    size_t item = rdg_rlp_list_begin(out);
    rdg_rlp_put_bytes(out, rdg_bytes(key, 64));
    rdg_rlp_put_bytes(out, rdg_bytes(signature, 64));
    rdg_rlp_list_end(out, item);
}

static rdg_err_t put_signatures(rdg_bytes_t old, const rdg_sm2_public_t *key,
                                const rdg_sm2_signature_t *signature, rdg_buf_t *out) {
    rdg_rlp_t outer, c, item;
    bool put = false;
    rdg_rlp_init(&outer, old);
    rdg_rlp_list(&outer, &c);
    size_t list = rdg_rlp_list_begin(out);
    while (rdg_rlp_more(&c)) {
        uint8_t signer[64], its[64];
        rdg_rlp_list(&c, &item);
        rdg_rlp_fixed(&item, signer, sizeof signer);
        rdg_rlp_fixed(&item, its, sizeof its);
        RDG_TRY(rdg_rlp_done(&item));
        int order = memcmp(key->b, signer, sizeof signer);
        if (order == 0) return rdg_fail(RDG_E_DUPLICATE, "that administrator has signed already");
        if (order < 0 && !put) put_signature(key->b, signature->b, out), put = true;
        put_signature(signer, its, out);
    }
    RDG_TRY(rdg_rlp_done(&c));
    if (!put) put_signature(key->b, signature->b, out);
    return rdg_rlp_list_end(out, list);
}

rdg_err_t rdg_succession_add(rdg_bytes_t act, const rdg_sm2_public_t *key,
                             const rdg_sm2_signature_t *signature, rdg_buf_t *out) {
    act_parts_t p;
    RDG_TRY(rdg_fail_in(succession_decode(act, &p), "succession"));
    size_t list = rdg_rlp_list_begin(out);
    rdg_rlp_put_raw(out, p.act);
    rdg_rlp_put_raw(out, p.executed);
    rdg_rlp_put_raw(out, p.proofs);
    RDG_TRY(rdg_fail_in(put_signatures(p.signatures, key, signature, out), "succession"));
    return rdg_rlp_list_end(out, list);
}

rdg_err_t rdg_succession_sign(rdg_bytes_t act, const rdg_sm2_key_t *key, rdg_buf_t *out) {
    rdg_hash_t digest;
    rdg_sm2_public_t pub;
    rdg_sm2_signature_t signature;
    RDG_TRY(rdg_succession_digest(act, &digest));
    RDG_TRY(rdg_sm2_sign(key, digest.b, sizeof digest.b, &signature));
    rdg_sm2_key_public(key, &pub);
    return rdg_succession_add(act, &pub, &signature, out);
}

/* --- beside the genesis ---------------------------------------------------------------------------- */

static rdg_err_t append_act(json_t *root, rdg_bytes_t act) {
    json_t *list = json_object_get(root, "successions");
    if (!json_is_object(root)) return rdg_fail(RDG_E_INVALID, "genesis: want a JSON object");
    if (!list && json_object_set_new(root, "successions", list = json_array()) != 0) return RDG_E_NO_MEMORY;
    return json_array_append_new(list, rdg_json_hex(act.data, act.len)) == 0 ? RDG_OK : RDG_E_NO_MEMORY;
}

rdg_err_t rdg_genesis_extend(rdg_bytes_t genesis_json, rdg_bytes_t act, rdg_buf_t *out) {
    json_t *root = NULL;
    size_t start = out->len;
    rdg_genesis_t *g = rdg_alloc(sizeof *g);
    if (!g) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a genesis");
    rdg_err_t err = rdg_json_parse(genesis_json, &root);
    if (err == RDG_OK) err = append_act(root, act);
    if (err == RDG_OK) err = rdg_json_dump_pretty(root, out);
    if (err == RDG_OK) err = rdg_genesis_parse(rdg_bytes(out->data + start, out->len - start), g);
    json_decref(root);
    rdg_free(g);
    return err;
}
