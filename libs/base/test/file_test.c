#include "ridge/base/file.h"
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "ridge/test.h"

static const char *in_dir(const char *name) {
    static char paths[4][4096];
    static unsigned next;
    char *path = paths[next++ % 4];
    CHECK_OK(rdg_path_join(path, sizeof paths[0], rdg_test_dir(), name));
    return path;
}

static void put(const char *name, const char *content) {
    CHECK_OK(rdg_file_replace(in_dir(name), rdg_bytes_str(content), 0644));
}

static void check_content(const char *name, const char *want) {
    rdg_buf_t b;
    rdg_buf_init(&b, 1 << 16);
    CHECK_OK(rdg_file_read(in_dir(name), &b));
    CHECK_STR(rdg_buf_cstr(&b), want);
    rdg_buf_fini(&b);
}

TEST(file_read_gives_it_whole_or_nothing) {
    rdg_buf_t b;
    put("ten", "0123456789");
    rdg_buf_init(&b, 12);
    rdg_buf_str(&b, "ab");
    CHECK_OK(rdg_file_read(in_dir("ten"), &b));
    CHECK_STR(rdg_buf_cstr(&b), "ab0123456789");
    rdg_buf_fini(&b);
    rdg_buf_init(&b, 11);
    rdg_buf_str(&b, "ab");
    CHECK_ERR(rdg_file_read(in_dir("ten"), &b), RDG_E_TOO_LARGE);
    CHECK(strstr(rdg_err_message(RDG_E_TOO_LARGE), "/ten is larger than the limit of 11 bytes") != NULL);
    CHECK_STR(rdg_buf_cstr(&b), "ab");
    CHECK_ERR(rdg_file_read(in_dir("absent"), &b), RDG_E_NOT_FOUND);
    CHECK(rdg_file_read(rdg_test_dir(), &b) != RDG_OK);
    rdg_buf_fini(&b);
}

/* Where somebody else may write there can be a pipe that nobody writes into, or a link to what is none of theirs. */
TEST(file_read_plain_waits_for_nobody_and_follows_no_link) {
    rdg_buf_t b;
    char ten[PATH_MAX];
    put("ten", "0123456789");
    snprintf(ten, sizeof ten, "%s", in_dir("ten"));
    CHECK_EQ(mkfifo(in_dir("pipe"), 0600), 0);
    CHECK_EQ(symlink(ten, in_dir("link")), 0);
    rdg_buf_init(&b, 11);
    rdg_buf_str(&b, "a");
    CHECK_OK(rdg_file_read_plain(in_dir("ten"), false, &b));
    CHECK_STR(rdg_buf_cstr(&b), "a0123456789");
    rdg_buf_clear(&b);
    CHECK_ERR(rdg_file_read_plain(in_dir("link"), false, &b), RDG_E_INVALID);
    CHECK_EQ(b.len, 0);
    CHECK_OK(rdg_file_read_plain(in_dir("link"), true, &b));
    CHECK_EQ(b.len, 10);
    CHECK_ERR(rdg_file_read_plain(in_dir("ten"), false, &b), RDG_E_TOO_LARGE);
    CHECK_EQ(b.len, 10);
    CHECK_ERR(rdg_file_read_plain(in_dir("pipe"), true, &b), RDG_E_INVALID);
    CHECK_ERR(rdg_file_read_plain(rdg_test_dir(), true, &b), RDG_E_INVALID);
    CHECK_ERR(rdg_file_read_plain(in_dir("absent"), true, &b), RDG_E_NOT_FOUND);
    rdg_buf_fini(&b);
}

TEST(file_read_of_a_kernel_file_whose_size_is_unknown) {
    rdg_buf_t b;
    rdg_buf_init(&b, 1 << 20);
    CHECK_OK(rdg_file_read("/proc/self/status", &b));
    CHECK(strstr(rdg_buf_cstr(&b), "VmRSS:") != NULL);
    rdg_buf_fini(&b);
}

