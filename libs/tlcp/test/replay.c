/* Handshakes with Tongsuo and GmSSL, recorded once and gone through again: the engine gets the peer's bytes and
 * the randomness of then, and must send, read and become what it sent, read and became. Two operations
 * draw randomness that libcrypto keeps to itself, so their results come from the recording, each checked
 * first: a signature must verify, under our key, for what the engine wants to sign now; a ciphertext must
 * decrypt, under the peer's key, to what it wants to encrypt. The linker puts the two in their place
 * (CMakeLists.txt). docs/tlcp.md says what was recorded and how. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "kit.h"
#include "ridge/crypto/sm2_cipher.h"
#include "ridge/tlcp/sessions.h"

#define FOLDER RIDGE_SOURCE_DIR "/libs/tlcp/test/transcripts/"
#define LINE_MAX_BYTES 65536
#define BYTES_MAX 32768

typedef struct bytes {
    uint8_t data[BYTES_MAX];
    size_t len;
} bytes_t;

typedef struct tape {
    rdg_cert_t *root, *ca, *cert[2][2]; /* client, server; sign, encryption */
    rdg_sm2_key_t *key[2][2];
    const rdg_cert_t *roots[1], *chain[1];
    rdg_tlcp_config_t config;
    rdg_tlcp_role_t role;
    int64_t now_s;
    rdg_random_seeded_t random;
    char server_name[80];
    rdg_tlcp_t *engine;
    bytes_t sent; /* the recording's bytes of ours in this connection */
    int connections, resumed;
} tape_t;

static tape_t *playing; /* while a recording is gone through */

static void unhex(const char *text, bytes_t *out) {
    for (out->len = 0; text[0] && text[0] != '\n'; text += 2) {
        unsigned v = 0;
        CHECK(out->len < sizeof out->data && sscanf(text, "%2x", &v) == 1);
        out->data[out->len++] = (uint8_t)v;
    }
}

/* The body of our handshake message of a type in the recording, behind its 2-byte length and what ECDHE puts
 * in front; the records of ours hold one message each. */
static rdg_bytes_t sent_message(uint8_t type) {
    const bytes_t *s = &playing->sent;
    for (size_t at = 0; at + 9 < s->len;) {
        size_t len = (size_t)s->data[at + 3] << 8 | s->data[at + 4];
        if (s->data[at] == 22 && s->data[at + 5] == type) return rdg_bytes(s->data + at + 9, len - 4);
        at += 5 + len;
    }
    rdg_test_fail(__FILE__, __LINE__, "the recording has no message of ours of type %u", type);
}

rdg_err_t __real_rdg_sm2_sign_standard(const rdg_sm2_key_t *key, const void *msg, size_t len,
                                       rdg_sm2_signature_t *out);
rdg_err_t __wrap_rdg_sm2_sign_standard(const rdg_sm2_key_t *key, const void *msg, size_t len,
                                       rdg_sm2_signature_t *out);
rdg_err_t __real_rdg_cert_encrypt(const rdg_cert_t *cert, uint8_t out[RDG_SM2_CIPHERTEXT_MAX],
                                  size_t *out_len, const void *msg, size_t len);
rdg_err_t __wrap_rdg_cert_encrypt(const rdg_cert_t *cert, uint8_t out[RDG_SM2_CIPHERTEXT_MAX],
                                  size_t *out_len, const void *msg, size_t len);

rdg_err_t __wrap_rdg_sm2_sign_standard(const rdg_sm2_key_t *key, const void *msg, size_t len,
                                       rdg_sm2_signature_t *out) {
    if (!playing) return __real_rdg_sm2_sign_standard(key, msg, len, out);
    rdg_bytes_t body = sent_message(playing->role == RDG_TLCP_SERVER ? 12 : 15);
    if (body.data[0] == 3) body = rdg_bytes(body.data + 69, body.len - 69);
    rdg_sm2_public_t pub;
    rdg_sm2_key_public(key, &pub);
    CHECK_OK(rdg_sm2_signature_from_der(rdg_bytes(body.data + 2, body.len - 2), out));
    CHECK_OK(rdg_sm2_verify_standard(&pub, msg, len, out));
    return RDG_OK;
}

