/* The CA over REST and MQTT: what is issued, to whom, how often; what is refused; what is revoked. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "kit.h"
#include "ridge/base/file.h"
#include "ridge/crypto/credentials.h"
#include "ridge/platform/identity.h"
#include "ridge/test_ca.h"

#define DAY_MS 86400000ull
#define PATIENCE_S 60

static rdg_cert_t *cert_of(const json_t *pair, const char *which) {
    rdg_cert_t *cert[4];
    size_t count;
    CHECK_OK(rdg_cert_parse_pem(rdg_bytes_str(kit_text(pair, which)), cert, 4, &count));
    CHECK_EQ(count, 1);
    return cert[0];
}

static void serial_of(const json_t *pair, const char *which, char out[RDG_CERT_SERIAL_MAX]) {
    rdg_cert_t *cert = cert_of(pair, which);
    rdg_cert_serial(cert, out);
    rdg_cert_free(cert);
}

static void enrolled(kit_t *k, fake_t *f, const char *name) {
    char token[128];
    fake_init(f, name);
    kit_token(k, token);
    CHECK_EQ(fake_enrol(k, f, token, NULL), 201);
}

TEST(ca_certifies_a_device_under_the_root_that_its_token_names) {
    kit_t k;
    fake_t f;
    json_t *a;
    rdg_hash_t digest;
    char token[128], hex[65];
    kit_open(&k);
    fake_init(&f, "dev-1");
    kit_token(&k, token);
    CHECK_EQ(fake_enrol(&k, &f, token, NULL), 201);
    rdg_cert_t *sign = cert_of(f.certificates, "sign"), *enc = cert_of(f.certificates, "enc");
    rdg_cert_t *issuing = cert_of(f.certificates, "chain"), *root = cert_of(f.certificates, "root");
    rdg_cert_fingerprint(root, &digest);
    for (int i = 0; i < 32; ++i) snprintf(hex + 2 * i, 3, "%02x", digest.b[i]);
    CHECK_STR(strchr(token, '.') + 1, hex);
    const rdg_cert_t *roots[] = {root}, *others[] = {issuing};
    int64_t now = (int64_t)rdg_wall_ms(rdg_clock_system()) / 1000;
    CHECK_OK(rdg_cert_verify(sign, RDG_CERT_SIGN, others, 1, roots, 1, now));
    CHECK_OK(rdg_cert_verify(enc, RDG_CERT_ENCRYPT, others, 1, roots, 1, now + 364 * 86400));
    CHECK_OK(rdg_cert_verify(sign, RDG_CERT_SIGN, others, 1, roots, 1, now - 3000)); /* a slow clock */
    CHECK(rdg_cert_has_name(sign, "dev-1") && rdg_cert_has_name(enc, "dev-1"));
    CHECK(rdg_cert_not_after_s(sign) - now <= 366 * 86400);
    CHECK_EQ(kit_call_public(&k, "GET", "/ca", NULL, &a), 200);
    CHECK_STR(kit_text(a, "fingerprint"), hex);
    CHECK_STR(kit_text(a, "root"), kit_text(f.certificates, "root"));
    json_decref(a);
    CHECK_EQ(kit_call(&k, "GET", "/certificates?device=dev-1&state=valid", NULL, &a), 200);
    CHECK_EQ(json_array_size(json_object_get(a, "certificates")), 2);
    json_decref(a);
    CHECK_EQ(kit_call_public(&k, "GET", "/certificates", NULL, NULL), 401);
    rdg_cert_free(sign), rdg_cert_free(enc), rdg_cert_free(issuing), rdg_cert_free(root);
    fake_fini(&f);
    kit_close(&k);
}

/* Cut short after the rows were written and before the answer was read: the same comes again. */
TEST(ca_answers_a_repeated_request_with_the_same_certificates) {
    kit_t k;
    fake_t f;
    char token[128];
    json_t *a;
    kit_open(&k);
    fake_init(&f, "dev-1");
    kit_token(&k, token);
    CHECK_EQ(fake_enrol(&k, &f, token, NULL), 201);
    json_t *first = json_incref(f.certificates);
    CHECK_EQ(fake_enrol(&k, &f, token, NULL), 201);
    CHECK(json_equal(first, f.certificates));
    kit_close(&k);
    kit_open(&k); /* a restart of the cloud in between */
    CHECK_EQ(fake_enrol(&k, &f, token, NULL), 201);
    CHECK(json_equal(first, f.certificates));
    CHECK_EQ(kit_call(&k, "GET", "/certificates?device=dev-1", NULL, &a), 200);
    CHECK_EQ(json_array_size(json_object_get(a, "certificates")), 2);
    json_decref(a);
    json_decref(first);
    fake_fini(&f);
    kit_close(&k);
}

