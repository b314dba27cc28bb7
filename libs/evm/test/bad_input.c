/* Every operation with too little and too much on the stack, with each amount of gas that does not suffice, with places
 * in memory that no machine has, and where nothing may change. */
#include <stdio.h>
#include "opcodes.h"
#include "world.h"

enum { ANY_GAS = 1000000, OPERANDS_MAX = 17, CODE_MAX = 4096 };

typedef struct operation {
    uint8_t code;
    unsigned taken, given;
} operation_t;

static operation_t operations[256];
static size_t operation_count;

static void add(uint8_t code, unsigned taken, unsigned given) {
    operations[operation_count++] = (operation_t){code, taken, given};
}

static void list_operations(void) {
    operation_count = 0;
#define X(code, name, gas, in, out, since) add(code, in, out);
    EVM_OPCODES(X)
#undef X
    for (unsigned n = 1; n <= 32; ++n) add((uint8_t)(0x5f + n), 0, 1);
    for (unsigned n = 1; n <= 16; ++n) {
        add((uint8_t)(0x7f + n), n, n + 1);
        add((uint8_t)(0x8f + n), n + 1, n + 1);
    }
    for (unsigned n = 0; n <= 4; ++n) add((uint8_t)(0xa0 + n), n + 2, 0);
    CHECK_EQ(operation_count, 148);
}

/* --- code ----------------------------------------------------------------------------------------- */

typedef struct code {
    uint8_t b[CODE_MAX];
    size_t len;
} code_t;

static void put(code_t *c, uint8_t b) {
    CHECK(c->len < CODE_MAX);
    c->b[c->len++] = b;
}

static void put_word(code_t *c, const rdg_word_t *w) {
    put(c, 0x7f);
    for (size_t i = 0; i < sizeof w->b; ++i) put(c, w->b[i]);
}

static rdg_evm_status_t run_as(world_t *w, const code_t *c, uint64_t gas, bool is_static) {
    rdg_address_t self = world_contract();
    host_set_code(&w->host, &self, c->b, c->len);
    host_begin_tx(&w->host);
    rdg_evm_message_t msg = {.kind = RDG_EVM_CALL,
                             .sender = world_sender(),
                             .recipient = self,
                             .code_address = self,
                             .gas = gas,
                             .is_static = is_static};
    CHECK_OK(rdg_evm_execute(w->vm, &w->host.vtable, &w->host, &w->context, &msg, &w->result));
    if (w->result.status != RDG_EVM_SUCCESS && w->result.status != RDG_EVM_REVERT)
        CHECK_EQ(w->result.gas_left, 0);
    return w->result.status;
}

static rdg_evm_status_t run(const code_t *c, uint64_t gas) {
    world_t *w = world_new();
    rdg_evm_status_t status = run_as(w, c, gas, false);
    world_free(w);
    return status;
}

static void expect(const operation_t *op, rdg_evm_status_t got, rdg_evm_status_t want, const char *when) {
    if (got != want)
        rdg_test_fail(__FILE__, __LINE__, "operation 0x%02x %s: %s, want %s", op->code, when,
                      rdg_evm_status_name(got), rdg_evm_status_name(want));
}

/* Operands with which each operation does its work: small numbers, and for jumps the JUMPDEST behind them. */
static void put_operation(code_t *c, const operation_t *op) {
    bool jumps = op->code == EVM_JUMP || op->code == EVM_JUMPI;
    for (unsigned i = 0; i < op->taken; ++i) {
        bool target = jumps && i + 1 == op->taken;
        put(c, 0x60);
        put(c, target ? (uint8_t)(c->len + 2) : 1);
    }
    /* A callee gets what is there if that is less than it was to get, so calls pass none on. */
    if (op->code == 0xf1 || op->code == 0xf2 || op->code == 0xf4 || op->code == 0xfa) c->b[c->len - 1] = 0;
    if (op->code == 0x3e)
        c->b[c->len - 5] = c->b[c->len - 3] = 0; /* there are no return data: RETURNDATACOPY of none */
    put(c, op->code);
    for (unsigned i = EVM_PUSH1; i <= op->code && op->code <= EVM_PUSH32; ++i) put(c, 0);
    if (jumps) put(c, EVM_JUMPDEST);
}

