/* `ridge device top|telemetry` and `ridge alarm …`: how devices are, and what wants attention. */
#include "cli.h"
#include "ridge/base/clock.h"
#include "ridge/base/config.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOOK_S 2u

/* Calls look until it fails, or once. */
static rdg_err_t follow(cli_t *cli, rdg_err_t (*look)(cli_t *cli, json_t *seen)) {
    json_t *seen = json_object();
    rdg_err_t err = seen ? look(cli, seen) : rdg_fail(RDG_E_NO_MEMORY, "no memory");
    while (err == RDG_OK && cli_has(cli, "follow")) {
        fflush(stdout);
        sleep(LOOK_S);
        err = look(cli, seen);
    }
    json_decref(seen);
    return err;
}

/* True when this is new: `now` under `key` differs from what was seen last. */
static bool changed(json_t *seen, const char *key, json_t *now) {
    bool same = json_equal(json_object_get(seen, key), now);
    json_object_set_new(seen, key, now);
    return !same;
}

/* --- device top ---------------------------------------------------------------------------------------------------- */

static void set_share(json_t *row, const char *name, const json_t *host, const char *used,
                      const char *total) {
    const json_t *u = json_object_get(host, used), *t = json_object_get(host, total);
    if (json_is_integer(u) && json_integer_value(t) > 0)
        json_object_set_new(row, name, json_integer(json_integer_value(u) * 100 / json_integer_value(t)));
}

/* What does not fit a table's cell is summed up: heights and peers of the first chain, the number of chains. */
static json_t *top_row(const json_t *device) {
    const json_t *t = json_object_get(device, "telemetry"), *host = json_object_get(t, "host");
    const json_t *chains = json_object_get(t, "chains"), *first = json_array_get(chains, 0);
    const json_t *cpu = json_object_get(host, "cpu_permille");
    json_t *row = json_object();
    json_object_set(row, "device", json_object_get(device, "device"));
    json_object_set(row, "state", json_object_get(device, "state"));
    json_object_set(row, "last_seen_ms", json_object_get(device, "last_seen_ms"));
    if (json_is_integer(cpu))
        json_object_set_new(row, "cpu", json_real((double)json_integer_value(cpu) / 10));
    set_share(row, "memory", host, "memory_used_kib", "memory_total_kib");
    set_share(row, "disk", host, "disk_used_kib", "disk_total_kib");
    if (json_object_get(host, "temperature_c"))
        json_object_set(row, "temperature", json_object_get(host, "temperature_c"));
    if (t) json_object_set_new(row, "chains", json_integer((json_int_t)json_array_size(chains)));
    static const char *const fields[] = {"height", "peers", "pool"};
    for (size_t i = 0; first && i < 3; ++i)
        if (json_object_get(first, fields[i]))
            json_object_set(row, fields[i], json_object_get(first, fields[i]));
    return row;
}

