/* Deploys contracts/artifacts/Metering.json, registers a meter, reads it back, and shows what the contract logged.
 *
 *   RIDGE_PASSPHRASE=… ./contract http://127.0.0.1:8545 mine.key Metering.json METER      (METER: 0x and 64 digits) */
#include <ridge/contract.h>
#include "example.h"

enum { WAIT_MS = 30000 };

int main(int argc, char **argv) {
    ridge_node_t *node = NULL;
    ridge_key_t *key = NULL;
    ridge_abi_t *abi = NULL;
    ridge_receipt_t deployed, registered;
    char args[128], *json = NULL;
    usage(argc == 5, "RIDGE_PASSPHRASE=… ./contract URL KEY ARTEFACT METER");
    must(ridge_node_open(argv[1], 0, &node), argv[1]);
    must(ridge_key_load(argv[2], getenv("RIDGE_PASSPHRASE"), &key), argv[2]);
    must(ridge_abi_load(argv[3], &abi), argv[3]);

    must(ridge_contract_deploy(node, key, abi, NULL, WAIT_MS, &deployed), "deploy");
    printf("contract %s\n", deployed.contract);

    snprintf(args, sizeof args, "[\"%s\", 0, 1000000]", argv[4]);
    must(ridge_contract_send(node, key, abi, deployed.contract, "registerMeter", args, WAIT_MS, &registered),
         "registerMeter");
    must(ridge_receipt_events(&registered, abi, &json), "events");
    printf("events %s\n", json);
    ridge_free(json);

    must(ridge_contract_call(node, abi, deployed.contract, NULL, "meterCount", NULL, &json), "meterCount");
    printf("meters %s\n", json);
    ridge_free(json);

    /* What the contract refuses: its custom error is in the sentence. */
    snprintf(args, sizeof args, "[\"%s\", 1, 0]", argv[4]);
    ridge_status_t status =
        ridge_contract_send(node, key, abi, deployed.contract, "registerMeter", args, WAIT_MS, NULL);
    if (status == RIDGE_REVERTED) printf("refused %s\n", ridge_error(status));

    ridge_receipt_fini(&registered);
    ridge_receipt_fini(&deployed);
    ridge_abi_free(abi);
    ridge_key_free(key);
    ridge_node_close(node);
    return status == RIDGE_REVERTED ? 0 : 1;
}
