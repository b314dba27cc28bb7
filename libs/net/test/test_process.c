#include "ridge/net/process.h"
#include "ridge/test.h"
#include "ridge/base/clock.h"
#include "ridge/base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHELL(...)                                                                                           \
    (const char *const[]) {                                                                                  \
        "sh", "-c", __VA_ARGS__, NULL                                                                        \
    }

static void no_child_is_left(void) {
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
    CHECK_EQ(rdg_alloc_live(), 0);
}

TEST(process_run_captures_output_and_errors) {
    char out[64];
    CHECK_OK(rdg_process_run(SHELL("echo one; echo two >&2"), 10000, out, sizeof out));
    CHECK_STR(out, "one\ntwo\n");
    no_child_is_left();
}

TEST(process_run_fails_with_status_and_last_line) {
    char out[64];
    rdg_err_t err = rdg_process_run(SHELL("echo first; echo the reason; exit 3"), 10000, out, sizeof out);
    CHECK_ERR(err, RDG_E_IO);
    CHECK(strstr(rdg_err_message(err), "exit status 3: the reason") != NULL);
    CHECK_STR(out, "first\nthe reason\n");
    err = rdg_process_run(SHELL("kill -9 $$"), 10000, NULL, 0);
    CHECK_ERR(err, RDG_E_IO);
    CHECK(strstr(rdg_err_message(err), "signal 9") != NULL);
    no_child_is_left();
}

TEST(process_run_drops_output_beyond_the_limit_and_still_ends) {
    char out[10];
    rdg_err_t err = rdg_process_run(SHELL("head -c 300000 /dev/zero | tr '\\0' x; echo; echo end; exit 1"),
                                    20000, out, sizeof out);
    CHECK_ERR(err, RDG_E_IO);
    CHECK_STR(out, "xxxxxxxxx");
    CHECK(strstr(rdg_err_message(err), "exit status 1: end") != NULL);
}

TEST(process_run_kills_what_takes_too_long) {
    uint64_t start = rdg_mono_ms(rdg_clock_system());
    CHECK_ERR(rdg_process_run((const char *const[]){"sleep", "100", NULL}, 100, NULL, 0), RDG_E_TIMEOUT);
    CHECK(rdg_mono_ms(rdg_clock_system()) - start < 50000);
    no_child_is_left();
}

TEST(process_not_found_and_not_executable_are_told_apart) {
    rdg_process_t *p;
    rdg_err_t err = rdg_process_start(
        &(rdg_process_options_t){.argv = (const char *const[]){"no-such-program-here", NULL}}, &p);
    CHECK_ERR(err, RDG_E_NOT_FOUND);
    CHECK(strstr(rdg_err_message(err), "no-such-program-here") != NULL);
    CHECK_ERR(
        rdg_process_start(&(rdg_process_options_t){.argv = (const char *const[]){"/no/such", NULL}}, &p),
        RDG_E_NOT_FOUND);
    char path[256];
    snprintf(path, sizeof path, "%s/plain", rdg_test_dir());
    CHECK_OK(rdg_file_replace(path, rdg_bytes_str("x"), 0600));
    CHECK(rdg_process_start(&(rdg_process_options_t){.argv = (const char *const[]){path, NULL}}, &p) !=
          RDG_OK);
    CHECK_ERR(rdg_process_start(&(rdg_process_options_t){.argv = SHELL("true"), .cwd = "/no/such"}, &p),
              RDG_E_NOT_FOUND);
    no_child_is_left();
}

TEST(process_child_has_only_three_descriptors_and_no_ignored_signal) {
    char log[256], want[] = "0 1 2 \n";
    rdg_buf_t text;
    rdg_process_t *p;
    int status;
    signal(SIGPIPE, SIG_IGN);
    CHECK(open("/dev/null", O_RDONLY) >= 0);
    snprintf(log, sizeof log, "%s/log", rdg_test_dir());
    /* The shell's own listing adds the directory that it reads. */
    CHECK_OK(rdg_process_start(
        &(rdg_process_options_t){
            .argv = SHELL("for f in 0 1 2 3 4 5 6 7 8 9 16 17 18 19; do [ -e /proc/$$/fd/$f ] && "
                          "printf '%s ' $f; done; echo; grep SigIgn /proc/$$/status"),
            .log_path = log},
        &p));
    CHECK_OK(rdg_process_wait(p, 10000, &status));
    CHECK_EQ(status, 0);
    rdg_process_free(p);
    rdg_buf_init(&text, 4096);
    CHECK_OK(rdg_file_read(log, &text));
    CHECK(strncmp(rdg_buf_cstr(&text), want, strlen(want)) == 0);
    CHECK(strstr(rdg_buf_cstr(&text), "SigIgn:\t0000000000000000") != NULL);
    rdg_buf_fini(&text);
    no_child_is_left();
}

