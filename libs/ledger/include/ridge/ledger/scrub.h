/* Reads again what a ledger has stored, step by step, so that damage is found before somebody asks for what is damaged.
 *
 * One pass: the files of the store that must be there; every block that has a body (its record's checksum, that
 * it is the block of its header, that header, parent and hash fit together); every key of the store (RocksDB's own
 * checksums). What is in memory is not read from the disk again, so a table that is in use may pass until
 * it is needed; a file that is gone or shorter is found in any case. The state root is compared when a ledger is opened.
 *
 * Errors: CORRUPT names file, block or place; others are the store's. Threads: one at a time; beside everything that a
 * ledger does. */
#ifndef RIDGE_LEDGER_SCRUB_H
#define RIDGE_LEDGER_SCRUB_H
#include "ridge/ledger/ledger.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdg_scrub rdg_scrub_t;
/* Borrows l. Returns owned. */
rdg_err_t rdg_scrub_new(rdg_ledger_t *l, rdg_scrub_t **out);
void rdg_scrub_free(rdg_scrub_t *s); /* NULL is fine */
/* Reads some `bytes` more (a block at least). *passed: that was the end of a pass; the next call begins another. */
rdg_err_t rdg_scrub_step(rdg_scrub_t *s, size_t bytes, bool *passed);

#ifdef __cplusplus
}
#endif
#endif
