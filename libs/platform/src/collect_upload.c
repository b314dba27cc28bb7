#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "collect.h"
#include "ridge/base/alloc.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/base/random.h"
#include "ridge/codec/hex.h"

#define RETRY_UPLOADS_S 10 /* another upload ends soon */
#define RETRY_SPACE_S 60   /* somebody has to make room */
#define NO_ROOM_AGAIN_MS 60000
#define READ_BYTES (64u << 10)

void (*collect_step)(const char *step);

typedef struct upload {
    bool found;
    char id[COLLECT_ID_MAX + 1], device[65], kind[65], name[65];
    uint64_t size, offset;
    int64_t corrupt;
    rdg_hash_t digest;
} upload_t;

static int64_t now_ms(void) {
    return (int64_t)rdg_wall_ms(rdg_clock_system());
}

rdg_err_t collect_int_row(void *ctx, const rdg_sql_row_t *r) {
    *(int64_t *)ctx = rdg_sql_row_int(r, 0);
    return RDG_OK;
}

static rdg_err_t ask_int(collect_t *c, const char *sql, const rdg_sql_value_t *params, size_t count,
                         uint64_t *out) {
    int64_t v = 0;
    RDG_TRY(rdg_sql_query(c->db, sql, params, count, collect_int_row, &v));
    *out = v > 0 ? (uint64_t)v : 0;
    return RDG_OK;
}

static void text_column(const rdg_sql_row_t *r, unsigned column, char *out, size_t size) {
    const char *text = rdg_sql_row_text(r, column);
    snprintf(out, size, "%s", text ? text : "");
}

#define UPLOAD_COLUMNS "id, device, kind, name, size, digest, bytes, corrupt"

static rdg_err_t upload_row(void *ctx, const rdg_sql_row_t *r) {
    upload_t *u = ctx;
    u->found = true;
    text_column(r, 0, u->id, sizeof u->id);
    text_column(r, 1, u->device, sizeof u->device);
    text_column(r, 2, u->kind, sizeof u->kind);
    text_column(r, 3, u->name, sizeof u->name);
    u->size = (uint64_t)rdg_sql_row_int(r, 4);
    rdg_bytes_t digest = rdg_sql_row_blob(r, 5);
    if (digest.len != sizeof u->digest.b)
        return rdg_fail(RDG_E_CORRUPT, "upload %s has no digest in the database", u->id);
    memcpy(u->digest.b, digest.data, sizeof u->digest.b);
    u->offset = (uint64_t)rdg_sql_row_int(r, 6);
    u->corrupt = rdg_sql_row_int(r, 7);
    return RDG_OK;
}

static rdg_sql_value_t digest_value(const rdg_hash_t *digest) {
    return rdg_sql_blob(rdg_bytes(digest->b, sizeof digest->b));
}

static rdg_err_t part_path(const collect_t *c, const char *id, char out[PATH_MAX]) {
    return rdg_path_join(out, PATH_MAX, c->parts_dir, id);
}

static pthread_mutex_t *stripe(collect_t *c, const char *id) {
    unsigned sum = 0;
    for (; *id; ++id) sum = sum * 31 + (unsigned char)*id;
    return &c->stripes[sum % COLLECT_STRIPES];
}

static void state_of(const upload_t *u, collect_state_t *out) {
    snprintf(out->upload, sizeof out->upload, "%s", u->id);
    out->offset = u->offset;
    out->size = u->size;
    out->file = 0;
}

/* --- create ---------------------------------------------------------------------------------------------- */

typedef struct stored {
    int64_t number;
    bool same;
    const collect_offer_t *offer;
} stored_t;

static rdg_err_t stored_row(void *ctx, const rdg_sql_row_t *r) {
    stored_t *s = ctx;
    rdg_bytes_t digest = rdg_sql_row_blob(r, 1);
    s->number = rdg_sql_row_int(r, 0);
    s->same = digest.len == RDG_HASH_BYTES && memcmp(digest.data, s->offer->digest.b, digest.len) == 0 &&
              (uint64_t)rdg_sql_row_int(r, 2) == s->offer->size;
    return RDG_OK;
}

