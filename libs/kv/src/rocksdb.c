/* RocksDB with the memory of a small device.
 *
 * The budget is split: a quarter for each of two write buffers, half for the block cache. Index and filter
 * blocks stay out of that small cache (they would push the data out: reads fell 17-fold when measured); they
 * are held by the table readers, whose number max_open_files bounds. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "rocksdb_store.h"

enum { MEMORY_DEFAULT = 16 << 20, MEMORY_MIN = 2 << 20, OPEN_FILES_MAX = 128 };
/* RocksDB 7.8 as Debian builds it, with its assertions, aborts the process at the second line that it cannot write to
 * its own log (facebook/rocksdb#10489; the log's lines are written at the start whatever their level). So it is not
 * opened when they have no room, and writes no line later. */
enum { LOG_HEADERS_ONLY = 5, ROOM_TO_OPEN = 1 << 20 };

typedef struct iterator {
    rdg_kv_iter_t base;
    rocksdb_iterator_t *it;
    rocksdb_readoptions_t *read;
    bool started;
    uint8_t *upper; /* must outlive the iterator */
} iterator_t;

/* RocksDB's C API has only the text of the status to tell the kinds apart. */
rdg_err_t store_error(char *text, const char *doing) {
    rdg_err_t code = RDG_E_IO;
    if (strstr(text, "No space left") || strstr(text, "space limit") || strstr(text, "Disk quota"))
        code = RDG_E_DISK_FULL;
    else if (strstr(text, "LOCK") || strstr(text, "lock hold"))
        code = RDG_E_BUSY;
    else if (!strncmp(text, "Corruption", 10))
        code = RDG_E_CORRUPT;
    else if (strstr(text, "does not exist (create_if_missing"))
        code = RDG_E_NOT_FOUND;
    else if (strstr(text, "No such file"))
        code = RDG_E_CORRUPT; /* a file that the manifest names is gone */
    rdg_fail(code, "%s: %s", doing, text);
    rocksdb_free(text);
    return code;
}

