#include "socket.h"
#include "address_guard.h"
#include "ridge/base/clock.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_BACKLOG 256

static rdg_err_t resolve(const char *host, uint16_t port, int flags, struct addrinfo **out) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags};
    char text[8];
    snprintf(text, sizeof text, "%u", port);
    int status = getaddrinfo(host, text, &hints, out);
    if (status == 0) return RDG_OK;
    return rdg_fail(RDG_E_UNAVAILABLE, "cannot resolve %s:%u: %s", host, port, gai_strerror(status));
}

static uint16_t bound_port(int fd) {
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &len) != 0) return 0;
    return address.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&address)->sin6_port)
                                         : ntohs(((struct sockaddr_in *)&address)->sin_port);
}

static rdg_err_t local_address(const char *path, struct sockaddr_un *out) {
    memset(out, 0, sizeof *out);
    out->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof out->sun_path)
        return rdg_fail(RDG_E_TOO_LARGE, "%s is too long for a local socket: at most %zu bytes", path,
                        sizeof out->sun_path - 1);
    memcpy(out->sun_path, path, strlen(path) + 1);
    return RDG_OK;
}

static rdg_err_t listen_local(const char *path, int *out, uint16_t *bound) {
    struct sockaddr_un address;
    RDG_TRY(local_address(path, &address));
    (void)unlink(path); /* left behind by a program that was killed */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool ok = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
              chmod(path, 0600) == 0 && listen(fd, LISTEN_BACKLOG) == 0;
    if (ok) {
        *out = fd;
        *bound = 0;
        return RDG_OK;
    }
    int why = errno;
    if (fd >= 0) close(fd);
    return rdg_fail_errno(why, "cannot listen on %s", path);
}

rdg_err_t socket_listen(const char *host, uint16_t port, int *out, uint16_t *bound) {
    struct addrinfo *a;
    int on = 1;
    if (!host) host = "127.0.0.1";
    if (host[0] == '/') return listen_local(host, out, bound);
    RDG_TRY(resolve(host, port, AI_PASSIVE, &a));
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
              bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, LISTEN_BACKLOG) == 0;
    int why = errno;
    freeaddrinfo(a);
    if (ok) {
        *out = fd;
        *bound = bound_port(fd);
        return RDG_OK;
    }
    if (fd >= 0) close(fd);
    if (why == EADDRINUSE)
        return rdg_fail(RDG_E_PORT_IN_USE,
                        "cannot listen on %s:%u: another program uses this port; choose another", host, port);
    return rdg_fail_errno(why, "cannot listen on %s:%u", host, port);
}

/* 0 when ready for one of events (*is, may be NULL: for which), else ETIMEDOUT. */
static int wait_for_any(int fd, short events, uint64_t deadline_ms, short *is) {
    for (;;) {
        uint64_t now = rdg_mono_ms(rdg_clock_system());
        if (now >= deadline_ms) return ETIMEDOUT;
        uint64_t left = deadline_ms - now;
        struct pollfd p = {fd, events, 0};
        int n = poll(&p, 1, left > 60000 ? 60000 : (int)left);
        if (n > 0 && is) *is = p.revents;
        if (n > 0) return 0;
        if (n < 0 && errno != EINTR) return errno;
    }
}

static int wait_for(int fd, short events, uint64_t deadline_ms) {
    return wait_for_any(fd, events, deadline_ms, NULL);
}

static int connect_one(const struct addrinfo *a, uint64_t deadline_ms, int *out) {
    int on = 1, why = 0;
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return errno;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
        why = errno == EINPROGRESS ? wait_for(fd, POLLOUT, deadline_ms) : errno;
        socklen_t len = sizeof why;
        if (why == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &len) != 0) why = errno;
    }
    if (why == 0)
        *out = fd;
    else
        close(fd);
    return why;
}

/* A local connect answers at once, or not at all while the backlog is full: it is tried again then. */
static rdg_err_t connect_local(const char *path, uint64_t deadline_ms, int *fd) {
    struct sockaddr_un address;
    RDG_TRY(local_address(path, &address));
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0) return rdg_fail_errno(errno, "cannot make a socket");
    while (connect(*fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        int why = errno;
        if (why == EINTR) continue;
        if (why == EAGAIN && rdg_mono_ms(rdg_clock_system()) < deadline_ms) {
            (void)poll(NULL, 0, 5);
            continue;
        }
        close(*fd);
        *fd = -1;
        return rdg_fail(RDG_E_UNAVAILABLE, "cannot connect to %s: %s", path, strerror(why));
    }
    return RDG_OK;
}

