#include "archive_states.h"
#include "mainchain.h"
#include "succession.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"

#define PREPARE_DEADLINE_MS 600000 /* an image may have to be pulled */
#define START_DEADLINE_MS 300000
#define FIRST_BLOCK_MS 60000
#define HEAD_TIMEOUT_MS 1000

/* --- sending ------------------------------------------------------------------------------------ */

/* PROTOCOL: an answer of whoever stands between, or of nobody. */
bool flow_passes(rdg_err_t err) {
    return err == RDG_E_UNAVAILABLE || err == RDG_E_TIMEOUT || err == RDG_E_BUSY || err == RDG_E_CLOSED ||
           err == RDG_E_PROTOCOL || err == RDG_E_NO_MEMORY || err == RDG_E_DISK_FULL || err == RDG_E_IO ||
           err == RDG_E_CANCELLED; /* this cloud stops */
}

/* What the platform refuses (the device is gone, the queue is full) is the step's outcome. */
rdg_err_t flow_refuse(rdg_baas_t *b, const step_t *s, rdg_err_t why) {
    json_t *refused = json_pack("{s:s, s:s, s:{s:s, s:s}}", "id", s->command, "state", "failed", "error",
                                "code", rdg_err_name(why), "message", rdg_err_message(why));
    if (!refused) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a command");
    rdg_err_t err = follow_apply(b, refused);
    json_decref(refused);
    return err;
}

rdg_err_t flow_send(rdg_baas_t *b, const chain_t *c, const step_t *s, const char *type, json_t *params,
                    uint64_t deadline_ms) {
    uint64_t deadline = baas_now() + deadline_ms;
    json_t *body = json_pack("{s:s, s:s, s:o, s:I}", "id", s->command, "type", type, "params", params,
                             "deadline_ms", (json_int_t)deadline);
    if (!body) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a command");
    json_t *command = NULL;
    rdg_err_t err = remote_order(b, s->device, body, &command);
    if (err == RDG_OK) {
        /* Sent for the second time, it may have an outcome already. */
        err = follow_apply(b, command);
        json_decref(command);
        return err;
    }
    (void)c;
    return flow_passes(err) ? err : flow_refuse(b, s, err);
}

static json_t *prepare_params(const chain_t *c) {
    json_t *p = json_pack("{s:s, s:s}", "chain", c->name, "driver", c->driver);
    if (p && c->image) json_object_set_new(p, "image", json_string(c->image));
    return p;
}

rdg_err_t flow_send_prepare(rdg_baas_t *b, const chain_t *c, const steps_t *steps) {
    for (size_t i = 0; i < steps->count; ++i) {
        const step_t *s = &steps->list[i];
        if (s->kind == STEP_PREPARE && s->rank == RANK_PENDING && !steps_find(steps, s->device, STEP_REMOVE))
            RDG_TRY(flow_send(b, c, s, "chain.prepare", prepare_params(c), PREPARE_DEADLINE_MS));
    }
    return RDG_OK;
}

/* The platform answers the same certificates for the same keys: after a crash nothing is made twice. */
static rdg_err_t certify(rdg_baas_t *b, const chain_t *c, const steps_t *steps, const char *device,
                         json_t **out) {
    json_t *requests = NULL;
    const char *sign, *enc;
    for (size_t i = 0; i < steps->count && !requests; ++i) {
        const step_t *s = &steps->list[i];
        if (s->kind == STEP_PREPARE && strcmp(s->device, device) == 0)
            RDG_TRY(rdg_json_get_object(s->result, "certificate_requests", &requests));
    }
    RDG_TRY(rdg_json_get_str(requests, "sign", &sign));
    RDG_TRY(rdg_json_get_str(requests, "enc", &enc));
    json_t *body = json_pack("{s:s, s:s, s:s}", "chain", c->name, "sign_request", sign, "enc_request", enc);
    if (!body) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a certificate request");
    return remote_certify_node(b, device, body, out);
}

