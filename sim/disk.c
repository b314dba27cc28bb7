#include "disk.h"
#include <string.h>

#define LOG_MAX (64u << 20)
#define HEAD 12 /* length, checksum */

static uint64_t checksum(rdg_bytes_t b) {
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < b.len; ++i) h = (h ^ b.data[i]) * 0x100000001b3u;
    return h;
}

void disk_init(disk_t *d) {
    memset(d, 0, sizeof *d);
    rdg_buf_init(&d->log, LOG_MAX);
}

void disk_fini(disk_t *d) {
    rdg_buf_fini(&d->log);
}

void disk_batch_begin(rdg_buf_t *batch) {
    rdg_buf_init(batch, LOG_MAX);
}

void disk_batch_put(rdg_buf_t *batch, uint8_t kind, rdg_bytes_t key, rdg_bytes_t value) {
    rdg_buf_u8(batch, kind);
    rdg_buf_u32(batch, (uint32_t)key.len);
    rdg_buf_u32(batch, (uint32_t)value.len);
    rdg_buf_append(batch, key.data, key.len);
    rdg_buf_append(batch, value.data, value.len);
}

rdg_err_t disk_write(disk_t *d, const rdg_buf_t *batch, bool sync) {
    if (d->full) return RDG_E_DISK_FULL;
    rdg_buf_u32(&d->log, (uint32_t)batch->len);
    rdg_buf_u64(&d->log, checksum(rdg_buf_view(batch)));
    rdg_buf_append(&d->log, batch->data, batch->len);
    if (sync) {
        d->synced = d->log.len;
        ++d->syncs;
    }
    return rdg_buf_err(&d->log);
}

/* Any prefix of the unsynced bytes may have reached the disk; the last of them may be wrong. */
void disk_power_cut(disk_t *d, dice_t *dice) {
    size_t tail = d->log.len - d->synced;
    d->log.len = d->synced + (size_t)dice_below(dice, tail + 1);
    if (d->log.len > d->synced && dice_percent(dice, 30)) d->log.data[d->log.len - 1] ^= 0x55;
}

void disk_rot(disk_t *d, dice_t *dice) {
    if (d->synced > 0) d->log.data[dice_below(dice, d->synced)] ^= (uint8_t)(1u << dice_below(dice, 8));
}

void disk_wipe(disk_t *d) {
    rdg_buf_clear(&d->log);
    d->synced = 0;
    d->full = false;
}

static void read_batch(rdg_bytes_t batch,
                       void (*each)(void *ctx, uint8_t kind, rdg_bytes_t key, rdg_bytes_t value), void *ctx) {
    rdg_reader_t r;
    rdg_reader_init(&r, batch);
    while (rdg_reader_left(&r) > 0) {
        uint8_t kind = rdg_read_u8(&r);
        uint32_t key_len = rdg_read_u32(&r), value_len = rdg_read_u32(&r);
        rdg_bytes_t key = rdg_read_bytes(&r, key_len), value = rdg_read_bytes(&r, value_len);
        if (rdg_reader_ok(&r)) each(ctx, kind, key, value);
    }
}

rdg_err_t disk_read(disk_t *d, void (*each)(void *ctx, uint8_t kind, rdg_bytes_t key, rdg_bytes_t value),
                    void *ctx) {
    rdg_reader_t r;
    size_t good = 0;
    rdg_reader_init(&r, rdg_buf_view(&d->log));
    while (rdg_reader_left(&r) > 0) {
        uint32_t len = rdg_read_u32(&r);
        uint64_t sum = rdg_read_u64(&r);
        rdg_bytes_t batch = rdg_read_bytes(&r, len);
        if (!rdg_reader_ok(&r) || checksum(batch) != sum) break;
        good += HEAD + batch.len;
    }
    if (good < d->synced) return rdg_fail(RDG_E_CORRUPT, "a checksum of the disk is wrong");
    d->log.len = d->synced = good; /* a torn tail is cut off */
    rdg_reader_init(&r, rdg_buf_view(&d->log));
    while (rdg_reader_left(&r) > 0) {
        uint32_t len = rdg_read_u32(&r);
        (void)rdg_read_u64(&r);
        read_batch(rdg_read_bytes(&r, len), each, ctx);
    }
    return RDG_OK;
}
