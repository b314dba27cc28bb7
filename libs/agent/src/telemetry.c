#include "telemetry.h"
#include <limits.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/base/random.h"
#include "thread.h"

#define BURST_MS 100u /* changes within it are told together */
#define RETRY_FIRST_MS 20000u
#define RETRY_LAST_MS 300000u
#define HOLD_MAX_MS 600000u
#define TRIES_MAX 8

typedef struct waiting {
    rdg_telemetry_name_t name;
    uint64_t made_ms; /* monotonic */
    rdg_buf_t record;
} waiting_t;

struct telemetry {
    rdg_agent_t *agent;
    spool_t *spool;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    /* Under the lock. */
    bool running, stopping, kicked, answered, up;
    waiting_t window[TELEMETRY_WINDOW];
    size_t window_count;
    rdg_telemetry_name_t
        backlog[TELEMETRY_BACKLOG_RECORDS]; /* of the message on its way, those without an answer */
    size_t backlog_count;
    bool fresh; /* something of this connection was answered */
    uint64_t hold_until_ms;
    /* The thread's own. */
    host_stats_t host;
    rdg_telemetry_t now;
    uint64_t seq, due_ms, retry_at_ms, retry_ms;
    bool sent; /* a backlog message is on its way */
    unsigned tries;
};

static uint64_t mono(void) {
    return rdg_mono_ms(rdg_clock_system());
}

/* --- the window (under the lock) ----------------------------------------------------------------------------- */

static void forget(telemetry_t *t, size_t i) {
    rdg_buf_fini(&t->window[i].record);
    memmove(&t->window[i], &t->window[i + 1], (--t->window_count - i) * sizeof t->window[0]);
}

static bool same(const rdg_telemetry_name_t *a, const rdg_telemetry_name_t *b) {
    return a->seq == b->seq && a->time_ms == b->time_ms;
}

static void settle(telemetry_t *t, const rdg_telemetry_name_t *name) {
    for (size_t i = 0; i < t->window_count; ++i)
        if (same(&t->window[i].name, name)) {
            forget(t, i);
            t->fresh = true;
            return;
        }
    for (size_t i = 0; i < t->backlog_count; ++i)
        if (same(&t->backlog[i], name)) {
            t->backlog[i] = t->backlog[--t->backlog_count];
            return;
        }
}

void telemetry_answer(telemetry_t *t, rdg_bytes_t bytes) {
    rdg_telemetry_ack_t ack;
    if (!t) return;
    rdg_err_t err = rdg_telemetry_ack_decode(bytes, &ack);
    if (err != RDG_OK) {
        rdg_log_err("telemetry.strange_answer", err);
        return;
    }
    /* What the cloud has answered for: whoever doubts its database compares (./test fleet). */
    for (size_t i = 0; i < ack.count; ++i)
        rdg_log(RDG_LOG_DEBUG, "telemetry.acknowledged", RDG_U64("seq", ack.names[i].seq),
                RDG_U64("time_ms", ack.names[i].time_ms));
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < ack.count; ++i) settle(t, &ack.names[i]);
    uint64_t hold = ack.hold_ms < HOLD_MAX_MS ? ack.hold_ms : HOLD_MAX_MS;
    t->hold_until_ms = mono() + hold;
    t->answered = true;
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->lock);
}

/* --- from the window to the disk ------------------------------------------------------------------------------ */

/* How many of the oldest have to go to disk now. */
static size_t to_spill(const telemetry_t *t, bool all) {
    size_t n = 0;
    uint64_t now = mono();
    if (all) return t->window_count;
    if (t->window_count == TELEMETRY_WINDOW) return TELEMETRY_WINDOW / 2;
    if (t->window_count == 0 || now - t->window[0].made_ms < TELEMETRY_WINDOW_MS) return 0;
    while (n < t->window_count && now - t->window[n].made_ms >= TELEMETRY_ANSWER_MS) ++n;
    return n;
}

static void spill(telemetry_t *t, bool all) {
    rdg_buf_t records[TELEMETRY_WINDOW];
    rdg_bytes_t views[TELEMETRY_WINDOW];
    pthread_mutex_lock(&t->lock);
    size_t n = to_spill(t, all);
    for (size_t i = 0; i < n; ++i) records[i] = t->window[i].record;
    memmove(&t->window[0], &t->window[n], (t->window_count - n) * sizeof t->window[0]);
    t->window_count -= n;
    pthread_mutex_unlock(&t->lock);
    for (size_t i = 0; i < n; ++i) views[i] = rdg_buf_view(&records[i]);
    rdg_err_t err = t->spool ? spool_put(t->spool, views, n) : RDG_OK;
    if (err != RDG_OK) rdg_log_err("telemetry.lost", err);
    for (size_t i = 0; i < n; ++i) rdg_buf_fini(&records[i]);
}