rdg_err_t flow_start_params(rdg_baas_t *b, const chain_t *c, const steps_t *steps, const step_t *s,
                            json_t **out) {
    json_t *certificates = NULL, *peers = NULL;
    RDG_TRY(genesis_peers(steps, &peers));
    rdg_err_t err = certify(b, c, steps, s->device, &certificates);
    if (err != RDG_OK) json_decref(peers);
    if (err != RDG_OK && flow_passes(err)) return err;
    if (err != RDG_OK) return flow_refuse(b, s, rdg_fail_in(err, "its node gets no certificates"));
    *out = json_pack("{s:s, s:O, s:O, s:o, s:I, s:I}", "chain", c->name, "genesis", c->genesis, "peers",
                     peers, "certificates", certificates, "memory_bytes", (json_int_t)c->memory_bytes, "pids",
                     (json_int_t)c->pids);
    json_decref(peers);
    json_t *gap = json_object_get(c->params, CHAIN_SNAPSHOT_GAP);
    if (*out && gap) json_object_set(*out, CHAIN_SNAPSHOT_GAP, gap);
    return *out ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for a command");
}

rdg_err_t flow_send_start(rdg_baas_t *b, const chain_t *c, const steps_t *steps) {
    for (size_t i = 0; i < steps->count; ++i) {
        const step_t *s = &steps->list[i];
        json_t *params = NULL;
        if (s->kind != STEP_START || s->rank != RANK_PENDING) continue;
        RDG_TRY(flow_start_params(b, c, steps, s, &params));
        if (params) RDG_TRY(flow_send(b, c, s, "chain.start", params, START_DEADLINE_MS));
    }
    return RDG_OK;
}

/* --- from step to step --------------------------------------------------------------------------- */

static rdg_err_t in_transaction(rdg_baas_t *b, chain_t *c, rdg_err_t (*fn)(rdg_baas_t *, chain_t *, void *),
                                void *arg) {
    RDG_TRY(rdg_sql_begin(b->db));
    rdg_err_t err = fn(b, c, arg);
    if (err == RDG_OK) err = rdg_sql_commit(b->db);
    if (err != RDG_OK) rdg_sql_rollback(b->db);
    event_wake(b);
    mainchain_kick(b);
    return err;
}

static rdg_err_t set_failed(rdg_baas_t *b, chain_t *c, void *why) {
    return chain_set_state(b, c, "failed", why);
}

static rdg_err_t fail_chain(rdg_baas_t *b, chain_t *c, const char *why) {
    char text[RDG_ERROR_TEXT_MAX];
    snprintf(text, sizeof text, "%s", why);
    rdg_log(RDG_LOG_WARN, "chain.failed", RDG_STR("chain", c->name), RDG_STR("why", text));
    return in_transaction(b, c, set_failed, text);
}

static rdg_err_t fail_step(rdg_baas_t *b, chain_t *c, const step_t *s) {
    char why[RDG_ERROR_TEXT_MAX];
    snprintf(why, sizeof why, "device '%s' could not %s: %s", s->device, step_name(s->kind),
             s->error ? s->error : s->state);
    return fail_chain(b, c, why);
}

/* Genesis and the rows of the next step are stored together: after a crash the genesis is never composed
 * anew. */
static rdg_err_t add_start_steps(rdg_baas_t *b, chain_t *c, void *arg) {
    const steps_t *steps = arg;
    json_t *genesis;
    RDG_TRY(genesis_compose(b, c, steps, &genesis));
    RDG_TRY(chain_set_genesis(b, c, genesis));
    for (size_t i = 0; i < steps->count; ++i)
        if (steps->list[i].kind == STEP_PREPARE)
            RDG_TRY(step_insert(b, c, steps->list[i].device, steps->list[i].position, STEP_START));
    return event_add(b, c->number, NULL, "genesis", "done", "");
}

typedef struct tally {
    size_t prepared, started, devices, start_rows, pending;
    const step_t *failed;
} tally_t;

static tally_t count_steps(const steps_t *steps) {
    tally_t t = {0};
    for (size_t i = 0; i < steps->count; ++i) {
        const step_t *s = &steps->list[i];
        if (s->kind == STEP_REMOVE || s->kind == STEP_CLOSE) continue;
        if (s->kind == STEP_PREPARE) ++t.devices, t.prepared += step_done(s);
        if (s->kind == STEP_START) ++t.start_rows, t.started += step_done(s);
        t.pending += s->rank == RANK_PENDING;
        if (!t.failed && step_failed(s)) t.failed = s;
    }
    return t;
}

static rdg_err_t set_started(rdg_baas_t *b, chain_t *c, void *arg) {
    (void)arg;
    c->started_ms = baas_now();
    RDG_TRY(rdg_sql_exec(b->db, "UPDATE chains SET started_ms = ? WHERE number = ?",
                         RDG_SQL_PARAMS(rdg_sql_int((int64_t)c->started_ms), rdg_sql_int(c->number)), NULL));
    return event_add(b, c->number, NULL, "first-block", "running", "");
}

