#include "executor.h"
#include "record_log.h"
#include "ridge/base/file.h"
#include "ridge/test.h"
#include "ridge/test_faults.h"
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[PATH_MAX];

static journal_t *reopen(journal_t *j) {
    journal_close(j);
    snprintf(path, sizeof path, "%s/commands.log", rdg_test_dir());
    CHECK_OK(journal_open(path, rdg_clock_system(), &j));
    return j;
}

static journal_verdict_t accept_text(journal_t *j, const char *text, rdg_buf_t *result) {
    command_t c;
    journal_verdict_t v;
    rdg_buf_clear(result);
    CHECK_OK(command_parse(rdg_bytes_str(text), &c));
    CHECK_OK(journal_accept(j, &c, rdg_bytes_str(text), &v, result));
    command_fini(&c);
    return v;
}

static journal_verdict_t accept_id(journal_t *j, const char *id, rdg_buf_t *result) {
    char text[256];
    snprintf(text, sizeof text, "{\"id\":\"%s\",\"type\":\"chain.stop\",\"params\":{\"chain\":\"c\"}}", id);
    return accept_text(j, text, result);
}

TEST(a_command_is_known_by_its_id_and_answered_with_its_first_result) {
    rdg_buf_t r;
    rdg_buf_init(&r, 65536);
    journal_t *j = reopen(NULL);
    CHECK_EQ(accept_id(j, "a", &r), JOURNAL_NEW);
    CHECK_EQ(accept_id(j, "a", &r), JOURNAL_WAITING);
    j = reopen(j);
    CHECK_EQ(accept_id(j, "a", &r), JOURNAL_WAITING);
    CHECK_OK(journal_finish(j, "a", rdg_bytes_str("{\"first\":1}")));
    CHECK_OK(journal_finish(j, "a", rdg_bytes_str("{\"second\":2}")));
    CHECK_EQ(journal_unsent_count(j), 1);
    for (int i = 0; i < 2; ++i) {
        CHECK_EQ(accept_id(j, "a", &r), JOURNAL_ENDED);
        CHECK_STR(rdg_buf_cstr(&r), "{\"first\":1}");
        j = reopen(j);
    }
    CHECK_OK(journal_sent(j, "a"));
    j = reopen(j);
    CHECK_EQ(journal_unsent_count(j), 0);
    CHECK_EQ(accept_id(j, "a", &r), JOURNAL_ENDED);
    CHECK_ERR(journal_finish(j, "b", rdg_bytes_str("{}")), RDG_E_NOT_FOUND);
    journal_close(j);
    rdg_buf_fini(&r);
}

static off_t size_of(const char *file) {
    struct stat st;
    CHECK_EQ(stat(file, &st), 0);
    return st.st_size;
}

/* Power is cut at every byte of the last write: what was durable before it is still so. */
TEST(a_torn_write_of_the_journal_costs_only_itself) {
    rdg_buf_t r;
    rdg_buf_init(&r, 65536);
    journal_t *j = reopen(NULL);
    CHECK_EQ(accept_id(j, "a", &r), JOURNAL_NEW);
    off_t before = size_of(path);
    CHECK_OK(journal_finish(j, "a", rdg_bytes_str("{\"done\":1}")));
    off_t after = size_of(path);
    for (off_t at = after - 1; at >= before; --at) {
        CHECK_EQ(truncate(path, at), 0);
        j = reopen(j);
        CHECK_EQ(accept_id(j, "a", &r), JOURNAL_WAITING);
        CHECK_EQ(size_of(path), before);
    }
    /* And it goes on from there. */
    CHECK_OK(journal_finish(j, "a", rdg_bytes_str("{\"done\":2}")));
    j = reopen(j);
    CHECK_EQ(accept_id(j, "a", &r), JOURNAL_ENDED);
    journal_close(j);
    rdg_buf_fini(&r);
}

