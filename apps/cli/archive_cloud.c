/* Archives that the cloud takes of running chains; files of archives are archive.c's. */
#include "archive.h"
#include "cli.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "ridge/base/config.h"

#define LOOK_NS 200000000
#define TELL_PERCENT 10

static void print_one(const json_t *a) {
    out_fields(a, COLUMNS("Archive=number", "Chain=chain", "State=state", "Device=device", "From block=from",
                          "To block=to", "Mark=mark_ms", "Transactions=transactions", "Signatures=signatures",
                          "Bytes=bytes", "Key=key_id", "Manifest=manifest", "Content=content",
                          "Anchored at=anchor_height", "Reason=error"));
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

/* What somebody who waits sees on standard error: each state, why it stays in one, and how far a device has come. */
typedef struct seen {
    char state[16], why[256];
    json_int_t percent;
    bool waits;
} seen_t;

static void tell(cli_t *cli, const json_t *archive, bool over, seen_t *seen) {
    const char *state = out_raw(archive, "state"), *why = out_raw(archive, "error"),
               *order = out_raw(archive, "command");
    json_t *command = NULL;
    if (strcmp(seen->state, state) != 0) {
        fprintf(stderr, "         %s %s\n", state, out_text(archive, "device"));
        snprintf(seen->state, sizeof seen->state, "%s", state);
        seen->percent = 0;
    }
    if (over) return;
    if (*why && strncmp(seen->why, why, sizeof seen->why - 1) != 0) fprintf(stderr, "         %s\n", why);
    snprintf(seen->why, sizeof seen->why, "%s", why);
    if (strcmp(state, "ordered") != 0 || !*order ||
        cli_call(cli, "GET", NULL, &command, "/commands/%s", order) != RDG_OK)
        return;
    if (!seen->waits && strcmp(out_raw(command, "state"), "queued") == 0) {
        fprintf(stderr, "         its device is to be given the order when it is there\n");
        seen->waits = true;
    }
    json_int_t percent = json_integer_value(json_object_get(command, "progress"));
    if (percent >= seen->percent + TELL_PERCENT && strcmp(out_raw(command, "step"), "export") == 0) {
        fprintf(stderr, "         export %lld %%\n", (long long)percent);
        seen->percent = percent;
    }
    json_decref(command);
}

static rdg_err_t follow(cli_t *cli, uint64_t number, json_t **archive) {
    json_t *about = NULL;
    seen_t seen = {.state = ""};
    RDG_TRY(cli_call(cli, "GET", NULL, &about, "/collector"));
    bool anchors = json_is_true(json_object_get(about, "anchors"));
    json_decref(about);
    for (;;) {
        json_decref(*archive);
        *archive = NULL;
        RDG_TRY(cli_call(cli, "GET", NULL, archive, "/archives/%" PRIu64, number));
        const char *state = out_raw(*archive, "state");
        bool over = ended(state, anchors);
        if (!cli->json) tell(cli, *archive, over, &seen);
        if (over) return RDG_OK;
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

rdg_err_t archive_cloud_show(cli_t *cli, uint64_t number) {
    json_t *archive = NULL, *of_chain = NULL;
    if (cli_has(cli, "block") || cli_has(cli, "tx"))
        return rdg_fail(RDG_E_INVALID, "of an archive in the cloud a block is shown by ridge block show, a "
                                       "transaction by ridge tx show");
    RDG_TRY(cli_call(cli, "GET", NULL, &archive, "/archives/%" PRIu64, number));
    rdg_err_t err =
        cli_call(cli, "GET", NULL, &of_chain, "/archives?limit=1&chain=%s", out_raw(archive, "chain"));
    if (err == RDG_OK && cli->json) {
        json_object_set(archive, "devices", json_object_get(of_chain, "devices"));
        out_json(archive);
    }
    if (err == RDG_OK && !cli->json) {
        print_one(archive);
        print_devices(of_chain);
    }
    json_decref(of_chain);
    json_decref(archive);
    return err;
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

typedef enum unit { UNIT_NUMBER, UNIT_TIME, UNIT_BYTES } unit_t;

static const struct {
    const char *flag, *field;
    unit_t unit;
} policy_flags[] = {{"keep-blocks", "keep_blocks", UNIT_NUMBER},
                    {"keep", "keep_ms", UNIT_TIME},
                    {"every", "every_ms", UNIT_TIME},
                    {"age", "age_ms", UNIT_TIME},
                    {"size", "size_bytes", UNIT_BYTES},
                    {"budget", "budget_bytes", UNIT_BYTES}};

static rdg_err_t read_policy(cli_t *cli, json_t *body) {
    for (size_t i = 0; i < sizeof policy_flags / sizeof policy_flags[0]; ++i) {
        const char *flag = policy_flags[i].flag, *text = cli_flag(cli, flag, NULL);
        unit_t unit = policy_flags[i].unit;
        uint64_t v = 0;
        if (!text) continue;
        rdg_err_t err = unit == UNIT_TIME    ? rdg_parse_ms(text, &v)
                        : unit == UNIT_BYTES ? rdg_parse_size(text, &v)
                                             : rdg_parse_u64(text, &v);
        if (err != RDG_OK || v > INT64_MAX) return rdg_fail_in(err ? err : RDG_E_INVALID, "--%s", flag);
        json_object_set_new(body, policy_flags[i].field, json_integer((json_int_t)v));
    }
    if (cli_has(cli, "encrypt")) {
        const char *word = cli_flag(cli, "encrypt", "");
        bool on = strcmp(word, "on") == 0;
        if (!on && strcmp(word, "off") != 0)
            return rdg_fail(RDG_E_INVALID, "--encrypt '%.20s': want on or off", word);
        json_object_set_new(body, "encrypt", json_boolean(on));
    }
    if (cli_has(cli, "cron")) json_object_set_new(body, "cron", json_string(cli_flag(cli, "cron", "")));
    return RDG_OK;
}

static void print_policy(json_t *p) {
    for (size_t i = 0; i < sizeof policy_flags / sizeof policy_flags[0]; ++i) {
        double v = (double)json_integer_value(json_object_get(p, policy_flags[i].field));
        char text[48];
        if (policy_flags[i].unit == UNIT_NUMBER) continue;
        snprintf(text, sizeof text,
                 v == 0                              ? "-"
                 : policy_flags[i].unit == UNIT_TIME ? "%.4g h"
                                                     : "%.4g MiB",
                 policy_flags[i].unit == UNIT_TIME ? v / 3.6e6 : v / 1048576.0);
        json_object_set_new(p, policy_flags[i].flag, json_string(text));
    }
    out_fields(p, COLUMNS("Chain=chain", "Archives every=every", "At (cron, UTC)=cron",
                          "When it has grown by=size", "When older than=age", "When a device has over=budget",
                          "Next by time=next_ms", "Because of=next_why", "Last=last_ms",
                          "Because of=last_why", "Under pressure=pressure", "Keeps blocks=keep_blocks",
                          "Keeps younger than=keep", "Encrypts archives=encrypt"));
}

static rdg_err_t policy(cli_t *cli) {
    json_t *answer = NULL, *body = json_object();
    rdg_err_t err = cli_component("chain", cli->args[0]);
    if (err == RDG_OK) err = read_policy(cli, body);
    bool change = json_object_size(body) > 0;
    if (err != RDG_OK || !change) {
        json_decref(body);
        body = NULL;
    }
    RDG_TRY(err);
    RDG_TRY(cli_call(cli, change ? "PUT" : "GET", body, &answer, "/chains/%s/archive-policy", cli->args[0]));
    if (cli->json)
        out_json(answer);
    else
        print_policy(answer);
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
     "when a chain is archived by itself, and what stays on devices; alone: as it is",
     1,
     1,
     policy,
     {{"every", "TIME", "after that time, as 12h or 7d; 0s: never"},
      {"cron", "TIMES", "at these, in UTC: 'minute hour day month weekday'; '': never"},
      {"size", "BYTES", "when a device's ledger has grown by so much, as 100MiB; 0: never"},
      {"age", "TIME", "when the oldest record not archived is so old; 0s: never"},
      {"budget", "BYTES", "when a device's ledger takes more; then age keeps nothing there; 0: no budget"},
      {"keep-blocks", "N", "these newest blocks stay on devices (at first: 1000)"},
      {"keep", "TIME", "and all that are younger, as 24h or 7d (at first: 24h)"},
      {"encrypt", "on|off", "archives that are made from now on; see ridge archive keys"},
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
