/* What joins monitoring to the rest of the platform. */
#include "internal.h"
#include "alarm.h"
#include "event.h"
#include <stdio.h>
#include "ridge/base/log.h"

#define PRUNE_TICKS 3600u

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
    struct alarms *alarms = __atomic_load_n(&p->alarms, __ATOMIC_ACQUIRE);
    if (alarms) {
        char tenant[RDG_TENANT_MAX + 1];
        devices_tenant(p, a->device, tenant);
        if (tenant[0]) alarms_tenant(alarms, a->device, tenant);
        alarms_take(alarms, a);
    }
    events_arrived(__atomic_load_n(&p->events, __ATOMIC_ACQUIRE), a);
}

static void silent(void *ctx, const char *device, const char *tenant, uint64_t ms, bool heard) {
    if (tenant[0]) alarms_tenant(ctx, device, tenant);
    alarms_silence(ctx, device, ms, heard);
}

static void tick(void *ctx) {
    rdg_platform_t *p = ctx;
    struct alarms *alarms = __atomic_load_n(&p->alarms, __ATOMIC_ACQUIRE);
    if (!alarms) return;
    devices_each_silence(p, alarms_started_ms(alarms), silent, alarms);
    if (++p->ticks % PRUNE_TICKS == 0) alarms_prune(alarms);
}

static void refused(void *ctx, const char *device, rdg_err_t why) {
    rdg_platform_t *p = ctx;
    rdg_metric_add(p->m_malformed, 1);
    rdg_log(RDG_LOG_WARN, "device.message_refused", RDG_STR("device", device), RDG_STR("kind", "telemetry"),
            RDG_STR("code", rdg_err_name(why)), RDG_STR("error", rdg_err_message(why)));
}

rdg_err_t monitoring_open(rdg_platform_t *p, const rdg_platform_options_t *o) {
    const monitor_options_t m = {.data_dir = o->data_dir,
                                 .clock = rdg_clock_system(), /* options->clock is that of certificates */
                                 .metrics = o->metrics,
                                 .answer = answer,
                                 .arrived = arrived,
                                 .refused = refused,
                                 .tick = tick,
                                 .ctx = p};
    struct alarms *alarms = NULL;
    RDG_TRY(monitor_open(&m, &p->monitor));
    RDG_TRY(
        rdg_fail_in(alarms_open(monitor_db(p->monitor), rdg_clock_system(), o->metrics, &alarms), "alarms"));
    __atomic_store_n(&p->alarms, alarms, __ATOMIC_RELEASE);
    return RDG_OK;
}
