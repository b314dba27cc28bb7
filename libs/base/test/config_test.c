#include "ridge/base/config.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "ridge/base/file.h"
#include "ridge/test.h"

static const rdg_option_t options[] = {
    {"p2p-port", RDG_OPT_U64, "7000", "port of peers", false, 1, 65535},
    {"data-dir", RDG_OPT_STRING, "/var/lib/ridge", "where the ledger is", false, 0, 0},
    {"pool-bytes", RDG_OPT_SIZE, "8MiB", "limit of the pool", false, 1024, 0},
    {"block-time", RDG_OPT_MS, "250ms", "time between blocks", false, 0, 0},
    {"sync", RDG_OPT_BOOL, "true", "sync writes", false, 0, 0},
    {"observer", RDG_OPT_BOOL, NULL, "do not vote", false, 0, 0},
    {"token", RDG_OPT_STRING, NULL, "administrator's token", true, 0, 0},
};
enum { OPTION_COUNT = sizeof options / sizeof *options, ARGS_MAX = 8 };

/* Flags are given as one string, split at spaces. */
static rdg_err_t load(rdg_config_t **c, const char *flags) {
    static char text[1024];
    char *argv[ARGS_MAX + 2] = {text}, *state = NULL;
    int argc = 1;
    snprintf(text, sizeof text, "%s", flags);
    for (char *arg = strtok_r(text, " ", &state); arg && argc <= ARGS_MAX; arg = strtok_r(NULL, " ", &state))
        argv[argc++] = arg;
    return rdg_config_load("ridge-node", "a node of a chain", "RIDGE_NODE", options, OPTION_COUNT, argc, argv,
                           c);
}

static const char *write_file(const char *content) {
    static char path[4096];
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "node.conf"));
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str(content), 0600));
    return path;
}

static rdg_err_t load_file(rdg_config_t **c, const char *content) {
    char flags[5000];
    snprintf(flags, sizeof flags, "--config %s", write_file(content));
    return load(c, flags);
}

TEST(config_has_the_documented_defaults) {
    rdg_config_t *c;
    CHECK_OK(load(&c, ""));
    CHECK_EQ(rdg_config_u64(c, "p2p-port"), 7000);
    CHECK_STR(rdg_config_str(c, "data-dir"), "/var/lib/ridge");
    CHECK_EQ(rdg_config_u64(c, "pool-bytes"), 8 << 20);
    CHECK_EQ(rdg_config_u64(c, "block-time"), 250);
    CHECK(rdg_config_bool(c, "sync") && !rdg_config_bool(c, "observer"));
    CHECK(rdg_config_str(c, "token") == NULL);
    rdg_config_free(c);
}

TEST(config_later_places_win) {
    rdg_config_t *c;
    char flags[5000];
    setenv("RIDGE_NODE_CONFIG", write_file("p2p-port = 1\ndata-dir = /file\npool-bytes = 1MiB\n"), 1);
    CHECK_OK(load(&c, ""));
    CHECK_EQ(rdg_config_u64(c, "p2p-port"), 1);
    rdg_config_free(c);
    setenv("RIDGE_NODE_P2P_PORT", "2", 1);
    setenv("RIDGE_NODE_DATA_DIR", "/environment", 1);
    CHECK_OK(load(&c, ""));
    CHECK_EQ(rdg_config_u64(c, "p2p-port"), 2);
    rdg_config_free(c);
    snprintf(flags, sizeof flags, "--p2p-port=3 --config %s", write_file("block-time = 9s"));
    CHECK_OK(load(&c, flags));
    CHECK_EQ(rdg_config_u64(c, "p2p-port"), 3);
    CHECK_STR(rdg_config_str(c, "data-dir"), "/environment");
    CHECK_EQ(rdg_config_u64(c, "block-time"), 9000);
    CHECK_EQ(rdg_config_u64(c, "pool-bytes"), 8 << 20);
    rdg_config_free(c);
}

TEST(config_file_takes_comments_quotes_and_spaces) {
    rdg_config_t *c;
    CHECK_OK(load_file(&c, "# a node\n\n  data-dir=\"/a b # c\"  # where\r\ntoken = a#b=c\nsync = false\n"
                           "p2p-port\t=\t 9 "));
    CHECK_STR(rdg_config_str(c, "data-dir"), "/a b # c");
    CHECK_STR(rdg_config_str(c, "token"), "a#b=c");
    CHECK(!rdg_config_bool(c, "sync"));
    CHECK_EQ(rdg_config_u64(c, "p2p-port"), 9);
    rdg_config_free(c);
}

TEST(config_flags_take_both_forms_and_leave_the_rest) {
    rdg_config_t *c;
    const char *const *rest;
    CHECK_OK(load(&c, "block list --observer --p2p-port 5 --sync=false -- --p2p-port"));
    CHECK(rdg_config_bool(c, "observer") && !rdg_config_bool(c, "sync"));
    CHECK_EQ(rdg_config_u64(c, "p2p-port"), 5);
    CHECK_EQ(rdg_config_rest(c, &rest), 3);
    CHECK_STR(rest[0], "block");
    CHECK_STR(rest[1], "list");
    CHECK_STR(rest[2], "--p2p-port");
    rdg_config_free(c);
}

static void check_refused(const char *flags, const char *want) {
    rdg_config_t *c = NULL;
    CHECK_ERR(load(&c, flags), RDG_E_INVALID);
    CHECK(c == NULL);
    if (!strstr(rdg_err_message(RDG_E_INVALID), want)) CHECK_STR(rdg_err_message(RDG_E_INVALID), want);
}

