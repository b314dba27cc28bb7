/* eth_subscribe over WebSocket connections: what subscribers are told, and who does not listen. */
#include "ridge/base/clock.h"
#include "ridge/test.h"
#include "rpc_live.h"
#include "ws_client.h"
#include <stdio.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif

static const json_t *told(const json_t *message, const char *id) {
    const json_t *params = json_object_get(message, "params");
    CHECK_STR(live_text(message, "method"), "eth_subscription");
    return strcmp(live_text(params, "subscription"), id) == 0 ? json_object_get(params, "result") : NULL;
}

TEST(subscriptions_are_told_of_heads_and_logs_in_order) {
    live_t w;
    ws_t s;
    live_init(&w);
    ws_open(&s, w.c.rpc_ports[0]);
    ws_send(&s, "{\"id\":1,\"method\":\"eth_subscribe\",\"params\":[\"logs\",{\"topics\":[\"0x7\"]}]}");
    json_t *logs = ws_next(&s);
    ws_send(&s, "{\"id\":2,\"method\":\"eth_subscribe\",\"params\":[\"newHeads\"]}");
    json_t *heads = ws_next(&s);
    const char *logs_id = live_text(logs, "result"), *heads_id = live_text(heads, "result");
    uint64_t last = 0, height, seen_logs = 0;
    json_t *message = ws_next(&s); /* the head as it is */
    CHECK(told(message, heads_id));
    CHECK_OK(rdg_json_quantity_parse(json_object_get(told(message, heads_id), "number"), &last));
    json_decref(message);
    live_emit(&w, NULL);
    live_emit(&w, NULL);
    while (seen_logs < 2) {
        message = ws_next(&s);
        const json_t *log = told(message, logs_id), *head = told(message, heads_id);
        CHECK(log || head);
        if (head) {
            CHECK_OK(rdg_json_quantity_parse(json_object_get(head, "number"), &height));
            CHECK(height == last + 1 || height == last); /* the newest one may be repeated */
            last = height;
        } else {
            CHECK_STR(live_text(log, "address"), w.address);
            ++seen_logs;
        }
        json_decref(message);
    }
    /* A batch works as over HTTP; after its end a subscription says nothing more. */
    char text[256];
    snprintf(text, sizeof text,
             "[{\"id\":3,\"method\":\"eth_unsubscribe\",\"params\":[\"%s\"]},{\"id\":4,\"method\":\"eth_"
             "chainId\"}]",
             heads_id);
    ws_send(&s, text);
    for (message = ws_next(&s); !json_is_array(message); message = ws_next(&s)) json_decref(message);
    CHECK(json_is_true(json_object_get(json_array_get(message, 0), "result")));
    CHECK_STR(live_text(json_array_get(message, 1), "result"), "0x1267");
    json_decref(message);
    live_emit(&w, NULL);
    message = ws_next(&s);
    CHECK(told(message, logs_id));
    json_decref(message);
    json_decref(logs);
    json_decref(heads);
    ws_close(&s);
    live_fini(&w);
}

TEST(a_subscription_tells_of_each_pending_transaction_once_and_in_order) {
    live_t w;
    ws_t s;
    rdg_hash_t ids[20];
    live_init(&w);
    ws_open(&s, w.c.rpc_ports[0]);
    ws_send(&s, "{\"id\":1,\"method\":\"eth_subscribe\",\"params\":[\"newPendingTransactions\",true]}");
    json_t *answer = ws_next(&s);
    CHECK(strstr(live_text(json_object_get(answer, "error"), "message"), "eth_getTransactionByHash"));
    json_decref(answer);
    ws_send(&s, "{\"id\":1,\"method\":\"eth_subscribe\",\"params\":[\"newPendingTransactions\"]}");
    answer = ws_next(&s);
    for (size_t i = 0; i < 20; ++i) {
        char code[32];
        rdg_tx_t *tx = cluster_tx(&w.c);
        ids[i] = tx->id;
        cluster_send(&w.c, 0, tx->raw, code);
        CHECK_STR(code, "");
        rdg_tx_unref(tx);
    }
    for (size_t i = 0; i < 20; ++i) {
        json_t *message = ws_next(&s), *id = rdg_json_hex(ids[i].b, sizeof ids[i].b);
        CHECK(json_equal(told(message, live_text(answer, "result")), id));
        json_t *tx = live_rpc(&w, "eth_getTransactionByHash",
                              json_pack("[O]", id)); /* waiting, or in a block by now */
        CHECK(json_is_object(tx));
        json_decref(tx);
        json_decref(id);
        json_decref(message);
    }
    json_decref(answer);
    ws_close(&s);
    live_fini(&w);
}

#define NOBODYS "{\"topics\":[\"0x9\"]}"
enum { CONNECTIONS = 16, A_CONNECTION = 16 }; /* all that a node serves */

/* One batch that asks for so many; how many it got. why: of the last that it did not get. */
static size_t subscribe_many(ws_t *s, const char *filter, size_t count, char why[200]) {
    char text[4096] = "[";
    size_t len = 1, got = 0, i;
    json_t *answers, *one;
    for (i = 0; i < count; ++i)
        len += (size_t)snprintf(text + len, sizeof text - len,
                                "%s{\"id\":1,\"method\":\"eth_subscribe\",\"params\":[\"logs\",%s]}",
                                i > 0 ? "," : "", filter);
    snprintf(text + len, sizeof text - len, "]");
    ws_send(s, text);
    answers = ws_next(s);
    CHECK_EQ(json_array_size(answers), count);
    json_array_foreach(answers, i, one) {
        got += json_is_string(json_object_get(one, "result"));
        snprintf(why, 200, "%s", live_text(json_object_get(one, "error"), "message"));
    }
    json_decref(answers);
    return got;
}

