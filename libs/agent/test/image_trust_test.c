/* The list of whose images may run: only the cloud of this device can change it, and only forwards. */
#include "image_trust.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/image/trust.h"
#include "ridge/test.h"
#include "ridge/test_ca.h"
#include <stdio.h>
#include <string.h>

#define NOW_S 1800000000

static json_t *message(const rdg_test_ca_t *ca, uint64_t number, const char *unsigned_ok) {
    char text[256], hex[129];
    rdg_sm2_signature_t sig;
    rdg_buf_t pem;
    snprintf(text, sizeof text, "{\"number\":%llu,\"unsigned\":\"%s\",\"signers\":[]}",
             (unsigned long long)number, unsigned_ok);
    CHECK_OK(rdg_image_trust_sign(ca->issuing_key, rdg_bytes_str(text), &sig));
    rdg_hex_encode(sig.b, sizeof sig.b, hex);
    rdg_buf_init(&pem, 65536);
    CHECK_OK(rdg_cert_to_pem(ca->issuing, &pem));
    json_t *o = json_pack("{s:s, s:s, s:s}", "trust", text, "signature", hex, "chain", rdg_buf_cstr(&pem));
    rdg_buf_fini(&pem);
    return o;
}

static rdg_err_t give(json_t *m, bool enrolment) {
    rdg_err_t err = image_trust_take(rdg_test_dir(), m, NOW_S, enrolment);
    json_decref(m);
    return err;
}

/* 0: there is none that can be read. */
static uint64_t number_here(void) {
    char path[PATH_MAX];
    rdg_buf_t text;
    rdg_image_trust_t *t = NULL;
    CHECK_OK(image_trust_path(rdg_test_dir(), path));
    rdg_buf_init(&text, RDG_IMAGE_TRUST_MAX);
    rdg_err_t err = rdg_file_read(path, &text);
    if (err == RDG_OK) err = rdg_image_trust_parse(rdg_buf_view(&text), &t);
    uint64_t number = err == RDG_OK ? t->number : 0;
    rdg_buf_fini(&text);
    rdg_free(t);
    return number;
}

TEST(the_newest_list_of_image_signers_wins) {
    rdg_test_ca_t ca;
    rdg_test_ca_init(&ca, NOW_S);
    rdg_test_ca_write(&ca, rdg_test_dir(), "identity", "d1");
    CHECK_OK(give(message(&ca, 5, ""), false));
    CHECK_EQ(number_here(), 5);
    CHECK_OK(give(message(&ca, 5, ""), false));
    CHECK_ERR(give(message(&ca, 4, "*"), false), RDG_E_STALE);
    CHECK_EQ(number_here(), 5);
    CHECK_OK(give(message(&ca, 9, ""), false));
    CHECK_EQ(number_here(), 9);
    CHECK_OK(give(message(&ca, 2, ""), true)); /* this device has another cloud now */
    CHECK_EQ(number_here(), 2);
    rdg_test_ca_fini(&ca);
}

TEST(a_list_that_the_cloud_has_not_signed_is_refused) {
    rdg_test_ca_t ca, other;
    rdg_test_ca_init(&ca, NOW_S);
    rdg_test_ca_init(&other, NOW_S);
    rdg_test_ca_write(&ca, rdg_test_dir(), "identity", "d1");
    CHECK(give(message(&other, 5, "*"), false) != RDG_OK); /* another cloud's */
    json_t *m = message(&ca, 5, "");
    json_object_set_new(m, "trust", json_string("{\"number\":5,\"unsigned\":\"*\",\"signers\":[]}"));
    CHECK_ERR(give(m, false), RDG_E_BAD_SIGNATURE);
    m = message(&ca, 5, "");
    json_object_set_new(m, "signature", json_string("00"));
    CHECK(give(m, false) != RDG_OK);
    m = message(&ca, 5, "");
    json_object_del(m, "trust");
    CHECK(give(m, false) != RDG_OK);
    CHECK_EQ(number_here(), 0);
    rdg_test_ca_fini(&ca);
    rdg_test_ca_fini(&other);
}

TEST(a_list_under_a_new_issuing_ca_of_the_same_root_is_taken) {
    rdg_test_ca_t ca;
    rdg_sm2_public_t pub;
    rdg_sm2_key_t *old_key, *key = NULL;
    rdg_cert_t *old, *issuing = NULL;
    rdg_test_ca_init(&ca, NOW_S);
    rdg_test_ca_write(&ca, rdg_test_dir(), "identity", "d1");
    old_key = ca.issuing_key, old = ca.issuing;
    CHECK_OK(rdg_sm2_key_generate(&key));
    rdg_sm2_key_public(key, &pub);
    rdg_cert_order_t order = {RDG_CERT_KIND_CA, "second issuing CA", &pub,         ca.root,
                              ca.root_key,      NOW_S - 100,         NOW_S + 86400};
    CHECK_OK(rdg_cert_issue(&order, &issuing));
    ca.issuing = issuing, ca.issuing_key = key;
    CHECK_OK(give(message(&ca, 3, ""), false));
    CHECK_EQ(number_here(), 3);
    rdg_cert_free(old);
    rdg_sm2_key_free(old_key);
    rdg_test_ca_fini(&ca);
}

TEST(a_damaged_list_is_mended_from_its_copy_or_replaced_by_the_next) {
    rdg_test_ca_t ca;
    char path[PATH_MAX], copy[PATH_MAX + 4];
    rdg_test_ca_init(&ca, NOW_S);
    rdg_test_ca_write(&ca, rdg_test_dir(), "identity", "d1");
    CHECK_OK(give(message(&ca, 9, ""), false));
    CHECK_OK(image_trust_path(rdg_test_dir(), path));
    snprintf(copy, sizeof copy, "%s.2", path);
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str("{\"num"), 0600));
    CHECK_EQ(number_here(), 0);
    image_trust_mend(rdg_test_dir());
    CHECK_EQ(number_here(), 9);
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str("{\"num"), 0600));
    CHECK_OK(rdg_file_replace(copy, rdg_bytes_str(""), 0600));
    image_trust_mend(rdg_test_dir());
    CHECK_EQ(number_here(), 0);
    CHECK_OK(give(message(&ca, 9, ""), false));
    CHECK_EQ(number_here(), 9);
    rdg_test_ca_fini(&ca);
}
