/* A status counts from its transaction on: the one behind it in the same block meets it, by every kind of call, however
 * many transactions are executed at once. */
#include "registry_world.h"
#include "ridge/codec/hex.h"

enum {
    BY_TRANSACTION,
    BY_CALL,
    BY_CALLCODE,
    BY_DELEGATECALL,
    BY_STATICCALL,
    BY_CONSTRUCTOR,
    BY_CALL_THEN_DELEGATECALL,
    BY_STATICCALL_THEN_DELEGATECALL,
    WAYS
};

/* Which of the ways lead into a contract, as docs/developer.md says under "Contract life". */
static const struct law {
    const char *method; /* NULL: upgrade */
    bool open[WAYS];
} laws[] = {
    {"freeze", {0, 0, 0, 0, 1, 0, 0, 1}},
    {"revoke", {0, 0, 0, 0, 0, 0, 0, 0}},
    {NULL, {0, 0, 1, 1, 1, 0, 1, 1}},
};

/* Two chains that get the same blocks: one executes serially, one on four threads. New ones for each block that is tried:
 * after one that conflicts much the next is executed serially. */
typedef struct both {
    world_t sides[2];
    rdg_address_t calls, callcodes, delegates, statics; /* forwarders */
} both_t;

static void both_init(both_t *b) {
    static const unsigned threads[2] = {1, 4};
    for (int s = 0; s < 2; ++s) {
        const struct {
            rdg_evm_kind_t kind;
            rdg_address_t *at;
        } all[] = {{RDG_EVM_CALL, &b->calls},
                   {RDG_EVM_CALLCODE, &b->callcodes},
                   {RDG_EVM_DELEGATECALL, &b->delegates},
                   {RDG_EVM_STATICCALL, &b->statics}};
        world_init(&b->sides[s], threads[s]);
        for (size_t i = 0; i < sizeof all / sizeof all[0]; ++i) {
            code_t code = code_forward(all[i].kind), init = code_init(NULL, &code);
            uint64_t nonce;
            CHECK(create(&b->sides[s], OTHER, &init, all[i].at, &nonce));
        }
    }
}

static void both_fini(both_t *b) {
    for (int s = 0; s < 2; ++s) world_fini(&b->sides[s]);
}

/* Addresses as words, then the value that is to be stored; zero: read. */
static void put_through(both_t *b, int s, const rdg_address_t *by, const rdg_address_t *through,
                        const rdg_address_t *to, uint64_t value) {
    uint8_t data[96] = {0};
    size_t len = 0;
    if (through) memcpy(data + 12, through->b, sizeof through->b), len = 32;
    memcpy(data + len + 12, to->b, sizeof to->b), len += 32;
    if (value) rdg_store_be64(data + len + 24, value), len += 32;
    batch(&b->sides[s], OTHER, by, rdg_bytes(data, len), 300000);
}

/* Init code that calls with a word, and reverts where that fails. */
static void put_constructor(both_t *b, int s, const rdg_address_t *to) {
    char hex[120], address[41];
    rdg_hex_encode(to->b, sizeof to->b, address);
    snprintf(hex, sizeof hex, "60095f525f5f60205f5f73%s5af16027575f5ffd5b", address);
    code_t calls = code_hex(hex), store = code_store(), init = code_init(&calls, &store);
    batch(&b->sides[s], OTHER, NULL, rdg_bytes(init.b, init.len), 1000000);
}

static void put_all_ways(both_t *b, int s, const rdg_address_t *to) {
    rdg_word_t nine = word(9);
    batch(&b->sides[s], OTHER, to, rdg_bytes(nine.b, sizeof nine.b), 300000);
    put_through(b, s, &b->calls, NULL, to, 9);
    put_through(b, s, &b->callcodes, NULL, to, 9);
    put_through(b, s, &b->delegates, NULL, to, 9);
    put_through(b, s, &b->statics, NULL, to, 0);
    put_constructor(b, s, to);
    put_through(b, s, &b->calls, &b->delegates, to, 9);
    put_through(b, s, &b->statics, &b->delegates, to, 0);
}

static void put_change(both_t *b, int s, const char *method, const char *name) {
    rdg_buf_t data;
    rdg_hash_t digest = {{0}};
    code_t store = code_store(), init = code_init(NULL, &store);
    rdg_buf_init(&data, 1 << 16);
    if (method)
        encode(&b->sides[s], method, json_pack("[s, i]", name, 1), &data);
    else
        encode(&b->sides[s], "upgrade",
               json_pack("[s, o, o]", name, rdg_json_hex(init.b, init.len), rdg_json_hex(digest.b, 32)),
               &data);
    batch(&b->sides[s], OWNER, &RDG_REGISTRY_ADDRESS, rdg_buf_view(&data), 2000000);
    rdg_buf_fini(&data);
}

