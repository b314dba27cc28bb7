#include "mqtt_url.h"
#include "http_url.h"
#include <stdio.h>
#include <string.h>

#define MQTT_PORT 1883

static rdg_err_t bad_url(const char *url) {
    return rdg_fail(RDG_E_INVALID,
                    "no valid MQTT URL: \"%.200s\": want mqtt://host:port or mqtt+unix:///path",
                    url ? url : "");
}

rdg_err_t mqtt_url_parse(const char *url, char *host, size_t size, int *port) {
    static const char unix_scheme[] = "mqtt+unix://", tcp_scheme[] = "mqtt://";
    if (!url) return bad_url(url);
    if (strncmp(url, unix_scheme, sizeof unix_scheme - 1) == 0) {
        const char *path = url + sizeof unix_scheme - 1;
        *port = 0;
        if (path[0] != '/' || snprintf(host, size, "%s", path) >= (int)size) return bad_url(url);
        return RDG_OK;
    }
    if (strncmp(url, tcp_scheme, sizeof tcp_scheme - 1) != 0) return bad_url(url);
    /* The part after the scheme obeys the same rules as that of an HTTP URL, which may have no path here. */
    char as_http[512];
    http_url_t u;
    if (snprintf(as_http, sizeof as_http, "http://%s", url + sizeof tcp_scheme - 1) >= (int)sizeof as_http)
        return bad_url(url);
    if (http_url_parse(as_http, &u) != RDG_OK || (u.target[0] != '\0' && strcmp(u.target, "/") != 0))
        return bad_url(url);
    *port = u.has_port ? u.port : MQTT_PORT;
    return snprintf(host, size, "%s", u.host) < (int)size ? RDG_OK : bad_url(url);
}
