/* What the agent keeps, with every write failed, torn, killed or cut in turn: the device comes back with its last good
 * state. */
#include "chain.h"
#include "identity.h"
#include "intake_queue.h"
#include "journal.h"
#include "outbox.h"
#include "state_file.h"
#include "ridge/base/file.h"
#include "ridge/test.h"
#include "ridge/test_faults.h"
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#define ROUNDS 3

/* Where acts note what was acknowledged: an act's own from here. */
static const char *in(const char *dir, const char *leaf) {
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", dir, leaf);
    return path;
}

/* --- desired state ------------------------------------------------------------------------------------- */

static void save_chains(const char *dir, unsigned char *ack) {
    chain_t c = {.name = "c1", .driver = "process", .image = "cloud.ridge/node:1", .p2p_port = 7};
    for (unsigned i = 1; i <= ROUNDS; ++i) {
        c.rpc_port = (uint16_t)i;
        c.desired = i % 2 ? CHAIN_RUNNING : CHAIN_STOPPED;
        ack[1] = (unsigned char)i;
        if (chain_save(dir, &c) == RDG_OK) ack[0] = (unsigned char)i;
    }
}

static void check_chains(const char *dir, unsigned char *ack) {
    chain_t c;
    rdg_err_t err = chain_load(dir, "c1", &c);
    if (ack[0] == 0 && err == RDG_E_NOT_FOUND) return;
    CHECK_OK(err);
    CHECK(c.rpc_port >= ack[0] && c.rpc_port <= ack[1] && c.rpc_port > 0);
    CHECK_EQ(c.desired, c.rpc_port % 2 ? CHAIN_RUNNING : CHAIN_STOPPED);
    CHECK_EQ(c.p2p_port, 7);
}

TEST(desired_state_is_the_old_or_the_new_whatever_is_cut) {
    rdg_test_faults_each(RDG_FAULT_FAIL, RDG_FAULT_CUT_LOST, save_chains, check_chains);
}

/* The checker checked: content that is renamed into place without a sync is lost by a cut. */
static void save_carelessly(const char *dir, unsigned char *ack) {
    char new[PATH_MAX];
    snprintf(new, sizeof new, "%s/new", dir);
    for (unsigned char i = 1; i <= ROUNDS; ++i) {
        rdg_buf_t b;
        rdg_buf_init(&b, 16);
        CHECK_OK(rdg_buf_append(&b, &i, 1));
        int fd = open(new, O_RDWR | O_CREAT | O_TRUNC, 0600);
        CHECK(fd >= 0 && rdg_write_all(fd, rdg_buf_view(&b)) == RDG_OK);
        close(fd);
        if (rename(new, in(dir, "state")) == 0 && rdg_dir_sync(dir) == RDG_OK) ack[0] = i;
        rdg_buf_fini(&b);
    }
}

static void count_losses(const char *dir, unsigned char *ack) {
    rdg_buf_t b;
    rdg_buf_init(&b, 16);
    bool lost = rdg_file_read(in(dir, "state"), &b) == RDG_OK && (b.len == 0 || b.data[0] < ack[0]);
    rdg_buf_fini(&b);
    if (!lost) return;
    FILE *f = fopen(in(rdg_test_dir(), "losses"), "a");
    CHECK(f && fputc('x', f) == 'x');
    fclose(f);
}

TEST(a_rename_without_a_sync_before_it_is_found_out) {
    rdg_test_faults_each(RDG_FAULT_CUT_ZERO, RDG_FAULT_CUT_ZERO, save_carelessly, count_losses);
    CHECK(rdg_file_exists(in(rdg_test_dir(), "losses")));
}

/* --- a damaged copy --------------------------------------------------------------------------------------- */

static void damage(const char *path, const char *with) {
    FILE *f = fopen(path, "w");
    CHECK(f && fputs(with, f) >= 0);
    fclose(f);
}

TEST(one_damaged_copy_of_the_desired_state_is_restored_from_the_other) {
    static const char *const damages[] = {"", "{\"chain\":\"c1\",\"desi", "\0", "[]",
                                          "{\"desired\":\"flying\"}"};
    const char *dir = rdg_test_dir();
    for (size_t i = 0; i < sizeof damages / sizeof damages[0] * 2; ++i) {
        chain_t c = {.name = "c1", .driver = "process", .rpc_port = 9, .desired = CHAIN_RUNNING}, got;
        CHECK_OK(chain_save(dir, &c));
        damage(in(dir, i % 2 ? "chains/c1/chain.json" : "chains/c1/chain.json.2"), damages[i / 2]);
        for (int again = 0; again < 2; ++again) {
            CHECK_OK(chain_load(dir, "c1", &got));
            CHECK_EQ(got.rpc_port, 9);
            CHECK_EQ(got.desired, CHAIN_RUNNING);
        }
    }
    damage(in(dir, "chains/c1/chain.json"), "");
    damage(in(dir, "chains/c1/chain.json.2"), "");
    chain_t got;
    CHECK_ERR(chain_load(dir, "c1", &got), RDG_E_CORRUPT);
}

