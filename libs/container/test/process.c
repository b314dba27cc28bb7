#include "ridge/test.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/container/container.h"
#include "ridge/net/process.h"
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static char state_dir[512], log_path[512];

static rdg_container_driver_t *sleeper(rdg_container_spec_t *spec, const char *const *args) {
    rdg_container_driver_t *d = NULL;
    snprintf(state_dir, sizeof state_dir, "%s/state", rdg_test_dir());
    snprintf(log_path, sizeof log_path, "%s/log", rdg_test_dir());
    CHECK_OK(rdg_container_process_new("/bin/sh", &d));
    *spec = (rdg_container_spec_t){
        .name = "a", .state_dir = state_dir, .data_dir = rdg_test_dir(), .log_path = log_path, .args = args};
    return d;
}

static const char *const sleep_args[] = {"-c", "exec sleep 300", NULL};
static const char *const exit_args[] = {"-c", "exit 7", NULL};
static const char *const stubborn_args[] = {"-c", "trap '' TERM; echo ready; while :; do sleep 1; done",
                                            NULL};

static pid_t running_pid(rdg_container_driver_t *d, const rdg_container_spec_t *spec) {
    rdg_container_status_t s;
    CHECK_OK(d->status(d->ctx, spec, &s));
    CHECK_EQ(s.state, RDG_CONTAINER_RUNNING);
    CHECK(s.rss_kib > 0);
    return s.pid;
}

TEST(a_second_start_leaves_the_running_process_alone) {
    rdg_container_spec_t spec;
    rdg_container_driver_t *d = sleeper(&spec, sleep_args);
    CHECK_OK(d->start(d->ctx, &spec));
    pid_t pid = running_pid(d, &spec);
    CHECK_OK(d->start(d->ctx, &spec));
    CHECK_EQ(running_pid(d, &spec), pid);
    CHECK_OK(d->stop(d->ctx, &spec, 2000));
    CHECK_OK(d->remove(d->ctx, &spec, NULL));
    CHECK(!rdg_file_exists(state_dir));
    rdg_container_driver_free(d);
}

/* What a restarted agent sees: a new driver, the same directory, a process that is nobody's child of its. */
TEST(a_process_whose_starter_died_is_adopted_and_stopped) {
    rdg_container_spec_t spec;
    rdg_container_driver_t *d = sleeper(&spec, sleep_args);
    pid_t starter = fork();
    if (starter == 0) _exit(d->start(d->ctx, &spec) == RDG_OK ? 0 : 1);
    int status = 0;
    CHECK_EQ(waitpid(starter, &status, 0), starter);
    CHECK_EQ(status, 0);
    pid_t pid = running_pid(d, &spec);
    CHECK_OK(d->start(d->ctx, &spec));
    CHECK_EQ(running_pid(d, &spec), pid);
    int fd = -1;
    CHECK_OK(d->watch(d->ctx, &spec, &fd));
    CHECK_OK(d->stop(d->ctx, &spec, 2000));
    struct pollfd p = {.fd = fd, .events = POLLIN};
    CHECK_EQ(poll(&p, 1, 0), 1);
    close(fd);
    rdg_container_status_t s;
    CHECK_OK(d->status(d->ctx, &spec, &s));
    CHECK_EQ(s.state, RDG_CONTAINER_EXITED);
    rdg_container_driver_free(d);
}

TEST(a_process_that_was_started_but_not_recorded_is_found_by_its_mark) {
    rdg_container_spec_t spec;
    rdg_container_driver_t *d = sleeper(&spec, sleep_args);
    char run[600];
    CHECK_OK(d->start(d->ctx, &spec));
    pid_t pid = running_pid(d, &spec);
    snprintf(run, sizeof run, "%s/run", state_dir);
    CHECK_EQ(unlink(run), 0);
    CHECK_OK(d->start(d->ctx, &spec));
    CHECK_EQ(running_pid(d, &spec), pid);
    CHECK_OK(d->remove(d->ctx, &spec, NULL));
    CHECK_EQ(kill(pid, 0), -1);
    rdg_container_driver_free(d);
}

