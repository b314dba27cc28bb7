#include "workloads.h"
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "thread.h"
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKOFF_MIN_MS 1000u
#define BACKOFF_MAX_MS 60000u
#define STABLE_MS 60000u
#define BUSY_LOOK_MS 50u
#define LOG_LOOK_MS 10000u
#define LOG_BYTES_MAX (16u << 20)
#define LOGS_KEPT 2

typedef struct workload {
    pthread_mutex_t op; /* held during driver calls; `chain` changes only under it and w->lock */
    chain_t chain;
    bool used, seen_running;
    bool due, taken; /* there is something for a starter; one has it */
    unsigned restarts;
    int last_exit;            /* as of waitpid; -1: unknown, or none since it was last asked to run */
    int pidfd;                /* the supervisor's */
    workload_health_t health; /* under w->lock */
    uint64_t started_ms, retry_at_ms, backoff_ms, log_at_ms;
} workload_t;

struct workloads {
    workloads_options_t options;
    char *dir;
    pthread_mutex_t lock; /* used flags and records; taken after op, never before */
    workload_t all[WORKLOADS_MAX];
    pthread_cond_t news; /* a starter has ended, or everything is settled */
    size_t starters;
    pthread_t thread;
    int wake;
    bool stopping, running, settled;
    uint64_t since_ms;
};

static void wake(workloads_t *w) {
    uint64_t one = 1;
    (void)!write(w->wake, &one, sizeof one);
}

static workload_t *find(workloads_t *w, const char *chain) {
    workload_t *found = NULL;
    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < WORKLOADS_MAX && !found; ++i)
        if (w->all[i].used && strcmp(w->all[i].chain.name, chain) == 0) found = &w->all[i];
    pthread_mutex_unlock(&w->lock);
    return found;
}

static workload_t *claim(workloads_t *w, const chain_t *c) {
    workload_t *got = NULL;
    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < WORKLOADS_MAX && !got; ++i) {
        if (w->all[i].used) continue;
        got = &w->all[i];
        got->chain = *c;
        got->used = true;
        got->seen_running = false;
        got->due = false;
        got->health = WORKLOAD_HEALTH_UNKNOWN;
        got->restarts = 0;
        got->last_exit = -1;
        /* A descriptor of the slot's former chain is left to the supervisor, which alone may close it. */
        got->retry_at_ms = got->backoff_ms = 0;
    }
    pthread_mutex_unlock(&w->lock);
    return got;
}

rdg_err_t workloads_driver(const workloads_t *w, const char *name, rdg_container_driver_t **out) {
    char have[128] = "";
    for (size_t i = 0; i < w->options.driver_count; ++i) {
        rdg_container_driver_t *d = w->options.drivers[i];
        if (strcmp(name, "auto") == 0 || strcmp(name, d->name) == 0) {
            *out = d;
            return RDG_OK;
        }
        size_t len = strlen(have);
        snprintf(have + len, sizeof have - len, "%s%s", i ? ", " : "", d->name);
    }
    return rdg_fail(RDG_E_NOT_FOUND, "this device has no driver '%.32s': it has %s", name, have);
}

/* Paths live in the caller's frame for as long as the spec. */
typedef struct spec_paths {
    char state[CHAIN_PATH_MAX], data[CHAIN_PATH_MAX], log[CHAIN_PATH_MAX], config[CHAIN_PATH_MAX + 16];
    const char *args[3];
    rdg_container_driver_t *driver;
    rdg_container_spec_t spec;
} spec_paths_t;

static rdg_err_t spec_of(const workloads_t *w, const chain_t *c, spec_paths_t *p) {
    RDG_TRY(workloads_driver(w, c->driver, &p->driver));
    RDG_TRY(chain_path(w->dir, c->name, "container", p->state));
    RDG_TRY(chain_path(w->dir, c->name, "node", p->data));
    RDG_TRY(chain_path(w->dir, c->name, "node/node.log", p->log));
    snprintf(p->config, sizeof p->config, "%s/node.conf",
             p->driver->data_mount ? p->driver->data_mount : p->data);
    p->args[0] = "--config";
    p->args[1] = p->config;
    p->args[2] = NULL;
    p->spec = (rdg_container_spec_t){.name = c->name,
                                     .state_dir = p->state,
                                     .data_dir = p->data,
                                     .log_path = p->log,
                                     .image = c->image[0] ? c->image : NULL,
                                     .args = p->args,
                                     .memory_bytes = c->memory_bytes,
                                     .cpu_millis = c->cpu_millis,
                                     .pids = c->pids};
    return RDG_OK;
}

