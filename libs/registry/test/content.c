#include "kit.h"
#include "ridge/base/file.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NOTHING rdg_bytes(NULL, 0)
#define TYPE "Content-Type: " MANIFEST_OCI "\r\n"

TEST(manifests_come_back_byte_for_byte_by_tag_and_digest) {
    kit_t k;
    char config[DIGEST_TEXT], layer[DIGEST_TEXT], digest[DIGEST_TEXT], text[2048], path[400];
    kit_init(&k);
    kit_start(&k);
    push_blob(&k, "a", rdg_bytes_str("{}"), config);
    push_blob(&k, "a", rdg_bytes_str("layer"), layer);
    manifest_text(config, 2, layer, 5, " ", text, sizeof text);
    digest_text(rdg_bytes_str(text), digest);
    CHECK_EQ(ask(&k, "PUT", "/v2/a/manifests/1", TYPE, rdg_bytes_str(text)), 201);
    CHECK_STR(header(&k, "Docker-Content-Digest"), digest);
    snprintf(path, sizeof path, "/v2/a/manifests/%s", digest);
    CHECK_STR(header(&k, "Location"), path);
    const char *const paths[] = {"/v2/a/manifests/1", path};
    for (int i = 0; i < 2; ++i) {
        CHECK_EQ(get(&k, paths[i]), 200);
        check_body(&k, rdg_bytes_str(text));
        CHECK_STR(header(&k, "Content-Type"), MANIFEST_OCI);
        CHECK_EQ(askf(&k, "HEAD", NOTHING, "%s", paths[i]), 200);
        CHECK_STR(header(&k, "Docker-Content-Digest"), digest);
        CHECK_EQ(strtoull(header(&k, "Content-Length"), NULL, 10), strlen(text));
        CHECK_EQ(k.got.body.len, 0);
    }
    /* By digest, with further tags; by sha512 too. */
    CHECK_EQ(askf(&k, "PUT", rdg_bytes_str(text), "%s?tag=1.0&tag=latest", path), 201);
    CHECK_STR(header(&k, "OCI-Tag"), "1.0, latest");
    CHECK_EQ(get(&k, "/v2/a/manifests/latest"), 200);
    CHECK_OK(digest_of_bytes("sha512", rdg_bytes_str(text), digest));
    CHECK_EQ(askf(&k, "PUT", rdg_bytes_str(text), "/v2/a/manifests/%s", digest), 201);
    CHECK_EQ(askf(&k, "GET", NOTHING, "/v2/a/manifests/%s", digest), 200);
    CHECK_STR(header(&k, "Docker-Content-Digest"), digest);
    digest[9] = digest[9] == 'a' ? 'b' : 'a';
    CHECK_EQ(askf(&k, "PUT", rdg_bytes_str(text), "/v2/a/manifests/%s", digest), 400);
    check_code(&k, "DIGEST_INVALID");
    kit_fini(&k);
}

TEST(manifests_of_four_mebibytes_are_kept_and_larger_ones_refused) {
    kit_t k;
    char config[DIGEST_TEXT], layer[DIGEST_TEXT], text[2048];
    size_t size = RDG_REGISTRY_MANIFEST_MAX;
    char *big = rdg_alloc(size + 2);
    kit_init(&k);
    kit_start(&k);
    push_blob(&k, "a", rdg_bytes_str("{}"), config);
    push_blob(&k, "a", rdg_bytes_str("layer"), layer);
    manifest_text(config, 2, layer, 5, "\"annotations\":{\"x\":\"", text, sizeof text);
    char *at = strstr(text, "\"x\":\"") + 5;
    size_t head = (size_t)(at - text), tail = strlen(at);
    memcpy(big, text, head);
    memset(big + head, 'A', size - head - tail - 3);
    memcpy(big + size - tail - 3, "\"},", 3);
    memcpy(big + size - tail, at, tail);
    CHECK_EQ(ask(&k, "PUT", "/v2/a/manifests/big", TYPE, rdg_bytes(big, size)), 201);
    CHECK_EQ(get(&k, "/v2/a/manifests/big"), 200);
    check_body(&k, rdg_bytes(big, size));
    big[size] = '\n';
    CHECK_EQ(ask(&k, "PUT", "/v2/a/manifests/big", TYPE, rdg_bytes(big, size + 1)), 413);
    check_code(&k, "MANIFEST_INVALID");
    rdg_free(big);
    kit_fini(&k);
}

