/* Collection: files that devices upload in resumable pieces, each stored once and listed for who fetches them; and
 * urgent records, which need no pieces (collect_records.c).
 *
 * A device creates an upload by kind, name, size and SM3, learns how much of it is durable here, appends from there, and
 * finishes it; docs/device-protocol.md has the requests. A finished file is known by (device, kind, name).
 *
 *   nothing ──create──► open ──append…──► whole ──finish──► stored
 *                        ▲ digest differs: begins anew  │
 *                        └──────────────────────────────┘
 *
 * Invariants
 * 1. What an answer says is durable is durable: bytes are synced before the offset in SQL moves, the offset before the
 *    answer. After a crash the part file is cut back to the offset.
 * 2. A file is stored only when the bytes on disk, read back, have its digest; equal files are stored once.
 * 3. An upload is used by the device that created it alone. Knowing a digest gives nobody a file: another device
 *    has to send the bytes. A device reads what a service of the cloud has let it read, and nothing else.
 * 4. Objects are put before the row that names them and removed after it, so a crash leaves at most an object without a
 *    row, which the next start removes.
 *
 * Limits: COLLECT_UPLOADS_DEVICE and COLLECT_UPLOADS_TOTAL open uploads (BUSY); the bytes of open uploads, counted at
 * their full size, and of stored files within max_bytes, of one device within device_bytes and COLLECT_FILES_DEVICE
 * names, however small or alike, and never the disk's last COLLECT_SPARE_BYTES (DISK_FULL); COLLECT_CHUNK_MAX bytes an append; untouched uploads expire; a digest that is wrong
 * COLLECT_CORRUPT_MAX times ends its upload. Records: COLLECT_RECORDS_MAX and COLLECT_RECORDS_BYTES in all, of one device
 * COLLECT_RECORDS_DEVICE and an eighth of the bytes, kept for COLLECT_RECORDS_KEEP_MS; when there is no room, those go
 * first that nobody waits for, and then DISK_FULL holds the device back. Thread-safe. */
#ifndef RIDGE_PLATFORM_COLLECT_H
#define RIDGE_PLATFORM_COLLECT_H
#include <pthread.h>
#include "collect_store.h"
#include "ridge/codec/json.h"
#include "ridge/net/http_server.h"
#include "ridge/service/service.h"
#include "ridge/sql/sql.h"

#define COLLECT_CHUNK_MAX (256u << 10)
#define COLLECT_PIECE_MAX (1u << 20) /* of a file that a device reads */
#define COLLECT_FILE_MAX (16ull << 30)
#define COLLECT_META_MAX 4096u
#define COLLECT_UPLOADS_DEVICE 8
#define COLLECT_UPLOADS_TOTAL 1024
#define COLLECT_ARCHIVE "archive" /* kind of a file that is kept as its device deletes */
#define COLLECT_FILES_DEVICE 100000
#define COLLECT_SPARE_BYTES (64ull << 20)
#define COLLECT_CORRUPT_MAX 3
#define COLLECT_ID_MAX 32 /* of an upload: hex digits */
#define COLLECT_STRIPES 16
#define COLLECT_RECORD_MAX (32u << 10) /* of data */
#define COLLECT_RECORDS_BATCH 100
#define COLLECT_RECORDS_MAX 1000000
#define COLLECT_RECORDS_DEVICE 100000
#define COLLECT_RECORDS_BYTES (2ll << 30) /* of data */
#define COLLECT_RECORDS_KEEP_MS (30ll * 86400000)

typedef struct collect_options {
    rdg_sql_t *db; /* borrowed; tables of store.c */
    const char *data_dir;
    const char *store_url, *store_credentials, *store_ca; /* as collect_store_s3; url NULL: files */
    uint64_t max_bytes, device_bytes, expiry_ms;          /* 0: 256 GiB, max_bytes, 7 days */
    int64_t records_bytes;                                /* 0: COLLECT_RECORDS_BYTES */
    rdg_metrics_t *metrics;                               /* may be NULL */
} collect_options_t;

typedef struct collect {
    rdg_sql_t *db;
    char *parts_dir;
    collect_store_t *store;
    uint64_t max_bytes, device_bytes, expiry_ms;
    rdg_http_server_t *http;                  /* behind the gateway */
    pthread_mutex_t stripes[COLLECT_STRIPES]; /* of uploads, by id */
    pthread_mutex_t admission; /* of create, finish and removal: budgets and rows move together */
    pthread_cond_t arrived;    /* a file was stored; or stopping */
    uint64_t generation;
    unsigned patient;
    bool stopping;
    uint64_t no_room_ms; /* when it was last said that there is none; 0: never */
    rdg_metric_t *m_bytes, *m_files, *m_refused, *m_records;
    rdg_sql_t *records;      /* of urgent records: a file of its own, so that they wait for nothing else */
    void (*news)(void *ctx); /* urgent records have come; under admission */
    void *news_ctx;
    int64_t records_bytes, records_needed; /* numbers from there on are waited for; atomic */
} collect_t;

