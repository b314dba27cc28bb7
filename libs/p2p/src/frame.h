/* Cutting a byte stream into frames: u32 length, u8 type, payload. */
#ifndef RIDGE_P2P_FRAME_H
#define RIDGE_P2P_FRAME_H
#include "ridge/base/buf.h"

#define FRAME_HEAD 5

/* Looks at the front of in. RDG_OK: *type and *payload (borrowed from in) are set and *used bytes are to be
 * consumed; *used 0: more bytes are needed. TOO_LARGE: the frame would exceed max; MALFORMED: length 0. */
rdg_err_t frame_next(rdg_bytes_t in, size_t max, uint8_t *type, rdg_bytes_t *payload, size_t *used);
void frame_head(uint8_t out[FRAME_HEAD], uint8_t type, size_t payload_len);

#endif
