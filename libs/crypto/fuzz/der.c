/* A DER signature that is accepted must be the only one of its value. */
#include <stdlib.h>

#include "sm2_der.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    rdg_sm2_signature_t sig;
    uint8_t der[RDG_SM2_DER_MAX];
    if (rdg_sm2_signature_from_der(rdg_bytes(data, size), &sig) != RDG_OK) return 0;
    size_t len = rdg_sm2_signature_to_der(&sig, der);
    if (!rdg_bytes_equal(rdg_bytes(der, len), rdg_bytes(data, size))) abort();
    return 0;
}
