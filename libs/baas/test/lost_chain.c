#include "lost_chain.h"
#include "mainchain.h"
#include "ridge/baas/collector.h"
#include "ridge/base/file.h"
#include <stdio.h>
#include <unistd.h>
#include "ridge/base/alloc.h"
#include "ridge/codec/abi.h"

static rdg_sm2_key_t *keys[LOST_KEYS + 1];

/* Before any test, so that no test is taken to have leaked them. */
__attribute__((constructor)) static void make_keys(void) {
    for (int n = 1; n <= LOST_KEYS; ++n) {
        uint8_t scalar[32] = {0x12};
        scalar[31] = (uint8_t)n;
        (void)rdg_sm2_key_from_scalar(scalar, &keys[n]);
    }
}

rdg_sm2_key_t *lost_key(uint8_t n) {
    CHECK(n > 0 && n <= LOST_KEYS && keys[n]);
    return keys[n];
}

void lost_genesis(rdg_genesis_t *g, rdg_buf_t *text) {
    rdg_sm2_public_t key;
    memset(g, 0, sizeof *g);
    snprintf(g->name, sizeof g->name, "c");
    snprintf(g->consensus, sizeof g->consensus, "pbft");
    g->time_ms = 1700000000000;
    g->validators.chain_id = LOST_CHAIN_ID;
    g->validators.count = 1;
    rdg_sm2_key_public(lost_key(1), &g->validators.keys[0]);
    snprintf(g->validator_names[0], sizeof g->validator_names[0], "dev-1");
    rdg_chain_params_default(&g->params);
    g->admin_count = 3;
    for (uint8_t i = 0; i < 3; ++i) {
        rdg_sm2_key_public(lost_key((uint8_t)(9 - i)), &key);
        rdg_sm2_address(&key, &g->admins[i]);
    }
    CHECK_OK(rdg_genesis_format(g, text));
    CHECK_OK(rdg_buf_append(text, "", 1));
}

static void certify(rdg_phase_t phase, uint64_t height, const rdg_hash_t *digest, rdg_buf_t *out) {
    rdg_certificate_t c = {.statement = {.phase = phase, .height = height, .digest = *digest}, .count = 1};
    rdg_hash_t statement;
    rdg_statement_hash(LOST_CHAIN_ID, &c.statement, &statement);
    CHECK_OK(rdg_sm2_sign(lost_key(1), statement.b, sizeof statement.b, &c.votes[0].signature));
    rdg_buf_clear(out);
    CHECK_OK(rdg_certificate_encode(&c, out));
}

static rdg_tx_t *threshold_tx(int threshold) {
    rdg_buf_t data;
    rdg_tx_t *tx = NULL;
    json_t *entry = json_pack("{s:s, s:s, s:[{s:s, s:s}]}", "type", "function", "name", "setThreshold",
                              "inputs", "name", "threshold", "type", "uint32");
    json_t *args = json_pack("[i]", threshold);
    rdg_buf_init(&data, 256);
    CHECK_OK(rdg_abi_encode_call(entry, args, rdg_keccak256, &data));
    rdg_tx_fields_t f = {.chain_id = LOST_CHAIN_ID,
                         .nonce = 1,
                         .valid_until = 1000,
                         .gas_limit = 20000000,
                         .to = &RDG_GOVERNANCE_ADDRESS,
                         .data = rdg_buf_view(&data)};
    CHECK_OK(rdg_tx_sign(&f, lost_key(9), &tx));
    rdg_buf_fini(&data);
    json_decref(entry);
    json_decref(args);
    return tx;
}

static void grow(rdg_ledger_t *l, rdg_tx_t *tx) {
    rdg_buf_t proposal, certificate;
    rdg_ledger_head_t head;
    rdg_executed_t executed;
    rdg_hash_t hash;
    rdg_buf_init(&proposal, RDG_BLOCK_BYTES_MAX);
    rdg_buf_init(&certificate, 65536);
    rdg_ledger_head(l, &head);
    rdg_header_t h = {.chain_id = LOST_CHAIN_ID,
                      .height = head.height + 1,
                      .time_ms = head.time_ms + 100,
                      .parent = head.hash,
                      .tx_count = tx != NULL,
                      .gas_limit = rdg_ledger_genesis(l)->params.block_gas_limit};
    CHECK_OK(rdg_block_tx_root(&tx, h.tx_count, &h.tx_root));
    CHECK_OK(rdg_proposal_encode(&h, &tx, &proposal));
    CHECK_OK(rdg_header_hash(&h, &hash));
    certify(RDG_PHASE_COMMIT, h.height, &hash, &certificate);
    CHECK_OK(rdg_ledger_apply(l, rdg_buf_view(&proposal), rdg_buf_view(&certificate), false, &executed));
    CHECK_OK(rdg_executed_hash(&executed, &hash));
    certify(RDG_PHASE_CHECKPOINT, h.height, &hash, &certificate);
    CHECK_OK(rdg_ledger_checkpoint(l, h.height, rdg_buf_view(&certificate)));
    rdg_buf_fini(&proposal);
    rdg_buf_fini(&certificate);
}

