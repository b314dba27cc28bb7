/* From a proven archive to a signed receipt, with anchorers of every mood. The way of a file to `verified` is tested on a
 * whole system (suite archiving). */
#include "collector_prune.h"
#include "ridge/base/log.h"
#include "ridge/ledger/archive.h"
#include "ridge/test.h"
#include "ridge/test_faults.h"
#include <stdio.h>
#include <time.h>

typedef struct mood {
    pthread_mutex_t lock;
    rdg_err_t answer[4]; /* in turn; the last stays */
    unsigned asked, told;
    rdg_err_t on_told;
    rdg_collector_claim_t claim;
    rdg_collector_anchored_t where;
} mood_t;

static rdg_err_t anchor(void *ctx, const rdg_collector_claim_t *claim, rdg_collector_anchored_t *out) {
    mood_t *m = ctx;
    pthread_mutex_lock(&m->lock);
    rdg_err_t err = m->answer[m->asked < 3 ? m->asked : 3];
    ++m->asked;
    m->claim = *claim;
    *out = m->where;
    pthread_mutex_unlock(&m->lock);
    return err == RDG_OK ? RDG_OK : rdg_fail(err, "said by the anchorer");
}

static rdg_err_t told(void *ctx, const rdg_collector_claim_t *claim, rdg_bytes_t receipt) {
    mood_t *m = ctx;
    rdg_archive_receipt_t r;
    CHECK_OK(rdg_archive_receipt_decode(receipt, &r));
    CHECK_EQ(r.from, claim->from);
    pthread_mutex_lock(&m->lock);
    rdg_err_t err = m->told++ == 0 ? m->on_told : RDG_OK;
    pthread_mutex_unlock(&m->lock);
    return err == RDG_OK ? RDG_OK : rdg_fail(err, "not now");
}

static rdg_baas_t *open_with(mood_t *m) {
    rdg_baas_t *b = NULL;
    rdg_log_set_level(RDG_LOG_ERROR);
    CHECK_OK(rdg_baas_open(rdg_test_dir(), &b));
    rdg_collector_anchorer_t a = {anchor, told, m};
    if (m) rdg_baas_set_anchorer(b, &a);
    return b;
}

static void put_verified(rdg_baas_t *b, const char *state) {
    rdg_hash_t h = {{7}};
    rdg_sql_value_t v = rdg_sql_blob(rdg_bytes(h.b, sizeof h.b));
    CHECK_OK(rdg_sql_exec(
        b->db,
        "INSERT INTO archives (chain, name, chain_id, genesis, device, given, attempt, state, command,"
        " wanted_from, wanted_to, first, last, mark_ms, manifest, content, file, created_ms, updated_ms)"
        " VALUES (1, 'c', 99, ?, 'dev-1', 0, 1, ?, 'x', 0, 0, 1, 50, 1234, ?, ?, 5, 1, 1)",
        RDG_SQL_PARAMS(v, rdg_sql_text(state), v, v), NULL));
}

static void load(rdg_baas_t *b, archive_row_t *r) {
    CHECK_OK(archives_load(b, 1, r));
}

/* Until the row is in that state, with that many questions asked; the row is the caller's. */
static void await_row(rdg_baas_t *b, mood_t *m, const char *state, unsigned asked, archive_row_t *r) {
    uint64_t end = baas_mono() + 60000;
    for (;;) {
        load(b, r);
        pthread_mutex_lock(&m->lock);
        bool there = strcmp(r->state, state) == 0 && m->asked >= asked;
        pthread_mutex_unlock(&m->lock);
        if (there) return;
        archive_row_fini(r);
        CHECK(baas_mono() < end);
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    }
}

