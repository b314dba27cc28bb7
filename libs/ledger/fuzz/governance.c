/* The governance of a chain and its epochs: whatever decodes encodes to the same bytes, and is a set that can decide. */
#include "governance.h"
#include <stdlib.h>
#include "ridge/base/alloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_governance(rdg_bytes_t wire, governance_t *g, rdg_buf_t *out) {
    if (governance_decode(wire, 7, g) != RDG_OK) return;
    if (governance_encode(g, out) != RDG_OK || !rdg_bytes_equal(rdg_buf_view(out), wire)) abort();
    if (rdg_validators_check(&g->latest.validators) != RDG_OK || g->threshold == 0) abort();
    rdg_sm2_public_t key = g->latest.validators.keys[0];
    if (governance_remove_validator(g, g->latest.first_height, &key) == NULL &&
        rdg_validators_check(&g->latest.validators) != RDG_OK)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    rdg_bytes_t wire = rdg_bytes(data, size);
    rdg_buf_t out;
    rdg_epoch_t epoch;
    governance_t *g = rdg_alloc(sizeof *g);
    if (!g) return 0;
    rdg_buf_init(&out, 1u << 20);
    check_governance(wire, g, &out);
    rdg_buf_clear(&out);
    if (rdg_epoch_decode(wire, 7, &epoch) == RDG_OK)
        if (rdg_epoch_encode(&epoch, &out) != RDG_OK || !rdg_bytes_equal(rdg_buf_view(&out), wire)) abort();
    rdg_buf_fini(&out);
    rdg_free(g);
    return 0;
}
