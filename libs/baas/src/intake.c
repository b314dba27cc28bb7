#include "contract.h"
#include <stdio.h>
#include <string.h>

#define BIND_WAIT_MS 10000
#define BIND_DEADLINE_MS 86400000

/* Sends the command to every device first, then waits: the devices work at the same time. */
static rdg_err_t send_all(rdg_baas_t *b, const steps_t *steps, const char *type, const json_t *params,
                          json_t *list) {
    for (size_t i = 0; i < steps->count; ++i) {
        const step_t *s = &steps->list[i];
        json_t *command = NULL;
        if (s->kind != STEP_PREPARE) continue;
        RDG_TRY(remote_order(b, s->device,
                             json_pack("{s:s, s:O, s:I}", "type", type, "params", params, "deadline_ms",
                                       (json_int_t)(baas_now() + BIND_DEADLINE_MS)),
                             &command));
        json_array_append_new(list, json_pack("{s:s, s:O?, s:O?}", "device", s->device, "command",
                                              json_object_get(command, "id"), "state",
                                              json_object_get(command, "state")));
        json_decref(command);
    }
    return RDG_OK;
}

static rdg_err_t wait_all(rdg_baas_t *b, json_t *list) {
    uint64_t end = baas_mono() + BIND_WAIT_MS;
    size_t i;
    json_t *entry;
    json_array_foreach(list, i, entry) {
        json_t *command = NULL;
        uint64_t now = baas_mono();
        RDG_TRY(remote_command(b, json_string_value(json_object_get(entry, "command")),
                               now < end ? end - now : 0, &command));
        static const char *const copied[] = {"state", "error"};
        for (size_t k = 0; k < 2; ++k)
            if (json_object_get(command, copied[k]))
                json_object_set(entry, copied[k], json_object_get(command, copied[k]));
        json_t *account = json_object_get(json_object_get(command, "result"), "account");
        if (json_is_string(account)) json_object_set(entry, "account", account);
        json_decref(command);
    }
    return RDG_OK;
}

static rdg_err_t run(rdg_baas_t *b, const chain_t *c, const char *type, const json_t *params,
                     rdg_service_answer_t *answer) {
    steps_t steps;
    json_t *list = json_array();
    RDG_TRY(steps_load(b, c, &steps));
    rdg_err_t err = send_all(b, &steps, type, params, list);
    steps_fini(&steps);
    if (err == RDG_OK) err = wait_all(b, list);
    if (err == RDG_OK) return rdg_service_reply(answer, 202, json_pack("{s:o}", "devices", list));
    json_decref(list);
    return err;
}

static rdg_err_t bind(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    const json_t *body;
    const char *contract;
    contract_t k;
    chain_t c;
    RDG_TRY(rdg_service_body(call, &body));
    RDG_TRY(rdg_json_get_str(body, "contract", &contract));
    RDG_TRY(chain_load_running(ctx, rdg_service_arg(call, "name"), &c));
    rdg_err_t err = contract_find(ctx, &c, contract, 0, &k);
    if (err == RDG_OK) {
        json_t *params = json_pack("{s:s, s:o}", "chain", c.name, "contract",
                                   rdg_json_hex(k.address.b, sizeof k.address.b));
        err = run(ctx, &c, "intake.bind", params, answer);
        json_decref(params);
    }
    contract_fini(&k);
    chain_fini(&c);
    return err;
}

static rdg_err_t unbind(void *ctx, const rdg_service_call_t *call, rdg_service_answer_t *answer) {
    chain_t c;
    RDG_TRY(chain_load_running(ctx, rdg_service_arg(call, "name"), &c));
    json_t *params = json_pack("{s:s}", "chain", c.name);
    rdg_err_t err = run(ctx, &c, "intake.unbind", params, answer);
    json_decref(params);
    chain_fini(&c);
    return err;
}

const rdg_service_route_t intake_routes[] = {
    {"POST", "/api/v1/chains/{name}/intake", RDG_ROUTE_OWNED, bind},
    {"DELETE", "/api/v1/chains/{name}/intake", RDG_ROUTE_OWNED, unbind},
};
const size_t intake_route_count = sizeof intake_routes / sizeof intake_routes[0];