TEST(what_is_no_manifest_is_refused) {
    static const struct {
        const char *text, *type, *code;
    } bad[] = {
        {"", NULL, "MANIFEST_INVALID"},
        {"no json", NULL, "MANIFEST_INVALID"},
        {"[]", NULL, "MANIFEST_INVALID"},
        {"{}", NULL, "MANIFEST_INVALID"},
        {"{\"manifests\":[],\"layers\":[]}", NULL, "MANIFEST_INVALID"},
        {"{\"manifests\":[],\"config\":{}}", NULL, "MANIFEST_INVALID"},
        {"{\"schemaVersion\":1,\"manifests\":[]}", NULL, "MANIFEST_INVALID"},
        {"{\"manifests\":[{\"digest\":\"../../etc/passwd\",\"size\":1}]}", NULL, "MANIFEST_INVALID"},
        {"{\"manifests\":[{\"size\":1}]}", NULL, "MANIFEST_INVALID"},
        {"{\"manifests\":[7]}", NULL, "MANIFEST_INVALID"},
        {"{\"mediaType\":7,\"manifests\":[]}", NULL, "MANIFEST_INVALID"},
        {"{\"mediaType\":\"" MANIFEST_OCI "\",\"manifests\":[]}", NULL, "MANIFEST_INVALID"},
        {"{\"mediaType\":\"" MANIFEST_OCI_INDEX "\",\"manifests\":[]}", MANIFEST_OCI, "MANIFEST_INVALID"},
        {"{\"manifests\":[]}", "application/vnd.docker.distribution.manifest.v1+json", "MANIFEST_INVALID"},
        {"{\"manifests\":[{\"digest\":\"sha256:"
         "0000000000000000000000000000000000000000000000000000000000000000\","
         "\"size\":-1}]}",
         NULL, "MANIFEST_INVALID"},
        {"{\"manifests\":[],\"subject\":{\"digest\":\"x\"}}", NULL, "MANIFEST_INVALID"},
        {"{\"manifests\":[],\"artifactType\":[]}", NULL, "MANIFEST_INVALID"},
        {"{\"manifests\":[],\"annotations\":[]}", NULL, "MANIFEST_INVALID"},
        {"{\"config\":{},\"layers\":[]}", NULL, "MANIFEST_INVALID"}};
    kit_t k;
    kit_init(&k);
    kit_start(&k);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
        char head[200] = "";
        if (bad[i].type) snprintf(head, sizeof head, "Content-Type: %s\r\n", bad[i].type);
        if (ask(&k, "PUT", "/v2/a/manifests/x", head, rdg_bytes_str(bad[i].text)) != 400)
            rdg_test_fail(__FILE__, __LINE__, "%s: status %u", bad[i].text, k.got.status);
        check_code(&k, bad[i].code);
    }
    /* Small as text, large as values. */
    size_t len = 1u << 20;
    char *many = rdg_alloc(len);
    int head = snprintf(many, 64, "{\"manifests\":[],\"annotations\":{},\"x\":[");
    for (size_t i = (size_t)head; i + 3 < len; i += 3) memcpy(many + i, "[],", 3);
    CHECK_EQ(ask(&k, "PUT", "/v2/a/manifests/x", NULL, rdg_bytes(many, len - 3)), 400);
    check_code(&k, "MANIFEST_INVALID");
    CHECK(strstr(rdg_buf_cstr(&k.got.body), "values") != NULL);
    rdg_free(many);
    CHECK_EQ(get(&k, "/v2/a/tags/list"), 404);
    kit_fini(&k);
}

