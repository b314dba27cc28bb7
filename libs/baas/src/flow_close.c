/* The first half of a destruction: nothing is deleted before it is archived (docs/recovery.md, destroying).
 *
 *   closing   each device takes no more readings and its node no more transactions (command chain.close); one that is
 *             away is not waited for
 *             then the heads of the nodes that answer, when nothing waits in their pools: H
 *             then archives up to H, proven and anchored; one is ordered if none is on its way
 *   destroying (flow_remove.c): each device deletes what is at or below H, and refuses when its node has more
 *
 * One node that answers is enough. Its H has a certificate, so all up to H is archived before anything goes, and what others
 * have above it, while it was behind or they were away, no device deletes: the order given again then archives that too.
 * To wait for a quorum instead would leave chains that no quorum will ever come back of with no way but --discard.
 *
 * Every step is a row; after a crash it goes on with the next. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "archive_states.h"
#include "mainchain.h"
#include "ridge/base/log.h"

#define CLOSE_DEADLINE_MS (29ull * 86400000)
#define ASK_MS 2000
#define LOOK_MS 100
#define AGAIN_LAST_MS 300000
#define AGAIN_MS 5000
#define SETTLE_MS 30000 /* that nodes may take to come to one height before somebody is told */

const char closing_migration[] = "CREATE TABLE chain_closings (chain BIGINT PRIMARY KEY, height BIGINT NOT "
                                 "NULL, ordered BIGINT NOT NULL, since_ms BIGINT NOT NULL);";

typedef struct closing {
    bool there;
    uint64_t height; /* 0: not known yet */
    int64_t ordered; /* archive that was ordered for it; 0: none */
    uint64_t since_ms;
} closing_t;

static rdg_err_t closing_row(void *ctx, const rdg_sql_row_t *r) {
    *(closing_t *)ctx = (closing_t){true, (uint64_t)rdg_sql_row_int(r, 0), rdg_sql_row_int(r, 1),
                                    (uint64_t)rdg_sql_row_int(r, 2)};
    return RDG_OK;
}

static rdg_err_t closing_load(rdg_baas_t *b, const chain_t *c, closing_t *out) {
    *out = (closing_t){.there = false};
    return rdg_sql_query(b->db, "SELECT height, ordered, since_ms FROM chain_closings WHERE chain = ?",
                         RDG_SQL_PARAMS(rdg_sql_int(c->number)), closing_row, out);
}

static rdg_err_t closing_save(rdg_baas_t *b, const chain_t *c, const closing_t *k) {
    RDG_TRY(closing_forget(b, c));
    return rdg_sql_exec(b->db,
                        "INSERT INTO chain_closings (chain, height, ordered, since_ms) VALUES (?, ?, ?, ?)",
                        RDG_SQL_PARAMS(rdg_sql_int(c->number), rdg_sql_int((int64_t)k->height),
                                       rdg_sql_int(k->ordered), rdg_sql_int((int64_t)k->since_ms)),
                        NULL);
}

rdg_err_t closing_forget(rdg_baas_t *b, const chain_t *c) {
    return rdg_sql_exec(b->db, "DELETE FROM chain_closings WHERE chain = ?",
                        RDG_SQL_PARAMS(rdg_sql_int(c->number)), NULL);
}

rdg_err_t closing_archived(rdg_baas_t *b, const chain_t *c, bool *archived, uint64_t *height) {
    closing_t k;
    RDG_TRY(closing_load(b, c, &k));
    *archived = k.there && k.height > 0;
    *height = k.height;
    return RDG_OK;
}

/* --- beginning ------------------------------------------------------------------------------------ */

static rdg_err_t add_close_steps(rdg_baas_t *b, const chain_t *c, const steps_t *steps) {
    for (size_t i = 0; i < steps->count; ++i) {
        const step_t *s = &steps->list[i];
        if (s->kind == STEP_PREPARE && !steps_find(steps, s->device, STEP_CLOSE) &&
            !steps_find(steps, s->device, STEP_REMOVE))
            RDG_TRY(step_insert(b, c, s->device, s->position, STEP_CLOSE));
    }
    return RDG_OK;
}

