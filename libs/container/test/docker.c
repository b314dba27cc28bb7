/* Driver docker against Podman's service, which speaks the same API; skipped by name where that does not run. */
#include "engine_log.h"
#include "kit.h"
#include "manifest.h"
#include "ridge/base/file.h"
#include "ridge/container/container.h"
#include "ridge/net/process.h"
#include "ridge/test.h"
#include "run_state.h"
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct world {
    rdg_process_t *service;
    rdg_container_driver_t *d;
    registry_t r;
    char dir[PATH_MAX], socket[PATH_MAX + 16], root[PATH_MAX + 16], state[PATH_MAX + 16], data[PATH_MAX + 16];
    char log[PATH_MAX + 16], service_log[PATH_MAX + 16], reference[160];
    rdg_container_spec_t spec;
} world_t;

/* With storage of its own, so that it meets nothing that the machine's engine has. */
static void start_service(world_t *w) {
    char storage[PATH_MAX + 16], run[PATH_MAX + 16], url[PATH_MAX + 32];
    snprintf(w->socket, sizeof w->socket, "%s/engine.sock", w->dir);
    snprintf(w->service_log, sizeof w->service_log, "%s/service.log", w->dir);
    snprintf(storage, sizeof storage, "%s/storage", w->dir);
    snprintf(run, sizeof run, "%s/run", w->dir);
    snprintf(url, sizeof url, "unix://%s", w->socket);
    const char *const argv[] = {"podman",   "--root",           storage, "--runroot",
                                run,        "--tmpdir",         run,     "--runtime",
                                "runc",     "--storage-driver", "vfs",   "--cgroup-manager",
                                "cgroupfs", "--events-backend", "none",  "system",
                                "service",  "--time",           "0",     url,
                                NULL};
    rdg_process_options_t o = {.argv = argv, .log_path = w->service_log, .die_with_parent = true};
    if (rdg_process_start(&o, &w->service) != RDG_OK)
        rdg_test_skip("podman is not installed (Debian: podman)");
    rdg_container_docker_options_t options = {.root = w->root, .socket = w->socket};
    CHECK_OK(rdg_container_docker_new(&options, &w->d));
    for (int i = 0; i < 900; ++i) {
        int status;
        if (rdg_container_docker_check(w->socket) == RDG_OK) return;
        if (rdg_process_wait(w->service, 100, &status) == RDG_OK) break;
    }
    rdg_test_skip("podman's service does not run here");
}

/* layer: a tar.gz, with PATH.diff beside it (kit.h). */
static void world_open_layer(world_t *w, const char *(*layer_of)(void), const char *inner,
                             const char *const *args) {
    if (geteuid() != 0)
        rdg_test_skip("needs root: Podman's service is asked for the host's network and cgroups");
    memset(w, 0, sizeof *w);
    snprintf(w->dir, sizeof w->dir, "%s", rdg_test_dir());
    snprintf(w->root, sizeof w->root, "%s/docker", w->dir);
    snprintf(w->state, sizeof w->state, "%s/state", w->dir);
    snprintf(w->data, sizeof w->data, "%s/data", w->dir);
    snprintf(w->log, sizeof w->log, "%s/log", w->dir);
    CHECK_OK(rdg_dir_make(w->data, 0700));
    start_service(w);
    const char *layer = layer_of();
    char path[PATH_MAX + 16];
    rdg_buf_t diff;
    registry_start(&w->r, layer, "{}");
    snprintf(path, sizeof path, "%s.diff", layer);
    rdg_buf_init(&diff, 100);
    CHECK_OK(rdg_file_read(path, &diff));
    snprintf(w->r.diff, sizeof w->r.diff, "%s", rdg_buf_cstr(&diff));
    rdg_buf_fini(&diff);
    set_config(&w->r, manifest_architecture(), inner);
    snprintf(w->reference, sizeof w->reference, "%s/node:1", w->r.host);
    w->spec = (rdg_container_spec_t){.name = "box",
                                     .state_dir = w->state,
                                     .data_dir = w->data,
                                     .log_path = w->log,
                                     .image = w->reference,
                                     .args = args,
                                     .memory_bytes = 64u << 20,
                                     .pids = 32};
}

static void world_open(world_t *w, const char *inner, const char *const *args) {
    world_open_layer(w, shell_layer, inner, args);
}

static void world_close(world_t *w) {
    CHECK_OK(w->d->remove(w->d->ctx, &w->spec, NULL));
    rdg_container_driver_free(w->d);
    CHECK_OK(rdg_process_stop(w->service, 5000));
    rdg_process_free(w->service);
    registry_stop(&w->r);
}

