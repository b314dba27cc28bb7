#include "archive_file.h"
#include "ridge/base/alloc.h"

void archive_of(const chain_t *c, uint64_t from, uint64_t to, const rdg_archive_key_t *key,
                memory_file_t *out) {
    rdg_archive_export_options_t o = {.from = from, .to = to, .signer = support_key(1), .key = key};
    rdg_archive_sink_t sink = memory_sink(out);
    rdg_buf_clear(&out->bytes);
    CHECK_OK(rdg_archive_export(c->l, &o, &sink, NULL));
}

rdg_err_t archive_prove(const memory_file_t *f, const rdg_genesis_t *g, rdg_archive_report_t *report) {
    rdg_archive_t *a = NULL;
    RDG_TRY(memory_open(f, NULL, &a));
    rdg_err_t err = rdg_archive_trust(a, g);
    if (err == RDG_OK) err = rdg_archive_verify(a, NULL, NULL, report);
    rdg_archive_close(a);
    return err;
}

void archive_forge(const memory_file_t *truth, const lie_t *lie, memory_file_t *out) {
    archive_forge_by(truth, lie, support_key(1), out);
}
