#include "ridge/sql/sql.h"
#include "ridge/base/alloc.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BUSY_TIMEOUT_MS 5000

struct rdg_sql {
    sqlite3 *db;
    pthread_mutex_t mutex; /* recursive: held by each call, and by a transaction from begin to its end */
    bool in_transaction;   /* guarded by mutex, hence: of the thread that sees it */
    char *path;
};

struct rdg_sql_row {
    sqlite3_stmt *statement;
};

static rdg_err_t code_of(int extended) {
    switch (extended) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID: return RDG_E_EXISTS;
    default: break;
    }
    switch (extended & 0xff) {
    case SQLITE_CONSTRAINT: return RDG_E_CONFLICT;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return RDG_E_BUSY;
    case SQLITE_FULL: return RDG_E_DISK_FULL;
    case SQLITE_NOMEM: return RDG_E_NO_MEMORY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return RDG_E_CORRUPT;
    case SQLITE_TOOBIG: return RDG_E_TOO_LARGE;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH: return RDG_E_IO;
    default: return RDG_E_INTERNAL;
    }
}

static rdg_err_t sql_fail(const rdg_sql_t *db, const char *what) {
    rdg_err_t code = code_of(sqlite3_extended_errcode(db->db));
    int errnum = code == RDG_E_IO ? sqlite3_system_errno(db->db) : 0;
    if (errnum == ENOSPC || errnum == EDQUOT) code = RDG_E_DISK_FULL;
    return rdg_fail(code, "database %s: %s: %.160s", db->path, sqlite3_errmsg(db->db), what);
}

static rdg_err_t run(rdg_sql_t *db, const char *sql) {
    return sqlite3_exec(db->db, sql, NULL, NULL, NULL) == SQLITE_OK ? RDG_OK : sql_fail(db, sql);
}

/* SQLite would make the file readable for everybody. */
static rdg_err_t make_file(const char *path) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return rdg_fail_errno(errno, "cannot open database %s", path);
    close(fd);
    return RDG_OK;
}

static rdg_err_t open_file(rdg_sql_t *db) {
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (strcmp(db->path, ":memory:") != 0) RDG_TRY(make_file(db->path));
    if (sqlite3_open_v2(db->path, &db->db, flags, NULL) != SQLITE_OK) {
        if (!db->db) return rdg_fail(RDG_E_NO_MEMORY, "no memory to open database %s", db->path);
        return sql_fail(db, "open");
    }
    sqlite3_extended_result_codes(db->db, 1);
    sqlite3_busy_timeout(db->db, BUSY_TIMEOUT_MS);
    return run(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
                   "PRAGMA trusted_schema=OFF;");
}

rdg_err_t rdg_sql_open(const char *url, rdg_sql_t **out) {
    static const char scheme[] = "sqlite:";
    if (!url || strncmp(url, scheme, sizeof scheme - 1) != 0 || !url[sizeof scheme - 1])
        return rdg_fail(RDG_E_INVALID, "no valid database URL: \"%.200s\": want sqlite:/path/file.db",
                        url ? url : "");
    rdg_sql_t *db = rdg_calloc(1, sizeof *db);
    if (!db) return rdg_fail(RDG_E_NO_MEMORY, "no memory to open %s", url);
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&db->mutex, &recursive);
    pthread_mutexattr_destroy(&recursive);
    db->path = rdg_strdup(url + sizeof scheme - 1);
    rdg_err_t err = db->path ? open_file(db) : rdg_fail(RDG_E_NO_MEMORY, "no memory to open %s", url);
    if (err == RDG_OK)
        *out = db;
    else
        rdg_sql_close(db);
    return err;
}

void rdg_sql_close(rdg_sql_t *db) {
    if (!db) return;
    (void)sqlite3_close(db->db);
    pthread_mutex_destroy(&db->mutex);
    rdg_free(db->path);
    rdg_free(db);
}

rdg_sql_value_t rdg_sql_int(int64_t v) {
    return (rdg_sql_value_t){.kind = RDG_SQL_INT, .i = v};
}

