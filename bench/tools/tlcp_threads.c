#include "tlcp_threads.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include "ridge/base/assert.h"

#define FLIGHT_MAX 40000

/* The thread whose turn it is owns the slot. */
typedef struct slot {
    atomic_int turn;
    bool fresh; /* the client is a new one */
    size_t len;
    uint8_t wire[FLIGHT_MAX];
    rdg_tlcp_t *engine[2];
} slot_t;

typedef struct run {
    const rdg_tlcp_config_t *config;
    int64_t now_s;
    atomic_bool over;
    size_t done;
    slot_t slots[TLCP_THREADS_PAIRS];
} run_t;

static double wall_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void renew(run_t *r, slot_t *s, rdg_tlcp_role_t role) {
    rdg_tlcp_free(s->engine[role]);
    RDG_ASSERT(rdg_tlcp_new(&r->config[role], role, r->now_s, rdg_random_system(), &s->engine[role]) ==
               RDG_OK);
}

static void take(slot_t *s, rdg_tlcp_role_t role) {
    for (size_t at = 0; at < s->len;) {
        rdg_tlcp_room_t room = rdg_tlcp_receive_room(s->engine[role]);
        size_t n = s->len - at < room.len ? s->len - at : room.len;
        RDG_ASSERT(n > 0);
        memcpy(room.data, s->wire + at, n);
        rdg_tlcp_receive_done(s->engine[role], n);
        at += n;
    }
    s->len = 0;
}

static void give(slot_t *s, rdg_tlcp_role_t role) {
    for (rdg_bytes_t view; (view = rdg_tlcp_send_view(s->engine[role])).len > 0;) {
        RDG_ASSERT(s->len + view.len <= FLIGHT_MAX);
        memcpy(s->wire + s->len, view.data, view.len);
        s->len += view.len;
        rdg_tlcp_send_done(s->engine[role], view.len);
    }
    atomic_store_explicit(&s->turn, 1 - (int)role, memory_order_release);
}

static bool mine(slot_t *s, rdg_tlcp_role_t role) {
    return atomic_load_explicit(&s->turn, memory_order_acquire) == (int)role;
}

static void serve(run_t *r, slot_t *s) {
    if (s->fresh) renew(r, s, RDG_TLCP_SERVER);
    s->fresh = false;
    take(s, RDG_TLCP_SERVER);
    give(s, RDG_TLCP_SERVER);
}

static void *server(void *arg) {
    run_t *r = arg;
    while (!atomic_load(&r->over)) {
        bool busy = false;
        for (size_t i = 0; i < TLCP_THREADS_PAIRS; i++)
            if (mine(&r->slots[i], RDG_TLCP_SERVER)) serve(r, &r->slots[i]), busy = true;
        if (!busy) sched_yield();
    }
    return NULL;
}

/* A handshake is complete when the client is open and has nothing more to say. */
static void go_on(run_t *r, slot_t *s) {
    if (s->engine[RDG_TLCP_CLIENT]) take(s, RDG_TLCP_CLIENT);
    bool open = s->engine[RDG_TLCP_CLIENT] && rdg_tlcp_state(s->engine[RDG_TLCP_CLIENT]) == RDG_TLCP_OPEN &&
                rdg_tlcp_send_view(s->engine[RDG_TLCP_CLIENT]).len == 0;
    if (open) RDG_ASSERT(rdg_tlcp_state(s->engine[RDG_TLCP_SERVER]) == RDG_TLCP_OPEN);
    r->done += open;
    if (open || !s->engine[RDG_TLCP_CLIENT]) {
        renew(r, s, RDG_TLCP_CLIENT);
        s->fresh = true;
    }
    give(s, RDG_TLCP_CLIENT);
}

double tlcp_threads_rate(const rdg_tlcp_config_t config[2], int64_t now_s, double seconds) {
    static run_t r;
    pthread_t thread;
    memset(&r, 0, sizeof r);
    r.config = config, r.now_s = now_s;
    for (size_t i = 0; i < TLCP_THREADS_PAIRS; i++) atomic_init(&r.slots[i].turn, RDG_TLCP_CLIENT);
    RDG_ASSERT(pthread_create(&thread, NULL, server, &r) == 0);
    double start = wall_seconds(), spent = 0;
    while ((spent = wall_seconds() - start) < seconds) {
        bool busy = false;
        for (size_t i = 0; i < TLCP_THREADS_PAIRS; i++)
            if (mine(&r.slots[i], RDG_TLCP_CLIENT)) go_on(&r, &r.slots[i]), busy = true;
        if (!busy) sched_yield();
    }
    atomic_store(&r.over, true);
    pthread_join(thread, NULL);
    for (size_t i = 0; i < TLCP_THREADS_PAIRS; i++)
        for (int side = 0; side < 2; side++) rdg_tlcp_free(r.slots[i].engine[side]);
    return (double)r.done / spent;
}
