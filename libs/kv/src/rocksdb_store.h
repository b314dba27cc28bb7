/* What the parts of the RocksDB backend share. */
#ifndef RIDGE_KV_ROCKSDB_STORE_H
#define RIDGE_KV_ROCKSDB_STORE_H
#include <rocksdb/c.h>
#include "kv_backend.h"

typedef struct store {
    rdg_kv_t base;
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_cache_t *cache;
    rocksdb_readoptions_t *read;
    rocksdb_writeoptions_t *write_synced, *write_lazy;
    char *path;
    uint64_t tables; /* made so far, for their names; atomic */
} store_t;

/* Takes RocksDB's text of a failure. */
rdg_err_t store_error(char *text, const char *doing);
/* Before work of this thread in RocksDB. */
void store_count_nothing(void);

/* rocksdb_tables.c */
void store_put_row(rocksdb_writebatch_t *w, const rdg_kv_sorted_t *row);
rdg_err_t store_write_tables(rdg_kv_t *kv, const rdg_kv_batch_t *b, size_t prefix_bytes);
/* Tables that were being made when the power was cut. The store is open, so nobody else makes any. */
void store_sweep_tables(const store_t *s);
/* The store could not be opened, as text says. true: a table that is missing is there again. Another file under its name is
 * found out by RocksDB (size and identity stand in the manifest). */
bool store_bring_table_back(const store_t *s, const char *text);

#endif
