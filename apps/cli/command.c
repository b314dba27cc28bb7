#include "command.h"
#include "ridge/base/clock.h"
#include "ridge/base/config.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool command_ended(const json_t *command) {
    static const char *const open[] = {"queued", "sent", "running"};
    const char *state = out_raw(command, "state");
    for (size_t i = 0; i < sizeof open / sizeof open[0]; ++i)
        if (strcmp(state, open[i]) == 0) return false;
    return true;
}

rdg_err_t command_order(cli_t *cli, const char *type, json_t **out) {
    static const char *const plain[] = {"priority", "id"};
    const char *params = cli_flag(cli, "params", NULL);
    json_t *values = NULL;
    if (params && *params == '@')
        RDG_TRY(cli_read_json(params + 1, &values));
    else if (params)
        RDG_TRY(rdg_fail_in(rdg_json_parse(rdg_bytes_str(params), &values), "--params"));
    json_t *body = json_pack("{s:s}", "type", type);
    if (values) json_object_set_new(body, "params", values);
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; ++i) {
        const char *value = cli_flag(cli, plain[i], NULL);
        if (value) json_object_set_new(body, plain[i], json_string(value));
    }
    *out = body;
    return RDG_OK;
}

rdg_err_t command_since(cli_t *cli, const char *flag, uint64_t *out) {
    uint64_t ms = 0;
    const char *text = cli_flag(cli, flag, NULL);
    *out = 0;
    if (!text) return RDG_OK;
    RDG_TRY(rdg_fail_in(rdg_parse_ms(text, &ms), "--%s", flag));
    uint64_t now = rdg_wall_ms(rdg_clock_system());
    *out = ms < now ? now - ms : 1;
    return RDG_OK;
}

static rdg_err_t print(cli_t *cli, json_t *command) {
    if (cli->json)
        out_json(command);
    else
        out_fields(command, COLUMNS("Command=id", "Device=device", "Type=type", "State=state", "Step=step",
                                    "Progress=progress", "Error=error.message", "Priority=priority",
                                    "Ordered by=ordered_by", "Rollout=rollout", "Created=created_ms",
                                    "Deadline=deadline_ms", "Handed over=handed_ms", "At the broker=sent_ms",
                                    "Started=started_ms", "Ended=ended_ms", "Cancelled by=cancelled_by",
                                    "Deliveries=deliveries"));
    const json_t *result = json_object_get(command, "result");
    if (!cli->json && json_is_object(result)) {
        printf("Result\n");
        out_json(result);
    }
    rdg_err_t err = RDG_OK;
    const char *state = out_raw(command, "state");
    if (strcmp(state, "failed") == 0 || strcmp(state, "expired") == 0 || strcmp(state, "cancelled") == 0)
        err = rdg_fail(RDG_E_CONFLICT, "command %s of device %s is %s: %s", out_raw(command, "id"),
                       out_raw(command, "device"), state, out_text(command, "error.message"));
    json_decref(command);
    return err;
}

/* Takes command; what is shown is how it ended. */
static rdg_err_t follow(cli_t *cli, json_t *command) {
    char id[80], seen[160] = "";
    snprintf(id, sizeof id, "%s", out_raw(command, "id"));
    while (!command_ended(command)) {
        char now[160];
        snprintf(now, sizeof now, "%s %s %s%%", out_raw(command, "state"), out_raw(command, "step"),
                 out_text(command, "progress"));
        if (!cli->json && strcmp(now, seen) != 0) fprintf(stderr, "%s: %s\n", id, now);
        memcpy(seen, now, sizeof seen);
        json_decref(command);
        command = NULL;
        RDG_TRY(cli_call(cli, "GET", NULL, &command, "/commands/%s?wait_ms=2000", id));
    }
    return print(cli, command);
}

