/* Guessed access tokens, by the address that they come from.
 *
 * Each token that nobody has takes one from its address's bucket: GUESS_BURST, one back every GUESS_REFILL_MS. While it is
 * empty the address is barred: what it presents counts for nothing, right or wrong, so that nothing is learned by going on.
 *
 * Invariants
 * 1. One address bars itself alone. An address is an IPv4 one, or the first 64 bits of an IPv6 one, for these are one
 *    network's and cost nothing to change.
 * 2. Many may share an address (a proxy in front of the cloud, NAT): a caller who was let in from there before stays in
 *    while it is barred, the last GUESS_KNOWN of them.
 * 3. Memory stays: a newcomer takes the longest unused place of its set, and what was known of that address is forgotten.
 * 4. Tokens that have expired or were revoked are no guesses, nor is none at all.
 *
 * Thread-safe. */
#ifndef RIDGE_SERVICE_GUESS_H
#define RIDGE_SERVICE_GUESS_H
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUESS_SETS 128
#define GUESS_WAYS 8
#define GUESS_KNOWN 8
#define GUESS_BURST 20
#define GUESS_REFILL_MS 3000

typedef struct guess_slot {
    uint64_t key, at_ms, left_ms; /* left_ms: GUESS_REFILL_MS for each guess */
    uint64_t known[GUESS_KNOWN];
    unsigned next_known;
    bool told; /* of this burst */
} guess_slot_t;

typedef struct rdg_guesses {
    pthread_mutex_t lock;
    uint64_t seed;
    guess_slot_t slots[GUESS_SETS][GUESS_WAYS];
} rdg_guesses_t;

void rdg_guesses_init(rdg_guesses_t *g, uint64_t seed);
void rdg_guesses_fini(rdg_guesses_t *g);
/* who: whose token came from this address; NULL: nobody's. False: the address is barred. *burst: for the first time since
 * its bucket was full. */
bool rdg_guesses_judge(rdg_guesses_t *g, const char *remote, const char *who, uint64_t now_ms, bool *burst);

#endif
