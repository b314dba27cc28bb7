#include "proof.h"
#include "certificate.h"
#include "planted.h"
#include <string.h>

const rdg_hash_t *choice_at(const choice_t *c, uint64_t height) {
    if (height < c->first || height - c->first >= RDG_CONSENSUS_WINDOW) return NULL;
    return c->heights[height - c->first].bound ? &c->heights[height - c->first].digest : NULL;
}

static rdg_err_t enter(rdg_bytes_t encoded, rdg_rlp_t *list) {
    rdg_rlp_t outer;
    rdg_rlp_init(&outer, encoded);
    return rdg_fail_in(rdg_rlp_list(&outer, list), "list of a view change");
}

rdg_err_t proof_open(const message_t *m, rdg_rlp_t *list) {
    return enter(m->proof, list);
}

rdg_err_t proof_next_prepared(rdg_rlp_t *list, rdg_certificate_t *out) {
    if (!rdg_rlp_more(list)) {
        RDG_TRY(rdg_rlp_done(list));
        return RDG_E_NOT_FOUND;
    }
    return rdg_certificate_decode(rdg_rlp_raw(list), out);
}

uint64_t proof_prepared_view(const message_t *change, uint64_t height, const rdg_hash_t *digest) {
    rdg_certificate_t c;
    rdg_rlp_t list;
    if (enter(change->proof, &list) != RDG_OK) return 0;
    while (proof_next_prepared(&list, &c) == RDG_OK)
        if (c.statement.height == height && rdg_hash_equal(&c.statement.digest, digest))
            return c.statement.view + 1;
    return 0;
}

static rdg_err_t next_change(rdg_rlp_t *list, message_t *out) {
    if (!rdg_rlp_more(list)) {
        RDG_TRY(rdg_rlp_done(list));
        return RDG_E_NOT_FOUND;
    }
    RDG_TRY(message_decode(rdg_rlp_raw(list), out));
    return out->kind == RDG_PHASE_VIEW_CHANGE
               ? RDG_OK
               : rdg_fail(RDG_E_PROTOCOL, "a new view rests on a message of kind %u", out->kind);
}

/* --- choosing ------------------------------------------------------------------------------------------- */

static rdg_err_t weigh(const message_t *change, choice_t *out) {
    rdg_certificate_t c;
    rdg_rlp_t list;
    rdg_err_t err = enter(change->proof, &list);
    while (err == RDG_OK && (err = proof_next_prepared(&list, &c)) == RDG_OK) {
        const rdg_statement_t *s = &c.statement;
        if (s->height < out->first || s->height - out->first >= RDG_CONSENSUS_WINDOW) continue;
        size_t i = (size_t)(s->height - out->first);
        if (out->heights[i].bound && out->heights[i].view >= s->view) continue;
        out->heights[i].bound = true;
        out->heights[i].view = s->view;
        out->heights[i].digest = s->digest;
    }
    return err == RDG_E_NOT_FOUND ? RDG_OK : err;
}

rdg_err_t proof_choose(const message_t *new_view, choice_t *out) {
    message_t change;
    rdg_rlp_t list;
    memset(out, 0, sizeof *out);
    out->first = new_view->statement.height;
    rdg_err_t err = enter(new_view->proof, &list);
    while (err == RDG_OK && (err = next_change(&list, &change)) == RDG_OK) err = weigh(&change, out);
    return err == RDG_E_NOT_FOUND ? RDG_OK : err;
}

/* --- verifying ------------------------------------------------------------------------------------------ */

static rdg_err_t check_digest(const message_t *m) {
    rdg_hash_t digest;
    rdg_sm3(m->proof.data, m->proof.len, &digest);
    if (m->statement.height == 0 || m->statement.view == 0 || m->statement.view > VIEW_MAX)
        return rdg_fail(RDG_E_PROTOCOL, "a change to view %llu at height %llu",
                        (unsigned long long)m->statement.view, (unsigned long long)m->statement.height);
    return rdg_hash_equal(&digest, &m->statement.digest)
               ? RDG_OK
               : rdg_fail(RDG_E_PROTOCOL, "a view change whose digest is not that of its list");
}

