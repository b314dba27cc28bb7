#include "spool.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "record_log.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"

#define MESSAGE 1
#define SEGMENT_MIN (16u << 10)
#define SEGMENT_MAX (128u << 10)
#define SEGMENTS_A_BUDGET 16

typedef struct segment {
    uint64_t number, items;
    record_log_t *log;
} segment_t;

struct spool {
    char dir[PATH_MAX];
    uint64_t max_bytes, segment_bytes, next, lost;
    bool drops;
    pthread_mutex_t lock;
    segment_t segments[SPOOL_SEGMENTS_MAX];
    size_t count;
    uint64_t at, peeked; /* offsets in the first segment: not done with; behind the last peek */
    uint64_t gone, peeked_items;
    uint64_t peeked_segment;
};

static rdg_err_t path_of(const spool_t *s, uint64_t number, char out[PATH_MAX]) {
    char name[32];
    snprintf(name, sizeof name, "%016" PRIx64 ".log", number);
    return rdg_path_join(out, PATH_MAX, s->dir, name);
}

static rdg_err_t count_item(void *ctx, uint8_t type, rdg_bytes_t payload, uint64_t offset) {
    segment_t *g = ctx;
    (void)payload, (void)offset;
    g->items += type == MESSAGE;
    return RDG_OK;
}

static rdg_err_t add_segment(spool_t *s, uint64_t number) {
    char path[PATH_MAX];
    if (s->count == SPOOL_SEGMENTS_MAX)
        return rdg_fail(RDG_E_FULL, "%s has %d files", s->dir, SPOOL_SEGMENTS_MAX);
    RDG_TRY(path_of(s, number, path));
    segment_t *g = &s->segments[s->count];
    *g = (segment_t){.number = number};
    RDG_TRY(record_log_open(path, count_item, g, &g->log));
    ++s->count;
    if (number >= s->next) s->next = number + 1;
    return RDG_OK;
}

static int by_number(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static rdg_err_t open_all(spool_t *s) {
    uint64_t numbers[SPOOL_SEGMENTS_MAX];
    size_t n = 0;
    DIR *d = opendir(s->dir);
    if (!d) return rdg_fail_errno(errno, "cannot list %s", s->dir);
    for (struct dirent *e; (e = readdir(d)) && n < SPOOL_SEGMENTS_MAX;)
        if (strspn(e->d_name, "0123456789abcdef") == 16 && strcmp(e->d_name + 16, ".log") == 0)
            numbers[n++] = strtoull(e->d_name, NULL, 16);
    closedir(d);
    qsort(numbers, n, sizeof numbers[0], by_number);
    for (size_t i = 0; i < n; ++i) RDG_TRY(add_segment(s, numbers[i]));
    return n > 0 ? RDG_OK : add_segment(s, 1);
}

rdg_err_t spool_open(const spool_options_t *o, spool_t **out) {
    spool_t *s = rdg_calloc(1, sizeof *s);
    if (!s) return rdg_fail(RDG_E_NO_MEMORY, "no memory for %s", o->dir);
    pthread_mutex_init(&s->lock, NULL);
    s->max_bytes = o->max_bytes;
    s->drops = o->drops;
    s->segment_bytes = o->max_bytes / SEGMENTS_A_BUDGET;
    if (s->segment_bytes < SEGMENT_MIN) s->segment_bytes = SEGMENT_MIN;
    if (s->segment_bytes > SEGMENT_MAX) s->segment_bytes = SEGMENT_MAX;
    bool fits = snprintf(s->dir, sizeof s->dir, "%s", o->dir) < (int)sizeof s->dir - 40;
    rdg_err_t err =
        fits ? rdg_dir_make(o->dir, 0700) : rdg_fail(RDG_E_TOO_LARGE, "%s is too long a path", o->dir);
    if (err == RDG_OK) err = open_all(s);
    if (err == RDG_OK)
        *out = s;
    else
        spool_close(s);
    return err;
}

void spool_close(spool_t *s) {
    if (!s) return;
    for (size_t i = 0; i < s->count; ++i) record_log_close(s->segments[i].log);
    pthread_mutex_destroy(&s->lock);
    rdg_free(s);
}

static uint64_t used(const spool_t *s) {
    uint64_t n = 0;
    for (size_t i = 0; i < s->count; ++i) n += record_log_size(s->segments[i].log);
    return n;
}

static void drop_first(spool_t *s) {
    char path[PATH_MAX];
    if (path_of(s, s->segments[0].number, path) == RDG_OK) (void)unlink(path);
    record_log_close(s->segments[0].log);
    memmove(&s->segments[0], &s->segments[1], (--s->count) * sizeof s->segments[0]);
    s->at = s->peeked = 0;
    s->gone = s->peeked_items = 0;
}

/* --- putting ----------------------------------------------------------------------------------------------- */

/* The oldest segment that is not being written to, if there is one. */
static bool give_up_oldest(spool_t *s) {
    if (!s->drops || s->count < 2) return false;
    uint64_t lost = s->segments[0].items - s->gone;
    s->lost += lost;
    rdg_log(RDG_LOG_WARN, "spool.dropped", RDG_STR("dir", s->dir), RDG_U64("messages", lost));
    drop_first(s);
    return true;
}

static rdg_err_t make_room(spool_t *s, uint64_t bytes) {
    segment_t *last = &s->segments[s->count - 1];
    if (record_log_size(last->log) >= s->segment_bytes) RDG_TRY(add_segment(s, s->next));
    while (used(s) + bytes > s->max_bytes)
        if (!give_up_oldest(s))
            return rdg_fail(RDG_E_FULL,
                            "%s holds %" PRIu64 " of %" PRIu64
                            " bytes: send again when the cloud has taken some",
                            s->dir, used(s), s->max_bytes);
    return RDG_OK;
}

static rdg_err_t put(spool_t *s, const rdg_bytes_t *messages, size_t count, uint64_t bytes) {
    RDG_TRY(make_room(s, bytes));
    segment_t *g = &s->segments[s->count - 1];
    for (size_t i = 0; i < count; ++i) {
        RDG_TRY(record_log_append(g->log, MESSAGE, messages[i], NULL));
        ++g->items;
    }
    return record_log_sync(g->log);
}

rdg_err_t spool_put(spool_t *s, const rdg_bytes_t *messages, size_t count) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; ++i) {
        if (messages[i].len > SPOOL_MESSAGE_MAX)
            return rdg_fail(RDG_E_TOO_LARGE, "%zu bytes for %s, at most %u", messages[i].len, s->dir,
                            SPOOL_MESSAGE_MAX);
        bytes += messages[i].len + RECORD_HEAD_BYTES;
    }
    if (count == 0) return RDG_OK;
    pthread_mutex_lock(&s->lock);
    rdg_err_t err = put(s, messages, count, bytes);
    pthread_mutex_unlock(&s->lock);
    return err;
}

