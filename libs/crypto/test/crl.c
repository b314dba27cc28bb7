#include "ridge/crypto/crl.h"

#include "ridge/test.h"
#include "ridge/test_ca.h"

#define NOW 1800000000
#define WEEK (7 * 86400)

static rdg_cert_t *leaf(const rdg_test_ca_t *ca, const char *name) {
    rdg_sm2_key_t *key;
    rdg_sm2_public_t pub;
    CHECK_OK(rdg_sm2_key_generate(&key));
    rdg_sm2_key_public(key, &pub);
    rdg_sm2_key_free(key);
    return rdg_test_ca_issue(ca, RDG_CERT_KIND_SIGN, name, &pub);
}

TEST(crl_holds_what_is_revoked_and_nothing_else) {
    rdg_test_ca_t ca, other;
    rdg_test_ca_init(&ca, NOW), rdg_test_ca_init(&other, NOW);
    rdg_cert_t *a = leaf(&ca, "a"), *b = leaf(&ca, "b");
    const rdg_cert_t *revoked[] = {a};
    rdg_crl_t *crl = rdg_test_ca_crl(&ca, 7, revoked, 1), *empty = rdg_test_ca_crl(&ca, 8, NULL, 0), *back;
    CHECK(rdg_crl_contains(crl, a) && !rdg_crl_contains(crl, b) && !rdg_crl_contains(crl, ca.issuing));
    CHECK(!rdg_crl_contains(empty, a));
    CHECK_EQ(rdg_crl_number(crl), 7);
    CHECK_EQ(rdg_crl_count(crl), 1);
    CHECK_EQ(rdg_crl_this_update_s(crl), NOW);
    CHECK_EQ(rdg_crl_next_update_s(crl), NOW + WEEK);
    CHECK_OK(rdg_crl_verify(crl, ca.issuing));
    CHECK_ERR(rdg_crl_verify(crl, ca.root), RDG_E_FORBIDDEN);
    CHECK_ERR(rdg_crl_verify(crl, a), RDG_E_FORBIDDEN);
    CHECK_ERR(rdg_crl_verify(crl, other.issuing), RDG_E_BAD_SIGNATURE); /* same name, another key */
    CHECK_OK(rdg_crl_check_time(crl, NOW - RDG_CRL_SKEW_S));
    CHECK_ERR(rdg_crl_check_time(crl, NOW - RDG_CRL_SKEW_S - 1), RDG_E_EXPIRED);
    CHECK_OK(rdg_crl_check_time(crl, NOW + WEEK));
    CHECK_ERR(rdg_crl_check_time(crl, NOW + WEEK + 1), RDG_E_EXPIRED);
    rdg_buf_t pem;
    rdg_buf_init(&pem, RDG_CRL_PEM_MAX);
    CHECK_OK(rdg_crl_to_pem(crl, &pem));
    CHECK_OK(rdg_crl_parse_pem(rdg_buf_view(&pem), &back));
    CHECK(rdg_bytes_equal(rdg_crl_der(back), rdg_crl_der(crl)));
    rdg_buf_fini(&pem);
    rdg_crl_free(back), rdg_crl_free(crl), rdg_crl_free(empty);
    rdg_cert_free(a), rdg_cert_free(b);
    rdg_test_ca_fini(&ca), rdg_test_ca_fini(&other);
}

/* Truncated anywhere it is none; with any bit changed it is none, or not its issuer's. */
TEST(crl_damaged_never_verifies) {
    rdg_test_ca_t ca;
    rdg_test_ca_init(&ca, NOW);
    rdg_cert_t *a = leaf(&ca, "a");
    const rdg_cert_t *revoked[] = {a};
    rdg_crl_t *crl = rdg_test_ca_crl(&ca, 1, revoked, 1), *back = NULL;
    rdg_bytes_t der = rdg_crl_der(crl);
    for (size_t i = 0; i < der.len; i++)
        CHECK(rdg_crl_parse(rdg_bytes(der.data, i), &back) != RDG_OK && !back);
    uint8_t *copy = rdg_memdup(der.data, der.len);
    for (size_t i = 0; i < der.len * 8; i++) {
        copy[i / 8] ^= (uint8_t)(1 << i % 8);
        if (rdg_crl_parse(rdg_bytes(copy, der.len), &back) == RDG_OK) {
            CHECK(rdg_crl_verify(back, ca.issuing) != RDG_OK);
            rdg_crl_free(back);
        }
        copy[i / 8] = der.data[i / 8];
    }
    rdg_free(copy);
    rdg_crl_free(crl);
    rdg_cert_free(a);
    rdg_test_ca_fini(&ca);
}

