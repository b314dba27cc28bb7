/* What a node says when it cannot start, and what it needs when it idles. */
#include "cluster.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/net/stream.h"
#include "ridge/test.h"
#include "ridge/test_ca.h"
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void path_of(cluster_t *c, const char *name, char out[600]) {
    CHECK_OK(rdg_path_join(out, 600, c->dirs[0], name));
}

static void put_file(cluster_t *c, const char *name, const char *content) {
    char path[600];
    path_of(c, name, path);
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str(content), 0600));
}

/* The node ends by itself with this error, whose text says so. */
static void cannot_start(cluster_t *c, rdg_err_t err, const char *text) {
    cluster_start(c, 0);
    CHECK_EQ(cluster_exit(c, 0), 100 + err);
    cluster_log_has(c, 0, text);
}

TEST(a_port_that_another_program_uses_is_named) {
    cluster_t c;
    rdg_loop_t *loop = NULL;
    rdg_listener_t *taken = NULL;
    char address[64];
    cluster_init(&c, 1);
    CHECK_OK(rdg_loop_new(&loop));
    CHECK_OK(rdg_listen(loop, "127.0.0.1", c.p2p_ports[0], NULL, NULL, &taken));
    snprintf(address, sizeof address, "127.0.0.1:%u", c.p2p_ports[0]);
    cannot_start(&c, RDG_E_PORT_IN_USE, "peer mesh: ");
    cluster_log_has(&c, 0, address);
    rdg_listener_close(taken);
    CHECK_OK(rdg_listen(loop, "127.0.0.1", c.rpc_ports[0], NULL, NULL, &taken));
    snprintf(address, sizeof address, "127.0.0.1:%u", c.rpc_ports[0]);
    cannot_start(&c, RDG_E_PORT_IN_USE, "JSON-RPC: ");
    cluster_log_has(&c, 0, address);
    rdg_listener_close(taken);
    rdg_loop_free(loop);
    cluster_start(&c, 0);
    cluster_wait_height(&c, 0, 1);
    cluster_fini(&c);
}

