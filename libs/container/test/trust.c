/* Which images may be unpacked and run: signatures, media types, architectures. Each refusal leaves nothing unpacked. */
#include "image_trust.h"
#include "kit.h"
#include "manifest.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/container/container.h"
#include "ridge/test.h"
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *in_test_dir(const char *name) {
    static char paths[4][PATH_MAX];
    static unsigned n;
    char *path = paths[n++ % 4];
    snprintf(path, PATH_MAX, "%s/%s", rdg_test_dir(), name);
    return path;
}

static rdg_sm2_key_t *key(uint8_t n) {
    uint8_t scalar[32] = {0};
    rdg_sm2_key_t *k = NULL;
    scalar[31] = n;
    CHECK_OK(rdg_sm2_key_from_scalar(scalar, &k));
    return k;
}

/* Key 1 is "platform"; key 2 "former". */
static void write_trust(const char *unsigned_ok, bool former_revoked) {
    rdg_image_trust_t *t = rdg_calloc(1, sizeof *t);
    rdg_buf_t text;
    t->number = 1;
    t->signer_count = 2;
    snprintf(t->unsigned_ok, sizeof t->unsigned_ok, "%s", unsigned_ok);
    for (uint8_t i = 0; i < 2; ++i) {
        rdg_sm2_key_t *k = key((uint8_t)(i + 1));
        rdg_sm2_key_public(k, &t->signers[i].key);
        rdg_sm2_key_free(k);
        snprintf(t->signers[i].name, sizeof t->signers[i].name, "%s", i ? "former" : "platform");
        snprintf(t->signers[i].repositories, RDG_IMAGE_PATTERNS_MAX, "*");
    }
    t->signers[1].revoked = former_revoked;
    rdg_buf_init(&text, RDG_IMAGE_TRUST_MAX);
    CHECK_OK(rdg_image_trust_dump(t, &text));
    CHECK_OK(rdg_file_replace(in_test_dir("trust.json"), rdg_buf_view(&text), 0600));
    rdg_buf_fini(&text);
    rdg_free(t);
}

/* Attaches a signature to what the registry serves; flip changes it afterwards. */
static void attach(registry_t *r, uint8_t signer, const char *digest, const char *tag, bool flip) {
    rdg_sm2_key_t *k = key(signer);
    rdg_image_signature_t s;
    char artifact[80], public_key[129];
    const rdg_image_subject_t subject = {OCI "manifest.v1+json", r->manifest.len};
    CHECK_OK(rdg_image_signature_make(k, digest, "node", tag, 1700000000000u, &s));
    if (flip) s.signature.b[40] ^= 1;
    rdg_buf_clear(&r->signature);
    rdg_buf_clear(&r->artifact);
    rdg_buf_clear(&r->referrers);
    CHECK_OK(rdg_image_signature_dump(&s, &r->signature));
    CHECK_OK(rdg_image_signature_manifest(&s, rdg_buf_view(&r->signature), &subject, &r->artifact));
    digest_text(&r->artifact, artifact);
    rdg_hex_encode(s.key.b, sizeof s.key.b, public_key);
    rdg_buf_printf(&r->referrers,
                   "{\"schemaVersion\":2,\"manifests\":[{\"artifactType\":\"text/other\",\"digest\":\"%s\"},"
                   "{\"mediaType\":\"" OCI "manifest.v1+json\",\"artifactType\":\"" RDG_IMAGE_SIGNATURE_TYPE
                   "\",\"digest\":\"%s\",\"size\":%zu,\"annotations\":{\"" RDG_IMAGE_SIGNATURE_KEY
                   "\":\"%s\"}}]}",
                   artifact, artifact, r->artifact.len, public_key);
    rdg_sm2_key_free(k);
}

static void sign_manifest(registry_t *r, uint8_t signer, const char *tag) {
    char digest[80];
    digest_text(&r->manifest, digest);
    attach(r, signer, digest, tag, false);
}

static rdg_err_t pull_trusted(registry_t *r, const char *tag) {
    char reference[160];
    snprintf(reference, sizeof reference, "%s/node:%s", r->host, tag);
    image_pull_t how = {
        .root = in_test_dir("oci"), .bytes_max = 64u << 20, .trust_file = in_test_dir("trust.json")};
    return image_pull(&how, reference);
}

static rdg_err_t may_run(registry_t *r, const char *tag) {
    char reference[160];
    image_t *image = rdg_calloc(1, sizeof *image);
    snprintf(reference, sizeof reference, "%s/node:%s", r->host, tag);
    rdg_err_t err = image_find(in_test_dir("oci"), reference, image);
    if (err == RDG_OK) err = image_may_run(in_test_dir("oci"), in_test_dir("trust.json"), reference, image);
    rdg_free(image);
    return err;
}