TEST(crl_of_many_entries_stays_below_its_limits) {
    rdg_test_ca_t ca;
    rdg_test_ca_init(&ca, NOW);
    rdg_crl_entry_t *entries = rdg_calloc(RDG_CRL_ENTRIES_MAX + 1, sizeof *entries);
    rdg_crl_t *crl = NULL;
    CHECK(entries);
    for (size_t i = 0; i <= RDG_CRL_ENTRIES_MAX; i++) {
        memset(entries[i].serial, 'f', 40);
        entries[i].serial[0] = '7';
        for (int d = 0; d < 8; d++) entries[i].serial[39 - d] = "0123456789abcdef"[i >> (4 * d) & 15];
        entries[i].revoked_s = NOW;
        entries[i].reason = RDG_CRL_KEY_COMPROMISE;
    }
    rdg_crl_order_t order = {ca.issuing, ca.issuing_key, INT64_MAX - 1,          NOW,
                             NOW + WEEK, entries,        RDG_CRL_ENTRIES_MAX + 1};
    CHECK_ERR(rdg_crl_issue(&order, &crl), RDG_E_FULL);
    order.entry_count = RDG_CRL_ENTRIES_MAX;
    CHECK_OK(rdg_crl_issue(&order, &crl));
    CHECK_EQ(rdg_crl_count(crl), RDG_CRL_ENTRIES_MAX);
    rdg_buf_t pem;
    rdg_buf_init(&pem, RDG_CRL_PEM_MAX);
    CHECK_OK(rdg_crl_to_pem(crl, &pem));
    rdg_buf_fini(&pem);
    rdg_crl_free(crl);
    rdg_free(entries);
    rdg_test_ca_fini(&ca);
}

TEST(crl_order_that_contradicts_itself_is_refused) {
    rdg_test_ca_t ca;
    rdg_test_ca_init(&ca, NOW);
    rdg_crl_t *crl = NULL;
    rdg_cert_t *a = leaf(&ca, "a");
    rdg_crl_entry_t bad = {"xyz", NOW, RDG_CRL_UNSPECIFIED};
    rdg_crl_order_t order = {a, ca.issuing_key, 1, NOW, NOW + WEEK, NULL, 0};
    CHECK_ERR(rdg_crl_issue(&order, &crl), RDG_E_INVALID);
    order.issuer = ca.root;
    CHECK_ERR(rdg_crl_issue(&order, &crl), RDG_E_INVALID);
    order.issuer = ca.issuing, order.next_update_s = NOW;
    CHECK_ERR(rdg_crl_issue(&order, &crl), RDG_E_INVALID);
    order.next_update_s = NOW + 1, order.entries = &bad, order.entry_count = 1;
    CHECK(rdg_crl_issue(&order, &crl) != RDG_OK);
    CHECK(!crl);
    rdg_cert_free(a);
    rdg_test_ca_fini(&ca);
}

TEST(crl_reasons_have_names) {
    rdg_crl_reason_t reason;
    CHECK_OK(rdg_crl_reason_parse("key-compromise", &reason));
    CHECK_EQ(reason, RDG_CRL_KEY_COMPROMISE);
    CHECK_STR(rdg_crl_reason_name(RDG_CRL_CESSATION), "cessation");
    CHECK_ERR(rdg_crl_reason_parse("because", &reason), RDG_E_INVALID);
    CHECK_OK(rdg_crl_reason_parse(rdg_crl_reason_name((rdg_crl_reason_t)77), &reason));
    CHECK_EQ(reason, RDG_CRL_UNSPECIFIED);
}
