/* The cloud's CA: what it is, what it has issued, and revoking. */
#include "cli.h"
#include <stdio.h>

static rdg_err_t show(cli_t *cli) {
    json_t *answer = NULL;
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/ca"));
    if (cli->json)
        out_json(answer);
    else if (cli_has(cli, "pem"))
        printf("%s%s", out_raw(answer, "chain"), out_raw(answer, "root"));
    else
        out_fields(answer, COLUMNS("Fingerprint=fingerprint", "Root=root_name", "Root ends=root_not_after_ms",
                                   "Issuing CA=issuing_name", "Issuing CA ends=issuing_not_after_ms",
                                   "Revocation list=list.number", "Revoked=list.entries",
                                   "List made=list.this_update_ms", "Next is due=list.next_update_ms"));
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t list(cli_t *cli) {
    json_t *answer = NULL;
    const char *device = cli_flag(cli, "device", ""), *state = cli_flag(cli, "state", "");
    if (*device) RDG_TRY(cli_component("device", device));
    if (*state) RDG_TRY(cli_component("state", state));
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/certificates?limit=10000%s%s%s%s",
                     *device ? "&device=" : "", device, *state ? "&state=" : "", state));
    if (cli->json)
        out_json(answer);
    else
        out_table(json_object_get(answer, "certificates"),
                  COLUMNS("SERIAL=serial", "SUBJECT=subject", "USE=use", "STATE=state",
                          "NOT BEFORE=not_before_ms", "NOT AFTER=not_after_ms", "REASON=reason"));
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t withdraw(cli_t *cli) {
    json_t *answer = NULL;
    RDG_TRY(cli_component("certificate", cli->args[0]));
    json_t *body = json_pack("{s:s}", "reason", cli_flag(cli, "reason", "unspecified"));
    RDG_TRY(cli_call(cli, "POST", body, &answer, "/certificates/%s/revoke", cli->args[0]));
    const json_t *chain = json_object_get(answer, "chain");
    bool of_node = json_string_length(chain) > 0;
    if (cli->json)
        out_json(answer);
    else if (!json_is_true(json_object_get(answer, "current")))
        printf("certificate %s is revoked; it had been replaced before\n", cli->args[0]);
    else
        printf("the certificates of %s%s%s are revoked: %s\n", out_text(answer, "device"),
               of_node ? ", chain " : "", of_node ? json_string_value(chain) : "",
               of_node ? "its peers refuse its node from now on" : "the device can connect no more");
    json_decref(answer);
    return RDG_OK;
}

const command_t ca_commands[] = {
    {"cert",
     "list",
     "",
     "the certificates that the cloud has issued, newest first",
     0,
     0,
     list,
     {{"device", "DEVICE", "of this device and its nodes only"},
      {"state", "STATE", "valid, expired, revoked or ended only"},
      {0}}},
    {"cert",
     "revoke",
     "SERIAL",
     "revoke a certificate, and with one in use the other of its pair",
     1,
     1,
     withdraw,
     {{"reason", "REASON",
       "key-compromise, superseded, cessation, privilege-withdrawn, affiliation-changed, ca-compromise or "
       "unspecified (default)"},
      {0}}},
    {"ca",
     "show",
     "",
     "the cloud's CA, its fingerprint and its latest revocation list",
     0,
     0,
     show,
     {{"pem", NULL, "print its certificates instead, the root last"}, {0}}},
    {0},
};