static const char rsa_request[] = "-----BEGIN CERTIFICATE REQUEST-----\n"
                                  "MIICVTCCAT0CAQAwEDEOMAwGA1UEAwwFZGV2LTEwggEiMA0GCSqGSIb3DQEBAQUA\n"
                                  "A4IBDwAwggEKAoIBAQCdoMHg7B4tHcAWhRY0KpACmDA/hZ2dY7hWXGYBZ/8Zvjpy\n"
                                  "MahIek78ZmO8VGfA/CCpLDr/5XbFNCKVdBfNglWZKrEp30vgziP/fZ3yZSw+Tm/A\n"
                                  "pdUajJxj1WkI1NG/4Rys+JB3uBn/4HX9PdM3UPCD/ifZeM1R/kEPsGHTkeAzx9Aw\n"
                                  "LAsaWRcun6t7u3pkqZ0IFSzSL9oGgF//UnGwT/nU/edCAHMCpsAN+ikQZf6/dXvd\n"
                                  "lom6uBKu1DqHBzmEfwQDM9MFv39LoFFMcDUaE0ms8pcrFEbaT+m0NuRbXUeZAhYs\n"
                                  "UJorFLHMCNTj3nZDOtGQlLgw+IGydSegVIxH0vPFAgMBAAGgADANBgkqhkiG9w0B\n"
                                  "AQsFAAOCAQEAZMcdUPqylMuzBSI4UUFlmJW1gd6k0cLKskipRx5sKyhzIvZV4zXl\n"
                                  "A71B/sxg6GG8yy0cUdAWCrQsCs16ULHTdR5ReNBjHDfZb8e8OQANjYjmFHCJAVPe\n"
                                  "s0wiDb6ctmdAalHVXPaHAl8r79sgK75wn5Vj991jQuUMsZ2IotiIj4s7SU85u+ID\n"
                                  "a91qkBKX+l9NNszec8ROJrMmnxKsvvXzzVnXQSAHlAjK6kkhD8KSNHj3BK8nOslX\n"
                                  "fZqBqg2+/ESw40nnrwsz/x1XHycIuFlcGbRKdSMT0ZSdNHxQv9owZfBSnLrfJcaN\n"
                                  "D7PHndC5gZzXrtsy7DK1RlP5uNjXxZ0Y/g==\n"
                                  "-----END CERTIFICATE REQUEST-----\n";

TEST(ca_refuses_requests_that_are_not_what_they_must_be) {
    kit_t k;
    fake_t f;
    char token[128];
    json_t *a;
    kit_open(&k);
    fake_init(&f, "dev-1");
    kit_token(&k, token);
    char *sign = fake_request(f.key, "dev-1"), *enc = fake_request(f.enc_key, "dev-1");
    char *other = fake_request(f.enc_key, "dev-2"), *same = fake_request(f.key, "dev-1");
    char *damaged = rdg_strdup(enc);
    char *middle = damaged + strlen(damaged) - 60;
    *middle = *middle == 'A' ? 'B' : 'A'; /* within the signature */
    char huge[RDG_CERT_REQUEST_MAX + 2];
    memset(huge, 'A', sizeof huge - 1);
    huge[sizeof huge - 1] = 0;
    CHECK_EQ(fake_enrol_with(&k, &f, token, sign, other, &a), 400);
    CHECK(strstr(kit_error(a, "message"), "dev-2"));
    json_decref(a);
    CHECK_EQ(fake_enrol_with(&k, &f, token, sign, same, &a), 400);
    CHECK(strstr(kit_error(a, "message"), "one key"));
    json_decref(a);
    CHECK(fake_enrol_with(&k, &f, token, sign, damaged, NULL) >= 400);
    CHECK_EQ(fake_enrol_with(&k, &f, token, sign, huge, &a), 413);
    json_decref(a);
    CHECK(fake_enrol_with(&k, &f, token, sign, rsa_request, &a) >= 400);
    CHECK(strstr(kit_error(a, "message"), "enc_request"));
    json_decref(a);
    CHECK_EQ(kit_call(&k, "GET", "/devices/dev-1", NULL, NULL), 404);
    /* None of these has spent the token. */
    CHECK_EQ(fake_enrol_with(&k, &f, token, sign, enc, NULL), 201);
    rdg_free(sign), rdg_free(enc), rdg_free(other), rdg_free(same), rdg_free(damaged);
    fake_fini(&f);
    kit_close(&k);
}

