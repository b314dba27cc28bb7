#include "ridge/image/trust.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/codec/json.h"
#include <stdio.h>
#include <string.h>

#define PATTERN_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:[]"
#define TRUST_PREFIX "ridge-image-trust-v1\n"

/* --- patterns --------------------------------------------------------------------------------------- */

static bool pattern_valid(const char *p, size_t len) {
    if (len == 1 && p[0] == '*') return true;
    if (len > 2 && p[len - 1] == '*' && p[len - 2] == '/') --len;
    for (size_t i = 0; i < len; ++i)
        if (!strchr(PATTERN_CHARS, p[i])) return false;
    return len > 0;
}

rdg_err_t rdg_image_patterns_check(const char *patterns) {
    if (strlen(patterns) >= RDG_IMAGE_PATTERNS_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "patterns of images: at most %d bytes", RDG_IMAGE_PATTERNS_MAX - 1);
    for (const char *p = patterns; *p;) {
        size_t len = strcspn(p, ",");
        if (!pattern_valid(p, len))
            return rdg_fail(RDG_E_INVALID,
                            "'%.*s' is no pattern of images: want a name, or names that begin alike "
                            "(team/*), or *, with commas between",
                            (int)(len > 80 ? 80 : len), p);
        p += len;
        if (*p == ',' && !*++p)
            return rdg_fail(RDG_E_INVALID, "patterns of images: something is missing after the last comma");
    }
    return RDG_OK;
}

bool rdg_image_patterns_fit(const char *patterns, const char *text) {
    for (const char *p = patterns; *p;) {
        size_t len = strcspn(p, ",");
        if (len == 1 && p[0] == '*') return true;
        if (len > 2 && p[len - 1] == '*' ? strncmp(p, text, len - 1) == 0 && text[len - 1]
                                         : strlen(text) == len && strncmp(p, text, len) == 0)
            return true;
        p += len;
        p += *p == ',';
    }
    return false;
}

/* --- the list ----------------------------------------------------------------------------------------- */

static rdg_err_t read_patterns(const json_t *o, const char *field, char out[RDG_IMAGE_PATTERNS_MAX]) {
    const char *text;
    RDG_TRY(rdg_json_get_str(o, field, &text));
    RDG_TRY(rdg_image_patterns_check(text));
    snprintf(out, RDG_IMAGE_PATTERNS_MAX, "%s", text);
    return RDG_OK;
}

static rdg_err_t read_signer(const json_t *o, rdg_image_signer_t *out) {
    const char *name;
    uint8_t point[64];
    RDG_TRY(rdg_json_get_str(o, "name", &name));
    if (!rdg_name_valid(name)) return rdg_fail(RDG_E_INVALID, "'%.80s' is no name of a signer", name);
    snprintf(out->name, sizeof out->name, "%s", name);
    RDG_TRY(rdg_json_get_hex(o, "key", point, sizeof point));
    RDG_TRY(rdg_sm2_public_decode(rdg_bytes(point, sizeof point), &out->key));
    RDG_TRY(rdg_json_opt_bool(o, "revoked", &out->revoked));
    return read_patterns(o, "repositories", out->repositories);
}

static rdg_err_t read_list(const json_t *o, rdg_image_trust_t *t) {
    json_t *signers = NULL, *one;
    size_t i;
    RDG_TRY(rdg_json_get_u64(o, "number", &t->number));
    RDG_TRY(read_patterns(o, "unsigned", t->unsigned_ok));
    RDG_TRY(rdg_json_get_array(o, "signers", &signers));
    if (json_array_size(signers) > RDG_IMAGE_SIGNERS_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "%zu signers of images: at most %d", json_array_size(signers),
                        RDG_IMAGE_SIGNERS_MAX);
    json_array_foreach(signers, i, one)
        RDG_TRY(rdg_fail_in(read_signer(one, &t->signers[t->signer_count++]), "signer %zu", i));
    return RDG_OK;
}

rdg_err_t rdg_image_trust_parse(rdg_bytes_t json, rdg_image_trust_t **out) {
    json_t *o = NULL;
    *out = NULL;
    if (json.len > RDG_IMAGE_TRUST_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "a list of trusted signers of %zu bytes: at most %u", json.len,
                        RDG_IMAGE_TRUST_MAX);
    rdg_image_trust_t *t = rdg_calloc(1, sizeof *t);
    if (!t) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the trusted signers");
    rdg_err_t err = rdg_json_parse(json, &o);
    if (err == RDG_OK) err = read_list(o, t);
    json_decref(o);
    if (err == RDG_OK)
        *out = t;
    else
        rdg_free(t);
    return rdg_fail_in(err, "the list of trusted signers of images");
}

