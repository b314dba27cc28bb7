/* What makes an image one to run, and what does not. */
#include "ridge/base/alloc.h"
#include "ridge/codec/hex.h"
#include "ridge/image/trust.h"
#include "ridge/test.h"
#include <stdio.h>
#include <string.h>

#define DIGEST "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define OTHER "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

static rdg_sm2_key_t *key(uint8_t n) {
    uint8_t scalar[32] = {0};
    rdg_sm2_key_t *k = NULL;
    scalar[31] = n;
    CHECK_OK(rdg_sm2_key_from_scalar(scalar, &k));
    return k;
}

static rdg_image_signature_t sign(uint8_t n, const char *digest, const char *name, const char *tag) {
    rdg_sm2_key_t *k = key(n);
    rdg_image_signature_t s;
    CHECK_OK(rdg_image_signature_make(k, digest, name, tag, 1700000000000u, &s));
    rdg_sm2_key_free(k);
    return s;
}

/* Signer 1 may sign everything, 2 is revoked, 3 is for lab/ alone. */
static rdg_image_trust_t *trust(void) {
    static rdg_image_trust_t t;
    static const char *const patterns[] = {"*", "*", "lab/*,tool"};
    memset(&t, 0, sizeof t);
    t.number = 7;
    t.signer_count = 3;
    for (uint8_t i = 0; i < 3; ++i) {
        rdg_sm2_key_t *k = key((uint8_t)(i + 1));
        snprintf(t.signers[i].name, sizeof t.signers[i].name, "signer-%d", i + 1);
        snprintf(t.signers[i].repositories, RDG_IMAGE_PATTERNS_MAX, "%s", patterns[i]);
        t.signers[i].revoked = i == 1;
        rdg_sm2_key_public(k, &t.signers[i].key);
        rdg_sm2_key_free(k);
    }
    return &t;
}

static rdg_err_t judge(rdg_image_signature_t s, const char *name, const char *tag) {
    const rdg_image_wanted_t w = {DIGEST, name, tag};
    return rdg_image_trust_judge(trust(), &s, &w);
}

TEST(a_trusted_signature_of_this_image_is_good) {
    CHECK_OK(judge(sign(1, DIGEST, "team/app", "1.0"), "team/app", "1.0"));
    CHECK_OK(judge(sign(1, DIGEST, "team/app", "1.0"), "team/app", NULL)); /* asked for by digest */
    CHECK_OK(judge(sign(1, DIGEST, "team/app", ""), "team/app", "2.0"));   /* signed for any tag */
    CHECK_OK(judge(sign(3, DIGEST, "lab/x", ""), "lab/x", "1"));
    CHECK_OK(judge(sign(3, DIGEST, "tool", ""), "tool", "1"));
}

TEST(a_signature_of_something_else_is_refused) {
    CHECK_ERR(judge(sign(1, OTHER, "team/app", "1.0"), "team/app", "1.0"), RDG_E_BAD_SIGNATURE);
    CHECK_ERR(judge(sign(1, DIGEST, "team/other", "1.0"), "team/app", "1.0"), RDG_E_BAD_SIGNATURE);
    CHECK_ERR(judge(sign(1, DIGEST, "team/app", "1.0"), "team/app", "2.0"), RDG_E_BAD_SIGNATURE);
}

TEST(a_signer_that_is_not_trusted_here_is_refused_by_name) {
    CHECK_ERR(judge(sign(9, DIGEST, "team/app", ""), "team/app", "1"), RDG_E_FORBIDDEN);
    CHECK(strstr(rdg_err_message(RDG_E_FORBIDDEN), "does not trust") != NULL);
    CHECK_ERR(judge(sign(2, DIGEST, "team/app", ""), "team/app", "1"), RDG_E_FORBIDDEN);
    CHECK(strstr(rdg_err_message(RDG_E_FORBIDDEN), "signer-2") != NULL);
    CHECK_ERR(judge(sign(3, DIGEST, "team/app", ""), "team/app", "1"), RDG_E_FORBIDDEN);
    CHECK_ERR(judge(sign(3, DIGEST, "lab", ""), "lab", "1"), RDG_E_FORBIDDEN);
}

TEST(a_signature_that_was_changed_is_refused) {
    for (size_t i = 0; i < 64; i += 9) {
        rdg_image_signature_t s = sign(1, DIGEST, "team/app", "1.0");
        s.signature.b[i] ^= 1;
        CHECK_ERR(judge(s, "team/app", "1.0"), RDG_E_BAD_SIGNATURE);
    }
    rdg_image_signature_t s = sign(1, DIGEST, "team/app", "1.0");
    s.tag[0] = '\0'; /* would be good for every tag */
    CHECK_ERR(judge(s, "team/app", "2.0"), RDG_E_BAD_SIGNATURE);
    s = sign(1, DIGEST, "team/app", "1.0");
    s.signed_ms++;
    CHECK_ERR(judge(s, "team/app", "1.0"), RDG_E_BAD_SIGNATURE);
    s = sign(9, DIGEST, "team/app", "1.0");
    s.key = trust()->signers[0].key; /* another's signature under a trusted name */
    CHECK_ERR(judge(s, "team/app", "1.0"), RDG_E_BAD_SIGNATURE);
}