static rdg_err_t insert_file(collect_t *c, const char *device, const char *kind, const char *name,
                             uint64_t size, const rdg_hash_t *digest, rdg_sql_value_t meta) {
    return rdg_sql_exec(c->db,
                        "INSERT INTO files (device, kind, name, size, digest, meta, stored_ms, tenant)"
                        " VALUES (?, ?, ?, ?, ?, ?, ?, COALESCE((SELECT tenant FROM devices WHERE "
                        "devices.name = ?), '" RDG_TENANT_DEFAULT "'))",
                        RDG_SQL_PARAMS(rdg_sql_text(device), rdg_sql_text(kind), rdg_sql_text(name),
                                       rdg_sql_int((int64_t)size), digest_value(digest), meta,
                                       rdg_sql_int(now_ms()), rdg_sql_text(device)),
                        NULL);
}

static rdg_err_t file_number(collect_t *c, const char *device, const char *kind, const char *name,
                             int64_t *out) {
    *out = 0;
    return rdg_sql_query(c->db, "SELECT number FROM files WHERE device = ? AND kind = ? AND name = ?",
                         RDG_SQL_PARAMS(rdg_sql_text(device), rdg_sql_text(kind), rdg_sql_text(name)),
                         collect_int_row, out);
}

static rdg_err_t no_room(collect_t *c, rdg_err_t err, unsigned after_s, unsigned *retry_after_s) {
    *retry_after_s = after_s;
    rdg_metric_add(c->m_refused, 1);
    return err;
}

static rdg_err_t check_names(collect_t *c, const collect_offer_t *o, unsigned *retry_after_s) {
    uint64_t files;
    RDG_TRY(ask_int(c, "SELECT COUNT(*) FROM files WHERE device = ?", RDG_SQL_PARAMS(rdg_sql_text(o->device)),
                    &files));
    if (files < COLLECT_FILES_DEVICE) return RDG_OK;
    return no_room(c,
                   rdg_fail(RDG_E_DISK_FULL,
                            "device '%s' has %" PRIu64 " files here, and no more are possible: delete some",
                            o->device, files),
                   RETRY_SPACE_S, retry_after_s);
}

/* What this device has given already is not asked for again, under whatever name. */
static rdg_err_t find_stored(collect_t *c, const collect_offer_t *o, collect_state_t *out,
                             unsigned *retry_after_s) {
    stored_t s = {.offer = o};
    uint64_t same_bytes = 0;
    RDG_TRY(rdg_sql_query(
        c->db, "SELECT number, digest, size FROM files WHERE device = ? AND kind = ? AND name = ?",
        RDG_SQL_PARAMS(rdg_sql_text(o->device), rdg_sql_text(o->kind), rdg_sql_text(o->name)), stored_row,
        &s));
    if (s.number && !s.same)
        return rdg_fail(RDG_E_CONFLICT,
                        "device '%s' has given %s '%s' with other content: choose another name", o->device,
                        o->kind, o->name);
    if (!s.number) {
        RDG_TRY(ask_int(
            c, "SELECT COUNT(*) FROM files WHERE device = ? AND digest = ? AND size = ?",
            RDG_SQL_PARAMS(rdg_sql_text(o->device), digest_value(&o->digest), rdg_sql_int((int64_t)o->size)),
            &same_bytes));
        if (same_bytes == 0) return RDG_OK;
        RDG_TRY(check_names(c, o, retry_after_s));
        RDG_TRY(insert_file(c, o->device, o->kind, o->name, o->size, &o->digest, rdg_sql_text(o->meta)));
        RDG_TRY(file_number(c, o->device, o->kind, o->name, &s.number));
    }
    *out = (collect_state_t){.offset = o->size, .size = o->size, .file = s.number};
    return RDG_OK;
}

