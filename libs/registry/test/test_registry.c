#include "ridge/registry/registry.h"
#include "ridge/test.h"
#include "target.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/codec/json.h"
#include "ridge/crypto/hash.h"
#include "ridge/net/http_client.h"
#include <stdio.h>
#include <unistd.h>

typedef struct fixture {
    rdg_registry_t *registry;
    rdg_http_server_t *server;
    rdg_http_client_t *client;
    rdg_http_answer_t got;
    char dir[256], manifest[80], blob[80];
    rdg_buf_t manifest_bytes;
} fixture_t;

static void put(const fixture_t *f, const char *name, rdg_bytes_t bytes) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    CHECK_OK(rdg_file_replace(path, bytes, 0644));
}

static void put_blob(const fixture_t *f, rdg_bytes_t bytes, char digest[80]) {
    uint8_t sum[32];
    char name[100];
    rdg_sha256(bytes.data, bytes.len, sum);
    memcpy(digest, "sha256:", 7);
    rdg_hex_encode(sum, sizeof sum, digest + 7);
    snprintf(name, sizeof name, "blobs/sha256/%s", digest + 7);
    put(f, name, bytes);
}

static void open_registry(fixture_t *f) {
    char path[300], index[1024], text[600];
    uint8_t blob[1000];
    memset(f, 0, sizeof *f);
    snprintf(f->dir, sizeof f->dir, "%s/images", rdg_test_dir());
    snprintf(path, sizeof path, "%s/blobs/sha256", f->dir);
    CHECK_OK(rdg_dir_make(path, 0755));
    for (size_t i = 0; i < sizeof blob; ++i) blob[i] = (uint8_t)(i % 251);
    put_blob(f, rdg_bytes(blob, sizeof blob), f->blob);
    /* Odd spacing: the bytes have to come back as they are. */
    snprintf(text, sizeof text,
             "{ \"schemaVersion\": 2,\n\"config\": {\"digest\":\"%s\"}, \"layers\" : [ ] }", f->blob);
    rdg_buf_init(&f->manifest_bytes, 1000);
    CHECK_OK(rdg_buf_str(&f->manifest_bytes, text));
    put_blob(f, rdg_buf_view(&f->manifest_bytes), f->manifest);
    snprintf(index, sizeof index,
             "{\"schemaVersion\":2,\"manifests\":["
             "{\"digest\":\"%s\",\"annotations\":{\"org.opencontainers.image.ref.name\":\"ridge-node:2\"}},"
             "{\"digest\":\"%s\",\"annotations\":{\"org.opencontainers.image.ref.name\":\"ridge-node:10\"}},"
             "{\"digest\":\"../../etc/"
             "passwd\",\"annotations\":{\"org.opencontainers.image.ref.name\":\"ridge-node:evil\"}},"
             "{\"digest\":\"%s\",\"annotations\":{\"org.opencontainers.image.ref.name\":\"a/blobs/b:x\"}}]}",
             f->manifest, f->manifest, f->manifest);
    put(f, "index.json", rdg_bytes_str(index));
    CHECK_OK(rdg_registry_new(f->dir, &f->registry));
    CHECK_OK(
        rdg_http_server_start(&(rdg_http_server_options_t){0}, rdg_registry_handle, f->registry, &f->server));
    CHECK_OK(rdg_http_client_new(&f->client));
}

static void close_registry(fixture_t *f) {
    rdg_http_answer_fini(&f->got);
    rdg_buf_fini(&f->manifest_bytes);
    rdg_http_client_free(f->client);
    rdg_http_server_stop(f->server);
    rdg_registry_free(f->registry);
    CHECK_EQ(rdg_alloc_live(), 0);
}

static unsigned ask(fixture_t *f, const char *method, const char *path, const char *header) {
    char url[1200];
    rdg_http_answer_fini(&f->got);
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", rdg_http_server_port(f->server), path);
    rdg_http_call_t call = {.method = method, .url = url, .headers = &header, .header_count = header ? 1 : 0};
    CHECK_OK(rdg_http_call(f->client, &call, &f->got));
    return f->got.status;
}

static const char *path_of(const char *kind, const char *reference) {
    static char path[400];
    snprintf(path, sizeof path, "/v2/ridge-node/%s/%s", kind, reference);
    return path;
}

static void check_error(fixture_t *f, const char *code) {
    json_t *v = NULL;
    CHECK_OK(rdg_json_parse(rdg_buf_view(&f->got.body), &v));
    const json_t *first = json_array_get(json_object_get(v, "errors"), 0);
    CHECK_STR(json_string_value(json_object_get(first, "code")), code);
    CHECK(json_string_value(json_object_get(first, "message")) != NULL);
    json_decref(v);
}

