/* What the edge chains have come to: changes of their validators, and their heads as checkpoints. Nothing is recorded that
 * the chain's own validators, known from its genesis on, have not signed. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "mainchain.h"
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"

#define RELAY_MS 5000
#define BACK_MAX 16 /* blocks below the head that may still lack their certificate */
#define EPOCHS_MAX 256
#define EPOCH_KEY_BYTES 40

typedef struct sealed {
    rdg_buf_t executed_bytes, checkpoint;
    rdg_executed_t executed;
} sealed_t;

static rdg_err_t take_hex(const json_t *o, const char *field, size_t max, rdg_buf_t *out) {
    const char *hex = json_string_value(json_object_get(o, field));
    rdg_buf_init(out, max);
    if (!hex) return rdg_fail(RDG_E_NOT_FOUND, "the node's answer has no \"%s\"", field);
    return rdg_fail_in(rdg_hex_decode_buf(hex, strlen(hex), out), "%s", field);
}

/* NOT_FOUND: it has no certificate yet. */
static rdg_err_t ask_seal(relay_t *r, uint64_t height, sealed_t *out) {
    json_t *answer = NULL;
    RDG_TRY(rdg_rpc_call(&r->rpc, "ridge_getSeal", json_pack("[o]", rdg_json_quantity(height)), &answer));
    rdg_buf_init(&out->checkpoint, 1u << 20);
    rdg_err_t err = take_hex(answer, "executed", 4096, &out->executed_bytes);
    if (err == RDG_OK) err = take_hex(answer, "checkpoint", 1u << 20, &out->checkpoint);
    json_decref(answer);
    return err;
}

static void sealed_fini(sealed_t *s) {
    rdg_buf_fini(&s->executed_bytes);
    rdg_buf_fini(&s->checkpoint);
}

static rdg_err_t newest_sealed(relay_t *r, uint64_t head, sealed_t *out) {
    rdg_err_t err = RDG_E_NOT_FOUND;
    for (uint64_t i = 0; i < BACK_MAX && i < head && err == RDG_E_NOT_FOUND; ++i) {
        memset(out, 0, sizeof *out);
        err = ask_seal(r, head - i, out);
        if (err != RDG_OK) sealed_fini(out);
    }
    return err;
}

static rdg_err_t verify(const rdg_trust_t *trust, sealed_t *s) {
    rdg_buf_t evidence;
    rdg_state_evidence_t *state = rdg_calloc(1, sizeof *state);
    rdg_state_parts_t *parts = rdg_calloc(1, sizeof *parts);
    rdg_buf_init(&evidence, RDG_EVIDENCE_BYTES_MAX);
    rdg_err_t err = state && parts ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for a checkpoint");
    if (err == RDG_OK) {
        parts->executed = rdg_buf_view(&s->executed_bytes);
        parts->checkpoint = rdg_buf_view(&s->checkpoint);
        err = rdg_evidence_encode_state(parts, &evidence);
    }
    if (err == RDG_OK) err = rdg_evidence_verify_state(trust, rdg_buf_view(&evidence), state);
    if (err == RDG_OK) s->executed = state->executed;
    rdg_buf_fini(&evidence);
    rdg_free(parts);
    rdg_free(state);
    return err;
}

static rdg_err_t note_checkpoint(rdg_baas_t *b, const chain_t *c, const sealed_t *s) {
    char key[40];
    rdg_hash_t executed, certificate;
    RDG_TRY(rdg_executed_hash(&s->executed, &executed));
    rdg_sm3(s->checkpoint.data, s->checkpoint.len, &certificate);
    snprintf(key, sizeof key, "checkpoint:%" PRIu64, s->executed.height);
    return intent_add(b, c->chain_id, c->name, RDG_ANCHOR_CHECKPOINT, key,
                      json_pack("[I, o, o, o]", (json_int_t)s->executed.height,
                                rdg_json_hex(s->executed.block_hash.b, 32), rdg_json_hex(executed.b, 32),
                                rdg_json_hex(certificate.b, 32)));
}

static rdg_err_t checkpoint(rdg_baas_t *b, const chain_t *c, relay_t *r, const rdg_trust_t *trust) {
    rdg_rpc_head_t head;
    uint64_t known;
    sealed_t s;
    RDG_TRY(rdg_rpc_head(&r->rpc, &head));
    RDG_TRY(intent_highest(b, c->chain_id, RDG_ANCHOR_CHECKPOINT, 0, &known));
    if (head.height <= known) return RDG_OK;
    rdg_err_t err = newest_sealed(r, head.height, &s);
    if (err == RDG_E_NOT_FOUND) return RDG_OK;
    RDG_TRY(err);
    err = verify(trust, &s);
    if (err == RDG_OK && s.executed.height > known) err = note_checkpoint(b, c, &s);
    sealed_fini(&s);
    return err;
}

/* --- validators ------------------------------------------------------------------------------------------------------ */

static void epoch_key(uint64_t number, char out[EPOCH_KEY_BYTES]) {
    snprintf(out, EPOCH_KEY_BYTES, "validators:%" PRIu64, number);
}

rdg_err_t mainchain_find_epoch(rdg_baas_t *b, const chain_t *c, uint64_t number, intent_t *out) {
    char key[EPOCH_KEY_BYTES];
    epoch_key(number, key);
    return intent_find(b, c->chain_id, key, out);
}

rdg_err_t mainchain_note_epoch_again(rdg_baas_t *b, const chain_t *c, const rdg_epoch_t *e) {
    char key[EPOCH_KEY_BYTES];
    epoch_key(e->validators.epoch, key);
    RDG_TRY(intent_set_aside(b, c->chain_id, key));
    return mainchain_note_epoch(b, c, e);
}

