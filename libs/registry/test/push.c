#include "kit.h"
#include "ridge/base/file.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NOTHING rdg_bytes(NULL, 0)

TEST(a_blob_pushed_in_every_way_comes_back_with_its_digest) {
    kit_t k;
    char digest[DIGEST_TEXT], path[512], head[700];
    uint8_t *b = noise(700001, 7);
    rdg_bytes_t all = rdg_bytes(b, 700001);
    kit_init(&k);
    kit_start(&k);
    digest_text(all, digest);
    CHECK_EQ(askf(&k, "HEAD", NOTHING, "/v2/a/blobs/%s", digest), 404);
    /* POST, PUT */
    snprintf(path, sizeof path, "%s?digest=%s", begin_upload(&k, "one"), digest);
    CHECK_EQ(ask(&k, "PUT", path, NULL, all), 201);
    /* POST alone */
    push_blob(&k, "two", all, digest);
    CHECK_STR(header(&k, "Docker-Content-Digest"), digest);
    /* One PATCH without Content-Range, PUT without a body, as skopeo does it */
    snprintf(path, sizeof path, "%s", begin_upload(&k, "three"));
    CHECK_EQ(ask(&k, "PATCH", path, NULL, all), 202);
    CHECK_STR(header(&k, "Range"), "0-700000");
    CHECK(strlen(header(&k, "Docker-Upload-UUID")) == 32);
    CHECK_EQ(askf(&k, "PUT", NOTHING, "%s?digest=%s", path, digest), 201);
    CHECK_EQ(askf(&k, "GET", NOTHING, "%s", path), 404);
    check_code(&k, "BLOB_UPLOAD_UNKNOWN");
    /* Chunks, the last one with the PUT */
    snprintf(path, sizeof path, "%s", begin_upload(&k, "four"));
    CHECK_EQ(ask(&k, "PATCH", path, "Content-Range: 0-299999\r\n", rdg_bytes(b, 300000)), 202);
    CHECK_EQ(ask(&k, "PATCH", path, "Content-Range: 300000-599999\r\n", rdg_bytes(b + 300000, 300000)), 202);
    snprintf(head, sizeof head, "%s?digest=%s", path, digest);
    CHECK_EQ(ask(&k, "PUT", head, "Content-Range: 600000-700000\r\n", rdg_bytes(b + 600000, 100001)), 201);
    static const char *const repos[] = {"one", "two", "three", "four"};
    for (int i = 0; i < 4; ++i) {
        CHECK_EQ(askf(&k, "GET", NOTHING, "/v2/%s/blobs/%s", repos[i], digest), 200);
        check_body(&k, all);
        CHECK_STR(header(&k, "Docker-Content-Digest"), digest);
        CHECK_EQ(askf(&k, "HEAD", NOTHING, "/v2/%s/blobs/%s", repos[i], digest), 200);
        CHECK_STR(header(&k, "Content-Length"), "700001");
    }
    rdg_registry_usage_t u;
    CHECK_OK(rdg_registry_usage(k.registry, &u));
    CHECK_EQ(u.blobs, 1);
    CHECK_EQ(u.bytes, 700001);
    CHECK_EQ(u.uploads, 0);
    CHECK_EQ(u.upload_bytes, 0);
    rdg_free(b);
    kit_fini(&k);
}

TEST(a_blob_of_many_pieces_is_answered_as_a_small_one_is) {
    kit_t k;
    char path[512], digest[DIGEST_TEXT];
    const size_t size = 20u << 20;
    uint8_t *b = noise(size, 3);
    kit_init(&k);
    kit_start(&k);
    digest_text(rdg_bytes(b, size), digest);
    snprintf(path, sizeof path, "%s", begin_upload(&k, "a"));
    CHECK_EQ(ask(&k, "PATCH", path, NULL, rdg_bytes(b, size)), 202);
    CHECK_STR(header(&k, "Location"), path);
    CHECK_STR(header(&k, "Range"), "0-20971519");
    CHECK_EQ(askf(&k, "PUT", NOTHING, "%s?digest=%s", path, digest), 201);
    push_blob(&k, "b", rdg_bytes(b, size), digest);
    CHECK_STR(header(&k, "Docker-Content-Digest"), digest);
    CHECK_EQ(askf(&k, "GET", NOTHING, "/v2/a/blobs/%s", digest), 200);
    check_body(&k, rdg_bytes(b, size));
    rdg_free(b);
    kit_fini(&k);
}

