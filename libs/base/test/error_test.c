#include "ridge/base/error.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "ridge/base/assert.h"
#include "ridge/test.h"

TEST(error_names_and_numbers_never_change) {
    CHECK_EQ(RDG_E_NOT_FOUND, 5);
    CHECK_EQ(RDG_E_BAD_SIGNATURE, 17);
    CHECK_EQ(RDG_E_STALE, 33);
    for (int i = 0; i < RDG_E_LIMIT_; ++i) {
        CHECK_EQ(rdg_err_from_name(rdg_err_name((rdg_err_t)i)), i);
        CHECK(strlen(rdg_err_text((rdg_err_t)i)) > 0);
    }
    CHECK_STR(rdg_err_name((rdg_err_t)9999), "UNKNOWN");
    CHECK_EQ(rdg_err_from_name("NO_SUCH_NAME"), RDG_E_INTERNAL);
    CHECK_EQ(rdg_err_from_name(NULL), RDG_E_INTERNAL);
}

TEST(error_context_is_put_in_front_on_the_way_up) {
    rdg_err_t err = rdg_fail(RDG_E_NOT_FOUND, "chain \"%s\" is unknown", "grid-7");
    err = rdg_fail_in(err, "deploy");
    CHECK_STR(rdg_err_message(err), "deploy: chain \"grid-7\" is unknown");
    CHECK_EQ(rdg_fail_in(RDG_OK, "nothing"), RDG_OK);
    CHECK_STR(rdg_err_message(err), "deploy: chain \"grid-7\" is unknown");
}

TEST(error_text_of_another_code_is_not_shown) {
    rdg_fail(RDG_E_IO, "disk is gone");
    CHECK_STR(rdg_err_message(RDG_E_TIMEOUT), "timed out");
    CHECK_EQ(rdg_fail_in(RDG_E_TIMEOUT, "peer 3"), RDG_E_TIMEOUT);
    CHECK_STR(rdg_err_message(RDG_E_TIMEOUT), "peer 3: timed out");
    CHECK_STR(rdg_err_message(RDG_OK), "success");
}

TEST(error_text_may_quote_the_one_before) {
    rdg_fail(RDG_E_IO, "first");
    rdg_err_t err = rdg_fail(RDG_E_CORRUPT, "because of: %s", rdg_err_message(RDG_E_IO));
    CHECK_STR(rdg_err_message(err), "because of: first");
}

TEST(error_text_is_cut_between_characters) {
    char text[2048] = "";
    for (int i = 0; i < 500; ++i) memcpy(text + 3 * i, "脊", 4);
    for (int shift = 0; shift < 3; ++shift) {
        rdg_err_t err = rdg_fail(RDG_E_INVALID, "%.*s%s", shift, "xxx", text);
        size_t len = strlen(rdg_err_message(err));
        CHECK(len < RDG_ERROR_TEXT_MAX && len > RDG_ERROR_TEXT_MAX - 5);
        CHECK_EQ((len - (size_t)shift) % 3, 0);
    }
}

TEST(error_of_errno_has_a_code_a_program_can_act_on) {
    CHECK_EQ(rdg_fail_errno(ENOSPC, "x"), RDG_E_DISK_FULL);
    CHECK_EQ(rdg_fail_errno(ENOENT, "x"), RDG_E_NOT_FOUND);
    CHECK_EQ(rdg_fail_errno(EADDRINUSE, "x"), RDG_E_PORT_IN_USE);
    CHECK_EQ(rdg_fail_errno(EIO, "x"), RDG_E_IO);
    CHECK_EQ(rdg_fail_errno(EACCES, "open %s", "/etc/ridge.key"), RDG_E_FORBIDDEN);
    CHECK_STR(rdg_err_message(RDG_E_FORBIDDEN), "open /etc/ridge.key: Permission denied");
}

static void *other_thread(void *arg) {
    rdg_fail(RDG_E_IO, "theirs");
    return arg;
}

TEST(error_text_belongs_to_its_thread) {
    pthread_t t;
    rdg_fail(RDG_E_IO, "mine");
    CHECK(pthread_create(&t, NULL, other_thread, NULL) == 0);
    pthread_join(t, NULL);
    CHECK_STR(rdg_err_message(RDG_E_IO), "mine");
}

TEST(assertion_prints_one_json_line_and_aborts) {
    int out[2], status;
    char text[512] = "";
    CHECK(pipe(out) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(out[1], 2);
        const char *p = "";
        RDG_ASSERT(strcmp(p, "a\"b") == 0);
        _exit(0);
    }
    close(out[1]);
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    CHECK(read(out[0], text, sizeof text - 1) > 0);
    close(out[0]);
    CHECK(strncmp(text, "{\"level\":\"fatal\",\"event\":\"assert\",", 34) == 0);
    CHECK(strstr(text, "\\\"a\\\\\\\"b\\\"") != NULL);
    CHECK(strcmp(text + strlen(text) - 2, "}\n") == 0);
}
