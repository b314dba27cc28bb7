/* Dice for one run: everything that chance decides comes from the seed, through streams that do not disturb one
 * another. A packet's fate is thrown by its link and number, so that dropping a fault from a schedule changes as
 * little else as can be. SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). */
#ifndef SIM_DICE_H
#define SIM_DICE_H
#include <stdbool.h>
#include <stdint.h>

typedef struct dice {
    uint64_t state;
} dice_t;

static inline uint64_t dice_mix(uint64_t z) {
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
static inline dice_t dice_of(uint64_t seed, uint64_t stream) {
    return (dice_t){dice_mix(seed ^ dice_mix(stream))};
}
static inline uint64_t dice_next(dice_t *d) {
    return dice_mix(d->state++);
}
static inline uint64_t dice_below(dice_t *d, uint64_t limit) {
    return limit > 0 ? dice_next(d) % limit : 0;
}
static inline uint64_t dice_between(dice_t *d, uint64_t low, uint64_t high) {
    return low + dice_below(d, high - low + 1);
}
static inline bool dice_percent(dice_t *d, uint64_t percent) {
    return dice_below(d, 100) < percent;
}

#endif
