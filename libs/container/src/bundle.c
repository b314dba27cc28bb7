#include "bundle.h"
#include "seccomp.h"
#include "ridge/base/config.h"
#include "ridge/base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_MAX (256u << 10)
#define SPEC_VERSION "1.0.2"
#define CPU_PERIOD_US 100000u
#define CPU_MILLIS_MIN 10u /* the kernel takes no quota below a millisecond */

/* Entry point of the image, then the spec's arguments in place of the image's own. */
static rdg_err_t make_args(const rdg_container_spec_t *spec, const json_t *config, json_t *args) {
    const json_t *entry = json_object_get(config, "Entrypoint"), *cmd = json_object_get(config, "Cmd"), *v;
    size_t i;
    json_array_foreach(entry, i, v) if (json_is_string(v)) json_array_append(args, (json_t *)(uintptr_t)v);
    for (i = 0; spec->args && spec->args[i]; ++i) json_array_append_new(args, json_string(spec->args[i]));
    if (i == 0)
        json_array_foreach(cmd, i, v) if (json_is_string(v)) json_array_append(args, (json_t *)(uintptr_t)v);
    if (json_array_size(args) > 0) return RDG_OK;
    return rdg_fail(RDG_E_INVALID, "image %s has no entry point and no command",
                    spec->image ? spec->image : "");
}

/* The user of a name, as the image itself says: "name:x:uid:gid:…". A link is not followed out of the image. */
static rdg_err_t find_user(const char *rootfs, const char *name, bundle_user_t *out) {
    char path[PATH_MAX], line[1024];
    bool found = false;
    RDG_TRY(rdg_path_join(path, sizeof path, rootfs, "etc/passwd"));
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (fd >= 0 && !f) close(fd);
    while (f && !found && fgets(line, sizeof line, f)) {
        char *save = NULL, *field = strtok_r(line, ":", &save);
        if (!field || strcmp(field, name) != 0) continue;
        (void)strtok_r(NULL, ":", &save); /* the password; never empty in an image that works */
        const char *uid = strtok_r(NULL, ":", &save), *gid = strtok_r(NULL, ":", &save);
        found =
            uid && gid && rdg_parse_u64(uid, &out->uid) == RDG_OK && rdg_parse_u64(gid, &out->gid) == RDG_OK;
    }
    if (f) fclose(f);
    if (found) return RDG_OK;
    return rdg_fail(RDG_E_UNSUPPORTED,
                    "the image runs as user '%.64s', which its /etc/passwd does not know: give it a number",
                    name);
}

rdg_err_t bundle_user(const char *rootfs, const json_t *image_config, bundle_user_t *out) {
    const char *text = json_string_value(json_object_get(json_object_get(image_config, "config"), "User"));
    char user[128];
    memset(out, 0, sizeof *out);
    if (!text || !text[0]) return RDG_OK;
    if (strlen(text) >= sizeof user)
        return rdg_fail(RDG_E_INVALID, "the image's user '%.64s…' is too long", text);
    memcpy(user, text, strlen(text) + 1);
    char *group = strchr(user, ':');
    if (group) *group++ = '\0';
    if (rdg_parse_u64(user, &out->uid) != RDG_OK) RDG_TRY(find_user(rootfs, user, out));
    if (group && rdg_parse_u64(group, &out->gid) != RDG_OK)
        return rdg_fail(RDG_E_UNSUPPORTED, "the image runs as group '%.64s': give it a number", group);
    if (out->uid > UINT32_MAX - 1 || out->gid > UINT32_MAX - 1)
        return rdg_fail(RDG_E_INVALID, "the image's user '%.64s' is out of range", text);
    return RDG_OK;
}