static size_t entries(void) {
    DIR *dir = opendir(rdg_test_dir());
    size_t count = 0;
    CHECK(dir != NULL);
    for (const struct dirent *e; (e = readdir(dir));) count += e->d_name[0] != '.';
    closedir(dir);
    return count;
}

TEST(file_replace_swaps_the_content_and_sets_the_mode) {
    struct stat st;
    put("state", "old");
    CHECK_OK(rdg_file_replace(in_dir("state"), rdg_bytes_str("new content"), 0600));
    check_content("state", "new content");
    CHECK(stat(in_dir("state"), &st) == 0 && (st.st_mode & 0777) == 0600);
    CHECK_OK(rdg_file_replace(in_dir("state"), rdg_bytes(NULL, 0), 0600));
    check_content("state", "");
    CHECK_EQ(entries(), 1);
}

TEST(file_replace_as_gives_the_file_to_its_owner) {
    char path[PATH_MAX];
    struct stat st;
    if (geteuid() != 0) rdg_test_skip("only root gives files away");
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "f"));
    CHECK_OK(rdg_file_replace_as(path, rdg_bytes_str("x"), 0600, 7, 8));
    CHECK_EQ(stat(path, &st), 0);
    CHECK_EQ(st.st_uid, 7);
    CHECK_EQ(st.st_gid, 8);
    CHECK_EQ(st.st_mode & 0777, 0600);
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str("y"), 0600));
    CHECK_EQ(stat(path, &st), 0);
    CHECK_EQ(st.st_uid, 0);
}

TEST(file_replace_that_fails_leaves_the_old_content_and_no_debris) {
    put("state", "old");
    struct rlimit limit = {4096, 4096};
    char *large = calloc(1, 8192);
    signal(SIGXFSZ, SIG_IGN);
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CHECK_ERR(rdg_file_replace(in_dir("state"), rdg_bytes(large, 8192), 0644), RDG_E_TOO_LARGE);
    free(large);
    check_content("state", "old");
    CHECK_EQ(entries(), 1);
    CHECK_ERR(rdg_file_replace(in_dir("no/such/folder"), rdg_bytes_str("x"), 0644), RDG_E_NOT_FOUND);
}

TEST(file_replace_in_the_working_directory) {
    CHECK(chdir(rdg_test_dir()) == 0);
    CHECK_OK(rdg_file_replace("bare", rdg_bytes_str("x"), 0644));
    check_content("bare", "x");
}

TEST(dir_make_makes_parents_and_refuses_a_file_in_the_way) {
    CHECK_OK(rdg_dir_make(in_dir("a/b/c/"), 0700));
    CHECK_OK(rdg_dir_make(in_dir("a/b/c"), 0700));
    CHECK(rdg_file_exists(in_dir("a/b/c")));
    put("a/file", "x");
    CHECK_ERR(rdg_dir_make(in_dir("a/file"), 0700), RDG_E_EXISTS);
    CHECK_ERR(rdg_dir_make(in_dir("a/file/x"), 0700), RDG_E_EXISTS);
    CHECK_ERR(rdg_dir_make("", 0700), RDG_E_INVALID);
}

TEST(tree_remove_frees_all_and_follows_no_link) {
    CHECK_OK(rdg_dir_make(in_dir("outside"), 0700));
    put("outside/kept", "x");
    CHECK_OK(rdg_dir_make(in_dir("tree/a/b"), 0700));
    char *block = malloc(64 * 1024);
    memset(block, 1, 64 * 1024);
    CHECK_OK(rdg_file_replace(in_dir("tree/a/b/large"), rdg_bytes(block, 64 * 1024), 0400));
    free(block);
    CHECK(symlink(in_dir("outside"), in_dir("tree/link")) == 0);
    CHECK(symlink("/nowhere", in_dir("tree/dangling")) == 0);
    uint64_t size, freed = 5;
    CHECK_OK(rdg_tree_size(in_dir("tree"), &size));
    CHECK(size >= 64 * 1024);
    CHECK_OK(rdg_tree_remove(in_dir("tree"), &freed));
    CHECK_EQ(freed, size + 5);
    CHECK(!rdg_file_exists(in_dir("tree")));
    check_content("outside/kept", "x");
    CHECK_OK(rdg_tree_remove(in_dir("tree"), &freed)); /* absent is fine */
    CHECK_ERR(rdg_tree_size(in_dir("tree"), &size), RDG_E_NOT_FOUND);
    CHECK(symlink(in_dir("outside"), in_dir("link")) == 0);
    CHECK_OK(rdg_tree_remove(in_dir("link"), NULL));
    check_content("outside/kept", "x");
}

