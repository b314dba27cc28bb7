/* A certificate that is accepted holds a key on the curve, keeps its bytes, and is trusted by no one else. */
#include <stdlib.h>
#include <string.h>

#include "ridge/crypto/cert_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Printable, whatever the certificate holds. */
static void check_text(const char *text, size_t len) {
    for (size_t i = 0; i < len; i++)
        if ((uint8_t)text[i] < 0x20 || text[i] == 0x7f) abort();
}

static void check_name(void *ctx, const char *name) {
    (void)ctx;
    check_text(name, strlen(name));
}

static void check_texts(const rdg_cert_t *cert) {
    rdg_buf_t text;
    rdg_buf_init(&text, 4 * RDG_CERT_TEXT_MAX);
    (void)rdg_cert_subject_text(cert, &text);
    (void)rdg_cert_issuer_text(cert, &text);
    check_text((const char *)text.data, text.len);
    rdg_buf_fini(&text);
    (void)rdg_cert_each_name(cert, check_name, NULL);
    for (size_t i = 0; i < RDG_CERT_USAGES; i++) (void)rdg_cert_usage(cert, i);
    (void)rdg_cert_version(cert), (void)rdg_cert_path_length(cert);
}

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
    check_name(NULL, name);
    check_texts(cert);
    (void)rdg_cert_has_name(cert, "x");
    (void)rdg_cert_allows(cert, RDG_CERT_ENCRYPT);
    (void)rdg_cert_not_before_s(cert), (void)rdg_cert_not_after_s(cert);
    const rdg_cert_t *self[] = {cert};
    (void)rdg_cert_verify(cert, RDG_CERT_SIGN, self, 1, self, 1, 1800000000);
    rdg_cert_free(cert);
    return 0;
}
