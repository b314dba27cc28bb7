#include "ridge/codec/telemetry.h"
#include <stdio.h>
#include <string.h>
#include "ridge/test.h"

static rdg_telemetry_t sent, got;

static void fill(rdg_telemetry_t *t) {
    rdg_telemetry_init(t);
    t->seq = 7;
    t->time_ms = 1700000000123;
    t->interval_ms = 5000;
    snprintf(t->agent_version, sizeof t->agent_version, "0.1.0");
    t->host[RDG_HOST_CPU_PERMILLE] = 0; /* there, and nothing: not the same as absent */
    t->host[RDG_HOST_MEMORY_TOTAL_KIB] = 524288;
    t->host[RDG_HOST_TEMPERATURE_DK] = 3232;
    t->chain_count = 1;
    snprintf(t->chains[0].name, sizeof t->chains[0].name, "c1");
    snprintf(t->chains[0].driver, sizeof t->chains[0].driver, "oci");
    snprintf(t->chains[0].damaged, sizeof t->chains[0].damaged, "block 3 fails its checksum");
    t->chains[0].state = RDG_CHAIN_RUNNING;
    t->chains[0].rpc_port = 8545;
    t->chains[0].has_hash = true;
    memset(t->chains[0].hash, 0xab, 32);
    t->chains[0].numbers[RDG_CHAIN_HEIGHT] = 99;
    t->chains[0].numbers[RDG_CHAIN_POOL] = 0;
    t->certificate_count = 1;
    t->certificates[0].not_after_ms = 1800000000000;
    t->certificates[0].alarm = true;
    t->queue_count = 1;
    snprintf(t->queues[0].name, sizeof t->queues[0].name, "intake");
    t->queues[0].numbers[RDG_QUEUE_BUDGET_BYTES] = 1 << 20;
}

static void encode(rdg_buf_t *out) {
    fill(&sent);
    rdg_buf_init(out, RDG_TELEMETRY_MESSAGE_MAX);
    CHECK_OK(rdg_telemetry_encode(&sent, out));
}

TEST(telemetry_comes_back_as_it_was_told) {
    rdg_buf_t record, second;
    encode(&record);
    CHECK(record.len < 200);
    CHECK_OK(rdg_telemetry_decode(rdg_buf_view(&record), &got));
    CHECK_EQ(got.host[RDG_HOST_CPU_PERMILLE], 0);
    CHECK_EQ(got.host[RDG_HOST_UPTIME_S], RDG_TELEMETRY_ABSENT);
    CHECK_EQ(got.host[RDG_HOST_CONTAINERS], RDG_TELEMETRY_ABSENT);
    CHECK_EQ(got.chains[0].numbers[RDG_CHAIN_POOL], 0);
    CHECK_EQ(got.chains[0].numbers[RDG_CHAIN_VIEW], RDG_TELEMETRY_ABSENT);
    CHECK_STR(got.chains[0].damaged, "block 3 fails its checksum");
    CHECK(got.certificates[0].alarm && got.certificates[0].chain[0] == '\0');
    rdg_buf_init(&second, RDG_TELEMETRY_MESSAGE_MAX);
    CHECK_OK(rdg_telemetry_encode(&got, &second));
    CHECK(rdg_bytes_equal(rdg_buf_view(&record), rdg_buf_view(&second)));
    json_t *o = rdg_telemetry_json(&got);
    CHECK(o != NULL);
    const json_t *host = json_object_get(o, "host"), *chain = json_array_get(json_object_get(o, "chains"), 0);
    CHECK(json_real_value(json_object_get(host, "temperature_c")) == 50.0);
    CHECK(json_object_get(host, "uptime_s") == NULL);
    CHECK_STR(json_string_value(json_object_get(chain, "state")), "running");
    CHECK_STR(json_string_value(json_object_get(chain, "rpc_url")), "http://127.0.0.1:8545");
    json_decref(o);
    rdg_buf_fini(&record);
    rdg_buf_fini(&second);
}