TEST(tree_remove_does_not_enter_a_mount_even_of_the_same_disk) {
    CHECK_OK(rdg_dir_make(in_dir("others"), 0700));
    put("others/kept", "x");
    CHECK_OK(rdg_dir_make(in_dir("tree/mounted"), 0700));
    if (mount(in_dir("others"), in_dir("tree/mounted"), NULL, MS_BIND, NULL) != 0)
        rdg_test_skip("mounting is not allowed here");
    rdg_err_t err = rdg_tree_remove(in_dir("tree"), NULL);
    bool kept = rdg_file_exists(in_dir("others/kept"));
    CHECK(umount(in_dir("tree/mounted")) == 0);
    CHECK_EQ(err, RDG_E_BUSY);
    CHECK(kept);
    CHECK(strstr(rdg_err_message(RDG_E_BUSY), "unmount it first") != NULL);
}

TEST(tree_remove_stops_at_a_stated_depth) {
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/deep", rdg_test_dir());
    for (int i = 0; i < 130; ++i) n += snprintf(path + n, sizeof path - (size_t)n, "/d");
    CHECK_OK(rdg_dir_make(path, 0700));
    CHECK_ERR(rdg_tree_remove(in_dir("deep"), NULL), RDG_E_TOO_LARGE);
    /* Half of it is within the limit, and then so is the rest. */
    snprintf(path, sizeof path, "%s/half", rdg_test_dir());
    char middle[4096];
    n = snprintf(middle, sizeof middle, "%s/deep", rdg_test_dir());
    for (int i = 0; i < 65; ++i) n += snprintf(middle + n, sizeof middle - (size_t)n, "/d");
    CHECK(rename(middle, path) == 0);
    CHECK_OK(rdg_tree_remove(in_dir("deep"), NULL));
    CHECK_OK(rdg_tree_remove(in_dir("half"), NULL));
}

TEST(path_join_and_names) {
    char out[8];
    CHECK_OK(rdg_path_join(out, sizeof out, "/a", "b"));
    CHECK_STR(out, "/a/b");
    CHECK_OK(rdg_path_join(out, sizeof out, "/a/", "b"));
    CHECK_STR(out, "/a/b");
    CHECK_ERR(rdg_path_join(out, sizeof out, "/abc", "defg"), RDG_E_TOO_LARGE);
    static const char *const good[] = {"a", "0", "dev-1", "grid_7.north"};
    static const char *const bad[] = {NULL, "", ".", "..", "-a", "_a", "a/b", "A", "a b", "a+", "é"};
    for (size_t i = 0; i < sizeof good / sizeof *good; ++i) CHECK(rdg_name_valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) CHECK(!rdg_name_valid(bad[i]));
    char name[66];
    memset(name, 'a', 65);
    name[64] = 0;
    CHECK(rdg_name_valid(name));
    name[64] = 'a', name[65] = 0;
    CHECK(!rdg_name_valid(name));
}

TEST(write_all_reports_a_closed_reader) {
    int fds[2];
    CHECK(pipe(fds) == 0);
    signal(SIGPIPE, SIG_IGN);
    CHECK_OK(rdg_write_all(fds[1], rdg_bytes_str("x")));
    close(fds[0]);
    CHECK_ERR(rdg_write_all(fds[1], rdg_bytes_str("x")), RDG_E_CLOSED);
    close(fds[1]);
}
