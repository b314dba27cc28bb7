/* Base64 of RFC 4648, section 4, with padding. Decoding passes over spaces and line ends, wants the padding,
 * refuses any other character and bits that would be dropped, and never writes past the stated size. Not for
 * secrets: time depends on the characters. */
#ifndef RIDGE_CODEC_BASE64_H
#define RIDGE_CODEC_BASE64_H
#include "ridge/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

rdg_err_t rdg_base64_append(rdg_buf_t *out, const void *data, size_t len); /* on one line */
/* MALFORMED, TOO_LARGE (more than size bytes). */
rdg_err_t rdg_base64_decode(rdg_bytes_t text, void *out, size_t size, size_t *len);

#ifdef __cplusplus
}
#endif
#endif
