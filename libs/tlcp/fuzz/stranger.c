/* Bytes of somebody without a key never open an engine of either role. Byte 0: bit 0 the role, bit 1 whether
 * the ECDHE suites are spoken, bit 2 whether sessions are kept. */
#include "peers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const peers_t *p = peers();
    if (size == 0) return 0;
    bool client = data[0] & 1;
    rdg_tlcp_config_t config = client ? p->client : p->server;
    rdg_tlcp_sessions_t *sessions = NULL;
    rdg_tlcp_t *t = NULL;
    if (data[0] & 2) {
        config.suites[0] = RDG_TLCP_ECDHE_SM4_GCM_SM3, config.suites[1] = RDG_TLCP_ECDHE_SM4_CBC_SM3;
        config.suites[2] = RDG_TLCP_ECC_SM4_GCM_SM3, config.suite_count = 3;
    }
    if ((data[0] & 4) && rdg_tlcp_sessions_new(2, 60, &sessions) != RDG_OK) abort();
    config.sessions = sessions;
    rdg_random_seeded_t random;
    rdg_random_seeded_init(&random, 1);
    if (rdg_tlcp_new(&config, client ? RDG_TLCP_CLIENT : RDG_TLCP_SERVER, NOW, &random.random, &t) != RDG_OK)
        abort();
    peers_feed(t, data + 1, size - 1);
    if (rdg_tlcp_state(t) == RDG_TLCP_OPEN || rdg_tlcp_state(t) == RDG_TLCP_CLOSED || rdg_tlcp_peer(t))
        abort();
    for (rdg_bytes_t view; (view = rdg_tlcp_send_view(t)).len > 0;) rdg_tlcp_send_done(t, view.len);
    rdg_tlcp_transport_ended(t);
    if (rdg_tlcp_state(t) != RDG_TLCP_FAILED) abort();
    rdg_tlcp_free(t);
    rdg_tlcp_sessions_free(sessions);
    return 0;
}
