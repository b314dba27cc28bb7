#include "kit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "ridge/crypto/hash.h"

#define ABI                                                                                                  \
    "[{\"type\":\"constructor\",\"inputs\":[{\"name\":\"limit\",\"type\":\"uint8\"}]},"                      \
    "{\"type\":\"function\",\"name\":\"put\",\"inputs\":[{\"name\":\"value\",\"type\":\"int64\"}],"          \
    "\"outputs\":[]},"                                                                                       \
    "{\"type\":\"function\",\"name\":\"get\",\"inputs\":[],\"outputs\":[{\"name\":\"value\",\"type\":"       \
    "\"uint256\"}]},"                                                                                        \
    "{\"type\":\"event\",\"name\":\"Put\",\"inputs\":[{\"name\":\"value\",\"type\":\"uint256\",\"indexed\":" \
    "false}]},"                                                                                              \
    "{\"type\":\"error\",\"name\":\"TooHigh\",\"inputs\":[{\"name\":\"value\",\"type\":\"uint256\"}]}]"

#define WORD_42 "000000000000000000000000000000000000000000000000000000000000002a"

static void open_with_contract(kit_t *k) {
    json_t *a;
    kit_open(k);
    kit_create(k, 4);
    json_decref(kit_wait_chain(k, "c", "running"));
    k->p.height = 2;
    CHECK_EQ(kit_call(k, "POST", "/chains/c/contracts",
                      "{\"name\":\"Store\",\"abi\":" ABI ",\"bytecode\":\"0x6001\",\"args\":[42]}", &a),
             201);
    CHECK_STR(kit_text(a, "address"), "0x00112233445566778899aabbccddeeff00112233");
    json_decref(a);
}

static void selector(const char *signature, char out[80]) {
    uint8_t digest[32];
    rdg_keccak256(signature, strlen(signature), digest);
    out[0] = '0', out[1] = 'x', out[2] = '\0';
    for (int i = 0; i < 32; ++i) snprintf(out + strlen(out), 3, "%02x", digest[i]);
}

TEST(contract_is_deployed_with_its_arguments_and_kept_with_its_abi) {
    kit_t k;
    json_t *a;
    open_with_contract(&k);
    CHECK(strstr(kit_text(k.p.tx, "data"), "6001" WORD_42)); /* inside a call of the registry */
    CHECK(json_is_false(json_object_get(k.p.tx, "create")));
    CHECK_EQ(kit_call(&k, "GET", "/chains/c/contracts", NULL, &a), 200);
    CHECK_EQ(json_array_size(json_object_get(a, "contracts")), 1);
    json_decref(a);
    CHECK_EQ(kit_call(&k, "GET", "/chains/c/contracts/Store", NULL, &a), 200);
    CHECK_EQ(json_array_size(json_object_get(a, "abi")), 5);
    json_decref(a);
    CHECK_EQ(kit_call(&k, "GET", "/chains/c/contracts/None", NULL, NULL), 404);
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/contracts",
                      "{\"name\":\"Store\",\"abi\":" ABI ",\"bytecode\":\"0x6001\",\"args\":[42]}", &a),
             409);
    CHECK_STR(kit_error(a, "code"), "EXISTS");
    json_decref(a);
    kit_close(&k);
}

TEST(contract_send_answers_with_decoded_events) {
    kit_t k;
    json_t *a;
    char topic[80], data[80];
    open_with_contract(&k);
    selector("Put(uint256)", topic);
    k.p.receipt = json_pack("{s:[{s:s, s:[s], s:s}, {s:s, s:[s], s:s}]}", "logs", "address",
                            "0x00112233445566778899aabbccddeeff00112233", "topics", topic, "data",
                            "0x" WORD_42, "address", "0x01", "topics", "0x" WORD_42, "data", "0x");
    CHECK_EQ(
        kit_call(&k, "POST", "/chains/c/contracts/Store/send", "{\"method\":\"put\",\"args\":[\"42\"]}", &a),
        200);
    CHECK_STR(kit_text(a, "status"), "success");
    CHECK_EQ(json_integer_value(json_object_get(a, "gas_used")), 21000);
    const json_t *event = json_array_get(json_object_get(a, "events"), 0);
    CHECK_STR(kit_text(event, "event"), "Put");
    CHECK_EQ(json_array_size(json_object_get(a, "events")), 2); /* an unknown one is not lost */
    json_decref(a);
    selector("put(int64)", data);
    data[10] = '\0';
    char want[160];
    snprintf(want, sizeof want, "%s" WORD_42, data);
    CHECK_STR(kit_text(k.p.tx, "data"), want);
    kit_close(&k);
}

