#include "cli.h"
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include <stdio.h>
#include <string.h>

#define WAIT_MS 600000
#define EVENTS_WAIT_MS 10000u

#define STEPS_MAX 16

/* How many devices have finished each step, to show progress as a count. */
typedef struct progress {
    uint64_t start_ms;
    size_t devices, step_count;
    struct {
        char name[32];
        size_t done;
    } steps[STEPS_MAX];
} progress_t;

static size_t count_done(progress_t *p, const char *step) {
    size_t i = 0;
    while (i < p->step_count && strcmp(p->steps[i].name, step) != 0) ++i;
    if (i == STEPS_MAX) return 0;
    if (i == p->step_count) snprintf(p->steps[p->step_count++].name, sizeof p->steps[i].name, "%s", step);
    return ++p->steps[i].done;
}

/* One line for what is finished or failed; what is only on its way is left to `chain status`. */
static void print_event(progress_t *p, const json_t *event) {
    uint64_t at = (uint64_t)json_integer_value(json_object_get(event, "time_ms"));
    const char *device = out_text(event, "device"), *step = out_text(event, "step"),
               *state = out_text(event, "state");
    const char *message = out_text(event, "message");
    bool whole = strcmp(device, "-") == 0, done = strcmp(state, "done") == 0;
    char count[32] = "";
    if (p->start_ms == 0) p->start_ms = at;
    if (!whole && !done && strcmp(state, "failed") != 0) return;
    if (!whole && done) snprintf(count, sizeof count, "%zu/%zu", count_done(p, step), p->devices);
    fprintf(stderr, "%7.2fs  %-12s %-11s %-6s %s%s%s\n",
            at > p->start_ms ? (double)(at - p->start_ms) / 1000.0 : 0.0, step, state, count,
            whole ? "" : device, whole || strcmp(message, "-") == 0 ? "" : ": ",
            strcmp(message, "-") == 0 ? "" : message);
}

/* What happened before this command is not shown again. */
static rdg_err_t last_event(cli_t *cli, const char *name, uint64_t *after) {
    json_t *answer = NULL, *event;
    size_t i;
    *after = 0;
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/chains/%s/events?after=0", name));
    json_array_foreach(json_object_get(answer, "events"), i, event) *after =
        (uint64_t)json_integer_value(json_object_get(event, "seq"));
    json_decref(answer);
    return RDG_OK;
}

/* Shows what came after event *after; waits up to wait_ms for the first. */
static rdg_err_t show_events(cli_t *cli, const char *name, unsigned wait_ms, progress_t *p, uint64_t *after) {
    json_t *answer = NULL, *event;
    size_t i;
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/chains/%s/events?after=%llu&wait_ms=%u", name,
                     (unsigned long long)*after, wait_ms));
    json_array_foreach(json_object_get(answer, "events"), i, event) {
        *after = (uint64_t)json_integer_value(json_object_get(event, "seq"));
        print_event(p, event);
    }
    json_decref(answer);
    return RDG_OK;
}

/* Shows the chain's events until its state is the goal; a failed or cancelled chain ends it with an error. */
static rdg_err_t follow(cli_t *cli, const char *name, const char *goal, uint64_t after, json_t **chain) {
    progress_t progress = {.start_ms = 0};
    uint64_t deadline = rdg_mono_ms(rdg_clock_system()) + WAIT_MS;
    for (;;) {
        RDG_TRY(cli_call(cli, "GET", NULL, chain, "/chains/%s", name));
        progress.devices = json_array_size(json_object_get(*chain, "devices"));
        const char *state = out_text(*chain, "state");
        bool reached = strcmp(state, goal) == 0,
             ended = strcmp(state, "failed") == 0 || strcmp(state, "cancelled") == 0;
        /* What led to this state is among the events by now, and is shown before this ends. */
        RDG_TRY(show_events(cli, name, reached || ended ? 0 : EVENTS_WAIT_MS, &progress, &after));
        if (reached) return RDG_OK;
        if (ended)
            return rdg_fail(RDG_E_CONFLICT,
                            "chain %s is %s: see ridge chain status %s; then ridge chain retry %s, or "
                            "ridge chain cancel %s",
                            name, state, name, name, name);
        json_decref(*chain);
        *chain = NULL;
        if (rdg_mono_ms(rdg_clock_system()) > deadline)
            return rdg_fail(RDG_E_TIMEOUT, "chain %s is not %s after 10 minutes: see ridge chain status %s",
                            name, goal, name);
    }
}

