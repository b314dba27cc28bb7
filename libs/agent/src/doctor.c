/* What is wrong with this device. Each check says what it found and what to do; none changes anything. */
#include "chain.h"
#include "credentials.h"
#include "identity.h"
#include "image_trust.h"
#include "ridge/agent/agent.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/image/trust.h"
#include "ridge/net/http_client.h"
#include "ridge/net/process.h"
#include "ridge/net/url.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define DAY_S 86400
#define DISK_LOW_BYTES (256ull << 20)
#define DISK_OUT_BYTES (64ull << 20)
#define CONNECT_MS 5000
#define ANSWER_MS 3000
#define RELEASE_S 1761955200 /* 2025-11-01: no clock that is right says less */

typedef struct visit {
    const rdg_agent_options_t *o;
    const char *dir;
    json_t *checks;
    rdg_agent_verdict_t worst;
    int64_t now_s;
    bool running, connected, uses_oci, uses_docker, uses_process;
} visit_t;

__attribute__((format(printf, 5, 6))) static void
say(visit_t *v, const char *check, rdg_agent_verdict_t state, const char *remedy, const char *fmt, ...) {
    static const char *const names[] = {"ok", "warning", "failure"};
    char text[RDG_ERROR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    json_array_append_new(v->checks,
                          json_pack("{s:s, s:s, s:s, s:s}", "check", check, "state", names[state], "message",
                                    text, "remedy", state == RDG_AGENT_SOUND ? "" : remedy));
    if (state > v->worst) v->worst = state;
}

static const char *in(const visit_t *v, const char *leaf, char path[PATH_MAX]) {
    int n = snprintf(path, PATH_MAX, "%s/%s", v->dir, leaf);
    return n < PATH_MAX ? path : "";
}

/* --- the device itself ------------------------------------------------------------------------------------ */

static void look_at_disk(visit_t *v) {
    struct statvfs s;
    if (statvfs(v->dir, &s) != 0) {
        say(v, "disk", RDG_AGENT_FAILED, "is the disk mounted?", "%s cannot be looked at: %s", v->dir,
            strerror(errno));
        return;
    }
    uint64_t left = (uint64_t)s.f_bavail * s.f_frsize, all = (uint64_t)s.f_blocks * s.f_frsize;
    rdg_agent_verdict_t state = left < DISK_OUT_BYTES   ? RDG_AGENT_FAILED
                                : left < DISK_LOW_BYTES ? RDG_AGENT_WARNED
                                                        : RDG_AGENT_SOUND;
    if (s.f_flag & ST_RDONLY)
        say(v, "disk", RDG_AGENT_FAILED,
            "look into the kernel's log for errors of the disk; check and remount it",
            "%s is mounted read-only", v->dir);
    else if (s.f_files > 0 && s.f_favail * 50 < s.f_files)
        say(v, "disk", RDG_AGENT_WARNED, "remove small files beside Ridge's",
            "less than 2%% of the inodes are free");
    else
        say(v, "disk", state, "archive and prune chains, or remove what else fills the disk",
            "%llu of %llu MiB are free in %s", (unsigned long long)(left >> 20),
            (unsigned long long)(all >> 20), v->dir);
}

static void look_at_clock(visit_t *v) {
    struct stat st;
    char path[PATH_MAX];
    if (v->now_s < RELEASE_S)
        say(v, "clock", RDG_AGENT_FAILED, "set the clock (timedatectl), and give the device a time source",
            "the clock says a time before this program was made: certificates will not be valid");
    else if (stat(in(v, "identity.key", path), &st) == 0 && st.st_mtime > v->now_s + DAY_S)
        say(v, "clock", RDG_AGENT_FAILED, "set the clock (timedatectl), and give the device a time source",
            "the clock is behind the time at which this device was enrolled");
    else
        say(v, "clock", RDG_AGENT_SOUND, "", "the clock is plausible");
}

/* --- who it is ------------------------------------------------------------------------------------------------ */

static void look_at_certificate(visit_t *v, const char *check, const char *dir, const char *prefix) {
    rdg_credentials_t *c = NULL;
    rdg_err_t err = rdg_credentials_load(dir, prefix, &c);
    if (err != RDG_OK) {
        say(v, check, RDG_AGENT_FAILED,
            "give the agent a new token (ridge device token): it enrols again with its key", "%s",
            rdg_err_message(err));
        return;
    }
    int64_t from = rdg_cert_not_before_s(c->sign_cert), to = rdg_cert_not_after_s(c->sign_cert);
    rdg_credentials_free(c);
    if (v->now_s < from)
        say(v, check, RDG_AGENT_FAILED, "set the clock: certificates are never made for the future",
            "the certificate becomes valid in %lld hours", (long long)((from - v->now_s) / 3600 + 1));
    else if (v->now_s > to)
        say(v, check, RDG_AGENT_FAILED,
            "is the clock right? If it is: give the agent a new token (ridge device token), it enrols again "
            "with its key",
            "the certificate ended %lld days ago", (long long)((v->now_s - to) / DAY_S));
    else if (to - v->now_s < (to - from) / 10)
        say(v, check, RDG_AGENT_WARNED, "let the device reach its cloud: the agent renews by itself",
            "the certificate ends in %lld days and has not been renewed",
            (long long)((to - v->now_s) / DAY_S));
    else
        say(v, check, RDG_AGENT_SOUND, "", "the certificate is valid for %lld more days",
            (long long)((to - v->now_s) / DAY_S));
}

static bool look_at_identity(visit_t *v, identity_t *identity) {
    char path[PATH_MAX];
    /* identity_load makes a key where there is none: looking changes nothing. */
    if (!rdg_file_exists(in(v, "identity.key", path))) {
        say(v, "identity", RDG_AGENT_FAILED, "start the agent once with a token of 'ridge device token'",
            "%s holds no device", v->dir);
        return false;
    }
    rdg_err_t err = identity_load(v->dir, identity);
    if (err != RDG_OK) {
        say(v, "identity", RDG_AGENT_FAILED,
            "see the message; a new token gives the same key new certificates", "%s", rdg_err_message(err));
        return false;
    }
    if (!identity->enrolled) {
        say(v, "identity", RDG_AGENT_FAILED,
            "set RIDGE_AGENT_TOKEN to a token of 'ridge device token' and start the agent; its log says why "
            "if it fails, and enrol.pending if an operator has to approve it ('ridge device pending')",
            "the device is not enrolled");
        identity_fini(identity);
        return false;
    }
    say(v, "identity", RDG_AGENT_SOUND, "", "device %s of %s", identity->device_id, identity->cloud_url);
    look_at_certificate(v, "certificate", v->dir, CREDENTIALS_PREFIX);
    return true;
}

/* --- the agent and its link ------------------------------------------------------------------------------------ */

static rdg_err_t get_json(const char *url, unsigned *status, json_t **out) {
    rdg_http_client_t *http = NULL;
    rdg_http_answer_t got;
    rdg_http_call_t call = {.method = "GET", .url = url, .timeout_ms = ANSWER_MS, .max_body = 65536};
    RDG_TRY(rdg_http_client_new(&http));
    rdg_err_t err = rdg_http_call(http, &call, &got);
    rdg_http_client_free(http);
    RDG_TRY(err);
    *status = got.status;
    (void)rdg_json_parse(rdg_buf_view(&got.body), out);
    rdg_http_answer_fini(&got);
    return RDG_OK;
}

static void look_at_agent(visit_t *v) {
    char path[PATH_MAX], url[400];
    rdg_buf_t text;
    json_t *address = NULL, *health = NULL;
    unsigned status = 0;
    int lock = open(in(v, "lock", path), O_RDONLY | O_CLOEXEC);
    v->running = lock >= 0 && flock(lock, LOCK_SH | LOCK_NB) != 0;
    if (lock >= 0) close(lock);
    if (!v->running) {
        say(v, "agent", RDG_AGENT_FAILED,
            "start it: systemctl start ridge-agent; journalctl -u ridge-agent says why it ended",
            "the agent does not run: its nodes go on, and nobody restarts them");
        return;
    }
    rdg_buf_init(&text, 4096);
    if (rdg_file_read(in(v, "agent.json", path), &text) == RDG_OK)
        (void)rdg_json_parse(rdg_buf_view(&text), &address);
    rdg_buf_fini(&text);
    const char *base = json_string_value(json_object_get(address, "http_url"));
    snprintf(url, sizeof url, "%.300s/v1/health", base ? base : "");
    rdg_err_t err = base ? get_json(url, &status, &health) : RDG_E_NOT_FOUND;
    if (err != RDG_OK || status != 200)
        say(v, "agent", RDG_AGENT_FAILED,
            "restart it: systemctl restart ridge-agent; nodes are not touched by that",
            "the agent runs and does not answer at %s", base ? base : "any address (no agent.json)");
    else
        say(v, "agent", RDG_AGENT_SOUND, "", "version %s runs with %lld KiB",
            json_string_value(json_object_get(health, "version")),
            (long long)json_integer_value(json_object_get(health, "rss_kib")));
    v->connected = json_is_true(json_object_get(health, "connected"));
    json_decref(address);
    json_decref(health);
}

/* 0, or why not. */
static int try_connect(const struct addrinfo *a) {
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error = 0;
    socklen_t len = sizeof error;
    if (fd < 0) return errno;
    if (connect(fd, a->ai_addr, a->ai_addrlen) != 0 && errno != EINPROGRESS) {
        error = errno;
    } else {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        if (poll(&p, 1, CONNECT_MS) != 1)
            error = ETIMEDOUT;
        else
            (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    }
    close(fd);
    return error;
}

static void look_at_link(visit_t *v, const identity_t *identity) {
    char host[256], service[8];
    uint16_t port = 0;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    if (v->connected) {
        say(v, "link", RDG_AGENT_SOUND, "", "connected to %s", identity->cloud_url);
        return;
    }
    if (rdg_url_host_port(identity->cloud_url, "tlcp", 7781, host, sizeof host, &port) != RDG_OK) {
        say(v, "link", RDG_AGENT_FAILED, "start the agent with --cloud tlcp://host:port",
            "'%.200s' names no cloud", identity->cloud_url);
        return;
    }
    snprintf(service, sizeof service, "%u", (unsigned)port);
    int e = getaddrinfo(host, service, &hints, &list);
    if (e != 0) {
        say(v, "link", RDG_AGENT_FAILED, "check the network and its name server, or give --cloud an address",
            "the name %s is not found: %s", host, gai_strerror(e));
        return;
    }
    int error = try_connect(list);
    freeaddrinfo(list);
    if (error == ECONNREFUSED)
        say(v, "link", RDG_AGENT_FAILED,
            "does ridge-cloud run there, and is its port 7781 the one of --cloud?",
            "%s port %u refuses connections", host, (unsigned)port);
    else if (error != 0)
        say(v, "link", RDG_AGENT_FAILED,
            "check cable, route and firewalls: the device must be able to dial out there",
            "%s port %u is not reached: %s", host, (unsigned)port, strerror(error));
    else
        say(v, "link", v->running ? RDG_AGENT_FAILED : RDG_AGENT_WARNED,
            "the agent's log (uplink.failed) says why; usual are a wrong clock, a revoked or ended "
            "certificate",
            "%s port %u answers, and there is no link", host, (unsigned)port);
}

/* --- what containers need --------------------------------------------------------------------------------------- */

static bool file_holds(const char *path, const char *text) {
    char line[4096];
    bool found = false;
    FILE *f = fopen(path, "re");
    while (f && !found && fgets(line, sizeof line, f)) found = strstr(line, text) != NULL;
    if (f) fclose(f);
    return found;
}

static bool program_runs(const char *program) {
    const char *const argv[] = {program, "--version", NULL};
    rdg_err_t err = rdg_process_run(argv, ANSWER_MS, NULL, 0);
    return err != RDG_E_NOT_FOUND && err != RDG_E_FORBIDDEN;
}

static void look_at_engine(visit_t *v) {
    const char *socket = v->o->docker_socket ? v->o->docker_socket : RDG_CONTAINER_DOCKER_SOCKET;
    if (rdg_container_docker_check(socket) == RDG_OK)
        say(v, "container engine", RDG_AGENT_SOUND, "", "the engine at %s answers", socket);
    else
        say(v, "container engine", RDG_AGENT_FAILED,
            "start it (systemctl start docker.socket, or podman.socket), or name its socket with "
            "--docker-socket",
            "no container engine answers at %s: driver docker starts nothing", socket);
}

static void look_at_runtime(visit_t *v) {
    rdg_agent_verdict_t bad = v->uses_oci ? RDG_AGENT_FAILED : RDG_AGENT_WARNED;
    const char *want = v->o->driver ? v->o->driver : "auto";
    if (v->uses_process) {
        const char *program = v->o->node_program ? v->o->node_program : "ridge-node";
        bool there = program_runs(program);
        say(v, "node program", there ? RDG_AGENT_SOUND : RDG_AGENT_FAILED,
            "install it, or name it with --node-program", "%s %s", program,
            there ? "is there" : "is not there: nodes of driver process cannot start");
    }
    if (v->uses_docker || strcmp(want, "docker") == 0) look_at_engine(v);
    if (!v->uses_oci && strcmp(want, "oci") != 0) return;
    if (geteuid() != 0)
        say(v, "containers", bad, "run the agent as root", "driver oci needs root");
    else if (!program_runs("runc") && !program_runs("crun"))
        say(v, "containers", bad, "install runc or crun", "there is no runtime for containers");
    else if (!file_holds("/proc/filesystems", "\toverlay"))
        say(v, "containers", bad, "modprobe overlay", "the kernel has no overlayfs");
    else if (!file_holds("/proc/self/mountinfo", " - cgroup"))
        say(v, "containers", bad, "mount cgroups (systemd does), or boot with them",
            "no cgroups are mounted: containers cannot be limited");
    else if (!file_holds("/proc/self/status", "Seccomp:"))
        say(v, "containers", bad, "use a kernel with CONFIG_SECCOMP_FILTER", "the kernel has no seccomp");
    else
        say(v, "containers", RDG_AGENT_SOUND, "", "runtime, overlayfs, cgroups and seccomp are there");
}

/* --- whose images run --------------------------------------------------------------------------------------------- */

/* Read, and not mended: the agent does that. */
static void look_at_signers(visit_t *v) {
    char path[PATH_MAX];
    rdg_buf_t text;
    rdg_image_trust_t *t = NULL;
    size_t valid = 0;
    if (image_trust_path(v->dir, path) != RDG_OK) return;
    rdg_buf_init(&text, RDG_IMAGE_TRUST_MAX);
    rdg_err_t err = rdg_file_read(path, &text);
    if (err == RDG_OK) err = rdg_image_trust_parse(rdg_buf_view(&text), &t);
    rdg_buf_fini(&text);
    for (size_t i = 0; t && i < t->signer_count; ++i) valid += !t->signers[i].revoked;
    if (err == RDG_E_NOT_FOUND)
        say(v, "image signers", v->uses_oci || v->uses_docker ? RDG_AGENT_FAILED : RDG_AGENT_WARNED,
            "let the device reach its cloud, which tells it",
            "this device has not been told whose images it may run: it runs none, and takes no new agent");
    else if (err != RDG_OK)
        say(v, "image signers", RDG_AGENT_FAILED,
            "restart the agent, which has a second copy; if that is damaged too, 'ridge image trust' makes "
            "the "
            "cloud send a new list",
            "%s", rdg_err_message(err));
    else if (valid == 0 && !t->unsigned_ok[0])
        say(v, "image signers", RDG_AGENT_WARNED, "ridge image trust NAME KEY",
            "list %llu trusts nobody: no image runs", (unsigned long long)t->number);
    else
        say(v, "image signers", RDG_AGENT_SOUND, "", "list %llu: %zu signers%s%s",
            (unsigned long long)t->number, valid, t->unsigned_ok[0] ? "; may run unsigned: " : "",
            t->unsigned_ok);
    rdg_free(t);
}

/* What starts again after a reboot. */
static void look_at_image(visit_t *v, const chain_t *c) {
    char check[96], root[PATH_MAX], trust[PATH_MAX];
    if (strcmp(c->driver, "process") == 0 || !c->image[0] || image_trust_path(v->dir, trust) != RDG_OK)
        return;
    snprintf(check, sizeof check, "image %.64s", c->name);
    rdg_container_oci_options_t o = {.root = in(v, c->driver, root), .trust_file = trust};
    rdg_err_t err = rdg_container_image_check(&o, c->image);
    if (err == RDG_OK)
        say(v, check, RDG_AGENT_SOUND, "", "%s may run here", c->image);
    else
        say(v, check, RDG_AGENT_FAILED,
            err == RDG_E_NOT_FOUND
                ? "let the device reach the image's registry, and create or recover the node again"
                : "sign the image with a key that is trusted ('ridge image sign'), and let the device pull "
                  "it "
                  "again; what runs goes on, and will not start again",
            "%s", rdg_err_message(err));
}

/* --- chains ------------------------------------------------------------------------------------------------------- */

static bool port_taken(uint16_t port) {
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bool taken = bind(fd, (struct sockaddr *)&a, sizeof a) != 0 && errno == EADDRINUSE;
    close(fd);
    return taken;
}

static void look_at_node(visit_t *v, const char *check, const chain_t *c) {
    char url[64], path[CHAIN_PATH_MAX];
    unsigned status = 0;
    json_t *answer = NULL;
    snprintf(url, sizeof url, "http://127.0.0.1:%u/health", (unsigned)c->rpc_port);
    rdg_err_t err = get_json(url, &status, &answer);
    json_decref(answer);
    bool damaged = chain_path(v->dir, c->name, "node/damaged", path) == RDG_OK && rdg_file_exists(path);
    if (damaged)
        say(v, check, RDG_AGENT_FAILED,
            "ridge node recover: it takes what it lacks from its peers or an archive",
            "the node has found damage in its ledger (%s)", path);
    else if (err == RDG_OK && status == 200)
        say(v, check, RDG_AGENT_SOUND, "", "the node answers");
    else if (err == RDG_OK)
        say(v, check, RDG_AGENT_FAILED,
            "look into its node.log; 'ridge node recover' makes a node anew from its peers",
            "the node has halted (HTTP status %u)", status);
    else if (port_taken(c->rpc_port) || port_taken(c->p2p_port))
        say(v, check, RDG_AGENT_FAILED,
            "if another program has the port (ss -ltnp), stop it; if it is the node: "
            "wait, large ledgers take a while to open",
            "the node does not answer, and its port %u or %u is taken", (unsigned)c->rpc_port,
            (unsigned)c->p2p_port);
    else
        say(v, check, RDG_AGENT_FAILED,
            "the end of its node.log and the agent's log (workload.started) say why",
            "the node should run and does not");
}

static void look_at_chain(visit_t *v, const char *name) {
    chain_t c;
    char check[96], dir[CHAIN_PATH_MAX];
    snprintf(check, sizeof check, "chain %.64s", name);
    rdg_err_t err = chain_load(v->dir, name, &c);
    if (err != RDG_OK) {
        say(v, check, RDG_AGENT_FAILED, "remove the chain with 'ridge chain destroy' and create it again",
            "%s", rdg_err_message(err));
        return;
    }
    v->uses_docker = v->uses_docker || strcmp(c.driver, "docker") == 0;
    v->uses_oci = v->uses_oci || strcmp(c.driver, "oci") == 0;
    v->uses_process = v->uses_process || strcmp(c.driver, "process") == 0;
    if (c.desired == CHAIN_REMOVED)
        say(v, check, RDG_AGENT_WARNED, "let the agent run: it goes on",
            "the removal of the chain is not finished");
    else if (c.desired == CHAIN_STOPPED)
        say(v, check, RDG_AGENT_SOUND, "", "stopped, as it should be");
    else
        look_at_node(v, check, &c);
    if (c.desired == CHAIN_RUNNING) look_at_image(v, &c);
    snprintf(check, sizeof check, "certificate %.64s", name);
    if (c.desired == CHAIN_RUNNING && chain_path(v->dir, name, "node", dir) == RDG_OK)
        look_at_certificate(v, check, dir, CREDENTIALS_NODE_PREFIX);
}

static void look_at_chains(visit_t *v) {
    char path[PATH_MAX];
    DIR *d = opendir(in(v, "chains", path));
    for (struct dirent *e; d && (e = readdir(d));)
        if (rdg_name_valid(e->d_name)) look_at_chain(v, e->d_name);
    if (d) closedir(d);
}

/* --- queues -------------------------------------------------------------------------------------------------------- */

static void look_at_queue(visit_t *v, const char *check, const char *leaf, uint64_t budget,
                          const char *remedy) {
    char path[PATH_MAX];
    uint64_t bytes = 0;
    if (!rdg_file_exists(in(v, leaf, path)) || rdg_tree_size(path, &bytes) != RDG_OK) return;
    rdg_agent_verdict_t state = bytes >= budget            ? RDG_AGENT_FAILED
                                : bytes >= budget / 10 * 8 ? RDG_AGENT_WARNED
                                                           : RDG_AGENT_SOUND;
    say(v, check, state, remedy, "%llu of %llu KiB are used", (unsigned long long)(bytes >> 10),
        (unsigned long long)(budget >> 10));
}

rdg_err_t rdg_agent_doctor(const rdg_agent_options_t *options, json_t **report,
                           rdg_agent_verdict_t *verdict) {
    static const char *const states[] = {"ok", "warning", "failure"};
    identity_t identity;
    visit_t v = {.o = options, .dir = options->dir, .checks = json_array()};
    const rdg_clock_t *clock = options->clock ? options->clock : rdg_clock_system();
    v.now_s = (int64_t)(rdg_wall_ms(clock) / 1000);
    char device[65] = "";
    if (!rdg_file_exists(v.dir)) {
        say(&v, "directory", RDG_AGENT_FAILED, "name the agent's directory with --dir", "%s does not exist",
            v.dir);
    } else if (access(v.dir, R_OK | X_OK) != 0) {
        say(&v, "directory", RDG_AGENT_FAILED, "run this as the agent's user, usually root",
            "%s may not be read", v.dir);
    } else {
        look_at_disk(&v);
        look_at_clock(&v);
        look_at_agent(&v);
        if (look_at_identity(&v, &identity)) {
            snprintf(device, sizeof device, "%s", identity.device_id);
            look_at_link(&v, &identity);
            identity_fini(&identity);
        }
        look_at_chains(&v);
        look_at_runtime(&v);
        look_at_signers(&v);
        look_at_queue(
            &v, "queue of readings", "intake", options->queue_bytes ? options->queue_bytes : 64u << 20,
            "is a chain bound (ridge intake bind), and does its node answer? Or give --queue-bytes more");
        look_at_queue(&v, "outbox", "outbox", options->outbox_bytes ? options->outbox_bytes : 2ull << 30,
                      "let the device reach its cloud, give --outbox-bytes more, or --upload-rate more");
    }
    *verdict = v.worst;
    *report = json_pack("{s:s, s:s, s:o}", "device", device, "state", states[v.worst], "checks", v.checks);
    return *report ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for the report");
}
