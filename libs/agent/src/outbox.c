#include "outbox.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"

#define JSON_MAX (OUTBOX_META_MAX + 4096u)
#define READ_BYTES (64u << 10)
#define INCOMING "in."
#define TAKEN "taken." /* between another's directory and this one's items */

typedef struct entry {
    outbox_item_t item;
    bool failed;
    char code[32], *message; /* of a failure */
} entry_t;

struct outbox {
    char dir[PATH_MAX];
    uint64_t max_bytes, next, sent;
    pthread_mutex_t lock;
    entry_t entries[OUTBOX_ITEMS_MAX + OUTBOX_FAILED_MAX]; /* by seq */
    size_t count;
};

static rdg_err_t path_of(const outbox_t *o, uint64_t seq, const char *ending, char out[PATH_MAX]) {
    char name[40];
    snprintf(name, sizeof name, "%016" PRIx64 ".%s", seq, ending);
    return rdg_path_join(out, PATH_MAX, o->dir, name);
}

static rdg_err_t path_of_name(const outbox_t *o, const char *prefix, const char *kind, const char *name,
                              char out[PATH_MAX]) {
    char leaf[160];
    if (!rdg_name_valid(kind) || !rdg_name_valid(name))
        return rdg_fail(RDG_E_INVALID,
                        "kind and name of a file: 1 to 64 of [a-z0-9._-], first a letter or digit");
    /* ',' is in no name, so two pairs never share a file. */
    snprintf(leaf, sizeof leaf, "%s%s,%s", prefix, kind, name);
    return rdg_path_join(out, PATH_MAX, o->dir, leaf);
}

static rdg_err_t hash_file(const char *path, rdg_hash_t *digest, uint64_t *size) {
    rdg_err_t err = RDG_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return rdg_fail_errno(errno, "cannot open %s", path);
    rdg_sm3_stream_t *s = rdg_sm3_stream_new();
    uint8_t *block = rdg_alloc(READ_BYTES);
    *size = 0;
    if (!s || !block) err = rdg_fail(RDG_E_NO_MEMORY, "no memory to read %s", path);
    while (err == RDG_OK) {
        ssize_t n = read(fd, block, READ_BYTES);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) err = rdg_fail_errno(errno, "cannot read %s", path);
        if (n <= 0) break;
        rdg_sm3_stream_update(s, block, (size_t)n);
        *size += (uint64_t)n;
    }
    if (err == RDG_OK) rdg_sm3_stream_final(s, digest);
    if (err == RDG_OK && fsync(fd) != 0) err = rdg_fail_errno(errno, "cannot make %s durable", path);
    rdg_sm3_stream_free(s);
    rdg_free(block);
    close(fd);
    return err;
}

void outbox_item_fini(outbox_item_t *i) {
    json_decref(i->meta);
    i->meta = NULL;
}

static void entry_fini(entry_t *e) {
    outbox_item_fini(&e->item);
    rdg_free(e->message);
    e->message = NULL;
}

/* --- the record of an item --------------------------------------------------------------------------------- */

static json_t *entry_json(const entry_t *e) {
    char hex[65];
    rdg_hex_encode(e->item.digest.b, sizeof e->item.digest.b, hex);
    json_t *o = json_pack("{s:s, s:s, s:I, s:s, s:O}", "kind", e->item.kind, "name", e->item.name, "size",
                          (json_int_t)e->item.size, "sm3", hex, "meta", e->item.meta);
    if (o && e->failed)
        json_object_set_new(
            o, "failed", json_pack("{s:s, s:s}", "code", e->code, "message", e->message ? e->message : ""));
    return o;
}

static rdg_err_t entry_save(const outbox_t *o, const entry_t *e) {
    char path[PATH_MAX];
    rdg_buf_t text;
    RDG_TRY(path_of(o, e->item.seq, "json", path));
    json_t *json = entry_json(e);
    rdg_buf_init(&text, JSON_MAX);
    rdg_err_t err = json ? rdg_json_dump(json, &text) : rdg_fail(RDG_E_NO_MEMORY, "no memory for the outbox");
    if (err == RDG_OK) err = rdg_file_replace(path, rdg_buf_view(&text), 0600);
    rdg_buf_fini(&text);
    json_decref(json);
    return err;
}

