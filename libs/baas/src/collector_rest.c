#include "collector_prune.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "ridge/base/config.h"
#include "ridge/base/file.h"

#define LIST_DEFAULT 100
#define LIST_MAX 1000
#define ASK_MS 2000

static rdg_err_t reply_row(rdg_baas_t *b, int64_t number, unsigned status, rdg_service_answer_t *answer) {
    archive_row_t r;
    RDG_TRY(archives_load(b, number, &r));
    json_t *o = archive_row_json(&r);
    archive_row_fini(&r);
    return rdg_service_reply(answer, status, o);
}

static rdg_err_t is_member(rdg_baas_t *b, const chain_t *c, const char *device) {
    steps_t steps;
    RDG_TRY(steps_load(b, c, &steps));
    bool there = steps_find(&steps, device, STEP_START) && !steps_find(&steps, device, STEP_REMOVE);
    steps_fini(&steps);
    return there ? RDG_OK
                 : rdg_fail(RDG_E_NOT_FOUND, "device '%.64s' runs no node of chain '%s'", device, c->name);
}

/* The highest block that a node of the chain tells of; UINT64_MAX: none answers, and there may be any. */
static rdg_err_t newest_block(rdg_baas_t *b, const chain_t *c, uint64_t *height) {
    relay_t r;
    bool heard = false;
    *height = 0;
    RDG_TRY(relay_init(&r, b, c, ASK_MS));
    for (size_t i = 0; i < r.steps.count; ++i) {
        const step_t *s = &r.steps.list[i];
        json_t *status = NULL, *none = json_array();
        uint64_t at = 0;
        if (s->kind == STEP_PREPARE && device_online(b, s->device) == RDG_OK &&
            relay_ask(&r, s->device, "ridge_status", none, &status) == RDG_OK &&
            rdg_json_get_u64(status, "height", &at) == RDG_OK) {
            heard = true;
            if (at > *height) *height = at;
        }
        json_decref(none);
        json_decref(status);
    }
    relay_fini(&r);
    if (!heard) *height = UINT64_MAX;
    return RDG_OK;
}

/* The main chain takes archives one behind the other: what could not be anchored is not made. */
static rdg_err_t is_wanted(rdg_baas_t *b, const chain_t *c, uint64_t from, uint64_t to) {
    uint64_t reach, height;
    bool same;
    RDG_TRY(archives_reach(b, c->number, &reach));
    if (reach == 0 || from > reach) return RDG_OK;
    if (from > 0) {
        RDG_TRY(archives_have(b, c->number, from, to, &same));
        return same ? RDG_OK
                    : rdg_fail(RDG_E_CONFLICT,
                               "archives of chain '%s' have blocks 1 to %" PRIu64
                               " already: order from block %" PRIu64 " on, or without a first block",
                               c->name, reach, reach + 1);
    }
    if (to > reach) return RDG_OK;
    if (to == 0) RDG_TRY(newest_block(b, c, &height));
    if (to == 0 && height > reach) return RDG_OK;
    return rdg_fail(RDG_E_CONFLICT,
                    "archives of chain '%s' have blocks 1 to %" PRIu64
                    " already: there is nothing new to archive",
                    c->name, reach);
}

static rdg_err_t order(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_baas_t *b = ctx;
    chain_t c;
    uint64_t from = 0, to = 0;
    const char *device = NULL;
    int64_t number = 0;
    bool made = false;
    if (call->body) {
        RDG_TRY(rdg_json_opt_u64(call->body, "from", &from));
        RDG_TRY(rdg_json_opt_u64(call->body, "to", &to));
        RDG_TRY(rdg_json_opt_str(call->body, "device", &device));
    }
    if (from > INT64_MAX || to > INT64_MAX || (to > 0 && from > to))
        return rdg_fail(RDG_E_INVALID, "from, to: want heights, the first not behind the last");
    RDG_TRY(chain_load_running(b, rdg_service_arg(call, "name"), &c));
    rdg_err_t err = device ? is_member(b, &c, device) : RDG_OK;
    if (err == RDG_OK) err = is_wanted(b, &c, from, to);
    if (err == RDG_OK) err = archives_order(b, &c, device, from, to, &number, &made);
    chain_fini(&c);
    RDG_TRY(err);
    collector_kick(b);
    return reply_row(b, number, made ? 202 : 200, answer);
}

