#include "kit.h"
#include <stdio.h>
#include <time.h>
#include "ridge/base/log.h"
#include "ridge/codec/hex.h"
#include "ridge/codec/telemetry.h"
#include "ridge/service/access.h"

#define PATIENCE_MS 60000

void kit_open(kit_t *k) {
    rdg_platform_options_t o = {.data_dir = rdg_test_dir()};
    kit_open_with(k, &o);
}

void kit_open_with(kit_t *k, const rdg_platform_options_t *o) {
    kit_open_at(k, o, NULL);
}

void kit_open_at(kit_t *k, const rdg_platform_options_t *o, const rdg_clock_t *clock) {
    rdg_service_options_t s = {.clock = clock};
    rdg_log_set_level(RDG_LOG_ERROR);
    CHECK_OK(rdg_platform_open(o, &k->platform));
    CHECK_OK(rdg_access_open(rdg_test_dir(), NULL, &k->access));
    CHECK_OK(rdg_service_new(&s, &k->service));
    CHECK_OK(rdg_access_routes(k->access, k->service));
    CHECK_OK(rdg_access_in_use(k->access, rdg_platform_in_use, k->platform));
    rdg_access_count(k->access, RDG_SHARE_DEVICES, rdg_platform_count, k->platform);
    rdg_access_count(k->access, RDG_SHARE_ROLLOUTS, rdg_platform_count, k->platform);
    CHECK_OK(rdg_platform_routes(k->platform, k->service));
    CHECK_OK(rdg_platform_enrol_routes(k->platform, k->service));
    CHECK_OK(rdg_service_allow(k->service, "admin", "secret"));
    CHECK_OK(rdg_service_start(k->service));
    CHECK_OK(rdg_http_client_new(&k->http));
}

void kit_close(kit_t *k) {
    rdg_http_client_free(k->http);
    rdg_platform_stop(k->platform);
    rdg_service_free(k->service);
    rdg_platform_close(k->platform);
    rdg_access_close(k->access);
}