/* Both sides execute what was gathered, with the same outcome. */
static void flush_both(both_t *b, bool *ok) {
    bool other[BATCH_MAX];
    uint32_t count = b->sides[0].batched;
    rdg_ledger_head_t heads[2];
    CHECK_EQ(b->sides[1].batched, count);
    flush(&b->sides[0], ok);
    flush(&b->sides[1], other);
    for (uint32_t i = 0; i < count; ++i) CHECK_EQ(ok[i], other[i]);
    for (int s = 0; s < 2; ++s) rdg_ledger_head(b->sides[s].l, &heads[s]);
    CHECK(rdg_hash_equal(&heads[0].state_root, &heads[1].state_root));
}

static rdg_address_t deploy_both(both_t *b, const char *name) {
    rdg_address_t a;
    code_t store = code_store(), init = code_init(NULL, &store);
    for (int s = 0; s < 2; ++s) CHECK(deploy(&b->sides[s], OWNER, "deploy", name, &init, &a));
    return a;
}

/* `ahead` transactions that conflict with nothing stand in front, so that the change falls into different windows of
 * those that are executed at once, and at their edges. */
static void try_law(const struct law *law, uint32_t ahead) {
    static both_t room;
    both_t *b = &room;
    bool ok[BATCH_MAX];
    both_init(b);
    rdg_address_t a = deploy_both(b, "A");
    for (int s = 0; s < 2; ++s) {
        for (uint32_t i = 0; i < ahead; ++i) put_through(b, s, &b->statics, NULL, &a, 0);
        put_all_ways(b, s, &a);
        put_change(b, s, law->method, "A");
        put_all_ways(b, s, &a);
    }
    flush_both(b, ok);
    for (uint32_t i = 0; i < ahead; ++i) CHECK(ok[i]);
    const bool *before = ok + ahead, *behind = before + WAYS + 1;
    CHECK(before[WAYS]);
    for (int way = 0; way < WAYS; ++way) {
        CHECK(before[way]);
        CHECK_EQ(behind[way], law->open[way]);
    }
    both_fini(b);
}

TEST(registry_refuses_what_stands_behind_a_change_in_its_block_by_every_way) {
    static const uint32_t ahead[] = {0, 7, 20}; /* 7: the change is the last of the first window */
    for (size_t l = 0; l < sizeof laws / sizeof laws[0]; ++l)
        for (size_t i = 0; i < sizeof ahead / sizeof ahead[0]; ++i) try_law(&laws[l], ahead[i]);
}

/* The change alone in front of calls: nothing but it makes them conflict, and all were begun before it was done. */
TEST(registry_change_at_the_head_of_a_block_meets_all_that_is_executed_with_it) {
    static both_t b;
    bool ok[BATCH_MAX];
    for (size_t l = 0; l < sizeof laws / sizeof laws[0]; ++l) {
        both_init(&b);
        rdg_address_t a = deploy_both(&b, "A");
        for (int s = 0; s < 2; ++s) {
            put_change(&b, s, laws[l].method, "A");
            for (int i = 0; i < 7; ++i) put_all_ways(&b, s, &a);
        }
        flush_both(&b, ok);
        CHECK(ok[0]);
        for (int i = 0; i < 7 * WAYS; ++i) CHECK_EQ(ok[1 + i], laws[l].open[i % WAYS]);
        CHECK_EQ(stored(&b.sides[0], &a), 0); /* nothing of it was written */
        both_fini(&b);
    }
}

/* Frozen, and thawed again, within one block. */
TEST(registry_unfreezes_within_a_block_too) {
    static both_t b;
    bool ok[BATCH_MAX];
    both_init(&b);
    rdg_address_t a = deploy_both(&b, "A");
    for (int s = 0; s < 2; ++s) {
        put_change(&b, s, "freeze", "A");
        put_all_ways(&b, s, &a);
        put_change(&b, s, "unfreeze", "A");
        put_all_ways(&b, s, &a);
    }
    flush_both(&b, ok);
    for (int way = 0; way < WAYS; ++way) {
        CHECK_EQ(ok[1 + way], laws[0].open[way]);
        CHECK(ok[2 + WAYS + way]);
    }
    CHECK_EQ(stored(&b.sides[0], &a), 9);
    both_fini(&b);
}
