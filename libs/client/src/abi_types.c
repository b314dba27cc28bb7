/* A list of types as people write it, "uint256 amount,(string,bytes32[])[2] notes", as the JSON ABI's parameters. */
#include <string.h>
#include "api_internal.h"

enum { DEPTH_MAX = 16, TYPES_MAX = 256, WORD_MAX = 256 };

typedef struct reader {
    const char *start, *at;
    unsigned depth;
} reader_t;

static rdg_err_t refuse(const reader_t *r, const char *why) {
    return rdg_fail(RDG_E_INVALID, "types \"%.100s\", at character %zu: %s", r->start,
                    (size_t)(r->at - r->start) + 1, why);
}

static void skip_spaces(reader_t *r) {
    while (*r->at == ' ') ++r->at;
}

/* Up to a space, comma or parenthesis; may be empty. */
static rdg_err_t read_word(reader_t *r, const char **word, size_t *len) {
    *word = r->at;
    *len = strcspn(r->at, " ,()");
    if (*len > WORD_MAX) return refuse(r, "a type or name of more than 256 characters");
    r->at += *len;
    return RDG_OK;
}

static rdg_err_t read_list(reader_t *r, char end, json_t **out);

/* "tuple" and what stands behind the parenthesis, with the components. */
static rdg_err_t read_tuple(reader_t *r, json_t *param) {
    json_t *components = NULL;
    const char *suffix;
    size_t len;
    char type[WORD_MAX + 8] = "tuple";
    if (++r->depth > DEPTH_MAX) return refuse(r, "tuples are nested more than 16 deep");
    ++r->at;
    RDG_TRY(read_list(r, ')', &components));
    --r->depth;
    rdg_err_t err = json_object_set_new(param, "components", components) == 0 ? RDG_OK : RDG_E_NO_MEMORY;
    if (err == RDG_OK) err = read_word(r, &suffix, &len);
    if (err != RDG_OK) return err;
    memcpy(type + 5, suffix, len);
    return json_object_set_new(param, "type", json_stringn(type, 5 + len)) == 0 ? RDG_OK : RDG_E_NO_MEMORY;
}

static rdg_err_t read_plain(reader_t *r, json_t *param) {
    const char *word;
    size_t len;
    RDG_TRY(read_word(r, &word, &len));
    if (len == 0) return refuse(r, "want a type");
    /* What ethers and Solidity take for their longer names. */
    bool is_int = len == 3 && memcmp(word, "int", 3) == 0, is_uint = len == 4 && memcmp(word, "uint", 4) == 0;
    json_t *type = is_int    ? json_string("int256")
                   : is_uint ? json_string("uint256")
                             : json_stringn(word, len);
    return json_object_set_new(param, "type", type) == 0 ? RDG_OK : RDG_E_NO_MEMORY;
}

static rdg_err_t read_param(reader_t *r, json_t *param) {
    const char *name;
    size_t len;
    skip_spaces(r);
    RDG_TRY(*r->at == '(' ? read_tuple(r, param) : read_plain(r, param));
    skip_spaces(r);
    RDG_TRY(read_word(r, &name, &len));
    skip_spaces(r);
    return json_object_set_new(param, "name", json_stringn(name, len)) == 0 ? RDG_OK : RDG_E_NO_MEMORY;
}

static rdg_err_t read_params(reader_t *r, char end, json_t *list) {
    skip_spaces(r);
    while (*r->at != end) {
        json_t *param = json_object();
        if (json_array_append_new(list, param) != 0) return RDG_E_NO_MEMORY;
        if (json_array_size(list) > TYPES_MAX) return refuse(r, "more than 256 types in a list");
        RDG_TRY(read_param(r, param));
        if (*r->at == end) break;
        if (*r->at != ',') return refuse(r, end ? "want \",\" or \")\"" : "want \",\" or the end");
        ++r->at;
        skip_spaces(r);
        if (*r->at == end) return refuse(r, "want a type");
    }
    if (end) ++r->at;
    return RDG_OK;
}

static rdg_err_t read_list(reader_t *r, char end, json_t **out) {
    json_t *list = json_array();
    rdg_err_t err = list ? read_params(r, end, list) : RDG_E_NO_MEMORY;
    if (err != RDG_OK) {
        json_decref(list);
        return err;
    }
    *out = list;
    return RDG_OK;
}

rdg_err_t api_types(const char *text, json_t **out) {
    reader_t r = {.start = text ? text : "", .at = text ? text : ""};
    *out = NULL;
    return read_list(&r, 0, out);
}