TEST(an_exit_status_is_kept_and_a_start_after_it_runs_anew) {
    rdg_container_spec_t spec;
    rdg_container_driver_t *d = sleeper(&spec, exit_args);
    CHECK_OK(d->start(d->ctx, &spec));
    int fd = -1;
    if (d->watch(d->ctx, &spec, &fd) == RDG_OK) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        CHECK_EQ(poll(&p, 1, 60000), 1);
        close(fd);
    }
    rdg_container_status_t s;
    for (int i = 0; i < 2; ++i) {
        CHECK_OK(d->status(d->ctx, &spec, &s));
        CHECK_EQ(s.state, RDG_CONTAINER_EXITED);
        CHECK(WIFEXITED(s.exit_status) && WEXITSTATUS(s.exit_status) == 7);
    }
    spec.args = sleep_args;
    CHECK_OK(d->start(d->ctx, &spec));
    (void)running_pid(d, &spec);
    CHECK_OK(d->remove(d->ctx, &spec, NULL));
    rdg_container_driver_free(d);
}

TEST(a_process_that_ignores_sigterm_is_killed_after_the_grace) {
    rdg_container_spec_t spec;
    rdg_container_driver_t *d = sleeper(&spec, stubborn_args);
    CHECK_OK(d->start(d->ctx, &spec));
    pid_t pid = running_pid(d, &spec);
    for (int i = 0; i < 6000; ++i) {
        rdg_buf_t log;
        rdg_buf_init(&log, 4096);
        bool ready = rdg_file_read(log_path, &log) == RDG_OK && log.len > 0;
        rdg_buf_fini(&log);
        if (ready) break;
        usleep(10000);
    }
    uint64_t before = rdg_mono_ms(rdg_clock_system());
    CHECK_OK(d->stop(d->ctx, &spec, 200));
    CHECK(rdg_mono_ms(rdg_clock_system()) - before >= 200);
    CHECK_EQ(kill(pid, 0), -1);
    rdg_container_driver_free(d);
}

TEST(a_reused_pid_is_not_taken_for_ours) {
    rdg_container_spec_t spec;
    rdg_container_driver_t *d = sleeper(&spec, sleep_args);
    char run[600], boot[64] = "", text[160];
    CHECK_OK(rdg_dir_make(state_dir, 0700));
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "r");
    CHECK(f && fgets(boot, sizeof boot, f));
    fclose(f);
    snprintf(run, sizeof run, "%s/run", state_dir);
    snprintf(text, sizeof text, "running %ld 1 %s", (long)getpid(), boot);
    CHECK_OK(rdg_file_replace(run, rdg_bytes_str(text), 0600));
    CHECK_OK(d->stop(d->ctx, &spec, 0));
    rdg_container_status_t s;
    CHECK_OK(d->status(d->ctx, &spec, &s));
    CHECK_EQ(s.state, RDG_CONTAINER_EXITED);
    rdg_container_driver_free(d);
}

TEST(a_missing_program_is_named) {
    rdg_container_spec_t spec;
    rdg_container_driver_t *d = sleeper(&spec, sleep_args), *missing = NULL;
    CHECK_OK(rdg_container_process_new("/nonexistent/ridge-node", &missing));
    CHECK_ERR(missing->start(missing->ctx, &spec), RDG_E_NOT_FOUND);
    CHECK(strstr(rdg_err_message(RDG_E_NOT_FOUND), "/nonexistent/ridge-node"));
    rdg_container_driver_free(missing);
    rdg_container_driver_free(d);
}

TEST(the_workload_does_not_see_the_settings_of_the_agent) {
    static const char *const env_args[] = {"-c", "env; exec sleep 300", NULL};
    rdg_container_spec_t spec;
    setenv("RIDGE_AGENT_TOKEN", "a-secret", 1);
    rdg_container_driver_t *d = sleeper(&spec, env_args);
    CHECK_OK(d->start(d->ctx, &spec));
    rdg_buf_t log;
    rdg_buf_init(&log, 1u << 16);
    for (int i = 0; i < 6000 && log.len == 0; ++i) {
        rdg_buf_clear(&log);
        (void)rdg_file_read(log_path, &log);
        usleep(10000);
    }
    CHECK(log.len > 0 && !strstr(rdg_buf_cstr(&log), "a-secret"));
    rdg_buf_fini(&log);
    CHECK_OK(d->remove(d->ctx, &spec, NULL));
    rdg_container_driver_free(d);
}