rdg_err_t rdg_image_trust_dump(const rdg_image_trust_t *t, rdg_buf_t *out) {
    json_t *signers = json_array();
    for (size_t i = 0; i < t->signer_count; ++i) {
        const rdg_image_signer_t *s = &t->signers[i];
        char key[129];
        rdg_hex_encode(s->key.b, sizeof s->key.b, key);
        json_array_append_new(signers, json_pack("{s:s, s:s, s:s, s:b}", "name", s->name, "key", key,
                                                 "repositories", s->repositories, "revoked", s->revoked));
    }
    json_t *o = json_pack("{s:I, s:s, s:o}", "number", (json_int_t)t->number, "unsigned", t->unsigned_ok,
                          "signers", signers);
    rdg_err_t err = o ? rdg_json_dump(o, out) : rdg_fail(RDG_E_NO_MEMORY, "no memory for trusted signers");
    json_decref(o);
    return err;
}

static rdg_err_t signed_text(rdg_bytes_t text, rdg_buf_t *out) {
    rdg_buf_init(out, RDG_IMAGE_TRUST_MAX + sizeof TRUST_PREFIX);
    rdg_buf_str(out, TRUST_PREFIX);
    rdg_err_t err = rdg_buf_append(out, text.data, text.len);
    if (err != RDG_OK) rdg_buf_fini(out);
    return err;
}

rdg_err_t rdg_image_trust_sign(const rdg_sm2_key_t *key, rdg_bytes_t text, rdg_sm2_signature_t *out) {
    rdg_buf_t b;
    RDG_TRY(signed_text(text, &b));
    rdg_err_t err = rdg_sm2_sign(key, b.data, b.len, out);
    rdg_buf_fini(&b);
    return err;
}

rdg_err_t rdg_image_trust_verify(const rdg_sm2_public_t *key, rdg_bytes_t text,
                                 const rdg_sm2_signature_t *sig) {
    rdg_buf_t b;
    RDG_TRY(signed_text(text, &b));
    rdg_err_t err = rdg_sm2_verify(key, b.data, b.len, sig);
    rdg_buf_fini(&b);
    return err;
}

/* --- judging ------------------------------------------------------------------------------------------- */

const rdg_image_signer_t *rdg_image_trust_find(const rdg_image_trust_t *t, const rdg_sm2_public_t *key) {
    for (size_t i = 0; i < t->signer_count; ++i)
        if (memcmp(t->signers[i].key.b, key->b, sizeof key->b) == 0) return &t->signers[i];
    return NULL;
}

static rdg_err_t judge_signer(const rdg_image_trust_t *t, const rdg_image_signature_t *s,
                              const rdg_image_wanted_t *w) {
    char key[17];
    const rdg_image_signer_t *signer = rdg_image_trust_find(t, &s->key);
    rdg_hex_encode(s->key.b, 8, key);
    if (!signer)
        return rdg_fail(RDG_E_FORBIDDEN,
                        "image %s is signed by key %s…, which this device's cloud does not trust: add it "
                        "with 'ridge image trust', or sign with a trusted key",
                        w->name, key);
    if (signer->revoked)
        return rdg_fail(RDG_E_FORBIDDEN,
                        "image %s is signed by '%s', whose key is revoked: sign it anew with a trusted key",
                        w->name, signer->name);
    if (!rdg_image_patterns_fit(signer->repositories, w->name))
        return rdg_fail(RDG_E_FORBIDDEN, "signer '%s' is trusted for %s, not for image %s", signer->name,
                        signer->repositories[0] ? signer->repositories : "nothing", w->name);
    if (rdg_image_signature_check(s) == RDG_OK) return RDG_OK;
    return rdg_fail(
        RDG_E_BAD_SIGNATURE,
        "a signature of image %s is not by the key of '%s' that it names: it was changed, or made "
        "up",
        w->name, signer->name);
}

rdg_err_t rdg_image_trust_judge(const rdg_image_trust_t *t, const rdg_image_signature_t *s,
                                const rdg_image_wanted_t *w) {
    if (strcmp(s->digest, w->digest) != 0)
        return rdg_fail(RDG_E_BAD_SIGNATURE, "a signature of image %s is for %.30s… and not for %.30s…",
                        w->name, s->digest, w->digest);
    if (strcmp(s->name, w->name) != 0)
        return rdg_fail(RDG_E_BAD_SIGNATURE, "a signature of image %s is for the name %.100s", w->name,
                        s->name);
    if (s->tag[0] && w->tag && w->tag[0] && strcmp(s->tag, w->tag) != 0)
        return rdg_fail(RDG_E_BAD_SIGNATURE, "a signature of image %s is for tag %.100s and not for %.100s",
                        w->name, s->tag, w->tag);
    return judge_signer(t, s, w);
}
