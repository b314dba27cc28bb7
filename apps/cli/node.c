/* ridge node: one node of a chain. */
#include <stdio.h>
#include <string.h>
#include "cli.h"
#include "ridge/base/clock.h"
#include "ridge/base/config.h"

#define WAIT_MS (6ull * 3600000)

static rdg_err_t last_event(cli_t *cli, const char *chain, uint64_t *after) {
    json_t *answer = NULL, *event;
    size_t i;
    *after = 0;
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/chains/%s/events?after=0", chain));
    json_array_foreach(json_object_get(answer, "events"), i, event) *after =
        (uint64_t)json_integer_value(json_object_get(event, "seq"));
    json_decref(answer);
    return RDG_OK;
}

/* The end of the step on this device; what it passes goes to standard error. */
static rdg_err_t take_event(const json_t *event, const char *device, bool *over) {
    const char *step = out_text(event, "step"), *state = out_text(event, "state");
    if (strcmp(out_text(event, "device"), device) != 0 || strncmp(step, "recover", 7) != 0) return RDG_OK;
    fprintf(stderr, "%-20s %s\n", step, state);
    *over = strcmp(step, "recover") == 0 && strcmp(state, "done") == 0;
    if (strcmp(state, "failed") != 0 && strcmp(state, "expired") != 0 && strcmp(state, "cancelled") != 0)
        return RDG_OK;
    return rdg_fail(RDG_E_INTERNAL, "device '%s' could not recover its node (%s): %s", device, state,
                    out_raw(event, "message"));
}

typedef rdg_err_t (*take_event_t)(const json_t *event, const char *device, bool *over);

/* Hands the chain's events to take until it says that it is over, or fails. what: "the recovery". */
static rdg_err_t follow(cli_t *cli, const char *chain, const char *what, const char *device, uint64_t after,
                        take_event_t take) {
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + WAIT_MS;
    bool over = false;
    while (!over) {
        json_t *answer = NULL, *event;
        size_t i;
        rdg_err_t err = cli_call(cli, "GET", NULL, &answer, "/chains/%s/events?after=%llu&wait_ms=10000",
                                 chain, (unsigned long long)after);
        if (err == RDG_OK) {
            json_array_foreach(json_object_get(answer, "events"), i, event) {
                after = (uint64_t)json_integer_value(json_object_get(event, "seq"));
                if (err == RDG_OK && !over) err = take(event, device, &over);
            }
        }
        json_decref(answer);
        RDG_TRY(err);
        if (!over && rdg_mono_ms(rdg_clock_system()) >= end)
            return rdg_fail(RDG_E_TIMEOUT, "%s goes on: see ridge chain status %s", what, chain);
    }
    return RDG_OK;
}

/* "A..B", either may be left out. */
static rdg_err_t range(cli_t *cli, json_t *body) {
    const char *text = cli_flag(cli, "range", NULL), *dots = text ? strstr(text, "..") : NULL;
    uint64_t first = 0, last = 0;
    char from[32];
    if (cli_has(cli, "archives") || text) json_object_set_new(body, "archives", json_true());
    if (!text) return RDG_OK;
    if (!dots || (size_t)(dots - text) >= sizeof from) return rdg_fail(RDG_E_INVALID, "--range: want A..B");
    snprintf(from, sizeof from, "%.*s", (int)(dots - text), text);
    if (*from) RDG_TRY(rdg_fail_in(rdg_parse_u64(from, &first), "--range"));
    if (dots[2]) RDG_TRY(rdg_fail_in(rdg_parse_u64(dots + 2, &last), "--range"));
    json_object_set_new(body, "from", json_integer((json_int_t)first));
    json_object_set_new(body, "to", json_integer((json_int_t)last));
    return RDG_OK;
}

static rdg_err_t recover(cli_t *cli) {
    const char *chain = cli->args[0], *device = cli->args[1];
    uint64_t after;
    json_t *answer = NULL;
    RDG_TRY(cli_component("chain", chain));
    RDG_TRY(cli_component("device", device));
    RDG_TRY(last_event(cli, chain, &after));
    json_t *body = json_object();
    rdg_err_t err = range(cli, body);
    if (err != RDG_OK) {
        json_decref(body);
        return err;
    }
    RDG_TRY(cli_call(cli, "POST", body, &answer, "/chains/%s/nodes/%s/recover", chain, device));
    if (!cli_has(cli, "no-wait")) {
        err = follow(cli, chain, "the recovery", device, after, take_event);
        json_decref(answer);
        answer = NULL;
        if (err == RDG_OK) err = cli_call(cli, "GET", NULL, &answer, "/chains/%s", chain);
    }
    if (err == RDG_OK && cli->json) out_json(answer);
    json_decref(answer);
    return err;
}