TEST(a_manifest_names_only_what_is_there_but_its_subject_may_come_later) {
    kit_t k;
    char config[DIGEST_TEXT], missing[DIGEST_TEXT], text[2048], subject[300], child[DIGEST_TEXT];
    kit_init(&k);
    kit_start(&k);
    push_blob(&k, "a", rdg_bytes_str("{}"), config);
    digest_text(rdg_bytes_str("missing"), missing);
    manifest_text(config, 2, missing, 7, "", text, sizeof text);
    CHECK_EQ(ask(&k, "PUT", "/v2/a/manifests/1", TYPE, rdg_bytes_str(text)), 404);
    check_code(&k, "MANIFEST_BLOB_UNKNOWN");
    /* In another repository it does not count. */
    push_blob(&k, "b", rdg_bytes_str("missing"), missing);
    CHECK_EQ(ask(&k, "PUT", "/v2/a/manifests/1", TYPE, rdg_bytes_str(text)), 404);
    snprintf(subject, sizeof subject, "\"subject\":{\"mediaType\":\"x\",\"digest\":\"%s\",\"size\":1},",
             missing);
    manifest_text(config, 2, config, 2, subject, text, sizeof text);
    CHECK_EQ(ask(&k, "PUT", "/v2/a/manifests/s", TYPE, rdg_bytes_str(text)), 201);
    CHECK_STR(header(&k, "OCI-Subject"), missing);
    digest_text(rdg_bytes_str(text), child);
    snprintf(text, sizeof text,
             "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"x\",\"digest\":\"%s\",\"size\":3}]}",
             missing);
    CHECK_EQ(
        ask(&k, "PUT", "/v2/a/manifests/i", "Content-Type: " MANIFEST_OCI_INDEX "\r\n", rdg_bytes_str(text)),
        404);
    snprintf(text, sizeof text,
             "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"x\",\"digest\":\"%s\",\"size\":3}]}",
             child);
    CHECK_EQ(
        ask(&k, "PUT", "/v2/a/manifests/i", "Content-Type: " MANIFEST_OCI_INDEX "\r\n", rdg_bytes_str(text)),
        201);
    /* No layers, no manifests, and layers that are elsewhere. */
    snprintf(text, sizeof text,
             "{\"schemaVersion\":2,\"config\":{\"digest\":\"%s\",\"size\":2},\"layers\":[]}", config);
    CHECK_EQ(ask(&k, "PUT", "/v2/a/manifests/none", TYPE, rdg_bytes_str(text)), 201);
    CHECK_EQ(ask(&k, "PUT", "/v2/a/manifests/empty", NULL,
                 rdg_bytes_str("{\"schemaVersion\":2,\"manifests\":[]}")),
             201);
    digest_text(rdg_bytes_str("elsewhere"), missing);
    snprintf(text, sizeof text,
             "{\"schemaVersion\":2,\"config\":{\"digest\":\"%s\",\"size\":2},\"layers\":[{\"mediaType\":"
             "\"application/vnd.oci.image.layer.nondistributable.v1.tar\",\"digest\":\"%s\",\"size\":9}]}",
             config, missing);
    CHECK_EQ(ask(&k, "PUT", "/v2/a/manifests/far", TYPE, rdg_bytes_str(text)), 201);
    kit_fini(&k);
}

