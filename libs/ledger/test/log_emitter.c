#include "log_emitter.h"

static const uint8_t DEPLOYS[] = {0x60, 0x81, 0x80, 0x60, 0x09, 0x5f, 0x39, 0x5f, 0xf3};
/* At 1, with the place in the input on the stack: ends behind the input, else pushes topics, size and offset, and jumps
 * to 40 + 16 * number. */
static const uint8_t LOOP[] = {0x5f, 0x5b, 0x36, 0x81, 0x10, 0x15, 0x60, 0x7f, 0x57, 0x80,
                               0x60, 0x80, 0x01, 0x35, 0x81, 0x60, 0x60, 0x01, 0x35, 0x82,
                               0x60, 0x40, 0x01, 0x35, 0x83, 0x60, 0x20, 0x01, 0x35, 0x5f,
                               0x5f, 0x86, 0x35, 0x60, 0x04, 0x1b, 0x60, 0x28, 0x01, 0x56};
static const uint8_t NEXT[] = {0x5b, 0x60, 0xa0, 0x01, 0x60,
                               0x01, 0x56, 0x5b, 0x00}; /* at 120; the end at 127 */

void emitter_code(uint8_t out[EMITTER_CODE_BYTES]) {
    memset(out, 0, EMITTER_CODE_BYTES);
    memcpy(out, DEPLOYS, sizeof DEPLOYS);
    uint8_t *code = out + sizeof DEPLOYS;
    memcpy(code, LOOP, sizeof LOOP);
    for (uint8_t n = 0; n <= 4; ++n) {
        uint8_t *entry = code + sizeof LOOP + 16 * n;
        *entry++ = 0x5b;
        *entry++ = (uint8_t)(0xa0 + n);
        for (uint8_t i = n; i < 4; ++i) *entry++ = 0x50;
        memcpy(entry, (const uint8_t[]){0x60, 0x78, 0x56}, 3);
    }
    memcpy(code + 120, NEXT, sizeof NEXT);
}
