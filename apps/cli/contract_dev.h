/* A project of contracts on the developer's machine: compiled by solc, tested in Ridge's own machine. No cloud, no node.
 *
 *   DIR/contracts/…/X.sol   what is deployed       DIR/build/NAME.json   {contractName, sourceFile, abi, bytecode, …}
 *   DIR/test/…/X.t.sol      contracts named …Test  DIR/node_modules      imports such as @openzeppelin/contracts
 *
 * Limits: 1,000 sources of together 16 MiB, directories 8 deep. */
#ifndef RIDGE_CLI_CONTRACT_DEV_H
#define RIDGE_CLI_CONTRACT_DEV_H
#include "cli.h"

/* contract_solc.c: the one way to a compiler. Adds the file dir/name to {name: {"content": text}}. */
rdg_err_t solc_add_source(const char *dir, const char *name, json_t *sources);
/* Compiles sources under Cancun's rules; imports are found below dir and in the node_modules of it and the folders above.
 * *contracts: solc's {file: {name: {abi, evm}}}; owned. INVALID: what solc says goes to standard error. UNSUPPORTED: no
 * compiler, with the remedy. */
rdg_err_t solc_compile(const char *dir, json_t *sources, json_t **contracts);
/* "0x…" of which ("bytecode", "deployedBytecode"); "0x" of what has none. Owned; NULL without memory. */
json_t *solc_code(const json_t *contract, const char *which);

/* contract_compile.c. Compiles DIR and writes its artefacts. *artefacts: array of them, also those of test/; returns
 * owned. Errors as of solc_compile; NOT_FOUND: DIR has no sources. */
rdg_err_t project_build(const char *dir, json_t **artefacts);

/* contract_runner.c. Deploys the contract in a fresh local ledger, runs setUp() if it has one, then each test*() on the
 * state that this left: no test sees another. *report: {name, file, tests: [{name, passed, gas, reason}]}; owned. */
rdg_err_t run_test_contract(const json_t *artefact, json_t **report);

/* contract_template.c, made of contracts/examples by the build. Ends with a NULL path. */
typedef struct template_file {
    const char *template, *path, *text;
} template_file_t;
extern const template_file_t template_files[];

#endif
