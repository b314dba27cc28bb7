#include "ridge/agent/launch.h"
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/codec/json.h"
#include "ridge/net/http_client.h"
#include "ridge/net/process.h"
#include "update.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_MS 250
#define END_MS 20000u
#define ASK_MS 2000u
#define AGAIN_MS 1000

typedef struct launch {
    const char *dir;
    char **argv;
    uint64_t trial_ms;
    char base_path[PATH_MAX];
    update_state_t s;
} launch_t;

static uint64_t now_ms(void) {
    return rdg_mono_ms(rdg_clock_system());
}

/* --- running ------------------------------------------------------------------------------------------- */

/* Does not return when it succeeds. */
static void become(launch_t *l, const char *digest) {
    char path[PATH_MAX];
    if (update_program(l->dir, digest, path) != RDG_OK) return;
    (void)setenv(UPDATE_RUNNING_ENV, digest, 1);
    execv(path, l->argv);
    (void)unsetenv(UPDATE_RUNNING_ENV);
    (void)rdg_fail_errno(errno, "cannot run %s", path);
}

static rdg_err_t check(const launch_t *l, const char *digest) {
    char path[PATH_MAX], actual[UPDATE_DIGEST_TEXT];
    RDG_TRY(update_program(l->dir, digest, path));
    RDG_TRY(update_digest(path, actual));
    if (strcmp(actual, digest) == 0) return RDG_OK;
    return rdg_fail(RDG_E_CORRUPT, "%s was damaged on the disk: its digest is %s", path, actual);
}

static void save(launch_t *l) {
    rdg_err_t err = update_save(l->dir, &l->s);
    if (err != RDG_OK) rdg_log_err("update.not_saved", err);
}

static void roll_back(launch_t *l, const char *why) {
    update_state_t *s = &l->s;
    rdg_log(RDG_LOG_ERROR, "update.rolled_back", RDG_STR("program", s->program), RDG_STR("to", s->previous),
            RDG_STR("why", why));
    if (s->phase == UPDATE_TRYING) {
        snprintf(s->failed_command, sizeof s->failed_command, "%s", s->command);
        snprintf(s->failed_why, sizeof s->failed_why, "%s", why);
    }
    memcpy(s->program, s->previous, sizeof s->program);
    s->previous[0] = '\0';
    s->command[0] = '\0';
    s->phase = s->program[0] ? UPDATE_GOOD : UPDATE_NONE;
    s->tries = 0;
    save(l);
    update_tidy(l->dir, s);
}

/* --- the trial -------------------------------------------------------------------------------------------- */

static json_t *read_object(const char *dir, const char *leaf) {
    char path[PATH_MAX];
    rdg_buf_t text;
    json_t *o = NULL;
    rdg_buf_init(&text, 4096);
    if (rdg_path_join(path, sizeof path, dir, leaf) == RDG_OK && rdg_file_read(path, &text) == RDG_OK)
        (void)rdg_json_parse(rdg_buf_view(&text), &o);
    rdg_buf_fini(&text);
    return o;
}

/* The child answers at its local interface, and has its link to the cloud. */
static bool healthy(const launch_t *l, rdg_http_client_t *http, pid_t child) {
    char url[400];
    json_t *address = read_object(l->dir, "agent.json"), *health = NULL;
    const char *base = json_string_value(json_object_get(address, "http_url"));
    rdg_http_answer_t got;
    bool well = false;
    if (base && json_integer_value(json_object_get(address, "pid")) == child) {
        snprintf(url, sizeof url, "%.300s/v1/health", base);
        rdg_http_call_t call = {.method = "GET", .url = url, .timeout_ms = ASK_MS, .max_body = 65536};
        if (rdg_http_call(http, &call, &got) == RDG_OK) {
            if (got.status == 200) (void)rdg_json_parse(rdg_buf_view(&got.body), &health);
            rdg_http_answer_fini(&got);
        }
        well = json_is_true(json_object_get(health, "connected"));
    }
    json_decref(health);
    json_decref(address);
    return well;
}

/* True: it has ended, and how is in *status. */
static bool has_ended(pid_t child, int *status) {
    return waitpid(child, status, WNOHANG) == child;
}

static void end_child(pid_t child) {
    int status;
    uint64_t end = now_ms() + END_MS;
    (void)kill(child, SIGTERM);
    while (!has_ended(child, &status)) {
        if (now_ms() >= end) (void)kill(child, SIGKILL);
        (void)poll(NULL, 0, LOOK_MS / 10);
    }
}

static pid_t start_child(launch_t *l) {
    pid_t parent = getpid(), child = fork();
    if (child != 0) return child;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() == parent) become(l, l->s.program);
    _exit(127);
}

typedef enum outcome { WELL, ENDED, ALONE, STOPPED } outcome_t;

