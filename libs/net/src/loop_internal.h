/* What the other files of net know of the loop: its uv loop, the buffer all reads share, and the list of
 * things that rdg_loop_free has to close. */
#ifndef RIDGE_NET_LOOP_INTERNAL_H
#define RIDGE_NET_LOOP_INTERNAL_H
#include <uv.h>
#include "ridge/base/list.h"
#include "ridge/net/loop.h"

#define LOOP_READ_BUFFER_BYTES 65536u

/* Something of the loop; drop ends it without calling the user back. A stream below it is still there then, and may
 * be closing already: drop takes its events away, so that it tells nobody. */
typedef struct loop_item {
    rdg_list_t node;
    void (*drop)(struct loop_item *item);
} loop_item_t;

uv_loop_t *loop_uv(rdg_loop_t *l);
void loop_add(rdg_loop_t *l, loop_item_t *item, void (*drop)(loop_item_t *item));
void loop_remove(loop_item_t *item);
/* libuv calls alloc and read back to back on one thread, so that one buffer serves every stream of a loop. */
uv_buf_t loop_read_buffer(rdg_loop_t *l);
/* Maps a libuv error, which is a negated errno, and records "<what>: <reason>". */
__attribute__((format(printf, 2, 3))) rdg_err_t uv_fail(int status, const char *fmt, ...);

#endif
