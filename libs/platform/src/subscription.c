#include "subscription.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "collect.h"
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"

#define STACK_BYTES (512u << 10)
#define LOOK_MS 1000u /* at what nobody tells of, such as acknowledged alarms */
#define BACKOFF_FIRST_MS 1000u
#define BACKOFF_LAST_MS 300000u
#define RETRY_AFTER_MAX_S 3600u
#define DELIVERY_MAX 128

typedef struct subscription {
    subscriptions_t *hub;
    pthread_t thread;
    pthread_cond_t wake;
    bool used, running, kicked, removed, finished; /* under the lock, like all that follows */
    subscription_spec_t spec;
    subscription_state_t state;
    uint64_t due_ms;
    char waiting[DELIVERY_MAX]; /* by MQTT: the delivery that was published last and is not taken; "": none */
    subscription_source_t waiting_source;
    size_t waiting_count;
    bool acked; /* it is; the thread has not seen that yet */
    unsigned
        turned; /* how often it was paused or resumed: a delivery that has begun before does not count then */
    /* The thread's own. */
    rdg_http_client_t *http;
    subscription_source_t start,
        alone_source;    /* with which it begins, so that neither source waits for the other */
    int64_t alone_until; /* one event at a time up to there: one of them was refused */
} subscription_t;

struct subscriptions {
    rdg_platform_t *p;
    rdg_sql_t *db;
    subscription_reach_t reach;
    bool stopping;
    uint64_t answer_ms, pause_ms; /* SUBSCRIPTION_TIMEOUT_MS, BACKOFF_FIRST_MS */
    pthread_mutex_t lock;
    subscription_t of[SUBSCRIPTIONS_MAX];
    rdg_metric_t *m_delivered, *m_failed, *m_dead;
};

static uint64_t mono_ms(void) {
    return rdg_mono_ms(rdg_clock_system());
}

rdg_sql_t *subscriptions_db(subscriptions_t *s) {
    return s->db;
}

/* --- what is waited for ------------------------------------------------------------------------------------------ */

/* Call with the lock held. */
static void tell_needed(subscriptions_t *h) {
    int64_t needed = INT64_MAX;
    for (size_t i = 0; i < SUBSCRIPTIONS_MAX; ++i) {
        const subscription_t *s = &h->of[i];
        if (!s->used || s->removed || s->spec.paused || !s->spec.wants[SUBSCRIPTION_RECORDS]) continue;
        if (s->spec.tenant[0]) continue;
        if (s->state.marks[SUBSCRIPTION_RECORDS] < needed) needed = s->state.marks[SUBSCRIPTION_RECORDS] + 1;
    }
    __atomic_store_n(&h->p->collect->records_needed, needed, __ATOMIC_RELEASE);
}

/* Call with the lock held. */
static subscription_t *find(subscriptions_t *h, const char *name) {
    for (size_t i = 0; i < SUBSCRIPTIONS_MAX; ++i)
        if (h->of[i].used && !h->of[i].removed && strcmp(h->of[i].spec.name, name) == 0) return &h->of[i];
    return NULL;
}

static rdg_err_t absent(const char *name) {
    return rdg_fail(RDG_E_NOT_FOUND, "subscription '%.64s' does not exist: see ridge subscription list",
                    name);
}

/* Call with the lock held, which it gives up meanwhile. */
static void wait_ms(subscription_t *s, uint64_t ms) {
    uint64_t end = mono_ms() + ms;
    struct timespec t = {(time_t)(end / 1000), (long)(end % 1000) * 1000000};
    (void)pthread_cond_timedwait(&s->wake, &s->hub->lock, &t);
}

static bool over(const subscription_t *s) {
    return s->removed || s->hub->stopping;
}

/* --- one delivery -------------------------------------------------------------------------------------------------- */

/* True: it was taken already, after its time. Else it is waited for from now on. */
static bool await_ack(subscription_t *s, const subscription_batch_t *b, const char *delivery) {
    pthread_mutex_lock(&s->hub->lock);
    bool taken = s->acked && strcmp(s->waiting, delivery) == 0;
    snprintf(s->waiting, sizeof s->waiting, "%s", taken ? "" : delivery);
    s->waiting_source = b->source;
    s->waiting_count = json_array_size(b->events);
    s->acked = false;
    pthread_mutex_unlock(&s->hub->lock);
    return taken;
}

