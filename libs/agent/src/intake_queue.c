#include "intake_queue.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "record_log.h"
#include "thread.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECORD_READINGS 1
#define READING_BYTES_MAX (1u + METER_BYTES + 16u)
/* A drained active segment of this size, or of an eighth of a smaller queue, is replaced by an empty one, so
 * that what is done with does not count. */
#define DRAINED_BYTES (64u << 10)

typedef struct segment {
    uint64_t first;
    record_log_t *log;
} segment_t;

struct intake_queue {
    pthread_mutex_t lock;
    pthread_cond_t synced;
    char *dir;
    uint64_t max_bytes, end, durable, segment_bytes, drained_bytes;
    segment_t segments[QUEUE_SEGMENTS_MAX];
    size_t count;
    size_t read_segment; /* the consumer's place */
    uint64_t read_offset;
    bool syncing;
    queue_visit_fn visit;
    void *visit_ctx;
};

static rdg_err_t segment_path(const intake_queue_t *q, uint64_t first, char out[PATH_MAX]) {
    int n = snprintf(out, PATH_MAX, "%s/seg-%016llx.log", q->dir, (unsigned long long)first);
    return n < PATH_MAX ? RDG_OK : rdg_fail(RDG_E_TOO_LARGE, "%s is too long for a directory", q->dir);
}

static rdg_err_t encode(uint64_t first, const reading_t *r, size_t count, rdg_buf_t *out) {
    rdg_buf_u64(out, first);
    rdg_buf_u16(out, (uint16_t)count);
    for (size_t i = 0; i < count; ++i) {
        size_t len = strnlen((const char *)r[i].meter, METER_BYTES);
        rdg_buf_u8(out, (uint8_t)len);
        rdg_buf_append(out, r[i].meter, len);
        rdg_buf_u64(out, r[i].time);
        rdg_buf_u64(out, (uint64_t)r[i].value);
    }
    return rdg_buf_err(out);
}

static bool decode_head(rdg_reader_t *r, uint64_t *first, size_t *count) {
    *first = rdg_read_u64(r);
    *count = rdg_read_u16(r);
    return rdg_reader_ok(r) && *count <= READINGS_MAX;
}

static bool decode_one(rdg_reader_t *r, reading_t *out) {
    memset(out, 0, sizeof *out);
    size_t len = rdg_read_u8(r);
    if (len > METER_BYTES) return false;
    rdg_read_copy(r, out->meter, len);
    out->time = rdg_read_u64(r);
    out->value = (int64_t)rdg_read_u64(r);
    return rdg_reader_ok(r);
}

static rdg_err_t replayed(void *ctx, uint8_t type, rdg_bytes_t payload, uint64_t offset) {
    intake_queue_t *q = ctx;
    rdg_reader_t r;
    uint64_t first;
    size_t count;
    (void)offset;
    rdg_reader_init(&r, payload);
    if (type != RECORD_READINGS || !decode_head(&r, &first, &count)) return RDG_OK;
    for (size_t i = 0; i < count; ++i) {
        reading_t one;
        if (!decode_one(&r, &one)) break;
        if (q->visit) q->visit(q->visit_ctx, first + i, &one);
    }
    if (first + count > q->end) q->end = first + count;
    return RDG_OK;
}

static rdg_err_t add_segment(intake_queue_t *q, uint64_t first) {
    char path[PATH_MAX];
    if (q->count == QUEUE_SEGMENTS_MAX)
        return rdg_fail(RDG_E_FULL,
                        "the intake queue has %d segments: raise queue-bytes only with larger segments",
                        QUEUE_SEGMENTS_MAX);
    RDG_TRY(segment_path(q, first, path));
    segment_t *s = &q->segments[q->count];
    s->first = first;
    if (q->end < first) q->end = first;
    RDG_TRY(record_log_open(path, replayed, q, &s->log));
    ++q->count;
    return RDG_OK;
}

