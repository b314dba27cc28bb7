/* Token buckets in a table of fixed size: a caller beyond its rate is refused, and however many callers come,
 * memory stays. A newcomer takes the longest unused place of its set. */
#ifndef RIDGE_SERVICE_RATE_H
#define RIDGE_SERVICE_RATE_H
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define RDG_RATE_SETS 128
#define RDG_RATE_WAYS 8

typedef struct rdg_rate {
    pthread_mutex_t lock;
    uint64_t seed, per_s, burst;
    struct {
        uint64_t key, at_ms, milli; /* milli-requests left */
    } slots[RDG_RATE_SETS][RDG_RATE_WAYS];
} rdg_rate_t;

void rdg_rate_init(rdg_rate_t *r, uint64_t per_s, uint64_t burst, uint64_t seed);
void rdg_rate_fini(rdg_rate_t *r);
uint64_t rdg_rate_key(uint64_t seed, const char *text);                 /* never 0 */
bool rdg_rate_take(rdg_rate_t *r, const char *caller, uint64_t now_ms); /* false: over the rate */

#endif
