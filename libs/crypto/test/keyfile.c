#include "ridge/crypto/keyfile.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "ridge/crypto/pkcs8.h"
#include "ridge/test.h"
#include "sm2_key.h"
#include "support.h"

#define LOG2 RDG_KEYFILE_SCRYPT_LOG2_MIN
#define PASS rdg_bytes_str("correct horse")
#define CREDENTIAL rdg_bytes_str("0123456789abcdef0123456789abcdef")

static size_t seal(const rdg_sm2_key_t *key, char out[RDG_KEYFILE_SEALED_MAX]) {
    size_t len;
    CHECK_OK(rdg_keyfile_seal_credential(key, "node.key", CREDENTIAL, out, &len));
    return len;
}

TEST(keyfile_under_a_passphrase_opens_with_it_alone) {
    rdg_sm2_key_t *key = test_key(), *back;
    rdg_keyfile_info_t info;
    char text[RDG_KEYFILE_SEALED_MAX], again[RDG_KEYFILE_SEALED_MAX];
    size_t len, again_len;
    CHECK_OK(rdg_keyfile_seal_passphrase(key, PASS, LOG2, text, &len));
    CHECK_OK(rdg_keyfile_seal_passphrase(key, PASS, LOG2, again, &again_len));
    CHECK(len != again_len || memcmp(text, again, len) != 0); /* a salt of its own each time */
    CHECK_OK(rdg_keyfile_inspect(rdg_bytes(text, len), &info));
    CHECK_EQ(info.kind, RDG_KEYFILE_PASSPHRASE);
    CHECK_EQ(info.scrypt_log2, LOG2);
    CHECK_MEM(info.public_key.b, key->public_key.b, 64);
    CHECK_OK(rdg_keyfile_open(rdg_bytes(text, len), PASS, &back));
    CHECK(test_same_key(key, back));
    rdg_sm2_key_free(back);
    CHECK_ERR(rdg_keyfile_open(rdg_bytes(text, len), rdg_bytes_str("correct horsf"), &back),
              RDG_E_UNAUTHENTICATED);
    CHECK(!back);
    CHECK_ERR(rdg_keyfile_open(rdg_bytes(text, len), rdg_bytes(NULL, 0), &back), RDG_E_UNAUTHENTICATED);
    CHECK_ERR(rdg_keyfile_seal_passphrase(key, rdg_bytes_str("seven77"), LOG2, text, &len), RDG_E_INVALID);
    CHECK_ERR(rdg_keyfile_seal_passphrase(key, PASS, LOG2 - 1, text, &len), RDG_E_INVALID);
    CHECK_ERR(rdg_keyfile_seal_passphrase(key, PASS, RDG_KEYFILE_SCRYPT_LOG2_MAX + 1, text, &len),
              RDG_E_INVALID);
    rdg_sm2_key_free(key);
}

/* Made once and kept: the format may not change under the same version. */
TEST(keyfile_of_version_1_opens_for_ever) {
    static const char by_passphrase[] = "-----BEGIN RIDGE SEALED SM2 KEY-----\n"
                                        "Version: 1\n"
                                        "Public: "
                                        "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020ccea"
                                        "490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13\n"
                                        "Lock: scrypt 14 5f8c2336a6568ab1cce7e4fe420ddaef\n"
                                        "\n"
                                        "JXv6GcQsnWzVbfcvDGTvb7DG90F5gIn19idA6D6IsBwl537mrBjUHj1QbIBw5j85\n"
                                        "-----END RIDGE SEALED SM2 KEY-----\n";
    static const char by_credential[] = "-----BEGIN RIDGE SEALED SM2 KEY-----\n"
                                        "Version: 1\n"
                                        "Public: "
                                        "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020ccea"
                                        "490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13\n"
                                        "Lock: credential node.key 2d939cf6f149270386731c692b093d23\n"
                                        "\n"
                                        "0gDfCYYrcwBxArJ6bKCZhFHfmxWTkpG4ey4trV7iNcAPgn6QVnQXW1MkX6ZLkXj7\n"
                                        "-----END RIDGE SEALED SM2 KEY-----\n";
    uint8_t scalar[32];
    rdg_sm2_key_t *want, *got;
    test_unhex("3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8", scalar);
    CHECK_OK(rdg_sm2_key_from_scalar(scalar, &want));
    CHECK_OK(rdg_keyfile_open(rdg_bytes_str(by_passphrase), PASS, &got));
    CHECK(test_same_key(want, got));
    rdg_sm2_key_free(got);
    CHECK_OK(rdg_keyfile_open(rdg_bytes_str(by_credential), CREDENTIAL, &got));
    CHECK(test_same_key(want, got));
    rdg_sm2_key_free(got), rdg_sm2_key_free(want);
}

