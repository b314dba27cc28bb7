#include "subscription.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"

/* `wants`: bit 0 alarms, bit 1 records. `source` of a dead letter: subscription_source_t. */
static const char *const migrations[] = {
    "CREATE TABLE subscriptions (number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,"
    " url TEXT NOT NULL, secret TEXT NOT NULL, wants INTEGER NOT NULL, kind TEXT NOT NULL, device TEXT NOT "
    "NULL,"
    " group_name TEXT NOT NULL, site TEXT NOT NULL, give_up_ms BIGINT NOT NULL, paused INTEGER NOT NULL,"
    " created_ms BIGINT NOT NULL, alarms_mark BIGINT NOT NULL, records_mark BIGINT NOT NULL,"
    " delivered BIGINT NOT NULL DEFAULT 0, dead BIGINT NOT NULL DEFAULT 0, last_ms BIGINT NOT NULL DEFAULT 0,"
    " tries INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '');"
    "CREATE TABLE dead_letters (number INTEGER PRIMARY KEY AUTOINCREMENT, subscription BIGINT NOT NULL,"
    " source INTEGER NOT NULL, first BIGINT NOT NULL, last BIGINT NOT NULL, count INTEGER NOT NULL,"
    " tries INTEGER NOT NULL, at_ms BIGINT NOT NULL, error TEXT NOT NULL);"
    "CREATE INDEX dead_letters_subscription ON dead_letters (subscription, number);",
    "ALTER TABLE subscriptions ADD COLUMN ca TEXT NOT NULL DEFAULT '';",
    "ALTER TABLE subscriptions ADD COLUMN tenant TEXT NOT NULL DEFAULT '';", /* '': the cloud's own */
};

rdg_err_t subscription_store_open(rdg_sql_t *db) {
    return rdg_sql_migrate(db, "subscriptions", migrations, sizeof migrations / sizeof migrations[0]);
}

static rdg_err_t int_row(void *ctx, const rdg_sql_row_t *r) {
    *(int64_t *)ctx = rdg_sql_row_int(r, 0);
    return RDG_OK;
}

rdg_err_t subscription_store_add(rdg_sql_t *db, subscription_spec_t *s, const subscription_state_t *state) {
    int wants = s->wants[SUBSCRIPTION_ALARMS] | s->wants[SUBSCRIPTION_RECORDS] << 1;
    rdg_err_t err = rdg_sql_query(
        db,
        "INSERT INTO subscriptions (name, url, secret, wants, kind, device, group_name, site, give_up_ms, "
        "paused,"
        " created_ms, alarms_mark, records_mark, ca, tenant) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
        "?, ?) "
        "RETURNING "
        "number",
        RDG_SQL_PARAMS(
            rdg_sql_text(s->name), rdg_sql_text(s->url), rdg_sql_text(s->secret), rdg_sql_int(wants),
            rdg_sql_text(s->kind), rdg_sql_text(s->device), rdg_sql_text(s->group), rdg_sql_text(s->site),
            rdg_sql_int((int64_t)s->give_up_ms), rdg_sql_int(s->paused), rdg_sql_int(s->created_ms),
            rdg_sql_int(state->marks[SUBSCRIPTION_ALARMS]), rdg_sql_int(state->marks[SUBSCRIPTION_RECORDS]),
            rdg_sql_text(s->ca), rdg_sql_text(s->tenant)),
        int_row, &s->number);
    return err == RDG_E_EXISTS ? rdg_fail(err, "subscription '%s' exists already", s->name) : err;
}

static rdg_err_t remove_rows(rdg_sql_t *db, rdg_sql_value_t number) {
    RDG_TRY(
        rdg_sql_exec(db, "DELETE FROM dead_letters WHERE subscription = ?", RDG_SQL_PARAMS(number), NULL));
    return rdg_sql_exec(db, "DELETE FROM subscriptions WHERE number = ?", RDG_SQL_PARAMS(number), NULL);
}

static rdg_err_t end(rdg_sql_t *db, rdg_err_t err) {
    if (err == RDG_OK) err = rdg_sql_commit(db);
    if (err != RDG_OK) rdg_sql_rollback(db);
    return err;
}

rdg_err_t subscription_store_remove(rdg_sql_t *db, int64_t number) {
    RDG_TRY(rdg_sql_begin(db));
    return end(db, remove_rows(db, rdg_sql_int(number)));
}

rdg_err_t subscription_store_pause(rdg_sql_t *db, int64_t number, bool paused) {
    return rdg_sql_exec(db, "UPDATE subscriptions SET paused = ? WHERE number = ?",
                        RDG_SQL_PARAMS(rdg_sql_int(paused), rdg_sql_int(number)), NULL);
}

rdg_err_t subscription_store_state(rdg_sql_t *db, int64_t number, const subscription_state_t *s) {
    return rdg_sql_exec(
        db,
        "UPDATE subscriptions SET alarms_mark = ?, records_mark = ?, delivered = ?, dead = ?, last_ms = ?,"
        " tries = ?, error = ? WHERE number = ?",
        RDG_SQL_PARAMS(rdg_sql_int(s->marks[SUBSCRIPTION_ALARMS]),
                       rdg_sql_int(s->marks[SUBSCRIPTION_RECORDS]), rdg_sql_int(s->delivered),
                       rdg_sql_int(s->dead), rdg_sql_int(s->last_ms), rdg_sql_int(s->tries),
                       rdg_sql_text(s->error), rdg_sql_int(number)),
        NULL);
}

static void text_of(char *out, size_t size, const rdg_sql_row_t *r, unsigned column) {
    const char *text = rdg_sql_row_text(r, column);
    snprintf(out, size, "%s", text ? text : "");
}

