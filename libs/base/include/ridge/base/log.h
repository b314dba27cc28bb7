/* The log: one JSON object a line, an event name and typed fields. No sentences.
 *
 *   rdg_log(RDG_LOG_INFO, "pbft.view_change", RDG_U64("view", 7), RDG_STR("why", "timeout"));
 *   {"ts":"2026-11-21T08:00:00.123Z","level":"info","event":"pbft.view_change","trace":"…","view":7,"why":"timeout"}
 *
 * Lines go to one file descriptor (default: standard error), each with one write(2), so lines of several
 * threads and processes do not mix. A line is at most RDG_LOG_LINE_MAX bytes: string and hex values past
 * RDG_LOG_FIELD_MAX are cut
 * with "…". Strings are JSON-escaped; invalid UTF-8 is replaced. Secrets have no field constructor.
 * Process-wide fields (program, device, chain) are set once at start with rdg_log_common.
 * The thread's current trace id (trace.h) is added when one is set. Thread-safe. */
#ifndef RIDGE_BASE_LOG_H
#define RIDGE_BASE_LOG_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "ridge/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_LOG_LINE_MAX 4096
#define RDG_LOG_FIELD_MAX 1024 /* of one string or hex value, as written */

typedef enum rdg_log_level { RDG_LOG_DEBUG, RDG_LOG_INFO, RDG_LOG_WARN, RDG_LOG_ERROR } rdg_log_level_t;
typedef enum rdg_field_kind {
    RDG_FIELD_STR,
    RDG_FIELD_U64,
    RDG_FIELD_I64,
    RDG_FIELD_F64,
    RDG_FIELD_BOOL,
    RDG_FIELD_HEX
} rdg_field_kind_t;

typedef struct rdg_field {
    const char *name;
    rdg_field_kind_t kind;
    union {
        const char *str;
        uint64_t u64;
        int64_t i64;
        double f64;
        bool flag;
        struct {
            const uint8_t *data;
            size_t len;
        } hex;
    } v;
} rdg_field_t;

static inline rdg_field_t rdg_field_str(const char *n, const char *v) {
    rdg_field_t f;
    f.name = n;
    f.kind = RDG_FIELD_STR;
    f.v.str = v;
    return f;
}
static inline rdg_field_t rdg_field_u64(const char *n, uint64_t v) {
    rdg_field_t f;
    f.name = n;
    f.kind = RDG_FIELD_U64;
    f.v.u64 = v;
    return f;
}
static inline rdg_field_t rdg_field_i64(const char *n, int64_t v) {
    rdg_field_t f;
    f.name = n;
    f.kind = RDG_FIELD_I64;
    f.v.i64 = v;
    return f;
}
static inline rdg_field_t rdg_field_f64(const char *n, double v) {
    rdg_field_t f;
    f.name = n;
    f.kind = RDG_FIELD_F64;
    f.v.f64 = v;
    return f;
}
static inline rdg_field_t rdg_field_bool(const char *n, bool v) {
    rdg_field_t f;
    f.name = n;
    f.kind = RDG_FIELD_BOOL;
    f.v.flag = v;
    return f;
}
static inline rdg_field_t rdg_field_hex(const char *n, const void *data, size_t len) {
    rdg_field_t f;
    f.name = n;
    f.kind = RDG_FIELD_HEX;
    f.v.hex.data = (const uint8_t *)data;
    f.v.hex.len = len;
    return f;
}
#define RDG_STR(name, value) rdg_field_str(name, value)
#define RDG_U64(name, value) rdg_field_u64(name, value)
#define RDG_I64(name, value) rdg_field_i64(name, value)
#define RDG_F64(name, value) rdg_field_f64(name, value)
#define RDG_BOOL(name, value) rdg_field_bool(name, value)
#define RDG_HEX(name, data, len) rdg_field_hex(name, data, len)

/* rdg_log(level, "area.event", fields...): at least one field; use rdg_log0 for none. */
#define rdg_log(level, event, ...)                                                                           \
    do {                                                                                                     \
        if (rdg_log_enabled(level)) {                                                                        \
            const rdg_field_t rdg_fields_[] = {__VA_ARGS__};                                                 \
            rdg_log_write(level, event, rdg_fields_, sizeof rdg_fields_ / sizeof rdg_fields_[0]);            \
        }                                                                                                    \
    } while (0)
#define rdg_log0(level, event) rdg_log_write(level, event, NULL, 0)
/* Logs a failure: fields "code" and "error" (the thread's error text), at level error. */
void rdg_log_err(const char *event, rdg_err_t code);

bool rdg_log_enabled(rdg_log_level_t level);
void rdg_log_write(rdg_log_level_t level, const char *event, const rdg_field_t *fields, size_t count);
void rdg_log_set_level(rdg_log_level_t level); /* default info */
void rdg_log_set_fd(int fd);                   /* borrows; default 2 */
rdg_err_t rdg_log_level_parse(const char *name, rdg_log_level_t *out);
/* Adds a string field to every later line; at most 8. Call before threads start. Copies. */
void rdg_log_common(const char *name, const char *value);

#ifdef __cplusplus
}
#endif
#endif