rdg_err_t socket_connect(const char *host, uint16_t port, uint64_t deadline_ms, int *fd) {
    return socket_connect_guarded(host, port, (address_guard_t){.level = GUARD_NONE}, deadline_ms, fd);
}

rdg_err_t socket_connect_guarded(const char *host, uint16_t port, address_guard_t guard, uint64_t deadline_ms,
                                 int *fd) {
    struct addrinfo *all;
    if (host[0] == '/') return connect_local(host, deadline_ms, fd);
    int why = EADDRNOTAVAIL;
    RDG_TRY(resolve(host, port, 0, &all));
    for (const struct addrinfo *a = all; a && why != 0; a = a->ai_next) {
        /* One silent address must not use up the time of the next. */
        uint64_t now = rdg_mono_ms(rdg_clock_system()), left = deadline_ms > now ? deadline_ms - now : 0;
        why = address_guarded(a->ai_addr, guard)
                  ? EPERM
                  : connect_one(a, a->ai_next ? now + left / 2 : deadline_ms, fd);
    }
    freeaddrinfo(all);
    if (why == 0) return RDG_OK;
    if (why == EPERM && guard.level != GUARD_NONE) return address_refuse(host, guard);
    if (why == ETIMEDOUT)
        return rdg_fail(RDG_E_TIMEOUT, "cannot connect to %s:%u: no answer in time", host, port);
    return rdg_fail(RDG_E_UNAVAILABLE, "cannot connect to %s:%u: %s", host, port, strerror(why));
}

/* Room, or (until_answered) the first byte of an answer, which is no interim one (RFC 9110, 15.2), or the end
 * of the connection. */
static rdg_err_t wait_for_room(int fd, bool until_answered, uint64_t deadline_ms) {
    static const char interim[] = "HTTP/1.1 1";
    char seen[sizeof interim - 1];
    short is = 0;
    if (wait_for_any(fd, until_answered ? POLLOUT | POLLIN : POLLOUT, deadline_ms, &is) != 0)
        return rdg_fail(RDG_E_TIMEOUT, "the peer did not take the request in time");
    if (!(is & POLLIN)) return RDG_OK;
    if (recv(fd, seen, sizeof seen, MSG_PEEK) == (ssize_t)sizeof seen &&
        memcmp(seen, interim, sizeof seen) == 0)
        return wait_for_room(fd, false, deadline_ms);
    return rdg_fail(RDG_E_CLOSED, "the peer answered, or closed, before it had taken the request");
}

static rdg_err_t send_all(int fd, rdg_bytes_t bytes, bool until_answered, uint64_t deadline_ms) {
    size_t sent = 0;
    while (sent < bytes.len) {
        ssize_t n = send(fd, bytes.data + sent, bytes.len - sent, MSG_NOSIGNAL);
        if (n >= 0)
            sent += (size_t)n;
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            RDG_TRY(wait_for_room(fd, until_answered, deadline_ms));
        else if (errno != EINTR)
            return rdg_fail(RDG_E_CLOSED, "the peer closed the connection: %s", strerror(errno));
    }
    return RDG_OK;
}

rdg_err_t socket_send(int fd, rdg_bytes_t bytes, uint64_t deadline_ms) {
    return send_all(fd, bytes, false, deadline_ms);
}

rdg_err_t socket_send_until_answered(int fd, rdg_bytes_t bytes, uint64_t deadline_ms) {
    return send_all(fd, bytes, true, deadline_ms);
}

rdg_err_t socket_recv(int fd, void *dst, size_t size, uint64_t deadline_ms, size_t *got) {
    for (;;) {
        ssize_t n = recv(fd, dst, size, 0);
        if (n >= 0) {
            *got = (size_t)n;
            return RDG_OK;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (wait_for(fd, POLLIN, deadline_ms) != 0)
                return rdg_fail(RDG_E_TIMEOUT, "the peer did not answer in time");
        } else if (errno != EINTR) {
            return rdg_fail(RDG_E_CLOSED, "the peer closed the connection: %s", strerror(errno));
        }
    }
}

bool socket_quiet(int fd) {
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}