static rdg_err_t entry_read(const json_t *json, entry_t *e) {
    const char *kind, *name, *code = NULL, *message = NULL;
    const json_t *failed = json_object_get(json, "failed");
    RDG_TRY(rdg_json_get_str(json, "kind", &kind));
    RDG_TRY(rdg_json_get_str(json, "name", &name));
    RDG_TRY(rdg_json_get_u64(json, "size", &e->item.size));
    RDG_TRY(rdg_json_get_hex(json, "sm3", e->item.digest.b, sizeof e->item.digest.b));
    if (!rdg_name_valid(kind) || !rdg_name_valid(name)) return rdg_fail(RDG_E_CORRUPT, "an item has no name");
    snprintf(e->item.kind, sizeof e->item.kind, "%s", kind);
    snprintf(e->item.name, sizeof e->item.name, "%s", name);
    e->item.meta = json_incref(json_object_get(json, "meta"));
    if (!e->item.meta) e->item.meta = json_object();
    e->failed = json_is_object(failed);
    if (!e->failed) return RDG_OK;
    RDG_TRY(rdg_json_opt_str(failed, "code", &code));
    RDG_TRY(rdg_json_opt_str(failed, "message", &message));
    snprintf(e->code, sizeof e->code, "%s", code ? code : "");
    e->message = rdg_strdup(message);
    return RDG_OK;
}

static rdg_err_t entry_load(const outbox_t *o, uint64_t seq, entry_t *e) {
    char path[PATH_MAX];
    rdg_buf_t text;
    json_t *json = NULL;
    RDG_TRY(path_of(o, seq, "json", path));
    rdg_buf_init(&text, JSON_MAX);
    rdg_err_t err = rdg_file_read(path, &text);
    if (err == RDG_OK) err = rdg_json_parse(rdg_buf_view(&text), &json);
    rdg_buf_fini(&text);
    *e = (entry_t){.item.seq = seq};
    if (err == RDG_OK) err = entry_read(json, e);
    json_decref(json);
    if (err != RDG_OK) entry_fini(e);
    return rdg_fail_in(err, "%s", path);
}

/* --- opening ----------------------------------------------------------------------------------------------- */

static int by_seq(const void *a, const void *b) {
    const entry_t *x = a, *y = b;
    return x->item.seq < y->item.seq ? -1 : x->item.seq > y->item.seq;
}

static void drop_files(const outbox_t *o, uint64_t seq) {
    char path[PATH_MAX];
    if (path_of(o, seq, "json", path) == RDG_OK) (void)unlink(path);
    (void)rdg_dir_sync(o->dir);
    if (path_of(o, seq, "data", path) == RDG_OK) (void)unlink(path);
}

/* No second look will find anything else. What cannot be read just now is left for the next start. */
static bool is_lost(rdg_err_t err) {
    return err == RDG_E_NOT_FOUND || err == RDG_E_CORRUPT || err == RDG_E_MALFORMED || err == RDG_E_INVALID ||
           err == RDG_E_TOO_LARGE;
}

static void take_up(outbox_t *o, uint64_t seq) {
    char path[PATH_MAX];
    entry_t *e = &o->entries[o->count];
    if (o->count == sizeof o->entries / sizeof o->entries[0]) return;
    rdg_err_t err = entry_load(o, seq, e);
    if (err == RDG_OK && !e->failed) err = path_of(o, seq, "data", path);
    if (err == RDG_OK && !e->failed && !rdg_file_exists(path)) {
        err = rdg_fail(RDG_E_CORRUPT, "%s is not there", path);
        entry_fini(e);
    }
    if (err == RDG_OK) {
        ++o->count;
    } else if (is_lost(err)) {
        rdg_log_err("outbox.item_lost", err);
        drop_files(o, seq);
    } else {
        rdg_log_err("outbox.item_unreadable", err);
    }
}

/* A name of ours: its number and ending. */
static bool parse_name(const char *name, uint64_t *seq, const char **ending) {
    char *end;
    if (strspn(name, "0123456789abcdef") != 16 || name[16] != '.') return false;
    *seq = strtoull(name, &end, 16);
    *ending = name + 17;
    return true;
}

