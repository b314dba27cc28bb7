/* Workloads without the cloud: what should run does, soon, whatever else is in trouble. */
#include "chain.h"
#include "health.h"
#include "ridge/agent/agent.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/codec/json.h"
#include "ridge/net/http_client.h"
#include "ridge/test.h"
#include "workloads.h"
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CHAINS 10
#define TOKEN "t-1.e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static uint64_t now_ms(void) {
    return rdg_mono_ms(rdg_clock_system());
}

#define AWAIT(cond)                                                                                          \
    do {                                                                                                     \
        uint64_t end_ = now_ms() + 60000;                                                                    \
        while (!(cond)) {                                                                                    \
            if (now_ms() > end_) rdg_test_fail(__FILE__, __LINE__, "still not: %s", #cond);                  \
            usleep(2000);                                                                                    \
        }                                                                                                    \
    } while (0)

/* --- real processes ------------------------------------------------------------------------------------- */

/* What a device that was switched off while chain c<i> ran has on its disk. */
static void leave_chain(const char *dir, unsigned i) {
    chain_t c = {.driver = "process", .desired = CHAIN_RUNNING};
    char path[PATH_MAX], text[128];
    int fd = -1;
    snprintf(c.name, sizeof c.name, "c%u", i);
    CHECK_OK(port_reserve("127.0.0.1", &c.rpc_port, &fd));
    close(fd);
    CHECK_OK(chain_save(dir, &c));
    CHECK_OK(chain_path(dir, c.name, "node", path));
    CHECK_OK(rdg_dir_make(path, 0700));
    CHECK_OK(chain_path(dir, c.name, "node/node.conf", path));
    snprintf(text, sizeof text, "rpc-port = %u\n", (unsigned)c.rpc_port);
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str(text), 0644));
    /* Another boot's: whatever has this pid now is not it. */
    CHECK_OK(chain_path(dir, c.name, "container", path));
    CHECK_OK(rdg_dir_make(path, 0700));
    CHECK_OK(chain_path(dir, c.name, "container/run", path));
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str("running 1234 99 00000000-0000-0000-0000-000000000000\n"),
                              0600));
}

static pid_t pid_of(const char *dir, unsigned i) {
    char path[PATH_MAX];
    long pid = 0;
    snprintf(path, sizeof path, "%s/chains/c%u/container/run", dir, i);
    FILE *f = fopen(path, "re");
    if (f && fscanf(f, "running %ld", &pid) != 1) pid = 0;
    if (f) fclose(f);
    return pid > 1 && pid != 1234 && kill((pid_t)pid, 0) == 0 ? (pid_t)pid : 0;
}

static rdg_agent_options_t options_of(const char *dir) {
    static char program[PATH_MAX];
    setenv("FAKE_NODE", "1", 0);
    CHECK(readlink("/proc/self/exe", program, sizeof program - 1) > 0);
    return (rdg_agent_options_t){.dir = dir,
                                 .cloud_url = "tlcp://127.0.0.1:9",
                                 .name = "d1",
                                 .token = TOKEN,
                                 .driver = "process",
                                 .node_program = program};
}

static size_t running(const char *dir) {
    size_t n = 0;
    for (unsigned i = 0; i < CHAINS; ++i) n += pid_of(dir, i) != 0;
    return n;
}

static void end_all(const char *dir) {
    for (unsigned i = 0; i < CHAINS; ++i) {
        pid_t pid = pid_of(dir, i);
        if (pid > 1) kill(pid, SIGKILL);
    }
}

/* How soon: docs/benchmarks.md; here a busy machine takes its part. */
TEST(ten_workloads_run_soon_after_the_agents_start_with_the_cloud_away) {
    const char *dir = rdg_test_dir();
    rdg_agent_options_t o = options_of(dir);
    rdg_agent_t *a = NULL;
    pid_t pids[CHAINS];
    for (unsigned i = 0; i < CHAINS; ++i) leave_chain(dir, i);
    CHECK_OK(rdg_agent_start(&o, &a));
    AWAIT(running(dir) == CHAINS);
    /* The agent comes and goes: what runs is left alone. */
    for (unsigned i = 0; i < CHAINS; ++i) pids[i] = pid_of(dir, i);
    rdg_agent_stop(a);
    CHECK_OK(rdg_agent_start(&o, &a));
    for (unsigned i = 0; i < CHAINS; ++i) CHECK_EQ(pid_of(dir, i), pids[i]);
    rdg_agent_stop(a);
    for (unsigned i = 0; i < CHAINS; ++i) CHECK_EQ(pid_of(dir, i), pids[i]);
    end_all(dir);
}

