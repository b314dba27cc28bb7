/* Addresses to which a server does not connect because somebody gave it a URL. */
#ifndef RIDGE_NET_ADDRESS_GUARD_H
#define RIDGE_NET_ADDRESS_GUARD_H
#include <sys/socket.h>
#include "ridge/net/address_ranges.h"

/* GUARD_LINK: link-local (RFC 3927, 4291), those of clouds' metadata services, multicast, reserved and unspecified ones.
 * GUARD_LOCAL: besides, loopback and private ones (RFC 1918, 4193, 6598, 6890) that no allowed range has; what GUARD_LINK
 * refuses no range allows. Both look inside an IPv6 address that carries an IPv4 one (mapped, 64:ff9b::/96). Other families
 * than IP are guarded. */
typedef enum guard_level { GUARD_NONE, GUARD_LINK, GUARD_LOCAL } guard_level_t;
typedef struct address_guard {
    guard_level_t level;
    const rdg_address_ranges_t *allowed; /* of GUARD_LOCAL; NULL: none */
} address_guard_t;
bool address_guarded(const struct sockaddr *address, address_guard_t guard);
/* Says of `what` (a URL, a host) that it was refused: FORBIDDEN. */
rdg_err_t address_refuse(const char *what, address_guard_t guard);

#endif
