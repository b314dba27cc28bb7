/* ridge chain events: what has happened to a chain, and how far what is under way has come. */
#include <inttypes.h>
#include <stdio.h>
#include "cli.h"
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"

#define NUMBERED                                                                                             \
    COLUMNS("NUMBER=seq", "TIME=time_ms", "DEVICE=device", "STEP=step", "STATE=state", "WHAT=message")

static void print_line(const cli_t *cli, const json_t *event) {
    if (!cli->json) {
        printf("%s  %-16s %-32s %-10s %s\n", out_text(event, "time_ms"), out_text(event, "device"),
               out_text(event, "step"), out_text(event, "state"), out_raw(event, "message"));
        return;
    }
    char *text = rdg_json_text(event);
    if (text) printf("%s\n", text);
    rdg_free(text);
}

static rdg_err_t follow(cli_t *cli, const char *chain, uint64_t after) {
    for (;;) {
        json_t *answer = NULL, *event;
        size_t i;
        RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/chains/%s/events?after=%" PRIu64 "&wait_ms=20000",
                         chain, after));
        json_array_foreach(json_object_get(answer, "events"), i, event) {
            after = (uint64_t)json_integer_value(json_object_get(event, "seq"));
            print_line(cli, event);
        }
        fflush(stdout);
        json_decref(answer);
    }
}

static rdg_err_t events(cli_t *cli) {
    const char *chain = cli->args[0];
    json_t *answer = NULL;
    uint64_t after;
    RDG_TRY(cli_component("chain", chain));
    RDG_TRY(cli_number(cli, "after", 0, &after));
    if (cli_has(cli, "follow")) return follow(cli, chain, after);
    RDG_TRY(
        cli_call(cli, "GET", NULL, &answer, "/chains/%s/events?after=%" PRIu64 "&wait_ms=0", chain, after));
    if (cli->json)
        out_json(answer);
    else
        out_table(json_object_get(answer, "events"), NUMBERED);
    json_decref(answer);
    return RDG_OK;
}

const command_t chain_event_commands[] = {
    {"chain",
     "events",
     "CHAIN",
     "what has happened to a chain, step by step: the newest 1,000",
     1,
     1,
     events,
     {{"after", "NUMBER", "only later ones"},
      {"follow", NULL, "and what comes, until interrupted; with --json one object a line"},
      {0}}},
    {0},
};