TEST(blobs_are_served_in_ranges) {
    static const struct {
        const char *range, *want;
        unsigned status, first;
        size_t length;
    } asks[] = {{"500-1499", "bytes 500-1499/2048", 206, 500, 1000},
                {"500-", "bytes 500-2047/2048", 206, 500, 1548},
                {"-500", "bytes 1548-2047/2048", 206, 1548, 500},
                {"-5000", "bytes 0-2047/2048", 206, 0, 2048},
                {"2000-5000", "bytes 2000-2047/2048", 206, 2000, 48},
                {"0-0", "bytes 0-0/2048", 206, 0, 1},
                {"2048-", "bytes */2048", 416, 0, 0},
                {"500-0", "bytes */2048", 416, 0, 0},
                {"5000-10000", "bytes */2048", 416, 0, 0},
                {"-0", "bytes */2048", 416, 0, 0},
                {"1-2,5-6", "", 200, 0, 2048},
                {"99999999999999999999-", "", 200, 0, 2048}};
    kit_t k;
    char digest[DIGEST_TEXT], path[300], head[100], empty[DIGEST_TEXT];
    uint8_t *b = noise(2048, 5);
    kit_init(&k);
    kit_start(&k);
    push_blob(&k, "a", rdg_bytes(b, 2048), digest);
    snprintf(path, sizeof path, "/v2/a/blobs/%s", digest);
    for (size_t i = 0; i < sizeof asks / sizeof asks[0]; ++i) {
        snprintf(head, sizeof head, "Range: bytes=%s\r\n", asks[i].range);
        CHECK_EQ(ask(&k, "GET", path, head, NOTHING), asks[i].status);
        CHECK_STR(header(&k, "Content-Range"), asks[i].want);
        CHECK_STR(header(&k, "Docker-Content-Digest"), digest);
        if (asks[i].status != 416) check_body(&k, rdg_bytes(b + asks[i].first, asks[i].length));
    }
    push_blob(&k, "a", NOTHING, empty);
    CHECK_EQ(askf(&k, "GET", NOTHING, "/v2/a/blobs/%s", empty), 200);
    CHECK_EQ(k.got.body.len, 0);
    rdg_free(b);
    kit_fini(&k);
}

TEST(tags_are_listed_sorted_and_in_pages) {
    static const char *const tags[] = {"b", "a", "10", "2", "B"};
    kit_t k;
    kit_init(&k);
    kit_start(&k);
    CHECK_EQ(get(&k, "/v2/x/tags/list"), 404);
    check_code(&k, "NAME_UNKNOWN");
    for (int i = 0; i < 5; ++i) push_image(&k, "x", tags[i], 1, NULL, NULL);
    CHECK_EQ(get(&k, "/v2/x/tags/list"), 200);
    CHECK_STR(rdg_buf_cstr(&k.got.body), "{\"name\":\"x\",\"tags\":[\"10\",\"2\",\"B\",\"a\",\"b\"]}");
    CHECK_STR(header(&k, "Link"), "");
    CHECK_EQ(get(&k, "/v2/x/tags/list?n=2"), 200);
    CHECK_STR(rdg_buf_cstr(&k.got.body), "{\"name\":\"x\",\"tags\":[\"10\",\"2\"]}");
    CHECK_STR(header(&k, "Link"), "</v2/x/tags/list?n=2&last=2>; rel=\"next\"");
    CHECK_EQ(get(&k, "/v2/x/tags/list?n=3&last=2"), 200);
    CHECK_STR(rdg_buf_cstr(&k.got.body), "{\"name\":\"x\",\"tags\":[\"B\",\"a\",\"b\"]}");
    CHECK_STR(header(&k, "Link"), "");
    CHECK_EQ(get(&k, "/v2/x/tags/list?n=0"), 200);
    CHECK_STR(rdg_buf_cstr(&k.got.body), "{\"name\":\"x\",\"tags\":[]}");
    CHECK_STR(header(&k, "Link"), "");
    CHECK_EQ(get(&k, "/v2/x/tags/list?last=zzz"), 200);
    CHECK_STR(rdg_buf_cstr(&k.got.body), "{\"name\":\"x\",\"tags\":[]}");
    CHECK_EQ(get(&k, "/v2/x/tags/list?n=x"), 400);
    kit_fini(&k);
}

static void push_referrer(kit_t *k, const char *subject, const char *type, const char *note,
                          const char *config) {
    char text[2048], more[600];
    snprintf(more, sizeof more,
             "\"artifactType\":\"%s\",\"annotations\":{\"note\":\"%s\"},\"subject\":{\"mediaType\":\"x\","
             "\"digest\":\"%s\","
             "\"size\":1},",
             type, note, subject);
    manifest_text(config, 2, config, 2, more, text, sizeof text);
    CHECK_EQ(ask(k, "PUT", "/v2/a/manifests/ref", TYPE, rdg_bytes_str(text)), 201);
}

