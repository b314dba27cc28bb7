#include "link.h"
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"
#include "ridge/base/random.h"
#include "ridge/net/mqtt.h"
#include "thread.h"
#include <stdio.h>
#include <string.h>

#define ENROL_RETRY_MIN_MS 500u
#define ENROL_RETRY_MAX_MS 30000u
#define ACKS_MAX 256
#define LINK_LOOK_MS 50u
#define LIST_TOPIC "cloud/crl"
#define TRUST_TOPIC "cloud/image-trust"

typedef struct in_flight {
    int message_id;
    char id[COMMAND_ID_MAX + 1];
} in_flight_t;

struct link {
    link_options_t options;
    executor_t *executor;
    rdg_mqtt_t *mqtt;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* Under the lock. The MQTT callbacks only leave notes here: the thread acts on them, so that no callback
     * ever waits for a publish. */
    bool stopping, flush, reset;
    identity_wait_t wait; /* retry_ms: an operator has not approved this device yet */
    int acks[ACKS_MAX];
    size_t ack_count;
    /* The thread's own. */
    in_flight_t flight[LINK_IN_FLIGHT];
    size_t flight_count;
    char command_topic[128], request_topic[128], certificates_topic[128], status_topic[128],
        answer_topic[128];
};

static void note(link_t *l, bool *flag) {
    pthread_mutex_lock(&l->lock);
    *flag = true;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->lock);
}

static bool on_message(void *ctx, const char *topic, rdg_bytes_t payload) {
    link_t *l = ctx;
    if (strcmp(topic, l->request_topic) == 0) {
        l->options.request(l->options.ctx, payload);
        return true;
    }
    if (strcmp(topic, l->certificates_topic) == 0) {
        l->options.certificates(l->options.ctx, payload);
        return true;
    }
    if (strcmp(topic, l->answer_topic) == 0) {
        l->options.telemetry(l->options.ctx, payload);
        return true;
    }
    if (strcmp(topic, LIST_TOPIC) == 0) {
        l->options.list(l->options.ctx, payload);
        return true;
    }
    if (strcmp(topic, TRUST_TOPIC) == 0) {
        l->options.trust(l->options.ctx, payload);
        return true;
    }
    if (strcmp(topic, l->command_topic) != 0) return true;
    rdg_buf_t answer;
    rdg_buf_init(&answer, RDG_MQTT_PAYLOAD_MAX);
    rdg_err_t err = executor_deliver(l->executor, payload, &answer);
    if (err != RDG_OK)
        rdg_log_err("command.not_accepted", err);
    else if (answer.len > 0)
        (void)link_publish(l, "result", rdg_buf_view(&answer));
    rdg_buf_fini(&answer);
    return err == RDG_OK;
}

static void on_connection(void *ctx, bool up, const char *why) {
    link_t *l = ctx;
    rdg_log(RDG_LOG_INFO, up ? "cloud.connected" : "cloud.disconnected", RDG_STR("why", why ? why : ""));
    if (up) note(l, &l->reset);
}

static void on_published(void *ctx, int message_id) {
    link_t *l = ctx;
    pthread_mutex_lock(&l->lock);
    /* One that does not fit is sent again after the next connect. */
    if (l->ack_count < ACKS_MAX) l->acks[l->ack_count++] = message_id;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->lock);
}

rdg_err_t link_publish(link_t *l, const char *leaf, rdg_bytes_t payload) {
    char topic[128];
    rdg_mqtt_t *m = __atomic_load_n(&l->mqtt, __ATOMIC_ACQUIRE);
    if (!m) return rdg_fail(RDG_E_UNAVAILABLE, "not connected to the cloud");
    snprintf(topic, sizeof topic, "devices/%s/%s", l->options.identity->device_id, leaf);
    return rdg_mqtt_publish(m, topic, payload, false, NULL);
}

bool link_connected(link_t *l) {
    rdg_mqtt_t *m = __atomic_load_n(&l->mqtt, __ATOMIC_ACQUIRE);
    return m && rdg_mqtt_connected(m);
}

void link_flush(link_t *l) {
    note(l, &l->flush);
}

/* Waits ms or until stop; true: go on. */
static bool pause_ms(link_t *l, uint64_t ms) {
    pthread_mutex_lock(&l->lock);
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + ms, now;
    while (!l->stopping && (now = rdg_mono_ms(rdg_clock_system())) < end)
        (void)thread_cond_wait_ms(&l->wake, &l->lock, end - now);
    bool go = !l->stopping;
    pthread_mutex_unlock(&l->lock);
    return go;
}

/* The cloud has to be the token's before the token is shown to it. False: stopped, or refused for good. */
static bool wait_for_link(link_t *l) {
    const link_options_t *o = &l->options;
    while (!uplink_connected(o->uplink)) {
        rdg_err_t err = uplink_failure(o->uplink);
        if (err == RDG_E_UNAUTHENTICATED) {
            o->refused(o->ctx, rdg_fail_in(err, "the cloud at %s is not that of this token", o->cloud_url));
            return false;
        }
        if (!pause_ms(l, LINK_LOOK_MS)) return false;
    }
    return true;
}

