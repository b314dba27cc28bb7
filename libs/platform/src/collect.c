#include "collect.h"
#include "internal.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"

#define MAX_BYTES_DEFAULT (256ull << 30)
#define EXPIRY_DEFAULT_MS (7ull * 86400000)
#define HTTP_THREADS 8
#define HTTP_CONNECTIONS 1024
#define HTTP_IDLE_S 120

/* --- what a crash has left ------------------------------------------------------------------------------- */

static rdg_err_t remove_stray_part(collect_t *c, const char *name) {
    char path[PATH_MAX];
    int64_t known = 0;
    RDG_TRY(rdg_sql_query(c->db, "SELECT COUNT(*) FROM uploads WHERE id = ?",
                          RDG_SQL_PARAMS(rdg_sql_text(name)), collect_int_row, &known));
    if (known > 0) return RDG_OK;
    RDG_TRY(rdg_path_join(path, sizeof path, c->parts_dir, name));
    if (unlink(path) != 0 && errno != ENOENT) return rdg_fail_errno(errno, "cannot remove %s", path);
    return RDG_OK;
}

static rdg_err_t remove_stray_parts(collect_t *c) {
    DIR *d = opendir(c->parts_dir);
    rdg_err_t err = RDG_OK;
    if (!d) return rdg_fail_errno(errno, "cannot list %s", c->parts_dir);
    for (struct dirent *e; err == RDG_OK && (e = readdir(d));)
        if (e->d_name[0] != '.') err = remove_stray_part(c, e->d_name);
    closedir(d);
    return err;
}

/* One that an upload waits to finish with stays: its finish was cut off. */
static rdg_err_t remove_stray_object(void *arg, const rdg_hash_t *digest) {
    collect_t *c = arg;
    int64_t wanted = 0;
    rdg_sql_value_t d = rdg_sql_blob(rdg_bytes(digest->b, sizeof digest->b));
    RDG_TRY(rdg_sql_query(c->db,
                          "SELECT (SELECT COUNT(*) FROM objects WHERE digest = ?) +"
                          " (SELECT COUNT(*) FROM uploads WHERE digest = ? AND bytes = size)",
                          RDG_SQL_PARAMS(d, d), collect_int_row, &wanted));
    if (wanted > 0) return RDG_OK;
    rdg_log(RDG_LOG_INFO, "collect.stray_object", RDG_HEX("digest", digest->b, sizeof digest->b));
    return c->store->remove(c->store->ctx, digest);
}

/* --- life -------------------------------------------------------------------------------------------------- */

static void init_locks(collect_t *c) {
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->arrived, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&c->admission, NULL);
    for (int i = 0; i < COLLECT_STRIPES; ++i) pthread_mutex_init(&c->stripes[i], NULL);
}

static void register_metrics(collect_t *c, rdg_metrics_t *m) {
    if (!m) return;
    c->m_bytes =
        rdg_metrics_counter(m, "ridge_collect_bytes_total", "bytes of files taken from devices", NULL);
    c->m_files = rdg_metrics_counter(m, "ridge_collect_files_total", "files taken from devices", NULL);
    c->m_records =
        rdg_metrics_counter(m, "ridge_collect_records_total", "urgent records taken from devices", NULL);
    c->m_refused = rdg_metrics_counter(m, "ridge_collect_refused_total",
                                       "uploads refused for want of room or for their digest", NULL);
}

static rdg_err_t start(collect_t *c, const collect_options_t *o) {
    char dir[PATH_MAX], path[PATH_MAX];
    RDG_TRY(rdg_path_join(dir, sizeof dir, o->data_dir, "collect"));
    RDG_TRY(rdg_path_join(path, sizeof path, dir, "parts"));
    RDG_TRY(rdg_dir_make(path, 0700));
    c->parts_dir = rdg_strdup(path);
    if (!c->parts_dir) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the collection of files");
    RDG_TRY(rdg_path_join(path, sizeof path, dir, "objects"));
    RDG_TRY(o->store_url ? collect_store_s3(o->store_url, o->store_credentials, o->store_ca, path, &c->store)
                         : collect_store_files(path, &c->store));
    RDG_TRY(remove_stray_parts(c));
    RDG_TRY(c->store->each(c->store->ctx, remove_stray_object, c));
    RDG_TRY(collect_records_open(c, o));
    rdg_http_server_options_t h = {.adopted_only = true,
                                   .threads = HTTP_THREADS,
                                   .max_body = COLLECT_CHUNK_MAX,
                                   .max_connections = HTTP_CONNECTIONS,
                                   .idle_s = HTTP_IDLE_S};
    return rdg_http_server_start(&h, collect_handle, c, &c->http);
}

rdg_err_t collect_open(const collect_options_t *o, collect_t **out) {
    collect_t *c = rdg_calloc(1, sizeof *c);
    if (!c) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the collection of files");
    init_locks(c);
    register_metrics(c, o->metrics);
    c->db = o->db;
    c->max_bytes = o->max_bytes ? o->max_bytes : MAX_BYTES_DEFAULT;
    c->device_bytes = o->device_bytes ? o->device_bytes : c->max_bytes;
    c->expiry_ms = o->expiry_ms ? o->expiry_ms : EXPIRY_DEFAULT_MS;
    rdg_err_t err = start(c, o);
    if (err != RDG_OK) {
        collect_close(c);
        return rdg_fail_in(err, "the collection of files");
    }
    *out = c;
    return RDG_OK;
}

rdg_err_t collect_adopt(collect_t *c, int fd, const char *device) {
    char name[PEER_NAME_MAX];
    peer_name(device, "0", name);
    return rdg_http_server_adopt(c->http, fd, name);
}

void collect_stop(collect_t *c) {
    if (!c) return;
    pthread_mutex_lock(&c->admission);
    c->stopping = true;
    pthread_cond_broadcast(&c->arrived);
    pthread_mutex_unlock(&c->admission);
}

void collect_close(collect_t *c) {
    if (!c) return;
    collect_stop(c);
    rdg_http_server_stop(c->http);
    collect_store_close(c->store);
    if (c->records) rdg_sql_close(c->records);
    pthread_cond_destroy(&c->arrived);
    pthread_mutex_destroy(&c->admission);
    for (int i = 0; i < COLLECT_STRIPES; ++i) pthread_mutex_destroy(&c->stripes[i]);
    rdg_free(c->parts_dir);
    rdg_free(c);
}
