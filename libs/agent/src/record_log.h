/* An append-only file of checksummed records: what the command journal and the intake are kept in.
 *
 * Form: records one after another, each [magic u32][length u32][CRC-32C of type and payload u32][type u8]
 * [payload], big-endian.
 *
 * Invariants
 * 1. A record is durable when rdg_record_log_sync returned after its append. A failed append leaves the file
 *    as it was.
 * 2. Opening replays every whole record in order. What does not end in a whole record (a torn write) is cut
 *    off. Damage with whole records behind it is stepped over, counted and logged: a flipped bit costs the
 *    records it touches, not the rest.
 * 3. No record is larger than RECORD_MAX.
 * Not thread-safe, except that sync may run beside append. */
#ifndef RIDGE_AGENT_RECORD_LOG_H
#define RIDGE_AGENT_RECORD_LOG_H
#include "ridge/base/buf.h"

#define RECORD_MAX (2u << 20)
#define RECORD_HEAD_BYTES 13u

typedef struct record_log record_log_t;

/* offset names the record for record_log_read. An error stops the opening. */
typedef rdg_err_t (*record_visit_fn)(void *ctx, uint8_t type, rdg_bytes_t payload, uint64_t offset);

/* Creates the file when absent (durably). visit may be NULL. Returns owned. */
rdg_err_t record_log_open(const char *path, record_visit_fn visit, void *ctx, record_log_t **out);
void record_log_close(record_log_t *l); /* NULL is fine; no sync */
rdg_err_t record_log_append(record_log_t *l, uint8_t type, rdg_bytes_t payload, uint64_t *offset);
rdg_err_t record_log_sync(record_log_t *l);
/* The payload is appended to out. CORRUPT if it does not hold any more. */
rdg_err_t record_log_read(record_log_t *l, uint64_t offset, uint8_t *type, rdg_buf_t *out);
uint64_t record_log_size(const record_log_t *l);
uint64_t record_log_damaged(const record_log_t *l); /* bytes stepped over when it was opened */
/* Takes the file of `from` in place of l's and frees `from`: the end of a compaction. Durable when it returns, or with
 * the next sync that succeeds; on an error l is as it was. */
rdg_err_t record_log_replace(record_log_t *l, record_log_t *from);

uint32_t rdg_crc32c(uint32_t crc, const void *data, size_t len);

#endif
