/* What `ridge command`, `ridge rollout` and `ridge device update` share. */
#ifndef RIDGE_CLI_COMMAND_H
#define RIDGE_CLI_COMMAND_H
#include "cli.h"

bool command_ended(const json_t *command);
/* {"type", "params", "priority", "id"} of the flags; owned. */
rdg_err_t command_order(cli_t *cli, const char *type, json_t **out);
/* Gives the order to the devices of the first argument, as --ttl and --follow say; prints. Takes body. */
rdg_err_t command_give(cli_t *cli, json_t *body);
/* A duration back from now, as Unix milliseconds; 0 without the flag. */
rdg_err_t command_since(cli_t *cli, const char *flag, uint64_t *out);

#endif
