#include "image.h"
#include "keys.h"
#include "ridge/base/clock.h"
#include "ridge/codec/hex.h"
#include <stdio.h>
#include <string.h>

/* --- signing ------------------------------------------------------------------------------------------ */

rdg_err_t image_name_parse(const char *text, image_name_t *out) {
    const char *at = strchr(text, '@'), *slash = strrchr(text, '/');
    const char *colon = at ? NULL : strchr(slash ? slash : text, ':');
    const char *end = at ? at : colon ? colon : text + strlen(text);
    memset(out, 0, sizeof *out);
    int n = snprintf(out->name, sizeof out->name, "%.*s", (int)(end - text), text);
    if (at) snprintf(out->digest, sizeof out->digest, "%s", at + 1);
    if (colon) snprintf(out->tag, sizeof out->tag, "%s", colon + 1);
    out->reference = at ? out->digest : colon ? out->tag : NULL;
    if (n > 0 && n < (int)sizeof out->name && (!at || rdg_image_digest_valid(out->digest)) &&
        (!colon || (out->tag[0] && strlen(colon + 1) < sizeof out->tag)))
        return RDG_OK;
    return rdg_fail(RDG_E_INVALID, "'%.100s' names no image: want NAME:TAG or NAME@sha256:…", text);
}

static rdg_err_t attach(rdg_images_client_t *registry, const rdg_image_signature_t *s,
                        const rdg_image_subject_t *subject, char artifact[RDG_IMAGE_DIGEST_MAX]) {
    rdg_buf_t text, manifest;
    char digest[RDG_IMAGE_DIGEST_MAX];
    rdg_buf_init(&text, RDG_IMAGE_SIGNATURE_MAX);
    rdg_buf_init(&manifest, RDG_IMAGES_MANIFEST_MAX);
    rdg_err_t err = rdg_image_signature_dump(s, &text);
    if (err == RDG_OK) err = rdg_image_signature_manifest(s, rdg_buf_view(&text), subject, &manifest);
    if (err == RDG_OK) {
        rdg_image_digest(rdg_buf_view(&text), digest);
        rdg_image_digest(rdg_buf_view(&manifest), artifact);
        err = rdg_images_put_blob(registry, s->name, RDG_IMAGE_EMPTY_DIGEST, rdg_bytes_str(RDG_IMAGE_EMPTY));
    }
    if (err == RDG_OK) err = rdg_images_put_blob(registry, s->name, digest, rdg_buf_view(&text));
    if (err == RDG_OK)
        err = rdg_images_put_manifest(registry, s->name, artifact,
                                      "application/vnd.oci.image.manifest.v1+json", rdg_buf_view(&manifest));
    rdg_buf_fini(&text);
    rdg_buf_fini(&manifest);
    return err;
}

/* The bytes are fetched and their digest computed here: what is signed is what was seen. */
static rdg_err_t sign_in(cli_t *cli, rdg_images_client_t *registry, const image_name_t *name,
                         rdg_image_signature_t *s, char artifact[RDG_IMAGE_DIGEST_MAX]) {
    rdg_buf_t bytes;
    char digest[RDG_IMAGE_DIGEST_MAX], type[128] = "application/vnd.oci.image.manifest.v1+json";
    json_t *manifest = NULL;
    rdg_sm2_key_t *key = NULL;
    rdg_buf_init(&bytes, RDG_IMAGES_MANIFEST_MAX);
    rdg_err_t err = rdg_images_get_manifest(registry, name->name, name->reference, &bytes, digest);
    if (err == RDG_OK) err = rdg_json_parse(rdg_buf_view(&bytes), &manifest);
    const char *said = json_string_value(json_object_get(manifest, "mediaType"));
    if (said) snprintf(type, sizeof type, "%s", said);
    json_decref(manifest);
    if (err == RDG_OK) err = cli_key_open(cli, cli_flag(cli, "key", ""), &key);
    if (err == RDG_OK)
        err = rdg_image_signature_make(key, digest, name->name, cli_has(cli, "any-tag") ? "" : name->tag,
                                       rdg_wall_ms(rdg_clock_system()), s);
    rdg_sm2_key_free(key);
    const rdg_image_subject_t subject = {type, bytes.len};
    if (err == RDG_OK) err = attach(registry, s, &subject, artifact);
    rdg_buf_fini(&bytes);
    return err;
}

