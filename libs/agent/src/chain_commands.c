#include "agent_internal.h"
#include "credentials.h"
#include "node_conf.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/client/rpc.h"
#include "ridge/codec/hex.h"
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY_MAX_MS 60000u
#define READY_LOOK_MS 20
#define GENESIS_BYTES_MAX (1u << 20)
#define PEERS_MAX 1024

void agent_rpc_url(const chain_t *c, char out[64]) {
    snprintf(out, 64, "http://127.0.0.1:%u", (unsigned)c->rpc_port);
}

/* --- ports ------------------------------------------------------------------------------------- */

void agent_release_ports(rdg_agent_t *a, const char *chain) {
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < HELD_PORTS_MAX; ++i) {
        held_ports_t *h = &a->held[i];
        if (!h->chain[0] || (chain && strcmp(h->chain, chain) != 0)) continue;
        close(h->p2p);
        close(h->rpc);
        h->chain[0] = '\0';
    }
    pthread_mutex_unlock(&a->lock);
}

static void hold_ports(rdg_agent_t *a, const char *chain, int p2p, int rpc) {
    pthread_mutex_lock(&a->lock);
    size_t i = 0;
    while (i < HELD_PORTS_MAX && a->held[i].chain[0]) ++i;
    if (i < HELD_PORTS_MAX) {
        snprintf(a->held[i].chain, sizeof a->held[i].chain, "%s", chain);
        a->held[i].p2p = p2p;
        a->held[i].rpc = rpc;
    }
    pthread_mutex_unlock(&a->lock);
    if (i < HELD_PORTS_MAX) return;
    close(p2p);
    close(rpc);
}

static rdg_err_t reserve_ports(rdg_agent_t *a, chain_t *c) {
    int p2p = -1, rpc = -1;
    RDG_TRY(port_reserve(node_conf_p2p_host(a), &c->p2p_port, &p2p));
    rdg_err_t err = port_reserve("127.0.0.1", &c->rpc_port, &rpc);
    if (err == RDG_OK)
        hold_ports(a, c->name, p2p, rpc);
    else
        close(p2p);
    return err;
}

/* --- chain.prepare ------------------------------------------------------------------------------ */

/* A reference without a registry means the cloud's own; none at all, its node of this version. */
static rdg_err_t full_reference(const rdg_agent_t *a, const char *image, char *out, size_t size) {
    size_t len = strlen(a->cloud_url);
    while (len > 0 && a->cloud_url[len - 1] == '/') --len;
    int n;
    if (strchr(image, '/'))
        n = snprintf(out, size, "%s", image);
    else if (len == 0)
        return rdg_fail(RDG_E_INVALID, "image '%.100s' names no registry, and this agent knows no cloud",
                        image);
    else
        n = snprintf(out, size, "%.*s/%s", (int)len, a->cloud_url,
                     image[0] ? image : "ridge-node:" RIDGE_VERSION);
    if (n >= 0 && (size_t)n < size) return RDG_OK;
    return rdg_fail(RDG_E_TOO_LARGE, "the image reference is longer than %zu bytes", size - 1);
}

static rdg_err_t choose_driver(rdg_agent_t *a, const command_t *c, chain_t *chain) {
    const char *driver = "auto", *image = "";
    rdg_container_driver_t *d = NULL;
    RDG_TRY(rdg_json_opt_str(c->params, "driver", &driver));
    RDG_TRY(rdg_json_opt_str(c->params, "image", &image));
    if (strcmp(driver, "auto") == 0 && image[0] && workloads_driver(a->workloads, "oci", &d) == RDG_OK)
        driver = "oci";
    else if (strcmp(driver, "auto") == 0 && image[0] &&
             workloads_driver(a->workloads, "docker", &d) == RDG_OK)
        driver = "docker";
    else if (strcmp(driver, "auto") == 0 && workloads_driver(a->workloads, "process", &d) == RDG_OK)
        driver = "process";
    RDG_TRY(workloads_driver(a->workloads, driver, &d));
    if (strcmp(d->name, "process") != 0) RDG_TRY(full_reference(a, image, chain->image, sizeof chain->image));
    snprintf(chain->driver, sizeof chain->driver, "%s", d->name);
    return RDG_OK;
}

