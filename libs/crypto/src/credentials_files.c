#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/crypto/credentials.h"

#define ATTEMPTS 3 /* to load while another process installs one set after the other */

/* The files of a set in the order in which they are moved; %s is the prefix. */
static const char *const members[] = {"%s-enc.key", "%s-enc.crt", "%s-sign.crt", "ca-chain.crt", "roots.crt"};
#define MEMBERS (sizeof members / sizeof members[0])

static rdg_err_t path_of(char out[PATH_MAX], const char *dir, const char *format, const char *prefix) {
    char name[NAME_MAX];
    const char *at = strstr(format, "%s");
    int n = at ? snprintf(name, sizeof name, "%.*s%s%s", (int)(at - format), format, prefix, at + 2)
               : snprintf(name, sizeof name, "%s", format);
    if (n < 0 || n >= (int)sizeof name) return rdg_fail(RDG_E_TOO_LARGE, "the name %s is too long", prefix);
    return rdg_path_join(out, PATH_MAX, dir, name);
}

static rdg_err_t load_key(const char *dir, const char *format, const char *prefix, rdg_sm2_key_t **out) {
    char path[PATH_MAX];
    RDG_TRY(path_of(path, dir, format, prefix));
    return rdg_sm2_key_load(path, out);
}

/* --- what was promised --------------------------------------------------------------------------- */

static bool same_key(const rdg_sm2_key_t *a, const rdg_sm2_key_t *b) {
    rdg_sm2_public_t one, other;
    rdg_sm2_key_public(a, &one);
    rdg_sm2_key_public(b, &other);
    return memcmp(one.b, other.b, sizeof one.b) == 0;
}

/* The next encryption key is not the one that has just become the present one. */
static bool awaits_certificate(const char *dir, const char *prefix) {
    rdg_sm2_key_t *present = NULL, *next = NULL;
    bool waits = load_key(dir, "%s-enc.key", prefix, &present) == RDG_OK &&
                 load_key(dir, "%s-enc.key.new", prefix, &next) == RDG_OK && !same_key(present, next);
    rdg_sm2_key_free(present);
    rdg_sm2_key_free(next);
    return waits;
}

/* A directory of a set, under the name that leads to it whatever becomes of its own. A node's lies where its container may
 * write: a link there would lead to the files of another. */
static rdg_err_t hold(const char *path, int *fd, char out[PATH_MAX]) {
    *fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*fd < 0 && (errno == ENOTDIR || errno == ELOOP))
        return rdg_fail(RDG_E_INVALID, "%s is no directory: remove it", path);
    if (*fd < 0) return rdg_fail_errno(errno, "cannot open %s", path);
    snprintf(out, PATH_MAX, "/proc/self/fd/%d", *fd);
    return RDG_OK;
}

static rdg_err_t move_members(const char *from_dir, const char *dir, const char *prefix) {
    char from[PATH_MAX], to[PATH_MAX];
    for (size_t i = 0; i < MEMBERS; i++) {
        RDG_TRY(path_of(from, from_dir, members[i], prefix));
        RDG_TRY(path_of(to, dir, members[i], prefix));
        if (rename(from, to) != 0 && errno != ENOENT) return rdg_fail_errno(errno, "cannot replace %s", to);
    }
    return RDG_OK;
}

/* Moves what is still in <prefix>.new. Two that do so at once do no harm: each file is moved once. */
static rdg_err_t finish(const char *dir, const char *prefix) {
    char from_dir[PATH_MAX], held[PATH_MAX], next[PATH_MAX];
    int fd;
    RDG_TRY(path_of(from_dir, dir, "%s.new", prefix));
    rdg_err_t err = hold(from_dir, &fd, held);
    if (err == RDG_E_NOT_FOUND) return RDG_OK;
    RDG_TRY(err);
    err = move_members(held, dir, prefix);
    close(fd);
    RDG_TRY(err);
    RDG_TRY(rdg_dir_sync(dir));
    RDG_TRY(path_of(next, dir, "%s-enc.key.new", prefix));
    if (!awaits_certificate(dir, prefix)) (void)unlink(next);
    if (rmdir(from_dir) != 0 && errno != ENOENT)
        return rdg_fail_errno(errno, "cannot remove %s: remove what else it holds", from_dir);
    return RDG_OK;
}

/* --- loading ------------------------------------------------------------------------------------- */

static rdg_err_t load_certs(const char *dir, const char *format, const char *prefix, const rdg_cert_t **out,
                            size_t max, size_t *count) {
    char path[PATH_MAX];
    rdg_cert_t *list[RDG_CERT_CHAIN_MAX];
    rdg_buf_t text;
    RDG_TRY(path_of(path, dir, format, prefix));
    rdg_buf_init(&text, RDG_CREDENTIALS_TEXT_MAX);
    rdg_err_t err = rdg_file_read_plain(path, true, &text);
    *count = 0;
    /* An empty chain is one: certificates directly under a root. */
    if (err == RDG_OK && text.len > 0) err = rdg_cert_parse_pem(rdg_buf_view(&text), list, max, count);
    rdg_buf_fini(&text);
    for (size_t i = 0; i < *count; i++) out[i] = list[i];
    return rdg_fail_in(err, "%s", path);
}

