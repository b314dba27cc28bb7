/* Intents: what is to stand on the main chain. They are kept for ever: they are the index of what was written. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "mainchain.h"
#include "ridge/base/alloc.h"
#include "ridge/base/config.h"

#define INTENT                                                                                               \
    "SELECT number, chain, kind, state, args, wire, tx, entry, block, time_s, previous, error, done_ms "     \
    "FROM "                                                                                                  \
    "main_intents WHERE "

void intent_fini(intent_t *i) {
    json_decref(i->values);
    rdg_tx_unref(i->tx);
    memset(i, 0, sizeof *i);
}

static rdg_err_t read_row(void *ctx, const rdg_sql_row_t *r) {
    intent_t *i = ctx;
    const char *error = rdg_sql_row_text(r, 11);
    rdg_bytes_t tx = rdg_sql_row_blob(r, 6), previous = rdg_sql_row_blob(r, 10);
    intent_fini(i);
    i->number = rdg_sql_row_int(r, 0);
    i->chain = (uint64_t)rdg_sql_row_int(r, 1);
    i->kind = (rdg_anchor_kind_t)rdg_sql_row_int(r, 2);
    i->state = (int)rdg_sql_row_int(r, 3);
    i->index = (uint64_t)rdg_sql_row_int(r, 7);
    i->block = (uint64_t)rdg_sql_row_int(r, 8);
    i->time_s = (uint64_t)rdg_sql_row_int(r, 9);
    i->done_ms = (uint64_t)rdg_sql_row_int(r, 12);
    snprintf(i->error, sizeof i->error, "%s", error ? error : "");
    if (tx.len == sizeof i->tx_id.b) memcpy(i->tx_id.b, tx.data, tx.len);
    if (previous.len == sizeof i->previous) memcpy(i->previous, previous.data, previous.len);
    rdg_err_t err = rdg_json_parse(rdg_bytes_str(rdg_sql_row_text(r, 4)), &i->values);
    rdg_bytes_t wire = rdg_sql_row_blob(r, 5);
    if (err == RDG_OK && wire.len > 0) err = rdg_tx_decode(wire, &i->tx);
    if (err != RDG_OK) intent_fini(i);
    return rdg_fail_in(err, "a stored intent for the main chain");
}

static rdg_err_t check_room(rdg_baas_t *b) {
    uint64_t pending, refused;
    RDG_TRY(intent_counts(b, &pending, &refused));
    if (pending < RDG_BAAS_INTENTS_MAX) return RDG_OK;
    return rdg_fail(RDG_E_FULL, "%d entries wait for the main chain already: see ridge mainchain show",
                    RDG_BAAS_INTENTS_MAX);
}

rdg_err_t intent_add(rdg_baas_t *b, uint64_t chain, const char *name, rdg_anchor_kind_t kind, const char *key,
                     json_t *values) {
    rdg_buf_t check;
    char *text = values ? rdg_json_text(values) : NULL;
    rdg_buf_init(&check, RDG_ANCHOR_DATA_MAX);
    rdg_err_t err = text ? rdg_anchor_encode_data(kind, values, &check)
                         : rdg_fail(RDG_E_NO_MEMORY, "no memory for an intent");
    if (err == RDG_OK) err = check_room(b);
    if (err == RDG_OK)
        err = rdg_sql_exec(
            b->db,
            "INSERT OR IGNORE INTO main_intents (chain, name, kind, idem, args, state, created_ms)"
            " VALUES (?, ?, ?, ?, ?, 0, ?)",
            RDG_SQL_PARAMS(rdg_sql_int((int64_t)chain), rdg_sql_text(name), rdg_sql_int(kind),
                           rdg_sql_text(key), rdg_sql_text(text), rdg_sql_int((int64_t)baas_now())),
            NULL);
    rdg_buf_fini(&check);
    rdg_free(text);
    json_decref(values);
    return err;
}

rdg_err_t intent_find(rdg_baas_t *b, uint64_t chain, const char *key, intent_t *out) {
    memset(out, 0, sizeof *out);
    return rdg_sql_query(b->db, INTENT "chain = ? AND idem = ?",
                         RDG_SQL_PARAMS(rdg_sql_int((int64_t)chain), rdg_sql_text(key)), read_row, out);
}

rdg_err_t intent_set_aside(rdg_baas_t *b, uint64_t chain, const char *key) {
    intent_t i;
    char other[96];
    RDG_TRY(intent_find(b, chain, key, &i));
    bool refused = i.number != 0 && i.state == INTENT_REFUSED;
    snprintf(other, sizeof other, "%s#%" PRId64, key, i.number);
    intent_fini(&i);
    if (!refused) return RDG_OK;
    return rdg_sql_exec(b->db, "UPDATE main_intents SET idem = ? WHERE chain = ? AND idem = ? AND state = 2",
                        RDG_SQL_PARAMS(rdg_sql_text(other), rdg_sql_int((int64_t)chain), rdg_sql_text(key)),
                        NULL);
}

rdg_err_t intent_next(rdg_baas_t *b, int64_t after, intent_t *out) {
    memset(out, 0, sizeof *out);
    return rdg_sql_query(b->db, INTENT "state = 0 AND number > ? ORDER BY number LIMIT 1",
                         RDG_SQL_PARAMS(rdg_sql_int(after)), read_row, out);
}

rdg_err_t intent_of_entry(rdg_baas_t *b, uint64_t chain, uint64_t index, intent_t *out) {
    memset(out, 0, sizeof *out);
    return rdg_sql_query(b->db, INTENT "chain = ? AND entry = ? AND state = 1",
                         RDG_SQL_PARAMS(rdg_sql_int((int64_t)chain), rdg_sql_int((int64_t)index)), read_row,
                         out);
}

rdg_err_t intent_set_tx(rdg_baas_t *b, const intent_t *i, const rdg_tx_t *tx) {
    rdg_bytes_t wire = tx ? tx->raw : rdg_bytes(NULL, 0);
    return rdg_sql_exec(b->db, "UPDATE main_intents SET wire = ? WHERE number = ? AND state = 0",
                        RDG_SQL_PARAMS(rdg_sql_blob(wire), rdg_sql_int(i->number)), NULL);
}

rdg_err_t intent_written(rdg_baas_t *b, const intent_t *i, const rdg_hash_t *tx,
                         const rdg_anchor_entry_t *e) {
    return rdg_sql_exec(
        b->db,
        "UPDATE main_intents SET state = 1, wire = NULL, tx = ?, entry = ?, block = ?, time_s = ?, "
        "previous = ?, done_ms = ? WHERE number = ? AND state = 0",
        RDG_SQL_PARAMS(rdg_sql_blob(rdg_bytes(tx->b, sizeof tx->b)), rdg_sql_int((int64_t)e->index),
                       rdg_sql_int((int64_t)e->block), rdg_sql_int((int64_t)e->time_s),
                       rdg_sql_blob(rdg_bytes(e->previous, sizeof e->previous)),
                       rdg_sql_int((int64_t)baas_now()), rdg_sql_int(i->number)),
        NULL);
}

rdg_err_t intent_refused(rdg_baas_t *b, const intent_t *i, const char *why) {
    return rdg_sql_exec(
        b->db,
        "UPDATE main_intents SET state = 2, wire = NULL, error = ?, done_ms = ?"
        " WHERE number = ? AND state = 0",
        RDG_SQL_PARAMS(rdg_sql_text(why), rdg_sql_int((int64_t)baas_now()), rdg_sql_int(i->number)), NULL);
}

/* --- looking up ---------------------------------------------------------------------------------------------------- */

