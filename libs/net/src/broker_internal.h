/* The broker in parts: broker.c supervises, broker_files.c writes what mosquitto reads, broker_probe.c speaks
 * enough MQTT to see whether it answers. */
#ifndef RIDGE_NET_BROKER_INTERNAL_H
#define RIDGE_NET_BROKER_INTERNAL_H
#include <stdbool.h>
#include "ridge/net/broker.h"

#define BROKER_PATH_MAX 512

typedef struct broker_files {
    char dir[BROKER_PATH_MAX], conf[BROKER_PATH_MAX], passwords[BROKER_PATH_MAX], acl[BROKER_PATH_MAX],
        port[BROKER_PATH_MAX], log[BROKER_PATH_MAX], socket[BROKER_PATH_MAX];
    const char *user; /* that mosquitto runs as and the files belong to; NULL: as we do */
    uid_t uid;
    gid_t gid;
} broker_files_t;

rdg_err_t broker_files_init(broker_files_t *f, const char *dir);
rdg_err_t broker_write_conf(const broker_files_t *f, uint16_t port, const rdg_broker_options_t *o);
/* password NULL: removes. NOT_FOUND when there is nothing to remove. */
rdg_err_t broker_write_password(const broker_files_t *f, const char *user, const char *password);
uint16_t broker_read_port(const broker_files_t *f); /* 0: none */
rdg_err_t broker_write_port(const broker_files_t *f, uint16_t port);
void broker_last_log_line(const broker_files_t *f, char *out, size_t size);
void broker_trim_log(const broker_files_t *f);

/* Connects as user (NULL: nobody). *code is the CONNACK's: 0 accepted, 4 and 5 refused. UNAVAILABLE, TIMEOUT,
 * PROTOCOL. */
rdg_err_t broker_probe(const char *host, uint16_t port, const char *user, const char *password,
                       uint64_t timeout_ms, int *code);

#endif