static rdg_err_t check_bytes(collect_t *c, const collect_offer_t *o, unsigned *retry_after_s) {
    uint64_t all, of_device, open_left, disk;
    if (o->size > c->max_bytes || o->size > c->device_bytes)
        return rdg_fail(RDG_E_TOO_LARGE,
                        "%s '%s' has %" PRIu64 " bytes: this cloud takes %" PRIu64 " at most", o->kind,
                        o->name, o->size, c->max_bytes < c->device_bytes ? c->max_bytes : c->device_bytes);
    RDG_TRY(
        ask_int(c,
                "SELECT (SELECT COALESCE(SUM(size), 0) FROM uploads) + (SELECT COALESCE(SUM(size), 0) FROM "
                "objects)",
                NULL, 0, &all));
    rdg_sql_value_t d = rdg_sql_text(o->device);
    RDG_TRY(ask_int(c,
                    "SELECT (SELECT COALESCE(SUM(size), 0) FROM uploads WHERE device = ?) +"
                    " (SELECT COALESCE(SUM(size), 0) FROM files WHERE device = ?)",
                    RDG_SQL_PARAMS(d, d), &of_device));
    if (all > c->max_bytes - o->size || of_device > c->device_bytes - o->size)
        return no_room(c,
                       rdg_fail(RDG_E_DISK_FULL,
                                "no room for %" PRIu64 " bytes of device '%s': %s is used up", o->size,
                                o->device,
                                all > c->max_bytes - o->size ? "--collect-bytes of the cloud"
                                                             : "--collect-device-bytes of the cloud"),
                       RETRY_SPACE_S, retry_after_s);
    RDG_TRY(ask_int(c, "SELECT COALESCE(SUM(size - bytes), 0) FROM uploads", NULL, 0, &open_left));
    RDG_TRY(c->store->free_bytes(c->store->ctx, &disk));
    if (disk < COLLECT_SPARE_BYTES || disk - COLLECT_SPARE_BYTES < open_left ||
        disk - COLLECT_SPARE_BYTES - open_left < o->size)
        return no_room(c,
                       rdg_fail(RDG_E_DISK_FULL,
                                "the cloud's disk has no room for %" PRIu64
                                " bytes and %llu MiB to spare: make some",
                                o->size, COLLECT_SPARE_BYTES >> 20),
                       RETRY_SPACE_S, retry_after_s);
    return RDG_OK;
}

static rdg_err_t check_count(collect_t *c, const collect_offer_t *o, unsigned *retry_after_s) {
    uint64_t all, of_device;
    RDG_TRY(ask_int(c, "SELECT COUNT(*) FROM uploads", NULL, 0, &all));
    RDG_TRY(ask_int(c, "SELECT COUNT(*) FROM uploads WHERE device = ?",
                    RDG_SQL_PARAMS(rdg_sql_text(o->device)), &of_device));
    if (of_device >= COLLECT_UPLOADS_DEVICE)
        return no_room(c,
                       rdg_fail(RDG_E_BUSY, "device '%s' has %" PRIu64 " uploads open: finish or delete one",
                                o->device, of_device),
                       RETRY_UPLOADS_S, retry_after_s);
    if (all >= COLLECT_UPLOADS_TOTAL)
        return no_room(c, rdg_fail(RDG_E_BUSY, "%" PRIu64 " uploads are open: try again later", all),
                       RETRY_UPLOADS_S, retry_after_s);
    return RDG_OK;
}

static rdg_err_t insert_upload(collect_t *c, const collect_offer_t *o, upload_t *u) {
    rdg_random_hex(rdg_random_system(), u->id, COLLECT_ID_MAX / 2);
    u->size = o->size;
    u->offset = 0;
    return rdg_sql_exec(c->db,
                        "INSERT INTO uploads (id, device, kind, name, size, digest, meta, bytes, corrupt,"
                        " touched_ms) VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, ?)",
                        RDG_SQL_PARAMS(rdg_sql_text(u->id), rdg_sql_text(o->device), rdg_sql_text(o->kind),
                                       rdg_sql_text(o->name), rdg_sql_int((int64_t)o->size),
                                       digest_value(&o->digest), rdg_sql_text(o->meta),
                                       rdg_sql_int(now_ms())),
                        NULL);
}

static rdg_err_t remove_upload(collect_t *c, const char *id) {
    char path[PATH_MAX];
    RDG_TRY(rdg_sql_exec(c->db, "DELETE FROM uploads WHERE id = ?", RDG_SQL_PARAMS(rdg_sql_text(id)), NULL));
    RDG_TRY(part_path(c, id, path));
    if (unlink(path) != 0 && errno != ENOENT) return rdg_fail_errno(errno, "cannot remove %s", path);
    return RDG_OK;
}

/* The device's file has changed: what was sent of the old one is of no use. Who appends holds the stripe and may want
 * the lock that is held here, so it is not waited for. */
static rdg_err_t replace_upload(collect_t *c, const upload_t *u, unsigned *retry_after_s) {
    pthread_mutex_t *lock = stripe(c, u->id);
    if (pthread_mutex_trylock(lock) != 0)
        return no_room(c, rdg_fail(RDG_E_BUSY, "upload '%s' is being written to: try again", u->id), 1,
                       retry_after_s);
    rdg_err_t err = remove_upload(c, u->id);
    pthread_mutex_unlock(lock);
    return err;
}

