#include "succession.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"

#define CHECKPOINT_MS 600000
#define TELL_AGAIN_MS 600000
#define DESTRUCTION_KEY "destruction"

rdg_err_t mainchain_needed(const rdg_baas_t *b) {
    return b->mainchain ? RDG_OK
                        : rdg_fail(RDG_E_UNSUPPORTED,
                                   "this cloud runs without a main chain: start it with --mainchain 1");
}

/* --- opening --------------------------------------------------------------------------------------------------------- */

static rdg_err_t check_writer(struct mainchain *m) {
    rdg_sm2_public_t public;
    rdg_sm2_key_public(m->key, &public);
    rdg_sm2_address(&public, &m->writer);
    if (m->genesis.admin_count > 0 && rdg_address_equal(&m->writer, &m->genesis.admins[0]))
        return rdg_anchor_address(&m->genesis, &m->registry);
    return rdg_fail(RDG_E_CONFLICT, "%s is not the key of the main chain's first administrator",
                    m->options.key_file);
}

static rdg_err_t fill(struct mainchain *m) {
    m->genesis_text = rdg_strdup(m->options.genesis);
    if (!m->genesis_text) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the main chain");
    m->options.genesis = m->genesis_text;
    if (m->options.checkpoint_ms == 0) m->options.checkpoint_ms = CHECKPOINT_MS;
    snprintf(m->problem, sizeof m->problem, "not reached yet");
    RDG_TRY(rdg_fail_in(rdg_genesis_parse(rdg_bytes_str(m->genesis_text), &m->genesis),
                        "the main chain's genesis"));
    RDG_TRY(rdg_sm2_key_load(m->options.key_file, &m->key));
    return check_writer(m);
}

static void mainchain_free(struct mainchain *m) {
    if (!m) return;
    rdg_sm2_key_free(m->key);
    rdg_free(m->genesis_text);
    rdg_free(m);
}

rdg_err_t rdg_baas_mainchain_open(rdg_baas_t *b, const rdg_baas_mainchain_options_t *options) {
    struct mainchain *m = rdg_calloc(1, sizeof *m);
    pthread_condattr_t attr;
    if (!m) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the main chain");
    m->options = *options;
    rdg_err_t err = fill(m);
    if (err != RDG_OK) {
        mainchain_free(m);
        return err;
    }
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&m->changed, &attr);
    pthread_condattr_destroy(&attr);
    b->mainchain = m;
    int e = pthread_create(&m->writing_thread, NULL, mainchain_write_main, b);
    m->writing = e == 0;
    return e == 0 ? RDG_OK : rdg_fail_errno(e, "cannot start a thread for the main chain");
}

/* A chain that ran before there was a main chain is recorded now. */
static rdg_err_t adopt(void *ctx, chain_t *c) {
    return chain_is(c, "running") ? mainchain_note_genesis(ctx, c) : RDG_OK;
}

rdg_err_t mainchain_start(rdg_baas_t *b) {
    struct mainchain *m = b->mainchain;
    if (!m) return RDG_OK;
    RDG_TRY(chain_each(b, NULL, false, adopt, b));
    int e = pthread_create(&m->watching_thread, NULL, mainchain_watch_main, b);
    m->watching = e == 0;
    return e == 0 ? RDG_OK : rdg_fail_errno(e, "cannot start a thread for the main chain");
}

void mainchain_stop(rdg_baas_t *b) {
    if (b->mainchain) pthread_cond_broadcast(&b->mainchain->changed);
}

void mainchain_close(rdg_baas_t *b) {
    struct mainchain *m = b->mainchain;
    if (!m) return;
    if (m->writing) pthread_join(m->writing_thread, NULL);
    if (m->watching) pthread_join(m->watching_thread, NULL);
    pthread_cond_destroy(&m->changed);
    mainchain_free(m);
    b->mainchain = NULL;
}

void mainchain_kick(rdg_baas_t *b) {
    if (!b->mainchain) return;
    pthread_mutex_lock(&b->lock);
    ++b->mainchain->stored;
    pthread_cond_broadcast(&b->mainchain->changed);
    pthread_mutex_unlock(&b->lock);
}