static rdg_err_t top_look(cli_t *cli, json_t *seen) {
    json_t *answer = NULL, *device, *rows = json_array();
    size_t i;
    bool again = json_object_get(seen, "shown") != NULL;
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/telemetry"));
    json_object_set_new(seen, "shown", json_true());
    json_array_foreach(json_object_get(answer, "devices"), i, device)
        json_array_append_new(rows, top_row(device));
    if (cli->json) {
        out_json(answer);
    } else {
        if (again) printf("%s", isatty(STDOUT_FILENO) ? "\033[H\033[J" : "\n");
        out_table(rows, COLUMNS("DEVICE=device", "STATE=state", "CPU %=cpu", "MEM %=memory", "DISK %=disk",
                                "°C=temperature", "CHAINS=chains", "HEIGHT=height", "PEERS=peers",
                                "POOL=pool", "LAST SEEN=last_seen_ms"));
    }
    json_decref(rows);
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t top(cli_t *cli) {
    return follow(cli, top_look);
}

/* --- device telemetry ------------------------------------------------------------------------------------------------ */

static rdg_err_t latest_look(cli_t *cli, json_t *seen) {
    json_t *answer = NULL;
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/devices/%s/telemetry", cli->args[0]));
    bool fresh = changed(seen, "seq", json_incref(json_object_get(answer, "seq")));
    if (fresh && cli->json) {
        out_json(answer);
    } else if (fresh) {
        const char *key;
        json_t *value;
        printf("%-22s %s\n", "time", out_text(answer, "time_ms"));
        json_object_foreach(json_object_get(answer, "host"), key, value)
            printf("%-22s %s\n", key, out_text(json_object_get(answer, "host"), key));
        if (json_array_size(json_object_get(answer, "chains")) > 0) printf("\n");
        out_table(json_object_get(answer, "chains"),
                  COLUMNS("CHAIN=chain", "STATE=state", "HEIGHT=height", "VIEW=view", "PEERS=peers",
                          "POOL=pool", "NODE KIB=rss_kib", "RESTARTS=restarts", "DAMAGED=damaged"));
    }
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t range(cli_t *cli, const char *metric) {
    uint64_t since, step = 0, now = rdg_wall_ms(rdg_clock_system());
    json_t *answer = NULL, *one, *point, *rows = json_array();
    size_t s, i;
    char steps[40] = "";
    RDG_TRY(rdg_fail_in(rdg_parse_ms(cli_flag(cli, "since", "1h"), &since), "--since"));
    if (cli_flag(cli, "step", NULL)) {
        RDG_TRY(rdg_fail_in(rdg_parse_ms(cli_flag(cli, "step", ""), &step), "--step"));
        snprintf(steps, sizeof steps, "&step=%" PRIu64, step);
    }
    for (const char *p = metric; *p; ++p)
        if (!strchr("abcdefghijklmnopqrstuvwxyz_,", *p))
            return rdg_fail(RDG_E_INVALID, "--metric: want names as cpu_permille, with commas between");
    RDG_TRY(cli_call(cli, "GET", NULL, &answer,
                     "/devices/%s/telemetry/range?metric=%s&from=%" PRIu64 "&to=%" PRIu64 "%s", cli->args[0],
                     metric, now > since ? now - since : 0, now + 1, steps));
    json_array_foreach(json_object_get(answer, "series"), s, one) {
        json_array_foreach(json_object_get(one, "points"), i, point) {
            json_array_append_new(
                rows, json_pack("{s:O, s:O, s:O, s:O, s:O, s:O}", "time_ms", json_array_get(point, 0),
                                "metric", json_object_get(one, "metric"), "subject",
                                json_object_get(one, "subject"), "min", json_array_get(point, 1), "average",
                                json_array_get(point, 2), "max", json_array_get(point, 3)));
        }
    }
    if (cli->json)
        out_json(answer);
    else
        out_table(rows, COLUMNS("TIME=time_ms", "METRIC=metric", "OF=subject", "MIN=min", "AVERAGE=average",
                                "MAX=max"));
    json_decref(rows);
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t telemetry(cli_t *cli) {
    const char *metric = cli_flag(cli, "metric", NULL);
    RDG_TRY(cli_component("device", cli->args[0]));
    return metric ? range(cli, metric) : follow(cli, latest_look);
}

/* --- alarms ------------------------------------------------------------------------------------------------------------ */

static rdg_err_t alarms_look(cli_t *cli, json_t *seen) {
    const char *device = cli_flag(cli, "device", NULL), *kind = cli_flag(cli, "kind", NULL);
    json_t *answer = NULL, *alarm, *rows = json_array();
    size_t i;
    bool again = json_object_size(seen) > 0;
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/alarms?limit=1000&state=%s%s%s%s%s",
                     cli_has(cli, "all") || cli_has(cli, "follow") ? "all" : "open", device ? "&device=" : "",
                     device ? device : "", kind ? "&kind=" : "", kind ? kind : ""));
    json_object_set_new(seen, "shown", json_true());
    json_array_foreach(json_object_get(answer, "alarms"), i, alarm) {
        bool open = strcmp(out_raw(alarm, "state"), "cleared") != 0;
        char key[32];
        snprintf(key, sizeof key, "%" JSON_INTEGER_FORMAT,
                 json_integer_value(json_object_get(alarm, "number")));
        bool news = changed(seen, key, json_incref(json_object_get(alarm, "state")));
        /* When following, the old ones are those that were cleared before. */
        if (news && (open || again || cli_has(cli, "all"))) json_array_append(rows, alarm);
    }
    if (cli->json && !cli_has(cli, "follow"))
        out_json(answer);
    else if (cli->json)
        json_array_foreach(rows, i, alarm) out_json(alarm);
    else if (!again || json_array_size(rows) > 0)
        out_table(rows, COLUMNS("NUMBER=number", "DEVICE=device", "KIND=kind", "OF=subject",
                                "SEVERITY=severity", "STATE=state", "VALUE=value", "LIMIT=threshold",
                                "UNIT=unit", "RAISED=raised_ms", "CLEARED=cleared_ms", "BY=acked_by"));
    json_decref(rows);
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t alarm_list(cli_t *cli) {
    if (cli_flag(cli, "device", NULL)) RDG_TRY(cli_component("device", cli_flag(cli, "device", NULL)));
    if (cli_flag(cli, "kind", NULL)) RDG_TRY(cli_component("kind of alarm", cli_flag(cli, "kind", NULL)));
    return follow(cli, alarms_look);
}

static rdg_err_t alarm_ack(cli_t *cli) {
    uint64_t number;
    json_t *answer = NULL;
    RDG_TRY(rdg_fail_in(rdg_parse_u64(cli->args[0], &number), "the number of an alarm"));
    json_t *body = json_pack("{s:s?}", "note", cli_flag(cli, "note", NULL));
    RDG_TRY(cli_call(cli, "POST", body, &answer, "/alarms/%" PRIu64 "/ack", number));
    if (cli->json)
        out_json(answer);
    else
        printf("alarm %" PRIu64 " (%s of %s) is acknowledged\n", number, out_text(answer, "kind"),
               out_text(answer, "device"));
    json_decref(answer);
    return RDG_OK;
}

#define RULE_COLUMNS                                                                                         \
    COLUMNS("KIND=kind", "RAISED AT=raise", "CLEARED BELOW=clear", "UNIT=unit", "FOR MS=for_ms",             \
            "SEVERITY=severity", "ON=enabled")

static rdg_err_t alarm_rules(cli_t *cli) {
    json_t *answer = NULL;
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/alarm-rules"));
    if (cli->json)
        out_json(answer);
    else
        out_table(json_object_get(answer, "rules"), RULE_COLUMNS);
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t rule_body(cli_t *cli, json_t *body) {
    static const char *const numbers[] = {"raise", "clear"};
    uint64_t v;
    for (size_t i = 0; i < 2; ++i) {
        if (!cli_flag(cli, numbers[i], NULL)) continue;
        RDG_TRY(cli_number(cli, numbers[i], 0, &v));
        json_object_set_new(body, numbers[i], json_integer((json_int_t)v));
    }
    if (cli_flag(cli, "for", NULL)) {
        RDG_TRY(rdg_fail_in(rdg_parse_ms(cli_flag(cli, "for", ""), &v), "--for"));
        json_object_set_new(body, "for_ms", json_integer((json_int_t)v));
    }
    if (cli_flag(cli, "severity", NULL))
        json_object_set_new(body, "severity", json_string(cli_flag(cli, "severity", "")));
    if (cli_has(cli, "on") && cli_has(cli, "off")) return rdg_fail(RDG_E_INVALID, "--on or --off: not both");
    if (cli_has(cli, "on") || cli_has(cli, "off"))
        json_object_set_new(body, "enabled", json_boolean(cli_has(cli, "on")));
    return json_object_size(body) > 0
               ? RDG_OK
               : rdg_fail(RDG_E_INVALID,
                          "nothing to change: give --raise, --clear, --for, --severity, --on or --off");
}

static rdg_err_t alarm_rule(cli_t *cli) {
    json_t *answer = NULL, *rows, *body = json_object();
    rdg_err_t err = cli_component("kind of alarm", cli->args[0]);
    if (err == RDG_OK) err = rule_body(cli, body);
    if (err != RDG_OK) {
        json_decref(body);
        return err;
    }
    RDG_TRY(cli_call(cli, "PUT", body, &answer, "/alarm-rules/%s", cli->args[0]));
    rows = json_pack("[O]", answer);
    if (cli->json)
        out_json(answer);
    else
        out_table(rows, RULE_COLUMNS);
    json_decref(rows);
    json_decref(answer);
    return RDG_OK;
}

const command_t monitor_commands[] = {
    {"device",
     "top",
     "",
     "how all devices are: processor, memory, disk, temperature, chains",
     0,
     0,
     top,
     {{"follow", NULL, "again every two seconds"}, {0}}},
    {"device",
     "telemetry",
     "DEVICE",
     "what a device told last, or its numbers over time",
     1,
     1,
     telemetry,
     {{"metric", "NAMES", "over time: cpu_permille, chain_height… (docs/rest-api.md), commas between"},
      {"since", "DURATION", "how far back (default 1h)"},
      {"step", "DURATION", "one line for each (default: 200 lines)"},
      {"follow", NULL, "each new record as it comes"},
      {0}}},
    {"alarm",
     "list",
     "",
     "what wants attention",
     0,
     0,
     alarm_list,
     {{"all", NULL, "also what is over"},
      {"device", "DEVICE", "of this device only"},
      {"kind", "KIND", "of this kind only"},
      {"follow", NULL, "each change as it comes"},
      {0}}},
    {"alarm",
     "ack",
     "NUMBER",
     "say that somebody knows of an alarm",
     1,
     1,
     alarm_ack,
     {{"note", "TEXT", "what is being done"}, {0}}},
    {"alarm", "rules", "", "when alarms are raised and cleared", 0, 0, alarm_rules, {{0}}},
    {"alarm",
     "rule",
     "KIND",
     "change when an alarm is raised and cleared",
     1,
     1,
     alarm_rule,
     {{"raise", "NUMBER", "raised at this value"},
      {"clear", "NUMBER", "cleared below this one"},
      {"for", "DURATION", "after it has been so for this long"},
      {"severity", "SEVERITY", "critical or warning"},
      {"on", NULL, "switch the rule on"},
      {"off", NULL, "switch it off, and clear its alarms"},
      {0}}},
    {0},
};