static bool unpacked_anything(void) {
    struct stat st;
    DIR *d = opendir(in_test_dir("oci/layers"));
    bool found = false;
    for (struct dirent *e; d && (e = readdir(d));) found = found || e->d_name[0] != '.';
    if (d) closedir(d);
    return found || stat(in_test_dir("oci/images"), &st) == 0;
}

static void refused(registry_t *r, rdg_err_t want, const char *word) {
    rdg_err_t err = pull_trusted(r, "1");
    if (err != want || !strstr(rdg_err_message(err), word))
        rdg_test_fail(__FILE__, __LINE__, "wanted %s with '%s', got %s: %s", rdg_err_name(want), word,
                      rdg_err_name(err), rdg_err_message(err));
    CHECK(!unpacked_anything());
    CHECK_EQ(r->served, 0);
}

TEST(a_signed_image_is_pulled_and_may_run_without_its_registry) {
    registry_t r;
    registry_start(&r, some_layer(), "{}");
    write_trust("", false);
    sign_manifest(&r, 1, "1");
    CHECK_OK(pull_trusted(&r, "1"));
    CHECK_OK(may_run(&r, "1"));
    unsigned listed = r.listed;
    CHECK_OK(pull_trusted(&r, "1")); /* what is known to be good is not asked for again */
    CHECK_EQ(r.listed, listed);
    rdg_http_server_stop(r.http);
    r.http = NULL;
    CHECK_OK(pull_trusted(&r, "1"));
    CHECK_OK(may_run(&r, "1"));
    registry_stop(&r);
}

TEST(a_registry_without_the_referrers_api_has_them_under_a_tag) {
    registry_t r;
    registry_start(&r, some_layer(), "{}");
    write_trust("", false);
    sign_manifest(&r, 1, "");
    r.no_referrers = true;
    CHECK_OK(pull_trusted(&r, "1"));
    registry_stop(&r);
}

TEST(an_unsigned_image_is_refused) {
    registry_t r;
    registry_start(&r, some_layer(), "{}");
    write_trust("cloud.ridge/*", false);
    refused(&r, RDG_E_FORBIDDEN, "not signed");
    registry_stop(&r);
}

TEST(an_unsigned_image_is_taken_where_the_list_lets_it_be) {
    registry_t r;
    char pattern[128];
    registry_start(&r, some_layer(), "{}");
    snprintf(pattern, sizeof pattern, "%s/*", r.host);
    write_trust(pattern, false);
    CHECK_OK(pull_trusted(&r, "1"));
    CHECK_OK(may_run(&r, "1"));
    CHECK_EQ(r.listed, 0);
    write_trust("", false); /* and no longer when it does not */
    CHECK_ERR(may_run(&r, "1"), RDG_E_FORBIDDEN);
    registry_stop(&r);
}

TEST(a_wrong_signature_is_refused) {
    registry_t r;
    char digest[80];
    registry_start(&r, some_layer(), "{}");
    write_trust("", false);
    digest_text(&r.manifest, digest);
    attach(&r, 1, digest, "1", true);
    refused(&r, RDG_E_BAD_SIGNATURE, "not by the key of 'platform'");
    registry_stop(&r);
}

TEST(the_signature_of_another_digest_is_refused) {
    registry_t r;
    registry_start(&r, some_layer(), "{}");
    write_trust("", false);
    attach(&r, 1, r.config_digest, "1", false);
    refused(&r, RDG_E_BAD_SIGNATURE, "and not for sha256:");
    registry_stop(&r);
}

TEST(the_signature_of_another_tag_is_refused) {
    registry_t r;
    registry_start(&r, some_layer(), "{}");
    write_trust("", false);
    sign_manifest(&r, 1, "0.9");
    refused(&r, RDG_E_BAD_SIGNATURE, "for tag 0.9");
    registry_stop(&r);
}

TEST(a_signer_who_is_not_trusted_is_refused) {
    registry_t r;
    registry_start(&r, some_layer(), "{}");
    write_trust("", false);
    sign_manifest(&r, 9, "1");
    refused(&r, RDG_E_FORBIDDEN, "does not trust");
    registry_stop(&r);
}

