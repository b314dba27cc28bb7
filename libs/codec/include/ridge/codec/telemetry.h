/* What a device tells of itself each interval, in one compact message (docs/device-protocol.md, "Telemetry").
 *
 * The form is RLP (rlp.h), so there is one encoding of each message:
 *
 *   message = [version, sent_ms, live, record…]                  the first record is of now when live is 1
 *   record  = [seq, time_ms, interval_ms, agent_version, [host…], [chain…], [certificate…], [queue…]]
 *   chain   = [name, state, driver, rpc_port, hash, damaged, [number…]]
 *   certificate = [chain, not_after_ms, alarm]
 *   queue   = [name, [number…]]
 *   ack     = [version, hold_ms, [seq, time_ms]…]
 *
 * A number that is absent is 0, one that is there is itself + 1. Lists of numbers end at the last one that is there.
 * What stands behind the items known here is ignored, so either side may be upgraded first; a version that is
 * higher is refused (UNSUPPORTED).
 *
 * Invariants
 * 1. Decoding takes bytes from anybody: each text is bounded and printable ASCII, names obey rdg_name_valid, each list
 *    has a maximum, each number at most INT64_MAX - 1. MALFORMED or TOO_LARGE else, and the result is not to be used.
 *    Encoding puts '?' in place of what is not printable.
 * 2. seq and time_ms together name a record of a device: a record that is sent again has the same bytes.
 *
 * Limits: RDG_TELEMETRY_MESSAGE_MAX bytes, RDG_TELEMETRY_RECORDS_MAX records a message. Structures are the caller's and
 * own nothing. */
#ifndef RIDGE_CODEC_TELEMETRY_H
#define RIDGE_CODEC_TELEMETRY_H
#include "ridge/codec/json.h"
#include "ridge/codec/rlp.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_TELEMETRY_VERSION 1u
#define RDG_TELEMETRY_MESSAGE_MAX (64u << 10)
#define RDG_TELEMETRY_RECORD_MAX (40u << 10)
#define RDG_TELEMETRY_RECORDS_MAX 64
#define RDG_TELEMETRY_CHAINS_MAX 64
#define RDG_TELEMETRY_CERTIFICATES_MAX 65
#define RDG_TELEMETRY_QUEUES_MAX 8
#define RDG_TELEMETRY_DAMAGED_MAX 200

#define RDG_TELEMETRY_ABSENT UINT64_MAX
#define RDG_TELEMETRY_ZERO_C_DK 2732 /* 0 °C in tenths of a kelvin, rounded: both ends count so */

/* Append only: the position is the wire form. */
typedef enum rdg_telemetry_host {
    RDG_HOST_UPTIME_S,
    RDG_HOST_AGENT_UPTIME_S,
    RDG_HOST_AGENT_RSS_KIB,
    RDG_HOST_CPU_PERMILLE, /* of all processors, over the last interval */
    RDG_HOST_CPUS,
    RDG_HOST_LOAD_CENTI, /* load average of a minute × 100 */
    RDG_HOST_MEMORY_TOTAL_KIB,
    RDG_HOST_MEMORY_USED_KIB, /* total less what is available */
    RDG_HOST_DISK_TOTAL_KIB,  /* of the file system with the agent's directory */
    RDG_HOST_DISK_USED_KIB,
    RDG_HOST_NET_RECEIVED_BYTES, /* since the device started, without loopback */
    RDG_HOST_NET_SENT_BYTES,
    RDG_HOST_TEMPERATURE_DK, /* the hottest sensor, in tenths of a kelvin */
    RDG_HOST_CONTAINERS,     /* workloads that run */
    RDG_HOST_COUNT
} rdg_telemetry_host_t;

typedef enum rdg_telemetry_chain_number {
    RDG_CHAIN_HEIGHT,
    RDG_CHAIN_VIEW,
    RDG_CHAIN_PEERS, /* connected */
    RDG_CHAIN_POOL,
    RDG_CHAIN_RSS_KIB,
    RDG_CHAIN_ARCHIVE_MARK_MS,
    RDG_CHAIN_RESTARTS,
    RDG_CHAIN_LEDGER_BYTES, /* that its ledger takes on the disk */
    RDG_CHAIN_COUNT
} rdg_telemetry_chain_number_t;

typedef enum rdg_telemetry_queue_number {
    RDG_QUEUE_ITEMS,
    RDG_QUEUE_BYTES,
    RDG_QUEUE_BUDGET_BYTES,
    RDG_QUEUE_DONE, /* that have left it as they should */
    RDG_QUEUE_FAILED,
    RDG_QUEUE_P50_US,
    RDG_QUEUE_P99_US,
    RDG_QUEUE_COUNT
} rdg_telemetry_queue_number_t;

