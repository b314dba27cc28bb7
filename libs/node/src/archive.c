/* A segment of the running node's ledger into a file, for who carries it away (libs/ledger/archive.h).
 *
 * One at a time, on a thread of its own with low priority; the file appears in <dir>/archive/ when it is whole, and a
 * restart goes on with what is there. The one who asks takes the file; what is there of other ranges is removed, so that
 * there is never more than one segment beside the ledger. */
#include "internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"
#include "ridge/ledger/archive_key.h"
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PRIORITY 10               /* as nice: consensus goes first */
#define THREADS 2                 /* of an export, all of that priority */
#define SPARE_BYTES (64ull << 20) /* of the disk, that an export leaves free */

void archive_open(rdg_node_t *n) {
    pthread_mutex_init(&n->archiver.lock, NULL);
}

void archive_close(rdg_node_t *n) {
    archiver_t *a = &n->archiver;
    pthread_mutex_lock(&a->lock);
    a->stop = true;
    bool join = a->thread_there;
    a->thread_there = false;
    pthread_mutex_unlock(&a->lock);
    if (join) pthread_join(a->thread, NULL);
    pthread_mutex_destroy(&a->lock);
}

/* The file is read anew each time: the key in it changes with each renewal of the certificates. */
rdg_err_t archive_key_open(const rdg_node_t *n, const json_t *wrapped, rdg_archive_key_t *out) {
    const rdg_archive_key_chain_t chain = {n->genesis.validators.chain_id, n->genesis.hash};
    char path[4096];
    rdg_sm2_key_t *own = NULL;
    memset(out, 0, sizeof *out);
    if (!wrapped) return RDG_OK;
    RDG_TRY(rdg_path_join(path, sizeof path, n->dir, "node-enc.key"));
    rdg_err_t err = rdg_sm2_key_load(path, &own);
    if (err == RDG_OK) err = rdg_archive_key_unwrap(wrapped, &chain, own, out);
    rdg_sm2_key_free(own);
    return err;
}

static rdg_err_t dir_of(const rdg_node_t *n, char out[4096]) {
    return rdg_path_join(out, 4096, n->dir, "archive");
}

