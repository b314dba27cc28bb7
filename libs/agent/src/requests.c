#include "agent_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/list.h"
#include "ridge/base/log.h"
#include "ridge/client/rpc.h"
#include "thread.h"
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>

#define REQUESTS_MAX 64
#define REQUEST_BYTES_MAX (256u << 10)
#define REQUEST_THREADS 2
#define REQUEST_DEFAULT_MS 10000u
#define REQUEST_LONGEST_MS                                                                                   \
    60000u /* whatever the deadline is by this device's clock, which may be years behind */
#define ANSWER_MAX ((1u << 20) - 4096u) /* what MQTT takes, less the envelope */

typedef struct request {
    rdg_list_t link;
    command_t c;
} request_t;

struct requests {
    rdg_agent_t *agent;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    rdg_list_t queue;
    size_t count, threads;
    pthread_t thread[REQUEST_THREADS];
    bool stopping;
};

bool requests_method_allowed(const char *method) {
    return strncmp(method, "eth_", 4) == 0 || strncmp(method, "ridge_", 6) == 0 ||
           strcmp(method, "net_version") == 0 || strcmp(method, "web3_clientVersion") == 0;
}

static uint64_t time_left(const command_t *c) {
    uint64_t now = rdg_wall_ms(rdg_clock_system());
    if (c->deadline_ms == 0) return REQUEST_DEFAULT_MS;
    uint64_t left = c->deadline_ms > now ? c->deadline_ms - now : 0;
    return left < REQUEST_LONGEST_MS ? left : REQUEST_LONGEST_MS;
}

rdg_err_t requests_ask_node(rdg_http_client_t *http, const char *url, const char *method,
                            const json_t *params, uint64_t timeout_ms, json_t **answer) {
    static const char *const headers[] = {"Content-Type: application/json"};
    rdg_buf_t body;
    rdg_http_answer_t got;
    rdg_buf_init(&body, REQUEST_BYTES_MAX * 2);
    rdg_err_t err = rdg_rpc_encode(1, method, params, &body);
    rdg_http_call_t call = {.method = "POST",
                            .url = url,
                            .headers = headers,
                            .header_count = 1,
                            .body = rdg_buf_view(&body),
                            .timeout_ms = timeout_ms,
                            .max_body = ANSWER_MAX};
    if (err == RDG_OK) err = rdg_http_call(http, &call, &got);
    rdg_buf_fini(&body);
    if (err == RDG_E_TOO_LARGE)
        return rdg_fail(err, "the answer to %s is larger than 1 MiB: ask for less", method);
    RDG_TRY(err);
    if (got.status == 200)
        err = rdg_json_parse(rdg_buf_view(&got.body), answer);
    else
        err = rdg_fail(RDG_E_UNAVAILABLE, "%s answered HTTP status %u", url, got.status);
    rdg_http_answer_fini(&got);
    return err;
}

static rdg_err_t node_rpc(rdg_agent_t *a, rdg_http_client_t *http, const command_t *c, json_t *out) {
    const char *method = NULL;
    chain_t chain;
    char url[64];
    json_t *answer = NULL, *params = json_object_get(c->params, "params"), *none = NULL;
    RDG_TRY(rdg_json_get_str(c->params, "method", &method));
    if (!requests_method_allowed(method))
        return rdg_fail(RDG_E_FORBIDDEN,
                        "the method '%.64s' is not relayed: eth_*, ridge_*, net_version and "
                        "web3_clientVersion are",
                        method);
    if (params && !json_is_array(params)) return rdg_fail(RDG_E_INVALID, "params.params is no array");
    RDG_TRY(workloads_get(a->workloads, c->chain, &chain));
    agent_rpc_url(&chain, url);
    if (!params) params = none = json_array();
    rdg_err_t err = requests_ask_node(http, url, method, params, time_left(c), &answer);
    json_decref(none);
    RDG_TRY(err);
    json_t *error = json_object_get(answer, "error"), *result = json_object_get(answer, "result");
    if (json_is_object(error)) {
        json_t *ignored = NULL;
        err = rdg_rpc_decode(answer, &ignored);
        json_object_set_new(out, "error",
                            json_pack("{s:s, s:s, s:O}", "code", rdg_err_name(err), "message",
                                      rdg_err_message(err), "data", error));
        json_decref(ignored);
        err = RDG_OK;
    } else if (result) {
        json_object_set(out, "result", result);
    } else {
        err = rdg_fail(RDG_E_PROTOCOL, "the node's answer has neither result nor error");
    }
    json_decref(answer);
    return err;
}

