#include "ridge/codec/abi.h"

#include <stdio.h>

#include "ridge/codec/hex.h"
#include "ridge/test.h"

/* Keccak-256 stands in another library of this layer; the few digests that are needed are known. */
static void keccak(const void *data, size_t len, uint8_t out[32]) {
    static const struct {
        const char *text, *hex;
    } known[] = {
        {"baz(uint32,bool)", "cdcd77c0"},
        {"bar(bytes3[2])", "fce353f6"},
        {"sam(bytes,bool,uint256[])", "a5643bf2"},
        {"f(uint256,uint32[],bytes10,bytes)", "8be65246"},
        {"g(uint256[][],string[])", "2289b18c"},
        {"Transfer(address,address,uint256)",
         "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"},
        {"Low(uint256,uint256)", "01020304"},
    };
    memset(out, 0, 32);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strlen(known[i].text) == len && memcmp(known[i].text, data, len) == 0)
            CHECK_OK(rdg_hex_decode(known[i].hex, strlen(known[i].hex), out, strlen(known[i].hex) / 2));
}

static json_t *parse(const char *text) {
    json_t *v = NULL;
    CHECK_OK(rdg_json_parse(rdg_bytes_str(text), &v));
    return v;
}

static rdg_err_t encode(const char *types, const char *args, rdg_buf_t *out) {
    json_t *t = parse(types), *a = parse(args);
    rdg_buf_init(out, 1 << 20);
    rdg_err_t err = rdg_abi_encode(t, a, out);
    json_decref(t);
    json_decref(a);
    return err;
}

static rdg_err_t decode(const char *types, rdg_bytes_t data, char **text) {
    json_t *t = parse(types), *v = NULL;
    rdg_err_t err = rdg_abi_decode(t, data, &v);
    *text = err == RDG_OK ? rdg_json_text(v) : NULL;
    json_decref(t);
    json_decref(v);
    return err;
}

static void check_call(const char *abi_text, const char *name, const char *args_text, const char *hex) {
    json_t *abi = parse(abi_text), *args = parse(args_text);
    const json_t *entry;
    rdg_buf_t got, digits;
    rdg_buf_init(&got, 4096);
    rdg_buf_init(&digits, 8192);
    CHECK_OK(rdg_abi_find(abi, "function", name, json_array_size(args), &entry));
    CHECK_OK(rdg_abi_encode_call(entry, args, keccak, &got));
    CHECK_OK(rdg_hex_append(&digits, got.data, got.len, false));
    CHECK_STR(rdg_buf_cstr(&digits), hex);

    json_t *back = NULL;
    CHECK_OK(rdg_abi_decode(json_object_get(entry, "inputs"), rdg_bytes(got.data + 4, got.len - 4), &back));
    CHECK(json_equal(back, args));
    json_decref(back);
    rdg_buf_fini(&got);
    rdg_buf_fini(&digits);
    json_decref(abi);
    json_decref(args);
}

#define W0 "0000000000000000000000000000000000000000000000000000000000000000"
#define WORD(two) "00000000000000000000000000000000000000000000000000000000000000" two

