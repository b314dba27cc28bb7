#include "share.h"
#include <stdio.h>
#include "ridge/base/alloc.h"
#include "ridge/test.h"

TEST(share_of_one_tenant_leaves_the_others_theirs_and_is_given_back) {
    rdg_shares_t *s = rdg_calloc(1, sizeof *s);
    char name[32];
    rdg_shares_init(s, 2);
    CHECK_OK(rdg_shares_enter(s, "acme"));
    CHECK_OK(rdg_shares_enter(s, "acme"));
    CHECK_ERR(rdg_shares_enter(s, "acme"), RDG_E_BUSY);
    CHECK_OK(rdg_shares_enter(s, "other"));
    for (int i = 0; i < 1000; ++i) CHECK_OK(rdg_shares_enter(s, NULL)); /* the cloud's own */
    rdg_shares_leave(s, "acme");
    CHECK_OK(rdg_shares_enter(s, "acme"));
    rdg_shares_leave(s, "acme");
    rdg_shares_leave(s, "acme");
    rdg_shares_leave(s, "other");
    /* As many as there is room for, again and again: nothing is left behind. */
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < SHARE_TENANTS_MAX; ++i) {
            snprintf(name, sizeof name, "t-%d", round * 1000 + i);
            CHECK_OK(rdg_shares_enter(s, name));
        }
        CHECK_ERR(rdg_shares_enter(s, "one-more"), RDG_E_BUSY);
        for (int i = 0; i < SHARE_TENANTS_MAX; ++i) {
            snprintf(name, sizeof name, "t-%d", round * 1000 + i);
            rdg_shares_leave(s, name);
        }
    }
    rdg_shares_fini(s);
    rdg_free(s);
}
