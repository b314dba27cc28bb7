/* Acts of succession: reading and judging them. */
#include "succession.h"
#include <inttypes.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/codec/rlp.h"
#include "ridge/ledger/proof.h"
#include "word.h"

enum { ACT_VERSION = 1, EPOCH_BYTES_MAX = 16 << 10 };

const char SUCCESSION_HINT[] =
    "if the administrators have replaced validators who were lost, take the chain's "
    "extended genesis, and prove the change by the main chain";

const rdg_succession_t *rdg_genesis_succession_at(const rdg_genesis_t *g, uint64_t height) {
    for (uint32_t i = 0; i < g->succession_count; ++i)
        if (g->successions[i].height == height) return &g->successions[i];
    return NULL;
}

const rdg_succession_t *rdg_genesis_succession_of(const rdg_genesis_t *g, uint64_t epoch) {
    for (uint32_t i = 0; i < g->succession_count; ++i)
        if (g->successions[i].epoch.validators.epoch == epoch) return &g->successions[i];
    return NULL;
}

/* --- shape --------------------------------------------------------------------------------------- */

static rdg_err_t decode_act(rdg_bytes_t act, act_parts_t *out) {
    rdg_rlp_t outer, c;
    rdg_rlp_init(&outer, act);
    rdg_rlp_list(&outer, &c);
    uint64_t version = rdg_rlp_u64(&c);
    out->chain_id = rdg_rlp_u64(&c);
    rdg_rlp_fixed(&c, out->genesis.b, sizeof out->genesis.b);
    out->height = rdg_rlp_u64(&c);
    rdg_rlp_fixed(&c, out->block.b, sizeof out->block.b);
    rdg_rlp_fixed(&c, out->executed_digest.b, sizeof out->executed_digest.b);
    out->epoch = rdg_rlp_raw(&c);
    if (rdg_rlp_done(&c) == RDG_OK && rdg_rlp_done(&outer) == RDG_OK && version == ACT_VERSION &&
        out->height > 0 && out->height < UINT64_MAX && out->epoch.len <= EPOCH_BYTES_MAX)
        return RDG_OK;
    return rdg_fail(RDG_E_MALFORMED, "not the RLP list of a version %d act", ACT_VERSION);
}

rdg_err_t succession_decode(rdg_bytes_t act, act_parts_t *out) {
    rdg_rlp_t outer, c;
    memset(out, 0, sizeof *out);
    if (act.len > RDG_SUCCESSION_BYTES_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "%zu bytes: the limit is %u", act.len, RDG_SUCCESSION_BYTES_MAX);
    rdg_rlp_init(&outer, act);
    rdg_rlp_list(&outer, &c);
    out->act = rdg_rlp_raw(&c);
    out->executed = rdg_rlp_raw(&c);
    out->proofs = rdg_rlp_raw(&c);
    out->signatures = rdg_rlp_raw(&c);
    if (rdg_rlp_done(&c) != RDG_OK || rdg_rlp_done(&outer) != RDG_OK)
        return rdg_fail(RDG_E_MALFORMED, "not the RLP list of act, executed header, proofs and signatures");
    return decode_act(out->act, out);
}

rdg_err_t rdg_succession_digest(rdg_bytes_t act, rdg_hash_t *out) {
    act_parts_t p;
    RDG_TRY(rdg_fail_in(succession_decode(act, &p), "succession"));
    rdg_sm3_tagged(RDG_DOMAIN_SUCCESSION, &p.act, 1, out);
    return RDG_OK;
}

/* --- the governance behind the last block ---------------------------------------------------------- */

static rdg_err_t next_word(rdg_rlp_t *proofs, const rdg_hash_t *root, uint64_t index, rdg_word_t *out) {
    rdg_hash_t path;
    rdg_bytes_t value;
    bool present;
    rdg_word_t slot = word_from_u64(index);
    rdg_bytes_t proof = rdg_rlp_bytes_max(proofs, RDG_PROOF_BYTES_MAX);
    memset(out, 0, sizeof *out);
    rdg_state_slot_path(&RDG_GOVERNANCE_ADDRESS, &slot, &path);
    RDG_TRY(rdg_fail_in(rdg_proof_verify(proof, root, &path, &present, &value), "governance, slot %" PRIu64,
                        index));
    if (!present) return RDG_OK;
    if (value.len > sizeof out->b)
        return rdg_fail(RDG_E_MALFORMED, "governance: a slot of %zu bytes", value.len);
    memcpy(out->b + sizeof out->b - value.len, value.data, value.len);
    return RDG_OK;
}