TEST(collector_signs_what_is_anchored_and_nothing_else) {
    mood_t m = {.lock = PTHREAD_MUTEX_INITIALIZER,
                .answer = {RDG_E_UNAVAILABLE, RDG_OK, RDG_OK, RDG_OK},
                .on_told = RDG_E_UNAVAILABLE,
                .where = {77, {{9}}}};
    archive_row_t r;
    rdg_archive_receipt_t receipt;
    rdg_sm2_public_t key, other;
    rdg_sm2_key_t *stranger = NULL;
    rdg_baas_t *b = open_with(&m);
    put_verified(b, "verified");
    CHECK_OK(collector_start(b));
    await_row(b, &m, "archived", 2, &r);
    CHECK_EQ(m.claim.chain_id, 99);
    CHECK_EQ(m.claim.to, 50);
    CHECK_EQ(m.told, 2);  /* told again after it could not be taken */
    CHECK_EQ(m.asked, 2); /* and not anchored again for that */
    rdg_sm2_key_public(b->collector->key, &key);
    CHECK_OK(rdg_archive_receipt_verify(rdg_buf_view(&r.receipt), &key, 1, &receipt));
    CHECK_EQ(receipt.from, 1);
    CHECK_EQ(receipt.to, 50);
    CHECK_EQ(receipt.mark_ms, 1234);
    CHECK_EQ(receipt.anchor_height, 77);
    CHECK_MEM(receipt.anchor_tx.b, m.where.tx.b, 32);
    CHECK_OK(rdg_sm2_key_generate(&stranger));
    rdg_sm2_key_public(stranger, &other);
    CHECK_ERR(rdg_archive_receipt_verify(rdg_buf_view(&r.receipt), &other, 1, &receipt), RDG_E_FORBIDDEN);
    archive_row_fini(&r);
    rdg_baas_close(b);
    /* The key is the same after a restart, and nothing is done twice. */
    b = open_with(&m);
    rdg_sm2_key_public(b->collector->key, &other);
    CHECK_MEM(&key, &other, sizeof key);
    CHECK_OK(collector_start(b));
    rdg_baas_close(b);
    CHECK_EQ(m.asked, 2);
    rdg_sm2_key_free(stranger);
}

TEST(collector_signs_no_receipt_of_what_the_anchorer_refuses) {
    mood_t m = {.lock = PTHREAD_MUTEX_INITIALIZER,
                .answer = {RDG_E_FORBIDDEN, RDG_E_FORBIDDEN, RDG_E_FORBIDDEN, RDG_E_FORBIDDEN}};
    archive_row_t r;
    rdg_baas_t *b = open_with(&m);
    put_verified(b, "verified");
    CHECK_OK(collector_start(b));
    uint64_t end = baas_mono() + 15000;
    do {
        await_row(b, &m, "verified", 1, &r);
        bool there = r.error && strcmp(r.error, "said by the anchorer") == 0;
        CHECK_EQ(r.receipt.len, 0);
        archive_row_fini(&r);
        if (there) break;
    } while (baas_mono() < end);
    CHECK(baas_mono() < end);
    CHECK_EQ(m.told, 0);
    rdg_baas_close(b);
}

/* Its blocks are somebody else's by now: nobody waits for it, and what follows the others is ordered from there. */
TEST(collector_gives_up_what_will_never_be_anchored) {
    mood_t m = {.lock = PTHREAD_MUTEX_INITIALIZER,
                .answer = {RDG_E_UNAVAILABLE, RDG_E_CONFLICT, RDG_E_CONFLICT, RDG_E_CONFLICT}};
    archive_row_t r;
    uint64_t reach;
    rdg_baas_t *b = open_with(&m);
    put_verified(b, "verified");
    CHECK_OK(collector_start(b));
    await_row(b, &m, "refused", 2, &r);
    CHECK_STR(r.error, "said by the anchorer");
    CHECK_EQ(r.receipt.len, 0);
    archive_row_fini(&r);
    CHECK_OK(archives_reach(b, 1, &reach));
    CHECK_EQ(reach, 0);
    rdg_baas_close(b);
    CHECK_EQ(m.asked, 2);
    CHECK_EQ(m.told, 0);
}

/* Between the loading of a row and its storing a rebuild may have sent it back. */
TEST(collector_stores_nothing_over_what_was_moved_meanwhile) {
    archive_row_t r;
    rdg_baas_t *b = open_with(NULL);
    put_verified(b, "verified");
    load(b, &r);
    CHECK_OK(archives_prove_again(b, 1, 50)); /* of blocks above 50 only */
    CHECK_OK(archives_save(b, &r));
    CHECK_OK(archives_prove_again(b, 1, 49));
    CHECK_ERR(archives_move(b, &r, "archived", NULL), RDG_E_STALE);
    archive_row_fini(&r);
    load(b, &r);
    CHECK_STR(r.state, "exported");
    archive_row_fini(&r);
    rdg_baas_close(b);
}

