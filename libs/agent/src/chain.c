#include "chain.h"
#include "state_file.h"
#include "ridge/base/file.h"
#include "ridge/base/random.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT_LOW 20000u
#define PORT_HIGH 32000u
#define PORT_TRIES 200

static const char *const desired_names[] = {"stopped", "running", "removed"};

rdg_err_t chain_path(const char *dir, const char *name, const char *leaf, char out[CHAIN_PATH_MAX]) {
    int n = snprintf(out, CHAIN_PATH_MAX, "%s/chains/%s%s%s", dir, name, leaf ? "/" : "", leaf ? leaf : "");
    if (n < 0 || n >= CHAIN_PATH_MAX) return rdg_fail(RDG_E_TOO_LARGE, "%s is too long for a directory", dir);
    return RDG_OK;
}

/* Of all other fields. Without it a changed digit is as good a record as the one that was kept. */
#define CHECK_FIELD "sm3"

static rdg_err_t check_of(const json_t *o, rdg_hash_t *out) {
    rdg_buf_t text;
    json_t *rest = json_copy((json_t *)(uintptr_t)o);
    rdg_buf_init(&text, 8192);
    if (rest) (void)json_object_del(rest, CHECK_FIELD);
    rdg_err_t err = rest ? rdg_json_dump(rest, &text) : rdg_fail(RDG_E_NO_MEMORY, "no memory for a record");
    if (err == RDG_OK) rdg_sm3(text.data, text.len, out);
    rdg_buf_fini(&text);
    json_decref(rest);
    return err;
}

static rdg_err_t add_check(json_t *o) {
    rdg_hash_t digest;
    RDG_TRY(check_of(o, &digest));
    return json_object_set_new(o, CHECK_FIELD, rdg_json_hex(digest.b, sizeof digest.b)) == 0
               ? RDG_OK
               : rdg_fail(RDG_E_NO_MEMORY, "no memory for a record");
}

/* Records of older agents have none. */
static rdg_err_t verify_check(const json_t *o) {
    rdg_hash_t digest, kept;
    if (!json_object_get(o, CHECK_FIELD)) return RDG_OK;
    RDG_TRY(rdg_json_get_hex(o, CHECK_FIELD, kept.b, sizeof kept.b));
    RDG_TRY(check_of(o, &digest));
    return rdg_hash_equal(&digest, &kept) ? RDG_OK : rdg_fail(RDG_E_CORRUPT, "it is not what was kept");
}

rdg_err_t chain_save(const char *dir, const chain_t *c) {
    char path[CHAIN_PATH_MAX];
    RDG_TRY(chain_path(dir, c->name, NULL, path));
    RDG_TRY(rdg_dir_make(path, 0700));
    RDG_TRY(chain_path(dir, c->name, "chain.json", path));
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:I, s:I, s:I}", "chain", c->name, "desired",
                  desired_names[c->desired], "driver", c->driver, "image", c->image, "p2p_port",
                  (int)c->p2p_port, "rpc_port", (int)c->rpc_port, "memory_bytes", (json_int_t)c->memory_bytes,
                  "cpu_millis", (json_int_t)c->cpu_millis, "pids", (json_int_t)c->pids);
    if (o && c->configured)
        (void)json_object_set_new(o, "snapshot_gap", json_integer((json_int_t)c->snapshot_gap));
    if (o && !rdg_hash_is_zero(&c->peers))
        (void)json_object_set_new(o, "peers_sm3", rdg_json_hex(c->peers.b, sizeof c->peers.b));
    rdg_buf_t text;
    rdg_buf_init(&text, 8192);
    rdg_err_t err = o ? add_check(o) : rdg_fail(RDG_E_NO_MEMORY, "no memory for a record");
    if (err == RDG_OK) err = rdg_json_dump_pretty(o, &text);
    if (err == RDG_OK) err = state_file_save(path, rdg_buf_view(&text), 0600);
    rdg_buf_fini(&text);
    json_decref(o);
    return rdg_fail_in(err, "cannot keep the desired state of chain %s", c->name);
}

