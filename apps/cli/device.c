#include "command.h"
#include "ridge/base/config.h"
#include <stdio.h>
#include <string.h>

static rdg_err_t list_query(cli_t *cli, char *out, size_t size) {
    static const char *const names[] = {"group", "site", "state", "after"};
    uint64_t limit;
    RDG_TRY(cli_number(cli, "limit", 1000, &limit));
    int n = snprintf(out, size, "limit=%llu", (unsigned long long)limit);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        const char *value = cli_flag(cli, names[i], NULL);
        if (!value) continue;
        RDG_TRY(cli_component(names[i], value));
        n += snprintf(out + n, size - (size_t)n, "&%s=%s", names[i], value);
    }
    const char *label = cli_flag(cli, "label", NULL);
    if (!label) return RDG_OK;
    if (strspn(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/-=,") !=
            strlen(label) ||
        snprintf(out + n, size - (size_t)n, "&label=%s", label) >= (int)(size - (size_t)n))
        return rdg_fail(RDG_E_INVALID, "--label wants KEY=VALUE, several with commas between");
    return RDG_OK;
}

static rdg_err_t list(cli_t *cli) {
    char query[800];
    json_t *answer = NULL;
    RDG_TRY(list_query(cli, query, sizeof query));
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/devices?%s", query));
    if (cli->json) {
        out_json(answer);
    } else {
        out_table(json_object_get(answer, "devices"),
                  COLUMNS("NAME=name", "STATE=state", "LAST SEEN=last_seen_ms", "GROUP=group", "SITE=site",
                          "ARCH=arch", "DRIVERS=drivers", "AGENT=agent_version", "AGENT KIB=agent_rss_kib",
                          "TENANT=tenant"));
        if (json_is_string(json_object_get(answer, "more_after")))
            printf("(more: --after %s)\n", out_text(answer, "more_after"));
    }
    json_decref(answer);
    return RDG_OK;
}

static void print_labels(const json_t *labels) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)labels, key, value)
        printf("%-18s %s=%s\n", "Label", key, json_string_value(value));
}

/* Takes change. */
static rdg_err_t patch(cli_t *cli, json_t *change) {
    json_t *answer = NULL;
    rdg_err_t err = cli_component("device", cli->args[0]);
    if (err != RDG_OK) {
        json_decref(change);
        return err;
    }
    RDG_TRY(cli_call(cli, "PATCH", change, &answer, "/devices/%s", cli->args[0]));
    if (cli->json) {
        out_json(answer);
    } else {
        out_fields(answer, COLUMNS("Name=name", "Group=group", "Site=site", "Location=location"));
        print_labels(json_object_get(answer, "labels"));
    }
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t label(cli_t *cli) {
    json_t *labels = json_object();
    for (size_t i = 1; i < cli->arg_count; ++i) {
        char key[80];
        const char *text = cli->args[i], *equals = strchr(text, '=');
        size_t len = equals ? (size_t)(equals - text) : strlen(text);
        bool removes = !equals && len > 1 && text[len - 1] == '-';
        if (len >= sizeof key || (!equals && !removes)) {
            json_decref(labels);
            return rdg_fail(RDG_E_INVALID, "'%.64s': want KEY=VALUE, or KEY- to take a label away", text);
        }
        snprintf(key, sizeof key, "%.*s", (int)(removes ? len - 1 : len), text);
        json_object_set_new(labels, key, removes ? json_null() : json_string(equals + 1));
    }
    return patch(cli, json_pack("{s:o}", "labels", labels));
}

static rdg_err_t set(cli_t *cli) {
    static const char *const names[] = {"group", "site", "location"};
    json_t *change = json_object();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        const char *value = cli_flag(cli, names[i], NULL);
        if (value) json_object_set_new(change, names[i], *value ? json_string(value) : json_null());
    }
    if (json_object_size(change) > 0) return patch(cli, change);
    json_decref(change);
    return rdg_fail(RDG_E_INVALID, "nothing to set: give --group, --site or --location");
}

