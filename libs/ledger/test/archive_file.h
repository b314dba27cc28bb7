/* Segments of the test's chain. */
#ifndef RIDGE_LEDGER_TEST_ARCHIVE_FILE_H
#define RIDGE_LEDGER_TEST_ARCHIVE_FILE_H
#include "archive_forge.h"
#include "chain.h"

void archive_of(const chain_t *c, uint64_t from, uint64_t to, const rdg_archive_key_t *key,
                memory_file_t *out);
/* open, trust, verify */
rdg_err_t archive_prove(const memory_file_t *f, const rdg_genesis_t *g, rdg_archive_report_t *report);

/* archive_forge_by the first of the test's keys. */
void archive_forge(const memory_file_t *truth, const lie_t *lie, memory_file_t *out);

#endif
