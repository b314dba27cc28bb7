/* Validators who are all lost, and who goes on: only those whom enough administrators name, only behind the block that the
 * act names, and only for whoever was given the act. */
#include "ridge/ledger/succession.h"
#include <stdio.h>
#include "archive_file.h"
#include "governance.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/codec/abi.h"
#include "ridge/consensus/consensus.h"
#include "ridge/ledger/evidence.h"
#include "ridge/ledger/headers.h"
#include "ridge/ledger/snapshot.h"

enum { LAST = 12, TEXT_MAX = RDG_GENESIS_EXTENDED_MAX };

/* `lost` ends at block LAST and is then continued by its own validators, which is the history that must not count. */
typedef struct world {
    chain_t lost;
    memory_file_t saved; /* blocks 1 to LAST with the state */
    rdg_buf_t genesis;   /* as JSON */
} world_t;

static void govern(chain_t *c, const char *method, const char *inputs, json_t *args) {
    rdg_buf_t data;
    rdg_buf_init(&data, 1 << 16);
    CHECK_OK(native_selector(method, inputs, &data));
    CHECK_OK(native_encode(inputs, args, &data));
    rdg_tx_t *tx = support_tx((tx_spec_t){.to = &RDG_GOVERNANCE_ADDRESS,
                                          .nonce = ++c->nonce,
                                          .gas = 20000000,
                                          .valid_until = chain_height(c) + 100,
                                          .data = rdg_buf_view(&data)});
    chain_block(c, &tx, 1);
    json_decref(args);
    rdg_buf_fini(&data);
}

static void reopen(chain_t *c, const char *name, const rdg_genesis_t *g) {
    chain_close(c);
    c->genesis = *g;
    c->l = support_open(name, g);
}

/* Validators 1 and 2; administrators 9, 8 and 7, of whom `threshold` decide. */
static void chain_begin(chain_t *c, const char *name, int threshold) {
    rdg_buf_t text;
    memset(c, 0, sizeof *c);
    support_genesis(&c->genesis);
    c->genesis.validators.count = 2;
    c->genesis.admin_count = 3;
    for (uint8_t i = 0; i < 3; ++i) c->genesis.admins[i] = support_address((uint8_t)(9 - i));
    rdg_buf_init(&text, TEXT_MAX);
    CHECK_OK(rdg_genesis_format(&c->genesis, &text));
    rdg_buf_fini(&text);
    c->l = support_open(name, &c->genesis);
    govern(c, "setThreshold", "uint32 threshold", json_pack("[i]", threshold));
}

static void save(const chain_t *c, memory_file_t *out) {
    rdg_snapshot_pin_t *pin = NULL;
    uint64_t to = chain_height(c);
    CHECK_OK(rdg_snapshot_pin_at(c->l, to, &pin));
    rdg_archive_export_options_t o = {.from = 1, .to = to, .signer = support_key(1), .state = pin};
    rdg_archive_sink_t sink = memory_sink(out);
    CHECK_OK(rdg_archive_export(c->l, &o, &sink, NULL));
    rdg_snapshot_unpin(pin);
}

static void setup(world_t *w, int threshold) {
    memory_init(&w->saved);
    rdg_buf_init(&w->genesis, TEXT_MAX);
    chain_begin(&w->lost, "lost", threshold);
    chain_grow(&w->lost, LAST, 2);
    save(&w->lost, &w->saved);
    CHECK_OK(rdg_genesis_format(&w->lost.genesis, &w->genesis));
}

static void teardown(world_t *w) {
    memory_fini(&w->saved);
    rdg_buf_fini(&w->genesis);
    chain_close(&w->lost);
}

