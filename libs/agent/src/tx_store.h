/* What the intake has sent and what became of it: a record log <dir>/intake/transactions.log.
 *
 * Invariants
 * 1. A transaction is durable here before it is sent (tx_store_add, then tx_store_sync).
 * 2. Opening gives back the transactions without an end, the numbers of readings that are done with, and the
 * counters.
 * 3. The file is rewritten from memory when it is larger than TX_STORE_COMPACT_BYTES and mostly dead. */
#ifndef RIDGE_AGENT_TX_STORE_H
#define RIDGE_AGENT_TX_STORE_H
#include "metering.h"
#include "ridge/ledger/tx.h"

#define TX_STORE_FLIGHT_MAX 64
#define TX_STORE_COMPACT_BYTES (1u << 20)
/* Numbers above the low mark of which it can be said that they are done: the intake's window. */
#define TX_STORE_WINDOW 8192u

typedef enum tx_outcome {
    TX_CONFIRMED = 1, /* its readings are done with */
    TX_DROPPED = 2    /* never included, or failed: its readings wait again */
} tx_outcome_t;

typedef struct stored_tx {
    rdg_tx_t *tx; /* owned */
    uint8_t meter[METER_BYTES];
    size_t count; /* readings; 0: it registers the meter */
    uint64_t numbers[METERING_BATCH_MAX];
    uint64_t first_sent_us, sent_ms; /* not stored */
} stored_tx_t;

typedef struct tx_store {
    struct record_log *log;
    uint64_t low;                      /* all below are done with */
    uint8_t done[TX_STORE_WINDOW / 8]; /* bit number % TX_STORE_WINDOW, for numbers in [low, low + window) */
    uint64_t submitted, confirmed, refused;
    stored_tx_t *flight[TX_STORE_FLIGHT_MAX]; /* owned */
    size_t flight_count;
    char *path;
} tx_store_t;

rdg_err_t tx_store_open(const char *path, uint64_t first_number, tx_store_t **out);
void tx_store_close(tx_store_t *s);
/* Takes t when it succeeds. FULL. */
rdg_err_t tx_store_add(tx_store_t *s, stored_tx_t *t);
rdg_err_t tx_store_sync(tx_store_t *s);
/* Ends flight[at] and frees it (the last one takes its place). */
rdg_err_t tx_store_end(tx_store_t *s, size_t at, tx_outcome_t outcome);
/* One reading is in refused.log and done with. */
rdg_err_t tx_store_refuse(tx_store_t *s, uint64_t number);
bool tx_store_done(const tx_store_t *s, uint64_t number);
/* Behind every number that it knows something of. */
uint64_t tx_store_behind(const tx_store_t *s);
void tx_store_set_done(tx_store_t *s, uint64_t number);
/* Moves the low mark up over what is done, not beyond end. */
void tx_store_advance(tx_store_t *s, uint64_t end);
rdg_err_t tx_store_compact_if_worth(tx_store_t *s);

#endif