static void print_chain(const json_t *chain) {
    const json_t *rebuild = json_object_get(chain, "rebuild");
    out_fields(chain, COLUMNS("Chain=name", "State=state", "Chain id=chain_id", "Consensus=consensus",
                              "Height=height", "Hash=hash", "Created=created_ms", "Create took ms=running_ms",
                              "First block ms=first_block_ms", "Tenant=tenant", "Reason=error"));
    if (rebuild)
        out_fields(rebuild,
                   COLUMNS("Rebuild=step", "Rebuild is=state", "From block=height", "Rebuild error=error"));
    if (json_integer_value(json_object_get(rebuild, "threshold")) > 0)
        out_fields(rebuild, COLUMNS("Act signed by=signed", "Must sign=threshold"));
    printf("\n");
    out_table(json_object_get(chain, "devices"),
              COLUMNS("DEVICE=device", "STEP=step", "STATE=state", "HEIGHT=height", "NODE KIB=rss_kib",
                      "FREED=freed_bytes", "DAMAGED=damaged", "ERROR=error.message"));
}

static rdg_err_t finish(cli_t *cli, const char *name, const char *goal, uint64_t after, json_t *chain) {
    rdg_err_t err = RDG_OK;
    if (!cli_has(cli, "no-wait")) {
        json_decref(chain);
        chain = NULL;
        err = follow(cli, name, goal, after, &chain);
    }
    if (chain && cli->json)
        out_json(chain);
    else if (chain)
        print_chain(chain);
    json_decref(chain);
    return err;
}

static rdg_err_t create(cli_t *cli) {
    const char *name = cli->args[0], *image = cli_flag(cli, "image", NULL),
               *params = cli_flag(cli, "params", NULL);
    json_t *devices = NULL, *answer = NULL, *values = NULL;
    RDG_TRY(cli_component("chain", name));
    if (params) RDG_TRY(rdg_fail_in(rdg_json_parse(rdg_bytes_str(params), &values), "--params"));
    rdg_err_t err = cli_names(cli, "devices", &devices);
    if (err != RDG_OK) {
        json_decref(devices);
        json_decref(values);
        return err;
    }
    json_t *body = json_pack("{s:s, s:o, s:s, s:s, s:b}", "name", name, "devices", devices, "consensus",
                             cli_flag(cli, "consensus", "pbft"), "driver", cli_flag(cli, "driver", "auto"),
                             "allow_no_fault_tolerance", (int)cli_has(cli, "allow-no-fault-tolerance"));
    if (cli_has(cli, "encrypt-archives")) json_object_set_new(body, "encrypt_archives", json_true());
    if (image) json_object_set_new(body, "image", json_string(image));
    if (values) json_object_set_new(body, "params", values);
    RDG_TRY(cli_call(cli, "POST", body, &answer, "/chains"));
    return finish(cli, name, "running", 0, answer);
}

