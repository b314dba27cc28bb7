/* The event loop (libuv): timers, signals, blocking work, and functions posted from other threads.
 *
 * 1. Everything but post and stop belongs to the thread that runs the loop.
 * 2. Functions posted by one thread run in the order of posting, each exactly once, on the loop's thread.
 * 3. rdg_loop_free waits for blocking work that has started, closes every timer, stream and listener that is
 *    left without calling its callbacks, and drops posted functions that have not run: whoever owns their
 *    arguments frees the loop first.
 * Limits: RDG_LOOP_POSTS_MAX posted functions waiting, RDG_LOOP_WORK_MAX pieces of work in flight; beyond:
 * FULL. */
#ifndef RIDGE_NET_LOOP_H
#define RIDGE_NET_LOOP_H
#include <stdint.h>
#include "ridge/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_LOOP_POSTS_MAX 65536
#define RDG_LOOP_WORK_MAX 1024

typedef struct rdg_loop rdg_loop_t;
typedef struct rdg_timer rdg_timer_t;

/* From the first loop on, the process ignores SIGPIPE. */
rdg_err_t rdg_loop_new(rdg_loop_t **out);
void rdg_loop_free(rdg_loop_t *l);     /* the loop must not be running; NULL is fine */
rdg_err_t rdg_loop_run(rdg_loop_t *l); /* until rdg_loop_stop; one that came before makes it return at once */
void rdg_loop_stop(rdg_loop_t *l);     /* thread-safe, any number of times */
uint64_t rdg_loop_now_ms(rdg_loop_t *l); /* monotonic, as of now (not of the turn's begin) */
/* Thread-safe: fn(arg) runs on the loop's thread. NO_MEMORY, FULL. */
rdg_err_t rdg_loop_post(rdg_loop_t *l, void (*fn)(void *arg), void *arg);
/* Stops the loop on SIGINT and SIGTERM. */
rdg_err_t rdg_loop_handle_signals(rdg_loop_t *l);

rdg_err_t rdg_timer_new(rdg_loop_t *l, void (*fn)(void *arg), void *arg, rdg_timer_t **out);
void rdg_timer_free(rdg_timer_t *t); /* from the loop's thread; also inside its own callback; NULL is fine */
void rdg_timer_start(rdg_timer_t *t, uint64_t after_ms, uint64_t repeat_ms); /* repeat 0: once; restarts */
void rdg_timer_stop(rdg_timer_t *t);

/* fn runs on a pool thread (libuv's, 4 of them), done on the loop's thread. NO_MEMORY, FULL. */
rdg_err_t rdg_loop_work(rdg_loop_t *l, void (*fn)(void *arg), void (*done)(void *arg), void *arg);

#ifdef __cplusplus
}
#endif
#endif
