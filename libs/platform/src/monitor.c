#include "monitor.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/list.h"
#include "ridge/base/log.h"
#include "ridge/base/map.h"

#define LINGER_MS 20u /* a small batch waits so long for company: fewer syncs, and nobody notices */
#define TICK_MS 1000u
#define UPKEEP_MS 60000u

typedef struct message {
    rdg_list_t node;
    char device[65];
    uint64_t received_ms;
    size_t len;
    uint8_t bytes[];
} message_t;

struct monitor {
    monitor_options_t options;
    rdg_sql_t *db;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool running, stopping;
    rdg_list_t queue;
    size_t queued, queued_bytes;
    /* The thread's own. */
    rdg_telemetry_t *one;
    rdg_metric_t *m_stored, *m_again, *m_refused, *m_dropped, *m_queued, *m_batches;
};

uint64_t monitor_now(const monitor_t *m) {
    return rdg_wall_ms(m->options.clock);
}

rdg_sql_t *monitor_db(monitor_t *m) {
    return m->db;
}

rdg_err_t monitor_take(monitor_t *m, const char *device, rdg_bytes_t bytes) {
    if (bytes.len > RDG_TELEMETRY_MESSAGE_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "telemetry of %zu bytes: at most %u", bytes.len,
                        RDG_TELEMETRY_MESSAGE_MAX);
    message_t *one = rdg_alloc(sizeof *one + bytes.len);
    if (!one) return rdg_fail(RDG_E_NO_MEMORY, "no memory for telemetry");
    snprintf(one->device, sizeof one->device, "%s", device);
    one->received_ms = monitor_now(m);
    one->len = bytes.len;
    memcpy(one->bytes, bytes.data, bytes.len);
    pthread_mutex_lock(&m->lock);
    bool room = !m->stopping && m->queued < MONITOR_QUEUE_MESSAGES &&
                m->queued_bytes + bytes.len <= MONITOR_QUEUE_BYTES;
    if (room) {
        rdg_list_append(&m->queue, &one->node);
        m->queued_bytes += one->len;
        if (++m->queued == 1 || m->queued == MONITOR_BATCH) pthread_cond_signal(&m->wake);
    }
    pthread_mutex_unlock(&m->lock);
    if (room) return RDG_OK;
    rdg_free(one);
    rdg_metric_add(m->m_dropped, 1);
    return rdg_fail(RDG_E_BUSY, "%d messages of telemetry wait already", MONITOR_QUEUE_MESSAGES);
}

/* --- a batch ------------------------------------------------------------------------------------------------- */

typedef struct stored {
    const message_t *from;
    rdg_bytes_t record;
    rdg_telemetry_name_t name;
    uint64_t sent_ms;
    int64_t number; /* 0: it was here */
    bool live;
} stored_t;

typedef struct batch {
    message_t *messages[MONITOR_BATCH];
    size_t message_count;
    stored_t *records; /* as many as the messages can hold */
    size_t record_count;
} batch_t;

static void refuse(monitor_t *m, const char *device, rdg_err_t why) {
    rdg_metric_add(m->m_refused, 1);
    if (m->options.refused) m->options.refused(m->options.ctx, device, why);
}

static rdg_err_t add_record(monitor_t *m, batch_t *b, const message_t *from,
                            const rdg_telemetry_message_t *message, size_t index) {
    stored_t s = {.from = from,
                  .record = message->records[index],
                  .sent_ms = message->sent_ms,
                  .live = message->live && index == 0};
    rdg_err_t err = rdg_telemetry_name_of(s.record, &s.name);
    bool named = err == RDG_OK;
    if (named) err = rdg_telemetry_decode(s.record, m->one);
    if (err != RDG_OK) {
        refuse(m, from->device, err);
        s.record = rdg_bytes(NULL, 0); /* acknowledged by its name, and nothing more */
        if (named) b->records[b->record_count++] = s;
        return RDG_OK;
    }
    const monitor_row_t row = {from->device, s.name, from->received_ms, s.record};
    RDG_TRY(monitor_store_add(m->db, &row, &s.number));
    rdg_metric_add(s.number ? m->m_stored : m->m_again, 1);
    b->records[b->record_count++] = s;
    return RDG_OK;
}

