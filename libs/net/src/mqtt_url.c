#include "mqtt_url.h"
#include "ridge/net/url.h"
#include <stdio.h>
#include <string.h>

#define MQTT_PORT 1883

static rdg_err_t bad_url(const char *url) {
    return rdg_fail(RDG_E_INVALID,
                    "no valid MQTT URL: \"%.200s\": want mqtt://host:port or mqtt+unix:///path",
                    url ? url : "");
}

rdg_err_t mqtt_url_parse(const char *url, char *host, size_t size, int *port) {
    static const char unix_scheme[] = "mqtt+unix://";
    if (!url) return bad_url(url);
    if (strncmp(url, unix_scheme, sizeof unix_scheme - 1) == 0) {
        const char *path = url + sizeof unix_scheme - 1;
        *port = 0;
        if (path[0] != '/' || snprintf(host, size, "%s", path) >= (int)size) return bad_url(url);
        return RDG_OK;
    }
    uint16_t tcp_port;
    if (rdg_url_host_port(url, "mqtt", MQTT_PORT, host, size, &tcp_port) != RDG_OK) return bad_url(url);
    *port = tcp_port;
    return RDG_OK;
}