static rdg_err_t read_words(rdg_bytes_t proofs, const rdg_hash_t *root, rdg_buf_t *out) {
    rdg_rlp_t outer, c;
    rdg_word_t word;
    rdg_rlp_init(&outer, proofs);
    rdg_rlp_list(&outer, &c);
    RDG_TRY(next_word(&c, root, 0, &word));
    uint64_t length = rdg_load_be64(word.b + 24);
    if (length == 0 || length > GOVERNANCE_BYTES_MAX)
        return rdg_fail(RDG_E_INVALID, "governance: it proves none");
    for (uint64_t i = 0; i * 32 < length; ++i) {
        uint64_t left = length - i * 32;
        RDG_TRY(next_word(&c, root, 1 + i, &word));
        RDG_TRY(rdg_buf_append(out, word.b, left < 32 ? (size_t)left : 32));
    }
    if (rdg_rlp_done(&c) == RDG_OK && rdg_rlp_done(&outer) == RDG_OK) return RDG_OK;
    return rdg_fail(RDG_E_MALFORMED, "governance: it has proofs of more slots than there are");
}

static rdg_err_t read_governance(const act_parts_t *p, const rdg_executed_t *x, governance_t *out) {
    rdg_buf_t bytes;
    rdg_buf_init(&bytes, GOVERNANCE_BYTES_MAX);
    rdg_err_t err = read_words(p->proofs, &x->state_root, &bytes);
    if (err == RDG_OK) err = governance_decode(rdg_buf_view(&bytes), p->chain_id, out);
    rdg_buf_fini(&bytes);
    return err;
}

/* --- what it says -------------------------------------------------------------------------------- */

static const char *refuse_member(const governance_t *g, const rdg_epoch_t *next, uint32_t i) {
    rdg_sm2_public_t key;
    const rdg_sm2_public_t *given = &next->validators.keys[i];
    if (rdg_sm2_public_decode(rdg_bytes(given->b, sizeof given->b), &key) != RDG_OK)
        return "one of its keys is no public key";
    for (uint32_t k = 0; k < g->observer_count; ++k)
        if (memcmp(g->observers[k].key.b, given->b, sizeof given->b) == 0 ||
            strcmp(g->observers[k].name, next->names[i]) == 0)
            return "one of its validators has the key or the name of an observer";
    return NULL;
}

const char *succession_refusal(const governance_t *g, uint64_t height, const rdg_epoch_t *next) {
    if (next->validators.epoch != g->latest.validators.epoch + 1 || next->first_height != height + 1)
        return "its epoch is not the one that follows";
    if (next->view_timeout_ms != g->latest.view_timeout_ms || next->rotate_every != g->latest.rotate_every)
        return "its epoch changes more than the validators";
    for (uint32_t i = 0; i < next->validators.count; ++i) {
        const char *why = refuse_member(g, next, i);
        if (why) return why;
    }
    return NULL;
}

static rdg_err_t check_next(const act_parts_t *p, const rdg_executed_t *x, const governance_t *g,
                            rdg_succession_t *s) {
    RDG_TRY(rdg_epoch_digest(&g->latest, &s->former_digest));
    if (!rdg_hash_equal(&s->former_digest, &x->epoch_digest))
        return rdg_fail(RDG_E_INVALID, "block %" PRIu64 " names other validators than its governance",
                        p->height);
    if (g->latest.first_height > p->height)
        return rdg_fail(RDG_E_CONFLICT,
                        "another change of the validators is pending at block %" PRIu64
                        ": take a block before it was decided, or after it began",
                        p->height);
    RDG_TRY(rdg_epoch_decode(p->epoch, p->chain_id, &s->epoch));
    const char *why = succession_refusal(g, p->height, &s->epoch);
    if (why) return rdg_fail(RDG_E_INVALID, "%s", why);
    return rdg_epoch_digest(&s->epoch, &s->epoch_digest);
}

/* --- who says it --------------------------------------------------------------------------------- */

