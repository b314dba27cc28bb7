#include "store.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/base/random.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const migrations[] = {
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE repo (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, bytes INTEGER NOT NULL DEFAULT 0,"
    "  devices TEXT NOT NULL DEFAULT '*', created_ms INTEGER NOT NULL);"
    "CREATE TABLE blob (digest TEXT PRIMARY KEY, size INTEGER NOT NULL, created_ms INTEGER NOT NULL) WITHOUT "
    "ROWID;"
    "CREATE TABLE link (repo INTEGER NOT NULL REFERENCES repo(id), digest TEXT NOT NULL REFERENCES "
    "blob(digest),"
    "  touched_ms INTEGER NOT NULL, PRIMARY KEY (repo, digest)) WITHOUT ROWID;"
    "CREATE INDEX link_digest ON link(digest);"
    "CREATE TABLE manifest (repo INTEGER NOT NULL REFERENCES repo(id), digest TEXT NOT NULL REFERENCES "
    "blob(digest),"
    "  media_type TEXT NOT NULL, artifact_type TEXT, subject TEXT, annotations TEXT, size INTEGER NOT NULL,"
    "  pushed_ms INTEGER NOT NULL, PRIMARY KEY (repo, digest)) WITHOUT ROWID;"
    "CREATE INDEX manifest_digest ON manifest(digest);"
    "CREATE INDEX manifest_subject ON manifest(repo, subject);"
    "CREATE TABLE part (repo INTEGER NOT NULL, manifest TEXT NOT NULL, digest TEXT NOT NULL,"
    "  PRIMARY KEY (repo, manifest, digest),"
    "  FOREIGN KEY (repo, manifest) REFERENCES manifest(repo, digest) ON DELETE CASCADE) WITHOUT ROWID;"
    "CREATE INDEX part_digest ON part(repo, digest);"
    "CREATE TABLE tag (repo INTEGER NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, pushed_ms INTEGER "
    "NOT NULL,"
    "  PRIMARY KEY (repo, name),"
    "  FOREIGN KEY (repo, digest) REFERENCES manifest(repo, digest) ON DELETE CASCADE) WITHOUT ROWID;"
    "CREATE INDEX tag_digest ON tag(repo, digest);"
    "CREATE TABLE upload (id TEXT PRIMARY KEY, repo TEXT NOT NULL, offset INTEGER NOT NULL, algorithm TEXT "
    "NOT NULL,"
    "  touched_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TRIGGER link_in AFTER INSERT ON link BEGIN UPDATE repo SET bytes = bytes +"
    "  (SELECT size FROM blob WHERE digest = NEW.digest) WHERE id = NEW.repo; END;"
    "CREATE TRIGGER link_out AFTER DELETE ON link BEGIN UPDATE repo SET bytes = bytes -"
    "  (SELECT size FROM blob WHERE digest = OLD.digest) WHERE id = OLD.repo; END;"
    "CREATE TRIGGER manifest_in AFTER INSERT ON manifest BEGIN UPDATE repo SET bytes = bytes + NEW.size"
    "  WHERE id = NEW.repo; END;"
    "CREATE TRIGGER manifest_out AFTER DELETE ON manifest BEGIN UPDATE repo SET bytes = bytes - OLD.size"
    "  WHERE id = OLD.repo; END;",
    /* A copy of another registry's (proxy.h). */
    "ALTER TABLE repo ADD COLUMN proxied INTEGER NOT NULL DEFAULT 0;"};

uint64_t store_now(const store_t *s) {
    return rdg_wall_ms(s->clock);
}

/* --- SQL, short ----------------------------------------------------------------------------------------- */

typedef struct pair {
    bool found;
    int64_t first, second;
} pair_t;

static rdg_err_t take_pair(void *ctx, const rdg_sql_row_t *row) {
    pair_t *p = ctx;
    p->found = true;
    p->first = rdg_sql_row_int(row, 0);
    p->second = rdg_sql_row_int(row, 1);
    return RDG_E_CANCELLED;
}

rdg_err_t store_ask(store_t *s, const char *sql, const rdg_sql_value_t *params, size_t count, bool *found,
                    int64_t *first, int64_t *second) {
    pair_t p = {0};
    RDG_TRY(rdg_sql_query(s->db, sql, params, count, take_pair, &p));
    if (found) *found = p.found;
    if (first) *first = p.first;
    if (second) *second = p.second;
    return RDG_OK;
}

