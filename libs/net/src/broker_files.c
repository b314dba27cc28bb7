#include "broker_internal.h"
#include "broker_gate.h"
#include "ridge/base/config.h"
#include "ridge/base/file.h"
#include "ridge/base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define MOSQUITTO_USER "mosquitto"

/* Can a user who owns nothing above dir get down to it? */
static bool reachable(const char *dir) {
    char path[BROKER_PATH_MAX];
    struct stat st;
    snprintf(path, sizeof path, "%s", dir);
    for (char *slash = strrchr(path, '/'); slash && slash != path; slash = strrchr(path, '/')) {
        *slash = '\0';
        if (stat(path, &st) != 0 || !(st.st_mode & S_IXOTH)) return false;
    }
    return true;
}

static rdg_err_t choose_user(broker_files_t *f) {
    char text[4096];
    struct passwd entry, *found = NULL;
    if (geteuid() != 0) return RDG_OK;
    bool known = getpwnam_r(MOSQUITTO_USER, &entry, text, sizeof text, &found) == 0 && found;
    if (!known || !reachable(f->dir)) {
        rdg_log(RDG_LOG_WARN, "broker.runs_as_root", RDG_STR("dir", f->dir),
                RDG_STR("why", known ? "user " MOSQUITTO_USER " cannot reach the directory"
                                     : "there is no user " MOSQUITTO_USER));
        return RDG_OK;
    }
    f->user = MOSQUITTO_USER;
    f->uid = entry.pw_uid;
    f->gid = entry.pw_gid;
    return RDG_OK;
}

rdg_err_t broker_give(const broker_files_t *f, const char *path) {
    if (!f->user || lchown(path, f->uid, f->gid) == 0 || errno == ENOENT) return RDG_OK;
    return rdg_fail_errno(errno, "cannot give %s to user %s", path, f->user);
}

rdg_err_t broker_files_init(broker_files_t *f, const char *dir) {
    char real[PATH_MAX];
    memset(f, 0, sizeof *f);
    RDG_TRY(rdg_dir_make(dir, 0700));
    /* mosquitto reads its paths to the end of the line. */
    if (!realpath(dir, real)) return rdg_fail_errno(errno, "the broker's directory %s", dir);
    if (strchr(real, '\n') || strlen(real) > BROKER_PATH_MAX - 32 - BROKER_GATE_NAME_MAX)
        return rdg_fail(RDG_E_INVALID, "the path of the broker's directory is too long or holds a newline");
    snprintf(f->dir, sizeof f->dir, "%.*s", BROKER_PATH_MAX - 32, real);
    RDG_TRY(rdg_path_join(f->conf, sizeof f->conf, f->dir, "mosquitto.conf"));
    RDG_TRY(rdg_path_join(f->passwords, sizeof f->passwords, f->dir, "passwords"));
    RDG_TRY(rdg_path_join(f->users, sizeof f->users, f->dir, "users"));
    RDG_TRY(rdg_path_join(f->kicks, sizeof f->kicks, f->dir, "kicks"));
    RDG_TRY(rdg_path_join(f->plugin, sizeof f->plugin, f->dir, "ridge-users.so"));
    RDG_TRY(rdg_path_join(f->acl, sizeof f->acl, f->dir, "acl"));
    RDG_TRY(rdg_path_join(f->port, sizeof f->port, f->dir, "port"));
    RDG_TRY(rdg_path_join(f->log, sizeof f->log, f->dir, "mosquitto.log"));
    RDG_TRY(rdg_path_join(f->socket, sizeof f->socket, f->dir, "mqtt.sock"));
    if (strlen(f->socket) >= sizeof((struct sockaddr_un *)NULL)->sun_path) f->socket[0] = '\0';
    RDG_TRY(choose_user(f));
    char db[BROKER_PATH_MAX];
    RDG_TRY(rdg_path_join(db, sizeof db, f->dir, "mosquitto.db"));
    RDG_TRY(broker_give(f, db));
    return broker_give(f, f->dir);
}

/* Owned as it shall be before it has its name: a broker that reads it in between, and may not, sends all of its users away. */
rdg_err_t broker_write_file(const broker_files_t *f, const char *path, rdg_bytes_t content) {
    if (!f->user) return rdg_file_replace(path, content, 0600);
    return rdg_file_replace_as(path, content, 0600, f->uid, f->gid);
}