TEST(workloads_run_when_the_agent_itself_cannot) {
    const char *dir = rdg_test_dir();
    char path[PATH_MAX];
    rdg_agent_options_t o = options_of(dir);
    rdg_agent_t *a = NULL;
    leave_chain(dir, 0);
    snprintf(path, sizeof path, "%s/enrolment.json", dir);
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str("{\"device_id\":\"d"), 0600));
    CHECK_ERR(rdg_agent_start(&o, &a), RDG_E_CORRUPT);
    CHECK(strstr(rdg_err_message(RDG_E_CORRUPT), "enrolment.json"));
    CHECK(pid_of(dir, 0) > 1);
    end_all(dir);
}

TEST(a_damaged_record_of_what_runs_does_not_keep_it_down) {
    const char *dir = rdg_test_dir();
    char path[PATH_MAX];
    rdg_agent_options_t o = options_of(dir);
    rdg_agent_t *a = NULL;
    leave_chain(dir, 0);
    CHECK_OK(chain_path(dir, "c0", "container/run", path));
    CHECK_OK(rdg_file_replace(path, rdg_bytes("\0\0\0\0\0\0\0", 7), 0600));
    CHECK_OK(rdg_agent_start(&o, &a));
    AWAIT(pid_of(dir, 0) > 1);
    rdg_agent_stop(a);
    end_all(dir);
}

/* --- programs on the device -------------------------------------------------------------------------------- */

static unsigned ask(rdg_agent_t *a, const char *method, const char *path, const char *body,
                    const char *header, json_t **answer) {
    char url[256];
    rdg_http_client_t *http = NULL;
    rdg_http_answer_t got;
    const char *const headers[] = {header};
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", (unsigned)rdg_agent_http_port(a), path);
    rdg_http_call_t call = {.method = method,
                            .url = url,
                            .headers = headers,
                            .header_count = header != NULL,
                            .body = rdg_bytes_str(body ? body : "")};
    CHECK_OK(rdg_http_client_new(&http));
    CHECK_OK(rdg_http_call(http, &call, &got));
    unsigned status = got.status;
    json_decref(*answer);
    *answer = NULL;
    CHECK_OK(rdg_json_parse(rdg_buf_view(&got.body), answer));
    rdg_http_answer_fini(&got);
    rdg_http_client_free(http);
    return status;
}

static bool answers(rdg_agent_t *a, json_t **answer) {
    return ask(a, "POST", "/v1/chains/c0/rpc", "{\"id\":7,\"method\":\"ridge_status\",\"params\":[]}", NULL,
               answer) == 200;
}

TEST(programs_on_the_device_find_chains_and_ask_them_with_the_cloud_away) {
    const char *dir = rdg_test_dir();
    rdg_agent_options_t o = options_of(dir);
    rdg_agent_t *a = NULL;
    json_t *answer = NULL;
    leave_chain(dir, 0);
    CHECK_OK(rdg_agent_start(&o, &a));
    AWAIT(answers(a, &answer));
    CHECK_EQ(json_integer_value(json_object_get(answer, "id")), 7);
    uint64_t height = 0;
    CHECK_OK(rdg_json_get_u64(json_object_get(answer, "result"), "height", &height));
    CHECK_EQ(ask(a, "GET", "/v1/chains", NULL, NULL, &answer), 200);
    CHECK_STR(json_string_value(json_object_get(json_array_get(answer, 0), "chain")), "c0");
    CHECK(strncmp(json_string_value(json_object_get(json_array_get(answer, 0), "ws_url")),
                  "ws://127.0.0.1:", 15) == 0);
    CHECK_EQ(ask(a, "GET", "/v1/chains/c0/events", NULL, NULL, &answer), 200);
    CHECK(json_integer_value(json_object_get(answer, "next")) > (json_int_t)height);
    CHECK_EQ(ask(a, "GET", "/v1/chains/c0/events?from=9000000000&wait_ms=150", NULL, NULL, &answer), 200);
    CHECK_EQ(json_integer_value(json_object_get(answer, "next")), 9000000000);

    static const struct {
        const char *method, *path, *body, *header;
        unsigned status;
    } refused[] = {
        {"POST", "/v1/chains/c0/rpc", "{\"method\":\"node_exportArchive\"}", NULL, 403},
        {"POST", "/v1/chains/c0/rpc", "{\"method\":\"admin_stop\"}", NULL, 403},
        {"POST", "/v1/chains/c0/rpc", "{\"method\":\"eth_chainId\"}", "Origin: http://evil.example", 403},
        {"POST", "/v1/chains/c0/rpc", "{\"method\":\"eth_chainId\",\"params\":{}}", NULL, 400},
        {"POST", "/v1/chains/c0/rpc", "[]", NULL, 400},
        {"POST", "/v1/chains/c0/rpc", "{", NULL, 400},
        {"POST", "/v1/chains/none/rpc", "{\"method\":\"eth_chainId\"}", NULL, 404},
        {"GET", "/v1/chains/..%2f..%2fetc/events", NULL, NULL, 404},
        {"GET", "/v1/chains/c0/events?from=x", NULL, NULL, 400},
        {"GET", "/v1/chains/c0/events?from=1&wait_ms=999999", NULL, NULL, 400},
        {"DELETE", "/v1/chains/c0/rpc", NULL, NULL, 404},
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; ++i) {
        CHECK_EQ(ask(a, refused[i].method, refused[i].path, refused[i].body, refused[i].header, &answer),
                 refused[i].status);
        CHECK(json_string_value(json_object_get(json_object_get(answer, "error"), "message")));
    }
    json_decref(answer);
    rdg_agent_stop(a);
    end_all(dir);
}

