/* Whether a chain is lost, as far as anybody can tell from here: no quorum of its nodes answers, none holds a block that no
 * archive has, and nobody has recorded one. A device that does not answer is taken for lost; whoever orders the rebuild
 * says so, and what such a device has sealed meanwhile is given up. */
#include "archive_keys.h"
#include "succession.h"
#include <inttypes.h>
#include <string.h>

#define ASK_MS 2000

static uint64_t weight_of(const json_t *consensus, const char *device) {
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(consensus, "validators"), i, v) {
        const char *name = json_string_value(json_object_get(v, "name"));
        json_int_t weight = json_integer_value(json_object_get(v, "weight"));
        if (name && strcmp(name, device) == 0) return weight > 0 ? (uint64_t)weight : 1;
    }
    return 0;
}

typedef struct alive {
    uint64_t weight, quorum;
    size_t nodes;
} alive_t;

static rdg_err_t look_at(relay_t *r, const chain_t *c, const char *device, uint64_t reach, alive_t *a) {
    json_t *status = NULL, *consensus = NULL, *none = json_array();
    rdg_err_t err = RDG_OK;
    bool sound = relay_ask(r, device, "ridge_status", none, &status) == RDG_OK &&
                 json_is_null(json_object_get(status, "halted"));
    json_int_t height = json_integer_value(json_object_get(status, "height"));
    if (sound && height > 0 && (uint64_t)height > reach)
        err = rdg_fail(
            RDG_E_CONFLICT,
            "device '%s' holds block %lld of chain '%s', and its archives reach to %" PRIu64
            ": archive it or recover the others from it; to give those blocks up, say so by the chain's "
            "name: --discard %s",
            device, (long long)height, c->name, reach, c->name);
    if (err == RDG_OK && sound && relay_ask(r, device, "ridge_consensus", none, &consensus) == RDG_OK &&
        json_is_true(json_object_get(consensus, "voting"))) {
        a->weight += weight_of(consensus, device);
        a->quorum = (uint64_t)json_integer_value(json_object_get(consensus, "quorum"));
        ++a->nodes;
    }
    json_decref(none);
    json_decref(status);
    json_decref(consensus);
    return err;
}

rdg_err_t succession_check_lost(rdg_baas_t *b, const chain_t *c, uint64_t reach) {
    relay_t r;
    alive_t a = {0};
    uint64_t recorded = 0;
    RDG_TRY(intent_highest(b, c->chain_id, RDG_ANCHOR_CHECKPOINT, 0, &recorded));
    RDG_TRY(relay_init(&r, b, c, ASK_MS));
    rdg_err_t err = RDG_OK;
    for (size_t i = 0; err == RDG_OK && i < r.steps.count; ++i) {
        const step_t *s = &r.steps.list[i];
        if (s->kind == STEP_PREPARE && !steps_find(&r.steps, s->device, STEP_REMOVE))
            err = look_at(&r, c, s->device, reach, &a);
    }
    relay_fini(&r);
    RDG_TRY(err);
    if (a.nodes > 0 && a.weight >= a.quorum)
        return rdg_fail(
            RDG_E_CONFLICT,
            "a quorum of chain '%s' lives (%zu of its nodes vote): see ridge node recover and ridge chain "
            "validator; to take it from them all the same, say so by its name: --discard %s",
            c->name, a.nodes, c->name);
    if (recorded <= reach) return RDG_OK;
    return rdg_fail(RDG_E_CONFLICT,
                    "the main chain has seen block %" PRIu64
                    " of chain '%s', and its archives reach to %" PRIu64
                    ": to give those blocks up, say so by the chain's name: --discard %s",
                    recorded, c->name, reach, c->name);
}

rdg_err_t succession_reach(rdg_baas_t *b, const chain_t *c, uint64_t *reach, uint64_t *archives) {
    archive_piece_t *pieces = NULL;
    size_t count = 0;
    int64_t last = 0;
    uint64_t anchored = 0;
    RDG_TRY(archive_pieces(b, c, &pieces, &count));
    *reach = count ? pieces[count - 1].to : 0;
    *archives = count;
    rdg_err_t err = archive_keys_check(b, c, pieces, count);
    rdg_free(pieces);
    RDG_TRY(err);
    RDG_TRY(rdg_sql_query(
        b->db,
        "SELECT COALESCE(MAX(last), 0) FROM archives WHERE chain = ? AND state = 'archived' AND file > 0",
        RDG_SQL_PARAMS(rdg_sql_int(c->number)), baas_int_row, &last));
    if (*reach == 0)
        return rdg_fail(RDG_E_UNAVAILABLE,
                        "chain '%s' has no anchored archive from block 1 on: nothing can be rebuilt",
                        c->name);
    if ((uint64_t)last > *reach)
        return rdg_fail(
            RDG_E_UNAVAILABLE,
            "the archives of chain '%s' reach to block %" PRIu64
            " without a gap, and there is one up to %lld behind it: see ridge archive list --chain %s",
            c->name, *reach, (long long)last, c->name);
    RDG_TRY(intent_highest(b, c->chain_id, RDG_ANCHOR_ARCHIVE, 1, &anchored));
    if (anchored > *reach)
        return rdg_fail(
            RDG_E_UNAVAILABLE,
            "the main chain has, or is being told of, archives of chain '%s' up to block %" PRIu64
            ", and those that can be used reach to %" PRIu64
            ": what went on below could never be archived; wait for them, or bring them back from a backup "
            "(ridge archive list --chain %s)",
            c->name, anchored, *reach, c->name);
    return RDG_OK;
}

rdg_err_t succession_check_open(rdg_baas_t *b, uint64_t chain_id, uint64_t to) {
    int64_t count = 0;
    RDG_TRY(rdg_sql_query(
        b->db,
        "SELECT COUNT(*) FROM chain_successions s JOIN chains c ON c.number = s.chain WHERE c.chain_id = ?"
        " AND s.step = 'anchor' AND s.state <> 'cancelled' AND s.height < ?",
        RDG_SQL_PARAMS(rdg_sql_int((int64_t)chain_id), rdg_sql_int((int64_t)to)), baas_int_row, &count));
    return count == 0 ? RDG_OK
                      : rdg_fail(RDG_E_UNAVAILABLE,
                                 "it waits: the chain is being handed over to other devices behind a block "
                                 "below %" PRIu64 " (ridge chain status says how far that is)",
                                 to);
}

rdg_err_t succession_check_archive(rdg_baas_t *b, uint64_t chain_id, uint64_t to,
                                   const rdg_hash_t *manifest) {
    int64_t count = 0;
    RDG_TRY(succession_check_open(b, chain_id, to));
    RDG_TRY(rdg_sql_query(
        b->db, "SELECT COUNT(*) FROM archives WHERE chain_id = ? AND manifest = ? AND state = 'exported'",
        RDG_SQL_PARAMS(rdg_sql_int((int64_t)chain_id),
                       rdg_sql_blob(rdg_bytes(manifest->b, sizeof manifest->b))),
        baas_int_row, &count));
    return count == 0 ? RDG_OK : rdg_fail(RDG_E_UNAVAILABLE, "it is being proven once more");
}
