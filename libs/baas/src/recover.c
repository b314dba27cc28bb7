/* A node that begins anew, from archives or from its peers: ordered from its device, and recorded on the main chain. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "archive_keys.h"
#include "archive_states.h"
#include "contract.h"
#include "mainchain.h"
#include "succession.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"

#define ASK_MS 2000
#define MOVE_ON_MS 1000
#define DEADLINE_MS (6ull * 3600000) /* a large ledger over a thin line */

typedef struct others {
    size_t count, answered, voting; /* nodes beside the one; that are sound; that vote */
    uint64_t height;                /* the highest head */
    uint64_t quorum, validators;
} others_t;

static void add_other(const json_t *status, others_t *o) {
    const json_t *consensus = json_object_get(status, "consensus");
    json_int_t height = json_integer_value(json_object_get(status, "height"));
    ++o->answered;
    o->voting += json_is_true(json_object_get(consensus, "voting"));
    o->quorum = (uint64_t)json_integer_value(json_object_get(consensus, "quorum"));
    o->validators = (uint64_t)json_integer_value(json_object_get(consensus, "validators"));
    if (height > 0 && (uint64_t)height > o->height) o->height = (uint64_t)height;
}

/* What the other nodes say: what the recovered one must come to. UNAVAILABLE: nobody could give it anything. */
static rdg_err_t look_at_others(rdg_baas_t *b, const chain_t *c, const char *device, others_t *o) {
    relay_t r;
    RDG_TRY(relay_init(&r, b, c, ASK_MS));
    memset(o, 0, sizeof *o);
    for (size_t i = 0; i < r.steps.count; ++i) {
        const step_t *s = &r.steps.list[i];
        json_t *status = NULL, *none = json_array();
        bool other = s->kind == STEP_PREPARE && strcmp(s->device, device) != 0 &&
                     !steps_find(&r.steps, s->device, STEP_REMOVE);
        o->count += other;
        if (other && relay_ask(&r, s->device, "ridge_status", none, &status) == RDG_OK &&
            json_is_null(json_object_get(status, "halted")))
            add_other(status, o);
        json_decref(none);
        json_decref(status);
    }
    relay_fini(&r);
    if (o->answered > 0) return RDG_OK;
    return rdg_fail(
        RDG_E_UNAVAILABLE,
        o->count == 0
            ? "device '%s' runs the only node of chain '%s': no peer holds its ledger"
            : "no sound node beside device '%s' of chain '%s' answers: it has nobody to recover from",
        device, c->name);
}

/* A chain of so few validators that it needs all of them; nobody votes again on it without his records. */
static bool tolerates(const others_t *o) {
    return o->quorum < o->validators;
}

/* Who begins anew votes only after the others have gone on without him, so they must be able to. */
static rdg_err_t check_others(const chain_t *c, const others_t *o) {
    if (!tolerates(o) || o->voting >= o->quorum) return RDG_OK;
    return rdg_fail(
        RDG_E_CONFLICT,
        "%zu of the other validators of chain '%s' vote, and %llu are needed to go on while this one begins "
        "anew: bring those that are away or recovering back first (ridge chain consensus %s)",
        o->voting, c->name, (unsigned long long)o->quorum, c->name);
}

static rdg_err_t insert(rdg_baas_t *b, const chain_t *c, const step_t *prepared, const step_t *former,
                        const archive_span_t *span) {
    RDG_TRY(rdg_sql_begin(b->db));
    rdg_err_t err = recovery_wish_set(b, c, prepared->device, span);
    if (err == RDG_OK)
        err = former ? step_again(b, c, former)
                     : step_insert(b, c, prepared->device, prepared->position, STEP_RECOVER);
    if (err == RDG_OK) err = event_add(b, c->number, prepared->device, "recover", "ordered", "");
    if (err == RDG_OK) err = rdg_sql_commit(b->db);
    if (err != RDG_OK) rdg_sql_rollback(b->db);
    event_wake(b);
    return err;
}

/* From archives a node comes back without peers; with some it must not take the chain's last votes away. */
static rdg_err_t check_sources(rdg_baas_t *b, const chain_t *c, const char *device,
                               const archive_span_t *span) {
    others_t others;
    archive_piece_t *pieces = NULL;
    size_t count = 0;
    rdg_err_t err = look_at_others(b, c, device, &others);
    if (!span->wanted || err == RDG_OK) {
        RDG_TRY(err);
        RDG_TRY(check_others(c, &others));
    }
    if (!span->wanted) return RDG_OK;
    RDG_TRY(mainchain_needed(b));
    RDG_TRY(archive_pieces(b, c, &pieces, &count));
    uint64_t reach = count ? pieces[count - 1].to : 0;
    err = archive_keys_check(b, c, pieces, count);
    rdg_free(pieces);
    RDG_TRY(err);
    if (reach > 0 && reach >= span->to) return RDG_OK;
    return rdg_fail(RDG_E_UNAVAILABLE,
                    "the archives of chain '%s' reach from block 1 to %" PRIu64
                    " without a gap: see ridge archive list",
                    c->name, reach);
}

