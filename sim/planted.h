/* Bugs planted in the host part of the simulator; those in the core are libs/consensus/src/planted.h. Both ask for the
 * same name, and neither exists in the program that judges the core. */
#ifndef SIM_PLANTED_H
#define SIM_PLANTED_H
#include <stdbool.h>
#include <string.h>

extern const char *sim_planted;
#ifdef RIDGE_SIM_BUGS
#define PLANTED(name) (sim_planted && strcmp(sim_planted, name) == 0)
#else
#define PLANTED(name) false
#endif

#endif