/* The examples of the Contract ABI Specification. */
TEST(abi_encodes_and_decodes_the_published_examples) {
    check_call(
        "[{\"type\":\"function\",\"name\":\"baz\",\"inputs\":[{\"type\":\"uint32\"},{\"type\":\"bool\"}]}]",
        "baz", "[69,true]", "cdcd77c0" WORD("45") WORD("01"));
    check_call("[{\"type\":\"function\",\"name\":\"bar\",\"inputs\":[{\"type\":\"bytes3[2]\"}]}]", "bar",
               "[[\"0x616263\",\"0x646566\"]]",
               "fce353f66162630000000000000000000000000000000000000000000000000000000000"
               "6465660000000000000000000000000000000000000000000000000000000000");
    check_call(
        "[{\"type\":\"function\",\"name\":\"sam\",\"inputs\":[{\"type\":\"bytes\"},{\"type\":\"bool\"},"
        "{\"type\":\"uint256[]\"}]}]",
        "sam", "[\"0x64617665\",true,[1,2,3]]",
        "a5643bf2" WORD("60") WORD("01") WORD("a0")
            WORD("04") "6461766500000000000000000000000000000000000000000000000000000000" WORD("03")
                WORD("01") WORD("02") WORD("03"));
    check_call(
        "[{\"type\":\"function\",\"name\":\"f\",\"inputs\":[{\"type\":\"uint256\"},{\"type\":\"uint32[]\"},"
        "{\"type\":\"bytes10\"},{\"type\":\"bytes\"}]}]",
        "f", "[291,[1110,1929],\"0x31323334353637383930\",\"0x48656c6c6f2c20776f726c6421\"]",
        "8be65246"
        "0000000000000000000000000000000000000000000000000000000000000123" WORD(
            "80") "3132333435363738393000000000000000000000000000000000000000000000" WORD("e0")
            WORD("02") "0000000000000000000000000000000000000000000000000000000000000456"
                       "0000000000000000000000000000000000000000000000000000000000000789" WORD(
                           "0d") "48656c6c6f2c20776f726c642100000000000000000000000000000000000000");
    check_call("[{\"type\":\"function\",\"name\":\"g\",\"inputs\":[{\"type\":\"uint256[][]\"},{\"type\":"
               "\"string[]\"}]}]",
               "g", "[[[1,2],[3]],[\"one\",\"two\",\"three\"]]",
               "2289b18c" WORD("40") "0000000000000000000000000000000000000000000000000000000000000140" WORD(
                   "02") WORD("40") WORD("a0") WORD("02") WORD("01") WORD("02") WORD("01") WORD("03")
                   WORD("03") WORD("60") WORD("a0") WORD("e0")
                       WORD("03") "6f6e65000000000000000000000000000000000000000000000000000000000"
                                  "0" WORD("03") "74776f000000000000000000000000000000000000000000"
                                                 "0000000000000000" WORD(
                                                     "05") "74687265650000000000000000000000000000"
                                                           "00000000000000000000000000");
}

