/* Archives that are ordered by themselves: after a time, at times, when the ledger has grown by so much, when what is not
 * archived is so old, or when a device's budget is used up. What was ordered when is in the store, so that a restart neither
 * forgets nor repeats it; a time that has passed while the cloud was away is made up for once. */
#include "collector_prune.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "ridge/base/log.h"

#define AGAIN_MS 600000u  /* not sooner after an order, for what is measured */
#define LOOK_MS 5000u     /* at an order that is under way, or a device that has told nothing yet */
#define MEASURE_MS 30000u /* at what devices measure */
#define IDLE_MS 600000u

typedef struct seen {
    uint64_t height, bytes; /* the highest, and the largest ledger, that devices tell of */
} seen_t;

static void look(const json_t *device, const char *chain, seen_t *out) {
    const json_t *entry;
    size_t i;
    json_array_foreach(json_object_get(device, "chains"), i, entry) {
        const char *name = json_string_value(json_object_get(entry, "chain"));
        json_int_t height = json_integer_value(json_object_get(entry, "height")),
                   bytes = json_integer_value(json_object_get(entry, "ledger_bytes"));
        if (!name || strcmp(name, chain) != 0) continue;
        if (height > 0 && (uint64_t)height > out->height) out->height = (uint64_t)height;
        if (bytes > 0 && (uint64_t)bytes > out->bytes) out->bytes = (uint64_t)bytes;
    }
}

/* The chain's own devices are asked, and no others: a list of all would be long, and comes in pages. One that is gone tells
 * nothing. */
static rdg_err_t look_at_devices(rdg_baas_t *b, const chain_t *c, seen_t *out) {
    steps_t steps;
    *out = (seen_t){0};
    RDG_TRY(steps_load(b, c, &steps));
    rdg_err_t err = RDG_OK;
    for (size_t i = 0; err == RDG_OK && i < steps.count; ++i) {
        const step_t *s = &steps.list[i];
        json_t *device = NULL;
        if (s->kind != STEP_PREPARE || steps_find(&steps, s->device, STEP_REMOVE)) continue;
        err = remote_device(b, s->device, &device);
        if (err == RDG_OK) look(device, c->name, out);
        if (err == RDG_E_NOT_FOUND) err = RDG_OK;
        json_decref(device);
    }
    steps_fini(&steps);
    return err;
}

/* The time of the newest archived record, or when the chain began. */
static rdg_err_t newest_record(rdg_baas_t *b, const chain_t *c, uint64_t *mark_ms) {
    int64_t mark = 0;
    RDG_TRY(rdg_sql_query(b->db,
                          "SELECT COALESCE(MAX(mark_ms), 0) FROM archives WHERE chain = ? AND state IN"
                          " ('verified', 'archived')",
                          RDG_SQL_PARAMS(rdg_sql_int(c->number)), baas_int_row, &mark));
    *mark_ms = mark > 0 ? (uint64_t)mark : c->running_ms;
    return RDG_OK;
}

static void earlier(uint64_t at, const char *why, schedule_t *out) {
    if (at == 0 || (out->next_ms && out->next_ms <= at)) return;
    out->next_ms = at;
    out->why = why;
}

rdg_err_t schedule_of(rdg_baas_t *b, const chain_t *c, const archive_policy_t *p, schedule_t *out) {
    cron_t cron;
    uint64_t mark, since = p->ordered_ms > p->updated_ms ? p->ordered_ms : p->updated_ms;
    *out = (schedule_t){0, NULL};
    if (p->every_ms) earlier(since + p->every_ms, "interval", out);
    if (p->cron[0] && cron_parse(p->cron, &cron) == RDG_OK) earlier(cron_next(&cron, since), "cron", out);
    if (p->age_ms) {
        RDG_TRY(newest_record(b, c, &mark));
        uint64_t at = mark + p->age_ms, soonest = p->ordered_ms ? p->ordered_ms + AGAIN_MS : 0;
        earlier(at > soonest ? at : soonest, "age", out);
    }
    return RDG_OK;
}

static const char *measured(const archive_policy_t *p, const seen_t *seen, uint64_t now) {
    if (p->ordered_ms && now < p->ordered_ms + AGAIN_MS) return NULL;
    if (p->budget_bytes && seen->bytes > p->budget_bytes) return "budget";
    if (p->size_bytes && seen->bytes >= p->ordered_bytes + p->size_bytes) return "size";
    return NULL;
}

/* The time is noted before the order is made: a crash between the two costs one archive, which the next makes up for. */
static rdg_err_t order_now(rdg_baas_t *b, const chain_t *c, archive_policy_t *p, const seen_t *seen,
                           const char *why) {
    uint64_t reach;
    int64_t number;
    bool made;
    RDG_TRY(archives_reach(b, c->number, &reach));
    p->ordered_ms = baas_now();
    p->ordered_bytes = seen->bytes;
    snprintf(p->ordered_why, sizeof p->ordered_why, "%s", why);
    RDG_TRY(policy_note(b, c->number, p));
    if (seen->height <= reach) return RDG_OK; /* nothing has come since */
    RDG_TRY(archives_order(b, c, NULL, 0, 0, &number, &made));
    rdg_log(RDG_LOG_INFO, "collector.scheduled", RDG_STR("chain", c->name), RDG_STR("why", why),
            RDG_I64("archive", number));
    RDG_TRY(event_add(b, c->number, NULL, "archive", "scheduled", why));
    event_wake(b);
    collector_kick(b);
    return RDG_OK;
}