static void note_wait(link_t *l, const identity_wait_t *asked) {
    pthread_mutex_lock(&l->lock);
    bool first = asked->retry_ms && !l->wait.retry_ms;
    l->wait = *asked;
    pthread_mutex_unlock(&l->lock);
    if (first)
        rdg_log(RDG_LOG_WARN, "enrol.pending", RDG_STR("device", l->options.name), RDG_STR("key", asked->key),
                RDG_STR("remedy", "an operator has to approve this device: 'ridge device pending' shows it, "
                                  "with this key, and 'ridge device approve' lets it in"));
}

bool link_waits(link_t *l, char key[65]) {
    pthread_mutex_lock(&l->lock);
    bool waits = l->wait.retry_ms > 0;
    memcpy(key, l->wait.key, sizeof l->wait.key);
    pthread_mutex_unlock(&l->lock);
    return waits;
}

/* The cloud holds few connections that are nobody's yet: this one is given back in between. */
static bool wait_for_approval(link_t *l, uint64_t *wait, uint64_t retry_ms) {
    uint64_t ms = *wait < retry_ms ? *wait : retry_ms;
    ms = ms / 2 + rdg_random_below(rdg_random_system(), ms);
    *wait = *wait * 2 > ENROL_RETRY_MAX_MS ? ENROL_RETRY_MAX_MS : *wait * 2;
    uplink_rest(l->options.uplink, ms);
    return pause_ms(l, ms);
}

static bool enrol(link_t *l) {
    const link_options_t *o = &l->options;
    uint64_t wait = ENROL_RETRY_MIN_MS;
    while (!o->identity->enrolled) {
        if (!o->token) {
            o->refused(o->ctx, rdg_fail(RDG_E_UNAUTHENTICATED,
                                        "this device is not enrolled and has no token: get one "
                                        "with 'ridge device token' and set RIDGE_AGENT_TOKEN"));
            return false;
        }
        if (!wait_for_link(l)) return false;
        const identity_enrolment_t how = {.dir = o->dir,
                                          .token = o->token,
                                          .name = o->name,
                                          .cloud_url = o->cloud_url,
                                          .socket = uplink_socket(o->uplink, UPLINK_ENROL),
                                          .group = o->group,
                                          .drivers = o->drivers};
        identity_wait_t asked;
        rdg_err_t err = identity_enrol(o->identity, &how, &asked);
        if (err == RDG_OK) note_wait(l, &asked);
        if (err == RDG_OK && !o->identity->enrolled) {
            if (!wait_for_approval(l, &wait, asked.retry_ms)) return false;
            continue;
        }
        if (err == RDG_OK) {
            rdg_log0(RDG_LOG_INFO, "enrol.done");
            /* From now on the link shows who we are. */
            uplink_reload(o->uplink);
            break;
        }
        if (err == RDG_E_UNAUTHENTICATED || err == RDG_E_EXISTS || err == RDG_E_INVALID ||
            err == RDG_E_FORBIDDEN) {
            o->refused(o->ctx, err);
            return false;
        }
        rdg_log_err("enrol.failed", err);
        if (!pause_ms(l, wait)) return false;
        wait = wait * 2 > ENROL_RETRY_MAX_MS ? ENROL_RETRY_MAX_MS : wait * 2;
    }
    return true;
}

static rdg_err_t connect_mqtt(link_t *l) {
    const identity_t *i = l->options.identity;
    snprintf(l->command_topic, sizeof l->command_topic, "devices/%s/command", i->device_id);
    snprintf(l->request_topic, sizeof l->request_topic, "devices/%s/request", i->device_id);
    snprintf(l->certificates_topic, sizeof l->certificates_topic, "devices/%s/certificates", i->device_id);
    snprintf(l->status_topic, sizeof l->status_topic, "devices/%s/status", i->device_id);
    snprintf(l->answer_topic, sizeof l->answer_topic, "devices/%s/telemetry-ack", i->device_id);
    const char *const subscriptions[] = {l->command_topic, l->request_topic, l->certificates_topic,
                                         l->answer_topic,  LIST_TOPIC,       TRUST_TOPIC};
    char url[160];
    snprintf(url, sizeof url, "mqtt+unix://%s", uplink_socket(l->options.uplink, UPLINK_MQTT));
    rdg_mqtt_options_t o = {.url = url,
                            .client_id = i->device_id,
                            .username = i->mqtt_username,
                            .password = i->mqtt_password,
                            .will_topic = l->status_topic,
                            .will_payload = "{\"online\":false}",
                            .subscriptions = subscriptions,
                            .subscription_count = sizeof subscriptions / sizeof subscriptions[0],
                            .message = on_message,
                            .connection = on_connection,
                            .published = on_published,
                            .ctx = l};
    rdg_mqtt_t *m = NULL;
    RDG_TRY(rdg_mqtt_start(&o, &m));
    __atomic_store_n(&l->mqtt, m, __ATOMIC_RELEASE);
    return RDG_OK;
}

