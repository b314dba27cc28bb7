#include "journal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/list.h"
#include "ridge/base/log.h"
#include "ridge/base/map.h"
#include "record_log.h"
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define COMPACT_MIN_BYTES (256u << 10)

/* Payloads: COMMAND [time u64][id len u8][id][text], FINAL likewise with the result, SENT [time][id len][id].
 */
enum { RECORD_COMMAND = 1, RECORD_FINAL = 2, RECORD_SENT = 3 };

typedef struct entry {
    rdg_list_t link;               /* in order of acceptance */
    uint64_t command_at, final_at; /* offsets; valid by the flags */
    uint64_t ended_ms;
    uint32_t bytes; /* of its live records in the file */
    bool has_command, ended, sent;
    char id[]; /* NUL-terminated */
} entry_t;

struct journal {
    pthread_mutex_t lock;
    const rdg_clock_t *clock;
    char *path;
    record_log_t *log;
    rdg_map_t *index;
    rdg_list_t entries;
    size_t waiting, unsent;
    uint64_t live_bytes;
};

static entry_t *find(journal_t *j, const char *id) {
    return rdg_map_get(j->index, rdg_bytes_str(id));
}

static entry_t *add(journal_t *j, const char *id) {
    size_t len = strlen(id);
    entry_t *e = rdg_calloc(1, sizeof *e + len + 1);
    if (!e) return NULL;
    memcpy(e->id, id, len);
    if (rdg_map_put(j->index, rdg_bytes_str(id), e, NULL) != RDG_OK) {
        rdg_free(e);
        return NULL;
    }
    rdg_list_append(&j->entries, &e->link);
    ++j->waiting;
    return e;
}

static void drop(journal_t *j, entry_t *e) {
    (void)rdg_map_remove(j->index, rdg_bytes_str(e->id));
    rdg_list_remove(&e->link);
    j->waiting -= !e->ended;
    j->unsent -= e->ended && !e->sent;
    j->live_bytes -= e->bytes;
    rdg_free(e);
}

static void mark_ended(journal_t *j, entry_t *e, uint64_t at, uint64_t time_ms, size_t bytes) {
    e->ended = true;
    e->final_at = at;
    e->ended_ms = time_ms;
    /* The command's own text is dead weight once it has ended. */
    j->live_bytes -= e->bytes;
    e->bytes = (uint32_t)bytes;
    j->live_bytes += e->bytes;
    e->has_command = false;
    --j->waiting;
    ++j->unsent;
}

static rdg_err_t encode(uint64_t time_ms, const char *id, rdg_bytes_t text, rdg_buf_t *out) {
    size_t len = strlen(id);
    rdg_buf_u64(out, time_ms);
    rdg_buf_u8(out, (uint8_t)len);
    rdg_buf_append(out, id, len);
    return rdg_buf_append(out, text.data, text.len);
}

static rdg_err_t append(record_log_t *log, uint8_t type, uint64_t time_ms, const char *id, rdg_bytes_t text,
                        uint64_t *at, size_t *bytes) {
    rdg_buf_t b;
    rdg_buf_init(&b, RECORD_MAX);
    rdg_err_t err = encode(time_ms, id, text, &b);
    if (err == RDG_OK) err = record_log_append(log, type, rdg_buf_view(&b), at);
    if (bytes) *bytes = RECORD_HEAD_BYTES + b.len;
    rdg_buf_fini(&b);
    return err;
}

static bool decode(rdg_bytes_t payload, uint64_t *time_ms, char id[COMMAND_ID_MAX + 1], rdg_bytes_t *text) {
    rdg_reader_t r;
    rdg_reader_init(&r, payload);
    *time_ms = rdg_read_u64(&r);
    size_t len = rdg_read_u8(&r);
    if (len > COMMAND_ID_MAX) return false;
    rdg_read_copy(&r, id, len);
    id[len] = '\0';
    *text = rdg_read_rest(&r);
    return rdg_reader_ok(&r) && len > 0;
}

/* The file has more than the index had: what was dropped goes from it with the next compaction only. The oldest were
 * dropped first then, and are now. Some commands have ended: not so many may wait. */
