#include "command.h"
#include "ridge/base/config.h"
#include <stdio.h>

static rdg_err_t list(cli_t *cli) {
    json_t *answer = NULL;
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/devices"));
    if (cli->json)
        out_json(answer);
    else
        out_table(json_object_get(answer, "devices"),
                  COLUMNS("NAME=name", "STATE=state", "LAST SEEN=last_seen_ms", "ARCH=arch",
                          "DRIVERS=drivers", "AGENT=agent_version", "AGENT KIB=agent_rss_kib"));
    json_decref(answer);
    return RDG_OK;
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
                           "Architecture=arch", "Agent=agent_version", "Drivers=drivers"));
        print_certificates(json_object_get(answer, "certificates"));
        if (json_array_size(json_object_get(answer, "chains")) > 0) printf("\n");
        out_table(json_object_get(answer, "chains"), COLUMNS("CHAIN=chain", "STATE=state", "HEIGHT=height",
                                                             "PEERS=peers", "POOL=pool", "NODE KIB=rss_kib"));
    }
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t token(cli_t *cli) {
    uint64_t count, ttl_ms;
    json_t *answer = NULL, *entry;
    size_t i;
    RDG_TRY(cli_number(cli, "count", 1, &count));
    RDG_TRY(rdg_fail_in(rdg_parse_ms(cli_flag(cli, "ttl", "24h"), &ttl_ms), "--ttl"));
    json_t *body = json_pack("{s:I, s:I}", "count", (json_int_t)count, "ttl_s", (json_int_t)(ttl_ms / 1000));
    RDG_TRY(cli_call(cli, "POST", body, &answer, "/device-tokens"));
    if (cli->json)
        out_json(answer);
    else
        json_array_foreach(json_object_get(answer, "tokens"), i, entry)
            printf("%s\n", out_text(entry, "token"));
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
    {"device", "list", "", "the enrolled devices", 0, 0, list, {{0}}},
    {"device", "show", "DEVICE", "one device and the chains on it", 1, 1, show, {{0}}},
    {"device",
     "token",
     "",
     "make one-time tokens with which devices enrol",
     0,
     0,
     token,
     {{"count", "N", "how many (default 1)"},
      {"ttl", "DURATION", "how long they are accepted (default 24h)"},
      {0}}},
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
