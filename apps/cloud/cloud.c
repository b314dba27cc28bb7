#include "cloud.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "admin_token.h"
#include "mainnodes.h"
#include "ridge/baas/baas.h"
#include "ridge/baas/collector.h"
#include "ridge/base/alloc.h"
#include "ridge/base/config.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/base/random.h"
#include "ridge/net/local_dir.h"
#include "ridge/platform/gateway.h"
#include "ridge/platform/images.h"
#include "ridge/platform/platform.h"
#include "ridge/service/access.h"

#define PATH_BYTES 4200
#define PUBLIC_THREADS 32
#define INTERNAL_THREADS 16
#define LINK_THREADS 32 /* of each service behind the gateway; who pulls a copy may wait for its registry */
#define IO_THREADS 2    /* images are sent by more than one core */
#define BODY_MAX (4u << 20)

struct cloud {
    char data_dir[PATH_BYTES], url[300], link_url[300];
    int lock_fd;
    rdg_metrics_t *metrics;
    rdg_service_t *service, *internal, *enrol, *images;
    rdg_local_dir_t sockets;
    rdg_gateway_t *gateway;
    rdg_platform_t *platform;
    rdg_baas_t *baas;
    mainnodes_t *mainchain;
    rdg_images_t *images_service;
    rdg_access_t *access;
};

rdg_err_t cloud_parse_services(const char *text, bool *platform, bool *baas) {
    char copy[128], *rest = copy;
    *platform = *baas = false;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *word; (word = strsep(&rest, ","));) {
        if (strcmp(word, "platform") == 0)
            *platform = true;
        else if (strcmp(word, "baas") == 0)
            *baas = true;
        else
            return rdg_fail(RDG_E_INVALID, "services: '%.32s' is not known: want platform, baas, or both",
                            word);
    }
    return RDG_OK;
}

