#include "kit.h"
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"

enum { GUESSES = 20, GUESS_BACK_MS = 3000 }; /* as docs/rest-api.md promises */

TEST(enrol_gives_a_device_its_own_mqtt_access) {
    kit_t k;
    fake_t f;
    json_t *a;
    kit_open(&k);
    fake_init(&f, "dev-1");
    fake_connect(&k, &f);
    CHECK_EQ(kit_call(&k, "GET", "/devices/dev-1", NULL, &a), 200);
    CHECK_STR(kit_text(a, "state"), "online");
    CHECK_STR(kit_text(a, "arch"), "x86_64");
    json_decref(a);
    CHECK_EQ(kit_call(&k, "GET", "/devices/nobody", NULL, &a), 404);
    json_decref(a);
    fake_fini(&f);
    kit_close(&k);
}

TEST(enrol_refuses_unknown_used_and_expired_tokens) {
    kit_t k;
    fake_t f, other;
    char token[128];
    json_t *a;
    kit_open(&k);
    fake_init(&f, "dev-1");
    fake_init(&other, "dev-2");
    CHECK_EQ(fake_enrol(&k, &f, "rdt_00000000", &a), 401);
    CHECK_STR(kit_error(a, "code"), "UNAUTHENTICATED");
    CHECK(strstr(kit_error(a, "message"), "not known"));
    json_decref(a);
    kit_token(&k, token);
    CHECK_EQ(fake_enrol(&k, &f, token, NULL), 201);
    CHECK_EQ(fake_enrol(&k, &other, token, &a), 401);
    CHECK(strstr(kit_error(a, "message"), "used"));
    json_decref(a);
    kit_token(&k, token);
    CHECK_OK(rdg_sql_exec(k.platform->db, "UPDATE device_tokens SET expires_ms = 1 WHERE used_ms IS NULL",
                          NULL, 0, NULL));
    CHECK_EQ(fake_enrol(&k, &other, token, &a), 401);
    CHECK(strstr(kit_error(a, "message"), "expired"));
    CHECK(strstr(kit_error(a, "message"), "ridge device token"));
    json_decref(a);
    CHECK_EQ(kit_call(&k, "GET", "/devices/dev-2", NULL, NULL), 404);
    fake_fini(&f);
    fake_fini(&other);
    kit_close(&k);
}

TEST(enrol_answers_the_same_device_again_with_a_new_password) {
    kit_t k;
    fake_t f;
    char token[128], first[128];
    kit_open(&k);
    fake_init(&f, "dev-1");
    kit_token(&k, token);
    CHECK_EQ(fake_enrol(&k, &f, token, NULL), 201);
    snprintf(first, sizeof first, "%s", f.password);
    CHECK_EQ(fake_enrol(&k, &f, token, NULL), 201);
    CHECK(strcmp(first, f.password) != 0);
    fake_connect(&k, &f);
    fake_fini(&f);
    kit_close(&k);
}

TEST(enrol_refuses_a_name_that_another_key_has) {
    kit_t k;
    fake_t f, thief;
    char token[128];
    json_t *a;
    kit_open(&k);
    fake_init(&f, "dev-1");
    fake_init(&thief, "dev-1");
    kit_token(&k, token);
    CHECK_EQ(fake_enrol(&k, &f, token, NULL), 201);
    kit_token(&k, token);
    CHECK_EQ(fake_enrol(&k, &thief, token, &a), 409);
    CHECK_STR(kit_error(a, "code"), "EXISTS");
    json_decref(a);
    /* The token was not spent by the refusal. */
    snprintf(thief.name, sizeof thief.name, "dev-2");
    CHECK_EQ(fake_enrol(&k, &thief, token, NULL), 201);
    fake_fini(&f);
    fake_fini(&thief);
    kit_close(&k);
}