/* --- what the chain service itself records --------------------------------------------------------------------------- */

static rdg_err_t genesis_of(const chain_t *c, rdg_hash_t *out) {
    rdg_buf_t text;
    rdg_genesis_t *g = rdg_calloc(1, sizeof *g);
    rdg_buf_init(&text, RDG_GENESIS_EXTENDED_MAX);
    rdg_err_t err =
        g ? rdg_json_dump(c->genesis, &text) : rdg_fail(RDG_E_NO_MEMORY, "no memory for a genesis");
    if (err == RDG_OK) err = rdg_genesis_parse(rdg_buf_view(&text), g);
    if (err == RDG_OK) *out = g->hash;
    rdg_free(g);
    rdg_buf_fini(&text);
    return err;
}

rdg_err_t mainchain_note_genesis(rdg_baas_t *b, const chain_t *c) {
    rdg_hash_t digest;
    if (!b->mainchain || !c->genesis) return RDG_OK;
    RDG_TRY(genesis_of(c, &digest));
    return rdg_baas_mainchain_genesis(b, c->chain_id, c->name, &digest);
}

rdg_err_t rdg_baas_mainchain_genesis(rdg_baas_t *b, uint64_t chain_id, const char *name,
                                     const rdg_hash_t *digest) {
    RDG_TRY(mainchain_needed(b));
    RDG_TRY(intent_add(b, chain_id, name, RDG_ANCHOR_GENESIS, "genesis",
                       json_pack("[o, s]", rdg_json_hex(digest->b, sizeof digest->b), name)));
    mainchain_kick(b);
    return RDG_OK;
}

static rdg_err_t add_named(rdg_baas_t *b, uint64_t chain, rdg_anchor_kind_t kind, const char *key,
                           json_t *values) {
    intent_t genesis;
    rdg_err_t err = intent_find(b, chain, "genesis", &genesis);
    bool known = err == RDG_OK && genesis.number != 0;
    const char *name = known ? json_string_value(json_array_get(genesis.values, 1)) : NULL;
    if (err == RDG_OK && !known)
        err = rdg_fail(RDG_E_NOT_FOUND, "the main chain has no genesis of chain %" PRIu64, chain);
    if (err == RDG_OK) {
        err = intent_add(b, chain, name, kind, key, values);
        values = NULL;
    }
    json_decref(values);
    intent_fini(&genesis);
    if (err == RDG_OK) mainchain_kick(b);
    return err;
}

rdg_err_t mainchain_note_destroyed(rdg_baas_t *b, const chain_t *c, bool discarded) {
    uint64_t checkpoint, archived;
    if (!b->mainchain) return RDG_OK;
    RDG_TRY(intent_highest(b, c->chain_id, RDG_ANCHOR_CHECKPOINT, 0, &checkpoint));
    RDG_TRY(intent_highest(b, c->chain_id, RDG_ANCHOR_ARCHIVE, 1, &archived));
    rdg_err_t err = rdg_baas_mainchain_destroyed(b, c->chain_id,
                                                 checkpoint > archived ? checkpoint : archived, discarded);
    return err == RDG_E_NOT_FOUND ? RDG_OK : err; /* it never ran */
}

/* --- what others record ---------------------------------------------------------------------------------------------- */

rdg_err_t rdg_baas_mainchain_destroyed(rdg_baas_t *b, uint64_t chain_id, uint64_t height, bool discarded) {
    RDG_TRY(mainchain_needed(b));
    return add_named(b, chain_id, RDG_ANCHOR_DESTRUCTION, DESTRUCTION_KEY,
                     json_pack("[I, b]", (json_int_t)height, (int)discarded));
}

