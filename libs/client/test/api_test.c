/* libridge without a chain: keys, ABI against ethers' encoder, requests and answers of a node, transactions. */
#include <ridge/contract.h>
#include <ridge/verify.h>
#include <stdio.h>
#include <stdlib.h>
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/codec/json.h"
#include "ridge/crypto/hash.h"
#include "ridge/net/http_server.h"
#include "ridge/test.h"

#define OK(expr) CHECK_EQ(expr, RIDGE_OK)

/* --- keys -------------------------------------------------------------------------------------------------- */

TEST(api_keys_are_sealed_and_open_with_their_passphrase_only) {
    char path[600], address[RIDGE_ADDRESS_TEXT], again[RIDGE_ADDRESS_TEXT];
    ridge_key_t *key = NULL, *loaded = NULL;
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "key"));
    OK(ridge_key_new(&key));
    OK(ridge_key_address(key, address));
    CHECK(strlen(address) == 42 && strncmp(address, "0x", 2) == 0);
    CHECK_EQ(ridge_key_save(key, path, "short"), RIDGE_INVALID);
    OK(ridge_key_save(key, path, "correct horse"));
    CHECK_EQ(ridge_key_load(path, "wrong horse", &loaded), RIDGE_UNAUTHENTICATED);
    CHECK(!loaded && strstr(ridge_error(RIDGE_UNAUTHENTICATED), path));
    CHECK_EQ(ridge_key_load(path, NULL, &loaded), RIDGE_UNAUTHENTICATED);
    OK(ridge_key_load(path, "correct horse", &loaded));
    OK(ridge_key_address(loaded, again));
    CHECK_STR(address, again);
    ridge_key_free(loaded);
    ridge_key_free(key);
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "none"));
    CHECK_EQ(ridge_key_load(path, NULL, &loaded), RIDGE_NOT_FOUND);
}

/* --- ABI --------------------------------------------------------------------------------------------------- */

static json_t *parse_any(const char *text, size_t len) {
    json_t *v = json_loadb(text, len, JSON_ALLOW_NUL, NULL); /* strings of Solidity may hold zero bytes */
    CHECK(v);
    return v;
}

static char *text_of(const json_t *v) {
    rdg_buf_t out;
    size_t len;
    rdg_buf_init(&out, 1 << 20);
    CHECK_OK(rdg_json_dump(v, &out));
    return (char *)rdg_buf_take(&out, &len);
}

static void check_vector(const char *line, size_t len, size_t number) {
    ridge_bytes_t data;
    char *json = NULL;
    rdg_buf_t want;
    json_t *v = parse_any(line, len);
    const char *types = json_string_value(json_object_get(v, "types"));
    const json_t *args = json_object_get(v, "args"), *hex = json_object_get(v, "data");
    char *text = text_of(args);
    rdg_buf_init(&want, 1 << 20);
    CHECK_OK(rdg_hex_decode_buf(json_string_value(hex), json_string_length(hex), &want));
    ridge_status_t status = ridge_abi_encode(types, text, &data);
    if (status != RIDGE_OK) rdg_test_fail(__FILE__, __LINE__, "line %zu: %s", number, ridge_error(status));
    if (data.len != want.len || memcmp(data.data, want.data, want.len) != 0)
        rdg_test_fail(__FILE__, __LINE__, "line %zu: %s: another encoding than ethers'", number, types);
    OK(ridge_abi_decode(types, want.data, want.len, &json));
    json_t *got = parse_any(json, strlen(json));
    if (!json_equal(got, args))
        rdg_test_fail(__FILE__, __LINE__, "line %zu: %s: decoded %.300s", number, types, json);
    ridge_free(json);
    ridge_free(data.data);
    rdg_buf_fini(&want);
    rdg_free(text);
    json_decref(got);
    json_decref(v);
}

/* RIDGE_ABI_VECTORS: another file of the same form, for a longer run. */
TEST(api_abi_agrees_with_ethers_on_random_types_of_every_kind) {
    char path[1024];
    rdg_buf_t text;
    size_t number = 0;
    const char *slash = strrchr(__FILE__, '/'), *other = getenv("RIDGE_ABI_VECTORS");
    snprintf(path, sizeof path, "%.*s/vectors/abi.jsonl", (int)(slash - __FILE__), __FILE__);
    rdg_buf_init(&text, 128 << 20);
    CHECK_OK(rdg_file_read(other ? other : path, &text));
    for (const char *at = rdg_buf_cstr(&text), *end; *at; at = end + 1) {
        end = strchr(at, '\n');
        CHECK(end);
        check_vector(at, (size_t)(end - at), ++number);
    }
    CHECK(number >= 2000);
    rdg_buf_fini(&text);
}