TEST(enrol_refuses_what_is_not_signed_by_the_key_that_it_names) {
    static const char *const hostile[] = {
        "{}",
        "{\"token\":1,\"name\":\"a\",\"sign_request\":\"00\",\"enc_request\":\"00\",\"signature\":\"00\"}",
        "{\"token\":\"t\",\"name\":\"../"
        "x\",\"sign_request\":\"0\",\"enc_request\":\"0\",\"signature\":\"00\"}",
        "{\"token\":\"t\",\"name\":\"cloud\",\"sign_request\":\"0\",\"enc_request\":\"0\",\"signature\":"
        "\"00\"}",
        "{\"token\":\"t\",\"name\":\"a\",\"sign_request\":\"zz\",\"enc_request\":\"zz\",\"signature\":"
        "\"00\"}"};
    kit_t k;
    fake_t f, other;
    json_t *a;
    char token[128];
    kit_open(&k);
    fake_init(&f, "dev-1");
    fake_init(&other, "dev-1");
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; ++i)
        CHECK_EQ(kit_call_public(&k, "POST", "/enrol", hostile[i], NULL), 400);
    kit_token(&k, token);
    /* The request of another key, which this device does not hold: the signature over all is not that key's. */
    char *sign = fake_request(other.key, "dev-1"), *enc = fake_request(f.enc_key, "dev-1");
    CHECK_EQ(fake_enrol_with(&k, &f, token, sign, enc, &a), 401);
    CHECK(strstr(kit_error(a, "message"), "signature"));
    json_decref(a);
    CHECK_EQ(kit_call(&k, "GET", "/devices/dev-1", NULL, NULL), 404);
    rdg_free(sign);
    rdg_free(enc);
    fake_fini(&f);
    fake_fini(&other);
    kit_close(&k);
}

TEST(device_tokens_have_bounds_and_are_stored_hashed) {
    static const char *const bad[] = {"{\"count\":0}", "{\"count\":1001}", "{\"ttl_s\":0}", "{\"count\":-1}",
                                      "{\"ttl_s\":\"x\"}"};
    kit_t k;
    char token[128];
    kit_open(&k);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i)
        CHECK_EQ(kit_call(&k, "POST", "/device-tokens", bad[i], NULL), 400);
    CHECK_EQ(kit_call_public(&k, "POST", "/device-tokens", "{}", NULL), 401);
    kit_token(&k, token);
    kit_close(&k);
    char path[512];
    snprintf(path, sizeof path, "%s/platform.db", rdg_test_dir());
    rdg_buf_t file;
    rdg_buf_init(&file, 64 << 20);
    CHECK_OK(rdg_file_read(path, &file));
    CHECK_EQ(strcspn(token, "."), 52);
    CHECK(memmem(file.data, file.len, token, strcspn(token, ".")) == NULL);
    rdg_buf_fini(&file);
}

TEST(deleting_a_device_ends_its_access_and_its_commands) {
    kit_t k;
    fake_t f;
    json_t *a;
    kit_open(&k);
    fake_init(&f, "dev-1");
    char token[128], id[80];
    kit_token(&k, token);
    CHECK_EQ(fake_enrol(&k, &f, token, NULL), 201);
    CHECK_EQ(kit_call(&k, "POST", "/devices/dev-1/commands", "{\"type\":\"chain.stop\"}", &a), 202);
    snprintf(id, sizeof id, "%s", kit_text(a, "id"));
    json_decref(a);
    CHECK_EQ(kit_call(&k, "DELETE", "/devices/dev-1", NULL, NULL), 204);
    CHECK_EQ(kit_call(&k, "GET", "/devices/dev-1", NULL, NULL), 404);
    kit_wait_state(&k, id, "cancelled");
    CHECK_EQ(kit_call(&k, "DELETE", "/devices/dev-1", NULL, NULL), 404);
    /* Its name is free again. */
    kit_token(&k, token);
    CHECK_EQ(fake_enrol(&k, &f, token, NULL), 201);
    fake_fini(&f);
    kit_close(&k);
}

/* --- who tries tokens ------------------------------------------------------------------------------------------ */

static void make_token(kit_t *k, const char *body, char out[128]) {
    json_t *a;
    CHECK_EQ(kit_call(k, "POST", "/device-tokens", body, &a), 201);
    snprintf(out, 128, "%s", kit_text(json_array_get(json_object_get(a, "tokens"), 0), "token"));
    json_decref(a);
}