static rdg_container_status_t status_of(world_t *w) {
    rdg_container_status_t s;
    CHECK_OK(w->d->status(w->d->ctx, &w->spec, &s));
    return s;
}

/* The log is copied when somebody looks. */
static void await_log(world_t *w, const char *text) {
    for (int i = 0; i < 900; ++i) {
        rdg_buf_t b;
        (void)status_of(w);
        rdg_buf_init(&b, 1u << 20);
        bool found =
            rdg_file_read(w->log, &b) == RDG_OK && rdg_buf_cstr(&b) && strstr(rdg_buf_cstr(&b), text);
        rdg_buf_fini(&b);
        if (found) return;
        usleep(100000);
    }
    rdg_buf_t b;
    rdg_container_status_t s = status_of(w);
    rdg_buf_init(&b, 1u << 20);
    (void)rdg_file_read(w->log, &b);
    rdg_test_fail(__FILE__, __LINE__, "%s never said '%s' (state %d, exit status %d), but: %s", w->log, text,
                  (int)s.state, s.exit_status, rdg_buf_cstr(&b));
}

static size_t count_in(const char *path, const char *text) {
    rdg_buf_t b;
    size_t n = 0;
    rdg_buf_init(&b, 1u << 20);
    CHECK_OK(rdg_file_read(path, &b));
    for (const char *at = rdg_buf_cstr(&b); at && (at = strstr(at, text)); ++at) ++n;
    rdg_buf_fini(&b);
    return n;
}

/* As the engine was told. */
static void check_limits(world_t *w, json_int_t memory, json_int_t pids) {
    const engine_t e = {w->socket};
    char id[CONTAINER_ID_MAX], path[160];
    json_t *o = NULL;
    json_int_t got_memory = 0, got_pids = 0;
    container_id(&w->spec, id);
    snprintf(path, sizeof path, "/containers/%s/json", id);
    CHECK_OK(engine_call(&e, "GET", path, NULL, 30000, &o));
    CHECK_EQ(json_unpack(o, "{s:{s:I, s:I}}", "HostConfig", "Memory", &got_memory, "PidsLimit", &got_pids),
             0);
    json_decref(o);
    CHECK_EQ(got_memory, memory);
    CHECK_EQ(got_pids, pids);
}

TEST(docker_containers_run_within_the_walls_of_oci_and_leave_nothing_behind) {
    static const char *const args[] = {
        "-c",
        "trap 'echo bye; echo bye >/var/lib/ridge-node/ended; exit 7' TERM; echo in "
        ">/var/lib/ridge-node/made; "
        "(echo x >/owned) 2>/dev/null && echo writable; (echo x >/tmp/scratch) && echo tmp; "
        "while read k v; do case $k in Cap*|NoNewPrivs:|Seccomp:) echo $k $v;; esac; done "
        "</proc/self/status; "
        "while read l; do case $l in 'Max open files'*) echo $l;; esac; done </proc/self/limits; "
        "echo to-error >&2; echo ready; while :; do sleep 0.1; done",
        NULL};
    world_t w;
    world_open(&w, "{\"Entrypoint\":[\"/bin/sh\"],\"Labels\":{\"ridge.memory.max\":\"48MiB\"}}", args);
    rdg_container_driver_t *d = w.d;
    CHECK_STR(d->name, "docker");
    CHECK_ERR(d->start(d->ctx, &w.spec), RDG_E_NOT_FOUND);
    CHECK_OK(d->prepare(d->ctx, w.reference, NULL, NULL));
    size_t served = w.r.served;
    CHECK_OK(d->prepare(d->ctx, w.reference, NULL, NULL));
    CHECK_EQ(w.r.served, served); /* the engine has it; nothing is kept here a second time */
    char blob[PATH_MAX + 200];
    snprintf(blob, sizeof blob, "%s/blobs/sha256/%.64s", w.root, w.r.layer_digest + 7);
    CHECK(!rdg_file_exists(blob));
    CHECK_OK(d->start(d->ctx, &w.spec));
    rdg_container_status_t s = status_of(&w);
    CHECK_EQ(s.state, RDG_CONTAINER_RUNNING);
    await_log(&w, "ready");
    check_limits(&w, 48 << 20, 32); /* the image's ceiling of memory is the lower one */
    CHECK_EQ(count_in(w.log, "writable"), 0);
    CHECK_EQ(count_in(w.log, "tmp\n"), 1);
    CHECK_EQ(count_in(w.log, "CapEff: 0000000000000000"), 1);
    CHECK_EQ(count_in(w.log, "CapBnd: 0000000000000000"), 1);
    CHECK_EQ(count_in(w.log, "NoNewPrivs: 1"), 1);
    CHECK_EQ(count_in(w.log, "Seccomp: 2"), 1);
    CHECK_EQ(count_in(w.log, "Max open files 1024 1024"), 1);
    CHECK_EQ(count_in(w.log, "to-error"), 1);
    for (int i = 0; i < 3; ++i) (void)status_of(&w);
    CHECK_EQ(count_in(w.log, "ready"), 1); /* each line once */
    CHECK_OK(d->start(d->ctx, &w.spec));
    CHECK_EQ(status_of(&w).pid, s.pid);
    int fd;
    CHECK_OK(d->watch(d->ctx, &w.spec, &fd));
    CHECK_OK(d->stop(d->ctx, &w.spec, 10000));
    struct pollfd p = {.fd = fd, .events = POLLIN};
    CHECK_EQ(poll(&p, 1, 10000), 1);
    close(fd);
    s = status_of(&w);
    CHECK_EQ(s.state, RDG_CONTAINER_EXITED);
    CHECK(WIFEXITED(s.exit_status) && WEXITSTATUS(s.exit_status) == 7);
    CHECK(there(w.data, "made") && there(w.data, "ended"));
    CHECK_EQ(count_in(w.log, "bye"), 1);
    CHECK_ERR(d->watch(d->ctx, &w.spec, &fd), RDG_E_NOT_FOUND);
    CHECK_OK(d->start(d->ctx, &w.spec));
    CHECK_EQ(status_of(&w).state, RDG_CONTAINER_RUNNING);
    CHECK_OK(d->remove(d->ctx, &w.spec, NULL));
    CHECK(!rdg_file_exists(w.state));
    CHECK_EQ(status_of(&w).state, RDG_CONTAINER_ABSENT);
    world_close(&w);
}

