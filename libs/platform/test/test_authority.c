/* The CA's own files, and an external CA in their place: what may issue, and what is said when it may not. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "authority.h"
#include "kit.h"
#include "ridge/base/file.h"
#include "ridge/platform/identity.h"
#include "ridge/test_ca.h"

#define NOW 1800000000
#define YEAR (365 * 86400)

static const char *at(const char *name) {
    static char paths[8][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 8];
    CHECK_OK(rdg_path_join(path, PATH_MAX, rdg_test_dir(), name));
    return path;
}

TEST(authority_is_made_once_and_needs_its_root_key_no_more) {
    authority_t first, second;
    struct stat st;
    CHECK_OK(authority_own(rdg_test_dir(), NOW, YEAR, &first));
    CHECK_EQ(first.chain_count, 1);
    CHECK(rdg_cert_not_after_s(first.root) == NOW + 10ll * YEAR &&
          rdg_cert_not_after_s(first.issuing) == NOW + 5ll * YEAR);
    CHECK(stat(at("root.key"), &st) == 0 && (st.st_mode & 0777) == 0600);
    CHECK(stat(at("issuing.key"), &st) == 0 && (st.st_mode & 0777) == 0600);
    CHECK_EQ(unlink(at("root.key")), 0);
    CHECK_OK(authority_own(rdg_test_dir(), NOW + YEAR, YEAR, &second));
    CHECK(rdg_bytes_equal(rdg_cert_der(first.root), rdg_cert_der(second.root)));
    CHECK(rdg_bytes_equal(rdg_cert_der(first.issuing), rdg_cert_der(second.issuing)));
    authority_fini(&first), authority_fini(&second);
}

TEST(authority_renews_its_issuing_certificate_while_the_root_key_is_there) {
    authority_t first, second;
    CHECK_OK(authority_own(rdg_test_dir(), NOW, YEAR, &first));
    CHECK_EQ(rename(at("root.key"), at("away")), 0);
    CHECK_OK(authority_own(rdg_test_dir(), NOW + 4ll * YEAR + 86400, YEAR, &second)); /* told in the log */
    CHECK(rdg_bytes_equal(rdg_cert_der(first.issuing), rdg_cert_der(second.issuing)));
    authority_fini(&second);
    CHECK_ERR(authority_own(rdg_test_dir(), NOW + 5ll * YEAR + 1, YEAR, &second), RDG_E_EXPIRED);
    CHECK_EQ(rename(at("away"), at("root.key")), 0);
    CHECK_OK(authority_own(rdg_test_dir(), NOW + 5ll * YEAR + 1, YEAR, &second));
    CHECK_MEM(rdg_cert_public(first.issuing)->b, rdg_cert_public(second.issuing)->b, 64);
    CHECK(rdg_cert_not_after_s(second.issuing) > NOW + 9ll * YEAR);
    authority_fini(&first), authority_fini(&second);
}

/* After any file is lost the start says which, and makes nothing that devices would not trust. */
TEST(authority_with_a_lost_file_says_what_to_restore) {
    static const char *const lost[] = {"root.crt", "issuing.key", "issuing.crt"};
    for (size_t i = 0; i < 3; ++i) {
        authority_t a;
        char dir[PATH_MAX], path[PATH_MAX], root_key[PATH_MAX];
        snprintf(dir, sizeof dir, "%s", at(lost[i]));
        CHECK_OK(authority_own(dir, NOW, YEAR, &a));
        authority_fini(&a);
        CHECK_OK(rdg_path_join(path, sizeof path, dir, lost[i]));
        CHECK_OK(rdg_path_join(root_key, sizeof root_key, dir, "root.key"));
        CHECK_EQ(unlink(path), 0);
        CHECK_EQ(unlink(root_key), 0);
        CHECK(authority_own(dir, NOW, YEAR, &a) != RDG_OK);
        CHECK(!a.key && !a.root);
        CHECK(!rdg_file_exists(path));
    }
}

TEST(authority_cut_short_while_it_was_made_goes_on) {
    authority_t a;
    rdg_sm2_key_t *key;
    CHECK_OK(rdg_sm2_key_load_or_generate(at("root.key"), &key)); /* all that the power let it do */
    rdg_sm2_key_free(key);
    CHECK_OK(authority_own(rdg_test_dir(), NOW, YEAR, &a));
    authority_fini(&a);
    CHECK_EQ(unlink(at("issuing.crt")), 0);
    CHECK_OK(authority_own(rdg_test_dir(), NOW, YEAR, &a));
    authority_fini(&a);
}

/* --- external ------------------------------------------------------------------------------------------------ */

static void write_chain(const char *name, const rdg_cert_t *const *certs, size_t count) {
    rdg_buf_t text;
    rdg_buf_init(&text, 65536);
    for (size_t i = 0; i < count; ++i) CHECK_OK(rdg_cert_to_pem(certs[i], &text));
    CHECK_OK(rdg_file_replace(at(name), rdg_buf_view(&text), 0644));
    rdg_buf_fini(&text);
}