static void refuse_types(const char *types, const char *why) {
    ridge_bytes_t out;
    CHECK_EQ(ridge_abi_encode(types, "[]", &out), RIDGE_INVALID);
    if (!strstr(ridge_error(RIDGE_INVALID), why))
        rdg_test_fail(__FILE__, __LINE__, "%s: said \"%s\", want \"%s\"", types, ridge_error(RIDGE_INVALID),
                      why);
    CHECK(!out.data);
}

TEST(api_types_that_are_none_are_refused_with_their_place) {
    char deep[64] = {0}, many[2048] = "bool";
    refuse_types("uint256,", "character 9");
    refuse_types("uint256 a b", "character 11");
    refuse_types("(uint256", "want \",\" or \")\"");
    refuse_types("uint256)", "want");
    refuse_types(",", "want a type");
    refuse_types("uint7", "not a type");
    refuse_types("uint256[0]", "not a type");
    refuse_types("uint256[", "not a type");
    refuse_types("(uint256)x", "not a type");
    for (int i = 0; i < 17; ++i) deep[i] = '(';
    refuse_types(deep, "nested more than 16");
    for (int i = 0; i < 256; ++i) strncat(many, ",bool", sizeof many - strlen(many) - 1);
    refuse_types(many, "more than 256 types");
}

TEST(api_types_take_names_and_short_forms) {
    ridge_bytes_t a, b;
    char *json = NULL;
    OK(ridge_abi_encode("uint amount, ( int x , string[2] names ) who",
                        "{\"amount\":1,\"who\":{\"x\":-2,\"names\":[\"a\",\"b\"]}}", &a));
    OK(ridge_abi_encode("uint256,(int256,string[2])", "[1,[-2,[\"a\",\"b\"]]]", &b));
    CHECK(a.len == b.len && memcmp(a.data, b.data, a.len) == 0);
    OK(ridge_abi_decode("uint amount,(int x,string[2] names) who", a.data, a.len, &json));
    CHECK_STR(json, "{\"amount\":1,\"who\":{\"x\":-2,\"names\":[\"a\",\"b\"]}}");
    ridge_free(json);
    ridge_free(a.data);
    ridge_free(b.data);
    OK(ridge_abi_encode("", "[]", &a));
    CHECK(a.data && a.len == 0);
    ridge_free(a.data);
}

static const char VAULT[] =
    "{\"bytecode\":\"0x6001\",\"abi\":[{\"type\":\"constructor\",\"inputs\":[{\"name\":\"cap\",\"type\":"
    "\"uint256\"}]},"
    "{\"type\":\"function\",\"name\":\"put\",\"inputs\":[{\"name\":\"who\",\"type\":\"address\"},{\"name\":"
    "\"n\",\"type\":"
    "\"uint8\"}],\"outputs\":[{\"name\":\"\",\"type\":\"uint256\"}]},"
    "{\"type\":\"event\",\"name\":\"Put\",\"inputs\":[{\"name\":\"who\",\"type\":\"address\",\"indexed\":"
    "true},{\"name\":"
    "\"n\",\"type\":\"uint8\"}]},"
    "{\"type\":\"error\",\"name\":\"TooMuch\",\"inputs\":[{\"name\":\"n\",\"type\":\"uint8\"}]}]}";

static ridge_abi_t *vault(void) {
    ridge_abi_t *abi = NULL;
    OK(ridge_abi_new(VAULT, &abi));
    return abi;
}