static rdg_err_t list(outbox_t *o, bool data) {
    DIR *d = opendir(o->dir);
    char path[PATH_MAX];
    if (!d) return rdg_fail_errno(errno, "cannot list %s", o->dir);
    for (struct dirent *e; (e = readdir(d));) {
        uint64_t seq;
        const char *ending;
        if (strncmp(e->d_name, TAKEN, sizeof TAKEN - 1) == 0) (void)unlinkat(dirfd(d), e->d_name, 0);
        if (!parse_name(e->d_name, &seq, &ending)) continue;
        if (seq >= o->next) o->next = seq + 1;
        if (!data && strcmp(ending, "json") == 0) take_up(o, seq);
        if (data && strcmp(ending, "data") == 0 && path_of(o, seq, "json", path) == RDG_OK &&
            !rdg_file_exists(path))
            drop_files(o, seq); /* a crash before the record, or after its removal */
    }
    closedir(d);
    return RDG_OK;
}

rdg_err_t outbox_open(const char *dir, uint64_t max_bytes, outbox_t **out) {
    outbox_t *o = rdg_calloc(1, sizeof *o);
    if (!o) return rdg_fail(RDG_E_NO_MEMORY, "no memory for the outbox");
    pthread_mutex_init(&o->lock, NULL);
    o->max_bytes = max_bytes;
    bool fits = snprintf(o->dir, sizeof o->dir, "%s", dir) < (int)sizeof o->dir - 200;
    rdg_err_t err = fits ? rdg_dir_make(dir, 0700) : rdg_fail(RDG_E_TOO_LARGE, "%s is too long a path", dir);
    if (err == RDG_OK) err = list(o, false);
    if (err == RDG_OK) err = list(o, true);
    if (err != RDG_OK) {
        outbox_close(o);
        return rdg_fail_in(err, "the outbox");
    }
    qsort(o->entries, o->count, sizeof o->entries[0], by_seq);
    *out = o;
    return RDG_OK;
}

void outbox_close(outbox_t *o) {
    if (!o) return;
    for (size_t i = 0; i < o->count; ++i) entry_fini(&o->entries[i]);
    pthread_mutex_destroy(&o->lock);
    rdg_free(o);
}

/* --- adding: the lock is held from here on ------------------------------------------------------------------- */

static size_t count_of(const outbox_t *o, bool failed) {
    size_t n = 0;
    for (size_t i = 0; i < o->count; ++i) n += o->entries[i].failed == failed;
    return n;
}

static bool is_incoming(DIR *d, const struct dirent *e, struct stat *st) {
    return strncmp(e->d_name, INCOMING, sizeof INCOMING - 1) == 0 &&
           fstatat(dirfd(d), e->d_name, st, AT_SYMLINK_NOFOLLOW) == 0;
}

static uint64_t incoming(const outbox_t *o, size_t *files) {
    DIR *d = opendir(o->dir);
    uint64_t bytes = 0;
    struct stat st;
    *files = 0;
    for (struct dirent *e; d && (e = readdir(d));) {
        if (!is_incoming(d, e, &st)) continue;
        bytes += (uint64_t)st.st_size;
        ++*files;
    }
    if (d) closedir(d);
    return bytes;
}

/* What programs have begun to hand over and left, when it is in the way of others. but: the one being handed over now. A
 * clock that was set back must not keep them for ever. */
static void drop_idle(const outbox_t *o, const char *but) {
    DIR *d = opendir(o->dir);
    const char *slash = strrchr(but, '/');
    struct stat st;
    for (struct dirent *e; d && (e = readdir(d));) {
        if (!is_incoming(d, e, &st) || strcmp(e->d_name, slash ? slash + 1 : but) == 0) continue;
        if (llabs((long long)time(NULL) - (long long)st.st_mtime) <= OUTBOX_IDLE_S) continue;
        rdg_log(RDG_LOG_WARN, "outbox.incoming_dropped", RDG_STR("file", e->d_name + sizeof INCOMING - 1),
                RDG_U64("bytes", (uint64_t)st.st_size));
        (void)unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d) closedir(d);
}

static uint64_t queued_bytes(const outbox_t *o) {
    uint64_t n = 0;
    for (size_t i = 0; i < o->count; ++i) n += o->entries[i].failed ? 0 : o->entries[i].item.size;
    return n;
}

static rdg_err_t check_room(const outbox_t *o, uint64_t more) {
    size_t files;
    uint64_t used = queued_bytes(o) + incoming(o, &files);
    if (more <= o->max_bytes && used <= o->max_bytes - more) return RDG_OK;
    return rdg_fail(RDG_E_FULL,
                    "the outbox holds %" PRIu64 " of %" PRIu64
                    " bytes: offer it again when the cloud has taken "
                    "some, or raise outbox-bytes",
                    used, o->max_bytes);
}

