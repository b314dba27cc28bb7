/* Trouble with a directory's disk, at a chosen moment: for tests of what survives it.
 *
 * A program that links ridge_testfaults has its calls that change files (open with O_CREAT, mkostemp, write, pwrite,
 * fallocate, ftruncate, fsync, fdatasync, syncfs, rename, link, unlink, unlinkat, mkdir, and the forms of these that end
 * with 64) counted, those below one directory only; the n-th meets what was chosen. Calls of shared libraries are among them
 * (RocksDB, SQLite), of all their threads. What glibc calls inside itself (stdio) and what a mapping changes is not seen.
 *
 * The disk is one whose file system orders its metadata (ext4, xfs, btrfs): fsync makes durable the file and every
 * creation, rename and removal before it; data that was not synced may be there or not, in any part. */
#ifndef RIDGE_TEST_FAULTS_H
#define RIDGE_TEST_FAULTS_H
#include <stdbool.h>

typedef enum rdg_fault {
    RDG_FAULT_NONE, /* only counts */
    RDG_FAULT_FAIL, /* the call fails (EIO; ENOSPC where something was to be written) and nothing is done */
    RDG_FAULT_TORN, /* as FAIL, but a write has left half of its bytes */
    RDG_FAULT_KILL, /* this process ends by SIGKILL; what it has written stays */
    RDG_FAULT_CUT_TORN, /* power is cut; all got to the disk, of the present write half */
    RDG_FAULT_CUT_ZERO, /* power is cut; names got to the disk, bytes behind what was synced are zeros */
    RDG_FAULT_CUT_LOST, /* power is cut; nothing got to the disk since the last sync: overwritten bytes are the old ones */
    RDG_FAULT_LIMIT_
} rdg_fault_t;

/* From now on calls below dir (an existing directory) are counted from 1; the n-th meets the fault. A cut ends this
 * process (SIGKILL) when the disk is as it would be found. Not for two directories at a time. */
void rdg_test_faults_arm(const char *dir, rdg_fault_t fault, unsigned long n);
/* Calls that were counted; and no further faults. */
unsigned long rdg_test_faults_disarm(void);
const char *rdg_test_fault_name(rdg_fault_t fault);

/* Runs `act` in a child with each fault from `first` to `last` at each of its calls in turn, until a run meets none, and
 * `check` after each of them in a child of its own, in a fresh directory each time. A fault that does not end the child
 * lets `act` see an error. `acknowledged` is memory that all of them share, zeroed before each act. Both get the
 * directory and fail the test by themselves (CHECK); a message of the test's failure names fault and number. */
typedef void (*rdg_test_faults_fn)(const char *dir, unsigned char *acknowledged);
#define RDG_TEST_ACKNOWLEDGED 4096

/* The same where an act has too many calls to try each in every run of the tests. */
typedef struct rdg_test_faults_plan {
    rdg_fault_t first, last;
    rdg_test_faults_fn prepare; /* before each act, without faults, in a child of its own; may be NULL */
    rdg_test_faults_fn act, check;
    unsigned
        sample; /* of each fault as many calls, spread over all, others with another seed; 0, or with RIDGE_FAULTS=all
                        in the environment: each */
    bool
        may_abort; /* a library's own assertion may end an act that meets an error (RocksDB's do); checked all the same */
} rdg_test_faults_plan_t;
void rdg_test_faults_walk(const rdg_test_faults_plan_t *plan);
void rdg_test_faults_each(rdg_fault_t first, rdg_fault_t last, rdg_test_faults_fn act,
                          rdg_test_faults_fn check);

#endif
