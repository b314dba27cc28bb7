/* Receipts to every device of a chain, and what the devices say they have freed by them.
 *
 *   due ──command chain.prune──► sent ──device: mark, bytes freed──► pruned
 *                                  │                                   │ a new archive, other retention, or an hour
 *                                  └──refused, expired──► failed       ▼ later with more to go: due again
 *
 * A device has one command at a time; one that is away finds it when it returns. The receipts that it gets begin above the
 * mark that it told last; one whose ledger was made anew refuses them, and is sent all from the first on. */
#include "collector_prune.h"
#include "contract.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"

#define RECEIPTS_MAX 64 /* a command */
#define DEADLINE_MS (29ull * 86400000)
#define AGAIN_MS 60000u /* asks for what was sent, should the news of it have been lost */
#define SOON_MS 5000u   /* after what may be over by then; twice as late each time that it was not */
#define PASSED_MAX 16
#define RETRY_MS 300000u    /* after a refusal */
#define REVISIT_MS 3600000u /* for what had to stay last time */
#define COLUMNS                                                                                              \
    "chain, device, attempt, command, state, wanted, height, mark_ms, freed_bytes, compacted_bytes, "        \
    "ledger_bytes, keep_blocks, keep_ms, updated_ms, passing"

static rdg_sql_value_t u64(uint64_t v) {
    return rdg_sql_int((int64_t)v);
}

static uint64_t number(const rdg_sql_row_t *r, unsigned column) {
    return (uint64_t)rdg_sql_row_int(r, column);
}

static rdg_err_t read_row(void *ctx, const rdg_sql_row_t *r) {
    prune_row_t *p = ctx;
    p->chain = rdg_sql_row_int(r, 0);
    snprintf(p->device, sizeof p->device, "%s", rdg_sql_row_text(r, 1));
    p->attempt = rdg_sql_row_int(r, 2);
    snprintf(p->command, sizeof p->command, "%s", rdg_sql_row_text(r, 3));
    snprintf(p->state, sizeof p->state, "%s", rdg_sql_row_text(r, 4));
    p->wanted = number(r, 5);
    p->height = number(r, 6);
    p->mark_ms = number(r, 7);
    p->freed_bytes = number(r, 8);
    p->compacted_bytes = number(r, 9);
    p->ledger_bytes = number(r, 10);
    p->keep_blocks = number(r, 11);
    p->keep_ms = number(r, 12);
    p->updated_ms = number(r, 13);
    p->passing = (unsigned)rdg_sql_row_int(r, 14);
    return RDG_OK;
}

static rdg_err_t load(rdg_baas_t *b, int64_t chain, const char *device, prune_row_t *out) {
    *out = (prune_row_t){.chain = chain, .state = "due"};
    snprintf(out->device, sizeof out->device, "%s", device);
    return rdg_sql_query(b->db, "SELECT " COLUMNS " FROM archive_prunes WHERE chain = ? AND device = ?",
                         RDG_SQL_PARAMS(rdg_sql_int(chain), rdg_sql_text(device)), read_row, out);
}

/* error: NULL for none. */
static rdg_err_t save(rdg_baas_t *b, const prune_row_t *p, const char *error) {
    return rdg_sql_exec(
        b->db,
        "INSERT INTO archive_prunes (" COLUMNS
        ", error) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (chain, device) DO UPDATE SET attempt = excluded.attempt, command = excluded.command,"
        " state = excluded.state, wanted = excluded.wanted, height = excluded.height, mark_ms = "
        "excluded.mark_ms,"
        " freed_bytes = excluded.freed_bytes, compacted_bytes = excluded.compacted_bytes,"
        " ledger_bytes = excluded.ledger_bytes, keep_blocks = excluded.keep_blocks, keep_ms = "
        "excluded.keep_ms,"
        " updated_ms = excluded.updated_ms, passing = excluded.passing, error = excluded.error",
        RDG_SQL_PARAMS(rdg_sql_int(p->chain), rdg_sql_text(p->device), rdg_sql_int(p->attempt),
                       rdg_sql_text(p->command), rdg_sql_text(p->state), u64(p->wanted), u64(p->height),
                       u64(p->mark_ms), u64(p->freed_bytes), u64(p->compacted_bytes), u64(p->ledger_bytes),
                       u64(p->keep_blocks), u64(p->keep_ms), u64(baas_now()), rdg_sql_int(p->passing),
                       rdg_sql_text(error)),
        NULL);
}