/* Under pressure age keeps nothing on a device: prunes_advance looks. */
static rdg_err_t note_pressure(rdg_baas_t *b, const chain_t *c, archive_policy_t *p, const seen_t *seen) {
    bool over = p->budget_bytes && seen->bytes > p->budget_bytes;
    if (over == (p->pressed_ms > 0)) return RDG_OK;
    p->pressed_ms = over ? baas_now() : 0;
    RDG_TRY(policy_note(b, c->number, p));
    rdg_log(over ? RDG_LOG_WARN : RDG_LOG_INFO, over ? "collector.pressure" : "collector.pressure_gone",
            RDG_STR("chain", c->name), RDG_U64("bytes", seen->bytes), RDG_U64("budget", p->budget_bytes));
    RDG_TRY(event_add(b, c->number, NULL, "archive", over ? "pressure" : "pressure-gone", ""));
    event_wake(b);
    prunes_kick(b);
    return RDG_OK;
}

static rdg_err_t look_at_chain(rdg_baas_t *b, const chain_t *c, uint64_t *after_ms) {
    archive_policy_t p;
    schedule_t next;
    seen_t seen;
    bool busy;
    RDG_TRY(policy_load(b, c->number, &p));
    RDG_TRY(policy_mend_times(b, c->number, &p, baas_now()));
    RDG_TRY(look_at_devices(b, c, &seen));
    if (seen.bytes && seen.bytes < p.ordered_bytes) {
        p.ordered_bytes = seen.bytes; /* what was freed may grow again */
        RDG_TRY(policy_note(b, c->number, &p));
    }
    RDG_TRY(note_pressure(b, c, &p, &seen));
    RDG_TRY(archives_under_way(b, c, &busy));
    if (busy && *after_ms > LOOK_MS) *after_ms = LOOK_MS;
    if (busy) return RDG_OK;
    uint64_t now = baas_now();
    RDG_TRY(schedule_of(b, c, &p, &next));
    const char *why = next.next_ms && next.next_ms <= now ? next.why : measured(&p, &seen, now);
    if (why && seen.height == 0) why = NULL; /* no device has told of the chain yet */
    if (why) RDG_TRY(order_now(b, c, &p, &seen, why));
    if (why) RDG_TRY(schedule_of(b, c, &p, &next));
    uint64_t in = next.next_ms <= now ? (next.next_ms ? LOOK_MS : IDLE_MS) : next.next_ms - now;
    if ((p.size_bytes || p.budget_bytes) && in > MEASURE_MS) in = MEASURE_MS;
    if (in < *after_ms) *after_ms = in;
    return RDG_OK;
}

static rdg_err_t name_row(void *ctx, const rdg_sql_row_t *r) {
    return json_array_append_new(ctx, json_string(rdg_sql_row_text(r, 0))) == 0
               ? RDG_OK
               : rdg_fail(RDG_E_NO_MEMORY, "no memory for the chains");
}

static void look_at_all(rdg_baas_t *b, const json_t *names, uint64_t *after_ms) {
    json_t *name;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)names, i, name) {
        chain_t c;
        if (baas_stopping(b) || chain_load(b, json_string_value(name), &c) != RDG_OK) continue;
        rdg_err_t err = chain_is(&c, "running") ? look_at_chain(b, &c, after_ms) : RDG_OK;
        chain_fini(&c);
        if (err == RDG_OK) continue;
        if (!baas_stopping(b)) rdg_log_err("collector.schedule_failed", err);
        if (*after_ms > LOOK_MS) *after_ms = LOOK_MS;
    }
}

rdg_err_t schedule_advance(rdg_baas_t *b, uint64_t *after_ms) {
    collector_t *c = b->collector;
    uint64_t now = baas_mono();
    pthread_mutex_lock(&b->lock);
    bool due = c->schedule_due || now >= c->schedule_at_ms;
    c->schedule_due = false;
    pthread_mutex_unlock(&b->lock);
    if (due) {
        uint64_t in = IDLE_MS;
        json_t *names = json_array();
        rdg_err_t err =
            rdg_sql_query(b->db,
                          "SELECT c.name FROM archive_policies p JOIN chains c ON c.number = p.chain"
                          " WHERE c.state = 'running' AND (p.every_ms > 0 OR p.cron <> '' OR"
                          " p.size_bytes > 0 OR p.age_ms > 0 OR p.budget_bytes > 0 OR p.pressed_ms > 0)",
                          NULL, 0, name_row, names);
        if (err == RDG_OK) look_at_all(b, names, &in);
        json_decref(names);
        if (err != RDG_OK) in = LOOK_MS;
        c->schedule_at_ms = baas_mono() + in;
        now = baas_mono();
    }
    uint64_t left = c->schedule_at_ms > now ? c->schedule_at_ms - now : 0;
    if (left < *after_ms) *after_ms = left;
    return RDG_OK;
}