TEST(what_cannot_be_an_image_is_not_signed) {
    rdg_sm2_key_t *k = key(1);
    rdg_image_signature_t s;
    static const char *const bad[][3] = {
        {"sha256:1", "a", ""}, {DIGEST, "", ""},  {DIGEST, "a\nb", ""},
        {DIGEST, "a", "1\n2"}, {DIGEST, "A", ""}, {"md5:e3b0c44298fc1c149afbf4c8996fb924", "a", ""}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i)
        CHECK_ERR(rdg_image_signature_make(k, bad[i][0], bad[i][1], bad[i][2], 1, &s), RDG_E_INVALID);
    rdg_sm2_key_free(k);
}

TEST(a_signature_comes_back_from_its_text_and_nothing_else_does) {
    rdg_image_signature_t s = sign(1, DIGEST, "team/app", "1.0"), back;
    rdg_buf_t text;
    rdg_buf_init(&text, RDG_IMAGE_SIGNATURE_MAX);
    CHECK_OK(rdg_image_signature_dump(&s, &text));
    CHECK_OK(rdg_image_signature_parse(rdg_buf_view(&text), &back));
    CHECK_OK(rdg_image_signature_check(&back));
    CHECK_STR(back.digest, DIGEST);
    CHECK_STR(back.name, "team/app");
    CHECK_STR(back.tag, "1.0");
    rdg_buf_fini(&text);
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "null",
        "{\"digest\":1}",
        "{\"digest\":\"" DIGEST
        "\",\"name\":\"a\",\"tag\":\"\",\"signed_ms\":1,\"key\":\"00\",\"signature\":\"00\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i)
        CHECK_ERR(rdg_image_signature_parse(rdg_bytes_str(bad[i]), &back), RDG_E_MALFORMED);
    static char large[RDG_IMAGE_SIGNATURE_MAX + 2];
    memset(large, ' ', sizeof large - 1);
    CHECK_ERR(rdg_image_signature_parse(rdg_bytes_str(large), &back), RDG_E_TOO_LARGE);
}

TEST(the_list_comes_back_from_its_text) {
    rdg_image_trust_t *back = NULL;
    rdg_buf_t text;
    rdg_buf_init(&text, RDG_IMAGE_TRUST_MAX);
    snprintf(trust()->unsigned_ok, RDG_IMAGE_PATTERNS_MAX, "127.0.0.1:5000/*");
    rdg_image_trust_t *t = trust();
    snprintf(t->unsigned_ok, sizeof t->unsigned_ok, "127.0.0.1:5000/*");
    CHECK_OK(rdg_image_trust_dump(t, &text));
    CHECK_OK(rdg_image_trust_parse(rdg_buf_view(&text), &back));
    CHECK_EQ(back->number, 7);
    CHECK_EQ(back->signer_count, 3);
    CHECK(back->signers[1].revoked && !back->signers[0].revoked);
    CHECK_STR(back->signers[2].repositories, "lab/*,tool");
    CHECK(rdg_image_patterns_fit(back->unsigned_ok, "127.0.0.1:5000/x/y"));
    CHECK(!rdg_image_patterns_fit(back->unsigned_ok, "cloud.ridge/x"));
    rdg_free(back);
    rdg_err_t err;
    RDG_TEST_ALLOC_LOOP(err) {
        back = NULL;
        err = rdg_image_trust_parse(rdg_buf_view(&text), &back);
        rdg_free(back);
    }
    CHECK_ERR(rdg_image_trust_parse(rdg_bytes_str("{\"number\":1,\"signers\":{},\"unsigned\":\"\"}"), &back),
              RDG_E_INVALID);
    rdg_buf_fini(&text);
}

TEST(the_list_is_signed_as_it_is) {
    rdg_sm2_key_t *k = key(4);
    rdg_sm2_public_t pub;
    rdg_sm2_signature_t sig;
    rdg_sm2_key_public(k, &pub);
    CHECK_OK(rdg_image_trust_sign(k, rdg_bytes_str("{}"), &sig));
    CHECK_OK(rdg_image_trust_verify(&pub, rdg_bytes_str("{}"), &sig));
    CHECK_ERR(rdg_image_trust_verify(&pub, rdg_bytes_str("{ }"), &sig), RDG_E_BAD_SIGNATURE);
    CHECK_ERR(rdg_image_trust_verify(&trust()->signers[0].key, rdg_bytes_str("{}"), &sig),
              RDG_E_BAD_SIGNATURE);
    rdg_sm2_key_free(k);
}

TEST(patterns_fit_what_they_say_and_no_more) {
    static const char *const good[] = {"", "*", "team/*", "a,b/c,d/*", "127.0.0.1:5000/*"};
    static const char *const bad[] = {",", "a,", "te*am", "team*", "/*", "a b", "a,,b", "**"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; ++i) CHECK_OK(rdg_image_patterns_check(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i)
        CHECK_ERR(rdg_image_patterns_check(bad[i]), RDG_E_INVALID);
    CHECK(rdg_image_patterns_fit("team/*", "team/app") && !rdg_image_patterns_fit("team/*", "team"));
    CHECK(!rdg_image_patterns_fit("team/*", "teams/app") && !rdg_image_patterns_fit("team/*", "team/"));
    CHECK(!rdg_image_patterns_fit("app", "app2") && !rdg_image_patterns_fit("app2", "app"));
    CHECK(!rdg_image_patterns_fit("", "app") && rdg_image_patterns_fit("x,app", "app"));
}
