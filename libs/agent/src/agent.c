#include "agent_internal.h"
#include "image_trust.h"
#include "node_conf.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <unistd.h>

#define QUEUE_BYTES_DEFAULT (64u << 20)
#define OUTBOX_BYTES_DEFAULT (2ull << 30)
#define TELEMETRY_BYTES_DEFAULT (4u << 20)
#define RECORDS_BYTES_DEFAULT (16u << 20)
#define IMAGE_BYTES_DEFAULT (4ull << 30)
#define HTTP_BODY_MAX (1u << 20)
#define SETTLE_MS 10000u

static rdg_err_t lock_dir(rdg_agent_t *a) {
    char path[PATH_MAX];
    RDG_TRY(rdg_dir_make(a->dir, 0700));
    /* Workloads start in directories of their own: what they are told must not depend on ours. */
    if (!realpath(a->dir, path)) return rdg_fail_errno(errno, "cannot find %s", a->dir);
    rdg_free(a->dir);
    if (!(a->dir = rdg_strdup(path))) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the agent");
    RDG_TRY(rdg_path_join(path, sizeof path, a->dir, "lock"));
    a->dir_lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (a->dir_lock < 0) return rdg_fail_errno(errno, "cannot open %s", path);
    if (flock(a->dir_lock, LOCK_EX | LOCK_NB) == 0) return RDG_OK;
    return rdg_fail(RDG_E_BUSY, "another agent uses %s: stop it, or give this one another --dir", a->dir);
}

static bool may_use(const rdg_agent_options_t *o, const char *driver) {
    return !o->driver || strcmp(o->driver, "auto") == 0 || strcmp(o->driver, driver) == 0;
}

static rdg_err_t make_oci(rdg_agent_t *a, const rdg_agent_options_t *o, const char *trust) {
    char root[PATH_MAX];
    RDG_TRY(rdg_path_join(root, sizeof root, a->dir, "oci"));
    rdg_container_oci_options_t oci = {.root = root,
                                       .unpacker = o->unpacker,
                                       .cloud_socket = uplink_socket(a->uplink, UPLINK_IMAGES),
                                       .trust_file = trust};
    rdg_err_t err = rdg_container_oci_new(&oci, &a->drivers[a->driver_count]);
    if (err == RDG_OK) {
        ++a->driver_count;
        return RDG_OK;
    }
    if (!may_use(o, "process")) return err;
    rdg_log(RDG_LOG_INFO, "driver.absent", RDG_STR("driver", "oci"), RDG_STR("why", rdg_err_message(err)));
    return RDG_OK;
}

/* Where nobody asked for it, it is there when its engine is, or was once used: a device may start us before its engine. */
static rdg_err_t make_docker(rdg_agent_t *a, const rdg_agent_options_t *o, const char *trust) {
    char root[PATH_MAX];
    const char *socket = o->docker_socket ? o->docker_socket : RDG_CONTAINER_DOCKER_SOCKET;
    RDG_TRY(rdg_path_join(root, sizeof root, a->dir, "docker"));
    if (may_use(o, "process") && !rdg_file_exists(root) && !rdg_file_exists(socket)) return RDG_OK;
    rdg_container_docker_options_t docker = {.root = root,
                                             .socket = socket,
                                             .cloud_socket = uplink_socket(a->uplink, UPLINK_IMAGES),
                                             .trust_file = trust};
    RDG_TRY(rdg_container_docker_new(&docker, &a->drivers[a->driver_count]));
    ++a->driver_count;
    return RDG_OK;
}

static rdg_err_t make_drivers(rdg_agent_t *a, const rdg_agent_options_t *o) {
    char trust[PATH_MAX];
    if (!may_use(o, "process") && !may_use(o, "oci") && !may_use(o, "docker"))
        return rdg_fail(RDG_E_INVALID, "driver '%.32s' is unknown: use auto, process, oci or docker",
                        o->driver);
    if (may_use(o, "process"))
        RDG_TRY(rdg_container_process_new(o->node_program ? o->node_program : "ridge-node",
                                          &a->drivers[a->driver_count++]));
    RDG_TRY(image_trust_path(a->dir, trust));
    if (may_use(o, "oci") || may_use(o, "docker")) image_trust_mend(a->dir);
    if (may_use(o, "oci")) RDG_TRY(make_oci(a, o, trust));
    if (may_use(o, "docker")) RDG_TRY(make_docker(a, o, trust));
    for (size_t i = 0; i < a->driver_count; ++i) a->driver_names[i] = a->drivers[i]->name;
    return RDG_OK;
}