static void ignore(void *ctx) {
    (void)ctx;
}

TEST(a_node_that_hangs_is_started_again) {
    const char *dir = rdg_test_dir();
    rdg_container_driver_t *d = NULL;
    workloads_t *w = NULL;
    health_t *h = NULL;
    workload_view_t v;
    rdg_agent_options_t o = options_of(dir);
    leave_chain(dir, 0);
    CHECK_OK(rdg_container_process_new(o.node_program, &d));
    workloads_options_t how = {.dir = dir, .drivers = &d, .driver_count = 1, .changed = ignore};
    CHECK_OK(workloads_start(&how, &w));
    CHECK_OK(health_start(w, 100, &h));
    AWAIT(workloads_status(w, "c0", &v) == RDG_OK && v.health == WORKLOAD_HEALTHY);
    pid_t first = pid_of(dir, 0);
    CHECK_EQ(kill(first, SIGSTOP), 0);
    AWAIT(workloads_status(w, "c0", &v) == RDG_OK && v.health == WORKLOAD_UNHEALTHY);
    AWAIT(pid_of(dir, 0) > 1 && pid_of(dir, 0) != first);
    AWAIT(workloads_status(w, "c0", &v) == RDG_OK && v.health == WORKLOAD_HEALTHY);
    health_stop(h);
    workloads_stop(w);
    end_all(dir);
    rdg_container_driver_free(d);
}

/* --- a driver of this test -------------------------------------------------------------------------------- */

typedef struct stub {
    rdg_container_driver_t driver;
    pthread_mutex_t lock;
    bool hold; /* calls for a chain named "stuck" wait */
    unsigned started[26], removed[26];
    uint64_t last_start_ms[26], gap_ms[26];
    bool running[26], ends_at_once;
} stub_t;

static void wait_if_stuck(stub_t *s, const char *name) {
    for (bool hold = strcmp(name, "stuck") == 0; hold;) {
        usleep(2000);
        pthread_mutex_lock(&s->lock);
        hold = s->hold;
        pthread_mutex_unlock(&s->lock);
    }
}

static rdg_err_t stub_prepare(void *ctx, const char *image, rdg_container_progress_fn fn, void *fn_ctx) {
    (void)ctx, (void)image, (void)fn, (void)fn_ctx;
    return RDG_OK;
}

static rdg_err_t stub_start(void *ctx, const rdg_container_spec_t *spec) {
    stub_t *s = ctx;
    size_t i = (size_t)(spec->name[0] - 'a');
    wait_if_stuck(s, spec->name);
    pthread_mutex_lock(&s->lock);
    ++s->started[i];
    s->gap_ms[i] = now_ms() - s->last_start_ms[i];
    s->last_start_ms[i] = now_ms();
    s->running[i] = !s->ends_at_once;
    pthread_mutex_unlock(&s->lock);
    return RDG_OK;
}

static rdg_err_t stub_stop(void *ctx, const rdg_container_spec_t *spec, uint64_t grace_ms) {
    stub_t *s = ctx;
    (void)grace_ms;
    wait_if_stuck(s, spec->name);
    pthread_mutex_lock(&s->lock);
    s->running[spec->name[0] - 'a'] = false;
    pthread_mutex_unlock(&s->lock);
    return RDG_OK;
}