TEST(authority_of_others_is_taken_when_it_may_issue_and_refused_with_the_remedy) {
    rdg_test_ca_t ca, other;
    authority_t a;
    rdg_test_ca_init(&ca, NOW), rdg_test_ca_init(&other, NOW);
    const rdg_cert_t *good[] = {ca.issuing, ca.root}, *swapped[] = {ca.root, ca.issuing};
    const rdg_cert_t *rootless[] = {ca.issuing}, *foreign[] = {ca.issuing, other.root};
    CHECK_OK(rdg_sm2_key_save(ca.issuing_key, at("key")));
    CHECK_OK(rdg_sm2_key_save(ca.root_key, at("root-key")));
    write_chain("good", good, 2), write_chain("swapped", swapped, 2);
    write_chain("rootless", rootless, 1), write_chain("foreign", foreign, 2);
    CHECK_OK(authority_external(at("good"), at("key"), NOW, &a));
    CHECK_EQ(a.chain_count, 1);
    authority_fini(&a);
    CHECK_ERR(authority_external(at("swapped"), at("key"), NOW, &a), RDG_E_INVALID);
    CHECK(strstr(rdg_err_message(RDG_E_INVALID), "append the root"));
    CHECK_ERR(authority_external(at("rootless"), at("key"), NOW, &a), RDG_E_INVALID);
    CHECK_ERR(authority_external(at("good"), at("root-key"), NOW, &a), RDG_E_INVALID);
    CHECK(strstr(rdg_err_message(RDG_E_INVALID), "issuing CA first"));
    CHECK(authority_external(at("foreign"), at("key"), NOW, &a) != RDG_OK);
    CHECK_ERR(authority_external(at("good"), at("key"), NOW + 2 * YEAR, &a), RDG_E_EXPIRED);
    CHECK_ERR(authority_external(at("nothing"), at("key"), NOW, &a), RDG_E_NOT_FOUND);
    CHECK_ERR(authority_external(at("good"), at("nothing"), NOW, &a), RDG_E_NOT_FOUND);
    /* A leaf cannot issue, and a CA below one whose path length is 0 cannot either. */
    rdg_credentials_t *leaf = rdg_test_ca_credentials(&ca, "leaf", NULL);
    const rdg_cert_t *of_leaf[] = {leaf->sign_cert, ca.issuing, ca.root};
    write_chain("leaf", of_leaf, 3);
    CHECK_OK(rdg_sm2_key_save(leaf->sign_key, at("leaf-key")));
    CHECK_ERR(authority_external(at("leaf"), at("leaf-key"), NOW, &a), RDG_E_FORBIDDEN);
    CHECK(strstr(rdg_err_message(RDG_E_FORBIDDEN), "keyCertSign"));
    rdg_cert_t *deep = NULL;
    rdg_cert_order_t order = {RDG_CERT_KIND_CA, "deep",         rdg_cert_public(leaf->sign_cert),
                              ca.issuing,       ca.issuing_key, NOW - 1,
                              NOW + YEAR};
    CHECK_OK(rdg_cert_issue(&order, &deep));
    const rdg_cert_t *of_deep[] = {deep, ca.issuing, ca.root};
    write_chain("deep", of_deep, 3);
    CHECK_ERR(authority_external(at("deep"), at("leaf-key"), NOW, &a), RDG_E_FORBIDDEN);
    CHECK(strstr(rdg_err_message(RDG_E_FORBIDDEN), "path length"));
    rdg_cert_free(deep);
    rdg_credentials_free(leaf);
    rdg_test_ca_fini(&ca), rdg_test_ca_fini(&other);
}

TEST(platform_issues_under_an_external_ca_and_keeps_to_the_root_that_devices_trust) {
    rdg_test_ca_t ca, other;
    kit_t k;
    fake_t f;
    char token[128], chain[PATH_MAX], key[PATH_MAX], data[PATH_MAX];
    rdg_platform_t *p = NULL;
    int64_t now = (int64_t)rdg_wall_ms(rdg_clock_system()) / 1000;
    rdg_test_ca_init(&ca, now), rdg_test_ca_init(&other, now);
    snprintf(data, sizeof data, "%s", at("data"));
    snprintf(chain, sizeof chain, "%s", at("chain"));
    snprintf(key, sizeof key, "%s", at("key"));
    rdg_platform_options_t o = {.data_dir = data, .ca_chain = chain};
    CHECK_ERR(rdg_platform_open(&o, &p), RDG_E_INVALID); /* no key to it */
    o.ca_key = key;
    const rdg_cert_t *one[] = {ca.issuing, ca.root}, *two[] = {other.issuing, other.root};
    write_chain("chain", one, 2);
    CHECK_OK(rdg_sm2_key_save(ca.issuing_key, key));
    kit_open_with(&k, &o);
    fake_init(&f, "dev-1");
    kit_token(&k, token);
    CHECK_EQ(fake_enrol(&k, &f, token, NULL), 201);
    rdg_cert_t *sign[1];
    size_t count;
    CHECK_OK(rdg_cert_parse_pem(rdg_bytes_str(kit_text(f.certificates, "sign")), sign, 1, &count));
    const rdg_cert_t *others[] = {ca.issuing}, *roots[] = {ca.root};
    CHECK_OK(rdg_cert_verify(sign[0], RDG_CERT_SIGN, others, 1, roots, 1, now));
    CHECK_OK(rdg_platform_accept_peer(k.platform, sign[0], NULL, NULL));
    CHECK(!rdg_file_exists(at("data/ca")));
    kit_close(&k);
    /* Another root would leave dev-1 outside: the start says so. */
    write_chain("chain", two, 2);
    CHECK_OK(rdg_sm2_key_save(other.issuing_key, key));
    CHECK_ERR(rdg_platform_open(&o, &p), RDG_E_CONFLICT);
    CHECK(strstr(rdg_err_message(RDG_E_CONFLICT), "enrol them again"));
    o.ca_chain = o.ca_key = NULL;
    CHECK_ERR(rdg_platform_open(&o, &p), RDG_E_CONFLICT);
    rdg_cert_free(sign[0]);
    fake_fini(&f);
    rdg_test_ca_fini(&ca), rdg_test_ca_fini(&other);
}