TEST(a_flipped_bit_costs_the_record_it_touches_and_no_other) {
    rdg_buf_t r;
    rdg_buf_init(&r, 65536);
    journal_t *j = reopen(NULL);
    CHECK_EQ(accept_id(j, "a", &r), JOURNAL_NEW);
    off_t first = size_of(path);
    CHECK_EQ(accept_id(j, "b", &r), JOURNAL_NEW);
    CHECK_EQ(accept_id(j, "c", &r), JOURNAL_NEW);
    journal_close(j);
    for (off_t at = first; at < first + 40; ++at) {
        uint8_t byte;
        int fd = open(path, O_RDWR);
        CHECK(fd >= 0 && pread(fd, &byte, 1, at) == 1);
        byte ^= 0x10;
        CHECK_EQ(pwrite(fd, &byte, 1, at), 1);
        j = reopen(NULL);
        CHECK_EQ(journal_count(j), 2);
        CHECK_EQ(accept_id(j, "a", &r), JOURNAL_WAITING);
        CHECK_EQ(accept_id(j, "c", &r), JOURNAL_WAITING);
        journal_close(j);
        byte ^= 0x10;
        CHECK_EQ(pwrite(fd, &byte, 1, at), 1);
        close(fd);
    }
    rdg_buf_fini(&r);
}

TEST(the_journal_stays_small_and_keeps_what_has_not_been_sent) {
    rdg_buf_t r;
    char id[32];
    rdg_buf_init(&r, 65536);
    journal_t *j = reopen(NULL);
    CHECK_EQ(accept_id(j, "waiting", &r), JOURNAL_NEW);
    CHECK_EQ(accept_id(j, "unsent", &r), JOURNAL_NEW);
    CHECK_OK(journal_finish(j, "unsent", rdg_bytes_str("{\"u\":1}")));
    static char big[4096];
    memset(big, 'x', sizeof big - 1);
    for (int i = 0; i < 400; ++i) {
        char text[5000];
        snprintf(id, sizeof id, "n%d", i);
        snprintf(text, sizeof text, "{\"id\":\"%s\",\"type\":\"t\",\"params\":{\"pad\":\"%s\"}}", id, big);
        CHECK_EQ(accept_text(j, text, &r), JOURNAL_NEW);
        CHECK_OK(journal_finish(j, id, rdg_bytes_str("{}")));
        CHECK_OK(journal_sent(j, id));
    }
    CHECK(size_of(path) < 600000);
    j = reopen(j);
    CHECK_EQ(journal_count(j), 402);
    CHECK_EQ(journal_unsent_count(j), 1);
    CHECK_EQ(accept_id(j, "waiting", &r), JOURNAL_WAITING);
    CHECK_EQ(accept_id(j, "unsent", &r), JOURNAL_ENDED);
    CHECK_STR(rdg_buf_cstr(&r), "{\"u\":1}");
    CHECK_EQ(accept_id(j, "n7", &r), JOURNAL_ENDED);
    journal_close(j);
    rdg_buf_fini(&r);
}

TEST(more_waiting_commands_than_the_limit_are_refused) {
    rdg_buf_t r;
    char text[128];
    journal_verdict_t v;
    command_t c;
    rdg_buf_init(&r, 4096);
    journal_t *j = reopen(NULL);
    for (int i = 0; i <= JOURNAL_WAITING_MAX; ++i) {
        snprintf(text, sizeof text, "{\"id\":\"n%d\",\"type\":\"t\"}", i);
        CHECK_OK(command_parse(rdg_bytes_str(text), &c));
        CHECK_ERR(journal_accept(j, &c, rdg_bytes_str(text), &v, &r),
                  i < JOURNAL_WAITING_MAX ? RDG_OK : RDG_E_FULL);
        command_fini(&c);
    }
    journal_close(j);
    rdg_buf_fini(&r);
}

/* As journal.c has them, without its syncs: command, final, sent. */
static void write_ended(record_log_t *l, uint64_t time_ms, const char *id) {
    static const char *const texts[] = {"{\"id\":\"?\",\"type\":\"t\"}", "{\"done\":1}", ""};
    for (uint8_t type = 1; type <= 3; ++type) {
        rdg_buf_t b;
        rdg_buf_init(&b, 256);
        rdg_buf_u64(&b, time_ms);
        rdg_buf_u8(&b, (uint8_t)strlen(id));
        rdg_buf_append(&b, id, strlen(id));
        CHECK_OK(rdg_buf_str(&b, texts[type - 1]));
        CHECK_OK(record_log_append(l, type, rdg_buf_view(&b), NULL));
        rdg_buf_fini(&b);
    }
}