TEST(contract_reverts_name_their_reason) {
    kit_t k;
    json_t *a;
    char error[200];
    open_with_contract(&k);
    selector("TooHigh(uint256)", error);
    snprintf(error + 10, sizeof error - 10, "%s", WORD_42);
    k.p.receipt = json_pack("{s:s, s:s}", "status", "0x0", "output", error);
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/contracts/Store/send", "{\"method\":\"put\",\"args\":[7]}", &a),
             422);
    CHECK_STR(kit_error(a, "code"), "REVERTED");
    CHECK(strstr(kit_error(a, "message"), "TooHigh"));
    CHECK(strstr(kit_error(a, "message"), "Store.put: transaction 0x"));
    json_decref(a);
    k.p.call_revert = error;
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/contracts/Store/call", "{\"method\":\"get\"}", &a), 422);
    CHECK(strstr(kit_error(a, "message"), "Store.get reverted: TooHigh"));
    json_decref(a);
    k.p.call_result = "0x" WORD_42;
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/contracts/Store/call", "{\"method\":\"get\"}", &a), 200);
    CHECK_EQ(atoi(json_is_string(json_object_get(json_object_get(a, "result"), "value"))
                      ? json_string_value(json_object_get(json_object_get(a, "result"), "value"))
                      : "42"),
             42);
    json_decref(a);
    k.p.call_result = "0x12";
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/contracts/Store/call", "{\"method\":\"get\"}", NULL), 400);
    kit_close(&k);
}