/* That `numbers` of the test's keys follow, as a request. */
static rdg_err_t request(rdg_ledger_t *l, const uint8_t *numbers, uint32_t count, rdg_buf_t *out) {
    rdg_succession_member_t members[4] = {{0}};
    char names[4][16];
    for (uint32_t i = 0; i < count; ++i) {
        snprintf(names[i], sizeof names[i], "new-%u", numbers[i]);
        members[i].name = names[i];
        rdg_sm2_key_public(support_key(numbers[i]), &members[i].key);
    }
    rdg_buf_init(out, RDG_SUCCESSION_BYTES_MAX);
    return rdg_succession_request(l, members, count, out);
}

static void sign(rdg_buf_t *act, uint8_t number) {
    rdg_buf_t more;
    rdg_buf_init(&more, RDG_SUCCESSION_BYTES_MAX);
    CHECK_OK(rdg_succession_sign(rdg_buf_view(act), support_key(number), &more));
    rdg_buf_clear(act);
    CHECK_OK(rdg_buf_append(act, more.data, more.len));
    rdg_buf_fini(&more);
}

static const uint8_t NEW[] = {4, 5, 6};

/* An act of two administrators that NEW follow behind l's head. */
static void make_act(rdg_ledger_t *l, rdg_buf_t *act) {
    CHECK_OK(request(l, NEW, 3, act));
    sign(act, 9);
    sign(act, 7);
}

static rdg_err_t extend(const rdg_buf_t *genesis, const rdg_buf_t *act, rdg_genesis_t *out) {
    rdg_buf_t text;
    rdg_buf_init(&text, TEXT_MAX);
    rdg_err_t err = rdg_genesis_extend(rdg_buf_view(genesis), rdg_buf_view(act), &text);
    if (err == RDG_OK) err = rdg_genesis_parse(rdg_buf_view(&text), out);
    rdg_buf_fini(&text);
    return err;
}

static rdg_genesis_t *genesis_new(void) {
    rdg_genesis_t *g = rdg_calloc(1, sizeof *g);
    CHECK(g != NULL);
    return g;
}

/* The extended genesis of a world whose chain stands at its last block. */
static rdg_genesis_t *succeed(world_t *w) {
    rdg_buf_t act;
    rdg_genesis_t *g = genesis_new();
    make_act(w->lost.l, &act);
    CHECK_OK(extend(&w->genesis, &act, g));
    CHECK(rdg_hash_equal(&g->hash, &w->lost.genesis.hash));
    CHECK_EQ(g->succession_count, 1);
    CHECK_EQ(g->successions[0].height, LAST);
    rdg_buf_fini(&act);
    return g;
}

typedef enum way { BY_BLOCKS, BY_STATE } way_t;

/* A new node's ledger out of what was saved. */
static void restore(const world_t *w, const rdg_genesis_t *g, const char *name, way_t way, chain_t *out) {
    rdg_archive_t *a = NULL;
    *out = (chain_t){.genesis = *g, .nonce = w->lost.nonce};
    out->l = support_open(name, g);
    CHECK_OK(memory_open(&w->saved, NULL, &a));
    CHECK_OK(rdg_archive_trust(a, g));
    CHECK_OK(way == BY_BLOCKS ? rdg_archive_import(a, out->l, NULL, NULL)
                              : rdg_archive_import_state(a, out->l, NULL, NULL));
    rdg_archive_close(a);
    CHECK_EQ(chain_height(out), LAST);
}

#define REFUSED(err, want, text)                                                                             \
    do {                                                                                                     \
        rdg_err_t refused_ = (err);                                                                          \
        CHECK_EQ(refused_, want);                                                                            \
        if (!strstr(rdg_err_message(refused_), text))                                                        \
            rdg_test_fail(__FILE__, __LINE__, "'%s' says nothing of '%s'", rdg_err_message(refused_), text); \
    } while (0)

/* --- going on ------------------------------------------------------------------------------------ */

