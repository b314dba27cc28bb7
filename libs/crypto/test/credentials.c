#include "ridge/crypto/credentials.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/test.h"
#include "ridge/test_ca.h"

#define NOW 1800000000

static const char *at(const char *name) {
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", rdg_test_dir(), name);
    return path;
}

TEST(credentials_are_installed_loaded_and_renewed) {
    rdg_test_ca_t ca;
    rdg_credentials_t *first, *second;
    struct stat st;
    rdg_test_ca_init(&ca, NOW);
    CHECK_ERR(rdg_credentials_load(rdg_test_dir(), "node", &first), RDG_E_NOT_FOUND);
    rdg_test_ca_write(&ca, rdg_test_dir(), "node", "dev-1.main");
    CHECK_OK(rdg_credentials_load(rdg_test_dir(), "node", &first));
    CHECK(rdg_cert_has_name(first->sign_cert, "dev-1.main") &&
          rdg_cert_has_name(first->enc_cert, "dev-1.main"));
    CHECK_EQ(first->chain_count, 1);
    CHECK_EQ(first->root_count, 1);
    CHECK(!first->crl);
    CHECK(stat(at("node-enc.key"), &st) == 0 && (st.st_mode & 0777) == 0600);
    CHECK(!rdg_file_exists(at("node.new")) && !rdg_file_exists(at("node-enc.key.new")));
    rdg_test_ca_write(&ca, rdg_test_dir(), "node", "dev-1.main");
    CHECK_OK(rdg_credentials_load(rdg_test_dir(), "node", &second));
    CHECK_MEM(rdg_cert_public(first->sign_cert)->b, rdg_cert_public(second->sign_cert)->b, 64);
    CHECK(memcmp(rdg_cert_public(first->enc_cert)->b, rdg_cert_public(second->enc_cert)->b, 64) != 0);
    rdg_credentials_free(first), rdg_credentials_free(second);
    rdg_test_ca_fini(&ca);
}

/* Each file by itself: its coming, its going, and another one in its place. */
TEST(credentials_stamp_changes_with_every_file) {
    static const char *const files[] = {"node.key",     "node-sign.crt", "node-enc.key", "node-enc.crt",
                                        "ca-chain.crt", "roots.crt",     "ca.crl"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        uint64_t none = rdg_credentials_stamp(rdg_test_dir(), "node");
        CHECK_OK(rdg_file_replace(at(files[i]), rdg_bytes_str("one"), 0600));
        uint64_t one = rdg_credentials_stamp(rdg_test_dir(), "node");
        CHECK(one != none && one == rdg_credentials_stamp(rdg_test_dir(), "node"));
        CHECK_OK(rdg_file_replace(at(files[i]), rdg_bytes_str("two"), 0600));
        CHECK(rdg_credentials_stamp(rdg_test_dir(), "node") != one);
        CHECK_EQ(unlink(at(files[i])), 0);
        CHECK_EQ(rdg_credentials_stamp(rdg_test_dir(), "node"), none);
    }
}

TEST(credentials_next_key_is_the_same_until_it_is_used) {
    rdg_test_ca_t ca;
    rdg_sm2_key_t *a, *b;
    rdg_sm2_public_t x, y;
    rdg_test_ca_init(&ca, NOW);
    CHECK_OK(rdg_credentials_next_key(rdg_test_dir(), "node", &a));
    CHECK_OK(rdg_credentials_next_key(rdg_test_dir(), "node", &b));
    rdg_sm2_key_public(a, &x), rdg_sm2_key_public(b, &y);
    CHECK_MEM(x.b, y.b, sizeof x.b);
    rdg_sm2_key_free(b);
    rdg_test_ca_write(&ca, rdg_test_dir(), "node", "n");
    CHECK_OK(rdg_credentials_next_key(rdg_test_dir(), "node", &b));
    rdg_sm2_key_public(b, &y);
    CHECK(memcmp(x.b, y.b, sizeof x.b) != 0);
    rdg_sm2_key_free(a), rdg_sm2_key_free(b);
    rdg_test_ca_fini(&ca);
}

static char *text_of(const char *name) {
    rdg_buf_t text;
    size_t len;
    rdg_buf_init(&text, RDG_CREDENTIALS_TEXT_MAX);
    CHECK_OK(rdg_file_read(at(name), &text));
    char *out = (char *)rdg_buf_take(&text, &len);
    rdg_buf_fini(&text);
    return out;
}