TEST(contract_refuses_what_cannot_be_deployed_or_called) {
    static const struct {
        const char *path, *body, *says;
        unsigned status;
    } cases[] = {
        {"/chains/c/contracts", "{\"name\":\"A\",\"abi\":[],\"bytecode\":\"0x60zz\"}", "no hexadecimal", 400},
        {"/chains/c/contracts", "{\"name\":\"A\",\"abi\":[],\"bytecode\":\"0x600\"}", "no hexadecimal", 400},
        {"/chains/c/contracts", "{\"name\":\"A\",\"abi\":[],\"bytecode\":\"0x\"}", "empty", 400},
        {"/chains/c/contracts", "{\"name\":\"A\",\"abi\":[],\"bytecode\":\"0x60__$0123$__\"}", "link them",
         400},
        {"/chains/c/contracts", "{\"name\":\"A/b\",\"abi\":[],\"bytecode\":\"0x60\"}", "contract's name",
         400},
        {"/chains/c/contracts", "{\"name\":\"A\",\"bytecode\":\"0x60\"}", "abi", 400},
        {"/chains/c/contracts", "{\"name\":\"A\",\"abi\":" ABI ",\"bytecode\":\"0x60\",\"args\":[256]}",
         "limit", 400},
        {"/chains/c/contracts", "{\"name\":\"A\",\"abi\":" ABI ",\"bytecode\":\"0x60\",\"args\":\"x\"}",
         "args", 400},
        {"/chains/c/contracts/Store/send", "{\"method\":\"put\",\"args\":[\"nine\"]}", "value", 400},
        {"/chains/c/contracts/Store/send", "{\"method\":\"drop\",\"args\":[]}", "put", 404},
        {"/chains/c/contracts/Store/send", "{\"args\":[]}", "method", 400},
        {"/chains/c/contracts/None/send", "{\"method\":\"put\",\"args\":[1]}", "no contract 'None'", 404},
        {"/chains/c/contract-policy", "{\"value\":1}", "change", 400},
        {"/chains/c/contract-policy", "{\"change\":\"all\",\"value\":1}", "want deploy", 400},
        {"/chains/c/contract-policy", "{\"change\":\"deploy\",\"value\":2}", "want anybody", 400},
        {"/chains/c/contract-policy", "{\"change\":\"approvals\"}", "value is missing", 400},
        {"/chains/c/contract-policy", "{\"change\":\"approvals\",\"value\":\"two\"}", "threshold", 400},
        {"/chains/c/contract-policy", "{\"change\":\"add_deployer\",\"value\":\"0x12\"}", "account", 400},
        {"/chains/c/contracts/Fresh/register", "{}", "address is missing", 400},
        {"/chains/c/contracts/Store/register", "{\"address\":\"0x12\"}", "exists", 409},
        {"/chains/c/contracts/Fresh/register", "{\"address\":\"0x12\"}", "contractAddress", 400},
        {"/chains/c/contracts/Fresh/register", "{\"address\":\"0x12\",\"owner\":\"0x12\",\"nonce\":1}",
         "leave one", 400},
        {"/chains/c/contracts/Fresh/register", "{\"address\":\"0x12\",\"abi\":7}", "abi", 400},
        {"/chains/c/contracts/Store/owner", "{}", "owner is missing", 400},
        {"/chains/c/contracts/Store/owner", "{\"owner\":\"me\"}", "newOwner", 400},
        {"/chains/c/contracts/None/owner", "{\"owner\":\"0x12\"}", "no contract 'None'", 404},
        {"/chains/nothing/contract-policy", "{\"change\":\"approvals\",\"value\":1}", "does not exist", 404},
        {"/chains/nothing/contracts/Store/send", "{\"method\":\"put\",\"args\":[1]}", "does not exist", 404}};
    kit_t k;
    json_t *a;
    open_with_contract(&k);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        CHECK_EQ(kit_call(&k, "POST", cases[i].path, cases[i].body, &a), cases[i].status);
        if (!strstr(kit_error(a, "message"), cases[i].says))
            CHECK_STR(kit_error(a, "message"), cases[i].says);
        json_decref(a);
    }
    static char code[2 * (48 << 10) + 3], big[sizeof code + 200];
    memset(code, '6', sizeof code - 1);
    snprintf(big, sizeof big, "{\"name\":\"A\",\"abi\":[],\"bytecode\":\"0x%s\"}", code);
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/contracts", big, &a), 413);
    CHECK(strstr(kit_error(a, "message"), "EIP-3860"));
    json_decref(a);
    kit_close(&k);
}

TEST(ledger_is_read_through_whichever_device_is_there) {
    kit_t k;
    json_t *a;
    open_with_contract(&k);
    k.p.height = 12;
    k.p.offline[0] = k.p.offline[1] = true;
    CHECK_EQ(kit_call(&k, "GET", "/chains/c/blocks?limit=5", NULL, &a), 200);
    CHECK_EQ(json_array_size(json_object_get(a, "blocks")), 5);
    CHECK_EQ(json_integer_value(json_object_get(json_array_get(json_object_get(a, "blocks"), 4), "height")),
             8);
    json_decref(a);
    CHECK_EQ(kit_call(&k, "GET", "/chains/c/blocks?from=1", NULL, &a), 200);
    CHECK_EQ(json_array_size(json_object_get(a, "blocks")), 2);
    json_decref(a);
    CHECK_EQ(kit_call(&k, "GET", "/chains/c/blocks/3", NULL, &a), 200);
    CHECK_EQ(json_integer_value(json_object_get(a, "tx_count")), 1);
    json_decref(a);
    CHECK_EQ(kit_call(&k, "GET", "/chains/c/blocks/99", NULL, NULL), 404);
    CHECK_EQ(kit_call(&k, "GET", "/chains/c/blocks/x", NULL, NULL), 400);
    CHECK_EQ(kit_call(&k, "GET", "/chains/c/blocks?limit=101", NULL, NULL), 400);
    CHECK_EQ(kit_call(&k, "GET", "/chains/c/txs/0x12", NULL, NULL), 400);
    CHECK_EQ(kit_call(&k, "GET", "/chains/c/txs/0x" WORD_42, NULL, &a), 200);
    CHECK(json_is_object(json_object_get(a, "receipt")));
    json_decref(a);
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/rpc", "{\"id\":\"q\",\"method\":\"ridge_status\"}", &a), 200);
    CHECK_EQ(json_integer_value(json_object_get(json_object_get(a, "result"), "height")), 12);
    CHECK_STR(kit_text(a, "id"), "q");
    json_decref(a);
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/rpc", "{\"id\":1,\"method\":\"eth_nothing\",\"params\":[]}", &a),
             200);
    CHECK_EQ(json_integer_value(json_object_get(json_object_get(a, "error"), "code")), -32000);
    json_decref(a);
    for (int i = 0; i < 4; ++i) k.p.offline[i] = true;
    CHECK_EQ(kit_call(&k, "GET", "/chains/c/blocks/3", NULL, &a), 503);
    CHECK(strstr(kit_error(a, "message"), "no node of chain 'c' can be reached"));
    json_decref(a);
    kit_close(&k);
}

