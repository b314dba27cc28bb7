/* Private keys and their secrets on the command line. A secret comes from a file that only its owner can
 * use, from a descriptor, from a systemd credential, or from the terminal without echo: never from an
 * argument or the environment.
 *
 * Options of a command that reads a sealed key: passphrase-file, passphrase-fd, credential-file. Of one that
 * writes a key, with "new-" in front where the command also reads one: passphrase-file, passphrase-fd,
 * credential, credential-file, plain. */
#ifndef RIDGE_CLI_KEYS_H
#define RIDGE_CLI_KEYS_H
#include "cli.h"
#include "ridge/crypto/cert.h"
#include "ridge/crypto/keyfile.h"

#define KEY_OPEN_FLAGS                                                                                       \
    {"passphrase-file", "FILE", "the key's passphrase: first line of a file of mode 0600"},                  \
        {"passphrase-fd", "N", "the same from descriptor N"}, {                                              \
        "credential-file", "FILE", "what sealed the key, when it is not in $CREDENTIALS_DIRECTORY"           \
    }

typedef struct secret {
    size_t len;
    uint8_t b[RDG_KEYFILE_SECRET_MAX];
} secret_t;

/* secret.c: asks at the terminal for what the options do not give; prefix as above. twice: a new one. */
rdg_err_t cli_passphrase(const cli_t *cli, const char *prefix, const char *of, bool twice, secret_t *out);
rdg_err_t cli_credential(const cli_t *cli, const char *prefix, const char *name, secret_t *out);

/* key_io.c. path "-": standard input, for what is no secret by itself. */
rdg_err_t cli_read(const char *path, size_t max, rdg_buf_t *out);
rdg_err_t cli_key_open(const cli_t *cli, const char *path, rdg_sm2_key_t **out);
/* Sealed as the options say, into a file that is not there yet. */
rdg_err_t cli_key_seal(const cli_t *cli, const char *prefix, const rdg_sm2_key_t *key, const char *path);
rdg_err_t cli_refuse_existing(const char *path);
/* A public key as hexadecimal digits, or in a file: certificate, PUBLIC KEY, or private key. */
rdg_err_t cli_public(const cli_t *cli, const char *what, rdg_sm2_public_t *out);
/* PEM of several or DER of one, at most max. */
rdg_err_t cli_certs(const char *path, rdg_cert_t **out, size_t max, size_t *count);
/* "public_key" and "address". */
void cli_put_public(json_t *object, const rdg_sm2_public_t *pub);

#endif
