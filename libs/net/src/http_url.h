/* Splits http:// and https:// URLs; RFC 3986, without user information and fragments. */
#ifndef RIDGE_NET_HTTP_URL_H
#define RIDGE_NET_HTTP_URL_H
#include <stdbool.h>
#include <stdint.h>
#include "ridge/base/error.h"

#define HTTP_URL_MAX 8192

typedef struct http_url {
    bool tls;
    char host[256]; /* without brackets */
    uint16_t port;  /* the scheme's own if the URL has none */
    bool has_port;
    const char *authority; /* as it stands in the URL, for the Host header; borrowed */
    int authority_len;
    const char *target; /* path and query; borrowed; may be empty, or begin with '?' */
} http_url_t;

rdg_err_t http_url_parse(const char *url, http_url_t *out); /* INVALID */

#endif
