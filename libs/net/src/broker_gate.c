#include "broker_gate.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HASH_BYTES 64
#define SALT_MAX 64
#define BASE64 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

typedef struct record {
    int iterations;
    unsigned char salt[SALT_MAX + 3], hash[HASH_BYTES + 3]; /* whole groups of three are decoded */
    size_t salt_len, hash_len;
} record_t;

bool broker_gate_name_valid(const char *user) {
    static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    static const char all[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";
    if (!user) return false;
    if (user[0] == '_') ++user;
    size_t len = strnlen(user, BROKER_GATE_NAME_MAX);
    return len > 0 && len < BROKER_GATE_NAME_MAX && strchr(first, user[0]) && strspn(user, all) == len;
}

/* Takes base64 up to `end`, or to the end of all. false: it is none, or of more than max bytes. */
static bool take_base64(const char **at, char end, size_t max, unsigned char *out, size_t *len) {
    const char *text = *at;
    size_t digits = strspn(text, BASE64), pads = strspn(text + digits, "="), all = digits + pads;
    if (all == 0 || all % 4 != 0 || pads > 2 || text[all] != end || all / 4 * 3 - pads > max) return false;
    if (EVP_DecodeBlock(out, (const unsigned char *)text, (int)all) < 0) return false;
    *len = all / 4 * 3 - pads;
    *at = text + all + (end != '\0');
    return true;
}

static bool take_iterations(const char **at, int *out) {
    const char *p = *at;
    for (*out = 0; *p >= '0' && *p <= '9' && *out <= BROKER_GATE_ITERATIONS_MAX; ++p)
        *out = *out * 10 + (*p - '0');
    bool good = *out > 0 && *out <= BROKER_GATE_ITERATIONS_MAX && *p == '$';
    *at = p + 1;
    return good;
}

/* text: ended by a NUL, without a line's end. */
static bool read_record(const char *text, record_t *r) {
    static const char kind[] = "$7$";
    if (strncmp(text, kind, sizeof kind - 1) != 0) return false;
    text += sizeof kind - 1;
    return take_iterations(&text, &r->iterations) &&
           take_base64(&text, '$', SALT_MAX, r->salt, &r->salt_len) &&
           take_base64(&text, '\0', HASH_BYTES, r->hash, &r->hash_len) && r->hash_len == HASH_BYTES;
}

broker_gate_t broker_gate_match(const char *record, size_t len, const char *password) {
    char text[BROKER_GATE_RECORD_MAX + 1];
    unsigned char hash[HASH_BYTES];
    record_t r;
    broker_gate_t answer = BROKER_GATE_BROKEN;
    if (!password || strnlen(password, BROKER_GATE_PASSWORD_MAX + 1) > BROKER_GATE_PASSWORD_MAX)
        return BROKER_GATE_OUT;
    errno = EBADMSG;
    if (len > 0 && record[len - 1] == '\n') --len;
    if (len > BROKER_GATE_RECORD_MAX || memchr(record, '\0', len)) return BROKER_GATE_BROKEN;
    memcpy(text, record, len);
    text[len] = '\0';
    if (read_record(text, &r) && PKCS5_PBKDF2_HMAC(password, (int)strlen(password), r.salt, (int)r.salt_len,
                                                   r.iterations, EVP_sha512(), sizeof hash, hash) == 1)
        answer = CRYPTO_memcmp(hash, r.hash, sizeof hash) == 0 ? BROKER_GATE_IN : BROKER_GATE_OUT;
    OPENSSL_cleanse(hash, sizeof hash);
    return answer;
}

/* One byte more than a record may have: whether there is more. */
static ssize_t read_file(int fd, char text[BROKER_GATE_RECORD_MAX + 2]) {
    struct stat st;
    size_t have = 0;
    if (fstat(fd, &st) != 0) return -1;
    if (!S_ISREG(st.st_mode)) return errno = EBADMSG, -1;
    while (have < BROKER_GATE_RECORD_MAX + 2) {
        ssize_t n = read(fd, text + have, BROKER_GATE_RECORD_MAX + 2 - have);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        if (n == 0) break;
        have += (size_t)n;
    }
    return (ssize_t)have;
}

broker_gate_t broker_gate_ask(int users, const char *user, const char *password) {
    char text[BROKER_GATE_RECORD_MAX + 2];
    if (!password || !broker_gate_name_valid(user)) return BROKER_GATE_OUT;
    /* Should it be a pipe or a device, nobody waits for it. */
    int fd = openat(users, user, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return errno == ENOENT ? BROKER_GATE_OUT : BROKER_GATE_BROKEN;
    ssize_t len = read_file(fd, text);
    int why = errno;
    close(fd);
    errno = why;
    return len < 0 ? BROKER_GATE_BROKEN : broker_gate_match(text, (size_t)len, password);
}