void prunes_kick(rdg_baas_t *b) {
    pthread_mutex_lock(&b->lock);
    b->collector->prunes_due = true;
    b->collector->schedule_due = true;
    pthread_mutex_unlock(&b->lock);
    collector_kick(b);
}

/* --- what a device says ---------------------------------------------------------------------------- */

static rdg_err_t take_done(prune_row_t *p, const json_t *command) {
    json_t *result;
    uint64_t compacted = 0;
    RDG_TRY(rdg_json_get_object(command, "result", &result));
    RDG_TRY(rdg_json_get_u64(result, "pruned_height", &p->height));
    RDG_TRY(rdg_json_get_u64(result, "mark_ms", &p->mark_ms));
    RDG_TRY(rdg_json_get_u64(result, "freed_total_bytes", &p->freed_bytes));
    RDG_TRY(rdg_json_get_u64(result, "ledger_bytes", &p->ledger_bytes));
    RDG_TRY(rdg_json_opt_u64(result, "compacted_bytes", &compacted));
    if (p->height > INT64_MAX || p->mark_ms > INT64_MAX || p->freed_bytes > INT64_MAX ||
        compacted > INT64_MAX || p->ledger_bytes > INT64_MAX)
        return rdg_fail(RDG_E_PROTOCOL, "device '%s' says impossible numbers", p->device);
    p->compacted_bytes += compacted;
    return RDG_OK;
}

static rdg_err_t settle(rdg_baas_t *b, prune_row_t *p, const char *state, const char *why) {
    char message[RDG_ERROR_TEXT_MAX];
    snprintf(p->state, sizeof p->state, "%s", state);
    if (why)
        snprintf(message, sizeof message, "%s", why);
    else
        snprintf(message, sizeof message, "up to block %" PRIu64 ", %" PRIu64 " bytes freed in all",
                 p->height, p->freed_bytes + p->compacted_bytes);
    RDG_TRY(save(b, p, why ? message : NULL));
    RDG_TRY(event_add(b, p->chain, p->device, "prune", state, message));
    event_wake(b);
    return RDG_OK;
}

static rdg_err_t take(rdg_baas_t *b, prune_row_t *p, const json_t *command) {
    const char *state = "", *message = "it was not done", *code = "";
    char why[RDG_ERROR_TEXT_MAX];
    (void)rdg_json_opt_str(command, "state", &state);
    if (strcmp(p->state, "sent") != 0) return RDG_OK; /* it has been heard */
    unsigned passed = p->passing;
    p->passing = 0;
    if (strcmp(state, "done") == 0) {
        rdg_err_t err = take_done(p, command);
        if (err == RDG_OK) return settle(b, p, "pruned", NULL);
        snprintf(why, sizeof why, "%s", rdg_err_message(err));
        return settle(b, p, "failed", why);
    }
    if (strcmp(state, "failed") != 0 && strcmp(state, "expired") != 0 && strcmp(state, "cancelled") != 0)
        return RDG_OK;
    const json_t *error = json_object_get(command, "error");
    if (json_is_object(error)) {
        (void)rdg_json_opt_str(error, "message", &message);
        (void)rdg_json_opt_str(error, "code", &code);
    }
    /* Its ledger may have been made anew, with no mark: soon it gets every receipt. */
    rdg_err_t reason = rdg_err_from_name(code);
    bool anew = reason == RDG_E_FORBIDDEN && p->height > 0;
    if (anew) p->height = 0;
    if (anew || collector_passes(reason) || reason == RDG_E_CANCELLED)
        p->passing = passed < PASSED_MAX ? passed + 1 : passed;
    snprintf(why, sizeof why, "%s", message);
    return settle(b, p, "failed", why);
}

rdg_err_t prunes_apply(rdg_baas_t *b, const json_t *command) {
    const char *id = NULL;
    prune_row_t p = {.chain = 0};
    RDG_TRY(rdg_json_get_str(command, "id", &id));
    RDG_TRY(rdg_sql_query(b->db, "SELECT " COLUMNS " FROM archive_prunes WHERE command = ?",
                          RDG_SQL_PARAMS(rdg_sql_text(id)), read_row, &p));
    if (p.chain == 0) return RDG_OK;
    RDG_TRY(take(b, &p, command));
    if (strcmp(p.state, "sent") != 0) prunes_kick(b);
    return RDG_OK;
}