/* --- the stack ------------------------------------------------------------------------------------ */

TEST(no_operation_takes_words_that_are_not_there) {
    list_operations();
    for (size_t i = 0; i < operation_count; ++i) {
        const operation_t *op = &operations[i];
        for (unsigned there = 0; there < op->taken; ++there) {
            code_t c = {.len = 0};
            for (unsigned n = 0; n < there; ++n) put(&c, 0x5f);
            put(&c, op->code);
            expect(op, run(&c, ANY_GAS), RDG_EVM_STACK_UNDERFLOW, "with a word too few");
            /* in a block that an earlier operation began, too */
            code_t later = {.len = 0};
            put(&later, 0x5a), put(&later, 0x50);
            for (size_t b = 0; b < c.len; ++b) put(&later, c.b[b]);
            expect(op, run(&later, ANY_GAS), RDG_EVM_STACK_UNDERFLOW, "with a word too few after GAS");
        }
    }
}

TEST(no_operation_puts_a_word_above_the_1024th) {
    list_operations();
    for (size_t i = 0; i < operation_count; ++i) {
        const operation_t *op = &operations[i];
        bool jumps = op->code == EVM_JUMP || op->code == EVM_JUMPI;
        code_t c = {.len = 0};
        if (jumps) continue; /* take words, give none */
        for (unsigned n = 0; n < RDG_EVM_STACK_MAX; ++n) put(&c, 0x5f);
        put(&c, op->code);
        rdg_evm_status_t got = run(&c, ANY_GAS);
        if (op->given > op->taken)
            expect(op, got, RDG_EVM_STACK_OVERFLOW, "on a full stack");
        else
            CHECK(got != RDG_EVM_STACK_OVERFLOW && got != RDG_EVM_STACK_UNDERFLOW);
    }
}

/* --- gas ------------------------------------------------------------------------------------------ */

/* All that is less than the operation needs; of large needs some. */
static uint64_t next_gas(uint64_t gas, uint64_t needed) {
    return needed <= 3000 || gas < 100 || gas + 100 > needed ? gas + 1 : gas + needed / 64;
}

/* What must be there and is not spent: SSTORE wants more than the stipend left, a call that pays lends it. */
static uint64_t spare_of(uint8_t code) {
    enum { STIPEND = 2300 };
    return code == 0x55 || code == 0xf1 || code == 0xf2 ? STIPEND + 1 : 0;
}

TEST(every_operation_ends_without_gas_that_it_needs) {
    list_operations();
    for (size_t i = 0; i < operation_count; ++i) {
        const operation_t *op = &operations[i];
        world_t *w = world_new();
        code_t c = {.len = 0};
        put_operation(&c, op);
        rdg_evm_status_t whole = run_as(w, &c, ANY_GAS, false);
        uint64_t needed = ANY_GAS - w->result.gas_left;
        CHECK(whole == RDG_EVM_SUCCESS || (whole == RDG_EVM_REVERT && op->code == 0xfd));
        world_free(w);
        for (uint64_t gas = 0; gas < needed; gas = next_gas(gas, needed))
            expect(op, run(&c, gas), RDG_EVM_OUT_OF_GAS, "without gas");
        expect(op, run(&c, needed + spare_of(op->code)), whole, "with its gas");
    }
}

TEST(numbers_that_are_no_operation_take_all_gas) {
    bool assigned[256] = {false};
    list_operations();
    for (size_t i = 0; i < operation_count; ++i) assigned[operations[i].code] = true;
    for (unsigned n = 0; n < 256; ++n) {
        operation_t op = {.code = (uint8_t)n};
        code_t c = {.b = {(uint8_t)n}, .len = 1};
        if (!assigned[n]) expect(&op, run(&c, ANY_GAS), RDG_EVM_INVALID_OPCODE, "by itself");
    }
}

/* --- memory --------------------------------------------------------------------------------------- */

