/* Layers: what is unpacked, and what is refused. */
#include "kit.h"
#include "ridge/base/file.h"
#include "ridge/net/process.h"
#include "ridge/test.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static rdg_err_t unpack(const tar_entry_t *entries, size_t count, char dir[PATH_MAX]) {
    char tar[PATH_MAX];
    snprintf(tar, sizeof tar, "%s/layer.tar", rdg_test_dir());
    snprintf(dir, PATH_MAX, "%s/inner/root", rdg_test_dir());
    CHECK_OK(rdg_tree_remove(dir, NULL));
    CHECK_OK(rdg_dir_make(dir, 0755));
    write_tar(tar, entries, count);
    uint64_t bytes;
    return layer_unpack_file(tar, dir, &layer_limits_default, &bytes);
}

TEST(a_layer_that_reaches_out_of_its_root_is_refused) {
    static const tar_entry_t attacks[][2] = {
        {{'0', "/etc/owned", NULL, "x"}, {'0', "a", NULL, "x"}},
        {{'0', "../owned", NULL, "x"}, {'0', "a", NULL, "x"}},
        {{'0', "a/../../owned", NULL, "x"}, {'0', "a", NULL, "x"}},
        {{'2', "out", "../..", NULL}, {'0', "out/owned", NULL, "x"}},
        {{'2', "out", "/", NULL}, {'0', "out/owned", NULL, "x"}},
        {{'2', "out", "/tmp", NULL}, {'5', "out/owned", NULL, NULL}},
        {{'1', "hard", "../../../../etc/passwd", NULL}, {'0', "a", NULL, "x"}},
        {{'1', "hard", "/etc/passwd", NULL}, {'0', "a", NULL, "x"}},
        {{'2', "etc", "/etc", NULL}, {'1', "hard", "etc/passwd", NULL}},
        {{'0', "file", NULL, "x"}, {'0', "file/owned", NULL, "x"}},
        {{'0', ".wh...", NULL, ""}, {'0', "a", NULL, "x"}},
        {{'0', "a/../../.wh.owned", NULL, ""}, {'0', "a", NULL, "x"}},
        {{'2', "out", "/tmp", NULL}, {'0', "out/.wh.owned", NULL, ""}},
        {{'2', "out", "/tmp", NULL}, {'0', "out/.wh..wh..opq", NULL, ""}},
        {{'2', "out", "/tmp", NULL}, {'1', "out/owned", "a", NULL}},
        {{'2', "hard", "a/../../..", NULL}, {'0', "a", NULL, "x"}},
        {{'0', ".wh..", NULL, ""}, {'0', "a", NULL, "x"}},
    };
    char dir[PATH_MAX], inner[PATH_MAX];
    snprintf(inner, sizeof inner, "%s/inner", rdg_test_dir());
    for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; ++i) {
        rdg_err_t err = unpack(attacks[i], 2, dir);
        if (err != RDG_E_MALFORMED) rdg_test_fail(__FILE__, __LINE__, "attack %zu: %s", i, rdg_err_name(err));
        CHECK(!there(inner, "owned") && !there(rdg_test_dir(), "owned") && !there("/tmp", "owned"));
    }
}

TEST(a_sound_layer_is_unpacked_with_links_and_its_device_nodes_are_left_out) {
    static const tar_entry_t entries[] = {{'5', "usr/", NULL, NULL},
                                          {'0', "./usr/bin/tool", NULL, "tool"},
                                          {'1', "usr/bin/same", "usr/bin/tool", NULL},
                                          {'2', "bin", "usr/bin", NULL},
                                          {'2', "usr/lib", "../usr/lib64", NULL},
                                          {'3', "dev/sda", NULL, NULL},
                                          {'4', "dev/loop0", NULL, NULL},
                                          {'6', "run/pipe", NULL, NULL},
                                          {'0', "usr/bin/tool", NULL, "new"},
                                          {'2', "abs", "/usr/bin/tool", NULL}};
    char dir[PATH_MAX], path[PATH_MAX + 32];
    rdg_buf_t b;
    CHECK_OK(unpack(entries, sizeof entries / sizeof entries[0], dir));
    snprintf(path, sizeof path, "%s/usr/bin/tool", dir);
    rdg_buf_init(&b, 64);
    CHECK_OK(rdg_file_read(path, &b));
    CHECK_STR(rdg_buf_cstr(&b), "new");
    rdg_buf_fini(&b);
    CHECK(there(dir, "usr/bin/same") && there(dir, "bin") && there(dir, "abs") && !there(dir, "dev/sda") &&
          !there(dir, "dev/loop0") && !there(dir, "run/pipe"));
}

