/* ridge event watch: what happens, as it happens (GET /events). */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "cli.h"
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"

#define CONNECTION_MS (12ull * 3600 * 1000)
#define LINE_MAX_BYTES (256u << 10)
#define AGAIN_S 2u

typedef struct watch {
    const cli_t *cli;
    rdg_buf_t text; /* received, and not a whole line yet */
    char id[80], event[24];
    json_t *data;
    uint64_t left; /* events until it ends; UINT64_MAX: none */
} watch_t;

/* One line about an event, whatever its type. */
static void print_line(const watch_t *w) {
    const json_t *d = w->data, *o = json_object_get(d, strcmp(w->event, "alarm") == 0 ? "alarm" : "-");
    char what[256] = "", time[64];
    rdg_time_format(rdg_wall_ms(rdg_clock_system()), time);
    if (!o) o = d;
    if (strcmp(w->event, "telemetry") == 0)
        snprintf(what, sizeof what, "cpu %s permille, memory %s of %s KiB, %zu chains",
                 out_text(d, "host.cpu_permille"), out_text(d, "host.memory_used_kib"),
                 out_text(d, "host.memory_total_kib"), json_array_size(json_object_get(d, "chains")));
    else if (strcmp(w->event, "chain") == 0)
        snprintf(what, sizeof what, "%s %s at %s", out_text(d, "chain"), out_text(d, "state"),
                 out_text(d, "height"));
    else if (strcmp(w->event, "record") == 0)
        snprintf(what, sizeof what, "%s %s %.150s", out_text(d, "kind"), out_text(d, "id"),
                 out_text(d, "data"));
    else if (strcmp(w->event, "alarm") == 0)
        snprintf(what, sizeof what, "%s %s: %s %s", out_text(o, "kind"), out_text(d, "what"),
                 out_text(o, "value"), out_text(o, "unit"));
    else if (strcmp(w->event, "command") == 0)
        snprintf(what, sizeof what, "%s %s %s", out_text(d, "type"), out_text(d, "id"), out_text(d, "state"));
    else
        snprintf(what, sizeof what, "%s", out_text(d, "reason"));
    printf("%s  %-9s  %-20s  %s\n", time, w->event, out_text(o, "device"), what);
}

static rdg_err_t end_event(watch_t *w) {
    bool some = w->event[0] && w->data && strcmp(w->event, "hello") != 0;
    if (some && w->cli->json) {
        json_t *o = json_pack("{s:s, s:s, s:O}", "id", w->id, "event", w->event, "data", w->data);
        char *text = o ? rdg_json_text(o) : NULL;
        if (text) printf("%s\n", text);
        rdg_free(text);
        json_decref(o);
    } else if (some) {
        print_line(w);
    }
    if (some) fflush(stdout);
    if (some && w->left != UINT64_MAX) --w->left;
    json_decref(w->data);
    w->data = NULL;
    w->event[0] = '\0';
    return w->left == 0 ? RDG_E_CANCELLED : RDG_OK;
}

static rdg_err_t take_line(watch_t *w, const char *line, size_t len) {
    if (len == 0) return end_event(w);
    if (len > 4 && strncmp(line, "id: ", 4) == 0)
        snprintf(w->id, sizeof w->id, "%.*s", (int)(len - 4), line + 4);
    if (len > 7 && strncmp(line, "event: ", 7) == 0)
        snprintf(w->event, sizeof w->event, "%.*s", (int)(len - 7), line + 7);
    if (len > 6 && strncmp(line, "data: ", 6) == 0) {
        json_decref(w->data);
        w->data = NULL;
        return rdg_json_parse(rdg_bytes(line + 6, len - 6), &w->data);
    }
    return RDG_OK;
}

static rdg_err_t take(void *ctx, rdg_bytes_t bytes) {
    watch_t *w = ctx;
    size_t used = 0;
    rdg_err_t err = rdg_buf_append(&w->text, bytes.data, bytes.len);
    while (err == RDG_OK) {
        const char *line = (const char *)w->text.data + used, *end = memchr(line, '\n', w->text.len - used);
        if (!end) break;
        err = take_line(w, line, (size_t)(end - line));
        used += (size_t)(end - line) + 1;
    }
    if (used > 0) memmove(w->text.data, w->text.data + used, w->text.len - used);
    w->text.len -= used;
    return err;
}

static rdg_err_t make_path(cli_t *cli, const watch_t *w, char *path, size_t size) {
    static const char *const names[] = {"device", "kind", "group", "site"};
    const char *types = cli_flag(cli, "type", NULL);
    if (types && strspn(types, "abcdefghijklmnopqrstuvwxyz,") != strlen(types))
        return rdg_fail(RDG_E_INVALID,
                        "--type: want telemetry, chain, record, alarm, command, with commas between");
    int n = snprintf(path, size, "/events?type=%s", types ? types : "");
    for (size_t i = 0; i < sizeof names / sizeof names[0] && n < (int)size; ++i) {
        const char *value = cli_flag(cli, names[i], NULL);
        if (value) RDG_TRY(cli_component(names[i], value));
        if (value) n += snprintf(path + n, size - (size_t)n, "&%s=%s", names[i], value);
    }
    if (w->id[0] && n < (int)size) n += snprintf(path + n, size - (size_t)n, "&last_event_id=%s", w->id);
    return n < (int)size ? RDG_OK : rdg_fail(RDG_E_TOO_LARGE, "the filter is too long");
}

static bool passing(rdg_err_t err) {
    return err == RDG_OK || err == RDG_E_CLOSED || err == RDG_E_TIMEOUT || err == RDG_E_UNAVAILABLE ||
           err == RDG_E_BUSY;
}

/* A broken connection is gone on with behind the last event. */
static rdg_err_t watch(cli_t *cli) {
    watch_t w = {.cli = cli, .left = UINT64_MAX};
    char path[800];
    rdg_err_t err;
    bool heard = false;
    RDG_TRY(cli_number(cli, "count", UINT64_MAX, &w.left));
    RDG_TRY(cli_connect(cli));
    rdg_buf_init(&w.text, LINE_MAX_BYTES);
    for (;;) {
        err = make_path(cli, &w, path, sizeof path);
        if (err == RDG_OK) err = rdg_cloud_fetch(cli->cloud, path, CONNECTION_MS, take, &w);
        heard = heard || w.id[0];
        if (w.left == 0) err = RDG_OK;
        /* At first there has to be somebody: a wrong address is told at once. */
        if (w.left == 0 || !heard || !passing(err)) break;
        fprintf(stderr, "the stream has ended%s%s: connecting again\n", err == RDG_OK ? "" : ": ",
                err == RDG_OK ? "" : rdg_err_message(err));
        rdg_buf_clear(&w.text);
        json_decref(w.data);
        w.data = NULL;
        sleep(AGAIN_S);
    }
    json_decref(w.data);
    rdg_buf_fini(&w.text);
    return err;
}

const command_t event_commands[] = {
    {"event",
     "watch",
     "",
     "what happens, as it happens; --json: one object a line",
     0,
     0,
     watch,
     {{"type", "TYPES", "telemetry, chain, record, alarm, command, with commas between (default all)"},
      {"device", "DEVICE", "of this device only"},
      {"kind", "KIND", "records and alarms of this kind, commands of this type, this chain"},
      {"group", "GROUP", "of devices of this group only"},
      {"site", "SITE", "of devices of this site only"},
      {"count", "NUMBER", "end after so many"},
      {0}}},
    {0},
};