/* --- what the parts call back ------------------------------------------------------------------- */

static void on_changed(void *ctx) {
    rdg_agent_t *a = ctx;
    telemetry_kick(__atomic_load_n(&a->telemetry, __ATOMIC_ACQUIRE));
}

static rdg_err_t node_url(void *ctx, const char *name, char out[64]) {
    rdg_agent_t *a = ctx;
    chain_t chain;
    RDG_TRY(workloads_get(a->workloads, name, &chain));
    agent_rpc_url(&chain, out);
    return RDG_OK;
}

static void on_progress(void *ctx, rdg_bytes_t result) {
    rdg_agent_t *a = ctx;
    (void)link_publish(a->link, "result", result);
}

static void on_ended(void *ctx) {
    rdg_agent_t *a = ctx;
    link_flush(a->link);
    uploader_kick(__atomic_load_n(&a->uploader, __ATOMIC_ACQUIRE), false); /* what it made may go */
}

static void on_request(void *ctx, rdg_bytes_t text) {
    rdg_agent_t *a = ctx;
    requests_take(a->requests, text);
}

static void on_up(void *ctx) {
    rdg_agent_t *a = ctx;
    certificates_kick(a->certificates);
    uploader_kick(__atomic_load_n(&a->uploader, __ATOMIC_ACQUIRE), true);
    telemetry_up(__atomic_load_n(&a->telemetry, __ATOMIC_ACQUIRE));
    records_up(__atomic_load_n(&a->records, __ATOMIC_ACQUIRE));
}

static void on_telemetry(void *ctx, rdg_bytes_t bytes) {
    rdg_agent_t *a = ctx;
    telemetry_answer(__atomic_load_n(&a->telemetry, __ATOMIC_ACQUIRE), bytes);
}

static rdg_err_t send_certificate_request(void *ctx, rdg_bytes_t request) {
    rdg_agent_t *a = ctx;
    link_t *l = __atomic_load_n(&a->link, __ATOMIC_ACQUIRE);
    return l ? link_publish(l, "certificate-request", request)
             : rdg_fail(RDG_E_UNAVAILABLE, "not connected to the cloud");
}

static void on_certificates(void *ctx, rdg_bytes_t text) {
    rdg_agent_t *a = ctx;
    certificates_answer(a->certificates, text);
}

static void on_trust(void *ctx, rdg_bytes_t text) {
    rdg_agent_t *a = ctx;
    certificates_trust(a->certificates, text);
}

static void on_list(void *ctx, rdg_bytes_t text) {
    rdg_agent_t *a = ctx;
    certificates_list(a->certificates, text);
}

/* Nodes read their files again by themselves. */
static void on_credentials(void *ctx, const char *chain) {
    rdg_agent_t *a = ctx;
    /* The device's own: the link shows them from now on. */
    if (chain && !chain[0]) uplink_reload(a->uplink);
    on_changed(ctx);
}

static void on_refused(void *ctx, rdg_err_t why) {
    rdg_agent_t *a = ctx;
    uint64_t one = 1;
    rdg_log_err("enrol.refused", why);
    pthread_mutex_lock(&a->lock);
    a->failure = why;
    snprintf(a->failure_text, sizeof a->failure_text, "%s", rdg_err_message(why));
    pthread_mutex_unlock(&a->lock);
    (void)!write(a->failed_fd, &one, sizeof one);
}

/* --- the device's own broker ---------------------------------------------------------------------- */

static rdg_err_t connect_intake(rdg_agent_t *a, const char *url) {
    static const char *const subscriptions[] = {"ridge/readings"};
    char client_id[96];
    snprintf(client_id, sizeof client_id, "ridge-agent-%s", a->name);
    rdg_mqtt_options_t o = {.url = url,
                            .client_id = client_id,
                            .subscriptions = subscriptions,
                            .subscription_count = 1,
                            .message = local_api_message,
                            .ctx = a};
    return rdg_mqtt_start(&o, &a->intake_mqtt);
}

static rdg_err_t start_intake_broker(rdg_agent_t *a, const char *what) {
    char dir[PATH_MAX];
    if (!what || strcmp(what, "none") == 0) return RDG_OK;
    if (strcmp(what, "spawn") != 0) return connect_intake(a, what);
    RDG_TRY(rdg_path_join(dir, sizeof dir, a->dir, "broker"));
    rdg_broker_options_t o = {.dir = dir, .acl = "topic readwrite ridge/#\n", .anonymous = 1};
    RDG_TRY(rdg_broker_start(&o, &a->broker));
    return connect_intake(a, rdg_broker_url(a->broker));
}

