/* Receipts and executed headers: whatever decodes encodes to the same bytes. */
#include <stdlib.h>
#include "ridge/ledger/block.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_executed(rdg_bytes_t wire, rdg_buf_t *out) {
    rdg_executed_t e;
    if (rdg_executed_decode(wire, &e) != RDG_OK) return;
    if (rdg_executed_encode(&e, out) != RDG_OK || !rdg_bytes_equal(rdg_buf_view(out), wire)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    rdg_receipt_t r;
    rdg_arena_t arena;
    rdg_buf_t out;
    rdg_bytes_t wire = rdg_bytes(data, size);
    rdg_arena_init(&arena, 64u << 20);
    rdg_buf_init(&out, RDG_RECEIPT_BYTES_MAX);
    if (rdg_receipt_decode(wire, &arena, &r) == RDG_OK) {
        rdg_bloom_t bloom = {{0}};
        if (rdg_receipt_encode(&r, &out) != RDG_OK || !rdg_bytes_equal(rdg_buf_view(&out), wire)) abort();
        rdg_bloom_add_receipt(&bloom, &r);
    } else {
        check_executed(wire, &out);
    }
    rdg_buf_fini(&out);
    rdg_arena_fini(&arena);
    return 0;
}
