#include "ridge/image/signature.h"
#include "ridge/codec/hex.h"
#include "ridge/codec/json.h"
#include "ridge/crypto/hash.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX 768
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyz0123456789._-/"
#define TAG_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
#define MANIFEST_TYPE "application/vnd.oci.image.manifest.v1+json"
#define EMPTY_TYPE "application/vnd.oci.empty.v1+json"

bool rdg_image_digest_valid(const char *digest) {
    size_t digits = strncmp(digest, "sha256:", 7) == 0 ? 64 : strncmp(digest, "sha512:", 7) == 0 ? 128 : 0;
    return digits && strlen(digest) == 7 + digits && strspn(digest + 7, "0123456789abcdef") == digits;
}

void rdg_image_digest(rdg_bytes_t bytes, char out[RDG_IMAGE_DIGEST_MAX]) {
    uint8_t sum[32];
    rdg_sha256(bytes.data, bytes.len, sum);
    memcpy(out, "sha256:", 7);
    rdg_hex_encode(sum, sizeof sum, out + 7);
}

/* What cannot stand in a field cannot stand in the signed text either: no line end can get into it. */
static rdg_err_t take(const char *what, const char *text, const char *chars, char *out, size_t size) {
    size_t len = strlen(text);
    if (len >= size || strspn(text, chars) != len)
        return rdg_fail(RDG_E_INVALID, "'%.100s' cannot be an image's %s", text, what);
    memcpy(out, text, len + 1);
    return RDG_OK;
}

static rdg_err_t fill(const char *digest, const char *name, const char *tag, uint64_t signed_ms,
                      rdg_image_signature_t *out) {
    memset(out, 0, sizeof *out);
    if (!rdg_image_digest_valid(digest))
        return rdg_fail(RDG_E_INVALID, "'%.100s' is no digest: want sha256:… or sha512:…", digest);
    snprintf(out->digest, sizeof out->digest, "%s", digest);
    RDG_TRY(take("name", name, NAME_CHARS, out->name, sizeof out->name));
    if (!name[0]) return rdg_fail(RDG_E_INVALID, "an image without a name cannot be signed");
    RDG_TRY(take("tag", tag, TAG_CHARS, out->tag, sizeof out->tag));
    out->signed_ms = signed_ms;
    return RDG_OK;
}

static size_t signed_text(const rdg_image_signature_t *s, char out[TEXT_MAX]) {
    return (size_t)snprintf(out, TEXT_MAX, "ridge-image-signature-v1\n%s\n%s\n%s\n%" PRIu64, s->digest,
                            s->name, s->tag, s->signed_ms);
}

rdg_err_t rdg_image_signature_make(const rdg_sm2_key_t *key, const char *digest, const char *name,
                                   const char *tag, uint64_t now_ms, rdg_image_signature_t *out) {
    char text[TEXT_MAX];
    RDG_TRY(fill(digest, name, tag, now_ms, out));
    rdg_sm2_key_public(key, &out->key);
    return rdg_sm2_sign(key, text, signed_text(out, text), &out->signature);
}

rdg_err_t rdg_image_signature_check(const rdg_image_signature_t *s) {
    char text[TEXT_MAX];
    return rdg_sm2_verify(&s->key, text, signed_text(s, text), &s->signature);
}

static rdg_err_t read_object(const json_t *o, rdg_image_signature_t *out) {
    const char *digest, *name, *tag;
    uint64_t signed_ms;
    uint8_t point[64];
    RDG_TRY(rdg_json_get_str(o, "digest", &digest));
    RDG_TRY(rdg_json_get_str(o, "name", &name));
    RDG_TRY(rdg_json_get_str(o, "tag", &tag));
    RDG_TRY(rdg_json_get_u64(o, "signed_ms", &signed_ms));
    RDG_TRY(fill(digest, name, tag, signed_ms, out));
    RDG_TRY(rdg_json_get_hex(o, "key", point, sizeof point));
    RDG_TRY(rdg_sm2_public_decode(rdg_bytes(point, sizeof point), &out->key));
    return rdg_json_get_hex(o, "signature", out->signature.b, sizeof out->signature.b);
}

rdg_err_t rdg_image_signature_parse(rdg_bytes_t json, rdg_image_signature_t *out) {
    json_t *o = NULL;
    memset(out, 0, sizeof *out);
    if (json.len > RDG_IMAGE_SIGNATURE_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "the signature of an image has %zu bytes: at most %d", json.len,
                        RDG_IMAGE_SIGNATURE_MAX);
    rdg_err_t err = rdg_json_parse(json, &o);
    if (err == RDG_OK) err = read_object(o, out);
    json_decref(o);
    if (err == RDG_OK || err == RDG_E_NO_MEMORY) return err;
    char why[RDG_ERROR_TEXT_MAX];
    snprintf(why, sizeof why, "%s", rdg_err_message(err));
    return rdg_fail(RDG_E_MALFORMED, "the signature of an image cannot be read: %.400s", why);
}

static rdg_err_t put(json_t *o, rdg_buf_t *out) {
    rdg_err_t err = o ? rdg_json_dump(o, out) : rdg_fail(RDG_E_NO_MEMORY, "no memory for a signature");
    json_decref(o);
    return err;
}

rdg_err_t rdg_image_signature_dump(const rdg_image_signature_t *s, rdg_buf_t *out) {
    char key[129], signature[129];
    rdg_hex_encode(s->key.b, sizeof s->key.b, key);
    rdg_hex_encode(s->signature.b, sizeof s->signature.b, signature);
    return put(json_pack("{s:s, s:s, s:s, s:I, s:s, s:s}", "digest", s->digest, "name", s->name, "tag",
                         s->tag, "signed_ms", (json_int_t)s->signed_ms, "key", key, "signature", signature),
               out);
}

rdg_err_t rdg_image_signature_manifest(const rdg_image_signature_t *s, rdg_bytes_t json,
                                       const rdg_image_subject_t *subject, rdg_buf_t *out) {
    char key[129], layer[RDG_IMAGE_DIGEST_MAX];
    rdg_hex_encode(s->key.b, sizeof s->key.b, key);
    rdg_image_digest(json, layer);
    return put(json_pack("{s:i, s:s, s:s, s:{s:s, s:s, s:i, s:s}, s:[{s:s, s:s, s:I}], s:{s:s, s:s, s:I}, "
                         "s:{s:s, s:s}}",
                         "schemaVersion", 2, "mediaType", MANIFEST_TYPE, "artifactType",
                         RDG_IMAGE_SIGNATURE_TYPE, "config", "mediaType", EMPTY_TYPE, "digest",
                         RDG_IMAGE_EMPTY_DIGEST, "size", (int)strlen(RDG_IMAGE_EMPTY), "data",
                         "e30=", "layers", "mediaType", RDG_IMAGE_SIGNATURE_TYPE, "digest", layer, "size",
                         (json_int_t)json.len, "subject", "mediaType", subject->media_type, "digest",
                         s->digest, "size", (json_int_t)subject->size, "annotations", RDG_IMAGE_SIGNATURE_KEY,
                         key, RDG_IMAGE_SIGNATURE_TAG, s->tag),
               out);
}