static void set_limits(store_t *s, size_t memory) {
    rocksdb_options_t *o = s->options;
    rocksdb_options_set_write_buffer_size(o, memory / 4);
    rocksdb_options_set_max_write_buffer_number(o, 2);
    /* Most look-ups are for transactions that are not there: a filter spares them the search of the memtable. */
    rocksdb_options_set_memtable_prefix_bloom_size_ratio(o, 0.05);
    rocksdb_options_set_memtable_whole_key_filtering(o, 1);
    rocksdb_options_set_max_open_files(o, OPEN_FILES_MAX);
    rocksdb_options_set_max_background_jobs(o, 2);
    rocksdb_options_set_max_file_opening_threads(o, 1);
    rocksdb_options_set_target_file_size_base(o, 4u << 20);
    rocksdb_options_set_max_bytes_for_level_base(o, 16u << 20);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(o, 1);
    rocksdb_options_set_manifest_preallocation_size(o, 64 << 10);
    rocksdb_options_set_keep_log_file_num(o, 2);
    rocksdb_options_set_max_log_file_size(o, 256 << 10);
    rocksdb_options_set_info_log_level(o, LOG_HEADERS_ONLY);
    rocksdb_options_set_stats_dump_period_sec(o, 0);
    rocksdb_options_set_bytes_per_sync(o, 512 << 10);
    s->cache = rocksdb_cache_create_lru(memory / 2);

    rocksdb_block_based_table_options_t *t = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(t, s->cache);
    rocksdb_block_based_options_set_block_size(t, 4096);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(t, 0);
    rocksdb_block_based_options_set_filter_policy(t, rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_block_based_options_set_format_version(t, 5);
    rocksdb_options_set_block_based_table_factory(o, t);
    rocksdb_block_based_options_destroy(t);
}

static void set_behaviour(store_t *s, bool create) {
    rocksdb_options_t *o = s->options;
    const int compression[7] = {rocksdb_no_compression,  rocksdb_no_compression,  rocksdb_lz4_compression,
                                rocksdb_lz4_compression, rocksdb_lz4_compression, rocksdb_lz4_compression,
                                rocksdb_lz4_compression};
    rocksdb_options_set_compression_per_level(o, compression, 7);
    rocksdb_options_set_create_if_missing(o, create);
    rocksdb_options_set_paranoid_checks(o, 1);
    /* The default stops at the first damaged record of the log and drops what stands after it without a word:
     * acknowledged blocks and votes. This one drops a record that was cut off at the end, and refuses the rest. */
    rocksdb_options_set_wal_recovery_mode(o, rocksdb_tolerate_corrupted_tail_records_recovery);
    s->read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_verify_checksums(s->read, 1);
    s->write_synced = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(s->write_synced, 1);
    s->write_lazy = rocksdb_writeoptions_create();
}

/* It counts each comparison of keys, a thread at a time, for who would read that: two look-ups of thread-local storage of a
 * shared library for each, some 5 % of what a large write costs. Its own threads are left as they are. */
void store_count_nothing(void) {
    static _Thread_local bool told;
    if (!told) rocksdb_set_perf_level(rocksdb_disable);
    told = true;
}

static void store_close(rdg_kv_t *kv) {
    store_t *s = (store_t *)kv;
    if (s->db) rocksdb_close(s->db);
    if (s->read) rocksdb_readoptions_destroy(s->read);
    if (s->write_synced) rocksdb_writeoptions_destroy(s->write_synced);
    if (s->write_lazy) rocksdb_writeoptions_destroy(s->write_lazy);
    if (s->options) rocksdb_options_destroy(s->options);
    if (s->cache) rocksdb_cache_destroy(s->cache);
    rdg_free(s->path);
    rdg_free(s);
}

static rdg_err_t store_get(rdg_kv_t *kv, const rdg_kv_snapshot_t *snap, rdg_bytes_t key, rdg_buf_t *out) {
    store_t *s = (store_t *)kv;
    char *text = NULL;
    rocksdb_readoptions_t *read = s->read;
    store_count_nothing();
    if (snap) {
        read = rocksdb_readoptions_create();
        rocksdb_readoptions_set_snapshot(read, (const rocksdb_snapshot_t *)(const void *)snap);
    }
    rocksdb_pinnableslice_t *value = rocksdb_get_pinned(s->db, read, (const char *)key.data, key.len, &text);
    if (snap) rocksdb_readoptions_destroy(read);
    if (text) return store_error(text, "read from the store");
    if (!value) return RDG_E_NOT_FOUND;
    size_t len = 0;
    const char *data = rocksdb_pinnableslice_value(value, &len);
    rdg_err_t err = rdg_buf_append(out, data, len);
    rocksdb_pinnableslice_destroy(value);
    return err;
}

/* In the order of the keys: neighbours are put into the memtable with half the misses of the processor's cache. */
static rdg_err_t fill(rocksdb_writebatch_t *w, const rdg_kv_batch_t *b) {
    rdg_kv_sorted_t *rows = NULL;
    size_t count;
    RDG_TRY(rdg_kv_batch_sort(b, &rows, &count));
    for (size_t i = 0; i < count; ++i) store_put_row(w, &rows[i]);
    rdg_free(rows);
    return RDG_OK;
}

static rdg_err_t store_write(rdg_kv_t *kv, const rdg_kv_batch_t *b, bool sync) {
    store_t *s = (store_t *)kv;
    rocksdb_writebatch_t *w = rocksdb_writebatch_create();
    rdg_err_t err = fill(w, b);
    if (err != RDG_OK) {
        rocksdb_writebatch_destroy(w);
        return err;
    }
    char *text = NULL;
    store_count_nothing();
    rocksdb_write(s->db, sync ? s->write_synced : s->write_lazy, w, &text);
    rocksdb_writebatch_destroy(w);
    return text ? store_error(text, "write to the store") : RDG_OK;
}

static rdg_kv_snapshot_t *store_snapshot(rdg_kv_t *kv) {
    return (rdg_kv_snapshot_t *)(uintptr_t)rocksdb_create_snapshot(((store_t *)kv)->db);
}

static void store_release(rdg_kv_t *kv, rdg_kv_snapshot_t *snap) {
    rocksdb_release_snapshot(((store_t *)kv)->db, (const rocksdb_snapshot_t *)(const void *)snap);
}

static void iter_close(rdg_kv_iter_t *base) {
    iterator_t *it = (iterator_t *)base;
    if (it->it) rocksdb_iter_destroy(it->it);
    if (it->read) rocksdb_readoptions_destroy(it->read);
    rdg_free(it->upper);
    rdg_free(it);
}

/* The smallest key behind all keys with the prefix, or nothing when the prefix is all 0xff. */
static rdg_err_t set_upper_bound(iterator_t *it, rdg_bytes_t prefix) {
    size_t len = prefix.len;
    while (len > 0 && prefix.data[len - 1] == 0xff) --len;
    if (len == 0) return RDG_OK;
    it->upper = rdg_memdup(prefix.data, len);
    if (!it->upper) return RDG_E_NO_MEMORY;
    it->upper[len - 1]++;
    rocksdb_readoptions_set_iterate_upper_bound(it->read, (const char *)it->upper, len);
    return RDG_OK;
}

static bool iter_next(rdg_kv_iter_t *base, rdg_bytes_t *key, rdg_bytes_t *value) {
    iterator_t *it = (iterator_t *)base;
    if (it->started && rocksdb_iter_valid(it->it)) rocksdb_iter_next(it->it);
    it->started = true;
    if (!rocksdb_iter_valid(it->it)) return false;
    size_t key_len = 0, value_len = 0;
    const char *k = rocksdb_iter_key(it->it, &key_len), *v = rocksdb_iter_value(it->it, &value_len);
    *key = rdg_bytes(k, key_len);
    *value = rdg_bytes(v, value_len);
    return true;
}

static rdg_err_t iter_err(const rdg_kv_iter_t *base) {
    char *text = NULL;
    rocksdb_iter_get_error(((const iterator_t *)base)->it, &text);
    return text ? store_error(text, "iterate over the store") : RDG_OK;
}

static rdg_err_t store_iter(rdg_kv_t *kv, const rdg_kv_snapshot_t *snap, rdg_bytes_t prefix, rdg_bytes_t from,
                            rdg_kv_iter_t **out) {
    iterator_t *it = rdg_calloc(1, sizeof *it);
    if (!it) return RDG_E_NO_MEMORY;
    it->base.backend = kv->backend;
    it->read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_verify_checksums(it->read, 1);
    if (snap) rocksdb_readoptions_set_snapshot(it->read, (const rocksdb_snapshot_t *)(const void *)snap);
    rdg_err_t err = set_upper_bound(it, prefix);
    if (err != RDG_OK) {
        iter_close(&it->base);
        return err;
    }
    store_count_nothing();
    it->it = rocksdb_create_iterator(((store_t *)kv)->db, it->read);
    rdg_bytes_t start = rdg_bytes_compare(from, prefix) > 0 ? from : prefix;
    if (start.len)
        rocksdb_iter_seek(it->it, (const char *)start.data, start.len);
    else
        rocksdb_iter_seek_to_first(it->it);
    *out = &it->base;
    return RDG_OK;
}

static uint64_t property(store_t *s, const char *name) {
    uint64_t v = 0;
    return rocksdb_property_int(s->db, name, &v) == 0 ? v : 0;
}

static void store_stats(rdg_kv_t *kv, rdg_kv_stats_t *out) {
    store_t *s = (store_t *)kv;
    out->disk_bytes =
        property(s, "rocksdb.total-sst-files-size") + property(s, "rocksdb.cur-size-all-mem-tables");
    out->memory_bytes = property(s, "rocksdb.cur-size-all-mem-tables") +
                        property(s, "rocksdb.estimate-table-readers-mem") +
                        property(s, "rocksdb.block-cache-usage");
    out->keys_estimate = property(s, "rocksdb.estimate-num-keys");
}

static rdg_err_t check_file(const char *dir, const char *name, size_t size) {
    char path[4096];
    struct stat st;
    RDG_TRY(rdg_path_join(path, sizeof path, dir, name[0] == '/' ? name + 1 : name));
    if (stat(path, &st) == 0 && (uint64_t)st.st_size >= size) return RDG_OK;
    return rdg_fail(RDG_E_CORRUPT, "%s is %s", path,
                    access(path, F_OK) == 0 ? "shorter than it was written" : "gone");
}

static rdg_err_t check_named(const store_t *s) {
    static const char *const names[] = {"CURRENT", "IDENTITY"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) RDG_TRY(check_file(s->path, names[i], 1));
    return RDG_OK;
}

/* A table that a compaction replaced since it was listed is gone by right: it counts only if it is still listed. */
static rdg_err_t check_tables(const store_t *s) {
    const rocksdb_livefiles_t *files = rocksdb_livefiles(s->db);
    rdg_err_t err = RDG_OK;
    for (int i = 0; files && err == RDG_OK && i < rocksdb_livefiles_count(files); ++i)
        err = check_file(s->path, rocksdb_livefiles_name(files, i), rocksdb_livefiles_size(files, i));
    if (files) rocksdb_livefiles_destroy(files);
    return err;
}

static rdg_err_t store_check_files(rdg_kv_t *kv) {
    const store_t *s = (const store_t *)kv;
    rdg_err_t err = check_named(s);
    if (err == RDG_OK) err = check_tables(s);
    return err == RDG_OK ? RDG_OK : check_named(s) == RDG_OK ? check_tables(s) : err;
}

/* Tables of the last level that nothing above overlaps stay as they are. Its failures are those of background work, which
 * the next write reports. */
static rdg_err_t store_compact(rdg_kv_t *kv) {
    store_t *s = (store_t *)kv;
    rocksdb_compactoptions_t *o = rocksdb_compactoptions_create();
    rocksdb_compactoptions_set_exclusive_manual_compaction(o, 0);
    rocksdb_compact_range_opt(s->db, o, NULL, 0, NULL, 0);
    rocksdb_compactoptions_destroy(o);
    return RDG_OK;
}

static const rdg_kv_backend_t ROCKSDB = {.close = store_close,
                                         .get = store_get,
                                         .write = store_write,
                                         .write_tables = store_write_tables,
                                         .snapshot = store_snapshot,
                                         .snapshot_release = store_release,
                                         .iter_open = store_iter,
                                         .iter_next = iter_next,
                                         .iter_err = iter_err,
                                         .iter_close = iter_close,
                                         .stats = store_stats,
                                         .check_files = store_check_files,
                                         .compact = store_compact};

static rdg_err_t check_room(const char *path) {
    struct statvfs fs;
    if (statvfs(path, &fs) != 0) return RDG_OK; /* what is wrong there the opening says */
    uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (room >= ROOM_TO_OPEN) return RDG_OK;
    return rdg_fail(RDG_E_DISK_FULL, "%s: %llu KiB are free there, a store needs %d to be opened: make room",
                    path, (unsigned long long)(room >> 10), ROOM_TO_OPEN >> 10);
}

static bool has_suffix(const char *name, const char *suffix) {
    size_t len = strlen(name), end = strlen(suffix);
    return len > end && strcmp(name + len - end, suffix) == 0;
}

/* Without CURRENT RocksDB begins a store anew where it may create one. It refuses when a log is there, but by then has
 * written another CURRENT: the next opening finds a store that knows no table, and deletes them. A store that was never
 * begun to its end has neither logs nor tables. */
static rdg_err_t check_begun(const char *path) {
    bool begun = false;
    char current[4096];
    RDG_TRY(rdg_path_join(current, sizeof current, path, "CURRENT"));
    DIR *d = access(current, F_OK) == 0 ? NULL : opendir(path);
    for (const struct dirent *e; d && !begun && (e = readdir(d));)
        begun = has_suffix(e->d_name, ".log") || has_suffix(e->d_name, ".sst");
    if (d) closedir(d);
    return begun ? rdg_fail(RDG_E_CORRUPT, "%s is gone", current) : RDG_OK;
}

rdg_err_t rdg_kv_open_rocksdb(const char *path, const rdg_kv_options_t *options, rdg_kv_t **out) {
    *out = NULL;
    size_t memory = options && options->memory_bytes ? options->memory_bytes : MEMORY_DEFAULT;
    if (memory < MEMORY_MIN)
        return rdg_fail(RDG_E_INVALID, "store memory of %zu bytes is too little: give at least %d", memory,
                        MEMORY_MIN);
    if (options && options->create) RDG_TRY(rdg_dir_make(path, 0700));
    RDG_TRY(check_begun(path));
    RDG_TRY(check_room(path));
    store_t *s = rdg_calloc(1, sizeof *s);
    if (!s) return RDG_E_NO_MEMORY;
    s->base.backend = &ROCKSDB;
    if (!(s->path = rdg_strdup(path))) {
        rdg_free(s);
        return RDG_E_NO_MEMORY;
    }
    s->options = rocksdb_options_create();
    set_limits(s, memory);
    set_behaviour(s, options && options->create);
    char *text = NULL;
    s->db = rocksdb_open(s->options, path, &text);
    if (!s->db && text && store_bring_table_back(s, text)) {
        rocksdb_free(text);
        text = NULL;
        s->db = rocksdb_open(s->options, path, &text);
    }
    if (!s->db) {
        rdg_err_t err = text ? store_error(text, "open the store") : rdg_fail(RDG_E_IO, "open the store");
        store_close(&s->base);
        return rdg_fail_in(err, "%s", path);
    }
    store_sweep_tables(s);
    *out = &s->base;
    return RDG_OK;
}