typedef struct image_progress {
    executor_run_t *at;
    unsigned last;
} image_progress_t;

static bool image_progressed(void *ctx, const char *step, uint64_t done, uint64_t total) {
    image_progress_t *p = ctx;
    (void)step;
    unsigned percent = total ? (unsigned)(done >= total ? 99 : done * 100 / total) : 0;
    if (percent >= p->last + 5) {
        p->last = percent;
        executor_progress(p->at, "image", percent);
    }
    return !executor_stopping(p->at);
}

/* Takes requests. */
static rdg_err_t prepared(rdg_agent_t *a, const chain_t *chain, const rdg_sm2_key_t *key, json_t *requests,
                          json_t **result) {
    rdg_sm2_public_t pub;
    rdg_address_t address, account;
    char pub_hex[129], address_hex[43] = "0x", account_hex[43] = "0x";
    rdg_sm2_key_public(key, &pub);
    rdg_sm2_address(&pub, &address);
    intake_account(a->intake, &account);
    rdg_hex_encode(pub.b, sizeof pub.b, pub_hex);
    rdg_hex_encode(address.b, sizeof address.b, address_hex + 2);
    rdg_hex_encode(account.b, sizeof account.b, account_hex + 2);
    *result = json_pack("{s:s, s:s, s:s, s:i, s:i, s:s, s:s, s:o}", "public_key", pub_hex, "address",
                        address_hex, "p2p_host", a->advertise_host, "p2p_port", (int)chain->p2p_port,
                        "rpc_port", (int)chain->rpc_port, "driver", chain->driver, "intake_account",
                        account_hex, "certificate_requests", requests);
    return *result ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for the result");
}

static rdg_err_t make_requests(rdg_agent_t *a, const chain_t *chain, json_t **out) {
    char dir[CHAIN_PATH_MAX], name[RDG_CERT_DNS_MAX];
    RDG_TRY(chain_path(a->dir, chain->name, "node", dir));
    certificates_name(a->name, chain->name, name);
    return credentials_requests(dir, CREDENTIALS_NODE_PREFIX, name, out);
}

static rdg_err_t prepare(rdg_agent_t *a, const command_t *c, executor_run_t *at, json_t **result) {
    chain_t chain;
    char path[CHAIN_PATH_MAX];
    rdg_sm2_key_t *key = NULL;
    rdg_container_driver_t *d = NULL;
    executor_progress(at, "keys", 0);
    bool known = workloads_get(a->workloads, c->chain, &chain) == RDG_OK;
    if (!known) {
        memset(&chain, 0, sizeof chain);
        snprintf(chain.name, sizeof chain.name, "%s", c->chain);
        RDG_TRY(choose_driver(a, c, &chain));
        RDG_TRY(reserve_ports(a, &chain));
    }
    RDG_TRY(chain_path(a->dir, c->chain, "node", path));
    RDG_TRY(rdg_dir_make(path, 0700));
    /* The record before the key: whatever a power cut leaves, chain.remove finds it. */
    if (!known) RDG_TRY(workloads_put(a->workloads, &chain));
    RDG_TRY(chain_path(a->dir, c->chain, "node/node.key", path));
    RDG_TRY(rdg_sm2_key_load_or_generate(path, &key));
    executor_progress(at, "image", 0);
    image_progress_t progress = {at, 0};
    rdg_err_t err = workloads_driver(a->workloads, chain.driver, &d);
    if (err == RDG_OK) {
        agent_make_room(a, a->image_bytes);
        err = d->prepare(d->ctx, chain.image, image_progressed, &progress);
    }
    /* A full disk: what no workload needs goes, and one more attempt. */
    if (err == RDG_E_DISK_FULL && chain.image[0]) {
        rdg_log_err("image.disk_full", err);
        agent_make_room(a, 0);
        err = d->prepare(d->ctx, chain.image, image_progressed, &progress);
    }
    json_t *requests = NULL;
    if (err == RDG_OK) err = make_requests(a, &chain, &requests);
    if (err == RDG_OK) err = prepared(a, &chain, key, requests, result);
    rdg_sm2_key_free(key);
    return err;
}

/* --- chain.start -------------------------------------------------------------------------------- */