TEST(chunks_out_of_order_are_refused_and_the_upload_goes_on) {
    kit_t k;
    char path[512], digest[DIGEST_TEXT];
    kit_init(&k);
    kit_start(&k);
    rdg_bytes_t all = rdg_bytes_str("0123456789");
    digest_text(all, digest);
    snprintf(path, sizeof path, "%s", begin_upload(&k, "a"));
    CHECK_EQ(ask(&k, "PATCH", path, "Content-Range: 5-9\r\n", rdg_bytes_str("56789")), 416);
    check_code(&k, "BLOB_UPLOAD_INVALID");
    CHECK_STR(header(&k, "Location"), path);
    CHECK_EQ(ask(&k, "PATCH", path, "Content-Range: 0-4\r\n", rdg_bytes_str("01234")), 202);
    CHECK_EQ(ask(&k, "PATCH", path, "Content-Range: 0-4\r\n", rdg_bytes_str("01234")), 416);
    CHECK_STR(header(&k, "Range"), "0-4");
    CHECK_EQ(ask(&k, "PATCH", path, "Content-Range: 5-x\r\n", rdg_bytes_str("56789")), 416);
    CHECK_EQ(ask(&k, "PATCH", path, "Content-Range: 5-6\r\n", rdg_bytes_str("56789")), 400);
    check_code(&k, "SIZE_INVALID");
    CHECK_EQ(askf(&k, "GET", NOTHING, "%s", path), 204);
    CHECK_STR(header(&k, "Range"), "0-4");
    CHECK_STR(header(&k, "Location"), path);
    CHECK_EQ(ask(&k, "PATCH", path, "Content-Range: bytes 5-9/*\r\n", rdg_bytes_str("56789")), 202);
    CHECK_EQ(askf(&k, "PUT", NOTHING, "%s?digest=%s", path, digest), 201);
    CHECK_EQ(askf(&k, "GET", NOTHING, "/v2/a/blobs/%s", digest), 200);
    check_body(&k, all);
    kit_fini(&k);
}

TEST(wrong_digests_are_refused_and_leave_nothing) {
    kit_t k;
    char path[512], digest[DIGEST_TEXT], sha512[DIGEST_TEXT];
    rdg_registry_usage_t u;
    kit_init(&k);
    kit_start(&k);
    digest_text(rdg_bytes_str("right"), digest);
    CHECK_EQ(askf(&k, "POST", rdg_bytes_str("wrong"), "/v2/a/blobs/uploads/?digest=%s", digest), 400);
    check_code(&k, "DIGEST_INVALID");
    snprintf(path, sizeof path, "%s", begin_upload(&k, "a"));
    CHECK_EQ(askf(&k, "PUT", rdg_bytes_str("right"), "%s", path), 400);
    check_code(&k, "DIGEST_INVALID");
    CHECK_EQ(askf(&k, "PUT", rdg_bytes_str("right"), "%s?digest=sha256:00", path), 400);
    CHECK_EQ(askf(&k, "PUT", rdg_bytes_str("wrong"), "%s?digest=%s", path, digest), 400);
    CHECK_EQ(askf(&k, "GET", NOTHING, "%s", path), 404);
    CHECK_OK(digest_of_bytes("sha512", rdg_bytes_str("right"), sha512));
    sha512[20] = sha512[20] == '0' ? '1' : '0';
    CHECK_EQ(askf(&k, "POST", rdg_bytes_str("right"), "/v2/a/blobs/uploads/?digest=%s", sha512), 400);
    CHECK_OK(rdg_registry_usage(k.registry, &u));
    CHECK_EQ(u.blobs + u.uploads + u.bytes + u.upload_bytes, 0);
    kit_fini(&k);
}

