/* Sends one reading so that no crash loses or repeats it, waits for its receipt, and keeps the evidence of it.
 *
 *   RIDGE_PASSPHRASE=… ./reading URL KEY ARTEFACT CONTRACT METER TIME VALUE DIR
 *
 * DIR/reading.tx     the signed transaction, written before it is sent; a second run sends the same bytes again
 * DIR/evidence       what ./receipt verifies, years later, without a node
 * DIR/epoch.1, …     the changes of the validators since the genesis, for the same */
#include <ridge/contract.h>
#include <ridge/verify.h>
#include <inttypes.h>
#include "example.h"

enum { WAIT_MS = 30000 };

static ridge_tx_t *sign(ridge_node_t *node, char **argv, const char *path) {
    ridge_key_t *key = NULL;
    ridge_abi_t *abi = NULL;
    ridge_bytes_t call;
    ridge_tx_t *tx = NULL;
    char args[256];
    must(ridge_key_load(argv[2], getenv("RIDGE_PASSPHRASE"), &key), argv[2]);
    must(ridge_abi_load(argv[3], &abi), argv[3]);
    snprintf(args, sizeof args, "[\"%s\", [%s], [%s]]", argv[5], argv[6], argv[7]);
    must(ridge_abi_encode_call(abi, "submit", args, &call), "submit");
    const ridge_tx_request_t request = {.to = argv[4], .data = call.data, .data_len = call.len};
    must(ridge_tx_sign(node, key, &request, &tx), "sign");
    size_t len;
    const uint8_t *bytes = ridge_tx_bytes(tx, &len);
    write_file(path, bytes, len);
    ridge_free(call.data);
    ridge_abi_free(abi);
    ridge_key_free(key);
    return tx;
}

static ridge_tx_t *signed_before(const char *path) {
    ridge_tx_t *tx = NULL;
    size_t len;
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    fclose(f);
    uint8_t *bytes = read_file(path, &len);
    must(ridge_tx_read(bytes, len, &tx), path);
    free(bytes);
    return tx;
}

static void keep_evidence(ridge_node_t *node, const char *id, const char *dir) {
    char path[1024];
    ridge_bytes_t evidence;
    must(ridge_prove_receipt(node, id, WAIT_MS, &evidence), "evidence");
    snprintf(path, sizeof path, "%s/evidence", dir);
    write_file(path, evidence.data, evidence.len);
    ridge_free(evidence.data);
    for (uint64_t epoch = 1;; ++epoch) {
        ridge_status_t status = ridge_prove_epoch(node, epoch, WAIT_MS, &evidence);
        if (status == RIDGE_NOT_FOUND) return; /* there was no further change */
        must(status, "change of the validators");
        snprintf(path, sizeof path, "%s/epoch.%" PRIu64, dir, epoch);
        write_file(path, evidence.data, evidence.len);
        ridge_free(evidence.data);
    }
}

int main(int argc, char **argv) {
    ridge_node_t *node = NULL;
    ridge_receipt_t receipt;
    char path[1024];
    usage(argc == 9, "RIDGE_PASSPHRASE=… ./reading URL KEY ARTEFACT CONTRACT METER TIME VALUE DIR");
    must(ridge_node_open(argv[1], 0, &node), argv[1]);
    snprintf(path, sizeof path, "%s/reading.tx", argv[8]);
    ridge_tx_t *tx = signed_before(path);
    if (!tx) tx = sign(node, argv, path);

    ridge_status_t status = ridge_tx_send(node, tx);
    if (status != RIDGE_DUPLICATE) must(status, "send"); /* the node has it already: as good */
    must(ridge_tx_wait(node, tx, WAIT_MS, &receipt), "wait");
    printf("%s in block %" PRIu64 ": %s\n", receipt.id, receipt.height,
           receipt.success ? "success" : "failed");
    bool ok = receipt.success;
    keep_evidence(node, receipt.id, argv[8]);
    ridge_receipt_fini(&receipt);
    ridge_tx_free(tx);
    ridge_node_close(node);
    return ok ? 0 : 1;
}
