#include "catalog.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- putting ------------------------------------------------------------------------------------------------- */

static rdg_err_t check_part(store_t *s, int64_t repo, bool index, const char *digest) {
    bool found;
    RDG_TRY(store_ask(s,
                      index ? "SELECT 1 FROM manifest WHERE repo = ? AND digest = ?"
                            : "SELECT 1 FROM link WHERE repo = ? AND digest = ?",
                      RDG_SQL_PARAMS(rdg_sql_int(repo), rdg_sql_text(digest)), &found, NULL, NULL));
    return found ? RDG_OK
                 : rdg_fail(RDG_E_NOT_FOUND, "the manifest names %s, which was not pushed to this repository",
                            digest);
}

static rdg_err_t write_manifest(store_t *s, int64_t repo, const catalog_put_t *p) {
    const manifest_t *m = p->manifest;
    size_t changed = 0;
    rdg_sql_value_t now = rdg_sql_int((int64_t)store_now(s));
    RDG_TRY(rdg_sql_exec(
        s->db, "UPDATE manifest SET pushed_ms = ?, media_type = ? WHERE repo = ? AND digest = ?",
        RDG_SQL_PARAMS(now, rdg_sql_text(m->media_type), rdg_sql_int(repo), rdg_sql_text(p->digest)),
        &changed));
    if (changed > 0) return RDG_OK;
    RDG_TRY(
        rdg_sql_exec(s->db,
                     "INSERT INTO manifest (repo, digest, media_type, artifact_type, subject, annotations, "
                     "size, pushed_ms) "
                     "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                     RDG_SQL_PARAMS(rdg_sql_int(repo), rdg_sql_text(p->digest), rdg_sql_text(m->media_type),
                                    rdg_sql_text(m->artifact_type), rdg_sql_text(m->subject),
                                    rdg_sql_text(m->annotations), rdg_sql_int((int64_t)p->bytes.len), now),
                     NULL));
    for (size_t i = 0; i < m->part_count; ++i)
        RDG_TRY(rdg_sql_exec(
            s->db, "INSERT OR IGNORE INTO part (repo, manifest, digest) VALUES (?, ?, ?)",
            RDG_SQL_PARAMS(rdg_sql_int(repo), rdg_sql_text(p->digest), rdg_sql_text(m->parts[i])), NULL));
    return RDG_OK;
}

static rdg_err_t record(store_t *s, void *ctx) {
    const catalog_put_t *p = ctx;
    int64_t repo;
    RDG_TRY(store_repo(s, p->repo, &repo));
    for (size_t i = 0; !p->sparse && i < p->manifest->part_count; ++i)
        RDG_TRY(check_part(s, repo, p->manifest->index, p->manifest->parts[i]));
    RDG_TRY(write_manifest(s, repo, p));
    for (size_t i = 0; i < p->tag_count; ++i)
        RDG_TRY(rdg_sql_exec(s->db,
                             "INSERT OR REPLACE INTO tag (repo, name, digest, pushed_ms) VALUES (?, ?, ?, ?)",
                             RDG_SQL_PARAMS(rdg_sql_int(repo), rdg_sql_text(p->tags[i]),
                                            rdg_sql_text(p->digest), rdg_sql_int((int64_t)store_now(s))),
                             NULL));
    return store_check_quota(s, p->repo);
}

rdg_err_t catalog_put(store_t *s, const catalog_put_t *put) {
    char temp[STORE_PATH_MAX];
    store_temp_path(s, temp);
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return rdg_fail_errno(errno, "cannot make %s", temp);
    rdg_err_t err = rdg_write_all(fd, put->bytes);
    close(fd);
    if (err == RDG_OK) return store_put(s, put->digest, temp, put->bytes.len, record, (void *)(uintptr_t)put);
    (void)unlink(temp);
    return err;
}

/* --- finding --------------------------------------------------------------------------------------------------- */

static rdg_err_t take_entry(void *ctx, const rdg_sql_row_t *row) {
    catalog_entry_t *e = ctx;
    snprintf(e->digest, sizeof e->digest, "%s", rdg_sql_row_text(row, 0));
    snprintf(e->media_type, sizeof e->media_type, "%s", rdg_sql_row_text(row, 1));
    e->size = (uint64_t)rdg_sql_row_int(row, 2);
    return RDG_E_CANCELLED;
}

rdg_err_t catalog_find(store_t *s, const char *repo, const char *reference, catalog_entry_t *out) {
    bool digest = strchr(reference, ':') != NULL;
    out->digest[0] = '\0';
    RDG_TRY(rdg_sql_query(
        s->db,
        digest ? "SELECT m.digest, m.media_type, m.size FROM repo r JOIN manifest m ON m.repo = r.id "
                 "WHERE r.name = ? AND m.digest = ?"
               : "SELECT m.digest, m.media_type, m.size FROM repo r JOIN tag t ON t.repo = r.id "
                 "JOIN manifest m ON m.repo = r.id AND m.digest = t.digest WHERE r.name = ? AND t.name = ?",
        RDG_SQL_PARAMS(rdg_sql_text(repo), rdg_sql_text(reference)), take_entry, out));
    if (out->digest[0]) return RDG_OK;
    return rdg_fail(RDG_E_NOT_FOUND, "%s has no %s %s", repo, digest ? "manifest" : "tag", reference);
}

rdg_err_t catalog_resolve(store_t *s, const char *repo, const char *reference, char digest[DIGEST_TEXT]) {
    catalog_entry_t entry;
    RDG_TRY(catalog_find(s, repo, reference, &entry));
    memcpy(digest, entry.digest, DIGEST_TEXT);
    return RDG_OK;
}