typedef struct each {
    rdg_err_t (*fn)(void *ctx, const subscription_spec_t *spec, const subscription_state_t *state);
    void *ctx;
} each_t;

static rdg_err_t each_row(void *ctx, const rdg_sql_row_t *r) {
    const each_t *e = ctx;
    subscription_spec_t s = {.number = rdg_sql_row_int(r, 0)};
    subscription_state_t state = {.marks = {rdg_sql_row_int(r, 11), rdg_sql_row_int(r, 12)},
                                  .delivered = rdg_sql_row_int(r, 13),
                                  .dead = rdg_sql_row_int(r, 14),
                                  .last_ms = rdg_sql_row_int(r, 15),
                                  .tries = (unsigned)rdg_sql_row_int(r, 16)};
    text_of(s.name, sizeof s.name, r, 1);
    text_of(s.url, sizeof s.url, r, 2);
    text_of(s.secret, sizeof s.secret, r, 3);
    s.wants[SUBSCRIPTION_ALARMS] = rdg_sql_row_int(r, 4) & 1;
    s.wants[SUBSCRIPTION_RECORDS] = rdg_sql_row_int(r, 4) >> 1 & 1;
    text_of(s.kind, sizeof s.kind, r, 5);
    text_of(s.device, sizeof s.device, r, 6);
    text_of(s.group, sizeof s.group, r, 7);
    text_of(s.site, sizeof s.site, r, 8);
    s.give_up_ms = (uint64_t)rdg_sql_row_int(r, 9);
    s.paused = rdg_sql_row_int(r, 10) != 0;
    text_of(state.error, sizeof state.error, r, 17);
    s.created_ms = rdg_sql_row_int(r, 18);
    text_of(s.ca, sizeof s.ca, r, 19);
    text_of(s.tenant, sizeof s.tenant, r, 20);
    rdg_err_t err = e->fn(e->ctx, &s, &state);
    rdg_secure_zero(s.secret, sizeof s.secret);
    return err;
}

rdg_err_t subscription_store_each(rdg_sql_t *db,
                                  rdg_err_t (*fn)(void *ctx, const subscription_spec_t *spec,
                                                  const subscription_state_t *state),
                                  void *ctx) {
    each_t e = {fn, ctx};
    return rdg_sql_query(
        db,
        "SELECT number, name, url, secret, wants, kind, device, group_name, site, give_up_ms, paused,"
        " alarms_mark, records_mark, delivered, dead, last_ms, tries, error, created_ms, ca, tenant"
        " FROM subscriptions ORDER BY number",
        NULL, 0, each_row, &e);
}

/* --- dead letters --------------------------------------------------------------------------------------------- */

static rdg_err_t bury(rdg_sql_t *db, int64_t number, const subscription_dead_t *d,
                      const subscription_state_t *state) {
    RDG_TRY(rdg_sql_exec(
        db,
        "INSERT INTO dead_letters (subscription, source, first, last, count, tries, at_ms, error)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        RDG_SQL_PARAMS(rdg_sql_int(number), rdg_sql_int(d->source), rdg_sql_int(d->first),
                       rdg_sql_int(d->last), rdg_sql_int((int64_t)d->count), rdg_sql_int(d->tries),
                       rdg_sql_int(d->at_ms), rdg_sql_text(d->error)),
        NULL));
    RDG_TRY(rdg_sql_exec(
        db,
        "DELETE FROM dead_letters WHERE subscription = ? AND number NOT IN (SELECT number FROM"
        " dead_letters WHERE subscription = ? ORDER BY number DESC LIMIT ?)",
        RDG_SQL_PARAMS(rdg_sql_int(number), rdg_sql_int(number), rdg_sql_int(SUBSCRIPTION_DEAD_MAX)), NULL));
    return subscription_store_state(db, number, state);
}

rdg_err_t subscription_store_bury(rdg_sql_t *db, int64_t number, const subscription_dead_t *dead,
                                  const subscription_state_t *state) {
    RDG_TRY(rdg_sql_begin(db));
    return end(db, bury(db, number, dead, state));
}

static rdg_err_t dead_row(void *ctx, const rdg_sql_row_t *r) {
    json_t *o =
        json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:s}", "source",
                  rdg_sql_row_int(r, 0) == SUBSCRIPTION_ALARMS ? "alarms" : "records", "first",
                  (json_int_t)rdg_sql_row_int(r, 1), "last", (json_int_t)rdg_sql_row_int(r, 2), "count",
                  (json_int_t)rdg_sql_row_int(r, 3), "tries", (json_int_t)rdg_sql_row_int(r, 4), "at_ms",
                  (json_int_t)rdg_sql_row_int(r, 5), "error", rdg_sql_row_text(r, 6));
    return o && json_array_append_new(ctx, o) == 0 ? RDG_OK
                                                   : rdg_fail(RDG_E_NO_MEMORY, "no memory for dead letters");
}

rdg_err_t subscription_store_dead(rdg_sql_t *db, int64_t number, uint64_t limit, json_t **out) {
    *out = json_array();
    if (!*out) return rdg_fail(RDG_E_NO_MEMORY, "no memory for dead letters");
    rdg_err_t err =
        rdg_sql_query(db,
                      "SELECT source, first, last, count, tries, at_ms, error FROM dead_letters"
                      " WHERE subscription = ? ORDER BY number DESC LIMIT ?",
                      RDG_SQL_PARAMS(rdg_sql_int(number), rdg_sql_int((int64_t)limit)), dead_row, *out);
    if (err != RDG_OK) json_decref(*out), *out = NULL;
    return err;
}
