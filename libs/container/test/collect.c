/* Images that go to make room. */
#include "blob_store.h"
#include "image_collect.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/hash.h"
#include "ridge/test.h"
#include "ridge/test_faults.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LAYER_BYTES 65536

static void layer_name(char letter, char out[IMAGE_DIGEST_TEXT]) {
    snprintf(out, IMAGE_DIGEST_TEXT, "sha256:%064d", 0);
    memset(out + 7, letter, 64);
}

static void put_layer(const char *root, char letter) {
    char digest[IMAGE_DIGEST_TEXT], dir[PATH_MAX], file[PATH_MAX + 8], *content = calloc(1, LAYER_BYTES);
    layer_name(letter, digest);
    CHECK_OK(layer_path(root, digest, dir));
    CHECK_OK(rdg_dir_make(dir, 0755));
    snprintf(file, sizeof file, "%s/file", dir);
    CHECK_OK(rdg_file_replace(file, rdg_bytes(content, LAYER_BYTES), 0644));
    free(content);
}

/* An image of these layers, pulled `age` days ago. */
static void put_image(const char *root, const char *reference, const char *letters, int age) {
    char manifest[2048], layer[IMAGE_DIGEST_TEXT], digest[IMAGE_DIGEST_TEXT] = "sha256:", hex[65],
                                                   path[PATH_MAX];
    uint8_t sum[32];
    int n = snprintf(manifest, sizeof manifest,
                     "{\"reference\":\"%s\",\"config\":{\"digest\":\"\"},\"layers\":[", reference);
    for (const char *l = letters; *l; ++l) {
        layer_name(*l, layer);
        put_layer(root, *l);
        n += snprintf(manifest + n, sizeof manifest - (size_t)n, "%s{\"digest\":\"%s\",\"size\":1}",
                      l > letters ? "," : "", layer);
    }
    snprintf(manifest + n, sizeof manifest - (size_t)n, "]}");
    rdg_sha256(manifest, strlen(manifest), sum);
    rdg_hex_encode(sum, sizeof sum, digest + 7);
    CHECK_OK(blob_put(root, digest, rdg_bytes_str(manifest)));
    rdg_sha256(reference, strlen(reference), sum);
    rdg_hex_encode(sum, sizeof sum, hex);
    snprintf(path, sizeof path, "%s/images", root);
    CHECK_OK(rdg_dir_make(path, 0700));
    snprintf(path, sizeof path, "%s/images/%s", root, hex);
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str(digest), 0600));
    struct timespec times[2] = {{.tv_sec = 2000000000 - age * 86400}, {.tv_sec = 2000000000 - age * 86400}};
    CHECK_EQ(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void signature_path(const char *root, const char *reference, const char *digest, char out[PATH_MAX]) {
    char record[IMAGE_RECORD_TEXT];
    image_record_name(reference, record);
    snprintf(out, PATH_MAX, "%.2000s/signatures/%s-%.64s", root, record, digest + 7);
}

static void put_signature(const char *root, const char *reference) {
    char path[PATH_MAX];
    image_t image;
    snprintf(path, sizeof path, "%.2000s/signatures", root);
    CHECK_OK(rdg_dir_make(path, 0700));
    CHECK_OK(image_recorded(root, reference, &image));
    signature_path(root, reference, image.digest, path);
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str("{}"), 0600));
}

static size_t signatures(const char *root) {
    char path[PATH_MAX];
    size_t n = 0;
    snprintf(path, sizeof path, "%.2000s/signatures", root);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) n += e->d_name[0] != '.';
    if (d) closedir(d);
    return n;
}

static bool has_layer(const char *root, char letter) {
    char digest[IMAGE_DIGEST_TEXT], dir[PATH_MAX];
    layer_name(letter, digest);
    CHECK_OK(layer_path(root, digest, dir));
    return rdg_file_exists(dir);
}

static const char *const needed[] = {"r/running:1"};

static void four_images(const char *root) {
    put_image(root, "r/running:1", "ab", 9); /* the oldest, and needed */
    put_image(root, "r/old:1", "ac", 8);     /* shares a layer with it */
    put_image(root, "r/middle:1", "d", 7);
    put_image(root, "r/new:1", "de", 1); /* shares one with middle */
}

TEST(images_go_the_oldest_first_until_the_rest_fits) {
    const char *root = rdg_test_dir();
    uint64_t freed = 0;
    four_images(root);
    CHECK_OK(image_collect(root, needed, 1, 1u << 30, &freed));
    CHECK_EQ(freed, 0);
    CHECK_OK(image_collect(root, needed, 1, 5 * LAYER_BYTES, &freed));
    CHECK(freed >= LAYER_BYTES);
    CHECK(has_layer(root, 'a') && has_layer(root, 'b') && !has_layer(root, 'c'));
    CHECK(has_layer(root, 'd') && has_layer(root, 'e'));
    CHECK_OK(image_collect(root, needed, 1, 0, &freed));
    CHECK(has_layer(root, 'a') && has_layer(root, 'b') && !has_layer(root, 'd') && !has_layer(root, 'e'));
    CHECK_OK(image_collect(root, NULL, 0, 0, &freed));
    CHECK(!has_layer(root, 'a') && !has_layer(root, 'b'));
}

static void collect_all(const char *dir, unsigned char *ack) {
    uint64_t freed = 0;
    four_images(dir);
    ack[0] = 1;
    (void)image_collect(dir, needed, 1, 0, &freed);
}

/* Whatever record is left names an image that is there whole. */
static void nothing_by_half(const char *dir, unsigned char *ack) {
    static const struct {
        const char *reference, *letters;
    } all[] = {{"r/running:1", "ab"}, {"r/old:1", "ac"}, {"r/middle:1", "d"}, {"r/new:1", "de"}};
    if (!ack[0]) return;
    for (size_t i = 0; i < 4; ++i) {
        uint8_t sum[32];
        char hex[65], path[PATH_MAX];
        rdg_sha256(all[i].reference, strlen(all[i].reference), sum);
        rdg_hex_encode(sum, sizeof sum, hex);
        snprintf(path, sizeof path, "%s/images/%s", dir, hex);
        CHECK(i > 0 || rdg_file_exists(path));
        for (const char *l = all[i].letters; *l && rdg_file_exists(path); ++l) CHECK(has_layer(dir, *l));
    }
}

TEST(a_kept_signature_goes_with_its_image) {
    const char *root = rdg_test_dir();
    uint64_t freed = 0;
    four_images(root);
    put_signature(root, "r/running:1");
    put_signature(root, "r/old:1");
    CHECK_OK(image_collect(root, needed, 1, 1u << 30, &freed));
    CHECK_EQ(signatures(root), 2);
    CHECK_OK(image_collect(root, needed, 1, 0, &freed));
    CHECK_EQ(signatures(root), 1);
    CHECK(has_layer(root, 'a'));
    CHECK_OK(image_collect(root, NULL, 0, 0, &freed));
    CHECK_EQ(signatures(root), 0);
}

TEST(a_collection_that_is_killed_leaves_no_image_by_half) {
    rdg_test_faults_each(RDG_FAULT_KILL, RDG_FAULT_KILL, collect_all, nothing_by_half);
}
