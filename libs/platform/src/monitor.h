/* Monitoring: telemetry of devices into SQL, and out of it for people and tools.
 *
 *   MQTT ──take──► queue in memory ──► one transaction a batch ──► acknowledgement to the device
 *                                        │ (monitor.db)              what the platform shows, alarms, streams
 *                                        └─ once a minute: rolled up to 5 minutes and to hours
 *
 * Invariants
 * 1. A device is told that a record is stored only after the transaction that holds it is on disk.
 * 2. A record is stored once: device, time_ms and seq name it, while it is kept raw. Rolling up moves a cursor over the
 *    numbers of arrival in the same transaction, so each record counts once, however late it came.
 * 3. A message that is none is refused, counted and logged, and holds nobody up: what it names is acknowledged, so that
 *    the device does not send it for ever.
 * 4. Back-pressure: a queue that is half full tells devices to hold their backlog; a full one takes nothing, and the
 *    device, without an answer, sends again.
 * 5. Telemetry has a database of its own: commands never wait for it.
 *
 * Limits: MONITOR_QUEUE_MESSAGES and MONITOR_QUEUE_BYTES waiting; raw records for raw_ms and MONITOR_RAW_ROWS, 5 minutes
 * for MONITOR_FINE_MS, hours for MONITOR_COARSE_MS; a range of MONITOR_POINTS_MAX points, MONITOR_SERIES_MAX series and
 * MONITOR_SCAN_ROWS rows. Thread-safe. */
#ifndef RIDGE_PLATFORM_MONITOR_H
#define RIDGE_PLATFORM_MONITOR_H
#include <pthread.h>
#include "ridge/base/clock.h"
#include "ridge/codec/telemetry.h"
#include "ridge/service/service.h"
#include "ridge/sql/sql.h"

#define MONITOR_QUEUE_MESSAGES 8192
#define MONITOR_QUEUE_BYTES (32u << 20)
#define MONITOR_BATCH 512
#define MONITOR_HOLD_MS 2000
#define MONITOR_RAW_MS (48ull * 3600000)
#define MONITOR_RAW_ROWS 50000000ull
#define MONITOR_FINE_MS (14ull * 86400000)
#define MONITOR_COARSE_MS (730ull * 86400000)
#define MONITOR_FINE_STEP_MS 300000ull
#define MONITOR_COARSE_STEP_MS 3600000ull
#define MONITOR_POINTS_MAX 1000
#define MONITOR_SERIES_MAX 64
#define MONITOR_SCAN_ROWS 50000

typedef struct monitor monitor_t;

/* What a record's arrival is told to, after it is durable; on the monitor's thread. */
typedef struct monitor_arrival {
    const char *device;
    rdg_bytes_t record; /* borrowed */
    const rdg_telemetry_t *telemetry;
    bool live; /* of now, and not of a backlog */
    int64_t number;
    uint64_t received_ms, sent_ms;
} monitor_arrival_t;

typedef struct monitor_options {
    const char *data_dir;
    const rdg_clock_t *clock;
    rdg_metrics_t *metrics; /* may be NULL */
    uint64_t raw_ms;        /* 0: MONITOR_RAW_MS */
    void (*answer)(void *ctx, const char *device, rdg_bytes_t ack);
    void (*arrived)(void *ctx, const monitor_arrival_t *a);
    void (*refused)(void *ctx, const char *device, rdg_err_t why); /* with the thread's text */
    void (*tick)(
        void *ctx); /* about once a second, on the same thread, also before monitor_open has returned */
    void *ctx;
} monitor_options_t;

/* CORRUPT, IO, DISK_FULL: monitor.db. The thread runs. */
rdg_err_t monitor_open(const monitor_options_t *o, monitor_t **out);
void monitor_stop(monitor_t *m);  /* stores what waits; joins; nothing is taken any more; NULL is fine */
void monitor_close(monitor_t *m); /* NULL is fine */
/* Copies. BUSY: the queue is full; TOO_LARGE. */
rdg_err_t monitor_take(monitor_t *m, const char *device, rdg_bytes_t message);
rdg_err_t monitor_forget(monitor_t *m, const char *device); /* everything of a removed device goes */
/* Rolls up and prunes now: the thread does it once a minute. */
rdg_err_t monitor_upkeep(monitor_t *m);
rdg_sql_t *monitor_db(monitor_t *m);
uint64_t monitor_now(const monitor_t *m);

/* --- monitor_store.c --------------------------------------------------------------------------------------- */
rdg_err_t monitor_store_open(const char *data_dir, rdg_sql_t **out);
typedef struct monitor_row {
    const char *device;
    rdg_telemetry_name_t name;
    uint64_t received_ms;
    rdg_bytes_t record;
} monitor_row_t;
/* Within a transaction of the caller. *number: 0 when it was here already. */
rdg_err_t monitor_store_add(rdg_sql_t *db, const monitor_row_t *row, int64_t *number);
rdg_err_t monitor_store_roll_up(rdg_sql_t *db, uint64_t *rows); /* one batch; *rows 0: nothing left */
rdg_err_t monitor_store_prune(rdg_sql_t *db, uint64_t now_ms, uint64_t raw_ms);
/* The newest record of a device. NOT_FOUND. out is appended to. */
rdg_err_t monitor_store_latest(rdg_sql_t *db, const char *device, rdg_buf_t *out, uint64_t *received_ms);

/* --- monitor_series.c: numbers over time -------------------------------------------------------------------- */
typedef struct series_point {
    uint64_t count, min, max, sum, last;
} series_point_t;
typedef struct series_key {
    uint16_t metric;  /* index of the table of metrics */
    char subject[65]; /* of a chain, a queue; "" of the host */
} series_key_t;
typedef struct series_set { /* the numbers of one span of time */
    size_t count;
    struct {
        series_key_t key;
        series_point_t point;
    } of[RDG_TELEMETRY_CHAINS_MAX * 8 + RDG_TELEMETRY_QUEUES_MAX + RDG_HOST_COUNT];
} series_set_t;

const char *series_metric_name(uint16_t metric); /* "cpu_permille"; NULL past the last */
bool series_metric_find(const char *name, size_t len, uint16_t *out);
void series_add(series_set_t *s, const rdg_telemetry_t *t);    /* a record's numbers */
void series_merge(series_set_t *s, const series_set_t *other); /* what does not fit is left out */
void series_point_merge(series_point_t *into, const series_point_t *p);
rdg_err_t series_encode(const series_set_t *s, rdg_buf_t *out);
rdg_err_t series_decode(rdg_bytes_t bytes, series_set_t *out);

/* --- monitor_rest.c: the context is the platform ------------------------------------------------------------ */
extern const rdg_service_route_t monitor_routes[];
extern const size_t monitor_route_count;

#endif
