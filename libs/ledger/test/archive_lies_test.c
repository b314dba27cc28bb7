/* Files that are damaged, and files whose digests and signature are right and whose content is not. */
#include <stdio.h>
#include "archive_file.h"
#include "ridge/base/alloc.h"

typedef struct fixture {
    chain_t c;
    memory_file_t truth, lie;
} fixture_t;

static void setup(fixture_t *f) {
    chain_open(&f->c, "c");
    chain_story(&f->c);
    memory_init(&f->truth), memory_init(&f->lie);
    archive_of(&f->c, 1, chain_height(&f->c), NULL, &f->truth);
    CHECK_OK(archive_prove(&f->truth, &f->c.genesis, NULL));
}

static void teardown(fixture_t *f) {
    memory_fini(&f->truth), memory_fini(&f->lie);
    chain_close(&f->c);
}

/* --- damage -------------------------------------------------------------------------------------- */

static void copy(fixture_t *f) {
    rdg_buf_clear(&f->lie.bytes);
    CHECK_OK(rdg_buf_append(&f->lie.bytes, f->truth.bytes.data, f->truth.bytes.len));
}

static uint64_t below(uint64_t limit) {
    return rdg_random_below(rdg_test_random(), limit);
}

static void flip(rdg_buf_t *b) {
    b->data[below(b->len)] ^= (uint8_t)(1u << below(8));
}

static void cut_out(rdg_buf_t *b) {
    size_t at = (size_t)below(b->len), len = 1 + (size_t)below(b->len - at < 50 ? b->len - at : 50);
    memmove(b->data + at, b->data + at + len, b->len - at - len);
    b->len -= len;
}

static void insert(rdg_buf_t *b) {
    size_t at = (size_t)below(b->len + 1), len = 1 + (size_t)below(50);
    uint8_t bytes[51] = {0};
    CHECK_OK(rdg_buf_append(b, bytes, len));
    memmove(b->data + at + len, b->data + at, b->len - len - at);
    rdg_random_fill(rdg_test_random(), b->data + at, len);
}

static void check_refused(fixture_t *f, const char *what) {
    rdg_err_t err = archive_prove(&f->lie, &f->c.genesis, NULL);
    if (err == RDG_OK) rdg_test_fail(__FILE__, __LINE__, "%s: taken", what);
    CHECK(err == RDG_E_CORRUPT || err == RDG_E_MALFORMED || err == RDG_E_BAD_SIGNATURE ||
          err == RDG_E_TOO_LARGE || err == RDG_E_UNSUPPORTED);
    const char *text = rdg_err_message(err);
    bool named = strstr(text, "frame ") || strstr(text, "index") || strstr(text, "manifest") ||
                 strstr(text, "trailer") || strstr(text, "head") || strstr(text, "archive") ||
                 strstr(text, "version");
    if (!named) rdg_test_fail(__FILE__, __LINE__, "%s: '%s' does not say where", what, text);
}

TEST(archive_damaged_anywhere_is_refused_with_the_place) {
    static void (*const ways[])(rdg_buf_t *) = {flip, cut_out, insert};
    static const char *const names[] = {"a flipped bit", "bytes cut out", "bytes put in"};
    fixture_t f;
    setup(&f);
    for (int i = 0; i < 600; ++i) {
        copy(&f);
        ways[i % 3](&f.lie.bytes);
        check_refused(&f, names[i % 3]);
    }
    for (size_t len = 0; len < f.truth.bytes.len; len += 1 + f.truth.bytes.len / 200) {
        copy(&f);
        f.lie.bytes.len = len;
        check_refused(&f, "truncated");
    }
    size_t end = f.truth.bytes.len;
    for (size_t at = end - 400; at < end; ++at) { /* manifest, signature and trailer, each byte */
        copy(&f);
        f.lie.bytes.data[at] ^= 1;
        check_refused(&f, "end");
    }
    teardown(&f);
}

/* --- lies ---------------------------------------------------------------------------------------- */

/* What one lie wants of the frames. */
typedef struct plan {
    frame_kind_t kind;
    uint32_t item; /* of the first frame of that kind */
    void (*change)(rdg_buf_t *out, rdg_rlp_t item, rdg_bytes_t whole);
    bool done;
} plan_t;