TEST(a_revoked_signer_is_refused_at_a_pull_and_at_a_start) {
    registry_t r;
    registry_start(&r, some_layer(), "{}");
    write_trust("", true);
    sign_manifest(&r, 2, "1");
    refused(&r, RDG_E_FORBIDDEN, "revoked");
    write_trust("", false);
    CHECK_OK(pull_trusted(&r, "1"));
    CHECK_OK(may_run(&r, "1"));
    write_trust("", true);
    CHECK_ERR(may_run(&r, "1"), RDG_E_FORBIDDEN);
    CHECK(strstr(rdg_err_message(RDG_E_FORBIDDEN), "'former'") != NULL);
    rdg_http_server_stop(r.http);
    r.http = NULL;
    CHECK_ERR(pull_trusted(&r, "1"), RDG_E_FORBIDDEN); /* the registry away is no excuse */
    registry_stop(&r);
}

TEST(an_image_signed_anew_runs_after_its_first_signer_was_revoked) {
    registry_t r;
    registry_start(&r, some_layer(), "{}");
    write_trust("", false);
    sign_manifest(&r, 2, "1");
    CHECK_OK(pull_trusted(&r, "1"));
    write_trust("", true);
    sign_manifest(&r, 1, "1");
    CHECK_OK(pull_trusted(&r, "1"));
    CHECK_OK(may_run(&r, "1"));
    registry_stop(&r);
}

TEST(without_a_list_nothing_runs) {
    registry_t r;
    registry_start(&r, some_layer(), "{}");
    sign_manifest(&r, 1, "1");
    refused(&r, RDG_E_FORBIDDEN, "has not been told");
    CHECK_OK(rdg_file_replace(in_test_dir("trust.json"), rdg_bytes_str("{\"number\":1,"), 0600));
    refused(&r, RDG_E_MALFORMED, "trust.json");
    registry_stop(&r);
}

TEST(a_damaged_manifest_on_the_disk_is_fetched_anew) {
    registry_t r;
    char path[PATH_MAX], digest[80];
    registry_start(&r, some_layer(), "{}");
    write_trust("", false);
    sign_manifest(&r, 1, "1");
    CHECK_OK(pull_trusted(&r, "1"));
    digest_text(&r.manifest, digest);
    snprintf(path, sizeof path, "%s/blobs/sha256/%s", in_test_dir("oci"), digest + 7);
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str("{\"layers\":[]}"), 0600));
    CHECK_ERR(may_run(&r, "1"), RDG_E_CORRUPT);
    CHECK_OK(pull_trusted(&r, "1"));
    CHECK_OK(may_run(&r, "1"));
    registry_stop(&r);
}

/* --- indexes ------------------------------------------------------------------------------------------------ */

static void put_index(registry_t *r, const char *architecture) {
    char digest[80];
    digest_text(&r->manifest, digest);
    rdg_buf_clear(&r->index);
    rdg_buf_printf(&r->index,
                   "{\"schemaVersion\":2,\"mediaType\":\"" OCI
                   "index.v1+json\",\"manifests\":[{\"mediaType\":\"" OCI
                   "manifest.v1+json\",\"digest\":\"%s\",\"size\":%zu,\"platform\":{\"os\":\"linux\","
                   "\"architecture\":\"%s\"}}]}",
                   digest, r->manifest.len, architecture);
}

TEST(the_signature_of_an_index_is_good_for_its_images) {
    registry_t r;
    char digest[80];
    registry_start(&r, some_layer(), "{}");
    write_trust("", false);
    put_index(&r, manifest_architecture());
    digest_text(&r.index, digest);
    attach(&r, 1, digest, "1", false);
    CHECK_OK(pull_trusted(&r, "1"));
    CHECK_OK(may_run(&r, "1"));
    sign_manifest(&r, 1, "1"); /* or that of the one that runs here */
    CHECK_OK(pull_trusted(&r, "1"));
    registry_stop(&r);
}

TEST(a_manifest_of_another_architecture_is_refused) {
    registry_t r;
    registry_start(&r, some_layer(), "{}");
    write_trust("", false);
    put_index(&r, "s390x");
    refused(&r, RDG_E_UNSUPPORTED, "no variant for linux/");
    rdg_buf_clear(&r.index);
    set_config(&r, "s390x", "{}");
    sign_manifest(&r, 1, "1");
    refused(&r, RDG_E_UNSUPPORTED, "linux/s390x");
    registry_stop(&r);
}

/* --- what a manifest may say ---------------------------------------------------------------------------------- */

