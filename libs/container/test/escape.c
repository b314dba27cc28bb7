/* The ways out of a container that are known, tried from inside one with the default profile: each must be refused.
 * This program is what tries: it is put into an image and started there. */
#include "image.h"
#include "kit.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include "ridge/codec/hex.h"
#include "ridge/container/container.h"
#include "ridge/crypto/hash.h"
#include "ridge/net/process.h"
#include "ridge/test.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* --- the attempts: true when one got through ----------------------------------------------------------- */

static bool call(long result) {
    return result >= 0;
}

static bool opens(const char *path, int flags) {
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd >= 0) close(fd);
    return fd >= 0;
}

static bool makes_socket(int family, int type, int protocol) {
    int fd = socket(family, type | SOCK_CLOEXEC, protocol);
    if (fd >= 0) close(fd);
    return fd >= 0;
}

/* What is masked is there and gives nothing. */
static bool reads(const char *path) {
    char byte;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool got = fd >= 0 && read(fd, &byte, 1) == 1;
    if (fd >= 0) close(fd);
    return got;
}

static bool lists(const char *path) {
    DIR *d = opendir(path);
    size_t n = 0;
    for (struct dirent *e; d && (e = readdir(d));) n += e->d_name[0] != '.';
    if (d) closedir(d);
    return n > 0;
}