static void make_room(journal_t *j) {
    entry_t *oldest = NULL;
    RDG_LIST_EACH(it, &j->entries) {
        entry_t *e = RDG_LIST_ENTRY(it, entry_t, link);
        if (e->ended && (e->sent || !oldest)) oldest = e;
        if (e->ended && e->sent) break;
    }
    if (oldest) drop(j, oldest);
}

static rdg_err_t replayed(void *ctx, uint8_t type, rdg_bytes_t payload, uint64_t offset) {
    journal_t *j = ctx;
    char id[COMMAND_ID_MAX + 1];
    uint64_t time_ms;
    rdg_bytes_t text;
    size_t bytes = RECORD_HEAD_BYTES + payload.len;
    if (!decode(payload, &time_ms, id, &text)) {
        rdg_log(RDG_LOG_WARN, "journal.unknown_record", RDG_U64("offset", offset));
        return RDG_OK;
    }
    entry_t *e = find(j, id);
    if (!e && type != RECORD_SENT && rdg_map_count(j->index) >= JOURNAL_COMMANDS_MAX) make_room(j);
    /* FINAL without COMMAND: a compacted entry, or one whose command was damaged. Either way it has ended. */
    if (!e && type != RECORD_SENT && !(e = add(j, id)))
        return rdg_fail(RDG_E_NO_MEMORY, "no memory for the index of %s", j->path);
    if (type == RECORD_COMMAND && !e->has_command && !e->ended) {
        e->has_command = true;
        e->command_at = offset;
        e->bytes = (uint32_t)bytes;
        j->live_bytes += bytes;
    } else if (type == RECORD_FINAL && !e->ended) {
        mark_ended(j, e, offset, time_ms, bytes);
    } else if (type == RECORD_SENT && e && e->ended && !e->sent) {
        e->sent = true;
        --j->unsent;
    }
    return RDG_OK;
}

rdg_err_t journal_open(const char *path, const rdg_clock_t *clock, journal_t **out) {
    journal_t *j = rdg_calloc(1, sizeof *j);
    if (!j) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the command journal");
    pthread_mutex_init(&j->lock, NULL);
    rdg_list_init(&j->entries);
    j->clock = clock;
    j->path = rdg_strdup(path);
    /* One more than the limit: a finished one may be dropped only after its successor is in. */
    j->index = rdg_map_new(JOURNAL_COMMANDS_MAX + 1);
    rdg_err_t err =
        j->path && j->index ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for the command journal");
    if (err == RDG_OK) err = record_log_open(path, replayed, j, &j->log);
    if (err != RDG_OK) {
        journal_close(j);
        return rdg_fail_in(err, "command journal");
    }
    *out = j;
    return RDG_OK;
}

void journal_close(journal_t *j) {
    if (!j) return;
    RDG_LIST_EACH_SAFE(it, &j->entries) rdg_free(RDG_LIST_ENTRY(it, entry_t, link));
    rdg_map_free(j->index);
    record_log_close(j->log);
    rdg_free(j->path);
    pthread_mutex_destroy(&j->lock);
    rdg_free(j);
}

static void drop_old(journal_t *j) {
    uint64_t now = rdg_wall_ms(j->clock);
    RDG_LIST_EACH_SAFE(it, &j->entries) {
        entry_t *e = RDG_LIST_ENTRY(it, entry_t, link);
        bool old = e->ended_ms + JOURNAL_KEEP_MS < now || rdg_map_count(j->index) >= JOURNAL_COMMANDS_MAX;
        if (!old) break;
        if (e->ended && e->sent) drop(j, e);
    }
}

/* Copies what is live into `to`. New offsets go to the entries only once all is written, in a second pass. */
static rdg_err_t copy_live(journal_t *j, record_log_t *to, uint64_t *offsets) {
    rdg_buf_t b;
    rdg_err_t err = RDG_OK;
    size_t i = 0;
    rdg_buf_init(&b, RECORD_MAX + 16);
    RDG_LIST_EACH(it, &j->entries) {
        entry_t *e = RDG_LIST_ENTRY(it, entry_t, link);
        uint8_t type;
        rdg_buf_clear(&b);
        if (err == RDG_OK) err = record_log_read(j->log, e->ended ? e->final_at : e->command_at, &type, &b);
        if (err == RDG_OK) err = record_log_append(to, type, rdg_buf_view(&b), &offsets[i++]);
        if (err == RDG_OK && e->sent)
            err = append(to, RECORD_SENT, e->ended_ms, e->id, rdg_bytes(NULL, 0), NULL, NULL);
    }
    rdg_buf_fini(&b);
    return err;
}

