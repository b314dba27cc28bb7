#include "collector.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/codec/hex.h"
#include "ridge/ledger/genesis.h"

#define ENDED "('failed', 'refused', 'duplicate', 'archived')"
#define PROVEN "('verified', 'archived')"
#define VAIN "('failed', 'refused', 'duplicate')"
#define VAIN_KEPT 100 /* of a chain */
#define RECEIPT_MAX 4096
#define COLUMNS                                                                                              \
    "number, chain, name, chain_id, genesis, device, given, attempt, state, command, wanted_from, "          \
    "wanted_to,"                                                                                             \
    " object, file, first, last, mark_ms, manifest, content, txs, bytes, signatures, anchor_height, "        \
    "anchor_tx,"                                                                                             \
    " receipt, error, created_ms, updated_ms, key_id, wrapped"

/* object: the name under which the device uploads; file: its number on the platform. */
const char collector_migration[] =
    "CREATE TABLE archives (number INTEGER PRIMARY KEY AUTOINCREMENT, chain INTEGER NOT NULL, name TEXT NOT "
    "NULL,"
    " chain_id BIGINT NOT NULL, genesis BLOB NOT NULL, device TEXT NOT NULL, given INTEGER NOT NULL,"
    " attempt INTEGER NOT NULL, state TEXT NOT NULL, command TEXT NOT NULL, wanted_from BIGINT NOT NULL,"
    " wanted_to BIGINT NOT NULL, object TEXT NOT NULL DEFAULT '', file BIGINT NOT NULL DEFAULT 0,"
    " first BIGINT NOT NULL DEFAULT 0, last BIGINT NOT NULL DEFAULT 0, mark_ms BIGINT NOT NULL DEFAULT 0,"
    " manifest BLOB, content BLOB, txs BIGINT NOT NULL DEFAULT 0, bytes BIGINT NOT NULL DEFAULT 0,"
    " signatures BIGINT NOT NULL DEFAULT 0, anchor_height BIGINT NOT NULL DEFAULT 0, anchor_tx BLOB, receipt "
    "BLOB,"
    " error TEXT, created_ms BIGINT NOT NULL, updated_ms BIGINT NOT NULL);"
    "CREATE INDEX archives_chain ON archives (chain, first);"
    "CREATE INDEX archives_state ON archives (state, number);";

void archive_row_fini(archive_row_t *r) {
    rdg_buf_fini(&r->receipt);
    rdg_free(r->error);
    rdg_free(r->wrapped);
    r->error = r->wrapped = NULL;
}

bool archive_ended(const archive_row_t *r) {
    static const char *const ended[] = {"failed", "refused", "duplicate", "archived"};
    for (size_t i = 0; i < sizeof ended / sizeof ended[0]; ++i)
        if (strcmp(r->state, ended[i]) == 0) return true;
    return false;
}

/* --- rows ------------------------------------------------------------------------------------------------ */

static void text(const rdg_sql_row_t *r, unsigned column, char *out, size_t size) {
    const char *t = rdg_sql_row_text(r, column);
    snprintf(out, size, "%s", t ? t : "");
}

static uint64_t number(const rdg_sql_row_t *r, unsigned column) {
    return (uint64_t)rdg_sql_row_int(r, column);
}

static void hash(const rdg_sql_row_t *r, unsigned column, rdg_hash_t *out) {
    rdg_bytes_t b = rdg_sql_row_blob(r, column);
    memset(out, 0, sizeof *out);
    if (b.len == sizeof out->b) memcpy(out->b, b.data, b.len);
}

