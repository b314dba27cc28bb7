#include <stdio.h>
#include "support.h"

static void format(rdg_genesis_t *g, rdg_buf_t *out) {
    rdg_buf_init(out, RDG_GENESIS_BYTES_MAX);
    CHECK_OK(rdg_genesis_format(g, out));
}

TEST(genesis_round_trip_keeps_the_hash) {
    rdg_genesis_t g, back;
    rdg_buf_t text;
    support_genesis(&g);
    g.admin_count = 1;
    g.admins[0] = support_address(3);
    g.alloc_count = 2;
    memset(g.alloc[1].balance.b, 0xff, 32);
    format(&g, &text);
    CHECK_OK(rdg_genesis_parse(rdg_buf_view(&text), &back));
    CHECK(rdg_hash_equal(&g.hash, &back.hash));
    CHECK_STR(back.name, "feeder-7");
    CHECK_STR(back.validator_names[3], "dev-4");
    CHECK_EQ(back.validators.count, 4);
    CHECK_EQ(back.alloc_count, 2);
    CHECK_MEM(back.alloc[0].balance.b, g.alloc[0].balance.b, 32);
    CHECK_MEM(back.alloc[1].balance.b, g.alloc[1].balance.b, 32);
    CHECK_EQ(back.params.tx_gas_limit, 30000000);
    rdg_buf_fini(&text);
}

/* White space, key order and left-out defaults do not change what chain it is. */
TEST(genesis_hash_is_of_the_values) {
    char key[129], text[1024];
    rdg_sm2_public_t pub;
    rdg_genesis_t a, b, c;
    rdg_sm2_key_public(support_key(1), &pub);
    for (int i = 0; i < 64; ++i) snprintf(key + 2 * i, 3, "%02X", pub.b[i]);
    int n = snprintf(text, sizeof text,
                     "{\"version\":1,\"name\":\"x\",\"chain_id\":7,\"time_ms\":5,\"consensus\":\"pbft\","
                     "\"validators\":[{\"name\":\"d\",\"key\":\"%s\"}]}",
                     key);
    CHECK_OK(rdg_genesis_parse(rdg_bytes(text, (size_t)n), &a));
    n = snprintf(text, sizeof text,
                 " { \"validators\" : [ {\"key\":\"0x%s\", \"name\":\"d\"} ],\n \"consensus\":\"pbft\","
                 "\"params\":{\"block_interval_ms\":100}, \"admins\":[], \"time_ms\":5, \"chain_id\":7,"
                 "\"name\":\"x\", \"version\":1 } ",
                 key);
    CHECK_OK(rdg_genesis_parse(rdg_bytes(text, (size_t)n), &b));
    CHECK(rdg_hash_equal(&a.hash, &b.hash));
    n = snprintf(text, sizeof text,
                 "{\"version\":1,\"name\":\"x\",\"chain_id\":8,\"time_ms\":5,\"consensus\":\"pbft\","
                 "\"validators\":[{\"name\":\"d\",\"key\":\"%s\"}]}",
                 key);
    CHECK_OK(rdg_genesis_parse(rdg_bytes(text, (size_t)n), &c));
    CHECK(!rdg_hash_equal(&a.hash, &c.hash));
}

static void refused(const char *from, const char *to, rdg_err_t want, const char *names) {
    rdg_genesis_t g, out;
    rdg_buf_t text;
    support_genesis(&g);
    format(&g, &text);
    const char *src = rdg_buf_cstr(&text), *at = strstr(src, from);
    CHECK(at);
    char changed[8192];
    snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - src), src, to, at + strlen(from));
    CHECK_ERR(rdg_genesis_parse(rdg_bytes_str(changed), &out), want);
    if (!strstr(rdg_err_message(want), names))
        rdg_test_fail(__FILE__, __LINE__, "'%s' does not name '%s'", rdg_err_message(want), names);
    rdg_buf_fini(&text);
}

TEST(genesis_refuses_and_names_the_field) {
    refused("\"pbft\"", "\"tendermint\"", RDG_E_INVALID, "consensus");
    refused("\"name\": \"feeder-7\"", "\"name\": \"Feeder 7\"", RDG_E_INVALID, "Feeder 7");
    refused("\"chain_id\": 7312", "\"chain_id\": 0", RDG_E_INVALID, "chain_id");
    refused("\"chain_id\": 7312", "\"chain_id\": 9007199254740992", RDG_E_INVALID, "chain_id");
    refused("\"chain_id\": 7312", "\"chain_id\": \"x\"", RDG_E_INVALID, "chain_id");
    refused("\"dev-2\"", "\"dev-1\"", RDG_E_INVALID, "dev-1");
    refused("\"block_tx_max\"", "\"block_tx_mx\"", RDG_E_INVALID, "block_tx_mx");
    refused("\"time_ms\"", "\"colour\": 1, \"time_ms\"", RDG_E_INVALID, "colour");
    refused("\"cancun\"", "\"berlin\"", RDG_E_INVALID, "evm_revision");
    refused("\"1000000000000000000\"", "\"12x\"", RDG_E_INVALID, "alloc");
    refused("\"version\": 1", "\"version\": 2", RDG_E_UNSUPPORTED, "version");
    refused("\"tx_gas_limit\": 30000000", "\"tx_gas_limit\": 3", RDG_E_INVALID, "tx_gas_limit");
    refused("{", "{{", RDG_E_MALFORMED, "genesis");
}

TEST(genesis_refuses_a_key_off_the_curve_and_a_key_twice) {
    rdg_genesis_t g, out;
    rdg_buf_t text;
    support_genesis(&g);
    g.validators.keys[1].b[0] ^= 1;
    format(&g, &text);
    CHECK(rdg_genesis_parse(rdg_buf_view(&text), &out) != RDG_OK);
    rdg_buf_fini(&text);
    support_genesis(&g);
    g.validators.keys[1] = g.validators.keys[0];
    format(&g, &text);
    CHECK_ERR(rdg_genesis_parse(rdg_buf_view(&text), &out), RDG_E_INVALID);
    rdg_buf_fini(&text);
}