rdg_err_t __wrap_rdg_cert_encrypt(const rdg_cert_t *cert, uint8_t out[RDG_SM2_CIPHERTEXT_MAX],
                                  size_t *out_len, const void *msg, size_t len) {
    if (!playing) return __real_rdg_cert_encrypt(cert, out, out_len, msg, len);
    uint8_t plain[RDG_SM2_PLAINTEXT_MAX];
    rdg_bytes_t body = sent_message(16);
    body = rdg_bytes(body.data + 2, body.len - 2);
    CHECK_OK(rdg_sm2_decrypt(playing->key[RDG_TLCP_SERVER][1], plain, out_len, body));
    CHECK_EQ(*out_len, len);
    CHECK_MEM(plain, msg, len);
    memcpy(out, body.data, body.len);
    *out_len = body.len;
    return RDG_OK;
}

static FILE *open_file(const char *name) {
    char path[512];
    snprintf(path, sizeof path, "%s%s", FOLDER, name);
    FILE *f = fopen(path, "r");
    if (!f) rdg_test_fail(__FILE__, __LINE__, "cannot open %s", path);
    return f;
}

static void keys_read(tape_t *t) {
    static char line[LINE_MAX_BYTES], what[8], name[32];
    static bytes_t value;
    FILE *f = open_file("keys");
    while (fgets(line, sizeof line, f)) {
        int at = 0;
        CHECK(sscanf(line, "%7s %31s %n", what, name, &at) == 2);
        unhex(line + at, &value);
        int side = name[0] == 's', enc = strstr(name, "enc") != NULL;
        rdg_cert_t **cert = !strcmp(name, "root") ? &t->root
                            : !strcmp(name, "ca") ? &t->ca
                                                  : &t->cert[side][enc];
        if (strcmp(what, "cert") == 0)
            CHECK_OK(rdg_cert_parse(rdg_bytes(value.data, value.len), cert));
        else
            CHECK_OK(rdg_sm2_key_from_scalar(value.data, &t->key[side][enc]));
    }
    fclose(f);
    t->roots[0] = t->root, t->chain[0] = t->ca;
    t->config.roots = t->roots, t->config.root_count = 1;
}

static void tape_free(tape_t *t) {
    rdg_tlcp_free(t->engine);
    rdg_tlcp_sessions_free(t->config.sessions);
    rdg_cert_free(t->root), rdg_cert_free(t->ca);
    for (int i = 0; i < 4; i++) rdg_cert_free(t->cert[i / 2][i % 2]), rdg_sm2_key_free(t->key[i / 2][i % 2]);
    rdg_free(t);
}

static void authentication_set(tape_t *t, const char *auth) {
    rdg_tlcp_config_t *c = &t->config;
    bool bare = strcmp(auth, "bare") == 0, alone = strcmp(auth, "signonly") == 0;
    if (strcmp(auth, "none") == 0) c->client_auth = RDG_TLCP_CLIENT_NONE;
    if (!bare) c->sign_key = t->key[t->role][0], c->sign_cert = t->cert[t->role][0];
    if (!bare && !alone) c->enc_key = t->key[t->role][1], c->enc_cert = t->cert[t->role][1];
    if (!bare) c->chain = t->chain, c->chain_count = 1;
    if (t->role == RDG_TLCP_CLIENT) c->peer_name = "server.ridge.test";
}

/* A line in front of the first connection. */
static void setting_read(tape_t *t, const char *name, const char *value) {
    rdg_tlcp_config_t *c = &t->config;
    if (strcmp(name, "role") == 0) t->role = value[0] == 's' ? RDG_TLCP_SERVER : RDG_TLCP_CLIENT;
    if (strcmp(name, "bare_params") == 0) c->bare_client_params = value[0] == '1';
    if (strcmp(name, "suites") == 0)
        c->suites[0] = (rdg_tlcp_suite_t)strtol(value, NULL, 16), c->suite_count = 1;
    if (strcmp(name, "now") == 0) t->now_s = strtoll(value, NULL, 10);
    if (strcmp(name, "seed") == 0) rdg_random_seeded_init(&t->random, strtoull(value, NULL, 10));
    if (strcmp(name, "auth") == 0) authentication_set(t, value);
    if (strcmp(name, "server_name") == 0 && value[0] != '-') {
        snprintf(t->server_name, sizeof t->server_name, "%s", value);
        c->server_name = t->server_name;
    }
}

/* All that we sent in the connection that starts here in the file. */
static void sent_collect(tape_t *t, FILE *f) {
    static char line[LINE_MAX_BYTES];
    static bytes_t part;
    long here = ftell(f);
    t->sent.len = 0;
    while (fgets(line, sizeof line, f) && strncmp(line, "opened", 6) != 0) {
        if (line[0] != '>') continue;
        unhex(line + 2, &part);
        CHECK(t->sent.len + part.len <= sizeof t->sent.data);
        memcpy(t->sent.data + t->sent.len, part.data, part.len);
        t->sent.len += part.len;
    }
    fseek(f, here, SEEK_SET);
}