static rdg_err_t read_row(const rdg_sql_row_t *r, archive_row_t *a) {
    memset(a, 0, sizeof *a);
    a->number = rdg_sql_row_int(r, 0);
    a->chain = rdg_sql_row_int(r, 1);
    text(r, 2, a->name, sizeof a->name);
    a->claim.chain_id = number(r, 3);
    hash(r, 4, &a->claim.genesis);
    text(r, 5, a->device, sizeof a->device);
    a->given_device = rdg_sql_row_int(r, 6) != 0;
    a->attempt = rdg_sql_row_int(r, 7);
    text(r, 8, a->state, sizeof a->state);
    snprintf(a->stored, sizeof a->stored, "%s", a->state);
    text(r, 9, a->command, sizeof a->command);
    a->wanted_from = number(r, 10);
    a->wanted_to = number(r, 11);
    text(r, 12, a->object, sizeof a->object);
    a->file = rdg_sql_row_int(r, 13);
    a->claim.from = number(r, 14);
    a->claim.to = number(r, 15);
    a->claim.mark_ms = number(r, 16);
    hash(r, 17, &a->claim.manifest);
    hash(r, 18, &a->claim.content);
    a->txs = number(r, 19);
    a->bytes = number(r, 20);
    a->signatures = number(r, 21);
    a->anchored.height = number(r, 22);
    hash(r, 23, &a->anchored.tx);
    rdg_bytes_t receipt = rdg_sql_row_blob(r, 24);
    rdg_buf_init(&a->receipt, RECEIPT_MAX);
    rdg_err_t err = rdg_buf_append(&a->receipt, receipt.data, receipt.len);
    const char *why = rdg_sql_row_text(r, 25);
    a->error = rdg_strdup(why);
    a->created_ms = number(r, 26);
    a->updated_ms = number(r, 27);
    uint64_t now = baas_now(); /* what lies ahead was noted before the clock was put back */
    if (a->updated_ms > now) a->updated_ms = now;
    text(r, 28, a->key_id, sizeof a->key_id);
    a->wrapped = rdg_strdup(rdg_sql_row_text(r, 29));
    if (err != RDG_OK) archive_row_fini(a);
    return err;
}

static rdg_err_t one_row(void *ctx, const rdg_sql_row_t *r) {
    return read_row(r, ctx);
}

rdg_err_t archives_load(rdg_baas_t *b, int64_t n, archive_row_t *out) {
    memset(out, 0, sizeof *out);
    RDG_TRY(rdg_sql_query(b->db, "SELECT " COLUMNS " FROM archives WHERE number = ?",
                          RDG_SQL_PARAMS(rdg_sql_int(n)), one_row, out));
    return out->number
               ? RDG_OK
               : rdg_fail(RDG_E_NOT_FOUND, "there is no archive %" PRId64 ": see ridge archive list", n);
}

static rdg_sql_value_t u64(uint64_t v) {
    return rdg_sql_int((int64_t)v);
}

static rdg_sql_value_t blob(const rdg_hash_t *h) {
    return rdg_sql_blob(rdg_bytes(h->b, sizeof h->b));
}

rdg_err_t archives_save(rdg_baas_t *b, archive_row_t *r) {
    const rdg_collector_claim_t *c = &r->claim;
    size_t changed = 0;
    RDG_TRY(rdg_sql_exec(
        b->db,
        "UPDATE archives SET device = ?, attempt = ?, state = ?, command = ?, object = ?, file = ?, first = "
        "?,"
        " last = ?, mark_ms = ?, manifest = ?, content = ?, txs = ?, bytes = ?, signatures = ?, "
        "anchor_height = ?,"
        " anchor_tx = ?, receipt = ?, error = ?, updated_ms = ?, key_id = ?, wrapped = ? WHERE number = ? "
        "AND "
        "state = ?",
        RDG_SQL_PARAMS(rdg_sql_text(r->device), rdg_sql_int(r->attempt), rdg_sql_text(r->state),
                       rdg_sql_text(r->command), rdg_sql_text(r->object), rdg_sql_int(r->file), u64(c->from),
                       u64(c->to), u64(c->mark_ms), blob(&c->manifest), blob(&c->content), u64(r->txs),
                       u64(r->bytes), u64(r->signatures), u64(r->anchored.height), blob(&r->anchored.tx),
                       rdg_sql_blob(rdg_buf_view(&r->receipt)), rdg_sql_text(r->error), u64(baas_now()),
                       rdg_sql_text(r->key_id), rdg_sql_text(r->wrapped), rdg_sql_int(r->number),
                       rdg_sql_text(r->stored)),
        &changed));
    if (changed == 0) return rdg_fail(RDG_E_STALE, "archive %" PRId64 " is looked at anew", r->number);
    snprintf(r->stored, sizeof r->stored, "%s", r->state);
    return RDG_OK;
}