static rdg_err_t add_messages(monitor_t *m, batch_t *b) {
    rdg_telemetry_message_t message;
    for (size_t i = 0; i < b->message_count; ++i) {
        const message_t *from = b->messages[i];
        rdg_err_t err = rdg_telemetry_message_decode(rdg_bytes(from->bytes, from->len), &message);
        if (err != RDG_OK) {
            refuse(m, from->device, err);
            continue;
        }
        for (size_t r = 0; r < message.count; ++r) RDG_TRY(add_record(m, b, from, &message, r));
    }
    return RDG_OK;
}

static rdg_err_t store(monitor_t *m, batch_t *b) {
    RDG_TRY(rdg_sql_begin(m->db));
    rdg_err_t err = add_messages(m, b);
    if (err == RDG_OK) err = rdg_sql_commit(m->db);
    if (err != RDG_OK) rdg_sql_rollback(m->db);
    return err;
}

/* Records of one message stand together, so an answer for each message names them all. */
static void answer(monitor_t *m, const batch_t *b, uint64_t hold_ms) {
    rdg_telemetry_ack_t ack = {.hold_ms = hold_ms};
    rdg_buf_t bytes;
    rdg_buf_init(&bytes, RDG_TELEMETRY_MESSAGE_MAX);
    for (size_t i = 0; i < b->record_count; ++i) {
        const stored_t *s = &b->records[i];
        ack.names[ack.count++] = s->name;
        bool last = i + 1 == b->record_count || b->records[i + 1].from != s->from;
        if (!last && ack.count < RDG_TELEMETRY_RECORDS_MAX) continue;
        rdg_buf_clear(&bytes);
        if (rdg_telemetry_ack_encode(&ack, &bytes) == RDG_OK)
            m->options.answer(m->options.ctx, s->from->device, rdg_buf_view(&bytes));
        ack.count = 0;
    }
    rdg_buf_fini(&bytes);
}

static void tell(monitor_t *m, const batch_t *b) {
    for (size_t i = 0; i < b->record_count; ++i) {
        const stored_t *s = &b->records[i];
        if (!m->options.arrived || s->number == 0 || rdg_telemetry_decode(s->record, m->one) != RDG_OK)
            continue;
        const monitor_arrival_t a = {.device = s->from->device,
                                     .record = s->record,
                                     .telemetry = m->one,
                                     .live = s->live,
                                     .number = s->number,
                                     .received_ms = s->from->received_ms,
                                     .sent_ms = s->sent_ms};
        m->options.arrived(m->options.ctx, &a);
    }
}

static void handle(monitor_t *m, batch_t *b, bool pressed) {
    b->record_count = 0;
    rdg_err_t err = store(m, b);
    if (err == RDG_OK) {
        answer(m, b, pressed ? MONITOR_HOLD_MS : 0);
        tell(m, b);
        rdg_metric_add(m->m_batches, 1);
    } else {
        /* Nothing was acknowledged: the devices send it again. */
        rdg_log_err("monitor.store_failed", err);
    }
    for (size_t i = 0; i < b->message_count; ++i) rdg_free(b->messages[i]);
    b->message_count = 0;
}

/* --- the thread ------------------------------------------------------------------------------------------------ */

static void wait_ms(monitor_t *m, uint64_t ms) {
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + ms;
    struct timespec t = {(time_t)(end / 1000), (long)(end % 1000) * 1000000};
    (void)pthread_cond_timedwait(&m->wake, &m->lock, &t);
}

/* Under the lock. */
static void collect_batch(monitor_t *m, batch_t *b) {
    while (b->message_count < MONITOR_BATCH && !rdg_list_empty(&m->queue)) {
        message_t *one = RDG_LIST_ENTRY(m->queue.next, message_t, node);
        rdg_list_remove(&one->node);
        --m->queued;
        m->queued_bytes -= one->len;
        b->messages[b->message_count++] = one;
    }
}

static void *run(void *arg) {
    monitor_t *m = arg;
    batch_t *b = rdg_calloc(1, sizeof *b);
    if (b) b->records = rdg_calloc((size_t)MONITOR_BATCH * RDG_TELEMETRY_RECORDS_MAX, sizeof *b->records);
    uint64_t now = rdg_mono_ms(rdg_clock_system()), tick_at = now + TICK_MS, upkeep_at = now + UPKEEP_MS;
    pthread_mutex_lock(&m->lock);
    while (b && b->records && (!m->stopping || m->queued > 0)) {
        if (m->queued == 0) wait_ms(m, TICK_MS);
        if (m->queued > 0 && m->queued < MONITOR_BATCH && !m->stopping) wait_ms(m, LINGER_MS);
        bool pressed = m->queued > MONITOR_QUEUE_MESSAGES / 2;
        collect_batch(m, b);
        rdg_metric_set(m->m_queued, (int64_t)m->queued);
        pthread_mutex_unlock(&m->lock);
        if (b->message_count > 0) handle(m, b, pressed);
        now = rdg_mono_ms(rdg_clock_system());
        if (now >= tick_at) {
            if (m->options.tick) m->options.tick(m->options.ctx);
            tick_at = now + TICK_MS;
        }
        if (now >= upkeep_at) {
            rdg_err_t err = monitor_upkeep(m);
            if (err != RDG_OK) rdg_log_err("monitor.upkeep_failed", err);
            upkeep_at = rdg_mono_ms(rdg_clock_system()) + UPKEEP_MS;
        }
        pthread_mutex_lock(&m->lock);
    }
    pthread_mutex_unlock(&m->lock);
    if (b) rdg_free(b->records);
    rdg_free(b);
    return NULL;
}

