#include "collector_prune.h"
#include "collector_read.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"

#define ROWS_MAX 64
#define IDLE_MS 600000

void rdg_baas_set_anchorer(rdg_baas_t *b, const rdg_collector_anchorer_t *anchorer) {
    b->collector->anchorer = anchorer ? *anchorer : (rdg_collector_anchorer_t){NULL, NULL, NULL};
}

static rdg_err_t open_files(rdg_baas_t *b, const char *data_dir) {
    char path[4096];
    RDG_TRY(rdg_path_join(path, sizeof path, data_dir, "collector"));
    /* Files that were being proven are fetched anew. */
    RDG_TRY(rdg_tree_remove(path, NULL));
    RDG_TRY(rdg_dir_make(path, 0700));
    b->collector->dir = rdg_strdup(path);
    if (!b->collector->dir) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the collector");
    RDG_TRY(rdg_path_join(path, sizeof path, b->keys_dir, "collector.key"));
    return rdg_sm2_key_load_or_generate(path, &b->collector->key);
}

rdg_err_t collector_open(rdg_baas_t *b, const char *data_dir) {
    pthread_condattr_t attr;
    b->collector = rdg_calloc(1, sizeof *b->collector);
    if (!b->collector) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the collector");
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&b->collector->work, &attr);
    pthread_condattr_destroy(&attr);
    RDG_TRY(archive_reader_new(b, &b->collector->reader));
    return rdg_fail_in(open_files(b, data_dir), "the collector");
}

void collector_kick(rdg_baas_t *b) {
    pthread_mutex_lock(&b->lock);
    b->collector->kicked = true;
    pthread_cond_broadcast(&b->collector->work);
    pthread_mutex_unlock(&b->lock);
}

/* With the lock held. */
void collector_wake(rdg_baas_t *b) {
    if (b->collector) pthread_cond_broadcast(&b->collector->work);
}

static void advance_one(rdg_baas_t *b, int64_t number, uint64_t *after_ms) {
    archive_row_t r;
    uint64_t after = IDLE_MS;
    rdg_err_t err = archives_load(b, number, &r);
    if (err == RDG_OK) {
        err = collector_advance(b, &r, &after);
        archive_row_fini(&r);
    }
    if (err != RDG_OK) {
        after = 1000;
        if (!baas_stopping(b)) rdg_log_err("collector.step_failed", err);
    }
    if (after < *after_ms) *after_ms = after;
}

static void *run(void *arg) {
    rdg_baas_t *b = arg;
    int64_t numbers[ROWS_MAX];
    while (!baas_stopping(b)) {
        uint64_t after_ms = IDLE_MS;
        size_t count = 0;
        pthread_mutex_lock(&b->lock);
        b->collector->kicked = false;
        pthread_mutex_unlock(&b->lock);
        rdg_err_t err = archives_open(b, numbers, ROWS_MAX, &count);
        if (err != RDG_OK) rdg_log_err("collector.step_failed", err);
        if (err != RDG_OK) after_ms = 1000;
        for (size_t i = 0; i < count && !baas_stopping(b); ++i) advance_one(b, numbers[i], &after_ms);
        if (!baas_stopping(b) && schedule_advance(b, &after_ms) != RDG_OK) after_ms = 1000;
        if (!baas_stopping(b) && prunes_advance(b, &after_ms) != RDG_OK) after_ms = 1000;
        uint64_t until = baas_mono() + after_ms;
        pthread_mutex_lock(&b->lock);
        while (!b->stopping && !b->collector->kicked && baas_wait(b, &b->collector->work, until)) {
        }
        pthread_mutex_unlock(&b->lock);
    }
    return NULL;
}

rdg_err_t collector_start(rdg_baas_t *b) {
    RDG_TRY(prunes_begin(b));
    if (pthread_create(&b->collector->thread, NULL, run, b) != 0)
        return rdg_fail(RDG_E_NO_MEMORY, "no thread for the collector");
    b->collector->running = true;
    return RDG_OK;
}

void collector_close(rdg_baas_t *b) {
    collector_t *c = b->collector;
    if (!c) return;
    if (c->running) pthread_join(c->thread, NULL);
    pthread_cond_destroy(&c->work);
    archive_reader_free(c->reader);
    rdg_sm2_key_free(c->key);
    rdg_free(c->dir);
    rdg_free(c);
    b->collector = NULL;
}