static void change_item(void *ctx, uint32_t index, frame_t *f, rdg_buf_t *raw) {
    plan_t *p = ctx;
    rdg_buf_t out;
    rdg_rlp_t c;
    (void)index;
    if (p->done || f->kind != p->kind) return;
    p->done = true;
    rdg_buf_init(&out, 64u << 20);
    rdg_rlp_init(&c, rdg_buf_view(raw));
    for (uint32_t i = 0; rdg_rlp_more(&c); ++i) {
        rdg_rlp_t outer, item;
        rdg_bytes_t whole = rdg_rlp_raw(&c);
        rdg_rlp_init(&outer, whole);
        CHECK_OK(rdg_rlp_list(&outer, &item));
        if (i == p->item)
            p->change(&out, item, whole);
        else
            CHECK_OK(rdg_buf_append(&out, whole.data, whole.len));
    }
    rdg_buf_fini(raw);
    *raw = out;
}

static void check_lie(fixture_t *f, frame_kind_t kind, uint32_t item,
                      void (*change)(rdg_buf_t *out, rdg_rlp_t item, rdg_bytes_t whole), rdg_err_t want,
                      const char *said) {
    plan_t plan = {kind, item, change, false};
    lie_t lie = {.frame = change_item, .ctx = &plan};
    archive_forge(&f->truth, &lie, &f->lie);
    CHECK(plan.done);
    CHECK_ERR(archive_prove(&f->lie, &f->c.genesis, NULL), want);
    if (!strstr(rdg_err_message(want), said))
        rdg_test_fail(__FILE__, __LINE__, "'%s' does not say '%s'", rdg_err_message(want), said);
}

static void three(rdg_buf_t *out, rdg_bytes_t a, rdg_bytes_t b, rdg_bytes_t c) {
    size_t list = rdg_rlp_list_begin(out);
    rdg_rlp_put_raw(out, a), rdg_rlp_put_raw(out, b);
    if (c.len) rdg_rlp_put_raw(out, c);
    CHECK_OK(rdg_rlp_list_end(out, list));
}

static void nothing(rdg_buf_t *out, rdg_rlp_t item, rdg_bytes_t whole) {
    (void)item;
    CHECK_OK(rdg_buf_append(out, whole.data, whole.len));
}

static void false_certificate(rdg_bytes_t encoded, rdg_buf_t *out) {
    rdg_certificate_t c;
    CHECK_OK(rdg_certificate_decode(encoded, &c));
    c.votes[0].signature.b[20] ^= 1;
    CHECK_OK(rdg_certificate_encode(&c, out));
}

static void false_seal(rdg_buf_t *out, rdg_rlp_t item, rdg_bytes_t whole) {
    rdg_buf_t seal;
    (void)whole;
    rdg_buf_init(&seal, 65536);
    false_certificate(rdg_rlp_raw(&item), &seal);
    three(out, rdg_buf_view(&seal), rdg_rlp_raw(&item), rdg_bytes(NULL, 0));
    rdg_buf_fini(&seal);
}

static void false_checkpoint(rdg_buf_t *out, rdg_rlp_t item, rdg_bytes_t whole) {
    rdg_buf_t checkpoint;
    (void)whole;
    rdg_buf_init(&checkpoint, 65536);
    rdg_bytes_t seal = rdg_rlp_raw(&item);
    false_certificate(rdg_rlp_raw(&item), &checkpoint);
    three(out, seal, rdg_buf_view(&checkpoint), rdg_bytes(NULL, 0));
    rdg_buf_fini(&checkpoint);
}

/* A seal where the certificate of execution should be: signed by the right ones, of something else. */
static void seal_twice(rdg_buf_t *out, rdg_rlp_t item, rdg_bytes_t whole) {
    (void)whole;
    rdg_bytes_t seal = rdg_rlp_raw(&item);
    three(out, seal, seal, rdg_bytes(NULL, 0));
}

static void other_bytes(rdg_buf_t *out, rdg_bytes_t part, size_t at) {
    size_t start = out->len;
    CHECK_OK(rdg_buf_append(out, part.data, part.len));
    out->data[start + at] ^= 1;
}

static void other_state(rdg_buf_t *out, rdg_rlp_t item, rdg_bytes_t whole) {
    rdg_executed_t e;
    rdg_buf_t bytes;
    (void)whole;
    rdg_bytes_t proposal = rdg_rlp_raw(&item);
    CHECK_OK(rdg_executed_decode(rdg_rlp_raw(&item), &e));
    e.state_root.b[3] ^= 1;
    rdg_buf_init(&bytes, 4096);
    CHECK_OK(rdg_executed_encode(&e, &bytes));
    three(out, proposal, rdg_buf_view(&bytes), rdg_rlp_raw(&item));
    rdg_buf_fini(&bytes);
}

