/* Who becomes a device: tokens, requests that wait for an operator, hardware that is replaced or shut out. */
#include "cli.h"
#include "ridge/base/config.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "7d", "24h": seconds of a flag, or of --ttl, which is its older name. */
static rdg_err_t lifetime(cli_t *cli, const char *fallback, json_t *body) {
    uint64_t ms;
    const char *text = cli_flag(cli, "expires", NULL), *typed = text ? "--expires" : "--ttl";
    if (!text) text = cli_flag(cli, "ttl", fallback);
    if (!text) return RDG_OK;
    RDG_TRY(rdg_fail_in(rdg_parse_ms(text, &ms), "%s", typed));
    json_object_set_new(body, "ttl_s", json_integer((json_int_t)(ms / 1000)));
    return RDG_OK;
}

/* "k=v,k2=v2" */
static rdg_err_t read_labels(const char *text, json_t *body) {
    json_t *labels = json_object();
    json_object_set_new(body, "labels", labels);
    for (const char *p = text; *p;) {
        char key[80];
        size_t len = strcspn(p, ","), k = strcspn(p, "=,");
        if (p[k] != '=' || k >= sizeof key)
            return rdg_fail(RDG_E_INVALID, "--labels wants KEY=VALUE, several with commas between");
        snprintf(key, sizeof key, "%.*s", (int)k, p);
        json_object_set_new(labels, key, json_stringn(p + k + 1, len - k - 1));
        p += len + (p[len] == ',');
    }
    return RDG_OK;
}

static rdg_err_t token_body(cli_t *cli, json_t *body) {
    static const char *const names[] = {"group", "site", "location", "device", "tenant"};
    uint64_t count, uses;
    RDG_TRY(cli_number(cli, "count", 1, &count));
    RDG_TRY(cli_number(cli, "uses", 1, &uses));
    json_object_set_new(body, "count", json_integer((json_int_t)count));
    json_object_set_new(body, "uses", json_integer((json_int_t)uses));
    RDG_TRY(lifetime(cli, "24h", body));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        const char *value = cli_flag(cli, names[i], NULL);
        if (value) json_object_set_new(body, names[i], json_string(value));
    }
    if (cli_has(cli, "approve")) json_object_set_new(body, "approve", json_true());
    const char *labels = cli_flag(cli, "labels", NULL);
    return labels ? read_labels(labels, body) : RDG_OK;
}

