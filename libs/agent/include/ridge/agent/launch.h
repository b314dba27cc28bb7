/* Which program is this device's agent. main() of ridge-agent calls rdg_agent_launch first: when an update has brought
 * another one, that is what runs from then on, and this call does not return.
 *
 * An update that is on trial runs as a child, which has to reach its cloud within trial_ms: its local interface is asked.
 * Then it is made this device's agent; else (it ends three times, hangs, or stays alone) what was there before runs
 * again, and the command that brought it fails with the reason. Power may be cut at any moment.
 *
 * Whatever is in the way of an update (a damaged file, a full disk), this program itself runs. */
#ifndef RIDGE_AGENT_LAUNCH_H
#define RIDGE_AGENT_LAUNCH_H
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_AGENT_TRIAL_MS 300000u

/* Returns when this program is to be the agent. Before any thread; SIGTERM and SIGINT are blocked. trial_ms 0:
 * RDG_AGENT_TRIAL_MS. */
void rdg_agent_launch(const char *dir, char **argv, uint64_t trial_ms);
/* For an agent that has ended because an update waits (rdg_agent_update_waits): runs the installed program, which
 * launches. Returns only if that fails. */
void rdg_agent_relaunch(char **argv);

#ifdef __cplusplus
}
#endif
#endif