/* --- life -------------------------------------------------------------------------------------------- */

static rdg_err_t copy_options(rdg_agent_t *a, const rdg_agent_options_t *o) {
    if (!o->dir || !o->name || !rdg_name_valid(o->name))
        return rdg_fail(RDG_E_INVALID, "a device's name has 1 to 64 of [a-z0-9._-]: '%.80s' has not",
                        o->name ? o->name : "");
    if (o->group && !rdg_name_valid(o->group))
        return rdg_fail(RDG_E_INVALID, "--group has 1 to 64 of [a-z0-9._-]: '%.80s' has not", o->group);
    a->dir = rdg_strdup(o->dir);
    a->cloud_url = rdg_strdup(o->cloud_url ? o->cloud_url : "");
    a->token = rdg_strdup(o->token);
    a->name = rdg_strdup(o->name);
    a->unpacker = rdg_strdup(o->unpacker);
    a->group = rdg_strdup(o->group);
    a->advertise_host = rdg_strdup(o->advertise_host ? o->advertise_host : "127.0.0.1");
    a->clock = o->clock ? o->clock : rdg_clock_system();
    a->image_bytes = o->image_bytes ? o->image_bytes : IMAGE_BYTES_DEFAULT;
    a->telemetry_interval_ms = o->telemetry_interval_ms ? o->telemetry_interval_ms : 5000;
    a->telemetry_bytes = o->telemetry_bytes ? o->telemetry_bytes : TELEMETRY_BYTES_DEFAULT;
    a->records_bytes = o->records_bytes ? o->records_bytes : RECORDS_BYTES_DEFAULT;
    a->queue_bytes = o->queue_bytes ? o->queue_bytes : QUEUE_BYTES_DEFAULT;
    a->outbox_bytes = o->outbox_bytes ? o->outbox_bytes : OUTBOX_BYTES_DEFAULT;
    return a->dir && a->cloud_url && a->name && a->advertise_host && (a->token || !o->token)
               ? RDG_OK
               : rdg_fail(RDG_E_NO_MEMORY, "no memory for the agent");
}

/* Enrolled before, the agent knows its cloud; what it is told now wins, for the cloud may have moved. */
static rdg_err_t start_uplink(rdg_agent_t *a) {
    if (!a->cloud_url[0] && a->identity.enrolled) {
        rdg_free(a->cloud_url);
        a->cloud_url = rdg_strdup(a->identity.cloud_url);
        if (!a->cloud_url) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the agent");
    }
    if (!a->cloud_url[0])
        return rdg_fail(RDG_E_INVALID,
                        "this device knows no cloud: give it one with --cloud tlcp://host:port");
    return uplink_start(a->uplink, a->cloud_url, a->identity.enrolled ? NULL : a->token);
}

static rdg_err_t open_identity(rdg_agent_t *a, const rdg_agent_options_t *o) {
    RDG_TRY(identity_load(a->dir, &a->identity));
    if (a->identity.enrolled && strcmp(a->identity.device_id, a->name) != 0)
        return rdg_fail(RDG_E_CONFLICT, "%s belongs to device %s, not %s: use another --dir", a->dir,
                        a->identity.device_id, a->name);
    /* It was away for too long to renew: a new token gives the same key new certificates. */
    if (a->identity.enrolled && o->token && a->identity.not_after_s < (int64_t)(rdg_wall_ms(a->clock) / 1000))
        a->identity.enrolled = false;
    return start_uplink(a);
}

/* Before all else, and whatever becomes of the rest: what should run on this device runs. */
static rdg_err_t open_workloads(rdg_agent_t *a, const rdg_agent_options_t *o) {
    RDG_TRY(lock_dir(a));
    RDG_TRY(uplink_new(a->dir, &a->uplink));
    RDG_TRY(make_drivers(a, o));
    a->metrics = rdg_metrics_new();
    a->m_commands = rdg_metrics_counter(a->metrics, "ridge_agent_commands_total", "Commands executed", NULL);
    a->m_requests = rdg_metrics_counter(a->metrics, "ridge_agent_requests_total", "Requests answered", NULL);
    workloads_options_t w = {.dir = a->dir,
                             .drivers = a->drivers,
                             .driver_count = a->driver_count,
                             .changed = on_changed,
                             .before_start = node_conf_guard,
                             .ctx = a};
    RDG_TRY(workloads_start(&w, &a->workloads));
    return health_start(a->workloads, o->health_interval_ms, &a->health);
}

