/* A live stream of what happens: server-sent events (HTML Living Standard, section 9.2) for consoles and command lines.
 *
 *   telemetry ───────────────────────┐ (the monitor's thread)
 *   records, alarms, commands ─pump──┴─► ring ─► each client's stream, as far as its filter lets through
 *
 * Types: telemetry, chain (the state of a chain's node on a device has changed), record, alarm, command.
 *
 * Invariants
 * 1. An event's id is "<run>-<number>", numbers without gaps, run of this process. Who comes back with the last id it has
 *    seen gets what the ring still holds after it; where that is not all, or the run is another, event `reset` comes first:
 *    what was between is found by the lists of the REST interface.
 * 2. Nobody waits for a client: one for which EVENT_BUFFER_BYTES would wait gets event `dropped` behind what waits, and its
 *    stream ends. Nothing is left out silently.
 * 3. A heartbeat (a comment) every EVENT_HEARTBEAT_MS; clients that are gone are noticed by it.
 * 4. A client of a tenant is told of its devices alone. A stream ends within a second of its token's end, by expiry or
 *    revocation (event `dropped`).
 * 5. While there is no client, and has been none for EVENT_LINGER_MS, nothing is read or kept.
 *
 * Limits: EVENT_CLIENTS_MAX, EVENT_TENANT_CLIENTS_MAX of a tenant; the ring EVENT_RING events and EVENT_RING_BYTES; an event beyond EVENT_MAX is sent without its
 * data ("truncated": true). Thread-safe. */
#ifndef RIDGE_PLATFORM_EVENT_H
#define RIDGE_PLATFORM_EVENT_H
#include "internal.h"
#include "monitor.h"

#define EVENT_CLIENTS_MAX 64
#define EVENT_TENANT_CLIENTS_MAX 8
#define EVENT_RING 4096
#define EVENT_RING_BYTES (8u << 20)
#define EVENT_MAX (64u << 10)
#define EVENT_BUFFER_BYTES (512u << 10)
#define EVENT_HEARTBEAT_MS 15000u
#define EVENT_LINGER_MS 60000u

typedef enum event_type {
    EVENT_TELEMETRY,
    EVENT_CHAIN,
    EVENT_RECORD,
    EVENT_ALARM,
    EVENT_COMMAND,
    EVENT_TYPES
} event_type_t;

typedef struct event_filter { /* "": any */
    bool types[EVENT_TYPES];
    char device[65], kind[65], group[65], site[65], tenant[RDG_TENANT_MAX + 1];
    rdg_access_t *access; /* NULL, or where the caller's token ends the stream by ending itself */
    char caller[RDG_CALLER_MAX + 1];
} event_filter_t;

typedef struct events events_t;

rdg_err_t events_open(rdg_platform_t *p, rdg_metrics_t *metrics, events_t **out);
void events_stop(events_t *e); /* ends all streams; joins; NULL is fine */
void events_close(events_t *e);
void events_arrived(events_t *e, const monitor_arrival_t *a); /* NULL is fine */
void events_kick(events_t *e);                                /* the pump should look; NULL is fine */
const char *event_type_name(event_type_t t);
/* A stream for a client. last: the id that it has seen last, or NULL. FULL; INVALID: no id. The caller has a reference. */
rdg_err_t events_join(events_t *e, const event_filter_t *f, const char *last, rdg_http_stream_t **out);
extern const rdg_service_route_t live_event_routes[]; /* the context is the events_t */
extern const size_t live_event_route_count;

#endif