rdg_sql_value_t rdg_sql_text(const char *v) {
    return (rdg_sql_value_t){.kind = v ? RDG_SQL_TEXT : RDG_SQL_NULL, .b = rdg_bytes_str(v)};
}

rdg_sql_value_t rdg_sql_blob(rdg_bytes_t v) {
    return (rdg_sql_value_t){.kind = RDG_SQL_BLOB, .b = v};
}

static int bind(sqlite3_stmt *s, int at, const rdg_sql_value_t *v) {
    switch (v->kind) {
    case RDG_SQL_INT: return sqlite3_bind_int64(s, at, v->i);
    case RDG_SQL_TEXT:
        return sqlite3_bind_text64(s, at, (const char *)v->b.data, v->b.len, SQLITE_STATIC, SQLITE_UTF8);
    case RDG_SQL_BLOB:
        return v->b.len == 0 ? sqlite3_bind_zeroblob(s, at, 0)
                             : sqlite3_bind_blob64(s, at, v->b.data, v->b.len, SQLITE_STATIC);
    default: return sqlite3_bind_null(s, at);
    }
}

static rdg_err_t prepare(rdg_sql_t *db, const char *sql, const rdg_sql_value_t *params, size_t count,
                         sqlite3_stmt **out) {
    const char *tail;
    if (sqlite3_prepare_v2(db->db, sql, -1, out, &tail) != SQLITE_OK) return sql_fail(db, sql);
    if (!*out || tail[strspn(tail, " \n\t;")] != '\0' ||
        (size_t)sqlite3_bind_parameter_count(*out) != count) {
        sqlite3_finalize(*out);
        return rdg_fail(RDG_E_INTERNAL, "not one statement with %zu parameters: %.160s", count, sql);
    }
    for (size_t i = 0; i < count; ++i)
        if (bind(*out, (int)i + 1, &params[i]) != SQLITE_OK) {
            rdg_err_t err = sql_fail(db, sql);
            sqlite3_finalize(*out);
            return err;
        }
    return RDG_OK;
}

static rdg_err_t step_all(rdg_sql_t *db, const char *sql, sqlite3_stmt *s,
                          rdg_err_t (*row)(void *ctx, const rdg_sql_row_t *row), void *ctx) {
    rdg_sql_row_t r = {s};
    int rc;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        rdg_err_t err = row ? row(ctx, &r) : RDG_OK;
        if (err != RDG_OK) return err == RDG_E_CANCELLED ? RDG_OK : err;
    }
    return rc == SQLITE_DONE ? RDG_OK : sql_fail(db, sql);
}

static rdg_err_t perform(rdg_sql_t *db, const char *sql, const rdg_sql_value_t *params, size_t count,
                         rdg_err_t (*row)(void *ctx, const rdg_sql_row_t *row), void *ctx, size_t *changed) {
    sqlite3_stmt *s;
    pthread_mutex_lock(&db->mutex);
    rdg_err_t err = prepare(db, sql, params, count, &s);
    if (err == RDG_OK) {
        err = step_all(db, sql, s, row, ctx);
        if (err == RDG_OK && changed)
            *changed = sqlite3_stmt_readonly(s) ? 0 : (size_t)sqlite3_changes(db->db);
        sqlite3_finalize(s);
    }
    pthread_mutex_unlock(&db->mutex);
    return err;
}

rdg_err_t rdg_sql_exec(rdg_sql_t *db, const char *sql, const rdg_sql_value_t *params, size_t count,
                       size_t *changed) {
    return perform(db, sql, params, count, NULL, NULL, changed);
}

rdg_err_t rdg_sql_query(rdg_sql_t *db, const char *sql, const rdg_sql_value_t *params, size_t count,
                        rdg_err_t (*row)(void *ctx, const rdg_sql_row_t *row), void *ctx) {
    return perform(db, sql, params, count, row, ctx, NULL);
}

int64_t rdg_sql_row_int(const rdg_sql_row_t *r, unsigned column) {
    return sqlite3_column_int64(r->statement, (int)column);
}

const char *rdg_sql_row_text(const rdg_sql_row_t *r, unsigned column) {
    return (const char *)sqlite3_column_text(r->statement, (int)column);
}

