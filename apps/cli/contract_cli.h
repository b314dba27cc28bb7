/* What the files of `ridge contract` share. */
#ifndef RIDGE_CLI_CONTRACT_H
#define RIDGE_CLI_CONTRACT_H
#include "cli.h"

/* Compiles the file and puts abi and bytecode into body. wanted: the contract's name; NULL: the only one. */
rdg_err_t contract_from_source(const char *path, const char *wanted, json_t *body);
/* --version and --idempotency-key */
rdg_err_t contract_options(const cli_t *cli, json_t *body);

#endif
