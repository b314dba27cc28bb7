#include "broker_internal.h"
#include "broker_gate.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/base/random.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SALT_BYTES 12
#define HASH_BYTES 64
#define ITERATIONS 101 /* mosquitto_passwd's own default */

/* The broker may have run as somebody else before: the directory is its own when all that is in it is. */
static rdg_err_t give_all(const broker_files_t *f, const char *dir) {
    const struct dirent *entry;
    struct stat st;
    if (!f->user || (stat(dir, &st) == 0 && st.st_uid == f->uid)) return RDG_OK;
    DIR *d = opendir(dir);
    if (!d) return rdg_fail_errno(errno, "open %s", dir);
    rdg_err_t err = RDG_OK;
    while (err == RDG_OK && (entry = readdir(d)))
        if (broker_gate_name_valid(entry->d_name) &&
            fchownat(dirfd(d), entry->d_name, f->uid, f->gid, AT_SYMLINK_NOFOLLOW) != 0)
            err = rdg_fail_errno(errno, "give %s/%s to user %s", dir, entry->d_name, f->user);
    closedir(d);
    return err == RDG_OK ? broker_give(f, dir) : err;
}

rdg_err_t broker_users_init(const broker_files_t *f) {
    RDG_TRY(rdg_dir_make(f->users, 0700));
    RDG_TRY(rdg_dir_make(f->kicks, 0700));
    RDG_TRY(give_all(f, f->users));
    return give_all(f, f->kicks);
}

static rdg_err_t record_of(const char *password, rdg_buf_t *out) {
    uint8_t salt[SALT_BYTES], hash[HASH_BYTES];
    unsigned char salt64[4 * ((SALT_BYTES + 2) / 3) + 1], hash64[4 * ((HASH_BYTES + 2) / 3) + 1];
    rdg_random_fill(rdg_random_system(), salt, sizeof salt);
    if (PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt, sizeof salt, ITERATIONS, EVP_sha512(),
                          sizeof hash, hash) != 1)
        return rdg_fail(RDG_E_CRYPTO, "libcrypto cannot hash a password");
    EVP_EncodeBlock(salt64, salt, sizeof salt);
    EVP_EncodeBlock(hash64, hash, sizeof hash);
    return rdg_buf_printf(out, "$7$%d$%s$%s\n", ITERATIONS, (const char *)salt64, (const char *)hash64);
}

/* Names are checked before: none leads out of the directory. */
static rdg_err_t path_of(const char *dir, const char *user, char out[BROKER_PATH_MAX]) {
    return rdg_path_join(out, BROKER_PATH_MAX, dir, user);
}

static rdg_err_t fill_and_sync(const broker_files_t *f, int fd, rdg_bytes_t content) {
    if (f->user && fchown(fd, f->uid, f->gid) != 0)
        return rdg_fail_errno(errno, "give a file to user %s", f->user);
    RDG_TRY(rdg_write_all(fd, content));
    return fsync(fd) == 0 ? RDG_OK : rdg_fail_errno(errno, "fsync");
}

/* As rdg_file_replace_as, but until it is whole the file has a name that no user can have. */
static rdg_err_t replace(const broker_files_t *f, const char *path, rdg_bytes_t content) {
    char temp[BROKER_PATH_MAX];
    RDG_TRY(rdg_path_join(temp, sizeof temp, f->users, ".XXXXXX"));
    int fd = mkostemp(temp, O_CLOEXEC); /* mode 0600 */
    if (fd < 0) return rdg_fail_errno(errno, "create a file in %s", f->users);
    rdg_err_t err = rdg_fail_in(fill_and_sync(f, fd, content), "%s", temp);
    if (close(fd) != 0 && err == RDG_OK) err = rdg_fail_errno(errno, "close %s", temp);
    if (err == RDG_OK && rename(temp, path) != 0) err = rdg_fail_errno(errno, "rename %s to %s", temp, path);
    if (err == RDG_OK) return rdg_dir_sync(f->users);
    unlink(temp);
    return err;
}