void lost_ledger(const char *path, int threshold) {
    rdg_buf_t text;
    rdg_ledger_t *l = NULL;
    rdg_tx_t *tx = threshold_tx(threshold);
    rdg_genesis_t *g = rdg_calloc(1, sizeof *g);
    rdg_buf_init(&text, RDG_GENESIS_BYTES_MAX);
    lost_genesis(g, &text);
    CHECK_OK(rdg_ledger_open(path, g, NULL, &l));
    for (uint64_t h = 1; h <= LOST_LAST; ++h) grow(l, h == 1 ? tx : NULL);
    rdg_ledger_close(l);
    rdg_tx_unref(tx);
    rdg_buf_fini(&text);
    rdg_free(g);
}

/* --- in the chain service --- */

/* A main chain that nobody reaches: what is to stand on it stays an intent. */
static bool no_node(void *ctx, size_t i, char url[RDG_BAAS_URL_MAX], char state[32]) {
    (void)ctx, (void)i, (void)url, (void)state;
    return false;
}

static void add_mainchain(rdg_baas_t *b) {
    char path[600];
    rdg_buf_t text;
    rdg_genesis_t *g = rdg_calloc(1, sizeof *g);
    rdg_buf_init(&text, RDG_GENESIS_BYTES_MAX);
    lost_genesis(g, &text);
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "writer.key"));
    if (!rdg_file_exists(path)) CHECK_OK(rdg_sm2_key_save(lost_key(9), path));
    const rdg_baas_mainchain_options_t o = {
        .genesis = (const char *)text.data, .key_file = path, .node = no_node};
    CHECK_OK(rdg_baas_mainchain_open(b, &o));
    rdg_baas_anchor_on_mainchain(b);
    rdg_buf_fini(&text);
    rdg_free(g);
}

/* Chain "c" on dev-1 becomes the chain of the test's keys, and its blocks up to LOST_LAST are archived. */
static void put_chain(kit_t *k) {
    char path[600];
    rdg_buf_t text;
    rdg_hash_t h = {{7}};
    rdg_sql_value_t v = rdg_sql_blob(rdg_bytes(h.b, sizeof h.b));
    rdg_genesis_t *g = rdg_calloc(1, sizeof *g);
    rdg_buf_init(&text, RDG_GENESIS_BYTES_MAX);
    lost_genesis(g, &text);
    CHECK_OK(rdg_sql_exec(k->baas->db, "UPDATE chains SET genesis = ?, chain_id = ? WHERE number = 1",
                          RDG_SQL_PARAMS(rdg_sql_text((const char *)text.data), rdg_sql_int(LOST_CHAIN_ID)),
                          NULL));
    CHECK_OK(rdg_sql_exec(
        k->baas->db,
        "INSERT INTO archives (chain, name, chain_id, genesis, device, given, attempt, state, command,"
        " wanted_from, wanted_to, first, last, mark_ms, manifest, content, file, created_ms, updated_ms)"
        " VALUES (1, 'c', ?, ?, 'dev-1', 0, 1, 'archived', 'x', 0, 0, 1, ?, 1234, ?, ?, 5, 1, 1)",
        RDG_SQL_PARAMS(rdg_sql_int(LOST_CHAIN_ID), v, rdg_sql_int(LOST_LAST), v, v), NULL));
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "keys/chain-1.pem"));
    CHECK(unlink(path) == 0);
    CHECK_OK(rdg_sm2_key_save(lost_key(9), path));
    rdg_buf_fini(&text);
    rdg_free(g);
}

void lost_open(kit_t *k) {
    kit_open_with(k, add_mainchain);
    CHECK_EQ(kit_call(k, "POST", "/chains",
                      "{\"name\":\"c\",\"devices\":[\"dev-1\"],\"driver\":\"process\","
                      "\"allow_no_fault_tolerance\":true}",
                      NULL),
             202);
    json_decref(kit_wait_chain(k, "c", "running"));
    put_chain(k);
}

void lost_sql(kit_t *k, const char *statement) {
    CHECK_OK(rdg_sql_exec(k->baas->db, statement, NULL, 0, NULL));
}
