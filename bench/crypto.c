/* How many signatures and bytes one core checks and hashes: Ridge's SM2 verification against libcrypto's in
 * the same run. Prints one JSON object. Each figure is the median of ROUNDS rounds; the rounds of all
 * figures are interleaved, so that a machine that slows down slows them all. Time is the thread's own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ridge/base/assert.h"
#include "ridge/codec/json.h"
#include "ridge/crypto/reference.h"
#include "ridge/crypto/sm2.h"

#define ROUNDS 5
#define ROUND_SECONDS 0.08
#define FLEET 1000 /* keys of a fleet of devices, more than the default cache holds */
#define MESSAGE_BYTES 256

static struct {
    rdg_sm2_key_t *key;
    rdg_sm2_public_t pub[FLEET];
    rdg_sm2_signature_t sig[FLEET];
    uint8_t msg[16384];
    size_t next;
} input;

static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void verify(size_t i) {
    RDG_ASSERT(rdg_sm2_verify(&input.pub[i], input.msg, MESSAGE_BYTES, &input.sig[i]) == RDG_OK);
}

static void verify_unknown(void) {
    verify(0);
}
static void verify_known(void) {
    verify(0);
}
static void verify_hundred(void) {
    verify(input.next++ % 100);
}
static void verify_fleet(void) {
    verify(input.next++ % FLEET);
}

/* A batch of the size that a node's gossip brings under load; `keys` of them in turn. */
static void verify_batch(size_t keys) {
    enum { BATCH = 64 };
    rdg_sm2_check_t checks[BATCH];
    rdg_err_t results[BATCH];
    for (size_t i = 0; i < BATCH; i++) {
        size_t k = input.next++ % keys;
        checks[i] =
            (rdg_sm2_check_t){&input.pub[k], rdg_bytes(input.msg, MESSAGE_BYTES), &input.sig[k], false};
    }
    rdg_sm2_verify_batch(checks, BATCH, results);
    for (size_t i = 0; i < BATCH; i++) RDG_ASSERT(results[i] == RDG_OK);
}

static void batch_unknown(void) {
    verify_batch(FLEET);
}
static void batch_one(void) {
    verify_batch(1);
}
static void batch_hundred(void) {
    verify_batch(100);
}

static void verify_libcrypto(void) {
    RDG_ASSERT(rdg_reference_sm2_verify(&input.pub[0], input.msg, MESSAGE_BYTES, &input.sig[0]));
}

static void sign(void) {
    rdg_sm2_signature_t sig;
    RDG_ASSERT(rdg_sm2_sign(input.key, input.msg, MESSAGE_BYTES, &sig) == RDG_OK);
}

static void decode_key(void) {
    rdg_sm2_public_t pub;
    RDG_ASSERT(rdg_sm2_public_decode(rdg_bytes(input.pub[0].b, 64), &pub) == RDG_OK);
}

static void sm3_long(void) {
    rdg_hash_t h;
    rdg_sm3(input.msg, sizeof input.msg, &h);
}

static void sm3_pair(void) { /* an inner node of a tree */
    rdg_hash_t h;
    const rdg_bytes_t both = rdg_bytes(input.msg, 64);
    rdg_sm3_tagged(RDG_DOMAIN_MERKLE_INNER, &both, 1, &h);
}

/* `count` messages of `len` bytes at once. */
static void sm3_many(size_t count, size_t len) {
    rdg_sm3_input_t inputs[1024];
    static rdg_hash_t out[1024];
    for (size_t i = 0; i < count; i++) inputs[i] = (rdg_sm3_input_t){.body = rdg_bytes(input.msg + i, len)};
    rdg_sm3_many(inputs, count, out);
}

static void sm3_8_streams(void) {
    sm3_many(8, 8192);
}
static void sm3_16_streams(void) {
    sm3_many(16, 8192);
}
static void sm3_many_short(void) {
    sm3_many(1024, 64);
}
static void sm3_many_short_alone(void) {
    rdg_hash_t h;
    for (size_t i = 0; i < 1024; i++) rdg_sm3(input.msg + i, 64, &h);
}

static void keccak_long(void) {
    uint8_t h[32];
    rdg_keccak256(input.msg, sizeof input.msg, h);
}

static void cache_off(void) {
    RDG_ASSERT(rdg_sm2_cache_limit(0) == RDG_OK);
}

