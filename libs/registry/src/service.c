#include "proxy.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include <stdio.h>
#include <string.h>

/* The registry for services of the same process. */

static rdg_err_t check_name(const char *repository) {
    if (target_name_valid(repository)) return RDG_OK;
    return rdg_fail(RDG_E_INVALID, "'%.80s' is no repository name: lower-case letters, digits, . _ - and /",
                    repository);
}

static rdg_err_t check_writable(const rdg_registry_t *r) {
    return r->read_only ? rdg_fail(RDG_E_CONFLICT, "the registry is read-only at the moment") : RDG_OK;
}

rdg_err_t rdg_registry_put_blob(rdg_registry_t *r, const char *repository, rdg_bytes_t bytes,
                                char digest[136]) {
    upload_t *up = NULL;
    bool gone = false;
    RDG_TRY(check_name(repository));
    RDG_TRY(check_writable(r));
    RDG_TRY(digest_of_bytes("sha256", bytes, digest));
    RDG_TRY(uploads_begin(&r->uploads, repository, "sha256", true, &up));
    rdg_err_t err = upload_write(&r->uploads, up, bytes);
    if (err == RDG_OK) err = upload_finish(&r->uploads, up, digest, &gone);
    if (!gone) uploads_give_back(&r->uploads, up);
    return err;
}

rdg_err_t rdg_registry_put_manifest(rdg_registry_t *r, const char *repository, const char *tag,
                                    rdg_bytes_t bytes, char digest[136]) {
    char made[DIGEST_TEXT];
    RDG_TRY(check_name(repository));
    RDG_TRY(check_writable(r));
    if (tag && !target_tag_valid(tag)) return rdg_fail(RDG_E_INVALID, "'%.80s' is no tag", tag);
    RDG_TRY(digest_of_bytes("sha256", bytes, made));
    manifest_t *m = rdg_calloc(1, sizeof *m);
    if (!m) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a manifest");
    rdg_err_t err = manifest_parse(bytes, NULL, m);
    if (err == RDG_OK) {
        const catalog_put_t put = {.repo = repository,
                                   .digest = made,
                                   .bytes = bytes,
                                   .manifest = m,
                                   .tags = &tag,
                                   .tag_count = tag != NULL};
        err = catalog_put(&r->store, &put);
        manifest_fini(m);
    }
    rdg_free(m);
    if (err == RDG_OK && digest) memcpy(digest, made, DIGEST_TEXT);
    return err;
}

rdg_err_t rdg_registry_get_manifest(rdg_registry_t *r, const char *repository, const char *reference,
                                    rdg_buf_t *out, char digest[136]) {
    catalog_entry_t entry;
    RDG_TRY(catalog_find(&r->store, repository, reference, &entry));
    RDG_TRY(catalog_read(&r->store, &entry, out));
    if (digest) memcpy(digest, entry.digest, DIGEST_TEXT);
    return RDG_OK;
}

rdg_err_t rdg_registry_get_blob(rdg_registry_t *r, const char *repository, const char *digest,
                                rdg_buf_t *out) {
    uint64_t size;
    char path[STORE_PATH_MAX];
    if (!target_digest_valid(digest)) return rdg_fail(RDG_E_INVALID, "'%.80s' is no digest", digest);
    RDG_TRY(store_find(&r->store, repository, digest, &size));
    if (size > out->max)
        return rdg_fail(RDG_E_TOO_LARGE, "blob %s has %llu bytes", digest, (unsigned long long)size);
    store_blob_path(&r->store, digest, path);
    return rdg_file_read(path, out);
}

static rdg_err_t remove_rows(store_t *s, const char *repository, const char *reference, const char *digest) {
    int64_t repo;
    bool by_tag = strchr(reference, ':') == NULL;
    RDG_TRY(store_repo_find(s, repository, &repo));
    if (by_tag)
        RDG_TRY(rdg_sql_exec(s->db, "DELETE FROM tag WHERE repo = ? AND name = ?",
                             RDG_SQL_PARAMS(rdg_sql_int(repo), rdg_sql_text(reference)), NULL));
    RDG_TRY(rdg_sql_exec(s->db,
                         by_tag ? "DELETE FROM manifest WHERE repo = ?1 AND digest = ?2 AND NOT EXISTS "
                                  "(SELECT 1 FROM tag t WHERE t.repo = ?1 AND t.digest = ?2) AND NOT EXISTS "
                                  "(SELECT 1 FROM part p WHERE p.repo = ?1 AND p.digest = ?2)"
                                : "DELETE FROM manifest WHERE repo = ?1 AND digest = ?2",
                         RDG_SQL_PARAMS(rdg_sql_int(repo), rdg_sql_text(digest)), NULL));
    return rdg_sql_exec(s->db,
                        "DELETE FROM manifest WHERE repo = ?1 AND subject = ?2 AND NOT EXISTS "
                        "(SELECT 1 FROM manifest m WHERE m.repo = ?1 AND m.digest = ?2)",
                        RDG_SQL_PARAMS(rdg_sql_int(repo), rdg_sql_text(digest)), NULL);
}

