/* ridge-cloud put together: the public service with all routes, and behind it a second one on a local socket
 * with the platform's routes alone, for the chain service. So handlers that wait for the platform can never
 * occupy the threads that the platform needs to answer them. Devices come in by the gateway, behind which enrolment
 * and the images are services of their own on local sockets. */
#ifndef RIDGE_CLOUD_CLOUD_H
#define RIDGE_CLOUD_CLOUD_H
#include "ridge/service/service.h"

typedef struct cloud cloud_t;

typedef struct cloud_options {
    const char *data_dir, *host;
    uint16_t port, broker_port;
    const char *broker_url, *broker_program, *broker_password; /* may be NULL */
    const char *ca_chain, *ca_key, *link_names;                /* as in platform.h; may be NULL */
    uint64_t certificate_life_ms;                              /* 0: a year */
    const char *collect_store, *collect_store_credentials,
        *collect_store_ca;                        /* as rdg_platform_options_t; may be NULL */
    uint64_t collect_bytes, collect_device_bytes; /* as rdg_platform_options_t */
    uint64_t command_keep_ms, command_keep;       /* the same */
    const char *link_host;                        /* where devices come in; NULL: everywhere */
    uint16_t link_port;                           /* 0: the system chooses once */
    const char *image_dir;                  /* an OCI image layout, taken into the registry; NULL: none */
    uint64_t images_max;                    /* bytes of the registry; 0: no limit */
    const char *images_quotas, *public_url; /* as in images.h; may be NULL */
    const char *images_proxy, *images_proxy_auth, *images_proxy_ca; /* as in images.h; may be NULL */
    uint64_t images_proxy_max, images_proxy_ttl_ms;
    bool images_read_only;
    bool webhook_link_local;                   /* as rdg_platform_options_t */
    const char *webhook_allow;                 /* the same; may be NULL */
    bool platform, baas;                       /* which services run here */
    const char *mainchain, *node_program;      /* as in mainnodes.h; NULL: none, and beside this program */
    uint64_t checkpoint_ms;                    /* of the edge chains on the main chain; 0: ten minutes */
    const char *platform_url, *platform_token; /* baas without platform: where the platform is; may be NULL */
} cloud_options_t;

/* "platform,baas" and the like. INVALID names what is possible. */
rdg_err_t cloud_parse_services(const char *text, bool *platform, bool *baas);
/* Writes <data_dir>/cloud.json with the address when everything answers. BUSY: another cloud uses data_dir.
 */
rdg_err_t cloud_start(const cloud_options_t *options, cloud_t **out);
void cloud_stop(cloud_t *c); /* clean, the broker included; NULL is fine */
const char *cloud_url(const cloud_t *c);
const char *cloud_link_url(const cloud_t *c);   /* "tlcp://host:port"; NULL without platform */
const char *cloud_broker_url(const cloud_t *c); /* NULL without platform */
const rdg_service_t *cloud_service(const cloud_t *c);

#endif
