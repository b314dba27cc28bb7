/* Archives that the cloud takes of running chains; files of archives are archive.c's. */
#include "archive.h"
#include "cli.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define LOOK_NS 200000000

static void print_one(const json_t *a) {
    out_fields(a,
               COLUMNS("Archive=number", "Chain=chain", "State=state", "Device=device", "From block=from",
                       "To block=to", "Transactions=transactions", "Signatures=signatures", "Bytes=bytes",
                       "Manifest=manifest", "Content=content", "Anchored at=anchor_height", "Reason=error"));
}

/* `verified` is the end only where nothing is anchored. */
static bool ended(const char *state, bool anchors) {
    static const char *const ends[] = {"archived", "failed", "refused", "duplicate"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; ++i)
        if (strcmp(state, ends[i]) == 0) return true;
    return !anchors && strcmp(state, "verified") == 0;
}

static rdg_err_t outcome(const json_t *a) {
    const char *state = out_raw(a, "state"), *why = out_raw(a, "error");
    if (strcmp(state, "failed") != 0 && strcmp(state, "refused") != 0) return RDG_OK;
    return rdg_fail(strcmp(state, "refused") == 0 ? RDG_E_CONFLICT : RDG_E_UNAVAILABLE,
                    "the archive was %s: %s", state[0] == 'r' ? "refused" : "not made", why);
}

static rdg_err_t follow(cli_t *cli, uint64_t number, json_t **archive) {
    json_t *about = NULL;
    char seen[16] = "";
    RDG_TRY(cli_call(cli, "GET", NULL, &about, "/collector"));
    bool anchors = json_is_true(json_object_get(about, "anchors"));
    json_decref(about);
    for (;;) {
        json_decref(*archive);
        *archive = NULL;
        RDG_TRY(cli_call(cli, "GET", NULL, archive, "/archives/%" PRIu64, number));
        const char *state = out_raw(*archive, "state");
        if (strcmp(seen, state) != 0 && !cli->json)
            fprintf(stderr, "         %s %s\n", state, out_text(*archive, "device"));
        snprintf(seen, sizeof seen, "%s", state);
        if (ended(state, anchors)) return RDG_OK;
        nanosleep(&(struct timespec){0, LOOK_NS}, NULL);
    }
}

static rdg_err_t take(cli_t *cli) {
    const char *device = cli_flag(cli, "device", NULL);
    uint64_t from, to, number;
    json_t *archive = NULL;
    RDG_TRY(cli_component("chain", cli->args[0]));
    if (device) RDG_TRY(cli_component("device", device));
    RDG_TRY(cli_number(cli, "from", 0, &from));
    RDG_TRY(cli_number(cli, "to", 0, &to));
    json_t *body =
        json_pack("{s:I, s:I, s:s*}", "from", (json_int_t)from, "to", (json_int_t)to, "device", device);
    RDG_TRY(cli_call(cli, "POST", body, &archive, "/chains/%s/archives", cli->args[0]));
    rdg_err_t err = rdg_json_get_u64(archive, "number", &number);
    if (err == RDG_OK && !cli_has(cli, "no-wait")) err = follow(cli, number, &archive);
    if (err == RDG_OK && cli->json) out_json(archive);
    if (err == RDG_OK && !cli->json) print_one(archive);
    if (err == RDG_OK) err = outcome(archive);
    json_decref(archive);
    return err;
}

static rdg_err_t list(cli_t *cli) {
    const char *chain = cli_flag(cli, "chain", NULL);
    json_t *answer = NULL;
    if (chain) RDG_TRY(cli_component("chain", chain));
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/archives?limit=1000%s%s", chain ? "&chain=" : "",
                     chain ? chain : ""));
    if (cli->json)
        out_json(answer);
    else
        out_table(json_object_get(answer, "archives"),
                  COLUMNS("NUMBER=number", "CHAIN=chain", "STATE=state", "DEVICE=device", "FROM=from",
                          "TO=to", "TXS=transactions", "BYTES=bytes", "ANCHORED=anchor_height",
                          "REASON=error"));
    json_decref(answer);
    return RDG_OK;
}

const command_t archive_cloud_commands[] = {
    {"chain",
     "archive",
     "CHAIN",
     "archive blocks of a running chain in the cloud, proven",
     1,
     1,
     take,
     {{"from", "HEIGHT", "first block (default: the one after the last archive)"},
      {"to", "HEIGHT", "last block (default: as many as a segment holds)"},
      {"device", "NAME", "of this device's node (default: each of the chain's in turn)"},
      {"no-wait", NULL, "return at once; see ridge archive list"},
      {0}}},
    {"archive",
     "list",
     "",
     "the archives that the cloud has, and what became of the others",
     0,
     0,
     list,
     {{"chain", "CHAIN", "of this chain only"}, {0}}},
    {0},
};