/* The pair of a node, as the chain service asks for it. */
static unsigned issue_node(kit_t *k, const char *device, const char *chain, const rdg_sm2_key_t *sign_key,
                           const rdg_sm2_key_t *enc_key, const char *name, json_t **answer) {
    char path[200];
    char *sign = fake_request(sign_key, name), *enc = fake_request(enc_key, name);
    json_t *o = json_pack("{s:s, s:s, s:s}", "chain", chain, "sign_request", sign, "enc_request", enc);
    char *body = rdg_json_text(o);
    snprintf(path, sizeof path, "/devices/%s/certificates", device);
    unsigned status = kit_call(k, "POST", path, body, answer);
    rdg_free(body);
    json_decref(o);
    rdg_free(sign);
    rdg_free(enc);
    return status;
}

TEST(ca_certifies_nodes_by_their_validator_keys) {
    kit_t k;
    fake_t f;
    json_t *a = NULL, *b = NULL;
    rdg_sm2_key_t *validator, *enc;
    rdg_sm2_public_t pub;
    kit_open(&k);
    enrolled(&k, &f, "dev-1");
    CHECK_OK(rdg_sm2_key_generate(&validator));
    CHECK_OK(rdg_sm2_key_generate(&enc));
    CHECK_EQ(issue_node(&k, "dev-1", "main", validator, enc, "dev-1.main", &a), 201);
    CHECK_EQ(issue_node(&k, "dev-1", "main", validator, enc, "dev-1.main", &b), 201);
    CHECK(json_equal(a, b));
    rdg_cert_t *sign = cert_of(a, "sign");
    rdg_sm2_key_public(validator, &pub);
    CHECK_MEM(rdg_cert_public(sign)->b, pub.b, sizeof pub.b);
    CHECK(rdg_cert_has_name(sign, "dev-1.main"));
    /* It opens no link to the cloud, though the same cloud issued it. */
    CHECK_ERR(rdg_platform_accept_peer(k.platform, sign, NULL, NULL), RDG_E_UNAUTHENTICATED);
    json_decref(a), json_decref(b);
    CHECK_EQ(issue_node(&k, "dev-1", "main", validator, enc, "dev-1.other", NULL), 400);
    CHECK_EQ(issue_node(&k, "dev-1", "../x", validator, enc, "dev-1.../x", NULL), 400);
    CHECK_EQ(issue_node(&k, "dev-9", "main", validator, enc, "dev-9.main", NULL), 404);
    rdg_cert_free(sign);
    rdg_sm2_key_free(validator), rdg_sm2_key_free(enc);
    fake_fini(&f);
    kit_close(&k);
}