static void remove_at(outbox_t *o, size_t i) {
    entry_fini(&o->entries[i]);
    memmove(&o->entries[i], &o->entries[i + 1], (--o->count - i) * sizeof o->entries[0]);
}

static entry_t *find_name(outbox_t *o, const char *kind, const char *name) {
    for (size_t i = 0; i < o->count; ++i)
        if (!o->entries[i].failed && strcmp(o->entries[i].item.kind, kind) == 0 &&
            strcmp(o->entries[i].item.name, name) == 0)
            return &o->entries[i];
    return NULL;
}

static rdg_err_t commit(outbox_t *o, entry_t *e, const char *path) {
    char data[PATH_MAX];
    e->item.seq = o->next;
    RDG_TRY(path_of(o, e->item.seq, "data", data));
    if (rename(path, data) != 0) return rdg_fail_errno(errno, "cannot take %s", path);
    rdg_err_t err = rdg_dir_sync(o->dir);
    if (err == RDG_OK) err = entry_save(o, e);
    if (err != RDG_OK) {
        (void)rename(data, path);
        return err;
    }
    ++o->next;
    o->entries[o->count++] = *e;
    return RDG_OK;
}

/* counted: the bytes are in the budget already. */
static rdg_err_t add(outbox_t *o, const char *path, const outbox_item_t *item, const json_t *meta,
                     bool counted) {
    entry_t e = {.item = *item};
    const char *kind = item->kind, *name = item->name;
    if (e.item.size == 0) return rdg_fail(RDG_E_INVALID, "%s '%s' is empty", kind, name);
    const entry_t *known = find_name(o, kind, name);
    if (known && rdg_hash_equal(&known->item.digest, &e.item.digest)) {
        (void)unlink(path);
        return RDG_OK;
    }
    if (known)
        return rdg_fail(RDG_E_CONFLICT, "%s '%s' waits here with other content: choose another name", kind,
                        name);
    if (count_of(o, false) >= OUTBOX_ITEMS_MAX)
        return rdg_fail(RDG_E_FULL, "%d files wait to be uploaded already", OUTBOX_ITEMS_MAX);
    RDG_TRY(check_room(o, counted ? 0 : e.item.size));
    e.item.meta = meta ? json_deep_copy(meta) : json_object();
    rdg_err_t err = e.item.meta ? commit(o, &e, path) : rdg_fail(RDG_E_NO_MEMORY, "no memory for the outbox");
    if (err != RDG_OK) entry_fini(&e);
    return err;
}

rdg_err_t outbox_add(outbox_t *o, const char *path, const char *kind, const char *name, const json_t *meta) {
    if (!rdg_name_valid(kind) || !rdg_name_valid(name))
        return rdg_fail(RDG_E_INVALID,
                        "kind and name of a file: 1 to 64 of [a-z0-9._-], first a letter or digit");
    outbox_item_t item = {.size = 0};
    snprintf(item.kind, sizeof item.kind, "%s", kind);
    snprintf(item.name, sizeof item.name, "%s", name);
    RDG_TRY(hash_file(path, &item.digest, &item.size)); /* it may take long: nobody waits meanwhile */
    pthread_mutex_lock(&o->lock);
    rdg_err_t err = add(o, path, &item, meta, false);
    pthread_mutex_unlock(&o->lock);
    return err;
}

