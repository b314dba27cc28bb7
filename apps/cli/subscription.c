/* Who gets records and alarms: ridge subscription (docs/rest-api.md). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "cli.h"
#include "ridge/base/alloc.h"
#include "ridge/base/config.h"
#include "ridge/base/file.h"

#define SECRET_FILE_MAX 256
#define CA_FILE_MAX (64u << 10)

static rdg_err_t add_filter(const cli_t *cli, json_t *body) {
    static const char *const names[] = {"kind", "device", "group", "site"};
    json_t *filter = json_object(), *types = NULL;
    json_object_set_new(body, "filter", filter);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i)
        if (cli_flag(cli, names[i], NULL))
            json_object_set_new(filter, names[i], json_string(cli_flag(cli, names[i], "")));
    if (!cli_flag(cli, "type", NULL)) return RDG_OK;
    rdg_err_t err = cli_names(cli, "type", &types);
    json_object_set_new(filter, "types", types);
    return err;
}

/* A secret is in no argument: others on the machine could read it there. */
static rdg_err_t add_secret(const cli_t *cli, json_t *body) {
    const char *path = cli_flag(cli, "secret-file", NULL);
    rdg_buf_t text;
    if (!path) return RDG_OK;
    rdg_buf_init(&text, SECRET_FILE_MAX);
    rdg_err_t err = rdg_file_read(path, &text);
    if (err == RDG_OK) {
        char *secret = rdg_strdup(rdg_buf_cstr(&text));
        if (secret) secret[strcspn(secret, "\r\n")] = '\0';
        json_object_set_new(body, "secret", json_string(secret));
        if (secret) rdg_secure_zero(secret, strlen(secret));
        rdg_free(secret);
    }
    rdg_buf_fini(&text);
    return err;
}

static rdg_err_t add_ca(const cli_t *cli, json_t *body) {
    const char *path = cli_flag(cli, "ca", NULL);
    rdg_buf_t pem;
    if (!path) return RDG_OK;
    rdg_buf_init(&pem, CA_FILE_MAX);
    rdg_err_t err = rdg_file_read(path, &pem);
    json_t *text = err == RDG_OK ? json_stringn((const char *)pem.data, pem.len) : NULL;
    if (err == RDG_OK && !text)
        err = rdg_fail(RDG_E_INVALID, "%s: want certificates of CAs in PEM form", path);
    if (text) json_object_set_new(body, "ca", text);
    rdg_buf_fini(&pem);
    return rdg_fail_in(err, "--ca");
}

static rdg_err_t add_rest(const cli_t *cli, json_t *body) {
    uint64_t give_up;
    const char *webhook = cli_flag(cli, "webhook", NULL);
    if (cli_has(cli, "mqtt") == (webhook != NULL))
        return rdg_fail(RDG_E_INVALID, "where to? give either --webhook URL or --mqtt");
    if (webhook) json_object_set_new(body, "webhook", json_string(webhook));
    if (cli_has(cli, "mqtt")) json_object_set_new(body, "mqtt", json_true());
    if (cli_has(cli, "from-start")) json_object_set_new(body, "from", json_string("start"));
    if (cli_flag(cli, "give-up", NULL)) {
        RDG_TRY(rdg_fail_in(rdg_parse_ms(cli_flag(cli, "give-up", ""), &give_up), "--give-up"));
        json_object_set_new(body, "give_up_ms", json_integer((json_int_t)give_up));
    }
    if (cli_has(cli, "tenant")) json_object_set_new(body, "tenant", json_string(cli_flag(cli, "tenant", "")));
    RDG_TRY(add_filter(cli, body));
    RDG_TRY(add_ca(cli, body));
    return add_secret(cli, body);
}

static void say_secrets(const json_t *answer) {
    if (json_object_get(answer, "secret"))
        printf("\nThe secret of its signatures, shown this once: %s\n", out_raw(answer, "secret"));
    if (json_object_get(answer, "password"))
        printf("\nUser at the cloud's broker: %s\nIts password, shown this once: %s\n",
               out_raw(answer, "user"), out_raw(answer, "password"));
}

static void print_one(const cli_t *cli, const json_t *answer) {
    if (cli->json) {
        out_json(answer);
        return;
    }
    out_fields(answer,
               COLUMNS("NAME=name", "TENANT=tenant", "TARGET=target", "URL=url", "ROOTS=roots", "TOPIC=topic",
                       "STATE=state", "ERROR=error", "KIND=filter.kind", "DEVICE=filter.device",
                       "GROUP=filter.group", "SITE=filter.site", "DELIVERED=delivered", "DEAD=dead",
                       "TRIES=tries", "LAST=last_ms", "RECORDS AFTER=records_after",
                       "ALARMS AFTER=alarms_after", "CREATED=created_ms"));
    say_secrets(answer);
    const json_t *dead = json_object_get(answer, "dead_letters");
    if (json_array_size(dead) == 0) return;
    printf("\n");
    out_table(dead, COLUMNS("DEAD LETTERS=source", "FIRST=first", "LAST=last", "EVENTS=count", "TRIES=tries",
                            "AT=at_ms", "ERROR=error"));
}

