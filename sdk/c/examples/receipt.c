/* Verifies a receipt with the genesis file alone: no node, no network.
 *
 *   ./receipt genesis.json DIR/evidence [DIR/epoch.1 DIR/epoch.2 …]
 *
 * The genesis must come from somewhere you trust. Each epoch file is a change of the validators, signed by those before. */
#include <ridge/verify.h>
#include <inttypes.h>
#include "example.h"

int main(int argc, char **argv) {
    ridge_trust_t *trust = NULL;
    ridge_receipt_t receipt;
    uint64_t time_ms;
    size_t len;
    usage(argc >= 3, "./receipt GENESIS EVIDENCE [EPOCH…]");
    uint8_t *genesis = read_file(argv[1], &len);
    must(ridge_trust_new((const char *)genesis, &trust), argv[1]);
    free(genesis);
    for (int i = 3; i < argc; ++i) {
        uint8_t *change = read_file(argv[i], &len);
        must(ridge_trust_learn(trust, change, len), argv[i]);
        free(change);
    }
    uint8_t *evidence = read_file(argv[2], &len);
    must(ridge_verify_receipt(trust, evidence, len, &receipt, &time_ms), argv[2]);
    free(evidence);
    printf("{\"transaction\":\"%s\",\"from\":\"%s\",\"to\":\"%s\",\"success\":%s,\"block\":%" PRIu64
           ",\"time_ms\":%" PRIu64 ",\"epoch\":%" PRIu64 ",\"logs\":%s}\n",
           receipt.id, receipt.from, receipt.to, receipt.success ? "true" : "false", receipt.height, time_ms,
           ridge_trust_epoch(trust), receipt.logs);
    ridge_receipt_fini(&receipt);
    ridge_trust_free(trust);
    return 0;
}
