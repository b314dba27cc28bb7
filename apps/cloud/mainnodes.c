/* The main chain's nodes as child processes: one thread looks after each. */
#include "mainnodes.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include "ridge/base/config.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/net/process.h"

#define GRACE_MS 15000
#define LOOK_MS 60000 /* size of the log, life of the certificates */
#define BACKOFF_MIN_MS 100u
#define BACKOFF_MAX_MS 10000u
#define STABLE_MS 30000u
#define LOG_MAX (8 << 20)

typedef struct node {
    mainnodes_t *chain;
    size_t number;
    pthread_t thread;
    bool watched;
    uint16_t ports[2]; /* p2p, rpc */
    char url[RDG_BAAS_URL_MAX], state[32];
    rdg_process_t *process;
} node_t;

struct mainnodes {
    char dir[MAINNODES_PATH];
    char *program;
    bool embedded, stopping;
    size_t count;
    node_t nodes[MAINNODES_NODES_MAX];
    pthread_mutex_t lock; /* guards what of nodes changes, and stopping */
    pthread_cond_t changed;
};

/* --- ports --------------------------------------------------------------------------------------------------------- */

/* port 0: any. PORT_IN_USE. */
static rdg_err_t try_port(uint16_t *port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(*port)};
    socklen_t len = sizeof a;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0) return rdg_fail_errno(errno, "cannot make a socket");
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bool bound = bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 1) == 0 &&
                 getsockname(fd, (struct sockaddr *)&a, &len) == 0;
    int e = errno;
    close(fd);
    if (!bound && e == EADDRINUSE) return rdg_fail(RDG_E_PORT_IN_USE, "port %u is taken", *port);
    if (!bound) return rdg_fail_errno(e, "cannot listen on loopback");
    *port = ntohs(a.sin_port);
    return RDG_OK;
}

static rdg_err_t ports_path(const node_t *n, char out[MAINNODES_PATH]) {
    char dir[MAINNODES_PATH];
    RDG_TRY(mainnodes_dir(n->chain->dir, n->number, dir));
    return rdg_path_join(out, MAINNODES_PATH, dir, "ports");
}

static void read_ports(const node_t *n, uint16_t ports[2]) {
    char path[MAINNODES_PATH];
    rdg_buf_t text;
    unsigned a = 0, b = 0;
    rdg_buf_init(&text, 64);
    ports[0] = ports[1] = 0;
    if (ports_path(n, path) == RDG_OK && rdg_file_read(path, &text) == RDG_OK &&
        sscanf(rdg_buf_cstr(&text), "%u %u", &a, &b) == 2 && a < 65536 && b < 65536)
        ports[0] = (uint16_t)a, ports[1] = (uint16_t)b;
    rdg_buf_fini(&text);
}

/* The ports it had, where they are free; else others, which are kept from then on. */
static rdg_err_t choose_ports(node_t *n) {
    uint16_t kept[2], ports[2], all[MAINNODES_NODES_MAX];
    char path[MAINNODES_PATH], text[32];
    mainnodes_t *m = n->chain;
    read_ports(n, kept);
    for (int i = 0; i < 2; ++i) {
        ports[i] = kept[i];
        rdg_err_t err = try_port(&ports[i]);
        if (err == RDG_E_PORT_IN_USE) {
            ports[i] = 0;
            err = try_port(&ports[i]);
            rdg_log(RDG_LOG_WARN, "mainchain.port_changed", RDG_U64("node", n->number),
                    RDG_U64("from", kept[i]), RDG_U64("to", ports[i]),
                    RDG_STR("why", "another program uses it"));
        }
        RDG_TRY(err);
    }
    bool moved = ports[0] != kept[0];
    snprintf(text, sizeof text, "%u %u\n", ports[0], ports[1]);
    RDG_TRY(ports_path(n, path));
    if (moved || ports[1] != kept[1]) RDG_TRY(rdg_file_replace(path, rdg_bytes_str(text), 0600));
    pthread_mutex_lock(&m->lock);
    memcpy(n->ports, ports, sizeof n->ports);
    snprintf(n->url, sizeof n->url, "http://127.0.0.1:%u", ports[1]);
    for (size_t i = 0; i < m->count; ++i) all[i] = m->nodes[i].ports[0];
    /* Under the lock, so that the newest of two lists is the one that stays; the nodes read it again by themselves. */
    rdg_err_t err = moved ? mainnodes_write_peers(m->dir, m->count, all) : RDG_OK;
    pthread_mutex_unlock(&m->lock);
    return err;
}

