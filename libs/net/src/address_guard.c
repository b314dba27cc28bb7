#include "address_guard.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

static bool link_v4(uint32_t a) {
    return a >> 24 == 0 || a >> 16 == 0xa9fe || a >> 28 >= 0xe ||
           a == 0x646464c8; /* 100.100.100.200: metadata */
}

/* Reached from the cloud's own network, and not from everywhere. */
static bool local_v4(uint32_t a) {
    static const struct {
        uint32_t address;
        unsigned bits;
    } ranges[] = {{0x0a000000, 8},  {0x64400000, 10}, {0x7f000000, 8}, {0xac100000, 12},
                  {0xc0000000, 24}, {0xc0a80000, 16}, {0xc6120000, 15}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; ++i)
        if ((a ^ ranges[i].address) >> (32 - ranges[i].bits) == 0) return true;
    return false;
}

static bool link_v6(const uint8_t a[16]) {
    static const uint8_t zero[12] = {0}, loopback[16] = {[15] = 1},
                         metadata[16] = {0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54};
    if (memcmp(a, zero, sizeof zero) == 0) return memcmp(a, loopback, sizeof loopback) != 0;
    return a[0] == 0xff || (a[0] == 0xfe && (a[1] & 0xc0) == 0x80) ||
           memcmp(a, metadata, sizeof metadata) == 0;
}

/* ::1, unique local, site-local, and the prefix of translators within a network (RFC 8215). */
static bool local_v6(const uint8_t a[16]) {
    static const uint8_t loopback[16] = {[15] = 1}, translated[6] = {0, 0x64, 0xff, 0x9b, 0, 1};
    return memcmp(a, loopback, sizeof loopback) == 0 || (a[0] & 0xfe) == 0xfc ||
           (a[0] == 0xfe && (a[1] & 0xc0) == 0xc0) || memcmp(a, translated, sizeof translated) == 0;
}

static bool is_allowed(address_guard_t guard, rdg_bytes_t address) {
    return guard.allowed && rdg_address_ranges_have(guard.allowed, address);
}

static bool guarded_v4(const uint8_t bytes[4], address_guard_t guard) {
    const uint32_t a =
        (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
    if (link_v4(a)) return true;
    return guard.level == GUARD_LOCAL && local_v4(a) && !is_allowed(guard, rdg_bytes(bytes, 4));
}

static bool guarded_v6(const uint8_t a[16], address_guard_t guard) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}, translated[12] = {0, 0x64, 0xff, 0x9b};
    if (memcmp(a, mapped, 12) == 0 || memcmp(a, translated, 12) == 0) return guarded_v4(a + 12, guard);
    if (link_v6(a)) return true;
    return guard.level == GUARD_LOCAL && local_v6(a) && !is_allowed(guard, rdg_bytes(a, 16));
}

bool address_guarded(const struct sockaddr *address, address_guard_t guard) {
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (guard.level == GUARD_NONE) return false;
    if (address->sa_family == AF_INET) {
        memcpy(&v4, address, sizeof v4);
        return guarded_v4((const uint8_t *)&v4.sin_addr.s_addr, guard);
    }
    if (address->sa_family != AF_INET6) return true;
    memcpy(&v6, address, sizeof v6);
    return guarded_v6(v6.sin6_addr.s6_addr, guard);
}

rdg_err_t address_refuse(const char *what, address_guard_t guard) {
    if (guard.level != GUARD_LOCAL)
        return rdg_fail(RDG_E_FORBIDDEN,
                        "%s leads to a link-local, metadata or multicast address, which is not connected to",
                        what);
    return rdg_fail(
        RDG_E_FORBIDDEN,
        "%s leads to a loopback, private, link-local, metadata or multicast address, which is not "
        "connected to: an administrator of the cloud opens private ranges with %s",
        what, guard.allowed ? guard.allowed->setting : "a setting");
}
