/* JSON by jansson (json_t), with the helpers that every caller would write again.
 *
 * Parsing has limits: RDG_JSON_TEXT_MAX bytes (TOO_LARGE; callers with a smaller limit check before), and
 * jansson's nesting limit (JSON_PARSER_MAX_DEPTH 2048); duplicate keys, "\u0000" and invalid UTF-8 are
 * refused. Any JSON value may stand at the top. Integers are those of 64 bits signed.
 * Getters return INVALID with a text that names the field and what was expected; a null field counts as
 * absent. json_t values are reference-counted without atomics: one thread at a time. */
#ifndef RIDGE_CODEC_JSON_H
#define RIDGE_CODEC_JSON_H
#include <jansson.h>
#include "ridge/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_JSON_TEXT_MAX (32 << 20)

/* Returns owned (json_decref). MALFORMED names line, column and what is wrong. */
rdg_err_t rdg_json_parse(rdg_bytes_t text, json_t **out);
rdg_err_t rdg_json_dump(const json_t *v, rdg_buf_t *out);        /* compact, keys in insertion order */
rdg_err_t rdg_json_dump_pretty(const json_t *v, rdg_buf_t *out); /* indented by 2 */
char *rdg_json_text(const json_t *v); /* compact; returns owned (rdg_free), NULL: no memory */

/* Object fields; borrowed results. The _opt forms leave *out untouched when the field is absent or null. */
rdg_err_t rdg_json_get_str(const json_t *o, const char *field, const char **out);
rdg_err_t rdg_json_opt_str(const json_t *o, const char *field, const char **out);
rdg_err_t rdg_json_get_u64(const json_t *o, const char *field, uint64_t *out);
rdg_err_t rdg_json_opt_u64(const json_t *o, const char *field, uint64_t *out);
rdg_err_t rdg_json_opt_bool(const json_t *o, const char *field, bool *out);
rdg_err_t rdg_json_get_array(const json_t *o, const char *field, json_t **out);
rdg_err_t rdg_json_get_object(const json_t *o, const char *field, json_t **out);
/* Hex of exactly len bytes, with or without "0x". */
rdg_err_t rdg_json_get_hex(const json_t *o, const char *field, void *out, size_t len);
/* Ethereum JSON-RPC quantities ("0x1f", no leading zeros on output; input also accepts them). */
json_t *rdg_json_quantity(uint64_t v);
json_t *rdg_json_hex(const void *data, size_t len); /* "0x…" */
rdg_err_t rdg_json_quantity_parse(const json_t *v, uint64_t *out);

#ifdef __cplusplus
}
#endif
#endif