TEST(api_calls_and_constructors_name_the_argument_that_does_not_fit) {
    ridge_abi_t *abi = vault();
    ridge_bytes_t data;
    OK(ridge_abi_encode_deploy(abi, "[7]", &data));
    CHECK(data.len == 34 && data.data[0] == 0x60 && data.data[33] == 7);
    ridge_free(data.data);
    CHECK_EQ(ridge_abi_encode_call(abi, "put", "[\"0x0000000000000000000000000000000000000001\",256]", &data),
             RIDGE_INVALID);
    CHECK(strstr(ridge_error(RIDGE_INVALID), "\"n\" of type uint8: 256"));
    CHECK_EQ(ridge_abi_encode_call(abi, "take", "[]", &data), RIDGE_NOT_FOUND);
    CHECK(strstr(ridge_error(RIDGE_NOT_FOUND), "put(address,uint8)"));
    CHECK_EQ(ridge_abi_encode_call(abi, "put", "[1", &data), RIDGE_MALFORMED);
    ridge_abi_free(abi);
    CHECK_EQ(ridge_abi_new("{}", &abi), RIDGE_INVALID);
    CHECK(abi == NULL);
    OK(ridge_abi_new("[]", &abi));
    CHECK_EQ(ridge_abi_encode_deploy(abi, "[]", &data), RIDGE_INVALID);
    ridge_abi_free(abi);
}

/* --- transactions -------------------------------------------------------------------------------------------- */

TEST(api_transactions_travel_as_bytes_and_come_back_verified) {
    static const char to[] = "0x00000000000000000000000000000000000000aa";
    ridge_key_t *key = NULL;
    ridge_tx_t *tx = NULL, *read = NULL;
    char id[RIDGE_HASH_TEXT], again[RIDGE_HASH_TEXT], contract[RIDGE_ADDRESS_TEXT];
    ridge_tx_request_t request = {
        .to = to, .value = "1000000000000000000000", .gas_limit = 21000, .nonce_plus = 8};
    OK(ridge_key_new(&key));
    OK(ridge_tx_sign_offline(7, 100, key, &request, &tx));
    size_t len;
    const uint8_t *bytes = ridge_tx_bytes(tx, &len);
    OK(ridge_tx_read(bytes, len, &read));
    ridge_tx_id(tx, id), ridge_tx_id(read, again);
    CHECK_STR(id, again);
    CHECK_EQ(ridge_tx_contract(tx, contract), RIDGE_INVALID);
    ridge_tx_free(read);
    uint8_t copy[512];
    CHECK(len <= sizeof copy);
    memcpy(copy, bytes, len);
    copy[len - 1] ^= 1;
    CHECK_EQ(ridge_tx_read(copy, len, &read), RIDGE_BAD_SIGNATURE);
    CHECK(!read);
    ridge_tx_free(tx);
    request = (ridge_tx_request_t){.gas_limit = 21000};
    CHECK_EQ(ridge_tx_sign_offline(7, 100, key, &request, &tx), RIDGE_INVALID); /* creates nothing */
    request = (ridge_tx_request_t){.to = "0x12", .gas_limit = 21000};
    CHECK_EQ(ridge_tx_sign_offline(7, 100, key, &request, &tx), RIDGE_INVALID);
    request = (ridge_tx_request_t){.to = to};
    CHECK_EQ(ridge_tx_sign_offline(7, 100, key, &request, &tx), RIDGE_INVALID); /* no gas limit */
    request = (ridge_tx_request_t){.to = to, .gas_limit = 1, .value = "-1"};
    CHECK_EQ(ridge_tx_sign_offline(7, 100, key, &request, &tx), RIDGE_INVALID);
    ridge_key_free(key);
}

/* --- a node --------------------------------------------------------------------------------------------------- */

/* Answers each method with one prepared result, or error object. */
typedef struct fake {
    rdg_http_server_t *server;
    const char *answers[8][2];
    char url[64];
} fake_t;

static void on_request(void *ctx, const rdg_http_request_t *req, rdg_http_response_t *res) {
    fake_t *f = ctx;
    json_t *call = NULL;
    char text[4096];
    const char *result = "\"error\":{\"code\":-32601,\"message\":\"no such method\"}";
    CHECK_OK(rdg_json_parse(rdg_http_body(req), &call));
    const char *method = json_string_value(json_object_get(call, "method"));
    for (size_t i = 0; i < 8 && f->answers[i][0]; ++i)
        if (strcmp(f->answers[i][0], method) == 0) result = f->answers[i][1];
    snprintf(text, sizeof text, "{\"jsonrpc\":\"2.0\",\"id\":%lld,%s}",
             (long long)json_integer_value(json_object_get(call, "id")), result);
    json_decref(call);
    rdg_http_status(res, 200);
    (void)rdg_http_write(res, "application/json", rdg_bytes_str(text));
}