static bool mounts_tmpfs(void) {
    return call(mount("none", "/tmp", "tmpfs", 0, NULL));
}
static bool mounts_proc(void) {
    return call(mount("proc", "/tmp", "proc", 0, NULL));
}
static bool mounts_cgroup(void) {
    return call(mount("cgroup", "/tmp", "cgroup", 0, "memory")) ||
           call(mount("cgroup2", "/tmp", "cgroup2", 0, NULL));
}
static bool binds(void) {
    return call(mount("/proc/1/root", "/tmp", NULL, MS_BIND, NULL));
}
static bool remounts_root(void) {
    return call(mount(NULL, "/", NULL, MS_REMOUNT, NULL)) ||
           call(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL));
}
static bool unmasks(void) {
    return call(umount2("/proc/kcore", MNT_DETACH)) || call(umount2("/proc/sys", MNT_DETACH));
}
static bool new_mount_api(void) {
    return call(syscall(SYS_fsopen, "tmpfs", 0)) || call(syscall(SYS_open_tree, AT_FDCWD, "/", 1)) ||
           call(syscall(SYS_move_mount, AT_FDCWD, "/tmp", AT_FDCWD, "/dev", 0));
}
static bool pivots(void) {
    return call(syscall(SYS_pivot_root, "/tmp", "/tmp")) || call(chroot("/tmp"));
}
static bool new_user_namespace(void) {
    return call(unshare(CLONE_NEWUSER));
}
static bool new_mount_namespace(void) {
    return call(unshare(CLONE_NEWNS));
}
static bool clones_namespaces(void) {
    long pid = syscall(SYS_clone, (unsigned long)(CLONE_NEWUSER | SIGCHLD), 0, 0, 0, 0);
    if (pid == 0) _exit(0);
    return call(pid);
}
static bool clone3_looks_past(void) {
    uint64_t args[11] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD};
    long pid = syscall(SYS_clone3, args, sizeof args);
    if (pid == 0) _exit(0);
    return call(pid) || errno != ENOSYS;
}
static bool enters_namespaces(void) {
    int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    bool in = fd >= 0 && call(setns(fd, 0));
    if (fd >= 0) close(fd);
    return in;
}
static bool traces(void) {
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    bool got =
        call(ptrace(PTRACE_ATTACH, child, NULL, NULL)) || call(ptrace(PTRACE_SEIZE, child, NULL, NULL));
    kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    return got;
}
static bool reads_processes(void) {
    return call(syscall(SYS_process_vm_readv, getpid(), NULL, 0, NULL, 0, 0)) ||
           call(syscall(SYS_kcmp, getpid(), getpid(), 0, 0, 1));
}
static bool sees_host_processes(void) {
    size_t n = 0;
    DIR *d = opendir("/proc");
    for (struct dirent *e; d && (e = readdir(d));) n += e->d_name[0] >= '1' && e->d_name[0] <= '9';
    if (d) closedir(d);
    return n != 1 || getpid() != 1;
}
static bool sysrq(void) {
    return opens("/proc/sysrq-trigger", O_WRONLY);
}
static bool core_pattern(void) {
    return opens("/proc/sys/kernel/core_pattern", O_WRONLY) || opens("/proc/sys/kernel/modprobe", O_WRONLY) ||
           opens("/proc/sys/vm/panic_on_oom", O_WRONLY);
}
static bool writes_sys(void) {
    return opens("/sys/kernel/uevent_helper", O_WRONLY) || opens("/sys/kernel/mm/ksm/run", O_WRONLY) ||
           opens("/sys/power/state", O_WRONLY) || opens("/sys/module/kernel/parameters/panic", O_WRONLY);
}
static bool reads_masked(void) {
    return reads("/proc/kcore") || reads("/proc/keys") || reads("/proc/timer_list") ||
           reads("/proc/sched_debug") || lists("/sys/firmware") || lists("/proc/acpi");
}
static bool kernel_log(void) {
    return opens("/dev/kmsg", O_RDONLY) || call(syscall(SYS_syslog, 3, NULL, 0)) || reads("/proc/kmsg");
}
static bool keys(void) {
    return call(syscall(SYS_keyctl, 0, -3, 0)) || call(syscall(SYS_add_key, "user", "k", "v", 1, -3)) ||
           call(syscall(SYS_request_key, "user", "k", NULL, 0));
}
static bool bpf(void) {
    char attr[128] = {1};
    return call(syscall(SYS_bpf, 0, attr, sizeof attr)) || errno != EPERM;
}
static bool userfault(void) {
    return call(syscall(SYS_userfaultfd, O_CLOEXEC));
}
static bool perf(void) {
    uint32_t attr[32] = {1, 128};
    return call(syscall(SYS_perf_event_open, attr, 0, -1, -1, 0)) || errno != EPERM;
}
static bool io_uring(void) {
    char params[256] = {0};
    return call(syscall(SYS_io_uring_setup, 4, params)) || errno != EPERM;
}
static bool modules(void) {
    syscall(SYS_init_module, NULL, 0, "");
    if (errno != EPERM) return true;
    syscall(SYS_finit_module, -1, "", 0);
    if (errno != EPERM) return true;
    syscall(SYS_delete_module, "none", O_NONBLOCK);
    return errno != EPERM;
}
static bool new_kernel(void) {
    syscall(SYS_kexec_load, 0, 0, NULL, 0);
    if (errno != EPERM) return true;
    /* An unknown command: nothing happens where it is allowed. */
    syscall(SYS_reboot, 0, 0, 0, NULL);
    return errno != EPERM;
}
static bool system_wide(void) {
    char name[] = "owned";
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now); /* harmless should it get through */
    return call(sethostname(name, 5)) || call(syscall(SYS_clock_settime, CLOCK_REALTIME, &now)) ||
           call(syscall(SYS_swapon, "/tmp/x", 0)) || call(syscall(SYS_acct, NULL)) ||
           call(syscall(SYS_quotactl, 0, 0, 0, 0));
}
static bool ports(void) {
#ifdef SYS_iopl
    return call(syscall(SYS_iopl, 3)) || call(syscall(SYS_ioperm, 0x80, 1, 1));
#else
    return false;
#endif
}
static bool device_nodes(void) {
    return call(mknod("/tmp/sda", S_IFBLK | 0600, makedev(8, 0))) ||
           call(mknod("/tmp/mem", S_IFCHR | 0600, makedev(1, 1)));
}
static bool devices(void) {
    static const char *const usual[] = {"null",   "zero",   "full", "random", "urandom", "tty",
                                        "ptmx",   "pts",    "shm",  "mqueue", "fd",      "stdin",
                                        "stdout", "stderr", "core", "console"};
    bool strange = false;
    DIR *d = opendir("/dev");
    for (struct dirent *e; d && (e = readdir(d));) {
        bool known = e->d_name[0] == '.';
        for (size_t i = 0; i < sizeof usual / sizeof usual[0]; ++i)
            known = known || strcmp(e->d_name, usual[i]) == 0;
        strange = strange || !known;
    }
    if (d) closedir(d);
    return strange;
}
static bool raw_sockets(void) {
    return makes_socket(AF_INET, SOCK_RAW, 1) || makes_socket(AF_PACKET, SOCK_RAW, 0) ||
           makes_socket(AF_INET6, SOCK_RAW, 58);
}
static bool odd_sockets(void) {
    return makes_socket(AF_VSOCK, SOCK_STREAM, 0) || makes_socket(AF_ALG, SOCK_SEQPACKET, 0) ||
           makes_socket(AF_KEY, SOCK_RAW, 2) || makes_socket(AF_TIPC, SOCK_STREAM, 0);
}
static bool ordinary_sockets_fail(void) {
    return !makes_socket(AF_INET, SOCK_STREAM, 0) || !makes_socket(AF_UNIX, SOCK_STREAM, 0) ||
           !makes_socket(AF_INET6, SOCK_DGRAM, 0) || !makes_socket(AF_NETLINK, SOCK_RAW, 0);
}
static bool gains_by_exec(void) {
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1;
}
static bool becomes_another(void) {
    return call(setresuid(1000, 1000, 1000)) || call(setresgid(1000, 1000, 1000)) ||
           call(chown("/tmp", 1000, 1000));
}
static bool has_capabilities(void) {
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct all[2] = {{UINT32_MAX, UINT32_MAX, UINT32_MAX}, {0, 0, 0}};
    for (int cap = 0; cap <= 40; ++cap)
        if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1) return true;
    return call(syscall(SYS_capset, &head, all));
}
static bool no_filter(void) {
    return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 2;
}
static bool file_handles(void) {
    struct {
        unsigned bytes;
        int type;
        char handle[128];
    } h = {.bytes = 128};
    int mount_id;
    return call(syscall(SYS_name_to_handle_at, AT_FDCWD, "/", &h, &mount_id, 0)) ||
           call(syscall(SYS_open_by_handle_at, AT_FDCWD, &h, O_RDONLY));
}
static bool weaker_randomisation(void) {
    return call(personality(ADDR_NO_RANDOMIZE)) || call(personality(READ_IMPLIES_EXEC));
}
static bool writes_root(void) {
    return opens("/owned", O_WRONLY | O_CREAT) || opens("/etc/owned", O_WRONLY | O_CREAT) ||
           opens("/bin/probe", O_WRONLY) || call(mkdir("/owned", 0700));
}
/* Field 6 of a line of mountinfo: the options of this mount; those of the file system stand behind and do not matter. */
static bool release_agent(void) {
    char line[4096], options[64];
    bool writable = false;
    FILE *f = fopen("/proc/self/mountinfo", "re");
    while (f && fgets(line, sizeof line, f))
        writable = writable ||
                   (strstr(line, " - cgroup") && sscanf(line, "%*s %*s %*s %*s %*s %63s", options) == 1 &&
                    !strncmp(options, "rw", 2));
    if (f) fclose(f);
    return writable || opens("/sys/fs/cgroup/release_agent", O_WRONLY) ||
           opens("/sys/fs/cgroup/memory/release_agent", O_WRONLY) ||
           opens("/sys/fs/cgroup/memory/notify_on_release", O_WRONLY);
}
static bool inherited_descriptors(void) {
    for (int fd = 3; fd < 256; ++fd)
        if (fcntl(fd, F_GETFD) >= 0) return true;
    return false;
}
static bool too_many_processes(void) {
    pid_t pids[64];
    size_t n = 0;
    while (n < 64 && (pids[n] = fork()) >= 0) {
        if (pids[n++] > 0) continue;
        pause();
        _exit(0);
    }
    for (size_t i = 0; i < n; ++i) {
        kill(pids[i], SIGKILL);
        (void)waitpid(pids[i], NULL, 0);
    }
    return n == 64;
}
static bool core_dumps(void) {
    return opens("/proc/sys/fs/suid_dumpable", O_WRONLY);
}