static rdg_err_t is_plain(int dir, const char *file) {
    struct stat st;
    if (fstatat(dir, file, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return rdg_fail_errno(errno, "cannot look at %s", file);
    return S_ISREG(st.st_mode) ? RDG_OK : rdg_fail(RDG_E_INVALID, "%s is no plain file", file);
}

/* Looked at again where nobody else can change it. */
static rdg_err_t take_from(outbox_t *o, int dir, const char *file, const char *taken, const char *kind,
                           const char *name, const json_t *meta) {
    char why[RDG_ERROR_TEXT_MAX];
    RDG_TRY(is_plain(dir, file));
    if (renameat(dir, file, AT_FDCWD, taken) != 0) return rdg_fail_errno(errno, "cannot take %s", file);
    rdg_err_t err = is_plain(AT_FDCWD, taken);
    if (err == RDG_OK) err = outbox_add(o, taken, kind, name, meta);
    if (err == RDG_OK) return RDG_OK;
    snprintf(why, sizeof why, "%s", rdg_err_message(err));
    if (renameat(AT_FDCWD, taken, dir, file) != 0) (void)rdg_tree_remove(taken, NULL);
    return rdg_fail(err, "%s", why);
}

rdg_err_t outbox_add_from(outbox_t *o, const char *dir, const char *file, const char *kind, const char *name,
                          const json_t *meta) {
    char taken[PATH_MAX];
    RDG_TRY(path_of_name(o, TAKEN, kind, name, taken));
    if (!rdg_name_valid(file)) return rdg_fail(RDG_E_INVALID, "'%.64s' is no name of a file", file);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return rdg_fail_errno(errno, "cannot open %s", dir);
    rdg_err_t err = take_from(o, fd, file, taken, kind, name, meta);
    close(fd);
    return err;
}

static rdg_err_t write_piece(int fd, const char *path, uint64_t offset, rdg_bytes_t bytes) {
    if (lseek(fd, (off_t)offset, SEEK_SET) < 0) return rdg_fail_errno(errno, "cannot write %s", path);
    rdg_err_t err = rdg_write_all(fd, bytes);
    if (err == RDG_OK && fdatasync(fd) != 0) err = rdg_fail_errno(errno, "cannot make %s durable", path);
    /* Half a piece would be in the way of its repetition. */
    if (err != RDG_OK) (void)!ftruncate(fd, (off_t)offset);
    return err;
}

static rdg_err_t piece(outbox_t *o, const char *path, uint64_t offset, rdg_bytes_t bytes, uint64_t *have) {
    struct stat st;
    size_t files;
    bool fresh = !rdg_file_exists(path);
    *have = 0;
    if (fresh && offset == 0 && (incoming(o, &files), files >= OUTBOX_INCOMING_MAX)) drop_idle(o, path);
    if (fresh && offset == 0 && (incoming(o, &files), files >= OUTBOX_INCOMING_MAX))
        return rdg_fail(RDG_E_FULL, "%d files are being handed over already", OUTBOX_INCOMING_MAX);
    if (fresh && offset > 0) return rdg_fail(RDG_E_CONFLICT, "this file goes on at 0");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return rdg_fail_errno(errno, "cannot open %s", path);
    rdg_err_t err = fstat(fd, &st) == 0 ? RDG_OK : rdg_fail_errno(errno, "cannot look at %s", path);
    if (err == RDG_OK) *have = (uint64_t)st.st_size;
    /* From the start: the program begins again. */
    if (err == RDG_OK && offset == 0 && *have > 0 && bytes.len > 0) {
        err = ftruncate(fd, 0) == 0 ? RDG_OK : rdg_fail_errno(errno, "cannot empty %s", path);
        *have = 0;
    }
    if (err == RDG_OK && offset != *have)
        err = rdg_fail(RDG_E_CONFLICT, "this file goes on at %" PRIu64, *have);
    if (err == RDG_OK && check_room(o, bytes.len) != RDG_OK) {
        drop_idle(o, path);
        err = check_room(o, bytes.len);
    }
    if (err == RDG_OK) err = write_piece(fd, path, offset, bytes);
    if (err == RDG_OK) *have += bytes.len;
    close(fd);
    return err;
}

rdg_err_t outbox_piece(outbox_t *o, const char *kind, const char *name, uint64_t offset, rdg_bytes_t bytes,
                       bool last, uint64_t *have) {
    char path[PATH_MAX];
    *have = 0;
    RDG_TRY(path_of_name(o, INCOMING, kind, name, path));
    if (bytes.len > OUTBOX_PIECE_MAX)
        return rdg_fail(RDG_E_TOO_LARGE, "a piece of %zu bytes: at most %u", bytes.len, OUTBOX_PIECE_MAX);
    pthread_mutex_lock(&o->lock);
    rdg_err_t err = piece(o, path, offset, bytes, have);
    if (err == RDG_OK && last) {
        outbox_item_t item = {.size = 0};
        snprintf(item.kind, sizeof item.kind, "%s", kind);
        snprintf(item.name, sizeof item.name, "%s", name);
        err = hash_file(path, &item.digest, &item.size);
        if (err == RDG_OK) err = add(o, path, &item, NULL, true);
    }
    pthread_mutex_unlock(&o->lock);
    return err;
}

/* --- the uploader's side ----------------------------------------------------------------------------------- */

bool outbox_next(outbox_t *o, uint64_t from, outbox_item_t *out) {
    bool found = false;
    pthread_mutex_lock(&o->lock);
    for (size_t i = 0; i < o->count && !found; ++i) {
        const entry_t *e = &o->entries[i];
        if (e->failed || e->item.seq < from) continue;
        *out = e->item;
        out->meta = json_deep_copy(e->item.meta); /* json_t counts its references without a lock */
        found = out->meta != NULL;
    }
    pthread_mutex_unlock(&o->lock);
    return found;
}

bool outbox_find(outbox_t *o, const char *kind, const char *name, outbox_item_t *out) {
    pthread_mutex_lock(&o->lock);
    const entry_t *e = find_name(o, kind, name);
    if (e) {
        *out = e->item;
        out->meta = json_deep_copy(e->item.meta);
    }
    bool found = e && out->meta;
    pthread_mutex_unlock(&o->lock);
    return found;
}

rdg_err_t outbox_data(outbox_t *o, uint64_t seq, int *fd) {
    char path[PATH_MAX];
    RDG_TRY(path_of(o, seq, "data", path));
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return *fd >= 0 ? RDG_OK : rdg_fail_errno(errno, "cannot open %s", path);
}

static size_t find_seq(const outbox_t *o, uint64_t seq) {
    size_t i = 0;
    while (i < o->count && o->entries[i].item.seq != seq) ++i;
    return i;
}

rdg_err_t outbox_done(outbox_t *o, uint64_t seq) {
    pthread_mutex_lock(&o->lock);
    size_t i = find_seq(o, seq);
    if (i < o->count) {
        remove_at(o, i);
        ++o->sent;
        drop_files(o, seq);
    }
    pthread_mutex_unlock(&o->lock);
    return RDG_OK;
}

static rdg_err_t fail(outbox_t *o, entry_t *e, rdg_err_t why) {
    char path[PATH_MAX];
    e->failed = true;
    snprintf(e->code, sizeof e->code, "%s", rdg_err_name(why));
    e->message = rdg_strdup(rdg_err_message(why));
    rdg_log(RDG_LOG_ERROR, "outbox.failed", RDG_STR("kind", e->item.kind), RDG_STR("name", e->item.name),
            RDG_STR("code", e->code), RDG_STR("error", rdg_err_message(why)));
    RDG_TRY(entry_save(o, e));
    RDG_TRY(path_of(o, e->item.seq, "data", path));
    (void)unlink(path);
    return RDG_OK;
}

rdg_err_t outbox_fail(outbox_t *o, uint64_t seq, rdg_err_t why) {
    rdg_err_t err = RDG_OK;
    pthread_mutex_lock(&o->lock);
    size_t i = find_seq(o, seq);
    if (i < o->count && !o->entries[i].failed) err = fail(o, &o->entries[i], why);
    for (i = 0; i < o->count && count_of(o, true) > OUTBOX_FAILED_MAX;) {
        uint64_t old = o->entries[i].item.seq;
        if (!o->entries[i].failed) {
            ++i;
            continue;
        }
        remove_at(o, i);
        drop_files(o, old);
    }
    pthread_mutex_unlock(&o->lock);
    return err;
}

void outbox_stats(outbox_t *o, outbox_stats_t *out) {
    pthread_mutex_lock(&o->lock);
    out->queued = count_of(o, false);
    out->failed = count_of(o, true);
    out->bytes = queued_bytes(o);
    out->sent = o->sent;
    pthread_mutex_unlock(&o->lock);
}

json_t *outbox_json(outbox_t *o) {
    json_t *queued = json_array(), *failed = json_array();
    pthread_mutex_lock(&o->lock);
    for (size_t i = 0; i < o->count; ++i) {
        json_t *item = entry_json(&o->entries[i]);
        json_t *own = item ? json_deep_copy(item) : NULL;
        json_decref(item);
        if (own) json_array_append_new(o->entries[i].failed ? failed : queued, own);
    }
    pthread_mutex_unlock(&o->lock);
    return json_pack("{s:o, s:o}", "queued", queued, "failed", failed);
}
