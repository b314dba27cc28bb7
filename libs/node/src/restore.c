/* A ledger that is built from archives before the node takes part (docs/recovery.md).
 *
 * While <dir>/restore is there, the node runs without links, votes and proposals: it answers JSON-RPC, and imports the files
 * in that directory which node_importArchive names, one at a time, on a thread of its own. Whoever put the directory there
 * (the agent) removes it and starts the node again. What is durable stays: after any end the same files are asked for
 * again, and what they brought in is not brought in twice. */
#include "internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/ledger/archive.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define NAME "restore"

static const char *const kinds[] = {
    [RESTORE_HEADERS] = "headers", [RESTORE_STATE] = "state", [RESTORE_BLOCKS] = "blocks"};

void restore_open(rdg_node_t *n) {
    char path[4096];
    struct stat st;
    pthread_mutex_init(&n->restorer.lock, NULL);
    n->restorer.wanted = rdg_path_join(path, sizeof path, n->options.dir, NAME) == RDG_OK &&
                         stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    if (n->restorer.wanted) rdg_log0(RDG_LOG_INFO, "node.restoring");
}

void restore_close(rdg_node_t *n) {
    restorer_t *r = &n->restorer;
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    bool join = r->thread_there;
    r->thread_there = false;
    pthread_mutex_unlock(&r->lock);
    if (join) pthread_join(r->thread, NULL);
    pthread_mutex_destroy(&r->lock);
}

static bool progress(void *ctx, const rdg_archive_progress_t *p) {
    restorer_t *r = ctx;
    pthread_mutex_lock(&r->lock);
    r->progress = *p;
    bool go = !r->stop;
    pthread_mutex_unlock(&r->lock);
    return go;
}

static rdg_err_t import(rdg_node_t *n, const restore_order_t *o) {
    char dir[4096], path[4096];
    const rdg_archive_options_t with_key = {.keys = &o->key, .key_count = 1};
    rdg_archive_t *a = NULL;
    rdg_hash_t digest;
    rdg_err_t err;
    RDG_TRY(rdg_path_join(dir, sizeof dir, n->dir, NAME));
    RDG_TRY(rdg_path_join(path, sizeof path, dir, o->file));
    RDG_TRY(rdg_archive_open_file(path, o->key.id[0] ? &with_key : NULL, &a));
    rdg_archive_digest(a, &digest);
    if (!rdg_hash_equal(&digest, &o->manifest))
        err = rdg_fail(RDG_E_CONFLICT, "archive %s has another manifest than was ordered", o->file);
    else if (o->kind == RESTORE_HEADERS)
        err = rdg_archive_import_headers(a, n->ledger, progress, &n->restorer);
    else if (o->kind == RESTORE_STATE)
        err = rdg_archive_import_state(a, n->ledger, progress, &n->restorer);
    else
        err = rdg_archive_import(a, n->ledger, progress, &n->restorer);
    rdg_archive_close(a);
    return rdg_fail_in(err, "archive %s", o->file);
}

static void *run(void *arg) {
    rdg_node_t *n = arg;
    restorer_t *r = &n->restorer;
    restore_order_t order;
    rdg_ledger_head_t head;
    pthread_mutex_lock(&r->lock);
    order = r->order;
    rdg_secure_zero(r->order.key.key, sizeof r->order.key.key);
    pthread_mutex_unlock(&r->lock);
    rdg_err_t err = import(n, &order);
    rdg_secure_zero(&order.key, sizeof order.key);
    rdg_ledger_head(n->ledger, &head);
    pthread_mutex_lock(&r->lock);
    r->state = err == RDG_OK ? RESTORER_DONE : RESTORER_FAILED;
    r->err = err;
    snprintf(r->why, sizeof r->why, "%s", err == RDG_OK ? "" : rdg_err_message(err));
    pthread_mutex_unlock(&r->lock);
    rdg_log(err == RDG_OK ? RDG_LOG_INFO : RDG_LOG_WARN, "node.restore", RDG_STR("file", order.file),
            RDG_STR("kind", kinds[order.kind]), RDG_U64("height", head.height),
            RDG_U64("headers", rdg_headers_known(n->ledger)), RDG_STR("code", rdg_err_name(err)),
            RDG_STR("why", err == RDG_OK ? "" : rdg_err_message(err)));
    return NULL;
}