/* <device>.<chain> with dots in either: whoever has the name first keeps it, until nothing of it is valid any more. */
TEST(ca_gives_no_name_to_two) {
    kit_t k;
    fake_t a, dotted, third;
    json_t *o;
    char token[128];
    rdg_sm2_key_t *validator, *enc;
    kit_open(&k);
    enrolled(&k, &a, "a");
    enrolled(&k, &dotted, "a.b");
    CHECK_OK(rdg_sm2_key_generate(&validator));
    CHECK_OK(rdg_sm2_key_generate(&enc));
    CHECK_EQ(issue_node(&k, "a", "b", validator, enc, "a.b", &o), 409); /* device a.b */
    CHECK(strstr(kit_error(o, "message"), "device 'a.b'"));
    json_decref(o);
    CHECK_EQ(issue_node(&k, "a", "b.c", validator, enc, "a.b.c", NULL), 201);
    CHECK_EQ(issue_node(&k, "a", "b.c", validator, enc, "a.b.c", NULL), 201);
    CHECK_EQ(issue_node(&k, "a.b", "c", validator, enc, "a.b.c", &o), 409);
    CHECK(strstr(kit_error(o, "message"), "chain 'b.c' on device 'a'"));
    json_decref(o);
    fake_init(&third, "a.b.c");
    kit_token(&k, token);
    CHECK_EQ(fake_enrol(&k, &third, token, NULL), 409);
    CHECK_EQ(kit_call(&k, "DELETE", "/devices/a", NULL, NULL), 204);
    CHECK_EQ(fake_enrol(&k, &third, token, NULL), 201); /* the token was not used up by what was refused */
    CHECK_EQ(issue_node(&k, "a.b", "c", validator, enc, "a.b.c", NULL), 409);
    CHECK_EQ(issue_node(&k, "a.b", "d", validator, enc, "a.b.d", NULL), 201);
    rdg_sm2_key_free(validator), rdg_sm2_key_free(enc);
    fake_fini(&a), fake_fini(&dotted), fake_fini(&third);
    kit_close(&k);
}

static unsigned revoke_cert(kit_t *k, const char *serial, const char *body, json_t **answer) {
    char path[160];
    snprintf(path, sizeof path, "/certificates/%s/revoke", serial);
    return kit_call(k, "POST", path, body, answer);
}

static void on_revoked(void *ctx, const char *device) {
    snprintf(ctx, 65, "%s", device);
}

/* Until a list of at least this number has come by MQTT. */
static rdg_crl_t *await_list(fake_t *f, uint64_t number) {
    rdg_crl_t *crl = NULL;
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&f->lock);
    while ((uint64_t)json_integer_value(json_object_get(f->got_list, "number")) < number)
        CHECK_EQ(pthread_cond_timedwait(&f->changed, &f->lock, &end), 0);
    CHECK_OK(rdg_crl_parse_pem(rdg_bytes_str(kit_text(f->got_list, "crl")), &crl));
    pthread_mutex_unlock(&f->lock);
    return crl;
}

TEST(ca_revokes_a_device_and_tells_everybody) {
    kit_t k;
    fake_t f, witness;
    json_t *a;
    char serial[RDG_CERT_SERIAL_MAX], told[65] = "", device[65];
    kit_open(&k);
    rdg_platform_on_revoked(k.platform, on_revoked, told);
    enrolled(&k, &f, "dev-1");
    fake_init(&witness, "dev-2");
    fake_connect(&k, &f);
    fake_connect(&k, &witness);
    rdg_cert_t *sign = cert_of(f.certificates, "sign"), *enc = cert_of(f.certificates, "enc");
    rdg_cert_t *issuing = cert_of(f.certificates, "chain"), *fine = cert_of(witness.certificates, "sign");
    CHECK_OK(rdg_platform_accept_peer(k.platform, sign, enc, device));
    CHECK_STR(device, "dev-1");
    rdg_cert_t *of_another = cert_of(witness.certificates, "enc");
    CHECK_ERR(rdg_platform_accept_peer(k.platform, sign, of_another, NULL), RDG_E_UNAUTHENTICATED);
    CHECK_ERR(rdg_platform_accept_peer(k.platform, sign, sign, NULL), RDG_E_UNAUTHENTICATED);
    rdg_cert_free(of_another);
    CHECK_ERR(rdg_platform_accept_peer(k.platform, enc, NULL, NULL), RDG_E_UNAUTHENTICATED);
    rdg_cert_serial(enc, serial);
    CHECK_EQ(revoke_cert(&k, serial, "{\"reason\":\"because\"}", &a), 400);
    CHECK(strstr(kit_error(a, "message"), "key-compromise"));
    json_decref(a);
    CHECK_EQ(revoke_cert(&k, "00", NULL, NULL), 404);
    CHECK_EQ(revoke_cert(&k, serial, "{\"reason\":\"key-compromise\"}", NULL), 200); /* the pair, by either */
    CHECK_EQ(revoke_cert(&k, serial, NULL, NULL), 409);
    CHECK_STR(told, "dev-1");
    CHECK_ERR(rdg_platform_accept_peer(k.platform, sign, NULL, NULL), RDG_E_FORBIDDEN);
    CHECK_OK(rdg_platform_accept_peer(k.platform, fine, NULL, NULL));
    rdg_crl_t *crl = await_list(&witness, 2);
    CHECK_OK(rdg_crl_verify(crl, issuing));
    CHECK(rdg_crl_contains(crl, sign) && rdg_crl_contains(crl, enc) && !rdg_crl_contains(crl, fine));
    kit_wait_online(&k, "dev-1", false); /* the broker has cut it off */
    /* A compromised key is never certified again, whatever the token. */
    char token[128];
    kit_token(&k, token);
    CHECK_EQ(fake_enrol(&k, &f, token, &a), 403);
    CHECK(strstr(kit_error(a, "message"), "compromised"));
    json_decref(a);
    rdg_crl_free(crl);
    rdg_cert_free(sign), rdg_cert_free(enc), rdg_cert_free(issuing), rdg_cert_free(fine);
    fake_fini(&f), fake_fini(&witness);
    kit_close(&k);
}

