/* Containers: one interface over the ways in which a device runs a workload.
 *
 * Drivers: `process` (a program as a plain process, any user), `oci` (own pull, overlayfs, runc or crun;
 * root), `docker` (own pull; an engine that speaks Docker's Engine API runs it). A container is described by a spec that the caller keeps; what the driver must remember is in
 * spec->state_dir, so that a caller that was restarted finds its containers again.
 *
 * Invariants
 * 1. A container outlives its caller: nothing here ends it but stop and remove.
 * 2. At most one instance of a container runs. start finds a running one (pid, start time and boot id in
 *    state_dir/run; and, should the caller have died before that was written, the mark in the process's
 *    environment or the runtime's own state) and leaves it alone.
 * 3. A pid is never signalled before its start time was compared: a reused pid is not ours.
 * 4. remove leaves no process, mount, directory of the driver or runtime state; absent is fine.
 *
 * Calls for one container come from one thread at a time; different containers are independent. */
#ifndef RIDGE_CONTAINER_CONTAINER_H
#define RIDGE_CONTAINER_CONTAINER_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "ridge/base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RDG_CONTAINER_ARGS_MAX 64

typedef struct rdg_container_spec {
    const char *name;      /* rdg_name_valid; unique on the device */
    const char *state_dir; /* the driver's own, one per container */
    const char *data_dir;  /* the workload's directory on the host */
    const char *log_path;  /* standard output and error are appended; no link, but for the driver "process" */
    const char *image;     /* NULL for drivers without images */
    const char *const *args; /* NULL-terminated, after the program or the image's entry point */
    /* Thousandths of a core; 0: no limit. The image's own ceilings hold as well. `process` sets none. */
    uint64_t memory_bytes, cpu_millis;
    uint64_t pids; /* 0: 1,024; `process` sets none */
} rdg_container_spec_t;

typedef enum rdg_container_state {
    RDG_CONTAINER_ABSENT, /* never started, or removed */
    RDG_CONTAINER_RUNNING,
    RDG_CONTAINER_EXITED
} rdg_container_state_t;

typedef struct rdg_container_status {
    rdg_container_state_t state;
    pid_t pid;       /* while running */
    int exit_status; /* as of waitpid; -1 unknown (its parent was somebody else) */
    uint64_t rss_kib;
} rdg_container_status_t;

/* step: "pull", "unpack"; done and total in bytes. False ends the preparation with CANCELLED; it goes on from there the
 * next time. */
typedef bool (*rdg_container_progress_fn)(void *ctx, const char *step, uint64_t done, uint64_t total);

typedef struct rdg_container_driver {
    const char *name;
    /* Where data_dir is seen by the workload; NULL: at its own path. */
    const char *data_mount;
    /* Makes the image ready on this device; may take long. No effect when it is ready already. */
    rdg_err_t (*prepare)(void *ctx, const char *image, rdg_container_progress_fn progress,
                         void *progress_ctx);
    /* Makes room: images that are not in `needed`, the oldest first, go while all together have more than budget_bytes.
     * Adds what was freed. BUSY: an image is being prepared. NULL: a driver without images. */
    rdg_err_t (*collect)(void *ctx, const char *const *needed, size_t count, uint64_t budget_bytes,
                         uint64_t *freed);
    rdg_err_t (*start)(void *ctx, const rdg_container_spec_t *spec);
    /* SIGTERM, SIGKILL after grace_ms; returns when it is gone. Not running is fine. */
    rdg_err_t (*stop)(void *ctx, const rdg_container_spec_t *spec, uint64_t grace_ms);
    /* Stops at once if running. Adds the bytes freed to *freed if given. */
    rdg_err_t (*remove)(void *ctx, const rdg_container_spec_t *spec, uint64_t *freed);
    rdg_err_t (*status)(void *ctx, const rdg_container_spec_t *spec, rdg_container_status_t *out);
    /* A descriptor that becomes readable when the running instance ends (pidfd); the caller closes it.
     * NOT_FOUND when none runs. */
    rdg_err_t (*watch)(void *ctx, const rdg_container_spec_t *spec, int *fd);
    void (*free)(void *ctx);
    void *ctx;
} rdg_container_driver_t;

