#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "sm2_key.h"

#define KEY_FILE_MAX 16384

rdg_err_t rdg_sm2_key_save(const rdg_sm2_key_t *key, const char *path) {
    BIO *bio = BIO_new(BIO_s_secmem());
    char *pem = NULL;
    rdg_err_t err;
    if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) != 1) {
        err = rdg_crypto_fail("writing an SM2 key");
    } else {
        long len = BIO_get_mem_data(bio, &pem);
        err = rdg_file_replace(path, rdg_bytes(pem, (size_t)len), 0600);
    }
    BIO_free(bio); /* clears its memory */
    return rdg_fail_in(err, "key file %s", path);
}

/* Reads the file through one descriptor, so that the mode checked is that of what is read. */
static rdg_err_t read_private(const char *path, uint8_t *out, size_t *len) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return rdg_fail_errno(errno, "key file %s", path);
    struct stat st;
    rdg_err_t err = RDG_OK;
    *len = 0;
    if (fstat(fd, &st) != 0) {
        err = rdg_fail_errno(errno, "key file %s", path);
    } else if (st.st_mode & (S_IRWXG | S_IRWXO)) {
        err =
            rdg_fail(RDG_E_FORBIDDEN, "key file %s: group or others may use it (mode %04o): run chmod 600 %s",
                     path, (unsigned)(st.st_mode & 07777), path);
    }
    while (err == RDG_OK) {
        ssize_t n = read(fd, out + *len, KEY_FILE_MAX - *len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) err = rdg_fail_errno(errno, "key file %s", path);
        if (n <= 0) break;
        *len += (size_t)n;
        if (*len == KEY_FILE_MAX)
            err = rdg_fail(RDG_E_TOO_LARGE, "key file %s: larger than %d bytes", path, KEY_FILE_MAX);
    }
    close(fd);
    return err;
}

/* Without this, libcrypto would ask for the passphrase of an encrypted key at the terminal. */
static int no_passphrase(char *buf, int size, int rwflag, void *ctx) {
    (void)buf, (void)size, (void)rwflag, (void)ctx;
    return -1;
}

rdg_err_t rdg_sm2_key_load(const char *path, rdg_sm2_key_t **out) {
    *out = NULL;
    uint8_t text[KEY_FILE_MAX];
    size_t len = 0;
    rdg_err_t err = read_private(path, text, &len);
    if (err == RDG_OK) {
        BIO *bio = BIO_new_mem_buf(text, (int)len);
        EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
        BIO_free(bio);
        if (!pkey || rdg_sm2_key_wrap(pkey, out) == RDG_E_CRYPTO)
            err = rdg_fail(RDG_E_CORRUPT,
                           "key file %s: no unencrypted SM2 private key in PEM: restore it from a backup or "
                           "remove it to get a new identity",
                           path);
        else if (!*out)
            err = rdg_fail(RDG_E_NO_MEMORY, "key file %s: out of memory", path);
        ERR_clear_error();
    }
    rdg_secure_zero(text, sizeof text);
    return err;
}

rdg_err_t rdg_sm2_key_load_or_generate(const char *path, rdg_sm2_key_t **out) {
    rdg_err_t err = rdg_sm2_key_load(path, out);
    if (err != RDG_E_NOT_FOUND) return err;
    rdg_sm2_key_t *key;
    RDG_TRY(rdg_sm2_key_generate(&key));
    err = rdg_sm2_key_save(key, path);
    if (err != RDG_OK) {
        rdg_sm2_key_free(key);
        return err;
    }
    *out = key;
    return RDG_OK;
}