/* By the broker: taken when the subscriber says so, for a broker keeps nothing for who has never been there. */
static void publish(subscription_t *s, const subscription_batch_t *b, const char *delivery, rdg_bytes_t body,
                    subscription_outcome_t *out) {
    subscriptions_t *h = s->hub;
    char topic[PLATFORM_TOPIC_MAX];
    memset(out, 0, sizeof *out);
    snprintf(topic, sizeof topic, "subscriptions/" SUBSCRIPTION_USER "%s", s->spec.name);
    out->taken = await_ack(s, b, delivery);
    if (out->taken) return;
    rdg_err_t err = h->p->mqtt ? rdg_mqtt_publish(h->p->mqtt, topic, body, false, NULL)
                               : rdg_fail(RDG_E_UNAVAILABLE, "the broker is not connected yet");
    pthread_mutex_lock(&h->lock);
    uint64_t end = mono_ms() + h->answer_ms, now;
    while (err == RDG_OK && !s->acked && !over(s) && (now = mono_ms()) < end) wait_ms(s, end - now);
    out->taken = s->acked;
    if (out->taken) s->waiting[0] = '\0';
    s->acked = false;
    pthread_mutex_unlock(&h->lock);
    if (err != RDG_OK)
        snprintf(out->error, sizeof out->error, "%s", rdg_err_message(err));
    else if (!out->taken)
        snprintf(out->error, sizeof out->error, "nobody has acknowledged it on %s/ack", topic);
}

static void postpone(subscription_t *s, const subscription_outcome_t *o) {
    unsigned steps = s->state.tries < 12 ? s->state.tries : 12;
    uint64_t base = s->hub->pause_ms << (steps - 1);
    if (base > BACKOFF_LAST_MS) base = BACKOFF_LAST_MS;
    uint64_t asked = o->retry_after_s < RETRY_AFTER_MAX_S ? o->retry_after_s : RETRY_AFTER_MAX_S;
    uint64_t ms = base / 2 + rdg_random_below(rdg_random_system(), base / 2 + 1);
    s->due_ms = mono_ms() + (asked * 1000 > ms ? asked * 1000 : ms);
}

/* What a delivery makes of the state. *dead: it is given up. */
static subscription_state_t outcome_of(const subscription_t *s, const subscription_batch_t *b,
                                       const subscription_outcome_t *o, bool *dead) {
    subscription_state_t next = s->state;
    int64_t count = (int64_t)json_array_size(b->events), now = (int64_t)platform_now();
    bool refused = o->refused && count == 1, old = b->newest_ms + (int64_t)s->spec.give_up_ms <= now;
    *dead = !o->taken && (refused || old) && next.tries + 1 >= SUBSCRIPTION_REFUSED_TRIES;
    if (o->taken || *dead) next.marks[b->source] = b->last;
    next.tries = o->taken || *dead ? 0 : next.tries + 1;
    next.delivered += o->taken ? count : 0;
    next.dead += *dead ? count : 0;
    if (o->taken) next.last_ms = now;
    snprintf(next.error, sizeof next.error, "%s", o->error);
    return next;
}

/* Call with the lock held. Stored, then so. */
static void settle_locked(subscription_t *s, const subscription_batch_t *b, const subscription_outcome_t *o,
                          bool *dead) {
    subscriptions_t *h = s->hub;
    size_t count = json_array_size(b->events);
    subscription_state_t next = outcome_of(s, b, o, dead);
    const subscription_dead_t letter = {.source = b->source,
                                        .first = b->first,
                                        .last = b->last,
                                        .count = count,
                                        .at_ms = (int64_t)platform_now(),
                                        .tries = s->state.tries + 1,
                                        .error = o->error};
    rdg_err_t err = *dead ? subscription_store_bury(h->db, s->spec.number, &letter, &next)
                          : subscription_store_state(h->db, s->spec.number, &next);
    if (err != RDG_OK) rdg_log_err("subscription.failed", err);
    if (err == RDG_OK) s->state = next;
    if (err != RDG_OK && s->state.tries == 0) s->state.tries = 1;
    bool apart = o->refused && count > 1; /* at once, one by one */
    if (apart) s->alone_source = b->source, s->alone_until = b->last;
    if (err != RDG_OK || (next.tries > 0 && !apart)) postpone(s, o);
    tell_needed(h);
}

