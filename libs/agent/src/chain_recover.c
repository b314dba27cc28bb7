/* chain.recover: a node whose ledger is damaged, or lost, begins anew: from archives if the cloud names some, then from its
 * peers.
 *
 *   set-aside  the node stands; its ledger is moved to data.damaged (set_aside.h); `voted` says that this is no new node,
 *              so that it votes again only when it has caught up (docs/consensus.md, lost records)
 *   archive n of m: …   the archives that the cloud names, if any (chain_restore.c)
 *   configure, start, ready   as chain.start: genesis, peers, certificates and configuration are written anew
 *   catch-up   until it has the height that the cloud named, and votes again if the cloud says that it can; then
 *              data.damaged is deleted
 *
 * <node>/recovering holds the command's id and how far it is: after a crash the command runs again, and what was brought
 * in meanwhile is not set aside with the rest; <node>/recovered, that only its result is to be told again. The node's keys can not come from anybody: without them nothing is done. */
#include "agent_internal.h"
#include "set_aside.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/client/rpc.h"
#include "ridge/codec/hex.h"
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define LOOK_MS 50
#define ASK_MS 2000
#define RESTORED (SET_ASIDE_DONE + 1)

typedef struct recovery {
    rdg_agent_t *a;
    const command_t *c;
    executor_run_t *at;
    chain_t chain;
    uint64_t target;
    bool await_voting;
    set_aside_t aside;
    char record[CHAIN_PATH_MAX], key[CHAIN_PATH_MAX], enc_key[CHAIN_PATH_MAX], restore[CHAIN_PATH_MAX];
} recovery_t;

static rdg_err_t find_paths(recovery_t *r) {
    const char *dir = r->a->dir, *name = r->chain.name;
    RDG_TRY(chain_path(dir, name, "node/restore", r->restore));
    RDG_TRY(chain_path(dir, name, "node/damaged", r->record));
    RDG_TRY(chain_path(dir, name, "node/node-enc.key", r->enc_key));
    return chain_path(dir, name, "node/node.key", r->key);
}

/* Of the two that certificates are of. */
static rdg_err_t check_keys(const recovery_t *r) {
    rdg_sm2_key_t *key = NULL;
    rdg_sm2_public_t public;
    uint8_t wanted[sizeof public.b];
    /* One that takes over gets its second key with the certificates that this command brings. */
    rdg_err_t err =
        r->aside.fresh && !rdg_file_exists(r->enc_key) ? RDG_OK : rdg_sm2_key_load(r->enc_key, &key);
    rdg_sm2_key_free(key);
    key = NULL;
    if (err == RDG_OK) err = rdg_sm2_key_load(r->key, &key);
    if (err == RDG_OK) {
        rdg_sm2_key_public(key, &public);
        rdg_sm2_key_free(key);
        RDG_TRY(rdg_json_get_hex(r->c->params, "public_key", wanted, sizeof wanted));
        if (memcmp(wanted, public.b, sizeof wanted) == 0) return RDG_OK;
        err = rdg_fail(RDG_E_CONFLICT, "%s is not the key that the chain knows", r->key);
    }
    return rdg_fail_in(
        err, "the node's keys can not be brought back by its peers: remove this validator and add it again "
             "(ridge chain validator)");
}

static rdg_err_t put_aside(recovery_t *r) {
    bool done = set_aside_stage(&r->aside) >= SET_ASIDE_DONE;
    executor_progress(r->at, "set-aside", 0);
    RDG_TRY(set_aside(&r->aside));
    if (!done)
        rdg_log(RDG_LOG_INFO, "chain.recover", RDG_STR("chain", r->chain.name), RDG_U64("to", r->target));
    return RDG_OK;
}

/* A chain of which every ledger was lost: at this very block the node may vote as if it had not forgotten what it voted. */
static rdg_err_t forgive(const recovery_t *r) {
    char path[CHAIN_PATH_MAX], text[32];
    uint64_t height = 0;
    RDG_TRY(rdg_json_opt_u64(r->c->params, "vote_again", &height));
    if (height == 0) return RDG_OK;
    RDG_TRY(chain_path(r->a->dir, r->chain.name, "node/vote-again", path));
    snprintf(text, sizeof text, "%llu\n", (unsigned long long)height);
    return rdg_file_replace(path, rdg_bytes_str(text), 0600);
}

/* While the directory is there the node takes no part; so it goes when all is in, and before the node is started. */
static rdg_err_t restore(recovery_t *r) {
    json_t *archives = json_object_get(r->c->params, "archives");
    if (set_aside_stage(&r->aside) == SET_ASIDE_ENDED) return RDG_OK;
    if (json_array_size(archives) > 0 && set_aside_stage(&r->aside) < RESTORED) {
        RDG_TRY(agent_restore_chain(r->a, r->c, r->at, archives));
        RDG_TRY(set_aside_note(&r->aside, RESTORED));
    }
    RDG_TRY(rdg_tree_remove(r->restore, NULL));
    return forgive(r);
}

