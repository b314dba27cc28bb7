#include "upload.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/base/random.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORD_EVERY (32u << 20) /* bytes of one request between two records */

void upload_path(const uploads_t *u, const char *id, char out[STORE_PATH_MAX]) {
    snprintf(out, STORE_PATH_MAX, "%s/uploads/%s", u->store->dir, id);
}

static void drop(upload_t *up) {
    if (up->fd >= 0) close(up->fd);
    digester_free(up->digester);
    rdg_free(up);
}

static void add(uploads_t *u, upload_t *up) {
    pthread_mutex_lock(&u->lock);
    rdg_list_append(&u->list, &up->node);
    pthread_mutex_unlock(&u->lock);
}

static upload_t *find(const uploads_t *u, const char *repo, const char *id) {
    RDG_LIST_EACH(it, &u->list) {
        upload_t *up = RDG_LIST_ENTRY(it, upload_t, node);
        if (strcmp(up->id, id) == 0 && strcmp(up->repo, repo) == 0) return up;
    }
    return NULL;
}

static rdg_err_t unknown(const char *repo, const char *id) {
    return rdg_fail(RDG_E_NOT_FOUND, "%s has no upload %.40s: it was finished, cancelled, or too old", repo,
                    id);
}

/* --- what the last process left ------------------------------------------------------------------------------ */

