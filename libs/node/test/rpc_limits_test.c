/* What JSON-RPC gives one request at most: time, blocks, bytes. Each refusal says what the limit is, and the node
 * goes on. */
#include "ridge/base/clock.h"
#include "ridge/node/rpc.h"
#include "ridge/test.h"
#include "rpc_live.h"
#include <stdio.h>

#define ENDLESS "0x5b600056" /* JUMPDEST PUSH1 0 JUMP */

/* With a limit of a millisecond: 30 million gas last longer than that in a loop. */
TEST(calls_estimates_and_traces_that_do_not_end_are_ended_by_the_clock) {
    live_t w;
    live_init_hurried(&w, 1);
    static const char call[] = "[{\"data\":\"" ENDLESS "\"},\"latest\"]";
    live_refused(&w, "eth_call", live_json(call), "TIMEOUT", "longer than the limit of 1 ms");
    live_refused(&w, "eth_estimateGas", live_json(call), "TIMEOUT", "longer than");
    live_refused(&w, "debug_traceCall",
                 live_json("[{\"data\":\"" ENDLESS "\"},\"latest\",{\"tracer\":\"callTracer\"}]"), "TIMEOUT",
                 "longer than the limit of 2 ms");
    /* A transaction is ended by its gas and not by a clock, and can then not be traced in this time. */
    rdg_hash_t id;
    rdg_tx_t *tx = cluster_sign(
        &w.c, (rdg_tx_fields_t){.data = rdg_bytes("\x5b\x60\x00\x56", 4), .gas_limit = 30000000});
    char code[32];
    cluster_send(&w.c, 0, tx->raw, code);
    CHECK_STR(code, "");
    json_t *receipt = cluster_receipt(&w.c, 0, &tx->id);
    CHECK_STR(live_text(receipt, "status"), "0x0");
    json_decref(receipt);
    id = tx->id;
    rdg_tx_unref(tx);
    live_refused(&w, "debug_traceTransaction",
                 json_pack("[o, {s:s}]", rdg_json_hex(id.b, sizeof id.b), "tracer", "callTracer"), "TIMEOUT",
                 "longer than the limit of 2 ms");
    live_emit(&w, NULL);
    live_fini(&w);
}

/* Many at once: each is ended, others are answered meanwhile and afterwards. */
TEST(a_batch_of_calls_that_do_not_end_is_answered_one_by_one) {
    live_t w;
    live_init_hurried(&w, 1);
    rdg_buf_t body, out;
    json_t *answers = NULL, *one;
    size_t i;
    rdg_buf_init(&body, 1u << 20);
    rdg_buf_init(&out, 1u << 20);
    for (i = 0; i < 100; ++i)
        rdg_buf_printf(&body,
                       "%c{\"id\":%zu,\"method\":\"eth_call\",\"params\":[{\"data\":\"" ENDLESS "\"}]}",
                       i == 0 ? '[' : ',', i);
    rdg_buf_str(&body, "]");
    CHECK_EQ(cluster_post(&w.c, 0, rdg_buf_cstr(&body), &out), 200);
    CHECK_OK(rdg_json_parse(rdg_buf_view(&out), &answers));
    CHECK_EQ(json_array_size(answers), 100);
    json_array_foreach(answers, i, one) {
        const json_t *error = json_object_get(one, "error");
        CHECK_EQ(json_integer_value(json_object_get(one, "id")), (json_int_t)i);
        CHECK_STR(live_text(json_object_get(error, "data"), "code"), "TIMEOUT");
    }
    json_decref(answers);
    rdg_buf_fini(&body);
    rdg_buf_fini(&out);
    live_emit(&w, NULL);
    live_fini(&w);
}

/* Init code that emits 2,000 logs, of which reading takes longer than a millisecond. */
static const uint8_t many_logs[] = {0x61, 0x07, 0xd0, 0x5b, 0x5f, 0x5f, 0xa0, 0x60,
                                    1,    0x90, 0x03, 0x80, 0x60, 0x03, 0x57, 0x00};

