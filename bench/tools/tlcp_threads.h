/* Handshakes between two threads: one is all clients, the other all servers, TLCP_THREADS_PAIRS under way at a time, so
 * that both are busy all the time. What comes out is the machine's rate by the wall clock, with all that it costs to
 * share it; it says something only when both threads have a core. */
#ifndef RIDGE_BENCH_TLCP_THREADS_H
#define RIDGE_BENCH_TLCP_THREADS_H
#include "ridge/tlcp/tlcp.h"

#define TLCP_THREADS_PAIRS 32

/* config[role]; handshakes per second. */
double tlcp_threads_rate(const rdg_tlcp_config_t config[2], int64_t now_s, double seconds);

#endif