TEST(telemetry_messages_carry_records_and_acks_name_them) {
    rdg_buf_t record, message, ack;
    rdg_telemetry_message_t m = {.sent_ms = 5, .live = true, .count = 2}, n;
    rdg_telemetry_ack_t a = {.hold_ms = 250, .count = 1, .names = {{7, 1700000000123}}}, b;
    encode(&record);
    m.records[0] = m.records[1] = rdg_buf_view(&record);
    rdg_buf_init(&message, RDG_TELEMETRY_MESSAGE_MAX);
    CHECK_OK(rdg_telemetry_message_encode(&m, &message));
    CHECK(rdg_telemetry_is_message(rdg_buf_view(&message)));
    CHECK(!rdg_telemetry_is_message(rdg_bytes_str("{\"time_ms\":1}")));
    CHECK_OK(rdg_telemetry_message_decode(rdg_buf_view(&message), &n));
    CHECK(n.count == 2 && n.live && n.sent_ms == 5);
    CHECK(rdg_bytes_equal(n.records[1], rdg_buf_view(&record)));
    rdg_buf_init(&ack, RDG_TELEMETRY_MESSAGE_MAX);
    CHECK_OK(rdg_telemetry_ack_encode(&a, &ack));
    CHECK_OK(rdg_telemetry_ack_decode(rdg_buf_view(&ack), &b));
    CHECK(b.count == 1 && b.hold_ms == 250 && b.names[0].seq == 7 && b.names[0].time_ms == 1700000000123);
    message.data[message.data[0] >= 0xf8 ? message.data[0] - 0xf7 + 1 : 1] =
        2; /* the version, behind the list's head */
    CHECK_EQ(rdg_telemetry_message_decode(rdg_buf_view(&message), &n), RDG_E_UNSUPPORTED);
    rdg_buf_fini(&record);
    rdg_buf_fini(&message);
    rdg_buf_fini(&ack);
}

/* An item more at the end of a record is a newer agent's. */
TEST(telemetry_of_a_newer_agent_is_understood) {
    rdg_buf_t record, longer;
    encode(&record);
    rdg_rlp_t top, inner;
    rdg_rlp_init(&top, rdg_buf_view(&record));
    CHECK_OK(rdg_rlp_list(&top, &inner));
    rdg_buf_init(&longer, RDG_TELEMETRY_MESSAGE_MAX);
    size_t list = rdg_rlp_list_begin(&longer);
    rdg_rlp_put_raw(&longer, rdg_bytes(inner.pos, (size_t)(inner.end - inner.pos)));
    rdg_rlp_put_str(&longer, "what nobody knows yet");
    CHECK_OK(rdg_rlp_list_end(&longer, list));
    CHECK_OK(rdg_telemetry_decode(rdg_buf_view(&longer), &got));
    CHECK_EQ(got.seq, 7);
    rdg_buf_fini(&record);
    rdg_buf_fini(&longer);
}

TEST(telemetry_that_is_cut_or_flipped_is_refused_or_bounded) {
    rdg_buf_t record;
    encode(&record);
    for (size_t n = 0; n < record.len; ++n)
        CHECK(rdg_telemetry_decode(rdg_bytes(record.data, n), &got) != RDG_OK);
    for (size_t i = 0; i < record.len * 8; ++i) {
        record.data[i / 8] ^= (uint8_t)(1u << (i % 8));
        if (rdg_telemetry_decode(rdg_buf_view(&record), &got) == RDG_OK)
            CHECK(got.chain_count <= RDG_TELEMETRY_CHAINS_MAX && strlen(got.agent_version) <= 32);
        record.data[i / 8] ^= (uint8_t)(1u << (i % 8));
    }
    rdg_buf_fini(&record);
}

TEST(telemetry_with_a_name_that_is_none_is_refused) {
    static const char *const names[] = {"", "../x", "A", "a b", "a\nb"};
    rdg_buf_t record;
    rdg_buf_init(&record, RDG_TELEMETRY_MESSAGE_MAX);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        fill(&sent);
        snprintf(sent.chains[0].name, sizeof sent.chains[0].name, "%s", names[i]);
        rdg_buf_clear(&record);
        CHECK_OK(rdg_telemetry_encode(&sent, &record));
        CHECK_EQ(rdg_telemetry_decode(rdg_buf_view(&record), &got), RDG_E_MALFORMED);
    }
    rdg_buf_fini(&record);
}

/* The largest that an agent can have to tell still fits. */
TEST(telemetry_of_a_full_device_fits) {
    rdg_buf_t record;
    fill(&sent);
    sent.chain_count = RDG_TELEMETRY_CHAINS_MAX;
    sent.certificate_count = RDG_TELEMETRY_CERTIFICATES_MAX;
    for (size_t i = 0; i < RDG_TELEMETRY_CHAINS_MAX; ++i) {
        sent.chains[i] = sent.chains[0];
        memset(sent.chains[i].name, 'n', 64);
        memset(sent.chains[i].damaged, 'd', RDG_TELEMETRY_DAMAGED_MAX);
        for (size_t n = 0; n < RDG_CHAIN_COUNT; ++n) sent.chains[i].numbers[n] = INT64_MAX - 2;
        memset(sent.certificates[i].chain, 'n', 64);
        sent.certificates[i].not_after_ms = INT64_MAX - 1;
    }
    rdg_buf_init(&record, RDG_TELEMETRY_MESSAGE_MAX);
    CHECK_OK(rdg_telemetry_encode(&sent, &record));
    CHECK_OK(rdg_telemetry_decode(rdg_buf_view(&record), &got));
    CHECK_EQ(got.chain_count, RDG_TELEMETRY_CHAINS_MAX);
    rdg_buf_fini(&record);
}
