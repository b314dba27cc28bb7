/* Bytes of somebody without a key never open an engine of either role. The first byte picks the role. */
#include "peers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const peers_t *p = peers();
    if (size == 0) return 0;
    bool client = data[0] & 1;
    rdg_tlcp_t *t = NULL;
    rdg_random_seeded_t random;
    rdg_random_seeded_init(&random, 1);
    if (rdg_tlcp_new(client ? &p->client : &p->server, client ? RDG_TLCP_CLIENT : RDG_TLCP_SERVER, NOW,
                     &random.random, &t) != RDG_OK)
        abort();
    peers_feed(t, data + 1, size - 1);
    if (rdg_tlcp_state(t) == RDG_TLCP_OPEN || rdg_tlcp_state(t) == RDG_TLCP_CLOSED || rdg_tlcp_peer(t))
        abort();
    for (rdg_bytes_t view; (view = rdg_tlcp_send_view(t)).len > 0;) rdg_tlcp_send_done(t, view.len);
    rdg_tlcp_transport_ended(t);
    if (rdg_tlcp_state(t) != RDG_TLCP_FAILED) abort();
    rdg_tlcp_free(t);
    return 0;
}