rdg_err_t mainchain_note_epoch(rdg_baas_t *b, const chain_t *c, const rdg_epoch_t *e) {
    char key[EPOCH_KEY_BYTES];
    rdg_hash_t digest;
    RDG_TRY(rdg_epoch_digest(e, &digest));
    epoch_key(e->validators.epoch, key);
    return intent_add(b, c->chain_id, c->name, RDG_ANCHOR_VALIDATORS, key,
                      json_pack("[I, I, o]", (json_int_t)e->validators.epoch, (json_int_t)e->first_height,
                                rdg_json_hex(digest.b, 32)));
}

/* Every change since the genesis is learnt anew: there are few, and what is proven needs no store. */
static rdg_err_t follow_epochs(rdg_baas_t *b, const chain_t *c, relay_t *r, rdg_trust_t *trust) {
    for (uint64_t number = 1; number <= EPOCHS_MAX; ++number) {
        json_t *answer = NULL;
        rdg_buf_t evidence;
        rdg_err_t err = rdg_rpc_call(&r->rpc, "ridge_getEpochProof",
                                     json_pack("[o]", rdg_json_quantity(number)), &answer);
        /* UNSUPPORTED: an older node; UNAVAILABLE: the change is not signed yet. */
        bool none = err == RDG_E_NOT_FOUND || err == RDG_E_UNSUPPORTED || err == RDG_E_UNAVAILABLE ||
                    (err == RDG_OK && !json_object_get(answer, "evidence"));
        rdg_buf_init(&evidence, RDG_EVIDENCE_BYTES_MAX);
        if (!none && err == RDG_OK) {
            rdg_buf_fini(&evidence);
            err = take_hex(answer, "evidence", RDG_EVIDENCE_BYTES_MAX, &evidence);
        }
        json_decref(answer);
        if (!none && err == RDG_OK) err = rdg_trust_advance(trust, rdg_buf_view(&evidence));
        rdg_buf_fini(&evidence);
        if (none) return RDG_OK;
        if (err == RDG_OK) err = mainchain_note_epoch(b, c, rdg_trust_latest(trust));
        RDG_TRY(err);
    }
    return RDG_OK;
}

static rdg_err_t trust_of(const chain_t *c, rdg_trust_t **out) {
    rdg_buf_t text;
    rdg_genesis_t *g = rdg_calloc(1, sizeof *g);
    rdg_buf_init(&text, RDG_GENESIS_EXTENDED_MAX);
    rdg_err_t err =
        g ? rdg_json_dump(c->genesis, &text) : rdg_fail(RDG_E_NO_MEMORY, "no memory for a genesis");
    if (err == RDG_OK) err = rdg_genesis_parse(rdg_buf_view(&text), g);
    if (err == RDG_OK) err = rdg_trust_new(g, out);
    rdg_free(g);
    rdg_buf_fini(&text);
    return err;
}

static rdg_err_t look_at(rdg_baas_t *b, const chain_t *c) {
    relay_t r;
    rdg_trust_t *trust = NULL;
    RDG_TRY(relay_init(&r, b, c, RELAY_MS));
    rdg_err_t err = trust_of(c, &trust);
    if (err == RDG_OK) err = follow_epochs(b, c, &r, trust);
    if (err == RDG_OK) err = checkpoint(b, c, &r, trust);
    rdg_trust_free(trust);
    relay_fini(&r);
    return err;
}

/* --- the thread ------------------------------------------------------------------------------------------------------ */

typedef struct names {
    char (*list)[BAAS_NAME_MAX + 1];
    size_t count;
} names_t;

static rdg_err_t take_name(void *ctx, chain_t *c) {
    names_t *n = ctx;
    if (chain_is(c, "running") && c->genesis && n->count < RDG_BAAS_CHAINS_MAX)
        snprintf(n->list[n->count++], sizeof n->list[0], "%s", c->name);
    return RDG_OK;
}

/* Names first: the database is not held while a chain is asked. */
static rdg_err_t look_at_all(rdg_baas_t *b) {
    names_t n = {.list = rdg_calloc(RDG_BAAS_CHAINS_MAX, sizeof *n.list)};
    if (!n.list) return rdg_fail(RDG_E_NO_MEMORY, "no memory for names of chains");
    rdg_err_t err = chain_each(b, NULL, false, take_name, &n);
    for (size_t i = 0; err == RDG_OK && i < n.count && !baas_stopping(b); ++i) {
        chain_t c;
        if (chain_load_running(b, n.list[i], &c) != RDG_OK) continue;
        rdg_err_t one = look_at(b, &c);
        chain_fini(&c);
        if (one != RDG_OK && !baas_stopping(b))
            rdg_log(RDG_LOG_WARN, "mainchain.checkpoint_failed", RDG_STR("chain", n.list[i]),
                    RDG_STR("code", rdg_err_name(one)), RDG_STR("why", rdg_err_message(one)));
    }
    rdg_free(n.list);
    return err;
}

void *mainchain_watch_main(void *baas) {
    rdg_baas_t *b = baas;
    struct mainchain *m = b->mainchain;
    uint64_t next = baas_mono() + m->options.checkpoint_ms;
    while (!baas_stopping(b)) {
        pthread_mutex_lock(&b->lock);
        while (!b->stopping && baas_mono() < next) (void)baas_wait(b, &m->changed, next);
        bool stopping = b->stopping;
        pthread_mutex_unlock(&b->lock);
        if (stopping) break;
        rdg_err_t err = look_at_all(b);
        if (err != RDG_OK) rdg_log_err("mainchain.look_failed", err);
        mainchain_kick(b);
        next = baas_mono() + m->options.checkpoint_ms;
    }
    return NULL;
}
