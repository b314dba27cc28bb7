/* Transactions whose answer no crash loses: what is signed is stored before it is sent, and the chain, not the cloud, says what
 * became of it. The states: pending; settled (a receipt was seen, and is read from the chain again when it is asked
 * for); void (expired, or refused by the node for good: the error is kept). */
#include <stdio.h>
#include <string.h>
#include "contract.h"
#include "ridge/base/log.h"

#define LEFT_AFTER_MS 40000 /* who sent it does not wait any longer */
#define AGAIN_MS 1000

enum { ORDER_PENDING, ORDER_SETTLED, ORDER_VOID };

typedef struct stored {
    int64_t number;
    int state;
    rdg_hash_t digest;
    rdg_tx_t *tx;
    char error[RDG_ERROR_TEXT_MAX];
} stored_t;

rdg_err_t contract_key(const json_t *body, const char **out) {
    *out = NULL;
    RDG_TRY(rdg_json_opt_str(body, "idempotency_key", out));
    size_t len = *out ? strlen(*out) : 1;
    if (len >= 1 && len <= IDEMPOTENCY_MAX) return RDG_OK;
    return rdg_fail(RDG_E_INVALID, "idempotency_key has %zu characters: want 1 to %d", len, IDEMPOTENCY_MAX);
}

static void digest_of(const order_t *o, rdg_hash_t *out) {
    rdg_bytes_t parts[] = {rdg_bytes(o->to->b, sizeof o->to->b), o->data};
    rdg_sm3_parts(parts, 2, out);
}

/* --- the store ---------------------------------------------------------------------------------------------------------- */

static rdg_err_t stored_row(void *ctx, const rdg_sql_row_t *r) {
    stored_t *s = ctx;
    rdg_bytes_t digest = rdg_sql_row_blob(r, 2);
    const char *error = rdg_sql_row_text(r, 4);
    if (digest.len != sizeof s->digest.b) return rdg_fail(RDG_E_CORRUPT, "a stored order cannot be read");
    s->number = rdg_sql_row_int(r, 0);
    s->state = (int)rdg_sql_row_int(r, 1);
    memcpy(s->digest.b, digest.data, sizeof s->digest.b);
    snprintf(s->error, sizeof s->error, "%s", error ? error : "");
    return rdg_tx_decode(rdg_sql_row_blob(r, 3), &s->tx);
}

static void stored_fini(stored_t *s) {
    rdg_tx_unref(s->tx);
    s->tx = NULL;
}

#define STORED "SELECT number, state, digest, wire, error FROM contract_orders WHERE chain = ?"

static rdg_err_t find_order(rdg_baas_t *b, const chain_t *c, const char *key, stored_t *out) {
    memset(out, 0, sizeof *out);
    if (!key) return RDG_OK;
    return rdg_sql_query(b->db, STORED " AND idem = ?",
                         RDG_SQL_PARAMS(rdg_sql_int(c->number), rdg_sql_text(key)), stored_row, out);
}

static rdg_err_t make_room(rdg_baas_t *b, const chain_t *c) {
    int64_t pending = 0;
    RDG_TRY(rdg_sql_query(b->db, "SELECT COUNT(*) FROM contract_orders WHERE chain = ? AND state = 0",
                          RDG_SQL_PARAMS(rdg_sql_int(c->number)), baas_int_row, &pending));
    if (pending >= ORDERS_PENDING_MAX)
        return rdg_fail(RDG_E_FULL,
                        "%d transactions of chain '%s' wait for the chain already: see ridge chain show %s",
                        ORDERS_PENDING_MAX, c->name, c->name);
    return rdg_sql_exec(
        b->db,
        "DELETE FROM contract_orders WHERE chain = ? AND state != 0 AND number <= (SELECT number FROM"
        " contract_orders WHERE chain = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
        RDG_SQL_PARAMS(rdg_sql_int(c->number), rdg_sql_int(c->number), rdg_sql_int(ORDERS_KEPT_MAX)), NULL);
}