rdg_err_t rdg_registry_remove(rdg_registry_t *r, const char *repository, const char *reference) {
    char digest[DIGEST_TEXT];
    RDG_TRY(check_writable(r));
    RDG_TRY(rdg_sql_begin(r->store.db));
    rdg_err_t err = catalog_resolve(&r->store, repository, reference, digest);
    if (err == RDG_OK) err = remove_rows(&r->store, repository, reference, digest);
    if (err == RDG_OK) return rdg_sql_commit(r->store.db);
    rdg_sql_rollback(r->store.db);
    return err;
}

rdg_err_t rdg_registry_repositories(rdg_registry_t *r, const char *last, uint64_t max, json_t **out,
                                    bool *more) {
    return catalog_repositories(&r->store, last, max, out, more);
}

rdg_err_t rdg_registry_tags(rdg_registry_t *r, const char *repository, const char *last, uint64_t max,
                            json_t **out, bool *more) {
    return catalog_tags(&r->store, repository, last, max, out, more);
}

rdg_err_t rdg_registry_referrers(rdg_registry_t *r, const char *repository, const char *digest,
                                 const char *type, json_t **out) {
    bool more;
    return catalog_referrers(&r->store, repository, digest, type, NULL, 1000, out, &more);
}

/* --- what a repository is ------------------------------------------------------------------------------------ */

static rdg_err_t take_row(void *ctx, const rdg_sql_row_t *row) {
    json_t **out = ctx;
    *out = json_pack("{s:s, s:I, s:I}", "devices", rdg_sql_row_text(row, 0), "bytes",
                     (json_int_t)rdg_sql_row_int(row, 1), "created_ms", (json_int_t)rdg_sql_row_int(row, 2));
    return *out ? RDG_E_CANCELLED : rdg_fail(RDG_E_NO_MEMORY, "no memory for a repository");
}

rdg_err_t rdg_registry_describe(rdg_registry_t *r, const char *repository, json_t **out) {
    *out = NULL;
    RDG_TRY(rdg_sql_query(r->store.db, "SELECT devices, bytes, created_ms FROM repo WHERE name = ?",
                          RDG_SQL_PARAMS(rdg_sql_text(repository)), take_row, out));
    return *out ? RDG_OK : rdg_fail(RDG_E_NOT_FOUND, "there is no repository %.100s", repository);
}

rdg_err_t rdg_registry_set_devices(rdg_registry_t *r, const char *repository, const char *devices) {
    size_t changed = 0;
    if (strlen(devices) > 65536) return rdg_fail(RDG_E_TOO_LARGE, "the list of devices has more than 64 KiB");
    RDG_TRY(rdg_sql_exec(r->store.db, "UPDATE repo SET devices = ? WHERE name = ?",
                         RDG_SQL_PARAMS(rdg_sql_text(devices), rdg_sql_text(repository)), &changed));
    return changed > 0 ? RDG_OK : rdg_fail(RDG_E_NOT_FOUND, "there is no repository %.100s", repository);
}

/* One whole name between commas. */
static bool lists(const char *devices, const char *device) {
    size_t len = strlen(device);
    for (const char *at = devices; len > 0 && (at = strstr(at, device)); ++at)
        if ((at == devices || at[-1] == ',') && (at[len] == '\0' || at[len] == ',')) return true;
    return false;
}

bool rdg_registry_visible(rdg_registry_t *r, const char *repository, const char *device) {
    json_t *about = NULL;
    /* A copy of which nothing is here yet: as every repository begins. */
    rdg_err_t err = rdg_registry_describe(r, repository, &about);
    if (err == RDG_E_NOT_FOUND) return proxy_upstream(r, repository) != NULL;
    if (err != RDG_OK) return false;
    const char *devices = json_string_value(json_object_get(about, "devices"));
    bool visible = strcmp(devices, "*") == 0 || lists(devices, device);
    json_decref(about);
    return visible;
}

rdg_err_t rdg_registry_usage(rdg_registry_t *r, rdg_registry_usage_t *out) {
    int64_t blobs;
    RDG_TRY(store_ask(&r->store, "SELECT COUNT(*) FROM blob", NULL, 0, NULL, &blobs, NULL));
    out->blobs = (uint64_t)blobs;
    out->bytes = r->store.used;
    out->upload_bytes = r->store.pending;
    pthread_mutex_lock(&r->uploads.lock);
    out->uploads = r->uploads.count;
    pthread_mutex_unlock(&r->uploads.lock);
    return RDG_OK;
}