rdg_err_t archives_move(rdg_baas_t *b, archive_row_t *r, const char *state, const char *error) {
    char *copy = rdg_strdup(error);
    if (error && !copy) return rdg_fail(RDG_E_NO_MEMORY, "no memory for an archive");
    rdg_free(r->error);
    r->error = copy;
    if (state != r->state) snprintf(r->state, sizeof r->state, "%s", state);
    RDG_TRY(archives_save(b, r));
    char message[RDG_ERROR_TEXT_MAX];
    snprintf(message, sizeof message, "%s", error ? error : "");
    RDG_TRY(event_add(b, r->chain, r->device, "archive", state, message));
    event_wake(b);
    return RDG_OK;
}

/* --- questions ------------------------------------------------------------------------------------------- */

typedef struct numbers {
    int64_t *list;
    size_t count, max;
} numbers_t;

static rdg_err_t number_row(void *ctx, const rdg_sql_row_t *r) {
    numbers_t *n = ctx;
    if (n->count < n->max) n->list[n->count++] = rdg_sql_row_int(r, 0);
    return RDG_OK;
}

rdg_err_t archives_open(rdg_baas_t *b, int64_t *list, size_t max, size_t *count) {
    numbers_t n = {list, 0, max};
    /* Without an anchorer nothing more happens to what is verified. */
    rdg_sql_value_t last = rdg_sql_text(b->collector->anchorer.anchor ? "" : "verified");
    RDG_TRY(rdg_sql_query(b->db,
                          "SELECT number FROM archives WHERE (state NOT IN " ENDED " AND state <> ?)"
                          " OR (state IN ('refused', 'duplicate') AND file > 0) ORDER BY updated_ms LIMIT ?",
                          RDG_SQL_PARAMS(last, rdg_sql_int((int64_t)max)), number_row, &n));
    *count = n.count;
    return RDG_OK;
}

static rdg_err_t reach_row(void *ctx, const rdg_sql_row_t *r) {
    uint64_t *height = ctx, first = number(r, 0), last = number(r, 1);
    if (first <= *height + 1 && last > *height) *height = last;
    return RDG_OK;
}

rdg_err_t archives_reach(rdg_baas_t *b, int64_t chain, uint64_t *height) {
    *height = 0;
    return rdg_sql_query(
        b->db, "SELECT first, last FROM archives WHERE chain = ? AND state IN " PROVEN " ORDER BY first",
        RDG_SQL_PARAMS(rdg_sql_int(chain)), reach_row, height);
}

typedef struct twin {
    const archive_row_t *of;
    int64_t number;
    bool same;
} twin_t;

static rdg_err_t twin_row(void *ctx, const rdg_sql_row_t *r) {
    twin_t *t = ctx;
    rdg_hash_t content;
    hash(r, 1, &content);
    t->number = rdg_sql_row_int(r, 0);
    t->same = rdg_hash_equal(&content, &t->of->claim.content);
    return t->same ? RDG_OK : RDG_E_CANCELLED; /* the first that differs is enough */
}

rdg_err_t archives_twin(rdg_baas_t *b, const archive_row_t *r, int64_t *out, bool *same) {
    twin_t t = {.of = r};
    RDG_TRY(rdg_sql_query(
        b->db,
        "SELECT number, content FROM archives WHERE chain = ? AND first = ? AND last = ?"
        " AND number <> ? AND state IN " PROVEN,
        RDG_SQL_PARAMS(rdg_sql_int(r->chain), u64(r->claim.from), u64(r->claim.to), rdg_sql_int(r->number)),
        twin_row, &t));
    *out = t.number;
    *same = t.same;
    return RDG_OK;
}

rdg_err_t archives_prove_again(rdg_baas_t *b, int64_t chain, uint64_t height) {
    return rdg_sql_exec(
        b->db, "UPDATE archives SET state = 'exported' WHERE chain = ? AND state = 'verified' AND last > ?",
        RDG_SQL_PARAMS(rdg_sql_int(chain), u64(height)), NULL);
}

