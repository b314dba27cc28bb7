#include "internal.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/file.h"

#define PREFIX "ridge/device/"

void peer_name(const char *device, const char *unique, char out[PEER_NAME_MAX]) {
    snprintf(out, PEER_NAME_MAX, PREFIX "%s/%s", device, unique);
}

bool peer_device(const rdg_http_request_t *req, char device[65]) {
    const char *name = rdg_http_peer(req);
    size_t len = strlen(PREFIX);
    if (strncmp(name, PREFIX, len) != 0) return false;
    size_t n = strcspn(name + len, "/");
    if (n == 0 || n > 64 || name[len + n] != '/') return false;
    memcpy(device, name + len, n);
    device[n] = '\0';
    return rdg_name_valid(device);
}
