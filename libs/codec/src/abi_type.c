#include "abi_type.h"

#include <stdlib.h>
#include <string.h>

static rdg_err_t no_memory(void) {
    return rdg_fail(RDG_E_NO_MEMORY, "ABI: out of memory, or more than 1 MiB of types");
}

static rdg_err_t unknown(const abi_type_t *t) {
    return rdg_fail(RDG_E_INVALID, "ABI: parameter \"%s\": \"%.100s\" is not a type of Solidity's ABI",
                    t->name, t->text);
}

/* 1 to 4 digits without a leading zero at *p, which moves behind them; 0 if there are none. */
static unsigned small_number(const char **p) {
    unsigned v = 0;
    if (**p == '0') return 0;
    for (int i = 0; i < 4 && **p >= '0' && **p <= '9'; i++) v = v * 10 + (unsigned)(*(*p)++ - '0');
    return v;
}

static rdg_err_t parse_integer(abi_type_t *t, const char *digits) {
    t->size = *digits ? small_number(&digits) : 256;
    return *digits || t->size == 0 || t->size > 256 || t->size % 8 != 0 ? unknown(t) : RDG_OK;
}

static rdg_err_t parse_elementary(abi_type_t *t) {
    static const struct {
        const char *text;
        abi_kind_t kind;
        unsigned size;
    } plain[] = {{"address", ABI_ADDRESS, 20},
                 {"bool", ABI_BOOL, 1},
                 {"bytes", ABI_BYTES, 0},
                 {"string", ABI_STRING, 0},
                 {"function", ABI_FIXED_BYTES, 24}};
    t->head_bytes = ABI_WORD;
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        if (strcmp(t->text, plain[i].text) != 0) continue;
        t->kind = plain[i].kind, t->size = plain[i].size;
        t->dynamic = t->kind == ABI_BYTES || t->kind == ABI_STRING;
        return RDG_OK;
    }
    if (strncmp(t->text, "uint", 4) == 0) {
        t->kind = ABI_UINT;
        return parse_integer(t, t->text + 4);
    }
    if (strncmp(t->text, "int", 3) == 0) {
        t->kind = ABI_INT;
        return parse_integer(t, t->text + 3);
    }
    if (strncmp(t->text, "bytes", 5) == 0) {
        const char *p = t->text + 5;
        t->kind = ABI_FIXED_BYTES, t->size = small_number(&p);
        return *p || t->size == 0 || t->size > 32 ? unknown(t) : RDG_OK;
    }
    return unknown(t);
}

static rdg_err_t parse_text(rdg_arena_t *arena, const json_t *parameter, unsigned depth, abi_type_t *t);

/* text ends in ']': what stands before its '[' is the element type. */
static rdg_err_t parse_array(rdg_arena_t *arena, const json_t *parameter, unsigned depth, abi_type_t *t) {
    const char *open = strrchr(t->text, '[');
    if (!open) return unknown(t);
    abi_type_t *element = rdg_arena_calloc(arena, 1, sizeof *element);
    char *text = rdg_arena_copy(arena, t->text, (size_t)(open - t->text) + 1);
    if (!element || !text) return no_memory();
    text[open - t->text] = 0;
    element->name = t->name, element->text = text;
    RDG_TRY(parse_text(arena, parameter, depth + 1, element));
    t->children = element;
    if (open[1] == ']') {
        t->kind = ABI_ARRAY, t->dynamic = true, t->head_bytes = ABI_WORD;
        return RDG_OK;
    }
    char *end;
    unsigned long count = open[1] >= '1' && open[1] <= '9' ? strtoul(open + 1, &end, 10) : 0;
    if (count == 0 || strcmp(end, "]") != 0) return unknown(t);
    if (count > ABI_ITEMS_MAX || count * (element->head_bytes / ABI_WORD) > ABI_ITEMS_MAX)
        return rdg_fail(RDG_E_INVALID, "ABI: parameter \"%s\": type \"%.100s\" has more than %d items",
                        t->name, t->text, ABI_ITEMS_MAX);
    t->kind = ABI_FIXED_ARRAY, t->count = count, t->dynamic = element->dynamic;
    t->head_bytes = t->dynamic ? ABI_WORD : count * element->head_bytes;
    return RDG_OK;
}

static rdg_err_t parse_text(rdg_arena_t *arena, const json_t *parameter, unsigned depth, abi_type_t *t) {
    if (depth > ABI_DEPTH_MAX)
        return rdg_fail(RDG_E_INVALID, "ABI: parameter \"%s\": types nested deeper than %d", t->name,
                        ABI_DEPTH_MAX);
    size_t len = strlen(t->text);
    if (len && t->text[len - 1] == ']') return parse_array(arena, parameter, depth, t);
    if (strcmp(t->text, "tuple") != 0) return parse_elementary(t);
    const char *name = t->name, *text = t->text;
    RDG_TRY(rdg_abi_tuple_parse(arena, json_object_get(parameter, "components"), depth, t));
    t->name = name, t->text = text;
    if (t->count == 0)
        return rdg_fail(RDG_E_INVALID, "ABI: parameter \"%s\": a tuple without components", name);
    return RDG_OK;
}

rdg_err_t rdg_abi_type_parse(rdg_arena_t *arena, const json_t *parameter, unsigned depth, abi_type_t *out) {
    *out = (abi_type_t){.name = "", .text = ""};
    RDG_TRY(rdg_json_opt_str(parameter, "name", &out->name));
    RDG_TRY(rdg_json_get_str(parameter, "type", &out->text));
    return parse_text(arena, parameter, depth, out);
}

static bool all_named(const abi_type_t *children, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!*children[i].name) return false;
        for (size_t k = 0; k < i; k++)
            if (strcmp(children[i].name, children[k].name) == 0) return false;
    }
    return count > 0;
}

rdg_err_t rdg_abi_tuple_parse(rdg_arena_t *arena, const json_t *parameters, unsigned depth, abi_type_t *out) {
    *out = (abi_type_t){.kind = ABI_TUPLE, .name = "", .text = "tuple"};
    if (parameters && !json_is_array(parameters))
        return rdg_fail(RDG_E_INVALID, "ABI: a list of parameters is not a JSON array");
    size_t count = json_array_size(parameters);
    if (count > 256) return rdg_fail(RDG_E_INVALID, "ABI: a list of %zu parameters; the limit is 256", count);
    abi_type_t *children = rdg_arena_calloc(arena, count ? count : 1, sizeof *children);
    if (!children) return no_memory();
    for (size_t i = 0; i < count; i++) {
        RDG_TRY(rdg_abi_type_parse(arena, json_array_get(parameters, i), depth + 1, &children[i]));
        out->dynamic |= children[i].dynamic;
        out->head_bytes += children[i].head_bytes;
    }
    if (out->head_bytes > (size_t)ABI_ITEMS_MAX * ABI_WORD)
        return rdg_fail(RDG_E_INVALID, "ABI: parameters of more than %d items", ABI_ITEMS_MAX);
    if (out->dynamic) out->head_bytes = ABI_WORD;
    out->children = children, out->count = count;
    out->named = all_named(children, count);
    return RDG_OK;
}