typedef struct attempt {
    const char *name;
    bool (*gets_through)(void);
} attempt_t;

static const attempt_t attempts[] = {
    {"sees host processes", sees_host_processes}, /* first: it counts */
    {"mount tmpfs", mounts_tmpfs},
    {"mount proc", mounts_proc},
    {"mount cgroup", mounts_cgroup},
    {"bind mount", binds},
    {"remount the root", remounts_root},
    {"unmount what is masked", unmasks},
    {"fsopen, open_tree, move_mount", new_mount_api},
    {"pivot_root, chroot", pivots},
    {"unshare user namespace", new_user_namespace},
    {"unshare mount namespace", new_mount_namespace},
    {"clone with namespaces", clones_namespaces},
    {"clone3", clone3_looks_past},
    {"setns", enters_namespaces},
    {"ptrace", traces},
    {"process_vm_readv, kcmp", reads_processes},
    {"sysrq-trigger", sysrq},
    {"core_pattern, modprobe", core_pattern},
    {"write below /sys", writes_sys},
    {"read what is masked", reads_masked},
    {"kernel log", kernel_log},
    {"keyctl, add_key, request_key", keys},
    {"bpf", bpf},
    {"userfaultfd", userfault},
    {"perf_event_open", perf},
    {"io_uring", io_uring},
    {"kernel modules", modules},
    {"kexec, reboot", new_kernel},
    {"hostname, clock, swap, accounting, quota", system_wide},
    {"I/O ports", ports},
    {"mknod of devices", device_nodes},
    {"devices of the host", devices},
    {"raw and packet sockets", raw_sockets},
    {"sockets of odd families", odd_sockets},
    {"ordinary sockets fail", ordinary_sockets_fail},
    {"setuid programs gain", gains_by_exec},
    {"setuid, setgid, chown", becomes_another},
    {"capabilities", has_capabilities},
    {"no seccomp filter", no_filter},
    {"file handles", file_handles},
    {"personality", weaker_randomisation},
    {"write into the root", writes_root},
    {"cgroup release_agent", release_agent},
    {"descriptors of the host", inherited_descriptors},
    {"more processes than the limit", too_many_processes},
    {"suid_dumpable", core_dumps},
};