static void check_new_rule(chain_t *c) {
    rdg_epoch_t e;
    rdg_executed_t x;
    const rdg_succession_t *act = &c->genesis.successions[0];
    CHECK_OK(rdg_ledger_epoch(c->l, LAST, &e));
    CHECK_EQ(e.validators.epoch, 0);
    CHECK_EQ(e.last_height, LAST);
    CHECK_OK(rdg_ledger_epoch(c->l, LAST + 1, &e));
    CHECK_EQ(e.validators.epoch, 1);
    CHECK_EQ(e.validators.count, 3);
    CHECK_STR(e.names[0], "new-4");
    if (chain_height(c) == LAST) return;
    CHECK_OK(rdg_ledger_header(c->l, LAST + 1, NULL, NULL, &x));
    CHECK(rdg_hash_equal(&x.epoch_digest, &act->epoch_digest));
}

static void goes_on(way_t way) {
    world_t w;
    chain_t c;
    memory_file_t all;
    setup(&w, 1);
    memory_init(&all);
    rdg_genesis_t *g = succeed(&w);
    restore(&w, g, "new", way, &c);
    check_new_rule(&c);
    reopen(&c, "new", g); /* between the two blocks the state does not know */
    check_new_rule(&c);
    chain_grow(&c, LAST + 1, 2);
    check_new_rule(&c);
    reopen(&c, "new", g);
    check_new_rule(&c);
    chain_grow(&c, LAST + 3, 2);
    chain_add_validator(&c, 3); /* and from here on as ever */
    chain_grow(&c, c.governed + RDG_CONSENSUS_WINDOW + 3, 1);
    rdg_epoch_t e;
    CHECK_OK(rdg_ledger_epoch(c.l, chain_height(&c), &e));
    CHECK_EQ(e.validators.epoch, 2);
    CHECK_EQ(e.validators.count, 4);
    if (way == BY_BLOCKS) {
        archive_of(&c, 1, chain_height(&c), NULL, &all);
        CHECK_OK(archive_prove(&all, g, NULL));
    }
    archive_of(&c, LAST + 1, chain_height(&c), NULL, &all);
    CHECK_OK(archive_prove(&all, g, NULL));
    archive_of(&c, LAST + 2, LAST + 4, NULL, &all);
    CHECK_OK(archive_prove(&all, g, NULL));
    REFUSED(archive_prove(&all, &w.lost.genesis, NULL), RDG_E_INVALID, "extended genesis");
    chain_close(&c);
    memory_fini(&all);
    rdg_free(g);
    teardown(&w);
}

TEST(succession_goes_on_behind_restored_blocks) {
    goes_on(BY_BLOCKS);
}

TEST(succession_goes_on_behind_a_restored_state) {
    goes_on(BY_STATE);
}

/* --- light clients -------------------------------------------------------------------------------- */

static rdg_err_t verify_receipt(const rdg_trust_t *t, const chain_t *c, uint64_t height) {
    rdg_arena_t arena;
    rdg_buf_t evidence;
    rdg_receipt_evidence_t e;
    rdg_arena_init(&arena, 1 << 20);
    rdg_buf_init(&evidence, RDG_EVIDENCE_BYTES_MAX);
    CHECK_OK(rdg_ledger_prove_receipt(c->l, height, 0, &evidence));
    rdg_err_t err = rdg_evidence_verify_receipt(t, rdg_buf_view(&evidence), &arena, &e);
    rdg_tx_unref(e.tx);
    rdg_buf_fini(&evidence);
    rdg_arena_fini(&arena);
    return err;
}

static rdg_err_t learn(rdg_trust_t *t, const chain_t *c, uint64_t epoch) {
    rdg_buf_t evidence;
    rdg_buf_init(&evidence, RDG_EVIDENCE_BYTES_MAX);
    CHECK_OK(rdg_ledger_prove_epoch(c->l, epoch, &evidence));
    rdg_err_t err = rdg_trust_advance(t, rdg_buf_view(&evidence));
    rdg_buf_fini(&evidence);
    return err;
}

/* --- two histories -------------------------------------------------------------------------------- */

