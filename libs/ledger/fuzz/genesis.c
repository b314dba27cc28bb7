/* A genesis that parses formats to a text with the same hash. */
#include <stdlib.h>
#include "ridge/ledger/genesis.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static rdg_genesis_t g, again;
    rdg_buf_t text;
    if (rdg_genesis_parse(rdg_bytes(data, size), &g) != RDG_OK) return 0;
    rdg_hash_t hash = g.hash;
    rdg_buf_init(&text, RDG_GENESIS_BYTES_MAX);
    if (rdg_genesis_format(&g, &text) == RDG_OK) {
        if (rdg_genesis_parse(rdg_buf_view(&text), &again) != RDG_OK) abort();
        if (!rdg_hash_equal(&hash, &again.hash)) abort();
    }
    rdg_buf_fini(&text);
    return 0;
}