/* Operands as they are pushed, the last one on top: o a place in memory, l its length, s a place in something that
 * reads as zeros behind its end, else a small number. Fixed: w, b: a place of a word, of a byte. */
static const struct {
    uint8_t code;
    const char *operands;
} in_memory[] = {
    {0x20, "lo"},      {0x37, "lso"},     {0x39, "lso"},     {0x3c, "lso."},    {0x51, "w"},
    {0x52, ".w"},      {0x53, ".b"},      {0x5e, "loo"},     {0xa0, "lo"},      {0xa1, ".lo"},
    {0xa2, "..lo"},    {0xa3, "...lo"},   {0xa4, "....lo"},  {0xf0, "lo0"},     {0xf5, ".lo0"},
    {0xf1, "lo00..."}, {0xf1, "00lo0.."}, {0xf2, "lo000.."}, {0xf2, "00lo0.."}, {0xf4, "lo00.."},
    {0xf4, "00lo.."},  {0xfa, "lo00.."},  {0xfa, "00lo.."},  {0xf3, "lo"},      {0xfd, "lo"},
};

/* n ones from bit `shift` on, and something added. */
static rdg_word_t huge(unsigned i) {
    static const char *const values[] = {
        "0xffffffff",
        "0xffffffffffffffe0",
        "0xffffffffffffffff",
        "0x10000000000000000",
        "0x1000000000000001f",
        "0x8000000000000000",
        "0x8000000000000000000000000000000000000000000000000000000000000000",
        "0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe0",
        "0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"};
    rdg_word_t w = {{0}};
    const char *digits = values[i] + 2;
    size_t len = strlen(digits);
    for (size_t d = 0; d < len; ++d) {
        char ch = digits[len - 1 - d];
        unsigned v = ch <= '9' ? (unsigned)(ch - '0') : (unsigned)(ch - 'a') + 10;
        w.b[31 - d / 2] |= (uint8_t)(v << (4 * (d % 2)));
    }
    return w;
}
enum { HUGE_COUNT = 9 };

static rdg_evm_status_t run_memory(size_t op, char changed, const rdg_word_t *value, uint64_t length) {
    code_t c = {.len = 0};
    rdg_word_t plain = word_of(length), small = word_of(1), zero = word_of(0);
    for (const char *o = in_memory[op].operands; *o; ++o)
        put_word(&c, *o == changed ? value : *o == 'l' ? &plain : *o == '.' ? &small : &zero);
    put(&c, in_memory[op].code);
    return run(&c, UINT64_MAX / 2);
}

TEST(places_in_memory_that_no_gas_pays_for_end_every_operation) {
    for (size_t i = 0; i < sizeof in_memory / sizeof *in_memory; ++i) {
        const char *operands = in_memory[i].operands;
        operation_t op = {.code = in_memory[i].code};
        bool is_fixed = strchr(operands, 'w') || strchr(operands, 'b');
        for (unsigned v = 0; v < HUGE_COUNT; ++v) {
            rdg_word_t value = huge(v);
            if (is_fixed) {
                char kind = strchr(operands, 'w') ? 'w' : 'b';
                expect(&op, run_memory(i, kind, &value, 0), RDG_EVM_OUT_OF_GAS, "at a huge place");
                continue;
            }
            expect(&op, run_memory(i, 'o', &value, 1), RDG_EVM_OUT_OF_GAS, "at a huge place");
            expect(&op, run_memory(i, 'l', &value, 0), RDG_EVM_OUT_OF_GAS, "with a huge length");
            rdg_evm_status_t none = op.code == 0xfd ? RDG_EVM_REVERT : RDG_EVM_SUCCESS;
            expect(&op, run_memory(i, 'o', &value, 0), none, "of nothing at a huge place");
            if (strchr(operands, 's'))
                expect(&op, run_memory(i, 's', &value, 1), none, "from behind the end");
        }
    }
}

