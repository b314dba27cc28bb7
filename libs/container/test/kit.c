#include "kit.h"
#include "manifest.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/hash.h"
#include "ridge/net/process.h"
#include "ridge/test.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- layers ---------------------------------------------------------------------------------------------- */

static void put_octal(char *field, size_t size, unsigned long v) {
    field[size - 1] = '\0';
    for (size_t i = size - 1; i-- > 0; v >>= 3) field[i] = (char)('0' + (v & 7));
}

void write_tar(const char *path, const tar_entry_t *entries, size_t count) {
    FILE *f = fopen(path, "wb");
    CHECK(f != NULL);
    for (size_t i = 0; i < count; ++i) {
        char h[512] = {0};
        size_t len = entries[i].content ? strlen(entries[i].content) : 0;
        snprintf(h, 100, "%s", entries[i].name);
        put_octal(h + 100, 8, entries[i].type == '5' ? 0755 : 0644);
        put_octal(h + 108, 8, 0);
        put_octal(h + 116, 8, 0);
        put_octal(h + 124, 12, len);
        put_octal(h + 136, 12, 0);
        h[156] = entries[i].type;
        if (entries[i].link) snprintf(h + 157, 100, "%s", entries[i].link);
        memcpy(h + 257,
               "ustar\0"
               "00",
               8);
        memset(h + 148, ' ', 8);
        unsigned long sum = 0;
        for (size_t k = 0; k < sizeof h; ++k) sum += (unsigned char)h[k];
        put_octal(h + 148, 7, sum);
        CHECK_EQ(fwrite(h, 1, sizeof h, f), sizeof h);
        char block[512] = {0};
        if (len > 0) {
            memcpy(block, entries[i].content, len);
            CHECK_EQ(fwrite(block, 1, sizeof block, f), sizeof block);
        }
    }
    char end[1024] = {0};
    CHECK_EQ(fwrite(end, 1, sizeof end, f), sizeof end);
    fclose(f);
}

bool there(const char *dir, const char *name) {
    char path[PATH_MAX + 256];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return lstat(path, &st) == 0;
}

/* --- a registry ---------------------------------------------------------------------------------------- */

void digest_text(const rdg_buf_t *b, char out[80]) {
    uint8_t sum[32];
    rdg_sha256(b->data, b->len, sum);
    memcpy(out, "sha256:", 7);
    rdg_hex_encode(sum, sizeof sum, out + 7);
}

static void serve_layer(registry_t *r, const rdg_http_request_t *req, rdg_http_response_t *res) {
    const char *range = rdg_http_header(req, "Range");
    size_t from = 0;
    if (range && !r->no_ranges) {
        from = (size_t)strtoul(range + strlen("bytes="), NULL, 10);
        ++r->ranges;
        rdg_http_status(res, 206);
    }
    CHECK(from <= r->layer.len);
    r->served += r->layer.len - from;
    if (r->corrupt) r->layer.data[r->layer.len - 1] ^= 1;
    (void)rdg_http_write(res, "application/octet-stream",
                         rdg_bytes(r->layer.data + from, r->layer.len - from));
    if (r->corrupt) r->layer.data[r->layer.len - 1] ^= 1;
}

static bool answer(rdg_http_response_t *res, const char *last, const rdg_buf_t *what) {
    char digest[80];
    if (what->len == 0) return false;
    digest_text(what, digest);
    if (strcmp(last, digest) != 0) return false;
    (void)rdg_http_write(res, "application/octet-stream", rdg_buf_view(what));
    return true;
}

static void serve(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    registry_t *r = ctx;
    const char *path = rdg_http_path(req);
    const char *last = strrchr(path, '/') + 1;
    bool tag = strstr(path, "/manifests/") && !strchr(last, ':') && strncmp(last, "sha256-", 7) != 0;
    bool list = strstr(path, "/referrers/") ? !r->no_referrers : strncmp(last, "sha256-", 7) == 0;
    if (strstr(path, "/referrers/") || strncmp(last, "sha256-", 7) == 0) ++r->listed;
    if (tag && strcmp(last, "missing") != 0)
        (void)rdg_http_write(res, "application/json", rdg_buf_view(r->index.len ? &r->index : &r->manifest));
    else if (list && r->referrers.len)
        (void)rdg_http_write(res, "application/vnd.oci.image.index.v1+json", rdg_buf_view(&r->referrers));
    else if (strcmp(last, r->layer_digest) == 0)
        serve_layer(r, req, res);
    else if (strstr(path, "/referrers/"))
        rdg_http_status(res, 404);
    else if (!answer(res, last, &r->config) && !answer(res, last, &r->manifest) &&
             !answer(res, last, &r->index) && !answer(res, last, &r->signature) &&
             !answer(res, last, &r->artifact))
        rdg_http_status(res, 404);
}