TEST(a_key_that_is_missing_open_to_others_or_no_key_is_named) {
    cluster_t c;
    char path[600], aside[700];
    cluster_init(&c, 1);
    path_of(&c, "node.key", path);
    snprintf(aside, sizeof aside, "%s.aside", path);
    CHECK_EQ(rename(path, aside), 0);
    cannot_start(&c, RDG_E_NOT_FOUND, "node.key is missing: is this the directory of a node?");
    put_file(&c, "node.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    cannot_start(&c, RDG_E_CORRUPT, "no SM2 private key");
    CHECK_EQ(rename(aside, path), 0);
    CHECK_EQ(chmod(path, 0640), 0);
    cannot_start(&c, RDG_E_FORBIDDEN, "group or others may use it (mode 0640): run chmod 600");
    cluster_fini(&c);
}

TEST(broken_peers_are_named_with_file_entry_and_field) {
    static const char key[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
                              "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    static const struct {
        const char *text;
        rdg_err_t err;
        const char *reason;
    } cases[] = {
        {"", RDG_E_MALFORMED, "peers.json: JSON: line 1"},
        {"{}", RDG_E_INVALID, "peers.json: want an array of peers"},
        {"[7]", RDG_E_INVALID, "peers.json: peer 0: field"},
        {"[{\"name\":\"a\",\"host\":\"h\",\"port\":0,\"public_key\":\"%s\"}]", RDG_E_INVALID,
         "port: 0 is no port"},
        {"[{\"name\":\"a\",\"host\":\"h\",\"port\":70000,\"public_key\":\"%s\"}]", RDG_E_INVALID,
         "70000 is no port"},
        {"[{\"name\":\"A b\",\"host\":\"h\",\"port\":7,\"public_key\":\"%s\"}]", RDG_E_INVALID,
         "'A b' is no valid name"},
        {"[{\"name\":\"a\",\"host\":\"h\",\"port\":7,\"public_key\":\"12\"}]", RDG_E_INVALID, "public_key"},
        {"[{\"name\":\"a\",\"host\":\"h\",\"port\":7,\"public_key\":\"%s\"}]", RDG_E_MALFORMED,
         "peer 0: public_key"},
    };
    cluster_t c;
    cluster_init(&c, 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        char text[512];
        const char *hole = strstr(cases[i].text, "%s");
        if (hole)
            snprintf(text, sizeof text, "%.*s%s%s", (int)(hole - cases[i].text), cases[i].text, key,
                     hole + 2);
        else
            snprintf(text, sizeof text, "%s", cases[i].text);
        put_file(&c, "peers.json", text);
        cannot_start(&c, cases[i].err, cases[i].reason);
    }
    char path[600];
    path_of(&c, "peers.json", path);
    CHECK_EQ(unlink(path), 0);
    cannot_start(&c, RDG_E_NOT_FOUND, "peers.json is missing: is this the directory of a node?");
    cluster_fini(&c);
}

/* Roots that are good certificates, and not those that this node's own were issued under. */
TEST(roots_of_somebody_else_are_damage_and_are_named) {
    cluster_t c;
    rdg_test_ca_t other;
    char path[600], foreign[600], dir[600];
    rdg_buf_t roots;
    cluster_init(&c, 1);
    rdg_test_ca_init(&other, (int64_t)(rdg_wall_ms(rdg_clock_system()) / 1000));
    CHECK_OK(rdg_path_join(dir, sizeof dir, rdg_test_dir(), "other"));
    CHECK_OK(rdg_dir_make(dir, 0700));
    rdg_test_ca_write(&other, dir, "node", "x.y");
    CHECK_OK(rdg_path_join(foreign, sizeof foreign, dir, "roots.crt"));
    rdg_buf_init(&roots, 65536);
    CHECK_OK(rdg_file_read(foreign, &roots));
    put_file(&c, "roots.crt", rdg_buf_cstr(&roots));
    put_file(&c, "voted", "1\n");
    cannot_start(&c, RDG_E_CORRUPT, "do not verify under roots.crt");
    path_of(&c, "damaged", path);
    CHECK(rdg_file_exists(path));
    rdg_buf_fini(&roots);
    rdg_test_ca_fini(&other);
    cluster_fini(&c);
}

TEST(two_peers_with_one_key_are_refused) {
    cluster_t c;
    char path[600];
    rdg_buf_t text;
    json_t *peers = NULL;
    cluster_init(&c, 2);
    path_of(&c, "peers.json", path);
    rdg_buf_init(&text, 1u << 20);
    CHECK_OK(rdg_file_read(path, &text));
    CHECK_OK(rdg_json_parse(rdg_buf_view(&text), &peers));
    json_object_set(json_array_get(peers, 1), "public_key",
                    json_object_get(json_array_get(peers, 0), "public_key"));
    rdg_buf_clear(&text);
    CHECK_OK(rdg_json_dump(peers, &text));
    CHECK_OK(rdg_file_replace(path, rdg_buf_view(&text), 0600));
    cannot_start(&c, RDG_E_INVALID, "peer 1 (node-1) has the public key of peer 0 (node-0)");
    rdg_buf_fini(&text);
    json_decref(peers);
    cluster_fini(&c);
}

TEST(a_broken_genesis_is_named) {
    cluster_t c;
    char path[600];
    cluster_init(&c, 1);
    put_file(&c, "genesis.json", "{\"version\":1}");
    cluster_start(&c, 0);
    CHECK(cluster_exit(&c, 0) > 100);
    cluster_log_has(&c, 0, "genesis.json");
    put_file(&c, "genesis.json", "{");
    cannot_start(&c, RDG_E_MALFORMED, "genesis.json");
    path_of(&c, "genesis.json", path);
    CHECK_EQ(unlink(path), 0);
    cannot_start(&c, RDG_E_NOT_FOUND, "genesis.json is missing: is this the directory of a node?");
    cluster_fini(&c);
}

TEST(a_ledger_in_use_by_another_process_is_refused) {
    cluster_t c;
    cluster_init(&c, 1);
    cluster_start(&c, 0);
    cluster_wait_height(&c, 0, 1);
    pid_t first = c.pids[0];
    uint16_t p2p = c.p2p_ports[0], rpc = c.rpc_ports[0];
    c.p2p_ports[0] = c.rpc_ports[0] = 0;
    cannot_start(&c, RDG_E_BUSY, "LOCK");
    c.pids[0] = first;
    c.p2p_ports[0] = p2p;
    c.rpc_ports[0] = rpc;
    CHECK_EQ(cluster_height(&c, 0), 1);
    cluster_fini(&c);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

TEST(an_idle_node_needs_at_most_64_mib) {
#ifdef SANITIZED
    rdg_test_skip("a sanitizer's shadow memory is not the node's");
#else
    cluster_t c;
    cluster_init(&c, 4);
    cluster_start_all(&c);
    for (size_t i = 0; i < 4; ++i) cluster_wait_height(&c, i, 1);
    for (size_t i = 0; i < 4; ++i) {
        json_t *status = cluster_rpc(&c, i, "ridge_status", json_array(), NULL);
        json_int_t kib = json_integer_value(json_object_get(status, "rss_kib"));
        if (kib <= 0 || kib > 64 * 1024)
            rdg_test_fail(__FILE__, __LINE__, "node %zu has %lld KiB resident", i, (long long)kib);
        json_decref(status);
    }
    cluster_fini(&c);
#endif
}
