/* A stock mosquitto, configured, started and supervised by the program that needs a broker.
 *
 * Writes its configuration, password file (mosquitto's $7$ PBKDF2-SHA512 form) and ACL into dir; listens on loopback
 * (a port chosen by the system unless given) and on a Unix socket in dir; keeps its sessions in dir (persistence on,
 * saved often). Restarts it with back-off when it dies. ACL: each user reads and writes only devices/<user>/#; the
 * user "cloud" reads and writes all. Users change at run time by SIGHUP. */
#ifndef RIDGE_NET_BROKER_H
#define RIDGE_NET_BROKER_H
#include <stdint.h>
#include <sys/types.h>
#include "ridge/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rdg_broker rdg_broker_t;
typedef struct rdg_broker_options {
    const char *dir;
    const char *program; /* NULL: mosquitto, also looked for in /usr/sbin */
    uint16_t port;       /* 0: chosen and then kept in dir across restarts */
    const char *acl;     /* NULL: the rule above; else the ACL file's content */
    int anonymous;       /* 1: no passwords (a device's own loopback broker) */
} rdg_broker_options_t;

rdg_err_t rdg_broker_start(const rdg_broker_options_t *options, rdg_broker_t **out); /* returns when it accepts connections */
const char *rdg_broker_url(const rdg_broker_t *b);
/* Adds or replaces; durable before it returns, in force for the next connection. */
rdg_err_t rdg_broker_set_user(rdg_broker_t *b, const char *user, const char *password);
rdg_err_t rdg_broker_remove_user(rdg_broker_t *b, const char *user);
pid_t rdg_broker_pid(const rdg_broker_t *b);
void rdg_broker_stop(rdg_broker_t *b);

#ifdef __cplusplus
}
#endif
#endif
