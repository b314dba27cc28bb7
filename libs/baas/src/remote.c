#include "internal.h"
#include "ridge/base/log.h"

static rdg_err_t borrow(rdg_baas_t *b, rdg_cloud_client_t **out) {
    *out = NULL;
    pthread_mutex_lock(&b->lock);
    bool ready = b->started && !b->stopping;
    if (ready && b->idle_count > 0) *out = b->idle[--b->idle_count];
    pthread_mutex_unlock(&b->lock);
    if (!ready) return rdg_fail(RDG_E_UNAVAILABLE, "the chain service is starting or stopping: try again");
    return *out ? RDG_OK : rdg_cloud_client_new(b->platform_url, b->platform_token, out);
}

static void give_back(rdg_baas_t *b, rdg_cloud_client_t *c) {
    pthread_mutex_lock(&b->lock);
    if (b->idle_count < BAAS_CLIENTS_IDLE) b->idle[b->idle_count++] = c, c = NULL;
    pthread_mutex_unlock(&b->lock);
    rdg_cloud_client_free(c);
}

rdg_err_t remote_call(rdg_baas_t *b, const char *method, const char *path, json_t *body, uint64_t timeout_ms,
                      json_t **answer) {
    rdg_cloud_client_t *c;
    rdg_err_t err = borrow(b, &c);
    if (err != RDG_OK) {
        json_decref(body);
        return err;
    }
    err = rdg_cloud_call(c, method, path, body, timeout_ms, answer);
    give_back(b, c);
    return err;
}

void remote_close(rdg_baas_t *b) {
    while (b->idle_count > 0) rdg_cloud_client_free(b->idle[--b->idle_count]);
}
