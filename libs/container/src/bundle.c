#include "bundle.h"
#include "ridge/base/file.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define CONFIG_MAX (256u << 10)
#define SPEC_VERSION "1.0.2"

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

static json_t *make_process(const rdg_container_spec_t *spec, const json_t *config, rdg_err_t *err) {
    json_t *args = json_array(), *env = json_array(), *v;
    const char *cwd = json_string_value(json_object_get(config, "WorkingDir"));
    size_t i;
    *err = make_args(spec, config, args);
    json_array_foreach(json_object_get(config, "Env"), i, v) if (json_is_string(v)) json_array_append(env, v);
    if (json_array_size(env) == 0)
        json_array_append_new(
            env, json_string("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
    return json_pack(
        "{s:b, s:{s:i, s:i}, s:o, s:o, s:s, s:b, s:{s:[], s:[], s:[], s:[]}, s:[{s:s, s:i, s:i}]}",
        "terminal", 0, "user", "uid", 0, "gid", 0, "args", args, "env", env, "cwd",
        cwd && cwd[0] == '/' ? cwd : "/", "noNewPrivileges", 1, "capabilities", "bounding", "effective",
        "permitted", "inheritable", "rlimits", "type", "RLIMIT_NOFILE", "hard", 1024, "soft", 1024);
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

static json_t *make_linux(const rdg_container_spec_t *spec, const char *id) {
    char cgroup[160];
    snprintf(cgroup, sizeof cgroup, "/%s", id);
    json_t *resources = json_pack("{s:[{s:b, s:s}]}", "devices", "allow", 0, "access", "rwm");
    if (spec->memory_bytes > 0)
        json_object_set_new(resources, "memory", json_pack("{s:I}", "limit", (json_int_t)spec->memory_bytes));
    if (spec->pids > 0)
        json_object_set_new(resources, "pids", json_pack("{s:I}", "limit", (json_int_t)spec->pids));
    return json_pack("{s:[{s:s}, {s:s}, {s:s}, {s:s}], s:s, s:o, s:[s,s,s,s,s,s,s,s,s], s:[s,s,s,s,s]}",
                     "namespaces", "type", "pid", "type", "mount", "type", "ipc", "type", "uts",
                     "cgroupsPath", cgroup, "resources", resources, "maskedPaths", "/proc/acpi",
                     "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                     "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "readonlyPaths", "/proc/bus",
                     "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger");
}

rdg_err_t bundle_write(const char *dir, const char *rootfs, const char *id, const char *data_mount,
                       const rdg_container_spec_t *spec, const json_t *image_config) {
    char path[PATH_MAX], host[65];
    rdg_buf_t text;
    rdg_err_t err;
    RDG_TRY(rdg_path_join(path, sizeof path, dir, "config.json"));
    snprintf(host, sizeof host, "%s", spec->name);
    json_t *process = make_process(spec, json_object_get(image_config, "config"), &err);
    json_t *o = json_pack("{s:s, s:o, s:{s:s, s:b}, s:s, s:o, s:o}", "ociVersion", SPEC_VERSION, "process",
                          process, "root", "path", rootfs, "readonly", 1, "hostname", host, "mounts",
                          make_mounts(spec, data_mount), "linux", make_linux(spec, id));
    rdg_buf_init(&text, CONFIG_MAX);
    if (err == RDG_OK) err = o ? rdg_json_dump_pretty(o, &text) : RDG_E_NO_MEMORY;
    if (err == RDG_OK) err = rdg_file_replace(path, rdg_buf_view(&text), 0600);
    rdg_buf_fini(&text);
    json_decref(o);
    return rdg_fail_in(err, "cannot describe the container of %s", spec->name);
}
