/* SQL, thin: SQLite now; PostgreSQL behind the same functions later (so: standard SQL, `?` parameters).
 *
 * A database object is thread-safe (serialised); a transaction holds it for its thread until commit or rollback.
 * Durability: committed means on disk (WAL, synchronous=FULL). */
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

rdg_err_t rdg_sql_open(const char *url, rdg_sql_t **out); /* "sqlite:/path/file.db" or "sqlite::memory:" */
void rdg_sql_close(rdg_sql_t *db);
/* Runs migrations[current..count) in one transaction each; the version is kept in the database. */
rdg_err_t rdg_sql_migrate(rdg_sql_t *db, const char *component, const char *const *migrations, size_t count);

typedef enum rdg_sql_kind { RDG_SQL_NULL, RDG_SQL_INT, RDG_SQL_TEXT, RDG_SQL_BLOB } rdg_sql_kind_t;
typedef struct rdg_sql_value { rdg_sql_kind_t kind; int64_t i; rdg_bytes_t b; } rdg_sql_value_t;
rdg_sql_value_t rdg_sql_int(int64_t v);
rdg_sql_value_t rdg_sql_text(const char *v); /* NULL gives NULL; borrowed */
rdg_sql_value_t rdg_sql_blob(rdg_bytes_t v);

/* Runs one statement with parameters. CONFLICT on a broken constraint (EXISTS on a unique one). changed may be NULL. */
rdg_err_t rdg_sql_exec(rdg_sql_t *db, const char *sql, const rdg_sql_value_t *params, size_t count, size_t *changed);
/* Calls row for each result row until it returns an error (passed on; CANCELLED ends early with RDG_OK). */
rdg_err_t rdg_sql_query(rdg_sql_t *db, const char *sql, const rdg_sql_value_t *params, size_t count,
                        rdg_err_t (*row)(void *ctx, const rdg_sql_row_t *row), void *ctx);
int64_t rdg_sql_row_int(const rdg_sql_row_t *r, unsigned column);
const char *rdg_sql_row_text(const rdg_sql_row_t *r, unsigned column); /* NULL for NULL; borrowed during the callback */
rdg_bytes_t rdg_sql_row_blob(const rdg_sql_row_t *r, unsigned column);

rdg_err_t rdg_sql_begin(rdg_sql_t *db);
rdg_err_t rdg_sql_commit(rdg_sql_t *db);
void rdg_sql_rollback(rdg_sql_t *db);

#define RDG_SQL_PARAMS(...) (const rdg_sql_value_t[]){__VA_ARGS__}, sizeof((const rdg_sql_value_t[]){__VA_ARGS__}) / sizeof(rdg_sql_value_t)

#ifdef __cplusplus
}
#endif
#endif
