#include "kit.h"
#include <stdio.h>
#include <string.h>
#include "ridge/base/file.h"

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
