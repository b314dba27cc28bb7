/* The first part of chain.recover when the cloud names archives: they are brought in before the node takes part.
 *
 *   archive n of m: download   the file, through the link, into <node>/restore
 *   archive n of m: import     by the node, which runs without links as long as <node>/restore is there (libs/node,
 *                              restore.c), and which verifies every hash, root and seal
 *
 * One file at a time is on the device. <node>/restore/done holds how many are imported; what a crash has cut off is asked
 * for again, and nothing is brought in twice. */
#include "agent_internal.h"
#include "download.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/client/rpc.h"
#include "ridge/codec/hex.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ARCHIVES_MAX 100000
#define RPC_MS 10000u
#define LOOK_FIRST_MS 20u
#define LOOK_LAST_MS 500u
#define NODE_AWAY_MS 600000u /* that it may take to answer again after it ended */

typedef struct restore {
    rdg_agent_t *a;
    const command_t *c;
    executor_run_t *at;
    int fd; /* of <node>/restore, into which the node may write while it runs: whatever is put in its place later */
    char dir[32]; /* by that */
    char done[48], url[64];
    size_t i, count;
} restore_t;

typedef struct wanted {
    uint64_t file, size;
    rdg_hash_t digest, manifest;
    const char *kind;
    json_t *key; /* of an encrypted archive, wrapped for the node; borrowed; NULL: none */
    char name[64], path[128];
} wanted_t;

static bool over(const restore_t *r) {
    return executor_stopping(r->at) ||
           (r->c->deadline_ms && rdg_wall_ms(rdg_clock_system()) >= r->c->deadline_ms);
}

static void tell(restore_t *r, const char *what, uint64_t part, uint64_t whole) {
    char step[64];
    snprintf(step, sizeof step, "archive %zu of %zu: %s", r->i + 1, r->count, what);
    executor_progress(r->at, step, whole ? (unsigned)(part * 100 / whole) : 0);
}

/* The command has each key once. */
static rdg_err_t find_key(const restore_t *r, const json_t *o, json_t **out) {
    const char *id = NULL;
    size_t i;
    json_t *key;
    *out = NULL;
    RDG_TRY(rdg_json_opt_str(o, "key", &id));
    if (!id) return RDG_OK;
    json_array_foreach(json_object_get(r->c->params, "keys"), i, key) {
        const char *known = json_string_value(json_object_get(key, "id"));
        if (!known || strcmp(known, id) != 0) continue;
        *out = key;
        return RDG_OK;
    }
    return rdg_fail(RDG_E_INVALID, "key '%.64s' of chain %s is not in the command", id, r->c->chain);
}

static rdg_err_t read_wanted(const restore_t *r, const json_t *o, wanted_t *w) {
    RDG_TRY(find_key(r, o, &w->key));
    RDG_TRY(rdg_json_get_u64(o, "file", &w->file));
    RDG_TRY(rdg_json_get_u64(o, "size", &w->size));
    RDG_TRY(rdg_json_get_hex(o, "sm3", w->digest.b, sizeof w->digest.b));
    RDG_TRY(rdg_json_get_hex(o, "manifest", w->manifest.b, sizeof w->manifest.b));
    RDG_TRY(rdg_json_get_str(o, "kind", &w->kind));
    snprintf(w->name, sizeof w->name, "%llu.archive", (unsigned long long)w->file);
    return rdg_path_join(w->path, sizeof w->path, r->dir, w->name);
}

/* --- download -------------------------------------------------------------------------------------------------- */

typedef struct fetching {
    restore_t *r;
    uint64_t size;
} fetching_t;

static bool go_on(void *ctx, uint64_t bytes) {
    fetching_t *f = ctx;
    tell(f->r, "download", bytes, f->size);
    return !over(f->r);
}

static rdg_err_t fetch(restore_t *r, const wanted_t *w) {
    fetching_t f = {r, w->size};
    download_t d = {
        .file = w->file, .size = w->size, .digest = w->digest, .path = w->path, .go_on = go_on, .ctx = &f};
    return download(&d, uplink_socket(r->a->uplink, UPLINK_COLLECT));
}

/* --- import ---------------------------------------------------------------------------------------------------- */

/* The supervisor starts a node that ended again: then it goes on with the same file. */
static bool is_away(rdg_err_t err) {
    return err == RDG_E_UNAVAILABLE || err == RDG_E_CLOSED || err == RDG_E_TIMEOUT || err == RDG_E_BUSY ||
           err == RDG_E_CANCELLED;
}

