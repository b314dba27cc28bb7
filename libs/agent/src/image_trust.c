#include "image_trust.h"
#include "credentials.h"
#include "state_file.h"
#include "ridge/base/alloc.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include "ridge/image/trust.h"
#include <inttypes.h>

rdg_err_t image_trust_path(const char *dir, char out[PATH_MAX]) {
    return rdg_path_join(out, PATH_MAX, dir, "image-trust.json");
}

static rdg_err_t verify_by(const rdg_cert_t *issuer, const json_t *message) {
    const char *text;
    rdg_sm2_signature_t sig;
    RDG_TRY(rdg_json_get_str(message, "trust", &text));
    RDG_TRY(rdg_json_get_hex(message, "signature", sig.b, sizeof sig.b));
    if (rdg_image_trust_verify(rdg_cert_public(issuer), rdg_bytes_str(text), &sig) == RDG_OK) return RDG_OK;
    return rdg_fail(RDG_E_BAD_SIGNATURE,
                    "the list of trusted signers of images is not signed by the cloud's CA");
}

/* By the CA of our own certificates, whatever the clock says, or by another one under our root. */
static rdg_err_t verify(const char *dir, const json_t *message, int64_t now_s) {
    rdg_credentials_t *mine = NULL;
    rdg_cert_t *chain[RDG_CERT_CHAIN_MAX] = {0};
    const char *pem = NULL;
    size_t count = 0;
    RDG_TRY(rdg_credentials_load(dir, CREDENTIALS_PREFIX, &mine));
    rdg_err_t err = verify_by(mine->chain_count ? mine->chain[0] : mine->roots[0], message);
    if (err != RDG_OK && rdg_json_get_str(message, "chain", &pem) == RDG_OK && pem[0]) {
        err = rdg_cert_parse_pem(rdg_bytes_str(pem), chain, RDG_CERT_CHAIN_MAX, &count);
        if (err == RDG_OK)
            err = rdg_cert_verify_ca(chain[0], (const rdg_cert_t *const *)chain, count, mine->roots,
                                     mine->root_count, now_s);
        if (err == RDG_OK) err = verify_by(chain[0], message);
    }
    for (size_t i = 0; i < count; ++i) rdg_cert_free(chain[i]);
    rdg_credentials_free(mine);
    return err;
}

static rdg_err_t take_number(void *ctx, rdg_bytes_t content) {
    rdg_image_trust_t *t = NULL;
    RDG_TRY(rdg_image_trust_parse(content, &t));
    *(uint64_t *)ctx = t->number;
    rdg_free(t);
    return RDG_OK;
}

static uint64_t number_on_disk(const char *path) {
    uint64_t number = 0;
    if (state_file_load(path, RDG_IMAGE_TRUST_MAX, 0600, take_number, &number) != RDG_OK) number = 0;
    return number;
}

void image_trust_mend(const char *dir) {
    char path[PATH_MAX];
    if (image_trust_path(dir, path) == RDG_OK) (void)number_on_disk(path);
}

rdg_err_t image_trust_take(const char *dir, const json_t *message, int64_t now_s, bool enrolment) {
    char path[PATH_MAX];
    const char *text;
    rdg_image_trust_t *t = NULL;
    RDG_TRY(image_trust_path(dir, path));
    RDG_TRY(verify(dir, message, now_s));
    RDG_TRY(rdg_json_get_str(message, "trust", &text));
    RDG_TRY(rdg_image_trust_parse(rdg_bytes_str(text), &t));
    uint64_t number = t->number, before = number_on_disk(path);
    size_t signers = t->signer_count;
    rdg_free(t);
    if (number < before && !enrolment)
        return rdg_fail(RDG_E_STALE, "list %" PRIu64 " of image signers came after list %" PRIu64, number,
                        before);
    if (number == before && !enrolment) return RDG_OK;
    RDG_TRY(state_file_save(path, rdg_bytes_str(text), 0600));
    rdg_log(RDG_LOG_INFO, "image.trust", RDG_U64("number", number), RDG_U64("signers", signers));
    return RDG_OK;
}