static rdg_err_t read_json(const char *path, json_t **out) {
    rdg_buf_t text;
    rdg_buf_init(&text, GENESIS_BYTES_MAX);
    rdg_err_t err = rdg_file_read_plain(path, false, &text);
    if (err == RDG_OK) err = rdg_json_parse(rdg_buf_view(&text), out);
    rdg_buf_fini(&text);
    return err;
}

/* Writes it when it is not what the file holds; *changed is then set. */
static rdg_err_t write_json(const char *path, const json_t *value, bool *changed) {
    json_t *old = NULL;
    bool same = read_json(path, &old) == RDG_OK && json_equal(old, value);
    json_decref(old);
    if (same) return RDG_OK;
    rdg_buf_t text;
    rdg_buf_init(&text, GENESIS_BYTES_MAX);
    rdg_err_t err = rdg_json_dump_pretty(value, &text);
    if (err == RDG_OK) err = rdg_file_replace(path, rdg_buf_view(&text), 0644);
    rdg_buf_fini(&text);
    *changed = true;
    return err;
}

/* The copy first and the digest, with the chain's record, last: the guard of node_conf.h believes nothing between. */
static rdg_err_t write_peers(const rdg_agent_t *a, chain_t *chain, const json_t *peers, bool *changed) {
    static const char *const places[] = {NODE_PEERS_COPY, NODE_PEERS};
    char path[CHAIN_PATH_MAX];
    if (json_array_size(peers) > PEERS_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "%zu peers, at most %d", json_array_size(peers), PEERS_MAX);
    for (size_t i = 0; i < 2; ++i) {
        bool other = false;
        RDG_TRY(chain_path(a->dir, chain->name, places[i], path));
        RDG_TRY(write_json(path, peers, &other));
        if (i == 1 && other) *changed = true;
    }
    return node_conf_digest(path, &chain->peers);
}

static rdg_err_t configure(rdg_agent_t *a, const command_t *c, chain_t *chain, bool *changed) {
    json_t *genesis = NULL, *peers = NULL, *old = NULL, *certificates = NULL;
    rdg_container_driver_t *driver = NULL;
    char genesis_path[CHAIN_PATH_MAX], data[CHAIN_PATH_MAX];
    RDG_TRY(rdg_json_get_object(c->params, "genesis", &genesis));
    RDG_TRY(rdg_json_get_array(c->params, "peers", &peers));
    RDG_TRY(rdg_json_get_object(c->params, "certificates", &certificates));
    chain->snapshot_gap = 0;
    RDG_TRY(rdg_json_opt_u64(c->params, "snapshot_gap", &chain->snapshot_gap));
    RDG_TRY(workloads_driver(a->workloads, chain->driver, &driver));
    RDG_TRY(chain_path(a->dir, chain->name, "node/genesis.json", genesis_path));
    RDG_TRY(chain_path(a->dir, chain->name, "node/data", data));
    bool other = read_json(genesis_path, &old) == RDG_OK && !json_equal(old, genesis);
    json_decref(old);
    if (other && rdg_file_exists(data))
        return rdg_fail(
            RDG_E_CONFLICT,
            "chain %s has a ledger of another genesis on this device: remove the chain, then create it "
            "again",
            chain->name);
    RDG_TRY(certificates_install_node(a->certificates, chain->name, certificates));
    RDG_TRY(write_json(genesis_path, genesis, changed));
    RDG_TRY(write_peers(a, chain, peers, changed));
    chain->configured = true;
    return node_conf_write(a, chain, driver, changed);
}

/* The last line that says what is wrong, for a person who cannot reach the device's log. */
static void last_words(rdg_agent_t *a, const chain_t *chain, char *out, size_t size) {
    char path[CHAIN_PATH_MAX], tail[2048];
    snprintf(out, size, "see node.log");
    if (chain_path(a->dir, chain->name, "node/node.log", path) != RDG_OK) return;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    FILE *f = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? fdopen(fd, "r") : NULL;
    if (!f && fd >= 0) close(fd);
    if (!f) return;
    (void)fseek(f, 0, SEEK_END);
    long len = ftell(f);
    (void)fseek(f, len > (long)sizeof tail - 1 ? len - ((long)sizeof tail - 1) : 0, SEEK_SET);
    size_t n = fread(tail, 1, sizeof tail - 1, f);
    fclose(f);
    while (n > 0 && tail[n - 1] == '\n') --n;
    tail[n] = '\0';
    const char *line = strrchr(tail, '\n');
    line = line ? line + 1 : tail;
    if (line[0]) snprintf(out, size, "%.300s", line);
}