TEST(sha512_works_announced_or_not) {
    kit_t k;
    char path[512], digest[DIGEST_TEXT];
    kit_init(&k);
    kit_start(&k);
    rdg_bytes_t all = rdg_bytes_str("some bytes");
    CHECK_OK(digest_of_bytes("sha512", all, digest));
    CHECK_EQ(askf(&k, "POST", all, "/v2/a/blobs/uploads/?digest=%s", digest), 201);
    CHECK_EQ(askf(&k, "POST", NOTHING, "/v2/b/blobs/uploads/?digest-algorithm=sha512"), 202);
    snprintf(path, sizeof path, "%s", header(&k, "Location"));
    CHECK_EQ(ask(&k, "PATCH", path, NULL, all), 202);
    CHECK_EQ(askf(&k, "PUT", NOTHING, "%s?digest=%s", path, digest), 201);
    snprintf(path, sizeof path, "%s", begin_upload(&k, "c"));
    CHECK_EQ(ask(&k, "PATCH", path, NULL, all), 202);
    CHECK_EQ(askf(&k, "PUT", NOTHING, "%s?digest=%s", path, digest), 201);
    for (char repo = 'a'; repo <= 'c'; ++repo) {
        CHECK_EQ(askf(&k, "GET", NOTHING, "/v2/%c/blobs/%s", repo, digest), 200);
        check_body(&k, all);
    }
    CHECK_EQ(askf(&k, "POST", NOTHING, "/v2/b/blobs/uploads/?digest-algorithm=md5"), 400);
    kit_fini(&k);
}

TEST(a_blob_is_mounted_from_where_it_may_be_read_and_else_uploaded) {
    kit_t k;
    char digest[DIGEST_TEXT], missing[DIGEST_TEXT];
    kit_init(&k);
    kit_start(&k);
    push_blob(&k, "from/here", rdg_bytes_str("layer"), digest);
    digest_text(rdg_bytes_str("missing"), missing);
    CHECK_EQ(askf(&k, "POST", NOTHING, "/v2/to/there/blobs/uploads/?mount=%s&from=from/here", digest), 201);
    CHECK(strstr(header(&k, "Location"), digest) != NULL);
    CHECK_EQ(askf(&k, "GET", NOTHING, "/v2/to/there/blobs/%s", digest), 200);
    CHECK_EQ(askf(&k, "POST", NOTHING, "/v2/any/blobs/uploads/?mount=%s", digest), 201);
    CHECK_EQ(askf(&k, "POST", NOTHING, "/v2/to/there/blobs/uploads/?mount=%s&from=from/here", missing), 202);
    CHECK_EQ(askf(&k, "DELETE", NOTHING, "%s", header(&k, "Location")), 204);
    CHECK_EQ(askf(&k, "POST", NOTHING, "/v2/x/blobs/uploads/?mount=%s&from=no/such", digest), 202);
    CHECK_EQ(askf(&k, "POST", NOTHING, "/v2/x/blobs/uploads/?mount=%s&from=../etc", digest), 202);
    CHECK_EQ(askf(&k, "POST", NOTHING, "/v2/x/blobs/uploads/?mount=sha256:xyz&from=from/here"), 202);
    kit_fini(&k);
}

TEST(uploads_of_one_tenant_leave_room_for_others) {
    kit_t k;
    kit_init(&k);
    k.options.uploads_max = 8;
    kit_start(&k);
    for (int i = 0; i < 4; ++i) CHECK_EQ(askf(&k, "POST", NOTHING, "/v2/acme/app-%d/blobs/uploads/", i), 202);
    CHECK_EQ(askf(&k, "POST", NOTHING, "/v2/acme/more/blobs/uploads/"), 429);
    const char *path = begin_upload(&k, "acme-2/app"); /* another name, though it begins so */
    CHECK_EQ(askf(&k, "DELETE", NOTHING, "%s", path), 204);
    for (int i = 0; i < 4; ++i)
        CHECK_EQ(askf(&k, "POST", NOTHING, "/v2/other/app-%d/blobs/uploads/", i), 202);
    CHECK_EQ(askf(&k, "POST", NOTHING, "/v2/third/blobs/uploads/"), 429); /* now all are open */
    kit_fini(&k);
}

