#include "world.h"
#include "ridge/base/alloc.h"
#include "ridge/base/assert.h"
#include "scenario.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define HEAP_MAX (1u << 20)
#define STEPS_MAX 4000000u

/* --- the queue -------------------------------------------------------------------------------------------- */

static bool before(const item_t *a, const item_t *b) {
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

item_t *world_add(world_t *w, item_kind_t kind, uint32_t to, uint64_t after_ms) {
    item_t *it = rdg_calloc(1, sizeof *it);
    RDG_ASSERT(it != NULL && w->heap_count < HEAP_MAX);
    if (w->heap_count == w->heap_size) {
        w->heap_size = w->heap_size ? 2 * w->heap_size : 1024;
        w->heap = rdg_realloc_array(w->heap, w->heap_size, sizeof *w->heap);
        RDG_ASSERT(w->heap != NULL);
    }
    it->kind = kind;
    it->to = to;
    it->at_ms = w->now_ms + after_ms;
    it->order = ++w->order;
    it->life = w->replicas[to].life;
    size_t i = w->heap_count++;
    for (; i > 0 && before(it, w->heap[(i - 1) / 2]); i = (i - 1) / 2) w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = it;
    return it;
}

static item_t *take(world_t *w) {
    item_t *first = w->heap[0], *last = w->heap[--w->heap_count];
    size_t i = 0, child;
    for (; (child = 2 * i + 1) < w->heap_count; i = child) {
        if (child + 1 < w->heap_count && before(w->heap[child + 1], w->heap[child])) ++child;
        if (!before(w->heap[child], last)) break;
        w->heap[i] = w->heap[child];
    }
    w->heap[i] = last;
    return first;
}

static void item_free(item_t *it) {
    blob_unref(it->bytes);
    rdg_free(it);
}

/* --- telling ---------------------------------------------------------------------------------------------- */

void world_trace(world_t *w, uint64_t a, uint64_t b) {
    w->trace = dice_mix(w->trace ^ a) ^ dice_mix(b + w->now_ms);
}

void world_violate(world_t *w, const char *law, const char *fmt, ...) {
    va_list args;
    if (w->law) return;
    w->law = law;
    int n =
        snprintf(w->violation, sizeof w->violation, "%s at %llu ms: ", law, (unsigned long long)w->now_ms);
    va_start(args, fmt);
    vsnprintf(w->violation + n, sizeof w->violation - (size_t)n, fmt, args);
    va_end(args);
}

void world_say(world_t *w, const char *fmt, ...) {
    va_list args;
    if (!w->verbose) return;
    printf("%8llu ", (unsigned long long)w->now_ms);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    putchar('\n');
}

/* --- running ---------------------------------------------------------------------------------------------- */

static bool is_of_a_replica(item_kind_t kind) {
    return kind == ITEM_JOB || kind == ITEM_CORE_TIMER || kind == ITEM_PROPOSE_TIMER ||
           kind == ITEM_NODE_TICK;
}

static void dispatch_replica(world_t *w, replica_t *r, const item_t *it) {
    switch (it->kind) {
    case ITEM_JOB: lane_done(w, r); break;
    case ITEM_CORE_TIMER:
        if (it->number == r->core_timer)
            (void)host_step(w, r, &(rdg_consensus_event_t){.kind = RDG_EVENT_TICK});
        break;
    case ITEM_PROPOSE_TIMER:
        if (it->number == r->proposing.timer) host_try_propose(w, r);
        break;
    default: host_tick(w, r);
    }
}

static void dispatch(world_t *w, item_t *it) {
    replica_t *r = &w->replicas[it->to];
    switch (it->kind) {
    case ITEM_PACKET: net_deliver(w, it); break;
    case ITEM_CLIENT: client_event(w, it); break;
    case ITEM_FAULT:
        if (!w->healed) faults_begin(w, &w->plan.faults[it->number]);
        break;
    case ITEM_FAULT_END:
        if (!w->healed) faults_end(w, &w->plan.faults[it->number]);
        break;
    case ITEM_RESTART:
        if (!r->up && it->life == r->life) replica_start(w, r);
        break;
    case ITEM_LINK: net_link_up(w, it->to, it->from); break;
    case ITEM_EVIL_TICK:
        if (it->life == r->life) evil_tick(w, r);
        break;
    default:
        if (r->up && it->life == r->life) dispatch_replica(w, r, it);
    }
}

/* A stopped process reads nothing; what came for it waits. */
static bool must_wait(world_t *w, item_t *it) {
    const replica_t *r = &w->replicas[it->to];
    bool concerns = is_of_a_replica(it->kind) || it->kind == ITEM_PACKET || it->kind == ITEM_LINK;
    uint64_t until = r->stalled_until_ms > r->busy_until_ms ? r->stalled_until_ms : r->busy_until_ms;
    if (!concerns || until <= w->now_ms) return false;
    item_t *again = world_add(w, it->kind, it->to, until - w->now_ms);
    again->from = it->from, again->packet = it->packet, again->number = it->number, again->life = it->life;
    again->bytes = blob_ref(it->bytes);
    return true;
}

static bool run_until(world_t *w, uint64_t end_ms, bool (*done)(world_t *w)) {
    while (w->heap_count > 0 && !world_failed(w)) {
        if (done && done(w)) return true;
        if (w->heap[0]->at_ms > end_ms) break;
        item_t *it = take(w);
        w->now_ms = it->at_ms;
        world_trace(w, ((uint64_t)it->kind << 32) + ((uint64_t)it->to << 16) + it->from, it->order);
        if (!must_wait(w, it)) dispatch(w, it);
        item_free(it);
        if (++w->steps > STEPS_MAX) world_violate(w, "bounds", "the run takes more than %u steps", STEPS_MAX);
    }
    if (!world_failed(w)) w->now_ms = end_ms;
    return false;
}

/* --- healing ---------------------------------------------------------------------------------------------- */

bool is_needed(const world_t *w, const replica_t *r) {
    bool stays_away = r->validator < w->validators && (w->plan.down_after_healing >> r->validator & 1);
    return is_correct(r) && !stays_away;
}

static bool everybody_is_there(world_t *w) {
    uint64_t height = 0;
    if (w->txs[w->tx_count - 1].used && !w->txs[w->tx_count - 1].acked) return false;
    for (uint32_t i = 0; i < w->count; ++i)
        if (is_needed(w, &w->replicas[i]) && w->replicas[i].ledger.height > height)
            height = w->replicas[i].ledger.height;
    for (uint32_t i = 0; i < w->count; ++i) {
        const replica_t *r = &w->replicas[i];
        if (!is_needed(w, r)) continue;
        if (!r->up || r->ledger.height < height) return false;
        for (uint32_t t = 0; t < w->tx_count; ++t)
            if (w->txs[t].used && r->ledger.tx_height[t] == 0) return false;
    }
    return true;
}

/* In which the transactions that wait find room. */
static uint64_t blocks_to_come(const world_t *w) {
    uint64_t waiting = 0;
    for (uint32_t i = 0; i < w->count; ++i)
        if (w->replicas[i].pool_count > waiting) waiting = w->replicas[i].pool_count;
    return waiting / w->plan.block_tx_max + 1;
}

/* Where leaders take turns, each round of them passes those who are away or lie, with a time-out that doubles from one to
 * the next; the transactions that wait may need many rounds. */
static uint64_t turns_bound(const world_t *w) {
    uint32_t faults = w->plan.protocol->faults(w->validators);
    uint64_t every = w->plan.rotate_every * w->validators;
    if (every == 0) return 0;
    return (blocks_to_come(w) / every + 1) * (w->plan.view_timeout_ms << (faults < 4 ? faults : 4));
}

/* Each block is executed, and agreed on in three rounds and a proposal; the next one may begin late. */
static uint64_t backlog_bound(const world_t *w) {
    return blocks_to_come(w) * (w->plan.execute_ms + 4 * w->plan.delay_max_ms + 100);
}

/* The bound on progress after healing: everybody may have backed off to 16 times the time-out, and each liar may
 * lead once more before an honest leader comes; then fetching, some seconds, and what waits. */
static uint64_t recovery_bound(const world_t *w) {
    uint32_t faults = w->plan.protocol->faults(w->validators);
    return 16 * w->plan.view_timeout_ms * (faults + 2) + 60000 + turns_bound(w) + backlog_bound(w);
}

static void tell_where_all_are(world_t *w, uint64_t bound) {
    for (uint32_t i = 0; i < w->count; ++i) {
        const replica_t *r = &w->replicas[i];
        uint32_t lacks = 0;
        for (uint32_t t = 0; t < w->tx_count; ++t) lacks += w->txs[t].used && r->ledger.tx_height[t] == 0;
        world_say(w, "replica %u: %zu in the pool, lacks %u transactions, %zu jobs, wants %d, halted %d", i,
                  r->pool_count, lacks, r->lane_count, r->proposing.wanted, r->halted);
    }
    char text[SIM_VIOLATION_MAX] = "";
    size_t n = 0;
    for (uint32_t i = 0; i < w->count && n < sizeof text - 48; ++i) {
        const replica_t *r = &w->replicas[i];
        rdg_consensus_status_t s = {0};
        if (r->up) rdg_consensus_status(r->core, &s);
        n += (size_t)snprintf(text + n, sizeof text - n, " %u%s:%llu/%llu%s%s", i, r->evil ? "!" : "",
                              (unsigned long long)r->ledger.height, (unsigned long long)s.view,
                              s.changing ? "c" : "",
                              !r->up     ? "down"
                              : s.voting ? ""
                                         : "m");
    }
    world_violate(w, "progress", "no convergence %llu ms after healing; replica:height/view%s",
                  (unsigned long long)bound, text);
}

static void finish(world_t *w) {
    uint64_t healed_at = w->now_ms, bound = recovery_bound(w);
    faults_heal(w);
    client_start(w);
    bool there = run_until(w, w->now_ms + bound, everybody_is_there);
    w->heal_ms = w->now_ms - healed_at;
    if (!there && !world_failed(w)) tell_where_all_are(w, bound);
    if (!world_failed(w)) check_end(w);
}

/* --- a run ------------------------------------------------------------------------------------------------ */

static void make_replicas(world_t *w) {
    const plan_t *p = &w->plan;
    uint32_t evil[SIM_VALIDATORS_MAX], evil_count = 0;
    for (uint32_t v = 0; v < p->validators; ++v)
        if (p->evil >> v & 1) evil[evil_count++] = v;
    uint32_t twins = p->twins < evil_count ? p->twins : evil_count;
    w->validators = p->validators;
    w->count = p->validators + p->observers + twins;
    RDG_ASSERT(w->count <= SIM_REPLICAS_MAX);
    w->replicas = rdg_calloc(w->count, sizeof *w->replicas);
    RDG_ASSERT(w->replicas != NULL);
    for (uint32_t i = 0; i < w->count; ++i) {
        replica_t *r = &w->replicas[i];
        r->id = i;
        bool is_twin = i >= p->validators + p->observers;
        r->validator = is_twin             ? evil[i - p->validators - p->observers]
                       : i < p->validators ? i
                                           : p->validators;
        r->evil = r->validator < p->validators && (p->evil >> r->validator & 1);
        r->tear_after = UINT32_MAX;
        disk_init(&r->disk);
        r->said = rdg_calloc(SIGNED_MAX, sizeof *r->said);
        r->out = rdg_consensus_output_new();
        RDG_ASSERT(r->said && r->out);
    }
}

static void world_free(world_t *w) {
    while (w->heap_count > 0) item_free(take(w));
    for (uint32_t i = 0; i < w->count; ++i) {
        replica_t *r = &w->replicas[i];
        lane_clear(r);
        ledger_clear(&r->ledger, 0);
        disk_fini(&r->disk);
        rdg_consensus_free(r->core);
        rdg_consensus_output_free(r->out);
        rdg_free(r->said);
    }
    for (size_t i = 0; i < HEARD_CLASSES * HEARD_EACH; ++i)
        blob_unref(w->heard[i / HEARD_EACH][i % HEARD_EACH]);
    keys_free(w);
    rdg_free(w->sealings);
    rdg_free(w->said);
    rdg_free(w->heap);
    rdg_free(w->replicas);
    rdg_free(w);
}

static void result_of(const world_t *w, run_result_t *out) {
    memset(out, 0, sizeof *out);
    out->ok = !world_failed(w);
    out->law = w->law;
    memcpy(out->violation, w->violation, sizeof out->violation);
    out->trace = w->trace, out->steps = w->steps, out->packets = w->packets, out->evidence = w->evidence;
    out->acked = w->acked_count, out->recovery_ms = w->heal_ms, out->end_ms = w->now_ms;
    for (uint32_t i = 0; i < w->count; ++i) {
        const replica_t *r = &w->replicas[i];
        rdg_consensus_status_t s = {0};
        if (r->core) rdg_consensus_status(r->core, &s);
        if (r->ledger.height > out->heights) out->heights = r->ledger.height;
        if (!r->evil && s.view > out->views) out->views = s.view;
    }
}

void world_run(const plan_t *plan, bool verbose, run_result_t *out) {
    world_t *w = rdg_calloc(1, sizeof *w);
    RDG_ASSERT(w != NULL);
    w->plan = *plan;
    if (plan->without & WITHOUT_EVIL) w->plan.lies = 0, w->plan.twins = 0;
    w->verbose = verbose;
    w->now_ms = 1000;
    w->dice = dice_of(plan->seed, 1);
    w->config = (rdg_consensus_config_t){.retransmit_ms = plan->retransmit_ms,
                                         .view_timeout_ms = plan->view_timeout_ms,
                                         .checkpoint_interval = plan->checkpoint_interval,
                                         .rotate_every = plan->rotate_every};
    w->sealings = rdg_calloc(SEALINGS_MAX, sizeof *w->sealings);
    w->said = rdg_calloc(SIGNED_MAX, sizeof *w->said);
    RDG_ASSERT(w->sealings && w->said);
    make_replicas(w);
    w->epochs[0].members = w->plan.members;
    w->epochs[0].first_height = w->epoch_count = 1;
    keys_make(w);
    if (plan->scenario->begin) plan->scenario->begin(w);
    for (uint32_t i = 0; i < w->count && !world_failed(w); ++i) replica_start(w, &w->replicas[i]);
    client_start(w);
    faults_schedule(w);
    (void)run_until(w, w->now_ms + plan->storm_ms, NULL);
    if (!world_failed(w)) finish(w);
    result_of(w, out);
    world_free(w);
}