__attribute__((constructor)) static void be_a_prisoner(int argc, char **argv) {
    if (argc < 2 || strcmp(argv[1], ESCAPE_PROBE) != 0) return;
    for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; ++i) {
        errno = 0;
        printf("%s: %s\n", attempts[i].name, attempts[i].gets_through() ? "OUT" : "refused");
    }
    printf("tried %zu\n", sizeof attempts / sizeof attempts[0]);
    fflush(stdout);
    _exit(0);
}

/* --- the container ------------------------------------------------------------------------------------------ */

void escape_tree(const char *root) {
    char script[PATH_MAX * 3], output[2048];
    snprintf(script, sizeof script,
             "set -e; r=%s/tree; mkdir -p $r/bin $r/etc $r/var/lib/ridge-node $r/proc $r/sys $r/dev $r/tmp; "
             "p=$(readlink /proc/$PPID/exe); cp $p $r/bin/probe; "
             "for l in $(ldd $p | grep -o '/[^ ]*'); do mkdir -p $r$(dirname $l); cp -L $l $r$l; done; "
             "echo 'meter:x:4711:4712::/:/bin/probe' >$r/etc/passwd",
             root);
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    CHECK_OK(rdg_dir_make(root, 0700));
    CHECK_OK(rdg_process_run(argv, 60000, output, sizeof output));
}

