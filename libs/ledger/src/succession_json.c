/* What an act says, for people. */
#include "ridge/ledger/succession.h"

static bool holds(const rdg_address_t *list, uint32_t count, const rdg_address_t *account) {
    for (uint32_t i = 0; i < count; ++i)
        if (rdg_address_equal(&list[i], account)) return true;
    return false;
}

bool rdg_succession_is_admin(const rdg_succession_report_t *r, const rdg_address_t *account) {
    return holds(r->admins, r->admin_count, account);
}

bool rdg_succession_has_signed(const rdg_succession_report_t *r, const rdg_address_t *account) {
    return holds(r->signers, r->signer_count, account);
}

static json_t *hash_json(const rdg_hash_t *h) {
    return rdg_json_hex(h->b, sizeof h->b);
}

static json_t *addresses_json(const rdg_address_t *list, uint32_t count) {
    json_t *out = json_array();
    for (uint32_t i = 0; i < count; ++i)
        json_array_append_new(out, rdg_json_hex(list[i].b, sizeof list[i].b));
    return out;
}

static json_t *validators_json(const rdg_epoch_t *e) {
    json_t *out = json_array();
    for (uint32_t i = 0; i < e->validators.count; ++i)
        json_array_append_new(
            out, json_pack("{s:s, s:o, s:I}", "name", e->names[i], "key",
                           rdg_json_hex(e->validators.keys[i].b, sizeof e->validators.keys[i].b), "weight",
                           (json_int_t)(e->validators.weights[i] ? e->validators.weights[i] : 1)));
    return out;
}

json_t *rdg_succession_json(const rdg_succession_report_t *r) {
    const rdg_succession_t *s = &r->succession;
    const rdg_epoch_t *e = &s->epoch;
    return json_pack(
        "{s:I, s:o, s:I, s:o, s:o, s:I, s:I, s:o, s:I, s:I, s:o, s:o, s:I, s:o, s:o}", "chain_id",
        (json_int_t)r->chain_id, "genesis", hash_json(&r->genesis), "height", (json_int_t)s->height, "block",
        hash_json(&s->block), "executed", hash_json(&s->executed), "epoch", (json_int_t)e->validators.epoch,
        "first_height", (json_int_t)e->first_height, "epoch_digest", hash_json(&s->epoch_digest),
        "view_timeout_ms", (json_int_t)e->view_timeout_ms, "rotate_every", (json_int_t)e->rotate_every,
        "validators", validators_json(e), "digest", hash_json(&s->act), "threshold", (json_int_t)r->threshold,
        "administrators", addresses_json(r->admins, r->admin_count), "signed",
        addresses_json(r->signers, r->signer_count));
}
