#include "command.h"
#include "enrolment.h"
#include "groups.h"
#include "rollout.h"
#include "collect.h"
#include "image_trust.h"
#include "monitor.h"
#include "subscription.h"
#include "event.h"
#include "alarm.h"
#include <time.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"

#define KEEP_FINISHED_MS (30ull * 86400000)
#define KEEP_FINISHED 100000

bool platform_wait(rdg_platform_t *p, pthread_cond_t *cond, uint64_t deadline_mono_ms) {
    struct timespec t = {(time_t)(deadline_mono_ms / 1000), (long)(deadline_mono_ms % 1000) * 1000000};
    return pthread_cond_timedwait(cond, &p->lock, &t) == 0;
}

void platform_changed(rdg_platform_t *p) {
    pthread_mutex_lock(&p->lock);
    ++p->generation;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

uint64_t platform_look(uint64_t deadline_ms) {
    uint64_t look = rdg_mono_ms(rdg_clock_system()) + RDG_SERVICE_LOOK_MS;
    return look < deadline_ms ? look : deadline_ms;
}

bool platform_wait_change(rdg_platform_t *p, const rdg_service_call_t *call, uint64_t *generation,
                          uint64_t deadline_ms) {
    const bool fair = rdg_service_wait_begin(call);
    pthread_mutex_lock(&p->lock);
    bool in_time = true;
    uint64_t soon = rdg_mono_ms(rdg_clock_system()) + PLATFORM_IMPATIENT_MS;
    if ((!fair || p->patient >= PLATFORM_PATIENT) && deadline_ms > soon) deadline_ms = soon;
    ++p->patient;
    while (p->generation == *generation && !p->stopping && in_time && !rdg_service_ended(call))
        in_time = platform_wait(p, &p->changed, platform_look(deadline_ms)) ||
                  rdg_mono_ms(rdg_clock_system()) < deadline_ms;
    --p->patient;
    bool more = p->generation != *generation && !p->stopping;
    *generation = p->generation;
    pthread_mutex_unlock(&p->lock);
    rdg_service_wait_end(call, fair);
    return more;
}

uint64_t platform_generation(rdg_platform_t *p) {
    pthread_mutex_lock(&p->lock);
    uint64_t g = p->generation;
    pthread_mutex_unlock(&p->lock);
    return g;
}

void platform_kick(rdg_platform_t *p) {
    pthread_mutex_lock(&p->lock);
    p->kicked = true;
    pthread_cond_signal(&p->kick);
    pthread_mutex_unlock(&p->lock);
}

static void init_locks(rdg_platform_t *p) {
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->changed, &attr);
    pthread_cond_init(&p->kick, &attr);
    pthread_cond_init(&p->answered, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&p->lock, NULL);
    pthread_mutex_init(&p->upkeep, NULL);
    pthread_mutex_init(&p->enrolling, NULL);
    rdg_list_init(&p->requests);
    rdg_list_init(&p->ready);
    rdg_list_init(&p->stalled);
}

static void register_metrics(rdg_platform_t *p, rdg_metrics_t *m) {
    if (!m) return;
    p->m_devices = rdg_metrics_gauge(m, "ridge_platform_devices", "enrolled devices", NULL);
    p->m_online = rdg_metrics_gauge(m, "ridge_platform_devices_online", "devices connected now", NULL);
    p->m_commands = rdg_metrics_counter(m, "ridge_platform_commands_total", "commands accepted", NULL);
    p->m_requests = rdg_metrics_counter(m, "ridge_platform_requests_total", "requests relayed", NULL);
    p->m_malformed =
        rdg_metrics_counter(m, "ridge_platform_malformed_total", "device messages refused", NULL);
    p->m_guessed = rdg_metrics_counter(m, "ridge_platform_wrong_enrolment_tokens_total",
                                       "enrolment tokens that nobody has", NULL);
    p->m_barred =
        rdg_metrics_counter(m, "ridge_platform_wrong_enrolment_tokens_barred_total",
                            "enrolments refused because their address has tried too many tokens", NULL);
    p->m_issuing_ends = rdg_metrics_gauge(m, "ridge_ca_issuing_not_after_seconds",
                                          "when the issuing CA's certificate ends, Unix time", NULL);
}

static rdg_err_t start_broker(rdg_platform_t *p, const rdg_platform_options_t *o) {
    if (o->broker_url) {
        p->broker_url = rdg_strdup(o->broker_url);
        return p->broker_url ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for the broker's URL");
    }
    char dir[4096];
    RDG_TRY(rdg_path_join(dir, sizeof dir, o->data_dir, "broker"));
    RDG_TRY(rdg_dir_make(dir, 0700));
    /* What a broker that was killed has forgotten is sent again: by devices until the database has it, by us until a command has
     * its result. Saving at every change would cost the broker's only thread a synced file a packet. */
    rdg_broker_options_t b = {
        .dir = dir, .program = o->broker_program, .port = o->broker_port, .save_every_s = 1};
    RDG_TRY(rdg_fail_in(rdg_broker_start(&b, &p->broker), "the MQTT broker"));
    p->broker_url = rdg_strdup(rdg_broker_url(p->broker));
    return p->broker_url ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for the broker's URL");
}