/* --- paths and locks -------------------------------------------------------------------------------------- */

void store_blob_path(const store_t *s, const char *digest, char out[STORE_PATH_MAX]) {
    snprintf(out, STORE_PATH_MAX, "%s/blobs/%.6s/%.2s/%s", s->dir, digest, digest + 7, digest + 7);
}

void store_temp_path(const store_t *s, char out[STORE_PATH_MAX]) {
    char id[2 * 12 + 1];
    rdg_random_hex(rdg_random_system(), id, 12);
    snprintf(out, STORE_PATH_MAX, "%s/uploads/%s.tmp", s->dir, id);
}

pthread_mutex_t *store_lock(store_t *s, const char *digest) {
    unsigned at = 0;
    for (const char *c = digest + 7; *c && c < digest + 11; ++c) at = at * 31 + (unsigned char)*c;
    return &s->locks[at % STORE_LOCKS];
}

/* --- opening ------------------------------------------------------------------------------------------------ */

static rdg_err_t take_options(store_t *s, const rdg_registry_options_t *o) {
    s->clock = o->clock ? o->clock : rdg_clock_system();
    s->total_max = o->total_max ? o->total_max : UINT64_MAX;
    s->grace_ms = o->grace_ms ? o->grace_ms : RDG_REGISTRY_GRACE_MS;
    s->untagged_ms = o->untagged_ms;
    if (o->quota_count > STORE_QUOTAS_MAX)
        return rdg_fail(RDG_E_INVALID, "the registry has %zu quotas, at most %d are possible", o->quota_count,
                        STORE_QUOTAS_MAX);
    for (size_t i = 0; i < o->quota_count; ++i) {
        if (!target_name_valid(o->quotas[i].prefix))
            return rdg_fail(RDG_E_INVALID, "the quota's prefix '%.80s' is no repository name",
                            o->quotas[i].prefix);
        snprintf(s->quotas[i].prefix, sizeof s->quotas[i].prefix, "%s", o->quotas[i].prefix);
        s->quotas[i].bytes = o->quotas[i].bytes;
    }
    s->quota_count = o->quota_count;
    return RDG_OK;
}

static rdg_err_t read_boot_id(char out[64]) {
    rdg_buf_t text;
    rdg_buf_init(&text, 63);
    rdg_err_t err = rdg_file_read("/proc/sys/kernel/random/boot_id", &text);
    if (err == RDG_OK) snprintf(out, 64, "%.*s", (int)text.len, (const char *)text.data);
    rdg_buf_fini(&text);
    return err;
}

static rdg_err_t note_boot(store_t *s) {
    char boot[64] = "unknown";
    bool found = false;
    (void)read_boot_id(boot);
    RDG_TRY(store_ask(s, "SELECT 1 FROM meta WHERE key = 'boot' AND value = ?",
                      RDG_SQL_PARAMS(rdg_sql_text(boot)), &found, NULL, NULL));
    s->same_boot = found && strcmp(boot, "unknown") != 0;
    return rdg_sql_exec(s->db, "INSERT OR REPLACE INTO meta (key, value) VALUES ('boot', ?)",
                        RDG_SQL_PARAMS(rdg_sql_text(boot)), NULL);
}

static rdg_err_t open_all(store_t *s, const rdg_registry_options_t *o) {
    static const char *const dirs[] = {"uploads", "blobs/sha256", "blobs/sha512"};
    char path[STORE_PATH_MAX], url[STORE_PATH_MAX + 32];
    int64_t used = 0;
    if (strlen(o->dir) >= sizeof s->dir) return rdg_fail(RDG_E_TOO_LARGE, "the registry's path is too long");
    snprintf(s->dir, sizeof s->dir, "%s", o->dir);
    RDG_TRY(take_options(s, o));
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; ++i) {
        RDG_TRY(rdg_path_join(path, sizeof path, s->dir, dirs[i]));
        RDG_TRY(rdg_dir_make(path, 0700));
    }
    snprintf(url, sizeof url, "sqlite:%s/registry.db", s->dir);
    RDG_TRY(rdg_sql_open(url, &s->db));
    RDG_TRY(rdg_sql_migrate(s->db, "registry", migrations, sizeof migrations / sizeof migrations[0]));
    RDG_TRY(note_boot(s));
    RDG_TRY(store_ask(s, "SELECT IFNULL(SUM(size), 0) FROM blob", NULL, 0, NULL, &used, NULL));
    atomic_store(&s->used, (uint64_t)used);
    return RDG_OK;
}