TEST(whiteouts_become_those_of_overlayfs) {
    if (geteuid() != 0) rdg_test_skip("needs root: it makes device nodes");
    static const tar_entry_t entries[] = {{'0', "etc/.wh.gone", NULL, ""},
                                          {'0', "var/.wh..wh..opq", NULL, ""}};
    char dir[PATH_MAX], path[PATH_MAX + 32];
    struct stat st;
    CHECK_OK(unpack(entries, 2, dir));
    snprintf(path, sizeof path, "%s/etc/gone", dir);
    CHECK_EQ(stat(path, &st), 0);
    CHECK(S_ISCHR(st.st_mode) && st.st_rdev == 0);
    CHECK(!there(dir, "etc/.wh.gone") && !there(dir, "var/.wh..wh..opq"));
}

TEST(what_is_no_archive_is_refused) {
    uint64_t bytes;
    char tar[PATH_MAX], dir[PATH_MAX];
    snprintf(tar, sizeof tar, "%s/x", rdg_test_dir());
    snprintf(dir, sizeof dir, "%s/d", rdg_test_dir());
    CHECK_OK(rdg_dir_make(dir, 0755));
    CHECK_OK(rdg_file_replace(tar, rdg_bytes_str("this is no archive, whatever it says"), 0600));
    CHECK_ERR(layer_unpack_file(tar, dir, &layer_limits_default, &bytes), RDG_E_MALFORMED);
}

/* --- limits ---------------------------------------------------------------------------------------------- */

static rdg_err_t unpack_within(const char *tar, const layer_limits_t *limits, uint64_t *bytes) {
    char dir[PATH_MAX];
    snprintf(dir, sizeof dir, "%s/limited", rdg_test_dir());
    CHECK_OK(rdg_tree_remove(dir, NULL));
    CHECK_OK(rdg_dir_make(dir, 0755));
    return layer_unpack_file(tar, dir, limits, bytes);
}

TEST(a_layer_beyond_its_limits_of_entries_and_bytes_is_refused) {
    layer_limits_t l = layer_limits_default;
    uint64_t bytes = 0;
    const char *tar = some_layer(); /* 1,000 files of 511 bytes */
    CHECK_OK(unpack_within(tar, &l, &bytes));
    CHECK_EQ(bytes, 511000);
    l.entries = 1000;
    CHECK_OK(unpack_within(tar, &l, &bytes));
    l.entries = 999;
    CHECK_ERR(unpack_within(tar, &l, &bytes), RDG_E_TOO_LARGE);
    CHECK(strstr(rdg_err_message(RDG_E_TOO_LARGE), "999 entries") != NULL);
    l = layer_limits_default;
    l.bytes = 511000;
    CHECK_OK(unpack_within(tar, &l, &bytes));
    l.bytes = 510999;
    CHECK_ERR(unpack_within(tar, &l, &bytes), RDG_E_TOO_LARGE);
    CHECK(bytes <= l.bytes);
}

static const char *shell(const char *name, const char *script) {
    static char path[PATH_MAX];
    char text[PATH_MAX * 2], output[4096];
    snprintf(path, sizeof path, "%s/%s", rdg_test_dir(), name);
    snprintf(text, sizeof text, "set -e; cd %s; out=%s; %s", rdg_test_dir(), path, script);
    const char *const argv[] = {"/bin/sh", "-c", text, NULL};
    CHECK_OK(rdg_process_run(argv, 60000, output, sizeof output));
    return path;
}

TEST(a_decompression_bomb_is_stopped_by_its_ratio) {
    uint64_t bytes = 0;
    layer_limits_t l = layer_limits_default;
    l.ratio_above = 1u << 20;
    const char *tar = shell("bomb.tgz", "head -c 40000000 /dev/zero >zeros; tar -czf $out zeros; rm zeros");
    CHECK_ERR(unpack_within(tar, &l, &bytes), RDG_E_TOO_LARGE);
    CHECK(strstr(rdg_err_message(RDG_E_TOO_LARGE), "bomb") != NULL);
    CHECK(bytes < 40000000);
    CHECK_OK(unpack_within(tar, &layer_limits_default, &bytes)); /* small things may compress well */
}

TEST(the_holes_of_a_sparse_file_count) {
    uint64_t bytes = 0;
    const char *tar = shell("sparse.tar", "truncate -s 9G hole; tar -cSf $out hole; rm hole");
    CHECK_ERR(unpack_within(tar, &layer_limits_default, &bytes), RDG_E_TOO_LARGE);
    CHECK_EQ(bytes, 0);
}

TEST(attributes_of_overlayfs_are_not_taken_from_a_layer) {
    if (geteuid() != 0) rdg_test_skip("needs root: it sets trusted attributes");
    uint64_t bytes = 0;
    char path[PATH_MAX], value[16];
    const char *tar =
        shell("xattr.tar", "mkdir d; python3 -c 'import os; os.setxattr(\"d\", \"trusted.overlay.redirect\", "
                           "b\"/etc\")' ; tar --xattrs --xattrs-include='*' -cf $out d; rmdir d");
    CHECK_OK(unpack_within(tar, &layer_limits_default, &bytes));
    snprintf(path, sizeof path, "%s/limited/d", rdg_test_dir());
    CHECK(there(path, "."));
    CHECK(getxattr(path, "trusted.overlay.redirect", value, sizeof value) < 0);
}