rdg_err_t rdg_baas_mainchain_recovery(rdg_baas_t *b, uint64_t chain_id, const char *device, uint64_t from,
                                      uint64_t to, const rdg_hash_t *reference) {
    char key[16 + 2 * RDG_HASH_BYTES] = "recovery:";
    RDG_TRY(mainchain_needed(b));
    rdg_hex_encode(reference->b, sizeof reference->b, key + strlen(key));
    return add_named(b, chain_id, RDG_ANCHOR_RECOVERY, key,
                     json_pack("[s, I, I, o]", device, (json_int_t)from, (json_int_t)to,
                               rdg_json_hex(reference->b, sizeof reference->b)));
}

static void archive_key(const char *what, const rdg_hash_t *manifest, char out[16 + 2 * RDG_HASH_BYTES]) {
    int n = snprintf(out, 16, "%s:", what);
    rdg_hex_encode(manifest->b, sizeof manifest->b, out + n);
}

rdg_err_t rdg_baas_mainchain_receipt(rdg_baas_t *b, uint64_t chain_id, const rdg_hash_t *manifest,
                                     rdg_bytes_t signed_receipt) {
    char key[16 + 2 * RDG_HASH_BYTES];
    rdg_hash_t digest;
    RDG_TRY(mainchain_needed(b));
    rdg_sm3(signed_receipt.data, signed_receipt.len, &digest);
    archive_key("receipt", &digest, key);
    return add_named(b, chain_id, RDG_ANCHOR_RECEIPT, key,
                     json_pack("[o, o]", rdg_json_hex(manifest->b, sizeof manifest->b),
                               rdg_json_hex(digest.b, sizeof digest.b)));
}

static json_t *archive_values(const rdg_baas_archive_t *a) {
    return json_pack("[I, I, I, o, o]", (json_int_t)a->from, (json_int_t)a->to, (json_int_t)a->mark_ms,
                     rdg_json_hex(a->manifest.b, sizeof a->manifest.b),
                     rdg_json_hex(a->content.b, sizeof a->content.b));
}

static void tell(const intent_t *i, rdg_baas_anchor_t *out) {
    memset(out, 0, sizeof *out);
    out->state = i->state == INTENT_WRITTEN   ? RDG_BAAS_ANCHOR_WRITTEN
                 : i->state == INTENT_REFUSED ? RDG_BAAS_ANCHOR_REFUSED
                                              : RDG_BAAS_ANCHOR_PENDING;
    out->index = i->index;
    out->height = i->block;
    out->tx = i->tx_id;
    snprintf(out->error, sizeof out->error, "%s", i->error);
}

typedef struct reach {
    uint64_t to;    /* the last block of which the registry has an archive */
    int64_t by;     /* the intent that became it */
    bool destroyed; /* it takes nothing of this chain any more */
} reach_t;

static rdg_err_t find_reach(rdg_baas_t *b, uint64_t chain, reach_t *out) {
    intent_t i;
    RDG_TRY(intent_last_written(b, chain, RDG_ANCHOR_ARCHIVE, &i));
    out->to = (uint64_t)json_integer_value(json_array_get(i.values, 1));
    out->by = i.number;
    intent_fini(&i);
    RDG_TRY(intent_find(b, chain, DESTRUCTION_KEY, &i));
    out->destroyed = i.number != 0 && i.state == INTENT_WRITTEN;
    intent_fini(&i);
    return RDG_OK;
}

static rdg_err_t tell_refused(rdg_baas_t *b, const rdg_baas_archive_t *a, rdg_baas_anchor_t *out) {
    reach_t reach;
    RDG_TRY(find_reach(b, a->chain_id, &reach));
    out->never = reach.destroyed || a->from <= reach.to;
    return RDG_OK;
}

static rdg_err_t look(rdg_baas_t *b, const rdg_baas_archive_t *a, const char *key, rdg_baas_anchor_t *out) {
    intent_t i;
    json_t *values = archive_values(a);
    rdg_err_t err = intent_find(b, a->chain_id, key, &i);
    if (err == RDG_OK && i.number == 0) err = rdg_fail(RDG_E_INTERNAL, "a stored intent is not there");
    if (err == RDG_OK && !json_equal(i.values, values))
        err = rdg_fail(RDG_E_CONFLICT,
                       "this manifest was to be anchored with another range, mark or content before");
    if (err == RDG_OK) tell(&i, out);
    if (err == RDG_OK && out->state == RDG_BAAS_ANCHOR_REFUSED) err = tell_refused(b, a, out);
    intent_fini(&i);
    json_decref(values);
    return err;
}