static void connection_start(tape_t *t, FILE *f) {
    sent_collect(t, f);
    rdg_tlcp_free(t->engine);
    CHECK_OK(rdg_tlcp_new(&t->config, t->role, t->now_s, &t->random.random, &t->engine));
    t->connections++;
}

static void expect_sent(tape_t *t, const bytes_t *want) {
    for (size_t done = 0; done < want->len;) {
        rdg_bytes_t view = rdg_tlcp_send_view(t->engine);
        size_t n = view.len < want->len - done ? view.len : want->len - done;
        if (n == 0) rdg_test_fail(__FILE__, __LINE__, "silent: %s", rdg_tlcp_error_text(t->engine));
        CHECK_MEM(view.data, want->data + done, n);
        rdg_tlcp_send_done(t->engine, n);
        done += n;
    }
}

static void line_play(tape_t *t, const char *line, FILE *f) {
    static bytes_t value;
    char name[16] = "";
    int at = 0, resumed = 0;
    sscanf(line, "%15s %n", name, &at);
    if (name[0] == '>' || name[0] == '<' || !strcmp(name, "read") || !strcmp(name, "write"))
        unhex(line + at, &value);
    if (strcmp(name, "connection") == 0) connection_start(t, f);
    if (name[0] == '>') expect_sent(t, &value);
    if (name[0] == '<') CHECK(kit_feed(t->engine, value.data, value.len, 100000));
    if (strcmp(name, "write") == 0) CHECK_EQ(kit_write(t->engine, value.data, value.len), value.len);
    if (strcmp(name, "close") == 0) rdg_tlcp_close(t->engine);
    if (strcmp(name, "read") == 0) {
        rdg_bytes_t view = rdg_tlcp_read_view(t->engine);
        CHECK_EQ(view.len, value.len);
        CHECK_MEM(view.data, value.data, value.len);
        rdg_tlcp_read_done(t->engine, view.len);
        CHECK_EQ(rdg_tlcp_suite(t->engine), t->config.suites[0]);
    }
    if (strcmp(name, "opened") == 0) {
        CHECK(sscanf(line, "opened resumed %d", &resumed) == 1);
        CHECK_EQ(rdg_tlcp_resumed(t->engine), resumed);
        CHECK_EQ(rdg_tlcp_send_view(t->engine).len, 0);
        t->resumed += resumed;
    }
}

/* Gives how many connections there were, and adds those that were resumed. */
static int play(const char *name, int *resumed) {
    static char line[LINE_MAX_BYTES];
    tape_t *t = rdg_calloc(1, sizeof *t);
    CHECK(t != NULL);
    keys_read(t);
    CHECK_OK(rdg_tlcp_sessions_new(10, 3600, &t->config.sessions));
    FILE *f = open_file(name);
    playing = t;
    while (fgets(line, sizeof line, f)) {
        char setting[32] = "", value[80] = "";
        if (t->connections == 0 && sscanf(line, "%31s %79s", setting, value) == 2)
            setting_read(t, setting, value);
        else
            line_play(t, line, f);
    }
    playing = NULL;
    fclose(f);
    int connections = t->connections;
    *resumed += t->resumed;
    tape_free(t);
    return connections;
}

static void play_all(const char *peer, int files_min, int connections_min, int resumed_min) {
    int files = 0, connections = 0, resumed = 0;
    DIR *folder = opendir(FOLDER);
    CHECK(folder != NULL);
    for (struct dirent *e; (e = readdir(folder)) != NULL;) {
        if (strncmp(e->d_name, peer, strlen(peer)) != 0) continue;
        files++;
        connections += play(e->d_name, &resumed);
    }
    closedir(folder);
    CHECK(files >= files_min && connections >= connections_min && resumed >= resumed_min);
}

TEST(tlcp_replays_handshakes_with_tongsuo) {
    play_all("tongsuo_", 15, 27, 12);
}

TEST(tlcp_replays_handshakes_with_gmssl_3_1) {
    play_all("gmssl311_", 4, 4, 0);
}

TEST(tlcp_replays_handshakes_with_gmssl_3_3) {
    play_all("gmssl33_", 12, 12, 0);
}