static size_t count_referrers(const kit_t *k, const char *type) {
    json_t *v = NULL;
    const json_t *d;
    size_t i, count = 0;
    CHECK_STR(header(k, "Content-Type"), MANIFEST_OCI_INDEX);
    CHECK_OK(rdg_json_parse(rdg_buf_view(&k->got.body), &v));
    CHECK_EQ(json_integer_value(json_object_get(v, "schemaVersion")), 2);
    json_array_foreach(json_object_get(v, "manifests"), i, d) {
        ++count;
        if (type) CHECK_STR(json_string_value(json_object_get(d, "artifactType")), type);
        CHECK(json_string_value(json_object_get(json_object_get(d, "annotations"), "note")) != NULL);
    }
    json_decref(v);
    return count;
}

TEST(referrers_are_listed_filtered_and_paged) {
    kit_t k;
    char config[DIGEST_TEXT], digest[DIGEST_TEXT], path[2048];
    size_t seen = 0;
    kit_init(&k);
    kit_start(&k);
    digest_text(rdg_bytes_str("nothing"), digest);
    CHECK_EQ(askf(&k, "GET", NOTHING, "/v2/no/such/referrers/%s", digest), 200);
    CHECK_EQ(count_referrers(&k, NULL), 0);
    CHECK_EQ(get(&k, "/v2/a/referrers/sha256:bad"), 400);
    push_image(&k, "a", "1", 1, NULL, digest);
    push_blob(&k, "a", rdg_bytes_str("{}"), config);
    push_referrer(&k, digest, "application/vnd.sbom+json", "one", config);
    push_referrer(&k, digest, "application/vnd.sign", "two", config);
    CHECK_EQ(askf(&k, "GET", NOTHING, "/v2/a/referrers/%s", digest), 200);
    CHECK_EQ(count_referrers(&k, NULL), 2);
    CHECK_STR(header(&k, "OCI-Filters-Applied"), "");
    CHECK_EQ(askf(&k, "GET", NOTHING, "/v2/a/referrers/%s?artifactType=application/vnd.sbom%%2Bjson", digest),
             200);
    CHECK_EQ(count_referrers(&k, "application/vnd.sbom+json"), 1);
    CHECK_STR(header(&k, "OCI-Filters-Applied"), "artifactType");
    CHECK_EQ(askf(&k, "GET", NOTHING, "/v2/a/referrers/%s?artifactType=none", digest), 200);
    CHECK_EQ(count_referrers(&k, NULL), 0);
    for (int i = 0; i < 150; ++i) {
        char note[20];
        snprintf(note, sizeof note, "%d", i);
        push_referrer(&k, digest, "application/vnd.sbom+json", note, config);
    }
    snprintf(path, sizeof path, "/v2/a/referrers/%s?artifactType=application/vnd.sbom%%2Bjson", digest);
    for (int pages = 0; path[0]; ++pages) {
        CHECK(pages < 3);
        CHECK_EQ(get(&k, path), 200);
        seen += count_referrers(&k, "application/vnd.sbom+json");
        const char *link = header(&k, "Link");
        snprintf(path, sizeof path, "%.*s", *link ? (int)(strchr(link, '>') - link) - 1 : 0,
                 link + (*link != '\0'));
    }
    CHECK_EQ(seen, 151);
    kit_fini(&k);
}