TEST(docker_containers_end_by_themselves_are_found_again_and_outlive_their_engine) {
    static const char *const args[] = {"-c", "read x </var/lib/ridge-node/go; echo said $x; exit 3", NULL};
    world_t w;
    char run[PATH_MAX + 32], command[PATH_MAX + 64], output[64];
    world_open(&w, "{\"Entrypoint\":[\"/bin/sh\"]}", args);
    snprintf(command, sizeof command, "mkfifo %s/go", w.data);
    const char *const fifo[] = {"/bin/sh", "-c", command, NULL};
    CHECK_OK(rdg_process_run(fifo, 10000, output, sizeof output));
    CHECK_OK(w.d->prepare(w.d->ctx, w.reference, NULL, NULL));
    CHECK_OK(w.d->start(w.d->ctx, &w.spec));
    pid_t pid = status_of(&w).pid;
    /* Its starter died before it recorded it. */
    snprintf(run, sizeof run, "%s/run", w.state);
    CHECK_EQ(unlink(run), 0);
    CHECK_OK(w.d->start(w.d->ctx, &w.spec));
    CHECK_EQ(status_of(&w).pid, pid);
    /* The engine goes away: what runs goes on, and is seen to. What needs the engine says which, and what to do. */
    CHECK_OK(rdg_process_stop(w.service, 5000));
    rdg_process_free(w.service);
    CHECK_EQ(status_of(&w).state, RDG_CONTAINER_RUNNING);
    CHECK_ERR(w.d->stop(w.d->ctx, &w.spec, 1000), RDG_E_UNAVAILABLE);
    CHECK(strstr(rdg_err_message(RDG_E_UNAVAILABLE), w.socket) &&
          strstr(rdg_err_message(RDG_E_UNAVAILABLE), "start it"));
    CHECK_EQ(kill(pid, 0), 0);
    rdg_container_driver_free(w.d);
    start_service(&w);
    snprintf(command, sizeof command, "echo word >%s/go", w.data);
    CHECK_OK(rdg_process_run(fifo, 10000, output, sizeof output));
    await_log(&w, "said word");
    rdg_container_status_t s = status_of(&w);
    for (int i = 0; i < 900 && (s.state == RDG_CONTAINER_RUNNING || s.exit_status < 0); ++i) {
        usleep(100000);
        s = status_of(&w);
    }
    CHECK_EQ(s.state, RDG_CONTAINER_EXITED);
    CHECK(WIFEXITED(s.exit_status) && WEXITSTATUS(s.exit_status) == 3);
    world_close(&w);
}

