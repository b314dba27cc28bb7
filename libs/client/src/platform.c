#include "ridge/client/platform.h"
#include "ridge/base/file.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PATH_MAX_BYTES 1024
#define PAGE 1000
#define LIST_MAX 100000

/* An id or a name as one segment of a path. */
static rdg_err_t check(const char *what, const char *name) {
    return rdg_name_valid(name) ? RDG_OK
                                : rdg_fail(RDG_E_INVALID, "'%.64s' cannot be the name of a %s", name, what);
}

/* Takes body. */
__attribute__((format(printf, 6, 7))) static rdg_err_t call(rdg_cloud_client_t *c, const char *method,
                                                            json_t *body, uint64_t wait_ms, json_t **answer,
                                                            const char *format, ...) {
    char path[PATH_MAX_BYTES];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(path, sizeof path, format, args);
    va_end(args);
    if (n < 0 || n >= (int)sizeof path) {
        json_decref(body);
        return rdg_fail(RDG_E_TOO_LARGE, "the request's path is too long");
    }
    return rdg_cloud_call(c, method, path, body, wait_ms ? wait_ms + 10000 : 0, answer);
}

static rdg_err_t checked_call(rdg_cloud_client_t *c, const char *what, const char *name, const char *method,
                              json_t *body, json_t **answer, const char *format) {
    rdg_err_t err = check(what, name);
    if (err != RDG_OK) {
        json_decref(body);
        return err;
    }
    char path[PATH_MAX_BYTES];
    const char *at = strchr(format, '*');
    snprintf(path, sizeof path, "%.*s%s%s", (int)(at - format), format, name, at + 1);
    return rdg_cloud_call(c, method, path, body, 0, answer);
}

/* --- devices ------------------------------------------------------------------------------------------- */

static rdg_err_t filter_query(const rdg_device_filter_t *f, char *out, size_t size) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/-=,";
    const struct {
        const char *name, *value;
    } parts[] = {{"group", f ? f->group : NULL},
                 {"site", f ? f->site : NULL},
                 {"state", f ? f->state : NULL},
                 {"label", f ? f->labels : NULL}};
    int n = 0;
    *out = '\0';
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; ++i) {
        if (!parts[i].value) continue;
        if (strspn(parts[i].value, plain) != strlen(parts[i].value))
            return rdg_fail(RDG_E_INVALID, "%s '%.64s' has characters that none can have", parts[i].name,
                            parts[i].value);
        n += snprintf(out + n, size - (size_t)n, "&%s=%s", parts[i].name, parts[i].value);
        if (n >= (int)size) return rdg_fail(RDG_E_TOO_LARGE, "the filter is too long");
    }
    return RDG_OK;
}

/* Adds a page to list; *more: the name behind which the next begins, "" at the end. */
static rdg_err_t add_page(rdg_cloud_client_t *c, const char *filter, char more[65], json_t *list) {
    json_t *answer = NULL, *page = NULL;
    const char *next = NULL;
    RDG_TRY(call(c, "GET", NULL, 0, &answer, "/devices?limit=%d%s%s%s", PAGE, filter, *more ? "&after=" : "",
                 more));
    rdg_err_t err = rdg_json_get_array(answer, "devices", &page);
    if (err == RDG_OK && json_array_extend(list, page) != 0)
        err = rdg_fail(RDG_E_NO_MEMORY, "no memory for the devices");
    next = json_string_value(json_object_get(answer, "more_after"));
    if (err == RDG_OK && next &&
        (!rdg_name_valid(next) || strcmp(next, more) <= 0 || json_array_size(list) > LIST_MAX))
        err = rdg_fail(RDG_E_PROTOCOL, "the platform's list of devices does not end");
    if (err == RDG_OK) snprintf(more, 65, "%s", next ? next : "");
    json_decref(answer);
    return err;
}