/* This program with its libraries as a layer that is unpacked already. */
static void make_image(const char *root, const char *reference, const char *config) {
    escape_tree(root);
    static const char layer[] = "sha256:00000000000000000000000000000000000000000000000000000000000000aa";
    char from[PATH_MAX + 128], to[PATH_MAX + 128], manifest[1024],
        digest[IMAGE_DIGEST_TEXT] = "sha256:", config_digest[IMAGE_DIGEST_TEXT] = "sha256:", name[65];
    uint8_t sum[32];
    rdg_sha256(config, strlen(config), sum);
    rdg_hex_encode(sum, sizeof sum, config_digest + 7);
    CHECK_OK(blob_put(root, config_digest, rdg_bytes_str(config)));
    snprintf(manifest, sizeof manifest,
             "{\"config\":{\"mediaType\":\"application/"
             "vnd.oci.image.config.v1+json\",\"digest\":\"%s\",\"size\":%zu},"
             "\"layers\":[{\"mediaType\":\"application/"
             "vnd.oci.image.layer.v1.tar\",\"digest\":\"%s\",\"size\":1}]}",
             config_digest, strlen(config), layer);
    rdg_sha256(manifest, strlen(manifest), sum);
    rdg_hex_encode(sum, sizeof sum, digest + 7);
    CHECK_OK(blob_put(root, digest, rdg_bytes_str(manifest)));
    snprintf(from, sizeof from, "%s/tree", root);
    CHECK_OK(layer_path(root, layer, to));
    char *slash = strrchr(to, '/');
    *slash = '\0';
    CHECK_OK(rdg_dir_make(to, 0755));
    *slash = '/';
    CHECK_EQ(rename(from, to), 0);
    rdg_sha256(reference, strlen(reference), sum);
    rdg_hex_encode(sum, sizeof sum, name);
    snprintf(to, sizeof to, "%s/images", root);
    CHECK_OK(rdg_dir_make(to, 0700));
    snprintf(to, sizeof to, "%s/images/%s", root, name);
    CHECK_OK(rdg_file_replace(to, rdg_bytes_str(digest), 0600));
}

static void run_probe(const char *runtime, const char *config, rdg_buf_t *said, pid_t *pid_out) {
    static const char reference[] = "127.0.0.1:1/probe@sha256:"
                                    "00000000000000000000000000000000000000000000000000000000000000bb";
    char root[PATH_MAX], state[PATH_MAX], data[PATH_MAX], log[PATH_MAX + 8];
    rdg_container_driver_t *d = NULL;
    snprintf(root, sizeof root, "%s/oci", rdg_test_dir());
    snprintf(state, sizeof state, "%s/state", rdg_test_dir());
    snprintf(data, sizeof data, "%s/data", rdg_test_dir());
    snprintf(log, sizeof log, "%s/log", rdg_test_dir());
    rdg_container_oci_options_t o = {.root = root, .runtime = runtime};
    if (rdg_container_oci_new(&o, &d) != RDG_OK) rdg_test_skip(rdg_err_message(RDG_E_UNSUPPORTED));
    make_image(root, reference, config);
    CHECK_OK(rdg_dir_make(data, 0700));
    static const char *const args[] = {ESCAPE_PROBE, NULL};
    rdg_container_spec_t spec = {.name = "probe",
                                 .state_dir = state,
                                 .data_dir = data,
                                 .log_path = log,
                                 .image = reference,
                                 .args = args,
                                 .memory_bytes = 128u << 20,
                                 .cpu_millis = 2000,
                                 .pids = 32};
    CHECK_OK(d->start(d->ctx, &spec));
    uint64_t end = rdg_mono_ms(rdg_clock_system()) + 90000;
    do {
        usleep(10000);
        rdg_buf_clear(said);
        (void)rdg_file_read(log, said);
        rdg_container_status_t s;
        CHECK_OK(d->status(d->ctx, &spec, &s));
        if (pid_out && s.pid) *pid_out = s.pid;
        if (s.state != RDG_CONTAINER_RUNNING) end = rdg_mono_ms(rdg_clock_system()) < end ? end - 20000 : 0;
    } while (!strstr(rdg_buf_cstr(said), "tried ") && rdg_mono_ms(rdg_clock_system()) < end);
    CHECK_OK(d->remove(d->ctx, &spec, NULL));
    rdg_container_driver_free(d);
}

void escape_check(const char *said) {
    char total[32];
    snprintf(total, sizeof total, "tried %zu\n", sizeof attempts / sizeof attempts[0]);
    for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; ++i) {
        char line[128];
        snprintf(line, sizeof line, "%s: refused\n", attempts[i].name);
        if (!strstr(said, line)) rdg_test_fail(__FILE__, __LINE__, "got out: %s\n%s", attempts[i].name, said);
    }
    CHECK(strstr(said, total));
}

static void check_nothing_got_out(const char *runtime) {
    rdg_buf_t said;
    rdg_buf_init(&said, 65536);
    run_probe(runtime, "{\"config\":{\"Entrypoint\":[\"/bin/probe\"]}}", &said, NULL);
    escape_check(rdg_buf_cstr(&said));
    rdg_buf_fini(&said);
}