static spec_paths_t *spec_new(const workloads_t *w, const chain_t *c, rdg_err_t *err) {
    spec_paths_t *p = rdg_calloc(1, sizeof *p);
    *err = p ? spec_of(w, c, p) : rdg_fail(RDG_E_NO_MEMORY, "no memory for chain %s", c->name);
    if (*err == RDG_OK) return p;
    rdg_free(p);
    return NULL;
}

static rdg_err_t run_locked(workloads_t *w, workload_t *l) {
    rdg_err_t err;
    spec_paths_t *p = spec_new(w, &l->chain, &err);
    if (!p) return err;
    if (w->options.before_start) err = w->options.before_start(w->options.ctx, &l->chain, p->driver);
    if (err == RDG_OK) err = p->driver->start(p->driver->ctx, &p->spec);
    rdg_free(p);
    if (err == RDG_OK) {
        l->started_ms = rdg_mono_ms(rdg_clock_system());
        wake(w);
    }
    return err;
}

rdg_err_t workloads_run(workloads_t *w, const char *chain) {
    workload_t *l = find(w, chain);
    if (!l) return rdg_fail(RDG_E_NOT_FOUND, "chain %s is not on this device: prepare it first", chain);
    pthread_mutex_lock(&l->op);
    l->backoff_ms = l->retry_at_ms = 0;
    l->last_exit = -1;
    rdg_err_t err = run_locked(w, l);
    pthread_mutex_unlock(&l->op);
    return err;
}

static rdg_err_t halt(workloads_t *w, const char *chain, uint64_t grace_ms) {
    workload_t *l = find(w, chain);
    rdg_err_t err;
    if (!l) return RDG_OK;
    pthread_mutex_lock(&l->op);
    spec_paths_t *p = spec_new(w, &l->chain, &err);
    if (p) err = p->driver->stop(p->driver->ctx, &p->spec, grace_ms);
    rdg_free(p);
    pthread_mutex_unlock(&l->op);
    wake(w);
    return err;
}

rdg_err_t workloads_halt(workloads_t *w, const char *chain) {
    return halt(w, chain, WORKLOAD_STOP_GRACE_MS);
}

rdg_err_t workloads_restart(workloads_t *w, const char *chain) {
    return halt(w, chain, WORKLOAD_HUNG_GRACE_MS);
}

void workloads_set_health(workloads_t *w, const char *chain, workload_health_t health) {
    workload_t *l = find(w, chain);
    if (!l) return;
    pthread_mutex_lock(&w->lock);
    l->health = health;
    pthread_mutex_unlock(&w->lock);
}

rdg_err_t workloads_get(workloads_t *w, const char *chain, chain_t *out) {
    workload_t *l = find(w, chain);
    if (!l) return rdg_fail(RDG_E_NOT_FOUND, "chain %s is not on this device: prepare it first", chain);
    pthread_mutex_lock(&w->lock);
    *out = l->chain;
    pthread_mutex_unlock(&w->lock);
    return RDG_OK;
}

rdg_err_t workloads_put(workloads_t *w, const chain_t *c) {
    workload_t *l = find(w, c->name);
    bool fresh = !l;
    if (fresh && !(l = claim(w, c)))
        return rdg_fail(RDG_E_FULL, "%d chains are on this device: remove one first", WORKLOADS_MAX);
    pthread_mutex_lock(&l->op);
    rdg_err_t err = chain_save(w->dir, c);
    pthread_mutex_lock(&w->lock);
    if (err == RDG_OK) l->chain = *c;
    if (err != RDG_OK && fresh) l->used = false;
    pthread_mutex_unlock(&w->lock);
    pthread_mutex_unlock(&l->op);
    return err;
}

