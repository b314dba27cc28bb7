#include "broker_internal.h"
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
#define RELOAD_TIMEOUT_MS 10000
#define RELOAD_AGAIN_MS 3000 /* should a signal have been lost, or whoever waited for it have given up */
#define PROBE_TIMEOUT_MS 1000
#define PROBE_EVERY_MS 10
#define PROBE_RARELY_MS 160
#define WATCH_EVERY_MS 5000 /* for the size of the log */
#define STOP_GRACE_MS 5000
#define BACKOFF_MIN_MS 100u
#define BACKOFF_MAX_MS 10000u
#define STABLE_MS 30000u
#define PORT_ATTEMPTS 5
#define PASSWORD_MAX 128

struct rdg_broker {
    broker_files_t files;
    char *program;
    char url[64];
    uint16_t port;
    bool anonymous;
    pthread_t thread;
    pthread_mutex_t users; /* one change of the password file at a time */
    pthread_mutex_t mutex; /* guards process and stopping */
    pthread_cond_t changed;
    rdg_process_t *process; /* NULL while it is down */
    bool stopping, supervised;
    /* Changes of the password file, counted; the last that the broker was told of, when, and the last that it has taken. */
    uint64_t written, told, told_ms, taken;
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
    pthread_mutex_destroy(&b->users);
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
    pthread_mutex_init(&b->users, NULL);
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

/* Call with the mutex held. */
static void tell(rdg_broker_t *b) {
    b->told = b->written;
    b->told_ms = now_ms();
    if (b->process && rdg_process_alive(b->process, NULL)) kill(rdg_process_pid(b->process), SIGHUP);
}

/* For each reload mosquitto checks the password of everybody who is connected, in its only thread: while it is at one, changes
 * gather for the next. True once it has been told of this change; *told: of which is the last. */
static bool tell_of(rdg_broker_t *b, uint64_t change, uint64_t *told) {
    pthread_mutex_lock(&b->mutex);
    bool idle = b->taken == b->told, late = now_ms() - b->told_ms >= RELOAD_AGAIN_MS;
    if (late || (idle && b->told < change)) tell(b);
    *told = b->told;
    pthread_mutex_unlock(&b->mutex);
    return *told >= change;
}

static void has_taken(rdg_broker_t *b, uint64_t change) {
    pthread_mutex_lock(&b->mutex);
    if (b->taken < change) b->taken = change;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->mutex);
}

/* mosquitto reads its files some time after the signal: the password is in force when it has let the user in. */
static rdg_err_t await_accepted(rdg_broker_t *b, const char *user, const char *password, uint64_t change) {
    uint64_t end = now_ms() + RELOAD_TIMEOUT_MS, wait = PROBE_EVERY_MS, told;
    /* Where there is a local socket the password is on no wire, not even the machine's own. */
    const char *local = rdg_broker_socket(b), *host = local ? local : "127.0.0.1";
    while (now_ms() < end && !is_stopping(b)) {
        int code = -1;
        if (tell_of(b, change, &told)) {
            if (broker_probe(host, b->port, user, password, PROBE_TIMEOUT_MS, &code) == RDG_OK && code == 0) {
                has_taken(b, told);
                return RDG_OK;
            }
            wait = wait * 2 < PROBE_RARELY_MS ? wait * 2 : PROBE_RARELY_MS;
        }
        pthread_mutex_lock(&b->mutex);
        wait_changed(b, b->taken < change ? wait : PROBE_EVERY_MS);
        pthread_mutex_unlock(&b->mutex);
    }
    return rdg_fail(RDG_E_TIMEOUT,
                    "the broker has not taken the new password of %s yet: it will at its next start", user);
}

static rdg_err_t check_user(const rdg_broker_t *b, const char *user) {
    if (b->anonymous) return rdg_fail(RDG_E_UNSUPPORTED, "this broker has no users");
    if (!rdg_name_valid(user + (user[0] == '_')))
        return rdg_fail(RDG_E_INVALID, "\"%.64s\" is no valid user name", user);
    return RDG_OK;
}

static rdg_err_t write_user(rdg_broker_t *b, const char *user, const char *password, uint64_t *change) {
    pthread_mutex_lock(&b->users);
    rdg_err_t err = broker_write_password(&b->files, user, password);
    pthread_mutex_lock(&b->mutex);
    *change = err == RDG_OK ? ++b->written : 0;
    pthread_mutex_unlock(&b->mutex);
    pthread_mutex_unlock(&b->users);
    return err;
}

rdg_err_t rdg_broker_set_user(rdg_broker_t *b, const char *user, const char *password) {
    RDG_TRY(check_user(b, user));
    if (!*password || strlen(password) > PASSWORD_MAX)
        return rdg_fail(RDG_E_INVALID, "a broker password has 1 to %d bytes", PASSWORD_MAX);
    uint64_t change;
    RDG_TRY(write_user(b, user, password, &change));
    return await_accepted(b, user, password, change);
}

rdg_err_t rdg_broker_remove_user(rdg_broker_t *b, const char *user) {
    uint64_t change;
    RDG_TRY(check_user(b, user));
    RDG_TRY(write_user(b, user, NULL, &change));
    pthread_mutex_lock(&b->mutex);
    tell(b);
    b->told_ms = 0; /* nobody waits to see it taken: who comes next tells anew */
    pthread_mutex_unlock(&b->mutex);
    return RDG_OK;
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
