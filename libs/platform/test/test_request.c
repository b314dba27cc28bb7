#include "kit.h"
#include <stdio.h>
#include <string.h>

TEST(request_is_answered_by_its_device) {
    kit_t k;
    fake_t f;
    json_t *a;
    kit_open(&k);
    fake_init(&f, "dev-1");
    fake_connect(&k, &f);
    CHECK_EQ(kit_call(&k, "POST", "/devices/dev-1/requests", "{\"method\":\"agent.info\",\"params\":{}}", &a),
             200);
    CHECK_STR(kit_text(json_object_get(a, "result"), "name"), "dev-1");
    json_decref(a);
    CHECK_EQ(kit_call(&k, "POST", "/devices/dev-1/requests", "{\"method\":\"node.rpc\"}", &a), 200);
    CHECK_STR(kit_error(a, "code"), "NOT_FOUND");
    json_decref(a);
    CHECK_EQ(kit_call(&k, "POST", "/devices/dev-1/requests", "{}", NULL), 400);
    CHECK_EQ(kit_call(&k, "POST", "/devices/dev-1/requests", "{\"method\":\"a\",\"timeout_ms\":0}", NULL),
             400);
    CHECK_EQ(kit_call(&k, "POST", "/devices/nobody/requests", "{\"method\":\"a\"}", NULL), 404);
    fake_fini(&f);
    kit_close(&k);
}

TEST(request_to_a_device_that_is_silent_or_away_ends_in_time) {
    kit_t k;
    fake_t f;
    json_t *a;
    kit_open(&k);
    fake_init(&f, "dev-1");
    f.silent = true;
    fake_connect(&k, &f);
    CHECK_EQ(kit_call(&k, "POST", "/devices/dev-1/requests", "{\"method\":\"a\",\"timeout_ms\":50}", &a),
             504);
    CHECK_STR(kit_error(a, "code"), "TIMEOUT");
    json_decref(a);
    fake_disconnect(&f);
    kit_wait_online(&k, "dev-1", false);
    CHECK_EQ(kit_call(&k, "POST", "/devices/dev-1/requests", "{\"method\":\"a\",\"timeout_ms\":20000}", &a),
             503);
    CHECK_STR(kit_error(a, "code"), "UNAVAILABLE");
    json_decref(a);
    fake_fini(&f);
    kit_close(&k);
}

TEST(platform_withstands_hostile_messages_of_a_device) {
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "null",
        "\xff\xfe\xfd",
        "{\"id\":null}",
        "{\"id\":\"x\",\"state\":\"done\"}",
        "{\"id\":\"x\",\"state\":\"queued\"}",
        "{\"id\":{},\"state\":[]}",
        "{\"id\":\"x\",\"state\":\"done\",\"progress\":-1}",
        "{\"id\":\"x\",\"state\":\"running\",\"progress\":18446744073709551615}",
        "{\"online\":\"perhaps\"}",
        "{\"agent\":5,\"chains\":{\"a\":1},\"intake\":[]}",
        "{\"chains\":[1,null,{\"chain\":7}]}"};
    static const char *const kinds[] = {"result", "response", "telemetry", "command", "nonsense", "status"};
    kit_t k;
    fake_t f, other;
    json_t *a;
    char text[256];
    kit_open(&k);
    fake_init(&f, "dev-1");
    fake_init(&other, "dev-2");
    fake_connect(&k, &f);
    fake_connect(&k, &other);
    CHECK_EQ(
        kit_call(&k, "POST", "/devices/dev-2/commands", "{\"id\":\"other\",\"type\":\"chain.stop\"}", NULL),
        202);
    fake_wait_commands(&other, 1);
    CHECK_EQ(
        kit_call(&k, "POST", "/devices/dev-1/commands", "{\"id\":\"mine\",\"type\":\"chain.stop\"}", NULL),
        202);
    fake_wait_commands(&f, 1);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i)
        for (size_t n = 0; n < sizeof kinds / sizeof kinds[0]; ++n) fake_publish(&f, kinds[n], bad[i]);
    static char deep[100000];
    memset(deep, '[', sizeof deep - 1);
    fake_publish(&f, "telemetry", deep);
    fake_publish(&f, "result", deep);
    /* Another device's command is none of its business, and another's topic is closed to it. */
    fake_publish(&f, "result", "{\"id\":\"other\",\"state\":\"failed\"}");
    snprintf(text, sizeof text, "{\"id\":\"other\",\"state\":\"done\"}");
    (void)rdg_mqtt_publish(f.mqtt, "devices/dev-2/result", rdg_bytes_str(text), false, NULL);
    /* They are taken in turn: when this one is, those before it have been. */
    fake_publish(&f, "result", "{\"id\":\"mine\",\"state\":\"done\"}");
    kit_wait_state(&k, "mine", "done");
    fake_publish(&f, "status", "{\"online\":true}");
    kit_wait_online(&k, "dev-1", true);
    CHECK_EQ(kit_call(&k, "POST", "/devices/dev-1/requests", "{\"method\":\"agent.info\"}", NULL), 200);
    CHECK_EQ(kit_call(&k, "GET", "/devices", NULL, &a), 200);
    CHECK_EQ(json_array_size(json_object_get(a, "devices")), 2);
    json_decref(a);
    CHECK_EQ(kit_call(&k, "GET", "/commands/other", NULL, &a), 200);
    CHECK(strcmp(kit_text(a, "state"), "queued") == 0 || strcmp(kit_text(a, "state"), "sent") == 0);
    json_decref(a);
    fake_fini(&f);
    fake_fini(&other);
    kit_close(&k);
}