static ridge_node_t *fake_start(fake_t *f) {
    rdg_http_server_options_t o = {.threads = 1};
    ridge_node_t *node = NULL;
    CHECK_OK(rdg_http_server_start(&o, on_request, f, &f->server));
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%u", rdg_http_server_port(f->server));
    OK(ridge_node_open(f->url, 2000, &node));
    return node;
}

static void fake_stop(fake_t *f, ridge_node_t *node) {
    ridge_node_close(node);
    rdg_http_server_stop(f->server);
}

#define HEAD                                                                                                 \
    {                                                                                                        \
        "ridge_status", "\"result\":{\"height\":5,\"chain_id\":7,\"hash\":"                                  \
                        "\"0x0000000000000000000000000000000000000000000000000000000000000001\"}"            \
    }
/* A point of the curve, as a validator's key. */
#define GENERATOR                                                                                            \
    "32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7"                                       \
    "bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0"
#define ADDRESS "0x00000000000000000000000000000000000000aa"

TEST(api_a_revert_is_told_with_the_contracts_own_error) {
    /* TooMuch(uint8) */
    fake_t f = {
        .answers = {
            HEAD,
            {"eth_estimateGas", "\"error\":{\"code\":3,\"message\":\"execution reverted\",\"data\":"
                                "\"0x08c379a000000000000000000000000000000000000000000000000000000000000000"
                                "2000000000000000000000000000000000000000000000000000000000000000046e6f70"
                                "6500000000000000000000000000000000000000000000000000000000\"}"},
            {"eth_call", "\"error\":{\"code\":3,\"message\":\"execution reverted\",\"data\":"
                         "\"0x4e487b710000000000000000000000000000000000000000000000000000000000000011\"}"}}};
    ridge_node_t *node = fake_start(&f);
    ridge_abi_t *abi = vault();
    ridge_key_t *key = NULL;
    ridge_receipt_t receipt;
    char *json = NULL;
    OK(ridge_key_new(&key));
    CHECK_EQ(ridge_contract_send(node, key, abi, ADDRESS, "put", "[\"" ADDRESS "\",3]", 1000, &receipt),
             RIDGE_REVERTED);
    CHECK_STR(ridge_error(RIDGE_REVERTED), "nope");
    CHECK(!receipt.logs);
    CHECK_EQ(ridge_contract_call(node, abi, ADDRESS, NULL, "put", "[\"" ADDRESS "\",3]", &json),
             RIDGE_REVERTED);
    CHECK_STR(ridge_error(RIDGE_REVERTED), "panic 0x11: arithmetic overflow or underflow");
    CHECK(!json);
    ridge_key_free(key);
    ridge_abi_free(abi);
    fake_stop(&f, node);
}

TEST(api_what_a_node_answers_is_not_believed_blindly) {
    fake_t f = {.answers = {{"eth_call", "\"result\":\"0x0\""},
                            {"eth_getLogs", "\"result\":[{\"topics\":[\"0x12\"],\"data\":\"0x\"}]"},
                            {"eth_getTransactionReceipt", "\"result\":{\"status\":\"0x1\"}"},
                            {"ridge_getReceiptProof", "\"result\":{}"},
                            {"eth_getProof", "\"result\":{\"blockNumber\":\"0x1\"}"}}};
    ridge_node_t *node = fake_start(&f);
    ridge_abi_t *abi = vault();
    ridge_receipt_t receipt;
    char *json = NULL;
    static const char id[] = "0x0000000000000000000000000000000000000000000000000000000000000001";
    CHECK_EQ(ridge_contract_call(node, abi, ADDRESS, NULL, "put", "[\"" ADDRESS "\",3]", &json),
             RIDGE_PROTOCOL);
    CHECK_EQ(ridge_contract_events(node, abi, ADDRESS, NULL, 0, UINT64_MAX, &json), RIDGE_PROTOCOL);
    CHECK_EQ(ridge_contract_events(node, abi, ADDRESS, "Got", 0, UINT64_MAX, &json), RIDGE_NOT_FOUND);
    CHECK(ridge_node_receipt(node, id, &receipt) != RIDGE_OK && !receipt.logs);
    CHECK(ridge_node_head(node, NULL, NULL) != RIDGE_OK);
    CHECK(ridge_node_request(node, "eth_x", "{}", &json) == RIDGE_INVALID);
    ridge_abi_free(abi);
    fake_stop(&f, node);
}