static void flip_bit(const char *path, size_t bit) {
    rdg_buf_t text;
    rdg_buf_init(&text, 65536);
    CHECK_OK(rdg_file_read(path, &text));
    CHECK(bit / 8 < text.len);
    text.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    CHECK_OK(rdg_file_replace(path, rdg_buf_view(&text), 0600));
    rdg_buf_fini(&text);
}

/* A changed digit of a port or a digest is no other desired state. */
TEST(one_changed_bit_of_the_desired_state_changes_nothing) {
    const char *dir = rdg_test_dir();
    chain_t c = {
        .name = "c1", .driver = "process", .p2p_port = 20111, .rpc_port = 20222, .desired = CHAIN_RUNNING};
    rdg_buf_t text;
    for (size_t i = 0; i < sizeof c.peers.b; ++i) c.peers.b[i] = (uint8_t)(i + 1);
    CHECK_OK(chain_save(dir, &c));
    rdg_buf_init(&text, 65536);
    CHECK_OK(rdg_file_read(in(dir, "chains/c1/chain.json"), &text));
    for (size_t bit = 0; bit < 8 * text.len; bit += 11) {
        chain_t got;
        flip_bit(in(dir, "chains/c1/chain.json"), bit);
        CHECK_OK(chain_load(dir, "c1", &got));
        CHECK(got.p2p_port == c.p2p_port && got.rpc_port == c.rpc_port && got.desired == c.desired);
        CHECK(rdg_hash_equal(&got.peers, &c.peers) && strcmp(got.driver, c.driver) == 0);
        CHECK_OK(chain_save(dir, &c));
    }
    rdg_buf_fini(&text);
}

/* --- identity ------------------------------------------------------------------------------------------------ */

static void make_identity(const char *dir, unsigned char *ack) {
    identity_t i;
    rdg_sm2_public_t pub;
    if (identity_load(dir, &i) != RDG_OK) return;
    rdg_sm2_key_public(i.key, &pub);
    memcpy(ack + 1, pub.b, sizeof pub.b);
    ack[0] = 1;
    identity_fini(&i);
}

static void check_identity(const char *dir, unsigned char *ack) {
    identity_t i;
    rdg_sm2_public_t pub;
    CHECK_OK(identity_load(dir, &i));
    rdg_sm2_key_public(i.key, &pub);
    if (ack[0]) CHECK_MEM(pub.b, ack + 1, sizeof pub.b);
    identity_fini(&i);
}

TEST(the_devices_key_once_used_is_never_lost) {
    rdg_test_faults_each(RDG_FAULT_FAIL, RDG_FAULT_CUT_LOST, make_identity, check_identity);
}

/* --- commands -------------------------------------------------------------------------------------------------- */

static rdg_err_t accept(journal_t *j, unsigned i, journal_verdict_t *v, rdg_buf_t *result) {
    char text[128];
    command_t c;
    snprintf(text, sizeof text, "{\"id\":\"c%u\",\"type\":\"chain.stop\",\"params\":{\"chain\":\"c\"}}", i);
    rdg_buf_clear(result);
    CHECK_OK(command_parse(rdg_bytes_str(text), &c));
    rdg_err_t err = journal_accept(j, &c, rdg_bytes_str(text), v, result);
    command_fini(&c);
    return err;
}

static void take_commands(const char *dir, unsigned char *ack) {
    journal_t *j = NULL;
    journal_verdict_t v;
    rdg_buf_t result;
    rdg_buf_init(&result, 65536);
    if (journal_open(in(dir, "commands.log"), rdg_clock_system(), &j) != RDG_OK) return;
    for (unsigned i = 0; i < ROUNDS; ++i) {
        char id[8], text[32];
        snprintf(id, sizeof id, "c%u", i);
        snprintf(text, sizeof text, "{\"result\":%u}", i);
        if (accept(j, i, &v, &result) == RDG_OK) ack[i] |= 1;
        if ((ack[i] & 1) && i > 0 && journal_finish(j, id, rdg_bytes_str(text)) == RDG_OK) ack[i] |= 2;
    }
    journal_close(j);
    rdg_buf_fini(&result);
}

