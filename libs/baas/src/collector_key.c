/* The collector's key and what certifies it. Nodes delete by receipts of a key that the CA calls a collector's; so the
 * certificate goes to them with the receipts, and it is asked for each time, because it may have been revoked. */
#include "collector_prune.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/crypto/credentials.h"
#include "ridge/ledger/archive.h"

#define KEY_FILE "collector.key"
#define RECEIPT_MAX 4096

void collector_public(rdg_baas_t *b, rdg_sm2_public_t *out) {
    pthread_mutex_lock(&b->lock);
    rdg_sm2_key_public(b->collector->key, out);
    pthread_mutex_unlock(&b->lock);
}

/* The old key stays on disk, under another name: what it has signed can be told apart. */
static rdg_err_t replace_key(rdg_baas_t *b) {
    char path[4096], aside[4200];
    rdg_sm2_key_t *key = NULL;
    RDG_TRY(rdg_path_join(path, sizeof path, b->keys_dir, KEY_FILE));
    snprintf(aside, sizeof aside, "%s.revoked-%" PRIu64, path, baas_now());
    if (rename(path, aside) != 0) return rdg_fail_errno(errno, "cannot put %s aside", path);
    RDG_TRY(rdg_sm2_key_load_or_generate(path, &key));
    pthread_mutex_lock(&b->lock);
    rdg_sm2_key_t *old = b->collector->key;
    b->collector->key = key;
    pthread_mutex_unlock(&b->lock);
    rdg_sm2_key_free(old);
    rdg_log(RDG_LOG_WARN, "collector.key_replaced", RDG_STR("old", aside));
    return RDG_OK;
}

static rdg_err_t ask(rdg_baas_t *b, char **pem) {
    rdg_buf_t request;
    json_t *answer = NULL;
    const char *text = NULL;
    rdg_buf_init(&request, RDG_CERT_REQUEST_MAX);
    rdg_err_t err = rdg_cert_request_make(b->collector->key, RDG_CREDENTIALS_COLLECTOR, &request);
    if (err == RDG_OK && !(text = rdg_buf_cstr(&request)))
        err = rdg_fail(RDG_E_NO_MEMORY, "no memory for a certificate request");
    if (err == RDG_OK) err = remote_certify_collector(b, text, &answer);
    rdg_buf_fini(&request);
    if (err == RDG_OK) err = rdg_json_get_str(answer, "certificate", &text);
    if (err == RDG_OK && !(*pem = rdg_strdup(text)))
        err = rdg_fail(RDG_E_NO_MEMORY, "no memory for a certificate");
    json_decref(answer);
    return err;
}

rdg_err_t collector_certificate(rdg_baas_t *b, char **pem) {
    *pem = NULL;
    rdg_err_t err = ask(b, pem);
    if (err != RDG_E_FORBIDDEN) return rdg_fail_in(err, "the collector's certificate");
    RDG_TRY(replace_key(b));
    return rdg_fail_in(ask(b, pem), "the collector's certificate");
}

rdg_err_t collector_sign(rdg_baas_t *b, archive_row_t *r) {
    const rdg_collector_claim_t *c = &r->claim;
    rdg_archive_receipt_t receipt = {.chain_id = c->chain_id,
                                     .genesis = c->genesis,
                                     .from = c->from,
                                     .to = c->to,
                                     .mark_ms = c->mark_ms,
                                     .manifest = c->manifest,
                                     .content = c->content,
                                     .anchor_height = r->anchored.height,
                                     .anchor_tx = r->anchored.tx};
    rdg_buf_fini(&r->receipt);
    rdg_buf_init(&r->receipt, RECEIPT_MAX);
    return rdg_archive_receipt_sign(&receipt, b->collector->key, &r->receipt);
}

rdg_err_t collector_receipt_now(rdg_baas_t *b, archive_row_t *r) {
    rdg_archive_receipt_t signed_by;
    rdg_sm2_public_t mine;
    collector_public(b, &mine);
    RDG_TRY(rdg_archive_receipt_decode(rdg_buf_view(&r->receipt), &signed_by));
    if (memcmp(signed_by.collector.b, mine.b, sizeof mine.b) == 0) return RDG_OK;
    RDG_TRY(collector_sign(b, r));
    return archives_save(b, r);
}
