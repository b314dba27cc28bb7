/* Bugs that the simulator plants into the core to prove that it finds them (sim/bugs.c names each and what must find
 * it). A hook is one condition at the place where the bug would be; without RIDGE_SIM_BUGS, which only sim/ defines
 * for a program of its own, each is `false` and nothing of it is compiled. */
#ifndef RIDGE_CONSENSUS_PLANTED_H
#define RIDGE_CONSENSUS_PLANTED_H
#include <stdbool.h>

#ifdef RIDGE_SIM_BUGS
#include <string.h>
extern const char *sim_planted; /* the name of the bug, or NULL */
#define PLANTED(name) (sim_planted && strcmp(sim_planted, name) == 0)
#else
#define PLANTED(name) false
#endif

#endif
