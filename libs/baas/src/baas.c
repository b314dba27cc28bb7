#include "mainchain.h"
#include "archive_keys.h"
#include "internal.h"
#include "collector_prune.h"
#include "succession.h"
#include <string.h>
#include <time.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"

bool baas_wait(rdg_baas_t *b, pthread_cond_t *cond, uint64_t deadline_mono_ms) {
    struct timespec t = {(time_t)(deadline_mono_ms / 1000), (long)(deadline_mono_ms % 1000) * 1000000};
    return pthread_cond_timedwait(cond, &b->lock, &t) == 0;
}

bool baas_stopping(rdg_baas_t *b) {
    pthread_mutex_lock(&b->lock);
    bool stopping = b->stopping;
    pthread_mutex_unlock(&b->lock);
    return stopping;
}

static void init_locks(rdg_baas_t *b) {
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&b->work, &attr);
    pthread_cond_init(&b->events, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&b->lock, NULL);
    rdg_list_init(&b->queue);
}

static rdg_err_t open_keys(rdg_baas_t *b, const char *data_dir) {
    char dir[4096];
    RDG_TRY(rdg_path_join(dir, sizeof dir, data_dir, "keys"));
    RDG_TRY(rdg_dir_make(dir, 0700));
    b->keys_dir = rdg_strdup(dir);
    return b->keys_dir ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for the chain service");
}

rdg_err_t rdg_baas_open(const char *data_dir, rdg_baas_t **out) {
    rdg_baas_t *b = rdg_calloc(1, sizeof *b);
    if (!b) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the chain service");
    init_locks(b);
    rdg_err_t err = baas_store_open(b, data_dir);
    if (err == RDG_OK) err = open_keys(b, data_dir);
    if (err == RDG_OK) err = collector_open(b, data_dir);
    if (err != RDG_OK) {
        rdg_baas_close(b);
        return err;
    }
    *out = b;
    return RDG_OK;
}

rdg_err_t rdg_baas_routes(rdg_baas_t *b, rdg_service_t *service) {
    RDG_TRY(rdg_service_owner(service, "chains", chain_check, b));
    RDG_TRY(rdg_service_owner(service, "archives", archives_check, b));
    RDG_TRY(rdg_service_owner(service, "mainchain", intent_own, b));
    RDG_TRY(rdg_service_owner(service, "archive-keys", archive_keys_own, b));
    RDG_TRY(rdg_service_add(service, chain_routes, chain_route_count, b));
    RDG_TRY(rdg_service_add(service, member_routes, member_route_count, b));
    RDG_TRY(rdg_service_add(service, event_routes, event_route_count, b));
    RDG_TRY(rdg_service_add(service, contract_routes, contract_route_count, b));
    RDG_TRY(rdg_service_add(service, contract_call_routes, contract_call_route_count, b));
    RDG_TRY(rdg_service_add(service, contract_life_routes, contract_life_route_count, b));
    RDG_TRY(rdg_service_add(service, contract_event_routes, contract_event_route_count, b));
    RDG_TRY(rdg_service_add(service, contract_govern_routes, contract_govern_route_count, b));
    RDG_TRY(rdg_service_add(service, read_routes, read_route_count, b));
    RDG_TRY(rdg_service_add(service, recover_routes, recover_route_count, b));
    RDG_TRY(rdg_service_add(service, rebuild_routes, rebuild_route_count, b));
    RDG_TRY(rdg_service_add(service, succession_routes, succession_route_count, b));
    RDG_TRY(rdg_service_add(service, mainchain_routes, mainchain_route_count, b));
    RDG_TRY(rdg_service_add(service, collector_routes, collector_route_count, b));
    RDG_TRY(rdg_service_add(service, policy_routes, policy_route_count, b));
    RDG_TRY(rdg_service_add(service, archive_key_routes, archive_key_route_count, b));
    return rdg_service_add(service, intake_routes, intake_route_count, b);
}

rdg_err_t rdg_baas_set_image(rdg_baas_t *b, const char *reference) {
    char *copy = rdg_strdup(reference);
    if (reference && !copy) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the chain service");
    pthread_mutex_lock(&b->lock);
    char *old = b->image;
    b->image = copy;
    pthread_mutex_unlock(&b->lock);
    rdg_free(old);
    return RDG_OK;
}

static rdg_err_t kick_unfinished(void *ctx, chain_t *c) {
    if (!chain_is(c, "failed")) work_kick(ctx, c->name); /* a running one may be changing its validators */
    return RDG_OK;
}

/* What happened to commands while this service was away is learned by sending them again under their ids: the platform
 * answers with what it has. */
static rdg_err_t resend_unfinished(rdg_baas_t *b) {
    return rdg_sql_exec(b->db, "UPDATE chain_steps SET state = 'pending', rank = ? WHERE rank < ?",
                        RDG_SQL_PARAMS(rdg_sql_int(RANK_PENDING), rdg_sql_int(RANK_FINAL)), NULL);
}

rdg_err_t rdg_baas_start(rdg_baas_t *b, const char *platform_url, const char *platform_token) {
    char *url = rdg_strdup(platform_url), *token = rdg_strdup(platform_token);
    if (!url || !token) {
        rdg_free(url);
        rdg_free(token);
        return rdg_fail(RDG_E_NO_MEMORY, "no memory for the chain service");
    }
    pthread_mutex_lock(&b->lock);
    b->platform_url = url;
    b->platform_token = token;
    b->started = true;
    pthread_mutex_unlock(&b->lock);
    RDG_TRY(follow_start(b));
    RDG_TRY(resend_unfinished(b));
    RDG_TRY(work_start(b));
    RDG_TRY(mainchain_start(b));
    RDG_TRY(collector_start(b));
    return chain_each(b, NULL, false, kick_unfinished, b);
}

void rdg_baas_stop(rdg_baas_t *b) {
    pthread_mutex_lock(&b->lock);
    b->stopping = true;
    pthread_cond_broadcast(&b->work);
    pthread_cond_broadcast(&b->events);
    mainchain_stop(b);
    collector_wake(b);
    pthread_mutex_unlock(&b->lock);
}

void rdg_baas_close(rdg_baas_t *b) {
    if (!b) return;
    rdg_baas_stop(b);
    follow_join(b);
    work_join(b);
    collector_close(b); /* it asks the main chain */
    mainchain_close(b);
    remote_close(b);
    if (b->db) rdg_sql_close(b->db);
    pthread_cond_destroy(&b->work);
    pthread_cond_destroy(&b->events);
    pthread_mutex_destroy(&b->lock);
    if (b->platform_token) rdg_secure_zero(b->platform_token, strlen(b->platform_token));
    rdg_free(b->platform_token);
    rdg_free(b->platform_url);
    rdg_free(b->image);
    rdg_free(b->keys_dir);
    rdg_free(b);
}
