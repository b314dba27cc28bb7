#include "giver_turn.h"

#define HOLD_BASE_MS 60000
#define HOLD_CHUNK_MS 250
#define WAITING_MS 30000 /* who asks no more has gone elsewhere */

void turn_init(turn_t *t) {
    *t = (turn_t){.maker = SIZE_MAX, .waiter = SIZE_MAX};
}

uint64_t turn_hold_ms(uint32_t chunks) {
    return HOLD_BASE_MS + (uint64_t)chunks * HOLD_CHUNK_MS;
}

bool turn_is_held(const turn_t *t, uint32_t chunks, uint64_t now_ms) {
    return t->made && now_ms - t->used_ms < TURN_IDLE_MS && now_ms - t->made_ms < turn_hold_ms(chunks);
}

static bool anybody_waits(const turn_t *t, uint64_t now_ms) {
    return t->waiting_ms != 0 && now_ms - t->waiting_ms < WAITING_MS;
}

bool turn_is_over(const turn_t *t, uint32_t chunks, uint64_t now_ms) {
    return t->made && anybody_waits(t, now_ms) && now_ms - t->made_ms >= turn_hold_ms(chunks);
}

bool turn_ask(turn_t *t, size_t peer, uint32_t chunks, bool busy, uint64_t now_ms) {
    bool others = anybody_waits(t, now_ms) && t->waiter != peer;
    if (!busy && !turn_is_held(t, chunks, now_ms) && !(others && peer == t->maker)) {
        if (t->waiter == peer) t->waiting_ms = 0;
        t->maker = peer;
        return true;
    }
    if (peer != t->maker && !others) t->waiter = peer, t->waiting_ms = now_ms ? now_ms : 1;
    return false;
}

void turn_made(turn_t *t, uint64_t now_ms) {
    t->made = true;
    t->made_ms = t->used_ms = now_ms;
}

void turn_used(turn_t *t, uint64_t now_ms) {
    t->used_ms = now_ms;
}

void turn_dropped(turn_t *t) {
    t->made = false;
}
