/* ridge-agent: runs the agent of one edge device (libs/agent). */
#include "ridge/agent/agent.h"
#include "ridge/agent/launch.h"
#include "ridge/base/config.h"
#include "ridge/base/log.h"
#include "ridge/container/container.h"
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const rdg_option_t options[] = {
    {"dir", RDG_OPT_STRING, "/var/lib/ridge-agent", "directory of everything this device keeps", false, 0, 0},
    {"cloud", RDG_OPT_STRING, NULL, "the cloud, as tlcp://cloud.example:7781; kept after enrolment", false, 0,
     0},
    {"name", RDG_OPT_STRING, NULL, "name of this device: 1 to 64 of [a-z0-9._-]", false, 0, 0},
    {"token", RDG_OPT_STRING, NULL, "one-time enrolment token", true, 0, 0},
    {"group", RDG_OPT_STRING, NULL,
     "group that this device was prepared for: the cloud refuses it with a token of another", false, 0, 0},
    {"driver", RDG_OPT_STRING, "auto", "how nodes run: auto, process, oci or docker", false, 0, 0},
    {"docker-socket", RDG_OPT_STRING, RDG_CONTAINER_DOCKER_SOCKET,
     "local socket of Docker or Podman, for driver docker", false, 0, 0},
    {"node-program", RDG_OPT_STRING, "ridge-node", "program of a chain node, for driver process", false, 0,
     0},
    {"advertise-host", RDG_OPT_STRING, "127.0.0.1", "address at which other nodes reach this device", false,
     0, 0},
    {"http-host", RDG_OPT_STRING, "127.0.0.1", "address of the local HTTP interface", false, 0, 0},
    {"http-port", RDG_OPT_U64, "0", "its port; 0: the system chooses, DIR/agent.json tells", false, 0, 65535},
    {"intake-broker", RDG_OPT_STRING, "none",
     "MQTT broker for readings: none, spawn (a mosquitto of our own on loopback), or the URL of one", false,
     0, 0},
    {"telemetry-interval", RDG_OPT_MS, "5s", "between two reports to the cloud", false, 100, 86400000},
    {"health-interval", RDG_OPT_MS, "10s",
     "between two looks at each node; one that does not answer six times in a row is started again", false,
     1000, 86400000},
    {"queue-bytes", RDG_OPT_SIZE, "64MiB", "disk space for readings that wait for their receipt", false,
     1 << 16, 1ull << 40},
    {"telemetry-bytes", RDG_OPT_SIZE, "4MiB",
     "disk space for telemetry while the cloud is away; then the oldest goes", false, 1 << 16, 1ull << 36},
    {"records-bytes", RDG_OPT_SIZE, "16MiB", "disk space for urgent records that wait for the cloud", false,
     1 << 16, 1ull << 37},
    {"outbox-bytes", RDG_OPT_SIZE, "2GiB", "disk space for files that wait to be uploaded", false, 1 << 20,
     1ull << 40},
    {"upload-rate", RDG_OPT_SIZE, "0", "bytes of files a second to the cloud at most; 0: no limit", false, 0,
     1ull << 40},
    {"image-bytes", RDG_OPT_SIZE, "4GiB",
     "disk space for images; above it those that nothing needs go, the oldest first", false, 1 << 20,
     1ull << 40},
    {"update-trial", RDG_OPT_MS, "5m",
     "how long a new agent has to reach the cloud before the one before it runs again", false, 1000,
     86400000},
    {"json", RDG_OPT_BOOL, "false", "of 'ridge-agent doctor': the report as JSON", false, 0, 0},
    {"log-level", RDG_OPT_STRING, "info", "debug, info, warn or error", false, 0, 0},
};

#define UPDATE_WAITS 100 /* no exit status: main() runs what waits */

/* Until SIGTERM or SIGINT (0), until the agent cannot go on (1), or until an update is there. */
static int wait_for_end(rdg_agent_t *a, const sigset_t *signals) {
    int sfd = signalfd(-1, signals, SFD_CLOEXEC);
    struct pollfd p[2] = {{.fd = sfd, .events = POLLIN}, {.fd = rdg_agent_failed_fd(a), .events = POLLIN}};
    while (poll(p, 2, -1) < 0) {
    }
    close(sfd);
    if (!(p[1].revents & POLLIN)) return 0;
    if (rdg_agent_update_waits(a)) return UPDATE_WAITS;
    fprintf(stderr, "ridge-agent: %s\n", rdg_err_message(rdg_agent_failure(a)));
    return 1;
}

static rdg_agent_options_t options_of(const rdg_config_t *c) {
    return (rdg_agent_options_t){
        .dir = rdg_config_str(c, "dir"),
        .cloud_url = rdg_config_str(c, "cloud"),
        .name = rdg_config_str(c, "name"),
        .token = rdg_config_str(c, "token"),
        .group = rdg_config_str(c, "group"),
        .driver = rdg_config_str(c, "driver"),
        .docker_socket = rdg_config_str(c, "docker-socket"),
        .node_program = rdg_config_str(c, "node-program"),
        .unpacker = "/proc/self/exe",
        .advertise_host = rdg_config_str(c, "advertise-host"),
        .http_host = rdg_config_str(c, "http-host"),
        .http_port = (uint16_t)rdg_config_u64(c, "http-port"),
        .intake_broker = rdg_config_str(c, "intake-broker"),
        .telemetry_interval_ms = rdg_config_u64(c, "telemetry-interval"),
        .health_interval_ms = rdg_config_u64(c, "health-interval"),
        .records_bytes = rdg_config_u64(c, "records-bytes"),
        .telemetry_bytes = rdg_config_u64(c, "telemetry-bytes"),
        .image_bytes = rdg_config_u64(c, "image-bytes"),
        .queue_bytes = rdg_config_u64(c, "queue-bytes"),
        .outbox_bytes = rdg_config_u64(c, "outbox-bytes"),
        .upload_bytes_per_s = rdg_config_u64(c, "upload-rate"),
    };
}