TEST(intake_is_bound_on_every_device) {
    kit_t k;
    json_t *a;
    open_with_contract(&k);
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/intake", "{\"contract\":\"Store\"}", &a), 202);
    const json_t *first = json_array_get(json_object_get(a, "devices"), 0);
    CHECK_EQ(json_array_size(json_object_get(a, "devices")), 4);
    CHECK_STR(kit_text(first, "state"), "done");
    CHECK_STR(kit_text(first, "account"), "0x00000000000000000000000000000000000000aa");
    json_decref(a);
    CHECK_EQ(kit_commands(&k, "intake.bind"), 4);
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/intake", "{\"contract\":\"None\"}", NULL), 404);
    CHECK_EQ(kit_call(&k, "DELETE", "/chains/c/intake", NULL, NULL), 202);
    CHECK_EQ(kit_commands(&k, "intake.unbind"), 4);
    kit_close(&k);
}

#define DEPLOYMENT "\"abi\":" ABI ",\"bytecode\":\"0x6001\",\"args\":[42]"

TEST(contract_lives_in_versions_with_a_status_each) {
    kit_t k;
    json_t *a;
    open_with_contract(&k);
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/contracts/Store/upgrade", "{" DEPLOYMENT "}", &a), 201);
    CHECK_EQ(json_integer_value(json_object_get(a, "version")), 2);
    json_decref(a);
    CHECK_EQ(kit_call(&k, "GET", "/chains/c/contracts/Store?version=1", NULL, &a), 200);
    CHECK_STR(kit_text(a, "status"), "superseded");
    CHECK_EQ(json_array_size(json_object_get(a, "versions")), 2);
    CHECK_EQ(json_array_size(json_object_get(a, "abi")), 5); /* the cloud keeps it by version */
    json_decref(a);
    static const char *const steps[][3] = {{"freeze", "{\"version\":2}", "frozen"},
                                           {"unfreeze", "{\"version\":2}", "active"},
                                           {"revoke", "{\"version\":2}", "revoked"}};
    for (size_t i = 0; i < 3; ++i) {
        char path[64];
        snprintf(path, sizeof path, "/chains/c/contracts/Store/%s", steps[i][0]);
        CHECK_EQ(kit_call(&k, "POST", path, steps[i][1], &a), 200);
        json_decref(a);
        CHECK_EQ(kit_call(&k, "GET", "/chains/c/contracts", NULL, &a), 200);
        CHECK_EQ(json_array_size(json_object_get(a, "contracts")), 1);
        CHECK_STR(kit_text(json_array_get(json_object_get(a, "contracts"), 0), "status"), steps[i][2]);
        json_decref(a);
    }
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/contracts/Store/freeze", "{\"version\":3}", &a), 404);
    CHECK(strstr(kit_error(a, "message"), "no version 3"));
    json_decref(a);
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/contracts/Store/send",
                      "{\"version\":1,\"method\":\"put\",\"args\":[1]}", &a),
             200);
    CHECK_EQ(json_integer_value(json_object_get(a, "version")), 1);
    json_decref(a);
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/contracts/Store/send",
                      "{\"version\":9,\"method\":\"put\",\"args\":[1]}", NULL),
             404);
    kit_close(&k);
}