static rdg_err_t set_running(rdg_baas_t *b, chain_t *c, void *arg) {
    (void)arg;
    c->running_ms = baas_now();
    RDG_TRY(mainchain_note_genesis(b, c));
    return chain_set_state(b, c, "running", NULL);
}

/* Any node that holds a sealed block proves that a quorum works. */
static rdg_err_t await_first_block(rdg_baas_t *b, chain_t *c, uint64_t *after_ms) {
    relay_t relay;
    rdg_rpc_head_t head = {0};
    if (c->started_ms == 0) RDG_TRY(in_transaction(b, c, set_started, NULL));
    RDG_TRY(relay_init(&relay, b, c, HEAD_TIMEOUT_MS));
    rdg_err_t err = rdg_rpc_head(&relay.rpc, &head);
    relay_fini(&relay);
    uint64_t waited = baas_now() - c->started_ms;
    if (err == RDG_OK && head.height >= 1) {
        rdg_log(RDG_LOG_INFO, "chain.running", RDG_STR("chain", c->name),
                RDG_U64("create_ms", baas_now() - c->created_ms));
        return in_transaction(b, c, set_running, NULL);
    }
    if (waited > FIRST_BLOCK_MS && waited < UINT64_MAX / 2) {
        char why[RDG_ERROR_TEXT_MAX];
        snprintf(why, sizeof why,
                 "all nodes were started, but no block was sealed within %d s%s%s: see whether they reach "
                 "each other, then ridge chain retry %s",
                 FIRST_BLOCK_MS / 1000, err == RDG_OK ? "" : ": ", err == RDG_OK ? "" : rdg_err_message(err),
                 c->name);
        return fail_chain(b, c, why);
    }
    *after_ms = waited < 2000 ? 10 : 200;
    return RDG_OK;
}

static rdg_err_t advance_create(rdg_baas_t *b, chain_t *c, const steps_t *steps, uint64_t *after_ms) {
    tally_t t = count_steps(steps);
    if (t.failed) return fail_step(b, c, t.failed);
    if (t.pending > 0) {
        RDG_TRY(flow_send_prepare(b, c, steps));
        if (t.start_rows > 0) RDG_TRY(flow_send_start(b, c, steps));
        return RDG_OK;
    }
    if (t.prepared < t.devices) return RDG_OK;
    if (t.start_rows == 0) {
        rdg_err_t err = in_transaction(b, c, add_start_steps, (void *)(uintptr_t)steps);
        if (err == RDG_E_INVALID || err == RDG_E_CONFLICT || err == RDG_E_MALFORMED || err == RDG_E_CRYPTO)
            return fail_chain(b, c, rdg_err_message(err)); /* what a device answered cannot be used */
        *after_ms = err == RDG_OK ? 1 : 0;
        return err;
    }
    return t.started < t.start_rows ? RDG_OK : await_first_block(b, c, after_ms);
}

static rdg_err_t advance_running(rdg_baas_t *b, chain_t *c, const steps_t *steps, uint64_t *after_ms) {
    uint64_t again = 0;
    RDG_TRY(flow_succession(b, c, steps, after_ms));
    if (*after_ms == 1) return RDG_OK; /* its rows have changed */
    RDG_TRY(flow_member(b, c, steps, after_ms));
    RDG_TRY(flow_recover(b, c, steps, after_ms));
    RDG_TRY(contract_resume(b, c, &again));
    if (again > 0 && (*after_ms == 0 || again < *after_ms)) *after_ms = again;
    return RDG_OK;
}

rdg_err_t flow_advance(rdg_baas_t *b, const char *name, uint64_t *after_ms) {
    chain_t c;
    steps_t steps;
    rdg_err_t err = chain_load(b, name, &c);
    if (err == RDG_E_NOT_FOUND) return RDG_OK;
    RDG_TRY(err);
    err = steps_load(b, &c, &steps);
    if (err == RDG_OK) {
        if (chain_is(&c, "creating"))
            err = advance_create(b, &c, &steps, after_ms);
        else if (chain_is(&c, "cancelling") || chain_is(&c, "destroying"))
            err = flow_remove(b, &c, &steps);
        else if (chain_is(&c, "closing"))
            err = flow_close(b, &c, &steps, after_ms);
        else if (chain_is(&c, "running"))
            err = advance_running(b, &c, &steps, after_ms);
        steps_fini(&steps);
    }
    chain_fini(&c);
    return err;
}
