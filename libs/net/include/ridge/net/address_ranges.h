/* A list of ranges of IP addresses, as a setting says it: "10.20.0.0/16,fd12:3456::/48" (CIDR, RFC 4632 and 4291).
 *
 * 1. What is written is meant: an address with bits behind its prefix, an IPv4 one written as IPv6, a prefix with a sign, a
 *    leading zero or too many bits, a space or an empty item is refused, and nothing of the list is taken.
 * 2. An IPv4 address is in IPv4 ranges alone, an IPv6 one in IPv6 ranges alone.
 * Limits: RDG_ADDRESS_RANGES_MAX ranges. Pure; owns nothing. */
#ifndef RIDGE_NET_ADDRESS_RANGES_H
#define RIDGE_NET_ADDRESS_RANGES_H
#include "ridge/base/bytes.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_ADDRESS_RANGES_MAX 32

typedef struct rdg_address_range {
    uint8_t bytes[16];
    unsigned len, bits; /* 4 or 16 bytes; of the prefix */
} rdg_address_range_t;

typedef struct rdg_address_ranges {
    const char *setting; /* borrowed: its name, for people */
    size_t count;
    rdg_address_range_t list[RDG_ADDRESS_RANGES_MAX];
} rdg_address_ranges_t;

/* text NULL or "": none. INVALID names the setting and the item, FULL the setting; *out is then empty. */
rdg_err_t rdg_address_ranges_parse(const char *setting, const char *text, rdg_address_ranges_t *out);
/* address: 4 or 16 bytes in the order of the network. */
bool rdg_address_ranges_have(const rdg_address_ranges_t *r, rdg_bytes_t address);

#ifdef __cplusplus
}
#endif
#endif