TEST(contract_key_gives_one_transaction_and_one_answer) {
    kit_t k;
    json_t *a, *b;
    open_with_contract(&k);
    static const char put[] = "{\"method\":\"put\",\"args\":[1],\"idempotency_key\":\"k1\"}";
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/contracts/Store/send", put, &a), 200);
    unsigned sent = k.p.sent;
    kit_stop_baas(&k); /* also after a restart */
    kit_start_baas(&k);
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/contracts/Store/send", put, &b), 200);
    CHECK(json_equal(json_object_get(a, "tx"), json_object_get(b, "tx")));
    CHECK(k.p.sent <= sent + 1); /* a node takes the same one only once */
    json_decref(a), json_decref(b);
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/contracts/Store/send",
                      "{\"method\":\"put\",\"args\":[2],\"idempotency_key\":\"k1\"}", &a),
             409);
    CHECK(strstr(kit_error(a, "message"), "'k1' was used for another request"));
    json_decref(a);
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/contracts/Store/send",
                      "{\"method\":\"put\",\"args\":[2],\"idempotency_key\":\"\"}", NULL),
             400);
    kit_close(&k);
}

TEST(contract_answer_is_not_lost_with_the_cloud) {
    kit_t k;
    json_t *a;
    static const char body[] = "{\"name\":\"Later\"," DEPLOYMENT ",\"idempotency_key\":\"d1\"}";
    open_with_contract(&k);
    k.p.no_send = true; /* signed and stored, and then the way to the node is gone, and the cloud too */
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/contracts", body, &a), 503);
    CHECK(strstr(kit_error(a, "message"), "same idempotency key"));
    json_decref(a);
    kit_stop_baas(&k);
    k.p.no_send = false;
    k.p.no_receipt = true;
    k.p.versions = 0;
    unsigned before = k.p.sent;
    kit_start_baas(&k);
    for (int i = 0; i < 3000 && k.p.sent == before; ++i) nanosleep(&(struct timespec){0, 10000000}, NULL);
    CHECK(k.p.sent > before); /* nobody asked again */
    k.p.no_receipt = false;
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/contracts", body, &a), 201);
    CHECK_STR(kit_text(a, "name"), "Later");
    CHECK(json_equal(json_object_get(a, "tx"), json_object_get(k.p.tx, "id")));
    json_decref(a);
    kit_close(&k);
}

static int pending_orders(kit_t *k) {
    int64_t count = -1;
    CHECK_OK(rdg_sql_query(k->baas->db, "SELECT COUNT(*) FROM contract_orders WHERE state = 0", NULL, 0,
                           baas_int_row, &count));
    return (int)count;
}

/* It is in a block, and the node says no more than that its time is over. */
TEST(contract_order_is_not_called_expired_by_who_could_not_look) {
    kit_t k;
    static const char body[] = "{\"method\":\"put\",\"args\":[1],\"idempotency_key\":\"e1\"}";
    open_with_contract(&k);
    k.p.send_error = "EXPIRED";
    k.p.receipt_error = "TIMEOUT";
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/contracts/Store/send", body, NULL), 504);
    k.p.receipt_error = NULL;
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/contracts/Store/send", body, NULL), 200);
    kit_close(&k);
}