static rdg_err_t take(const json_t *o, chain_t *c) {
    const char *desired = NULL, *driver = NULL, *image = "";
    uint64_t p2p_port = 0, rpc_port = 0;
    RDG_TRY(rdg_json_get_str(o, "desired", &desired));
    RDG_TRY(rdg_json_get_str(o, "driver", &driver));
    RDG_TRY(rdg_json_opt_str(o, "image", &image));
    RDG_TRY(rdg_json_get_u64(o, "p2p_port", &p2p_port));
    RDG_TRY(rdg_json_get_u64(o, "rpc_port", &rpc_port));
    RDG_TRY(rdg_json_opt_u64(o, "memory_bytes", &c->memory_bytes));
    RDG_TRY(rdg_json_opt_u64(o, "cpu_millis", &c->cpu_millis));
    RDG_TRY(rdg_json_opt_u64(o, "pids", &c->pids));
    RDG_TRY(rdg_json_opt_u64(o, "snapshot_gap", &c->snapshot_gap));
    c->configured = json_object_get(o, "snapshot_gap") != NULL;
    if (json_object_get(o, "peers_sm3"))
        RDG_TRY(rdg_json_get_hex(o, "peers_sm3", c->peers.b, sizeof c->peers.b));
    size_t d = 0;
    while (d < 3 && strcmp(desired, desired_names[d]) != 0) ++d;
    if (d == 3 || p2p_port > UINT16_MAX || rpc_port > UINT16_MAX || strlen(driver) >= sizeof c->driver ||
        strlen(image) >= sizeof c->image)
        return rdg_fail(RDG_E_CORRUPT, "a value is out of its range");
    c->desired = (chain_desired_t)d;
    c->p2p_port = (uint16_t)p2p_port;
    c->rpc_port = (uint16_t)rpc_port;
    snprintf(c->driver, sizeof c->driver, "%s", driver);
    snprintf(c->image, sizeof c->image, "%s", image);
    return RDG_OK;
}

static rdg_err_t take_text(void *ctx, rdg_bytes_t text) {
    json_t *o = NULL;
    rdg_err_t err = rdg_json_parse(text, &o);
    if (err == RDG_OK) err = verify_check(o);
    if (err == RDG_OK) err = take(o, ctx);
    json_decref(o);
    return err;
}

rdg_err_t chain_load(const char *dir, const char *name, chain_t *out) {
    char path[CHAIN_PATH_MAX];
    memset(out, 0, sizeof *out);
    snprintf(out->name, sizeof out->name, "%s", name);
    RDG_TRY(chain_path(dir, name, "chain.json", path));
    rdg_err_t err = state_file_load(path, 8192, 0600, take_text, out);
    if (err == RDG_OK || err == RDG_E_NO_MEMORY || err == RDG_E_IO) return err;
    if (err == RDG_E_NOT_FOUND)
        return rdg_fail(RDG_E_NOT_FOUND, "chain %s is not on this device: prepare it first", name);
    rdg_err_t why = rdg_fail_in(err, "%s holds no desired state", path);
    return rdg_fail(RDG_E_CORRUPT, "%s", rdg_err_message(why));
}

rdg_err_t port_reserve(const char *host, uint16_t *port, int *fd) {
    struct sockaddr_in a = {.sin_family = AF_INET};
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
        return rdg_fail(RDG_E_INVALID, "'%s' is no IPv4 address to listen on", host);
    for (int i = 0; i < PORT_TRIES; ++i) {
        uint16_t candidate =
            (uint16_t)(PORT_LOW + rdg_random_below(rdg_random_system(), PORT_HIGH - PORT_LOW));
        a.sin_port = htons(candidate);
        int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (s < 0) return rdg_fail_errno(errno, "cannot make a socket");
        if (bind(s, (struct sockaddr *)&a, sizeof a) == 0) {
            *port = candidate;
            *fd = s;
            return RDG_OK;
        }
        close(s);
    }
    return rdg_fail(RDG_E_PORT_IN_USE, "no free TCP port between %u and %u on %s", PORT_LOW, PORT_HIGH, host);
}
