/* A peer that holds the keys and says something else than it should: of one flight's messages, before they are
 * protected, bytes are changed (never the lengths), so that each state is reached, Finished under its new
 * keys too. Whoever receives a changed flight never opens.
 *
 * Byte 0: the flight (bits 0 and 1) and the scene (peers.h). Then, four at a time: which of its messages, where
 * in it (2 bytes; 0 is its type), and what to change there (xor). */
#include "engine.h"
#include "peers.h"

enum {
    SERVER_HELLO,
    SERVER_CERTIFICATE,
    SERVER_KEY,
    SERVER_VERIFY,
    SERVER_FINISHED,
    SERVER_RESUMED_FINISHED,
    CLIENT_HELLO,
    CLIENT_CERTIFICATE,
    CLIENT_KEY,
    CLIENT_REQUEST,
    CLIENT_DONE,
    CLIENT_FINISHED,
    CLIENT_RESUMED_FINISHED,
    OPENED,
    CANARIES
};
static const char *const canary_names[] = {"a server refuses a ClientHello",
                                           "a server refuses certificates",
                                           "a server refuses a ClientKeyExchange",
                                           "a server refuses a CertificateVerify",
                                           "a server refuses a Finished",
                                           "a server refuses a Finished of a resumption",
                                           "a client refuses a ServerHello",
                                           "a client refuses certificates",
                                           "a client refuses a ServerKeyExchange",
                                           "a client refuses a CertificateRequest",
                                           "a client refuses a ServerHelloDone",
                                           "a client refuses a Finished",
                                           "a client refuses a Finished of a resumption",
                                           "both open when nothing was changed"};
#include "canary.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whether something was changed. Numbers are taken modulo what there is; lengths stay, the sender needs them. */
static bool change(handshake_t *h, const uint8_t *data, size_t size) {
    static uint8_t before[FLIGHT_CAP];
    size_t begin[8], body[8], count = 0, end = rdg_writer_len(&h->out);
    memcpy(before, h->flight, end);
    for (size_t at = h->sent; at < end && count < 8; at += MESSAGE_HEAD + body[count++]) {
        begin[count] = at;
        body[count] = rdg_load_be32(h->flight + at) & 0xffffff;
    }
    for (; size >= 4 && count > 0; data += 4, size -= 4) {
        size_t which = data[0] % count, at = ((size_t)data[1] << 8 | data[2]) % (body[which] + 1);
        h->flight[begin[which] + (at ? MESSAGE_HEAD + at - 1 : 0)] ^= data[3];
    }
    return memcmp(before, h->flight, end) != 0;
}

static void mark(rdg_tlcp_role_t role, wait_t wait, bool resumed) {
    static const struct {
        wait_t wait;
        int place;
    } rows[] = {{WAIT_CLIENT_HELLO, SERVER_HELLO}, {WAIT_CLIENT_CERTIFICATE, SERVER_CERTIFICATE},
                {WAIT_CLIENT_KEY, SERVER_KEY},     {WAIT_CERTIFICATE_VERIFY, SERVER_VERIFY},
                {WAIT_SERVER_HELLO, CLIENT_HELLO}, {WAIT_SERVER_CERTIFICATE, CLIENT_CERTIFICATE},
                {WAIT_SERVER_KEY, CLIENT_KEY},     {WAIT_REQUEST_OR_DONE, CLIENT_REQUEST},
                {WAIT_HELLO_DONE, CLIENT_DONE}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].wait == wait) canary(rows[i].place);
    if (wait != WAIT_FINISHED) return;
    if (role == RDG_TLCP_SERVER)
        canary(resumed ? SERVER_RESUMED_FINISHED : SERVER_FINISHED);
    else
        canary(resumed ? CLIENT_RESUMED_FINISHED : CLIENT_FINISHED);
}

/* As rdg_tlcp_receive_done, but what the receiver answers stays a flight in the clear, for change(). */
static void receive(rdg_tlcp_t *to, const uint8_t *record, size_t len) {
    rdg_tlcp_room_t room = rdg_tlcp_receive_room(to);
    if (room.len < len) abort();
    memcpy(room.data, record, len);
    to->in_end += len;
    rdg_tlcp_records_take(to);
}

/* A record at a time, so that the state that refused is known. */
static void hand_over(rdg_tlcp_t *to, const uint8_t *flight, size_t len) {
    while (len >= 5 && to->handshake) {
        size_t record = 5 + ((size_t)flight[3] << 8 | flight[4]);
        wait_t wait = to->handshake->wait;
        bool resumed = to->handshake->resumed;
        if (record > len) abort();
        receive(to, flight, record);
        if (rdg_tlcp_state(to) == RDG_TLCP_FAILED) {
            mark(to->role, wait, resumed);
            return;
        }
        flight += record, len -= record;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t flight[SCENE_FLIGHT_MAX];
    if (size < 1 || size > 64) return 0;
    canary_input();
    scene_t s;
    scene_make(&s, data[0]);
    bool changed = false;
    for (int turn = 0; turn < 4 && !changed; turn++) {
        rdg_tlcp_t *from = s.engine[turn % 2], *to = s.engine[1 - turn % 2];
        if (turn == (data[0] & 3) && from->handshake) changed = change(from->handshake, data + 1, size - 1);
        size_t len = scene_drain(from, flight);
        hand_over(to, flight, len);
        if (changed && (rdg_tlcp_state(to) == RDG_TLCP_OPEN || rdg_tlcp_peer(to))) abort();
    }
    if (!changed) {
        if (rdg_tlcp_state(s.engine[0]) != RDG_TLCP_OPEN || rdg_tlcp_state(s.engine[1]) != RDG_TLCP_OPEN)
            abort();
        canary(OPENED);
    }
    scene_free(&s);
    return 0;
}
