#include "cli.h"
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include <stdio.h>
#include <string.h>

#define OUTPUT_MAX (64u << 20)
#define TEXTS 64
#define TEXT_MAX 512
#define COLUMNS_MAX 12
#define TITLE_CELLS 18

void out_json(const json_t *v) {
    rdg_buf_t text;
    rdg_buf_init(&text, OUTPUT_MAX);
    if (rdg_json_dump_pretty(v, &text) == RDG_OK) printf("%s\n", rdg_buf_cstr(&text));
    rdg_buf_fini(&text);
}

static const json_t *at_path(const json_t *o, const char *path) {
    char part[64];
    for (const char *dot; o && path; path = dot ? dot + 1 : NULL) {
        dot = strchr(path, '.');
        snprintf(part, sizeof part, "%.*s", (int)(dot ? dot - path : (long)strlen(path)), path);
        o = json_object_get(o, part);
    }
    return o;
}

static bool is_time(const char *path) {
    size_t len = strlen(path);
    static const char *const times[] = {"created_ms", "updated_ms",  "last_seen_ms", "time_ms", "expires_ms",
                                        "stored_ms",  "deadline_ms", "handed_ms",    "sent_ms", "started_ms",
                                        "ended_ms",   "mark_ms",     "next_ms",      "last_ms", "raised_ms",
                                        "last_ms",    "at_ms",       "cleared_ms",   "used_ms"};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; ++i) {
        size_t n = strlen(times[i]);
        if (len >= n && strcmp(path + len - n, times[i]) == 0) return true;
    }
    return false;
}

/* Names are listed; of anything else the number is what fits a cell. */
static void format_array(const json_t *v, char *out, size_t size) {
    size_t i, used = 0;
    json_t *item;
    if (json_array_size(v) > 0 && !json_is_string(json_array_get(v, 0))) {
        snprintf(out, size, "%zu", json_array_size(v));
        return;
    }
    json_array_foreach(v, i, item) {
        const char *s = json_string_value(item);
        if (used < size) used += (size_t)snprintf(out + used, size - used, "%s%s", i ? "," : "", s ? s : "…");
    }
    if (i == 0) snprintf(out, size, "-");
}

const char *out_text(const json_t *object, const char *path) {
    static char texts[TEXTS][TEXT_MAX];
    static size_t next;
    char *out = texts[next++ % TEXTS];
    const json_t *v = at_path(object, path);
    if (!v || json_is_null(v) || (json_is_integer(v) && json_integer_value(v) == 0 && is_time(path)))
        snprintf(out, TEXT_MAX, "-"); /* no time, too */
    else if (json_is_integer(v) && is_time(path))
        rdg_time_format((uint64_t)json_integer_value(v), out);
    else if (json_is_integer(v))
        snprintf(out, TEXT_MAX, "%lld", (long long)json_integer_value(v));
    else if (json_is_real(v))
        snprintf(out, TEXT_MAX, "%g", json_real_value(v));
    else if (json_is_boolean(v))
        snprintf(out, TEXT_MAX, "%s", json_is_true(v) ? "yes" : "no");
    else if (json_is_string(v))
        snprintf(out, TEXT_MAX, "%s", *json_string_value(v) ? json_string_value(v) : "-");
    else if (json_is_array(v))
        format_array(v, out, TEXT_MAX);
    else {
        char *text = rdg_json_text(v);
        snprintf(out, TEXT_MAX, "%s", text ? text : "-");
        rdg_free(text);
    }
    return out;
}

/* Characters as a terminal counts them: a CJK character takes two cells. */
static size_t width(const char *s) {
    size_t cells = 0;
    for (const unsigned char *p = (const unsigned char *)s; *p; ++p) {
        if ((*p & 0xc0) == 0x80) continue;
        cells += *p >= 0xe3 && *p <= 0xed ? 2 : 1;
    }
    return cells;
}

static void put_cell(const char *text, size_t cells, bool last) {
    printf("%s", text);
    for (size_t n = width(text); !last && n < cells + 2; ++n) putchar(' ');
    if (last) putchar('\n');
}

void out_table(const json_t *rows, const char *const *columns, size_t count) {
    size_t cells[COLUMNS_MAX] = {0}, i;
    char title[COLUMNS_MAX][64];
    const char *field[COLUMNS_MAX];
    json_t *row;
    for (size_t c = 0; c < count && c < COLUMNS_MAX; ++c) {
        field[c] = strchr(columns[c], '=') + 1;
        snprintf(title[c], sizeof title[c], "%.*s", (int)(field[c] - columns[c] - 1), columns[c]);
        cells[c] = width(title[c]);
        json_array_foreach(rows, i, row) {
            size_t n = width(out_text(row, field[c]));
            if (n > cells[c]) cells[c] = n;
        }
    }
    for (size_t c = 0; c < count; ++c) put_cell(title[c], cells[c], c + 1 == count);
    json_array_foreach(rows, i, row) for (size_t c = 0; c < count; ++c)
        put_cell(out_text(row, field[c]), cells[c], c + 1 == count);
}

void out_fields(const json_t *object, const char *const *columns, size_t count) {
    int cells = TITLE_CELLS;
    for (size_t c = 0; c < count; ++c) {
        int n = (int)(strchr(columns[c], '=') - columns[c]);
        if (n > cells) cells = n;
    }
    for (size_t c = 0; c < count; ++c) {
        const char *field = strchr(columns[c], '=') + 1;
        printf("%-*.*s %s\n", cells, (int)(field - columns[c] - 1), columns[c], out_text(object, field));
    }
}

const char *out_raw(const json_t *object, const char *field) {
    const char *text = json_string_value(json_object_get(object, field));
    return text ? text : "";
}
