#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keyfile.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"

static rdg_err_t read_fd(int fd, const char *what, uint8_t *out, size_t max, size_t *len) {
    for (*len = 0;;) {
        ssize_t n = read(fd, out + *len, max - *len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return rdg_fail_errno(errno, "%s", what);
        if (n == 0) return RDG_OK;
        *len += (size_t)n;
        if (*len == max) return rdg_fail(RDG_E_TOO_LARGE, "%s: %zu bytes or more", what, max);
    }
}

/* Through one descriptor, so that the mode checked is that of what is read. O_NONBLOCK: opening a pipe
 * that somebody put there must not wait for ever. */
static rdg_err_t read_path(const char *path, bool private_only, uint8_t *out, size_t max, size_t *len) {
    *len = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) return rdg_fail_errno(errno, "%s", path);
    struct stat st;
    rdg_err_t err = RDG_OK;
    if (fstat(fd, &st) != 0)
        err = rdg_fail_errno(errno, "%s", path);
    else if (!S_ISREG(st.st_mode))
        err = rdg_fail(RDG_E_INVALID, "%s: is no regular file", path);
    else if (private_only && (st.st_mode & (S_IRWXG | S_IRWXO)))
        err = rdg_fail(RDG_E_FORBIDDEN, "%s: group or others may use it (mode %04o): run chmod 600 %s", path,
                       (unsigned)(st.st_mode & 07777), path);
    else
        err = read_fd(fd, path, out, max, len);
    close(fd);
    if (err != RDG_OK) rdg_secure_zero(out, max), *len = 0;
    return err;
}

rdg_err_t rdg_keyfile_read(const char *path, uint8_t out[RDG_KEYFILE_MAX], size_t *len) {
    return rdg_fail_in(read_path(path, true, out, RDG_KEYFILE_MAX, len), "key file");
}

rdg_err_t rdg_keyfile_write(const char *path, rdg_bytes_t text) {
    return rdg_fail_in(rdg_file_replace(path, text, 0600), "key file %s", path);
}

static rdg_err_t first_line(rdg_err_t err, uint8_t out[RDG_KEYFILE_SECRET_MAX], size_t *len) {
    if (err == RDG_OK) {
        const uint8_t *end = *len ? memchr(out, '\n', *len) : NULL;
        size_t line = end ? (size_t)(end - out) : *len;
        if (line && out[line - 1] == '\r') line--;
        if (line == 0) err = rdg_fail(RDG_E_INVALID, "the first line is empty");
        rdg_secure_zero(out + line, RDG_KEYFILE_SECRET_MAX - line);
        *len = line;
    } else {
        rdg_secure_zero(out, RDG_KEYFILE_SECRET_MAX);
        *len = 0;
    }
    return err;
}

rdg_err_t rdg_keyfile_read_passphrase(const char *path, uint8_t out[RDG_KEYFILE_SECRET_MAX], size_t *len) {
    rdg_err_t err = first_line(read_path(path, true, out, RDG_KEYFILE_SECRET_MAX, len), out, len);
    return rdg_fail_in(err, "passphrase file %s", path);
}

rdg_err_t rdg_keyfile_read_passphrase_fd(int fd, uint8_t out[RDG_KEYFILE_SECRET_MAX], size_t *len) {
    char what[40];
    snprintf(what, sizeof what, "passphrase from descriptor %d", fd);
    return rdg_fail_in(first_line(read_fd(fd, what, out, RDG_KEYFILE_SECRET_MAX, len), out, len), "%s", what);
}

rdg_err_t rdg_keyfile_read_credential(const char *name, uint8_t out[RDG_KEYFILE_SECRET_MAX], size_t *len) {
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    char path[PATH_MAX];
    *len = 0;
    if (!rdg_keyfile_credential_name_ok(name))
        return rdg_fail(RDG_E_INVALID, "'%.80s' cannot be the name of a credential", name);
    if (!dir || !*dir)
        return rdg_fail(RDG_E_NOT_FOUND,
                        "credential '%s': CREDENTIALS_DIRECTORY is not set: start the service by "
                        "systemd with LoadCredentialEncrypted=%s",
                        name, name);
    RDG_TRY(rdg_path_join(path, sizeof path, dir, name));
    rdg_err_t err = read_path(path, false, out, RDG_KEYFILE_SECRET_MAX, len);
    if (err == RDG_OK && *len < RDG_KEYFILE_CREDENTIAL_MIN) {
        err = rdg_fail(RDG_E_INVALID,
                       "%zu bytes are too few: take at least %d random ones, as from openssl rand "
                       "-hex 32",
                       *len, RDG_KEYFILE_CREDENTIAL_MIN);
        rdg_secure_zero(out, RDG_KEYFILE_SECRET_MAX);
        *len = 0;
    }
    return rdg_fail_in(err, "credential '%s'", name);
}
