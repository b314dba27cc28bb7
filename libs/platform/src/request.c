#include "internal.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/log.h"
#include "ridge/base/random.h"

#define TIMEOUT_DEFAULT_MS 5000
#define TIMEOUT_MAX_MS 30000

/* A request that waits; lives on the stack of its handler. */
typedef struct waiting {
    rdg_list_t node;
    char id[33];
    const char *device;
    json_t *response; /* owned; set by the MQTT side */
} waiting_t;

void request_response(rdg_platform_t *p, const char *device, json_t *response) {
    const char *id = json_string_value(json_object_get(response, "id"));
    pthread_mutex_lock(&p->lock);
    RDG_LIST_EACH(it, &p->requests) {
        waiting_t *w = RDG_LIST_ENTRY(it, waiting_t, node);
        if (!id || w->response || strcmp(w->id, id) != 0 || strcmp(w->device, device) != 0) continue;
        w->response = response;
        response = NULL;
        pthread_cond_broadcast(&p->answered);
        break;
    }
    pthread_mutex_unlock(&p->lock);
    json_decref(response); /* too late, or never asked for */
}

static rdg_err_t enter(rdg_platform_t *p, waiting_t *w) {
    pthread_mutex_lock(&p->lock);
    rdg_err_t err =
        p->request_count >= PLATFORM_REQUESTS_MAX
            ? rdg_fail(RDG_E_FULL, "%d requests wait for devices already: try again", PLATFORM_REQUESTS_MAX)
            : RDG_OK;
    if (err == RDG_OK) {
        rdg_list_append(&p->requests, &w->node);
        ++p->request_count;
    }
    pthread_mutex_unlock(&p->lock);
    return err;
}

static rdg_err_t await(rdg_platform_t *p, const waiting_t *w, uint64_t deadline_ms) {
    pthread_mutex_lock(&p->lock);
    while (!w->response && !p->stopping && platform_wait(p, &p->answered, deadline_ms)) {
    }
    bool stopping = p->stopping;
    pthread_mutex_unlock(&p->lock);
    if (stopping) return rdg_fail(RDG_E_UNAVAILABLE, "the cloud is stopping");
    return rdg_fail(RDG_E_TIMEOUT, "device '%s' did not answer in time: see ridge device list", w->device);
}

static void leave(rdg_platform_t *p, waiting_t *w) {
    pthread_mutex_lock(&p->lock);
    rdg_list_remove(&w->node);
    --p->request_count;
    pthread_mutex_unlock(&p->lock);
}

static rdg_err_t publish(rdg_platform_t *p, const waiting_t *w, const char *method, const json_t *params,
                         uint64_t timeout_ms) {
    char topic[PLATFORM_TOPIC_MAX];
    snprintf(topic, sizeof topic, "devices/%s/request", w->device);
    uint64_t deadline = platform_now() + timeout_ms;
    json_t *message = json_pack("{s:s, s:s, s:I, s:O?}", "id", w->id, "method", method, "deadline_ms",
                                (json_int_t)deadline, "params", params);
    if (!message) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a request");
    rdg_buf_t text;
    rdg_buf_init(&text, RDG_MQTT_PAYLOAD_MAX);
    rdg_err_t err = rdg_json_dump(message, &text);
    json_decref(message);
    if (err == RDG_OK) err = rdg_mqtt_publish(p->mqtt, topic, rdg_buf_view(&text), false, NULL);
    rdg_buf_fini(&text);
    return rdg_fail_in(err, "request to device '%s'", w->device);
}

/* {"result"} or {"error"}: both mean that the device has answered. */
static rdg_err_t reply(waiting_t *w, rdg_service_answer_t *answer) {
    json_t *error = json_object_get(w->response, "error"), *result = json_object_get(w->response, "result");
    json_t *body = json_is_object(error) ? json_pack("{s:O}", "error", error)
                   : result              ? json_pack("{s:O}", "result", result)
                                         : NULL;
    json_decref(w->response);
    if (!body)
        return rdg_fail(RDG_E_PROTOCOL, "device '%s' answered with neither result nor error", w->device);
    return rdg_service_reply(answer, 200, body);
}

static rdg_err_t relay(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    rdg_platform_t *p = ctx;
    const json_t *body;
    const char *method, *device = rdg_service_arg(call, "name");
    uint64_t timeout_ms = TIMEOUT_DEFAULT_MS, start = rdg_mono_ms(rdg_clock_system());
    RDG_TRY(rdg_service_body(call, &body));
    RDG_TRY(rdg_json_get_str(body, "method", &method));
    RDG_TRY(rdg_json_opt_u64(body, "timeout_ms", &timeout_ms));
    if (timeout_ms < 1 || timeout_ms > TIMEOUT_MAX_MS)
        return rdg_fail(RDG_E_INVALID, "timeout_ms: want 1 to %d", TIMEOUT_MAX_MS);
    if (!devices_known(p, device)) return devices_absent(device);
    if (!devices_online(p, device))
        return rdg_fail(RDG_E_UNAVAILABLE,
                        "device '%s' is offline: requests are not kept; try again when it is back", device);
    waiting_t w = {.device = device};
    rdg_random_hex(rdg_random_system(), w.id, 16);
    RDG_TRY(enter(p, &w));
    rdg_metric_add(p->m_requests, 1);
    rdg_err_t err = publish(p, &w, method, json_object_get(body, "params"), timeout_ms);
    if (err == RDG_OK) err = await(p, &w, start + timeout_ms);
    leave(p, &w);
    return w.response ? reply(&w, answer) : err;
}

const rdg_service_route_t request_routes[] = {
    {"POST", "/api/v1/devices/{name}/requests", RDG_ROUTE_OWNED, relay},
};
const size_t request_route_count = sizeof request_routes / sizeof request_routes[0];