/* The three below with the lock held. */
static rdg_err_t begin(rdg_node_t *n, const restore_order_t *order, const json_t *key) {
    restorer_t *r = &n->restorer;
    rdg_archive_key_t opened;
    if (r->stop) return rdg_fail(RDG_E_UNAVAILABLE, "this node is stopping");
    RDG_TRY(archive_key_open(n, key, &opened));
    if (r->thread_there) pthread_join(r->thread, NULL); /* it has ended: the state says so */
    r->thread_there = false;
    r->order = *order;
    r->order.key = opened;
    rdg_secure_zero(&opened, sizeof opened);
    r->progress = (rdg_archive_progress_t){0};
    if (pthread_create(&r->thread, NULL, run, n) != 0) {
        rdg_secure_zero(&r->order.key, sizeof r->order.key);
        return rdg_fail(RDG_E_NO_MEMORY, "no thread for an import");
    }
    r->thread_there = true;
    r->state = RESTORER_RUNNING;
    return RDG_OK;
}

static json_t *state_json(rdg_node_t *n) {
    const restorer_t *r = &n->restorer;
    rdg_ledger_head_t head;
    rdg_ledger_head(n->ledger, &head);
    return json_pack("{s:s, s:I, s:I, s:I, s:I}", "state", r->state == RESTORER_RUNNING ? "running" : "done",
                     "blocks", (json_int_t)r->progress.blocks, "blocks_total",
                     (json_int_t)r->progress.blocks_total, "height", (json_int_t)head.height, "headers",
                     (json_int_t)rdg_headers_known(n->ledger));
}

static rdg_err_t ask(rdg_node_t *n, const restore_order_t *order, const json_t *key, json_t **out) {
    restorer_t *r = &n->restorer;
    bool same = r->order.kind == order->kind && strcmp(r->order.file, order->file) == 0 &&
                rdg_hash_equal(&r->order.manifest, &order->manifest);
    if (r->state == RESTORER_RUNNING && !same)
        return rdg_fail(RDG_E_BUSY, "this node imports archive %s: ask again later", r->order.file);
    if (r->state == RESTORER_FAILED && same) {
        r->state = RESTORER_IDLE; /* told once; asked again, it is tried again */
        return rdg_fail(r->err, "%s", r->why);
    }
    if (r->state != RESTORER_RUNNING && (r->state != RESTORER_DONE || !same)) RDG_TRY(begin(n, order, key));
    *out = state_json(n);
    return *out ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for the answer");
}

rdg_err_t restore_ask(void *node, const char *file, const rdg_hash_t *manifest, const char *kind,
                      const json_t *key, json_t **out) {
    rdg_node_t *n = node;
    restore_order_t order = {.manifest = *manifest};
    if (!n->restorer.wanted)
        return rdg_fail(RDG_E_CONFLICT,
                        "this node takes part in its chain: archives are imported before that only");
    if (!rdg_name_valid(file)) return rdg_fail(RDG_E_INVALID, "'%.64s' is no name of a file", file);
    snprintf(order.file, sizeof order.file, "%s", file);
    while (order.kind < RESTORE_KINDS && strcmp(kinds[order.kind], kind) != 0) ++order.kind;
    if (order.kind == RESTORE_KINDS)
        return rdg_fail(RDG_E_INVALID, "'%.40s': want headers, state or blocks", kind);
    pthread_mutex_lock(&n->restorer.lock);
    rdg_err_t err = ask(n, &order, key, out);
    pthread_mutex_unlock(&n->restorer.lock);
    return err;
}
