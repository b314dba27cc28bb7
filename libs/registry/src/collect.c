#include "store.h"
#include "ridge/base/alloc.h"
#include "ridge/base/list.h"
#include "ridge/base/log.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Collecting what nothing names. Three steps, each safe by itself and gone on with by the next run:
 *
 *   links     of blobs that no manifest of their repository names, past their grace      one transaction
 *   blobs     that no link and no manifest names: row, then file, under the digest's lock
 *   files     without a row, which a crash between these two left
 *
 * An upload that ends, or a mount, meanwhile either comes before the look inside the transaction, and the blob
 * stays; or after the row is gone, and then, by the digest's lock, after the file is gone too: it puts its own. */

#define BATCH 200

typedef struct batch {
    char digests[BATCH][DIGEST_TEXT];
    size_t count;
} batch_t;

static rdg_err_t take(void *ctx, const rdg_sql_row_t *row) {
    batch_t *b = ctx;
    const char *digest = rdg_sql_row_text(row, 0);
    if (digest && target_digest_valid(digest)) snprintf(b->digests[b->count++], DIGEST_TEXT, "%s", digest);
    return b->count < BATCH ? RDG_OK : RDG_E_CANCELLED;
}

static void gap(store_t *s, const char *where) {
    if (s->gap) s->gap(s->gap_ctx, where);
}

static rdg_err_t drop_untagged(store_t *s, uint64_t now, rdg_registry_collected_t *out) {
    size_t changed = 0;
    if (s->untagged_ms == 0 || now < s->untagged_ms) return RDG_OK;
    RDG_TRY(rdg_sql_exec(
        s->db,
        "DELETE FROM manifest WHERE pushed_ms < ? "
        "AND NOT EXISTS (SELECT 1 FROM tag t WHERE t.repo = manifest.repo AND t.digest = manifest.digest) "
        "AND NOT EXISTS (SELECT 1 FROM part p WHERE p.repo = manifest.repo AND p.digest = manifest.digest) "
        "AND NOT EXISTS (SELECT 1 FROM manifest m WHERE m.repo = manifest.repo AND m.digest = "
        "manifest.subject)",
        RDG_SQL_PARAMS(rdg_sql_int((int64_t)(now - s->untagged_ms))), &changed));
    out->manifests += changed;
    return RDG_OK;
}

static rdg_err_t drop_links(store_t *s, uint64_t now, rdg_registry_collected_t *out) {
    size_t changed = 0;
    rdg_sql_value_t before = rdg_sql_int((int64_t)(now > s->grace_ms ? now - s->grace_ms : 0));
    RDG_TRY(rdg_sql_exec(s->db,
                         "DELETE FROM link WHERE touched_ms < ? AND NOT EXISTS "
                         "(SELECT 1 FROM part p WHERE p.repo = link.repo AND p.digest = link.digest)",
                         &before, 1, &changed));
    out->links += changed;
    return rdg_sql_exec(
        s->db,
        "DELETE FROM repo WHERE created_ms < ? AND devices = '*' AND NOT EXISTS (SELECT 1 FROM link "
        "WHERE link.repo = repo.id) "
        "AND NOT EXISTS (SELECT 1 FROM manifest WHERE manifest.repo = repo.id)",
        &before, 1, NULL);
}

static rdg_err_t remove_file(store_t *s, const char *digest, uint64_t *freed) {
    char path[STORE_PATH_MAX];
    struct stat st;
    store_blob_path(s, digest, path);
    if (lstat(path, &st) != 0) return RDG_OK;
    if (unlink(path) != 0) return rdg_fail_errno(errno, "cannot remove %s", path);
    *freed += (uint64_t)st.st_size;
    return RDG_OK;
}

rdg_err_t store_drop_blob(store_t *s, const char *digest, rdg_registry_collected_t *out) {
    pthread_mutex_t *lock = store_lock(s, digest);
    size_t changed = 0;
    int64_t size;
    pthread_mutex_lock(lock);
    gap(s, "collect.locked");
    rdg_err_t err = store_ask(s, "SELECT size FROM blob WHERE digest = ?",
                              RDG_SQL_PARAMS(rdg_sql_text(digest)), NULL, &size, NULL);
    if (err == RDG_OK)
        err = rdg_sql_exec(
            s->db,
            "DELETE FROM blob WHERE digest = ?1 AND NOT EXISTS (SELECT 1 FROM link WHERE digest = ?1) "
            "AND NOT EXISTS (SELECT 1 FROM manifest WHERE digest = ?1)",
            RDG_SQL_PARAMS(rdg_sql_text(digest)), &changed);
    if (err == RDG_OK && changed > 0) {
        gap(s, "collect.row_gone");
        atomic_fetch_sub(&s->used, (uint64_t)size);
        ++out->blobs;
        err = remove_file(s, digest, &out->bytes);
    }
    pthread_mutex_unlock(lock);
    return err;
}