static rdg_err_t remove_locked(workloads_t *w, workload_t *l, uint64_t *freed) {
    rdg_err_t err;
    char dir[CHAIN_PATH_MAX];
    /* Marked first: a removal that is cut short goes on at the next start instead of running half a chain. */
    chain_t marked = l->chain;
    marked.desired = CHAIN_REMOVED;
    RDG_TRY(chain_save(w->dir, &marked));
    pthread_mutex_lock(&w->lock);
    l->chain = marked;
    pthread_mutex_unlock(&w->lock);
    spec_paths_t *p = spec_new(w, &l->chain, &err);
    if (!p) return err;
    err = p->driver->stop(p->driver->ctx, &p->spec, WORKLOAD_STOP_GRACE_MS);
    if (err == RDG_OK) err = p->driver->remove(p->driver->ctx, &p->spec, freed);
    /* The ledger before the record: what is left after a power cut is still known. */
    if (err == RDG_OK) err = rdg_tree_remove(p->data, freed);
    rdg_free(p);
    RDG_TRY(err);
    RDG_TRY(chain_path(w->dir, l->chain.name, NULL, dir));
    return rdg_tree_remove(dir, freed);
}

rdg_err_t workloads_remove(workloads_t *w, const char *chain, uint64_t *freed) {
    workload_t *l = find(w, chain);
    char dir[CHAIN_PATH_MAX];
    if (!l) {
        RDG_TRY(chain_path(w->dir, chain, NULL, dir));
        return rdg_tree_remove(dir, freed);
    }
    pthread_mutex_lock(&l->op);
    rdg_err_t err = remove_locked(w, l, freed);
    if (err == RDG_OK) {
        pthread_mutex_lock(&w->lock);
        l->used = false;
        pthread_mutex_unlock(&w->lock);
    }
    pthread_mutex_unlock(&l->op);
    wake(w);
    return err;
}

rdg_err_t workloads_watch(workloads_t *w, const char *chain, int *pidfd) {
    workload_t *l = find(w, chain);
    rdg_err_t err;
    if (!l) return rdg_fail(RDG_E_NOT_FOUND, "chain %s is not on this device", chain);
    pthread_mutex_lock(&l->op);
    spec_paths_t *p = spec_new(w, &l->chain, &err);
    if (p) err = p->driver->watch(p->driver->ctx, &p->spec, pidfd);
    rdg_free(p);
    pthread_mutex_unlock(&l->op);
    return err;
}

static rdg_err_t view_locked(workloads_t *w, workload_t *l, workload_view_t *out) {
    rdg_err_t err;
    memset(out, 0, sizeof *out);
    out->chain = l->chain;
    out->restarts = l->restarts;
    out->last_exit = l->last_exit;
    pthread_mutex_lock(&w->lock);
    out->health = l->health;
    pthread_mutex_unlock(&w->lock);
    spec_paths_t *p = spec_new(w, &l->chain, &err);
    if (p) err = p->driver->status(p->driver->ctx, &p->spec, &out->status);
    rdg_free(p);
    return err;
}

rdg_err_t workloads_status(workloads_t *w, const char *chain, workload_view_t *out) {
    workload_t *l = find(w, chain);
    if (!l) return rdg_fail(RDG_E_NOT_FOUND, "chain %s is not on this device", chain);
    pthread_mutex_lock(&l->op);
    rdg_err_t err = view_locked(w, l, out);
    pthread_mutex_unlock(&l->op);
    return err;
}

size_t workloads_list(workloads_t *w, workload_view_t *out, size_t max) {
    size_t n = 0;
    for (size_t i = 0; i < WORKLOADS_MAX && n < max; ++i) {
        workload_t *l = &w->all[i];
        pthread_mutex_lock(&w->lock);
        bool used = l->used;
        pthread_mutex_unlock(&w->lock);
        /* One that is being stopped or removed is busy; the next list has it again or not at all. */
        if (!used || pthread_mutex_trylock(&l->op) != 0) continue;
        if (l->used && view_locked(w, l, &out[n]) == RDG_OK) ++n;
        pthread_mutex_unlock(&l->op);
    }
    return n;
}

size_t workloads_records(workloads_t *w, workload_view_t *out, size_t max) {
    size_t n = 0;
    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < WORKLOADS_MAX && n < max; ++i)
        if (w->all[i].used) out[n++] = (workload_view_t){.chain = w->all[i].chain};
    pthread_mutex_unlock(&w->lock);
    return n;
}

/* --- starters ------------------------------------------------------------------------------------ */

