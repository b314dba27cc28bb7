/* Ridge's verification against libcrypto's: random signatures, each field broken, and the edges where
 * formulas have special cases. RIDGE_TEST_SIGNATURES sets how many (2,000 by default). */
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/objects.h>
#include <pthread.h>
#include <stdlib.h>

#include "ridge/test.h"
#include "sm2_cache.h"
#include "sm2_digest.h"
#include "ridge/crypto/reference.h"
#include "sm2_check.h"
#include "sm2_lanes.h"
#include "sm2_path.h"

static rdg_sm2_key_t *new_key(rdg_sm2_public_t *pub) {
    rdg_sm2_key_t *k = NULL;
    CHECK_OK(rdg_sm2_key_generate(&k));
    rdg_sm2_key_public(k, pub);
    return k;
}

#define WAYS_MAX 8
static bool can_run(const rdg_sm2_path_t *path) {
    static int known[WAYS_MAX]; /* 1 no, 2 yes */
    int *k = &known[path - rdg_sm2_paths];
    if (*k == 0) *k = rdg_sm2_path_refusal(path) ? 1 : 2;
    return *k == 2;
}

/* What is checked one by one goes through batches too, by one path after the other. */
#define GROUP 100
static struct group {
    size_t count;
    rdg_sm2_public_t pub[GROUP];
    rdg_sm2_signature_t sig[GROUP];
    uint8_t msg[GROUP][300];
    size_t len[GROUP];
    bool expected[GROUP];
} group;

static void check_group(void) {
    static const rdg_sm2_path_t *path = rdg_sm2_paths;
    rdg_sm2_check_t checks[GROUP];
    rdg_err_t results[GROUP];
    for (size_t i = 0; i < group.count; i++)
        checks[i] =
            (rdg_sm2_check_t){&group.pub[i], rdg_bytes(group.msg[i], group.len[i]), &group.sig[i], false};
    while (!path->name || !can_run(path)) path = path->name ? path + 1 : rdg_sm2_paths;
    rdg_sm2_path_force(path++);
    rdg_sm2_verify_batch(checks, group.count, results);
    rdg_sm2_path_force(NULL);
    for (size_t i = 0; i < group.count; i++) {
        bool want = group.expected[i] && rdg_sm2_low_s(&group.sig[i]);
        CHECK_ERR(results[i], want ? RDG_OK : RDG_E_BAD_SIGNATURE);
    }
    group.count = 0;
}

static void check_same(const rdg_sm2_public_t *pub, const void *msg, size_t len,
                       const rdg_sm2_signature_t *sig, bool expected) {
    CHECK(rdg_reference_sm2_verify(pub, msg, len, sig) == expected);
    CHECK_ERR(rdg_sm2_verify_standard(pub, msg, len, sig), expected ? RDG_OK : RDG_E_BAD_SIGNATURE);
    size_t i = group.count++;
    group.pub[i] = *pub, group.sig[i] = *sig, group.len[i] = len, group.expected[i] = expected;
    memcpy(group.msg[i], msg, len);
    if (group.count == GROUP) check_group();
}