static rdg_err_t check_signer(const governance_t *g, const rdg_hash_t *digest, rdg_rlp_t *list,
                              rdg_sm2_public_t *before, rdg_succession_report_t *r) {
    rdg_rlp_t item;
    rdg_sm2_public_t key;
    rdg_sm2_signature_t signature;
    rdg_rlp_list(list, &item);
    rdg_rlp_fixed(&item, key.b, sizeof key.b);
    rdg_rlp_fixed(&item, signature.b, sizeof signature.b);
    if (rdg_rlp_done(&item) != RDG_OK || r->signer_count == RDG_GENESIS_ADMINS_MAX)
        return rdg_fail(RDG_E_MALFORMED, "its signatures are not at most %d pairs of key and signature",
                        RDG_GENESIS_ADMINS_MAX);
    if (r->signer_count > 0 && memcmp(before->b, key.b, sizeof key.b) >= 0)
        return rdg_fail(RDG_E_MALFORMED, "its signers do not ascend, or one signs twice");
    rdg_address_t *address = &r->signers[r->signer_count];
    rdg_sm2_address(&key, address);
    if (!governance_is_admin(g, address))
        return rdg_fail(RDG_E_FORBIDDEN, "signer %" PRIu32 " is no administrator of the chain",
                        r->signer_count);
    if (rdg_sm2_verify(&key, digest->b, sizeof digest->b, &signature) != RDG_OK)
        return rdg_fail(RDG_E_BAD_SIGNATURE, "signature %" PRIu32 " does not verify", r->signer_count);
    r->signer_count++;
    *before = key;
    return RDG_OK;
}

static rdg_err_t check_signers(const act_parts_t *p, const governance_t *g, rdg_succession_report_t *r) {
    rdg_rlp_t outer, list;
    rdg_sm2_public_t before;
    rdg_sm3_tagged(RDG_DOMAIN_SUCCESSION, &p->act, 1, &r->succession.act);
    rdg_rlp_init(&outer, p->signatures);
    rdg_rlp_list(&outer, &list);
    while (rdg_rlp_more(&list)) RDG_TRY(check_signer(g, &r->succession.act, &list, &before, r));
    if (rdg_rlp_done(&list) == RDG_OK && rdg_rlp_done(&outer) == RDG_OK) return RDG_OK;
    return rdg_fail(RDG_E_MALFORMED, "its signatures are no list");
}

/* --- the whole ----------------------------------------------------------------------------------- */

static rdg_err_t check_place(const act_parts_t *p, const rdg_genesis_t *genesis, rdg_executed_t *x) {
    rdg_hash_t digest;
    if (genesis &&
        (p->chain_id != genesis->validators.chain_id || !rdg_hash_equal(&p->genesis, &genesis->hash)))
        return rdg_fail(RDG_E_WRONG_CHAIN, "it is of chain %" PRIu64 " and not of chain %" PRIu64 " ('%s')",
                        p->chain_id, genesis->validators.chain_id, genesis->name);
    RDG_TRY(rdg_executed_decode(p->executed, x));
    RDG_TRY(rdg_executed_hash(x, &digest));
    if (x->chain_id == p->chain_id && x->height == p->height && rdg_hash_equal(&x->block_hash, &p->block) &&
        rdg_hash_equal(&digest, &p->executed_digest))
        return RDG_OK;
    return rdg_fail(RDG_E_INVALID, "the executed header beside it is not of the block that it names");
}

static rdg_err_t check(rdg_bytes_t act, const rdg_genesis_t *genesis, governance_t *g,
                       rdg_succession_report_t *out) {
    act_parts_t p;
    rdg_executed_t x;
    rdg_succession_t *s = &out->succession;
    RDG_TRY(succession_decode(act, &p));
    RDG_TRY(check_place(&p, genesis, &x));
    out->chain_id = p.chain_id;
    out->genesis = p.genesis;
    s->height = p.height;
    s->block = p.block;
    s->executed = p.executed_digest;
    RDG_TRY(read_governance(&p, &x, g));
    RDG_TRY(check_next(&p, &x, g, s));
    out->threshold = g->threshold;
    out->admin_count = g->admin_count;
    memcpy(out->admins, g->admins, sizeof out->admins);
    return check_signers(&p, g, out);
}

rdg_err_t rdg_succession_check(rdg_bytes_t act, const rdg_genesis_t *genesis, rdg_succession_report_t *out) {
    memset(out, 0, sizeof *out);
    governance_t *g = rdg_alloc(sizeof *g);
    if (!g) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the chain's governance");
    rdg_err_t err = check(act, genesis, g, out);
    rdg_free(g);
    return rdg_fail_in(err, "succession");
}

rdg_err_t rdg_succession_verify(rdg_bytes_t act, const rdg_genesis_t *genesis, rdg_succession_t *out) {
    rdg_succession_report_t *r = rdg_alloc(sizeof *r);
    if (!r) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a succession");
    rdg_err_t err = rdg_succession_check(act, genesis, r);
    if (err == RDG_OK && r->signer_count < r->threshold)
        err = rdg_fail(RDG_E_FORBIDDEN,
                       "succession: %" PRIu32 " of the chain's %" PRIu32
                       " administrators have signed, and %" PRIu32 " must",
                       r->signer_count, r->admin_count, r->threshold);
    if (err == RDG_OK) *out = r->succession;
    rdg_free(r);
    return err;
}