static rdg_err_t sign(cli_t *cli) {
    image_name_t name;
    rdg_image_signature_t s;
    rdg_images_client_t *registry = NULL;
    char artifact[RDG_IMAGE_DIGEST_MAX], key[129];
    RDG_TRY(image_name_parse(cli->args[0], &name));
    if (!name.reference)
        return rdg_fail(RDG_E_INVALID, "which image of %.100s: give NAME:TAG or NAME@sha256:…", cli->args[0]);
    if (!cli_has(cli, "key"))
        return rdg_fail(RDG_E_INVALID, "give --key FILE: the signer's key (ridge key new)");
    RDG_TRY(cli_registry(cli, &registry));
    rdg_err_t err = sign_in(cli, registry, &name, &s, artifact);
    rdg_images_client_free(registry);
    RDG_TRY(rdg_fail_in(err, "cannot sign %s", cli->args[0]));
    rdg_hex_encode(s.key.b, sizeof s.key.b, key);
    json_t *about = json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", s.name, "tag", s.tag, "digest", s.digest,
                              "key", key, "artifact", artifact);
    if (cli->json)
        out_json(about);
    else
        out_fields(about, COLUMNS("Name=name", "Tag=tag", "Digest=digest", "Key=key", "Signature=artifact"));
    json_decref(about);
    return RDG_OK;
}

/* --- whom devices trust -------------------------------------------------------------------------------- */

static rdg_err_t print(const cli_t *cli, json_t *answer) {
    json_t *signer;
    size_t i;
    if (cli->json) {
        out_json(answer);
        json_decref(answer);
        return RDG_OK;
    }
    json_t *rows = json_object_get(answer, "signers");
    json_array_foreach(rows, i, signer) {
        char key[20];
        snprintf(key, sizeof key, "%.16s…", out_raw(signer, "key"));
        json_object_set_new(signer, "short", json_string(key));
        json_object_set_new(
            signer, "state",
            json_string(json_is_true(json_object_get(signer, "revoked")) ? "revoked" : "trusted"));
    }
    out_table(rows, COLUMNS("SIGNER=name", "STATE=state", "REPOSITORIES=repositories", "KEY=short"));
    const char *patterns = out_raw(answer, "unsigned");
    printf("unsigned images that devices run: %s\n", *patterns ? patterns : "none");
    json_decref(answer);
    return RDG_OK;
}

static rdg_err_t signers(cli_t *cli) {
    json_t *answer = NULL;
    RDG_TRY(cli_call(cli, "GET", NULL, &answer, "/image-trust"));
    return print(cli, answer);
}

static rdg_err_t trust(cli_t *cli) {
    rdg_sm2_public_t pub;
    char key[129];
    json_t *answer = NULL;
    RDG_TRY(cli_component("signer", cli->args[0]));
    RDG_TRY(cli_public(cli, cli->args[1], &pub));
    rdg_hex_encode(pub.b, sizeof pub.b, key);
    RDG_TRY(cli_call(cli, "PUT",
                     json_pack("{s:s, s:s}", "key", key, "repositories", cli_flag(cli, "repositories", "*")),
                     &answer, "/image-trust/signers/%s", cli->args[0]));
    return print(cli, answer);
}

static rdg_err_t distrust(cli_t *cli) {
    json_t *answer = NULL;
    RDG_TRY(cli_component("signer", cli->args[0]));
    RDG_TRY(cli_call(cli, "DELETE", NULL, &answer, "/image-trust/signers/%s", cli->args[0]));
    return print(cli, answer);
}

static rdg_err_t let_unsigned(cli_t *cli) {
    json_t *answer = NULL;
    const char *patterns = strcmp(cli->args[0], "none") == 0 ? "" : cli->args[0];
    RDG_TRY(cli_call(cli, "PUT", json_pack("{s:s}", "unsigned", patterns), &answer, "/image-trust"));
    return print(cli, answer);
}

const command_t image_trust_commands[] = {
    {"image",
     "sign",
     "NAME:TAG",
     "sign an image, so that devices that trust the signer run it",
     1,
     1,
     sign,
     {{"key", "FILE", "the signer's key (ridge key new)"},
      {"any-tag", NULL, "good for every tag of the repository that names this image"},
      KEY_OPEN_FLAGS,
      {0}}},
    {"image", "signers", "", "whose images devices run, and what may go unsigned", 0, 0, signers, {{0}}},
    {"image",
     "trust",
     "SIGNER KEY",
     "trust a signer; KEY is a certificate, a key file or a public key",
     2,
     2,
     trust,
     {{"repositories", "PATTERNS", "for these images alone: team/*,tool (default *)"}, KEY_OPEN_FLAGS, {0}}},
    {"image", "distrust", "SIGNER", "revoke a signer: what he signed starts no more", 1, 1, distrust, {{0}}},
    {"image",
     "unsigned",
     "PATTERNS|none",
     "images that devices run unsigned: HOST/NAME, HOST/*",
     1,
     1,
     let_unsigned,
     {{0}}},
    {0},
};