static void expire(kit_t *k, const char *about) {
    CHECK_OK(rdg_sql_exec(k->platform->db, "UPDATE device_tokens SET expires_ms = 1 WHERE about LIKE ?",
                          RDG_SQL_PARAMS(rdg_sql_text(about)), NULL));
}

static unsigned guess(kit_t *k, fake_t *f, int number) {
    char token[64];
    snprintf(token, sizeof token, "rdt_%048d", number);
    return fake_enrol(k, f, token, NULL);
}

TEST(enrol_tokens_that_nobody_has_are_slowed_and_what_was_let_in_before_is_not) {
    kit_t k;
    fake_t guesser, first, second, third, late;
    char shared[128], other[128], ended[128];
    json_t *a;
    rdg_clock_manual_t clock;
    rdg_clock_manual_init(&clock, 1000000);
    kit_open_at(&k, &(rdg_platform_options_t){.data_dir = rdg_test_dir()}, &clock.clock);
    fake_init(&guesser, "guesser");
    fake_init(&first, "dev-1");
    fake_init(&second, "dev-2");
    fake_init(&third, "dev-3");
    fake_init(&late, "dev-4");
    make_token(&k, "{\"uses\":3}", shared);
    make_token(&k, "{\"uses\":3}", other);
    make_token(&k, "{\"uses\":3,\"site\":\"ended\"}", ended);
    expire(&k, "%ended%");
    CHECK_EQ(fake_enrol(&k, &first, shared, NULL), 201);
    for (int i = 0; i < GUESSES; ++i) CHECK_EQ(guess(&k, &guesser, i), 401);
    CHECK_EQ(fake_enrol(&k, &guesser, "rdt_another", &a), 429);
    CHECK_STR(kit_error(a, "code"), "BUSY");
    CHECK(strstr(kit_error(a, "message"), "that nobody has came from 127.0.0.1"));
    json_decref(a);
    /* Right or wrong, but for what was there before; and what has ended is told so. */
    CHECK_EQ(fake_enrol(&k, &third, other, NULL), 429);
    CHECK_EQ(kit_call(&k, "GET", "/devices/dev-3", NULL, NULL), 404);
    CHECK_EQ(fake_enrol(&k, &second, shared, NULL), 201);
    CHECK_EQ(fake_enrol(&k, &first, shared, NULL), 201);
    CHECK_EQ(fake_enrol(&k, &late, ended, &a), 401);
    CHECK(strstr(kit_error(a, "message"), "expired"));
    json_decref(a);
    rdg_clock_manual_advance(&clock, GUESS_BACK_MS);
    CHECK_EQ(fake_enrol(&k, &third, other, NULL), 201);
    CHECK_EQ(guess(&k, &guesser, GUESSES), 401);
    CHECK_EQ(guess(&k, &guesser, GUESSES + 1), 429);
    fake_fini(&guesser);
    fake_fini(&first);
    fake_fini(&second);
    fake_fini(&third);
    fake_fini(&late);
    kit_close(&k);
}

/* RIDGE_ENROL_MANY=1000 for a whole site. */
TEST(enrol_many_devices_of_one_address_with_a_good_token_and_an_expired_one_are_not_slowed) {
    kit_t k;
    fake_t f, old;
    char token[128], ended[128], body[64], name[32];
    const char *many = getenv("RIDGE_ENROL_MANY");
    const int count = many ? atoi(many) : GUESSES + 10;
    rdg_clock_manual_t clock; /* too slow for a guess to be forgiven */
    rdg_clock_manual_init(&clock, 1000000);
    kit_open_at(&k, &(rdg_platform_options_t){.data_dir = rdg_test_dir()}, &clock.clock);
    snprintf(body, sizeof body, "{\"uses\":%d,\"approve\":true}", count);
    make_token(&k, body, token);
    make_token(&k, "{\"site\":\"ended\"}", ended);
    expire(&k, "%ended%");
    fake_init(&old, "old");
    for (int i = 0; i < count; ++i) {
        snprintf(name, sizeof name, "dev-%d", i);
        fake_init(&f, name);
        CHECK_EQ(fake_enrol(&k, &f, token, NULL), 202);
        fake_fini(&f);
        rdg_clock_manual_advance(&clock, 3); /* as many requests as one address may send */
        CHECK_EQ(fake_enrol(&k, &old, ended, NULL), 401);
    }
    for (int i = 0; i < GUESSES; ++i) CHECK_EQ(guess(&k, &old, i), 401);
    CHECK_EQ(guess(&k, &old, GUESSES), 429);
    fake_fini(&old);
    kit_close(&k);
}

