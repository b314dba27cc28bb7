/* A chain of which every ledger is lost, while its devices and their keys are there: every node is built from the archives
 * up to the same block, and votes again from there on, because whoever may order it says so (docs/recovery.md).
 *
 * With new devices in the order, see succession.h. What was decided behind the last archived block is given up. So it is refused as long as one node still has such a
 * block, or a device that may have one does not answer. */
#include "archive_keys.h"
#include "archive_states.h"
#include "mainchain.h"
#include "succession.h"
#include "ridge/base/log.h"
#include <inttypes.h>
#include <poll.h>
#include <string.h>

#define ASK_MS 2000
#define ANSWER_MS 5000 /* that nodes which have just been started may take to answer, all of them */
#define LOOK_MS 100

const char rebuild_migration[] = "CREATE TABLE chain_rebuilds (chain BIGINT PRIMARY KEY, height BIGINT NOT "
                                 "NULL, time_ms BIGINT NOT NULL);";

static rdg_err_t height_row(void *ctx, const rdg_sql_row_t *r) {
    *(uint64_t *)ctx = (uint64_t)rdg_sql_row_int(r, 0);
    return RDG_OK;
}

rdg_err_t rebuild_height(rdg_baas_t *b, const chain_t *c, uint64_t *out) {
    *out = 0;
    return rdg_sql_query(b->db, "SELECT height FROM chain_rebuilds WHERE chain = ?",
                         RDG_SQL_PARAMS(rdg_sql_int(c->number)), height_row, out);
}

rdg_err_t rebuild_end(rdg_baas_t *b, const chain_t *c) {
    return rdg_sql_exec(b->db, "DELETE FROM chain_rebuilds WHERE chain = ?",
                        RDG_SQL_PARAMS(rdg_sql_int(c->number)), NULL);
}

static bool has_node(const steps_t *steps, const step_t *s) {
    return s->kind == STEP_PREPARE && !steps_find(steps, s->device, STEP_REMOVE);
}

typedef struct question {
    relay_t relay;
    const chain_t *c;
    uint64_t reach, until_ms;
    bool discard; /* what nobody tells of is given up */
} question_t;

/* Its device says that the node has found damage in itself: so it does not run. */
static bool is_told_damaged(const question_t *q, const char *device) {
    json_t *about = NULL, *entry;
    bool damaged = false;
    size_t i;
    if (remote_device(q->relay.b, device, &about) != RDG_OK) return false;
    json_array_foreach(json_object_get(about, "chains"), i, entry) {
        const char *name = json_string_value(json_object_get(entry, "chain")),
                   *why = json_string_value(json_object_get(entry, "damaged"));
        damaged = damaged || (name && strcmp(name, q->c->name) == 0 && why && *why);
    }
    json_decref(about);
    return damaged;
}

/* True: it is known what the node holds, and that is of use up to *height. A node that is just starting, or does not answer in
 * time, may hold everything. */
static bool is_known(question_t *q, const char *device, uint64_t *height) {
    json_t *status = NULL, *none = json_array();
    *height = 0;
    rdg_err_t err = relay_ask(&q->relay, device, "ridge_status", none, &status);
    if (err == RDG_OK && json_is_null(json_object_get(status, "halted")))
        err = rdg_json_opt_u64(status, "height", height);
    json_decref(status);
    json_decref(none);
    return err == RDG_OK || (err == RDG_E_NOT_FOUND && !q->relay.error) || is_told_damaged(q, device);
}

/* The device answers for its node: it has nothing, or nothing that is not archived. */
static rdg_err_t check_device(question_t *q, const char *device) {
    const chain_t *c = q->c;
    uint64_t height = 0, reach = q->reach;
    RDG_TRY(rdg_fail_in(device_online(q->relay.b, device), "it may hold blocks that no archive has"));
    while (!is_known(q, device, &height) && !q->discard) {
        if (baas_mono() >= q->until_ms)
            return rdg_fail(
                RDG_E_UNAVAILABLE,
                "the node of device '%s' does not answer, and its device does not say that it is "
                "damaged: it may hold blocks of chain '%s' that no archive has; start it, or give "
                "them up by the chain's name: --discard %s",
                device, c->name, c->name);
        (void)poll(NULL, 0, LOOK_MS);
    }
    if (height <= reach) return RDG_OK;
    return rdg_fail(RDG_E_CONFLICT,
                    "device '%s' holds chain '%s' up to block %" PRIu64 ", archives reach to %" PRIu64
                    ": recover the others from it (ridge node recover), or archive first",
                    device, c->name, height, reach);
}