static rdg_err_t create(cli_t *cli) {
    json_t *answer = NULL, *body = json_pack("{s:s}", "name", cli->args[0]);
    rdg_err_t err = cli_component("subscription", cli->args[0]);
    if (err == RDG_OK) err = add_rest(cli, body);
    if (err != RDG_OK) {
        json_decref(body);
        return err;
    }
    RDG_TRY(cli_call(cli, "POST", body, &answer, "/subscriptions"));
    print_one(cli, answer);
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t list(cli_t *cli) {
    json_t *answer = NULL;
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/subscriptions"));
    if (cli->json)
        out_json(answer);
    else
        out_table(json_object_get(answer, "subscriptions"),
                  COLUMNS("NAME=name", "TENANT=tenant", "TARGET=target", "URL=url", "STATE=state",
                          "DELIVERED=delivered", "DEAD=dead", "TRIES=tries", "LAST=last_ms", "ERROR=error"));
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t show(cli_t *cli) {
    json_t *answer = NULL;
    RDG_TRY(cli_component("subscription", cli->args[0]));
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/subscriptions/%s", cli->args[0]));
    print_one(cli, answer);
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t rm(cli_t *cli) {
    RDG_TRY(cli_component("subscription", cli->args[0]));
    RDG_TRY(cli_call(cli, "DELETE", NULL, NULL, "/subscriptions/%s", cli->args[0]));
    if (!cli->json) printf("subscription %s is removed\n", cli->args[0]);
    return RDG_OK;
}

static rdg_err_t test(cli_t *cli) {
    json_t *answer = NULL;
    RDG_TRY(cli_component("subscription", cli->args[0]));
    RDG_TRY(cli_call(cli, "POST", NULL, &answer, "/subscriptions/%s/test", cli->args[0]));
    int64_t status = json_integer_value(json_object_get(answer, "status"));
    bool taken = json_is_true(json_object_get(answer, "taken"));
    if (cli->json)
        out_json(answer);
    else if (status == 0)
        printf("published\n");
    else
        printf("HTTP %" PRId64 " after %s ms\n", status, out_text(answer, "ms"));
    json_decref(answer);
    return taken ? RDG_OK
                 : rdg_fail(RDG_E_UNAVAILABLE, "the subscriber has not taken it: HTTP %" PRId64 ", want 2xx",
                            status);
}

static rdg_err_t turn(cli_t *cli) {
    static const char *const marks[][2] = {{"records-after", "records_after"},
                                           {"alarms-after", "alarms_after"}};
    json_t *answer = NULL, *body = json_object();
    uint64_t v;
    rdg_err_t err = cli_component("subscription", cli->args[0]);
    for (size_t i = 0; err == RDG_OK && i < 2; ++i) {
        if (!cli_flag(cli, marks[i][0], NULL)) continue;
        err = cli_number(cli, marks[i][0], 0, &v);
        json_object_set_new(body, marks[i][1], json_integer((json_int_t)v));
    }
    if (err != RDG_OK) {
        json_decref(body);
        return err;
    }
    RDG_TRY(cli_call(cli, "POST", body, &answer, "/subscriptions/%s/%s", cli->args[0], cli->command->verb));
    print_one(cli, answer);
    json_decref(answer);
    return RDG_OK;
}

const command_t subscription_commands[] = {
    {"subscription",
     "create",
     "NAME",
     "deliver records and alarms to a webhook, or by the cloud's broker",
     1,
     1,
     create,
     {{"webhook", "URL", "to POST to, https:// or http://"},
      {"ca", "FILE", "PEM: who must have certified an https:// URL (default: the system's roots)"},
      {"mqtt", NULL, "to topic subscriptions/_sub.NAME of the cloud's broker"},
      {"type", "TYPES", "record, alarm or both, with a comma (default both)"},
      {"kind", "KIND", "of this kind only"},
      {"device", "DEVICE", "of this device only"},
      {"group", "GROUP", "of devices of this group only"},
      {"site", "SITE", "of devices of this site only"},
      {"secret-file", "FILE", "with the secret of its signatures (default: a new one, shown once)"},
      {"give-up", "DURATION", "how long a delivery is tried (default 3d)"},
      {"tenant", "TENANT", "of this tenant's devices only, and its own (default: of all, the cloud's own)"},
      {"from-start", NULL, "also what the cloud has already"},
      {0}}},
    {"subscription", "list", "", "subscriptions and how they are", 0, 0, list, {{0}}},
    {"subscription", "show", "NAME", "one of them, with what it has not taken", 1, 1, show, {{0}}},
    {"subscription", "rm", "NAME", "remove a subscription", 1, 1, rm, {{0}}},
    {"subscription", "test", "NAME", "send it a test event now", 1, 1, test, {{0}}},
    {"subscription", "pause", "NAME", "deliver nothing for now", 1, 1, turn, {{0}}},
    {"subscription",
     "resume",
     "NAME",
     "deliver again, at once",
     1,
     1,
     turn,
     {{"records-after", "NUMBER", "once more from behind this record"},
      {"alarms-after", "NUMBER", "once more from behind this change of an alarm"},
      {0}}},
    {0},
};
