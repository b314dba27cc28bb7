/* RLP, Ethereum yellow paper appendix B: what is hashed or signed is encoded so.
 *
 * Decoding is strict: one encoding per value. Refused as MALFORMED: a single byte below 0x80 with a
 * prefix, a long form where the short one fits, a length with a leading zero, an item that runs past its
 * list, trailing bytes (where rdg_rlp_done is checked), an integer with a leading zero or too wide.
 * Decoders are cursors over borrowed memory; views point into it. Nesting costs no stack. */
#ifndef RIDGE_CODEC_RLP_H
#define RIDGE_CODEC_RLP_H
#include "ridge/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- encode ------------------------------------------------------------------------------------ */
rdg_err_t rdg_rlp_put_bytes(rdg_buf_t *out, rdg_bytes_t v);
rdg_err_t rdg_rlp_put_u64(rdg_buf_t *out, uint64_t v);              /* minimal big-endian, 0 is empty */
rdg_err_t rdg_rlp_put_uint(rdg_buf_t *out, rdg_bytes_t big_endian); /* leading zeros stripped */
rdg_err_t rdg_rlp_put_str(rdg_buf_t *out, const char *s);
/* A list: remember the position, append the items, then close it (inserts the header). Lists may nest. */
size_t rdg_rlp_list_begin(rdg_buf_t *out);
rdg_err_t rdg_rlp_list_end(rdg_buf_t *out, size_t begin);
rdg_err_t rdg_rlp_put_raw(rdg_buf_t *out, rdg_bytes_t encoded_items); /* already RLP */

/* --- decode ------------------------------------------------------------------------------------ */
typedef struct rdg_rlp {
    const uint8_t *pos, *end;
    rdg_err_t err; /* sticky: RDG_OK or RDG_E_MALFORMED */
} rdg_rlp_t;

void rdg_rlp_init(rdg_rlp_t *c, rdg_bytes_t src);
/* Enters the list that is the next item: *sub iterates its items, c moves behind it. */
rdg_err_t rdg_rlp_list(rdg_rlp_t *c, rdg_rlp_t *sub);
rdg_bytes_t rdg_rlp_bytes(rdg_rlp_t *c);                 /* string item; empty on error */
rdg_bytes_t rdg_rlp_bytes_max(rdg_rlp_t *c, size_t max); /* MALFORMED if longer */
void rdg_rlp_fixed(rdg_rlp_t *c, void *out, size_t len); /* exactly len bytes, else zeroed + error */
uint64_t rdg_rlp_u64(rdg_rlp_t *c);
void rdg_rlp_uint256(rdg_rlp_t *c, uint8_t out[32]); /* big-endian, left-padded */
rdg_bytes_t rdg_rlp_raw(rdg_rlp_t *c);               /* the next item whole, with its header */
bool rdg_rlp_is_list(const rdg_rlp_t *c);            /* peeks */
bool rdg_rlp_more(const rdg_rlp_t *c);               /* no error and items left */
rdg_err_t rdg_rlp_done(const rdg_rlp_t *c);          /* MALFORMED on a sticky error or if items are left */

#ifdef __cplusplus
}
#endif
#endif