TEST(keyfile_with_any_byte_changed_dropped_or_added_does_not_open) {
    rdg_sm2_key_t *key = test_key(), *back;
    char text[RDG_KEYFILE_SEALED_MAX + 1];
    size_t len = seal(key, text);
    for (size_t i = 0; i < len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            text[i] = (char)(text[i] ^ (1 << bit));
            CHECK(rdg_keyfile_open(rdg_bytes(text, len), CREDENTIAL, &back) != RDG_OK);
            CHECK(!back);
            text[i] = (char)(text[i] ^ (1 << bit));
        }
        CHECK(rdg_keyfile_open(rdg_bytes(text, i), CREDENTIAL, &back) != RDG_OK);
    }
    text[len] = '\n';
    CHECK_ERR(rdg_keyfile_open(rdg_bytes(text, len + 1), CREDENTIAL, &back), RDG_E_MALFORMED);
    CHECK_OK(rdg_keyfile_open(rdg_bytes(text, len), CREDENTIAL, &back));
    rdg_sm2_key_free(back), rdg_sm2_key_free(key);
}

/* Replaces the first `from` in a sealed text by `to`, of any length. */
static size_t edit(char *text, size_t len, const char *from, const char *to) {
    char *at = memmem(text, len, from, strlen(from));
    CHECK(at);
    size_t head = (size_t)(at - text), tail = len - head - strlen(from);
    memmove(at + strlen(to), at + strlen(from), tail);
    memcpy(at, to, strlen(to));
    return head + strlen(to) + tail;
}

TEST(keyfile_that_would_cost_too_much_is_refused_before_any_work) {
    static const struct {
        const char *lock;
        rdg_err_t want;
    } cases[] = {
        {"Lock: scrypt 13 ", RDG_E_TOO_LARGE},           {"Lock: scrypt 18 ", RDG_E_TOO_LARGE},
        {"Lock: scrypt 99 ", RDG_E_TOO_LARGE},           {"Lock: scrypt 014 ", RDG_E_MALFORMED},
        {"Lock: scrypt -1 ", RDG_E_MALFORMED},           {"Lock: scrypt 1e ", RDG_E_MALFORMED},
        {"Lock: scrypt 999999999999 ", RDG_E_MALFORMED}, {"Lock: argon2 14 ", RDG_E_UNSUPPORTED},
        {"Lock: scrypt  14 ", RDG_E_MALFORMED},          {"Lock:scrypt 14 ", RDG_E_MALFORMED},
    };
    rdg_sm2_key_t *key = test_key(), *back;
    char text[RDG_KEYFILE_SEALED_MAX + 64];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t len = seal(key, text);
        len = edit(text, len, "Lock: credential node.key ", cases[i].lock);
        rdg_keyfile_info_t info;
        CHECK_ERR(rdg_keyfile_inspect(rdg_bytes(text, len), &info), cases[i].want);
        CHECK_ERR(rdg_keyfile_open(rdg_bytes(text, len), PASS, &back), cases[i].want);
    }
    size_t len = edit(text, seal(key, text), "Version: 1", "Version: 2");
    CHECK_ERR(rdg_keyfile_open(rdg_bytes(text, len), CREDENTIAL, &back), RDG_E_UNSUPPORTED);
    len = edit(text, seal(key, text), "credential node.key", "credential ../node.key");
    CHECK_ERR(rdg_keyfile_open(rdg_bytes(text, len), CREDENTIAL, &back), RDG_E_MALFORMED);
    static uint8_t big[RDG_KEYFILE_MAX + 1];
    CHECK_ERR(rdg_keyfile_open(rdg_bytes(big, sizeof big), PASS, &back), RDG_E_TOO_LARGE);
    rdg_sm2_key_free(key);
}