rdg_err_t broker_users_set(const broker_files_t *f, const char *user, const char *password, bool *known) {
    char path[BROKER_PATH_MAX];
    rdg_buf_t text;
    RDG_TRY(path_of(f->users, user, path));
    rdg_buf_init(&text, BROKER_GATE_RECORD_MAX);
    *known = rdg_file_exists(path);
    rdg_err_t err = record_of(password, &text);
    if (err == RDG_OK) err = replace(f, path, rdg_buf_view(&text));
    rdg_buf_fini(&text);
    return err;
}

rdg_err_t broker_users_remove(const broker_files_t *f, const char *user) {
    char path[BROKER_PATH_MAX];
    RDG_TRY(path_of(f->users, user, path));
    if (unlink(path) == 0) return rdg_dir_sync(f->users);
    return errno == ENOENT ? rdg_fail(RDG_E_NOT_FOUND, "the broker knows no user %s", user)
                           : rdg_fail_errno(errno, "remove %s", path);
}

rdg_err_t broker_users_kick(const broker_files_t *f, const char *user) {
    char path[BROKER_PATH_MAX];
    RDG_TRY(path_of(f->kicks, user, path));
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0) return rdg_fail_errno(errno, "create %s", path);
    close(fd);
    return RDG_OK;
}

bool broker_users_kicked(const broker_files_t *f, const char *user) {
    char path[BROKER_PATH_MAX];
    return path_of(f->kicks, user, path) == RDG_OK && !rdg_file_exists(path);
}

/* --- from the password file of earlier versions ------------------------------------------------------------------- */

/* Not synced: all are, before the file that they come from goes. */
static rdg_err_t write_plain(const broker_files_t *f, const char *user, rdg_bytes_t record) {
    char path[BROKER_PATH_MAX];
    RDG_TRY(path_of(f->users, user, path));
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return rdg_fail_errno(errno, "create %s", path);
    rdg_err_t err = rdg_write_all(fd, record);
    if (close(fd) != 0 && err == RDG_OK) err = rdg_fail_errno(errno, "close %s", path);
    if (err == RDG_OK) err = broker_give(f, path);
    return rdg_fail_in(err, "%s", path);
}

/* "<user>:<record>". One that is none belongs to nobody who could log in. */
static rdg_err_t take_line(const broker_files_t *f, const char *line, size_t len, size_t *count) {
    char user[BROKER_GATE_NAME_MAX + 1];
    const char *colon = memchr(line, ':', len);
    size_t name = colon ? (size_t)(colon - line) : len;
    if (name >= sizeof user) return RDG_OK;
    memcpy(user, line, name);
    user[name] = '\0';
    if (!colon || !broker_gate_name_valid(user)) return RDG_OK;
    ++*count;
    return write_plain(f, user, rdg_bytes(colon + 1, len - name - 1));
}

static rdg_err_t take_lines(const broker_files_t *f, const rdg_buf_t *text, size_t *count) {
    for (size_t at = 0; at < text->len;) {
        const char *line = (const char *)text->data + at, *end = memchr(line, '\n', text->len - at);
        size_t len = end ? (size_t)(end - line) + 1 : text->len - at;
        RDG_TRY(take_line(f, line, len, count));
        at += len;
    }
    return RDG_OK;
}

static rdg_err_t sync_all(const broker_files_t *f) {
    int fd = open(f->users, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return rdg_fail_errno(errno, "open %s", f->users);
    int result = syncfs(fd), why = errno;
    close(fd);
    return result == 0 ? RDG_OK : rdg_fail_errno(why, "sync %s", f->users);
}

rdg_err_t broker_users_take_over(const broker_files_t *f) {
    rdg_buf_t text;
    size_t count = 0;
    if (!rdg_file_exists(f->passwords)) return RDG_OK;
    rdg_buf_init(&text, BROKER_PASSWORDS_MAX);
    rdg_err_t err = rdg_file_read(f->passwords, &text);
    if (err == RDG_OK) err = take_lines(f, &text, &count);
    if (err == RDG_OK) err = sync_all(f);
    rdg_buf_fini(&text);
    RDG_TRY(rdg_fail_in(err, "taking over the users of %s", f->passwords));
    if (unlink(f->passwords) != 0) return rdg_fail_errno(errno, "remove %s", f->passwords);
    rdg_log(RDG_LOG_INFO, "broker.users_taken_over", RDG_U64("users", count));
    return rdg_dir_sync(f->dir);
}
