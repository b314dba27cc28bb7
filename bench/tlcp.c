/* What TLCP costs: handshakes whole and resumed, and bulk data, with the raw SM4-GCM of libgcrypt beside it.
 * Both engines run in one thread, each on its own clock of processor time, so what is printed for "a core each"
 * is the rate of the slower side when both are kept busy: no network, no waiting. Medians of ROUNDS
 * interleaved rounds. The share of libcrypto is the time of the operations with secrets, measured alone in
 * the same rounds, over the time of the side that bounds the rate. Beside that, two threads by the wall clock, one all
 * clients and one all servers: what a machine with two free cores does. Prints one JSON object. */
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <time.h>

#include "ridge/base/assert.h"
#include "ridge/codec/json.h"
#include "ridge/crypto/cert_cache.h"
#include "ridge/crypto/cert_issue.h"
#include "ridge/crypto/sm2_cipher.h"
#include "ridge/crypto/sm2_exchange.h"
#include "ridge/crypto/sm4.h"
#include "ridge/tlcp/sessions.h"
#include "ridge/tlcp/tlcp.h"
#include "tlcp_threads.h"

#define ROUNDS 7
#define ROUND_SECONDS 0.15
#define RECORD RDG_TLCP_PLAIN_MAX
#define MUST(expr) RDG_ASSERT((expr) == RDG_OK)

static struct {
    rdg_sm2_key_t *root_key, *ca_key, *key[2][2];
    rdg_cert_t *root, *ca, *cert[2][2];
    const rdg_cert_t *roots[1], *chain[1];
    rdg_tlcp_config_t config[2];
    rdg_tlcp_sessions_t *sessions[2];
    rdg_cert_cache_t *certs;
    rdg_tlcp_t *engine[2];
    double spent[2]; /* seconds of each role */
    int64_t now_s;
    rdg_sm4_t *gcm;
    uint8_t text[RECORD];
} b;

static double cpu_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static rdg_cert_t *issue(rdg_cert_kind_t kind, const char *name, const rdg_sm2_key_t *subject,
                         const rdg_cert_t *issuer, const rdg_sm2_key_t *issuer_key) {
    rdg_sm2_public_t pub;
    rdg_cert_t *cert = NULL;
    rdg_sm2_key_public(subject, &pub);
    rdg_cert_order_t order = {kind, name, &pub, issuer, issuer_key, b.now_s - 1000, b.now_s + 86400};
    MUST(rdg_cert_issue(&order, &cert));
    return cert;
}

static void make_parties(void) {
    static const char *const names[] = {"client", "server"};
    b.now_s = time(NULL);
    MUST(rdg_sm2_key_generate(&b.root_key));
    MUST(rdg_sm2_key_generate(&b.ca_key));
    b.root = issue(RDG_CERT_KIND_ROOT, "root", b.root_key, NULL, b.root_key);
    b.ca = issue(RDG_CERT_KIND_CA, "ca", b.ca_key, b.root, b.root_key);
    b.roots[0] = b.root, b.chain[0] = b.ca;
    for (int side = 0; side < 2; side++) {
        for (int enc = 0; enc < 2; enc++) {
            MUST(rdg_sm2_key_generate(&b.key[side][enc]));
            b.cert[side][enc] = issue(enc ? RDG_CERT_KIND_ENCRYPT : RDG_CERT_KIND_SIGN, names[side],
                                      b.key[side][enc], b.ca, b.ca_key);
        }
        MUST(rdg_tlcp_sessions_new(8, 3600, &b.sessions[side]));
    }
    MUST(rdg_cert_cache_new(b.roots, 1, 100, &b.certs));
    static const uint8_t key[16] = {1};
    MUST(rdg_sm4_new(RDG_SM4_GCM, key, &b.gcm));
}

