/* The act: the cloud builds the chain's ledger for itself, because only the state at the last block says who may sign. */
#include "archive_keys.h"
#include "succession.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"
#include "ridge/ledger/archive.h"

#define PATH_BYTES 4200
#define LEDGER_MEMORY (32u << 20)
#define TEXT_MAX (900u << 10) /* a genesis goes to devices within a command */

/* --- the ledger ----------------------------------------------------------------------------------------------- */

/* Beside the collector's directory, which is swept at each start. */
static rdg_err_t place(rdg_baas_t *b, const chain_t *c, const char *what, char path[PATH_BYTES]) {
    int n = snprintf(path, PATH_BYTES, "%s-succession-%lld%s", b->collector->dir, (long long)c->number, what);
    return n > 0 && n < PATH_BYTES ? RDG_OK
                                   : rdg_fail(RDG_E_TOO_LARGE, "the data directory's path is too long");
}

bool succession_has_ledger(rdg_baas_t *b, const chain_t *c) {
    char path[PATH_BYTES];
    return place(b, c, "", path) == RDG_OK && rdg_file_exists(path);
}

void succession_clear(rdg_baas_t *b, const chain_t *c) {
    char path[PATH_BYTES];
    if (place(b, c, "", path) == RDG_OK) (void)rdg_tree_remove(path, NULL);
    if (place(b, c, ".archive", path) == RDG_OK) (void)unlink(path);
}

static rdg_err_t open_ledger(rdg_baas_t *b, const chain_t *c, rdg_ledger_t **out) {
    char path[PATH_BYTES];
    const rdg_ledger_options_t options = {.memory_bytes = LEDGER_MEMORY, .execution_threads = 1};
    char *text = c->genesis ? rdg_json_text(c->genesis) : NULL;
    rdg_genesis_t *g = rdg_alloc(sizeof *g);
    *out = NULL;
    rdg_err_t err = text && g ? place(b, c, "", path) : rdg_fail(RDG_E_NO_MEMORY, "no memory for a genesis");
    if (err == RDG_OK) err = rdg_genesis_parse(rdg_bytes_str(text), g);
    if (err == RDG_OK) err = rdg_ledger_open(path, g, &options, out);
    rdg_free(text);
    rdg_free(g);
    return err;
}

static bool go_on(void *ctx, const rdg_archive_progress_t *p) {
    (void)p;
    return !baas_stopping(ctx);
}

static rdg_err_t bring_in(rdg_baas_t *b, rdg_archive_t *a, rdg_ledger_t *l, const char *kind) {
    if (strcmp(kind, "headers") == 0) return rdg_archive_import_headers(a, l, go_on, b);
    if (strcmp(kind, "state") == 0) return rdg_archive_import_state(a, l, go_on, b);
    return rdg_archive_import(a, l, go_on, b);
}

static rdg_err_t import(rdg_baas_t *b, const chain_t *c, const archive_piece_t *p, const char *path,
                        const char *kind) {
    rdg_ledger_t *l = NULL;
    rdg_archive_t *a = NULL;
    rdg_hash_t digest;
    rdg_archive_key_t key;
    bool encrypted = p->key_id[0] != '\0';
    if (encrypted) RDG_TRY(archive_keys_load(b, c->name, p->key_id, &key));
    const rdg_archive_options_t options = {.keys = &key, .key_count = encrypted};
    rdg_err_t err = open_ledger(b, c, &l);
    if (err == RDG_OK) err = rdg_archive_open_file(path, &options, &a);
    if (err == RDG_OK) {
        rdg_archive_digest(a, &digest);
        if (!rdg_hash_equal(&digest, &p->manifest))
            err = rdg_fail(RDG_E_CORRUPT, "its manifest is not the one that was anchored");
    }
    if (err == RDG_OK) err = rdg_archive_trust(a, rdg_ledger_genesis(l));
    if (err == RDG_OK) err = bring_in(b, a, l, kind);
    rdg_archive_close(a);
    rdg_ledger_close(l);
    if (encrypted) rdg_secure_zero(&key, sizeof key);
    return err;
}