/* --- sending ---------------------------------------------------------------------------------------- */

typedef struct found {
    int64_t list[RECEIPTS_MAX];
    size_t count;
    uint64_t reach; /* without a gap from where it began */
} found_t;

static rdg_err_t found_row(void *ctx, const rdg_sql_row_t *r) {
    found_t *f = ctx;
    uint64_t first = number(r, 1), last = number(r, 2);
    if (first > f->reach + 1 || last <= f->reach || f->count == RECEIPTS_MAX) return RDG_OK;
    f->list[f->count++] = rdg_sql_row_int(r, 0);
    f->reach = last;
    return RDG_OK;
}

static rdg_err_t find_receipts(rdg_baas_t *b, int64_t chain, uint64_t above, found_t *f) {
    *f = (found_t){.reach = above};
    return rdg_sql_query(b->db,
                         "SELECT number, first, last FROM archives WHERE chain = ? AND state = 'archived'"
                         " AND last > ? ORDER BY first, last DESC",
                         RDG_SQL_PARAMS(rdg_sql_int(chain), u64(above)), found_row, f);
}

static rdg_err_t add_receipt(rdg_baas_t *b, int64_t archive, json_t *list) {
    archive_row_t r;
    RDG_TRY(archives_load(b, archive, &r));
    rdg_err_t err = collector_receipt_now(b, &r);
    if (err == RDG_OK && json_array_append_new(list, rdg_json_hex(r.receipt.data, r.receipt.len)) != 0)
        err = rdg_fail(RDG_E_NO_MEMORY, "no memory for receipts");
    archive_row_fini(&r);
    return err;
}

static rdg_err_t compose(rdg_baas_t *b, const chain_t *c, const prune_row_t *p, const char *certificate,
                         const found_t *f, json_t **out) {
    json_t *list = json_array();
    rdg_err_t err = RDG_OK;
    for (size_t i = 0; i < f->count && err == RDG_OK; ++i) err = add_receipt(b, f->list[i], list);
    if (err != RDG_OK) {
        json_decref(list);
        return err;
    }
    *out = json_pack("{s:s, s:s, s:{s:s, s:o, s:s, s:I, s:I}, s:I}", "id", p->command, "type", "chain.prune",
                     "params", "chain", c->name, "receipts", list, "certificate", certificate, "keep_blocks",
                     (json_int_t)p->keep_blocks, "keep_ms", (json_int_t)p->keep_ms, "deadline_ms",
                     (json_int_t)(baas_now() + DEADLINE_MS));
    return *out ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for a command");
}

/* Known before it is sent, and the same whenever it is sent again. */
static void command_id(const chain_t *c, prune_row_t *p) {
    char text[256];
    rdg_hash_t digest;
    int n = snprintf(text, sizeof text, "prune/%" PRId64 "/%" PRIu64 "/%s/%" PRId64, c->number, c->chain_id,
                     p->device, p->attempt);
    rdg_sm3(text, (size_t)n, &digest);
    rdg_hex_encode(digest.b, 16, p->command);
}

/* An id that exists is answered and not sent again, so asking and sending are one. */
static rdg_err_t post(rdg_baas_t *b, const chain_t *c, prune_row_t *p, const char *certificate,
                      const found_t *f) {
    char why[RDG_ERROR_TEXT_MAX];
    json_t *body = NULL, *command = NULL;
    RDG_TRY(compose(b, c, p, certificate, f, &body));
    rdg_err_t err = remote_order(b, p->device, body, &command);
    if (err == RDG_OK) {
        err = prunes_apply(b, command); /* of the row as it is by now */
        json_decref(command);
        return err;
    }
    if (collector_passes(err)) return err;
    snprintf(why, sizeof why, "%s", rdg_err_message(err));
    return settle(b, p, "failed", why);
}

typedef struct turn {
    rdg_baas_t *b;
    const chain_t *c;
    archive_policy_t policy;
    uint64_t reach; /* of receipts, from block 1 on */
    char *certificate;
} turn_t;

static rdg_err_t note_asked(rdg_baas_t *b, const prune_row_t *p) {
    return rdg_sql_exec(
        b->db, "UPDATE archive_prunes SET updated_ms = ? WHERE chain = ? AND device = ? AND state = 'sent'",
        RDG_SQL_PARAMS(u64(baas_now()), rdg_sql_int(p->chain), rdg_sql_text(p->device)), NULL);
}

