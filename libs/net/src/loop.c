#include "loop_internal.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

typedef struct post {
    struct post *next;
    void (*fn)(void *arg);
    void *arg;
} post_t;

struct rdg_loop {
    uv_loop_t uv;
    uv_async_t wake;
    uv_signal_t signals[2];
    bool signals_used;
    atomic_bool stopping;
    pthread_mutex_t mutex; /* guards first, last, posted */
    post_t *first, *last;
    size_t posted;
    size_t working;
    rdg_list_t items;
    char read_buffer[LOOP_READ_BUFFER_BYTES];
};

struct rdg_timer {
    loop_item_t item;
    uv_timer_t uv;
    void (*fn)(void *arg);
    void *arg;
};

typedef struct work {
    uv_work_t uv;
    rdg_loop_t *loop;
    void (*fn)(void *arg);
    void (*done)(void *arg);
    void *arg;
} work_t;

rdg_err_t uv_fail(int status, const char *fmt, ...) {
    char what[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    /* libuv has codes of its own (UV_EAI_*) below every errno. */
    if (status < -1000) return rdg_fail(RDG_E_UNAVAILABLE, "%s: %s", what, uv_strerror(status));
    return rdg_fail_errno(-status, "%s", what);
}

uv_loop_t *loop_uv(rdg_loop_t *l) {
    return &l->uv;
}

void loop_add(rdg_loop_t *l, loop_item_t *item, void (*drop)(loop_item_t *item)) {
    item->drop = drop;
    rdg_list_append(&l->items, &item->node);
}

void loop_remove(loop_item_t *item) {
    rdg_list_remove(&item->node);
}

uv_buf_t loop_read_buffer(rdg_loop_t *l) {
    return uv_buf_init(l->read_buffer, sizeof l->read_buffer);
}

static void run_posts(rdg_loop_t *l) {
    pthread_mutex_lock(&l->mutex);
    post_t *p = l->first;
    l->first = l->last = NULL;
    pthread_mutex_unlock(&l->mutex);
    while (p) {
        post_t *next = p->next;
        pthread_mutex_lock(&l->mutex);
        --l->posted;
        pthread_mutex_unlock(&l->mutex);
        p->fn(p->arg);
        rdg_free(p);
        p = next;
    }
}

static void on_wake(uv_async_t *wake) {
    rdg_loop_t *l = wake->data;
    run_posts(l);
    if (atomic_load(&l->stopping)) uv_stop(&l->uv);
}

rdg_err_t rdg_loop_new(rdg_loop_t **out) {
    rdg_loop_t *l = rdg_calloc(1, sizeof *l);
    if (!l) return rdg_fail(RDG_E_NO_MEMORY, "no memory for an event loop");
    /* libuv writes to sockets without MSG_NOSIGNAL: a peer that hangs up would end the process. */
    signal(SIGPIPE, SIG_IGN);
    int status = uv_loop_init(&l->uv);
    if (status < 0) {
        rdg_free(l);
        return uv_fail(status, "cannot make an event loop");
    }
    status = uv_async_init(&l->uv, &l->wake, on_wake);
    if (status < 0) {
        uv_loop_close(&l->uv);
        rdg_free(l);
        return uv_fail(status, "cannot make an event loop");
    }
    l->wake.data = l;
    pthread_mutex_init(&l->mutex, NULL);
    rdg_list_init(&l->items);
    *out = l;
    return RDG_OK;
}

static void drop_posts(rdg_loop_t *l) {
    while (l->first) {
        post_t *p = l->first;
        l->first = p->next;
        rdg_free(p);
    }
    l->last = NULL;
    l->posted = 0;
}

void rdg_loop_free(rdg_loop_t *l) {
    if (!l) return;
    /* Newest first: whatever stands on another stream was made after it. */
    while (!rdg_list_empty(&l->items)) {
        loop_item_t *item = RDG_LIST_ENTRY(l->items.prev, loop_item_t, node);
        loop_remove(item);
        item->drop(item);
    }
    if (l->signals_used)
        for (int i = 0; i < 2; ++i) uv_close((uv_handle_t *)&l->signals[i], NULL);
    uv_close((uv_handle_t *)&l->wake, NULL);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    RDG_ASSERT(uv_loop_close(&l->uv) == 0);
    drop_posts(l);
    pthread_mutex_destroy(&l->mutex);
    rdg_free(l);
}

rdg_err_t rdg_loop_run(rdg_loop_t *l) {
    while (!atomic_exchange(&l->stopping, false)) uv_run(&l->uv, UV_RUN_DEFAULT);
    return RDG_OK;
}

void rdg_loop_stop(rdg_loop_t *l) {
    atomic_store(&l->stopping, true);
    uv_async_send(&l->wake);
}

uint64_t rdg_loop_now_ms(rdg_loop_t *l) {
    (void)l;
    return uv_hrtime() / 1000000;
}

rdg_err_t rdg_loop_post(rdg_loop_t *l, void (*fn)(void *arg), void *arg) {
    post_t *p = rdg_alloc(sizeof *p);
    if (!p) return rdg_fail(RDG_E_NO_MEMORY, "no memory to post to an event loop");
    *p = (post_t){NULL, fn, arg};
    pthread_mutex_lock(&l->mutex);
    if (l->posted == RDG_LOOP_POSTS_MAX) {
        pthread_mutex_unlock(&l->mutex);
        rdg_free(p);
        return rdg_fail(RDG_E_FULL, "%d functions wait for the event loop already", RDG_LOOP_POSTS_MAX);
    }
    ++l->posted;
    if (l->last)
        l->last->next = p;
    else
        l->first = p;
    l->last = p;
    pthread_mutex_unlock(&l->mutex);
    uv_async_send(&l->wake);
    return RDG_OK;
}

static void on_signal(uv_signal_t *signal, int number) {
    (void)number;
    rdg_loop_stop(signal->data);
}

rdg_err_t rdg_loop_handle_signals(rdg_loop_t *l) {
    static const int numbers[2] = {SIGINT, SIGTERM};
    if (l->signals_used) return RDG_OK;
    for (int i = 0; i < 2; ++i) {
        RDG_ASSERT(uv_signal_init(&l->uv, &l->signals[i]) == 0);
        l->signals[i].data = l;
    }
    l->signals_used = true;
    for (int i = 0; i < 2; ++i) {
        int status = uv_signal_start(&l->signals[i], on_signal, numbers[i]);
        if (status < 0) return uv_fail(status, "cannot handle signal %d", numbers[i]);
        uv_unref((uv_handle_t *)&l->signals[i]);
    }
    return RDG_OK;
}

static void free_timer(uv_handle_t *handle) {
    rdg_free(handle->data);
}

static void drop_timer(loop_item_t *item) {
    rdg_timer_t *t = (rdg_timer_t *)(void *)item;
    uv_close((uv_handle_t *)&t->uv, free_timer);
}

static void on_timer(uv_timer_t *timer) {
    rdg_timer_t *t = timer->data;
    t->fn(t->arg);
}

rdg_err_t rdg_timer_new(rdg_loop_t *l, void (*fn)(void *arg), void *arg, rdg_timer_t **out) {
    rdg_timer_t *t = rdg_calloc(1, sizeof *t);
    if (!t) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a timer");
    t->fn = fn;
    t->arg = arg;
    uv_timer_init(&l->uv, &t->uv);
    t->uv.data = t;
    loop_add(l, &t->item, drop_timer);
    *out = t;
    return RDG_OK;
}

void rdg_timer_free(rdg_timer_t *t) {
    if (!t) return;
    loop_remove(&t->item);
    drop_timer(&t->item);
}

void rdg_timer_start(rdg_timer_t *t, uint64_t after_ms, uint64_t repeat_ms) {
    /* libuv counts from the begin of the loop's turn; a long turn would otherwise shorten the wait. */
    uv_update_time(t->uv.loop);
    uv_timer_start(&t->uv, on_timer, after_ms, repeat_ms);
}

void rdg_timer_stop(rdg_timer_t *t) {
    uv_timer_stop(&t->uv);
}

static void work_fn(uv_work_t *uv) {
    work_t *w = uv->data;
    w->fn(w->arg);
}

static void work_done(uv_work_t *uv, int status) {
    (void)status; /* never cancelled */
    work_t *w = uv->data;
    --w->loop->working;
    if (w->done) w->done(w->arg);
    rdg_free(w);
}

rdg_err_t rdg_loop_work(rdg_loop_t *l, void (*fn)(void *arg), void (*done)(void *arg), void *arg) {
    if (l->working == RDG_LOOP_WORK_MAX)
        return rdg_fail(RDG_E_FULL, "%d pieces of work are in flight already", RDG_LOOP_WORK_MAX);
    work_t *w = rdg_alloc(sizeof *w);
    if (!w) return rdg_fail(RDG_E_NO_MEMORY, "no memory for a piece of work");
    *w = (work_t){.loop = l, .fn = fn, .done = done, .arg = arg};
    w->uv.data = w;
    int status = uv_queue_work(&l->uv, &w->uv, work_fn, work_done);
    if (status < 0) {
        rdg_free(w);
        return uv_fail(status, "cannot queue a piece of work");
    }
    ++l->working;
    return RDG_OK;
}
