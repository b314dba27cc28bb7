#include "health.h"
#include "ridge/base/alloc.h"
#include "ridge/base/log.h"
#include "ridge/net/http_client.h"
#include "thread.h"
#include <stdio.h>
#include <string.h>

typedef struct patient {
    char chain[COMMAND_CHAIN_MAX + 1];
    pid_t pid; /* of the run that is being watched */
    unsigned failures;
    bool answered;
} patient_t;

struct health {
    workloads_t *workloads;
    uint64_t interval_ms;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    bool running, stopping;
    patient_t all[WORKLOADS_MAX];
    size_t count;
    workload_view_t views[WORKLOADS_MAX];
};

static patient_t *patient_of(health_t *h, const workload_view_t *v) {
    patient_t *p = NULL;
    for (size_t i = 0; i < h->count && !p; ++i)
        if (strcmp(h->all[i].chain, v->chain.name) == 0) p = &h->all[i];
    /* Chains come and go: whose place is taken begins anew, which only costs it some patience. */
    if (!p) p = &h->all[h->count < WORKLOADS_MAX ? h->count++ : 0];
    if (strcmp(p->chain, v->chain.name) != 0 || p->pid != v->status.pid) {
        memset(p, 0, sizeof *p);
        snprintf(p->chain, sizeof p->chain, "%s", v->chain.name);
        p->pid = v->status.pid;
        workloads_set_health(h->workloads, p->chain, WORKLOAD_HEALTH_UNKNOWN);
    }
    return p;
}

static bool answers(const health_t *h, rdg_http_client_t *http, const workload_view_t *v) {
    char url[64];
    rdg_http_answer_t got;
    snprintf(url, sizeof url, "http://127.0.0.1:%u/health", (unsigned)v->chain.rpc_port);
    rdg_http_call_t call = {.method = "GET",
                            .url = url,
                            .timeout_ms =
                                h->interval_ms / 2 < HEALTH_ANSWER_MS ? h->interval_ms / 2 : HEALTH_ANSWER_MS,
                            .max_body = 4096};
    if (rdg_http_call(http, &call, &got) != RDG_OK) return false;
    rdg_http_answer_fini(&got);
    return true;
}

static void look_at(health_t *h, rdg_http_client_t *http, const workload_view_t *v) {
    patient_t *p = patient_of(h, v);
    if (answers(h, http, v)) {
        p->failures = 0;
        p->answered = true;
        workloads_set_health(h->workloads, p->chain, WORKLOAD_HEALTHY);
        return;
    }
    if (!p->answered) return;
    workloads_set_health(h->workloads, p->chain, WORKLOAD_UNHEALTHY);
    if (++p->failures < HEALTH_FAILURES) return;
    rdg_log(RDG_LOG_WARN, "workload.hangs", RDG_STR("chain", p->chain), RDG_I64("pid", p->pid),
            RDG_U64("unanswered", p->failures));
    p->failures = 0;
    rdg_err_t err = workloads_restart(h->workloads, p->chain);
    if (err != RDG_OK) rdg_log_err("workload.restart_failed", err);
}

static bool stopping(health_t *h) {
    pthread_mutex_lock(&h->lock);
    bool s = h->stopping;
    pthread_mutex_unlock(&h->lock);
    return s;
}

static void *run(void *arg) {
    health_t *h = arg;
    rdg_http_client_t *http = NULL;
    rdg_err_t err = rdg_http_client_new(&http);
    if (err != RDG_OK) rdg_log_err("health.no_client", err);
    pthread_mutex_lock(&h->lock);
    while (http && !h->stopping) {
        (void)thread_cond_wait_ms(&h->wake, &h->lock, h->interval_ms);
        pthread_mutex_unlock(&h->lock);
        size_t n = workloads_list(h->workloads, h->views, WORKLOADS_MAX);
        for (size_t i = 0; i < n && !stopping(h); ++i)
            if (h->views[i].status.state == RDG_CONTAINER_RUNNING &&
                h->views[i].chain.desired == CHAIN_RUNNING)
                look_at(h, http, &h->views[i]);
        pthread_mutex_lock(&h->lock);
    }
    pthread_mutex_unlock(&h->lock);
    rdg_http_client_free(http);
    return NULL;
}

rdg_err_t health_start(workloads_t *workloads, uint64_t interval_ms, health_t **out) {
    health_t *h = rdg_calloc(1, sizeof *h);
    if (!h) return rdg_fail(RDG_E_NO_MEMORY, "no memory to watch over nodes");
    h->workloads = workloads;
    h->interval_ms = interval_ms ? interval_ms : HEALTH_INTERVAL_MS;
    pthread_mutex_init(&h->lock, NULL);
    thread_cond_init(&h->wake);
    rdg_err_t err = thread_start(&h->thread, run, h);
    h->running = err == RDG_OK;
    if (err != RDG_OK)
        health_stop(h);
    else
        *out = h;
    return err;
}

void health_stop(health_t *h) {
    if (!h) return;
    pthread_mutex_lock(&h->lock);
    h->stopping = true;
    pthread_cond_signal(&h->wake);
    pthread_mutex_unlock(&h->lock);
    if (h->running) pthread_join(h->thread, NULL);
    pthread_cond_destroy(&h->wake);
    pthread_mutex_destroy(&h->lock);
    rdg_free(h);
}
