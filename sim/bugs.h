/* Planted bugs: what the simulator must find, or it proves nothing. The hooks are PLANTED(name) in libs/consensus/src
 * (planted.h there) for the core and in sim/ for the host. */
#ifndef SIM_BUGS_H
#define SIM_BUGS_H
#include <stddef.h>
#include <stdint.h>

typedef struct bug {
    const char *name, *says, *protocol, *scenario;
    uint64_t seeds;   /* within so many it must be found */
    const char *laws; /* that it may be found by */
} bug_t;

const bug_t *bug_at(size_t i); /* NULL past the last */

#endif
