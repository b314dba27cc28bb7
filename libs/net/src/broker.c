#include "broker_internal.h"
#include "broker_gate.h"
#include "socket.h"
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/net/process.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define READY_TIMEOUT_MS 10000
#define KICK_TIMEOUT_MS 10000
#define KICK_EVERY_MS 5
#define PROBE_TIMEOUT_MS 1000
#define PROBE_EVERY_MS 10
#define WATCH_EVERY_MS 5000 /* for the size of the log */
#define STOP_GRACE_MS 5000
#define BACKOFF_MIN_MS 100u
#define BACKOFF_MAX_MS 10000u
#define STABLE_MS 30000u
#define PORT_ATTEMPTS 5
#define TURNS 16

struct rdg_broker {
    broker_files_t files;
    char *program;
    char url[64];
    uint16_t port;
    bool anonymous;
    pthread_t thread;
    pthread_mutex_t turns[TURNS]; /* of changes of a user */
    pthread_mutex_t mutex;        /* guards process and stopping */
    pthread_cond_t changed;
    rdg_process_t *process; /* NULL while it is down */
    bool stopping, supervised;
};

static uint64_t now_ms(void) {
    return rdg_mono_ms(rdg_clock_system());
}

static rdg_err_t launch(const rdg_broker_t *b, rdg_process_t **out) {
    const char *argv[] = {b->program, "-c", b->files.conf, NULL};
    rdg_process_options_t o = {.argv = argv,
                               .log_path = b->files.log,
                               .user = b->files.user,
                               .die_with_parent = true,
                               .new_session = true};
    return rdg_process_start(&o, out);
}

static rdg_err_t ended(const rdg_broker_t *b, int status) {
    char how[64], line[256];
    rdg_process_describe(status, how, sizeof how);
    broker_last_log_line(&b->files, line, sizeof line);
    bool taken = strstr(line, "in use") != NULL;
    return rdg_fail(taken ? RDG_E_PORT_IN_USE : RDG_E_UNAVAILABLE, "mosquitto ended with %s: %s", how, line);
}

/* Any answer to a CONNECT, a refusal too, shows that it is up. */
static rdg_err_t await_ready(const rdg_broker_t *b, rdg_process_t *p) {
    uint64_t end = now_ms() + READY_TIMEOUT_MS;
    int status, code;
    while (now_ms() < end) {
        rdg_err_t answered = broker_probe("127.0.0.1", b->port, NULL, NULL, PROBE_TIMEOUT_MS, &code);
        if (rdg_process_wait(p, answered == RDG_OK ? 0 : PROBE_EVERY_MS, &status) == RDG_OK)
            return ended(b, status);
        if (answered == RDG_OK) return RDG_OK;
    }
    return rdg_fail(RDG_E_TIMEOUT, "mosquitto does not answer at %s: see %s", b->url, b->files.log);
}

static rdg_err_t choose_port(rdg_broker_t *b, uint16_t wanted, unsigned attempt) {
    uint16_t kept = attempt == 0 ? broker_read_port(&b->files) : 0, port = wanted ? wanted : kept;
    int fd;
    rdg_err_t err = socket_listen("127.0.0.1", port, &fd, &b->port);
    if (err == RDG_E_PORT_IN_USE && !wanted) {
        RDG_TRY(socket_listen("127.0.0.1", 0, &fd, &b->port));
        rdg_log(RDG_LOG_WARN, "broker.port_changed", RDG_U64("from", port), RDG_U64("to", b->port),
                RDG_STR("why", "another program uses it"));
        err = RDG_OK;
    }
    if (err != RDG_OK) return err;
    close(fd);
    snprintf(b->url, sizeof b->url, "mqtt://127.0.0.1:%u", b->port);
    return RDG_OK;
}