rdg_err_t flow_begin_close(rdg_baas_t *b, chain_t *c) {
    steps_t steps;
    if (!b->mainchain || !b->collector->anchorer.anchor)
        return rdg_fail(
            RDG_E_CONFLICT,
            "destroying chain '%s' deletes its ledger on every device, and not every block is known to be "
            "in a verified archive, because without a main chain none is anchored: to do so all the same, "
            "say so by "
            "its name: ridge chain destroy %s --discard %s",
            c->name, c->name, c->name);
    RDG_TRY(steps_load(b, c, &steps));
    rdg_err_t err = rdg_sql_begin(b->db);
    if (err == RDG_OK) {
        err = add_close_steps(b, c, &steps);
        if (err == RDG_OK) err = closing_save(b, c, &(closing_t){.there = true, .since_ms = baas_now()});
        if (err == RDG_OK) err = chain_set_state(b, c, "closing", NULL);
        if (err == RDG_OK) err = rdg_sql_commit(b->db);
        if (err != RDG_OK) rdg_sql_rollback(b->db);
    }
    steps_fini(&steps);
    event_wake(b);
    return err;
}

/* --- closed --------------------------------------------------------------------------------------- */

/* Whether every device that is there has closed; commands of the others wait for them, and do no harm. */
static rdg_err_t all_closed(rdg_baas_t *b, const chain_t *c, const steps_t *steps, bool *out) {
    *out = true;
    for (size_t i = 0; i < steps->count; ++i) {
        const step_t *s = &steps->list[i];
        if (s->kind != STEP_CLOSE) continue;
        if (s->rank == RANK_PENDING)
            RDG_TRY(
                flow_send(b, c, s, "chain.close", json_pack("{s:s}", "chain", c->name), CLOSE_DEADLINE_MS));
        if (s->rank != RANK_FINAL && device_online(b, s->device) == RDG_OK) *out = false;
    }
    return RDG_OK;
}

typedef struct heads {
    size_t answered;
    uint64_t height, pool;
    bool same; /* all that answer are at one height, with a certificate */
} heads_t;

static void add_head(const json_t *status, heads_t *h) {
    uint64_t height = 0, pool = 0, certified = 0;
    (void)rdg_json_opt_u64(status, "height", &height);
    (void)rdg_json_opt_u64(status, "pool", &pool);
    (void)rdg_json_opt_u64(status, "checkpoint_height", &certified);
    /* A damaged node may stand anywhere. */
    if (!json_is_null(json_object_get(status, "halted"))) return;
    h->same = h->same && certified == height && (h->answered == 0 || h->height == height);
    ++h->answered;
    h->pool += pool;
    if (height > h->height) h->height = height;
}

static rdg_err_t look_at_heads(rdg_baas_t *b, const chain_t *c, heads_t *h) {
    relay_t r;
    *h = (heads_t){.same = true};
    RDG_TRY(relay_init(&r, b, c, ASK_MS));
    for (size_t i = 0; i < r.steps.count; ++i) {
        const step_t *s = &r.steps.list[i];
        json_t *status = NULL, *none = json_array();
        if (s->kind == STEP_PREPARE && device_online(b, s->device) == RDG_OK &&
            relay_ask(&r, s->device, "ridge_status", none, &status) == RDG_OK)
            add_head(status, h);
        json_decref(none);
        json_decref(status);
    }
    relay_fini(&r);
    return RDG_OK;
}

/* --- archived ------------------------------------------------------------------------------------- */

static rdg_err_t hold(rdg_baas_t *b, chain_t *c, const char *why, uint64_t *after_ms) {
    *after_ms = AGAIN_MS;
    if (c->error && strcmp(c->error, why) == 0) return RDG_OK;
    rdg_log(RDG_LOG_WARN, "chain.close_waits", RDG_STR("chain", c->name), RDG_STR("why", why));
    RDG_TRY(rdg_sql_begin(b->db));
    rdg_err_t err = chain_set_state(b, c, "closing", why);
    if (err == RDG_OK) err = rdg_sql_commit(b->db);
    if (err != RDG_OK) rdg_sql_rollback(b->db);
    event_wake(b);
    return err;
}