static void check_commands(const char *dir, unsigned char *ack) {
    journal_t *j = NULL;
    journal_verdict_t v;
    rdg_buf_t result;
    rdg_buf_init(&result, 65536);
    CHECK_OK(journal_open(in(dir, "commands.log"), rdg_clock_system(), &j));
    for (unsigned i = 0; i < ROUNDS; ++i) {
        char text[32];
        snprintf(text, sizeof text, "{\"result\":%u}", i);
        CHECK_OK(accept(j, i, &v, &result));
        if (ack[i] & 1) CHECK(v != JOURNAL_NEW);
        if (ack[i] & 2) CHECK_EQ(v, JOURNAL_ENDED);
        if (v == JOURNAL_ENDED) CHECK_STR(rdg_buf_cstr(&result), text);
    }
    journal_close(j);
    rdg_buf_fini(&result);
}

TEST(a_command_that_was_acknowledged_is_known_after_a_cut) {
    rdg_test_faults_each(RDG_FAULT_FAIL, RDG_FAULT_CUT_LOST, take_commands, check_commands);
}

/* --- readings ---------------------------------------------------------------------------------------------------- */

static void take_readings(const char *dir, unsigned char *ack) {
    intake_queue_t *q = NULL;
    if (queue_open(in(dir, "queue"), 1u << 20, NULL, NULL, &q) != RDG_OK) return;
    for (unsigned i = 1; i <= ROUNDS; ++i) {
        reading_t r = {.meter = "m", .time = i, .value = (int64_t)i * 10};
        uint64_t end = 0;
        if (queue_write(q, &r, 1, &end) == RDG_OK && queue_commit(q, end) == RDG_OK) ack[i] = 1;
    }
    queue_close(q);
}

typedef struct seen {
    bool time[ROUNDS + 1];
} seen_t;

static void see(void *ctx, uint64_t number, const reading_t *r) {
    seen_t *s = ctx;
    (void)number;
    CHECK(r->time >= 1 && r->time <= ROUNDS && r->value == (int64_t)r->time * 10);
    s->time[r->time] = true;
}

static void check_readings(const char *dir, unsigned char *ack) {
    intake_queue_t *q = NULL;
    seen_t seen = {0};
    CHECK_OK(queue_open(in(dir, "queue"), 1u << 20, see, &seen, &q));
    for (unsigned i = 1; i <= ROUNDS; ++i)
        if (ack[i]) CHECK(seen.time[i]);
    queue_close(q);
}

TEST(a_reading_that_was_acknowledged_is_there_after_a_cut) {
    rdg_test_faults_each(RDG_FAULT_FAIL, RDG_FAULT_CUT_LOST, take_readings, check_readings);
}

/* --- files --------------------------------------------------------------------------------------------------------- */

static void take_files(const char *dir, unsigned char *ack) {
    outbox_t *o = NULL;
    if (outbox_open(in(dir, "outbox"), 1u << 20, &o) != RDG_OK) return;
    for (unsigned i = 0; i < 2; ++i) {
        char name[8];
        uint64_t have = 0;
        snprintf(name, sizeof name, "f%u", i);
        if (outbox_piece(o, "log", name, 0, rdg_bytes_str("first "), false, &have) == RDG_OK &&
            outbox_piece(o, "log", name, have, rdg_bytes_str("second"), true, &have) == RDG_OK)
            ack[i] = 1;
    }
    outbox_close(o);
}

static void check_files(const char *dir, unsigned char *ack) {
    outbox_t *o = NULL;
    CHECK_OK(outbox_open(in(dir, "outbox"), 1u << 20, &o));
    for (unsigned i = 0; i < 2; ++i) {
        char name[8], content[32] = "";
        outbox_item_t item;
        int fd = -1;
        snprintf(name, sizeof name, "f%u", i);
        bool there = outbox_find(o, "log", name, &item);
        CHECK(there || !ack[i]);
        if (!there) continue;
        CHECK_OK(outbox_data(o, item.seq, &fd));
        CHECK_EQ(read(fd, content, sizeof content - 1), 12);
        CHECK_STR(content, "first second");
        close(fd);
        outbox_item_fini(&item);
    }
    outbox_close(o);
}

TEST(a_file_that_was_taken_is_there_whole_after_a_cut) {
    rdg_test_faults_each(RDG_FAULT_FAIL, RDG_FAULT_CUT_LOST, take_files, check_files);
}
