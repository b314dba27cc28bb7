/* Leaks on purpose: whoever checks must find each of them. */
#include <stddef.h>
#include <stdint.h>

#include "ctime.h"
#include "ridge/base/alloc.h"

static volatile int sink;

static void branch(void) {
    unsigned char secret = 7;
    RDG_SECRET(&secret, 1);
    sink = 1;
    if (secret & 1) sink = 2;
}

static void table(void) {
    static const int squares[] = {0, 1, 4, 9, 16, 25, 36, 49};
    volatile unsigned char secret = 7;
    RDG_SECRET((void *)(uintptr_t)&secret, 1);
    sink = squares[secret & 7];
}

/* memcmp in place of rdg_ct_equal, on the result of an HMAC for instance. */
static void comparison(void) {
    unsigned char mac[32] = {1}, want[32] = {1};
    RDG_SECRET(mac, sizeof mac);
    for (size_t i = 0; i < sizeof mac; i++) {
        sink = 1;
        if (mac[i] != want[i]) break;
    }
}

/* The right comparison, but its result is used before it is declared public. */
static void verdict(void) {
    unsigned char mac[32] = {1}, want[32] = {1};
    RDG_SECRET(mac, sizeof mac);
    sink = rdg_ct_equal(mac, want, sizeof mac) ? 1 : 2;
    if (sink == 2) sink = 3;
}

const ctime_case_t ctime_planted[] = {
    {"planted-branch", branch},
    {"planted-table", table},
    {"planted-comparison", comparison},
    {"planted-verdict", verdict},
    {0},
};