static rdg_err_t gather_seal(const message_t *m, const rdg_consensus_config_t *config, signatures_t *g) {
    rdg_certificate_t seal;
    uint64_t first = config->first_height > 0 ? config->first_height : 1;
    if (m->statement.height < first)
        return rdg_fail(RDG_E_PROTOCOL, "a view change at height %llu, before its epoch",
                        (unsigned long long)m->statement.height);
    if (m->statement.height == first)
        return m->certificate.len == 0 ? RDG_OK
                                       : rdg_fail(RDG_E_PROTOCOL, "a seal where the epoch begins needs none");
    RDG_TRY(rdg_certificate_decode(m->certificate, &seal));
    if (seal.statement.height != m->statement.height - 1)
        return rdg_fail(RDG_E_PROTOCOL, "a view change at height %llu with the seal of %llu",
                        (unsigned long long)m->statement.height, (unsigned long long)seal.statement.height);
    return certificate_gather(&seal, &config->validators, RDG_PHASE_COMMIT, g);
}

static rdg_err_t gather_prepared(const message_t *m, const rdg_consensus_config_t *config, signatures_t *g) {
    rdg_certificate_t c;
    rdg_rlp_t list;
    uint64_t next = m->statement.height;
    rdg_err_t err = enter(m->proof, &list);
    while (err == RDG_OK && (err = proof_next_prepared(&list, &c)) == RDG_OK) {
        const rdg_statement_t *s = &c.statement;
        if (s->height < next || s->height - m->statement.height >= RDG_CONSENSUS_WINDOW ||
            s->view >= m->statement.view)
            return rdg_fail(RDG_E_PROTOCOL,
                            "a change to view %llu with a certificate of height %llu, view %llu",
                            (unsigned long long)m->statement.view, (unsigned long long)s->height,
                            (unsigned long long)s->view);
        next = s->height + 1;
        err = certificate_gather(&c, &config->validators, RDG_PHASE_PREPARE, g);
    }
    return err == RDG_E_NOT_FOUND ? RDG_OK : err;
}

static rdg_err_t gather_change(const message_t *m, const rdg_consensus_config_t *config, bool with_seal,
                               signatures_t *g) {
    if (PLANTED("change-unverified")) return RDG_OK;
    RDG_TRY(check_digest(m));
    if (with_seal)
        RDG_TRY(gather_seal(m, config, g));
    else if (m->certificate.len > 0)
        return rdg_fail(RDG_E_PROTOCOL, "a view change with a seal of its own in a new view");
    return gather_prepared(m, config, g);
}

rdg_err_t proof_verify_change(const message_t *m, const rdg_consensus_config_t *config) {
    signatures_t g;
    signatures_init(&g, &config->host);
    RDG_TRY(gather_change(m, config, true, &g));
    return signatures_done(&g);
}

/* The signers ascend, so none counts twice. */
rdg_err_t proof_verify_new_view(const message_t *m, const rdg_consensus_config_t *config) {
    message_t change;
    rdg_rlp_t list;
    signatures_t g;
    uint32_t weight = 0, next = 0;
    uint64_t highest = 0;
    signatures_init(&g, &config->host);
    if (PLANTED("new-view-unverified")) return RDG_OK;
    RDG_TRY(check_digest(m));
    if (m->index != m->statement.view % config->validators.count)
        return rdg_fail(RDG_E_PROTOCOL, "validator %u opens view %llu, which it does not lead", m->index,
                        (unsigned long long)m->statement.view);
    RDG_TRY(gather_seal(m, config, &g));
    rdg_err_t err = enter(m->proof, &list);
    while (err == RDG_OK && (err = next_change(&list, &change)) == RDG_OK) {
        if (change.index < next || change.statement.view != m->statement.view)
            return rdg_fail(
                RDG_E_PROTOCOL,
                "a new view whose changes are not of distinct validators, in order, for its view");
        RDG_TRY(message_gather_vote(&change, config, &g));
        RDG_TRY(gather_change(&change, config, false, &g));
        next = change.index + 1;
        weight += rdg_validators_weight(&config->validators, change.index);
        if (change.statement.height > highest) highest = change.statement.height;
    }
    if (err != RDG_E_NOT_FOUND) return err;
    if (weight < rdg_validators_quorum(rdg_validators_total(&config->validators)) ||
        highest != m->statement.height)
        return rdg_fail(RDG_E_PROTOCOL, "a new view with changes of weight %u, the highest at height %llu",
                        weight, (unsigned long long)highest);
    return signatures_done(&g);
}
