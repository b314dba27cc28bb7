/* The exposition of devices in Prometheus' text format: every line as promtool wants it, and what is left out is said. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include "kit.h"
#include "monitor.h"
#include "ridge/base/alloc.h"

static rdg_buf_t text;

static unsigned fetch(kit_t *k, const char *token, const char *query) {
    char url[300], authorization[128];
    rdg_http_answer_t got;
    snprintf(url, sizeof url, "http://127.0.0.1:%u/api/v1/metrics%s", rdg_service_port(k->service), query);
    snprintf(authorization, sizeof authorization, "Authorization: Bearer %s", token);
    const char *headers[] = {authorization};
    const rdg_http_call_t call = {
        .method = "GET", .url = url, .headers = headers, .header_count = 1, .max_body = 32u << 20};
    CHECK_OK(rdg_http_call(k->http, &call, &got));
    rdg_buf_fini(&text);
    rdg_buf_init(&text, 32u << 20);
    CHECK_OK(rdg_buf_append(&text, got.body.data, got.body.len));
    if (got.status == 200) CHECK_STR(got.content_type, "text/plain; version=0.0.4");
    unsigned status = got.status;
    rdg_http_answer_fini(&got);
    return status;
}

static const char *name_end(const char *p) {
    if (!isalpha((unsigned char)*p) && *p != '_' && *p != ':') return p;
    while (isalnum((unsigned char)*p) || *p == '_' || *p == ':') ++p;
    return p;
}

/* {name="value",…}: behind it, or NULL. */
static const char *labels_end(const char *p) {
    for (++p; *p != '}'; p += *p == ',') {
        const char *end = name_end(p);
        if (end == p || end[0] != '=' || end[1] != '"') return NULL;
        for (p = end + 2; *p != '"'; ++p) {
            if (*p == '\\') ++p;
            if ((unsigned char)*p < ' ') return NULL;
        }
        ++p;
        if (*p != ',' && *p != '}') return NULL;
    }
    return p + 1;
}

/* One line after the other; a metric's samples stand together behind its HELP and TYPE. */
static void check_format(size_t *samples) {
    char *all = rdg_strdup(rdg_buf_cstr(&text)), *rest = all, family[128] = "", done[64][128];
    size_t families = 0;
    *samples = 0;
    CHECK(text.len > 0 && all[text.len - 1] == '\n');
    for (char *line; (line = strsep(&rest, "\n")) && (*line || rest);) {
        char name[128];
        if (sscanf(line, "# HELP %127s", name) == 1) {
            for (size_t i = 0; i < families; ++i) CHECK(strcmp(done[i], name) != 0);
            CHECK(families < 64);
            snprintf(done[families++], sizeof done[0], "%s", name);
            snprintf(family, sizeof family, "%s", name);
            continue;
        }
        if (strncmp(line, "# TYPE ", 7) == 0) {
            char type[16];
            CHECK_EQ(sscanf(line, "# TYPE %127s %15s", name, type), 2);
            CHECK_STR(name, family);
            CHECK(strcmp(type, "gauge") == 0 || strcmp(type, "counter") == 0);
            CHECK_EQ(strcmp(type, "counter") == 0, strcmp(name + strlen(name) - 6, "_total") == 0);
            continue;
        }
        if (line[0] == '#') continue;
        const char *end = name_end(line);
        CHECK(end - line == (ptrdiff_t)strlen(family) && strncmp(line, family, strlen(family)) == 0);
        if (*end == '{') end = labels_end(end);
        CHECK(end && *end == ' ');
        char *after;
        (void)strtod(end + 1, &after);
        CHECK(after > end + 1 && *after == '\0');
        ++*samples;
    }
    rdg_free(all);
}

