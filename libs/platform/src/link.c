#include "command.h"
#include "monitor.h"
#include "subscription.h"
#include "ridge/net/stream.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/base/random.h"

/* "devices/<name>/<kind>"; false for any other shape. */
static bool split_topic(const char *topic, char name[65], const char **kind) {
    static const char prefix[] = "devices/";
    if (strncmp(topic, prefix, sizeof prefix - 1) != 0) return false;
    const char *start = topic + sizeof prefix - 1, *end = strchr(start, '/');
    if (!end || end - start > 64 || end == start) return false;
    memcpy(name, start, (size_t)(end - start));
    name[end - start] = '\0';
    *kind = end + 1;
    return rdg_name_valid(name);
}

static void refuse(rdg_platform_t *p, const char *device, const char *kind, rdg_err_t err) {
    rdg_metric_add(p->m_malformed, 1);
    rdg_log(RDG_LOG_WARN, "device.message_refused", RDG_STR("device", device), RDG_STR("kind", kind),
            RDG_STR("code", rdg_err_name(err)), RDG_STR("error", rdg_err_message(err)));
}

/* What the device sent is wrong: it is dropped. What failed on our side is left for another delivery. */
static bool ours(rdg_err_t err) {
    return err == RDG_E_IO || err == RDG_E_DISK_FULL || err == RDG_E_NO_MEMORY || err == RDG_E_BUSY ||
           err == RDG_E_CORRUPT;
}

/* A device says so whenever it has connected. What the broker had for it may be gone with its session, and a
 * retained "online" may have made us send while it was away: what has not ended is sent again. */
static rdg_err_t take_status(rdg_platform_t *p, const char *device, bool online) {
    rdg_err_t err = online ? command_requeue(p, device) : RDG_OK;
    devices_status(p, device, online);
    if (online) turns_ready(p, device);
    if (online) platform_kick(p);
    return err;
}

static rdg_err_t take_result(rdg_platform_t *p, const char *device, const json_t *message) {
    RDG_TRY(command_result(p, device, message));
    ca_link_result(p, device, message);
    return RDG_OK;
}

static rdg_err_t accept(rdg_platform_t *p, const char *device, const char *kind, rdg_bytes_t payload) {
    json_t *message = NULL;
    /* Of now, or of a backlog: stored and answered by the monitor. JSON is that of agents before it. */
    if (strcmp(kind, "telemetry") == 0 && rdg_telemetry_is_message(payload)) {
        devices_seen(p, device);
        /* One that does not fit gets no answer, and comes again by itself. */
        rdg_err_t err = monitor_take(p->monitor, device, payload);
        return err == RDG_E_BUSY ? RDG_OK : err;
    }
    if (strcmp(kind, "telemetry") == 0 && payload.len > PLATFORM_TELEMETRY_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "telemetry of %zu bytes: at most %u", payload.len,
                        PLATFORM_TELEMETRY_MAX);
    if (strcmp(kind, "certificate-request") == 0 && payload.len > PLATFORM_CERTIFICATE_REQUEST_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "certificate request of %zu bytes: at most %u", payload.len,
                        PLATFORM_CERTIFICATE_REQUEST_MAX);
    RDG_TRY(rdg_json_parse(payload, &message));
    if (!json_is_object(message)) {
        json_decref(message);
        return rdg_fail(RDG_E_INVALID, "the message is no JSON object");
    }
    rdg_err_t err = RDG_OK;
    if (strcmp(kind, "telemetry") == 0) {
        devices_telemetry(p, device, message);
        return RDG_OK;
    }
    if (strcmp(kind, "response") == 0) {
        request_response(p, device, message);
        return RDG_OK;
    }
    if (strcmp(kind, "status") == 0)
        err = take_status(p, device, json_is_true(json_object_get(message, "online")));
    else if (strcmp(kind, "result") == 0)
        err = take_result(p, device, message);
    else if (strcmp(kind, "certificate-request") == 0)
        err = ca_link_request(p, device, message);
    json_decref(message);
    return err;
}

/* "subscriptions/<user>/ack" */
static bool is_ack(const char *topic, char user[80]) {
    static const char prefix[] = "subscriptions/";
    if (strncmp(topic, prefix, sizeof prefix - 1) != 0) return false;
    const char *start = topic + sizeof prefix - 1, *end = strchr(start, '/');
    if (!end || end - start >= 80 || strcmp(end, "/ack") != 0) return false;
    snprintf(user, 80, "%.*s", (int)(end - start), start);
    return true;
}

static bool on_message(void *ctx, const char *topic, rdg_bytes_t payload) {
    rdg_platform_t *p = ctx;
    char device[65];
    const char *kind;
    char user[80];
    if (is_ack(topic, user)) {
        subscriptions_acked(__atomic_load_n(&p->subscriptions, __ATOMIC_ACQUIRE), user, payload);
        return true;
    }
    if (!split_topic(topic, device, &kind) || !devices_known(p, device)) return true;
    if (payload.len == 0) return true; /* a retained message being cleared */
    rdg_err_t err = accept(p, device, kind, payload);
    if (err == RDG_OK) return true;
    refuse(p, device, kind, err);
    return !ours(err);
}

static void on_connection(void *ctx, bool up, const char *why) {
    rdg_log(up ? RDG_LOG_INFO : RDG_LOG_WARN, up ? "platform.broker_connected" : "platform.broker_lost",
            RDG_STR("why", why ? why : ""));
    dispatch_connection(ctx, up);
}

static void on_published(void *ctx, int message_id) {
    dispatch_published(ctx, message_id);
}

rdg_err_t link_start(rdg_platform_t *p, const rdg_platform_options_t *options) {
    static const char *const topics[] = {"devices/+/status",
                                         "devices/+/result",
                                         "devices/+/response",
                                         "devices/+/telemetry",
                                         "devices/+/certificate-request",
                                         "subscriptions/+/ack"};
    char password[65] = "";
    if (p->broker) {
        rdg_random_hex(rdg_random_system(), password, 32);
        RDG_TRY(rdg_broker_set_user(p->broker, "cloud", password));
    }
    /* By its local socket, where there is one: what the cloud says to its broker is on no wire then. */
    char url[RDG_LOCAL_PATH_MAX + sizeof "mqtt+unix://"];
    const char *local = p->broker ? rdg_broker_socket(p->broker) : NULL;
    snprintf(url, sizeof url, "mqtt+unix://%s", local ? local : "");
    rdg_mqtt_options_t o = {.url = local ? url : p->broker_url,
                            .client_id = "ridge-cloud",
                            .username = "cloud",
                            .password = p->broker ? password : options->broker_password,
                            .subscriptions = topics,
                            .subscription_count = sizeof topics / sizeof topics[0],
                            .message = on_message,
                            .connection = on_connection,
                            .published = on_published,
                            .ctx = p};
    rdg_err_t err = rdg_mqtt_start(&o, &p->mqtt);
    rdg_secure_zero(password, sizeof password);
    return err;
}
