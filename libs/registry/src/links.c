#include "store.h"

/* Which repository holds which blob. */

rdg_err_t store_repo_find(store_t *s, const char *repo, int64_t *id) {
    bool found;
    *id = 0;
    return store_ask(s, "SELECT id FROM repo WHERE name = ?", RDG_SQL_PARAMS(rdg_sql_text(repo)), &found, id,
                     NULL);
}

rdg_err_t store_repo(store_t *s, const char *repo, int64_t *id) {
    RDG_TRY(store_repo_find(s, repo, id));
    if (*id > 0) return RDG_OK;
    RDG_TRY(rdg_sql_exec(s->db, "INSERT INTO repo (name, created_ms) VALUES (?, ?)",
                         RDG_SQL_PARAMS(rdg_sql_text(repo), rdg_sql_int((int64_t)store_now(s))), NULL));
    return store_repo_find(s, repo, id);
}

rdg_err_t store_link(store_t *s, const char *repo, const char *digest) {
    int64_t id;
    bool there;
    size_t changed;
    RDG_TRY(store_ask(s, "SELECT 1 FROM blob WHERE digest = ?", RDG_SQL_PARAMS(rdg_sql_text(digest)), &there,
                      NULL, NULL));
    if (!there) return rdg_fail(RDG_E_NOT_FOUND, "the registry has no blob %s", digest);
    RDG_TRY(store_repo(s, repo, &id));
    RDG_TRY(rdg_sql_exec(
        s->db, "UPDATE link SET touched_ms = ? WHERE repo = ? AND digest = ?",
        RDG_SQL_PARAMS(rdg_sql_int((int64_t)store_now(s)), rdg_sql_int(id), rdg_sql_text(digest)), &changed));
    if (changed > 0) return RDG_OK;
    RDG_TRY(rdg_sql_exec(
        s->db, "INSERT INTO link (repo, digest, touched_ms) VALUES (?, ?, ?)",
        RDG_SQL_PARAMS(rdg_sql_int(id), rdg_sql_text(digest), rdg_sql_int((int64_t)store_now(s))), NULL));
    return store_check_quota(s, repo);
}

typedef struct search {
    bool (*may_read)(void *ctx, const char *repo);
    void *ctx;
    bool found;
} search_t;

static rdg_err_t look(void *arg, const rdg_sql_row_t *row) {
    search_t *q = arg;
    const char *name = rdg_sql_row_text(row, 0);
    if (!q->may_read(q->ctx, name)) return RDG_OK;
    q->found = true;
    return RDG_E_CANCELLED;
}

rdg_err_t store_mount(store_t *s, const char *repo, const char *from, const char *digest,
                      bool (*may_read)(void *ctx, const char *repo), void *ctx) {
    search_t q = {may_read, ctx, false};
    RDG_TRY(rdg_sql_begin(s->db));
    rdg_err_t err = rdg_sql_query(s->db,
                                  "SELECT r.name FROM link l JOIN repo r ON r.id = l.repo WHERE l.digest = "
                                  "?1 AND (?2 IS NULL OR r.name = ?2) "
                                  "LIMIT 1000",
                                  RDG_SQL_PARAMS(rdg_sql_text(digest), rdg_sql_text(from)), look, &q);
    if (err == RDG_OK && !q.found) err = rdg_fail(RDG_E_NOT_FOUND, "no blob %s to mount", digest);
    if (err == RDG_OK) err = store_link(s, repo, digest);
    if (err == RDG_OK) return rdg_sql_commit(s->db);
    rdg_sql_rollback(s->db);
    return err;
}

static rdg_err_t unlink_rows(store_t *s, const char *repo, const char *digest) {
    int64_t id;
    bool named;
    size_t changed = 0;
    RDG_TRY(store_repo_find(s, repo, &id));
    RDG_TRY(store_ask(s, "SELECT 1 FROM part WHERE repo = ? AND digest = ?",
                      RDG_SQL_PARAMS(rdg_sql_int(id), rdg_sql_text(digest)), &named, NULL, NULL));
    if (named)
        return rdg_fail(RDG_E_CONFLICT, "blob %s is part of an image of %s: delete its manifest first",
                        digest, repo);
    RDG_TRY(rdg_sql_exec(s->db, "DELETE FROM link WHERE repo = ? AND digest = ?",
                         RDG_SQL_PARAMS(rdg_sql_int(id), rdg_sql_text(digest)), &changed));
    return changed > 0 ? RDG_OK : rdg_fail(RDG_E_NOT_FOUND, "%s has no blob %s", repo, digest);
}

rdg_err_t store_unlink(store_t *s, const char *repo, const char *digest) {
    RDG_TRY(rdg_sql_begin(s->db));
    rdg_err_t err = unlink_rows(s, repo, digest);
    if (err == RDG_OK) return rdg_sql_commit(s->db);
    rdg_sql_rollback(s->db);
    return err;
}