TEST(config_refusals_name_the_key_the_place_and_what_is_expected) {
    check_refused("--p2p-prt 7", "flag --p2p-prt: no such option; see ridge-node --help");
    check_refused("--p2p-port", "flag --p2p-port: a value must follow");
    check_refused("--p2p-port x", "flag --p2p-port: \"x\" is no number");
    check_refused("--p2p-port 7x", "flag --p2p-port: \"7x\": want a whole number such as 42");
    check_refused("--p2p-port 0", "flag --p2p-port: \"0\" is outside 1 to 65535");
    check_refused("--p2p-port 65536", "outside 1 to 65535");
    check_refused("--pool-bytes 1", "\"1\" is below 1024");
    check_refused("--pool-bytes 8MB", "want a size such as 4096, 64KiB, 8MiB or 1GiB");
    check_refused("--block-time 3", "want a time with its unit such as 250ms");
    check_refused("--sync=maybe", "flag --sync: \"maybe\": want true or false");
    check_refused("-p 7", "flags start with two dashes");
    setenv("RIDGE_NODE_SYNC", "sometimes", 1);
    check_refused("", "RIDGE_NODE_SYNC: \"sometimes\": want true or false");
}

static void check_file_refused(const char *content, const char *want) {
    rdg_config_t *c = NULL;
    CHECK_ERR(load_file(&c, content), RDG_E_INVALID);
    if (!strstr(rdg_err_message(RDG_E_INVALID), want)) CHECK_STR(rdg_err_message(RDG_E_INVALID), want);
}

TEST(config_file_errors_name_the_line) {
    check_file_refused("p2p-port = 1\nport = 2\n", "node.conf:2: port: no such option");
    check_file_refused("\n\np2p-port = -1\n", "node.conf:3: p2p-port: \"-1\" is no number");
    check_file_refused("p2p-port 7\n", "node.conf:1: want \"name = value\"");
    rdg_config_t *c;
    CHECK_ERR(load(&c, "--config /no/such/file"), RDG_E_NOT_FOUND);
    CHECK_STR(rdg_err_message(RDG_E_NOT_FOUND),
              "configuration file: open /no/such/file: No such file or directory");
}

TEST(config_secret_is_refused_as_a_flag_and_never_repeated) {
    check_refused("--token=hunter2", "secrets are not taken from the command line");
    CHECK(strstr(rdg_err_message(RDG_E_INVALID), "hunter2") == NULL);
    rdg_config_t *c;
    setenv("RIDGE_NODE_TOKEN", "hunter2", 1);
    CHECK_OK(load(&c, ""));
    CHECK_STR(rdg_config_str(c, "token"), "hunter2");
    rdg_config_free(c);
}

TEST(config_help_lists_every_option_with_default_and_environment) {
    char path[4096];
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "help"));
    int kept = dup(1), out = open(path, O_CREAT | O_WRONLY, 0600);
    dup2(out, 1);
    rdg_config_t *c = NULL;
    rdg_err_t help = load(&c, "--p2p-port x --help"), version = load(&c, "--version");
    fflush(stdout);
    dup2(kept, 1);
    close(out), close(kept);
    CHECK_EQ(help, RDG_E_CANCELLED);
    CHECK_EQ(version, RDG_E_CANCELLED);
    rdg_buf_t text;
    rdg_buf_init(&text, 1 << 16);
    CHECK_OK(rdg_file_read(path, &text));
    const char *s = rdg_buf_cstr(&text);
    for (size_t i = 0; i < OPTION_COUNT; ++i) {
        CHECK(strstr(s, options[i].name) && strstr(s, options[i].help));
        CHECK(!options[i].fallback || strstr(s, options[i].fallback));
    }
    CHECK(strstr(s, "RIDGE_NODE_POOL_BYTES") && strstr(s, "token (not as a flag)") &&
          strstr(s, "--config FILE"));
    CHECK(strstr(s, "\nridge-node " RIDGE_VERSION "\n") != NULL);
    rdg_buf_fini(&text);
}

TEST(config_survives_every_failed_allocation) {
    char flags[5000];
    snprintf(flags, sizeof flags, "rest --p2p-port 7 --config %s", write_file("data-dir = /x\ntoken = y\n"));
    rdg_err_t err;
    RDG_TEST_ALLOC_LOOP(err) {
        rdg_config_t *c = NULL;
        err = load(&c, flags);
        rdg_config_free(c);
    }
}

TEST(parsers_know_their_limits) {
    uint64_t v;
    CHECK_OK(rdg_parse_u64("18446744073709551615", &v));
    CHECK(v == UINT64_MAX);
    CHECK_ERR(rdg_parse_u64("18446744073709551616", &v), RDG_E_INVALID);
    CHECK_ERR(rdg_parse_u64("", &v), RDG_E_INVALID);
    CHECK_ERR(rdg_parse_u64(" 1", &v), RDG_E_INVALID);
    CHECK_ERR(rdg_parse_u64("+1", &v), RDG_E_INVALID);
    CHECK_ERR(rdg_parse_u64(NULL, &v), RDG_E_INVALID);
    CHECK_OK(rdg_parse_size("64KiB", &v));
    CHECK_EQ(v, 65536);
    CHECK_OK(rdg_parse_size("2TiB", &v));
    CHECK_EQ(v, 2ll << 40);
    CHECK_ERR(rdg_parse_size("16777216TiB", &v), RDG_E_INVALID);
    CHECK_OK(rdg_parse_ms("2m", &v));
    CHECK_EQ(v, 120000);
    CHECK_OK(rdg_parse_ms("7d", &v));
    CHECK_EQ(v, 604800000);
    CHECK_ERR(rdg_parse_ms("1 s", &v), RDG_E_INVALID);
}
