/* What a watch sees, and that it changes nothing. */
#include "ridge/evm/watch.h"
#include <stdio.h>
#include "world.h"

enum { STEPS_MAX = 4096 };

typedef struct seen {
    unsigned polls, polls_allowed; /* 0: any number */
    size_t count;
    struct {
        uint64_t pc, gas, cost;
        unsigned depth;
        uint8_t op;
        size_t stack;
    } steps[STEPS_MAX];
    int depth, deepest;
    char log[1024];
} seen_t;

static rdg_err_t on_poll(void *ctx) {
    seen_t *s = ctx;
    if (s->polls_allowed && s->polls == s->polls_allowed) return rdg_fail(RDG_E_TIMEOUT, "too long");
    ++s->polls;
    return RDG_OK;
}

static rdg_err_t on_step(void *ctx, const rdg_evm_step_t *step) {
    seen_t *s = ctx;
    if (s->count == STEPS_MAX) return rdg_fail(RDG_E_TOO_LARGE, "too many steps");
    s->steps[s->count].pc = step->pc;
    s->steps[s->count].gas = step->gas;
    s->steps[s->count].cost = step->cost;
    s->steps[s->count].depth = step->depth;
    s->steps[s->count].op = step->op;
    s->steps[s->count++].stack = step->stack_count;
    rdg_word_t word;
    for (size_t i = 0; i < step->stack_count; ++i) rdg_evm_step_word(step, i, &word);
    return RDG_OK;
}

static rdg_err_t on_enter(void *ctx, const rdg_evm_message_t *msg) {
    seen_t *s = ctx;
    if (++s->depth > s->deepest) s->deepest = s->depth;
    size_t len = strlen(s->log);
    snprintf(s->log + len, sizeof s->log - len, "(%d ", (int)msg->kind);
    return RDG_OK;
}

static rdg_err_t on_leave(void *ctx, rdg_evm_status_t status, uint64_t gas_left, rdg_bytes_t output,
                          const rdg_address_t *created) {
    seen_t *s = ctx;
    (void)gas_left;
    --s->depth;
    size_t len = strlen(s->log);
    snprintf(s->log + len, sizeof s->log - len, "%s%s %zu)", rdg_evm_status_name(status),
             created ? " new" : "", output.len);
    return RDG_OK;
}

static const rdg_evm_watch_t all = {.poll = on_poll, .step = on_step, .enter = on_enter, .leave = on_leave};

static seen_t *watch(world_t *w, rdg_evm_watch_t watch_of) {
    static seen_t seen;
    static rdg_evm_watch_t held;
    memset(&seen, 0, sizeof seen);
    held = watch_of;
    held.ctx = &seen;
    rdg_evm_watch(w->vm, &held);
    return &seen;
}

static void check_trace(const seen_t *s, const world_t *w, uint64_t gas) {
    CHECK(s->count > 0);
    CHECK_EQ(s->steps[0].gas, gas);
    for (size_t i = 1; i < s->count; ++i) {
        if (s->steps[i].depth != s->steps[i - 1].depth) continue;
        uint64_t used = s->steps[i - 1].gas - s->steps[i].gas;
        if (s->steps[i].gas > s->steps[i - 1].gas || used < s->steps[i - 1].cost)
            rdg_test_fail(__FILE__, __LINE__, "step %zu at %llu used %llu, below its cost", i - 1,
                          (unsigned long long)s->steps[i - 1].pc, (unsigned long long)used);
    }
    if (w->result.status == RDG_EVM_SUCCESS)
        CHECK_EQ(s->steps[s->count - 1].gas - s->steps[s->count - 1].cost, w->result.gas_left);
}

TEST(every_operation_is_traced_with_the_gas_that_the_rules_give_it) {
    static const char *const programs[] = {
        /* a loop with fused jumps; a JUMPDEST that is fallen into, jumped to, and behind a GAS */
        "PUSH1 3 JUMPDEST PUSH1 1 SWAP1 SUB DUP1 PUSH1 2 JUMPI GAS JUMPDEST POP STOP",
        "PUSH1 5 PUSH0 MSTORE PUSH1 32 PUSH0 KECCAK256 PUSH1 4 SSTORE PUSH1 4 SLOAD GAS POP POP STOP",
        "PUSH0 PUSH0 PUSH0 PUSH0 PUSH0 ADDRESS PUSH2 5000 CALL JUMPDEST STOP", /* itself, until gas ends */
        "PUSH1 1 PUSH1 5 JUMPI STOP",
        "JUMPDEST JUMPDEST PUSH1 1 JUMPDEST POP PUSH1 10 JUMP 0xfe JUMPDEST STOP",
        "0xfe",
    };
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; ++i) {
        world_t *plain = world_new(), *traced = world_new();
        (void)world_run_gas(plain, programs[i], 100000);
        seen_t *s = watch(traced, all);
        (void)world_run_gas(traced, programs[i], 100000);
        CHECK_EQ(traced->result.status, plain->result.status);
        CHECK_EQ(traced->result.gas_left, plain->result.gas_left);
        CHECK_EQ(s->depth, 0);
        check_trace(s, traced, 100000);
        world_free(plain);
        world_free(traced);
    }
}

