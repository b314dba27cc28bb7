/* A project of contracts on the developer's machine: compiled by solc, tested in Ridge's own machine. No cloud, no node.
 *
 *   DIR/contracts/…/X.sol   what is deployed       DIR/build/NAME.json   {contractName, sourceFile, abi, bytecode, …}
 *   DIR/test/…/X.t.sol      contracts named …Test  DIR/node_modules      imports such as @openzeppelin/contracts
 *
 * Limits: 1,000 sources of together 16 MiB, directories 8 deep. */
#ifndef RIDGE_CLI_CONTRACT_DEV_H
#define RIDGE_CLI_CONTRACT_DEV_H
#include "cli.h"

/* contract_compile.c. Compiles DIR and writes its artefacts. *artefacts: array of them, also those of test/; returns
 * owned. INVALID: what solc says goes to standard error. UNSUPPORTED: no compiler, with the remedy. */
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