static rdg_err_t create(collect_t *c, const collect_offer_t *o, collect_state_t *out,
                        unsigned *retry_after_s) {
    upload_t u = {0};
    RDG_TRY(find_stored(c, o, out, retry_after_s));
    if (out->file) return RDG_OK;
    RDG_TRY(rdg_sql_query(
        c->db, "SELECT " UPLOAD_COLUMNS " FROM uploads WHERE device = ? AND kind = ? AND name = ?",
        RDG_SQL_PARAMS(rdg_sql_text(o->device), rdg_sql_text(o->kind), rdg_sql_text(o->name)), upload_row,
        &u));
    bool same = u.found && u.size == o->size && rdg_hash_equal(&u.digest, &o->digest);
    if (u.found && !same) {
        RDG_TRY(replace_upload(c, &u, retry_after_s));
        u.found = false;
    }
    if (!u.found) {
        RDG_TRY(check_count(c, o, retry_after_s));
        RDG_TRY(check_names(c, o, retry_after_s));
        RDG_TRY(check_bytes(c, o, retry_after_s));
        RDG_TRY(insert_upload(c, o, &u));
    }
    state_of(&u, out);
    return RDG_OK;
}

/* Devices keep what finds no room, and come again; somebody has to be told, but not by each of them. */
static bool is_news(collect_t *c) {
    uint64_t now = rdg_mono_ms(rdg_clock_system());
    if (c->no_room_ms && now < c->no_room_ms + NO_ROOM_AGAIN_MS) return false;
    c->no_room_ms = now;
    return true;
}

rdg_err_t collect_create(collect_t *c, const collect_offer_t *offer, collect_state_t *out,
                         unsigned *retry_after_s) {
    memset(out, 0, sizeof *out);
    pthread_mutex_lock(&c->admission);
    rdg_err_t err = create(c, offer, out, retry_after_s);
    bool say = err == RDG_E_DISK_FULL && is_news(c);
    pthread_mutex_unlock(&c->admission);
    if (say)
        rdg_log(RDG_LOG_ERROR, "collect.no_room", RDG_STR("device", offer->device),
                RDG_STR("kind", offer->kind), RDG_STR("name", offer->name),
                RDG_STR("why", rdg_err_message(err)));
    if (err == RDG_OK) COLLECT_STEP("created");
    return err;
}

/* --- append ------------------------------------------------------------------------------------------------ */

static rdg_err_t load(collect_t *c, const char *device, const char *id, upload_t *u) {
    memset(u, 0, sizeof *u);
    RDG_TRY(rdg_sql_query(c->db, "SELECT " UPLOAD_COLUMNS " FROM uploads WHERE id = ?",
                          RDG_SQL_PARAMS(rdg_sql_text(id)), upload_row, u));
    if (!u->found)
        return rdg_fail(RDG_E_NOT_FOUND,
                        "there is no upload '%.32s': it was finished, deleted or has expired", id);
    if (strcmp(u->device, device) == 0) return RDG_OK;
    rdg_log(RDG_LOG_WARN, "collect.foreign_upload", RDG_STR("device", device), RDG_STR("upload", id),
            RDG_STR("owner", u->device));
    return rdg_fail(RDG_E_FORBIDDEN, "upload '%.32s' is another device's than '%s'", id, device);
}

static rdg_err_t set_offset(collect_t *c, upload_t *u, uint64_t offset) {
    RDG_TRY(rdg_sql_exec(
        c->db, "UPDATE uploads SET bytes = ?, touched_ms = ? WHERE id = ?",
        RDG_SQL_PARAMS(rdg_sql_int((int64_t)offset), rdg_sql_int(now_ms()), rdg_sql_text(u->id)), NULL));
    u->offset = offset;
    return RDG_OK;
}