static rdg_err_t first_launch(rdg_broker_t *b, const rdg_broker_options_t *o, unsigned attempt) {
    rdg_process_t *p;
    RDG_TRY(choose_port(b, o->port, attempt));
    RDG_TRY(broker_write_conf(&b->files, b->port, o));
    RDG_TRY(launch(b, &p));
    rdg_err_t err = await_ready(b, p);
    if (err == RDG_OK) err = broker_write_port(&b->files, b->port);
    if (err == RDG_OK) {
        b->process = p;
        return RDG_OK;
    }
    (void)rdg_process_stop(p, STOP_GRACE_MS);
    rdg_process_free(p);
    return err;
}

/* Waits on changed for at most ms; call with the mutex held. */
static void wait_changed(rdg_broker_t *b, uint64_t ms) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += (time_t)(ms / 1000);
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) t.tv_nsec -= 1000000000, ++t.tv_sec;
    (void)pthread_cond_timedwait(&b->changed, &b->mutex, &t);
}

static bool is_stopping(rdg_broker_t *b) {
    pthread_mutex_lock(&b->mutex);
    bool stopping = b->stopping;
    pthread_mutex_unlock(&b->mutex);
    return stopping;
}

/* False when the broker is to stop. */
static bool relaunch(rdg_broker_t *b, unsigned failures) {
    uint64_t wait = (uint64_t)BACKOFF_MIN_MS << (failures > 7 ? 7 : failures);
    uint64_t end = now_ms() + (wait > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : wait);
    pthread_mutex_lock(&b->mutex);
    for (uint64_t now = now_ms(); !b->stopping && now < end; now = now_ms()) wait_changed(b, end - now);
    rdg_err_t err = RDG_OK;
    if (!b->stopping) err = launch(b, &b->process);
    bool go_on = !b->stopping;
    pthread_mutex_unlock(&b->mutex);
    if (err != RDG_OK) rdg_log_err("broker.restart_failed", err);
    return go_on;
}

static void *supervise(void *arg) {
    rdg_broker_t *b = arg;
    unsigned failures = 0;
    uint64_t started = now_ms();
    do {
        int status;
        /* Only this thread changes process once it runs. */
        rdg_process_t *p = b->process;
        if (p && rdg_process_wait(p, WATCH_EVERY_MS, &status) != RDG_OK) {
            broker_trim_log(&b->files);
            continue;
        }
        if (is_stopping(b)) break;
        failures = now_ms() - started >= STABLE_MS ? 0 : failures + 1;
        if (p) rdg_log_err("broker.died", ended(b, status));
        pthread_mutex_lock(&b->mutex);
        b->process = NULL;
        pthread_mutex_unlock(&b->mutex);
        rdg_process_free(p);
        started = now_ms();
    } while (b->process || relaunch(b, failures));
    return NULL;
}

static void broker_free(rdg_broker_t *b) {
    if (b->process) {
        (void)rdg_process_stop(b->process, STOP_GRACE_MS);
        rdg_process_free(b->process);
    }
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->mutex);
    for (size_t i = 0; i < TURNS; ++i) pthread_mutex_destroy(&b->turns[i]);
    rdg_free(b->program);
    rdg_free(b);
}

static rdg_err_t start(rdg_broker_t *b, const rdg_broker_options_t *o) {
    b->anonymous = o->anonymous != 0;
    b->program = rdg_strdup(o->program ? o->program : "mosquitto");
    if (!b->program) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a broker");
    RDG_TRY(broker_files_init(&b->files, o->dir));
    rdg_err_t err = RDG_E_PORT_IN_USE;
    for (unsigned i = 0; err == RDG_E_PORT_IN_USE && i < (o->port ? 1 : PORT_ATTEMPTS); ++i)
        err = first_launch(b, o, i);
    if (err != RDG_OK) return err;
    int why = pthread_create(&b->thread, NULL, supervise, b);
    b->supervised = why == 0;
    return why == 0 ? RDG_OK : rdg_fail_errno(why, "cannot start a thread");
}

rdg_err_t rdg_broker_start(const rdg_broker_options_t *options, rdg_broker_t **out) {
    rdg_broker_t *b = rdg_calloc(1, sizeof *b);
    pthread_condattr_t monotonic;
    if (!b) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a broker");
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&b->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&b->mutex, NULL);
    for (size_t i = 0; i < TURNS; ++i) pthread_mutex_init(&b->turns[i], NULL);
    rdg_err_t err = start(b, options);
    if (err == RDG_OK)
        *out = b;
    else
        broker_free(b);
    return rdg_fail_in(err, "the broker in %s", options->dir);
}