static rdg_err_t compact(journal_t *j) {
    char path[PATH_MAX];
    record_log_t *fresh = NULL;
    if (snprintf(path, sizeof path, "%s.new", j->path) >= (int)sizeof path)
        return rdg_fail(RDG_E_TOO_LARGE, "%s is too long a path", j->path);
    RDG_TRY(rdg_tree_remove(path, NULL)); /* of a compaction that was cut short */
    uint64_t *offsets = rdg_calloc(rdg_map_count(j->index) + 1, sizeof *offsets);
    rdg_err_t err = offsets ? record_log_open(path, NULL, NULL, &fresh) : RDG_E_NO_MEMORY;
    if (err == RDG_OK) err = copy_live(j, fresh, offsets);
    if (err == RDG_OK) {
        err = record_log_replace(j->log, fresh);
        fresh = NULL;
    }
    size_t i = 0;
    if (err == RDG_OK) RDG_LIST_EACH(it, &j->entries) {
            entry_t *e = RDG_LIST_ENTRY(it, entry_t, link);
            *(e->ended ? &e->final_at : &e->command_at) = offsets[i++];
        }
    record_log_close(fresh);
    rdg_free(offsets);
    return err;
}

static void compact_if_worth(journal_t *j) {
    uint64_t size = record_log_size(j->log);
    if (size < COMPACT_MIN_BYTES || size / 2 < j->live_bytes) return;
    rdg_err_t err = compact(j);
    if (err != RDG_OK) rdg_log_err("journal.compaction_failed", err);
}

static rdg_err_t accept_new(journal_t *j, const command_t *c, rdg_bytes_t text) {
    if (j->waiting >= JOURNAL_WAITING_MAX)
        return rdg_fail(RDG_E_FULL,
                        "%d commands wait on this device: send fewer, or wait until some have ended",
                        JOURNAL_WAITING_MAX);
    drop_old(j);
    if (rdg_map_count(j->index) >= JOURNAL_COMMANDS_MAX)
        return rdg_fail(RDG_E_FULL, "%d commands of this device have results that the broker has not taken",
                        JOURNAL_COMMANDS_MAX);
    uint64_t at;
    size_t bytes;
    RDG_TRY(append(j->log, RECORD_COMMAND, rdg_wall_ms(j->clock), c->id, text, &at, &bytes));
    RDG_TRY(record_log_sync(j->log));
    entry_t *e = add(j, c->id);
    if (!e) return rdg_fail(RDG_E_NO_MEMORY, "no memory for command %s", c->id);
    e->has_command = true;
    e->command_at = at;
    e->bytes = (uint32_t)bytes;
    j->live_bytes += bytes;
    compact_if_worth(j);
    return RDG_OK;
}

static rdg_err_t read_text(journal_t *j, uint64_t at, rdg_buf_t *out) {
    rdg_buf_t b;
    uint8_t type;
    char id[COMMAND_ID_MAX + 1];
    uint64_t time_ms;
    rdg_bytes_t text;
    rdg_buf_init(&b, RECORD_MAX + 16);
    rdg_err_t err = record_log_read(j->log, at, &type, &b);
    if (err == RDG_OK && !decode(rdg_buf_view(&b), &time_ms, id, &text))
        err = rdg_fail(RDG_E_CORRUPT, "%s has a record without an id", j->path);
    if (err == RDG_OK) err = rdg_buf_append(out, text.data, text.len);
    rdg_buf_fini(&b);
    return err;
}

