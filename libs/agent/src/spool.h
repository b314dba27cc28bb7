/* Messages that wait on this device's disk for the cloud, oldest first, within a byte budget.
 *
 *   <dir>/<number, 16 hex>.log   segments (record_log.h); a payload is one message
 *
 * Invariants
 * 1. spool_put returns after its messages are durable. When it fails for another reason than FULL, some of them may be
 *    there all the same.
 * 2. The bytes of all segments stay within max_bytes. A spool that drops gives its oldest segment for new messages and
 *    counts what that lost; any other says FULL and takes nothing.
 * 3. A message goes after spool_drop, with its segment. After a crash some that were dropped come again: whoever gets
 *    them has to know them by a name of theirs.
 * Limits: SPOOL_MESSAGE_MAX bytes a message, SPOOL_SEGMENTS_MAX segments. Thread-safe; peek and drop are one thread's. */
#ifndef RIDGE_AGENT_SPOOL_H
#define RIDGE_AGENT_SPOOL_H
#include "ridge/base/buf.h"

#define SPOOL_MESSAGE_MAX (64u << 10)
#define SPOOL_SEGMENTS_MAX 1024
#define SPOOL_PEEK_MAX 128

typedef struct spool spool_t;

typedef struct spool_options {
    const char *dir;
    uint64_t max_bytes;
    bool drops; /* the oldest go when it is full */
} spool_options_t;

typedef struct spool_stats {
    uint64_t items, bytes, max_bytes, lost; /* items: of this process's knowledge, damage left out */
} spool_stats_t;

rdg_err_t spool_open(const spool_options_t *o, spool_t **out);
void spool_close(spool_t *s); /* NULL is fine */
rdg_err_t spool_put(spool_t *s, const rdg_bytes_t *messages, size_t count);
/* The oldest, at most max and about max_bytes of them (but one at least), in out, which is cleared before; views into
 * it in messages. RDG_OK with 0: none. */
rdg_err_t spool_peek(spool_t *s, size_t max_bytes, size_t max, rdg_buf_t *out, rdg_bytes_t *messages,
                     size_t *count);
void spool_drop(spool_t *s); /* those that the last peek gave are done with */
void spool_stats(spool_t *s, spool_stats_t *out);

#endif
