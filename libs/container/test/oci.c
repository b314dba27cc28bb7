/* Images and the oci driver, against a registry of a few lines and, where the machine has them, root and a runtime. */
#include "image_ref.h"
#include "kit.h"
#include "ridge/base/file.h"
#include "ridge/container/container.h"
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

/* As the runtime was told. */
static void check_limits(const char *state, long long memory, long long quota) {
    char path[PATH_MAX];
    rdg_buf_t text;
    json_t *o = NULL;
    long long got_memory = 0, got_quota = 0;
    snprintf(path, sizeof path, "%s/config.json", state);
    rdg_buf_init(&text, 1u << 20);
    CHECK_OK(rdg_file_read(path, &text));
    CHECK_OK(rdg_json_parse(rdg_buf_view(&text), &o));
    rdg_buf_fini(&text);
    CHECK_EQ(json_unpack(o, "{s:{s:{s:{s:I}, s:{s:I}}}}", "linux", "resources", "memory", "limit",
                         &got_memory, "cpu", "quota", &got_quota),
             0);
    CHECK_EQ(got_memory, memory);
    CHECK_EQ(got_quota, quota);
    json_decref(o);
}

TEST(a_container_runs_within_its_walls_and_leaves_nothing_behind) {
    registry_t r;
    rdg_container_status_t s;
    char state[PATH_MAX], data[PATH_MAX], log[PATH_MAX + 8], reference[128], cgroup[PATH_MAX];
    rdg_container_driver_t *d = oci_driver();
    registry_start(&r, shell_layer(),
                   "{\"Entrypoint\":[\"/bin/sh\"],\"Labels\":{\"ridge.memory.max\":\"48MiB\","
                   "\"ridge.cpu.max\":\"500\"}}");
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
    check_limits(state, 48 << 20, 50000); /* the image's ceiling of memory is the lower one */

    CHECK_OK(d->start(d->ctx, &spec));
    CHECK_OK(d->status(d->ctx, &spec, &s));
    CHECK_EQ(s.pid, pid);
    CHECK(mounts_below(rdg_test_dir()) > 0);

    CHECK_OK(d->stop(d->ctx, &spec, 5000));
    CHECK_OK(d->status(d->ctx, &spec, &s));
    CHECK_EQ(s.state, RDG_CONTAINER_EXITED);
    CHECK(WIFEXITED(s.exit_status) && WEXITSTATUS(s.exit_status) == 0);
    CHECK(there(data, "made") && there(data, "ended"));
    spec.memory_bytes = 32u << 20;
    spec.cpu_millis = 1000;
    CHECK_OK(d->start(d->ctx, &spec));
    check_limits(state, 32 << 20, 50000);
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
    registry_start(&r, shell_layer(), "{\"Entrypoint\":[\"/bin/sleep\"],\"Cmd\":[\"1\"]}");
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
