#include "engine.h"
#include "kit.h"
#include "ridge/crypto/hmac.h"

static const rdg_tlcp_suite_t suites[] = {RDG_TLCP_ECC_SM4_GCM_SM3, RDG_TLCP_ECC_SM4_CBC_SM3};

static void open_with(pair_t *p, const pki_t *pki, rdg_tlcp_suite_t suite) {
    pair_make(p, pki);
    p->client_config.suites[0] = suite, p->client_config.suite_count = 1;
    pair_start(p);
    pair_run(p, 100000);
    CHECK_EQ(rdg_tlcp_state(p->client), RDG_TLCP_OPEN);
    CHECK_EQ(rdg_tlcp_state(p->server), RDG_TLCP_OPEN);
}

/* A protection with keys of the test's own, one end of each direction. */
static void protect_make(rdg_tlcp_protect_t *p, rdg_tlcp_suite_t suite) {
    uint8_t block[RDG_TLCP_KEY_BLOCK];
    for (size_t i = 0; i < sizeof block; i++) block[i] = (uint8_t)(i * 3 + 1);
    memset(p, 0, sizeof *p);
    CHECK_OK(rdg_tlcp_protect_init(p, suite, true, block));
}

TEST(tlcp_refuses_each_changed_byte_of_a_record) {
    enum { CONTENT = 70 };
    for (int s = 0; s < 2; s++) {
        rdg_tlcp_protect_t tx, rx;
        uint8_t record[RDG_TLCP_HEAD_BYTES + RDG_TLCP_IV_ROOM + CONTENT + RDG_TLCP_TAIL_ROOM],
            copy[sizeof record];
        size_t len = 0;
        rdg_bytes_t content;
        protect_make(&tx, suites[s]);
        memset(record, 'x', sizeof record);
        CHECK_OK(rdg_tlcp_protect_seal(&tx, record, 23, CONTENT, rdg_test_random(), &len));
        for (size_t i = 0; i <= len; i++) {
            /* Of the head only the type is authentic by itself; the rest is checked where it is read. */
            if (i >= 1 && i < RDG_TLCP_HEAD_BYTES) continue;
            protect_make(&rx, suites[s]);
            memcpy(copy, record, len);
            if (i < len) copy[i] ^= 1;
            rdg_err_t err = rdg_tlcp_protect_open(&rx, copy, len, &content);
            CHECK_ERR(err, i < len ? RDG_E_BAD_SIGNATURE : RDG_OK);
            if (err == RDG_OK) CHECK_EQ(content.len, CONTENT);
            rdg_tlcp_protect_fini(&rx);
        }
        for (size_t cut = RDG_TLCP_HEAD_BYTES; cut < len; cut++) {
            protect_make(&rx, suites[s]);
            memcpy(copy, record, len);
            CHECK_ERR(rdg_tlcp_protect_open(&rx, copy, cut, &content), RDG_E_BAD_SIGNATURE);
            rdg_tlcp_protect_fini(&rx);
        }
        rdg_tlcp_protect_fini(&tx);
    }
}

/* A CBC record with `padding` bytes of padding before the length byte, made by hand. */
static size_t cbc_record(uint8_t *record, size_t content_len, size_t padding, size_t wrong_at) {
    uint8_t key_block[RDG_TLCP_KEY_BLOCK], extra[13] = {0};
    for (size_t i = 0; i < sizeof key_block; i++) key_block[i] = (uint8_t)(i * 3 + 1);
    uint8_t *iv = record + 5, *text = iv + 16;
    memset(iv, 0x5a, 16);
    memset(text, 'y', content_len);
    extra[8] = 23, extra[9] = 1, extra[10] = 1;
    extra[11] = (uint8_t)(content_len >> 8), extra[12] = (uint8_t)content_len;
    const rdg_bytes_t parts[] = {{extra, 13}, {text, content_len}};
    rdg_hmac_sm3(text + content_len, rdg_bytes(key_block, 32), parts, 2);
    size_t len = content_len + 32 + padding + 1;
    memset(text + content_len + 32, (int)padding, padding + 1);
    if (wrong_at <= padding) text[len - 1 - wrong_at] ^= 0x40;
    rdg_sm4_t *cbc;
    CHECK_OK(rdg_sm4_new(RDG_SM4_CBC, key_block + 64, &cbc));
    rdg_sm4_cbc_encrypt(cbc, text, iv, text, len);
    rdg_sm4_free(cbc);
    record[0] = 23, record[1] = 1, record[2] = 1;
    record[3] = (uint8_t)((len + 16) >> 8), record[4] = (uint8_t)(len + 16);
    return 5 + 16 + len;
}