TEST(return_data_are_not_read_beyond_their_end) {
    static const struct {
        const char *from, *length;
        bool good;
    } cases[] = {
        {"0", "32", true},
        {"32", "0", true},
        {"31", "1", true},
        {"0", "0", true},
        {"0", "33", false},
        {"1", "32", false},
        {"32", "1", false},
        {"33", "0", false},
        {"0xffffffffffffffff", "1", false},
        {"0xffffffffffffffff", "2", false},
        {"0xffffffffffffffff", "0", false},
        {"0x10000000000000000", "0", false},
        {"0x10000000000000000", "32", false},
        {"0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", "1", false},
        {"0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe0", "32", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        char text[512];
        world_t *w = world_new();
        world_set_code(w, address_of(0x77), "PUSH1 32 PUSH0 RETURN");
        snprintf(
            text, sizeof text,
            "PUSH0 PUSH0 PUSH0 PUSH0 PUSH1 0x77 GAS STATICCALL POP PUSH32 %s PUSH32 %s PUSH0 RETURNDATACOPY",
            cases[i].length, cases[i].from);
        CHECK_EQ(world_run(w, text), cases[i].good ? RDG_EVM_SUCCESS : RDG_EVM_RETURN_DATA_BOUNDS);
        if (!cases[i].good) CHECK_EQ(w->result.gas_left, 0);
        world_free(w);
    }
}

/* --- jumps ---------------------------------------------------------------------------------------- */

TEST(no_jump_leads_into_the_data_of_a_push) {
    for (unsigned n = 1; n <= 32; ++n)
        for (unsigned at = 0; at <= n; ++at) {
            for (unsigned kind = 0; kind < 2; ++kind) {
                code_t c = {.len = 0};
                if (kind) put(&c, 0x60), put(&c, 1);
                put(&c, 0x60);
                size_t target = c.len;
                put(&c, 0);
                put(&c, kind ? EVM_JUMPI : EVM_JUMP);
                put(&c, (uint8_t)(0x5f + n));
                c.b[target] = (uint8_t)(c.len + at);
                for (unsigned i = 0; i < n; ++i) put(&c, EVM_JUMPDEST);
                put(&c, EVM_JUMPDEST); /* at == n: behind the data */
                operation_t op = {.code = kind ? EVM_JUMPI : EVM_JUMP};
                expect(&op, run(&c, ANY_GAS), at == n ? RDG_EVM_SUCCESS : RDG_EVM_BAD_JUMP, "into data");
            }
        }
}

TEST(no_jump_takes_a_part_of_its_target) {
    for (unsigned i = 0; i < HUGE_COUNT; ++i)
        for (unsigned kind = 0; kind < 2; ++kind) {
            code_t c = {.len = 0};
            rdg_word_t target = huge(i);
            target.b[31] = kind ? 38 : 35; /* the JUMPDEST, if only the low byte counted */
            if (kind) put(&c, 0x60), put(&c, 1);
            put_word(&c, &target);
            put(&c, kind ? EVM_JUMPI : EVM_JUMP);
            while (c.len < 40) put(&c, EVM_JUMPDEST);
            operation_t op = {.code = kind ? EVM_JUMPI : EVM_JUMP};
            expect(&op, run(&c, ANY_GAS), RDG_EVM_BAD_JUMP, "to a huge place");
        }
}

/* --- static calls --------------------------------------------------------------------------------- */

TEST(exactly_the_operations_that_change_something_are_refused_in_a_static_call) {
    static const uint8_t change[] = {0x55, 0x5d, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xf0, 0xf5, 0xff};
    list_operations();
    for (size_t i = 0; i < operation_count; ++i) {
        const operation_t *op = &operations[i];
        world_t *w = world_new();
        code_t c = {.len = 0};
        put_operation(&c, op);
        /* The value of a call is what matters: 1 here. CALLCODE pays nobody. */
        bool refused = memchr(change, op->code, sizeof change) != NULL || op->code == 0xf1;
        rdg_evm_status_t got = run_as(w, &c, ANY_GAS, true);
        expect(op, got,
               refused            ? RDG_EVM_STATIC_VIOLATION
               : op->code == 0xfd ? RDG_EVM_REVERT
                                  : RDG_EVM_SUCCESS,
               "in a static call");
        CHECK_EQ(w->host.log_count, 0);
        world_free(w);
    }
}