static rdg_err_t absent(const char *chain) {
    return rdg_fail(RDG_E_NOT_FOUND,
                    "the main chain has nothing of a chain '%.64s': see ridge mainchain show", chain);
}

rdg_err_t intent_chain(rdg_baas_t *b, const char *text, uint64_t *chain) {
    int64_t found = 0;
    uint64_t number;
    RDG_TRY(rdg_sql_query(b->db, "SELECT chain FROM main_intents WHERE name = ? ORDER BY number DESC LIMIT 1",
                          RDG_SQL_PARAMS(rdg_sql_text(text)), baas_int_row, &found));
    if (found == 0 && rdg_parse_u64(text, &number) == RDG_OK && number <= INT64_MAX)
        RDG_TRY(rdg_sql_query(b->db, "SELECT chain FROM main_intents WHERE chain = ? LIMIT 1",
                              RDG_SQL_PARAMS(rdg_sql_int((int64_t)number)), baas_int_row, &found));
    *chain = (uint64_t)found;
    return found ? RDG_OK : absent(text);
}

rdg_err_t intent_own(void *baas, const char *tenant, const char *text) {
    rdg_baas_t *b = baas;
    uint64_t chain;
    int64_t found = 0;
    RDG_TRY(intent_chain(b, text, &chain));
    RDG_TRY(rdg_sql_query(b->db,
                          "SELECT COUNT(*) FROM main_intents i JOIN chain_tenants t ON t.name = i.name"
                          " WHERE i.chain = ? AND t.tenant = ?",
                          RDG_SQL_PARAMS(rdg_sql_int((int64_t)chain), rdg_sql_text(tenant)), baas_int_row,
                          &found));
    return found ? RDG_OK : absent(text);
}