TEST(tlcp_cbc_takes_every_padding_and_refuses_wrong_ones) {
    uint8_t record[5 + 16 + 300 + 32 + 256];
    rdg_tlcp_protect_t rx;
    rdg_bytes_t content;
    for (size_t content_len = 0; content_len < 300; content_len += 23) {
        for (size_t padding = 15 - (content_len + 32) % 16; padding < 256; padding += 16) {
            protect_make(&rx, RDG_TLCP_ECC_SM4_CBC_SM3);
            size_t len = cbc_record(record, content_len, padding, SIZE_MAX);
            CHECK_OK(rdg_tlcp_protect_open(&rx, record, len, &content));
            CHECK_EQ(content.len, content_len);
            rdg_tlcp_protect_fini(&rx);
            for (size_t wrong = 0; wrong <= padding; wrong += wrong < 3 ? 1 : 41) {
                protect_make(&rx, RDG_TLCP_ECC_SM4_CBC_SM3);
                len = cbc_record(record, content_len, padding, wrong);
                CHECK_ERR(rdg_tlcp_protect_open(&rx, record, len, &content), RDG_E_BAD_SIGNATURE);
                rdg_tlcp_protect_fini(&rx);
            }
        }
    }
}

TEST(tlcp_refuses_replayed_dropped_and_tampered_records) {
    pki_t pki;
    pki_make(&pki);
    for (int s = 0; s < 2; s++) {
        for (int what = 0; what < 3; what++) {
            pair_t p;
            wire_t first = {0}, second = {0};
            open_with(&p, &pki, suites[s]);
            CHECK_EQ(kit_write(p.client, "one", 3), 3);
            kit_drain(p.client, &first);
            CHECK_EQ(kit_write(p.client, "two", 3), 3);
            kit_drain(p.client, &second);
            if (what == 0) { /* replay */
                CHECK(kit_feed(p.server, first.data, first.len, 1000));
                CHECK_EQ(rdg_tlcp_read_view(p.server).len, 3);
                rdg_tlcp_read_done(p.server, 3);
                kit_feed(p.server, first.data, first.len, 1000);
            } else if (what == 1) { /* drop */
                kit_feed(p.server, second.data, second.len, 1000);
            } else {
                first.data[first.len - 1] ^= 1;
                kit_feed(p.server, first.data, first.len, 1000);
            }
            CHECK_EQ(rdg_tlcp_state(p.server), RDG_TLCP_FAILED);
            CHECK_EQ(rdg_tlcp_alert_sent(p.server), RDG_TLCP_ALERT_bad_record_mac);
            CHECK_EQ(rdg_tlcp_read_view(p.server).len, 0);
            CHECK_EQ(rdg_tlcp_receive_room(p.server).len, 0);
            pair_run(&p, 1000);
            CHECK_EQ(rdg_tlcp_alert_received(p.client), RDG_TLCP_ALERT_bad_record_mac);
            wire_free(&first), wire_free(&second);
            pair_stop(&p);
        }
    }
    pki_free(&pki);
}

TEST(tlcp_closes_on_both_sides_after_all_data) {
    pki_t pki;
    pair_t p;
    pki_make(&pki);
    open_with(&p, &pki, suites[0]);
    rdg_tlcp_room_t room = rdg_tlcp_write_room(p.client);
    memcpy(room.data, "last", 4);
    rdg_tlcp_write_done(p.client, 4); /* not flushed: closing does */
    rdg_tlcp_close(p.client);
    rdg_tlcp_close(p.client);
    CHECK_EQ(rdg_tlcp_state(p.client), RDG_TLCP_CLOSED);
    CHECK_EQ(rdg_tlcp_write_room(p.client).len, 0);
    pair_run(&p, 3);
    CHECK_EQ(rdg_tlcp_state(p.server), RDG_TLCP_OPEN); /* the data comes first */
    CHECK(rdg_bytes_equal(rdg_tlcp_read_view(p.server), rdg_bytes("last", 4)));
    rdg_tlcp_read_done(p.server, 4);
    CHECK_EQ(rdg_tlcp_state(p.server), RDG_TLCP_CLOSED);
    CHECK(rdg_tlcp_send_view(p.server).len > 0); /* its own close_notify */
    CHECK_ERR(rdg_tlcp_error(p.server), RDG_OK);
    rdg_tlcp_transport_ended(p.server);
    CHECK_EQ(rdg_tlcp_state(p.server), RDG_TLCP_CLOSED);
    pair_stop(&p);

    open_with(&p, &pki, suites[1]);
    rdg_tlcp_transport_ended(p.server);
    CHECK_EQ(rdg_tlcp_state(p.server), RDG_TLCP_FAILED);
    CHECK_ERR(rdg_tlcp_error(p.server), RDG_E_CLOSED);
    pair_stop(&p);
    pki_free(&pki);
}

