#include "collector_cron.h"
#include <string.h>
#include <time.h>
#include "ridge/base/config.h"

#define MINUTE_MS 60000u
#define DAYS_MAX (5 * 366)

typedef struct field {
    const char *name;
    unsigned low, high;
} field_t;

static rdg_err_t wrong(const field_t *f, const char *item) {
    return rdg_fail(RDG_E_INVALID,
                    "cron: %s: '%.40s' is not *, a number from %u to %u, a range or a step of them", f->name,
                    item, f->low, f->high);
}

static bool number(const char *text, size_t len, const field_t *f, unsigned *out) {
    char digits[4];
    uint64_t v;
    if (len == 0 || len >= sizeof digits) return false;
    memcpy(digits, text, len);
    digits[len] = '\0';
    if (rdg_parse_u64(digits, &v) != RDG_OK || v < f->low || v > f->high) return false;
    *out = (unsigned)v;
    return true;
}

/* One of a list: *, n or a-b, perhaps with /step. */
static rdg_err_t item(const char *text, const field_t *f, uint64_t *bits) {
    unsigned first = f->low, last = f->high, step = 1;
    const char *slash = strchr(text, '/'), *dash = strchr(text, '-');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    if (dash && slash && dash > slash) return wrong(f, text);
    const field_t steps = {f->name, 1, f->high ? f->high : 1};
    if (slash && !number(slash + 1, strlen(slash + 1), &steps, &step)) return wrong(f, text);
    if (dash) {
        if (!number(text, (size_t)(dash - text), f, &first) ||
            !number(dash + 1, len - (size_t)(dash - text) - 1, f, &last) || first > last)
            return wrong(f, text);
    } else if (len != 1 || text[0] != '*') {
        if (!number(text, len, f, &first)) return wrong(f, text);
        if (!slash) last = first;
    }
    for (unsigned v = first; v <= last; v += step) *bits |= 1ull << v;
    return RDG_OK;
}

static rdg_err_t field(char *text, const field_t *f, uint64_t *bits) {
    if (!text || !text[0])
        return rdg_fail(RDG_E_INVALID, "cron: want five fields, the %s is missing", f->name);
    *bits = 0;
    for (char *one; (one = strsep(&text, ","));) RDG_TRY(item(one, f, bits));
    return RDG_OK;
}

static char *word(char **rest) {
    char *w = NULL;
    while (*rest && (w = strsep(rest, " \t")) && !w[0]) w = NULL;
    return w;
}

rdg_err_t cron_parse(const char *text, cron_t *out) {
    static const field_t fields[] = {{"minute", 0, 59},
                                     {"hour", 0, 23},
                                     {"day of the month", 1, 31},
                                     {"month", 1, 12},
                                     {"day of the week", 0, 7}};
    uint64_t *bits[] = {&out->minutes, &out->hours, &out->days, &out->months, &out->weekdays};
    char copy[CRON_TEXT_MAX], *rest = copy;
    memset(out, 0, sizeof *out);
    if (strlen(text) >= sizeof copy)
        return rdg_fail(RDG_E_INVALID, "cron: longer than %d characters", CRON_TEXT_MAX - 1);
    memcpy(copy, text, strlen(text) + 1);
    for (int i = 0; i < 5; ++i) {
        char *w = word(&rest);
        if (w && i == 2) out->any_day = w[0] == '*';
        if (w && i == 4) out->any_weekday = w[0] == '*';
        RDG_TRY(field(w, &fields[i], bits[i]));
    }
    if (word(&rest)) return rdg_fail(RDG_E_INVALID, "cron: more than five fields");
    if (out->weekdays & (1u << 7)) out->weekdays |= 1; /* both are Sunday */
    return RDG_OK;
}

static bool fits_day(const cron_t *c, const struct tm *t) {
    bool day = c->days >> t->tm_mday & 1, weekday = c->weekdays >> t->tm_wday & 1;
    if (!(c->months >> (t->tm_mon + 1) & 1)) return false;
    return c->any_day || c->any_weekday ? day && weekday : day || weekday;
}

uint64_t cron_next(const cron_t *c, uint64_t after_ms) {
    time_t at = (time_t)((after_ms / MINUTE_MS + 1) * 60);
    struct tm t;
    for (int days = 0; days < DAYS_MAX; ++days) {
        gmtime_r(&at, &t);
        int from = t.tm_hour * 60 + t.tm_min;
        for (int m = from; m < 1440 && fits_day(c, &t); ++m)
            if ((c->hours >> (m / 60) & 1) && (c->minutes >> (m % 60) & 1))
                return ((uint64_t)at + (uint64_t)(m - from) * 60) * 1000;
        at += (time_t)(1440 - from) * 60;
    }
    return 0;
}