typedef struct collect_offer {
    const char *device, *kind, *name;
    uint64_t size;
    rdg_hash_t digest;
    char *meta; /* JSON text of an object; owned; "{}" */
} collect_offer_t;

typedef struct collect_state {
    char upload[COLLECT_ID_MAX + 1]; /* "" when stored */
    uint64_t offset, size;
    int64_t file; /* number; 0: not stored yet */
} collect_state_t;

rdg_err_t collect_open(const collect_options_t *o, collect_t **out);
void collect_stop(collect_t *c);  /* wakes who waits; its HTTP server ends */
void collect_close(collect_t *c); /* NULL is fine */
/* Every hour: expired uploads go. */
void collect_tick(collect_t *c);
/* A device is removed: its open uploads go, its files stay. */
void collect_forget(collect_t *c, const char *device);
/* A connection of this device, which the gateway knows. Takes fd. */
rdg_err_t collect_adopt(collect_t *c, int fd, const char *device);

/* collect_upload.c. retry_after_s is set with BUSY and DISK_FULL. upload may be that of out. */
rdg_err_t collect_create(collect_t *c, const collect_offer_t *offer, collect_state_t *out,
                         unsigned *retry_after_s);
rdg_err_t collect_status(collect_t *c, const char *device, const char *upload, collect_state_t *out);
/* CONFLICT: the offset is another one, which out tells. */
rdg_err_t collect_append(collect_t *c, const char *device, const char *upload, uint64_t offset,
                         rdg_bytes_t bytes, collect_state_t *out);
/* CORRUPT: the digest differs, and the upload begins anew. */
rdg_err_t collect_finish(collect_t *c, const char *device, const char *upload, collect_state_t *out);
rdg_err_t collect_drop(collect_t *c, const char *device, const char *upload);

/* collect_http.c: the handler of what devices ask */
void collect_handle(void *collect, const rdg_http_request_t *req, rdg_http_response_t *res);
void collect_answer(rdg_http_response_t *res, unsigned status, json_t *body); /* takes body */
void collect_refuse(rdg_http_response_t *res, rdg_err_t err, json_t *more, unsigned retry_after_s);

/* collect_give.c: files that a device may read; who may is a row of file_readers. */
bool collect_gives(const char *path);
void collect_give(collect_t *c, const char *device, const rdg_http_request_t *req, rdg_http_response_t *res);
extern const char collect_readers_migration[];
extern const rdg_service_route_t collect_reader_routes[];
extern const size_t collect_reader_route_count;

/* collect_records.c: urgent records, each once a device and id, in records.db; numbers grow in the order of arrival */
rdg_err_t collect_records_open(collect_t *c, const collect_options_t *o);
/* Calls row (number, device, id, kind, time_ms, received_ms, data) for those after `after`, oldest first, at most limit. */
typedef struct record_filter { /* NULL: any */
    const char *tenant, *device, *kind;
} record_filter_t;
rdg_err_t collect_records_each(collect_t *c, const record_filter_t *f, int64_t after, uint64_t limit,
                               rdg_err_t (*row)(void *ctx, const rdg_sql_row_t *r), void *ctx);
json_t *collect_record_json(const rdg_sql_row_t *r); /* owned; NULL: no memory */
void collect_take_records(collect_t *c, const char *device, const rdg_http_request_t *req,
                          rdg_http_response_t *res);
void collect_records_tick(collect_t *c);
extern const rdg_service_route_t record_routes[];
extern const size_t record_route_count;
/* news is called after records were stored, on the thread that has taken them. */
void collect_listen(collect_t *c, void (*news)(void *ctx), void *ctx);
/* A number that grows with each arrival, and a wait until it has; false: time is up. */
uint64_t collect_generation(collect_t *c);
bool collect_await(collect_t *c, const rdg_service_call_t *call, uint64_t seen, uint64_t deadline_mono_ms);

/* collect_files.c: stored files; the context is the collect_t */
rdg_err_t collect_check(void *collect, const char *tenant, const char *number); /* as rdg_service_owner_t */
extern const rdg_service_route_t collect_routes[];
extern const size_t collect_route_count;

rdg_err_t collect_int_row(void *ctx, const rdg_sql_row_t *r);
/* Tests end the process at a step of it, as a power cut does. */
extern void (*collect_step)(const char *step);
#define COLLECT_STEP(name) (collect_step ? collect_step(name) : (void)0)

#endif