static void put_off(workload_t *l) {
    l->backoff_ms = l->backoff_ms ? l->backoff_ms : BACKOFF_MIN_MS;
    l->retry_at_ms = rdg_mono_ms(rdg_clock_system()) + l->backoff_ms;
    l->backoff_ms = l->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : l->backoff_ms * 2;
}

static void start_due(workloads_t *w, workload_t *l) {
    ++l->restarts;
    l->retry_at_ms = 0;
    rdg_err_t err = run_locked(w, l);
    rdg_log(RDG_LOG_INFO, "workload.started", RDG_STR("chain", l->chain.name),
            RDG_U64("restarts", l->restarts), RDG_STR("code", rdg_err_name(err)),
            RDG_STR("error", err == RDG_OK ? "" : rdg_err_message(err)));
    if (err != RDG_OK) put_off(l);
}

/* A removal that was cut short, or failed. */
static void remove_due(workloads_t *w, workload_t *l) {
    rdg_err_t err = remove_locked(w, l, NULL);
    if (err != RDG_OK) {
        rdg_log_err("workload.removal_failed", err);
        put_off(l);
        return;
    }
    pthread_mutex_lock(&w->lock);
    l->used = false;
    pthread_mutex_unlock(&w->lock);
}

static void act(workloads_t *w, workload_t *l) {
    pthread_mutex_lock(&l->op);
    if (l->used && l->chain.desired == CHAIN_REMOVED)
        remove_due(w, l);
    else if (l->used && l->chain.desired == CHAIN_RUNNING)
        start_due(w, l);
    pthread_mutex_unlock(&l->op);
}

static void *act_on_due(void *arg) {
    workloads_t *w = arg;
    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < WORKLOADS_MAX && !__atomic_load_n(&w->stopping, __ATOMIC_ACQUIRE); ++i) {
        workload_t *l = &w->all[i];
        if (!l->due || l->taken) continue;
        l->taken = true;
        pthread_mutex_unlock(&w->lock);
        act(w, l);
        pthread_mutex_lock(&w->lock);
        l->due = l->taken = false;
        wake(w);
        i = SIZE_MAX; /* from the first again: others may have become due */
    }
    --w->starters;
    pthread_cond_broadcast(&w->news);
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static void hand_over(workloads_t *w, workload_t *l) {
    pthread_mutex_lock(&w->lock);
    bool more = !l->due && w->starters < WORKLOAD_STARTERS;
    l->due = true;
    w->starters += more;
    pthread_mutex_unlock(&w->lock);
    if (!more || thread_start_detached(act_on_due, w) == RDG_OK) return;
    rdg_log_err("workload.no_thread", RDG_E_NO_MEMORY);
    pthread_mutex_lock(&w->lock);
    --w->starters;
    l->due = false;
    pthread_mutex_unlock(&w->lock);
}

static bool is_due(workloads_t *w, const workload_t *l) {
    pthread_mutex_lock(&w->lock);
    bool due = l->due;
    pthread_mutex_unlock(&w->lock);
    return due;
}

/* --- the supervisor ---------------------------------------------------------------------------- */

static void forget_pidfd(workload_t *l) {
    if (l->pidfd >= 0) close(l->pidfd);
    l->pidfd = -1;
}

static void note_end(workload_t *l, const rdg_container_status_t *s, uint64_t now) {
    l->seen_running = false;
    l->last_exit = s->exit_status;
    rdg_log(
        RDG_LOG_WARN, "workload.ended", RDG_STR("chain", l->chain.name),
        RDG_I64("exit", s->exit_status >= 0 && WIFEXITED(s->exit_status) ? WEXITSTATUS(s->exit_status) : -1),
        RDG_I64("signal", s->exit_status >= 0 && WIFSIGNALED(s->exit_status) ? WTERMSIG(s->exit_status) : 0));
    if (now - l->started_ms >= STABLE_MS) l->backoff_ms = 0;
    l->retry_at_ms = now + l->backoff_ms;
    l->backoff_ms = l->backoff_ms == 0                   ? BACKOFF_MIN_MS
                    : l->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS
                                                         : l->backoff_ms * 2;
}

/* Looks at one workload; returns when it wants to be looked at again (mono ms), UINT64_MAX: when something
 * happens. */