static json_t *make_process(const rdg_container_spec_t *spec, const json_t *config, const bundle_user_t *user,
                            rdg_err_t *err) {
    json_t *args = json_array(), *env = json_array(), *v;
    const char *cwd = json_string_value(json_object_get(config, "WorkingDir"));
    size_t i;
    *err = make_args(spec, config, args);
    json_array_foreach(json_object_get(config, "Env"), i, v) if (json_is_string(v)) json_array_append(env, v);
    if (json_array_size(env) == 0)
        json_array_append_new(
            env, json_string("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
    return json_pack("{s:b, s:{s:I, s:I}, s:o, s:o, s:s, s:b, s:{s:[], s:[], s:[], s:[], s:[]}, s:[{s:s, "
                     "s:i, s:i}, {s:s, s:i, "
                     "s:i}], s:i}",
                     "terminal", 0, "user", "uid", (json_int_t)user->uid, "gid", (json_int_t)user->gid,
                     "args", args, "env", env, "cwd", cwd && cwd[0] == '/' ? cwd : "/", "noNewPrivileges", 1,
                     "capabilities", "bounding", "effective", "permitted", "inheritable", "ambient",
                     "rlimits", "type", "RLIMIT_NOFILE", "hard", 1024, "soft", 1024, "type", "RLIMIT_CORE",
                     "hard", 0, "soft", 0, "oomScoreAdj", BUNDLE_OOM_SCORE);
}

static json_t *make_mounts(const rdg_container_spec_t *spec, const char *data_mount) {
    return json_pack(
        "[{s:s, s:s, s:s, s:[s,s,s]}, {s:s, s:s, s:s, s:[s,s,s,s]}, {s:s, s:s, s:s, s:[s,s,s,s,s]},"
        " {s:s, s:s, s:s, s:[s,s,s,s]}, {s:s, s:s, s:s, s:[s,s,s,s]}, {s:s, s:s, s:s, s:[s,s,s,s]}]",
        "destination", "/proc", "type", "proc", "source", "proc", "options", "nosuid", "noexec", "nodev",
        "destination", "/dev", "type", "tmpfs", "source", "tmpfs", "options", "nosuid", "strictatime",
        "mode=755", "size=64k", "destination", "/dev/shm", "type", "tmpfs", "source", "shm", "options",
        "nosuid", "noexec", "nodev", "mode=1777", "size=16m", "destination", "/sys", "type", "sysfs",
        "source", "sysfs", "options", "nosuid", "noexec", "nodev", "ro", "destination", "/tmp", "type",
        "tmpfs", "source", "tmpfs", "options", "nosuid", "nodev", "mode=1777", "size=16m", "destination",
        data_mount, "type", "bind", "source", spec->data_dir, "options", "rbind", "rw", "nosuid", "nodev");
}

static json_t *make_resources(const rdg_container_spec_t *spec) {
    json_t *resources = json_pack("{s:[{s:b, s:s}], s:{s:I}}", "devices", "allow", 0, "access", "rwm", "pids",
                                  "limit", (json_int_t)(spec->pids ? spec->pids : BUNDLE_PIDS_DEFAULT));
    if (spec->memory_bytes > 0)
        json_object_set_new(resources, "memory", json_pack("{s:I}", "limit", (json_int_t)spec->memory_bytes));
    if (spec->cpu_millis > 0) {
        uint64_t millis = spec->cpu_millis < CPU_MILLIS_MIN ? CPU_MILLIS_MIN : spec->cpu_millis;
        json_object_set_new(resources, "cpu",
                            json_pack("{s:I, s:I}", "quota", (json_int_t)(millis * (CPU_PERIOD_US / 1000)),
                                      "period", (json_int_t)CPU_PERIOD_US));
    }
    return resources;
}

static json_t *strings(const char *const *list) {
    json_t *a = json_array();
    for (; *list; ++list) json_array_append_new(a, json_string(*list));
    return a;
}

static json_t *make_linux(const rdg_container_spec_t *spec, const char *id) {
    static const char *const masked[] = {"/proc/acpi",
                                         "/proc/asound",
                                         "/proc/kcore",
                                         "/proc/keys",
                                         "/proc/key-users",
                                         "/proc/kmsg",
                                         "/proc/kpagecount",
                                         "/proc/kpageflags",
                                         "/proc/latency_stats",
                                         "/proc/sched_debug",
                                         "/proc/scsi",
                                         "/proc/timer_list",
                                         "/proc/timer_stats",
                                         "/proc/interrupts",
                                         "/sys/firmware",
                                         "/sys/kernel/debug",
                                         "/sys/kernel/security",
                                         "/sys/kernel/tracing",
                                         "/sys/fs/bpf",
                                         "/sys/devices/virtual/powercap",
                                         NULL};
    static const char *const read_only[] = {"/proc/bus",           "/proc/fs", "/proc/irq", "/proc/sys",
                                            "/proc/sysrq-trigger", NULL};
    char cgroup[160];
    snprintf(cgroup, sizeof cgroup, "/%s", id);
    return json_pack("{s:[{s:s}, {s:s}, {s:s}, {s:s}], s:s, s:o, s:o, s:o, s:o}", "namespaces", "type", "pid",
                     "type", "mount", "type", "ipc", "type", "uts", "cgroupsPath", cgroup, "resources",
                     make_resources(spec), "seccomp", seccomp_profile(), "maskedPaths", strings(masked),
                     "readonlyPaths", strings(read_only));
}

rdg_err_t bundle_write(const char *dir, const char *rootfs, const char *id, const char *data_mount,
                       const rdg_container_spec_t *spec, const json_t *image_config) {
    char path[PATH_MAX], host[65];
    rdg_buf_t text;
    rdg_err_t err;
    bundle_user_t user;
    RDG_TRY(bundle_user(rootfs, image_config, &user));
    RDG_TRY(rdg_path_join(path, sizeof path, dir, "config.json"));
    snprintf(host, sizeof host, "%s", spec->name);
    json_t *process = make_process(spec, json_object_get(image_config, "config"), &user, &err);
    json_t *o = json_pack("{s:s, s:o, s:{s:s, s:b}, s:s, s:o, s:o}", "ociVersion", SPEC_VERSION, "process",
                          process, "root", "path", rootfs, "readonly", 1, "hostname", host, "mounts",
                          make_mounts(spec, data_mount), "linux", make_linux(spec, id));
    rdg_buf_init(&text, CONFIG_MAX);
    if (err == RDG_OK) err = o ? rdg_json_dump_pretty(o, &text) : RDG_E_NO_MEMORY;
    if (err == RDG_OK) err = rdg_file_replace(path, rdg_buf_view(&text), 0600);
    /* Who is not root inside owns his directory outside. */
    if (err == RDG_OK && user.uid > 0 && chown(spec->data_dir, (uid_t)user.uid, (gid_t)user.gid) != 0)
        err = rdg_fail_errno(errno, "cannot give %s to user %llu", spec->data_dir,
                             (unsigned long long)user.uid);
    rdg_buf_fini(&text);
    json_decref(o);
    return rdg_fail_in(err, "cannot describe the container of %s", spec->name);
}