TEST(a_search_of_logs_is_ended_by_the_clock_and_says_where_to_go_on) {
    live_t w;
    live_init_hurried(&w, 1);
    for (int i = 0; i < 8; ++i) {
        char code[32];
        rdg_tx_t *tx = cluster_sign(
            &w.c, (rdg_tx_fields_t){.data = rdg_bytes(many_logs, sizeof many_logs), .gas_limit = 5000000});
        cluster_send(&w.c, 0, tx->raw, code);
        CHECK_STR(code, "");
        json_t *receipt = cluster_receipt(&w.c, 0, &tx->id);
        CHECK_STR(live_text(receipt, "status"), "0x1");
        json_decref(receipt);
        rdg_tx_unref(tx);
    }
    live_refused(&w, "eth_getLogs", live_json("[{\"fromBlock\":\"0x0\",\"toBlock\":\"latest\"}]"), "TIMEOUT",
                 "longer than 1 ms");
    /* In pages it comes to its end; who had no block within the time asks again, and where a machine never has one in so
     * short a time, the node is given more of it. */
    json_t *filter = live_json("{\"fromBlock\":\"0x0\"}"), *next = NULL;
    size_t found = 0;
    unsigned in_vain = 0;
    uint64_t until = rdg_mono_ms(rdg_clock_system()) + 90000;
    while (!json_is_null(next)) {
        char code[32];
        CHECK(rdg_mono_ms(rdg_clock_system()) < until);
        json_t *page = cluster_rpc(&w.c, 0, "ridge_getLogs", json_pack("[O]", filter), code);
        if (!page) CHECK_STR(code, "TIMEOUT");
        if (!page && ++in_vain == 50) {
            in_vain = 0;
            w.c.rpc_call_ms *= 4;
            CHECK_EQ(cluster_stop(&w.c, 0), 0);
            cluster_start(&w.c, 0);
            cluster_wait_rpc(&w.c, 0);
        }
        if (!page) continue;
        found += json_array_size(json_object_get(page, "logs"));
        json_decref(next);
        next = json_incref(json_object_get(page, "next"));
        if (!json_is_null(next)) CHECK(json_object_update(filter, next) == 0);
        json_decref(page);
    }
    CHECK_EQ(found, 16000);
    json_decref(filter);
    live_fini(&w);
}

/* The limit itself is taken, a block more is refused with the range that is taken; what is counted are blocks that exist. */
TEST(a_range_of_blocks_is_searched_to_its_limit_and_not_a_block_beyond) {
    enum { MOST = 4 };
    live_t w;
    CHECK_EQ(RDG_RPC_LOG_BLOCKS, 1000000); /* as docs/developer.md says */
    live_init_narrow(&w, MOST);
    uint64_t first = cluster_height(&w.c, 0) + 1;
    char text[200], remedy[80];
    for (int i = 0; i < MOST + 2; ++i) live_emit(&w, NULL); /* each a block of its own */
    CHECK_EQ(cluster_height(&w.c, 0), first + MOST + 1);
#define RANGE(from, to)                                                                                      \
    (snprintf(text, sizeof text, "[{\"fromBlock\":\"0x%llx\",\"toBlock\":\"0x%llx\"}]",                      \
              (unsigned long long)(from), (unsigned long long)(to)),                                         \
     live_json(text))
    json_t *logs = live_rpc(&w, "eth_getLogs", RANGE(first, first + MOST - 1));
    CHECK_EQ(json_array_size(logs), MOST);
    json_decref(logs);
    snprintf(remedy, sizeof remedy, "more than %d: ask for blocks %llu to %llu first", MOST,
             (unsigned long long)first, (unsigned long long)(first + MOST - 1));
    live_refused(&w, "eth_getLogs", RANGE(first, first + MOST), "TOO_LARGE", remedy);
    live_refused(&w, "eth_getLogs", RANGE(first, UINT64_MAX), "TOO_LARGE", remedy);
    /* Beyond the head there is nothing to be searched. */
    logs = live_rpc(&w, "eth_getLogs", RANGE(first + 2, UINT64_MAX));
    CHECK_EQ(json_array_size(logs), MOST);
    json_decref(logs);
    /* Pages of ridge_getLogs end at the limit and go on behind it. */
    json_t *page = live_rpc(&w, "ridge_getLogs", RANGE(first, UINT64_MAX));
    CHECK_EQ(json_array_size(json_object_get(page, "logs")), MOST);
    snprintf(text, sizeof text, "0x%llx", (unsigned long long)(first + MOST));
    CHECK_STR(live_text(json_object_get(page, "next"), "fromBlock"), text);
    json_decref(page);
    live_fini(&w);
}

TEST(ranges_and_alternatives_beyond_their_limits_are_refused_with_the_limit) {
    live_t w;
    live_init(&w);
    char text[8192] = "[{\"address\":[";
    size_t len = strlen(text);
    for (int i = 0; i < 65; ++i)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s\"0x%040x\"", i ? "," : "", i);
    snprintf(text + len, sizeof text - len, "]}]");
    live_refused(&w, "eth_getLogs", live_json(text), "TOO_LARGE", "64");
    live_refused(&w, "eth_newFilter", live_json(text), "TOO_LARGE", "64");
    live_refused(&w, "eth_call",
                 live_json("[{\"to\":\"0x2222222222222222222222222222222222222222\"},\"0xffffff\"]"),
                 "NOT_FOUND", "is not here yet");
    live_fini(&w);
}