TEST(abi_every_type_round_trips) {
    static const struct {
        const char *types, *args, *decoded;
    } cases[] = {
        {"[{\"type\":\"uint8\"},{\"type\":\"int8\"},{\"type\":\"int8\"},{\"type\":\"int256\"}]",
         "[\"0xff\",-128,127,\"-"
         "57896044618658097711785492504343953926634992332820282019728792003956564819968\"]",
         "[255,-128,127,\"-57896044618658097711785492504343953926634992332820282019728792003956564819968\"]"},
        {"[{\"type\":\"uint256\"},{\"type\":\"uint64\"},{\"type\":\"int64\"}]",
         "[\"115792089237316195423570985008687907853269984665640564039457584007913129639935\","
         "\"9007199254740992\",-9007199254740991]",
         "[\"115792089237316195423570985008687907853269984665640564039457584007913129639935\","
         "\"9007199254740992\",-9007199254740991]"},
        {"[{\"type\":\"address\"},{\"type\":\"bytes32\"},{\"type\":\"function\"}]",
         "[\"0x00112233445566778899aabbccddeeff00112233\","
         "\"0xff000000000000000000000000000000000000000000000000000000000000ee\","
         "\"0x00112233445566778899aabbccddeeff0011223344556677\"]",
         "[\"0x00112233445566778899aabbccddeeff00112233\","
         "\"0xff000000000000000000000000000000000000000000000000000000000000ee\","
         "\"0x00112233445566778899aabbccddeeff0011223344556677\"]"},
        {"[{\"type\":\"string\"},{\"type\":\"bytes\"},{\"type\":\"string\"}]",
         "[\"\",\"0x\",\"云脊 abcdefghijklmnopqrstuvwxyz 0123456789\"]",
         "[\"\",\"0x\",\"云脊 abcdefghijklmnopqrstuvwxyz 0123456789\"]"},
        {"[{\"type\":\"string[2][]\"},{\"type\":\"uint8[2][3]\"},{\"type\":\"uint8[][2]\"},{\"type\":\"uint8["
         "]\"}]",
         "[[[\"a\",\"b\"],[\"c\",\"d\"]],[[1,2],[3,4],[5,6]],[[],[7]],[]]",
         "[[[\"a\",\"b\"],[\"c\",\"d\"]],[[1,2],[3,4],[5,6]],[[],[7]],[]]"},
        {"[{\"name\":\"who\",\"type\":\"tuple[]\",\"components\":[{\"name\":\"id\",\"type\":\"uint16\"},"
         "{\"name\":\"in\",\"type\":\"tuple\",\"components\":[{\"name\":\"s\",\"type\":\"string\"},"
         "{\"name\":\"b\",\"type\":\"bool\"}]}]},{\"name\":\"n\",\"type\":\"int16\"}]",
         "{\"n\":-2,\"who\":[{\"id\":1,\"in\":{\"s\":\"x\",\"b\":true}},[2,[\"y\",\"false\"]]]}",
         "{\"who\":[{\"id\":1,\"in\":{\"s\":\"x\",\"b\":true}},{\"id\":2,\"in\":{\"s\":\"y\",\"b\":false}}],"
         "\"n\":-2}"},
        {"[{\"type\":\"tuple\",\"components\":[{\"name\":\"a\",\"type\":\"uint8\"},{\"name\":\"a\",\"type\":"
         "\"uint8\"}]}]",
         "[[1,2]]", "[[1,2]]"},
        {"[]", "[]", "[]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rdg_buf_t data;
        char *text;
        CHECK_OK(encode(cases[i].types, cases[i].args, &data));
        CHECK_OK(decode(cases[i].types, rdg_buf_view(&data), &text));
        CHECK_STR(text, cases[i].decoded);
        rdg_free(text);
        for (size_t cut = 1; cut <= data.len;
             cut += 7) { /* every shortened form is refused, or its cut is padding */
            rdg_err_t err = decode(cases[i].types, rdg_bytes(data.data, data.len - cut), &text);
            CHECK(err == RDG_E_MALFORMED || (err == RDG_OK && cut < 32));
            rdg_free(text);
        }
        rdg_buf_fini(&data);
    }
}

TEST(abi_refuses_arguments_and_names_them) {
    static const struct {
        const char *types, *args, *says;
    } cases[] = {
        {"[{\"name\":\"v\",\"type\":\"uint8\"}]", "[256]",
         "argument \"v\" of type uint8: 256: out of the type's range"},
        {"[{\"name\":\"v\",\"type\":\"uint8\"}]", "[-1]", "out of the type's range"},
        {"[{\"name\":\"v\",\"type\":\"int8\"}]", "[128]", "out of the type's range"},
        {"[{\"name\":\"v\",\"type\":\"int8\"}]", "[-129]", "out of the type's range"},
        {"[{\"name\":\"v\",\"type\":\"int256\"}]",
         "[\"57896044618658097711785492504343953926634992332820282019728792003956564819968\"]", "range"},
        {"[{\"name\":\"v\",\"type\":\"uint256\"}]",
         "[\"115792089237316195423570985008687907853269984665640564039457584007913129639936\"]",
         "want an integer"},
        {"[{\"name\":\"v\",\"type\":\"uint8\"}]", "[1.5]", "want an integer"},
        {"[{\"name\":\"v\",\"type\":\"uint8\"}]", "[\"\"]", "want an integer"},
        {"[{\"name\":\"v\",\"type\":\"uint8\"}]", "[\"1a\"]", "want an integer"},
        {"[{\"name\":\"v\",\"type\":\"uint8\"}]", "[null]", "want an integer"},
        {"[{\"name\":\"v\",\"type\":\"address\"}]", "[\"0x12\"]", "40 digits"},
        {"[{\"name\":\"v\",\"type\":\"bytes2\"}]", "[\"1234\"]", "0x"},
        {"[{\"name\":\"v\",\"type\":\"bytes\"}]", "[\"0x123\"]", "even number"},
        {"[{\"name\":\"v\",\"type\":\"bytes\"}]", "[\"0x12zz\"]", "hexadecimal"},
        {"[{\"name\":\"v\",\"type\":\"string\"}]", "[5]", "want a string"},
        {"[{\"name\":\"v\",\"type\":\"bool\"}]", "[1]", "want true or false"},
        {"[{\"name\":\"v\",\"type\":\"uint8[2]\"}]", "[[1]]", "want an array of 2"},
        {"[{\"name\":\"v\",\"type\":\"uint8[]\"}]", "[7]", "want an array"},
        {"[{\"name\":\"v\",\"type\":\"tuple[]\",\"components\":[{\"name\":\"k\",\"type\":\"uint8\"}]}]",
         "[[[1],[300]]]", "argument \"v[1].k\" of type uint8: 300"},
        {"[{\"name\":\"v\",\"type\":\"uint8\"}]", "[1,2]", "want an array of 1"},
        {"[{\"name\":\"v\",\"type\":\"uint8\"}]", "{\"w\":1}", "\"v\" is missing"},
        {"[{\"name\":\"v\",\"type\":\"uint8\"}]", "{\"v\":1,\"w\":1}", "by name"},
        {"[{\"name\":\"v\",\"type\":\"uint7\"}]", "[1]", "not a type"},
        {"[{\"name\":\"v\",\"type\":\"uint264\"}]", "[1]", "not a type"},
        {"[{\"name\":\"v\",\"type\":\"bytes33\"}]", "[1]", "not a type"},
        {"[{\"name\":\"v\",\"type\":\"fixed128x18\"}]", "[1]", "not a type"},
        {"[{\"name\":\"v\",\"type\":\"uint8[0]\"}]", "[[]]", "not a type"},
        {"[{\"name\":\"v\",\"type\":\"uint8]\"}]", "[[]]", "not a type"},
        {"[{\"name\":\"v\",\"type\":\"uint8[-1]\"}]", "[[]]", "not a type"},
        {"[{\"name\":\"v\",\"type\":\"uint8[99999999999999999999]\"}]", "[[]]", "more than"},
        {"[{\"name\":\"v\",\"type\":\"uint8[65536][65536]\"}]", "[[]]", "more than"},
        {"[{\"name\":\"v\",\"type\":\"tuple\"}]", "[[]]", "without components"},
        {"[{\"name\":\"v\"}]", "[1]", "type"},
        {"[{\"name\":\"v\",\"type\":\"uint8[][][][][][][][][][][][][][][][][]\"}]", "[[]]", "nested deeper"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rdg_buf_t out;
        CHECK_ERR(encode(cases[i].types, cases[i].args, &out), RDG_E_INVALID);
        if (!strstr(rdg_err_message(RDG_E_INVALID), cases[i].says))
            rdg_test_fail(__FILE__, __LINE__, "case %zu: %s", i, rdg_err_message(RDG_E_INVALID));
        rdg_buf_fini(&out);
    }
}

static void check_refused(const char *types, const char *hex) {
    rdg_buf_t data;
    char *text;
    rdg_buf_init(&data, 1 << 20);
    CHECK_OK(rdg_hex_decode_buf(hex, strlen(hex), &data));
    CHECK_ERR(decode(types, rdg_buf_view(&data), &text), RDG_E_MALFORMED);
    rdg_buf_fini(&data);
}

TEST(abi_refuses_hostile_data) {
    check_refused("[{\"type\":\"uint8\"}]", "");
    check_refused("[{\"type\":\"uint8\"}]",
                  "0000000000000000000000000000000000000000000000000000000000000100");
    check_refused("[{\"type\":\"int8\"}]", WORD("80"));
    check_refused("[{\"type\":\"int8\"}]",
                  "ff000000000000000000000000000000000000000000000000000000000000ff");
    check_refused("[{\"type\":\"bool\"}]", WORD("02"));
    check_refused("[{\"type\":\"address\"}]",
                  "0000000000000000000000010000000000000000000000000000000000000000");
    check_refused("[{\"type\":\"bytes31\"}]", WORD("01"));
    /* Offsets and lengths out of the data, or so large that sums could wrap. */
    static const char *const sizes[] = {WORD("21"),
                                        WORD("ff"),
                                        "00000000000000000000000000000000000000000000000000000000ffffffff",
                                        "000000000000000000000000000000000000000000000000ffffffffffffffe0",
                                        "0000000000000000000000000000000000000000000000010000000000000000",
                                        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char hex[200];
        snprintf(hex, sizeof hex, "%s%s", sizes[i], W0);
        check_refused("[{\"type\":\"bytes\"},{\"type\":\"uint8\"}]", hex);
        snprintf(hex, sizeof hex, "%s%s", WORD("20"), sizes[i]);
        check_refused("[{\"type\":\"bytes\"}]", hex);
        check_refused("[{\"type\":\"uint8[]\"}]", hex);
        check_refused("[{\"type\":\"uint8[65536][]\"}]", hex);
        check_refused("[{\"type\":\"string[]\"}]", hex);
    }
    check_refused("[{\"type\":\"string\"}]",
                  WORD("20") WORD("01") "ff00000000000000000000000000000000000000000000000000000000000000");
}

TEST(abi_values_that_share_bytes_cannot_grow_the_output) {
    /* 1,000 strings that all point at the same 1,000 bytes; nested arrays whose elements are all the same. */
    rdg_buf_t data;
    char *text;
    rdg_buf_init(&data, 1 << 20);
    uint8_t word[32] = {0}, body[1024];
    memset(body, 'x', sizeof body);
#define PUT(v) (rdg_store_be64(word + 24, v), rdg_buf_append(&data, word, 32))
    PUT(32);
    PUT(1000);
    for (int i = 0; i < 1000; i++) PUT(32000);
    PUT(1000);
    rdg_buf_append(&data, body, sizeof body);
    CHECK_ERR(decode("[{\"type\":\"string[]\"}]", rdg_buf_view(&data), &text), RDG_E_MALFORMED);
    rdg_buf_clear(&data);
    PUT(32);
    for (int level = 0; level < 9; level++) {
        PUT(30);
        for (int i = 0; i < 30; i++) PUT(30 * 32); /* all 30 elements are the next level's array */
    }
    PUT(0);
    CHECK_ERR(decode("[{\"type\":\"uint8[][][][][][][][][][]\"}]", rdg_buf_view(&data), &text),
              RDG_E_MALFORMED);
    rdg_buf_fini(&data);
}

static const char overloads[] =
    "[{\"type\":\"function\",\"name\":\"set\",\"inputs\":[{\"type\":\"uint256\"}]},"
    "{\"type\":\"function\",\"name\":\"set\",\"inputs\":[{\"type\":\"bytes\"}]},"
    "{\"type\":\"function\",\"name\":\"set\",\"inputs\":[{\"type\":\"tuple[2]\",\"components\":[{\"type\":"
    "\"bool\"},"
    "{\"type\":\"string\"}]},{\"type\":\"bool\"}]},{\"type\":\"event\",\"name\":\"set\",\"inputs\":[]}]";

TEST(abi_find_tells_overloads_apart) {
    json_t *abi = parse(overloads);
    const json_t *entry;
    rdg_buf_t text;
    rdg_buf_init(&text, 1000);
    CHECK_OK(rdg_abi_find(abi, "function", "set", 2, &entry));
    CHECK_OK(rdg_abi_signature(entry, &text));
    CHECK_STR(rdg_buf_cstr(&text), "set((bool,string)[2],bool)");
    CHECK_ERR(rdg_abi_find(abi, "function", "set", 1, &entry), RDG_E_INVALID);
    CHECK(strstr(rdg_err_message(RDG_E_INVALID), "set(bytes)") != NULL);
    CHECK_OK(rdg_abi_find(abi, "function", "set(bytes)", 1, &entry));
    CHECK(entry == json_array_get(abi, 1));
    CHECK_ERR(rdg_abi_find(abi, "function", "set", 3, &entry), RDG_E_NOT_FOUND);
    CHECK(strstr(rdg_err_message(RDG_E_NOT_FOUND), "set((bool,string)[2],bool)") != NULL);
    CHECK_ERR(rdg_abi_find(abi, "function", "get", RDG_ABI_ANY_COUNT, &entry), RDG_E_NOT_FOUND);
    CHECK_OK(rdg_abi_find(abi, "event", "set", RDG_ABI_ANY_COUNT, &entry));
    rdg_buf_fini(&text);
    json_decref(abi);
}

TEST(abi_constructor_may_be_left_out) {
    json_t *abi = parse("[]"), *args = parse("[]");
    json_t *with = parse("[{\"type\":\"constructor\",\"inputs\":[{\"name\":\"x\",\"type\":\"bool\"}]}]"),
           *yes = parse("[true]");
    const json_t *entry;
    rdg_buf_t out;
    rdg_buf_init(&out, 100);
    CHECK_OK(rdg_abi_find(abi, "constructor", NULL, 0, &entry));
    CHECK(entry == NULL);
    CHECK_OK(rdg_abi_encode_call(entry, args, keccak, &out));
    CHECK_EQ(out.len, 0);
    CHECK_ERR(rdg_abi_find(abi, "constructor", NULL, 1, &entry), RDG_E_NOT_FOUND);
    CHECK_ERR(rdg_abi_find(with, "constructor", NULL, 0, &entry), RDG_E_NOT_FOUND);
    CHECK_OK(rdg_abi_find(with, "constructor", NULL, 1, &entry));
    CHECK_OK(rdg_abi_encode_call(entry, yes, keccak, &out));
    CHECK_EQ(out.len, 32);
    rdg_buf_fini(&out);
    json_decref(abi);
    json_decref(args);
    json_decref(with);
    json_decref(yes);
}

TEST(abi_decodes_event_logs) {
    json_t *abi = parse("[{\"type\":\"event\",\"name\":\"Transfer\",\"anonymous\":false,\"inputs\":["
                        "{\"name\":\"from\",\"type\":\"address\",\"indexed\":true},"
                        "{\"name\":\"to\",\"type\":\"address\",\"indexed\":true},"
                        "{\"name\":\"value\",\"type\":\"uint256\",\"indexed\":false}]}]");
    uint8_t topics[3][32] = {{0}}, data[32] = {0};
    keccak("Transfer(address,address,uint256)", 33, topics[0]);
    topics[1][31] = 0xaa;
    topics[2][31] = 0xbb;
    data[31] = 7;
    json_t *log = NULL;
    CHECK_OK(rdg_abi_decode_log(abi, (const uint8_t(*)[32])topics, 3, rdg_bytes(data, 32), keccak, &log));
    char *text = rdg_json_text(log);
    CHECK_STR(text,
              "{\"event\":\"Transfer\",\"args\":{\"from\":\"0x00000000000000000000000000000000000000aa\","
              "\"to\":\"0x00000000000000000000000000000000000000bb\",\"value\":7}}");
    rdg_free(text);
    json_decref(log);
    CHECK_ERR(rdg_abi_decode_log(abi, (const uint8_t(*)[32])topics, 2, rdg_bytes(data, 32), keccak, &log),
              RDG_E_NOT_FOUND);
    CHECK_ERR(rdg_abi_decode_log(abi, NULL, 0, rdg_bytes(data, 32), keccak, &log), RDG_E_NOT_FOUND);
    CHECK_ERR(rdg_abi_decode_log(abi, (const uint8_t(*)[32])topics, 3, rdg_bytes(data, 31), keccak, &log),
              RDG_E_MALFORMED);
    topics[1][0] = 1;
    CHECK_ERR(rdg_abi_decode_log(abi, (const uint8_t(*)[32])topics, 3, rdg_bytes(data, 32), keccak, &log),
              RDG_E_MALFORMED);
    topics[0][0] ^= 1;
    CHECK_ERR(rdg_abi_decode_log(abi, (const uint8_t(*)[32])topics, 3, rdg_bytes(data, 32), keccak, &log),
              RDG_E_NOT_FOUND);
    CHECK(log == NULL);
    json_decref(abi);
}

static void check_revert(const char *abi_text, const char *hex, const char *want) {
    json_t *abi = abi_text ? parse(abi_text) : NULL;
    rdg_buf_t data, out;
    rdg_buf_init(&data, 4096);
    rdg_buf_init(&out, 4096);
    CHECK_OK(rdg_hex_decode_buf(hex, strlen(hex), &data));
    CHECK_OK(rdg_abi_decode_revert(abi, rdg_buf_view(&data), keccak, &out));
    CHECK_STR(rdg_buf_cstr(&out), want);
    rdg_buf_fini(&data);
    rdg_buf_fini(&out);
    json_decref(abi);
}

TEST(abi_reads_revert_reasons) {
    check_revert(NULL, "", "reverted without a reason");
    check_revert(NULL,
                 "08c379a0" WORD("20")
                     WORD("05") "6d65746572000000000000000000000000000000000000000000000000000000",
                 "meter");
    check_revert(NULL, "4e487b71" WORD("11"), "panic 0x11: arithmetic overflow or underflow");
    check_revert(NULL, "08c379a0" WORD("20"), "reverted with data 0x08c379a0" WORD("20"));
    check_revert(NULL, "010203", "reverted with data 0x010203");
    check_revert("[{\"type\":\"error\",\"name\":\"Low\",\"inputs\":[{\"name\":\"have\",\"type\":\"uint256\"},"
                 "{\"name\":\"want\",\"type\":\"uint256\"}]}]",
                 "01020304" WORD("01") WORD("02"), "Low{\"have\":1,\"want\":2}");
}

TEST(abi_survives_every_failed_allocation) {
    json_t *types =
        parse("[{\"name\":\"a\",\"type\":\"string[2][]\"},{\"name\":\"b\",\"type\":\"tuple\",\"components\":["
              "{\"name\":\"x\",\"type\":\"bytes\"}]}]");
    json_t *args = parse("[[[\"a\",\"b\"]],[\"0x1234\"]]");
    rdg_err_t err = RDG_OK;
    RDG_TEST_ALLOC_LOOP(err) {
        rdg_buf_t data;
        json_t *back = NULL;
        rdg_buf_init(&data, 4096);
        err = rdg_abi_encode(types, args, &data);
        if (err == RDG_OK) err = rdg_abi_decode(types, rdg_buf_view(&data), &back);
        json_decref(back);
        rdg_buf_fini(&data);
    }
    CHECK_OK(err);
    json_decref(types);
    json_decref(args);
}