/* Dropped from the index, they are in the file until it is compacted. */
TEST(a_journal_that_has_dropped_commands_opens_again) {
    record_log_t *l = NULL;
    rdg_buf_t r;
    char id[32];
    rdg_buf_init(&r, 65536);
    journal_t *j = reopen(NULL);
    CHECK_EQ(accept_id(j, "waiting", &r), JOURNAL_NEW);
    journal_close(j);
    CHECK_OK(record_log_open(path, NULL, NULL, &l));
    for (int i = 0; i < JOURNAL_COMMANDS_MAX + 500; ++i) {
        snprintf(id, sizeof id, "n%d", i);
        write_ended(l, rdg_wall_ms(rdg_clock_system()), id);
    }
    record_log_close(l);
    j = reopen(NULL);
    CHECK_EQ(journal_count(j), JOURNAL_COMMANDS_MAX);
    CHECK_EQ(accept_id(j, "waiting", &r), JOURNAL_WAITING);
    CHECK_EQ(accept_id(j, id, &r), JOURNAL_ENDED);
    CHECK_EQ(accept_id(j, "n600", &r), JOURNAL_ENDED);
    CHECK_EQ(accept_id(j, "new", &r), JOURNAL_NEW);
    CHECK_EQ(journal_count(j), JOURNAL_COMMANDS_MAX);
    journal_close(j);
    rdg_buf_fini(&r);
}

/* --- the log under it --------------------------------------------------------------------------------- */

static const char *log_in(const char *dir, const char *leaf) {
    static char file[2][PATH_MAX];
    static int at;
    at = !at;
    snprintf(file[at], sizeof file[at], "%s/%s", dir, leaf);
    return file[at];
}

static rdg_err_t add_durably(record_log_t *l, uint8_t type) {
    rdg_err_t err = record_log_append(l, type, rdg_bytes_str("content"), NULL);
    return err == RDG_OK ? record_log_sync(l) : err;
}

/* A compaction that drops what is of type 1, and then goes on. */
static void compact_and_go_on(const char *dir, unsigned char *ack) {
    record_log_t *l = NULL, *fresh = NULL;
    if (record_log_open(log_in(dir, "log"), NULL, NULL, &l) != RDG_OK) return;
    ack[0] = add_durably(l, 1) == RDG_OK && add_durably(l, 2) == RDG_OK;
    if (ack[0] && record_log_open(log_in(dir, "log.new"), NULL, NULL, &fresh) == RDG_OK) {
        if (record_log_append(fresh, 2, rdg_bytes_str("content"), NULL) == RDG_OK)
            (void)record_log_replace(l, fresh);
        else
            record_log_close(fresh);
    }
    ack[1] = add_durably(l, 3) == RDG_OK;
    record_log_close(l);
}

static rdg_err_t note_type(void *ctx, uint8_t type, rdg_bytes_t payload, uint64_t offset) {
    (void)payload, (void)offset;
    ((bool *)ctx)[type] = true;
    return RDG_OK;
}

static void look_for_acknowledged(const char *dir, unsigned char *ack) {
    record_log_t *l = NULL;
    bool found[256] = {false};
    CHECK_OK(record_log_open(log_in(dir, "log"), note_type, found, &l));
    CHECK(found[2] || !ack[0]);
    CHECK(found[3] || !ack[1]);
    record_log_close(l);
}

TEST(what_is_durable_behind_a_compaction_stays_whatever_fails) {
    rdg_test_faults_each(RDG_FAULT_FAIL, RDG_FAULT_CUT_LOST, compact_and_go_on, look_for_acknowledged);
}

/* --- the executor ------------------------------------------------------------------------------------ */

typedef struct world {
    pthread_mutex_t lock;
    pthread_cond_t news;
    unsigned effects, ended;
    char order[64];
    bool stuck; /* commands of chain "stuck" wait */
} world_t;

static world_t world = {.lock = PTHREAD_MUTEX_INITIALIZER, .news = PTHREAD_COND_INITIALIZER};