/* --- taking ------------------------------------------------------------------------------------------------ */

/* Segments that are done with go; the last one too, once there is something in it, for a new one. */
static void sweep(spool_t *s) {
    while (s->count > 1 && s->at >= record_log_size(s->segments[0].log)) drop_first(s);
    uint64_t size = record_log_size(s->segments[0].log);
    if (s->count == 1 && size > 0 && s->at >= size && add_segment(s, s->next) == RDG_OK) drop_first(s);
}

static rdg_err_t peek(spool_t *s, size_t max_bytes, size_t max, rdg_buf_t *out, size_t *ends, size_t *count) {
    record_log_t *log = s->segments[0].log;
    for (s->peeked = s->at; *count < max && s->peeked < record_log_size(log);) {
        uint8_t type;
        size_t before = out->len;
        rdg_err_t err = record_log_read(log, s->peeked, &type, out);
        if (err == RDG_E_CORRUPT) { /* opening stepped over it, too, and has said so */
            out->len = before;
            ++s->peeked;
            continue;
        }
        RDG_TRY(err);
        if (*count > 0 && out->len > max_bytes) {
            out->len = before;
            break;
        }
        s->peeked += RECORD_HEAD_BYTES + out->len - before;
        ends[(*count)++] = out->len;
    }
    s->peeked_items = *count;
    s->peeked_segment = s->segments[0].number;
    return RDG_OK;
}

rdg_err_t spool_peek(spool_t *s, size_t max_bytes, size_t max, rdg_buf_t *out, rdg_bytes_t *messages,
                     size_t *count) {
    size_t ends[SPOOL_PEEK_MAX];
    rdg_buf_clear(out);
    *count = 0;
    if (max > SPOOL_PEEK_MAX) max = SPOOL_PEEK_MAX;
    pthread_mutex_lock(&s->lock);
    sweep(s);
    rdg_err_t err = peek(s, max_bytes, max, out, ends, count);
    if (err == RDG_OK && *count == 0) s->at = s->peeked; /* only damage was left */
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0, from = 0; i < *count; from = ends[i++])
        messages[i] = rdg_bytes(out->data + from, ends[i] - from);
    return err;
}

void spool_drop(spool_t *s) {
    pthread_mutex_lock(&s->lock);
    /* The segment may have been given up since. */
    if (s->segments[0].number == s->peeked_segment && s->peeked > s->at) {
        s->at = s->peeked;
        s->gone += s->peeked_items;
        s->peeked_items = 0;
    }
    sweep(s);
    pthread_mutex_unlock(&s->lock);
}

void spool_stats(spool_t *s, spool_stats_t *out) {
    pthread_mutex_lock(&s->lock);
    *out = (spool_stats_t){.bytes = used(s) - s->at, .max_bytes = s->max_bytes, .lost = s->lost};
    for (size_t i = 0; i < s->count; ++i) out->items += s->segments[i].items;
    out->items -= s->gone < out->items ? s->gone : out->items;
    pthread_mutex_unlock(&s->lock);
}