TEST(uploads_are_cancelled_bounded_and_expire) {
    kit_t k;
    char path[512];
    rdg_registry_usage_t u;
    kit_init(&k);
    k.options.uploads_max = 2;
    k.options.upload_life_ms = 1000;
    k.options.clock = &k.clock.clock;
    kit_start(&k);
    snprintf(path, sizeof path, "%s", begin_upload(&k, "a"));
    CHECK_EQ(askf(&k, "PATCH", rdg_bytes_str("some"), "%s", path), 202);
    begin_upload(&k, "a");
    CHECK_EQ(askf(&k, "POST", NOTHING, "/v2/a/blobs/uploads/"), 429);
    check_code(&k, "TOOMANYREQUESTS");
    CHECK(*header(&k, "Retry-After") != '\0');
    CHECK_EQ(askf(&k, "DELETE", NOTHING, "%s", path), 204);
    CHECK_EQ(askf(&k, "DELETE", NOTHING, "%s", path), 404);
    CHECK_EQ(askf(&k, "PATCH", rdg_bytes_str("more"), "%s", path), 404);
    snprintf(path, sizeof path, "%s", begin_upload(&k, "a"));
    rdg_clock_manual_advance(&k.clock, 600);
    CHECK_EQ(askf(&k, "PATCH", rdg_bytes_str("some"), "%s", path), 202);
    rdg_clock_manual_advance(&k.clock, 600);
    CHECK_OK(rdg_registry_collect(k.registry, NULL));
    CHECK_OK(rdg_registry_usage(k.registry, &u));
    CHECK_EQ(u.uploads, 1);
    rdg_clock_manual_advance(&k.clock, 1600);
    CHECK_OK(rdg_registry_collect(k.registry, NULL));
    CHECK_EQ(askf(&k, "GET", NOTHING, "%s", path), 404);
    CHECK_OK(rdg_registry_usage(k.registry, &u));
    CHECK_EQ(u.uploads + u.upload_bytes, 0);
    kit_fini(&k);
}

/* Asks until the broken-off request has been noticed. */
static void wait_for_offset(kit_t *k, const char *path, const char *want) {
    for (int i = 0; i < 20000; ++i) {
        CHECK_EQ(askf(k, "GET", NOTHING, "%s", path), 204);
        if (strcmp(header(k, "Range"), want) == 0 && askf(k, "PATCH", NOTHING, "%s", path) == 202) return;
        usleep(2000);
    }
    rdg_test_fail(__FILE__, __LINE__, "the upload stands at %s", header(k, "Range"));
}

TEST(an_upload_goes_on_after_a_broken_connection_and_after_a_restart) {
    kit_t k;
    char path[512], digest[DIGEST_TEXT];
    uint8_t *b = noise(1000000, 9);
    kit_init(&k);
    kit_start(&k);
    digest_text(rdg_bytes(b, 1000000), digest);
    snprintf(path, sizeof path, "%s", begin_upload(&k, "a"));
    /* Pieces are taken by 256 KiB: what is less when the connection breaks was never the upload's. */
    http_break_off(k.port, "PATCH", path, 1000000, rdg_bytes(b, 600000));
    for (int i = 0;
         i < 20000 && (askf(&k, "GET", NOTHING, "%s", path), strcmp(header(&k, "Range"), "0-0") == 0); ++i)
        usleep(2000);
    for (int i = 0; i < 20000 && askf(&k, "PATCH", NOTHING, "%s", path) != 202; ++i) usleep(2000);
    CHECK_EQ(k.got.status, 202);
    unsigned long long have = strtoull(header(&k, "Range") + 2, NULL, 10) + 1;
    CHECK(have >= 262144 && have <= 600000);
    kit_stop(&k);
    kit_start(&k);
    CHECK_EQ(askf(&k, "GET", NOTHING, "%s", path), 204);
    CHECK_EQ(strtoull(header(&k, "Range") + 2, NULL, 10) + 1, have);
    CHECK_EQ(askf(&k, "PATCH", rdg_bytes(b + have, 900000 - have), "%s", path), 202);
    wait_for_offset(&k, path, "0-899999");
    CHECK_EQ(askf(&k, "PUT", rdg_bytes(b + 900000, 100000), "%s?digest=%s", path, digest), 201);
    CHECK_EQ(askf(&k, "GET", NOTHING, "/v2/a/blobs/%s", digest), 200);
    check_body(&k, rdg_bytes(b, 1000000));
    rdg_free(b);
    kit_fini(&k);
}

