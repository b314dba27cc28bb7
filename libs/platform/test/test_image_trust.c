/* The list of whose images devices run: kept, numbered, signed, and told to every device; and the platform's own
 * signature on what it takes in. */
#include "kit.h"
#include "image_trust.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/platform/images.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PATIENCE_S 60

/* Verified as a device does. Returns owned. */
static rdg_image_trust_t *read_list(kit_t *k, const json_t *m) {
    rdg_image_trust_t *t = NULL;
    rdg_sm2_signature_t sig;
    const char *text = kit_text(m, "trust");
    CHECK_OK(rdg_json_get_hex(m, "signature", sig.b, sizeof sig.b));
    CHECK_OK(rdg_image_trust_verify(rdg_cert_public(ca_authority(k->platform->ca)->issuing),
                                    rdg_bytes_str(text), &sig));
    CHECK_OK(rdg_image_trust_parse(rdg_bytes_str(text), &t));
    return t;
}

static rdg_image_trust_t *await_list(kit_t *k, fake_t *f, uint64_t above) {
    struct timespec end;
    rdg_image_trust_t *t = NULL;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&f->lock);
    for (;;) {
        if (f->got_trust) t = read_list(k, f->got_trust);
        if (t && t->number > above) break;
        rdg_free(t);
        t = NULL;
        CHECK_EQ(pthread_cond_timedwait(&f->changed, &f->lock, &end), 0);
    }
    pthread_mutex_unlock(&f->lock);
    return t;
}

static const char *signer_body(uint8_t n, const char *repositories) {
    static char text[400];
    uint8_t scalar[32] = {0};
    char key[129];
    rdg_sm2_key_t *k = NULL;
    rdg_sm2_public_t pub;
    scalar[31] = n;
    CHECK_OK(rdg_sm2_key_from_scalar(scalar, &k));
    rdg_sm2_key_public(k, &pub);
    rdg_sm2_key_free(k);
    rdg_hex_encode(pub.b, sizeof pub.b, key);
    snprintf(text, sizeof text, "{\"key\":\"%s\",\"repositories\":\"%s\"}", key, repositories);
    return text;
}

TEST(a_device_learns_whose_images_it_may_run_and_each_change_of_it) {
    kit_t k;
    fake_t f;
    char token[128];
    json_t *a = NULL;
    kit_open(&k);
    fake_init(&f, "dev-1");
    kit_token(&k, token);
    CHECK_EQ(fake_enrol(&k, &f, token, &a), 201);
    rdg_image_trust_t *t = read_list(&k, json_object_get(a, "image_trust"));
    CHECK_EQ(t->signer_count, 1);
    CHECK_STR(t->signers[0].name, "platform");
    CHECK_STR(t->unsigned_ok, "");
    uint64_t number = t->number;
    rdg_free(t);
    json_decref(a);
    fake_connect(&k, &f);
    CHECK_EQ(kit_call(&k, "PUT", "/image-trust/signers/factory", signer_body(7, "team/*"), NULL), 200);
    t = await_list(&k, &f, number);
    CHECK_EQ(t->signer_count, 2);
    CHECK_STR(t->signers[0].name, "factory");
    CHECK_STR(t->signers[0].repositories, "team/*");
    CHECK(!t->signers[0].revoked);
    number = t->number;
    rdg_free(t);
    CHECK_EQ(kit_call(&k, "DELETE", "/image-trust/signers/factory", NULL, NULL), 200);
    t = await_list(&k, &f, number);
    CHECK(t->signers[0].revoked && !t->signers[1].revoked);
    number = t->number;
    rdg_free(t);
    CHECK_EQ(kit_call(&k, "PUT", "/image-trust", "{\"unsigned\":\"127.0.0.1:5000/*\"}", NULL), 200);
    t = await_list(&k, &f, number);
    CHECK_STR(t->unsigned_ok, "127.0.0.1:5000/*");
    rdg_free(t);
    fake_fini(&f);
    kit_close(&k);
}

TEST(a_signer_that_cannot_be_one_is_refused) {
    kit_t k;
    json_t *a = NULL;
    kit_open(&k);
    CHECK_EQ(kit_call(&k, "PUT", "/image-trust/signers/factory", signer_body(7, "*"), NULL), 200);
    CHECK_EQ(kit_call(&k, "PUT", "/image-trust/signers/factory", signer_body(8, "*"), &a), 409);
    CHECK(strstr(kit_error(a, "message"), "another name") != NULL);
    json_decref(a);
    CHECK_EQ(kit_call(&k, "PUT", "/image-trust/signers/twin", signer_body(7, "*"), NULL), 409);
    CHECK_EQ(kit_call(&k, "PUT", "/image-trust/signers/x", "{\"key\":\"00\"}", NULL), 400);
    CHECK_EQ(kit_call(&k, "PUT", "/image-trust/signers/x", signer_body(9, "te*m"), NULL), 400);
    CHECK_EQ(kit_call(&k, "PUT", "/image-trust/signers/X", signer_body(9, "*"), NULL), 400);
    CHECK_EQ(kit_call(&k, "DELETE", "/image-trust/signers/nobody", NULL, NULL), 404);
    CHECK_EQ(kit_call(&k, "PUT", "/image-trust", "{\"unsigned\":\"a,,b\"}", NULL), 400);
    CHECK_EQ(kit_call_public(&k, "GET", "/image-trust", NULL, NULL), 401);
    CHECK_EQ(kit_call(&k, "DELETE", "/image-trust/signers/factory", NULL, NULL), 200);
    CHECK_EQ(kit_call(&k, "PUT", "/image-trust/signers/factory", signer_body(7, "*"), NULL), 200); /* again */
    kit_close(&k);
}

