#include "kit.h"
#include <stdarg.h>
#include <stdio.h>

void kit_init(kit_t *k) {
    memset(k, 0, sizeof *k);
    snprintf(k->dir, sizeof k->dir, "%s/registry", rdg_test_dir());
    k->options.dir = k->dir;
    k->options.collect_ms = UINT64_MAX;
    rdg_clock_manual_init(&k->clock, 1800000000000u);
}

void kit_start(kit_t *k) {
    const rdg_http_server_options_t o = {.threads = 8, .intake = &rdg_registry_intake};
    CHECK_OK(rdg_registry_open(&k->options, &k->registry));
    CHECK_OK(rdg_http_server_start(&o, rdg_registry_handle, k->registry, &k->server));
    k->port = rdg_http_server_port(k->server);
}

void kit_stop(kit_t *k) {
    rdg_http_server_stop(k->server);
    rdg_registry_close(k->registry);
    k->server = NULL;
    k->registry = NULL;
}

void kit_fini(kit_t *k) {
    kit_stop(k);
    http_done(&k->got);
    CHECK_EQ(rdg_alloc_live(), 0);
}

unsigned ask(kit_t *k, const char *method, const char *path, const char *headers, rdg_bytes_t body) {
    http_done(&k->got);
    http_ask(k->port, method, path, headers, body, &k->got);
    return k->got.status;
}

unsigned get(kit_t *k, const char *path) {
    return ask(k, "GET", path, NULL, rdg_bytes(NULL, 0));
}

unsigned askf(kit_t *k, const char *method, rdg_bytes_t body, const char *path, ...) {
    char text[2048];
    va_list args;
    va_start(args, path);
    vsnprintf(text, sizeof text, path, args);
    va_end(args);
    return ask(k, method, text, NULL, body);
}

const char *header(const kit_t *k, const char *name) {
    return http_header(&k->got, name);
}

void check_code(const kit_t *k, const char *code) {
    json_t *v = NULL;
    CHECK_OK(rdg_json_parse(rdg_buf_view(&k->got.body), &v));
    const json_t *first = json_array_get(json_object_get(v, "errors"), 0);
    CHECK_STR(json_string_value(json_object_get(first, "code")), code);
    CHECK(json_string_value(json_object_get(first, "message")) != NULL);
    json_decref(v);
}

void check_body(const kit_t *k, rdg_bytes_t want) {
    CHECK_EQ(k->got.body.len, want.len);
    CHECK_MEM(k->got.body.data, want.data, want.len);
}

uint8_t *noise(size_t len, uint64_t seed) {
    rdg_random_seeded_t random;
    uint8_t *bytes = rdg_alloc(len + 1);
    CHECK(bytes != NULL);
    rdg_random_seeded_init(&random, seed);
    rdg_random_fill(&random.random, bytes, len);
    return bytes;
}

void digest_text(rdg_bytes_t bytes, char out[DIGEST_TEXT]) {
    CHECK_OK(digest_of_bytes("sha256", bytes, out));
}

void push_blob(kit_t *k, const char *repo, rdg_bytes_t bytes, char out[DIGEST_TEXT]) {
    digest_text(bytes, out);
    CHECK_EQ(askf(k, "POST", bytes, "/v2/%s/blobs/uploads/?digest=%s", repo, out), 201);
}

void manifest_text(const char *config, uint64_t config_size, const char *layer, uint64_t layer_size,
                   const char *more, char *out, size_t size) {
    snprintf(out, size,
             "{ \"schemaVersion\":2,\n\"mediaType\" : \"" MANIFEST_OCI "\",%s \"config\":{\"mediaType\":"
             "\"application/"
             "vnd.oci.image.config.v1+json\",\"digest\":\"%s\",\"size\":%llu},\"layers\":[{\"mediaType\":"
             "\"application/vnd.oci.image.layer.v1.tar\",\"digest\":\"%s\",\"size\":%llu}]}",
             more, config, (unsigned long long)config_size, layer, (unsigned long long)layer_size);
}

void push_image(kit_t *k, const char *repo, const char *tag, uint64_t seed, char layer[DIGEST_TEXT],
                char digest[DIGEST_TEXT]) {
    char config[DIGEST_TEXT], blob[DIGEST_TEXT], text[2048];
    uint8_t *bytes = noise(300, seed);
    push_blob(k, repo, rdg_bytes_str("{}"), config);
    push_blob(k, repo, rdg_bytes(bytes, 300), blob);
    rdg_free(bytes);
    manifest_text(config, 2, blob, 300, "", text, sizeof text);
    CHECK_EQ(askf(k, "PUT", rdg_bytes_str(text), "/v2/%s/manifests/%s", repo, tag), 201);
    if (layer) memcpy(layer, blob, DIGEST_TEXT);
    if (digest) digest_text(rdg_bytes_str(text), digest);
}

const char *begin_upload(kit_t *k, const char *repo) {
    static char path[512];
    CHECK_EQ(askf(k, "POST", rdg_bytes(NULL, 0), "/v2/%s/blobs/uploads/", repo), 202);
    snprintf(path, sizeof path, "%s", header(k, "Location"));
    return path;
}
