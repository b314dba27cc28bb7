/* What the files of `ridge contract` share. */
#ifndef RIDGE_CLI_CONTRACT_H
#define RIDGE_CLI_CONTRACT_H
#include "cli.h"

/* Compiles the file and puts abi and bytecode into body. wanted: the contract's name; NULL: the only one. */
rdg_err_t contract_from_source(const char *path, const char *wanted, json_t *body);
/* --version and --idempotency-key */
rdg_err_t contract_options(const cli_t *cli, json_t *body);

/* --artifact, --source, or --abi and --bytecode: abi and bytecode into body. */
rdg_err_t contract_read(const cli_t *cli, json_t *body);
json_t *contract_args(const cli_t *cli, size_t from); /* those of the command line, owned */
/* contract_digest.c. body: abi, bytecode, args. */
#define CONTRACT_DIGEST_SIZE 67
rdg_err_t contract_digest(const json_t *body, char out[CONTRACT_DIGEST_SIZE]);
rdg_err_t contract_show_digest(cli_t *cli);

/* What contract_read asks for. */
#define CONTRACT_CODE_FLAGS                                                                                  \
    {"artifact", "FILE", "JSON with abi and bytecode, as contracts/artifacts/Metering.json"},                \
        {"source", "FILE.sol", "Solidity, compiled as `ridge contract build` does"},                         \
        {"contract", "NAME", "which contract of the source"}, {"abi", "FILE", "the ABI that solc wrote"}, {  \
        "bytecode", "FILE", "the bytecode in hexadecimal"                                                    \
    }

#endif