/* As the gateway does it, whose end of the connection says from where the guest comes. */
static unsigned enrol_from(const char *path, const char *from, const char *body) {
    static unsigned count;
    struct sockaddr_un to = {.sun_family = AF_UNIX}, own = {.sun_family = AF_UNIX};
    char name[PEER_NAME_MAX], head[256], answer[64] = "", unique[32];
    unsigned status = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* Such names are all the machine's. */
    snprintf(unique, sizeof unique, "%ld-%u", (long)getpid(), count++);
    peer_name_from(from, unique, name);
    memcpy(own.sun_path + 1, name, strlen(name));
    snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
    CHECK(fd >= 0 && bind(fd, (const struct sockaddr *)&own,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))) == 0);
    CHECK_EQ(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    int n =
        snprintf(head, sizeof head,
                 "POST /api/v1/enrol HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n",
                 strlen(body));
    CHECK_OK(rdg_write_all(fd, rdg_bytes(head, (size_t)n)));
    CHECK_OK(rdg_write_all(fd, rdg_bytes_str(body)));
    CHECK(recv(fd, answer, sizeof answer - 1, MSG_WAITALL) > 12);
    CHECK_EQ(sscanf(answer, "HTTP/1.1 %u", &status), 1);
    close(fd);
    return status;
}

TEST(enrol_guesses_count_for_the_address_behind_the_gateway_alone) {
    kit_t k;
    fake_t f;
    char path[108], name[PEER_NAME_MAX];
    rdg_clock_manual_t clock;
    rdg_service_t *behind;
    rdg_metrics_t *m = rdg_metrics_new();
    rdg_buf_t text;
    rdg_clock_manual_init(&clock, 1000000);
    kit_open_with(&k, &(rdg_platform_options_t){.data_dir = rdg_test_dir(), .metrics = m});
    snprintf(path, sizeof path, "%s/enrol", rdg_test_dir());
    const rdg_service_options_t o = {.host = path, .clock = &clock.clock};
    CHECK_OK(rdg_service_new(&o, &behind));
    CHECK_OK(rdg_platform_enrol_routes(k.platform, behind));
    CHECK_OK(rdg_service_start(behind));
    fake_init(&f, "guesser");
    char *sign = fake_request(f.key, f.name), *enc = fake_request(f.enc_key, f.name),
         *body = fake_enrolment(&f, "rdt_another", sign, enc);
    for (int i = 0; i <= GUESSES; ++i)
        CHECK_EQ(enrol_from(path, "192.0.2.7:4000", body), i < GUESSES ? 401 : 429);
    CHECK_EQ(enrol_from(path, "192.0.2.8:4000", body), 401);
    CHECK_EQ(enrol_from(path, "[2001:db8::1]:4000", body), 401);
    CHECK_EQ(enrol_from(path, "192.0.2.7:4001", body), 429);
    rdg_buf_init(&text, 1u << 20);
    CHECK_OK(rdg_metrics_expose(m, &text));
    CHECK(strstr(rdg_buf_cstr(&text), "\nridge_platform_wrong_enrolment_tokens_total 22\n"));
    CHECK(strstr(rdg_buf_cstr(&text), "\nridge_platform_wrong_enrolment_tokens_barred_total 2\n"));
    rdg_buf_fini(&text);
    peer_name_from("[2001:db8::1]:4000", "x", name);
    CHECK_STR(name, "ridge/from/2001:db8::1/x");
    rdg_free(body);
    rdg_free(sign);
    rdg_free(enc);
    fake_fini(&f);
    rdg_service_free(behind);
    kit_close(&k);
    rdg_metrics_free(m);
}