/* A record of any type, protected by the client's own keys, at the server. */
static void inject(pair_t *p, uint8_t type, const void *content, size_t len) {
    uint8_t record[RDG_TLCP_HEAD_BYTES + RDG_TLCP_IV_ROOM + 64 + RDG_TLCP_TAIL_ROOM];
    size_t record_len = 0;
    if (len) memcpy(record + RDG_TLCP_HEAD_BYTES + rdg_tlcp_protect_lead(&p->client->tx), content, len);
    CHECK_OK(rdg_tlcp_protect_seal(&p->client->tx, record, type, len, rdg_test_random(), &record_len));
    kit_feed(p->server, record, record_len, 1000);
}

TEST(tlcp_refuses_what_has_no_place_after_the_handshake) {
    static const struct {
        uint8_t type, content[4];
        size_t len;
        rdg_tlcp_alert_t alert;
    } rows[] = {
        {22, {1, 0, 0, 0}, 4, RDG_TLCP_ALERT_no_renegotiation},
        {22, {0, 0, 0, 0}, 4, RDG_TLCP_ALERT_no_renegotiation},
        {22, {0}, 0, RDG_TLCP_ALERT_unexpected_message},
        {20, {1}, 1, RDG_TLCP_ALERT_unexpected_message},
        {21, {2}, 1, RDG_TLCP_ALERT_decode_error},
        {21, {0}, 0, RDG_TLCP_ALERT_unexpected_message},
    };
    pki_t pki;
    pki_make(&pki);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        pair_t p;
        open_with(&p, &pki, suites[i % 2]);
        inject(&p, rows[i].type, rows[i].content, rows[i].len);
        CHECK_EQ(rdg_tlcp_state(p.server), RDG_TLCP_FAILED);
        CHECK_STR(rdg_tlcp_alert_name(rdg_tlcp_alert_sent(p.server)), rdg_tlcp_alert_name(rows[i].alert));
        pair_stop(&p);
    }
    pki_free(&pki);
}

TEST(tlcp_bounds_warnings_and_empty_records) {
    pki_t pki;
    pki_make(&pki);
    for (int empty = 0; empty < 2; empty++) {
        pair_t p;
        open_with(&p, &pki, suites[empty]);
        for (int i = 0; i < RDG_TLCP_EMPTY_MAX; i++) inject(&p, empty ? 23 : 21, "\x01\x5a", empty ? 0 : 2);
        CHECK_EQ(rdg_tlcp_state(p.server), RDG_TLCP_OPEN);
        inject(&p, empty ? 23 : 21, "\x01\x5a", empty ? 0 : 2);
        CHECK_EQ(rdg_tlcp_state(p.server), RDG_TLCP_FAILED);
        pair_stop(&p);
    }
    /* A fatal alert of the peer's. */
    pair_t p;
    open_with(&p, &pki, suites[0]);
    inject(&p, 21, "\x02\xcd", 2);
    CHECK_EQ(rdg_tlcp_state(p.server), RDG_TLCP_FAILED);
    CHECK_EQ(rdg_tlcp_alert_received(p.server), RDG_TLCP_ALERT_identity_need);
    CHECK_EQ(rdg_tlcp_send_view(p.server).len, 0);
    pair_stop(&p);
    pki_free(&pki);
}

TEST(tlcp_stops_when_a_key_is_used_up) {
    pki_t pki;
    pair_t p;
    pki_make(&pki);
    open_with(&p, &pki, suites[0]);
    p.client->tx.sequence = RDG_TLCP_RECORDS_MAX;
    kit_write(p.client, "x", 1);
    CHECK_ERR(rdg_tlcp_error(p.client), RDG_E_EXHAUSTED);
    CHECK_EQ(rdg_tlcp_send_view(p.client).len, 0);
    pair_stop(&p);
    pki_free(&pki);
}