TEST(the_list_and_its_number_outlive_a_restart) {
    kit_t k;
    json_t *a = NULL;
    kit_open(&k);
    CHECK_EQ(kit_call(&k, "PUT", "/image-trust/signers/factory", signer_body(7, "*"), &a), 200);
    json_int_t number = json_integer_value(json_object_get(a, "number"));
    json_decref(a);
    kit_close(&k);
    kit_open(&k);
    CHECK_EQ(kit_call(&k, "GET", "/image-trust", NULL, &a), 200);
    CHECK_EQ(json_array_size(json_object_get(a, "signers")), 2);
    CHECK_EQ(json_integer_value(json_object_get(a, "number")), number);
    json_decref(a);
    kit_close(&k);
}

/* --- what the platform signs itself ---------------------------------------------------------------------- */

static void write_layout(const char *dir, const char *tag) {
    static const char config[] = "{\"architecture\":\"amd64\",\"os\":\"linux\"}", layer[] = "layer";
    char digest[3][RDG_IMAGE_DIGEST_MAX], path[PATH_MAX], text[1024];
    const char *contents[3] = {config, layer, text};
    rdg_image_digest(rdg_bytes_str(config), digest[0]);
    rdg_image_digest(rdg_bytes_str(layer), digest[1]);
    snprintf(text, sizeof text,
             "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"application/"
             "vnd.oci.image.config.v1+json\",\"digest\":\"%s\","
             "\"size\":%zu},\"layers\":[{\"mediaType\":\"application/"
             "vnd.oci.image.layer.v1.tar\",\"digest\":\"%s\","
             "\"size\":%zu}]}",
             digest[0], strlen(config), digest[1], strlen(layer));
    rdg_image_digest(rdg_bytes_str(text), digest[2]);
    snprintf(path, sizeof path, "%s/blobs/sha256", dir);
    CHECK_OK(rdg_dir_make(path, 0700));
    for (int i = 0; i < 3; ++i) {
        snprintf(path, sizeof path, "%s/blobs/sha256/%s", dir, digest[i] + 7);
        CHECK_OK(rdg_file_replace(path, rdg_bytes_str(contents[i]), 0600));
    }
    char index[600];
    snprintf(
        index, sizeof index,
        "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\","
        "\"digest\":\"%s\",\"size\":%zu,\"annotations\":{\"org.opencontainers.image.ref.name\":\"team/"
        "app:%s\"}}]}",
        digest[2], strlen(text), tag);
    snprintf(path, sizeof path, "%s/index.json", dir);
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str(index), 0600));
}

static size_t signatures_of(rdg_images_t *images, const char *tag) {
    char digest[136];
    rdg_buf_t bytes;
    json_t *list = NULL;
    rdg_registry_t *r = rdg_images_registry(images);
    rdg_buf_init(&bytes, RDG_REGISTRY_MANIFEST_MAX);
    CHECK_OK(rdg_registry_get_manifest(r, "team/app", tag, &bytes, digest));
    rdg_buf_fini(&bytes);
    CHECK_OK(rdg_registry_referrers(r, "team/app", digest, RDG_IMAGE_SIGNATURE_TYPE, &list));
    size_t count = json_array_size(list);
    json_decref(list);
    return count;
}

TEST(what_the_cloud_takes_in_is_signed_once_for_each_tag) {
    kit_t k;
    rdg_images_t *images = NULL;
    char dir[PATH_MAX], first[200];
    kit_open(&k);
    const rdg_images_options_t o = {.data_dir = rdg_test_dir()};
    CHECK_OK(rdg_images_open(&o, &images));
    snprintf(dir, sizeof dir, "%s/layout", rdg_test_dir());
    write_layout(dir, "1");
    for (int i = 0; i < 2; ++i) CHECK_OK(rdg_images_import(images, k.platform, dir, first, sizeof first));
    CHECK_STR(first, "team/app:1");
    CHECK_EQ(signatures_of(images, "1"), 1);
    write_layout(dir, "2"); /* the same image */
    CHECK_OK(rdg_images_import(images, k.platform, dir, first, sizeof first));
    CHECK_EQ(signatures_of(images, "2"), 2);
    rdg_images_close(images);
    kit_close(&k);
}