/* --- sending -------------------------------------------------------------------------------------------------- */

static rdg_err_t publish(telemetry_t *t, rdg_telemetry_message_t *m) {
    rdg_buf_t bytes;
    m->sent_ms = rdg_wall_ms(rdg_clock_system());
    rdg_buf_init(&bytes, RDG_TELEMETRY_MESSAGE_MAX);
    rdg_err_t err = rdg_telemetry_message_encode(m, &bytes);
    if (err == RDG_OK) err = link_publish(t->agent->link, "telemetry", rdg_buf_view(&bytes));
    rdg_buf_fini(&bytes);
    return err;
}

static void tell_now(telemetry_t *t) {
    spool_stats_t own = {0};
    rdg_buf_t record;
    rdg_telemetry_message_t m = {.live = true, .count = 1};
    spill(t, false);
    if (t->spool) spool_stats(t->spool, &own);
    telemetry_gather(t->agent, &t->host, &own, &t->now);
    t->now.seq = t->seq++;
    rdg_buf_init(&record, RDG_TELEMETRY_RECORD_MAX);
    rdg_err_t err = rdg_telemetry_encode(&t->now, &record);
    if (err != RDG_OK) {
        rdg_log_err("telemetry.failed", err);
        rdg_buf_fini(&record);
        return;
    }
    /* In the window before it is sent: the answer may be quicker than publish. */
    rdg_buf_t copy;
    rdg_buf_init(&copy, RDG_TELEMETRY_RECORD_MAX);
    bool copied = rdg_buf_append(&copy, record.data, record.len) == RDG_OK;
    pthread_mutex_lock(&t->lock);
    t->window[t->window_count++] = (waiting_t){{t->now.seq, t->now.time_ms}, mono(), record};
    pthread_mutex_unlock(&t->lock);
    m.records[0] = rdg_buf_view(&copy);
    if (copied && link_connected(t->agent->link)) (void)publish(t, &m);
    rdg_buf_fini(&copy);
}

static void send_backlog(telemetry_t *t) {
    rdg_telemetry_message_t m = {.live = false};
    rdg_buf_t bytes;
    rdg_buf_init(&bytes, TELEMETRY_BACKLOG_BYTES + SPOOL_MESSAGE_MAX);
    rdg_err_t err =
        spool_peek(t->spool, TELEMETRY_BACKLOG_BYTES, TELEMETRY_BACKLOG_RECORDS, &bytes, m.records, &m.count);
    if (err == RDG_OK && m.count > 0) {
        pthread_mutex_lock(&t->lock);
        t->backlog_count = 0;
        for (size_t i = 0; i < m.count; ++i)
            if (rdg_telemetry_name_of(m.records[i], &t->backlog[t->backlog_count]) == RDG_OK)
                ++t->backlog_count;
        pthread_mutex_unlock(&t->lock);
        err = publish(t, &m);
        t->sent = true;
        ++t->tries;
        t->retry_at_ms = mono() + t->retry_ms;
        t->retry_ms = t->retry_ms * 2 < RETRY_LAST_MS ? t->retry_ms * 2 : RETRY_LAST_MS;
    }
    if (err != RDG_OK && err != RDG_E_UNAVAILABLE) rdg_log_err("telemetry.failed", err);
    rdg_buf_fini(&bytes);
}

/* One message of the backlog at a time, and only while the cloud answers. */
static void go_on_with_backlog(telemetry_t *t) {
    spool_stats_t s;
    if (!t->spool) return;
    pthread_mutex_lock(&t->lock);
    bool done = t->sent && t->backlog_count == 0, fresh = t->fresh;
    uint64_t hold = t->hold_until_ms, now = mono();
    pthread_mutex_unlock(&t->lock);
    /* While the cloud answers other records, one that it never answers is none to it, and must not stop the rest. */
    bool hopeless = fresh && t->sent && t->tries >= TRIES_MAX && now >= t->retry_at_ms;
    if (hopeless) rdg_log(RDG_LOG_ERROR, "telemetry.unanswered", RDG_U64("tries", t->tries));
    if (done || hopeless) {
        spool_drop(t->spool);
        t->sent = false;
        t->tries = 0;
        t->retry_ms = RETRY_FIRST_MS;
    }
    if (!fresh || now < hold || (t->sent && now < t->retry_at_ms) || !link_connected(t->agent->link)) return;
    spool_stats(t->spool, &s);
    if (s.bytes > 0) send_backlog(t);
}

