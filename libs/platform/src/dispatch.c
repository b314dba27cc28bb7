#include "internal.h"
#include "collect.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/log.h"

#define PRUNE_EVERY_MS 3600000
/* Deadlines of commands that wait for their device are looked at that often. */
#define EXPIRE_EVERY_MS 1000

/* Call with the lock held. */
static int find_flight(const rdg_platform_t *p, const char *id) {
    for (int i = 0; i < PLATFORM_IN_FLIGHT; ++i)
        if (p->in_flight[i].message_id != 0 && strcmp(p->in_flight[i].command, id) == 0) return i;
    return -1;
}

static bool can_go(rdg_platform_t *p, const char *id, const char *device) {
    pthread_mutex_lock(&p->lock);
    bool flying = find_flight(p, id) >= 0;
    pthread_mutex_unlock(&p->lock);
    return !flying && devices_online(p, device);
}

/* The message id is known only once publish returns, and its acknowledgement may come on the client's thread
 * before that: the lock makes the acknowledgement wait. */
static rdg_err_t publish(rdg_platform_t *p, const char *id, const char *topic, rdg_bytes_t payload) {
    pthread_mutex_lock(&p->lock);
    rdg_err_t err = RDG_E_FULL;
    for (int i = 0; i < PLATFORM_IN_FLIGHT; ++i) {
        if (p->in_flight[i].message_id != 0) continue;
        err = rdg_mqtt_publish(p->mqtt, topic, payload, false, &p->in_flight[i].message_id);
        if (err != RDG_OK) p->in_flight[i].message_id = 0;
        snprintf(p->in_flight[i].command, sizeof p->in_flight[i].command, "%s", id);
        break;
    }
    pthread_mutex_unlock(&p->lock);
    return err;
}

static rdg_err_t send_one(rdg_platform_t *p, const json_t *row) {
    const char *id, *device;
    char topic[PLATFORM_TOPIC_MAX];
    bool ok;
    RDG_TRY(rdg_json_get_str(row, "id", &id));
    RDG_TRY(rdg_json_get_str(row, "device", &device));
    RDG_TRY(command_hand_over(p, id, &ok));
    if (!ok) return RDG_OK;
    snprintf(topic, sizeof topic, "devices/%s/command", device);
    rdg_buf_t payload;
    rdg_buf_init(&payload, RDG_MQTT_PAYLOAD_MAX);
    rdg_err_t err = rdg_json_dump(json_object_get(row, "message"), &payload);
    if (err == RDG_OK) err = publish(p, id, topic, rdg_buf_view(&payload));
    rdg_buf_fini(&payload);
    return err;
}

static void send_queued(rdg_platform_t *p) {
    json_t *rows = NULL, *row;
    size_t i;
    rdg_err_t err = command_queued(p, can_go, PLATFORM_IN_FLIGHT, &rows);
    json_array_foreach(rows, i, row) {
        if (err == RDG_OK) err = send_one(p, row);
    }
    json_decref(rows);
    /* What could not go now goes with the next acknowledgement or connection. */
    if (err != RDG_OK && err != RDG_E_FULL && err != RDG_E_UNAVAILABLE) rdg_log_err("dispatch.failed", err);
}

static void *dispatch_main(void *arg) {
    rdg_platform_t *p = arg;
    uint64_t prune_at = 0;
    pthread_mutex_lock(&p->lock);
    while (!p->stopping) {
        uint64_t now = rdg_mono_ms(rdg_clock_system());
        bool due = p->kicked || platform_wait(p, &p->kick, now + EXPIRE_EVERY_MS), up = p->connected,
             lost = p->lost;
        p->kicked = p->lost = false;
        (void)due;
        pthread_mutex_unlock(&p->lock);
        /* The broker may have died with what it had taken and not passed on; devices know repetitions. */
        if (lost && up) (void)command_requeue(p, NULL);
        (void)command_expire(p);
        if (up) send_queued(p);
        ca_link_tick(p, up, lost);
        if (now >= prune_at) {
            (void)command_prune(p);
            collect_tick(p->collect);
            prune_at = now + PRUNE_EVERY_MS;
        }
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

rdg_err_t dispatch_start(rdg_platform_t *p) {
    int e = pthread_create(&p->dispatcher, NULL, dispatch_main, p);
    if (e != 0) return rdg_fail_errno(e, "cannot start the command dispatcher's thread");
    p->dispatching = true;
    return RDG_OK;
}

void dispatch_join(rdg_platform_t *p) {
    if (p->dispatching) pthread_join(p->dispatcher, NULL);
    p->dispatching = false;
}

void dispatch_published(rdg_platform_t *p, int message_id) {
    char id[PLATFORM_ID_MAX + 1] = "";
    pthread_mutex_lock(&p->lock);
    for (int i = 0; i < PLATFORM_IN_FLIGHT && message_id != 0; ++i) {
        if (p->in_flight[i].message_id != message_id) continue;
        snprintf(id, sizeof id, "%s", p->in_flight[i].command);
    }
    pthread_mutex_unlock(&p->lock);
    if (id[0] == '\0') return;
    rdg_err_t err = command_taken(p, id);
    if (err != RDG_OK) rdg_log_err("dispatch.failed", err);
    /* Only now: while it is in flight the dispatcher does not take it for unsent. */
    pthread_mutex_lock(&p->lock);
    int at = find_flight(p, id);
    if (at >= 0) p->in_flight[at].message_id = 0;
    pthread_mutex_unlock(&p->lock);
}

void dispatch_connection(rdg_platform_t *p, bool up) {
    pthread_mutex_lock(&p->lock);
    p->connected = up;
    if (!up) p->lost = true;
    if (!up) memset(p->in_flight, 0, sizeof p->in_flight);
    p->kicked = true;
    pthread_cond_signal(&p->kick);
    pthread_mutex_unlock(&p->lock);
}
