/* Plain sockets with deadlines, for the parts of net that block: the HTTP client, the HTTP server's listener,
 * the broker's readiness check. A host that begins with '/' is the path of a local socket, without a port. */
#ifndef RIDGE_NET_SOCKET_H
#define RIDGE_NET_SOCKET_H
#include "address_guard.h"
#include <sys/types.h>
#include "ridge/base/bytes.h"

/* Non-blocking, close-on-exec. *bound gets the port. PORT_IN_USE names the address. */
rdg_err_t socket_listen(const char *host, uint16_t port, int *fd, uint16_t *bound);
/* deadline_ms: of the monotonic system clock. The socket is non-blocking, close-on-exec, without Nagle's
 * delay. UNAVAILABLE and TIMEOUT name host and port. Resolving a name is not bounded by the deadline but by
 * resolv.conf. */
rdg_err_t socket_connect(const char *host, uint16_t port, uint64_t deadline_ms, int *fd);
/* The same to none of the addresses of address_guard.h when guarded: FORBIDDEN. */
rdg_err_t socket_connect_guarded(const char *host, uint16_t port, address_guard_t guard, uint64_t deadline_ms,
                                 int *fd);
rdg_err_t socket_send(int fd, rdg_bytes_t bytes, uint64_t deadline_ms); /* CLOSED, TIMEOUT */
/* The body of a request: CLOSED also when the peer takes no more and an answer of its, or its end, is there
 * to be read. Who only wrote would wait for a peer that has gone without a reset until the deadline. */
rdg_err_t socket_send_until_answered(int fd, rdg_bytes_t bytes, uint64_t deadline_ms);
/* At least one byte, or *got 0 at the peer's end. CLOSED (reset), TIMEOUT. */
rdg_err_t socket_recv(int fd, void *dst, size_t size, uint64_t deadline_ms, size_t *got);
/* True if nothing has arrived and the peer has not closed: fit to be used again. */
bool socket_quiet(int fd);

#endif
