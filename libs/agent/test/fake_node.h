/* A chain node as far as the agent sees one: JSON-RPC over HTTP, blocks when asked for the head, and the
 * Metering contract's rules. In this process, or (fake_node_main) as a program that reads node.conf. */
#ifndef RIDGE_AGENT_TEST_FAKE_NODE_H
#define RIDGE_AGENT_TEST_FAKE_NODE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "ridge/base/error.h"

typedef struct fake_node fake_node_t;

fake_node_t *fake_node_start(uint16_t port); /* fails the test */
void fake_node_stop(fake_node_t *n);
const char *fake_node_url(const fake_node_t *n);
/* What happens to transactions from now on. */
void fake_node_hold(fake_node_t *n, bool hold); /* they are taken and not included */
void fake_node_forget(fake_node_t *n);          /* what was not included is lost, as when a node restarts */
void fake_node_full(fake_node_t *n, bool full); /* the pool answers FULL */
void fake_node_jump(fake_node_t *n, uint64_t height);
/* Totals of the contract. */
uint64_t fake_node_count(fake_node_t *n);
int64_t fake_node_sum(fake_node_t *n);
uint64_t fake_node_reverts(fake_node_t *n);
uint64_t fake_node_sends(fake_node_t *n);  /* ridge_sendTransaction calls, also repeated ones */
size_t fake_node_distinct(fake_node_t *n); /* transactions included */

/* Runs as a node until SIGTERM, when this program was started with "--config FILE" and FAKE_NODE is set. */
void fake_node_main(int argc, char **argv);

#endif
