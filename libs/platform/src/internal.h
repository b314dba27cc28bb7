/* What the parts of the platform share. One lock guards what is in memory (devices, waiting requests,
 * messages in flight); the database guards itself. Order: the database first; never call into it with the
 * lock held. */
#ifndef RIDGE_PLATFORM_INTERNAL_H
#define RIDGE_PLATFORM_INTERNAL_H
#include <pthread.h>
#include "ca.h"
#include "ridge/base/list.h"
#include "ridge/base/map.h"
#include "ridge/net/broker.h"
#include "ridge/net/mqtt.h"
#include "ridge/net/tlcp_identity.h"
#include "ridge/platform/platform.h"
#include "ridge/sql/sql.h"

#define PLATFORM_DEVICES_MAX 100000
#define PLATFORM_COMMANDS_PER_DEVICE 1000
#define PLATFORM_REQUESTS_MAX 1024
#define PLATFORM_JSON_MAX (512u << 10)
#define PLATFORM_TELEMETRY_MAX (64u << 10)
#define PLATFORM_CERTIFICATE_REQUEST_MAX (16u << 10)
#define PLATFORM_IN_FLIGHT 256
#define PLATFORM_WAIT_MAX_MS 25000
/* Who waits occupies a thread of the service: beyond so many at once, each waits for a moment only. */
#define PLATFORM_PATIENT 12
#define PLATFORM_IMPATIENT_MS 250
#define PLATFORM_ID_MAX 64
#define PLATFORM_TOPIC_MAX 160

/* peer.c: whose connection it is, to the services behind the gateway: the name of its other end, which nothing that the
 * device sends can change, and which is no address of anybody else. unique: two ends of one name
 * cannot be everywhere. */
#define PEER_NAME_MAX 96
void peer_name(const char *device, const char *unique, char out[PEER_NAME_MAX]);
bool peer_device(const rdg_http_request_t *req, char device[65]); /* false: it is no device's */
/* The same of somebody who may have no certificate: from where they come, as rdg_stream_peer has it. */
#define PEER_ADDRESS_MAX 64
void peer_name_from(const char *from, const char *unique, char out[PEER_NAME_MAX]);
bool peer_address(const rdg_http_request_t *req, char out[PEER_ADDRESS_MAX]); /* without the port */

/* turns.c */
typedef enum device_turn { TURN_NONE, TURN_READY, TURN_STALLED } device_turn_t;

typedef struct device {
    char name[65], tenant[RDG_TENANT_MAX + 1]; /* tenant "": not known yet, so nobody's but the cloud's */
    bool online;
    bool barred; /* revoked: what was on its way when the broker cut it off does not bring it back */
    uint64_t last_seen_ms, saved_ms;
    json_t *identity; /* public_key, arch, agent_version, drivers, enrolled_ms */
    json_t *about;    /* group, site, location, labels: groups.c */
    rdg_list_t turns;
    device_turn_t turn;
    json_t *telemetry; /* the last; NULL before the first, and until somebody asks for what record says */
    rdg_buf_t record;  /* the last, as the device sent it; empty when it sent JSON, or nothing yet */
    uint64_t record_ms, interval_ms; /* when it came, by our clock; how often they come */
} device_t;