TEST(nothing_gets_out_of_a_container_with_the_default_profile_under_runc) {
    check_nothing_got_out("runc");
}

TEST(nothing_gets_out_of_a_container_with_the_default_profile_under_crun) {
    check_nothing_got_out("crun");
}

TEST(an_image_with_a_user_runs_as_that_user_with_a_directory_of_its_own) {
    rdg_buf_t said;
    char data[PATH_MAX];
    struct stat st;
    rdg_buf_init(&said, 65536);
    run_probe(NULL, "{\"config\":{\"Entrypoint\":[\"/bin/probe\"],\"User\":\"meter\"}}", &said, NULL);
    CHECK(strstr(rdg_buf_cstr(&said), "tried "));
    CHECK(!strstr(rdg_buf_cstr(&said), "OUT"));
    snprintf(data, sizeof data, "%s/data", rdg_test_dir());
    CHECK_EQ(stat(data, &st), 0);
    CHECK(st.st_uid == 4711 && st.st_gid == 4712);
    rdg_buf_fini(&said);
}

/* The checker checked: outside, as root, harmless ones do get through. */
TEST(outside_of_a_container_the_attempts_get_through) {
    if (geteuid() != 0) rdg_test_skip("needs root");
    CHECK(raw_sockets() && gains_by_exec() && no_filter() && has_capabilities() && file_handles());
    CHECK(sees_host_processes() && becomes_another());
}

/* A container may write where its log lies. */
TEST(a_log_is_moved_aside_into_nothing_that_a_link_leads_to) {
    char path[PATH_MAX], first[PATH_MAX + 8], victim[PATH_MAX];
    rdg_buf_t b;
    snprintf(path, sizeof path, "%s/node.log", rdg_test_dir());
    snprintf(first, sizeof first, "%s.1", path);
    snprintf(victim, sizeof victim, "%s/victim", rdg_test_dir());
    CHECK_OK(rdg_file_replace(victim, rdg_bytes_str("precious"), 0600));
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str("* * * * * root evil\n"), 0640));
    CHECK_EQ(symlink(victim, first), 0);
    CHECK_OK(rdg_container_log_rotate(path, 10, 1));
    for (int n = 0; n < 2; ++n) {
        rdg_buf_init(&b, 1024);
        CHECK_OK(rdg_file_read_plain(n ? first : victim, false, &b));
        CHECK_STR(rdg_buf_cstr(&b), n ? "* * * * * root evil\n" : "precious");
        rdg_buf_fini(&b);
    }
    CHECK_EQ(unlink(path), 0);
    CHECK_EQ(mkfifo(path, 0600), 0);
    CHECK_OK(rdg_container_log_rotate(path, 10, 1)); /* and does not wait */
}

TEST(a_log_that_has_grown_is_moved_aside_and_the_oldest_goes) {
    char path[PATH_MAX], old[PATH_MAX + 8];
    rdg_buf_t b;
    snprintf(path, sizeof path, "%s/node.log", rdg_test_dir());
    int writer = open(path, O_WRONLY | O_APPEND | O_CREAT, 0640);
    CHECK(writer >= 0);
    for (int round = 1; round <= 4; ++round) {
        char line[64];
        snprintf(line, sizeof line, "round %d of more than ten bytes\n", round);
        CHECK_OK(rdg_write_all(writer, rdg_bytes_str(line)));
        CHECK_OK(rdg_container_log_rotate(path, 10, 2));
    }
    CHECK_OK(rdg_write_all(writer, rdg_bytes_str("now\n")));
    CHECK_OK(rdg_container_log_rotate(path, 10, 2));
    static const char *const want[] = {"now\n", "round 4 of", "round 3 of"};
    for (int n = 0; n < 3; ++n) {
        rdg_buf_init(&b, 1024);
        snprintf(old, sizeof old, n ? "%s.%d" : "%s", path, n);
        CHECK_OK(rdg_file_read(old, &b));
        CHECK(strncmp(rdg_buf_cstr(&b), want[n], strlen(want[n])) == 0);
        rdg_buf_fini(&b);
    }
    snprintf(old, sizeof old, "%s.3", path);
    CHECK(!rdg_file_exists(old));
    close(writer);
}