TEST(registry_serves_manifests_by_tag_and_digest_byte_for_byte) {
    fixture_t f;
    open_registry(&f);
    const char *paths[] = {"/v2/ridge-node/manifests/2", NULL};
    paths[1] = path_of("manifests", f.manifest);
    for (int i = 0; i < 2; ++i) {
        CHECK_EQ(ask(&f, "GET", paths[i], NULL), 200);
        CHECK_EQ(f.got.body.len, f.manifest_bytes.len);
        CHECK_MEM(f.got.body.data, f.manifest_bytes.data, f.got.body.len);
        CHECK_STR(f.got.digest, f.manifest);
        CHECK_STR(f.got.content_type, "application/vnd.oci.image.manifest.v1+json");
        CHECK_EQ(ask(&f, "HEAD", paths[i], NULL), 200);
        CHECK_STR(f.got.digest, f.manifest);
        CHECK_EQ(f.got.body.len, 0);
    }
    CHECK_EQ(ask(&f, "GET", "/v2/", NULL), 200);
    CHECK_EQ(ask(&f, "GET", "/v2/a/blobs/b/manifests/x", NULL), 200);
    close_registry(&f);
}

TEST(registry_serves_blobs_and_ranges) {
    static const struct {
        const char *range, *want;
        unsigned status, first;
        size_t length;
    } asks[] = {{NULL, "", 200, 0, 1000},
                {"Range: bytes=500-599", "bytes 500-599/1000", 206, 500, 100},
                {"Range: bytes=500-", "bytes 500-999/1000", 206, 500, 500},
                {"Range: bytes=-100", "bytes 900-999/1000", 206, 900, 100},
                {"Range: bytes=-5000", "bytes 0-999/1000", 206, 0, 1000},
                {"Range: bytes=990-5000", "bytes 990-999/1000", 206, 990, 10},
                {"Range: bytes=0-0", "bytes 0-0/1000", 206, 0, 1},
                {"Range: bytes=1000-", "bytes */1000", 416, 0, 0},
                {"Range: bytes=500-0", "bytes */1000", 416, 0, 0},
                {"Range: bytes=-0", "bytes */1000", 416, 0, 0},
                {"Range: bytes=1-2,5-6", "", 200, 0, 1000},
                {"Range: lines=1-2", "", 200, 0, 1000},
                {"Range: bytes=99999999999999999999-", "", 200, 0, 1000}};
    fixture_t f;
    open_registry(&f);
    for (size_t i = 0; i < sizeof asks / sizeof asks[0]; ++i) {
        CHECK_EQ(ask(&f, "GET", path_of("blobs", f.blob), asks[i].range), asks[i].status);
        CHECK_STR(f.got.content_range, asks[i].want);
        CHECK_STR(f.got.digest, f.blob);
        if (asks[i].status == 416) continue;
        CHECK_EQ(f.got.body.len, asks[i].length);
        for (size_t b = 0; b < asks[i].length; ++b) CHECK_EQ(f.got.body.data[b], (asks[i].first + b) % 251);
    }
    CHECK_EQ(ask(&f, "HEAD", path_of("blobs", f.blob), NULL), 200);
    CHECK_STR(f.got.digest, f.blob);
    close_registry(&f);
}

TEST(registry_names_what_is_unknown_or_invalid) {
    static const struct {
        const char *path, *code;
        unsigned status;
    } bad[] = {
        {"/v2/nobody/manifests/1", "NAME_UNKNOWN", 404},
        {"/v2/ridge-node/manifests/3", "MANIFEST_UNKNOWN", 404},
        {"/v2/ridge-node/manifests/evil", "MANIFEST_UNKNOWN", 404},
        {"/v2/ridge-node/blobs/sha256:0000000000000000000000000000000000000000000000000000000000000000",
         "BLOB_UNKNOWN", 404},
        {"/v2/ridge-node/manifests/sha256:0000000000000000000000000000000000000000000000000000000000000000",
         "MANIFEST_UNKNOWN", 404},
        {"/v2/ridge-node/blobs/sha256:00", "DIGEST_INVALID", 400},
        {"/v2/ridge-node/blobs/md5:00000000000000000000000000000000", "DIGEST_INVALID", 400},
        {"/v2/ridge-node/blobs/sha256:../../../../../../../../../../../../../../../../../../etc/passwd",
         "DIGEST_INVALID", 400},
        {"/v2/ridge-node/blobs/sha256:%2e%2e%2f%2e%2e%2fetc%2fpasswd", "DIGEST_INVALID", 400},
        {"/v2/ridge-node/blobs/sha256:ABCDEF0000000000000000000000000000000000000000000000000000000000",
         "DIGEST_INVALID", 400},
        {"/v2/ridge-node/manifests/.hidden", "MANIFEST_INVALID", 400},
        {"/v2/ridge-node/manifests/..%2f..%2findex.json", "MANIFEST_INVALID", 400},
        {"/v2/../etc/manifests/1", "NAME_INVALID", 400},
        {"/v2/Ridge/manifests/1", "NAME_INVALID", 400},
        {"/v2//manifests/1", "NAME_INVALID", 400},
        {"/v2/a..b/manifests/1", "NAME_INVALID", 400},
        {"/v2/ridge-node/uploads/", "UNSUPPORTED", 404},
        {"/v2/_catalog", "UNSUPPORTED", 404},
        {"/other", "UNSUPPORTED", 404}};
    fixture_t f;
    open_registry(&f);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
        unsigned status = ask(&f, "GET", bad[i].path, NULL);
        if (status != bad[i].status) rdg_test_fail(__FILE__, __LINE__, "%s: status %u", bad[i].path, status);
        check_error(&f, bad[i].code);
    }
    CHECK_EQ(ask(&f, "POST", "/v2/ridge-node/blobs/uploads/", NULL), 405);
    check_error(&f, "UNSUPPORTED");
    /* A blob that is no manifest is not served as one. */
    CHECK_EQ(ask(&f, "GET", path_of("manifests", f.blob), NULL), 404);
    close_registry(&f);
}