struct rdg_platform {
    rdg_sql_t *db;
    char *data_dir;
    ca_t *ca;
    rdg_tlcp_identity_t *identity; /* the cloud's, under the lock */
    pthread_mutex_t upkeep;        /* one renewal of it at a time */
    pthread_mutex_t enrolling;     /* one decision about who is a device at a time */
    char *dns_text;
    const char *dns_names[RDG_CERT_DNS_COUNT]; /* in dns_text */
    size_t dns_count;
    void (*revoked)(void *ctx, const char *device);
    void *revoked_ctx;
    rdg_sm2_key_t *image_key; /* signs what --image brings in */
    uint64_t trust_published; /* number of the list of image signers that the broker has; the dispatcher's */
    uint64_t list_published;  /* number of the revocation list that the broker has; the dispatcher's */
    int64_t looked_s;         /* when certificates and list were last looked after; the dispatcher's */
    struct collect *collect;
    struct monitor *monitor;
    struct alarms *alarms;
    struct subscriptions *subscriptions;
    struct events *events;
    unsigned ticks;       /* the monitor's thread's own */
    rdg_broker_t *broker; /* NULL with a foreign one */
    char *broker_url;
    rdg_mqtt_t *mqtt;
    pthread_mutex_t lock;
    pthread_cond_t changed;  /* a command changed: generation moved; or stopping */
    pthread_cond_t kick;     /* the dispatcher has something to look at */
    pthread_cond_t answered; /* a request was answered; or stopping */
    uint64_t generation;
    unsigned patient; /* handlers that wait for a change */
    bool stopping, kicked, connected, lost;
    bool rollouts_changed; /* an operator has changed one: look now */
    pthread_t dispatcher;
    bool dispatching;
    rdg_map_t *devices;        /* name -> device_t, owned */
    rdg_list_t ready, stalled; /* turns.c */
    uint64_t command_keep_ms, command_keep;
    rdg_list_t requests;
    size_t request_count;
    struct {
        int message_id; /* 0: free */
        bool acknowledged;
        bool lost; /* it may be: requeued meanwhile, so it goes again once its place is free */
        char command[PLATFORM_ID_MAX + 1], device[65];
    } in_flight[PLATFORM_IN_FLIGHT];
    rdg_metric_t *m_online, *m_devices, *m_commands, *m_malformed, *m_requests, *m_issuing_ends, *m_guessed,
        *m_barred;
};

static inline uint64_t platform_now(void) {
    return rdg_wall_ms(rdg_clock_system());
}
/* Waits on cond until it is signalled or the monotonic clock reaches deadline_ms. false: deadline. */
bool platform_wait(rdg_platform_t *p, pthread_cond_t *cond, uint64_t deadline_mono_ms);
void platform_changed(rdg_platform_t *p); /* a command's row has changed */
uint64_t platform_generation(rdg_platform_t *p);
/* Waits until a command changes after `generation`, until the deadline, or the end of the caller's token. false: nothing
 * will come any more. */
bool platform_wait_change(rdg_platform_t *p, const rdg_service_call_t *call, uint64_t *generation,
                          uint64_t deadline_mono_ms);
/* Until when to wait before it is asked again whether the caller may: the deadline at the latest. */
uint64_t platform_look(uint64_t deadline_mono_ms);
void platform_kick(rdg_platform_t *p); /* the dispatcher should look */

/* store.c */
rdg_err_t platform_store_open(rdg_platform_t *p, const char *data_dir);
extern const char *const platform_migrations[]; /* what was released stays: tests make old databases of it */
extern const size_t platform_migration_count;

/* devices.c */
rdg_err_t devices_load(rdg_platform_t *p);
void devices_free(rdg_platform_t *p);
device_t *devices_find(const rdg_platform_t *p, const char *name); /* NULL; call with the lock held */
rdg_err_t devices_put(rdg_platform_t *p, const char *name, json_t *identity); /* takes identity */
void devices_tenant(rdg_platform_t *p, const char *name,
                    char out[RDG_TENANT_MAX + 1]); /* "": there is none */
void devices_set_tenant(rdg_platform_t *p, const char *name, const char *tenant);
bool devices_known(rdg_platform_t *p, const char *name);
bool devices_of(rdg_platform_t *p, const char *tenant, const char *name); /* NULL: of any */
/* Whether it is there, and this tenant's (NULL: any): else the same NOT_FOUND. platform: an rdg_platform_t *, as
 * rdg_service_owner_t wants it. */
rdg_err_t devices_check(void *platform, const char *tenant, const char *name);
rdg_err_t devices_in_use(void *platform,
                         const char *tenant); /* CONFLICT: the tenant has devices, or tokens for some */
