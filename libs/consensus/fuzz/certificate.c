/* Whatever decodes as a certificate has one encoding; and where every signature is taken as good, exactly a
 * quorum or more of distinct members in ascending order is accepted. */
#include <stdlib.h>
#include "certificate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void verify(void *ctx, const rdg_sm2_check_t *checks, size_t count, rdg_err_t *results) {
    (void)ctx, (void)checks;
    for (size_t i = 0; i < count; ++i) results[i] = RDG_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static rdg_validator_set_t set;
    const rdg_consensus_host_t host = {.verify = verify};
    rdg_certificate_t c;
    rdg_buf_t again;
    set.count = 7;
    if (rdg_certificate_decode(rdg_bytes(data, size), &c) != RDG_OK) return 0;
    rdg_buf_init(&again, size + 16);
    if (rdg_certificate_encode(&c, &again) != RDG_OK ||
        !rdg_bytes_equal(rdg_buf_view(&again), rdg_bytes(data, size)))
        abort();
    rdg_buf_fini(&again);
    uint32_t distinct = 0, seen = 0;
    for (uint32_t i = 0; i < c.count; ++i)
        if (c.votes[i].index < set.count && !(seen >> c.votes[i].index & 1)) {
            seen |= 1u << c.votes[i].index;
            ++distinct;
        }
    bool accepted = certificate_verify_with(&c, &set, RDG_PHASE_COMMIT, &host) == RDG_OK;
    if (accepted && (distinct != c.count || distinct < rdg_validators_quorum(rdg_validators_total(&set))))
        abort();
    return 0;
}
