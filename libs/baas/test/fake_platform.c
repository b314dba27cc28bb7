#include "kit.h"
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "ridge/codec/hex.h"

static size_t device_index(const char *name) {
    return (size_t)(name[4] - '1');
}

static json_t *command_json(const fake_command_t *c) {
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:O?, s:I}", "id", c->id, "device", c->device, "type",
                          c->type, "state", c->state, "result", c->result, "change", (json_int_t)c->change);
    if (strcmp(c->state, "failed") == 0)
        json_object_set_new(o, "error", json_pack("{s:s, s:s}", "code", "IO", "message", "the disk is gone"));
    return o;
}

/* With the lock held. */
static void finish(fake_platform_t *p, fake_command_t *c, outcome_t outcome) {
    char key[129];
    rdg_sm2_public_t public;
    if (outcome == OUTCOME_HOLD) return;
    snprintf(c->state, sizeof c->state, "%s", outcome == OUTCOME_DONE ? "done" : "failed");
    rdg_sm2_key_public(p->keys[device_index(c->device)], &public);
    rdg_hex_encode(public.b, sizeof public.b, key);
    if (outcome == OUTCOME_DONE && strcmp(c->type, "chain.prepare") == 0)
        c->result = json_pack("{s:s, s:s, s:s, s:i, s:i, s:{s:s, s:s}}", "public_key", key, "address", "0x00",
                              "p2p_host", "127.0.0.1", "p2p_port", 7000 + (int)device_index(c->device),
                              "rpc_port", 8000, "certificate_requests", "sign", key, "enc", c->device);
    if (outcome == OUTCOME_DONE && strcmp(c->type, "chain.remove") == 0)
        c->result = json_pack("{s:i}", "freed_bytes", 1000);
    if (outcome == OUTCOME_DONE && strcmp(c->type, "intake.bind") == 0)
        c->result = json_pack("{s:s}", "account", "0x00000000000000000000000000000000000000aa");
    c->change = ++p->change;
    pthread_cond_broadcast(&p->changed);
}

static outcome_t outcome_of(const fake_platform_t *p, const fake_command_t *c) {
    size_t i = device_index(c->device);
    if (strcmp(c->type, "chain.prepare") == 0) return p->on_prepare[i];
    if (strcmp(c->type, "chain.start") == 0) return p->on_start[i];
    if (strcmp(c->type, "chain.remove") == 0) return p->on_remove[i];
    if (strcmp(c->type, "chain.archive") == 0) return p->on_archive[i];
    return OUTCOME_DONE;
}

static fake_command_t *find(fake_platform_t *p, const char *id) {
    for (size_t i = 0; i < p->count; ++i)
        if (strcmp(p->commands[i].id, id) == 0) return &p->commands[i];
    return NULL;
}

static rdg_err_t post_command(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    fake_platform_t *p = ctx;
    const char *id = NULL, *type;
    char made[33];
    RDG_TRY(rdg_json_get_str(call->body, "type", &type));
    RDG_TRY(rdg_json_opt_str(call->body, "id", &id));
    pthread_mutex_lock(&p->lock);
    if (!id) snprintf(made, sizeof made, "made-%zu", p->count), id = made;
    fake_command_t *c = find(p, id);
    if (!c && p->count < FAKE_COMMANDS) {
        c = &p->commands[p->count++];
        snprintf(c->id, sizeof c->id, "%s", id);
        snprintf(c->device, sizeof c->device, "%s", rdg_service_arg(call, "name"));
        snprintf(c->type, sizeof c->type, "%s", type);
        snprintf(c->state, sizeof c->state, "queued");
        c->params = json_deep_copy(json_object_get(call->body, "params"));
        c->change = ++p->change;
        finish(p, c, outcome_of(p, c));
    }
    CHECK(c);
    ++c->posts;
    json_t *o = command_json(c);
    rdg_err_t lost = p->on_order;
    p->on_order = RDG_OK;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    if (lost == RDG_OK) return rdg_service_reply(answer, 202, o);
    json_decref(o);
    return rdg_fail(lost, "the answer was lost");
}

