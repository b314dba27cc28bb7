/* Archives that the cloud takes of running chains; files of archives are archive.c's. */
#include "archive.h"
#include "cli.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "ridge/base/config.h"

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

static void print_devices(const json_t *answer) {
    const json_t *devices = json_object_get(answer, "devices");
    if (json_array_size(devices) == 0) return;
    printf("\n");
    out_table(devices, COLUMNS("CHAIN=chain", "DEVICE=device", "PRUNING=state", "ARCHIVED TO=archived_to",
                               "MARK=pruned_height", "MARK TIME=mark_ms", "FREED=freed_bytes",
                               "COMPACTED=compacted_bytes", "LEDGER=ledger_bytes", "REASON=error"));
}

static rdg_err_t list(cli_t *cli) {
    const char *chain = cli_flag(cli, "chain", NULL);
    json_t *answer = NULL;
    if (chain) RDG_TRY(cli_component("chain", chain));
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/archives?limit=1000%s%s", chain ? "&chain=" : "",
                     chain ? chain : ""));
    if (cli->json) {
        out_json(answer);
    } else {
        out_table(json_object_get(answer, "archives"),
                  COLUMNS("NUMBER=number", "CHAIN=chain", "STATE=state", "DEVICE=device", "FROM=from",
                          "TO=to", "TXS=transactions", "BYTES=bytes", "ANCHORED=anchor_height",
                          "REASON=error"));
        print_devices(answer);
    }
    json_decref(answer);
    return RDG_OK;
}

/* --- what is deleted on devices ------------------------------------------------------------------- */

/* Devices that were online when it was ordered have answered, or none has for a while. */
static bool all_told(const json_t *devices) {
    const json_t *d;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)devices, i, d) {
        const char *state = out_raw(d, "state");
        if (strcmp(state, "sent") == 0 || strcmp(state, "due") == 0) return false;
    }
    return true;
}

static rdg_err_t prune_outcome(const json_t *devices) {
    const json_t *d;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)devices, i, d) {
        if (strcmp(out_raw(d, "state"), "failed") == 0)
            return rdg_fail(RDG_E_CONFLICT, "device '%s' has deleted nothing: %s", out_raw(d, "device"),
                            out_raw(d, "error"));
    }
    return RDG_OK;
}

static rdg_err_t prune(cli_t *cli) {
    json_t *answer = NULL;
    uint64_t seconds;
    RDG_TRY(cli_component("chain", cli->args[0]));
    RDG_TRY(cli_number(cli, "wait", 60, &seconds));
    RDG_TRY(cli_call(cli, "POST", NULL, &answer, "/chains/%s/prune", cli->args[0]));
    for (uint64_t waited = 0; waited < seconds * 5 && !all_told(json_object_get(answer, "devices"));
         ++waited) {
        nanosleep(&(struct timespec){0, LOOK_NS}, NULL);
        json_decref(answer);
        answer = NULL;
        RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/chains/%s/archives?limit=1", cli->args[0]));
    }
    if (cli->json)
        out_json(json_object_get(answer, "devices"));
    else
        print_devices(answer);
    rdg_err_t err = prune_outcome(json_object_get(answer, "devices"));
    json_decref(answer);
    return err;
}

static rdg_err_t policy(cli_t *cli) {
    json_t *answer = NULL, *body = json_object();
    uint64_t blocks, age;
    rdg_err_t err = cli_component("chain", cli->args[0]);
    if (err == RDG_OK) err = cli_number(cli, "keep-blocks", 0, &blocks);
    if (err == RDG_OK && cli_has(cli, "keep-blocks"))
        json_object_set_new(body, "keep_blocks", json_integer((json_int_t)blocks));
    if (err == RDG_OK && cli_has(cli, "keep")) {
        err = rdg_fail_in(rdg_parse_ms(cli_flag(cli, "keep", ""), &age), "--keep");
        json_object_set_new(body, "keep_ms", json_integer((json_int_t)age));
    }
    if (err != RDG_OK) {
        json_decref(body);
        return err;
    }
    if (json_object_size(body) > 0) {
        RDG_TRY(cli_call(cli, "PUT", body, &answer, "/chains/%s/archive-policy", cli->args[0]));
    } else {
        json_decref(body);
        RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/chains/%s/archive-policy", cli->args[0]));
    }
    if (cli->json) {
        out_json(answer);
    } else {
        char keep[48];
        snprintf(keep, sizeof keep, "%.3g h",
                 (double)json_integer_value(json_object_get(answer, "keep_ms")) / 3.6e6);
        json_object_set_new(answer, "keep", json_string(keep));
        out_fields(answer, COLUMNS("Chain=chain", "Keeps blocks=keep_blocks", "Keeps younger than=keep"));
    }
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
    {"chain",
     "prune",
     "CHAIN",
     "have each device delete now what is archived and need not stay",
     1,
     1,
     prune,
     {{"wait", "SECONDS", "for the devices that are online (default: 60)"}, {0}}},
    {"chain",
     "archive-policy",
     "CHAIN",
     "what stays on the devices although it is archived; without options: as it is",
     1,
     1,
     policy,
     {{"keep-blocks", "N", "as many of the newest blocks (at first: 1000)"},
      {"keep", "TIME", "all that are younger, as 24h or 7d (at first: 24h)"},
      {0}}},
    {"archive",
     "list",
     "",
     "the archives that the cloud has, what became of the others, and how far devices have deleted",
     0,
     0,
     list,
     {{"chain", "CHAIN", "of this chain only"}, {0}}},
    {0},
};
