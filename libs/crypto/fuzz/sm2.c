/* Ridge's SM2 verification against libcrypto's. The input is a difference to the standard's example (key, r,
 * s, message), so that empty input is a valid signature and few bytes reach the edges. */
#include <stdlib.h>
#include <string.h>

#include "ridge/crypto/reference.h"
#include "sm2_check.h"
#include "sm2_digest.h"
#include "sm2_path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t example[] = {
    0x09, 0xf9, 0xdf, 0x31, 0x1e, 0x54, 0x21, 0xa1, 0x50, 0xdd, 0x7d, 0x16, 0x1e, 0x4b, 0xc5, 0xc6,
    0x72, 0x17, 0x9f, 0xad, 0x18, 0x33, 0xfc, 0x07, 0x6b, 0xb0, 0x8f, 0xf3, 0x56, 0xf3, 0x50, 0x20,
    0xcc, 0xea, 0x49, 0x0c, 0xe2, 0x67, 0x75, 0xa5, 0x2d, 0xc6, 0xea, 0x71, 0x8c, 0xc1, 0xaa, 0x60,
    0x0a, 0xed, 0x05, 0xfb, 0xf3, 0x5e, 0x08, 0x4a, 0x66, 0x32, 0xf6, 0x07, 0x2d, 0xa9, 0xad, 0x13,
    0xf5, 0xa0, 0x3b, 0x06, 0x48, 0xd2, 0xc4, 0x63, 0x0e, 0xea, 0xc5, 0x13, 0xe1, 0xbb, 0x81, 0xa1,
    0x59, 0x44, 0xda, 0x38, 0x27, 0xd5, 0xb7, 0x41, 0x43, 0xac, 0x7e, 0xac, 0xee, 0xe7, 0x20, 0xb3,
    0xb1, 0xb6, 0xaa, 0x29, 0xdf, 0x21, 0x2f, 0xd8, 0x76, 0x31, 0x82, 0xbc, 0x0d, 0x42, 0x1c, 0xa1,
    0xbb, 0x90, 0x38, 0xfd, 0x1f, 0x7f, 0x42, 0xd4, 0x84, 0x0b, 0x69, 0xc4, 0x85, 0xbb, 0xc1, 0xaa,
    'm',  'e',  's',  's',  'a',  'g',  'e',  ' ',  'd',  'i',  'g',  'e',  's',  't'};

/* With tables, in every path of batches too. */
static void check_paths(const rdg_sm2_public_t *pub, const rdg_hash_t *e, const rdg_sm2_signature_t *sig,
                        bool want) {
    rdg_sm2_decoded_t d;
    rdg_sm2_affine_t key;
    rdg_sm2_comb_t comb;
    rdg_sm2_point_t sum, sums[2];
    if (!rdg_sm2_signature_decode(sig, &d) || !rdg_sm2_affine_decode(pub->b, &key)) {
        if (want) abort();
        return;
    }
    rdg_sm2_comb_build(&comb, &key);
    rdg_sm2_sum_known(&sum, &d.s, &d.t, &comb);
    if (rdg_sm2_x_matches(&sum, &d.r, e) != want) abort();
    const rdg_sm2_sum_job_t jobs[2] = {{&comb, d.s, d.t}, {rdg_sm2_comb_base(), d.t, d.s}};
    for (const rdg_sm2_path_t *p = rdg_sm2_paths; p->name; p++) {
        if (!p->sum || rdg_sm2_path_refusal(p)) continue;
        p->sum(sums, jobs, 2);
        if (!rdg_sm2_point_is_infinity(&sums[0]) && rdg_sm2_x_matches(&sums[0], &d.r, e) != want) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t text[sizeof example];
    memcpy(text, example, sizeof text);
    for (size_t i = 0; i < size && i < sizeof text; i++) text[i] ^= data[i];
    rdg_sm2_public_t pub, decoded;
    rdg_sm2_signature_t sig;
    memcpy(pub.b, text, 64);
    memcpy(sig.b, text + 64, 64);
    const uint8_t *msg = text + 128;
    size_t len = sizeof text - 128;

    bool want = rdg_reference_sm2_verify(&pub, msg, len, &sig);
    if ((rdg_sm2_verify_standard(&pub, msg, len, &sig) == RDG_OK) != want) abort();
    if ((rdg_sm2_verify(&pub, msg, len, &sig) == RDG_OK) != (want && rdg_sm2_low_s(&sig))) abort();
    if ((rdg_sm2_public_decode(rdg_bytes(pub.b, 64), &decoded) == RDG_OK) != rdg_reference_sm2_on_curve(&pub))
        abort();
    rdg_hash_t z, e;
    rdg_sm2_z(&pub, &z);
    rdg_sm2_e(&z, msg, len, &e);
    check_paths(&pub, &e, &sig, want);
    return 0;
}