rdg_err_t catalog_read(store_t *s, const catalog_entry_t *entry, rdg_buf_t *out) {
    char path[STORE_PATH_MAX], actual[DIGEST_TEXT];
    store_blob_path(s, entry->digest, path);
    RDG_TRY(rdg_file_read(path, out));
    RDG_TRY(digest_of_bytes(entry->digest, rdg_buf_view(out), actual));
    if (strcmp(actual, entry->digest) == 0) return RDG_OK;
    return rdg_fail(RDG_E_CORRUPT, "the bytes of manifest %s are those of %s", entry->digest, actual);
}

/* --- deleting -------------------------------------------------------------------------------------------------- */

static rdg_err_t delete_rows(store_t *s, const char *repo, const char *reference, bool is_digest) {
    int64_t id;
    size_t changed = 0;
    RDG_TRY(store_repo_find(s, repo, &id));
    RDG_TRY(rdg_sql_exec(s->db,
                         is_digest ? "DELETE FROM manifest WHERE repo = ? AND digest = ?"
                                   : "DELETE FROM tag WHERE repo = ? AND name = ?",
                         RDG_SQL_PARAMS(rdg_sql_int(id), rdg_sql_text(reference)), &changed));
    return changed > 0 ? RDG_OK : rdg_fail(RDG_E_NOT_FOUND, "%s has no %s", repo, reference);
}

rdg_err_t catalog_delete(store_t *s, const char *repo, const char *reference, bool is_digest) {
    RDG_TRY(rdg_sql_begin(s->db));
    rdg_err_t err = delete_rows(s, repo, reference, is_digest);
    if (err == RDG_OK) return rdg_sql_commit(s->db);
    rdg_sql_rollback(s->db);
    return err;
}

/* --- listing --------------------------------------------------------------------------------------------------- */

typedef struct listing {
    json_t *list;
    uint64_t max;
    bool more;
    json_t *(*make)(const rdg_sql_row_t *row);
} listing_t;

static rdg_err_t add_row(void *ctx, const rdg_sql_row_t *row) {
    listing_t *l = ctx;
    if (json_array_size(l->list) >= l->max) {
        l->more = l->max > 0;
        return RDG_E_CANCELLED;
    }
    if (json_array_append_new(l->list, l->make(row)) == 0) return RDG_OK;
    return rdg_fail(RDG_E_NO_MEMORY, "no memory for a list");
}

static rdg_err_t run_listing(store_t *s, const char *sql, const rdg_sql_value_t *params, size_t count,
                             listing_t *l, json_t **out, bool *more) {
    l->list = json_array();
    if (!l->list) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a list");
    rdg_err_t err = rdg_sql_query(s->db, sql, params, count, add_row, l);
    if (err != RDG_OK) {
        json_decref(l->list);
        return err;
    }
    *out = l->list;
    *more = l->more;
    return RDG_OK;
}

static json_t *make_text(const rdg_sql_row_t *row) {
    return json_string(rdg_sql_row_text(row, 0));
}

rdg_err_t catalog_tags(store_t *s, const char *repo, const char *last, uint64_t max, json_t **out,
                       bool *more) {
    listing_t l = {.max = max, .make = make_text};
    return run_listing(
        s,
        "SELECT t.name FROM repo r JOIN tag t ON t.repo = r.id WHERE r.name = ? AND t.name > ? "
        "ORDER BY t.name LIMIT ?",
        RDG_SQL_PARAMS(rdg_sql_text(repo), rdg_sql_text(last ? last : ""), rdg_sql_int((int64_t)max + 1)), &l,
        out, more);
}

rdg_err_t catalog_repositories(store_t *s, const char *last, uint64_t max, json_t **out, bool *more) {
    listing_t l = {.max = max, .make = make_text};
    return run_listing(s,
                       "SELECT name FROM repo WHERE name > ? AND EXISTS "
                       "(SELECT 1 FROM manifest m WHERE m.repo = repo.id) ORDER BY name LIMIT ?",
                       RDG_SQL_PARAMS(rdg_sql_text(last ? last : ""), rdg_sql_int((int64_t)max + 1)), &l, out,
                       more);
}

static json_t *make_descriptor(const rdg_sql_row_t *row) {
    json_t *annotations = NULL;
    const char *text = rdg_sql_row_text(row, 4);
    if (text && rdg_json_parse(rdg_bytes_str(text), &annotations) != RDG_OK) annotations = NULL;
    json_t *d = json_pack("{s:s, s:s, s:I, s:s*}", "mediaType", rdg_sql_row_text(row, 1), "digest",
                          rdg_sql_row_text(row, 0), "size", (json_int_t)rdg_sql_row_int(row, 2),
                          "artifactType", rdg_sql_row_text(row, 3));
    if (d && annotations) json_object_set_new(d, "annotations", annotations);
    return d;
}

rdg_err_t catalog_referrers(store_t *s, const char *repo, const char *subject, const char *type,
                            const char *last, uint64_t max, json_t **out, bool *more) {
    listing_t l = {.max = max, .make = make_descriptor};
    return run_listing(
        s,
        "SELECT m.digest, m.media_type, m.size, m.artifact_type, m.annotations FROM repo r "
        "JOIN manifest m ON m.repo = r.id WHERE r.name = ?1 AND m.subject = ?2 AND m.digest > ?3 "
        "AND (?4 IS NULL OR m.artifact_type = ?4) ORDER BY m.digest LIMIT ?5",
        RDG_SQL_PARAMS(rdg_sql_text(repo), rdg_sql_text(subject), rdg_sql_text(last ? last : ""),
                       rdg_sql_text(type), rdg_sql_int((int64_t)max + 1)),
        &l, out, more);
}