static rdg_err_t run(void *ctx, const command_t *c, executor_run_t *at, json_t **result) {
    (void)ctx;
    executor_progress(at, "step", 50);
    pthread_mutex_lock(&world.lock);
    while (strcmp(c->chain, "stuck") == 0 && world.stuck) pthread_cond_wait(&world.news, &world.lock);
    ++world.effects;
    size_t len = strlen(world.order);
    if (len + 1 < sizeof world.order) world.order[len] = c->id[strlen(c->id) - 1];
    pthread_mutex_unlock(&world.lock);
    if (strcmp(c->type, "fails") == 0) return rdg_fail(RDG_E_CONFLICT, "it cannot be: do otherwise");
    if (strcmp(c->type, "gives_up") == 0) return rdg_fail(RDG_E_CANCELLED, "its node was stopped");
    if (strcmp(c->type, "fills_disk") == 0) rdg_test_faults_arm(rdg_test_dir(), RDG_FAULT_TORN, 1);
    while (strcmp(c->type, "lasts") == 0)
        if (executor_stopping(at)) return rdg_fail(RDG_E_CANCELLED, "the agent stops");
    *result = json_pack("{s:s}", "for", c->id);
    return RDG_OK;
}

static void ended(void *ctx) {
    (void)ctx;
    pthread_mutex_lock(&world.lock);
    ++world.ended;
    pthread_cond_broadcast(&world.news);
    pthread_mutex_unlock(&world.lock);
}

static executor_t *execute(journal_t *j) {
    executor_t *x = NULL;
    executor_options_t o = {.journal = j, .clock = rdg_clock_system(), .run = run, .ended = ended};
    CHECK_OK(executor_start(&o, &x));
    return x;
}

static void deliver(executor_t *x, const char *text, rdg_buf_t *answer) {
    rdg_buf_clear(answer);
    CHECK_OK(executor_deliver(x, rdg_bytes_str(text), answer));
}

static void await_ended(unsigned n) {
    pthread_mutex_lock(&world.lock);
    while (world.ended < n) pthread_cond_wait(&world.news, &world.lock);
    pthread_mutex_unlock(&world.lock);
}

TEST(three_deliveries_have_one_effect) {
    rdg_buf_t a;
    rdg_buf_init(&a, 65536);
    journal_t *j = reopen(NULL);
    executor_t *x = execute(j);
    static const char text[] = "{\"id\":\"a\",\"type\":\"t\",\"params\":{\"chain\":\"c\"}}";
    deliver(x, text, &a);
    CHECK_EQ(a.len, 0);
    await_ended(1);
    deliver(x, text, &a);
    CHECK(strstr(rdg_buf_cstr(&a), "\"done\"") && strstr(rdg_buf_cstr(&a), "{\"for\":\"a\"}"));
    deliver(x, text, &a);
    executor_free(x);
    CHECK_EQ(world.effects, 1);
    journal_close(j);
    rdg_buf_fini(&a);
}

TEST(commands_of_a_chain_run_in_order_and_a_stuck_one_blocks_only_its_chain) {
    rdg_buf_t a;
    rdg_buf_init(&a, 65536);
    journal_t *j = reopen(NULL);
    executor_t *x = execute(j);
    world.stuck = true;
    deliver(x, "{\"id\":\"s1\",\"type\":\"t\",\"params\":{\"chain\":\"stuck\"}}", &a);
    deliver(x, "{\"id\":\"s2\",\"type\":\"t\",\"params\":{\"chain\":\"stuck\"}}", &a);
    for (int i = 1; i <= 5; ++i) {
        char text[128];
        snprintf(text, sizeof text, "{\"id\":\"c%d\",\"type\":\"t\",\"params\":{\"chain\":\"c\"}}", i);
        deliver(x, text, &a);
    }
    await_ended(5);
    CHECK_STR(world.order, "12345");
    pthread_mutex_lock(&world.lock);
    world.stuck = false;
    pthread_cond_broadcast(&world.news);
    pthread_mutex_unlock(&world.lock);
    await_ended(7);
    CHECK_STR(world.order, "1234512");
    executor_free(x);
    journal_close(j);
    rdg_buf_fini(&a);
}

TEST(a_command_cut_short_is_taken_up_at_the_next_start) {
    rdg_buf_t a;
    rdg_buf_init(&a, 65536);
    journal_t *j = reopen(NULL);
    CHECK_EQ(accept_id(j, "a", &a), JOURNAL_NEW);
    CHECK_EQ(accept_id(j, "b", &a), JOURNAL_NEW);
    j = reopen(j);
    executor_t *x = execute(j);
    await_ended(2);
    CHECK_STR(world.order, "ab");
    executor_free(x);
    CHECK_EQ(journal_unsent_count(j), 2);
    journal_close(j);
    rdg_buf_fini(&a);
}

