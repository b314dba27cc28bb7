#include "images_internal.h"
#include "internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/config.h"
#include "ridge/base/file.h"
#include "ridge/service/access.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define QUOTAS_MAX 32
#define PROXIES_MAX 32

/* --- who asks ------------------------------------------------------------------------------------------------- */

static rdg_err_t login(void *ctx, const char *user, const char *password, rdg_registry_caller_t *out) {
    const rdg_images_t *i = ctx;
    rdg_caller_t caller;
    if (!i->users) return rdg_fail(RDG_E_UNAUTHENTICATED, "nobody logs in here");
    rdg_err_t err = rdg_service_caller_of(i->users, password, &caller);
    snprintf(out->name, sizeof out->name, "%s", caller.name);
    RDG_TRY(err);
    if (user && strcmp(user, caller.name) != 0)
        return rdg_fail(RDG_E_UNAUTHENTICATED,
                        "the user's name or access token is wrong: the name is that of the token's holder "
                        "('admin', 'NAME', or 'TENANT/NAME'), the password is the token");
    return RDG_OK;
}

static rdg_err_t judge(void *ctx, const rdg_http_request_t *req, const char *who) {
    const rdg_images_t *i = ctx;
    return i->users ? rdg_service_judge(i->users, rdg_http_remote(req), who) : RDG_OK;
}

/* The gateway names its ends of the registry's local socket, which nobody else can open, after the device. */
static bool peer(void *ctx, const rdg_http_request_t *req, rdg_registry_caller_t *out) {
    char device[65];
    (void)ctx;
    if (!peer_device(req, device)) return false;
    snprintf(out->name, sizeof out->name, "%s", device);
    out->device = true;
    return true;
}

/* A tenant has the repositories TENANT/…, and no other. */
bool images_of_tenant(const char *repository, const char *tenant) {
    size_t len = strlen(tenant);
    return len == 0 || (strncmp(repository, tenant, len) == 0 && repository[len] == '/');
}

static bool is_tenant(const rdg_images_t *i, const char *name) {
    rdg_access_t *access = i->users ? rdg_service_access(i->users) : NULL;
    return access && rdg_access_tenant(access, name) == RDG_OK;
}

static unsigned device_rights(const rdg_images_t *i, const char *device, const char *repository) {
    char first[RDG_TENANT_MAX + 1];
    size_t len = strcspn(repository, "/");
    if (i->platform && repository[len] == '/' && len < sizeof first) {
        snprintf(first, sizeof first, "%.*s", (int)len, repository);
        if (is_tenant(i, first) && !devices_of(i->platform, first, device)) return 0;
    }
    return rdg_registry_visible(i->registry, repository, device) ? RDG_REGISTRY_PULL : 0;
}

static unsigned rights(void *ctx, const rdg_registry_caller_t *caller, const char *repository) {
    const rdg_images_t *i = ctx;
    rdg_caller_t user;
    if (caller->device) return device_rights(i, caller->name, repository);
    if (!i->users || !rdg_service_caller_named(i->users, caller->name, &user)) return 0;
    if (!images_of_tenant(repository, user.tenant)) return 0;
    return user.role >= RDG_ROLE_OPERATOR ? RDG_REGISTRY_PULL | RDG_REGISTRY_PUSH | RDG_REGISTRY_DELETE
                                          : RDG_REGISTRY_PULL;
}

/* --- life ------------------------------------------------------------------------------------------------------- */

/* Takes text apart in place. */
static rdg_err_t parse_quotas(char *text, rdg_registry_quota_t *out, size_t *count) {
    for (char *word; (word = strsep(&text, ","));) {
        char *equals = strchr(word, '=');
        if (!*word) continue;
        if (!equals || *count == QUOTAS_MAX)
            return rdg_fail(RDG_E_INVALID,
                            "the quotas of images: want PREFIX=SIZE with commas between, at most %d",
                            QUOTAS_MAX);
        *equals = '\0';
        out[*count].prefix = word;
        RDG_TRY(rdg_fail_in(rdg_parse_size(equals + 1, &out[*count].bytes), "the quota of %.80s", word));
        ++*count;
    }
    return RDG_OK;
}