TEST(tags_manifests_and_blobs_are_deleted) {
    kit_t k;
    char layer[DIGEST_TEXT], digest[DIGEST_TEXT];
    kit_init(&k);
    kit_start(&k);
    push_image(&k, "a", "1", 1, layer, digest);
    push_image(&k, "a", "2", 1, layer, digest);
    CHECK_EQ(askf(&k, "DELETE", NOTHING, "/v2/a/manifests/1"), 202);
    CHECK_EQ(get(&k, "/v2/a/manifests/1"), 404);
    check_code(&k, "MANIFEST_UNKNOWN");
    CHECK_EQ(askf(&k, "DELETE", NOTHING, "/v2/a/manifests/1"), 404);
    CHECK_EQ(get(&k, "/v2/a/manifests/2"), 200);
    /* An image keeps its parts. */
    CHECK_EQ(askf(&k, "DELETE", NOTHING, "/v2/a/blobs/%s", layer), 405);
    check_code(&k, "UNSUPPORTED");
    CHECK_EQ(askf(&k, "DELETE", NOTHING, "/v2/a/manifests/%s", digest), 202);
    CHECK_EQ(askf(&k, "GET", NOTHING, "/v2/a/manifests/%s", digest), 404);
    CHECK_EQ(get(&k, "/v2/a/manifests/2"), 404);
    CHECK_EQ(askf(&k, "DELETE", NOTHING, "/v2/a/blobs/%s", layer), 202);
    CHECK_EQ(askf(&k, "GET", NOTHING, "/v2/a/blobs/%s", layer), 404);
    check_code(&k, "BLOB_UNKNOWN");
    CHECK_EQ(askf(&k, "DELETE", NOTHING, "/v2/a/blobs/%s", layer), 404);
    CHECK_EQ(askf(&k, "DELETE", NOTHING, "/v2/nobody/manifests/%s", digest), 404);
    check_code(&k, "NAME_UNKNOWN");
    kit_fini(&k);
}

TEST(what_is_unknown_or_invalid_is_named) {
    static const struct {
        const char *method, *path, *code;
        unsigned status;
    } bad[] = {{"GET", "/v2/nobody/manifests/1", "NAME_UNKNOWN", 404},
               {"GET", "/v2/a/manifests/3", "MANIFEST_UNKNOWN", 404},
               {"GET", "/v2/a/blobs/sha256:00", "DIGEST_INVALID", 400},
               {"GET", "/v2/a/blobs/md5:00000000000000000000000000000000", "DIGEST_INVALID", 400},
               {"GET", "/v2/a/blobs/sha256:../../../../../../../../../../../../../../../../../../etc/passwd",
                "DIGEST_INVALID", 400},
               {"GET", "/v2/a/blobs/sha256:%2e%2e%2f%2e%2e%2fetc%2fpasswd", "DIGEST_INVALID", 400},
               {"GET", "/v2/a/blobs/sha256:ABCDEF0000000000000000000000000000000000000000000000000000000000",
                "DIGEST_INVALID", 400},
               {"GET", "/v2/a/manifests/sha256:totallywrong", "DIGEST_INVALID", 400},
               {"PUT", "/v2/a/manifests/sha256:totallywrong", "DIGEST_INVALID", 400},
               {"GET", "/v2/a/manifests/.hidden", "MANIFEST_INVALID", 400},
               {"GET", "/v2/a/manifests/..%2f..%2fregistry.db", "MANIFEST_INVALID", 400},
               {"GET", "/v2/../etc/manifests/1", "NAME_INVALID", 400},
               {"GET", "/v2/a%2f..%2fb/tags/list", "NAME_INVALID", 400},
               {"GET", "/v2/A/manifests/1", "NAME_INVALID", 400},
               {"GET", "/v2//manifests/1", "NAME_INVALID", 400},
               {"GET", "/v2/a..b/manifests/1", "NAME_INVALID", 400},
               {"GET", "/v2/a/blobs/uploads/../../../registry.db", "BLOB_UPLOAD_UNKNOWN", 404},
               {"GET", "/v2/a/blobs/uploads/00000000000000000000000000000000", "BLOB_UPLOAD_UNKNOWN", 404},
               {"PATCH", "/v2/a/blobs/uploads/00000000000000000000000000000000", "BLOB_UPLOAD_UNKNOWN", 404},
               {"PUT", "/v2/a/blobs/uploads/x.tmp?digest=x", "BLOB_UPLOAD_UNKNOWN", 404},
               {"POST", "/v2/a/blobs/uploads/?digest=sha256:../x", "DIGEST_INVALID", 400},
               {"GET", "/v2/a/referrers/1", "DIGEST_INVALID", 400},
               {"GET", "/v2/_catalog", "UNSUPPORTED", 404},
               {"GET", "/other", "UNSUPPORTED", 404},
               {"POST", "/v2/a/manifests/1", "UNSUPPORTED", 405},
               {"PUT", "/v2/a/tags/list", "UNSUPPORTED", 405},
               {"TRACE", "/v2/a/manifests/1", "UNSUPPORTED", 405},
               {"GET", "/v2/a/blobs/uploads/", "UNSUPPORTED", 405}};
    kit_t k;
    char name[600], path[700];
    kit_init(&k);
    kit_start(&k);
    push_image(&k, "a", "1", 1, NULL, NULL);
    CHECK_EQ(get(&k, "/v2/"), 200);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
        unsigned status = ask(&k, bad[i].method, bad[i].path, NULL, NOTHING);
        if (status != bad[i].status) rdg_test_fail(__FILE__, __LINE__, "%s: status %u", bad[i].path, status);
        check_code(&k, bad[i].code);
    }
    memset(name, 'a', sizeof name);
    name[255] = '\0';
    snprintf(path, sizeof path, "/v2/%s/tags/list", name);
    CHECK_EQ(get(&k, path), 404);
    name[255] = 'a';
    name[256] = '\0';
    snprintf(path, sizeof path, "/v2/%s/tags/list", name);
    CHECK_EQ(get(&k, path), 400);
    kit_fini(&k);
}