static int by_number(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static rdg_err_t list_segments(const char *dir, uint64_t *firsts, size_t *count) {
    DIR *d = opendir(dir);
    if (!d) return rdg_fail_errno(errno, "cannot list %s", dir);
    for (struct dirent *e; (e = readdir(d));) {
        uint8_t first[8];
        if (strlen(e->d_name) != 24 || strncmp(e->d_name, "seg-", 4) != 0 ||
            strcmp(e->d_name + 20, ".log") != 0 ||
            rdg_hex_decode(e->d_name + 4, 16, first, sizeof first) != RDG_OK || *count == QUEUE_SEGMENTS_MAX)
            continue;
        firsts[(*count)++] = rdg_load_be64(first);
    }
    closedir(d);
    qsort(firsts, *count, sizeof *firsts, by_number);
    return RDG_OK;
}

static rdg_err_t open_all(intake_queue_t *q) {
    uint64_t firsts[QUEUE_SEGMENTS_MAX];
    size_t count = 0;
    RDG_TRY(rdg_dir_make(q->dir, 0700));
    RDG_TRY(list_segments(q->dir, firsts, &count));
    for (size_t i = 0; i < count; ++i) RDG_TRY(add_segment(q, firsts[i]));
    if (q->count == 0) RDG_TRY(add_segment(q, 1));
    q->durable = q->end;
    return RDG_OK;
}

rdg_err_t queue_open(const char *dir, uint64_t max_bytes, queue_visit_fn visit, void *ctx,
                     intake_queue_t **out) {
    intake_queue_t *q = rdg_calloc(1, sizeof *q);
    if (!q) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the intake queue");
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->synced, NULL);
    q->max_bytes = max_bytes;
    q->segment_bytes = max_bytes / (QUEUE_SEGMENTS_MAX / 2);
    if (q->segment_bytes < QUEUE_SEGMENT_BYTES) q->segment_bytes = QUEUE_SEGMENT_BYTES;
    if (q->segment_bytes > max_bytes / 4) q->segment_bytes = max_bytes / 4;
    q->drained_bytes = max_bytes / 8 < DRAINED_BYTES ? max_bytes / 8 : DRAINED_BYTES;
    q->visit = visit;
    q->visit_ctx = ctx;
    q->dir = rdg_strdup(dir);
    rdg_err_t err = q->dir ? open_all(q) : RDG_E_NO_MEMORY;
    q->visit = NULL;
    if (err != RDG_OK) {
        queue_close(q);
        return rdg_fail_in(err, "cannot open the intake queue");
    }
    *out = q;
    return RDG_OK;
}

void queue_close(intake_queue_t *q) {
    if (!q) return;
    for (size_t i = 0; i < q->count; ++i) record_log_close(q->segments[i].log);
    pthread_cond_destroy(&q->synced);
    pthread_mutex_destroy(&q->lock);
    rdg_free(q->dir);
    rdg_free(q);
}

static uint64_t bytes_locked(const intake_queue_t *q) {
    uint64_t sum = 0;
    for (size_t i = 0; i < q->count; ++i) sum += record_log_size(q->segments[i].log);
    return sum;
}

static rdg_err_t room_locked(const intake_queue_t *q, size_t count) {
    uint64_t used = bytes_locked(q);
    if (used + RECORD_HEAD_BYTES + 10 + count * READING_BYTES_MAX <= q->max_bytes) return RDG_OK;
    return rdg_fail(
        RDG_E_FULL,
        "the intake queue holds %llu of %llu bytes: send again when the node has taken some, or raise "
        "queue-bytes",
        (unsigned long long)used, (unsigned long long)q->max_bytes);
}

rdg_err_t queue_room(intake_queue_t *q, size_t count) {
    pthread_mutex_lock(&q->lock);
    rdg_err_t err = room_locked(q, count);
    pthread_mutex_unlock(&q->lock);
    return err;
}

/* A new active segment; the old one is durable then. */
static rdg_err_t rotate(intake_queue_t *q) {
    while (q->syncing) pthread_cond_wait(&q->synced, &q->lock);
    RDG_TRY(record_log_sync(q->segments[q->count - 1].log));
    q->durable = q->end;
    return add_segment(q, q->end);
}

rdg_err_t queue_write(intake_queue_t *q, const reading_t *readings, size_t count, uint64_t *end) {
    rdg_buf_t b;
    rdg_err_t err = RDG_OK;
    rdg_buf_init(&b, 16 + READINGS_MAX * READING_BYTES_MAX);
    pthread_mutex_lock(&q->lock);
    err = room_locked(q, count);
    if (err == RDG_OK && record_log_size(q->segments[q->count - 1].log) >= q->segment_bytes) err = rotate(q);
    if (err == RDG_OK) err = encode(q->end, readings, count, &b);
    if (err == RDG_OK)
        err = record_log_append(q->segments[q->count - 1].log, RECORD_READINGS, rdg_buf_view(&b), NULL);
    if (err == RDG_OK) *end = q->end += count;
    pthread_mutex_unlock(&q->lock);
    rdg_buf_fini(&b);
    return err;
}