TEST(ca_revocations_and_numbers_survive_a_restart) {
    kit_t k;
    fake_t f;
    char serial[RDG_CERT_SERIAL_MAX];
    kit_open(&k);
    enrolled(&k, &f, "dev-1");
    rdg_cert_t *sign = cert_of(f.certificates, "sign");
    rdg_cert_serial(sign, serial);
    CHECK_EQ(revoke_cert(&k, serial, NULL, NULL), 200);
    rdg_crl_t *before = ca_crl(k.platform->ca);
    kit_close(&k);
    kit_open(&k);
    rdg_crl_t *after = ca_crl(k.platform->ca);
    CHECK(rdg_crl_number(after) >= rdg_crl_number(before) && rdg_crl_contains(after, sign));
    CHECK_ERR(rdg_platform_accept_peer(k.platform, sign, NULL, NULL), RDG_E_FORBIDDEN);
    rdg_crl_free(before), rdg_crl_free(after);
    rdg_cert_free(sign);
    fake_fini(&f);
    kit_close(&k);
}

TEST(ca_revokes_what_a_removed_device_held) {
    kit_t k;
    fake_t f;
    char token[128];
    kit_open(&k);
    enrolled(&k, &f, "dev-1");
    rdg_cert_t *sign = cert_of(f.certificates, "sign");
    CHECK_EQ(kit_call(&k, "DELETE", "/devices/dev-1", NULL, NULL), 204);
    CHECK_ERR(rdg_platform_accept_peer(k.platform, sign, NULL, NULL), RDG_E_FORBIDDEN);
    /* It may come back with its key and a new token: that is a new certificate. */
    kit_token(&k, token);
    CHECK_EQ(fake_enrol(&k, &f, token, NULL), 201);
    rdg_cert_t *again = cert_of(f.certificates, "sign");
    CHECK_OK(rdg_platform_accept_peer(k.platform, again, NULL, NULL));
    CHECK_ERR(rdg_platform_accept_peer(k.platform, sign, NULL, NULL), RDG_E_FORBIDDEN);
    rdg_cert_free(sign), rdg_cert_free(again);
    fake_fini(&f);
    kit_close(&k);
}

/* --- renewal ---------------------------------------------------------------------------------------------- */

static const json_t *renew(fake_t *f, const char *chain, const rdg_sm2_key_t *signer, const char *name,
                           const rdg_sm2_key_t *sign_key, const rdg_sm2_key_t *enc_key, uint64_t time_ms) {
    static unsigned number;
    char id[16], text[512], sig[129], sign_hex[65], enc_hex[65];
    char *sign = fake_request(sign_key, name), *enc = fake_request(enc_key, name);
    snprintf(id, sizeof id, "r-%u", ++number);
    fake_digest(sign, sign_hex);
    fake_digest(enc, enc_hex);
    snprintf(text, sizeof text, "ridge-renew-v1\n%s\n%s\n%" PRIu64 "\n%s\n%s", f->name, chain, time_ms,
             sign_hex, enc_hex);
    fake_sign(signer, text, sig);
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:I, s:s}", "id", id, "chain", chain, "sign_request", sign,
                          "enc_request", enc, "time_ms", (json_int_t)time_ms, "signature", sig);
    char *body = rdg_json_text(o);
    fake_publish(f, "certificate-request", body);
    rdg_free(body);
    json_decref(o);
    rdg_free(sign);
    rdg_free(enc);
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&f->lock);
    while (strcmp(kit_text(f->got_certificates, "id"), id) != 0)
        CHECK_EQ(pthread_cond_timedwait(&f->changed, &f->lock, &end), 0);
    const json_t *got = f->got_certificates;
    pthread_mutex_unlock(&f->lock);
    return got;
}

