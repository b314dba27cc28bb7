/* Which archives end with the state of their chain, and from which height on the next one should. */
#include "archive_states.h"
#include <inttypes.h>
#include <stdio.h>

const char archive_states_migration[] =
    "CREATE TABLE archive_states (archive BIGINT PRIMARY KEY, chain BIGINT NOT NULL, height BIGINT NOT NULL);"
    "CREATE TABLE recovery_wishes (chain BIGINT NOT NULL, device TEXT NOT NULL, first BIGINT NOT NULL,"
    " last BIGINT NOT NULL, PRIMARY KEY (chain, device));";

rdg_err_t archive_state_note(rdg_baas_t *b, const archive_row_t *r) {
    RDG_TRY(rdg_sql_exec(b->db, "DELETE FROM archive_states WHERE archive = ?",
                         RDG_SQL_PARAMS(rdg_sql_int(r->number)), NULL));
    return rdg_sql_exec(
        b->db, "INSERT INTO archive_states (archive, chain, height) VALUES (?, ?, ?)",
        RDG_SQL_PARAMS(rdg_sql_int(r->number), rdg_sql_int(r->chain), rdg_sql_int((int64_t)r->claim.to)),
        NULL);
}

rdg_err_t archive_state_wanted(rdg_baas_t *b, const archive_row_t *r, const chain_t *c, uint64_t *from) {
    uint64_t every = ARCHIVE_STATE_BLOCKS_DEFAULT;
    int64_t last = 0;
    (void)rdg_json_opt_u64(c->params, CHAIN_ARCHIVE_STATE_BLOCKS, &every);
    *from = 0;
    if (every == 0) return RDG_OK;
    RDG_TRY(
        rdg_sql_query(b->db,
                      "SELECT COALESCE(MAX(s.height), 0) FROM archive_states s, archives a WHERE a.number ="
                      " s.archive AND s.chain = ? AND a.state IN ('verified', 'archived')",
                      RDG_SQL_PARAMS(rdg_sql_int(r->chain)), baas_int_row, &last));
    *from = (uint64_t)last + every;
    return RDG_OK;
}

static rdg_err_t span_row(void *ctx, const rdg_sql_row_t *r) {
    archive_span_t *s = ctx;
    *s = (archive_span_t){
        .wanted = true, .from = (uint64_t)rdg_sql_row_int(r, 0), .to = (uint64_t)rdg_sql_row_int(r, 1)};
    return RDG_OK;
}

rdg_err_t recovery_wish(rdg_baas_t *b, const chain_t *c, const char *device, archive_span_t *out) {
    *out = (archive_span_t){.wanted = false};
    return rdg_sql_query(b->db, "SELECT first, last FROM recovery_wishes WHERE chain = ? AND device = ?",
                         RDG_SQL_PARAMS(rdg_sql_int(c->number), rdg_sql_text(device)), span_row, out);
}

rdg_err_t recovery_wish_set(rdg_baas_t *b, const chain_t *c, const char *device, const archive_span_t *s) {
    RDG_TRY(rdg_sql_exec(b->db, "DELETE FROM recovery_wishes WHERE chain = ? AND device = ?",
                         RDG_SQL_PARAMS(rdg_sql_int(c->number), rdg_sql_text(device)), NULL));
    if (!s->wanted) return RDG_OK;
    return rdg_sql_exec(b->db, "INSERT INTO recovery_wishes (chain, device, first, last) VALUES (?, ?, ?, ?)",
                        RDG_SQL_PARAMS(rdg_sql_int(c->number), rdg_sql_text(device),
                                       rdg_sql_int((int64_t)s->from), rdg_sql_int((int64_t)s->to)),
                        NULL);
}

/* --- what there is to recover from -------------------------------------------------------------------------------- */

typedef struct gather {
    archive_piece_t *list;
    size_t count;
} gather_t;

static rdg_err_t piece_row(void *ctx, const rdg_sql_row_t *r) {
    gather_t *g = ctx;
    archive_piece_t p = {.file = rdg_sql_row_int(r, 0),
                         .from = (uint64_t)rdg_sql_row_int(r, 1),
                         .to = (uint64_t)rdg_sql_row_int(r, 2),
                         .has_state = rdg_sql_row_int(r, 4) > 0};
    rdg_bytes_t manifest = rdg_sql_row_blob(r, 3);
    snprintf(p.key_id, sizeof p.key_id, "%s", rdg_sql_row_text(r, 5));
    if (manifest.len != sizeof p.manifest.b || g->count == ARCHIVE_PIECES_MAX) return RDG_OK;
    memcpy(p.manifest.b, manifest.data, manifest.len);
    /* By first block, then the longest: one that begins within what is covered is needed only if it goes further. */
    const archive_piece_t *last = g->count ? &g->list[g->count - 1] : NULL;
    uint64_t covered = last ? last->to : 0;
    if (p.from > covered + 1 || p.to <= covered) return RDG_OK;
    g->list[g->count++] = p;
    return RDG_OK;
}

rdg_err_t archive_pieces(rdg_baas_t *b, const chain_t *c, archive_piece_t **out, size_t *count) {
    gather_t g = {.list = rdg_calloc(ARCHIVE_PIECES_MAX, sizeof *g.list)};
    if (!g.list) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a chain's archives");
    rdg_err_t err = rdg_sql_query(
        b->db,
        "SELECT a.file, a.first, a.last, a.manifest, COALESCE(s.height, 0), a.key_id FROM archives a "
        "LEFT JOIN archive_states s"
        " ON s.archive = a.number WHERE a.chain = ? AND a.state = 'archived' AND a.file > 0"
        " ORDER BY a.first, a.last DESC",
        RDG_SQL_PARAMS(rdg_sql_int(c->number)), piece_row, &g);
    if (err != RDG_OK) rdg_free(g.list);
    *out = err == RDG_OK ? g.list : NULL;
    *count = g.count;
    return err;
}
