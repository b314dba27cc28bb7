/* A ledger of readings in the Metering contract, as one validator makes it, as fast as the ledger takes blocks. */
#ifndef RIDGE_BENCH_READINGS_H
#define RIDGE_BENCH_READINGS_H
#include "quick_sign.h"
#include "ridge/ledger/ledger.h"

#define READINGS_METERS_MAX 250
#define READINGS_BLOCK_TXS 500

typedef struct readings {
    rdg_sm2_key_t *key;    /* of the one validator, and its genesis: the caller's */
    rdg_genesis_t genesis; /* before readings_open */
    rdg_ledger_t *ledger;
    quick_signer_t sender;
    rdg_address_t contract;
    uint64_t nonce, time;
    unsigned meters;
    rdg_buf_t proposal, certificate;
} readings_t;

void readings_open(readings_t *r, const char *dir);
/* The contract, from its artefact, and the meters: 1 + meters blocks. */
void readings_deploy(readings_t *r, const char *artefact, unsigned meters);
/* Blocks of READINGS_BLOCK_TXS transactions of so many readings of one meter, each signed, executed, sealed and certified;
 * behind each call stand so many bytes that nothing reads and nothing packs. */
void readings_fill(readings_t *r, uint64_t blocks, unsigned readings, unsigned padding);
void readings_close(readings_t *r); /* key and genesis stay */

#endif
