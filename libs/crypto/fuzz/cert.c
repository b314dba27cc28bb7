/* A certificate that is accepted holds a key on the curve, keeps its bytes, and is trusted by no one else. */
#include <stdlib.h>

#include "ridge/crypto/cert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    rdg_cert_t *cert = NULL;
    if (rdg_cert_parse(rdg_bytes(data, size), &cert) != RDG_OK) {
        if (cert) abort();
        return 0;
    }
    rdg_sm2_public_t pub;
    char name[RDG_CERT_NAME_MAX];
    if (!rdg_bytes_equal(rdg_cert_der(cert), rdg_bytes(data, size))) abort();
    if (rdg_sm2_public_decode(rdg_bytes(rdg_cert_public(cert)->b, 64), &pub) != RDG_OK) abort();
    if (rdg_cert_verify(cert, RDG_CERT_SIGN, NULL, 0, NULL, 0, 0) == RDG_OK) abort();
    rdg_cert_common_name(cert, name, sizeof name);
    (void)rdg_cert_has_name(cert, "x");
    (void)rdg_cert_allows(cert, RDG_CERT_ENCRYPT);
    (void)rdg_cert_not_before_s(cert), (void)rdg_cert_not_after_s(cert);
    const rdg_cert_t *self[] = {cert};
    (void)rdg_cert_verify(cert, RDG_CERT_SIGN, self, 1, self, 1, 1800000000);
    rdg_cert_free(cert);
    return 0;
}