static bool disk_is_full(const char *dir) {
    struct statvfs fs;
    return statvfs(dir, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < SPARE_BYTES;
}

static bool progress(void *ctx, const rdg_archive_progress_t *p) {
    rdg_node_t *n = ctx;
    archiver_t *a = &n->archiver;
    char dir[4096];
    pthread_mutex_lock(&a->lock);
    a->progress = *p;
    a->full = a->full || (p->blocks % 64 == 0 && dir_of(n, dir) == RDG_OK && disk_is_full(dir));
    bool go = !a->stop && !a->full;
    pthread_mutex_unlock(&a->lock);
    return go;
}

/* Everything but this file and what of it has been written. */
static void clear_others(const char *dir, const char *file) {
    DIR *d = opendir(dir);
    size_t len = strlen(file);
    for (struct dirent *e; d && (e = readdir(d));) {
        bool ours = strncmp(e->d_name, file, len) == 0 &&
                    (e->d_name[len] == '\0' || strcmp(e->d_name + len, ".part") == 0);
        if (e->d_name[0] != '.' && !ours) (void)unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d) closedir(d);
}

/* Under a key the name tells which, so that nothing of an export under another one, or in the clear, is gone on with. */
static void name_file(const rdg_archive_export_options_t *o, char out[65]) {
    rdg_hash_t id;
    int n = snprintf(out, 65, "%" PRIu64 "-%" PRIu64, o->from, o->to);
    if (o->key) {
        rdg_sm3(o->key->id, strlen(o->key->id), &id);
        n += snprintf(out + n, 65 - (size_t)n, "-%02x%02x%02x%02x", id.b[0], id.b[1], id.b[2], id.b[3]);
    }
    snprintf(out + n, 65 - (size_t)n, ".archive");
}

/* An export that was ended, and not taken away before a restart, is made anew: it cannot be told from a foreign file. */
static rdg_err_t export_range(rdg_node_t *n, uint64_t from, uint64_t wanted, uint64_t state_from,
                              const rdg_archive_key_t *key, archived_t *out) {
    char dir[4096], path[4096];
    rdg_archive_export_options_t o = {.signer = n->key,
                                      .key = key->id[0] ? key : NULL,
                                      .threads = THREADS,
                                      .progress = progress,
                                      .progress_ctx = n};
    o.from = from ? from : rdg_ledger_pruned(n->ledger) + 1;
    RDG_TRY(rdg_archive_plan(n->ledger, o.from, wanted ? wanted : UINT64_MAX, &o.to));
    if (wanted && o.to < wanted && o.to - o.from + 1 < RDG_ARCHIVE_BLOCKS_MAX && wanted > out->checkpoint)
        return rdg_fail(RDG_E_UNAVAILABLE,
                        "block %" PRIu64 " has no checkpoint certificate here yet (%" PRIu64
                        " has): ask for less, or later",
                        wanted, out->checkpoint);
    name_file(&o, out->file);
    RDG_TRY(dir_of(n, dir));
    RDG_TRY(rdg_dir_make(dir, 0755));
    clear_others(dir, out->file);
    if (disk_is_full(dir))
        return rdg_fail(RDG_E_DISK_FULL, "the node's disk has less than %llu MiB left", SPARE_BYTES >> 20);
    RDG_TRY(rdg_path_join(path, sizeof path, dir, out->file));
    (void)unlink(path);
    /* The states of old blocks are gone: then the next archive has one. */
    if (state_from > 0 && o.to >= state_from && rdg_snapshot_pin_at(n->ledger, o.to, &o.state) != RDG_OK)
        o.state = NULL;
    rdg_err_t err = rdg_archive_export_file(n->ledger, &o, path, &out->manifest);
    if (o.state) rdg_snapshot_unpin(o.state);
    RDG_TRY(err);
    return rdg_archive_manifest_digest(&out->manifest, &out->digest);
}

static void *run(void *arg) {
    rdg_node_t *n = arg;
    archiver_t *a = &n->archiver;
    archived_t done = {.checkpoint = 0};
    rdg_ledger_head_t head;
    rdg_archive_key_t key;
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), PRIORITY);
    rdg_ledger_head(n->ledger, &head);
    done.checkpoint = head.checkpoint_height;
    pthread_mutex_lock(&a->lock);
    uint64_t from = a->from, to = a->to, state_from = a->state_from;
    key = a->key;
    rdg_secure_zero(a->key.key, sizeof a->key.key);
    pthread_mutex_unlock(&a->lock);
    rdg_err_t err = export_range(n, from, to, state_from, &key, &done);
    rdg_secure_zero(&key, sizeof key);
    pthread_mutex_lock(&a->lock);
    if (err == RDG_E_CANCELLED && a->full)
        err = rdg_fail(RDG_E_DISK_FULL,
                       "the node's disk became full while it exported: free some and ask again");
    a->state = err == RDG_OK ? ARCHIVER_DONE : ARCHIVER_FAILED;
    a->err = err;
    snprintf(a->why, sizeof a->why, "%s", err == RDG_OK ? "" : rdg_err_message(err));
    a->done = done;
    pthread_mutex_unlock(&a->lock);
    if (err == RDG_OK)
        rdg_log(RDG_LOG_INFO, "node.archive_exported", RDG_STR("file", done.file),
                RDG_U64("blocks", done.manifest.to - done.manifest.from + 1),
                RDG_U64("bytes", done.manifest.stored_bytes));
    else
        rdg_log(RDG_LOG_WARN, "node.archive_failed", RDG_U64("from", from), RDG_U64("to", to),
                RDG_STR("code", rdg_err_name(err)), RDG_STR("why", a->why));
    return NULL;
}