static const char *state_name(int state) {
    static const char *const names[] = {"pending", "written", "refused"};
    return state >= 0 && state < 3 ? names[state] : "unknown";
}

static json_t *describe(const intent_t *i) {
    json_t *o = json_pack("{s:s, s:s}", "kind", rdg_anchor_kind_name(i->kind), "state", state_name(i->state));
    rdg_buf_t data;
    json_t *values = NULL;
    rdg_buf_init(&data, RDG_ANCHOR_DATA_MAX);
    /* Through its own encoding, so that the fields have the names that a proof gives them. */
    if (rdg_anchor_encode_data(i->kind, i->values, &data) == RDG_OK &&
        rdg_anchor_decode_data(i->kind, rdg_buf_view(&data), &values) == RDG_OK)
        json_object_set_new(o, "values", values);
    rdg_buf_fini(&data);
    if (i->state == INTENT_WRITTEN) {
        json_object_set_new(o, "index", json_integer((json_int_t)i->index));
        json_object_set_new(o, "height", json_integer((json_int_t)i->block));
        json_object_set_new(o, "time_ms", json_integer((json_int_t)(i->time_s * 1000)));
        json_object_set_new(o, "tx", rdg_json_hex(i->tx_id.b, sizeof i->tx_id.b));
    }
    if (i->error[0]) json_object_set_new(o, "error", json_string(i->error));
    return o;
}

static rdg_err_t list_row(void *ctx, const rdg_sql_row_t *r) {
    intent_t i;
    memset(&i, 0, sizeof i);
    RDG_TRY(read_row(&i, r));
    json_t *o = describe(&i);
    intent_fini(&i);
    return o && json_array_append_new(ctx, o) == 0 ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory");
}

rdg_err_t intent_list(rdg_baas_t *b, uint64_t chain, json_t **out) {
    json_t *list = json_array();
    rdg_err_t err = rdg_sql_query(b->db,
                                  INTENT "number IN (SELECT number FROM main_intents WHERE chain = ? ORDER "
                                         "BY number DESC LIMIT 1000) ORDER BY number",
                                  RDG_SQL_PARAMS(rdg_sql_int((int64_t)chain)), list_row, list);
    if (err == RDG_OK)
        *out = list;
    else
        json_decref(list);
    return err;
}