TEST(unknown_media_types_are_refused) {
    static const struct {
        const char *manifest, *config, *layer;
    } bad[] = {{"application/vnd.cncf.helm.config.v1+json", OCI "config.v1+json", OCI "layer.v1.tar"},
               {OCI "manifest.v1+json", "application/vnd.oci.empty.v1+json", OCI "layer.v1.tar"},
               {OCI "manifest.v1+json", OCI "config.v1+json", "text/plain"},
               {OCI "manifest.v1+json", OCI "config.v1+json", OCI "layer.nondistributable.v1.tar+gzip"}};
    registry_t r;
    registry_start(&r, some_layer(), "{}");
    write_trust("*", false);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
        write_manifest(&r, bad[i].manifest, bad[i].config, bad[i].layer, 1);
        refused(&r, RDG_E_UNSUPPORTED, "media type");
    }
    registry_stop(&r);
}

TEST(too_many_layers_are_refused) {
    registry_t r;
    registry_start(&r, some_layer(), "{}");
    write_trust("*", false);
    write_manifest(&r, OCI "manifest.v1+json", OCI "config.v1+json", OCI "layer.v1.tar",
                   IMAGE_LAYERS_MAX + 1);
    refused(&r, RDG_E_UNSUPPORTED, "65 layers");
    write_manifest(&r, OCI "manifest.v1+json", OCI "config.v1+json", OCI "layer.v1.tar", 0);
    refused(&r, RDG_E_UNSUPPORTED, "0 layers");
    registry_stop(&r);
}

TEST(an_image_that_unpacks_to_too_much_is_refused_and_leaves_nothing) {
    registry_t r;
    char reference[160];
    registry_start(&r, some_layer(), "{}");
    snprintf(reference, sizeof reference, "%s/node:1", r.host);
    image_pull_t how = {.root = in_test_dir("oci"), .bytes_max = 64u << 20, .unpacked_max = 100000};
    CHECK_ERR(image_pull(&how, reference), RDG_E_TOO_LARGE);
    CHECK(!unpacked_anything());
    registry_stop(&r);
}

static void annotate(registry_t *r, const char *key, const char *value) {
    write_manifest(r, OCI "manifest.v1+json", OCI "config.v1+json", OCI "layer.v1.tar", 1);
    r->manifest.len -= 1; /* the last brace */
    rdg_buf_printf(&r->manifest, ",\"annotations\":{\"%s\":\"%s\"}}", key, value);
}

static image_needs_t needs_of(registry_t *r, bool found) {
    char reference[160];
    image_t *image = rdg_calloc(1, sizeof *image);
    snprintf(reference, sizeof reference, "%s/node:1", r->host);
    CHECK_OK((found ? image_find : image_recorded)(in_test_dir("oci"), reference, image));
    image_needs_t needs = image->needs;
    rdg_free(image);
    return needs;
}

TEST(the_ceilings_of_an_index_are_kept_and_count_before_its_images) {
    registry_t r;
    registry_start(&r, some_layer(), "{}");
    write_trust("*", false);
    annotate(&r, "ridge.memory.max", "64MiB");
    CHECK_OK(pull_trusted(&r, "1"));
    CHECK_EQ(needs_of(&r, true).memory_max_bytes, 64u << 20);
    put_index(&r, manifest_architecture());
    r.index.len -= 1;
    rdg_buf_str(&r.index, ",\"annotations\":{\"ridge.memory.max\":\"32MiB\",\"ridge.cpu.max\":\"250\"}}");
    CHECK_OK(pull_trusted(&r, "1"));
    CHECK_EQ(needs_of(&r, false).memory_max_bytes, 32u << 20);
    CHECK_EQ(needs_of(&r, true).memory_max_bytes, 32u << 20);
    CHECK_EQ(needs_of(&r, true).cpu_max_thousandths, 250);
    registry_stop(&r);
}

TEST(an_image_that_needs_more_than_the_device_has_is_refused) {
    static const char *const needs[][3] = {{"ridge.memory.min", "900TiB", "memory"},
                                           {"ridge.disk.min", "900TiB", "disk"},
                                           {"ridge.cpu.min", "9000000", "processor"}};
    registry_t r;
    registry_start(&r, some_layer(), "{}");
    write_trust("*", false);
    for (size_t i = 0; i < sizeof needs / sizeof needs[0]; ++i) {
        annotate(&r, needs[i][0], needs[i][1]);
        refused(&r, i == 1 ? RDG_E_DISK_FULL : RDG_E_TOO_LARGE, needs[i][2]);
    }
    set_config(&r, manifest_architecture(), "{\"Labels\":{\"ridge.memory.min\":\"900TiB\"}}");
    refused(&r, RDG_E_TOO_LARGE, "memory");
    annotate(&r, "ridge.memory.min", "1MiB"); /* the manifest's word counts before the label */
    CHECK_OK(pull_trusted(&r, "1"));
    registry_stop(&r);
}