static rdg_err_t agent_info(rdg_agent_t *a, json_t *out) {
    struct statvfs disk = {0};
    struct sysinfo memory = {0};
    (void)statvfs(a->dir, &disk);
    (void)sysinfo(&memory);
    uint64_t disk_total = (uint64_t)disk.f_blocks * disk.f_frsize,
             disk_free = (uint64_t)disk.f_bavail * disk.f_frsize;
    uint64_t memory_total = (uint64_t)memory.totalram * memory.mem_unit,
             memory_free = (uint64_t)memory.freeram * memory.mem_unit;
    json_t *drivers = json_array();
    for (size_t i = 0; i < a->driver_count; ++i)
        json_array_append_new(drivers, json_string(a->driver_names[i]));
    json_t *info = json_pack("{s:s, s:o, s:{s:I, s:I}, s:{s:I, s:I}, s:I}", "version", RIDGE_VERSION,
                             "drivers", drivers, "disk", "total_bytes", (json_int_t)disk_total, "free_bytes",
                             (json_int_t)disk_free, "memory", "total_bytes", (json_int_t)memory_total,
                             "free_bytes", (json_int_t)memory_free, "rss_kib", (json_int_t)agent_rss_kib());
    return info && json_object_set_new(out, "result", info) == 0
               ? RDG_OK
               : rdg_fail(RDG_E_NO_MEMORY, "no memory for the answer");
}

static void answer(rdg_agent_t *a, rdg_http_client_t *http, const command_t *c) {
    rdg_buf_t text;
    rdg_err_t err;
    if (time_left(c) == 0) return; /* nobody waits for it any more */
    json_t *out = json_pack("{s:s}", "id", c->id);
    if (!out) return;
    rdg_metric_add(a->m_requests, 1);
    if (strcmp(c->type, "node.rpc") == 0)
        err = node_rpc(a, http, c, out);
    else if (strcmp(c->type, "agent.info") == 0)
        err = agent_info(a, out);
    else
        err = rdg_fail(RDG_E_UNSUPPORTED, "agent %s knows no request '%s'", RIDGE_VERSION, c->type);
    if (err != RDG_OK)
        json_object_set_new(
            out, "error",
            json_pack("{s:s, s:s}", "code", rdg_err_name(err), "message", rdg_err_message(err)));
    rdg_buf_init(&text, 1u << 20);
    if (rdg_json_dump(out, &text) == RDG_OK) (void)link_publish(a->link, "response", rdg_buf_view(&text));
    rdg_buf_fini(&text);
    json_decref(out);
}

static void *serve(void *arg) {
    requests_t *r = arg;
    rdg_http_client_t *http = NULL;
    rdg_err_t err = rdg_http_client_new(&http);
    if (err != RDG_OK) rdg_log_err("requests.no_client", err);
    pthread_mutex_lock(&r->lock);
    while (http && !r->stopping) {
        if (rdg_list_empty(&r->queue)) {
            pthread_cond_wait(&r->wake, &r->lock);
            continue;
        }
        request_t *q = RDG_LIST_ENTRY(r->queue.next, request_t, link);
        rdg_list_remove(&q->link);
        --r->count;
        pthread_mutex_unlock(&r->lock);
        answer(r->agent, http, &q->c);
        command_fini(&q->c);
        rdg_free(q);
        pthread_mutex_lock(&r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    rdg_http_client_free(http);
    return NULL;
}

void requests_take(requests_t *r, rdg_bytes_t text) {
    request_t *q = NULL;
    rdg_err_t err =
        text.len > REQUEST_BYTES_MAX
            ? rdg_fail(RDG_E_TOO_LARGE, "a request of %zu bytes, at most %u", text.len, REQUEST_BYTES_MAX)
        : !(q = rdg_calloc(1, sizeof *q)) ? RDG_E_NO_MEMORY
                                          : command_parse(text, &q->c);
    pthread_mutex_lock(&r->lock);
    if (err == RDG_OK && r->count >= REQUESTS_MAX)
        err = rdg_fail(RDG_E_FULL, "%d requests wait on this device", REQUESTS_MAX);
    if (err == RDG_OK) {
        rdg_list_append(&r->queue, &q->link);
        ++r->count;
        pthread_cond_signal(&r->wake);
        q = NULL;
    }
    pthread_mutex_unlock(&r->lock);
    if (err != RDG_OK) rdg_log_err("request.dropped", err);
    if (q) command_fini(&q->c);
    rdg_free(q);
}

rdg_err_t requests_start(rdg_agent_t *a, requests_t **out) {
    requests_t *r = rdg_calloc(1, sizeof *r);
    if (!r) return rdg_fail(RDG_E_NO_MEMORY, "no memory for requests");
    r->agent = a;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->wake, NULL);
    rdg_list_init(&r->queue);
    rdg_err_t err = RDG_OK;
    while (err == RDG_OK && r->threads < REQUEST_THREADS) {
        err = thread_start(&r->thread[r->threads], serve, r);
        r->threads += err == RDG_OK;
    }
    if (err != RDG_OK) {
        requests_free(r);
        return err;
    }
    *out = r;
    return RDG_OK;
}

void requests_halt(requests_t *r) {
    if (!r) return;
    pthread_mutex_lock(&r->lock);
    r->stopping = true;
    pthread_cond_broadcast(&r->wake);
    pthread_mutex_unlock(&r->lock);
    for (size_t i = 0; i < r->threads; ++i) pthread_join(r->thread[i], NULL);
    r->threads = 0;
}

void requests_free(requests_t *r) {
    if (!r) return;
    requests_halt(r);
    RDG_LIST_EACH_SAFE(it, &r->queue) {
        request_t *q = RDG_LIST_ENTRY(it, request_t, link);
        command_fini(&q->c);
        rdg_free(q);
    }
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->lock);
    rdg_free(r);
}
