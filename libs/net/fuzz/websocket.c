/* Any bytes from a WebSocket peer: messages are within their limit, and all memory is accounted for and given back. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "ws_internal.h"

enum { MESSAGE_MAX = 1000, TOTAL_MAX = 3000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void init(ws_hub_t *hub) {
    hub->options =
        (rdg_ws_options_t){.max_message = MESSAGE_MAX, .total_bytes = TOTAL_MAX, .queue_bytes = TOTAL_MAX};
    hub->event = -1;
    hub->woken = true;
    pthread_mutex_init(&hub->lock, NULL);
    pthread_cond_init(&hub->work, NULL);
    rdg_list_init(&hub->jobs);
}

/* What a worker does; false: there was nothing. */
static bool take(ws_hub_t *hub, rdg_ws_t *ws) {
    if (!ws->busy) return false;
    RDG_LIST_EACH(it, &ws->inbox) {
        size_t len = RDG_LIST_ENTRY(it, ws_message_t, node)->bytes.len;
        RDG_ASSERT(len <= MESSAGE_MAX);
        hub->held -= len;
    }
    ws_messages_free(&ws->inbox);
    rdg_list_remove(&ws->job);
    ws->busy = false;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static ws_hub_t hub;
    int fds[2];
    if (!hub.woken) init(&hub);
    RDG_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    rdg_ws_t ws = {.hub = &hub, .fd = fds[0], .extra_len = size};
    rdg_list_init(&ws.inbox);
    rdg_list_init(&ws.outbox);
    RDG_ASSERT(ws_frames_init(&ws) == RDG_OK);
    ws.extra = rdg_alloc(size + 1);
    if (size > 0) memcpy(ws.extra, data, size);
    while (ws_frames_pump(&ws, 1) && take(&hub, &ws)) RDG_ASSERT(hub.held <= TOTAL_MAX);
    (void)take(&hub, &ws);
    RDG_ASSERT(hub.held == ws.in.len);
    hub.held = 0;
    ws_frames_fini(&ws);
    rdg_free(ws.extra);
    close(fds[0]);
    close(fds[1]);
    return 0;
}