static void look_at_log(workloads_t *w, workload_t *l, uint64_t now) {
    char path[CHAIN_PATH_MAX];
    if (now < l->log_at_ms) return;
    l->log_at_ms = now + LOG_LOOK_MS;
    if (chain_path(w->dir, l->chain.name, "node/node.log", path) != RDG_OK) return;
    rdg_err_t err = rdg_container_log_rotate(path, LOG_BYTES_MAX, LOGS_KEPT);
    if (err != RDG_OK) rdg_log_err("workload.log_not_rotated", err);
}

static uint64_t tend(workloads_t *w, workload_t *l, uint64_t now) {
    workload_view_t v;
    if (is_due(w, l)) return UINT64_MAX;
    if (l->chain.desired == CHAIN_REMOVED) {
        if (now < l->retry_at_ms) return l->retry_at_ms;
        hand_over(w, l);
        return now + BACKOFF_MIN_MS;
    }
    rdg_err_t err = view_locked(w, l, &v);
    if (err != RDG_OK) {
        rdg_log_err("workload.status_failed", err);
        return now + BACKOFF_MIN_MS;
    }
    if (v.status.state == RDG_CONTAINER_RUNNING) {
        look_at_log(w, l, now);
        if (l->pidfd < 0) {
            spec_paths_t *p = spec_new(w, &l->chain, &err);
            if (p && p->driver->watch(p->driver->ctx, &p->spec, &l->pidfd) != RDG_OK) l->pidfd = -1;
            rdg_free(p);
            if (!l->seen_running) w->options.changed(w->options.ctx);
            l->seen_running = true;
        }
        return l->pidfd >= 0 ? UINT64_MAX : now + 100;
    }
    if (l->chain.desired != CHAIN_RUNNING) {
        if (l->seen_running) w->options.changed(w->options.ctx);
        l->seen_running = false;
        return UINT64_MAX;
    }
    if (l->seen_running || (v.status.state == RDG_CONTAINER_EXITED && l->retry_at_ms == 0)) {
        note_end(l, &v.status, now);
        w->options.changed(w->options.ctx);
    }
    if (now < l->retry_at_ms) return l->retry_at_ms;
    hand_over(w, l);
    return now + BACKOFF_MIN_MS;
}

/* Once: everything that should run does, or has been tried. */
static void look_whether_settled(workloads_t *w) {
    unsigned running = 0, failed = 0;
    bool settled = true;
    if (w->settled) return;
    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < WORKLOADS_MAX; ++i) {
        const workload_t *l = &w->all[i];
        if (!l->used || l->chain.desired != CHAIN_RUNNING) continue;
        running += l->seen_running;
        failed += !l->seen_running && !l->due && l->retry_at_ms > 0 && l->restarts > 0;
        settled = settled && (l->seen_running || (!l->due && l->restarts > 0));
    }
    w->settled = settled;
    if (settled) pthread_cond_broadcast(&w->news);
    pthread_mutex_unlock(&w->lock);
    if (settled && running + failed > 0)
        rdg_log(RDG_LOG_INFO, "workloads.up", RDG_U64("running", running), RDG_U64("failed", failed),
                RDG_U64("after_ms", rdg_mono_ms(rdg_clock_system()) - w->since_ms));
}

bool workloads_settled(workloads_t *w, uint64_t timeout_ms) {
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + timeout_ms, now;
    pthread_mutex_lock(&w->lock);
    while (!w->settled && (now = rdg_mono_ms(rdg_clock_system())) < end)
        (void)thread_cond_wait_ms(&w->news, &w->lock, end - now);
    bool settled = w->settled;
    pthread_mutex_unlock(&w->lock);
    return settled;
}

static uint64_t tend_all(workloads_t *w) {
    uint64_t next = UINT64_MAX, now = rdg_mono_ms(rdg_clock_system());
    for (size_t i = 0; i < WORKLOADS_MAX; ++i) {
        workload_t *l = &w->all[i];
        pthread_mutex_lock(&w->lock);
        bool used = l->used;
        pthread_mutex_unlock(&w->lock);
        if (!used) {
            forget_pidfd(l);
            continue;
        }
        if (pthread_mutex_trylock(&l->op) != 0) {
            next = next < now + BUSY_LOOK_MS ? next : now + BUSY_LOOK_MS;
            continue;
        }
        uint64_t at = l->used ? tend(w, l, now) : UINT64_MAX;
        pthread_mutex_unlock(&l->op);
        if (at < next) next = at;
    }
    look_whether_settled(w);
    return next;
}

