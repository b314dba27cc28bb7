#include "ridge/sql/sql.h"
#include "ridge/test.h"
#include "ridge/base/file.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const schema[] = {"CREATE TABLE device(name TEXT PRIMARY KEY, age INTEGER CHECK(age >= "
                                     "0)); CREATE TABLE note(id INTEGER PRIMARY KEY, "
                                     "device TEXT NOT NULL REFERENCES device(name), body BLOB);",
                                     "ALTER TABLE device ADD COLUMN place TEXT"};

static char url_text[300];
static const char *url(void) {
    snprintf(url_text, sizeof url_text, "sqlite:%s/t.db", rdg_test_dir());
    return url_text;
}

static rdg_sql_t *open_db(const char *u) {
    rdg_sql_t *db;
    CHECK_OK(rdg_sql_open(u, &db));
    CHECK_OK(rdg_sql_migrate(db, "test", schema, 2));
    return db;
}

static rdg_err_t add(rdg_sql_t *db, const char *name, int64_t age) {
    return rdg_sql_exec(db, "INSERT INTO device(name, age) VALUES(?, ?)",
                        RDG_SQL_PARAMS(rdg_sql_text(name), rdg_sql_int(age)), NULL);
}

static rdg_err_t take_int(void *ctx, const rdg_sql_row_t *row) {
    *(int64_t *)ctx = rdg_sql_row_int(row, 0);
    return RDG_OK;
}

static int64_t number(rdg_sql_t *db, const char *sql) {
    int64_t n = -1;
    CHECK_OK(rdg_sql_query(db, sql, NULL, 0, take_int, &n));
    return n;
}

static rdg_err_t check_values(void *ctx, const rdg_sql_row_t *row) {
    ++*(int *)ctx;
    CHECK_STR(rdg_sql_row_text(row, 0), "mètre");
    CHECK_EQ(rdg_sql_row_int(row, 1), INT64_MIN);
    CHECK(rdg_sql_row_text(row, 2) == NULL);
    CHECK_EQ(rdg_sql_row_int(row, 2), 0);
    rdg_bytes_t b = rdg_sql_row_blob(row, 3);
    CHECK(b.len == 3 && memcmp(b.data, "a\0b", 3) == 0);
    CHECK_EQ(rdg_sql_row_blob(row, 4).len, 0);
    CHECK_EQ(rdg_sql_row_int(row, 5), 0);
    return RDG_OK;
}

TEST(sql_values_come_back_as_they_went_in) {
    rdg_sql_t *db = open_db("sqlite::memory:");
    int rows = 0;
    CHECK_OK(rdg_sql_query(db, "SELECT ?, ?, ?, ?, ?, ? IS NULL",
                           RDG_SQL_PARAMS(rdg_sql_text("mètre"), rdg_sql_int(INT64_MIN), rdg_sql_text(NULL),
                                          rdg_sql_blob(rdg_bytes("a\0b", 3)),
                                          rdg_sql_blob(rdg_bytes(NULL, 0)), rdg_sql_blob(rdg_bytes(NULL, 0))),
                           check_values, &rows));
    CHECK_EQ(rows, 1);
    rdg_sql_close(db);
    CHECK_EQ(rdg_alloc_live(), 0);
}

TEST(sql_parameters_are_data_and_never_sql) {
    rdg_sql_t *db = open_db("sqlite::memory:");
    CHECK_OK(add(db, "x'); DROP TABLE device; --", 1));
    CHECK_EQ(number(db, "SELECT count(*) FROM device"), 1);
    rdg_sql_close(db);
}

TEST(sql_constraints_are_told_apart_and_change_nothing) {
    rdg_sql_t *db = open_db("sqlite::memory:");
    CHECK_OK(add(db, "a", 1));
    rdg_err_t err = add(db, "a", 2);
    CHECK_ERR(err, RDG_E_EXISTS);
    CHECK(strstr(rdg_err_message(err), "device.name") != NULL);
    CHECK_ERR(add(db, "b", -1), RDG_E_CONFLICT);
    CHECK_ERR(rdg_sql_exec(db, "INSERT INTO note(device) VALUES('nobody')", NULL, 0, NULL), RDG_E_CONFLICT);
    CHECK_EQ(number(db, "SELECT age FROM device"), 1);
    CHECK_EQ(number(db, "SELECT count(*) FROM device"), 1);
    rdg_sql_close(db);
}