static rdg_err_t parse_proxies(char *text, rdg_registry_proxy_t *out, size_t *count) {
    for (char *word; (word = strsep(&text, ","));) {
        char *equals = strchr(word, '=');
        if (!*word) continue;
        if (!equals || *count == PROXIES_MAX)
            return rdg_fail(RDG_E_INVALID,
                            "copies of other registries: want PREFIX=URL with commas between, at most %d",
                            PROXIES_MAX);
        *equals = '\0';
        out[*count].prefix = word;
        out[(*count)++].url = equals + 1;
    }
    return RDG_OK;
}

static rdg_err_t open_parsed(rdg_images_t *i, const rdg_images_options_t *o, char *quota_text,
                             char *proxy_text) {
    char dir[PATH_MAX];
    rdg_registry_quota_t quotas[QUOTAS_MAX];
    rdg_registry_proxy_t proxies[PROXIES_MAX];
    const rdg_registry_guard_t guard = {login, peer, rights, judge, i};
    rdg_registry_options_t r = {.dir = dir,
                                .total_max = o->total_max,
                                .quotas = quotas,
                                .proxies = proxies,
                                .proxy_max = o->proxy_max,
                                .proxy_ttl_ms = o->proxy_ttl_ms,
                                .proxy_credentials = o->proxy_credentials,
                                .proxy_ca = o->proxy_ca,
                                .read_only = o->read_only,
                                .public_url = o->public_url,
                                .guard = &guard,
                                .metrics = o->metrics};
    RDG_TRY(rdg_path_join(dir, sizeof dir, o->data_dir, "registry"));
    RDG_TRY(parse_quotas(quota_text, quotas, &r.quota_count));
    RDG_TRY(parse_proxies(proxy_text, proxies, &r.proxy_count));
    return rdg_registry_open(&r, &i->registry);
}

static rdg_err_t open_registry(rdg_images_t *i, const rdg_images_options_t *o) {
    char *quotas = rdg_strdup(o->quotas ? o->quotas : ""),
         *proxies = rdg_strdup(o->proxies ? o->proxies : "");
    rdg_err_t err = quotas && proxies ? open_parsed(i, o, quotas, proxies)
                                      : rdg_fail(RDG_E_NO_MEMORY, "no memory for the image service");
    rdg_free(quotas);
    rdg_free(proxies);
    return err;
}

rdg_err_t rdg_images_open(const rdg_images_options_t *options, rdg_images_t **out) {
    rdg_images_t *i = rdg_calloc(1, sizeof *i);
    if (!i) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the image service");
    rdg_err_t err = open_registry(i, options);
    if (err == RDG_OK)
        *out = i;
    else
        rdg_free(i);
    return err;
}

void rdg_images_close(rdg_images_t *i) {
    if (!i) return;
    rdg_registry_close(i->registry);
    rdg_free(i);
}

rdg_err_t rdg_images_serve_users(rdg_images_t *i, rdg_service_t *service) {
    i->users = service;
    RDG_TRY(rdg_service_add(service, image_routes, image_route_count, i));
    return rdg_service_mount_intake(service, "/v2", rdg_registry_handle, &rdg_registry_intake, i->registry);
}

rdg_err_t rdg_images_serve_devices(rdg_images_t *i, rdg_service_t *service) {
    return rdg_service_mount(service, "/v2", rdg_registry_handle, i->registry);
}

void rdg_images_know_devices(rdg_images_t *i, rdg_platform_t *p) {
    i->platform = p;
}

rdg_err_t rdg_images_in_use(void *images, const char *tenant) {
    const rdg_images_t *i = images;
    char prefix[RDG_TENANT_MAX + 2];
    json_t *names = NULL;
    bool more;
    snprintf(prefix, sizeof prefix, "%s/", tenant);
    RDG_TRY(rdg_registry_repositories(i->registry, prefix, 1, &names, &more));
    const char *first = json_string_value(json_array_get(names, 0));
    rdg_err_t err =
        first && images_of_tenant(first, tenant)
            ? rdg_fail(RDG_E_CONFLICT, "tenant '%s' has images in %.200s: remove them first", tenant, first)
            : RDG_OK;
    json_decref(names);
    return err;
}

rdg_registry_t *rdg_images_registry(rdg_images_t *i) {
    return i->registry;
}