static rdg_err_t load_cert(const char *dir, const char *format, const char *prefix, rdg_cert_t **out) {
    const rdg_cert_t *one = NULL;
    size_t count;
    RDG_TRY(load_certs(dir, format, prefix, &one, 1, &count));
    *out = (rdg_cert_t *)(uintptr_t)one;
    return count == 1 ? RDG_OK : rdg_fail(RDG_E_CORRUPT, "%s in %s is empty", format, dir);
}

static rdg_err_t load_crl(const char *dir, rdg_crl_t **out) {
    char path[PATH_MAX];
    rdg_buf_t text;
    RDG_TRY(rdg_path_join(path, sizeof path, dir, "ca.crl"));
    if (!rdg_file_exists(path)) return RDG_OK;
    rdg_buf_init(&text, RDG_CRL_PEM_MAX);
    rdg_err_t err = rdg_file_read_plain(path, true, &text);
    if (err == RDG_OK) err = rdg_crl_parse_pem(rdg_buf_view(&text), out);
    rdg_buf_fini(&text);
    return rdg_fail_in(err, "%s (the cloud sends it again when it is removed)", path);
}

static rdg_err_t load_all(const char *dir, const char *prefix, rdg_credentials_t *c) {
    RDG_TRY(finish(dir, prefix));
    RDG_TRY(load_key(dir, "%s.key", prefix, &c->sign_key));
    RDG_TRY(load_cert(dir, "%s-sign.crt", prefix, &c->sign_cert));
    RDG_TRY(load_key(dir, "%s-enc.key", prefix, &c->enc_key));
    RDG_TRY(load_cert(dir, "%s-enc.crt", prefix, &c->enc_cert));
    RDG_TRY(load_certs(dir, "ca-chain.crt", prefix, c->chain, RDG_CERT_CHAIN_MAX, &c->chain_count));
    RDG_TRY(load_certs(dir, "roots.crt", prefix, c->roots, RDG_CREDENTIALS_ROOTS_MAX, &c->root_count));
    RDG_TRY(load_crl(dir, &c->crl));
    return rdg_fail_in(rdg_credentials_check(c), "the credentials in %s", dir);
}

rdg_err_t rdg_credentials_load(const char *dir, const char *prefix, rdg_credentials_t **out) {
    rdg_err_t err = RDG_E_CONFLICT;
    *out = NULL;
    for (int i = 0; i < ATTEMPTS && err == RDG_E_CONFLICT; i++) {
        rdg_credentials_t *c;
        RDG_TRY(rdg_credentials_new(&c));
        err = load_all(dir, prefix, c);
        if (err == RDG_OK)
            *out = c;
        else
            rdg_credentials_free(c);
    }
    return err;
}

static uint64_t mix(uint64_t stamp, uint64_t value) {
    return (stamp ^ value) * 0x9e3779b97f4a7c15u + (stamp >> 29);
}

uint64_t rdg_credentials_stamp(const char *dir, const char *prefix) {
    static const char *const others[] = {"%s.key", "ca.crl"};
    uint64_t stamp = 0;
    for (size_t i = 0; i < MEMBERS + 2; i++) {
        char path[PATH_MAX];
        struct stat st;
        bool there = path_of(path, dir, i < MEMBERS ? members[i] : others[i - MEMBERS], prefix) == RDG_OK &&
                     stat(path, &st) == 0;
        stamp = mix(stamp, i);
        if (!there) continue;
        stamp = mix(stamp, (uint64_t)st.st_mtim.tv_sec);
        stamp = mix(stamp, (uint64_t)st.st_mtim.tv_nsec);
        stamp = mix(stamp, (uint64_t)st.st_ino);
        stamp = mix(stamp, (uint64_t)st.st_size);
    }
    return stamp;
}

/* --- installing ---------------------------------------------------------------------------------- */

rdg_err_t rdg_credentials_next_key(const char *dir, const char *prefix, rdg_sm2_key_t **out) {
    char path[PATH_MAX];
    RDG_TRY(finish(dir, prefix));
    RDG_TRY(path_of(path, dir, "%s-enc.key.new", prefix));
    return rdg_sm2_key_load_or_generate(path, out);
}