rdg_err_t archives_have(rdg_baas_t *b, int64_t chain, uint64_t from, uint64_t to, bool *have) {
    int64_t n = 0;
    RDG_TRY(rdg_sql_query(
        b->db,
        "SELECT COUNT(*) FROM archives WHERE chain = ? AND first = ? AND last = ? AND state IN " PROVEN,
        RDG_SQL_PARAMS(rdg_sql_int(chain), u64(from), u64(to)), baas_int_row, &n));
    *have = n > 0;
    return RDG_OK;
}

rdg_err_t archives_file_used(rdg_baas_t *b, int64_t file, bool *used) {
    int64_t n = 0;
    RDG_TRY(rdg_sql_query(b->db, "SELECT COUNT(*) FROM archives WHERE file = ? AND state IN " PROVEN,
                          RDG_SQL_PARAMS(rdg_sql_int(file)), baas_int_row, &n));
    *used = n > 0;
    return RDG_OK;
}

/* Orders that came to nothing are told of for a while: who waits for days is asked again and again. */
static rdg_err_t forget_failed(rdg_baas_t *b, int64_t chain) {
    rdg_sql_value_t c = rdg_sql_int(chain);
    return rdg_sql_exec(
        b->db,
        "DELETE FROM archives WHERE chain = ? AND state IN " VAIN
        " AND file = 0 AND number NOT IN (SELECT number FROM archives WHERE chain = ? AND state IN " VAIN
        " ORDER BY number DESC LIMIT ?)",
        RDG_SQL_PARAMS(c, c, rdg_sql_int(VAIN_KEPT)), NULL);
}

static rdg_err_t insert(rdg_baas_t *b, const chain_t *c, const char *device, uint64_t from, uint64_t to,
                        int64_t *out) {
    rdg_genesis_t *genesis = rdg_calloc(1, sizeof *genesis);
    char *text_of = c->genesis ? rdg_json_text(c->genesis) : NULL;
    int64_t open = 0;
    rdg_err_t err = genesis && text_of ? rdg_genesis_parse(rdg_bytes_str(text_of), genesis)
                                       : rdg_fail(RDG_E_CONFLICT, "chain '%s' has no genesis yet", c->name);
    if (err == RDG_OK)
        err = rdg_sql_query(
            b->db, "SELECT COUNT(*) FROM archives WHERE state NOT IN " ENDED " AND state <> 'verified'", NULL,
            0, baas_int_row, &open);
    if (err == RDG_OK && open >= RDG_COLLECTOR_OPEN_MAX)
        err = rdg_fail(RDG_E_FULL, "%d archives are under way: wait for some", RDG_COLLECTOR_OPEN_MAX);
    if (err == RDG_OK)
        err = rdg_sql_exec(
            b->db,
            "INSERT INTO archives (chain, name, chain_id, genesis, device, given, attempt, state,"
            " command, wanted_from, wanted_to, created_ms, updated_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, 0, 'ordered', '', ?, ?, ?, ?)",
            RDG_SQL_PARAMS(rdg_sql_int(c->number), rdg_sql_text(c->name), u64(c->chain_id),
                           blob(&genesis->hash), rdg_sql_text(device ? device : ""),
                           rdg_sql_int(device != NULL), u64(from), u64(to), u64(baas_now()), u64(baas_now())),
            NULL);
    rdg_free(genesis);
    rdg_free(text_of);
    if (err == RDG_OK) err = forget_failed(b, c->number);
    RDG_TRY(err);
    return rdg_sql_query(b->db, "SELECT MAX(number) FROM archives WHERE chain = ?",
                         RDG_SQL_PARAMS(rdg_sql_int(c->number)), baas_int_row, out);
}

/* Of those that want the same the first that does not wait for a device which is away. */
static rdg_err_t find_order(rdg_baas_t *b, const chain_t *c, const char *device, uint64_t from, uint64_t to,
                            const archives_away_t *away, int64_t *out) {
    int64_t list[ARCHIVES_AWAY_MAX + 1];
    numbers_t found = {list, 0, sizeof list / sizeof list[0]};
    rdg_sql_value_t d = rdg_sql_text(device);
    RDG_TRY(
        rdg_sql_query(b->db,
                      "SELECT number FROM archives WHERE chain = ? AND wanted_from = ? AND wanted_to = ?"
                      " AND (? IS NULL OR device = ?) AND state IN ('ordered', 'exported') ORDER BY number",
                      RDG_SQL_PARAMS(rdg_sql_int(c->number), u64(from), u64(to), d, d), number_row, &found));
    for (size_t i = 0; i < found.count && *out == 0; ++i)
        if (!archives_is_away(away, list[i])) *out = list[i];
    return RDG_OK;
}