static rdg_err_t verify_piece(rdg_baas_t *b, const chain_t *c, const archive_piece_t *p, const char *kind) {
    char path[PATH_BYTES];
    RDG_TRY(place(b, c, ".archive", path));
    RDG_TRY(recovery_anchor(b, c, p));
    rdg_err_t err = remote_fetch_file(b, p->file, path, NULL);
    if (err == RDG_OK) err = import(b, c, p, path, kind);
    (void)unlink(path);
    return err;
}

rdg_err_t succession_verify_next(rdg_baas_t *b, const chain_t *c, succession_t *s) {
    archive_piece_t *pieces = NULL;
    size_t count = 0;
    RDG_TRY(archive_pieces(b, c, &pieces, &count));
    rdg_err_t err = RDG_OK;
    if (count < s->archives || s->done >= s->archives || pieces[s->archives - 1].to != s->height)
        err = rdg_fail(RDG_E_CONFLICT,
                       "the archives of chain '%s' are others than when this was ordered: order it again",
                       c->name);
    const archive_piece_t *p = err == RDG_OK ? &pieces[s->done] : NULL;
    if (p) err = verify_piece(b, c, p, recovery_kind(pieces, (size_t)s->archives, 0, (size_t)s->done));
    if (p && err != RDG_OK)
        err = rdg_fail_in(err, "archive of blocks %" PRIu64 " to %" PRIu64, p->from, p->to);
    rdg_free(pieces);
    if (err == RDG_OK) ++s->done;
    return err;
}

/* --- the act -------------------------------------------------------------------------------------------------- */

static rdg_err_t fill_members(const steps_t *steps, const succession_t *s, rdg_succession_member_t *members) {
    for (size_t i = 0; i < json_array_size(s->devices); ++i) {
        const char *device = json_string_value(json_array_get(s->devices, i));
        const step_t *p = steps_find(steps, device, STEP_PREPARE);
        uint8_t raw[64];
        if (!p || !step_done(p)) return rdg_fail(RDG_E_INTERNAL, "device '%s' is not prepared", device);
        rdg_err_t err = rdg_json_get_hex(p->result, "public_key", raw, sizeof raw);
        if (err == RDG_OK) err = rdg_sm2_public_decode(rdg_bytes(raw, sizeof raw), &members[i].key);
        if (err != RDG_OK) return rdg_fail_in(err, "device '%s': public_key", device);
        members[i].name = device;
    }
    return RDG_OK;
}

static rdg_err_t request(rdg_ledger_t *l, const steps_t *steps, const succession_t *s, rdg_buf_t *out) {
    rdg_ledger_head_t head;
    size_t count = json_array_size(s->devices);
    rdg_ledger_head(l, &head);
    if (head.height != s->height)
        return rdg_fail(RDG_E_INTERNAL, "the archives come to block %" PRIu64 " and not to %" PRIu64,
                        head.height, s->height);
    rdg_succession_member_t *members = rdg_calloc(count, sizeof *members);
    if (!members) return rdg_fail(RDG_E_NO_MEMORY, "no memory for validators");
    rdg_err_t err = fill_members(steps, s, members);
    if (err == RDG_OK) err = rdg_succession_request(l, members, (uint32_t)count, out);
    rdg_free(members);
    return err;
}

static rdg_err_t put_act(succession_t *s, const rdg_buf_t *act) {
    rdg_buf_clear(&s->act);
    return rdg_buf_append(&s->act, act->data, act->len);
}

/* The request as this ledger has it; signatures over the very same stay. */
static rdg_err_t renew(rdg_ledger_t *l, const steps_t *steps, succession_t *s) {
    rdg_buf_t asked;
    rdg_hash_t before, now;
    rdg_buf_init(&asked, RDG_SUCCESSION_BYTES_MAX);
    rdg_err_t err = request(l, steps, s, &asked);
    if (err == RDG_OK) err = rdg_succession_digest(rdg_buf_view(&asked), &now);
    bool same = err == RDG_OK && s->act.len > 0 &&
                rdg_succession_digest(rdg_buf_view(&s->act), &before) == RDG_OK &&
                rdg_hash_equal(&before, &now);
    if (err == RDG_OK && !same) err = put_act(s, &asked);
    rdg_buf_fini(&asked);
    return err;
}