/* --- events of every type ------------------------------------------------------------------------------------ */

/* components: of a tuple, as the ABI has it. by_value: an indexed one is in its topic, not only its hash. */
static const struct {
    const char *type, *signature, *components, *value;
    bool by_value;
} event_types[] = {
    {"uint8", "uint8", NULL, "255", true},
    {"uint256", "uint256", NULL,
     "\"115792089237316195423570985008687907853269984665640564039457584007913129639935\"", true},
    {"int64", "int64", NULL, "-9000000000000", true},
    {"int256", "int256", NULL, "-1", true},
    {"address", "address", NULL, "\"0x00000000000000000000000000000000000000aa\"", true},
    {"bool", "bool", NULL, "true", true},
    {"bytes1", "bytes1", NULL, "\"0xfe\"", true},
    {"bytes32", "bytes32", NULL, "\"0x6d31000000000000000000000000000000000000000000000000000000000000\"",
     true},
    {"function", "function", NULL, "\"0x00000000000000000000000000000000000000aa01020304\"", true},
    {"bytes", "bytes", NULL, "\"0x010203\"", false},
    {"string", "string", NULL, "\"\\u8ba1\\u91cf\"", false},
    {"uint64[]", "uint64[]", NULL, "[1,2,3]", false},
    {"string[2]", "string[2]", NULL, "[\"a\",\"\"]", false},
    {"bytes4[][2]", "bytes4[][2]", NULL, "[[],[\"0x01020304\"]]", false},
    {"tuple", "(uint256,string)",
     "[{\"name\":\"n\",\"type\":\"uint256\"},{\"name\":\"s\",\"type\":\"string\"}]",
     "{\"n\":7,\"s\":\"seven\"}", false},
    {"tuple[]", "(bool,int8[2])[]",
     "[{\"name\":\"b\",\"type\":\"bool\"},{\"name\":\"i\",\"type\":\"int8[2]\"}]",
     "[{\"b\":false,\"i\":[-128,127]}]", false},
};

static void check_event(size_t which, bool indexed) {
    char abi_text[1024], types[256], args[512], want[1024], signature[256];
    uint8_t topics[64];
    const char *components = event_types[which].components, *value = event_types[which].value;
    ridge_abi_t *abi = NULL;
    ridge_bytes_t data;
    char *json = NULL;
    snprintf(abi_text, sizeof abi_text,
             "[{\"type\":\"event\",\"name\":\"E\",\"inputs\":[{\"name\":\"v\",\"type\":\"%s\",\"indexed\":%s%"
             "s%s}]}]",
             event_types[which].type, indexed ? "true" : "false", components ? ",\"components\":" : "",
             components ? components : "");
    OK(ridge_abi_new(abi_text, &abi));
    snprintf(types, sizeof types, "%s", event_types[which].signature);
    snprintf(args, sizeof args, "[%s]", value);
    json_t *list = parse_any(args, strlen(args));
    const json_t *plain = json_array_get(list, 0);
    if (components) /* the list of types has no names: a tuple goes in as an array */
        snprintf(args, sizeof args, "%s",
                 json_is_object(plain) ? "[[7,\"seven\"]]" : "[[[false,[-128,127]]]]");
    OK(ridge_abi_encode(types, args, &data));
    size_t len = (size_t)snprintf(signature, sizeof signature, "E(%s)", types);
    rdg_keccak256(signature, len, topics);
    if (indexed && event_types[which].by_value)
        memcpy(topics + 32, data.data, 32);
    else
        rdg_keccak256("any", 3, topics + 32);
    OK(ridge_abi_decode_event(abi, topics, indexed ? 2 : 1, indexed ? NULL : data.data,
                              indexed ? 0 : data.len, &json));
    json_t *got = parse_any(json, strlen(json));
    const json_t *v = json_object_get(json_object_get(got, "args"), "v");
    if (indexed && !event_types[which].by_value) {
        char hex[65];
        rdg_hex_encode(topics + 32, 32, hex);
        snprintf(want, sizeof want, "%s", json);
        if (!strstr(want, hex)) rdg_test_fail(__FILE__, __LINE__, "%s: indexed: %s", types, json);
    } else if (!json_equal(v, plain)) {
        rdg_test_fail(__FILE__, __LINE__, "%s%s: decoded %s", types, indexed ? ", indexed" : "", json);
    }
    /* What lacks its last word is refused. */
    ridge_free(json);
    if (!indexed)
        CHECK_EQ(ridge_abi_decode_event(abi, topics, 1, data.data, data.len - 32, &json), RIDGE_MALFORMED);
    CHECK(ridge_abi_decode_event(abi, topics, indexed ? 1 : 2, data.data, data.len, &json) != RIDGE_OK);
    json_decref(list);
    json_decref(got);
    ridge_free(data.data);
    ridge_abi_free(abi);
}

