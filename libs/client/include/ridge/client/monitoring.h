/* What the platform knows of its devices and has from them — telemetry, alarms, urgent records, files — and who is told of
 * it, as C functions over its REST interface (docs/rest-api.md).
 *
 * Names that cannot stand in a path are INVALID before anything is sent. Answers are the documented JSON, owned by the
 * caller; other errors are those of rdg_cloud_call. A client belongs to one thread. Beside platform.h. */
#ifndef RIDGE_CLIENT_MONITORING_H
#define RIDGE_CLIENT_MONITORING_H
#include "ridge/client/cloud.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The newest record of a device. NOT_FOUND. */
rdg_err_t rdg_platform_telemetry(rdg_cloud_client_t *c, const char *device, json_t **record);
typedef struct rdg_telemetry_range {
    const char *metrics;              /* "cpu_permille,chain_height"; NULL: all */
    uint64_t from_ms, to_ms, step_ms; /* 0: an hour back, now, 200 steps */
} rdg_telemetry_range_t;
rdg_err_t rdg_platform_telemetry_range(rdg_cloud_client_t *c, const char *device,
                                       const rdg_telemetry_range_t *range, json_t **series);

typedef struct rdg_platform_page { /* what a list is asked for; NULL and 0: any, all from the start */
    const char *device, *kind;
    uint64_t after;   /* a number; *next of the last page */
    uint64_t limit;   /* 0: the platform's own */
    uint64_t wait_ms; /* at most 25,000: until there is something; not of alarms */
} rdg_platform_page_t;
rdg_err_t rdg_platform_alarms(rdg_cloud_client_t *c, const rdg_platform_page_t *page, bool all,
                              json_t **alarms);
rdg_err_t rdg_platform_alarm_ack(rdg_cloud_client_t *c, uint64_t number,
                                 const char *note); /* note may be NULL */
/* Oldest first; *next: what to ask on after. */
rdg_err_t rdg_platform_records(rdg_cloud_client_t *c, const rdg_platform_page_t *page, json_t **records,
                               uint64_t *next);
rdg_err_t rdg_platform_files(rdg_cloud_client_t *c, const rdg_platform_page_t *page, json_t **files,
                             uint64_t *next);
/* A file's bytes from offset on, to sink, whose error ends the call and is returned. */
rdg_err_t rdg_platform_file(rdg_cloud_client_t *c, uint64_t number, uint64_t offset,
                            rdg_err_t (*sink)(void *ctx, rdg_bytes_t bytes), void *ctx);
rdg_err_t rdg_platform_file_remove(rdg_cloud_client_t *c, uint64_t number);

/* order: {"name", "webhook" or "mqtt", "secret"?, "filter"?, "give_up_ms"?, "from"?}; taken. Its secret is in subscription,
 * and nowhere later. */
rdg_err_t rdg_platform_subscribe(rdg_cloud_client_t *c, json_t *order, json_t **subscription);
rdg_err_t rdg_platform_subscription(rdg_cloud_client_t *c, const char *name, json_t **subscription);
rdg_err_t rdg_platform_subscriptions(rdg_cloud_client_t *c, json_t **list);
rdg_err_t rdg_platform_unsubscribe(rdg_cloud_client_t *c, const char *name);
/* verb: "test", "pause" or "resume"; body: of resume, taken, may be NULL. answer may be NULL. */
rdg_err_t rdg_platform_subscription_turn(rdg_cloud_client_t *c, const char *name, const char *verb,
                                         json_t *body, json_t **answer);

#ifdef __cplusplus
}
#endif
#endif