static void flip_random_bit(uint8_t *data, size_t len) {
    uint64_t bit = rdg_random_below(rdg_test_random(), len * 8);
    data[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

static void check_broken(const rdg_sm2_public_t *pub, uint8_t *msg, size_t len,
                         const rdg_sm2_signature_t *sig) {
    rdg_sm2_signature_t bad = *sig;
    flip_random_bit(bad.b, 32);
    check_same(pub, msg, len, &bad, false);
    bad = *sig;
    flip_random_bit(bad.b + 32, 32);
    check_same(pub, msg, len, &bad, false);
    rdg_sm2_public_t other = *pub;
    flip_random_bit(other.b, 64);
    check_same(&other, msg, len, sig, false);
    if (len == 0) return;
    flip_random_bit(msg, len);
    check_same(pub, msg, len, sig, false);
}

static int count_wanted(void) {
    const char *text = getenv("RIDGE_TEST_SIGNATURES");
    int n = text ? atoi(text) : 0;
    return n > 0 ? n : 2000;
}

/* Four processes of a quarter each, to use what cores there are. */
static void random_quarter(void) {
    int count = count_wanted() / 4;
    rdg_sm2_key_t *key = NULL;
    rdg_sm2_public_t pub;
    for (int i = 0; i < count; i++) {
        if (i % 20 == 0) { /* so each key is verified cold, then warm */
            rdg_sm2_key_free(key);
            key = new_key(&pub);
        }
        uint8_t msg[300];
        size_t len = (size_t)rdg_random_below(rdg_test_random(), sizeof msg);
        rdg_random_fill(rdg_test_random(), msg, len);
        rdg_sm2_signature_t sig;
        CHECK_OK(rdg_sm2_sign(key, msg, len, &sig));
        CHECK_OK(rdg_sm2_verify(&pub, msg, len, &sig));
        if (i % 4 == 0) {
            check_same(&pub, msg, len, &sig, true);
            check_broken(&pub, msg, len, &sig);
        }
    }
    rdg_sm2_key_free(key);
    check_group();
    rdg_sm2_cache_stats_t stats;
    rdg_sm2_cache_stats(&stats);
    CHECK(stats.hits > stats.misses / 4 && stats.keys > 0);
}

TEST(sm2_verify_agrees_with_libcrypto_1) {
    random_quarter();
}
TEST(sm2_verify_agrees_with_libcrypto_2) {
    random_quarter();
}
TEST(sm2_verify_agrees_with_libcrypto_3) {
    random_quarter();
}
TEST(sm2_verify_agrees_with_libcrypto_4) {
    random_quarter();
}

/* --- edges: e is chosen freely here, so that scalars can be what they never are by chance ------- */

static rdg_hash_t hash_of(const BIGNUM *v) {
    rdg_hash_t h;
    CHECK(BN_bn2binpad(v, h.b, 32) == 32);
    return h;
}

#define LANES 9

/* The sum by a batch path, the others of the batch being ordinary, which must not suffer. */
static void sum_in_batch(const rdg_sm2_path_t *path, const rdg_sm2_sum_job_t *job, rdg_sm2_point_t *out) {
    static rdg_sm2_sum_job_t ordinary[LANES];
    static rdg_sm2_point_t want[LANES];
    if (!ordinary[0].key) {
        for (int i = 0; i < LANES; i++) {
            ordinary[i].key = rdg_sm2_comb_base();
            for (int k = 0; k < 4; k++) {
                ordinary[i].s.l[k] = rdg_random_u64(rdg_test_random()) >> 1;
                ordinary[i].t.l[k] = rdg_random_u64(rdg_test_random()) >> 1;
            }
            rdg_sm2_sum_known(&want[i], &ordinary[i].s, &ordinary[i].t, ordinary[i].key);
        }
    }
    rdg_sm2_sum_job_t jobs[LANES];
    rdg_sm2_point_t sums[LANES];
    size_t at = (size_t)rdg_random_below(rdg_test_random(), LANES);
    memcpy(jobs, ordinary, sizeof jobs);
    jobs[at] = *job;
    path->sum(sums, jobs, LANES);
    for (size_t i = 0; i < LANES; i++) {
        rdg_sm2_affine_t a, b;
        rdg_sm2_fe_t scratch[1];
        if (i == at) continue;
        rdg_sm2_points_to_affine(&a, &sums[i], scratch, 1);
        rdg_sm2_points_to_affine(&b, &want[i], scratch, 1);
        CHECK_MEM(&a, &b, sizeof a);
    }
    *out = sums[at];
    if (rdg_sm2_point_is_infinity(out)) rdg_sm2_sum_known(out, &job->s, &job->t, job->key);
}

/* s·G + t·P by every way there is; the number of ways. */
static int sum_all_ways(const rdg_sm2_public_t *pub, const rdg_sm2_decoded_t *sig, rdg_sm2_point_t *out) {
    int ways = 0;
    rdg_sm2_affine_t key;
    rdg_sm2_comb_t comb;
    CHECK(rdg_sm2_affine_decode(pub->b, &key));
    rdg_sm2_comb_build(&comb, &key);
    rdg_sm2_sum_unknown(&out[ways++], &sig->s, &sig->t, &key);
    rdg_sm2_sum_known(&out[ways++], &sig->s, &sig->t, &comb);
    const rdg_sm2_sum_job_t job = {&comb, sig->s, sig->t};
    for (const rdg_sm2_path_t *p = rdg_sm2_paths; p->name; p++)
        if (p->sum && can_run(p)) sum_in_batch(p, &job, &out[ways++]);
    return ways;
}

typedef struct edge {
    EC_GROUP *group;
    BN_CTX *ctx;
    const BIGNUM *n;
} edge_t;

static edge_t edge_open(void) {
    edge_t c = {EC_GROUP_new_by_curve_name(NID_sm2), BN_CTX_new(), NULL};
    c.n = EC_GROUP_get0_order(c.group);
    return c;
}

static void edge_close(edge_t *c) {
    EC_GROUP_free(c->group);
    BN_CTX_free(c->ctx);
}

static void public_of(const edge_t *c, const BIGNUM *d, rdg_sm2_public_t *pub) {
    uint8_t point[65];
    EC_POINT *p = EC_POINT_new(c->group);
    CHECK(EC_POINT_mul(c->group, p, d, NULL, NULL, c->ctx));
    CHECK(EC_POINT_point2oct(c->group, p, POINT_CONVERSION_UNCOMPRESSED, point, 65, c->ctx) == 65);
    memcpy(pub->b, point + 1, 64);
    EC_POINT_free(p);
}

/* For P = d·G and given s, t: the e that makes (t - s, s) valid, which exists unless s + t·d = 0. Checks
 * that exactly this e is accepted, by every way. */
static void check_edge(const edge_t *c, const BIGNUM *d, const BIGNUM *s, const BIGNUM *t) {
    BIGNUM *r = BN_new(), *k = BN_new(), *x = BN_new(), *e = BN_new();
    rdg_sm2_public_t pub;
    rdg_sm2_signature_t sig;
    public_of(c, d, &pub);
    BN_mod_sub(r, t, s, c->n, c->ctx);
    BN_mod_mul(k, t, d, c->n, c->ctx);
    BN_mod_add(k, k, s, c->n, c->ctx);
    BN_bn2binpad(r, sig.b, 32);
    BN_bn2binpad(s, sig.b + 32, 32);
    bool possible = !BN_is_zero(r) && !BN_is_zero(s) && !BN_is_zero(t) && !BN_is_zero(k);
    if (BN_is_zero(k)) {
        BN_copy(e, r); /* what an implementation that takes x = 0 for infinity would accept */
    } else {
        EC_POINT *p = EC_POINT_new(c->group);
        CHECK(EC_POINT_mul(c->group, p, k, NULL, NULL, c->ctx));
        CHECK(EC_POINT_get_affine_coordinates(c->group, p, x, NULL, c->ctx));
        BN_mod_sub(e, r, x, c->n, c->ctx);
        EC_POINT_free(p);
    }
    rdg_hash_t good = hash_of(e), bad;
    BN_add_word(e, 1);
    bad = hash_of(e);
    rdg_sm2_decoded_t decoded;
    bool in_range = rdg_sm2_signature_decode(&sig, &decoded);
    CHECK(in_range == (!BN_is_zero(r) && !BN_is_zero(s) && !BN_is_zero(t)));
    rdg_sm2_point_t sums[WAYS_MAX];
    int ways = in_range ? sum_all_ways(&pub, &decoded, sums) : 0;
    for (int i = 0; i < ways; i++) {
        CHECK(rdg_sm2_x_matches(&sums[i], &decoded.r, &good) == possible);
        CHECK(!rdg_sm2_x_matches(&sums[i], &decoded.r, &bad));
    }
    BN_free(r);
    BN_free(k);
    BN_free(x);
    BN_free(e);
}

/* Small and extreme d, s and t in all combinations: among them P = G, P = -G, sums that meet equal and
 * opposite points on the way, and the point at infinity at the end. */
TEST(sm2_verify_edge_scalars) {
    edge_t c = edge_open();
    BIGNUM *v[14];
    int count = 0;
    for (BN_ULONG w = 0; w < 5; w++) {
        v[count] = BN_new();
        BN_set_word(v[count++], w);
    }
    for (BN_ULONG w = 1; w < 5; w++) {
        v[count] = BN_dup(c.n);
        BN_sub_word(v[count++], w);
    }
    v[count] = BN_dup(c.n);
    BN_rshift1(v[count], v[count]);
    count++;
    for (int bit = 32; bit < 256; bit += 64) {
        v[count] = BN_new();
        BN_set_bit(v[count++], bit - (bit == 224));
    }
    for (int d = 1; d < count; d++)
        for (int s = 0; s < count; s++)
            for (int t = 0; t < count; t++) check_edge(&c, v[d], v[s], v[t]);
    for (int i = 0; i < count; i++) BN_free(v[i]);
    edge_close(&c);
}

/* s·G + t·P = infinity for random s: t = -s/d. */
TEST(sm2_verify_infinity_is_no_signature) {
    edge_t c = edge_open();
    BIGNUM *d = BN_new(), *s = BN_new(), *t = BN_new();
    for (int i = 0; i < 20; i++) {
        BN_rand_range(d, c.n);
        BN_rand_range(s, c.n);
        BN_mod_inverse(t, d, c.n, c.ctx);
        BN_mod_mul(t, t, s, c.n, c.ctx);
        BN_sub(t, c.n, t);
        check_edge(&c, d, s, t);
        BN_rand_range(t, c.n);
        check_edge(&c, d, s, t);
    }
    BN_free(d);
    BN_free(s);
    BN_free(t);
    edge_close(&c);
}

/* Batches of any size and mixture say what single verifications say, whichever path computes them. */
TEST(sm2_batch_says_what_single_verifications_say) {
    enum { KEYS = 12, MANY = 150 };
    rdg_sm2_public_t pub[KEYS], other[MANY];
    rdg_sm2_key_t *keys[KEYS];
    rdg_sm2_signature_t sig[MANY];
    rdg_sm2_check_t checks[MANY];
    rdg_err_t results[MANY], want[MANY];
    uint8_t msg[MANY][80];
    for (int i = 0; i < KEYS; i++) keys[i] = new_key(&pub[i]);
    for (int i = 0; i < MANY; i++) {
        size_t len = (size_t)rdg_random_below(rdg_test_random(), sizeof msg[i]);
        rdg_random_fill(rdg_test_random(), msg[i], sizeof msg[i]);
        CHECK_OK(rdg_sm2_sign_standard(keys[i % KEYS], msg[i], len, &sig[i]));
        other[i] = pub[i % KEYS];
        switch (rdg_random_below(rdg_test_random(), 12)) {
        case 0: flip_random_bit(sig[i].b, 32); break;
        case 1: flip_random_bit(sig[i].b + 32, 32); break;
        case 2: flip_random_bit(other[i].b, 64); break;
        case 3: flip_random_bit(msg[i], len + 1); break;
        case 4: memset(sig[i].b, 0, 64); break;
        case 5: memset(sig[i].b, 0xff, 64); break;
        default: break;
        }
        bool any_s = rdg_random_below(rdg_test_random(), 2);
        checks[i] = (rdg_sm2_check_t){&other[i], rdg_bytes(msg[i], len), &sig[i], any_s};
        want[i] = (any_s ? rdg_sm2_verify_standard : rdg_sm2_verify)(&other[i], msg[i], len, &sig[i]);
    }
    for (const rdg_sm2_path_t *p = rdg_sm2_paths; p->name; p++) {
        if (!can_run(p)) continue;
        rdg_sm2_path_force(p);
        for (size_t count = 0; count <= MANY; count += count < 80 ? 1 : 7) {
            size_t from = (size_t)rdg_random_below(rdg_test_random(), MANY - count + 1);
            rdg_sm2_verify_batch(checks + from, count, results);
            for (size_t i = 0; i < count; i++) CHECK_EQ(results[i], want[from + i]);
        }
        rdg_sm2_path_force(NULL);
    }
    CHECK_OK(rdg_sm2_cache_limit(0)); /* none is known and nothing is held any more */
    rdg_sm2_verify_batch(checks, MANY, results);
    for (size_t i = 0; i < MANY; i++) CHECK_EQ(results[i], want[i]);
    for (int i = 0; i < KEYS; i++) rdg_sm2_key_free(keys[i]);
}

/* What a broken processor, or a compiler's bug, would do to a path. */
static int broken_bit;
static void sum_wrongly(rdg_sm2_point_t *out, const rdg_sm2_sum_job_t *jobs, size_t count) {
    rdg_sm2_sum_lanes_portable(out, jobs, count);
    ((uint8_t *)&out[(size_t)broken_bit / 768 % count])[broken_bit / 8 % 96] ^=
        (uint8_t)(1 << broken_bit % 8);
}
static void sum_to_infinity(rdg_sm2_point_t *out, const rdg_sm2_sum_job_t *jobs, size_t count) {
    (void)jobs;
    memset(out, 0, count * sizeof *out);
}

TEST(sm2_path_that_computes_wrongly_fails_its_self_test) {
    const rdg_sm2_path_t wrong = {"wrong", sum_wrongly, 8}, none = {"none", sum_to_infinity, 8};
    for (broken_bit = 0; broken_bit < 48 * 768; broken_bit += 257) {
        if (broken_bit / 768 % 8 == 7) continue; /* the special cases, which may fail */
        CHECK(rdg_sm2_path_self_test(&wrong) != NULL);
    }
    CHECK(rdg_sm2_path_self_test(&none) != NULL);
    const char *refused, *name = rdg_sm2_batch_path(&refused);
    CHECK(strcmp(name, "avx512ifma") == 0 || (strcmp(name, "affine") == 0 && refused));
}

TEST(sm2_verify_refuses_scalars_out_of_range) {
    rdg_sm2_public_t pub;
    rdg_sm2_key_t *key = new_key(&pub);
    rdg_sm2_signature_t good, bad;
    CHECK_OK(rdg_sm2_sign(key, "m", 1, &good));
    uint8_t values[5][32];
    memset(values, 0, sizeof values);
    memcpy(values[1], rdg_sm2_n, 32);
    memcpy(values[2], rdg_sm2_n, 32);
    values[2][31]++;
    memset(values[3], 0xff, 32);
    memcpy(values[4], rdg_sm2_n, 32);
    values[4][31]--; /* in range, and wrong */
    for (int i = 0; i < 5; i++) {
        for (int half = 0; half < 2; half++) {
            bad = good;
            memcpy(bad.b + 32 * half, values[i], 32);
            check_same(&pub, "m", 1, &bad, false);
        }
    }
    /* r + s = n */
    bad = good;
    uint8_t *s = bad.b + 32;
    int borrow = 0;
    for (int i = 31; i >= 0; i--) {
        int v = rdg_sm2_n[i] - good.b[i] - borrow;
        borrow = v < 0;
        s[i] = (uint8_t)(v + (borrow << 8));
    }
    check_same(&pub, "m", 1, &bad, false);
    rdg_sm2_key_free(key);
}

/* The ledger takes canonical signatures only; the standard has no such rule. */
TEST(sm2_verify_high_s_is_for_others_only) {
    edge_t c = edge_open();
    BIGNUM *d = BN_new(), *k = BN_new(), *s = BN_new(), *r = BN_new(), *x = BN_new();
    rdg_sm2_public_t pub;
    rdg_sm2_signature_t sig;
    rdg_hash_t z, e;
    EC_POINT *p = EC_POINT_new(c.group);
    BN_set_word(d, 12345);
    public_of(&c, d, &pub);
    rdg_sm2_z(&pub, &z);
    rdg_sm2_e(&z, "m", 1, &e);
    do { /* s = (k - r d) / (1 + d) */
        BN_rand_range(k, c.n);
        CHECK(EC_POINT_mul(c.group, p, k, NULL, NULL, c.ctx));
        CHECK(EC_POINT_get_affine_coordinates(c.group, p, x, NULL, c.ctx));
        BN_bin2bn(e.b, 32, r);
        BN_mod_add(r, r, x, c.n, c.ctx);
        BN_mod_mul(s, r, d, c.n, c.ctx);
        BN_mod_sub(s, k, s, c.n, c.ctx);
        BN_copy(x, d);
        BN_add_word(x, 1);
        BN_mod_inverse(x, x, c.n, c.ctx);
        BN_mod_mul(s, s, x, c.n, c.ctx);
        BN_bn2binpad(r, sig.b, 32);
        BN_bn2binpad(s, sig.b + 32, 32);
    } while (rdg_sm2_low_s(&sig));
    check_same(&pub, "m", 1, &sig, true);
    CHECK_ERR(rdg_sm2_verify(&pub, "m", 1, &sig), RDG_E_BAD_SIGNATURE);
    EC_POINT_free(p);
    BN_free(d);
    BN_free(k);
    BN_free(s);
    BN_free(r);
    BN_free(x);
    edge_close(&c);
}

TEST(sm2_public_decode_agrees_with_libcrypto) {
    rdg_sm2_public_t pub, out;
    rdg_sm2_key_t *key = new_key(&pub);
    for (int i = 0; i < 300; i++) {
        rdg_sm2_public_t p = pub;
        if (i) flip_random_bit(p.b, i % 2 ? 64 : 32);
        CHECK((rdg_sm2_public_decode(rdg_bytes(p.b, 64), &out) == RDG_OK) == rdg_reference_sm2_on_curve(&p));
    }
    rdg_sm2_key_free(key);
}

/* --- the cache of keys --------------------------------------------------------------------------- */

TEST(sm2_cache_keeps_to_its_budget_and_never_changes_an_answer) {
    enum { KEYS = 24 };
    CHECK_OK(rdg_sm2_cache_limit(17000 * 8)); /* one set of eight */
    rdg_sm2_key_t *keys[KEYS];
    rdg_sm2_public_t pub[KEYS];
    rdg_sm2_signature_t sig[KEYS];
    for (int i = 0; i < KEYS; i++) {
        keys[i] = new_key(&pub[i]);
        CHECK_OK(rdg_sm2_sign(keys[i], "m", 1, &sig[i]));
    }
    for (int round = 0; round < 30; round++) {
        for (int i = 0; i < KEYS; i++) {
            CHECK_OK(rdg_sm2_verify(&pub[i], "m", 1, &sig[i]));
            CHECK_ERR(rdg_sm2_verify(&pub[i], "n", 1, &sig[i]), RDG_E_BAD_SIGNATURE);
            CHECK_ERR(rdg_sm2_verify(&pub[i], "m", 1, &sig[(i + 1) % KEYS]), RDG_E_BAD_SIGNATURE);
        }
    }
    rdg_sm2_cache_stats_t stats;
    rdg_sm2_cache_stats(&stats);
    CHECK_EQ(stats.keys, 8);
    CHECK(stats.bytes <= 17000 * 8 && stats.evicted > 0 && stats.hits > 0);
    CHECK_OK(rdg_sm2_cache_limit(0));
    for (int i = 0; i < KEYS; i++) {
        CHECK_OK(rdg_sm2_verify(&pub[0], "m", 1, &sig[0]));
        rdg_sm2_key_free(keys[i]);
    }
    rdg_sm2_cache_stats(&stats);
    CHECK_EQ(stats.hits, 0);
}

typedef struct worker {
    const rdg_sm2_public_t *pub;
    const rdg_sm2_signature_t *sig;
    int first, wrong;
} worker_t;

enum { SHARED_KEYS = 20 };

static void *verify_many(void *arg) {
    worker_t *w = arg;
    for (int i = 0; i < 600; i++) {
        int k = (w->first + i * 7) % SHARED_KEYS;
        if (rdg_sm2_verify(&w->pub[k], "m", 1, &w->sig[k]) != RDG_OK) w->wrong++;
        if (rdg_sm2_verify(&w->pub[k], "x", 1, &w->sig[k]) == RDG_OK) w->wrong++;
    }
    return NULL;
}

TEST(sm2_cache_is_shared_by_threads) {
    CHECK_OK(rdg_sm2_cache_limit(17000 * 16));
    rdg_sm2_public_t pub[SHARED_KEYS];
    rdg_sm2_signature_t sig[SHARED_KEYS];
    for (int i = 0; i < SHARED_KEYS; i++) {
        rdg_sm2_key_t *key = new_key(&pub[i]);
        CHECK_OK(rdg_sm2_sign(key, "m", 1, &sig[i]));
        rdg_sm2_key_free(key);
    }
    pthread_t threads[4];
    worker_t workers[4];
    for (int i = 0; i < 4; i++) {
        workers[i] = (worker_t){pub, sig, i * 3, 0};
        CHECK(pthread_create(&threads[i], NULL, verify_many, &workers[i]) == 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        CHECK_EQ(workers[i].wrong, 0);
    }
}