static rdg_err_t ended_early(rdg_agent_t *a, chain_t *chain) {
    static const rdg_err_t codes[] = {[2] = RDG_E_INVALID, [3] = RDG_E_CORRUPT, [4] = RDG_E_PORT_IN_USE};
    char words[320];
    workload_view_t v;
    int status = -1;
    /* The supervisor may have started it again already. */
    if (workloads_status(a->workloads, chain->name, &v) == RDG_OK)
        status = v.status.state == RDG_CONTAINER_EXITED ? v.status.exit_status : v.last_exit;
    int code = status >= 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    last_words(a, chain, words, sizeof words);
    chain->desired = CHAIN_STOPPED;
    (void)workloads_put(a->workloads, chain);
    (void)workloads_halt(a->workloads, chain->name);
    return rdg_fail(code >= 2 && code <= 4 ? codes[code] : RDG_E_INTERNAL,
                    "the node of chain %s ended with status %d as it started: %s", chain->name, code, words);
}

static rdg_err_t await_ready(rdg_agent_t *a, const command_t *c, chain_t *chain, executor_run_t *at,
                             rdg_rpc_head_t *head) {
    char url[64];
    int fd = -1;
    rdg_rpc_t *rpc = NULL;
    uint64_t now = rdg_mono_ms(rdg_clock_system()), wall = rdg_wall_ms(rdg_clock_system());
    uint64_t left = c->deadline_ms > wall ? c->deadline_ms - wall : READY_MAX_MS;
    uint64_t end = now + (left < READY_MAX_MS ? left : READY_MAX_MS);
    if (workloads_watch(a->workloads, chain->name, &fd) != RDG_OK) return ended_early(a, chain);
    agent_rpc_url(chain, url);
    rdg_err_t err = rdg_rpc_http_new(url, 2000, &rpc);
    while (err == RDG_OK && (err = rdg_rpc_head(rpc, head)) != RDG_OK) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, READY_LOOK_MS) > 0) {
            err = ended_early(a, chain);
        } else if (executor_stopping(at)) {
            err = rdg_fail(RDG_E_CANCELLED, "the agent stops");
        } else if (rdg_mono_ms(rdg_clock_system()) >= end) {
            err = rdg_fail(RDG_E_TIMEOUT, "the node of chain %s runs, but %s does not answer: %s",
                           chain->name, url, rdg_err_message(err));
        } else {
            err = RDG_OK;
        }
    }
    rdg_rpc_http_free(rpc);
    close(fd);
    return err;
}

rdg_err_t agent_start_chain(rdg_agent_t *a, const command_t *c, executor_run_t *at, json_t **result) {
    chain_t chain;
    bool changed = false;
    rdg_rpc_head_t head = {0};
    char url[64];
    executor_progress(at, "configure", 0);
    RDG_TRY(workloads_get(a->workloads, c->chain, &chain));
    RDG_TRY(configure(a, c, &chain, &changed));
    RDG_TRY(rdg_json_opt_u64(c->params, "memory_bytes", &chain.memory_bytes));
    RDG_TRY(rdg_json_opt_u64(c->params, "cpu_millis", &chain.cpu_millis));
    RDG_TRY(rdg_json_opt_u64(c->params, "pids", &chain.pids));
    executor_progress(at, "start", 30);
    if (changed) RDG_TRY(workloads_halt(a->workloads, chain.name));
    agent_release_ports(a, chain.name);
    chain.desired = CHAIN_RUNNING;
    RDG_TRY(workloads_put(a->workloads, &chain));
    RDG_TRY(workloads_run(a->workloads, chain.name));
    executor_progress(at, "ready", 60);
    RDG_TRY(await_ready(a, c, &chain, at, &head));
    agent_rpc_url(&chain, url);
    *result = json_pack("{s:s, s:I}", "rpc_url", url, "height", (json_int_t)head.height);
    return *result ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for the result");
}

/* --- the others ---------------------------------------------------------------------------------- */

