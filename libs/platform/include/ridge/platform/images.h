/* The image service: the cloud's registry (ridge/registry/registry.h) for its users and its devices.
 *
 * It lives in <data>/registry. Users reach it at /v2 of the public service: the name of an access token's holder is
 * the user, the token the password (also as bearer token). They may do everything. Devices reach it through the
 * gateway alone, are known by the certificate of their link, and may pull what is visible to them
 * (rdg_registry_set_devices), nothing else. Without either nobody gets anything.
 * Thread-safe once the services have started. */
#ifndef RIDGE_PLATFORM_IMAGES_H
#define RIDGE_PLATFORM_IMAGES_H
#include "ridge/platform/platform.h"
#include "ridge/registry/registry.h"
#include "ridge/service/service.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdg_images rdg_images_t;

typedef struct rdg_images_options {
    const char *data_dir;
    uint64_t total_max;  /* bytes; 0: no limit */
    const char *quotas;  /* "prefix=size,prefix=size"; NULL: none */
    const char *proxies; /* "prefix=https://host,…": copies of other registries; NULL: none */
    const char *proxy_credentials, *proxy_ca; /* these as in rdg_registry_options_t */
    uint64_t proxy_max, proxy_ttl_ms;
    bool read_only;
    const char *public_url; /* as in rdg_registry_options_t; may be NULL */
    rdg_metrics_t *metrics; /* may be NULL */
} rdg_images_options_t;

rdg_err_t rdg_images_open(const rdg_images_options_t *options, rdg_images_t **out);
void rdg_images_close(rdg_images_t *i); /* after the services have stopped; NULL is fine */
/* /v2 for the users of this service, whose tokens count, and the paths of docs/rest-api.md under /images and /image;
 * borrowed. Before it starts. */
rdg_err_t rdg_images_serve_users(rdg_images_t *i, rdg_service_t *service);
/* /v2 on a service behind the gateway. */
rdg_err_t rdg_images_serve_devices(rdg_images_t *i, rdg_service_t *service);
/* Takes in an OCI image layout and signs its images with the platform's key. first becomes "name:tag" of the first, or
 * empty. */
rdg_err_t rdg_images_import(rdg_images_t *i, rdg_platform_t *p, const char *layout, char *first,
                            size_t first_size);
rdg_registry_t *rdg_images_registry(rdg_images_t *i);
/* Repositories TENANT/… are for that tenant's devices alone, whatever their list of devices says. Before the services start;
 * borrowed. Without it devices of all tenants get what the lists say. */
void rdg_images_know_devices(rdg_images_t *i, rdg_platform_t *p);
/* CONFLICT: a tenant still has images; images: an rdg_images_t *, as rdg_access_in_use wants it. */
rdg_err_t rdg_images_in_use(void *images, const char *tenant);

#ifdef __cplusplus
}
#endif
#endif