/* Asked with the requests that it began with, long after a renewal: of the key that it has now. */
static void check_brought_back(kit_t *k, const rdg_sm2_key_t *sign, const rdg_sm2_key_t *first,
                               const rdg_sm2_key_t *now) {
    json_t *pair = NULL;
    rdg_sm2_public_t pub;
    CHECK_EQ(issue_node(k, "dev-1", "main", sign, first, "dev-1.main", &pair), 201);
    rdg_cert_t *enc = cert_of(pair, "enc");
    rdg_sm2_key_public(now, &pub);
    CHECK_MEM(rdg_cert_public(enc)->b, pub.b, sizeof pub.b);
    rdg_cert_free(enc);
    json_decref(pair);
}

TEST(ca_renews_in_the_second_half_of_a_life_and_only_for_the_same_sign_key) {
    rdg_clock_manual_t clock;
    kit_t k;
    fake_t f;
    rdg_sm2_key_t *fresh, *node_key, *node_enc;
    json_t *node = NULL;
    uint64_t real = rdg_wall_ms(rdg_clock_system());
    rdg_clock_manual_init(&clock, real);
    rdg_platform_options_t o = {.data_dir = rdg_test_dir(), .clock = &clock.clock};
    kit_open_with(&k, &o);
    enrolled(&k, &f, "dev-1");
    fake_connect(&k, &f);
    CHECK_OK(rdg_sm2_key_generate(&fresh));
    CHECK_OK(rdg_sm2_key_generate(&node_key));
    CHECK_OK(rdg_sm2_key_generate(&node_enc));
    CHECK_EQ(issue_node(&k, "dev-1", "main", node_key, node_enc, "dev-1.main", &node), 201);
    char first[RDG_CERT_SERIAL_MAX], serial[RDG_CERT_SERIAL_MAX], enc1[RDG_CERT_SERIAL_MAX],
        enc2[RDG_CERT_SERIAL_MAX];
    serial_of(f.certificates, "sign", first);
    const json_t *pair = json_object_get(renew(&f, "", f.key, "dev-1", f.key, fresh, real), "certificates");
    serial_of(pair, "sign", serial);
    serial_of(pair, "enc", enc1);
    CHECK_STR(serial, first); /* too early for the key that stays */
    rdg_clock_manual_advance(&clock, 250 * DAY_MS);
    pair = json_object_get(renew(&f, "", f.key, "dev-1", f.key, fresh, real), "certificates");
    serial_of(pair, "sign", serial);
    serial_of(pair, "enc", enc2);
    CHECK(strcmp(serial, first) != 0 && strcmp(enc1, enc2) != 0);
    pair = json_object_get(renew(&f, "", f.key, "dev-1", f.key, fresh, real), "certificates"); /* replayed */
    serial_of(pair, "enc", enc1);
    CHECK_STR(enc1, enc2);
    /* What was replaced is revoked alone, and ends the links that still rest on it. */
    char told[65] = "";
    rdg_platform_on_revoked(k.platform, on_revoked, told);
    rdg_cert_t *old_sign = cert_of(f.certificates, "sign"), *old_enc = cert_of(f.certificates, "enc");
    rdg_cert_t *new_sign = cert_of(pair, "sign"), *new_enc = cert_of(pair, "enc");
    CHECK_OK(rdg_platform_accept_peer(k.platform, old_sign, old_enc, NULL));
    rdg_cert_serial(old_enc, serial);
    CHECK_EQ(revoke_cert(&k, serial, NULL, NULL), 200);
    CHECK_STR(told, "dev-1");
    CHECK_ERR(rdg_platform_accept_peer(k.platform, old_sign, old_enc, NULL), RDG_E_FORBIDDEN);
    CHECK_OK(rdg_platform_accept_peer(k.platform, new_sign, new_enc, NULL));
    rdg_cert_free(old_sign), rdg_cert_free(old_enc), rdg_cert_free(new_sign), rdg_cert_free(new_enc);
    pair = json_object_get(renew(&f, "main", f.key, "dev-1.main", node_key, fresh, real), "certificates");
    serial_of(pair, "sign", serial);
    serial_of(node, "sign", first);
    CHECK(strcmp(serial, first) != 0);
    check_brought_back(&k, node_key, node_enc, fresh);
    /* Refused: another sign key, a signature of another key, a chain it has no node of, an old message. */
    const json_t *e = renew(&f, "main", f.key, "dev-1.main", node_enc, fresh, real);
    CHECK_STR(kit_error(e, "code"), "FORBIDDEN");
    e = renew(&f, "", f.key, "dev-1", node_key, fresh, real);
    CHECK_STR(kit_error(e, "code"), "FORBIDDEN");
    e = renew(&f, "", node_key, "dev-1", f.key, fresh, real);
    CHECK_STR(kit_error(e, "code"), "UNAUTHENTICATED");
    e = renew(&f, "other", f.key, "dev-1.other", node_key, fresh, real);
    CHECK_STR(kit_error(e, "code"), "NOT_FOUND");
    e = renew(&f, "", f.key, "dev-1", f.key, fresh, real - 7200000);
    CHECK_STR(kit_error(e, "code"), "STALE");
    e = renew(&f, "", f.key, "dev-2", f.key, fresh, real);
    CHECK_STR(kit_error(e, "code"), "INVALID");
    json_decref(node);
    rdg_sm2_key_free(fresh), rdg_sm2_key_free(node_key), rdg_sm2_key_free(node_enc);
    fake_fini(&f);
    kit_close(&k);
}

