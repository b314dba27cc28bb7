/* The journal, and what is per transaction. */
#include "keys.h"
#include "ridge/base/alloc.h"
#include "state.h"
#include "support.h"
#include "word.h"

typedef struct fixture {
    rdg_kv_t *kv;
    tree_t *tree;
    state_t s;
    state_host_t host;
} fixture_t;

static const rdg_address_t ALICE = {{0xa1}}, BOB = {{0xb0}};
static const rdg_word_t KEY = {{7}};
#define HOST RDG_STATE_HOST

static void setup(fixture_t *f) {
    CHECK_OK(rdg_kv_open_memory(&f->kv));
    CHECK_OK(tree_open(f->kv, 0, &f->tree));
    state_init(&f->s, f->kv, NULL, 0);
    f->host = (state_host_t){.state = &f->s};
    state_begin_tx(&f->s);
}

/* Ends the block and starts the next one on what it left. */
static void commit(fixture_t *f) {
    rdg_kv_batch_t *batch = rdg_kv_batch_new();
    CHECK_OK(state_commit(&f->s, f->tree, batch));
    CHECK_OK(rdg_kv_write(f->kv, batch, false));
    rdg_kv_batch_free(batch);
    state_fini(&f->s);
    state_init(&f->s, f->kv, NULL, 0);
    state_begin_tx(&f->s);
}

static void teardown(fixture_t *f) {
    state_fini(&f->s);
    tree_close(f->tree);
    rdg_kv_close(f->kv);
}

static void next_tx(fixture_t *f) {
    state_end_tx(&f->s);
    state_begin_tx(&f->s);
}

static uint64_t slot_of(fixture_t *f, const rdg_address_t *a) {
    rdg_word_t v;
    CHECK_OK(HOST.storage(&f->host, a, &KEY, &v));
    return rdg_load_be64(v.b + 24);
}

static void set_slot(fixture_t *f, const rdg_address_t *a, uint64_t v) {
    rdg_word_t w = word_from_u64(v);
    CHECK_OK(HOST.set_storage(&f->host, a, &KEY, &w));
}

static uint64_t balance_of(fixture_t *f, const rdg_address_t *a) {
    rdg_word_t v;
    CHECK_OK(HOST.balance(&f->host, a, &v));
    return rdg_load_be64(v.b + 24);
}

static void give(fixture_t *f, const rdg_address_t *a, uint64_t units) {
    account_t *account;
    CHECK_OK(state_account(&f->s, a, &account));
    account->now.balance = word_from_u64(units);
}

TEST(state_revert_undoes_everything_since_the_snapshot) {
    fixture_t f;
    rdg_evm_access_t was;
    rdg_evm_log_t log = {.address = ALICE, .data = rdg_bytes_str("x")};
    rdg_word_t ten = word_from_u64(10), v;
    setup(&f);
    give(&f, &ALICE, 100);
    set_slot(&f, &ALICE, 1);
    CHECK_OK(HOST.log(&f.host, &log));
    size_t snapshot = HOST.snapshot(&f.host);
    set_slot(&f, &ALICE, 2);
    set_slot(&f, &ALICE, 3);
    CHECK_OK(HOST.transfer(&f.host, &ALICE, &BOB, &ten));
    CHECK_OK(HOST.set_code(&f.host, &BOB, rdg_bytes_str("code")));
    CHECK_OK(HOST.set_nonce(&f.host, &BOB, 5));
    CHECK_OK(HOST.set_transient(&f.host, &ALICE, &KEY, &ten));
    CHECK_OK(HOST.access_account(&f.host, &BOB, &was));
    CHECK_EQ(was, RDG_EVM_COLD);
    CHECK_OK(HOST.access_storage(&f.host, &ALICE, &KEY, &was));
    CHECK_OK(HOST.log(&f.host, &log));
    HOST.revert_to(&f.host, snapshot);
    CHECK_EQ(slot_of(&f, &ALICE), 1);
    CHECK_EQ(balance_of(&f, &ALICE), 100);
    CHECK_EQ(balance_of(&f, &BOB), 0);
    bool exists = true;
    CHECK_OK(HOST.exists(&f.host, &BOB, &exists));
    CHECK(!exists);
    CHECK_OK(HOST.transient(&f.host, &ALICE, &KEY, &v));
    CHECK(word_is_zero(&v));
    CHECK_OK(HOST.access_account(&f.host, &BOB, &was));
    CHECK_EQ(was, RDG_EVM_COLD);
    CHECK_OK(HOST.access_account(&f.host, &BOB, &was));
    CHECK_EQ(was, RDG_EVM_WARM);
    CHECK_EQ(f.s.log_count, 1);
    teardown(&f);
}

TEST(state_original_value_warmth_and_transients_are_of_one_transaction) {
    fixture_t f;
    rdg_evm_access_t was;
    rdg_word_t v, one = word_from_u64(1);
    setup(&f);
    set_slot(&f, &ALICE, 4);
    CHECK_OK(HOST.storage_original(&f.host, &ALICE, &KEY, &v));
    CHECK(word_is_zero(&v));
    CHECK_OK(HOST.set_transient(&f.host, &ALICE, &KEY, &one));
    CHECK_OK(HOST.access_storage(&f.host, &ALICE, &KEY, &was));
    next_tx(&f);
    set_slot(&f, &ALICE, 5);
    CHECK_OK(HOST.storage_original(&f.host, &ALICE, &KEY, &v));
    CHECK_EQ(v.b[31], 4);
    CHECK_OK(HOST.transient(&f.host, &ALICE, &KEY, &v));
    CHECK(word_is_zero(&v));
    CHECK_OK(HOST.access_storage(&f.host, &ALICE, &KEY, &was));
    CHECK_EQ(was, RDG_EVM_COLD);
    teardown(&f);
}