rdg_err_t archives_order(rdg_baas_t *b, const chain_t *c, const char *device, uint64_t from, uint64_t to,
                         int64_t *out, bool *made) {
    archives_away_t away = {.count = 0};
    *out = 0;
    *made = false;
    if (!device) RDG_TRY(archives_away(b, c, &away)); /* devices are asked for outside of the transaction */
    RDG_TRY(rdg_sql_begin(b->db));
    rdg_err_t err = find_order(b, c, device, from, to, &away, out);
    if (err == RDG_OK && *out == 0) {
        err = insert(b, c, device, from, to, out);
        *made = err == RDG_OK;
    }
    if (err == RDG_OK) err = rdg_sql_commit(b->db);
    if (err != RDG_OK) rdg_sql_rollback(b->db);
    return err;
}

/* --- as JSON --------------------------------------------------------------------------------------------- */

static json_t *hash_or_null(const rdg_hash_t *h) {
    return rdg_hash_is_zero(h) ? json_null() : rdg_json_hex(h->b, sizeof h->b);
}

json_t *archive_row_json(const archive_row_t *r) {
    const rdg_collector_claim_t *c = &r->claim;
    return json_pack(
        "{s:I, s:s, s:I, s:s, s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:s?, "
        "s:I, s:I, s:s?, s:s?}",
        "number", (json_int_t)r->number, "chain", r->name, "chain_id", (json_int_t)c->chain_id, "state",
        r->state, "device", r->device, "from", (json_int_t)(c->from ? c->from : r->wanted_from), "to",
        (json_int_t)(c->to ? c->to : r->wanted_to), "mark_ms", (json_int_t)c->mark_ms, "genesis",
        hash_or_null(&c->genesis), "manifest", hash_or_null(&c->manifest), "content",
        hash_or_null(&c->content), "file", (json_int_t)r->file, "bytes", (json_int_t)r->bytes, "transactions",
        (json_int_t)r->txs, "signatures", (json_int_t)r->signatures, "anchor_height",
        (json_int_t)r->anchored.height, "anchor_tx", hash_or_null(&r->anchored.tx), "receipt",
        r->receipt.len ? rdg_json_hex(r->receipt.data, r->receipt.len) : json_null(), "error", r->error,
        "created_ms", (json_int_t)r->created_ms, "updated_ms", (json_int_t)r->updated_ms, "key_id",
        r->key_id[0] ? r->key_id : NULL, "command", r->command[0] ? r->command : NULL);
}

static rdg_err_t list_row(void *ctx, const rdg_sql_row_t *r) {
    archive_row_t a;
    RDG_TRY(read_row(r, &a));
    json_t *o = archive_row_json(&a);
    archive_row_fini(&a);
    return o && json_array_append_new(ctx, o) == 0 ? RDG_OK
                                                   : rdg_fail(RDG_E_NO_MEMORY, "no memory for the archives");
}

rdg_err_t archives_list(rdg_baas_t *b, const char *tenant, const char *chain, uint64_t limit, json_t **out) {
    char sql[1200];
    rdg_sql_value_t params[3];
    size_t count = 0;
    if (tenant) params[count++] = rdg_sql_text(tenant);
    if (chain) params[count++] = rdg_sql_text(chain);
    params[count++] = u64(limit);
    snprintf(sql, sizeof sql, "SELECT %s FROM archives WHERE 1 = 1%s%s ORDER BY number DESC LIMIT ?", COLUMNS,
             tenant ? " AND name IN (SELECT name FROM chain_tenants WHERE tenant = ?)" : "",
             chain ? " AND name = ?" : "");
    *out = json_array();
    if (!*out) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the archives");
    rdg_err_t err = rdg_sql_query(b->db, sql, params, count, list_row, *out);
    if (err != RDG_OK) json_decref(*out), *out = NULL;
    return err;
}
