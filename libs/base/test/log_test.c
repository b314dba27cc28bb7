#include "ridge/base/log.h"
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "ridge/base/file.h"
#include "ridge/base/trace.h"
#include "ridge/test.h"

static char text[64 * 1024];

static int log_fd = -1;

static void start_log(void) {
    FILE *f = tmpfile();
    CHECK(f != NULL);
    if (log_fd >= 0) close(log_fd);
    log_fd = dup(fileno(f));
    fclose(f);
    rdg_log_set_fd(log_fd);
}

/* What was logged, without the time stamp of a single line. */
static const char *logged(void) {
    ssize_t n = pread(log_fd, text, sizeof text - 1, 0);
    CHECK(n >= 0);
    text[n] = 0;
    return text;
}

static const char *fields_of(const char *line) {
    const char *level = strstr(line, "\"level\"");
    CHECK(strncmp(line, "{\"ts\":\"20", 9) == 0 && level == line + 33);
    return level;
}

TEST(log_writes_one_json_line_of_typed_fields) {
    start_log();
    const uint8_t digest[] = {0xde, 0xad};
    rdg_log(RDG_LOG_WARN, "pbft.view_change", RDG_U64("view", UINT64_MAX), RDG_I64("delta", INT64_MIN),
            RDG_F64("load", 0.5), RDG_BOOL("leader", true), RDG_HEX("digest", digest, 2),
            RDG_STR("why", "timeout"), RDG_STR("none", NULL));
    CHECK_STR(fields_of(logged()),
              "\"level\":\"warn\",\"event\":\"pbft.view_change\",\"view\":18446744073709551615,\"delta\":-"
              "9223372036854775808,"
              "\"load\":0.5,\"leader\":true,\"digest\":\"dead\",\"why\":\"timeout\",\"none\":null}\n");
}

TEST(log_escapes_what_json_does_not_allow) {
    start_log();
    rdg_log(RDG_LOG_INFO, "x", RDG_STR("a", "q\"b\\s\n\t\x01\x7f 云脊"), RDG_F64("nan", NAN),
            RDG_F64("inf", INFINITY));
    CHECK_STR(fields_of(logged()), "\"level\":\"info\",\"event\":\"x\",\"a\":\"q\\\"b\\\\s\\n\\t\\u0001\x7f "
                                   "云脊\",\"nan\":null,\"inf\":null}\n");
}

TEST(log_replaces_invalid_utf8) {
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"\xff", "\uFFFD"},
        {"\xc0\xaf", "\uFFFD\uFFFD"},
        {"\xe4\xba", "\uFFFD\uFFFD"},
        {"\xed\xa0\x80", "\uFFFD\uFFFD\uFFFD"},
        {"\xf0\x9f\x98\x80", "\U0001F600"},
        {"\xf5\x80", "\uFFFD\uFFFD"},
        {"a\x80z", "a\uFFFDz"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        char want[128];
        start_log();
        rdg_log(RDG_LOG_INFO, "x", RDG_STR("v", cases[i].in));
        snprintf(want, sizeof want, "\"level\":\"info\",\"event\":\"x\",\"v\":\"%s\"}\n", cases[i].out);
        CHECK_STR(fields_of(logged()), want);
    }
}

TEST(log_cuts_a_long_field_and_says_so) {
    start_log();
    char long_text[5000];
    memset(long_text, 'a', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = 0;
    rdg_log(RDG_LOG_INFO, "x", RDG_STR("long", long_text), RDG_HEX("hex", long_text, 4000),
            RDG_U64("after", 1));
    const char *line = logged();
    CHECK(strlen(line) < RDG_LOG_LINE_MAX);
    CHECK(strstr(line, "aaa…\",\"hex\":\"6161") != NULL);
    CHECK(strstr(line, "6161…\",\"after\":1}\n") != NULL);
}

TEST(log_line_keeps_its_limit_and_stays_json) {
    start_log();
    char long_text[1200];
    memset(long_text, '\n', sizeof long_text - 1); /* two characters each once escaped */
    long_text[sizeof long_text - 1] = 0;
    rdg_log(RDG_LOG_INFO, "x", RDG_STR("a", long_text), RDG_STR("b", long_text), RDG_STR("c", long_text),
            RDG_STR("d", long_text), RDG_STR("e", long_text), RDG_U64("f", 1));
    const char *line = logged();
    size_t len = strlen(line);
    CHECK(len <= RDG_LOG_LINE_MAX);
    CHECK_STR(line + len - 13, ",\"cut\":true}\n");
    CHECK(strchr(line, '\n') == line + len - 1);
}

TEST(log_below_its_level_is_not_written_and_not_evaluated) {
    start_log();
    int evaluated = 0;
    rdg_log(RDG_LOG_DEBUG, "x", RDG_U64("n", (uint64_t)++evaluated));
    rdg_log0(RDG_LOG_DEBUG, "x");
    CHECK_STR(logged(), "");
    CHECK_EQ(evaluated, 0);
    rdg_log_level_t level;
    CHECK_OK(rdg_log_level_parse("debug", &level));
    rdg_log_set_level(level);
    rdg_log0(RDG_LOG_DEBUG, "x.y");
    CHECK_STR(fields_of(logged()), "\"level\":\"debug\",\"event\":\"x.y\"}\n");
    CHECK_ERR(rdg_log_level_parse("verbose", &level), RDG_E_INVALID);
    CHECK_STR(rdg_err_message(RDG_E_INVALID), "log level \"verbose\": want debug, info, warn or error");
}

TEST(log_adds_common_fields_and_the_trace) {
    rdg_trace_t trace;
    CHECK_OK(rdg_trace_parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", &trace));
    start_log();
    rdg_log_common("device", "dev-1");
    rdg_log_common("chain", "grid\"7");
    rdg_trace_set_current(&trace);
    rdg_log_err("x", rdg_fail(RDG_E_IO, "disk \"sda\""));
    CHECK_STR(
        fields_of(logged()),
        "\"level\":\"error\",\"event\":\"x\",\"device\":\"dev-1\",\"chain\":\"grid\\\"7\","
        "\"trace\":\"0af7651916cd43dd8448eb211c80319c\",\"code\":\"IO\",\"error\":\"disk \\\"sda\\\"\"}\n");
}

static void *write_many(void *arg) {
    for (int i = 0; i < 50; ++i) rdg_log(RDG_LOG_INFO, "thread", RDG_STR("id", arg), RDG_I64("i", i));
    return NULL;
}

TEST(log_lines_of_threads_do_not_mix) {
    char path[4096];
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "log"));
    FILE *f = fopen(path, "a");
    CHECK(f != NULL);
    rdg_log_set_fd(fileno(f));
    pthread_t threads[4];
    static char ids[4][2] = {"a", "b", "c", "d"};
    for (int i = 0; i < 4; ++i) CHECK(pthread_create(&threads[i], NULL, write_many, ids[i]) == 0);
    for (int i = 0; i < 4; ++i) pthread_join(threads[i], NULL);
    rdg_log_set_fd(2);
    fclose(f);
    rdg_buf_t all;
    rdg_buf_init(&all, 1 << 20);
    CHECK_OK(rdg_file_read(path, &all));
    size_t lines = 0;
    for (const char *line = rdg_buf_cstr(&all); *line; line = strchr(line, '\n') + 1, ++lines) {
        CHECK(strncmp(line, "{\"ts\":\"", 7) == 0);
        CHECK(strchr(line, '\n')[-1] == '}');
    }
    CHECK_EQ(lines, 200);
    rdg_buf_fini(&all);
}