static rdg_err_t order(rdg_baas_t *b, const chain_t *c, const char *device, const archive_span_t *span) {
    steps_t steps;
    RDG_TRY(steps_load(b, c, &steps));
    const step_t *prepared = steps_find(&steps, device, STEP_PREPARE),
                 *former = steps_find(&steps, device, STEP_RECOVER);
    rdg_err_t err = RDG_OK;
    if (!prepared || steps_find(&steps, device, STEP_REMOVE))
        err = rdg_fail(RDG_E_NOT_FOUND, "device '%.64s' has no node of chain '%s': see ridge chain status %s",
                       device, c->name, c->name);
    else if (former && former->rank != RANK_FINAL)
        err = rdg_fail(RDG_E_CONFLICT, "the node of device '%s' is being recovered already", device);
    if (err == RDG_OK) err = check_sources(b, c, device, span);
    if (err == RDG_OK) err = insert(b, c, prepared, former, span);
    steps_fini(&steps);
    return err;
}

static rdg_err_t read_span(const rdg_service_call_t *call, archive_span_t *s) {
    *s = (archive_span_t){.wanted = false};
    if (!call->body) return RDG_OK;
    RDG_TRY(rdg_json_opt_bool(call->body, "archives", &s->wanted));
    RDG_TRY(rdg_json_opt_u64(call->body, "from", &s->from));
    RDG_TRY(rdg_json_opt_u64(call->body, "to", &s->to));
    if (s->from > INT64_MAX || s->to > INT64_MAX || (s->to > 0 && s->from > s->to))
        return rdg_fail(RDG_E_INVALID, "from, to: want heights, the first not behind the last");
    s->wanted = s->wanted || s->from > 0 || s->to > 0;
    return RDG_OK;
}

static rdg_err_t do_recover(rdg_baas_t *b, chain_t *c, const rdg_service_call_t *call) {
    archive_span_t span;
    RDG_TRY(read_span(call, &span));
    return order(b, c, rdg_service_arg(call, "device"), &span);
}

static rdg_err_t recover(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    return chain_change(ctx, call, answer, true, do_recover);
}

/* --- the workflow -------------------------------------------------------------------------------------------------- */

/* archives: NULL without a wish for them. */
static rdg_err_t find_sources(rdg_baas_t *b, const chain_t *c, const step_t *s, others_t *others,
                              json_t **archives) {
    archive_span_t span;
    uint64_t last = 0;
    *archives = NULL;
    RDG_TRY(recovery_wish(b, c, s->device, &span));
    rdg_err_t err = look_at_others(b, c, s->device, others);
    if (!span.wanted || (err != RDG_OK && err != RDG_E_UNAVAILABLE)) return err;
    RDG_TRY(recovery_archives(b, c, s->device, &span, archives, &last));
    if (last > others->height) others->height = last;
    return RDG_OK;
}

/* A node that takes over from lost ones (succession.h): it never voted. */
static rdg_err_t is_fresh(rdg_baas_t *b, const chain_t *c, const step_t *s, bool *out) {
    succession_t succession;
    RDG_TRY(succession_load(b, c, &succession));
    *out = succession.number != 0 && strcmp(succession.step, "restore") == 0 &&
           strcmp(succession.state, "running") == 0 && succession_names(&succession, s->device);
    succession_fini(&succession);
    return RDG_OK;
}

static rdg_err_t send_one(rdg_baas_t *b, const chain_t *c, const steps_t *steps, const step_t *s) {
    others_t others;
    const step_t *prepared = steps_find(steps, s->device, STEP_PREPARE);
    json_t *params = NULL, *archives = NULL, *keys = NULL;
    uint64_t rebuilt;
    bool fresh;
    RDG_TRY(rebuild_height(b, c, &rebuilt));
    RDG_TRY(is_fresh(b, c, s, &fresh));
    RDG_TRY(find_sources(b, c, s, &others, &archives));
    rdg_err_t err = flow_start_params(b, c, steps, s, &params);
    if (err != RDG_OK || !params) { /* NULL: the step has failed */
        json_decref(archives);
        return err;
    }
    /* After the parameters, with which the node's certificates were made if it had none. */
    if (archives) err = archive_keys_wrap_all(b, c, s->device, archives, &keys);
    if (archives) json_object_set_new(params, "archives", archives);
    if (err != RDG_OK) {
        json_decref(params);
        return err;
    }
    if (json_array_size(keys) > 0) json_object_set(params, "keys", keys);
    json_decref(keys);
    json_object_set_new(params, "height", json_integer((json_int_t)others.height));
    /* Nobody else there: nothing is decided with which it could vote again. */
    json_object_set_new(params, "await_voting",
                        json_boolean(fresh || rebuilt > 0 || (tolerates(&others) && others.voting > 0)));
    if (rebuilt > 0) json_object_set_new(params, "vote_again", json_integer((json_int_t)rebuilt));
    if (fresh) json_object_set_new(params, "fresh", json_true());
    json_object_set(params, "public_key", json_object_get(prepared->result, "public_key"));
    return flow_send(b, c, s, "chain.recover", params, DEADLINE_MS);
}