static void configure(rdg_tlcp_suite_t suite, bool mutual, bool resume, bool strangers) {
    for (int side = 0; side < 2; side++) {
        rdg_tlcp_config_t c = {.roots = b.roots,
                               .root_count = 1,
                               .suites = {suite},
                               .suite_count = 1,
                               .client_auth = mutual ? RDG_TLCP_CLIENT_REQUIRED : RDG_TLCP_CLIENT_NONE,
                               .certs = strangers ? NULL : b.certs,
                               .sessions = resume ? b.sessions[side] : NULL};
        if (side == RDG_TLCP_SERVER || mutual) {
            c.sign_key = b.key[side][0], c.sign_cert = b.cert[side][0];
            c.enc_key = b.key[side][1], c.enc_cert = b.cert[side][1];
            c.chain = b.chain, c.chain_count = 1;
        }
        b.config[side] = c;
        rdg_tlcp_sessions_clear(b.sessions[side]);
    }
}

/* Moves all that one side has to say to the other, each on its own clock. */
static bool pass(int from) {
    double start = cpu_seconds();
    rdg_bytes_t view = rdg_tlcp_send_view(b.engine[from]);
    double sent = cpu_seconds();
    rdg_tlcp_room_t room = rdg_tlcp_receive_room(b.engine[1 - from]);
    size_t n = view.len < room.len ? view.len : room.len;
    b.spent[from] += sent - start;
    if (n == 0) return false;
    memcpy(room.data, view.data, n);
    start = cpu_seconds();
    rdg_tlcp_receive_done(b.engine[1 - from], n);
    double received = cpu_seconds();
    rdg_tlcp_send_done(b.engine[from], n);
    b.spent[1 - from] += received - start;
    b.spent[from] += cpu_seconds() - received;
    return true;
}

static void open_both(void) {
    for (int side = 0; side < 2; side++) {
        double start = cpu_seconds();
        MUST(rdg_tlcp_new(&b.config[side], (rdg_tlcp_role_t)side, b.now_s, rdg_random_system(),
                          &b.engine[side]));
        b.spent[side] += cpu_seconds() - start;
    }
    for (bool moved = true; moved;) {
        moved = pass(RDG_TLCP_CLIENT);
        moved = pass(RDG_TLCP_SERVER) || moved;
    }
    for (int side = 0; side < 2; side++) RDG_ASSERT(rdg_tlcp_state(b.engine[side]) == RDG_TLCP_OPEN);
}

static void free_both(void) {
    for (int side = 0; side < 2; side++) {
        double start = cpu_seconds();
        rdg_tlcp_free(b.engine[side]);
        b.spent[side] += cpu_seconds() - start;
    }
}

typedef struct rate {
    double side_us[2]; /* client, server; or sealing, opening */
} rate_t;

static rate_t measure_handshakes(rdg_tlcp_suite_t suite, bool mutual, bool resumed, bool strangers) {
    configure(suite, mutual, resumed, strangers);
    open_both(), free_both(); /* certificates become known, and there is a session */
    memset(b.spent, 0, sizeof b.spent);
    size_t count = 0;
    while (b.spent[0] + b.spent[1] < ROUND_SECONDS) {
        open_both();
        RDG_ASSERT(rdg_tlcp_resumed(b.engine[0]) == resumed);
        free_both();
        count++;
    }
    rate_t r = {{1e6 * b.spent[0] / (double)count, 1e6 * b.spent[1] / (double)count}};
    return r;
}

/* Full records from client to server: sealing on one clock, opening on the other. */
static rate_t measure_bulk(rdg_tlcp_suite_t suite) {
    configure(suite, false, false, false);
    open_both();
    memset(b.spent, 0, sizeof b.spent);
    size_t count = 0;
    while (b.spent[0] + b.spent[1] < ROUND_SECONDS) {
        double start = cpu_seconds();
        rdg_tlcp_room_t room = rdg_tlcp_write_room(b.engine[0]);
        RDG_ASSERT(room.len == RECORD);
        memcpy(room.data, b.text, RECORD);
        rdg_tlcp_write_done(b.engine[0], RECORD);
        b.spent[0] += cpu_seconds() - start;
        while (pass(RDG_TLCP_CLIENT)) continue;
        start = cpu_seconds();
        rdg_bytes_t view = rdg_tlcp_read_view(b.engine[1]);
        RDG_ASSERT(view.len == RECORD);
        memcpy(b.text, view.data, RECORD);
        rdg_tlcp_read_done(b.engine[1], RECORD);
        b.spent[1] += cpu_seconds() - start;
        count++;
    }
    rate_t r = {{1e6 * b.spent[0] / (double)count, 1e6 * b.spent[1] / (double)count}};
    free_both();
    return r;
}