rdg_bytes_t rdg_sql_row_blob(const rdg_sql_row_t *r, unsigned column) {
    const void *data = sqlite3_column_blob(r->statement, (int)column);
    return rdg_bytes(data, data ? (size_t)sqlite3_column_bytes(r->statement, (int)column) : 0);
}

rdg_err_t rdg_sql_begin(rdg_sql_t *db) {
    pthread_mutex_lock(&db->mutex);
    rdg_err_t err = db->in_transaction ? rdg_fail(RDG_E_CONFLICT,
                                                  "database %s: this thread has a transaction open", db->path)
                                       : run(db, "BEGIN IMMEDIATE");
    if (err == RDG_OK)
        db->in_transaction = true;
    else
        pthread_mutex_unlock(&db->mutex);
    return err;
}

/* Releases what begin took; call with the lock of this call and that of the transaction held. */
static void end_transaction(rdg_sql_t *db) {
    /* Some failures have rolled back by themselves. */
    if (sqlite3_get_autocommit(db->db) == 0) (void)sqlite3_exec(db->db, "ROLLBACK", NULL, NULL, NULL);
    db->in_transaction = false;
    pthread_mutex_unlock(&db->mutex);
}

rdg_err_t rdg_sql_commit(rdg_sql_t *db) {
    rdg_err_t err;
    pthread_mutex_lock(&db->mutex);
    if (db->in_transaction) {
        err = run(db, "COMMIT");
        end_transaction(db);
    } else {
        err = rdg_fail(RDG_E_CONFLICT, "database %s: no transaction to commit", db->path);
    }
    pthread_mutex_unlock(&db->mutex);
    return err;
}

void rdg_sql_rollback(rdg_sql_t *db) {
    pthread_mutex_lock(&db->mutex);
    if (db->in_transaction) end_transaction(db);
    pthread_mutex_unlock(&db->mutex);
}

static rdg_err_t take_version(void *ctx, const rdg_sql_row_t *row) {
    *(int64_t *)ctx = rdg_sql_row_int(row, 0);
    return RDG_OK;
}

/* One migration, if there is one left; *done tells. The version is read inside the transaction: another
 * process may be doing the same. */
static rdg_err_t migrate_one(rdg_sql_t *db, const char *component, const char *const *migrations,
                             size_t count, bool *done) {
    int64_t version = 0;
    RDG_TRY(rdg_sql_query(db, "SELECT version FROM ridge_schema WHERE component = ?",
                          RDG_SQL_PARAMS(rdg_sql_text(component)), take_version, &version));
    if (version > (int64_t)count)
        return rdg_fail(
            RDG_E_UNSUPPORTED,
            "database %s has version %lld of %s, this program knows up to %zu: use a newer program", db->path,
            (long long)version, component, count);
    *done = version == (int64_t)count;
    if (*done) return RDG_OK;
    rdg_err_t err = run(db, migrations[version]);
    if (err != RDG_OK) return rdg_fail_in(err, "migration %lld of %s", (long long)version + 1, component);
    return rdg_sql_exec(db, "INSERT OR REPLACE INTO ridge_schema(component, version) VALUES(?, ?)",
                        RDG_SQL_PARAMS(rdg_sql_text(component), rdg_sql_int(version + 1)), NULL);
}

rdg_err_t rdg_sql_migrate(rdg_sql_t *db, const char *component, const char *const *migrations, size_t count) {
    bool done = false;
    RDG_TRY(rdg_sql_exec(db,
                         "CREATE TABLE IF NOT EXISTS ridge_schema(component TEXT PRIMARY KEY NOT NULL, "
                         "version INTEGER NOT NULL)",
                         NULL, 0, NULL));
    while (!done) {
        RDG_TRY(rdg_sql_begin(db));
        rdg_err_t err = migrate_one(db, component, migrations, count, &done);
        if (err != RDG_OK) {
            rdg_sql_rollback(db);
            return err;
        }
        RDG_TRY(rdg_sql_commit(db));
    }
    return RDG_OK;
}
