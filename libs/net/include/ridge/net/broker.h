/* A stock mosquitto 2.0, configured, started and supervised by the program that needs a broker.
 *
 * Everything is in dir: mosquitto.conf, users/ (a file for each: mosquitto's $7$ PBKDF2-SHA512 form), kicks/ (who is to
 * be sent away, for a moment), ridge-users.so (our plugin, which looks into these; it is part of this program and written
 * at each start), acl, port, mosquitto.db (sessions and retained messages), mosquitto.log. It listens on 127.0.0.1 and,
 * when dir is short enough for one, on the Unix socket dir/mqtt.sock.
 *
 * 1. The port is chosen by the system at the first start and kept in dir/port. If another program holds it at
 * a later start, a new one is chosen and "broker.port_changed" is logged: rdg_broker_url tells the truth. A
 * port that the caller asked for is never replaced: PORT_IN_USE.
 * 2. It is restarted with back-off (0.1 s to 10 s) when it dies, on the same port, and dies with this
 * program.
 * 3. ACL: each user reads and writes only devices/<user>/#, reads subscriptions/<user> and writes
 * subscriptions/<user>/ack, and reads cloud/crl and cloud/image-trust; the user "cloud" reads and writes everything.
 * On the Unix socket a session is named by the user, whatever client id is given: nobody takes over another's.
 * 4. Sessions are saved to disk after every change, so that a killed broker comes back with them. It
 * acknowledges first and saves right after: what it acknowledged in its last milliseconds may be lost, so
 * callers repeat what has not had its effect.
 * 5. Started by root it runs as the user mosquitto, which then owns the files in dir; if that user is missing
 * or cannot reach dir, it runs as root and "broker.runs_as_root" is logged. Passwords are machine-made random
 * ones, so the hash uses mosquitto's own low iteration count: the broker checks them in its only thread. The
 * log is cut off when it exceeds RDG_BROKER_LOG_MAX.
 * 6. A change of one user costs the same however many there are, here and in the broker, and changes of several users
 * may be made at once. What an earlier version had in one file `passwords` is taken over at the first start. Without its
 * plugin the broker does not start; a user whose file is damaged is neither let in nor refused, but cut off. Thread-safe. */
#ifndef RIDGE_NET_BROKER_H
#define RIDGE_NET_BROKER_H
#include <stdint.h>
#include <sys/types.h>
#include "ridge/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_BROKER_LOG_MAX (8u << 20)

typedef struct rdg_broker rdg_broker_t;
typedef struct rdg_broker_options {
    const char *dir;       /* made if absent */
    const char *program;   /* NULL: mosquitto, looked for in PATH and /usr/sbin */
    uint16_t port;         /* 0: invariant 1 */
    const char *acl;       /* NULL: invariant 3; else the ACL file's content */
    unsigned save_every_s; /* 0: invariant 4; else sessions are saved only that often, for throughput */
    int anonymous;         /* 1: no passwords, no ACL unless given (a device's own loopback broker) */
} rdg_broker_options_t;

/* Returns when it accepts connections. NOT_FOUND: no mosquitto; PORT_IN_USE; UNAVAILABLE: it ended or did not
 * answer, with the last line of its log. UNSUPPORTED: it would need users, and this program was built without the plugin
 * (a cross build). */
rdg_err_t rdg_broker_start(const rdg_broker_options_t *options, rdg_broker_t **out);
const char *rdg_broker_url(const rdg_broker_t *b); /* mqtt://127.0.0.1:PORT; borrowed */
const char *
rdg_broker_socket(const rdg_broker_t *b); /* path of its Unix socket; NULL: dir is too long for one */
/* Adds or replaces. Durable, and in force when it returns; who is connected with the password before is cut off (TIMEOUT:
 * not yet). INVALID: the name, but for one '_' in front, does not obey rdg_name_valid, or the password is empty or
 * longer than 128. */
rdg_err_t rdg_broker_set_user(rdg_broker_t *b, const char *user, const char *password);
/* NOT_FOUND. The user's connections are cut when it returns (TIMEOUT: not yet). */
rdg_err_t rdg_broker_remove_user(rdg_broker_t *b, const char *user);
pid_t rdg_broker_pid(const rdg_broker_t *b); /* 0 while it is down */
void rdg_broker_stop(rdg_broker_t *b);       /* SIGTERM: it saves its sessions; frees; NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