/* As root, the broker gives up its rights and must still reach its own directory inside this one. */
static rdg_err_t prepare_dir(cloud_t *c) {
    char path[PATH_BYTES];
    RDG_TRY(rdg_dir_make(c->data_dir, 0700));
    if (geteuid() == 0 && chmod(c->data_dir, 0711) != 0)
        return rdg_fail_errno(errno, "cannot set the mode of %s", c->data_dir);
    RDG_TRY(rdg_path_join(path, sizeof path, c->data_dir, "lock"));
    c->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (c->lock_fd < 0) return rdg_fail_errno(errno, "cannot open %s", path);
    if (flock(c->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return rdg_fail(RDG_E_BUSY, "another ridge-cloud uses %s: stop it, or give another --data",
                        c->data_dir);
    return RDG_OK;
}

static rdg_err_t open_platform(cloud_t *c, const cloud_options_t *o) {
    rdg_platform_options_t p = {.data_dir = c->data_dir,
                                .broker_url = o->broker_url,
                                .broker_program = o->broker_program,
                                .broker_port = o->broker_port,
                                .broker_password = o->broker_password,
                                .ca_chain = o->ca_chain,
                                .ca_key = o->ca_key,
                                .link_names = o->link_names,
                                .certificate_life_ms = o->certificate_life_ms,
                                .collect_bytes = o->collect_bytes,
                                .collect_store = o->collect_store,
                                .collect_store_credentials = o->collect_store_credentials,
                                .collect_store_ca = o->collect_store_ca,
                                .collect_device_bytes = o->collect_device_bytes,
                                .command_keep_ms = o->command_keep_ms,
                                .command_keep = o->command_keep,
                                .webhook_link_local = o->webhook_link_local,
                                .webhook_allow = o->webhook_allow,
                                .metrics = c->metrics};
    return rdg_platform_open(&p, &c->platform);
}

static rdg_err_t open_public(cloud_t *c, const cloud_options_t *o) {
    rdg_hash_t admin, metrics;
    rdg_service_options_t s = {.host = o->host,
                               .port = o->port,
                               .threads = PUBLIC_THREADS,
                               .io_threads = IO_THREADS,
                               .max_body = BODY_MAX,
                               .metrics = c->metrics};
    RDG_TRY(cloud_token_digest(c->data_dir, "admin", &admin));
    RDG_TRY(cloud_token_digest(c->data_dir, RDG_SERVICE_METRICS, &metrics));
    RDG_TRY(rdg_service_new(&s, &c->service));
    RDG_TRY(rdg_service_allow_digest(c->service, "admin", &admin));
    RDG_TRY(rdg_service_allow_digest(c->service, RDG_SERVICE_METRICS, &metrics));
    RDG_TRY(rdg_access_routes(c->access, c->service));
    if (c->platform) RDG_TRY(rdg_access_in_use(c->access, rdg_platform_in_use, c->platform));
    if (c->platform) {
        rdg_access_count(c->access, RDG_SHARE_DEVICES, rdg_platform_count, c->platform);
        rdg_access_count(c->access, RDG_SHARE_ROLLOUTS, rdg_platform_count, c->platform);
        RDG_TRY(rdg_platform_routes(c->platform, c->service));
    }
    if (c->images_service) {
        rdg_images_know_devices(c->images_service, c->platform);
        RDG_TRY(rdg_access_in_use(c->access, rdg_images_in_use, c->images_service));
    }
    if (c->images_service) RDG_TRY(rdg_images_serve_users(c->images_service, c->service));
    if (c->baas) RDG_TRY(rdg_access_in_use(c->access, rdg_baas_in_use, c->baas));
    if (c->baas) rdg_access_count(c->access, RDG_SHARE_CHAINS, rdg_baas_count, c->baas);
    if (c->baas) RDG_TRY(rdg_baas_routes(c->baas, c->service));
    RDG_TRY(rdg_service_start(c->service));
    const char *host = !o->host || strcmp(o->host, "0.0.0.0") == 0 ? "127.0.0.1" : o->host;
    bool v6 = strchr(host, ':') != NULL;
    snprintf(c->url, sizeof c->url, "http://%s%s%s:%u", v6 ? "[" : "", host, v6 ? "]" : "",
             rdg_service_port(c->service));
    return RDG_OK;
}

/* A service behind the gateway, on a local socket of this user: who reaches it has passed there. */
static rdg_err_t open_behind(cloud_t *c, const char *name, char path[RDG_LOCAL_PATH_MAX + 1],
                             rdg_service_t **out) {
    rdg_local_dir_socket(&c->sockets, name, path);
    rdg_service_options_t s = {.host = path,
                               .threads = LINK_THREADS,
                               .io_threads = IO_THREADS,
                               .max_body = BODY_MAX,
                               .max_connections = 4096,
                               .rate_per_s = 1000000,
                               .rate_burst = 1000000};
    return rdg_service_new(&s, out);
}

/* Devices keep the address, so a port that the system chose stays the cloud's. */
static rdg_err_t listen_for_devices(cloud_t *c, rdg_gateway_options_t *g) {
    char path[PATH_BYTES], text[16];
    rdg_buf_t kept;
    uint64_t port = 0;
    RDG_TRY(rdg_path_join(path, sizeof path, c->data_dir, "link.port"));
    if (g->port > 0) return rdg_gateway_start(g, &c->gateway);
    rdg_buf_init(&kept, sizeof text);
    if (rdg_file_read(path, &kept) == RDG_OK && rdg_parse_u64(rdg_buf_cstr(&kept), &port) == RDG_OK &&
        port < 65536)
        g->port = (uint16_t)port;
    rdg_buf_fini(&kept);
    RDG_TRY(rdg_gateway_start(g, &c->gateway));
    snprintf(text, sizeof text, "%u", rdg_gateway_port(c->gateway));
    return rdg_file_replace(path, rdg_bytes_str(text), 0600);
}

static rdg_err_t open_gateway(cloud_t *c, const cloud_options_t *o) {
    char wanted[PATH_BYTES], enrol[RDG_LOCAL_PATH_MAX + 1], images[RDG_LOCAL_PATH_MAX + 1];
    RDG_TRY(rdg_path_join(wanted, sizeof wanted, c->data_dir, "run"));
    RDG_TRY(rdg_local_dir_open(wanted, &c->sockets));
    RDG_TRY(open_behind(c, "enrol", enrol, &c->enrol));
    rdg_service_set_access(c->enrol, c->access);
    RDG_TRY(rdg_platform_enrol_routes(c->platform, c->enrol));
    RDG_TRY(rdg_service_start(c->enrol));
    RDG_TRY(open_behind(c, "images", images, &c->images));
    RDG_TRY(rdg_images_serve_devices(c->images_service, c->images));
    RDG_TRY(rdg_service_start(c->images));
    rdg_gateway_options_t g = {.platform = c->platform,
                               .host = o->link_host,
                               .port = o->link_port,
                               .enrol = enrol,
                               .images = images,
                               .metrics = c->metrics};
    RDG_TRY(listen_for_devices(c, &g));
    const char *host = !o->link_host || strcmp(o->link_host, "0.0.0.0") == 0 ? "127.0.0.1" : o->link_host;
    bool v6 = strchr(host, ':') != NULL;
    snprintf(c->link_url, sizeof c->link_url, "tlcp://%s%s%s:%u", v6 ? "[" : "", host, v6 ? "]" : "",
             rdg_gateway_port(c->gateway));
    return RDG_OK;
}

/* The token lives as long as this process and is known to nobody else. */
static rdg_err_t start_baas(cloud_t *c, const cloud_options_t *o) {
    if (!c->platform) return rdg_baas_start(c->baas, o->platform_url, o->platform_token);
    char token[65], path[RDG_LOCAL_PATH_MAX + 1];
    rdg_local_dir_socket(&c->sockets, "platform", path);
    rdg_service_options_t s = {.host = path,
                               .threads = INTERNAL_THREADS,
                               .max_body = BODY_MAX,
                               .rate_per_s = 1000000,
                               .rate_burst = 1000000};
    RDG_TRY(rdg_service_new(&s, &c->internal));
    rdg_service_set_access(c->internal, c->access);
    RDG_TRY(rdg_platform_routes(c->platform, c->internal));
    rdg_random_hex(rdg_random_system(), token, 32);
    RDG_TRY(rdg_service_allow(c->internal, "baas", token));
    RDG_TRY(rdg_service_start(c->internal));
    rdg_err_t err = rdg_baas_start(c->baas, path, token);
    rdg_secure_zero(token, sizeof token);
    return err;
}

static rdg_err_t write_about(const cloud_t *c) {
    char path[PATH_BYTES];
    RDG_TRY(rdg_path_join(path, sizeof path, c->data_dir, "cloud.json"));
    json_t *about =
        json_pack("{s:s, s:s?, s:s?, s:s, s:i}", "url", c->url, "link_url", cloud_link_url(c), "broker_url",
                  cloud_broker_url(c), "version", RIDGE_VERSION, "pid", (int)getpid());
    rdg_buf_t text;
    rdg_buf_init(&text, 4096);
    rdg_err_t err =
        about ? rdg_json_dump_pretty(about, &text) : rdg_fail(RDG_E_NO_MEMORY, "no memory for cloud.json");
    json_decref(about);
    if (err == RDG_OK) err = rdg_file_replace(path, rdg_buf_view(&text), 0644);
    rdg_buf_fini(&text);
    return err;
}

/* The layout's images are taken into the registry. */
static rdg_err_t open_images(cloud_t *c, const cloud_options_t *o, char *first, size_t first_size) {
    rdg_images_options_t i = {.data_dir = c->data_dir,
                              .total_max = o->images_max,
                              .quotas = o->images_quotas,
                              .proxies = o->images_proxy,
                              .proxy_credentials = o->images_proxy_auth,
                              .proxy_ca = o->images_proxy_ca,
                              .proxy_max = o->images_proxy_max,
                              .proxy_ttl_ms = o->images_proxy_ttl_ms,
                              .read_only = o->images_read_only,
                              .public_url = o->public_url,
                              .metrics = c->metrics};
    RDG_TRY(rdg_images_open(&i, &c->images_service));
    if (!o->image_dir) return RDG_OK;
    RDG_TRY(rdg_fail_in(rdg_images_import(c->images_service, c->platform, o->image_dir, first, first_size),
                        "--image"));
    if (first[0]) return RDG_OK;
    return rdg_fail(RDG_E_INVALID, "--image %s names no image: build one with deploy/image/build",
                    o->image_dir);
}

/* The first of them becomes the chains' default: as devices name it, with this cloud as its registry. */
static rdg_err_t offer_image(cloud_t *c, const char *name) {
    char reference[512];
    snprintf(reference, sizeof reference, "cloud.ridge/%s", name);
    rdg_log(RDG_LOG_INFO, "cloud.image", RDG_STR("reference", reference));
    return rdg_baas_set_image(c->baas, reference);
}

static rdg_err_t open_mainchain(cloud_t *c, const cloud_options_t *o) {
    mainnodes_options_t m = {.data_dir = c->data_dir,
                             .setting = o->mainchain,
                             .node_program = o->node_program,
                             .checkpoint_ms = o->checkpoint_ms};
    RDG_TRY(mainnodes_start(&m, c->baas, &c->mainchain));
    if (c->mainchain) rdg_baas_anchor_on_mainchain(c->baas);
    return RDG_OK;
}

static rdg_err_t start(cloud_t *c, const cloud_options_t *o) {
    char image[400] = "";
    if (o->baas && !o->platform && (!o->platform_url || !o->platform_token))
        return rdg_fail(RDG_E_INVALID,
                        "services=baas without platform needs --platform-url and RIDGE_CLOUD_PLATFORM_TOKEN");
    RDG_TRY(prepare_dir(c));
    c->metrics = rdg_metrics_new();
    if (!c->metrics) return rdg_fail(RDG_E_NO_MEMORY, "no memory for metrics");
    RDG_TRY(rdg_access_open(c->data_dir, NULL, &c->access));
    if (o->platform) RDG_TRY(open_platform(c, o));
    if (o->baas) RDG_TRY(rdg_baas_open(c->data_dir, &c->baas));
    if (o->baas) RDG_TRY(open_mainchain(c, o));
    if (o->platform) RDG_TRY(open_images(c, o, image, sizeof image));
    RDG_TRY(open_public(c, o));
    if (o->platform) RDG_TRY(open_gateway(c, o));
    if (image[0] && o->baas) RDG_TRY(offer_image(c, image));
    if (o->baas) RDG_TRY(start_baas(c, o));
    return write_about(c);
}

rdg_err_t cloud_start(const cloud_options_t *options, cloud_t **out) {
    cloud_t *c = rdg_calloc(1, sizeof *c);
    if (!c) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the cloud");
    c->lock_fd = -1;
    snprintf(c->data_dir, sizeof c->data_dir, "%s", options->data_dir);
    rdg_err_t err = start(c, options);
    if (err != RDG_OK) {
        cloud_stop(c);
        return err;
    }
    rdg_log(RDG_LOG_INFO, "cloud.started", RDG_STR("url", c->url), RDG_STR("data", c->data_dir));
    *out = c;
    return RDG_OK;
}

void cloud_stop(cloud_t *c) {
    char path[PATH_BYTES];
    if (!c) return;
    if (c->url[0] && rdg_path_join(path, sizeof path, c->data_dir, "cloud.json") == RDG_OK)
        (void)unlink(path);
    /* First everybody who waits is woken, then the listeners end, then what they stand on. */
    if (c->baas) rdg_baas_stop(c->baas);
    if (c->platform) rdg_platform_stop(c->platform);
    rdg_gateway_stop(c->gateway);
    rdg_service_free(c->service);
    rdg_service_free(c->internal);
    rdg_service_free(c->enrol);
    rdg_service_free(c->images);
    rdg_local_dir_close(&c->sockets);
    rdg_baas_close(c->baas);
    mainnodes_stop(c->mainchain);
    rdg_platform_close(c->platform);
    rdg_images_close(c->images_service);
    rdg_access_close(c->access);
    rdg_metrics_free(c->metrics);
    if (c->lock_fd >= 0) close(c->lock_fd);
    rdg_free(c);
}

const char *cloud_url(const cloud_t *c) {
    return c->url;
}

const char *cloud_link_url(const cloud_t *c) {
    return c->gateway ? c->link_url : NULL;
}

const char *cloud_broker_url(const cloud_t *c) {
    return c->platform ? rdg_platform_broker_url(c->platform) : NULL;
}

const rdg_service_t *cloud_service(const cloud_t *c) {
    return c->service;
}