TEST(subscriptions_are_limited_a_connection_and_a_node_and_end_with_their_connection) {
    live_t w;
    ws_t s[CONNECTIONS], more;
    char why[200];
    live_init(&w);
    ws_open(&more, w.c.rpc_ports[0]);
    for (size_t i = 0; i < CONNECTIONS; ++i) {
        ws_open(&s[i], w.c.rpc_ports[0]);
        CHECK_EQ(subscribe_many(&s[i], NOBODYS, A_CONNECTION + 1, why), A_CONNECTION);
        CHECK(strstr(why, "at most 16 subscriptions"));
    }
    CHECK_EQ(subscribe_many(&more, NOBODYS, 1, why), 0);
    CHECK(strstr(why, "at most 256 subscriptions"));
    for (size_t i = 0; i < CONNECTIONS; ++i) ws_close(&s[i]);
    /* The node hears of it a moment later. */
    uint64_t until = rdg_mono_ms(rdg_clock_system()) + 30000;
    for (size_t got = 0; got < A_CONNECTION; got += subscribe_many(&more, NOBODYS, A_CONNECTION - got, why))
        CHECK(rdg_mono_ms(rdg_clock_system()) < until);
    ws_close(&more);
    live_emit(&w, NULL);
    live_fini(&w);
}

TEST(subscriptions_to_nothing_and_half_requests_are_refused) {
    live_t w;
    ws_t s;
    live_init(&w);
    ws_open(&s, w.c.rpc_ports[0]);
    ws_send(&s, "{\"id\":1,\"method\":\"eth_subscribe\",\"params\":[\"syncing\"]}");
    json_t *answer = ws_next(&s);
    CHECK(strstr(live_text(json_object_get(answer, "error"), "message"),
                 "want \"newHeads\", \"logs\" or \"newPending"));
    json_decref(answer);
    ws_send(&s, "{\"id\":1,\"method\":");
    answer = ws_next(&s);
    CHECK_EQ(json_integer_value(json_object_get(json_object_get(answer, "error"), "code")), -32700);
    json_decref(answer);
    ws_close(&s);
    live_emit(&w, NULL);
    live_fini(&w);
}

/* Init code that emits 30 logs of 16 KiB: some 33 KiB of JSON each, to each subscription. */
static const uint8_t flood_code[] = {0x60, 30,   0x5b, 0x61, 0x40, 0,    0x5f, 0xa0, 0x60,
                                     1,    0x90, 0x03, 0x80, 0x60, 0x02, 0x57, 0x00};
enum { FLOODS = 2, LOGS = 30 };

static void flood(live_t *w) {
    char code[32];
    rdg_tx_t *tx = cluster_sign(
        &w->c, (rdg_tx_fields_t){.data = rdg_bytes(flood_code, sizeof flood_code), .gas_limit = 10000000});
    cluster_send(&w->c, 0, tx->raw, code);
    CHECK_STR(code, "");
    json_t *receipt = cluster_receipt(&w->c, 0, &tx->id);
    CHECK_STR(live_text(receipt, "status"), "0x1");
    json_decref(receipt);
    rdg_tx_unref(tx);
}

static json_int_t resident_kib(live_t *w) {
    json_t *status = live_rpc(w, "ridge_status", json_array());
    json_int_t kib = json_integer_value(json_object_get(status, "rss_kib"));
    json_decref(status);
    return kib;
}

/* 32 MiB for who reads nothing, of which the node keeps 8, and the system's buffers a few. Who reads gets all. */
TEST(who_does_not_read_is_dropped_by_name_in_bounded_memory_and_who_reads_misses_nothing) {
    live_t w;
    ws_t slow, reader;
    char why[200];
    live_init(&w);
    ws_open(&slow, w.c.rpc_ports[0]);
    ws_open(&reader, w.c.rpc_ports[0]);
    ws_send(&reader, "{\"id\":1,\"method\":\"eth_subscribe\",\"params\":[\"logs\",{}]}");
    json_t *id = ws_next(&reader);
    CHECK_EQ(subscribe_many(&slow, "{}", A_CONNECTION, why), A_CONNECTION);
    flood(&w); /* what the node keeps of any such block, it has now */
    json_int_t before = resident_kib(&w);
    for (int i = 1; i < FLOODS; ++i) flood(&w);
    cluster_wait_log(&w.c, 0, "too slow: more waits to be read than this server keeps");
#ifndef SANITIZED
    json_int_t grown = resident_kib(&w) - before;
    if (grown > 48 * 1024) rdg_test_fail(__FILE__, __LINE__, "%lld KiB more", (long long)grown);
#else
    (void)before;
#endif
    ws_expect_close(&slow, 1008, "too slow");
    ws_close(&slow);
    uint64_t next = 0, index;
    for (int i = 0; i < FLOODS * LOGS; ++i, next = (next + 1) % LOGS) {
        json_t *message = ws_next(&reader);
        const json_t *log = told(message, live_text(id, "result"));
        CHECK_OK(rdg_json_quantity_parse(json_object_get(log, "logIndex"), &index));
        CHECK_EQ(index, next);
        json_decref(message);
    }
    /* Its subscriptions are free, and the node goes on. */
    ws_open(&slow, w.c.rpc_ports[0]);
    CHECK_EQ(subscribe_many(&slow, "{}", A_CONNECTION, why), A_CONNECTION);
    live_emit(&w, NULL);
    json_decref(ws_next(&slow));
    json_decref(ws_next(&reader));
    json_decref(id);
    ws_close(&slow);
    ws_close(&reader);
    live_fini(&w);
}