/* Append only. */
typedef enum rdg_telemetry_state {
    RDG_CHAIN_PREPARED,
    RDG_CHAIN_STARTING,
    RDG_CHAIN_RUNNING,
    RDG_CHAIN_STOPPING,
    RDG_CHAIN_STOPPED,
    RDG_CHAIN_FAILED,
    RDG_CHAIN_REMOVING,
    RDG_CHAIN_STATES
} rdg_telemetry_state_t;

typedef struct rdg_telemetry_chain {
    char name[65], driver[17], damaged[RDG_TELEMETRY_DAMAGED_MAX + 1]; /* damaged: why; "" when it is not */
    uint8_t state; /* RDG_CHAIN_STATES and more: unknown */
    uint16_t rpc_port;
    bool has_hash;
    uint8_t hash[32];
    uint64_t numbers[RDG_CHAIN_COUNT];
} rdg_telemetry_chain_t;

typedef struct rdg_telemetry_certificate {
    char chain[65]; /* "" for the device itself */
    uint64_t not_after_ms;
    bool alarm;
} rdg_telemetry_certificate_t;

typedef struct rdg_telemetry_queue {
    char name[17];
    uint64_t numbers[RDG_QUEUE_COUNT];
} rdg_telemetry_queue_t;

typedef struct rdg_telemetry {
    uint64_t seq, time_ms, interval_ms;
    char agent_version[33];
    uint64_t host[RDG_HOST_COUNT];
    size_t chain_count, certificate_count, queue_count;
    rdg_telemetry_chain_t chains[RDG_TELEMETRY_CHAINS_MAX];
    rdg_telemetry_certificate_t certificates[RDG_TELEMETRY_CERTIFICATES_MAX];
    rdg_telemetry_queue_t queues[RDG_TELEMETRY_QUEUES_MAX];
} rdg_telemetry_t;

/* Everything absent. */
void rdg_telemetry_init(rdg_telemetry_t *t);
/* Appends a record. TOO_LARGE beyond RDG_TELEMETRY_RECORD_MAX: out is then what it was. */
rdg_err_t rdg_telemetry_encode(const rdg_telemetry_t *t, rdg_buf_t *out);
rdg_err_t rdg_telemetry_decode(rdg_bytes_t record, rdg_telemetry_t *out);

typedef struct rdg_telemetry_message {
    uint64_t sent_ms;
    bool live;
    size_t count;
    rdg_bytes_t records[RDG_TELEMETRY_RECORDS_MAX]; /* views; each a list, not looked into */
} rdg_telemetry_message_t;
rdg_err_t rdg_telemetry_message_encode(const rdg_telemetry_message_t *m, rdg_buf_t *out);
rdg_err_t rdg_telemetry_message_decode(rdg_bytes_t bytes, rdg_telemetry_message_t *out);
/* No JSON begins so: how the cloud tells the two forms apart. */
bool rdg_telemetry_is_message(rdg_bytes_t bytes);

typedef struct rdg_telemetry_name {
    uint64_t seq, time_ms;
} rdg_telemetry_name_t;
/* The name of an encoded record, without looking at the rest of it. */
rdg_err_t rdg_telemetry_name_of(rdg_bytes_t record, rdg_telemetry_name_t *out);
typedef struct rdg_telemetry_ack {
    uint64_t hold_ms; /* send nothing but what is of now for so long */
    size_t count;
    rdg_telemetry_name_t names[RDG_TELEMETRY_RECORDS_MAX];
} rdg_telemetry_ack_t;
rdg_err_t rdg_telemetry_ack_encode(const rdg_telemetry_ack_t *a, rdg_buf_t *out);
rdg_err_t rdg_telemetry_ack_decode(rdg_bytes_t bytes, rdg_telemetry_ack_t *out);

/* --- for people and tools (telemetry_json.c) --------------------------------------------------------------- */
const char *rdg_telemetry_state_name(unsigned state); /* "unknown" for what is none */
/* {"seq","time_ms","interval_ms","agent":{…},"host":{…},"chains":[…],"certificates":[…],"queues":{name:{…}}}; absent
 * numbers are left out. Returns owned; NULL: no memory. */
json_t *rdg_telemetry_json(const rdg_telemetry_t *t);
double rdg_telemetry_celsius(uint64_t dk);

#ifdef __cplusplus
}
#endif
#endif
