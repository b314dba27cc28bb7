#include "ridge/base/buf.h"
#include "ridge/test.h"

TEST(buf_refuses_to_grow_past_its_maximum_and_keeps_what_it_had) {
    rdg_buf_t b;
    rdg_buf_init(&b, 4);
    CHECK_OK(rdg_buf_append(&b, "abcd", 4));
    CHECK_ERR(rdg_buf_u8(&b, 'e'), RDG_E_TOO_LARGE);
    CHECK_ERR(rdg_buf_append(&b, "", 0), RDG_E_TOO_LARGE);
    CHECK_EQ(b.len, 4);
    CHECK_STR(rdg_buf_cstr(&b), "abcd");
    rdg_buf_fini(&b);
}

TEST(buf_survives_every_failed_allocation) {
    rdg_err_t err = RDG_OK;
    RDG_TEST_ALLOC_LOOP(err) {
        rdg_buf_t b;
        rdg_buf_init(&b, 1u << 20);
        for (int i = 0; i < 200; ++i) (void)rdg_buf_printf(&b, "%d,", i);
        err = rdg_buf_err(&b);
        rdg_buf_fini(&b);
    }
}
