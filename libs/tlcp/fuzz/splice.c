/* A handshake of two honest sides in which the input replaces a stretch of one flight: byte 0 is the flight
 * (bits 0 and 1) and the scene (peers.h), bytes 1 and 2 where, byte 3 how much goes, the rest what comes instead.
 * The side that received it never opens, unless nothing was changed. */
#include "peers.h"

enum { BENT_SERVER, BENT_CLIENT, BENT_SERVER_RESUMED, BENT_CLIENT_RESUMED, CANARIES };
static const char *const canary_names[] = {"a server refuses a bent flight", "a client refuses a bent flight",
                                           "a server refuses a bent resumption",
                                           "a client refuses a bent resumption"};
#include "canary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t flight[2 * SCENE_FLIGHT_MAX], bent[2 * SCENE_FLIGHT_MAX];
    if (size < 4 || size > SCENE_FLIGHT_MAX) return 0;
    canary_input();
    scene_t s;
    scene_make(&s, data[0]);
    bool changed = false;
    for (int turn = 0; turn < 4 && !changed; turn++) {
        rdg_tlcp_t *from = s.engine[turn % 2], *to = s.engine[1 - turn % 2];
        size_t len = scene_drain(from, flight);
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
        if (changed && rdg_tlcp_state(to) == RDG_TLCP_FAILED)
            canary((s.sessions[0] ? BENT_SERVER_RESUMED : BENT_SERVER) + turn % 2);
    }
    scene_free(&s);
    return 0;
}
