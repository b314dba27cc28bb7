/* What ridge-agent doctor finds. */
#include "chain.h"
#include "ridge/agent/agent.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/crypto/hash.h"
#include "ridge/test.h"
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <fcntl.h>
#include <unistd.h>

static json_t *report;

static const char *found(const char *check, const char *field) {
    json_t *c;
    size_t i;
    json_array_foreach(json_object_get(report, "checks"), i, c) {
        if (strcmp(json_string_value(json_object_get(c, "check")), check) == 0)
            return json_string_value(json_object_get(c, field));
    }
    return "(not looked at)";
}

static rdg_agent_verdict_t examine(const char *dir, const rdg_clock_t *clock) {
    rdg_agent_verdict_t v = RDG_AGENT_SOUND;
    rdg_agent_options_t o = {
        .dir = dir, .driver = "process", .node_program = "/bin/true", .queue_bytes = 65536, .clock = clock};
    json_decref(report);
    CHECK_OK(rdg_agent_doctor(&o, &report, &v));
    return v;
}

TEST(a_device_that_is_none_is_named_and_left_alone) {
    char path[PATH_MAX];
    CHECK_EQ(examine("/nonexistent/agent", NULL), RDG_AGENT_FAILED);
    CHECK(strstr(found("directory", "remedy"), "--dir"));
    CHECK_EQ(examine(rdg_test_dir(), NULL), RDG_AGENT_FAILED);
    CHECK_STR(found("agent", "state"), "failure");
    CHECK(strstr(found("identity", "remedy"), "ridge device token"));
    snprintf(path, sizeof path, "%s/identity.key", rdg_test_dir());
    CHECK(!rdg_file_exists(path));
    CHECK_STR(json_string_value(json_object_get(report, "state")), "failure");
    json_decref(report);
}

TEST(a_clock_that_was_never_set_a_full_queue_and_a_node_that_is_down_are_found) {
    const char *dir = rdg_test_dir();
    char path[PATH_MAX];
    static char readings[70000];
    chain_t c = {.name = "c1", .driver = "process", .desired = CHAIN_RUNNING},
            stopped = {.name = "c2", .driver = "process"};
    int p2p = -1, rpc = -1;
    CHECK_OK(port_reserve("127.0.0.1", &c.p2p_port, &p2p));
    CHECK_OK(port_reserve("127.0.0.1", &c.rpc_port, &rpc));
    CHECK_OK(chain_save(dir, &c));
    CHECK_OK(chain_save(dir, &stopped));
    snprintf(path, sizeof path, "%s/intake", dir);
    CHECK_OK(rdg_dir_make(path, 0700));
    snprintf(path, sizeof path, "%s/intake/seg", dir);
    CHECK_OK(rdg_file_replace(path, rdg_bytes(readings, sizeof readings), 0600));
    rdg_clock_manual_t clock;
    rdg_clock_manual_init(&clock, 1000);
    CHECK_EQ(examine(dir, &clock.clock), RDG_AGENT_FAILED);
    CHECK(strstr(found("clock", "remedy"), "timedatectl"));
    CHECK_STR(found("queue of readings", "state"), "failure");
    CHECK_STR(found("chain c2", "state"), "ok");
    CHECK_STR(found("node program", "state"), "ok");
    CHECK(strstr(found("chain c1", "message"), "taken"));
    close(p2p);
    close(rpc);
    (void)examine(dir, NULL);
    CHECK_STR(found("clock", "state"), "ok");
    CHECK(strstr(found("chain c1", "message"), "does not"));
    CHECK_STR(found("certificate c1", "state"), "failure");
    json_decref(report);
}

static void write_signers(const char *text) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/image-trust.json", rdg_test_dir());
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str(text), 0600));
}

TEST(who_may_sign_images_and_an_image_that_would_not_start_again_are_named) {
    const char *dir = rdg_test_dir();
    chain_t c = {.name = "c1", .driver = "oci", .image = "cloud.ridge/node:1", .desired = CHAIN_RUNNING};
    CHECK_OK(chain_save(dir, &c));
    (void)examine(dir, NULL);
    CHECK_STR(found("image signers", "state"), "failure");
    CHECK(strstr(found("image signers", "remedy"), "reach its cloud"));
    CHECK(strstr(found("image c1", "message"), "is not on this device"));
    write_signers("{\"number\":3,\"unsigned\":\"\",\"signers\":[]}");
    (void)examine(dir, NULL);
    CHECK_STR(found("image signers", "state"), "warning");
    write_signers("{\"number\":4,\"unsigned\":");
    (void)examine(dir, NULL);
    CHECK_STR(found("image signers", "state"), "failure");
    /* The record of an image that was prepared, and no signature beside it. */
    char path[PATH_MAX], text[128], hex[65];
    uint8_t sum[32];
    rdg_sha256(c.image, strlen(c.image), sum);
    rdg_hex_encode(sum, sizeof sum, hex);
    snprintf(path, sizeof path, "%s/oci/images", dir);
    CHECK_OK(rdg_dir_make(path, 0700));
    snprintf(path, sizeof path, "%s/oci/images/%s", dir, hex);
    snprintf(text, sizeof text, "sha256:%s", hex);
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str(text), 0600));
    write_signers("{\"number\":5,\"unsigned\":\"other/*\",\"signers\":[]}");
    (void)examine(dir, NULL);
    CHECK_STR(found("image signers", "state"), "ok");
    CHECK_STR(found("image c1", "state"), "failure");
    CHECK(strstr(found("image c1", "message"), "not signed"));
    write_signers("{\"number\":6,\"unsigned\":\"cloud.ridge/*\",\"signers\":[]}");
    (void)examine(dir, NULL);
    CHECK_STR(found("image c1", "state"), "ok");
    json_decref(report);
}
