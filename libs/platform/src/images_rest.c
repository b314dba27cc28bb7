#include "images_internal.h"
#include <stdio.h>
#include <string.h>

#define LIST_MAX 200
#define TAGS_SHOWN 1000

static rdg_err_t wanted(const rdg_service_call_t *call, const char *parameter, const char **out) {
    *out = rdg_http_query(call->http, parameter);
    if (*out && **out) return RDG_OK;
    return rdg_fail(RDG_E_INVALID,
                    "query parameter '%s' is missing: the repository's name, for instance team/app",
                    parameter);
}

/* The same of what is not the caller's tenant's and of what is not there. */
static rdg_err_t allowed(const rdg_service_call_t *call, const char *name) {
    if (!call->tenant || images_of_tenant(name, call->tenant)) return RDG_OK;
    return rdg_fail(RDG_E_NOT_FOUND, "there is no repository %.100s", name);
}

static rdg_err_t about(rdg_registry_t *r, const char *name, json_t **out) {
    json_t *tags = NULL;
    bool more;
    RDG_TRY(rdg_registry_describe(r, name, out));
    rdg_err_t err = rdg_registry_tags(r, name, NULL, TAGS_SHOWN, &tags, &more);
    if (err != RDG_OK) {
        json_decref(*out);
        return err;
    }
    json_object_set_new(*out, "name", json_string(name));
    json_object_set_new(*out, "tags", tags);
    return RDG_OK;
}

static rdg_err_t list(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    const rdg_images_t *i = ctx;
    uint64_t limit = LIST_MAX;
    json_t *names = NULL, *name, *images = json_array();
    bool more = false;
    size_t at;
    char first[RDG_TENANT_MAX + 2];
    const char *after = rdg_http_query(call->http, "after");
    snprintf(first, sizeof first, "%s/", call->tenant ? call->tenant : "");
    if (call->tenant && (!after || strcmp(after, first) < 0)) after = first; /* they stand together */
    rdg_err_t err = rdg_service_query_u64(call, "limit", 1, LIST_MAX, &limit);
    if (err == RDG_OK) err = rdg_registry_repositories(i->registry, after, limit, &names, &more);
    json_array_foreach(names, at, name) {
        json_t *entry = NULL;
        if (call->tenant && !images_of_tenant(json_string_value(name), call->tenant)) {
            more = false;
            break;
        }
        /* One that is gone by now is left out. */
        if (err == RDG_OK && about(i->registry, json_string_value(name), &entry) == RDG_OK)
            json_array_append_new(images, entry);
    }
    json_decref(names);
    if (err == RDG_OK)
        return rdg_service_reply(answer, 200, json_pack("{s:o, s:b}", "images", images, "more", (int)more));
    json_decref(images);
    return err;
}

static rdg_err_t show(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    const rdg_images_t *i = ctx;
    const char *name, *reference = rdg_http_query(call->http, "reference");
    json_t *image = NULL, *referrers = NULL;
    RDG_TRY(wanted(call, "name", &name));
    RDG_TRY(allowed(call, name));
    if (!reference) {
        RDG_TRY(about(i->registry, name, &image));
        return rdg_service_reply(answer, 200, image);
    }
    RDG_TRY(image_form(i->registry, name, reference, &image));
    rdg_err_t err = rdg_registry_referrers(
        i->registry, name, json_string_value(json_object_get(image, "digest")), NULL, &referrers);
    if (err != RDG_OK) {
        json_decref(image);
        return err;
    }
    json_object_set_new(image, "referrers", referrers);
    return rdg_service_reply(answer, 200, image);
}

static rdg_err_t drop(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    const rdg_images_t *i = ctx;
    const char *name, *reference;
    (void)answer;
    RDG_TRY(wanted(call, "name", &name));
    RDG_TRY(wanted(call, "reference", &reference));
    RDG_TRY(allowed(call, name));
    return rdg_registry_remove(i->registry, name, reference);
}

static rdg_err_t set_devices(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    const rdg_images_t *i = ctx;
    const char *name, *devices = NULL;
    const json_t *body;
    json_t *image = NULL;
    RDG_TRY(rdg_service_body(call, &body));
    RDG_TRY(rdg_json_get_str(body, "name", &name));
    RDG_TRY(rdg_json_get_str(body, "devices", &devices));
    RDG_TRY(allowed(call, name));
    RDG_TRY(rdg_registry_set_devices(i->registry, name, devices));
    RDG_TRY(about(i->registry, name, &image));
    return rdg_service_reply(answer, 200, image);
}

static rdg_err_t collect(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    const rdg_images_t *i = ctx;
    rdg_registry_collected_t c;
    rdg_registry_usage_t u;
    (void)call;
    RDG_TRY(rdg_registry_collect(i->registry, &c));
    RDG_TRY(rdg_registry_usage(i->registry, &u));
    return rdg_service_reply(answer, 200,
                             json_pack("{s:I, s:I, s:I}", "removed_bytes", (json_int_t)c.bytes, "bytes",
                                       (json_int_t)u.bytes, "upload_bytes", (json_int_t)u.upload_bytes));
}

const rdg_service_route_t image_routes[] = {
    {"GET", "/api/v1/images", RDG_ROUTE_TENANT, list},
    {"POST", "/api/v1/images/collect", RDG_ROUTE_CLOUD, collect},
    {"GET", "/api/v1/image", RDG_ROUTE_TENANT, show},
    {"DELETE", "/api/v1/image", RDG_ROUTE_TENANT, drop},
    {"PUT", "/api/v1/image/devices", RDG_ROUTE_TENANT, set_devices},
};
const size_t image_route_count = sizeof image_routes / sizeof image_routes[0];
