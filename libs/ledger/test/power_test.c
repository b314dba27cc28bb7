/* Power cut, or the disk failing, at each call of an export that changes files: what has the archive's name is whole and
 * proves itself, and the next export goes on with what is there. */
#include "archive_file.h"
#include "ridge/base/file.h"
#include "ridge/test_faults.h"

enum { BLOCKS = 4 };

static rdg_genesis_t genesis;

static rdg_err_t export_to(const char *path) {
    char source[600];
    rdg_ledger_t *l = NULL;
    rdg_archive_manifest_t m;
    rdg_archive_export_options_t o = {.from = 1, .to = BLOCKS, .signer = support_key(1)};
    CHECK_OK(rdg_path_join(source, sizeof source, rdg_test_dir(), "source"));
    CHECK_OK(rdg_ledger_open(source, &genesis, NULL, &l));
    rdg_err_t err = rdg_archive_export_file(l, &o, path, &m);
    rdg_ledger_close(l);
    return err;
}

static void prove(const char *path) {
    rdg_archive_t *a = NULL;
    rdg_archive_report_t report;
    CHECK_OK(rdg_archive_open_file(path, NULL, &a));
    CHECK_OK(rdg_archive_trust(a, &genesis));
    CHECK_OK(rdg_archive_verify(a, NULL, NULL, &report));
    CHECK_EQ(report.blocks, BLOCKS);
    rdg_archive_close(a);
}

static void make_archive(const char *dir, unsigned char *acknowledged) {
    char path[600];
    CHECK_OK(rdg_path_join(path, sizeof path, dir, "a.archive"));
    if (export_to(path) == RDG_OK) acknowledged[0] = 1;
}

static void check_archive(const char *dir, unsigned char *acknowledged) {
    char path[600];
    CHECK_OK(rdg_path_join(path, sizeof path, dir, "a.archive"));
    CHECK(rdg_file_exists(path) || !acknowledged[0]);
    if (!rdg_file_exists(path)) CHECK_OK(export_to(path));
    prove(path);
}

TEST(an_archive_cut_off_at_any_call_has_its_name_only_when_it_is_whole) {
    char path[600];
    chain_t c;
    memory_file_t f;
    rdg_archive_t *a = NULL;
    rdg_ledger_t *l = NULL;
    chain_open(&c, "c");
    chain_grow(&c, BLOCKS + 1, 2);
    genesis = c.genesis;
    memory_init(&f);
    archive_of(&c, 1, BLOCKS + 1, NULL, &f);
    CHECK_OK(memory_open(&f, NULL, &a));
    CHECK_OK(rdg_path_join(path, sizeof path, rdg_test_dir(), "source"));
    CHECK_OK(rdg_ledger_open(path, &genesis, NULL, &l)); /* each run opens it: it has to be on disk */
    CHECK_OK(rdg_archive_import(a, l, NULL, NULL));
    rdg_ledger_close(l);
    rdg_archive_close(a);
    memory_fini(&f);
    chain_close(&c);
    rdg_test_faults_each(RDG_FAULT_FAIL, RDG_FAULT_CUT_LOST, make_archive, check_archive);
}