void write_manifest(registry_t *r, const char *manifest_type, const char *config_type, const char *layer_type,
                    size_t layers) {
    rdg_buf_clear(&r->manifest);
    rdg_buf_printf(
        &r->manifest,
        "{\"schemaVersion\":2,\"mediaType\":\"%s\",\"config\":{\"mediaType\":\"%s\",\"digest\":\"%s\","
        "\"size\":%zu},\"layers\":[",
        manifest_type, config_type, r->config_digest, r->config.len);
    for (size_t i = 0; i < layers; ++i)
        rdg_buf_printf(&r->manifest, "%s{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%zu}", i ? "," : "",
                       layer_type, r->layer_digest, r->layer.len);
    rdg_buf_str(&r->manifest, "]}");
}

void set_config(registry_t *r, const char *architecture, const char *inner) {
    rdg_buf_clear(&r->config);
    rdg_buf_printf(&r->config, "{\"os\":\"linux\",\"architecture\":\"%s\",\"config\":%s", architecture,
                   inner);
    if (r->diff[0])
        rdg_buf_printf(&r->config, ",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:%s\"]}", r->diff);
    rdg_buf_str(&r->config, "}");
    digest_text(&r->config, r->config_digest);
    write_manifest(r, OCI "manifest.v1+json", OCI "config.v1+json", OCI "layer.v1.tar+gzip", 1);
}

void registry_start(registry_t *r, const char *layer_file, const char *inner) {
    memset(r, 0, sizeof *r);
    rdg_buf_init(&r->layer, 64u << 20);
    rdg_buf_t *const small[] = {&r->config,    &r->manifest, &r->index,
                                &r->signature, &r->artifact, &r->referrers};
    for (size_t i = 0; i < sizeof small / sizeof small[0]; ++i) rdg_buf_init(small[i], 1u << 20);
    CHECK_OK(rdg_file_read(layer_file, &r->layer));
    digest_text(&r->layer, r->layer_digest);
    set_config(r, manifest_architecture(), inner);
    rdg_http_server_options_t o = {0};
    CHECK_OK(rdg_http_server_start(&o, serve, r, &r->http));
    snprintf(r->host, sizeof r->host, "127.0.0.1:%u", (unsigned)rdg_http_server_port(r->http));
}

void registry_stop(registry_t *r) {
    rdg_buf_t *const all[] = {&r->layer,     &r->config,   &r->manifest, &r->index,
                              &r->signature, &r->artifact, &r->referrers};
    if (r->http) rdg_http_server_stop(r->http);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; ++i) rdg_buf_fini(all[i]);
}

const char *some_layer(void) {
    static char path[PATH_MAX], content[512];
    static tar_entry_t entries[1000];
    static char names[1000][16];
    snprintf(path, sizeof path, "%s/some.tar", rdg_test_dir());
    memset(content, 'x', sizeof content - 1);
    for (int i = 0; i < 1000; ++i) {
        snprintf(names[i], sizeof names[i], "f%d", i);
        entries[i] = (tar_entry_t){'0', names[i], NULL, content};
    }
    write_tar(path, entries, 1000);
    return path;
}

rdg_err_t pull_into(const char *root, registry_t *r, const char *tag, rdg_container_progress_fn progress,
                    void *ctx) {
    char reference[160];
    snprintf(reference, sizeof reference, "%s/node:%s", r->host, tag);
    image_pull_t how = {.root = root, .bytes_max = 64u << 20, .progress = progress, .progress_ctx = ctx};
    return image_pull(&how, reference);
}

rdg_err_t pull(registry_t *r, const char *tag, rdg_container_progress_fn progress, void *ctx) {
    char root[PATH_MAX];
    snprintf(root, sizeof root, "%s/oci", rdg_test_dir());
    return pull_into(root, r, tag, progress, ctx);
}

/* --- containers ------------------------------------------------------------------------------------------------- */

/* A root with a shell, its libraries and nothing else. */
const char *shell_layer(void) {
    static char path[PATH_MAX];
    char script[PATH_MAX * 6], output[4096];
    snprintf(path, sizeof path, "%s/shell.tar", rdg_test_dir());
    snprintf(
        script, sizeof script,
        "set -e; r=%s/shell-root; mkdir -p $r/bin $r/var/lib/ridge-node $r/proc $r/sys $r/dev $r/tmp; "
        "for p in sh sleep cat; do cp -L /bin/$p $r/bin/; "
        "for l in $(ldd /bin/$p | grep -o '/[^ ]*'); do mkdir -p $r$(dirname $l); cp -L $l $r$l; done; done; "
        "tar -C $r -cf %s.plain .; sha256sum <%s.plain | cut -c1-64 | tr -d '\\n' >%s.diff; gzip -nc "
        "%s.plain >%s",
        rdg_test_dir(), path, path, path, path, path);
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    CHECK_OK(rdg_process_run(argv, 30000, output, sizeof output));
    return path;
}

void await_text(const char *path, const char *text) {
    for (int i = 0; i < 6000; ++i) {
        rdg_buf_t b;
        rdg_buf_init(&b, 65536);
        bool found = rdg_file_read(path, &b) == RDG_OK && strstr(rdg_buf_cstr(&b), text);
        rdg_buf_fini(&b);
        if (found) return;
        usleep(10000);
    }
    rdg_test_fail(__FILE__, __LINE__, "%s never said '%s'", path, text);
}