typedef struct seen {
    uint64_t height;
    bool there, voting;
    json_t *hash; /* owned */
} seen_t;

static rdg_err_t look(const rdg_rpc_t *rpc, const recovery_t *r, seen_t *out) {
    json_t *status = NULL;
    rdg_err_t err = rdg_rpc_call(rpc, "ridge_status", json_array(), &status);
    const char *halted = json_string_value(json_object_get(status, "halted"));
    if (err == RDG_OK && halted)
        err = rdg_fail(RDG_E_CORRUPT, "the node of chain %s halted again: %s", r->chain.name, halted);
    else if (err != RDG_OK)
        err = RDG_OK; /* it is starting, or busy */
    out->height = (uint64_t)json_integer_value(json_object_get(status, "height"));
    const json_t *consensus = json_object_get(status, "consensus");
    bool observes = json_integer_value(json_object_get(consensus, "self")) >=
                    json_integer_value(json_object_get(consensus, "validators"));
    out->voting = json_is_true(json_object_get(consensus, "voting"));
    out->there = status && out->height >= r->target && !json_is_true(json_object_get(status, "syncing")) &&
                 (out->voting || observes || !r->await_voting);
    json_decref(out->hash);
    out->hash = json_incref(json_object_get(status, "hash"));
    json_decref(status);
    return err;
}

static rdg_err_t await_caught_up(recovery_t *r, seen_t *out) {
    char url[64];
    rdg_rpc_t *rpc = NULL;
    agent_rpc_url(&r->chain, url);
    rdg_err_t err = rdg_rpc_http_new(url, ASK_MS, &rpc);
    while (err == RDG_OK && (err = look(rpc, r, out)) == RDG_OK && !out->there) {
        unsigned percent = r->target ? (unsigned)(out->height * 100 / r->target) : 0;
        executor_progress(r->at, "catch-up", percent > 99 ? 99 : percent);
        if (executor_stopping(r->at))
            err = rdg_fail(RDG_E_CANCELLED, "the agent stops");
        else if (rdg_file_exists(r->record))
            err = rdg_fail(RDG_E_CORRUPT, "the node of chain %s is damaged again: see ridge chain status",
                           r->chain.name);
        else if (r->c->deadline_ms > 0 && rdg_wall_ms(rdg_clock_system()) >= r->c->deadline_ms)
            err = rdg_fail(
                RDG_E_TIMEOUT,
                "the node of chain %s is at block %llu of %llu: it goes on by itself if its peers are there",
                r->chain.name, (unsigned long long)out->height, (unsigned long long)r->target);
        else
            (void)poll(NULL, 0, LOOK_MS);
    }
    rdg_rpc_http_free(rpc);
    return err;
}

static rdg_err_t finish(recovery_t *r, const seen_t *s, json_t **result) {
    uint64_t freed = 0;
    RDG_TRY(set_aside_end(&r->aside, &freed));
    json_decref(*result);
    *result = json_pack("{s:I, s:O?, s:b, s:I}", "height", (json_int_t)s->height, "hash", s->hash, "voting",
                        (int)s->voting, "freed_bytes", (json_int_t)freed);
    rdg_log(RDG_LOG_INFO, "chain.recovered", RDG_STR("chain", r->chain.name), RDG_U64("height", s->height),
            RDG_BOOL("voting", s->voting));
    return *result ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for the result");
}

rdg_err_t agent_recover_chain(rdg_agent_t *a, const command_t *c, executor_run_t *at, json_t **result) {
    recovery_t *r = rdg_calloc(1, sizeof *r);
    seen_t seen = {0};
    if (!r) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a recovery");
    *r = (recovery_t){.a = a, .c = c, .at = at};
    r->aside = (set_aside_t){a->dir, a->workloads, c->id, &r->chain, false};
    rdg_err_t err = workloads_get(a->workloads, c->chain, &r->chain);
    if (err == RDG_OK) err = rdg_json_opt_u64(c->params, "height", &r->target);
    if (err == RDG_OK) err = rdg_json_opt_bool(c->params, "await_voting", &r->await_voting);
    if (err == RDG_OK) err = rdg_json_opt_bool(c->params, "fresh", &r->aside.fresh);
    if (err == RDG_OK) err = find_paths(r);
    if (err == RDG_OK) err = check_keys(r);
    if (err == RDG_OK) err = put_aside(r);
    if (err == RDG_OK) err = restore(r);
    if (err == RDG_OK) err = agent_start_chain(a, c, at, result);
    if (err == RDG_OK) err = await_caught_up(r, &seen);
    if (err == RDG_OK) err = finish(r, &seen, result);
    json_decref(seen.hash);
    rdg_free(r);
    return err;
}