static rdg_err_t get_command(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    fake_platform_t *p = ctx;
    pthread_mutex_lock(&p->lock);
    const fake_command_t *c = find(p, rdg_service_arg(call, "id"));
    json_t *o = c ? command_json(c) : NULL;
    pthread_mutex_unlock(&p->lock);
    return o ? rdg_service_reply(answer, 200, o) : rdg_fail(RDG_E_NOT_FOUND, "no such command");
}

static rdg_err_t cancel_command(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    fake_platform_t *p = ctx;
    pthread_mutex_lock(&p->lock);
    fake_command_t *c = find(p, rdg_service_arg(call, "id"));
    bool queued = c && strcmp(c->state, "queued") == 0;
    if (queued) {
        snprintf(c->state, sizeof c->state, "cancelled");
        c->change = ++p->change;
        pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
    return queued ? rdg_service_reply(answer, 200, json_object())
                  : rdg_fail(RDG_E_CONFLICT, "it has started");
}

static rdg_err_t events(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    fake_platform_t *p = ctx;
    uint64_t after = UINT64_MAX, wait_ms = 0;
    struct timespec end;
    json_t *list = json_array();
    RDG_TRY(rdg_service_query_u64(call, "after", 0, INT64_MAX, &after));
    RDG_TRY(rdg_service_query_u64(call, "wait_ms", 0, 60000, &wait_ms));
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += (time_t)(wait_ms / 1000);
    pthread_mutex_lock(&p->lock);
    while (after != UINT64_MAX && p->change <= after && !p->stopping &&
           pthread_cond_timedwait(&p->changed, &p->lock, &end) == 0) {
    }
    for (size_t i = 0; i < p->count && after != UINT64_MAX; ++i)
        if (p->commands[i].change > after) json_array_append_new(list, command_json(&p->commands[i]));
    json_t *o = json_pack("{s:o, s:I}", "commands", list, "next", (json_int_t)p->change);
    pthread_mutex_unlock(&p->lock);
    return rdg_service_reply(answer, 200, o);
}

static rdg_err_t devices(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    fake_platform_t *p = ctx;
    json_t *list = json_array();
    (void)call;
    for (int i = 0; i < FAKE_DEVICES; ++i) {
        char name[8];
        snprintf(name, sizeof name, "dev-%d", i + 1);
        json_array_append_new(list, json_pack("{s:s, s:s, s:s?, s:[{s:s, s:i, s:i}]}", "name", name, "state",
                                              p->offline[i] ? "offline" : "online", "tenant", p->tenants[i],
                                              "chains", "chain", "c", "height", 3 + i, "rss_kib", 100));
    }
    return rdg_service_reply(answer, 200, json_pack("{s:o}", "devices", list));
}

static rdg_err_t device(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    const fake_platform_t *p = ctx;
    const char *name = rdg_service_arg(call, "name");
    size_t i = device_index(name);
    return rdg_service_reply(answer, 200,
                             json_pack("{s:s, s:s, s:s?, s:[{s:s, s:s?}]}", "name", name, "state",
                                       p->offline[i] ? "offline" : "online", "tenant", p->tenants[i],
                                       "chains", "chain", "c", "damaged", p->damaged));
}

static rdg_err_t request(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    fake_platform_t *p = ctx;
    json_t *params, *result = NULL, *error = NULL;
    const char *method;
    if (p->offline[device_index(rdg_service_arg(call, "name"))])
        return rdg_fail(RDG_E_UNAVAILABLE, "device '%s' is offline", rdg_service_arg(call, "name"));
    if (p->on_request != RDG_OK) return rdg_fail(p->on_request, "the node does not answer");
    RDG_TRY(rdg_json_get_object(call->body, "params", &params));
    RDG_TRY(rdg_json_get_str(params, "method", &method));
    pthread_mutex_lock(&p->lock);
    ++p->requests;
    rdg_err_t err = fake_node(p, method, json_object_get(params, "params"), &result, &error);
    pthread_mutex_unlock(&p->lock);
    RDG_TRY(err);
    if (error)
        return rdg_service_reply(
            answer, 200,
            json_pack("{s:{s:s, s:s, s:o}}", "error", "code", "INTERNAL", "message", "x", "data", error));
    return rdg_service_reply(answer, 200, json_pack("{s:o}", "result", result));
}

/* Certificates that tell which requests they are for. */
static rdg_err_t certify(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    fake_platform_t *p = ctx;
    const char *sign, *enc, *device = rdg_service_arg(call, "name");
    RDG_TRY(rdg_json_get_str(call->body, "sign_request", &sign));
    RDG_TRY(rdg_json_get_str(call->body, "enc_request", &enc));
    pthread_mutex_lock(&p->lock);
    ++p->certified[device_index(device)];
    rdg_err_t refuse = p->on_certify[device_index(device)];
    pthread_mutex_unlock(&p->lock);
    if (refuse != RDG_OK) return rdg_fail(refuse, "the CA says no");
    CHECK_STR(enc, device);
    return rdg_service_reply(answer, 201,
                             json_pack("{s:s, s:s, s:s}", "sign", sign, "enc", enc, "chain", "ca"));
}

/* The node's encryption key is its validator key here. */
static rdg_err_t certificates(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    const fake_platform_t *p = ctx;
    size_t i = device_index(rdg_http_query(call->http, "device"));
    rdg_sm2_public_t public;
    CHECK_STR(rdg_http_query(call->http, "chain"), "c");
    CHECK_STR(rdg_http_query(call->http, "use"), "encrypt");
    CHECK_STR(rdg_http_query(call->http, "state"), "valid");
    rdg_sm2_key_public(p->keys[i], &public);
    json_t *list = json_array();
    if (!p->no_certificate[i])
        json_array_append_new(list,
                              json_pack("{s:o}", "public_key", rdg_json_hex(public.b, sizeof public.b)));
    return rdg_service_reply(answer, 200, json_pack("{s:o}", "certificates", list));
}

static const rdg_service_route_t routes[] = {
    {"GET", "/api/v1/certificates", 0, certificates},
    {"POST", "/api/v1/devices/{name}/certificates", 0, certify},
    {"POST", "/api/v1/devices/{name}/commands", 0, post_command},
    {"GET", "/api/v1/commands/events", 0, events},
    {"GET", "/api/v1/commands/{id}", 0, get_command},
    {"POST", "/api/v1/commands/{id}/cancel", 0, cancel_command},
    {"GET", "/api/v1/devices", 0, devices},
    {"GET", "/api/v1/devices/{name}", 0, device},
    {"POST", "/api/v1/devices/{name}/requests", 0, request},
};

void kit_release(kit_t *k, const char *type, size_t device, outcome_t outcome) {
    fake_platform_t *p = &k->p;
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < p->count; ++i) {
        fake_command_t *c = &p->commands[i];
        if (strcmp(c->type, type) != 0 || strcmp(c->state, "queued") != 0) continue;
        if (device == FAKE_DEVICES || device_index(c->device) == device) finish(p, c, outcome);
    }
    pthread_mutex_unlock(&p->lock);
}

void fake_open(fake_platform_t *p) {
    rdg_service_options_t o = {.rate_per_s = 1000000, .rate_burst = 1000000};
    memset(p, 0, sizeof *p);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    p->height = 1;
    for (int i = 0; i < FAKE_DEVICES; ++i) CHECK_OK(rdg_sm2_key_generate(&p->keys[i]));
    CHECK_OK(rdg_service_new(&o, &p->service));
    CHECK_OK(rdg_service_add(p->service, routes, sizeof routes / sizeof routes[0], p));
    CHECK_OK(rdg_service_allow(p->service, "baas", "inner"));
    CHECK_OK(rdg_service_start(p->service));
}

void fake_close(fake_platform_t *p) {
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    rdg_service_free(p->service);
    for (size_t i = 0; i < p->count; ++i) {
        json_decref(p->commands[i].params);
        json_decref(p->commands[i].result);
    }
    for (int i = 0; i < FAKE_DEVICES; ++i) rdg_sm2_key_free(p->keys[i]);
    json_decref(p->tx);
    json_decref(p->receipt);
    json_decref(p->logs);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
}
