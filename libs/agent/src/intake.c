#include "intake_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"
#include "thread.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

meter_t *intake_meter(intake_t *i, const uint8_t id[METER_BYTES]) {
    meter_t *m = rdg_map_get(i->meters, rdg_bytes(id, METER_BYTES));
    if (m || !(m = rdg_calloc(1, sizeof *m))) return m;
    memcpy(m->id, id, METER_BYTES);
    m->batch_limit = METERING_BATCH_MAX;
    m->first = m->last = NO_ENTRY;
    if (rdg_map_put(i->meters, rdg_bytes(id, METER_BYTES), m, NULL) == RDG_OK) return m;
    rdg_free(m);
    return NULL;
}

static void visited(void *ctx, uint64_t number, const reading_t *r) {
    intake_t *i = ctx;
    (void)number;
    meter_t *m = intake_meter(i, r->meter);
    if (m && r->time > m->last_time) m->last_time = r->time;
}

/* --- binding -------------------------------------------------------------------------------------- */

static rdg_err_t binding_path(const intake_t *i, char out[PATH_MAX]) {
    return rdg_path_join(out, PATH_MAX, i->dir, "binding.json");
}

static rdg_err_t load_binding(intake_t *i) {
    char path[PATH_MAX];
    rdg_buf_t text;
    json_t *o = NULL;
    const char *chain = NULL;
    RDG_TRY(binding_path(i, path));
    rdg_buf_init(&text, 4096);
    rdg_err_t err = rdg_file_read(path, &text);
    if (err == RDG_OK) err = rdg_json_parse(rdg_buf_view(&text), &o);
    if (err == RDG_OK) err = rdg_json_get_str(o, "chain", &chain);
    if (err == RDG_OK) err = rdg_json_get_hex(o, "contract", i->contract.b, sizeof i->contract.b);
    if (err == RDG_OK && (i->bound = rdg_name_valid(chain))) snprintf(i->chain, sizeof i->chain, "%s", chain);
    json_decref(o);
    rdg_buf_fini(&text);
    return err == RDG_E_NOT_FOUND ? RDG_OK : rdg_fail_in(err, "%s", path);
}

static rdg_err_t save_binding(const intake_t *i, const char *chain, const rdg_address_t *contract) {
    char path[PATH_MAX], hex[41], text[256];
    RDG_TRY(binding_path(i, path));
    if (!chain) {
        RDG_TRY(rdg_tree_remove(path, NULL));
        return rdg_dir_sync(i->dir);
    }
    rdg_hex_encode(contract->b, sizeof contract->b, hex);
    snprintf(text, sizeof text, "{\"chain\": \"%s\", \"contract\": \"0x%s\"}\n", chain, hex);
    return rdg_file_replace(path, rdg_bytes_str(text), 0600);
}

rdg_err_t intake_bind(intake_t *i, const char *chain, const rdg_address_t *contract) {
    rdg_err_t err = RDG_OK;
    pthread_mutex_lock(&i->lock);
    if (!i->bound || strcmp(i->chain, chain) != 0 || !rdg_address_equal(&i->contract, contract)) {
        err = save_binding(i, chain, contract);
        if (err == RDG_OK) {
            snprintf(i->chain, sizeof i->chain, "%s", chain);
            i->contract = *contract;
            i->bound = i->kicked = true;
            ++i->binding;
            pthread_cond_signal(&i->wake);
        }
    }
    pthread_mutex_unlock(&i->lock);
    return err;
}

rdg_err_t intake_unbind(intake_t *i, const char *chain) {
    rdg_err_t err = RDG_OK;
    pthread_mutex_lock(&i->lock);
    if (i->bound && (!chain || strcmp(i->chain, chain) == 0)) {
        err = save_binding(i, NULL, NULL);
        if (err == RDG_OK) {
            i->bound = false;
            i->chain[0] = '\0';
            ++i->binding;
        }
    }
    pthread_mutex_unlock(&i->lock);
    return err;
}

/* --- taking readings ------------------------------------------------------------------------------ */