static void conf_text(const broker_files_t *f, uint16_t port, const rdg_broker_options_t *o, bool acl,
                      rdg_buf_t *out) {
    /* A session is named by who has logged in: nobody takes over that of another. Not where we look whether a new password
     * is known, if devices come by another way: that look would end its device's session. */
    const char *by_user = o->anonymous ? "" : "use_username_as_clientid true\n";
    rdg_buf_printf(out, "listener %u 127.0.0.1\n%s", port, f->socket[0] ? "" : by_user);
    if (f->socket[0]) rdg_buf_printf(out, "listener 0 %s\n%s", f->socket, by_user);
    rdg_buf_printf(out, "allow_anonymous %s\n", o->anonymous ? "true" : "false");
    if (!o->anonymous)
        rdg_buf_printf(out, "plugin %s\nplugin_opt_users %s\nplugin_opt_kicks %s\n", f->plugin, f->users,
                       f->kicks);
    if (acl) rdg_buf_printf(out, "acl_file %s\n", f->acl);
    if (!f->user && geteuid() == 0) rdg_buf_str(out, "user root\n");
    rdg_buf_printf(out,
                   "persistence true\n"
                   "persistence_location %s/\n"
                   "persistence_file mosquitto.db\n"
                   "autosave_on_changes %s\n"
                   "autosave_interval %u\n"
                   "persistent_client_expiration 90d\n"
                   "max_queued_messages 100000\n"
                   "max_queued_bytes 134217728\n"
                   "message_size_limit 1048576\n"
                   "set_tcp_nodelay true\n"
                   "sys_interval 0\n"
                   "log_dest stderr\n"
                   "log_type error\nlog_type warning\nlog_type notice\n"
                   "log_timestamp_format %%Y-%%m-%%dT%%H:%%M:%%S\n",
                   f->dir, o->save_every_s ? "false" : "true", o->save_every_s ? o->save_every_s : 1);
}

static rdg_err_t write_plugin(const broker_files_t *f) {
    rdg_bytes_t image = broker_plugin_image();
    if (image.len == 0)
        return rdg_fail(RDG_E_UNSUPPORTED,
                        "this program was built without the broker's plugin: it starts brokers without "
                        "users only");
    return broker_write_file(f, f->plugin, image);
}

rdg_err_t broker_write_conf(const broker_files_t *f, uint16_t port, const rdg_broker_options_t *o) {
    static const char own_rule[] =
        "user cloud\ntopic readwrite #\n\npattern readwrite devices/%u/#\npattern read cloud/crl\n"
        "pattern read cloud/image-trust\npattern read subscriptions/%u\npattern write subscriptions/%u/ack\n";
    rdg_buf_t text;
    bool has_acl = o->acl || !o->anonymous;
    if (has_acl) RDG_TRY(broker_write_file(f, f->acl, rdg_bytes_str(o->acl ? o->acl : own_rule)));
    if (!o->anonymous) RDG_TRY(write_plugin(f));
    if (!o->anonymous) RDG_TRY(broker_users_init(f));
    if (!o->anonymous) RDG_TRY(broker_users_take_over(f));
    rdg_buf_init(&text, 16384);
    conf_text(f, port, o, has_acl, &text);
    rdg_err_t err = rdg_buf_err(&text);
    if (err == RDG_OK) err = broker_write_file(f, f->conf, rdg_buf_view(&text));
    rdg_buf_fini(&text);
    return err;
}

uint16_t broker_read_port(const broker_files_t *f) {
    rdg_buf_t text;
    uint64_t port = 0;
    rdg_buf_init(&text, 16);
    if (rdg_file_read(f->port, &text) == RDG_OK && rdg_parse_u64(rdg_buf_cstr(&text), &port) != RDG_OK)
        port = 0;
    rdg_buf_fini(&text);
    return port > 0 && port < 65536 ? (uint16_t)port : 0;
}

rdg_err_t broker_write_port(const broker_files_t *f, uint16_t port) {
    char text[8];
    snprintf(text, sizeof text, "%u", port);
    return rdg_file_replace(f->port, rdg_bytes_str(text), 0600);
}

void broker_last_log_line(const broker_files_t *f, char *out, size_t size) {
    char tail[1024];
    struct stat st;
    snprintf(out, size, "its log %s is empty", f->log);
    int fd = open(f->log, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    off_t from = fstat(fd, &st) == 0 && st.st_size > (off_t)sizeof tail ? st.st_size - (off_t)sizeof tail : 0;
    ssize_t got = pread(fd, tail, sizeof tail, from);
    close(fd);
    size_t end = got > 0 ? (size_t)got : 0;
    while (end > 0 && tail[end - 1] == '\n') --end;
    size_t start = end;
    while (start > 0 && tail[start - 1] != '\n') --start;
    if (end > start) snprintf(out, size, "%.*s", (int)(end - start), tail + start);
}

void broker_trim_log(const broker_files_t *f) {
    struct stat st;
    /* mosquitto appends, so that it goes on at the new end. */
    if (stat(f->log, &st) == 0 && st.st_size > (off_t)RDG_BROKER_LOG_MAX && truncate(f->log, 0) == 0)
        rdg_log(RDG_LOG_INFO, "broker.log_cut", RDG_STR("file", f->log));
}