rdg_err_t monitor_upkeep(monitor_t *m) {
    uint64_t rows;
    do RDG_TRY(monitor_store_roll_up(m->db, &rows));
    while (rows > 0);
    return monitor_store_prune(m->db, monitor_now(m), m->options.raw_ms);
}

rdg_err_t monitor_forget(monitor_t *m, const char *device) {
    rdg_sql_value_t d = rdg_sql_text(device);
    RDG_TRY(rdg_sql_exec(m->db, "DELETE FROM spans WHERE device = ?", RDG_SQL_PARAMS(d), NULL));
    return rdg_sql_exec(m->db, "DELETE FROM telemetry WHERE device = ?", RDG_SQL_PARAMS(d), NULL);
}

/* --- life ------------------------------------------------------------------------------------------------------- */

static void register_metrics(monitor_t *m, rdg_metrics_t *r) {
    if (!r) return;
    m->m_stored = rdg_metrics_counter(r, "ridge_monitor_records_total", "telemetry records stored", NULL);
    m->m_again = rdg_metrics_counter(r, "ridge_monitor_repeated_total",
                                     "telemetry records that were here already", NULL);
    m->m_refused = rdg_metrics_counter(r, "ridge_monitor_refused_total", "telemetry that was none", NULL);
    m->m_dropped = rdg_metrics_counter(r, "ridge_monitor_dropped_total",
                                       "telemetry not taken because too much waited", NULL);
    m->m_batches = rdg_metrics_counter(r, "ridge_monitor_batches_total", "transactions of telemetry", NULL);
    m->m_queued = rdg_metrics_gauge(r, "ridge_monitor_queued", "telemetry messages that wait", NULL);
}

rdg_err_t monitor_open(const monitor_options_t *o, monitor_t **out) {
    monitor_t *m = rdg_calloc(1, sizeof *m);
    pthread_condattr_t attr;
    if (!m) return rdg_fail(RDG_E_NO_MEMORY, "no memory for monitoring");
    m->options = *o;
    if (!m->options.clock) m->options.clock = rdg_clock_system();
    if (!m->options.raw_ms) m->options.raw_ms = MONITOR_RAW_MS;
    rdg_list_init(&m->queue);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&m->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&m->lock, NULL);
    register_metrics(m, o->metrics);
    m->one = rdg_calloc(1, sizeof *m->one);
    rdg_err_t err = m->one ? monitor_store_open(o->data_dir, &m->db) : RDG_E_NO_MEMORY;
    if (err == RDG_OK && pthread_create(&m->thread, NULL, run, m) != 0)
        err = rdg_fail(RDG_E_NO_MEMORY, "cannot start the monitor's thread");
    m->running = err == RDG_OK;
    if (err != RDG_OK) {
        monitor_close(m);
        return rdg_fail_in(err, "monitoring");
    }
    *out = m;
    return RDG_OK;
}

void monitor_stop(monitor_t *m) {
    if (!m) return;
    pthread_mutex_lock(&m->lock);
    m->stopping = true;
    pthread_cond_broadcast(&m->wake);
    pthread_mutex_unlock(&m->lock);
    if (m->running) pthread_join(m->thread, NULL);
    m->running = false;
}

void monitor_close(monitor_t *m) {
    if (!m) return;
    monitor_stop(m);
    RDG_LIST_EACH_SAFE(it, &m->queue) rdg_free(RDG_LIST_ENTRY(it, message_t, node));
    if (m->db) rdg_sql_close(m->db);
    pthread_cond_destroy(&m->wake);
    pthread_mutex_destroy(&m->lock);
    rdg_free(m->one);
    rdg_free(m);
}