static void settle(subscription_t *s, const subscription_batch_t *b, const subscription_outcome_t *o,
                   unsigned turned) {
    subscriptions_t *h = s->hub;
    bool dead = false;
    pthread_mutex_lock(&h->lock);
    unsigned tries = s->state.tries + 1;
    bool counts = !s->removed && s->turned == turned;
    if (counts) settle_locked(s, b, o, &dead);
    pthread_mutex_unlock(&h->lock);
    if (!counts) return;
    rdg_metric_add(o->taken ? h->m_delivered : dead ? h->m_dead : h->m_failed, json_array_size(b->events));
    s->start = b->source == SUBSCRIPTION_ALARMS ? SUBSCRIPTION_RECORDS : SUBSCRIPTION_ALARMS;
    if (!o->taken)
        rdg_log(RDG_LOG_WARN, dead ? "subscription.dead_letter" : "subscription.postponed",
                RDG_STR("subscription", s->spec.name), RDG_U64("events", json_array_size(b->events)),
                RDG_U64("tries", tries), RDG_STR("why", o->error));
}

static rdg_err_t ready_http(subscription_t *s) {
    return s->http ? RDG_OK : subscription_http(&s->spec, &s->hub->reach, &s->http);
}

static void deliver(subscription_t *s, const subscription_spec_t *spec, const subscription_batch_t *b,
                    unsigned turned) {
    char delivery[DELIVERY_MAX];
    subscription_outcome_t outcome = {0};
    rdg_buf_t body;
    snprintf(delivery, sizeof delivery, "%s.%c%lld-%lld", spec->name,
             b->source == SUBSCRIPTION_ALARMS ? 'a' : 'r', (long long)b->first, (long long)b->last);
    rdg_buf_init(&body, SUBSCRIPTION_BODY_MAX);
    rdg_err_t err = subscription_body(spec, delivery, b->events, &body);
    if (err == RDG_OK && spec->url[0]) err = ready_http(s);
    if (err != RDG_OK)
        snprintf(outcome.error, sizeof outcome.error, "%s", rdg_err_message(err));
    else if (spec->url[0])
        subscription_post(s->http, spec, delivery, rdg_buf_view(&body), &outcome);
    else
        publish(s, b, delivery, rdg_buf_view(&body), &outcome);
    rdg_buf_fini(&body);
    /* Cut off by the end: as if it had not been. */
    if (outcome.taken || !__atomic_load_n(&s->hub->stopping, __ATOMIC_ACQUIRE))
        settle(s, b, &outcome, turned);
}

/* What the thread knows when it looks for the next delivery. */
typedef struct look {
    subscription_spec_t spec;
    unsigned turned;
    int64_t marks[SUBSCRIPTION_SOURCES];
    subscription_source_t start;
    size_t max;
    bool away; /* by MQTT, and nobody has answered */
} look_t;

static void look(subscription_t *s, look_t *l) {
    pthread_mutex_lock(&s->hub->lock);
    l->spec = s->spec;
    l->turned = s->turned;
    memcpy(l->marks, s->state.marks, sizeof l->marks);
    /* What was taken after its time is read as it was, so that it has its name and is known. */
    bool late = s->acked && s->waiting[0];
    bool alone = s->alone_until > l->marks[s->alone_source];
    l->start = late ? s->waiting_source : s->start;
    l->max = late ? s->waiting_count : alone ? 1 : SUBSCRIPTION_BATCH;
    l->away = !s->spec.url[0] && s->state.tries > 0 && !late;
    pthread_mutex_unlock(&s->hub->lock);
}

