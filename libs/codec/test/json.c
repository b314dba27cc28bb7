#include "ridge/codec/json.h"
#include "ridge/test.h"

static json_t *parse(const char *text) {
    json_t *v = NULL;
    CHECK_OK(rdg_json_parse(rdg_bytes_str(text), &v));
    return v;
}

TEST(json_parse_names_place_and_reason) {
    json_t *v = NULL;
    CHECK_ERR(rdg_json_parse(rdg_bytes_str("{\"a\":1,\n\"a\":2}"), &v), RDG_E_MALFORMED);
    CHECK(v == NULL);
    CHECK(strstr(rdg_err_message(RDG_E_MALFORMED), "line 2") != NULL);
    CHECK_ERR(rdg_json_parse(rdg_bytes_str("{\"a\":1} x"), &v), RDG_E_MALFORMED);
    CHECK_ERR(rdg_json_parse(rdg_bytes(NULL, 0), &v), RDG_E_MALFORMED);
    CHECK_ERR(rdg_json_parse(rdg_bytes_str("\"\\u0000\""), &v), RDG_E_MALFORMED);
    CHECK_ERR(rdg_json_parse(rdg_bytes_str("\"\xff\""), &v), RDG_E_MALFORMED);
    char deep[5000];
    memset(deep, '[', sizeof deep);
    CHECK_ERR(rdg_json_parse(rdg_bytes(deep, sizeof deep), &v), RDG_E_MALFORMED);
}

TEST(json_dump_keeps_order_and_is_compact) {
    json_t *v = parse("{ \"z\": 1, \"a\": [true, null, \"\xe4\xba\x91\"] }");
    char *text = rdg_json_text(v);
    CHECK_STR(text, "{\"z\":1,\"a\":[true,null,\"\xe4\xba\x91\"]}");
    rdg_free(text);
    rdg_buf_t b;
    rdg_buf_init(&b, 4);
    CHECK_ERR(rdg_json_dump(v, &b), RDG_E_TOO_LARGE);
    rdg_buf_fini(&b);
    json_decref(v);
}

TEST(json_getters_name_the_field_and_what_was_expected) {
    json_t *v =
        parse("{\"s\":\"x\",\"n\":5,\"neg\":-1,\"b\":true,\"a\":[],\"o\":{},\"h\":\"0x0102\",\"nil\":null}");
    const char *s = NULL;
    uint64_t n = 0;
    bool b = false;
    json_t *j;
    uint8_t raw[2];
    CHECK_OK(rdg_json_get_str(v, "s", &s));
    CHECK_STR(s, "x");
    CHECK_OK(rdg_json_get_u64(v, "n", &n));
    CHECK_EQ(n, 5);
    CHECK_OK(rdg_json_opt_bool(v, "b", &b));
    CHECK(b);
    CHECK_OK(rdg_json_get_array(v, "a", &j));
    CHECK_OK(rdg_json_get_object(v, "o", &j));
    CHECK_OK(rdg_json_get_hex(v, "h", raw, 2));
    CHECK_MEM(raw, "\1\2", 2);

    CHECK_ERR(rdg_json_get_str(v, "missing", &s), RDG_E_INVALID);
    CHECK_STR(rdg_err_message(RDG_E_INVALID), "field \"missing\" is missing: expected a string");
    CHECK_ERR(rdg_json_get_str(v, "nil", &s), RDG_E_INVALID);
    CHECK_ERR(rdg_json_get_str(v, "n", &s), RDG_E_INVALID);
    CHECK_STR(rdg_err_message(RDG_E_INVALID), "field \"n\": expected a string, got an integer");
    CHECK_ERR(rdg_json_get_u64(v, "neg", &n), RDG_E_INVALID);
    CHECK_ERR(rdg_json_get_u64(v, "s", &n), RDG_E_INVALID);
    CHECK_ERR(rdg_json_get_array(v, "o", &j), RDG_E_INVALID);
    CHECK_ERR(rdg_json_get_object(v, "a", &j), RDG_E_INVALID);
    CHECK_ERR(rdg_json_get_hex(v, "h", raw, 1), RDG_E_INVALID);
    CHECK_ERR(rdg_json_opt_bool(v, "n", &b), RDG_E_INVALID);
    CHECK_ERR(rdg_json_get_str(NULL, "x", &s), RDG_E_INVALID);
    json_t *list = parse("[]");
    CHECK_ERR(rdg_json_opt_str(list, "x", &s), RDG_E_INVALID);
    json_decref(list);

    s = "kept", n = 77;
    CHECK_OK(rdg_json_opt_str(v, "missing", &s));
    CHECK_OK(rdg_json_opt_u64(v, "nil", &n));
    CHECK_STR(s, "kept");
    CHECK_EQ(n, 77);
    json_decref(v);
}

TEST(json_quantities_are_those_of_ethereum) {
    static const struct {
        const char *text;
        bool ok;
        uint64_t v;
    } cases[] = {{"\"0x0\"", true, 0},
                 {"\"0x1F\"", true, 31},
                 {"\"0x00ff\"", true, 255},
                 {"\"0xffffffffffffffff\"", true, UINT64_MAX},
                 {"\"0x10000000000000000\"", false, 0},
                 {"\"0x\"", false, 0},
                 {"\"12\"", false, 0},
                 {"12", false, 0},
                 {"\"0xg\"", false, 0},
                 {"null", false, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *v = parse(cases[i].text);
        uint64_t n = 1;
        rdg_err_t err = rdg_json_quantity_parse(v, &n);
        CHECK_ERR(err, cases[i].ok ? RDG_OK : RDG_E_INVALID);
        if (cases[i].ok) CHECK(n == cases[i].v);
        json_decref(v);
    }
    json_t *q = rdg_json_quantity(31), *h = rdg_json_hex("\x00\xff", 2), *empty = rdg_json_hex(NULL, 0);
    CHECK_STR(json_string_value(q), "0x1f");
    CHECK_STR(json_string_value(h), "0x00ff");
    CHECK_STR(json_string_value(empty), "0x");
    json_decref(q);
    json_decref(h);
    json_decref(empty);
}