TEST(late_failed_and_senseless_commands_end_with_a_result_that_says_so) {
    rdg_buf_t a;
    rdg_buf_init(&a, 65536);
    journal_t *j = reopen(NULL);
    executor_t *x = execute(j);
    deliver(x, "{\"id\":\"late\",\"type\":\"t\",\"deadline_ms\":1000,\"params\":{\"chain\":\"c\"}}", &a);
    deliver(x, "{\"id\":\"bad\",\"type\":\"fails\",\"params\":{\"chain\":\"c\"}}", &a);
    deliver(x, "{\"id\":\"odd\",\"type\":\"t\",\"params\":{\"chain\":\"../../etc\"}}", &a);
    deliver(x, "no JSON at all", &a);
    deliver(x, "{\"id\":\"../x\",\"type\":\"t\"}", &a);
    await_ended(3);
    CHECK_EQ(accept_id(j, "late", &a), JOURNAL_ENDED);
    CHECK(strstr(rdg_buf_cstr(&a), "\"expired\"") && strstr(rdg_buf_cstr(&a), "EXPIRED"));
    CHECK_EQ(accept_id(j, "bad", &a), JOURNAL_ENDED);
    CHECK(strstr(rdg_buf_cstr(&a), "\"failed\"") && strstr(rdg_buf_cstr(&a), "do otherwise"));
    CHECK_EQ(accept_id(j, "odd", &a), JOURNAL_ENDED);
    CHECK(strstr(rdg_buf_cstr(&a), "INVALID"));
    CHECK_EQ(world.effects, 1);
    CHECK_EQ(journal_count(j), 3);
    executor_free(x);
    journal_close(j);
    rdg_buf_fini(&a);
}

TEST(a_command_that_is_given_up_while_the_agent_goes_on_has_ended) {
    rdg_buf_t a;
    rdg_buf_init(&a, 65536);
    journal_t *j = reopen(NULL);
    executor_t *x = execute(j);
    deliver(x, "{\"id\":\"a\",\"type\":\"gives_up\",\"params\":{\"chain\":\"c\"}}", &a);
    deliver(x, "{\"id\":\"b\",\"type\":\"t\",\"params\":{\"chain\":\"c\"}}", &a);
    await_ended(1);
    executor_free(x);
    CHECK_EQ(accept_id(j, "a", &a), JOURNAL_ENDED);
    CHECK(strstr(rdg_buf_cstr(&a), "CANCELLED"));
    journal_close(j);
    rdg_buf_fini(&a);
}

TEST(a_command_that_the_agents_end_cuts_short_is_left_to_the_next_start) {
    rdg_buf_t a;
    rdg_buf_init(&a, 65536);
    journal_t *j = reopen(NULL);
    executor_t *x = execute(j);
    deliver(x, "{\"id\":\"a\",\"type\":\"lasts\",\"params\":{\"chain\":\"c\"}}", &a);
    executor_free(x);
    CHECK_EQ(accept_id(j, "a", &a), JOURNAL_WAITING);
    journal_close(j);
    rdg_buf_fini(&a);
}

TEST(a_result_that_a_full_disk_does_not_take_is_kept_when_there_is_room_again) {
    rdg_buf_t a;
    rdg_buf_init(&a, 65536);
    journal_t *j = reopen(NULL);
    executor_t *x = execute(j);
    deliver(x, "{\"id\":\"a\",\"type\":\"fills_disk\",\"params\":{\"chain\":\"c\"}}", &a);
    await_ended(1);
    (void)rdg_test_faults_disarm();
    CHECK_EQ(accept_id(j, "a", &a), JOURNAL_ENDED);
    CHECK(strstr(rdg_buf_cstr(&a), "{\"for\":\"a\"}"));
    CHECK_EQ(world.effects, 1);
    CHECK_EQ(journal_unsent_count(j), 1);
    executor_free(x);
    journal_close(j);
    rdg_buf_fini(&a);
}