/* Two requests with one key at once: the second finds the first's. */
static rdg_err_t store_order(rdg_baas_t *b, const chain_t *c, const char *key, const rdg_hash_t *digest,
                             const rdg_tx_t *tx) {
    rdg_bytes_t wire = tx->raw;
    return rdg_sql_exec(b->db,
                        "INSERT OR IGNORE INTO contract_orders (chain, idem, digest, wire, state, created_ms)"
                        " VALUES (?, ?, ?, ?, 0, ?)",
                        RDG_SQL_PARAMS(rdg_sql_int(c->number), rdg_sql_text(key),
                                       rdg_sql_blob(rdg_bytes(digest->b, sizeof digest->b)),
                                       rdg_sql_blob(wire), rdg_sql_int((int64_t)baas_now())),
                        NULL);
}

static rdg_err_t find_by_digest(rdg_baas_t *b, const chain_t *c, const rdg_tx_t *tx, stored_t *out) {
    memset(out, 0, sizeof *out);
    return rdg_sql_query(b->db, STORED " AND wire = ?",
                         RDG_SQL_PARAMS(rdg_sql_int(c->number), rdg_sql_blob(tx->raw)), stored_row, out);
}

static rdg_err_t settle(rdg_baas_t *b, const stored_t *s, int state, const char *error) {
    return rdg_sql_exec(
        b->db, "UPDATE contract_orders SET state = ?, error = ? WHERE number = ? AND state = 0",
        RDG_SQL_PARAMS(rdg_sql_int(state), rdg_sql_text(error), rdg_sql_int(s->number)), NULL);
}

/* --- delivery ------------------------------------------------------------------------------------------------------------- */

/* The node will never take it. Everything else may pass. */
static bool is_final(rdg_err_t err) {
    return err == RDG_E_EXPIRED || err == RDG_E_INVALID || err == RDG_E_GAS_LIMIT ||
           err == RDG_E_WRONG_CHAIN || err == RDG_E_BAD_SIGNATURE || err == RDG_E_MALFORMED ||
           err == RDG_E_TOO_LARGE;
}

static rdg_err_t deliver(relay_t *r, const chain_t *c, const stored_t *s, sent_tx_t *out) {
    char why[RDG_ERROR_TEXT_MAX];
    if (s->state == ORDER_VOID) return rdg_fail(RDG_E_EXPIRED, "%s", s->error);
    rdg_err_t err = contract_deliver(r, s->tx, out);
    if (err == RDG_OK) return s->state == ORDER_PENDING ? settle(r->b, s, ORDER_SETTLED, NULL) : RDG_OK;
    snprintf(why, sizeof why, "%s", rdg_err_message(err));
    if (is_final(err) || err == RDG_E_ARCHIVED) { /* archived: it is in a block */
        RDG_TRY(settle(r->b, s, is_final(err) ? ORDER_VOID : ORDER_SETTLED, is_final(err) ? why : NULL));
        return rdg_fail(err, "%s", why);
    }
    work_kick(r->b, c->name);
    return rdg_fail(err, "%s; the cloud goes on: ask again with the same idempotency key, or for its id",
                    why);
}

static rdg_err_t begin(relay_t *r, const chain_t *c, const order_t *o, const rdg_hash_t *digest,
                       stored_t *s) {
    rdg_tx_t *tx = NULL;
    RDG_TRY(make_room(r->b, c));
    RDG_TRY(contract_sign(r, c, o->to, o->data, &tx));
    rdg_err_t err = store_order(r->b, c, o->key, digest, tx);
    if (err == RDG_OK) err = o->key ? find_order(r->b, c, o->key, s) : find_by_digest(r->b, c, tx, s);
    rdg_tx_unref(tx);
    if (err == RDG_OK && !s->tx) err = rdg_fail(RDG_E_INTERNAL, "a stored order is not there");
    return err;
}

