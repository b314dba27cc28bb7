#include "collector.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/client/devices.h"
#include "ridge/client/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define READ_MS 60000
#define FETCH_MS 3600000 /* the largest file over a slow link to another process */

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

rdg_err_t remote_files(rdg_baas_t *b, const char *method, const char *path, json_t **answer) {
    rdg_cloud_client_t *c;
    if (strncmp(path, "/files", 6) != 0) return rdg_fail(RDG_E_INVALID, "%.80s is no path of files", path);
    RDG_TRY(borrow(b, &c));
    rdg_err_t err = rdg_cloud_call(c, method, path, NULL, 0, answer);
    give_back(b, c);
    return err;
}

rdg_err_t remote_order(rdg_baas_t *b, const char *device, json_t *order, json_t **command) {
    rdg_cloud_client_t *c;
    rdg_err_t err = borrow(b, &c);
    if (err != RDG_OK) {
        json_decref(order);
        return err;
    }
    err = rdg_platform_command(c, device, order, command);
    give_back(b, c);
    return err;
}

rdg_err_t remote_command(rdg_baas_t *b, const char *id, uint64_t wait_ms, json_t **command) {
    rdg_cloud_client_t *c;
    RDG_TRY(borrow(b, &c));
    rdg_err_t err = rdg_platform_command_get(c, id, wait_ms, command);
    give_back(b, c);
    return err;
}

rdg_err_t remote_cancel(rdg_baas_t *b, const char *id) {
    rdg_cloud_client_t *c;
    RDG_TRY(borrow(b, &c));
    rdg_err_t err = rdg_platform_command_cancel(c, id);
    give_back(b, c);
    return err;
}

rdg_err_t remote_changes(rdg_baas_t *b, uint64_t *after, uint64_t wait_ms, json_t **commands) {
    rdg_cloud_client_t *c;
    RDG_TRY(borrow(b, &c));
    rdg_err_t err = rdg_platform_changes(c, *after, wait_ms, commands, after);
    give_back(b, c);
    return err;
}

rdg_err_t remote_devices(rdg_baas_t *b, json_t **answer) {
    rdg_cloud_client_t *c;
    json_t *list = NULL;
    RDG_TRY(borrow(b, &c));
    rdg_err_t err = rdg_platform_devices(c, NULL, &list);
    give_back(b, c);
    if (err != RDG_OK) return err;
    *answer = json_pack("{s:o}", "devices", list);
    return *answer ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for the devices");
}

rdg_err_t remote_device(rdg_baas_t *b, const char *name, json_t **device) {
    rdg_cloud_client_t *c;
    RDG_TRY(borrow(b, &c));
    rdg_err_t err = rdg_platform_device(c, name, device);
    give_back(b, c);
    return err;
}

rdg_err_t remote_request(rdg_baas_t *b, const char *device, json_t *request, uint64_t timeout_ms,
                         json_t **answer) {
    rdg_cloud_client_t *c;
    rdg_err_t err = borrow(b, &c);
    if (err != RDG_OK) {
        json_decref(request);
        return err;
    }
    err = rdg_platform_request(c, device, request, timeout_ms, answer);
    give_back(b, c);
    return err;
}

rdg_err_t remote_certify_node(rdg_baas_t *b, const char *device, json_t *request, json_t **pair) {
    rdg_cloud_client_t *c;
    rdg_err_t err = borrow(b, &c);
    if (err != RDG_OK) {
        json_decref(request);
        return err;
    }
    err = rdg_platform_certify_node(c, device, request, pair);
    give_back(b, c);
    return err;
}

rdg_err_t remote_node_encryption(rdg_baas_t *b, const char *device, const char *chain, unsigned limit,
                                 json_t **certificates) {
    rdg_cloud_client_t *c;
    RDG_TRY(borrow(b, &c));
    rdg_err_t err = rdg_platform_node_encryption(c, device, chain, limit, certificates);
    give_back(b, c);
    return err;
}

rdg_err_t remote_certify_collector(rdg_baas_t *b, const char *request, json_t **answer) {
    rdg_cloud_client_t *c;
    RDG_TRY(borrow(b, &c));
    rdg_err_t err = rdg_platform_certify_collector(c, request, answer);
    give_back(b, c);
    return err;
}

static rdg_err_t write_to(void *fd, rdg_bytes_t bytes) {
    return rdg_write_all(*(int *)fd, bytes);
}

static rdg_err_t fetch(rdg_baas_t *b, const char *path, int fd) {
    rdg_cloud_client_t *c;
    RDG_TRY(borrow(b, &c));
    rdg_err_t err = rdg_cloud_fetch(c, path, FETCH_MS, write_to, &fd);
    /* A connection that broke in the middle of an answer is not given to the next. */
    if (err == RDG_OK)
        give_back(b, c);
    else
        rdg_cloud_client_free(c);
    return err;
}

rdg_err_t remote_fetch_file(rdg_baas_t *b, int64_t file, const char *path, uint64_t *size) {
    char url[96];
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return rdg_fail_errno(errno, "cannot make %s", path);
    snprintf(url, sizeof url, "/files/%" PRId64 "/content", file);
    rdg_err_t err = fetch(b, url, fd);
    off_t end = lseek(fd, 0, SEEK_CUR);
    if (size) *size = end > 0 ? (uint64_t)end : 0;
    close(fd);
    return err;
}

typedef struct room {
    uint8_t *dst;
    size_t len, got;
} room_t;

static rdg_err_t copy_to(void *ctx, rdg_bytes_t bytes) {
    room_t *r = ctx;
    if (bytes.len > r->len - r->got)
        return rdg_fail(RDG_E_PROTOCOL, "the platform answers more than was asked");
    memcpy(r->dst + r->got, bytes.data, bytes.len);
    r->got += bytes.len;
    return RDG_OK;
}

rdg_err_t remote_read(rdg_baas_t *b, const char *path, void *dst, size_t len) {
    rdg_cloud_client_t *c;
    room_t room = {dst, len, 0};
    RDG_TRY(borrow(b, &c));
    rdg_err_t err = rdg_cloud_fetch(c, path, READ_MS, copy_to, &room);
    if (err == RDG_OK)
        give_back(b, c);
    else
        rdg_cloud_client_free(c);
    if (err == RDG_OK && room.got != len)
        err = rdg_fail(RDG_E_PROTOCOL, "the platform answers %zu of %zu bytes", room.got, len);
    return err;
}

void remote_close(rdg_baas_t *b) {
    while (b->idle_count > 0) rdg_cloud_client_free(b->idle[--b->idle_count]);
}
