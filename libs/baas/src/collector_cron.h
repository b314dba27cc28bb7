/* Times in the form of cron: "minute hour day-of-month month day-of-week", in UTC. Each field is *, a number, a range a-b,
 * either with a step /n, or several of these with commas between; days of the week are 0 (Sunday) to 7. Where both days are
 * given, one of them has to fit, as in crontab(5). */
#ifndef RIDGE_BAAS_SRC_COLLECTOR_CRON_H
#define RIDGE_BAAS_SRC_COLLECTOR_CRON_H
#include "ridge/base/error.h"
#include <stdbool.h>
#include <stdint.h>

#define CRON_TEXT_MAX 128

typedef struct cron {
    uint64_t minutes, hours, days, months, weekdays; /* bit n: n fits */
    bool any_day, any_weekday;                       /* the field began with * */
} cron_t;

/* INVALID names the field. */
rdg_err_t cron_parse(const char *text, cron_t *out);
/* The first whole minute after a time (Unix ms) that fits; 0: none within five years. */
uint64_t cron_next(const cron_t *c, uint64_t after_ms);

#endif