rdg_err_t store_open(store_t *s, const rdg_registry_options_t *options) {
    memset(s, 0, sizeof *s);
    for (size_t i = 0; i < STORE_LOCKS; ++i) pthread_mutex_init(&s->locks[i], NULL);
    rdg_err_t err = rdg_fail_in(open_all(s, options), "the registry in %.200s", options->dir);
    if (err != RDG_OK) store_close(s);
    return err;
}

void store_close(store_t *s) {
    rdg_sql_close(s->db);
    s->db = NULL;
    for (size_t i = 0; i < STORE_LOCKS; ++i) pthread_mutex_destroy(&s->locks[i]);
}

/* --- blobs -------------------------------------------------------------------------------------------------- */

rdg_err_t store_find(store_t *s, const char *repo, const char *digest, uint64_t *size) {
    bool found;
    int64_t bytes;
    RDG_TRY(
        store_ask(s,
                  "SELECT b.size FROM repo r JOIN link l ON l.repo = r.id JOIN blob b ON b.digest = l.digest "
                  "WHERE r.name = ? AND l.digest = ?",
                  RDG_SQL_PARAMS(rdg_sql_text(repo), rdg_sql_text(digest)), &found, &bytes, NULL));
    if (!found) return rdg_fail(RDG_E_NOT_FOUND, "%s has no blob %s", repo, digest);
    *size = (uint64_t)bytes;
    return RDG_OK;
}

rdg_err_t store_read(store_t *s, const char *digest, uint64_t size, int *fd) {
    char path[STORE_PATH_MAX];
    struct stat st;
    store_blob_path(s, digest, path);
    int opened = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (opened < 0) return rdg_fail_errno(errno, "blob %s", digest);
    if (fstat(opened, &st) != 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != size) {
        close(opened);
        return rdg_fail(RDG_E_CORRUPT, "%s is damaged: it should have %llu bytes", path,
                        (unsigned long long)size);
    }
    *fd = opened;
    return RDG_OK;
}

void store_touch(store_t *s, const char *repo, const char *digest) {
    uint64_t now = store_now(s);
    size_t changed;
    /* Rarely written: most questions come again within the grace. */
    (void)rdg_sql_exec(s->db,
                       "UPDATE link SET touched_ms = ? WHERE repo = (SELECT id FROM repo WHERE name = ?) "
                       "AND digest = ? AND touched_ms < ?",
                       RDG_SQL_PARAMS(rdg_sql_int((int64_t)now), rdg_sql_text(repo), rdg_sql_text(digest),
                                      rdg_sql_int((int64_t)(now - s->grace_ms / 4))),
                       &changed);
}

static rdg_err_t sync_parents(const store_t *s, const char *digest, bool made) {
    char path[STORE_PATH_MAX];
    snprintf(path, sizeof path, "%s/blobs/%.6s/%.2s", s->dir, digest, digest + 7);
    RDG_TRY(rdg_dir_sync(path));
    if (!made) return RDG_OK;
    snprintf(path, sizeof path, "%s/blobs/%.6s", s->dir, digest);
    return rdg_dir_sync(path);
}

/* The digest's lock is held. */
static rdg_err_t place(store_t *s, const char *digest, const char *temp) {
    char path[STORE_PATH_MAX], dir[STORE_PATH_MAX];
    store_blob_path(s, digest, path);
    snprintf(dir, sizeof dir, "%s/blobs/%.6s/%.2s", s->dir, digest, digest + 7);
    bool made = mkdir(dir, 0700) == 0;
    if (!made && errno != EEXIST) return rdg_fail_errno(errno, "cannot make %s", dir);
    /* A second name, so that an upload is whole until its row goes; rename where a crash left a file. */
    if (link(temp, path) != 0 && (errno != EEXIST || rename(temp, path) != 0))
        return rdg_fail_errno(errno, "cannot keep %s", path);
    return sync_parents(s, digest, made);
}

static bool file_has(const store_t *s, const char *digest, uint64_t size) {
    char path[STORE_PATH_MAX];
    struct stat st;
    store_blob_path(s, digest, path);
    return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
}