static rdg_err_t import(restore_t *r, const wanted_t *w, const rdg_rpc_t *rpc) {
    uint64_t away_since = 0;
    for (unsigned wait = LOOK_FIRST_MS;; wait = wait * 2 < LOOK_LAST_MS ? wait * 2 : LOOK_LAST_MS) {
        json_t *state = NULL;
        const char *word = "";
        uint64_t blocks = 0, total = 0, now = rdg_mono_ms(rdg_clock_system());
        json_t *params = json_pack("[s, o, s, O?]", w->name,
                                   rdg_json_hex(w->manifest.b, sizeof w->manifest.b), w->kind, w->key);
        if (!params) return rdg_fail(RDG_E_NO_MEMORY, "no memory for an order");
        rdg_err_t err = node_ask(r->a, r->c->chain, rpc, "node_importArchive", params, &state);
        json_decref(params);
        if (err != RDG_OK && !is_away(err)) return err;
        if (err == RDG_OK) away_since = 0;
        if (err != RDG_OK && away_since == 0) away_since = now;
        if (away_since && now - away_since > NODE_AWAY_MS) return err;
        (void)rdg_json_opt_str(state, "state", &word);
        (void)rdg_json_opt_u64(state, "blocks", &blocks);
        (void)rdg_json_opt_u64(state, "blocks_total", &total);
        bool done = strcmp(word, "done") == 0;
        tell(r, "import", blocks, total);
        json_decref(state);
        if (done) return RDG_OK;
        if (over(r)) return rdg_fail(RDG_E_CANCELLED, "the agent stops, or the command's deadline is over");
        (void)poll(NULL, 0, (int)wait);
    }
}

/* --- all of them ----------------------------------------------------------------------------------------------- */

static size_t done_before(const restore_t *r) {
    rdg_buf_t text;
    unsigned long long n = 0;
    rdg_buf_init(&text, 64);
    if (rdg_file_read_plain(r->done, false, &text) != RDG_OK ||
        sscanf(rdg_buf_cstr(&text), "%llu", &n) != 1 || n > r->count)
        n = 0;
    rdg_buf_fini(&text);
    return (size_t)n;
}

static rdg_err_t set_done(const restore_t *r, size_t n) {
    char text[32];
    snprintf(text, sizeof text, "%zu\n", n);
    return rdg_file_replace(r->done, rdg_bytes_str(text), 0600);
}

static rdg_err_t bring_in(restore_t *r, const json_t *archives, const rdg_rpc_t *rpc) {
    for (r->i = done_before(r); r->i < r->count; ++r->i) {
        wanted_t w;
        RDG_TRY(rdg_fail_in(read_wanted(r, json_array_get(archives, r->i), &w), "archives"));
        rdg_err_t err = fetch(r, &w);
        if (err == RDG_OK) err = import(r, &w, rpc);
        if (err != RDG_OK) return rdg_fail_in(err, "archive %zu of %zu", r->i + 1, r->count);
        RDG_TRY(set_done(r, r->i + 1));
        if (unlink(w.path) != 0 && errno != ENOENT) return rdg_fail_errno(errno, "cannot remove %s", w.path);
        rdg_log(RDG_LOG_INFO, "chain.restored", RDG_STR("chain", r->c->chain), RDG_STR("kind", w.kind),
                RDG_U64("archive", r->i + 1), RDG_U64("of", r->count));
    }
    return RDG_OK;
}

static rdg_err_t open_place(restore_t *r) {
    char path[CHAIN_PATH_MAX];
    RDG_TRY(chain_path(r->a->dir, r->c->chain, "node/restore", path));
    RDG_TRY(rdg_dir_make(path, 0755));
    r->fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (r->fd < 0) return rdg_fail_errno(errno, "cannot open %s", path);
    snprintf(r->dir, sizeof r->dir, "/proc/self/fd/%d", r->fd);
    return rdg_path_join(r->done, sizeof r->done, r->dir, "done");
}

/* What the agent's end leaves for its next start, the command's leaves to nobody. */
static rdg_err_t end_of_time(const restore_t *r, rdg_err_t err) {
    if (err != RDG_E_CANCELLED || executor_stopping(r->at)) return err;
    return rdg_fail(RDG_E_TIMEOUT,
                    "the command's deadline was over with %zu of %zu archives imported: order it again", r->i,
                    r->count);
}

rdg_err_t agent_restore_chain(rdg_agent_t *a, const command_t *c, executor_run_t *at,
                              const json_t *archives) {
    restore_t r = {.a = a, .c = c, .at = at, .fd = -1, .count = json_array_size(archives)};
    json_t *ignored = NULL;
    chain_t chain;
    rdg_rpc_t *rpc = NULL;
    if (r.count > ARCHIVES_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "%zu archives, at most %d", r.count, ARCHIVES_MAX);
    rdg_err_t err = open_place(&r);
    if (err == RDG_OK) err = agent_start_chain(a, c, at, &ignored);
    json_decref(ignored);
    if (err == RDG_OK) err = workloads_get(a->workloads, c->chain, &chain);
    if (err == RDG_OK) agent_rpc_url(&chain, r.url);
    if (err == RDG_OK) err = rdg_rpc_http_new(r.url, RPC_MS, &rpc);
    if (err == RDG_OK) err = end_of_time(&r, bring_in(&r, archives, rpc));
    if (rpc) rdg_rpc_http_free(rpc);
    if (r.fd >= 0) close(r.fd);
    RDG_TRY(err);
    chain.desired = CHAIN_STOPPED;
    RDG_TRY(workloads_put(a->workloads, &chain));
    return workloads_halt(a->workloads, chain.name);
}
