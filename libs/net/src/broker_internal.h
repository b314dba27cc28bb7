/* The broker in parts: broker.c supervises, broker_files.c writes what mosquitto reads, broker_users.c what its plugin
 * reads (broker_gate.h, ../plugin), broker_probe.c speaks enough MQTT to see whether it answers. */
#ifndef RIDGE_NET_BROKER_INTERNAL_H
#define RIDGE_NET_BROKER_INTERNAL_H
#include <stdbool.h>
#include "ridge/base/bytes.h"
#include "ridge/net/broker.h"

#define BROKER_PATH_MAX 512
#define BROKER_PASSWORDS_MAX (64u << 20) /* what an earlier version may have written */

typedef struct broker_files {
    char dir[BROKER_PATH_MAX], conf[BROKER_PATH_MAX], passwords[BROKER_PATH_MAX], users[BROKER_PATH_MAX],
        kicks[BROKER_PATH_MAX], plugin[BROKER_PATH_MAX], acl[BROKER_PATH_MAX], port[BROKER_PATH_MAX],
        log[BROKER_PATH_MAX], socket[BROKER_PATH_MAX];
    const char *user; /* that mosquitto runs as and the files belong to; NULL: as we do */
    uid_t uid;
    gid_t gid;
} broker_files_t;

rdg_err_t broker_files_init(broker_files_t *f, const char *dir);
rdg_err_t broker_write_conf(const broker_files_t *f, uint16_t port, const rdg_broker_options_t *o);
/* Replaces durably, as the broker's own. */
rdg_err_t broker_write_file(const broker_files_t *f, const char *path, rdg_bytes_t content);
rdg_err_t broker_give(const broker_files_t *f, const char *path);
uint16_t broker_read_port(const broker_files_t *f); /* 0: none */
rdg_err_t broker_write_port(const broker_files_t *f, uint16_t port);
void broker_last_log_line(const broker_files_t *f, char *out, size_t size);
void broker_trim_log(const broker_files_t *f);

rdg_bytes_t broker_plugin_image(void); /* empty: built without it */

/* Users; names are valid (broker_gate.h). Of different ones at once as may be. */
rdg_err_t broker_users_init(const broker_files_t *f);
/* What a password file of earlier versions has, once; the file goes when all is on disk. Before the broker runs. */
rdg_err_t broker_users_take_over(const broker_files_t *f);
/* In force and durable; *known: there was one, who may be connected. */
rdg_err_t broker_users_set(const broker_files_t *f, const char *user, const char *password, bool *known);
rdg_err_t broker_users_remove(const broker_files_t *f, const char *user); /* NOT_FOUND */
/* Asks the plugin to cut a user's connections; kicked: it has. */
rdg_err_t broker_users_kick(const broker_files_t *f, const char *user);
bool broker_users_kicked(const broker_files_t *f, const char *user);

/* Connects as user (NULL: nobody). *code is the CONNACK's: 0 accepted, 4 and 5 refused. UNAVAILABLE, TIMEOUT,
 * PROTOCOL. */
rdg_err_t broker_probe(const char *host, uint16_t port, const char *user, const char *password,
                       uint64_t timeout_ms, int *code);

#endif