rdg_err_t prunes_begin(rdg_baas_t *b) {
    return rdg_sql_exec(b->db, "UPDATE archive_prunes SET updated_ms = 0 WHERE state = 'sent'", NULL, 0,
                        NULL);
}

static rdg_err_t send(turn_t *t, prune_row_t *p) {
    found_t f;
    if (!t->certificate) RDG_TRY(collector_certificate(t->b, &t->certificate));
    RDG_TRY(find_receipts(t->b, t->c->number, p->height, &f));
    if (f.count == 0) return RDG_OK;
    if (strcmp(p->state, "sent") != 0) {
        RDG_TRY(contract_catch_up(t->b, t->c, f.reach));
        ++p->attempt;
        command_id(t->c, p);
        p->wanted = f.reach;
        p->keep_blocks = t->policy.keep_blocks;
        p->keep_ms = t->policy.keep_ms;
        snprintf(p->state, sizeof p->state, "sent");
        RDG_TRY(save(t->b, p, NULL));
    } else {
        RDG_TRY(note_asked(t->b, p));
    }
    return post(t->b, t->c, p, t->certificate, &f);
}

/* --- what is due -------------------------------------------------------------------------------------- */

static uint64_t soon(const prune_row_t *p) {
    uint64_t wait = p->passing ? (uint64_t)SOON_MS << (p->passing - 1) : RETRY_MS;
    return wait < RETRY_MS ? wait : RETRY_MS;
}

/* In so many milliseconds; UINT64_MAX: not before something happens. */
static uint64_t due_in(const turn_t *t, const prune_row_t *p) {
    /* What lies ahead was noted before the clock was put back: nobody knows how long ago. */
    uint64_t now = baas_now(), waited = now >= p->updated_ms ? now - p->updated_ms : UINT64_MAX, wait;
    bool other = p->keep_blocks != t->policy.keep_blocks || p->keep_ms != t->policy.keep_ms;
    if (p->height >= t->reach) return UINT64_MAX;
    if (strcmp(p->state, "due") == 0) return 0;
    if (strcmp(p->state, "sent") == 0)
        wait = AGAIN_MS;
    else if (strcmp(p->state, "failed") == 0)
        wait = soon(p);
    else
        wait = p->wanted < t->reach || other ? 0 : REVISIT_MS;
    return waited >= wait ? 0 : wait - waited;
}

static rdg_err_t look_at_device(turn_t *t, const char *device, uint64_t *after_ms) {
    prune_row_t p;
    RDG_TRY(load(t->b, t->c->number, device, &p));
    if (p.attempt == 0) RDG_TRY(save(t->b, &p, NULL)); /* it is listed from now on */
    uint64_t in = due_in(t, &p);
    rdg_err_t err = in == 0 ? send(t, &p) : RDG_OK;
    if (in == 0) in = err == RDG_OK ? AGAIN_MS : 1000;
    if (in < *after_ms) *after_ms = in;
    return err;
}

static rdg_err_t look_at_chain(rdg_baas_t *b, const chain_t *c, uint64_t *after_ms) {
    turn_t t = {.b = b, .c = c};
    found_t f;
    steps_t steps;
    rdg_err_t first = RDG_OK;
    RDG_TRY(policy_load(b, c->number, &t.policy));
    if (t.policy.pressed_ms) t.policy.keep_ms = 0;
    RDG_TRY(find_receipts(b, c->number, 0, &f));
    t.reach = f.reach;
    if (t.reach == 0) return RDG_OK;
    RDG_TRY(steps_load(b, c, &steps));
    for (size_t i = 0; i < steps.count && !baas_stopping(b); ++i) {
        const step_t *s = &steps.list[i];
        if (s->kind != STEP_START || !step_done(s) || steps_find(&steps, s->device, STEP_REMOVE)) continue;
        rdg_err_t err = look_at_device(&t, s->device, after_ms);
        if (first == RDG_OK) first = err;
        if (err != RDG_OK && !t.certificate) break; /* the platform is away */
    }
    steps_fini(&steps);
    rdg_free(t.certificate);
    return first;
}

static rdg_err_t name_row(void *ctx, const rdg_sql_row_t *r) {
    return json_array_append_new(ctx, json_string(rdg_sql_row_text(r, 0))) == 0
               ? RDG_OK
               : rdg_fail(RDG_E_NO_MEMORY, "no memory for the chains");
}