static rdg_err_t record(rdg_baas_t *b, const chain_t *c, const step_t *s) {
    char key[16 + 2 * RDG_HASH_BYTES] = "recovery:";
    rdg_hash_t reference;
    intent_t known;
    uint64_t height = 0;
    if (!b->mainchain || rdg_json_opt_u64(s->result, "height", &height) != RDG_OK || height == 0)
        return RDG_OK;
    rdg_sm3(s->command, strlen(s->command), &reference);
    rdg_hex_encode(reference.b, sizeof reference.b, key + strlen(key));
    RDG_TRY(intent_find(b, c->chain_id, key, &known));
    bool done = known.number != 0;
    intent_fini(&known);
    if (done) return RDG_OK;
    rdg_log(RDG_LOG_INFO, "chain.node_recovered", RDG_STR("chain", c->name), RDG_STR("device", s->device),
            RDG_U64("height", height));
    rdg_err_t err = rdg_baas_mainchain_recovery(b, c->chain_id, s->device, 1, height, &reference);
    return err == RDG_E_NOT_FOUND ? RDG_OK : err;
}

/* It votes again once a height was decided above all that it may have voted on. An idle chain decides none: so it is
 * given a transaction that does nothing. */
static rdg_err_t move_on(rdg_baas_t *b, const chain_t *c, const step_t *s) {
    static const rdg_address_t nobody;
    relay_t r;
    json_t *status = NULL, *none = json_array();
    rdg_tx_t *tx = NULL;
    rdg_err_t err = relay_init(&r, b, c, ASK_MS);
    if (err != RDG_OK) {
        json_decref(none);
        return err;
    }
    bool here = relay_ask(&r, s->device, "ridge_status", none, &status) == RDG_OK &&
                json_is_null(json_object_get(status, "halted")) &&
                json_is_false(json_object_get(status, "syncing")) &&
                json_is_false(json_object_get(json_object_get(status, "consensus"), "voting"));
    if (here && contract_sign(&r, c, &nobody, rdg_bytes(NULL, 0), &tx) == RDG_OK)
        (void)rdg_rpc_send(&r.rpc, tx);
    rdg_tx_unref(tx);
    json_decref(none);
    json_decref(status);
    relay_fini(&r);
    return RDG_OK;
}

/* What has nobody to give it anything yet waits, and holds up nothing else; what can not be is the step's outcome. */
static rdg_err_t send_pending(rdg_baas_t *b, const chain_t *c, const steps_t *steps, const step_t *s) {
    rdg_err_t err = send_one(b, c, steps, s);
    if (err == RDG_OK) return RDG_OK;
    if (!flow_passes(err)) return flow_refuse(b, s, err);
    rdg_log(RDG_LOG_WARN, "chain.recover_waits", RDG_STR("chain", c->name), RDG_STR("device", s->device),
            RDG_STR("code", rdg_err_name(err)), RDG_STR("error", rdg_err_message(err)));
    return RDG_OK;
}

rdg_err_t flow_recover(rdg_baas_t *b, const chain_t *c, const steps_t *steps, uint64_t *after_ms) {
    bool any = false;
    for (size_t i = 0; i < steps->count; ++i) {
        const step_t *s = &steps->list[i];
        if (s->kind != STEP_RECOVER) continue;
        if (s->rank == RANK_PENDING) RDG_TRY(send_pending(b, c, steps, s));
        if (step_done(s)) RDG_TRY(record(b, c, s));
        if (s->rank == RANK_FINAL) RDG_TRY(recovery_archives_end(b, c, s->device));
        if (s->rank == RANK_FINAL) continue;
        any = true;
        if (s->rank != RANK_PENDING) RDG_TRY(move_on(b, c, s));
        if (*after_ms == 0 || *after_ms > MOVE_ON_MS) *after_ms = MOVE_ON_MS;
    }
    return any ? RDG_OK : rebuild_end(b, c);
}

const rdg_service_route_t recover_routes[] = {
    {"POST", "/api/v1/chains/{name}/nodes/{device}/recover", RDG_ROUTE_OWNED, recover},
};
const size_t recover_route_count = sizeof recover_routes / sizeof recover_routes[0];