static rdg_err_t drop_blobs(store_t *s, rdg_registry_collected_t *out) {
    rdg_err_t err = RDG_OK;
    batch_t *b = rdg_calloc(1, sizeof *b);
    if (!b) return rdg_fail(RDG_E_NO_MEMORY, "no memory to collect");
    /* A blob that came back to use between the question and its lock stays, and is not met again. */
    char last[DIGEST_TEXT] = "";
    do {
        b->count = 0;
        err = rdg_sql_query(s->db,
                            "SELECT digest FROM blob WHERE digest > ? AND NOT EXISTS "
                            "(SELECT 1 FROM link WHERE link.digest = blob.digest) "
                            "AND NOT EXISTS (SELECT 1 FROM manifest WHERE manifest.digest = blob.digest) "
                            "ORDER BY digest",
                            RDG_SQL_PARAMS(rdg_sql_text(last)), take, b);
        gap(s, "collect.decided");
        for (size_t i = 0; err == RDG_OK && i < b->count; ++i) err = store_drop_blob(s, b->digests[i], out);
        if (b->count > 0) memcpy(last, b->digests[b->count - 1], DIGEST_TEXT);
    } while (err == RDG_OK && b->count == BATCH);
    rdg_free(b);
    return err;
}

/* --- files without a row ----------------------------------------------------------------------------- */

static rdg_err_t check_file(store_t *s, const char *digest, rdg_registry_collected_t *out) {
    pthread_mutex_t *lock = store_lock(s, digest);
    bool known = true;
    pthread_mutex_lock(lock);
    rdg_err_t err = store_ask(s, "SELECT 1 FROM blob WHERE digest = ?", RDG_SQL_PARAMS(rdg_sql_text(digest)),
                              &known, NULL, NULL);
    if (err == RDG_OK && !known) {
        err = remove_file(s, digest, &out->bytes);
        if (err == RDG_OK) ++out->files;
    }
    pthread_mutex_unlock(lock);
    return err;
}

static rdg_err_t check_dir(store_t *s, const char *algorithm, unsigned shard, rdg_registry_collected_t *out) {
    char path[STORE_PATH_MAX], digest[DIGEST_TEXT];
    rdg_err_t err = RDG_OK;
    snprintf(path, sizeof path, "%s/blobs/%s/%02x", s->dir, algorithm, shard);
    DIR *dir = opendir(path);
    if (!dir) return errno == ENOENT ? RDG_OK : rdg_fail_errno(errno, "cannot read %s", path);
    for (const struct dirent *e; err == RDG_OK && (e = readdir(dir));) {
        if (snprintf(digest, sizeof digest, "%s:%s", algorithm, e->d_name) >= (int)sizeof digest) continue;
        if (target_digest_valid(digest)) err = check_file(s, digest, out);
    }
    closedir(dir);
    return err;
}

static rdg_err_t check_files(store_t *s, rdg_registry_collected_t *out) {
    for (unsigned shard = 0; shard < 256; ++shard) {
        RDG_TRY(check_dir(s, "sha256", shard, out));
        RDG_TRY(check_dir(s, "sha512", shard, out));
    }
    return RDG_OK;
}

rdg_err_t store_collect(store_t *s, rdg_registry_collected_t *out) {
    uint64_t now = store_now(s);
    memset(out, 0, sizeof *out);
    RDG_TRY(drop_untagged(s, now, out));
    RDG_TRY(drop_links(s, now, out));
    RDG_TRY(drop_blobs(s, out));
    RDG_TRY(check_files(s, out));
    if (out->blobs + out->files + out->links + out->manifests > 0)
        rdg_log(RDG_LOG_INFO, "registry.collected", RDG_U64("blobs", out->blobs),
                RDG_U64("bytes", out->bytes), RDG_U64("files", out->files), RDG_U64("links", out->links),
                RDG_U64("manifests", out->manifests));
    return RDG_OK;
}