TEST(ca_makes_a_new_list_every_day_and_leaves_out_what_has_expired) {
    rdg_clock_manual_t clock;
    kit_t k;
    fake_t f;
    char serial[RDG_CERT_SERIAL_MAX];
    rdg_clock_manual_init(&clock, rdg_wall_ms(rdg_clock_system()));
    rdg_platform_options_t o = {.data_dir = rdg_test_dir(), .clock = &clock.clock};
    kit_open_with(&k, &o);
    enrolled(&k, &f, "dev-1");
    serial_of(f.certificates, "sign", serial);
    CHECK_EQ(revoke_cert(&k, serial, NULL, NULL), 200);
    rdg_crl_t *first = ca_crl(k.platform->ca);
    CHECK_OK(ca_crl_refresh(k.platform->ca));
    rdg_crl_t *same = ca_crl(k.platform->ca);
    CHECK_EQ(rdg_crl_number(same), rdg_crl_number(first));
    rdg_clock_manual_advance(&clock, 2 * DAY_MS);
    CHECK_OK(ca_crl_refresh(k.platform->ca));
    rdg_crl_t *next = ca_crl(k.platform->ca);
    CHECK(rdg_crl_number(next) > rdg_crl_number(first));
    CHECK_EQ(rdg_crl_count(next), 2);
    CHECK_EQ(rdg_crl_next_update_s(next) - rdg_crl_this_update_s(next), 7 * 86400);
    rdg_clock_manual_advance(&clock, 400 * DAY_MS);
    CHECK_OK(ca_crl_refresh(k.platform->ca));
    rdg_crl_t *last = ca_crl(k.platform->ca);
    CHECK_EQ(rdg_crl_count(last), 0);
    rdg_crl_free(first), rdg_crl_free(same), rdg_crl_free(next), rdg_crl_free(last);
    fake_fini(&f);
    kit_close(&k);
}

/* --- the cloud's own identity ------------------------------------------------------------------------------- */

static void cloud_serial(kit_t *k, const char *name, char out[RDG_CERT_SERIAL_MAX]) {
    rdg_tlcp_identity_t *identity;
    CHECK_OK(rdg_platform_tlcp_identity(k->platform, &identity));
    const rdg_tlcp_config_t *config = rdg_tlcp_identity_config(identity);
    CHECK(rdg_cert_has_name(config->sign_cert, "cloud"));
    if (name) CHECK(rdg_cert_has_name(config->enc_cert, name));
    CHECK(config->accept_peer != NULL);
    rdg_cert_serial(config->sign_cert, out);
    rdg_tlcp_identity_unref(identity);
}

