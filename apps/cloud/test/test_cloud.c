#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "cloud.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/hash.h"
#include "ridge/base/log.h"
#include "ridge/client/cloud.h"
#include "ridge/net/http_client.h"
#include "ridge/test.h"

static cloud_options_t plain(void) {
    cloud_options_t o = {.data_dir = rdg_test_dir(), .platform = true, .baas = true};
    rdg_log_set_level(RDG_LOG_ERROR);
    return o;
}

static void read_text(const char *name, char *out, size_t size) {
    char path[512];
    rdg_buf_t text;
    rdg_buf_init(&text, size - 1);
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), name));
    CHECK_OK(rdg_file_read(path, &text));
    snprintf(out, size, "%.*s", (int)text.len, (const char *)text.data);
    out[strcspn(out, "\n")] = '\0';
    rdg_buf_fini(&text);
}

static rdg_err_t ask_devices(const cloud_t *c, const char *token) {
    rdg_cloud_client_t *client;
    CHECK_OK(rdg_cloud_client_new(cloud_url(c), token, &client));
    rdg_err_t err = rdg_cloud_call(client, "GET", "/devices", NULL, 0, NULL);
    rdg_cloud_client_free(client);
    return err;
}

TEST(cloud_names_the_services_that_there_are) {
    bool platform, baas;
    CHECK_OK(cloud_parse_services("platform,baas", &platform, &baas));
    CHECK(platform && baas);
    CHECK_OK(cloud_parse_services("baas", &platform, &baas));
    CHECK(!platform && baas);
    CHECK_ERR(cloud_parse_services("platform,chain", &platform, &baas), RDG_E_INVALID);
    CHECK_ERR(cloud_parse_services("", &platform, &baas), RDG_E_INVALID);
}

TEST(cloud_makes_its_token_once_and_keeps_it_from_others) {
    cloud_options_t o = plain();
    cloud_t *c;
    char token[200], path[512];
    struct stat st;
    CHECK_OK(cloud_start(&o, &c));
    read_text("admin.token", token, sizeof token);
    CHECK_EQ(strlen(token), 64);
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "admin.token"));
    CHECK_EQ(stat(path, &st), 0);
    CHECK_EQ(st.st_mode & 0777, 0600);
    CHECK_OK(ask_devices(c, token));
    CHECK_ERR(ask_devices(c, "another"), RDG_E_UNAUTHENTICATED);
    cloud_stop(c);
    /* The operator took the token away: it goes on being valid. */
    CHECK_EQ(remove(path), 0);
    CHECK_OK(cloud_start(&o, &c));
    CHECK_OK(ask_devices(c, token));
    cloud_stop(c);
}

TEST(cloud_refuses_a_data_directory_that_is_in_use_and_a_port_that_is_taken) {
    cloud_options_t o = plain();
    cloud_t *c, *second = NULL;
    char other[512];
    CHECK_OK(cloud_start(&o, &c));
    CHECK_ERR(cloud_start(&o, &second), RDG_E_BUSY);
    CHECK_OK(rdg_path_join(other, sizeof other, rdg_test_dir(), "other"));
    o.data_dir = other;
    o.port = (uint16_t)strtoul(strrchr(cloud_url(c), ':') + 1, NULL, 10);
    CHECK_ERR(cloud_start(&o, &second), RDG_E_PORT_IN_USE);
    cloud_stop(c);
}

TEST(cloud_starts_while_a_foreign_broker_is_away) {
    cloud_options_t o = plain();
    cloud_t *c;
    char token[200];
    o.broker_url = "mqtt://127.0.0.1:1";
    CHECK_OK(cloud_start(&o, &c));
    read_text("admin.token", token, sizeof token);
    CHECK_OK(ask_devices(c, token));
    cloud_stop(c);
}

static void put(const char *dir, const char *name, const char *text) {
    char path[700];
    CHECK_OK(rdg_path_join(path, sizeof path, dir, name));
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str(text), 0644));
}

static unsigned ask_tags(cloud_t *c, const char *authorization, rdg_http_answer_t *got) {
    rdg_http_client_t *http;
    char url[400];
    snprintf(url, sizeof url, "%s/v2/ridge-node/tags/list", cloud_url(c));
    rdg_http_call_t call = {
        .method = "GET", .url = url, .headers = &authorization, .header_count = authorization != NULL};
    CHECK_OK(rdg_http_client_new(&http));
    CHECK_OK(rdg_http_call(http, &call, got));
    rdg_http_client_free(http);
    return got->status;
}

TEST(cloud_serves_the_image_that_it_was_given) {
    static const char manifest[] = "{\"schemaVersion\":2,\"manifests\":[]}";
    cloud_options_t o = plain();
    cloud_t *c = NULL;
    uint8_t sum[32];
    rdg_http_answer_t got;
    char dir[512], path[600], hex[65], index[500], token[200], line[240];
    CHECK_OK(rdg_path_join(dir, sizeof dir, rdg_test_dir(), "image"));
    o.image_dir = dir;
    CHECK_ERR(cloud_start(&o, &c), RDG_E_NOT_FOUND);
    CHECK_OK(rdg_path_join(path, sizeof path, dir, "blobs/sha256"));
    CHECK_OK(rdg_dir_make(path, 0755));
    put(dir, "index.json", "{}");
    CHECK_ERR(cloud_start(&o, &c), RDG_E_INVALID);
    rdg_sha256(manifest, strlen(manifest), sum);
    rdg_hex_encode(sum, sizeof sum, hex);
    snprintf(index, sizeof index,
             "{\"schemaVersion\":2,\"manifests\":[{\"digest\":\"sha256:%s\",\"annotations\":{"
             "\"org.opencontainers.image.ref.name\":\"ridge-node:1\"}}]}",
             hex);
    put(dir, "index.json", index);
    CHECK_ERR(cloud_start(&o, &c), RDG_E_NOT_FOUND);
    put(path, hex, "{\"schemaVersion\":2,\"manifests\":[ ]}");
    CHECK_ERR(cloud_start(&o, &c), RDG_E_CORRUPT);
    put(path, hex, manifest);
    CHECK_OK(cloud_start(&o, &c));
    CHECK_EQ(ask_tags(c, NULL, &got), 401);
    rdg_http_answer_fini(&got);
    read_text("admin.token", token, sizeof token);
    snprintf(line, sizeof line, "Authorization: Bearer %s", token);
    CHECK_EQ(ask_tags(c, line, &got), 200);
    CHECK(strstr(rdg_buf_cstr(&got.body), "\"1\""));
    rdg_http_answer_fini(&got);
    cloud_stop(c);
}