static rdg_err_t token(cli_t *cli) {
    json_t *body = json_object(), *answer = NULL, *entry;
    size_t i;
    rdg_err_t err = token_body(cli, body);
    if (err != RDG_OK) {
        json_decref(body);
        return err;
    }
    RDG_TRY(cli_call(cli, "POST", body, &answer, "/device-tokens"));
    if (cli->json)
        out_json(answer);
    else
        json_array_foreach(json_object_get(answer, "tokens"), i, entry)
            printf("%s\n", out_raw(entry, "token"));
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t revoke_token(cli_t *cli, const char *id) {
    json_t *answer = NULL;
    RDG_TRY(cli_component("token", id));
    RDG_TRY(cli_call(cli, "POST", NULL, &answer, "/device-tokens/%s/revoke", id));
    if (cli->json)
        out_json(answer);
    else
        printf("token %s is revoked: %s of its %s uses were made, and their devices stay\n", id,
               out_text(answer, "used"), out_text(answer, "uses"));
    json_decref(answer);
    return RDG_OK;
}

/* All pages of a list, in one array. Owned. */
static rdg_err_t fetch_all(cli_t *cli, const char *path, const char *field, json_t **out) {
    json_t *all = json_array();
    char after[80] = "";
    rdg_err_t err;
    for (;;) {
        json_t *page = NULL;
        err = cli_call(cli, "GET", NULL, &page, "%s?limit=1000%s%s", path, after[0] ? "&after=" : "", after);
        if (err != RDG_OK) break;
        json_array_extend(all, json_object_get(page, field));
        const json_t *more = json_object_get(page, "more_after");
        bool last = !more || json_is_null(more);
        if (!last) snprintf(after, sizeof after, "%s", out_text(page, "more_after"));
        json_decref(page);
        if (last) break;
    }
    if (err != RDG_OK) {
        json_decref(all);
        return err;
    }
    *out = all;
    return RDG_OK;
}

static rdg_err_t tokens(cli_t *cli) {
    const char *id = cli_flag(cli, "revoke", NULL);
    json_t *list = NULL;
    if (id) return revoke_token(cli, id);
    RDG_TRY(fetch_all(cli, "/device-tokens", "tokens", &list));
    if (cli->json) {
        json_t *o = json_pack("{s:O}", "tokens", list);
        out_json(o);
        json_decref(o);
    } else {
        out_table(list, COLUMNS("TOKEN=id", "STATE=state", "USED=used", "OF=uses", "EXPIRES=expires_ms",
                                "GROUP=group", "DEVICE=device", "APPROVE=approve", "TENANT=tenant", "BY=by"));
    }
    json_decref(list);
    return RDG_OK;
}

/* --- requests that wait ------------------------------------------------------------------------------ */

static rdg_err_t pending(cli_t *cli) {
    json_t *list = NULL;
    RDG_TRY(fetch_all(cli, "/device-requests", "requests", &list));
    if (cli->json) {
        json_t *o = json_pack("{s:O}", "requests", list);
        out_json(o);
        json_decref(o);
    } else if (json_array_size(list) == 0) {
        printf("no device waits\n");
    } else {
        out_table(list, COLUMNS("DEVICE=device", "KEY=key", "GROUP=group", "ARCH=arch", "AGENT=agent_version",
                                "FROM=from", "TOKEN=token", "ASKED=asked_ms", "LAST=last_ms"));
    }
    json_decref(list);
    return RDG_OK;
}

/* The request of a device by its name, and by its key where two claim one name. */
static rdg_err_t find_request(const json_t *list, const char *device, const char *key, json_int_t *number) {
    const json_t *r;
    size_t i, found = 0;
    json_array_foreach(list, i, r) {
        const char *k = out_raw(r, "key");
        if (strcmp(out_raw(r, "device"), device) != 0 || (key && strncmp(k, key, strlen(key)) != 0)) continue;
        *number = json_integer_value(json_object_get(r, "number"));
        ++found;
    }
    if (found == 1) return RDG_OK;
    if (found == 0)
        return rdg_fail(RDG_E_NOT_FOUND, "no device '%s'%s%s waits: see ridge device pending", device,
                        key ? " with key " : "", key ? key : "");
    return rdg_fail(
        RDG_E_CONFLICT,
        "%zu devices claim the name '%s': compare the key that the agent logs (enrol.pending) with "
        "'ridge device pending', and give it with --key",
        found, device);
}

static rdg_err_t decide(cli_t *cli, const char *verb, const char *device, const json_t *list,
                        json_t *decided) {
    json_t *body = json_object(), *answer = NULL;
    json_int_t number = 0;
    const char *reason = cli_flag(cli, "reason", NULL);
    rdg_err_t err = find_request(list, device, cli_flag(cli, "key", NULL), &number);
    if (err != RDG_OK) {
        json_decref(body);
        return err;
    }
    if (reason) json_object_set_new(body, "reason", json_string(reason));
    RDG_TRY(cli_call(cli, "POST", body, &answer, "/device-requests/%lld/%s", (long long)number, verb));
    json_array_append(decided, answer);
    if (!cli->json && strcmp(verb, "approve") == 0)
        printf("device %s (key %s) is approved: it enrols when it asks again\n", device,
               out_text(answer, "key"));
    else if (!cli->json)
        printf("device %s (key %s) is refused: its agent ends\n", device, out_text(answer, "key"));
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t decide_all(cli_t *cli, const char *verb) {
    json_t *list = NULL, *decided = json_array();
    rdg_err_t err = fetch_all(cli, "/device-requests", "requests", &list);
    for (size_t i = 0; err == RDG_OK && i < cli->arg_count; ++i)
        err = decide(cli, verb, cli->args[i], list, decided);
    json_t *o = json_pack("{s:o}", "requests", decided);
    if (cli->json) out_json(o);
    json_decref(o);
    json_decref(list);
    return err;
}

static rdg_err_t approve(cli_t *cli) {
    return decide_all(cli, "approve");
}

static rdg_err_t refuse(cli_t *cli) {
    return decide_all(cli, "refuse");
}

/* --- hardware that goes -------------------------------------------------------------------------------- */

/* What an operator still has to do: a node's keys never left the old hardware. */
static void print_chains(const json_t *answer) {
    const json_t *chain;
    size_t i;
    json_array_foreach(json_object_get(answer, "chains"), i, chain) {
        const char *name = json_string_value(chain);
        if (i == 0)
            fprintf(stderr, "\nThe keys of its nodes were on the old hardware alone, and cannot come back. "
                            "When the new one "
                            "is online:\n");
        fprintf(stderr, "  ridge chain validator remove %s %s && ridge chain validator add %s %s\n", name,
                out_raw(answer, "device"), name, out_raw(answer, "device"));
    }
    if (i > 0)
        fprintf(stderr,
                "Until then the chain goes on with one validator less; if it cannot without this one, see "
                "docs/recovery.md.\n");
}

static rdg_err_t replace(cli_t *cli) {
    json_t *body = json_object(), *answer = NULL;
    rdg_err_t err = cli_component("device", cli->args[0]);
    if (err == RDG_OK) err = lifetime(cli, "7d", body);
    if (err != RDG_OK) {
        json_decref(body);
        return err;
    }
    if (cli_has(cli, "keep-until-enrolled")) json_object_set_new(body, "at_once", json_false());
    if (cli_has(cli, "approve")) json_object_set_new(body, "approve", json_true());
    RDG_TRY(cli_call(cli, "POST", body, &answer, "/devices/%s/replace", cli->args[0]));
    if (cli->json) {
        out_json(answer);
    } else {
        printf("%s\n", out_raw(answer, "token"));
        fprintf(
            stderr,
            "With this token new hardware becomes device %s, until %s. The old hardware %s, and its key is "
            "never accepted again.\n",
            cli->args[0], out_text(answer, "expires_ms"),
            json_is_true(json_object_get(answer, "at_once")) ? "is shut out from now on"
                                                             : "works until then");
        print_chains(answer);
    }
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t revoke(cli_t *cli) {
    json_t *answer = NULL;
    RDG_TRY(cli_component("device", cli->args[0]));
    json_t *body = json_pack("{s:s}", "reason", cli_flag(cli, "reason", "unspecified"));
    RDG_TRY(cli_call(cli, "POST", body, &answer, "/devices/%s/revoke", cli->args[0]));
    if (cli->json)
        out_json(answer);
    else
        printf(
            "device %s is revoked, and its nodes: peers hear of it now; 'ridge device replace %s' brings new "
            "hardware in\n",
            cli->args[0], cli->args[0]);
    json_decref(answer);
    return RDG_OK;
}

const command_t device_enrol_commands[] = {
    {"device",
     "token",
     "",
     "make tokens with which devices enrol",
     0,
     0,
     token,
     {{"count", "N", "how many tokens (default 1)"},
      {"uses", "N", "for how many devices each is (default 1)"},
      {"expires", "DURATION", "how long they are accepted (default 24h)"},
      {"ttl", "DURATION", "the same"},
      {"group", "NAME", "group of the devices that enrol with them"},
      {"site", "NAME", "their site"},
      {"location", "TEXT", "their place, for people"},
      {"labels", "KEY=VALUE[,...]", "their labels"},
      {"tenant", "TENANT", "whose they are (default: default; with a tenant's token: its own)"},
      {"device", "NAME", "for this name alone"},
      {"approve", NULL, "each device waits until an operator approves it"},
      {0}}},
    {"device",
     "tokens",
     "",
     "the tokens, without their secrets; or revoke one",
     0,
     0,
     tokens,
     {{"revoke", "TOKEN", "this one enrols nobody any more"}, {0}}},
    {"device", "pending", "", "devices that wait to be approved", 0, 0, pending, {{0}}},
    {"device",
     "approve",
     "DEVICE...",
     "let devices in that wait",
     1,
     CLI_ARGS_MAX,
     approve,
     {{"key", "HEX", "the key that its agent logs, if several claim the name"}, {0}}},
    {"device",
     "refuse",
     "DEVICE...",
     "turn devices away that wait",
     1,
     CLI_ARGS_MAX,
     refuse,
     {{"key", "HEX", "the key that its agent logs, if several claim the name"},
      {"reason", "TEXT", "what the device is told"},
      {0}}},
    {"device",
     "replace",
     "DEVICE",
     "a token with which new hardware takes a device's place",
     1,
     1,
     replace,
     {{"expires", "DURATION", "how long it is accepted (default 7d)"},
      {"keep-until-enrolled", NULL, "the old hardware works until the new one enrols"},
      {"approve", NULL, "the new hardware waits until an operator approves it"},
      {0}}},
    {"device",
     "revoke",
     "DEVICE",
     "shut a device out, and its nodes",
     1,
     1,
     revoke,
     {{"reason", "REASON", "key-compromise, superseded, cessation, ... (default unspecified)"}, {0}}},
    {0},
};
