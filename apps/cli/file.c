#include "cli.h"
#include "ridge/base/config.h"
#include <inttypes.h>
#include <stdio.h>

/* What devices have sent, later than --after, of one --device or --kind: `what` is the list's name in the path and in the answer. */
static rdg_err_t list_sent(cli_t *cli, const char *what, const char *const *columns, size_t count) {
    const char *device = cli_flag(cli, "device", NULL), *kind = cli_flag(cli, "kind", NULL);
    uint64_t after;
    json_t *answer = NULL;
    if (device) RDG_TRY(cli_component("device", device));
    if (kind) RDG_TRY(cli_component("kind", kind));
    RDG_TRY(cli_number(cli, "after", 0, &after));
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/%s?limit=1000&after=%" PRIu64 "%s%s%s%s", what, after,
                     device ? "&device=" : "", device ? device : "", kind ? "&kind=" : "", kind ? kind : ""));
    if (cli->json)
        out_json(answer);
    else
        out_table(json_object_get(answer, what), columns, count);
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t list(cli_t *cli) {
    return list_sent(cli, "files",
                     COLUMNS("NUMBER=number", "DEVICE=device", "KIND=kind", "NAME=name", "BYTES=size",
                             "STORED=stored_ms", "SM3=sm3"));
}

static rdg_err_t records(cli_t *cli) {
    return list_sent(
        cli, "records",
        COLUMNS("NUMBER=number", "DEVICE=device", "KIND=kind", "ID=id", "AT=time_ms", "DATA=data"));
}

static rdg_err_t rm(cli_t *cli) {
    const char *typed = cli_flag(cli, "discard", NULL);
    uint64_t number;
    RDG_TRY(rdg_fail_in(rdg_parse_u64(cli->args[0], &number), "the number of a file"));
    if (typed) RDG_TRY(cli_component("file", typed));
    RDG_TRY(cli_call(cli, "DELETE", NULL, NULL, "/files/%" PRIu64 "%s%s", number, typed ? "?discard=" : "",
                     typed ? typed : ""));
    if (!cli->json) printf("file %" PRIu64 " is removed\n", number);
    return RDG_OK;
}

const command_t file_commands[] = {
    {"file",
     "list",
     "",
     "files that devices have uploaded",
     0,
     0,
     list,
     {{"device", "DEVICE", "of this device only"},
      {"kind", "KIND", "of this kind only"},
      {"after", "NUMBER", "only later ones"},
      {0}}},
    {"file",
     "rm",
     "NUMBER",
     "remove an uploaded file",
     1,
     1,
     rm,
     {{"discard", "NAME",
       "of an archive: the file's name again, since devices may have deleted what it holds"},
      {0}}},
    {"record",
     "list",
     "",
     "urgent records that devices have sent",
     0,
     0,
     records,
     {{"device", "DEVICE", "of this device only"},
      {"kind", "KIND", "of this kind only"},
      {"after", "NUMBER", "only later ones"},
      {0}}},
    {0},
};
