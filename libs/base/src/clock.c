#include "ridge/base/clock.h"
#include <string.h>
#include <time.h>

static uint64_t read_us(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static uint64_t system_wall_ms(void *ctx) {
    (void)ctx;
    return read_us(CLOCK_REALTIME) / 1000;
}
static uint64_t system_mono_ms(void *ctx) {
    (void)ctx;
    return read_us(CLOCK_MONOTONIC) / 1000;
}
static uint64_t system_mono_us(void *ctx) {
    (void)ctx;
    return read_us(CLOCK_MONOTONIC);
}

const rdg_clock_t *rdg_clock_system(void) {
    static const rdg_clock_t clock = {system_wall_ms, system_mono_ms, system_mono_us, NULL};
    return &clock;
}

static uint64_t manual_wall_ms(void *ctx) {
    return ((rdg_clock_manual_t *)ctx)->wall_ms;
}
static uint64_t manual_mono_ms(void *ctx) {
    return ((rdg_clock_manual_t *)ctx)->mono_us / 1000;
}
static uint64_t manual_mono_us(void *ctx) {
    return ((rdg_clock_manual_t *)ctx)->mono_us;
}

void rdg_clock_manual_init(rdg_clock_manual_t *c, uint64_t wall_ms) {
    c->clock = (rdg_clock_t){manual_wall_ms, manual_mono_ms, manual_mono_us, c};
    c->wall_ms = wall_ms;
    c->mono_us = 0;
}

void rdg_clock_manual_advance(rdg_clock_manual_t *c, uint64_t ms) {
    c->wall_ms += ms;
    c->mono_us += ms * 1000;
}

static void put_digits(char *out, unsigned v, int count) {
    while (count > 0) out[--count] = (char)('0' + v % 10), v /= 10;
}

void rdg_time_format(uint64_t wall_ms, char out[25]) {
    /* 9999-12-31T23:59:59.999Z is the last moment that RFC 3339 can write. */
    const uint64_t last_ms = 253402300799999u;
    if (wall_ms > last_ms) wall_ms = last_ms;
    struct tm tm = {0};
    time_t seconds = (time_t)(wall_ms / 1000);
    gmtime_r(&seconds, &tm);
    memcpy(out, "0000-00-00T00:00:00.000Z", 25);
    put_digits(out, (unsigned)tm.tm_year + 1900, 4);
    put_digits(out + 5, (unsigned)tm.tm_mon + 1, 2);
    put_digits(out + 8, (unsigned)tm.tm_mday, 2);
    put_digits(out + 11, (unsigned)tm.tm_hour, 2);
    put_digits(out + 14, (unsigned)tm.tm_min, 2);
    put_digits(out + 17, (unsigned)tm.tm_sec, 2);
    put_digits(out + 20, (unsigned)(wall_ms % 1000), 3);
}
