/* What joins monitoring to the rest of the platform. */
#include "internal.h"
#include "monitor.h"
#include <stdio.h>
#include "ridge/base/log.h"

static void answer(void *ctx, const char *device, rdg_bytes_t ack) {
    rdg_platform_t *p = ctx;
    char topic[PLATFORM_TOPIC_MAX];
    snprintf(topic, sizeof topic, "devices/%s/telemetry-ack", device);
    /* One that does not get through costs a repetition. */
    if (p->mqtt) (void)rdg_mqtt_publish(p->mqtt, topic, ack, false, NULL);
}

static void arrived(void *ctx, const monitor_arrival_t *a) {
    rdg_platform_t *p = ctx;
    if (a->live) devices_record(p, a->device, a->record, a->telemetry->interval_ms);
}

static void refused(void *ctx, const char *device, rdg_err_t why) {
    rdg_platform_t *p = ctx;
    rdg_metric_add(p->m_malformed, 1);
    rdg_log(RDG_LOG_WARN, "device.message_refused", RDG_STR("device", device), RDG_STR("kind", "telemetry"),
            RDG_STR("code", rdg_err_name(why)), RDG_STR("error", rdg_err_message(why)));
}

rdg_err_t monitoring_open(rdg_platform_t *p, const rdg_platform_options_t *o) {
    const monitor_options_t m = {.data_dir = o->data_dir,
                                 .clock = o->clock,
                                 .metrics = o->metrics,
                                 .answer = answer,
                                 .arrived = arrived,
                                 .refused = refused,
                                 .ctx = p};
    return monitor_open(&m, &p->monitor);
}