/* --- the process --------------------------------------------------------------------------------------------------- */

static uint64_t now_ms(void) {
    return rdg_mono_ms(rdg_clock_system());
}

static bool is_stopping(mainnodes_t *m) {
    pthread_mutex_lock(&m->lock);
    bool stopping = m->stopping;
    pthread_mutex_unlock(&m->lock);
    return stopping;
}

static void set_state(node_t *n, const char *state) {
    pthread_mutex_lock(&n->chain->lock);
    snprintf(n->state, sizeof n->state, "%s", state);
    pthread_mutex_unlock(&n->chain->lock);
}

static rdg_err_t launch(node_t *n) {
    mainnodes_t *m = n->chain;
    char dir[MAINNODES_PATH], log[MAINNODES_PATH], name[32], p2p[8], rpc[8];
    RDG_TRY(mainnodes_certify(m->dir, n->number));
    RDG_TRY(choose_ports(n));
    RDG_TRY(mainnodes_dir(m->dir, n->number, dir));
    RDG_TRY(rdg_path_join(log, sizeof log, dir, "node.log"));
    snprintf(name, sizeof name, "main-%zu", n->number);
    snprintf(p2p, sizeof p2p, "%u", n->ports[0]);
    snprintf(rpc, sizeof rpc, "%u", n->ports[1]);
    const char *argv[] = {m->program,   "--name",     name,         "--dir", dir,
                          "--p2p-host", "127.0.0.1",  "--p2p-port", p2p,     "--rpc-host",
                          "127.0.0.1",  "--rpc-port", rpc,          NULL};
    rdg_process_options_t o = {.argv = argv, .log_path = log, .die_with_parent = true, .new_session = true};
    rdg_process_t *p = NULL;
    pthread_mutex_lock(&m->lock);
    rdg_err_t err = m->stopping ? rdg_fail(RDG_E_CANCELLED, "the cloud stops") : rdg_process_start(&o, &p);
    n->process = p;
    snprintf(n->state, sizeof n->state, "%s", err == RDG_OK ? "running" : "not started");
    pthread_mutex_unlock(&m->lock);
    return err;
}

static void trim_log(const node_t *n) {
    char dir[MAINNODES_PATH], log[MAINNODES_PATH];
    struct stat st;
    if (mainnodes_dir(n->chain->dir, n->number, dir) != RDG_OK ||
        rdg_path_join(log, sizeof log, dir, "node.log") != RDG_OK)
        return;
    if (stat(log, &st) == 0 && st.st_size > LOG_MAX && truncate(log, 0) != 0)
        rdg_log_err("mainchain.log_not_trimmed", rdg_fail_errno(errno, "cannot cut %s", log));
}

static void note_end(node_t *n, int status) {
    char how[64], state[32];
    rdg_process_describe(status, how, sizeof how);
    snprintf(state, sizeof state, "ended: %.20s", how);
    set_state(n, state);
    rdg_log(RDG_LOG_WARN, "mainchain.node_ended", RDG_U64("node", n->number), RDG_STR("how", how));
}

/* Waits on changed for at most ms. */
static void pause_for(mainnodes_t *m, uint64_t ms) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += (time_t)(ms / 1000);
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) t.tv_nsec -= 1000000000, ++t.tv_sec;
    pthread_mutex_lock(&m->lock);
    int e = 0;
    while (!m->stopping && e == 0) e = pthread_cond_timedwait(&m->changed, &m->lock, &t);
    pthread_mutex_unlock(&m->lock);
}