static const char *probe_layer(void) {
    static char path[PATH_MAX];
    char root[PATH_MAX], script[PATH_MAX * 7], output[256];
    snprintf(path, sizeof path, "%s/probe.tar.gz", rdg_test_dir());
    snprintf(root, sizeof root, "%s/probe", rdg_test_dir());
    escape_tree(root);
    snprintf(
        script, sizeof script,
        "set -e; tar -C %s/tree -cf %s.plain .; sha256sum <%s.plain | cut -c1-64 | tr -d '\\n' >%s.diff; "
        "gzip -1nc %s.plain >%s",
        root, path, path, path, path, path);
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    CHECK_OK(rdg_process_run(argv, 60000, output, sizeof output));
    return path;
}

TEST(docker_lets_nothing_out_of_a_container_either) {
    static const char *const args[] = {ESCAPE_PROBE, NULL};
    world_t w;
    rdg_buf_t said;
    world_open_layer(&w, probe_layer, "{\"Entrypoint\":[\"/bin/probe\"]}", args);
    w.spec.memory_bytes = 128u << 20;
    w.spec.cpu_millis = 2000;
    CHECK_OK(w.d->prepare(w.d->ctx, w.reference, NULL, NULL));
    CHECK_OK(w.d->start(w.d->ctx, &w.spec));
    await_log(&w, "tried ");
    rdg_buf_init(&said, 65536);
    CHECK_OK(rdg_file_read(w.log, &said));
    escape_check(rdg_buf_cstr(&said));
    rdg_buf_fini(&said);
    world_close(&w);
}

/* Signatures are asked for before the engine gets anything, and each time a container starts. */
TEST(docker_runs_nothing_that_nobody_trusted_has_signed) {
    static const char *const args[] = {"-c", "exit 0", NULL};
    world_t w;
    char list[PATH_MAX + 16];
    rdg_container_driver_t *strict = NULL;
    world_open(&w, "{\"Entrypoint\":[\"/bin/sh\"],\"User\":\"4711:4712\"}", args);
    snprintf(list, sizeof list, "%s/trust.json", w.dir);
    rdg_container_docker_options_t o = {.root = w.root, .socket = w.socket, .trust_file = list};
    CHECK_OK(rdg_container_docker_new(&o, &strict));
    CHECK_ERR(strict->prepare(strict->ctx, w.reference, NULL, NULL), RDG_E_FORBIDDEN); /* told nothing yet */
    CHECK_EQ(w.r.served, 0);
    CHECK_OK(w.d->prepare(w.d->ctx, w.reference, NULL, NULL)); /* by one that asks for none */
    CHECK_ERR(strict->start(strict->ctx, &w.spec), RDG_E_FORBIDDEN);
    CHECK_EQ(status_of(&w).state, RDG_CONTAINER_ABSENT);
    CHECK_OK(w.d->start(w.d->ctx, &w.spec));
    struct stat st; /* who is not root inside owns his directory */
    CHECK_EQ(stat(w.data, &st), 0);
    CHECK(st.st_uid == 4711 && st.st_gid == 4712);
    rdg_container_driver_free(strict);
    world_close(&w);
}

/* Also what ends before anybody looks has said something. */
TEST(docker_containers_that_end_at_once_leave_their_output) {
    static const char *const args[] = {"-c", "echo last words; exit 4", NULL};
    world_t w;
    world_open(&w, "{\"Entrypoint\":[\"/bin/sh\"]}", args);
    CHECK_OK(w.d->prepare(w.d->ctx, w.reference, NULL, NULL));
    for (size_t n = 1; n <= 3; ++n) {
        CHECK_OK(w.d->start(w.d->ctx, &w.spec));
        rdg_container_status_t s = status_of(&w);
        for (int i = 0; i < 900 && (s.state == RDG_CONTAINER_RUNNING || s.exit_status < 0); ++i) {
            usleep(100000);
            s = status_of(&w);
        }
        CHECK(WIFEXITED(s.exit_status) && WEXITSTATUS(s.exit_status) == 4);
        CHECK_EQ(count_in(w.log, "last words"), n);
    }
    world_close(&w);
}

