/* Time as a vtable, so that the simulator and tests own it. */
#ifndef RIDGE_BASE_CLOCK_H
#define RIDGE_BASE_CLOCK_H
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdg_clock {
    uint64_t (*wall_ms)(void *ctx); /* milliseconds since 1970-01-01 UTC; may jump */
    uint64_t (*mono_ms)(void *ctx); /* never goes back; for time-outs */
    uint64_t (*mono_us)(void *ctx); /* for measurements */
    void *ctx;
} rdg_clock_t;

const rdg_clock_t *rdg_clock_system(void); /* borrowed, static */
static inline uint64_t rdg_wall_ms(const rdg_clock_t *c) {
    return c->wall_ms(c->ctx);
}
static inline uint64_t rdg_mono_ms(const rdg_clock_t *c) {
    return c->mono_ms(c->ctx);
}
static inline uint64_t rdg_mono_us(const rdg_clock_t *c) {
    return c->mono_us(c->ctx);
}

/* A clock that moves only when told. */
typedef struct rdg_clock_manual {
    rdg_clock_t clock; /* use &manual.clock */
    uint64_t wall_ms, mono_us;
} rdg_clock_manual_t;
void rdg_clock_manual_init(rdg_clock_manual_t *c, uint64_t wall_ms);
void rdg_clock_manual_advance(rdg_clock_manual_t *c, uint64_t ms);

/* RFC 3339 UTC with milliseconds ("2026-11-21T08:00:00.123Z"): 24 characters and a NUL. */
void rdg_time_format(uint64_t wall_ms, char out[25]);

#ifdef __cplusplus
}
#endif
#endif