TEST(collector_without_an_anchorer_leaves_what_is_verified_as_it_is) {
    int64_t numbers[4];
    size_t count = 9;
    rdg_baas_t *b = open_with(NULL);
    put_verified(b, "verified");
    CHECK_OK(archives_open(b, numbers, 4, &count));
    CHECK_EQ(count, 0);
    uint64_t reach = 0;
    CHECK_OK(archives_reach(b, 1, &reach));
    CHECK_EQ(reach, 50);
    put_verified(b, "refused"); /* its file is to go */
    CHECK_OK(archives_open(b, numbers, 4, &count));
    CHECK_EQ(count, 1);
    bool used = false;
    CHECK_OK(archives_file_used(b, 5, &used));
    CHECK(used);
    rdg_baas_close(b);
}

/* --- what devices say of receipts ----------------------------------------------------------------------- */

typedef struct prune_seen {
    char state[16];
    int64_t height, passing, updated_ms;
} prune_seen_t;

static rdg_err_t prune_seen_row(void *ctx, const rdg_sql_row_t *r) {
    prune_seen_t *s = ctx;
    snprintf(s->state, sizeof s->state, "%s", rdg_sql_row_text(r, 0));
    s->height = rdg_sql_row_int(r, 1);
    s->passing = rdg_sql_row_int(r, 2);
    s->updated_ms = rdg_sql_row_int(r, 3);
    return RDG_OK;
}

static prune_seen_t prune_seen(rdg_baas_t *b) {
    prune_seen_t s = {.height = -1};
    CHECK_OK(rdg_sql_query(b->db, "SELECT state, height, passing, updated_ms FROM archive_prunes", NULL, 0,
                           prune_seen_row, &s));
    return s;
}

/* The device was sent receipts, and answers with that error; NULL: it is done, up to block 40. */
static prune_seen_t device_says(rdg_baas_t *b, const char *code) {
    CHECK_OK(rdg_sql_exec(b->db, "UPDATE archive_prunes SET state = 'sent'", NULL, 0, NULL));
    json_t *said =
        code ? json_pack("{s:s, s:s, s:{s:s, s:s}}", "id", "k", "state", "failed", "error", "code", code,
                         "message", "no")
             : json_pack("{s:s, s:s, s:{s:i, s:i, s:i, s:i}}", "id", "k", "state", "done", "result",
                         "pruned_height", 40, "mark_ms", 1, "freed_total_bytes", 1, "ledger_bytes", 1);
    CHECK_OK(prunes_apply(b, said));
    json_decref(said);
    return prune_seen(b);
}

TEST(collector_tells_trouble_that_may_pass_from_what_stays) {
    rdg_baas_t *b = open_with(NULL);
    CHECK_OK(
        rdg_sql_exec(b->db,
                     "INSERT INTO archive_prunes (chain, device, attempt, command, state, wanted, height,"
                     " mark_ms, freed_bytes, compacted_bytes, ledger_bytes, keep_blocks, keep_ms, updated_ms)"
                     " VALUES (1, 'dev-1', 1, 'k', 'sent', 50, 0, 0, 0, 0, 0, 2, 0, 7)",
                     NULL, 0, NULL));
    static const char *const passing[] = {"UNAVAILABLE", "TIMEOUT",   "CLOSED",   "BUSY",
                                          "FULL",        "DISK_FULL", "CANCELLED"};
    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; ++i) {
        prune_seen_t s = device_says(b, passing[i]);
        CHECK_STR(s.state, "failed");
        CHECK_EQ(s.passing, (int64_t)i + 1); /* asked again later each time */
    }
    CHECK_EQ(device_says(b, "WRONG_CHAIN").passing, 0);
    CHECK_EQ(device_says(b, "TIMEOUT").passing, 1);
    prune_seen_t done = device_says(b, NULL);
    CHECK_STR(done.state, "pruned");
    CHECK_EQ(done.height, 40);
    CHECK_EQ(done.passing, 0);
    /* A ledger that was made anew refuses receipts above its mark: once more, with all of them, and then no more soon. */
    prune_seen_t refused = device_says(b, "FORBIDDEN");
    CHECK_EQ(refused.height, 0);
    CHECK_EQ(refused.passing, 1);
    CHECK_EQ(device_says(b, "FORBIDDEN").passing, 0);
    /* Of what was sent before a restart the news may be lost: it is asked for at once. */
    CHECK_OK(rdg_sql_exec(b->db, "UPDATE archive_prunes SET state = 'sent'", NULL, 0, NULL));
    CHECK(prune_seen(b).updated_ms > 0);
    CHECK_OK(prunes_begin(b));
    CHECK_EQ(prune_seen(b).updated_ms, 0);
    rdg_baas_close(b);
}