static rdg_err_t open_state(rdg_agent_t *a) {
    char path[PATH_MAX];
    certificates_options_t c = {.dir = a->dir,
                                .device = a->name,
                                .clock = a->clock,
                                .workloads = a->workloads,
                                .send = send_certificate_request,
                                .changed = on_credentials,
                                .ctx = a};
    RDG_TRY(certificates_start(&c, &a->certificates));
    intake_options_t i = {
        .dir = a->dir, .queue_bytes = a->queue_bytes, .node_url = node_url, .ctx = a, .metrics = a->metrics};
    RDG_TRY(intake_start(&i, &a->intake));
    RDG_TRY(rdg_path_join(path, sizeof path, a->dir, "outbox"));
    RDG_TRY(outbox_open(path, a->outbox_bytes, &a->outbox));
    RDG_TRY(rdg_path_join(path, sizeof path, a->dir, "commands.log"));
    return journal_open(path, rdg_clock_system(), &a->journal);
}

static rdg_err_t write_address(rdg_agent_t *a, const char *host) {
    char path[PATH_MAX], url[320];
    rdg_buf_t text;
    snprintf(url, sizeof url, "http://%s:%u", host, (unsigned)rdg_http_server_port(a->http));
    RDG_TRY(rdg_path_join(path, sizeof path, a->dir, "agent.json"));
    json_t *o = json_pack("{s:s, s:s, s:s, s:I}", "device", a->name, "http_url", url, "intake_broker",
                          a->broker ? rdg_broker_url(a->broker) : "", "pid", (json_int_t)getpid());
    rdg_buf_init(&text, 4096);
    rdg_err_t err = o ? rdg_json_dump_pretty(o, &text) : RDG_E_NO_MEMORY;
    if (err == RDG_OK) err = rdg_file_replace(path, rdg_buf_view(&text), 0644);
    rdg_buf_fini(&text);
    json_decref(o);
    return err;
}

/* Trouble with their disk must not keep the rest from starting: local programs are told. */
static void start_records(rdg_agent_t *a) {
    char path[PATH_MAX];
    records_t *r = NULL;
    rdg_err_t err = rdg_path_join(path, sizeof path, a->dir, "records");
    const records_options_t o = {
        .dir = path, .max_bytes = a->records_bytes, .socket = uplink_socket(a->uplink, UPLINK_COLLECT)};
    if (err == RDG_OK) err = records_start(&o, &r);
    if (err != RDG_OK) rdg_log_err("records.failed", err);
    __atomic_store_n(&a->records, r, __ATOMIC_RELEASE);
}

static rdg_err_t start_services(rdg_agent_t *a, const rdg_agent_options_t *o) {
    link_options_t l = {.dir = a->dir,
                        .cloud_url = a->cloud_url,
                        .token = a->token,
                        .name = a->name,
                        .group = a->group,
                        .drivers = a->driver_names,
                        .identity = &a->identity,
                        .uplink = a->uplink,
                        .journal = a->journal,
                        .request = on_request,
                        .certificates = on_certificates,
                        .list = on_list,
                        .telemetry = on_telemetry,
                        .trust = on_trust,
                        .up = on_up,
                        .refused = on_refused,
                        .ctx = a};
    link_t *made = NULL;
    RDG_TRY(link_start(&l, &made));
    __atomic_store_n(&a->link, made, __ATOMIC_RELEASE);
    executor_options_t x = {.journal = a->journal,
                            .clock = rdg_clock_system(),
                            .run = agent_run_command,
                            .progress = on_progress,
                            .ended = on_ended,
                            .ctx = a};
    RDG_TRY(executor_start(&x, &a->executor));
    link_set_executor(a->link, a->executor);
    RDG_TRY(requests_start(a, &a->requests));
    uploader_options_t up = {.outbox = a->outbox,
                             .journal = a->journal,
                             .socket = uplink_socket(a->uplink, UPLINK_COLLECT),
                             .bytes_per_s = o->upload_bytes_per_s};
    uploader_t *uploader = NULL;
    RDG_TRY(uploader_start(&up, &uploader));
    __atomic_store_n(&a->uploader, uploader, __ATOMIC_RELEASE);
    start_records(a);
    telemetry_t *t = NULL;
    rdg_err_t err = telemetry_start(a, &t);
    __atomic_store_n(&a->telemetry, t, __ATOMIC_RELEASE);
    RDG_TRY(err);
    const char *host = o->http_host ? o->http_host : "127.0.0.1";
    rdg_http_server_options_t h = {
        .host = host, .port = o->http_port, .threads = 2, .max_body = HTTP_BODY_MAX, .max_connections = 64};
    RDG_TRY(rdg_http_server_start(&h, local_api_handle, a, &a->http));
    RDG_TRY(start_intake_broker(a, o->intake_broker));
    RDG_TRY(write_address(a, host));
    return link_go(a->link);
}