unsigned kit_call_as(kit_t *k, const char *token, const char *method, const char *path, const char *body,
                     json_t **answer) {
    char url[512], authorization[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/api/v1%s", rdg_service_port(k->service), path);
    snprintf(authorization, sizeof authorization, "Authorization: Bearer %s", token ? token : "");
    const char *headers[] = {authorization};
    rdg_http_call_t call = {.method = method, .url = url, .headers = headers, .header_count = token ? 1 : 0};
    if (body) call.body = rdg_bytes_str(body);
    rdg_http_answer_t got;
    CHECK_OK(rdg_http_call(k->http, &call, &got));
    if (answer && rdg_json_parse(rdg_buf_view(&got.body), answer) != RDG_OK) *answer = NULL;
    unsigned status = got.status;
    rdg_http_answer_fini(&got);
    return status;
}

unsigned kit_call(kit_t *k, const char *method, const char *path, const char *body, json_t **answer) {
    return kit_call_as(k, "secret", method, path, body, answer);
}

unsigned kit_call_public(kit_t *k, const char *method, const char *path, const char *body, json_t **answer) {
    return kit_call_as(k, NULL, method, path, body, answer);
}

const char *kit_text(const json_t *o, const char *field) {
    const char *text = json_string_value(json_object_get(o, field));
    return text ? text : "";
}

const char *kit_error(const json_t *answer, const char *field) {
    return kit_text(json_object_get(answer, "error"), field);
}

void kit_token(kit_t *k, char out[128]) {
    json_t *a;
    CHECK_EQ(kit_call(k, "POST", "/device-tokens", "{\"count\":1,\"ttl_s\":3600}", &a), 201);
    snprintf(out, 128, "%s", kit_text(json_array_get(json_object_get(a, "tokens"), 0), "token"));
    json_decref(a);
}

static void pause_ms(long ms) {
    struct timespec t = {0, ms * 1000000};
    nanosleep(&t, NULL);
}

void kit_pause(void) {
    pause_ms(20);
}

void kit_wait_state(kit_t *k, const char *command, const char *state) {
    char path[128], seen[32] = "";
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + PATIENCE_MS;
    snprintf(path, sizeof path, "/commands/%s", command);
    while (rdg_mono_ms(rdg_clock_system()) < end) {
        json_t *a;
        CHECK_EQ(kit_call(k, "GET", path, NULL, &a), 200);
        snprintf(seen, sizeof seen, "%s", kit_text(a, "state"));
        json_decref(a);
        if (strcmp(seen, state) == 0) return;
        pause_ms(5);
    }
    CHECK_STR(seen, state);
}

void kit_wait_online(kit_t *k, const char *device, bool online) {
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + PATIENCE_MS;
    while (devices_online(k->platform, device) != online) {
        CHECK(rdg_mono_ms(rdg_clock_system()) < end);
        pause_ms(2);
    }
}

/* --- devices ------------------------------------------------------------------------------------ */

void fake_init(fake_t *f, const char *name) {
    memset(f, 0, sizeof *f);
    snprintf(f->name, sizeof f->name, "%s", name);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    CHECK_OK(rdg_sm2_key_generate(&f->key));
    CHECK_OK(rdg_sm2_key_generate(&f->enc_key));
}

void fake_digest(const char *text, char out[65]) {
    rdg_hash_t digest;
    rdg_sm3(text, strlen(text), &digest);
    rdg_hex_encode(digest.b, sizeof digest.b, out);
}

char *fake_request(const rdg_sm2_key_t *key, const char *name) {
    rdg_buf_t pem;
    size_t len;
    rdg_buf_init(&pem, RDG_CERT_REQUEST_MAX);
    CHECK_OK(rdg_cert_request_make(key, name, &pem));
    return (char *)rdg_buf_take(&pem, &len);
}

void fake_sign(const rdg_sm2_key_t *key, const char *text, char out[129]) {
    rdg_sm2_signature_t signature;
    CHECK_OK(rdg_sm2_sign(key, text, strlen(text), &signature));
    rdg_hex_encode(signature.b, sizeof signature.b, out);
}

char *fake_enrolment(const fake_t *f, const char *token, const char *sign_request, const char *enc_request) {
    char sig[129], text[512], short_token[128], sign_hex[65], enc_hex[65];
    snprintf(short_token, sizeof short_token, "%.*s", (int)strcspn(token, "."), token);
    fake_digest(sign_request, sign_hex);
    fake_digest(enc_request, enc_hex);
    snprintf(text, sizeof text, "ridge-enrol-v2\n%s\n%s\n%s\n%s", short_token, f->name, sign_hex, enc_hex);
    fake_sign(f->key, text, sig);
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:[s]}", "token", short_token, "name", f->name,
                          "sign_request", sign_request, "enc_request", enc_request, "signature", sig, "arch",
                          "x86_64", "agent_version", "0.1", "drivers", "process");
    if (f->group[0]) json_object_set_new(o, "group", json_string(f->group));
    char *body = rdg_json_text(o);
    json_decref(o);
    return body;
}

unsigned fake_enrol_with(kit_t *k, fake_t *f, const char *token, const char *sign_request,
                         const char *enc_request, json_t **answer) {
    char *body = fake_enrolment(f, token, sign_request, enc_request);
    json_t *a = NULL;
    unsigned status = kit_call_public(k, "POST", "/enrol", body, &a);
    rdg_free(body);
    if (status == 201) {
        const json_t *mqtt = json_object_get(a, "mqtt");
        snprintf(f->url, sizeof f->url, "%s", rdg_platform_broker_url(k->platform));
        snprintf(f->password, sizeof f->password, "%s", kit_text(mqtt, "password"));
        json_decref(f->certificates);
        f->certificates = json_incref(json_object_get(a, "certificates"));
    }
    if (answer)
        *answer = a;
    else
        json_decref(a);
    return status;
}