/* With the key that this cloud has, if it is an administrator's who has not signed. */
static rdg_err_t sign_own(rdg_baas_t *b, const chain_t *c, const rdg_succession_report_t *r,
                          succession_t *s) {
    rdg_sm2_key_t *key = NULL;
    rdg_sm2_public_t public;
    rdg_address_t self;
    rdg_buf_t more;
    RDG_TRY(chain_key_load(b, c, &key));
    rdg_sm2_key_public(key, &public);
    rdg_sm2_address(&public, &self);
    rdg_buf_init(&more, RDG_SUCCESSION_BYTES_MAX);
    rdg_err_t err = RDG_OK;
    if (rdg_succession_is_admin(r, &self) && !rdg_succession_has_signed(r, &self)) {
        err = rdg_succession_sign(rdg_buf_view(&s->act), key, &more);
        if (err == RDG_OK) err = put_act(s, &more);
    }
    rdg_buf_fini(&more);
    rdg_sm2_key_free(key);
    return err;
}

/* The former changes too: those that the chain has seen and the main chain has not. */
static rdg_err_t note_epochs(rdg_baas_t *b, const chain_t *c, rdg_ledger_t *l) {
    rdg_epoch_t *e = rdg_alloc(sizeof *e);
    if (!e) return rdg_fail(RDG_E_NO_MEMORY, "no memory for validators");
    rdg_err_t err = rdg_ledger_epoch(l, 1, e);
    while (err == RDG_OK && e->last_height != 0) {
        err = rdg_ledger_epoch(l, e->last_height + 1, e);
        if (err == RDG_OK) err = mainchain_note_epoch_again(b, c, e);
    }
    rdg_free(e);
    return err;
}

/* Somebody else's set under this number, which the chain's own validators have signed, is there for good. One that the main
 * chain has refused is nowhere. */
static rdg_err_t check_noted(rdg_baas_t *b, const chain_t *c, const rdg_succession_t *act) {
    intent_t i;
    rdg_hash_t noted;
    RDG_TRY(mainchain_find_epoch(b, c, act->epoch.validators.epoch, &i));
    rdg_err_t err = RDG_OK;
    if (i.number != 0 && i.state != INTENT_REFUSED) {
        const char *text = json_string_value(json_array_get(i.values, 2));
        err = text ? rdg_hex_decode(text, strlen(text), noted.b, sizeof noted.b) : RDG_E_MALFORMED;
        if (err != RDG_OK || !rdg_hash_equal(&noted, &act->epoch_digest))
            err = rdg_fail(RDG_E_CONFLICT,
                           "the main chain has another change of validators under number %" PRIu64
                           ", which chain '%s' made behind its last archived block: it cannot be taken back",
                           act->epoch.validators.epoch, c->name);
    }
    intent_fini(&i);
    return err;
}

/* What came in while archives were verified or people signed. The registry takes archives without a gap only: behind H, with
 * more than H on it, nothing could be archived. */
static rdg_err_t check_last(rdg_baas_t *b, const chain_t *c, const succession_t *s) {
    uint64_t anchored;
    RDG_TRY(intent_highest(b, c->chain_id, RDG_ANCHOR_ARCHIVE, 1, &anchored));
    if (anchored <= s->height) return RDG_OK;
    return rdg_fail(RDG_E_CONFLICT,
                    "the main chain has, or is being told of, archives of chain '%s' up to block %" PRIu64
                    " by now, and this rebuild goes on behind block %" PRIu64
                    ": give it up (ridge chain rebuild %s --cancel) and order it again",
                    c->name, anchored, s->height, c->name);
}