/* --- the operations with secrets, alone ---------------------------------------------------------------- */

static void sign_once(void) {
    rdg_sm2_signature_t sig;
    MUST(rdg_sm2_sign_standard(b.key[1][0], b.text, 32, &sig));
}

static uint8_t sealed[RDG_SM2_CIPHERTEXT_MAX];
static size_t sealed_len;

static void encrypt_once(void) {
    MUST(rdg_cert_encrypt(b.cert[1][1], sealed, &sealed_len, b.text, 48));
}

static void decrypt_once(void) {
    uint8_t plain[RDG_SM2_PLAINTEXT_MAX];
    size_t len;
    if (!sealed_len) encrypt_once();
    MUST(rdg_sm2_decrypt(b.key[1][1], plain, &len, rdg_bytes(sealed, sealed_len)));
}

static void exchange_once(void) {
    rdg_sm2_key_t *fresh;
    rdg_sm2_public_t pub[2];
    uint8_t secret[48];
    rdg_sm2_key_public(b.key[0][0], &pub[0]);
    rdg_sm2_key_public(b.key[0][1], &pub[1]);
    MUST(rdg_sm2_key_generate(&fresh));
    rdg_sm2_exchange_t x = {true, b.key[1][1], fresh, &pub[1], &pub[0]};
    MUST(rdg_sm2_exchange(&x, secret, sizeof secret, NULL));
    rdg_sm2_key_free(fresh);
}

static void gcm_once(void) {
    static uint8_t nonce[RDG_SM4_NONCE_BYTES], tag[RDG_SM4_TAG_BYTES];
    rdg_store_be64(nonce + 4, rdg_load_be64(nonce + 4) + 1);
    rdg_sm4_gcm_seal(b.gcm, b.text, tag, nonce, rdg_bytes(nonce, sizeof nonce), b.text, RECORD);
}

static rate_t measure_once(void (*once)(void)) {
    double start = cpu_seconds(), spent;
    size_t count = 0;
    do {
        once();
        count++;
        spent = cpu_seconds() - start;
    } while (spent < ROUND_SECONDS / 3);
    rate_t r = {{1e6 * spent / (double)count, 0}};
    return r;
}

/* --- the table ----------------------------------------------------------------------------------------- */

enum { SIGN, ENCRYPT, DECRYPT, EXCHANGE, NONE = -1 }; /* in the order of the table */
#define GCM RDG_TLCP_ECC_SM4_GCM_SM3

static const struct row {
    const char *name;
    void (*once)(void);
    bool bulk, mutual, resumed, strangers; /* strangers: their certificates are not known yet */
    rdg_tlcp_suite_t suite;
    int secrets[2][2]; /* of each side */
} rows[] = {
    {.name = "sm2_sign", .once = sign_once},
    {.name = "sm2_encrypt", .once = encrypt_once},
    {.name = "sm2_decrypt", .once = decrypt_once},
    {.name = "sm2_exchange_with_new_key", .once = exchange_once},
    {.name = "sm4_gcm_libgcrypt", .once = gcm_once, .bulk = true},
    {.name = "full_server_only", .suite = GCM, .secrets = {{ENCRYPT, NONE}, {SIGN, DECRYPT}}},
    {.name = "full_mutual", .mutual = true, .suite = GCM, .secrets = {{ENCRYPT, SIGN}, {SIGN, DECRYPT}}},
    {.name = "full_mutual_strangers",
     .mutual = true,
     .strangers = true,
     .suite = GCM,
     .secrets = {{ENCRYPT, SIGN}, {SIGN, DECRYPT}}},
    {.name = "full_mutual_ecdhe",
     .mutual = true,
     .suite = RDG_TLCP_ECDHE_SM4_GCM_SM3,
     .secrets = {{EXCHANGE, SIGN}, {EXCHANGE, SIGN}}},
    {.name = "resumed",
     .mutual = true,
     .resumed = true,
     .suite = GCM,
     .secrets = {{NONE, NONE}, {NONE, NONE}}},
    {.name = "bulk_gcm", .bulk = true, .suite = GCM},
    {.name = "bulk_cbc", .bulk = true, .suite = RDG_TLCP_ECC_SM4_CBC_SM3},
};
#define ROWS (sizeof rows / sizeof rows[0])