static rdg_err_t read_next(subscription_t *s, look_t *l, subscription_batch_t *b) {
    rdg_platform_t *p = s->hub->p;
    RDG_TRY(subscription_batch_read(p, &l->spec, l->start, l->marks, l->max, b));
    bool old = b->newest_ms + (int64_t)l->spec.give_up_ms <= (int64_t)platform_now();
    if (!l->away || old || json_array_size(b->events) <= 1) return RDG_OK;
    l->start = b->source;
    subscription_batch_fini(b);
    return subscription_batch_read(p, &l->spec, l->start, l->marks, 1, b);
}

/* True: there was something to deliver. */
static bool step(subscription_t *s) {
    subscriptions_t *h = s->hub;
    subscription_batch_t b;
    look_t l;
    look(s, &l);
    const int64_t before[SUBSCRIPTION_SOURCES] = {l.marks[0], l.marks[1]};
    rdg_err_t err = read_next(s, &l, &b);
    if (err != RDG_OK) rdg_log_err("subscription.failed", err);
    bool some = err == RDG_OK && json_array_size(b.events) > 0, moved = false;
    pthread_mutex_lock(&h->lock);
    /* Unless it was turned back meanwhile. What is not wanted is not written down: it is looked at again at most. */
    for (int i = 0; err == RDG_OK && s->turned == l.turned && i < SUBSCRIPTION_SOURCES; ++i) {
        moved = moved || l.marks[i] != before[i];
        s->state.marks[i] = l.marks[i];
    }
    if (moved) tell_needed(h);
    pthread_mutex_unlock(&h->lock);
    if (some) deliver(s, &l.spec, &b, l.turned);
    if (err == RDG_OK) subscription_batch_fini(&b);
    rdg_secure_zero(l.spec.secret, sizeof l.spec.secret);
    return some || moved;
}

static void *run(void *arg) {
    subscription_t *s = arg;
    pthread_mutex_lock(&s->hub->lock);
    while (!over(s)) {
        uint64_t now = mono_ms();
        if (s->spec.paused || s->due_ms > now) {
            wait_ms(s, s->spec.paused || s->due_ms - now > LOOK_MS ? LOOK_MS : s->due_ms - now);
            continue;
        }
        s->kicked = false;
        pthread_mutex_unlock(&s->hub->lock);
        bool some = step(s);
        pthread_mutex_lock(&s->hub->lock);
        if (!some && !s->kicked && !over(s)) wait_ms(s, LOOK_MS);
    }
    pthread_mutex_unlock(&s->hub->lock);
    rdg_http_client_free(s->http);
    s->http = NULL;
    pthread_mutex_lock(&s->hub->lock);
    s->finished = true;
    pthread_mutex_unlock(&s->hub->lock);
    return NULL;
}

void subscriptions_kick(subscriptions_t *h) {
    if (!h) return;
    pthread_mutex_lock(&h->lock);
    for (size_t i = 0; i < SUBSCRIPTIONS_MAX; ++i) {
        if (!h->of[i].used) continue;
        h->of[i].kicked = true;
        pthread_cond_signal(&h->of[i].wake);
    }
    pthread_mutex_unlock(&h->lock);
}

void subscriptions_acked(subscriptions_t *h, const char *user, rdg_bytes_t payload) {
    json_t *o = NULL;
    const char *delivery = NULL;
    size_t len = strlen(SUBSCRIPTION_USER);
    if (!h || strncmp(user, SUBSCRIPTION_USER, len) != 0 || payload.len > 1024) return;
    if (rdg_json_parse(payload, &o) == RDG_OK && rdg_json_opt_str(o, "delivery", &delivery) == RDG_OK) {
        pthread_mutex_lock(&h->lock);
        subscription_t *s = find(h, user + len);
        if (s && delivery && s->waiting[0] && strcmp(s->waiting, delivery) == 0) s->acked = true;
        if (s && !s->spec.url[0]) {
            s->due_ms = 0;
            s->kicked = true;
            pthread_cond_signal(&s->wake);
        }
        pthread_mutex_unlock(&h->lock);
    }
    json_decref(o);
}

/* --- which there are ------------------------------------------------------------------------------------------------ */