/* The three below with the lock held. */
static rdg_err_t begin(rdg_node_t *n, uint64_t from, uint64_t to, uint64_t state_from, const json_t *key) {
    archiver_t *a = &n->archiver;
    rdg_archive_key_t opened;
    if (a->stop) return rdg_fail(RDG_E_UNAVAILABLE, "this node is stopping");
    RDG_TRY(archive_key_open(n, key, &opened));
    a->key = opened;
    rdg_secure_zero(&opened, sizeof opened);
    if (a->thread_there) pthread_join(a->thread, NULL); /* it has ended: the state says so */
    a->thread_there = false;
    a->from = from;
    a->to = to;
    a->state_from = state_from;
    a->full = false;
    a->progress = (rdg_archive_progress_t){0};
    if (pthread_create(&a->thread, NULL, run, n) != 0) {
        rdg_secure_zero(&a->key, sizeof a->key);
        return rdg_fail(RDG_E_NO_MEMORY, "no thread for an export");
    }
    a->thread_there = true;
    a->state = ARCHIVER_RUNNING;
    return RDG_OK;
}

static json_t *done_json(const archived_t *d) {
    rdg_hash_t content;
    if (rdg_archive_content_digest(&d->manifest, &content) != RDG_OK) return NULL;
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:o}", "state", "done", "file", d->file, "from",
                     (json_int_t)d->manifest.from, "to", (json_int_t)d->manifest.to, "mark_ms",
                     (json_int_t)d->manifest.last_time_ms, "transactions", (json_int_t)d->manifest.tx_count,
                     "manifest", rdg_json_hex(d->digest.b, sizeof d->digest.b), "content",
                     rdg_json_hex(content.b, sizeof content.b));
}

static bool still_there(const rdg_node_t *n, const char *file) {
    char dir[4096], path[4096];
    return dir_of(n, dir) == RDG_OK && rdg_path_join(path, sizeof path, dir, file) == RDG_OK &&
           rdg_file_exists(path);
}

static rdg_err_t ask(rdg_node_t *n, uint64_t from, uint64_t to, uint64_t state_from, const json_t *key,
                     json_t **out) {
    archiver_t *a = &n->archiver;
    const char *key_id = "";
    if (key) RDG_TRY(rdg_json_get_str(key, "id", &key_id));
    bool same = a->from == from && a->to == to && strcmp(a->key.id, key_id) == 0;
    if (a->state == ARCHIVER_RUNNING && !same)
        return rdg_fail(RDG_E_BUSY,
                        "this node exports blocks %" PRIu64 " to %" PRIu64
                        " (0: as many as it can): ask again later",
                        a->from, a->to);
    if (a->state == ARCHIVER_FAILED && same) {
        a->state = ARCHIVER_IDLE; /* told once; asked again, it is tried again */
        return rdg_fail(a->err, "%s", a->why);
    }
    if (a->state == ARCHIVER_DONE && same && still_there(n, a->done.file)) {
        *out = done_json(&a->done);
    } else {
        if (a->state != ARCHIVER_RUNNING) RDG_TRY(begin(n, from, to, state_from, key));
        *out = json_pack("{s:s, s:I, s:I, s:I}", "state", "running", "height", (json_int_t)a->progress.height,
                         "blocks", (json_int_t)a->progress.blocks, "blocks_total",
                         (json_int_t)a->progress.blocks_total);
    }
    return *out ? RDG_OK : rdg_fail(RDG_E_NO_MEMORY, "no memory for the answer");
}

rdg_err_t archive_ask(void *node, uint64_t from, uint64_t to, uint64_t state_from, const json_t *key,
                      json_t **out) {
    rdg_node_t *n = node;
    if (to > 0 && from > to)
        return rdg_fail(RDG_E_INVALID, "blocks %" PRIu64 " to %" PRIu64 ": the first is behind the last",
                        from, to);
    pthread_mutex_lock(&n->archiver.lock);
    rdg_err_t err = ask(n, from, to, state_from, key, out);
    pthread_mutex_unlock(&n->archiver.lock);
    return err;
}
