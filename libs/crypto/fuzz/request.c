/* A request that is accepted holds a key on the curve and one plain name, and stops being one when its
 * signature is touched. */
#include <stdlib.h>
#include <string.h>

#include "ridge/crypto/cert_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    rdg_cert_request_t r, again;
    rdg_sm2_public_t pub;
    uint8_t copy[RDG_CERT_REQUEST_MAX];
    (void)rdg_cert_request_parse_pem(rdg_bytes(data, size), &r);
    if (rdg_cert_request_parse(rdg_bytes(data, size), &r) != RDG_OK) {
        if (r.common_name[0]) abort();
        return 0;
    }
    if (rdg_sm2_public_decode(rdg_bytes(r.public_key.b, 64), &pub) != RDG_OK) abort();
    if (!r.common_name[0] || !rdg_cert_request_is_for(&r, r.common_name)) abort();
    memcpy(copy, data, size);
    copy[size - 1] ^= 1;
    if (rdg_cert_request_parse(rdg_bytes(copy, size), &again) == RDG_OK) abort();
    return 0;
}