/* EIP-6780: gone if created in the same transaction, else only its balance moves. */
TEST(state_selfdestruct_removes_only_what_the_transaction_created) {
    fixture_t f;
    rdg_hash_t empty, root;
    setup(&f);
    tree_root(f.tree, &empty);
    CHECK_OK(HOST.create(&f.host, &ALICE));
    CHECK_OK(HOST.set_code(&f.host, &ALICE, rdg_bytes_str("code")));
    set_slot(&f, &ALICE, 1);
    CHECK_OK(HOST.selfdestruct(&f.host, &ALICE, &BOB));
    next_tx(&f);
    CHECK_EQ(slot_of(&f, &ALICE), 0);
    commit(&f);
    tree_root(f.tree, &root);
    CHECK(rdg_hash_equal(&root, &empty));

    CHECK_OK(HOST.create(&f.host, &ALICE));
    CHECK_OK(HOST.set_code(&f.host, &ALICE, rdg_bytes_str("code")));
    set_slot(&f, &ALICE, 1);
    next_tx(&f);
    give(&f, &ALICE, 50);
    CHECK_OK(HOST.selfdestruct(&f.host, &ALICE, &BOB));
    next_tx(&f);
    commit(&f);
    CHECK_EQ(slot_of(&f, &ALICE), 1);
    CHECK_EQ(balance_of(&f, &ALICE), 0);
    CHECK_EQ(balance_of(&f, &BOB), 50);
    rdg_bytes_t code;
    rdg_word_t hash;
    CHECK_OK(HOST.code(&f.host, &ALICE, &code, &hash));
    CHECK(rdg_bytes_equal(code, rdg_bytes_str("code")));
    teardown(&f);
}

TEST(state_undone_selfdestruct_removes_nothing) {
    fixture_t f;
    setup(&f);
    CHECK_OK(HOST.create(&f.host, &ALICE));
    set_slot(&f, &ALICE, 9);
    size_t snapshot = HOST.snapshot(&f.host);
    CHECK_OK(HOST.selfdestruct(&f.host, &ALICE, &ALICE));
    HOST.revert_to(&f.host, snapshot);
    next_tx(&f);
    commit(&f);
    CHECK_EQ(slot_of(&f, &ALICE), 9);
    teardown(&f);
}

TEST(state_that_returns_to_what_it_was_writes_nothing) {
    fixture_t f;
    setup(&f);
    give(&f, &ALICE, 3);
    set_slot(&f, &ALICE, 1);
    commit(&f);
    set_slot(&f, &ALICE, 2);
    set_slot(&f, &ALICE, 1);
    rdg_word_t two = word_from_u64(2);
    CHECK_OK(HOST.transfer(&f.host, &ALICE, &BOB, &two));
    CHECK_OK(HOST.transfer(&f.host, &BOB, &ALICE, &two));
    rdg_kv_batch_t *batch = rdg_kv_batch_new();
    CHECK_OK(state_commit(&f.s, f.tree, batch));
    CHECK_EQ(rdg_kv_batch_bytes(batch), 0);
    rdg_kv_batch_free(batch);
    teardown(&f);
}

TEST(state_emptied_accounts_and_slots_leave_the_store) {
    fixture_t f;
    rdg_hash_t root;
    setup(&f);
    give(&f, &ALICE, 3);
    set_slot(&f, &ALICE, 1);
    commit(&f);
    give(&f, &ALICE, 0);
    set_slot(&f, &ALICE, 0);
    commit(&f);
    tree_root(f.tree, &root);
    CHECK(rdg_hash_is_zero(&root));
    rdg_kv_iter_t *it = NULL;
    rdg_bytes_t k, v;
    CHECK_OK(rdg_kv_iter_open(f.kv, NULL, rdg_bytes_str(""), rdg_bytes_str(""), &it));
    CHECK(!rdg_kv_iter_next(it, &k, &v));
    rdg_kv_iter_close(it);
    teardown(&f);
}

TEST(word_arithmetic_and_decimal) {
    rdg_word_t a, b, c, max;
    char text[80];
    memset(max.b, 0xff, sizeof max.b);
    a = word_from_u64(UINT64_MAX);
    b = word_from_u64(1);
    CHECK(word_add(&c, &a, &b));
    CHECK_EQ(c.b[23], 1);
    CHECK(word_sub(&c, &c, &b));
    CHECK_MEM(c.b, a.b, 32);
    CHECK(!word_add(&c, &max, &b));
    CHECK(!word_sub(&c, &b, &a));
    word_to_decimal(&max, text);
    CHECK_STR(text, "115792089237316195423570985008687907853269984665640564039457584007913129639935");
    CHECK(word_from_decimal(text, &c));
    CHECK_MEM(c.b, max.b, 32);
    text[77] = '6';
    CHECK(!word_from_decimal(text, &c));
    CHECK(!word_from_decimal("", &c));
    CHECK(!word_from_decimal("-1", &c));
}
