/* A handshake of two honest sides in which the input replaces a stretch of one flight: byte 0 is the flight
 * (0 to 3) and the suite, bytes 1 and 2 where, byte 3 how much goes, the rest what comes instead. The side
 * that received it never opens, unless nothing was changed. */
#include "peers.h"

#define FLIGHT_MAX 40000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t drain(rdg_tlcp_t *t, uint8_t *out) {
    size_t len = 0;
    for (rdg_bytes_t view; (view = rdg_tlcp_send_view(t)).len > 0; rdg_tlcp_send_done(t, view.len)) {
        if (len + view.len > FLIGHT_MAX) abort();
        memcpy(out + len, view.data, view.len);
        len += view.len;
    }
    return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t flight[2 * FLIGHT_MAX], bent[2 * FLIGHT_MAX];
    if (size < 4 || size > FLIGHT_MAX) return 0;
    const peers_t *p = peers();
    rdg_tlcp_config_t client_config = p->client;
    client_config.suite_count = 1;
    client_config.suites[0] = data[0] & 4 ? RDG_TLCP_ECC_SM4_CBC_SM3 : RDG_TLCP_ECC_SM4_GCM_SM3;
    rdg_tlcp_t *client = NULL, *server = NULL;
    if (rdg_tlcp_new(&client_config, RDG_TLCP_CLIENT, NOW, rdg_random_system(), &client) != RDG_OK) abort();
    if (rdg_tlcp_new(&p->server, RDG_TLCP_SERVER, NOW, rdg_random_system(), &server) != RDG_OK) abort();
    bool changed = false;
    for (int turn = 0; turn < 4 && !changed; turn++) {
        rdg_tlcp_t *from = turn % 2 ? server : client, *to = turn % 2 ? client : server;
        size_t len = drain(from, flight);
        if (turn != (data[0] & 3)) {
            peers_feed(to, flight, len);
            continue;
        }
        size_t at = ((size_t)data[1] << 8 | data[2]) % (len + 1), gone = data[3], put = size - 4;
        if (gone > len - at) gone = len - at;
        memcpy(bent, flight, at);
        memcpy(bent + at, data + 4, put);
        memcpy(bent + at + put, flight + at + gone, len - at - gone);
        size_t bent_len = len - gone + put;
        /* What follows a whole flight is another matter: the receiver may be open by then. */
        changed = bent_len < len || memcmp(bent, flight, len) != 0;
        peers_feed(to, bent, bent_len);
        if (changed && (rdg_tlcp_state(to) == RDG_TLCP_OPEN || rdg_tlcp_peer(to))) abort();
    }
    rdg_tlcp_free(client);
    rdg_tlcp_free(server);
    return 0;
}
