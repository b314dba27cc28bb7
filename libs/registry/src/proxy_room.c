/* What copies of other registries may take, and what goes when it is too much. */
#include "proxy.h"
#include "ridge/base/log.h"
#include <stdio.h>
#include <string.h>

/* Part of something that refers to an image: kept, since it may have been made here. */
#define OF_A_REFERRER                                                                                        \
    "EXISTS (SELECT 1 FROM part p JOIN manifest m ON m.repo = p.repo AND m.digest = p.manifest "             \
    "WHERE p.repo = l.repo AND p.digest = l.digest AND m.subject IS NOT NULL)"

rdg_err_t proxy_mark(proxy_t *p, const char *repo) {
    store_t *s = &p->registry->store;
    int64_t id;
    RDG_TRY(rdg_sql_begin(s->db));
    rdg_err_t err = store_repo(s, repo, &id);
    if (err == RDG_OK)
        err = rdg_sql_exec(s->db, "UPDATE repo SET proxied = 1 WHERE id = ? AND proxied = 0",
                           RDG_SQL_PARAMS(rdg_sql_int(id)), NULL);
    if (err == RDG_OK) return rdg_sql_commit(s->db);
    rdg_sql_rollback(s->db);
    return err;
}

void proxy_used(proxy_t *p, const char *repo, const char *digest) {
    store_t *s = &p->registry->store;
    uint64_t now = store_now(s);
    (void)rdg_sql_exec(s->db,
                       "UPDATE manifest SET pushed_ms = ? WHERE repo = (SELECT id FROM repo WHERE name = ?) "
                       "AND digest = ? AND pushed_ms < ?",
                       RDG_SQL_PARAMS(rdg_sql_int((int64_t)now), rdg_sql_text(repo), rdg_sql_text(digest),
                                      rdg_sql_int((int64_t)(now - s->grace_ms / 4))),
                       NULL);
}

typedef struct victim {
    int64_t repo;
    char digest[DIGEST_TEXT];
    bool manifest;
} victim_t;

static rdg_err_t take_victim(void *ctx, const rdg_sql_row_t *row) {
    victim_t *v = ctx;
    v->repo = rdg_sql_row_int(row, 0);
    snprintf(v->digest, sizeof v->digest, "%s", rdg_sql_row_text(row, 1));
    return RDG_E_CANCELLED;
}

static rdg_err_t choose(store_t *s, victim_t *out) {
    memset(out, 0, sizeof *out);
    RDG_TRY(rdg_sql_query(s->db,
                          "SELECT l.repo, l.digest FROM link l JOIN repo r ON r.id = l.repo "
                          "WHERE r.proxied = 1 AND NOT " OF_A_REFERRER " ORDER BY l.touched_ms LIMIT 1",
                          NULL, 0, take_victim, out));
    if (out->repo > 0) return RDG_OK;
    out->manifest = true;
    return rdg_sql_query(s->db,
                         "SELECT m.repo, m.digest FROM manifest m JOIN repo r ON r.id = m.repo "
                         "WHERE r.proxied = 1 AND m.subject IS NULL ORDER BY m.pushed_ms LIMIT 1",
                         NULL, 0, take_victim, out);
}

static rdg_err_t evict(store_t *s, const victim_t *v) {
    rdg_registry_collected_t gone = {0};
    RDG_TRY(rdg_sql_exec(s->db,
                         v->manifest ? "DELETE FROM manifest WHERE repo = ? AND digest = ?"
                                     : "DELETE FROM link WHERE repo = ? AND digest = ?",
                         RDG_SQL_PARAMS(rdg_sql_int(v->repo), rdg_sql_text(v->digest)), NULL));
    RDG_TRY(store_drop_blob(s, v->digest, &gone));
    rdg_log(RDG_LOG_INFO, "registry.proxy_evicted", RDG_STR("digest", v->digest),
            RDG_U64("bytes", gone.bytes));
    return RDG_OK;
}

rdg_err_t proxy_make_room(proxy_t *p, uint64_t bytes) {
    store_t *s = &p->registry->store;
    if (bytes > p->max)
        return rdg_fail(RDG_E_FULL, "%llu bytes are more than copies of other registries may take (%llu)",
                        (unsigned long long)bytes, (unsigned long long)p->max);
    if (p->max == UINT64_MAX) return RDG_OK;
    for (;;) {
        int64_t used = 0;
        victim_t v;
        RDG_TRY(store_ask(s, "SELECT IFNULL(SUM(bytes), 0) FROM repo WHERE proxied = 1", NULL, 0, NULL, &used,
                          NULL));
        pthread_mutex_lock(&p->lock);
        uint64_t wanted = bytes + p->inflight;
        pthread_mutex_unlock(&p->lock);
        if (wanted <= p->max && (uint64_t)used <= p->max - wanted) return RDG_OK;
        RDG_TRY(choose(s, &v));
        if (v.repo == 0)
            return rdg_fail(RDG_E_FULL, "copies of other registries may take %llu bytes, which are in use",
                            (unsigned long long)p->max);
        RDG_TRY(evict(s, &v));
    }
}
