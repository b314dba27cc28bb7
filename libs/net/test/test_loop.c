#include "ridge/net/loop.h"
#include "ridge/test.h"
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

typedef struct order {
    rdg_loop_t *loop;
    int next, wrong;
} order_t;

typedef struct numbered {
    order_t *order;
    int number;
} numbered_t;

static void take_number(void *arg) {
    numbered_t *n = arg;
    n->order->wrong += n->number != n->order->next++;
    if (n->number == 999) rdg_loop_stop(n->order->loop);
}

static void *post_all(void *arg) {
    static numbered_t numbers[1000];
    order_t *o = arg;
    for (int i = 0; i < 1000; ++i) {
        numbers[i] = (numbered_t){o, i};
        CHECK_OK(rdg_loop_post(o->loop, take_number, &numbers[i]));
    }
    return NULL;
}

TEST(loop_runs_posts_of_another_thread_in_order) {
    order_t o = {0};
    pthread_t thread;
    CHECK_OK(rdg_loop_new(&o.loop));
    CHECK_EQ(pthread_create(&thread, NULL, post_all, &o), 0);
    CHECK_OK(rdg_loop_run(o.loop));
    pthread_join(thread, NULL);
    CHECK_EQ(o.next, 1000);
    CHECK_EQ(o.wrong, 0);
    rdg_loop_free(o.loop);
    CHECK_EQ(rdg_alloc_live(), 0);
}

static void count(void *arg) {
    ++*(int *)arg;
}

TEST(loop_refuses_posts_beyond_its_limit_and_drops_the_rest_when_freed) {
    rdg_loop_t *l;
    int ran = 0;
    CHECK_OK(rdg_loop_new(&l));
    for (int i = 0; i < RDG_LOOP_POSTS_MAX; ++i) CHECK_OK(rdg_loop_post(l, count, &ran));
    CHECK_ERR(rdg_loop_post(l, count, &ran), RDG_E_FULL);
    rdg_loop_free(l);
    CHECK_EQ(ran, 0);
    CHECK_EQ(rdg_alloc_live(), 0);
}

TEST(loop_stopped_before_it_runs_returns_at_once) {
    rdg_loop_t *l;
    CHECK_OK(rdg_loop_new(&l));
    rdg_loop_stop(l);
    CHECK_OK(rdg_loop_run(l));
    rdg_loop_free(l);
}

typedef struct ticker {
    rdg_loop_t *loop;
    rdg_timer_t *timer;
    int ticks;
} ticker_t;

static void tick(void *arg) {
    ticker_t *t = arg;
    if (++t->ticks < 3) return;
    rdg_timer_free(t->timer);
    rdg_loop_stop(t->loop);
}

TEST(timer_repeats_and_may_be_freed_inside_its_callback) {
    ticker_t t = {0};
    CHECK_OK(rdg_loop_new(&t.loop));
    CHECK_OK(rdg_timer_new(t.loop, tick, &t, &t.timer));
    uint64_t start = rdg_loop_now_ms(t.loop);
    rdg_timer_start(t.timer, 20, 10);
    CHECK_OK(rdg_loop_run(t.loop));
    CHECK_EQ(t.ticks, 3);
    CHECK(rdg_loop_now_ms(t.loop) - start >= 38);
    rdg_loop_free(t.loop);
    CHECK_EQ(rdg_alloc_live(), 0);
}

static void *worker_thread;
static void note_thread(void *arg) {
    *(pthread_t *)arg = pthread_self(), worker_thread = arg;
}
static rdg_loop_t *work_loop;
static void stop_work(void *arg) {
    CHECK(worker_thread == arg);
    rdg_loop_stop(work_loop);
}

TEST(work_runs_on_another_thread_and_reports_on_the_loop) {
    pthread_t where = pthread_self();
    CHECK_OK(rdg_loop_new(&work_loop));
    CHECK_OK(rdg_loop_work(work_loop, note_thread, stop_work, &where));
    CHECK_OK(rdg_loop_run(work_loop));
    CHECK(!pthread_equal(where, pthread_self()));
    rdg_loop_free(work_loop);
    CHECK_EQ(rdg_alloc_live(), 0);
}

TEST(loop_stops_on_sigterm) {
    rdg_loop_t *l;
    CHECK_OK(rdg_loop_new(&l));
    CHECK_OK(rdg_loop_handle_signals(l));
    kill(getpid(), SIGTERM);
    CHECK_OK(rdg_loop_run(l));
    rdg_loop_free(l);
}

TEST(loop_survives_failing_allocations) {
    rdg_err_t err = RDG_OK;
    RDG_TEST_ALLOC_LOOP(err) {
        rdg_loop_t *l = NULL;
        rdg_timer_t *t = NULL;
        int ran = 0;
        err = rdg_loop_new(&l);
        if (err == RDG_OK) err = rdg_timer_new(l, count, &ran, &t);
        if (err == RDG_OK) err = rdg_loop_post(l, count, &ran);
        if (err == RDG_OK) err = rdg_loop_work(l, count, NULL, &ran);
        rdg_loop_free(l);
    }
}