TEST(contract_order_whose_receipt_is_archived_is_no_order_any_more) {
    kit_t k;
    open_with_contract(&k);
    k.p.no_send = true;
    for (int i = 0; i < 2; ++i)
        CHECK_EQ(
            kit_call(&k, "POST", "/chains/c/contracts/Store/send", "{\"method\":\"put\",\"args\":[1]}", NULL),
            503);
    CHECK_EQ(pending_orders(&k), 2);
    kit_stop_baas(&k);
    k.p.receipt_error = "ARCHIVED";
    kit_start_baas(&k);
    for (int i = 0; i < 3000 && pending_orders(&k) > 0; ++i) nanosleep(&(struct timespec){0, 10000000}, NULL);
    CHECK_EQ(pending_orders(&k), 0);
    kit_close(&k);
}

/* A node waits for its peers to be recovered from. */
TEST(contract_order_does_not_wait_for_a_recovery_that_nobody_can_serve) {
    kit_t k;
    open_with_contract(&k);
    k.p.no_send = true;
    CHECK_EQ(
        kit_call(&k, "POST", "/chains/c/contracts/Store/send", "{\"method\":\"put\",\"args\":[1]}", NULL),
        503);
    for (int i = 1; i < FAKE_DEVICES; ++i) k.p.offline[i] = true;
    CHECK_OK(
        rdg_sql_exec(k.baas->db,
                     "INSERT INTO chain_steps (chain, device, kind, position, command, attempt, state, rank,"
                     " updated_ms) VALUES (1, 'dev-1', 3, 0, 'recover-1', 1, 'pending', 0, 1)",
                     NULL, 0, NULL));
    kit_stop_baas(&k);
    k.p.no_send = false;
    k.p.no_receipt = true;
    unsigned before = k.p.sent;
    kit_start_baas(&k);
    for (int i = 0; i < 3000 && k.p.sent == before; ++i) nanosleep(&(struct timespec){0, 10000000}, NULL);
    CHECK(k.p.sent > before);
    CHECK_EQ(kit_commands(&k, "chain.recover"), 0);
    k.p.offline[1] = false; /* and the recovery goes on when a peer is there */
    kit_wait_commands(&k, "chain.recover", 1);
    kit_close(&k);
}

#define MIGRATING                                                                                            \
    "[{\"type\":\"function\",\"name\":\"migrate\",\"inputs\":[{\"name\":\"old\",\"type\":\"address\"},"      \
    "{\"name\":\"cursor\",\"type\":\"uint256\"},{\"name\":\"limit\",\"type\":\"uint256\"}],\"outputs\":[{"   \
    "\"name\":"                                                                                              \
    "\"next\",\"type\":\"uint256\"}]}]"

TEST(contract_migrates_in_steps_and_goes_on_where_it_was) {
    kit_t k;
    json_t *a;
    open_with_contract(&k);
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/contracts/Store/migrate", "{}", &a), 400);
    CHECK(strstr(kit_error(a, "message"), "no version before 1"));
    json_decref(a);
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/contracts/Store/upgrade",
                      "{\"abi\":" MIGRATING ",\"bytecode\":\"0x6002\"}", NULL),
             201);
    k.p.call_result = "0x" WORD_42; /* the cursor does not move: 42 after 42 */
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/contracts/Store/migrate", "{}", &a), 400);
    CHECK(strstr(kit_error(a, "message"), "does not move on from cursor 42"));
    json_decref(a);
    k.p.call_result = "0x0000000000000000000000000000000000000000000000000000000000000000";
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/contracts/Store/migrate", "{}", &a), 200);
    CHECK(json_is_true(json_object_get(a, "done")));
    CHECK_EQ(json_integer_value(json_object_get(a, "steps")), 2); /* the first one is not done again */
    json_decref(a);
    unsigned sent = k.p.sent;
    CHECK_EQ(kit_call(&k, "POST", "/chains/c/contracts/Store/migrate", "{}", &a), 200);
    CHECK_EQ(k.p.sent, sent);
    json_decref(a);
    CHECK_EQ(kit_call(&k, "GET", "/chains/c/contracts/Store/events?limit=5", NULL, &a), 200);
    CHECK(json_is_array(json_object_get(a, "events")));
    json_decref(a);
    kit_close(&k);
}
