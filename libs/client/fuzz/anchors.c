/* Proofs of a stranger against the genesis of a real main chain: nothing but a proof of that chain is ever verified. The
 * corpus holds two (made by `ridge mainchain prove`), so that inputs get behind the certificate. */
#include <stdlib.h>
#include <string.h>
#include "ridge/client/anchors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char GENESIS[] =
    "{\"version\":1,\"name\":\"main\",\"chain_id\":328471957328764,\"time_ms\":1795287175046,\"consensus\":"
    "\"pbft\",\"validators\":[{\"name\":\"node-0\",\"key\":\"0x4f06c8f0c30aab5226ce0a98c82686da0af88bbaa7f"
    "d9590618e60dc2a00f09a81d717070c7d10166a967a961ac86368a705da1ca0ae577ed526987d0ec2a397\"}],\""
    "admins\":[\"0x0fc17186fc1a86749423aed3ac724043fa2c81db\"],\"params\":{\"block_interval_ms\":20,\"e"
    "mpty_block_ms\":0,\"block_gas_limit\":1000000000,\"tx_gas_limit\":30000000,\"block_tx_max\":2000,"
    "\"evm_revision\":\"cancun\",\"view_timeout_ms\":2000,\"rotate_every\":0},\"alloc\":{}}";

static const rdg_genesis_t *main_chain(void) {
    static rdg_genesis_t g;
    if (g.admin_count == 0 && rdg_genesis_parse(rdg_bytes_str(GENESIS), &g) != RDG_OK) abort();
    return &g;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    rdg_anchor_proof_t p;
    json_t *values = NULL;
    rdg_buf_t again;
    if (rdg_anchor_proof_verify(main_chain(), rdg_bytes(data, size), &p) != RDG_OK) return 0;
    /* That chain has an entry 0, its chain's genesis, and checkpoints behind it. */
    if (p.entry.kind != (p.entry.index == 0 ? RDG_ANCHOR_GENESIS : RDG_ANCHOR_CHECKPOINT)) abort();
    if (p.entry.index >= p.chain.entries || p.entry.block > p.height) abort();
    if (rdg_anchor_decode_data(p.entry.kind, p.entry.data, &values) != RDG_OK) abort();
    rdg_buf_init(&again, RDG_ANCHOR_DATA_MAX);
    json_t *list = json_array(), *value;
    const char *name;
    json_object_foreach(values, name, value) json_array_append(list, value);
    if (rdg_anchor_encode_data(p.entry.kind, list, &again) != RDG_OK ||
        !rdg_bytes_equal(rdg_buf_view(&again), p.entry.data))
        abort();
    rdg_buf_fini(&again);
    json_decref(list);
    json_decref(values);
    return 0;
}