TEST(registry_lists_tags_sorted_in_pages) {
    fixture_t f;
    open_registry(&f);
    CHECK_EQ(ask(&f, "GET", "/v2/ridge-node/tags/list", NULL), 200);
    CHECK_STR(rdg_buf_cstr(&f.got.body), "{\"name\":\"ridge-node\",\"tags\":[\"10\",\"2\",\"evil\"]}");
    CHECK_EQ(ask(&f, "GET", "/v2/ridge-node/tags/list?n=1", NULL), 200);
    CHECK_STR(rdg_buf_cstr(&f.got.body), "{\"name\":\"ridge-node\",\"tags\":[\"10\"]}");
    CHECK_EQ(ask(&f, "GET", "/v2/ridge-node/tags/list?n=1&last=2", NULL), 200);
    CHECK_STR(rdg_buf_cstr(&f.got.body), "{\"name\":\"ridge-node\",\"tags\":[\"evil\"]}");
    CHECK_EQ(ask(&f, "GET", "/v2/ridge-node/tags/list?n=0", NULL), 200);
    CHECK_STR(rdg_buf_cstr(&f.got.body), "{\"name\":\"ridge-node\",\"tags\":[]}");
    CHECK_EQ(ask(&f, "GET", "/v2/ridge-node/tags/list?n=x", NULL), 400);
    close_registry(&f);
}

TEST(registry_does_not_serve_a_damaged_manifest) {
    fixture_t f;
    char name[256];
    open_registry(&f);
    snprintf(name, sizeof name, "blobs/sha256/%s", f.manifest + 7);
    put(&f, name, rdg_bytes_str("{\"config\":{},\"layers\":[]}"));
    CHECK_EQ(ask(&f, "GET", "/v2/ridge-node/manifests/2", NULL), 500);
    check_error(&f, "UNKNOWN");
    put(&f, "index.json", rdg_bytes_str("no json"));
    CHECK_EQ(ask(&f, "GET", "/v2/ridge-node/manifests/2", NULL), 500);
    close_registry(&f);
}

TEST(registry_without_images_knows_no_name) {
    fixture_t f;
    char path[300];
    open_registry(&f);
    snprintf(path, sizeof path, "%s/index.json", f.dir);
    CHECK_EQ(unlink(path), 0);
    CHECK_EQ(ask(&f, "GET", "/v2/", NULL), 200);
    CHECK_EQ(ask(&f, "GET", "/v2/ridge-node/manifests/2", NULL), 404);
    check_error(&f, "NAME_UNKNOWN");
    close_registry(&f);
}

TEST(registry_name_grammar) {
    static const struct {
        const char *name;
        bool ok;
    } names[] = {{"a", true},    {"a/b/c", true}, {"a-b", true},    {"a--b", true},    {"a_b", true},
                 {"a__b", true}, {"a.b", true},   {"a___b", false}, {"a.-b", false},   {"-a", false},
                 {"a-", false},  {"a/", false},   {"a//b", false},  {"a/../b", false}, {"A", false}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        char path[256];
        target_t t;
        snprintf(path, sizeof path, "/v2/%s/manifests/x", names[i].name);
        target_parse(path, &t);
        if (t.name_ok != names[i].ok) rdg_test_fail(__FILE__, __LINE__, "name %s", names[i].name);
    }
}
