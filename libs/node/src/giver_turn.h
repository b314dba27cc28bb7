/* Whose turn it is at the one snapshot that a node gives at a time. Pure: the caller brings the time.
 *
 * 1. A snapshot that is asked for is kept for those who ask for another height to wait, but no longer than
 *    turn_hold_ms after it was made: a peer that asks and asks holds nobody up for longer.
 * 2. Who had the last one made does not get the next one while another peer waits for its own. */
#ifndef RIDGE_NODE_GIVER_TURN_H
#define RIDGE_NODE_GIVER_TURN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TURN_IDLE_MS 60000 /* not asked for so long: another height need not wait */

typedef struct turn {
    bool made; /* there is a snapshot */
    size_t maker, waiter;
    uint64_t made_ms, used_ms, waiting_ms; /* waiting_ms: when waiter last asked; 0: nobody waits */
} turn_t;

void turn_init(turn_t *t);
/* Time to take all of it, at some 4 chunks (1 MB) a second. */
uint64_t turn_hold_ms(uint32_t chunks);
/* Whether those who ask for another height have to wait. */
bool turn_is_held(const turn_t *t, uint32_t chunks, uint64_t now_ms);
/* Its time is over and somebody waits: it is given no more. */
bool turn_is_over(const turn_t *t, uint32_t chunks, uint64_t now_ms);
/* A peer wants another height. True: make it now, for that peer; false: it waits. */
bool turn_ask(turn_t *t, size_t peer, uint32_t chunks, bool busy, uint64_t now_ms);
void turn_made(turn_t *t, uint64_t now_ms); /* it is ready */
void turn_used(turn_t *t, uint64_t now_ms);
void turn_dropped(turn_t *t);

#endif