static void other_receipt(rdg_buf_t *out, rdg_rlp_t item, rdg_bytes_t whole) {
    rdg_buf_t receipts;
    (void)whole;
    rdg_bytes_t proposal = rdg_rlp_raw(&item), executed = rdg_rlp_raw(&item), list = rdg_rlp_raw(&item);
    rdg_buf_init(&receipts, 1 << 20);
    other_bytes(&receipts, list, list.len - 10); /* within the last one */
    three(out, proposal, executed, rdg_buf_view(&receipts));
    rdg_buf_fini(&receipts);
}

/* The last byte of a proposal is in the signature of its last transaction. */
static void other_signature(rdg_buf_t *out, rdg_rlp_t item, rdg_bytes_t whole) {
    rdg_buf_t proposal;
    (void)whole;
    rdg_bytes_t old = rdg_rlp_raw(&item), executed = rdg_rlp_raw(&item);
    rdg_buf_init(&proposal, RDG_BLOCK_BYTES_MAX);
    other_bytes(&proposal, old, old.len - 1);
    three(out, rdg_buf_view(&proposal), executed, rdg_rlp_raw(&item));
    rdg_buf_fini(&proposal);
}

static void item_twice(rdg_buf_t *out, rdg_rlp_t item, rdg_bytes_t whole) {
    (void)item;
    CHECK_OK(rdg_buf_append(out, whole.data, whole.len));
    CHECK_OK(rdg_buf_append(out, whole.data, whole.len));
}

static void no_item(rdg_buf_t *out, rdg_rlp_t item, rdg_bytes_t whole) {
    (void)out, (void)item, (void)whole;
}

static void other_validators(rdg_buf_t *out, rdg_rlp_t item, rdg_bytes_t whole) {
    rdg_epoch_t e;
    rdg_buf_t record;
    (void)whole;
    rdg_bytes_t executed = rdg_rlp_raw(&item), checkpoint = rdg_rlp_raw(&item);
    CHECK_OK(rdg_epoch_decode(rdg_rlp_raw(&item), SUPPORT_CHAIN_ID, &e));
    rdg_sm2_key_public(support_key(8), &e.validators.keys[1]);
    rdg_buf_init(&record, 65536);
    CHECK_OK(rdg_epoch_encode(&e, &record));
    three(out, executed, checkpoint, rdg_buf_view(&record));
    rdg_buf_fini(&record);
}

static void false_link(rdg_buf_t *out, rdg_rlp_t item, rdg_bytes_t whole) {
    rdg_buf_t checkpoint;
    (void)whole;
    rdg_bytes_t executed = rdg_rlp_raw(&item);
    rdg_buf_init(&checkpoint, 65536);
    false_certificate(rdg_rlp_raw(&item), &checkpoint);
    three(out, executed, rdg_buf_view(&checkpoint), rdg_rlp_raw(&item));
    rdg_buf_fini(&checkpoint);
}

TEST(archive_that_lies_consistently_is_refused_with_height_and_reason) {
    fixture_t f;
    setup(&f);
    plan_t same = {FRAME_BODIES, 0, nothing, false};
    lie_t honest = {.frame = change_item, .ctx = &same};
    archive_forge(&f.truth, &honest, &f.lie);
    CHECK_OK(archive_prove(&f.lie, &f.c.genesis, NULL)); /* so what is refused below is the lie */
    check_lie(&f, FRAME_PROOFS, 6, false_seal, RDG_E_BAD_SIGNATURE, "block 7: seal");
    check_lie(&f, FRAME_PROOFS, 6, false_checkpoint, RDG_E_BAD_SIGNATURE, "block 7: checkpoint");
    check_lie(&f, FRAME_PROOFS, 6, seal_twice, RDG_E_BAD_SIGNATURE, "block 7: checkpoint");
    check_lie(&f, FRAME_PROOFS, 6, no_item, RDG_E_BAD_SIGNATURE, "block 7: seal");
    check_lie(&f, FRAME_PROOFS, 6, item_twice, RDG_E_BAD_SIGNATURE, "block 8: seal");
    check_lie(&f, FRAME_BODIES, 6, other_state, RDG_E_BAD_SIGNATURE, "block 7: checkpoint");
    check_lie(&f, FRAME_BODIES, 6, other_receipt, RDG_E_INVALID, "block 7: its receipts");
    check_lie(&f, FRAME_BODIES, 6, other_signature, RDG_E_MALFORMED, "block 7");
    check_lie(&f, FRAME_BODIES, 6, item_twice, RDG_E_INVALID, "block 8: its header is of height 7");
    check_lie(&f, FRAME_BODIES, 6, no_item, RDG_E_INVALID, "block 7: its header is of height 8");
    check_lie(&f, FRAME_LINEAGE, 1, other_validators, RDG_E_INVALID, "lineage, epoch 2");
    check_lie(&f, FRAME_LINEAGE, 1, false_link, RDG_E_BAD_SIGNATURE, "lineage, epoch 2");
    check_lie(&f, FRAME_LINEAGE, 0, no_item, RDG_E_INVALID, "lineage, epoch 1");
    teardown(&f);
}