/* What the header says of the key is held against the key. */
TEST(keyfile_cannot_state_another_public_key) {
    rdg_sm2_key_t *key = test_key(), *other = test_key(), *back;
    char text[RDG_KEYFILE_SEALED_MAX];
    rdg_sm2_public_t real = key->public_key;
    key->public_key = other->public_key; /* a maker that lies: authentic, but wrong */
    size_t len = seal(key, text);
    key->public_key = real;
    CHECK_ERR(rdg_keyfile_open(rdg_bytes(text, len), CREDENTIAL, &back), RDG_E_UNAUTHENTICATED);
    CHECK(!back);
    rdg_sm2_key_free(key), rdg_sm2_key_free(other);
}

TEST(keyfile_on_disk_is_private_from_its_first_byte) {
    rdg_sm2_key_t *key = test_key();
    char text[RDG_KEYFILE_SEALED_MAX];
    uint8_t back[RDG_KEYFILE_MAX];
    size_t len = seal(key, text), got;
    struct stat st;
    const char *path = test_path("key");
    umask(0);
    test_write(path, "old", 3, 0644);
    CHECK_OK(rdg_keyfile_write(path, rdg_bytes(text, len)));
    CHECK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600);
    CHECK_OK(rdg_keyfile_read(path, back, &got));
    CHECK_EQ(got, len);
    CHECK_MEM(back, text, len);
    static const mode_t open_modes[] = {0640, 0604, 0620, 0610, 0601, 0602, 0660, 0777};
    for (size_t i = 0; i < sizeof open_modes / sizeof open_modes[0]; i++) {
        CHECK(chmod(path, open_modes[i]) == 0);
        CHECK_ERR(rdg_keyfile_read(path, back, &got), RDG_E_FORBIDDEN);
        CHECK(strstr(rdg_err_message(RDG_E_FORBIDDEN), "chmod 600 "));
        CHECK_EQ(got, 0);
    }
    CHECK_ERR(rdg_keyfile_read(test_path("none"), back, &got), RDG_E_NOT_FOUND);
    CHECK_ERR(rdg_keyfile_read(rdg_test_dir(), back, &got), RDG_E_INVALID);
    CHECK(mkfifo(test_path("pipe"), 0600) == 0);
    CHECK_ERR(rdg_keyfile_read(test_path("pipe"), back, &got), RDG_E_INVALID); /* and does not wait */
    static uint8_t big[RDG_KEYFILE_MAX];
    test_write(test_path("big"), big, sizeof big, 0600);
    CHECK_ERR(rdg_keyfile_read(test_path("big"), back, &got), RDG_E_TOO_LARGE);
    rdg_sm2_key_free(key);
}

TEST(keyfile_passphrase_is_the_first_line_of_a_private_file) {
    uint8_t got[RDG_KEYFILE_SECRET_MAX];
    size_t len;
    const char *path = test_path("pass");
    test_write(path, "correct horse\r\nsecond\n", 22, 0600);
    CHECK_OK(rdg_keyfile_read_passphrase(path, got, &len));
    CHECK(rdg_bytes_equal(rdg_bytes(got, len), PASS));
    CHECK_EQ(got[len + 4], 0); /* the rest is cleared */
    CHECK(chmod(path, 0640) == 0);
    CHECK_ERR(rdg_keyfile_read_passphrase(path, got, &len), RDG_E_FORBIDDEN);
    test_write(path, "\nx", 2, 0600);
    CHECK_ERR(rdg_keyfile_read_passphrase(path, got, &len), RDG_E_INVALID);
    int pair[2];
    CHECK(pipe(pair) == 0 && write(pair[1], "correct horse", 13) == 13 && close(pair[1]) == 0);
    CHECK_OK(rdg_keyfile_read_passphrase_fd(pair[0], got, &len));
    CHECK(rdg_bytes_equal(rdg_bytes(got, len), PASS));
    CHECK(close(pair[0]) == 0);
    CHECK(rdg_keyfile_read_passphrase_fd(pair[0], got, &len) != RDG_OK);
}

