/* A chain of one validator and three administrators whose keys the test holds: what the cloud would build from archives. */
#ifndef BAAS_TEST_LOST_CHAIN_H
#define BAAS_TEST_LOST_CHAIN_H
#include "kit.h"
#include "ridge/ledger/ledger.h"

enum { LOST_CHAIN_ID = 7312, LOST_LAST = 3, LOST_KEYS = 9 };

/* 1 to LOST_KEYS; borrowed. 1 validates, 7 to 9 administer. */
rdg_sm2_key_t *lost_key(uint8_t n);
void lost_genesis(rdg_genesis_t *g, rdg_buf_t *text); /* text: as JSON, with a 0 at its end */
/* Blocks 1 to LOST_LAST with their certificates, into a directory; so many administrators must agree. */
void lost_ledger(const char *path, int threshold);
/* The chain service with a main chain that nobody reaches, and chain "c" on dev-1, which is that chain: its blocks up to
 * LOST_LAST are archived and anchored. */
void lost_open(kit_t *k);
void lost_sql(kit_t *k, const char *statement);

#endif
