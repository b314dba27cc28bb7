#include "records.h"
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/base/random.h"
#include "ridge/net/http_client.h"
#include "thread.h"

#define URL "http://cloud.ridge/v1/records"
#define CALL_MS 30000
#define ANSWER_MAX (64u << 10)
#define BACKOFF_FIRST_MS 250u
#define BACKOFF_LAST_MS 60000u
#define RETRY_AFTER_MAX_S 3600u

struct records {
    spool_t *spool;
    rdg_http_client_t *http;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool running, stopping, kicked, up; /* under the lock */
    /* The thread's own. */
    uint64_t due_ms, backoff_ms;
};

static uint64_t now_ms(void) {
    return rdg_mono_ms(rdg_clock_system());
}

/* --- taking ------------------------------------------------------------------------------------------------- */

static rdg_err_t read_record(const json_t *o, char **out) {
    const char *id, *kind;
    uint64_t time_ms = rdg_wall_ms(rdg_clock_system());
    if (!json_is_object(o)) return rdg_fail(RDG_E_INVALID, "a record is a JSON object");
    RDG_TRY(rdg_json_get_str(o, "id", &id));
    RDG_TRY(rdg_json_get_str(o, "kind", &kind));
    RDG_TRY(rdg_json_opt_u64(o, "time_ms", &time_ms));
    json_t *data = json_object_get(o, "data");
    if (!rdg_name_valid(id) || !rdg_name_valid(kind))
        return rdg_fail(RDG_E_INVALID, "id and kind: want 1 to 64 of [a-z0-9._-], first a letter or digit");
    if (!data) return rdg_fail(RDG_E_INVALID, "record '%s' has no data", id);
    json_t *own = json_pack("{s:s, s:s, s:I, s:O}", "id", id, "kind", kind, "time_ms", (json_int_t)time_ms,
                            "data", data);
    *out = own ? rdg_json_text(own) : NULL;
    json_decref(own);
    if (!*out) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a record");
    size_t len = strlen(*out);
    if (len <= RECORDS_TEXT_MAX) return RDG_OK;
    rdg_free(*out);
    *out = NULL;
    return rdg_fail(RDG_E_TOO_LARGE, "record '%s' has %zu bytes, at most %u", id, len, RECORDS_TEXT_MAX);
}

static rdg_err_t read_all(const json_t *records, char *texts[RECORDS_BATCH_MAX], size_t *count) {
    if (!json_is_array(records)) return read_record(records, &texts[(*count)++]);
    size_t n = json_array_size(records);
    if (n == 0 || n > RECORDS_BATCH_MAX)
        return rdg_fail(RDG_E_INVALID, "%zu records: want 1 to %d", n, RECORDS_BATCH_MAX);
    for (size_t i = 0; i < n; ++i)
        RDG_TRY(rdg_fail_in(read_record(json_array_get(records, i), &texts[(*count)++]), "record %zu", i));
    return RDG_OK;
}

rdg_err_t records_put(records_t *r, const json_t *records, size_t *taken) {
    char *texts[RECORDS_BATCH_MAX] = {NULL};
    rdg_bytes_t views[RECORDS_BATCH_MAX];
    size_t n = 0;
    *taken = 0;
    if (!r)
        return rdg_fail(RDG_E_UNAVAILABLE,
                        "urgent records cannot be kept on this device: see the agent's log");
    rdg_err_t err = read_all(records, texts, &n);
    for (size_t i = 0; err == RDG_OK && i < n; ++i) views[i] = rdg_bytes_str(texts[i]);
    if (err == RDG_OK) err = spool_put(r->spool, views, n);
    for (size_t i = 0; i < n; ++i) rdg_free(texts[i]);
    RDG_TRY(err);
    *taken = n;
    pthread_mutex_lock(&r->lock);
    r->kicked = true;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
    return RDG_OK;
}

/* --- sending ------------------------------------------------------------------------------------------------- */

static rdg_err_t make_body(const rdg_bytes_t *records, size_t count, rdg_buf_t *out) {
    rdg_buf_str(out, "{\"records\":[");
    for (size_t i = 0; i < count; ++i) {
        if (i > 0) rdg_buf_u8(out, ',');
        rdg_buf_append(out, records[i].data, records[i].len);
    }
    return rdg_buf_str(out, "]}");
}

static void log_refused(rdg_bytes_t body) {
    json_t *answer = NULL;
    const json_t *one;
    size_t i;
    if (rdg_json_parse(body, &answer) != RDG_OK) return;
    json_array_foreach(json_object_get(answer, "refused"), i, one) {
        const char *message = json_string_value(json_object_get(one, "message"));
        rdg_log(RDG_LOG_ERROR, "records.refused", RDG_STR("why", message ? message : ""));
    }
    json_decref(answer);
}

