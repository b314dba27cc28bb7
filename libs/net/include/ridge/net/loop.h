/* The event loop (libuv): timers and work posted from other threads. Everything but post belongs to the loop's
 * thread. */
#ifndef RIDGE_NET_LOOP_H
#define RIDGE_NET_LOOP_H
#include <stdint.h>
#include "ridge/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdg_loop rdg_loop_t;
typedef struct rdg_timer rdg_timer_t;

rdg_err_t rdg_loop_new(rdg_loop_t **out);
void rdg_loop_free(rdg_loop_t *l);       /* closes what is left; the loop must not be running */
rdg_err_t rdg_loop_run(rdg_loop_t *l);   /* until rdg_loop_stop */
void rdg_loop_stop(rdg_loop_t *l);       /* thread-safe */
uint64_t rdg_loop_now_ms(rdg_loop_t *l); /* monotonic */
/* Thread-safe: fn(arg) runs on the loop's thread, in order of posting. NO_MEMORY, or FULL beyond 65,536 waiting. */
rdg_err_t rdg_loop_post(rdg_loop_t *l, void (*fn)(void *arg), void *arg);
/* Stops the loop on SIGINT and SIGTERM; SIGPIPE is ignored. */
rdg_err_t rdg_loop_handle_signals(rdg_loop_t *l);

rdg_err_t rdg_timer_new(rdg_loop_t *l, void (*fn)(void *arg), void *arg, rdg_timer_t **out);
void rdg_timer_free(rdg_timer_t *t); /* from the loop's thread; also inside its own callback */
void rdg_timer_start(rdg_timer_t *t, uint64_t after_ms, uint64_t repeat_ms); /* repeat 0: once; restarts */
void rdg_timer_stop(rdg_timer_t *t);

/* fn runs on a pool thread, done on the loop's thread. At most 1,024 in flight (FULL). */
rdg_err_t rdg_loop_work(rdg_loop_t *l, void (*fn)(void *arg), void (*done)(void *arg), void *arg);

#ifdef __cplusplus
}
#endif
#endif
