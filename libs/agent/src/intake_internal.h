#ifndef RIDGE_AGENT_INTAKE_INTERNAL_H
#define RIDGE_AGENT_INTAKE_INTERNAL_H
#include <pthread.h>
#include "intake.h"
#include "intake_queue.h"
#include "ridge/base/map.h"
#include "ridge/client/rpc.h"
#include "tx_store.h"

#define METERS_MAX 4096
#define LATENCIES 1024
#define NO_ENTRY UINT16_MAX

typedef struct meter {
    uint8_t id[METER_BYTES];
    uint64_t last_time; /* of what was accepted; under intake->lock */
    /* The submitting thread's own: */
    bool registered, flying;
    uint16_t batch_limit;
    uint16_t first, last, count; /* of the batch being gathered: window places linked by `next` */
} meter_t;

typedef enum entry_state { ENTRY_NONE, ENTRY_WAITING, ENTRY_FLYING, ENTRY_DONE } entry_state_t;

typedef struct window_entry {
    meter_t *meter;
    uint64_t time;
    int64_t value;
    uint16_t next;
    uint8_t state;
} window_entry_t;

struct intake {
    intake_options_t options;
    char *dir;
    rdg_sm2_key_t *key;
    rdg_address_t account;
    intake_queue_t *queue;
    tx_store_t *store;

    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping, kicked, was_full;
    rdg_map_t *meters; /* owned values; entries are added under the lock and never removed */
    char chain[65];
    rdg_address_t contract;
    bool bound;
    uint64_t binding;                            /* counts changes */
    uint64_t submitted, confirmed, refused, low; /* copies for intake_stats */
    float latencies[LATENCIES];
    size_t latency_count;

    /* The submitting thread's own. */
    pthread_t thread;
    bool running;
    window_entry_t *window; /* of TX_STORE_WINDOW */
    uint64_t loaded;        /* numbers below it are in the window or done */
    rdg_rpc_t *rpc;
    char url[64];
    uint64_t chain_id, seen_binding;
    reading_t *scratch; /* of READINGS_MAX */
    rdg_metric_t *m_queued, *m_confirmed, *m_refused, *m_latency;
};

/* intake_submit.c: the thread. */
void *intake_run(void *intake);
/* The meter of this name, made when new; NULL: METERS_MAX or memory. Under the lock. */
meter_t *intake_meter(intake_t *i, const uint8_t id[METER_BYTES]);

#endif