/* Call with the lock held. A free place; those of removed ones whose thread has ended are free again. */
static subscription_t *place(subscriptions_t *h) {
    for (size_t i = 0; i < SUBSCRIPTIONS_MAX; ++i) {
        subscription_t *s = &h->of[i];
        if (s->used && s->removed && s->finished) {
            if (s->running) pthread_join(s->thread, NULL);
            pthread_cond_destroy(&s->wake);
            rdg_secure_zero(s, sizeof *s);
        }
        if (!s->used) return s;
    }
    return NULL;
}

/* Call with the lock held. */
static rdg_err_t begin(subscriptions_t *h, subscription_t *s, const subscription_spec_t *spec,
                       const subscription_state_t *state) {
    pthread_condattr_t cond;
    pthread_attr_t attr;
    memset(s, 0, sizeof *s);
    s->hub = h;
    s->used = true;
    s->spec = *spec;
    s->state = *state;
    pthread_condattr_init(&cond);
    pthread_condattr_setclock(&cond, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &cond);
    pthread_condattr_destroy(&cond);
    pthread_attr_init(&attr);
    (void)pthread_attr_setstacksize(&attr, STACK_BYTES);
    s->running = pthread_create(&s->thread, &attr, run, s) == 0;
    pthread_attr_destroy(&attr);
    if (s->running) return RDG_OK;
    s->removed = s->finished = true;
    return rdg_fail(RDG_E_NO_MEMORY, "cannot start the thread of subscription '%s'", spec->name);
}

/* Call with the lock held. */
static size_t count_of(const subscriptions_t *h, const char *tenant) {
    size_t n = 0;
    for (size_t i = 0; i < SUBSCRIPTIONS_MAX; ++i)
        n += h->of[i].used && !h->of[i].removed && strcmp(h->of[i].spec.tenant, tenant) == 0;
    return n;
}

rdg_err_t subscriptions_own(void *subscriptions, const char *tenant, const char *name) {
    subscriptions_t *h = subscriptions;
    pthread_mutex_lock(&h->lock);
    const subscription_t *s = find(h, name);
    bool own = s && strcmp(s->spec.tenant, tenant) == 0;
    pthread_mutex_unlock(&h->lock);
    return own ? RDG_OK : absent(name);
}

rdg_err_t subscriptions_in_use(subscriptions_t *h, const char *tenant) {
    pthread_mutex_lock(&h->lock);
    size_t n = count_of(h, tenant);
    pthread_mutex_unlock(&h->lock);
    return n == 0
               ? RDG_OK
               : rdg_fail(RDG_E_CONFLICT, "tenant '%s' has %zu subscriptions: remove them first", tenant, n);
}

rdg_err_t subscriptions_add(subscriptions_t *h, subscription_spec_t *spec, bool from_start) {
    subscription_state_t state = {0};
    RDG_TRY(subscription_batch_marks(h->p, from_start, state.marks));
    spec->created_ms = (int64_t)platform_now();
    pthread_mutex_lock(&h->lock);
    subscription_t *s = place(h);
    rdg_err_t err =
        s ? RDG_OK : rdg_fail(RDG_E_FULL, "%d subscriptions at most: remove one", SUBSCRIPTIONS_MAX);
    if (err == RDG_OK && spec->tenant[0] && count_of(h, spec->tenant) >= SUBSCRIPTIONS_TENANT_MAX)
        err = rdg_fail(RDG_E_FULL, "%d subscriptions of tenant %s at most: remove one",
                       SUBSCRIPTIONS_TENANT_MAX, spec->tenant);
    if (err == RDG_OK) err = subscription_store_add(h->db, spec, &state);
    if (err == RDG_OK) err = begin(h, s, spec, &state);
    if (err != RDG_OK && spec->number > 0) (void)subscription_store_remove(h->db, spec->number);
    tell_needed(h);
    pthread_mutex_unlock(&h->lock);
    return err;
}

