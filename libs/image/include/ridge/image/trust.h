/* Whose images a device runs: the signers that its cloud trusts, and what may go unsigned.
 *
 * The cloud's administrator keeps the list; the cloud numbers it, signs it with the key of its issuing CA and gives it
 * to devices at enrolment and by MQTT (docs/device-protocol.md). A device keeps the newest (a larger number replaces a
 * smaller one) and asks it before it unpacks an image, and again each time it starts one.
 *
 * 1. Who is not in the list is not trusted; a signer that was revoked stays in it, so that a device can say so.
 * 2. A signer counts for the repositories of its patterns only.
 * 3. Nothing runs unsigned unless a pattern of unsigned_ok fits "HOST/NAME". An image with no good signature that
 *    fits such a pattern runs, also when a bad signature is attached to it: it needs none.
 * 4. The signature of the list itself is over "ridge-image-trust-v1" LF and the text exactly as it came.
 *
 * Patterns: "*" fits everything; "a/b/" followed by "*" fits what begins with "a/b/"; anything else itself. Several
 * with commas between.
 * Limits: RDG_IMAGE_SIGNERS_MAX signers, RDG_IMAGE_PATTERNS_MAX bytes of patterns. Thread-safe; no I/O. */
#ifndef RIDGE_IMAGE_TRUST_H
#define RIDGE_IMAGE_TRUST_H
#include "ridge/image/signature.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_IMAGE_SIGNERS_MAX 64
#define RDG_IMAGE_PATTERNS_MAX 512
#define RDG_IMAGE_TRUST_MAX (128u << 10)

typedef struct rdg_image_signer {
    char name[65];
    rdg_sm2_public_t key;
    char repositories[RDG_IMAGE_PATTERNS_MAX];
    bool revoked;
} rdg_image_signer_t;

typedef struct rdg_image_trust {
    uint64_t number;
    char unsigned_ok[RDG_IMAGE_PATTERNS_MAX];
    rdg_image_signer_t signers[RDG_IMAGE_SIGNERS_MAX];
    size_t signer_count;
} rdg_image_trust_t;

/* MALFORMED, INVALID, TOO_LARGE name the field. Returns owned (rdg_free). */
rdg_err_t rdg_image_trust_parse(rdg_bytes_t json, rdg_image_trust_t **out);
rdg_err_t rdg_image_trust_dump(const rdg_image_trust_t *t, rdg_buf_t *out);
rdg_err_t rdg_image_trust_sign(const rdg_sm2_key_t *key, rdg_bytes_t text, rdg_sm2_signature_t *out);
rdg_err_t rdg_image_trust_verify(const rdg_sm2_public_t *key, rdg_bytes_t text,
                                 const rdg_sm2_signature_t *sig);

/* INVALID: empty parts, a '*' anywhere but at the end of one, or characters that no name has. */
rdg_err_t rdg_image_patterns_check(const char *patterns);
bool rdg_image_patterns_fit(const char *patterns, const char *text);

/* The signer with this key; NULL. Borrowed. */
const rdg_image_signer_t *rdg_image_trust_find(const rdg_image_trust_t *t, const rdg_sm2_public_t *key);
/* What is wanted, and under which name it was asked for. */
typedef struct rdg_image_wanted {
    const char *digest, *name;
    const char *tag; /* NULL or empty: it was asked for by digest */
} rdg_image_wanted_t;
/* RDG_OK: this signature makes the image one to run. BAD_SIGNATURE: not of this image, or not by that key. FORBIDDEN:
 * the signer is not trusted, revoked, or not for this repository. The text names image, signer and remedy. */
rdg_err_t rdg_image_trust_judge(const rdg_image_trust_t *t, const rdg_image_signature_t *s,
                                const rdg_image_wanted_t *wanted);

#ifdef __cplusplus
}
#endif
#endif
