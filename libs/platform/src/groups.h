/* What an operator says about devices, and which devices are meant by it.
 *
 * A device has at most one group and one site (names), a location (free text of at most 256 bytes) and at most
 * GROUPS_LABELS_MAX labels; a label's key is a name, its value 0 to 64 of [A-Za-z0-9._:/-]. They outlive enrolments under
 * the same name and go with `device rm`. Stored before it is answered; the copy in memory is only shown.
 *
 * A selector is a JSON object: {"devices": [names]}, or {"all": true}, or any of {"labels": {…}, "group", "site"}, which
 * then all have to fit. */
#ifndef RIDGE_PLATFORM_GROUPS_H
#define RIDGE_PLATFORM_GROUPS_H
#include "internal.h"

#define GROUPS_LABELS_MAX 32
#define GROUPS_FILTER_LABELS 8

typedef struct group_filter { /* NULL: any */
    const char *group, *site, *after, *tenant;
    const json_t *labels; /* an object of strings; at most GROUPS_FILTER_LABELS */
    uint64_t limit;
} group_filter_t;

rdg_err_t groups_load(rdg_platform_t *p); /* after devices_load */
/* Calls row (column 0: name) for each device that fits, sorted by name. */
rdg_err_t groups_select(rdg_platform_t *p, const group_filter_t *f,
                        rdg_err_t (*row)(void *ctx, const rdg_sql_row_t *r), void *ctx);
/* Of a tenant's devices (NULL: of all). INVALID: no selector. names: an array to which they are added, each once;
 * NOT_FOUND names one that does not exist. */
rdg_err_t groups_resolve(rdg_platform_t *p, const char *tenant, const json_t *selector, json_t *names);
/* Merges {"labels", "group", "site", "location"} into what is known; null takes away. In a transaction of the caller.
 * groups_show afterwards brings it into memory. */
rdg_err_t groups_store(rdg_platform_t *p, const char *device, const json_t *change);
rdg_err_t groups_show(rdg_platform_t *p, const char *device);
rdg_err_t groups_check(const json_t *change); /* INVALID, TOO_LARGE */
/* Whether a device is of this group and site; "" is any. */
bool groups_fit(rdg_platform_t *p, const char *device, const char *group, const char *site);
rdg_err_t groups_forget(rdg_platform_t *p, const char *device);
rdg_err_t groups_read_labels(const char *text, json_t **out); /* "k=v,k2=v2"; owned */
extern const rdg_service_route_t group_routes[];
extern const size_t group_route_count;

#endif
