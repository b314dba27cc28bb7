/* Signatures of container images: SM2 over what a device is about to run.
 *
 * A signature says: the holder of this key stands for the manifest (or index) with this digest, under this
 * repository name and, unless tag is empty, under this tag only. So a registry can serve no other content for a
 * name, and cannot give an older signed image a newer one's tag. Version, purpose, ports, environment and resources
 * of an image are in its manifest and configuration, which the digest covers.
 *
 * What is signed (SM2 with SM3 and the default user id, canonical s; `ridge key verify` checks it, too) is this text:
 *
 *   ridge-image-signature-v1 LF <digest> LF <name> LF <tag> LF <signed_ms, decimal>
 *
 * It is kept in the image's registry as an artifact that refers to the image (OCI image specification 1.1, `subject`
 * and `artifactType`; found by the referrers API): artifactType RDG_IMAGE_SIGNATURE_TYPE, the empty configuration,
 * one layer of the same media type that holds the JSON object {"digest","name","tag","signed_ms","key","signature"},
 * and the annotations RDG_IMAGE_SIGNATURE_KEY, the public key (128 hex digits), and RDG_IMAGE_SIGNATURE_TAG, by which a
 * reader picks those worth fetching. Nothing rests on the annotations.
 *
 * Limits: RDG_IMAGE_SIGNATURE_MAX bytes of JSON. Nothing here does I/O; thread-safe. */
#ifndef RIDGE_IMAGE_SIGNATURE_H
#define RIDGE_IMAGE_SIGNATURE_H
#include "ridge/base/buf.h"
#include "ridge/crypto/sm2.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_IMAGE_SIGNATURE_TYPE "application/vnd.ridge.image.signature.v1+json"
#define RDG_IMAGE_SIGNATURE_KEY "ridge.signature.key"
#define RDG_IMAGE_SIGNATURE_TAG "ridge.signature.tag"
#define RDG_IMAGE_SIGNATURE_MAX 4096
#define RDG_IMAGE_DIGEST_MAX 136 /* "sha512:", 128 hex digits and a NUL */
#define RDG_IMAGE_NAME_MAX 256
#define RDG_IMAGE_TAG_MAX 129
#define RDG_IMAGE_EMPTY "{}" /* the empty configuration, and its digest */
#define RDG_IMAGE_EMPTY_DIGEST "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

typedef struct rdg_image_signature {
    char digest[RDG_IMAGE_DIGEST_MAX];
    char name[RDG_IMAGE_NAME_MAX]; /* of the repository, without a host */
    char tag[RDG_IMAGE_TAG_MAX];   /* empty: any */
    uint64_t signed_ms;            /* what the signer's clock said */
    rdg_sm2_public_t key;
    rdg_sm2_signature_t signature;
} rdg_image_signature_t;

/* INVALID: a digest, name or tag that cannot be one. */
rdg_err_t rdg_image_signature_make(const rdg_sm2_key_t *key, const char *digest, const char *name,
                                   const char *tag, uint64_t now_ms, rdg_image_signature_t *out);
/* Whether the key signed this; says nothing of trust. BAD_SIGNATURE. */
rdg_err_t rdg_image_signature_check(const rdg_image_signature_t *s);
/* MALFORMED, TOO_LARGE. */
rdg_err_t rdg_image_signature_parse(rdg_bytes_t json, rdg_image_signature_t *out);
rdg_err_t rdg_image_signature_dump(const rdg_image_signature_t *s, rdg_buf_t *out);

typedef struct rdg_image_subject {
    const char *media_type; /* of the manifest that is signed */
    uint64_t size;
} rdg_image_subject_t;
/* The artifact's manifest; json is its layer, as dump made it. */
rdg_err_t rdg_image_signature_manifest(const rdg_image_signature_t *s, rdg_bytes_t json,
                                       const rdg_image_subject_t *subject, rdg_buf_t *out);

/* "sha256:" and 64 or "sha512:" and 128 lower-case hex digits. */
bool rdg_image_digest_valid(const char *digest);
/* sha256 of bytes, as a digest. */
void rdg_image_digest(rdg_bytes_t bytes, char out[RDG_IMAGE_DIGEST_MAX]);

#ifdef __cplusplus
}
#endif
#endif