static rdg_err_t stub_remove(void *ctx, const rdg_container_spec_t *spec, uint64_t *freed) {
    stub_t *s = ctx;
    (void)freed;
    pthread_mutex_lock(&s->lock);
    ++s->removed[spec->name[0] - 'a'];
    pthread_mutex_unlock(&s->lock);
    return RDG_OK;
}

static rdg_err_t stub_status(void *ctx, const rdg_container_spec_t *spec, rdg_container_status_t *out) {
    stub_t *s = ctx;
    size_t i = (size_t)(spec->name[0] - 'a');
    *out = (rdg_container_status_t){.exit_status = -1};
    pthread_mutex_lock(&s->lock);
    out->state = s->running[i]   ? RDG_CONTAINER_RUNNING
                 : s->started[i] ? RDG_CONTAINER_EXITED
                                 : RDG_CONTAINER_ABSENT;
    pthread_mutex_unlock(&s->lock);
    return RDG_OK;
}

static rdg_err_t stub_watch(void *ctx, const rdg_container_spec_t *spec, int *fd) {
    (void)ctx, (void)spec;
    *fd = -1;
    return RDG_E_NOT_FOUND;
}

static void stub_init(stub_t *s) {
    memset(s, 0, sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    s->driver = (rdg_container_driver_t){.name = "stub",
                                         .prepare = stub_prepare,
                                         .start = stub_start,
                                         .stop = stub_stop,
                                         .remove = stub_remove,
                                         .status = stub_status,
                                         .watch = stub_watch,
                                         .ctx = s};
}

static unsigned of(stub_t *s, const unsigned *counts, char name) {
    pthread_mutex_lock(&s->lock);
    unsigned n = counts[name - 'a'];
    pthread_mutex_unlock(&s->lock);
    return n;
}

static void leave(const char *dir, const char *name, chain_desired_t desired) {
    chain_t c = {.driver = "stub", .desired = desired};
    snprintf(c.name, sizeof c.name, "%s", name);
    CHECK_OK(chain_save(dir, &c));
}

TEST(one_that_hangs_in_its_start_or_its_removal_holds_up_nobody) {
    static const chain_desired_t how_it_hangs[] = {CHAIN_RUNNING, CHAIN_REMOVED};
    for (size_t k = 0; k < 2; ++k) {
        stub_t s;
        workloads_t *w = NULL;
        char dir[PATH_MAX];
        rdg_container_driver_t *const drivers[] = {&s.driver};
        snprintf(dir, sizeof dir, "%s/%zu", rdg_test_dir(), k);
        stub_init(&s);
        s.hold = true;
        leave(dir, "stuck", how_it_hangs[k]);
        leave(dir, "a", CHAIN_RUNNING);
        leave(dir, "b", CHAIN_REMOVED);
        leave(dir, "c", CHAIN_STOPPED);
        leave(dir, "d", CHAIN_RUNNING);
        workloads_options_t o = {.dir = dir, .drivers = drivers, .driver_count = 1, .changed = ignore};
        CHECK_OK(workloads_start(&o, &w));
        AWAIT(of(&s, s.started, 'a') == 1 && of(&s, s.started, 'd') == 1 && of(&s, s.removed, 'b') == 1);
        CHECK_EQ(of(&s, s.started, 'c'), 0);
        CHECK(k == 1 || !workloads_settled(w, 0));
        pthread_mutex_lock(&s.lock);
        s.hold = false;
        pthread_mutex_unlock(&s.lock);
        AWAIT(k == 0 ? of(&s, s.started, 's') == 1 : of(&s, s.removed, 's') == 1);
        CHECK(workloads_settled(w, 10000));
        chain_t c;
        AWAIT(workloads_get(w, "b", &c) == RDG_E_NOT_FOUND);
        workloads_stop(w);
        CHECK_EQ(s.started['a' - 'a'], 1);
    }
}

TEST(one_that_ends_again_and_again_is_started_with_a_back_off) {
    stub_t s;
    workloads_t *w = NULL;
    rdg_container_driver_t *const drivers[] = {&s.driver};
    stub_init(&s);
    s.ends_at_once = true;
    leave(rdg_test_dir(), "a", CHAIN_RUNNING);
    workloads_options_t o = {.dir = rdg_test_dir(), .drivers = drivers, .driver_count = 1, .changed = ignore};
    CHECK_OK(workloads_start(&o, &w));
    AWAIT(of(&s, s.started, 'a') == 2); /* at once the first time */
    AWAIT(of(&s, s.started, 'a') == 3);
    CHECK(s.gap_ms[0] >= 1000);
    AWAIT(of(&s, s.started, 'a') == 4);
    CHECK(s.gap_ms[0] >= 2000);
    workloads_stop(w);
}