static void wait_longer(records_t *r, unsigned retry_after_s) {
    uint64_t base = r->backoff_ms ? r->backoff_ms * 2 : BACKOFF_FIRST_MS;
    if (base > BACKOFF_LAST_MS) base = BACKOFF_LAST_MS;
    if (retry_after_s > RETRY_AFTER_MAX_S) retry_after_s = RETRY_AFTER_MAX_S;
    r->backoff_ms = base;
    r->due_ms = now_ms() + (retry_after_s ? retry_after_s * 1000ull : base / 2) +
                rdg_random_below(rdg_random_system(), base);
}

static void send_batch(records_t *r, rdg_bytes_t body) {
    rdg_http_answer_t got;
    const rdg_http_call_t c = {
        .method = "POST", .url = URL, .body = body, .timeout_ms = CALL_MS, .max_body = ANSWER_MAX};
    rdg_err_t err = rdg_http_call(r->http, &c, &got);
    unsigned status = err == RDG_OK ? got.status : 0, retry_after_s = err == RDG_OK ? got.retry_after_s : 0;
    if (status == 200) {
        log_refused(rdg_buf_view(&got.body));
        spool_drop(r->spool);
        r->backoff_ms = r->due_ms = 0;
    } else {
        rdg_log(RDG_LOG_INFO, "records.postponed", RDG_U64("status", status),
                RDG_U64("retry_after_s", retry_after_s),
                RDG_STR("why", err == RDG_OK ? "" : rdg_err_message(err)));
        wait_longer(r, retry_after_s);
    }
    if (err == RDG_OK) rdg_http_answer_fini(&got);
}

/* True: something was sent, or tried. */
static bool step(records_t *r) {
    rdg_bytes_t records[RECORDS_BATCH_MAX];
    rdg_buf_t bytes, body;
    size_t count = 0;
    if (r->due_ms > now_ms()) return false;
    rdg_buf_init(&bytes, RECORDS_BATCH_BYTES + RECORDS_TEXT_MAX);
    rdg_buf_init(&body, RECORDS_BATCH_BYTES + RECORDS_TEXT_MAX + 2 * RECORDS_BATCH_MAX + 64);
    rdg_err_t err = spool_peek(r->spool, RECORDS_BATCH_BYTES, RECORDS_BATCH_MAX, &bytes, records, &count);
    if (err == RDG_OK && count > 0) err = make_body(records, count, &body);
    if (err == RDG_OK && count > 0) send_batch(r, rdg_buf_view(&body));
    if (err != RDG_OK) {
        rdg_log_err("records.failed", err);
        wait_longer(r, 0);
    }
    rdg_buf_fini(&bytes);
    rdg_buf_fini(&body);
    return err == RDG_OK && count > 0;
}

static void *run(void *arg) {
    records_t *r = arg;
    pthread_mutex_lock(&r->lock);
    while (!r->stopping) {
        if (r->up) r->due_ms = 0;
        r->kicked = r->up = false;
        pthread_mutex_unlock(&r->lock);
        bool more = step(r);
        pthread_mutex_lock(&r->lock);
        uint64_t now = now_ms();
        if (r->stopping || r->kicked || r->up || (more && r->due_ms <= now)) continue;
        if (r->due_ms > now)
            (void)thread_cond_wait_ms(&r->wake, &r->lock, r->due_ms - now);
        else
            pthread_cond_wait(&r->wake, &r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* --- life ------------------------------------------------------------------------------------------------------ */

rdg_err_t records_start(const records_options_t *o, records_t **out) {
    records_t *r = rdg_calloc(1, sizeof *r);
    if (!r) return rdg_fail(RDG_E_NO_MEMORY, "no memory for urgent records");
    pthread_mutex_init(&r->lock, NULL);
    thread_cond_init(&r->wake);
    const spool_options_t s = {.dir = o->dir, .max_bytes = o->max_bytes};
    rdg_err_t err = spool_open(&s, &r->spool);
    if (err == RDG_OK) err = rdg_http_client_new(&r->http);
    if (err == RDG_OK) err = rdg_http_client_via(r->http, o->socket);
    if (err == RDG_OK) err = thread_start(&r->thread, run, r);
    r->running = err == RDG_OK;
    if (err == RDG_OK)
        *out = r;
    else
        records_free(r);
    return rdg_fail_in(err, "urgent records");
}

void records_up(records_t *r) {
    if (!r) return;
    pthread_mutex_lock(&r->lock);
    r->up = true;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
}

void records_stats(records_t *r, spool_stats_t *out) {
    memset(out, 0, sizeof *out);
    if (r) spool_stats(r->spool, out);
}

void records_halt(records_t *r) {
    if (!r) return;
    pthread_mutex_lock(&r->lock);
    r->stopping = true;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
}

void records_free(records_t *r) {
    if (!r) return;
    records_halt(r);
    if (r->running) pthread_join(r->thread, NULL);
    if (r->http) rdg_http_client_free(r->http);
    spool_close(r->spool);
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->lock);
    rdg_free(r);
}