static rdg_err_t open_ca(rdg_platform_t *p, const rdg_platform_options_t *o) {
    ca_options_t c = {.db = p->db,
                      .data_dir = o->data_dir,
                      .clock = o->clock ? o->clock : rdg_clock_system(),
                      .life_ms = o->certificate_life_ms,
                      .chain_file = o->ca_chain,
                      .key_file = o->ca_key};
    p->data_dir = rdg_strdup(o->data_dir);
    if (!p->data_dir) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the platform");
    RDG_TRY(identity_names(p, o->link_names));
    RDG_TRY(ca_open(&c, &p->ca));
    return identity_refresh(p);
}

static rdg_err_t open_collection(rdg_platform_t *p, const rdg_platform_options_t *o) {
    collect_options_t c = {.db = p->db,
                           .data_dir = o->data_dir,
                           .store_url = o->collect_store,
                           .store_credentials = o->collect_store_credentials,
                           .store_ca = o->collect_store_ca,
                           .max_bytes = o->collect_bytes,
                           .device_bytes = o->collect_device_bytes,
                           .metrics = o->metrics};
    return collect_open(&c, &p->collect);
}

/* What is new is told to who is subscribed and to who listens. */
static void on_records(void *ctx) {
    rdg_platform_t *p = ctx;
    subscriptions_kick(p->subscriptions);
    events_kick(p->events);
}

static rdg_err_t open_events(rdg_platform_t *p, const rdg_platform_options_t *o) {
    struct events *events = NULL;
    struct subscriptions *subscriptions = NULL;
    subscription_reach_t reach = {.link_local = o->webhook_link_local};
    RDG_TRY(rdg_address_ranges_parse("--webhook-allow", o->webhook_allow, &reach.allowed));
    RDG_TRY(subscriptions_open(p, &reach, o->metrics, &subscriptions));
    __atomic_store_n(&p->subscriptions, subscriptions, __ATOMIC_RELEASE);
    RDG_TRY(events_open(p, o->metrics, &events));
    __atomic_store_n(&p->events, events, __ATOMIC_RELEASE);
    collect_listen(p->collect, on_records, p);
    return RDG_OK;
}

rdg_err_t rdg_platform_open(const rdg_platform_options_t *options, rdg_platform_t **out) {
    rdg_platform_t *p = rdg_calloc(1, sizeof *p);
    if (!p) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the platform");
    init_locks(p);
    register_metrics(p, options->metrics);
    p->command_keep_ms = options->command_keep_ms ? options->command_keep_ms : KEEP_FINISHED_MS;
    p->command_keep = options->command_keep ? options->command_keep : KEEP_FINISHED;
    rdg_err_t err = platform_store_open(p, options->data_dir);
    if (err == RDG_OK) err = devices_load(p);
    if (err == RDG_OK) err = groups_load(p);
    if (err == RDG_OK) err = open_ca(p, options);
    if (err == RDG_OK) err = replace_finish(p);
    if (err == RDG_OK) err = image_trust_open(p);
    if (err == RDG_OK) err = command_requeue(p, NULL);
    if (err == RDG_OK) err = open_collection(p, options);
    if (err == RDG_OK) err = monitoring_open(p, options);
    if (err == RDG_OK) err = start_broker(p, options);
    if (err == RDG_OK) err = link_start(p, options);
    if (err == RDG_OK) err = open_events(p, options);
    if (err == RDG_OK) err = dispatch_start(p);
    if (err != RDG_OK) {
        rdg_platform_close(p);
        return err;
    }
    *out = p;
    return RDG_OK;
}

rdg_err_t rdg_platform_enrol_routes(rdg_platform_t *p, rdg_service_t *service) {
    return rdg_service_add(service, enrol_routes, enrol_route_count, p);
}

static rdg_err_t certificates_own(void *platform, const char *tenant, const char *serial) {
    const rdg_platform_t *p = platform;
    return ca_own(p->ca, tenant, serial);
}

/* Whose each thing is that a path names. */
static rdg_err_t tell_owners(rdg_platform_t *p, rdg_service_t *service) {
    RDG_TRY(rdg_service_owner(service, "devices", devices_check, p));
    RDG_TRY(rdg_service_owner(service, "subscriptions", subscriptions_own, p->subscriptions));
    RDG_TRY(rdg_service_owner(service, "certificates", certificates_own, p));
    RDG_TRY(rdg_service_owner(service, "device-tokens", token_check, p));
    RDG_TRY(rdg_service_owner(service, "device-requests", pending_check, p));
    RDG_TRY(rdg_service_owner(service, "commands", command_check, p));
    RDG_TRY(rdg_service_owner(service, "files", collect_check, p->collect));
    RDG_TRY(rdg_service_owner(service, "alarms", alarms_check, p->alarms));
    return rdg_service_owner(service, "rollouts", rollout_check, p);
}