/* --- the thread ------------------------------------------------------------------------------------------------ */

/* A new connection: what was made without one goes to disk, from where it is sent once the cloud answers. */
static void came_up(telemetry_t *t) {
    spill(t, true);
    t->sent = false;
    t->tries = 0;
    t->retry_ms = RETRY_FIRST_MS;
}

/* The next moment that matters, when nothing happens before. Under the lock. */
static uint64_t next_moment(const telemetry_t *t) {
    uint64_t now = mono(), until = t->due_ms;
    if (t->sent && t->retry_at_ms > now && t->retry_at_ms < until) until = t->retry_at_ms;
    if (t->hold_until_ms > now && t->hold_until_ms < until) until = t->hold_until_ms;
    return until;
}

static void await(telemetry_t *t) {
    uint64_t now, until = next_moment(t);
    while (!t->stopping && !t->kicked && !t->answered && (now = mono()) < until)
        (void)thread_cond_wait_ms(&t->wake, &t->lock, until - now);
    if (!t->kicked) return;
    uint64_t end = mono() + BURST_MS;
    while (!t->stopping && (now = mono()) < end) (void)thread_cond_wait_ms(&t->wake, &t->lock, end - now);
}

static void *run(void *arg) {
    telemetry_t *t = arg;
    pthread_mutex_lock(&t->lock);
    for (;;) {
        await(t);
        if (t->stopping) break;
        bool tell = t->kicked || mono() >= t->due_ms, up = t->up;
        t->kicked = t->answered = t->up = false;
        if (up) t->fresh = false;
        pthread_mutex_unlock(&t->lock);
        if (up) came_up(t);
        if (tell) {
            t->due_ms = mono() + t->agent->telemetry_interval_ms;
            tell_now(t);
        }
        go_on_with_backlog(t);
        pthread_mutex_lock(&t->lock);
    }
    pthread_mutex_unlock(&t->lock);
    spill(t, true);
    return NULL;
}

rdg_err_t telemetry_start(rdg_agent_t *a, telemetry_t **out) {
    char path[PATH_MAX];
    telemetry_t *t = rdg_calloc(1, sizeof *t);
    if (!t) return rdg_fail(RDG_E_NO_MEMORY, "no memory for telemetry");
    t->agent = a;
    t->retry_ms = RETRY_FIRST_MS;
    t->due_ms = mono() + a->telemetry_interval_ms;
    /* A device whose clock starts at the same moment each time must not use a name again. */
    t->seq = rdg_random_below(rdg_random_system(), 1ull << 48);
    pthread_mutex_init(&t->lock, NULL);
    thread_cond_init(&t->wake);
    *out = t;
    RDG_TRY(rdg_path_join(path, sizeof path, a->dir, "telemetry"));
    spool_options_t s = {.dir = path, .max_bytes = a->telemetry_bytes, .drops = true};
    /* A disk that is full or broken is what telemetry has to tell of: it goes on in memory. */
    rdg_err_t err = spool_open(&s, &t->spool);
    if (err != RDG_OK) rdg_log_err("telemetry.no_spool", err);
    err = thread_start(&t->thread, run, t);
    t->running = err == RDG_OK;
    return err;
}

void telemetry_halt(telemetry_t *t) {
    if (!t) return;
    pthread_mutex_lock(&t->lock);
    t->stopping = true;
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->lock);
    if (t->running) pthread_join(t->thread, NULL);
    t->running = false;
}

void telemetry_free(telemetry_t *t) {
    if (!t) return;
    telemetry_halt(t);
    while (t->window_count > 0) forget(t, t->window_count - 1);
    spool_close(t->spool);
    pthread_cond_destroy(&t->wake);
    pthread_mutex_destroy(&t->lock);
    rdg_free(t);
}

static void kick(telemetry_t *t, bool up) {
    if (!t) return;
    pthread_mutex_lock(&t->lock);
    t->kicked = true;
    t->up |= up;
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->lock);
}

void telemetry_kick(telemetry_t *t) {
    kick(t, false);
}

void telemetry_up(telemetry_t *t) {
    kick(t, true);
}