static void fill(rdg_telemetry_t *t) {
    rdg_telemetry_init(t);
    t->time_ms = platform_now();
    t->interval_ms = 5000;
    t->host[RDG_HOST_CPU_PERMILLE] = 125;
    t->host[RDG_HOST_MEMORY_TOTAL_KIB] = 1024;
    t->host[RDG_HOST_TEMPERATURE_DK] = 3132;
    t->chain_count = 1;
    snprintf(t->chains[0].name, sizeof t->chains[0].name, "chain-1");
    t->chains[0].state = RDG_CHAIN_RUNNING;
    t->chains[0].numbers[RDG_CHAIN_HEIGHT] = 17;
    t->queue_count = 1;
    snprintf(t->queues[0].name, sizeof t->queues[0].name, "outbox");
    for (size_t i = 0; i < RDG_QUEUE_COUNT; ++i) t->queues[0].numbers[i] = i;
    t->certificate_count = 1;
    t->certificates[0].not_after_ms = 1800000000000;
}

TEST(exposition_of_devices_has_the_form_that_prometheus_reads) {
    kit_t k;
    fake_t f;
    size_t samples;
    rdg_buf_t record;
    kit_open(&k);
    CHECK_OK(rdg_service_allow(k.service, RDG_SERVICE_METRICS, "for-metrics"));
    fake_init(&f, "dev-1");
    fake_connect(&k, &f);
    CHECK_EQ(kit_call(&k, "PATCH", "/devices/dev-1", "{\"group\":\"north\"}", NULL), 200);
    rdg_telemetry_t *t = rdg_calloc(1, sizeof *t);
    fill(t);
    rdg_buf_init(&record, RDG_TELEMETRY_RECORD_MAX);
    CHECK_OK(rdg_telemetry_encode(t, &record));
    devices_record(k.platform, "dev-1", rdg_buf_view(&record), 5000);
    CHECK_EQ(fetch(&k, "for-metrics", ""), 200);
    check_format(&samples);
    static const char *const lines[] = {
        "\nridge_device_up{device=\"dev-1\",group=\"north\",site=\"\"} 1\n",
        "\nridge_device_cpu_ratio{device=\"dev-1\",group=\"north\",site=\"\"} 0.125\n",
        "\nridge_device_memory_bytes{device=\"dev-1\",group=\"north\",site=\"\"} 1048576\n",
        "\nridge_device_temperature_celsius{device=\"dev-1\",group=\"north\",site=\"\"} 40.0\n",
        "\nridge_node_height{device=\"dev-1\",group=\"north\",site=\"\",chain=\"chain-1\"} 17\n",
        "\nridge_device_queue_bytes{device=\"dev-1\",group=\"north\",site=\"\",queue=\"outbox\"} 1\n",
        "\nridge_devices_left_out 0\n"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; ++i)
        CHECK(strstr(rdg_buf_cstr(&text), lines[i]) != NULL);
    CHECK(!strstr(rdg_buf_cstr(&text), "ridge_device_uptime_seconds")); /* absent is absent, not 0 */
    CHECK_EQ(fetch(&k, "wrong", ""), 401);
    CHECK_EQ(fetch(&k, "secret", "?group=south"), 200);
    CHECK(!strstr(rdg_buf_cstr(&text), "dev-1"));
    CHECK_EQ(fetch(&k, "secret", "?limit=0"), 400);
    rdg_buf_fini(&record);
    rdg_free(t);
    rdg_buf_fini(&text);
    fake_fini(&f);
    kit_close(&k);
}

TEST(exposition_has_a_thousand_devices_a_page_and_says_when_more_follow) {
    kit_t k;
    size_t samples;
    char name[32];
    rdg_buf_t record;
    kit_open(&k);
    rdg_telemetry_t *t = rdg_calloc(1, sizeof *t);
    fill(t);
    rdg_buf_init(&record, RDG_TELEMETRY_RECORD_MAX);
    CHECK_OK(rdg_telemetry_encode(t, &record));
    for (unsigned i = 0; i < 1001; ++i) {
        snprintf(name, sizeof name, "dev-%04u", i);
        CHECK_OK(devices_put(k.platform, name, json_object()));
        devices_record(k.platform, name, rdg_buf_view(&record), 5000);
    }
    CHECK_EQ(fetch(&k, "secret", ""), 200);
    check_format(&samples);
    CHECK(samples > 10000);
    CHECK(strstr(rdg_buf_cstr(&text), "ridge_devices_left_out 1\n# more_after dev-0999\n") != NULL);
    CHECK_EQ(fetch(&k, "secret", "?after=dev-0999"), 200);
    check_format(&samples);
    CHECK(strstr(rdg_buf_cstr(&text), "ridge_node_height{device=\"dev-1000\"") != NULL);
    CHECK(strstr(rdg_buf_cstr(&text), "ridge_devices_left_out 0\n") != NULL);
    rdg_buf_fini(&record);
    rdg_free(t);
    rdg_buf_fini(&text);
    kit_close(&k);
}