/* The part file, as long as the offset says: what a crash has left behind it is cut off. */
static rdg_err_t open_part(collect_t *c, upload_t *u, int *fd) {
    char path[PATH_MAX];
    struct stat st = {0};
    RDG_TRY(part_path(c, u->id, path));
    bool fresh = !rdg_file_exists(path);
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*fd < 0) return rdg_fail_errno(errno, "cannot open %s", path);
    rdg_err_t err = fresh ? rdg_dir_sync(c->parts_dir) : RDG_OK;
    if (err == RDG_OK && fstat(*fd, &st) != 0) err = rdg_fail_errno(errno, "cannot look at %s", path);
    if (err == RDG_OK && (uint64_t)st.st_size < u->offset) {
        rdg_log(RDG_LOG_ERROR, "collect.part_lost", RDG_STR("upload", u->id), RDG_U64("bytes", u->offset),
                RDG_U64("found", (uint64_t)st.st_size));
        err = set_offset(c, u, 0);
    }
    if (err == RDG_OK && ftruncate(*fd, (off_t)u->offset) != 0)
        err = rdg_fail_errno(errno, "cannot cut %s back", path);
    if (err != RDG_OK) close(*fd);
    return err;
}

static rdg_err_t write_at(int fd, uint64_t offset, rdg_bytes_t bytes) {
    while (bytes.len > 0) {
        ssize_t n = pwrite(fd, bytes.data, bytes.len, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return rdg_fail_errno(errno, "cannot write an upload");
        offset += (uint64_t)n;
        bytes = rdg_bytes(bytes.data + n, bytes.len - (size_t)n);
    }
    COLLECT_STEP("written");
    return fdatasync(fd) == 0 ? RDG_OK : rdg_fail_errno(errno, "cannot make an upload durable");
}

static rdg_err_t append(collect_t *c, upload_t *u, uint64_t offset, rdg_bytes_t bytes) {
    int fd;
    if (bytes.len == 0 || bytes.len > COLLECT_CHUNK_MAX)
        return rdg_fail(RDG_E_INVALID, "%zu bytes at a time: want 1 to %u", bytes.len, COLLECT_CHUNK_MAX);
    if (offset > u->size || bytes.len > u->size - offset)
        return rdg_fail(RDG_E_INVALID, "%zu bytes at %" PRIu64 " reach beyond the %" PRIu64 " of upload '%s'",
                        bytes.len, offset, u->size, u->id);
    if (offset == u->offset) {
        RDG_TRY(open_part(c, u, &fd));
        rdg_err_t err = offset == u->offset ? write_at(fd, offset, bytes) : RDG_OK;
        close(fd);
        RDG_TRY(err);
    }
    if (offset != u->offset)
        return rdg_fail(RDG_E_CONFLICT, "upload '%s' goes on at %" PRIu64 ", not at %" PRIu64, u->id,
                        u->offset, offset);
    COLLECT_STEP("synced");
    RDG_TRY(set_offset(c, u, offset + bytes.len));
    rdg_metric_add(c->m_bytes, bytes.len);
    COLLECT_STEP("recorded");
    return RDG_OK;
}

rdg_err_t collect_append(collect_t *c, const char *device, const char *upload, uint64_t offset,
                         rdg_bytes_t bytes, collect_state_t *out) {
    upload_t u;
    pthread_mutex_t *lock = stripe(c, upload);
    pthread_mutex_lock(lock);
    rdg_err_t err = load(c, device, upload, &u);
    memset(out, 0, sizeof *out);
    if (err == RDG_OK) {
        err = append(c, &u, offset, bytes);
        state_of(&u, out);
    }
    pthread_mutex_unlock(lock);
    return err;
}

rdg_err_t collect_status(collect_t *c, const char *device, const char *upload, collect_state_t *out) {
    upload_t u;
    rdg_err_t err = load(c, device, upload, &u);
    memset(out, 0, sizeof *out);
    if (err == RDG_OK) state_of(&u, out);
    return err;
}

rdg_err_t collect_drop(collect_t *c, const char *device, const char *upload) {
    upload_t u;
    pthread_mutex_t *lock = stripe(c, upload);
    pthread_mutex_lock(lock);
    rdg_err_t err = load(c, device, upload, &u);
    if (err == RDG_OK) err = remove_upload(c, u.id);
    pthread_mutex_unlock(lock);
    return err;
}

/* --- finish ------------------------------------------------------------------------------------------------ */

static rdg_err_t hash_fd(int fd, rdg_hash_t *out, uint64_t *size) {
    rdg_err_t err = RDG_OK;
    rdg_sm3_stream_t *s = rdg_sm3_stream_new();
    uint8_t *block = rdg_alloc(READ_BYTES);
    *size = 0;
    if (!s || !block) err = rdg_fail(RDG_E_NO_MEMORY, "no memory to read an upload back");
    while (err == RDG_OK) {
        ssize_t n = pread(fd, block, READ_BYTES, (off_t)*size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) err = rdg_fail_errno(errno, "cannot read an upload back");
        if (n <= 0) break;
        rdg_sm3_stream_update(s, block, (size_t)n);
        *size += (uint64_t)n;
    }
    if (err == RDG_OK) rdg_sm3_stream_final(s, out);
    rdg_sm3_stream_free(s);
    rdg_free(block);
    return err;
}

static rdg_err_t wrong_digest(collect_t *c, upload_t *u, const char *path, const rdg_hash_t *got) {
    char want_hex[65], got_hex[65];
    rdg_hex_encode(u->digest.b, sizeof u->digest.b, want_hex);
    rdg_hex_encode(got->b, sizeof got->b, got_hex);
    rdg_log(RDG_LOG_WARN, "collect.wrong_digest", RDG_STR("device", u->device), RDG_STR("kind", u->kind),
            RDG_STR("name", u->name), RDG_STR("want", want_hex), RDG_STR("got", got_hex));
    rdg_metric_add(c->m_refused, 1);
    if (u->corrupt + 1 >= COLLECT_CORRUPT_MAX) {
        RDG_TRY(remove_upload(c, u->id));
    } else {
        RDG_TRY(rdg_sql_exec(c->db, "UPDATE uploads SET bytes = 0, corrupt = corrupt + 1 WHERE id = ?",
                             RDG_SQL_PARAMS(rdg_sql_text(u->id)), NULL));
        (void)unlink(path);
    }
    u->offset = 0;
    return rdg_fail(RDG_E_CORRUPT, "%s '%s' of device '%s' has SM3 %.16s…, not %.16s… as it was offered",
                    u->kind, u->name, u->device, got_hex, want_hex);
}

/* The bytes as they are on disk; after a crash between put and the row, they are in the store already. */
static rdg_err_t check_digest(collect_t *c, upload_t *u, const char *path, bool *in_store) {
    rdg_hash_t got;
    uint64_t size;
    collect_piece_t whole;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    *in_store = fd < 0 && errno == ENOENT &&
                c->store->open(c->store->ctx, &u->digest, 0, UINT64_MAX, &whole) == RDG_OK;
    if (*in_store) fd = whole.fd;
    if (fd < 0) {
        RDG_TRY(set_offset(c, u, 0));
        return rdg_fail(RDG_E_CONFLICT, "upload '%s' has been lost and begins anew", u->id);
    }
    rdg_err_t err = hash_fd(fd, &got, &size);
    close(fd);
    RDG_TRY(err);
    if (size == u->size && rdg_hash_equal(&got, &u->digest)) return RDG_OK;
    return wrong_digest(c, u, path, &got);
}

static rdg_err_t record(collect_t *c, const upload_t *u) {
    RDG_TRY(rdg_sql_exec(
        c->db,
        "INSERT INTO objects (digest, size) SELECT ?, ? WHERE NOT EXISTS"
        " (SELECT 1 FROM objects WHERE digest = ?)",
        RDG_SQL_PARAMS(digest_value(&u->digest), rdg_sql_int((int64_t)u->size), digest_value(&u->digest)),
        NULL));
    RDG_TRY(rdg_sql_exec(c->db,
                         "INSERT INTO files (device, kind, name, size, digest, meta, stored_ms, tenant)"
                         " SELECT device, kind, name, size, digest, meta, ?, COALESCE((SELECT tenant FROM "
                         "devices WHERE devices.name = uploads.device), '" RDG_TENANT_DEFAULT "')"
                         " FROM uploads WHERE id = ?",
                         RDG_SQL_PARAMS(rdg_sql_int(now_ms()), rdg_sql_text(u->id)), NULL));
    return rdg_sql_exec(c->db, "DELETE FROM uploads WHERE id = ?", RDG_SQL_PARAMS(rdg_sql_text(u->id)), NULL);
}

static rdg_err_t keep(collect_t *c, const upload_t *u, const char *path, bool in_store) {
    uint64_t known;
    RDG_TRY(ask_int(c, "SELECT COUNT(*) FROM objects WHERE digest = ?",
                    RDG_SQL_PARAMS(digest_value(&u->digest)), &known));
    if (known == 0 && !in_store) RDG_TRY(c->store->put(c->store->ctx, path, &u->digest));
    COLLECT_STEP("put");
    RDG_TRY(rdg_sql_begin(c->db));
    rdg_err_t err = record(c, u);
    if (err == RDG_OK) err = rdg_sql_commit(c->db);
    if (err != RDG_OK) rdg_sql_rollback(c->db);
    RDG_TRY(err);
    COLLECT_STEP("stored");
    (void)unlink(path); /* an equal file was there already */
    return RDG_OK;
}

static rdg_err_t finish(collect_t *c, upload_t *u, collect_state_t *out) {
    char path[PATH_MAX];
    bool in_store = false;
    if (u->offset != u->size)
        return rdg_fail(RDG_E_CONFLICT, "upload '%s' has %" PRIu64 " of %" PRIu64 " bytes", u->id, u->offset,
                        u->size);
    RDG_TRY(part_path(c, u->id, path));
    RDG_TRY(check_digest(c, u, path, &in_store));
    COLLECT_STEP("hashed");
    if (c->store->offer && !in_store) RDG_TRY(c->store->offer(c->store->ctx, path, &u->digest));
    pthread_mutex_lock(&c->admission);
    rdg_err_t err = keep(c, u, path, in_store);
    if (err == RDG_OK) err = file_number(c, u->device, u->kind, u->name, &out->file);
    if (err == RDG_OK) ++c->generation;
    pthread_cond_broadcast(&c->arrived);
    pthread_mutex_unlock(&c->admission);
    RDG_TRY(err);
    rdg_metric_add(c->m_files, 1);
    rdg_log(RDG_LOG_INFO, "collect.stored", RDG_STR("device", u->device), RDG_STR("kind", u->kind),
            RDG_STR("name", u->name), RDG_U64("bytes", u->size));
    return RDG_OK;
}

rdg_err_t collect_finish(collect_t *c, const char *device, const char *upload, collect_state_t *out) {
    upload_t u;
    pthread_mutex_t *lock = stripe(c, upload);
    pthread_mutex_lock(lock);
    rdg_err_t err = load(c, device, upload, &u);
    memset(out, 0, sizeof *out);
    if (err == RDG_OK) {
        err = finish(c, &u, out);
        int64_t file = out->file;
        state_of(&u, out);
        out->file = file;
    }
    pthread_mutex_unlock(lock);
    return err;
}

/* --- uploads that nobody goes on with ------------------------------------------------------------------------ */

static rdg_err_t id_row(void *ctx, const rdg_sql_row_t *r) {
    return json_array_append_new(ctx, json_string(rdg_sql_row_text(r, 0))) == 0 ? RDG_OK : RDG_E_NO_MEMORY;
}

static void drop_all(collect_t *c, const char *select, rdg_sql_value_t arg, const char *why) {
    json_t *ids = json_array(), *id;
    size_t i;
    rdg_err_t err = ids ? rdg_sql_query(c->db, select, &arg, 1, id_row, ids) : RDG_E_NO_MEMORY;
    json_array_foreach(ids, i, id) {
        pthread_mutex_t *lock = stripe(c, json_string_value(id));
        pthread_mutex_lock(lock);
        if (err == RDG_OK) err = remove_upload(c, json_string_value(id));
        pthread_mutex_unlock(lock);
        rdg_log(RDG_LOG_INFO, "collect.upload_dropped", RDG_STR("upload", json_string_value(id)),
                RDG_STR("why", why));
    }
    json_decref(ids);
    if (err != RDG_OK) rdg_log_err("collect.upkeep_failed", err);
}

void collect_tick(collect_t *c) {
    collect_records_tick(c);
    drop_all(c, "SELECT id FROM uploads WHERE touched_ms < ? LIMIT 1000",
             rdg_sql_int(now_ms() - (int64_t)c->expiry_ms), "expired");
}

void collect_forget(collect_t *c, const char *device) {
    drop_all(c, "SELECT id FROM uploads WHERE device = ?", rdg_sql_text(device), "device removed");
    rdg_err_t err = rdg_sql_exec(c->db, "DELETE FROM file_readers WHERE device = ?",
                                 RDG_SQL_PARAMS(rdg_sql_text(device)), NULL);
    if (err != RDG_OK) rdg_log_err("collect.readers_kept", err);
}
