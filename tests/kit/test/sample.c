/* Tests that end in every way a test can end; tests/suites.d/kit runs them and judges the runner. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "ridge/base/alloc.h"
#include "ridge/test.h"

TEST(good_one) {
    CHECK_EQ(1, 1);
}
TEST(good_two) {
    CHECK_STR("a", "a");
}
TEST(bad_check) {
    CHECK_EQ(1 + 1, 3);
}
TEST(bad_error) {
    CHECK_OK(rdg_fail(RDG_E_IO, "disk \"sda\" is gone"));
}
TEST(bad_crash) {
    abort();
}
TEST(bad_exit) {
    exit(3);
}
TEST(bad_leak) {
    CHECK(rdg_alloc(1) != NULL);
}
TEST(skipped_one) {
    rdg_test_skip("no such device here");
}

TEST(bad_hang) {
    for (;;) pause();
}

TEST(good_random) {
    printf("random %llu\n", (unsigned long long)rdg_random_u64(rdg_test_random()));
}

TEST(bad_random) {
    printf("random %llu\n", (unsigned long long)rdg_random_u64(rdg_test_random()));
    CHECK(false);
}

/* Leaves a file and a process behind, and tells where. */
TEST(bad_debris) {
    char path[4096];
    snprintf(path, sizeof path, "%s/kept", rdg_test_dir());
    CHECK(mkdir(path, 0500) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        for (;;) pause();
    }
    printf("dir %s\npid %d\n", rdg_test_dir(), (int)pid);
    CHECK(false);
}

/* As an engine leaves its containers: in a session of its own, to be known by its command line alone. */
TEST(bad_daemon) {
    char name[4200];
    snprintf(name, sizeof name, "%s/socket", rdg_test_dir());
    int ready[2];
    CHECK_EQ(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        pid_t inner = fork();
        if (inner == 0) {
            pid_t self = getpid();
            if (write(ready[1], &self, sizeof self) != sizeof self) _exit(1);
            close(ready[0]), close(ready[1]);
            execl("/bin/sleep", name, "600", (char *)NULL);
        }
        _exit(0);
    }
    CHECK_EQ(read(ready[0], &pid, sizeof pid), sizeof pid);
    printf("pid %d\n", (int)pid);
    CHECK(false);
}

static rdg_err_t two_allocations(bool forget) {
    void *a = rdg_alloc(1);
    void *b = rdg_alloc(1);
    rdg_err_t err = a && b ? RDG_OK : RDG_E_NO_MEMORY;
    if (!forget || a) rdg_free(b);
    rdg_free(a);
    return err;
}

TEST(good_alloc_loop) {
    rdg_err_t err;
    int runs = 0;
    RDG_TEST_ALLOC_LOOP(err) {
        ++runs;
        err = two_allocations(false);
    }
    CHECK_EQ(runs, 3);
}

TEST(bad_alloc_leak) {
    rdg_err_t err;
    RDG_TEST_ALLOC_LOOP(err) {
        err = two_allocations(true);
    }
}

TEST(bad_alloc_swallowed) {
    rdg_err_t err;
    RDG_TEST_ALLOC_LOOP(err) {
        rdg_free(rdg_alloc(1));
        err = RDG_OK;
    }
}

TEST(bad_alloc_none) {
    rdg_err_t err;
    RDG_TEST_ALLOC_LOOP(err) {
        err = RDG_OK;
    }
}
