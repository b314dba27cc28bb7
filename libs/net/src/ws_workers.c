/* The threads that call the user: a connection is with one of them at a time. */
#include "ridge/base/alloc.h"
#include "ws_internal.h"

void ws_workers_push(ws_hub_t *h, rdg_ws_t *ws) {
    ws->busy = true;
    rdg_list_append(&h->jobs, &ws->job);
    pthread_cond_signal(&h->work);
}

static rdg_ws_t *pop(ws_hub_t *h) {
    while (rdg_list_empty(&h->jobs) && !h->workers_stopping) pthread_cond_wait(&h->work, &h->lock);
    if (rdg_list_empty(&h->jobs)) return NULL;
    rdg_ws_t *ws = RDG_LIST_ENTRY(h->jobs.next, rdg_ws_t, job);
    rdg_list_remove(&ws->job);
    return ws;
}

/* Both with the lock held, as before and after. A message's memory counts until it has been handled. */
static void handle_next(ws_hub_t *h, rdg_ws_t *ws) {
    ws_message_t *m = RDG_LIST_ENTRY(ws->inbox.next, ws_message_t, node);
    size_t len = m->bytes.len;
    rdg_list_remove(&m->node);
    pthread_mutex_unlock(&h->lock);
    h->options.message(h->options.ctx, ws->user, ws, rdg_buf_view(&m->bytes));
    ws_message_free(m);
    pthread_mutex_lock(&h->lock);
    h->held -= len;
}

static void handle(ws_hub_t *h, rdg_ws_t *ws) {
    while (ws->opened && !ws->gone && !rdg_list_empty(&ws->inbox)) handle_next(h, ws);
    if (!ws->gone) {
        ws->busy = false;
        ws_hub_wake(h);
        return;
    }
    RDG_LIST_EACH(it, &ws->inbox) h->held -= RDG_LIST_ENTRY(it, ws_message_t, node)->bytes.len;
    pthread_mutex_unlock(&h->lock);
    if (ws->opened) h->options.closed(h->options.ctx, ws->user);
    rdg_ws_unref(ws);
    pthread_mutex_lock(&h->lock);
}

static void *work(void *arg) {
    ws_hub_t *h = arg;
    rdg_ws_t *ws;
    pthread_mutex_lock(&h->lock);
    while ((ws = pop(h))) handle(h, ws);
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

rdg_err_t ws_workers_start(ws_hub_t *h) {
    unsigned wanted = h->options.threads;
    if (wanted > sizeof h->workers / sizeof h->workers[0]) wanted = sizeof h->workers / sizeof h->workers[0];
    for (; h->worker_count < wanted; ++h->worker_count) {
        int why = pthread_create(&h->workers[h->worker_count], NULL, work, h);
        if (why != 0) return rdg_fail_errno(why, "cannot start a thread for WebSocket messages");
    }
    return RDG_OK;
}

void ws_workers_stop(ws_hub_t *h) {
    pthread_mutex_lock(&h->lock);
    h->workers_stopping = true;
    pthread_cond_broadcast(&h->work);
    pthread_mutex_unlock(&h->lock);
    for (unsigned i = 0; i < h->worker_count; ++i) pthread_join(h->workers[i], NULL);
    h->worker_count = 0;
}
