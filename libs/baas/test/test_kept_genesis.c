/* What is kept for archives when their chain is gone. */
#include "kit.h"
#include <stdio.h>

static void start(kit_t *k) {
    kit_open(k);
    kit_create(k, 4);
    json_decref(kit_wait_chain(k, "c", "running"));
}

static json_t *genesis(kit_t *k, const char *query) {
    char path[64];
    json_t *answer;
    snprintf(path, sizeof path, "/chains/c/genesis%s", query);
    CHECK_EQ(kit_call(k, "GET", path, NULL, &answer), 200);
    return answer;
}

static void add_gone(rdg_baas_t *b, unsigned count) {
    CHECK_OK(rdg_sql_begin(b->db));
    for (unsigned i = 0; i < count; ++i)
        CHECK_OK(rdg_sql_exec(
            b->db,
            "INSERT INTO chains (name, state, consensus, driver, chain_id, params, memory_bytes, pids,"
            " created_ms) SELECT 'other', 'cancelled', consensus, driver, ?, params, memory_bytes, pids,"
            " created_ms FROM chains WHERE name = 'c'",
            RDG_SQL_PARAMS(rdg_sql_int(100000 + i)), NULL));
    CHECK_OK(rdg_sql_commit(b->db));
}

TEST(genesis_of_a_chain_is_there_as_long_as_its_archives) {
    kit_t k;
    char query[48];
    json_t *answer;
    start(&k);
    json_t *first = genesis(&k, "");
    CHECK(json_equal(first, json_object_get(k.p.commands[4].params, "genesis")));
    snprintf(query, sizeof query, "?chain_id=%llu",
             (unsigned long long)json_integer_value(json_object_get(first, "chain_id")));
    CHECK_OK(rdg_sql_exec(
        k.baas->db,
        "INSERT INTO archives (chain, name, chain_id, genesis, device, given, attempt, state, command,"
        " wanted_from, wanted_to, first, last, created_ms, updated_ms) SELECT number, name, chain_id, x'00',"
        " 'dev-1', 0, 1, 'archived', 'x', 0, 0, 1, 4, 1, 1 FROM chains WHERE name = 'c'",
        NULL, 0, NULL));
    CHECK_EQ(kit_call(&k, "DELETE", "/chains/c?discard=c", NULL, NULL), 202);
    json_decref(kit_wait_chain(&k, "c", "destroyed"));
    /* A thousand others went after it. */
    add_gone(k.baas, 1001);
    CHECK_OK(baas_store_prune(k.baas));
    answer = genesis(&k, "");
    CHECK(json_equal(first, answer));
    json_decref(answer);
    CHECK_EQ(kit_call(&k, "GET", "/chains/other/genesis?chain_id=100000", NULL, NULL), 404);
    CHECK_EQ(kit_call(&k, "GET", "/chains/other/genesis", NULL, NULL), 409);
    /* Another of that name has its own. */
    kit_create(&k, 4);
    json_decref(kit_wait_chain(&k, "c", "running"));
    answer = genesis(&k, "");
    CHECK(!json_equal(first, answer));
    json_decref(answer);
    answer = genesis(&k, query);
    CHECK(json_equal(first, answer));
    json_decref(answer);
    CHECK_EQ(kit_call(&k, "GET", "/chains/c/genesis?chain_id=7", NULL, &answer), 404);
    CHECK(strstr(kit_error(answer, "message"), "never had the id 7"));
    json_decref(answer);
    CHECK_EQ(kit_call(&k, "GET", "/chains/nothing/genesis", NULL, NULL), 404);
    json_decref(first);
    kit_close(&k);
}
