#include "ridge/crypto/sm2_exchange.h"

#include <stdio.h>
#include "ridge/test.h"

static void unhex(const char *hex, uint8_t *out) {
    for (; *hex; hex += 2) {
        unsigned v = 0;
        CHECK(sscanf(hex, "%2x", &v) == 1);
        *out++ = (uint8_t)v;
    }
}

typedef struct side {
    rdg_sm2_key_t *fixed, *fresh;
    rdg_sm2_public_t fixed_public, fresh_public;
} side_t;

static void side_of(side_t *s, const char *fixed, const char *fresh) {
    uint8_t d[32];
    unhex(fixed, d);
    CHECK_OK(rdg_sm2_key_from_scalar(d, &s->fixed));
    unhex(fresh, d);
    CHECK_OK(rdg_sm2_key_from_scalar(d, &s->fresh));
    rdg_sm2_key_public(s->fixed, &s->fixed_public);
    rdg_sm2_key_public(s->fresh, &s->fresh_public);
}

static void side_free(side_t *s) {
    rdg_sm2_key_free(s->fixed);
    rdg_sm2_key_free(s->fresh);
}

static rdg_sm2_exchange_t view(bool initiator, const side_t *own, const side_t *peer) {
    rdg_sm2_exchange_t x = {initiator, own->fixed, own->fresh, &peer->fixed_public, &peer->fresh_public};
    return x;
}

static void example(side_t *a, side_t *b) {
    side_of(a, "81EB26E941BB5AF16DF116495F90695272AE2CD63D6C4AE1678418BE48230029",
            "D4DE15474DB74D06491C440D305E012400990F3E390C7E87153C12DB2EA60BB3");
    side_of(b, "785129917D45A9EA5437A59356B82338EAADDA6CEB199088F14AE10DEFA229B5",
            "7E07124814B309489125EAED101113164EBF0F3458C5BD88335C1F9D596243D6");
}

/* GB/T 32918.5-2017, appendix B: the key exchange of GB/T 32918.3 on this curve, with confirmation. */
TEST(sm2_exchange_gives_the_standard_example) {
    side_t a, b;
    uint8_t want[64], got[16];
    example(&a, &b);
    unhex("64CED1BDBC99D590049B434D0FD73428CF608A5DB8FE5CE07F15026940BAE40E"
          "376629C7AB21E7DB260922499DDB118F07CE8EAAE3E7720AFEF6A5CC062070C0",
          want);
    CHECK_MEM(a.fresh_public.b, want, 64);
    for (int initiator = 0; initiator < 2; initiator++) {
        rdg_sm2_exchange_t x = initiator ? view(true, &a, &b) : view(false, &b, &a);
        rdg_sm2_confirmation_t c;
        CHECK_OK(rdg_sm2_exchange(&x, got, sizeof got, &c));
        unhex("6C89347354DE2484C60B4AB1FDE4C6E5", want);
        CHECK_MEM(got, want, 16);
        unhex("D3A0FE15DEE185CEAE907A6B595CC32A266ED7B3367E9983A896DC32FA20F8EB", want);
        CHECK_MEM(c.of_responder.b, want, 32);
        unhex("18C7894B3816DF16CF07B05C5EC0BEF5D655D58F779CC1B400A4F3884644DB88", want);
        CHECK_MEM(c.of_initiator.b, want, 32);
    }
    side_free(&a), side_free(&b);
}

/* Random keys agree at every length; another key in any of the four places does not. */
TEST(sm2_exchange_agrees_only_about_the_same_keys_and_roles) {
    side_t a, b, other;
    uint8_t of_a[RDG_SM2_EXCHANGE_MAX], of_b[RDG_SM2_EXCHANGE_MAX];
    rdg_sm2_confirmation_t ca, cb;
    side_t *all[] = {&a, &b, &other};
    for (int i = 0; i < 3; i++) {
        CHECK_OK(rdg_sm2_key_generate(&all[i]->fixed));
        CHECK_OK(rdg_sm2_key_generate(&all[i]->fresh));
        rdg_sm2_key_public(all[i]->fixed, &all[i]->fixed_public);
        rdg_sm2_key_public(all[i]->fresh, &all[i]->fresh_public);
    }
    static const size_t lens[] = {1, 31, 32, 33, 48, 64, RDG_SM2_EXCHANGE_MAX};
    rdg_sm2_exchange_t xa = view(true, &a, &b), xb = view(false, &b, &a);
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        CHECK_OK(rdg_sm2_exchange(&xa, of_a, lens[i], &ca));
        CHECK_OK(rdg_sm2_exchange(&xb, of_b, lens[i], &cb));
        CHECK_MEM(of_a, of_b, lens[i]);
        CHECK_MEM(&ca, &cb, sizeof ca);
    }
    for (int change = 0; change < 5; change++) {
        rdg_sm2_exchange_t x = xa;
        if (change == 0) x.own_static = other.fixed;
        if (change == 1) x.own_ephemeral = other.fresh;
        if (change == 2) x.peer_static = &other.fixed_public;
        if (change == 3) x.peer_ephemeral = &other.fresh_public;
        if (change == 4) x.initiator = false;
        CHECK_OK(rdg_sm2_exchange(&x, of_a, 48, &ca));
        CHECK(memcmp(of_a, of_b, 48) != 0);
        CHECK(memcmp(&ca.of_initiator, &cb.of_initiator, 32) != 0);
        CHECK(memcmp(&ca.of_responder, &cb.of_responder, 32) != 0);
    }
    side_free(&a), side_free(&b), side_free(&other);
}

TEST(sm2_exchange_refuses_keys_off_the_curve_and_keys_that_cancel_out) {
    static const uint8_t zero[48];
    side_t a, b;
    uint8_t out[48];
    example(&a, &b);
    rdg_sm2_exchange_t x = view(true, &a, &b);
    rdg_sm2_public_t off = b.fresh_public;
    off.b[63] ^= 1;
    x.peer_ephemeral = &off;
    CHECK_ERR(rdg_sm2_exchange(&x, out, sizeof out, NULL), RDG_E_INVALID);
    CHECK_MEM(out, zero, sizeof out);
    x = view(true, &a, &b);
    x.peer_static = &off;
    CHECK_ERR(rdg_sm2_exchange(&x, out, sizeof out, NULL), RDG_E_INVALID);
    memset(&off, 0, sizeof off);
    CHECK_ERR(rdg_sm2_exchange(&x, out, sizeof out, NULL), RDG_E_INVALID);

    /* The static key -x̄·r belongs to B's ephemeral r: P + x̄·R is infinity, whatever we hold. */
    uint8_t scalar[32];
    rdg_sm2_public_t minus, fresh;
    rdg_sm2_key_t *key;
    unhex("A80E9358879ED4186D726070054E43B339A056D2027A46E8A4107D19C6D8DCFF", scalar);
    CHECK_OK(rdg_sm2_key_from_scalar(scalar, &key));
    rdg_sm2_key_public(key, &minus);
    rdg_sm2_key_free(key);
    fresh = b.fresh_public;
    x = view(true, &a, &b);
    x.peer_static = &minus;
    x.peer_ephemeral = &fresh;
    CHECK_ERR(rdg_sm2_exchange(&x, out, sizeof out, NULL), RDG_E_INVALID);
    CHECK_MEM(out, zero, sizeof out);
    side_free(&a), side_free(&b);
}
