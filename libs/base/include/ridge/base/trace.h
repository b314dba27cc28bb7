/* W3C trace context (Recommendation 2021-11-23): trace id, span id, and the thread's current context. */
#ifndef RIDGE_BASE_TRACE_H
#define RIDGE_BASE_TRACE_H
#include <stdbool.h>
#include <stdint.h>
#include "ridge/base/error.h"
#include "ridge/base/random.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_TRACEPARENT_LEN 55 /* "00-<32 hex>-<16 hex>-<2 hex>" */

typedef struct rdg_trace {
    uint8_t trace_id[16]; /* not all zero when set */
    uint8_t span_id[8];
    uint8_t flags;
} rdg_trace_t;

void rdg_trace_new(rdg_trace_t *t, const rdg_random_t *random);
void rdg_trace_child(const rdg_trace_t *parent, rdg_trace_t *child, const rdg_random_t *random);
rdg_err_t rdg_trace_parse(const char *traceparent, rdg_trace_t *out); /* MALFORMED; NULL is MALFORMED */
void rdg_trace_format(const rdg_trace_t *t, char out[RDG_TRACEPARENT_LEN + 1]);
/* The thread's current context; NULL when none. set copies; set(NULL) clears. */
void rdg_trace_set_current(const rdg_trace_t *t);
const rdg_trace_t *rdg_trace_current(void);

#ifdef __cplusplus
}
#endif
#endif
