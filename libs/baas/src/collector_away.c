/* Orders that wait for a device which is away. One that was given an order, or has announced an archive, and then lost its power
 * may be back in a minute or never; until then whoever wants the same is given another order, of a device that is there. What
 * comes of the first is a duplicate then, or is refused by the main chain. */
#include "collector.h"
#include <stdio.h>
#include <string.h>

#define AWAY_MS                                                                                              \
    60000u /* since the order moved: all devices come back one by one after a restart of the cloud */
#define UNDER_WAY "state IN ('ordered', 'exported')"

typedef struct waiting {
    archives_away_t *out;
    char devices[ARCHIVES_AWAY_MAX][BAAS_NAME_MAX + 1];
} waiting_t;

static rdg_err_t waiting_row(void *ctx, const rdg_sql_row_t *r) {
    waiting_t *w = ctx;
    const char *device = rdg_sql_row_text(r, 1);
    if (w->out->count == ARCHIVES_AWAY_MAX || !device) return RDG_OK;
    snprintf(w->devices[w->out->count], sizeof w->devices[0], "%s", device);
    w->out->list[w->out->count++] = rdg_sql_row_int(r, 0);
    return RDG_OK;
}

static rdg_err_t is_there(rdg_baas_t *b, const char *name, bool *out) {
    json_t *device = NULL;
    const char *state = "";
    *out = false;
    rdg_err_t err = remote_device(b, name, &device);
    if (err == RDG_E_NOT_FOUND) return RDG_OK;
    if (err == RDG_OK) err = rdg_json_get_str(device, "state", &state);
    *out = err == RDG_OK && strcmp(state, "online") == 0;
    json_decref(device);
    return err;
}

/* That could be asked in its place. */
static rdg_err_t another_is_there(rdg_baas_t *b, const chain_t *c, bool *out) {
    steps_t steps;
    *out = false;
    RDG_TRY(steps_load(b, c, &steps));
    rdg_err_t err = RDG_OK;
    for (size_t i = 0; err == RDG_OK && !*out && i < steps.count; ++i) {
        const step_t *s = &steps.list[i];
        if (s->kind == STEP_START && step_done(s) && !steps_find(&steps, s->device, STEP_REMOVE))
            err = is_there(b, s->device, out);
    }
    steps_fini(&steps);
    return err;
}

rdg_err_t archives_away(rdg_baas_t *b, const chain_t *c, archives_away_t *out) {
    waiting_t w = {.out = out};
    size_t away = 0;
    bool there;
    out->count = 0;
    RDG_TRY(rdg_sql_query(
        b->db,
        "SELECT number, device FROM archives WHERE chain = ? AND device <> '' AND updated_ms < ? "
        "AND " UNDER_WAY,
        RDG_SQL_PARAMS(rdg_sql_int(c->number), rdg_sql_int((int64_t)(baas_now() - AWAY_MS))), waiting_row,
        &w));
    for (size_t i = 0; i < out->count; ++i) {
        RDG_TRY(is_there(b, w.devices[i], &there));
        if (!there) out->list[away++] = out->list[i];
    }
    out->count = away;
    if (away == 0) return RDG_OK;
    RDG_TRY(another_is_there(b, c, &there));
    if (!there) out->count = 0;
    return RDG_OK;
}

bool archives_is_away(const archives_away_t *a, int64_t number) {
    for (size_t i = 0; i < a->count; ++i)
        if (a->list[i] == number) return true;
    return false;
}

rdg_err_t archives_under_way(rdg_baas_t *b, const chain_t *c, bool *out) {
    int64_t open = 0;
    archives_away_t away;
    RDG_TRY(archives_away(b, c, &away));
    RDG_TRY(rdg_sql_query(b->db, "SELECT COUNT(*) FROM archives WHERE chain = ? AND " UNDER_WAY,
                          RDG_SQL_PARAMS(rdg_sql_int(c->number)), baas_int_row, &open));
    *out = open > (int64_t)away.count;
    return RDG_OK;
}
