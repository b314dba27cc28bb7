/* Hexadecimal, with or without "0x". Decoding accepts upper and lower case, refuses odd lengths and any
 * other character, and never writes past the stated size. */
#ifndef RIDGE_CODEC_HEX_H
#define RIDGE_CODEC_HEX_H
#include "ridge/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

/* out gets 2*len digits and a NUL. */
void rdg_hex_encode(const void *data, size_t len, char *out);
/* Exactly len bytes; an optional "0x" in front is skipped. MALFORMED names the first wrong position. */
rdg_err_t rdg_hex_decode(const char *text, size_t text_len, void *out, size_t len);
/* Any even number of digits, appended to out (whose max is the limit). */
rdg_err_t rdg_hex_decode_buf(const char *text, size_t text_len, rdg_buf_t *out);
rdg_err_t rdg_hex_append(rdg_buf_t *out, const void *data, size_t len, bool prefix);

#ifdef __cplusplus
}
#endif
#endif