rdg_err_t journal_accept(journal_t *j, const command_t *c, rdg_bytes_t text, journal_verdict_t *verdict,
                         rdg_buf_t *result) {
    rdg_err_t err;
    pthread_mutex_lock(&j->lock);
    entry_t *e = find(j, c->id);
    if (!e) {
        *verdict = JOURNAL_NEW;
        err = accept_new(j, c, text);
    } else if (e->ended) {
        *verdict = JOURNAL_ENDED;
        err = read_text(j, e->final_at, result);
    } else {
        *verdict = JOURNAL_WAITING;
        err = RDG_OK;
    }
    pthread_mutex_unlock(&j->lock);
    return err;
}

rdg_err_t journal_finish(journal_t *j, const char *id, rdg_bytes_t result) {
    rdg_err_t err = RDG_OK;
    uint64_t at, now = rdg_wall_ms(j->clock);
    size_t bytes;
    pthread_mutex_lock(&j->lock);
    entry_t *e = find(j, id);
    if (!e) err = rdg_fail(RDG_E_NOT_FOUND, "no command %s", id);
    if (err == RDG_OK && !e->ended) {
        err = append(j->log, RECORD_FINAL, now, id, result, &at, &bytes);
        if (err == RDG_OK) err = record_log_sync(j->log);
        if (err == RDG_OK) mark_ended(j, e, at, now, bytes);
    }
    pthread_mutex_unlock(&j->lock);
    return err;
}

rdg_err_t journal_sent(journal_t *j, const char *id) {
    rdg_err_t err = RDG_OK;
    pthread_mutex_lock(&j->lock);
    entry_t *e = find(j, id);
    if (e && e->ended && !e->sent) {
        /* Not synced: should it be lost, the result is sent once more, which the cloud expects anyway. */
        err = append(j->log, RECORD_SENT, rdg_wall_ms(j->clock), id, rdg_bytes(NULL, 0), NULL, NULL);
        e->sent = true;
        --j->unsent;
    }
    pthread_mutex_unlock(&j->lock);
    return err;
}

bool journal_waits(journal_t *j, const char *id) {
    pthread_mutex_lock(&j->lock);
    const entry_t *e = find(j, id);
    bool waits = e && !e->ended;
    pthread_mutex_unlock(&j->lock);
    return waits;
}

rdg_err_t journal_command(journal_t *j, const char *id, rdg_buf_t *out) {
    pthread_mutex_lock(&j->lock);
    entry_t *e = find(j, id);
    rdg_err_t err = e && e->has_command ? read_text(j, e->command_at, out)
                                        : rdg_fail(RDG_E_NOT_FOUND, "command %s is not waiting", id);
    pthread_mutex_unlock(&j->lock);
    return err;
}

static rdg_err_t each(journal_t *j, bool unsent, size_t limit, journal_each_fn fn, void *ctx) {
    rdg_buf_t text;
    rdg_err_t err = RDG_OK;
    int stop = 0;
    rdg_buf_init(&text, RECORD_MAX);
    pthread_mutex_lock(&j->lock);
    RDG_LIST_EACH(it, &j->entries) {
        entry_t *e = RDG_LIST_ENTRY(it, entry_t, link);
        bool wanted = unsent ? e->ended && !e->sent : !e->ended && e->has_command;
        if (!wanted) continue;
        if (limit-- == 0 || stop) break;
        rdg_buf_clear(&text);
        err = read_text(j, unsent ? e->final_at : e->command_at, &text);
        if (err != RDG_OK) break;
        stop = fn(ctx, e->id, rdg_buf_view(&text));
    }
    pthread_mutex_unlock(&j->lock);
    rdg_buf_fini(&text);
    return err;
}

rdg_err_t journal_each_waiting(journal_t *j, journal_each_fn fn, void *ctx) {
    return each(j, false, JOURNAL_COMMANDS_MAX, fn, ctx);
}

rdg_err_t journal_each_unsent(journal_t *j, size_t limit, journal_each_fn fn, void *ctx) {
    return each(j, true, limit, fn, ctx);
}

size_t journal_count(journal_t *j) {
    pthread_mutex_lock(&j->lock);
    size_t n = rdg_map_count(j->index);
    pthread_mutex_unlock(&j->lock);
    return n;
}

size_t journal_unsent_count(journal_t *j) {
    pthread_mutex_lock(&j->lock);
    size_t n = j->unsent;
    pthread_mutex_unlock(&j->lock);
    return n;
}
