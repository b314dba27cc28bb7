#include "ridge/crypto/cert_text.h"

#include "ridge/crypto/cert_issue.h"
#include "ridge/test.h"
#include "support.h"

#define NOW 1800000000

static rdg_cert_t *issue(rdg_cert_kind_t kind, const char *name, const rdg_sm2_key_t *subject,
                         const rdg_cert_t *issuer, const rdg_sm2_key_t *issuer_key) {
    rdg_sm2_public_t pub;
    rdg_cert_t *cert = NULL;
    rdg_sm2_key_public(subject, &pub);
    rdg_cert_order_t order = {.kind = kind,
                              .common_name = name,
                              .subject_key = &pub,
                              .issuer = issuer,
                              .issuer_key = issuer_key,
                              .not_before_s = NOW,
                              .not_after_s = NOW + 1000};
    CHECK_OK(rdg_cert_issue(&order, &cert));
    return cert;
}

static void append(void *ctx, const char *name) {
    rdg_buf_printf(ctx, "%s;", name);
}

static void usages(const rdg_cert_t *cert, rdg_buf_t *out) {
    for (size_t i = 0; i < RDG_CERT_USAGES; i++)
        if (rdg_cert_usage(cert, i)) append(out, rdg_cert_usage(cert, i));
}

TEST(cert_text_says_what_the_issuer_put_in) {
    rdg_sm2_key_t *root_key = test_key(), *key = test_key();
    rdg_cert_t *root = issue(RDG_CERT_KIND_ROOT, "a root", root_key, NULL, root_key);
    rdg_cert_t *ca = issue(RDG_CERT_KIND_CA, "ca", key, root, root_key);
    rdg_cert_t *enc = issue(RDG_CERT_KIND_ENCRYPT, "node+1", key, root, root_key);
    rdg_buf_t text;
    rdg_buf_init(&text, 1000);
    CHECK_OK(rdg_cert_subject_text(enc, &text));
    rdg_buf_u8(&text, '|');
    CHECK_OK(rdg_cert_issuer_text(enc, &text));
    rdg_buf_u8(&text, '|');
    CHECK_OK(rdg_cert_each_name(enc, append, &text));
    rdg_buf_u8(&text, '|');
    usages(enc, &text);
    rdg_buf_u8(&text, '|');
    usages(root, &text);
    CHECK_STR(rdg_buf_cstr(&text),
              "CN=node\\+1|CN=a root|DNS:node+1;|keyEncipherment;dataEncipherment;keyAgreement;|"
              "keyCertSign;cRLSign;");
    CHECK_EQ(rdg_cert_version(enc), 3);
    CHECK_EQ(rdg_cert_path_length(root), -1);
    CHECK_EQ(rdg_cert_path_length(ca), 0);
    rdg_buf_fini(&text);
    rdg_cert_free(root), rdg_cert_free(ca), rdg_cert_free(enc);
    rdg_sm2_key_free(root_key), rdg_sm2_key_free(key);
}

/* Names that somebody else chose: made by openssl, which takes any bytes. */
TEST(cert_text_cannot_drive_a_terminal) {
    const char *key = test_path("key"), *crt = test_path("crt");
    uint8_t der[RDG_CERT_DER_MAX];
    rdg_cert_t *cert;
    rdg_buf_t text;
    char name[RDG_CERT_NAME_MAX];
    rdg_buf_init(&text, 1000);
    CHECK_EQ(OPENSSL("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2", "-out", key), 0);
    CHECK_EQ(OPENSSL("req", "-x509", "-new", "-utf8", "-key", key, "-sm3", "-sigopt",
                     "distid:1234567812345678", "-subj", "/O=\xe7\x94\xb5\xe7\xbd\x91/CN=x\x1b[2J\x0ay",
                     "-outform", "DER", "-out", crt, "-addext",
                     "subjectAltName=DNS:a\x1b]0;x\x07,IP:fe80::1,email:a@b.c"),
             0);
    size_t len = test_read(crt, der, sizeof der);
    CHECK_OK(rdg_cert_parse(rdg_bytes(der, len), &cert));
    CHECK_OK(rdg_cert_subject_text(cert, &text));
    CHECK_STR(rdg_buf_cstr(&text), "CN=x\\1B[2J\\0Ay,O=\xe7\x94\xb5\xe7\xbd\x91");
    rdg_buf_clear(&text);
    CHECK_OK(rdg_cert_each_name(cert, append, &text));
    CHECK_STR(rdg_buf_cstr(&text), "DNS:a\\1B]0;x\\07;IP:fe80:0:0:0:0:0:0:1;other;");
    rdg_cert_common_name(cert, name, sizeof name);
    CHECK_STR(name, "x?[2J?y");
    rdg_buf_fini(&text);
    rdg_cert_free(cert);
}
