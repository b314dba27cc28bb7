/* What tests of pruning share: receipts that a collector would give, and what has to hold after a cut. */
#ifndef RIDGE_LEDGER_TEST_PRUNE_SUPPORT_H
#define RIDGE_LEDGER_TEST_PRUNE_SUPPORT_H
#include "archive_file.h"

enum { PRUNE_COLLECTOR = 7, PRUNE_STRANGER = 6 };

rdg_sm2_public_t prune_key(uint8_t n);
rdg_archive_receipt_t prune_truth(rdg_ledger_t *l, uint64_t from, uint64_t to);
/* The ledger knows the collector's key, and key 8. */
rdg_err_t prune_as(rdg_ledger_t *l, uint64_t below, const rdg_archive_receipt_t *r, uint8_t signer,
                   rdg_prune_result_t *out);
rdg_err_t prune(rdg_ledger_t *l, uint64_t from, uint64_t to, uint64_t below, rdg_prune_result_t *out);
bool prune_has_body(rdg_ledger_t *l, uint64_t height);
/* Nothing is gone that no receipt covers, and the mark is not ahead of its receipt; the mark. */
uint64_t prune_check_after_a_cut(rdg_ledger_t *l, uint64_t head);

#endif