static rdg_err_t parse_texts(const rdg_credentials_texts_t *t, rdg_credentials_t *c) {
    rdg_cert_t *list[RDG_CERT_CHAIN_MAX];
    size_t count;
    RDG_TRY(rdg_fail_in(rdg_cert_parse_pem(rdg_bytes_str(t->sign_cert), &c->sign_cert, 1, &count),
                        "sign certificate"));
    RDG_TRY(rdg_fail_in(rdg_cert_parse_pem(rdg_bytes_str(t->enc_cert), &c->enc_cert, 1, &count),
                        "encryption certificate"));
    RDG_TRY(rdg_fail_in(
        rdg_cert_parse_pem(rdg_bytes_str(t->roots), list, RDG_CREDENTIALS_ROOTS_MAX, &c->root_count),
        "roots"));
    for (size_t i = 0; i < c->root_count; i++) c->roots[i] = list[i];
    if (!t->chain[0]) return RDG_OK;
    RDG_TRY(rdg_fail_in(
        rdg_cert_parse_pem(rdg_bytes_str(t->chain), list, RDG_CERT_CHAIN_MAX, &c->chain_count), "chain"));
    for (size_t i = 0; i < c->chain_count; i++) c->chain[i] = list[i];
    return RDG_OK;
}

static rdg_err_t verify(const rdg_credentials_t *c, int64_t now_s) {
    RDG_TRY(rdg_credentials_check(c));
    RDG_TRY(rdg_cert_verify(c->sign_cert, RDG_CERT_SIGN, c->chain, c->chain_count, c->roots, c->root_count,
                            now_s));
    return rdg_cert_verify(c->enc_cert, RDG_CERT_ENCRYPT, c->chain, c->chain_count, c->roots, c->root_count,
                           now_s);
}

static bool is_of(const rdg_cert_t *cert, const rdg_sm2_key_t *key) {
    rdg_sm2_public_t pub;
    rdg_sm2_key_public(key, &pub);
    return memcmp(pub.b, rdg_cert_public(cert)->b, sizeof pub.b) == 0;
}

/* After the certificates: of the two encryption keys the one that the certificate is of. */
static rdg_err_t load_keys(const char *dir, const char *prefix, rdg_credentials_t *c) {
    rdg_sm2_key_t *present = NULL;
    RDG_TRY(load_key(dir, "%s.key", prefix, &c->sign_key));
    rdg_err_t err = load_key(dir, "%s-enc.key.new", prefix, &c->enc_key);
    if (err == RDG_E_NOT_FOUND) return load_key(dir, "%s-enc.key", prefix, &c->enc_key);
    if (err != RDG_OK || is_of(c->enc_cert, c->enc_key)) return err;
    if (load_key(dir, "%s-enc.key", prefix, &present) != RDG_OK || !is_of(c->enc_cert, present)) {
        rdg_sm2_key_free(present);
        return RDG_OK; /* the check names what does not fit */
    }
    rdg_sm2_key_free(c->enc_key);
    c->enc_key = present;
    return RDG_OK;
}

/* Makes <prefix>.tmp whole and durable, then gives it the name that counts. */
static rdg_err_t promise(const char *dir, const char *prefix, const rdg_credentials_t *c,
                         const rdg_credentials_texts_t *t) {
    const char *texts[MEMBERS] = {NULL, t->enc_cert, t->sign_cert, t->chain, t->roots};
    char made[PATH_MAX], held[PATH_MAX], final[PATH_MAX], path[PATH_MAX];
    int fd;
    RDG_TRY(path_of(made, dir, "%s.tmp", prefix));
    RDG_TRY(path_of(final, dir, "%s.new", prefix));
    RDG_TRY(rdg_tree_remove(made, NULL));
    RDG_TRY(rdg_dir_make(made, 0700));
    RDG_TRY(hold(made, &fd, held));
    rdg_err_t err = RDG_OK;
    for (size_t i = 0; err == RDG_OK && i < MEMBERS; i++) {
        err = path_of(path, held, members[i], prefix);
        if (err == RDG_OK)
            err = texts[i] ? rdg_file_replace(path, rdg_bytes_str(texts[i]), 0644)
                           : rdg_sm2_key_save(c->enc_key, path);
    }
    close(fd);
    RDG_TRY(err);
    if (rename(made, final) != 0) return rdg_fail_errno(errno, "cannot rename %s", made);
    return rdg_dir_sync(dir);
}

rdg_err_t rdg_credentials_install(const char *dir, const char *prefix, const rdg_credentials_texts_t *texts,
                                  int64_t now_s) {
    rdg_credentials_t *c;
    RDG_TRY(finish(dir, prefix));
    RDG_TRY(rdg_credentials_new(&c));
    rdg_err_t err = parse_texts(texts, c);
    if (err == RDG_OK) err = load_keys(dir, prefix, c);
    if (err == RDG_OK) err = verify(c, now_s);
    if (err == RDG_OK) err = promise(dir, prefix, c, texts);
    rdg_credentials_free(c);
    if (err == RDG_OK) err = finish(dir, prefix);
    return rdg_fail_in(err, "new certificates for %s", dir);
}