static int run(const rdg_config_t *c, const sigset_t *signals) {
    rdg_agent_options_t o = options_of(c);
    rdg_agent_t *a = NULL;
    rdg_err_t err = rdg_agent_start(&o, &a);
    if (err != RDG_OK) {
        rdg_log_err("agent.failed", err);
        fprintf(stderr, "ridge-agent: %s\n", rdg_err_message(err));
        return err == RDG_E_INVALID || err == RDG_E_CONFLICT ? 2 : 1;
    }
    rdg_log(RDG_LOG_INFO, "agent.started", RDG_STR("version", RIDGE_VERSION),
            RDG_U64("http_port", rdg_agent_http_port(a)));
    int status = wait_for_end(a, signals);
    rdg_agent_stop(a);
    rdg_log(RDG_LOG_INFO, "agent.stopped", RDG_I64("status", status));
    return status;
}

/* 0: sound, 3: warnings, 4: something is wrong. */
static int doctor(const rdg_config_t *c) {
    static const int statuses[] = {0, 3, 4};
    rdg_agent_options_t o = options_of(c);
    rdg_agent_verdict_t verdict = RDG_AGENT_FAILED;
    json_t *report = NULL, *check;
    size_t i;
    rdg_log_set_level(RDG_LOG_ERROR);
    if (rdg_agent_doctor(&o, &report, &verdict) != RDG_OK) {
        fprintf(stderr, "ridge-agent: %s\n", rdg_err_message(RDG_E_NO_MEMORY));
        return 1;
    }
    if (rdg_config_bool(c, "json")) {
        (void)json_dumpf(report, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        json_array_foreach(json_object_get(report, "checks"), i, check) {
            const char *remedy = json_string_value(json_object_get(check, "remedy"));
            printf("%-8s %-20s %s\n", json_string_value(json_object_get(check, "state")),
                   json_string_value(json_object_get(check, "check")),
                   json_string_value(json_object_get(check, "message")));
            if (remedy && remedy[0]) printf("%-8s %-20s -> %s\n", "", "", remedy);
        }
    }
    json_decref(report);
    return statuses[verdict];
}

int main(int argc, char **argv) {
    rdg_config_t *c = NULL;
    rdg_log_level_t level = RDG_LOG_INFO;
    sigset_t signals;
    int unpacked;
    if (rdg_container_unpack_main(argc, argv, &unpacked)) return unpacked;
    /* Every thread with an arena of its own would keep what it once used; a small device has better uses. */
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 64 << 10);
    mallopt(M_TRIM_THRESHOLD, 128 << 10);
    /* The workers do the handshakes of one link: libuv's four threads would only hold their stacks. */
    (void)setenv("UV_THREADPOOL_SIZE", "1", 0);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL); /* before any thread, so that all inherit it */
    signal(SIGPIPE, SIG_IGN);
    rdg_err_t err =
        rdg_config_load("ridge-agent",
                        "Runs the agent of an edge device. 'ridge-agent doctor' says what is wrong with it "
                        "(exit status 0: nothing, 3: warnings, 4: something).",
                        "RIDGE_AGENT", options, sizeof options / sizeof options[0], argc, argv, &c);
    if (err == RDG_E_CANCELLED) return 0;
    if (err == RDG_OK) err = rdg_log_level_parse(rdg_config_str(c, "log-level"), &level);
    const char *const *words = NULL;
    size_t word_count = err == RDG_OK ? rdg_config_rest(c, &words) : 0;
    bool examine = word_count == 1 && strcmp(words[0], "doctor") == 0;
    if (err == RDG_OK && word_count > 0 && !examine)
        err = rdg_fail(RDG_E_INVALID, "'%.40s' is no command: 'doctor' is the only one", words[0]);
    if (err == RDG_OK && !examine && !rdg_config_str(c, "name"))
        err = rdg_fail(RDG_E_INVALID, "the device has no name: give it one with --name");
    if (err != RDG_OK) {
        fprintf(stderr, "ridge-agent: %s\n", rdg_err_message(err));
        rdg_config_free(c);
        return 2;
    }
    if (examine) {
        int found = doctor(c);
        rdg_config_free(c);
        return found;
    }
    rdg_log_set_level(level);
    rdg_log_common("program", "ridge-agent");
    rdg_log_common("device", rdg_config_str(c, "name"));
    rdg_agent_launch(rdg_config_str(c, "dir"), argv, rdg_config_u64(c, "update-trial"));
    int status = run(c, &signals);
    rdg_config_free(c);
    if (status != UPDATE_WAITS) return status;
    rdg_agent_relaunch(argv);
    return 1;
}
