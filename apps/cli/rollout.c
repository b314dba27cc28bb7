#include "command.h"
#include "ridge/base/config.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static rdg_err_t print(cli_t *cli, json_t *rollout) {
    if (cli->json)
        out_json(rollout);
    else
        out_fields(rollout,
                   COLUMNS("Rollout=id", "Type=type", "State=state", "Why=reason", "Ordered by=ordered_by",
                           "Priority=priority", "Devices=total", "Batch size=batch_size",
                           "Batches ordered=batches", "Pause ms=pause_ms", "Stops above %=stop_percent",
                           "Waiting=counts.waiting", "Ordered=counts.ordered", "Done=counts.done",
                           "Failed=counts.failed", "Unanswered=counts.unanswered", "Expired=counts.expired",
                           "Refused=counts.refused", "Cancelled=counts.cancelled", "Created=created_ms",
                           "Ended=ended_ms"));
    json_decref(rollout);
    return RDG_OK;
}

/* Takes rollout; a line with the counts whenever a device has ended, until it runs no more. */
static rdg_err_t follow(cli_t *cli, json_t *rollout) {
    char id[80], last[200] = "";
    snprintf(id, sizeof id, "%s", out_raw(rollout, "id"));
    for (;;) {
        char now[200];
        json_int_t ended = json_integer_value(json_object_get(json_object_get(rollout, "counts"), "ended"));
        snprintf(now, sizeof now, "%s: %lld of %s devices have ended, %s done, %s failed",
                 out_raw(rollout, "state"), (long long)ended, out_text(rollout, "total"),
                 out_text(rollout, "counts.done"), out_text(rollout, "counts.failed"));
        if (!cli->json && strcmp(now, last) != 0) fprintf(stderr, "%s\n", now);
        memcpy(last, now, sizeof last);
        if (strcmp(out_raw(rollout, "state"), "running") != 0) break;
        json_decref(rollout);
        rollout = NULL;
        RDG_TRY(cli_call(cli, "GET", NULL, &rollout, "/rollouts/%s?wait_ms=20000&seen=%lld", id,
                         (long long)ended));
    }
    bool done = strcmp(out_raw(rollout, "state"), "done") == 0;
    snprintf(last, sizeof last, "rollout %s is %s: %.100s", id, out_raw(rollout, "state"),
             out_raw(rollout, "reason"));
    RDG_TRY(print(cli, rollout));
    return done ? RDG_OK : rdg_fail(RDG_E_CONFLICT, "%s", last);
}

static rdg_err_t labels_of(const char *text, json_t *selector) {
    json_t *labels = json_object();
    char part[160];
    for (const char *p = text; *p; p += strcspn(p, ","), p += *p == ',') {
        size_t len = strcspn(p, ",");
        snprintf(part, sizeof part, "%.*s", (int)len, p);
        char *equals = strchr(part, '=');
        if (!equals || len >= sizeof part) {
            json_decref(labels);
            return rdg_fail(RDG_E_INVALID, "--label wants KEY=VALUE, several with commas between");
        }
        *equals = '\0';
        json_object_set_new(labels, part, json_string(equals + 1));
    }
    json_object_set_new(selector, "labels", labels);
    return RDG_OK;
}

static rdg_err_t selector_of(cli_t *cli, json_t *selector) {
    static const char *const names[] = {"group", "site"};
    if (cli_has(cli, "devices")) {
        json_t *list;
        rdg_err_t err = cli_names(cli, "devices", &list);
        json_object_set_new(selector, "devices", list);
        return err;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i)
        if (cli_has(cli, names[i]))
            json_object_set_new(selector, names[i], json_string(cli_flag(cli, names[i], "")));
    if (cli_has(cli, "all")) json_object_set_new(selector, "all", json_true());
    return cli_has(cli, "label") ? labels_of(cli_flag(cli, "label", ""), selector) : RDG_OK;
}

static rdg_err_t number_into(cli_t *cli, const char *flag, const char *field, json_t *body) {
    uint64_t v;
    if (!cli_has(cli, flag)) return RDG_OK;
    RDG_TRY(cli_number(cli, flag, 0, &v));
    json_object_set_new(body, field, json_integer((json_int_t)v));
    return RDG_OK;
}

static rdg_err_t duration_into(cli_t *cli, const char *flag, const char *field, json_t *body) {
    uint64_t v;
    const char *text = cli_flag(cli, flag, NULL);
    if (!text) return RDG_OK;
    RDG_TRY(rdg_fail_in(rdg_parse_ms(text, &v), "--%s", flag));
    json_object_set_new(body, field, json_integer((json_int_t)v));
    return RDG_OK;
}

static rdg_err_t policy_into(cli_t *cli, json_t *body) {
    const char *batch = cli_flag(cli, "batch", NULL);
    uint64_t v;
    if (batch && *batch) {
        size_t len = strlen(batch);
        char digits[24];
        bool percent = batch[len - 1] == '%';
        snprintf(digits, sizeof digits, "%.*s", (int)(percent ? len - 1 : len), batch);
        RDG_TRY(rdg_fail_in(rdg_parse_u64(digits, &v), "--batch"));
        json_object_set_new(body, percent ? "batch_percent" : "batch_size", json_integer((json_int_t)v));
    }
    RDG_TRY(number_into(cli, "stop-at", "stop_percent", body));
    RDG_TRY(duration_into(cli, "pause", "pause_ms", body));
    return duration_into(cli, "valid", "valid_ms", body);
}