static rdg_err_t await_archive(rdg_baas_t *b, chain_t *c, closing_t *k, uint64_t *after_ms) {
    archive_row_t row;
    archives_away_t away;
    char why[RDG_ERROR_TEXT_MAX];
    bool made;
    *after_ms = LOOK_MS;
    if (k->ordered) {
        RDG_TRY(archives_load(b, k->ordered, &row));
        bool ended = archive_ended(&row), failed = ended && strcmp(row.state, "archived") != 0;
        snprintf(why, sizeof why, "archive %" PRId64 " is %s: %s", row.number, row.state,
                 row.error ? row.error : "");
        archive_row_fini(&row);
        if (!ended) RDG_TRY(archives_away(b, c, &away));
        if (!ended && !archives_is_away(&away, k->ordered)) return RDG_OK;
        k->ordered = 0;
        RDG_TRY(closing_save(b, c, k));
        if (!failed) return RDG_OK;
        RDG_TRY(hold(b, c, why, after_ms));
        /* Each try asks every device: the longer it has come to nothing, the rarer. */
        uint64_t now = baas_now(), rarer = now > k->since_ms ? (now - k->since_ms) / 8 : 0;
        if (rarer > AGAIN_LAST_MS) rarer = AGAIN_LAST_MS;
        if (rarer > *after_ms) *after_ms = rarer;
        return RDG_OK;
    }
    RDG_TRY(archives_order(b, c, NULL, 0, 0, &k->ordered, &made));
    collector_kick(b);
    return closing_save(b, c, k);
}

static rdg_err_t await_settled(rdg_baas_t *b, chain_t *c, const closing_t *k, const heads_t *h,
                               uint64_t *after_ms) {
    char why[256];
    *after_ms = LOOK_MS;
    if (baas_now() < k->since_ms + SETTLE_MS) return RDG_OK;
    snprintf(why, sizeof why,
             "%zu nodes answer, and %s: bring those that are away or recovering back (ridge chain consensus "
             "%.60s)",
             h->answered,
             h->pool > 0 ? "transactions wait that no quorum seals" : "they are not at one certified height",
             c->name);
    return hold(b, c, why, after_ms);
}

/* Anchored, not only proven. */
static rdg_err_t anchored_reach(rdg_baas_t *b, const chain_t *c, uint64_t *height) {
    archive_piece_t *pieces = NULL;
    size_t count = 0;
    RDG_TRY(archive_pieces(b, c, &pieces, &count));
    *height = count ? pieces[count - 1].to : 0;
    rdg_free(pieces);
    return RDG_OK;
}

static rdg_err_t close_anew(rdg_baas_t *b, chain_t *c) {
    RDG_TRY(rdg_sql_begin(b->db));
    rdg_err_t err = closing_save(b, c, &(closing_t){.there = true, .since_ms = baas_now()});
    if (err == RDG_OK) err = chain_set_state(b, c, "closing", NULL);
    if (err == RDG_OK) err = rdg_sql_commit(b->db);
    if (err != RDG_OK) rdg_sql_rollback(b->db);
    event_wake(b);
    return err;
}

rdg_err_t flow_close_again(rdg_baas_t *b, chain_t *c) {
    closing_t k;
    heads_t h;
    RDG_TRY(closing_load(b, c, &k));
    if (!k.there) return flow_begin_remove(b, c, "destroying");
    RDG_TRY(look_at_heads(b, c, &h));
    return h.height > k.height ? close_anew(b, c) : flow_begin_remove(b, c, "destroying");
}

rdg_err_t flow_close(rdg_baas_t *b, chain_t *c, const steps_t *steps, uint64_t *after_ms) {
    closing_t k;
    heads_t h;
    bool closed;
    uint64_t reach;
    RDG_TRY(closing_load(b, c, &k));
    RDG_TRY(all_closed(b, c, steps, &closed));
    *after_ms = LOOK_MS;
    if (!closed) return RDG_OK;
    RDG_TRY(look_at_heads(b, c, &h));
    if (h.answered == 0)
        return hold(
            b, c,
            "no sound node answers: its blocks can not be archived before one does (ridge node recover)",
            after_ms);
    /* A chain that runs has blocks. What nodes that have none are asked for says nothing of the others' ledgers. */
    if (h.height == 0)
        return hold(b, c,
                    "no node that answers has a block: those that have are away, or it has lost its ledger "
                    "(ridge node recover)",
                    after_ms);
    if (h.pool > 0 || !h.same) return await_settled(b, c, &k, &h, after_ms);
    RDG_TRY(anchored_reach(b, c, &reach));
    if (reach < h.height) return await_archive(b, c, &k, after_ms);
    k.height = h.height;
    RDG_TRY(closing_save(b, c, &k));
    rdg_log(RDG_LOG_INFO, "chain.closed", RDG_STR("chain", c->name), RDG_U64("height", h.height));
    *after_ms = 1;
    return flow_begin_remove(b, c, "destroying");
}