TEST(metrics_token_is_for_metrics_alone) {
    static const char *const paths[] = {"/devices", "/commands", "/alarms", "/events", "/subscriptions"};
    kit_t k;
    rdg_http_answer_t got;
    static const char *const headers[] = {"Authorization: Bearer for-metrics"};
    char url[200];
    kit_open(&k);
    CHECK_OK(rdg_service_allow(k.service, RDG_SERVICE_METRICS, "for-metrics"));
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; ++i) {
        snprintf(url, sizeof url, "http://127.0.0.1:%u/api/v1%s", rdg_service_port(k.service), paths[i]);
        const rdg_http_call_t call = {.method = "GET", .url = url, .headers = headers, .header_count = 1};
        CHECK_OK(rdg_http_call(k.http, &call, &got));
        CHECK_EQ(got.status, 401);
        rdg_http_answer_fini(&got);
    }
    rdg_caller_t nobody; /* nor for what is mounted, such as the registry */
    CHECK_ERR(rdg_service_caller_of(k.service, "for-metrics", &nobody), RDG_E_UNAUTHENTICATED);
    CHECK(!rdg_service_caller_named(k.service, RDG_SERVICE_METRICS, &nobody));
    kit_close(&k);
}

static void enrol_for(kit_t *k, const char *tenant, const char *device, char access[100]) {
    char body[120], token[128];
    fake_t f;
    json_t *a;
    snprintf(body, sizeof body, "{\"name\":\"%s\"}", tenant);
    CHECK_EQ(kit_call(k, "POST", "/tenants", body, NULL), 201);
    snprintf(body, sizeof body, "{\"name\":\"looks\",\"role\":\"reader\",\"tenant\":\"%s\"}", tenant);
    CHECK_EQ(kit_call(k, "POST", "/tokens", body, &a), 201);
    snprintf(access, 100, "%s", kit_text(a, "token"));
    json_decref(a);
    snprintf(body, sizeof body, "{\"tenant\":\"%s\"}", tenant);
    CHECK_EQ(kit_call(k, "POST", "/device-tokens", body, &a), 201);
    snprintf(token, sizeof token, "%s", kit_text(json_array_get(json_object_get(a, "tokens"), 0), "token"));
    json_decref(a);
    fake_init(&f, device);
    CHECK_EQ(fake_enrol(k, &f, token, NULL), 201);
    fake_fini(&f);
}

TEST(exposition_for_a_tenant_has_its_devices_alone) {
    kit_t k;
    char acme[100], other[100];
    kit_open(&k);
    enrol_for(&k, "acme", "a-1", acme);
    enrol_for(&k, "other", "o-1", other);
    CHECK_EQ(fetch(&k, acme, ""), 200);
    CHECK(strstr(rdg_buf_cstr(&text), "device=\"a-1\"") && !strstr(rdg_buf_cstr(&text), "o-1"));
    CHECK_EQ(fetch(&k, other, "?limit=1"), 200); /* nor is anybody told that there are more */
    CHECK(strstr(rdg_buf_cstr(&text), "device=\"o-1\"") && !strstr(rdg_buf_cstr(&text), "a-1"));
    CHECK(strstr(rdg_buf_cstr(&text), "ridge_devices_left_out 0"));
    CHECK_EQ(fetch(&k, "secret", ""), 200);
    CHECK(strstr(rdg_buf_cstr(&text), "a-1") && strstr(rdg_buf_cstr(&text), "o-1"));
    rdg_buf_fini(&text);
    kit_close(&k);
}