static rdg_err_t chain_row(void *ctx, const rdg_sql_row_t *r) {
    json_t *o = json_pack("{s:s, s:I, s:I, s:I, s:I, s:b}", "chain", rdg_sql_row_text(r, 0), "chain_id",
                          (json_int_t)rdg_sql_row_int(r, 1), "entries", (json_int_t)rdg_sql_row_int(r, 2),
                          "pending", (json_int_t)rdg_sql_row_int(r, 3), "refused",
                          (json_int_t)rdg_sql_row_int(r, 4), "destroyed", (int)rdg_sql_row_int(r, 5));
    return o && json_array_append_new(ctx, o) == 0 ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory");
}

rdg_err_t intent_chains(rdg_baas_t *b, const char *tenant, json_t **out) {
    json_t *list = json_array();
    const rdg_sql_value_t t = rdg_sql_text(tenant);
    rdg_err_t err =
        rdg_sql_query(b->db,
                      "SELECT MAX(name), chain, SUM(CASE state WHEN 1 THEN 1 ELSE 0 END),"
                      " SUM(CASE state WHEN 0 THEN 1 ELSE 0 END), SUM(CASE state WHEN 2 THEN 1 ELSE 0 END),"
                      " MAX(CASE WHEN kind = 7 AND state = 1 THEN 1 ELSE 0 END) FROM main_intents"
                      " WHERE ? IS NULL OR name IN (SELECT name FROM chain_tenants WHERE tenant = ?)"
                      " GROUP BY chain ORDER BY MAX(number) DESC LIMIT 1000",
                      RDG_SQL_PARAMS(t, t), chain_row, list);
    if (err == RDG_OK)
        *out = list;
    else
        json_decref(list);
    return err;
}

static rdg_err_t counts_row(void *ctx, const rdg_sql_row_t *r) {
    uint64_t *counts = ctx;
    counts[0] = (uint64_t)rdg_sql_row_int(r, 0);
    counts[1] = (uint64_t)rdg_sql_row_int(r, 1);
    return RDG_OK;
}

rdg_err_t intent_counts(rdg_baas_t *b, uint64_t *pending, uint64_t *refused) {
    uint64_t counts[2] = {0, 0};
    rdg_err_t err = rdg_sql_query(b->db,
                                  "SELECT (SELECT COUNT(*) FROM main_intents WHERE state = 0),"
                                  " (SELECT COUNT(*) FROM main_intents WHERE state = 2)",
                                  NULL, 0, counts_row, counts);
    *pending = counts[0];
    *refused = counts[1];
    return err;
}

typedef struct highest {
    size_t place;
    uint64_t value;
} highest_t;

static rdg_err_t highest_row(void *ctx, const rdg_sql_row_t *r) {
    highest_t *h = ctx;
    json_t *values = NULL;
    RDG_TRY(rdg_json_parse(rdg_bytes_str(rdg_sql_row_text(r, 0)), &values));
    json_int_t v = json_integer_value(json_array_get(values, h->place));
    json_decref(values);
    if (v > 0 && (uint64_t)v > h->value) h->value = (uint64_t)v;
    return RDG_OK;
}

/* The newest of a kind is its highest: they are stored in the order in which they grow. */
rdg_err_t intent_highest(rdg_baas_t *b, uint64_t chain, rdg_anchor_kind_t kind, size_t place, uint64_t *out) {
    highest_t h = {.place = place};
    rdg_err_t err =
        rdg_sql_query(b->db,
                      "SELECT args FROM main_intents WHERE chain = ? AND kind = ? AND state != 2 ORDER BY "
                      "number DESC LIMIT 1",
                      RDG_SQL_PARAMS(rdg_sql_int((int64_t)chain), rdg_sql_int(kind)), highest_row, &h);
    *out = h.value;
    return err;
}

rdg_err_t intent_last_written(rdg_baas_t *b, uint64_t chain, rdg_anchor_kind_t kind, intent_t *out) {
    memset(out, 0, sizeof *out);
    return rdg_sql_query(b->db, INTENT "chain = ? AND kind = ? AND state = 1 ORDER BY number DESC LIMIT 1",
                         RDG_SQL_PARAMS(rdg_sql_int((int64_t)chain), rdg_sql_int(kind)), read_row, out);
}
