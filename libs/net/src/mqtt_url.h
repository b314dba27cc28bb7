#ifndef RIDGE_NET_MQTT_URL_H
#define RIDGE_NET_MQTT_URL_H
#include <stddef.h>
#include "ridge/base/error.h"

/* mqtt://host:port or mqtt+unix:///path; a path goes to host, with port 0, which is libmosquitto's form.
 * INVALID. */
rdg_err_t mqtt_url_parse(const char *url, char *host, size_t size, int *port);

#endif
