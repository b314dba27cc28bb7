/* Sorted tables that are made apart and taken in, one at a time.
 *
 * A table is written as N.table in the store's directory and synced; RocksDB then links it under a name of its own, syncs the
 * directory, names it in its manifest, synced as well, and removes the first name. Cut off before the manifest, the store
 * removes both when it is opened next: RocksDB what its manifest does not name, store_sweep_tables the rest.
 * When the writing of the manifest fails, RocksDB removes the table under its own name, although the manifest may name it
 * in the end (the kernel had it, or there was room again when the manifest was closed), and the store could never be opened
 * again. So its first name is left then, and store_bring_table_back gives it the other one again. */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "rocksdb_store.h"

/* Fewer bytes than that are cheaper in the write buffer than in a file of their own. */
enum { TABLE_BYTES_MIN = 64 << 10, PATH_BYTES = 4096 };
static const char SUFFIX[] = ".table";

void store_put_row(rocksdb_writebatch_t *w, const rdg_kv_sorted_t *row) {
    rdg_kv_op_t op;
    rdg_kv_sorted_op(row, &op);
    if (op.is_delete)
        rocksdb_writebatch_delete(w, (const char *)op.key.data, op.key.len);
    else
        rocksdb_writebatch_put(w, (const char *)op.key.data, op.key.len, (const char *)op.value.data,
                               op.value.len);
}

static rdg_err_t make_table(store_t *s, const char *path, const rdg_kv_sorted_t *rows, size_t count) {
    char *text = NULL;
    rocksdb_envoptions_t *env = rocksdb_envoptions_create();
    rocksdb_sstfilewriter_t *w = rocksdb_sstfilewriter_create(env, s->options);
    rocksdb_sstfilewriter_open(w, path, &text);
    for (size_t i = 0; !text && i < count; ++i) {
        rdg_kv_op_t op;
        rdg_kv_sorted_op(&rows[i], &op);
        const char *key = (const char *)op.key.data, *value = (const char *)op.value.data;
        if (op.is_delete)
            rocksdb_sstfilewriter_delete(w, key, op.key.len, &text);
        else
            rocksdb_sstfilewriter_put(w, key, op.key.len, value, op.value.len, &text);
    }
    if (!text) rocksdb_sstfilewriter_finish(w, &text);
    rocksdb_sstfilewriter_destroy(w);
    rocksdb_envoptions_destroy(env);
    return text ? store_error(text, "write a table of the store") : RDG_OK;
}

static rdg_err_t take_in(store_t *s, const char *path) {
    char *text = NULL;
    rocksdb_ingestexternalfileoptions_t *o = rocksdb_ingestexternalfileoptions_create();
    rocksdb_ingestexternalfileoptions_set_move_files(o, 1);
    rocksdb_ingest_external_file(s->db, &path, 1, o, &text);
    rocksdb_ingestexternalfileoptions_destroy(o);
    return text ? store_error(text, "take a table into the store") : RDG_OK;
}

static rdg_err_t add_table(store_t *s, const rdg_kv_sorted_t *rows, size_t count) {
    char name[48], path[PATH_BYTES];
    uint64_t number = __atomic_add_fetch(&s->tables, 1, __ATOMIC_RELAXED);
    snprintf(name, sizeof name, "%" PRIu64 "%s", number, SUFFIX);
    RDG_TRY(rdg_path_join(path, sizeof path, s->path, name));
    rdg_err_t err = make_table(s, path, rows, count);
    if (err == RDG_OK) return take_in(s, path);
    (void)unlink(path);
    return err;
}

static bool same_prefix(const rdg_kv_op_t *a, const rdg_kv_op_t *b, size_t bytes) {
    size_t x = a->key.len < bytes ? a->key.len : bytes, y = b->key.len < bytes ? b->key.len : bytes;
    return x == y && memcmp(a->key.data, b->key.data, x) == 0;
}

static rdg_err_t write_rest(store_t *s, rocksdb_writebatch_t *rest) {
    char *text = NULL;
    if (rocksdb_writebatch_count(rest) == 0) return RDG_OK;
    rocksdb_write(s->db, s->write_synced, rest, &text);
    rocksdb_writebatch_clear(rest);
    return text ? store_error(text, "write to the store") : RDG_OK;
}

/* From the end on. What is too little for a table waits in rest for its neighbours, but not beyond a table. */
static rdg_err_t add_tables(store_t *s, const rdg_kv_sorted_t *rows, size_t count, size_t prefix_bytes,
                            rocksdb_writebatch_t *rest) {
    for (size_t to = count, from; to > 0; to = from) {
        rdg_kv_op_t last, op;
        size_t bytes = 0;
        rdg_kv_sorted_op(&rows[to - 1], &last);
        for (from = to; from > 0; --from) {
            rdg_kv_sorted_op(&rows[from - 1], &op);
            if (!same_prefix(&last, &op, prefix_bytes)) break;
            bytes += op.key.len + op.value.len;
        }
        if (bytes >= TABLE_BYTES_MIN) {
            RDG_TRY(write_rest(s, rest));
            RDG_TRY(add_table(s, rows + from, to - from));
        } else {
            for (size_t i = from; i < to; ++i) store_put_row(rest, &rows[i]);
        }
    }
    return write_rest(s, rest);
}

rdg_err_t store_write_tables(rdg_kv_t *kv, const rdg_kv_batch_t *b, size_t prefix_bytes) {
    store_t *s = (store_t *)kv;
    rdg_kv_sorted_t *rows = NULL;
    size_t count;
    store_count_nothing();
    RDG_TRY(rdg_kv_batch_sort(b, &rows, &count));
    rocksdb_writebatch_t *rest = rocksdb_writebatch_create();
    rdg_err_t err = add_tables(s, rows, count, prefix_bytes, rest);
    rdg_free(rows);
    rocksdb_writebatch_destroy(rest);
    return err;
}

/* --- what was cut off ----------------------------------------------------------------------------- */

/* The next one; false: there is no other. */
static bool next_table(const store_t *s, DIR *d, char path[PATH_BYTES]) {
    for (const struct dirent *e; d && (e = readdir(d));) {
        size_t len = strlen(e->d_name), end = sizeof SUFFIX - 1;
        if (len > end && strcmp(e->d_name + len - end, SUFFIX) == 0 &&
            rdg_path_join(path, PATH_BYTES, s->path, e->d_name) == RDG_OK)
            return true;
    }
    return false;
}

void store_sweep_tables(const store_t *s) {
    char path[PATH_BYTES];
    DIR *d = opendir(s->path);
    while (next_table(s, d, path)) (void)unlink(path);
    if (d) closedir(d);
}

/* The number of the table in RocksDB's text; it names the form that tables had long ago. */
static bool missing_table(const char *text, char number[24]) {
    const char *end = strstr(text, ".ldb: No such file"), *from = end;
    while (from && from > text && from[-1] >= '0' && from[-1] <= '9') --from;
    if (!end || end == from || end - from >= 20) return false;
    snprintf(number, 24, "%.*s", (int)(end - from), from);
    return true;
}

bool store_bring_table_back(const store_t *s, const char *text) {
    char number[24], name[48], path[PATH_BYTES], other[PATH_BYTES], target[PATH_BYTES];
    if (!missing_table(text, number)) return false;
    snprintf(name, sizeof name, "%s.sst", number);
    DIR *d = opendir(s->path);
    bool only = next_table(s, d, path) && !next_table(s, d, other);
    if (d) closedir(d);
    return only && rdg_path_join(target, sizeof target, s->path, name) == RDG_OK && link(path, target) == 0;
}
