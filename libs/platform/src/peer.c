#include "internal.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/file.h"

#define OF_DEVICE "ridge/device/"
#define FROM_ADDRESS "ridge/from/"

void peer_name(const char *device, const char *unique, char out[PEER_NAME_MAX]) {
    snprintf(out, PEER_NAME_MAX, OF_DEVICE "%s/%s", device, unique);
}

void peer_name_from(const char *from, const char *unique, char out[PEER_NAME_MAX]) {
    const char *port = strrchr(from, ':');
    size_t len = port ? (size_t)(port - from) : strlen(from);
    if (len >= 2 && from[0] == '[' && from[len - 1] == ']') ++from, len -= 2;
    snprintf(out, PEER_NAME_MAX, FROM_ADDRESS "%.*s/%s", (int)len, from, unique);
}

/* What stands between the prefix and the next '/'. */
static bool read_name(const rdg_http_request_t *req, const char *prefix, char *out, size_t size) {
    const char *name = rdg_http_peer(req);
    size_t len = strlen(prefix);
    if (strncmp(name, prefix, len) != 0) return false;
    size_t n = strcspn(name + len, "/");
    if (n == 0 || n >= size || name[len + n] != '/') return false;
    memcpy(out, name + len, n);
    out[n] = '\0';
    return true;
}

bool peer_device(const rdg_http_request_t *req, char device[65]) {
    return read_name(req, OF_DEVICE, device, 65) && rdg_name_valid(device);
}

bool peer_address(const rdg_http_request_t *req, char out[PEER_ADDRESS_MAX]) {
    return read_name(req, FROM_ADDRESS, out, PEER_ADDRESS_MAX);
}