rdg_err_t subscriptions_remove(subscriptions_t *h, const char *name) {
    pthread_mutex_lock(&h->lock);
    subscription_t *s = find(h, name);
    rdg_err_t err = s ? subscription_store_remove(h->db, s->spec.number) : absent(name);
    if (err == RDG_OK) {
        s->removed = true;
        pthread_cond_signal(&s->wake);
        tell_needed(h);
    }
    pthread_mutex_unlock(&h->lock);
    return err;
}

rdg_err_t subscriptions_pause(subscriptions_t *h, const char *name, bool pause, const int64_t *marks) {
    pthread_mutex_lock(&h->lock);
    subscription_t *s = find(h, name);
    rdg_err_t err = s ? subscription_store_pause(h->db, s->spec.number, pause) : absent(name);
    if (err == RDG_OK) {
        subscription_state_t next = s->state;
        for (int i = 0; marks && i < SUBSCRIPTION_SOURCES; ++i)
            if (marks[i] >= 0) next.marks[i] = marks[i];
        next.tries = 0;
        err = subscription_store_state(h->db, s->spec.number, &next);
        if (err == RDG_OK) s->state = next;
        ++s->turned;
        s->spec.paused = pause;
        s->waiting[0] = '\0';
        s->due_ms = 0;
        s->kicked = true;
        pthread_cond_signal(&s->wake);
        tell_needed(h);
    }
    pthread_mutex_unlock(&h->lock);
    return err;
}

rdg_err_t subscriptions_get(subscriptions_t *h, const char *name, subscription_spec_t *spec,
                            subscription_state_t *state) {
    pthread_mutex_lock(&h->lock);
    const subscription_t *s = find(h, name);
    if (s) *spec = s->spec;
    if (s) *state = s->state;
    pthread_mutex_unlock(&h->lock);
    return s ? RDG_OK : absent(name);
}

static int by_name(const void *a, const void *b) {
    return strcmp(a, b);
}

size_t subscriptions_names(subscriptions_t *h, const char *tenant, char names[SUBSCRIPTIONS_MAX][65]) {
    size_t n = 0;
    pthread_mutex_lock(&h->lock);
    for (size_t i = 0; i < SUBSCRIPTIONS_MAX; ++i)
        if (h->of[i].used && !h->of[i].removed && (!tenant || strcmp(tenant, h->of[i].spec.tenant) == 0))
            memcpy(names[n++], h->of[i].spec.name, 65);
    pthread_mutex_unlock(&h->lock);
    qsort(names, n, 65, by_name);
    return n;
}

static rdg_err_t test_event(subscriptions_t *h, const subscription_spec_t *spec, rdg_bytes_t body,
                            const char *delivery, unsigned *status) {
    char topic[PLATFORM_TOPIC_MAX];
    rdg_http_client_t *http = NULL;
    subscription_outcome_t o;
    *status = 0;
    if (!spec->url[0]) {
        snprintf(topic, sizeof topic, "subscriptions/" SUBSCRIPTION_USER "%s", spec->name);
        return rdg_mqtt_publish(h->p->mqtt, topic, body, false, NULL);
    }
    RDG_TRY(subscription_http(spec, &h->reach, &http));
    subscription_post(http, spec, delivery, body, &o);
    rdg_http_client_free(http);
    *status = o.status;
    return o.status ? RDG_OK : rdg_fail(RDG_E_UNAVAILABLE, "%s", o.error);
}

rdg_err_t subscriptions_test(subscriptions_t *h, const char *name, unsigned *status) {
    subscription_spec_t spec;
    subscription_state_t state;
    char delivery[DELIVERY_MAX];
    rdg_buf_t body;
    RDG_TRY(subscriptions_get(h, name, &spec, &state));
    snprintf(delivery, sizeof delivery, "%s.t%llu", name, (unsigned long long)platform_now());
    json_t *events =
        json_pack("[{s:s, s:s, s:I}]", "id", delivery, "type", "test", "at_ms", (json_int_t)platform_now());
    rdg_buf_init(&body, SUBSCRIPTION_BODY_MAX);
    rdg_err_t err = events ? subscription_body(&spec, delivery, events, &body)
                           : rdg_fail(RDG_E_NO_MEMORY, "no memory for a delivery");
    if (err == RDG_OK) err = test_event(h, &spec, rdg_buf_view(&body), delivery, status);
    json_decref(events);
    rdg_buf_fini(&body);
    rdg_secure_zero(spec.secret, sizeof spec.secret);
    return err;
}