static rdg_err_t write_rows(store_t *s, const char *digest, uint64_t size, bool known,
                            rdg_err_t (*record)(store_t *s, void *ctx), void *ctx) {
    RDG_TRY(rdg_sql_begin(s->db));
    rdg_err_t err = RDG_OK;
    if (!known)
        err = rdg_sql_exec(s->db, "INSERT INTO blob (digest, size, created_ms) VALUES (?, ?, ?)",
                           RDG_SQL_PARAMS(rdg_sql_text(digest), rdg_sql_int((int64_t)size),
                                          rdg_sql_int((int64_t)store_now(s))),
                           NULL);
    if (err == RDG_OK) err = record(s, ctx);
    if (err == RDG_OK) return rdg_sql_commit(s->db);
    rdg_sql_rollback(s->db);
    return err;
}

static rdg_err_t put_locked(store_t *s, const char *digest, const char *temp, uint64_t size,
                            rdg_err_t (*record)(store_t *s, void *ctx), void *ctx) {
    bool known;
    RDG_TRY(store_ask(s, "SELECT 1 FROM blob WHERE digest = ?", RDG_SQL_PARAMS(rdg_sql_text(digest)), &known,
                      NULL, NULL));
    if (!known && size > s->total_max - (s->total_max < s->used ? s->total_max : s->used))
        return rdg_fail(RDG_E_FULL, "the registry's quota of %llu bytes is used up",
                        (unsigned long long)s->total_max);
    bool placed = !known || !file_has(s, digest, size);
    if (placed) RDG_TRY(place(s, digest, temp));
    if (s->gap) s->gap(s->gap_ctx, "placed");
    rdg_err_t err = write_rows(s, digest, size, known, record, ctx);
    if (err == RDG_OK && !known) atomic_fetch_add(&s->used, size);
    if (err != RDG_OK && !known) {
        char path[STORE_PATH_MAX];
        store_blob_path(s, digest, path);
        (void)unlink(path);
    }
    return err;
}

rdg_err_t store_put(store_t *s, const char *digest, const char *temp, uint64_t size,
                    rdg_err_t (*record)(store_t *s, void *ctx), void *ctx) {
    pthread_mutex_t *lock = store_lock(s, digest);
    int fd = open(temp, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return rdg_fail_errno(errno, "cannot open %s", temp);
    rdg_err_t err = fsync(fd) == 0 ? RDG_OK : rdg_fail_errno(errno, "cannot write %s to the disk", temp);
    close(fd);
    if (err == RDG_OK) {
        pthread_mutex_lock(lock);
        err = put_locked(s, digest, temp, size, record, ctx);
        pthread_mutex_unlock(lock);
    }
    (void)unlink(temp);
    return err;
}

/* --- quotas -------------------------------------------------------------------------------------------------- */

static bool under(const char *repo, const char *prefix) {
    size_t len = strlen(prefix);
    return strncmp(repo, prefix, len) == 0 && (repo[len] == '\0' || repo[len] == '/');
}

rdg_err_t store_check_quota(store_t *s, const char *repo) {
    for (size_t i = 0; i < s->quota_count; ++i) {
        const char *prefix = s->quotas[i].prefix;
        char from[TARGET_NAME_MAX + 2], to[TARGET_NAME_MAX + 2];
        int64_t bytes;
        if (!under(repo, prefix)) continue;
        snprintf(from, sizeof from, "%s/", prefix);
        snprintf(to, sizeof to, "%s0", prefix); /* '0' follows '/' */
        RDG_TRY(store_ask(
            s, "SELECT IFNULL(SUM(bytes), 0) FROM repo WHERE name = ? OR (name >= ? AND name < ?)",
            RDG_SQL_PARAMS(rdg_sql_text(prefix), rdg_sql_text(from), rdg_sql_text(to)), NULL, &bytes, NULL));
        if ((uint64_t)bytes > s->quotas[i].bytes)
            return rdg_fail(RDG_E_FULL, "the quota of %llu bytes for %s is used up: remove images there",
                            (unsigned long long)s->quotas[i].bytes, prefix);
    }
    return RDG_OK;
}

rdg_err_t store_reserve(store_t *s, uint64_t bytes) {
    uint64_t pending = atomic_fetch_add(&s->pending, bytes) + bytes, used = s->used;
    if (pending <= s->total_max && used <= s->total_max - pending) return RDG_OK;
    store_release(s, bytes);
    return rdg_fail(RDG_E_FULL, "the registry's quota of %llu bytes is used up: remove images",
                    (unsigned long long)s->total_max);
}

void store_release(store_t *s, uint64_t bytes) {
    atomic_fetch_sub(&s->pending, bytes);
}