static rdg_err_t reply_list(rdg_baas_t *b, const rdg_service_call_t *call, const char *chain,
                            rdg_service_answer_t *answer) {
    uint64_t limit = LIST_DEFAULT;
    json_t *list = NULL, *devices = NULL;
    RDG_TRY(rdg_service_query_u64(call, "limit", 1, LIST_MAX, &limit));
    RDG_TRY(archives_list(b, call->tenant, chain, limit, &list));
    rdg_err_t err = prunes_list(b, call->tenant, chain, &devices);
    if (err == RDG_OK)
        return rdg_service_reply(answer, 200, json_pack("{s:o, s:o}", "archives", list, "devices", devices));
    json_decref(list);
    return err;
}

static rdg_err_t list(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    return reply_list(ctx, call, rdg_http_query(call->http, "chain"), answer);
}

static rdg_err_t list_of_chain(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    chain_t c;
    RDG_TRY(chain_load(ctx, rdg_service_arg(call, "name"), &c));
    chain_fini(&c);
    return reply_list(ctx, call, rdg_service_arg(call, "name"), answer);
}

static rdg_err_t absent(const char *number) {
    return rdg_fail(RDG_E_NOT_FOUND, "there is no archive %.40s: see ridge archive list", number);
}

rdg_err_t archives_check(void *baas, const char *tenant, const char *text) {
    rdg_baas_t *b = baas;
    uint64_t number;
    int64_t found = 0;
    if (rdg_parse_u64(text, &number) != RDG_OK || number > INT64_MAX) return absent(text);
    RDG_TRY(rdg_sql_query(b->db,
                          "SELECT COUNT(*) FROM archives a JOIN chain_tenants t ON t.name = a.name"
                          " WHERE a.number = ? AND t.tenant = ?",
                          RDG_SQL_PARAMS(rdg_sql_int((int64_t)number), rdg_sql_text(tenant)), baas_int_row,
                          &found));
    return found ? RDG_OK : absent(text);
}

static rdg_err_t show(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    uint64_t number;
    if (rdg_parse_u64(rdg_service_arg(call, "number"), &number) != RDG_OK || number > INT64_MAX)
        return absent(rdg_service_arg(call, "number"));
    return reply_row(ctx, (int64_t)number, 200, answer);
}

/* Tells every device again what it may delete. */
static rdg_err_t prune(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_baas_t *b = ctx;
    json_t *devices = NULL;
    chain_t c;
    RDG_TRY(chain_load_running(b, rdg_service_arg(call, "name"), &c));
    rdg_err_t err = prunes_order(b, c.number);
    if (err == RDG_OK) err = prunes_list(b, NULL, c.name, &devices);
    chain_fini(&c);
    return err == RDG_OK ? rdg_service_reply(answer, 202, json_pack("{s:o}", "devices", devices)) : err;
}

static rdg_err_t about(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_baas_t *b = ctx;
    rdg_sm2_public_t key;
    (void)call;
    collector_public(b, &key);
    return rdg_service_reply(answer, 200,
                             json_pack("{s:o, s:b}", "public_key", rdg_json_hex(key.b, sizeof key.b),
                                       "anchors", b->collector->anchorer.anchor != NULL));
}

const rdg_service_route_t collector_routes[] = {
    {"POST", "/api/v1/chains/{name}/archives", RDG_ROUTE_OWNED, order},
    {"GET", "/api/v1/chains/{name}/archives", RDG_ROUTE_OWNED, list_of_chain},
    {"POST", "/api/v1/chains/{name}/prune", RDG_ROUTE_OWNED, prune},
    {"GET", "/api/v1/archives", RDG_ROUTE_TENANT, list},
    {"GET", "/api/v1/archives/{number}", RDG_ROUTE_OWNED, show},
    {"GET", "/api/v1/collector", RDG_ROUTE_TENANT, about},
};
const size_t collector_route_count = sizeof collector_routes / sizeof collector_routes[0];
