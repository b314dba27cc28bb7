#include "sm2_path.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "ridge/base/bytes.h"
#include "sm2_check.h"
#include "sm2_lanes.h"

const rdg_sm2_path_t rdg_sm2_paths[] = {
#if defined(__x86_64__)
    {"avx512ifma", rdg_sm2_sum_lanes_ifma, 4},
#endif
    {"affine", rdg_sm2_sum_affine, 8},
    {"single", NULL, 0},
    {"portable8", rdg_sm2_sum_lanes_portable, 8}, /* for tests */
    {NULL, NULL, 0},
};

/* GB/T 32918.2-2016, A.2. */
static const struct {
    uint8_t key[64], e[32], sig[64];
} example = {{0x09, 0xf9, 0xdf, 0x31, 0x1e, 0x54, 0x21, 0xa1, 0x50, 0xdd, 0x7d, 0x16, 0x1e, 0x4b, 0xc5, 0xc6,
              0x72, 0x17, 0x9f, 0xad, 0x18, 0x33, 0xfc, 0x07, 0x6b, 0xb0, 0x8f, 0xf3, 0x56, 0xf3, 0x50, 0x20,
              0xcc, 0xea, 0x49, 0x0c, 0xe2, 0x67, 0x75, 0xa5, 0x2d, 0xc6, 0xea, 0x71, 0x8c, 0xc1, 0xaa, 0x60,
              0x0a, 0xed, 0x05, 0xfb, 0xf3, 0x5e, 0x08, 0x4a, 0x66, 0x32, 0xf6, 0x07, 0x2d, 0xa9, 0xad, 0x13},
             {0xf0, 0xb4, 0x3e, 0x94, 0xba, 0x45, 0xac, 0xca, 0xac, 0xe6, 0x92, 0xed, 0x53, 0x43, 0x82, 0xeb,
              0x17, 0xe6, 0xab, 0x5a, 0x19, 0xce, 0x7b, 0x31, 0xf4, 0x48, 0x6f, 0xdf, 0xc0, 0xd2, 0x86, 0x40},
             {0xf5, 0xa0, 0x3b, 0x06, 0x48, 0xd2, 0xc4, 0x63, 0x0e, 0xea, 0xc5, 0x13, 0xe1,
              0xbb, 0x81, 0xa1, 0x59, 0x44, 0xda, 0x38, 0x27, 0xd5, 0xb7, 0x41, 0x43, 0xac,
              0x7e, 0xac, 0xee, 0xe7, 0x20, 0xb3, 0xb1, 0xb6, 0xaa, 0x29, 0xdf, 0x21, 0x2f,
              0xd8, 0x76, 0x31, 0x82, 0xbc, 0x0d, 0x42, 0x1c, 0xa1, 0xbb, 0x90, 0x38, 0xfd,
              0x1f, 0x7f, 0x42, 0xd4, 0x84, 0x0b, 0x69, 0xc4, 0x85, 0xbb, 0xc1, 0xaa}};

enum { TEST_LANES = 48 };

/* The example first, then sums that look random, and every eighth one that meets equal points at once. */
static bool make_jobs(rdg_sm2_sum_job_t jobs[TEST_LANES], rdg_sm2_comb_t *comb, rdg_sm2_decoded_t *sig) {
    rdg_sm2_affine_t key;
    rdg_sm2_signature_t encoded;
    memcpy(encoded.b, example.sig, sizeof encoded.b);
    if (!rdg_sm2_affine_decode(example.key, &key) || !rdg_sm2_signature_decode(&encoded, sig)) return false;
    rdg_sm2_comb_build(comb, &key);
    jobs[0] = (rdg_sm2_sum_job_t){comb, sig->s, sig->t};
    uint64_t state = 0x9e3779b97f4a7c15u;
    for (size_t i = 1; i < TEST_LANES; i++) {
        jobs[i].key = i % 8 == 7 ? rdg_sm2_comb_base() : comb;
        for (int k = 0; k < 4; k++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            jobs[i].s.l[k] = (state ^ state >> 29) >> (k == 3);
            jobs[i].t.l[k] = (state * state ^ state >> 31) >> (k == 3);
        }
        if (i % 8 == 7) jobs[i].t = jobs[i].s;
    }
    return true;
}

static bool same_point(const rdg_sm2_point_t *a, const rdg_sm2_point_t *b) {
    rdg_sm2_affine_t affine[2];
    rdg_sm2_point_t both[2] = {*a, *b};
    rdg_sm2_fe_t scratch[2];
    if (rdg_sm2_point_is_infinity(a) || rdg_sm2_point_is_infinity(b)) return false;
    rdg_sm2_points_to_affine(affine, both, scratch, 2);
    return memcmp(&affine[0], &affine[1], sizeof affine[0]) == 0;
}

const char *rdg_sm2_path_self_test(const rdg_sm2_path_t *path) {
    rdg_sm2_comb_t comb;
    rdg_sm2_decoded_t sig;
    rdg_sm2_sum_job_t jobs[TEST_LANES];
    rdg_sm2_point_t sums[TEST_LANES], want;
    rdg_hash_t e;
    if (!make_jobs(jobs, &comb, &sig)) return "its self-test could not be prepared";
    path->sum(sums, jobs, TEST_LANES);
    memcpy(e.b, example.e, sizeof e.b);
    if (!rdg_sm2_x_matches(&sums[0], &sig.r, &e)) return "it refuses the standard's example";
    e.b[31] ^= 1;
    if (rdg_sm2_x_matches(&sums[0], &sig.r, &e)) return "it accepts a changed example";
    for (size_t i = 0; i < TEST_LANES; i++) {
        rdg_sm2_sum_known(&want, &jobs[i].s, &jobs[i].t, jobs[i].key);
        if (jobs[i].key != &comb && rdg_sm2_point_is_infinity(&sums[i])) continue; /* as it may */
        if (!same_point(&sums[i], &want)) return "its sums differ from those of the scalar code";
    }
    return NULL;
}

const char *rdg_sm2_path_refusal(const rdg_sm2_path_t *path) {
#if defined(__x86_64__)
    /* This asks the system too whether it saves the registers. */
    if (path->sum == rdg_sm2_sum_lanes_ifma &&
        !(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512ifma")))
        return "this processor or system has no AVX-512 IFMA";
#endif
    return path->sum ? rdg_sm2_path_self_test(path) : NULL;
}

static _Atomic(const rdg_sm2_path_t *) forced;
static const rdg_sm2_path_t *best;
static const char *best_refused;

static void choose(void) {
    const char *why;
    for (best = rdg_sm2_paths; (why = rdg_sm2_path_refusal(best)); best++)
        if (!best_refused) best_refused = why;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

const rdg_sm2_path_t *rdg_sm2_path_chosen(void) {
    const rdg_sm2_path_t *path = atomic_load_explicit(&forced, memory_order_relaxed);
    if (path) return path;
    pthread_once(&once, choose);
    return best;
}

void rdg_sm2_path_force(const rdg_sm2_path_t *path) {
    atomic_store(&forced, path);
}

const char *rdg_sm2_batch_path(const char **refused) {
    pthread_once(&once, choose);
    *refused = best_refused;
    return best->name;
}
