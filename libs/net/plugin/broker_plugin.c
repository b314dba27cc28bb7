/* What mosquitto (2.0, plugin interface 5) loads to ask who may log in, in place of a password file.
 *
 * A changed password file makes mosquitto read all of it and check everybody who is connected again, in its only thread;
 * this reads the one file of the user who comes (../src/broker_gate.h). Who is to be sent away has a file in the directory
 * of kicks: it is removed once the user's connections are cut, so whoever made it sees that they are. What a user may read
 * and write is still mosquitto's own ACL file, which does not change.
 *
 * Fails closed: mosquitto does not start without it, lets nobody in whom it does not answer for, and a file that cannot be
 * read ends the connection. Nothing that a client sends is logged but a name that is valid. */
#include "broker_gate.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOOK_EVERY_MS 20
#define LOGGED_EVERY_MS 1000

#define EXPORTED __attribute__((visibility("default")))
EXPORTED int mosquitto_plugin_version(int count, const int *versions);
EXPORTED int mosquitto_plugin_init(mosquitto_plugin_id_t *id, void **data, struct mosquitto_opt *options,
                                   int count);
EXPORTED int mosquitto_plugin_cleanup(void *data, struct mosquitto_opt *options, int count);

typedef struct plugin {
    mosquitto_plugin_id_t *id;
    int users;
    DIR *kicks;
    long looked_ms, logged_ms;
} plugin_t;

static long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int on_login(int event, void *data, void *ctx) {
    const struct mosquitto_evt_basic_auth *e = data;
    plugin_t *p = ctx;
    (void)event;
    broker_gate_t answer = broker_gate_ask(p->users, e->username, e->password);
    if (answer == BROKER_GATE_IN) return MOSQ_ERR_SUCCESS;
    if (answer == BROKER_GATE_OUT) return MOSQ_ERR_AUTH;
    int why = errno;
    long now = now_ms();
    if (now - p->logged_ms >= LOGGED_EVERY_MS) {
        p->logged_ms = now;
        mosquitto_log_printf(MOSQ_LOG_ERR, "ridge: the file of user %s: %s", e->username, strerror(why));
    }
    /* No refusal, which the client would believe: the connection ends, and it comes again. */
    return MOSQ_ERR_UNKNOWN;
}

/* For each user that has a file among the kicks. */
static void each_kick(plugin_t *p, void (*fn)(const char *user)) {
    const struct dirent *entry;
    rewinddir(p->kicks);
    while ((entry = readdir(p->kicks))) {
        if (!broker_gate_name_valid(entry->d_name)) continue;
        if (fn) fn(entry->d_name);
        unlinkat(dirfd(p->kicks), entry->d_name, 0);
    }
}

/* Without its will, as after a reload: the cloud knows whom it sends away. */
static void kick(const char *user) {
    mosquitto_kick_client_by_username(user, false);
}

/* Called after each round of mosquitto's loop, at least ten times a second. */
static int on_tick(int event, void *data, void *ctx) {
    plugin_t *p = ctx;
    long now = now_ms();
    (void)event;
    (void)data;
    if (now - p->looked_ms < LOOK_EVERY_MS) return MOSQ_ERR_SUCCESS;
    p->looked_ms = now;
    each_kick(p, kick);
    return MOSQ_ERR_SUCCESS;
}

int mosquitto_plugin_version(int count, const int *versions) {
    for (int i = 0; i < count; ++i)
        if (versions[i] == MOSQ_PLUGIN_VERSION) return MOSQ_PLUGIN_VERSION;
    return -1;
}

static int open_dir(const char *path) {
    int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd < 0)
        mosquitto_log_printf(MOSQ_LOG_ERR, "ridge: the directory %s: %s", path ? path : "(none)",
                             path ? strerror(errno) : "plugin_opt_users and plugin_opt_kicks are wanted");
    return fd;
}

static int open_dirs(plugin_t *p, const struct mosquitto_opt *options, int count) {
    const char *users = NULL, *kicks = NULL;
    for (int i = 0; i < count; ++i) {
        if (strcmp(options[i].key, "users") == 0) users = options[i].value;
        if (strcmp(options[i].key, "kicks") == 0) kicks = options[i].value;
    }
    if ((p->users = open_dir(users)) < 0) return MOSQ_ERR_INVAL;
    int fd = open_dir(kicks);
    p->kicks = fd < 0 ? NULL : fdopendir(fd);
    if (fd >= 0 && !p->kicks) close(fd);
    return p->kicks ? MOSQ_ERR_SUCCESS : MOSQ_ERR_INVAL;
}

static int start(plugin_t *p, const struct mosquitto_opt *options, int count) {
    int rc = open_dirs(p, options, count);
    if (rc == MOSQ_ERR_SUCCESS) each_kick(p, NULL); /* nobody is connected yet */
    if (rc == MOSQ_ERR_SUCCESS)
        rc = mosquitto_callback_register(p->id, MOSQ_EVT_BASIC_AUTH, on_login, NULL, p);
    if (rc == MOSQ_ERR_SUCCESS) rc = mosquitto_callback_register(p->id, MOSQ_EVT_TICK, on_tick, NULL, p);
    return rc;
}

int mosquitto_plugin_cleanup(void *data, struct mosquitto_opt *options, int count) {
    plugin_t *p = data;
    (void)options;
    (void)count;
    if (!p) return MOSQ_ERR_SUCCESS;
    mosquitto_callback_unregister(p->id, MOSQ_EVT_BASIC_AUTH, on_login, NULL);
    mosquitto_callback_unregister(p->id, MOSQ_EVT_TICK, on_tick, NULL);
    if (p->kicks) closedir(p->kicks);
    if (p->users >= 0) close(p->users);
    free(p);
    return MOSQ_ERR_SUCCESS;
}

int mosquitto_plugin_init(mosquitto_plugin_id_t *id, void **data, struct mosquitto_opt *options, int count) {
    plugin_t *p = calloc(1, sizeof *p);
    if (!p) return MOSQ_ERR_NOMEM;
    p->id = id;
    p->users = -1;
    *data = p;
    int rc = start(p, options, count);
    if (rc == MOSQ_ERR_SUCCESS) return rc;
    mosquitto_plugin_cleanup(p, options, count);
    *data = NULL;
    return rc;
}