static rdg_err_t create(cli_t *cli) {
    json_t *body = NULL, *rollout = NULL;
    RDG_TRY(command_order(cli, cli->args[0], &body));
    json_t *selector = json_object();
    json_object_set(body, "selector", selector);
    rdg_err_t err = selector_of(cli, selector);
    json_decref(selector);
    if (err == RDG_OK) err = policy_into(cli, body);
    if (err != RDG_OK) {
        json_decref(body);
        return err;
    }
    RDG_TRY(cli_call(cli, "POST", body, &rollout, "/rollouts"));
    return cli_has(cli, "follow") ? follow(cli, rollout) : print(cli, rollout);
}

static rdg_err_t list(cli_t *cli) {
    json_t *answer = NULL;
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/rollouts"));
    if (cli->json)
        out_json(answer);
    else
        out_table(json_object_get(answer, "rollouts"),
                  COLUMNS("ROLLOUT=id", "TYPE=type", "STATE=state", "DEVICES=total", "ENDED=counts.ended",
                          "DONE=counts.done", "FAILED=counts.failed", "BY=ordered_by", "CREATED=created_ms"));
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t show_devices(cli_t *cli, const char *state) {
    char query[96];
    json_t *answer = NULL;
    snprintf(query, sizeof query, "limit=1000%s%s", *state ? "&state=" : "", state);
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/rollouts/%s/devices?%s", cli->args[0], query));
    if (cli->json)
        out_json(answer);
    else
        out_table(json_object_get(answer, "devices"), COLUMNS("DEVICE=device", "BATCH=batch", "STATE=state",
                                                              "COMMAND=command", "MESSAGE=message"));
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t show(cli_t *cli) {
    json_t *rollout = NULL;
    RDG_TRY(cli_component("rollout", cli->args[0]));
    if (cli_has(cli, "state")) RDG_TRY(cli_component("state", cli_flag(cli, "state", "")));
    if (cli_has(cli, "devices") || cli_has(cli, "state"))
        return show_devices(cli, cli_flag(cli, "state", ""));
    RDG_TRY(cli_call(cli, "GET", NULL, &rollout, "/rollouts/%s", cli->args[0]));
    return cli_has(cli, "follow") ? follow(cli, rollout) : print(cli, rollout);
}

static rdg_err_t act(cli_t *cli, const char *verb, json_t *body) {
    json_t *rollout = NULL;
    rdg_err_t err = cli_component("rollout", cli->args[0]);
    if (err != RDG_OK) {
        json_decref(body);
        return err;
    }
    RDG_TRY(cli_call(cli, "POST", body, &rollout, "/rollouts/%s/%s", cli->args[0], verb));
    return cli_has(cli, "follow") ? follow(cli, rollout) : print(cli, rollout);
}

static rdg_err_t pause_it(cli_t *cli) {
    return act(cli, "pause", NULL);
}

static rdg_err_t resume(cli_t *cli) {
    json_t *body = json_object();
    rdg_err_t err = number_into(cli, "stop-at", "stop_percent", body);
    if (err == RDG_OK) err = number_into(cli, "batch", "batch_size", body);
    if (err != RDG_OK) {
        json_decref(body);
        return err;
    }
    return act(cli, "resume", body);
}

static rdg_err_t cancel(cli_t *cli) {
    return act(cli, "cancel", NULL);
}

const command_t rollout_commands[] = {
    {"rollout",
     "create",
     "TYPE",
     "give many devices a command, batch after batch",
     1,
     1,
     create,
     {{"devices", "NAME[,NAME...]", "these devices"},
      {"group", "NAME", "the devices of this group"},
      {"site", "NAME", "the devices at this site"},
      {"label", "KEY=VALUE[,...]", "the devices with these labels; group, site and labels have to fit all"},
      {"all", NULL, "every device"},
      {"params", "JSON|@FILE", "parameters, an object"},
      {"batch", "N|P%", "devices in a batch (default 10%)"},
      {"pause", "DURATION", "between two batches (default none)"},
      {"stop-at", "PERCENT", "stop when more than this share of the devices reached failed (default 10)"},
      {"valid", "DURATION", "how long a device that is away may still get its command (default 24h)"},
      {"priority", "PRIORITY", "urgent, normal (default) or bulk"},
      {"id", "ID", "its name; given again, it is the same rollout"},
      {"follow", NULL, "wait for the end, with the count of devices"},
      {0}}},
    {"rollout", "list", "", "rollouts, the newest first", 0, 0, list, {{0}}},
    {"rollout",
     "show",
     "ID",
     "how far it is; or its devices",
     1,
     1,
     show,
     {{"devices", NULL, "its devices"},
      {"state", "STATE",
       "only those: waiting, ordered, done, failed, unanswered, expired, refused, cancelled"},
      {"follow", NULL, "wait for the end, with the count of devices"},
      {0}}},
    {"rollout", "pause", "ID", "take back what no device was given, and wait", 1, 1, pause_it, {{0}}},
    {"rollout",
     "resume",
     "ID",
     "go on with one that was paused or has stopped",
     1,
     1,
     resume,
     {{"stop-at", "PERCENT", "from now on"},
      {"batch", "N", "from now on"},
      {"follow", NULL, "wait for the end, with the count of devices"},
      {0}}},
    {"rollout", "cancel", "ID", "end it: what no device was given goes to none", 1, 1, cancel, {{0}}},
    {0},
};