static rate_t measure(const struct row *r) {
    if (r->once) return measure_once(r->once);
    return r->bulk ? measure_bulk(r->suite)
                   : measure_handshakes(r->suite, r->mutual, r->resumed, r->strangers);
}

static int ascending(const void *a, const void *c) {
    double x = *(const double *)a, y = *(const double *)c;
    return (x > y) - (x < y);
}

static void put(json_t *out, const char *name, const char *unit, double value) {
    char key[96];
    int len = snprintf(key, sizeof key, "%s_%s", name, unit);
    if (len < 0 || len >= (int)sizeof key) abort(); /* the names are those of `rows` */
    json_object_set_new(out, key, json_integer((json_int_t)(value + 0.5)));
}

static void report_handshake(json_t *out, const struct row *r, const double us[2], const double *secret_us) {
    int slower = us[0] > us[1] ? 0 : 1;
    double inside = 0;
    for (int i = 0; i < 2; i++)
        if (r->secrets[slower][i] != NONE) inside += secret_us[r->secrets[slower][i]];
    put(out, r->name, "per_s", 1e6 / us[slower]);
    put(out, r->name, "client_us", us[0]);
    put(out, r->name, "server_us", us[1]);
    if (inside > 0) put(out, r->name, "libcrypto_percent", 100 * inside / us[slower]);
}

/* Medians of three; nobody else's work is subtracted here. */
static void report_threads(json_t *out) {
    for (size_t i = 0; i < ROWS; i++) {
        const struct row *r = &rows[i];
        double rates[3];
        char name[96];
        if (r->once || r->bulk) continue;
        configure(r->suite, r->mutual, r->resumed, r->strangers);
        open_both(), free_both();
        for (int k = 0; k < 3; k++) rates[k] = tlcp_threads_rate(b.config, b.now_s, 0.7);
        qsort(rates, 3, sizeof rates[0], ascending);
        snprintf(name, sizeof name, "%s_two_threads", r->name);
        put(out, name, "per_s", rates[1]);
    }
}

int main(void) {
    static double times[ROWS][2][ROUNDS];
    double median[ROWS][2], secret_us[ROWS];
    make_parties();
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < ROWS; i++) {
            rate_t r = measure(&rows[i]);
            for (int side = 0; side < 2; side++) times[i][side][round] = r.side_us[side];
        }
    }
    json_t *out = json_object();
    json_object_set_new(out, "bench", json_string("tlcp"));
    json_object_set_new(out, "rounds", json_integer(ROUNDS));
    for (size_t i = 0; i < ROWS; i++) {
        for (int side = 0; side < 2; side++) {
            qsort(times[i][side], ROUNDS, sizeof times[i][side][0], ascending);
            median[i][side] = times[i][side][ROUNDS / 2];
        }
        secret_us[i] = median[i][0];
        const struct row *r = &rows[i];
        if (r->once && r->bulk) {
            put(out, r->name, "mb_per_s", RECORD / median[i][0]);
        } else if (r->once) {
            put(out, r->name, "us", median[i][0]);
        } else if (r->bulk) {
            put(out, r->name, "seal_mb_per_s", RECORD / median[i][0]);
            put(out, r->name, "open_mb_per_s", RECORD / median[i][1]);
        } else {
            report_handshake(out, r, median[i], secret_us);
        }
    }
    report_threads(out);
    char *text = rdg_json_text(out);
    puts(text ? text : "{}");
    json_decref(out);
    return text ? 0 : 1;
}