/* --- the index and the manifest ------------------------------------------------------------------ */

typedef struct numbers {
    uint32_t frame; /* whose entry is changed */
    frame_t add;
    rdg_archive_manifest_t claims;
    int what;
} numbers_t;

static void change_entry(void *ctx, uint32_t index, frame_t *f) {
    const numbers_t *n = ctx;
    if (index != n->frame) return;
    f->first += n->add.first;
    f->count += n->add.count;
    f->raw_len += n->add.raw_len;
    f->stored_len += n->add.stored_len;
}

static void check_entry(fixture_t *f, uint32_t frame, frame_t add, rdg_err_t want, const char *said) {
    numbers_t n = {.frame = frame, .add = add};
    lie_t lie = {.packed = change_entry, .ctx = &n};
    archive_forge(&f->truth, &lie, &f->lie);
    CHECK_ERR(archive_prove(&f->lie, &f->c.genesis, NULL), want);
    if (!strstr(rdg_err_message(want), said))
        rdg_test_fail(__FILE__, __LINE__, "'%s' does not say '%s'", rdg_err_message(want), said);
}

TEST(archive_index_that_points_elsewhere_is_refused) {
    fixture_t f;
    setup(&f); /* frame 0: lineage, 1: bodies, 2: proofs, 3: transactions */
    check_entry(&f, 2, (frame_t){.stored_len = 1}, RDG_E_MALFORMED, "index: its frames end at byte");
    check_entry(&f, 2, (frame_t){.stored_len = 0x70000000}, RDG_E_MALFORMED, "index: its frames end at byte");
    check_entry(&f, 1, (frame_t){.first = 1}, RDG_E_MALFORMED, "index: frame 1");
    check_entry(&f, 1, (frame_t){.count = 1}, RDG_E_MALFORMED, "index: frame 1");
    check_entry(&f, 2, (frame_t){.count = 1000000}, RDG_E_MALFORMED, "index: frame 1");
    check_entry(&f, 3, (frame_t){.count = 1}, RDG_E_MALFORMED, "index: frame 3");
    check_entry(&f, 0, (frame_t){.first = 1}, RDG_E_MALFORMED, "index: frame 0");
    check_entry(&f, 0, (frame_t){.count = 1}, RDG_E_MALFORMED, "lineage, epoch 4");
    check_entry(&f, 1, (frame_t){.raw_len = 1}, RDG_E_MALFORMED, "frame 1 (bodies from 1");
    check_entry(&f, 1, (frame_t){.raw_len = 0x7fffffff}, RDG_E_TOO_LARGE, "index: frame 1");
    check_entry(&f, 1, (frame_t){.raw_len = 200u << 20}, RDG_E_TOO_LARGE, "above this reader's limit");
    teardown(&f);
}

static void change_manifest(void *ctx, rdg_archive_manifest_t *m) {
    switch (((const numbers_t *)ctx)->what) {
    case 0: m->chain_id++; break;
    case 1: m->genesis.b[0] ^= 1; break;
    case 2: m->blocks_root.b[0] ^= 1; break;
    case 3: m->last_block.b[0] ^= 1; break;
    case 4: m->last_executed.b[0] ^= 1; break;
    case 5: m->parent.b[0] ^= 1; break;
    case 6: m->last_time_ms++; break;
    case 7: m->first_time_ms--; break;
    case 8: m->tx_count++; break;
    case 9: m->last_epoch_digest.b[0] ^= 1; break;
    case 10: m->first_epoch = 1; break;
    case 11: m->to++; break;
    case 12: m->from++; break;
    case 13: m->raw_bytes++; break;
    case 14: m->raft = true; break;
    case 15: m->to = m->from + RDG_ARCHIVE_BLOCKS_MAX; break;
    default: m->from = 0; break;
    }
}