rdg_err_t rdg_platform_devices(rdg_cloud_client_t *c, const rdg_device_filter_t *filter, json_t **list) {
    char query[600], more[65] = "";
    json_t *all = json_array();
    rdg_err_t err =
        all ? filter_query(filter, query, sizeof query) : rdg_fail(RDG_E_NO_MEMORY, "no memory for devices");
    if (err == RDG_OK) {
        do err = add_page(c, query, more, all);
        while (err == RDG_OK && *more);
    }
    if (err != RDG_OK) json_decref(all), all = NULL;
    *list = all;
    return err;
}

rdg_err_t rdg_platform_device(rdg_cloud_client_t *c, const char *name, json_t **device) {
    return checked_call(c, "device", name, "GET", NULL, device, "/devices/*");
}

rdg_err_t rdg_platform_describe(rdg_cloud_client_t *c, const char *name, json_t *change, json_t **device) {
    return checked_call(c, "device", name, "PATCH", change, device, "/devices/*");
}

/* --- commands --------------------------------------------------------------------------------------------- */

rdg_err_t rdg_platform_command(rdg_cloud_client_t *c, const char *device, json_t *order, json_t **command) {
    return checked_call(c, "device", device, "POST", order, command, "/devices/*/commands");
}

rdg_err_t rdg_platform_commands(rdg_cloud_client_t *c, json_t *orders, json_t **results) {
    json_t *answer = NULL, *list;
    RDG_TRY(rdg_cloud_call(c, "POST", "/commands", json_pack("{s:o}", "commands", orders), 0, &answer));
    rdg_err_t err = rdg_json_get_array(answer, "commands", &list);
    *results = err == RDG_OK ? json_incref(list) : NULL;
    json_decref(answer);
    return err;
}

rdg_err_t rdg_platform_command_get(rdg_cloud_client_t *c, const char *id, uint64_t wait_ms,
                                   json_t **command) {
    RDG_TRY(check("command", id));
    return call(c, "GET", NULL, wait_ms, command, "/commands/%s?wait_ms=%" PRIu64, id, wait_ms);
}

rdg_err_t rdg_platform_command_cancel(rdg_cloud_client_t *c, const char *id) {
    return checked_call(c, "command", id, "POST", NULL, NULL, "/commands/*/cancel");
}

rdg_err_t rdg_platform_changes(rdg_cloud_client_t *c, uint64_t after, uint64_t wait_ms, json_t **commands,
                               uint64_t *next) {
    json_t *answer = NULL, *list;
    if (after == UINT64_MAX)
        RDG_TRY(call(c, "GET", NULL, 0, &answer, "/commands/events"));
    else
        RDG_TRY(call(c, "GET", NULL, wait_ms, &answer, "/commands/events?after=%" PRIu64 "&wait_ms=%" PRIu64,
                     after, wait_ms));
    rdg_err_t err = rdg_json_get_array(answer, "commands", &list);
    if (err == RDG_OK) err = rdg_json_get_u64(answer, "next", next);
    *commands = err == RDG_OK ? json_incref(list) : NULL;
    json_decref(answer);
    return err;
}

/* --- rollouts ------------------------------------------------------------------------------------------------ */

rdg_err_t rdg_platform_rollout(rdg_cloud_client_t *c, json_t *order, json_t **rollout) {
    return rdg_cloud_call(c, "POST", "/rollouts", order, 0, rollout);
}

rdg_err_t rdg_platform_rollout_get(rdg_cloud_client_t *c, const char *id, uint64_t seen, uint64_t wait_ms,
                                   json_t **rollout) {
    RDG_TRY(check("rollout", id));
    return call(c, "GET", NULL, wait_ms, rollout, "/rollouts/%s?seen=%" PRIu64 "&wait_ms=%" PRIu64, id, seen,
                wait_ms);
}

rdg_err_t rdg_platform_rollout_turn(rdg_cloud_client_t *c, const char *id, const char *verb) {
    static const char *const verbs[] = {"pause", "resume", "cancel"};
    RDG_TRY(check("rollout", id));
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; ++i)
        if (strcmp(verb, verbs[i]) == 0) return call(c, "POST", NULL, 0, NULL, "/rollouts/%s/%s", id, verb);
    return rdg_fail(RDG_E_INVALID,
                    "'%.16s' is nothing that is done to a rollout: want pause, resume or cancel", verb);
}
