/* ridge-campaign: the verbs of one program that makes chains of node processes, loads them and examines their ledgers.
 *
 *   make   directories of nodes with keys, certificates, genesis and peers: no cloud, no agent
 *   load   meters that send a reading, wait for its receipt, and journal both; what is lost is sent again
 *   dump   a stopped node's ledger, block by block, with everything that proves itself verified
 *
 * The journal and the dump are JSON, one object a line; campaign_check.py compares them. */
#ifndef RIDGE_CAMPAIGN_H
#define RIDGE_CAMPAIGN_H
#include <stdio.h>
#include "ridge/base/config.h"
#include "ridge/codec/json.h"
#include "ridge/ledger/ledger.h"

int campaign_make(int argc, char **argv);
int campaign_load(int argc, char **argv);
int campaign_dump(int argc, char **argv);

/* Ends the program with 1 unless err is RDG_OK. */
void campaign_must(rdg_err_t err, const char *what);

/* --- journal: what was sent and what was acknowledged ------------------------------------------------------ */
typedef struct journal_sent {
    const rdg_tx_t *tx;
    const uint8_t *meter; /* 32 bytes */
    bool reading;         /* false: the meter's registration */
    uint64_t value;
} journal_sent_t;
void journal_sent(FILE *f, const journal_sent_t *sent);
/* receipt: as a node answered it. */
void journal_acknowledged(FILE *f, const rdg_hash_t *id, const json_t *receipt, const char *node);
/* SM3 over address, topics and data of each log, of a receipt as JSON; the same of a decoded receipt. */
rdg_err_t journal_logs_json(const json_t *receipt, rdg_hash_t *out);
rdg_err_t journal_logs(const rdg_receipt_t *receipt, rdg_hash_t *out);

/* --- one block of a dump ----------------------------------------------------------------------------------- */
/* Verifies block, seal, checkpoint certificate, transactions and receipts; replica, if given, executes it again from
 * genesis on and must come to the same result. *out is owned; what does not verify stands in "wrong". spoil: change a bit of that
 * height's seal before (a planted violation). */
void campaign_block(rdg_ledger_t *l, uint64_t height, rdg_ledger_t *replica, uint64_t spoil, json_t **out);

#endif