typedef struct taken {
    meter_t *meter;
    uint64_t before; /* its last_time, to be put back */
} taken_t;

/* Sorts out what is not newer; kept[] gets the others. */
static size_t admit(intake_t *i, const reading_t *readings, size_t count, reading_t *kept, taken_t *taken,
                    rdg_err_t *refused) {
    size_t n = 0;
    for (size_t k = 0; k < count; ++k) {
        meter_t *m = intake_meter(i, readings[k].meter);
        refused[k] = !m ? RDG_E_FULL : readings[k].time <= m->last_time ? RDG_E_STALE : RDG_OK;
        if (refused[k] != RDG_OK) continue;
        taken[n] = (taken_t){m, m->last_time};
        kept[n++] = readings[k];
        m->last_time = readings[k].time;
    }
    return n;
}

static rdg_err_t take_locked(intake_t *i, const reading_t *readings, size_t count, reading_t *kept,
                             taken_t *taken, rdg_err_t *refused, uint64_t *end) {
    size_t n = admit(i, readings, count, kept, taken, refused);
    if (n == 0) return RDG_OK;
    rdg_err_t err = queue_write(i->queue, kept, n, end);
    if (err == RDG_E_FULL) i->was_full = true;
    if (err != RDG_OK)
        while (n-- > 0) taken[n].meter->last_time = taken[n].before;
    return err;
}

rdg_err_t intake_take(intake_t *i, const reading_t *readings, size_t count, rdg_err_t *refused) {
    uint64_t end = 0;
    if (count == 0) return RDG_OK;
    reading_t *kept = rdg_calloc(count, sizeof *kept);
    taken_t *taken = rdg_calloc(count, sizeof *taken);
    rdg_err_t err = kept && taken ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for %zu readings", count);
    if (err == RDG_OK) {
        pthread_mutex_lock(&i->lock);
        err = take_locked(i, readings, count, kept, taken, refused, &end);
        pthread_mutex_unlock(&i->lock);
    }
    if (err == RDG_OK && end > 0) err = queue_commit(i->queue, end);
    if (err == RDG_OK && end > 0) {
        pthread_mutex_lock(&i->lock);
        i->kicked = true;
        pthread_cond_signal(&i->wake);
        pthread_mutex_unlock(&i->lock);
    }
    rdg_free(kept);
    rdg_free(taken);
    return err;
}

/* --- life ----------------------------------------------------------------------------------------- */

static rdg_err_t open_files(intake_t *i) {
    char path[PATH_MAX];
    RDG_TRY(rdg_dir_make(i->dir, 0700));
    RDG_TRY(rdg_path_join(path, sizeof path, i->dir, "account.key"));
    RDG_TRY(rdg_sm2_key_load_or_generate(path, &i->key));
    rdg_sm2_public_t pub;
    rdg_sm2_key_public(i->key, &pub);
    rdg_sm2_address(&pub, &i->account);
    RDG_TRY(load_binding(i));
    RDG_TRY(rdg_path_join(path, sizeof path, i->dir, "queue"));
    RDG_TRY(queue_open(path, i->options.queue_bytes, visited, i, &i->queue));
    RDG_TRY(rdg_path_join(path, sizeof path, i->dir, "transactions.log"));
    RDG_TRY(tx_store_open(path, queue_first(i->queue), &i->store));
    /* Damage at the queue's end, or a queue that was taken away, has set its numbers back: a reading with the number of one
     * that is done with would be taken for it. */
    queue_begin_at(i->queue, tx_store_behind(i->store));
    i->loaded = i->store->low;
    i->submitted = i->store->submitted;
    i->confirmed = i->store->confirmed;
    i->refused = i->store->refused;
    i->low = i->store->low;
    return RDG_OK;
}

