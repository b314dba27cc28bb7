#include "address_guard.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

static bool guarded_v4(uint32_t a, bool loopback) {
    return a >> 24 == 0 || (loopback && a >> 24 == 127) || a >> 16 == 0xa9fe || a >> 28 >= 0xe ||
           a == 0x646464c8; /* 100.100.100.200: metadata */
}

static bool guarded_v6(const uint8_t a[16], bool loopback) {
    static const uint8_t zero[12] = {0}, mapped[12] = {[10] = 0xff, [11] = 0xff},
                         translated[12] = {0, 0x64, 0xff, 0x9b},
                         metadata[16] = {0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54};
    uint32_t v4 = (uint32_t)a[12] << 24 | (uint32_t)a[13] << 16 | (uint32_t)a[14] << 8 | a[15];
    if (memcmp(a, mapped, 12) == 0 || memcmp(a, translated, 12) == 0) return guarded_v4(v4, loopback);
    if (memcmp(a, zero, 12) == 0) return v4 != 1 || loopback;
    return a[0] == 0xff || (a[0] == 0xfe && (a[1] & 0xc0) == 0x80) || memcmp(a, metadata, 16) == 0;
}

bool address_guarded(const struct sockaddr *address, address_guard_t guard) {
    const bool loopback = guard == GUARD_LOOPBACK;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (guard == GUARD_NONE) return false;
    if (address->sa_family == AF_INET) {
        memcpy(&v4, address, sizeof v4);
        return guarded_v4(ntohl(v4.sin_addr.s_addr), loopback);
    }
    if (address->sa_family != AF_INET6) return true;
    memcpy(&v6, address, sizeof v6);
    return guarded_v6(v6.sin6_addr.s6_addr, loopback);
}