static rdg_err_t store(rdg_baas_t *b, const chain_t *c, rdg_ledger_t *l, succession_t *s,
                       const rdg_succession_t *act) {
    RDG_TRY(rdg_sql_begin(b->db));
    rdg_err_t err = check_last(b, c, s);
    if (err == RDG_OK) err = note_epochs(b, c, l);
    if (err == RDG_OK) err = mainchain_note_epoch_again(b, c, &act->epoch);
    if (err == RDG_OK) err = check_noted(b, c, act);
    if (err == RDG_OK) err = archives_prove_again(b, c->number, s->height);
    if (err == RDG_OK) err = succession_set(b, c, s, "anchor", "running", NULL);
    if (err == RDG_OK) err = rdg_sql_commit(b->db);
    if (err != RDG_OK) rdg_sql_rollback(b->db);
    mainchain_kick(b);
    return err;
}

/* Enough have signed, or it waits for the others. */
static rdg_err_t judge(rdg_baas_t *b, const chain_t *c, rdg_ledger_t *l, succession_t *s,
                       rdg_succession_report_t *r) {
    RDG_TRY(rdg_succession_check(rdg_buf_view(&s->act), rdg_ledger_genesis(l), r));
    RDG_TRY(check_last(b, c, s));
    RDG_TRY(check_noted(b, c, &r->succession));
    s->epoch = r->succession.epoch.validators.epoch;
    if (r->signer_count < r->threshold) return succession_set(b, c, s, "act", "waiting", NULL);
    RDG_TRY(rdg_succession_verify(rdg_buf_view(&s->act), rdg_ledger_genesis(l), &r->succession));
    return store(b, c, l, s, &r->succession);
}

static rdg_err_t make(rdg_baas_t *b, const chain_t *c, const steps_t *steps, rdg_ledger_t *l,
                      succession_t *s) {
    rdg_succession_report_t *r = rdg_alloc(sizeof *r);
    if (!r) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a succession");
    rdg_err_t err = renew(l, steps, s);
    if (err == RDG_OK) err = rdg_succession_check(rdg_buf_view(&s->act), rdg_ledger_genesis(l), r);
    if (err == RDG_OK) err = sign_own(b, c, r, s);
    if (err == RDG_OK) err = judge(b, c, l, s, r);
    rdg_free(r);
    return err;
}

rdg_err_t succession_act(rdg_baas_t *b, const chain_t *c, const steps_t *steps, succession_t *s) {
    rdg_ledger_t *l = NULL;
    RDG_TRY(open_ledger(b, c, &l));
    rdg_err_t err = make(b, c, steps, l, s);
    rdg_ledger_close(l);
    return err;
}

/* --- signatures of others ------------------------------------------------------------------------------------- */

typedef struct handed {
    rdg_sm2_public_t key;
    rdg_sm2_signature_t signature;
    rdg_hash_t digest;
    rdg_address_t account;
} handed_t;

static rdg_err_t read_handed(const json_t *body, handed_t *out) {
    uint8_t raw[64];
    RDG_TRY(rdg_json_get_hex(body, "public_key", raw, sizeof raw));
    RDG_TRY(rdg_json_get_hex(body, "signature", out->signature.b, sizeof out->signature.b));
    RDG_TRY(rdg_json_get_hex(body, "digest", out->digest.b, sizeof out->digest.b));
    RDG_TRY(rdg_fail_in(rdg_sm2_public_decode(rdg_bytes(raw, sizeof raw), &out->key), "public_key"));
    rdg_sm2_address(&out->key, &out->account);
    return RDG_OK;
}

/* account: "0x…" of who is said to have signed. */
static rdg_err_t check_handed(const chain_t *c, const rdg_succession_report_t *r, const handed_t *h,
                              const char *account) {
    const rdg_hash_t *digest = &r->succession.act;
    if (!rdg_hash_equal(&h->digest, digest))
        return rdg_fail(
            RDG_E_CONFLICT,
            "it is a signature over another act than the one that waits: fetch that one with ridge "
            "chain act %s, and sign it",
            c->name);
    if (!rdg_succession_is_admin(r, &h->account))
        return rdg_fail(RDG_E_FORBIDDEN,
                        "account %s is no administrator of chain '%s' at block %" PRIu64
                        ": ridge chain act %s names those who are",
                        account, c->name, r->succession.height, c->name);
    if (rdg_sm2_verify(&h->key, digest->b, sizeof digest->b, &h->signature) != RDG_OK)
        return rdg_fail(
            RDG_E_BAD_SIGNATURE,
            "the signature is not %s's over this act: sign its digest of 32 bytes with SM2 and SM3, "
            "or let ridge chain approve do so",
            account);
    if (rdg_succession_has_signed(r, &h->account))
        return rdg_fail(RDG_E_EXISTS,
                        "administrator %s has signed already: %" PRIu32 " of %" PRIu32
                        " signatures are there, and the others must be other administrators'",
                        account, r->signer_count, r->threshold);
    return RDG_OK;
}

