/* The command journal: which commands this device has been given, and how each ended.
 *
 * A record log (record_log.h) in <dir>/commands.log with an index in memory (id, offsets; no bodies).
 *
 * Invariants
 * 1. journal_accept returns only when the command is durable; then the delivery may be acknowledged.
 * 2. An id is accepted once. A later delivery finds its entry and, when it has ended, its final result.
 * 3. A final result is durable before it is sent, and stays unsent until journal_sent.
 * 4. At most JOURNAL_COMMANDS_MAX entries, at most JOURNAL_WAITING_MAX that have not ended (FULL); an ended
 * and sent entry is dropped after JOURNAL_KEEP_MS or, the oldest first, when the journal is full. The file is
 *    compacted when more than half of it is dead. */
#ifndef RIDGE_AGENT_JOURNAL_H
#define RIDGE_AGENT_JOURNAL_H
#include "ridge/base/clock.h"
#include "command.h"

#define JOURNAL_COMMANDS_MAX 10000
#define JOURNAL_WAITING_MAX 1000
#define JOURNAL_KEEP_MS (30ull * 24 * 3600 * 1000)

typedef struct journal journal_t;

rdg_err_t journal_open(const char *path, const rdg_clock_t *clock, journal_t **out);
void journal_close(journal_t *j);

typedef enum journal_verdict {
    JOURNAL_NEW,     /* accepted: execute it */
    JOURNAL_WAITING, /* known and not ended: somebody executes it */
    JOURNAL_ENDED    /* known and ended: *result has its final result */
} journal_verdict_t;

/* text: the command as it arrived. result: appended to, for JOURNAL_ENDED. Thread-safe, as all below. */
rdg_err_t journal_accept(journal_t *j, const command_t *c, rdg_bytes_t text, journal_verdict_t *verdict,
                         rdg_buf_t *result);
/* Stores the final result; the first one wins. NOT_FOUND: no such command. */
rdg_err_t journal_finish(journal_t *j, const char *id, rdg_bytes_t result);
rdg_err_t journal_sent(journal_t *j, const char *id);
/* It was accepted, and has no final result yet. */
bool journal_waits(journal_t *j, const char *id);
/* Text of a command that has been accepted. */
rdg_err_t journal_command(journal_t *j, const char *id, rdg_buf_t *out);
/* Calls fn for every command that has not ended, in the order of acceptance; a nonzero return stops. */
typedef int (*journal_each_fn)(void *ctx, const char *id, rdg_bytes_t text);
rdg_err_t journal_each_waiting(journal_t *j, journal_each_fn fn, void *ctx);
/* The same for final results not yet taken by the broker, at most `limit`. */
rdg_err_t journal_each_unsent(journal_t *j, size_t limit, journal_each_fn fn, void *ctx);
size_t journal_count(journal_t *j);
size_t journal_unsent_count(journal_t *j);

#endif