/* A renewal is on its way when the cloud brings back certificates that were lost. */
TEST(credentials_of_the_present_key_leave_the_next_one_waiting) {
    rdg_test_ca_t ca;
    rdg_sm2_key_t *before, *after;
    rdg_sm2_public_t x, y;
    rdg_credentials_t *c;
    rdg_test_ca_init(&ca, NOW);
    rdg_test_ca_write(&ca, rdg_test_dir(), "node", "n");
    char *sign = text_of("node-sign.crt"), *enc = text_of("node-enc.crt"), *chain = text_of("ca-chain.crt"),
         *roots = text_of("roots.crt");
    CHECK_OK(rdg_credentials_next_key(rdg_test_dir(), "node", &before));
    CHECK_EQ(unlink(at("node-sign.crt")), 0);
    const rdg_credentials_texts_t texts = {sign, enc, chain, roots};
    CHECK_OK(rdg_credentials_install(rdg_test_dir(), "node", &texts, NOW));
    CHECK_OK(rdg_credentials_load(rdg_test_dir(), "node", &c));
    CHECK_OK(rdg_credentials_next_key(rdg_test_dir(), "node", &after));
    rdg_sm2_key_public(before, &x), rdg_sm2_key_public(after, &y);
    CHECK_MEM(x.b, y.b, sizeof x.b);
    CHECK(memcmp(x.b, rdg_cert_public(c->enc_cert)->b, sizeof x.b) != 0);
    rdg_credentials_free(c);
    rdg_sm2_key_free(before), rdg_sm2_key_free(after);
    rdg_free(sign), rdg_free(enc), rdg_free(chain), rdg_free(roots);
    rdg_test_ca_fini(&ca);
}

/* A crash after any number of the moves: the next load finishes them. */
TEST(credentials_half_installed_are_finished_by_who_loads) {
    static const char *const moved[] = {"node-enc.key", "node-enc.crt", "node-sign.crt", "ca-chain.crt"};
    rdg_test_ca_t ca;
    char live[PATH_MAX], promised[PATH_MAX], to[PATH_MAX], from[PATH_MAX];
    rdg_test_ca_init(&ca, NOW);
    for (size_t done = 0; done <= 4; done++) {
        snprintf(live, sizeof live, "%s/live-%zu", rdg_test_dir(), done);
        CHECK_OK(rdg_path_join(promised, sizeof promised, live, "node.new"));
        rdg_credentials_t *old, *now;
        rdg_test_ca_write(&ca, live, "node", "n");
        CHECK_OK(rdg_credentials_load(live, "node", &old));
        /* The same sign key in the promised directory, so that it is a renewal. */
        CHECK_OK(rdg_dir_make(promised, 0700));
        CHECK_OK(rdg_path_join(to, sizeof to, promised, "node.key"));
        CHECK_OK(rdg_sm2_key_save(old->sign_key, to));
        rdg_test_ca_write(&ca, promised, "node", "n");
        CHECK_EQ(unlink(to), 0);
        for (size_t i = 0; i < done; i++) {
            CHECK_OK(rdg_path_join(from, sizeof from, promised, moved[i]));
            CHECK_OK(rdg_path_join(to, sizeof to, live, moved[i]));
            CHECK_EQ(rename(from, to), 0);
        }
        CHECK_OK(rdg_credentials_load(live, "node", &now));
        CHECK(memcmp(rdg_cert_public(old->enc_cert)->b, rdg_cert_public(now->enc_cert)->b, 64) != 0);
        CHECK(!rdg_file_exists(promised));
        rdg_credentials_free(old), rdg_credentials_free(now);
    }
    rdg_test_ca_fini(&ca);
}

/* A node's lie where its container may write: what another has would be moved there, its key too. */
TEST(credentials_half_installed_are_fetched_from_nowhere_else) {
    rdg_test_ca_t ca;
    rdg_credentials_t *c;
    char mine[PATH_MAX], other[PATH_MAX], link[PATH_MAX];
    rdg_test_ca_init(&ca, NOW);
    CHECK_OK(rdg_path_join(mine, sizeof mine, rdg_test_dir(), "mine"));
    CHECK_OK(rdg_path_join(other, sizeof other, rdg_test_dir(), "other"));
    CHECK_OK(rdg_path_join(link, sizeof link, mine, "node.new"));
    rdg_test_ca_write(&ca, mine, "node", "n");
    rdg_test_ca_write(&ca, other, "node", "o");
    CHECK_EQ(symlink(other, link), 0);
    CHECK_ERR(rdg_credentials_load(mine, "node", &c), RDG_E_INVALID);
    CHECK_OK(rdg_credentials_load(other, "node", &c));
    CHECK(rdg_cert_has_name(c->sign_cert, "o"));
    rdg_credentials_free(c);
    CHECK_EQ(unlink(link), 0);
    CHECK_OK(rdg_credentials_load(mine, "node", &c));
    CHECK(rdg_cert_has_name(c->sign_cert, "n"));
    rdg_credentials_free(c);
    rdg_test_ca_fini(&ca);
}

static const char *pem(rdg_buf_t *b, const rdg_cert_t *cert) {
    rdg_buf_init(b, RDG_CREDENTIALS_TEXT_MAX);
    CHECK_OK(rdg_cert_to_pem(cert, b));
    return rdg_buf_cstr(b);
}