/* A service starts with nobody there: it loads a key under a credential by itself, and no other sealed one. */
TEST(keyfile_under_a_credential_loads_unattended) {
    rdg_sm2_key_t *key = test_key(), *back;
    char text[RDG_KEYFILE_SEALED_MAX];
    size_t len = seal(key, text);
    const char *path = test_path("key");
    CHECK_OK(rdg_keyfile_write(path, rdg_bytes(text, len)));
    unsetenv("CREDENTIALS_DIRECTORY");
    CHECK_ERR(rdg_sm2_key_load(path, &back), RDG_E_UNAUTHENTICATED);
    CHECK(strstr(rdg_err_message(RDG_E_UNAUTHENTICATED), "LoadCredentialEncrypted=node.key"));
    CHECK_ERR(rdg_sm2_key_load_or_generate(path, &back), RDG_E_UNAUTHENTICATED); /* keeps the sealed one */
    CHECK(setenv("CREDENTIALS_DIRECTORY", rdg_test_dir(), 1) == 0);
    CHECK_ERR(rdg_sm2_key_load(path, &back), RDG_E_UNAUTHENTICATED); /* no such file */
    test_write(test_path("node.key"), "short", 5, 0440);
    CHECK_ERR(rdg_sm2_key_load(path, &back), RDG_E_UNAUTHENTICATED);
    CHECK(strstr(rdg_err_message(RDG_E_UNAUTHENTICATED), "too few"));
    test_write(test_path("node.key"), CREDENTIAL.data, CREDENTIAL.len, 0440);
    CHECK_OK(rdg_sm2_key_load(path, &back));
    CHECK(test_same_key(key, back));
    rdg_sm2_key_free(back);
    CHECK_OK(rdg_keyfile_seal_passphrase(key, PASS, LOG2, text, &len));
    CHECK_OK(rdg_keyfile_write(path, rdg_bytes(text, len)));
    CHECK_ERR(rdg_sm2_key_load_or_generate(path, &back), RDG_E_UNAUTHENTICATED);
    CHECK(strstr(rdg_err_message(RDG_E_UNAUTHENTICATED), "--new-credential"));
    CHECK_ERR(rdg_keyfile_seal_credential(key, "a/b", CREDENTIAL, text, &len), RDG_E_INVALID);
    CHECK_ERR(rdg_keyfile_seal_credential(key, "", CREDENTIAL, text, &len), RDG_E_INVALID);
    CHECK_ERR(rdg_keyfile_seal_credential(key, ".x", CREDENTIAL, text, &len), RDG_E_INVALID);
    CHECK_ERR(rdg_keyfile_seal_credential(key, "x", PASS, text, &len), RDG_E_INVALID);
    rdg_sm2_key_free(key);
}

TEST(keyfile_out_of_memory_is_said_and_leaks_nothing) {
    rdg_sm2_key_t *key = test_key();
    char text[RDG_KEYFILE_SEALED_MAX];
    size_t len;
    rdg_err_t err;
    RDG_TEST_ALLOC_LOOP(err) {
        err = rdg_keyfile_seal_credential(key, "node.key", CREDENTIAL, text, &len);
    }
    RDG_TEST_ALLOC_LOOP(err) {
        rdg_sm2_key_t *back = NULL;
        err = rdg_keyfile_open(rdg_bytes(text, len), CREDENTIAL, &back);
        rdg_sm2_key_free(back);
    }
    rdg_sm2_key_free(key);
}