static void watch(node_t *n) {
    int status = 0;
    while (rdg_process_wait(n->process, LOOK_MS, &status) != RDG_OK) {
        trim_log(n);
        rdg_err_t err = mainnodes_certify(n->chain->dir, n->number);
        if (err != RDG_OK) rdg_log_err("mainchain.certificates", err);
    }
    if (!is_stopping(n->chain)) note_end(n, status);
    pthread_mutex_lock(&n->chain->lock);
    rdg_process_t *p = n->process;
    n->process = NULL;
    pthread_mutex_unlock(&n->chain->lock);
    rdg_process_free(p);
}

static void *supervise(void *arg) {
    node_t *n = arg;
    mainnodes_t *m = n->chain;
    char told[RDG_ERROR_TEXT_MAX] = "";
    unsigned failures = 0;
    while (!is_stopping(m)) {
        uint64_t started = now_ms();
        rdg_err_t err = launch(n);
        if (err == RDG_OK) {
            told[0] = '\0';
            watch(n);
        } else if (strcmp(told, rdg_err_message(err)) != 0 && !is_stopping(m)) {
            snprintf(told, sizeof told, "%s", rdg_err_message(err));
            rdg_log_err("mainchain.node_not_started", err);
        }
        failures = now_ms() - started >= STABLE_MS ? 0 : failures + 1;
        uint64_t wait = (uint64_t)BACKOFF_MIN_MS << (failures > 7 ? 7 : failures);
        pause_for(m, wait > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : wait);
    }
    return NULL;
}

/* --- settings ------------------------------------------------------------------------------------------------------ */

/* Where the chain service finds node i. */
static bool find_node(void *ctx, size_t i, char url[RDG_BAAS_URL_MAX], char state[32]) {
    mainnodes_t *m = ctx;
    if (i >= m->count) return false;
    pthread_mutex_lock(&m->lock);
    bool up = !m->embedded || m->nodes[i].process;
    snprintf(url, RDG_BAAS_URL_MAX, "%s", up ? m->nodes[i].url : "");
    snprintf(state, 32, "%s", m->nodes[i].state);
    pthread_mutex_unlock(&m->lock);
    return true;
}

static rdg_err_t bad_setting(const char *setting) {
    return rdg_fail(RDG_E_INVALID,
                    "mainchain: '%.100s': want off, a number of nodes from 1 to %d, or up to %d addresses "
                    "http://host:port with commas between",
                    setting, MAINNODES_NODES_MAX, MAINNODES_NODES_MAX);
}

static rdg_err_t read_setting(mainnodes_t *m, const char *setting) {
    uint64_t count;
    if (rdg_parse_u64(setting, &count) == RDG_OK) {
        if (count < 1 || count > MAINNODES_NODES_MAX) return bad_setting(setting);
        m->embedded = true;
        m->count = count;
        return RDG_OK;
    }
    for (const char *p = setting; *p;) {
        size_t len = strcspn(p, ",");
        if (m->count == MAINNODES_NODES_MAX || len < 8 || len >= RDG_BAAS_URL_MAX ||
            strncmp(p, "http://", 7) != 0)
            return bad_setting(setting);
        memcpy(m->nodes[m->count].url, p, len);
        snprintf(m->nodes[m->count++].state, 32, "external");
        p += len + (p[len] == ',');
    }
    return m->count > 0 ? RDG_OK : bad_setting(setting);
}

static rdg_err_t find_program(const char *wanted, char **out) {
    char path[MAINNODES_PATH], *slash;
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 32);
    path[n > 0 ? n : 0] = '\0';
    slash = strrchr(path, '/');
    if (!wanted && slash) snprintf(slash + 1, 16, "ridge-node");
    if (!wanted && slash && access(path, X_OK) == 0) wanted = path;
    *out = rdg_strdup(wanted ? wanted : "ridge-node");
    return *out ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for the main chain");
}