rdg_err_t rdg_platform_in_use(void *platform, const char *tenant) {
    const rdg_platform_t *p = platform;
    RDG_TRY(devices_in_use(platform, tenant));
    return subscriptions_in_use(p->subscriptions, tenant);
}

static rdg_err_t count_row(void *ctx, const rdg_sql_row_t *r) {
    *(uint64_t *)ctx = (uint64_t)rdg_sql_row_int(r, 0);
    return RDG_OK;
}

rdg_err_t rdg_platform_count(void *platform, rdg_share_t share, const char *tenant, uint64_t *used) {
    rdg_platform_t *p = platform;
    return rdg_sql_query(p->db,
                         share == RDG_SHARE_ROLLOUTS
                             ? "SELECT COUNT(*) FROM rollouts WHERE tenant = ? AND open = 1"
                             : "SELECT COUNT(*) FROM devices WHERE tenant = ?",
                         RDG_SQL_PARAMS(rdg_sql_text(tenant)), count_row, used);
}

rdg_err_t rdg_platform_routes(rdg_platform_t *p, rdg_service_t *service) {
    RDG_TRY(tell_owners(p, service));
    RDG_TRY(rdg_service_add(service, token_routes, token_route_count, p));
    RDG_TRY(rdg_service_add(service, pending_routes, pending_route_count, p));
    RDG_TRY(rdg_service_add(service, replace_routes, replace_route_count, p));
    RDG_TRY(rdg_service_add(service, ca_routes, ca_route_count, p));
    RDG_TRY(rdg_service_add(service, image_trust_routes, image_trust_route_count, p));
    RDG_TRY(rdg_service_add(service, devices_routes, devices_route_count, p));
    RDG_TRY(rdg_service_add(service, group_routes, group_route_count, p));
    RDG_TRY(rdg_service_add(service, rollout_routes, rollout_route_count, p));
    RDG_TRY(rdg_service_add(service, command_routes, command_route_count, p));
    RDG_TRY(rdg_service_add(service, collect_routes, collect_route_count, p->collect));
    RDG_TRY(rdg_service_add(service, record_routes, record_route_count, p->collect));
    RDG_TRY(rdg_service_add(service, collect_reader_routes, collect_reader_route_count, p->collect));
    RDG_TRY(rdg_service_add(service, subscription_routes, subscription_route_count, p->subscriptions));
    RDG_TRY(rdg_service_add(service, exposition_routes, exposition_route_count, p));
    RDG_TRY(rdg_service_add(service, live_event_routes, live_event_route_count, p->events));
    RDG_TRY(rdg_service_add(service, monitor_routes, monitor_route_count, p));
    RDG_TRY(rdg_service_add(service, alarm_routes, alarm_route_count, p->alarms));
    return rdg_service_add(service, request_routes, request_route_count, p);
}

void rdg_platform_stop(rdg_platform_t *p) {
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->changed);
    pthread_cond_broadcast(&p->answered);
    pthread_cond_broadcast(&p->kick);
    pthread_mutex_unlock(&p->lock);
    collect_stop(p->collect);
    events_stop(p->events);
}

void rdg_platform_close(rdg_platform_t *p) {
    if (!p) return;
    rdg_platform_stop(p);
    dispatch_join(p);
    if (p->collect) collect_listen(p->collect, NULL, NULL);
    subscriptions_stop(p->subscriptions);
    monitor_stop(p->monitor); /* while what it stores can still be answered */
    if (p->mqtt) rdg_mqtt_stop(p->mqtt);
    if (p->broker) rdg_broker_stop(p->broker);
    subscriptions_close(p->subscriptions);
    events_close(p->events);
    collect_close(p->collect);
    alarms_close(p->alarms);
    monitor_close(p->monitor);
    devices_free(p);
    rdg_tlcp_identity_unref(p->identity);
    image_trust_close(p);
    ca_close(p->ca);
    if (p->db) rdg_sql_close(p->db);
    pthread_cond_destroy(&p->changed);
    pthread_cond_destroy(&p->kick);
    pthread_cond_destroy(&p->answered);
    pthread_mutex_destroy(&p->lock);
    pthread_mutex_destroy(&p->upkeep);
    pthread_mutex_destroy(&p->enrolling);
    rdg_free(p->broker_url);
    rdg_free(p->data_dir);
    rdg_free(p->dns_text);
    rdg_free(p);
}

const char *rdg_platform_broker_url(const rdg_platform_t *p) {
    return p->broker_url;
}