TEST(succession_closes_the_history_of_the_lost_validators) {
    world_t w;
    memory_file_t all;
    rdg_ledger_t *l = NULL;
    char path[600];
    setup(&w, 2);
    memory_init(&all);
    rdg_genesis_t *g = succeed(&w), original = w.lost.genesis;
    archive_of(&w.lost, 1, LAST, NULL, &all);
    CHECK_OK(archive_prove(&all, g, NULL)); /* what was saved is what it was */
    chain_grow(&w.lost, LAST + 4, 2);       /* they were not lost at all */
    archive_of(&w.lost, 1, LAST + 4, NULL, &all);
    CHECK_OK(archive_prove(&all, &original, NULL));
    REFUSED(archive_prove(&all, g, NULL), RDG_E_INVALID, "administrators have replaced");
    archive_of(&w.lost, LAST + 2, LAST + 4, NULL, &all);
    REFUSED(archive_prove(&all, g, NULL), RDG_E_INVALID, "administrators have replaced");
    chain_close(&w.lost);
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "lost"));
    REFUSED(rdg_ledger_open(path, g, NULL, &l), RDG_E_CONFLICT, "remove the node");
    memory_fini(&all);
    rdg_free(g);
    teardown(&w);
}

/* Also when they change their own validators there, under the number that the act has given away. */
TEST(succession_outweighs_a_change_of_the_lost_validators) {
    world_t w;
    memory_file_t all;
    rdg_trust_t *t = NULL;
    setup(&w, 1);
    memory_init(&all);
    rdg_genesis_t *g = succeed(&w);
    CHECK_OK(rdg_trust_new(g, &t));
    chain_add_validator(&w.lost, 3);
    chain_grow(&w.lost, w.lost.governed + RDG_CONSENSUS_WINDOW + 2, 1);
    archive_of(&w.lost, 1, chain_height(&w.lost), NULL, &all);
    CHECK_OK(archive_prove(&all, &w.lost.genesis, NULL));
    REFUSED(archive_prove(&all, g, NULL), RDG_E_INVALID, "administrators' act");
    CHECK_EQ(learn(t, &w.lost, 1), RDG_E_STALE);
    rdg_trust_free(t);
    memory_fini(&all);
    rdg_free(g);
    teardown(&w);
}

/* --- headers ------------------------------------------------------------------------------------- */

static rdg_err_t send_headers(const chain_t *from, const rdg_genesis_t *to, const char *name,
                              uint64_t *known) {
    rdg_buf_t segment;
    uint64_t last;
    rdg_ledger_t *l = support_open(name, to);
    rdg_buf_init(&segment, RDG_HEADERS_SEGMENT_MAX);
    CHECK_OK(rdg_headers_export(from->l, 1, chain_height(from), 0, &segment, &last));
    rdg_err_t err = rdg_headers_import(l, rdg_buf_view(&segment), known);
    rdg_buf_fini(&segment);
    rdg_ledger_close(l);
    return err;
}

TEST(succession_is_needed_to_take_headers_behind_it) {
    world_t w;
    chain_t c;
    uint64_t known;
    setup(&w, 2);
    rdg_genesis_t *g = succeed(&w);
    restore(&w, g, "new", BY_BLOCKS, &c);
    chain_grow(&c, LAST + 5, 1);
    CHECK_OK(send_headers(&c, g, "a", &known));
    CHECK_EQ(known, LAST + 5);
    REFUSED(send_headers(&c, &w.lost.genesis, "b", &known), RDG_E_INVALID, "extended genesis");
    chain_grow(&w.lost, LAST + 2, 1);
    REFUSED(send_headers(&w.lost, g, "c", &known), RDG_E_INVALID, "where 1 decides");
    chain_close(&c);
    rdg_free(g);
    teardown(&w);
}