/* One that came too early is told again when it follows the last one; what was refused for another reason (this cloud was
 * no writer), now and then. */
static rdg_err_t make_room(rdg_baas_t *b, const rdg_baas_archive_t *a, const char *key) {
    reach_t reach;
    intent_t i;
    RDG_TRY(intent_find(b, a->chain_id, key, &i));
    bool refused = i.number != 0 && i.state == INTENT_REFUSED;
    int64_t number = i.number;
    bool long_ago = baas_now() > i.done_ms + TELL_AGAIN_MS;
    intent_fini(&i);
    if (!refused) return RDG_OK;
    RDG_TRY(find_reach(b, a->chain_id, &reach));
    if (reach.destroyed || a->from != reach.to + 1) return RDG_OK;
    return reach.by > number || long_ago ? intent_set_aside(b, a->chain_id, key) : RDG_OK;
}

static rdg_err_t store_archive(rdg_baas_t *b, const rdg_baas_archive_t *a, const char *key) {
    RDG_TRY(rdg_sql_begin(b->db));
    rdg_err_t err = succession_check_archive(b, a->chain_id, a->to, &a->manifest);
    if (err == RDG_OK) err = make_room(b, a, key);
    if (err == RDG_OK) err = add_named(b, a->chain_id, RDG_ANCHOR_ARCHIVE, key, archive_values(a));
    if (err == RDG_OK) err = rdg_sql_commit(b->db);
    if (err != RDG_OK) rdg_sql_rollback(b->db);
    return err;
}

static rdg_err_t check_archive(const rdg_baas_archive_t *a) {
    if (a->from >= 1 && a->from <= a->to && a->to <= INT64_MAX && a->mark_ms <= INT64_MAX) return RDG_OK;
    return rdg_fail(RDG_E_INVALID, "an archive of blocks %" PRIu64 " to %" PRIu64 " can not be anchored",
                    a->from, a->to);
}

rdg_err_t rdg_baas_mainchain_anchor(rdg_baas_t *b, const rdg_baas_archive_t *archive, uint64_t wait_ms,
                                    rdg_baas_anchor_t *out) {
    char key[16 + 2 * RDG_HASH_BYTES];
    uint64_t end = baas_mono() + wait_ms;
    RDG_TRY(mainchain_needed(b));
    RDG_TRY(check_archive(archive));
    archive_key("archive", &archive->manifest, key);
    RDG_TRY(store_archive(b, archive, key));
    for (bool over = false;;) {
        pthread_mutex_lock(&b->lock);
        uint64_t seen = b->mainchain->ended;
        pthread_mutex_unlock(&b->lock);
        RDG_TRY(look(b, archive, key, out));
        if (over || out->state != RDG_BAAS_ANCHOR_PENDING) return RDG_OK;
        pthread_mutex_lock(&b->lock);
        while (!b->stopping && seen == b->mainchain->ended && baas_mono() < end)
            (void)baas_wait(b, &b->mainchain->changed, end);
        over = b->stopping || baas_mono() >= end;
        pthread_mutex_unlock(&b->lock);
    }
}

rdg_err_t rdg_baas_mainchain_proof(rdg_baas_t *b, uint64_t chain_id, const rdg_hash_t *manifest,
                                   rdg_buf_t *out) {
    char key[16 + 2 * RDG_HASH_BYTES];
    intent_t i;
    RDG_TRY(mainchain_needed(b));
    archive_key("archive", manifest, key);
    RDG_TRY(intent_find(b, chain_id, key, &i));
    rdg_err_t err = i.number != 0 && i.state == INTENT_WRITTEN
                        ? mainchain_prove(b, &i, out)
                        : rdg_fail(RDG_E_NOT_FOUND, "this archive is not anchored (yet)");
    intent_fini(&i);
    return err;
}