static rdg_err_t make_or_read(mainnodes_t *m, char **genesis) {
    if (m->embedded) return mainnodes_make(m->dir, m->count, genesis);
    rdg_err_t err = mainnodes_read_genesis(m->dir, genesis);
    return err == RDG_OK
               ? err
               : rdg_fail_in(
                     err,
                     "the genesis.json of the main chain that runs elsewhere, and the writer.key of its "
                     "administrator, have to be in %s",
                     m->dir);
}

static rdg_err_t open_service(mainnodes_t *m, const mainnodes_options_t *o, rdg_baas_t *baas) {
    char key[MAINNODES_PATH], *genesis = NULL;
    RDG_TRY(rdg_path_join(key, sizeof key, m->dir, "writer.key"));
    RDG_TRY(make_or_read(m, &genesis));
    rdg_baas_mainchain_options_t b = {.genesis = genesis,
                                      .key_file = key,
                                      .node = find_node,
                                      .ctx = m,
                                      .embedded = m->embedded,
                                      .checkpoint_ms = o->checkpoint_ms};
    rdg_err_t err = rdg_baas_mainchain_open(baas, &b);
    rdg_free(genesis);
    return err;
}

static rdg_err_t start(mainnodes_t *m, const mainnodes_options_t *o, rdg_baas_t *baas) {
    RDG_TRY(read_setting(m, o->setting));
    RDG_TRY(rdg_path_join(m->dir, sizeof m->dir, o->data_dir, "mainchain"));
    RDG_TRY(open_service(m, o, baas));
    rdg_log(RDG_LOG_INFO, "cloud.mainchain", RDG_STR("kind", m->embedded ? "embedded" : "external"),
            RDG_U64("nodes", m->count), RDG_U64("tolerates", (m->count - 1) / 3));
    if (!m->embedded) return RDG_OK;
    RDG_TRY(find_program(o->node_program, &m->program));
    for (size_t i = 0; i < m->count; ++i) read_ports(&m->nodes[i], m->nodes[i].ports);
    for (size_t i = 0; i < m->count; ++i) {
        int e = pthread_create(&m->nodes[i].thread, NULL, supervise, &m->nodes[i]);
        if (e != 0) return rdg_fail_errno(e, "cannot start a thread for the main chain");
        m->nodes[i].watched = true;
    }
    return RDG_OK;
}

rdg_err_t mainnodes_start(const mainnodes_options_t *options, rdg_baas_t *baas, mainnodes_t **out) {
    pthread_condattr_t attr;
    *out = NULL;
    if (!options->setting || strcmp(options->setting, "off") == 0) return RDG_OK;
    mainnodes_t *m = rdg_calloc(1, sizeof *m);
    if (!m) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the main chain");
    pthread_mutex_init(&m->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&m->changed, &attr);
    pthread_condattr_destroy(&attr);
    for (size_t i = 0; i < MAINNODES_NODES_MAX; ++i) {
        m->nodes[i].chain = m;
        m->nodes[i].number = i;
        snprintf(m->nodes[i].state, sizeof m->nodes[i].state, "starting");
    }
    *out = m; /* the chain service may hold it already when something fails */
    return rdg_fail_in(start(m, options, baas), "the main chain");
}

void mainnodes_stop(mainnodes_t *m) {
    if (!m) return;
    pthread_mutex_lock(&m->lock);
    m->stopping = true;
    pthread_cond_broadcast(&m->changed);
    /* Under the lock: a supervisor frees a process only after it has taken it out. */
    for (size_t i = 0; i < m->count; ++i)
        if (m->nodes[i].process) (void)rdg_process_stop(m->nodes[i].process, GRACE_MS);
    pthread_mutex_unlock(&m->lock);
    for (size_t i = 0; i < m->count; ++i)
        if (m->nodes[i].watched) pthread_join(m->nodes[i].thread, NULL);
    pthread_cond_destroy(&m->changed);
    pthread_mutex_destroy(&m->lock);
    rdg_free(m->program);
    rdg_free(m);
}
