/* Places that a fuzz target must have reached by its end, so that a corpus that has come to say nothing is
 * noticed. Each target names its places in an enum that ends with CANARIES, gives their names in
 * canary_names[], and calls canary(place). A process that ran fewer inputs than a corpus holds (one that
 * reproduces a finding) is not judged. */
#ifndef RIDGE_TLCP_FUZZ_CANARY_H
#define RIDGE_TLCP_FUZZ_CANARY_H
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CANARY_INPUTS 20

static bool canary_seen[CANARIES];
static unsigned canary_inputs;

static void canary_judge(void) {
    bool dead = false;
    for (int i = 0; i < CANARIES && canary_inputs >= CANARY_INPUTS; i++) {
        if (canary_seen[i]) continue;
        fprintf(stderr, "canary: never reached: %s\n", canary_names[i]);
        dead = true;
    }
    if (dead) _exit(1);
}

static void canary_input(void) {
    if (canary_inputs++ == 0) atexit(canary_judge);
}

static void canary(int place) {
    canary_seen[place] = true;
}

#endif