/* One line for each; who has to act sees it in capitals. */
static void print_certificates(const json_t *list) {
    const json_t *c;
    size_t i;
    json_array_foreach(list, i, c) {
        const json_t *chain = json_object_get(c, "chain");
        bool alarm = json_is_true(json_object_get(c, "alarm"));
        printf("%-18s until %s%s\n", json_string_length(chain) ? json_string_value(chain) : "Certificates",
               out_text(c, "not_after_ms"),
               alarm ? ": NOT RENEWED, less than a tenth of its life is left" : "");
    }
}

static rdg_err_t show(cli_t *cli) {
    json_t *answer = NULL;
    RDG_TRY(cli_component("device", cli->args[0]));
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/devices/%s", cli->args[0]));
    if (cli->json)
        out_json(answer);
    else {
        out_fields(answer,
                   COLUMNS("Name=name", "State=state", "Last seen=last_seen_ms", "Public key=public_key",
                           "Architecture=arch", "Agent=agent_version", "Drivers=drivers", "Group=group",
                           "Site=site", "Location=location", "Tenant=tenant"));
        print_labels(json_object_get(answer, "labels"));
        print_certificates(json_object_get(answer, "certificates"));
        if (json_array_size(json_object_get(answer, "chains")) > 0) printf("\n");
        out_table(json_object_get(answer, "chains"), COLUMNS("CHAIN=chain", "STATE=state", "HEIGHT=height",
                                                             "PEERS=peers", "POOL=pool", "NODE KIB=rss_kib"));
    }
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t rm(cli_t *cli) {
    RDG_TRY(cli_component("device", cli->args[0]));
    RDG_TRY(cli_call(cli, "DELETE", NULL, NULL, "/devices/%s", cli->args[0]));
    if (!cli->json) printf("device %s is removed: its credentials are no longer accepted\n", cli->args[0]);
    return RDG_OK;
}

static rdg_err_t update(cli_t *cli) {
    const char *sha256 = cli_flag(cli, "sha256", NULL);
    if (!sha256)
        return rdg_fail(RDG_E_INVALID, "--sha256 is missing: deploy/image/build prints it as \"program\"");
    return command_give(cli, json_pack("{s:s, s:{s:s, s:s}}", "type", "agent.update", "params", "image",
                                       cli->args[1], "sha256", sha256));
}

const command_t device_commands[] = {
    {"device",
     "list",
     "",
     "the enrolled devices",
     0,
     0,
     list,
     {{"group", "NAME", "of this group"},
      {"site", "NAME", "at this site"},
      {"label", "KEY=VALUE[,...]", "with these labels"},
      {"state", "STATE", "online or offline"},
      {"after", "NAME", "those behind this one, by name"},
      {"limit", "N", "how many, at most 1000 (default 1000)"},
      {0}}},
    {"device",
     "label",
     "DEVICE KEY=VALUE|KEY-...",
     "give a device labels, or take them away",
     2,
     CLI_ARGS_MAX,
     label,
     {{0}}},
    {"device",
     "set",
     "DEVICE",
     "say where a device belongs",
     1,
     1,
     set,
     {{"group", "NAME", "its group; empty: none"},
      {"site", "NAME", "its site; empty: none"},
      {"location", "TEXT", "its place, for people; empty: none"},
      {0}}},
    {"device", "show", "DEVICE", "one device and the chains on it", 1, 1, show, {{0}}},
    {"device",
     "update",
     "DEVICE[,DEVICE...] IMAGE",
     "bring a new agent; one that does not reach the cloud gives way to the one before",
     2,
     2,
     update,
     {{"sha256", "HEX", "of the agent's program in the image, as deploy/image/build prints it"},
      {"ttl", "DURATION", "how long the order is valid (default 10m)"},
      {"follow", NULL, "wait for the end, with progress"},
      {0}}},
    {"device", "rm", "DEVICE", "revoke a device that holds no chain", 1, 1, rm, {{0}}},
    {0},
};