TEST(api_events_of_every_type_are_decoded_indexed_or_not) {
    for (size_t i = 0; i < sizeof event_types / sizeof event_types[0]; ++i) {
        check_event(i, false);
        check_event(i, true);
    }
}

/* What a node says of changes of the validators is learnt from their signatures only; the node's own word is that it knows
 * of none, or not yet. */
TEST(api_a_trust_learns_nothing_from_a_node_that_lies) {
    static const char genesis[] =
        "{\"version\":1,\"name\":\"a\",\"chain_id\":7,\"time_ms\":1,\"consensus\":\"pbft\",\"validators\":["
        "{\"name\":\"v\",\"key\":\"" GENERATOR "\"}]}";
    static const struct {
        const char *answer;
        ridge_status_t want;
    } cases[] = {
        {"\"result\":null", RIDGE_PROTOCOL},
        {"\"result\":{}", RIDGE_PROTOCOL},
        {"\"result\":{\"evidence\":7}", RIDGE_PROTOCOL},
        {"\"result\":{\"evidence\":\"0x0\"}", RIDGE_MALFORMED},
        {"\"result\":{\"evidence\":\"0xc0\"}", RIDGE_MALFORMED},
        {"\"result\":{\"evidence\":\"0xc403c0c0c0\"}", RIDGE_MALFORMED},
        {"\"error\":{\"code\":-32000,\"message\":\"later\",\"data\":{\"code\":\"UNAVAILABLE\"}}",
         RIDGE_UNAVAILABLE},
        {"\"error\":{\"code\":-32000,\"message\":\"no more\",\"data\":{\"code\":\"NOT_FOUND\"}}", RIDGE_OK},
    };
    ridge_trust_t *trust = NULL;
    OK(ridge_trust_new(genesis, &trust));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        fake_t f = {.answers = {{"ridge_getEpochProof", cases[i].answer}}};
        ridge_node_t *node = fake_start(&f);
        ridge_status_t got = ridge_trust_update(trust, node);
        if (got != cases[i].want)
            rdg_test_fail(__FILE__, __LINE__, "case %zu: %s", i, ridge_status_name(got));
        CHECK_EQ(ridge_trust_epoch(trust), 0);
        fake_stop(&f, node);
    }
    ridge_trust_free(trust);
}

TEST(api_events_are_decoded_by_the_abi_and_others_left_out) {
    fake_t f = {
        .answers = {
            {"eth_getLogs",
             "\"result\":[{\"topics\":["
             "\"0x00000000000000000000000000000000000000000000000000000000000000ff\"],"
             "\"data\":\"0x\"},{\"topics\":["
             "\"0x6ea8e2b6d6aafd6d4a5a1f6b4d3e4a1ed1f3ba9a1dbb2cd3cb4a1d34b3f5a6d1\"],\"data\":\"0x\"}]"}}};
    ridge_node_t *node = fake_start(&f);
    ridge_abi_t *abi = vault();
    char *json = NULL;
    OK(ridge_contract_events(node, abi, ADDRESS, "Put", 0, UINT64_MAX, &json));
    CHECK_STR(json, "[]");
    ridge_free(json);
    ridge_abi_free(abi);
    fake_stop(&f, node);
}

TEST(api_a_node_that_is_not_there_is_named) {
    ridge_node_t *node = NULL;
    OK(ridge_node_open("http://127.0.0.1:1", 1000, &node));
    CHECK_EQ(ridge_node_head(node, NULL, NULL), RIDGE_UNAVAILABLE);
    CHECK(strstr(ridge_error(RIDGE_UNAVAILABLE), "127.0.0.1"));
    ridge_node_close(node);
}
