#include "internal.h"
#include "ridge/base/log.h"
#include "ridge/crypto/credentials.h"
#include "ridge/net/tlcp_credentials.h"

#define PREFIX "node"
#define WATCH_MS 2000

static rdg_err_t check_one(const rdg_credentials_t *mine, const rdg_cert_t *cert, rdg_cert_use_t use) {
    return rdg_cert_verify(cert, use, mine->chain, mine->chain_count, mine->roots, mine->root_count,
                           rdg_cert_not_before_s(cert));
}

/* Its own certificates verify under its own roots, or did when they were new: roots that are damaged would refuse every
 * peer, and nothing would say why. */
static rdg_err_t check_own(const rdg_node_t *n) {
    rdg_credentials_t *mine = NULL;
    RDG_TRY(rdg_credentials_load(n->dir, PREFIX, &mine));
    rdg_err_t err = check_one(mine, mine->sign_cert, RDG_CERT_SIGN);
    if (err == RDG_OK) err = check_one(mine, mine->enc_cert, RDG_CERT_ENCRYPT);
    rdg_credentials_free(mine);
    if (err == RDG_OK || err == RDG_E_NO_MEMORY || err == RDG_E_EXPIRED)
        return err == RDG_E_EXPIRED ? RDG_OK : err;
    err = rdg_fail_in(err, "%s: the node's own certificates do not verify under roots.crt", n->dir);
    return rdg_fail(RDG_E_CORRUPT, "%s", rdg_err_message(err));
}

rdg_err_t credentials_load(rdg_node_t *n) {
    n->credentials.stamp = rdg_credentials_stamp(n->dir, PREFIX);
    rdg_err_t err = rdg_tlcp_identity_load(n->dir, PREFIX, &n->credentials.identity);
    if (err == RDG_E_NOT_FOUND)
        return rdg_fail(err,
                        "%s holds no certificates of this node (" PREFIX "-sign.crt, " PREFIX
                        "-enc.crt, ca-chain.crt, roots.crt), and nodes talk TLCP only: the cloud issues them "
                        "when it creates the chain, see docs/operator.md",
                        n->dir);
    return err == RDG_OK ? check_own(n) : err;
}

void credentials_tick(rdg_node_t *n) {
    uint64_t now = rdg_mono_ms(rdg_clock_system());
    if (now - n->credentials.looked_ms < WATCH_MS) return;
    n->credentials.looked_ms = now;
    uint64_t stamp = rdg_credentials_stamp(n->dir, PREFIX);
    if (stamp == n->credentials.stamp) return;
    rdg_tlcp_identity_t *next = NULL;
    rdg_err_t err = rdg_tlcp_identity_load(n->dir, PREFIX, &next);
    if (err == RDG_OK) err = rdg_p2p_set_identity(n->p2p, next);
    if (err != RDG_OK) {
        /* What was there goes on; the next look tries again, in case a set was being installed. */
        rdg_log_err("node.credentials_refused", err);
        rdg_tlcp_identity_unref(next);
        return;
    }
    n->credentials.stamp = stamp;
    rdg_tlcp_identity_unref(n->credentials.identity);
    n->credentials.identity = next;
    rdg_log0(RDG_LOG_INFO, "node.credentials_renewed");
}
