#include "ridge/crypto/cert_cache.h"

#include "ridge/crypto/cert_issue.h"
#include "ridge/test.h"

#define NOW 1800000000
#define DAY 86400

typedef struct tree {
    rdg_sm2_key_t *key[3]; /* root, CA, leaf */
    rdg_cert_t *root, *ca, *leaf;
    const rdg_cert_t *roots[1], *others[1];
    rdg_cert_cache_t *cache;
} tree_t;

static rdg_cert_t *issue(const tree_t *t, rdg_cert_kind_t kind, int key, const rdg_cert_t *issuer,
                         int issuer_key, int64_t until_s) {
    rdg_sm2_public_t pub;
    rdg_cert_t *cert = NULL;
    rdg_sm2_key_public(t->key[key], &pub);
    rdg_cert_order_t o = {kind, "x", &pub, issuer, t->key[issuer_key], NOW - DAY, until_s};
    CHECK_OK(rdg_cert_issue(&o, &cert));
    return cert;
}

static void tree_make(tree_t *t, size_t max) {
    for (int i = 0; i < 3; i++) CHECK_OK(rdg_sm2_key_generate(&t->key[i]));
    t->root = issue(t, RDG_CERT_KIND_ROOT, 0, NULL, 0, NOW + 900 * DAY);
    t->ca = issue(t, RDG_CERT_KIND_CA, 1, t->root, 0, NOW + 10 * DAY);
    t->leaf = issue(t, RDG_CERT_KIND_SIGN, 2, t->ca, 1, NOW + 90 * DAY);
    t->roots[0] = t->root, t->others[0] = t->ca;
    CHECK_OK(rdg_cert_cache_new(t->roots, 1, max, &t->cache));
}

static void tree_free(tree_t *t) {
    rdg_cert_cache_free(t->cache);
    rdg_cert_free(t->root), rdg_cert_free(t->ca), rdg_cert_free(t->leaf);
    for (int i = 0; i < 3; i++) rdg_sm2_key_free(t->key[i]);
}

static bool same_object(tree_t *t, const rdg_cert_t *cert) {
    rdg_cert_t *got;
    CHECK_OK(rdg_cert_cache_parse(t->cache, rdg_cert_der(cert), &got));
    rdg_cert_free(got);
    return got == cert;
}

static rdg_err_t verify(tree_t *t, const rdg_cert_t *leaf, rdg_cert_use_t use, bool with_ca, int64_t now_s) {
    return rdg_cert_cache_verify(t->cache, leaf, use, t->others, with_ca ? 1 : 0, now_s);
}

TEST(cert_cache_knows_what_verified_and_only_for_its_time) {
    tree_t t;
    tree_make(&t, 10);
    CHECK(!same_object(&t, t.leaf));
    CHECK_ERR(verify(&t, t.leaf, RDG_CERT_SIGN, false, NOW), RDG_E_NOT_FOUND);
    CHECK_OK(verify(&t, t.leaf, RDG_CERT_SIGN, true, NOW));
    CHECK(same_object(&t, t.leaf) && same_object(&t, t.ca) && !same_object(&t, t.root));
    CHECK_OK(verify(&t, t.leaf, RDG_CERT_SIGN, false, NOW)); /* its way is known */
    CHECK_ERR(verify(&t, t.leaf, RDG_CERT_ENCRYPT, false, NOW), RDG_E_FORBIDDEN);
    CHECK_ERR(verify(&t, t.ca, RDG_CERT_SIGN, true, NOW), RDG_E_FORBIDDEN);
    /* The CA's end is the end, as it is without a cache. */
    CHECK_OK(verify(&t, t.leaf, RDG_CERT_SIGN, false, NOW + 10 * DAY - 1));
    CHECK_ERR(verify(&t, t.leaf, RDG_CERT_SIGN, true, NOW + 10 * DAY), RDG_E_EXPIRED);
    CHECK_ERR(verify(&t, t.leaf, RDG_CERT_SIGN, true, NOW - DAY - 1), RDG_E_EXPIRED);
    tree_free(&t);
}

TEST(cert_cache_keeps_nothing_that_does_not_verify) {
    tree_t t, other;
    tree_make(&t, 10), tree_make(&other, 10);
    const rdg_cert_t *foreign[] = {other.ca, other.root};
    CHECK_ERR(rdg_cert_cache_verify(t.cache, other.leaf, RDG_CERT_SIGN, foreign, 2, NOW), RDG_E_NOT_FOUND);
    CHECK(!same_object(&t, other.leaf) && !same_object(&t, other.ca) && !same_object(&t, other.root));
    rdg_cert_t *expired = issue(&t, RDG_CERT_KIND_SIGN, 2, t.ca, 1, NOW - 1);
    CHECK_ERR(verify(&t, expired, RDG_CERT_SIGN, true, NOW), RDG_E_EXPIRED);
    CHECK(!same_object(&t, expired));
    CHECK_ERR(verify(&t, t.leaf, RDG_CERT_ENCRYPT, true, NOW), RDG_E_FORBIDDEN);
    CHECK(!same_object(&t, t.leaf));
    rdg_cert_free(expired);
    CHECK(rdg_cert_cache_has_roots(t.cache, t.roots, 1));
    CHECK(!rdg_cert_cache_has_roots(t.cache, other.roots, 1));
    CHECK(!rdg_cert_cache_has_roots(t.cache, t.roots, 0));
    tree_free(&t), tree_free(&other);
}

TEST(cert_cache_is_bounded) {
    tree_t t;
    rdg_cert_t *leaf[4];
    tree_make(&t, 3);
    for (int i = 0; i < 4; i++) {
        leaf[i] = issue(&t, RDG_CERT_KIND_SIGN, 2, t.ca, 1, NOW + DAY);
        CHECK_OK(verify(&t, leaf[i], RDG_CERT_SIGN, true, NOW));
    }
    CHECK(!same_object(&t, leaf[0]) && !same_object(&t, leaf[1]) && same_object(&t, leaf[3]));
    for (int i = 0; i < 4; i++) rdg_cert_free(leaf[i]);
    rdg_cert_cache_t *c;
    CHECK_ERR(rdg_cert_cache_new(t.roots, 0, 1, &c), RDG_E_INVALID);
    CHECK_ERR(rdg_cert_cache_new(t.roots, 1, 0, &c), RDG_E_INVALID);
    rdg_err_t err;
    RDG_TEST_ALLOC_LOOP(err) {
        err = rdg_cert_cache_new(t.roots, 1, 3, &c);
        rdg_cert_cache_free(c);
    }
    tree_free(&t);
}