rdg_err_t subscriptions_user(subscriptions_t *h, const char *name, const char *password, bool *own) {
    char user[80];
    snprintf(user, sizeof user, SUBSCRIPTION_USER "%s", name);
    *own = h->p->broker != NULL;
    if (!*own) return RDG_OK;
    if (password) return rdg_broker_set_user(h->p->broker, user, password);
    rdg_err_t err = rdg_broker_remove_user(h->p->broker, user);
    return err == RDG_E_NOT_FOUND ? RDG_OK : err;
}

/* --- life --------------------------------------------------------------------------------------------------------------- */

static rdg_err_t take_up(void *ctx, const subscription_spec_t *spec, const subscription_state_t *state) {
    subscriptions_t *h = ctx;
    pthread_mutex_lock(&h->lock);
    subscription_t *s = place(h);
    rdg_err_t err = s ? begin(h, s, spec, state) : RDG_OK;
    pthread_mutex_unlock(&h->lock);
    return err;
}

rdg_err_t subscriptions_open(rdg_platform_t *p, const subscription_reach_t *reach, rdg_metrics_t *metrics,
                             subscriptions_t **out) {
    subscriptions_t *h = rdg_calloc(1, sizeof *h);
    if (!h) return rdg_fail(RDG_E_NO_MEMORY, "no memory for subscriptions");
    h->p = p;
    h->db = p->collect->records;
    h->reach = *reach;
    h->answer_ms = SUBSCRIPTION_TIMEOUT_MS;
    h->pause_ms = BACKOFF_FIRST_MS;
    pthread_mutex_init(&h->lock, NULL);
    if (metrics) {
        h->m_delivered = rdg_metrics_counter(metrics, "ridge_subscription_delivered_total",
                                             "events that subscribers have taken", NULL);
        h->m_failed = rdg_metrics_counter(metrics, "ridge_subscription_failed_total",
                                          "events of deliveries that failed and are tried again", NULL);
        h->m_dead = rdg_metrics_counter(metrics, "ridge_subscription_dead_total", "events given up", NULL);
    }
    rdg_err_t err = subscription_store_open(h->db);
    if (err == RDG_OK) err = subscription_store_each(h->db, take_up, h);
    pthread_mutex_lock(&h->lock);
    if (err == RDG_OK) tell_needed(h);
    pthread_mutex_unlock(&h->lock);
    if (err != RDG_OK) {
        subscriptions_close(h);
        return rdg_fail_in(err, "subscriptions");
    }
    *out = h;
    return RDG_OK;
}

void subscriptions_pace(subscriptions_t *h, uint64_t answer_ms, uint64_t pause_ms) {
    pthread_mutex_lock(&h->lock);
    h->answer_ms = answer_ms;
    h->pause_ms = pause_ms;
    pthread_mutex_unlock(&h->lock);
}

void subscriptions_stop(subscriptions_t *h) {
    if (!h) return;
    pthread_mutex_lock(&h->lock);
    __atomic_store_n(&h->stopping, true, __ATOMIC_RELEASE);
    for (size_t i = 0; i < SUBSCRIPTIONS_MAX; ++i)
        if (h->of[i].used) pthread_cond_signal(&h->of[i].wake);
    pthread_mutex_unlock(&h->lock);
    for (size_t i = 0; i < SUBSCRIPTIONS_MAX; ++i) {
        if (h->of[i].running) pthread_join(h->of[i].thread, NULL);
        h->of[i].running = false;
    }
}

void subscriptions_close(subscriptions_t *h) {
    if (!h) return;
    subscriptions_stop(h);
    for (size_t i = 0; i < SUBSCRIPTIONS_MAX; ++i)
        if (h->of[i].used) pthread_cond_destroy(&h->of[i].wake);
    pthread_mutex_destroy(&h->lock);
    rdg_secure_zero(h, sizeof *h);
    rdg_free(h);
}
