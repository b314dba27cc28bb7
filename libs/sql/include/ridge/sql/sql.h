/* SQL, thin: SQLite now; PostgreSQL behind the same functions later (so: standard SQL, `?` parameters).
 *
 * 1. Committed means on disk (write-ahead log, synchronous=FULL): kill -9 or a power cut after commit loses
 * nothing.
 * 2. A statement outside a transaction is one by itself.
 * 3. A database object is thread-safe: calls take turns, and a transaction keeps it for its thread from begin
 * to commit or rollback. A thread that begins therefore has to end, and does not wait for other threads in
 * between.
 * 4. A failed statement leaves the transaction open and everything before it in place; a failed commit rolls
 * back.
 * 5. Foreign keys are enforced.
 * Another process that writes the same file is waited for 5 s, then BUSY. The file is made with mode 0600.
 * Errors: EXISTS (a unique or primary key), CONFLICT (another constraint), BUSY, DISK_FULL, CORRUPT (also: no
 * database), TOO_LARGE, IO, INTERNAL (a statement that does not fit the schema). State is unchanged by any of
 * them. */
#ifndef RIDGE_SQL_SQL_H
#define RIDGE_SQL_SQL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "ridge/base/bytes.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdg_sql rdg_sql_t;
typedef struct rdg_sql_row rdg_sql_row_t;

/* "sqlite:/path/file.db" or "sqlite::memory:". INVALID: another URL. */
rdg_err_t rdg_sql_open(const char *url, rdg_sql_t **out);
void rdg_sql_close(rdg_sql_t *db); /* rolls an open transaction back; NULL is fine */
/* Runs migrations[current..count), each (one or more statements) in a transaction of its own; the component's
 * version is kept in table ridge_schema. UNSUPPORTED: the database is of a newer version than this program.
 */
rdg_err_t rdg_sql_migrate(rdg_sql_t *db, const char *component, const char *const *migrations, size_t count);

typedef enum rdg_sql_kind { RDG_SQL_NULL, RDG_SQL_INT, RDG_SQL_TEXT, RDG_SQL_BLOB } rdg_sql_kind_t;
typedef struct rdg_sql_value {
    rdg_sql_kind_t kind;
    int64_t i;
    rdg_bytes_t b;
} rdg_sql_value_t;
rdg_sql_value_t rdg_sql_int(int64_t v);
rdg_sql_value_t rdg_sql_text(const char *v); /* NULL gives NULL; borrowed */
rdg_sql_value_t rdg_sql_blob(rdg_bytes_t v); /* borrowed; an empty one is no NULL */

/* Runs one statement; count has to be the number of its parameters. changed (rows) may be NULL. */
rdg_err_t rdg_sql_exec(rdg_sql_t *db, const char *sql, const rdg_sql_value_t *params, size_t count,
                       size_t *changed);
/* Calls row for each result row until it returns an error (passed on; CANCELLED ends early with RDG_OK). The
 * callback may use db. */
rdg_err_t rdg_sql_query(rdg_sql_t *db, const char *sql, const rdg_sql_value_t *params, size_t count,
                        rdg_err_t (*row)(void *ctx, const rdg_sql_row_t *row), void *ctx);
int64_t rdg_sql_row_int(const rdg_sql_row_t *r, unsigned column); /* 0 for NULL */
/* NULL for NULL; borrowed until the next call on this column or the callback's end. */
const char *rdg_sql_row_text(const rdg_sql_row_t *r, unsigned column);
rdg_bytes_t rdg_sql_row_blob(const rdg_sql_row_t *r, unsigned column); /* empty for NULL; borrowed likewise */

rdg_err_t rdg_sql_begin(rdg_sql_t *db); /* CONFLICT: this thread has one open already */
rdg_err_t rdg_sql_commit(rdg_sql_t *db);
void rdg_sql_rollback(rdg_sql_t *db); /* without a transaction of this thread: nothing */

#define RDG_SQL_PARAMS(...)                                                                                  \
    (const rdg_sql_value_t[]){__VA_ARGS__},                                                                  \
        sizeof((const rdg_sql_value_t[]){__VA_ARGS__}) / sizeof(rdg_sql_value_t)

#ifdef __cplusplus
}
#endif
#endif
