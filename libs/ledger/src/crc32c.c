#include "crc32c.h"
#include <pthread.h>

static uint32_t table[8][256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void make_table(void) {
    for (uint32_t i = 0; i < 256; ++i) {
        uint32_t c = i;
        for (int k = 0; k < 8; ++k) c = (c >> 1) ^ (0x82f63b78u & (0u - (c & 1u)));
        table[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; ++i)
        for (int t = 1; t < 8; ++t) table[t][i] = (table[t - 1][i] >> 8) ^ table[0][table[t - 1][i] & 255u];
}

/* Eight bytes at a time, one table for each position. */
uint32_t crc32c(uint32_t crc, rdg_bytes_t data) {
    pthread_once(&table_once, make_table);
    const uint8_t *p = data.data, *end = p + data.len;
    uint32_t c = ~crc;
    for (; end - p >= 8; p += 8)
        c = table[7][(c ^ p[0]) & 255u] ^ table[6][((c >> 8) ^ p[1]) & 255u] ^
            table[5][((c >> 16) ^ p[2]) & 255u] ^ table[4][(c >> 24) ^ p[3]] ^ table[3][p[4]] ^
            table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
    for (; p < end; ++p) c = (c >> 8) ^ table[0][(c ^ *p) & 255u];
    return ~c;
}
