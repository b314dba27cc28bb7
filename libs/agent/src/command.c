#include "command.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include <stdio.h>
#include <string.h>

bool command_chain_valid(const char *chain) {
    return rdg_name_valid(chain);
}

/* An id is compared, stored and put into JSON; it is never a path. Still only plain characters are let in. */
static bool id_valid(const char *id) {
    size_t len = strnlen(id, COMMAND_ID_MAX + 1);
    if (len == 0 || len > COMMAND_ID_MAX) return false;
    return strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == len;
}

static rdg_err_t take_fields(const json_t *o, command_t *out) {
    const char *id = NULL, *type = NULL, *chain = NULL, *traceparent = NULL;
    rdg_trace_t trace;
    if (!json_is_object(o)) return rdg_fail(RDG_E_INVALID, "a command is a JSON object");
    RDG_TRY(rdg_json_get_str(o, "id", &id));
    if (!id_valid(id))
        return rdg_fail(RDG_E_INVALID, "a command's id has 1 to %d of letters, digits, '-', '_' and '.'",
                        COMMAND_ID_MAX);
    snprintf(out->id, sizeof out->id, "%s", id);
    RDG_TRY(rdg_json_get_str(o, json_object_get(o, "type") ? "type" : "method", &type));
    if (strlen(type) > COMMAND_TYPE_MAX)
        return rdg_fail(RDG_E_INVALID, "the type of command %s is longer than %d", id, COMMAND_TYPE_MAX);
    snprintf(out->type, sizeof out->type, "%s", type);
    RDG_TRY(rdg_json_opt_u64(o, "deadline_ms", &out->deadline_ms));
    RDG_TRY(rdg_json_opt_str(o, "traceparent", &traceparent));
    if (traceparent && rdg_trace_parse(traceparent, &trace) == RDG_OK)
        snprintf(out->traceparent, sizeof out->traceparent, "%s", traceparent);
    json_t *params = json_object_get(o, "params");
    if (params && !json_is_null(params) && !json_is_object(params))
        return rdg_fail(RDG_E_INVALID, "params of command %s is no object", id);
    out->params = json_is_object(params) ? json_incref(params) : json_object();
    if (!out->params) return rdg_fail(RDG_E_NO_MEMORY, "no memory for command %s", id);
    RDG_TRY(rdg_json_opt_str(out->params, "chain", &chain));
    if (!chain) return RDG_OK;
    if (!command_chain_valid(chain))
        return rdg_fail(RDG_E_INVALID, "'%.80s' is no name of a chain: 1 to 64 of [a-z0-9._-]", chain);
    snprintf(out->chain, sizeof out->chain, "%s", chain);
    return RDG_OK;
}

rdg_err_t command_parse(rdg_bytes_t text, command_t *out) {
    json_t *o = NULL;
    memset(out, 0, sizeof *out);
    RDG_TRY(rdg_json_parse(text, &o));
    rdg_err_t err = take_fields(o, out);
    json_decref(o);
    return err;
}

void command_fini(command_t *c) {
    json_decref(c->params);
    c->params = NULL;
}

rdg_err_t command_result(const command_t *c, const char *state, const char *step, unsigned progress,
                         const json_t *result, rdg_err_t err, rdg_buf_t *out) {
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:i, s:I}", "id", c->id, "type", c->type, "state", state,
                          "step", step ? step : "", "progress", (int)progress, "time_ms",
                          (json_int_t)rdg_wall_ms(rdg_clock_system()));
    int failed = o ? 0 : -1;
    if (o && result) failed |= json_object_set(o, "result", (json_t *)(uintptr_t)result);
    if (o && err != RDG_OK)
        failed |= json_object_set_new(
            o, "error", json_pack("{s:s, s:s}", "code", rdg_err_name(err), "message", rdg_err_message(err)));
    if (o && c->traceparent[0]) failed |= json_object_set_new(o, "traceparent", json_string(c->traceparent));
    rdg_err_t e = failed ? rdg_fail(RDG_E_NO_MEMORY, "no memory for the result of command %s", c->id)
                         : rdg_json_dump(o, out);
    json_decref(o);
    return e;
}