/* --- power cuts: at each call by which the database, or a key, changes files --------------------------- */

/* A receipt that was given away: its length, then itself. */
static rdg_err_t give_away(void *ctx, const rdg_collector_claim_t *claim, rdg_bytes_t receipt) {
    unsigned char *given = ctx;
    (void)claim;
    CHECK(receipt.len > 0 && receipt.len < 1000);
    if (given[0]) CHECK_MEM(given + 4, receipt.data, receipt.len); /* told again: the same one */
    memcpy(given + 4, receipt.data, receipt.len);
    given[1] = (unsigned char)(receipt.len >> 8);
    given[2] = (unsigned char)receipt.len;
    given[0] = 1;
    return RDG_OK;
}

static rdg_err_t anchor_at_once(void *ctx, const rdg_collector_claim_t *claim,
                                rdg_collector_anchored_t *out) {
    (void)ctx, (void)claim;
    *out = (rdg_collector_anchored_t){77, {{9}}};
    return RDG_OK;
}

/* Runs the collector until the archive has ended or it is late; whether it has. NULL when a fault kept it from opening. */
static bool collect(const char *dir, unsigned char *given, unsigned patience_ms, archive_row_t *r) {
    rdg_baas_t *b = NULL;
    bool archived = false;
    rdg_log_set_level(RDG_LOG_ERROR);
    if (rdg_baas_open(dir, &b) != RDG_OK) return false;
    rdg_baas_set_anchorer(b, &(rdg_collector_anchorer_t){anchor_at_once, give_away, given});
    uint64_t end = baas_mono() + patience_ms;
    bool runs = collector_start(b) == RDG_OK;
    while (runs && !archived && baas_mono() < end) {
        if (archives_load(b, 1, r) != RDG_OK) break;
        archived = strcmp(r->state, "archived") == 0;
        if (!archived) archive_row_fini(r);
        if (!archived) nanosleep(&(struct timespec){0, 2000000}, NULL);
    }
    if (archived && r->receipt.len == 0) rdg_test_fail(__FILE__, __LINE__, "archived without a receipt");
    rdg_baas_close(b);
    return archived;
}

static void prepare_collector(const char *dir, unsigned char *given) {
    rdg_baas_t *b = NULL;
    (void)given;
    CHECK_OK(rdg_baas_open(dir, &b));
    put_verified(b, "verified");
    rdg_baas_close(b);
}

static void collect_once(const char *dir, unsigned char *given) {
    archive_row_t r;
    if (collect(dir, given, 300, &r)) archive_row_fini(&r);
}

static void collect_after_it(const char *dir, unsigned char *given) {
    archive_row_t r;
    CHECK(collect(dir, given, 60000, &r));
    CHECK(given[0]);
    CHECK_EQ(r.receipt.len, (size_t)(given[1] << 8 | given[2]));
    CHECK_MEM(r.receipt.data, given + 4, r.receipt.len);
    archive_row_fini(&r);
}

/* RIDGE_FAULTS=all tries every call. */
TEST(collector_cut_off_at_any_write_gives_away_one_receipt_and_only_one_that_is_stored) {
    rdg_test_faults_walk(&(rdg_test_faults_plan_t){.first = RDG_FAULT_FAIL,
                                                   .last = RDG_FAULT_CUT_LOST,
                                                   .prepare = prepare_collector,
                                                   .act = collect_once,
                                                   .check = collect_after_it,
                                                   .sample = 5});
}
