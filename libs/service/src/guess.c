#include "guess.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include "rate.h"

#define FULL_MS ((uint64_t)GUESS_BURST * GUESS_REFILL_MS)

void rdg_guesses_init(rdg_guesses_t *g, uint64_t seed) {
    memset(g, 0, sizeof *g);
    pthread_mutex_init(&g->lock, NULL);
    g->seed = seed;
}

void rdg_guesses_fini(rdg_guesses_t *g) {
    pthread_mutex_destroy(&g->lock);
}

static uint64_t origin_key(const rdg_guesses_t *g, const char *remote) {
    struct in6_addr a;
    char text[INET6_ADDRSTRLEN];
    if (inet_pton(AF_INET6, remote, &a) != 1) return rdg_rate_key(g->seed, remote);
    if (IN6_IS_ADDR_V4MAPPED(&a)) {
        inet_ntop(AF_INET, a.s6_addr + 12, text, sizeof text);
    } else {
        memset(a.s6_addr + 8, 0, 8);
        inet_ntop(AF_INET6, &a, text, sizeof text);
    }
    return rdg_rate_key(g->seed, text);
}

static bool is_known(const uint64_t known[GUESS_KNOWN], uint64_t who) {
    for (size_t i = 0; i < GUESS_KNOWN; ++i)
        if (known[i] == who) return true;
    return false;
}

/* Call with the lock held. The address's place, or that of the one that was longest unused. */
static guess_slot_t *place(rdg_guesses_t *g, uint64_t key, uint64_t now_ms) {
    guess_slot_t *set = g->slots[key % GUESS_SETS], *s = set;
    for (size_t i = 0; i < GUESS_WAYS; ++i) {
        if (set[i].key == key) return &set[i];
        if (s->key && (!set[i].key || set[i].at_ms < s->at_ms)) s = &set[i];
    }
    *s = (guess_slot_t){.key = key, .at_ms = now_ms, .left_ms = FULL_MS};
    return s;
}

static void refill(guess_slot_t *s, uint64_t now_ms) {
    uint64_t passed = now_ms > s->at_ms ? now_ms - s->at_ms : 0;
    s->left_ms = passed >= FULL_MS - s->left_ms ? FULL_MS : s->left_ms + passed;
    s->at_ms = now_ms;
    if (s->left_ms == FULL_MS) s->told = false;
}

bool rdg_guesses_judge(rdg_guesses_t *g, const char *remote, const char *who, uint64_t now_ms, bool *burst) {
    const uint64_t key = origin_key(g, remote), person = who ? rdg_rate_key(g->seed, who) : 0;
    pthread_mutex_lock(&g->lock);
    guess_slot_t *s = place(g, key, now_ms);
    refill(s, now_ms);
    bool known = who && is_known(s->known, person), open = s->left_ms >= GUESS_REFILL_MS;
    if (!who && open) s->left_ms -= GUESS_REFILL_MS;
    if (who && open && !known) s->known[s->next_known++ % GUESS_KNOWN] = person;
    *burst = !known && !open && !s->told;
    s->told = s->told || *burst;
    pthread_mutex_unlock(&g->lock);
    return known || open;
}