static rdg_err_t list(cli_t *cli) {
    json_t *answer = NULL;
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/chains"));
    if (cli->json)
        out_json(answer);
    else
        out_table(json_object_get(answer, "chains"),
                  COLUMNS("NAME=name", "STATE=state", "CONSENSUS=consensus", "HEIGHT=height",
                          "CHAIN ID=chain_id", "CREATED=created_ms", "TENANT=tenant"));
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t status(cli_t *cli) {
    json_t *answer = NULL;
    RDG_TRY(cli_component("chain", cli->args[0]));
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/chains/%s", cli->args[0]));
    if (cli->json)
        out_json(answer);
    else
        print_chain(answer);
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t destroy(cli_t *cli) {
    const char *name = cli->args[0], *discard = cli_flag(cli, "discard", NULL);
    uint64_t after;
    json_t *answer = NULL;
    RDG_TRY(cli_component("chain", name));
    if (discard) RDG_TRY(cli_component("chain", discard));
    RDG_TRY(last_event(cli, name, &after));
    RDG_TRY(cli_call(cli, "DELETE", NULL, &answer, "/chains/%s%s%s", name, discard ? "?discard=" : "",
                     discard ? discard : ""));
    return finish(cli, name, "destroyed", after, answer);
}

static rdg_err_t retry(cli_t *cli) {
    const char *device = cli_flag(cli, "device", NULL);
    uint64_t after;
    json_t *answer = NULL;
    RDG_TRY(cli_component("chain", cli->args[0]));
    RDG_TRY(last_event(cli, cli->args[0], &after));
    json_t *body = device ? json_pack("{s:s}", "device", device) : json_object();
    RDG_TRY(cli_call(cli, "POST", body, &answer, "/chains/%s/retry", cli->args[0]));
    return finish(cli, cli->args[0], "running", after, answer);
}

static rdg_err_t cancel(cli_t *cli) {
    uint64_t after;
    json_t *answer = NULL;
    RDG_TRY(cli_component("chain", cli->args[0]));
    RDG_TRY(last_event(cli, cli->args[0], &after));
    RDG_TRY(cli_call(cli, "POST", NULL, &answer, "/chains/%s/cancel", cli->args[0]));
    return finish(cli, cli->args[0], "cancelled", after, answer);
}

/* --- validators and consensus ------------------------------------------------------------------------------- */

static void print_validators(const json_t *answer) {
    const json_t *pending = json_object_get(answer, "pending"), *change = json_object_get(answer, "change");
    out_fields(answer, COLUMNS("Epoch=epoch", "Height=height"));
    printf("\n");
    out_table(json_object_get(answer, "validators"),
              COLUMNS("VALIDATOR=name", "WEIGHT=weight", "CONNECTED=connected", "HEIGHT=height", "LAG=lag"));
    if (json_is_object(pending)) {
        printf("\n");
        out_fields(pending, COLUMNS("Next epoch=epoch", "From height=first_height"));
    }
    if (json_is_object(change)) {
        printf("\n");
        out_fields(change,
                   COLUMNS("Last change=action", "Device=device", "Step=step", "State=state", "Error=error"));
    }
}

static rdg_err_t await_change(cli_t *cli, const char *name, json_t **answer) {
    uint64_t deadline = rdg_mono_ms(rdg_clock_system()) + WAIT_MS, after = 0;
    RDG_TRY(last_event(cli, name, &after));
    for (;;) {
        const json_t *change = json_object_get(*answer, "change");
        const char *state = out_text(change, "state");
        if (strcmp(state, "done") == 0) return RDG_OK;
        if (strcmp(state, "failed") == 0)
            return rdg_fail(RDG_E_CONFLICT,
                            "validator %s of device %s failed at step %s: %s; run the command again "
                            "when the cause is gone",
                            out_text(change, "action"), out_text(change, "device"), out_text(change, "step"),
                            out_text(change, "error"));
        if (rdg_mono_ms(rdg_clock_system()) > deadline)
            return rdg_fail(RDG_E_TIMEOUT,
                            "the change is not through after 10 minutes: see ridge chain validator list %s",
                            name);
        json_t *events = NULL, *event;
        size_t i;
        RDG_TRY(cli_call(cli, "GET", NULL, &events, "/chains/%s/events?after=%llu&wait_ms=1000", name,
                         (unsigned long long)after));
        json_array_foreach(json_object_get(events, "events"), i, event) {
            after = (uint64_t)json_integer_value(json_object_get(event, "seq"));
            fprintf(stderr, "         %-28s %s\n", out_text(event, "step"), out_text(event, "device"));
        }
        json_decref(events);
        json_decref(*answer);
        *answer = NULL;
        RDG_TRY(cli_call(cli, "GET", NULL, answer, "/chains/%s/validators", name));
    }
}

static rdg_err_t finish_validators(cli_t *cli, const char *name, bool changes, json_t *answer) {
    rdg_err_t err = changes && !cli_has(cli, "no-wait") ? await_change(cli, name, &answer) : RDG_OK;
    if (answer && cli->json)
        out_json(answer);
    else if (answer && err == RDG_OK)
        print_validators(answer);
    json_decref(answer);
    return err;
}

static rdg_err_t validator(cli_t *cli) {
    const char *action = cli->args[0], *name = cli->args[1],
               *device = cli->arg_count > 2 ? cli->args[2] : NULL;
    bool adds = strcmp(action, "add") == 0, removes = strcmp(action, "remove") == 0;
    json_t *answer = NULL;
    uint64_t weight;
    RDG_TRY(cli_component("chain", name));
    RDG_TRY(cli_number(cli, "weight", 1, &weight));
    if (!adds && !removes && strcmp(action, "list") != 0)
        return rdg_fail(RDG_E_INVALID, "chain validator '%s' is not known: add, remove or list", action);
    if ((adds || removes) != (device != NULL))
        return rdg_fail(RDG_E_INVALID, "usage: ridge chain validator add|remove CHAIN DEVICE, or list CHAIN");
    if (device) RDG_TRY(cli_component("device", device));
    if (adds)
        RDG_TRY(cli_call(cli, "POST", json_pack("{s:s, s:I}", "device", device, "weight", (json_int_t)weight),
                         &answer, "/chains/%s/validators", name));
    else if (removes)
        RDG_TRY(cli_call(cli, "DELETE", NULL, &answer, "/chains/%s/validators/%s", name, device));
    else
        RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/chains/%s/validators", name));
    return finish_validators(cli, name, adds || removes, answer);
}

/* How far the node that answers has caught up, as one line. */
static void put_progress(json_t *answer) {
    const json_t *s = json_object_get(answer, "sync");
    char line[200];
    json_int_t chunks = json_integer_value(json_object_get(s, "chunks_total"));
    if (!s || strcmp(out_text(s, "phase"), "idle") == 0) return;
    int len = snprintf(line, sizeof line, "%s, height %lld of %lld, headers to %lld", out_text(s, "phase"),
                       (long long)json_integer_value(json_object_get(s, "height")),
                       (long long)json_integer_value(json_object_get(s, "target")),
                       (long long)json_integer_value(json_object_get(s, "headers")));
    if (chunks > 0 && len > 0 && (size_t)len < sizeof line)
        snprintf(line + len, sizeof line - (size_t)len, ", chunk %lld of %lld of the snapshot at %lld",
                 (long long)json_integer_value(json_object_get(s, "chunks")), (long long)chunks,
                 (long long)json_integer_value(json_object_get(s, "snapshot")));
    json_object_set_new(answer, "catching_up", json_string(line));
}

static rdg_err_t consensus(cli_t *cli) {
    json_t *answer = NULL, *block;
    size_t i;
    RDG_TRY(cli_component("chain", cli->args[0]));
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/chains/%s/consensus", cli->args[0]));
    if (cli->json) {
        out_json(answer);
        json_decref(answer);
        return RDG_OK;
    }
    put_progress(answer);
    out_fields(answer, COLUMNS("Protocol=protocol", "Epoch=epoch", "View=view", "Leader=leader",
                               "Quorum=quorum", "Height=height", "Certified height=checkpoint_height",
                               "Equivocations=evidence_count", "Next epoch from=pending.first_height",
                               "Catching up=catching_up", "Ledger on snapshot at=sync.base_height"));
    printf("\n");
    out_table(json_object_get(answer, "validators"),
              COLUMNS("VALIDATOR=name", "WEIGHT=weight", "CONNECTED=connected", "HEIGHT=height", "LAG=lag"));
    json_array_foreach(json_object_get(answer, "blocks"), i, block) {
        char *voted = rdg_json_text(json_object_get(block, "voted"));
        if (voted) json_object_set_new(block, "votes", json_string(voted));
        rdg_free(voted);
    }
    printf("\n");
    out_table(json_object_get(answer, "blocks"),
              COLUMNS("BLOCK=height", "VIEW=view", "PROPOSER=proposer", "SEALED BY=votes"));
    printf("\n");
    out_table(json_object_get(answer, "view_changes"),
              COLUMNS("AT=time_ms", "EPOCH=epoch", "VIEW=view", "HEIGHT=height", "LEADER=leader", "WHY=why"));
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t leader(cli_t *cli) {
    const char *name = cli->args[1], *device = cli->arg_count > 2 ? cli->args[2] : NULL;
    json_t *answer = NULL;
    if (strcmp(cli->args[0], "transfer") != 0)
        return rdg_fail(RDG_E_INVALID, "chain leader '%s' is not known: transfer", cli->args[0]);
    RDG_TRY(cli_component("chain", name));
    if (device) RDG_TRY(cli_component("device", device));
    if (!cli->json)
        fprintf(stderr, "         handing over to %s\n", device ? device : "the validator that is furthest");
    json_t *body = device ? json_pack("{s:s}", "device", device) : json_object();
    RDG_TRY(cli_call(cli, "POST", body, &answer, "/chains/%s/leader", name));
    if (cli->json)
        out_json(answer);
    else
        out_fields(answer, COLUMNS("Leader=leader", "Term=term", "Before=from"));
    json_decref(answer);
    return RDG_OK;
}

#define NO_WAIT                                                                                              \
    { "no-wait", NULL, "return at once; see ridge chain status" }

const command_t chain_commands[] = {
    {"chain",
     "create",
     "CHAIN --devices A,B,C,D",
     "create a chain on devices and wait for its first block",
     1,
     1,
     create,
     {{"devices", "NAMES", "the devices, separated by commas"},
      {"consensus", "NAME", "pbft (default), or raft: one owner's devices, which he trusts"},
      {"driver", "NAME", "auto (default), oci, docker or process"},
      {"image", "REF", "image of the node, for the drivers oci and docker (default: the cloud's own)"},
      {"params", "JSON", "chain parameters, e.g. {\"block_interval_ms\":200}"},
      {"encrypt-archives", NULL, "under a key that the cloud keeps; see ridge archive keys"},
      {"allow-no-fault-tolerance", NULL,
       "accept fewer than 4 devices (raft: 3), where no fault is tolerated"},
      NO_WAIT,
      {0}}},
    {"chain", "list", "", "the chains", 0, 0, list, {{0}}},
    {"chain", "status", "CHAIN", "one chain, and each device's part in it", 1, 1, status, {{0}}},
    {"chain",
     "validator",
     "add|remove|list CHAIN [DEVICE]",
     "who decides a chain: list, add a device, remove one",
     2,
     3,
     validator,
     {{"weight", "NUMBER", "of its votes, with add (default 1)"},
      {"no-wait", NULL, "return at once; see ridge chain validator list"},
      {0}}},
    {"chain",
     "leader",
     "transfer CHAIN [DEVICE]",
     "hand the lead of a raft chain to a device, or to the one that is furthest",
     2,
     3,
     leader,
     {{0}}},
    {"chain", "consensus", "CHAIN", "leader, votes, view changes and lag of a chain", 1, 1, consensus, {{0}}},
    {"chain",
     "retry",
     "CHAIN",
     "go on with a creation that failed",
     1,
     1,
     retry,
     {{"device", "NAME", "only on this device"}, NO_WAIT, {0}}},
    {"chain", "cancel", "CHAIN", "give up a creation; nothing is left behind", 1, 1, cancel, {NO_WAIT, {0}}},
    {"chain",
     "destroy",
     "CHAIN",
     "destroy a chain",
     1,
     1,
     destroy,
     {{"discard", "CHAIN", "the chain's name again: delete its data although not all of it is archived"},
      NO_WAIT,
      {0}}},
    {0},
};