/* Of a rebuild on other devices: its own steps, and what the devices report. */
static rdg_err_t take_rebuild_event(const json_t *event, const char *any, bool *over) {
    const char *step = out_text(event, "step"), *state = out_text(event, "state"),
               *device = json_string_value(json_object_get(event, "device"));
    (void)any;
    bool own = strncmp(step, "rebuild.", 8) == 0;
    fprintf(stderr, "%-32s %-10s %s\n", step, state, own ? out_raw(event, "message") : device ? device : "");
    bool waits = own && strcmp(state, "waiting") == 0;
    *over = own && (waits || strcmp(state, "done") == 0);
    if (waits)
        fprintf(stderr, "the rebuild waits for administrators, and goes on by itself when enough signed\n");
    if (own && strcmp(state, "cancelled") == 0)
        return rdg_fail(RDG_E_CONFLICT, "the rebuild was given up at step %s", step + 8);
    if (!own || strcmp(state, "failed") != 0) return RDG_OK;
    return rdg_fail(RDG_E_CONFLICT,
                    "the rebuild stands at step %s: %s; give the same command again when the cause is gone",
                    step + 8, out_raw(event, "message"));
}

/* The same order again finds it done. */
static rdg_err_t is_rebuilt(cli_t *cli, const char *chain, bool *over) {
    json_t *answer = NULL;
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/chains/%s", chain));
    *over = strcmp(out_text(json_object_get(answer, "rebuild"), "state"), "done") == 0;
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t follow_rebuild(cli_t *cli, const char *chain, uint64_t after) {
    bool over = false;
    rdg_err_t err = is_rebuilt(cli, chain, &over);
    return err != RDG_OK || over ? err : follow(cli, chain, "the rebuild", NULL, after, take_rebuild_event);
}

static rdg_err_t rebuild_body(cli_t *cli, json_t **out) {
    const char *discard = cli_flag(cli, "discard", NULL);
    bool names = cli_has(cli, "devices");
    json_t *devices = NULL;
    if (!names && cli_has(cli, "allow-no-fault-tolerance"))
        return rdg_fail(RDG_E_INVALID, "--allow-no-fault-tolerance goes with --devices");
    if (discard) RDG_TRY(cli_component("chain", discard));
    rdg_err_t err = names ? cli_names(cli, "devices", &devices) : RDG_OK;
    if (err != RDG_OK) {
        json_decref(devices);
        return err;
    }
    json_t *body = *out = json_object();
    if (devices) json_object_set_new(body, "devices", devices);
    if (discard) json_object_set_new(body, "discard", json_string(discard));
    if (cli_has(cli, "allow-no-fault-tolerance"))
        json_object_set_new(body, "allow_no_fault_tolerance", json_true());
    return body ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for a request");
}

static rdg_err_t follow_all(cli_t *cli, const char *chain, uint64_t after, const json_t *answer) {
    json_t *device;
    size_t i;
    if (cli_has(cli, "no-wait")) return RDG_OK;
    if (cli_has(cli, "devices")) return follow_rebuild(cli, chain, after);
    json_array_foreach(json_object_get(answer, "devices"), i, device)
        RDG_TRY(follow(cli, chain, "the recovery", out_text(device, "device"), after, take_event));
    return RDG_OK;
}

static rdg_err_t cancel_rebuild(cli_t *cli, const char *chain) {
    json_t *answer = NULL;
    if (cli_has(cli, "devices") || cli_has(cli, "discard") || cli_has(cli, "allow-no-fault-tolerance"))
        return rdg_fail(RDG_E_INVALID, "--cancel gives a rebuild up: it goes with no devices");
    RDG_TRY(cli_call(cli, "DELETE", NULL, &answer, "/chains/%s/rebuild", chain));
    if (cli->json)
        out_json(answer);
    else
        printf("given up; its devices are being cleared\n");
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t rebuild(cli_t *cli) {
    const char *chain = cli->args[0];
    uint64_t after;
    json_t *answer = NULL, *body = NULL;
    RDG_TRY(cli_component("chain", chain));
    if (cli_has(cli, "cancel")) return cancel_rebuild(cli, chain);
    RDG_TRY(last_event(cli, chain, &after));
    RDG_TRY(rebuild_body(cli, &body));
    RDG_TRY(cli_call(cli, "POST", body, &answer, "/chains/%s/rebuild", chain));
    rdg_err_t err = follow_all(cli, chain, after, answer);
    json_decref(answer);
    answer = NULL;
    if (err == RDG_OK) err = cli_call(cli, "GET", NULL, &answer, "/chains/%s", chain);
    if (err == RDG_OK && cli->json) out_json(answer);
    json_decref(answer);
    return err;
}

const command_t node_commands[] = {
    {"chain",
     "rebuild",
     "CHAIN",
     "every ledger is lost: build all nodes from the archives, on the same devices or on others",
     1,
     1,
     rebuild,
     {{"devices", "A,B,C,D",
       "the chain's devices are lost: these take over, by an act of its administrators"},
      {"discard", "CHAIN", "the chain's name again: although some of it lives, or is in no archive"},
      {"allow-no-fault-tolerance", NULL,
       "accept fewer than 4 devices (raft: 3), where no fault is tolerated"},
      {"cancel", NULL, "give a rebuild on other devices up, before the main chain has it"},
      {"no-wait", NULL, "return at once; see ridge chain status"},
      {0}}},
    {"node",
     "recover",
     "CHAIN DEVICE",
     "let a damaged node begin anew, from its peers or from archives",
     2,
     2,
     recover,
     {{"archives", NULL, "from the chain's archives, then from its peers"},
      {"range", "A..B", "the same; with the blocks from A on, and archives up to block B"},
      {"no-wait", NULL, "return at once; see ridge chain status"},
      {0}}},
    {0},
};
