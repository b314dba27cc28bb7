/* Addresses to which a server does not connect because somebody gave it a URL. */
#ifndef RIDGE_NET_ADDRESS_GUARD_H
#define RIDGE_NET_ADDRESS_GUARD_H
#include <stdbool.h>
#include <sys/socket.h>

/* Link-local (RFC 3927, 4291), those of clouds' metadata services, multicast and unspecified ones; also inside an IPv6
 * address that carries an IPv4 one (mapped, 64:ff9b::/96). Other families than IP: true. */
typedef enum address_guard {
    GUARD_NONE,
    GUARD_LINK,
    GUARD_LOOPBACK
} address_guard_t; /* the last: loopback, too */
bool address_guarded(const struct sockaddr *address, address_guard_t guard);

#endif