const char *rdg_broker_socket(const rdg_broker_t *b) {
    return b->files.socket[0] ? b->files.socket : NULL;
}

const char *rdg_broker_url(const rdg_broker_t *b) {
    return b->url;
}

pid_t rdg_broker_pid(const rdg_broker_t *broker) {
    rdg_broker_t *b = (rdg_broker_t *)(uintptr_t)broker;
    pthread_mutex_lock(&b->mutex);
    pid_t pid = b->process && rdg_process_alive(b->process, NULL) ? rdg_process_pid(b->process) : 0;
    pthread_mutex_unlock(&b->mutex);
    return pid;
}

static rdg_err_t check_user(const rdg_broker_t *b, const char *user) {
    if (b->anonymous) return rdg_fail(RDG_E_UNSUPPORTED, "this broker has no users");
    if (!broker_gate_name_valid(user))
        return rdg_fail(RDG_E_INVALID, "\"%.64s\" is no valid user name", user);
    return RDG_OK;
}

/* While it is down nobody is connected, and it forgets whom it should send away. */
static bool is_gone(rdg_broker_t *b, const char *user) {
    return broker_users_kicked(&b->files, user) || rdg_broker_pid(b) == 0 || is_stopping(b);
}

static rdg_err_t send_away(rdg_broker_t *b, const char *user) {
    uint64_t end = now_ms() + KICK_TIMEOUT_MS;
    RDG_TRY(broker_users_kick(&b->files, user));
    while (!is_gone(b, user)) {
        if (now_ms() >= end)
            return rdg_fail(RDG_E_TIMEOUT,
                            "the broker has not cut the connections of %s yet: it is busy, or hangs", user);
        pthread_mutex_lock(&b->mutex);
        wait_changed(b, KICK_EVERY_MS);
        pthread_mutex_unlock(&b->mutex);
    }
    return RDG_OK;
}

/* Changes of one user one after the other: who comes second knows what the first has made. */
static pthread_mutex_t *turn_of(rdg_broker_t *b, const char *user) {
    unsigned hash = 0;
    for (; *user; ++user) hash = hash * 31 + (unsigned char)*user;
    return &b->turns[hash % TURNS];
}

rdg_err_t rdg_broker_set_user(rdg_broker_t *b, const char *user, const char *password) {
    bool known = false;
    RDG_TRY(check_user(b, user));
    if (!password[0] || strlen(password) > BROKER_GATE_PASSWORD_MAX)
        return rdg_fail(RDG_E_INVALID, "a password has 1 to %d characters", BROKER_GATE_PASSWORD_MAX);
    pthread_mutex_t *turn = turn_of(b, user);
    pthread_mutex_lock(turn);
    rdg_err_t err = broker_users_set(&b->files, user, password, &known);
    if (err == RDG_OK && known) err = send_away(b, user);
    pthread_mutex_unlock(turn);
    return err;
}

rdg_err_t rdg_broker_remove_user(rdg_broker_t *b, const char *user) {
    RDG_TRY(check_user(b, user));
    pthread_mutex_t *turn = turn_of(b, user);
    pthread_mutex_lock(turn);
    rdg_err_t err = broker_users_remove(&b->files, user);
    if (err == RDG_OK) err = send_away(b, user);
    pthread_mutex_unlock(turn);
    return err;
}

void rdg_broker_stop(rdg_broker_t *b) {
    if (!b) return;
    pthread_mutex_lock(&b->mutex);
    b->stopping = true;
    pthread_cond_broadcast(&b->changed);
    rdg_process_t *p = b->process;
    /* Under the lock: the supervisor frees a process only after it has taken it out of b. */
    if (p) (void)rdg_process_stop(p, STOP_GRACE_MS);
    pthread_mutex_unlock(&b->mutex);
    if (b->supervised) pthread_join(b->thread, NULL);
    broker_free(b);
}