rdg_err_t queue_commit(intake_queue_t *q, uint64_t end) {
    rdg_err_t err = RDG_OK;
    pthread_mutex_lock(&q->lock);
    while (err == RDG_OK && q->durable < end) {
        if (q->syncing) {
            pthread_cond_wait(&q->synced, &q->lock);
            continue;
        }
        q->syncing = true;
        uint64_t target = q->end;
        record_log_t *log = q->segments[q->count - 1].log;
        pthread_mutex_unlock(&q->lock);
        err = record_log_sync(log);
        pthread_mutex_lock(&q->lock);
        q->syncing = false;
        if (err == RDG_OK && q->durable < target) q->durable = target;
        pthread_cond_broadcast(&q->synced);
    }
    pthread_mutex_unlock(&q->lock);
    return err;
}

static rdg_err_t next_locked(intake_queue_t *q, rdg_buf_t *b, reading_t *out, size_t max, size_t *count,
                             uint64_t *first) {
    uint8_t type;
    rdg_reader_t r;
    size_t n;
    while (q->read_segment < q->count) {
        segment_t *s = &q->segments[q->read_segment];
        if (q->read_offset >= record_log_size(s->log)) {
            if (q->read_segment + 1 == q->count) return RDG_OK;
            ++q->read_segment;
            q->read_offset = 0;
            continue;
        }
        rdg_buf_clear(b);
        rdg_err_t err = record_log_read(s->log, q->read_offset, &type, b);
        if (err == RDG_E_CORRUPT) {
            /* Opening stepped over damage; here it is stepped over in the same way, a byte at a time. */
            ++q->read_offset;
            continue;
        }
        RDG_TRY(err);
        rdg_reader_init(&r, rdg_buf_view(b));
        uint64_t record_end = q->read_offset + RECORD_HEAD_BYTES + b->len;
        if (type != RECORD_READINGS || !decode_head(&r, first, &n)) {
            q->read_offset = record_end;
            continue;
        }
        if (*first >= q->durable || n > max) return RDG_OK;
        for (*count = 0; *count < n && decode_one(&r, &out[*count]);) ++*count;
        q->read_offset = record_end;
        return RDG_OK;
    }
    return RDG_OK;
}

rdg_err_t queue_next(intake_queue_t *q, reading_t *out, size_t max, size_t *count, uint64_t *first) {
    rdg_buf_t b;
    rdg_buf_init(&b, RECORD_MAX + 16);
    *count = 0;
    pthread_mutex_lock(&q->lock);
    rdg_err_t err = next_locked(q, &b, out, max, count, first);
    pthread_mutex_unlock(&q->lock);
    rdg_buf_fini(&b);
    return err;
}

static rdg_err_t drop_first(intake_queue_t *q) {
    char path[PATH_MAX];
    RDG_TRY(segment_path(q, q->segments[0].first, path));
    if (unlink(path) != 0 && errno != ENOENT) return rdg_fail_errno(errno, "cannot remove %s", path);
    record_log_close(q->segments[0].log);
    memmove(&q->segments[0], &q->segments[1], (--q->count) * sizeof q->segments[0]);
    if (q->read_segment > 0)
        --q->read_segment;
    else
        q->read_offset = 0;
    return RDG_OK;
}

rdg_err_t queue_release(intake_queue_t *q, uint64_t number) {
    rdg_err_t err = RDG_OK;
    pthread_mutex_lock(&q->lock);
    if (number >= q->end && record_log_size(q->segments[q->count - 1].log) >= q->drained_bytes)
        err = rotate(q);
    while (err == RDG_OK && q->count > 1 && q->segments[1].first <= number) err = drop_first(q);
    pthread_mutex_unlock(&q->lock);
    return err;
}

void queue_begin_at(intake_queue_t *q, uint64_t number) {
    pthread_mutex_lock(&q->lock);
    if (q->end < number) q->end = q->durable = number;
    pthread_mutex_unlock(&q->lock);
}

uint64_t queue_bytes(intake_queue_t *q) {
    pthread_mutex_lock(&q->lock);
    uint64_t n = bytes_locked(q);
    pthread_mutex_unlock(&q->lock);
    return n;
}

uint64_t queue_end(intake_queue_t *q) {
    pthread_mutex_lock(&q->lock);
    uint64_t n = q->end;
    pthread_mutex_unlock(&q->lock);
    return n;
}

uint64_t queue_first(intake_queue_t *q) {
    pthread_mutex_lock(&q->lock);
    uint64_t n = q->segments[0].first;
    pthread_mutex_unlock(&q->lock);
    return n;
}
