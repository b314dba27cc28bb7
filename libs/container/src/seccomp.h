/* The system calls that a container may make: an allow-list, in the form of the OCI runtime-spec's linux.seccomp.
 * All others fail with EPERM; clone3 with ENOSYS, so that the C library falls back to clone, whose flags can be looked
 * at (no new namespaces). Only the machine's own architecture: there is no second table to slip through.
 *
 * It is what container engines allow by default to a process without capabilities, less what a service on a device
 * has no use for: looking into other processes (ptrace, process_vm_*, kcmp, pidfd_getfd), sockets of other families than
 * UNIX, INET, INET6 and NETLINK, io_uring, file handles, personalities that weaken address randomisation. */
#ifndef RIDGE_CONTAINER_SECCOMP_H
#define RIDGE_CONTAINER_SECCOMP_H
#include <jansson.h>

/* Returns owned; NULL: no memory. */
json_t *seccomp_profile(void);

#endif
