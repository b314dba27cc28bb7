/* Many messages checked with few calls of the host: each light one is checked with a host that says yes to its one
 * signature and keeps it; the kept ones are then verified together. */
#include "core.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include <string.h>

typedef struct kept {
    const rdg_sm2_public_t *pub;
    rdg_hash_t hash;
    rdg_sm2_signature_t signature;
    size_t message;
} kept_t;

typedef struct keeper {
    const rdg_consensus_host_t *host; /* the true one */
    rdg_consensus_verdict_t *verdicts;
    size_t message, count;
    kept_t kept[RDG_CONSENSUS_CHECKS];
    rdg_consensus_config_t config; /* the core's, with the host that keeps */
} keeper_t;

static void judge(rdg_consensus_verdict_t *v, rdg_err_t err) {
    const char *why = err == RDG_OK ? "" : rdg_err_message(err);
    size_t len = strlen(why);
    if (len >= sizeof v->why) len = sizeof v->why - 1;
    v->err = err;
    memcpy(v->why, why, len);
    v->why[len] = '\0';
}

static void verify_kept(keeper_t *k) {
    rdg_sm2_check_t checks[RDG_CONSENSUS_CHECKS];
    rdg_err_t results[RDG_CONSENSUS_CHECKS];
    for (size_t i = 0; i < k->count; ++i) {
        results[i] = RDG_E_BAD_SIGNATURE; /* a host that leaves it unwritten has not verified */
        checks[i] = (rdg_sm2_check_t){k->kept[i].pub, rdg_bytes(k->kept[i].hash.b, RDG_HASH_BYTES),
                                      &k->kept[i].signature, .any_s = true};
    }
    if (k->count > 0) k->host->verify(k->host->ctx, checks, k->count, results);
    for (size_t i = 0; i < k->count; ++i) {
        rdg_consensus_verdict_t *v = &k->verdicts[k->kept[i].message];
        if (results[i] != RDG_OK && v->err == RDG_OK)
            judge(v, rdg_fail(RDG_E_BAD_SIGNATURE, "the signature of the message does not verify"));
    }
    k->count = 0;
}

static void keep(void *ctx, const rdg_sm2_check_t *checks, size_t count, rdg_err_t *results) {
    keeper_t *k = ctx;
    for (size_t i = 0; i < count; ++i) {
        RDG_ASSERT(checks[i].msg.len == RDG_HASH_BYTES);
        if (k->count == RDG_CONSENSUS_CHECKS) verify_kept(k);
        kept_t *kept = &k->kept[k->count++];
        kept->pub = checks[i].pub;
        memcpy(kept->hash.b, checks[i].msg.data, RDG_HASH_BYTES);
        kept->signature = *checks[i].sig;
        kept->message = k->message;
        results[i] = RDG_OK; /* for now */
    }
}

static rdg_err_t digest(void *ctx, rdg_bytes_t proposal, rdg_hash_t *out) {
    const keeper_t *k = ctx;
    return k->host->digest(k->host->ctx, proposal, out);
}

static void check_each(const rdg_consensus_t *c, const rdg_bytes_t *messages, size_t count,
                       rdg_consensus_verdict_t *verdicts) {
    for (size_t i = 0; i < count; ++i) judge(&verdicts[i], rdg_consensus_check(c, messages[i]));
}

void rdg_consensus_check_many(const rdg_consensus_t *c, const rdg_bytes_t *messages, size_t count,
                              rdg_consensus_verdict_t *verdicts) {
    const rdg_consensus_config_t *own = c->vtable->config(c);
    keeper_t *k = count > 1 ? rdg_alloc(sizeof *k) : NULL;
    if (!k) {
        check_each(c, messages, count, verdicts);
        return;
    }
    k->host = &own->host, k->verdicts = verdicts, k->count = 0;
    k->config = *own;
    k->config.host.verify = keep, k->config.host.digest = digest, k->config.host.ctx = k;
    for (size_t i = 0; i < count; ++i) {
        k->message = i;
        verdicts[i].err = RDG_OK; /* before a full keeper judges it */
        bool light = c->vtable->is_light(messages[i]);
        rdg_err_t err = c->vtable->check(light ? &k->config : own, messages[i]);
        if (err != RDG_OK || verdicts[i].err == RDG_OK) judge(&verdicts[i], err);
    }
    verify_kept(k);
    rdg_free(k);
}

bool rdg_consensus_is_light(const rdg_consensus_t *c, rdg_bytes_t message) {
    return c->vtable->is_light(message);
}
