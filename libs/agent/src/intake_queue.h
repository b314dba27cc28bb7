/* The durable queue of readings: segments of records on disk, numbered readings, one consumer.
 *
 * A segment is a record log "seg-<number of its first reading, 16 hex>.log"; a record holds the readings of
 * one call: [first u64][count u16] and per reading [meter len u8][meter][time u64][value u64], big-endian.
 *
 * Invariants
 * 1. queue_append returns after its readings are durable; several callers share one fdatasync.
 * 2. The bytes of all segments never pass max_bytes: FULL, and nothing is taken.
 * 3. Numbers grow by one and are never used twice, also across restarts. A gap is damage (record_log.h). */
#ifndef RIDGE_AGENT_INTAKE_QUEUE_H
#define RIDGE_AGENT_INTAKE_QUEUE_H
#include "reading.h"

#define QUEUE_SEGMENT_BYTES (1u << 20)
#define QUEUE_SEGMENTS_MAX 256

typedef struct intake_queue intake_queue_t;

/* Sees every reading found on disk, in order. */
typedef void (*queue_visit_fn)(void *ctx, uint64_t number, const reading_t *r);
rdg_err_t queue_open(const char *dir, uint64_t max_bytes, queue_visit_fn visit, void *ctx,
                     intake_queue_t **out);
void queue_close(intake_queue_t *q);
/* FULL when `count` more readings do not fit: lets a caller look before it changes anything. */
rdg_err_t queue_room(intake_queue_t *q, size_t count);
/* Writes; durable only after queue_commit of the returned number. */
rdg_err_t queue_write(intake_queue_t *q, const reading_t *readings, size_t count, uint64_t *end);
rdg_err_t queue_commit(intake_queue_t *q, uint64_t end);
/* The next durable record, at most max readings (RDG_OK with *count 0: none yet, or it has more than max).
 * The first reading's number goes to *first. */
rdg_err_t queue_next(intake_queue_t *q, reading_t *out, size_t max, size_t *count, uint64_t *first);
/* Readings below `number` are done with: their segments go. */
rdg_err_t queue_release(intake_queue_t *q, uint64_t number);
/* No reading gets a number below this one any more. */
void queue_begin_at(intake_queue_t *q, uint64_t number);
uint64_t queue_bytes(intake_queue_t *q);
uint64_t queue_end(intake_queue_t *q);   /* number of the next reading */
uint64_t queue_first(intake_queue_t *q); /* of the oldest segment */

#endif