/* What the engine is given is what was verified; what it makes of it is compared. */
TEST(docker_images_with_another_content_than_their_name_are_refused) {
    static const char *const args[] = {"-c", "exit 0", NULL};
    world_t w;
    uint64_t freed = 0;
    world_open(&w, "{\"Entrypoint\":[\"/bin/sh\"]}", args);
    w.r.corrupt = true;
    CHECK_ERR(w.d->prepare(w.d->ctx, w.reference, NULL, NULL), RDG_E_CORRUPT);
    w.r.corrupt = false;
    char right[65];
    memcpy(right, w.r.diff, sizeof right);
    memset(w.r.diff, 'a', 64); /* the configuration names another layer than the manifest */
    set_config(&w.r, manifest_architecture(), "{\"Entrypoint\":[\"/bin/sh\"]}");
    CHECK(w.d->prepare(w.d->ctx, w.reference, NULL, NULL) != RDG_OK);
    CHECK(w.d->start(w.d->ctx, &w.spec) != RDG_OK);
    memcpy(w.r.diff, right, sizeof right);
    set_config(&w.r, manifest_architecture(), "{\"Entrypoint\":[\"/bin/sh\"]}");
    CHECK_OK(w.d->prepare(w.d->ctx, w.reference, NULL, NULL));
    /* What is needed stays, whatever the budget; what is not goes. */
    const char *const needed[] = {w.reference};
    CHECK_OK(w.d->collect(w.d->ctx, needed, 1, 0, &freed));
    CHECK_EQ(freed, 0);
    CHECK_OK(w.d->collect(w.d->ctx, needed, 0, 0, &freed));
    CHECK(freed > 0);
    CHECK_ERR(w.d->start(w.d->ctx, &w.spec), RDG_E_NOT_FOUND);
    CHECK_OK(w.d->prepare(w.d->ctx, w.reference, NULL, NULL)); /* and comes back */
    CHECK_OK(w.d->start(w.d->ctx, &w.spec));
    world_close(&w);
}

TEST(docker_names_the_socket_where_no_engine_is) {
    rdg_container_driver_t *d = NULL;
    char root[PATH_MAX], away[PATH_MAX], state[PATH_MAX];
    snprintf(root, sizeof root, "%s/docker", rdg_test_dir());
    snprintf(away, sizeof away, "%s/nobody.sock", rdg_test_dir());
    snprintf(state, sizeof state, "%s/state", rdg_test_dir());
    rdg_container_docker_options_t o = {.root = root, .socket = away};
    rdg_container_spec_t spec = {.name = "box", .state_dir = state, .data_dir = root, .log_path = away};
    CHECK_OK(rdg_container_docker_new(&o, &d)); /* a device may start its agent before its engine */
    CHECK_ERR(d->prepare(d->ctx, "localhost/node:1", NULL, NULL), RDG_E_UNAVAILABLE);
    CHECK(strstr(rdg_err_message(RDG_E_UNAVAILABLE), away) != NULL);
    CHECK(strstr(rdg_err_message(RDG_E_UNAVAILABLE), "--docker-socket") != NULL);
    CHECK_ERR(d->start(d->ctx, &spec), RDG_E_UNAVAILABLE);
    rdg_container_driver_free(d);
}

/* The copier is the agent, and a container may write where its log lies. */
TEST(docker_writes_no_log_where_a_link_leads) {
    char away[PATH_MAX], log[PATH_MAX], victim[PATH_MAX];
    snprintf(away, sizeof away, "%s/nobody.sock", rdg_test_dir());
    snprintf(log, sizeof log, "%s/node.log", rdg_test_dir());
    snprintf(victim, sizeof victim, "%s/victim", rdg_test_dir());
    CHECK_EQ(symlink(victim, log), 0);
    engine_t e = {away};
    rdg_container_spec_t spec = {.name = "box", .state_dir = rdg_test_dir(), .log_path = log};
    CHECK(engine_log_copy(&e, "box", &spec) != RDG_OK);
    CHECK(!rdg_file_exists(victim));
}

TEST(docker_reads_the_times_that_engines_write) {
    static const struct {
        const char *text;
        uint64_t seconds;
    } good[] = {{"1970-01-01T00:00:01Z", 1},
                {"2026-11-22T00:33:18Z", 1795307598},
                {"2026-11-22T00:33:18.123456789Z", 1795307598},
                {"2026-11-22T01:33:18.5+01:00", 1795307598},
                {"2026-11-21T20:03:18.000000001-04:30", 1795307598}};
    static const char *const bad[] = {"",
                                      "now",
                                      "2026-11-22",
                                      "2026-11-22T00:33:18",
                                      "2026-13-22T00:33:18Z",
                                      "2026-11-22T00:33:18Zx",
                                      "2026-11-22T00:33:18+0100",
                                      "0000-01-01T00:00:00Z"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; ++i)
        CHECK_EQ(engine_log_time(good[i].text, strlen(good[i].text)), good[i].seconds);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i)
        CHECK_EQ(engine_log_time(bad[i], strlen(bad[i])), 0);
}