rdg_err_t contract_order(relay_t *r, const chain_t *c, const order_t *o, sent_tx_t *out) {
    stored_t s;
    rdg_hash_t digest;
    memset(out, 0, sizeof *out);
    digest_of(o, &digest);
    rdg_err_t err = find_order(r->b, c, o->key, &s);
    if (err == RDG_OK && !s.tx) err = begin(r, c, o, &digest, &s);
    if (err == RDG_OK && !rdg_hash_equal(&s.digest, &digest))
        err = rdg_fail(RDG_E_CONFLICT, "idempotency key '%s' was used for another request: take a new one",
                       o->key);
    if (err == RDG_OK) err = deliver(r, c, &s, out);
    stored_fini(&s);
    if (err == RDG_OK) err = contract_check(out, o->abi);
    if (err != RDG_OK) sent_tx_fini(out);
    return err;
}

/* --- what nobody waits for ------------------------------------------------------------------------------------------------ */

static rdg_err_t resume_one(relay_t *r, const stored_t *s) {
    json_t *receipt = NULL;
    char why[RDG_ERROR_TEXT_MAX];
    rdg_err_t err = rdg_rpc_receipt(&r->rpc, &s->tx->id, &receipt);
    if (err == RDG_E_NOT_FOUND) {
        err = rdg_rpc_send(&r->rpc, s->tx);
        if (err == RDG_E_DUPLICATE) err = RDG_OK;
        if (!is_final(err)) return err;
        snprintf(why, sizeof why, "%s", rdg_err_message(err));
        /* It may have been taken between the two questions. */
        err = rdg_rpc_receipt(&r->rpc, &s->tx->id, &receipt);
        if (err == RDG_E_NOT_FOUND) return settle(r->b, s, ORDER_VOID, why);
    }
    json_decref(receipt);
    if (err != RDG_OK && err != RDG_E_ARCHIVED) return err;
    rdg_log(RDG_LOG_INFO, "contract.resumed", RDG_STR("chain", r->chain));
    return settle(r->b, s, ORDER_SETTLED, NULL);
}

typedef struct pending {
    stored_t list[16];
    size_t count;
} pending_t;

static rdg_err_t pending_row(void *ctx, const rdg_sql_row_t *r) {
    pending_t *p = ctx;
    return p->count < 16 ? stored_row(&p->list[p->count++], r) : RDG_E_CANCELLED;
}

rdg_err_t contract_resume(rdg_baas_t *b, const chain_t *c, uint64_t *after_ms) {
    static const char due[] =
        STORED " AND state = 0 AND (created_ms < ? OR created_ms < ?) ORDER BY number LIMIT 16";
    pending_t p = {.count = 0};
    relay_t r;
    int64_t left = 0;
    rdg_err_t err = rdg_sql_query(b->db, due,
                                  RDG_SQL_PARAMS(rdg_sql_int(c->number), rdg_sql_int((int64_t)b->opened_ms),
                                                 rdg_sql_int((int64_t)(baas_now() - LEFT_AFTER_MS))),
                                  pending_row, &p);
    if (err == RDG_OK && p.count > 0 && (err = relay_init(&r, b, c, 5000)) == RDG_OK) {
        for (size_t i = 0; i < p.count; ++i)
            if (resume_one(&r, &p.list[i]) != RDG_OK) break; /* the chain cannot be reached: later */
        relay_fini(&r);
    }
    for (size_t i = 0; i < p.count; ++i) stored_fini(&p.list[i]);
    if (err == RDG_OK)
        err = rdg_sql_query(b->db, "SELECT COUNT(*) FROM contract_orders WHERE chain = ? AND state = 0",
                            RDG_SQL_PARAMS(rdg_sql_int(c->number)), baas_int_row, &left);
    *after_ms = left > 0 ? AGAIN_MS : 0;
    return err;
}
