/* Urgent records of local programs: durable here before they are taken, and sent to the cloud's collection gateway ahead
 * of everything that is backlog.
 *
 *   POST /v1/records ──► spool (spool.h) ──► POST /v1/records of service `collect` ──► dropped when the cloud has them
 *
 * Invariants
 * 1. records_put returns after its records are durable: all of a call, or none when one is refused.
 * 2. A record leaves by the cloud's 200 only: stored there, known there already, or refused there for good (logged).
 * 3. They are sent in the order in which they were taken, a batch at a time, on a connection of their own: no file, however
 *    large, is ahead of them. After a crash some come again; the cloud knows them by their ids.
 * 4. Back-pressure: FULL when the budget is used up; Retry-After of the cloud is honoured, else 0.25 s to a minute.
 * Thread-safe. */
#ifndef RIDGE_AGENT_RECORDS_H
#define RIDGE_AGENT_RECORDS_H
#include "ridge/codec/json.h"
#include "spool.h"

#define RECORDS_BATCH_BYTES (96u << 10)
#define RECORDS_BATCH_MAX 100
#define RECORDS_TEXT_MAX (32u << 10) /* of one */

typedef struct records records_t;

typedef struct records_options {
    const char *dir; /* of the spool */
    uint64_t max_bytes;
    const char *socket; /* local socket of service `collect`; borrowed */
} records_options_t;

rdg_err_t records_start(const records_options_t *o, records_t **out);
/* One record {"id","kind","time_ms"?,"data"}, or an array of 1 to RECORDS_BATCH_MAX; id and kind by rdg_name_valid; time_ms:
 * now when absent. *taken: how many. INVALID and TOO_LARGE name the record; FULL. NULL is UNAVAILABLE. */
rdg_err_t records_put(records_t *r, const json_t *records, size_t *taken);
/* The link is up: what a broken one has delayed is due. NULL is fine. */
void records_up(records_t *r);
void records_stats(records_t *r, spool_stats_t *out); /* zeroes for NULL */
/* Begins nothing more; a request that waits for the cloud ends when the link is stopped, so: halt, uplink_stop, free. */
void records_halt(records_t *r);
void records_free(records_t *r); /* joins; NULL is fine */

#endif