unsigned fake_enrol(kit_t *k, fake_t *f, const char *token, json_t **answer) {
    char *sign = fake_request(f->key, f->name), *enc = fake_request(f->enc_key, f->name);
    unsigned status = fake_enrol_with(k, f, token, sign, enc, answer);
    rdg_free(sign);
    rdg_free(enc);
    return status;
}

void fake_publish(fake_t *f, const char *kind, const char *payload) {
    fake_publish_bytes(f, kind, rdg_bytes_str(payload));
}

void fake_publish_bytes(fake_t *f, const char *kind, rdg_bytes_t payload) {
    char topic[160];
    snprintf(topic, sizeof topic, "devices/%s/%s", f->name, kind);
    pthread_mutex_lock(&f->lock);
    rdg_mqtt_t *mqtt = f->mqtt;
    pthread_mutex_unlock(&f->lock);
    if (mqtt) (void)rdg_mqtt_publish(mqtt, topic, payload, strcmp(kind, "status") == 0, NULL);
}

static void answer_command(fake_t *f, const json_t *m) {
    char text[512];
    pthread_mutex_lock(&f->lock);
    ++f->commands;
    snprintf(f->last_command, sizeof f->last_command, "%s", kit_text(m, "id"));
    if (!strstr(f->taken, f->last_command)) {
        size_t len = strlen(f->taken);
        snprintf(f->taken + len, sizeof f->taken - len, "%s ", f->last_command);
    }
    bool finish = f->finish;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    if (!finish) return;
    snprintf(text, sizeof text, "{\"id\":\"%s\",\"state\":\"running\",\"step\":\"keys\",\"progress\":50}",
             kit_text(m, "id"));
    fake_publish(f, "result", text);
    snprintf(text, sizeof text, "{\"id\":\"%s\",\"state\":\"done\",\"result\":{\"answer\":42}}",
             kit_text(m, "id"));
    fake_publish(f, "result", text);
}

static void answer_request(fake_t *f, const json_t *m) {
    char text[512];
    if (f->silent) return;
    if (strcmp(kit_text(m, "method"), "node.rpc") == 0)
        snprintf(text, sizeof text,
                 "{\"id\":\"%s\",\"error\":{\"code\":\"NOT_FOUND\",\"message\":\"no such chain\"}}",
                 kit_text(m, "id"));
    else
        snprintf(text, sizeof text, "{\"id\":\"%s\",\"result\":{\"name\":\"%s\"}}", kit_text(m, "id"),
                 f->name);
    fake_publish(f, "response", text);
}