/* Several devices: one row each, and with --follow the count of those that have ended. */
static rdg_err_t follow_all(cli_t *cli, json_t *commands) {
    size_t total = json_array_size(commands), i, ended = 0, bad = 0;
    for (i = 0; i < total; ++i) {
        json_t *command = json_incref(json_array_get(commands, i));
        const char *id = json_string_value(json_object_get(command, "id"));
        while (id && cli_has(cli, "follow") && !command_ended(command)) {
            json_t *next = NULL;
            RDG_TRY(cli_call(cli, "GET", NULL, &next, "/commands/%s?wait_ms=10000", id));
            json_decref(command);
            command = next;
            id = out_raw(command, "id");
        }
        ++ended;
        if (cli_has(cli, "follow") && !cli->json) fprintf(stderr, "%zu of %zu have ended\n", ended, total);
        const char *state = out_raw(command, "state");
        if (!id || (cli_has(cli, "follow") && strcmp(state, "done") != 0)) ++bad;
        json_array_set_new(commands, i, command);
    }
    if (cli->json)
        out_json(commands);
    else
        out_table(commands, COLUMNS("COMMAND=id", "DEVICE=device", "STATE=state", "ERROR=error.message"));
    json_decref(commands);
    return bad ? rdg_fail(RDG_E_CONFLICT, "%zu of %zu commands were refused or did not end as done", bad,
                          total)
               : RDG_OK;
}

static rdg_err_t send_many(cli_t *cli, json_t *body) {
    json_t *list = json_array(), *answer = NULL;
    char names[CLI_ARGS_MAX * 80], *at = names, *name;
    if (snprintf(names, sizeof names, "%s", cli->args[0]) >= (int)sizeof names) {
        json_decref(list);
        json_decref(body);
        return rdg_fail(RDG_E_TOO_LARGE, "too many devices: make it a rollout (ridge rollout create)");
    }
    while ((name = strsep(&at, ",")) != NULL) {
        json_t *one = json_deep_copy(body);
        json_object_set_new(one, "device", json_string(name));
        json_array_append_new(list, one);
    }
    json_decref(body);
    RDG_TRY(cli_call(cli, "POST", json_pack("{s:o}", "commands", list), &answer, "/commands"));
    json_t *commands = json_incref(json_object_get(answer, "commands"));
    json_decref(answer);
    return follow_all(cli, commands);
}

rdg_err_t command_give(cli_t *cli, json_t *body) {
    json_t *command = NULL;
    uint64_t ttl_ms = 0;
    const char *ttl = cli_flag(cli, "ttl", NULL);
    rdg_err_t bad = ttl ? rdg_fail_in(rdg_parse_ms(ttl, &ttl_ms), "--ttl") : RDG_OK;
    if (bad != RDG_OK) {
        json_decref(body);
        return bad;
    }
    if (ttl)
        json_object_set_new(body, "deadline_ms",
                            json_integer((json_int_t)(rdg_wall_ms(rdg_clock_system()) + ttl_ms)));
    if (strchr(cli->args[0], ',')) return send_many(cli, body);
    rdg_err_t err = cli_component("device", cli->args[0]);
    if (err != RDG_OK) {
        json_decref(body);
        return err;
    }
    RDG_TRY(cli_call(cli, "POST", body, &command, "/devices/%s/commands", cli->args[0]));
    return cli_has(cli, "follow") ? follow(cli, command) : print(cli, command);
}

static rdg_err_t send(cli_t *cli) {
    json_t *body = NULL;
    RDG_TRY(command_order(cli, cli->args[1], &body));
    return command_give(cli, body);
}

static rdg_err_t show(cli_t *cli) {
    json_t *command = NULL;
    RDG_TRY(cli_component("command", cli->args[0]));
    RDG_TRY(cli_call(cli, "GET", NULL, &command, "/commands/%s", cli->args[0]));
    return cli_has(cli, "follow") ? follow(cli, command) : print(cli, command);
}