TEST(sql_mistakes_in_statements_are_internal) {
    rdg_sql_t *db = open_db("sqlite::memory:");
    CHECK_ERR(rdg_sql_exec(db, "SELECT nothing FROM nowhere", NULL, 0, NULL), RDG_E_INTERNAL);
    CHECK_ERR(rdg_sql_exec(db, "SELECT ?", NULL, 0, NULL), RDG_E_INTERNAL);
    CHECK_ERR(rdg_sql_exec(db, "DELETE FROM note; DELETE FROM device", NULL, 0, NULL), RDG_E_INTERNAL);
    CHECK_ERR(rdg_sql_exec(db, "", NULL, 0, NULL), RDG_E_INTERNAL);
    rdg_sql_t *none;
    CHECK_ERR(rdg_sql_open("postgres://x", &none), RDG_E_INVALID);
    CHECK_ERR(rdg_sql_open("sqlite:/no/such/dir/x.db", &none), RDG_E_NOT_FOUND);
    rdg_sql_close(db);
    CHECK_EQ(rdg_alloc_live(), 0);
}

TEST(sql_changed_counts_rows) {
    rdg_sql_t *db = open_db("sqlite::memory:");
    size_t changed = 99;
    for (int i = 0; i < 5; ++i) CHECK_OK(add(db, (char[]){(char)('a' + i), 0}, i));
    CHECK_OK(rdg_sql_exec(db, "UPDATE device SET age = 0 WHERE age > ?", RDG_SQL_PARAMS(rdg_sql_int(2)),
                          &changed));
    CHECK_EQ(changed, 2);
    CHECK_OK(rdg_sql_exec(db, "UPDATE device SET age = 0 WHERE age > 100", NULL, 0, &changed));
    CHECK_EQ(changed, 0);
    rdg_sql_close(db);
}

static rdg_err_t stop_at(void *ctx, const rdg_sql_row_t *row) {
    int *left = ctx;
    (void)row;
    if (--*left == 0) return RDG_E_CANCELLED;
    return *left < 0 ? rdg_fail(RDG_E_MALFORMED, "row") : RDG_OK;
}

TEST(sql_query_may_end_early_or_pass_an_error_on) {
    rdg_sql_t *db = open_db("sqlite::memory:");
    int left = 2;
    for (int i = 0; i < 5; ++i) CHECK_OK(add(db, (char[]){(char)('a' + i), 0}, i));
    CHECK_OK(rdg_sql_query(db, "SELECT name FROM device", NULL, 0, stop_at, &left));
    CHECK_EQ(left, 0);
    CHECK_ERR(rdg_sql_query(db, "SELECT name FROM device", NULL, 0, stop_at, &left), RDG_E_MALFORMED);
    rdg_sql_close(db);
}

TEST(sql_rollback_takes_back_and_commit_keeps) {
    rdg_sql_t *db = open_db(url());
    CHECK_OK(rdg_sql_begin(db));
    CHECK_ERR(rdg_sql_begin(db), RDG_E_CONFLICT);
    CHECK_OK(add(db, "a", 1));
    rdg_sql_rollback(db);
    rdg_sql_rollback(db);
    CHECK_EQ(number(db, "SELECT count(*) FROM device"), 0);
    CHECK_OK(rdg_sql_begin(db));
    CHECK_OK(add(db, "a", 1));
    CHECK_ERR(add(db, "a", 1), RDG_E_EXISTS);
    CHECK_OK(add(db, "b", 1));
    CHECK_OK(rdg_sql_commit(db));
    CHECK_ERR(rdg_sql_commit(db), RDG_E_CONFLICT);
    rdg_sql_close(db);
    db = open_db(url());
    CHECK_EQ(number(db, "SELECT count(*) FROM device"), 2);
    rdg_sql_close(db);
}

TEST(sql_migrations_run_once_and_a_failing_one_leaves_nothing) {
    rdg_sql_t *db;
    CHECK_OK(rdg_sql_open(url(), &db));
    const char *bad[] = {schema[0], "CREATE TABLE half(x); INSERT INTO nowhere VALUES(1)"};
    CHECK_OK(rdg_sql_migrate(db, "test", schema, 1));
    rdg_err_t err = rdg_sql_migrate(db, "test", bad, 2);
    CHECK_ERR(err, RDG_E_INTERNAL);
    CHECK(strstr(rdg_err_message(err), "migration 2 of test") != NULL);
    CHECK_EQ(number(db, "SELECT count(*) FROM sqlite_master WHERE name = 'half'"), 0);
    CHECK_OK(rdg_sql_migrate(db, "test", schema, 2));
    CHECK_OK(rdg_sql_migrate(db, "test", schema, 2));
    CHECK_OK(rdg_sql_migrate(db, "other", (const char *const[]){"CREATE TABLE other(x)"}, 1));
    err = rdg_sql_migrate(db, "test", schema, 1);
    CHECK_ERR(err, RDG_E_UNSUPPORTED);
    CHECK(strstr(rdg_err_message(err), "newer program") != NULL);
    rdg_sql_close(db);
}

