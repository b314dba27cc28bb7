/* Room on a device's disk: images that nothing needs go, the one that was pulled longest ago first, when all of them
 * together take more than a budget.
 *
 * Invariants
 * 1. A layer or blob of an image in `needed` stays, whatever the budget; so does one that another image which stays
 *    shares.
 * 2. A record goes before what it names: a cut in between leaves no image that is there by half.
 * 3. An image's kept signature goes with it.
 * 4. What a pull left behind (parts, layers and signatures of no image) goes when it is older than IMAGE_LITTER_S.
 * Not beside a pull: the caller sees to that. At most IMAGE_RECORDS_MAX images are looked at. */
#ifndef RIDGE_CONTAINER_IMAGE_COLLECT_H
#define RIDGE_CONTAINER_IMAGE_COLLECT_H
#include "image.h"

#define IMAGE_RECORDS_MAX 256
#define IMAGE_LITTER_S (24 * 3600)

/* *freed is added to. */
rdg_err_t image_collect(const char *root, const char *const *needed, size_t needed_count,
                        uint64_t budget_bytes, uint64_t *freed);

#endif
