#include <string.h>
#include "api_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/client/devices.h"
#include "ridge/client/platform.h"
#include "ridge/platform.h"

struct ridge_platform {
    rdg_cloud_client_t *cloud;
};

ridge_status_t ridge_platform_open(const char *url, const char *token, ridge_platform_t **out) {
    *out = NULL;
    ridge_platform_t *p = rdg_calloc(1, sizeof *p);
    if (!p) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a connection");
    rdg_err_t err = rdg_cloud_client_new(url, token, &p->cloud);
    if (err == RDG_OK)
        *out = p;
    else
        rdg_free(p);
    return err;
}

void ridge_platform_close(ridge_platform_t *p) {
    if (!p) return;
    rdg_cloud_client_free(p->cloud);
    rdg_free(p);
}

/* An object, or NULL where there is no text. Owned. */
static rdg_err_t object_of(const char *what, const char *text, json_t **out) {
    *out = NULL;
    if (!text) return RDG_OK;
    RDG_TRY(api_parse(what, text, "{}", out));
    if (json_is_object(*out)) return RDG_OK;
    json_decref(*out);
    *out = NULL;
    return rdg_fail(RDG_E_INVALID, "%s: want a JSON object", what);
}

/* Takes value. */
static rdg_err_t give(rdg_err_t err, json_t *value, char **out) {
    if (err == RDG_OK) return api_json(value, out);
    json_decref(value);
    return err;
}

ridge_status_t ridge_platform_call(ridge_platform_t *p, const char *method, const char *path,
                                   const char *body, uint64_t timeout_ms, char **answer) {
    json_t *order, *got = NULL;
    if (answer) *answer = NULL;
    RDG_TRY(object_of("the body", body, &order));
    rdg_err_t err = rdg_cloud_call(p->cloud, method, path, order, timeout_ms, &got);
    if (answer) return give(err, got, answer);
    json_decref(got);
    return err;
}

ridge_status_t ridge_platform_devices(ridge_platform_t *p, const char *group, const char *labels,
                                      char **devices) {
    const rdg_device_filter_t filter = {.group = group, .labels = labels};
    json_t *list = NULL;
    *devices = NULL;
    rdg_err_t err = rdg_platform_devices(p->cloud, &filter, &list);
    return give(err, list, devices);
}

ridge_status_t ridge_platform_tokens(ridge_platform_t *p, const char *order, char **tokens) {
    json_t *o, *list = NULL;
    *tokens = NULL;
    RDG_TRY(object_of("order", order, &o));
    rdg_err_t err = rdg_platform_tokens_make(p->cloud, o, &list);
    return give(err, list, tokens);
}

ridge_status_t ridge_platform_waiting(ridge_platform_t *p, char **requests) {
    json_t *list = NULL;
    *requests = NULL;
    rdg_err_t err = rdg_platform_waiting(p->cloud, &list);
    return give(err, list, requests);
}

ridge_status_t ridge_platform_decide(ridge_platform_t *p, uint64_t number, bool approve, const char *reason) {
    return approve ? rdg_platform_approve(p->cloud, number, NULL)
                   : rdg_platform_refuse(p->cloud, number, reason, NULL);
}

ridge_status_t ridge_platform_replace(ridge_platform_t *p, const char *device, const char *order,
                                      char **answer) {
    json_t *o, *got = NULL;
    *answer = NULL;
    RDG_TRY(object_of("order", order, &o));
    rdg_err_t err = rdg_platform_replace(p->cloud, device, o, &got);
    return give(err, got, answer);
}

ridge_status_t ridge_platform_command(ridge_platform_t *p, const char *device, const char *order,
                                      char **command) {
    json_t *o, *got = NULL;
    *command = NULL;
    RDG_TRY(object_of("order", order, &o));
    rdg_err_t err = rdg_platform_command(p->cloud, device, o, &got);
    return give(err, got, command);
}

ridge_status_t ridge_platform_command_wait(ridge_platform_t *p, const char *id, uint64_t wait_ms,
                                           char **command) {
    json_t *got = NULL;
    *command = NULL;
    rdg_err_t err = rdg_platform_command_get(p->cloud, id, wait_ms, &got);
    return give(err, got, command);
}

ridge_status_t ridge_platform_rollout(ridge_platform_t *p, const char *order, char **rollout) {
    json_t *o, *got = NULL;
    *rollout = NULL;
    RDG_TRY(object_of("order", order, &o));
    rdg_err_t err = rdg_platform_rollout(p->cloud, o, &got);
    return give(err, got, rollout);
}

ridge_status_t ridge_platform_images(ridge_platform_t *p, char **images) {
    json_t *list = NULL;
    *images = NULL;
    rdg_err_t err = rdg_platform_images(p->cloud, &list);
    return give(err, list, images);
}

ridge_status_t ridge_platform_image(ridge_platform_t *p, const char *name, const char *reference,
                                    char **image) {
    json_t *got = NULL;
    *image = NULL;
    rdg_err_t err = rdg_platform_image(p->cloud, name, reference, &got);
    return give(err, got, image);
}