/* A node's lie where its container may write. */
TEST(credentials_wait_for_no_pipe_in_the_place_of_a_file) {
    static const char *const files[] = {"node-sign.crt", "node-enc.crt", "ca-chain.crt", "roots.crt",
                                        "ca.crl"};
    rdg_test_ca_t ca;
    rdg_credentials_t *c;
    rdg_test_ca_init(&ca, NOW);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        rdg_test_ca_write(&ca, rdg_test_dir(), "node", "dev-1.main");
        (void)unlink(at(files[i]));
        CHECK_EQ(mkfifo(at(files[i]), 0600), 0);
        CHECK_ERR(rdg_credentials_load(rdg_test_dir(), "node", &c), RDG_E_INVALID);
        CHECK_EQ(unlink(at(files[i])), 0);
    }
    rdg_test_ca_fini(&ca);
}

TEST(credentials_that_do_not_fit_leave_the_directory_as_it_was) {
    rdg_test_ca_t ca, other;
    rdg_credentials_t *mine, *theirs, *after;
    rdg_buf_t text[6];
    rdg_test_ca_init(&ca, NOW), rdg_test_ca_init(&other, NOW);
    rdg_test_ca_write(&ca, rdg_test_dir(), "node", "n");
    CHECK_OK(rdg_credentials_load(rdg_test_dir(), "node", &mine));
    theirs = rdg_test_ca_credentials(&ca, "n", NULL);
    const char *sign = pem(&text[0], mine->sign_cert), *enc = pem(&text[1], mine->enc_cert);
    const char *chain = pem(&text[2], ca.issuing), *root = pem(&text[3], ca.root);
    const char *their_sign = pem(&text[4], theirs->sign_cert), *their_root = pem(&text[5], other.root);
    rdg_credentials_texts_t t = {their_sign, enc, chain, root};
    CHECK_ERR(rdg_credentials_install(rdg_test_dir(), "node", &t, NOW), RDG_E_CONFLICT);
    t = (rdg_credentials_texts_t){enc, sign, chain, root};
    CHECK_ERR(rdg_credentials_install(rdg_test_dir(), "node", &t, NOW), RDG_E_CONFLICT);
    t = (rdg_credentials_texts_t){sign, enc, chain, their_root};
    CHECK(rdg_credentials_install(rdg_test_dir(), "node", &t, NOW) != RDG_OK);
    t = (rdg_credentials_texts_t){sign, enc, "", root};
    CHECK_ERR(rdg_credentials_install(rdg_test_dir(), "node", &t, NOW), RDG_E_NOT_FOUND);
    t = (rdg_credentials_texts_t){sign, enc, chain, root};
    CHECK_ERR(rdg_credentials_install(rdg_test_dir(), "node", &t, NOW + 400 * 86400), RDG_E_EXPIRED);
    t = (rdg_credentials_texts_t){"", enc, chain, root};
    CHECK_ERR(rdg_credentials_install(rdg_test_dir(), "node", &t, NOW), RDG_E_MALFORMED);
    CHECK_OK(rdg_credentials_load(rdg_test_dir(), "node", &after));
    CHECK(rdg_bytes_equal(rdg_cert_der(after->sign_cert), rdg_cert_der(mine->sign_cert)));
    for (size_t i = 0; i < 6; i++) rdg_buf_fini(&text[i]);
    rdg_credentials_free(mine), rdg_credentials_free(theirs), rdg_credentials_free(after);
    rdg_test_ca_fini(&ca), rdg_test_ca_fini(&other);
}

static void put_crl(rdg_crl_t *crl) {
    rdg_buf_t text;
    rdg_buf_init(&text, RDG_CRL_PEM_MAX);
    CHECK_OK(rdg_crl_to_pem(crl, &text));
    CHECK_OK(rdg_file_replace(at("ca.crl"), rdg_buf_view(&text), 0644));
    rdg_buf_fini(&text);
    rdg_crl_free(crl);
}

TEST(credentials_refuse_who_is_revoked) {
    rdg_test_ca_t ca, other;
    rdg_credentials_t *c = NULL;
    rdg_test_ca_init(&ca, NOW), rdg_test_ca_init(&other, NOW);
    rdg_credentials_t *good = rdg_test_ca_credentials(&ca, "good", NULL);
    rdg_credentials_t *bad = rdg_test_ca_credentials(&ca, "bad", NULL);
    const rdg_cert_t *revoked[] = {bad->sign_cert};
    rdg_test_ca_write(&ca, rdg_test_dir(), "node", "n");
    put_crl(rdg_test_ca_crl(&ca, 1, revoked, 1));
    CHECK_OK(rdg_credentials_load(rdg_test_dir(), "node", &c));
    CHECK_OK(rdg_credentials_accept(c, good->sign_cert));
    CHECK_ERR(rdg_credentials_accept(c, bad->sign_cert), RDG_E_FORBIDDEN);
    rdg_credentials_free(c);
    put_crl(rdg_test_ca_crl(&other, 2, NULL, 0));
    CHECK_ERR(rdg_credentials_load(rdg_test_dir(), "node", &c), RDG_E_BAD_SIGNATURE);
    rdg_credentials_free(good), rdg_credentials_free(bad);
    rdg_test_ca_fini(&ca), rdg_test_ca_fini(&other);
}