/* Warm: the keys that come often have their tables, as in a node that runs. */
static void cache_on(void) {
    RDG_ASSERT(rdg_sm2_cache_limit((size_t)8 << 20) == RDG_OK);
    for (size_t i = 0; i < 400; i++) verify(i % 100);
}

static void cache_on_fleet(void) {
    cache_on();
    for (size_t i = 0; i < 4 * FLEET; i++) verify(i % FLEET);
}

static const struct figure {
    const char *name;
    void (*prepare)(void);
    void (*once)(void);
    double scale; /* operations a call, or megabytes a call */
} figures[] = {
    {"sm2_verify_first_sight_per_s", cache_off, verify_unknown, 1},
    {"sm2_verify_known_key_per_s", cache_on, verify_known, 1},
    {"sm2_verify_100_keys_per_s", cache_on, verify_hundred, 1},
    {"sm2_verify_1000_keys_per_s", cache_on_fleet, verify_fleet, 1},
    {"sm2_verify_batch_of_64_unknown_keys_per_s", cache_off, batch_unknown, 64},
    {"sm2_verify_batch_of_64_one_key_per_s", cache_on, batch_one, 64},
    {"sm2_verify_batch_of_64_100_keys_per_s", cache_on, batch_hundred, 64},
    {"sm2_verify_libcrypto_per_s", NULL, verify_libcrypto, 1},
    {"sm2_sign_libcrypto_low_s_per_s", NULL, sign, 1},
    {"sm2_public_decode_per_s", NULL, decode_key, 1},
    {"sm3_16k_libgcrypt_mb_per_s", NULL, sm3_long, 16384e-6},
    {"sm3_tree_node_libgcrypt_per_s", NULL, sm3_pair, 1},
    {"sm3_8_streams_mb_per_s", NULL, sm3_8_streams, 8 * 8192e-6},
    {"sm3_16_streams_mb_per_s", NULL, sm3_16_streams, 16 * 8192e-6},
    {"sm3_1024_messages_of_64_bytes_mb_per_s", NULL, sm3_many_short, 1024 * 64e-6},
    {"sm3_64_bytes_one_by_one_libgcrypt_mb_per_s", NULL, sm3_many_short_alone, 1024 * 64e-6},
    {"keccak256_16k_mb_per_s", NULL, keccak_long, 16384e-6},
};
#define FIGURES (sizeof figures / sizeof figures[0])

static double measure(const struct figure *f) {
    if (f->prepare) f->prepare();
    double start = cpu_seconds(), spent;
    size_t calls = 0;
    do {
        for (int i = 0; i < 8; i++) f->once();
        calls += 8;
        spent = cpu_seconds() - start;
    } while (spent < ROUND_SECONDS);
    return (double)calls * f->scale / spent;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void make_input(void) {
    for (size_t i = 0; i < FLEET; i++) {
        rdg_sm2_key_t *key;
        RDG_ASSERT(rdg_sm2_key_generate(&key) == RDG_OK);
        rdg_sm2_key_public(key, &input.pub[i]);
        RDG_ASSERT(rdg_sm2_sign(key, input.msg, MESSAGE_BYTES, &input.sig[i]) == RDG_OK);
        rdg_sm2_key_free(input.key);
        input.key = key;
    }
}

int main(void) {
    double rates[FIGURES][ROUNDS];
    make_input();
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < FIGURES; i++) rates[i][round] = measure(&figures[i]);
    json_t *out = json_object();
    json_object_set_new(out, "bench", json_string("crypto"));
    json_object_set_new(out, "rounds", json_integer(ROUNDS));
    json_object_set_new(out, "message_bytes", json_integer(MESSAGE_BYTES));
    double median[FIGURES];
    for (size_t i = 0; i < FIGURES; i++) {
        qsort(rates[i], ROUNDS, sizeof rates[i][0], ascending);
        median[i] = rates[i][ROUNDS / 2];
        json_object_set_new(out, figures[i].name, json_integer((json_int_t)(median[i] + 0.5)));
    }
    double libcrypto = json_number_value(json_object_get(out, "sm2_verify_libcrypto_per_s"));
    json_object_set_new(out, "first_sight_to_libcrypto", json_real(median[0] / libcrypto));
    json_object_set_new(out, "known_key_to_libcrypto", json_real(median[1] / libcrypto));
    char *text = rdg_json_text(out);
    puts(text ? text : "{}");
    json_decref(out);
    rdg_sm2_key_free(input.key);
    return text ? 0 : 1;
}
