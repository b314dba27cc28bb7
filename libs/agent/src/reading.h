/* Readings as local programs send them (docs/device-protocol.md): hostile bytes to numbers. */
#ifndef RIDGE_AGENT_READING_H
#define RIDGE_AGENT_READING_H
#include "ridge/codec/json.h"

#define READINGS_MAX 1000
#define METER_BYTES 32

typedef struct reading {
    uint8_t meter[METER_BYTES]; /* the name, left-aligned, zero-padded; its last byte is zero */
    uint64_t time;
    int64_t value; /* micro-units */
} reading_t;

typedef struct reading_fault {
    size_t index;
    rdg_err_t code;
    char message[200];
} reading_fault_t;

/* text: one reading or an array of at most READINGS_MAX. device prefixes the names of meters without a '/'.
 * What is wrong with single readings goes to faults (room for READINGS_MAX), index_of[k] is the place of
 * readings[k] in the input. MALFORMED, TOO_LARGE: nothing can be said of single readings. */
rdg_err_t readings_parse(rdg_bytes_t text, const char *device, reading_t *readings, size_t *index_of,
                         size_t *count, reading_fault_t *faults, size_t *fault_count);
/* A decimal with at most 6 places, "-12.5", "1e3", to micro-units. INVALID. */
rdg_err_t reading_value_parse(const char *text, int64_t *out);

#endif