bool devices_online(rdg_platform_t *p, const char *name);
rdg_err_t devices_key(rdg_platform_t *p, const char *name, rdg_sm2_public_t *out);
json_t *devices_describe(rdg_platform_t *p, const char *name); /* owned; NULL: there is none */
void devices_seen(rdg_platform_t *p, const char *name);
void devices_bar(rdg_platform_t *p, const char *name); /* until it enrols again */
void devices_status(rdg_platform_t *p, const char *name, bool online);
void devices_telemetry(rdg_platform_t *p, const char *name, json_t *telemetry); /* takes */
void devices_record(rdg_platform_t *p, const char *name, rdg_bytes_t record, uint64_t interval_ms);
/* What the devices of a tenant (NULL: all) were like last: [{"device","state","last_seen_ms","telemetry"?}] after the
 * name `after`, at most limit. Owned; NULL: no memory. */
json_t *devices_latest(rdg_platform_t *p, const char *tenant, const char *after, size_t limit);
rdg_err_t devices_absent(const char *name); /* the error that names an unknown device */
extern const rdg_service_route_t devices_routes[];
extern const size_t devices_route_count;

/* enrol.c; what decides about it: enrolment.h */
extern const rdg_service_route_t enrol_routes[];
extern const size_t enrol_route_count;

/* identity.c: the cloud's own certificates; a device that is not to be connected any more */
rdg_err_t identity_names(rdg_platform_t *p, const char *list);
rdg_err_t identity_refresh(rdg_platform_t *p);
void identity_revoked(rdg_platform_t *p, const char *device);
void identity_ask_again(rdg_platform_t *p,
                        const char *device); /* whether its links still rest on good certificates */

/* ca_rest.c */
extern const rdg_service_route_t ca_routes[];
extern const size_t ca_route_count;

/* ca_link.c: the MQTT side of the CA */
rdg_err_t ca_link_request(rdg_platform_t *p, const char *device, const json_t *request);
void ca_link_result(rdg_platform_t *p, const char *device, const json_t *result); /* a node may be gone */
void ca_link_tick(rdg_platform_t *p, bool connected, bool again); /* again: the broker may have forgotten */

/* turns.c: whose queue the dispatcher looks at next; commands themselves: command.h. A device is in at most one of two
 * lists: `ready` (online, and something may go to it) and `stalled` (its window is full). */
void turns_put(rdg_platform_t *p, device_t *d); /* to ready, when online; call with the lock held */
void turns_drop(device_t *d);                   /* likewise */
void turns_ready(rdg_platform_t *p, const char *device);
void turns_all_ready(rdg_platform_t *p);
bool turns_next(rdg_platform_t *p, char name[65]); /* takes the first of ready out */
void turns_stall(rdg_platform_t *p, const char *device);
void turns_ended_one(rdg_platform_t *p, const char *device); /* its window has room again */
void turns_retry(rdg_platform_t *p);                         /* all stalled to ready */

/* command_rest.c */
extern const rdg_service_route_t command_routes[];
extern const size_t command_route_count;

/* dispatch.c */
rdg_err_t dispatch_start(rdg_platform_t *p);
void dispatch_join(rdg_platform_t *p);
void dispatch_published(rdg_platform_t *p, int message_id);
/* What is on its way to this device may not come to it: its acknowledgement says nothing any more. */
void dispatch_lost(rdg_platform_t *p, const char *device);
void dispatch_connection(rdg_platform_t *p, bool up);

/* request.c */
void request_response(rdg_platform_t *p, const char *device, json_t *response); /* takes */
extern const rdg_service_route_t request_routes[];
extern const size_t request_route_count;

/* How long each device has been silent, for alarms: calls fn without a lock held. since_ms: count from there on. */
void devices_each_silence(rdg_platform_t *p, uint64_t since_ms,
                          void (*fn)(void *ctx, const char *device, const char *tenant, uint64_t silent_ms,
                                     bool heard),
                          void *ctx);

/* exposition.c */
extern const rdg_service_route_t exposition_routes[];
extern const size_t exposition_route_count;

/* monitoring.c: what joins monitoring to the platform */
rdg_err_t monitoring_open(rdg_platform_t *p, const rdg_platform_options_t *o);

/* link.c: the MQTT side */
rdg_err_t link_start(rdg_platform_t *p, const rdg_platform_options_t *options);

#endif
