/* A disk: a log of batches, each with its length and checksum. What was not synced is lost in part when the power
 * goes, the last of it torn; a byte may turn; it may be full.
 *
 * A batch is one store of the node: records put and deleted, a block. It comes back whole or not at all. */
#ifndef SIM_DISK_H
#define SIM_DISK_H
#include "dice.h"
#include "ridge/base/buf.h"

typedef struct disk {
    rdg_buf_t log;
    size_t synced;
    bool full;
    uint64_t syncs;
} disk_t;

enum { DISK_PUT = 1, DISK_DELETE = 2, DISK_BLOCK = 3 };

void disk_init(disk_t *d);
void disk_fini(disk_t *d);
/* A batch is built with these and written at once. DISK_FULL leaves the disk as it was. */
void disk_batch_begin(rdg_buf_t *batch);
void disk_batch_put(rdg_buf_t *batch, uint8_t kind, rdg_bytes_t key, rdg_bytes_t value);
rdg_err_t disk_write(disk_t *d, const rdg_buf_t *batch, bool sync);
void disk_power_cut(disk_t *d, dice_t *dice);
/* Turns a byte of what was synced. */
void disk_rot(disk_t *d, dice_t *dice);
void disk_wipe(disk_t *d);
/* Hands every entry to `each`, oldest first. CORRUPT if a checksum is wrong before the end that a power cut may have
 * torn: nothing can be trusted then. */
rdg_err_t disk_read(disk_t *d, void (*each)(void *ctx, uint8_t kind, rdg_bytes_t key, rdg_bytes_t value),
                    void *ctx);

#endif