/* The child reports each commit after it has returned and is killed in the middle of the next. */
TEST(sql_committed_rows_survive_kill_9) {
    int fds[2], last = -1, n;
    CHECK_EQ(pipe(fds), 0);
    rdg_sql_t *db = open_db(url());
    rdg_sql_close(db);
    pid_t child = fork();
    if (child == 0) {
        db = open_db(url());
        for (int i = 0;; ++i) {
            char name[16];
            snprintf(name, sizeof name, "d%d", i);
            CHECK_OK(rdg_sql_begin(db));
            CHECK_OK(add(db, name, i));
            CHECK_OK(rdg_sql_exec(db, "INSERT INTO note(device) VALUES(?)",
                                  RDG_SQL_PARAMS(rdg_sql_text(name)), NULL));
            CHECK_OK(rdg_sql_commit(db));
            (void)!write(fds[1], &i, sizeof i);
        }
    }
    close(fds[1]);
    while (last < 50 && read(fds[0], &n, sizeof n) == (ssize_t)sizeof n) last = n;
    kill(child, SIGKILL);
    CHECK_EQ(waitpid(child, NULL, 0), child);
    while (read(fds[0], &n, sizeof n) == (ssize_t)sizeof n) last = n;
    close(fds[0]);
    db = open_db(url());
    CHECK(number(db, "SELECT max(age) FROM device") >= last);
    CHECK_EQ(number(db, "SELECT count(*) FROM device"), number(db, "SELECT count(*) FROM note"));
    CHECK_EQ(number(db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"), 0);
    rdg_sql_close(db);
}

TEST(sql_full_disk_is_named_and_what_was_committed_stays) {
    rdg_sql_t *db = open_db(url());
    CHECK_OK(add(db, "a", 1));
    int64_t pages = number(db, "PRAGMA page_count");
    char limit[64];
    snprintf(limit, sizeof limit, "PRAGMA max_page_count = %lld", (long long)pages + 2);
    number(db, limit);
    uint8_t *big = rdg_calloc(1, 100000);
    rdg_err_t err = rdg_sql_exec(db, "INSERT INTO note(device, body) VALUES('a', ?)",
                                 RDG_SQL_PARAMS(rdg_sql_blob(rdg_bytes(big, 100000))), NULL);
    rdg_free(big);
    CHECK_ERR(err, RDG_E_DISK_FULL);
    CHECK(strstr(rdg_err_message(err), "t.db") != NULL);
    CHECK_OK(rdg_sql_begin(db));
    CHECK_OK(rdg_sql_exec(db, "UPDATE device SET age = 2", NULL, 0, NULL));
    CHECK_OK(rdg_sql_commit(db));
    CHECK_EQ(number(db, "SELECT age FROM device"), 2);
    CHECK_EQ(number(db, "SELECT count(*) FROM note"), 0);
    rdg_sql_close(db);
}

TEST(sql_file_that_is_no_database_is_corrupt) {
    rdg_sql_t *db;
    char path[300], junk[4096];
    memset(junk, 'x', sizeof junk);
    snprintf(path, sizeof path, "%s/t.db", rdg_test_dir());
    CHECK_OK(rdg_file_replace(path, rdg_bytes(junk, sizeof junk), 0600));
    rdg_err_t err = rdg_sql_open(url(), &db);
    CHECK_ERR(err, RDG_E_CORRUPT);
    CHECK(strstr(rdg_err_message(err), path) != NULL);
    CHECK_EQ(rdg_alloc_live(), 0);
}

TEST(sql_file_is_for_its_owner_only) {
    rdg_sql_t *db = open_db(url());
    struct stat st;
    CHECK_EQ(stat(strchr(url(), ':') + 1, &st), 0);
    CHECK_EQ(st.st_mode & 0777, 0600);
    rdg_sql_close(db);
}

typedef struct adder {
    rdg_sql_t *db;
    int start;
} adder_t;

static void *add_many(void *arg) {
    adder_t *a = arg;
    for (int i = 0; i < 100; ++i) {
        char name[16];
        CHECK_OK(rdg_sql_begin(a->db));
        int64_t count = number(a->db, "SELECT count(*) FROM device");
        snprintf(name, sizeof name, "d%d", a->start + i);
        CHECK_OK(add(a->db, name, i));
        CHECK_EQ(number(a->db, "SELECT count(*) FROM device"), count + 1);
        CHECK_OK(rdg_sql_commit(a->db));
    }
    return NULL;
}

TEST(sql_transactions_of_threads_do_not_mix) {
    rdg_sql_t *db = open_db("sqlite::memory:");
    pthread_t threads[4];
    adder_t adders[4];
    for (int i = 0; i < 4; ++i) {
        adders[i] = (adder_t){db, i * 1000};
        CHECK_EQ(pthread_create(&threads[i], NULL, add_many, &adders[i]), 0);
    }
    for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
    CHECK_EQ(number(db, "SELECT count(*) FROM device"), 400);
    rdg_sql_close(db);
}