/* program: path of the program to run, or a name found through PATH. Returns owned. */
rdg_err_t rdg_container_process_new(const char *program, rdg_container_driver_t **out);

/* The registry host that stands for the cloud at the other end of the device's link ("cloud.ridge/name:tag"). */
#define RDG_CONTAINER_CLOUD "cloud.ridge"

#define RDG_CONTAINER_DATA_MOUNT "/var/lib/ridge-node"

typedef struct rdg_container_oci_options {
    const char *root;       /* blobs, layers, runtime state */
    const char *data_mount; /* NULL: /var/lib/ridge-node */
    const char *runtime;    /* NULL: runc, else crun, from PATH */
    /* A local socket by which the registry RDG_CONTAINER_CLOUD is reached; NULL: images of it are refused. */
    const char *cloud_socket;
    uint64_t image_bytes_max; /* all blobs of one image; 0: 4 GiB */
    /* A program that calls rdg_container_unpack_main: layers are unpacked in a process of it, so that what libarchive
     * brings along does not stay resident. NULL: in this process. */
    const char *unpacker;
    /* Whose images may run (ridge/image/trust.h, JSON); read anew at each preparation and start, so that it may be
     * replaced at any time. An image without a good signature is then neither unpacked nor started, unless the list
     * lets it be unsigned; while the file is not there nothing is. NULL: signatures are not asked for. */
    const char *trust_file;
} rdg_container_oci_options_t;
/* UNSUPPORTED names what is missing: root, a runtime, overlayfs. Returns owned. */
rdg_err_t rdg_container_oci_new(const rdg_container_oci_options_t *options, rdg_container_driver_t **out);

#define RDG_CONTAINER_DOCKER_SOCKET "/var/run/docker.sock"

typedef struct rdg_container_docker_options {
    const char *root;         /* what is pulled, until the engine has it; what is known of it */
    const char *data_mount;   /* NULL: RDG_CONTAINER_DATA_MOUNT */
    const char *socket;       /* of the engine; NULL: RDG_CONTAINER_DOCKER_SOCKET */
    const char *cloud_socket; /* these three as in rdg_container_oci_options_t */
    uint64_t image_bytes_max;
    const char *trust_file;
} rdg_container_docker_options_t;
/* The engine need not answer yet: what needs it is UNAVAILABLE then, which names the socket and what to do. Images are verified
 * and their signatures judged as with driver oci; unpacking them, and what that may take, is the engine's. Returns owned. */
rdg_err_t rdg_container_docker_new(const rdg_container_docker_options_t *options,
                                   rdg_container_driver_t **out);
/* Does an engine answer at socket (NULL: RDG_CONTAINER_DOCKER_SOCKET)? */
rdg_err_t rdg_container_docker_check(const char *socket);

/* Pulls an image as driver oci does, without needing a runtime, and copies one of its files (a relative path; links are
 * not followed) to `to`, synced. What was pulled stays in options->root. NOT_FOUND: the image has no such file. */
rdg_err_t rdg_container_image_file(const rdg_container_oci_options_t *options, const char *image,
                                   const char *file, const char *to, rdg_container_progress_fn progress,
                                   void *progress_ctx);

/* Whether an image may run here, by what was kept when it was prepared: options->root and trust_file count, nothing is
 * fetched or changed, and no layer is read. NOT_FOUND: it was never prepared; otherwise as start refuses it. */
rdg_err_t rdg_container_image_check(const rdg_container_oci_options_t *options, const char *image);

/* A log that its writers append to, once it is larger than max_bytes: what it holds moves to <path>.1, that to
 * <path>.2, and so on up to `keep`; lines that are written in between may be lost. On a full disk the oldest go first. */
rdg_err_t rdg_container_log_rotate(const char *path, uint64_t max_bytes, unsigned keep);

/* For main() of the unpacker: true when argv asks to unpack a layer; it is done then, and *status is the exit status. */
bool rdg_container_unpack_main(int argc, char **argv, int *status);

void rdg_container_driver_free(rdg_container_driver_t *d); /* takes; NULL is fine; containers go on */

#ifdef __cplusplus
}
#endif
#endif