rdg_err_t rdg_agent_start(const rdg_agent_options_t *options, rdg_agent_t **out) {
    rdg_agent_t *a = rdg_calloc(1, sizeof *a);
    if (!a) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the agent");
    a->dir_lock = -1;
    a->failed_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    a->started_ms = rdg_mono_ms(rdg_clock_system());
    pthread_mutex_init(&a->lock, NULL);
    rdg_err_t err = copy_options(a, options);
    if (err == RDG_OK) err = open_workloads(a, options);
    if (err == RDG_OK) err = open_identity(a, options);
    if (err == RDG_OK) err = open_state(a);
    if (err == RDG_OK) err = start_services(a, options);
    if (err != RDG_OK) {
        char why[RDG_ERROR_TEXT_MAX];
        snprintf(why, sizeof why, "%s", rdg_err_message(err));
        if (a->workloads) (void)workloads_settled(a->workloads, SETTLE_MS);
        rdg_agent_stop(a);
        (void)rdg_fail(err, "%s", why);
        return rdg_fail_in(err, "cannot start the agent");
    }
    *out = a;
    return RDG_OK;
}

void rdg_agent_stop(rdg_agent_t *a) {
    if (!a) return;
    /* First all threads that act, then the link, whose callbacks only leave notes, then what they are left
     * with. */
    rdg_mqtt_stop(a->intake_mqtt);
    if (a->http) rdg_http_server_stop(a->http);
    if (a->broker) rdg_broker_stop(a->broker);
    if (a->executor) executor_halt(a->executor);
    requests_halt(a->requests);
    telemetry_halt(a->telemetry);
    certificates_stop(a->certificates);
    intake_stop(a->intake);
    health_stop(a->health);
    workloads_stop(a->workloads);
    uploader_halt(a->uploader);
    records_halt(a->records);
    link_stop(a->link);
    uplink_stop(a->uplink);
    uploader_free(a->uploader);
    records_free(a->records);
    outbox_close(a->outbox);
    certificates_free(a->certificates);
    telemetry_free(a->telemetry);
    requests_free(a->requests);
    executor_free(a->executor);
    agent_release_ports(a, NULL);
    journal_close(a->journal);
    for (size_t i = 0; i < a->driver_count; ++i) rdg_container_driver_free(a->drivers[i]);
    rdg_metrics_free(a->metrics);
    identity_fini(&a->identity);
    if (a->token) rdg_secure_zero(a->token, strlen(a->token));
    if (a->dir_lock >= 0) close(a->dir_lock);
    if (a->failed_fd >= 0) close(a->failed_fd);
    pthread_mutex_destroy(&a->lock);
    rdg_free(a->dir);
    rdg_free(a->cloud_url);
    rdg_free(a->token);
    rdg_free(a->name);
    rdg_free(a->advertise_host);
    rdg_free(a->unpacker);
    rdg_free(a->group);
    rdg_free(a);
}

uint16_t rdg_agent_http_port(const rdg_agent_t *a) {
    return rdg_http_server_port(a->http);
}

int rdg_agent_failed_fd(const rdg_agent_t *a) {
    return a->failed_fd;
}

rdg_err_t rdg_agent_failure(rdg_agent_t *a) {
    pthread_mutex_lock(&a->lock);
    rdg_err_t err = a->failure == RDG_OK ? RDG_OK : rdg_fail(a->failure, "%s", a->failure_text);
    pthread_mutex_unlock(&a->lock);
    return err;
}

bool rdg_agent_update_waits(rdg_agent_t *a) {
    pthread_mutex_lock(&a->lock);
    bool waits = a->update_waits;
    pthread_mutex_unlock(&a->lock);
    return waits;
}
