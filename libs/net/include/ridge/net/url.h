/* URLs that name a host and a port and nothing else: tlcp://cloud.example:7781, mqtt://127.0.0.1. */
#ifndef RIDGE_NET_URL_H
#define RIDGE_NET_URL_H
#include <stddef.h>
#include <stdint.h>
#include "ridge/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* INVALID: another scheme, a path, a bad port, a host that does not fit; the text shows the URL. */
rdg_err_t rdg_url_host_port(const char *url, const char *scheme, uint16_t default_port, char *host,
                            size_t size, uint16_t *port);

#ifdef __cplusplus
}
#endif
#endif