static rdg_err_t take_signature(rdg_baas_t *b, const chain_t *c, succession_t *s, const char *account,
                                const char *by, uint32_t count, uint32_t threshold) {
    char text[200];
    snprintf(text, sizeof text, "%s signed, handed in by %s: %" PRIu32 " of %" PRIu32, account,
             by ? by : "somebody", count, threshold);
    RDG_TRY(rdg_sql_begin(b->db));
    rdg_err_t err = event_add(b, c->number, NULL, "rebuild.signature", "signed", text);
    if (err == RDG_OK) err = succession_set(b, c, s, "act", count < threshold ? "waiting" : "running", NULL);
    if (err == RDG_OK) err = rdg_sql_commit(b->db);
    if (err != RDG_OK) rdg_sql_rollback(b->db);
    if (err == RDG_OK)
        rdg_log(RDG_LOG_INFO, "chain.act_signed", RDG_STR("chain", c->name), RDG_STR("account", account),
                RDG_STR("by", by ? by : ""), RDG_U64("signed", count), RDG_U64("threshold", threshold));
    event_wake(b);
    return err;
}

static rdg_err_t add_handed(rdg_baas_t *b, const chain_t *c, succession_t *s, const handed_t *h,
                            rdg_succession_report_t *r, const char *by) {
    char account[3 + 2 * sizeof h->account.b] = "0x";
    rdg_buf_t more;
    rdg_hex_encode(h->account.b, sizeof h->account.b, account + 2);
    RDG_TRY(rdg_succession_check(rdg_buf_view(&s->act), NULL, r));
    RDG_TRY(check_handed(c, r, h, account));
    rdg_buf_init(&more, RDG_SUCCESSION_BYTES_MAX);
    rdg_err_t err = rdg_succession_add(rdg_buf_view(&s->act), &h->key, &h->signature, &more);
    if (err == RDG_OK) err = put_act(s, &more);
    rdg_buf_fini(&more);
    return err == RDG_OK ? take_signature(b, c, s, account, by, r->signer_count + 1, r->threshold) : err;
}

rdg_err_t succession_sign(rdg_baas_t *b, const chain_t *c, succession_t *s, const json_t *body,
                          const char *by) {
    handed_t h;
    RDG_TRY(read_handed(body, &h));
    if (s->number == 0 || strcmp(s->step, "act") != 0 || !succession_is(s, "waiting") || s->act.len == 0)
        return rdg_fail(
            RDG_E_CONFLICT,
            "no act of chain '%s' waits for signatures (rebuild: %s, %s): see ridge chain status %s", c->name,
            s->number ? s->step : "none", s->number ? s->state : "none", c->name);
    rdg_succession_report_t *r = rdg_alloc(sizeof *r);
    if (!r) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a succession");
    rdg_err_t err = add_handed(b, c, s, &h, r, by);
    rdg_free(r);
    return err;
}

/* --- beside the genesis --------------------------------------------------------------------------------------- */

rdg_err_t succession_genesis(const chain_t *c, const succession_t *s, json_t **out) {
    rdg_buf_t text;
    char *old = c->genesis ? rdg_json_text(c->genesis) : NULL;
    rdg_buf_init(&text, TEXT_MAX);
    rdg_err_t err = old ? rdg_genesis_extend(rdg_bytes_str(old), rdg_buf_view(&s->act), &text)
                        : rdg_fail(RDG_E_NO_MEMORY, "no memory for a genesis");
    if (err == RDG_OK) err = rdg_json_parse(rdg_buf_view(&text), out);
    rdg_buf_fini(&text);
    rdg_free(old);
    return err;
}