static void register_metrics(intake_t *i) {
    static const double bounds[] = {10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 60000};
    rdg_metrics_t *m = i->options.metrics;
    if (!m) return;
    i->m_queued =
        rdg_metrics_gauge(m, "ridge_agent_intake_queued_bytes", "Bytes of the queue of readings", NULL);
    i->m_confirmed = rdg_metrics_counter(m, "ridge_agent_intake_confirmed_total",
                                         "Readings with a receipt since start", NULL);
    i->m_refused = rdg_metrics_counter(m, "ridge_agent_intake_refused_total",
                                       "Readings the contract refused since start", NULL);
    i->m_latency =
        rdg_metrics_histogram(m, "ridge_agent_intake_latency_milliseconds", "From submit to receipt", NULL,
                              bounds, sizeof bounds / sizeof bounds[0]);
}

rdg_err_t intake_start(const intake_options_t *options, intake_t **out) {
    char dir[PATH_MAX];
    intake_t *i = rdg_calloc(1, sizeof *i);
    if (!i) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the intake");
    i->options = *options;
    pthread_mutex_init(&i->lock, NULL);
    thread_cond_init(&i->wake);
    rdg_err_t err = rdg_path_join(dir, sizeof dir, options->dir, "intake");
    if (err == RDG_OK && (!(i->dir = rdg_strdup(dir)) || !(i->meters = rdg_map_new(METERS_MAX)) ||
                          !(i->window = rdg_calloc(TX_STORE_WINDOW, sizeof *i->window)) ||
                          !(i->scratch = rdg_calloc(READINGS_MAX, sizeof *i->scratch))))
        err = rdg_fail(RDG_E_NO_MEMORY, "no memory for the intake");
    if (err == RDG_OK) err = open_files(i);
    if (err == RDG_OK) {
        register_metrics(i);
        i->kicked = true;
        err = thread_start(&i->thread, intake_run, i);
        i->running = err == RDG_OK;
    }
    if (err != RDG_OK) {
        intake_stop(i);
        return err;
    }
    *out = i;
    return RDG_OK;
}

void intake_stop(intake_t *i) {
    if (!i) return;
    pthread_mutex_lock(&i->lock);
    i->stopping = true;
    pthread_cond_signal(&i->wake);
    pthread_mutex_unlock(&i->lock);
    if (i->running) pthread_join(i->thread, NULL);
    rdg_rpc_http_free(i->rpc);
    tx_store_close(i->store);
    queue_close(i->queue);
    size_t pos = 0;
    void *m;
    rdg_bytes_t key;
    while (i->meters && rdg_map_next(i->meters, &pos, &key, &m)) rdg_free(m);
    rdg_map_free(i->meters);
    rdg_sm2_key_free(i->key);
    rdg_free(i->window);
    rdg_free(i->scratch);
    rdg_free(i->dir);
    pthread_cond_destroy(&i->wake);
    pthread_mutex_destroy(&i->lock);
    rdg_free(i);
}

void intake_account(const intake_t *i, rdg_address_t *out) {
    *out = i->account;
}

static int by_size(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

void intake_stats(intake_t *i, intake_stats_t *out) {
    float sorted[LATENCIES];
    memset(out, 0, sizeof *out);
    uint64_t end = queue_end(i->queue), bytes = queue_bytes(i->queue);
    pthread_mutex_lock(&i->lock);
    out->submitted = i->submitted;
    out->confirmed = i->confirmed;
    out->refused = i->refused;
    uint64_t behind = end > i->low ? end - i->low : 0;
    out->queued = behind;
    out->queued_bytes = behind ? bytes : 0;
    size_t n = i->latency_count < LATENCIES ? i->latency_count : LATENCIES;
    memcpy(sorted, i->latencies, n * sizeof sorted[0]);
    if (i->bound) {
        snprintf(out->chain, sizeof out->chain, "%s", i->chain);
        memcpy(out->contract, "0x", 2);
        rdg_hex_encode(i->contract.b, sizeof i->contract.b, out->contract + 2);
    }
    pthread_mutex_unlock(&i->lock);
    if (n == 0) return;
    qsort(sorted, n, sizeof sorted[0], by_size);
    out->p50_ms = (double)sorted[n / 2];
    out->p99_ms = (double)sorted[n * 99 / 100];
}
