#include "frame.h"

rdg_err_t frame_next(rdg_bytes_t in, size_t max, uint8_t *type, rdg_bytes_t *payload, size_t *used) {
    *used = 0;
    if (in.len < 4) return RDG_OK;
    size_t len = rdg_load_be32(in.data);
    if (len == 0) return rdg_fail(RDG_E_MALFORMED, "a frame of length 0");
    if (len > max)
        return rdg_fail(RDG_E_TOO_LARGE, "a frame of %zu bytes, at most %zu are allowed now", len, max);
    if (in.len - 4 < len) return RDG_OK;
    *type = in.data[4];
    *payload = rdg_bytes(in.data + FRAME_HEAD, len - 1);
    *used = 4 + len;
    return RDG_OK;
}

void frame_head(uint8_t out[FRAME_HEAD], uint8_t type, size_t payload_len) {
    rdg_store_be32(out, (uint32_t)(payload_len + 1));
    out[4] = type;
}