static outcome_t watch(launch_t *l, pid_t child, int signals, int *status) {
    uint64_t end = now_ms() + l->trial_ms;
    rdg_http_client_t *http = NULL;
    outcome_t outcome = ALONE;
    struct pollfd p = {.fd = signals, .events = POLLIN};
    if (rdg_http_client_new(&http) != RDG_OK) http = NULL;
    while (http && outcome == ALONE && now_ms() < end) {
        if (poll(&p, 1, LOOK_MS) > 0)
            outcome = STOPPED;
        else if (has_ended(child, status))
            outcome = ENDED;
        else if (healthy(l, http, child))
            outcome = WELL;
    }
    rdg_http_client_free(http);
    if (outcome != ENDED) end_child(child);
    return outcome;
}

/* Returns when something else is to be launched. */
static void try_program(launch_t *l) {
    char why[256], how[64];
    sigset_t signals;
    int status = 0;
    if (l->s.tries >= UPDATE_TRIES) {
        snprintf(why, sizeof why, "it was started %u times and never reached its cloud", l->s.tries);
        roll_back(l, why);
        return;
    }
    /* Counted before it is started: a program that takes the device down with it is started so often and no more. */
    ++l->s.tries;
    save(l);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    int fd = signalfd(-1, &signals, SFD_CLOEXEC);
    rdg_log(RDG_LOG_INFO, "update.trial", RDG_STR("program", l->s.program), RDG_U64("try", l->s.tries));
    pid_t child = start_child(l);
    outcome_t outcome = child > 0 ? watch(l, child, fd, &status) : ALONE;
    close(fd);
    switch (outcome) {
    case WELL:
        l->s.phase = UPDATE_GOOD;
        l->s.tries = 0;
        save(l);
        update_tidy(l->dir, &l->s);
        rdg_log(RDG_LOG_INFO, "update.done", RDG_STR("program", l->s.program));
        break;
    case ALONE:
        snprintf(why, sizeof why, "it did not reach its cloud within %llu s",
                 (unsigned long long)l->trial_ms / 1000);
        roll_back(l, why);
        break;
    case ENDED:
        rdg_process_describe(status, how, sizeof how);
        rdg_log(RDG_LOG_ERROR, "update.ended", RDG_STR("how", how));
        snprintf(why, sizeof why, "it ended %u times, at last with %s", l->s.tries, how);
        if (l->s.tries >= UPDATE_TRIES)
            roll_back(l, why);
        else
            (void)poll(NULL, 0, AGAIN_MS);
        break;
    case STOPPED:
        /* By who manages services: the trial goes on at the next start, and this was no try. */
        --l->s.tries;
        save(l);
        exit(0);
    }
}

static rdg_err_t find_base(launch_t *l) {
    ssize_t n = readlink("/proc/self/exe", l->base_path, sizeof l->base_path - 1);
    if (n <= 0) return rdg_fail_errno(errno, "cannot find this program");
    l->base_path[n] = '\0';
    return setenv(UPDATE_BASE_ENV, l->base_path, 1) == 0 ? RDG_OK : RDG_E_NO_MEMORY;
}

static void launch(launch_t *l) {
    char base[UPDATE_DIGEST_TEXT];
    if (update_load(l->dir, &l->s) != RDG_OK) {
        rdg_log_err("update.unreadable", RDG_E_CORRUPT);
        return;
    }
    if (l->s.phase != UPDATE_NONE && update_digest(l->base_path, base) == RDG_OK &&
        strcmp(base, l->s.base) != 0) {
        rdg_log(RDG_LOG_INFO, "update.overtaken", RDG_STR("by", l->base_path));
        l->s.previous[0] = '\0';
        roll_back(l, "another version was installed on the device");
    }
    while (l->s.phase != UPDATE_NONE) {
        char why[256];
        if (check(l, l->s.program) == RDG_OK) {
            if (l->s.phase == UPDATE_TRYING) {
                try_program(l);
                continue;
            }
            become(l, l->s.program);
            snprintf(why, sizeof why, "%.200s", rdg_err_message(RDG_E_IO));
        } else {
            snprintf(why, sizeof why, "%.200s", rdg_err_message(RDG_E_CORRUPT));
        }
        roll_back(l, why);
    }
}

void rdg_agent_launch(const char *dir, char **argv, uint64_t trial_ms) {
    if (getenv(UPDATE_RUNNING_ENV)) return;
    launch_t *l = rdg_calloc(1, sizeof *l);
    if (!l) return;
    l->dir = dir;
    l->argv = argv;
    l->trial_ms = trial_ms ? trial_ms : RDG_AGENT_TRIAL_MS;
    if (find_base(l) == RDG_OK) launch(l);
    (void)setenv(UPDATE_RUNNING_ENV, "installed", 1);
    rdg_free(l);
}

void rdg_agent_relaunch(char **argv) {
    const char *base = getenv(UPDATE_BASE_ENV);
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", base ? base : "/proc/self/exe");
    (void)unsetenv(UPDATE_RUNNING_ENV);
    execv(path, argv);
    rdg_log(RDG_LOG_ERROR, "update.no_relaunch", RDG_STR("program", path), RDG_I64("errno", errno));
}
