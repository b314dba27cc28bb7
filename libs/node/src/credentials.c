#include "internal.h"
#include "ridge/base/log.h"
#include "ridge/net/tlcp_credentials.h"

#define PREFIX "node"
#define WATCH_MS 2000

rdg_err_t credentials_load(rdg_node_t *n) {
    n->credentials.stamp = rdg_credentials_stamp(n->dir, PREFIX);
    rdg_err_t err = rdg_tlcp_identity_load(n->dir, PREFIX, &n->credentials.identity);
    if (err == RDG_E_NOT_FOUND)
        return rdg_fail(err,
                        "%s holds no certificates of this node (" PREFIX "-sign.crt, " PREFIX
                        "-enc.crt, ca-chain.crt, roots.crt), and nodes talk TLCP only: the cloud issues them "
                        "when it creates the chain, see docs/operator.md",
                        n->dir);
    return err;
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
