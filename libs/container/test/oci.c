/* Images and the oci driver, against a registry of a few lines and, where the machine has them, root and a runtime. */
#include "image.h"
#include "image_ref.h"
#include "layer.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/container/container.h"
#include "ridge/crypto/hash.h"
#include "ridge/net/http_server.h"
#include "ridge/net/process.h"
#include "ridge/test.h"
#include "ridge/test_faults.h"
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- references ------------------------------------------------------------------------------------ */

#define DIGEST "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

TEST(references_are_read_as_registries_name_them) {
    image_ref_t r;
    CHECK_OK(image_ref_parse("127.0.0.1:5000/ridge/node:0.1", &r));
    CHECK_STR(r.base, "http://127.0.0.1:5000");
    CHECK_STR(r.name, "ridge/node");
    CHECK_STR(r.reference, "0.1");
    CHECK_OK(image_ref_parse("registry.example/node@" DIGEST, &r));
    CHECK_STR(r.base, "https://registry.example");
    CHECK_STR(r.reference, DIGEST);
    CHECK(r.by_digest);
    CHECK_OK(image_ref_parse("registry.example/node:tag@" DIGEST, &r));
    CHECK_STR(r.reference, DIGEST);
    CHECK_OK(image_ref_parse("localhost/node", &r));
    CHECK_STR(r.reference, "latest");
    CHECK_OK(image_ref_parse("http://10.1.2.3:7780/ridge-node:1", &r));
    CHECK_STR(r.base, "http://10.1.2.3:7780");
    CHECK_STR(r.name, "ridge-node");
    static const char *const bad[] = {
        "",          "node",         "/node",          "a.b/",        "a.b/../x",
        "a.b/n:",    "a.b/n@sha256", "a.b/n@sha256:1", "a.b/N",       "a.b/n:t/../..",
        "a b.c/n:t", "ubuntu/node",  "ftp://a.b/n",    "http:///n:t", "a.b/n?x=1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i)
        CHECK_ERR(image_ref_parse(bad[i], &r), RDG_E_INVALID);
}

/* --- hostile layers ---------------------------------------------------------------------------------- */

typedef struct tar_entry {
    char type; /* '0' file, '5' directory, '2' symbolic link, '1' hard link, '3' device */
    const char *name, *link, *content;
} tar_entry_t;

static void put_octal(char *field, size_t size, unsigned long v) {
    field[size - 1] = '\0';
    for (size_t i = size - 1; i-- > 0; v >>= 3) field[i] = (char)('0' + (v & 7));
}

static void write_tar(const char *path, const tar_entry_t *entries, size_t count) {
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

static rdg_err_t unpack(const tar_entry_t *entries, size_t count, char dir[PATH_MAX]) {
    char tar[PATH_MAX];
    snprintf(tar, sizeof tar, "%s/layer.tar", rdg_test_dir());
    snprintf(dir, PATH_MAX, "%s/inner/root", rdg_test_dir());
    CHECK_OK(rdg_tree_remove(dir, NULL));
    CHECK_OK(rdg_dir_make(dir, 0755));
    write_tar(tar, entries, count);
    return layer_unpack_file(tar, dir);
}

static bool there(const char *dir, const char *name) {
    char path[PATH_MAX + 256];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return lstat(path, &st) == 0;
}

TEST(a_layer_that_reaches_out_of_its_root_is_refused) {
    static const tar_entry_t attacks[][2] = {
        {{'0', "/etc/owned", NULL, "x"}, {'0', "a", NULL, "x"}},
        {{'0', "../owned", NULL, "x"}, {'0', "a", NULL, "x"}},
        {{'0', "a/../../owned", NULL, "x"}, {'0', "a", NULL, "x"}},
        {{'2', "out", "../..", NULL}, {'0', "out/owned", NULL, "x"}},
        {{'2', "out", "/", NULL}, {'0', "out/owned", NULL, "x"}},
        {{'2', "out", "/tmp", NULL}, {'5', "out/owned", NULL, NULL}},
        {{'1', "hard", "../../../../etc/passwd", NULL}, {'0', "a", NULL, "x"}},
        {{'1', "hard", "/etc/passwd", NULL}, {'0', "a", NULL, "x"}},
        {{'2', "etc", "/etc", NULL}, {'1', "hard", "etc/passwd", NULL}},
        {{'0', "file", NULL, "x"}, {'0', "file/owned", NULL, "x"}},
        {{'0', ".wh...", NULL, ""}, {'0', "a", NULL, "x"}},
        {{'0', ".wh..", NULL, ""}, {'0', "a", NULL, "x"}},
    };
    char dir[PATH_MAX], inner[PATH_MAX];
    snprintf(inner, sizeof inner, "%s/inner", rdg_test_dir());
    for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; ++i) {
        rdg_err_t err = unpack(attacks[i], 2, dir);
        if (err != RDG_E_MALFORMED) rdg_test_fail(__FILE__, __LINE__, "attack %zu: %s", i, rdg_err_name(err));
        CHECK(!there(inner, "owned") && !there(rdg_test_dir(), "owned") && !there("/tmp", "owned"));
    }
}

TEST(a_sound_layer_is_unpacked_with_links_and_without_devices) {
    static const tar_entry_t entries[] = {{'5', "usr/", NULL, NULL},
                                          {'0', "./usr/bin/tool", NULL, "tool"},
                                          {'1', "usr/bin/same", "usr/bin/tool", NULL},
                                          {'2', "bin", "usr/bin", NULL},
                                          {'2', "usr/lib", "../usr/lib64", NULL},
                                          {'3', "dev/sda", NULL, NULL},
                                          {'0', "usr/bin/tool", NULL, "new"},
                                          {'2', "abs", "/usr/bin/tool", NULL}};
    char dir[PATH_MAX], path[PATH_MAX + 32];
    rdg_buf_t b;
    CHECK_OK(unpack(entries, sizeof entries / sizeof entries[0], dir));
    snprintf(path, sizeof path, "%s/usr/bin/tool", dir);
    rdg_buf_init(&b, 64);
    CHECK_OK(rdg_file_read(path, &b));
    CHECK_STR(rdg_buf_cstr(&b), "new");
    rdg_buf_fini(&b);
    CHECK(there(dir, "usr/bin/same") && there(dir, "bin") && there(dir, "abs") && !there(dir, "dev/sda"));
}

TEST(whiteouts_become_those_of_overlayfs) {
    if (geteuid() != 0) rdg_test_skip("needs root: it makes device nodes");
    static const tar_entry_t entries[] = {{'0', "etc/.wh.gone", NULL, ""},
                                          {'0', "var/.wh..wh..opq", NULL, ""}};
    char dir[PATH_MAX], path[PATH_MAX + 32];
    struct stat st;
    CHECK_OK(unpack(entries, 2, dir));
    snprintf(path, sizeof path, "%s/etc/gone", dir);
    CHECK_EQ(stat(path, &st), 0);
    CHECK(S_ISCHR(st.st_mode) && st.st_rdev == 0);
    CHECK(!there(dir, "etc/.wh.gone") && !there(dir, "var/.wh..wh..opq"));
}

TEST(what_is_no_archive_is_refused) {
    char tar[PATH_MAX], dir[PATH_MAX];
    snprintf(tar, sizeof tar, "%s/x", rdg_test_dir());
    snprintf(dir, sizeof dir, "%s/d", rdg_test_dir());
    CHECK_OK(rdg_dir_make(dir, 0755));
    CHECK_OK(rdg_file_replace(tar, rdg_bytes_str("this is no archive, whatever it says"), 0600));
    CHECK_ERR(layer_unpack_file(tar, dir), RDG_E_MALFORMED);
}

/* --- a registry ---------------------------------------------------------------------------------------- */

typedef struct registry {
    rdg_http_server_t *http;
    rdg_buf_t layer, config, manifest;
    char layer_digest[80], config_digest[80], host[64];
    bool corrupt, no_ranges;
    unsigned ranges;
    size_t served; /* bytes of the layer */
} registry_t;

static void digest_text(const rdg_buf_t *b, char out[80]) {
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

static void serve(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    registry_t *r = ctx;
    const char *path = rdg_http_path(req);
    const char *last = strrchr(path, '/') + 1;
    if (strstr(path, "/v2/node/manifests/") && strcmp(last, "missing") != 0)
        (void)rdg_http_write(res, "application/vnd.oci.image.manifest.v1+json", rdg_buf_view(&r->manifest));
    else if (strcmp(last, r->config_digest) == 0)
        (void)rdg_http_write(res, "application/octet-stream", rdg_buf_view(&r->config));
    else if (strcmp(last, r->layer_digest) == 0)
        serve_layer(r, req, res);
    else
        rdg_http_status(res, 404);
}

static void registry_start(registry_t *r, const char *layer_file, const char *config) {
    memset(r, 0, sizeof *r);
    rdg_buf_init(&r->layer, 64u << 20);
    rdg_buf_init(&r->config, 65536);
    rdg_buf_init(&r->manifest, 65536);
    CHECK_OK(rdg_file_read(layer_file, &r->layer));
    rdg_buf_str(&r->config, config);
    digest_text(&r->layer, r->layer_digest);
    digest_text(&r->config, r->config_digest);
    rdg_buf_printf(
        &r->manifest,
        "{\"schemaVersion\":2,\"config\":{\"digest\":\"%s\",\"size\":%zu},\"layers\":[{\"digest\":\"%s\","
        "\"size\":%zu}]}",
        r->config_digest, r->config.len, r->layer_digest, r->layer.len);
    rdg_http_server_options_t o = {0};
    CHECK_OK(rdg_http_server_start(&o, serve, r, &r->http));
    snprintf(r->host, sizeof r->host, "127.0.0.1:%u", (unsigned)rdg_http_server_port(r->http));
}

static void registry_stop(registry_t *r) {
    if (r->http) rdg_http_server_stop(r->http);
    rdg_buf_fini(&r->layer);
    rdg_buf_fini(&r->config);
    rdg_buf_fini(&r->manifest);
}

static const char *some_layer(void) {
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

static rdg_err_t pull_into(const char *root, registry_t *r, const char *tag,
                           rdg_container_progress_fn progress, void *ctx) {
    char reference[160];
    snprintf(reference, sizeof reference, "%s/node:%s", r->host, tag);
    image_pull_t how = {.root = root, .bytes_max = 64u << 20, .progress = progress, .progress_ctx = ctx};
    return image_pull(&how, reference);
}

static rdg_err_t pull(registry_t *r, const char *tag, rdg_container_progress_fn progress, void *ctx) {
    char root[PATH_MAX];
    snprintf(root, sizeof root, "%s/oci", rdg_test_dir());
    return pull_into(root, r, tag, progress, ctx);
}

TEST(an_image_is_pulled_once_and_serves_when_the_registry_is_away) {
    registry_t r;
    registry_start(&r, some_layer(), "{}");
    CHECK_OK(pull(&r, "1", NULL, NULL));
    size_t served = r.served;
    CHECK_OK(pull(&r, "1", NULL, NULL));
    CHECK_EQ(r.served, served);
    CHECK_ERR(pull(&r, "missing", NULL, NULL), RDG_E_NOT_FOUND);
    rdg_http_server_stop(r.http);
    r.http = NULL;
    CHECK_OK(pull(&r, "1", NULL, NULL));
    CHECK_ERR(pull(&r, "2", NULL, NULL), RDG_E_UNAVAILABLE);
    registry_stop(&r);
}

TEST(a_blob_with_another_digest_is_refused_and_not_kept) {
    registry_t r;
    char path[PATH_MAX];
    registry_start(&r, some_layer(), "{}");
    r.corrupt = true;
    CHECK_ERR(pull(&r, "1", NULL, NULL), RDG_E_CORRUPT);
    snprintf(path, sizeof path, "%s/oci/blobs/sha256/%s", rdg_test_dir(), r.layer_digest + 7);
    CHECK(!rdg_file_exists(path));
    snprintf(path + strlen(path), sizeof path - strlen(path), ".part");
    CHECK(!rdg_file_exists(path));
    r.corrupt = false;
    CHECK_OK(pull(&r, "1", NULL, NULL));
    registry_stop(&r);
}

static bool stop_half_way(void *ctx, const char *step, uint64_t done, uint64_t total) {
    (void)ctx;
    return strcmp(step, "pull") != 0 || done < total / 2;
}

TEST(an_interrupted_pull_goes_on_where_it_stopped) {
    registry_t r;
    registry_start(&r, some_layer(), "{}");
    CHECK_ERR(pull(&r, "1", stop_half_way, NULL), RDG_E_CANCELLED);
    CHECK_EQ(r.ranges, 0);
    size_t before = r.served;
    CHECK_OK(pull(&r, "1", NULL, NULL));
    CHECK_EQ(r.ranges, 1);
    CHECK(r.served - before < r.layer.len * 2 / 3);
    registry_stop(&r);
}

TEST(an_interrupted_pull_from_a_registry_without_ranges_starts_anew) {
    registry_t r;
    registry_start(&r, some_layer(), "{}");
    r.no_ranges = true;
    CHECK_ERR(pull(&r, "1", stop_half_way, NULL), RDG_E_CANCELLED);
    CHECK_OK(pull(&r, "1", NULL, NULL));
    registry_stop(&r);
}

TEST(an_image_beyond_the_limit_is_refused_before_it_is_fetched) {
    registry_t r;
    char root[PATH_MAX], reference[160];
    registry_start(&r, some_layer(), "{}");
    snprintf(root, sizeof root, "%s/oci", rdg_test_dir());
    snprintf(reference, sizeof reference, "%s/node:1", r.host);
    image_pull_t small = {.root = root, .bytes_max = 1000};
    CHECK_ERR(image_pull(&small, reference), RDG_E_TOO_LARGE);
    CHECK_EQ(r.served, 0);
    registry_stop(&r);
}

static size_t files_like(const char *dir, const char *pattern) {
    char command[PATH_MAX + 64], output[64] = "";
    snprintf(command, sizeof command, "find %s -name '%s' | wc -l", dir, pattern);
    const char *const argv[] = {"/bin/sh", "-c", command, NULL};
    CHECK_OK(rdg_process_run(argv, 10000, output, sizeof output));
    return strtoul(output, NULL, 10);
}

TEST(a_pull_onto_a_full_disk_says_so_cleans_up_and_goes_through_when_there_is_room) {
    if (geteuid() != 0) rdg_test_skip("needs root: it mounts a small file system");
    registry_t r;
    char root[PATH_MAX];
    registry_start(&r, some_layer(), "{}");
    snprintf(root, sizeof root, "%s/oci", rdg_test_dir());
    CHECK_OK(rdg_dir_make(root, 0700));
    /* Of this process alone: it goes with it. */
    CHECK_EQ(unshare(CLONE_NEWNS), 0);
    CHECK_EQ(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    /* Too small for the blob; for the blob and what is unpacked. */
    static const char *const sizes[] = {"size=512k", "size=1800k"};
    for (size_t i = 0; i < 2; ++i) {
        CHECK_EQ(mount("tmpfs", root, "tmpfs", i ? MS_REMOUNT : 0, sizes[i]), 0);
        CHECK_ERR(pull(&r, "1", NULL, NULL), RDG_E_DISK_FULL);
        CHECK_EQ(files_like(root, "*.part"), 0);
        CHECK_EQ(files_like(root, "*.tmp"), 0);
    }
    CHECK_EQ(mount("tmpfs", root, "tmpfs", MS_REMOUNT, "size=16m"), 0);
    CHECK_OK(pull(&r, "1", NULL, NULL));
    registry_stop(&r);
}

static registry_t shared;

static void pull_once(const char *dir, unsigned char *ack) {
    if (pull_into(dir, &shared, "1", NULL, NULL) == RDG_OK) ack[0] = 1;
}

static void pull_again(const char *dir, unsigned char *ack) {
    image_t image;
    char reference[160];
    snprintf(reference, sizeof reference, "%s/node:1", shared.host);
    if (ack[0]) CHECK_OK(image_find(dir, reference, &image));
    /* Whatever counts as there is whole. */
    if (image_find(dir, reference, &image) == RDG_OK) {
        char layer[PATH_MAX];
        CHECK_OK(layer_path(dir, image.layers[0], layer));
        CHECK(there(layer, "a") && there(layer, "b"));
    }
    CHECK_OK(pull_into(dir, &shared, "1", NULL, NULL));
    CHECK_OK(image_find(dir, reference, &image));
    CHECK_EQ(files_like(dir, "*.part"), 0);
    CHECK_EQ(files_like(dir, "*.tmp"), 0);
}

TEST(a_pull_that_is_killed_or_cut_at_any_write_goes_through_the_next_time) {
    static const tar_entry_t entries[] = {{'0', "a", NULL, "first"}, {'0', "b", NULL, "second"}};
    char tar[PATH_MAX];
    snprintf(tar, sizeof tar, "%s/small.tar", rdg_test_dir());
    write_tar(tar, entries, 2);
    registry_start(&shared, tar, "{}");
    rdg_test_faults_each(RDG_FAULT_FAIL, RDG_FAULT_CUT_LOST, pull_once, pull_again);
    registry_stop(&shared);
}

TEST(an_image_of_the_cloud_needs_the_link_to_the_cloud) {
    char root[PATH_MAX], away[PATH_MAX];
    snprintf(root, sizeof root, "%s/oci", rdg_test_dir());
    snprintf(away, sizeof away, "%s/s", rdg_test_dir());
    image_pull_t how = {.root = root, .bytes_max = 1000};
    CHECK_ERR(image_pull(&how, "cloud.ridge/node:1"), RDG_E_UNAVAILABLE);
    CHECK(strstr(rdg_err_message(RDG_E_UNAVAILABLE), "link to the cloud") != NULL);
    how.cloud_socket = away;
    CHECK_ERR(image_pull(&how, "cloud.ridge/node:1"), RDG_E_UNAVAILABLE);
    CHECK(strstr(rdg_err_message(RDG_E_UNAVAILABLE), away) != NULL);
}

/* --- the driver ---------------------------------------------------------------------------------------- */

/* A root with a shell, its libraries and nothing else. */
static const char *shell_layer(void) {
    static char path[PATH_MAX];
    char script[PATH_MAX * 2], output[4096];
    snprintf(path, sizeof path, "%s/shell.tar", rdg_test_dir());
    snprintf(
        script, sizeof script,
        "set -e; r=%s/shell-root; mkdir -p $r/bin $r/var/lib/ridge-node $r/proc $r/sys $r/dev $r/tmp; "
        "for p in sh sleep cat; do cp -L /bin/$p $r/bin/; "
        "for l in $(ldd /bin/$p | grep -o '/[^ ]*'); do mkdir -p $r$(dirname $l); cp -L $l $r$l; done; done; "
        "tar -C $r -czf %s .",
        rdg_test_dir(), path);
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    CHECK_OK(rdg_process_run(argv, 30000, output, sizeof output));
    return path;
}

static rdg_container_driver_t *oci_driver(void) {
    rdg_container_driver_t *d = NULL;
    char root[PATH_MAX];
    snprintf(root, sizeof root, "%s/oci", rdg_test_dir());
    rdg_container_oci_options_t o = {.root = root};
    if (rdg_container_oci_new(&o, &d) != RDG_OK) rdg_test_skip(rdg_err_message(RDG_E_UNSUPPORTED));
    return d;
}

static size_t mounts_below(const char *dir) {
    char line[8192];
    size_t n = 0;
    FILE *f = fopen("/proc/self/mountinfo", "re");
    while (f && fgets(line, sizeof line, f)) n += strstr(line, dir) != NULL;
    if (f) fclose(f);
    return n;
}

static void await_text(const char *path, const char *text) {
    for (int i = 0; i < 1000; ++i) {
        rdg_buf_t b;
        rdg_buf_init(&b, 65536);
        bool found = rdg_file_read(path, &b) == RDG_OK && strstr(rdg_buf_cstr(&b), text);
        rdg_buf_fini(&b);
        if (found) return;
        usleep(10000);
    }
    rdg_test_fail(__FILE__, __LINE__, "%s never said '%s'", path, text);
}

TEST(a_container_runs_within_its_walls_and_leaves_nothing_behind) {
    registry_t r;
    rdg_container_status_t s;
    char state[PATH_MAX], data[PATH_MAX], log[PATH_MAX + 8], reference[128], cgroup[PATH_MAX];
    rdg_container_driver_t *d = oci_driver();
    registry_start(&r, shell_layer(), "{\"config\":{\"Entrypoint\":[\"/bin/sh\"]}}");
    snprintf(reference, sizeof reference, "%s/node:1", r.host);
    snprintf(state, sizeof state, "%s/state", rdg_test_dir());
    snprintf(data, sizeof data, "%s/data", rdg_test_dir());
    snprintf(log, sizeof log, "%s/log", data);
    CHECK_OK(rdg_dir_make(data, 0700));
    static const char *const args[] = {
        "-c",
        "trap 'echo bye >/var/lib/ridge-node/ended; exit 0' TERM; echo in >/var/lib/ridge-node/made; "
        "(echo x >/owned) 2>/dev/null && echo writable; while read k v; do case $k in Cap*|NoNewPrivs:) echo "
        "$k $v;; "
        "esac; done </proc/self/status; echo ready; while :; do sleep 0.1; done",
        NULL};
    rdg_container_spec_t spec = {.name = "box",
                                 .state_dir = state,
                                 .data_dir = data,
                                 .log_path = log,
                                 .image = reference,
                                 .args = args,
                                 .memory_bytes = 64u << 20,
                                 .pids = 32};
    CHECK_ERR(d->start(d->ctx, &spec), RDG_E_NOT_FOUND);
    CHECK_OK(d->prepare(d->ctx, reference, NULL, NULL));
    CHECK_OK(d->start(d->ctx, &spec));
    CHECK_OK(d->status(d->ctx, &spec, &s));
    CHECK_EQ(s.state, RDG_CONTAINER_RUNNING);
    pid_t pid = s.pid;
    await_text(log, "ready");
    rdg_buf_t b;
    rdg_buf_init(&b, 65536);
    CHECK_OK(rdg_file_read(log, &b));
    CHECK(!strstr(rdg_buf_cstr(&b), "writable"));
    CHECK(strstr(rdg_buf_cstr(&b), "CapEff: 0000000000000000"));
    CHECK(strstr(rdg_buf_cstr(&b), "NoNewPrivs: 1"));
    rdg_buf_fini(&b);
    snprintf(cgroup, sizeof cgroup, "/proc/%ld/cgroup", (long)pid);
    await_text(cgroup, "/ridge-");

    CHECK_OK(d->start(d->ctx, &spec));
    CHECK_OK(d->status(d->ctx, &spec, &s));
    CHECK_EQ(s.pid, pid);
    CHECK(mounts_below(rdg_test_dir()) > 0);

    CHECK_OK(d->stop(d->ctx, &spec, 5000));
    CHECK_OK(d->status(d->ctx, &spec, &s));
    CHECK_EQ(s.state, RDG_CONTAINER_EXITED);
    CHECK(WIFEXITED(s.exit_status) && WEXITSTATUS(s.exit_status) == 0);
    CHECK(there(data, "made") && there(data, "ended"));
    CHECK_OK(d->start(d->ctx, &spec));
    CHECK_OK(d->remove(d->ctx, &spec, NULL));
    CHECK(!rdg_file_exists(state));
    CHECK_EQ(mounts_below(rdg_test_dir()), 0);
    rdg_container_driver_free(d);
    registry_stop(&r);
}

TEST(a_container_whose_starter_died_before_recording_it_is_found) {
    registry_t r;
    rdg_container_status_t s;
    char state[PATH_MAX], data[PATH_MAX], log[PATH_MAX + 8], run[PATH_MAX + 8], reference[128];
    rdg_container_driver_t *d = oci_driver();
    registry_start(&r, shell_layer(), "{\"config\":{\"Entrypoint\":[\"/bin/sleep\"],\"Cmd\":[\"1\"]}}");
    snprintf(reference, sizeof reference, "%s/node:1", r.host);
    snprintf(state, sizeof state, "%s/state", rdg_test_dir());
    snprintf(data, sizeof data, "%s/data", rdg_test_dir());
    snprintf(log, sizeof log, "%s/log", data);
    snprintf(run, sizeof run, "%s/run", state);
    CHECK_OK(rdg_dir_make(data, 0700));
    static const char *const args[] = {"300", NULL};
    rdg_container_spec_t spec = {.name = "box",
                                 .state_dir = state,
                                 .data_dir = data,
                                 .log_path = log,
                                 .image = reference,
                                 .args = args};
    CHECK_OK(d->prepare(d->ctx, reference, NULL, NULL));
    CHECK_OK(d->start(d->ctx, &spec));
    CHECK_OK(d->status(d->ctx, &spec, &s));
    pid_t pid = s.pid;
    CHECK_EQ(unlink(run), 0);
    CHECK_OK(d->start(d->ctx, &spec));
    CHECK_OK(d->status(d->ctx, &spec, &s));
    CHECK_EQ(s.pid, pid);
    CHECK_OK(d->remove(d->ctx, &spec, NULL));
    CHECK_EQ(kill(pid, 0), -1);
    CHECK_EQ(mounts_below(rdg_test_dir()), 0);
    rdg_container_driver_free(d);
    registry_stop(&r);
}