TEST(archive_manifest_that_claims_other_things_is_refused) {
    static const rdg_err_t want[] = {RDG_E_WRONG_CHAIN, RDG_E_WRONG_CHAIN, RDG_E_INVALID, RDG_E_INVALID,
                                     RDG_E_INVALID,     RDG_E_INVALID,     RDG_E_INVALID, RDG_E_INVALID,
                                     RDG_E_MALFORMED,   RDG_E_INVALID,     RDG_E_INVALID, RDG_E_MALFORMED,
                                     RDG_E_MALFORMED,   RDG_E_MALFORMED,   RDG_E_INVALID, RDG_E_TOO_LARGE,
                                     RDG_E_MALFORMED};
    fixture_t f;
    setup(&f);
    for (numbers_t n = {.what = 0}; n.what < 17; ++n.what) {
        lie_t lie = {.manifest = change_manifest, .ctx = &n};
        archive_forge(&f.truth, &lie, &f.lie);
        CHECK_ERR(archive_prove(&f.lie, &f.c.genesis, NULL), want[n.what]);
    }
    f.c.genesis.validators.chain_id++;
    CHECK_ERR(archive_prove(&f.truth, &f.c.genesis, NULL), RDG_E_WRONG_CHAIN);
    teardown(&f);
}

static void shift_txs(void *ctx, uint32_t index, frame_t *f, rdg_buf_t *raw) {
    (void)ctx, (void)index;
    if (f->kind == FRAME_TXS) raw->data[ARCHIVE_TX_ENTRY_BYTES - 1] ^= 1;
}

TEST(archive_index_of_transactions_must_be_that_of_the_blocks) {
    fixture_t f;
    setup(&f);
    lie_t lie = {.frame = shift_txs};
    archive_forge(&f.truth, &lie, &f.lie);
    CHECK_ERR(archive_prove(&f.lie, &f.c.genesis, NULL), RDG_E_INVALID);
    CHECK(strstr(rdg_err_message(RDG_E_INVALID), "index of transactions"));
    teardown(&f);
}

/* --- bombs --------------------------------------------------------------------------------------- */

static void inflate(void *ctx, uint32_t index, frame_t *f, rdg_buf_t *raw) {
    if (f->kind != FRAME_BODIES || index > 1) return;
    size_t old = raw->len, len = *(const size_t *)ctx;
    CHECK_OK(rdg_buf_reserve(raw, len));
    memset(raw->data + old, 0xc0, len);
    raw->len += len;
}

static void hide_size(void *ctx, uint32_t index, frame_t *f) {
    (void)ctx;
    if (index == 1) f->raw_len = 1000;
}

TEST(archive_that_unpacks_to_more_than_it_says_or_may_is_refused) {
    fixture_t f;
    size_t len = 3u << 20;
    rdg_archive_t *a = NULL;
    rdg_archive_options_t small = {.frame_bytes_max = 1u << 20};
    setup(&f);
    lie_t bomb = {.frame = inflate, .ctx = &len};
    archive_forge(&f.truth, &bomb, &f.lie);
    CHECK_OK(memory_open(&f.lie, &small, &a));
    CHECK_OK(rdg_archive_trust(a, &f.c.genesis));
    CHECK_ERR(rdg_archive_verify(a, NULL, NULL, NULL), RDG_E_TOO_LARGE);
    rdg_archive_close(a);
    bomb.packed = hide_size;
    archive_forge(&f.truth, &bomb, &f.lie);
    CHECK_ERR(archive_prove(&f.lie, &f.c.genesis, NULL), RDG_E_MALFORMED);
    CHECK(strstr(rdg_err_message(RDG_E_MALFORMED), "another size than the index states"));
    len = 3;
    bomb.packed = NULL;
    archive_forge(&f.truth, &bomb, &f.lie); /* within the limits, but more than its blocks */
    CHECK_ERR(archive_prove(&f.lie, &f.c.genesis, NULL), RDG_E_MALFORMED);
    teardown(&f);
}