static rdg_err_t restore(void *ctx, const rdg_sql_row_t *row) {
    uploads_t *u = ctx;
    char path[STORE_PATH_MAX];
    struct stat st;
    upload_t *up = rdg_calloc(1, sizeof *up);
    if (!up) return rdg_fail(RDG_E_NO_MEMORY, "no memory for an upload");
    up->fd = -1;
    snprintf(up->id, sizeof up->id, "%s", rdg_sql_row_text(row, 0));
    snprintf(up->repo, sizeof up->repo, "%s", rdg_sql_row_text(row, 1));
    up->recorded = (uint64_t)rdg_sql_row_int(row, 2);
    snprintf(up->algorithm, sizeof up->algorithm, "%s", rdg_sql_row_text(row, 3));
    up->touched_ms = (uint64_t)rdg_sql_row_int(row, 4);
    upload_path(u, up->id, path);
    uint64_t length = lstat(path, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    up->offset = u->store->same_boot || length < up->recorded ? length : up->recorded;
    if (up->offset < up->recorded) up->recorded = up->offset;
    if (up->offset < length && truncate(path, (off_t)up->offset) != 0) up->offset = up->recorded = 0;
    atomic_fetch_add(&u->store->pending, up->offset);
    ++u->count;
    add(u, up);
    return RDG_OK;
}

/* Files that no upload knows: bytes on their way when the process ended. */
static void remove_strays(uploads_t *u) {
    char path[STORE_PATH_MAX];
    snprintf(path, sizeof path, "%s/uploads", u->store->dir);
    DIR *dir = opendir(path);
    if (!dir) return;
    for (const struct dirent *e; (e = readdir(dir));) {
        bool known = false;
        RDG_LIST_EACH(it, &u->list)
        known = known || strcmp(RDG_LIST_ENTRY(it, upload_t, node)->id, e->d_name) == 0;
        if (known || e->d_name[0] == '.') continue;
        if (snprintf(path, sizeof path, "%s/uploads/%s", u->store->dir, e->d_name) < (int)sizeof path)
            (void)unlink(path);
    }
    closedir(dir);
}

rdg_err_t uploads_open(uploads_t *u, store_t *store, unsigned max, uint64_t life_ms) {
    memset(u, 0, sizeof *u);
    u->store = store;
    u->max = max;
    u->life_ms = life_ms;
    rdg_list_init(&u->list);
    pthread_mutex_init(&u->lock, NULL);
    rdg_err_t err = rdg_sql_query(store->db, "SELECT id, repo, offset, algorithm, touched_ms FROM upload",
                                  NULL, 0, restore, u);
    if (err == RDG_OK)
        remove_strays(u);
    else
        uploads_close(u);
    return err;
}

void uploads_close(uploads_t *u) {
    RDG_LIST_EACH_SAFE(it, &u->list) {
        rdg_list_remove(it);
        drop(RDG_LIST_ENTRY(it, upload_t, node));
    }
    pthread_mutex_destroy(&u->lock);
}

/* --- life ----------------------------------------------------------------------------------------------------- */

static rdg_err_t make(uploads_t *u, upload_t *up) {
    char path[STORE_PATH_MAX];
    upload_path(u, up->id, path);
    up->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (up->fd < 0) return rdg_fail_errno(errno, "cannot make %s", path);
    up->digester = digester_new(up->algorithm);
    if (!up->digester) return rdg_fail(RDG_E_NO_MEMORY, "no memory for an upload");
    if (up->passing) return RDG_OK;
    return rdg_sql_exec(u->store->db,
                        "INSERT INTO upload (id, repo, offset, algorithm, touched_ms) VALUES (?, ?, 0, ?, ?)",
                        RDG_SQL_PARAMS(rdg_sql_text(up->id), rdg_sql_text(up->repo),
                                       rdg_sql_text(up->algorithm), rdg_sql_int((int64_t)up->touched_ms)),
                        NULL);
}

/* Call with the lock held. Of the repositories whose names have this one's first part. */
static size_t count_beside(const uploads_t *u, const char *repo) {
    size_t n = 0, len = strcspn(repo, "/");
    RDG_LIST_EACH(it, &u->list) {
        const char *other = RDG_LIST_ENTRY(it, upload_t, node)->repo;
        n += strcspn(other, "/") == len && memcmp(other, repo, len) == 0;
    }
    return n;
}

static rdg_err_t take_place(uploads_t *u, const char *repo) {
    const size_t share = u->max < UPLOADS_SHARED_FROM ? u->max : u->max / 2;
    pthread_mutex_lock(&u->lock);
    bool room = u->count < u->max, fair = count_beside(u, repo) < share;
    u->count += room && fair;
    pthread_mutex_unlock(&u->lock);
    if (room && fair) return RDG_OK;
    if (room)
        return rdg_fail(
            RDG_E_FULL,
            "%zu uploads to %.*s/… are open already, as many as one may have: finish or cancel some, "
            "or try again later",
            share, (int)strcspn(repo, "/"), repo);
    return rdg_fail(RDG_E_FULL, "%zu uploads are open already: finish or cancel some, or try again later",
                    u->max);
}

static void leave_place(uploads_t *u) {
    pthread_mutex_lock(&u->lock);
    --u->count;
    pthread_mutex_unlock(&u->lock);
}

rdg_err_t uploads_begin(uploads_t *u, const char *repo, const char *algorithm, bool passing, upload_t **out) {
    char path[STORE_PATH_MAX];
    RDG_TRY(take_place(u, repo));
    upload_t *up = rdg_calloc(1, sizeof *up);
    if (!up) {
        leave_place(u);
        return rdg_fail(RDG_E_NO_MEMORY, "no memory for an upload");
    }
    up->fd = -1;
    up->busy = true;
    up->passing = passing;
    up->touched_ms = store_now(u->store);
    rdg_random_hex(rdg_random_system(), up->id, TARGET_UPLOAD_ID / 2);
    snprintf(up->repo, sizeof up->repo, "%s", repo);
    snprintf(up->algorithm, sizeof up->algorithm, "%.6s", algorithm);
    rdg_err_t err = make(u, up);
    if (err == RDG_OK) {
        add(u, up);
        *out = up;
        return RDG_OK;
    }
    leave_place(u);
    upload_path(u, up->id, path);
    (void)unlink(path);
    drop(up);
    return err;
}

rdg_err_t uploads_take(uploads_t *u, const char *repo, const char *id, upload_t **out) {
    char path[STORE_PATH_MAX];
    pthread_mutex_lock(&u->lock);
    upload_t *up = find(u, repo, id);
    bool busy = up && up->busy;
    if (up) up->busy = true;
    pthread_mutex_unlock(&u->lock);
    if (!up) return unknown(repo, id);
    if (busy) return rdg_fail(RDG_E_BUSY, "another request has upload %s: try again when it has ended", id);
    upload_path(u, id, path);
    up->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (up->fd >= 0 && lseek(up->fd, (off_t)up->offset, SEEK_SET) == (off_t)up->offset) {
        *out = up;
        return RDG_OK;
    }
    rdg_err_t err = rdg_fail_errno(errno, "cannot open %s", path);
    uploads_give_back(u, up);
    return err;
}

rdg_err_t uploads_status(uploads_t *u, const char *repo, const char *id, uint64_t *offset) {
    pthread_mutex_lock(&u->lock);
    const upload_t *up = find(u, repo, id);
    if (up) *offset = up->offset;
    pthread_mutex_unlock(&u->lock);
    return up ? RDG_OK : unknown(repo, id);
}

rdg_err_t upload_record(uploads_t *u, upload_t *up) {
    if (up->passing) return RDG_OK;
    if (fdatasync(up->fd) != 0) return rdg_fail_errno(errno, "cannot write an upload to the disk");
    up->touched_ms = store_now(u->store);
    RDG_TRY(rdg_sql_exec(u->store->db, "UPDATE upload SET offset = ?, touched_ms = ? WHERE id = ?",
                         RDG_SQL_PARAMS(rdg_sql_int((int64_t)up->offset),
                                        rdg_sql_int((int64_t)up->touched_ms), rdg_sql_text(up->id)),
                         NULL));
    up->recorded = up->offset;
    return RDG_OK;
}

rdg_err_t upload_write(uploads_t *u, upload_t *up, rdg_bytes_t bytes) {
    if (bytes.len == 0) return RDG_OK;
    RDG_TRY(store_reserve(u->store, bytes.len));
    rdg_err_t err = rdg_write_all(up->fd, bytes);
    if (err != RDG_OK) {
        /* Part of it may be there: back to what is known. */
        if (ftruncate(up->fd, (off_t)up->offset) == 0) (void)lseek(up->fd, (off_t)up->offset, SEEK_SET);
        store_release(u->store, bytes.len);
        return rdg_fail_in(err, "an upload to %s", up->repo);
    }
    if (up->digester) digester_update(up->digester, bytes);
    pthread_mutex_lock(&u->lock);
    up->offset += bytes.len;
    pthread_mutex_unlock(&u->lock);
    if (u->store->gap) u->store->gap(u->store->gap_ctx, "upload.written");
    return up->offset - up->recorded >= RECORD_EVERY ? upload_record(u, up) : RDG_OK;
}

void uploads_give_back(uploads_t *u, upload_t *up) {
    if (up->passing) {
        uploads_remove(u, up);
        return;
    }
    if (up->fd >= 0 && up->offset > up->recorded) {
        rdg_err_t err = upload_record(u, up);
        if (err != RDG_OK) rdg_log_err("registry.upload_unrecorded", err);
    }
    if (up->fd >= 0) close(up->fd);
    up->fd = -1;
    pthread_mutex_lock(&u->lock);
    up->busy = false;
    up->touched_ms = store_now(u->store);
    pthread_mutex_unlock(&u->lock);
}

/* The row first: a file without one is a stray. */
void uploads_remove(uploads_t *u, upload_t *up) {
    char path[STORE_PATH_MAX];
    if (!up->passing) {
        rdg_err_t err = rdg_sql_exec(u->store->db, "DELETE FROM upload WHERE id = ?",
                                     RDG_SQL_PARAMS(rdg_sql_text(up->id)), NULL);
        if (err != RDG_OK) rdg_log_err("registry.upload_kept", err);
    }
    upload_path(u, up->id, path);
    (void)unlink(path);
    store_release(u->store, up->offset);
    pthread_mutex_lock(&u->lock);
    rdg_list_remove(&up->node);
    --u->count;
    pthread_mutex_unlock(&u->lock);
    drop(up);
}

/* --- the end --------------------------------------------------------------------------------------------------- */

static rdg_err_t compare(upload_t *up, const char *digest) {
    char actual[DIGEST_TEXT];
    if (up->digester && digester_makes(up->digester, digest))
        digester_final(up->digester, actual);
    else
        RDG_TRY(digest_of_file(digest, up->fd, actual));
    digester_free(up->digester);
    up->digester = NULL;
    if (strcmp(actual, digest) == 0) return RDG_OK;
    return rdg_fail(RDG_E_MALFORMED, "the bytes that came have the digest %s, not %s", actual, digest);
}

typedef struct finish {
    uploads_t *uploads;
    upload_t *up;
    const char *digest;
} finish_t;

static rdg_err_t record(store_t *s, void *ctx) {
    const finish_t *f = ctx;
    RDG_TRY(store_link(s, f->up->repo, f->digest));
    if (f->up->passing) return RDG_OK;
    return rdg_sql_exec(s->db, "DELETE FROM upload WHERE id = ?", RDG_SQL_PARAMS(rdg_sql_text(f->up->id)),
                        NULL);
}

rdg_err_t upload_finish(uploads_t *u, upload_t *up, const char *digest, bool *gone) {
    char path[STORE_PATH_MAX];
    finish_t f = {u, up, digest};
    rdg_err_t err = compare(up, digest);
    *gone = err == RDG_OK || err == RDG_E_MALFORMED;
    if (!*gone) return err;
    upload_path(u, up->id, path);
    if (err == RDG_OK) err = store_put(u->store, digest, path, up->offset, record, &f);
    uploads_remove(u, up);
    return err;
}

size_t uploads_expire(uploads_t *u) {
    uint64_t now = store_now(u->store);
    for (size_t count = 0;; ++count) {
        upload_t *old = NULL;
        pthread_mutex_lock(&u->lock);
        RDG_LIST_EACH(it, &u->list) {
            upload_t *up = RDG_LIST_ENTRY(it, upload_t, node);
            if (up->busy || now < up->touched_ms || now - up->touched_ms < u->life_ms) continue;
            old = up;
            old->busy = true;
            break;
        }
        pthread_mutex_unlock(&u->lock);
        if (!old) return count;
        rdg_log(RDG_LOG_INFO, "registry.upload_expired", RDG_STR("repository", old->repo),
                RDG_STR("upload", old->id), RDG_U64("bytes", old->offset));
        uploads_remove(u, old);
    }
}