TEST(succession_is_learnt_by_a_client_who_has_the_act) {
    world_t w;
    chain_t c;
    rdg_trust_t *with = NULL, *without = NULL;
    setup(&w, 2);
    rdg_genesis_t *g = succeed(&w);
    restore(&w, g, "new", BY_BLOCKS, &c);
    chain_grow(&c, LAST + 3, 1);
    chain_grow(&w.lost, LAST + 3, 1);
    CHECK_OK(rdg_trust_new(g, &with));
    CHECK_OK(rdg_trust_new(&w.lost.genesis, &without));
    CHECK_OK(verify_receipt(with, &c, LAST));
    CHECK_EQ(verify_receipt(with, &c, LAST + 2), RDG_E_STALE);
    CHECK_EQ(verify_receipt(with, &w.lost, LAST + 2), RDG_E_STALE); /* the lost ones sign no more */
    CHECK_OK(learn(with, &c, 1));
    CHECK_EQ(learn(with, &c, 1), RDG_E_DUPLICATE);
    CHECK_OK(verify_receipt(with, &c, LAST));
    CHECK_OK(verify_receipt(with, &c, LAST + 2));
    CHECK(verify_receipt(with, &w.lost, LAST + 2) != RDG_OK);
    CHECK_EQ(verify_receipt(without, &c, LAST + 2), RDG_E_STALE);
    REFUSED(learn(without, &c, 1), RDG_E_INVALID, "extended genesis");
    rdg_trust_free(with), rdg_trust_free(without);
    chain_close(&c);
    rdg_free(g);
    teardown(&w);
}

/* --- refusals ------------------------------------------------------------------------------------- */

/* With signatures by these keys. */
static rdg_err_t judged(const world_t *w, const uint8_t *signers, uint32_t count) {
    rdg_buf_t act;
    rdg_genesis_t *g = genesis_new();
    CHECK_OK(request(w->lost.l, NEW, 3, &act));
    for (uint32_t i = 0; i < count; ++i) sign(&act, signers[i]);
    rdg_err_t err = extend(&w->genesis, &act, g);
    rdg_buf_fini(&act);
    rdg_free(g);
    return err;
}

TEST(succession_takes_as_many_administrators_as_the_state_says) {
    static const uint8_t one[] = {9}, two[] = {8, 7}, all[] = {7, 8, 9}, strange[] = {9, 8, 1};
    world_t w;
    rdg_buf_t act, more;
    rdg_genesis_t *g = genesis_new();
    setup(&w, 2);
    REFUSED(judged(&w, NULL, 0), RDG_E_FORBIDDEN,
            "0 of the chain's 3 administrators have signed, and 2 must");
    REFUSED(judged(&w, one, 1), RDG_E_FORBIDDEN, "1 of the chain's 3 administrators have signed, and 2 must");
    REFUSED(judged(&w, strange, 3), RDG_E_FORBIDDEN, "no administrator");
    CHECK_OK(judged(&w, two, 2));
    CHECK_OK(judged(&w, all, 3));
    CHECK_OK(request(w.lost.l, NEW, 3, &act));
    sign(&act, 9);
    rdg_buf_init(&more, RDG_SUCCESSION_BYTES_MAX);
    CHECK_EQ(rdg_succession_sign(rdg_buf_view(&act), support_key(9), &more), RDG_E_DUPLICATE);
    rdg_buf_fini(&act), rdg_buf_fini(&more);
    rdg_free(g);
    teardown(&w);
}