/* One chain's trouble is not the others'. */
static void look_at_named(rdg_baas_t *b, const char *name, uint64_t *after_ms) {
    chain_t c;
    rdg_err_t err = chain_load(b, name, &c);
    if (err == RDG_E_NOT_FOUND) return;
    if (err == RDG_OK) {
        if (chain_is(&c, "running")) err = look_at_chain(b, &c, after_ms);
        chain_fini(&c);
    }
    if (err == RDG_OK) return;
    if (!baas_stopping(b)) rdg_log_err("collector.prune_failed", err);
    if (*after_ms > 1000) *after_ms = 1000;
}

static rdg_err_t look_at_all(rdg_baas_t *b, uint64_t *after_ms) {
    json_t *names = json_array(), *name;
    size_t i;
    rdg_err_t err = rdg_sql_query(b->db, "SELECT DISTINCT name FROM archives WHERE state = 'archived'", NULL,
                                  0, name_row, names);
    json_array_foreach(names, i, name) {
        if (err == RDG_OK && !baas_stopping(b)) look_at_named(b, json_string_value(name), after_ms);
    }
    json_decref(names);
    return err;
}

rdg_err_t prunes_advance(rdg_baas_t *b, uint64_t *after_ms) {
    pthread_mutex_lock(&b->lock);
    bool due = b->collector->prunes_due || baas_mono() >= b->collector->prunes_at_ms;
    b->collector->prunes_due = false;
    pthread_mutex_unlock(&b->lock);
    if (due) {
        uint64_t in = REVISIT_MS;
        RDG_TRY(look_at_all(b, &in));
        b->collector->prunes_at_ms = baas_mono() + in;
    }
    uint64_t now = baas_mono(), at = b->collector->prunes_at_ms;
    uint64_t left = at > now ? at - now : 0;
    if (left < *after_ms) *after_ms = left;
    return RDG_OK;
}

rdg_err_t prunes_order(rdg_baas_t *b, int64_t chain) {
    rdg_err_t err =
        rdg_sql_exec(b->db, "UPDATE archive_prunes SET state = 'due' WHERE chain = ? AND state <> 'sent'",
                     RDG_SQL_PARAMS(rdg_sql_int(chain)), NULL);
    prunes_kick(b);
    return err;
}

/* --- as JSON ------------------------------------------------------------------------------------------ */

static rdg_err_t list_row(void *ctx, const rdg_sql_row_t *r) {
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s?, s:I}", "chain", rdg_sql_row_text(r, 0),
                  "device", rdg_sql_row_text(r, 1), "state", rdg_sql_row_text(r, 2), "archived_to",
                  (json_int_t)rdg_sql_row_int(r, 3), "pruned_height", (json_int_t)rdg_sql_row_int(r, 4),
                  "mark_ms", (json_int_t)rdg_sql_row_int(r, 5), "freed_bytes",
                  (json_int_t)rdg_sql_row_int(r, 6), "compacted_bytes", (json_int_t)rdg_sql_row_int(r, 7),
                  "ledger_bytes", (json_int_t)rdg_sql_row_int(r, 8), "error", rdg_sql_row_text(r, 9),
                  "updated_ms", (json_int_t)rdg_sql_row_int(r, 10));
    return o && json_array_append_new(ctx, o) == 0 ? RDG_OK
                                                   : rdg_fail(RDG_E_NO_MEMORY, "no memory for the devices");
}

rdg_err_t prunes_list(rdg_baas_t *b, const char *tenant, const char *chain, json_t **out) {
    rdg_sql_value_t c = rdg_sql_text(chain), t = rdg_sql_text(tenant);
    *out = json_array();
    if (!*out) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the devices");
    rdg_err_t err = rdg_sql_query(
        b->db,
        "SELECT c.name, p.device, p.state, p.wanted, p.height, p.mark_ms, p.freed_bytes, p.compacted_bytes,"
        " p.ledger_bytes, p.error, p.updated_ms FROM archive_prunes p JOIN chains c ON c.number = p.chain"
        " WHERE c.state = 'running' AND (? IS NULL OR c.name = ?) AND (? IS NULL OR c.tenant = ?)"
        " ORDER BY c.name, p.device LIMIT 10000",
        RDG_SQL_PARAMS(c, c, t, t), list_row, *out);
    if (err != RDG_OK) json_decref(*out), *out = NULL;
    return err;
}