static void keep(fake_t *f, json_t **place, json_t *m) {
    pthread_mutex_lock(&f->lock);
    json_decref(*place);
    *place = json_incref(m);
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static bool on_message(void *ctx, const char *topic, rdg_bytes_t payload) {
    fake_t *f = ctx;
    json_t *m = NULL;
    rdg_telemetry_ack_t ack;
    if (strstr(topic, "/telemetry-ack")) {
        CHECK_OK(rdg_telemetry_ack_decode(payload, &ack));
        pthread_mutex_lock(&f->lock);
        f->acks += (unsigned)ack.count;
        pthread_cond_broadcast(&f->changed);
        pthread_mutex_unlock(&f->lock);
        return true;
    }
    if (rdg_json_parse(payload, &m) != RDG_OK) return true;
    if (strstr(topic, "/command")) answer_command(f, m);
    if (strstr(topic, "/request")) answer_request(f, m);
    if (strstr(topic, "/certificates")) keep(f, &f->got_certificates, m);
    if (strcmp(topic, "cloud/crl") == 0) keep(f, &f->got_list, m);
    if (strcmp(topic, "cloud/image-trust") == 0) keep(f, &f->got_trust, m);
    json_decref(m);
    return true;
}

static void on_connection(void *ctx, bool up, const char *why) {
    fake_t *f = ctx;
    (void)why;
    pthread_mutex_lock(&f->lock);
    f->connected = up;
    bool say =
        up && f->mqtt; /* once: what was handed over is handed over again to a device that says so again */
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    if (say) fake_publish(f, "status", "{\"online\":true}");
}

void fake_connect(kit_t *k, fake_t *f) {
    char token[128], topics[4][160], will[160];
    if (!f->password[0]) {
        kit_token(k, token);
        CHECK_EQ(fake_enrol(k, f, token, NULL), 201);
    }
    snprintf(topics[0], sizeof topics[0], "devices/%s/command", f->name);
    snprintf(topics[1], sizeof topics[1], "devices/%s/request", f->name);
    snprintf(will, sizeof will, "devices/%s/status", f->name);
    snprintf(topics[2], sizeof topics[2], "devices/%s/certificates", f->name);
    snprintf(topics[3], sizeof topics[3], "devices/%s/telemetry-ack", f->name);
    const char *subscriptions[] = {topics[0], topics[1],   topics[2],
                                   topics[3], "cloud/crl", "cloud/image-trust"};
    rdg_mqtt_options_t o = {.url = rdg_platform_broker_url(k->platform),
                            .client_id = f->name,
                            .username = f->name,
                            .password = f->password,
                            .will_topic = will,
                            .will_payload = "{\"online\":false}",
                            .subscriptions = subscriptions,
                            .subscription_count = sizeof subscriptions / sizeof subscriptions[0],
                            .message = on_message,
                            .connection = on_connection,
                            .ctx = f};
    rdg_mqtt_t *mqtt;
    CHECK_OK(rdg_mqtt_start(&o, &mqtt));
    pthread_mutex_lock(&f->lock);
    f->mqtt = mqtt;
    bool up = f->connected; /* before it could be used: then what on_connection does not say is said here */
    pthread_mutex_unlock(&f->lock);
    if (up) fake_publish(f, "status", "{\"online\":true}");
    kit_wait_online(k, f->name, true);
}

void fake_disconnect(fake_t *f) {
    if (!f->mqtt) return;
    fake_publish(f, "status", "{\"online\":false}");
    rdg_mqtt_stop(f->mqtt);
    f->mqtt = NULL;
}

void fake_fini(fake_t *f) {
    if (f->mqtt) rdg_mqtt_stop(f->mqtt);
    rdg_sm2_key_free(f->key);
    rdg_sm2_key_free(f->enc_key);
    json_decref(f->certificates);
    json_decref(f->got_certificates);
    json_decref(f->got_trust);
    json_decref(f->got_list);
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
}

void fake_wait_acks(fake_t *f, unsigned count) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_MS / 1000;
    pthread_mutex_lock(&f->lock);
    while (f->acks < count && pthread_cond_timedwait(&f->changed, &f->lock, &end) == 0) {
    }
    unsigned seen = f->acks;
    pthread_mutex_unlock(&f->lock);
    CHECK(seen >= count);
}

void fake_wait_commands(fake_t *f, unsigned count) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_MS / 1000;
    pthread_mutex_lock(&f->lock);
    while (f->commands < count && pthread_cond_timedwait(&f->changed, &f->lock, &end) == 0) {
    }
    unsigned seen = f->commands;
    pthread_mutex_unlock(&f->lock);
    CHECK(seen >= count);
}

void fake_wait_taken(fake_t *f, const char *id) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_MS / 1000;
    pthread_mutex_lock(&f->lock);
    while (!strstr(f->taken, id) && pthread_cond_timedwait(&f->changed, &f->lock, &end) == 0) {
    }
    bool seen = strstr(f->taken, id) != NULL;
    pthread_mutex_unlock(&f->lock);
    CHECK(seen);
}