TEST(process_stop_asks_first_and_then_kills) {
    rdg_process_t *p;
    int status;
    CHECK_OK(
        rdg_process_start(&(rdg_process_options_t){.argv = (const char *const[]){"sleep", "100", NULL}}, &p));
    CHECK(rdg_process_alive(p, NULL));
    CHECK_ERR(rdg_process_wait(p, 20, &status), RDG_E_TIMEOUT);
    CHECK_OK(rdg_process_stop(p, 10000));
    CHECK(!rdg_process_alive(p, &status));
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    CHECK_OK(rdg_process_stop(p, 10000));
    rdg_process_free(p);
    char ready[256], command[400];
    snprintf(ready, sizeof ready, "%s/ready", rdg_test_dir());
    CHECK_EQ(mkfifo(ready, 0600), 0);
    snprintf(command, sizeof command, "trap '' TERM; echo > %s; while :; do sleep 1; done", ready);
    CHECK_OK(rdg_process_start(&(rdg_process_options_t){.argv = SHELL(command), .new_session = true}, &p));
    int reader = open(ready, O_RDONLY);
    char newline;
    CHECK_EQ(read(reader, &newline, 1), 1); /* closed any earlier, the shell's echo would end it by SIGPIPE */
    CHECK_OK(rdg_process_stop(p, 50));
    close(reader);
    CHECK(!rdg_process_alive(p, &status));
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    rdg_process_free(p);
    no_child_is_left();
}

static void *start_and_end(void *arg) {
    rdg_process_t **p = arg;
    CHECK_OK(rdg_process_start(&(rdg_process_options_t){.argv = (const char *const[]){"sleep", "100", NULL},
                                                        .die_with_parent = true},
                               p));
    return NULL;
}

TEST(process_outlives_the_thread_that_started_it) {
    rdg_process_t *p;
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, start_and_end, &p), 0);
    pthread_join(thread, NULL);
    CHECK_ERR(rdg_process_wait(p, 200, NULL), RDG_E_TIMEOUT);
    CHECK_OK(rdg_process_stop(p, 10000));
    rdg_process_free(p);
    no_child_is_left();
}

TEST(process_dies_with_its_parent) {
    int fds[2];
    char byte;
    CHECK_EQ(pipe(fds), 0);
    pid_t parent = fork();
    if (parent == 0) {
        rdg_process_t *p;
        char log[64];
        snprintf(log, sizeof log, "/proc/%d/fd/%d", (int)getpid(), fds[1]);
        CHECK_OK(
            rdg_process_start(&(rdg_process_options_t){.argv = (const char *const[]){"sleep", "100", NULL},
                                                       .log_path = log,
                                                       .die_with_parent = true,
                                                       .new_session = true},
                              &p));
        kill(getpid(), SIGKILL);
    }
    close(fds[1]);
    CHECK_EQ(waitpid(parent, NULL, 0), parent);
    /* The pipe ends when its last writer, the grandchild, is gone. */
    CHECK_EQ(read(fds[0], &byte, 1), 0);
    close(fds[0]);
}

TEST(process_freed_while_it_runs_leaves_no_zombie) {
    rdg_process_t *p;
    CHECK_OK(
        rdg_process_start(&(rdg_process_options_t){.argv = (const char *const[]){"sleep", "100", NULL}}, &p));
    pid_t pid = rdg_process_pid(p);
    rdg_process_free(p);
    kill(pid, SIGKILL);
    siginfo_t info;
    CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    CHECK_OK(rdg_process_run((const char *const[]){"true", NULL}, 10000, NULL, 0));
    no_child_is_left();
}

TEST(process_environment_is_replaced) {
    char log[256];
    rdg_buf_t text;
    rdg_process_t *p;
    snprintf(log, sizeof log, "%s/log", rdg_test_dir());
    CHECK_OK(rdg_process_start(&(rdg_process_options_t){.argv = (const char *const[]){"env", NULL},
                                                        .env = (const char *const[]){"A=b", NULL},
                                                        .log_path = log},
                               &p));
    CHECK_OK(rdg_process_wait(p, 10000, NULL));
    rdg_process_free(p);
    rdg_buf_init(&text, 4096);
    CHECK_OK(rdg_file_read(log, &text));
    CHECK_STR(rdg_buf_cstr(&text), "A=b\n");
    rdg_buf_fini(&text);
}

/* The log of what may write where it lies: a container's. */
TEST(process_log_is_not_where_a_link_leads) {
    char log[600], victim[600];
    rdg_process_t *p = NULL;
    snprintf(log, sizeof log, "%s/log", rdg_test_dir());
    snprintf(victim, sizeof victim, "%s/victim", rdg_test_dir());
    const rdg_process_options_t guarded = {.argv = SHELL("echo evil"), .log_path = log, .log_no_link = true},
                                trusting = {.argv = SHELL("echo said"), .log_path = log};
    CHECK_EQ(symlink(victim, log), 0);
    CHECK_ERR(rdg_process_start(&guarded, &p), RDG_E_FORBIDDEN);
    CHECK(strstr(rdg_err_message(RDG_E_FORBIDDEN), "is a link"));
    CHECK(!rdg_file_exists(victim));
    CHECK_OK(rdg_process_start(&trusting, &p));
    CHECK_OK(rdg_process_wait(p, 60000, NULL));
    rdg_process_free(p);
    CHECK(rdg_file_exists(victim));
    CHECK_EQ(unlink(log), 0);
    CHECK_EQ(mkfifo(log, 0600), 0);
    CHECK(rdg_process_start(&guarded, &p) != RDG_OK); /* and does not wait */
}
