/* Telemetry on its way to the cloud (docs/device-protocol.md, "Telemetry").
 *
 *   gathered ──► window in memory ──► acknowledged: gone
 *                  │ no answer, full, stopped
 *                  ▼
 *                spool on disk ──► sent as backlog ──► acknowledged: gone
 *
 * Invariants
 * 1. A record leaves this device's keeping only when the cloud has said that it has stored it, or when the spool's budget
 *    gives up the oldest. What is in the window is lost when power is cut: TELEMETRY_WINDOW records or
 *    TELEMETRY_WINDOW_MS at most, none of them acknowledged. So a healthy link costs the disk no write.
 * 2. Live before backlog: a record is sent the moment it is made; of the backlog one message at a time, the next when the
 *    cloud has answered the last, and none before a record made since the link came up was answered.
 * 3. Back-pressure: what the cloud's answer says to hold is held; a backlog message without an answer is sent again after
 *    20 s, doubling up to 5 min, and given up after 8 times that the cloud answered others but never it. */
#ifndef RIDGE_AGENT_TELEMETRY_H
#define RIDGE_AGENT_TELEMETRY_H
#include "agent_internal.h"
#include "host_stats.h"
#include "spool.h"

#define TELEMETRY_WINDOW 16
#define TELEMETRY_WINDOW_MS 60000u
#define TELEMETRY_ANSWER_MS 15000u
#define TELEMETRY_BACKLOG_RECORDS 32
#define TELEMETRY_BACKLOG_BYTES (24u << 10)

/* telemetry_record.c: everything but seq. own: the spool of telemetry. */
void telemetry_gather(rdg_agent_t *a, host_stats_t *host, const spool_stats_t *own, rdg_telemetry_t *t);

#endif
