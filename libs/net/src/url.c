#include "ridge/net/url.h"
#include "http_url.h"
#include <stdio.h>
#include <string.h>

static rdg_err_t bad_url(const char *url, const char *scheme) {
    return rdg_fail(RDG_E_INVALID, "no valid URL: \"%.200s\": want %s://host:port", url ? url : "", scheme);
}

rdg_err_t rdg_url_host_port(const char *url, const char *scheme, uint16_t default_port, char *host,
                            size_t size, uint16_t *port) {
    /* The part after the scheme obeys the rules of an HTTP URL, which may have no path here. */
    char as_http[512];
    http_url_t u;
    size_t len = strlen(scheme);
    if (!url || strncmp(url, scheme, len) != 0 || strncmp(url + len, "://", 3) != 0)
        return bad_url(url, scheme);
    if (snprintf(as_http, sizeof as_http, "http%s", url + len) >= (int)sizeof as_http)
        return bad_url(url, scheme);
    if (http_url_parse(as_http, &u) != RDG_OK || (u.target[0] != '\0' && strcmp(u.target, "/") != 0))
        return bad_url(url, scheme);
    *port = u.has_port ? u.port : default_port;
    return snprintf(host, size, "%s", u.host) < (int)size ? RDG_OK : bad_url(url, scheme);
}