TEST(damaged_files_are_not_served) {
    kit_t k;
    char layer[DIGEST_TEXT], digest[DIGEST_TEXT], path[STORE_PATH_MAX];
    kit_init(&k);
    kit_start(&k);
    push_image(&k, "a", "1", 1, layer, digest);
    store_blob_path(&k.registry->store, digest, path);
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str("{\"config\":{},\"layers\":[]}"), 0600));
    CHECK_EQ(get(&k, "/v2/a/manifests/1"), 500);
    check_code(&k, "UNKNOWN");
    store_blob_path(&k.registry->store, layer, path);
    CHECK_EQ(truncate(path, 10), 0);
    CHECK_EQ(askf(&k, "GET", NOTHING, "/v2/a/blobs/%s", layer), 500);
    /* Pushing it again mends it. */
    uint8_t *b = noise(300, 1);
    push_blob(&k, "a", rdg_bytes(b, 300), layer);
    CHECK_EQ(askf(&k, "GET", NOTHING, "/v2/a/blobs/%s", layer), 200);
    check_body(&k, rdg_bytes(b, 300));
    rdg_free(b);
    kit_fini(&k);
}

TEST(names_and_tags_obey_their_grammars) {
    static const struct {
        const char *name;
        bool ok;
    } names[] = {{"a", true},    {"a/b/c", true}, {"a-b", true},    {"a--b", true},    {"a_b", true},
                 {"a__b", true}, {"a.b", true},   {"a___b", false}, {"a.-b", false},   {"-a", false},
                 {"a-", false},  {"a/", false},   {"a//b", false},  {"a/../b", false}, {"A", false}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i)
        if (target_name_valid(names[i].name) != names[i].ok)
            rdg_test_fail(__FILE__, __LINE__, "name %s", names[i].name);
    CHECK(target_tag_valid("v1.0_x-y") && !target_tag_valid(".x") && !target_tag_valid("-x") &&
          !target_tag_valid("a/b"));
    target_t t;
    target_parse("/v2/a/blobs/uploads/manifests/x", &t);
    CHECK_EQ(t.kind, TARGET_MANIFEST);
    CHECK_STR(t.name, "a/blobs/uploads");
    target_parse("/v2/a/manifests/b/blobs/uploads/", &t);
    CHECK_EQ(t.kind, TARGET_UPLOADS);
    CHECK_STR(t.name, "a/manifests/b");
}