/* What is signed is read out of the act alone; of which chain it is, is then the reader's question. */
TEST(succession_says_what_is_to_be_signed) {
    world_t w;
    rdg_buf_t act;
    rdg_hash_t digest, told;
    rdg_address_t stranger = support_address(1), signer = support_address(9);
    rdg_succession_report_t *r = rdg_calloc(1, sizeof *r);
    setup(&w, 2);
    CHECK_OK(request(w.lost.l, NEW, 3, &act));
    sign(&act, 9);
    CHECK_OK(rdg_succession_check(rdg_buf_view(&act), NULL, r));
    CHECK_EQ(r->chain_id, SUPPORT_CHAIN_ID);
    CHECK(rdg_hash_equal(&r->genesis, &w.lost.genesis.hash));
    CHECK_OK(rdg_succession_digest(rdg_buf_view(&act), &digest));
    CHECK(rdg_succession_is_admin(r, &signer) && rdg_succession_has_signed(r, &signer));
    CHECK(!rdg_succession_is_admin(r, &stranger) && !rdg_succession_has_signed(r, &stranger));
    json_t *o = rdg_succession_json(r);
    CHECK_OK(rdg_json_get_hex(o, "digest", told.b, sizeof told.b));
    CHECK(rdg_hash_equal(&told, &digest));
    CHECK_EQ(json_integer_value(json_object_get(o, "height")), LAST);
    CHECK_EQ(json_integer_value(json_object_get(o, "first_height")), LAST + 1);
    CHECK_EQ(json_integer_value(json_object_get(o, "threshold")), 2);
    CHECK_EQ(json_array_size(json_object_get(o, "administrators")), 3);
    CHECK_EQ(json_array_size(json_object_get(o, "signed")), 1);
    const json_t *first = json_array_get(json_object_get(o, "validators"), 0);
    CHECK_STR(json_string_value(json_object_get(first, "name")), "new-4");
    CHECK_EQ(json_integer_value(json_object_get(first, "weight")), 1);
    json_decref(o);
    rdg_buf_fini(&act);
    rdg_free(r);
    teardown(&w);
}

TEST(succession_is_refused_when_any_byte_of_it_is_another) {
    world_t w;
    rdg_buf_t act;
    rdg_succession_t s;
    setup(&w, 2);
    make_act(w.lost.l, &act);
    CHECK_OK(rdg_succession_verify(rdg_buf_view(&act), &w.lost.genesis, &s));
    size_t step = act.len / 300 + 1;
    for (size_t i = 0; i < act.len; i += step) {
        act.data[i] ^= (uint8_t)(1u << (i % 8));
        if (rdg_succession_verify(rdg_buf_view(&act), &w.lost.genesis, &s) == RDG_OK)
            rdg_test_fail(__FILE__, __LINE__, "byte %zu of %zu is of no account", i, act.len);
        act.data[i] ^= (uint8_t)(1u << (i % 8));
    }
    for (size_t len = 0; len < act.len; len += step)
        CHECK_EQ(rdg_succession_verify(rdg_bytes(act.data, len), &w.lost.genesis, &s), RDG_E_MALFORMED);
    CHECK_OK(rdg_buf_append(&act, "x", 1));
    CHECK_EQ(rdg_succession_verify(rdg_buf_view(&act), &w.lost.genesis, &s), RDG_E_MALFORMED);
    rdg_buf_fini(&act);
    teardown(&w);
}

/* Of another chain, or once more for the same one. */
TEST(succession_is_not_for_another_chain_and_not_twice) {
    world_t w;
    rdg_buf_t act, text, again;
    rdg_genesis_t *other = genesis_new();
    setup(&w, 2);
    make_act(w.lost.l, &act);
    *other = w.lost.genesis;
    snprintf(other->name, sizeof other->name, "feeder-8");
    rdg_buf_init(&text, TEXT_MAX), rdg_buf_init(&again, TEXT_MAX);
    CHECK_OK(rdg_genesis_format(other, &text));
    REFUSED(rdg_genesis_extend(rdg_buf_view(&text), rdg_buf_view(&act), &again), RDG_E_WRONG_CHAIN,
            "not of chain");
    rdg_buf_clear(&text), rdg_buf_clear(&again);
    CHECK_OK(rdg_genesis_extend(rdg_buf_view(&w.genesis), rdg_buf_view(&act), &text));
    REFUSED(rdg_genesis_extend(rdg_buf_view(&text), rdg_buf_view(&act), &again), RDG_E_INVALID,
            "does not follow the one before");
    rdg_buf_fini(&act), rdg_buf_fini(&text), rdg_buf_fini(&again);
    rdg_free(other);
    teardown(&w);
}