static rdg_err_t check_all(rdg_baas_t *b, const chain_t *c, bool discard, uint64_t *reach) {
    question_t q = {.c = c, .until_ms = baas_mono() + ANSWER_MS, .discard = discard};
    archive_piece_t *pieces = NULL;
    size_t count = 0;
    RDG_TRY(mainchain_needed(b));
    RDG_TRY(archive_pieces(b, c, &pieces, &count));
    *reach = count ? pieces[count - 1].to : 0;
    rdg_err_t err = archive_keys_check(b, c, pieces, count);
    rdg_free(pieces);
    RDG_TRY(err);
    if (*reach == 0)
        return rdg_fail(RDG_E_UNAVAILABLE,
                        "chain '%s' has no anchored archive from block 1 on: nothing can be rebuilt",
                        c->name);
    q.reach = *reach;
    RDG_TRY(relay_init(&q.relay, b, c, ASK_MS));
    const steps_t *steps = &q.relay.steps;
    for (size_t i = 0; err == RDG_OK && i < steps->count; ++i) {
        const step_t *s = &steps->list[i], *former = steps_find(steps, s->device, STEP_RECOVER);
        if (!has_node(steps, s)) continue;
        err = former && former->rank != RANK_FINAL
                  ? rdg_fail(RDG_E_CONFLICT, "the node of device '%s' is being recovered", s->device)
                  : check_device(&q, s->device);
    }
    relay_fini(&q.relay);
    return err;
}

static rdg_err_t insert_all(rdg_baas_t *b, const chain_t *c, const steps_t *steps, uint64_t reach) {
    const archive_span_t all = {.wanted = true, .to = reach};
    RDG_TRY(rebuild_end(b, c));
    RDG_TRY(rdg_sql_exec(
        b->db, "INSERT INTO chain_rebuilds (chain, height, time_ms) VALUES (?, ?, ?)",
        RDG_SQL_PARAMS(rdg_sql_int(c->number), rdg_sql_int((int64_t)reach), rdg_sql_int((int64_t)baas_now())),
        NULL));
    for (size_t i = 0; i < steps->count; ++i) {
        const step_t *s = &steps->list[i], *former = steps_find(steps, s->device, STEP_RECOVER);
        if (!has_node(steps, s)) continue;
        RDG_TRY(recovery_wish_set(b, c, s->device, &all));
        RDG_TRY(former ? step_again(b, c, former) : step_insert(b, c, s->device, s->position, STEP_RECOVER));
        RDG_TRY(event_add(b, c->number, s->device, "recover", "ordered",
                          "the whole chain is rebuilt from archives"));
    }
    return RDG_OK;
}

static rdg_err_t order(rdg_baas_t *b, const chain_t *c, const json_t *body) {
    steps_t steps;
    uint64_t reach;
    const char *discard = NULL;
    if (body) RDG_TRY(rdg_json_opt_str(body, "discard", &discard));
    if (discard && strcmp(discard, c->name) != 0)
        return rdg_fail(RDG_E_INVALID, "discard: want the chain's name, '%s'", c->name);
    RDG_TRY(check_all(b, c, discard != NULL, &reach));
    RDG_TRY(steps_load(b, c, &steps));
    rdg_err_t err = rdg_sql_begin(b->db);
    if (err == RDG_OK) {
        err = insert_all(b, c, &steps, reach);
        if (err == RDG_OK) err = rdg_sql_commit(b->db);
        if (err != RDG_OK) rdg_sql_rollback(b->db);
    }
    steps_fini(&steps);
    if (err == RDG_OK)
        rdg_log(RDG_LOG_WARN, "chain.rebuild", RDG_STR("chain", c->name), RDG_U64("height", reach));
    event_wake(b);
    return err;
}

static rdg_err_t do_rebuild(rdg_baas_t *b, chain_t *c, const rdg_service_call_t *call) {
    bool elsewhere = call->body && json_object_get(call->body, "devices");
    return elsewhere ? succession_order(b, c, call->body) : order(b, c, call->body);
}

static rdg_err_t rebuild(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    return chain_change(ctx, call, answer, true, do_rebuild);
}

const rdg_service_route_t rebuild_routes[] = {
    {"POST", "/api/v1/chains/{name}/rebuild", RDG_ROUTE_OWNED, rebuild},
};
const size_t rebuild_route_count = sizeof rebuild_routes / sizeof rebuild_routes[0];