TEST(one_request_at_a_time_has_an_upload) {
    kit_t k;
    char path[512], head[700];
    kit_init(&k);
    kit_start(&k);
    snprintf(path, sizeof path, "%s", begin_upload(&k, "a"));
    int fd = http_connect(k.port);
    uint8_t *b = noise(400000, 1);
    int n =
        snprintf(head, sizeof head, "PATCH %s HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n", path);
    CHECK_OK(rdg_write_all(fd, rdg_bytes(head, (size_t)n)));
    CHECK_OK(rdg_write_all(fd, rdg_bytes(b, 400000)));
    /* Its first piece takes the upload. */
    for (int i = 0;
         i < 20000 && (askf(&k, "GET", NOTHING, "%s", path), strcmp(header(&k, "Range"), "0-0") == 0); ++i)
        usleep(1000);
    CHECK_EQ(askf(&k, "PATCH", rdg_bytes_str("x"), "%s", path), 429);
    check_code(&k, "TOOMANYREQUESTS");
    CHECK_EQ(askf(&k, "DELETE", NOTHING, "%s", path), 429);
    close(fd);
    for (int i = 0; i < 20000 && askf(&k, "DELETE", NOTHING, "%s", path) != 204; ++i) usleep(1000);
    CHECK_EQ(k.got.status, 204);
    rdg_free(b);
    kit_fini(&k);
}

TEST(quotas_hold_for_prefixes_and_for_all) {
    kit_t k;
    char digest[DIGEST_TEXT], other[DIGEST_TEXT], path[512];
    const rdg_registry_quota_t quotas[] = {{"team", 1000}};
    uint8_t *b = noise(4000, 3);
    rdg_registry_usage_t u;
    kit_init(&k);
    k.options.quotas = quotas;
    k.options.quota_count = 1;
    k.options.total_max = 3000;
    kit_start(&k);
    push_blob(&k, "team/a", rdg_bytes(b, 600), digest);
    digest_text(rdg_bytes(b + 600, 600), other);
    CHECK_EQ(askf(&k, "POST", rdg_bytes(b + 600, 600), "/v2/team/b/blobs/uploads/?digest=%s", other), 403);
    check_code(&k, "DENIED");
    CHECK_EQ(askf(&k, "HEAD", NOTHING, "/v2/team/b/blobs/%s", other), 404);
    CHECK_EQ(askf(&k, "POST", NOTHING, "/v2/team/b/blobs/uploads/?mount=%s&from=team/a", digest), 403);
    push_blob(&k, "teams", rdg_bytes(b + 600, 600), other);
    /* What is being uploaded counts too. */
    snprintf(path, sizeof path, "%s", begin_upload(&k, "x"));
    CHECK_EQ(askf(&k, "PATCH", rdg_bytes(b, 1500), "%s", path), 202);
    CHECK_EQ(askf(&k, "PATCH", rdg_bytes(b, 400), "%s", path), 403);
    CHECK_EQ(askf(&k, "DELETE", NOTHING, "%s", path), 204);
    CHECK_EQ(askf(&k, "DELETE", NOTHING, "/v2/team/a/blobs/%s", digest), 202);
    push_blob(&k, "team/b", rdg_bytes(b + 1200, 900), other);
    CHECK_OK(rdg_registry_usage(k.registry, &u));
    CHECK_EQ(u.upload_bytes, 0);
    CHECK_EQ(u.bytes, 600 + 600 + 900);
    rdg_free(b);
    kit_fini(&k);
}

TEST(a_read_only_registry_serves_and_takes_nothing) {
    kit_t k;
    char digest[DIGEST_TEXT], layer[DIGEST_TEXT];
    kit_init(&k);
    kit_start(&k);
    push_image(&k, "a", "1", 1, layer, digest);
    kit_stop(&k);
    k.options.read_only = true;
    kit_start(&k);
    CHECK_EQ(get(&k, "/v2/a/manifests/1"), 200);
    CHECK_EQ(askf(&k, "GET", NOTHING, "/v2/a/blobs/%s", layer), 200);
    static const char *const methods[] = {"DELETE", "DELETE", "PUT", "POST"};
    char paths[4][300] = {"/v2/a/manifests/1", "", "/v2/a/manifests/2", "/v2/a/blobs/uploads/"};
    snprintf(paths[1], sizeof paths[1], "/v2/a/blobs/%s", layer);
    for (int i = 0; i < 4; ++i) {
        CHECK_EQ(ask(&k, methods[i], paths[i], NULL, NOTHING), 405);
        check_code(&k, "UNSUPPORTED");
    }
    kit_fini(&k);
}