TEST(ca_keeps_the_clouds_own_certificates_fresh) {
    rdg_clock_manual_t clock;
    kit_t k;
    char first[RDG_CERT_SERIAL_MAX], second[RDG_CERT_SERIAL_MAX];
    rdg_clock_manual_init(&clock, rdg_wall_ms(rdg_clock_system()));
    rdg_platform_options_t o = {.data_dir = rdg_test_dir(), .clock = &clock.clock};
    kit_open_with(&k, &o);
    cloud_serial(&k, NULL, first);
    kit_close(&k);
    kit_open_with(&k, &o);
    cloud_serial(&k, NULL, second);
    CHECK_STR(first, second);
    kit_close(&k);
    o.link_names = "cloud.example,ridge.example"; /* other names: another certificate */
    kit_open_with(&k, &o);
    cloud_serial(&k, "ridge.example", second);
    CHECK(strcmp(first, second) != 0);
    rdg_clock_manual_advance(&clock, 240 * DAY_MS);
    CHECK_OK(identity_refresh(k.platform));
    cloud_serial(&k, NULL, first);
    CHECK_STR(first, second);
    rdg_clock_manual_advance(&clock, 10 * DAY_MS);
    CHECK_OK(identity_refresh(k.platform));
    cloud_serial(&k, "cloud.example", first);
    CHECK(strcmp(first, second) != 0);
    kit_close(&k);
}

static unsigned ask_collector(kit_t *k, const rdg_sm2_key_t *key, const char *name, json_t **a) {
    rdg_buf_t pem;
    rdg_buf_init(&pem, RDG_CERT_REQUEST_MAX);
    CHECK_OK(rdg_cert_request_make(key, name, &pem));
    json_t *body = json_pack("{s:s}", "request", rdg_buf_cstr(&pem));
    char *text = rdg_json_text(body);
    unsigned status = kit_call(k, "POST", "/ca/collector", text, a);
    rdg_free(text);
    json_decref(body);
    rdg_buf_fini(&pem);
    return status;
}

/* No device and no node can have its name; once revoked as compromised, the key gets no certificate any more. */
TEST(ca_certifies_the_collector_under_a_name_of_its_own) {
    kit_t k;
    json_t *a, *again;
    rdg_sm2_key_t *key = NULL;
    rdg_cert_t *chain[RDG_CERT_CHAIN_MAX];
    size_t count;
    char serial[RDG_CERT_SERIAL_MAX], path[128];
    kit_open(&k);
    CHECK_OK(rdg_sm2_key_generate(&key));
    CHECK_EQ(ask_collector(&k, key, "dev-1", NULL), 400);
    CHECK_EQ(ask_collector(&k, key, RDG_CREDENTIALS_COLLECTOR, &a), 201);
    CHECK_EQ(ask_collector(&k, key, RDG_CREDENTIALS_COLLECTOR, &again), 201);
    CHECK_STR(kit_text(a, "certificate"), kit_text(again, "certificate"));
    CHECK_OK(
        rdg_cert_parse_pem(rdg_bytes_str(kit_text(a, "certificate")), chain, RDG_CERT_CHAIN_MAX, &count));
    CHECK(count >= 2);
    CHECK(rdg_cert_has_name(chain[0], RDG_CREDENTIALS_COLLECTOR) && rdg_cert_allows(chain[0], RDG_CERT_SIGN));
    CHECK(!rdg_name_valid(RDG_CREDENTIALS_COLLECTOR));
    CHECK_ERR(rdg_platform_accept_peer(k.platform, chain[0], NULL, NULL), RDG_E_UNAUTHENTICATED);
    rdg_cert_serial(chain[0], serial);
    snprintf(path, sizeof path, "/certificates/%s/revoke", serial);
    CHECK_EQ(kit_call(&k, "POST", path, "{\"reason\":\"key-compromise\"}", NULL), 200);
    CHECK_EQ(ask_collector(&k, key, RDG_CREDENTIALS_COLLECTOR, NULL), 403);
    for (size_t i = 0; i < count; ++i) rdg_cert_free(chain[i]);
    json_decref(a), json_decref(again);
    rdg_sm2_key_free(key);
    kit_close(&k);
}