static rdg_err_t cancel(cli_t *cli) {
    json_t *command = NULL;
    RDG_TRY(cli_component("command", cli->args[0]));
    RDG_TRY(cli_call(cli, "POST", NULL, &command, "/commands/%s/cancel", cli->args[0]));
    if (cli->json)
        out_json(command);
    else
        printf("command %s is cancelled: its device never gets it\n", cli->args[0]);
    json_decref(command);
    return RDG_OK;
}

static rdg_err_t query(cli_t *cli, char *out, size_t size) {
    static const char *const names[] = {"device", "state", "type", "by", "rollout"};
    uint64_t limit, before, since;
    RDG_TRY(cli_number(cli, "limit", 50, &limit));
    RDG_TRY(cli_number(cli, "before", 0, &before));
    RDG_TRY(command_since(cli, "since", &since));
    int n = snprintf(out, size, "limit=%" PRIu64, limit);
    if (before) n += snprintf(out + n, size - (size_t)n, "&before=%" PRIu64, before);
    if (since) n += snprintf(out + n, size - (size_t)n, "&since_ms=%" PRIu64, since);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        const char *value = cli_flag(cli, names[i], NULL);
        if (!value) continue;
        RDG_TRY(cli_component(names[i], value));
        n += snprintf(out + n, size - (size_t)n, "&%s=%s", names[i], value);
    }
    return RDG_OK;
}

static rdg_err_t list_with(cli_t *cli, const char *const *columns, size_t count) {
    char text[1024];
    json_t *answer = NULL;
    RDG_TRY(query(cli, text, sizeof text));
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/commands?%s", text));
    if (cli->json) {
        out_json(answer);
    } else {
        out_table(json_object_get(answer, "commands"), columns, count);
        if (json_is_integer(json_object_get(answer, "more_before")))
            printf("(older ones: --before %s)\n", out_text(answer, "more_before"));
    }
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t list(cli_t *cli) {
    return list_with(cli, COLUMNS("COMMAND=id", "DEVICE=device", "TYPE=type", "PRIORITY=priority",
                                  "STATE=state", "STEP=step", "%=progress", "DEADLINE=deadline_ms"));
}

static rdg_err_t history(cli_t *cli) {
    return list_with(cli, COLUMNS("CREATED=created_ms", "BY=ordered_by", "DEVICE=device", "TYPE=type",
                                  "STATE=state", "ENDED=ended_ms", "COMMAND=id", "ERROR=error.message"));
}

#define FILTERS                                                                                              \
    {"device", "NAME", "of this device"},                                                                    \
        {"state", "STATE", "queued, sent, running, done, failed, expired or cancelled"},                     \
        {"type", "TYPE", "of this type"}, {"by", "WHO", "ordered by this caller"},                           \
        {"rollout", "ID", "of this rollout"}, {"since", "DURATION", "created within this time, as 24h"},     \
        {"limit", "N", "how many, at most 1000 (default 50)"}, {"before", "NUMBER", "older than this one"},  \
    {                                                                                                        \
        0                                                                                                    \
    }

const command_t command_commands[] = {
    {"command",
     "send",
     "DEVICE[,DEVICE...] TYPE",
     "give a device a command, or several the same",
     2,
     2,
     send,
     {{"params", "JSON|@FILE", "parameters, an object"},
      {"priority", "PRIORITY", "urgent, normal (default) or bulk"},
      {"ttl", "DURATION", "how long it is valid (default 10m); a device that is away longer does not get it"},
      {"id", "ID", "for one device: given again, it is the same command"},
      {"follow", NULL, "wait for the end, with progress"},
      {0}}},
    {"command", "list", "", "commands, the newest first", 0, 0, list, {FILTERS}},
    {"command",
     "show",
     "ID",
     "one command, who ordered it, its way and its result",
     1,
     1,
     show,
     {{"follow", NULL, "wait for the end, with progress"}, {0}}},
    {"command", "cancel", "ID", "cancel a command that its device has not been given", 1, 1, cancel, {{0}}},
    {"command", "history", "", "who ordered what, when, and what became of it", 0, 0, history, {FILTERS}},
    {0},
};