static void settle(link_t *l, const int *acks, size_t count) {
    for (size_t a = 0; a < count; ++a)
        for (size_t f = 0; f < l->flight_count; ++f) {
            if (l->flight[f].message_id != acks[a]) continue;
            rdg_err_t err = journal_sent(l->options.journal, l->flight[f].id);
            if (err != RDG_OK) rdg_log_err("journal.failed", err);
            l->flight[f] = l->flight[--l->flight_count];
            break;
        }
}

/* The texts are copied out first: publishing under the journal's lock could wait for a callback that waits
 * for it. */
typedef struct unsent {
    const link_t *link;
    size_t count;
    char id[COMMAND_ID_MAX + 1];
    rdg_buf_t text;
} unsent_t;

static bool flying(const link_t *l, const char *id) {
    for (size_t f = 0; f < l->flight_count; ++f)
        if (strcmp(l->flight[f].id, id) == 0) return true;
    return false;
}

static int first_not_flying(void *ctx, const char *id, rdg_bytes_t text) {
    unsent_t *u = ctx;
    if (flying(u->link, id)) return 0;
    snprintf(u->id, sizeof u->id, "%s", id);
    rdg_buf_clear(&u->text);
    u->count = rdg_buf_append(&u->text, text.data, text.len) == RDG_OK;
    return 1;
}

static void send_unsent(link_t *l) {
    char topic[128];
    unsent_t u = {.link = l};
    rdg_buf_init(&u.text, RDG_MQTT_PAYLOAD_MAX);
    snprintf(topic, sizeof topic, "devices/%s/result", l->options.identity->device_id);
    while (l->flight_count < LINK_IN_FLIGHT) {
        int message_id = 0;
        u.count = 0;
        rdg_err_t err = journal_each_unsent(l->options.journal, LINK_IN_FLIGHT + 1, first_not_flying, &u);
        if (err != RDG_OK || u.count == 0) break;
        err = rdg_mqtt_publish(l->mqtt, topic, rdg_buf_view(&u.text), false, &message_id);
        if (err != RDG_OK) break;
        in_flight_t *f = &l->flight[l->flight_count++];
        f->message_id = message_id;
        memcpy(f->id, u.id, sizeof f->id);
    }
    rdg_buf_fini(&u.text);
}

static void *run(void *arg) {
    link_t *l = arg;
    if (!enrol(l)) return NULL;
    rdg_err_t err = connect_mqtt(l);
    if (err != RDG_OK) {
        l->options.refused(l->options.ctx, err);
        return NULL;
    }
    pthread_mutex_lock(&l->lock);
    while (!l->stopping) {
        int acks[ACKS_MAX];
        size_t ack_count = l->ack_count;
        memcpy(acks, l->acks, ack_count * sizeof acks[0]);
        bool reset = l->reset, act = reset || l->flush || ack_count > 0;
        l->ack_count = 0;
        l->flush = l->reset = false;
        if (!act) {
            pthread_cond_wait(&l->wake, &l->lock);
            continue;
        }
        pthread_mutex_unlock(&l->lock);
        settle(l, acks, ack_count);
        if (reset) {
            l->flight_count = 0;
            static const char online[] = "{\"online\":true}";
            (void)rdg_mqtt_publish(l->mqtt, l->status_topic, rdg_bytes_str(online), true, NULL);
            l->options.up(l->options.ctx);
        }
        if (rdg_mqtt_connected(l->mqtt)) send_unsent(l);
        pthread_mutex_lock(&l->lock);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

rdg_err_t link_start(const link_options_t *options, link_t **out) {
    link_t *l = rdg_calloc(1, sizeof *l);
    if (!l) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the link to the cloud");
    l->options = *options;
    pthread_mutex_init(&l->lock, NULL);
    thread_cond_init(&l->wake);
    *out = l;
    return RDG_OK;
}

void link_set_executor(link_t *l, executor_t *x) {
    l->executor = x;
}

rdg_err_t link_go(link_t *l) {
    RDG_TRY(thread_start(&l->thread, run, l));
    l->running = true;
    return RDG_OK;
}

void link_stop(link_t *l) {
    if (!l) return;
    note(l, &l->stopping);
    if (l->running) pthread_join(l->thread, NULL);
    if (l->mqtt) {
        static const char offline[] = "{\"online\":false}";
        (void)rdg_mqtt_publish(l->mqtt, l->status_topic, rdg_bytes_str(offline), true, NULL);
        rdg_mqtt_stop(l->mqtt);
    }
    pthread_cond_destroy(&l->wake);
    pthread_mutex_destroy(&l->lock);
    rdg_free(l);
}