static void await(workloads_t *w, uint64_t until) {
    struct pollfd fds[WORKLOADS_MAX + 1] = {{.fd = w->wake, .events = POLLIN}};
    workload_t *of[WORKLOADS_MAX + 1] = {NULL};
    nfds_t n = 1;
    for (size_t i = 0; i < WORKLOADS_MAX; ++i) {
        if (w->all[i].pidfd < 0) continue;
        of[n] = &w->all[i];
        fds[n++] = (struct pollfd){.fd = w->all[i].pidfd, .events = POLLIN};
    }
    uint64_t now = rdg_mono_ms(rdg_clock_system());
    int timeout = until == UINT64_MAX ? 5000 : until <= now ? 0 : (int)(until - now);
    if (poll(fds, n, timeout) <= 0) return;
    uint64_t drained;
    if (fds[0].revents) (void)!read(w->wake, &drained, sizeof drained);
    for (nfds_t i = 1; i < n; ++i)
        if (fds[i].revents) forget_pidfd(of[i]);
}

static void *supervise(void *arg) {
    workloads_t *w = arg;
    while (!__atomic_load_n(&w->stopping, __ATOMIC_ACQUIRE)) await(w, tend_all(w));
    return NULL;
}

static rdg_err_t load_all(workloads_t *w) {
    char path[CHAIN_PATH_MAX];
    snprintf(path, sizeof path, "%s/chains", w->dir);
    RDG_TRY(rdg_dir_make(path, 0700));
    DIR *d = opendir(path);
    if (!d) return rdg_fail_errno(errno, "cannot list %s", path);
    for (struct dirent *e; (e = readdir(d));) {
        chain_t c;
        if (!rdg_name_valid(e->d_name)) continue;
        rdg_err_t err = chain_load(w->dir, e->d_name, &c);
        if (err != RDG_OK)
            rdg_log(RDG_LOG_ERROR, "workload.unreadable", RDG_STR("chain", e->d_name),
                    RDG_STR("error", rdg_err_message(err)));
        else if (!claim(w, &c))
            rdg_log(RDG_LOG_ERROR, "workload.too_many", RDG_STR("chain", e->d_name));
    }
    closedir(d);
    return RDG_OK;
}

rdg_err_t workloads_start(const workloads_options_t *options, workloads_t **out) {
    workloads_t *w = rdg_calloc(1, sizeof *w);
    if (!w) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the workloads");
    w->options = *options;
    pthread_mutex_init(&w->lock, NULL);
    thread_cond_init(&w->news);
    w->since_ms = rdg_mono_ms(rdg_clock_system());
    for (size_t i = 0; i < WORKLOADS_MAX; ++i) {
        pthread_mutex_init(&w->all[i].op, NULL);
        w->all[i].pidfd = -1;
    }
    w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    w->dir = rdg_strdup(options->dir);
    rdg_err_t err =
        w->wake >= 0 && w->dir ? load_all(w) : rdg_fail(RDG_E_NO_MEMORY, "no memory for the workloads");
    if (err == RDG_OK) {
        err = thread_start(&w->thread, supervise, w);
        w->running = err == RDG_OK;
    }
    if (err != RDG_OK) {
        workloads_stop(w);
        return err;
    }
    *out = w;
    return RDG_OK;
}

void workloads_stop(workloads_t *w) {
    if (!w) return;
    __atomic_store_n(&w->stopping, true, __ATOMIC_RELEASE);
    if (w->wake >= 0) wake(w);
    if (w->running) pthread_join(w->thread, NULL);
    pthread_mutex_lock(&w->lock);
    while (w->starters > 0) (void)pthread_cond_wait(&w->news, &w->lock);
    pthread_mutex_unlock(&w->lock);
    for (size_t i = 0; i < WORKLOADS_MAX; ++i) {
        forget_pidfd(&w->all[i]);
        pthread_mutex_destroy(&w->all[i].op);
    }
    if (w->wake >= 0) close(w->wake);
    pthread_cond_destroy(&w->news);
    pthread_mutex_destroy(&w->lock);
    rdg_free(w->dir);
    rdg_free(w);
}