TEST(a_trace_names_positions_operations_and_the_height_of_the_stack) {
    world_t *w = world_new();
    seen_t *s = watch(w, all);
    CHECK_EQ(world_run(w, "PUSH1 5 JUMP 0xfe 0xfe JUMPDEST PUSH0 STOP"), RDG_EVM_SUCCESS);
    static const struct {
        uint64_t pc;
        const char *name;
        size_t stack;
    } want[] = {{0, "PUSH1", 0}, {2, "JUMP", 1}, {5, "JUMPDEST", 0}, {6, "PUSH0", 0}, {7, "STOP", 1}};
    CHECK_EQ(s->count, sizeof want / sizeof want[0]);
    for (size_t i = 0; i < s->count; ++i) {
        CHECK_EQ(s->steps[i].pc, want[i].pc);
        CHECK_STR(rdg_evm_op_name(s->steps[i].op), want[i].name);
        CHECK_EQ(s->steps[i].stack, want[i].stack);
    }
    CHECK_STR(s->log, "(0 success 0)");
    world_free(w);
}

TEST(messages_are_told_of_also_when_they_fail_before_they_begin) {
    world_t *w = world_new();
    rdg_evm_watch_t calls = {.enter = on_enter, .leave = on_leave};
    seen_t *s = watch(w, calls);
    /* identity; value that is not there; a create of nothing */
    CHECK_EQ(world_run(w, "PUSH0 PUSH0 PUSH1 3 PUSH0 PUSH1 4 GAS STATICCALL "
                          "PUSH0 PUSH0 PUSH0 PUSH0 PUSH1 1 PUSH1 9 GAS CALL "
                          "PUSH0 PUSH0 PUSH0 CREATE STOP"),
             RDG_EVM_SUCCESS);
    CHECK_STR(s->log, "(0 (3 success 3)(0 insufficient_balance 0)(4 success new 0)success 0)");
    world_free(w);
}

TEST(code_that_never_stops_is_stopped_by_the_guard) {
    static const char *const programs[] = {
        "JUMPDEST PUSH0 JUMP",
        "JUMPDEST PUSH1 1 PUSH0 JUMPI",
        "JUMPDEST CALLVALUE ISZERO PUSH2 0 JUMPI",
        "JUMPDEST PUSH0 PUSH0 PUSH0 PUSH0 PUSH1 4 GAS STATICCALL POP PUSH0 JUMP",
    };
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; ++i) {
        world_t *w = world_new();
        rdg_evm_watch_t guard = {.poll = on_poll};
        seen_t *s = watch(w, guard);
        s->polls_allowed = 5;
        rdg_evm_message_t msg = {.kind = RDG_EVM_CALL,
                                 .sender = world_sender(),
                                 .recipient = world_contract(),
                                 .code_address = world_contract(),
                                 .gas = UINT64_MAX / 2};
        world_set_code(w, world_contract(), programs[i]);
        host_begin_tx(&w->host);
        CHECK_ERR(rdg_evm_execute(w->vm, &w->host.vtable, &w->host, &w->context, &msg, &w->result),
                  RDG_E_TIMEOUT);
        CHECK_EQ(s->polls, 5);
        world_free(w);
    }
}

/* 20 calls of BLAKE2 F with 2^16 rounds: few jumps and much work. */
TEST(the_guard_is_asked_by_the_work_of_precompiles_too) {
    world_t *w = world_new();
    rdg_evm_watch_t guard = {.poll = on_poll};
    seen_t *s = watch(w, guard);
    world_run_gas(
        w,
        "PUSH1 1 PUSH1 1 MSTORE8 PUSH1 20 JUMPDEST PUSH1 1 SWAP1 SUB PUSH0 PUSH0 PUSH1 213 PUSH0 PUSH1 9 GAS "
        "STATICCALL POP DUP1 PUSH1 7 JUMPI",
        UINT32_MAX);
    CHECK_EQ(w->result.status, RDG_EVM_SUCCESS);
    CHECK(s->polls > 20);
    world_free(w);
}