static rdg_err_t stop(rdg_agent_t *a, const command_t *c) {
    chain_t chain;
    RDG_TRY(workloads_get(a->workloads, c->chain, &chain));
    chain.desired = CHAIN_STOPPED;
    RDG_TRY(workloads_put(a->workloads, &chain));
    return workloads_halt(a->workloads, chain.name);
}

static rdg_err_t remove_chain(rdg_agent_t *a, const command_t *c, executor_run_t *at, json_t **result) {
    bool discard = false;
    uint64_t freed = 0, archived = 0;
    RDG_TRY(rdg_json_opt_bool(c->params, "discard", &discard));
    RDG_TRY(rdg_json_opt_u64(c->params, "archived", &archived));
    if (!discard && archived == 0)
        return rdg_fail(RDG_E_CONFLICT,
                        "the ledger of chain %s has no verified archive: say \"discard\": true to "
                        "delete it all the same",
                        c->chain);
    if (!discard) RDG_TRY(agent_check_archived(a, c->chain, at, archived));
    RDG_TRY(intake_unbind(a->intake, c->chain));
    agent_release_ports(a, c->chain);
    RDG_TRY(workloads_remove(a->workloads, c->chain, &freed));
    agent_make_room(a, a->image_bytes);
    *result = json_pack("{s:I}", "freed_bytes", (json_int_t)freed);
    return *result ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for the result");
}

/* The node reads the file again by itself: nothing is restarted. */
static rdg_err_t set_peers(rdg_agent_t *a, const command_t *c) {
    chain_t chain;
    json_t *peers = NULL;
    bool changed = false;
    RDG_TRY(workloads_get(a->workloads, c->chain, &chain));
    RDG_TRY(rdg_json_get_array(c->params, "peers", &peers));
    RDG_TRY(write_peers(a, &chain, peers, &changed));
    return workloads_put(a->workloads, &chain);
}

static rdg_err_t bind_intake(rdg_agent_t *a, const command_t *c, json_t **result) {
    chain_t chain;
    rdg_address_t contract, account;
    RDG_TRY(workloads_get(a->workloads, c->chain, &chain));
    RDG_TRY(rdg_json_get_hex(c->params, "contract", contract.b, sizeof contract.b));
    RDG_TRY(intake_bind(a->intake, c->chain, &contract));
    intake_account(a->intake, &account);
    *result = json_pack("{s:o}", "account", rdg_json_hex(account.b, sizeof account.b));
    return *result ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for the result");
}

rdg_err_t agent_run_command(void *agent, const command_t *c, executor_run_t *at, json_t **result) {
    rdg_agent_t *a = agent;
    rdg_err_t err;
    rdg_metric_add(a->m_commands, 1);
    if (strcmp(c->type, "agent.update") == 0) return agent_update(a, c, at, result);
    if (!c->chain[0]) return rdg_fail(RDG_E_INVALID, "%s needs params.chain", c->type);
    if (strcmp(c->type, "chain.prepare") == 0)
        err = prepare(a, c, at, result);
    else if (strcmp(c->type, "chain.start") == 0)
        err = agent_start_chain(a, c, at, result);
    else if (strcmp(c->type, "chain.recover") == 0)
        err = agent_recover_chain(a, c, at, result);
    else if (strcmp(c->type, "chain.stop") == 0)
        err = stop(a, c);
    else if (strcmp(c->type, "chain.peers") == 0)
        err = set_peers(a, c);
    else if (strcmp(c->type, "chain.archive") == 0)
        err = chain_archive(a, c, at, result);
    else if (strcmp(c->type, "chain.prune") == 0)
        err = chain_prune(a, c, at, result);
    else if (strcmp(c->type, "chain.close") == 0)
        err = agent_close_chain(a, c, at, result);
    else if (strcmp(c->type, "chain.remove") == 0)
        err = remove_chain(a, c, at, result);
    else if (strcmp(c->type, "intake.bind") == 0)
        err = bind_intake(a, c, result);
    else if (strcmp(c->type, "intake.unbind") == 0)
        err = intake_unbind(a->intake, c->chain);
    else
        err = rdg_fail(RDG_E_UNSUPPORTED, "agent %s knows no command '%s': upgrade the agent", RIDGE_VERSION,
                       c->type);
    telemetry_kick(a->telemetry);
    return err;
}