/* The lost chain's blocks up to that one, in a ledger of their own. */
static void copy_to(const world_t *w, uint64_t to, const char *name, chain_t *out) {
    memory_file_t part;
    rdg_archive_t *a = NULL;
    memory_init(&part);
    archive_of(&w->lost, 1, to, NULL, &part);
    *out = (chain_t){.genesis = w->lost.genesis, .nonce = 1000, .l = support_open(name, &w->lost.genesis)};
    CHECK_OK(memory_open(&part, NULL, &a));
    CHECK_OK(rdg_archive_trust(a, &w->lost.genesis));
    CHECK_OK(rdg_archive_import(a, out->l, NULL, NULL));
    rdg_archive_close(a);
    memory_fini(&part);
}

static void refuses_to_open(world_t *w, const rdg_genesis_t *g, const char *text) {
    char path[600];
    rdg_ledger_t *l = NULL;
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "lost"));
    chain_close(&w->lost);
    REFUSED(rdg_ledger_open(path, g, NULL, &l), RDG_E_CONFLICT, text);
    w->lost.l = support_open("lost", &w->lost.genesis);
}

/* Sound by itself, and of a block that others came behind already. */
TEST(succession_is_not_for_another_height) {
    world_t w;
    chain_t early;
    rdg_buf_t act;
    rdg_genesis_t *g = genesis_new();
    setup(&w, 2);
    copy_to(&w, LAST - 5, "early", &early);
    make_act(early.l, &act);
    CHECK_OK(extend(&w.genesis, &act, g));
    refuses_to_open(&w, g, "goes on behind block 7");
    CHECK_EQ(archive_prove(&w.saved, g, NULL), RDG_E_INVALID);
    chain_close(&early);
    rdg_buf_fini(&act);
    rdg_free(g);
    teardown(&w);
}

/* Of a block that this chain has otherwise. */
TEST(succession_is_not_for_another_block) {
    world_t w;
    chain_t fork, c = {.l = NULL};
    rdg_buf_t act;
    rdg_genesis_t *g = genesis_new();
    rdg_archive_t *a = NULL;
    setup(&w, 2);
    copy_to(&w, LAST - 1, "fork", &fork);
    chain_grow(&fork, LAST, 1);
    make_act(fork.l, &act);
    CHECK_OK(extend(&w.genesis, &act, g));
    refuses_to_open(&w, g, "another than the one");
    CHECK_OK(memory_open(&w.saved, NULL, &a));
    CHECK_OK(rdg_archive_trust(a, g)); /* it ends where the act begins */
    c.l = support_open("blocks", g);
    REFUSED(rdg_archive_import(a, c.l, NULL, NULL), RDG_E_CONFLICT, "another than the one");
    CHECK_EQ(chain_height(&c), LAST - 1);
    chain_close(&c);
    c.l = support_open("state", g);
    REFUSED(rdg_archive_import_state(a, c.l, NULL, NULL), RDG_E_CONFLICT, "another than the one");
    chain_close(&c);
    rdg_archive_close(a);
    chain_close(&fork);
    rdg_buf_fini(&act);
    rdg_free(g);
    teardown(&w);
}

TEST(succession_is_not_asked_for_while_a_change_is_pending) {
    world_t w;
    rdg_buf_t act;
    setup(&w, 1);
    chain_add_validator(&w.lost, 3);
    REFUSED(request(w.lost.l, NEW, 3, &act), RDG_E_CONFLICT, "pending");
    rdg_buf_fini(&act);
    chain_grow(&w.lost, w.lost.governed + RDG_CONSENSUS_WINDOW + 1, 0);
    static const uint8_t twice[] = {4, 4};
    CHECK_EQ(request(w.lost.l, twice, 2, &act), RDG_E_INVALID);
    rdg_buf_fini(&act);
    CHECK_OK(request(w.lost.l, NEW, 3, &act));
    rdg_buf_fini(&act);
    teardown(&w);
}
